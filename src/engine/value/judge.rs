//! The judge of values on their way: looks at the first bytes of one, or at all of it,
//! and says what becomes of it. One door for what is read, one for what is written.
//! Counts nothing, sends nothing.

use std::sync::Arc;

use super::judged::{FIREWALL, Judged, Pickle, Shown, ValueStart};
use super::scanned::Scanned;
use super::show::rewrite;
use crate::pickle::transcode::Transcoder;
use crate::pickle::{
    Encoding, Header, InflateError, InflateLimits, Inflater, Pause, Pool, Scanner, Sniffer, Verdict,
};
use crate::policy::{Decision, Identity, Look, Namespace, Snapshot, SpaceId, Whole};

/// Refusals of the firewall that wait to be logged, at most.
const MAX_NOTES: usize = 8;

/// Bounds of the looks among other work, in bytes as they are when inflated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inline {
    /// The longest value.
    pub value_bytes: usize,
    /// All values between two looks at the clock.
    pub turn_bytes: usize,
}

impl Inline {
    /// Everything, however long it takes.
    pub const ALL: Self = Self {
        value_bytes: usize::MAX,
        turn_bytes: usize::MAX,
    };
}

impl Default for Inline {
    /// The worst pickle of 16 KiB takes a tenth of a millisecond or so.
    fn default() -> Self {
        Self {
            value_bytes: 16 << 10,
            turn_bytes: 256 << 10,
        }
    }
}

/// Looks at the values of a worker; keeps the memory for it.
#[derive(Debug)]
pub struct Judge {
    pub(super) snapshot: Arc<Snapshot>,
    /// Marks of pickles in the client flags.
    pub(super) encoding: Encoding,
    pub(super) sniffer: Sniffer,
    pub(super) inflater: Inflater,
    pub(super) scanner: Scanner,
    transcoder: Transcoder,
    /// Result of inflating the value that is looked at, if it was compressed.
    pub(super) inflated: Result<(), InflateError>,
    inline: Inline,
    /// Bytes that may still be looked at before the clock is.
    left: usize,
    /// Name that kept the last value from being loaded, if one is to blame.
    pub(in crate::engine) blamed: String,
    /// The value that takes the place of one that was [`Shown::Rewritten`].
    pub(in crate::engine) rewritten: Vec<u8>,
    /// Number of refusals of the firewall.
    refused: u64,
    /// The refusals that are worth a line in the log: the first, the second, the
    /// fourth, ... of this worker.
    pub(super) notes: Vec<String>,
}

/// Result of a look, with all that it left in its judge.
#[derive(Debug)]
pub(in crate::engine) struct Findings {
    judged: Judged,
    blamed: String,
    rewritten: Vec<u8>,
    notes: Vec<String>,
}

impl Judge {
    /// Looks as the snapshot says, at no more than this, and pauses.
    pub fn new(snapshot: Arc<Snapshot>, inline: Inline, pause: Pause) -> Self {
        Self {
            inflated: Ok(()),
            inline,
            left: inline.turn_bytes,
            encoding: snapshot.pickles.encoding,
            snapshot,
            sniffer: Sniffer::default(),
            inflater: Inflater::pausing(pause),
            scanner: Scanner::pausing(pause),
            transcoder: Transcoder::pausing(pause),
            blamed: String::new(),
            rewritten: Vec::new(),
            refused: 0,
            notes: Vec::new(),
        }
    }

    /// Whether it looks as this snapshot says.
    pub(super) fn is_of(&self, snapshot: &Arc<Snapshot>) -> bool {
        Arc::ptr_eq(&self.snapshot, snapshot)
    }

    /// The number of namespaces.
    pub fn namespaces(&self) -> usize {
        self.snapshot.namespaces.len()
    }

    /// The clock was looked at.
    #[inline]
    pub(in crate::engine) fn begin_turn(&mut self) {
        self.left = self.inline.turn_bytes;
    }

