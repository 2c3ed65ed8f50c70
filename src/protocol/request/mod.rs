//! Request heads: one line of bytes to the request that it spells. Knows bytes,
//! not namespaces; never allocates.
//!
//! Errors are memcached's own, in its order of checks. Two things differ, both
//! so that a value can never run as commands. The body of a store whose head is
//! bad is swallowed (as memcached 1.6.40 and later do) where its length is
//! certain: each token in its place, and the length in plain digits. Where it is
//! not, the connection is closed after the error: a key with a space moves every
//! number behind it by one, and what looks like a length then is none.

mod classic;
mod line;
mod meta;
mod verb;

pub use classic::OWN_STATS;
pub use line::{Line, MAX_LINE_BYTES, MAX_RETRIEVAL_LINE_BYTES, find_line};
pub use meta::Meta;
pub use verb::Verb;

use super::key::KeyBuf;
use super::token::{Tokens, find_byte, leading_digits};
use classic::{
    parse_change, parse_delete, parse_flush_all, parse_retrieve, parse_stats, parse_store,
};
use meta::{parse_meta, parse_meta_debug};

/// Largest body that memcached can be told of.
const MAX_BODY_BYTES: usize = i32::MAX as usize - 2;
/// Longest number or flag that is passed on. The longest that means anything is
/// an opaque of 32 bytes, and memcached closes connections over lines of 2,048.
const MAX_ARGUMENT_BYTES: usize = 64;
/// The number of tokens that memcached cuts a line into before it looks at them.
const MAX_TOKENS: usize = 23;

const ERROR: &str = "ERROR";
const BAD_FORMAT: &str = "CLIENT_ERROR bad command line format";

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

    /// Adds a body of `len` bytes and its line end, to be swallowed.
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
    /// CAS id of a `cas`.
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

/// A body's length, where memcached could hold it, and no two readers could take
/// it for different ones: digits alone.
fn parse_len(token: &[u8]) -> Option<usize> {
    let (len, digits) = leading_digits(token);
    let len = usize::try_from(len).ok()?;
    (digits > 0 && digits == token.len() && len <= MAX_BODY_BYTES).then_some(len)
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
mod tests;
