//! The parts of a lane that a reply may use or change while it is taken. Knows no kind of
//! reply, and nothing of the queue behind the front.

use super::fence::Fence;
use crate::engine::downstream::Came;
use crate::engine::ticket::Ticket;
use crate::protocol::reply::ReplyError;

/// The oldest request that is owed a reply, and the parts of its lane that its reply may
/// change.
pub(super) struct Front<'l> {
    /// Bytes of the lane's requests from the first one of this on.
    pub(super) request: &'l [u8],
    /// Whether nothing that was sent is behind it: then an error cannot stand for other
    /// replies.
    pub(super) is_alone: bool,
    pub(super) fence: &'l mut Fence,
    pub(super) intake: &'l mut Intake,
    pub(super) counts: &'l mut UpstreamCounts,
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

impl Front<'_> {
    /// Whether its line asks for more than one key.
    pub(super) fn asks_several(&self) -> bool {
        let line = memchr::memchr(b'\n', self.request);
        line.is_some_and(|end| memchr::memchr_iter(b' ', &self.request[..end]).count() > 1)
    }

    /// Whether less than `needed` bytes of a value are here; then they are waited for, so
    /// that no smaller input is looked at again.
    pub(super) fn lacks(&mut self, body: &[u8], needed: usize) -> bool {
        let lacks = body.len() < needed;
        if lacks {
            self.intake.lacking = needed - body.len();
        }
        lacks
    }

    /// Waits until there is room for the value that is here.
    pub(super) fn park(&mut self) -> Taken {
        self.intake.parked = true;
        Taken::Lacks
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

    /// Remembers an error that came in place of values.
    pub(super) fn keep_error(&mut self, text: &[u8]) {
        self.intake.error.clear();
        self.intake.error.extend_from_slice(text);
    }
}

/// A value that is here with its line end.
pub(super) fn came<'v>(
    line: [&'v [u8]; 3],
    (flags, len): (u32, usize),
    body: &'v [u8],
) -> Result<Came<'v>, ReplyError> {
    let value = body.get(..len + 2).ok_or(ReplyError::Malformed)?;
    if !value.ends_with(b"\r\n") {
        return Err(ReplyError::Malformed);
    }
    Ok(Came { line, flags, value })
}
