//! One downstream connection as a state machine: what it is owed, in order.
//!
//! Each request opens one [`Slot`] (a retrieval one per server). Upstream
//! replies find their slot by [`Ticket`]; only the front slot writes to the
//! client, the others keep what they have until it is their turn, so replies
//! leave in request order whatever mix of lanes they come from.

mod apart;
mod asking;
mod held;
pub(super) mod life;
mod misses;
mod queues;
mod replies;
mod standing;
mod values;
mod window;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use slab::Slab;

use super::Settings;
use super::counts::{Closed, Outcome, Tally};
use super::listener::ListenerId;
use super::pool::Pool;
use super::steps::{Change, Next};
use super::value::apart::Jobs;
use super::value::judge::Looker;
use crate::engine::counts::families::Families;
use crate::engine::counts::fills::FillMemory;
use crate::engine::notes::Notes;
use crate::engine::statistics::Gathering;
use crate::engine::ticket::{Quiet, Ticket};
use crate::engine::who::{FlagTag, Known, Who};
use crate::pickle::Pause;
use crate::protocol::request::Verb;
pub(super) use apart::Came;
pub(super) use asking::Asking;
use held::Held;
use life::Life;
use queues::Queues;
use window::Window;

/// Requests of one client under way, fewer for large replies; past it the client is
/// not read.
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
/// Sent bytes that are kept before the rest is moved down.
const MIN_MOVED_BYTES: usize = 64 << 10;

/// What ends the values of a retrieval.
const END: &[u8] = b"END\r\n";

/// The most that one turn counts for in how long somebody has waited: a process that
/// was stopped did not listen meanwhile.
const MAX_STEP_US: u64 = 250_000;

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
    /// The statistics of several servers, those that fail left out.
    Gather(Box<Gathering>),
}

#[derive(Debug)]
enum Kind {
    /// Values, then `END`, unless the request goes on in the next slot.
    Retrieve { more: bool },
    /// One reply that is passed on as it comes; behind statistics, what tells of a failure.
    Stream(Option<Box<Gathering>>),
    /// One reply that is known only when all is in.
    Single(Work),
}

#[derive(Debug)]
struct Slot {
    who: Who,
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
    /// Since when it waits for its upstream, by the steady clock.
    since_us: u64,
    /// It is a change that may take more steps: the client's next requests wait for
    /// it, or they would overtake those.
    holds_up: bool,
    /// It is a retrieval with keys that are still to be asked for; they hold up what
    /// comes after it, too.
    is_asking: bool,
    /// Its upstream took too long: those are not asked for any more.
    is_late: bool,
    /// Bytes of values that came for it.
    came: u64,
    /// What the client gets when its turn comes.
    stash: Vec<u8>,
    /// What it gets behind that: never there without a value that is looked at apart.
    held: Option<Box<Held>>,
}

impl Slot {
    /// Forgets what the client would have got; how many bytes.
    fn forget(&mut self) -> usize {
        let held = self.held.as_mut().map_or(0, |held| held.clear());
        std::mem::take(&mut self.stash).len() + held
    }
}

impl Kind {
    /// Whether [`END`] follows the values.
    fn ends_values(&self) -> bool {
        matches!(self, Self::Retrieve { more: false })
    }
}

/// One downstream connection.
#[derive(Debug)]
pub struct Session {
    /// Who is at the other end.
    pub who: Who,
    /// The listener it came by, which may be gone.
    pub listener: ListenerId,
    /// What is known of it, where that is not the listener's to say.
    pub known: Option<Arc<Known>>,
    /// It may say who it is.
    pub(super) asks: bool,
    /// Nobody knows it, and its requests are refused.
    pub refused: bool,
    /// Its requests are not simply those of its namespace.
    pub(super) unsure: bool,
    /// It was counted as untagged.
    pub(super) told_untagged: bool,
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
    /// It has sent something.
    pub(super) has_spoken: bool,
    life: Life,
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
    /// slots but [`Kind::Single`], which hold a line each, and values that are looked
    /// at apart.
    waiting: usize,
    /// What of it is counted in [`Sessions::held`].
    counted: u32,
    /// Slots that hold up what comes after them, and a store that is looked at apart;
    /// nothing more is taken meanwhile.
    holding_up: u16,
    /// Slots whose request goes on in the next.
    parted: u32,
    /// The number of `slots[0]`.
    first: u32,
    window: Window,
}

