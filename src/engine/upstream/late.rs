//! Requests that nobody waits for any more: past their time they are answered for, and
//! their replies are taken off the stream when they come, since the replies behind them
//! are still owed. A change that took effect after all still reaches the copies of others.
//! Sets no clock: the time is handed in.

use super::fence::End;
use super::front::{Front, Reading, Taken};
use super::values::Values;
use super::{Lane, Owed, Reply};
use crate::engine::downstream::Downstream;
use crate::engine::steps::{Next, Stepwise};
use crate::engine::ticket::Ticket;
use crate::protocol::reply::{ReplyError, is_reply_to, parse_va_len, parse_value_head};
use crate::protocol::request::Verb;

/// Timeouts of a request that one reply, or one value of it, may take.
pub const PIECE_TIMEOUTS: u64 = 4;

/// A reply that nobody waits for any more.
#[derive(Debug)]
pub(super) struct Late {
    pub(super) verb: Verb,
    /// The change whose siblings are deleted if it took effect.
    pub(super) change: Option<Box<Stepwise>>,
    pub(super) end: End,
}

impl Late {
    /// A reply after which nothing is to be done.
    pub(super) fn nobodys(verb: Verb) -> Self {
        Self {
            verb,
            change: None,
            end: End::default(),
        }
    }

    /// Whether values and an end are to come, and not one reply.
    pub(super) fn is_retrieval(&self) -> bool {
        matches!(self.verb, Verb::Get | Verb::Gets)
    }

    /// Takes a line of it.
    pub(super) fn take(&mut self, front: &mut Front<'_>) -> Result<Taken, ReplyError> {
        let text = front.text;
        if self.is_retrieval() {
            if text.starts_with(b"VALUE ") {
                front.intake.reading = Reading::dropped(parse_value_head(text)?.len);
                return Ok(Taken::Part);
            }
            if !self.end.takes(text, front.is_alone)? {
                return Ok(Taken::Part);
            }
        } else if !is_reply_to(self.verb, text) {
            return Err(ReplyError::Malformed);
        }
        if let Some(change) = self.change.take()
            && change.reaches_siblings(&[text, b"\r\n"].concat())
        {
            front.downstream.clients.steps.push(Next::Late(change));
        }
        if text.starts_with(b"VA ") {
            front.intake.reading = Reading::dropped(parse_va_len(text)?);
            Ok(Taken::Part)
        } else if text.starts_with(b"STAT ") {
            Ok(Taken::Part)
        } else {
            Ok(Taken::Whole(0))
        }
    }
}

/// Why a lane is to be given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overdue {
    /// Nothing came while something was owed.
    Silent,
    /// Something came now and then, but no reply was ever whole.
    Trickling,
}

impl Lane {
    /// Whether the upstream owes something and is not worth waiting for.
    pub fn overdue(&self, steady_us: u64, timeout_us: u64) -> Option<Overdue> {
        let past = |since_us: u64, times: u64| steady_us - since_us > timeout_us * times;
        if self.is_idle() {
            None
        } else if past(self.heard_us, 1) {
            Some(Overdue::Silent)
        } else {
            past(self.taken_us, PIECE_TIMEOUTS).then_some(Overdue::Trickling)
        }
    }

    /// Starts the upstream's time anew: that nothing came was not its fault, as nobody
    /// listened or nothing was owed.
    pub fn excuse(&mut self, steady_us: u64) {
        self.heard_us = steady_us;
        self.taken_us = steady_us;
    }

    /// Whether a request may have waited for too long.
    pub fn is_due(&self, steady_us: u64, timeout_us: u64) -> bool {
        !self.is_idle() && self.oldest_us.saturating_add(timeout_us) <= steady_us
    }

