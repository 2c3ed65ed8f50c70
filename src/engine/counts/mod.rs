//! Counts of one worker. Plain numbers: the shell publishes them as metrics.

pub(super) mod families;
pub(super) mod fills;
mod reasons;

pub use reasons::ByReason;

use std::collections::BTreeMap;

use strum::{IntoStaticStr, VariantArray};

use super::value::judged::{Action, Judged, Shown, Writer};
use crate::pickle::Verdict;
use crate::policy::SpaceId;
use crate::protocol::reply::is_error;
use crate::protocol::request::Verb;

/// Whether what every request brings is counted. Only to measure what that costs is
/// it not.
pub(super) const COUNTS: bool = !cfg!(feature = "uncounted");

/// The reply to a value over the limit, memcached's or picklegate's own.
pub(super) const TOO_LARGE: &[u8] = b"SERVER_ERROR object too large for cache";

/// Kinds that metrics tell apart.
pub trait Kinds: VariantArray + Into<&'static str> {
    /// All of them, in the order of their numbers.
    const ALL: &'static [Self] = Self::VARIANTS;

    /// The name in metrics.
    fn name(self) -> &'static str {
        self.into()
    }
}

impl<K: VariantArray + Into<&'static str>> Kinds for K {}

/// Result of one request, or of one key of a retrieval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
#[allow(missing_docs)]
pub enum Outcome {
    Hit,
    Miss,
    Hidden,
    Stored,
    NotStored,
    Exists,
    NotFound,
    Rejected,
    TooLarge,
    Ok,
    Error,
    /// A miss in place of what a server that failed may hold.
    UpstreamMiss,
}

impl Outcome {
    /// The outcome that a reply line tells.
    pub fn of_line(text: &[u8]) -> Self {
        match text {
            b"STORED" => Self::Stored,
            b"NOT_STORED" | [b'N', b'S', ..] => Self::NotStored,
            b"NOT_FOUND" | [b'N', b'F', ..] => Self::NotFound,
            // EXISTS, too.
            [b'E', b'X', ..] => Self::Exists,
            [b'V', b'A', b' ', ..] => Self::Hit,
            b"EN" | [b'E', b'N', b' ', ..] => Self::Miss,
            TOO_LARGE => Self::TooLarge,
            _ if is_error(text) => Self::Error,
            _ => Self::Ok,
        }
    }
}

/// Whether a value was on its way to a client or to memcached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
#[allow(missing_docs)]
pub enum Direction {
    Read,
    Write,
}

/// Uses of a key that should be shared, but is isolated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
#[allow(missing_docs)]
pub enum Split {
    Counter,
    Lock,
}

/// Result of deleting one sibling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
#[allow(missing_docs)]
pub enum Invalidation {
    Deleted,
    Absent,
    Error,
}

/// Why a client was closed that had not asked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Closed {
    /// A line over its bound, or a body whose length is not certain.
    BadRequest,
    /// The client speaks the binary protocol.
    #[strum(serialize = "binary_protocol")]
    Binary,
    /// The client was owed more than may wait for it.
    Backlog,
    /// The client took nothing of what it was owed for too long.
    SendTimeout,
    /// An upstream failed in the middle of a value.
    Upstream,
    /// The client was still owed something when the time for the end was over.
    Drain,
}

/// Why nobody knows what a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
#[allow(missing_docs)]
pub enum Untagged {
    NoTag,
    /// A tag is there, but no namespace is for it.
    NoNamespace,
}

/// Protocols told apart: 0 (which includes 1) to 5, a later one, none found.
pub const PROTOCOLS: [&str; 8] = ["0", "1", "2", "3", "4", "5", "later", "unknown"];
const UNKNOWN_PROTOCOL: usize = PROTOCOLS.len() - 1;

/// The place of a protocol in [`PROTOCOLS`].
pub(super) fn place_of(protocol: Option<u8>) -> usize {
    protocol.map_or(UNKNOWN_PROTOCOL, |protocol| usize::from(protocol.min(6)))
}

