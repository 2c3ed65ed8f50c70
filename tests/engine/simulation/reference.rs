//! Reference of the simulation: a log of all operations with the steps in which they
//! began and were acknowledged, and the claims that each reply is held against.
//!
//! Of two operations one is before the other if its client had the reply before
//! the other's client sent the request. An operation that was answered by an error,
//! or by nothing, may be carried out at any time: no claim rests on it.
//!
//! No stale read: for no read there is a change C such that the store of the value
//! read is before C, and C before the read. Changes are
//!
//! - deletes, and stores that the rule rejects;
//! - under `strict`, all stores but those by `add`, which change nothing;
//! - under `fill-aware`, each `cas` and `replace`, and each `set` for whose key no miss of this
//!   namespace that went through this sidecar may have been remembered: of the last
//!   seconds there is one miss at most, it was before another store, and that before
//!   this one.
//!
//! A fill that is under way while somebody deletes is not before that delete: what
//! it stores may stay, as it would with a plain memcached.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt::Display;

use picklegate::engine::FILL_WINDOW_US;
use picklegate::protocol::request::Verb;

use super::value::{Python, Stamp, stamp_of};

/// Events of one key that are kept for a failure.
const EVENTS: usize = 60;
/// The memory of misses counts in ticks of half a second, and rounds.
const WINDOW_US: u64 = FILL_WINDOW_US + 2 * (1 << 19);

/// Counts of each kind of event.
#[derive(Debug, Default, Clone)]
pub(crate) struct Counts(HashMap<&'static str, u64>);

impl Counts {
    pub(crate) fn add(&mut self, what: &'static str, times: u64) {
        *self.0.entry(what).or_default() += times;
    }

    pub(crate) fn of(&self, what: &str) -> u64 {
        self.0.get(what).copied().unwrap_or_default()
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (what, times) in &other.0 {
            self.add(what, *times);
        }
    }
}

impl Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut all: Vec<_> = self.0.iter().collect();
        all.sort();
        for (what, times) in all {
            writeln!(f, "{times:9} {what}")?;
        }
        Ok(())
    }
}

/// Client of an operation, and its sidecar.
#[derive(Clone, Copy)]
pub(crate) struct Asker {
    pub(crate) client: usize,
    pub(crate) sidecar: usize,
    pub(crate) python: Python,
}

impl Display for Asker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            client,
            sidecar,
            python,
        } = self;
        write!(f, "sidecar {sidecar}, client {client}, {python:?}")
    }
}

/// Start of an operation, with the knowledge about its key at that time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Begun {
    step: u64,
    us: u64,
    /// Start of the last change that was acknowledged before.
    changed: u64,
    /// Start of the last store of this namespace and sidecar that was answered before.
    taken: u64,
}

impl Begun {
    pub(crate) fn is_after(&self, step: u64) -> bool {
        self.step > step
    }
}

#[derive(Debug)]
struct Store {
    key: usize,
    /// Step of the acknowledgement.
    end: Option<u64>,
}

/// The misses of one namespace through one sidecar, of one key.
#[derive(Debug, Default)]
struct Misses {
    /// Reads under way, or given up by their clients.
    reading: u32,
    /// Recent misses: step and clock of each.
    told: VecDeque<(u64, u64)>,
    /// Start of the last store that was answered.
    taken: u64,
}

#[derive(Debug, Default)]
struct Key {
    row: u64,
    /// Start of the last change that was acknowledged.
    changed: u64,
    /// Acknowledgement of the first store.
    first: Option<u64>,
    /// By sidecar and Python.
    misses: [[Misses; 2]; 2],
}

/// A number that only goes up, one by one.
#[derive(Debug, Default)]
struct Counter {
    begun: u64,
    acknowledged: HashSet<u64>,
    highest: u64,
    doubtful: u64,
}

/// Degree to which a namespace may be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coherence {
    Deletes,
    FillAware,
    Strict,
}

#[derive(Debug)]
pub(crate) struct Reference {
    title: String,
    coherence: Coherence,
    pub(crate) step: u64,
    pub(crate) now_us: u64,
    names: Vec<String>,
    keys: Vec<Key>,
    stores: Vec<Store>,
    /// Locks that are held, by their names.
    held: HashSet<String>,
    counters: HashMap<String, Counter>,
    events: HashMap<String, VecDeque<String>>,
    pub(crate) counts: Counts,
}

impl Reference {
    pub(crate) fn new(title: String, coherence: Coherence, names: &[String]) -> Self {
        Self {
            title,
            coherence,
            step: 0,
            now_us: 1,
            names: names.to_vec(),
            keys: names.iter().map(|_| Key::default()).collect(),
            stores: Vec::new(),
            held: HashSet::new(),
            counters: HashMap::new(),
            events: HashMap::new(),
            counts: Counts::default(),
        }
    }

    // Failures -------------------------------------------------------------

    /// Notes what happened to a key.
    pub(crate) fn note(&mut self, name: &str, event: impl Display) {
        let event = format!("{:7} {event}", self.step);
        self.push_event("", format!("{event} ({name})"));
        self.push_event(name, event);
    }

