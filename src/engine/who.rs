//! Identity of a client: what is known of it, and what it is taken for.

use std::sync::Arc;

use super::counts::Counts;
use super::listener::ListenerId;
use crate::policy::{Identity, Standing, Tag, Told};

/// A client as its requests are decided for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Who {
    /// Namespace, and what it can load.
    pub identity: Identity,
    /// Row of the counters: its listener and namespace.
    pub origin: u32,
}

impl Who {
    /// A client whose listener is gone, and which may ask for nothing.
    pub const NOBODY: Self = Self {
        identity: Identity::UNTAGGED,
        origin: Counts::NOBODY,
    };
}

impl Default for Who {
    fn default() -> Self {
        Self::NOBODY
    }
}

/// Facts about a connection that was asked about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    /// By each source.
    pub told: Told,
    /// The tag that those come to at its listener.
    pub tag: Option<Tag>,
}

/// A tag as some `P` flag spelled it, and what that stands for on connections of
/// which so much is known.
#[derive(Debug)]
pub(super) struct FlagTag {
    pub listener: ListenerId,
    pub known: Option<Arc<Known>>,
    pub text: Box<[u8]>,
    pub standing: Standing,
}
