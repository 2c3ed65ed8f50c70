//! One worker: a thread that drives all of its clients and lanes by one poller.
//! Each turn reads whatever is ready, lets the engine work, and writes once per
//! client and lane, so that requests of a turn share their system calls.

pub(super) mod address;
mod ask;
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
use mio::{Events, Poll, Registry, Token, Waker};
use tokio::runtime;

use super::stream::Detached;
use super::worker::connection::Connection;
use super::worker::judges::Judges;
use crate::config::Limits;
use crate::engine::{Closed, Engine, Invalidation, LaneId, MAX_UNSENT, Upstream};
use crate::log::Pace;
use crate::metrics::{Condition, Gauges, Publisher};
use crate::report::advice::Counts;
use address::Address;
pub(super) use ask::{Silent, ask};
use connected::{Connected, Group, MAX_CONNECTIONS};
use lane::{Connector, LaneConnection};
pub(super) use mail::{Arrival, Handle, Mailbox, Message, Observed, Reload};

/// Bytes read at once.
const SCRATCH_BYTES: usize = 64 << 10;
/// Reads of one client before others have their turn.
const READS_PER_TURN: usize = 4;
/// Events of one turn.
const EVENTS_PER_TURN: usize = 1024;
/// How long a client may take nothing, and how long it may be behind at all, while as
/// much is held as may be.
const PATIENCE: Duration = Duration::from_millis(250);
const LONG_PATIENCE: Duration = Duration::from_secs(2);
/// A turn that took longer is one in which the process did not run.
const LONGEST_TURN: Duration = Duration::from_millis(250);
/// How often the clock is looked at while something is owed.
const TICK: Duration = Duration::from_millis(20);
/// How long a client that was asked to go is listened to after the last reply: more
/// than what it sent meanwhile takes to arrive, which must not reset the connection.
const LINGER: Duration = Duration::from_millis(500);
/// How long a client that has said nothing yet, or not yet who it is, is waited for at
/// the end: whoever connects has a request on its way.
pub(super) const FIRST_WORD: Duration = Duration::from_millis(100);
/// The token of the mailbox's events.
const MAIL: Token = Token(usize::MAX);
/// The token of the first lane's events; clients are numbered from 0 on.
const FIRST_LANE: usize = usize::MAX / 2;

/// Who else there is for a worker.
#[derive(Debug)]
pub(super) struct Colleagues {
    /// Its own number.
    pub(super) number: usize,
    /// The mailboxes of all workers, once all are there.
    pub(super) workers: Arc<OnceLock<Vec<Mailbox>>>,
    /// Those who look at what takes long.
    pub(super) judges: Judges,
}

#[derive(Debug)]
struct Client {
    connection: Connection,
    /// It is among those that have something to do.
    is_listed: bool,
    /// It has sent something.
    has_spoken: bool,
    /// It sends no more.
    has_ended: bool,
    /// It was told that no more comes, and is listened to until then.
    lingers: Option<Instant>,
}

/// A client that is owed something.
#[derive(Debug)]
struct Stuck {
    /// When it took some of it last.
    took: Instant,
    /// Since when it is owed so much that it is not read.
    behind: Option<Instant>,
}

impl Stuck {
    fn is_in_the_way(&self, now: Instant) -> bool {
        now - self.took >= PATIENCE
            || self
                .behind
                .is_some_and(|since| now - since >= LONG_PATIENCE)
    }

    fn shift(&mut self, time: Duration) {
        self.took += time;
        self.behind = self.behind.map(|since| since + time);
    }
}

/// One worker's connections and engine.
#[derive(Debug)]
pub(super) struct Worker {
    engine: Engine,
    /// One for each of the engine's lanes, in their order.
    lanes: Vec<LaneConnection>,
    /// Where each of them stands.
    places: BTreeMap<LaneId, usize>,
    connector: Connector,
    colleagues: Colleagues,
    /// The settings to come.
    reload: Option<Box<Reload>>,
    /// `None` once closed, while lanes still owe it replies.
    clients: Vec<Option<Client>>,
    poll: Poll,
    /// Clients that are owed something which they do not take at once.
    stuck: HashMap<usize, Stuck>,
    /// Since when as much is held for clients as may be.
    full_since: Option<Instant>,
    /// Clients that have something to do in the next turn, each once.
    ready: Vec<usize>,
    /// The same for the turn before, empty.
    spare: Vec<usize>,
    /// Clients that linger, with the end of that; some may be gone.
    lingering: VecDeque<(Instant, usize)>,
    messages: mpsc::Receiver<Message>,
    serving: Arc<AtomicUsize>,
    limits: Limits,
    publisher: Publisher,
    /// How often clients that cannot be served are told.
    unserved: Pace,
    scratch: Vec<u8>,
    started: Instant,
    /// When this turn began.
    now: Instant,
    /// When the clock is looked at, while a lane or a client is waited for.
    tick: Option<Instant>,
    draining: bool,
    /// While draining: until when those who have said nothing are waited for.
    patient_until: Option<Instant>,
}

