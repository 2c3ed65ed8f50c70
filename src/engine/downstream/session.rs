//! One downstream connection: its input, its requests under way, and what it is owed.

use std::collections::VecDeque;
use std::sync::Arc;

use super::life::Life;
use super::queues::Queues;
use super::slot::{Kind, Slot};
use super::window::Window;
use crate::engine::counts::{Closed, Counts, Outcome};
use crate::engine::listener::ListenerId;
use crate::engine::pool::Pool;
use crate::engine::ticket::{Quiet, Ticket};
use crate::engine::who::{Known, Who};
use crate::protocol::request::Verb;

/// Unsent bytes of one client; past it the client is not read.
pub const MAX_UNSENT: usize = 256 << 10;
/// Unsent bytes past which a client that does not read is closed. A retrieval
/// of a hundred 1 MiB values fits.
pub const MAX_BACKLOG: usize = 128 << 20;
/// Values from which on a client is moved to the lane for large values, and how
/// long it stays there after the last one.
pub(in crate::engine) const LARGE_BYTES: usize = 64 << 10;
pub(super) const LARGE_US: u64 = 1_000_000;
/// Sent bytes that are kept before the rest is moved down.
pub(super) const MIN_MOVED_BYTES: usize = 64 << 10;

/// One downstream connection.
#[derive(Debug, Default)]
pub struct Session {
    /// The client's namespace and row of the counts.
    pub who: Who,
    /// The listener it came by, which may be gone.
    pub listener: ListenerId,
    /// Facts about the client that are not the listener's to say.
    pub known: Option<Arc<Known>>,
    /// Whether the client may say who it is.
    pub(in crate::engine) asks: bool,
    /// Nobody knows it, and its requests are refused.
    pub refused: bool,
    /// Whether requests need more than the namespace to be decided.
    pub(in crate::engine) unsure: bool,
    /// Whether the client was counted as untagged.
    pub(in crate::engine) told_untagged: bool,
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
    /// Whether the client has sent anything.
    pub(in crate::engine) has_spoken: bool,
    pub(super) life: Life,
    /// Stopped reading because too much is under way.
    pub paused: bool,
    /// Whether requests go to the lane for large values.
    pub bulk: bool,
    /// Waits for what is under way to change to that lane, or back.
    pub(super) moving: bool,
    /// Until when it counts as a client of large values.
    pub(super) bulk_until_us: u64,
    pub(super) dirty: bool,
    pub(super) slots: VecDeque<Slot>,
    /// Bytes of streamed replies that wait for their turn: the stashes of all
    /// slots but [`Kind::Single`], which hold a line each, and values that are looked
    /// at apart.
    pub(super) waiting: usize,
    /// The part that is counted in [`held`](super::Clients::held).
    pub(super) counted: u32,
    /// Slots that hold up what comes after them, and a store that is looked at apart;
    /// nothing more is taken meanwhile.
    pub(super) holding_up: u16,
    /// Slots whose request goes on in the next.
    pub(super) parted: u32,
    /// The number of `slots[0]`.
    pub(super) first: u32,
    pub(super) window: Window,
}

impl Session {
    pub(super) fn new(listener: ListenerId, known: Option<Arc<Known>>) -> Self {
        Self {
            listener,
            known,
            ..Self::default()
        }
    }

    /// Bytes that the client has not taken yet.
    pub fn unsent(&self) -> &[u8] {
        &self.out[self.sent..]
    }

    /// The place of a ticket's slot.
    pub(super) fn place(&self, ticket: Ticket) -> usize {
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
    pub(super) fn notice(&mut self, len: usize, now_us: u64) {
        if len >= LARGE_BYTES {
            self.bulk_until_us = now_us + LARGE_US;
        }
    }

    /// Whether its next request may go, with a body of this size. Large values
    /// have a lane of their own, so that small ones never wait for them; a client
    /// changes lanes only while nothing of it is under way, so that its requests
    /// are carried out in their order. Else it is paused until then.
    pub(in crate::engine) fn may_go(&mut self, body_len: usize, now_us: u64) -> bool {
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

/// Parts of a worker that delivering to one client needs beside its session.
pub(super) struct Desk<'s> {
    pub(super) client: u32,
    pub(super) dirty: &'s mut VecDeque<u32>,
    pub(super) counts: &'s mut Counts,
    pub(super) pool: &'s mut Pool,
    pub(super) queues: &'s mut Queues,
    pub(super) held: &'s mut usize,
    pub(super) now_us: u64,
}

/// Delivery to the client; `at` is the place of a slot.
impl Session {
    /// Notes that there is something new.
    pub(super) fn mark(&mut self, desk: &mut Desk<'_>) {
        if !self.dirty {
            self.dirty = true;
            desk.dirty.push_back(desk.client);
        }
    }

    /// Counts what is held for it now.
    #[inline]
    pub(in crate::engine) fn count_held(&mut self, held: &mut usize) {
        let now = self.backlog() + self.inbox.len();
        *held = *held - self.counted as usize + now;
        // A value is at most 1 GiB.
        self.counted = now as u32;
    }

    /// Gives up on the client: nothing more is sent to it.
    pub(super) fn abort(&mut self, desk: &mut Desk<'_>) {
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
    pub(super) fn write(&mut self, at: usize, parts: &[&[u8]], desk: &mut Desk<'_>) {
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
    pub(super) fn wrote(&mut self, to_client: bool, desk: &mut Desk<'_>) {
        self.count_held(desk.held);
        if self.backlog() > MAX_BACKLOG {
            desk.counts.close(self.who.origin, Closed::Backlog);
            self.abort(desk);
        } else if to_client {
            self.mark(desk);
        }
    }

    /// Counts a reply by its first line and says whether the client wants it.
    pub(super) fn tell(&mut self, at: usize, text: &[u8], counts: &mut Counts) -> bool {
        let slot = &mut self.slots[at];
        slot.told = true;
        let outcome = match Outcome::of_line(text) {
            // "HD": the item is there, its value was not asked for.
            Outcome::Ok if slot.verb == Verb::Mg => Outcome::Hit,
            outcome => outcome,
        };
        counts.request(slot.who.origin as usize, slot.verb, outcome);
        match slot.quiet {
            Quiet::No => true,
            Quiet::Noreply => false,
            Quiet::Meta if slot.verb == Verb::Mg => outcome != Outcome::Miss,
            // A value in the reply of `ma` is as nominal as "HD".
            Quiet::Meta => !matches!(outcome, Outcome::Ok | Outcome::Hit),
        }
    }

    /// A slot has all that it waits for, and that is settled and written.
    pub(super) fn complete(&mut self, at: usize, desk: &mut Desk<'_>) {
        let slot = &self.slots[at];
        let (verb, started_us) = (slot.verb, slot.started_us);
        if self.parted == 0 || self.is_last_part(at) {
            let us = desk.now_us.saturating_sub(started_us);
            desk.counts.latency(verb, us);
        }
        if at == 0 {
            self.advance(desk);
        }
    }

    /// Whether all other slots of a slot's request are complete.
    pub(super) fn is_last_part(&self, at: usize) -> bool {
        let goes_on = |slot: &&Slot| matches!(slot.kind, Kind::Retrieve { more: true });
        let before = self.slots.range(..at).rev().take_while(goes_on);
        let after = self.slots.range(at..).take_while(goes_on).count();
        let mut parts = before.chain(self.slots.range(at + 1..=at + after));
        parts.all(|slot| slot.pending == 0)
    }

    /// Moves what is complete from the front slots to the client.
    pub(super) fn advance(&mut self, desk: &mut Desk<'_>) {
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
