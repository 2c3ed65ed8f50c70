//! Pickles: what they are and who can load them, from their bytes alone. Nothing here
//! executes a pickle or builds an object.

mod denied;
mod extensions;
mod facts;
mod firewall;
mod flaw;
mod inflate;
pub mod inventory;
mod machine;
pub mod names;
mod node;
mod observer;
mod opcode;
mod operands;
mod paths;
mod pause;
mod pool;
mod proof;
mod reader;
mod reason;
mod rules;
mod scan;
mod sniff;
pub mod transcode;
mod tree;
mod verdict;

pub use extensions::Extensions;
pub use firewall::{Firewall, ListError, Refused, Role};
pub use flaw::{Broken, Flaw};
pub use inflate::{InflateError, InflateLimits, Inflater};
pub use pause::Pause;
pub use pool::Pool;
pub use proof::{Alike, compare};
pub use reader::Reader;
pub use reason::{Doubt, Lack, Reason, Refusal};
pub use scan::{GlobalRef, Outermost, Roles, Scan, Scanner, Writer};
pub use sniff::{Encoding, Header, SNIFF_BYTES, Sniffer};
pub use tree::{NotPlain, tree_bytes};

/// Whether a reader can load a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// All of it was looked at, and nothing stands against it.
    Loadable,
    /// The reader cannot load it.
    Unloadable,
    /// All of it was looked at, and not understood.
    Unknown,
    /// Not all of it was looked at, and nothing that was speaks against it.
    NotLookedAt,
}

impl Verdict {
    /// All verdicts, in the order of their numbers.
    pub const ALL: [Self; 4] = [
        Self::Loadable,
        Self::Unloadable,
        Self::Unknown,
        Self::NotLookedAt,
    ];

    /// The name in metrics and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Loadable => "loadable",
            Self::Unloadable => "unloadable",
            Self::Unknown => "unknown",
            Self::NotLookedAt => "not_looked_at",
        }
    }
}
