//! The data path of one worker, without input or output: bytes of clients and
//! upstreams go in, bytes for them come out. Opens no socket, reads no clock,
//! spawns nothing, locks nothing.
//!
//! Call order, each turn: [`Engine::set_now`]; then [`Engine::client_input`]
//! and [`Engine::lane_input`] for whatever was read; then write what
//! [`Upstream::lane`] has unwritten, and what [`Engine::pop_dirty`] names.

mod adopt;
mod context;
mod counts;
mod dispatch;
mod downstream;
mod identify;
mod lanes;
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
mod words;

use std::collections::HashMap;
use std::sync::Arc;

pub use counts::families::{Families, Family};
pub use counts::fills::{Fills, WINDOW_US as FILL_WINDOW_US};
pub use counts::{
    ByReason, Closed, Counts, Direction, Invalidation, Kinds, LATENCY_BOUNDS_US, Latencies,
    ListenerCounts, Outcome, PROTOCOLS, RequestCounts, Split, Untagged,
};
pub use downstream::{MAX_BACKLOG, MAX_IN_FLIGHT, MAX_UNSENT, Session};
pub use listener::{ListenerId, ListenerIds};
pub use settings::Settings;
pub use ticket::Ticket;
pub use upstream::server::{LaneId, MetaCommands, Upstream};
pub use upstream::{Lane, Overdue, PIECE_TIMEOUTS, UpstreamCounts};
pub use value::apart::{Apart, Job, JobDone, JobRunner};
pub use value::{Action, Foreseen, Inline, Shown, Writer, foresee_read, foresee_write};
pub use who::Known;

use counts::fills::FillMemory;
use dispatch::{Dispatch, Taken};
use downstream::life::Life;
use downstream::{Clients, Downstream};
use notes::Kind;

use crate::policy::Told;
use crate::protocol::key::KeyBuf;
use crate::protocol::request::{Line, Verb, find_line, parse_head};

/// The first byte of whatever speaks the binary protocol, which no text begins with.
const BINARY_MAGIC: u8 = 0x80;

/// Clients and lanes of one worker.
#[derive(Debug)]
pub struct Engine {
    settings: Settings,
    downstream: Downstream,
    /// Lanes of the snapshot's servers.
    lanes: Vec<Upstream>,
    /// Number of lanes made so far.
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
/// Bytes that an engine may hold unless it is told otherwise.
const MAX_BUFFERED_BYTES: usize = 64 << 20;

impl Engine {
    /// An engine with a group of lanes to each server: one for each connection,
    /// then the one for large values. `fills` is shared by all engines of the
    /// process.
    pub fn new(settings: Settings, fills: Arc<Fills>) -> Self {
        let fills = FillMemory::new(fills, &settings.snapshot.namespaces);
        let downstream = Downstream::new(&settings, fills);
        let mut engine = Self {
            settings,
            downstream,
            lanes: Vec::new(),
            made_lanes: 0,
            groups: Vec::new(),
            held_since_us: None,
            max_buffered_bytes: MAX_BUFFERED_BYTES,
        };
        engine.group_lanes();
        engine
    }

    /// The settings in force.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Sets the engine's clock, in microseconds since any fixed point.
    pub fn set_now(&mut self, us: u64) {
        self.downstream.context.clock.set(us);
        self.downstream.context.pool.tidy(us);
        self.downstream.context.judge.begin_turn();
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
        lanes + self.downstream.clients.held + self.downstream.clients.asking_bytes
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
            self.lanes[lane]
                .lane
                .excuse(self.downstream.context.clock.steady_us);
        }
        !is_owed_much
    }

