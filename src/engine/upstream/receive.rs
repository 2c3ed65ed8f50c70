//! The input of a lane: cut into replies, each of which is checked against what is owed
//! and taken by its own kind. Knows lines and lengths, not what is in a value.

use super::front::{Front, Reading, Taken};
use super::{CAREFUL, Lane, Reply};
use crate::engine::downstream::Downstream;
use crate::protocol::reply::{ReplyError, find_reply_line, is_error, is_reply_to};
use crate::protocol::request::Verb;

/// memcached says this once where it had no room for the replies that it had ready.
const DROPPED: &[u8] = b"SERVER_ERROR out of memory writing get response";
/// The most input that goes behind what was cut off before it, at a time.
const PIECE_BYTES: usize = 1024;

impl Lane {
    /// Takes input from the upstream and delivers the replies in it.
    ///
    /// # Errors
    /// The input is no reply to what was asked: the lane must be dropped.
    pub fn receive(&mut self, downstream: &mut Downstream, input: &[u8]) -> Result<(), ReplyError> {
        self.heard_us = downstream.context.clock.steady_us;
        let mut at = 0;
        if std::mem::take(&mut self.intake.parked) {
            // The upstream was not read from meanwhile: the wait was not its fault.
            self.excuse(downstream.context.clock.steady_us);
            let mut inbox = std::mem::take(&mut self.inbox);
            let taken = self.take(downstream, &inbox)?;
            inbox.drain(..taken);
            self.inbox = inbox;
        }
        while !self.inbox.is_empty() && at < input.len() && !self.intake.parked {
            // Only what was cut off is copied, not all that comes behind it.
            let lacking = std::mem::take(&mut self.intake.lacking);
            let end = at + lacking.max(PIECE_BYTES);
            let piece = &input[at..input.len().min(end)];
            let mut inbox = std::mem::take(&mut self.inbox);
            let before = inbox.len();
            inbox.reserve(lacking);
            inbox.extend_from_slice(piece);
            if piece.len() < lacking {
                self.intake.lacking = lacking - piece.len();
                self.inbox = inbox;
                return Ok(());
            }
            let taken = self.take(downstream, &inbox)?;
            if taken < before {
                at += piece.len();
                inbox.drain(..taken);
            } else {
                at += taken - before;
                inbox.clear();
                // What comes next is looked at in the input itself.
                self.intake.lacking = 0;
            }
            self.inbox = inbox;
        }
        if !self.intake.parked && self.inbox.is_empty() {
            at += self.take(downstream, &input[at..])?;
        }
        self.inbox.extend_from_slice(&input[at..]);
        self.forget_answered(downstream.context.clock.now_us);
        Ok(())
    }

    /// Takes whole pieces off the input.
    fn take(&mut self, downstream: &mut Downstream, input: &[u8]) -> Result<usize, ReplyError> {
        let mut at = 0;
        loop {
            let rest = &input[at..];
            let taken = match self.intake.reading {
                Reading::Head => self.take_head(downstream, rest)?,
                Reading::Body { .. } => self.take_body(downstream, rest)?,
            };
            if taken == 0 {
                return Ok(at);
            }
            at += taken;
        }
    }

    /// Takes what there is of a value, its line end only whole.
    fn take_body(
        &mut self,
        downstream: &mut Downstream,
        input: &[u8],
    ) -> Result<usize, ReplyError> {
        let Reading::Body {
            ticket,
            left,
            visible,
        } = self.intake.reading
        else {
            return Ok(0);
        };
        let whole = input.len() >= left + 2;
        let taken = if whole {
            left + 2
        } else {
            left.min(input.len())
        };
        if whole && &input[left..taken] != b"\r\n" {
            return Err(ReplyError::Malformed);
        }
        if visible {
            downstream.bytes(ticket, &[&input[..taken]]);
        }
        if whole {
            self.intake.reading = Reading::Head;
            self.value_done(downstream);
        } else {
            self.intake.reading = Reading::Body {
                ticket,
                left: left - taken,
                visible,
            };
        }
        Ok(taken)
    }

