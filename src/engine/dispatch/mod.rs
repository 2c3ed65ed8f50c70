//! From requests to what goes upstream: one method per kind of request, each
//! deciding by the snapshot and writing to lanes.

mod change;
mod keyless;
mod retrieve;
mod store;
mod write;

use std::borrow::Cow;

use crate::engine::counts::{Closed, Invalidation, Outcome, Split};
use crate::engine::downstream::life::Life;
use crate::engine::downstream::{Downstream, Session};
use crate::engine::settings::Settings;
use crate::engine::steps::{Original, OriginalHead, Stepwise};
use crate::engine::ticket::{Quiet, Ticket};
use crate::engine::upstream::server::Upstream;
use crate::engine::upstream::{Lane, Target};
use crate::engine::words::{push_key, push_word};
use crate::policy::{Decision, Snapshot, SpaceId, WriteKind};
use crate::protocol::key::MAX_KEY_BYTES;
use crate::protocol::request::{Head, Meta, Verb};

/// Progress with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// Done, with this many bytes after its head.
    Body(usize),
    /// Needs this many bytes after its head.
    Needs(usize),
    /// Complete, but taken again later.
    Waits,
}

/// One client's request meeting the snapshot and the lanes.
pub(super) struct Dispatch<'e> {
    pub(super) snapshot: &'e Snapshot,
    pub(super) downstream: &'e mut Downstream,
    pub(super) lanes: &'e mut [Upstream],
    pub(super) client: u32,
    pub(super) connections: usize,
    /// The first lane of each server.
    pub(super) groups: &'e [usize],
    /// The settings that the snapshot is from.
    pub(super) settings: &'e Settings,
    /// The client may be any runtime: which copy of a key is its own is not known.
    pub(super) is_anybody: bool,
}

/// A write as a client asked for it.
#[derive(Clone, Copy)]
struct Asked<'k> {
    verb: Verb,
    quiet: Quiet,
    key: ClientKey<'k>,
    kind: WriteKind,
}

/// A key as its client spelled it.
#[derive(Clone, Copy)]
struct ClientKey<'k> {
    /// Decoded.
    bytes: &'k [u8],
    base64: bool,
}

impl<'k> ClientKey<'k> {
    /// One of a text command.
    fn text(bytes: &'k [u8]) -> Self {
        Self {
            bytes,
            base64: false,
        }
    }

    /// The key of a meta command.
    fn of(meta: &Meta<'k>) -> Self {
        Self {
            bytes: meta.key,
            base64: meta.base64,
        }
    }

    /// The key of a change which takes several steps.
    fn again(change: &'k Stepwise) -> Self {
        Self {
            bytes: &change.key,
            base64: change.base64,
        }
    }
}

impl<'e> Dispatch<'e> {
    /// Takes one request; `body` is all that there is after its head.
    pub(super) fn take(&mut self, head: &Head<'_>, body: &[u8]) -> Taken {
        if self.session().unsure {
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
        let is_idle = self.downstream.clients.slab[self.client as usize].is_idle();
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
            Head::Quit => self.session().come_to(Life::Quitting),
            Head::Refused { command, noreply } => {
                let reply = format!("CLIENT_ERROR {command} not allowed");
                self.refuse(Verb::Other, quiet(noreply), reply.as_bytes());
            }
            Head::Bad(bad) => {
                if !bad.reply.is_empty() {
                    self.answer(Verb::Other, Outcome::Error, bad.reply.as_bytes());
                }
                self.session().swallow = bad.swallow;
                if bad.close {
                    self.downstream.hang_up(self.client, Closed::BadRequest);
                }
            }
        }
        Taken::Body(0)
    }

    /// The client's session.
    pub(super) fn session(&mut self) -> &mut Session {
        self.downstream.clients.get(self.client)
    }

    pub(super) fn answer(&mut self, verb: Verb, outcome: Outcome, reply: &[u8]) {
        let (downstream, client) = (&mut self.downstream, self.client);
        downstream.answer(client, verb, Quiet::No, outcome, reply);
    }

