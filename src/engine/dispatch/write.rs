//! The steps of a write: the first as its client asked for it, and those that follow from
//! what the upstream replied.

use super::{Asked, ClientKey, Dispatch};
use crate::engine::downstream::{Downstream, Work};
use crate::engine::steps::{Found, OnHidden, Original, OriginalHead, Stage, Step, Stepwise};
use crate::engine::ticket::Ticket;
use crate::engine::upstream::server::MetaCommands;
use crate::engine::upstream::{Lane, MetaRequest, StoreHead, Target};
use crate::policy::{Decision, Reach, WriteKind};
use crate::protocol::Tokens;
use crate::protocol::key::KeyBuf;
use crate::protocol::request::{Meta, Verb};

impl<'e> Dispatch<'e> {
    /// Sends a write and, where it reaches them, deletes the siblings: at once
    /// behind a plain one, which always takes effect, else once it did.
    pub(super) fn write_through(
        &mut self,
        asked: Asked<'_>,
        decision: Decision<'e>,
        on_hidden: OnHidden,
        write: impl FnOnce(&mut Lane, &mut Downstream, Ticket, Target<'_>),
    ) {
        let Asked { key, kind, .. } = asked;
        let Decision { space, .. } = decision;
        let plain = kind == WriteKind::Plain;
        let reaches = self.reaches_siblings(decision, &asked);
        let lane = self.lane_of(key.bytes);
        let looks_first = on_hidden.looks_first();
        let ignores = matches!(on_hidden, OnHidden::Ignore);
        let work = if !ignores || (reaches && !plain) {
            Work::Change(Box::new(Stepwise {
                key: KeyBuf::try_from(key.bytes).expect("the parser admits 250 bytes at most"),
                base64: key.base64,
                own: space,
                lane,
                invalidates: reaches,
                on_hidden,
                stage: if looks_first {
                    Stage::Probed(Found::Nothing)
                } else {
                    Stage::Asked
                },
            }))
        } else {
            Work::Pass
        };
        let (downstream, client) = (&mut self.downstream, self.client);
        let ticket = downstream.open(client, asked.verb, asked.quiet, work);
        let target = self.target(space, key);
        self.send(lane, ticket, |lane, downstream| {
            if looks_first {
                lane.probe(downstream, ticket, target, decision.plan.look);
            } else {
                write(lane, downstream, ticket, target);
            }
        });
        if reaches && plain {
            let siblings = decision.siblings(&self.snapshot.codec);
            self.delete_copies(ticket, lane, siblings, key, None);
        }
        self.downstream.finish(ticket);
    }

    /// Whether a write reaches the copies of others, once it took effect.
    fn reaches_siblings(&mut self, decision: Decision<'_>, asked: &Asked<'_>) -> bool {
        let is_fill = self.uses_up_miss(decision, asked);
        match decision.plan.reach(asked.kind) {
            Reach::Never => false,
            Reach::UnlessFill => !is_fill,
            Reach::Always => true,
        }
    }

    /// Whether a write fills what was missed a moment ago, which is then used up.
    pub(super) fn uses_up_miss(&mut self, decision: Decision<'_>, asked: &Asked<'_>) -> bool {
        let key = asked.key.bytes;
        decision.plan.fills(asked.kind) && self.downstream.is_fill(self.client, key)
    }

    /// Sends the next step of a change.
    pub(in crate::engine) fn step(&mut self, ticket: Ticket, step: Step, change: Box<Stepwise>) {
        let Stepwise { own, lane, .. } = *change;
        let key = ClientKey::again(&change);
        let target = self.target(own, key);
        match step {
            Step::Invalidate => {
                let siblings = self.snapshot.codec.spaces().filter(|&space| space != own);
                self.delete_copies(ticket, lane, siblings, key, None);
                self.downstream.finish(ticket);
                return;
            }
            Step::Probe => {
                let look = self.decide_for(ticket, &change.key).plan.look;
                self.send(lane, ticket, |lane, downstream| {
                    lane.probe(downstream, ticket, target, look);
                });
            }
            Step::Swap(cas) => match &change.on_hidden {
                OnHidden::Replace(original) | OnHidden::Leave { original, .. } => {
                    self.ask_for(ticket, lane, target, original, Some(cas));
                }
                OnHidden::Ignore | OnHidden::Count { .. } => {}
            },
            Step::Ask => {
                if let OnHidden::Count {
                    original: Some(original),
                    ..
                } = &change.on_hidden
                {
                    self.ask_for(ticket, lane, target, original, None);
                }
            }
        }
        self.downstream.resume(ticket, change);
    }

    /// Asks for a change that had to wait, for exactly the value of this CAS id.
    fn ask_for(
        &mut self,
        ticket: Ticket,
        lane: usize,
        target: Target<'_>,
        original: &Original,
        cas: Option<u64>,
    ) {
        let value = &*original.value;
        match &original.head {
            &OriginalHead::Text {
                verb: verb @ (Verb::Append | Verb::Prepend),
                ..
            } if self.lanes[lane].meta == MetaCommands::Known => {
                // No classic command appends to what has this id.
                let mode = if verb == Verb::Append { 'A' } else { 'P' };
                let flags = cas.map_or(String::new(), |cas| format!("M{mode} C{cas}"));
                self.send_meta(ticket, lane, target, (Verb::Ms, flags.as_bytes()), value);
            }
            &OriginalHead::Text {
                verb,
                flags,
                exptime,
            } => {
                // Where there are no others it is appended to whatever is there now.
                let is_whole = !matches!(verb, Verb::Append | Verb::Prepend);
                let head = StoreHead {
                    verb: if is_whole { Verb::Cas } else { verb },
                    flags,
                    exptime,
                    cas: cas.filter(|_| is_whole),
                };
                self.send(lane, ticket, |lane, downstream| {
                    lane.store(downstream, ticket, target, &head, value);
                });
            }
            OriginalHead::Count { verb, delta } => {
                self.send(lane, ticket, |lane, downstream| {
                    lane.change(downstream, ticket, *verb, target, Some(delta));
                });
            }
            OriginalHead::Meta {
                verb,
                flags,
                is_bound: true,
            } => self.send_meta(ticket, lane, target, (*verb, flags), value),
            OriginalHead::Meta { verb, flags, .. } => {
                // `I` would store over what is newer than the id; a mode that asks
                // whether anything is there is met by it.
                let kept = Tokens::new(flags).filter(|flag| match flag[0] {
                    b'C' | b'I' => false,
                    b'M' => !matches!(flag[1..], [b'E' | b'e' | b'R' | b'r']),
                    _ => true,
                });
                let mut flags = kept.collect::<Vec<_>>().join(&b' ');
                if let Some(cas) = cas {
                    flags.extend_from_slice(format!(" C{cas}").as_bytes());
                }
                self.send_meta(ticket, lane, target, (*verb, &flags), value);
            }
        }
    }

    fn send_meta(
        &mut self,
        ticket: Ticket,
        lane: usize,
        target: Target<'_>,
        (verb, flags): (Verb, &[u8]),
        value: &[u8],
    ) {
        let meta = Meta::new(verb, (target.key, target.base64), value.len(), flags);
        let body = (verb == Verb::Ms).then_some(value);
        self.send(lane, ticket, |lane, downstream| {
            lane.meta(
                downstream,
                ticket,
                target,
                &MetaRequest::unseen(&meta, body),
            );
        });
    }
}