    /// How many of the bytes after a value's line a look at it needs: its first
    /// ones, or all and its line end.
    pub fn bytes_needed(&self, look: Look, flags: u32, len: usize) -> usize {
        match look {
            Look::Away => 0,
            // Most values are told by their flags alone.
            _ if !self.encoding.may_be_pickle(flags) => 0,
            Look::Whole(_) if self.is_held(len) => len + 2,
            _ => self.encoding.bytes_needed(flags, len),
        }
    }

    /// Whether a value that may be a pickle is held until it is whole.
    pub(super) fn is_held(&self, len: usize) -> bool {
        len <= self.snapshot.max_value_bytes
    }

    // The doors ------------------------------------------------------------

    /// Judges a value on its way to a reader, of which the [`Judge::bytes_needed`] are
    /// here.
    // Once for each value: a call would take as many instructions as the look.
    #[allow(clippy::inline_always)]
    #[inline(always)]
    pub fn judge_read(&mut self, reader: Identity, look: Look, value: ValueStart<'_>) -> Judged {
        let ValueStart { flags, bytes, len } = value;
        if !self.encoding.may_be_pickle(flags) {
            return Judged::PLAIN;
        }
        let hides = match look {
            Look::Away => return Judged::PLAIN,
            Look::Count => false,
            Look::Hide => true,
            Look::Whole(whole) => return self.judge_held(reader, whole, value),
        };
        self.judge_header(reader, hides, flags, &bytes[..bytes.len().min(len)])
    }

    /// Judges a value on its way in from a namespace, for all readers of its key.
    pub fn judge_write(
        &mut self,
        from: SpaceId,
        decision: Decision<'_>,
        (flags, value): (u32, &[u8]),
    ) -> Judged {
        let look = decision.plan.look;
        if look == Look::Away {
            return Judged::PLAIN;
        }
        let Some(header) = self.sniffer.sniff(&self.encoding, flags, value) else {
            return Judged::PLAIN;
        };
        let by_header = self.verdict_of_all(decision, header);
        let mut judged = match look {
            Look::Whole(_) if self.is_long(flags, value) => return Judged::unseen(Shown::Later),
            Look::Whole(whole) => {
                let pickle = self.judge_for_all(
                    (from, decision),
                    whole,
                    (header, by_header),
                    (flags, value),
                );
                Judged::pickle(Shown::AsIs, pickle)
            }
            _ => Judged::pickle(Shown::AsIs, Pickle::by_header(header, by_header)),
        };
        let rejected = judged
            .pickle
            .as_ref()
            .is_some_and(|pickle| match pickle.verdict {
                Verdict::Loadable => false,
                Verdict::Unloadable => decision.plan.rejects,
                Verdict::Unknown | Verdict::NotLookedAt => decision.plan.rejects_unknown,
            });
        if rejected {
            judged.shown = Shown::Hidden;
        }
        judged
    }

    // What looks leave -----------------------------------------------------

    /// Takes the lines for the log.
    pub fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    #[cold]
    fn note(&mut self, note: String) {
        self.refused += 1;
        if self.refused.is_power_of_two() && self.notes.len() < MAX_NOTES {
            self.notes.push(note);
        }
    }

    /// Gives what was just judged away, for another judge.
    pub(super) fn give(&mut self, judged: Judged) -> Findings {
        let rewritten = match judged.shown {
            Shown::Rewritten(_) => std::mem::take(&mut self.rewritten),
            Shown::AsIs | Shown::Hidden | Shown::Later => Vec::new(),
        };
        Findings {
            judged,
            blamed: std::mem::take(&mut self.blamed),
            rewritten,
            notes: self.take_notes(),
        }
    }

    /// Takes what another judge saw, as if the value had just been looked at here.
    #[cold]
    pub(in crate::engine) fn take(&mut self, findings: Findings) -> Judged {
        let Findings {
            judged,
            blamed,
            rewritten,
            notes,
        } = findings;
        self.blamed = blamed;
        self.rewritten = rewritten;
        for note in notes {
            self.note(note);
        }
        judged
    }

