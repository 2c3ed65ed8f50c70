//! One worker: a thread that drives all of its clients and lanes by one poller.
//! Each turn reads whatever is ready, lets the engine work, and writes once per
//! client and lane, so that requests of a turn share their system calls.

pub(super) mod address;
mod ask;
mod clients;
pub(super) mod connected;
mod connection;
pub(super) mod judges;
pub(super) mod lane;
mod mail;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, mpsc};
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::{Events, Poll, Token, Waker};
use tokio::runtime;

use super::worker::judges::Judges;
use crate::config::Limits;
use crate::engine::{Engine, Invalidation, LaneId, Upstream};
use crate::log::Pace;
use crate::metrics::{Condition, Gauges, Publisher};
use crate::report::advice::Counts;
use address::Address;
pub(super) use ask::{Silent, ask};
pub(super) use clients::FIRST_WORD;
use clients::{Client, Stuck, list};
use connected::{Connected, Group, MAX_CONNECTIONS};
use lane::{Connector, LaneConnection};
pub(super) use mail::{Arrival, Handle, Mailbox, Message, Observed, Reload};

/// Bytes read at once.
const SCRATCH_BYTES: usize = 64 << 10;
/// Events of one turn.
const EVENTS_PER_TURN: usize = 1024;
/// Longest turn of a running process. A longer one means that it was suspended or starved.
const LONGEST_TURN: Duration = Duration::from_millis(250);
/// Interval at which the clock is read while a reply is owed.
const TICK: Duration = Duration::from_millis(20);
/// The token of the mailbox's events.
const MAIL: Token = Token(usize::MAX);
/// The token of the first lane's events; clients are numbered from 0 on.
const FIRST_LANE: usize = usize::MAX / 2;

/// Threads and tasks that a worker sends to.
#[derive(Debug)]
pub(super) struct Colleagues {
    /// Number of this worker.
    pub(super) number: usize,
    /// Mailboxes of all workers, set once all are started.
    pub(super) workers: Arc<OnceLock<Vec<Mailbox>>>,
    /// Threads that inspect long values.
    pub(super) judges: Judges,
}

/// One worker's connections and engine.
#[derive(Debug)]
pub(super) struct Worker {
    engine: Engine,
    /// Connections of the engine's lanes, in their order.
    lanes: Vec<LaneConnection>,
    /// Index of each lane.
    places: BTreeMap<LaneId, usize>,
    connector: Connector,
    colleagues: Colleagues,
    /// Settings that wait to be adopted.
    reload: Option<Box<Reload>>,
    /// `None` once closed, while lanes still owe it replies.
    clients: Vec<Option<Client>>,
    poll: Poll,
    /// Clients that do not take their replies at once.
    stuck: HashMap<usize, Stuck>,
    /// Time since which the limit of held replies is reached.
    full_since: Option<Instant>,
    /// Clients that have something to do in the next turn, each once.
    ready: Vec<usize>,
    /// Empty list that was used in the turn before, kept for its memory.
    spare: Vec<usize>,
    /// Clients that linger, with the end of that; some may be gone.
    lingering: VecDeque<(Instant, usize)>,
    messages: mpsc::Receiver<Message>,
    serving: Arc<AtomicUsize>,
    limits: Limits,
    publisher: Publisher,
    /// Pace of log lines about clients that cannot be served.
    unserved: Pace,
    scratch: Vec<u8>,
    started: Instant,
    /// Time at which this turn began.
    now: Instant,
    /// Next time to read the clock, while a lane or a client is waited for.
    tick: Option<Instant>,
    draining: bool,
    /// While draining: end of waiting for clients that have sent nothing.
    patient_until: Option<Instant>,
}

impl Worker {
    /// Creates a worker and begins to connect the engine's lanes, on this thread's runtime.
    /// `addresses` holds all of their servers.
    ///
    /// # Errors
    /// Where the system has no poller left.
    pub(super) fn new(
        engine: Engine,
        addresses: &[Arc<Address>],
        limits: Limits,
        publisher: Publisher,
        started: Instant,
        colleagues: Colleagues,
    ) -> io::Result<(Self, Handle)> {
        let poll = Poll::new()?;
        let (mailbox, messages) = Mailbox::new(Waker::new(poll.registry(), MAIL)?);
        let connector = Connector {
            runtime: runtime::Handle::current(),
            mailbox: mailbox.clone(),
        };
        let handle = Handle::new(mailbox);
        let mut worker = Self {
            engine,
            lanes: Vec::new(),
            places: BTreeMap::new(),
            connector,
            colleagues,
            reload: None,
            clients: Vec::new(),
            poll,
            stuck: HashMap::new(),
            full_since: None,
            ready: Vec::new(),
            spare: Vec::new(),
            lingering: VecDeque::new(),
            messages,
            serving: Arc::clone(&handle.clients),
            limits,
            publisher,
            unserved: Pace::default(),
            scratch: vec![0; SCRATCH_BYTES],
            started,
            now: Instant::now(),
            tick: None,
            draining: false,
            patient_until: None,
        };
        worker.engine.bound(limits.max_buffered_bytes);
        worker.connect_lanes(addresses);
        Ok((worker, handle))
    }

