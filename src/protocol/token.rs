//! Tokens of a line and the numbers in them, as memcached reads them.

/// The length up to which a text is searched as a short one.
const SHORT_BYTES: usize = 64;

/// Finds the first place of a byte. Lines and tokens are short: eight bytes at a time
/// find their ends in half of what calling a vectorised search takes.
#[inline]
pub fn find_byte(byte: u8, text: &[u8]) -> Option<usize> {
    let mut at = 0;
    while at < SHORT_BYTES
        && let Some(word) = text[at..].first_chunk()
    {
        if let Some(found) = first_in(byte, *word) {
            return Some(at + found);
        }
        at += 8;
    }
    let rest = &text[at..];
    if rest.len() >= 8 {
        return memchr::memchr(byte, rest).map(|found| at + found);
    }
    match text.last_chunk() {
        // Its first bytes were searched: none of them is it.
        Some(word) => first_in(byte, *word).map(|found| text.len() - 8 + found),
        None => rest.iter().position(|&b| b == byte),
    }
}

/// Finds the first place of a byte among eight.
fn first_in(byte: u8, word: [u8; 8]) -> Option<usize> {
    const LOW: u64 = u64::from_ne_bytes([0x01; 8]);
    const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);
    // A byte is zero where the text has the one that is looked for.
    let differs = u64::from_le_bytes(word) ^ u64::from_ne_bytes([byte; 8]);
    let found = differs.wrapping_sub(LOW) & !differs & HIGH;
    (found != 0).then(|| found.trailing_zeros() as usize / 8)
}

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

    /// Returns what follows the last token that was taken.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Tells whether no token is left.
    pub fn is_empty(&self) -> bool {
        self.rest.iter().all(|&b| b == b' ')
    }

    /// Tells whether a token is over `limit` bytes. Looks at one byte in `limit`, not
    /// at each token.
    pub fn any_over(&self, limit: usize) -> bool {
        let mut rest = self.rest;
        while let Some(window) = rest.get(..=limit) {
            match memchr::memrchr(b' ', window) {
                Some(at) => rest = &rest[at + 1..],
                None => return true,
            }
        }
        false
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        let mut rest = self.rest;
        while let [b' ', after @ ..] = rest {
            rest = after;
        }
        if rest.is_empty() {
            return None;
        }
        let len = find_byte(b' ', rest).unwrap_or(rest.len());
        let (token, rest) = rest.split_at(len);
        self.rest = rest;
        Some(token)
    }
}

/// A signed number as `strtol` reads it: leading white space and a sign are
/// fine, what follows the digits must be white space. `None` on overflow.
pub fn parse_i64(token: &[u8]) -> Option<i64> {
    // As nearly all are spelled; 18 digits always fit.
    let (plain, digits) = leading_digits(token);
    if digits == token.len() && (1..19).contains(&digits) {
        return i64::try_from(plain).ok();
    }
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
    // As nearly all are spelled.
    let (plain, digits) = leading_digits(token);
    if digits == token.len() && digits > 0 {
        return Some(plain);
    }
    let (negative, digits) = split_number(token)?;
    let magnitude = magnitude(digits)?;
    if !negative {
        return Some(magnitude);
    }
    // strtoull negates; memcached then refuses what looks negative.
    let wrapped = magnitude.wrapping_neg();
    i64::try_from(wrapped).is_ok().then_some(wrapped)
}

/// The number that a text starts with, and how many digits it has: 19 at most,
/// which always fit.
#[inline]
pub fn leading_digits(text: &[u8]) -> (u64, usize) {
    const ZEROS: u64 = u64::from_ne_bytes([b'0'; 8]);
    const OVER_NINE: u64 = u64::from_ne_bytes([0x80 - 10; 8]);
    const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);
    if let Some(word) = text.first_chunk() {
        let values = u64::from_le_bytes(*word) ^ ZEROS;
        // What is over 9 carries into what is behind it only.
        let others = (values.wrapping_add(OVER_NINE) | values) & HIGH;
        if others != 0 {
            let digits = others.trailing_zeros() / 8;
            // Zeros come in front, until there are eight.
            let eight = values << (8 * (7 - digits)) << 8;
            return (eight_digits(eight), digits as usize);
        }
    }
    let (mut number, mut digits) = (0, 0);
    for byte in &text[..text.len().min(19)] {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            break;
        }
        number = number * 10 + u64::from(digit);
        digits += 1;
    }
    (number, digits)
}

/// The number of eight digits, the values of which are bytes, the first the lowest.
#[inline]
fn eight_digits(values: u64) -> u64 {
    // Each by ten to the next, pairs by a hundred to the next, those by ten thousand.
    let pairs = values.wrapping_mul((10 << 8) + 1) >> 8 & 0x00ff_00ff_00ff_00ff;
    let fours = pairs.wrapping_mul((100 << 16) + 1) >> 16 & 0x0000_ffff_0000_ffff;
    fours.wrapping_mul((10_000 << 32) + 1) >> 32
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

    proptest::proptest! {
        #[test]
        fn a_byte_is_found_where_it_stands_first(
            text in proptest::collection::vec(0u8..4, 0..100),
            byte in 0u8..4,
            other in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..40),
        ) {
            for text in [&text, &other] {
                let expected = text.iter().position(|&b| b == byte);
                proptest::prop_assert_eq!(find_byte(byte, text), expected);
            }
        }

        #[test]
        fn digits_are_read_up_to_what_is_none(text in "[0-9]{0,21}[ -~\u{80}-\u{ff}]{0,9}") {
            let text = text.as_bytes();
            let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count().min(19);
            let number = text[..digits].iter().fold(0, |n, b| n * 10 + u64::from(b - b'0'));
            proptest::prop_assert_eq!(leading_digits(text), (number, digits));
        }

        #[test]
        fn overlong_tokens_are_found(line in "[a ]{0,40}", limit in 1usize..12) {
            let tokens = Tokens::new(line.as_bytes());
            let expected = tokens.clone().any(|token| token.len() > limit);
            proptest::prop_assert_eq!(tokens.any_over(limit), expected);
            proptest::prop_assert_eq!(tokens.is_empty(), tokens.clone().next().is_none());
        }
    }

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
