//! The memory of recent misses: whether a write fills what was just missed.
//!
//! Of a fixed size, shared by all workers without a lock. A miss is an entry of
//! 64 bits: 40 of the hash of its key and namespace, and when it was. Each hash
//! has four places for it. What is not found is safe, the write then counts as a
//! change: the oldest miss gives way where four others came to its places within
//! [`WINDOW_US`]. What is found by mistake is a change that counts as a fill: one
//! in 4 x 10^12 of those writes whose four places are taken by recent misses.

use std::hash::Hasher as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

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
            sets: (0..sets).map(|_| Default::default()).collect(),
        }
    }

    /// A key was missed. `now_us` is of a clock that all workers share.
    pub fn note(&self, hash: u64, now_us: u64) {
        let now = tick(now_us);
        let place = self.set(hash).iter().max_by_key(|entry| {
            let entry = entry.load(Ordering::Relaxed);
            // The same, then an empty one, then the oldest.
            if entry >> TICK_BITS == part(hash) && entry != 0 {
                u64::MAX
            } else if entry == 0 {
                u64::MAX - 1
            } else {
                age(entry, now)
            }
        });
        if let Some(place) = place {
            place.store(part(hash) << TICK_BITS | now, Ordering::Relaxed);
        }
    }

    /// Whether a key was missed a moment ago. That is then used up: only one
    /// write fills it.
    pub fn take(&self, hash: u64, now_us: u64) -> bool {
        let now = tick(now_us);
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

    fn set(&self, hash: u64) -> &[AtomicU64; WAYS] {
        // The bits that are not part of the entry.
        let at = (hash >> (u64::BITS - TICK_BITS)) as usize;
        &self.sets[at & (self.sets.len() - 1)]
    }
}

/// The memory as one engine uses it: by the numbers of its namespaces.
#[derive(Debug)]
pub(super) struct Misses {
    fills: Arc<Fills>,
    /// Which number stands for which namespace. Under another layout nothing is
    /// found of what was missed before: it may have been another's miss.
    layout: u64,
}

impl Misses {
    /// Of these namespaces.
    pub(super) fn new(fills: Arc<Fills>, namespaces: &[Namespace]) -> Self {
        let layout = layout(namespaces);
        Self { fills, layout }
    }

    /// Has other namespaces.
    pub(super) fn adopt(&mut self, namespaces: &[Namespace]) {
        self.layout = layout(namespaces);
    }

    /// A namespace missed a client key.
    pub(super) fn note(&self, space: SpaceId, client_key: &[u8], now_us: u64) {
        self.fills.note(self.hash(space, client_key), now_us);
    }

    /// [`Fills::take`], of a namespace's miss of a client key.
    pub(super) fn take(&self, space: SpaceId, client_key: &[u8], now_us: u64) -> bool {
        self.fills.take(self.hash(space, client_key), now_us)
    }

    fn hash(&self, space: SpaceId, client_key: &[u8]) -> u64 {
        XxHash64::oneshot(self.layout ^ u64::from(space.0), client_key)
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

    fn hash(number: u64) -> u64 {
        XxHash64::oneshot(0, &number.to_le_bytes())
    }

    #[test]
    fn a_miss_is_filled_once_and_soon() {
        let fills = Fills::with_sets(1);
        let start = 5_000_000;
        assert!(!fills.take(hash(1), start));
        fills.note(hash(1), start);
        fills.note(hash(1), start);
        assert!(!fills.take(hash(2), start));
        assert!(fills.take(hash(1), start + WINDOW_US));
        assert!(!fills.take(hash(1), start));
        fills.note(hash(1), start);
        assert!(!fills.take(hash(1), start + WINDOW_US + (1 << TICK_SHIFT)));
    }

    #[test]
    fn the_oldest_miss_gives_way() {
        let fills = Fills::with_sets(1);
        for number in 0..5 {
            fills.note(hash(number), number << TICK_SHIFT);
        }
        let now = 5 << TICK_SHIFT;
        assert!(!fills.take(hash(0), now));
        assert!((1..5).all(|number| fills.take(hash(number), now)));
    }

    #[test]
    fn the_clock_may_start_over() {
        let fills = Fills::with_sets(1);
        let late = TICK_MASK << TICK_SHIFT;
        fills.note(hash(1), late);
        assert!(fills.take(hash(1), late + (2 << TICK_SHIFT)));
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
                fills.note(hash(n), now_us);
                // Of a key that was not missed.
                mistaken += u32::from(fills.take(hash(u64::MAX - n), now_us));
                // One in ten is filled by nobody.
                if let Some(earlier) = n.checked_sub(per_second / 2)
                    && earlier % 10 > 0
                {
                    asked += 1;
                    filled += u32::from(fills.take(hash(earlier), now_us));
                }
            }
            let share = f64::from(filled) / f64::from(asked);
            println!("{per_second} misses a second: {share:.5} of the fills recognised");
            assert!(share >= least, "{per_second}: {share}");
            assert_eq!(mistaken, 0);
        }
    }
}
