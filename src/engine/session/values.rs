//! Values on their way to a client: looked at, counted and passed on.
//!
//! Large ones are copied into the client's buffer as small ones are. Writing
//! them from where they were read was tried: the copy costs less than the writes
//! that it saves.

use super::{Desk, END, Look, Sessions, Ticket};
use crate::engine::pool::Pool;
use crate::engine::tally::{Action, Outcome, Tally};
use crate::pickle::{Encoding, Sniffer, Verdict};
use crate::policy::Identity;

impl Sessions {
    /// A value of this size comes for a client.
    pub fn comes(&mut self, ticket: Ticket, len: usize) {
        let now_us = self.now_us;
        self.get(ticket.client).notice(len, now_us);
    }

    /// How many of a value's first bytes a look at it needs.
    pub fn bytes_needed(&self, look: Look, flags: u32, len: usize) -> usize {
        match look {
            Look::Away => 0,
            Look::Count | Look::Hide => self.encoding.bytes_needed(flags, len),
        }
    }

    /// A value's first bytes: counts it and says whether the client sees it.
    pub fn inspect(&mut self, ticket: Ticket, look: Look, flags: u32, start: &[u8]) -> bool {
        let identity = self.slab[ticket.client as usize].identity;
        let Self {
            sniffer,
            encoding,
            tally,
            ..
        } = self;
        inspect((sniffer, encoding, tally), identity, look, (flags, start))
    }

    /// Lets values of one retrieval be passed on to its slot, and maybe its end.
    pub(in crate::engine) fn values<R>(
        &mut self,
        ticket: Ticket,
        pass: impl FnOnce(&mut Values<'_>) -> R,
    ) -> R {
        let Self {
            slab,
            dirty,
            tally,
            sniffer,
            encoding,
            now_us,
            pool,
            queues,
            ..
        } = self;
        let session = &mut slab[ticket.client as usize];
        let at = session.place(ticket);
        let slot = &mut session.slots[at];
        let deaf = session.dead || slot.failed;
        let buffer = if at == 0 {
            &mut session.out
        } else {
            &mut slot.stash
        };
        if buffer.capacity() == 0 && !deaf {
            *buffer = pool.take();
        }
        let before = buffer.len();
        let mut values = Values {
            buffer,
            deaf,
            identity: session.identity,
            sniffer,
            encoding,
            tally,
            hits: 0,
            hidden: 0,
            finished: false,
            pool,
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
        if complete && slot.kind.ends_values() && !deaf {
            buffer.extend_from_slice(END);
        }
        let added = buffer.len() - before;
        let counts = tally.requests_of(session.origin, slot.verb);
        counts[Outcome::Hit as usize] += hits;
        counts[Outcome::Hidden as usize] += hidden;
        if at > 0 {
            session.waiting += added;
        }
        let mut desk = Desk {
            client: ticket.client,
            dirty,
            tally,
            pool,
            queues,
            now_us: *now_us,
        };
        session.wrote(at == 0 && added > 0, &mut desk);
        if complete {
            session.complete(at, &mut desk);
        }
        result
    }
}

/// Where the values of one slot go, and how they are looked at.
pub(in crate::engine) struct Values<'s> {
    buffer: &'s mut Vec<u8>,
    /// Nobody gets to see them.
    deaf: bool,
    identity: Identity,
    sniffer: &'s mut Sniffer,
    encoding: &'s Encoding,
    tally: &'s mut Tally,
    hits: u64,
    hidden: u64,
    /// All that the slot's lane owed it is in.
    pub(in crate::engine) finished: bool,
    /// What nobody uses.
    pub(in crate::engine) pool: &'s mut Pool,
}

impl Values<'_> {
    /// Counts a value by its client flags and first bytes; says whether the
    /// client may see it.
    #[inline]
    pub(in crate::engine) fn admit(&mut self, look: Look, seen: (u32, &[u8])) -> bool {
        let looker = (&mut *self.sniffer, self.encoding, &mut *self.tally);
        let visible = inspect(looker, self.identity, look, seen);
        if visible {
            self.hits += 1;
        } else {
            self.hidden += 1;
        }
        visible
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

/// Looks at a value's flags and first bytes: counts it and says whether the
/// client sees it.
// Once for each value: a call would take as many instructions as the look.
#[allow(clippy::inline_always)]
#[inline(always)]
fn inspect(
    (sniffer, encoding, tally): (&mut Sniffer, &Encoding, &mut Tally),
    Identity { space, reader }: Identity,
    look: Look,
    (flags, start): (u32, &[u8]),
) -> bool {
    if look == Look::Away {
        return true;
    }
    let Some(header) = sniffer.sniff(encoding, flags, start) else {
        return true;
    };
    let verdict = reader.verdict(header);
    let hidden = verdict == Verdict::Unloadable && look == Look::Hide;
    let action = if hidden {
        Action::Hidden
    } else {
        Action::Served
    };
    tally.read(space, header.protocol, verdict, action);
    !hidden
}
