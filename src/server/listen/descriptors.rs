//! Limit of open files. Every connection takes a descriptor, and a process without a free
//! one cannot even accept a client to refuse it.

use rlimit::Resource;

use crate::config::Config;

/// Descriptors kept free for everything but connections of clients and to servers:
/// listeners, pollers, files, admin requests, and a moment for each client that is turned
/// away.
const OTHERS: usize = 128;

/// Raises the limit of open files, as far as the system allows, so that `max_connections`
/// fit beside all else. Returns the number of clients that fit, at least 1.
pub(in crate::server) fn room_for_clients(config: &Config) -> usize {
    // One more per server: bulk clients have a lane of their own.
    let lanes = config.upstream.servers.len() * (config.upstream.connections + 1);
    let others = OTHERS + config.listeners.len() + config.workers * lanes;
    let asked = config.limits.max_connections;
    let files = raise((asked + others) as u64);
    let fits = usize::try_from(files).unwrap_or(usize::MAX);
    let fits = fits.saturating_sub(others).clamp(1, asked);
    if fits < asked {
        tracing::warn!(
            "limits.max_connections is {asked}, but {files} open files are allowed: \
             room for {fits} clients"
        );
    }
    fits
}

/// Raises the limit to `wanted`, or as far as allowed, and returns it. Never lowers it.
fn raise(wanted: u64) -> u64 {
    rlimit::increase_nofile_limit(wanted).unwrap_or_else(|error| {
        tracing::warn!(%error, "the limit of open files cannot be raised");
        Resource::NOFILE.get_soft().unwrap_or(u64::MAX)
    })
}
