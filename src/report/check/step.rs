//! The step from one configuration to another: what changes, which keys move, and
//! what stands against it. Knows no file.
//!
//! Sidecars do not reload at the same moment: while some run the old configuration
//! and others the new one, a copy that is read under either must be reached by the
//! deletes under both, and, where that is promised, by the writes. Two stores hold
//! what is read: the bare key, and each namespace at its epoch. So
//!
//! - keys move between them, or are read through to others, only while deletes of
//!   either side reach all copies;
//! - a namespace, or an epoch, is read only on one side if the other one knows it;
//! - whatever a rule did not reach before stays as it is: as only pairs are
//!   compared, it is told where the rule begins to reach it, not where it is read.

use std::fmt::{self, Display};

use super::hazard::{Hazard, Side};
use crate::config::{Config, SETTINGS, Word};
use crate::policy::{BUCKETS, Compiled, OnMiss, Plan, Reach, Rule, Sniff, WriteKind};
use crate::protocol::request::Verb;
use crate::report::explain::family;
use crate::report::table::aligned;

mod namespaces;
mod settings;

/// A setting that changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// A family of keys, a namespace, a listener or the like.
    pub what: String,
    /// The change, in words.
    pub how: String,
}

/// The difference between two configurations; its display is for people.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Step {
    /// The changes.
    pub changes: Vec<Change>,
    /// The hazards: what stands against the step, and what is to be known about it.
    pub hazards: Vec<Hazard>,
}

/// Compares two configurations.
pub fn step(old: &Config, new: &Config) -> Step {
    let mut compared = Comparison {
        old,
        new,
        step: Step::default(),
    };
    compared.families();
    compared.namespaces();
    compared.tags();
    compared.settings();
    compared.step
}

impl Step {
    /// The hazards for which the step is refused.
    pub fn refused(&self) -> impl Iterator<Item = &Hazard> {
        self.hazards.iter().filter(|hazard| hazard.is_refused())
    }

    /// The other hazards.
    pub fn warnings(&self) -> impl Iterator<Item = &Hazard> {
        self.hazards.iter().filter(|hazard| !hazard.is_refused())
    }

    /// Tells whether it may be taken.
    pub fn is_accepted(&self) -> bool {
        self.refused().next().is_none()
    }

    /// The answer in one line.
    pub fn conclusion(&self) -> String {
        match (self.refused().count(), self.warnings().count()) {
            (0, 0) if self.changes.is_empty() => "nothing changes".to_owned(),
            (0, 0) => "this step is safe".to_owned(),
            (0, 1) => "no reason against this step; 1 warning".to_owned(),
            (0, warnings) => format!("no reason against this step; {warnings} warnings"),
            (1, _) => "1 reason against this step".to_owned(),
            (reasons, _) => format!("{reasons} reasons against this step"),
        }
    }
}

/// Writes all but the conclusion.
impl Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.changes.is_empty() {
            writeln!(f, "changes\n{}", aligned(&self.rows()))?;
        }
        let refused: Vec<_> = self.refused().collect();
        let warnings: Vec<_> = self.warnings().collect();
        for (title, hazards) in [("refused", refused), ("warnings", warnings)] {
            if hazards.is_empty() {
                continue;
            }
            writeln!(f, "{title}")?;
            for hazard in hazards {
                let remedy = hazard.remedy();
                let word = if hazard.is_refused() {
                    "instead"
                } else {
                    "better"
                };
                writeln!(f, "  {hazard}\n    {word}: {remedy}")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

impl Step {
    /// Lists the changes; each is named once for all that it is about.
    fn rows(&self) -> Vec<Vec<String>> {
        let mut named = "";
        let mut rows = Vec::new();
        for change in &self.changes {
            let what = if named == change.what {
                ""
            } else {
                &change.what
            };
            rows.push(vec![what.to_owned(), change.how.clone()]);
            named = &change.what;
        }
        rows
    }
}

/// The changes through one copy that reach the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Reached {
    Nothing,
    Deletes,
    Writes,
}

impl Reached {
    fn by(plan: &Plan) -> Self {
        match plan.reach(WriteKind::Plain) {
            Reach::Never if !plan.deletes_reach => Self::Nothing,
            Reach::Never => Self::Deletes,
            Reach::UnlessFill | Reach::Always => Self::Writes,
        }
    }
}

/// Tells whether a miss of an isolated key is answered with another copy.
fn reads_on(plan: &Plan) -> bool {
    plan.on_miss(Verb::Get).contains(OnMiss::THROUGH)
}

/// Says what is seen of values from now on, or no more.
fn seen(sniff: Sniff) -> &'static str {
    match sniff {
        Sniff::Full => ": all of a value is looked at",
        Sniff::Header => ": only the protocol of a value is looked at, not what it holds",
        Sniff::Off => ": values are not looked at",
    }
}