impl Worker {
    /// A worker that connects the engine's lanes, whose servers are all among
    /// `addresses`, with the help of this thread's runtime.
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

    /// How long events may be waited for.
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
        // Not before: what was paused may have gone on.
        self.arm_tick();
        for note in self.engine.take_notes() {
            tracing::warn!("{note}");
        }
    }

    fn notice(&mut self, event: &Event) {
        let Token(number) = event.token();
        if let Some(lane) = number.checked_sub(FIRST_LANE) {
            // It may be gone.
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
            // Nobody is late for what nobody looked at.
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
                // It may be gone.
                if let Some(&at) = self.places.get(&lane) {
                    let registry = self.poll.registry();
                    self.lanes[at].connected(connected, &mut self.engine, registry, self.now);
                }
            }
            Message::Publish(done) => {
                self.publish();
                // Whoever asked may have gone.
                let _ = done.send(self.publisher.durations());
            }
            Message::Connections(answer) => {
                let _ = answer.send(self.connections());
            }
            Message::Families(answer) => {
                let _ = answer.send(self.observed());
            }
            Message::Summary(answer) => {
                let mut summary = self.engine.tally().summary();
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

    /// Asks all clients to go: what they have sent so far is still taken. Those that
    /// are there the second time have taken too long.
    fn drain(&mut self) {
        let again = std::mem::replace(&mut self.draining, true);
        self.patient_until = (!again).then(|| self.now + FIRST_WORD);
        for (number, client) in self.clients.iter_mut().enumerate() {
            let Some(client) = client else { continue };
            if again {
                self.engine.client_eof(number as u32);
            } else {
                client.connection.look();
                list(&mut self.ready, number, client);
            }
        }
    }

    /// Gives up all clients that are still owed something; how many there were.
    fn cut_off(&mut self) -> usize {
        let mut count = 0;
        for (number, client) in self.clients.iter().enumerate() {
            let id = number as u32;
            if let Some(client) = client
                && !self.engine.session(id).is_finished()
            {
                tracing::debug!(peer = client.connection.peer(), "client cut off");
                self.engine.give_up(id, Closed::Drain);
                count += 1;
            }
        }
        count
    }

    /// While draining, asks a client to go once it has nothing more to say.
    fn ask_to_go(&mut self, number: usize) {
        let session = self.engine.session(number as u32);
        if self.draining
            && !session.paused
            && !session.has_ended()
            && let Some(client) = &self.clients[number]
            && !client.connection.is_readable()
            && (client.has_spoken || self.patient_until.is_none())
        {
            self.engine.client_leave(number as u32);
        }
    }

    // Another configuration ------------------------------------------------

    /// Works by other settings, if some wait and nothing is under way.
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
        // What was counted is named by the old settings.
        self.publish();
        self.publisher.relabel(labels);
        self.engine.adopt(settings);
        self.limits = limits;
        self.engine.bound(limits.max_buffered_bytes);
        self.connect_lanes(&addresses);
        // Whoever asked may have gone.
        let _ = done.send(());
    }

    /// Gives each of the engine's lanes its connection, a new one where it has none;
    /// those of lanes that are gone are closed.
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
                // Far fewer than 2^32 are made in a process's life.
                let token = Token(FIRST_LANE + id.0 as usize);
                LaneConnection::new((at, *id), token, address, self.connector.clone())
            });
        }
    }

    fn observed(&self) -> Observed {
        let tally = self.engine.tally();
        let errors = tally
            .invalidations
            .iter()
            .map(|results| results[Invalidation::Error as usize]);
        Observed {
            snapshot: Arc::clone(&self.engine.settings().snapshot),
            families: self.engine.families().iter().cloned().collect(),
            counts: Counts {
                suspected: tally.suspected.as_flattened().iter().sum(),
                untagged: tally.all_untagged(),
                invalidation_errors: errors.sum(),
                not_looked_at: tally.not_looked_at(),
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
        let lanes = lanes.map(|(upstream, connection)| Gauges {
            lane: upstream.id,
            server: &upstream.server,
            up: connection.is_up(),
            in_flight: upstream.lane.in_flight(),
            reconnects: connection.reconnects,
            failures: connection.failed,
            counts: upstream.counts(),
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
            .publish(condition, self.engine.tally(), lanes, origins);
    }

    // Clients --------------------------------------------------------------

    fn admit(&mut self, arrival: Arrival) {
        let id = self.engine.open(arrival.listener, arrival.told);
        if let Err(error) = self.watch(arrival.socket, id as usize) {
            if let Some(before) = self.unserved.go(self.now) {
                tracing::warn!(%error, before, "client could not be served");
            }
            self.engine.close(id);
            self.serving.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        if !arrival.input.is_empty() {
            if let Some(Some(client)) = self.clients.get_mut(id as usize) {
                client.has_spoken = true;
            }
            self.engine.client_input(id, &arrival.input);
        }
        if self.draining
            && let Some(Some(client)) = self.clients.get_mut(id as usize)
        {
            client.connection.look();
            list(&mut self.ready, id as usize, client);
        }
    }

    fn watch(&mut self, socket: Detached, number: usize) -> io::Result<()> {
        // Clients that are gone are kept while a reply is owed.
        if self.engine.sessions().len() > 2 * self.limits.max_connections + 64 {
            return Err(io::Error::other("too many connections are closing"));
        }
        let token = Token(number);
        let connection = Connection::new(socket, self.poll.registry(), token)?;
        if self.clients.len() <= number {
            self.clients.resize_with(number + 1, || None);
        }
        let client = self.clients[number].insert(Client {
            connection,
            is_listed: false,
            has_spoken: false,
            has_ended: false,
            lingers: None,
        });
        if client.connection.is_readable() {
            list(&mut self.ready, number, client);
        }
        Ok(())
    }

    /// Serves whoever has something to do, lanes first.
    fn serve_ready(&mut self) {
        for lane in &mut self.lanes {
            lane.read(&mut self.engine, &mut self.scratch, self.now);
        }
        let spare = std::mem::take(&mut self.spare);
        let mut ready = std::mem::replace(&mut self.ready, spare);
        for client in ready.drain(..) {
            self.read_client(client);
        }
        self.spare = ready;
    }

    fn read_client(&mut self, number: usize) {
        let Some(Some(client)) = self.clients.get_mut(number) else {
            return;
        };
        client.is_listed = false;
        let id = number as u32;
        // It may have told of room to write.
        if !self.engine.session(id).unsent().is_empty() {
            self.engine.client_touch(id);
        }
        for _ in 0..READS_PER_TURN {
            if self.engine.session(id).paused {
                return;
            }
            match client.connection.read(&mut self.scratch) {
                Ok(None) => return self.ask_to_go(number),
                Ok(Some(0)) => {
                    client.has_ended = true;
                    return self.engine.client_eof(id);
                }
                Err(_) => return self.engine.client_gone(id),
                // What comes after the last request is read and dropped, so
                // that closing does not reset what is still on its way.
                Ok(Some(bytes)) => {
                    client.has_spoken = true;
                    self.engine.client_input(id, &self.scratch[..bytes]);
                }
            }
            if !client.connection.is_readable() {
                return self.ask_to_go(number);
            }
        }
        list(&mut self.ready, number, client);
    }

    /// Writes what there is to be written, until nothing new comes of it: a
    /// client that has room again asks for more, a lane that is down answers.
    fn flush(&mut self) {
        loop {
            let mut progress = false;
            while let Some(client) = self.engine.pop_dirty() {
                progress = true;
                self.flush_client(client);
            }
            for lane in &mut self.lanes {
                lane.flush(&mut self.engine, self.poll.registry(), self.now);
            }
            if !progress {
                break;
            }
        }
    }

    fn flush_client(&mut self, id: u32) {
        let number = id as usize;
        let token = Token(number);
        let mut took = false;
        loop {
            if let Some(client) = &mut self.clients[number] {
                let connection = &mut client.connection;
                took |= write_client(
                    &mut self.engine,
                    connection,
                    id,
                    self.poll.registry(),
                    token,
                );
            }
            if !self.engine.resume(id) {
                break;
            }
        }
        self.watch_patience(number, took);
        let session = self.engine.session(id);
        if session.is_finished() {
            if session.is_heard_out() && self.lingers(number) {
                return;
            }
            self.clients[number] = None;
            self.engine.close(id);
            self.serving.fetch_sub(1, Ordering::Relaxed);
        } else if session.is_dead() {
            self.clients[number] = None;
        } else if !session.paused
            && let Some(client) = &mut self.clients[number]
            && client.connection.is_readable()
        {
            list(&mut self.ready, number, client);
        } else {
            self.ask_to_go(number);
        }
    }

    /// Notes since when a client takes nothing of what it is owed, if it does not.
    fn watch_patience(&mut self, number: usize, took: bool) {
        let session = self.engine.session(number as u32);
        if session.unsent().is_empty() {
            if !self.stuck.is_empty() {
                self.stuck.remove(&number);
            }
            return;
        }
        let is_behind = session.unsent().len() >= MAX_UNSENT;
        let stuck = self.stuck.entry(number).or_insert(Stuck {
            took: self.now,
            behind: None,
        });
        if took {
            stuck.took = self.now;
        }
        stuck.behind = is_behind.then_some(stuck.behind.unwrap_or(self.now));
    }

    /// Whether a client that was asked to go, and has all that it is owed, is still
    /// listened to.
    fn lingers(&mut self, number: usize) -> bool {
        let Some(client) = &mut self.clients[number] else {
            return false;
        };
        if client.has_ended {
            return false;
        }
        if let Some(until) = client.lingers {
            return until > self.now;
        }
        if client.connection.end().is_err() {
            return false;
        }
        let until = self.now + LINGER;
        client.lingers = Some(until);
        self.lingering.push_back((until, number));
        true
    }

    /// Has all workers asked for what a client wants to know of the process.
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

    /// Gives up whom nothing came of for too long.
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

    /// Gives up clients that took nothing for too long and, while as much is held as may
    /// be, those that are in everybody's way, whoever holds the most first.
    fn give_up_stuck(&mut self) {
        let timeout = self.limits.send_timeout;
        let mut late = self.stuck_for(timeout);
        late.sort_unstable();
        for client in late {
            self.give_up(client, Closed::SendTimeout);
        }
        if !self.engine.is_full() {
            self.full_since = None;
            return;
        }
        let full_since = *self.full_since.get_or_insert(self.now);
        let is_long = self.now - full_since >= LONG_PATIENCE;
        let most = self.limits.max_buffered_bytes / 2;
        for (_, client) in self.engine.holders() {
            if self.engine.buffered() < most {
                break;
            }
            let is_in_the_way = match self.stuck.get(&(client as usize)) {
                Some(stuck) => stuck.is_in_the_way(self.now),
                // Half a request.
                None => is_long && !self.engine.session(client).is_dead(),
            };
            if is_in_the_way {
                self.give_up(client as usize, Closed::Backlog);
            }
        }
    }

    /// Who took nothing for so long.
    fn stuck_for(&self, time: Duration) -> Vec<usize> {
        let stuck = self.stuck.iter();
        let late = stuck.filter(|(_, stuck)| self.now - stuck.took >= time);
        late.map(|(&client, _)| client).collect()
    }

    fn give_up(&mut self, number: usize, why: Closed) {
        let client = self.clients[number].as_ref();
        let peer = client.and_then(|client| client.connection.peer());
        tracing::warn!(peer, "client closed for its {}", why.name());
        self.engine.give_up(number as u32, why);
    }

    /// Closes those that have lingered long enough.
    fn end_lingering(&mut self) {
        while let Some(&(until, number)) = self.lingering.front()
            && until <= self.now
        {
            self.lingering.pop_front();
            // It may be gone, and another in its place.
            let client = self.clients[number].as_ref();
            if client.is_some_and(|client| client.lingers == Some(until)) {
                self.engine.client_touch(number as u32);
            }
        }
    }

    /// Asks those to go that were waited for, but said nothing.
    fn end_patience(&mut self) {
        if self.patient_until.is_some_and(|until| until <= self.now) {
            self.patient_until = None;
            for number in 0..self.clients.len() {
                if self.clients[number].is_some() {
                    self.ask_to_go(number);
                }
            }
        }
    }

    /// Has the clock looked at again soon while a lane or a client waits for something.
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

/// Has a client served in the next turn.
fn list(ready: &mut Vec<usize>, number: usize, client: &mut Client) {
    if !std::mem::replace(&mut client.is_listed, true) {
        ready.push(number);
    }
}

/// Writes what a client takes of what it is owed; whether it took something.
fn write_client(
    engine: &mut Engine,
    client: &mut Connection,
    id: u32,
    registry: &Registry,
    token: Token,
) -> bool {
    let mut took = false;
    loop {
        let unsent = engine.session(id).unsent();
        if unsent.is_empty() {
            return took;
        }
        match client.write(unsent, registry, token) {
            Ok(None) => return took,
            Ok(Some(bytes)) => {
                let all = bytes == unsent.len();
                engine.client_sent(id, bytes);
                took = true;
                if all {
                    return true;
                }
            }
            Err(_) => {
                engine.client_gone(id);
                return true;
            }
        }
    }
}
