//! Values on their way to a client: looked at, counted and passed on.
//!
//! Large ones are copied into the client's buffer as small ones are. Writing
//! them from where they were read was tried: the copy costs less than the writes
//! that it saves.

use super::Downstream;
use super::apart::push_rewritten;
use super::session::Desk;
use super::slot::END;
use crate::engine::context::Context;
use crate::engine::counts::Outcome;
use crate::engine::steps::Next;
use crate::engine::ticket::Ticket;
use crate::engine::value::judged::{Judged, Shown, ValueStart};
use crate::policy::{Identity, Look, OnMiss};

impl Downstream {
    /// A value of this size comes for a client.
    pub fn comes(&mut self, ticket: Ticket, len: usize) {
        let now_us = self.context.clock.now_us;
        let session = self.clients.get(ticket.client);
        session.notice(len, now_us);
        session.window.came(len);
        self.clients.slot(ticket).came += len as u64;
    }

    /// Looks at a value for the client of a ticket and counts the look.
    pub fn inspect(&mut self, ticket: Ticket, look: Look, value: ValueStart<'_>) -> Judged {
        let identity = self.clients.slot(ticket).who.identity;
        let judged = self.context.judge.judge_read(identity, look, value);
        self.context.counts.count_read(identity.space, &judged);
        judged
    }

    /// A client key was read, and this is what its client gets of the value that was
    /// just inspected.
    pub(in crate::engine) fn count_value(
        &mut self,
        ticket: Ticket,
        client_key: &[u8],
        judged: &Judged,
    ) {
        let space = self.clients.slot(ticket).who.identity.space;
        let value = Some((judged, &self.context.judge.blamed[..]));
        self.context.families.read(client_key, space, value);
    }

    /// Lets values of one retrieval be passed on to its slot, and maybe its end.
    pub(in crate::engine) fn values<R>(
        &mut self,
        ticket: Ticket,
        pass: impl FnOnce(&mut Values<'_>) -> R,
    ) -> R {
        let Self { clients, context } = self;
        let session = &mut clients.slab[ticket.client as usize];
        let at = session.place(ticket);
        let is_dead = session.is_dead();
        let slot = &mut session.slots[at];
        let deaf = is_dead || slot.failed;
        let to_client = at == 0 && slot.held.is_none();
        let buffer = match &mut slot.held {
            Some(held) => held.tail(),
            None if at == 0 => &mut session.out,
            None => &mut slot.stash,
        };
        if buffer.capacity() == 0 && !deaf {
            *buffer = context.pool.take();
        }
        let before = buffer.len();
        let mut values = Values {
            buffer,
            deaf,
            identity: slot.who.identity,
            context: &mut *context,
            hits: 0,
            hidden: 0,
            finished: false,
        };
        let result = pass(&mut values);
        let Values {
            hits,
            hidden,
            finished,
            ..
        } = values;
        slot.pending -= u32::from(finished);
        let complete = slot.pending == 0;
        if finished && slot.is_asking && slot.pending == 1 {
            clients.steps.push(Next::Ask(ticket));
        }
        if complete && slot.kind.ends_values() && !deaf {
            buffer.extend_from_slice(END);
        }
        let added = buffer.len() - before;
        let outcomes = [(Outcome::Hit, hits), (Outcome::Hidden, hidden)];
        context
            .counts
            .requests(slot.who.origin as usize, slot.verb, &outcomes);
        slot.came += added as u64;
        session.window.came(added);
        if !to_client {
            session.waiting += added;
        }
        // As `visit` does, without finding the session again.
        let mut desk = Desk {
            client: ticket.client,
            dirty: &mut clients.dirty,
            counts: &mut context.counts,
            pool: &mut context.pool,
            queues: &mut clients.queues,
            held: &mut clients.held,
            now_us: context.clock.now_us,
        };
        session.wrote(to_client && added > 0, &mut desk);
        if complete {
            session.complete(at, &mut desk);
        }
        result
    }
}

/// The way of values to one slot.
pub(in crate::engine) struct Values<'s> {
    buffer: &'s mut Vec<u8>,
    /// Nobody gets to see them.
    deaf: bool,
    identity: Identity,
    /// The counts, and the look at each value.
    pub(in crate::engine) context: &'s mut Context,
    hits: u64,
    hidden: u64,
    /// All that the slot's lane owed it is in.
    pub(in crate::engine) finished: bool,
}

impl Values<'_> {
    /// Looks at a value and counts it.
    #[inline]
    pub(in crate::engine) fn admit(
        &mut self,
        client_key: &[u8],
        look: Look,
        value: ValueStart<'_>,
    ) -> Shown {
        let judged = self.context.judge.judge_read(self.identity, look, value);
        match judged.shown {
            Shown::Later => return Shown::Later,
            Shown::Hidden => self.hidden += 1,
            Shown::AsIs | Shown::Rewritten(_) => self.hits += 1,
        }
        self.count(client_key, &judged);
        judged.shown
    }

    /// Looks at the copy of another, which is a hit or nothing.
    #[cold]
    pub(in crate::engine) fn admit_through(
        &mut self,
        client_key: &[u8],
        look: Look,
        value: ValueStart<'_>,
    ) -> Shown {
        let judged = self.context.judge.judge_read(self.identity, look, value);
        if matches!(judged.shown, Shown::Hidden | Shown::Later) {
            self.context.counts.count_read(self.identity.space, &judged);
        } else {
            self.hits += 1;
            self.count(client_key, &judged);
        }
        judged.shown
    }

    /// Counts the value of a key that is passed on.
    #[inline]
    fn count(&mut self, client_key: &[u8], judged: &Judged) {
        let reader = self.identity.space;
        self.context.counts.count_read(reader, judged);
        let value = Some((judged, &self.context.judge.blamed[..]));
        self.context.families.read(client_key, reader, value);
    }

    /// A hidden value is a miss to its client.
    #[cold]
    pub(in crate::engine) fn missed(&self, on_miss: OnMiss, client_key: &[u8]) {
        if on_miss.contains(OnMiss::NOTE) {
            self.context
                .fills
                .note(self.identity.space, client_key, self.context.clock.now_us);
        }
    }

    /// Passes on what takes a value's place; `tail` is what followed its key.
    #[cold]
    pub(in crate::engine) fn write_rewritten(&mut self, key: &[u8], flags: u32, tail: &[u8]) {
        if !self.deaf {
            push_rewritten(self.buffer, key, flags, tail, &self.context.judge.rewritten);
        }
    }

    /// Passes on a value that the client may see, or its head.
    #[inline]
    pub(in crate::engine) fn write(&mut self, parts: &[&[u8]]) {
        if !self.deaf {
            for part in parts {
                self.buffer.extend_from_slice(part);
            }
        }
    }
}
