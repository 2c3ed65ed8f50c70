//! What one worker counted. Plain numbers: the shell publishes them as metrics.

use crate::pickle::Verdict;
use crate::policy::SpaceId;
use crate::protocol::reply::is_error;
use crate::protocol::request::Verb;

/// What came of one request, or of one key of a retrieval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    Ok,
    Error,
}

impl Outcome {
    /// All outcomes, in the order of their numbers.
    pub const ALL: [Self; 10] = [
        Self::Hit,
        Self::Miss,
        Self::Hidden,
        Self::Stored,
        Self::NotStored,
        Self::Exists,
        Self::NotFound,
        Self::Rejected,
        Self::Ok,
        Self::Error,
    ];

    /// As metrics name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Hidden => "hidden",
            Self::Stored => "stored",
            Self::NotStored => "not_stored",
            Self::Exists => "exists",
            Self::NotFound => "not_found",
            Self::Rejected => "rejected",
            Self::Ok => "ok",
            Self::Error => "error",
        }
    }

    /// What a reply line says.
    pub fn of_line(text: &[u8]) -> Self {
        match text {
            b"STORED" => Self::Stored,
            b"NOT_STORED" | [b'N', b'S', ..] => Self::NotStored,
            b"NOT_FOUND" | [b'N', b'F', ..] => Self::NotFound,
            // EXISTS, too.
            [b'E', b'X', ..] => Self::Exists,
            [b'V', b'A', b' ', ..] => Self::Hit,
            b"EN" | [b'E', b'N', b' ', ..] => Self::Miss,
            _ if is_error(text) => Self::Error,
            _ => Self::Ok,
        }
    }
}

/// Whether a value was on its way to a client or to memcached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Direction {
    Read,
    Write,
}

impl Direction {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Read, Self::Write];

    /// As metrics name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

/// What was done with a value that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Action {
    Served,
    Hidden,
}

impl Action {
    /// All actions.
    pub const ALL: [Self; 2] = [Self::Served, Self::Hidden];

    /// As metrics name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Served => "served",
            Self::Hidden => "hidden",
        }
    }
}

/// Who wrote a value, where its bytes are certain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Writer {
    Unknown,
    /// Protocol 3 and later: only Python 3 writes them.
    Python3,
}

impl Writer {
    /// All writers.
    pub const ALL: [Self; 2] = [Self::Unknown, Self::Python3];

    /// The writer of a pickle by the place of its protocol in [`PROTOCOLS`].
    fn of_place(protocol: usize) -> Self {
        if (3..UNKNOWN_PROTOCOL).contains(&protocol) {
            Self::Python3
        } else {
            Self::Unknown
        }
    }

    /// As metrics name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Python3 => "python/3",
        }
    }
}

/// What came of deleting one sibling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Invalidation {
    Deleted,
    Absent,
    Error,
}

impl Invalidation {
    /// All results.
    pub const ALL: [Self; 3] = [Self::Deleted, Self::Absent, Self::Error];

    /// As metrics name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Deleted => "deleted",
            Self::Absent => "absent",
            Self::Error => "error",
        }
    }
}

/// Protocols told apart: 0 (which includes 1) to 5, a later one, none found.
pub const PROTOCOLS: [&str; 8] = ["0", "1", "2", "3", "4", "5", "later", "unknown"];
const UNKNOWN_PROTOCOL: usize = PROTOCOLS.len() - 1;

/// The place of a protocol in [`PROTOCOLS`].
fn place_of(protocol: Option<u8>) -> usize {
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
    /// How many.
    pub count: u64,
    /// Their sum, in microseconds.
    pub sum_us: u64,
}

/// One worker's counts since it started.
#[derive(Debug, Clone)]
pub struct Tally {
    spaces: usize,
    /// By origin (a listener and its namespace), verb and outcome.
    pub requests: Vec<[[u64; Outcome::ALL.len()]; Verb::ALL.len()]>,
    /// By verb.
    pub latency: [[LatencyBucket; LATENCY_BOUNDS_US.len() + 1]; Verb::ALL.len()],
    /// By writing space and protocol.
    written: Vec<[u64; PROTOCOLS.len()]>,
    /// By reading space, protocol, verdict and action: one number for a value,
    /// of which two metrics are made.
    read: Vec<[[[u64; 2]; 3]; PROTOCOLS.len()]>,
    /// By writing space: stores that some reader of the key could not load.
    pub rejected: Vec<u64>,
    /// By origin space, target space and result.
    pub invalidations: Vec<[u64; 3]>,
}

impl Tally {
    /// Zero, for this many origins and spaces.
    pub fn new(origins: usize, spaces: usize) -> Self {
        Self {
            spaces,
            requests: vec![Default::default(); origins],
            latency: Default::default(),
            written: vec![Default::default(); spaces],
            read: vec![Default::default(); spaces],
            rejected: vec![0; spaces],
            invalidations: vec![[0; 3]; spaces * spaces],
        }
    }

    /// Counts a request, or one key of a retrieval.
    pub fn request(&mut self, origin: usize, verb: Verb, outcome: Outcome) {
        self.requests_of(origin, verb)[outcome as usize] += 1;
    }

    /// The counters of an origin's requests of one kind, by outcome.
    pub(super) fn requests_of(
        &mut self,
        origin: usize,
        verb: Verb,
    ) -> &mut [u64; Outcome::ALL.len()] {
        &mut self.requests[origin][verb.index()]
    }

    /// Counts how long a request took.
    pub fn latency(&mut self, verb: Verb, us: u64) {
        let at = LATENCY_BOUNDS_US.partition_point(|&bound| bound < us);
        let bucket = &mut self.latency[verb.index()][at];
        bucket.count += 1;
        bucket.sum_us += us;
    }

    /// Counts a pickle on its way to memcached.
    pub fn write(&mut self, writer: SpaceId, protocol: Option<u8>) {
        self.written[writer.index()][place_of(protocol)] += 1;
    }

    /// Counts a pickle on its way to a client, and what the client got.
    pub fn read(
        &mut self,
        reader: SpaceId,
        protocol: Option<u8>,
        verdict: Verdict,
        action: Action,
    ) {
        let counts = &mut self.read[reader.index()][place_of(protocol)];
        counts[verdict as usize][action as usize] += 1;
    }

    /// Pickles by the place of a space, direction and the place in [`PROTOCOLS`].
    pub fn pickles(&self, space: usize, direction: Direction, protocol: usize) -> u64 {
        match direction {
            Direction::Read => self.read[space][protocol].as_flattened().iter().sum(),
            Direction::Write => self.written[space][protocol],
        }
    }

    /// Reads by the place of a space, writer, the verdict's number and action.
    pub fn reads(&self, space: usize, writer: Writer, verdict: usize, action: Action) -> u64 {
        let protocols = self.read[space].iter().enumerate();
        protocols
            .filter(|&(place, _)| Writer::of_place(place) == writer)
            .map(|(_, counts)| counts[verdict][action as usize])
            .sum()
    }

    /// Counts the deletion of a sibling.
    pub fn invalidation(&mut self, origin: SpaceId, target: SpaceId, result: Invalidation) {
        self.invalidations[origin.index() * self.spaces + target.index()][result as usize] += 1;
    }
}
