//! Values on their way to a client: looked at, counted, and passed on by a
//! copy, or from where they were read if they are large.

use std::ops::Range;

use arrayvec::ArrayVec;

use super::{LARGE_BYTES, LARGE_US, Look, MAX_BACKLOG, Sessions, Ticket};
use crate::engine::pool::Pool;
use crate::engine::tally::{Action, Direction, Outcome, Tally, Writer};
use crate::pickle::{Encoding, Sniffer, Verdict};
use crate::policy::Identity;

/// Pieces of values from which on they are carried to their client from where
/// they were read, not copied.
pub(in crate::engine) const CARRIED_BYTES: usize = 4 << 10;
/// Pieces of one input that are carried; more are copied.
const MAX_CARRIED: usize = 64;
/// A piece of an input that stands between bytes of a client's `out`.
#[derive(Debug)]
pub(super) struct Carried {
    pub(super) client: u32,
    /// Its place in `out`.
    at: usize,
    /// Its place in the input.
    input: Range<usize>,
}

impl Sessions {
    /// A value of this size comes for a client.
    pub fn comes(&mut self, ticket: Ticket, len: usize) {
        if len >= LARGE_BYTES {
            self.get(ticket.client).bulk_until_us = self.now_us + LARGE_US;
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

    /// Lets values of one retrieval be passed on to its slot.
    pub(in crate::engine) fn values<R>(
        &mut self,
        ticket: Ticket,
        pass: impl FnOnce(&mut Values<'_>) -> R,
    ) -> R {
        let session = &mut self.slab[ticket.client as usize];
        let at = ticket.slot.wrapping_sub(session.first) as usize;
        let slot = &mut session.slots[at];
        let deaf = session.dead || slot.failed;
        let buffer = if at == 0 {
            &mut session.out
        } else {
            &mut slot.stash
        };
        if buffer.capacity() == 0 && !deaf {
            *buffer = self.pool.take();
        }
        let before = buffer.len();
        let mut values = Values {
            buffer,
            deaf,
            identity: session.identity,
            sniffer: &mut self.sniffer,
            encoding: &self.encoding,
            tally: &mut self.tally,
            hits: 0,
            hidden: 0,
            pool: &mut self.pool,
        };
        let result = pass(&mut values);
        let Values { hits, hidden, .. } = values;
        let added = buffer.len() - before;
        let counts = self.tally.requests_of(session.origin, slot.verb);
        counts[Outcome::Hit as usize] += hits;
        counts[Outcome::Hidden as usize] += hidden;
        if at > 0 {
            session.waiting += added;
        }
        let given_up = session.backlog() > MAX_BACKLOG;
        if at == 0 && added > 0 {
            self.mark_dirty(ticket.client);
        }
        if given_up {
            self.abort(ticket.client);
        }
        result
    }

    /// A piece of a value on its way, which stands at `origin` of the input, if
    /// it is to be sent from there.
    pub fn carry(&mut self, ticket: Ticket, piece: &[u8], origin: Option<usize>) {
        let front = self.slot(ticket).1;
        let deaf = self.is_deaf(ticket);
        let session = &self.slab[ticket.client as usize];
        // A client that is behind gets it in its turn.
        let carries = front
            && !deaf
            && piece.len() >= CARRIED_BYTES
            && session.unsent().len() < CARRIED_BYTES
            && self.carried.len() < MAX_CARRIED;
        match origin.filter(|_| carries) {
            Some(start) => self.carried.push(Carried {
                client: ticket.client,
                at: session.out.len(),
                input: start..start + piece.len(),
            }),
            None => self.bytes(ticket, &[piece]),
        }
    }

    /// Sends what was carried out of an input, and all that is unsent for the
    /// same clients, by `send`: it gets the pieces in their order and says how
    /// many bytes were taken, or `None` if the client is gone. What was not taken
    /// is kept.
    pub fn send_carried(
        &mut self,
        input: &[u8],
        mut send: impl FnMut(u32, &[&[u8]]) -> Option<usize>,
    ) {
        while let Some(client) = self.carried.first().map(|carried| carried.client) {
            let session = &self.slab[client as usize];
            let mut pieces = ArrayVec::<&[u8], { 2 * MAX_CARRIED + 1 }>::new();
            let mut from = session.sent;
            for carried in self
                .carried
                .iter()
                .filter(|carried| carried.client == client)
            {
                pieces.push(&session.out[from..carried.at]);
                pieces.push(&input[carried.input.clone()]);
                from = carried.at;
            }
            pieces.push(&session.out[from..]);
            let written = send(client, &pieces);
            let mut kept = self.pool.take();
            let mut taken = written.unwrap_or_default();
            for piece in pieces {
                let skipped = taken.min(piece.len());
                taken -= skipped;
                kept.extend_from_slice(&piece[skipped..]);
            }
            self.carried.retain(|carried| carried.client != client);
            let session = &mut self.slab[client as usize];
            session.sent = 0;
            let old = std::mem::replace(&mut session.out, kept);
            self.pool.give(old);
            if written.is_none() {
                self.abort(client);
            }
            self.mark_dirty(client);
        }
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
    /// What nobody uses.
    pub(in crate::engine) pool: &'s mut Pool,
}

impl Values<'_> {
    /// Passes a value on, or its head, if the client may see it; says whether.
    /// `seen` are its client flags and first bytes.
    #[inline]
    pub(in crate::engine) fn pass(
        &mut self,
        look: Look,
        seen: (u32, &[u8]),
        parts: &[&[u8]],
    ) -> bool {
        let looker = (&mut *self.sniffer, self.encoding, &mut *self.tally);
        let visible = inspect(looker, self.identity, look, seen);
        if !visible {
            self.hidden += 1;
            return false;
        }
        self.hits += 1;
        if !self.deaf {
            for part in parts {
                self.buffer.extend_from_slice(part);
            }
        }
        true
    }
}

/// Looks at a value's flags and first bytes: counts it and says whether the
/// client sees it.
#[inline]
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
    tally.pickle(space, Direction::Read, header.protocol);
    tally.read(space, Writer::of_protocol(header.protocol), verdict, action);
    !hidden
}
