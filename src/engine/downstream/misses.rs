//! Misses: remembered, so that a write that follows is known to fill them, and
//! followed by questions for the copies of others.

use super::Downstream;
use crate::engine::counts::Outcome;
use crate::engine::meta::{MetaReply, asked_flags};
use crate::engine::steps::Next;
use crate::engine::ticket::Ticket;
use crate::policy::OnMiss;

impl Downstream {
    /// A client key was missed: a write that follows soon fills it.
    pub fn note_miss(&mut self, ticket: Ticket, client_key: &[u8]) {
        let space = self.clients.slot(ticket).who.identity.space;
        self.context
            .fills
            .note(space, client_key, self.context.clock.now_us);
    }

    /// A client key was read that was not there.
    pub(in crate::engine) fn count_miss(&mut self, ticket: Ticket, client_key: &[u8]) {
        let space = self.clients.slot(ticket).who.identity.space;
        self.context.families.read(client_key, space, None);
    }

    /// A key of a retrieval is nowhere that its client may read it from.
    pub(in crate::engine) fn miss(&mut self, ticket: Ticket, client_key: &[u8], on_miss: OnMiss) {
        if on_miss.contains(OnMiss::NOTE) {
            self.note_miss(ticket, client_key);
        }
        self.count_miss(ticket, client_key);
        self.count_slot(ticket, Outcome::Miss);
    }

    /// Whether a write of a client fills what was missed a moment ago.
    pub fn is_fill(&mut self, client: u32, client_key: &[u8]) -> bool {
        let space = self.clients.slab[client as usize].who.identity.space;
        self.context
            .fills
            .take(space, client_key, self.context.clock.now_us)
    }

    /// Has the copies of others asked for, for a slot that waits for them, too.
    pub(in crate::engine) fn read_through(
        &mut self,
        ticket: Ticket,
        client_key: &[u8],
        on_miss: OnMiss,
    ) {
        self.clients.expect(ticket);
        let key = self.context.pool.keep(client_key);
        self.clients
            .steps
            .push(Next::Through(ticket, key, on_miss, 0));
    }

    /// Has the next copy of another asked for as the one before was.
    pub(in crate::engine) fn ask_on(
        &mut self,
        ticket: Ticket,
        meta: &MetaReply,
        client_key: &[u8],
        request: &[u8],
    ) {
        self.clients.expect(ticket);
        let key = self.context.pool.keep(client_key);
        let flags = self.context.pool.copy_line(asked_flags(request));
        let meta = meta.of_another();
        self.clients
            .steps
            .push(Next::ThroughMeta(ticket, key, meta, flags));
    }
}
