//! From requests to what goes upstream: one method per kind of request, each
//! deciding by the snapshot and writing to lanes.

mod retrieve;

use std::borrow::Cow;

use super::counts::{Closed, Invalidation, Outcome, Split, TOO_LARGE};
use super::downstream::life::Life;
use super::downstream::{Sessions, Work};
use super::meta::push_key;
use super::settings::Settings;
use super::statistics::Gathering;
use super::steps::{Change as Stepwise, Found, OnHidden, Original, OriginalHead, Stage, Step};
use super::ticket::{Quiet, Ticket};
use super::upstream::server::{MetaCommands, Upstream};
use super::upstream::{Lane, StoreHead, Target};
use super::value::judged::Shown;
use crate::policy::{Decision, Look, OnMiss, Reach, Snapshot, SpaceId, WriteKind};
use crate::protocol::key::{KeyBuf, MAX_KEY_BYTES, is_token};
use crate::protocol::request::{Change, Head, Meta, OWN_STATS, Store, Verb};
use crate::protocol::{Tokens, parse_u64};

/// The longest value that an `add` takes for a lock: a host name, a random number or a
/// pickle of one.
const MAX_LOCK_BYTES: usize = 64;
const BAD_FORMAT: &[u8] = b"CLIENT_ERROR bad command line format";
/// What comes back is no value.
const UNSEEN: (Look, OnMiss) = (Look::Away, OnMiss::empty());
const BAD_CHUNK: &[u8] = b"CLIENT_ERROR bad data chunk";

/// How far a request was understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// Done, with this many bytes after its head.
    Body(usize),
    /// It needs this many bytes after its head.
    Needs(usize),
    /// It is here, and is taken again later.
    Waits,
}

/// One client's request meeting the snapshot and the lanes.
pub(super) struct Dispatch<'e> {
    pub(super) snapshot: &'e Snapshot,
    pub(super) sessions: &'e mut Sessions,
    pub(super) lanes: &'e mut [Upstream],
    pub(super) client: u32,
    pub(super) connections: usize,
    /// The first lane of each server.
    pub(super) groups: &'e [usize],
    /// Those that the snapshot is from.
    pub(super) settings: &'e Settings,
    /// The client may be any runtime: which copy of a key is its own is not known.
    pub(super) is_anybody: bool,
}

/// A write as a client asked for it.
#[derive(Clone, Copy)]
struct Asked<'k> {
    verb: Verb,
    quiet: Quiet,
    key: &'k [u8],
    base64: bool,
    kind: WriteKind,
}

impl<'e> Dispatch<'e> {
    /// Takes one request; `body` is all that there is after its head.
    pub(super) fn take(&mut self, head: &Head<'_>, body: &[u8]) -> Taken {
        if self.sessions.slab[self.client as usize].unsure {
            return self.take_unsure(head, body);
        }
        self.take_known(head, body)
    }

    /// Whether a request would end the line that its client's reads share with those
    /// of others. It had better wait until these have joined it.
    pub(super) fn ends_shared_line(&self, head: &Head<'_>) -> bool {
        let key = match head {
            Head::Store(store) => store.key,
            Head::Change(change) => change.key,
            Head::Meta(meta) => meta.key,
            _ => return false,
        };
        let is_idle = self.sessions.slab[self.client as usize].is_idle();
        !is_idle && self.lanes[self.lane_of(key)].lane.is_joined_by(self.client)
    }

