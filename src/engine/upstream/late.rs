//! What nobody waits for any more: requests past their time are answered, and their
//! replies are taken off the stream when they come. A change that took effect after
//! all still reaches the copies of others.

use super::fence::End;
use super::{Lane, Owed, Reading, Reply};
use crate::engine::downstream::Sessions;
use crate::engine::steps::{Next, Stepwise};
use crate::engine::ticket::Ticket;
use crate::protocol::reply::{ReplyError, is_reply_to, parse_va_len, parse_value_head};
use crate::protocol::request::Verb;

/// How many times the time of a request one reply, or one value of it, may take.
pub const PIECE_TIMEOUTS: u64 = 4;

/// What is still to be done when a reply comes late.
#[derive(Debug)]
pub(super) enum After {
    Nothing,
    /// Its siblings are deleted if it took effect.
    Change(Box<Stepwise>),
}

/// Why a lane is to be given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overdue {
    /// Nothing came while something was owed.
    Silent,
    /// Something came now and then, but no reply was ever whole.
    Trickling,
}

impl Reply {
    /// Whose it is, if it is one client's and somebody waits for it.
    pub(super) fn ticket(&self) -> Option<Ticket> {
        match self {
            Self::Values { .. } | Self::Late { .. } => None,
            Self::Line { ticket, .. }
            | Self::Sibling { ticket, .. }
            | Self::Meta { ticket, .. }
            | Self::Probe { ticket, .. }
            | Self::Stats { ticket, .. }
            | Self::Through { ticket, .. } => Some(*ticket),
        }
    }

    /// What it is a reply to.
    fn verb(&self) -> Verb {
        match self {
            Self::Line { verb, .. }
            | Self::Sibling { verb, .. }
            | Self::Values { verb, .. }
            | Self::Late { verb, .. } => *verb,
            Self::Meta { meta, .. } => meta.verb,
            Self::Probe { by_meta: true, .. } => Verb::Mg,
            Self::Probe { .. } => Verb::Gets,
            Self::Through { .. } => Verb::Get,
            Self::Stats { .. } => Verb::Stats,
        }
    }
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

    /// It is not listened to just now, which is not its fault.
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
    pub fn expire(&mut self, sessions: &mut Sessions, timeout_us: u64, error: &[u8]) {
        let now_us = sessions.steady_us;
        self.close();
        let streaming = match self.reading {
            Reading::Body { ticket, .. } => ticket,
            Reading::Head => Ticket::NOBODY,
        };
        let mut oldest_us = u64::MAX;
        let mut is_over = |sessions: &mut Sessions, ticket: Ticket| {
            let since_us = sessions.since(ticket);
            let is_over = ticket != streaming && since_us.saturating_add(timeout_us) <= now_us;
            if !is_over {
                oldest_us = oldest_us.min(since_us);
            }
            is_over
        };
        let mut all = std::mem::take(&mut self.owed);
        let wire = std::mem::take(&mut self.wire);
        for owed in &mut all {
            if let Reply::Values { keys, answered, .. } = &mut owed.reply {
                let mut failed = 0;
                for key in &mut keys[*answered..] {
                    if key.ticket == Ticket::NOBODY || !is_over(sessions, key.ticket) {
                        continue;
                    }
                    sessions.be_late(key.ticket);
                    self.give_up_key(sessions, key, error);
                    key.restore.give_back(&mut sessions.pool);
                    key.ticket = Ticket::NOBODY;
                    key.last = false;
                    failed = 1;
                }
                self.lost += failed;
                continue;
            }
            let Some(ticket) = owed.reply.ticket() else {
                continue;
            };
            if !is_over(sessions, ticket) {
                continue;
            }
            let after = match &owed.reply {
                Reply::Line { .. } | Reply::Meta { .. } => sessions.take_undecided(ticket),
                _ => None,
            };
            let end = match &owed.reply {
                Reply::Through { end, .. } => *end,
                _ => End::default(),
            };
            let late = Reply::Late {
                verb: owed.reply.verb(),
                after: after.map_or(After::Nothing, After::Change),
                end,
            };
            let reply = std::mem::replace(&mut owed.reply, late);
            let line = &wire[(owed.start - self.base) as usize..];
            self.give_up_reply(sessions, reply, line, error);
        }
        self.wire = wire;
        self.owed = all;
        self.oldest_us = oldest_us;
        self.drop_unsent();
    }

    /// Answers for stores by `ms` that were not sent yet and must not be: the server that
    /// was found would take their values for commands.
    pub fn refuse_meta_stores(&mut self, sessions: &mut Sessions, error: &[u8]) {
        self.close();
        let written = self.base + self.written as u64;
        let mut all = std::mem::take(&mut self.owed);
        let first = all.partition_point(|owed| owed.start < written);
        for owed in all.range_mut(first..) {
            if owed.reply.verb() != Verb::Ms {
                continue;
            }
            let late = Reply::Late {
                verb: Verb::Ms,
                after: After::Nothing,
                end: End::default(),
            };
            let reply = std::mem::replace(&mut owed.reply, late);
            self.give_up_reply(sessions, reply, b"", error);
        }
        self.owed = all;
        self.drop_unsent();
    }

    /// Takes back what was not sent yet and nobody waits for: a store must not take
    /// effect long after its client was told that it failed. Deletes go all the same.
    fn drop_unsent(&mut self) {
        let written = self.base + self.written as u64;
        let first = self.owed.partition_point(|owed| owed.start < written);
        let is_nobodys = |owed: &Owed| match &owed.reply {
            Reply::Late { verb, .. } => !matches!(verb, Verb::Delete | Verb::Md),
            Reply::Values { keys, .. } => keys.iter().all(|key| key.ticket == Ticket::NOBODY),
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
                if let Reply::Values { keys, .. } = &owed.reply {
                    self.keys -= keys.len();
                }
                continue;
            }
            let bytes = &old[(owed.start - from) as usize..(end - from) as usize];
            owed.start = self.end();
            self.wire.extend_from_slice(bytes);
            self.owed.push_back(owed);
        }
    }

    /// Takes what comes for somebody who does not wait for it any more.
    pub(super) fn take_late(
        &mut self,
        sessions: &mut Sessions,
        text: &[u8],
    ) -> Result<Option<usize>, ReplyError> {
        let alone = self.is_alone();
        let Some(Reply::Late { verb, after, end }) =
            self.owed.front_mut().map(|owed| &mut owed.reply)
        else {
            return Err(ReplyError::Unasked);
        };
        let verb = *verb;
        let swallow = |left| Reading::Body {
            ticket: Ticket::NOBODY,
            left,
            visible: false,
        };
        if matches!(verb, Verb::Get | Verb::Gets) {
            if text.starts_with(b"VALUE ") {
                self.reading = swallow(parse_value_head(text)?.len);
                return Ok(Some(0));
            }
            if !end.takes(text, alone)? {
                return Ok(Some(0));
            }
        } else if !is_reply_to(verb, text) {
            return Err(ReplyError::Malformed);
        }
        if let After::Change(change) = std::mem::replace(after, After::Nothing)
            && change.reaches_siblings(&[text, b"\r\n"].concat())
        {
            sessions.steps.push(Next::Late(change));
        }
        if text.starts_with(b"VA ") {
            self.reading = swallow(parse_va_len(text)?);
        } else if !text.starts_with(b"STAT ") {
            self.answered(sessions);
        }
        Ok(Some(0))
    }
}
