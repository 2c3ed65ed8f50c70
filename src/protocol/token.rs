//! Tokens of a line and the numbers in them, as memcached reads them.

/// The tokens of a line: runs of anything but spaces.
#[derive(Debug, Clone)]
pub struct Tokens<'a> {
    rest: &'a [u8],
}

impl<'a> Tokens<'a> {
    /// Starts at the beginning of a line without its line end.
    pub fn new(line: &'a [u8]) -> Self {
        Self { rest: line }
    }

    /// What follows the last token that was taken.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let start = self.rest.iter().position(|&b| b != b' ')?;
        let rest = &self.rest[start..];
        let len = memchr::memchr(b' ', rest).unwrap_or(rest.len());
        let (token, rest) = rest.split_at(len);
        self.rest = rest;
        Some(token)
    }
}

/// A signed number as `strtol` reads it: leading white space and a sign are
/// fine, what follows the digits must be white space. `None` on overflow.
pub fn parse_i64(token: &[u8]) -> Option<i64> {
    let (negative, digits) = split_number(token)?;
    let magnitude = magnitude(digits)?;
    if negative {
        0i64.checked_sub_unsigned(magnitude)
    } else {
        i64::try_from(magnitude).ok()
    }
}

/// A signed number that memcached keeps in 32 bits, cut to them as it does.
pub fn parse_i32(token: &[u8]) -> Option<i32> {
    parse_i64(token).map(|wide| wide as i32)
}

/// An unsigned number as memcached's `safe_strtoull` reads it.
pub fn parse_u64(token: &[u8]) -> Option<u64> {
    let (negative, digits) = split_number(token)?;
    let magnitude = magnitude(digits)?;
    if !negative {
        return Some(magnitude);
    }
    // strtoull negates; memcached then refuses what looks negative.
    let wrapped = magnitude.wrapping_neg();
    i64::try_from(wrapped).is_ok().then_some(wrapped)
}

fn is_space(b: u8) -> bool {
    matches!(b, b'\t' | b'\n' | 0x0b | 0x0c | b'\r' | b' ')
}

fn split_number(token: &[u8]) -> Option<(bool, &[u8])> {
    let start = token.iter().position(|&b| !is_space(b))?;
    let token = &token[start..];
    let (negative, rest) = match token[0] {
        b'-' => (true, &token[1..]),
        b'+' => (false, &token[1..]),
        _ => (false, token),
    };
    let len = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    let ends = rest.get(len).is_none_or(|&b| is_space(b));
    (len > 0 && ends).then_some((negative, &rest[..len]))
}

fn magnitude(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0u64, |n, &d| {
        n.checked_mul(10)?.checked_add(u64::from(d - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spaces_alone_delimit() {
        let tokens: Vec<&[u8]> = Tokens::new(b"  get a\tb  \x01c\r ").collect();
        assert_eq!(tokens, [&b"get"[..], b"a\tb", b"\x01c\r"]);
    }

    #[test]
    fn numbers_are_read_as_c_does() {
        for (text, i, u) in [
            ("0", Some(0), Some(0)),
            ("+7", Some(7), Some(7)),
            ("\t7\t8", Some(7), Some(7)),
            ("-1", Some(-1), None),
            ("-18446744073709551615", None, Some(1)),
            ("18446744073709551615", None, Some(u64::MAX)),
            ("18446744073709551616", None, None),
            ("-9223372036854775808", Some(i64::MIN), None),
            ("9223372036854775808", None, Some(1 << 63)),
            ("", None, None),
            ("-", None, None),
            ("1x", None, None),
            ("x", None, None),
        ] {
            assert_eq!(parse_i64(text.as_bytes()), i, "{text}");
            assert_eq!(parse_u64(text.as_bytes()), u, "{text}");
        }
        assert_eq!(parse_i32(b"4294967297"), Some(1));
    }
}
