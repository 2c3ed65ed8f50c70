//! Raw settings to a configuration, in one fallible step. Every function
//! reports what is wrong with its part and answers `None`; the others go on.

use std::collections::HashMap;
use std::hash::Hash;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytesize::ByteSize;

use super::addr::{ListenAddr, ServerAddr};
use super::listeners::{Draft, listeners};
use super::pickles::{inventory, pickles};
use super::raw::{Raw, RawFamilies, RawLimits, RawNamespace, RawRule};
use super::report::{At, Place, Report};
use super::words::{FlushAll, Word, meaning};
use super::{Config, Limits, Upstream};
use super::{shadow, socket, tls};
use crate::pickle::transcode::Py2Str;
use crate::policy::{
    Coherence, Distribution, Globals, KeyCodec, Mode, Namespace, OnUnloadableRead,
    OnUnloadableWrite, OnUpstreamFailure, Requirement, Ring, Rollout, Rule, Rules, Separators,
    Snapshot, Sniff,
};
use crate::protocol::key::{MAX_BASE64_KEY_BYTES, MAX_KEY_BYTES};

/// Without `[namespaces]`: one for each side of the step that most fleets take.
const DEFAULT_NAMESPACES: [(&str, &str); 2] = [("py2", "python <3"), ("py3", "python >=3")];
/// A space's number is one byte, and 0 is the bare space.
const MAX_NAMESPACES: usize = 255;
/// The codec counts on it for the length of its prefixes.
const MAX_NAME_BYTES: usize = 32;
/// memcached's own `-I` ends there.
const MAX_VALUE_BYTES: u64 = 1 << 30;
/// Up to a day: more is a slip of units.
const TIMEOUTS_MS: RangeInclusive<u32> = 1..=86_400_000;

const DEFAULT_WORKERS: u32 = 1;
const DEFAULT_CONNECTIONS: u32 = 1;
const DEFAULT_MAX_CONNECTIONS: u32 = 10_000;
const DEFAULT_MAX_VALUE_BYTES: usize = 1 << 20;
const DEFAULT_MAX_BUFFERED_BYTES: usize = 64 << 20;
/// A pause of memcached of two seconds is survived, and who waits for three seconds
/// still gets an answer.
const DEFAULT_REQUEST_TIMEOUT_MS: u32 = 2_500;
const DEFAULT_CONNECT_TIMEOUT_MS: u32 = 250;
const DEFAULT_SEND_TIMEOUT_MS: u32 = 30_000;
const DEFAULT_DRAIN_TIMEOUT_MS: u32 = 10_000;

/// Resolves everything; `None` if anything was reported.
/// Relative paths are relative to `base`.
pub(super) fn compile(raw: &Raw, base: &Path, report: &Report) -> Option<Config> {
    // Nothing returns before every part was looked at.
    let spaces = raw
        .namespaces
        .as_deref()
        .and_then(|raw| namespaces(raw, base, report));
    let known = spaces.as_ref().map(|(_, namespaces)| &namespaces[..]);
    let listeners = listeners(raw.listeners.as_ref(), known, base, report);
    let admin = admin(raw.admin.as_ref(), report);
    let admin_access = socket::access(&raw.admin_access, admin.as_ref(), report);
    let servers = servers(raw.servers.as_ref(), report);
    let tls = tls::upstream(raw.tls.as_ref(), &servers, base, report);
    refuse_shared_addresses(&listeners, admin.as_ref(), &servers, report);
    let hash = meaning(raw.hash.as_ref(), Distribution::Ketama, report);
    let connections = number(
        raw.connections.as_ref(),
        DEFAULT_CONNECTIONS,
        1..=64,
        report,
    );
    let workers = number(raw.workers.as_ref(), DEFAULT_WORKERS, 1..=256, report);
    let rules = rules(raw.rules.as_ref(), report);
    let pickles = pickles(&raw.pickle, report);
    let limits = limits(&raw.limits, report);
    let flush_all = meaning(raw.flush_all.as_ref(), FlushAll::Deny, report);

    let upstream = Upstream {
        servers: servers.into_iter().map(|at| at.value).collect(),
        hash: hash?,
        connections: connections? as usize,
        tls,
    };
    let (codec, namespaces) = spaces?;
    let limits = limits?;
    let snapshot = Snapshot {
        codec,
        namespaces,
        rules: rules?,
        ring: ring(&upstream),
        pickles: pickles?,
        max_value_bytes: limits.max_value_bytes,
        families: families(&raw.families),
        forward_flush_all: flush_all? == FlushAll::Forward,
    };
    let listeners = listeners
        .into_iter()
        .map(Draft::finish)
        .collect::<Option<_>>()?;
    Some(Config {
        listeners,
        snapshot: Arc::new(snapshot),
        upstream,
        admin: admin.map(|at| at.value),
        admin_access,
        limits,
        workers: workers? as usize,
        reuse_port: raw.reuse_port.as_ref().is_some_and(|at| at.value),
        text: String::new(),
        files: inventories(raw, base),
        certificates: tls::files(raw, base),
        warnings: Vec::new(),
    })
}

