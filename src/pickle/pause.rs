//! The pauses of a long look: how much work lies between two, not how long that takes nor
//! what a pause is good for.

/// Work between two pauses, in bytes of a pickle: the slowest ones take about a
/// tenth of a millisecond for them.
const BYTES: usize = 4 << 10;
/// The longest pickle that is walked in one piece if nobody pauses, in bytes: what it may
/// make a walk remember needs no bound.
pub(super) const WHOLE_BYTES: usize = 256 << 10;
/// Names of a pickle that are looked at between two pauses.
const NAMES: usize = 64;

/// Called between pieces of a long look, so that its thread can let others run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pause(Option<fn()>);

impl Pause {
    /// A look that goes on to its end.
    pub const NONE: Self = Self(None);

    /// Calls this now and then.
    pub fn with(pause: fn()) -> Self {
        Self(Some(pause))
    }

    #[inline]
    fn now(self) {
        if let Some(pause) = self.0 {
            pause();
        }
    }

    /// The piece of some bytes that ends one piece after this offset: whoever has
    /// come to its end pauses, and asks for a longer one.
    #[inline]
    pub(super) fn piece(self, bytes: &[u8], at: usize) -> &[u8] {
        if self.0.is_none() && bytes.len() <= WHOLE_BYTES {
            return bytes;
        }
        self.now();
        &bytes[..bytes.len().min(at + BYTES)]
    }

    /// Gives the same names, with pauses between.
    pub(super) fn between<T>(self, names: impl Iterator<Item = T>) -> impl Iterator<Item = T> {
        names.enumerate().map(move |(nth, name)| {
            if nth % NAMES == NAMES - 1 {
                self.now();
            }
            name
        })
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::pickle::transcode::{Form, Transcoder};
    use crate::pickle::{Extensions, InflateLimits, Inflater, Pool, Reader, Scanner};

    thread_local! {
        static PAUSES: Cell<usize> = const { Cell::new(0) };
    }

    fn count() {
        PAUSES.set(PAUSES.get() + 1);
    }

    /// Counts the pauses of something.
    fn pauses<T>(what: impl FnOnce() -> T) -> (usize, T) {
        PAUSES.set(0);
        let done = what();
        (PAUSES.get(), done)
    }

    /// Half a million small integers: the worst for a walk.
    fn integers() -> Vec<u8> {
        [b"\x80\x02](".as_slice(), &b"K\x07".repeat(500_000), b"e."].concat()
    }

    #[test]
    fn no_piece_of_a_long_look_is_longer_than_its_bound() {
        let pickle = integers();
        let pieces = pickle.len() / BYTES;
        let mut scanner = Scanner::pausing(Pause::with(count));
        let (paused, scan) = pauses(|| scanner.scan(&pickle, Extensions::NONE).is_ok());
        assert!(scan && paused >= pieces, "{paused} of {pieces}");

        let mut transcoder = Transcoder::pausing(Pause::with(count));
        let (mut out, form) = (Vec::new(), Form::Python2);
        let reader = Reader::of_python(2, Some(7));
        let pool = Pool {
            reader,
            inventory: None,
        };
        let (paused, done) = pauses(|| transcoder.transcode(&pickle, form, &pool, &mut out));
        // It walks, and then writes.
        assert!(done.is_ok() && paused >= 2 * pieces, "{paused} of {pieces}");
    }

    #[test]
    fn a_look_at_many_names_pauses_between_them() {
        let mut pickle = Vec::new();
        for nth in 0..10_000 {
            pickle.extend_from_slice(format!("cos\nn{nth}\n0").as_bytes());
        }
        pickle.extend_from_slice(b"N.");
        let mut scanner = Scanner::pausing(Pause::with(count));
        let scan = scanner.scan(&pickle, Extensions::NONE).unwrap();
        let (paused, globals) = pauses(|| scan.globals().count());
        assert_eq!((paused, globals), (10_000 / NAMES, 10_000));
    }

    #[test]
    fn inflating_pauses_and_gives_the_same() {
        use std::io::Write as _;
        let pickle = integers();
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&pickle).unwrap();
        let stream = encoder.finish().unwrap();
        let limits = InflateLimits {
            max_ratio: 10_000,
            ..InflateLimits::default()
        };
        let mut inflater = Inflater::pausing(Pause::with(count));
        let (paused, same) = pauses(|| inflater.inflate(&stream, limits) == Ok(&pickle[..]));
        assert!(same && paused > 0, "{paused}");
    }

    #[test]
    fn a_look_without_pauses_is_the_same_look() {
        let pickle = integers();
        let (mut with, mut without) = (Scanner::pausing(Pause::with(count)), Scanner::default());
        for len in (0..64).chain(BYTES - 8..BYTES + 8).chain([pickle.len()]) {
            let cut = &pickle[..len];
            let found = without.scan(cut, Extensions::NONE).map(|scan| scan.len());
            assert_eq!(
                with.scan(cut, Extensions::NONE).map(|scan| scan.len()),
                found
            );
        }
    }
}
