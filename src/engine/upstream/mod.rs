//! One multiplexed upstream connection as a state machine: requests of many
//! clients in, replies to their tickets out.
//!
//! Every request written here is answered exactly once, in order; so what is
//! owed is a queue. Values are checked against the key owed before a byte of
//! them reaches anybody: on a mismatch the caller drops the lane, which fails
//! all that was owed on it, so that a reply off by one can never become
//! another client's data.

mod fence;
mod late;
mod probe;
mod replies;
mod requests;
pub(super) mod server;

use std::collections::{HashMap, VecDeque};

use arrayvec::ArrayVec;

pub use late::{Overdue, PIECE_TIMEOUTS};
pub(super) use requests::{MetaRequest, StoreHead, Target};

use fence::Fence;
use late::After;

use super::counts::Closed;
use super::downstream::Sessions;
use super::meta::{MetaReply, OwedRestore, asked_flags, asked_key, miss_line};
use super::steps::Found;
use crate::engine::ticket::Ticket;
use crate::policy::{Look, OnMiss, SpaceId};
use crate::protocol::Tokens;
use crate::protocol::request::Verb;

/// Bytes of requests that may wait for an upstream's answers.
const MAX_WAITING_BYTES: usize = 64 << 20;
/// The same while too much waits for all of a worker's.
const FEW_WAITING_BYTES: usize = 64 << 10;
/// Writes that may be under way before their replies.
const MAX_FLUSHES: usize = 4;
/// Answered request bytes that are kept before the rest is moved down.
const MAX_ANSWERED_BYTES: usize = 64 << 10;
/// What a lane makes room for from the start: how far answers are behind is chance,
/// and no request of small values should have to wait for a larger buffer.
const ROOM_BYTES: usize = 2 * MAX_ANSWERED_BYTES;
/// What a lane may hold for the requests to come, and for how long it may hold
/// more after it needed that.
const MAX_IDLE_BYTES: usize = 1 << 20;
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
    /// Until when it may hold more than [`MAX_IDLE_BYTES`].
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
    reading: Reading,
    /// Bytes without which the inbox says nothing new: a value that is looked at whole.
    lacking: usize,
    /// A value is here that there is no room for yet.
    parked: bool,
    /// When something came last or began to be owed, by the steady clock.
    heard_us: u64,
    /// The same of whole replies and values.
    taken_us: u64,
    /// No request that is owed a reply waits for longer than since then.
    oldest_us: u64,
    /// Whether the end of a retrieval has to be marked.
    fence: Fence,
    /// Requests that are still to be asked one after another.
    careful: u32,
    /// The last error among the values of the front retrieval.
    error: Vec<u8>,
    /// Keys of retrievals that are owed.
    keys: usize,
    /// Too much waits for all upstreams together.
    pub(super) crowded: bool,
    /// Requests of clients since the start, retrievals once per key.
    pub requests: u64,
    /// Those of them that were not answered by the upstream.
    pub lost: u64,
    /// Reads and keys of reads among those that were answered as misses.
    pub softened: u64,
}

#[derive(Debug)]
struct Owed {
    /// Stream position of its first byte.
    start: u64,
    reply: Reply,
    retried: bool,
}

#[derive(Debug)]
enum Reply {
    /// Values of the keys after the first `answered`, then `END`.
    Values {
        verb: Verb,
        keys: Vec<OwedKey>,
        answered: usize,
        end: fence::End,
    },
    /// What nobody waits for any more, and what is still to be done about it.
    Late {
        verb: Verb,
        after: After,
        end: fence::End,
    },
    /// One line.
    Line { ticket: Ticket, verb: Verb },
    /// One line for the deletion of a sibling.
    Sibling {
        ticket: Ticket,
        verb: Verb,
        target: SpaceId,
    },
    /// One line, or `VA` and a value.
    Meta { ticket: Ticket, meta: MetaReply },
    /// A value that is only looked at, then `END`, or `VA` and that value if it is asked
    /// for by `mg`: what was found. Told elsewhere if it is looked at apart.
    Probe {
        ticket: Ticket,
        look: Look,
        found: Found,
        apart: bool,
        by_meta: bool,
    },
    /// Lines up to `END`, of the server of this number.
    Stats { ticket: Ticket, server: usize },
    /// Copies of others of a key that the own namespace does not hold, then
    /// `END`: the first that can be loaded is passed on.
    Through {
        ticket: Ticket,
        /// The client key, kept.
        restore: OwedRestore,
        look: Look,
        on_miss: OnMiss,
        /// Copies that were asked for before these.
        first: usize,
        /// Nothing more comes of it: a copy was passed on, or is looked at apart.
        served: bool,
        end: fence::End,
    },
}

