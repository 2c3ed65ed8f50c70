//! The cache itself: items, and what memcached does to them, bit by bit. Knows
//! keys, bytes and seconds; no command, no reply and no clock.

use std::ops::DerefMut;

use quick_cache::unsync::Cache;
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};

use crate::protocol::parse_u64;

/// memcached's default limit on an item, its header included.
const MAX_ITEM_BYTES: usize = 1 << 20;
/// The bytes that memcached adds to key and value: its item header and a cas id.
const ITEM_HEADER_BYTES: usize = 48 + 8;
/// The bytes that the engine adds to an item of ours, about.
const ENGINE_BYTES: u64 = 64;
/// The smallest cache in which the largest item survives being stored.
const MIN_CAPACITY: u64 = 4 << 20;
/// The share of the room that a burst of new items cannot take from those in
/// use; the engine's own 97% would forget new items much sooner than memcached.
const HOT_SHARE: f64 = 0.5;
/// Longest exptime that counts from now: 30 days. Above it, it is a date.
const MAX_RELATIVE_EXPTIME: i32 = 30 * 24 * 60 * 60;

/// A value and everything that memcached keeps beside it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
// The bits of an item.
#[allow(clippy::struct_excessive_bools)]
pub(super) struct Item {
    pub(super) value: Vec<u8>,
    /// The client flags.
    pub(super) flags: u32,
    /// The unix second of its death; 0 for never.
    pub(super) expires: u64,
    pub(super) cas: u64,
    /// The unix second of the last access, stores included.
    pub(super) accessed: u64,
    /// True if it was read since it was stored.
    pub(super) fetched: bool,
    /// Invalidated, but still there.
    pub(super) stale: bool,
    /// Whether some client was already told to refresh it.
    pub(super) won: bool,
    /// Stored under a base64 key.
    pub(super) binary: bool,
}

impl Item {
    /// Notes a read.
    pub(super) fn bump(&mut self, now: u64) {
        if self.fetched {
            self.accessed = now;
        }
        self.fetched = true;
    }
}

/// Returns the bytes that memcached would count for an item.
pub(super) fn item_bytes(key: &[u8], flags: u32, len: usize) -> usize {
    let flag_bytes = if flags == 0 { 0 } else { 4 };
    ITEM_HEADER_BYTES + key.len() + 1 + flag_bytes + len + 2
}

/// Tells whether memcached would refuse an item.
pub(super) fn too_large(key: &[u8], flags: u32, len: usize) -> bool {
    item_bytes(key, flags, len) > MAX_ITEM_BYTES
}

/// Returns the time when an item with this exptime dies; 0 for never.
pub(super) fn expiry(exptime: i32, now: u64) -> u64 {
    match exptime {
        0 => 0,
        // Long ago.
        i32::MIN..0 => 1,
        1..=MAX_RELATIVE_EXPTIME => now + u64::from(exptime.unsigned_abs()),
        _ => u64::from(exptime.unsigned_abs()),
    }
}

/// The condition under which a store takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Set,
    Add,
    Replace,
    Append,
    Prepend,
    Cas,
}

/// The cas ids of a store: the one to match, and the one to give.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct CasRule {
    /// Act only on an item with this cas id; 0 for any.
    pub(super) compare: u64,
    /// Whether, with [`Mode::Cas`], a lower CAS id stores too, as a stale item.
    pub(super) take_older: bool,
    /// The new cas id, where the client chose one.
    pub(super) assign: Option<u64>,
}

/// The outcome of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Stored, with this CAS id.
    Stored(u64),
    NotStored,
    Exists,
    NotFound,
}

/// The outcome of an increment or decrement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Counted {
    Done(Count),
    NotNumeric,
    CasMismatch,
    NotFound,
}

/// A counter after its change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) value: u64,
    pub(super) cas: u64,
    pub(super) expires: u64,
    /// The item was not exchanged for a longer one.
    pub(super) in_place: bool,
}

/// Bounds the engine by bytes.
#[derive(Debug, Clone)]
struct Bytes;

impl Weighter<Box<[u8]>, Item> for Bytes {
    fn weight(&self, key: &Box<[u8]>, item: &Item) -> u64 {
        item_bytes(key, item.flags, item.value.len()) as u64 + ENGINE_BYTES
    }
}

/// The items of one cache.
#[derive(Debug)]
pub(super) struct Store {
    items: Cache<Box<[u8]>, Item, Bytes>,
    last_cas: u64,
    /// Second from which items that were not accessed after it are gone; 0 for none.
    flush_at: u64,
    pub(super) hits: u64,
    pub(super) misses: u64,
    pub(super) stores: u64,
}

