//! Families of client keys, and what is done with each: of those that are used
//! most, in a bounded table. Never knows a whole key.
//!
//! A family is what a key starts with, up to the first digit or separator behind
//! its first letters: `user:` of `user:42`, `:1:views.` of `:1:views.home.en`. A key
//! without such an end would be its own family, so it counts to none.
//!
//! The table is a sampled form of Space-Saving (Metwally, Agrawal, El Abbadi 2005):
//! where it is full, a new family takes the place of a light one and inherits its
//! weight, so that one that is used often soon stays. Of the reads of a busy worker
//! one in eight is counted, for all; what is not loadable, and what is stored, is
//! counted always.

use arrayvec::ArrayVec;
use foldhash::fast::RandomState;
use hashbrown::HashTable;
use std::hash::{BuildHasher as _, Hasher as _};

use crate::engine::counts::{ByReason, COUNTS, PROTOCOLS, Split, place_of};
use crate::engine::value::judged::{Judged, Pickle, Shown};
use crate::pickle::Verdict;
use crate::policy::{Separators, SpaceId};

/// Families that one worker keeps.
const MAX_FAMILIES: usize = 256;
/// Spreads numbers over 64 bits: 2^64 divided by the golden ratio.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
/// The longest name; what is longer is cut.
const MAX_NAME_BYTES: usize = 48;
/// Entries of which the lightest gives way.
const SAMPLE: usize = 8;
/// Reads that are all counted; of those after them, one in [`SAMPLED`] is, for all.
const COUNTED: u64 = 1_000;
const SAMPLED: u64 = 8;
/// Names that keep values from being loaded, for each family.
const MAX_GLOBALS: usize = 8;

/// Counts of the keys of one family.
#[derive(Debug, Clone, Default)]
pub struct Family {
    /// Start of its keys.
    pub name: ArrayVec<u8, MAX_NAME_BYTES>,
    /// Keys that were read.
    pub reads: u64,
    /// Keys that were there for their reader.
    pub hits: u64,
    /// Keys that were hidden from their reader.
    pub hidden: u64,
    /// Values that were stored.
    pub writes: u64,
    /// Pickles read and stored, by the place in [`PROTOCOLS`].
    pub protocols: [u64; PROTOCOLS.len()],
    /// Stores by the space of who wrote.
    pub writers: Vec<u64>,
    /// Reads by the space of who read.
    pub readers: Vec<u64>,
    /// Pickles read of which not all was looked at.
    pub not_looked_at: u64,
    /// Values that were not loadable for a reader, by reason.
    pub unloadable: ByReason,
    /// Globals that kept most of those from being loaded.
    pub globals: Vec<(String, u64)>,
    /// Requests that count.
    pub counters: u64,
    /// Stores that look like locks.
    pub locks: u64,
    /// Of this name and those before it in its place.
    weight: u64,
}

/// The families that are used most.
#[derive(Debug)]
pub struct Families {
    /// Bytes that end a name; `None` where families are switched off.
    ends: Option<Ends>,
    spaces: usize,
    /// Places in `entries`.
    index: HashTable<u16>,
    entries: Vec<Family>,
    hashing: RandomState,
    /// Start of the next sample.
    next: usize,
    /// Reads so far.
    reads: u64,
}

