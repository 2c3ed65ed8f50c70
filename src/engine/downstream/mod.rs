//! The downstream connections of a worker as state machines: what each is owed, in
//! order.
//!
//! Each request opens one slot (a retrieval one per server). Upstream
//! replies find their slot by [`Ticket`]; only the front slot writes to the
//! client, the others keep what they have until it is their turn, so replies
//! leave in request order whatever mix of lanes they come from.

mod apart;
mod asking;
mod clients;
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

use slab::Slab;

use super::context::Context;
use super::counts::Outcome;
use super::counts::fills::FillMemory;
use super::settings::Settings;
use super::steps::Next;
use crate::engine::ticket::{Quiet, Ticket};
use crate::engine::who::FlagTag;
use crate::protocol::request::Verb;
pub(super) use asking::Asking;
use queues::Queues;
use session::Desk;
pub(super) use session::LARGE_BYTES;
pub use session::{MAX_BACKLOG, MAX_UNSENT, Session};
use slot::Kind;
pub(super) use slot::Work;
pub use window::MAX_IN_FLIGHT;

/// All clients of a worker, and what serving them takes.
#[derive(Debug)]
pub struct Downstream {
    /// All clients.
    pub clients: Clients,
    /// State that requests of all of them share.
    pub context: Context,
}

/// Connected clients, and the replies that each is owed.
#[derive(Debug, Default)]
pub struct Clients {
    /// By client.
    pub slab: Slab<Session>,
    /// Clients with something new to send, to close or to read on, by turns.
    pub dirty: VecDeque<u32>,
    /// Requests to send for slots that wait for their replies.
    pub(super) steps: Vec<Next>,
    /// Tags that `P` flags spelled, and what they stand for.
    pub(super) flag_tags: Vec<FlagTag>,
    /// Slots that wait for the statistics of the whole process.
    pub(super) questions: Vec<Ticket>,
    /// Number of those slots, with those that were taken and not answered.
    pub(super) unanswered: usize,
    /// Retrievals with keys that are still to be asked for.
    pub(super) asking: HashMap<Ticket, Asking>,
    /// Bytes of those.
    pub(super) asking_bytes: usize,
    /// Bytes of replies and requests that are held for clients.
    pub(super) held: usize,
    queues: Queues,
}

impl Downstream {
    /// No client yet.
    pub(super) fn new(settings: &Settings, fills: FillMemory) -> Self {
        Self {
            clients: Clients::default(),
            context: Context::new(settings, fills),
        }
    }

    /// Works by other settings, while nothing is under way.
    pub fn adopt(&mut self, settings: &Settings) {
        self.context.adopt(settings);
        self.clients.flag_tags.clear();
        for client in 0..self.clients.slab.capacity() as u32 {
            if self.clients.slab.contains(client as usize) {
                self.place(client, settings);
                // It may have waited.
                self.clients.mark_dirty(client);
            }
        }
    }

    /// Removes a client that is finished and owed nothing by a lane.
    pub fn remove(&mut self, client: u32) {
        let session = self.clients.slab.remove(client as usize);
        self.context.jobs.forget(client);
        self.clients.held -= session.counted as usize;
        self.context.pool.give(session.out);
        self.context.pool.give(session.inbox);
    }

    /// The session of a client, and what delivering to it needs.
    fn visit(&mut self, client: u32) -> (&mut Session, Desk<'_>) {
        let desk = Desk {
            client,
            dirty: &mut self.clients.dirty,
            counts: &mut self.context.counts,
            pool: &mut self.context.pool,
            queues: &mut self.clients.queues,
            held: &mut self.clients.held,
            now_us: self.context.clock.now_us,
        };
        (&mut self.clients.slab[client as usize], desk)
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
        let clock = self.context.clock;
        let kind = Kind::Single(work);
        let ticket = self.clients.push(client, verb, quiet, kind, clock);
        if holds_up {
            self.clients.slot(ticket).holds_up = true;
            self.clients.get(client).holding_up += 1;
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
        self.clients.slot(ticket).told = true;
        if quiet != Quiet::Noreply && !reply.is_empty() {
            self.stash(ticket, &[reply, b"\r\n"]);
        }
        ticket
    }

    /// Opens the slot of a request whose one reply may hold a large value.
    pub fn open_stream(&mut self, client: u32, verb: Verb, quiet: Quiet) -> Ticket {
        let (kind, clock) = (Kind::Stream(None), self.context.clock);
        self.clients.push(client, verb, quiet, kind, clock)
    }

    /// Opens a slot of a retrieval; `more` if the request goes on in the next.
    pub fn open_retrieve(&mut self, client: u32, verb: Verb, more: bool) -> Ticket {
        self.clients.get(client).parted += u32::from(more);
        let (kind, clock) = (Kind::Retrieve { more }, self.context.clock);
        self.clients.push(client, verb, Quiet::No, kind, clock)
    }

    /// Answers at once, in turn.
    pub fn answer(
        &mut self,
        client: u32,
        verb: Verb,
        quiet: Quiet,
        outcome: Outcome,
        reply: &[u8],
    ) {
        let ticket = self.open_fixed(client, verb, quiet, outcome, reply);
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
