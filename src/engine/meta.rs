//! Replies of meta commands: put into the client's words, with its own key and
//! without what was only asked to check them. Knows lines, not connections.

use std::ops::Range;

use super::pool::Pool;
use super::words::{push_key, push_number, push_word};
use crate::policy::{Look, OnMiss, Restore};
use crate::protocol::key::{KeyBuf, decode_base64_key, encode_base64_key};
use crate::protocol::reply::ReplyError;
use crate::protocol::request::{Meta, Verb};
use crate::protocol::{Tokens, parse_u64};

#[derive(Debug)]
pub(super) struct MetaReply {
    pub(super) verb: Verb,
    pub(super) look: Look,
    pub(super) on_miss: OnMiss,
    /// Whether the client spelled its key in base64.
    pub(super) base64: bool,
    /// Copies of others that were asked for.
    pub(super) others: u8,
    /// Whether the client asked for its key and its flags; others come back for us alone.
    pub(super) wants_key: bool,
    pub(super) wants_flags: bool,
    pub(super) restore: OwedRestore,
    /// Asking again changes nothing.
    pub(super) is_read: bool,
    pub(super) unnamed: Option<Unnamed>,
}

impl MetaReply {
    /// Asks the same about the next copy of another.
    pub(super) fn of_another(&self) -> Self {
        Self {
            others: self.others + 1,
            ..self.without_key()
        }
    }

    /// Copies all but the key, which is kept elsewhere.
    pub(super) fn without_key(&self) -> Self {
        Self {
            restore: OwedRestore::Strip(0),
            ..*self
        }
    }
}

/// A key with a line end in it, which memcached may answer with as it is: it is
/// never asked to. The reply is known by its opaque, and the client's `k` is
/// put where it belongs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unnamed {
    /// Flags of a hit, and of a miss, that come before the client's `k`.
    pub(super) before_key: (usize, usize),
    /// The client asked for no opaque.
    pub(super) own_opaque: bool,
}

impl Unnamed {
    pub(super) fn new(meta: &Meta<'_>) -> Option<Self> {
        let unnamed = meta.verb == Verb::Mg && meta.key.contains(&b'\n');
        unnamed.then(|| {
            let before = || meta.flags.clone().take_while(|flag| flag[0] != b'k');
            let answered = before()
                .filter(|flag| b"hltscfO".contains(&flag[0]))
                .count();
            let opaques = before().filter(|flag| flag[0] == b'O').count();
            Self {
                before_key: (answered, opaques),
                own_opaque: !meta.has(b'O'),
            }
        })
    }
}

/// Ways to the client key from the physical one.
#[derive(Debug)]
pub(super) enum OwedRestore {
    Strip(u8),
    Kept(Box<KeyBuf>),
}

impl OwedRestore {
    #[inline]
    pub(super) fn new(restore: Restore, client_key: &[u8], pool: &mut Pool) -> Self {
        match restore {
            Restore::Strip(bytes) => Self::Strip(bytes),
            Restore::Hashed => Self::Kept(pool.keep(client_key)),
        }
    }

    /// Hands back what was kept.
    pub(super) fn give_back(&mut self, pool: &mut Pool) {
        if let Self::Kept(_) = self
            && let Self::Kept(key) = std::mem::replace(self, Self::Strip(0))
        {
            pool.give_key(key);
        }
    }

    pub(super) fn client_key<'a>(&'a self, physical: &'a [u8]) -> &'a [u8] {
        match self {
            Self::Strip(bytes) => &physical[usize::from(*bytes)..],
            Self::Kept(key) => key,
        }
    }
}

/// The physical key of a meta request, from its own line.
pub(super) fn asked_key(request: &[u8]) -> Option<KeyBuf> {
    let line = &request[..memchr::memchr(b'\n', request)?];
    let line = line.strip_suffix(b"\r")?;
    let mut tokens = Tokens::new(line).skip(1);
    let token = tokens.next()?;
    if tokens.any(|flag| flag == b"b") {
        decode_base64_key(token)
    } else {
        KeyBuf::try_from(token).ok()
    }
}

