//! One downstream connection as a state machine: what it is owed, in order.
//!
//! Each request opens one [`Slot`] (a retrieval one per server). Upstream
//! replies find their slot by [`Ticket`]; only the front slot writes to the
//! client, the others keep what they have until it is their turn, so replies
//! leave in request order whatever mix of lanes they come from.

mod values;

use std::collections::VecDeque;

use slab::Slab;

use super::change::{Change, Stage, Step, replace_code};
use super::pool::Pool;
use super::tally::{Invalidation, Outcome, Tally};
use crate::pickle::{Encoding, Sniffer, Verdict};
use crate::policy::{Identity, SpaceId};
use crate::protocol::reply::is_error;
use crate::protocol::request::Verb;

/// Requests of one client under way; past it the client is not read.
pub const MAX_IN_FLIGHT: usize = 256;
/// Unsent bytes of one client; past it the client is not read.
pub const MAX_UNSENT: usize = 256 << 10;
/// Unsent bytes past which a client that does not read is closed. A retrieval
/// of a hundred 1 MiB values fits.
pub const MAX_BACKLOG: usize = 128 << 20;
/// Values from which on a client is moved to the lane for large values, and how
/// long it stays there after the last one.
pub(super) const LARGE_BYTES: usize = 64 << 10;
const LARGE_US: u64 = 1_000_000;
/// Slots kept for clients that have something under way again.
const MAX_IDLE_SLOTS: usize = 64 << 10;
/// Sent bytes that are kept before the rest is moved down.
const MIN_MOVED_BYTES: usize = 64 << 10;

/// Which slot of which client a reply belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket {
    /// The client's place among the sessions.
    pub client: u32,
    /// The slot's number, counted from the session's start, wrapping.
    pub slot: u32,
}

impl Ticket {
    /// This slot and those that were opened after it.
    pub fn onwards(self) -> impl Iterator<Item = Self> {
        (0..).map(move |slots| Self {
            slot: self.slot.wrapping_add(slots),
            ..self
        })
    }
}

/// When a nominal reply is not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quiet {
    /// Always sent.
    No,
    /// `noreply`: nothing is sent, errors neither.
    Noreply,
    /// The meta flag `q`: the nominal code of the verb is not sent.
    Meta,
}

/// How a value is looked at on its way to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// Not at all.
    Away,
    /// Counted and served.
    Count,
    /// Counted, and a miss if the client cannot load it.
    Hide,
}

/// What a single reply is made of.
#[derive(Debug)]
pub enum Work {
    /// The reply of the own copy, as it is.
    Pass,
    /// The deletion of every copy: one that existed is enough.
    Delete {
        /// Whether a sibling existed.
        existed: bool,
    },
    /// A change whose reply decides what comes next.
    Change(Box<Change>),
    /// A reply known from the start, and what it counts as; sent once the
    /// upstream has answered.
    Fixed(Outcome),
}

#[derive(Debug)]
enum Kind {
    /// Values, then `END`, unless the request goes on in the next slot.
    Retrieve { more: bool },
    /// One reply that is passed on as it comes.
    Stream,
    /// One reply that is known only when all is in.
    Single(Work),
}

#[derive(Debug)]
struct Slot {
    verb: Verb,
    kind: Kind,
    quiet: Quiet,
    /// Replies that the upstream still owes, and one while the request itself
    /// is being sent: never 0 but at completion.
    pending: u32,
    /// An error was written: nothing after it counts.
    failed: bool,
    /// The reply was counted, and dropped if nobody wants it.
    told: bool,
    /// Microseconds of the engine's clock.
    started_us: u64,
    /// It is an `add` that may take more steps: the client's next requests wait
    /// for it, or they would overtake those.
    holds_up: bool,
    /// What the client gets when its turn comes.
    stash: Vec<u8>,
}

