//! Request heads: one line of bytes to the request that it spells. Knows bytes,
//! not namespaces; never allocates.
//!
//! Errors are memcached's own, in its order of checks. Two things differ, both
//! so that a value can never run as commands. The body of a store whose head is
//! bad is swallowed (as memcached 1.6.40 and later do) where its length is
//! certain: each token in its place, and the length in plain digits. Where it is
//! not, the connection is closed after the error: a key with a space moves every
//! number behind it by one, and what looks like a length then is none.

use super::key::{KeyBuf, MAX_KEY_BYTES, decode_base64_key};
use super::token::{Tokens, find_byte, leading_digits, parse_i32, parse_i64, parse_u64};

/// Longest line of any request but retrievals, in bytes.
pub const MAX_LINE_BYTES: usize = 16 << 10;
/// Longest line of a retrieval, which may name many keys.
pub const MAX_RETRIEVAL_LINE_BYTES: usize = 1 << 20;
/// Largest body that memcached can be told of.
const MAX_BODY_BYTES: usize = i32::MAX as usize - 2;
/// memcached's limit on the tokens of a meta command.
const MAX_META_TOKENS: usize = 19;
/// Longest number or flag that is passed on. The longest that means anything is
/// an opaque of 32 bytes, and memcached closes connections over lines of 2,048.
const MAX_ARGUMENT_BYTES: usize = 64;
/// The number of tokens that memcached cuts a line into before it looks at them.
const MAX_TOKENS: usize = 23;

const ERROR: &str = "ERROR";
const BAD_FORMAT: &str = "CLIENT_ERROR bad command line format";
const BAD_DELETE: &str = "CLIENT_ERROR bad command line format.  Usage: delete <key> [noreply]";
const BAD_DELTA: &str = "CLIENT_ERROR invalid numeric delta argument";
const BAD_EXPTIME: &str = "CLIENT_ERROR invalid exptime argument";
const BAD_FLAG: &str = "CLIENT_ERROR invalid flag";

/// The commands that a body follows.
const STORING: [&str; 7] = ["set", "add", "replace", "append", "prepend", "cas", "ms"];

/// A request without its body.
#[derive(Debug, Clone)]
pub enum Head<'a> {
    /// `get`, `gets`, `gat`, `gats`.
    Retrieve(Retrieve<'a>),
    /// `set`, `add`, `replace`, `append`, `prepend`, `cas`.
    Store(Store<'a>),
    /// `delete`, `incr`, `decr`, `touch`.
    Change(Change<'a>),
    /// `mg`, `ms`, `md`, `ma`, `me`.
    Meta(Meta<'a>),
    /// `mn`.
    MetaNoop,
    /// `hello`, and the tag that follows.
    Hello(&'a [u8]),
    /// `version`.
    Version,
    /// `stats`, or one of its harmless sections.
    Stats(&'a [u8]),
    /// `flush_all`.
    FlushAll {
        /// Seconds until it takes effect, where given.
        delay: Option<i32>,
        /// True if the client wants no reply.
        noreply: bool,
    },
    /// `quit`.
    Quit,
    /// A command of memcached that is not for clients of a proxy.
    Refused {
        /// `shutdown`, `stats reset`, ...
        command: &'static str,
        /// True if the client wants no reply.
        noreply: bool,
    },
    /// No request; what to answer.
    Bad(Bad),
}

impl Head<'_> {
    /// Bytes of the body that follows, without its line end.
    pub fn body_len(&self) -> usize {
        match self {
            Self::Store(store) => store.len,
            Self::Meta(meta) => meta.len,
            _ => 0,
        }
    }
}

/// A line that is no request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bad {
    /// The answer, without its line end; empty for none.
    pub reply: &'static str,
    /// The number of bytes that follow and belong to the bad request.
    pub swallow: usize,
    /// True if nothing after it can be trusted.
    pub close: bool,
}

impl Bad {
    const fn new(reply: &'static str) -> Self {
        Self {
            reply,
            swallow: 0,
            close: false,
        }
    }

    const fn silent_if(self, noreply: bool) -> Self {
        Self {
            reply: if noreply { "" } else { self.reply },
            ..self
        }
    }

    /// With a body of `len` bytes and its line end swallowed.
    const fn with_body(self, len: usize) -> Self {
        Self {
            swallow: len + 2,
            ..self
        }
    }

    const fn closing(self) -> Self {
        Self {
            close: true,
            ..self
        }
    }
}

/// The commands, as metrics name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Verb {
    Get,
    Gets,
    Gat,
    Gats,
    Set,
    Add,
    Replace,
    Append,
    Prepend,
    Cas,
    Delete,
    Incr,
    Decr,
    Touch,
    Mg,
    Ms,
    Md,
    Ma,
    Me,
    Mn,
    Version,
    Stats,
    FlushAll,
    Hello,
    Other,
}

impl Verb {
    /// All verbs, in the order of [`Verb::index`].
    pub const ALL: [Self; 25] = [
        Self::Get,
        Self::Gets,
        Self::Gat,
        Self::Gats,
        Self::Set,
        Self::Add,
        Self::Replace,
        Self::Append,
        Self::Prepend,
        Self::Cas,
        Self::Delete,
        Self::Incr,
        Self::Decr,
        Self::Touch,
        Self::Mg,
        Self::Ms,
        Self::Md,
        Self::Ma,
        Self::Me,
        Self::Mn,
        Self::Version,
        Self::Stats,
        Self::FlushAll,
        Self::Hello,
        Self::Other,
    ];

    /// Position in [`Verb::ALL`].
    pub fn index(self) -> usize {
        self as usize
    }

    /// Returns the word on the wire; `other` for a verb that is no command of its own.
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Gets => "gets",
            Self::Gat => "gat",
            Self::Gats => "gats",
            Self::Set => "set",
            Self::Add => "add",
            Self::Replace => "replace",
            Self::Append => "append",
            Self::Prepend => "prepend",
            Self::Cas => "cas",
            Self::Delete => "delete",
            Self::Incr => "incr",
            Self::Decr => "decr",
            Self::Touch => "touch",
            Self::Mg => "mg",
            Self::Ms => "ms",
            Self::Md => "md",
            Self::Ma => "ma",
            Self::Me => "me",
            Self::Mn => "mn",
            Self::Version => "version",
            Self::Stats => "stats",
            Self::FlushAll => "flush_all",
            Self::Hello => "hello",
            Self::Other => "other",
        }
    }
}

