//! The memory of recent misses: whether a write fills what was just missed.
//!
//! Of a fixed size, shared by all workers without a lock. A miss is an entry of
//! 64 bits: 40 of the hash of its key and namespace, and when it was. Each hash
//! has four places for it. What is not found is safe, the write then counts as a
//! change: the oldest miss gives way where four others came to its places within
//! [`WINDOW_US`]. What is found by mistake is a change that counts as a fill: 4 in
//! 10^12 of those writes whose four places are taken by recent misses.

use std::hash::{BuildHasher as _, Hasher as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use foldhash::quality::RandomState;

use twox_hash::XxHash64;

use crate::policy::{Namespace, SpaceId};

/// How long a miss is remembered, in microseconds: ten ticks.
pub const WINDOW_US: u64 = WINDOW_TICKS << TICK_SHIFT;
/// A tick is 2^19 microseconds, about half a second.
const TICK_SHIFT: u32 = 19;
const WINDOW_TICKS: u64 = 10;
/// Ticks are counted up to 2^24, which takes 101 days, and from the start again.
const TICK_BITS: u32 = 24;
const TICK_MASK: u64 = (1 << TICK_BITS) - 1;
/// Entries of one hash.
const WAYS: usize = 4;
/// Sets of entries: 1 MiB for 131,072 misses.
const SETS: usize = 1 << 15;

/// Misses of the last seconds.
#[derive(Debug)]
pub struct Fills {
    /// Entries: a part of the hash, then the tick; 0 where there is none.
    sets: Box<[[AtomicU64; WAYS]]>,
    /// Seeded anew in each process, so that nobody can aim at an entry.
    hashing: RandomState,
}

impl Default for Fills {
    fn default() -> Self {
        Self::with_sets(SETS)
    }
}

impl Fills {
    /// A memory of another size: a power of two, of four misses each.
    fn with_sets(sets: usize) -> Self {
        debug_assert!(sets.is_power_of_two());
        Self {
            // Nothing touches them before a miss does.
            sets: bytemuck::zeroed_slice_box(sets),
            hashing: RandomState::default(),
        }
    }

    /// A client key was missed by somebody of a namespace, which is any number.
    /// `now_us` is of a clock that all workers share.
    pub fn note(&self, namespace: u64, key: &[u8], now_us: u64) {
        let (hash, now) = (self.hash(namespace, key), tick(now_us));
        // The same, or an empty one, or the oldest.
        let mut oldest = (0, 0);
        let set = self.set(hash);
        for (at, entry) in set.iter().enumerate() {
            let entry = entry.load(Ordering::Relaxed);
            if entry == 0 || entry >> TICK_BITS == part(hash) {
                oldest = (at, u64::MAX);
                if entry != 0 {
                    break;
                }
            } else if age(entry, now) > oldest.1 {
                oldest = (at, age(entry, now));
            }
        }
        set[oldest.0].store(part(hash) << TICK_BITS | now, Ordering::Relaxed);
    }

    /// Whether a client key was missed by somebody of a namespace a moment ago. That
    /// is then used up: only one write fills it.
    pub fn take(&self, namespace: u64, key: &[u8], now_us: u64) -> bool {
        let (hash, now) = (self.hash(namespace, key), tick(now_us));
        self.set(hash).iter().any(|place| {
            let entry = place.load(Ordering::Relaxed);
            entry != 0
                && entry >> TICK_BITS == part(hash)
                && place
                    .compare_exchange(entry, 0, Ordering::Relaxed, Ordering::Relaxed)
                    .is_ok()
                && age(entry, now) <= WINDOW_TICKS
        })
    }

    fn hash(&self, namespace: u64, key: &[u8]) -> u64 {
        let mut hasher = self.hashing.build_hasher();
        hasher.write(key);
        hasher.write_u64(namespace);
        hasher.finish()
    }

    fn set(&self, hash: u64) -> &[AtomicU64; WAYS] {
        // The bits that are not part of the entry.
        let at = (hash >> (u64::BITS - TICK_BITS)) as usize;
        &self.sets[at & (self.sets.len() - 1)]
    }
}

/// The memory as one engine uses it: by the numbers of its namespaces.
#[derive(Debug)]
pub(super) struct FillMemory {
    fills: Arc<Fills>,
    /// Which number stands for which namespace. Under another layout nothing is
    /// found of what was missed before: it may have been another's miss.
    layout: u64,
}

impl FillMemory {
    pub(super) fn new(fills: Arc<Fills>, namespaces: &[Namespace]) -> Self {
        let layout = layout(namespaces);
        Self { fills, layout }
    }

    /// Other namespaces have the numbers from now on.
    pub(super) fn renumber(&mut self, namespaces: &[Namespace]) {
        self.layout = layout(namespaces);
    }

    /// A client key was missed by somebody of a namespace.
    pub(super) fn note(&self, space: SpaceId, key: &[u8], now_us: u64) {
        self.fills.note(self.namespace(space), key, now_us);
    }

    /// Whether it was missed a moment ago; only one write is told so.
    pub(super) fn take(&self, space: SpaceId, key: &[u8], now_us: u64) -> bool {
        self.fills.take(self.namespace(space), key, now_us)
    }

    fn namespace(&self, space: SpaceId) -> u64 {
        self.layout ^ u64::from(space.0)
    }
}

fn layout(namespaces: &[Namespace]) -> u64 {
    let mut hasher = XxHash64::with_seed(0);
    for namespace in namespaces {
        hasher.write(namespace.name.as_bytes());
        // No name holds it.
        hasher.write(b"/");
    }
    hasher.finish()
}

/// Never 0, which stands for no entry.
fn tick(now_us: u64) -> u64 {
    ((now_us >> TICK_SHIFT) & TICK_MASK).max(1)
}

fn part(hash: u64) -> u64 {
    hash & (u64::MAX >> TICK_BITS)
}

fn age(entry: u64, now: u64) -> u64 {
    now.wrapping_sub(entry) & TICK_MASK
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMESPACE: u64 = 1;

    impl Fills {
        fn note_number(&self, number: u64, now_us: u64) {
            self.note(NAMESPACE, &number.to_le_bytes(), now_us);
        }

        fn take_number(&self, number: u64, now_us: u64) -> bool {
            self.take(NAMESPACE, &number.to_le_bytes(), now_us)
        }
    }

    #[test]
    fn a_miss_is_filled_once_and_soon() {
        let fills = Fills::with_sets(1);
        let start = 5_000_000;
        assert!(!fills.take_number(1, start));
        fills.note_number(1, start);
        fills.note_number(1, start);
        assert!(!fills.take_number(2, start));
        assert!(fills.take_number(1, start + WINDOW_US));
        assert!(!fills.take_number(1, start));
        fills.note_number(1, start);
        assert!(!fills.take_number(1, start + WINDOW_US + (1 << TICK_SHIFT)));
    }

    #[test]
    fn the_oldest_miss_gives_way() {
        let fills = Fills::with_sets(1);
        for number in 0..5 {
            fills.note_number(number, (number + 1) << TICK_SHIFT);
        }
        let now = 6 << TICK_SHIFT;
        assert!(!fills.take_number(0, now));
        assert!((1..5).all(|number| fills.take_number(number, now)));
    }

    #[test]
    fn the_clock_may_start_over() {
        let fills = Fills::with_sets(1);
        let late = TICK_MASK << TICK_SHIFT;
        fills.note_number(1, late);
        assert!(fills.take_number(1, late + (2 << TICK_SHIFT)));
    }

    /// With misses that come at a steady rate, each filled after half a second.
    #[test]
    fn few_misses_are_forgotten_and_no_change_is_taken_for_a_fill() {
        for (per_second, least) in [(1_000, 1.0), (10_000, 0.999), (20_000, 0.99)] {
            let fills = Fills::default();
            let seconds = 12;
            let (mut asked, mut filled, mut mistaken) = (0u32, 0u32, 0u32);
            for n in 0..per_second * seconds {
                let now_us = n * 1_000_000 / per_second;
                fills.note_number(n, now_us);
                // Of a key that was not missed.
                mistaken += u32::from(fills.take_number(u64::MAX - n, now_us));
                // One in ten is filled by nobody.
                if let Some(earlier) = n.checked_sub(per_second / 2)
                    && earlier % 10 > 0
                {
                    asked += 1;
                    filled += u32::from(fills.take_number(earlier, now_us));
                }
            }
            let share = f64::from(filled) / f64::from(asked);
            println!("{per_second} misses a second: {share:.5} of the fills recognised");
            assert!(share >= least, "{per_second}: {share}");
            assert_eq!(mistaken, 0);
        }
    }
}