/// One downstream connection.
#[derive(Debug)]
pub struct Session {
    /// Who is at the other end.
    pub identity: Identity,
    /// Row of the counters: its listener and namespace.
    pub origin: usize,
    /// Bytes for the client; the first `sent` were written.
    pub out: Vec<u8>,
    /// `0 <= sent <= out.len()`
    pub sent: usize,
    /// Bytes of a refused body still to be dropped.
    pub swallow: usize,
    /// Input not yet understood.
    pub inbox: Vec<u8>,
    /// Bytes of `inbox` that are known to hold no line end.
    pub searched: usize,
    /// Bytes of `inbox` without which nothing can go on.
    pub need: usize,
    /// The client sends no more than what is in the inbox.
    pub eof: bool,
    /// No more requests are taken; closes once all is sent.
    pub closing: bool,
    /// Nothing more can be sent.
    pub dead: bool,
    /// Stopped reading because too much is under way.
    pub paused: bool,
    /// Its requests go to the lane for large values.
    pub bulk: bool,
    /// Waits for what is under way to change to that lane, or back.
    moving: bool,
    /// Until when it counts as a client of large values.
    bulk_until_us: u64,
    dirty: bool,
    slots: VecDeque<Slot>,
    /// Bytes of streamed replies that wait for their turn: the stashes of all
    /// slots but [`Kind::Single`], which hold a line each.
    waiting: usize,
    /// Slots that hold up what comes after them.
    holding_up: u32,
    /// Slots whose request goes on in the next.
    parted: u32,
    /// The number of `slots[0]`.
    first: u32,
}

impl Session {
    fn new(identity: Identity, origin: usize) -> Self {
        Self {
            identity,
            origin,
            out: Vec::new(),
            sent: 0,
            swallow: 0,
            inbox: Vec::new(),
            searched: 0,
            need: 0,
            eof: false,
            closing: false,
            dead: false,
            paused: false,
            bulk: false,
            moving: false,
            bulk_until_us: 0,
            dirty: false,
            slots: VecDeque::new(),
            waiting: 0,
            holding_up: 0,
            parted: 0,
            first: 0,
        }
    }

    /// Bytes that the client has not taken yet.
    pub fn unsent(&self) -> &[u8] {
        &self.out[self.sent..]
    }

    /// Whether nothing can be added to what is under way.
    pub fn is_full(&self) -> bool {
        self.slots.len() >= MAX_IN_FLIGHT
            || self.backlog() >= MAX_UNSENT
            || self.holding_up > 0
            || (self.moving && !self.slots.is_empty())
    }

    /// A value of this size is on its way: a large one makes it a client of such.
    fn notice(&mut self, len: usize, now_us: u64) {
        if len >= LARGE_BYTES {
            self.bulk_until_us = now_us + LARGE_US;
        }
    }

    /// Bytes held for the client, those that wait for their turn included.
    fn backlog(&self) -> usize {
        self.out.len() - self.sent + self.waiting
    }

    /// Whether nothing is owed any more.
    pub fn is_idle(&self) -> bool {
        self.slots.is_empty()
    }

    /// Whether the connection can be closed now.
    pub fn is_finished(&self) -> bool {
        self.slots.is_empty() && (self.dead || (self.closing && self.unsent().is_empty()))
    }
}

/// Empty queues, handed back by clients with nothing under way.
#[derive(Debug, Default)]
struct Queues {
    idle: Vec<VecDeque<Slot>>,
    /// The sum of their capacities.
    slots: usize,
}

impl Queues {
    fn take(&mut self) -> VecDeque<Slot> {
        let queue = self.idle.pop().unwrap_or_default();
        self.slots -= queue.capacity();
        queue
    }

    fn give(&mut self, queue: VecDeque<Slot>) {
        if queue.capacity() > 0 && self.slots + queue.capacity() <= MAX_IDLE_SLOTS {
            self.slots += queue.capacity();
            self.idle.push(queue);
        }
    }
}

