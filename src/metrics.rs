//! Metric families, and how a worker's plain counts become theirs. Nothing here
//! runs while requests are served: counts are published when somebody looks.

mod durations;
mod registry;

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

pub use durations::Durations;
pub use registry::{Names, Registry};

use metrics::{Label, SetRecorderError, counter, describe_counter, describe_gauge, gauge};

use crate::config::{Config, Word as _};
use crate::engine::{
    Action, ByReason, Closed, Direction, Invalidation, LaneId, Outcome, PROTOCOLS, RequestCounts,
    Split, Tally, Untagged, UpstreamCounts, Writer,
};
use crate::pickle::Verdict;
use crate::policy::{Rule, SpaceId};
use crate::protocol::request::Verb;

const REQUESTS: &str = "picklegate_requests_total";
const DURATION: &str = "picklegate_request_duration_seconds";
const PICKLES: &str = "picklegate_pickle_values_total";
const READS: &str = "picklegate_cross_version_reads_total";
const REJECTED: &str = "picklegate_rejected_writes_total";
const NOT_LOADABLE: &str = "picklegate_not_loadable_values_total";
const NOT_TRANSCODED: &str = "picklegate_transcode_refusals_total";
const INVALIDATIONS: &str = "picklegate_invalidations_total";
const SUSPECTED: &str = "picklegate_suspected_split_total";
const UNTAGGED: &str = "picklegate_untagged_connections_total";
const UNTAGGED_WRITES: &str = "picklegate_untagged_writes_refused_total";
const CONNECTIONS: &str = "picklegate_connections";
const WORKER_CONNECTIONS: &str = "picklegate_worker_connections";
const REFUSED: &str = "picklegate_refused_connections_total";
const CLOSED: &str = "picklegate_closed_connections_total";
const HANDSHAKE_FAILURES: &str = "picklegate_tls_handshake_failures_total";
const UPSTREAM_CONNECTIONS: &str = "picklegate_upstream_connections";
const UPSTREAM_REQUESTS: &str = "picklegate_upstream_requests_total";
const UPSTREAM_ERRORS: &str = "picklegate_upstream_errors_total";
const UPSTREAM_RECONNECTS: &str = "picklegate_upstream_reconnects_total";
const UPSTREAM_FAILURES: &str = "picklegate_upstream_failures_total";
const UPSTREAM_IN_FLIGHT: &str = "picklegate_upstream_in_flight";
const ROLLOUT: &str = "picklegate_rollout_ratio";
const MODE: &str = "picklegate_rule_mode";
const GENERATION: &str = "picklegate_config_generation";
const LAST_SUCCESS: &str = "picklegate_config_last_success_timestamp_seconds";
const FAILURES: &str = "picklegate_config_failures_total";
const LAST_SUCCESSFUL: &str = "picklegate_config_last_reload_successful";
const HASH: &str = "picklegate_config_hash";
const LOG_DROPPED: &str = "picklegate_log_lines_dropped_total";
const BUILD_INFO: &str = "picklegate_build_info";

/// The label in place of a namespace for clients that have none, and for keys.
const UNTAGGED_CLIENTS: &str = "untagged";
const BARE_KEYS: &str = "bare";

/// The counts of an origin that is new.
const NO_REQUESTS: RequestCounts = [[0; Outcome::ALL.len()]; Verb::ALL.len()];

