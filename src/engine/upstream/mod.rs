//! One multiplexed upstream connection as a state machine: requests of many
//! clients in, replies to their tickets out. Knows no socket and no rule.
//!
//! Every request written here is answered exactly once, in order; so what is
//! owed is a queue. Values are checked against the key owed before a byte of
//! them reaches anybody: on a mismatch the caller drops the lane, which fails
//! all that was owed on it, so that a reply off by one can never become
//! another client's data.

mod fence;
mod front;
mod late;
mod lost;
mod metas;
mod open;
mod probe;
mod receive;
mod requests;
pub(super) mod server;
mod through;
mod values;

use std::collections::VecDeque;

use arrayvec::ArrayVec;

pub use front::UpstreamCounts;
pub use late::{Overdue, PIECE_TIMEOUTS};
pub(super) use requests::{MetaRequest, StoreHead, Target};

use fence::{End, Fence};
use front::{Intake, Reading};
use late::Late;
use metas::OwedMeta;
use open::Open;
use probe::Probe;
use through::Through;
use values::{OwedKey, Values};

use super::context::Clock;
use super::downstream::{Clients, Downstream};
use crate::engine::ticket::Ticket;
use crate::policy::SpaceId;
use crate::protocol::request::Verb;

/// Bytes of requests that may wait for an upstream's answers.
const MAX_WAITING_BYTES: usize = 64 << 20;
/// Bytes that may wait for it while too much waits for all upstreams of a worker.
const FEW_WAITING_BYTES: usize = 64 << 10;
/// Writes that may be under way before their replies.
const MAX_FLUSHES: usize = 4;
/// Answered request bytes that are kept before the rest is moved down.
const MAX_ANSWERED_BYTES: usize = 64 << 10;
/// Room for requests that a lane makes from the start: how far answers are behind is
/// chance, and no request of small values should have to wait for a larger buffer.
const ROOM_BYTES: usize = 2 * MAX_ANSWERED_BYTES;
/// Room that a lane may keep for the requests to come.
const MAX_IDLE_BYTES: usize = 1 << 20;
/// Time for which it may keep more after it needed that.
const WIDE_US: u64 = 1_000_000;
/// Requests that are asked one after another, in short lines, of an upstream that had no
/// room for replies.
const CAREFUL: u32 = 20_000;
/// Lists of keys that are kept, of 4 KiB at most each.
const MAX_KEY_LISTS: usize = 64;

/// One upstream connection.
#[derive(Debug, Default)]
pub struct Lane {
    /// Requests, from the oldest unanswered one on.
    wire: Vec<u8>,
    /// `0 <= answered <= written <= wire.len()`
    answered: usize,
    written: usize,
    /// Stream position of `wire[0]`.
    base: u64,
    /// End of the time in which it may keep more than [`MAX_IDLE_BYTES`].
    wide_until_us: u64,
    /// The retrieval that is still being asked for, behind all of that.
    open: Open,
    /// Stream positions up to which was written at once and not all answered.
    flushes: ArrayVec<u64, MAX_FLUSHES>,
    /// Requests that were not answered yet.
    owed: VecDeque<Owed>,
    /// Empty lists for the keys of retrievals to come.
    key_lists: Vec<Vec<OwedKey>>,
    /// Input that ends in the middle of something.
    inbox: Vec<u8>,
    intake: Intake,
    /// Time, by the steady clock, at which something came last or began to be owed.
    heard_us: u64,
    /// Time at which a reply or value was whole last, or something began to be owed.
    taken_us: u64,
    /// A time before which no request began to wait that is still owed its reply.
    oldest_us: u64,
    /// Whether the end of a retrieval has to be marked.
    fence: Fence,
    /// Requests that are still to be asked one after another.
    careful: u32,
    /// Keys of retrievals that are owed.
    keys: usize,
    /// Whether too much waits for all upstreams together.
    pub(super) crowded: bool,
    /// Counts since the start, which outlive each connection.
    pub counts: UpstreamCounts,
}

/// A request that was not answered yet.
#[derive(Debug)]
struct Owed {
    /// Stream position of its first byte.
    start: u64,
    reply: Reply,
    /// Whether a connection was lost with it already: no request is asked three times.
    retried: bool,
}

/// A reply that is owed, by its kind. Kinds of more than a line have their own files.
// A tag of its own: reading one from the niches of its kinds took ten instructions a reply.
#[derive(Debug)]
#[repr(u8)]
enum Reply {
    /// Values, then `END`.
    Values(Values),
    /// Anything that nobody waits for any more.
    Late(Late),
    /// One line.
    Line { ticket: Ticket, verb: Verb },
    /// One line for the deletion of a sibling.
    Sibling {
        ticket: Ticket,
        verb: Verb,
        target: SpaceId,
    },
    /// One line, or `VA` and a value.
    Meta(OwedMeta),
    /// A value that is only looked at.
    Probe(Probe),
    /// Lines up to `END`, of the server of this number.
    Stats { ticket: Ticket, server: usize },
    /// Copies of others, then `END`.
    Through(Through),
}

