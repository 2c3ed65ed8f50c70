//! Builds the configurations that tests serve by: what most of them say is said here once,
//! and what one is about stands in it.

use std::fmt::{self, Display, Formatter, Write as _};

/// A configuration as TOML. Each call adds a table, in the order of the calls.
#[derive(Debug, Clone)]
pub(crate) struct Toml {
    text: String,
}

impl Toml {
    /// Before these servers, with a namespace for Python 2 and one for Python 3.
    pub(crate) fn new<S: AsRef<str>>(servers: &[S]) -> Self {
        Self::without_namespaces(servers)
            .namespace("py2", "python <3")
            .namespace("py3", "python >=3")
    }

    pub(crate) fn without_namespaces<S: AsRef<str>>(servers: &[S]) -> Self {
        let servers: Vec<&str> = servers.iter().map(AsRef::as_ref).collect();
        let text = String::new();
        Self { text }.table("upstream", &format!("servers = {servers:?}"))
    }

    pub(crate) fn namespace(self, name: &str, runtimes: &str) -> Self {
        let settings = format!("runtimes = {runtimes:?}");
        self.table(&format!("namespaces.{name}"), &settings)
    }

    /// Adds a listener whose clients are all of this runtime.
    pub(crate) fn listener(self, listen: &str, runtime: &str) -> Self {
        self.listener_with(listen, &format!("runtime = {runtime:?}"))
    }

    pub(crate) fn listener_with(self, listen: &str, settings: &str) -> Self {
        self.table("[listeners]", &format!("listen = {listen:?}\n{settings}"))
    }

    /// A rule for all keys that no rule before it is for.
    pub(crate) fn rule(self, settings: &str) -> Self {
        self.family("", settings)
    }

    /// A rule for the keys that begin so.
    pub(crate) fn family(self, prefix: &str, settings: &str) -> Self {
        self.table("[rules]", &format!("prefix = {prefix:?}\n{settings}"))
    }

    pub(crate) fn admin(self, listen: &str) -> Self {
        self.table("admin", &format!("listen = {listen:?}"))
    }

    /// The table `[name]`; `settings` may go on with further tables.
    pub(crate) fn table(mut self, name: &str, settings: &str) -> Self {
        let written = write!(self.text, "\n[{name}]\n{settings}\n");
        written.expect("a String takes everything");
        self
    }
}

impl Display for Toml {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