/// Installs the process's recorder and describes every family.
///
/// # Errors
/// If a recorder is installed already.
pub fn install() -> Result<Registry, SetRecorderError<Registry>> {
    let registry = Registry::default().install()?;
    describe_counter!(REQUESTS, "Requests answered; retrievals count once per key");
    describe_counter!(
        PICKLES,
        "Pickles seen on their way, by the protocol they declare"
    );
    describe_counter!(
        READS,
        "Pickles read, by who wrote them and whether the reader loads them, if that was looked at"
    );
    describe_counter!(
        NOT_LOADABLE,
        "Pickles that their reader, or some reader of their key, cannot load, or that could not be understood"
    );
    describe_counter!(
        NOT_TRANSCODED,
        "Pickles that were wanted in another form and have none"
    );
    describe_counter!(
        REJECTED,
        "Stores refused because a reader of the key could not load them"
    );
    describe_counter!(
        INVALIDATIONS,
        "Copies in other namespaces deleted for coherence"
    );
    describe_counter!(
        SUSPECTED,
        "Requests that look like a counter or a lock, but of which each namespace has its own"
    );
    describe_counter!(
        UNTAGGED,
        "Connections that asked for something without a runtime tag that a namespace is for, by why"
    );
    describe_counter!(
        UNTAGGED_WRITES,
        "Writes refused because their connection has no runtime tag that a namespace is for"
    );
    describe_gauge!(CONNECTIONS, "Downstream connections");
    describe_gauge!(
        WORKER_CONNECTIONS,
        "Downstream connections by the worker thread that serves them"
    );
    describe_counter!(
        REFUSED,
        "Downstream connections turned away at max_connections"
    );
    describe_counter!(
        CLOSED,
        "Downstream connections closed that had not asked for it, by why"
    );
    describe_counter!(
        HANDSHAKE_FAILURES,
        "Downstream connections whose TLS handshake failed or took too long"
    );
    describe_gauge!(UPSTREAM_CONNECTIONS, "Established upstream connections");
    describe_counter!(
        UPSTREAM_REQUESTS,
        "Requests sent upstream, copies deleted for coherence included"
    );
    describe_counter!(
        UPSTREAM_ERRORS,
        "Requests that an upstream did not answer, those that were answered as misses included"
    );
    describe_counter!(UPSTREAM_RECONNECTS, "Upstream connections that were lost");
    describe_counter!(
        UPSTREAM_FAILURES,
        "Upstream connections that failed or could not be made, by why"
    );
    describe_gauge!(
        UPSTREAM_IN_FLIGHT,
        "Requests sent upstream and not yet answered"
    );
    describe_gauge!(ROLLOUT, "Share of a rule's keys that is isolated");
    describe_gauge!(MODE, "1 for the mode that a rule is in");
    describe_gauge!(GENERATION, "Configurations loaded since the start");
    describe_gauge!(
        LAST_SUCCESS,
        metrics::Unit::Seconds,
        "When the configuration was last loaded"
    );
    describe_counter!(FAILURES, "Configurations that were not taken over");
    describe_gauge!(
        LAST_SUCCESSFUL,
        "1 if the last configuration was taken over, 0 if an older one serves on"
    );
    describe_gauge!(
        HASH,
        "A hash of the configuration files, alike where these are; none without a file"
    );
    describe_counter!(
        LOG_DROPPED,
        "Lines of the log that were dropped because nobody read them in time"
    );
    describe_gauge!(BUILD_INFO, "Always 1; the version is in its label");
    counter!(FAILURES).absolute(0);
    log_dropped(0);
    gauge!(BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    Ok(registry)
}

/// Returns the names that the series of a configuration may have.
pub fn names(config: &Config) -> Names {
    let mut names = Names::default();
    let listeners = config.listeners.iter();
    names.add("listener", listeners.map(|l| l.admission.name.to_string()));
    let servers = config.upstream.servers.iter();
    names.add("server", servers.map(ToString::to_string));
    for label in ["namespace", "origin", "target", "reader"] {
        let namespaces = config.snapshot.namespaces.iter();
        names.add(label, namespaces.map(|n| n.name.to_string()));
        names.add(label, [UNTAGGED_CLIENTS, BARE_KEYS].map(str::to_owned));
    }
    names
}

/// A configuration was loaded: its number, the hash of its files if it has any, and
/// its rules, in whose place no other is left.
pub fn configuration_loaded<'a>(
    registry: &Registry,
    generation: u32,
    hash: Option<u64>,
    rules: impl Iterator<Item = &'a Rule>,
) {
    gauge!(GENERATION).set(f64::from(generation));
    gauge!(LAST_SUCCESSFUL).set(1.0);
    if let Some(hash) = hash {
        // A gauge holds 53 bits exactly.
        gauge!(HASH).set((hash >> 16) as f64);
    }
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    gauge!(LAST_SUCCESS).set(now.as_secs_f64());
    registry.clear(MODE);
    registry.clear(ROLLOUT);
    for rule in rules {
        let prefix = String::from_utf8_lossy(&rule.prefix).into_owned();
        gauge!(MODE, "rule" => prefix.clone(), "mode" => rule.mode.word()).set(1.0);
        gauge!(ROLLOUT, "rule" => prefix).set(rule.isolated_share());
    }
}

