//! The rules: what each says of its keys, what must not be said together, and what
//! is said in vain.

use super::document::Table;
use super::report::{At, Report};
use super::settings::SETTINGS;
use super::values::refuse_duplicates;
use super::words::Word as _;
use crate::pickle::transcode::Py2Str;
use crate::policy::{
    Coherence, Globals, Mode, OnStore, OnUnknownRead, OnUnloadableRead, OnUpstreamFailure, Rollout,
    Rule, Rules, Sniff,
};
use crate::protocol::key::{MAX_BASE64_KEY_BYTES, MAX_KEY_BYTES};

/// Rules as configured.
pub(super) fn rules(At { place, value }: At<Vec<Table<'_>>>, report: &Report) -> Option<Rules> {
    let read = value.into_iter().map(|table| rule(table, report));
    let (prefixes, rules): (Vec<_>, Vec<_>) = read.unzip();
    let known = prefixes.iter().flatten();
    let quoted = known.map(|at| (&at.place, format!("{:?}", at.value)));
    refuse_duplicates(quoted, report);
    // A prefix that was reported may have been meant to be the empty one.
    let has_no_other = |prefix: &Option<At<String>>| {
        let prefix = prefix.as_ref();
        prefix.is_some_and(|at| !at.value.is_empty())
    };
    if prefixes.iter().all(has_no_other) {
        report.error(
            &place,
            "no rule for everything else: add one with prefix = \"\"",
        );
    }
    Rules::new(rules.into_iter().collect::<Option<_>>()?)
}

/// A rule, and its prefix even if nothing else of it is right.
fn rule(mut table: Table<'_>, report: &Report) -> (Option<At<String>>, Option<Rule>) {
    let prefix = table.string_or("prefix", "");
    let rule = settings(&mut table, prefix.as_ref(), report);
    (prefix, rule)
}

fn settings(table: &mut Table<'_>, prefix: Option<&At<String>>, report: &Report) -> Option<Rule> {
    let prefix = checked(prefix, report);
    let mode = table.word("mode", Mode::Isolate);
    let rollout = rollout(table.integer("rollout"), report);
    let sniff = table.word("sniff", Sniff::Full);
    let on_unloadable_read = table.word("on_unloadable_read", OnUnloadableRead::Miss);
    let on_unknown_read = table.word("on_unknown_read", OnUnknownRead::Serve);
    let on_unloadable_write = table.word("on_unloadable_write", OnStore::Accept);
    let on_unknown_write = table.word("on_unknown_write", OnStore::Accept);
    let on_upstream_failure = table.word("on_upstream_failure", OnUpstreamFailure::Miss);
    let coherence = table.word("coherence", Coherence::FillAware);
    let globals = table.word("globals", Globals::Any);
    let py2_str = table.word("py2_str", Py2Str::Text);
    let read_through = table.boolean("read_through");
    let mode = mode?;
    let rule = Rule {
        prefix: prefix?.as_bytes().into(),
        mode,
        rollout: rollout?,
        sniff: match sniff? {
            _ if mode == Mode::Shared => Sniff::Off,
            sniff => sniff,
        },
        on_unloadable_read: on_unloadable_read?,
        on_unknown_read: on_unknown_read?,
        on_unloadable_write: on_unloadable_write?,
        on_unknown_write: on_unknown_write?,
        on_upstream_failure: on_upstream_failure?,
        coherence: coherence?,
        globals: globals?,
        py2_str: py2_str?,
        read_through: read_through.is_some_and(|at| at.value),
    };
    warn_of_slips(table, &rule, report);
    let is_whole = refuse_half_looks(table, &rule, report);
    let is_ordered = refuse_strict_doubts(table, &rule, report);
    (is_whole && is_ordered).then_some(rule)
}

/// Names what a rule says that can only be followed with the whole value.
fn needs_all(rule: &Rule) -> Option<&'static str> {
    if rule.globals != Globals::Any {
        Some("globals")
    } else if rule.on_unloadable_read == OnUnloadableRead::Transcode {
        Some("on_unloadable_read = \"transcode\"")
    } else if rule.on_unknown_read == OnUnknownRead::Miss {
        Some("on_unknown_read = \"miss\"")
    } else if rule.on_unknown_write == OnStore::Reject {
        Some("on_unknown_write = \"reject\"")
    } else {
        None
    }
}