fn admin(raw: Option<&At<String>>, report: &Report) -> Option<At<ListenAddr>> {
    let admin = parsed(raw, ListenAddr::parse, report)?;
    socket::refuse_obstacle(Some(&admin), report);
    if !admin.value.is_local() {
        report.warn(
            &admin.place,
            format!("{} can be reached from other machines", admin.value),
        );
    }
    Some(admin)
}

/// The servers that are addresses at all; the others are reported.
fn servers(raw: Option<&At<Vec<At<String>>>>, report: &Report) -> Vec<At<ServerAddr>> {
    let servers: Vec<At<ServerAddr>> = some_of(raw, report)
        .iter()
        .filter_map(|server| parsed(Some(server), ServerAddr::parse, report))
        .collect();
    let embedded = |server: &&At<ServerAddr>| matches!(server.value, ServerAddr::Embedded { .. });
    if servers.len() > 1
        && let Some(server) = servers.iter().find(embedded)
    {
        report.error(&server.place, "an embedded cache must be the only server");
    }
    refuse_duplicates(servers.iter().map(|s| (&s.place, s.value.plain())), report);
    servers
}

fn ring(upstream: &Upstream) -> Ring {
    let names: Vec<(&str, u16)> = upstream.servers.iter().map(ServerAddr::ring_name).collect();
    Ring::new(upstream.hash, &names)
}

/// Reports addresses that are listened on twice, and servers that are this
/// very process.
fn refuse_shared_addresses(
    listeners: &[Draft],
    admin: Option<&At<ListenAddr>>,
    servers: &[At<ServerAddr>],
    report: &Report,
) {
    let own: Vec<&At<ListenAddr>> = listeners
        .iter()
        .filter_map(|listener| listener.listen.as_ref())
        .chain(admin)
        .filter(|at| !at.value.is_any_port())
        .collect();
    refuse_duplicates(own.iter().map(|at| (&at.place, &at.value)), report);
    for server in servers {
        if let Some(at) = own.iter().find(|at| server.value.leads_to(&at.value)) {
            let name = server.value.plain();
            let message = if name.to_string() == at.value.to_string() {
                format!("{name} is this proxy's own {}", at.place.key)
            } else {
                format!("{name} is this proxy's own {}, {}", at.place.key, at.value)
            };
            report.error(&server.place, message);
        }
    }
}