/// `"get <key>*"`, `"gat <exptime> <key>*"`.
#[derive(Debug, Clone)]
pub struct Retrieve<'a> {
    /// [`Verb::Get`], `Gets`, `Gat` or `Gats`.
    pub verb: Verb,
    /// The raw token, for `gat` and `gats`.
    pub exptime: Option<&'a [u8]>,
    /// The keys, each of 1 to 250 bytes.
    pub keys: Tokens<'a>,
}

/// `"set <key> <flags> <exptime> <len> [noreply]"`, then the body.
#[derive(Debug, Clone, Copy)]
pub struct Store<'a> {
    /// [`Verb::Set`] to [`Verb::Cas`].
    pub verb: Verb,
    /// 1 to 250 bytes.
    pub key: &'a [u8],
    /// The client flags.
    pub flags: u32,
    /// The time, cut as memcached would cut it.
    pub exptime: i32,
    /// Bytes of the body without its line end.
    pub len: usize,
    /// For `cas`.
    pub cas: Option<u64>,
    /// True if the client wants no reply.
    pub noreply: bool,
}

/// `"delete <key>"`, `"incr <key> <delta>"`, `"touch <key> <exptime>"`.
#[derive(Debug, Clone, Copy)]
pub struct Change<'a> {
    /// [`Verb::Delete`], `Incr`, `Decr` or `Touch`.
    pub verb: Verb,
    /// 1 to 250 bytes.
    pub key: &'a [u8],
    /// The delta or the exptime, as the client spelled it.
    pub argument: Option<&'a [u8]>,
    /// True if the client wants no reply.
    pub noreply: bool,
}

/// `"mg <key> <flag>*"`; `ms` has a length after the key.
#[derive(Debug, Clone)]
pub struct Meta<'a> {
    /// [`Verb::Mg`] to [`Verb::Me`].
    pub verb: Verb,
    /// The client key, decoded.
    pub key: &'a [u8],
    /// True if the client spelled it in base64.
    pub base64: bool,
    /// Bytes of the body of an `ms`, without its line end.
    pub len: usize,
    /// The flag tokens, as the client spelled them.
    pub flags: Tokens<'a>,
    seen: u128,
}

impl<'a> Meta<'a> {
    /// An `ms` or `ma` for a key, with flags that are known to be distinct.
    pub fn new(verb: Verb, (key, base64): (&'a [u8], bool), len: usize, flags: &'a [u8]) -> Self {
        let flags = Tokens::new(flags);
        let seen = flags
            .clone()
            .fold(0, |seen, token| seen | 1 << (token[0] & 127));
        Self {
            verb,
            key,
            base64,
            len,
            flags,
            seen,
        }
    }

    /// Tells whether a flag is given.
    pub fn has(&self, flag: u8) -> bool {
        self.seen >> (flag & 127) & 1 == 1
    }

    /// Tells whether memcached refuses one of the flags of an `ms`, and so does
    /// nothing.
    pub fn has_bad_flag(&self) -> bool {
        let is_bad = |flag: &[u8]| !KNOWN_FLAGS.contains(&flag[0]) || is_bad_argument(flag);
        let mode = self.argument(b'M').and_then(<[u8]>::first);
        let is_mode = mode.is_none_or(|mode| b"AaEePpRrSs".contains(mode));
        !is_mode || self.flags.clone().any(is_bad)
    }

    /// The argument of a flag, if it is given.
    pub fn argument(&self, flag: u8) -> Option<&'a [u8]> {
        self.has(flag)
            .then(|| self.flags.clone().find(|token| token[0] == flag))
            .flatten()
            .map(|token| &token[1..])
    }
}

/// The end of the first line of a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// Not yet: more bytes are needed.
    Partial,
    /// The line never ends: it is over the limit for its kind.
    TooLong,
    /// A whole line: its text, and its bytes with the line end.
    Whole {
        /// Bytes of text.
        text: usize,
        /// Bytes of text and line end.
        total: usize,
    },
}

/// Finds the first line; `searched` bytes are known to hold no line end.
pub fn find_line(buf: &[u8], searched: usize) -> Line {
    match find_byte(b'\n', &buf[searched..]) {
        Some(at) => {
            let at = searched + at;
            if at > MAX_LINE_BYTES && at > line_limit(buf) {
                return Line::TooLong;
            }
            // A lone "\r\n" keeps its "\r", as in memcached.
            let text = if at > 1 && buf[at - 1] == b'\r' {
                at - 1
            } else {
                at
            };
            Line::Whole {
                text,
                total: at + 1,
            }
        }
        None if buf.len() > MAX_LINE_BYTES && buf.len() > line_limit(buf) => Line::TooLong,
        None => Line::Partial,
    }
}

fn line_limit(line: &[u8]) -> usize {
    let start = line.iter().take(100).position(|&b| b != b' ').unwrap_or(0);
    let retrieval = [&b"get "[..], b"gets ", b"gat ", b"gats "]
        .iter()
        .any(|verb| line[start..].starts_with(verb));
    if retrieval {
        MAX_RETRIEVAL_LINE_BYTES
    } else {
        MAX_LINE_BYTES
    }
}

