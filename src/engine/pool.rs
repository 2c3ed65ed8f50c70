//! What is handed back to be used again, so that a request in steady state
//! allocates nothing. Bounded: what a burst needed does not stay.

use crate::protocol::key::KeyBuf;

/// What a new buffer holds before it grows: a line, or some values.
const LINE_BYTES: usize = 512;
const BUFFER_BYTES: usize = 4 << 10;
/// The largest buffer worth keeping, and how much all may hold.
const MAX_BUFFER_BYTES: usize = 1 << 20;
const MAX_BYTES: usize = 4 << 20;
/// Keys kept.
const MAX_KEYS: usize = 1024;

/// Buffers and keys that nobody uses.
#[derive(Debug, Default)]
pub(super) struct Pool {
    /// Those that never held more than a line. Lines that wait are many: they
    /// must not use up what streams have grown.
    lines: Vec<Vec<u8>>,
    /// The others.
    buffers: Vec<Vec<u8>>,
    /// The sum of their capacities.
    bytes: usize,
    // Each is as long as twenty of the entries that hold one.
    #[allow(clippy::vec_box)]
    keys: Vec<Box<KeyBuf>>,
}

impl Pool {
    /// An empty buffer for what may be long.
    pub(super) fn take(&mut self) -> Vec<u8> {
        let found = self.buffers.pop();
        self.taken(found, BUFFER_BYTES)
    }

    /// An empty buffer for a line.
    pub(super) fn take_line(&mut self) -> Vec<u8> {
        let found = self.lines.pop();
        self.taken(found, LINE_BYTES)
    }

    fn taken(&mut self, found: Option<Vec<u8>>, new_bytes: usize) -> Vec<u8> {
        let Some(buffer) = found else {
            return Vec::with_capacity(new_bytes);
        };
        self.bytes -= buffer.capacity();
        buffer
    }

    /// Takes back a buffer, whatever is in it.
    #[inline]
    pub(super) fn give(&mut self, buffer: Vec<u8>) {
        if buffer.capacity() > 0 {
            self.keep_buffer(buffer);
        }
    }

    fn keep_buffer(&mut self, mut buffer: Vec<u8>) {
        let capacity = buffer.capacity();
        if capacity <= MAX_BUFFER_BYTES && self.bytes + capacity <= MAX_BYTES {
            buffer.clear();
            self.bytes += capacity;
            if capacity > LINE_BYTES {
                self.buffers.push(buffer);
            } else {
                self.lines.push(buffer);
            }
        }
    }

    /// A copy of a key of at most 250 bytes.
    pub(super) fn keep(&mut self, key: &[u8]) -> Box<KeyBuf> {
        let mut kept = self.keys.pop().unwrap_or_default();
        kept.clear();
        kept.try_extend_from_slice(key)
            .expect("the parser admits 250 bytes at most");
        kept
    }

    /// Takes back such a copy.
    pub(super) fn give_key(&mut self, key: Box<KeyBuf>) {
        if self.keys.len() < MAX_KEYS {
            self.keys.push(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_burst_needed_does_not_stay() {
        let mut pool = Pool::default();
        for _ in 0..100 {
            pool.give(Vec::with_capacity(MAX_BUFFER_BYTES));
            pool.give(Vec::with_capacity(MAX_BUFFER_BYTES + 1));
            pool.give(Vec::new());
        }
        assert_eq!(pool.bytes, MAX_BYTES);
        let buffers = (0..4).map(|_| pool.take().capacity());
        assert!(buffers.eq([MAX_BUFFER_BYTES; 4]));
        assert_eq!(pool.bytes, 0);
        assert!(pool.take().capacity() < MAX_BUFFER_BYTES);
    }
}
