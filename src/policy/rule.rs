//! Rules as people write them: the settings, and the words that each may have. Their
//! consequences are compiled into the plan.

use super::rollout::Rollout;
use crate::pickle::transcode::Py2Str;

/// A rule for a family of client keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Client keys that start with this; empty for the catch-all.
    pub prefix: Box<[u8]>,
    /// The place of keys, and the treatment of values.
    pub mode: Mode,
    /// The keys that are isolated in [`Mode::Isolate`]; the others are guarded.
    pub rollout: Rollout,
    /// The part of each value that is looked at.
    pub sniff: Sniff,
    /// The answer to a reader that cannot load a value (guard, isolate).
    pub on_unloadable_read: OnUnloadableRead,
    /// The answer to a reader of which nothing proves that it can load a value.
    pub on_unknown_read: OnUnknownRead,
    /// The answer to a store that some reader of the key cannot load.
    pub on_unloadable_write: OnStore,
    /// The answer to a store of which nothing proves that all readers of the key can load
    /// it.
    pub on_unknown_write: OnStore,
    /// The answer to a read whose server failed; writes always get the error.
    pub on_upstream_failure: OnUpstreamFailure,
    /// The writes that reach the siblings.
    pub coherence: Coherence,
    /// The firewall on what pickles name.
    pub globals: Globals,
    /// The type that a transcoded Python 2 `str` gets where nothing tells.
    pub py2_str: Py2Str,
    /// True if a miss in a namespace is answered with another copy that its reader can
    /// load.
    pub read_through: bool,
}

/// The place of a rule's keys, and whether values are looked at. Each mode does what
/// those before it do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// Bare keys, untouched.
    Shared,
    /// Bare keys, values sniffed and counted.
    Observe,
    /// Bare keys, unloadable values hidden or rejected.
    Guard,
    /// Each namespace has its own copy.
    Isolate,
}

/// The part of each value that is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sniff {
    /// Values are not looked at.
    Off,
    /// The first bytes.
    Header,
    /// Values are held whole, and all of their opcodes are looked at.
    Full,
}

/// The answer to a reader that cannot load a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnUnloadableRead {
    /// An ordinary miss.
    Miss,
    /// The value in a form that it can load, or a miss where there is none.
    Transcode,
    /// The value as it is.
    Pass,
}

/// The answer to a reader of which nothing proves that it can load a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnUnknownRead {
    /// The value as it is.
    Serve,
    /// An ordinary miss.
    Miss,
}

/// The answer to a store that a reader of its key may not be able to load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnStore {
    /// Stored.
    Accept,
    /// `NOT_STORED`, and every copy deleted.
    Reject,
}

/// The answer to a read whose server failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnUpstreamFailure {
    /// A miss, beside the values of the other servers.
    Miss,
    /// The error, in place of all that is not out yet.
    Error,
}

/// The writes that reach the siblings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coherence {
    /// No change reaches other copies.
    None,
    /// Deletes.
    Deletes,
    /// Deletes, and every write that took effect, but for those that fill what
    /// was just missed.
    FillAware,
    /// Deletes, and every write that took effect.
    Strict,
}

/// The pickles that the firewall refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Globals {
    /// The firewall is off.
    Any,
    /// Pickles that name what is on the deny list.
    Deny,
    /// Pickles that name anything but what is on the allow list.
    Allow,
}