    /// Takes one request of a client that is taken for what it is.
    #[inline]
    pub(super) fn take_known(&mut self, head: &Head<'_>, body: &[u8]) -> Taken {
        match *head {
            Head::Retrieve(ref retrieve) => self.retrieve(retrieve),
            Head::Store(ref store) => return self.store(store, body),
            Head::Change(ref change) if change.verb == Verb::Delete => self.delete(change),
            Head::Change(ref change) => self.change(change),
            Head::Meta(ref meta) => match meta.verb {
                Verb::Ms => return self.meta_store(meta, body),
                Verb::Md => self.meta_delete(meta),
                Verb::Ma => self.meta_change(meta),
                _ => self.meta_retrieve(meta),
            },
            Head::MetaNoop => self.answer(Verb::Mn, Outcome::Ok, b"MN"),
            Head::Hello(_) => self.answer(Verb::Other, Outcome::Error, b"ERROR"),
            Head::Version => self.version(),
            Head::Stats(section) => self.stats(section),
            Head::FlushAll { delay, noreply } => self.flush_all(delay, noreply),
            Head::Quit => self.sessions.get(self.client).come_to(Life::Quitting),
            Head::Refused { command, noreply } => {
                let reply = format!("CLIENT_ERROR {command} not allowed");
                self.refuse(Verb::Other, noreply, reply.as_bytes());
            }
            Head::Bad(bad) => {
                if !bad.reply.is_empty() {
                    self.answer(Verb::Other, Outcome::Error, bad.reply.as_bytes());
                }
                let session = self.sessions.get(self.client);
                session.swallow = bad.swallow;
                if bad.close {
                    self.sessions.hang_up(self.client, Closed::BadRequest);
                }
            }
        }
        Taken::Body(0)
    }

    fn answer(&mut self, verb: Verb, outcome: Outcome, reply: &[u8]) {
        self.sessions.answer(self.client, verb, outcome, reply);
    }

    fn refuse(&mut self, verb: Verb, noreply: bool, reply: &[u8]) {
        let quiet = quiet(noreply);
        let ticket = self
            .sessions
            .open_fixed(self.client, verb, quiet, Outcome::Error, reply);
        self.sessions.finish(ticket);
    }

