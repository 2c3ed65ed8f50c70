//! How many requests of one client may be under way: the bytes that come for them
//! keep other clients of a lane waiting, and are held for a client that does not
//! read.

/// Requests of one client under way, fewer for large replies; past it the client is
/// not read.
pub const MAX_IN_FLIGHT: usize = 256;

/// Of a client that nothing has come for yet.
const FIRST: u16 = 64;
/// Keys of one retrieval that are asked for at once: one line upstream.
const MAX_KEYS: usize = 128;
/// However large its replies are.
const LEAST: u16 = 4;
/// Bytes that may come for all of them.
const BYTES: usize = 1 << 20;

/// Grows with each reply, as TCP's does at first, and shrinks to what fits for
/// replies of the size that came.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window(u16);

impl Default for Window {
    fn default() -> Self {
        Self(FIRST)
    }
}

impl Window {
    /// Whether so many are enough.
    #[inline]
    pub(super) fn is_full(self, under_way: usize) -> bool {
        under_way >= usize::from(self.0)
    }

    /// A request was answered.
    #[inline]
    pub(super) fn answered(&mut self) {
        self.0 = (self.0 + 1).min(MAX_IN_FLIGHT as u16);
    }

    /// The number of keys of a retrieval asked for at first: fewer than requests, for a
    /// client has one of these far more often.
    #[inline]
    pub(super) fn keys(self) -> usize {
        usize::from(self.0 / 2).clamp(1, MAX_KEYS)
    }

    /// The number of keys asked for after so many, for which so many bytes came.
    pub(super) fn more_keys(keys: usize, bytes: usize) -> usize {
        let fits = BYTES * keys / bytes.max(1);
        fits.min(2 * keys).clamp(1, MAX_KEYS)
    }

    /// So many bytes came for one request.
    #[inline]
    pub(super) fn came(&mut self, bytes: usize) {
        if bytes > BYTES / MAX_IN_FLIGHT {
            let fits = (BYTES / bytes) as u16;
            self.0 = self.0.min(fits.max(LEAST));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_replies_widen_it_and_large_ones_narrow_it() {
        let mut window = Window::default();
        assert!(window.is_full(64) && !window.is_full(63));
        assert_eq!(window.keys(), 32);
        for _ in 0..1000 {
            window.came(4096);
            window.answered();
        }
        assert!(window.is_full(MAX_IN_FLIGHT) && !window.is_full(MAX_IN_FLIGHT - 1));
        window.came(50_000);
        assert!(window.is_full(20) && !window.is_full(19));
        window.came(1 << 30);
        assert!(window.is_full(4) && !window.is_full(3));
        assert_eq!(window.keys(), 2);
    }
}
