//! One connection under load: what it is owed, what is due, what is unsent.

use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use super::DriveError;
use super::reply::Checker;
use crate::stream::Stream;
use crate::tally::{Meter, Outcome};
use crate::workload::{Keyspace, Op, Workload};

/// A request that was sent, and since when its latency counts.
#[derive(Debug, Clone, Copy)]
struct Owed {
    op: Op,
    since: Instant,
}

/// The state that all connections of a load share.
#[derive(Debug)]
pub(super) struct Shared<'a> {
    pub(super) workload: &'a Workload,
    pub(super) meter: Meter,
    pub(super) depth: usize,
    pub(super) is_open_loop: bool,
    pub(super) scratch: Box<[u8]>,
}

#[derive(Debug)]
pub(super) struct Connection {
    stream: Stream,
    waker: Waker,
    /// Number of the target that it is connected to.
    target: usize,
    /// The position in the script.
    position: usize,
    checker: Checker,
    owed: VecDeque<Owed>,
    /// Open loop: when requests were due that are not sent.
    due: VecDeque<Instant>,
    unsent: Vec<u8>,
    sent: usize,
}

impl Connection {
    pub(super) fn new(stream: Stream, waker: Waker, target: usize, position: usize) -> Self {
        Self {
            stream,
            waker,
            target,
            position,
            checker: Checker::new(),
            owed: VecDeque::new(),
            due: VecDeque::new(),
            unsent: Vec::new(),
            sent: 0,
        }
    }

    /// Makes a request due.
    pub(super) fn arrive(&mut self, at: Instant) {
        self.due.push_back(at);
    }

    /// Requests due or sent, and not answered.
    pub(super) fn outstanding(&self) -> usize {
        self.owed.len() + self.due.len()
    }

    pub(super) fn is_idle(&self) -> bool {
        self.owed.is_empty()
    }

    /// Reads what has come, sends what may be sent.
    pub(super) fn serve(
        &mut self,
        shared: &mut Shared<'_>,
        now: Instant,
    ) -> Result<(), DriveError> {
        let now = self.read(shared, now)?;
        self.ask(shared, now);
        self.write()
    }

    /// Reads until there is no more; says when it last did.
    fn read(&mut self, shared: &mut Shared<'_>, mut now: Instant) -> Result<Instant, DriveError> {
        let mut cx = Context::from_waker(&self.waker);
        loop {
            let bytes = match self.stream.poll_read_slice(&mut cx, &mut shared.scratch) {
                Poll::Pending => return Ok(now),
                Poll::Ready(Ok(0)) => return Err(DriveError::Closed),
                Poll::Ready(Ok(bytes)) => bytes,
                Poll::Ready(Err(error)) => return Err(DriveError::Io(error)),
            };
            now = Instant::now();
            let keyspace = &shared.workload.keyspaces[self.target];
            let input = &shared.scratch[..bytes];
            take(
                &mut self.checker,
                &mut self.owed,
                keyspace,
                input,
                |owed, outcome| {
                    shared.meter.record(owed.op, now - owed.since, outcome);
                },
            )?;
        }
    }

    /// Prepares as many requests as the depth and the load leave room for.
    fn ask(&mut self, shared: &mut Shared<'_>, now: Instant) {
        let keyspace = &shared.workload.keyspaces[self.target];
        while self.owed.len() < shared.depth {
            let since = if shared.is_open_loop {
                self.due.front().copied()
            } else {
                Some(now)
            };
            let Some(since) = since else { return };
            if !shared.meter.admit() {
                return;
            }
            self.due.pop_front();
            let op = shared.workload.script[self.position];
            self.position = (self.position + 1) % shared.workload.script.len();
            self.unsent.extend_from_slice(keyspace.request(op));
            self.owed.push_back(Owed { op, since });
        }
    }

    fn write(&mut self) -> Result<(), DriveError> {
        let mut cx = Context::from_waker(&self.waker);
        while self.sent < self.unsent.len() {
            match self
                .stream
                .poll_write_slice(&mut cx, &self.unsent[self.sent..])
            {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(bytes)) => self.sent += bytes,
                Poll::Ready(Err(error)) => return Err(DriveError::Io(error)),
            }
        }
        self.unsent.clear();
        self.sent = 0;
        Ok(())
    }
}

/// Matches what came with what was owed.
fn take(
    checker: &mut Checker,
    owed: &mut VecDeque<Owed>,
    keyspace: &Keyspace,
    mut input: &[u8],
    mut answered: impl FnMut(Owed, Outcome),
) -> Result<(), DriveError> {
    while !input.is_empty() {
        let Some(first) = owed.front().copied() else {
            return Err(DriveError::unasked(input));
        };
        let (bytes, outcome) = checker.feed(keyspace, first.op, input)?;
        input = &input[bytes..];
        if let Some(outcome) = outcome {
            owed.pop_front();
            answered(first, outcome);
        }
    }
    Ok(())
}
