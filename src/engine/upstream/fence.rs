//! The end of a reply to a retrieval, told also where an error is in it. Knows lines and
//! marks, not values.
//!
//! For memcached the error is the end, and may stand for replies before it, too: it
//! drops what it had ready. For its proxy (and others that ask several servers) the
//! error stands for some of the keys, and more values and `END` follow. What comes
//! next cannot tell which it was: a value may be of the next reply, whose keys may
//! be the same. So the connection is dropped at the first such error, with its reads
//! asked again on the next one, and from then on a `version` goes behind each
//! retrieval: its reply is where that of the retrieval ends, whatever is in it.

use std::collections::VecDeque;

use super::Owed;
use crate::protocol::reply::{ReplyError, is_error};

/// Retrievals that are marked after the last error.
const MARKED: u32 = 10_000;
/// Connections that may be lost with a mark that was not answered, while none ever
/// was, before that is taken for the reason.
const MAX_LOSSES: u8 = 3;

/// Start of the error by which memcached says that it has no room for replies. It says
/// that once, and drops all those that it had ready.
pub(super) const OUT_OF_MEMORY: &[u8] = b"SERVER_ERROR out of memory";
/// Mark behind a retrieval: a command that every server answers and nothing depends on.
pub(super) const MARK: &[u8] = b"version\r\n";
/// Start of the reply to a mark.
const MARK_REPLY: &[u8] = b"VERSION ";

/// Whether retrievals are marked.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Fence {
    /// Retrievals still to be marked.
    left: u32,
    /// Whether a mark was ever answered: the server knows them.
    works: bool,
    /// Connections that were lost with a mark that was not answered.
    losses: u8,
}

/// The state of the end of a retrieval's reply.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct End {
    /// Whether a mark was sent behind its request.
    pub(super) marked: bool,
    /// Whether an error is among its values.
    pub(super) failed: bool,
    /// Whether it ended, and only the reply to its mark is to come.
    pub(super) over: bool,
}

impl Fence {
    /// The end of the next retrieval, which is of so many keys. A single key needs no
    /// mark: wherever an error comes for it, that is the end.
    #[inline]
    pub(super) fn next_end(&mut self, keys: usize) -> End {
        let marked = self.left > 0 && keys > 1;
        self.left -= u32::from(marked);
        End {
            marked,
            ..End::default()
        }
    }

    /// Marks the retrievals to come, as an error came in one; whether it does. A server
    /// that seems to drop connections for marks gets none.
    pub(super) fn raise(&mut self) -> bool {
        let is_known = self.works || self.losses < MAX_LOSSES;
        if is_known {
            self.left = MARKED;
        }
        is_known
    }

    /// Notes that a mark was answered.
    pub(super) fn held(&mut self) {
        self.works = true;
    }

    /// The fence of the next connection, after one was lost on which this was owed.
    pub(super) fn after_loss(mut self, owed: &VecDeque<Owed>) -> Self {
        let is_marked = |owed: &Owed| owed.reply.end().is_some_and(|end| end.marked);
        if !self.works && owed.iter().any(is_marked) {
            self.losses = self.losses.saturating_add(1);
            if self.losses >= MAX_LOSSES {
                self.left = 0;
            }
        }
        self
    }
}

impl End {
    /// Takes a line of a retrieval that is no value: whether that was the last of it.
    /// `alone` if no other reply is owed behind it.
    ///
    /// # Errors
    /// The line cannot be in such a reply, or may stand for other replies, too.
    pub(super) fn takes(&mut self, text: &[u8], alone: bool) -> Result<bool, ReplyError> {
        if self.over {
            // The server may not know the mark.
            let is_mark = text.starts_with(MARK_REPLY) || is_error(text);
            return is_mark.then_some(true).ok_or(ReplyError::Malformed);
        }
        if text == b"END" {
            self.over = self.marked;
            return Ok(!self.marked);
        }
        if self.marked && self.failed && text.starts_with(MARK_REPLY) {
            return Ok(true);
        }
        if !is_error(text) {
            return Err(ReplyError::Malformed);
        }
        if text.starts_with(OUT_OF_MEMORY) && !alone {
            return Err(ReplyError::Dropped);
        }
        self.failed = true;
        Ok(!self.marked)
    }
}
