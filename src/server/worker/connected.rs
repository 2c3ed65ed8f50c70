//! Connected clients, as people see them: counts by tag and source, and a list.

use serde::Serialize;

use crate::config::Word as _;
use crate::engine::{Session, Settings};
use crate::policy::{Identify, RuntimeTag};

/// Connections that are listed one by one, at most.
pub(in crate::server) const MAX_CONNECTIONS: usize = 1_000;
/// Groups of connections that are listed, at most: clients choose their tags.
const MAX_ADMITTED: usize = 100;

/// Identity that connections share: listener, tag, its source and the namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(in crate::server) struct Admitted {
    listener: String,
    /// Tag; `None` if no source gave one.
    runtime: Option<String>,
    /// Origin of the tag: `listener`, or a source as configured.
    told_by: Option<&'static str>,
    /// `None` for those without a tag, and those that no namespace is for.
    namespace: Option<String>,
    refused: bool,
}

/// A connection in the list.
#[derive(Debug, Clone, Serialize)]
pub(in crate::server) struct Connection {
    /// Address of the client, if it has one.
    pub(in crate::server) peer: Option<String>,
    #[serde(flatten)]
    pub(in crate::server) as_what: Admitted,
}

#[derive(Debug, Clone, Serialize)]
struct AdmittedCount {
    #[serde(flatten)]
    as_what: Admitted,
    connections: usize,
}

/// Connected clients of one worker, or of all.
#[derive(Debug, Clone, Default, Serialize)]
pub(in crate::server) struct Connected {
    /// Workers that have other settings to take over.
    reloading: usize,
    /// Number of connections, listed or not.
    connections: usize,
    admitted: Vec<AdmittedCount>,
    /// The first of them.
    #[serde(rename = "connected")]
    pub(in crate::server) some: Vec<Connection>,
}

impl Connected {
    /// Starts with the number of one worker's connections; their identities are added
    /// later.
    pub(in crate::server) fn new(connections: usize, is_reloading: bool) -> Self {
        Self {
            reloading: usize::from(is_reloading),
            connections,
            ..Self::default()
        }
    }

    /// Counts connections that share an identity.
    pub(in crate::server) fn add(&mut self, as_what: Admitted, connections: usize) {
        match self.admitted.iter_mut().find(|a| a.as_what == as_what) {
            Some(known) => known.connections += connections,
            None => self.admitted.push(AdmittedCount {
                as_what,
                connections,
            }),
        }
    }

    /// Adds the clients of another worker.
    pub(in crate::server) fn merge(mut self, other: Self) -> Self {
        self.reloading += other.reloading;
        self.connections += other.connections;
        self.some.extend(other.some);
        for group in other.admitted {
            self.add(group.as_what, group.connections);
        }
        self
    }

    /// Cuts the lists to their bounds and sorts them, so that answers can be compared.
    pub(in crate::server) fn listed(mut self) -> Self {
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
pub(in crate::server) struct Group<'a> {
    listener: &'a str,
    runtime: Option<&'a RuntimeTag>,
    told_by: Option<&'static str>,
    namespace: &'a str,
    refused: bool,
}

impl<'a> Group<'a> {
    /// Identity of a session.
    pub(in crate::server) fn of(session: &'a Session, settings: &'a Settings) -> Self {
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

    /// Puts the identity into words.
    pub(in crate::server) fn describe(self) -> Admitted {
        Admitted {
            listener: self.listener.to_owned(),
            runtime: self.runtime.map(ToString::to_string),
            told_by: self.told_by,
            namespace: (!self.namespace.is_empty()).then(|| self.namespace.to_owned()),
            refused: self.refused,
        }
    }
}
