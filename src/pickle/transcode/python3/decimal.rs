//! Integers in decimal, which later releases of Python 3 refuse to convert when
//! they are long.

use crate::pickle::opcode::{LONG1, LONG4};

/// Digits that fit one limb.
const CHUNK: usize = 19;

/// Writes LONG1 or LONG4 for an integer of these ASCII digits. The time is in the
/// square of their number.
pub(super) fn push_long(out: &mut Vec<u8>, limbs: &mut Vec<u64>, negative: bool, digits: &[u8]) {
    limbs.clear();
    let first = digits.len() % CHUNK;
    let (head, rest) = digits.split_at(first);
    for chunk in std::iter::once(head).chain(rest.chunks(CHUNK)) {
        let mut carry = chunk
            .iter()
            .fold(0u64, |n, digit| n * 10 + u64::from(digit - b'0'));
        let scale = 10u64.pow(chunk.len() as u32);
        for limb in limbs.iter_mut() {
            let wide = u128::from(*limb) * u128::from(scale) + u128::from(carry);
            *limb = wide as u64;
            carry = (wide >> 64) as u64;
        }
        if carry != 0 {
            limbs.push(carry);
        }
    }
    push_limbs(out, limbs, negative);
}

/// In two's complement, little-endian, of as few bytes as Python writes.
fn push_limbs(out: &mut Vec<u8>, limbs: &mut [u64], negative: bool) {
    if negative {
        let mut borrow = true;
        for limb in limbs.iter_mut() {
            let (value, carried) = (!*limb).overflowing_add(u64::from(borrow));
            *limb = value;
            borrow = carried;
        }
    }
    // One more for the sign; minus nothing is nothing.
    let is_zero = limbs.iter().all(|&limb| limb == 0);
    let sign = if negative && !is_zero { u8::MAX } else { 0 };
    let byte = |i: usize| {
        limbs
            .get(i / 8)
            .map_or(sign, |limb| limb.to_le_bytes()[i % 8])
    };
    let mut len = limbs.len() * 8 + 1;
    while len > 1 && byte(len - 1) == sign && (byte(len - 2) ^ sign) < 0x80 {
        len -= 1;
    }
    if is_zero {
        len = 0;
    }
    if let Ok(len) = u8::try_from(len) {
        out.extend_from_slice(&[LONG1, len]);
    } else {
        out.push(LONG4);
        out.extend_from_slice(&(len as u32).to_le_bytes());
    }
    out.extend((0..len).map(byte));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn long(text: &str) -> Vec<u8> {
        let mut out = Vec::new();
        let digits = text.trim_start_matches('-');
        push_long(
            &mut out,
            &mut Vec::new(),
            text.starts_with('-'),
            digits.as_bytes(),
        );
        out
    }

    #[test]
    fn integers_are_as_python_writes_them() {
        for (text, expected) in [
            ("0", &b"\x8a\x00"[..]),
            ("-0", b"\x8a\x00"),
            ("1", b"\x8a\x01\x01"),
            ("-1", b"\x8a\x01\xff"),
            ("127", b"\x8a\x01\x7f"),
            ("128", b"\x8a\x02\x80\x00"),
            ("-128", b"\x8a\x01\x80"),
            ("-129", b"\x8a\x02\x7f\xff"),
            ("18446744073709551616", b"\x8a\x09\0\0\0\0\0\0\0\0\x01"),
            ("-18446744073709551616", b"\x8a\x09\0\0\0\0\0\0\0\0\xff"),
            ("9223372036854775808", b"\x8a\x09\0\0\0\0\0\0\0\x80\0"),
            ("-9223372036854775808", b"\x8a\x08\0\0\0\0\0\0\0\x80"),
            (
                "00000000000000000000000000000000000000256",
                b"\x8a\x02\0\x01",
            ),
        ] {
            assert_eq!(long(text), expected, "{text}");
        }
    }

    #[test]
    fn a_power_of_ten_has_the_right_length() {
        let text = format!("1{}", "0".repeat(5_000));
        let out = long(&text);
        // 5000 * log2(10) = 16609.6: 16,610 bits and the sign.
        assert_eq!(out[0], LONG4);
        assert_eq!(out.len(), 5 + 2_077);
        assert_eq!(out[5..5 + 625], [0; 625]);
    }
}
