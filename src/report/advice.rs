//! Advises on the next step by the traffic: which families of keys need a rule, and
//! whether anything stands against going on. Pure: counts in, words out.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use serde::{Deserialize, Serialize};
use toml_writer::{ToTomlValue as _, TomlStringBuilder};

use crate::config::{SETTINGS, Value, Word as _};
use crate::engine::{Family, PROTOCOLS};
use crate::policy::{
    Coherence, Compiled, KeyCodec, Mode, Plan, Rollout, Rule, Rules, Sniff, SpaceId,
};
use crate::report::explain;
use crate::report::inspect::{acts, printable};

/// The counts of one family, by all workers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FamilyReport {
    /// The part that its keys start with.
    pub family: String,
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
    /// Pickles read of which not all was looked at.
    pub not_looked_at: u64,
    /// Values read that were not loadable, by reason.
    pub unloadable: BTreeMap<String, u64>,
    /// The globals that those values name.
    pub globals: Vec<String>,
    /// Requests that count.
    pub counters: u64,
    /// Stores that look like locks.
    pub locks: u64,
    /// The advice on it.
    pub advice: Advice,
    /// The counts behind that.
    pub why: String,
}

/// The advice on a family.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Advice {
    /// Keep the rule: one version uses the family, or its values were not looked at.
    #[default]
    Leave,
    /// Share one copy among all versions: the family holds numbers or locks.
    Share,
    /// Keep one copy for all: what crosses can be loaded.
    Guard,
    /// A copy for each version: what crosses cannot be loaded.
    Isolate,
}

impl Advice {
    /// The mode of its rule; `None` where it needs none.
    fn mode(self) -> Option<Mode> {
        match self {
            Self::Leave => None,
            Self::Share => Some(Mode::Shared),
            Self::Guard => Some(Mode::Guard),
            Self::Isolate => Some(Mode::Isolate),
        }
    }
}

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

/// Adds what a worker saw to what others did.
pub fn merge(all: &mut BTreeMap<String, FamilyReport>, codec: &KeyCodec, families: &[Family]) {
    let name = |space: usize| match codec.name(SpaceId(space as u8)) {
        "" => "untagged".to_owned(),
        name => name.to_owned(),
    };
    for family in families {
        let key = String::from_utf8_lossy(&family.name).into_owned();
        let report = all.entry(key.clone()).or_default();
        report.family = key;
        report.reads += family.reads;
        report.writes += family.writes;
        report.hits += family.hits;
        report.hidden += family.hidden;
        report.misses += family.reads - family.hits - family.hidden;
        report.counters += family.counters;
        report.locks += family.locks;
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
        for (reason, count) in family.unloadable.iter() {
            *report.unloadable.entry(reason.to_owned()).or_default() += count;
        }
        for (global, _) in &family.globals {
            if !report.globals.contains(global) {
                report.globals.push(global.clone());
            }
        }
    }
}