impl Session {
    fn new(listener: ListenerId, known: Option<Arc<Known>>, who: Who) -> Self {
        Self {
            who,
            listener,
            known,
            asks: false,
            refused: false,
            unsure: false,
            told_untagged: false,
            out: Vec::new(),
            sent: 0,
            swallow: 0,
            inbox: Vec::new(),
            searched: 0,
            need: 0,
            has_spoken: false,
            life: Life::Open,
            paused: false,
            bulk: false,
            moving: false,
            bulk_until_us: 0,
            dirty: false,
            slots: VecDeque::new(),
            waiting: 0,
            counted: 0,
            holding_up: 0,
            parted: 0,
            first: 0,
            window: Window::default(),
        }
    }

    /// Bytes that the client has not taken yet.
    pub fn unsent(&self) -> &[u8] {
        &self.out[self.sent..]
    }

    /// The place of a ticket's slot.
    fn place(&self, ticket: Ticket) -> usize {
        ticket.slot.wrapping_sub(self.first) as usize
    }

    /// Whether nothing can be added to what is under way.
    pub fn is_full(&self) -> bool {
        self.window.is_full(self.slots.len())
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

    /// Whether its next request may go, with a body of this size. Large values
    /// have a lane of their own, so that small ones never wait for them; a client
    /// changes lanes only while nothing of it is under way, so that its requests
    /// are carried out in their order. Else it is paused until then.
    pub(super) fn may_go(&mut self, body_len: usize, now_us: u64) -> bool {
        self.notice(body_len, now_us);
        let bulk = now_us < self.bulk_until_us;
        self.moving = bulk != self.bulk && !self.slots.is_empty();
        if self.moving {
            self.paused = true;
        } else {
            self.bulk = bulk;
        }
        !self.moving
    }

    /// Bytes held for the client, those that wait for their turn included.
    pub fn backlog(&self) -> usize {
        self.out.len() - self.sent + self.waiting
    }

    /// Requests under way, each part of those to several servers.
    pub fn in_flight(&self) -> usize {
        self.slots.len()
    }

    /// Whether something of it holds up what comes after it.
    pub fn holds_up(&self) -> bool {
        self.holding_up > 0
    }

    /// Whether nothing is owed any more.
    pub fn is_idle(&self) -> bool {
        self.slots.is_empty()
    }

    /// Whether the connection can be closed now.
    pub fn is_finished(&self) -> bool {
        self.slots.is_empty()
            && self.holding_up == 0
            && (self.is_dead() || (self.is_closing() && self.unsent().is_empty()))
    }

    /// Comes so far, if it was not there yet.
    pub(in crate::engine) fn come_to(&mut self, life: Life) {
        self.life = self.life.max(life);
    }

    /// Whether it was asked to go, and goes with the request that is half here.
    pub(in crate::engine) fn is_leaving(&self) -> bool {
        self.life == Life::Leaving
    }

    /// Whether it sends no more than what is here.
    pub fn has_ended(&self) -> bool {
        self.life >= Life::Ended
    }

    /// Whether no more of its requests are taken.
    pub(in crate::engine) fn is_closing(&self) -> bool {
        self.life >= Life::Closing
    }

    /// Whether what it still sends is to be taken off its connection and dropped.
    pub fn is_heard_out(&self) -> bool {
        self.life == Life::Closing
    }

    /// Whether nothing more can be sent to it.
    pub fn is_dead(&self) -> bool {
        self.life == Life::Dead
    }
}

/// What delivering to one client needs beside its session.
struct Desk<'s> {
    client: u32,
    dirty: &'s mut VecDeque<u32>,
    tally: &'s mut Tally,
    pool: &'s mut Pool,
    queues: &'s mut Queues,
    held: &'s mut usize,
    now_us: u64,
}

/// What becomes of the client; `at` is the place of a slot.
impl Session {
    /// Notes that there is something new.
    fn mark(&mut self, desk: &mut Desk<'_>) {
        if !self.dirty {
            self.dirty = true;
            desk.dirty.push_back(desk.client);
        }
    }

    /// Counts what is held for it now.
    #[inline]
    pub(super) fn count_held(&mut self, held: &mut usize) {
        let now = self.backlog() + self.inbox.len();
        *held = *held - self.counted as usize + now;
        // A value is at most 1 GiB.
        self.counted = now as u32;
    }

