//! Replies of memcached: where one ends and what it says. Knows bytes only.

use super::request::Verb;
use super::token::{Tokens, find_byte, leading_digits, parse_u64};

/// Longest reply line that memcached sends; past it the stream is not its.
pub const MAX_REPLY_LINE_BYTES: usize = 2048;

/// The first line of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplyLine<'a> {
    /// The text, without the line end.
    pub text: &'a [u8],
    /// Bytes with the line end.
    pub total: usize,
}

/// A reason why bytes are no reply.
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
    /// An error that may stand for replies to requests before it, too.
    #[error("it ran out of memory for replies, and dropped some")]
    Dropped,
    /// An error in a retrieval, behind which more of its values may come.
    #[error("an error among values, without a mark of their end")]
    Doubtful,
}

impl ReplyError {
    /// Tells whether what was asked is fit to be asked again on another connection.
    pub fn may_retry(self) -> bool {
        matches!(self, Self::Dropped | Self::Doubtful)
    }
}

/// Finds the first line; `None` means that more bytes are needed.
///
/// # Errors
/// [`ReplyError::LineTooLong`] where no line end comes.
pub fn find_reply_line(buf: &[u8]) -> Result<Option<ReplyLine<'_>>, ReplyError> {
    let window = &buf[..buf.len().min(MAX_REPLY_LINE_BYTES)];
    match find_byte(b'\n', window) {
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
    /// Rest of the line from the space after the key on, without line end.
    pub tail: &'a [u8],
    /// The client flags, 0 where they are over 32 bits.
    pub flags: u32,
    /// Bytes of the value.
    pub len: usize,
}

/// Parses a `VALUE` line of this very key, line end and all, at the start of a
/// buffer; gives its length, too. `None` where anything else stands there or the
/// line is not whole: [`find_reply_line`] and [`parse_value_head`] then tell.
#[inline]
pub fn parse_value_of<'a>(buf: &'a [u8], key: &[u8]) -> Option<(ValueHead<'a>, usize)> {
    let rest = buf.strip_prefix(b"VALUE ")?;
    let tail = rest.strip_prefix(key)?;
    let (flags, after) = spaced_number(tail)?;
    let (len, mut after) = spaced_number(after)?;
    if after.first() == Some(&b' ') {
        // The CAS id.
        (_, after) = spaced_number(after)?;
    }
    if !after.starts_with(b"\r\n") {
        return None;
    }
    let head = ValueHead {
        key: &rest[..key.len()],
        tail: &tail[..tail.len() - after.len()],
        flags: u32::try_from(flags).unwrap_or(0),
        len: body_len(len).ok()?,
    };
    Some((head, buf.len() - after.len() + 2))
}

/// `" <digits>"`, and what follows it.
fn spaced_number(text: &[u8]) -> Option<(u64, &[u8])> {
    let text = text.strip_prefix(b" ")?;
    let (number, digits) = leading_digits(text);
    (digits > 0).then_some((number, &text[digits..]))
}

/// Parses the text of a line that starts with `VALUE `.
///
/// # Errors
/// [`ReplyError::Malformed`].
pub fn parse_value_head(text: &[u8]) -> Result<ValueHead<'_>, ReplyError> {
    let rest = text.strip_prefix(b"VALUE ").ok_or(ReplyError::Malformed)?;
    let end = find_byte(b' ', rest).ok_or(ReplyError::Malformed)?;
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

/// Tells whether a reply's line is one of memcached's errors.
pub fn is_error(text: &[u8]) -> bool {
    let begins = |code| text.strip_prefix(code);
    let rest = begins(b"SERVER_ERROR".as_slice())
        .or_else(|| begins(b"CLIENT_ERROR"))
        .or_else(|| begins(b"ERROR"));
    rest.is_some_and(|rest| matches!(rest, [] | [b' ', ..]))
}

/// Tells whether a line can begin the reply to a verb that is no retrieval.
pub fn is_reply_to(verb: Verb, text: &[u8]) -> bool {
    // Few are errors.
    is_result_of(verb, text) || is_error(text)
}

