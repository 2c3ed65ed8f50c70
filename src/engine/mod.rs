//! The data path of one worker, without input or output: bytes of clients and
//! upstreams go in, bytes for them come out. Opens no socket, reads no clock,
//! spawns nothing, locks nothing.
//!
//! Call order, each turn: [`Engine::set_now`]; then [`Engine::client_input`]
//! and [`Engine::lane_input`] for whatever was read; then write what
//! [`Upstream::lane`] has unwritten, and what [`Engine::pop_dirty`] names.

mod adopt;
mod counts;
mod dispatch;
mod downstream;
mod identify;
mod listener;
mod meta;
mod notes;
mod pool;
mod settings;
mod statistics;
mod steps;
mod ticket;
mod upstream;
mod value;
mod who;

use std::collections::HashMap;
use std::sync::Arc;

pub use counts::families::{Families, Family};
pub use counts::fills::{Fills, WINDOW_US as FILL_WINDOW_US};
pub use counts::{
    ByReason, Closed, Direction, Invalidation, LATENCY_BOUNDS_US, Latencies, Outcome, PROTOCOLS,
    RequestCounts, Split, Tally, Untagged,
};
pub use downstream::{MAX_BACKLOG, MAX_IN_FLIGHT, MAX_UNSENT, Session};
pub use listener::{ListenerId, ListenerIds};
pub use settings::Settings;
pub use ticket::Ticket;
pub use upstream::server::{LaneId, MetaCommands, Upstream};
pub use upstream::{Lane, Overdue, PIECE_TIMEOUTS, UpstreamCounts};
pub use value::apart::{Apart, Job, Judge, Judged};
pub use value::{Action, Foreseen, Inline, Shown, Writer, foresee_read, foresee_write};
pub use who::Known;

use counts::fills::FillMemory;
use dispatch::{Dispatch, Taken};
use downstream::Sessions;
use downstream::life::Life;
use notes::Kind;
use steps::Next;
use upstream::Target;

use crate::policy::Told;
use crate::protocol::key::KeyBuf;
use crate::protocol::reply::ReplyError;
use crate::protocol::request::{Line, find_line, parse_head};

/// The first byte of whatever speaks the binary protocol, which no text begins with.
const BINARY_MAGIC: u8 = 0x80;

/// Clients and lanes of one worker.
#[derive(Debug)]
pub struct Engine {
    settings: Settings,
    sessions: Sessions,
    /// Those of the snapshot's servers.
    lanes: Vec<Upstream>,
    /// How many lanes there were.
    made_lanes: u64,
    /// The first lane of each of the snapshot's servers.
    groups: Vec<usize>,
    /// Since when no further request is taken, by the steady clock.
    held_since_us: Option<u64>,
    /// What may be held for all clients before nothing more is taken for those that are
    /// owed much.
    max_buffered_bytes: usize,
}

/// Who holds less is never given up for what all hold: what one read of a client brings.
const READ_BYTES: usize = 64 << 10;
/// What an engine may hold unless it is told otherwise.
const MAX_BUFFERED_BYTES: usize = 64 << 20;

impl Engine {
    /// An engine with a group of lanes to each server: one for each connection,
    /// then the one for large values. `fills` is shared by all engines of the
    /// process.
    pub fn new(settings: Settings, fills: Arc<Fills>) -> Self {
        let fills = FillMemory::new(fills, &settings.snapshot.namespaces);
        let sessions = Sessions::new(&settings, fills);
        let mut engine = Self {
            settings,
            sessions,
            lanes: Vec::new(),
            made_lanes: 0,
            groups: Vec::new(),
            held_since_us: None,
            max_buffered_bytes: MAX_BUFFERED_BYTES,
        };
        engine.group_lanes();
        engine
    }

    /// What it works by.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Sets the engine's clock, in microseconds since any fixed point.
    pub fn set_now(&mut self, us: u64) {
        self.sessions.set_now(us);
        self.sessions.pool.tidy(us);
        self.sessions.looker.begin_turn();
        let waiting: usize = self.lanes.iter().map(|upstream| upstream.lane.held()).sum();
        let crowded = waiting >= self.max_buffered_bytes / 2;
        for upstream in &mut self.lanes {
            upstream.lane.crowded = crowded;
        }
    }

    // Memory ---------------------------------------------------------------

    /// Bounds what may be held for all clients.
    pub fn bound(&mut self, max_buffered_bytes: usize) {
        self.max_buffered_bytes = max_buffered_bytes;
    }

    /// Bytes that are held for all clients: what they sent and what they are owed.
    pub fn buffered(&self) -> usize {
        let lanes: usize = self.lanes.iter().map(|upstream| upstream.lane.held()).sum();
        lanes + self.sessions.held + self.sessions.asking_bytes
    }

