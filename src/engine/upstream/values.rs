//! The reply to a retrieval: values of the keys asked for, in their order, then its end.
//! A value is checked against the keys before a byte of it reaches anybody.

use super::fence::{End, OUT_OF_MEMORY};
use super::front::{Front, Reading, Taken, UpstreamCounts};
use crate::engine::counts::Outcome;
use crate::engine::downstream::{Downstream, LARGE_BYTES};
use crate::engine::meta::OwedRestore;
use crate::engine::ticket::Ticket;
use crate::engine::value::apart::Wants;
use crate::engine::value::judged::{Shown, ValueStart};
use crate::policy::{Look, OnMiss};
use crate::protocol::reply::{ReplyError, ValueHead, is_error, parse_value_head, parse_value_of};
use crate::protocol::request::Verb;

/// Keys of one or more clients, whose values are owed.
#[derive(Debug)]
pub(super) struct Values {
    pub(super) verb: Verb,
    pub(super) keys: Vec<OwedKey>,
    /// `0 <= answered <= keys.len()`
    pub(super) answered: usize,
    pub(super) end: End,
}

/// A key of a retrieval, and how its value is passed on.
#[derive(Debug)]
pub(super) struct OwedKey {
    /// The slot that waits, or [`Ticket::NOBODY`] once its client was answered for it.
    pub(super) ticket: Ticket,
    /// Place of the physical key in its line.
    pub(super) at: u32,
    pub(super) len: u8,
    pub(super) look: Look,
    pub(super) on_miss: OnMiss,
    /// Whether the ticket waits for no key of the lane behind it.
    pub(super) last: bool,
    pub(super) restore: OwedRestore,
}

impl OwedKey {
    /// The key, where its line begins.
    pub(super) fn physical<'w>(&self, line: &'w [u8]) -> &'w [u8] {
        let start = self.at as usize;
        &line[start..start + usize::from(self.len)]
    }

    /// Answers for the key, whose value will not come: by the error, or as a miss where its
    /// rule says so and `may_miss`.
    pub(super) fn give_up(
        &self,
        counts: &mut UpstreamCounts,
        downstream: &mut Downstream,
        error: &[u8],
        may_miss: bool,
    ) {
        if may_miss && self.on_miss.contains(OnMiss::SOFT) {
            counts.misses += 1;
            downstream.count_upstream_misses(self.ticket, 1);
        } else {
            downstream.fail(self.ticket, error);
        }
        if self.last {
            downstream.finish(self.ticket);
        }
    }
}

impl Values {
    /// The keys that are still to be answered.
    pub(super) fn owed(&self) -> &[OwedKey] {
        &self.keys[self.answered..]
    }

    /// Takes small, whole values of the keys that are owed next: one client's after
    /// another's. `request` is their line.
    #[inline]
    pub(super) fn take_small(
        &mut self,
        request: &[u8],
        downstream: &mut Downstream,
        input: &[u8],
    ) -> Result<usize, ReplyError> {
        let mut at = 0;
        while let Some(next) = self.keys.get(self.answered) {
            let ticket = next.ticket;
            if ticket == Ticket::NOBODY {
                break;
            }
            let taken = self.take_small_of(ticket, request, downstream, &input[at..])?;
            if taken == 0 {
                break;
            }
            at += taken;
        }
        Ok(at)
    }

    /// Takes values of the keys that are owed next, as long as they go to one client.
    #[inline]
    fn take_small_of(
        &mut self,
        ticket: Ticket,
        request: &[u8],
        downstream: &mut Downstream,
        input: &[u8],
    ) -> Result<usize, ReplyError> {
        let Self { keys, answered, .. } = self;
        downstream.values(ticket, |values| {
            let mut at = 0;
            while let Some(key) = keys.get_mut(*answered)
                && key.ticket == ticket
            {
                let rest = &input[at..];
                let Some((head, line)) = parse_value_of(rest, key.physical(request)) else {
                    break;
                };
                let total = line + head.len + 2;
                if head.len >= LARGE_BYTES || total > rest.len() {
                    break;
                }
                if &rest[total - 2..total] != b"\r\n" {
                    return Err(ReplyError::Malformed);
                }
                let value = &rest[line..total - 2];
                match (
                    values.admit(
                        key.restore.client_key(head.key),
                        key.look,
                        ValueStart {
                            flags: head.flags,
                            bytes: value,
                            len: head.len,
                        },
                    ),
                    &key.restore,
                ) {
                    // The client's key, what follows and the value in one piece.
                    (Shown::AsIs, OwedRestore::Strip(prefix)) => {
                        let start = b"VALUE ".len() + usize::from(*prefix);
                        values.write(&[b"VALUE ", &rest[start..total]]);
                    }
                    (Shown::AsIs, OwedRestore::Kept(kept)) => {
                        let start = b"VALUE ".len() + head.key.len();
                        values.write(&[b"VALUE ", &kept[..], &rest[start..total]]);
                    }
                    (Shown::Hidden, restore) => {
                        values.missed(key.on_miss, restore.client_key(head.key));
                    }
                    (Shown::Rewritten(flags), restore) => {
                        values.write_rewritten(restore.client_key(head.key), flags, head.tail);
                    }
                    // Looked at apart, for which there may be no room: `take` can wait.
                    (Shown::Later, _) => break,
                }
                at += total;
                *answered += 1;
                values.finished = key.last;
                key.restore.give_back(&mut values.context.pool);
            }
            Ok(at)
        })
    }

    /// Takes the line of a value, or of the end.
    pub(super) fn take(&mut self, front: &mut Front<'_>) -> Result<Taken, ReplyError> {
        if !front.text.starts_with(b"VALUE ") {
            return self.take_end(front);
        }
        let head = parse_value_head(front.text)?;
        let asked = front.request;
        let mut keys = self.owed().iter();
        let missed = keys.position(|key| key.physical(asked) == head.key);
        self.take_value(front, missed.ok_or(ReplyError::WrongKey)?, &head)
    }

