//! One worker: a single task that drives all of its clients and lanes. Each
//! turn reads whatever is ready, lets the engine work, and writes once per
//! client and lane, so that requests of a turn share their system calls.

use std::future::Future as _;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tokio::time::Sleep;

use super::ready::ReadySet;
use super::stream::{Detached, Stream};
use super::upstream::{Address, LaneConnection};
use crate::config::Limits;
use crate::engine::Engine;
use crate::metrics::{Gauges, Publisher};
use crate::policy::Identity;

/// Bytes read at once.
const SCRATCH_BYTES: usize = 64 << 10;
/// Reads of one client before others have their turn.
const READS_PER_TURN: usize = 4;
/// How often the clock is looked at while something is owed.
const TICK: Duration = Duration::from_millis(20);

/// What the rest of the process tells a worker.
#[derive(Debug)]
pub(super) enum Message {
    /// A client to serve.
    Client(Detached, Identity, usize),
    /// Bring the metrics up to date, then say so.
    Publish(oneshot::Sender<()>),
    /// Finish what is owed and end.
    Drain,
}

/// How the rest of the process sees a worker.
#[derive(Debug, Clone)]
pub(super) struct Handle {
    pub(super) messages: mpsc::UnboundedSender<Message>,
    /// Clients that it serves.
    pub(super) clients: Arc<AtomicUsize>,
}

struct Client {
    /// `None` once closed, while lanes still owe it replies.
    stream: Option<Stream>,
    waker: Waker,
    /// There may be more to read that no waker will tell of.
    unread: bool,
}

/// One worker's connections and engine.
pub(super) struct Worker {
    engine: Engine,
    lanes: Vec<LaneConnection>,
    clients: Vec<Option<Client>>,
    ready: Arc<ReadySet>,
    messages: mpsc::UnboundedReceiver<Message>,
    serving: Arc<AtomicUsize>,
    limits: Limits,
    publisher: Publisher,
    scratch: Vec<u8>,
    started: Instant,
    tick: Pin<Box<Sleep>>,
    ticking: bool,
    draining: bool,
}

impl Worker {
    /// A worker that connects its lanes to `addresses`, one for each lane of
    /// the engine. Must be made on the thread that polls it.
    pub(super) fn new(
        engine: Engine,
        addresses: &[Arc<Address>],
        limits: Limits,
        publisher: Publisher,
        messages: mpsc::UnboundedReceiver<Message>,
        serving: Arc<AtomicUsize>,
    ) -> Self {
        // Clients that are gone keep their number while a reply is owed.
        let capacity = addresses.len() + 2 * limits.max_connections + 64;
        let ready = ReadySet::new(capacity);
        let lanes = addresses
            .iter()
            .enumerate()
            .map(|(lane, address)| {
                LaneConnection::new(lane, Arc::clone(address), ready.waker(lane))
            })
            .collect::<Vec<_>>();
        for lane in 0..lanes.len() {
            ready.mark(lane);
        }
        Self {
            engine,
            lanes,
            clients: Vec::new(),
            ready,
            messages,
            serving,
            limits,
            publisher,
            scratch: vec![0; SCRATCH_BYTES],
            started: Instant::now(),
            tick: Box::pin(tokio::time::sleep(TICK)),
            ticking: false,
            draining: false,
        }
    }

    /// Serves until drained.
    pub(super) async fn run(mut self) {
        let turns = std::future::poll_fn(|cx| self.poll(cx));
        // The budget of one task is for tasks of one connection.
        tokio::task::unconstrained(pin!(turns)).await;
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.ready.register(cx);
        let now = self.look_at_clock();
        while let Poll::Ready(message) = self.messages.poll_recv(cx) {
            match message {
                Some(message) => self.handle(message),
                None => self.drain(),
            }
            if self.draining {
                break;
            }
        }
        self.poll_ready(now);
        self.poll_tick(cx, now);
        self.flush(now);
        if self.draining && self.serving.load(Ordering::Relaxed) == 0 {
            return Poll::Ready(());
        }
        Poll::Pending
    }

    fn look_at_clock(&mut self) -> Instant {
        let now = Instant::now();
        self.engine.set_now(self.us(now));
        now
    }

    fn us(&self, now: Instant) -> u64 {
        // Half a million years fit.
        now.duration_since(self.started).as_micros() as u64
    }

    fn handle(&mut self, message: Message) {
        match message {
            Message::Client(stream, identity, origin) => self.admit(stream, identity, origin),
            Message::Publish(done) => {
                self.publish();
                // Whoever asked may have gone.
                let _ = done.send(());
            }
            Message::Drain => self.drain(),
        }
    }

    /// Takes no new clients; those there are finish what they are owed.
    fn drain(&mut self) {
        self.draining = true;
        for client in 0..self.clients.len() {
            if self.clients[client].is_some() {
                self.engine.client_eof(client as u32);
            }
        }
    }

    fn publish(&mut self) {
        let lanes = self.engine.lanes().iter().zip(&self.lanes);
        let lanes = lanes.map(|(upstream, connection)| Gauges {
            server: &upstream.server,
            up: connection.is_up(),
            in_flight: upstream.lane.in_flight(),
            reconnects: connection.reconnects,
            counts: upstream.counts(),
        });
        self.publisher.publish(self.engine.tally(), lanes);
    }

