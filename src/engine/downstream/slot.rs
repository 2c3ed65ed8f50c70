//! One request of a client that is under way, in its place among the others.

use super::held::Held;
use crate::engine::counts::Outcome;
use crate::engine::statistics::Gathering;
use crate::engine::steps::Stepwise;
use crate::engine::ticket::Quiet;
use crate::engine::who::Who;
use crate::protocol::request::Verb;

/// The end of the values of a retrieval.
pub(super) const END: &[u8] = b"END\r\n";

/// Sources of a single reply.
#[derive(Debug)]
pub enum Work {
    /// The reply of the own copy, as it is.
    Pass,
    /// The deletion of every copy: one that existed is enough.
    Delete {
        /// Whether a sibling existed.
        existed: bool,
    },
    /// A change whose reply decides what comes next.
    Change(Box<Stepwise>),
    /// A reply known from the start, and what it counts as; sent once the
    /// upstream has answered.
    Fixed(Outcome),
    /// The statistics of several servers, those that fail left out.
    Gather(Box<Gathering>),
}

#[derive(Debug)]
pub(super) enum Kind {
    /// Values, then `END`, unless the request goes on in the next slot.
    Retrieve { more: bool },
    /// One reply that is passed on as it comes; behind statistics, what tells of a failure.
    Stream(Option<Box<Gathering>>),
    /// One reply that is known only when all is in.
    Single(Work),
}

#[derive(Debug)]
pub(super) struct Slot {
    pub(super) who: Who,
    pub(super) verb: Verb,
    pub(super) kind: Kind,
    pub(super) quiet: Quiet,
    /// Replies that the upstream still owes, and one while the request itself
    /// is being sent: never 0 but at completion.
    pub(super) pending: u32,
    /// An error was written: nothing after it counts.
    pub(super) failed: bool,
    /// The reply was counted, and dropped if nobody wants it.
    pub(super) told: bool,
    /// Microseconds of the engine's clock.
    pub(super) started_us: u64,
    /// Since when it waits for its upstream, by the steady clock.
    pub(super) since_us: u64,
    /// Whether it is a change that may take more steps: the client's next requests wait for
    /// it, or they would overtake those.
    pub(super) holds_up: bool,
    /// Whether it is a retrieval with keys that are still to be asked for; they hold up what
    /// comes after it, too.
    pub(super) is_asking: bool,
    /// Whether its upstream took too long: keys left are not asked for any more.
    pub(super) is_late: bool,
    /// Bytes of values that came for it.
    pub(super) came: u64,
    /// Bytes for the client when its turn comes.
    pub(super) stash: Vec<u8>,
    /// Bytes behind those: never there without a value that is looked at apart.
    pub(super) held: Option<Box<Held>>,
}

impl Slot {
    /// Forgets what the client would have got; how many bytes.
    pub(super) fn forget(&mut self) -> usize {
        let held = self.held.as_mut().map_or(0, |held| held.clear());
        std::mem::take(&mut self.stash).len() + held
    }
}

impl Kind {
    /// Whether [`END`] follows the values.
    pub(super) fn ends_values(&self) -> bool {
        matches!(self, Self::Retrieve { more: false })
    }
}