    // Looks ----------------------------------------------------------------

    #[allow(clippy::inline_always)]
    #[inline(always)] // A part of `judge_read`.
    fn judge_header(
        &mut self,
        Identity { reader, .. }: Identity,
        hides: bool,
        flags: u32,
        start: &[u8],
    ) -> Judged {
        let Some(header) = self.sniffer.sniff(&self.encoding, flags, start) else {
            return Judged::PLAIN;
        };
        self.blamed.clear();
        let verdict = reader.verdict(header);
        let shown = if hides && verdict == Verdict::Unloadable {
            Shown::Hidden
        } else {
            Shown::AsIs
        };
        Judged::pickle(shown, Pickle::by_header(header, verdict))
    }

    /// Judges a value by all of it, or by its first bytes if it is not held.
    fn judge_held(
        &mut self,
        identity: Identity,
        whole: Whole,
        ValueStart { flags, bytes, len }: ValueStart<'_>,
    ) -> Judged {
        if self.is_held(len) {
            let value = &bytes[..len];
            if self.is_long(flags, value) {
                return Judged::unseen(Shown::Later);
            }
            return self.judge_whole(identity, whole, flags, value);
        }
        if whole.contains(Whole::THROUGH) {
            return Judged::unseen(Shown::Hidden);
        }
        let start = &bytes[..bytes.len().min(len)];
        let mut judged = self.judge_header(identity, false, flags, start);
        if let Some(pickle) = &mut judged.pickle {
            // What is too large to be looked at whole passes no firewall.
            if whole.intersects(Whole::FIREWALL) {
                pickle.verdict = Verdict::Unloadable;
                pickle.reason = Some(FIREWALL);
            }
            judged.shown = whole.shows(pickle);
        }
        judged
    }

    /// Judges a value by all of it, inflated for that.
    fn judge_whole(
        &mut self,
        Identity { space, reader }: Identity,
        whole: Whole,
        flags: u32,
        value: &[u8],
    ) -> Judged {
        let pickles = &self.snapshot.pickles;
        let encoding = &self.encoding;
        let plain = plain(&self.inflater, self.inflated, encoding, (flags, value));
        let header = match plain {
            // What was inflated needs no second look through zlib.
            Ok(bytes) => {
                let flags = flags & !encoding.compressed_flag;
                self.sniffer.sniff(encoding, flags, bytes)
            }
            Err(_) => self.sniffer.sniff(encoding, flags, value),
        };
        let Some(header) = header else {
            return Judged::PLAIN;
        };
        let snapshot = &self.snapshot;
        let pool = Pool {
            reader,
            inventory: snapshot.inventory(space),
        };
        // What it wrote itself needs no proof.
        let others = whole.contains(Whole::OTHERS);
        let written_in = if others { SpaceId::BARE } else { space };
        let Scanned {
            mut pickle,
            global,
            scan,
            note,
        } = Scanned::within(
            plain,
            (header, reader.verdict(header)),
            (&mut self.scanner, &pickles.extensions),
            pickles.firewall(whole),
            |scan| {
                scan.judge(pool.reader, pool.inventory)?;
                if others {
                    let writers = snapshot.writers(written_in);
                    scan.prove(pool, &scan.writer().among(writers))?;
                }
                Ok(())
            },
        );
        pickle.of_another = whole.contains(Whole::THROUGH);
        self.blamed.clear();
        if let Some((module, name)) = global {
            self.blamed.extend([module, ".", name]);
        }
        let mut shown = whole.shows(&pickle);
        let form = scan.and_then(|scan| whole.form(reader, &scan, &pickle));
        if let (Some(form), Ok(bytes)) = (form, plain) {
            let tools = (&mut self.transcoder, &mut self.scanner, &pickles.extensions);
            let done = form.and_then(|form| {
                let sides = (pool, snapshot.writers(written_in));
                rewrite(bytes, form, sides, tools, &mut self.rewritten)
            });
            match done {
                // Every client can read what is not compressed.
                Ok(()) => shown = Shown::Rewritten(flags & !encoding.compressed_flag),
                Err(reason) => pickle.no_form = Some(reason),
            }
        }
        if let Some(note) = note {
            self.note(note);
        }
        Judged::pickle(shown, pickle)
    }

