//! The data path of one worker, without input or output: bytes of clients and
//! upstreams go in, bytes for them come out. Opens no socket, reads no clock,
//! spawns nothing, locks nothing.
//!
//! Call order, each turn: [`Engine::set_now`]; then [`Engine::client_input`]
//! and [`Engine::lane_input`] for whatever was read; then write what
//! [`Upstream::lane`] has unwritten, and what [`Engine::pop_dirty`] names.

mod change;
mod dispatch;
mod lane;
mod look;
mod meta;
mod pool;
mod session;
mod tally;
mod upstream;

use std::sync::Arc;

pub use lane::Lane;
pub use session::{MAX_BACKLOG, MAX_IN_FLIGHT, MAX_UNSENT, Session};
pub use tally::{
    Action, ByReason, Direction, Invalidation, LATENCY_BOUNDS_US, LatencyBucket, Outcome,
    PROTOCOLS, Tally, Writer,
};

pub use upstream::{Upstream, UpstreamCounts};

use dispatch::{Dispatch, Taken};
use session::Sessions;

use crate::policy::{Identity, Snapshot};
use crate::protocol::key::KeyBuf;
use crate::protocol::reply::ReplyError;
use crate::protocol::request::{Line, find_line, parse_head};

/// Clients and lanes of one worker.
#[derive(Debug)]
pub struct Engine {
    snapshot: Arc<Snapshot>,
    sessions: Sessions,
    lanes: Vec<Upstream>,
    connections: usize,
}

impl Engine {
    /// An engine with lanes for `connections` connections to each of the
    /// snapshot's servers (their names, in order), with one more for large values
    /// to each, and counters for `origins` pairs of listener and namespace.
    pub fn new(
        snapshot: Arc<Snapshot>,
        servers: &[String],
        connections: usize,
        origins: usize,
    ) -> Self {
        let lanes = servers
            .iter()
            .flat_map(|server| std::iter::repeat_n(server, connections))
            .chain(servers)
            .map(|server| Upstream::new(server))
            .collect();
        let tally = Tally::new(origins, snapshot.codec.spaces().len());
        let sessions = Sessions::new(tally, Arc::clone(&snapshot));
        Self {
            snapshot,
            sessions,
            lanes,
            connections,
        }
    }

    /// Sets the engine's clock, in microseconds since any fixed point.
    pub fn set_now(&mut self, us: u64) {
        self.sessions.now_us = us;
    }

    /// What was counted so far.
    pub fn tally(&self) -> &Tally {
        &self.sessions.tally
    }

    /// Takes what is worth a line in the log.
    pub fn take_notes(&mut self) -> Vec<String> {
        self.sessions.looker.take_notes()
    }

    // Clients --------------------------------------------------------------

    /// Adds a client; gives its number.
    pub fn open(&mut self, identity: Identity, origin: usize) -> u32 {
        self.sessions.insert(identity, origin)
    }

    /// The session of a client.
    pub fn session(&self, client: u32) -> &Session {
        &self.sessions.slab[client as usize]
    }

    /// Takes bytes that a client sent.
    pub fn client_input(&mut self, client: u32, input: &[u8]) {
        if self.session(client).inbox.is_empty() {
            let taken = self.take(client, input);
            let rest = &input[taken..];
            if rest.is_empty() {
                return;
            }
            let Sessions { slab, pool, .. } = &mut self.sessions;
            let session = &mut slab[client as usize];
            if !session.closing {
                session.inbox = pool.take();
                session.inbox.reserve(session.need.max(rest.len()));
                session.inbox.extend_from_slice(rest);
            }
            return;
        }
        let session = self.sessions.get(client);
        session.inbox.extend_from_slice(input);
        if session.inbox.len() >= session.need {
            self.go_on(client);
        }
    }

    /// Works on what a client sent before.
    fn go_on(&mut self, client: u32) {
        let mut inbox = std::mem::take(&mut self.sessions.get(client).inbox);
        let taken = self.take(client, &inbox);
        let session = self.sessions.get(client);
        if taken < inbox.len() && !session.closing {
            inbox.drain(..taken);
            session.inbox = inbox;
        } else {
            self.sessions.pool.give(inbox);
        }
        let session = self.session(client);
        if session.eof && !session.paused {
            self.client_eof(client);
        }
    }

