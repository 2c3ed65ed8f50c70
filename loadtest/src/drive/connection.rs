//! One connection under load: what it is owed, what is due, what is unsent.

use std::collections::VecDeque;
use std::io::{self, Read as _, Write as _};
use std::time::Instant;

use socket2::Socket;

use super::DriveError;
use super::reply::Checker;
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
    socket: Socket,
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
    pub(super) fn new(socket: Socket, target: usize, position: usize) -> Self {
        Self {
            socket,
            target,
            position,
            checker: Checker::default(),
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

    /// Tells whether it waits for room to write.
    pub(super) fn is_unsent(&self) -> bool {
        !self.unsent.is_empty()
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
        loop {
            let bytes = match self.socket.read(&mut shared.scratch) {
                Ok(0) => return Err(DriveError::Closed),
                Ok(bytes) => bytes,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(now),
                Err(error) => return Err(DriveError::Io(error)),
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
            // A short read has emptied the socket: an event tells of more.
            if bytes < shared.scratch.len() {
                return Ok(now);
            }
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
        while self.sent < self.unsent.len() {
            match self.socket.write(&self.unsent[self.sent..]) {
                Ok(bytes) => self.sent += bytes,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(DriveError::Io(error)),
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
