//! What a pickle is and who can load it, from its bytes alone. Never executes
//! a pickle, never builds an object.

mod extensions;
mod machine;
mod node;
mod opcode;
mod operands;
mod scan;
mod sniff;
mod special;
pub mod transcode;

pub use extensions::Extensions;
pub use machine::{Broken, Flaw};
pub use scan::{GlobalRef, Roles, Scan, Scanner, Writer};
pub use sniff::{Encoding, Header, SNIFF_BYTES, Sniffer};

/// What a Python runtime can load, as far as a pickle's header can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reader {
    /// The highest protocol that it loads.
    pub max_protocol: u8,
}

impl Reader {
    /// Loads every protocol there is.
    pub const NEWEST: Self = Self { max_protocol: 5 };

    /// Python 2.3 and later load protocols up to 2; 3.0 to 3.3 up to 3; 3.4 to
    /// 3.7 up to 4; 3.8 and later up to 5 (PEP 307, PEP 3154, PEP 574).
    pub fn of_python(major: u64, minor: u64) -> Self {
        let max_protocol = match (major, minor) {
            (..=2, _) => 2,
            (3, ..=3) => 3,
            (3, ..=7) => 4,
            _ => 5,
        };
        Self { max_protocol }
    }

    /// The header's verdict: certain when it says no.
    pub fn verdict(self, header: Header) -> Verdict {
        match header.protocol {
            Some(protocol) if protocol > self.max_protocol => Verdict::Unloadable,
            Some(_) => Verdict::Loadable,
            None => Verdict::Unknown,
        }
    }
}

/// Whether a reader can load a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// As far as was looked, nothing stands against it.
    Loadable,
    /// It cannot.
    Unloadable,
    /// The value could not be understood.
    Unknown,
}