/// All sessions of a worker, and what delivering to them needs.
#[derive(Debug)]
pub struct Sessions {
    /// By client.
    pub slab: Slab<Session>,
    /// Clients with something new to send, to close or to read on.
    pub dirty: Vec<u32>,
    /// Changes that need another step before they can be answered.
    pub steps: Vec<(Ticket, Step, Box<Change>)>,
    /// What was counted.
    pub tally: Tally,
    /// The shared look at values.
    pub sniffer: Sniffer,
    /// How clients mark pickles.
    pub encoding: Encoding,
    /// The engine's clock, in microseconds.
    pub now_us: u64,
    /// Where reply lines are rewritten.
    pub line_buffer: Vec<u8>,
    /// Where the servers of one retrieval's keys are gathered.
    pub owners: Vec<usize>,
    /// What nobody uses.
    pub(super) pool: Pool,
    queues: Queues,
}

impl Sessions {
    /// None yet.
    pub fn new(tally: Tally, encoding: Encoding) -> Self {
        Self {
            slab: Slab::new(),
            dirty: Vec::new(),
            steps: Vec::new(),
            tally,
            sniffer: Sniffer::default(),
            encoding,
            now_us: 0,
            line_buffer: Vec::new(),
            owners: Vec::new(),
            pool: Pool::default(),
            queues: Queues::default(),
        }
    }

    /// Adds a client.
    pub fn insert(&mut self, identity: Identity, origin: usize) -> u32 {
        // Connections are limited far below 2^32.
        self.slab.insert(Session::new(identity, origin)) as u32
    }

    /// Removes a client that is finished and owed nothing by a lane.
    pub fn remove(&mut self, client: u32) {
        let session = self.slab.remove(client as usize);
        self.pool.give(session.out);
        self.pool.give(session.inbox);
    }

    /// The session of a client.
    pub fn get(&mut self, client: u32) -> &mut Session {
        &mut self.slab[client as usize]
    }

    /// Notes that a client has something new.
    pub fn mark_dirty(&mut self, client: u32) {
        let session = &mut self.slab[client as usize];
        if !session.dirty {
            session.dirty = true;
            self.dirty.push(client);
        }
    }

    /// Takes one client off the list of those with something new.
    pub fn pop_dirty(&mut self) -> Option<u32> {
        let client = self.dirty.pop()?;
        if let Some(session) = self.slab.get_mut(client as usize) {
            session.dirty = false;
        }
        Some(client)
    }

    /// Forgets bytes that were sent; hands back a drained buffer.
    pub fn sent(&mut self, client: u32, bytes: usize) {
        let session = &mut self.slab[client as usize];
        session.sent += bytes;
        if session.sent == session.out.len() {
            session.sent = 0;
            let out = std::mem::take(&mut session.out);
            self.pool.give(out);
        } else if session.sent >= MIN_MOVED_BYTES.max(session.out.len() / 2) {
            let sent = std::mem::take(&mut session.sent);
            session.out.drain(..sent);
        }
    }

    // Requests -------------------------------------------------------------

    /// Whether a client's next request may go, with a body of this size. Large
    /// values have a lane of their own, so that small ones never wait for them; a
    /// client changes lanes only while nothing of it is under way, so that its
    /// requests are carried out in their order. Else it is paused until then.
    pub fn may_go(&mut self, client: u32, body_len: usize) -> bool {
        let now_us = self.now_us;
        let session = self.get(client);
        session.notice(body_len, now_us);
        let bulk = now_us < session.bulk_until_us;
        session.moving = bulk != session.bulk && !session.slots.is_empty();
        if session.moving {
            session.paused = true;
        } else {
            session.bulk = bulk;
        }
        !session.moving
    }

    /// Opens the slot of a request with a single reply.
    pub fn open(&mut self, client: u32, verb: Verb, quiet: Quiet, work: Work) -> Ticket {
        self.push(client, verb, quiet, Kind::Single(work))
    }

