//! One task that drives all connections. Each turn takes those that have
//! something to read, checks it, and answers every reply with the next request:
//! one `recv` and one `send` for each batch, and nothing allocated.

mod connection;
mod pace;
mod ready;
mod reply;
mod timer;

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::time::{Interval, MissedTickBehavior};

use crate::stream::Stream;
use crate::tally::{Meter, Tally};
use crate::target::Target;
use crate::workload::{Op, Workload};
use connection::{Connection, Shared};
use pace::Schedule;
use ready::ReadySet;
use reply::{Unframed, printable};
use timer::Timer;

/// Bytes read at once.
const SCRATCH_BYTES: usize = 256 << 10;
/// The longest time between two looks at the clock when nothing comes.
const TICK: Duration = Duration::from_millis(20);
/// The time to wait for replies that are owed when the window closes.
const DRAIN: Duration = Duration::from_secs(1);

/// The load to drive.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    pub(crate) workload: &'a Workload,
    pub(crate) targets: &'a [Target],
    pub(crate) connections: usize,
    pub(crate) depth: usize,
    pub(crate) pace: Option<Pace>,
}

/// An open loop's requests a second.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    pub(crate) rate: f64,
    /// The seed of random gaps.
    pub(crate) poisson: Option<u64>,
}

/// A reason why a load could not go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DriveError {
    #[error("cannot connect to {0}: {1}")]
    Connect(String, io::Error),
    #[error("connection closed by the server")]
    Closed,
    #[error("connection lost: {0}")]
    Io(#[from] io::Error),
    /// A reply that was not owed: nothing after it on the connection can be trusted.
    #[error("wrong: {0}")]
    Wrong(String),
    #[error("cannot tell what a watched process used: {0}")]
    Watch(#[from] procfs::ProcError),
}

impl DriveError {
    fn unasked(input: &[u8]) -> Self {
        Self::Wrong(format!(
            "nothing was asked, but {:?} came",
            printable(input)
        ))
    }
}

impl From<Unframed> for DriveError {
    fn from(unframed: Unframed) -> Self {
        Self::Wrong(unframed.to_string())
    }
}

/// Puts the load on the targets until the meter has what it wants.
///
/// # Errors
/// Where a connection is lost, or what comes is no reply at all.
pub(crate) async fn drive(
    plan: &Plan<'_>,
    meter: impl FnOnce(Instant) -> Meter,
) -> Result<Tally, DriveError> {
    let ready = ReadySet::new(plan.connections);
    let connections = connect(plan, &ready).await?;
    let now = Instant::now();
    let mut interval = tokio::time::interval(TICK);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let arrivals = plan
        .pace
        .map(|pace| Arrivals::new(pace, plan.connections, now));
    let mut driver = Driver {
        shared: Shared {
            workload: plan.workload,
            meter: meter(now),
            depth: plan.depth,
            is_open_loop: plan.pace.is_some(),
            scratch: vec![0; SCRATCH_BYTES].into_boxed_slice(),
        },
        connections,
        ready,
        arrivals: arrivals.transpose()?,
        interval,
        closed_at: None,
    };
    for connection in 0..plan.connections {
        driver.ready.mark(connection);
    }
    let turns = std::future::poll_fn(|cx| driver.poll_turn(cx));
    // The budget of one task is for tasks of one connection.
    tokio::task::unconstrained(pin!(turns)).await?;
    Ok(driver.shared.meter.tally)
}

async fn connect(plan: &Plan<'_>, ready: &Arc<ReadySet>) -> Result<Vec<Connection>, DriveError> {
    let mut connections = Vec::with_capacity(plan.connections);
    let script = plan.workload.script.len();
    for number in 0..plan.connections {
        let target = number % plan.targets.len();
        let address = &plan.targets[target].address;
        let stream = Stream::connect(address)
            .await
            .map_err(|error| DriveError::Connect(address.to_string(), error))?;
        let position = number * script / plan.connections;
        connections.push(Connection::new(
            stream,
            ready.waker(number),
            target,
            position,
        ));
    }
    Ok(connections)
}

/// The arrivals of an open loop, and what wakes the task for the next.
struct Arrivals {
    schedule: Schedule,
    timer: Timer,
    /// The time that the timer is set to.
    armed: Option<Instant>,
}

impl Arrivals {
    fn new(pace: Pace, connections: usize, now: Instant) -> io::Result<Self> {
        Ok(Self {
            schedule: Schedule::new(pace.rate, connections, pace.poisson, now),
            timer: Timer::new()?,
            armed: None,
        })
    }

    /// Hands out what is due, and sets the timer to what comes next.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        now: Instant,
        mut due: impl FnMut(usize, Instant),
    ) -> io::Result<()> {
        while let Some(arrival) = self.schedule.pop(now) {
            due(arrival.connection, arrival.at);
        }
        let next = self.schedule.peek().at;
        if self.armed != Some(next) {
            // Handing out took its time.
            self.timer
                .arm(next.saturating_duration_since(Instant::now()))?;
            self.armed = Some(next);
        }
        while let Poll::Ready(fired) = self.timer.poll(cx) {
            fired?;
        }
        Ok(())
    }
}