/// Reports an answer to what is not known to be loadable that is stricter than the one to
/// what surely is not.
fn refuse_strict_doubts(table: &Table<'_>, rule: &Rule, report: &Report) -> bool {
    let reads = rule.on_unloadable_read == OnUnloadableRead::Pass
        && rule.on_unknown_read == OnUnknownRead::Miss;
    let writes =
        rule.on_unloadable_write == OnStore::Accept && rule.on_unknown_write == OnStore::Reject;
    for (found, setting, message) in [
        (
            reads,
            "on_unknown_read",
            "\"miss\" needs on_unloadable_read = \"miss\" or \"transcode\"",
        ),
        (
            writes,
            "on_unknown_write",
            "\"reject\" needs on_unloadable_write = \"reject\"",
        ),
    ] {
        if let Some(place) = table.given(setting).filter(|_| found) {
            report.error(place, message);
        }
    }
    !reads && !writes
}

/// Reports settings that need to see more of a value than they are given.
fn refuse_half_looks(table: &Table<'_>, rule: &Rule, report: &Report) -> bool {
    let (Some(place), Some(what)) = (table.given("sniff"), needs_all(rule)) else {
        return true;
    };
    let is_full = rule.sniff == Sniff::Full || rule.mode == Mode::Shared;
    if !is_full {
        report.error(place, format!("{what} needs sniff = \"full\""));
    }
    is_full
}

fn checked<'r>(prefix: Option<&'r At<String>>, report: &Report) -> Option<&'r str> {
    let At { place, value } = prefix?;
    if value.len() > MAX_KEY_BYTES {
        let message = format!("prefix is {} bytes, limit {MAX_KEY_BYTES}", value.len());
        report.error(place, message);
        return None;
    }
    let plain = |b: &u8| !b.is_ascii_control() && *b != b' ';
    if let Some(byte) = value.bytes().find(|byte| !plain(byte)) {
        let byte = byte.escape_ascii();
        if value.len() > MAX_BASE64_KEY_BYTES {
            let message = format!(
                "no key can start with it: only one in base64 has a '{byte}', which is at most \
                 {MAX_BASE64_KEY_BYTES} bytes"
            );
            report.error(place, message);
            return None;
        }
        report.warn(
            place,
            format!("holds '{byte}': only keys in base64 can start with it"),
        );
    }
    Some(value)
}

fn rollout(raw: Option<At<i64>>, report: &Report) -> Option<Rollout> {
    let Some(At { place, value }) = raw else {
        return Some(Rollout::ALL);
    };
    let rollout = u8::try_from(value).ok().and_then(Rollout::new);
    if rollout.is_none() {
        report.error(
            &place,
            format!("{value} is out of range, expected 0 to 100"),
        );
    }
    rollout
}

/// Warns of settings that do nothing in this mode, and of stale copies.
fn warn_of_slips(table: &Table<'_>, rule: &Rule, report: &Report) {
    let mode = rule.mode;
    let in_vain = SETTINGS.iter().filter(|setting| !setting.acts_in(mode));
    let in_vain = in_vain.map(|setting| setting.name);
    let rollout = (mode != Mode::Isolate).then_some("rollout");
    for place in in_vain.chain(rollout).filter_map(|name| table.given(name)) {
        report.warn(place, format!("has no effect in mode {}", mode.word()));
    }
    if mode == Mode::Shared {
        return;
    }
    let Some(coherence) = table.given("coherence") else {
        return;
    };
    if rule.coherence == Coherence::None {
        report.warn(
            coherence,
            "a delete leaves the other copies, which are then stale",
        );
    }
    let reaches = matches!(rule.coherence, Coherence::FillAware | Coherence::Strict);
    if let Some(place) = table.given("read_through")
        && rule.read_through
        && !reaches
    {
        report.warn(place, "writes leave the other copies, which may be older");
    }
}
