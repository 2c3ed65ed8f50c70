//! The end of a lane's connection: requests that were owed a reply are answered for, or
//! asked again on the next. No write is: it may have taken effect.

use std::collections::HashMap;

use super::fence::MARK;
use super::front::Reading;
use super::metas::OwedMeta;
use super::through::Through;
use super::values::{OwedKey, Values};
use super::{Lane, Owed, Reply};
use crate::engine::counts::Closed;
use crate::engine::downstream::Downstream;
use crate::engine::meta::{asked_flags, asked_key, miss_line};
use crate::engine::ticket::Ticket;
use crate::policy::OnMiss;
use crate::protocol::Tokens;
use crate::protocol::request::Verb;

impl Lane {
    /// Has no read that is owed answered as a miss, whatever its rule says.
    pub fn fail_reads(&mut self) {
        self.close();
        for owed in &mut self.owed {
            match &mut owed.reply {
                Reply::Values(values) => {
                    for key in &mut values.keys {
                        key.on_miss.remove(OnMiss::SOFT);
                    }
                }
                Reply::Meta(owed) => owed.meta.on_miss.remove(OnMiss::SOFT),
                Reply::Through(through) => through.on_miss.remove(OnMiss::SOFT),
                _ => {}
            }
        }
    }

    /// Answers for all that was owed on a connection that is gone, with an error or, where
    /// the rule says so, reads as misses. Reads that nobody saw a byte of are kept, once,
    /// to be written again on the next connection; writes never, for they may have
    /// taken effect, nor the reads before them, which would see what their client
    /// asked for later.
    pub fn reset(&mut self, downstream: &mut Downstream, error: &[u8], retry: bool) {
        if let Reading::Body {
            ticket, visible, ..
        } = self.intake.reading
        {
            if visible {
                // Half a value is out: only closing tells the client.
                downstream.give_up(ticket.client, Closed::Upstream);
            }
            self.value_done(downstream);
        }
        self.close();
        let mut old = std::mem::take(self);
        let last_changes = old.last_changes();
        self.base = old.base;
        self.counts = old.counts;
        self.fence = old.fence.after_loss(&old.owed);
        self.careful = old.careful;
        self.heard_us = downstream.context.clock.steady_us;
        self.taken_us = downstream.context.clock.steady_us;
        while let Some(mut owed) = old.owed.pop_front() {
            let again = retry && !std::mem::replace(&mut owed.retried, true);
            let start = owed.start;
            let keeps = |ticket: Ticket| {
                let change = last_changes.get(&ticket.client);
                again && change.is_none_or(|&change| change < start)
            };
            let line = &old.wire[(owed.start - old.base) as usize..];
            let is_read = owed.reply.is_read();
            match owed.reply {
                Reply::Values(Values {
                    verb,
                    mut keys,
                    answered,
                    ..
                }) => {
                    keys.drain(..answered);
                    keys.retain(|key| key.ticket != Ticket::NOBODY);
                    let (kept, lost): (Vec<_>, Vec<_>) = keys
                        .into_iter()
                        .partition(|key| is_read && keeps(key.ticket));
                    let mut kept = kept;
                    while !kept.is_empty() {
                        let rest = kept.split_off(kept.len().min(self.most_keys()));
                        self.adopt_values(owed.retried, verb, kept, line);
                        kept = rest;
                    }
                    self.counts.errors += u64::from(!lost.is_empty());
                    for key in lost {
                        key.give_up(&mut self.counts, downstream, error, true);
                    }
                }
                Reply::Meta(ref asked) if is_read && keeps(asked.ticket) => {
                    self.adopt_line(owed, &old);
                }
                Reply::Through(ref through) if !through.served && keeps(through.ticket) => {
                    self.adopt_line(owed, &old);
                }
                reply => self.give_up_reply(downstream, reply, line, error),
            }
        }
    }

    /// Answers for a request that is no retrieval and whose reply will not come. `line`
    /// begins with its line.
    pub(super) fn give_up_reply(
        &mut self,
        downstream: &mut Downstream,
        reply: Reply,
        line: &[u8],
        error: &[u8],
    ) {
        self.counts.errors += u64::from(!matches!(reply, Reply::Late(_)));
        match reply {
            Reply::Sibling { ticket, target, .. } => downstream.sibling(ticket, target, error),
            Reply::Meta(OwedMeta { ticket, meta }) if meta.on_miss.contains(OnMiss::SOFT) => {
                self.counts.misses += 1;
                match asked_key(line) {
                    Some(physical) => {
                        let miss = miss_line(&meta, &physical, Tokens::new(asked_flags(line)));
                        downstream.miss_for_upstream(ticket, &miss);
                    }
                    None => downstream.fail(ticket, error),
                }
                downstream.finish(ticket);
            }
            Reply::Through(Through {
                ticket,
                on_miss,
                served,
                ..
            }) if on_miss.contains(OnMiss::SOFT) => {
                if !served {
                    self.counts.misses += 1;
                    downstream.count_upstream_misses(ticket, 1);
                }
                downstream.finish(ticket);
            }
            reply => {
                if let Some(ticket) = reply.ticket() {
                    downstream.fail(ticket, error);
                    downstream.finish(ticket);
                }
            }
        }
    }

    /// Stream positions of the last change that each client is owed a reply to. A read
    /// before it is not asked again: it would see what its client changed later.
    fn last_changes(&self) -> HashMap<u32, u64> {
        let mut last = HashMap::new();
        let changes = self.owed.iter().filter(|owed| !owed.reply.is_read());
        for Owed { start, reply, .. } in changes {
            let keys = match reply {
                Reply::Values(values) => &values.keys[..],
                _ => &[],
            };
            for ticket in keys.iter().map(|key| key.ticket).chain(reply.ticket()) {
                last.insert(ticket.client, *start);
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
        let reply = Reply::Values(Values {
            end: self.fence.next_end(keys.len()),
            verb,
            keys,
            answered: 0,
        });
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
        // A mark behind it belonged to the connection that is gone.
        let line = &line[..memchr::memchr(b'\n', line).map_or(line.len(), |at| at + 1)];
        let start = self.end();
        let mut owed = Owed { start, ..owed };
        self.wire.extend_from_slice(line);
        if let Reply::Through(through) = &mut owed.reply {
            let copies = memchr::memchr_iter(b' ', line).count();
            through.end = self.fence.next_end(copies);
            if through.end.marked {
                self.wire.extend_from_slice(MARK);
            }
        }
        self.owed.push_back(owed);
    }
}