    /// Records an event; one without a key belongs to all.
    fn push_event(&mut self, name: &str, event: String) {
        let events = self.events.entry(name.to_owned()).or_default();
        if events.len() == EVENTS {
            events.pop_front();
        }
        events.push_back(event);
    }

    fn note_key(&mut self, key: usize, by: Asker, event: impl Display) {
        let name = self.names[key].clone();
        self.note(&name, format_args!("{by}: {event}"));
    }

    /// Notes what happened to all keys.
    pub(crate) fn note_all(&mut self, event: impl Display) {
        for name in self.names.clone() {
            self.note(&name, &event);
        }
    }

    #[track_caller]
    pub(crate) fn claim(&self, name: &str, holds: bool, message: impl Display) {
        if !holds {
            let events = self.events.get(name).into_iter().flatten();
            let events: Vec<&str> = events.map(String::as_str).collect();
            panic!(
                "{}, step {}, key {name}: {message}\n{}",
                self.title,
                self.step,
                events.join("\n")
            );
        }
    }

    // Beginnings -----------------------------------------------------------

    fn begun(&self, key: usize, by: Asker) -> Begun {
        let key = &self.keys[key];
        Begun {
            step: self.step,
            us: self.now_us,
            changed: key.changed,
            taken: key.misses[by.sidecar][by.python as usize].taken,
        }
    }

    fn misses(&mut self, key: usize, by: Asker) -> &mut Misses {
        &mut self.keys[key].misses[by.sidecar][by.python as usize]
    }

    /// The version of a key's row.
    pub(crate) fn row(&self, key: usize) -> u64 {
        self.keys[key].row
    }

    /// Changes a key's row.
    pub(crate) fn bump(&mut self, key: usize) -> u64 {
        self.keys[key].row += 1;
        self.keys[key].row
    }

    pub(crate) fn begin_read(&mut self, key: usize, by: Asker) -> Begun {
        self.misses(key, by).reading += 1;
        self.note_key(key, by, "reads");
        self.begun(key, by)
    }

    pub(crate) fn begin_store(&mut self, key: usize, row: u64, by: Asker) -> (Stamp, Begun) {
        let store = self.stores.len();
        self.stores.push(Store { key, end: None });
        self.note_key(key, by, format_args!("stores {store} of row {row}"));
        (Stamp { key, store, row }, self.begun(key, by))
    }

    pub(crate) fn begin_delete(&mut self, key: usize, by: Asker) -> Begun {
        self.note_key(key, by, "deletes");
        self.begun(key, by)
    }

    // Replies to reads -----------------------------------------------------

    /// A read was answered by nothing.
    pub(crate) fn missed(&mut self, key: usize, by: Asker, begun: Begun) {
        self.note_key(key, by, format_args!("missed (read at {})", begun.step));
        self.count_candidate(key, begun);
        self.end_miss(key, by);
    }

    /// A read was answered by an error: it may have been a miss before.
    pub(crate) fn read_failed(&mut self, key: usize, by: Asker, begun: Begun) {
        self.note_key(key, by, format_args!("failed to read (at {})", begun.step));
        self.end_miss(key, by);
    }

    fn end_miss(&mut self, key: usize, by: Asker) {
        let now = (self.step, self.now_us);
        let misses = self.misses(key, by);
        misses.reading -= 1;
        misses.told.push_back(now);
    }

    /// A read was answered by a value; `guarded` if its reader must be able to load
    /// it.
    pub(crate) fn read(
        &mut self,
        key: usize,
        by: Asker,
        begun: Begun,
        value: &[u8],
        guarded: bool,
    ) {
        self.misses(key, by).reading -= 1;
        let name = self.names[key].clone();
        let stamp = stamp_of(value);
        self.claim(&name, stamp.is_some(), "a value that nobody wrote");
        let Some(stamp) = stamp else { return };
        self.note_key(key, by, format_args!("read (at {}) {stamp:?}", begun.step));
        self.claim(&name, stamp.key == key, "a value of another key");
        let store = self.stores.get(stamp.store);
        let is_its = store.is_some_and(|store| store.key == key);
        self.claim(&name, is_its, "a value of another store");
        let end = store.and_then(|store| store.end);
        let is_stale = end.is_some_and(|end| end < begun.changed);
        self.claim(
            &name,
            !is_stale,
            format_args!(
                "STALE: stored up to {end:?}, changed from {} on, read from {} on",
                begun.changed, begun.step
            ),
        );
        let loads = by.python.loads(value);
        self.claim(
            &name,
            loads || !guarded,
            "WRONG READER: it cannot load that",
        );
        self.counts.add("hits", 1);
        self.counts.add("hits, guarded", u64::from(guarded));
        self.counts.add("hits, unloadable", u64::from(!loads));
        self.count_candidate(key, begun);
    }

    /// Counts a read that a stale value could have been the answer to.
    fn count_candidate(&mut self, key: usize, begun: Begun) {
        let first = self.keys[key].first;
        let stale = first.is_some_and(|first| first < begun.changed);
        self.counts.add("stale candidates", u64::from(stale));
    }