impl Store {
    /// A cache of about this many bytes, of 4 MiB at least.
    pub(super) fn new(bytes: u64) -> Self {
        let capacity = bytes.max(MIN_CAPACITY);
        let options = OptionsBuilder::new()
            .weight_capacity(capacity)
            .estimated_items_capacity(usize::try_from(capacity >> 10).unwrap_or(usize::MAX))
            .hot_allocation(HOT_SHARE)
            .build()
            .expect("both capacities are set");
        Self {
            items: Cache::with_options(
                options,
                Bytes,
                DefaultHashBuilder::default(),
                quick_cache::unsync::DefaultLifecycle::default(),
            ),
            last_cas: 0,
            flush_at: 0,
            hits: 0,
            misses: 0,
            stores: 0,
        }
    }

    /// Returns the number of items, dead ones not yet noticed included.
    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    /// Bytes in use.
    pub(super) fn bytes(&self) -> u64 {
        self.items.weight()
    }

    /// Bytes there are.
    pub(super) fn capacity(&self) -> u64 {
        self.items.capacity()
    }

    /// An item that is alive, without noting a read.
    pub(super) fn live(&mut self, key: &[u8], now: u64) -> Option<impl DerefMut<Target = Item>> {
        let flushed = if self.flush_at <= now {
            self.flush_at
        } else {
            0
        };
        self.items.remove_if(key, |item| {
            let expired = item.expires != 0 && item.expires <= now;
            expired || item.accessed <= flushed
        });
        self.items.get_mut(key)
    }

    /// [`Store::live`], counted in the statistics.
    pub(super) fn read(&mut self, key: &[u8], now: u64) -> Option<impl DerefMut<Target = Item>> {
        let hit = self.live(key, now).is_some();
        self.hits += u64::from(hit);
        self.misses += u64::from(!hit);
        self.items.get_mut(key)
    }

    /// Reads an item, giving it a new time to die.
    pub(super) fn touch(
        &mut self,
        key: &[u8],
        expires: u64,
        now: u64,
    ) -> Option<impl DerefMut<Target = Item>> {
        let mut item = self.read(key, now)?;
        item.bump(now);
        item.expires = expires;
        Some(item)
    }

    /// Removes an item; whether it was there.
    pub(super) fn delete(&mut self, key: &[u8], now: u64) -> bool {
        let was = self.live(key, now).is_some();
        self.items.remove(key);
        was
    }

    /// Stores `new` if the mode and the cas rule agree.
    pub(super) fn store(
        &mut self,
        key: &[u8],
        mut new: Item,
        mode: Mode,
        rule: CasRule,
        now: u64,
    ) -> Outcome {
        self.stores += 1;
        let Some(mut old) = self.live(key, now) else {
            return match mode {
                Mode::Set | Mode::Add => Outcome::Stored(self.put(key, new, rule.assign, now)),
                Mode::Replace | Mode::Append | Mode::Prepend => Outcome::NotStored,
                Mode::Cas => Outcome::NotFound,
            };
        };
        let compares = rule.compare != 0;
        let agrees = rule.compare == old.cas;
        match mode {
            Mode::Set | Mode::Replace => {}
            Mode::Cas if compares && agrees => {}
            Mode::Cas if compares && rule.take_older && rule.compare < old.cas => {
                new.expires = old.expires;
                new.stale = true;
                new.won = old.won;
            }
            Mode::Append | Mode::Prepend if agrees || !compares => {
                new = joined(&old, &new.value, mode);
                if too_large(key, new.flags, new.value.len()) {
                    return Outcome::NotStored;
                }
            }
            Mode::Cas | Mode::Append | Mode::Prepend => return Outcome::Exists,
            Mode::Add => {
                old.accessed = now;
                return Outcome::NotStored;
            }
        }
        drop(old);
        Outcome::Stored(self.put(key, new, rule.assign, now))
    }

    /// Puts an item in place of whatever was there; its cas id.
    pub(super) fn put(&mut self, key: &[u8], mut item: Item, assign: Option<u64>, now: u64) -> u64 {
        let cas = assign.unwrap_or_else(|| self.next_cas());
        item.cas = cas;
        item.accessed = now;
        self.items.insert(key.into(), item);
        cas
    }