    /// Clients for whom much is held, most first: those with half a request among them.
    pub fn holders(&self) -> Vec<(usize, u32)> {
        let mut asking: HashMap<u32, usize> = HashMap::new();
        for (ticket, rest) in &self.downstream.clients.asking {
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

    /// All counts since the settings were adopted.
    pub fn counts(&self) -> &Counts {
        &self.downstream.context.counts
    }

    /// Counts by families of keys.
    pub fn families(&self) -> &Families {
        &self.downstream.context.families
    }

    /// Takes what is worth a line in the log.
    pub fn take_notes(&mut self) -> Vec<String> {
        self.downstream.context.take_notes()
    }

    // Clients --------------------------------------------------------------

    /// Adds a client of a listener, with what is known of it; gives its number.
    pub fn open(&mut self, listener: ListenerId, told: impl Into<Told>) -> u32 {
        self.downstream
            .insert(listener, told.into(), &self.settings)
    }

    /// All clients.
    pub fn sessions(&self) -> impl ExactSizeIterator<Item = (u32, &Session)> {
        self.downstream
            .clients
            .slab
            .iter()
            .map(|(id, session)| (id as u32, session))
    }

    /// The session of a client.
    pub fn session(&self, client: u32) -> &Session {
        &self.downstream.clients.slab[client as usize]
    }

    /// Takes bytes that a client sent.
    pub fn client_input(&mut self, client: u32, input: &[u8]) {
        let session = self.downstream.clients.get(client);
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
            let Downstream { clients, context } = &mut self.downstream;
            let session = &mut clients.slab[client as usize];
            if !session.is_closing() {
                session.inbox = context.pool.take();
                session.inbox.reserve(session.need.max(rest.len()));
                session.inbox.extend_from_slice(rest);
                session.count_held(&mut clients.held);
            }
            return;
        }
        let Clients { slab, held, .. } = &mut self.downstream.clients;
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
        self.downstream.hang_up(client, Closed::Binary);
        self.downstream.clients.mark_dirty(client);
        let listener = self.session(client).listener;
        let name = self.settings.listener_name(listener);
        self.downstream.context.note(Kind::Binary, || {
            format!("client closed: it speaks the binary protocol, which is not served (listener {name})")
        });
    }

    /// Works on what a client sent before; `has_waited` if others came first.
    fn go_on(&mut self, client: u32, has_waited: bool) {
        let mut inbox = std::mem::take(&mut self.downstream.clients.get(client).inbox);
        let taken = self.take(client, &inbox, has_waited);
        let Downstream { clients, context } = &mut self.downstream;
        let session = &mut clients.slab[client as usize];
        if taken < inbox.len() && !session.is_closing() {
            inbox.drain(..taken);
            session.inbox = inbox;
        } else {
            context.pool.give(inbox);
        }
        session.count_held(&mut clients.held);
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
        let now_us = self.downstream.context.clock.now_us;
        loop {
            let session = self.downstream.clients.get(client);
            session.need = 0;
            if session.swallow > 0 {
                let dropped = session.swallow.min(input.len() - at);
                let is_body = ends_body(&input[at..at + dropped], session.swallow);
                session.swallow -= dropped;
                at += dropped;
                if !is_body {
                    // It was of another length: what follows may be the rest of it.
                    self.downstream.hang_up(client, Closed::BadRequest);
                }
            }
            let session = self.downstream.clients.get(client);
            if session.is_closing() {
                // It may be owed nothing that would bring it up.
                self.downstream.clients.mark_dirty(client);
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
                    self.dispatch(client)
                        .answer(Verb::Other, Outcome::Error, reply);
                    self.downstream.hang_up(client, Closed::BadRequest);
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
                        self.downstream.clients.get(client).paused = true;
                        self.downstream.clients.mark_dirty(client);
                        break;
                    }
                    has_waited = false;
                    match dispatch.take(&head, &rest[total..]) {
                        Taken::Body(body) => at += total + body,
                        Taken::Needs(body) => {
                            self.downstream.clients.get(client).need = total + body;
                            break;
                        }
                        Taken::Waits => {
                            self.downstream.clients.get(client).paused = true;
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
            downstream: &mut self.downstream,
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
        self.downstream.clients.mark_dirty(client);
    }

    /// The client sends no more: what it asked for is still answered.
    pub fn client_eof(&mut self, client: u32) {
        let session = self.downstream.clients.get(client);
        // What waits in the inbox of a paused client is still to be taken.
        session.come_to(if session.paused {
            Life::Ended
        } else {
            Life::Closing
        });
        self.downstream.clients.mark_dirty(client);
    }

    /// Asks a client to go that has sent nothing more for now: a request that is
    /// half here is still taken, and none after it.
    pub fn client_leave(&mut self, client: u32) {
        let session = self.downstream.clients.get(client);
        if session.inbox.is_empty() && session.swallow == 0 {
            self.client_eof(client);
        } else {
            session.come_to(Life::Leaving);
        }
    }

    /// The client is gone.
    pub fn client_gone(&mut self, client: u32) {
        self.downstream.abort(client);
    }

    /// Gives up on a client: nothing more is sent to it.
    pub fn give_up(&mut self, client: u32, why: Closed) {
        self.downstream.give_up(client, why);
    }

    /// A client with something to send, to close or to read on; each once.
    pub fn pop_dirty(&mut self) -> Option<u32> {
        self.downstream.clients.pop_dirty()
    }

    /// Bytes were sent to a client.
    pub fn client_sent(&mut self, client: u32, bytes: usize) {
        let Downstream { clients, context } = &mut self.downstream;
        clients.sent(client, bytes, &mut context.pool);
    }

    /// Goes on with a client that was paused, if it has room again; says
    /// whether it did.
    pub fn resume(&mut self, client: u32) -> bool {
        if self.session(client).holds_up() {
            for ticket in self.downstream.clients.waiting_to_ask(client) {
                self.dispatch(client).ask_rest(ticket);
            }
            self.go_on_with_changes();
        }
        let session = self.downstream.clients.get(client);
        if !session.paused || session.is_full() || self.held_since_us.is_some() {
            return false;
        }
        session.paused = false;
        self.go_on(client, true);
        !self.session(client).paused
    }

    /// Forgets a client that [`Session::is_finished`].
    pub fn close(&mut self, client: u32) {
        self.downstream.remove(client);
    }

    // Statistics -----------------------------------------------------------

    /// Takes a slot that waits for the statistics of the whole process, of which the
    /// engine knows a part only: [`Engine::answer`] is owed to it.
    pub fn pop_question(&mut self) -> Option<Ticket> {
        let ticket = self.downstream.clients.questions.pop()?;
        self.downstream.clients.unanswered += 1;
        Some(ticket)
    }

    /// Answers it with `STAT` lines.
    pub fn answer(&mut self, ticket: Ticket, lines: &[u8]) {
        self.downstream.clients.unanswered -= 1;
        self.downstream.bytes(ticket, &[lines, b"END\r\n"]);
        self.downstream.count_slot(ticket, Outcome::Ok);
        self.downstream.finish(ticket);
    }

    // Looks apart ----------------------------------------------------------

    /// Takes what is to be looked at apart: [`Engine::judged`] is owed for each.
    pub fn take_jobs(&mut self) -> Vec<Job> {
        self.downstream.context.jobs.take_new()
    }

    /// Takes the result of one of them.
    pub fn judged(&mut self, judged: JobDone) {
        self.downstream.judged(judged);
        self.go_on_with_changes();
    }

    /// Looks that were had apart, and the bytes of those under way.
    pub fn apart(&self) -> (u64, usize) {
        (
            self.downstream.context.jobs.count(),
            self.downstream.context.jobs.bytes(),
        )
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