struct Driver<'a> {
    shared: Shared<'a>,
    connections: Vec<Connection>,
    ready: Arc<ReadySet>,
    arrivals: Option<Arrivals>,
    interval: Interval,
    closed_at: Option<Instant>,
}

impl Driver<'_> {
    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), DriveError>> {
        self.ready.register(cx);
        while self.interval.poll_tick(cx).is_ready() {}
        match self.turn(cx, Instant::now()) {
            Ok(false) => Poll::Pending,
            Ok(true) => Poll::Ready(Ok(())),
            // What cannot be told apart is a wrong reply like others.
            Err(DriveError::Wrong(what)) => {
                let outcome = crate::tally::Outcome::Wrong(what);
                self.shared
                    .meter
                    .record(Op::Get(0), Duration::ZERO, outcome);
                Poll::Ready(self.close(Instant::now()))
            }
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    /// True once all is done.
    fn turn(&mut self, cx: &mut Context<'_>, now: Instant) -> Result<bool, DriveError> {
        let over = self.shared.meter.tick(now)?;
        if over && self.closed_at.is_none() {
            self.close(now)?;
        }
        self.arrive(cx, now)?;
        for number in self.ready.take() {
            self.connections[number].serve(&mut self.shared, now)?;
        }
        if !self.shared.meter.is_spent() {
            return Ok(false);
        }
        let drained = self.closed_at.is_some_and(|closed| now - closed >= DRAIN);
        if !drained && !self.connections.iter().all(Connection::is_idle) {
            return Ok(false);
        }
        self.close(Instant::now())?;
        Ok(true)
    }

    /// In an open loop, passes what is due to its connections.
    fn arrive(&mut self, cx: &mut Context<'_>, now: Instant) -> Result<(), DriveError> {
        let (connections, shared) = (&mut self.connections, &mut self.shared);
        let Some(arrivals) = &mut self.arrivals else {
            return Ok(());
        };
        if shared.meter.is_spent() {
            return Ok(());
        }
        let mut served = Ok(());
        arrivals.poll(cx, now, |connection, at| {
            connections[connection].arrive(at);
            if served.is_ok() {
                served = connections[connection].serve(shared, now);
            }
        })?;
        served
    }

    fn close(&mut self, now: Instant) -> Result<(), DriveError> {
        if self.closed_at.is_none() {
            self.closed_at = Some(now);
            self.shared.meter.close(now)?;
            let outstanding = self.connections.iter().map(Connection::outstanding);
            if self.shared.is_open_loop {
                self.shared.meter.tally.behind = outstanding.sum::<usize>() as u64;
            }
        }
        Ok(())
    }
}
