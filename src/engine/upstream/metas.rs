//! The reply to a meta command: one line, or `VA` and a value, put into its client's
//! words. How a line is reworded is not known here.

use super::front::{Front, Taken, came};
use crate::engine::context::Context;
use crate::engine::downstream::Downstream;
use crate::engine::meta::{
    MetaReply, asked_flags, asked_key, asked_opaque, is_won, miss_line, restore_debug,
    rewrite_meta, rewrite_unnamed,
};
use crate::engine::ticket::Ticket;
use crate::engine::value::apart::Awaits;
use crate::engine::value::judged::Shown;
use crate::policy::OnMiss;
use crate::protocol::Tokens;
use crate::protocol::reply::{ReplyError, is_error, is_reply_to, parse_va_len};
use crate::protocol::request::Verb;

/// Digits of the largest number, in 64 bits.
const MAX_NUMBER_BYTES: usize = 20;

/// A meta command that is owed its reply.
#[derive(Debug)]
pub(super) struct OwedMeta {
    pub(super) ticket: Ticket,
    pub(super) meta: MetaReply,
}

impl OwedMeta {
    /// Takes the reply, or its first line and as much of its value as is looked at.
    pub(super) fn take(
        &self,
        front: &mut Front<'_>,
        downstream: &mut Downstream,
        text: &[u8],
        body: &[u8],
    ) -> Result<Taken, ReplyError> {
        let &Self { ticket, ref meta } = self;
        if !is_reply_to(meta.verb, text) {
            return Err(ReplyError::Malformed);
        }
        if text.starts_with(b"SERVER_ERROR") && meta.on_miss.contains(OnMiss::SOFT) {
            let physical = asked_key(front.request).ok_or(ReplyError::Malformed)?;
            let line = miss_line(meta, &physical, Tokens::new(asked_flags(front.request)));
            front.counts.errors += 1;
            front.counts.misses += 1;
            downstream.miss_for_upstream(ticket, &line);
            downstream.finish(ticket);
            return Ok(Taken::Whole(0));
        }
        if is_error(text) {
            downstream.line(ticket, text);
            return Ok(Taken::Whole(0));
        }
        let physical = asked_key(front.request).ok_or(ReplyError::Malformed)?;
        if meta.verb == Verb::Me {
            let line = restore_debug(text, meta, &physical)?;
            downstream.line(ticket, &line);
            return Ok(Taken::Whole(0));
        }
        let mut line = std::mem::take(&mut downstream.context.line_buffer);
        let taken = self.take_rewritten(front, downstream, (text, &physical, body), &mut line);
        line.clear();
        downstream.context.line_buffer = line;
        taken
    }

    /// Takes a reply that names its key, by way of a line of its own.
    fn take_rewritten(
        &self,
        front: &mut Front<'_>,
        downstream: &mut Downstream,
        (text, physical, body): (&[u8], &[u8], &[u8]),
        line: &mut Vec<u8>,
    ) -> Result<Taken, ReplyError> {
        let &Self { ticket, ref meta } = self;
        let flags = match meta.unnamed {
            None => rewrite_meta(text, meta, physical, line)?,
            Some(unnamed) => {
                let opaque = asked_opaque(front.request);
                rewrite_unnamed(text, meta, unnamed, opaque, physical, line)?
            }
        };
        if text.starts_with(b"VA ") {
            return self.take_value(front, downstream, (line, flags, body), physical);
        }
        let is_miss = text.starts_with(b"EN");
        let client_key = meta.restore.client_key(physical);
        if is_miss && self.asks_on(&downstream.context) {
            downstream.ask_on(ticket, meta, client_key, front.request);
            downstream.finish(ticket);
            return Ok(Taken::Whole(0));
        }
        // An item that its client won to refresh will be filled as a missed one is.
        let notes = meta.verb == Verb::Mg && meta.on_miss.contains(OnMiss::NOTE);
        if notes && (is_miss || is_won(text)) {
            downstream.note_miss(ticket, client_key);
        }
        if is_miss {
            downstream.count_miss(ticket, client_key);
        }
        downstream.line(ticket, line);
        Ok(Taken::Whole(0))
    }

    /// Takes the value, whose line is rewritten.
    fn take_value(
        &self,
        front: &mut Front<'_>,
        downstream: &mut Downstream,
        (line, flags, body): (&mut Vec<u8>, u32, &[u8]),
        physical: &[u8],
    ) -> Result<Taken, ReplyError> {
        let &Self { ticket, ref meta } = self;
        let len = parse_va_len(line)?;
        if meta.verb != Verb::Mg {
            // A number: short enough to wait for.
            if len > MAX_NUMBER_BYTES {
                return Err(ReplyError::Malformed);
            }
            let Some(number) = body.get(..len + 2) else {
                return Ok(Taken::Lacks);
            };
            if !number.ends_with(b"\r\n") {
                return Err(ReplyError::Malformed);
            }
            line.extend_from_slice(b"\r\n");
            line.extend_from_slice(&body[..len]);
            downstream.line(ticket, line);
            return Ok(Taken::Whole(len + 2));
        }
        if front.lacks(
            body,
            downstream.context.judge.bytes_needed(meta.look, flags, len),
        ) {
            return Ok(Taken::Lacks);
        }
        let client_key = meta.restore.client_key(physical);
        let judged = downstream.inspect(ticket, meta.look, (flags, body, len));
        let asks_on = self.asks_on(&downstream.context);
        let mut visible = false;
        if judged.shown == Shown::Later {
            let came = came([line, b"", b""], (flags, len), body)?;
            let flags = asks_on.then(|| asked_flags(front.request));
            let deferred = downstream.defer(ticket, meta.look, came, |downstream| Awaits::Meta {
                ticket,
                client_key: downstream.context.pool.keep(client_key),
                meta: meta.without_key(),
                flags: flags.map(|flags| {
                    let mut kept = downstream.context.pool.take_line();
                    kept.extend_from_slice(flags);
                    kept
                }),
            });
            if !deferred {
                return Ok(front.park());
            }
        } else if judged.shown == Shown::Hidden && asks_on {
            downstream.ask_on(ticket, meta, client_key, front.request);
        } else {
            visible = downstream.show_meta(ticket, (meta, client_key), line, &judged);
        }
        downstream.comes(ticket, len);
        Ok(front.reads(ticket, len, visible))
    }

    /// Whether the next copy of another is asked for if this one is a miss.
    fn asks_on(&self, context: &Context) -> bool {
        self.meta.on_miss.contains(OnMiss::THROUGH) && context.has_others(self.meta.others)
    }
}
