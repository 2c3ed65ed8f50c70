//! How a listener learns what connects to it, and what becomes of a connection
//! that bears no tag. Knows no connection.

use arrayvec::ArrayVec;

use super::runtime::RuntimeTag;
use super::{Identity, Snapshot};

/// How many sources there are.
pub const SOURCES: usize = 4;

/// Where a tag may come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The client says it, in band.
    Hello,
    /// The certificate of its TLS connection names it.
    Certificate,
    /// A proxy in front says it, before everything else.
    ProxyProtocol,
    /// The system tells which process is at the other end.
    Process,
}

impl Source {
    /// All of them.
    pub const ALL: [Self; SOURCES] = [
        Self::Hello,
        Self::Certificate,
        Self::ProxyProtocol,
        Self::Process,
    ];
}

/// What becomes of a connection without a tag, or with one that no namespace is
/// for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Untagged {
    /// Its requests are answered by an error.
    Refuse,
    /// It works on the bare keys, and nothing is hidden from it.
    Pass,
    /// It counts as this runtime.
    As(RuntimeTag),
}

/// How a listener learns what connects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identify {
    /// All of it is this runtime.
    Static(RuntimeTag),
    /// Each connection is asked about.
    Each {
        /// Where its tag may come from: an earlier source outdoes a later one.
        sources: ArrayVec<Source, SOURCES>,
        /// If none tells.
        untagged: Untagged,
    },
}

/// Who may connect to a listener, and as what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admission {
    /// The listener's name.
    pub name: Box<str>,
    /// How it learns what connects.
    pub identify: Identify,
}

/// What a connection is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// A runtime of some namespace.
    Known(Identity),
    /// None that is known: bare keys, see [`Untagged::Pass`].
    Passed,
    /// None that may ask for anything.
    Refused,
}

impl Admission {
    /// The place of a source among those of the listener; `None` if it is none.
    pub fn rank(&self, source: Source) -> Option<usize> {
        match &self.identify {
            Identify::Static(_) => None,
            Identify::Each { sources, .. } => sources.iter().position(|s| *s == source),
        }
    }

    /// What a connection that bears this tag is taken for.
    pub fn standing(&self, tag: Option<&RuntimeTag>, snapshot: &Snapshot) -> Standing {
        let known = |tag: &RuntimeTag| snapshot.identify(tag).map(Standing::Known);
        match &self.identify {
            Identify::Static(runtime) => known(runtime).unwrap_or(Standing::Refused),
            Identify::Each { untagged, .. } => {
                tag.and_then(known).unwrap_or_else(|| match untagged {
                    Untagged::Refuse => Standing::Refused,
                    Untagged::Pass => Standing::Passed,
                    Untagged::As(runtime) => known(runtime).unwrap_or(Standing::Refused),
                })
            }
        }
    }
}
