//! The rules: what each says of its keys, what must not be said together, and what
//! is said in vain.

use super::raw::RawRule;
use super::report::{At, Report};
use super::settings::Setting;
use super::values::{all, refuse_duplicates};
use super::words::{Word, meaning};
use crate::pickle::transcode::Py2Str;
use crate::policy::{
    Coherence, Globals, Mode, OnStore, OnUnknownRead, OnUnloadableRead, OnUpstreamFailure, Rollout,
    Rule, Rules, Sniff,
};
use crate::protocol::key::{MAX_BASE64_KEY_BYTES, MAX_KEY_BYTES};

/// Rules as configured; one for every key if there are none.
pub(super) fn rules(raw: Option<&At<Vec<RawRule>>>, report: &Report) -> Option<Rules> {
    let Some(At { place, value: raw }) = raw else {
        return Rules::new(vec![rule(&RawRule::everything(), report)?]);
    };
    let prefixes: Vec<&At<String>> = raw.iter().filter_map(|rule| rule.prefix.as_ref()).collect();
    let quoted = prefixes
        .iter()
        .map(|at| (&at.place, format!("{:?}", at.value)));
    refuse_duplicates(quoted, report);
    // A prefix that was reported may have been meant to be the empty one.
    let is_known = prefixes.len() == raw.len();
    if is_known && prefixes.iter().all(|at| !at.value.is_empty()) {
        report.error(
            place,
            "no rule for everything else: add one with prefix = \"\"",
        );
    }
    Rules::new(all(raw.iter().map(|raw| rule(raw, report)))?)
}

fn rule(raw: &RawRule, report: &Report) -> Option<Rule> {
    let prefix = prefix(raw.prefix.as_ref(), report);
    let mode = meaning(raw.mode.as_ref(), Mode::Isolate, report);
    let sniff = meaning(raw.sniff.as_ref(), Sniff::Full, report);
    let on_unloadable_read = meaning(
        raw.on_unloadable_read.as_ref(),
        OnUnloadableRead::Miss,
        report,
    );
    let on_unloadable_write = meaning(raw.on_unloadable_write.as_ref(), OnStore::Accept, report);
    let on_unknown_read = meaning(raw.on_unknown_read.as_ref(), OnUnknownRead::Serve, report);
    let on_unknown_write = meaning(raw.on_unknown_write.as_ref(), OnStore::Accept, report);
    let on_upstream_failure = meaning(
        raw.on_upstream_failure.as_ref(),
        OnUpstreamFailure::Miss,
        report,
    );
    let coherence = meaning(raw.coherence.as_ref(), Coherence::FillAware, report);
    let globals = meaning(raw.globals.as_ref(), Globals::Any, report);
    let py2_str = meaning(raw.py2_str.as_ref(), Py2Str::Text, report);
    let rollout = rollout(raw.rollout.as_ref(), report);
    let mode = mode?;
    warn_of_slips(raw, mode, report);
    let rollout = rollout?;
    let on_unloadable_read = on_unloadable_read?;
    let globals = globals?;
    let rule = Rule {
        prefix: prefix?.as_bytes().into(),
        mode,
        rollout,
        sniff: match sniff? {
            _ if mode == Mode::Shared => Sniff::Off,
            sniff => sniff,
        },
        on_unloadable_read,
        on_unknown_read: on_unknown_read?,
        on_unloadable_write: on_unloadable_write?,
        on_unknown_write: on_unknown_write?,
        on_upstream_failure: on_upstream_failure?,
        coherence: coherence?,
        globals,
        py2_str: py2_str?,
        read_through: raw.read_through.as_ref().is_some_and(|at| at.value),
    };
    let is_whole = refuse_half_looks(raw, &rule, report);
    let is_ordered = refuse_strict_doubts(raw, &rule, report);
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
fn refuse_strict_doubts(raw: &RawRule, rule: &Rule, report: &Report) -> bool {
    let reads = rule.on_unloadable_read == OnUnloadableRead::Pass
        && rule.on_unknown_read == OnUnknownRead::Miss;
    let writes =
        rule.on_unloadable_write == OnStore::Accept && rule.on_unknown_write == OnStore::Reject;
    for (found, setting, message) in [
        (
            reads,
            &raw.on_unknown_read,
            "\"miss\" needs on_unloadable_read = \"miss\" or \"transcode\"",
        ),
        (
            writes,
            &raw.on_unknown_write,
            "\"reject\" needs on_unloadable_write = \"reject\"",
        ),
    ] {
        if let Some(At { place, .. }) = setting.as_ref().filter(|_| found) {
            report.error(place, message);
        }
    }
    !reads && !writes
}

/// Reports settings that need to see more of a value than they are given.
fn refuse_half_looks(raw: &RawRule, rule: &Rule, report: &Report) -> bool {
    let (Some(At { place, .. }), Some(what)) = (&raw.sniff, needs_all(rule)) else {
        return true;
    };
    let is_full = rule.sniff == Sniff::Full || rule.mode == Mode::Shared;
    if !is_full {
        report.error(place, format!("{what} needs sniff = \"full\""));
    }
    is_full
}

fn prefix<'r>(raw: Option<&'r At<String>>, report: &Report) -> Option<&'r str> {
    let At { place, value } = raw?;
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

fn rollout(raw: Option<&At<i64>>, report: &Report) -> Option<Rollout> {
    let Some(At { place, value }) = raw else {
        return Some(Rollout::ALL);
    };
    let rollout = u8::try_from(*value).ok().and_then(Rollout::new);
    if rollout.is_none() {
        report.error(place, format!("{value} is out of range, expected 0 to 100"));
    }
    rollout
}

/// Warns of settings that do nothing in this mode, and of stale copies.
fn warn_of_slips(raw: &RawRule, mode: Mode, report: &Report) {
    let words = [
        &raw.sniff,
        &raw.on_unloadable_read,
        &raw.on_unknown_read,
        &raw.on_unloadable_write,
        &raw.on_unknown_write,
        &raw.on_upstream_failure,
        &raw.coherence,
        &raw.globals,
        &raw.py2_str,
    ];
    let words = words.into_iter().flatten().map(|at| &at.place);
    let read_through = raw.read_through.iter().map(|at| &at.place);
    let acts = |name| Setting::named(name).is_some_and(|setting| setting.acts_in(mode));
    let in_vain = words.chain(read_through).filter(|at| !acts(at.name()));
    let rollout = raw.rollout.iter().filter(|_| mode != Mode::Isolate);
    for place in in_vain.chain(rollout.map(|at| &at.place)) {
        report.warn(place, format!("has no effect in mode {}", mode.word()));
    }
    if mode != Mode::Shared {
        warn_of_stale_copies(raw, report);
    }
}

fn warn_of_stale_copies(raw: &RawRule, report: &Report) {
    if let Some(At { place, value }) = &raw.coherence
        && value == Coherence::None.word()
    {
        report.warn(
            place,
            "a delete leaves the other copies, which are then stale",
        );
    }
    let reaches = [Coherence::FillAware, Coherence::Strict].map(Word::word);
    let is_kept = |at: &At<String>| !reaches.contains(&at.value.as_str());
    if let Some(At { place, value: true }) = &raw.read_through
        && raw.coherence.as_ref().is_some_and(is_kept)
    {
        report.warn(place, "writes leave the other copies, which may be older");
    }
}
