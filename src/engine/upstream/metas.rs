//! The reply to a meta command: one line, or `VA` and a value, put into its client's
//! words. How a line is reworded is not known here.

use super::front::{Front, Taken};
use crate::engine::context::Context;
use crate::engine::meta::{
    MetaReply, asked_flags, asked_key, asked_opaque, is_won, miss_line, restore_debug,
    rewrite_meta, rewrite_unnamed,
};
use crate::engine::ticket::Ticket;
use crate::engine::value::apart::Wants;
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
    pub(super) fn take(&self, front: &mut Front<'_>) -> Result<Taken, ReplyError> {
        let &Self { ticket, ref meta } = self;
        let text = front.text;
        if !is_reply_to(meta.verb, text) {
            return Err(ReplyError::Malformed);
        }
        if text.starts_with(b"SERVER_ERROR") && meta.on_miss.contains(OnMiss::SOFT) {
            let physical = asked_key(front.request).ok_or(ReplyError::Malformed)?;
            let line = miss_line(meta, &physical, Tokens::new(asked_flags(front.request)));
            front.counts.errors += 1;
            front.counts.misses += 1;
            front.downstream.miss_for_upstream(ticket, &line);
            front.downstream.finish(ticket);
            return Ok(Taken::Whole(0));
        }
        if is_error(text) {
            front.downstream.line(ticket, text);
            return Ok(Taken::Whole(0));
        }
        let physical = asked_key(front.request).ok_or(ReplyError::Malformed)?;
        if meta.verb == Verb::Me {
            let line = restore_debug(text, meta, &physical)?;
            front.downstream.line(ticket, &line);
            return Ok(Taken::Whole(0));
        }
        let mut line = std::mem::take(&mut front.downstream.context.line_buffer);
        let taken = self.take_rewritten(front, &physical, &mut line);
        line.clear();
        front.downstream.context.line_buffer = line;
        taken
    }

    /// Takes a reply that names its key, by way of a line of its own.
    fn take_rewritten(
        &self,
        front: &mut Front<'_>,
        physical: &[u8],
        line: &mut Vec<u8>,
    ) -> Result<Taken, ReplyError> {
        let &Self { ticket, ref meta } = self;
        let text = front.text;
        let flags = match meta.unnamed {
            None => rewrite_meta(text, meta, physical, line)?,
            Some(unnamed) => {
                let opaque = asked_opaque(front.request);
                rewrite_unnamed(text, meta, unnamed, opaque, physical, line)?
            }
        };
        if text.starts_with(b"VA ") {
            return self.take_value(front, (line, flags), physical);
        }
        let is_miss = text.starts_with(b"EN");
        let client_key = meta.restore.client_key(physical);
        let downstream = &mut *front.downstream;
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
        (line, flags): (&mut Vec<u8>, u32),
        physical: &[u8],
    ) -> Result<Taken, ReplyError> {
        let &Self { ticket, ref meta } = self;
        let len = parse_va_len(line)?;
        if meta.verb != Verb::Mg {
            // A number: short enough to wait for.
            if len > MAX_NUMBER_BYTES {
                return Err(ReplyError::Malformed);
            }
            let Some(number) = front.body.get(..len + 2) else {
                return Ok(Taken::Lacks);
            };
            if !number.ends_with(b"\r\n") {
                return Err(ReplyError::Malformed);
            }
            line.extend_from_slice(b"\r\n");
            line.extend_from_slice(&number[..len]);
            front.downstream.line(ticket, line);
            return Ok(Taken::Whole(len + 2));
        }
        if front.lacks(meta.look, flags, len) {
            return Ok(Taken::Lacks);
        }
        let client_key = meta.restore.client_key(physical);
        let value = front.value(flags, len);
        let judged = front.downstream.inspect(ticket, meta.look, value);
        let asks_on = self.asks_on(&front.downstream.context);
        let mut visible = false;
        if judged.shown == Shown::Later {
            let request = front.request;
            let line = [&line[..], b"\r\n"];
            let deferred = front.defer(ticket, meta.look, &line, (flags, len), |downstream| {
                let pool = &mut downstream.context.pool;
                Wants::Meta {
                    client_key: pool.keep(client_key),
                    meta: meta.without_key(),
                    flags: asks_on.then(|| pool.copy_line(asked_flags(request))),
                }
            });
            if !deferred? {
                return Ok(Taken::Lacks);
            }
        } else if judged.shown == Shown::Hidden && asks_on {
            front
                .downstream
                .ask_on(ticket, meta, client_key, front.request);
        } else {
            visible = front
                .downstream
                .show_meta(ticket, (meta, client_key), line, &judged);
        }
        front.downstream.comes(ticket, len);
        Ok(front.reads(ticket, len, visible))
    }

    /// Whether the next copy of another is asked for if this one is a miss.
    fn asks_on(&self, context: &Context) -> bool {
        self.meta.on_miss.contains(OnMiss::THROUGH) && context.has_others(self.meta.others)
    }
}