/// Rewrites a reply line for the client: its own key in place of the physical
/// one, and nothing that it did not ask for. Gives the client flags (0 if they
/// were not asked).
pub(super) fn rewrite_meta(
    text: &[u8],
    meta: &MetaReply,
    physical: &[u8],
    out: &mut Vec<u8>,
) -> Result<u32, ReplyError> {
    let is_va = text.starts_with(b"VA ");
    let mut tokens = Tokens::new(text);
    out.extend_from_slice(tokens.next().ok_or(ReplyError::Malformed)?);
    if is_va {
        push_word(out, tokens.next().ok_or(ReplyError::Malformed)?);
    }
    let mut rest = tokens.rest();
    let mut client_flags = 0;
    let mut checked = false;
    while let Some(flag) = Tokens::new(rest).next() {
        let start = rest.iter().position(|&b| b != b' ').unwrap_or(0);
        rest = &rest[start + flag.len()..];
        match flag[0] {
            b'k' => {
                checked = true;
                let found = &text[text.len() - rest.len() - flag.len() + 1..];
                let (len, base64) = match_key(found, physical).ok_or(ReplyError::WrongKey)?;
                rest = &found[len..];
                if meta.wants_key {
                    push_key(out, meta.restore.client_key(physical), base64);
                }
            }
            b'f' => {
                client_flags = parse_flags(flag)?;
                if meta.wants_flags {
                    push_word(out, flag);
                }
            }
            _ => push_word(out, flag),
        }
    }
    let hit = is_va || text.starts_with(b"HD");
    if meta.verb == Verb::Mg && hit && !checked {
        return Err(ReplyError::WrongKey);
    }
    Ok(client_flags)
}

/// The client flags that a flag `f` returns; 0 where they are over 32 bits.
fn parse_flags(token: &[u8]) -> Result<u32, ReplyError> {
    let flags = parse_u64(&token[1..]).ok_or(ReplyError::Malformed)?;
    Ok(u32::try_from(flags).unwrap_or(0))
}

/// What a client is told of a key that is not there, to the request that asked for
/// this physical one with these flags.
pub(super) fn miss_line<'f>(
    meta: &MetaReply,
    physical: &[u8],
    flags: impl Iterator<Item = &'f [u8]>,
) -> Vec<u8> {
    let mut text = b"EN".to_vec();
    let mut opaque: &[u8] = b"";
    for flag in flags {
        match flag[0] {
            b'O' => {
                opaque = flag;
                push_word(&mut text, flag);
            }
            b'k' => push_key(&mut text, physical, meta.base64),
            _ => {}
        }
    }
    let mut line = Vec::new();
    let rewritten = match meta.unnamed {
        None => rewrite_meta(&text, meta, physical, &mut line),
        Some(unnamed) => rewrite_unnamed(&text, meta, unnamed, opaque, physical, &mut line),
    };
    debug_assert!(rewritten.is_ok());
    line
}

/// The opaque of a meta request, from its own line.
pub(super) fn asked_opaque(request: &[u8]) -> &[u8] {
    // A "\r" may stand within a line, after a number.
    let opaque = Tokens::new(asked_flags(request)).find(|flag| flag[0] == b'O');
    opaque.unwrap_or_default()
}

/// Rewrites the reply for a key that was not asked to be named.
pub(super) fn rewrite_unnamed(
    text: &[u8],
    meta: &MetaReply,
    unnamed: Unnamed,
    opaque: &[u8],
    physical: &[u8],
    out: &mut Vec<u8>,
) -> Result<u32, ReplyError> {
    let is_va = text.starts_with(b"VA ");
    let code = if is_va { 2 } else { 1 };
    let before_key = match text {
        [b'E', b'N', ..] => unnamed.before_key.1,
        _ => unnamed.before_key.0,
    };
    let mut client_flags = 0;
    let mut checked = false;
    let mut answered = 0;
    let name_key = |out: &mut Vec<u8>, answered: usize| {
        if meta.wants_key && answered == before_key {
            push_key(out, meta.restore.client_key(physical), true);
        }
    };
    for (at, token) in Tokens::new(text).enumerate() {
        if at < code {
            out.extend_from_slice(if at == 0 { b"" } else { b" " });
            out.extend_from_slice(token);
            continue;
        }
        let mut ours = false;
        match token[0] {
            b'O' if token == opaque => {
                checked = true;
                ours = unnamed.own_opaque;
            }
            b'f' => {
                client_flags = parse_flags(token)?;
                ours = !meta.wants_flags;
            }
            _ => {}
        }
        if !ours {
            name_key(out, answered);
            answered += 1;
            push_word(out, token);
        }
    }
    name_key(out, answered);
    if checked {
        Ok(client_flags)
    } else {
        Err(ReplyError::WrongKey)
    }
}

