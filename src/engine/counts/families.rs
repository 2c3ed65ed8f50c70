//! Counts of families of client keys: of those that are used most, in a bounded table. Never knows a whole key.
//!
//! [`crate::policy::family`] names them. Of many requests one in 32 is counted, for
//! all of them; what is not loadable is counted always.
//!
//! The table is a sampled form of Space-Saving (Metwally, Agrawal, El Abbadi 2005):
//! where it is full, a new family takes the place of a light one and inherits of its
//! weight, so that one that is used often soon stays. Whoever makes up names does not
//! fill it: a family is only let in when it comes again, or with a lock, a counter or an
//! unloadable value. Where a name holds a person's or the like, one family
//! has many that are light: it takes them in, and those that follow.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hasher as _};
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use crate::engine::counts::reasons::ByReason;
use crate::engine::counts::{COUNTS, PROTOCOLS, Split, place_of};
use crate::engine::value::judged::{Judged, Pickle, Shown};
use crate::pickle::Verdict;
use crate::policy::family::{Name, Namer};
use crate::policy::{Mode, Separators, Snapshot, SpaceId};

/// Families that one worker keeps.
const MAX_FAMILIES: usize = 256;
/// Spreads numbers over 64 bits: 2^64 divided by the golden ratio.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
/// Entries of which the lightest gives way.
const SAMPLE: usize = 8;
/// Requests that are all counted; of those after them, one in [`SAMPLED`] is, for all.
const COUNTED: u64 = 500;
const SAMPLED: u64 = 32;
/// Counters and locks are rarer: one in so many is.
const SPLITS_SAMPLED: u64 = 8;
/// Bits of [`Newcomers`].
const NEWCOMERS: usize = 4_096;
/// Light families that are too many below another, and how much lighter than all of
/// these they are.
const MANY: usize = 32;
const LIGHT: u64 = 32;
/// Families let in until those that are too many are looked for, at first and at most.
const ABSORB_AFTER: usize = 64;
const MAX_ABSORB_AFTER: usize = 4_096;
/// Starts of the keys of one family that are told apart.
const MAX_STARTS: usize = 4;
/// Names that keep values from being loaded, for each family.
const MAX_GLOBALS: usize = 8;
/// The reason of what was found without one.
const NO_REASON: &str = "unknown";

/// Counts of the keys of one family.
#[derive(Debug, Clone, Default)]
pub struct Family {
    /// The name.
    pub name: Name,
    /// Starts of its keys, as far as the name spells them out. They differ in their heads.
    pub starts: Vec<Box<[u8]>>,
    /// True if there are others than those.
    pub has_more_starts: bool,
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
    /// Pickles read and stored that were looked at and are loadable.
    pub loadable: u64,
    /// Pickles of which not all was looked at.
    pub not_looked_at: u64,
    /// Pickles that are not loadable for a reader, by reason.
    pub unloadable: ByReason,
    /// Pickles that were looked at and not understood, by reason.
    pub unknown: ByReason,
    /// Globals that kept most of those from being proved loadable.
    pub globals: Vec<(String, u64)>,
    /// Requests that count.
    pub counters: u64,
    /// Stores that look like locks.
    pub locks: u64,
    /// True if the name may be of more than the keys that are counters and locks.
    pub is_wide: bool,
    /// Counters and locks that no rule of their own keeps in one copy for all.
    pub unheld: u64,
    /// Of this name and those before it in its place.
    weight: u64,
    /// True if it takes in the families below it.
    absorbs: bool,
}

/// The families that are used most.
#[derive(Debug)]
pub struct Families {
    /// `None` where families are switched off.
    namer: Option<Namer>,
    spaces: usize,
    /// Settings whose rules the keys are under.
    snapshot: Option<Arc<Snapshot>>,
    /// Places in `entries`.
    index: HashTable<u16>,
    entries: Vec<Family>,
    hashing: RandomState,
    newcomers: Newcomers,
    /// Start of the next sample.
    next: usize,
    requests: Sampler,
    /// Sampler of counters and locks.
    splits: Sampler,
    /// Families to be let in until those that are too many are looked for, and how many
    /// these were the last time.
    until_absorb: usize,
    absorb_after: usize,
}

impl Families {
    /// None yet, under these settings.
    pub fn under(snapshot: &Arc<Snapshot>) -> Self {
        Self {
            snapshot: Some(Arc::clone(snapshot)),
            ..Self::new(snapshot.families, snapshot.codec.spaces().len())
        }
    }

