//! Tells what was seen of a family of keys, by all workers, and which mode it needs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::engine::{Family, PROTOCOLS};
use crate::policy::family::Name;
use crate::policy::{Compiled, KeyCodec, Mode, Rules, SpaceId};

/// Counters and locks without any pickle until a family is taken to hold nothing else,
/// where its name does not say so.
const MIN_SPLITS: u64 = 100;
/// Pickles stored and read for each that is a lock, at the most, where nothing else is.
const PICKLES_OF_A_LOCK: u64 = 10;

/// The counts of one family, by all workers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FamilyReport {
    /// The name: `#` in it stands for digits, `*` for what varies, `<word>` and the like
    /// for a kind of it.
    pub family: String,
    /// The part of its keys that the name tells.
    pub shape: Shape,
    /// The prefixes of its keys, as far as the name spells them out. They differ in
    /// their heads.
    pub starts: Vec<String>,
    /// True if there are others than those.
    pub more_starts: bool,
    /// Keys read.
    pub reads: u64,
    /// Values stored.
    pub writes: u64,
    /// Reads that found a value.
    pub hits: u64,
    /// Reads whose value was kept from the reader.
    pub hidden: u64,
    /// Reads that found nothing.
    pub misses: u64,
    /// Pickles read and stored, by protocol.
    pub protocols: BTreeMap<String, u64>,
    /// Stores by namespace.
    pub writers: BTreeMap<String, u64>,
    /// Reads by namespace.
    pub readers: BTreeMap<String, u64>,
    /// Pickles read and stored that were looked at and are loadable.
    pub loadable: u64,
    /// Pickles that are not loadable, by reason.
    pub unloadable: BTreeMap<String, u64>,
    /// Pickles that were looked at and not understood, by reason.
    pub unknown: BTreeMap<String, u64>,
    /// Pickles of which not all was looked at.
    pub not_looked_at: u64,
    /// The globals that those name that are not proved loadable.
    pub globals: Vec<String>,
    /// Requests that count.
    pub counters: u64,
    /// Stores that look like locks.
    pub locks: u64,
    /// True if the name may be of more than the keys that are counters and locks.
    pub wide: bool,
    /// Counters and locks that no rule of their own keeps in one copy for all
    /// versions.
    pub unheld: u64,
    /// The advice on it.
    pub advice: Advice,
    /// The counts behind that.
    pub why: String,
}

/// The part of a family's keys that its name tells.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Shape {
    /// The prefix: whatever starts with one of `starts` is of the family.
    #[default]
    Prefix,
    /// The prefix and the end: other keys start so, too.
    Ends,
    /// The kind of their beginning.
    Kind,
}

/// The advice on a family.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Advice {
    /// Keep the rule: one version uses the family, or its values were not looked at.
    #[default]
    Leave,
    /// Share one copy among all versions: the family holds numbers or locks, and no
    /// pickles.
    Share,
    /// Keep one copy for all: what crosses can be loaded.
    Guard,
    /// A copy for each version: what crosses cannot be loaded.
    Isolate,
}

impl Advice {
    /// The mode of its rule; `None` where it needs none.
    pub(super) fn mode(self) -> Option<Mode> {
        match self {
            Self::Leave => None,
            Self::Share => Some(Mode::Shared),
            Self::Guard => Some(Mode::Guard),
            Self::Isolate => Some(Mode::Isolate),
        }
    }

    /// Whether its mode also suits a family with that advice.
    fn suits(self, other: Self) -> bool {
        match self {
            Self::Leave => true,
            Self::Share => other == Self::Share,
            Self::Guard => other != Self::Isolate,
            Self::Isolate => matches!(other, Self::Isolate | Self::Leave),
        }
    }
}

/// Adds what a worker saw to what others did.
pub fn merge(all: &mut BTreeMap<String, FamilyReport>, codec: &KeyCodec, families: &[Family]) {
    let name = |space: usize| match codec.name(SpaceId(space as u8)) {
        "" => "untagged".to_owned(),
        name => name.to_owned(),
    };
    for family in families {
        let key = String::from_utf8_lossy(family.name.as_bytes()).into_owned();
        let report = all.entry(key.clone()).or_default();
        report.family = key;
        report.shape = Shape::of(&family.name);
        report.more_starts |= family.has_more_starts;
        for start in &family.starts {
            let start = String::from_utf8_lossy(start).into_owned();
            if !report.starts.contains(&start) {
                report.starts.push(start);
            }
        }
        report.reads += family.reads;
        report.writes += family.writes;
        report.hits += family.hits;
        report.hidden += family.hidden;
        report.misses += family.reads - family.hits - family.hidden;
        report.counters += family.counters;
        report.locks += family.locks;
        report.unheld += family.unheld;
        report.wide |= family.is_wide;
        report.loadable += family.loadable;
        report.not_looked_at += family.not_looked_at;
        add(
            &mut report.protocols,
            PROTOCOLS.map(str::to_owned),
            &family.protocols,
        );
        add(
            &mut report.writers,
            (0..family.writers.len()).map(name),
            &family.writers,
        );
        add(
            &mut report.readers,
            (0..family.readers.len()).map(name),
            &family.readers,
        );
        for (sums, counts) in [
            (&mut report.unloadable, &family.unloadable),
            (&mut report.unknown, &family.unknown),
        ] {
            for (reason, count) in counts.iter() {
                *sums.entry(reason.to_owned()).or_default() += count;
            }
        }
        for (global, _) in &family.globals {
            if !report.globals.contains(global) {
                report.globals.push(global.clone());
            }
        }
    }
}

