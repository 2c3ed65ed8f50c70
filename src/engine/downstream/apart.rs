//! Values that are looked at apart: taken off their way, and put back when the look
//! is known. Counted as if they had been looked at where they came by.

use super::Downstream;
use super::session::{Desk, LARGE_BYTES, Session};
use crate::engine::counts::Outcome;
use crate::engine::meta::{MetaReply, hide_meta, is_won, resize_meta};
use crate::engine::steps::{Found, Next};
use crate::engine::ticket::Ticket;
use crate::engine::value::apart::{Asks, Awaits, JobDone, Wants};
use crate::engine::value::judged::{self, Shown};
use crate::engine::words::{push_number, push_word};
use crate::policy::{Decision, Look, OnMiss};
use crate::protocol::Tokens;
use crate::protocol::key::KeyBuf;
use crate::protocol::request::Verb;

impl Downstream {
    // Out ------------------------------------------------------------------

    /// Takes a value off its way to a slot, which waits for what becomes of it; not if
    /// there is no room for that now. Line and value have their line ends.
    #[cold]
    pub(in crate::engine) fn defer(
        &mut self,
        ticket: Ticket,
        look: Look,
        line: &[&[u8]],
        (flags, value): (u32, &[u8]),
        wants: impl FnOnce(&mut Self) -> Wants,
    ) -> bool {
        let line_bytes: usize = line.iter().map(|part| part.len()).sum();
        let bytes = line_bytes + value.len();
        let jobs = &self.context.jobs;
        if !jobs.has_room(bytes, value.len() >= LARGE_BYTES) {
            return false;
        }
        let mut whole = self.context.pool.take();
        whole.reserve_exact(bytes);
        for part in line {
            whole.extend_from_slice(part);
        }
        whole.extend_from_slice(value);
        let within = line_bytes..bytes - 2;
        let wants = wants(self);
        let in_order = matches!(wants, Wants::Value { .. } | Wants::Through { .. });
        self.clients.expect(ticket);
        let identity = self.clients.slot(ticket).who.identity;
        let (awaits, asks) = (Awaits::Slot(ticket, wants), Asks::Read(look));
        let jobs = &mut self.context.jobs;
        let job = jobs.add(awaits, identity, asks, flags, (whole, within));
        if in_order {
            self.clients
                .slot(ticket)
                .held
                .get_or_insert_default()
                .wait(job);
        }
        let (session, mut desk) = self.visit(ticket.client);
        if !session.is_dead() {
            session.waiting += bytes;
            session.wrote(false, &mut desk);
        }
        true
    }

    /// Has a store looked at before its client goes on with it; not if there is no
    /// room for that now.
    #[cold]
    pub(in crate::engine) fn defer_store(
        &mut self,
        client: u32,
        client_key: &[u8],
        (flags, value): (u32, &[u8]),
    ) {
        let jobs = &mut self.context.jobs;
        if !jobs.has_room(value.len(), value.len() >= LARGE_BYTES) {
            return jobs.wait(client, value.len());
        }
        let mut bytes = self.context.pool.take();
        bytes.extend_from_slice(value);
        let key = self.context.pool.keep(client_key);
        let session = &mut self.clients.slab[client as usize];
        session.holding_up += 1;
        let writer = session.who.identity;
        let (awaits, asks) = (Awaits::Store(client), Asks::Write(key));
        jobs.add(awaits, writer, asks, flags, (bytes, 0..value.len()));
    }

    /// Looks at a value on its way in, or knows of the look that was had apart.
    pub(in crate::engine) fn admit(
        &mut self,
        client: u32,
        decision: Decision<'_>,
        client_key: &[u8],
        value: (u32, &[u8]),
    ) -> Shown {
        let writer = self.clients.slab[client as usize].who.identity;
        let known = match decision.plan.look {
            Look::Whole(_) => self.context.jobs.take_store(client),
            Look::Away | Look::Count | Look::Hide => None,
        };
        let judge = &mut self.context.judge;
        let judged = match known {
            Some(findings) => judge.take(findings),
            None => judge.judge_write(writer.space, decision, value),
        };
        if judged.shown == Shown::Later {
            self.defer_store(client, client_key, value);
        } else {
            self.context.counts.count_write(writer.space, &judged);
            self.context
                .families
                .wrote(client_key, writer.space, &judged);
        }
        judged.shown
    }

    // Back -----------------------------------------------------------------