    /// Adds to a decimal number, wrapping, or subtracts from it, down to 0. A
    /// number that got shorter is padded with spaces.
    pub(super) fn count(
        &mut self,
        key: &[u8],
        up: bool,
        delta: u64,
        rule: CasRule,
        now: u64,
    ) -> Counted {
        let Some(item) = self.live(key, now) else {
            return Counted::NotFound;
        };
        if item.value.is_empty() {
            return Counted::NotNumeric;
        }
        if rule.compare != 0 && rule.compare != item.cas {
            return Counted::CasMismatch;
        }
        let Some(value) = parse_number(&item.value) else {
            return Counted::NotNumeric;
        };
        drop(item);
        let value = if up {
            value.wrapping_add(delta)
        } else {
            value.saturating_sub(delta)
        };
        let cas = rule.assign.unwrap_or_else(|| self.next_cas());
        let mut digits = itoa::Buffer::new();
        let digits = digits.format(value).as_bytes();
        let mut item = self.items.get_mut(key).expect("found above");
        let in_place = digits.len() <= item.value.len();
        if in_place {
            item.value.fill(b' ');
            item.value[..digits.len()].copy_from_slice(digits);
        } else {
            *item = Item {
                value: digits.to_vec(),
                flags: item.flags,
                expires: item.expires,
                ..Item::default()
            };
        }
        item.cas = cas;
        item.accessed = now;
        Counted::Done(Count {
            value,
            cas,
            expires: item.expires,
            in_place,
        })
    }

    /// Forgets all items, at once or after a delay.
    pub(super) fn flush(&mut self, delay: i32, now: u64) {
        self.flush_at = 0;
        if delay > 0 {
            self.flush_at = expiry(delay, now) - 1;
        } else {
            self.items.clear();
            // As memcached, which tells old items by their cas ids.
            self.next_cas();
        }
    }

    /// A cas id never given before.
    pub(super) fn next_cas(&mut self) -> u64 {
        self.last_cas += 1;
        self.last_cas
    }
}

/// memcached makes a new item, which inherits flags and exptime only.
fn joined(old: &Item, added: &[u8], mode: Mode) -> Item {
    let parts = if mode == Mode::Append {
        [&old.value, added]
    } else {
        [added, &old.value]
    };
    Item {
        value: parts.concat(),
        flags: old.flags,
        expires: old.expires,
        ..Item::default()
    }
}

