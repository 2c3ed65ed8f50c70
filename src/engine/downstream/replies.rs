//! Replies on their way to their slots: written, counted, told or kept aside, until a
//! slot has all that it waits for.

use super::Downstream;
use super::life::Life;
use super::slot::{END, Kind, Work};
use crate::engine::counts::{Closed, Invalidation, Outcome};
use crate::engine::statistics::Gathering;
use crate::engine::steps::{Found, Next, Stepwise, replace_code};
use crate::engine::ticket::{Quiet, Ticket};
use crate::engine::value::judged::{Shown, ValueStart};
use crate::policy::{Look, SpaceId};
use crate::protocol::reply::is_error;
use crate::protocol::request::Verb;

impl Downstream {
    pub(super) fn write(&mut self, ticket: Ticket, parts: &[&[u8]]) {
        let (session, mut desk) = self.visit(ticket.client);
        session.write(session.place(ticket), parts, &mut desk);
    }

    /// Writes aside, even for the front slot.
    pub(super) fn stash(&mut self, ticket: Ticket, parts: &[&[u8]]) {
        let mut buffer = self.context.pool.take_line();
        for part in parts {
            buffer.extend_from_slice(part);
        }
        let old = std::mem::replace(&mut self.clients.slot(ticket).stash, buffer);
        self.context.pool.give(old);
    }

    /// Gives up on a client: nothing more is sent to it.
    pub fn abort(&mut self, client: u32) {
        let (session, mut desk) = self.visit(client);
        session.abort(&mut desk);
    }

    /// Gives up on a client that did not go by itself.
    pub fn give_up(&mut self, client: u32, why: Closed) {
        if !self.clients.get(client).is_dead() {
            self.context
                .counts
                .close(self.clients.slab[client as usize].who.origin, why);
        }
        self.abort(client);
    }

    /// Takes no more requests; closes once all is sent. What still comes is dropped,
    /// or the reset that it leads to could overtake the error.
    pub fn hang_up(&mut self, client: u32, why: Closed) {
        let session = self.clients.get(client);
        session.come_to(Life::Closing);
        let origin = session.who.origin;
        self.context.counts.close(origin, why);
    }

    /// Bytes of a reply that streams through.
    pub fn bytes(&mut self, ticket: Ticket, parts: &[&[u8]]) {
        if !self.clients.is_deaf(ticket) {
            self.write(ticket, parts);
        }
    }

    /// Opens the slot of a request for statistics.
    pub fn open_statistics(&mut self, client: u32, gathering: Gathering, servers: usize) -> Ticket {
        let gathering = Box::new(gathering);
        if servers == 1 {
            let kind = Kind::Stream(Some(gathering));
            let clock = self.context.clock;
            return self
                .clients
                .push(client, Verb::Stats, Quiet::No, kind, clock);
        }
        self.open(client, Verb::Stats, Quiet::No, Work::Gather(gathering))
    }

    /// A line of the statistics of the server of this number.
    pub fn statistic(&mut self, ticket: Ticket, server: usize, line: &[u8]) {
        if let Kind::Single(Work::Gather(gathering)) = &mut self.clients.slot(ticket).kind {
            return gathering.take(server, line);
        }
        self.bytes(ticket, &[line, b"\r\n"]);
        if !line.starts_with(b"STAT ") {
            self.count_slot(ticket, Outcome::of_line(line));
        }
    }

    /// Counts a request, or a key of a retrieval.
    pub fn count_slot(&mut self, ticket: Ticket, outcome: Outcome) {
        self.count_keys(ticket, outcome, 1);
    }

    /// Counts keys of a retrieval.
    pub fn count_keys(&mut self, ticket: Ticket, outcome: Outcome, keys: usize) {
        let slot = self.clients.slot(ticket);
        let (origin, keys) = (slot.who.origin as usize, keys as u64);
        let counts = &mut self.context.counts;
        counts.requests(origin, slot.verb, &[(outcome, keys)]);
    }

    /// Counts keys of a retrieval whose server failed, and that count as misses to
    /// their client only: no write that follows fills them.
    pub fn count_upstream_misses(&mut self, ticket: Ticket, keys: usize) {
        if !self.clients.is_deaf(ticket) {
            self.count_keys(ticket, Outcome::UpstreamMiss, keys);
        }
    }

    /// Answers a read of one line whose server failed with that of a miss.
    pub fn miss_for_upstream(&mut self, ticket: Ticket, line: &[u8]) {
        if self.clients.is_deaf(ticket) {
            return;
        }
        self.count_slot(ticket, Outcome::UpstreamMiss);
        let slot = self.clients.slot(ticket);
        slot.told = true;
        if slot.quiet == Quiet::No {
            self.write(ticket, &[line, b"\r\n"]);
        }
    }