    /// The worst that a header says to the readers of a key.
    fn verdict_of_all(&self, decision: Decision<'_>, header: Header) -> Verdict {
        let readers = self.snapshot.readers(decision.space);
        readers
            .map(|n| n.reader.verdict(header))
            .max_by_key(|verdict| *verdict == Verdict::Unloadable)
            .unwrap_or(Verdict::NotLookedAt)
    }

    /// Judges all of a value, inflated for that, for the readers of a key.
    fn judge_for_all(
        &mut self,
        (from, decision): (SpaceId, Decision<'_>),
        whole: Whole,
        by_header: (Header, Verdict),
        (flags, value): (u32, &[u8]),
    ) -> Pickle {
        let snapshot = &self.snapshot;
        let pickles = &snapshot.pickles;
        let Scanned { pickle, note, .. } = Scanned::within(
            plain(
                &self.inflater,
                self.inflated,
                &self.encoding,
                (flags, value),
            ),
            by_header,
            (&mut self.scanner, &pickles.extensions),
            pickles.firewall(whole),
            |scan| {
                let mut unsure = Ok(());
                for reader in snapshot.readers(decision.space).map(Namespace::pool) {
                    let mut judged = scan.judge(reader.reader, reader.inventory);
                    if whole.contains(Whole::OTHERS) {
                        let writers = scan.writer().among(snapshot.writers(from));
                        judged = judged.and_then(|()| scan.prove(reader, &writers));
                    }
                    match judged {
                        Err(reason) if reason.verdict() == Verdict::Unloadable => {
                            return Err(reason);
                        }
                        judged => unsure = unsure.and(judged),
                    }
                }
                unsure
            },
        );
        if let Some(note) = note {
            self.note(note);
        }
        pickle
    }

    /// Whether a look at all of a value would keep others waiting for too long. If
    /// not, it was inflated for the look.
    fn is_long(&mut self, flags: u32, value: &[u8]) -> bool {
        let limits = self.snapshot.pickles.inflate;
        if self.inline == Inline::ALL {
            // Whatever comes of it is told by the look.
            let _ = self.inflate(flags, value, limits);
            return false;
        }
        let most = self.inline.value_bytes;
        if value.len() > most.min(self.left) {
            return true;
        }
        let own = limits.most_of(value.len());
        let limits = InflateLimits {
            max_bytes: most.min(limits.max_bytes),
            ..limits
        };
        let bytes = match self.inflate(flags, value, limits) {
            Ok(bytes) => bytes,
            Err(InflateError::TooLarge(most)) if most < own => {
                self.left = self.left.saturating_sub(most);
                return true;
            }
            Err(_) => value.len(),
        };
        let is_long = bytes > self.left;
        self.left = self.left.saturating_sub(bytes);
        is_long
    }

    /// Inflates a value for a look, if it is compressed: what is looked at then.
    fn inflate(
        &mut self,
        flags: u32,
        value: &[u8],
        limits: InflateLimits,
    ) -> Result<usize, InflateError> {
        self.inflated = Ok(());
        if flags & self.encoding.compressed_flag == 0 {
            return Ok(value.len());
        }
        let inflated = self.inflater.inflate(value, limits).map(<[u8]>::len);
        self.inflated = inflated.map(|_| ());
        inflated
    }
}

/// A value as it was before its client compressed it, if it did.
pub(super) fn plain<'v>(
    inflater: &'v Inflater,
    done: Result<(), InflateError>,
    encoding: &Encoding,
    (flags, value): (u32, &'v [u8]),
) -> Result<&'v [u8], InflateError> {
    if flags & encoding.compressed_flag == 0 {
        Ok(value)
    } else {
        done.map(|()| inflater.inflated())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    const PICKLE: u32 = 1;
    /// `{'a': 1}` of protocol 4, which Python 2 gets in another form.
    const PROTOCOL_4: &[u8] = b"\x80\x04\x95\x0a\0\0\0\0\0\0\0}\x94\x8c\x01a\x94K\x01s.";
    /// A class that Python 2 has only from a backport.
    const ENUM: &[u8] = b"\x80\x02cenum\nEnum\nq\x00.";
    /// What every firewall refuses.
    const CALL: &[u8] = b"\x80\x02cos\nsystem\nU\x01a\x85R.";

    fn judge() -> Judge {
        let toml = "[upstream]\nservers = ['a:1']\n[[listeners]]\nlisten = '[::1]:1'\n\
                    runtime = 'py2'\n[limits]\nmax_value_bytes = 100";
        let config = Config::parse("test.toml", toml).unwrap();
        Judge::new(config.snapshot, Inline::ALL, Pause::NONE)
    }

    fn pickle(bytes: &[u8], len: usize) -> ValueStart<'_> {
        ValueStart {
            flags: PICKLE,
            bytes,
            len,
        }
    }

