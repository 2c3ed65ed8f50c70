//! The connection of one lane: opened, lost, and opened again with a capped, jittered
//! back-off. Moves bytes; the engine knows their meaning.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::{Registry, Token};
use tokio::runtime;

use super::address::{Address, Refusal};
use super::connection::Connection;
use super::mail::{Mailbox, Message};
use crate::engine::{Engine, LaneId, MetaCommands, Overdue, PIECE_TIMEOUTS};
use crate::log::Pace;
use crate::metrics::{Failure, Failures};
use crate::server::stream::Detached;
use crate::server::tls::RECORD_BYTES;

/// The first pause before connecting again, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// Interval between log lines about reads that were answered as misses.
const TELL_EVERY: Duration = Duration::from_secs(10);
/// Reads of one lane before others have their turn: 1 MiB.
const READS_PER_TURN: usize = 16;

#[derive(Debug)]
enum State {
    /// A task is connecting; the worker's mailbox gets the result.
    Connecting,
    /// Connected, since this time.
    Up(Connection, Instant),
    /// Waiting until this time to connect again.
    Paused(Instant),
}

/// Opens connections for a worker, whose own thread must not wait for them.
#[derive(Debug, Clone)]
pub(in crate::server) struct Connector {
    /// Runtime of the main thread.
    pub(in crate::server) runtime: runtime::Handle,
    /// Mailbox of the worker.
    pub(in crate::server) mailbox: Mailbox,
}

impl Connector {
    fn connect(&self, lane: LaneId, address: &Arc<Address>) {
        let (address, mailbox) = (Arc::clone(address), self.mailbox.clone());
        self.runtime.spawn(async move {
            let connected = address.connect().await;
            let connected = connected.and_then(|(stream, version)| {
                let meta = MetaCommands::of_version(&version);
                Ok((stream.detach()?, meta))
            });
            mailbox.send(Message::Connected(lane, connected));
        });
    }
}

/// The connection of one lane.
#[derive(Debug)]
pub(in crate::server) struct LaneConnection {
    pub(in crate::server) id: LaneId,
    /// Index of the lane in the engine, under the present settings.
    lane: usize,
    token: Token,
    address: Arc<Address>,
    connector: Connector,
    state: State,
    /// Failures since the connection last worked.
    failures: u32,
    /// Established connections that were lost.
    pub(in crate::server) reconnects: u64,
    /// Failed connections by reason.
    pub(in crate::server) failed: Failures,
    /// Whether the log has told of a failure, so that it must tell of the recovery.
    is_told: bool,
    /// Pace of log lines about lost and failed connections.
    losses: Pace,
    downs: Pace,
    /// Whether reading is paused until a client takes some of the replies that are held.
    is_held_back: bool,
    /// Reads answered as misses that the log has told, and the time of that line.
    told_misses: (u64, Option<Instant>),
}

impl LaneConnection {
    /// Begins to connect the lane at this place.
    pub(in crate::server) fn new(
        (lane, id): (usize, LaneId),
        token: Token,
        address: Arc<Address>,
        connector: Connector,
    ) -> Self {
        connector.connect(id, &address);
        Self {
            id,
            lane,
            token,
            address,
            connector,
            state: State::Connecting,
            failures: 0,
            reconnects: 0,
            failed: Failures::default(),
            is_told: false,
            losses: Pace::default(),
            downs: Pace::default(),
            is_held_back: false,
            told_misses: (0, None),
        }
    }

    pub(in crate::server) fn is_up(&self) -> bool {
        matches!(self.state, State::Up(..))
    }

    /// Whether the lane needs the clock.
    pub(in crate::server) fn is_awaited(&self) -> bool {
        matches!(self.state, State::Connecting | State::Paused(_))
    }

    /// Address to connect to.
    pub(in crate::server) fn address(&self) -> Arc<Address> {
        Arc::clone(&self.address)
    }

    /// Moves the lane to another place and gives it a new address of the same server. An
    /// open connection stays.
    pub(in crate::server) fn place(&mut self, lane: usize, address: Arc<Address>) {
        self.lane = lane;
        self.address = address;
    }