    /// None yet, under no rule.
    pub fn new(separators: Option<Separators>, spaces: usize) -> Self {
        Self {
            namer: separators.map(|separators| Namer::new(&separators)),
            spaces,
            snapshot: None,
            index: HashTable::new(),
            entries: Vec::new(),
            hashing: RandomState::default(),
            newcomers: Newcomers::default(),
            next: 0,
            requests: Sampler::default(),
            splits: Sampler::default(),
            until_absorb: ABSORB_AFTER,
            absorb_after: ABSORB_AFTER,
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
        let sight = Sight::of(value.map(|(judged, _)| judged));
        if let Some(weight) = self.requests.weight(SAMPLED, sight == Sight::Unproved) {
            self.count_read(key, reader, value, weight);
        }
    }

    #[inline(never)] // Most reads are not counted.
    fn count_read(
        &mut self,
        key: &[u8],
        reader: SpaceId,
        value: Option<(&Judged, &str)>,
        weight: u64,
    ) {
        let sight = Sight::of(value.map(|(judged, _)| judged));
        let Some(family) = self.of(key, weight, sight) else {
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

    /// A value was stored by somebody of a space, and this was judged.
    #[inline]
    pub(in crate::engine) fn wrote(&mut self, key: &[u8], writer: SpaceId, judged: &Judged) {
        if !COUNTS {
            return;
        }
        if let Some(weight) = self
            .requests
            .weight(SAMPLED, Sight::of(Some(judged)) == Sight::Unproved)
        {
            self.count_write(key, writer, judged, weight);
        }
    }

    #[inline(never)] // Nor are most stores.
    fn count_write(&mut self, key: &[u8], writer: SpaceId, judged: &Judged, weight: u64) {
        if let Some(family) = self.of(key, weight, Sight::of(Some(judged))) {
            family.writes += weight;
            family.writers[writer.index()] += weight;
            if let Some(pickle) = &judged.pickle {
                family.see(pickle, "", weight);
            }
        }
    }

    /// A key is used as what versions should share.
    pub(in crate::engine) fn splits(&mut self, key: &[u8], kind: Split) {
        let Some(weight) = self.splits.weight(SPLITS_SAMPLED, false) else {
            return;
        };
        let rules = self.snapshot.as_ref().map(|snapshot| &snapshot.rules);
        let is_held = rules.is_some_and(|rules| {
            let rule = &rules.find(key).rule;
            !rule.prefix.is_empty() && matches!(rule.mode, Mode::Shared | Mode::Guard)
        });
        if let Some(family) = self.of(key, weight, Sight::Split) {
            family.unheld += if is_held { 0 } else { weight };
            match kind {
                Split::Counter => family.counters += weight,
                Split::Lock => family.locks += weight,
            }
        }
    }

    /// A key was read, and maybe used as what versions should share.
    #[cfg(test)]
    pub(crate) fn saw(&mut self, key: &[u8], split: Option<Split>) {
        self.read(key, SpaceId(1), None);
        if let Some(kind) = split {
            self.splits(key, kind);
        }
    }

    /// The family of a key; `None` if it is not known yet.
    fn of(&mut self, key: &[u8], weight: u64, sight: Sight) -> Option<&mut Family> {
        let name = self.namer.as_ref()?.name(key);
        let (at, start) = match self.find(name.as_bytes()) {
            Some(at) => (at, name.start(key)),
            None => self.admit(key, &name, sight)?,
        };
        let namer = self.namer.as_ref()?;
        let family = &mut self.entries[at];
        family.weight += weight;
        family.is_wide |= sight == Sight::Split && namer.is_wide(&family.name, &key[start.len()..]);
        family.begin(start);
        Some(family)
    }

    #[inline]
    fn find(&self, name: &[u8]) -> Option<usize> {
        let is = |at: &u16| self.entries[usize::from(*at)].name.as_bytes() == name;
        let found = self.index.find(hash(&self.hashing, name), is);
        found.map(|&at| usize::from(at))
    }

    // New families ---------------------------------------------------------

    /// Gives a new family a place, or that of one above it that takes it in; with what
    /// the key starts with there.
    #[cold]
    fn admit<'k>(&mut self, key: &'k [u8], name: &Name, sight: Sight) -> Option<(usize, &'k [u8])> {
        let above = self.namer.as_ref()?.above(name);
        for above in above {
            let takes_in = |at: &usize| {
                let family = &self.entries[*at];
                family.absorbs && (sight != Sight::Split || family.has_splits())
            };
            if let Some(at) = self.find(above.as_bytes()).filter(takes_in) {
                return Some((at, above.start(key)));
            }
        }
        let is_full = self.entries.len() == MAX_FAMILIES;
        let known = self.newcomers.meet(hash(&self.hashing, name.as_bytes()));
        if is_full && !known && sight == Sight::Plain {
            return None;
        }
        let at = self.place(name.clone());
        self.until_absorb -= 1;
        if self.until_absorb == 0 {
            let absorbed = self.absorb();
            self.absorb_after = if absorbed {
                ABSORB_AFTER
            } else {
                MAX_ABSORB_AFTER.min(2 * self.absorb_after)
            };
            self.until_absorb = self.absorb_after;
            if absorbed {
                return self.admitted(key, name);
            }
        }
        Some((at, name.start(key)))
    }

    /// The place of a family after others were taken in, and maybe it was.
    fn admitted<'k>(&self, key: &'k [u8], name: &Name) -> Option<(usize, &'k [u8])> {
        let above = self.namer.as_ref()?.above(name);
        let mut all = std::iter::once(name.clone()).chain(above);
        all.find_map(|name| Some((self.find(name.as_bytes())?, name.start(key))))
    }

    /// Nothing yet of a family.
    fn none(&self, name: Name) -> Family {
        Family {
            name,
            writers: vec![0; self.spaces],
            readers: vec![0; self.spaces],
            ..Family::default()
        }
    }

    /// A place for a family that has none.
    fn place(&mut self, name: Name) -> usize {
        let mut family = self.none(name);
        let at = if self.entries.len() < MAX_FAMILIES {
            self.entries.push(family);
            self.entries.len() - 1
        } else {
            self.next = (self.next + SAMPLE) % MAX_FAMILIES;
            let sample = self.next..self.next + SAMPLE;
            let lightest = sample.min_by_key(|&at| self.entries[at].weight);
            let at = lightest.unwrap_or(self.next);
            let old = &mut self.entries[at];
            let old_hash = hash(&self.hashing, old.name.as_bytes());
            if let Ok(gone) = self
                .index
                .find_entry(old_hash, |&place| usize::from(place) == at)
            {
                gone.remove();
            }
            // Half, so that those that come and go do not become heavy by each other.
            family.weight = old.weight / 2;
            *old = family;
            at
        };
        self.list(at);
        at
    }

    fn list(&mut self, at: usize) {
        let (entries, hashing) = (&self.entries, &self.hashing);
        let hash = |at: usize| hash(hashing, entries[at].name.as_bytes());
        self.index
            .insert_unique(hash(at), at as u16, |&at| hash(usize::from(at)));
    }

    /// Takes the many light families below one into it; whether there were any.
    fn absorb(&mut self) -> bool {
        let mut has_absorbed = false;
        // One at a time: what is taken in is no longer below those further up.
        while let Some((above, light)) = self.too_many() {
            let known = self.find(above.as_bytes());
            // One that is not there takes the place of one of its own.
            let at = known.unwrap_or(light[0]);
            if known.is_none() {
                let family = self.none(above);
                let first = std::mem::replace(&mut self.entries[at], family);
                self.entries[at].take_in(&first);
            }
            self.entries[at].absorbs = true;
            for &place in light.iter().filter(|&&place| place != at) {
                let below = std::mem::take(&mut self.entries[place]);
                self.entries[at].take_in(&below);
            }
            self.entries
                .retain(|family| !family.name.as_bytes().is_empty());
            self.index.clear();
            for at in 0..self.entries.len() {
                self.list(at);
            }
            has_absorbed = true;
        }
        has_absorbed
    }

    /// The family furthest down with too many light ones below it, and where these are.
    fn too_many(&self) -> Option<(Name, Vec<usize>)> {
        let namer = self.namer.as_ref()?;
        let mut below: HashMap<Vec<u8>, (Name, u64, Vec<usize>)> = HashMap::new();
        for (at, family) in self.entries.iter().enumerate() {
            for above in namer.above(&family.name) {
                let entry = below.entry(above.as_bytes().to_vec());
                let (_, weight, all) = entry.or_insert_with(|| (above, 0, Vec::new()));
                *weight += family.weight;
                all.push(at);
            }
        }
        for family in &self.entries {
            if let Some((_, weight, _)) = below.get_mut(family.name.as_bytes()) {
                *weight += family.weight;
            }
        }
        let crowded = below.into_values().filter_map(|(above, weight, mut all)| {
            all.retain(|&at| self.entries[at].weight < weight / LIGHT);
            // Counters and locks are no values among others, unless they are many, too.
            let split = |at: &usize| self.entries[*at].has_splits();
            let (splits, others): (Vec<_>, Vec<_>) = all.into_iter().partition(split);
            let mut light = [splits, others].into_iter();
            Some((above, light.find(|light| light.len() > MANY)?))
        });
        // Of two that are as long it does not matter which, but always the same.
        crowded.max_by_key(|(above, _)| (above.as_bytes().len(), above.as_bytes().to_vec()))
    }
}

/// The news of a family with one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sight {
    Plain,
    /// A pickle that may not be loadable.
    Unproved,
    /// A counter or a lock.
    Split,
}

