//! Errors of starting and of reloading.

use std::io;

use super::supervise::Ended;
use crate::config::ConfigErrors;
use crate::metrics::Registry;

/// Failures that keep the proxy from starting.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The configuration has errors.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// An address that cannot be listened on.
    #[error("cannot listen on {addr}: {source}")]
    Bind {
        /// Address as configured.
        addr: String,
        /// Error of the system.
        source: io::Error,
    },
    /// The process's metrics are taken.
    #[error("cannot install metrics: {0}")]
    Metrics(#[from] ::metrics::SetRecorderError<Registry>),
    /// Threads, signals, runtimes.
    #[error(transparent)]
    System(#[from] io::Error),
    /// A worker, or what accepts clients, ended while it was needed.
    #[error(transparent)]
    Ended(#[from] Ended),
}

impl ServeError {
    /// Whether the system refused something, rather than picklegate failing.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Bind { .. } | Self::System(_))
    }
}

/// Failures of a reload. The old configuration stays in force as a whole.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReloadError {
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    #[error(transparent)]
    Serve(#[from] ServeError),
    #[error("{0} cannot change while serving: restart picklegate for that")]
    Fixed(&'static str),
    #[error("there is no file to reload: everything was set by flags")]
    NoFile,
}
