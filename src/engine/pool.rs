//! Buffers and keys that are handed back to be used again, so that a request in steady state
//! allocates nothing. Bounded: what a burst needed does not stay.

use crate::protocol::key::KeyBuf;

/// Bytes that a new buffer holds before it grows: a line, or some values.
const LINE_BYTES: usize = 512;
const BUFFER_BYTES: usize = 4 << 10;
/// The largest buffer worth keeping, and how much all may hold.
const MAX_BUFFER_BYTES: usize = 256 << 10;
const MAX_BYTES: usize = 2 << 20;
/// Time that a buffer may lie unused.
const IDLE_US: u64 = 1_000_000;
/// Keys kept.
const MAX_KEYS: usize = 1024;

/// Buffers and keys that nobody uses.
#[derive(Debug, Default)]
pub(super) struct Pool {
    /// Those that never held more than a line. Lines that wait are many: they
    /// must not use up what streams have grown.
    lines: Stack,
    /// The others.
    buffers: Stack,
    /// The sum of their capacities.
    bytes: usize,
    /// Time of the next look for buffers that nobody needed.
    tidy_at_us: u64,
    // Each is as long as twenty of the entries that hold one.
    #[allow(clippy::vec_box)]
    keys: Vec<Box<KeyBuf>>,
}

/// Buffers of which the last is taken first: what lies deeper than it ever got is not
/// needed.
#[derive(Debug, Default)]
struct Stack {
    idle: Vec<Vec<u8>>,
    /// Buffers that were never taken since the last look.
    unused: usize,
}

impl Stack {
    fn pop(&mut self) -> Option<Vec<u8>> {
        let found = self.idle.pop();
        self.unused = self.unused.min(self.idle.len());
        found
    }

    /// Frees what was not taken since the last time; gives its bytes.
    fn forget_unused(&mut self) -> usize {
        let unused = self.idle.drain(..self.unused);
        let bytes = unused.map(|buffer| buffer.capacity()).sum();
        self.unused = self.idle.len();
        bytes
    }
}

impl Pool {
    /// Forgets what nobody needed for a while, now and then: what one large reply
    /// after another has grown would fill the pool for good.
    #[inline]
    pub(super) fn tidy(&mut self, now_us: u64) {
        if now_us >= self.tidy_at_us {
            self.tidy_at_us = now_us + IDLE_US;
            self.bytes -= self.lines.forget_unused() + self.buffers.forget_unused();
        }
    }

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

    /// A copy of a line.
    pub(super) fn copy_line(&mut self, line: &[u8]) -> Vec<u8> {
        let mut copy = self.take_line();
        copy.extend_from_slice(line);
        copy
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
                self.buffers.idle.push(buffer);
            } else {
                self.lines.idle.push(buffer);
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
        for _ in 0..MAX_BYTES / MAX_BUFFER_BYTES {
            assert_eq!(pool.take().capacity(), MAX_BUFFER_BYTES);
        }
        assert_eq!(pool.bytes, 0);
        assert!(pool.take().capacity() < MAX_BUFFER_BYTES);
    }

    #[test]
    fn what_nobody_needs_for_a_while_is_freed() {
        let mut pool = Pool::default();
        let capacities = |pool: &Pool| -> Vec<usize> {
            let idle = pool.buffers.idle.iter();
            idle.map(Vec::capacity).collect()
        };
        pool.tidy(0);
        for kib in [64, 32, 16] {
            pool.give(Vec::with_capacity(kib << 10));
        }
        // They came after the last look.
        pool.tidy(IDLE_US);
        for buffer in [pool.take(), pool.take()] {
            pool.give(buffer);
        }
        pool.tidy(2 * IDLE_US - 1);
        assert_eq!(capacities(&pool), [64 << 10, 16 << 10, 32 << 10]);
        pool.tidy(2 * IDLE_US);
        assert_eq!(capacities(&pool), [16 << 10, 32 << 10]);
        assert_eq!(pool.bytes, 48 << 10);
        pool.tidy(3 * IDLE_US);
        assert_eq!((capacities(&pool), pool.bytes), (vec![], 0));
    }
}
