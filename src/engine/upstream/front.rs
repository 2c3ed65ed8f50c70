//! The parts of a lane that a reply may use or change while it is taken. Knows no kind of
//! reply, and nothing of the queue behind the front.

use super::fence::Fence;
use crate::engine::downstream::Downstream;
use crate::engine::ticket::Ticket;
use crate::engine::value::apart::Wants;
use crate::engine::value::judged::ValueStart;
use crate::policy::Look;
use crate::protocol::reply::ReplyError;

/// The oldest request that is owed a reply, the line that came of that, and what a reply
/// may change.
pub(super) struct Front<'l> {
    /// Bytes of the lane's requests from the first one of this on.
    pub(super) request: &'l [u8],
    /// The line, without its end.
    pub(super) text: &'l [u8],
    /// All that is here behind the line.
    pub(super) body: &'l [u8],
    /// Whether nothing that was sent is behind it: then an error cannot stand for other
    /// replies.
    pub(super) is_alone: bool,
    pub(super) fence: &'l mut Fence,
    pub(super) intake: &'l mut Intake,
    pub(super) counts: &'l mut UpstreamCounts,
    pub(super) downstream: &'l mut Downstream,
}

/// The state of the input between two reads of the connection.
#[derive(Debug, Default)]
pub(super) struct Intake {
    pub(super) reading: Reading,
    /// Bytes without which the input says nothing new: a value that is looked at whole.
    pub(super) lacking: usize,
    /// Whether a value is here that there is no room for yet.
    pub(super) parked: bool,
    /// The last error among the values of the front retrieval.
    pub(super) error: Vec<u8>,
}

/// The part of a reply that the next input byte belongs to.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// The first line of a reply.
    #[default]
    Head,
    /// A value: bytes still to come without its line end, and whether they are
    /// passed on.
    Body {
        ticket: Ticket,
        left: usize,
        visible: bool,
    },
}

impl Reading {
    /// A value that nobody gets.
    pub(super) fn dropped(len: usize) -> Self {
        Self::Body {
            ticket: Ticket::NOBODY,
            left: len,
            visible: false,
        }
    }
}

/// The part of a reply that was taken; bytes are counted behind its line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// All of it, with this many bytes.
    Whole(usize),
    /// One line, behind which the same reply goes on.
    Part,
    /// Nothing: more of it must be here first.
    Lacks,
}

/// Counts of one lane since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UpstreamCounts {
    /// Requests of clients that went to it, retrievals once per key.
    pub requests: u64,
    /// Requests that were answered for it, because it could not.
    pub errors: u64,
    /// Reads and keys of reads among those that were answered as misses.
    pub misses: u64,
}

impl<'l> Front<'l> {
    /// Whether its line asks for more than one key.
    pub(super) fn asks_several(&self) -> bool {
        let line = memchr::memchr(b'\n', self.request);
        line.is_some_and(|end| memchr::memchr_iter(b' ', &self.request[..end]).count() > 1)
    }

    /// The value behind the line, as far as it is here.
    #[inline]
    pub(super) fn value(&self, flags: u32, len: usize) -> ValueStart<'l> {
        ValueStart {
            flags,
            bytes: self.body,
            len,
        }
    }

    /// Whether too little of a value is here for a look at it. What lacks is waited for,
    /// so that no smaller input is looked at again.
    #[inline] // Or each part of a front goes to memory for every reply.
    pub(super) fn lacks(&mut self, look: Look, flags: u32, len: usize) -> bool {
        let judge = &self.downstream.context.judge;
        let needed = judge.bytes_needed(look, flags, len);
        let lacks = self.body.len() < needed;
        if lacks {
            self.intake.lacking = needed - self.body.len();
        }
        lacks
    }

    /// Takes the value, which is here whole, off its way to a slot, to be looked at apart:
    /// its line for the client, line end and all, its flags and its length. Where there is
    /// no room for that, the lane waits for some.
    ///
    /// # Errors
    /// No line end follows the value.
    #[inline]
    pub(super) fn defer(
        &mut self,
        ticket: Ticket,
        look: Look,
        line: &[&[u8]],
        (flags, len): (u32, usize),
        wants: impl FnOnce(&mut Downstream) -> Wants,
    ) -> Result<bool, ReplyError> {
        let value = self.body.get(..len + 2);
        let value = value.filter(|value| value.ends_with(b"\r\n"));
        let value = (flags, value.ok_or(ReplyError::Malformed)?);
        let deferred = self.downstream.defer(ticket, look, line, value, wants);
        self.intake.parked = !deferred;
        Ok(deferred)
    }

    /// Goes on with a value of `len` bytes, which is passed on if it is visible.
    pub(super) fn reads(&mut self, ticket: Ticket, len: usize, visible: bool) -> Taken {
        self.intake.reading = Reading::Body {
            ticket,
            left: len,
            visible,
        };
        Taken::Part
    }

    /// Remembers the error, which came in place of values.
    ///
    /// # Errors
    /// More of the values may follow, and no mark tells where they end.
    #[inline]
    pub(super) fn keep_error(&mut self, marked: bool, may_go_on: bool) -> Result<(), ReplyError> {
        let is_server = self.text.starts_with(b"SERVER_ERROR");
        if may_go_on && is_server && self.fence.raise() && !marked {
            return Err(ReplyError::Doubtful);
        }
        self.intake.error.clear();
        self.intake.error.extend_from_slice(self.text);
        Ok(())
    }
}