impl Families {
    /// None yet.
    pub fn new(separators: Option<Separators>, spaces: usize) -> Self {
        Self {
            ends: separators.map(|separators| Ends::new(&separators)),
            spaces,
            index: HashTable::new(),
            entries: Vec::new(),
            hashing: RandomState::default(),
            next: 0,
            reads: 0,
        }
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Family> {
        self.entries.iter()
    }

    /// A key was read by somebody of a space: what was judged, if it was there, and
    /// what that names that is to blame.
    #[inline]
    pub(in crate::engine) fn read(
        &mut self,
        key: &[u8],
        reader: SpaceId,
        value: Option<(&Judged, &str)>,
    ) {
        if !COUNTS {
            return;
        }
        self.reads += 1;
        let pickle = value.and_then(|(judged, _)| judged.pickle.as_ref());
        let is_plain = pickle.is_none_or(|pickle| pickle.reason.is_none());
        let weight = if self.reads <= COUNTED || !is_plain {
            1
        } else if self.reads.wrapping_mul(SPREAD) < u64::MAX / SAMPLED {
            SAMPLED
        } else {
            return;
        };
        self.count_read(key, reader, value, weight);
    }

    #[inline(never)] // Most reads are not counted.
    fn count_read(
        &mut self,
        key: &[u8],
        reader: SpaceId,
        value: Option<(&Judged, &str)>,
        weight: u64,
    ) {
        let Some(family) = self.of(key) else {
            return;
        };
        family.reads += weight;
        family.readers[reader.index()] += weight;
        let Some((judged, blamed)) = value else {
            return;
        };
        if judged.shown == Shown::Hidden {
            family.hidden += weight;
        } else {
            family.hits += weight;
        }
        if let Some(pickle) = &judged.pickle {
            family.see(pickle, blamed, weight);
        }
    }

    /// A value was stored by somebody of a space.
    #[inline]
    pub(in crate::engine) fn wrote(&mut self, key: &[u8], writer: SpaceId, judged: &Judged) {
        if !COUNTS {
            return;
        }
        if let Some(family) = self.of(key) {
            family.writes += 1;
            family.writers[writer.index()] += 1;
            if let Some(pickle) = &judged.pickle {
                family.protocols[place_of(pickle.protocol)] += 1;
            }
        }
    }

    /// A key is used as what versions should share.
    pub(in crate::engine) fn splits(&mut self, key: &[u8], kind: Split) {
        if let Some(family) = self.of(key) {
            match kind {
                Split::Counter => family.counters += 1,
                Split::Lock => family.locks += 1,
            }
        }
    }

    /// The family of a key.
    #[inline]
    fn of(&mut self, key: &[u8]) -> Option<&mut Family> {
        let name = self.ends.as_ref()?.name_of(key)?;
        let hash = hash(&self.hashing, name);
        let entries = &self.entries;
        let known = self
            .index
            .find(hash, |&at| entries[usize::from(at)].name[..] == *name);
        let at = match known {
            Some(&at) => usize::from(at),
            None => self.admit(name, hash),
        };
        let family = &mut self.entries[at];
        family.weight += 1;
        Some(family)
    }

    /// Gives a new family a place.
    #[cold]
    fn admit(&mut self, name: &[u8], hash: u64) -> usize {
        let mut family = Family {
            name: name.iter().copied().collect(),
            writers: vec![0; self.spaces],
            readers: vec![0; self.spaces],
            ..Family::default()
        };
        let at = if self.entries.len() < MAX_FAMILIES {
            self.entries.push(family);
            self.entries.len() - 1
        } else {
            self.next = (self.next + SAMPLE) % MAX_FAMILIES;
            let sample = self.next..self.next + SAMPLE;
            let lightest = sample.min_by_key(|&at| self.entries[at].weight);
            let at = lightest.unwrap_or(self.next);
            let old = &mut self.entries[at];
            let old_hash = self::hash(&self.hashing, &old.name);
            if let Ok(gone) = self
                .index
                .find_entry(old_hash, |&place| usize::from(place) == at)
            {
                gone.remove();
            }
            family.weight = old.weight;
            *old = family;
            at
        };
        let (entries, hashing) = (&self.entries, &self.hashing);
        self.index.insert_unique(hash, at as u16, |&at| {
            self::hash(hashing, &entries[usize::from(at)].name)
        });
        at
    }
}

impl Family {
    fn see(&mut self, pickle: &Pickle, blamed: &str, weight: u64) {
        self.protocols[place_of(pickle.protocol)] += weight;
        if pickle.verdict == Verdict::NotLookedAt {
            self.not_looked_at += weight;
        } else if let Some(reason) = pickle.reason {
            self.unloadable.add(reason);
            if !blamed.is_empty() {
                self.blame(blamed);
            }
        }
    }

