//! The retrieval that still grows: keys of many clients gather in one line, which is
//! closed before anything follows that must not overtake it.

use super::requests::Target;
use super::values::{OwedKey, Values};
use super::{Lane, Reply};
use crate::engine::downstream::Downstream;
use crate::engine::meta::OwedRestore;
use crate::engine::ticket::Ticket;
use crate::engine::words::push_word;
use crate::policy::{Look, OnMiss};
use crate::protocol::Tokens;
use crate::protocol::request::Verb;

/// Keys that one upstream retrieval may carry.
const MAX_KEYS: usize = 128;
/// Keys that it may carry where the upstream had no room for replies: memcached keeps
/// room for that many, whatever its limits are.
const FEW_KEYS: usize = 8;
/// Bytes of one upstream retrieval past which it takes no further key: half of
/// what memcached reads at once.
const MAX_LINE_BYTES: usize = 8 << 10;
/// Bytes of one upstream `gat` line: memcached closes over 2,048.
const MAX_GAT_BYTES: usize = 1800;

/// A retrieval that may still grow: keys of many clients in one line, which
/// memcached answers at a fraction of the cost of many lines.
#[derive(Debug)]
pub(super) struct Open {
    verb: Verb,
    /// The line so far, without its end.
    line: Vec<u8>,
    /// Length of the line in front of its first key.
    head: usize,
    /// Bytes past which it takes no further key.
    limit: usize,
    pub(super) keys: Vec<OwedKey>,
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

impl Open {
    /// Whether it asks in the same way.
    fn is_like(&self, verb: Verb, exptime: Option<&[u8]>) -> bool {
        !self.keys.is_empty()
            && self.verb == verb
            && (exptime.is_none() || Tokens::new(&self.line[..self.head]).nth(1) == exptime)
    }

    /// Whether no further key may go into the line.
    fn is_full(&self, most_keys: usize) -> bool {
        self.keys.len() >= most_keys || self.line.len() >= self.limit
    }

    /// Starts a line, without a key yet.
    fn begin(&mut self, verb: Verb, exptime: Option<&[u8]>) {
        self.verb = verb;
        self.line.clear();
        self.line.extend_from_slice(verb.name().as_bytes());
        self.limit = MAX_LINE_BYTES;
        if let Some(exptime) = exptime {
            push_word(&mut self.line, exptime);
            self.limit = MAX_GAT_BYTES;
        }
        self.head = self.line.len();
    }
}

impl Lane {
    /// Keys that a line may have now.
    pub(super) fn most_keys(&self) -> usize {
        if self.careful > 0 { FEW_KEYS } else { MAX_KEYS }
    }

    /// Asks for keys of one retrieval, in one line with those of others; whether
    /// there are any. The ticket's slot already waits for them.
    pub fn retrieve<'k>(
        &mut self,
        downstream: &mut Downstream,
        ticket: Ticket,
        (verb, exptime): (Verb, Option<&[u8]>),
        keys: impl Iterator<Item = (Target<'k>, Look, OnMiss)>,
    ) -> bool {
        let before = self.counts.requests;
        let since_us = downstream.clients.since(ticket);
        self.begin(downstream.context.clock, since_us);
        let mut goes_on = self.open.is_like(verb, exptime);
        for (target, look, on_miss) in keys {
            if !goes_on || self.open.is_full(self.most_keys()) {
                self.close();
                self.open.begin(verb, exptime);
                goes_on = true;
            }
            let Open { line, keys, .. } = &mut self.open;
            line.push(b' ');
            let at = line.len();
            let restore = target.codec.encode(target.space, target.key, line);
            keys.push(OwedKey {
                ticket,
                at: at as u32,
                // The codec never exceeds 250 bytes.
                len: (line.len() - at) as u8,
                look,
                on_miss,
                last: false,
                restore: OwedRestore::new(restore, target.key, &mut downstream.context.pool),
            });
            self.counts.requests += 1;
        }
        let asked = self.counts.requests > before;
        if asked && let Some(key) = self.open.keys.last_mut() {
            key.last = true;
        }
        asked
    }

    /// Whether the open retrieval has keys of a client.
    pub(super) fn is_open_for(&self, client: u32) -> bool {
        // Backwards, as a client that asks again has mostly asked last.
        let mut last = self.open.keys.iter().rev();
        last.any(|key| key.ticket.client == client)
    }

    /// Whether the open retrieval has keys of a client, behind those of others.
    pub fn is_joined_by(&self, client: u32) -> bool {
        let first = self.open.keys.first();
        first.is_some_and(|key| key.ticket.client != client) && self.is_open_for(client)
    }

    /// Lets the open retrieval grow no more.
    pub(super) fn close(&mut self) {
        if self.open.keys.is_empty() {
            return;
        }
        let next = self.key_lists.pop().unwrap_or_default();
        self.keys += self.open.keys.len();
        let end = self.fence.next_end(self.open.keys.len());
        let reply = Reply::Values(Values {
            verb: self.open.verb,
            keys: std::mem::replace(&mut self.open.keys, next),
            answered: 0,
            end,
        });
        self.push_owed(self.end(), reply);
        self.wire.extend_from_slice(&self.open.line);
        self.end_values();
    }
}