    fn decide(&mut self, key: &[u8]) -> Decision<'e> {
        let identity = self.sessions.get(self.client).who.identity;
        self.snapshot.decide(identity, key)
    }

    /// As whoever made the request of a slot.
    fn decide_for(&mut self, ticket: Ticket, key: &[u8]) -> Decision<'e> {
        let identity = self.sessions.who(ticket).identity;
        self.snapshot.decide(identity, key)
    }

    fn target<'k>(&self, space: SpaceId, key: &'k [u8], base64: bool) -> Target<'k>
    where
        'e: 'k,
    {
        Target {
            codec: &self.snapshot.codec,
            space,
            key,
            base64,
        }
    }

    /// The lane of a key: one client stays on one lane of each server, so that
    /// its requests for a key are carried out in their order.
    fn lane_of(&self, key: &[u8]) -> usize {
        self.lane_at(self.snapshot.ring.server(key))
    }

    fn lane_at(&self, server: usize) -> usize {
        let within = if self.sessions.slab[self.client as usize].bulk {
            self.connections
        } else {
            self.client as usize % self.connections
        };
        self.groups[server] + within
    }

    /// Writes to a lane, or answers for it if it is down; whether it was written.
    fn send(
        &mut self,
        lane: usize,
        ticket: Ticket,
        write: impl FnOnce(&mut Lane, &mut Sessions),
    ) -> bool {
        let upstream = &mut self.lanes[lane];
        if let Some(why) = upstream.refusal() {
            let error = upstream.error(why);
            upstream.refused += 1;
            self.sessions.fail(ticket, &error);
            return false;
        }
        write(&mut upstream.lane, self.sessions);
        true
    }

    // Stores ---------------------------------------------------------------

    /// Waits for a body and checks its line end; `Err` says what became of it.
    fn body<'b>(
        &mut self,
        verb: Verb,
        quiet: Quiet,
        len: usize,
        body: &'b [u8],
    ) -> Result<&'b [u8], Taken> {
        let Some(whole) = body.get(..len + 2) else {
            return Err(Taken::Needs(len + 2));
        };
        if whole.ends_with(b"\r\n") {
            return Ok(&whole[..len]);
        }
        let ticket = self
            .sessions
            .open_fixed(self.client, verb, quiet, Outcome::Error, BAD_CHUNK);
        self.sessions.finish(ticket);
        // It is of another length than was said: what follows may be the rest of it.
        self.sessions.hang_up(self.client, Closed::BadRequest);
        Err(Taken::Body(len + 2))
    }

    fn store(&mut self, store: &Store<'_>, body: &[u8]) -> Taken {
        let Store {
            verb,
            key,
            flags,
            exptime,
            len,
            cas,
            noreply,
        } = *store;
        let asked = Asked {
            verb,
            quiet: quiet(noreply),
            key,
            base64: false,
            kind: WriteKind::of(verb),
        };
        if len > self.snapshot.max_value_bytes {
            self.too_large(asked, len);
            return Taken::Body(0);
        }
        let value = match self.body(verb, asked.quiet, len, body) {
            Ok(value) => value,
            Err(taken) => return taken,
        };
        let decision = self.decide(key);
        let rejection = || match verb {
            Verb::Cas => Cow::Borrowed(&b"EXISTS"[..]),
            _ => Cow::Borrowed(&b"NOT_STORED"[..]),
        };
        if let Err(taken) = self.admit(asked, decision, (flags, value), rejection) {
            return taken;
        }
        let is_lock = self.suspect_lock(asked, decision, len);
        let original = || Original {
            head: OriginalHead::Text {
                verb,
                flags,
                exptime,
            },
            value: value.into(),
        };
        let on_hidden = match verb {
            _ if is_lock || !decision.plan.look.hides() => OnHidden::Ignore,
            Verb::Add => OnHidden::Replace(original()),
            Verb::Replace | Verb::Append | Verb::Prepend => {
                OnHidden::leave(original(), Cow::Borrowed(b"NOT_STORED\r\n"))
            }
            _ => OnHidden::Ignore,
        };
        let head = StoreHead {
            verb,
            flags,
            exptime,
            cas,
        };
        self.write_through(
            asked,
            decision,
            on_hidden,
            |lane, sessions, ticket, target| {
                lane.store(sessions, ticket, target, &head, value);
            },
        );
        Taken::Body(len + 2)
    }

    fn meta_store(&mut self, meta: &Meta<'_>, body: &[u8]) -> Taken {
        let mode = meta.argument(b'M').and_then(<[u8]>::first);
        let mode = mode.map_or(b'S', u8::to_ascii_uppercase);
        let asked = Asked {
            verb: Verb::Ms,
            quiet: meta_quiet(meta),
            key: meta.key,
            base64: meta.base64,
            kind: match mode {
                b'S' if !meta.has(b'C') => WriteKind::Plain,
                b'E' if !meta.has(b'C') => WriteKind::Add,
                b'A' | b'P' => WriteKind::Part,
                _ => WriteKind::Conditional,
            },
        };
        if meta.len > self.snapshot.max_value_bytes {
            self.too_large(
                Asked {
                    quiet: Quiet::No,
                    kind: if meta.has_bad_flag() {
                        WriteKind::Conditional
                    } else {
                        WriteKind::Plain
                    },
                    ..asked
                },
                meta.len,
            );
            return Taken::Body(0);
        }
        let value = match self.body(Verb::Ms, Quiet::No, meta.len, body) {
            Ok(value) => value,
            Err(taken) => return taken,
        };
        if self.lanes[self.lane_of(meta.key)].meta == MetaCommands::Unknown {
            // It would say the same, and take the value for commands.
            self.refuse(Verb::Ms, false, b"ERROR");
            return Taken::Body(meta.len + 2);
        }
        let decision = self.decide(meta.key);
        let rejection = || {
            let code: &[u8] = if meta.has(b'C') { b"EX" } else { b"NS" };
            Cow::Owned(meta_reply(code, meta))
        };
        if let Err(taken) = self.admit(asked, decision, (client_flags(meta), value), rejection) {
            return taken;
        }
        let is_lock = self.suspect_lock(asked, decision, meta.len);
        let original = || original_meta(meta, value);
        let on_hidden = match mode {
            _ if is_lock || !decision.plan.look.hides() => OnHidden::Ignore,
            b'E' if asked.kind == WriteKind::Add && is_token(meta.key) => {
                OnHidden::Replace(original())
            }
            // Who names a value by its id has seen or stored it, and an error changes none.
            _ if !is_token(meta.key) && (meta.has(b'C') || meta.has_bad_flag()) => OnHidden::Ignore,
            b'R' | b'A' | b'P' => OnHidden::leave(original(), refusal(b"NS", meta)),
            _ => OnHidden::Ignore,
        };
        self.write_through(
            asked,
            decision,
            on_hidden,
            |lane, sessions, ticket, target| {
                lane.meta(sessions, ticket, meta, target, Some(value), UNSEEN);
            },
        );
        Taken::Body(meta.len + 2)
    }

    /// An `add` of something short is a lock, by its verb and size: what is in its way
    /// is held, though it be hidden, and not replaced. It is counted, as two versions
    /// may both get it where each namespace has its own.
    fn suspect_lock(&mut self, asked: Asked<'_>, decision: Decision<'_>, len: usize) -> bool {
        let is_lock = asked.kind == WriteKind::Add && len <= MAX_LOCK_BYTES;
        if is_lock {
            self.suspect(decision, asked.key, Split::Lock);
        }
        is_lock
    }

    fn suspect(&mut self, decision: Decision<'_>, key: &[u8], kind: Split) {
        self.sessions.families.splits(key, kind);
        if decision.plan.isolates() {
            self.sessions.tally.suspected(decision.space, kind);
        }
    }

    /// Looks at a value on its way in, where it is a whole one. `Err` says what became
    /// of the request: it waits for that look, or is rejected, since a reader of its key
    /// could not load the value and its rule says so.
    fn admit(
        &mut self,
        asked: Asked<'_>,
        decision: Decision<'_>,
        value: (u32, &[u8]),
        rejection: impl FnOnce() -> Cow<'static, [u8]>,
    ) -> Result<(), Taken> {
        if asked.kind == WriteKind::Part {
            return Ok(());
        }
        match self.sessions.admit(self.client, decision, asked.key, value) {
            Shown::AsIs | Shown::Rewritten(_) => Ok(()),
            Shown::Later => Err(Taken::Waits),
            Shown::Hidden => {
                self.refuse_store(asked, Outcome::Rejected, &rejection());
                Err(Taken::Body(value.1.len() + 2))
            }
        }
    }

    /// Refuses a store over the limit; its body is swallowed.
    fn too_large(&mut self, asked: Asked<'_>, len: usize) {
        self.refuse_store(asked, Outcome::TooLarge, TOO_LARGE);
        self.sessions.get(self.client).swallow = len + 2;
    }

    /// Refuses a store; a plain one also deletes every copy, so that nobody reads what
    /// it was meant to replace.
    fn refuse_store(&mut self, asked: Asked<'_>, outcome: Outcome, reply: &[u8]) {
        let Asked {
            verb,
            quiet,
            key,
            base64,
            kind,
        } = asked;
        let ticket = self
            .sessions
            .open_fixed(self.client, verb, quiet, outcome, reply);
        let decision = self.decide(key);
        // What it was to fill is not filled by the next.
        self.uses_up_miss(decision, key, kind);
        if kind == WriteKind::Plain {
            self.delete_all(ticket, key, base64);
        }
        self.sessions.finish(ticket);
    }

    /// Deletes the own copy and its siblings under a reply that is known.
    fn delete_all(&mut self, ticket: Ticket, key: &[u8], base64: bool) {
        let decision = self.decide(key);
        let siblings = decision.siblings(&self.snapshot.codec);
        let spaces = std::iter::once(decision.space).chain(siblings);
        self.delete_copies(ticket, self.lane_of(key), spaces, key, base64, None);
    }

    /// Deletes copies in one pipelined write.
    #[expect(clippy::too_many_arguments, reason = "to be cut with the engine")]
    fn delete_copies(
        &mut self,
        ticket: Ticket,
        lane: usize,
        spaces: impl IntoIterator<Item = SpaceId>,
        key: &[u8],
        base64: bool,
        meta: Option<&Meta<'_>>,
    ) {
        for space in spaces {
            let target = self.target(space, key, base64);
            let sent = self.send(lane, ticket, |lane, sessions| {
                lane.delete_copy(sessions, Some(ticket), target, meta);
            });
            if !sent {
                self.sessions
                    .invalidated(ticket, space, Invalidation::Error);
            }
        }
    }

    /// Sends a write and, where it reaches them, deletes the siblings: at once
    /// behind a plain one, which always takes effect, else once it did.
    fn write_through(
        &mut self,
        asked: Asked<'_>,
        decision: Decision<'e>,
        on_hidden: OnHidden,
        write: impl FnOnce(&mut Lane, &mut Sessions, Ticket, Target<'_>),
    ) {
        let Asked {
            verb,
            quiet,
            key,
            base64,
            kind,
        } = asked;
        let Decision { space, .. } = decision;
        let plain = kind == WriteKind::Plain;
        let reaches = self.reaches_siblings(decision, key, kind);
        let lane = self.lane_of(key);
        let looks_first = on_hidden.looks_first();
        let ignores = matches!(on_hidden, OnHidden::Ignore);
        let work = if !ignores || (reaches && !plain) {
            Work::Change(Box::new(Stepwise {
                key: KeyBuf::try_from(key).expect("the parser admits 250 bytes at most"),
                base64,
                own: space,
                lane,
                invalidates: reaches,
                on_hidden,
                stage: if looks_first {
                    Stage::Probed(Found::Nothing)
                } else {
                    Stage::Asked
                },
            }))
        } else {
            Work::Pass
        };
        let ticket = self.sessions.open(self.client, verb, quiet, work);
        let target = self.target(space, key, base64);
        self.send(lane, ticket, |lane, sessions| {
            if looks_first {
                lane.probe(sessions, ticket, target, decision.plan.look);
            } else {
                write(lane, sessions, ticket, target);
            }
        });
        if reaches && plain {
            let siblings = decision.siblings(&self.snapshot.codec);
            self.delete_copies(ticket, lane, siblings, key, base64, None);
        }
        self.sessions.finish(ticket);
    }

    /// Whether a write reaches the copies of others, once it took effect.
    fn reaches_siblings(&mut self, decision: Decision<'_>, key: &[u8], kind: WriteKind) -> bool {
        let is_fill = self.uses_up_miss(decision, key, kind);
        match decision.plan.reach(kind) {
            Reach::Never => false,
            Reach::UnlessFill => !is_fill,
            Reach::Always => true,
        }
    }

    /// Whether a write fills what was missed a moment ago, which is then used up.
    fn uses_up_miss(&mut self, decision: Decision<'_>, key: &[u8], kind: WriteKind) -> bool {
        decision.plan.fills(kind) && self.sessions.is_fill(self.client, key)
    }

    /// Sends the next step of a change.
    pub(super) fn step(&mut self, ticket: Ticket, step: Step, change: Box<Stepwise>) {
        let Stepwise {
            own, lane, base64, ..
        } = *change;
        let target = self.target(own, &change.key, base64);
        match step {
            Step::Invalidate => {
                let siblings = self.snapshot.codec.spaces().filter(|&space| space != own);
                self.delete_copies(ticket, lane, siblings, &change.key, base64, None);
                self.sessions.finish(ticket);
                return;
            }
            Step::Probe => {
                let look = self.decide_for(ticket, &change.key).plan.look;
                self.send(lane, ticket, |lane, sessions| {
                    lane.probe(sessions, ticket, target, look);
                });
            }
            Step::Swap(cas) => match &change.on_hidden {
                OnHidden::Replace(original) | OnHidden::Leave { original, .. } => {
                    self.ask_for(ticket, lane, target, original, Some(cas));
                }
                OnHidden::Ignore | OnHidden::Count { .. } => {}
            },
            Step::Ask => {
                if let OnHidden::Count {
                    original: Some(original),
                    ..
                } = &change.on_hidden
                {
                    self.ask_for(ticket, lane, target, original, None);
                }
            }
        }
        self.sessions.resume(ticket, change);
    }

    /// Asks for a change that had to wait, for exactly the value of this CAS id.
    fn ask_for(
        &mut self,
        ticket: Ticket,
        lane: usize,
        target: Target<'_>,
        original: &Original,
        cas: Option<u64>,
    ) {
        let value = &*original.value;
        match &original.head {
            &OriginalHead::Text {
                verb: verb @ (Verb::Append | Verb::Prepend),
                ..
            } if self.lanes[lane].meta == MetaCommands::Known => {
                // No classic command appends to what has this id.
                let mode = if verb == Verb::Append { 'A' } else { 'P' };
                let flags = cas.map_or(String::new(), |cas| format!("M{mode} C{cas}"));
                self.send_meta(ticket, lane, target, (Verb::Ms, flags.as_bytes()), value);
            }
            &OriginalHead::Text {
                verb,
                flags,
                exptime,
            } => {
                // Where there are no others it is appended to whatever is there now.
                let is_whole = !matches!(verb, Verb::Append | Verb::Prepend);
                let head = StoreHead {
                    verb: if is_whole { Verb::Cas } else { verb },
                    flags,
                    exptime,
                    cas: cas.filter(|_| is_whole),
                };
                self.send(lane, ticket, |lane, sessions| {
                    lane.store(sessions, ticket, target, &head, value);
                });
            }
            OriginalHead::Count { verb, delta } => {
                self.send(lane, ticket, |lane, sessions| {
                    lane.change(sessions, ticket, *verb, target, Some(delta));
                });
            }
            OriginalHead::Meta {
                verb,
                flags,
                is_bound: true,
            } => self.send_meta(ticket, lane, target, (*verb, flags), value),
            OriginalHead::Meta { verb, flags, .. } => {
                // `I` would store over what is newer than the id; a mode that asks
                // whether anything is there is met by it.
                let kept = Tokens::new(flags).filter(|flag| match flag[0] {
                    b'C' | b'I' => false,
                    b'M' => !matches!(flag[1..], [b'E' | b'e' | b'R' | b'r']),
                    _ => true,
                });
                let mut flags = kept.collect::<Vec<_>>().join(&b' ');
                if let Some(cas) = cas {
                    flags.extend_from_slice(format!(" C{cas}").as_bytes());
                }
                self.send_meta(ticket, lane, target, (*verb, &flags), value);
            }
        }
    }

    fn send_meta(
        &mut self,
        ticket: Ticket,
        lane: usize,
        target: Target<'_>,
        (verb, flags): (Verb, &[u8]),
        value: &[u8],
    ) {
        let meta = Meta::new(verb, (target.key, target.base64), value.len(), flags);
        let body = (verb == Verb::Ms).then_some(value);
        self.send(lane, ticket, |lane, sessions| {
            lane.meta(sessions, ticket, &meta, target, body, UNSEEN);
        });
    }

    // Changes --------------------------------------------------------------

    fn delete(&mut self, change: &Change<'_>) {
        let own = |lane: &mut Lane, sessions: &mut Sessions, ticket, target: Target<'_>| {
            lane.change(sessions, ticket, Verb::Delete, target, None);
        };
        let key = (change.key, false);
        self.delete_everywhere(Verb::Delete, quiet(change.noreply), key, None, own);
    }

    fn meta_delete(&mut self, meta: &Meta<'_>) {
        let own = |lane: &mut Lane, sessions: &mut Sessions, ticket, target: Target<'_>| {
            lane.meta(sessions, ticket, meta, target, None, UNSEEN);
        };
        let key = (meta.key, meta.base64);
        self.delete_everywhere(Verb::Md, meta_quiet(meta), key, Some(meta), own);
    }

    /// Deletes the own copy as the client asked, and its siblings behind it.
    fn delete_everywhere(
        &mut self,
        verb: Verb,
        quiet: Quiet,
        (key, base64): (&[u8], bool),
        meta: Option<&Meta<'_>>,
        own: impl FnOnce(&mut Lane, &mut Sessions, Ticket, Target<'_>),
    ) {
        let work = Work::Delete { existed: false };
        let ticket = self.sessions.open(self.client, verb, quiet, work);
        let lane = self.lane_of(key);
        let decision = self.decide(key);
        let target = self.target(decision.space, key, base64);
        self.send(lane, ticket, |lane, sessions| {
            own(lane, sessions, ticket, target);
        });
        let reaches = self.is_anybody || decision.plan.deletes_reach;
        let others = decision.others(&self.snapshot.codec);
        let siblings = others.filter(|_| reaches);
        self.delete_copies(ticket, lane, siblings, key, base64, meta);
        self.sessions.finish(ticket);
    }

    /// `incr`, `decr` and `touch`.
    fn change(&mut self, change: &Change<'_>) {
        let Change {
            verb,
            key,
            argument,
            noreply,
        } = *change;
        let decision = self.decide(key);
        let write = |lane: &mut Lane, sessions: &mut Sessions, ticket, target: Target<'_>| {
            lane.change(sessions, ticket, verb, target, argument);
        };
        if verb == Verb::Touch {
            let ticket = self
                .sessions
                .open(self.client, verb, quiet(noreply), Work::Pass);
            let lane = self.lane_of(key);
            let target = self.target(decision.space, key, false);
            self.send(lane, ticket, |lane, sessions| {
                write(lane, sessions, ticket, target);
            });
            self.sessions.finish(ticket);
        } else {
            self.suspect(decision, key, Split::Counter);
            let quiet = quiet(noreply);
            let asked = Asked {
                verb,
                quiet,
                key,
                base64: false,
                kind: WriteKind::Conditional,
            };
            let look = decision.plan.look;
            let original = || Original {
                head: OriginalHead::Count {
                    verb,
                    delta: argument.unwrap_or_default().into(),
                },
                value: Box::default(),
            };
            let on_hidden = if look.hides() {
                OnHidden::Count {
                    original: look.hides_what_is_none().then(original),
                    refusal: Cow::Borrowed(b"NOT_FOUND\r\n"),
                }
            } else {
                OnHidden::Ignore
            };
            self.write_through(asked, decision, on_hidden, write);
        }
    }

    fn meta_change(&mut self, meta: &Meta<'_>) {
        let decision = self.decide(meta.key);
        self.suspect(decision, meta.key, Split::Counter);
        let asked = Asked {
            verb: Verb::Ma,
            quiet: meta_quiet(meta),
            key: meta.key,
            base64: meta.base64,
            kind: WriteKind::Conditional,
        };
        let look = decision.plan.look;
        let counts_hidden = look.hides_what_is_none();
        let on_hidden = if look.hides() && (counts_hidden || is_token(meta.key)) {
            OnHidden::Count {
                original: counts_hidden.then(|| original_meta(meta, b"").bound()),
                refusal: refusal(b"NF", meta),
            }
        } else {
            OnHidden::Ignore
        };
        self.write_through(
            asked,
            decision,
            on_hidden,
            |lane, sessions, ticket, target| {
                lane.meta(sessions, ticket, meta, target, None, UNSEEN);
            },
        );
    }

    // Without a key --------------------------------------------------------

    fn version(&mut self) {
        let ticket = self
            .sessions
            .open_stream(self.client, Verb::Version, Quiet::No);
        let lane = self.lane_at(0);
        self.send(lane, ticket, |lane, sessions| {
            lane.plain(sessions, ticket, Verb::Version, &[b"version"]);
        });
        self.sessions.finish(ticket);
    }

    fn stats(&mut self, section: &[u8]) {
        if section == OWN_STATS {
            let ticket = self
                .sessions
                .open_stream(self.client, Verb::Stats, Quiet::No);
            self.sessions.questions.push(ticket);
            return;
        }
        let (client, servers) = (self.client, self.snapshot.ring.servers());
        let name = |server: usize| self.lanes[self.groups[server]].server.clone();
        let gathering = Gathering::new(section, (0..servers).map(name));
        let ticket = self.sessions.open_statistics(client, gathering, servers);
        for server in 0..servers {
            self.send(self.lane_at(server), ticket, |lane, sessions| {
                lane.stats(sessions, ticket, server, section);
            });
        }
        self.sessions.finish(ticket);
    }

    fn flush_all(&mut self, delay: Option<i32>, noreply: bool) {
        if !self.snapshot.forward_flush_all {
            self.refuse(
                Verb::FlushAll,
                noreply,
                b"CLIENT_ERROR flush_all not allowed",
            );
            return;
        }
        let client = self.client;
        let quiet = quiet(noreply);
        let ticket = self
            .sessions
            .open_fixed(client, Verb::FlushAll, quiet, Outcome::Ok, b"OK");
        let mut number = itoa::Buffer::new();
        let delay = delay.map_or("", |delay| number.format(delay));
        for server in 0..self.snapshot.ring.servers() {
            let lane = self.lane_at(server);
            let words: [&[u8]; 3] = [
                b"flush_all",
                if delay.is_empty() { b"" } else { b" " },
                delay.as_bytes(),
            ];
            self.send(lane, ticket, |lane, sessions| {
                lane.plain(sessions, ticket, Verb::FlushAll, &words);
            });
        }
        self.sessions.finish(ticket);
    }
}