/// The number that a C string starts with.
fn parse_number(value: &[u8]) -> Option<u64> {
    let end = memchr::memchr(0, value).unwrap_or(value.len());
    parse_u64(&value[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_700_000_000;

    fn item(value: &str) -> Item {
        Item {
            value: value.into(),
            ..Item::default()
        }
    }

    fn set(store: &mut Store, key: &str, value: &str) -> u64 {
        store.put(key.as_bytes(), item(value), None, NOW)
    }

    fn value(store: &mut Store, key: &str, now: u64) -> Option<String> {
        store
            .live(key.as_bytes(), now)
            .map(|item| String::from_utf8(item.value.clone()).unwrap())
    }

    #[test]
    fn exptimes_follow_memcached() {
        let month = MAX_RELATIVE_EXPTIME;
        for (exptime, expected) in [
            (0, 0),
            (-1, 1),
            (i32::MIN, 1),
            (1, NOW + 1),
            (month, NOW + 2_592_000),
            (month + 1, 2_592_001),
            (1_700_000_100, NOW + 100),
        ] {
            assert_eq!(expiry(exptime, NOW), expected, "{exptime}");
        }
    }

    #[test]
    fn items_die_on_time() {
        let mut store = Store::new(0);
        for (exptime, alive_for) in [(0, u64::MAX), (-1, 0), (5, 5), (1_700_000_007, 7), (7, 7)] {
            let expires = expiry(exptime, NOW);
            let item = Item {
                expires,
                ..item("v")
            };
            store.put(b"k", item, None, NOW);
            for later in [0, 4, 5, 6, 7, 1 << 20] {
                let alive = store.live(b"k", NOW + later).is_some();
                assert_eq!(alive, later < alive_for, "{exptime} after {later}");
            }
        }
        assert_eq!(store.len(), 0, "the dead do not stay");
    }

    #[test]
    fn modes_decide_on_presence_and_cas() {
        use Mode::*;
        // The cas id to compare is the item's, and something.
        for (mode, compare, absent, present) in [
            (Set, None, "stored", "stored"),
            (Add, None, "stored", "not stored"),
            (Replace, None, "not stored", "stored"),
            (Append, None, "not stored", "stored"),
            (Prepend, None, "not stored", "stored"),
            (Append, Some(0), "not stored", "stored"),
            (Append, Some(1), "not stored", "exists"),
            (Cas, None, "not found", "exists"),
            (Cas, Some(0), "not found", "stored"),
            (Cas, Some(1), "not found", "exists"),
            (Cas, Some(-1), "not found", "exists"),
        ] {
            for there in [false, true] {
                let mut store = Store::new(0);
                set(&mut store, "other", "x");
                let mut cas = 1;
                if there {
                    cas = set(&mut store, "k", "old");
                }
                let rule = CasRule {
                    compare: compare.map_or(0, |d| cas.checked_add_signed(d).unwrap()),
                    ..CasRule::default()
                };
                let outcome = match store.store(b"k", item("new"), mode, rule, NOW) {
                    Outcome::Stored(_) => "stored",
                    Outcome::NotStored => "not stored",
                    Outcome::Exists => "exists",
                    Outcome::NotFound => "not found",
                };
                let expected = if there { present } else { absent };
                assert_eq!(outcome, expected, "{mode:?} {compare:?} {there}");
                let left = value(&mut store, "k", NOW);
                let expected = match (mode, expected) {
                    (Append, "stored") => Some("oldnew"),
                    (Prepend, "stored") => Some("newold"),
                    (_, "stored") => Some("new"),
                    _ => there.then_some("old"),
                };
                assert_eq!(left.as_deref(), expected, "{mode:?} {compare:?} {there}");
            }
        }
    }

    #[test]
    fn an_older_cas_may_leave_a_stale_item() {
        let mut store = Store::new(0);
        let older = set(&mut store, "k", "a");
        set(&mut store, "k", "b");
        store.live(b"k", NOW).unwrap().won = true;
        let rule = CasRule {
            compare: older,
            take_older: true,
            assign: Some(900),
        };
        let outcome = store.store(b"k", item("c"), Mode::Cas, rule, NOW);
        assert_eq!(outcome, Outcome::Stored(900));
        let left = store.live(b"k", NOW).unwrap();
        assert!(left.stale && left.won && left.cas == 900 && left.value == b"c");
    }

    #[test]
    fn numbers_wrap_floor_and_keep_their_width() {
        for (start, up, delta, sum, stored) in [
            ("9", true, 1, 10, "10"),
            ("18446744073709551615", true, 2, 1, "1                   "),
            ("10", false, 1, 9, "9 "),
            ("5", false, 7, 0, "0"),
            ("007", true, 1, 8, "8  "),
            (" 7 x", true, 1, 8, "8   "),
            ("7\0x", true, 1, 8, "8  "),
        ] {
            let mut store = Store::new(0);
            set(&mut store, "n", start);
            let counted = store.count(b"n", up, delta, CasRule::default(), NOW);
            let Counted::Done(count) = counted else {
                panic!("{start}: {counted:?}");
            };
            assert_eq!((count.value, count.cas), (sum, 2), "{start}");
            let left = value(&mut store, "n", NOW);
            assert_eq!(left.as_deref(), Some(stored));
        }
        for text in ["", " ", "x", "7x", "18446744073709551616", "-1"] {
            let mut store = Store::new(0);
            set(&mut store, "n", text);
            let counted = store.count(b"n", true, 1, CasRule::default(), NOW);
            assert_eq!(counted, Counted::NotNumeric, "{text}");
        }
    }

    #[test]
    fn a_flush_takes_what_was_there() {
        let mut store = Store::new(0);
        set(&mut store, "k", "v");
        store.flush(0, NOW);
        assert_eq!(value(&mut store, "k", NOW), None);
        set(&mut store, "k", "v");
        assert!(value(&mut store, "k", NOW).is_some());
        store.flush(10, NOW);
        assert!(value(&mut store, "k", NOW + 8).is_some());
        assert_eq!(value(&mut store, "k", NOW + 9), None);
        store.put(b"k", item("v"), None, NOW + 10);
        assert!(value(&mut store, "k", NOW + 20).is_some());
    }

    #[test]
    fn the_cache_stays_within_its_bytes_and_keeps_what_is_new() {
        let mut store = Store::new(0);
        let big = "x".repeat(100_000);
        for n in 0..1000 {
            let key = format!("k{n}");
            set(&mut store, &key, &big);
            assert!(value(&mut store, &key, NOW).is_some(), "{key}");
            assert!(store.bytes() <= store.capacity());
        }
        assert_eq!(value(&mut store, "k0", NOW), None);
        let recent = (990..1000).filter(|n| value(&mut store, &format!("k{n}"), NOW).is_some());
        assert_eq!(recent.count(), 10);
    }

    #[test]
    fn the_largest_item_fits_the_smallest_cache() {
        let largest = MAX_ITEM_BYTES - ITEM_HEADER_BYTES - 4;
        assert!(!too_large(b"k", 0, largest) && too_large(b"k", 0, largest + 1));
        assert!(too_large(b"k", 1, largest));
        let mut store = Store::new(0);
        for key in ["a", "b", "c", "d", "a"] {
            set(&mut store, key, &"x".repeat(largest));
            assert!(value(&mut store, key, NOW).is_some(), "{key}");
        }
    }
}
