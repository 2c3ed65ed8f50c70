//! Advises on the next step by the traffic: which families of keys need a rule, and
//! whether anything stands against going on. Pure: counts in, words out.

mod family;

pub use family::{Advice, FamilyReport, Shape, merge};

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use serde::{Deserialize, Serialize};
use toml_writer::{ToTomlValue as _, TomlStringBuilder};

use crate::config::{SETTINGS, Value, Word as _};
use crate::policy::{Coherence, Compiled, Mode, Plan, Rollout, Rule, Rules, Sniff};
use crate::report::explain;
use crate::report::inspect::{acts, printable};
use family::judge;

/// The other counts since this configuration was loaded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests that look like counters or locks, but are isolated.
    pub suspected: u64,
    /// Connections that asked for something without a tag.
    pub untagged: u64,
    /// Copies that could not be deleted.
    pub invalidation_errors: u64,
    /// Pickles read of which not all was looked at.
    pub not_looked_at: u64,
}

/// The whole answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Families, those most used first.
    pub families: Vec<FamilyReport>,
    /// True if nothing stands against the next step.
    pub go: bool,
    /// The objections; without any, the next step.
    pub reasons: Vec<String>,
    /// The rules of the next stage.
    pub toml: String,
}

impl Counts {
    /// Adds what another worker counted.
    pub fn add(&mut self, other: Self) {
        self.suspected += other.suspected;
        self.untagged += other.untagged;
        self.invalidation_errors += other.invalidation_errors;
        self.not_looked_at += other.not_looked_at;
    }
}

impl Report {
    /// Advises on the next step, under these rules and after these counts.
    pub fn new(
        families: BTreeMap<String, FamilyReport>,
        rules: &Rules,
        counts: Counts,
        failed_reload: bool,
    ) -> Self {
        let mut families: Vec<FamilyReport> = families
            .into_values()
            .map(|mut family| {
                (family.advice, family.why) = judge(&family);
                family
            })
            .collect();
        families.sort_by_key(|family| std::cmp::Reverse(family.reads + family.writes));
        let next = Next::after(&rules.find(b"").rule);
        let against = objections(&families, (rules, next), counts, failed_reload);
        let toml = toml(&families, rules, next);
        let go = against.is_empty();
        let reasons = if go { vec![next.words()] } else { against };
        Self {
            families,
            go,
            reasons,
            toml,
        }
    }
}

/// The rules as TOML, under comments that say what speaks for the step and against it.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let answer = if self.go { "go" } else { "no go" };
        writeln!(f, "# {answer}")?;
        for reason in &self.reasons {
            writeln!(f, "#   {}", printable(reason))?;
        }
        write!(f, "\n{}", self.toml)
    }
}

/// Lists the objections to the next step.
fn objections(
    families: &[FamilyReport],
    (rules, next): (&Rules, Next),
    counts: Counts,
    failed_reload: bool,
) -> Vec<String> {
    let mut against = Vec::new();
    let several = [
        (
            counts.suspected,
            "requests look like counters or locks, but each version has its own",
        ),
        (
            counts.untagged,
            "connections made requests without a tag that fits a namespace",
        ),
        (counts.invalidation_errors, "copies could not be deleted"),
        (
            counts.not_looked_at,
            "pickles were read without a whole look: it is not known who can load them",
        ),
    ];
    for (count, what) in several {
        if count > 0 {
            against.push(format!("{count} {what}"));
        }
    }
    for Compiled { rule, plans } in rules.iter() {
        if plans.inside.is_blind() {
            against.push(format!(
                "{} has sniff = \"{}\": only \"full\" tells who can load its values",
                explain::family(&rule.prefix),
                rule.sniff.word(),
            ));
        }
    }
    if failed_reload {
        against.push("the configuration file was changed and not taken over".to_owned());
    }
    for family in families {
        let is = |is: fn(&Plan) -> bool| family.rules(rules).any(|rule| is(&rule.plans.inside));
        let splits = match family.advice {
            Advice::Share => is(Plan::has_others),
            Advice::Guard if family.counters + family.locks > 0 => is(Plan::isolates),
            _ => continue,
        };
        if !family.has_prefixes(families) {
            let will = next.isolates() || is(Plan::isolates);
            if family.unheld > 0 && will {
                against.push(without_prefix(family, families));
            }
        } else if splits {
            against.push(format!(
                "{:?} needs a rule of its own, mode {}: {}",
                family.family,
                family.advice.mode().map_or("", Mode::word),
                family.why
            ));
        }
    }
    let is_stale = |plan: &Plan| plan.isolates() && !plan.deletes_reach;
    if rules.iter().any(|rule| is_stale(&rule.plans.inside)) {
        against.push("a rule isolates without coherence".to_owned());
    }
    against
}

/// The stage after the present one, for everything that has no rule of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Mode(Mode),
    Rollout(u8),
    /// Every key is isolated.
    Done,
}

impl Next {
    fn after(rule: &Rule) -> Self {
        let percent = rule.rollout.percent();
        match rule.mode {
            Mode::Shared => Self::Mode(Mode::Observe),
            Mode::Observe => Self::Mode(Mode::Guard),
            Mode::Guard => Self::Rollout(10),
            Mode::Isolate => [10, 25, 50, 100]
                .into_iter()
                .find(|next| *next > percent)
                .map_or(Self::Done, Self::Rollout),
        }
    }

    /// Whether it gives keys to each version that were one for all.
    fn isolates(self) -> bool {
        matches!(self, Self::Rollout(_))
    }