    /// Gives up on the client: nothing more is sent to it.
    fn abort(&mut self, desk: &mut Desk<'_>) {
        self.come_to(Life::Dead);
        self.out = Vec::new();
        self.sent = 0;
        self.inbox = Vec::new();
        self.waiting = 0;
        for slot in &mut self.slots {
            slot.forget();
        }
        self.count_held(desk.held);
        self.mark(desk);
    }

    /// Writes for a slot: to the client if it is the front one, else aside.
    #[inline]
    fn write(&mut self, at: usize, parts: &[&[u8]], desk: &mut Desk<'_>) {
        let slot = &mut self.slots[at];
        let front = at == 0 && slot.held.is_none();
        let is_line = matches!(slot.kind, Kind::Single(_)) && !front;
        let buffer = match &mut slot.held {
            Some(held) => held.tail(),
            None if front => &mut self.out,
            None => &mut slot.stash,
        };
        if buffer.capacity() == 0 {
            *buffer = if is_line {
                desk.pool.take_line()
            } else {
                desk.pool.take()
            };
        }
        if !front && !is_line {
            self.waiting += parts.iter().map(|part| part.len()).sum::<usize>();
        }
        for part in parts {
            buffer.extend_from_slice(part);
        }
        self.wrote(front, desk);
    }

    /// Something was written, to the client or aside.
    fn wrote(&mut self, to_client: bool, desk: &mut Desk<'_>) {
        self.count_held(desk.held);
        if self.backlog() > MAX_BACKLOG {
            desk.tally.close(self.who.origin, Closed::Backlog);
            self.abort(desk);
        } else if to_client {
            self.mark(desk);
        }
    }

    /// Counts a reply by its first line and says whether the client wants it.
    fn tell(&mut self, at: usize, text: &[u8], tally: &mut Tally) -> bool {
        let slot = &mut self.slots[at];
        slot.told = true;
        let outcome = match Outcome::of_line(text) {
            // "HD": the item is there, its value was not asked for.
            Outcome::Ok if slot.verb == Verb::Mg => Outcome::Hit,
            outcome => outcome,
        };
        tally.request(slot.who.origin as usize, slot.verb, outcome);
        match slot.quiet {
            Quiet::No => true,
            Quiet::Noreply => false,
            Quiet::Meta if slot.verb == Verb::Mg => outcome != Outcome::Miss,
            // A value in the reply of `ma` is as nominal as "HD".
            Quiet::Meta => !matches!(outcome, Outcome::Ok | Outcome::Hit),
        }
    }

    /// A slot has all that it waits for, and that is settled and written.
    fn complete(&mut self, at: usize, desk: &mut Desk<'_>) {
        let slot = &self.slots[at];
        let (verb, started_us) = (slot.verb, slot.started_us);
        if self.parted == 0 || self.is_last_part(at) {
            let us = desk.now_us.saturating_sub(started_us);
            desk.tally.latency(verb, us);
        }
        if at == 0 {
            self.advance(desk);
        }
    }

    /// Whether all other slots of a slot's request are complete.
    fn is_last_part(&self, at: usize) -> bool {
        let goes_on = |slot: &&Slot| matches!(slot.kind, Kind::Retrieve { more: true });
        let before = self.slots.range(..at).rev().take_while(goes_on);
        let after = self.slots.range(at..).take_while(goes_on).count();
        let mut parts = before.chain(self.slots.range(at + 1..=at + after));
        parts.all(|slot| slot.pending == 0)
    }

    /// Moves what is complete from the front slots to the client.
    fn advance(&mut self, desk: &mut Desk<'_>) {
        let is_dead = self.is_dead();
        while let Some(front) = self.slots.front_mut() {
            let complete = front.pending == 0;
            let is_line = matches!(front.kind, Kind::Single(_));
            if (complete || !is_line) && !front.stash.is_empty() && !is_dead {
                let stash = std::mem::take(&mut front.stash);
                if !is_line {
                    self.waiting -= stash.len();
                }
                if self.out.capacity() == 0 && !is_line {
                    self.out = stash;
                } else {
                    if self.out.capacity() == 0 {
                        self.out = desk.pool.take();
                    }
                    self.out.extend_from_slice(&stash);
                    desk.pool.give(stash);
                }
            }
            if !complete {
                break;
            }
            if let Some(slot) = self.slots.pop_front() {
                self.window.answered();
                let parted = matches!(slot.kind, Kind::Retrieve { more: true });
                self.parted -= u32::from(parted);
                self.first = self.first.wrapping_add(1);
                desk.pool.give(slot.stash);
            }
        }
        if self.slots.is_empty() {
            // An idle client holds nothing but its connection.
            desk.queues.give(std::mem::take(&mut self.slots));
        }
        self.count_held(desk.held);
        self.mark(desk);
    }
}