/// Upper bounds of the latency buckets, in microseconds.
pub const LATENCY_BOUNDS_US: [u64; 14] = [
    50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000,
    1_000_000,
];

/// Count and sum of the latencies in one bucket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LatencyBucket {
    /// Requests.
    pub count: u64,
    /// Sum of their latencies, in microseconds.
    pub sum_us: u64,
}

/// By verb and bucket.
pub type Latencies = [[LatencyBucket; LATENCY_BOUNDS_US.len() + 1]; Verb::ALL.len()];

/// By verb and outcome.
pub type RequestCounts = [[u64; Outcome::ALL.len()]; Verb::ALL.len()];

/// By writer, verdict and action.
type ReadCounts = [[[u64; Action::ALL.len()]; Verdict::ALL.len()]; Writer::ALL.len()];

/// One worker's counts since it started.
#[derive(Debug, Clone)]
pub struct Counts {
    spaces: usize,
    /// Places of listeners in the settings, each with a namespace: the rows of
    /// `requests`. The first is that of clients whose listener is gone.
    pub origins: Vec<(Option<usize>, SpaceId)>,
    /// By origin, verb and outcome.
    pub requests: Vec<RequestCounts>,
    /// By verb.
    pub latency: Latencies,
    /// By writing space and protocol.
    written: Vec<[u64; PROTOCOLS.len()]>,
    /// By reading space, protocol, writer, verdict and action: one number for a
    /// value, of which two metrics are made.
    read: Vec<[ReadCounts; PROTOCOLS.len()]>,
    /// By space and direction: values that were not loadable.
    not_loadable: Vec<[ByReason; 2]>,
    /// By reading space: values that were wanted in another form.
    not_transcoded: Vec<ByReason>,
    /// By writing space: stores that some reader of the key could not load.
    rejected: Vec<ByReason>,
    /// By origin space, target space and result.
    pub invalidations: Vec<[u64; 3]>,
    /// By space and kind: what looks like a counter or a lock, but is isolated.
    pub suspected: Vec<[u64; Split::ALL.len()]>,
    /// By the place of a listener, as far as any was counted.
    listeners: Vec<ListenerCounts>,
}

/// Counts of what happens to the connections of one listener.
#[derive(Debug, Clone, Copy, Default)]
pub struct ListenerCounts {
    /// By reason: connections that asked for something without a tag that a namespace is
    /// for.
    pub untagged: [u64; Untagged::ALL.len()],
    /// Writes that were refused for want of such a tag.
    pub refused_writes: u64,
    /// By reason: connections that were closed unasked.
    pub closed: [u64; Closed::ALL.len()],
}

impl Counts {
    /// The row of clients whose listener is gone.
    pub const NOBODY: u32 = 0;

    /// Zero, for this many spaces.
    pub fn new(spaces: usize) -> Self {
        Self {
            spaces,
            origins: vec![(None, SpaceId::BARE)],
            requests: vec![Default::default()],
            latency: Default::default(),
            written: vec![Default::default(); spaces],
            read: vec![Default::default(); spaces],
            not_loadable: vec![Default::default(); spaces],
            not_transcoded: vec![ByReason::default(); spaces],
            rejected: vec![ByReason::default(); spaces],
            invalidations: vec![[0; 3]; spaces * spaces],
            suspected: vec![[0; 2]; spaces],
            listeners: Vec::new(),
        }
    }

    /// The row of a listener's clients of a namespace; the bare space stands for
    /// those without one.
    pub fn origin(&mut self, listener: usize, space: SpaceId) -> u32 {
        self.row((Some(listener), space))
    }

    /// The row of the same listener's clients of another namespace.
    pub fn beside(&mut self, origin: u32, space: SpaceId) -> u32 {
        let (listener, _) = self.origins[origin as usize];
        self.row((listener, space))
    }

    fn row(&mut self, origin: (Option<usize>, SpaceId)) -> u32 {
        let found = self.origins.iter().position(|known| *known == origin);
        let at = found.unwrap_or_else(|| {
            self.origins.push(origin);
            self.requests.push(Default::default());
            self.origins.len() - 1
        });
        at as u32
    }

