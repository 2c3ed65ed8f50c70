//! The look at the value in the way of a change, which its client did not ask for:
//! what is asked, and what the reply says of it.

use super::front::{Front, Taken};
use super::requests::Target;
use super::{Lane, Reply};
use crate::engine::downstream::Downstream;
use crate::engine::meta::{asked_key, asked_opaque};
use crate::engine::steps::Found;
use crate::engine::ticket::Ticket;
use crate::engine::value::apart::Wants;
use crate::engine::value::judged::Shown;
use crate::engine::words::push_number;
use crate::policy::Look;
use crate::protocol::key::is_token;
use crate::protocol::reply::{ReplyError, is_error, parse_va_len, parse_value_head};
use crate::protocol::{Tokens, parse_u64};

impl Lane {
    /// Asks for the value in the way of a change, to be looked at only: with `gets`,
    /// since a look with `mg` wins the token of a stale item. A key that no text command
    /// can spell leaves no choice: it is looked at only where something hidden would be
    /// changed. The value is known by an opaque, since memcached may answer with such a
    /// key as it is.
    pub fn probe(
        &mut self,
        downstream: &mut Downstream,
        ticket: Ticket,
        target: Target<'_>,
        look: Look,
    ) {
        let by_meta = !is_token(target.key);
        self.owe(
            downstream,
            ticket,
            Reply::Probe(Probe {
                ticket,
                look,
                found: Found::Nothing,
                apart: false,
                by_meta,
            }),
        );
        if by_meta {
            let start = self.end();
            self.wire.extend_from_slice(b"mg ");
            self.spell_key(target);
            self.wire.extend_from_slice(b" b v f c O");
            push_number(&mut self.wire, start);
        } else {
            self.wire.extend_from_slice(b"gets ");
            // By its bytes, however its client spelled it.
            target
                .codec
                .encode(target.space, target.key, &mut self.wire);
        }
        self.wire.extend_from_slice(b"\r\n");
    }
}

/// A value that is only looked at, then `END`, or `VA` and that value if it is asked for
/// by `mg`.
#[derive(Debug)]
pub(super) struct Probe {
    pub(super) ticket: Ticket,
    pub(super) look: Look,
    /// The finding so far.
    pub(super) found: Found,
    /// Whether the finding is told elsewhere, as the value is looked at apart or an error
    /// came.
    pub(super) apart: bool,
    pub(super) by_meta: bool,
}

impl Probe {
    /// Takes the line of the value, or of the end.
    pub(super) fn take(&mut self, front: &mut Front<'_>) -> Result<Taken, ReplyError> {
        let &mut Self {
            ticket,
            look,
            by_meta,
            ..
        } = self;
        let text = front.text;
        if !text.starts_with(if by_meta { b"VA " } else { b"VALUE " }) {
            // The end, no value, or an error.
            let is_end = match text {
                [b'E', b'N', rest @ ..] if by_meta => matches!(rest, [] | [b' ', ..]),
                _ => text == b"END" && !by_meta,
            };
            if is_error(text) {
                front.downstream.not_probed(ticket, text);
                self.apart = true;
            } else if !is_end {
                return Err(ReplyError::Malformed);
            }
            self.end(front.downstream);
            return Ok(Taken::Whole(0));
        }
        let (flags, len, cas) = if by_meta {
            probed_by_meta(front.request, text)?
        } else {
            probed_by_gets(front.request, text)?
        };
        if front.lacks(look, flags, len) {
            return Ok(Taken::Lacks);
        }
        let value = front.value(flags, len);
        match front.downstream.probe(ticket, look, value) {
            Shown::AsIs | Shown::Rewritten(_) => self.found = Found::Seen(cas),
            Shown::Hidden => self.found = Found::Hidden(cas),
            Shown::Later => {
                let wants = |_: &mut Downstream| Wants::Probe { cas };
                if !front.defer(ticket, look, &[], (flags, len), wants)? {
                    return Ok(Taken::Lacks);
                }
                self.apart = true;
            }
        }
        Ok(front.reads(ticket, len, false))
    }

    /// Tells the change what is in its way, unless that is told elsewhere.
    pub(super) fn end(&self, downstream: &mut Downstream) {
        if !self.apart {
            downstream.clients.probed(self.ticket, self.found);
        }
        downstream.finish(self.ticket);
    }
}

/// Flags, length and CAS id of the value in the way of a change, as `gets` says them.
fn probed_by_gets(request: &[u8], text: &[u8]) -> Result<(u32, usize, u64), ReplyError> {
    let physical = asked_key(request).ok_or(ReplyError::Malformed)?;
    let head = parse_value_head(text)?;
    if head.key != &physical[..] {
        return Err(ReplyError::WrongKey);
    }
    let cas = Tokens::new(head.tail).nth(2).and_then(parse_u64);
    Ok((head.flags, head.len, cas.ok_or(ReplyError::Malformed)?))
}

/// Flags, length and CAS id as `mg` says them, whose reply is known by its opaque.
fn probed_by_meta(request: &[u8], text: &[u8]) -> Result<(u32, usize, u64), ReplyError> {
    let len = parse_va_len(text)?;
    let opaque = asked_opaque(request);
    let (mut flags, mut cas, mut is_ours) = (None, None, false);
    for token in Tokens::new(text).skip(2) {
        match token[0] {
            b'f' => flags = parse_u64(&token[1..]),
            b'c' => cas = parse_u64(&token[1..]),
            b'O' => is_ours |= token == opaque,
            _ => {}
        }
    }
    if !is_ours {
        return Err(ReplyError::WrongKey);
    }
    let flags = flags.and_then(|flags| u32::try_from(flags).ok());
    let found = flags.zip(cas).ok_or(ReplyError::Malformed)?;
    Ok((found.0, len, found.1))
}