    pub(super) fn refuse(&mut self, verb: Verb, quiet: Quiet, reply: &[u8]) {
        let (downstream, client) = (&mut self.downstream, self.client);
        downstream.answer(client, verb, quiet, Outcome::Error, reply);
    }

    fn decide(&mut self, key: &[u8]) -> Decision<'e> {
        let identity = self.session().who.identity;
        self.snapshot.decide(identity, key)
    }

    /// Decides for the client of a slot, as it was taken for when it asked.
    fn decide_for(&mut self, ticket: Ticket, key: &[u8]) -> Decision<'e> {
        let identity = self.downstream.clients.who(ticket).identity;
        self.snapshot.decide(identity, key)
    }

    fn target<'k>(&self, space: SpaceId, key: ClientKey<'k>) -> Target<'k>
    where
        'e: 'k,
    {
        Target {
            codec: &self.snapshot.codec,
            space,
            key: key.bytes,
            base64: key.base64,
        }
    }

    /// The lane of a key: one client stays on one lane of each server, so that
    /// its requests for a key are carried out in their order.
    fn lane_of(&self, key: &[u8]) -> usize {
        self.lane_at(self.snapshot.ring.server(key))
    }

    fn lane_at(&self, server: usize) -> usize {
        let within = if self.downstream.clients.slab[self.client as usize].bulk {
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
        write: impl FnOnce(&mut Lane, &mut Downstream),
    ) -> bool {
        let upstream = &mut self.lanes[lane];
        if let Some(error) = upstream.refuse() {
            self.downstream.fail(ticket, &error);
            return false;
        }
        write(&mut upstream.lane, self.downstream);
        true
    }

    fn suspect(&mut self, decision: Decision<'_>, key: &[u8], kind: Split) {
        self.downstream.context.families.splits(key, kind);
        if decision.plan.isolates() {
            self.downstream
                .context
                .counts
                .suspected(decision.space, kind);
        }
    }

    /// Deletes copies in one pipelined write.
    fn delete_copies(
        &mut self,
        ticket: Ticket,
        lane: usize,
        spaces: impl IntoIterator<Item = SpaceId>,
        key: ClientKey<'_>,
        meta: Option<&Meta<'_>>,
    ) {
        for space in spaces {
            let target = self.target(space, key);
            let sent = self.send(lane, ticket, |lane, downstream| {
                lane.delete_copy(downstream, Some(ticket), target, meta);
            });
            if !sent {
                self.downstream
                    .invalidated(ticket, space, Invalidation::Error);
            }
        }
    }
}

pub(super) fn quiet(noreply: bool) -> Quiet {
    if noreply { Quiet::Noreply } else { Quiet::No }
}

fn meta_quiet(meta: &Meta<'_>) -> Quiet {
    if meta.has(b'q') {
        Quiet::Meta
    } else {
        Quiet::No
    }
}

/// A reply to `ms` of our own: the code, and the flags that memcached returns.
fn meta_reply(code: &[u8], meta: &Meta<'_>) -> Vec<u8> {
    let mut reply = Vec::with_capacity(MAX_KEY_BYTES);
    reply.extend_from_slice(code);
    for flag in meta.flags.clone() {
        match flag[0] {
            b'O' => push_word(&mut reply, flag),
            b'k' => push_key(&mut reply, meta.key, meta.base64),
            b'c' if code != b"NF" => reply.extend_from_slice(b" c0"),
            _ => {}
        }
    }
    reply
}

/// The reply to a meta command on a hidden value.
fn refusal(code: &[u8], meta: &Meta<'_>) -> Cow<'static, [u8]> {
    let mut reply = meta_reply(code, meta);
    reply.extend_from_slice(b"\r\n");
    Cow::Owned(reply)
}

/// An `ms` or `ma` as its client asked for it, bound to be asked for as it is or not.
fn original_meta(meta: &Meta<'_>, value: &[u8], is_bound: bool) -> Original {
    Original {
        head: OriginalHead::Meta {
            verb: meta.verb,
            flags: meta.flags.rest().into(),
            is_bound,
        },
        value: value.into(),
    }
}