    /// Counts a connection that asked for something without a tag that a namespace is
    /// for.
    #[cold]
    pub fn untagged(&mut self, origin: u32, why: Untagged) {
        if let Some(listener) = self.listener_of(origin) {
            listener.untagged[why as usize] += 1;
        }
    }

    /// Connections of all listeners that asked for something so.
    pub fn all_untagged(&self) -> u64 {
        let reasons = self.listeners.iter().flat_map(|listener| listener.untagged);
        reasons.sum()
    }

    /// Counts a write that was refused for want of such a tag.
    #[cold]
    pub fn refuse_write(&mut self, origin: u32) {
        if let Some(listener) = self.listener_of(origin) {
            listener.refused_writes += 1;
        }
    }

    /// Counts a connection that is closed unasked.
    #[cold]
    pub fn close(&mut self, origin: u32, why: Closed) {
        if let Some(listener) = self.listener_of(origin) {
            listener.closed[why as usize] += 1;
        }
    }

    /// The counts of a listener, by its place.
    pub fn listener(&self, at: usize) -> ListenerCounts {
        self.listeners.get(at).copied().unwrap_or_default()
    }

    /// The counts of an origin's listener; `None` if that is gone.
    fn listener_of(&mut self, origin: u32) -> Option<&mut ListenerCounts> {
        let (Some(at), _) = self.origins[origin as usize] else {
            return None;
        };
        if self.listeners.len() <= at {
            self.listeners.resize_with(at + 1, Default::default);
        }
        Some(&mut self.listeners[at])
    }

    /// Counts what looks like a counter or a lock that namespaces split.
    #[cold]
    pub fn suspected(&mut self, space: SpaceId, kind: Split) {
        self.suspected[space.index()][kind as usize] += 1;
    }

    /// The counts that say something in short, by name: what was not counted is not
    /// there.
    pub fn summary(&self) -> BTreeMap<String, u64> {
        let mut all = BTreeMap::new();
        let mut add = |name: String, count: u64| {
            if count > 0 {
                *all.entry(name).or_default() += count;
            }
        };
        for verbs in &self.requests {
            for &verb in Verb::ALL {
                for &outcome in Outcome::ALL {
                    let name = format!("{}_{}", verb.name(), outcome.name());
                    add(name, verbs[verb.index()][outcome as usize]);
                }
            }
        }
        for protocols in &self.read {
            for counts in protocols {
                for verdict in Verdict::ALL {
                    for &action in Action::ALL {
                        let of = counts
                            .iter()
                            .map(|writer| writer[verdict as usize][action as usize]);
                        let name = format!("pickles_{}_{}", verdict.name(), action.name());
                        add(name, of.sum());
                    }
                }
            }
        }
        for results in &self.invalidations {
            for &result in Invalidation::ALL {
                let name = format!("copies_{}", result.name());
                add(name, results[result as usize]);
            }
        }
        for kinds in &self.suspected {
            for &kind in Split::ALL {
                add(format!("suspected_{}", kind.name()), kinds[kind as usize]);
            }
        }
        for reasons in &self.rejected {
            add("rejected".to_owned(), reasons.iter().map(|(_, n)| n).sum());
        }
        for listener in &self.listeners {
            for &why in Closed::ALL {
                let name = format!("closed_{}", why.name());
                add(name, listener.closed[why as usize]);
            }
            let refused = listener.refused_writes;
            add("untagged_writes_refused".to_owned(), refused);
        }
        add("untagged_connections".to_owned(), self.all_untagged());
        all
    }

    /// Counts a request, or one key of a retrieval.
    pub fn request(&mut self, origin: usize, verb: Verb, outcome: Outcome) {
        self.requests(origin, verb, &[(outcome, 1)]);
    }

    /// Counts requests of one kind, or keys of a retrieval.
    #[inline]
    pub(super) fn requests(&mut self, origin: usize, verb: Verb, outcomes: &[(Outcome, u64)]) {
        if !COUNTS {
            return;
        }
        let counts = &mut self.requests[origin][verb.index()];
        for &(outcome, count) in outcomes {
            counts[outcome as usize] += count;
        }
    }