impl Reply {
    /// The slot that waits for it, if a single one does.
    pub(super) fn ticket(&self) -> Option<Ticket> {
        match self {
            Self::Values(_) | Self::Late(_) => None,
            Self::Meta(OwedMeta { ticket, .. })
            | Self::Probe(Probe { ticket, .. })
            | Self::Through(Through { ticket, .. })
            | Self::Line { ticket, .. }
            | Self::Sibling { ticket, .. }
            | Self::Stats { ticket, .. } => Some(*ticket),
        }
    }

    /// Whether asking again changes nothing.
    fn is_read(&self) -> bool {
        match self {
            Self::Values(values) => matches!(values.verb, Verb::Get | Verb::Gets),
            Self::Meta(owed) => owed.meta.is_read,
            Self::Through(_) => true,
            _ => false,
        }
    }

    /// The state of its end, if it is that of a retrieval.
    fn end(&self) -> Option<&End> {
        match self {
            Self::Values(Values { end, .. }) | Self::Through(Through { end, .. }) => Some(end),
            _ => None,
        }
    }

    /// The verb of its request, as it was sent.
    fn verb(&self) -> Verb {
        match self {
            Self::Line { verb, .. }
            | Self::Sibling { verb, .. }
            | Self::Values(Values { verb, .. })
            | Self::Late(Late { verb, .. }) => *verb,
            Self::Meta(OwedMeta { meta, .. }) => meta.verb,
            Self::Probe(Probe { by_meta: true, .. }) => Verb::Mg,
            Self::Probe(_) => Verb::Gets,
            Self::Through(_) => Verb::Get,
            Self::Stats { .. } => Verb::Stats,
        }
    }
}

impl Lane {
    // What waits -----------------------------------------------------------

    /// Bytes to be written now: none while `MAX_FLUSHES` are under way. What
    /// comes meanwhile goes in one piece later, which costs both ends less.
    pub fn unwritten(&mut self) -> &[u8] {
        if self.careful > 0 {
            self.close();
            let first = self.owed.get(1).map_or(self.end(), |owed| owed.start);
            let end = ((first - self.base) as usize).max(self.written);
            return &self.wire[self.written..end];
        }
        if self.flushes.is_full() {
            return &[];
        }
        self.close();
        &self.wire[self.written..]
    }

    /// Bytes to be written now as one record of TLS: whole requests of `limit` bytes
    /// together, or what is left of a longer one.
    ///
    /// memcached until May 2025 may not see a request that came in one record with the
    /// end of a value: of that it reads what belongs to the value, then it waits for
    /// the socket, though the rest is in its memory already. So no record may hold
    /// the end of a request and the beginning of another, unless both are whole.
    pub fn unwritten_piece(&mut self, limit: usize) -> &[u8] {
        let unwritten = self.unwritten().len();
        let from = self.sent();
        let started = |at: u64| self.owed.partition_point(|owed| owed.start <= at);
        let next = started(from);
        let is_amid = next == 0 || self.owed[next - 1].start < from;
        let beyond = started(from + limit as u64);
        let end = if !is_amid && unwritten <= limit {
            self.end()
        } else if !is_amid && beyond > next {
            self.owed[beyond - 1].start
        } else {
            self.owed.get(next).map_or(self.end(), |owed| owed.start)
        };
        let piece = unwritten.min((end - from) as usize);
        &self.wire[self.written..][..piece]
    }

    /// Notes that bytes were written.
    pub fn wrote(&mut self, bytes: usize) {
        self.written += bytes;
        if bytes > 0 && self.written == self.wire.len() {
            self.flushes.push(self.end());
        }
    }

    /// Whether so much waits for the upstream that no more may.
    pub fn is_full(&self) -> bool {
        let most = if self.crowded {
            FEW_WAITING_BYTES
        } else {
            MAX_WAITING_BYTES
        };
        self.wire.len() > most
    }

    /// Bytes that it holds.
    pub fn held(&self) -> usize {
        self.wire.len() + self.inbox.len() + self.keys * size_of::<OwedKey>()
    }

    /// The slot that gets the next reply or value, if anybody waits for it.
    pub fn next_ticket(&self) -> Option<Ticket> {
        let ticket = match (
            self.intake.reading,
            self.owed.front().map(|owed| &owed.reply),
        ) {
            (Reading::Body { ticket, .. }, _) => ticket,
            (_, Some(Reply::Values(values))) => values.owed().first()?.ticket,
            (_, Some(reply)) => reply.ticket()?,
            (_, None) => return None,
        };
        (ticket != Ticket::NOBODY).then_some(ticket)
    }

