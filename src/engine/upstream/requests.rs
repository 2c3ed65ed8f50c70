//! The requests of a lane, as they go upstream: canonical lines that are always
//! answered, whatever hushing the client asked for, so that no reply is ever missing from
//! the queue. Which requests are sent where is not decided here.

use super::late::Late;
use super::metas::OwedMeta;
use super::through::Through;
use super::{Lane, Reply};
use crate::engine::downstream::Downstream;
use crate::engine::meta::{MetaReply, OwedRestore, Unnamed};
use crate::engine::ticket::Ticket;
use crate::engine::words::{push_number, push_word};
use crate::policy::{KeyCodec, Look, OnMiss, Restore, SpaceId};
use crate::protocol::key::{KeyBuf, encode_base64_key};
use crate::protocol::request::{Meta, Verb};

/// A key as a client asked for it, and where it goes.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// All key spaces.
    pub codec: &'a KeyCodec,
    /// The one that this request addresses.
    pub space: SpaceId,
    /// The client key.
    pub key: &'a [u8],
    /// Whether the client spelled it in base64.
    pub base64: bool,
}

/// Arguments of a store beside its key and value.
#[derive(Debug, Clone, Copy)]
pub struct StoreHead {
    /// [`Verb::Set`] to [`Verb::Cas`].
    pub verb: Verb,
    /// The client flags.
    pub flags: u32,
    /// The expiry time, cut to the width that memcached keeps.
    pub exptime: i32,
    /// The CAS id of a `cas`.
    pub cas: Option<u64>,
}

/// A meta command, and how its reply is taken.
#[derive(Debug, Clone, Copy)]
pub struct MetaRequest<'a> {
    /// The command as its client wrote it.
    pub meta: &'a Meta<'a>,
    /// The value of a store.
    pub body: Option<&'a [u8]>,
    /// The look at a value that comes back.
    pub look: Look,
    /// The consequences of a miss.
    pub on_miss: OnMiss,
}

impl<'a> MetaRequest<'a> {
    /// A command of which no value comes back.
    pub fn unseen(meta: &'a Meta<'a>, body: Option<&'a [u8]>) -> Self {
        Self {
            meta,
            body,
            look: Look::Away,
            on_miss: OnMiss::empty(),
        }
    }
}

impl Lane {
    /// Sends a request that is answered by one line: the verb, the key, and
    /// maybe an argument.
    pub fn change(
        &mut self,
        downstream: &mut Downstream,
        ticket: Ticket,
        verb: Verb,
        target: Target<'_>,
        argument: Option<&[u8]>,
    ) {
        self.keyed(downstream, ticket, verb, target, |lane| {
            if let Some(argument) = argument {
                push_word(&mut lane.wire, argument);
            }
        });
    }

    /// Sends a request that is answered by one line; `ends` writes what follows
    /// the key, up to the last line end.
    fn keyed(
        &mut self,
        downstream: &mut Downstream,
        ticket: Ticket,
        verb: Verb,
        target: Target<'_>,
        ends: impl FnOnce(&mut Self),
    ) {
        self.owe(downstream, ticket, Reply::Line { ticket, verb });
        self.wire.extend_from_slice(verb.name().as_bytes());
        self.wire.push(b' ');
        target
            .codec
            .encode(target.space, target.key, &mut self.wire);
        ends(self);
        self.wire.extend_from_slice(b"\r\n");
    }

    /// Sends a store.
    pub fn store(
        &mut self,
        downstream: &mut Downstream,
        ticket: Ticket,
        target: Target<'_>,
        head: &StoreHead,
        value: &[u8],
    ) {
        let ends = |lane: &mut Self| {
            lane.push_argument(head.flags);
            lane.push_argument(head.exptime);
            lane.push_argument(value.len());
            if let Some(id) = head.cas {
                lane.push_argument(id);
            }
            lane.wire.reserve(value.len() + 4);
            lane.wire.extend_from_slice(b"\r\n");
            lane.wire.extend_from_slice(value);
        };
        self.keyed(downstream, ticket, head.verb, target, ends);
    }

    /// Appends a number as a further argument.
    fn push_argument(&mut self, number: impl itoa::Integer) {
        self.wire.push(b' ');
        push_number(&mut self.wire, number);
    }

    /// Deletes a copy of a key other than the own one; without a ticket nobody waits
    /// for the reply. `meta` is the client's own `md`.
    pub fn delete_copy(
        &mut self,
        downstream: &mut Downstream,
        ticket: Option<Ticket>,
        target: Target<'_>,
        meta: Option<&Meta<'_>>,
    ) {
        let verb = if meta.is_some() || target.base64 {
            Verb::Md
        } else {
            Verb::Delete
        };
        if let Some(ticket) = ticket {
            let target = target.space;
            let reply = Reply::Sibling {
                ticket,
                verb,
                target,
            };
            self.owe(downstream, ticket, reply);
        } else {
            if self.is_idle() {
                self.excuse(downstream.context.clock.steady_us);
            }
            self.push_owed(self.end(), Reply::Late(Late::nobodys(verb)));
        }
        self.wire.extend_from_slice(verb.name().as_bytes());
        self.wire.push(b' ');
        self.spell_key(target);
        if target.base64 {
            self.wire.extend_from_slice(b" b");
        }
        // A condition on the CAS id binds the own copy only.
        let flags = meta.into_iter().flat_map(|meta| meta.flags.clone());
        for flag in flags.filter(|flag| matches!(flag[0], b'I' | b'T' | b'x')) {
            push_word(&mut self.wire, flag);
        }
        self.wire.extend_from_slice(b"\r\n");
    }

