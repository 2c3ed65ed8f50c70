//! The counts of one worker, by the names of what they count. Runs when somebody
//! looks, not while requests are served: adds what came since.

use std::collections::BTreeMap;

use metrics::{Label, counter, gauge};
use strum::VariantArray as _;

use super::durations::Durations;
use super::families::{
    CLOSED, CONNECTIONS, HANDSHAKE_FAILURES, INVALIDATIONS, LOOKS_APART, LOOKS_APART_BYTES,
    NOT_LOADABLE, NOT_TRANSCODED, PICKLES, READS, REFUSED, REJECTED, REQUESTS, SUSPECTED, UNTAGGED,
    UNTAGGED_WRITES, UPSTREAM_CONNECTIONS, UPSTREAM_ERRORS, UPSTREAM_FAILURES, UPSTREAM_IN_FLIGHT,
    UPSTREAM_RECONNECTS, UPSTREAM_REQUESTS, WORKER_CONNECTIONS, WORKER_RELOADING,
};
use super::{BARE_KEYS, UNTAGGED_CLIENTS};
use crate::engine::{
    Action, Closed, Counts, Direction, Invalidation, Kinds as _, LaneId, Outcome, PROTOCOLS,
    RequestCounts, Split, Untagged, UpstreamCounts, Writer,
};
use crate::pickle::Verdict;
use crate::policy::SpaceId;
use crate::protocol::request::Verb;

/// The counts of an origin that is new.
const NO_REQUESTS: RequestCounts = [[0; Outcome::ALL.len()]; Verb::ALL.len()];

/// The meanings of the numbers of a [`Counts`].
#[derive(Debug, Clone)]
pub struct Labels {
    /// The name of each listener, by its place.
    pub listeners: Vec<String>,
    /// The name of each space; that of the bare one is empty.
    pub spaces: Vec<String>,
}

impl Labels {
    /// A space as that of a client: the bare one stands for those without a tag.
    fn client(&self, space: usize) -> String {
        named(&self.spaces[space], UNTAGGED_CLIENTS)
    }

    /// A space as a place of keys.
    fn place(&self, space: usize) -> String {
        named(&self.spaces[space], BARE_KEYS)
    }

    fn have(&self, listener: &String, namespace: &str) -> bool {
        let mut spaces = 0..self.spaces.len();
        self.listeners.contains(listener) && spaces.any(|space| self.client(space) == namespace)
    }

    /// The listener and the namespace of some clients; `None` if the listener is
    /// gone.
    fn origin(&self, (listener, space): (Option<usize>, SpaceId)) -> Option<(String, String)> {
        let listener = self.listeners[listener?].clone();
        Some((listener, self.client(space.index())))
    }
}

/// A reason why an upstream connection failed, or could not be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr, strum::VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Failure {
    /// The server, or the name service, said no.
    Connect,
    /// The server was silent for `connect_timeout_ms`.
    ConnectTimeout,
    /// The server wants a login.
    Login,
    /// A request was not answered for `request_timeout_ms`.
    RequestTimeout,
    /// The server closed it, or the way to it broke.
    Lost,
    /// The reply did not answer what was asked.
    Reply,
}

/// Failures by reason.
pub type Failures = [u64; Failure::VARIANTS.len()];

/// The state of one lane.
#[derive(Debug, Clone, Default)]
pub struct Gauges {
    /// True if it is connected.
    pub up: bool,
    /// Requests not yet answered.
    pub in_flight: usize,
    /// Connections lost.
    pub reconnects: u64,
    /// The reasons why connections failed.
    pub failures: Failures,
    /// Requests sent and failed.
    pub counts: UpstreamCounts,
}

/// State of one worker when metrics are gathered.
#[derive(Debug, Clone, Copy, Default)]
pub struct Condition {
    /// Whether new settings wait until requests under way are answered.
    pub is_reloading: bool,
    /// Values that were looked at beside it, or are.
    pub looks_apart: u64,
    /// Bytes of those that are.
    pub looks_apart_bytes: usize,
}

/// Publishes what one worker counted.
#[derive(Debug)]
pub struct Publisher {
    worker: String,
    labels: Labels,
    /// The counts that were published so far.
    counts: Counts,
    durations: Durations,
    lanes: BTreeMap<LaneId, Gauges>,
    /// Connections by listener and namespace, as they were published.
    connections: BTreeMap<(String, String), u32>,
}

impl Publisher {
    /// Creates the publisher of a worker. Publishes nothing yet.
    pub fn new(worker: usize, labels: Labels) -> Self {
        let counts = Counts::new(labels.spaces.len());
        Self {
            worker: worker.to_string(),
            labels,
            counts,
            durations: Durations::default(),
            lanes: BTreeMap::new(),
            connections: BTreeMap::new(),
        }
    }

