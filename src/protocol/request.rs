//! Request heads: one line of bytes to the request that it spells. Knows bytes,
//! not namespaces; never allocates.
//!
//! Errors are memcached's own, in its order of checks. Two things differ, both
//! so that a value can never run as commands: the body of a store whose head
//! is bad is swallowed (as memcached 1.6.40 and later do), and where no length
//! tells how much to swallow the connection is closed after the error.

use super::key::{KeyBuf, MAX_KEY_BYTES, decode_base64_key};
use super::token::{Tokens, parse_i32, parse_i64, parse_u64};

/// Longest line of any request but retrievals, in bytes.
pub const MAX_LINE_BYTES: usize = 16 << 10;
/// Longest line of a retrieval, which may name many keys.
pub const MAX_RETRIEVAL_LINE_BYTES: usize = 1 << 20;
/// Largest body that memcached can be told of.
const MAX_BODY_BYTES: usize = i32::MAX as usize - 2;
/// memcached's limit on the tokens of a meta command.
const MAX_META_TOKENS: usize = 19;
/// How many tokens memcached cuts a line into before it looks at them.
const MAX_TOKENS: usize = 23;

const ERROR: &str = "ERROR";
const BAD_FORMAT: &str = "CLIENT_ERROR bad command line format";
const BAD_DELETE: &str = "CLIENT_ERROR bad command line format.  Usage: delete <key> [noreply]";
const BAD_EXPTIME: &str = "CLIENT_ERROR invalid exptime argument";

/// A request without its body.
#[derive(Debug, Clone)]
// It lives on the stack of one parse; a box would allocate per meta request.
#[allow(clippy::large_enum_variant)]
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
    /// `version`.
    Version,
    /// `stats`, or one of its harmless sections.
    Stats(&'a [u8]),
    /// `flush_all`.
    FlushAll {
        /// Seconds until it takes effect, where given.
        delay: Option<i32>,
        /// Whether the client wants no reply.
        noreply: bool,
    },
    /// `quit`.
    Quit,
    /// A command of memcached that is not for clients of a proxy.
    Refused {
        /// `shutdown`, `stats reset`, ...
        command: &'static str,
        /// Whether the client wants no reply.
        noreply: bool,
    },
    /// No request; what to answer.
    Bad(Bad),
}

/// A line that is no request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bad {
    /// The answer, without its line end; empty for none.
    pub reply: &'static str,
    /// How many bytes follow that belong to the bad request.
    pub swallow: usize,
    /// Whether nothing after it can be trusted.
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
    Other,
}

impl Verb {
    /// All verbs, in the order of [`Verb::index`].
    pub const ALL: [Self; 24] = [
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
        Self::Other,
    ];

    /// Position in [`Verb::ALL`].
    pub fn index(self) -> usize {
        self as usize
    }

    /// As on the wire; `other` for what is no command of its own.
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
    /// As memcached would cut it.
    pub exptime: i32,
    /// Bytes of the body without its line end.
    pub len: usize,
    /// For `cas`.
    pub cas: Option<u64>,
    /// Whether the client wants no reply.
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
    /// Whether the client wants no reply.
    pub noreply: bool,
}

/// `"mg <key> <flag>*"`; `ms` has a length after the key.
#[derive(Debug, Clone)]
pub struct Meta<'a> {
    /// [`Verb::Mg`] to [`Verb::Me`].
    pub verb: Verb,
    /// The client key, decoded.
    pub key: KeyBuf,
    /// Whether the client spelled it in base64.
    pub base64: bool,
    /// Bytes of the body of an `ms`, without its line end.
    pub len: usize,
    /// The flag tokens, as the client spelled them.
    pub flags: Tokens<'a>,
    seen: u128,
}

impl<'a> Meta<'a> {
    /// An `ms` for a key, with flags that are known to be distinct.
    ///
    /// # Panics
    /// If the key is over 250 bytes.
    pub fn store(key: &[u8], base64: bool, len: usize, flags: &'a [u8]) -> Self {
        let flags = Tokens::new(flags);
        let seen = flags
            .clone()
            .fold(0, |seen, token| seen | 1 << (token[0] & 127));
        let key = KeyBuf::try_from(key).expect("a client key is 250 bytes at most");
        Self {
            verb: Verb::Ms,
            key,
            base64,
            len,
            flags,
            seen,
        }
    }

    /// Whether a flag is given.
    pub fn has(&self, flag: u8) -> bool {
        self.seen >> (flag & 127) & 1 == 1
    }

    /// The argument of a flag, if it is given.
    pub fn argument(&self, flag: u8) -> Option<&'a [u8]> {
        self.has(flag)
            .then(|| self.flags.clone().find(|token| token[0] == flag))
            .flatten()
            .map(|token| &token[1..])
    }
}