    fn words(self) -> String {
        match self {
            Self::Mode(mode) => format!("next: mode {} for everything else", mode.word()),
            Self::Rollout(percent) => format!("next: isolate {percent} % of everything else"),
            Self::Done => "every key is isolated: no step is left".to_owned(),
        }
    }

    /// The rule for everything else, after this step.
    fn rule(self, present: &Rule) -> Rule {
        let mut rule = present.clone();
        match self {
            Self::Mode(mode) => rule.mode = mode,
            Self::Rollout(percent) => {
                rule.mode = Mode::Isolate;
                rule.rollout = Rollout::new(percent).unwrap_or(Rollout::ALL);
            }
            Self::Done => {}
        }
        // Only who looks at whole values can say whether to go on after it.
        rule.sniff = Sniff::Full;
        // What crosses must be deleted everywhere before it is isolated.
        if matches!(rule.coherence, Coherence::None | Coherence::Deletes) {
            rule.coherence = Coherence::FillAware;
        }
        rule
    }
}

/// The rules of the next stage: those for families that need one, those that are
/// there for others, then the one for everything else.
fn toml(families: &[FamilyReport], rules: &Rules, next: Next) -> String {
    let mut text = String::new();
    let isolates = !matches!(next, Next::Mode(_));
    let mut told = Vec::new();
    for family in families {
        let Some(mode) = family.advice.mode() else {
            continue;
        };
        let owns = |rule: &Rule| family.starts.iter().any(|s| *s.as_bytes() == *rule.prefix);
        let has_own = family.rules(rules).all(|compiled| owns(&compiled.rule));
        // What everything else becomes needs no rule of its own.
        let is_covered = mode == Mode::Isolate || mode == Mode::Guard && !isolates;
        if is_covered && !has_own {
            continue;
        }
        if !family.has_prefixes(families) {
            if family.unheld > 0 {
                let gap = if text.is_empty() { "" } else { "\n" };
                let why = without_prefix(family, families);
                let _ = writeln!(text, "{gap}# {}", printable(&why));
            }
            continue;
        }
        for start in &family.starts {
            let present = &rules.find(start.as_bytes()).rule;
            let has_own = *present.prefix == *start.as_bytes();
            if has_own {
                told.push(present.prefix.clone());
            }
            let kept = if has_own && present.mode == mode {
                "as it is: "
            } else {
                ""
            };
            let rule = Rule {
                prefix: start.as_bytes().into(),
                mode,
                ..present.clone()
            };
            push_rule(&mut text, &format!("{kept}{}", family.why), &rule);
        }
    }
    let rules_there = rules.iter().map(|compiled| &compiled.rule);
    let unseen = rules_there.filter(|rule| !rule.prefix.is_empty());
    for rule in unseen.filter(|rule| !told.contains(&rule.prefix)) {
        push_rule(&mut text, "as it is: nothing speaks against it", rule);
    }
    push_rule(&mut text, &next.words(), &next.rule(&rules.find(b"").rule));
    text
}

/// The objection to a family that needs a rule, and has no prefix alone.
fn without_prefix(family: &FamilyReport, families: &[FamilyReport]) -> String {
    let FamilyReport {
        family: name, why, ..
    } = family;
    let keep = match (family.shape, &family.starts[..]) {
        (Shape::Prefix | Shape::Ends, [start]) if !family.more_starts => {
            // All of an application is more than that.
            let head = format!("{start}#:");
            let is_head = families.iter().any(|other| other.family.starts_with(&head));
            let keep = format!(", or keep all that starts with {start:?} in mode guard");
            if is_head { String::new() } else { keep }
        }
        _ => String::new(),
    };
    let but = if family.may_hold_more() {
        "its keys may be more than that"
    } else {
        "no prefix is its alone"
    };
    format!("{name:?} was {why}, but {but}: rename its keys{keep}")
}

/// A rule with all that is not as it would be without being said. Names come from
/// the wire: none of them ends a comment or a string.
fn push_rule(text: &mut String, why: &str, rule: &Rule) {
    let mut entry = format!("mode = \"{}\"\n", rule.mode.word());
    let percent = rule.rollout.percent();
    if rule.mode == Mode::Isolate && percent < 100 {
        let _ = writeln!(entry, "rollout = {percent}");
    }
    let settings = SETTINGS.iter().filter(|setting| setting.acts_in(rule.mode));
    let mut said: Vec<_> = settings.map(|s| (s, (s.of)(rule))).collect();
    said.sort_by_key(|(setting, value)| (matches!(value, Value::Flag(_)), setting.name));
    for (setting, value) in said {
        let _ = match value {
            _ if setting.default == Some(value) => Ok(()),
            Value::Word(word) => writeln!(entry, "{} = \"{word}\"", setting.name),
            Value::Flag(flag) => writeln!(entry, "{} = {flag}", setting.name),
        };
    }
    let gap = if text.is_empty() { "" } else { "\n" };
    let prefix = string(&String::from_utf8_lossy(&rule.prefix));
    let why = printable(why);
    let _ = write!(text, "{gap}# {why}\n[[rules]]\nprefix = {prefix}\n{entry}");
}

/// A string of TOML on one line, with nothing in it that acts on a terminal.
fn string(text: &str) -> String {
    let basic = TomlStringBuilder::new(text).as_basic().to_toml_value();
    let mut string = String::with_capacity(basic.len());
    for char in basic.chars() {
        if acts(char) {
            let _ = write!(string, "\\u{:04X}", u32::from(char));
        } else {
            string.push(char);
        }
    }
    string
}

#[cfg(test)]
mod tests;