    /// Puts other names on what is counted from now on, starting from zero.
    pub fn relabel(&mut self, labels: Labels) {
        // Should one of the others return, its gauge begins at zero.
        self.connections
            .retain(|(listener, namespace), _| labels.have(listener, namespace));
        self.counts = Counts::new(labels.spaces.len());
        self.labels = labels;
    }

    /// Adds what was counted since the last call; `lanes` has the server of each, and
    /// `clients` the origin of each that is connected.
    pub fn publish<'a>(
        &mut self,
        condition: Condition,
        counts: &Counts,
        lanes: impl Iterator<Item = (LaneId, &'a str, Gauges)>,
        clients: impl Iterator<Item = usize>,
    ) {
        self.publish_condition(condition);
        self.publish_connections(counts, clients);
        self.publish_requests(counts);
        self.publish_pickles(counts);
        self.publish_lanes(lanes);
        self.durations.add(&self.counts.latency, &counts.latency);
        self.counts.clone_from(counts);
    }

    /// Returns how long all took that was published.
    pub fn durations(&self) -> Durations {
        self.durations.clone()
    }

    fn publish_condition(&self, condition: Condition) {
        let worker = || described(&[("worker", &self.worker)]);
        gauge!(WORKER_RELOADING, worker()).set(f64::from(u8::from(condition.is_reloading)));
        gauge!(LOOKS_APART_BYTES, worker()).set(condition.looks_apart_bytes as f64);
        counter!(LOOKS_APART, worker()).absolute(condition.looks_apart);
    }

    fn publish_connections(&mut self, counts: &Counts, clients: impl Iterator<Item = usize>) {
        let before = std::mem::take(&mut self.connections);
        let mut all = 0;
        for origin in clients {
            all += 1;
            if let Some(names) = self.labels.origin(counts.origins[origin]) {
                *self.connections.entry(names).or_default() += 1;
            }
        }
        gauge!(WORKER_CONNECTIONS, "worker" => self.worker.clone()).set(all);
        // Several workers share a gauge, so each adds its change.
        let mut changes: BTreeMap<_, f64> = BTreeMap::new();
        for (names, count) in &self.connections {
            *changes.entry(names).or_default() += f64::from(*count);
        }
        for (names, count) in &before {
            *changes.entry(names).or_default() -= f64::from(*count);
        }
        for ((listener, namespace), change) in changes {
            let (listener, namespace) = (listener.clone(), namespace.clone());
            gauge!(CONNECTIONS, "listener" => listener, "namespace" => namespace).increment(change);
        }
        let old = &self.counts;
        for (at, listener) in self.labels.listeners.iter().enumerate() {
            let (new, old) = (counts.listener(at), old.listener(at));
            let labels = [("listener", listener.as_str())];
            let with = |reason| [labels[0], ("reason", reason)];
            for &why in Untagged::ALL {
                let more = new.untagged[why as usize] - old.untagged[why as usize];
                add_from_zero(UNTAGGED, more, &with(why.name()));
            }
            let writes = new.refused_writes - old.refused_writes;
            add_from_zero(UNTAGGED_WRITES, writes, &labels);
            add_from_zero(REFUSED, 0, &labels);
            for &why in Closed::ALL {
                let more = new.closed[why as usize] - old.closed[why as usize];
                add_from_zero(CLOSED, more, &with(why.name()));
            }
            add_from_zero(HANDSHAKE_FAILURES, 0, &labels);
        }
    }

    fn publish_requests(&self, counts: &Counts) {
        for (at, verbs) in counts.requests.iter().enumerate() {
            let old = self.counts.requests.get(at).unwrap_or(&NO_REQUESTS);
            let Some((listener, namespace)) = self.labels.origin(counts.origins[at]) else {
                continue;
            };
            for &verb in Verb::ALL {
                for &outcome in Outcome::ALL {
                    let (verb_at, outcome_at) = (verb.index(), outcome as usize);
                    let labels = [
                        ("listener", listener.as_str()),
                        ("namespace", &namespace),
                        ("command", verb.name()),
                        ("result", outcome.name()),
                    ];
                    let more = verbs[verb_at][outcome_at] - old[verb_at][outcome_at];
                    add(REQUESTS, more, &labels);
                }
            }
        }
    }