    /// Serves until drained.
    ///
    /// # Errors
    /// If the poller fails.
    pub(super) fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS_PER_TURN);
        self.arm_tick();
        while !self.draining || self.serving.load(Ordering::Relaxed) > 0 {
            match self.poll.poll(&mut events, self.patience()) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                polled => polled?,
            }
            self.turn(&events);
        }
        Ok(())
    }

    /// Longest time to wait for events.
    fn patience(&self) -> Option<Duration> {
        let readable = |(lane, upstream): (&LaneConnection, &Upstream)| {
            lane.is_readable() && !upstream.lane.is_parked()
        };
        let mut lanes = self.lanes.iter().zip(self.engine.lanes());
        if !self.ready.is_empty() || lanes.any(readable) {
            return Some(Duration::ZERO);
        }
        self.tick
            .map(|tick| tick.saturating_duration_since(self.now))
    }

    fn turn(&mut self, events: &Events) {
        self.look_at_clock();
        for event in events {
            if event.token() == MAIL {
                while let Ok(message) = self.messages.try_recv() {
                    self.handle(message);
                }
            } else {
                self.notice(event);
            }
        }
        self.serve_ready();
        self.tick();
        self.ask_for_statistics();
        self.adopt();
        self.flush();
        for job in self.engine.take_jobs() {
            let Colleagues { number, judges, .. } = &self.colleagues;
            judges.submit(*number, job, &self.connector.mailbox);
        }
        // After `flush`, which may have paused or resumed clients and lanes.
        self.arm_tick();
        for note in self.engine.take_notes() {
            tracing::warn!("{note}");
        }
    }

    fn notice(&mut self, event: &Event) {
        let Token(number) = event.token();
        if let Some(lane) = number.checked_sub(FIRST_LANE) {
            // A reload may have removed the lane since the event.
            if let Some(&at) = self.places.get(&LaneId(lane as u64)) {
                self.lanes[at].notice(event);
            }
            return;
        }
        if let Some(Some(client)) = self.clients.get_mut(number) {
            client.connection.notice(event);
            list(&mut self.ready, number, client);
        }
    }

    fn look_at_clock(&mut self) {
        let now = Instant::now();
        if self.tick.is_some() {
            // Clients get back the time in which this process did not run: they could
            // not have been served.
            let missed = (now - self.now).saturating_sub(LONGEST_TURN);
            if !missed.is_zero() {
                for stuck in self.stuck.values_mut() {
                    stuck.shift(missed);
                }
            }
        }
        self.now = now;
        self.engine.set_now(self.now_us());
    }

    fn now_us(&self) -> u64 {
        // Half a million years fit.
        self.now.duration_since(self.started).as_micros() as u64
    }

    fn handle(&mut self, message: Message) {
        match message {
            Message::Client(arrival) => self.admit(arrival),
            Message::Reload(reload) => {
                self.engine.hold();
                self.reload = Some(reload);
            }
            Message::Connected(lane, connected) => {
                // A reload may have removed the lane while it connected.
                if let Some(&at) = self.places.get(&lane) {
                    let registry = self.poll.registry();
                    self.lanes[at].connected(connected, &mut self.engine, registry, self.now);
                }
            }
            Message::Publish(done) => {
                self.publish();
                // An error means that the asker gave up.
                let _ = done.send(self.publisher.durations());
            }
            Message::Connections(answer) => {
                let _ = answer.send(self.connections());
            }
            Message::Families(answer) => {
                let _ = answer.send(self.observed());
            }
            Message::Summary(answer) => {
                let mut summary = self.engine.counts().summary();
                let serving = self.serving.load(Ordering::Relaxed) as u64;
                summary.insert("curr_connections".to_owned(), serving);
                let _ = answer.send(summary);
            }
            Message::Judged(judged) => self.engine.judged(*judged),
            Message::Statistics(ticket, lines) => self.engine.answer(ticket, &lines),
            Message::Ping(answer) => {
                let _ = answer.send(());
            }
            Message::Servers(answer) => {
                let mut servers: Vec<_> = self.lanes.iter().map(LaneConnection::address).collect();
                servers.dedup_by(|a, b| a.server == b.server);
                let _ = answer.send(servers);
            }
            Message::Drain => self.drain(),
            Message::CutOff(answer) => {
                let _ = answer.send(self.cut_off());
            }
        }
    }

    // Another configuration ------------------------------------------------

    /// Adopts waiting settings once no request is under way, so that each request is decided
    /// and carried out by one configuration.
    fn adopt(&mut self) {
        if self.reload.is_none() || !self.engine.is_at_rest() {
            return;
        }
        let Some(reload) = self.reload.take() else {
            return;
        };
        let Reload {
            settings,
            labels,
            addresses,
            limits,
            done,
        } = *reload;
        // Counts so far belong to the old names.
        self.publish();
        self.publisher.relabel(labels);
        self.engine.adopt(settings);
        self.limits = limits;
        self.engine.bound(limits.max_buffered_bytes);
        self.connect_lanes(&addresses);
        // An error means that the asker gave up.
        let _ = done.send(());
    }

    /// Matches connections to the engine's lanes: keeps, opens or closes each.
    fn connect_lanes(&mut self, addresses: &[Arc<Address>]) {
        let mut before = std::mem::take(&mut self.lanes);
        self.places.clear();
        for (at, Upstream { id, server, .. }) in self.engine.lanes().iter().enumerate() {
            let mut known = addresses.iter();
            let address = known.find(|address| address.server.to_string() == *server);
            let address = Arc::clone(address.expect("a reload brings the servers' addresses"));
            self.places.insert(*id, at);
            let had = before.iter().position(|lane| lane.id == *id);
            self.lanes.push(if let Some(had) = had {
                let mut lane = before.swap_remove(had);
                lane.place(at, address);
                lane
            } else {
                // Lanes are never renumbered, so a late event cannot meet another lane.
                // Far fewer than 2^32 are made in a process's life.
                let token = Token(FIRST_LANE + id.0 as usize);
                LaneConnection::new((at, *id), token, address, self.connector.clone())
            });
        }
    }

    fn observed(&self) -> Observed {
        let counts = self.engine.counts();
        let errors = counts
            .invalidations
            .iter()
            .map(|results| results[Invalidation::Error as usize]);
        Observed {
            snapshot: Arc::clone(&self.engine.settings().snapshot),
            families: self.engine.families().iter().cloned().collect(),
            counts: Counts {
                suspected: counts.suspected.as_flattened().iter().sum(),
                untagged: counts.all_untagged(),
                invalidation_errors: errors.sum(),
                not_looked_at: counts.not_looked_at(),
            },
        }
    }

    fn connections(&self) -> Connected {
        let serving = self.serving.load(Ordering::Relaxed);
        let mut connected = Connected::new(serving, self.reload.is_some());
        let mut groups: HashMap<Group<'_>, usize> = HashMap::new();
        for (id, session) in self.engine.sessions() {
            let Some(client) = self.clients.get(id as usize).and_then(Option::as_ref) else {
                continue;
            };
            let group = Group::of(session, self.engine.settings());
            if connected.some.len() < MAX_CONNECTIONS {
                let peer = client.connection.peer();
                connected.some.push(connected::Connection {
                    peer,
                    as_what: group.describe(),
                });
            }
            *groups.entry(group).or_default() += 1;
        }
        for (group, connections) in groups {
            connected.add(group.describe(), connections);
        }
        connected
    }

    fn publish(&mut self) {
        let lanes = self.engine.lanes().iter().zip(&self.lanes);
        let lanes = lanes.map(|(upstream, connection)| {
            let gauges = Gauges {
                up: connection.is_up(),
                in_flight: upstream.lane.in_flight(),
                reconnects: connection.reconnects,
                failures: connection.failed,
                counts: upstream.counts(),
            };
            (upstream.id, &*upstream.server, gauges)
        });
        let clients = self.engine.sessions();
        let origins = clients
            .filter(|(id, _)| matches!(self.clients.get(*id as usize), Some(Some(_))))
            .map(|(_, session)| session.who.origin as usize);
        let (looks_apart, looks_apart_bytes) = self.engine.apart();
        let condition = Condition {
            is_reloading: self.reload.is_some(),
            looks_apart,
            looks_apart_bytes,
        };
        self.publisher
            .publish(condition, self.engine.counts(), lanes, origins);
    }

    /// Gathers statistics of all workers for clients that asked for them.
    fn ask_for_statistics(&mut self) {
        while let Some(ticket) = self.engine.pop_question() {
            let workers = self.colleagues.workers.get().cloned().unwrap_or_default();
            let own = self.connector.mailbox.clone();
            self.connector.runtime.spawn(async move {
                let lines = ask::statistics(&workers).await;
                own.send(Message::Statistics(ticket, lines));
            });
        }
    }

    // The clock ------------------------------------------------------------

    /// Acts on timeouts of clients and lanes.
    fn tick(&mut self) {
        if self.tick.is_none_or(|tick| tick > self.now) {
            return;
        }
        self.tick = None;
        self.end_lingering();
        self.end_patience();
        for lane in &mut self.lanes {
            lane.tick(&mut self.engine, self.limits.request_timeout, self.now);
        }
        self.engine.hasten();
        self.give_up_stuck();
    }

    /// Arms the next tick while a lane or a client waits for something. An idle worker has
    /// none, and sleeps until an event.
    fn arm_tick(&mut self) {
        if self.tick.is_some() {
            return;
        }
        let waiting = self.patient_until.is_some()
            || self.reload.is_some()
            || !self.stuck.is_empty()
            || self.full_since.is_some()
            || self.engine.is_full()
            || !self.lingering.is_empty()
            || self.lanes.iter().any(LaneConnection::is_awaited)
            || self
                .engine
                .lanes()
                .iter()
                .any(|upstream| !upstream.lane.is_idle());
        if waiting {
            self.tick = Some(self.now + TICK);
        }
    }
}