    /// A look that was had apart is known.
    #[cold]
    pub(in crate::engine) fn judged(&mut self, judged: JobDone) {
        let (awaits, bytes) = self.context.jobs.done(judged.id);
        match awaits {
            Awaits::Store(client) => self.judged_store(client, judged),
            Awaits::Slot(ticket, wants) => {
                self.arrives(ticket, bytes);
                if self.judged_read(ticket, wants, judged) {
                    self.finish(ticket);
                }
            }
        }
        for client in self.context.jobs.take_waiting() {
            self.clients.mark_dirty(client);
        }
    }

    /// Puts a value that was looked at where it is wanted; whether nothing more comes of
    /// it.
    fn judged_read(&mut self, ticket: Ticket, wants: Wants, judged: JobDone) -> bool {
        let id = judged.id;
        match wants {
            Wants::Value {
                client_key,
                on_miss,
            } => {
                let (judged, bytes) = self.judged_value(ticket, &client_key, judged);
                let is_hidden = judged.shown == Shown::Hidden;
                let outcome = if is_hidden {
                    Outcome::Hidden
                } else {
                    Outcome::Hit
                };
                self.count_value(ticket, &client_key, &judged);
                self.count_slot(ticket, outcome);
                if is_hidden && on_miss.contains(OnMiss::NOTE) {
                    self.note_miss(ticket, &client_key);
                }
                self.context.pool.give_key(client_key);
                self.fill(ticket, id, bytes);
            }
            Wants::Through {
                client_key,
                on_miss,
                next,
            } => {
                let (judged, bytes) = self.judged_value(ticket, &client_key, judged);
                self.fill(ticket, id, bytes);
                if judged.shown == Shown::Hidden {
                    // The slot goes on waiting, for the next.
                    let next = Next::Through(ticket, client_key, on_miss, next);
                    self.clients.steps.push(next);
                    return false;
                }
                self.count_value(ticket, &client_key, &judged);
                self.count_slot(ticket, Outcome::Hit);
                self.context.pool.give_key(client_key);
            }
            Wants::Meta {
                client_key,
                meta,
                flags,
            } => {
                self.judged_meta(ticket, (&client_key, &meta, flags), judged);
                self.context.pool.give_key(client_key);
            }
            Wants::Probe { cas } => {
                let found = match self.context.judge.take(judged.findings).shown {
                    Shown::Hidden => Found::Hidden(cas),
                    _ => Found::Seen(cas),
                };
                self.clients.probed(ticket, found);
                self.context.pool.give(judged.bytes);
            }
        }
        true
    }

    /// A value waits no longer.
    fn arrives(&mut self, ticket: Ticket, bytes: usize) {
        let session = &mut self.clients.slab[ticket.client as usize];
        if !session.is_dead() {
            session.waiting -= bytes;
        }
    }

    fn judged_store(&mut self, client: u32, judged: JobDone) {
        self.context.pool.give(judged.bytes);
        if let Some(key) = judged.key {
            self.context.pool.give_key(key);
        }
        self.context.jobs.keep_store(client, judged.findings);
        self.clients.get(client).holding_up -= 1;
        self.clients.mark_dirty(client);
    }

    /// Gives the bytes that a slot gets of a value of a retrieval.
    fn judged_value(
        &mut self,
        ticket: Ticket,
        client_key: &[u8],
        done: JobDone,
    ) -> (judged::Judged, Vec<u8>) {
        let space = self.clients.slot(ticket).who.identity.space;
        let judged = self.context.judge.take(done.findings);
        self.context.counts.count_read(space, &judged);
        let bytes = match judged.shown {
            Shown::AsIs => done.bytes,
            Shown::Hidden | Shown::Later => {
                self.context.pool.give(done.bytes);
                Vec::new()
            }
            Shown::Rewritten(flags) => {
                let mut bytes = self.context.pool.take();
                let value = &self.context.judge.rewritten;
                let start = b"VALUE ".len() + client_key.len();
                let tail = &done.bytes[start..done.value.start - 2];
                push_rewritten(&mut bytes, client_key, flags, tail, value);
                self.context.pool.give(done.bytes);
                bytes
            }
        };
        (judged, bytes)
    }

