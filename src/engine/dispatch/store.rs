//! Stores: their values are waited for, looked at, and refused or sent on.

use std::borrow::Cow;

use super::{
    Asked, ClientKey, Dispatch, Taken, meta_quiet, meta_reply, original_meta, quiet, refusal,
};
use crate::engine::counts::{Closed, Outcome, Split, TOO_LARGE};
use crate::engine::steps::{OnHidden, Original, OriginalHead};
use crate::engine::ticket::Quiet;
use crate::engine::upstream::server::MetaCommands;
use crate::engine::upstream::{MetaRequest, StoreHead};
use crate::engine::value::judged::Shown;
use crate::policy::{Decision, WriteKind};
use crate::protocol::key::is_token;
use crate::protocol::parse_u64;
use crate::protocol::request::{Meta, Store, Verb};

/// The longest value that an `add` takes for a lock: a host name, a random number or a
/// pickle of one.
const MAX_LOCK_BYTES: usize = 64;
const BAD_CHUNK: &[u8] = b"CLIENT_ERROR bad data chunk";

impl Dispatch<'_> {
    /// Waits for a body and checks its line end; `Err` says what became of it.
    fn body<'b>(
        &mut self,
        verb: Verb,
        quiet: Quiet,
        len: usize,
        body: &'b [u8],
    ) -> Result<&'b [u8], Taken> {
        let Some(whole) = body.get(..len + 2) else {
            return Err(Taken::Needs(len + 2));
        };
        if whole.ends_with(b"\r\n") {
            return Ok(&whole[..len]);
        }
        self.refuse(verb, quiet, BAD_CHUNK);
        // It is of another length than was said: what follows may be the rest of it.
        self.downstream.hang_up(self.client, Closed::BadRequest);
        Err(Taken::Body(len + 2))
    }

    pub(super) fn store(&mut self, store: &Store<'_>, body: &[u8]) -> Taken {
        let Store {
            verb,
            key,
            flags,
            exptime,
            len,
            cas,
            noreply,
        } = *store;
        let asked = Asked {
            verb,
            quiet: quiet(noreply),
            key: ClientKey::text(key),
            kind: WriteKind::of(verb),
        };
        if len > self.snapshot.max_value_bytes {
            return self.too_large(asked, len);
        }
        let value = match self.body(verb, asked.quiet, len, body) {
            Ok(value) => value,
            Err(taken) => return taken,
        };
        let decision = self.decide(key);
        let rejection = || match verb {
            Verb::Cas => Cow::Borrowed(&b"EXISTS"[..]),
            _ => Cow::Borrowed(&b"NOT_STORED"[..]),
        };
        if let Err(taken) = self.admit(asked, decision, (flags, value), rejection) {
            return taken;
        }
        let is_lock = self.suspect_lock(asked, decision, len);
        let original = || Original {
            head: OriginalHead::Text {
                verb,
                flags,
                exptime,
            },
            value: value.into(),
        };
        let on_hidden = match verb {
            _ if is_lock || !decision.plan.look.hides() => OnHidden::Ignore,
            Verb::Add => OnHidden::Replace(original()),
            Verb::Replace | Verb::Append | Verb::Prepend => {
                OnHidden::leave(original(), Cow::Borrowed(b"NOT_STORED\r\n"))
            }
            _ => OnHidden::Ignore,
        };
        let head = StoreHead {
            verb,
            flags,
            exptime,
            cas,
        };
        self.write_through(
            asked,
            decision,
            on_hidden,
            |lane, downstream, ticket, target| {
                lane.store(downstream, ticket, target, &head, value);
            },
        );
        Taken::Body(len + 2)
    }

    pub(super) fn meta_store(&mut self, meta: &Meta<'_>, body: &[u8]) -> Taken {
        let mode = meta.argument(b'M').and_then(<[u8]>::first);
        let mode = mode.map_or(b'S', u8::to_ascii_uppercase);
        let asked = Asked {
            verb: Verb::Ms,
            quiet: meta_quiet(meta),
            key: ClientKey::of(meta),
            kind: match mode {
                b'S' if !meta.has(b'C') => WriteKind::Plain,
                b'E' if !meta.has(b'C') => WriteKind::Add,
                b'A' | b'P' => WriteKind::Part,
                _ => WriteKind::Conditional,
            },
        };
        if meta.len > self.snapshot.max_value_bytes {
            let kind = if meta.has_bad_flag() {
                WriteKind::Conditional
            } else {
                WriteKind::Plain
            };
            let quiet = Quiet::No;
            return self.too_large(
                Asked {
                    quiet,
                    kind,
                    ..asked
                },
                meta.len,
            );
        }
        let value = match self.body(Verb::Ms, Quiet::No, meta.len, body) {
            Ok(value) => value,
            Err(taken) => return taken,
        };
        if self.lanes[self.lane_of(meta.key)].meta == MetaCommands::Unknown {
            // It would say the same, and take the value for commands.
            self.refuse(Verb::Ms, Quiet::No, b"ERROR");
            return Taken::Body(meta.len + 2);
        }
        let decision = self.decide(meta.key);
        let rejection = || {
            let code: &[u8] = if meta.has(b'C') { b"EX" } else { b"NS" };
            Cow::Owned(meta_reply(code, meta))
        };
        if let Err(taken) = self.admit(asked, decision, (client_flags(meta), value), rejection) {
            return taken;
        }
        let is_lock = self.suspect_lock(asked, decision, meta.len);
        let original = || original_meta(meta, value, meta.has(b'C'));
        let on_hidden = match mode {
            _ if is_lock || !decision.plan.look.hides() => OnHidden::Ignore,
            b'E' if asked.kind == WriteKind::Add && is_token(meta.key) => {
                OnHidden::Replace(original())
            }
            // Who names a value by its id has seen or stored it, and an error changes none.
            _ if !is_token(meta.key) && (meta.has(b'C') || meta.has_bad_flag()) => OnHidden::Ignore,
            b'R' | b'A' | b'P' => OnHidden::leave(original(), refusal(b"NS", meta)),
            _ => OnHidden::Ignore,
        };
        self.write_through(
            asked,
            decision,
            on_hidden,
            |lane, downstream, ticket, target| {
                let request = MetaRequest::unseen(meta, Some(value));
                lane.meta(downstream, ticket, target, &request);
            },
        );
        Taken::Body(meta.len + 2)
    }

    /// An `add` of something short is a lock, by its verb and size: what is in its way
    /// is held, though it be hidden, and not replaced. It is counted, as two versions
    /// may both get it where each namespace has its own.
    fn suspect_lock(&mut self, asked: Asked<'_>, decision: Decision<'_>, len: usize) -> bool {
        let is_lock = asked.kind == WriteKind::Add && len <= MAX_LOCK_BYTES;
        if is_lock {
            self.suspect(decision, asked.key.bytes, Split::Lock);
        }
        is_lock
    }

    /// Looks at a value on its way in, where it is a whole one. `Err` says what became
    /// of the request: it waits for that look, or is rejected, since a reader of its key
    /// could not load the value and its rule says so.
    fn admit(
        &mut self,
        asked: Asked<'_>,
        decision: Decision<'_>,
        value: (u32, &[u8]),
        rejection: impl FnOnce() -> Cow<'static, [u8]>,
    ) -> Result<(), Taken> {
        if asked.kind == WriteKind::Part {
            return Ok(());
        }
        match self
            .downstream
            .admit(self.client, decision, asked.key.bytes, value)
        {
            Shown::AsIs | Shown::Rewritten(_) => Ok(()),
            Shown::Later => Err(Taken::Waits),
            Shown::Hidden => {
                self.refuse_store(asked, decision, Outcome::Rejected, &rejection());
                Err(Taken::Body(value.1.len() + 2))
            }
        }
    }

    /// Refuses a store over the limit; its body is swallowed.
    fn too_large(&mut self, asked: Asked<'_>, len: usize) -> Taken {
        let decision = self.decide(asked.key.bytes);
        self.refuse_store(asked, decision, Outcome::TooLarge, TOO_LARGE);
        self.session().swallow = len + 2;
        Taken::Body(0)
    }

    /// Refuses a store; a plain one also deletes every copy, so that nobody reads what
    /// it was meant to replace.
    fn refuse_store(
        &mut self,
        asked: Asked<'_>,
        decision: Decision<'_>,
        outcome: Outcome,
        reply: &[u8],
    ) {
        let (downstream, client) = (&mut self.downstream, self.client);
        let ticket = downstream.open_fixed(client, asked.verb, asked.quiet, outcome, reply);
        // What it was to fill is not filled by the next.
        self.uses_up_miss(decision, &asked);
        if asked.kind == WriteKind::Plain {
            let siblings = decision.siblings(&self.snapshot.codec);
            let spaces = std::iter::once(decision.space).chain(siblings);
            let lane = self.lane_of(asked.key.bytes);
            self.delete_copies(ticket, lane, spaces, asked.key, None);
        }
        self.downstream.finish(ticket);
    }
}

fn client_flags(meta: &Meta<'_>) -> u32 {
    let flags = meta.argument(b'F').and_then(parse_u64);
    flags
        .and_then(|flags| u32::try_from(flags).ok())
        .unwrap_or(0)
}