fn is_result_of(verb: Verb, text: &[u8]) -> bool {
    let code = || &text[..find_byte(b' ', text).unwrap_or(text.len())];
    let is_value = || text.starts_with(b"VA ");
    match verb {
        Verb::Set | Verb::Add | Verb::Replace | Verb::Append | Verb::Prepend | Verb::Cas => {
            matches!(text, b"STORED" | b"NOT_STORED" | b"EXISTS" | b"NOT_FOUND")
        }
        Verb::Delete => matches!(text, b"DELETED" | b"NOT_FOUND"),
        Verb::Incr | Verb::Decr => text == b"NOT_FOUND" || is_number(text),
        Verb::Touch => matches!(text, b"TOUCHED" | b"NOT_FOUND"),
        Verb::Mg => is_value() || matches!(code(), b"HD" | b"EN"),
        Verb::Ms => matches!(code(), b"HD" | b"NS" | b"EX" | b"NF"),
        Verb::Md => matches!(code(), b"HD" | b"EX" | b"NF"),
        Verb::Ma => is_value() || matches!(code(), b"HD" | b"NS" | b"EX" | b"NF"),
        Verb::Me => text.starts_with(b"ME ") || code() == b"EN",
        Verb::Stats => text.starts_with(b"STAT ") || text == b"END",
        Verb::Version => text.starts_with(b"VERSION "),
        Verb::FlushAll => text == b"OK",
        Verb::Get | Verb::Gets | Verb::Gat | Verb::Gats | Verb::Mn | Verb::Hello | Verb::Other => {
            false
        }
    }
}

