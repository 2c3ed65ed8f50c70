//! Configuration: a TOML file or flags in, one compiled [`Config`] out, or all
//! that is wrong with it, each with its line. Opens no socket; reads no file
//! but the one that [`Config::load`] is given and those that it names.
//!
//! Text becomes tables that know their lines (`document`), flags stand beside such
//! tables (`raw`), and what is taken out of them becomes what it means (`compile`).
//! Nobody returns at the first problem: each is reported (`report`), and the rest is
//! looked at all the same.
//!
//! Namespaces are tried in the order of the file: the first that admits a
//! runtime is its own.

mod addr;
mod compile;
mod document;
mod listeners;
mod namespaces;
mod pickles;
mod raw;
mod report;
mod rules;
mod settings;
mod shadow;
mod socket;
mod tls;
mod validity;
mod values;
mod words;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub use addr::{AddrError, ListenAddr, ServerAddr};
pub use report::{ConfigError, ConfigErrors};
pub(crate) use settings::{SETTINGS, Value};
pub use socket::SocketAccess;
pub(crate) use socket::obstacle;
pub use tls::{ListenerTls, UpstreamTls, Written};
pub use words::ClientAuth;
pub(crate) use words::Word;

use crate::policy::{Admission, Distribution, Snapshot};
use raw::Raw;
use report::{Place, Report};

/// A whole configuration, valid in itself.
#[derive(Debug, Clone)]
pub struct Config {
    /// The snapshot that decides about each request.
    pub snapshot: Arc<Snapshot>,
    /// Listeners, at least one; no two share an address.
    pub listeners: Vec<Listener>,
    /// The servers that requests go to.
    pub upstream: Upstream,
    /// The address of metrics and the page, if there is one.
    pub admin: Option<ListenAddr>,
    /// Mode and group of that, if it is a unix socket.
    pub admin_access: SocketAccess,
    /// The bounds of memory and time.
    pub limits: Limits,
    /// Threads that serve; at least 1.
    pub workers: usize,
    /// TCP listeners share their addresses with other processes that say so, too.
    pub reuse_port: bool,
    /// The text of the file that it was read from.
    pub text: String,
    /// The files that it was made of.
    pub files: Vec<PathBuf>,
    /// The files of TLS, which differ from host to host where nothing else does.
    pub certificates: Vec<PathBuf>,
    /// Settings that are allowed but hardly meant, one line each.
    pub warnings: Vec<String>,
}

/// An address that accepts downstream connections.
#[derive(Debug, Clone)]
pub struct Listener {
    /// The address that accepts its clients.
    pub addr: ListenAddr,
    /// Mode and group of it, if it is a unix socket.
    pub access: SocketAccess,
    /// The clients that may connect to it, and its name: the address as written.
    pub admission: Arc<Admission>,
    /// The settings of TLS with its clients, if they use it.
    pub tls: Option<ListenerTls>,
}

/// The memcached side.
#[derive(Debug, Clone)]
pub struct Upstream {
    /// Servers, at least one, in the order of the ring.
    pub servers: Vec<ServerAddr>,
    /// The way in which keys are spread over them.
    pub hash: Distribution,
    /// Connections of each worker to each server; at least 1.
    pub connections: usize,
    /// The settings of TLS with servers, if one of them uses it.
    pub tls: Option<UpstreamTls>,
}

/// The bounds of memory and time; none is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Downstream connections at a time.
    pub max_connections: usize,
    /// The largest value that is passed on; at most 1 GiB.
    pub max_value_bytes: usize,
    /// Bytes that a worker may hold for all of its clients.
    pub max_buffered_bytes: usize,
    /// The time that a request may wait for its reply, and that an upstream which owes
    /// one may say nothing.
    pub request_timeout: Duration,
    /// The time that an upstream may take to accept a connection.
    pub connect_timeout: Duration,
    /// The time that a client may take nothing of what it is owed.
    pub send_timeout: Duration,
    /// The time that connections may take to finish at the end.
    pub drain_timeout: Duration,
}

impl Config {
    /// Compiles a TOML text.
    ///
    /// # Errors
    /// All problems at once; `source_name` stands in front of each.
    pub fn parse(source_name: &str, toml: &str) -> Result<Self, ConfigErrors> {
        Self::parse_in(Path::new(""), source_name, toml)
    }

    /// Relative paths in it are relative to `base`.
    fn parse_in(base: &Path, source_name: &str, toml: &str) -> Result<Self, ConfigErrors> {
        let report = Report::new(Some(source_name));
        let config = document::read_document(toml, &report, |root| {
            compile::compile(Raw::from_document(root), base, &report)
        });
        Self::finish(config.flatten(), report)
    }

    /// Reads and compiles a TOML file.
    ///
    /// # Errors
    /// All problems at once, or the one that the file cannot be read.
    pub fn load(path: &Path) -> Result<Self, ConfigErrors> {
        let name = path.display().to_string();
        match std::fs::read_to_string(path) {
            Ok(toml) => {
                let base = path.parent().unwrap_or(Path::new(""));
                let mut config = Self::parse_in(base, &name, &toml)?;
                config.files.push(path.to_owned());
                config.text = toml;
                Ok(config)
            }
            Err(error) => {
                let report = Report::new(Some(&name));
                report.error(&Place::default(), format!("cannot be read: {error}"));
                Self::finish(None, report)
            }
        }
    }

    /// Compiles what flags can say: `ADDR=RUNTIME` for each listener, upstream
    /// servers and the admin address; all else has its default.
    ///
    /// # Errors
    /// All problems at once, each with its flag.
    pub fn from_flags(
        listen: &[String],
        upstream: &[String],
        admin: Option<&str>,
    ) -> Result<Self, ConfigErrors> {
        let report = Report::new(None);
        let config = document::read_document("", &report, |root| {
            let raw = Raw::from_flags(root, listen, upstream, admin);
            compile::compile(raw, Path::new(""), &report)
        });
        Self::finish(config.flatten(), report)
    }

    /// The listener of a name, which is its address as written.
    pub(crate) fn listener(&self, name: &str) -> Option<&Listener> {
        let mut listeners = self.listeners.iter();
        listeners.find(|listener| *listener.admission.name == *name)
    }

    /// Files that were read. A change of one leads to a reload.
    pub fn watched(&self) -> Vec<PathBuf> {
        [&self.files[..], &self.certificates].concat()
    }

    fn finish(config: Option<Self>, report: Report) -> Result<Self, ConfigErrors> {
        let warnings = report.finish()?;
        let config = config.expect("whoever answers None has reported why");
        Ok(Self { warnings, ..config })
    }
}

#[cfg(test)]
mod tests;