/// Parses one line without its line end; a base64 key is decoded into `decoded`.
pub fn parse_head<'a>(line: &'a [u8], decoded: &'a mut KeyBuf) -> Head<'a> {
    let line = match find_byte(0, line) {
        None => line,
        // Some take what is behind the NUL for a part of the key, and some do not.
        Some(_) if is_like_store(line) => return Head::Bad(Bad::new(BAD_FORMAT).closing()),
        // memcached works on C strings: a NUL ends the line's text.
        Some(at) => &line[..at],
    };
    let mut tokens = Tokens::new(line);
    if let Some(keys) = line.strip_prefix(b"get ") {
        return parse_retrieve(Verb::Get, Tokens::new(keys));
    }
    let Some(verb) = tokens.next().filter(|verb| verb.len() > 1) else {
        return unknown(line);
    };
    match verb {
        b"get" => parse_retrieve(Verb::Get, tokens),
        b"gets" => parse_retrieve(Verb::Gets, tokens),
        b"gat" => parse_retrieve(Verb::Gat, tokens),
        b"gats" => parse_retrieve(Verb::Gats, tokens),
        b"set" => parse_store(Verb::Set, tokens),
        b"add" => parse_store(Verb::Add, tokens),
        b"replace" => parse_store(Verb::Replace, tokens),
        b"append" => parse_store(Verb::Append, tokens),
        b"prepend" => parse_store(Verb::Prepend, tokens),
        b"cas" => parse_store(Verb::Cas, tokens),
        b"delete" => parse_delete(tokens),
        b"incr" => parse_change(Verb::Incr, tokens),
        b"decr" => parse_change(Verb::Decr, tokens),
        b"touch" => parse_change(Verb::Touch, tokens),
        b"mg" => parse_meta(Verb::Mg, tokens, decoded),
        b"ms" => parse_meta(Verb::Ms, tokens, decoded),
        b"md" => parse_meta(Verb::Md, tokens, decoded),
        b"ma" => parse_meta(Verb::Ma, tokens, decoded),
        b"me" => parse_meta_debug(tokens, decoded),
        b"mn" => Head::MetaNoop,
        b"hello" => Head::Hello(tokens.rest().trim_ascii()),
        b"version" => Head::Version,
        b"quit" => Head::Quit,
        b"stats" => parse_stats(tokens),
        b"flush_all" => parse_flush_all(tokens),
        _ => parse_other(line, verb, tokens),
    }
}

/// A line that is no command. One that may have been meant for a store may have a
/// body behind it, of nobody knows what length.
fn unknown(line: &[u8]) -> Head<'_> {
    let bad = Bad::new(ERROR);
    Head::Bad(if is_like_store(line) {
        bad.closing()
    } else {
        bad
    })
}

/// Tells whether the first word of a line is a command that a body follows, whatever
/// stands around that word, and in whatever case it is.
fn is_like_store(line: &[u8]) -> bool {
    let start = line.iter().position(u8::is_ascii_alphabetic);
    let line = &line[start.unwrap_or(line.len())..];
    let len = line.iter().take_while(|b| b.is_ascii_alphabetic()).count();
    let (word, rest) = line.split_at(len);
    let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
    // "config set cluster 0 <length>" stores what nodes of a cluster are told.
    STORING.into_iter().any(is) || is("config") && Tokens::new(rest).next() == Some(b"set")
}

