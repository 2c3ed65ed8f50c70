//! What `/status` says: which configuration serves since when and by which rules,
//! why the last one does not, and who is connected. A JSON object, whose names
//! stay: the page at `/` and others' scripts read them. Counts are metrics.
//!
//! ```text
//! version, started_at
//! config      generation, files, loaded_at, warnings, failure (null, or at, errors)
//! listeners   listen, and runtime, or identify and untagged; tls: whether
//! namespaces  name, runtimes, prefix
//! rules       prefix, mode, rollout, sniff (under header and off nobody knows whether
//!             values can be loaded), on_unloadable_read, on_unloadable_write,
//!             coherence, read_through; sorted by prefix
//! upstream    the servers
//! reloading   how many workers have another configuration to take over, and wait for
//!             what is under way; generation is the one that all have
//! connections how many there are
//! admitted    listener, runtime, told_by, namespace, refused, connections: how many
//!             were taken for the same; the most first, 100 at most
//! connected   peer and the same of each, 1,000 at most
//! ```
//! Times are Unix times in seconds. What does not apply is absent or null.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

use crate::config::{Config, Word as _};
use crate::engine::{Session, Settings};
use crate::policy::{Identify, Rule, RuntimeTag, Untagged};

/// Connections that are listed one by one, at most.
pub(super) const MAX_CONNECTIONS: usize = 1_000;
/// Groups of connections that are listed, at most: clients choose their tags.
const MAX_ADMITTED: usize = 100;

/// What changes with configurations.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Status {
    version: &'static str,
    /// Unix time, in seconds.
    started_at: u64,
    config: Configuration,
    listeners: Vec<Listener>,
    namespaces: Vec<Namespace>,
    rules: Vec<RuleReport>,
    upstream: Vec<String>,
}

#[derive(Debug, Clone, Serialize)]
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

#[derive(Debug, Clone, Serialize)]
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
    sniff: &'static str,
    on_unloadable_read: &'static str,
    on_unloadable_write: &'static str,
    on_upstream_failure: &'static str,
    coherence: &'static str,
    read_through: bool,
}

/// What connections are taken for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Admitted {
    listener: String,
    /// Its tag; `None` where nothing told it.
    runtime: Option<String>,
    /// What told it: `listener`, or a source as configured.
    told_by: Option<&'static str>,
    /// `None` for those without a tag, and those that no namespace is for.
    namespace: Option<String>,
    refused: bool,
}

/// One connection.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Connection {
    /// Its address, where it has one.
    pub(super) peer: Option<String>,
    #[serde(flatten)]
    pub(super) as_what: Admitted,
}

#[derive(Debug, Clone, Serialize)]
struct AdmittedCount {
    #[serde(flatten)]
    as_what: Admitted,
    connections: usize,
}

/// Who is connected, to one worker or to all.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Connected {
    /// Workers that have other settings to take over.
    reloading: usize,
    /// How many there are.
    connections: usize,
    admitted: Vec<AdmittedCount>,
    /// The first of them.
    #[serde(rename = "connected")]
    pub(super) some: Vec<Connection>,
}

impl Connected {
    /// So many with one worker, of whom nothing is known yet.
    pub(super) fn new(connections: usize, is_reloading: bool) -> Self {
        Self {
            reloading: usize::from(is_reloading),
            connections,
            ..Self::default()
        }
    }

    /// Some of them are taken for the same.
    pub(super) fn add(&mut self, as_what: Admitted, connections: usize) {
        match self.admitted.iter_mut().find(|a| a.as_what == as_what) {
            Some(known) => known.connections += connections,
            None => self.admitted.push(AdmittedCount {
                as_what,
                connections,
            }),
        }
    }

    /// Those of another worker as well.
    pub(super) fn merge(mut self, other: Self) -> Self {
        self.reloading += other.reloading;
        self.connections += other.connections;
        self.some.extend(other.some);
        for group in other.admitted {
            self.add(group.as_what, group.connections);
        }
        self
    }

    /// As many as are listed, in an order that stays.
    pub(super) fn listed(mut self) -> Self {
        let rank = |group: &AdmittedCount| {
            let as_what = &group.as_what;
            let names = (as_what.listener.clone(), as_what.runtime.clone());
            (std::cmp::Reverse(group.connections), names)
        };
        self.admitted.sort_by_cached_key(rank);
        self.admitted.truncate(MAX_ADMITTED);
        self.some.truncate(MAX_CONNECTIONS);
        self
    }
}