fn namespaces(
    raw: &[RawNamespace],
    base: &Path,
    report: &Report,
) -> Option<(KeyCodec, Vec<Namespace>)> {
    if raw.is_empty() {
        let namespace = |(name, runtimes)| {
            let requirement = Requirement::parse(runtimes).expect("the defaults are well-formed");
            Namespace::new(name, requirement, None)
        };
        let codec = KeyCodec::new(DEFAULT_NAMESPACES.map(|(name, _)| (name, 0)));
        return Some((codec, DEFAULT_NAMESPACES.map(namespace).into()));
    }
    if let Some(extra) = raw.get(MAX_NAMESPACES) {
        let message = format!("{} namespaces, limit {MAX_NAMESPACES}", raw.len());
        report.error(&extra.name.place, message);
        return None;
    }
    let spaces = all(raw.iter().map(|raw| namespace(raw, base, report)))?;
    warn_of_shadows(raw, &spaces, report);
    let own = spaces.iter().map(|(n, epochs)| (&*n.name, epochs[0]));
    let others = spaces
        .iter()
        .flat_map(|(n, epochs)| epochs[1..].iter().map(|&epoch| (&*n.name, epoch)));
    let codec = KeyCodec::new(own.chain(others));
    if codec.spaces().len() > MAX_NAMESPACES + 1 {
        let message = format!("more than {MAX_NAMESPACES} namespaces with their other epochs");
        report.error(&raw[0].name.place, message);
        return None;
    }
    Some((codec, spaces.into_iter().map(|(n, _)| n).collect()))
}

/// Warns of namespaces that nobody is in. That may be meant: one is prepared behind
/// another, or retired.
fn warn_of_shadows(raw: &[RawNamespace], spaces: &[(Namespace, Vec<u64>)], report: &Report) {
    let requirements: Vec<&Requirement> = spaces.iter().map(|(n, _)| &n.requirement).collect();
    for (nth, (raw, requirement)) in raw.iter().zip(&requirements).enumerate() {
        let place = raw
            .runtimes
            .as_ref()
            .map_or(&raw.name.place, |at| &at.place);
        if shadow::is_impossible(requirement) {
            report.warn(
                place,
                "no runtime can be in it: its ranges exclude each other",
            );
        } else if let Some(takers) = shadow::shadowed(&requirements[..nth], requirement) {
            let names: Vec<&str> = takers.iter().map(|&at| &*spaces[at].0.name).collect();
            let (names, verb) = (
                names.join(" and "),
                if takers.len() == 1 { "takes" } else { "take" },
            );
            report.warn(
                place,
                format!("no runtime is left for it: {names} before it {verb} them all"),
            );
        }
    }
}

/// The files that the configuration names.
fn inventories(raw: &Raw, base: &Path) -> Vec<PathBuf> {
    let namespaces = raw.namespaces.iter().flatten();
    let files = namespaces.filter_map(|namespace| namespace.inventory.as_ref());
    files.map(|file| base.join(&file.value)).collect()
}

/// A namespace and its epochs, its own first.
fn namespace(raw: &RawNamespace, base: &Path, report: &Report) -> Option<(Namespace, Vec<u64>)> {
    let At { place, value: name } = &raw.name;
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-';
    let well_named = (1..=MAX_NAME_BYTES).contains(&name.len()) && name.bytes().all(plain);
    if !well_named {
        let message = format!("a name is 1 to {MAX_NAME_BYTES} of a-z, 0-9, _ and -");
        report.error(place, message);
    }
    let requirement = parsed(raw.runtimes.as_ref(), Requirement::parse, report);
    let epochs = epochs(raw, report);
    let inventory = match &raw.inventory {
        None => None,
        Some(at) => Some((at, inventory(at, base, report)?)),
    };
    let requirement = requirement?.value;
    if let Some((At { place, value }, inventory)) = &inventory {
        let (major, minor) = inventory.python();
        if !requirement.allows_python(major, minor) {
            let message = format!("{value} is of Python {major}.{minor}, not {requirement}");
            report.error(place, message);
        }
    }
    let epochs = epochs?;
    let namespace = Namespace::new(name, requirement, inventory.map(|(_, inventory)| inventory));
    well_named.then_some((namespace, epochs))
}

/// The epoch that is read and written, then those that are only invalidated.
fn epochs(raw: &RawNamespace, report: &Report) -> Option<Vec<u64>> {
    let epoch = |raw: Option<&At<i64>>| number(raw, 0, 0..=u32::MAX, report).map(u64::from);
    let others = raw.also_invalidate.iter().flat_map(|at| &at.value);
    let raws = std::iter::once(raw.epoch.as_ref()).chain(others.clone().map(Some));
    let epochs = all(raws.map(epoch))?;
    for (nth, At { place, value }) in others.enumerate() {
        if epochs[..=nth].contains(&epochs[nth + 1]) {
            report.error(place, format!("epoch {value} is given twice"));
        }
    }
    Some(epochs)
}