    /// Opens the slot of a request whose reply is known, and given unless the
    /// upstream replies that it still waits for say otherwise.
    pub fn open_fixed(
        &mut self,
        client: u32,
        verb: Verb,
        quiet: Quiet,
        outcome: Outcome,
        reply: &[u8],
    ) -> Ticket {
        let ticket = self.open(client, verb, quiet, Work::Fixed(outcome));
        self.slot(ticket).0.told = true;
        if quiet != Quiet::Noreply && !reply.is_empty() {
            self.stash(ticket, &[reply, b"\r\n"]);
        }
        ticket
    }

    /// Opens the slot of a request whose one reply may hold a large value.
    pub fn open_stream(&mut self, client: u32, verb: Verb, quiet: Quiet) -> Ticket {
        self.push(client, verb, quiet, Kind::Stream)
    }

    /// Opens a slot of a retrieval; `more` if the request goes on in the next.
    pub fn open_retrieve(&mut self, client: u32, verb: Verb, more: bool) -> Ticket {
        self.push(client, verb, Quiet::No, Kind::Retrieve { more })
    }

    fn push(&mut self, client: u32, verb: Verb, quiet: Quiet, kind: Kind) -> Ticket {
        let started_us = self.now_us;
        let holds_up =
            matches!(&kind, Kind::Single(Work::Change(change)) if change.refill.is_some());
        let session = &mut self.slab[client as usize];
        session.holding_up += u32::from(holds_up);
        session.parted += u32::from(matches!(kind, Kind::Retrieve { more: true }));
        let slot = session.first.wrapping_add(session.slots.len() as u32);
        if session.slots.capacity() == 0 {
            session.slots = self.queues.take();
        }
        session.slots.push_back(Slot {
            verb,
            kind,
            quiet,
            pending: 1,
            failed: false,
            told: false,
            started_us,
            holds_up,
            stash: Vec::new(),
        });
        Ticket { client, slot }
    }

    /// One more upstream reply is owed to a slot.
    pub fn expect(&mut self, ticket: Ticket) {
        let (slot, _) = self.slot(ticket);
        slot.pending += 1;
    }

    /// Whether a client has nothing under way but the request of this slot.
    pub fn is_alone(&self, ticket: Ticket) -> bool {
        self.slab[ticket.client as usize].slots.len() == 1
    }

    /// Answers at once, in turn.
    pub fn answer(&mut self, client: u32, verb: Verb, outcome: Outcome, reply: &[u8]) {
        let ticket = self.open_fixed(client, verb, Quiet::No, outcome, reply);
        self.finish(ticket);
    }

    /// Counts a request, or a key of a retrieval.
    pub fn count(&mut self, client: u32, verb: Verb, outcome: Outcome) {
        let origin = self.slab[client as usize].origin;
        self.tally.request(origin, verb, outcome);
    }

    // Replies --------------------------------------------------------------

    /// The slot of a ticket, and whether it is its client's front one.
    fn slot(&mut self, ticket: Ticket) -> (&mut Slot, bool) {
        let session = &mut self.slab[ticket.client as usize];
        let at = ticket.slot.wrapping_sub(session.first) as usize;
        (&mut session.slots[at], at == 0)
    }

    /// Writes for a slot: to the client if it is the front one, else aside.
    fn write(&mut self, ticket: Ticket, parts: &[&[u8]]) {
        let Self { slab, pool, .. } = self;
        let session = &mut slab[ticket.client as usize];
        let at = ticket.slot.wrapping_sub(session.first) as usize;
        let front = at == 0;
        let slot = &mut session.slots[at];
        let is_line = matches!(slot.kind, Kind::Single(_)) && !front;
        let buffer = if front {
            &mut session.out
        } else {
            &mut slot.stash
        };
        if buffer.capacity() == 0 {
            *buffer = if is_line {
                pool.take_line()
            } else {
                pool.take()
            };
        }
        if !front && !is_line {
            session.waiting += parts.iter().map(|part| part.len()).sum::<usize>();
        }
        for part in parts {
            buffer.extend_from_slice(part);
        }
        let given_up = session.backlog() > MAX_BACKLOG;
        if front {
            self.mark_dirty(ticket.client);
        }
        if given_up {
            self.abort(ticket.client);
        }
    }