fn add(sums: &mut BTreeMap<String, u64>, names: impl IntoIterator<Item = String>, counts: &[u64]) {
    for (name, count) in names
        .into_iter()
        .zip(counts)
        .filter(|(_, count)| **count > 0)
    {
        *sums.entry(name).or_default() += count;
    }
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
        let against = objections(&families, rules, counts, failed_reload);
        let next = Next::after(&rules.find(b"").rule);
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

/// Advises on a family, and says which counts are behind that.
fn judge(family: &FamilyReport) -> (Advice, String) {
    let versions: Vec<&String> = family
        .readers
        .keys()
        .chain(
            family
                .writers
                .keys()
                .filter(|name| !family.readers.contains_key(*name)),
        )
        .collect();
    let unloadable: u64 = family.unloadable.values().sum();
    let (reads, writes) = (family.reads, family.writes);
    // Pickles are not for everybody: such a lock is kept where they are looked at.
    let pickled_locks = family.locks > 0 && family.counters == 0 && !family.protocols.is_empty();
    if family.counters + family.locks > 0 && !pickled_locks {
        let what = [
            (family.counters, "as a counter"),
            (family.locks, "as a lock"),
        ];
        let told = what.into_iter().filter(|(count, _)| *count > 0);
        let told: Vec<_> = told
            .map(|(count, what)| format!("{} {what}", times(count)))
            .collect();
        return (Advice::Share, format!("used {}", told.join(" and ")));
    }
    if let [only] = versions[..] {
        return (
            Advice::Leave,
            format!("only {only}: {reads} reads, {writes} stores"),
        );
    }
    if pickled_locks {
        let used = times(family.locks);
        return (
            Advice::Guard,
            format!("used {used} as a lock that is a pickle: one copy is for all versions"),
        );
    }
    if unloadable > 0 {
        let reasons: Vec<_> = family
            .unloadable
            .iter()
            .map(|(reason, count)| format!("{reason} {count}"))
            .collect();
        let mut why = format!(
            "{unloadable} of {reads} reads not loadable ({})",
            reasons.join(", ")
        );
        if !family.globals.is_empty() {
            let _ = write!(why, ", for {}", family.globals.join(", "));
        }
        return (Advice::Isolate, why);
    }
    let newest = family.protocols.keys().rfind(|name| name.as_str() > "2");
    match newest.filter(|name| name.as_str() <= "5") {
        Some(protocol) => (
            Advice::Isolate,
            format!("pickles of protocol {protocol} in a family that versions share"),
        ),
        None if family.not_looked_at > 0 => (
            Advice::Leave,
            format!("{} of {reads} reads not looked at", family.not_looked_at),
        ),
        None => (
            Advice::Guard,
            format!("{reads} reads and {writes} stores of several versions, all loadable"),
        ),
    }
}

fn times(count: u64) -> String {
    match count {
        1 => "once".to_owned(),
        _ => format!("{count} times"),
    }
}

/// Lists the objections to the next step.
fn objections(
    families: &[FamilyReport],
    rules: &Rules,
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
        let plan = &rules.find(family.family.as_bytes()).plans.inside;
        let needs = match family.advice {
            Advice::Share if plan.has_others() => Mode::Shared,
            Advice::Guard if family.locks > 0 && plan.isolates() => Mode::Guard,
            _ => continue,
        };
        against.push(format!(
            "{:?} needs a rule of its own, mode {}: {}",
            family.family,
            needs.word(),
            family.why
        ));
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
        let present = &rules.find(family.family.as_bytes()).rule;
        let has_own = *present.prefix == *family.family.as_bytes();
        // What everything else becomes needs no rule of its own.
        let is_covered = mode == Mode::Isolate || mode == Mode::Guard && !isolates;
        if family.family.contains('\u{fffd}') || is_covered && !has_own {
            continue;
        }
        told.push(present.prefix.clone());
        let kept = if has_own && present.mode == mode {
            "as it is: "
        } else {
            ""
        };
        let rule = Rule {
            prefix: family.family.as_bytes().into(),
            mode,
            ..present.clone()
        };
        push_rule(&mut text, &format!("{kept}{}", family.why), &rule);
    }
    let rules_there = rules.iter().map(|compiled| &compiled.rule);
    let unseen = rules_there.filter(|rule| !rule.prefix.is_empty());
    for rule in unseen.filter(|rule| !told.contains(&rule.prefix)) {
        push_rule(&mut text, "as it is: nothing speaks against it", rule);
    }
    push_rule(&mut text, &next.words(), &next.rule(&rules.find(b"").rule));
    text
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
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::config::Config;

    fn config(rule: &str) -> String {
        format!(
            "[upstream]\nservers = [\"127.0.0.1:11211\"]\n\
             [[listeners]]\nlisten = \"127.0.0.1:1\"\nruntime = \"py3\"\n{rule}"
        )
    }

    fn family(name: &str, change: impl FnOnce(&mut FamilyReport)) -> (String, FamilyReport) {
        let both = || BTreeMap::from([("py2".to_owned(), 5), ("py3".to_owned(), 5)]);
        let mut family = FamilyReport {
            family: name.to_owned(),
            reads: 100,
            hits: 100,
            writes: 10,
            readers: both(),
            writers: both(),
            ..FamilyReport::default()
        };
        change(&mut family);
        (name.to_owned(), family)
    }

    fn seen() -> BTreeMap<String, FamilyReport> {
        BTreeMap::from([
            family("count:", |family| family.counters = 7),
            family("lock \"a\":", |family| family.locks = 2),
            family("user:", |family| {
                family.unloadable.insert("protocol".to_owned(), 12);
                family.globals.push("app.User".to_owned());
            }),
            family("new:", |family| {
                family.protocols.insert("4".to_owned(), 3);
            }),
            family("page:", |_| {}),
            family("only:", |family| {
                family.readers.remove("py2");
                family.writers.remove("py2");
            }),
        ])
    }

    fn report(rule: &str, counts: Counts) -> Report {
        let config = Config::parse("test", &config(rule)).unwrap();
        Report::new(seen(), &config.snapshot.rules, counts, false)
    }

    #[test]
    fn each_family_gets_what_it_needs() {
        let report = report("[[rules]]\nmode = \"guard\"", Counts::default());
        let mut told: Vec<_> = report
            .families
            .iter()
            .map(|family| format!("{} {:?}: {}", family.family, family.advice, family.why))
            .collect();
        told.sort();
        insta::assert_snapshot!(told.join("\n"), @r#"
        count: Share: used 7 times as a counter
        lock "a": Share: used 2 times as a lock
        new: Isolate: pickles of protocol 4 in a family that versions share
        only: Leave: only py3: 100 reads, 10 stores
        page: Guard: 100 reads and 10 stores of several versions, all loadable
        user: Isolate: 12 of 100 reads not loadable (protocol 12), for app.User
        "#);
        assert!(!report.go);
        insta::assert_snapshot!(report.reasons.join("\n"), @r#"
        "count:" needs a rule of its own, mode shared: used 7 times as a counter
        "lock \"a\":" needs a rule of its own, mode shared: used 2 times as a lock
        "#);
    }

    #[test]
    fn the_advised_rules_are_a_configuration() {
        let first = report("[[rules]]\nmode = \"guard\"", Counts::default());
        insta::assert_snapshot!(first.toml, @r#"
        # used 7 times as a counter
        [[rules]]
        prefix = "count:"
        mode = "shared"

        # used 2 times as a lock
        [[rules]]
        prefix = "lock \"a\":"
        mode = "shared"

        # 100 reads and 10 stores of several versions, all loadable
        [[rules]]
        prefix = "page:"
        mode = "guard"
        coherence = "fill-aware"

        # next: isolate 10 % of everything else
        [[rules]]
        prefix = ""
        mode = "isolate"
        rollout = 10
        coherence = "fill-aware"
        "#);
        // Once they are followed, nothing stands against the next step.
        let mut rules = first.toml.clone();
        for next in [
            "isolate 25 %",
            "isolate 50 %",
            "isolate 100 %",
            "no step is left",
        ] {
            let second = report(&rules, Counts::default());
            assert!(second.go, "{:?}", second.reasons);
            assert!(second.reasons[0].contains(next), "{:?}", second.reasons);
            rules = second.toml;
        }
        let observed = report("[[rules]]\nmode = \"observe\"", Counts::default());
        assert!(
            observed
                .toml
                .ends_with("mode = \"guard\"\ncoherence = \"fill-aware\"\n")
        );
        Config::parse("test", &config(&observed.toml)).unwrap();
    }

    #[test]
    fn a_shared_rule_keeps_what_it_says_of_failures() {
        let shared = "prefix = \"other:\"\nmode = \"shared\"\non_upstream_failure = \"error\"\n";
        let rules = format!("[[rules]]\nmode = \"guard\"\n[[rules]]\n{shared}");
        let told = report(&rules, Counts::default()).toml;
        assert!(told.contains(shared), "{told}");
    }

    #[test]
    fn a_go_needs_looks_at_whole_values() {
        let nothing_seen = |rule: &str, counts: Counts| {
            let config = Config::parse("test", &config(rule)).unwrap();
            Report::new(BTreeMap::new(), &config.snapshot.rules, counts, false)
        };
        for sniff in ["header", "off"] {
            let rule = format!("[[rules]]\nmode = \"guard\"\nsniff = \"{sniff}\"");
            let report = nothing_seen(&rule, Counts::default());
            assert!(!report.go);
            assert_eq!(
                report.reasons,
                [format!(
                    "everything else has sniff = \"{sniff}\": only \"full\" tells who can load its values"
                )]
            );
            // The rules that it advises can tell.
            assert!(!report.toml.contains("sniff"), "{}", report.toml);
            assert!(nothing_seen(&report.toml, Counts::default()).go);
        }
        let counts = Counts {
            not_looked_at: 7,
            ..Counts::default()
        };
        let report = nothing_seen("[[rules]]\nmode = \"guard\"", counts);
        assert!(!report.go && report.reasons[0].starts_with("7 pickles "));
        let (name, family) = family("user:", |family| family.not_looked_at = 12);
        assert_eq!(
            (judge(&family).0, &*judge(&family).1, &*name),
            (Advice::Leave, "12 of 100 reads not looked at", "user:")
        );
    }

    #[test]
    fn locks_that_are_pickles_are_kept_in_one_copy_that_is_looked_at() {
        let locks = || {
            BTreeMap::from([family("lock:", |family| {
                family.locks = 3;
                family.protocols.insert("5".to_owned(), 3);
                family.unloadable.insert("protocol".to_owned(), 1);
            })])
        };
        let report = |rule: &str| {
            let config = Config::parse("test", &config(rule)).unwrap();
            Report::new(locks(), &config.snapshot.rules, Counts::default(), false)
        };
        let isolated = report("[[rules]]\nmode = \"isolate\"");
        let why = "used 3 times as a lock that is a pickle: one copy is for all versions";
        assert!(!isolated.go);
        assert_eq!(
            isolated.reasons,
            [format!(
                "\"lock:\" needs a rule of its own, mode guard: {why}"
            )]
        );
        assert!(
            isolated
                .toml
                .contains("prefix = \"lock:\"\nmode = \"guard\"")
        );
        // Before anything is isolated, the rule for it is there.
        let guarded = report("[[rules]]\nmode = \"guard\"");
        assert!(guarded.go, "{:?}", guarded.reasons);
        assert!(
            guarded
                .toml
                .contains("prefix = \"lock:\"\nmode = \"guard\"")
        );
    }

    #[test]
    fn no_name_from_the_wire_becomes_a_rule() {
        let hostile = [
            "a\"\n[[rules]]\nprefix = \"\"\nmode = \"shared\"\n#",
            "b\r\n[[rules]]\rprefix=''",
            "c'''\n\"\"\"\n[[rules]]\n",
            "d\\",
            "e\u{0}\u{1b}[2J\u{7f}\u{85}\u{2028}\u{202e}#",
            "[[rules]]",
            "f\t\u{9b}31m",
        ];
        let families: BTreeMap<_, _> = hostile
            .into_iter()
            .map(|name| {
                family(name, |family| {
                    family.counters = 1;
                    family.globals.push(name.to_owned());
                })
            })
            .chain([family("user:", |family| {
                family.unloadable.insert("missing_global".to_owned(), 1);
                family.globals.extend(hostile.map(str::to_owned));
            })])
            .collect();
        // A rule of its own, so that what it names is told in a comment.
        let rule = "[[rules]]\nprefix = \"user:\"\nmode = \"guard\"\n[[rules]]\nmode = \"guard\"";
        let settings = Config::parse("test", &config(rule)).unwrap();
        let report = Report::new(families, &settings.snapshot.rules, Counts::default(), false);
        for text in [report.to_string(), report.toml.clone()] {
            let table: toml::Table = text.parse().unwrap();
            assert_eq!(table.keys().collect::<Vec<_>>(), ["rules"]);
            let rules = table["rules"].as_array().unwrap();
            let shared = |prefix: &str| hostile.contains(&prefix);
            for rule in rules {
                let prefix = rule["prefix"].as_str().unwrap();
                assert_eq!(rule["mode"].as_str() == Some("shared"), shared(prefix));
            }
            let prefixes: BTreeSet<_> = rules.iter().map(|rule| rule["prefix"].as_str()).collect();
            let expected = hostile.into_iter().chain(["user:", ""]).map(Some);
            assert_eq!(prefixes, expected.collect());
            assert_eq!(rules.len(), prefixes.len());
            // Nothing in it acts on a terminal.
            let acts = |c: char| c.is_control() && c != '\n' || c == '\u{202e}';
            assert!(!text.contains(acts), "{text:?}");
        }
    }

    #[test]
    fn what_stands_against_a_step_is_named() {
        let counts = Counts {
            suspected: 1,
            untagged: 2,
            invalidation_errors: 3,
            not_looked_at: 4,
        };
        let config = Config::parse("test", &config("[[rules]]\nmode = \"observe\"")).unwrap();
        let report = Report::new(BTreeMap::new(), &config.snapshot.rules, counts, true);
        assert!(!report.go);
        assert_eq!(report.reasons.len(), 5);
    }
}
