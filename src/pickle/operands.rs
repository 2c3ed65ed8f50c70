//! Operands of opcodes: numbers, lengths, lines, and the text forms that protocol 0
//! writes.

use memchr::memchr;

use super::flaw::Flaw;
use super::node::Span;

/// The bytes that a STRING opcode's literal stands for, as Python 2's repr writes it, and
/// where each begins.
pub(super) fn literal_bytes(literal: &[u8]) -> impl Iterator<Item = (usize, u8)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let (byte, len) = match literal.get(at..)? {
            [b'\\', b'x', high, low, ..] => {
                let digit = |b: &u8| (*b as char).to_digit(16).unwrap_or(0) as u8;
                (digit(high) << 4 | digit(low), 4)
            }
            [b'\\', a @ b'2'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', ..] => {
                (((a - b'0') << 6) | ((b - b'0') << 3) | (c - b'0'), 4)
            }
            [b'\\', b'n', ..] => (b'\n', 2),
            [b'\\', b'r', ..] => (b'\r', 2),
            [b'\\', b't', ..] => (b'\t', 2),
            [b'\\', byte, ..] => (*byte, 2),
            [byte, ..] => (*byte, 1),
            [] => return None,
        };
        let begins = at;
        at += len;
        Some((begins, byte))
    })
}

/// An opcode's arguments.
#[derive(Clone, Copy)]
pub(super) struct Operands<'a> {
    pub(super) pickle: &'a [u8],
    /// Offset of the next.
    pub(super) at: usize,
}

impl Operands<'_> {
    #[inline]
    pub(super) fn fixed<const N: usize>(&mut self) -> Result<[u8; N], Flaw> {
        let bytes = self
            .pickle
            .get(self.at..)
            .and_then(|rest| rest.first_chunk::<N>())
            .ok_or(Flaw::Truncated)?;
        self.at += N;
        Ok(*bytes)
    }

    /// A length in four bytes that all readers take as signed.
    #[inline]
    pub(super) fn signed_len(&mut self) -> Result<u64, Flaw> {
        let len = u32::from_le_bytes(self.fixed()?);
        if len > i32::MAX.cast_unsigned() {
            return Err(Flaw::Length);
        }
        Ok(u64::from(len))
    }

    #[inline]
    pub(super) fn bytes(&mut self, len: u64) -> Result<Span, Flaw> {
        if len > (self.pickle.len() - self.at) as u64 {
            return Err(Flaw::Length);
        }
        let span = Span::new(self.at, self.at + len as usize);
        self.at += len as usize;
        Ok(span)
    }

    /// Up to the next newline.
    pub(super) fn line(&mut self) -> Result<Span, Flaw> {
        let len = memchr(b'\n', &self.pickle[self.at..]).ok_or(Flaw::Truncated)?;
        let span = Span::new(self.at, self.at + len);
        self.at += len + 1;
        Ok(span)
    }
}

/// Whether Python decodes this as UTF-8 with "surrogatepass".
#[inline]
pub(super) fn is_python_text(bytes: &[u8]) -> bool {
    is_short_ascii(bytes)
        || bytes.is_ascii()
        || simdutf8::basic::from_utf8(bytes).is_ok()
        || is_text_with_surrogates(bytes)
}

/// Whether this is ASCII and has at most 16 bytes, as most texts in pickles are:
/// two looks are enough, which may overlap.
#[inline]
fn is_short_ascii(bytes: &[u8]) -> bool {
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let either = match (bytes.first_chunk(), bytes.last_chunk()) {
        (Some(first), Some(last)) if bytes.len() <= 16 => {
            u64::from_ne_bytes(*first) | u64::from_ne_bytes(*last)
        }
        (Some(_), _) => return false,
        _ => match (bytes.first_chunk(), bytes.last_chunk()) {
            (Some(first), Some(last)) => {
                u64::from(u32::from_ne_bytes(*first) | u32::from_ne_bytes(*last))
            }
            _ => bytes
                .iter()
                .fold(0, |either, &byte| either | u64::from(byte)),
        },
    };
    either & HIGH == 0
}

#[cold]
fn is_text_with_surrogates(mut bytes: &[u8]) -> bool {
    while let Err(error) = std::str::from_utf8(bytes) {
        let rest = &bytes[error.valid_up_to()..];
        match rest {
            [0xed, 0xa0..=0xbf, 0x80..=0xbf, after @ ..] => bytes = after,
            _ => return false,
        }
    }
    true
}

/// Whether a raw-unicode-escape text is without escapes in ASCII, so that it is
/// what it says.
pub(super) fn is_raw_text(text: &[u8]) -> Result<bool, Flaw> {
    let mut plain = text.is_ascii();
    let mut rest = text;
    while let Some(at) = memchr(b'\\', rest) {
        plain = false;
        rest = &rest[at + 1..];
        let digits = match rest.first() {
            Some(b'u') => 4,
            Some(b'U') => 8,
            // A doubled backslash is two of them, and begins no escape.
            Some(b'\\') => {
                rest = &rest[1..];
                continue;
            }
            _ => continue,
        };
        let hex = rest.get(1..=digits).ok_or(Flaw::Escape)?;
        let value = std::str::from_utf8(hex)
            .ok()
            .filter(|_| hex.iter().all(u8::is_ascii_hexdigit))
            .and_then(|hex| u32::from_str_radix(hex, 16).ok());
        if value.is_none_or(|value| value > 0x0010_ffff) {
            return Err(Flaw::Escape);
        }
        rest = &rest[1 + digits..];
    }
    Ok(plain)
}

/// The literal between the quotes of a STRING opcode.
pub(super) fn quoted(line: Span, pickle: &[u8]) -> Result<Span, Flaw> {
    let trimmed = line.of(pickle).trim_ascii_end();
    match trimmed {
        [open @ (b'\'' | b'"'), .., close] if open == close => Ok(Span {
            start: line.start + 1,
            len: trimmed.len() as u32 - 2,
        }),
        _ => Err(Flaw::Quotes),
    }
}

pub(super) fn is_float(text: &[u8]) -> bool {
    // Rust reads all that Python's repr of a float writes: 1e-07, inf, -inf, nan.
    std::str::from_utf8(text).is_ok_and(|text| text.parse::<f64>().is_ok())
}

pub(super) fn memo_key(text: &[u8]) -> Result<u32, Flaw> {
    std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or(Flaw::Number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_stand_for_bytes() {
        for (literal, bytes) in [
            (&b"ab"[..], &b"ab"[..]),
            (br"\x17\x00;\x00", b"\x17\0;\0"),
            (br"\n\r\t\\\'", b"\n\r\t\\'"),
            (br"\377\xe9", b"\xff\xe9"),
            (br"\x1", b"x1"),
        ] {
            let found: Vec<u8> = literal_bytes(literal).map(|(_, byte)| byte).collect();
            assert_eq!(found, bytes, "{}", literal.escape_ascii());
        }
        let offsets: Vec<usize> = literal_bytes(br"\x17a\n").map(|(at, _)| at).collect();
        assert_eq!(offsets, [0, 4, 5]);
    }
}