    /// Writes aside, even for the front slot.
    fn stash(&mut self, ticket: Ticket, parts: &[&[u8]]) {
        let mut buffer = self.pool.take_line();
        for part in parts {
            buffer.extend_from_slice(part);
        }
        let old = std::mem::replace(&mut self.slot(ticket).0.stash, buffer);
        self.pool.give(old);
    }

    /// Gives up on a client: nothing more is sent to it.
    pub fn abort(&mut self, client: u32) {
        let session = &mut self.slab[client as usize];
        session.dead = true;
        session.closing = true;
        session.out = Vec::new();
        session.sent = 0;
        session.inbox = Vec::new();
        session.waiting = 0;
        for slot in &mut session.slots {
            slot.stash = Vec::new();
        }
        self.mark_dirty(client);
    }

    /// Whether what is written for a slot still reaches anybody.
    fn is_deaf(&mut self, ticket: Ticket) -> bool {
        self.slab[ticket.client as usize].dead || self.slot(ticket).0.failed
    }

    /// Bytes of a reply that streams through.
    pub fn bytes(&mut self, ticket: Ticket, parts: &[&[u8]]) {
        if !self.is_deaf(ticket) {
            self.write(ticket, parts);
        }
    }

    /// Counts a key of a retrieval.
    pub fn count_slot(&mut self, ticket: Ticket, outcome: Outcome) {
        let verb = self.slot(ticket).0.verb;
        self.count(ticket.client, verb, outcome);
    }

    /// One of the replies that a slot waits for is in, or its request is sent.
    pub fn finish(&mut self, ticket: Ticket) {
        let (slot, _) = self.slot(ticket);
        slot.pending -= 1;
        if slot.pending == 0 {
            self.complete(ticket);
        }
    }

    /// A reply of one line to the own copy.
    pub fn line(&mut self, ticket: Ticket, text: &[u8]) {
        let deaf = self.is_deaf(ticket);
        let (slot, _) = self.slot(ticket);
        let alone = slot.pending == 1;
        match slot.kind {
            _ if deaf => {}
            Kind::Single(Work::Fixed(_)) => {
                if is_error(text) {
                    self.fail(ticket, text);
                }
            }
            Kind::Single(Work::Pass) if !alone => self.stash(ticket, &[text, b"\r\n"]),
            Kind::Single(Work::Delete { .. } | Work::Change(_)) => {
                self.stash(ticket, &[text, b"\r\n"]);
            }
            Kind::Stream | Kind::Retrieve { .. } | Kind::Single(Work::Pass) => {
                if self.tell(ticket, text) {
                    self.write(ticket, &[text, b"\r\n"]);
                }
            }
        }
        self.finish(ticket);
    }

    /// Counts a reply by its first line and says whether the client wants it.
    pub fn tell(&mut self, ticket: Ticket, text: &[u8]) -> bool {
        let (slot, _) = self.slot(ticket);
        slot.told = true;
        let (verb, quiet) = (slot.verb, slot.quiet);
        let outcome = Outcome::of_line(text);
        self.count(ticket.client, verb, outcome);
        match quiet {
            Quiet::No => true,
            Quiet::Noreply => false,
            Quiet::Meta if verb == Verb::Mg => outcome != Outcome::Miss,
            // A value in the reply of `ma` is as nominal as "HD".
            Quiet::Meta => !matches!(outcome, Outcome::Ok | Outcome::Hit),
        }
    }

    /// Goes on with a change after its next step was sent.
    pub fn resume(&mut self, ticket: Ticket, change: Box<Change>) {
        self.slot(ticket).0.kind = Kind::Single(Work::Change(change));
        self.finish(ticket);
    }

    /// Whether a value is hidden from the client of a ticket.
    pub fn is_hidden(&mut self, ticket: Ticket, flags: u32, start: &[u8]) -> bool {
        let reader = self.slab[ticket.client as usize].identity.reader;
        self.sniffer
            .sniff(&self.encoding, flags, start)
            .is_some_and(|header| reader.verdict(header) == Verdict::Unloadable)
    }

