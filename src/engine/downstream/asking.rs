//! Retrievals of so many keys that these are asked for bit by bit, as their client
//! takes the values: what one line may ask for is far more than may wait for it.

use super::Clients;
use super::session::MAX_UNSENT;
use super::window::Window;
use crate::engine::context::Clock;
use crate::engine::ticket::Ticket;
use crate::protocol::Tokens;
use crate::protocol::request::{Retrieve, Verb};

/// The rest of a retrieval.
#[derive(Debug)]
pub struct Asking {
    pub verb: Verb,
    pub exptime: Option<Box<[u8]>>,
    /// The server of all of its keys.
    pub server: usize,
    /// Client keys with a space behind each; those before `at` were asked for.
    keys: Vec<u8>,
    at: usize,
    /// Keys that were asked for last, and what was held for the client then.
    last: usize,
    before: u64,
}

impl Asking {
    /// Of these keys, after so many that are asked for already.
    pub fn new<'k>(
        retrieve: &Retrieve<'_>,
        server: usize,
        last: usize,
        keys: impl Iterator<Item = &'k [u8]>,
    ) -> Self {
        let mut text = Vec::new();
        for key in keys {
            text.extend_from_slice(key);
            text.push(b' ');
        }
        Self {
            verb: retrieve.verb,
            exptime: retrieve.exptime.map(Into::into),
            server,
            keys: text,
            at: 0,
            last,
            before: 0,
        }
    }

    /// Bytes that it takes.
    pub fn held(&self) -> usize {
        self.keys.capacity()
    }

    /// The keys that are still to be asked for.
    pub fn rest(&self) -> Tokens<'_> {
        Tokens::new(&self.keys[self.at..])
    }

    /// The next of them, as many as are to be asked for now; whether these are all.
    pub fn next(&mut self, count: usize) -> (Tokens<'_>, bool) {
        let start = self.at;
        let spaces = memchr::memchr_iter(b' ', &self.keys[start..]);
        let end = spaces.take(count).last().map_or(start, |at| start + at + 1);
        self.at = end;
        self.last = count;
        (Tokens::new(&self.keys[start..end]), end == self.keys.len())
    }
}

impl Clients {
    /// The number of keys of a retrieval that a client may ask for at once.
    #[inline]
    pub fn keys_at_once(&self, client: u32) -> usize {
        self.slab[client as usize].window.keys()
    }

    /// Has the rest of a slot's keys asked for when those before are answered.
    pub fn ask_later(&mut self, ticket: Ticket, asking: Asking) {
        self.asking_bytes += asking.held();
        self.asking.insert(ticket, asking);
        self.expect(ticket);
        self.slot(ticket).is_asking = true;
        self.get(ticket.client).holding_up += 1;
    }

    /// Takes the rest of a slot's keys, if they may be asked for now: how many, and
    /// whether nobody wants them any more.
    pub fn take_asking(&mut self, ticket: Ticket) -> Option<(Asking, usize, bool)> {
        let session = &self.slab[ticket.client as usize];
        let place = session.place(ticket);
        let slot = &session.slots[place];
        let unwanted = session.is_dead() || slot.failed || slot.is_late;
        // What waits behind the front slot cannot make room for it.
        let held = if place == 0 {
            session.unsent().len()
        } else {
            session.backlog()
        };
        if !unwanted && held >= MAX_UNSENT {
            return None;
        }
        let asking = self.asking.remove(&ticket)?;
        self.asking_bytes -= asking.held();
        let came = slot.came - asking.before;
        let count = Window::more_keys(asking.last.max(1), came as usize);
        Some((asking, count, unwanted))
    }

    /// Some of a slot's keys are asked for, and the others later.
    pub fn keep_asking(&mut self, ticket: Ticket, mut asking: Asking) {
        asking.before = self.slot(ticket).came;
        self.asking_bytes += asking.held();
        self.asking.insert(ticket, asking);
    }

    /// All of a slot's keys are asked for.
    pub fn end_asking(&mut self, ticket: Ticket) {
        self.slot(ticket).is_asking = false;
        self.get(ticket.client).holding_up -= 1;
        self.mark_dirty(ticket.client);
    }

    /// A slot waits for its upstream from now on. Where it is all that its client waits
    /// for, that may change to the lane for large values.
    pub fn wait_anew(&mut self, ticket: Ticket, clock: Clock) {
        self.slot(ticket).since_us = clock.steady_us;
        let session = self.get(ticket.client);
        session.bulk |= session.slots.len() == 1 && clock.now_us < session.bulk_until_us;
    }

    /// Has no slot ask for more; those that wait for room are to be told.
    pub fn end_all_asking(&mut self) -> Vec<Ticket> {
        let mut all: Vec<Ticket> = self.asking.keys().copied().collect();
        for &ticket in &all {
            self.be_late(ticket);
        }
        all.retain(|&ticket| self.slot(ticket).pending == 1);
        all
    }

    /// The slots of a client whose keys wait for room.
    pub fn waiting_to_ask(&self, client: u32) -> Vec<Ticket> {
        let session = &self.slab[client as usize];
        let slots = session.slots.iter().enumerate();
        let waiting = slots.filter(|(_, slot)| slot.is_asking && slot.pending == 1);
        let ticket = |at: usize| Ticket {
            client,
            slot: session.first.wrapping_add(at as u32),
        };
        waiting.map(|(at, _)| ticket(at)).collect()
    }

    /// Time is up for a slot: what it has not asked for is not asked for.
    pub fn be_late(&mut self, ticket: Ticket) {
        self.slot(ticket).is_late = true;
    }
}