    /// Takes whole requests off the input; gives the number of bytes taken.
    fn take(&mut self, client: u32, input: &[u8]) -> usize {
        let mut at = 0;
        let now_us = self.sessions.now_us;
        loop {
            let session = self.sessions.get(client);
            session.need = 0;
            let swallowed = session.swallow.min(input.len() - at);
            session.swallow -= swallowed;
            at += swallowed;
            if session.closing {
                // It may be owed nothing that would bring it up.
                self.sessions.mark_dirty(client);
                break;
            }
            if at == input.len() {
                break;
            }
            if session.is_full() {
                session.paused = true;
                break;
            }
            let rest = &input[at..];
            // What was searched before is at the start of the input.
            let searched = std::mem::take(&mut session.searched);
            match find_line(rest, searched) {
                Line::Partial => {
                    session.searched = rest.len();
                    break;
                }
                Line::TooLong => {
                    session.closing = true;
                    let reply = b"CLIENT_ERROR line too long";
                    let verb = crate::protocol::request::Verb::Other;
                    self.sessions.answer(client, verb, Outcome::Error, reply);
                    break;
                }
                Line::Whole { text, total } => {
                    let mut decoded = KeyBuf::new();
                    let head = parse_head(&rest[..text], &mut decoded);
                    if !session.may_go(head.body_len(), now_us) {
                        break;
                    }
                    let mut dispatch = self.dispatch(client);
                    match dispatch.take(&head, &rest[total..]) {
                        Taken::Body(body) => at += total + body,
                        Taken::Needs(body) => {
                            self.sessions.get(client).need = total + body;
                            break;
                        }
                    }
                }
            }
        }
        at
    }

    fn dispatch(&mut self, client: u32) -> Dispatch<'_> {
        Dispatch {
            snapshot: &self.snapshot,
            sessions: &mut self.sessions,
            lanes: &mut self.lanes,
            client,
            connections: self.connections,
        }
    }

    /// The client may take more of what it is owed.
    pub fn client_touch(&mut self, client: u32) {
        self.sessions.mark_dirty(client);
    }

    /// The client sends no more: what it asked for is still answered.
    pub fn client_eof(&mut self, client: u32) {
        let session = self.sessions.get(client);
        session.eof = true;
        // What waits in the inbox of a paused client is still to be taken.
        session.closing |= !session.paused;
        self.sessions.mark_dirty(client);
    }

    /// The client is gone.
    pub fn client_gone(&mut self, client: u32) {
        self.sessions.abort(client);
    }

    /// A client with something to send, to close or to read on; each once.
    pub fn pop_dirty(&mut self) -> Option<u32> {
        self.sessions.pop_dirty()
    }

    /// Bytes were sent to a client.
    pub fn client_sent(&mut self, client: u32, bytes: usize) {
        self.sessions.sent(client, bytes);
    }

    /// Goes on with a client that was paused, if it has room again; says
    /// whether it did.
    pub fn resume(&mut self, client: u32) -> bool {
        let session = self.sessions.get(client);
        if !session.paused || session.is_full() {
            return false;
        }
        session.paused = false;
        self.go_on(client);
        !self.session(client).paused
    }

    /// Forgets a client that [`Session::is_finished`].
    pub fn close(&mut self, client: u32) {
        self.sessions.remove(client);
    }

    // Lanes ----------------------------------------------------------------

    /// All lanes: those of the first server, those of the second, ..., then one
    /// for the large values of each.
    pub fn lanes(&self) -> &[Upstream] {
        &self.lanes
    }

    /// One lane.
    pub fn lane(&mut self, lane: usize) -> &mut Upstream {
        &mut self.lanes[lane]
    }

    /// Takes bytes that an upstream sent.
    ///
    /// # Errors
    /// They are no replies to what was asked: the connection must be dropped
    /// and [`Engine::lane_lost`] called.
    pub fn lane_input(&mut self, lane: usize, input: &[u8]) -> Result<(), ReplyError> {
        let result = self.lanes[lane].lane.receive(&mut self.sessions, input);
        self.go_on_with_changes();
        result
    }

    /// Sends the next steps of changes that need more than one.
    fn go_on_with_changes(&mut self) {
        while let Some((ticket, step, change)) = self.sessions.steps.pop() {
            self.dispatch(ticket.client).step(ticket, step, change);
        }
    }

    /// A lane's connection is gone: what was owed on it is answered with an
    /// error, but for reads that are worth another try if `retry` says so.
    pub fn lane_lost(&mut self, lane: usize, why: &str, retry: bool) {
        let upstream = &mut self.lanes[lane];
        let error = upstream.error(why);
        upstream.lane.reset(&mut self.sessions, &error, retry);
        self.go_on_with_changes();
    }
}