    /// Answers for requests that have waited for too long. Whoever has got half a
    /// value waits for the rest, as long as the lane is worth it.
    pub fn expire(&mut self, downstream: &mut Downstream, timeout_us: u64, error: &[u8]) {
        let now_us = downstream.context.clock.steady_us;
        self.close();
        let streaming = match self.intake.reading {
            Reading::Body { ticket, .. } => ticket,
            Reading::Head => Ticket::NOBODY,
        };
        let mut oldest_us = u64::MAX;
        let mut is_over = |downstream: &mut Downstream, ticket: Ticket| {
            let since_us = downstream.clients.since(ticket);
            let is_over = ticket != streaming && since_us.saturating_add(timeout_us) <= now_us;
            if !is_over {
                oldest_us = oldest_us.min(since_us);
            }
            is_over
        };
        let mut all = std::mem::take(&mut self.owed);
        let wire = std::mem::take(&mut self.wire);
        for owed in &mut all {
            if let Reply::Values(values) = &mut owed.reply {
                let mut failed = 0;
                for key in &mut values.keys[values.answered..] {
                    if key.ticket == Ticket::NOBODY || !is_over(downstream, key.ticket) {
                        continue;
                    }
                    downstream.clients.be_late(key.ticket);
                    key.give_up(&mut self.counts, downstream, error, true);
                    key.restore.give_back(&mut downstream.context.pool);
                    key.ticket = Ticket::NOBODY;
                    key.last = false;
                    failed = 1;
                }
                self.counts.errors += failed;
                continue;
            }
            let Some(ticket) = owed.reply.ticket() else {
                continue;
            };
            if !is_over(downstream, ticket) {
                continue;
            }
            let mut late = Late::nobodys(owed.reply.verb());
            match &owed.reply {
                Reply::Line { .. } | Reply::Meta(_) => {
                    late.change = downstream.clients.take_undecided(ticket);
                }
                Reply::Through(through) => late.end = through.end,
                _ => {}
            }
            let reply = std::mem::replace(&mut owed.reply, Reply::Late(late));
            let line = &wire[(owed.start - self.base) as usize..];
            self.give_up_reply(downstream, reply, line, error);
        }
        self.wire = wire;
        self.owed = all;
        self.oldest_us = oldest_us;
        self.drop_unsent();
    }

    /// Answers for stores by `ms` that were not sent yet and must not be: the server that
    /// was found would take their values for commands.
    pub fn refuse_meta_stores(&mut self, downstream: &mut Downstream, error: &[u8]) {
        self.close();
        let first = self.first_unsent();
        let mut all = std::mem::take(&mut self.owed);
        for owed in all.range_mut(first..) {
            if owed.reply.verb() != Verb::Ms {
                continue;
            }
            let late = Reply::Late(Late::nobodys(Verb::Ms));
            let reply = std::mem::replace(&mut owed.reply, late);
            self.give_up_reply(downstream, reply, b"", error);
        }
        self.owed = all;
        self.drop_unsent();
    }

    /// The place of the first request of which nothing was sent yet.
    fn first_unsent(&self) -> usize {
        self.owed.partition_point(|owed| owed.start < self.sent())
    }

    /// Takes back what was not sent yet and nobody waits for: a store must not take
    /// effect long after its client was told that it failed. Deletes go all the same.
    fn drop_unsent(&mut self) {
        let first = self.first_unsent();
        let is_nobodys = |owed: &Owed| match &owed.reply {
            Reply::Late(late) => !matches!(late.verb, Verb::Delete | Verb::Md),
            Reply::Values(Values { keys, .. }) => {
                keys.iter().all(|key| key.ticket == Ticket::NOBODY)
            }
            _ => false,
        };
        if !self.owed.range(first..).any(is_nobodys) {
            return;
        }
        let unsent = self.owed.split_off(first);
        let starts = unsent.iter().map(|owed| owed.start);
        let ends: Vec<u64> = starts.skip(1).chain([self.end()]).collect();
        let from = unsent[0].start;
        let old = self.wire.split_off((from - self.base) as usize);
        for (mut owed, end) in unsent.into_iter().zip(ends) {
            if is_nobodys(&owed) {
                if let Reply::Values(values) = &owed.reply {
                    self.keys -= values.keys.len();
                }
                continue;
            }
            let bytes = &old[(owed.start - from) as usize..(end - from) as usize];
            owed.start = self.end();
            self.wire.extend_from_slice(bytes);
            self.owed.push_back(owed);
        }
    }
}