/// A configuration was not taken over.
pub fn configuration_failed() {
    counter!(FAILURES).increment(1);
    gauge!(LAST_SUCCESSFUL).set(0.0);
}

/// A client was turned away.
pub fn connection_refused(listener: &str) {
    counter!(REFUSED, "listener" => listener.to_owned()).increment(1);
}

/// Publishes how many lines of the log were dropped so far.
pub fn log_dropped(lines: u64) {
    counter!(LOG_DROPPED).absolute(lines);
}

/// A client's TLS handshake failed.
pub fn tls_handshake_failed(listener: &str) {
    counter!(HANDSHAKE_FAILURES, "listener" => listener.to_owned()).increment(1);
}

/// The meanings of the numbers of a [`Tally`].
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

/// Labels, and why.
fn with_reason(mut labels: Vec<Label>, reason: &'static str) -> Vec<Label> {
    labels.push(Label::from_static_parts("reason", reason));
    labels
}

fn named(name: &str, otherwise: &str) -> String {
    if name.is_empty() { otherwise } else { name }.to_owned()
}

/// A reason why an upstream connection failed, or could not be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The server, or the name service, said no.
    Connect,
    /// Nobody said anything for `connect_timeout_ms`.
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

impl Failure {
    /// All reasons.
    pub const ALL: [Self; 6] = [
        Self::Connect,
        Self::ConnectTimeout,
        Self::Login,
        Self::RequestTimeout,
        Self::Lost,
        Self::Reply,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::ConnectTimeout => "connect_timeout",
            Self::Login => "login",
            Self::RequestTimeout => "request_timeout",
            Self::Lost => "lost",
            Self::Reply => "reply",
        }
    }
}

/// Failures by reason.
pub type Failures = [u64; Failure::ALL.len()];

/// The state of one lane.
#[derive(Debug)]
pub struct Gauges<'a> {
    /// Which one it is.
    pub lane: LaneId,
    /// Its server.
    pub server: &'a str,
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

/// Publishes what one worker counted.
#[derive(Debug)]
pub struct Publisher {
    worker: String,
    labels: Labels,
    /// The counts that were published so far.
    tally: Tally,
    durations: Durations,
    lanes: BTreeMap<LaneId, (UpstreamCounts, u64, Failures, bool, usize)>,
    /// Connections by listener and namespace, as they were published.
    connections: BTreeMap<(String, String), u32>,
}

impl Publisher {
    /// Nothing is published yet.
    pub fn new(worker: usize, labels: Labels) -> Self {
        let tally = Tally::new(labels.spaces.len());
        Self {
            worker: worker.to_string(),
            labels,
            tally,
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
        self.tally = Tally::new(labels.spaces.len());
        self.labels = labels;
    }

    /// Adds what was counted since the last call; `clients` has the origin of each
    /// that is connected.
    pub fn publish<'a>(
        &mut self,
        tally: &Tally,
        lanes: impl Iterator<Item = Gauges<'a>>,
        clients: impl Iterator<Item = usize>,
    ) {
        self.publish_connections(tally, clients);
        self.publish_requests(tally);
        self.publish_pickles(tally);
        self.publish_lanes(lanes);
        self.durations.add(&self.tally.latency, &tally.latency);
        self.tally.clone_from(tally);
    }