    /// The value in the way of an `add` was looked at: its CAS id, if it is
    /// hidden from the client.
    pub fn probed(&mut self, ticket: Ticket, hidden: Option<u64>) {
        if let Kind::Single(Work::Change(change)) = &mut self.slot(ticket).0.kind {
            change.stage = Stage::Probed { hidden };
        }
        self.finish(ticket);
    }

    /// Counts a hidden value and says whether the client wants to hear of a
    /// miss.
    pub fn tell_hidden(&mut self, ticket: Ticket) -> bool {
        self.count_slot(ticket, Outcome::Hidden);
        let (slot, _) = self.slot(ticket);
        slot.told = true;
        slot.quiet == Quiet::No
    }

    /// A sibling answered its deletion.
    pub fn sibling(&mut self, ticket: Ticket, target: SpaceId, text: &[u8]) {
        let result = match text {
            b"DELETED" | b"HD" => Invalidation::Deleted,
            b"NOT_FOUND" | b"NF" => Invalidation::Absent,
            _ => Invalidation::Error,
        };
        let origin = self.slab[ticket.client as usize].identity.space;
        self.tally.invalidation(origin, target, result);
        match (&mut self.slot(ticket).0.kind, result) {
            (Kind::Single(Work::Delete { existed }), Invalidation::Deleted) => *existed = true,
            (_, Invalidation::Error) => self.fail(ticket, text),
            _ => {}
        }
        self.finish(ticket);
    }

    /// Answers with an error instead of whatever else there is.
    pub fn fail(&mut self, ticket: Ticket, error: &[u8]) {
        if self.is_deaf(ticket) {
            return;
        }
        self.count_slot(ticket, Outcome::Error);
        let (slot, _) = self.slot(ticket);
        slot.failed = true;
        slot.told = true;
        let silent = slot.quiet == Quiet::Noreply;
        match slot.kind {
            Kind::Retrieve { .. } => {
                // Whole values may be out already; an error line in place of
                // END is how memcached itself ends such a reply.
                self.write(ticket, &[error, b"\r\n"]);
                self.fail_rest(ticket);
            }
            Kind::Stream => self.write(ticket, &[error, b"\r\n"]),
            Kind::Single(_) if silent => self.stash(ticket, &[]),
            Kind::Single(_) => self.stash(ticket, &[error, b"\r\n"]),
        }
    }

    /// The later slots of a failed retrieval write nothing, and lose what they
    /// hold: behind the error it would be a reply of its own.
    fn fail_rest(&mut self, ticket: Ticket) {
        let session = &mut self.slab[ticket.client as usize];
        let at = ticket.slot.wrapping_sub(session.first) as usize;
        for (nth, slot) in session.slots.range_mut(at..).enumerate() {
            slot.failed = true;
            if nth > 0 {
                session.waiting -= std::mem::take(&mut slot.stash).len();
            }
            if !matches!(slot.kind, Kind::Retrieve { more: true }) {
                break;
            }
        }
    }

    fn complete(&mut self, ticket: Ticket) {
        let (slot, front) = self.slot(ticket);
        let (verb, started_us) = (slot.verb, slot.started_us);
        match slot.kind {
            Kind::Stream | Kind::Retrieve { more: true } => {}
            Kind::Retrieve { more: false } => self.bytes(ticket, &[b"END\r\n"]),
            Kind::Single(_) => {
                if !self.complete_single(ticket) {
                    return;
                }
            }
        }
        if self.is_last_part(ticket) {
            self.tally
                .latency(verb, self.now_us.saturating_sub(started_us));
        }
        if front {
            self.advance(ticket.client);
        }
    }