    /// Takes the line of a value; the `missed` keys before its own are not there, since
    /// values come in the order of their keys.
    fn take_value(
        &mut self,
        front: &mut Front<'_>,
        missed: usize,
        head: &ValueHead<'_>,
    ) -> Result<Taken, ReplyError> {
        let OwedKey { look, ticket, .. } = self.owed()[missed];
        if ticket == Ticket::NOBODY {
            self.miss_or_fail(front, missed);
            front.intake.reading = Reading::dropped(head.len);
            return Ok(Taken::Part);
        }
        if front.lacks(look, head.flags, head.len) {
            return Ok(Taken::Lacks);
        }
        self.miss_or_fail(front, missed);
        let key = &self.owed()[0];
        let on_miss = key.on_miss;
        let seen = front.value(head.flags, head.len);
        let client_key = key.restore.client_key(head.key);
        let line = [b"VALUE ", client_key, head.tail, b"\r\n"];
        let shown = front.downstream.values(ticket, |values| {
            let shown = values.admit(client_key, look, seen);
            match shown {
                Shown::AsIs => values.write(&line),
                Shown::Hidden => values.missed(on_miss, client_key),
                Shown::Rewritten(flags) => values.write_rewritten(client_key, flags, head.tail),
                Shown::Later => {}
            }
            shown
        });
        if shown == Shown::Later {
            let value = (head.flags, head.len);
            let deferred = front.defer(ticket, look, &line, value, |downstream| Wants::Value {
                client_key: downstream.context.pool.keep(client_key),
                on_miss,
            });
            if !deferred? {
                return Ok(Taken::Lacks);
            }
        }
        front.downstream.comes(ticket, head.len);
        Ok(front.reads(ticket, head.len, shown == Shown::AsIs))
    }

    /// Takes the end, or an error in place of it or of a value.
    fn take_end(&mut self, front: &mut Front<'_>) -> Result<Taken, ReplyError> {
        let ended = self.end.takes(front.text, front.is_alone)?;
        let End { marked, over, .. } = self.end;
        if is_error(front.text) && !over {
            let is_memory = front.text.starts_with(OUT_OF_MEMORY);
            front.keep_error(marked, self.keys.len() > 1 && !is_memory)?;
        }
        if over || ended {
            if marked && ended {
                front.fence.held();
            }
            self.miss_or_fail(front, usize::MAX);
        }
        Ok(if ended { Taken::Whole(0) } else { Taken::Part })
    }

    /// Answers for the next keys, whose values did not come: after an error they may be
    /// what it stands for, so they are no misses then.
    #[inline] // As the methods of the front are.
    fn miss_or_fail(&mut self, front: &mut Front<'_>, count: usize) {
        if self.end.failed {
            self.fail(front.counts, front.downstream, &front.intake.error, count);
        } else {
            self.miss(front.request, front.downstream, count);
        }
    }

    /// Answers for the next keys as misses. `request` is their line.
    #[inline(never)]
    fn miss(&mut self, request: &[u8], downstream: &mut Downstream, count: usize) {
        let owed = &mut self.keys[self.answered..];
        let count = count.min(owed.len());
        self.answered += count;
        for own in owed[..count].chunk_by_mut(|key, next| key.ticket == next.ticket) {
            let ticket = own[0].ticket;
            if ticket == Ticket::NOBODY {
                continue;
            }
            let mut misses = own.len();
            for key in &mut *own {
                if key.on_miss.acts() && goes_on(downstream, key, request) {
                    misses -= 1;
                } else {
                    let client_key = key.restore.client_key(key.physical(request));
                    downstream.count_miss(ticket, client_key);
                }
                key.restore.give_back(&mut downstream.context.pool);
            }
            downstream.count_keys(ticket, Outcome::Miss, misses);
            if own[own.len() - 1].last {
                downstream.finish(ticket);
            }
        }
    }

    /// Answers for the next keys by the error that came, or as misses where their rules
    /// say so of a server that failed.
    #[cold]
    fn fail(
        &mut self,
        counts: &mut UpstreamCounts,
        downstream: &mut Downstream,
        error: &[u8],
        count: usize,
    ) {
        let is_server = error.starts_with(b"SERVER_ERROR");
        let left = self.owed().len().min(count);
        counts.errors += u64::from(left > 0);
        for key in &mut self.keys[self.answered..][..left] {
            key.restore.give_back(&mut downstream.context.pool);
            if key.ticket != Ticket::NOBODY {
                key.give_up(counts, downstream, error, is_server);
            }
        }
        self.answered += left;
    }

    /// Ends the value of the next key.
    pub(super) fn value_done(&mut self, downstream: &mut Downstream) {
        let Some(key) = self.keys.get_mut(self.answered) else {
            return;
        };
        self.answered += 1;
        key.restore.give_back(&mut downstream.context.pool);
        if key.last {
            downstream.finish(key.ticket);
        }
    }
}

/// Says whether the copies of others are asked for, and follows a missed key where it
/// leads to something else.
#[cold]
fn goes_on(downstream: &mut Downstream, key: &OwedKey, asked: &[u8]) -> bool {
    let client_key = key.restore.client_key(key.physical(asked));
    let goes_on = key.on_miss.contains(OnMiss::THROUGH);
    if goes_on {
        downstream.read_through(key.ticket, client_key, key.on_miss);
    } else if key.on_miss.contains(OnMiss::NOTE) {
        downstream.note_miss(key.ticket, client_key);
    }
    goes_on
}
