//! Replies of memcached: where one ends and what it says. Knows bytes only.

use super::request::Verb;
use super::token::{Tokens, parse_u64};

/// Longest reply line that memcached sends; past it the stream is not its.
pub const MAX_REPLY_LINE_BYTES: usize = 2048;

/// The first line of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplyLine<'a> {
    /// Its text, without the line end.
    pub text: &'a [u8],
    /// Bytes with the line end.
    pub total: usize,
}

/// Why bytes are no reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// A line without an end.
    #[error("reply line is over {MAX_REPLY_LINE_BYTES} bytes")]
    LineTooLong,
    /// A head that does not parse.
    #[error("malformed reply")]
    Malformed,
    /// A value that belongs to another request.
    #[error("reply for a key that was not asked")]
    WrongKey,
    /// More replies than requests.
    #[error("reply to nothing")]
    Unasked,
}

/// Finds the first line; `None` means that more bytes are needed.
///
/// # Errors
/// [`ReplyError::LineTooLong`] where no line end comes.
pub fn find_reply_line(buf: &[u8]) -> Result<Option<ReplyLine<'_>>, ReplyError> {
    let window = &buf[..buf.len().min(MAX_REPLY_LINE_BYTES)];
    match memchr::memchr(b'\n', window) {
        Some(at) => {
            let text = buf[..at].strip_suffix(b"\r").unwrap_or(&buf[..at]);
            Ok(Some(ReplyLine {
                text,
                total: at + 1,
            }))
        }
        None if window.len() == MAX_REPLY_LINE_BYTES => Err(ReplyError::LineTooLong),
        None => Ok(None),
    }
}

/// `"VALUE <key> <flags> <bytes> [<cas>]"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ValueHead<'a> {
    /// The physical key.
    pub key: &'a [u8],
    /// From the space after the key to the end of the line, without line end.
    pub tail: &'a [u8],
    /// The client flags, 0 where they are over 32 bits.
    pub flags: u32,
    /// Bytes of the value.
    pub len: usize,
}

/// Parses the text of a line that starts with `VALUE `.
///
/// # Errors
/// [`ReplyError::Malformed`].
pub fn parse_value_head(text: &[u8]) -> Result<ValueHead<'_>, ReplyError> {
    let rest = text.strip_prefix(b"VALUE ").ok_or(ReplyError::Malformed)?;
    let end = memchr::memchr(b' ', rest).ok_or(ReplyError::Malformed)?;
    let (key, tail) = rest.split_at(end);
    // The tail reaches clients as it is: it must be what memcached writes.
    let mut numbers = tail[1..].split(|&b| b == b' ').map(parse_digits);
    let (Some(Some(flags)), Some(Some(len))) = (numbers.next(), numbers.next()) else {
        return Err(ReplyError::Malformed);
    };
    let is_whole = match numbers.next() {
        None => true,
        Some(cas) => cas.is_some() && numbers.next().is_none(),
    };
    if !is_whole || key.is_empty() {
        return Err(ReplyError::Malformed);
    }
    Ok(ValueHead {
        key,
        tail,
        flags: u32::try_from(flags).unwrap_or(0),
        len: body_len(len)?,
    })
}

/// The length of the value after a `"VA <bytes> <flag>*"` line.
///
/// # Errors
/// [`ReplyError::Malformed`].
pub fn parse_va_len(text: &[u8]) -> Result<usize, ReplyError> {
    let mut tokens = Tokens::new(text).skip(1);
    let len = tokens
        .next()
        .and_then(parse_digits)
        .ok_or(ReplyError::Malformed)?;
    body_len(len)
}

/// A number as memcached writes it; requests may spell it in other ways.
fn parse_digits(token: &[u8]) -> Option<u64> {
    let plain = token.iter().all(u8::is_ascii_digit);
    parse_u64(token).filter(|_| plain)
}

fn body_len(len: u64) -> Result<usize, ReplyError> {
    // memcached keeps item sizes in 32 bits.
    u32::try_from(len)
        .map(|len| len as usize)
        .map_err(|_| ReplyError::Malformed)
}

/// Whether a reply's line is one of memcached's errors.
pub fn is_error(text: &[u8]) -> bool {
    text.starts_with(b"SERVER_ERROR")
        || text.starts_with(b"CLIENT_ERROR")
        || text.starts_with(b"ERROR")
}

/// Whether a line can begin the reply to a verb that is no retrieval.
pub fn is_reply_to(verb: Verb, text: &[u8]) -> bool {
    if is_error(text) {
        return true;
    }
    let code = &text[..memchr::memchr(b' ', text).unwrap_or(text.len())];
    let is_value = text.starts_with(b"VA ");
    match verb {
        Verb::Set | Verb::Add | Verb::Replace | Verb::Append | Verb::Prepend | Verb::Cas => {
            matches!(text, b"STORED" | b"NOT_STORED" | b"EXISTS" | b"NOT_FOUND")
        }
        Verb::Delete => matches!(text, b"DELETED" | b"NOT_FOUND"),
        Verb::Incr | Verb::Decr => text == b"NOT_FOUND" || is_number(text),
        Verb::Touch => matches!(text, b"TOUCHED" | b"NOT_FOUND"),
        Verb::Mg => is_value || matches!(code, b"HD" | b"EN"),
        Verb::Ms => matches!(code, b"HD" | b"NS" | b"EX" | b"NF"),
        Verb::Md => matches!(code, b"HD" | b"EX" | b"NF"),
        Verb::Ma => is_value || matches!(code, b"HD" | b"NS" | b"EX" | b"NF"),
        Verb::Me => text.starts_with(b"ME ") || code == b"EN",
        Verb::Stats => text.starts_with(b"STAT ") || text == b"END",
        Verb::Version => text.starts_with(b"VERSION "),
        Verb::FlushAll => text == b"OK",
        Verb::Get | Verb::Gets | Verb::Gat | Verb::Gats | Verb::Mn | Verb::Other => false,
    }
}

/// Digits, which some memcached pads with spaces.
fn is_number(text: &[u8]) -> bool {
    let mut tokens = Tokens::new(text);
    tokens.next().and_then(parse_digits).is_some() && tokens.next().is_none()
}