    /// Puts bytes where a job's value belongs, and what came behind it after them.
    fn fill(&mut self, ticket: Ticket, job: u32, bytes: Vec<u8>) {
        let (session, mut desk) = self.visit(ticket.client);
        let at = session.place(ticket);
        let (dead, slot) = (session.is_dead(), &mut session.slots[at]);
        let Some(mut held) = slot.held.take() else {
            return;
        };
        let bytes = if dead || slot.failed {
            Vec::new()
        } else {
            bytes
        };
        session.waiting += bytes.len();
        held.fill(job, bytes);
        while let Some(bytes) = held.pop() {
            session.waiting -= if dead { 0 } else { bytes.len() };
            session.take_over(at, bytes, &mut desk);
        }
        if !held.is_empty() {
            session.slots[at].held = Some(held);
        }
    }

    /// An `mg` is answered, by the value or by a miss.
    fn judged_meta(
        &mut self,
        ticket: Ticket,
        (client_key, meta, flags): (&KeyBuf, &MetaReply, Option<Vec<u8>>),
        done: JobDone,
    ) {
        let space = self.clients.slot(ticket).who.identity.space;
        let judged = self.context.judge.take(done.findings);
        self.context.counts.count_read(space, &judged);
        let mut line = self.context.pool.take_line();
        line.extend_from_slice(&done.bytes[..done.value.start - 2]);
        if let (Shown::Hidden, Some(flags)) = (judged.shown, flags) {
            self.clients.expect(ticket);
            let key = self.context.pool.keep(client_key);
            let meta = meta.of_another();
            self.clients
                .steps
                .push(Next::ThroughMeta(ticket, key, meta, flags));
        } else if self.show_meta(ticket, (meta, client_key), &mut line, &judged) {
            let behind = done.value.start..done.value.end + 2;
            self.bytes(ticket, &[&done.bytes[behind]]);
        }
        self.context.pool.give(line);
        self.context.pool.give(done.bytes);
    }

    /// Counts a value that an `mg` asked for, and answers as far as that goes without
    /// the value itself; whether that follows.
    pub(in crate::engine) fn show_meta(
        &mut self,
        ticket: Ticket,
        (meta, client_key): (&MetaReply, &[u8]),
        line: &mut Vec<u8>,
        judged: &judged::Judged,
    ) -> bool {
        let shown = judged.shown;
        self.count_value(ticket, client_key, judged);
        let notes = meta.verb == Verb::Mg && meta.on_miss.contains(OnMiss::NOTE);
        if notes && (shown == Shown::Hidden || is_won(line)) {
            self.note_miss(ticket, client_key);
        }
        match shown {
            Shown::AsIs => {
                self.tell(ticket, line);
                self.bytes(ticket, &[line, b"\r\n"]);
            }
            Shown::Hidden | Shown::Later => {
                hide_meta(line);
                if self.tell_hidden(ticket) {
                    self.bytes(ticket, &[line, b"\r\n"]);
                }
            }
            Shown::Rewritten(flags) => {
                resize_meta(line, self.context.judge.rewritten.len(), flags);
                self.tell(ticket, line);
                self.rewritten(ticket, line);
            }
        }
        shown == Shown::AsIs
    }
}

impl Session {
    /// Writes for a slot what is in a buffer of its own, which is passed on as it is
    /// where nothing is before it.
    fn take_over(&mut self, at: usize, bytes: Vec<u8>, desk: &mut Desk<'_>) {
        if bytes.is_empty() || self.is_dead() {
            return desk.pool.give(bytes);
        }
        let front = at == 0;
        let buffer = if front {
            &mut self.out
        } else {
            &mut self.slots[at].stash
        };
        if !front {
            self.waiting += bytes.len();
        }
        if buffer.is_empty() {
            desk.pool.give(std::mem::replace(buffer, bytes));
        } else {
            buffer.extend_from_slice(&bytes);
            desk.pool.give(bytes);
        }
        self.wrote(front, desk);
    }
}

/// Writes a value that takes another's place; `tail` is what followed its key.
#[cold]
pub(super) fn push_rewritten(
    buffer: &mut Vec<u8>,
    key: &[u8],
    flags: u32,
    tail: &[u8],
    value: &[u8],
) {
    buffer.extend_from_slice(b"VALUE");
    push_word(buffer, key);
    buffer.push(b' ');
    push_number(buffer, flags);
    buffer.push(b' ');
    push_number(buffer, value.len());
    if let Some(cas) = Tokens::new(tail).nth(2) {
        push_word(buffer, cas);
    }
    for part in [b"\r\n", value, b"\r\n"] {
        buffer.extend_from_slice(part);
    }
}
