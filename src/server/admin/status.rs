//! Body of `/status`: the configuration in force with its rules, the failure of the last
//! reload, and the connected clients. A JSON object, whose names stay: the page at `/`
//! and others' scripts read them. Counts are metrics.
//!
//! ```text
//! version, started_at
//! config      generation, files, loaded_at, warnings, failure (null, or at, errors)
//! listeners   listen, and runtime, or identify and untagged; tls: whether
//! namespaces  name, runtimes, prefix
//! rules       prefix, mode, rollout, every other setting by its name, and blind: whether
//!             nobody knows who can load the values; sorted by prefix
//! upstream    the servers
//! reloading   how many workers have another configuration to take over, and wait for
//!             what is under way; generation is the one that all have
//! connections how many there are
//! admitted    listener, runtime, told_by, namespace, refused, connections: how many
//!             were taken for the same; the most first, 100 at most
//! connected   peer and the same of each, 1,000 at most
//! ```
//! Times are Unix times in seconds. What does not apply is absent or null.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

use crate::config::{Config, SETTINGS, Value, Word as _};
use crate::policy::{Compiled, Identify, Untagged};

/// Part of the status that a reload replaces.
#[derive(Debug, Clone, Default, Serialize)]
pub(in crate::server) struct Status {
    version: &'static str,
    /// Unix time, in seconds.
    started_at: u64,
    config: Configuration,
    listeners: Vec<Listener>,
    namespaces: Vec<Namespace>,
    rules: Vec<RuleReport>,
    upstream: Vec<String>,
}

#[derive(Debug, Clone, Default, Serialize)]
struct Configuration {
    /// Configurations that were taken over since the start.
    generation: u32,
    files: Vec<String>,
    /// Unix time, in seconds.
    loaded_at: u64,
    warnings: Vec<String>,
    /// The last one that was not taken over, if nothing was after it.
    failure: Option<Failure>,
}

#[derive(Debug, Clone, Serialize)]
struct Failure {
    /// Unix time, in seconds.
    at: u64,
    errors: Vec<String>,
}

#[derive(Debug, Clone, Default, Serialize)]
struct Listener {
    listen: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    runtime: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    identify: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    untagged: Option<String>,
    tls: bool,
}

#[derive(Debug, Clone, Serialize)]
struct Namespace {
    name: String,
    runtimes: String,
    prefix: String,
}

/// Every word as in the configuration.
#[derive(Debug, Clone, Serialize)]
struct RuleReport {
    prefix: String,
    mode: &'static str,
    /// Percent of the keys that are isolated, where the mode is `isolate`.
    rollout: u8,
    #[serde(flatten)]
    settings: BTreeMap<&'static str, Value>,
    /// Values pass of which nobody knows who can load them.
    blind: bool,
}

impl Status {
    /// The first configuration serves.
    pub(in crate::server) fn new(config: &Config) -> Self {
        let mut status = Self {
            version: env!("CARGO_PKG_VERSION"),
            started_at: now(),
            ..Self::default()
        };
        status.loaded(config);
        status
    }

    /// Configurations that were taken over since the start.
    pub(in crate::server) fn generation(&self) -> u32 {
        self.config.generation
    }

    /// Whether the last configuration was not taken over.
    pub(in crate::server) fn has_failed(&self) -> bool {
        self.config.failure.is_some()
    }

    /// A configuration was taken over.
    pub(in crate::server) fn loaded(&mut self, config: &Config) {
        let files = config.files.iter();
        self.config = Configuration {
            generation: self.config.generation + 1,
            files: files.map(|file| file.display().to_string()).collect(),
            loaded_at: now(),
            warnings: config.warnings.clone(),
            failure: None,
        };
        self.listeners = config.listeners.iter().map(listener).collect();
        let codec = &config.snapshot.codec;
        let named = codec.spaces().skip(1).zip(&config.snapshot.namespaces);
        self.namespaces = named
            .map(|(space, namespace)| Namespace {
                name: namespace.name.to_string(),
                runtimes: namespace.requirement.to_string(),
                prefix: String::from_utf8_lossy(codec.prefix(space)).into_owned(),
            })
            .collect();
        self.rules = config.snapshot.rules.iter().map(rule).collect();
        let servers = config.upstream.servers.iter();
        self.upstream = servers.map(ToString::to_string).collect();
    }

    /// A configuration was not taken over.
    pub(in crate::server) fn failed(&mut self, errors: &str) {
        self.config.failure = Some(Failure {
            at: now(),
            errors: errors.lines().map(str::to_owned).collect(),
        });
    }
}

fn listener(listener: &crate::config::Listener) -> Listener {
    let mut report = Listener {
        listen: listener.admission.name.to_string(),
        tls: listener.tls.is_some(),
        ..Listener::default()
    };
    match &listener.admission.identify {
        Identify::Static(runtime) => report.runtime = Some(runtime.to_string()),
        Identify::Each { sources, untagged } => {
            report.identify = sources.iter().map(|source| source.word()).collect();
            report.untagged = Some(match untagged {
                Untagged::Refuse => "refuse".to_owned(),
                Untagged::Pass => "pass".to_owned(),
                Untagged::As(runtime) => runtime.to_string(),
            });
        }
    }
    report
}

fn rule(Compiled { rule, plans }: &Compiled) -> RuleReport {
    let settings = SETTINGS.iter();
    RuleReport {
        prefix: String::from_utf8_lossy(&rule.prefix).into_owned(),
        mode: rule.mode.word(),
        rollout: rule.rollout.percent(),
        settings: settings.map(|s| (s.name, (s.of)(rule))).collect(),
        blind: plans.inside.is_blind(),
    }
}

fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_secs()
}