#[derive(Debug)]
struct OwedKey {
    ticket: Ticket,
    /// Place of the physical key in its line.
    at: u32,
    len: u8,
    look: Look,
    on_miss: OnMiss,
    /// Whether it is the last of its ticket.
    last: bool,
    restore: OwedRestore,
}

impl OwedKey {
    /// The key, where its line begins.
    fn physical<'w>(&self, line: &'w [u8]) -> &'w [u8] {
        let start = self.at as usize;
        &line[start..start + usize::from(self.len)]
    }
}

/// A retrieval that may still grow: keys of many clients in one line, which
/// memcached answers at a fraction of the cost of many lines.
#[derive(Debug)]
struct Open {
    verb: Verb,
    /// As far as it goes, without its line end.
    line: Vec<u8>,
    /// Where its first key begins.
    head: usize,
    /// Bytes past which it takes no further key.
    limit: usize,
    keys: Vec<OwedKey>,
}

impl Default for Open {
    fn default() -> Self {
        Self {
            verb: Verb::Get,
            line: Vec::new(),
            head: 0,
            limit: 0,
            keys: Vec::new(),
        }
    }
}

/// What the next input byte belongs to.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// The first line of a reply.
    #[default]
    Head,
    /// A value: bytes still to come without its line end, and whether they are
    /// passed on.
    Body {
        ticket: Ticket,
        left: usize,
        visible: bool,
    },
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

    /// The same in pieces, for an upstream by TLS: whole requests of `limit` bytes
    /// together, or what is left of a longer one.
    ///
    /// memcached until May 2025 may not see a request that came in one record with the
    /// end of a value: of that it reads what belongs to the value, then it waits for
    /// the socket, though the rest is in its memory already. So no record may hold
    /// the end of a request and the beginning of another, unless both are whole.
    pub fn unwritten_piece(&mut self, limit: usize) -> &[u8] {
        let unwritten = self.unwritten().len();
        let from = self.base + self.written as u64;
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

    /// Whose reply comes next, if anybody waits for it.
    pub fn next_ticket(&self) -> Option<Ticket> {
        let ticket = match (self.reading, self.owed.front().map(|owed| &owed.reply)) {
            (Reading::Body { ticket, .. }, _) => ticket,
            (_, Some(Reply::Values { keys, answered, .. })) => keys.get(*answered)?.ticket,
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
        self.parked
    }

    /// Requests that were not answered yet.
    pub fn in_flight(&self) -> usize {
        self.owed.len() + usize::from(!self.open.keys.is_empty())
    }

    fn end(&self) -> u64 {
        self.base + self.wire.len() as u64
    }

    /// One more reply is owed, to a request that starts here.
    #[inline]
    fn owe(&mut self, sessions: &mut Sessions, ticket: Ticket, reply: Reply) {
        self.keep_order(sessions, ticket);
        let since_us = sessions.expect(ticket);
        self.begin(sessions, since_us);
        self.requests += 1;
        self.push_owed(reply);
    }

    /// Something of this lane is waited for, since then.
    #[inline]
    fn begin(&mut self, sessions: &Sessions, since_us: u64) {
        if self.is_idle() {
            self.excuse(sessions.steady_us);
        }
        self.oldest_us = self.oldest_us.min(since_us);
    }

    /// Writes what is behind the keys of a retrieval that is owed last.
    fn end_values(&mut self) {
        self.wire.extend_from_slice(b"\r\n");
        if let Some(Reply::Values { end, .. } | Reply::Through { end, .. }) =
            self.owed.back().map(|owed| &owed.reply)
            && end.marked
        {
            self.wire.extend_from_slice(fence::MARK);
        }
    }

    /// Requests of other clients may overtake the open retrieval: nobody was
    /// told of either. A client's own may not.
    fn keep_order(&mut self, sessions: &Sessions, ticket: Ticket) {
        if !sessions.is_alone(ticket) && self.is_open_for(ticket.client) {
            self.close();
        }
    }

    /// Whether the open retrieval has keys of a client.
    fn is_open_for(&self, client: u32) -> bool {
        // A client that asks again has asked last.
        let mut last = self.open.keys.iter().rev();
        last.any(|key| key.ticket.client == client)
    }

    /// Whether the open retrieval has keys of a client, behind those of others.
    pub fn is_joined_by(&self, client: u32) -> bool {
        let first = self.open.keys.first();
        first.is_some_and(|key| key.ticket.client != client) && self.is_open_for(client)
    }

    /// Lets the open retrieval grow no more.
    fn close(&mut self) {
        if self.open.keys.is_empty() {
            return;
        }
        let next = self.key_lists.pop().unwrap_or_default();
        self.keys += self.open.keys.len();
        let end = self.fence.next_end(self.open.keys.len());
        let reply = Reply::Values {
            verb: self.open.verb,
            keys: std::mem::replace(&mut self.open.keys, next),
            answered: 0,
            end,
        };
        self.push_owed(reply);
        self.wire.extend_from_slice(&self.open.line);
        self.end_values();
    }

    #[inline]
    fn push_owed(&mut self, reply: Reply) {
        let start = self.end();
        self.owed.push_back(Owed {
            start,
            reply,
            retried: false,
        });
    }

    // Answers --------------------------------------------------------------

    /// The front request is done with.
    fn answered(&mut self, sessions: &mut Sessions) {
        self.taken_us = sessions.steady_us;
        self.careful = self.careful.saturating_sub(1);
        match self.owed.front_mut().map(|owed| &mut owed.reply) {
            Some(Reply::Values { keys, .. }) => {
                self.keys -= keys.len();
                if self.key_lists.len() < MAX_KEY_LISTS {
                    keys.clear();
                    self.key_lists.push(std::mem::take(keys));
                }
            }
            Some(Reply::Meta { meta, .. }) => meta.restore.give_back(&mut sessions.pool),
            Some(Reply::Through { restore, .. }) => restore.give_back(&mut sessions.pool),
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

    // The end --------------------------------------------------------------

    /// Has no read that is owed answered as a miss, whatever its rule says.
    pub fn fail_reads(&mut self) {
        self.close();
        for owed in &mut self.owed {
            match &mut owed.reply {
                Reply::Values { keys, .. } => {
                    for key in keys {
                        key.on_miss.remove(OnMiss::SOFT);
                    }
                }
                Reply::Meta { meta, .. } => meta.on_miss.remove(OnMiss::SOFT),
                Reply::Through { on_miss, .. } => on_miss.remove(OnMiss::SOFT),
                _ => {}
            }
        }
    }

    /// The connection is gone: answers what was owed, with an error or, where the
    /// rule says so, reads as misses. Reads that nobody saw a byte of are kept, once,
    /// to be written again on the next connection; writes never, for they may have
    /// taken effect, nor the reads before them, which would see what their client
    /// asked for later.
    pub fn reset(&mut self, sessions: &mut Sessions, error: &[u8], retry: bool) {
        if let Reading::Body {
            ticket, visible, ..
        } = self.reading
        {
            if visible {
                // Half a value is out: only closing tells the client.
                sessions.give_up(ticket.client, Closed::Upstream);
            }
            self.value_done(sessions);
        }
        self.close();
        let mut old = std::mem::take(self);
        let last_changes = old.last_changes();
        self.base = old.base;
        self.requests = old.requests;
        self.lost = old.lost;
        self.softened = old.softened;
        self.fence = old.fence.after_loss(&old.owed);
        self.careful = old.careful;
        self.heard_us = sessions.steady_us;
        self.taken_us = sessions.steady_us;
        while let Some(mut owed) = old.owed.pop_front() {
            let again = retry && !std::mem::replace(&mut owed.retried, true);
            let start = owed.start;
            let keeps = |ticket: Ticket| {
                let change = last_changes.get(&ticket.client);
                again && change.is_none_or(|&change| change < start)
            };
            let line = &old.wire[(owed.start - old.base) as usize..];
            match owed.reply {
                Reply::Values {
                    verb,
                    mut keys,
                    answered,
                    ..
                } => {
                    keys.drain(..answered);
                    keys.retain(|key| key.ticket != Ticket::NOBODY);
                    let is_read = matches!(verb, Verb::Get | Verb::Gets);
                    let (kept, lost): (Vec<_>, Vec<_>) = keys
                        .into_iter()
                        .partition(|key| is_read && keeps(key.ticket));
                    let mut kept = kept;
                    while !kept.is_empty() {
                        let rest = kept.split_off(kept.len().min(self.most_keys()));
                        self.adopt_values(owed.retried, verb, kept, line);
                        kept = rest;
                    }
                    self.lost += u64::from(!lost.is_empty());
                    for key in lost {
                        self.give_up_key(sessions, &key, error);
                    }
                }
                Reply::Meta { ticket, ref meta } if meta.is_read && keeps(ticket) => {
                    self.adopt_line(owed, &old);
                }
                Reply::Through {
                    ticket,
                    served: false,
                    ..
                } if keeps(ticket) => self.adopt_line(owed, &old),
                reply => self.give_up_reply(sessions, reply, line, error),
            }
        }
    }

    /// A key of a retrieval will not be answered: a miss or an error.
    fn give_up_key(&mut self, sessions: &mut Sessions, key: &OwedKey, error: &[u8]) {
        if key.on_miss.contains(OnMiss::SOFT) {
            self.softened += 1;
            sessions.count_upstream_misses(key.ticket, 1);
        } else {
            sessions.fail(key.ticket, error);
        }
        if key.last {
            sessions.finish(key.ticket);
        }
    }

    /// The same of a request that is no retrieval, whose line begins with `line`.
    fn give_up_reply(&mut self, sessions: &mut Sessions, reply: Reply, line: &[u8], error: &[u8]) {
        self.lost += u64::from(!matches!(reply, Reply::Late { .. }));
        match reply {
            Reply::Values { .. } | Reply::Late { .. } => {}
            Reply::Sibling { ticket, target, .. } => sessions.sibling(ticket, target, error),
            Reply::Meta { ticket, meta } if meta.on_miss.contains(OnMiss::SOFT) => {
                self.softened += 1;
                match asked_key(line) {
                    Some(physical) => {
                        let miss = miss_line(&meta, &physical, Tokens::new(asked_flags(line)));
                        sessions.miss_for_upstream(ticket, &miss);
                    }
                    None => sessions.fail(ticket, error),
                }
                sessions.finish(ticket);
            }
            Reply::Through {
                ticket,
                on_miss,
                served,
                ..
            } if on_miss.contains(OnMiss::SOFT) => {
                if !served {
                    self.softened += 1;
                    sessions.count_upstream_misses(ticket, 1);
                }
                sessions.finish(ticket);
            }
            Reply::Line { ticket, .. }
            | Reply::Meta { ticket, .. }
            | Reply::Probe { ticket, .. }
            | Reply::Through { ticket, .. }
            | Reply::Stats { ticket, .. } => {
                sessions.fail(ticket, error);
                sessions.finish(ticket);
            }
        }
    }

    /// Where the last change is that each client is owed a reply to.
    fn last_changes(&self) -> HashMap<u32, u64> {
        let mut last = HashMap::new();
        for Owed { start, reply, .. } in &self.owed {
            let mut change = |ticket: &Ticket| last.insert(ticket.client, *start);
            match reply {
                Reply::Values {
                    verb: Verb::Get | Verb::Gets,
                    ..
                }
                | Reply::Through { .. }
                | Reply::Late { .. } => {}
                Reply::Meta { meta, .. } if meta.is_read => {}
                Reply::Values { keys, .. } => {
                    for key in keys {
                        change(&key.ticket);
                    }
                }
                Reply::Line { ticket, .. }
                | Reply::Sibling { ticket, .. }
                | Reply::Meta { ticket, .. }
                | Reply::Probe { ticket, .. }
                | Reply::Stats { ticket, .. } => {
                    change(ticket);
                }
            }
        }
        last
    }

    /// Takes over a retrieval's unanswered keys.
    fn adopt_values(&mut self, retried: bool, verb: Verb, mut keys: Vec<OwedKey>, line: &[u8]) {
        if keys.is_empty() {
            return;
        }
        let start = self.end();
        self.keys += keys.len();
        self.wire.extend_from_slice(verb.name().as_bytes());
        for key in &mut keys {
            self.wire.push(b' ');
            let physical = key.physical(line);
            key.at = (self.end() - start) as u32;
            self.wire.extend_from_slice(physical);
        }
        let reply = Reply::Values {
            end: self.fence.next_end(keys.len()),
            verb,
            keys,
            answered: 0,
        };
        self.owed.push_back(Owed {
            start,
            reply,
            retried,
        });
        self.end_values();
    }

    /// Takes over a request of one line.
    fn adopt_line(&mut self, owed: Owed, old: &Self) {
        let line = &old.wire[(owed.start - old.base) as usize..];
        let line = &line[..memchr::memchr(b'\n', line).map_or(line.len(), |at| at + 1)];
        let start = self.end();
        let mut owed = Owed { start, ..owed };
        self.wire.extend_from_slice(line);
        if let Reply::Through { end, .. } = &mut owed.reply {
            *end = self.fence.next_end(memchr::memchr_iter(b' ', line).count());
            if end.marked {
                self.wire.extend_from_slice(fence::MARK);
            }
        }
        self.owed.push_back(owed);
    }
}