/// All sessions of a worker, and what delivering to them needs.
#[derive(Debug)]
pub struct Sessions {
    /// By client.
    pub slab: Slab<Session>,
    /// Clients with something new to send, to close or to read on, by turns.
    pub dirty: VecDeque<u32>,
    /// Changes that need another step before they can be answered.
    pub(super) steps: Vec<Next>,
    /// What was counted.
    pub tally: Tally,
    /// The shared look at values.
    pub looker: Looker,
    /// The engine's clock, in microseconds.
    pub now_us: u64,
    /// The same without the time in which the process did not run: what others are
    /// waited for is measured by it.
    pub steady_us: u64,
    /// Where reply lines are rewritten.
    pub line_buffer: Vec<u8>,
    /// Where the servers of one retrieval's keys are gathered.
    pub owners: Vec<usize>,
    /// What the tags of `P` flags stand for.
    pub(super) flag_tags: Vec<FlagTag>,
    /// Slots that wait for the statistics of the whole process.
    pub(super) questions: Vec<Ticket>,
    /// How many do, those that were taken included.
    pub(super) unanswered: usize,
    /// What is done with which keys.
    pub(super) families: Families,
    /// What is worth a line in the log.
    pub(super) notes: Notes,
    /// What was missed a moment ago.
    pub(super) fills: FillMemory,
    /// Looks that are had apart.
    pub(super) jobs: Jobs,
    /// What nobody uses.
    pub(super) pool: Pool,
    queues: Queues,
    /// Bytes of replies and requests that are held for clients.
    pub(super) held: usize,
    /// Retrievals with keys that are still to be asked for.
    pub(super) asking: HashMap<Ticket, Asking>,
    /// Bytes of those.
    pub(super) asking_bytes: usize,
}

impl Sessions {
    /// None yet.
    pub(super) fn new(settings: &Settings, fills: FillMemory) -> Self {
        let Settings {
            snapshot, apart, ..
        } = settings;
        let tally = Tally::new(snapshot.codec.spaces().len());
        Self {
            slab: Slab::new(),
            dirty: VecDeque::new(),
            steps: Vec::new(),
            tally,
            looker: Looker::new(Arc::clone(snapshot), apart.inline, Pause::NONE),
            now_us: 0,
            steady_us: 0,
            line_buffer: Vec::new(),
            owners: Vec::new(),
            flag_tags: Vec::new(),
            questions: Vec::new(),
            unanswered: 0,
            families: Families::new(snapshot.families, snapshot.codec.spaces().len()),
            notes: Notes::default(),
            fills,
            jobs: Jobs::new(Arc::clone(snapshot), apart.max_bytes),
            pool: Pool::default(),
            queues: Queues::default(),
            held: 0,
            asking: HashMap::new(),
            asking_bytes: 0,
        }
    }

    /// Whether no client is owed a reply that is not here.
    pub fn are_idle(&self) -> bool {
        self.slab.iter().all(|(_, session)| session.is_idle())
    }

    /// Other settings, while nothing is under way: all that is numbered by those
    /// of before is replaced.
    pub fn adopt(&mut self, settings: &Settings) {
        let Settings {
            snapshot, apart, ..
        } = settings;
        let spaces = snapshot.codec.spaces().len();
        self.fills.renumber(&snapshot.namespaces);
        self.tally = Tally::new(spaces);
        self.families = Families::new(snapshot.families, spaces);
        // What was found out about stores that their clients go on with was by the
        // old settings.
        self.jobs.adopt(Arc::clone(snapshot), apart.max_bytes);
        self.looker = Looker::new(Arc::clone(snapshot), apart.inline, Pause::NONE);
        self.flag_tags.clear();
        for client in 0..self.slab.capacity() as u32 {
            if self.slab.contains(client as usize) {
                self.place(client, settings);
                // It may have waited.
                self.mark_dirty(client);
            }
        }
    }