fn parse_retrieve(verb: Verb, tokens: Tokens<'_>) -> Head<'_> {
    let mut keys = tokens;
    if keys.is_empty() {
        return Head::Bad(Bad::new(ERROR));
    }
    let exptime = matches!(verb, Verb::Gat | Verb::Gats)
        .then(|| keys.next())
        .flatten();
    if exptime.is_some_and(|token| token.len() > MAX_ARGUMENT_BYTES || parse_i64(token).is_none()) {
        return Head::Bad(Bad::new(BAD_EXPTIME));
    }
    if keys.any_over(MAX_KEY_BYTES) {
        return Head::Bad(Bad::new(BAD_FORMAT));
    }
    Head::Retrieve(Retrieve {
        verb,
        exptime,
        keys,
    })
}

/// Collects all tokens if there are `MIN` to `N` of them.
fn collect<const MIN: usize, const N: usize>(
    tokens: Tokens<'_>,
) -> Option<arrayvec::ArrayVec<&[u8], N>> {
    let mut all = arrayvec::ArrayVec::new();
    for token in tokens {
        all.try_push(token).ok()?;
    }
    (all.len() >= MIN).then_some(all)
}

/// A body's length, where memcached could hold it, and no two readers could take
/// it for different ones: digits alone.
fn parse_len(token: &[u8]) -> Option<usize> {
    let (len, digits) = leading_digits(token);
    let len = usize::try_from(len).ok()?;
    (digits > 0 && digits == token.len() && len <= MAX_BODY_BYTES).then_some(len)
}

fn is_noreply(tokens: &[&[u8]]) -> bool {
    tokens.last().is_some_and(|token| *token == b"noreply")
}

fn parse_store(verb: Verb, tokens: Tokens<'_>) -> Head<'_> {
    // The key, three numbers, for `cas` one more, and maybe "noreply". memcached
    // takes any word for that; but where a key has a space it is the length.
    let numbers = if verb == Verb::Cas { 4 } else { 3 };
    let is_whole = |all: &[&[u8]]| match all.len().checked_sub(numbers + 1) {
        Some(0) => true,
        Some(1) => is_noreply(all),
        _ => false,
    };
    let Some(all) = collect::<4, 6>(tokens).filter(|all| is_whole(all)) else {
        return Head::Bad(Bad::new(ERROR).closing());
    };
    let noreply = is_noreply(&all);
    let bad = Bad::new(BAD_FORMAT).silent_if(noreply);
    // Without its CAS id, or without its key, every number is in another's place.
    let lacks_one = verb == Verb::Cas && noreply && all.len() == numbers + 1;
    let Some(len) = parse_len(all[3]).filter(|_| !lacks_one) else {
        return Head::Bad(bad.closing());
    };
    let flags = parse_u64(all[1]).and_then(|flags| u32::try_from(flags).ok());
    let cas = if verb == Verb::Cas {
        parse_u64(all[4])
    } else {
        Some(0)
    };
    let (Some(flags), Some(exptime), Some(cas)) = (flags, parse_i32(all[2]), cas) else {
        return Head::Bad(bad.with_body(len));
    };
    if all[0].len() > MAX_KEY_BYTES {
        return Head::Bad(bad.with_body(len));
    }
    Head::Store(Store {
        verb,
        key: all[0],
        flags,
        exptime,
        len,
        cas: (verb == Verb::Cas).then_some(cas),
        noreply,
    })
}

fn parse_delete(tokens: Tokens<'_>) -> Head<'_> {
    let Some(all) = collect::<1, 3>(tokens) else {
        return Head::Bad(Bad::new(ERROR));
    };
    let noreply = all.len() > 1 && is_noreply(&all);
    // The "0" is a hold time of long ago.
    let valid = match all[1..] {
        [] => true,
        [only] => only == b"0" || noreply,
        [hold, _] => hold == b"0" && noreply,
        _ => false,
    };
    if !valid {
        return Head::Bad(Bad::new(BAD_DELETE).silent_if(noreply));
    }
    change(Verb::Delete, all[0], None, noreply)
}

fn parse_change(verb: Verb, tokens: Tokens<'_>) -> Head<'_> {
    let Some(all) = collect::<2, 3>(tokens) else {
        return Head::Bad(Bad::new(ERROR));
    };
    let noreply = is_noreply(&all);
    // Passed on, it would end the line, and the upstream would not reply.
    let hushes = all[1] == b"noreply";
    if (hushes || all[1].len() > MAX_ARGUMENT_BYTES) && all[0].len() <= MAX_KEY_BYTES {
        let reply = match verb {
            Verb::Touch => BAD_EXPTIME,
            _ => BAD_DELTA,
        };
        return Head::Bad(Bad::new(reply).silent_if(noreply));
    }
    change(verb, all[0], Some(all[1]), noreply)
}

fn change<'a>(verb: Verb, key: &'a [u8], argument: Option<&'a [u8]>, noreply: bool) -> Head<'a> {
    if key.len() > MAX_KEY_BYTES {
        return Head::Bad(Bad::new(BAD_FORMAT).silent_if(noreply));
    }
    Head::Change(Change {
        verb,
        key,
        argument,
        noreply,
    })
}

fn parse_meta<'a>(verb: Verb, tokens: Tokens<'a>, decoded: &'a mut KeyBuf) -> Head<'a> {
    let mut rest = tokens.clone();
    let Some(token) = rest.next() else {
        let bad = Bad::new(ERROR);
        return Head::Bad(if verb == Verb::Ms { bad.closing() } else { bad });
    };
    let mut len = 0;
    let mut bad = Bad::new(BAD_FORMAT);
    if verb == Verb::Ms {
        let Some(parsed) = rest.next().and_then(parse_len) else {
            return Head::Bad(bad.closing());
        };
        // No flag is a number: behind a key with a space it is the length.
        if rest
            .clone()
            .any(|flag| matches!(flag[0], b'0'..=b'9' | b'+' | b'-'))
        {
            return Head::Bad(Bad::new(BAD_FLAG).closing());
        }
        len = parsed;
        bad = bad.with_body(len);
    }
    let fail = |reply| Head::Bad(Bad { reply, ..bad });
    if token.len() > MAX_KEY_BYTES {
        return fail(BAD_FORMAT);
    }
    if tokens.take(MAX_META_TOKENS).count() >= MAX_META_TOKENS {
        return fail(match verb {
            Verb::Mg => "CLIENT_ERROR options flags are too long",
            _ => "CLIENT_ERROR options flags too long",
        });
    }
    let seen = match flag_set(&rest) {
        Ok(seen) => seen,
        Err(FlagError::OpaqueTooLong) => return fail("CLIENT_ERROR opaque token too long"),
        Err(FlagError::TooLong) => return fail("CLIENT_ERROR options flags too long"),
        Err(FlagError::Duplicate) => {
            return fail(match verb {
                Verb::Mg | Verb::Ms => "CLIENT_ERROR duplicate flag",
                _ => "CLIENT_ERROR invalid or duplicate flag",
            });
        }
    };
    let base64 = seen >> b'b' & 1 == 1;
    let Some(key) = decode_key(token, base64, decoded) else {
        return fail(match verb {
            Verb::Mg | Verb::Ms => "CLIENT_ERROR error decoding key",
            _ => "CLIENT_ERROR invalid or duplicate flag",
        });
    };
    Head::Meta(Meta {
        verb,
        key,
        base64,
        len,
        flags: rest,
        seen,
    })
}

/// Flags that every memcached with meta commands knows: only after those does
/// a duplicate come before "invalid flag".
const KNOWN_FLAGS: &[u8] = b"bNTRlOPLkstcfvhuqFCMJDI";

/// memcached's limit on an opaque token with its flag, in bytes.
const MAX_OPAQUE_BYTES: usize = 32;

enum FlagError {
    Duplicate,
    OpaqueTooLong,
    TooLong,
}

fn flag_set(flags: &Tokens<'_>) -> Result<u128, FlagError> {
    let mut seen = 0u128;
    let mut known = true;
    let mut opaque = 0;
    for token in flags.clone() {
        let flag = token[0];
        if known && (flag >= 127 || seen >> flag & 1 == 1) {
            return Err(FlagError::Duplicate);
        }
        if flag == b'O' {
            opaque = token.len();
        }
        // An unknown flag is the upstream's to refuse.
        known &= KNOWN_FLAGS.contains(&flag);
        seen |= 1 << (flag & 127);
    }
    // P and L go no further.
    let passed = flags.clone().filter(|flag| !matches!(flag[0], b'P' | b'L'));
    if passed.clone().any(|flag| flag.len() > MAX_ARGUMENT_BYTES) {
        return Err(if opaque > MAX_ARGUMENT_BYTES {
            FlagError::OpaqueTooLong
        } else {
            FlagError::TooLong
        });
    }
    // Checked before anything is done; memcached does so after, for some, but
    // looks at numbers first.
    if known && opaque > MAX_OPAQUE_BYTES && !flags.clone().any(is_bad_argument) {
        return Err(FlagError::OpaqueTooLong);
    }
    Ok(seen)
}

/// Tells whether a flag's argument is one that memcached refuses.
fn is_bad_argument(flag: &[u8]) -> bool {
    let argument = &flag[1..];
    match flag[0] {
        b'N' | b'T' | b'R' => parse_i64(argument).is_none(),
        b'F' | b'C' | b'J' | b'D' => parse_u64(argument).is_none(),
        b'M' => argument.len() != 1,
        _ => false,
    }
}

fn decode_key<'a>(token: &'a [u8], base64: bool, decoded: &'a mut KeyBuf) -> Option<&'a [u8]> {
    if base64 {
        *decoded = decode_base64_key(token)?;
        Some(decoded)
    } else {
        Some(token)
    }
}

/// `"me <key> [b]"`: whatever else follows is ignored.
fn parse_meta_debug<'a>(tokens: Tokens<'a>, decoded: &'a mut KeyBuf) -> Head<'a> {
    let mut rest = tokens;
    let token = rest.next().filter(|token| token.len() <= MAX_KEY_BYTES);
    let base64 = rest.next().is_some_and(|flag| flag == b"b");
    match token.and_then(|token| decode_key(token, base64, decoded)) {
        None => Head::Bad(Bad::new(BAD_FORMAT)),
        Some(key) => Head::Meta(Meta {
            verb: Verb::Me,
            key,
            base64,
            len: 0,
            flags: Tokens::new(b""),
            seen: 0,
        }),
    }
}

/// The section of `stats` that a proxy answers itself.
pub const OWN_STATS: &[u8] = b"picklegate";

fn parse_stats(tokens: Tokens<'_>) -> Head<'_> {
    let mut rest = tokens;
    let refused = |command| Head::Refused {
        command,
        noreply: false,
    };
    match rest.next() {
        None => Head::Stats(b""),
        Some(
            section @ (b"settings" | b"items" | b"slabs" | b"sizes" | b"conns" | b"extstore"
            | OWN_STATS),
        ) => Head::Stats(section),
        Some(b"reset") => refused("stats reset"),
        Some(b"detail") => refused("stats detail"),
        // Lists keys of every namespace.
        Some(b"cachedump") => refused("stats cachedump"),
        Some(_) => Head::Bad(Bad::new(ERROR)),
    }
}

fn parse_flush_all(tokens: Tokens<'_>) -> Head<'_> {
    let Some(all) = collect::<0, 2>(tokens) else {
        return Head::Bad(Bad::new(ERROR));
    };
    let noreply = is_noreply(&all);
    if all.len() == usize::from(noreply) {
        return Head::FlushAll {
            delay: None,
            noreply,
        };
    }
    match parse_i32(all[0]) {
        Some(delay) => Head::FlushAll {
            delay: Some(delay),
            noreply,
        },
        None => Head::Bad(Bad::new(BAD_EXPTIME).silent_if(noreply)),
    }
}

/// Commands that would reach past this client's own keys.
const REFUSED: [&str; 11] = [
    "cache_memlimit",
    "debugtime",
    "extstore",
    "lru",
    "lru_crawler",
    "misbehave",
    "refresh_certs",
    "shutdown",
    "slabs",
    "verbosity",
    "watch",
];

fn parse_other<'a>(line: &'a [u8], verb: &[u8], tokens: Tokens<'a>) -> Head<'a> {
    if let Some(command) = REFUSED.iter().find(|name| name.as_bytes() == verb) {
        let noreply = tokens.last().is_some_and(|token| token == b"noreply");
        return Head::Refused { command, noreply };
    }
    // A web page made a browser send this.
    if tokens
        .take(MAX_TOKENS - 1)
        .last()
        .is_some_and(|token| token.starts_with(b"HTTP/"))
    {
        return Head::Bad(Bad::new("").closing());
    }
    unknown(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &[u8]) -> String {
        bytes.escape_ascii().to_string()
    }

    /// Says in words what a head is: `get a b`, `set k flags=1 ...`, `bad ...`.
    fn told(head: &Head<'_>) -> String {
        let noreply = |noreply: bool| if noreply { " noreply" } else { "" };
        match head {
            Head::Retrieve(retrieve) => {
                let exptime = retrieve.exptime.map(|token| format!("={}", text(token)));
                let keys = retrieve.keys.clone().map(|key| format!(" {}", text(key)));
                let verb = retrieve.verb.name().to_owned();
                verb + &exptime.unwrap_or_default() + &keys.collect::<String>()
            }
            Head::Store(store) => {
                let Store { flags, exptime, .. } = store;
                let cas = store.cas.map(|id| format!(" cas={id}"));
                format!(
                    "{} {} flags={flags} exptime={exptime} len={}{}{}",
                    store.verb.name(),
                    text(store.key),
                    store.len,
                    cas.unwrap_or_default(),
                    noreply(store.noreply)
                )
            }
            Head::Change(change) => {
                let argument = change.argument.map(|token| format!(" {}", text(token)));
                format!(
                    "{} {}{}{}",
                    change.verb.name(),
                    text(change.key),
                    argument.unwrap_or_default(),
                    noreply(change.noreply)
                )
            }
            Head::Meta(meta) => {
                let flags = meta.flags.clone().map(|flag| format!(" {}", text(flag)));
                let base64 = if meta.base64 { "(base64)" } else { "" };
                let (verb, key) = (meta.verb.name(), text(meta.key));
                let flags = flags.collect::<String>();
                format!("{verb} {key}{base64} len={}{flags}", meta.len)
            }
            Head::MetaNoop => "mn".to_owned(),
            Head::Hello(tag) => format!("hello {}", text(tag)),
            Head::Version => "version".to_owned(),
            Head::Stats(section) => format!("stats {}", text(section)),
            Head::FlushAll {
                delay,
                noreply: quiet,
            } => {
                let delay = delay.map(|delay| format!(" {delay}"));
                format!("flush_all{}{}", delay.unwrap_or_default(), noreply(*quiet))
            }
            Head::Quit => "quit".to_owned(),
            Head::Refused {
                command,
                noreply: quiet,
            } => format!("refused {command}{}", noreply(*quiet)),
            Head::Bad(bad) => {
                let swallow = match bad.swallow {
                    0 => String::new(),
                    bytes => format!(", swallow {bytes}"),
                };
                let close = if bad.close { ", close" } else { "" };
                format!("bad {:?}{swallow}{close}", bad.reply)
            }
        }
    }

    /// `K` stands for a key of 251 bytes.
    fn check(line: &str, expected: &str) {
        let line = line.replace('K', &"k".repeat(251));
        assert_eq!(
            told(&parse_head(line.as_bytes(), &mut KeyBuf::new())),
            expected,
            "{line:?}"
        );
    }

    const ERROR: &str = "bad \"ERROR\"";
    const FORMAT: &str = "bad \"CLIENT_ERROR bad command line format\"";

    #[test]
    fn retrievals_name_their_keys() {
        check("get a", "get a");
        check("  gets  a   b a ", "gets a b a");
        check("gat 100 a b", "gat=100 a b");
        check("gats -1 a", "gats=-1 a");
        check("get a\tb\x01", "get a\\tb\\x01");
        check("get a\0b c", "get a");
        check("get a\rb", "get a\\rb");
        check(
            &format!("get {}", "k".repeat(250)),
            &format!("get {}", "k".repeat(250)),
        );
        // Answered END: memcached finds no key to miss.
        check("gat 0", "gat=0");
        for bad in ["get", "get ", "gat", "GET a", "g", "", " ", "getx a"] {
            check(bad, ERROR);
        }
        check("get K", FORMAT);
        check("get a K b", FORMAT);
        for bad in ["gat x a", "gat 1x a", "gats a"] {
            check(bad, "bad \"CLIENT_ERROR invalid exptime argument\"");
        }
    }

    #[test]
    fn stores_say_how_much_follows() {
        check("set k 0 0 5", "set k flags=0 exptime=0 len=5");
        check("set k 0 0 5 ", "set k flags=0 exptime=0 len=5");
        check(
            "add k 4294967295 -1 0 noreply",
            "add k flags=4294967295 exptime=-1 len=0 noreply",
        );
        check("replace k +1 \t2 007", "replace k flags=1 exptime=2 len=7");
        check(
            "prepend k 0 0 2147483645",
            "prepend k flags=0 exptime=0 len=2147483645",
        );
        check(
            "cas k 0 0 1 18446744073709551615",
            "cas k flags=0 exptime=0 len=1 cas=18446744073709551615",
        );
        check(
            "cas k 0 0 1 7 noreply",
            "cas k flags=0 exptime=0 len=1 cas=7 noreply",
        );
        // memcached keeps the low 32 bits.
        check("set k 0 4294967297 1", "set k flags=0 exptime=1 len=1");
    }

    /// Whatever the key, the line has a body of 15 bytes.
    #[test]
    fn a_key_with_a_space_or_none_closes_whatever_it_spells() {
        let keys = [
            "",
            "a b",
            "a 0",
            "0 0",
            "0 0 0",
            "0 0 0 1",
            "a 1 2",
            "a 15",
            "a b c d e",
            "a 2 T1",
            "a noreply",
            "noreply a",
            "1 2 3 noreply",
        ];
        for key in keys {
            for verb in &STORING[..6] {
                for noreply in ["", " noreply"] {
                    let id = if *verb == "cas" { " 77" } else { "" };
                    let line = format!("{verb} {key} 0 0 15{id}{noreply}");
                    let told = told(&parse_head(line.as_bytes(), &mut KeyBuf::new()));
                    assert!(told.ends_with(", close"), "{line}: {told}");
                }
            }
            for flags in ["", " T0", " q"] {
                let line = format!("ms {key} 15{flags}");
                let told = told(&parse_head(line.as_bytes(), &mut KeyBuf::new()));
                assert!(told.ends_with(", close"), "{line}: {told}");
            }
        }
    }

    #[test]
    fn a_store_of_another_shape_closes() {
        let closed = "bad \"ERROR\", close";
        for rest in [
            "",
            " k",
            " k 0",
            " k 0 0",
            " k 0 0 1 0",
            " k 0 0 1 2 3",
            " k 0 0 1 noreply x",
            " my key 7 0 0 15",
            " k 0 0 1 Noreply",
        ] {
            for verb in &STORING[..5] {
                check(&format!("{verb}{rest}"), closed);
            }
        }
        for rest in ["", " k 0 0 1", " k 0 0 1 2 3", " k 0 0 1 2 noreply x"] {
            check(&format!("cas{rest}"), closed);
        }
        check("cas k 0 0 1 noreply", "bad \"\", close");
        check("ms", closed);
        check("ms k", &format!("{FORMAT}, close"));
        let flag = "bad \"CLIENT_ERROR invalid flag\", close";
        for rest in ["k 2 7", "k 2 T0 7", "k 2 +7 v", "k 2 v v 7", "K 2 7"] {
            check(&format!("ms {rest}"), flag);
        }
        // What is no command may have been meant for one that has a body.
        for line in [
            "SET k 0 0 5",
            "Add k 0 0 5",
            "set\tk 0 0 5",
            "\x01set k 0 0 5",
            "> cas k 0 0 5 1",
            "\r set k 0 0 5",
            "MS k 5",
            "config set cluster 0 5",
        ] {
            check(line, closed);
        }
        for line in [
            "x",
            "sets k 0 0 5",
            "config get cluster",
            "",
            "\r",
            "GETSET k",
        ] {
            check(line, ERROR);
        }
        for verb in STORING {
            for line in ["V\0 k 0 0 5", "V k\0x 0 0 5", "V k 0 0 5\0", "\0V k 0 0 5"] {
                check(&line.replace('V', verb), &format!("{FORMAT}, close"));
            }
        }
    }

    #[test]
    fn the_body_of_a_bad_store_is_swallowed() {
        for bad in [
            "set k x 0 5",
            "set k 0 x 5",
            "set k 4294967296 0 5",
            "set k -1 0 5",
            "set K 0 0 5",
            "cas k 0 0 5 x",
            "cas K 0 0 5 1",
        ] {
            check(bad, &format!("{FORMAT}, swallow 7"));
            check(&format!("{bad} noreply"), "bad \"\", swallow 7");
        }
    }

    #[test]
    fn a_store_without_a_length_closes() {
        for len in [
            "x",
            "-1",
            "2147483646",
            "4294967298",
            "99999999999999999999",
            "1x",
            "+1",
            "-0",
            "1\t",
            "\t1",
            "1\r",
            "1\rdelete",
        ] {
            check(&format!("set k 0 0 {len}"), &format!("{FORMAT}, close"));
            check(&format!("set k 0 0 {len} noreply"), "bad \"\", close");
            check(&format!("ms k {len}"), &format!("{FORMAT}, close"));
        }
    }

    #[test]
    fn changes_keep_what_they_are_told() {
        check("delete k", "delete k");
        check("delete k 0", "delete k");
        check("delete k noreply ", "delete k noreply");
        check("delete k 0 noreply", "delete k noreply");
        check("delete noreply", "delete noreply");
        check("incr k 1", "incr k 1");
        check("decr k x noreply", "decr k x noreply");
        check("touch k 0", "touch k 0");
        check("touch k noreply", "bad \"\"");
        check("incr k noreply", "bad \"\"");
        check(
            "decr k noreply 1",
            "bad \"CLIENT_ERROR invalid numeric delta argument\"",
        );
        check(
            "touch k noreply 1",
            "bad \"CLIENT_ERROR invalid exptime argument\"",
        );
        check("incr K noreply", "bad \"\"");
        for bad in [
            "delete",
            "delete k 0 noreply x",
            "incr k",
            "incr k 1 noreply x",
            "touch",
        ] {
            check(bad, ERROR);
        }
        let usage = "bad \"CLIENT_ERROR bad command line format.  Usage: delete <key> [noreply]\"";
        for bad in ["delete k 1", "delete k x", "delete k 0 x"] {
            check(bad, usage);
        }
        check("delete k 1 noreply", "bad \"\"");
        check("delete K", FORMAT);
        check("incr K 1", FORMAT);
        check("incr K 1 noreply", "bad \"\"");
    }

    #[test]
    fn meta_commands_keep_their_flags() {
        check("mg k", "mg k len=0");
        check("mg k v t O123 q", "mg k len=0 v t O123 q");
        check("ms k 5 T90 F1", "ms k len=5 T90 F1");
        check("ms k 0", "ms k len=0");
        check("md k q I", "md k len=0 q I");
        check("ma k N0 J1", "ma k len=0 N0 J1");
        check("me k", "me k len=0");
        check("me k x y z", "me k len=0");
        check("mn", "mn");
        check("mn k v", "mn");
        check("mg Zm9v b", "mg foo(base64) len=0 b");
        check("mg AApm v b", "mg \\x00\\nf(base64) len=0 v b");
        check("ms Zg== 2 bx", "ms f(base64) len=2 bx");
        check("me Zm9v b", "me foo(base64) len=0");
        check("me Zm9v v b", "me Zm9v len=0");
        // What no memcached knows is the upstream's to refuse.
        check("mg k ! !", "mg k len=0 ! !");
        check("mg k \u{7f}", "bad \"CLIENT_ERROR duplicate flag\"");
    }

    #[test]
    fn arguments_longer_than_any_that_means_something_go_no_further() {
        let long = "0".repeat(65);
        for (request, reply) in [
            ("incr k ", "invalid numeric delta argument"),
            ("touch k ", "invalid exptime argument"),
            ("mg k T", "options flags too long"),
            ("md k O", "opaque token too long"),
        ] {
            let told = format!("bad \"CLIENT_ERROR {reply}\"");
            check(&format!("{request}{long}"), &told);
        }
        check(
            &format!("gat {long} k"),
            "bad \"CLIENT_ERROR invalid exptime argument\"",
        );
    }

    #[test]
    fn bad_meta_commands_are_told_apart() {
        let duplicate = "bad \"CLIENT_ERROR duplicate flag\"";
        let other = "bad \"CLIENT_ERROR invalid or duplicate flag\"";
        let undecodable = "bad \"CLIENT_ERROR error decoding key\"";
        check("mg k v v", duplicate);
        check("ms k 2 T1 T2", &format!("{duplicate}, swallow 4"));
        check("md k q q", other);
        check("ma k v v", other);
        check("mg Zm9 b", undecodable);
        check("ms Zm9 2 b", &format!("{undecodable}, swallow 4"));
        check("md ==== b", other);
        check("mg K", FORMAT);
        check("md K", FORMAT);
        check("ms K 2", &format!("{FORMAT}, swallow 4"));
        check("me K", FORMAT);
        check("me", FORMAT);
        check("me ! b", FORMAT);
        for bad in ["mg", "md", "ma"] {
            check(bad, ERROR);
        }
        let opaque = "O".repeat(33);
        check(
            &format!("mg k {}", &opaque[..32]),
            &format!("mg k len=0 {}", &opaque[..32]),
        );
        check(
            &format!("mg k {opaque}"),
            "bad \"CLIENT_ERROR opaque token too long\"",
        );
        check(
            "mg k b c f h k l O q s t u v N R T P L E",
            "bad \"CLIENT_ERROR options flags are too long\"",
        );
        check(
            "md k b c f h k l O q s t u v N R T P L E",
            "bad \"CLIENT_ERROR options flags too long\"",
        );
        check(
            "ms k 2 b c f h k l O q s t u v N R T P L",
            "bad \"CLIENT_ERROR options flags too long\", swallow 4",
        );
    }

    #[test]
    fn commands_without_a_key_are_served_or_refused() {
        check(
            "hello python/3.11  django/4 ",
            "hello python/3.11  django/4",
        );
        check("hello", "hello ");
        check("version", "version");
        check("version x", "version");
        check("quit", "quit");
        check("stats", "stats ");
        check("stats items ", "stats items");
        check("stats picklegate", "stats picklegate");
        check("stats reset", "refused stats reset");
        check("stats cachedump 1 0", "refused stats cachedump");
        check("stats detail on", "refused stats detail");
        check("stats nonsense", ERROR);
        check("flush_all", "flush_all");
        check("flush_all noreply", "flush_all noreply");
        check("flush_all 10", "flush_all 10");
        check("flush_all -1 noreply", "flush_all -1 noreply");
        check(
            "flush_all x",
            "bad \"CLIENT_ERROR invalid exptime argument\"",
        );
        check("flush_all x noreply", "bad \"\"");
        check("flush_all 1 2 3", ERROR);
        for command in REFUSED {
            check(command, &format!("refused {command}"));
            check(
                &format!("{command} 1 noreply"),
                &format!("refused {command} noreply"),
            );
        }
        for unknown in ["config get cluster", "bget a", "shutdownx"] {
            check(unknown, ERROR);
        }
        check("GET / HTTP/1.1", "bad \"\", close");
    }

    #[test]
    fn a_line_ends_where_memcached_ends_it() {
        for (input, expected) in [
            ("get a\r\nget b\r\n", Some(("get a", 7))),
            ("get a\nget b\n", Some(("get a", 6))),
            ("\r\n", Some(("\r", 2))),
            ("\n", Some(("", 1))),
            ("a\r\n", Some(("a", 3))),
            ("a\r\r\n", Some(("a\r", 4))),
            ("a\rb\n", Some(("a\rb", 4))),
            ("", None),
            ("get a\r", None),
        ] {
            let expected = expected.map_or(Line::Partial, |(text, total)| Line::Whole {
                text: text.len(),
                total,
            });
            assert_eq!(find_line(input.as_bytes(), 0), expected, "{input:?}");
        }
    }

    #[test]
    fn a_cut_line_is_no_line() {
        let input = b"set key 0 0 5 noreply\r\nvalue\r\n";
        let total = 23;
        for cut in 0..=input.len() {
            let found = find_line(&input[..cut], 0);
            if cut < total {
                assert_eq!(found, Line::Partial, "cut at {cut}");
            } else {
                let text = total - 2;
                assert_eq!(found, Line::Whole { text, total }, "cut at {cut}");
            }
            // What was searched before needs no second look.
            for searched in 0..cut.min(total) {
                assert_eq!(find_line(&input[..cut], searched), found, "cut at {cut}");
            }
        }
    }

    #[test]
    fn an_endless_line_is_found_out() {
        for (start, limit) in [
            ("set ", MAX_LINE_BYTES),
            ("getx ", MAX_LINE_BYTES),
            ("get ", MAX_RETRIEVAL_LINE_BYTES),
            ("  gets ", MAX_RETRIEVAL_LINE_BYTES),
            ("gat 1 ", MAX_RETRIEVAL_LINE_BYTES),
            ("gats 1 ", MAX_RETRIEVAL_LINE_BYTES),
        ] {
            let mut line = start.as_bytes().to_vec();
            line.resize(limit, b'k');
            assert_eq!(find_line(&line, 0), Line::Partial, "{start}");
            line.push(b'\n');
            let whole = Line::Whole {
                text: limit,
                total: limit + 1,
            };
            assert_eq!(find_line(&line, 0), whole, "{start}");
            line.pop();
            line.push(b'k');
            assert_eq!(find_line(&line, 0), Line::TooLong, "{start}");
            line.push(b'\n');
            assert_eq!(find_line(&line, 0), Line::TooLong, "{start}");
        }
    }
}
