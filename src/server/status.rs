//! What `/status` says: which configuration serves since when, why the last one
//! does not, and who is connected. A JSON object.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

use crate::config::{Config, Word as _};
use crate::policy::{Identify, Untagged};

/// Connections that are listed one by one, at most.
pub(super) const MAX_CONNECTIONS: usize = 1_000;

/// What changes with configurations.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Status {
    version: &'static str,
    config: Configuration,
    listeners: Vec<Listener>,
    namespaces: Vec<Namespace>,
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
}

#[derive(Debug, Clone, Serialize)]
struct Namespace {
    name: String,
    runtimes: String,
    prefix: String,
}

/// One connection.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Connection {
    pub(super) listener: String,
    /// Its address, where it has one.
    pub(super) peer: Option<String>,
    /// Its tag; `None` where nothing told it.
    pub(super) runtime: Option<String>,
    /// What told it: `listener`, or a source as configured.
    pub(super) told_by: Option<&'static str>,
    /// `None` for those without a tag, and those that no namespace is for.
    pub(super) namespace: Option<String>,
    pub(super) refused: bool,
}

impl Status {
    /// The first configuration serves.
    pub(super) fn new(config: &Config) -> Self {
        let mut status = Self {
            version: env!("CARGO_PKG_VERSION"),
            config: Configuration {
                generation: 0,
                files: Vec::new(),
                loaded_at: 0,
                warnings: Vec::new(),
                failure: None,
            },
            listeners: Vec::new(),
            namespaces: Vec::new(),
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
    match &listener.admission.identify {
        Identify::Static(runtime) => Listener {
            listen,
            runtime: Some(runtime.to_string()),
            identify: Vec::new(),
            untagged: None,
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
        },
    }
}

fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_secs()
}