    /// Removes a client that is finished and owed nothing by a lane.
    pub fn remove(&mut self, client: u32) {
        let session = self.slab.remove(client as usize);
        self.jobs.forget(client);
        self.held -= session.counted as usize;
        self.pool.give(session.out);
        self.pool.give(session.inbox);
    }

    /// The session of a client.
    pub fn get(&mut self, client: u32) -> &mut Session {
        &mut self.slab[client as usize]
    }

    /// The session of a client, and what delivering to it needs.
    fn visit(&mut self, client: u32) -> (&mut Session, Desk<'_>) {
        let desk = Desk {
            client,
            dirty: &mut self.dirty,
            tally: &mut self.tally,
            pool: &mut self.pool,
            queues: &mut self.queues,
            held: &mut self.held,
            now_us: self.now_us,
        };
        (&mut self.slab[client as usize], desk)
    }

    /// Notes that a client has something new.
    pub fn mark_dirty(&mut self, client: u32) {
        let (session, mut desk) = self.visit(client);
        session.mark(&mut desk);
    }

    /// Takes one client off the list of those with something new.
    pub fn pop_dirty(&mut self) -> Option<u32> {
        loop {
            let client = self.dirty.pop_front()?;
            // It may be gone.
            if let Some(session) = self.slab.get_mut(client as usize) {
                session.dirty = false;
                return Some(client);
            }
        }
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
        session.count_held(&mut self.held);
    }

    // Requests -------------------------------------------------------------

    /// Opens the slot of a request with a single reply.
    pub fn open(&mut self, client: u32, verb: Verb, quiet: Quiet, work: Work) -> Ticket {
        let holds_up = match &work {
            Work::Change(change) => change.on_hidden.holds_up(),
            // Many would hold much more than lines.
            Work::Gather(_) => true,
            Work::Pass | Work::Delete { .. } | Work::Fixed(_) => false,
        };
        let ticket = self.push(client, verb, quiet, Kind::Single(work));
        if holds_up {
            self.slot(ticket).holds_up = true;
            self.get(client).holding_up += 1;
        }
        ticket
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
        self.slot(ticket).told = true;
        if quiet != Quiet::Noreply && !reply.is_empty() {
            self.stash(ticket, &[reply, b"\r\n"]);
        }
        ticket
    }

    /// Opens the slot of a request whose one reply may hold a large value.
    pub fn open_stream(&mut self, client: u32, verb: Verb, quiet: Quiet) -> Ticket {
        self.push(client, verb, quiet, Kind::Stream(None))
    }

    /// Opens a slot of a retrieval; `more` if the request goes on in the next.
    pub fn open_retrieve(&mut self, client: u32, verb: Verb, more: bool) -> Ticket {
        self.get(client).parted += u32::from(more);
        self.push(client, verb, Quiet::No, Kind::Retrieve { more })
    }

    #[inline]
    fn push(&mut self, client: u32, verb: Verb, quiet: Quiet, kind: Kind) -> Ticket {
        let (started_us, since_us) = (self.now_us, self.steady_us);
        let session = &mut self.slab[client as usize];
        let slot = session.first.wrapping_add(session.slots.len() as u32);
        if session.slots.capacity() == 0 {
            session.slots = self.queues.take();
        }
        session.slots.push_back(Slot {
            who: session.who,
            verb,
            kind,
            quiet,
            pending: 1,
            failed: false,
            told: false,
            started_us,
            since_us,
            holds_up: false,
            is_asking: false,
            is_late: false,
            came: 0,
            stash: Vec::new(),
            held: None,
        });
        Ticket { client, slot }
    }

    /// One more upstream reply is owed to a slot; since when it waits.
    pub fn expect(&mut self, ticket: Ticket) -> u64 {
        let slot = self.slot(ticket);
        slot.pending += 1;
        slot.since_us
    }

    /// Sets the clocks.
    pub fn set_now(&mut self, us: u64) {
        self.steady_us += us.saturating_sub(self.now_us).min(MAX_STEP_US);
        self.now_us = us;
    }

    /// Since when a slot waits for its upstream.
    pub fn since(&mut self, ticket: Ticket) -> u64 {
        self.slot(ticket).since_us
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_client_is_small() {
        // Ten thousand of them are 1.8 MB.
        assert_eq!(size_of::<Session>(), 184);
    }
}