    /// Settles what a reply of one piece says; whether it is final.
    fn complete_single(&mut self, ticket: Ticket) -> bool {
        let deaf = self.is_deaf(ticket);
        let (slot, _) = self.slot(ticket);
        let Kind::Single(work) = &mut slot.kind else {
            return true;
        };
        if let Work::Change(change) = work
            && !deaf
            && let Some(step) = change.next(&mut slot.stash)
        {
            slot.pending = 1;
            if let Work::Change(change) = std::mem::replace(work, Work::Pass) {
                self.steps.push((ticket, step, change));
            }
            return false;
        }
        match work {
            &mut Work::Fixed(outcome) => {
                if !slot.failed {
                    self.count_slot(ticket, outcome);
                }
            }
            Work::Delete { existed: true } => {
                // A sibling existed: the own copy's absence is not the answer.
                replace_code(
                    &mut slot.stash,
                    &[(b"NOT_FOUND", b"DELETED"), (b"NF", b"HD")],
                );
                self.tell_stashed(ticket);
            }
            Work::Pass | Work::Delete { .. } | Work::Change(_) => self.tell_stashed(ticket),
        }
        if self.slot(ticket).0.holds_up {
            self.slab[ticket.client as usize].holding_up -= 1;
            self.mark_dirty(ticket.client);
        }
        true
    }

    /// Whether all other slots of a ticket's request are complete.
    fn is_last_part(&self, ticket: Ticket) -> bool {
        let session = &self.slab[ticket.client as usize];
        let at = ticket.slot.wrapping_sub(session.first) as usize;
        if session.parted == 0 {
            return true;
        }
        let goes_on = |slot: &&Slot| matches!(slot.kind, Kind::Retrieve { more: true });
        let before = session.slots.range(..at).rev().take_while(goes_on);
        let after = session.slots.range(at..).take_while(goes_on).count();
        let mut parts = before.chain(session.slots.range(at + 1..=at + after));
        parts.all(|slot| slot.pending == 0)
    }

    /// Counts a reply that was kept aside and drops it if nobody wants it.
    fn tell_stashed(&mut self, ticket: Ticket) {
        let (slot, _) = self.slot(ticket);
        if slot.told {
            return;
        }
        let stash = std::mem::take(&mut slot.stash);
        let wanted = match first_line(&stash) {
            Some(text) => self.tell(ticket, text),
            None => true,
        };
        if wanted {
            self.slot(ticket).0.stash = stash;
        } else {
            self.pool.give(stash);
        }
    }

    /// Moves what is complete from the front slots to the client.
    fn advance(&mut self, client: u32) {
        loop {
            let session = &mut self.slab[client as usize];
            let Some(front) = session.slots.front_mut() else {
                break;
            };
            let ready = front.pending == 0 || !matches!(front.kind, Kind::Single(_));
            if ready && !front.stash.is_empty() && !session.dead {
                let stash = std::mem::take(&mut front.stash);
                let is_line = matches!(front.kind, Kind::Single(_));
                if !is_line {
                    session.waiting -= stash.len();
                }
                if session.out.capacity() == 0 && !is_line {
                    session.out = stash;
                } else {
                    if session.out.capacity() == 0 {
                        session.out = self.pool.take();
                    }
                    session.out.extend_from_slice(&stash);
                    self.pool.give(stash);
                }
            }
            let session = &mut self.slab[client as usize];
            if session.slots.front().is_some_and(|slot| slot.pending > 0) {
                break;
            }
            if let Some(slot) = session.slots.pop_front() {
                let parted = matches!(slot.kind, Kind::Retrieve { more: true });
                session.parted -= u32::from(parted);
                session.first = session.first.wrapping_add(1);
                self.pool.give(slot.stash);
            }
        }
        let session = &mut self.slab[client as usize];
        if session.slots.is_empty() {
            // An idle client holds nothing but its connection.
            self.queues.give(std::mem::take(&mut session.slots));
        }
        self.mark_dirty(client);
    }
}

fn first_line(reply: &[u8]) -> Option<&[u8]> {
    let end = memchr::memchr(b'\r', reply)?;
    Some(&reply[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_client_is_small() {
        // Ten thousand of them are 1.6 MB.
        assert!(size_of::<Session>() <= 160);
    }
}
