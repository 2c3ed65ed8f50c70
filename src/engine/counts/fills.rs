//! The memory of recent misses: whether a write fills what was just missed.
//!
//! Misses are counted: each adds one, and each write that may be a fill takes one,
//! so that a change soon after the fill is a change. A hit takes none back: then
//! clients that miss at the same time could miss for ever.
//!
//! Of a fixed size, shared by all workers without a lock. The misses of a key are an
//! entry of 64 bits: 38 of the hash of the key and its namespace, how many there
//! were, and when the first of them was. Each hash has four places for it. What is
//! not found is safe, the write then counts as a change: the oldest misses give way
//! where four others came to their places within [`WINDOW_US`], more than
//! [`MAX_COUNT`] are not counted, and all are forgotten with the first. What is found
//! by mistake is a change that counts as a fill: 15 in 10^12 of those writes whose
//! four places are taken by recent misses.

use std::hash::{BuildHasher as _, Hasher as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use foldhash::quality::RandomState;

use twox_hash::XxHash64;

use crate::policy::{Namespace, SpaceId};

/// The time for which a miss is remembered, in microseconds: ten ticks.
pub const WINDOW_US: u64 = WINDOW_TICKS << TICK_SHIFT;
/// A tick is 2^19 microseconds, about half a second.
const TICK_SHIFT: u32 = 19;
const WINDOW_TICKS: u64 = 10;
/// Ticks are counted up to 2^22, which takes 25 days, and from the start again.
const TICK_BITS: u32 = 22;
const TICK_MASK: u64 = (1 << TICK_BITS) - 1;
/// Misses of one key that are counted.
const MAX_COUNT: u64 = (1 << COUNT_BITS) - 1;
const COUNT_BITS: u32 = 4;
/// Lowest bit of the part of the hash in an entry, above tick and count.
const PART_SHIFT: u32 = TICK_BITS + COUNT_BITS;
/// Attempts at changing an entry that others change as well.
const MAX_TRIES: usize = 8;
/// Entries of one hash.
const WAYS: usize = 4;
/// Sets of entries: 1 MiB for 131,072 misses.
const SETS: usize = 1 << 15;

/// Misses of the last seconds.
#[derive(Debug)]
pub struct Fills {
    /// Entries: a part of the hash, then the count, then the tick; 0 where there is
    /// none.
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
        let set = self.set(hash);
        for _ in 0..MAX_TRIES {
            let (place, old) = choose(set, part(hash), now);
            let new = if is_recent(old, part(hash), now) {
                // With the first of them all are forgotten.
                let count = (count(old) + 1).min(MAX_COUNT);
                entry(part(hash), count, old & TICK_MASK)
            } else {
                entry(part(hash), 1, now)
            };
            let noted = place.compare_exchange(old, new, Ordering::Relaxed, Ordering::Relaxed);
            if noted.is_ok() {
                return;
            }
        }
    }

    /// Whether a client key was missed by somebody of a namespace a moment ago. One
    /// such miss is then used up.
    pub fn take(&self, namespace: u64, key: &[u8], now_us: u64) -> bool {
        let (hash, now) = (self.hash(namespace, key), tick(now_us));
        self.set(hash).iter().any(|place| {
            let one_less = |old: u64| {
                is_recent(old, part(hash), now).then(|| match count(old) {
                    0 | 1 => 0,
                    more => entry(part(hash), more - 1, old & TICK_MASK),
                })
            };
            (0..MAX_TRIES)
                .map_while(|_| {
                    let old = place.load(Ordering::Relaxed);
                    let new = one_less(old)?;
                    Some(place.compare_exchange(old, new, Ordering::Relaxed, Ordering::Relaxed))
                })
                .any(|taken| taken.is_ok())
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
        let at = (hash >> (u64::BITS - PART_SHIFT)) as usize;
        &self.sets[at & (self.sets.len() - 1)]
    }
}

/// The memory as one engine uses it: by the numbers of its namespaces.
#[derive(Debug)]
pub(in crate::engine) struct FillMemory {
    fills: Arc<Fills>,
    /// Which number stands for which namespace. Under another layout nothing is
    /// found of what was missed before: it may have been another's miss.
    layout: u64,
}

impl FillMemory {
    pub(in crate::engine) fn new(fills: Arc<Fills>, namespaces: &[Namespace]) -> Self {
        let layout = layout(namespaces);
        Self { fills, layout }
    }

    /// Other namespaces have the numbers from now on.
    pub(in crate::engine) fn renumber(&mut self, namespaces: &[Namespace]) {
        self.layout = layout(namespaces);
    }

    /// A client key was missed by somebody of a namespace.
    pub(in crate::engine) fn note(&self, space: SpaceId, key: &[u8], now_us: u64) {
        self.fills.note(self.namespace(space), key, now_us);
    }

    /// Whether it was missed a moment ago; as many writes are told so as misses were.
    pub(in crate::engine) fn take(&self, space: SpaceId, key: &[u8], now_us: u64) -> bool {
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
    hash & (u64::MAX >> PART_SHIFT)
}

fn entry(part: u64, count: u64, tick: u64) -> u64 {
    part << PART_SHIFT | count << TICK_BITS | tick
}

fn count(entry: u64) -> u64 {
    entry >> TICK_BITS & MAX_COUNT
}

/// Whether an entry is of this part of a hash, and of a moment ago.
fn is_recent(entry: u64, part: u64, now: u64) -> bool {
    entry != 0 && entry >> PART_SHIFT == part && age(entry, now) <= WINDOW_TICKS
}

/// The place for a part of a hash, and what is there: the same, or nothing, or what
/// is oldest.
fn choose(set: &[AtomicU64; WAYS], part: u64, now: u64) -> (&AtomicU64, u64) {
    let load = |place: &'_ AtomicU64| place.load(Ordering::Relaxed);
    let mut chosen = (&set[0], load(&set[0]));
    let mut most = 0;
    for place in set {
        let found = load(place);
        if found != 0 && found >> PART_SHIFT == part {
            return (place, found);
        }
        let age = if found == 0 {
            u64::MAX
        } else {
            age(found, now) + 1
        };
        if age > most {
            (chosen, most) = ((place, found), age);
        }
    }
    chosen
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
    fn each_miss_is_filled_once_and_soon() {
        let fills = Fills::with_sets(1);
        let start = 5_000_000;
        assert!(!fills.take_number(1, start));
        for misses in [1, 2, 3] {
            (0..misses).for_each(|_| fills.note_number(1, start));
            assert!(!fills.take_number(2, start));
            for _ in 0..misses {
                assert!(fills.take_number(1, start + WINDOW_US));
            }
            // What comes then is a change.
            assert!(!fills.take_number(1, start));
        }
        fills.note_number(1, start);
        assert!(!fills.take_number(1, start + WINDOW_US + (1 << TICK_SHIFT)));
    }

    #[test]
    fn no_miss_is_prolonged_by_a_later_one() {
        let fills = Fills::with_sets(1);
        let start = 5_000_000;
        fills.note_number(1, start);
        fills.note_number(1, start + WINDOW_US);
        assert!(!fills.take_number(1, start + WINDOW_US + (1 << TICK_SHIFT)));
        // The next is the first again.
        let later = start + 2 * WINDOW_US;
        fills.note_number(1, later);
        assert!(fills.take_number(1, later + WINDOW_US));
        assert!(!fills.take_number(1, later + WINDOW_US));
    }

    #[test]
    fn more_misses_than_are_counted_leave_changes() {
        let fills = Fills::with_sets(1);
        (0..100).for_each(|_| fills.note_number(1, 1));
        let filled = (0..100).filter(|_| fills.take_number(1, 1)).count();
        assert_eq!(filled as u64, MAX_COUNT);
    }

    #[test]
    fn no_miss_is_filled_twice_by_threads() {
        const THREADS: usize = 4;
        const ROUNDS: usize = 20_000;
        let fills = Fills::with_sets(1);
        let taken: usize = std::thread::scope(|scope| {
            let workers = (0..THREADS).map(|_| {
                scope.spawn(|| {
                    let round = |n: &usize| {
                        fills.note_number(*n as u64 % 3, 1);
                        fills.take_number(*n as u64 % 3, 1)
                    };
                    (0..ROUNDS).filter(round).count()
                })
            });
            let workers: Vec<_> = workers.collect();
            workers
                .into_iter()
                .map(|worker| worker.join().unwrap())
                .sum()
        });
        let left = (0..3).map(|n| (0..100).filter(|_| fills.take_number(n, 1)).count());
        assert!(taken + left.sum::<usize>() <= THREADS * ROUNDS);
        assert!(taken > THREADS * ROUNDS / 2, "{taken}");
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
