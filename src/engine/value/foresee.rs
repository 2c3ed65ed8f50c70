//! Foresight: the look at a value before it comes, for those who ask.

use std::sync::Arc;

use super::judge::{Inline, Judge, plain};
use super::judged::{Judged, PROTOCOL, Shown, ValueStart};
use crate::pickle::{Pause, Pool, Reason, Verdict};
use crate::policy::{Decision, Identity, Look, Snapshot, SpaceId};

/// The value as a client would get it, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreseen {
    /// Treatment of the value.
    pub shown: Shown,
    /// Length of the rewritten form, if it is not the value as it is.
    pub rewritten_bytes: usize,
    /// Whether it can load the value; `None` if nobody looked, or saw a pickle.
    pub verdict: Option<Verdict>,
    /// Why it is not loadable.
    pub reason: Option<String>,
    /// Why there is no other form of it, if one was wanted, as metrics name it.
    pub no_form: Option<&'static str>,
}

/// Foresees what a client would get of a value.
pub fn foresee_read(
    snapshot: &Arc<Snapshot>,
    identity: Identity,
    look: Look,
    (flags, value): (u32, &[u8]),
) -> Foreseen {
    let mut judge = Judge::new(Arc::clone(snapshot), Inline::ALL, Pause::NONE);
    let start = ValueStart {
        flags,
        bytes: value,
        len: value.len(),
    };
    let Judged { shown, pickle } = judge.judge_read(identity, look, start);
    let reason = pickle.and_then(|pickle| pickle.reason);
    Foreseen {
        shown,
        rewritten_bytes: judge.rewritten.len(),
        verdict: pickle.map(|pickle| pickle.verdict),
        reason: reason.map(|name| judge.in_full(name, identity, look, (flags, value))),
        no_form: pickle.and_then(|pickle| pickle.no_form),
    }
}

/// Whether a store of a value from a namespace would be rejected, and why, as metrics name it.
pub fn foresee_write(
    snapshot: &Arc<Snapshot>,
    from: SpaceId,
    decision: Decision<'_>,
    value: (u32, &[u8]),
) -> Option<&'static str> {
    let mut judge = Judge::new(Arc::clone(snapshot), Inline::ALL, Pause::NONE);
    let Judged { shown, pickle } = judge.judge_write(from, decision, value);
    pickle.filter(|_| shown == Shown::Hidden)?.reason
}

impl Judge {
    /// A reason that metrics only name.
    fn in_full(
        &mut self,
        name: &'static str,
        identity: Identity,
        look: Look,
        (flags, value): (u32, &[u8]),
    ) -> String {
        if let Some(note) = self.notes.pop() {
            return note;
        }
        let snapshot = &self.snapshot;
        let header = self.sniffer.sniff(&self.encoding, flags, value);
        let needs = header.and_then(|header| header.protocol);
        if let (Look::Whole(_), true) = (look, self.is_held(value.len())) {
            let plain = plain(
                &self.inflater,
                self.inflated,
                &self.encoding,
                (flags, value),
            );
            let pool = Pool {
                reader: identity.reader,
                inventory: snapshot.inventory(identity.space),
            };
            let scanned =
                plain.map(|pickle| self.scanner.scan(pickle, &snapshot.pickles.extensions));
            match scanned {
                Ok(Ok(scan)) => {
                    let judged = scan.judge(pool.reader, pool.inventory).and_then(|()| {
                        let writers = snapshot.writers(SpaceId::BARE);
                        scan.prove(pool, &scan.writer().among(writers))
                    });
                    return judged.map_or_else(|reason| reason.to_string(), |()| name.to_owned());
                }
                Err(error) if name != PROTOCOL => return error.to_string(),
                Ok(Err(broken)) if name != PROTOCOL => return broken.to_string(),
                // What follows the header was not understood.
                _ => {}
            }
        }
        match needs {
            Some(needs) if name == PROTOCOL => Reason::Protocol { needs }.to_string(),
            _ => name.to_owned(),
        }
    }
}
