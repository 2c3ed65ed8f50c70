//! Deletes, counts and touches: what changes a key without bringing a value.

use std::borrow::Cow;

use super::{Asked, ClientKey, Dispatch, meta_quiet, original_meta, quiet, refusal};
use crate::engine::counts::Split;
use crate::engine::downstream::{Downstream, Work};
use crate::engine::steps::{OnHidden, Original, OriginalHead};
use crate::engine::ticket::Quiet;
use crate::engine::upstream::{Lane, MetaRequest, Target};
use crate::policy::WriteKind;
use crate::protocol::key::is_token;
use crate::protocol::request::{Change, Meta, Verb};

impl Dispatch<'_> {
    pub(super) fn delete(&mut self, change: &Change<'_>) {
        self.delete_everywhere(quiet(change.noreply), ClientKey::text(change.key), None);
    }

    pub(super) fn meta_delete(&mut self, meta: &Meta<'_>) {
        self.delete_everywhere(meta_quiet(meta), ClientKey::of(meta), Some(meta));
    }

    /// Deletes the own copy as the client asked, by an `md` or not, and its siblings behind
    /// it.
    fn delete_everywhere(&mut self, quiet: Quiet, key: ClientKey<'_>, meta: Option<&Meta<'_>>) {
        let verb = meta.map_or(Verb::Delete, |meta| meta.verb);
        let work = Work::Delete { existed: false };
        let ticket = self.downstream.open(self.client, verb, quiet, work);
        let lane = self.lane_of(key.bytes);
        let decision = self.decide(key.bytes);
        let target = self.target(decision.space, key);
        self.send(lane, ticket, |lane, downstream| match meta {
            Some(meta) => {
                lane.meta(downstream, ticket, target, &MetaRequest::unseen(meta, None));
            }
            None => lane.change(downstream, ticket, verb, target, None),
        });
        if self.is_anybody || decision.plan.deletes_reach {
            let siblings = decision.others(&self.snapshot.codec);
            self.delete_copies(ticket, lane, siblings, key, meta);
        }
        self.downstream.finish(ticket);
    }

    /// `incr`, `decr` and `touch`.
    pub(super) fn change(&mut self, change: &Change<'_>) {
        let Change {
            verb,
            key,
            argument,
            noreply,
        } = *change;
        let decision = self.decide(key);
        let write = |lane: &mut Lane, downstream: &mut Downstream, ticket, target: Target<'_>| {
            lane.change(downstream, ticket, verb, target, argument);
        };
        if verb == Verb::Touch {
            let ticket = self
                .downstream
                .open(self.client, verb, quiet(noreply), Work::Pass);
            let lane = self.lane_of(key);
            let target = self.target(decision.space, ClientKey::text(key));
            self.send(lane, ticket, |lane, downstream| {
                write(lane, downstream, ticket, target);
            });
            self.downstream.finish(ticket);
        } else {
            self.suspect(decision, key, Split::Counter);
            let quiet = quiet(noreply);
            let asked = Asked {
                verb,
                quiet,
                key: ClientKey::text(key),
                kind: WriteKind::Conditional,
            };
            let look = decision.plan.look;
            let original = || Original {
                head: OriginalHead::Count {
                    verb,
                    delta: argument.unwrap_or_default().into(),
                },
                value: Box::default(),
            };
            let on_hidden = if look.hides() {
                OnHidden::Count {
                    original: look.hides_what_is_none().then(original),
                    refusal: Cow::Borrowed(b"NOT_FOUND\r\n"),
                }
            } else {
                OnHidden::Ignore
            };
            self.write_through(asked, decision, on_hidden, write);
        }
    }

    pub(super) fn meta_change(&mut self, meta: &Meta<'_>) {
        let decision = self.decide(meta.key);
        self.suspect(decision, meta.key, Split::Counter);
        let asked = Asked {
            verb: Verb::Ma,
            quiet: meta_quiet(meta),
            key: ClientKey::of(meta),
            kind: WriteKind::Conditional,
        };
        let look = decision.plan.look;
        let counts_hidden = look.hides_what_is_none();
        let on_hidden = if look.hides() && (counts_hidden || is_token(meta.key)) {
            OnHidden::Count {
                original: counts_hidden.then(|| original_meta(meta, b"", true)),
                refusal: refusal(b"NF", meta),
            }
        } else {
            OnHidden::Ignore
        };
        self.write_through(
            asked,
            decision,
            on_hidden,
            |lane, downstream, ticket, target| {
                lane.meta(downstream, ticket, target, &MetaRequest::unseen(meta, None));
            },
        );
    }
}