impl Sight {
    #[inline]
    fn of(judged: Option<&Judged>) -> Self {
        let pickle = judged.and_then(|judged| judged.pickle.as_ref());
        if pickle.is_some_and(|pickle| pickle.reason.is_some()) {
            Self::Unproved
        } else {
            Self::Plain
        }
    }
}

/// Chooses which of many are counted, and for how many each.
#[derive(Debug, Default)]
struct Sampler {
    seen: u64,
}

impl Sampler {
    #[inline]
    fn weight(&mut self, one_in: u64, always: bool) -> Option<u64> {
        self.seen += 1;
        if self.seen <= COUNTED || always {
            Some(1)
        } else if self.seen.wrapping_mul(SPREAD) < u64::MAX / one_in {
            Some(one_in)
        } else {
            None
        }
    }
}

/// Names that came once lately, by their hashes: some of those that did not are taken
/// for one.
#[derive(Debug)]
struct Newcomers {
    bits: Box<[u64; NEWCOMERS / 64]>,
    met: usize,
}

impl Default for Newcomers {
    fn default() -> Self {
        Self {
            bits: Box::new([0; NEWCOMERS / 64]),
            met: 0,
        }
    }
}

impl Newcomers {
    /// Whether this one came before; from now on it did.
    fn meet(&mut self, hash: u64) -> bool {
        let at = (hash >> 32) as usize % NEWCOMERS;
        let (word, bit) = (&mut self.bits[at / 64], 1 << (at % 64));
        if *word & bit != 0 {
            return true;
        }
        // A quarter is wrong at the most.
        if self.met == NEWCOMERS / 4 {
            self.bits.fill(0);
            self.met = 0;
            return false;
        }
        *word |= bit;
        self.met += 1;
        false
    }
}

