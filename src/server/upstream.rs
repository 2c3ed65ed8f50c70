//! The connection of one lane: opened, lost, and opened again with a capped,
//! jittered back-off. Moves bytes; what they mean is the engine's.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::stream::Stream;
use crate::config::ServerAddr;
use crate::embedded::Embedded;
use crate::engine::Engine;

/// The first pause before connecting again, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// Reads of one lane before others have their turn: 1 MiB.
const READS_PER_TURN: usize = 16;

type Connecting = Pin<Box<dyn Future<Output = io::Result<Stream>>>>;

enum State {
    Connecting(Connecting),
    /// Since then.
    Up(Stream, Instant),
    /// Until then.
    Paused(Instant),
}

/// What one lane connects to, and how.
#[derive(Debug, Clone)]
pub(super) struct Address {
    pub(super) server: ServerAddr,
    pub(super) embedded: Option<Embedded>,
    pub(super) connect_timeout: Duration,
}

/// The connection of one lane.
pub(super) struct LaneConnection {
    lane: usize,
    address: Arc<Address>,
    waker: Waker,
    state: State,
    /// Failures since the connection last worked.
    failures: u32,
    /// Established connections that were lost.
    pub(super) reconnects: u64,
}

impl LaneConnection {
    pub(super) fn new(lane: usize, address: Arc<Address>, waker: Waker) -> Self {
        let state = State::Connecting(connect(Arc::clone(&address)));
        Self {
            lane,
            address,
            waker,
            state,
            failures: 0,
            reconnects: 0,
        }
    }

    pub(super) fn is_up(&self) -> bool {
        matches!(self.state, State::Up(..))
    }

    /// Goes on with connecting and reads what came; whether there may be more.
    pub(super) fn poll(&mut self, engine: &mut Engine, scratch: &mut [u8], now: Instant) -> bool {
        let waker = self.waker.clone();
        let mut cx = Context::from_waker(&waker);
        if let State::Connecting(connecting) = &mut self.state {
            match connecting.as_mut().poll(&mut cx) {
                Poll::Pending => return false,
                Poll::Ready(Err(error)) => {
                    self.pause(engine, &format!("is down: {error}"), now);
                    return false;
                }
                Poll::Ready(Ok(stream)) => {
                    tracing::debug!(server = %self.address.server, "upstream connected");
                    engine.lane(self.lane).down = None;
                    self.state = State::Up(stream, now);
                }
            }
        }
        for _ in 0..READS_PER_TURN {
            let State::Up(stream, _) = &mut self.state else {
                return true;
            };
            match stream.poll_read(&mut cx, scratch) {
                Poll::Pending => return false,
                Poll::Ready(Ok(0)) => self.lost(engine, "closed the connection", true, now),
                Poll::Ready(Err(error)) => {
                    self.lost(engine, &format!("is lost: {error}"), true, now);
                }
                Poll::Ready(Ok(bytes)) => match engine.lane_input(self.lane, &scratch[..bytes]) {
                    Ok(()) => self.failures = 0,
                    // What it says cannot be trusted, reads least of all.
                    Err(error) => self.lost(engine, &format!("failed: {error}"), false, now),
                },
            }
        }
        true
    }

    /// Writes what the lane has to say.
    pub(super) fn flush(&mut self, engine: &mut Engine, now: Instant) {
        let waker = self.waker.clone();
        let mut cx = Context::from_waker(&waker);
        while let State::Up(stream, _) = &mut self.state {
            let lane = &mut engine.lane(self.lane).lane;
            if lane.unwritten().is_empty() {
                return;
            }
            match stream.poll_write(&mut cx, lane.unwritten()) {
                Poll::Pending => return,
                Poll::Ready(Ok(bytes)) => lane.wrote(bytes),
                Poll::Ready(Err(error)) => {
                    self.lost(engine, &format!("is lost: {error}"), true, now);
                }
            }
        }
    }

    /// Looks at the clock: pauses end, and an upstream that owes a reply for
    /// longer than `timeout` is given up.
    pub(super) fn tick(
        &mut self,
        engine: &mut Engine,
        timeout: Duration,
        now: Instant,
        now_us: u64,
    ) {
        match &self.state {
            State::Paused(until) if *until <= now => self.connect(),
            State::Paused(_) | State::Up(..) | State::Connecting(_) => {}
        }
        let oldest_us = engine.lane(self.lane).lane.oldest_us();
        let overdue = oldest_us.is_some_and(|at| u128::from(now_us - at) > timeout.as_micros());
        if overdue {
            let why = format!("timed out after {} ms", timeout.as_millis());
            if self.is_up() {
                self.lost(engine, &why, false, now);
            } else {
                engine.lane_lost(self.lane, &why, false);
            }
        }
    }

    /// The connection went. One that answered or stood for a while is opened
    /// again at once, and reads may be tried again on it.
    fn lost(&mut self, engine: &mut Engine, why: &str, retry: bool, now: Instant) {
        tracing::warn!(server = %self.address.server, "upstream {why}");
        self.reconnects += 1;
        let stood = matches!(self.state, State::Up(_, since) if now - since >= LONGEST_PAUSE);
        if retry && stood {
            // A server that closes what idles is not failing.
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

    fn connect(&mut self) {
        self.state = State::Connecting(connect(Arc::clone(&self.address)));
        self.waker.wake_by_ref();
    }

    /// Answers what is owed, and whatever comes until a connection is there
    /// again, with an error; tries to connect after a pause.
    fn pause(&mut self, engine: &mut Engine, why: &str, now: Instant) {
        engine.lane_lost(self.lane, why, false);
        if engine.lane(self.lane).down.is_none() {
            tracing::warn!(server = %self.address.server, "upstream {why}");
        }
        engine.lane(self.lane).down = Some(why.to_owned());
        let doublings = self.failures.min(6);
        self.failures = self.failures.saturating_add(1);
        let pause = (FIRST_PAUSE * 2u32.pow(doublings)).min(LONGEST_PAUSE);
        self.state = State::Paused(now + pause.mul_f64(0.5 + fastrand::f64() / 2.0));
    }
}

fn connect(address: Arc<Address>) -> Connecting {
    Box::pin(async move {
        let connecting = Stream::connect(&address.server, address.embedded.as_ref());
        match tokio::time::timeout(address.connect_timeout, connecting).await {
            Ok(connected) => connected,
            Err(_) => Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!(
                    "no connection after {} ms",
                    address.connect_timeout.as_millis()
                ),
            )),
        }
    })
}
