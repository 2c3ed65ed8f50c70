//! The words of a line that is put together, each behind those before it.

use crate::protocol::key::encode_base64_key;

/// Appends a word, with a space in front of it.
#[inline]
pub(super) fn push_word(line: &mut Vec<u8>, word: &[u8]) {
    line.push(b' ');
    line.extend_from_slice(word);
}

/// Appends a number, with nothing in front of it.
#[inline]
pub(super) fn push_number(line: &mut Vec<u8>, number: impl itoa::Integer) {
    line.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Appends the meta flag `k` as memcached answers it: ` kfoo`, or ` kZm9v b`.
pub(super) fn push_key(line: &mut Vec<u8>, key: &[u8], base64: bool) {
    line.extend_from_slice(b" k");
    match encode_base64_key(key).filter(|_| base64) {
        Some(token) => {
            line.extend_from_slice(&token);
            line.extend_from_slice(b" b");
        }
        None => line.extend_from_slice(key),
    }
}
