//! Metrics of the process: those of its configurations and of clients that it turned
//! away. What workers count is published when somebody looks (`publisher`), what the
//! names mean is told once (`families`); series whose names are gone are dropped
//! (`registry`).

mod durations;
mod families;
mod publisher;
mod registry;

use std::time::{SystemTime, UNIX_EPOCH};

pub use durations::Durations;
pub use families::meaning;
pub use publisher::{Condition, Failure, Failures, Gauges, Labels, Publisher};
pub use registry::{Names, Registry};

use metrics::{SetRecorderError, counter, gauge};

use crate::config::{Config, Word as _};
use crate::policy::{BUCKETS, Compiled};
use families::{
    BUILD_INFO, FAILURES, GENERATION, HANDSHAKE_FAILURES, HASH, LAST_SUCCESS, LAST_SUCCESSFUL,
    LOG_DROPPED, MODE, REFUSED, ROLLOUT,
};

/// The label in place of a namespace for clients that have none, and for keys.
const UNTAGGED_CLIENTS: &str = "untagged";
const BARE_KEYS: &str = "bare";

/// Installs the process's recorder.
///
/// # Errors
/// If a recorder is installed already.
pub fn install() -> Result<Registry, SetRecorderError<Registry>> {
    let registry = Registry::default().install()?;
    counter!(FAILURES).absolute(0);
    log_dropped(0);
    gauge!(BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    Ok(registry)
}

/// Returns the names that the series of a configuration may have.
pub fn names(config: &Config) -> Names {
    let mut names = Names::default();
    let listeners = config.listeners.iter();
    names.add("listener", listeners.map(|l| l.admission.name.to_string()));
    let servers = config.upstream.servers.iter();
    names.add("server", servers.map(ToString::to_string));
    for label in ["namespace", "origin", "target", "reader"] {
        let namespaces = config.snapshot.namespaces.iter();
        names.add(label, namespaces.map(|n| n.name.to_string()));
        names.add(label, [UNTAGGED_CLIENTS, BARE_KEYS].map(str::to_owned));
    }
    names
}

/// A configuration was loaded: its number, the hash of its files if it has any, and
/// its rules, in whose place no other is left.
pub fn configuration_loaded<'a>(
    registry: &Registry,
    generation: u32,
    hash: Option<u64>,
    rules: impl Iterator<Item = &'a Compiled>,
) {
    gauge!(GENERATION).set(f64::from(generation));
    gauge!(LAST_SUCCESSFUL).set(1.0);
    if let Some(hash) = hash {
        // A gauge holds 53 bits exactly.
        gauge!(HASH).set((hash >> 16) as f64);
    }
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    gauge!(LAST_SUCCESS).set(now.as_secs_f64());
    registry.clear(MODE);
    registry.clear(ROLLOUT);
    for Compiled { rule, plans } in rules {
        let prefix = String::from_utf8_lossy(&rule.prefix).into_owned();
        gauge!(MODE, "rule" => prefix.clone(), "mode" => rule.mode.word()).set(1.0);
        gauge!(ROLLOUT, "rule" => prefix).set(plans.isolated() as f64 / BUCKETS as f64);
    }
}

/// A configuration was not taken over.
pub fn configuration_failed() {
    counter!(FAILURES).increment(1);
    gauge!(LAST_SUCCESSFUL).set(0.0);
}

/// A client was turned away.
pub fn connection_refused(listener: &str) {
    counter!(REFUSED, "listener" => listener.to_owned()).increment(1);
}

/// Publishes how many lines of the log were dropped so far.
pub fn log_dropped(lines: u64) {
    counter!(LOG_DROPPED).absolute(lines);
}

/// A client's TLS handshake failed.
pub fn tls_handshake_failed(listener: &str) {
    counter!(HANDSHAKE_FAILURES, "listener" => listener.to_owned()).increment(1);
}