/// [`Admitted`], before it is put into words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Group<'a> {
    listener: &'a str,
    runtime: Option<&'a RuntimeTag>,
    told_by: Option<&'static str>,
    namespace: &'a str,
    refused: bool,
}

impl<'a> Group<'a> {
    /// What a client is taken for.
    pub(super) fn of(session: &'a Session, settings: &'a Settings) -> Self {
        let listener = settings.listener(session.listener);
        let admission = listener.map(|(_, admission)| admission);
        let (runtime, told_by) = match (admission.map(|a| &a.identify), session.tag()) {
            (Some(Identify::Static(runtime)), _) => (Some(runtime), Some("listener")),
            (_, Some(tag)) => (Some(&tag.runtime), Some(tag.source.word())),
            _ => (None, None),
        };
        Self {
            listener: admission.map_or("", |admission| &admission.name),
            runtime,
            told_by,
            namespace: settings.snapshot.codec.name(session.who.identity.space),
            refused: session.refused,
        }
    }

    /// In words.
    pub(super) fn describe(self) -> Admitted {
        Admitted {
            listener: self.listener.to_owned(),
            runtime: self.runtime.map(ToString::to_string),
            told_by: self.told_by,
            namespace: (!self.namespace.is_empty()).then(|| self.namespace.to_owned()),
            refused: self.refused,
        }
    }
}

impl Status {
    /// The first configuration serves.
    pub(super) fn new(config: &Config) -> Self {
        let mut status = Self {
            version: env!("CARGO_PKG_VERSION"),
            started_at: now(),
            config: Configuration {
                generation: 0,
                files: Vec::new(),
                loaded_at: 0,
                warnings: Vec::new(),
                failure: None,
            },
            listeners: Vec::new(),
            namespaces: Vec::new(),
            rules: Vec::new(),
            upstream: Vec::new(),
        };
        status.loaded(config);
        status
    }

    /// Configurations that were taken over since the start.
    pub(super) fn generation(&self) -> u32 {
        self.config.generation
    }

    /// Whether the last configuration was not taken over.
    pub(super) fn has_failed(&self) -> bool {
        self.config.failure.is_some()
    }

    /// A configuration was taken over.
    pub(super) fn loaded(&mut self, config: &Config) {
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
        self.rules = config
            .snapshot
            .rules
            .iter()
            .map(|c| rule(&c.rule))
            .collect();
        let servers = config.upstream.servers.iter();
        self.upstream = servers.map(ToString::to_string).collect();
    }

    /// A configuration was not taken over.
    pub(super) fn failed(&mut self, errors: &str) {
        self.config.failure = Some(Failure {
            at: now(),
            errors: errors.lines().map(str::to_owned).collect(),
        });
    }
}

fn listener(listener: &crate::config::Listener) -> Listener {
    let listen = listener.admission.name.to_string();
    let tls = listener.tls.is_some();
    match &listener.admission.identify {
        Identify::Static(runtime) => Listener {
            listen,
            runtime: Some(runtime.to_string()),
            identify: Vec::new(),
            untagged: None,
            tls,
        },
        Identify::Each { sources, untagged } => Listener {
            listen,
            runtime: None,
            identify: sources.iter().map(|source| source.word()).collect(),
            untagged: Some(match untagged {
                Untagged::Refuse => "refuse".to_owned(),
                Untagged::Pass => "pass".to_owned(),
                Untagged::As(runtime) => runtime.to_string(),
            }),
            tls,
        },
    }
}

fn rule(rule: &Rule) -> RuleReport {
    RuleReport {
        prefix: String::from_utf8_lossy(&rule.prefix).into_owned(),
        mode: rule.mode.word(),
        rollout: rule.rollout.percent(),
        sniff: rule.sniff.word(),
        on_unloadable_read: rule.on_unloadable_read.word(),
        on_unloadable_write: rule.on_unloadable_write.word(),
        on_upstream_failure: rule.on_upstream_failure.word(),
        coherence: rule.coherence.word(),
        read_through: rule.read_through,
    }
}

fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_secs()
}
