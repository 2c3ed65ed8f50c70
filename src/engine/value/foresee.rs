//! What would become of a value, for those who ask before it comes.

use std::sync::Arc;

use super::{Admitted, Inline, Look, Looker, PROTOCOL, Shown, plain};
use crate::engine::counts::{Action, Direction, Tally, Writer};
use crate::pickle::{Pause, Reason, Verdict};
use crate::policy::{Decision, Identity, Snapshot};

/// What a client would get of a value, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreseen {
    /// What it gets.
    pub shown: Shown,
    /// How long that is, if it is not the value as it is.
    pub rewritten_bytes: usize,
    /// Whether it can load the value; `None` if nobody looked, or saw a pickle.
    pub verdict: Option<Verdict>,
    /// Why it is not loadable.
    pub reason: Option<String>,
    /// Why there is no other form of it, if one was wanted, as metrics name it.
    pub no_form: Option<&'static str>,
}

/// What `Looker::read` makes of a value, told by what it counts. For people who
/// ask beforehand: takes a looker of its own.
pub fn foresee_read(
    snapshot: &Arc<Snapshot>,
    identity: Identity,
    look: Look,
    (flags, value): (u32, &[u8]),
) -> Foreseen {
    let mut looker = Looker::new(Arc::clone(snapshot), Inline::ALL, Pause::NONE);
    let mut tally = Tally::new(snapshot.codec.spaces().len());
    let shown = looker.read(&mut tally, identity, look, (flags, value, value.len()));
    let space = identity.space.index();
    let was_counted = |verdict: &Verdict| {
        let counts = Writer::ALL.into_iter().flat_map(|writer| {
            Action::ALL.map(|action| tally.reads(space, writer, *verdict, action))
        });
        counts.sum::<u64>() > 0
    };
    let counted = tally.unloadable(space, Direction::Read).iter().next();
    let name = counted.map(|(name, _)| name);
    Foreseen {
        shown,
        rewritten_bytes: looker.rewritten.len(),
        verdict: Verdict::ALL.into_iter().find(was_counted),
        reason: name.map(|name| looker.in_full(name, identity, look, (flags, value))),
        no_form: tally
            .untranscodable(space)
            .iter()
            .next()
            .map(|(name, _)| name),
    }
}

/// Whether `Looker::write` rejects a value, and why, as metrics name it.
pub fn foresee_write(
    snapshot: &Arc<Snapshot>,
    writer: Identity,
    decision: Decision<'_>,
    value: (u32, &[u8]),
) -> Option<&'static str> {
    let mut tally = Tally::new(snapshot.codec.spaces().len());
    let mut looker = Looker::new(Arc::clone(snapshot), Inline::ALL, Pause::NONE);
    match looker.write(&mut tally, writer, decision, value) {
        Admitted::Rejected(reason) => Some(reason),
        Admitted::Accepted | Admitted::Later => None,
    }
}

impl Looker {
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
        if let (Look::Whole(_), true) = (look, self.is_held(flags, value.len())) {
            let plain = plain(
                &self.inflater,
                self.inflated,
                &self.encoding,
                (flags, value),
            );
            let inventory = snapshot.inventory(identity.space);
            let scanned =
                plain.map(|pickle| self.scanner.scan(pickle, &snapshot.pickles.extensions));
            match scanned {
                Ok(Ok(scan)) => {
                    let judged = scan.judge(identity.reader, inventory);
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
