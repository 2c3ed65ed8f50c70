//! The escapes of Python 2's `repr` of a `str`, as its STRING opcode has them.

/// Decodes the literal between the quotes, its escapes resolved as Python's
/// `codecs.escape_decode` does; replaces what is in `out`.
///
/// # Errors
///
/// At an escape that Python refuses.
pub(super) fn decode(literal: &[u8], out: &mut Vec<u8>) -> Result<(), ()> {
    out.clear();
    let mut rest = literal;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        out.extend_from_slice(&rest[..at]);
        let (&escape, after) = rest[at + 1..].split_first().ok_or(())?;
        rest = after;
        match escape {
            // A line that goes on.
            b'\n' => {}
            b'\\' | b'\'' | b'"' => out.push(escape),
            b'a' => out.push(0x07),
            b'b' => out.push(0x08),
            b'f' => out.push(0x0c),
            b'n' => out.push(b'\n'),
            b'r' => out.push(b'\r'),
            b't' => out.push(b'\t'),
            b'v' => out.push(0x0b),
            b'x' => {
                let [high, low, after @ ..] = rest else {
                    return Err(());
                };
                out.push(hex(*high)? << 4 | hex(*low)?);
                rest = after;
            }
            b'0'..=b'7' => {
                let mut value = u32::from(escape - b'0');
                for _ in 0..2 {
                    let Some((digit @ b'0'..=b'7', after)) = rest.split_first() else {
                        break;
                    };
                    value = value << 3 | u32::from(digit - b'0');
                    rest = after;
                }
                // Python keeps the lower eight bits.
                out.push(value as u8);
            }
            other => out.extend_from_slice(&[b'\\', other]),
        }
    }
    out.extend_from_slice(rest);
    Ok(())
}

fn hex(digit: u8) -> Result<u8, ()> {
    let value = char::from(digit).to_digit(16).ok_or(())?;
    Ok(value as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_those_of_python() {
        let mut out = Vec::new();
        for (literal, expected) in [
            (&b"plain"[..], Ok(&b"plain"[..])),
            (br"a\\b\'c\x22", Ok(b"a\\b'c\"")),
            (br"\n\r\t\a\b\f\v\0", Ok(b"\n\r\t\x07\x08\x0c\x0b\0")),
            (br"\xff\xE9x\x00", Ok(b"\xff\xe9x\0")),
            (br"\7\101\1018\777", Ok(b"\x07AA8\xff")),
            (br"\q\u0041", Ok(br"\q\u0041")),
            (b"a\\\nb", Ok(b"ab")),
            (br"\x1", Err(())),
            (br"\xg0", Err(())),
            (br"end\", Err(())),
        ] {
            let got = decode(literal, &mut out).map(|()| &out[..]);
            assert_eq!(got, expected, "{}", literal.escape_ascii());
        }
    }
}