    /// Takes the result of connecting.
    pub(in crate::server) fn connected(
        &mut self,
        connected: io::Result<(Detached, MetaCommands)>,
        engine: &mut Engine,
        registry: &Registry,
        now: Instant,
    ) {
        if self.is_up() {
            return;
        }
        let watched = connected
            .and_then(|(socket, meta)| Ok((Connection::new(socket, registry, self.token)?, meta)));
        match watched {
            Err(error) => {
                let (failure, why) = match (Refusal::of(&error), error.kind()) {
                    (Some(refusal), _) => (refusal.failure(), refusal.to_string()),
                    (None, io::ErrorKind::TimedOut) => {
                        (Failure::ConnectTimeout, format!("is down: {error}"))
                    }
                    (None, _) => (Failure::Connect, format!("is down: {error}")),
                };
                self.count(failure);
                engine.lane(self.lane).wants_login = failure == Failure::Login;
                if (!self.is_told || engine.lane(self.lane).down.is_none())
                    && let Some(before) = self.downs.go(now)
                {
                    self.is_told = true;
                    tracing::warn!(server = %self.address.server, before, "upstream {why}");
                }
                self.pause(engine, &why, now);
            }
            Ok((connection, meta)) => {
                if std::mem::take(&mut self.is_told) {
                    tracing::info!(server = %self.address.server, "upstream is connected again");
                }
                engine.lane_connected(self.lane, meta);
                self.state = State::Up(connection, now);
            }
        }
    }

    /// Takes note of an event.
    pub(in crate::server) fn notice(&mut self, event: &Event) {
        if let State::Up(connection, _) = &mut self.state {
            connection.notice(event);
        }
    }

    /// Whether there may be something to read without an event for it.
    pub(in crate::server) fn is_readable(&self) -> bool {
        matches!(&self.state, State::Up(connection, _) if connection.is_readable())
            && !self.is_held_back
    }

    /// Reads what has arrived, up to the bound of a turn.
    pub(in crate::server) fn read(
        &mut self,
        engine: &mut Engine,
        scratch: &mut [u8],
        now: Instant,
    ) {
        for _ in 0..READS_PER_TURN {
            let State::Up(connection, _) = &mut self.state else {
                return;
            };
            self.is_held_back = connection.is_readable() && !engine.may_read(self.lane);
            if self.is_held_back {
                return;
            }
            // A value waits for room beside others that are inspected apart. The engine
            // takes it before anything more is read.
            if engine.lane(self.lane).lane.is_parked() {
                if let Err(error) = engine.lane_input(self.lane, &[]) {
                    let why = format!("failed: {error}");
                    self.lost(engine, &why, Failure::Reply, error.may_retry(), now);
                } else if engine.lane(self.lane).lane.is_parked() {
                    self.is_held_back = true;
                    return;
                }
                continue;
            }
            match connection.read(scratch) {
                Ok(None) => return,
                Ok(Some(0)) => {
                    self.lost(engine, "closed the connection", Failure::Lost, true, now);
                }
                Err(error) => {
                    let why = format!("is lost: {error}");
                    self.lost(engine, &why, Failure::Lost, true, now);
                }
                Ok(Some(bytes)) => match engine.lane_input(self.lane, &scratch[..bytes]) {
                    Ok(()) => self.failures = 0,
                    Err(error) => {
                        let why = format!("failed: {error}");
                        self.lost(engine, &why, Failure::Reply, error.may_retry(), now);
                    }
                },
            }
        }
    }

    /// Writes the lane's requests.
    pub(in crate::server) fn flush(
        &mut self,
        engine: &mut Engine,
        registry: &Registry,
        now: Instant,
    ) {
        while let State::Up(connection, _) = &mut self.state {
            let lane = &mut engine.lane(self.lane).lane;
            // Some memcacheds miss a request that shares a TLS record with another's end.
            let unwritten = if self.address.tls.is_some() {
                lane.unwritten_piece(RECORD_BYTES)
            } else {
                lane.unwritten()
            };
            if unwritten.is_empty() {
                return;
            }
            match connection.write(unwritten, registry, self.token) {
                Ok(None) => return,
                Ok(Some(bytes)) => lane.wrote(bytes),
                Err(error) => {
                    let why = format!("is lost: {error}");
                    self.lost(engine, &why, Failure::Lost, true, now);
                }
            }
        }
    }