    /// Whether that is as much as may be.
    pub fn is_full(&self) -> bool {
        self.buffered() >= self.max_buffered_bytes
    }

    /// Whether a lane may be read: while too much is held, not where the next reply is
    /// for somebody who is owed much already.
    pub fn may_read(&mut self, lane: usize) -> bool {
        if !self.is_full() {
            return true;
        }
        let next = self.lanes[lane].lane.next_ticket();
        let is_owed_much =
            next.is_some_and(|ticket| self.session(ticket.client).backlog() >= MAX_UNSENT);
        if is_owed_much {
            self.lanes[lane].lane.excuse(self.sessions.steady_us);
        }
        !is_owed_much
    }

    /// Who holds much, most first: those with half a request among them.
    pub fn holders(&self) -> Vec<(usize, u32)> {
        let mut asking: HashMap<u32, usize> = HashMap::new();
        for (ticket, rest) in &self.sessions.asking {
            *asking.entry(ticket.client).or_default() += rest.held();
        }
        let all = self.sessions();
        let mut holders: Vec<_> = all
            .map(|(id, session)| {
                let asking = asking.get(&id).copied().unwrap_or_default();
                (session.backlog() + session.inbox.len() + asking, id)
            })
            .filter(|(bytes, _)| *bytes >= READ_BYTES)
            .collect();
        holders.sort_unstable_by(|a, b| b.cmp(a));
        holders
    }

    /// What was counted so far.
    pub fn tally(&self) -> &Tally {
        &self.sessions.tally
    }

    /// What is done with which keys.
    pub fn families(&self) -> &Families {
        &self.sessions.families
    }

    /// Takes what is worth a line in the log.
    pub fn take_notes(&mut self) -> Vec<String> {
        let mut notes = self.sessions.looker.take_notes();
        notes.append(&mut self.sessions.notes.take());
        notes
    }

    // Clients --------------------------------------------------------------

    /// Adds a client of a listener, with what is known of it; gives its number.
    pub fn open(&mut self, listener: ListenerId, told: impl Into<Told>) -> u32 {
        self.sessions.insert(listener, told.into(), &self.settings)
    }

    /// All clients.
    pub fn sessions(&self) -> impl ExactSizeIterator<Item = (u32, &Session)> {
        self.sessions
            .slab
            .iter()
            .map(|(id, session)| (id as u32, session))
    }

    /// The session of a client.
    pub fn session(&self, client: u32) -> &Session {
        &self.sessions.slab[client as usize]
    }

    /// Takes bytes that a client sent.
    pub fn client_input(&mut self, client: u32, input: &[u8]) {
        let session = self.sessions.get(client);
        if !session.has_spoken && !input.is_empty() {
            session.has_spoken = true;
            if input[0] == BINARY_MAGIC {
                return self.refuse_binary(client);
            }
        }
        if self.session(client).inbox.is_empty() {
            let taken = self.take(client, input, false);
            let rest = &input[taken..];
            if rest.is_empty() {
                return;
            }
            let Sessions {
                slab, pool, held, ..
            } = &mut self.sessions;
            let session = &mut slab[client as usize];
            if !session.is_closing() {
                session.inbox = pool.take();
                session.inbox.reserve(session.need.max(rest.len()));
                session.inbox.extend_from_slice(rest);
                session.count_held(held);
            }
            return;
        }
        let Sessions { slab, held, .. } = &mut self.sessions;
        let session = &mut slab[client as usize];
        session.inbox.extend_from_slice(input);
        session.count_held(held);
        if session.inbox.len() >= session.need {
            self.go_on(client, false);
        }
    }

    /// Closes a connection that speaks the binary protocol: its client would wait for
    /// an answer, and what it sends could hold lines of text.
    #[cold]
    fn refuse_binary(&mut self, client: u32) {
        self.sessions.hang_up(client, Closed::Binary);
        self.sessions.mark_dirty(client);
        let listener = self.session(client).listener;
        let name = self.settings.listener_name(listener);
        let now_us = self.sessions.now_us;
        self.sessions.notes.note(Kind::Binary, now_us, || {
            format!("client closed: it speaks the binary protocol, which is not served (listener {name})")
        });
    }

    /// Works on what a client sent before; `has_waited` if others came first.
    fn go_on(&mut self, client: u32, has_waited: bool) {
        let mut inbox = std::mem::take(&mut self.sessions.get(client).inbox);
        let taken = self.take(client, &inbox, has_waited);
        let Sessions {
            slab, pool, held, ..
        } = &mut self.sessions;
        let session = &mut slab[client as usize];
        if taken < inbox.len() && !session.is_closing() {
            inbox.drain(..taken);
            session.inbox = inbox;
        } else {
            pool.give(inbox);
        }
        session.count_held(held);
        let session = self.session(client);
        if (session.has_ended() || session.is_leaving() && taken > 0) && !session.paused {
            self.client_eof(client);
        }
    }