fn add(sums: &mut BTreeMap<String, u64>, names: impl IntoIterator<Item = String>, counts: &[u64]) {
    let pairs = names.into_iter().zip(counts);
    for (name, count) in pairs.filter(|(_, count)| **count > 0) {
        *sums.entry(name).or_default() += count;
    }
}

impl Shape {
    fn of(name: &Name) -> Self {
        if name.is_start() {
            Self::Prefix
        } else if name.has_kind() {
            Self::Kind
        } else {
            Self::Ends
        }
    }
}

impl FamilyReport {
    /// Pickles read and stored.
    pub(super) fn pickles(&self) -> u64 {
        self.protocols.values().sum()
    }

    /// The rules that its keys are under.
    pub(super) fn rules<'r>(&'r self, rules: &'r Rules) -> impl Iterator<Item = &'r Compiled> {
        self.starts.iter().map(|start| rules.find(start.as_bytes()))
    }

    /// Whether too little is known to say that all its keys are counters or locks.
    pub(super) fn may_hold_more(&self) -> bool {
        self.wide && (self.pickles() > 0 || self.counters + self.locks < MIN_SPLITS)
    }

    /// Whether its prefixes are its alone, so that a rule with the mode of its advice
    /// does no harm to another family.
    pub(super) fn has_prefixes(&self, families: &[Self]) -> bool {
        let is_told = |start: &String| !start.is_empty() && !start.contains('\u{fffd}');
        let others = || families.iter().filter(|other| other.family != self.family);
        let is_free = |start: &String| {
            let below = |other: &&Self| other.starts.iter().any(|s| s.starts_with(&**start));
            others()
                .filter(below)
                .all(|other| self.advice.suits(other.advice))
        };
        self.shape == Shape::Prefix
            && !self.more_starts
            && !self.may_hold_more()
            && self
                .starts
                .iter()
                .all(|start| is_told(start) && is_free(start))
    }
}

/// Advises on a family, and says which counts are behind that.
pub(super) fn judge(family: &FamilyReport) -> (Advice, String) {
    let versions = family.readers.keys().chain(family.writers.keys());
    let versions: BTreeSet<_> = versions.collect();
    let (reads, writes, pickles) = (family.reads, family.writes, family.pickles());
    let what = [
        (family.counters, "as a counter"),
        (family.locks, "as a lock"),
    ];
    let told = what.into_iter().filter(|(count, _)| *count > 0);
    let used: Vec<_> = told
        .map(|(count, what)| format!("{} {what}", times(count)))
        .collect();
    let used = used.join(" and ");
    if !used.is_empty() && pickles == 0 {
        return (Advice::Share, format!("used {used}"));
    }
    if let (Some(only), 1) = (versions.first(), versions.len()) {
        let why = format!("only {only}: {reads} reads, {writes} stores");
        return (Advice::Leave, why);
    }
    // Pickles are not for everybody: they are kept where they are looked at.
    if !used.is_empty() {
        let is_pickled = family.counters == 0 && pickles <= PICKLES_OF_A_LOCK * family.locks;
        let how = if is_pickled {
            "that is a pickle".to_owned()
        } else {
            format!("beside {pickles} pickles")
        };
        let why = format!("used {used} {how}: one copy is for all versions");
        return (Advice::Guard, why);
    }
    for (counts, what) in [
        (&family.unloadable, "not loadable"),
        (&family.unknown, "not understood"),
    ] {
        if counts.is_empty() {
            continue;
        }
        let sum: u64 = counts.values().sum();
        let reasons: Vec<_> = counts
            .iter()
            .map(|(reason, count)| format!("{reason} {count}"))
            .collect();
        let mut why = format!("{sum} of {pickles} pickles {what} ({})", reasons.join(", "));
        if !family.globals.is_empty() {
            let _ = write!(why, ", for {}", family.globals.join(", "));
        }
        return (Advice::Isolate, why);
    }
    let newest = family.protocols.keys().rfind(|name| name.as_str() > "2");
    match newest.filter(|name| name.as_str() <= "5") {
        Some(protocol) => {
            let why = format!("pickles of protocol {protocol} in a family that versions share");
            (Advice::Isolate, why)
        }
        None if family.not_looked_at > 0 => {
            let why = format!(
                "{} of {pickles} pickles not looked at",
                family.not_looked_at
            );
            (Advice::Leave, why)
        }
        None => {
            let what = match pickles {
                0 => "no pickles".to_owned(),
                _ => format!("all {pickles} pickles loadable"),
            };
            let why = format!("{reads} reads and {writes} stores of several versions, {what}");
            (Advice::Guard, why)
        }
    }
}

fn times(count: u64) -> String {
    match count {
        1 => "once".to_owned(),
        _ => format!("{count} times"),
    }
}