/// Finds the physical key where a reply names it: how many bytes it takes, and
/// whether it is spelled in base64. An item that `mg` created for a base64 key
/// is named by its bare bytes, spaces and all.
pub(super) fn match_key(found: &[u8], physical: &[u8]) -> Option<(usize, bool)> {
    let ends = |len: usize| found.get(len).is_none_or(|&b| b == b' ');
    let is_flagged = |len: usize| found[len..].starts_with(b" b") && ends(len + 2);
    if found.starts_with(physical) && ends(physical.len()) && !is_flagged(physical.len()) {
        return Some((physical.len(), false));
    }
    let token = Tokens::new(found).next()?;
    let matches = decode_base64_key(token).is_some_and(|key| key[..] == *physical);
    (is_flagged(token.len()) && matches).then_some((token.len() + 2, true))
}

/// Whether the reply to an `mg` gives the item to its client to refresh: `W`, among
/// the flags `W`, `X` and `Z` that come last.
pub(super) fn is_won(text: &[u8]) -> bool {
    let tail = &text[text.len().saturating_sub(b" W X Z".len())..];
    tail.windows(2).any(|flag| flag == b" W")
}

/// The flags of a meta request, from its own line.
pub(super) fn asked_flags(request: &[u8]) -> &[u8] {
    let end = memchr::memchr(b'\n', request).unwrap_or(request.len());
    let line = &request[..end];
    let mut tokens = Tokens::new(line.strip_suffix(b"\r").unwrap_or(line));
    tokens.nth(1);
    tokens.rest()
}

/// Turns the line of a hit into that of a miss, which keeps opaque and key.
pub(super) fn hide_meta(line: &mut Vec<u8>) {
    replace_line(line, |line, nth, token| match (nth, &line[token.clone()]) {
        (0, _) => line.extend_from_slice(b"EN"),
        // The length.
        (1, _) => {}
        (_, [b'O' | b'k', ..] | b"b") => {
            line.push(b' ');
            line.extend_from_within(token);
        }
        _ => {}
    });
}

/// Puts another value's length and client flags into the line of a hit.
pub(super) fn resize_meta(line: &mut Vec<u8>, len: usize, client_flags: u32) {
    replace_line(line, |line, nth, token| {
        let kind = (nth > 1).then(|| line[token.start]);
        if nth > 0 {
            line.push(b' ');
        }
        match (nth, kind) {
            (1, _) => push_number(line, len),
            (_, Some(b's')) => {
                line.push(b's');
                push_number(line, len);
            }
            (_, Some(b'f')) => {
                line.push(b'f');
                push_number(line, client_flags);
            }
            _ => line.extend_from_within(token),
        }
    });
}

/// Puts another line in the place of one: whatever is appended for each token, of which
/// the number and the place are told.
fn replace_line(line: &mut Vec<u8>, mut append: impl FnMut(&mut Vec<u8>, usize, Range<usize>)) {
    let old = line.len();
    let mut at = 0;
    for nth in 0.. {
        let mut tokens = Tokens::new(&line[at..old]);
        let Some(token) = tokens.next() else {
            break;
        };
        at = old - tokens.rest().len();
        let token = at - token.len()..at;
        append(line, nth, token);
    }
    line.drain(..old);
}

/// `"ME <key> exp=..."` with the client's key.
pub(super) fn restore_debug(
    text: &[u8],
    meta: &MetaReply,
    physical: &[u8],
) -> Result<Vec<u8>, ReplyError> {
    let Some(rest) = text.strip_prefix(b"ME ") else {
        return Ok(text.to_vec());
    };
    let encoded = encode_base64_key(physical);
    let named = |key: &[u8]| {
        rest.strip_prefix(key)
            .filter(|fields| fields.starts_with(b" "))
    };
    let (base64, fields) = match (named(physical), encoded.as_deref().and_then(named)) {
        (Some(fields), _) => (false, fields),
        (None, Some(fields)) => (true, fields),
        (None, None) => return Err(ReplyError::WrongKey),
    };
    let key = meta.restore.client_key(physical);
    let key = match encode_base64_key(key).filter(|_| base64) {
        Some(token) => token,
        None => KeyBuf::try_from(key).map_err(|_| ReplyError::Malformed)?,
    };
    Ok([b"ME ", &key[..], fields].concat())
}