    // Clients --------------------------------------------------------------

    fn admit(&mut self, stream: Detached, identity: Identity, origin: usize) {
        let stream = match stream.attach() {
            Ok(stream) => stream,
            Err(error) => {
                tracing::warn!(%error, "client could not be served");
                self.serving.fetch_sub(1, Ordering::Relaxed);
                return;
            }
        };
        let number = self.engine.open(identity, origin) as usize;
        let bit = self.lanes.len() + number;
        if bit >= self.ready.capacity() {
            tracing::warn!("client refused: too many connections are closing");
            self.engine.close(number as u32);
            self.serving.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        if self.clients.len() <= number {
            self.clients.resize_with(number + 1, || None);
        }
        let waker = self.ready.waker(bit);
        self.clients[number] = Some(Client {
            stream: Some(stream),
            waker,
            unread: true,
        });
        self.publisher.connected(origin, 1.0);
        self.ready.mark(bit);
    }

    fn poll_ready(&mut self, now: Instant) {
        let ready = Arc::clone(&self.ready);
        for connection in ready.take() {
            match connection.checked_sub(self.lanes.len()) {
                None => self.poll_lane(connection, now),
                Some(client) => self.read_client(client),
            }
        }
    }

    fn poll_lane(&mut self, lane: usize, now: Instant) {
        if self.lanes[lane].poll(&mut self.engine, &mut self.scratch, now) {
            self.ready.mark(lane);
        }
    }

    fn read_client(&mut self, number: usize) {
        let Some(client) = self.clients.get_mut(number).and_then(Option::as_mut) else {
            return;
        };
        let Some(stream) = &mut client.stream else {
            return;
        };
        let mut cx = Context::from_waker(&client.waker);
        let id = number as u32;
        client.unread = false;
        // A writer waits for the same waker.
        if !self.engine.session(id).unsent().is_empty() {
            self.engine.client_touch(id);
        }
        for _ in 0..READS_PER_TURN {
            let session = self.engine.session(id);
            if session.paused {
                client.unread = true;
                return;
            }
            match stream.poll_read(&mut cx, &mut self.scratch) {
                Poll::Pending => return,
                Poll::Ready(Ok(0)) => return self.engine.client_eof(id),
                Poll::Ready(Err(_)) => return self.engine.client_gone(id),
                // What comes after the last request is read and dropped, so
                // that closing does not reset what is still on its way.
                Poll::Ready(Ok(bytes)) => self.engine.client_input(id, &self.scratch[..bytes]),
            }
        }
        client.unread = true;
        self.ready.mark(self.lanes.len() + number);
    }

    /// Writes what there is to be written, until nothing new comes of it: a
    /// client that has room again asks for more, a lane that is down answers.
    fn flush(&mut self, now: Instant) {
        loop {
            let mut progress = false;
            while let Some(client) = self.engine.pop_dirty() {
                progress = true;
                self.flush_client(client);
            }
            for lane in &mut self.lanes {
                lane.flush(&mut self.engine, now);
            }
            if !progress {
                break;
            }
        }
    }

    fn flush_client(&mut self, id: u32) {
        let number = id as usize;
        loop {
            if let Some(client) = self.clients[number].as_mut() {
                write_client(&mut self.engine, client, id);
            }
            if !self.engine.resume(id) {
                break;
            }
        }
        let session = self.engine.session(id);
        let Some(client) = self.clients[number].as_mut() else {
            return;
        };
        if session.dead {
            client.stream = None;
        }
        if session.is_finished() {
            let origin = session.origin;
            self.clients[number] = None;
            self.engine.close(id);
            self.serving.fetch_sub(1, Ordering::Relaxed);
            self.publisher.connected(origin, -1.0);
        } else if client.unread && !session.paused {
            self.ready.mark(self.lanes.len() + number);
        }
    }

    // The clock ------------------------------------------------------------

    fn poll_tick(&mut self, cx: &mut Context<'_>, now: Instant) {
        let waiting = self.lanes.iter().any(|lane| !lane.is_up())
            || self
                .engine
                .lanes()
                .iter()
                .any(|upstream| !upstream.lane.is_idle());
        if !self.ticking {
            if !waiting {
                return;
            }
            self.tick.as_mut().reset((now + TICK).into());
            self.ticking = true;
        }
        if self.tick.as_mut().poll(cx).is_ready() {
            self.ticking = false;
            let now_us = self.us(now);
            for lane in &mut self.lanes {
                lane.tick(&mut self.engine, self.limits.request_timeout, now, now_us);
            }
            // Arms it again where it is still needed.
            self.poll_tick(cx, now);
        }
    }
}

fn write_client(engine: &mut Engine, client: &mut Client, id: u32) {
    let Some(stream) = &mut client.stream else {
        return;
    };
    let mut cx = Context::from_waker(&client.waker);
    loop {
        let unsent = engine.session(id).unsent();
        if unsent.is_empty() {
            return;
        }
        match stream.poll_write(&mut cx, unsent) {
            Poll::Pending => return,
            Poll::Ready(Ok(bytes)) => engine.client_sent(id, bytes),
            Poll::Ready(Err(_)) => return engine.client_gone(id),
        }
    }
}
