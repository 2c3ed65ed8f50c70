//! Bounded inflation of values that clients compressed: plain zlib, as every
//! memcache client writes it.

use flate2::{Decompress, FlushDecompress, Status};

use super::Verdict;
use super::pause::Pause;

/// Output that is always allowed, whatever the ratio.
const FREE_BYTES: usize = 64 << 10;
/// Capacity kept between values.
const KEPT_BYTES: usize = 1 << 20;

/// Limits to the growth of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InflateLimits {
    /// Most bytes that come out.
    pub max_bytes: usize,
    /// Most bytes that come out for each that goes in, past the first 64 KiB.
    pub max_ratio: usize,
}

impl Default for InflateLimits {
    /// 8 MiB and 100 to 1.
    fn default() -> Self {
        Self {
            max_bytes: 8 << 20,
            max_ratio: 100,
        }
    }
}

impl InflateLimits {
    /// Most bytes that come out of this many.
    pub fn most_of(&self, bytes: usize) -> usize {
        let by_ratio = bytes.saturating_mul(self.max_ratio);
        self.max_bytes.min(by_ratio.max(FREE_BYTES))
    }
}

/// Why a compressed value was not looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InflateError {
    /// No zlib stream, or a cut one.
    #[error("not a whole zlib stream")]
    Corrupt,
    /// More than the limits allow comes out.
    #[error("inflates beyond the limit of {0} bytes")]
    TooLarge(usize),
}

impl InflateError {
    /// A value over the limit may be anything; a damaged stream is known to be one.
    pub fn verdict(self) -> Verdict {
        match self {
            Self::Corrupt => Verdict::Unknown,
            Self::TooLarge(_) => Verdict::NotLookedAt,
        }
    }

    /// The label in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Corrupt => "zlib_corrupt",
            Self::TooLarge(_) => "zlib_limit",
        }
    }
}

/// Inflates values; keeps its memory from one to the next.
#[derive(Debug)]
pub struct Inflater {
    inflate: Decompress,
    out: Vec<u8>,
    pause: Pause,
}

impl Default for Inflater {
    fn default() -> Self {
        Self::pausing(Pause::NONE)
    }
}

impl Inflater {
    /// An inflater that pauses.
    pub fn pausing(pause: Pause) -> Self {
        Self {
            inflate: Decompress::new(true),
            out: Vec::new(),
            pause,
        }
    }

    /// Inflates a zlib stream. Ignores what follows the stream, as clients do.
    ///
    /// # Errors
    /// Corrupt streams, and those that grow past the limits: no more than those
    /// is ever held.
    pub fn inflate(&mut self, stream: &[u8], limits: InflateLimits) -> Result<&[u8], InflateError> {
        let most = limits.most_of(stream.len());
        self.inflate.reset(true);
        self.out.clear();
        self.out.shrink_to(KEPT_BYTES);
        loop {
            let read = self.inflate.total_in() as usize;
            if self.out.len() == self.out.capacity() {
                // One byte more than is allowed tells that there is more.
                let room = (self.out.len() * 2).max(4 << 10).min(most + 1);
                self.out.reserve_exact(room - self.out.len());
            }
            let before = self.out.len();
            let piece = &self.pause.piece(stream, read)[read..];
            let status = self
                .inflate
                .decompress_vec(piece, &mut self.out, FlushDecompress::None)
                .map_err(|_| InflateError::Corrupt)?;
            if self.out.len() > most {
                return Err(InflateError::TooLarge(most));
            }
            let stuck = self.out.len() == before && self.inflate.total_in() as usize == read;
            match status {
                Status::StreamEnd => return Ok(&self.out),
                _ if stuck && self.out.len() < self.out.capacity() => {
                    return Err(InflateError::Corrupt);
                }
                _ => {}
            }
        }
    }

    /// The bytes inflated last, up to where that stopped.
    pub fn inflated(&self) -> &[u8] {
        &self.out
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn deflate(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn what_was_deflated_comes_back() {
        let mut inflater = Inflater::default();
        for len in [0u32, 1, 4095, 4096, 4097, 1 << 20] {
            let bytes: Vec<u8> = (0..len).map(|i| (i.wrapping_mul(i) >> 7) as u8).collect();
            let limits = InflateLimits {
                max_ratio: 2000,
                ..InflateLimits::default()
            };
            let mut stream = deflate(&bytes);
            assert_eq!(inflater.inflate(&stream, limits), Ok(&bytes[..]), "{len}");
            stream.extend_from_slice(b"trailing");
            assert_eq!(inflater.inflate(&stream, limits), Ok(&bytes[..]), "{len}");
        }
    }

    #[test]
    fn streams_that_are_cut_or_none_are_corrupt() {
        let mut inflater = Inflater::default();
        let stream = deflate(b"a value that is worth compressing, worth compressing");
        for len in 0..stream.len() {
            let cut = inflater.inflate(&stream[..len], InflateLimits::default());
            assert_eq!(cut, Err(InflateError::Corrupt), "{len}");
        }
        let none = inflater.inflate(b"not zlib", InflateLimits::default());
        assert_eq!(none, Err(InflateError::Corrupt));
    }

    #[test]
    fn bombs_stop_at_the_limit() {
        let mut inflater = Inflater::default();
        let bomb = deflate(&vec![0; 16 << 20]);
        let limits = InflateLimits::default();
        let by_ratio = Err(InflateError::TooLarge(bomb.len() * limits.max_ratio));
        assert_eq!(inflater.inflate(&bomb, limits), by_ratio);
        let limits = InflateLimits {
            max_bytes: 100_000,
            max_ratio: 2000,
        };
        let mut inflater = Inflater::default();
        let by_size = Err(InflateError::TooLarge(100_000));
        assert_eq!(inflater.inflate(&bomb, limits), by_size);
        assert!(inflater.out.capacity() <= 100_001 + (4 << 10));
    }
}