    // Replies to changes ---------------------------------------------------

    fn changed(&mut self, key: usize, begun: Begun) {
        let changed = &mut self.keys[key].changed;
        *changed = begun.step.max(*changed);
    }

    pub(crate) fn deleted(&mut self, key: usize, by: Asker, begun: Begun) {
        self.note_key(key, by, format_args!("deleted (from {} on)", begun.step));
        self.counts.add("deletes", 1);
        self.changed(key, begun);
    }

    /// A store took effect.
    pub(crate) fn stored(&mut self, verb: Verb, by: Asker, stamp: Stamp, begun: Begun) {
        let key = stamp.key;
        let is_change = match (self.coherence, verb) {
            (Coherence::Deletes, _) | (_, Verb::Add) => false,
            (Coherence::Strict, _) | (Coherence::FillAware, Verb::Cas | Verb::Replace) => true,
            (Coherence::FillAware, _) => self.is_surely_no_fill(key, by, begun),
        };
        self.note_key(
            key,
            by,
            format_args!("stored {} (from {} on)", stamp.store, begun.step),
        );
        let end = self.step;
        self.stores[stamp.store].end = Some(end);
        self.keys[key].first.get_or_insert(end);
        if matches!(verb, Verb::Set | Verb::Add) {
            self.end_store(key, by, begun);
        }
        self.counts.add("stores", 1);
        if is_change {
            self.counts.add("stores that change", 1);
            self.changed(key, begun);
        }
    }

    fn is_surely_no_fill(&mut self, key: usize, by: Asker, begun: Begun) -> bool {
        let misses = self.misses(key, by);
        let is_old = |&(_, us): &(u64, u64)| us + WINDOW_US < begun.us;
        while misses.told.front().is_some_and(is_old) {
            misses.told.pop_front();
        }
        let mut told = misses.told.iter();
        let is_taken = told.next().is_none_or(|&(step, _)| step < begun.taken);
        misses.reading == 0 && is_taken && told.next().is_none()
    }

    fn end_store(&mut self, key: usize, by: Asker, begun: Begun) {
        let taken = &mut self.misses(key, by).taken;
        *taken = begun.step.max(*taken);
    }

    /// A store found its condition not met.
    pub(crate) fn not_stored(&mut self, key: usize, by: Asker, begun: Begun) {
        self.note_key(key, by, format_args!("not stored (from {} on)", begun.step));
    }

    /// A store was rejected: every copy is deleted.
    pub(crate) fn rejected(&mut self, key: usize, by: Asker, begun: Begun) {
        self.note_key(key, by, format_args!("rejected (from {} on)", begun.step));
        self.counts.add("stores rejected", 1);
        self.changed(key, begun);
    }

    /// A change was answered by an error, or will never be.
    pub(crate) fn change_failed(&mut self, key: usize, by: Asker, begun: Begun) {
        self.note_key(key, by, format_args!("in doubt (from {} on)", begun.step));
        self.counts.add("changes in doubt", 1);
    }

    // Locks and counters ---------------------------------------------------

    /// A lock was got.
    pub(crate) fn locked(&mut self, name: &str, client: usize) {
        self.note(name, format_args!("client {client} got it"));
        let is_free = self.held.insert(name.to_owned());
        self.claim(name, is_free, "LOST LOCK: two clients hold it");
        self.counts.add("locks", 1);
    }

    /// Begins the release of a lock by its holder.
    pub(crate) fn release(&mut self, name: &str, client: usize) {
        self.note(name, format_args!("client {client} gives it back"));
        self.held.remove(name);
    }

    pub(crate) fn begin_count(&mut self, name: &str) -> u64 {
        let counter = self.counters.entry(name.to_owned()).or_default();
        counter.begun += 1;
        counter.highest
    }

    /// A counter was moved to this number; `before` is the highest that was
    /// acknowledged before that began.
    pub(crate) fn counted(&mut self, name: &str, number: u64, before: u64) {
        self.note(name, format_args!("{number}, before {before}"));
        let counter = self.counters.entry(name.to_owned()).or_default();
        let begun = counter.begun;
        let is_new = counter.acknowledged.insert(number);
        counter.highest = counter.highest.max(number);
        self.claim(name, is_new, "LOST COUNT: a number was given twice");
        self.claim(name, number > before, "LOST COUNT: it went back");
        self.claim(name, number <= begun, "more than was asked for");
        self.counts.add("counts", 1);
    }

    /// A counter may have been moved, or may yet be.
    pub(crate) fn count_in_doubt(&mut self, name: &str) {
        self.note(name, "in doubt");
        self.counters.entry(name.to_owned()).or_default().doubtful += 1;
    }

    /// Checks the final value of a counter.
    pub(crate) fn end_count(&self, name: &str, number: u64) {
        let Some(counter) = self.counters.get(name) else {
            return;
        };
        let least = counter.acknowledged.len() as u64;
        let holds = (least..=least + counter.doubtful).contains(&number);
        self.claim(
            name,
            holds,
            format_args!("LOST COUNT: {number} in the end, {least} acknowledged"),
        );
    }
}