    /// Acts on the clock: ends pauses, gives up a connection on which a reply is overdue by
    /// `timeout`, and answers requests that have waited for longer.
    pub(in crate::server) fn tick(&mut self, engine: &mut Engine, timeout: Duration, now: Instant) {
        match &self.state {
            State::Paused(until) if *until <= now => self.connect(),
            State::Paused(_) | State::Up(..) | State::Connecting => {}
        }
        let timeout_us = timeout.as_micros() as u64;
        let Some(overdue) = engine.overdue(self.lane, timeout_us) else {
            engine.expire(self.lane, timeout_us);
            return self.tell_of_misses(engine, now);
        };
        let why = match overdue {
            Overdue::Silent => format!("timed out after {} ms", timeout.as_millis()),
            Overdue::Trickling => {
                let ms = u128::from(PIECE_TIMEOUTS) * timeout.as_millis();
                format!("is slow: no reply in {ms} ms")
            }
        };
        if self.is_up() {
            self.lost(engine, &why, Failure::RequestTimeout, false, now);
        } else {
            self.count(Failure::RequestTimeout);
            engine.lane_lost(self.lane, &why, false);
        }
        self.tell_of_misses(engine, now);
    }

    /// Logs now and then how many reads were answered as misses.
    fn tell_of_misses(&mut self, engine: &mut Engine, now: Instant) {
        let all = engine.lane(self.lane).counts().misses;
        let is_due = |told: Instant| now - told >= TELL_EVERY;
        if all > self.told_misses.0 && self.told_misses.1.is_none_or(is_due) {
            let count = all - self.told_misses.0;
            tracing::warn!(server = %self.address.server, count, "reads were answered as misses for an upstream that failed");
            self.told_misses = (all, Some(now));
        }
    }

    /// Handles a lost connection. One that answered, or stood for a while, is opened again
    /// at once; others after a pause. With `retry`, reads are sent again on the new one;
    /// without, the server gave bad replies or none, and might again.
    fn lost(
        &mut self,
        engine: &mut Engine,
        why: &str,
        failure: Failure,
        retry: bool,
        now: Instant,
    ) {
        self.count(failure);
        if let Some(before) = self.losses.go(now) {
            self.is_told = true;
            tracing::warn!(server = %self.address.server, before, "upstream {why}");
        }
        self.reconnects += 1;
        let stood = matches!(self.state, State::Up(_, since) if now - since >= LONGEST_PAUSE);
        if retry && stood {
            // Servers close idle connections: that is no failure.
            self.failures = 0;
        }
        if self.failures == 0 {
            engine.lane_lost(self.lane, why, retry);
            self.failures = 1;
            self.connect();
        } else {
            self.pause(engine, why, now);
        }
    }

    fn count(&mut self, failure: Failure) {
        self.failed[failure as usize] += 1;
    }

    fn connect(&mut self) {
        self.state = State::Connecting;
        self.connector.connect(self.id, &self.address);
    }

    /// Answers requests with an error until there is a connection again, and tries to
    /// connect after a pause.
    fn pause(&mut self, engine: &mut Engine, why: &str, now: Instant) {
        engine.lane_lost(self.lane, why, false);
        engine.lane(self.lane).down = Some(why.to_owned());
        let doublings = self.failures.min(6);
        self.failures = self.failures.saturating_add(1);
        let pause = (FIRST_PAUSE * 2u32.pow(doublings)).min(LONGEST_PAUSE);
        // Jitter keeps the proxies of a fleet from reconnecting to a server in step.
        self.state = State::Paused(now + pause.mul_f64(0.5 + fastrand::f64() / 2.0));
    }
}
