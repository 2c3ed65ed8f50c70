//! One thread that drives all connections by one poller. Each turn takes those that have
//! something to read, checks it, and answers every reply with the next request: one
//! `recv` and one `send` for each batch, and nothing allocated.

mod connection;
mod pace;
mod reply;
mod timer;

use std::io;
use std::os::fd::AsRawFd as _;
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Registry, Token};

use crate::stream;
use crate::tally::{Meter, Outcome, Tally};
use crate::target::Target;
use crate::workload::{Op, Workload};
use connection::{Connection, Shared};
use pace::Schedule;
use reply::{Unframed, printable};
use timer::Timer;

/// Bytes read at once.
const SCRATCH_BYTES: usize = 256 << 10;
/// The longest time between two looks at the clock when nothing comes.
const TICK: Duration = Duration::from_millis(20);
/// The time to wait for replies that are owed when the window closes.
const DRAIN: Duration = Duration::from_secs(1);

/// Events of one turn.
const EVENTS_PER_TURN: usize = 1024;
/// The token of the timer; connections are numbered from 0 on.
const TIMER: Token = Token(usize::MAX);

/// The load to drive.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    pub(crate) workload: &'a Workload,
    pub(crate) targets: &'a [Target],
    pub(crate) connections: usize,
    pub(crate) depth: usize,
    pub(crate) pace: Option<Pace>,
    /// The longest that it may last.
    pub(crate) limit: Duration,
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
    #[error("no end after {0:?}")]
    Endless(Duration),
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
    let mut poll = Poll::new()?;
    let connections = connect(plan, poll.registry()).await?;
    let now = Instant::now();
    let arrivals = plan.pace.map(|pace| {
        let timer = Timer::new(poll.registry(), TIMER)?;
        Ok::<_, io::Error>(Arrivals {
            schedule: Schedule::new(pace.rate, plan.connections, pace.poisson, now),
            timer,
            armed: None,
        })
    });
    let mut driver = Driver {
        shared: Shared {
            workload: plan.workload,
            meter: meter(now),
            depth: plan.depth,
            is_open_loop: plan.pace.is_some(),
            scratch: vec![0; SCRATCH_BYTES].into_boxed_slice(),
        },
        connections,
        arrivals: arrivals.transpose()?,
        closed_at: None,
    };
    let mut events = Events::with_capacity(EVENTS_PER_TURN);
    let mut ready: Vec<usize> = (0..plan.connections).collect();
    while !driver.turn(&ready)? {
        if now.elapsed() >= plan.limit {
            return Err(DriveError::Endless(plan.limit));
        }
        match poll.poll(&mut events, Some(TICK)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            polled => polled?,
        }
        let those = events.iter().filter(|event| driver.is_for(event));
        ready.clear();
        ready.extend(those.map(|event| event.token().0));
    }
    Ok(driver.shared.meter.tally)
}

async fn connect(plan: &Plan<'_>, registry: &Registry) -> Result<Vec<Connection>, DriveError> {
    let mut connections = Vec::with_capacity(plan.connections);
    let script = plan.workload.script.len();
    for number in 0..plan.connections {
        let target = number % plan.targets.len();
        let address = &plan.targets[target].address;
        let stream = stream::connect(address)
            .await
            .map_err(|error| DriveError::Connect(address.to_string(), error))?;
        let socket = stream::detach(stream)?;
        registry.register(
            &mut SourceFd(&socket.as_raw_fd()),
            Token(number),
            Interest::READABLE | Interest::WRITABLE,
        )?;
        let position = number * script / plan.connections;
        connections.push(Connection::new(socket, target, position));
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
    /// Hands out what is due, and sets the timer to what comes next.
    fn hand_out(&mut self, now: Instant, mut due: impl FnMut(usize, Instant)) -> io::Result<()> {
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
        Ok(())
    }
}

struct Driver<'a> {
    shared: Shared<'a>,
    connections: Vec<Connection>,
    arrivals: Option<Arrivals>,
    closed_at: Option<Instant>,
}

impl Driver<'_> {
    /// Tells whether an event is about a connection that has something to do. One has an
    /// event for its room to write as well, which it seldom waits for.
    fn is_for(&self, event: &Event) -> bool {
        let connection = self.connections.get(event.token().0);
        connection.is_some_and(|connection| event.is_readable() || connection.is_unsent())
    }

    /// True once all is done.
    fn turn(&mut self, ready: &[usize]) -> Result<bool, DriveError> {
        match self.serve(ready, Instant::now()) {
            // What cannot be told apart is a wrong reply like others.
            Err(DriveError::Wrong(what)) => {
                let outcome = Outcome::Wrong(what);
                self.shared
                    .meter
                    .record(Op::Get(0), Duration::ZERO, outcome);
                self.close(Instant::now())?;
                Ok(true)
            }
            served => served,
        }
    }

    fn serve(&mut self, ready: &[usize], now: Instant) -> Result<bool, DriveError> {
        let over = self.shared.meter.tick(now)?;
        if over && self.closed_at.is_none() {
            self.close(now)?;
        }
        self.arrive(now)?;
        for &number in ready {
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
    fn arrive(&mut self, now: Instant) -> Result<(), DriveError> {
        let (connections, shared) = (&mut self.connections, &mut self.shared);
        let Some(arrivals) = &mut self.arrivals else {
            return Ok(());
        };
        if shared.meter.is_spent() {
            return Ok(());
        }
        let mut served = Ok(());
        arrivals.hand_out(now, |connection, at| {
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