struct Comparison<'c> {
    old: &'c Config,
    new: &'c Config,
    step: Step,
}

impl Comparison<'_> {
    fn change(&mut self, what: &str, how: impl Into<String>) {
        self.step.changes.push(Change {
            what: what.to_owned(),
            how: how.into(),
        });
    }

    /// Notes a setting that is not what it was.
    fn setting(&mut self, what: &str, name: &str, old: impl Display, new: impl Display) -> bool {
        let (old, new) = (old.to_string(), new.to_string());
        let differs = old != new;
        if differs {
            self.change(what, format!("{name} {old} -> {new}").trim_start());
        }
        differs
    }

    fn word<W: Word>(&mut self, what: &str, name: &str, old: W, new: W) -> bool {
        self.setting(what, name, old.word(), new.word())
    }

    // Families of keys -----------------------------------------------------

    /// Compares the rules of each prefix that either configuration has, the catch-all
    /// last.
    fn families(&mut self) {
        let (old, new) = (&self.old.snapshot.rules, &self.new.snapshot.rules);
        let rules = old.iter().chain(new.iter());
        let mut prefixes: Vec<&[u8]> = rules.map(|compiled| &*compiled.rule.prefix).collect();
        prefixes.sort_unstable();
        prefixes.dedup();
        prefixes.rotate_left(1);
        for prefix in prefixes {
            self.family(&family(prefix), old.find(prefix), new.find(prefix));
        }
    }

    fn family(&mut self, name: &str, old: &Compiled, new: &Compiled) {
        let isolated = (old.plans.isolated(), new.plans.isolated());
        self.words(name, &old.rule, &new.rule, isolated);
        self.stale_copies(name, old, new);
    }

    /// Tells which settings are not what they were, and which keys move.
    fn words(&mut self, name: &str, old: &Rule, new: &Rule, isolated: (u64, u64)) {
        self.word(name, "mode", old.mode, new.mode);
        self.moved(name, isolated.0, isolated.1);
        for setting in SETTINGS {
            let (before, after) = ((setting.of)(old), (setting.of)(new));
            if before != after {
                let told = match setting.name {
                    "sniff" => seen(new.sniff),
                    _ => "",
                };
                self.change(name, format!("{} {before} -> {after}{told}", setting.name));
            }
        }
    }

    /// Tells which keys are stored elsewhere from now on.
    fn moved(&mut self, name: &str, old: u64, new: u64) {
        let (from, to, way) = if old < new {
            let way = "from the bare key to their namespaces' copies: they start empty";
            (old, new, way)
        } else {
            let way = "from their namespaces' copies to the bare key: most start empty";
            (new, old, way)
        };
        if from < to {
            let percent = (to - from) * 100 / BUCKETS;
            let which = format!("keys in buckets {from}..{to} of {BUCKETS}, {percent} % of {name}");
            self.change(name, format!("{which}, move {way}"));
        }
    }

    /// Checks whether the copies of a family that are read under either rule are
    /// reached under both.
    fn stale_copies(&mut self, name: &str, old: &Compiled, new: &Compiled) {
        let (isolates, isolated_before) = (new.plans.isolated(), old.plans.isolated());
        let (plan_before, plan) = (&old.plans.inside, &new.plans.inside);
        let (before, after) = (Reached::by(plan_before), Reached::by(plan));
        let grows = before > Reached::Nothing || isolates > isolated_before;
        let reads_on = reads_on(plan) && !reads_on(plan_before);
        let moves = isolates != isolated_before || (isolates > 0 && (reads_on || self.relocates()));
        let hazards = &mut self.step.hazards;
        if isolates > 0 && after == Reached::Nothing && grows {
            hazards.push(Hazard::uncovered(name));
            return;
        }
        if moves {
            let (side, reach, rule) = if before <= after {
                (Side::Old, before, &old.rule)
            } else {
                (Side::New, after, &new.rule)
            };
            match reach {
                Reached::Nothing => hazards.push(Hazard::unreached(name, side, rule)),
                Reached::Deletes => hazards.push(Hazard::unwritten(name, side)),
                Reached::Writes => {}
            }
        } else if before < after {
            let missed = match before {
                Reached::Nothing => "deletes",
                _ => "writes",
            };
            hazards.push(Hazard::left_behind(name, missed));
        }
        self.weaker(name, old, new);
    }

    fn weaker(&mut self, name: &str, old: &Compiled, new: &Compiled) {
        let rank = |plan: &Plan| (plan.deletes_reach, plan.reach(WriteKind::Plain));
        let (before, after) = (&old.plans.inside, &new.plans.inside);
        if after.has_others() && rank(after) < rank(before) {
            let hazard = Hazard::weaker(name, old.rule.coherence, new.rule.coherence);
            self.step.hazards.push(hazard);
        }
    }
}

#[cfg(test)]
mod tests;
