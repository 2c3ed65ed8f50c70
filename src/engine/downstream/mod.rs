//! The downstream connections of a worker as state machines: what each is owed, in
//! order.
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
mod session;
mod slot;
mod standing;
mod values;
mod window;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use slab::Slab;

use super::counts::{Outcome, Tally};
use super::pool::Pool;
use super::settings::Settings;
use super::steps::Next;
use super::value::apart::Jobs;
use super::value::judge::Looker;
use crate::engine::counts::families::Families;
use crate::engine::counts::fills::FillMemory;
use crate::engine::notes::Notes;
use crate::engine::ticket::{Quiet, Ticket};
use crate::engine::who::FlagTag;
use crate::pickle::Pause;
use crate::protocol::request::Verb;
pub(super) use apart::Came;
pub(super) use asking::Asking;
use queues::Queues;
pub(super) use session::LARGE_BYTES;
use session::{Desk, MIN_MOVED_BYTES};
pub use session::{MAX_BACKLOG, MAX_UNSENT, Session};
pub(super) use slot::Work;
use slot::{Kind, Slot};
pub use window::MAX_IN_FLIGHT;

/// The most that one turn counts for in how long somebody has waited: a process that
/// was stopped did not listen meanwhile.
const MAX_STEP_US: u64 = 250_000;

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