/// Where the first line of a buffer ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// Not yet: more bytes are needed.
    Partial,
    /// It never will: over the limit for its kind.
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
    match memchr::memchr(b'\n', &buf[searched..]) {
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

/// Parses one line without its line end.
pub fn parse_head(line: &[u8]) -> Head<'_> {
    // memcached works on C strings: a NUL ends the line's text.
    let line = &line[..memchr::memchr(0, line).unwrap_or(line.len())];
    let mut tokens = Tokens::new(line);
    let Some(verb) = tokens.next().filter(|verb| verb.len() > 1) else {
        return Head::Bad(Bad::new(ERROR));
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
        b"mg" => parse_meta(Verb::Mg, tokens),
        b"ms" => parse_meta(Verb::Ms, tokens),
        b"md" => parse_meta(Verb::Md, tokens),
        b"ma" => parse_meta(Verb::Ma, tokens),
        b"me" => parse_meta_debug(tokens),
        b"mn" => Head::MetaNoop,
        b"version" => Head::Version,
        b"quit" => Head::Quit,
        b"stats" => parse_stats(tokens),
        b"flush_all" => parse_flush_all(tokens),
        _ => parse_other(verb, tokens),
    }
}

fn parse_retrieve(verb: Verb, tokens: Tokens<'_>) -> Head<'_> {
    let mut keys = tokens;
    if keys.clone().next().is_none() {
        return Head::Bad(Bad::new(ERROR));
    }
    let exptime = matches!(verb, Verb::Gat | Verb::Gats)
        .then(|| keys.next())
        .flatten();
    if exptime.is_some_and(|token| parse_i64(token).is_none()) {
        return Head::Bad(Bad::new(BAD_EXPTIME));
    }
    if keys.clone().any(|key| key.len() > MAX_KEY_BYTES) {
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

/// A body's length, where memcached could hold it.
fn parse_len(token: &[u8]) -> Option<usize> {
    let len = usize::try_from(parse_i64(token)?).ok()?;
    (len <= MAX_BODY_BYTES).then_some(len)
}

fn is_noreply(tokens: &[&[u8]]) -> bool {
    tokens.last().is_some_and(|token| *token == b"noreply")
}

fn parse_store(verb: Verb, tokens: Tokens<'_>) -> Head<'_> {
    let parsed = if verb == Verb::Cas {
        collect::<5, 6>(tokens)
    } else {
        collect::<4, 5>(tokens).map(|all| all.into_iter().collect())
    };
    let Some(all) = parsed else {
        return Head::Bad(Bad::new(ERROR));
    };
    let noreply = is_noreply(&all);
    let bad = Bad::new(BAD_FORMAT).silent_if(noreply);
    let Some(len) = parse_len(all[3]) else {
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
    match collect::<2, 3>(tokens) {
        Some(all) => change(verb, all[0], Some(all[1]), is_noreply(&all)),
        None => Head::Bad(Bad::new(ERROR)),
    }
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

fn parse_meta(verb: Verb, tokens: Tokens<'_>) -> Head<'_> {
    let mut rest = tokens.clone();
    let Some(token) = rest.next() else {
        return Head::Bad(Bad::new(ERROR));
    };
    let mut len = 0;
    let mut bad = Bad::new(BAD_FORMAT);
    if verb == Verb::Ms {
        // A length that is missing says nothing about a body, as in `set`.
        let Some(token) = rest.next() else {
            return Head::Bad(bad);
        };
        let Some(parsed) = parse_len(token) else {
            return Head::Bad(bad.closing());
        };
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
        Err(FlagError::Duplicate) => {
            return fail(match verb {
                Verb::Mg | Verb::Ms => "CLIENT_ERROR duplicate flag",
                _ => "CLIENT_ERROR invalid or duplicate flag",
            });
        }
    };
    let base64 = seen >> b'b' & 1 == 1;
    let Some(key) = decode_key(token, base64) else {
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
    // Checked before anything is done; memcached does so after, for some, but
    // looks at numbers first.
    if known && opaque > MAX_OPAQUE_BYTES && !flags.clone().any(is_bad_argument) {
        return Err(FlagError::OpaqueTooLong);
    }
    Ok(seen)
}

/// Whether a flag's argument is one that memcached refuses.
fn is_bad_argument(flag: &[u8]) -> bool {
    let argument = &flag[1..];
    match flag[0] {
        b'N' | b'T' | b'R' => parse_i64(argument).is_none(),
        b'F' | b'C' | b'J' | b'D' => parse_u64(argument).is_none(),
        b'M' => argument.len() != 1,
        _ => false,
    }
}

fn decode_key(token: &[u8], base64: bool) -> Option<KeyBuf> {
    if base64 {
        decode_base64_key(token)
    } else {
        KeyBuf::try_from(token).ok()
    }
}

/// `"me <key> [b]"`: whatever else follows is ignored.
fn parse_meta_debug(tokens: Tokens<'_>) -> Head<'_> {
    let mut rest = tokens;
    let token = rest.next().filter(|token| token.len() <= MAX_KEY_BYTES);
    let base64 = rest.next().is_some_and(|flag| flag == b"b");
    match token.and_then(|token| decode_key(token, base64)) {
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

fn parse_stats(tokens: Tokens<'_>) -> Head<'_> {
    let mut rest = tokens;
    let refused = |command| Head::Refused {
        command,
        noreply: false,
    };
    match rest.next() {
        None => Head::Stats(b""),
        Some(section @ (b"settings" | b"items" | b"slabs" | b"sizes" | b"conns" | b"extstore")) => {
            Head::Stats(section)
        }
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

fn parse_other<'a>(verb: &[u8], tokens: Tokens<'a>) -> Head<'a> {
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
    Head::Bad(Bad::new(ERROR))
}