    /// Ends the value of the front reply, with which the reply itself may be whole.
    pub(super) fn value_done(&mut self, downstream: &mut Downstream) {
        let Some(owed) = self.owed.front_mut() else {
            return;
        };
        match &mut owed.reply {
            Reply::Values(values) => {
                self.taken_us = downstream.context.clock.steady_us;
                values.value_done(downstream);
                return;
            }
            Reply::Late(late) if !late.is_retrieval() => {}
            Reply::Meta(meta) => downstream.finish(meta.ticket),
            Reply::Probe(probe) if probe.by_meta => probe.end(downstream),
            _ => return,
        }
        self.answered(downstream);
    }

    /// Takes the first line of a reply, and with a value the bytes that must be
    /// looked at before anything of it is passed on.
    fn take_head(
        &mut self,
        downstream: &mut Downstream,
        input: &[u8],
    ) -> Result<usize, ReplyError> {
        if input.is_empty() {
            return Ok(0);
        }
        let written = self.sent();
        let sent = self.owed.front_mut().filter(|owed| owed.start < written);
        let owed = sent.ok_or(ReplyError::Unasked)?;
        let request = &self.wire[(owed.start - self.base) as usize..];
        if let Reply::Values(values) = &mut owed.reply {
            let taken = values.take_small(request, downstream, input)?;
            if taken > 0 {
                self.taken_us = downstream.context.clock.steady_us;
                return Ok(taken);
            }
        }
        let Some(line) = find_reply_line(input)? else {
            return Ok(0);
        };
        let is_alone = self.is_alone();
        if line.text == DROPPED {
            self.careful = CAREFUL;
            if !is_alone {
                // memcached says it once for all that it dropped, and the next value could
                // be of any later request.
                return Err(ReplyError::Dropped);
            }
        }
        let owed = self.owed.front_mut().ok_or(ReplyError::Unasked)?;
        let text = line.text;
        let front = &mut Front {
            request: &self.wire[(owed.start - self.base) as usize..],
            text,
            body: &input[line.total..],
            is_alone,
            fence: &mut self.fence,
            intake: &mut self.intake,
            counts: &mut self.counts,
            downstream,
        };
        let taken = match &mut owed.reply {
            &mut Reply::Line { ticket, verb } => {
                check(verb, text)?;
                front.downstream.line(ticket, text);
                Taken::Whole(0)
            }
            &mut Reply::Sibling {
                ticket,
                verb,
                target,
            } => {
                match verb {
                    // It was sent under no condition and with no flag that is answered: any
                    // other line is of another request.
                    Verb::Md if matches!(text, b"HD" | b"NF") || is_error(text) => {}
                    Verb::Md => return Err(ReplyError::Malformed),
                    verb => check(verb, text)?,
                }
                front.downstream.sibling(ticket, target, text);
                Taken::Whole(0)
            }
            &mut Reply::Stats { ticket, server } => {
                check(Verb::Stats, text)?;
                front.downstream.statistic(ticket, server, text);
                if text.starts_with(b"STAT ") {
                    Taken::Part
                } else {
                    front.downstream.finish(ticket);
                    Taken::Whole(0)
                }
            }
            Reply::Values(values) => values.take(front)?,
            Reply::Meta(meta) => meta.take(front)?,
            Reply::Probe(probe) => probe.take(front)?,
            Reply::Through(through) => through.take(front)?,
            Reply::Late(late) => late.take(front)?,
        };
        Ok(match taken {
            Taken::Lacks => 0,
            Taken::Part => line.total,
            Taken::Whole(bytes) => {
                self.answered(downstream);
                line.total + bytes
            }
        })
    }

    /// Whether nothing that was sent is behind the front request.
    fn is_alone(&self) -> bool {
        let next = self.owed.get(1);
        next.is_none_or(|next| next.start >= self.sent())
    }
}

/// Lets only a line pass that may answer the verb: any other is of another request.
fn check(verb: Verb, text: &[u8]) -> Result<(), ReplyError> {
    let is_one = is_reply_to(verb, text);
    is_one.then_some(()).ok_or(ReplyError::Malformed)
}