fn quiet(noreply: bool) -> Quiet {
    if noreply { Quiet::Noreply } else { Quiet::No }
}

fn meta_quiet(meta: &Meta<'_>) -> Quiet {
    if meta.has(b'q') {
        Quiet::Meta
    } else {
        Quiet::No
    }
}

fn client_flags(meta: &Meta<'_>) -> u32 {
    let flags = meta.argument(b'F').and_then(parse_u64);
    flags
        .and_then(|flags| u32::try_from(flags).ok())
        .unwrap_or(0)
}

/// An `ms` or `ma` as its client asked for it.
fn original_meta(meta: &Meta<'_>, value: &[u8]) -> Original {
    Original {
        head: OriginalHead::Meta {
            verb: meta.verb,
            flags: meta.flags.rest().into(),
            is_bound: meta.has(b'C'),
        },
        value: value.into(),
    }
}

/// What a meta command on a hidden value is told.
fn refusal(code: &[u8], meta: &Meta<'_>) -> Cow<'static, [u8]> {
    let mut reply = meta_reply(code, meta);
    reply.extend_from_slice(b"\r\n");
    Cow::Owned(reply)
}

/// A reply to `ms` of our own: the code, and the flags that memcached returns.
fn meta_reply(code: &[u8], meta: &Meta<'_>) -> Vec<u8> {
    let mut reply = Vec::with_capacity(MAX_KEY_BYTES);
    reply.extend_from_slice(code);
    for flag in meta.flags.clone() {
        match flag[0] {
            b'O' => {
                reply.push(b' ');
                reply.extend_from_slice(flag);
            }
            b'k' => {
                reply.extend_from_slice(b" k");
                push_key(&mut reply, meta.key, meta.base64);
            }
            b'c' if code != b"NF" => reply.extend_from_slice(b" c0"),
            _ => {}
        }
    }
    reply
}