/// Digits, which some memcached pads with spaces.
fn is_number(text: &[u8]) -> bool {
    let end = text.iter().rposition(|&b| b != b' ').map_or(0, |at| at + 1);
    parse_digits(&text[..end]).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_line_is_found_once_it_is_whole() {
        let input = b"VALUE k 0 1\r\nx\r\n";
        for cut in 0..input.len() {
            let found = find_reply_line(&input[..cut]);
            let expected = (cut >= 13).then_some(ReplyLine {
                text: b"VALUE k 0 1",
                total: 13,
            });
            assert_eq!(found, Ok(expected), "cut at {cut}");
        }
        for (input, text) in [
            ("\r\n", ""),
            ("\n", ""),
            ("END\n", "END"),
            ("a\r\r\n", "a\r"),
        ] {
            let line = find_reply_line(input.as_bytes()).unwrap().unwrap();
            assert_eq!((line.text, line.total), (text.as_bytes(), input.len()));
        }
    }

    #[test]
    fn a_reply_line_has_an_end() {
        let mut line = vec![b'x'; MAX_REPLY_LINE_BYTES - 1];
        assert_eq!(find_reply_line(&line), Ok(None));
        line.push(b'x');
        assert_eq!(find_reply_line(&line), Err(ReplyError::LineTooLong));
        line[MAX_REPLY_LINE_BYTES - 1] = b'\n';
        assert!(find_reply_line(&line).unwrap().is_some());
    }

    #[test]
    fn value_heads_are_read_as_memcached_writes_them() {
        for (text, key, flags, len) in [
            ("VALUE k 0 5", "k", 0, 5),
            ("VALUE @py2//k 4294967295 0 77", "@py2//k", u32::MAX, 0),
            // Flags of 64 bits are not ours to understand.
            ("VALUE k 4294967296 1", "k", 0, 1),
            ("VALUE k\t 1 4294967295", "k\t", 1, u32::MAX as usize),
        ] {
            let head = parse_value_head(text.as_bytes()).unwrap();
            let line = [text.as_bytes(), b"\r\nvalue"].concat();
            let whole = parse_value_of(&line, key.as_bytes());
            assert_eq!(whole, Some((head, text.len() + 2)));
            for cut in 0..text.len() + 2 {
                assert_eq!(parse_value_of(&line[..cut], key.as_bytes()), None, "{cut}");
            }
            assert_eq!(parse_value_of(&line, &key.as_bytes()[1..]), None);
            assert_eq!(
                (head.key, head.flags, head.len),
                (key.as_bytes(), flags, len)
            );
            assert_eq!([b"VALUE ", head.key, head.tail].concat(), text.as_bytes());
        }
        for bad in [
            "VALUE",
            "VALUE ",
            "VALUE k",
            "VALUE k 0",
            "VALUE k 0 ",
            "VALUE  0 1",
            "VALUE k  0 1",
            "VALUE k 0 1 ",
            "VALUE k 0 1 x",
            "VALUE k 0 1 2 3",
            "VALUE k x 1",
            "VALUE k 0 -1",
            "VALUE k +0 1",
            "VALUE k 0 1\r",
            "VALUE k 0 4294967296",
            "VALUE k 0 99999999999999999999",
            "VALUES k 0 1",
            "value k 0 1",
        ] {
            assert_eq!(
                parse_value_head(bad.as_bytes()),
                Err(ReplyError::Malformed),
                "{bad}"
            );
            let line = [bad.as_bytes(), b"\r\n"].concat();
            assert_eq!(parse_value_of(&line, b"k"), None, "{bad}");
        }
    }

    #[test]
    fn meta_values_say_their_length() {
        assert_eq!(parse_va_len(b"VA 5"), Ok(5));
        assert_eq!(parse_va_len(b"VA 0 f1 k"), Ok(0));
        for bad in [
            "VA",
            "VA ",
            "VA x",
            "VA -1",
            "VA +1",
            "VA 1\r",
            "VA 4294967296",
        ] {
            assert_eq!(
                parse_va_len(bad.as_bytes()),
                Err(ReplyError::Malformed),
                "{bad}"
            );
        }
    }

    #[test]
    fn a_verb_has_replies_of_its_own() {
        let lines = [
            "STORED",
            "NOT_STORED",
            "EXISTS",
            "NOT_FOUND",
            "DELETED",
            "TOUCHED",
            "OK",
            "END",
            "7",
            "VERSION 1.6.18",
            "STAT pid 1",
            "HD",
            "HD O1",
            "EN",
            "NS",
            "EX",
            "NF",
            "VA 1",
            "ME k a=b",
            "MN",
            "VALUE k 0 1",
            "",
            "7x",
            "7 7",
            "HDx",
            "VA",
            "ME",
            "STAT",
            "VERSION",
            "stored",
        ];
        for (verb, own) in [
            (
                Verb::Set,
                &["STORED", "NOT_STORED", "EXISTS", "NOT_FOUND"][..],
            ),
            (Verb::Cas, &["STORED", "NOT_STORED", "EXISTS", "NOT_FOUND"]),
            (Verb::Delete, &["NOT_FOUND", "DELETED"]),
            (Verb::Incr, &["NOT_FOUND", "7"]),
            (Verb::Decr, &["NOT_FOUND", "7"]),
            (Verb::Touch, &["NOT_FOUND", "TOUCHED"]),
            (Verb::FlushAll, &["OK"]),
            (Verb::Version, &["VERSION 1.6.18"]),
            (Verb::Stats, &["END", "STAT pid 1"]),
            (Verb::Mg, &["HD", "HD O1", "EN", "VA 1"]),
            (Verb::Ms, &["HD", "HD O1", "NS", "EX", "NF"]),
            (Verb::Md, &["HD", "HD O1", "EX", "NF"]),
            (Verb::Ma, &["HD", "HD O1", "NS", "EX", "NF", "VA 1"]),
            (Verb::Me, &["EN", "ME k a=b"]),
            (Verb::Get, &[]),
            (Verb::Other, &[]),
        ] {
            let found = lines
                .iter()
                .filter(|line| is_reply_to(verb, line.as_bytes()));
            assert_eq!(found.copied().collect::<Vec<_>>(), own, "{verb:?}");
            for error in ["ERROR", "CLIENT_ERROR bad", "SERVER_ERROR out of memory"] {
                assert!(is_reply_to(verb, error.as_bytes()), "{verb:?}");
            }
            assert!(!is_reply_to(verb, b"ERRORS"), "{verb:?}");
        }
        assert!(is_reply_to(Verb::Decr, b"7  "));
        assert!(!is_reply_to(Verb::Incr, b" 7"));
    }
}
