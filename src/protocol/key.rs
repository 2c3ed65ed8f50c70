//! Key tokens: memcached's limit on them, and their base64 form.

use arrayvec::ArrayVec;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// memcached's limit on a key token, in bytes.
pub const MAX_KEY_BYTES: usize = 250;
/// The most bytes whose base64 form still fits [`MAX_KEY_BYTES`].
pub const MAX_BASE64_KEY_BYTES: usize = MAX_KEY_BYTES / 4 * 3;

/// A key, decoded.
pub type KeyBuf = ArrayVec<u8, MAX_KEY_BYTES>;

/// Decodes a base64 key as memcached does: bytes outside the alphabet are
/// skipped, what follows the first padded group is ignored. `None` where
/// memcached cannot decode it.
pub fn decode_base64_key(token: &[u8]) -> Option<KeyBuf> {
    let is_code = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=');
    let code: ArrayVec<u8, MAX_KEY_BYTES> = token
        .iter()
        .copied()
        .filter(is_code)
        .take(MAX_KEY_BYTES)
        .collect();
    if code.is_empty() || code.len() % 4 != 0 {
        return None;
    }
    let mut key = KeyBuf::new();
    for group in code.chunks_exact(4) {
        let padding = group.iter().map(|&b| usize::from(b == b'=')).sum::<usize>();
        let word = group.iter().fold(0u32, |word, &b| word << 6 | sextet(b));
        let bytes = word.to_be_bytes();
        match padding {
            0 => key.extend(bytes[1..].iter().copied()),
            1 | 2 => {
                key.extend(bytes[1..4 - padding].iter().copied());
                break;
            }
            _ => return None,
        }
    }
    (!key.is_empty()).then_some(key)
}

fn sextet(b: u8) -> u32 {
    u32::from(match b {
        b'A'..=b'Z' => b - b'A',
        b'a'..=b'z' => b - b'a' + 26,
        b'0'..=b'9' => b - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => 0,
    })
}

/// The base64 form of a key, where it fits a key token.
pub fn encode_base64_key(key: &[u8]) -> Option<KeyBuf> {
    if key.len() > MAX_BASE64_KEY_BYTES {
        return None;
    }
    let mut text = [0; MAX_KEY_BYTES];
    let len = STANDARD.encode_slice(key, &mut text).ok()?;
    KeyBuf::try_from(&text[..len]).ok()
}

/// Tells whether a text command can spell a key; others are spelled in base64 only.
pub fn is_token(key: &[u8]) -> bool {
    !key.iter().any(|b| matches!(b, b' ' | b'\n' | 0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn base64_is_decoded_as_memcached_does() {
        let decode = |token: &str| decode_base64_key(token.as_bytes()).map(|k| k.to_vec());
        assert_eq!(decode("Zm9v"), Some(b"foo".to_vec()));
        assert_eq!(decode("Zm8="), Some(b"fo".to_vec()));
        assert_eq!(decode("Zg=="), Some(b"f".to_vec()));
        assert_eq!(decode("Zm9-v"), Some(b"foo".to_vec()));
        assert_eq!(decode("Zm8=Zm9v"), Some(b"fo".to_vec()));
        for bad in ["Zm9", "-", "Z===", "===="] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn base64_keys_come_back(key in proptest::collection::vec(any::<u8>(), 1..=MAX_BASE64_KEY_BYTES)) {
            let token = encode_base64_key(&key).unwrap();
            prop_assert!(token.len() <= MAX_KEY_BYTES);
            let decoded = decode_base64_key(&token).unwrap();
            prop_assert_eq!(decoded.as_slice(), &key[..]);
        }
    }
}