    /// One of the replies that a slot waits for is in, or its request is sent.
    pub fn finish(&mut self, ticket: Ticket) {
        let slot = self.clients.slot(ticket);
        slot.pending -= 1;
        if slot.pending > 0 {
            if slot.pending == 1 && slot.is_asking {
                self.clients.steps.push(Next::Ask(ticket));
            }
            return;
        }
        if matches!(slot.kind, Kind::Single(_)) && !self.settle(ticket) {
            return;
        }
        let (session, mut desk) = self.visit(ticket.client);
        let at = session.place(ticket);
        let slot = &session.slots[at];
        if slot.kind.ends_values() && !slot.failed && !session.is_dead() {
            session.write(at, &[END], &mut desk);
        }
        session.complete(at, &mut desk);
    }

    /// A reply of one line to the own copy.
    pub fn line(&mut self, ticket: Ticket, text: &[u8]) {
        let (session, mut desk) = self.visit(ticket.client);
        let at = session.place(ticket);
        let slot = &session.slots[at];
        let deaf = session.is_dead() || slot.failed;
        let alone = slot.pending == 1;
        match slot.kind {
            // What took effect reaches the siblings, whoever listens.
            Kind::Single(Work::Change(_)) if !slot.failed => self.stash(ticket, &[text, b"\r\n"]),
            _ if deaf => {}
            // Its lines come one by one.
            Kind::Single(Work::Gather(_)) => {}
            Kind::Single(Work::Fixed(_)) => {
                if is_error(text) {
                    self.fail(ticket, text);
                }
            }
            Kind::Single(Work::Pass) if !alone => self.stash(ticket, &[text, b"\r\n"]),
            Kind::Single(Work::Delete { .. } | Work::Change(_)) => {
                self.stash(ticket, &[text, b"\r\n"]);
            }
            Kind::Stream(_) | Kind::Retrieve { .. } | Kind::Single(Work::Pass) => {
                if session.tell(at, text, desk.counts) {
                    session.write(at, &[text, b"\r\n"], &mut desk);
                }
            }
        }
        self.finish(ticket);
    }

    /// Counts a reply by its first line and says whether the client wants it.
    pub fn tell(&mut self, ticket: Ticket, text: &[u8]) -> bool {
        let session = &mut self.clients.slab[ticket.client as usize];
        session.tell(session.place(ticket), text, &mut self.context.counts)
    }

    /// Goes on with a change after its next step was sent.
    pub fn resume(&mut self, ticket: Ticket, change: Box<Stepwise>) {
        self.clients.slot(ticket).kind = Kind::Single(Work::Change(change));
        self.finish(ticket);
    }

    /// What a value that its client did not ask for is to the client of a ticket.
    pub fn probe(&mut self, ticket: Ticket, look: Look, value: ValueStart<'_>) -> Shown {
        let identity = self.clients.slot(ticket).who.identity;
        // Nobody asked for it: it is not counted.
        self.context.judge.judge_read(identity, look, value).shown
    }

    /// It could not be looked at: what was told the client before stands, if anything
    /// was.
    pub fn not_probed(&mut self, ticket: Ticket, error: &[u8]) {
        if let Kind::Single(Work::Change(change)) = &self.clients.slot(ticket).kind
            && change.on_hidden.looks_first()
        {
            self.fail(ticket, error);
        }
        self.clients.probed(ticket, Found::Nothing);
    }

    /// A meta reply whose value is `Judge::rewritten`, its line put right.
    pub fn rewritten(&mut self, ticket: Ticket, line: &[u8]) {
        let value = std::mem::take(&mut self.context.judge.rewritten);
        self.bytes(ticket, &[line, b"\r\n", &value, b"\r\n"]);
        self.context.judge.rewritten = value;
    }

    /// Counts a hidden value and says whether the client wants to hear of a
    /// miss.
    pub fn tell_hidden(&mut self, ticket: Ticket) -> bool {
        self.count_slot(ticket, Outcome::Hidden);
        let slot = self.clients.slot(ticket);
        slot.told = true;
        slot.quiet == Quiet::No
    }

    /// Counts what came of deleting a copy.
    pub fn invalidated(&mut self, ticket: Ticket, target: SpaceId, result: Invalidation) {
        let origin = self.clients.slot(ticket).who.identity.space;
        self.context.counts.invalidation(origin, target, result);
    }