fn rules(raw: Option<&At<Vec<RawRule>>>, report: &Report) -> Option<Rules> {
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
            "none for everything else: add one with prefix = \"\"",
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
    let on_unloadable_write = meaning(
        raw.on_unloadable_write.as_ref(),
        OnUnloadableWrite::Accept,
        report,
    );
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
        on_unloadable_write: on_unloadable_write?,
        on_upstream_failure: on_upstream_failure?,
        coherence: coherence?,
        globals,
        py2_str: py2_str?,
        read_through: raw.read_through.as_ref().is_some_and(|at| at.value),
    };
    refuse_half_looks(raw, &rule, report).then_some(rule)
}

/// Tells whether a rule can only be followed with the whole value.
fn needs_all(on_unloadable_read: OnUnloadableRead, globals: Globals) -> bool {
    on_unloadable_read == OnUnloadableRead::Transcode || globals != Globals::Any
}

/// Reports settings that need to see more of a value than they are given.
fn refuse_half_looks(raw: &RawRule, rule: &Rule, report: &Report) -> bool {
    let needed = needs_all(rule.on_unloadable_read, rule.globals);
    let Some(At { place, .. }) = raw.sniff.as_ref().filter(|_| needed) else {
        return true;
    };
    let is_full = rule.sniff == Sniff::Full || rule.mode == Mode::Shared;
    if !is_full {
        let what = if rule.globals == Globals::Any {
            "on_unloadable_read = \"transcode\""
        } else {
            "globals"
        };
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
    let effective: &[&str] = match mode {
        Mode::Shared => &[],
        Mode::Observe => &["sniff", "coherence", "globals"],
        Mode::Guard => &[
            "sniff",
            "on_unloadable_read",
            "on_unloadable_write",
            "coherence",
            "globals",
            "py2_str",
        ],
        Mode::Isolate => return warn_of_stale_copies(raw, report),
    };
    let words = [
        &raw.sniff,
        &raw.on_unloadable_read,
        &raw.on_unloadable_write,
        &raw.coherence,
        &raw.globals,
        &raw.py2_str,
    ];
    let places = words.into_iter().flatten().map(|at| &at.place);
    let rollout = raw.rollout.iter().map(|at| &at.place);
    let read_through = raw.read_through.iter().map(|at| &at.place);
    for place in places.chain(rollout).chain(read_through) {
        if !effective.contains(&place.name()) {
            report.warn(place, format!("has no effect in mode {}", mode.word()));
        }
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

fn limits(raw: &RawLimits, report: &Report) -> Option<Limits> {
    let timeout = |raw: Option<&At<i64>>, default| {
        number(raw, default, TIMEOUTS_MS, report).map(|ms| Duration::from_millis(u64::from(ms)))
    };
    let max_connections = number(
        raw.max_connections.as_ref(),
        DEFAULT_MAX_CONNECTIONS,
        1..=1_000_000,
        report,
    );
    let max_value_bytes = max_value_bytes(raw.max_value_bytes.as_ref(), report);
    let max_buffered_bytes =
        max_value_bytes.and_then(|value| max_buffered_bytes(raw, value, report));
    let request_timeout = timeout(raw.request_timeout_ms.as_ref(), DEFAULT_REQUEST_TIMEOUT_MS);
    let connect_timeout = timeout(raw.connect_timeout_ms.as_ref(), DEFAULT_CONNECT_TIMEOUT_MS);
    let send_timeout = timeout(raw.send_timeout_ms.as_ref(), DEFAULT_SEND_TIMEOUT_MS);
    let drain_timeout = timeout(raw.drain_timeout_ms.as_ref(), DEFAULT_DRAIN_TIMEOUT_MS);
    Some(Limits {
        max_connections: max_connections? as usize,
        max_value_bytes: max_value_bytes?,
        max_buffered_bytes: max_buffered_bytes?,
        request_timeout: request_timeout?,
        connect_timeout: connect_timeout?,
        send_timeout: send_timeout?,
        drain_timeout: drain_timeout?,
    })
}

fn families(raw: &RawFamilies) -> Option<Separators> {
    let is_on = raw.track.as_ref().is_none_or(|at| at.value);
    let separators = raw.separators.as_ref();
    is_on.then(|| separators.map_or_else(Separators::default, |at| Separators::new(&at.value)))
}

fn max_value_bytes(raw: Option<&At<String>>, report: &Report) -> Option<usize> {
    size(raw, DEFAULT_MAX_VALUE_BYTES, report)
}

/// At least four of the largest values fit by default, and two have to.
fn max_buffered_bytes(raw: &RawLimits, max_value_bytes: usize, report: &Report) -> Option<usize> {
    let default = DEFAULT_MAX_BUFFERED_BYTES.max(4 * max_value_bytes);
    let raw = raw.max_buffered_bytes.as_ref();
    let bytes = size(raw, default, report)?;
    if let Some(At { place, value }) = raw
        && bytes / 2 < max_value_bytes
    {
        let message = format!("{value} is less than two values of max_value_bytes");
        report.error(place, message);
        return None;
    }
    Some(bytes)
}

/// A size of 1 byte to 1 GiB; the default where it is absent.
pub(super) fn size(raw: Option<&At<String>>, default: usize, report: &Report) -> Option<usize> {
    let Some(At { place, value }) = raw else {
        return Some(default);
    };
    match value.parse::<ByteSize>() {
        Ok(ByteSize(bytes @ 1..=MAX_VALUE_BYTES)) => return Some(bytes as usize),
        Ok(_) => report.error(
            place,
            format!("{value} is out of range, expected 1 to 1GiB"),
        ),
        Err(_) => report.error(
            place,
            format!("{value:?} is no size: write for example \"1MiB\""),
        ),
    }
    None
}

/// A list that must not be empty; what is absent was reported.
pub(super) fn some_of<'r, T>(raw: Option<&'r At<Vec<T>>>, report: &Report) -> &'r [T] {
    let Some(At { place, value }) = raw else {
        return &[];
    };
    if value.is_empty() {
        report.error(place, "none given: at least one is needed");
    }
    value
}

/// A number within its range; the default where it is absent.
pub(super) fn number(
    raw: Option<&At<i64>>,
    default: u32,
    range: RangeInclusive<u32>,
    report: &Report,
) -> Option<u32> {
    let Some(At { place, value }) = raw else {
        return Some(default);
    };
    let number = u32::try_from(*value).ok().filter(|n| range.contains(n));
    if number.is_none() {
        let (low, high) = range.into_inner();
        let message = format!("{value} is out of range, expected {low} to {high}");
        report.error(place, message);
    }
    number
}

/// A text, parsed; `None` where it is absent, or reported.
pub(super) fn parsed<T, E: std::fmt::Display>(
    raw: Option<&At<String>>,
    parse: impl FnOnce(&str) -> Result<T, E>,
    report: &Report,
) -> Option<At<T>> {
    let At { place, value } = raw?;
    let value = report.ok(place, parse(value))?;
    Some(At {
        place: place.clone(),
        value,
    })
}

/// Everything, or nothing; drives the iterator to its end either way, so that
/// each item reports its own problems.
fn all<T>(items: impl Iterator<Item = Option<T>>) -> Option<Vec<T>> {
    let items: Vec<Option<T>> = items.collect();
    items.into_iter().collect()
}

/// Reports what is there a second time.
fn refuse_duplicates<'p, K: Eq + Hash + std::fmt::Display>(
    items: impl Iterator<Item = (&'p Place, K)>,
    report: &Report,
) {
    let mut seen: HashMap<K, &Place> = HashMap::new();
    for (place, item) in items {
        if let Some(first) = seen.get(&item) {
            let message = match first.line {
                Some(line) => format!("{item} is already in {} (line {line})", first.key),
                None => format!("{item} is given twice"),
            };
            report.error(place, message);
        } else {
            seen.insert(item, place);
        }
    }
}