impl Family {
    /// Whether some of its keys are what versions should share.
    fn has_splits(&self) -> bool {
        self.counters + self.locks > 0
    }

    /// A key of it starts so.
    fn begin(&mut self, start: &[u8]) {
        if self.starts.iter().any(|known| **known == *start) {
            return;
        }
        if self.starts.len() < MAX_STARTS {
            self.starts.push(start.into());
        } else {
            self.has_more_starts = true;
        }
    }

    fn see(&mut self, pickle: &Pickle, blamed: &str, weight: u64) {
        self.protocols[place_of(pickle.protocol)] += weight;
        let reason = pickle.reason.unwrap_or(NO_REASON);
        match pickle.verdict {
            Verdict::Loadable => self.loadable += weight,
            Verdict::NotLookedAt => self.not_looked_at += weight,
            Verdict::Unknown => self.unknown.add(reason),
            Verdict::Unloadable => self.unloadable.add(reason),
        }
        if pickle.reason.is_some() && !blamed.is_empty() {
            self.blame(blamed, 1);
        }
    }

    /// All of one below it is its own.
    fn take_in(&mut self, below: &Self) {
        let spelled = |family: &Self| family.name.spelled_bytes();
        let cut = spelled(below).saturating_sub(spelled(self));
        for start in &below.starts {
            self.begin(&start[..start.len() - cut.min(start.len())]);
        }
        self.has_more_starts |= below.has_more_starts;
        self.absorbs |= below.absorbs;
        self.is_wide |= below.has_splits();
        let add = |sums: &mut [u64], counts: &[u64]| {
            for (sum, count) in sums.iter_mut().zip(counts) {
                *sum += count;
            }
        };
        add(&mut self.protocols, &below.protocols);
        add(&mut self.writers, &below.writers);
        add(&mut self.readers, &below.readers);
        self.reads += below.reads;
        self.hits += below.hits;
        self.hidden += below.hidden;
        self.writes += below.writes;
        self.loadable += below.loadable;
        self.not_looked_at += below.not_looked_at;
        self.counters += below.counters;
        self.locks += below.locks;
        self.unheld += below.unheld;
        self.weight += below.weight;
        self.unloadable.add_all(&below.unloadable);
        self.unknown.add_all(&below.unknown);
        for (global, count) in &below.globals {
            self.blame(global, *count);
        }
    }

    #[cold]
    fn blame(&mut self, global: &str, count: u64) {
        let known = self.globals.iter().position(|(name, _)| name == global);
        match known {
            Some(at) => self.globals[at].1 += count,
            None if self.globals.len() < MAX_GLOBALS => {
                self.globals.push((global.to_owned(), count));
            }
            None => {}
        }
    }
}

#[inline]
fn hash(hashing: &RandomState, name: &[u8]) -> u64 {
    let mut hasher = hashing.build_hasher();
    hasher.write(name);
    hasher.finish()
}

#[cfg(test)]
mod tests;