    /// Returns how long all took that was published.
    pub fn durations(&self) -> Durations {
        self.durations.clone()
    }

    fn publish_connections(&mut self, tally: &Tally, clients: impl Iterator<Item = usize>) {
        let before = std::mem::take(&mut self.connections);
        let mut all = 0;
        for origin in clients {
            all += 1;
            if let Some(names) = self.labels.origin(tally.origins[origin]) {
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
        for (at, listener) in self.labels.listeners.iter().enumerate() {
            let labels = || vec![Label::new("listener", listener.clone())];
            for why in Untagged::ALL {
                let count = |tally: &Tally| tally.untagged_at(at, why);
                add_from_zero(UNTAGGED, count(tally) - count(&self.tally), || {
                    with_reason(labels(), why.name())
                });
            }
            let writes = |tally: &Tally| tally.refused_writes.get(at).copied().unwrap_or(0);
            add_from_zero(UNTAGGED_WRITES, writes(tally) - writes(&self.tally), labels);
            add_from_zero(REFUSED, 0, labels);
            for why in Closed::ALL {
                let count = |tally: &Tally| tally.closed(at, why);
                add_from_zero(CLOSED, count(tally) - count(&self.tally), || {
                    with_reason(labels(), why.name())
                });
            }
            add_from_zero(HANDSHAKE_FAILURES, 0, labels);
        }
    }

    fn publish_requests(&self, tally: &Tally) {
        for (at, verbs) in tally.requests.iter().enumerate() {
            let old = self.tally.requests.get(at).unwrap_or(&NO_REQUESTS);
            let Some((listener, namespace)) = self.labels.origin(tally.origins[at]) else {
                continue;
            };
            for verb in Verb::ALL {
                for outcome in Outcome::ALL {
                    let (verb_at, outcome_at) = (verb.index(), outcome as usize);
                    add(
                        REQUESTS,
                        verbs[verb_at][outcome_at] - old[verb_at][outcome_at],
                        || {
                            vec![
                                Label::new("listener", listener.clone()),
                                Label::new("namespace", namespace.clone()),
                                Label::from_static_parts("command", verb.name()),
                                Label::from_static_parts("result", outcome.name()),
                            ]
                        },
                    );
                }
            }
        }
    }

    fn publish_pickles(&self, tally: &Tally) {
        let old = &self.tally;
        for space in 0..self.labels.spaces.len() {
            let name = self.labels.client(space);
            let named = |key: &'static str| Label::new(key, name.clone());
            for direction in Direction::ALL {
                for (at, protocol) in PROTOCOLS.into_iter().enumerate() {
                    let count = |tally: &Tally| tally.pickles(space, direction, at);
                    add(PICKLES, count(tally) - count(old), || {
                        vec![
                            named("namespace"),
                            Label::from_static_parts("direction", direction.name()),
                            Label::from_static_parts("protocol", protocol),
                        ]
                    });
                }
            }
            for writer in Writer::ALL {
                for verdict in Verdict::ALL {
                    for action in Action::ALL {
                        let count = |tally: &Tally| tally.reads(space, writer, verdict, action);
                        add(READS, count(tally) - count(old), || {
                            vec![
                                Label::from_static_parts("writer", writer.name()),
                                named("reader"),
                                Label::from_static_parts("verdict", verdict.name()),
                                Label::from_static_parts("action", action.name()),
                            ]
                        });
                    }
                }
            }
            let reasons = |of: fn(&Tally, usize) -> &ByReason| {
                let added = of(tally, space).iter();
                added.map(move |(reason, count)| (reason, count - of(old, space).of(reason)))
            };
            for (family, counts) in [
                (REJECTED, reasons(Tally::rejections)),
                (NOT_TRANSCODED, reasons(Tally::untranscodable)),
            ] {
                for (reason, count) in counts {
                    add(family, count, || {
                        vec![
                            named("namespace"),
                            Label::from_static_parts("reason", reason),
                        ]
                    });
                }
            }
            for direction in Direction::ALL {
                let before = old.unloadable(space, direction);
                for (reason, count) in tally.unloadable(space, direction).iter() {
                    add(NOT_LOADABLE, count - before.of(reason), || {
                        vec![
                            named("namespace"),
                            Label::from_static_parts("direction", direction.name()),
                            Label::from_static_parts("reason", reason),
                        ]
                    });
                }
            }
            // Who has no namespace has nothing isolated.
            for kind in Split::ALL.into_iter().filter(|_| space > 0) {
                let count = |tally: &Tally| tally.suspected[space][kind as usize];
                add_from_zero(SUSPECTED, count(tally) - count(old), || {
                    vec![
                        named("namespace"),
                        Label::from_static_parts("kind", kind.name()),
                    ]
                });
            }
            for target in 0..self.labels.spaces.len() {
                let pair = space * self.labels.spaces.len() + target;
                for result in Invalidation::ALL {
                    let add = match result {
                        Invalidation::Error => add_from_zero,
                        Invalidation::Deleted | Invalidation::Absent => add,
                    };
                    let count = |tally: &Tally| tally.invalidations[pair][result as usize];
                    add(INVALIDATIONS, count(tally) - count(old), || {
                        vec![
                            named("origin"),
                            Label::new("target", self.labels.place(target)),
                            Label::from_static_parts("result", result.name()),
                        ]
                    });
                }
            }
        }
    }

    fn publish_lanes<'a>(&mut self, lanes: impl Iterator<Item = Gauges<'a>>) {
        // Of those that are gone nothing more is to be said.
        let mut before = std::mem::take(&mut self.lanes);
        for lane in lanes {
            let published = before.remove(&lane.lane).unwrap_or_default();
            let (counts, reconnects, failures, up, in_flight) = published;
            self.lanes.insert(
                lane.lane,
                (
                    lane.counts,
                    lane.reconnects,
                    lane.failures,
                    lane.up,
                    lane.in_flight,
                ),
            );
            let server = || vec![Label::new("server", lane.server.to_owned())];
            for (family, more) in [
                (UPSTREAM_REQUESTS, lane.counts.requests - counts.requests),
                (UPSTREAM_ERRORS, lane.counts.errors - counts.errors),
                (UPSTREAM_RECONNECTS, lane.reconnects - reconnects),
            ] {
                add_from_zero(family, more, server);
            }
            for why in Failure::ALL {
                let more = lane.failures[why as usize] - failures[why as usize];
                add_from_zero(UPSTREAM_FAILURES, more, || {
                    with_reason(server(), why.name())
                });
            }
            // Several lanes and workers share a gauge, so each adds its change.
            gauge!(UPSTREAM_CONNECTIONS, server())
                .increment(f64::from(i8::from(lane.up) - i8::from(up)));
            gauge!(UPSTREAM_IN_FLIGHT, server())
                .increment(lane.in_flight as f64 - in_flight as f64);
        }
    }
}

/// Adds to a series that comes into being with its first count.
fn add(name: &'static str, more: u64, labels: impl FnOnce() -> Vec<Label>) {
    if more > 0 {
        counter!(name, labels()).increment(more);
    }
}

/// Adds to a series that is there from the start. Prometheus takes the first count
/// of a series that comes into being for what was there before: of what should
/// never happen, the first time would not show as an increase.
fn add_from_zero(name: &'static str, more: u64, labels: impl FnOnce() -> Vec<Label>) {
    counter!(name, labels()).increment(more);
}