    /// Whether nothing is owed.
    pub fn is_idle(&self) -> bool {
        self.in_flight() == 0
    }

    /// Whether a value is here that there is no room for yet, as too many are looked at
    /// apart. Nothing is to be read until it is taken.
    pub fn is_parked(&self) -> bool {
        self.intake.parked
    }

    /// Requests that were not answered yet.
    pub fn in_flight(&self) -> usize {
        self.owed.len() + usize::from(!self.open.keys.is_empty())
    }

    /// Stream position behind the last request.
    fn end(&self) -> u64 {
        self.base + self.wire.len() as u64
    }

    /// Stream position behind what was written to the upstream.
    fn sent(&self) -> u64 {
        self.base + self.written as u64
    }

    /// Queues the reply to a request of a client that is about to be written.
    #[inline]
    fn owe(&mut self, downstream: &mut Downstream, ticket: Ticket, reply: Reply) {
        let since_us = downstream.clients.expect(ticket);
        let start = self.enter(downstream, ticket, since_us);
        self.push_owed(start, reply);
    }

    /// Makes way for a request that waits since then; the stream position where it starts.
    #[inline]
    fn enter(&mut self, downstream: &Downstream, ticket: Ticket, since_us: u64) -> u64 {
        self.keep_order(&downstream.clients, ticket);
        self.begin(downstream.context.clock, since_us);
        self.counts.requests += 1;
        self.end()
    }

    /// Notes that a request waits for this lane since then.
    #[inline]
    fn begin(&mut self, clock: Clock, since_us: u64) {
        // An upstream that was asked nothing was not silent.
        if self.is_idle() {
            self.excuse(clock.steady_us);
        }
        self.oldest_us = self.oldest_us.min(since_us);
    }

    /// Ends the line of the retrieval that is owed last, and marks its end if need be.
    fn end_values(&mut self) {
        self.wire.extend_from_slice(b"\r\n");
        let last = self.owed.back().and_then(|owed| owed.reply.end());
        if last.is_some_and(|end| end.marked) {
            self.wire.extend_from_slice(fence::MARK);
        }
    }

    /// Closes the open retrieval if a further request of this client would overtake its
    /// own keys in it. Requests of other clients may: nobody was told of either.
    fn keep_order(&mut self, clients: &Clients, ticket: Ticket) {
        if !clients.is_alone(ticket) && self.is_open_for(ticket.client) {
            self.close();
        }
    }

    /// Queues the reply to a request that starts at this stream position.
    #[inline]
    fn push_owed(&mut self, start: u64, reply: Reply) {
        self.owed.push_back(Owed {
            start,
            reply,
            retried: false,
        });
    }

    // Answers --------------------------------------------------------------

    /// Takes the front request off the queue, whose reply is whole, and gives back what
    /// it held.
    fn answered(&mut self, downstream: &mut Downstream) {
        self.taken_us = downstream.context.clock.steady_us;
        self.careful = self.careful.saturating_sub(1);
        match self.owed.front_mut().map(|owed| &mut owed.reply) {
            Some(Reply::Values(Values { keys, .. })) => {
                self.keys -= keys.len();
                if self.key_lists.len() < MAX_KEY_LISTS {
                    keys.clear();
                    self.key_lists.push(std::mem::take(keys));
                }
            }
            Some(Reply::Meta(owed)) => owed.meta.restore.give_back(&mut downstream.context.pool),
            Some(Reply::Through(through)) => {
                through.restore.give_back(&mut downstream.context.pool);
            }
            _ => {}
        }
        self.owed.pop_front();
        self.answered = match self.owed.front() {
            // A refusal may come before all of its request was written.
            Some(next) => self.written.min((next.start - self.base) as usize),
            None => self.written,
        };
        let answered = self.base + self.answered as u64;
        self.flushes.retain(|end| *end > answered);
    }

    /// Drops the bytes of answered requests, seldom enough to cost nothing.
    fn forget_answered(&mut self, now_us: u64) {
        if self.answered == self.wire.len() {
            if self.wire.len() > MAX_IDLE_BYTES {
                self.wide_until_us = now_us + WIDE_US;
            }
            self.base += self.wire.len() as u64;
            self.wire.clear();
            if self.wire.capacity() < ROOM_BYTES {
                self.wire.reserve(ROOM_BYTES);
            }
            self.answered = 0;
            self.written = 0;
            if self.wire.capacity() > MAX_IDLE_BYTES && now_us >= self.wide_until_us {
                self.wire.shrink_to(MAX_IDLE_BYTES);
            }
        } else if self.answered > MAX_ANSWERED_BYTES && self.answered > self.wire.len() / 2 {
            self.wire.drain(..self.answered);
            self.base += self.answered as u64;
            self.written -= self.answered;
            self.answered = 0;
        }
    }
}