    /// A sibling answered its deletion, or nobody will.
    pub fn sibling(&mut self, ticket: Ticket, target: SpaceId, text: &[u8]) {
        let result = match text {
            b"DELETED" | b"HD" => Invalidation::Deleted,
            b"NOT_FOUND" | b"NF" => Invalidation::Absent,
            _ => Invalidation::Error,
        };
        self.invalidated(ticket, target, result);
        match (&mut self.clients.slot(ticket).kind, result) {
            (Kind::Single(Work::Delete { existed }), Invalidation::Deleted) => *existed = true,
            (_, Invalidation::Error) => self.fail(ticket, text),
            _ => {}
        }
        self.finish(ticket);
    }

    /// Answers with an error instead of whatever else there is.
    pub fn fail(&mut self, ticket: Ticket, error: &[u8]) {
        let is_gathered = matches!(
            self.clients.slot(ticket).kind,
            Kind::Single(Work::Gather(_))
        );
        if self.clients.is_deaf(ticket) || is_gathered {
            return;
        }
        self.count_slot(ticket, Outcome::Error);
        let slot = self.clients.slot(ticket);
        slot.failed = true;
        slot.told = true;
        let silent = slot.quiet == Quiet::Noreply;
        match &slot.kind {
            Kind::Retrieve { .. } => {
                // Whole values may be out already; an error line in place of
                // END is how memcached itself ends such a reply.
                self.write(ticket, &[error, b"\r\n"]);
                self.fail_rest(ticket);
            }
            Kind::Stream(None) => self.write(ticket, &[error, b"\r\n"]),
            Kind::Stream(Some(gathering)) => {
                // Some clients wait for END, whatever else is said.
                let end = gathering.reply();
                self.write(ticket, &[&end]);
            }
            Kind::Single(_) if silent => self.stash(ticket, &[]),
            Kind::Single(_) => self.stash(ticket, &[error, b"\r\n"]),
        }
    }

    /// The later slots of a failed retrieval write nothing, and lose what they
    /// hold: behind the error it would be a reply of its own.
    pub(super) fn fail_rest(&mut self, ticket: Ticket) {
        let session = &mut self.clients.slab[ticket.client as usize];
        let at = session.place(ticket);
        for (nth, slot) in session.slots.range_mut(at..).enumerate() {
            slot.failed = true;
            if nth > 0 {
                session.waiting -= slot.forget();
            }
            if !matches!(slot.kind, Kind::Retrieve { more: true }) {
                break;
            }
        }
        session.count_held(&mut self.clients.held);
    }

    /// Settles what a reply of one piece says; whether it is final.
    pub(super) fn settle(&mut self, ticket: Ticket) -> bool {
        let slot = self.clients.slot(ticket);
        let Kind::Single(work) = &mut slot.kind else {
            return true;
        };
        if let Work::Change(change) = work
            && !slot.failed
            && let Some(step) = change.next(&mut slot.stash)
        {
            slot.pending = 1;
            if let Work::Change(change) = std::mem::replace(work, Work::Pass) {
                self.clients.steps.push(Next::Change(ticket, step, change));
            }
            return false;
        }
        match work {
            &mut Work::Fixed(outcome) => {
                if !slot.failed {
                    self.count_slot(ticket, outcome);
                }
            }
            Work::Delete { existed: true } => {
                // A sibling existed: the own copy's absence is not the answer.
                replace_code(
                    &mut slot.stash,
                    &[(b"NOT_FOUND", b"DELETED"), (b"NF", b"HD")],
                );
                self.tell_stashed(ticket);
            }
            Work::Gather(gathering) => {
                let has_some = gathering.has_some();
                slot.stash = gathering.reply();
                slot.told = true;
                let outcome = if has_some {
                    Outcome::Ok
                } else {
                    Outcome::Error
                };
                self.count_slot(ticket, outcome);
            }
            Work::Pass | Work::Delete { .. } | Work::Change(_) => self.tell_stashed(ticket),
        }
        if self.clients.slot(ticket).holds_up {
            self.clients.slab[ticket.client as usize].holding_up -= 1;
            self.clients.mark_dirty(ticket.client);
        }
        true
    }

    /// Counts a reply that was kept aside and drops it if nobody wants it.
    pub(super) fn tell_stashed(&mut self, ticket: Ticket) {
        let slot = self.clients.slot(ticket);
        if slot.told {
            return;
        }
        let stash = std::mem::take(&mut slot.stash);
        let wanted = match first_line(&stash) {
            Some(text) => self.tell(ticket, text),
            None => true,
        };
        if wanted {
            self.clients.slot(ticket).stash = stash;
        } else {
            self.context.pool.give(stash);
        }
    }
}

fn first_line(reply: &[u8]) -> Option<&[u8]> {
    let end = memchr::memchr(b'\r', reply)?;
    Some(&reply[..end])
}
