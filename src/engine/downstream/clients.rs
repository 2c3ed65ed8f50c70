//! The clients by themselves: found by number, with the slots of their requests. Judges
//! and counts nothing.

use super::Clients;
use super::session::{MIN_MOVED_BYTES, Session};
use super::slot::{Kind, Slot, Work};
use crate::engine::context::Clock;
use crate::engine::pool::Pool;
use crate::engine::steps::{Found, Stage, Stepwise};
use crate::engine::ticket::{Quiet, Ticket};
use crate::engine::who::Who;
use crate::policy::{RuntimeTag, Source, Tag};
use crate::protocol::request::Verb;

use std::sync::Arc;

impl Clients {
    /// The session of a client.
    pub fn get(&mut self, client: u32) -> &mut Session {
        &mut self.slab[client as usize]
    }

    /// Whether no client is owed a reply that is not here.
    pub fn are_idle(&self) -> bool {
        self.slab.iter().all(|(_, session)| session.is_idle())
    }

    /// Takes a client's own word for what runs it.
    pub fn hear(&mut self, client: u32, runtime: RuntimeTag) {
        let known = self.slab[client as usize].known.get_or_insert_default();
        let source = Source::Hello;
        Arc::make_mut(known).told.tell(Tag { runtime, source });
    }

    /// Notes that a client has something new.
    pub fn mark_dirty(&mut self, client: u32) {
        let session = &mut self.slab[client as usize];
        if !session.dirty {
            session.dirty = true;
            self.dirty.push_back(client);
        }
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
    pub(in crate::engine) fn sent(&mut self, client: u32, bytes: usize, pool: &mut Pool) {
        let session = &mut self.slab[client as usize];
        session.sent += bytes;
        if session.sent == session.out.len() {
            session.sent = 0;
            let out = std::mem::take(&mut session.out);
            pool.give(out);
        } else if session.sent >= MIN_MOVED_BYTES.max(session.out.len() / 2) {
            let sent = std::mem::take(&mut session.sent);
            session.out.drain(..sent);
        }
        session.count_held(&mut self.held);
    }

    // Slots ----------------------------------------------------------------

    /// Opens a slot, which waits from now on.
    #[inline]
    pub(super) fn push(
        &mut self,
        client: u32,
        verb: Verb,
        quiet: Quiet,
        kind: Kind,
        clock: Clock,
    ) -> Ticket {
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
            started_us: clock.now_us,
            since_us: clock.steady_us,
            holds_up: false,
            is_asking: false,
            is_late: false,
            came: 0,
            stash: Vec::new(),
            held: None,
        });
        Ticket { client, slot }
    }

    pub(super) fn slot(&mut self, ticket: Ticket) -> &mut Slot {
        let session = &mut self.slab[ticket.client as usize];
        let at = session.place(ticket);
        &mut session.slots[at]
    }

    /// The client of a request, as it was taken for when it asked.
    pub fn who(&mut self, ticket: Ticket) -> Who {
        self.slot(ticket).who
    }

    /// Whether a client has nothing under way but the request of this slot.
    pub fn is_alone(&self, ticket: Ticket) -> bool {
        self.slab[ticket.client as usize].slots.len() == 1
    }

    /// Whether nothing that is written for a slot reaches anybody.
    pub(super) fn is_deaf(&mut self, ticket: Ticket) -> bool {
        self.slab[ticket.client as usize].is_dead() || self.slot(ticket).failed
    }

    /// Has a slot wait for one more upstream reply; since when it waits.
    pub fn expect(&mut self, ticket: Ticket) -> u64 {
        let slot = self.slot(ticket);
        slot.pending += 1;
        slot.since_us
    }

    /// Since when a slot waits for its upstream.
    pub fn since(&mut self, ticket: Ticket) -> u64 {
        self.slot(ticket).since_us
    }

    // Changes in steps -----------------------------------------------------

    /// Takes a change whose reply still decides about the copies of others off a slot
    /// that is not to wait for it any longer.
    pub(in crate::engine) fn take_undecided(&mut self, ticket: Ticket) -> Option<Box<Stepwise>> {
        let Kind::Single(work) = &mut self.slot(ticket).kind else {
            return None;
        };
        match work {
            Work::Change(change) if change.invalidates => {
                match std::mem::replace(work, Work::Pass) {
                    Work::Change(change) => Some(change),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// Tells a change what is in its way.
    pub fn probed(&mut self, ticket: Ticket, found: Found) {
        if let Kind::Single(Work::Change(change)) = &mut self.slot(ticket).kind {
            change.stage = Stage::Probed(found);
        }
    }
}