    /// Sends a meta command with the client's flags, without those that hush
    /// it, and with what checking the reply needs.
    pub fn meta(
        &mut self,
        downstream: &mut Downstream,
        ticket: Ticket,
        target: Target<'_>,
        request: &MetaRequest<'_>,
    ) {
        let &MetaRequest {
            meta,
            body,
            look,
            on_miss,
        } = request;
        let since_us = downstream.clients.expect(ticket);
        let start = self.enter(downstream, ticket, since_us);
        self.wire.extend_from_slice(meta.verb.name().as_bytes());
        self.wire.push(b' ');
        let restore = self.spell_key(target);
        if body.is_some() {
            self.push_argument(meta.len);
        }
        if target.base64 {
            self.wire.extend_from_slice(b" b");
        }
        let unnamed = Unnamed::new(meta);
        // Servers ignore P and L, and some refuse them; b is spelled above.
        let passed = |flag: &[u8]| match flag[0] {
            b'q' | b'P' | b'L' | b'b' => false,
            b'k' => unnamed.is_none(),
            _ => true,
        };
        for flag in meta.flags.clone().filter(|flag| passed(flag)) {
            push_word(&mut self.wire, flag);
        }
        let wants_key = meta.has(b'k');
        let wants_flags = meta.has(b'f');
        if meta.verb == Verb::Mg {
            if unnamed.is_some_and(|unnamed| unnamed.own_opaque) {
                self.wire.extend_from_slice(b" O");
                push_number(&mut self.wire, start);
            } else if unnamed.is_none() && !wants_key {
                self.wire.extend_from_slice(b" k");
            }
            if look != Look::Away && !wants_flags {
                self.wire.extend_from_slice(b" f");
            }
        }
        self.wire.extend_from_slice(b"\r\n");
        if let Some(body) = body {
            self.wire.extend_from_slice(body);
            self.wire.extend_from_slice(b"\r\n");
        }
        let reply = Reply::Meta(OwedMeta {
            ticket,
            meta: MetaReply {
                verb: meta.verb,
                look,
                on_miss,
                base64: target.base64,
                others: 0,
                wants_key,
                wants_flags,
                restore: OwedRestore::new(restore, target.key, &mut downstream.context.pool),
                is_read: match meta.verb {
                    Verb::Mg => !b"NRTE".iter().any(|&flag| meta.has(flag)),
                    verb => verb == Verb::Me,
                },
                unnamed,
            },
        });
        self.push_owed(start, reply);
    }

    /// Writes a physical key, in base64 if the client did.
    pub(super) fn spell_key(&mut self, target: Target<'_>) -> Restore {
        let start = self.wire.len();
        let restore = target
            .codec
            .encode(target.space, target.key, &mut self.wire);
        if target.base64 {
            let token = encode_base64_key(&self.wire[start..])
                .expect("the codec keeps physical keys of base64 keys spellable");
            self.wire.truncate(start);
            self.wire.extend_from_slice(&token);
        }
        restore
    }

    /// Asks for the copies of others of a client key, in this order.
    pub fn through(
        &mut self,
        downstream: &mut Downstream,
        ticket: Ticket,
        (key, look, on_miss, first): (Box<KeyBuf>, Look, OnMiss, usize),
        (codec, spaces): (&KeyCodec, impl Iterator<Item = SpaceId>),
    ) {
        let since_us = downstream.clients.since(ticket);
        let start = self.enter(downstream, ticket, since_us);
        self.wire.extend_from_slice(b"get");
        let mut copies = 0;
        for space in spaces {
            copies += 1;
            self.wire.push(b' ');
            codec.encode(space, &key, &mut self.wire);
        }
        let end = self.fence.next_end(copies);
        let reply = Reply::Through(Through {
            ticket,
            restore: OwedRestore::Kept(key),
            look,
            on_miss,
            first,
            served: false,
            end,
        });
        self.push_owed(start, reply);
        self.end_values();
    }

    /// Asks for the copy of another: as it was asked for the own one, whose line
    /// went on with `flags` behind the key.
    pub(in crate::engine) fn meta_through(
        &mut self,
        downstream: &mut Downstream,
        ticket: Ticket,
        mut meta: MetaReply,
        target: Target<'_>,
        flags: &[u8],
    ) {
        let since_us = downstream.clients.since(ticket);
        let start = self.enter(downstream, ticket, since_us);
        self.wire.extend_from_slice(b"mg ");
        let restore = self.spell_key(target);
        self.wire.extend_from_slice(flags);
        self.wire.extend_from_slice(b"\r\n");
        meta.restore = OwedRestore::new(restore, target.key, &mut downstream.context.pool);
        self.push_owed(start, Reply::Meta(OwedMeta { ticket, meta }));
    }

    /// Sends a line without a key that is answered by one line.
    pub fn plain(
        &mut self,
        downstream: &mut Downstream,
        ticket: Ticket,
        verb: Verb,
        line: &[&[u8]],
    ) {
        self.owe(downstream, ticket, Reply::Line { ticket, verb });
        for part in line {
            self.wire.extend_from_slice(part);
        }
        self.wire.extend_from_slice(b"\r\n");
    }

    /// Asks the server of this number for statistics.
    pub fn stats(
        &mut self,
        downstream: &mut Downstream,
        ticket: Ticket,
        server: usize,
        section: &[u8],
    ) {
        self.owe(downstream, ticket, Reply::Stats { ticket, server });
        self.wire.extend_from_slice(b"stats");
        if !section.is_empty() {
            push_word(&mut self.wire, section);
        }
        self.wire.extend_from_slice(b"\r\n");
    }
}