    #[cold]
    fn blame(&mut self, global: &str) {
        let known = self.globals.iter().position(|(name, _)| name == global);
        match known {
            Some(at) => self.globals[at].1 += 1,
            None if self.globals.len() < MAX_GLOBALS => {
                self.globals.push((global.to_owned(), 1));
            }
            None => {}
        }
    }
}

/// By byte: whether it ends a word, as digits and separators do, and which of them
/// belong to the name.
#[derive(Debug)]
struct Ends(Box<[u8; 256]>);

const ENDS: u8 = 1;
const SEPARATES: u8 = 2;

impl Ends {
    fn new(separators: &Separators) -> Self {
        let mut ends = Box::new([0; 256]);
        for (byte, ends) in (0..=u8::MAX).zip(ends.iter_mut()) {
            if separators.has(byte) {
                *ends = ENDS | SEPARATES;
            } else if byte.is_ascii_digit() {
                *ends = ENDS;
            }
        }
        Self(ends)
    }

    /// The start of a key, its family's name; `None` if nothing ends it.
    #[inline]
    fn name_of<'k>(&self, key: &'k [u8]) -> Option<&'k [u8]> {
        let ends = |at: usize| key.get(at).map(|&byte| self.0[usize::from(byte)]);
        let mut at = 0;
        while ends(at)? & ENDS > 0 {
            at += 1;
        }
        while ends(at)? & ENDS == 0 {
            at += 1;
        }
        while ends(at).is_some_and(|ends| ends & SEPARATES > 0) {
            at += 1;
        }
        Some(&key[..at.min(MAX_NAME_BYTES)])
    }
}

#[inline]
fn hash(hashing: &RandomState, name: &[u8]) -> u64 {
    let mut hasher = hashing.build_hasher();
    hasher.write(name);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(key: &str) -> Option<&str> {
        let ends = Ends::new(&Separators::default());
        let name = ends.name_of(key.as_bytes())?;
        Some(std::str::from_utf8(name).unwrap())
    }

    #[test]
    fn a_family_is_what_its_keys_start_with() {
        for (key, family) in [
            ("user:42", "user:"),
            ("user::42", "user::"),
            ("session0042", "session"),
            (":1:views.home.en", ":1:views."),
            ("lock/job/7", "lock/"),
            ("a-b", "a-"),
            ("\u{e9}t\u{e9}:1", "\u{e9}t\u{e9}:"),
        ] {
            assert_eq!(name(key), Some(family), "{key}");
        }
        // It would be the whole key.
        for key in ["config", "42", ":1:", "", "12:34"] {
            assert_eq!(name(key), None, "{key}");
        }
        assert_eq!(name(&format!("{}:1", "k".repeat(200))).unwrap().len(), 48);
    }

    #[test]
    fn what_is_used_most_stays() {
        let mut families = Families::new(Some(Separators::default()), 3);
        for n in 0..100_000u32 {
            let (letter, other) = (n % 20, n.wrapping_mul(2_654_435_761) >> 8);
            let heavy = format!("heavy{}:1", (b'a' + letter as u8) as char);
            families.read(heavy.as_bytes(), SpaceId(1), None);
            let letters = other.to_string().replace(|c: char| c.is_ascii_digit(), "x");
            let light: String = other
                .to_string()
                .bytes()
                .map(|digit| (digit - b'0' + b'a') as char)
                .collect();
            assert_eq!(letters.len(), light.len());
            families.read(format!("{light}:1").as_bytes(), SpaceId(2), None);
        }
        assert_eq!(families.iter().count(), MAX_FAMILIES);
        let mut most: Vec<_> = families.iter().collect();
        most.sort_by_key(|family| std::cmp::Reverse(family.reads));
        for family in &most[..20] {
            assert!(family.name.starts_with(b"heavy"), "{family:?}");
            // Of 5,000, most were sampled.
            assert!((4_000..=6_000).contains(&family.reads), "{}", family.reads);
        }
        let off = &mut Families::new(None, 3);
        off.read(b"user:1", SpaceId(1), None);
        assert_eq!(off.iter().count(), 0);
    }
}