    fn publish_pickles(&self, counts: &Counts) {
        let old = &self.counts;
        for space in 0..self.labels.spaces.len() {
            let name = self.labels.client(space);
            let named = |key: &'static str| (key, name.as_str());
            for &direction in Direction::ALL {
                let going = ("direction", direction.name());
                for (at, protocol) in PROTOCOLS.into_iter().enumerate() {
                    let count = |counts: &Counts| counts.pickles(space, direction, at);
                    let labels = [named("namespace"), going, ("protocol", protocol)];
                    add(PICKLES, count(counts) - count(old), &labels);
                }
                let before = old.unloadable(space, direction);
                for (reason, count) in counts.unloadable(space, direction).iter() {
                    let labels = [named("namespace"), going, ("reason", reason)];
                    add(NOT_LOADABLE, count - before.of(reason), &labels);
                }
            }
            for &writer in Writer::ALL {
                for verdict in Verdict::ALL {
                    for &action in Action::ALL {
                        let count = |counts: &Counts| counts.reads(space, writer, verdict, action);
                        let labels = [
                            ("writer", writer.name()),
                            named("reader"),
                            ("verdict", verdict.name()),
                            ("action", action.name()),
                        ];
                        add(READS, count(counts) - count(old), &labels);
                    }
                }
            }
            for (family, before, now) in [
                (REJECTED, old.rejections(space), counts.rejections(space)),
                (
                    NOT_TRANSCODED,
                    old.untranscodable(space),
                    counts.untranscodable(space),
                ),
            ] {
                for (reason, count) in now.iter() {
                    let labels = [named("namespace"), ("reason", reason)];
                    add(family, count - before.of(reason), &labels);
                }
            }
            // Who has no namespace has nothing isolated.
            for &kind in Split::ALL.iter().filter(|_| space > 0) {
                let count = |counts: &Counts| counts.suspected[space][kind as usize];
                let labels = [named("namespace"), ("kind", kind.name())];
                add_from_zero(SUSPECTED, count(counts) - count(old), &labels);
            }
            for target in 0..self.labels.spaces.len() {
                let pair = space * self.labels.spaces.len() + target;
                let place = self.labels.place(target);
                for &result in Invalidation::ALL {
                    let add = match result {
                        Invalidation::Error => add_from_zero,
                        Invalidation::Deleted | Invalidation::Absent => add,
                    };
                    let count = |counts: &Counts| counts.invalidations[pair][result as usize];
                    let labels = [
                        named("origin"),
                        ("target", place.as_str()),
                        ("result", result.name()),
                    ];
                    add(INVALIDATIONS, count(counts) - count(old), &labels);
                }
            }
        }
    }

    fn publish_lanes<'a>(&mut self, lanes: impl Iterator<Item = (LaneId, &'a str, Gauges)>) {
        // Of those that are gone nothing more is to be said.
        let mut published = std::mem::take(&mut self.lanes);
        for (id, server, lane) in lanes {
            let old = published.remove(&id).unwrap_or_default();
            let labels = [("server", server)];
            for (family, more) in [
                (
                    UPSTREAM_REQUESTS,
                    lane.counts.requests - old.counts.requests,
                ),
                (UPSTREAM_ERRORS, lane.counts.errors - old.counts.errors),
                (UPSTREAM_RECONNECTS, lane.reconnects - old.reconnects),
            ] {
                add_from_zero(family, more, &labels);
            }
            for &why in Failure::VARIANTS {
                let more = lane.failures[why as usize] - old.failures[why as usize];
                add_from_zero(
                    UPSTREAM_FAILURES,
                    more,
                    &[labels[0], ("reason", why.into())],
                );
            }
            // Several lanes and workers share a gauge, so each adds its change.
            gauge!(UPSTREAM_CONNECTIONS, described(&labels))
                .increment(f64::from(i8::from(lane.up) - i8::from(old.up)));
            gauge!(UPSTREAM_IN_FLIGHT, described(&labels))
                .increment(lane.in_flight as f64 - old.in_flight as f64);
            self.lanes.insert(id, lane);
        }
    }
}

/// The labels of a series.
type Labelled<'a> = &'a [(&'static str, &'a str)];

fn described(labels: Labelled<'_>) -> Vec<Label> {
    let labels = labels.iter();
    labels
        .map(|&(name, value)| Label::new(name, value.to_owned()))
        .collect()
}

fn named(name: &str, otherwise: &str) -> String {
    if name.is_empty() { otherwise } else { name }.to_owned()
}

/// Adds to a series that comes into being with its first count.
fn add(family: &'static str, more: u64, labels: Labelled<'_>) {
    if more > 0 {
        add_from_zero(family, more, labels);
    }
}

/// Adds to a series that is there from the start. Prometheus takes the first count
/// of a series that comes into being for what was there before: of what should
/// never happen, the first time would not show as an increase.
fn add_from_zero(family: &'static str, more: u64, labels: Labelled<'_>) {
    counter!(family, described(labels)).increment(more);
}
