//! The reply to a read of others' copies of a key that its own namespace does not hold:
//! the first copy that its reader can load is passed on.

use super::fence::End;
use super::front::{Front, Taken};
use crate::engine::meta::OwedRestore;
use crate::engine::ticket::Ticket;
use crate::engine::value::apart::Wants;
use crate::engine::value::judged::Shown;
use crate::policy::{Look, OnMiss};
use crate::protocol::Tokens;
use crate::protocol::reply::{ReplyError, is_error, parse_value_head};

/// Copies of others, then `END`.
#[derive(Debug)]
pub(super) struct Through {
    pub(super) ticket: Ticket,
    /// The client key, kept.
    pub(super) restore: OwedRestore,
    pub(super) look: Look,
    pub(super) on_miss: OnMiss,
    /// Copies that were asked for before these.
    pub(super) first: usize,
    /// Whether a copy was passed on, or is looked at apart: then it is not asked again, and
    /// further copies are dropped.
    pub(super) served: bool,
    pub(super) end: End,
}

impl Through {
    /// Takes the line of a copy, or of the end.
    pub(super) fn take(&mut self, front: &mut Front<'_>) -> Result<Taken, ReplyError> {
        if !front.text.starts_with(b"VALUE ") {
            return self.take_end(front);
        }
        let head = parse_value_head(front.text)?;
        let line_end = memchr::memchr(b'\r', front.request).unwrap_or(front.request.len());
        let mut copies = Tokens::new(&front.request[..line_end]).skip(1);
        let Some(nth) = copies.position(|copy| copy == head.key) else {
            return Err(ReplyError::WrongKey);
        };
        if self.served {
            return Ok(front.reads(self.ticket, head.len, false));
        }
        if front.lacks(self.look, head.flags, head.len) {
            return Ok(Taken::Lacks);
        }
        let key = self.restore.client_key(b"");
        let seen = front.value(head.flags, head.len);
        let line = [b"VALUE ", key, head.tail, b"\r\n"];
        let shown = front.downstream.values(self.ticket, |values| {
            let shown = values.admit_through(key, self.look, seen);
            match shown {
                Shown::Hidden | Shown::Later => {}
                Shown::AsIs => values.write(&line),
                Shown::Rewritten(flags) => values.write_rewritten(key, flags, head.tail),
            }
            shown
        });
        if shown == Shown::Later {
            let value = (head.flags, head.len);
            let deferred = front.defer(self.ticket, self.look, &line, value, |downstream| {
                Wants::Through {
                    client_key: downstream.context.pool.keep(key),
                    on_miss: self.on_miss,
                    next: self.first + nth + 1,
                }
            });
            if !deferred? {
                return Ok(Taken::Lacks);
            }
        }
        self.served = shown != Shown::Hidden;
        Ok(front.reads(self.ticket, head.len, shown == Shown::AsIs))
    }

    /// Takes the end, or an error in place of it or of a copy.
    fn take_end(&mut self, front: &mut Front<'_>) -> Result<Taken, ReplyError> {
        let was_over = self.end.over;
        let ended = self.end.takes(front.text, front.is_alone)?;
        if is_error(front.text) && !was_over {
            front.keep_error(self.end.marked, front.asks_several())?;
        }
        if !ended {
            return Ok(Taken::Part);
        }
        let (error, downstream) = (&front.intake.error, &mut *front.downstream);
        let is_soft = self.on_miss.contains(OnMiss::SOFT) && error.starts_with(b"SERVER_ERROR");
        match (self.end.failed, self.served) {
            (true, served) if is_soft => {
                front.counts.errors += 1;
                if !served {
                    front.counts.misses += 1;
                    downstream.count_upstream_misses(self.ticket, 1);
                }
            }
            (true, _) => downstream.fail(self.ticket, error),
            (false, true) => {}
            (false, false) => {
                let key = self.restore.client_key(b"");
                downstream.miss(self.ticket, key, self.on_miss);
            }
        }
        downstream.finish(self.ticket);
        Ok(Taken::Whole(0))
    }
}