    /// Counts how long a request took.
    pub fn latency(&mut self, verb: Verb, us: u64) {
        if !COUNTS {
            return;
        }
        let at = LATENCY_BOUNDS_US.partition_point(|&bound| bound < us);
        let bucket = &mut self.latency[verb.index()][at];
        bucket.count += 1;
        bucket.sum_us += us;
    }

    /// Counts what was judged on its way to memcached, if it is a pickle.
    pub(super) fn count_write(&mut self, writer: SpaceId, judged: &Judged) {
        let Some(pickle) = &judged.pickle else {
            return;
        };
        if COUNTS {
            self.written[writer.index()][place_of(pickle.protocol)] += 1;
        }
        if let Some(reason) = pickle.reason {
            self.not_loadable(writer, Direction::Write, reason);
            if judged.shown == Shown::Hidden {
                self.rejected[writer.index()].add(reason);
            }
        }
    }

    /// Counts what was judged on its way to a client, if it is a pickle, and what the
    /// client got.
    #[inline]
    pub(super) fn count_read(&mut self, reader: SpaceId, judged: &Judged) {
        let Some(pickle) = &judged.pickle else {
            return;
        };
        // Nobody asked for another's copy.
        if let Some(reason) = pickle.reason
            && !pickle.of_another
        {
            self.not_loadable(reader, Direction::Read, reason);
        }
        if let Some(reason) = pickle.no_form {
            self.not_transcoded(reader, reason);
        }
        if let Some(action) = judged.action()
            && COUNTS
        {
            let counts = &mut self.read[reader.index()][place_of(pickle.protocol)];
            counts[pickle.writer as usize][pickle.verdict as usize][action as usize] += 1;
        }
    }

    #[cold]
    fn not_loadable(&mut self, space: SpaceId, direction: Direction, reason: &'static str) {
        self.not_loadable[space.index()][direction as usize].add(reason);
    }

    #[cold]
    fn not_transcoded(&mut self, reader: SpaceId, reason: &'static str) {
        self.not_transcoded[reader.index()].add(reason);
    }

    /// Pickles by the place of a space, direction and the place in [`PROTOCOLS`].
    pub fn pickles(&self, space: usize, direction: Direction, protocol: usize) -> u64 {
        match direction {
            Direction::Read => {
                let counts = self.read[space][protocol].as_flattened().as_flattened();
                counts.iter().sum()
            }
            Direction::Write => self.written[space][protocol],
        }
    }

    /// Reads by the place of a space, writer, verdict and action.
    pub fn reads(&self, space: usize, writer: Writer, verdict: Verdict, action: Action) -> u64 {
        let protocols = self.read[space].iter();
        protocols
            .map(|counts| counts[writer as usize][verdict as usize][action as usize])
            .sum()
    }

    /// Pickles that their readers got without a look at all of them.
    pub fn not_looked_at(&self) -> u64 {
        let of = |writer: &[[u64; Action::ALL.len()]; Verdict::ALL.len()]| -> u64 {
            writer[Verdict::NotLookedAt as usize].iter().sum()
        };
        self.read.as_flattened().as_flattened().iter().map(of).sum()
    }

    /// Values that were not loadable, by the place of a space.
    pub fn unloadable(&self, space: usize, direction: Direction) -> &ByReason {
        &self.not_loadable[space][direction as usize]
    }

    /// Values without the form that was wanted, by the place of a space.
    pub fn untranscodable(&self, space: usize) -> &ByReason {
        &self.not_transcoded[space]
    }

    /// Stores that were rejected, by the place of a space.
    pub fn rejections(&self, space: usize) -> &ByReason {
        &self.rejected[space]
    }

    /// Counts the deletion of a sibling.
    pub fn invalidation(&mut self, origin: SpaceId, target: SpaceId, result: Invalidation) {
        self.invalidations[origin.index() * self.spaces + target.index()][result as usize] += 1;
    }
}