    /// Takes whole requests off the input; gives the number of bytes taken. A change
    /// behind reads of its client's waits until those of other clients have joined
    /// them, unless it `has_waited` already.
    fn take(&mut self, client: u32, input: &[u8], mut has_waited: bool) -> usize {
        let mut at = 0;
        let now_us = self.sessions.now_us;
        loop {
            let session = self.sessions.get(client);
            session.need = 0;
            if session.swallow > 0 {
                let dropped = session.swallow.min(input.len() - at);
                let is_body = ends_body(&input[at..at + dropped], session.swallow);
                session.swallow -= dropped;
                at += dropped;
                if !is_body {
                    // It was of another length: what follows may be the rest of it.
                    self.sessions.hang_up(client, Closed::BadRequest);
                }
            }
            let session = self.sessions.get(client);
            if session.is_closing() {
                // It may be owed nothing that would bring it up.
                self.sessions.mark_dirty(client);
                break;
            }
            if at == input.len() {
                break;
            }
            if session.is_full() || self.held_since_us.is_some() {
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
                    let reply = b"CLIENT_ERROR line too long";
                    let verb = crate::protocol::request::Verb::Other;
                    self.sessions.answer(client, verb, Outcome::Error, reply);
                    self.sessions.hang_up(client, Closed::BadRequest);
                    break;
                }
                Line::Whole { text, total } => {
                    let mut decoded = KeyBuf::new();
                    let head = parse_head(&rest[..text], &mut decoded);
                    if !session.may_go(head.body_len(), now_us) {
                        break;
                    }
                    let mut dispatch = self.dispatch(client);
                    if !has_waited && dispatch.ends_shared_line(&head) {
                        self.sessions.get(client).paused = true;
                        self.sessions.mark_dirty(client);
                        break;
                    }
                    has_waited = false;
                    match dispatch.take(&head, &rest[total..]) {
                        Taken::Body(body) => at += total + body,
                        Taken::Needs(body) => {
                            self.sessions.get(client).need = total + body;
                            break;
                        }
                        Taken::Waits => {
                            self.sessions.get(client).paused = true;
                            break;
                        }
                    }
                }
            }
        }
        // A server that is down answered at once.
        self.go_on_with_changes();
        at
    }

    fn dispatch(&mut self, client: u32) -> Dispatch<'_> {
        Dispatch {
            snapshot: &self.settings.snapshot,
            sessions: &mut self.sessions,
            lanes: &mut self.lanes,
            client,
            connections: self.settings.connections,
            groups: &self.groups,
            settings: &self.settings,
            is_anybody: false,
        }
    }

    /// The client may take more of what it is owed.
    pub fn client_touch(&mut self, client: u32) {
        self.sessions.mark_dirty(client);
    }

    /// The client sends no more: what it asked for is still answered.
    pub fn client_eof(&mut self, client: u32) {
        let session = self.sessions.get(client);
        // What waits in the inbox of a paused client is still to be taken.
        session.come_to(if session.paused {
            Life::Ended
        } else {
            Life::Closing
        });
        self.sessions.mark_dirty(client);
    }

    /// Asks a client to go that has sent nothing more for now: a request that is
    /// half here is still taken, and none after it.
    pub fn client_leave(&mut self, client: u32) {
        let session = self.sessions.get(client);
        if session.inbox.is_empty() && session.swallow == 0 {
            self.client_eof(client);
        } else {
            session.come_to(Life::Leaving);
        }
    }

    /// The client is gone.
    pub fn client_gone(&mut self, client: u32) {
        self.sessions.abort(client);
    }

    /// Gives up on a client: nothing more is sent to it.
    pub fn give_up(&mut self, client: u32, why: Closed) {
        self.sessions.give_up(client, why);
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
        if self.session(client).holds_up() {
            for ticket in self.sessions.waiting_to_ask(client) {
                self.dispatch(client).ask_rest(ticket);
            }
            self.go_on_with_changes();
        }
        let session = self.sessions.get(client);
        if !session.paused || session.is_full() || self.held_since_us.is_some() {
            return false;
        }
        session.paused = false;
        self.go_on(client, true);
        !self.session(client).paused
    }

    /// Forgets a client that [`Session::is_finished`].
    pub fn close(&mut self, client: u32) {
        self.sessions.remove(client);
    }

    // Statistics -----------------------------------------------------------

    /// Takes a slot that waits for the statistics of the whole process, of which the
    /// engine knows a part only: [`Engine::answer`] is owed to it.
    pub fn pop_question(&mut self) -> Option<Ticket> {
        let ticket = self.sessions.questions.pop()?;
        self.sessions.unanswered += 1;
        Some(ticket)
    }

    /// Answers it with `STAT` lines.
    pub fn answer(&mut self, ticket: Ticket, lines: &[u8]) {
        self.sessions.unanswered -= 1;
        self.sessions.bytes(ticket, &[lines, b"END\r\n"]);
        self.sessions.count_slot(ticket, Outcome::Ok);
        self.sessions.finish(ticket);
    }

    // Looks apart ----------------------------------------------------------

    /// Takes what is to be looked at apart: [`Engine::judged`] is owed for each.
    pub fn take_jobs(&mut self) -> Vec<Job> {
        self.sessions.jobs.take_new()
    }

    /// What came of one of them.
    pub fn judged(&mut self, judged: Judged) {
        self.sessions.judged(judged);
        self.go_on_with_changes();
    }

    /// How many values were looked at apart, or are, and the bytes of those that are.
    pub fn apart(&self) -> (u64, usize) {
        (self.sessions.jobs.count(), self.sessions.jobs.bytes())
    }

    // Lanes ----------------------------------------------------------------

    /// All lanes, those of one server after those of another.
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
        while let Some(next) = self.sessions.steps.pop() {
            match next {
                Next::Change(ticket, step, change) => {
                    self.dispatch(ticket.client).step(ticket, step, change);
                }
                Next::Through(ticket, key, on_miss, next) => {
                    self.dispatch(ticket.client)
                        .read_through(ticket, key, on_miss, next);
                }
                Next::Ask(ticket) => self.dispatch(ticket.client).ask_rest(ticket),
                Next::Late(change) => self.finish_late(&change),
                Next::ThroughMeta(ticket, key, meta, flags) => {
                    self.dispatch(ticket.client)
                        .ask_on(ticket, key, meta, flags);
                }
            }
        }
    }

    /// Deletes the siblings of a change that took effect too late for its client.
    fn finish_late(&mut self, change: &steps::Stepwise) {
        let upstream = &mut self.lanes[change.lane];
        if upstream.refusal().is_some() {
            upstream.refused += 1;
            return;
        }
        let codec = &self.settings.snapshot.codec;
        for space in codec.spaces().filter(|&space| space != change.own) {
            let target = Target {
                codec,
                space,
                key: &change.key,
                base64: change.base64,
            };
            upstream
                .lane
                .delete_copy(&mut self.sessions, None, target, None);
        }
    }

    /// A lane's connection is there, to a server that understands so much. Stores that
    /// waited for it and that this server would take for commands are refused.
    pub fn lane_connected(&mut self, lane: usize, meta: MetaCommands) {
        let upstream = &mut self.lanes[lane];
        upstream.down = None;
        upstream.wants_login = false;
        upstream.meta = meta;
        if meta == MetaCommands::Unknown {
            let error = upstream.error("knows no meta commands");
            upstream.lane.refuse_meta_stores(&mut self.sessions, &error);
            self.go_on_with_changes();
        }
    }

    /// Whether an upstream owes something and is not worth waiting for, if a request
    /// may take so long.
    pub fn overdue(&self, lane: usize, timeout_us: u64) -> Option<Overdue> {
        let lane = &self.lanes[lane].lane;
        lane.overdue(self.sessions.steady_us, timeout_us)
    }

    /// Answers for requests that a lane did not answer within their time.
    pub fn expire(&mut self, lane: usize, timeout_us: u64) {
        let upstream = &mut self.lanes[lane];
        if !upstream.lane.is_due(self.sessions.steady_us, timeout_us) {
            return;
        }
        let why = format!("timed out after {} ms", timeout_us / 1000);
        let error = upstream.error(&why);
        upstream.lane.expire(&mut self.sessions, timeout_us, &error);
        self.go_on_with_changes();
    }

    /// A lane's connection is gone: what was owed on it is answered with an
    /// error, but for reads that are worth another try if `retry` says so.
    pub fn lane_lost(&mut self, lane: usize, why: &str, retry: bool) {
        let upstream = &mut self.lanes[lane];
        let error = upstream.error(why);
        if upstream.wants_login {
            upstream.lane.fail_reads();
        }
        upstream.lane.reset(&mut self.sessions, &error, retry);
        self.go_on_with_changes();
    }
}

/// Whether the end of a refused body, of which `left` bytes were still to come, is
/// where it was said to be, as far as it is among the bytes `dropped` of it.
fn ends_body(dropped: &[u8], left: usize) -> bool {
    let is = |from_end: usize, byte: u8| {
        let at = left.checked_sub(from_end);
        let found = at.and_then(|at| dropped.get(at));
        found.is_none_or(|&found| found == byte)
    };
    is(2, b'\r') && is(1, b'\n')
}
