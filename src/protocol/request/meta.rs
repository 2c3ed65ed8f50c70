//! The meta commands: a key, and flags that mean what memcached takes them for. Passes
//! on what it does not know.

use super::verb::Verb;
use super::{BAD_FORMAT, Bad, ERROR, Head, MAX_ARGUMENT_BYTES, parse_len};
use crate::protocol::key::{KeyBuf, MAX_KEY_BYTES, decode_base64_key};
use crate::protocol::token::{Tokens, parse_i64, parse_u64};

/// memcached's limit on the tokens of a meta command.
const MAX_META_TOKENS: usize = 19;
/// memcached's limit on an opaque token with its flag, in bytes.
const MAX_OPAQUE_BYTES: usize = 32;
/// Flags that every memcached with meta commands knows: only after those does
/// a duplicate come before "invalid flag".
const KNOWN_FLAGS: &[u8] = b"bNTRlOPLkstcfvhuqFCMJDI";

const BAD_FLAG: &str = "CLIENT_ERROR invalid flag";
const BAD_OR_DUPLICATE: &str = "CLIENT_ERROR invalid or duplicate flag";
const FLAGS_TOO_LONG: &str = "CLIENT_ERROR options flags too long";
const OPAQUE_TOO_LONG: &str = "CLIENT_ERROR opaque token too long";

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

pub(super) fn parse_meta<'a>(verb: Verb, tokens: Tokens<'a>, decoded: &'a mut KeyBuf) -> Head<'a> {
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
            _ => FLAGS_TOO_LONG,
        });
    }
    let seen = match flag_set(verb, &rest) {
        Ok(seen) => seen,
        Err(reply) => return fail(reply),
    };
    let base64 = seen >> b'b' & 1 == 1;
    let Some(key) = decode_key(token, base64, decoded) else {
        return fail(match verb {
            Verb::Mg | Verb::Ms => "CLIENT_ERROR error decoding key",
            _ => BAD_OR_DUPLICATE,
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

/// `"me <key> [b]"`: whatever else follows is ignored.
pub(super) fn parse_meta_debug<'a>(tokens: Tokens<'a>, decoded: &'a mut KeyBuf) -> Head<'a> {
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

/// The flags that are given; the error to the client if they cannot be.
fn flag_set(verb: Verb, flags: &Tokens<'_>) -> Result<u128, &'static str> {
    let mut seen = 0u128;
    let mut known = true;
    let mut opaque = 0;
    for token in flags.clone() {
        let flag = token[0];
        if known && (flag >= 127 || seen >> flag & 1 == 1) {
            return Err(match verb {
                Verb::Mg | Verb::Ms => "CLIENT_ERROR duplicate flag",
                _ => BAD_OR_DUPLICATE,
            });
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
            OPAQUE_TOO_LONG
        } else {
            FLAGS_TOO_LONG
        });
    }
    // Checked before anything is done; memcached does so after, for some, but
    // looks at numbers first.
    if known && opaque > MAX_OPAQUE_BYTES && !flags.clone().any(is_bad_argument) {
        return Err(OPAQUE_TOO_LONG);
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