    fn python2(judge: &Judge) -> Identity {
        let namespace = &judge.snapshot.namespaces[0];
        assert_eq!(namespace.name.to_string(), "py2");
        Identity {
            space: SpaceId(1),
            reader: namespace.reader,
        }
    }

    #[test]
    fn a_look_had_apart_leaves_what_one_here_does() {
        let whole = Whole::HIDE | Whole::TRANSCODE | Whole::DENY | Whole::ENFORCE;
        let mut shown = Vec::new();
        for value in [PROTOCOL_4, ENUM, CALL, b"I1\n.", b"I1"] {
            let (mut here, mut apart, mut after) = (judge(), judge(), judge());
            let judge = |judge: &mut Judge| {
                let reader = python2(judge);
                judge.judge_read(reader, Look::Whole(whole), pickle(value, value.len()))
            };
            let judged = judge(&mut here);
            let findings = judge(&mut apart);
            let findings = apart.give(findings);
            assert_eq!(after.take(findings), judged);
            assert_eq!(after.blamed, here.blamed);
            assert_eq!(after.rewritten, here.rewritten);
            assert_eq!(after.take_notes(), here.take_notes());
            let reason = judged.pickle.and_then(|pickle| pickle.reason);
            shown.push((judged.shown, reason, here.blamed));
        }
        let blamed = |name: &str| name.to_owned();
        let expected = [
            (Shown::Rewritten(PICKLE), Some("protocol"), blamed("")),
            (Shown::AsIs, Some("doubtful_global"), blamed("enum.Enum")),
            (Shown::Hidden, Some(FIREWALL), blamed("")),
            (Shown::AsIs, None, blamed("")),
            (Shown::Hidden, Some(FIREWALL), blamed("")),
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_value_too_large_to_be_held_passes_no_firewall_that_counts() {
        let mut judge = judge();
        let reader = python2(&judge);
        for (whole, shown) in [
            (Whole::HIDE, Shown::AsIs),
            (Whole::HIDE | Whole::THROUGH, Shown::Hidden),
            (Whole::DENY, Shown::AsIs),
            (Whole::DENY | Whole::ENFORCE, Shown::Hidden),
        ] {
            let value = pickle(b"\x80\x02", 101);
            let judged = judge.judge_read(reader, Look::Whole(whole), value);
            assert_eq!(judged.shown, shown, "{whole:?}");
            let refused = judged.pickle.is_some_and(|p| p.reason == Some(FIREWALL));
            assert_eq!(refused, whole.contains(Whole::DENY), "{whole:?}");
        }
    }
}
