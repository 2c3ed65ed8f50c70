//! Raw settings to a configuration, in one fallible step. Every function
//! reports what is wrong with its part and answers `None`; the others go on.

use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::addr::{ListenAddr, ServerAddr};
use super::document::Table;
use super::listeners::{Draft, listeners};
use super::namespaces::namespaces;
use super::pickles::pickles;
use super::raw::Raw;
use super::report::{At, Report};
use super::rules::rules;
use super::values::{parsed, refuse_duplicates, size, some_of};
use super::words::FlushAll;
use super::{Config, Limits, Listener, Upstream};
use super::{socket, tls};
use crate::policy::{Distribution, Ring, Separators, Snapshot};

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
pub(super) fn compile(raw: Raw<'_>, base: &Path, report: &Report) -> Option<Config> {
    // Nothing returns before every part was looked at.
    let spaces = raw.namespaces;
    let spaces = spaces.and_then(|tables| namespaces(tables, base, report));
    let known = spaces.as_ref().map(|spaces| &spaces.all[..]);
    let listeners = listeners(raw.listeners, known, base, report);
    let admin = admin(raw.admin.as_ref(), report);
    let admin_access = raw
        .admin_table
        .map(|mut table| socket::access(&mut table, admin.as_ref(), report));
    let servers = servers(raw.servers, report);
    refuse_shared_addresses(&listeners, admin.as_ref(), &servers, report);
    let mut upstream = raw.upstream;
    let hash = upstream.word("hash", Distribution::Ketama);
    let tls = upstream.table("tls");
    let tls = tls::upstream(tls, upstream.given("tls"), &servers, base, report);
    let connections = upstream.number("connections", DEFAULT_CONNECTIONS, 1..=64);
    let mut server = raw.server;
    let workers = server.number("workers", DEFAULT_WORKERS, 1..=256);
    let reuse_port = server.boolean("reuse_port");
    let rules = rules(raw.rules, report);
    let pickles = pickles(raw.pickle, report);
    let limits = limits(raw.limits, report);
    let families = families(raw.families);
    let mut commands = raw.admin_commands;
    let flush_all = commands.word("flush_all", FlushAll::Deny);

    let upstream = Upstream {
        servers: servers.into_iter().map(|at| at.value).collect(),
        hash: hash?,
        connections: connections? as usize,
        tls,
    };
    let spaces = spaces?;
    let limits = limits?;
    let snapshot = Snapshot {
        codec: spaces.codec,
        namespaces: spaces.all,
        rules: rules?,
        ring: ring(&upstream),
        pickles: pickles?,
        max_value_bytes: limits.max_value_bytes,
        families,
        forward_flush_all: flush_all? == FlushAll::Forward,
    };
    let listeners: Vec<Listener> = listeners
        .into_iter()
        .map(Draft::finish)
        .collect::<Option<_>>()?;
    let listeners_tls = listeners
        .iter()
        .filter_map(|listener| listener.tls.as_ref());
    let written = upstream.tls.iter().map(|tls| &tls.written);
    let written = written.chain(listeners_tls.map(|tls| &tls.written));
    Some(Config {
        certificates: written
            .flat_map(|written| tls::files(written, base))
            .collect(),
        listeners,
        snapshot: Arc::new(snapshot),
        upstream,
        admin: admin.map(|at| at.value),
        admin_access: admin_access.unwrap_or_default(),
        limits,
        workers: workers? as usize,
        reuse_port: reuse_port.is_some_and(|at| at.value),
        text: String::new(),
        files: spaces.inventories,
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
fn servers(raw: Option<At<Vec<At<String>>>>, report: &Report) -> Vec<At<ServerAddr>> {
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

fn limits(mut table: Table<'_>, report: &Report) -> Option<Limits> {
    let max_connections = table.number("max_connections", DEFAULT_MAX_CONNECTIONS, 1..=1_000_000);
    let max_value_bytes = table.size("max_value_bytes");
    let max_value_bytes = size(max_value_bytes.as_ref(), DEFAULT_MAX_VALUE_BYTES, report);
    let max_buffered_bytes = table.size("max_buffered_bytes");
    let max_buffered_bytes = max_value_bytes
        .and_then(|value| buffered_bytes(max_buffered_bytes.as_ref(), value, report));
    let mut timeout = |name, default_ms| {
        let ms = table.number(name, default_ms, TIMEOUTS_MS);
        ms.map(|ms| Duration::from_millis(ms.into()))
    };
    let request_timeout = timeout("request_timeout_ms", DEFAULT_REQUEST_TIMEOUT_MS);
    let connect_timeout = timeout("connect_timeout_ms", DEFAULT_CONNECT_TIMEOUT_MS);
    let send_timeout = timeout("send_timeout_ms", DEFAULT_SEND_TIMEOUT_MS);
    let drain_timeout = timeout("drain_timeout_ms", DEFAULT_DRAIN_TIMEOUT_MS);
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

fn families(mut table: Table<'_>) -> Option<Separators> {
    let is_on = table.boolean("track").is_none_or(|at| at.value);
    let separators = table.string("separators");
    is_on.then(|| separators.map_or_else(Separators::default, |at| Separators::new(&at.value)))
}

/// Bytes that a worker may hold. The default has room for four of the largest values; two
/// must fit.
fn buffered_bytes(
    raw: Option<&At<String>>,
    max_value_bytes: usize,
    report: &Report,
) -> Option<usize> {
    let default = DEFAULT_MAX_BUFFERED_BYTES.max(4 * max_value_bytes);
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
