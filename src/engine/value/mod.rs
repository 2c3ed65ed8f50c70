//! The look at a value on its way: at its first bytes, or at all of it. Says what
//! becomes of it and counts that; sends nothing.

pub(super) mod apart;
mod foresee;

pub use foresee::{Foreseen, foresee_read, foresee_write};

use std::sync::Arc;

use super::counts::{Action, Direction, Tally, Writer, place_of};
use crate::pickle::transcode::{Form, Pool, Py2Str, Refusal, Transcoder};
use crate::pickle::{
    self, Broken, Encoding, Extensions, Firewall, Header, InflateError, InflateLimits, Inflater,
    Pause, Reason, Scan, Scanner, Sniffer, Verdict,
};
use crate::policy::{
    Decision, Globals, Identity, Mode, OnUnloadableRead, OnUnloadableWrite, Pickles, Rule,
    Snapshot, Sniff, SpaceId,
};

/// As metrics name the reasons that are no [`Reason`], and the one that a header gives.
const PROTOCOL: &str = "protocol";
const FIREWALL: &str = "firewall";
const BROKEN: &str = "broken";
/// Refusals of the firewall that wait to be logged, at most.
const MAX_NOTES: usize = 8;

/// How a value is looked at on its way to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// Not at all.
    Away,
    /// Counted and served.
    Count,
    /// Counted, and a miss if the client cannot load it.
    Hide,
    /// Held whole and looked at from end to end.
    Whole(Whole),
}

bitflags::bitflags! {
    /// What becomes of a value that was looked at whole.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Whole: u8 {
        /// It is a miss if the client cannot load it.
        const HIDE = 1;
        /// It is transcoded before that.
        const TRANSCODE = 1 << 1;
        /// A transcoded `str` becomes bytes.
        const STR_AS_BYTES = 1 << 2;
        /// The firewall's deny list counts.
        const DENY = 1 << 3;
        /// The firewall's allow list counts.
        const ALLOW = 1 << 4;
        /// What the firewall refuses is a miss; else, it is only counted.
        const ENFORCE = 1 << 5;
        /// It is another reader's copy: nobody gets it unless it is loadable.
        const THROUGH = 1 << 6;
        /// One of the lists counts.
        const FIREWALL = Self::DENY.bits() | Self::ALLOW.bits();
    }
}

impl Look {
    /// How a rule has values looked at on their way to a reader.
    #[inline]
    pub fn of(Decision { rule, mode, .. }: Decision<'_>) -> Self {
        match rule.sniff {
            Sniff::Off => Self::Away,
            Sniff::Header if hides(rule, mode) => Self::Hide,
            Sniff::Header => Self::Count,
            Sniff::Full => Self::Whole(Self::whole(rule, mode)),
        }
    }

    fn whole(rule: &Rule, mode: Mode) -> Whole {
        let guarded = is_guarded(mode);
        let transcodes = rule.on_unloadable_read == OnUnloadableRead::Transcode;
        let mut whole = Whole::empty();
        whole.set(Whole::HIDE, hides(rule, mode));
        whole.set(Whole::ENFORCE, guarded && rule.globals != Globals::Any);
        whole.set(Whole::TRANSCODE, guarded && transcodes);
        whole.set(Whole::STR_AS_BYTES, rule.py2_str == Py2Str::Bytes);
        whole.set(Whole::DENY, rule.globals == Globals::Deny);
        whole.set(Whole::ALLOW, rule.globals == Globals::Allow);
        whole
    }

    /// How the copies of others are looked at for a reader that has none: whole,
    /// whatever the rule says of its own.
    #[cold]
    pub fn through(Decision { rule, mode, .. }: Decision<'_>) -> Self {
        Self::Whole(Self::whole(rule, mode) | Whole::HIDE | Whole::THROUGH)
    }

    /// Whether some values are hidden.
    pub fn hides(self) -> bool {
        match self {
            Self::Away | Self::Count => false,
            Self::Hide => true,
            Self::Whole(whole) => whole.intersects(Whole::HIDE | Whole::ENFORCE),
        }
    }
}

impl Look {
    /// Whether what is flagged as a pickle and is none is hidden.
    pub fn hides_what_is_none(self) -> bool {
        matches!(self, Self::Whole(whole) if whole.contains(Whole::ENFORCE))
    }
}

impl Whole {
    /// The list that counts.
    fn firewall(self, pickles: &Pickles) -> Option<&Firewall> {
        if self.contains(Self::ALLOW) {
            Some(&pickles.allow)
        } else {
            self.contains(Self::DENY).then_some(&pickles.deny)
        }
    }
}

/// Whether values are kept from whom they are not for.
#[inline]
fn is_guarded(mode: Mode) -> bool {
    matches!(mode, Mode::Guard | Mode::Isolate)
}

/// Whether a rule hides what its reader cannot load.
#[inline]
fn hides(rule: &Rule, mode: Mode) -> bool {
    is_guarded(mode) && rule.on_unloadable_read != OnUnloadableRead::Pass
}

/// What the client gets to see of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// All of it.
    AsIs,
    /// Nothing.
    Hidden,
    /// `Looker::rewritten` in its place, with these client flags.
    Rewritten(u32),
    /// Nothing yet: the look would keep others waiting. It was not counted, and has
    /// to be had apart.
    Later,
}

/// What a look at a value on its way in says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admitted {
    /// It may be stored.
    Accepted,
    /// A reader of its key could not load it, for this reason.
    Rejected(&'static str),
    /// As [`Shown::Later`].
    Later,
}

/// How much is looked at among other work, in bytes as they are when inflated.
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

/// What a look at a whole value counts for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    protocol: Option<u8>,
    writer: Writer,
    verdict: Verdict,
    /// Why it is not loadable.
    reason: Option<&'static str>,
    /// Why it has no other form, if one was wanted.
    no_form: Option<&'static str>,
    /// What is done with it; nobody asked for it if nothing is.
    action: Option<Action>,
}

impl Found {
    /// Counts a value on its way to a reader.
    fn count(self, tally: &mut Tally, reader: SpaceId) {
        if let Some(reason) = self.reason {
            tally.not_loadable(reader, Direction::Read, reason);
        }
        if let Some(reason) = self.no_form {
            tally.not_transcoded(reader, reason);
        }
        if let Some(action) = self.action {
            tally.read(reader, self.protocol, self.writer, self.verdict, action);
        }
    }
}

/// What a look at a value on its way in counts for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Written {
    protocol: Option<u8>,
    /// Why some reader cannot load it.
    reason: Option<&'static str>,
    rejects: bool,
}

impl Written {
    /// Counts a value of a writer, and says what becomes of it.
    pub(super) fn count(self, tally: &mut Tally, writer: SpaceId) -> Admitted {
        tally.write(writer, self.protocol);
        let Some(reason) = self.reason else {
            return Admitted::Accepted;
        };
        tally.not_loadable(writer, Direction::Write, reason);
        if !self.rejects {
            return Admitted::Accepted;
        }
        tally.rejected(writer, reason);
        Admitted::Rejected(reason)
    }
}

/// What is known of a value that was looked at whole.
struct Scanned<'f> {
    protocol: Option<u8>,
    writer: Writer,
    verdict: Verdict,
    /// Why it is not loadable; what the firewall refuses is so for everybody.
    reason: Option<&'static str>,
    /// The module and the name that are to blame for that.
    global: Option<(&'f str, &'f str)>,
    scan: Option<Scan<'f>>,
    /// What the firewall has to say.
    note: Option<String>,
}

impl<'f> Scanned<'f> {
    /// Scans a value that was inflated, if it could be. Where it could not, or is no
    /// whole pickle, what its header says for certain still holds.
    fn within(
        plain: Result<&'f [u8], InflateError>,
        (header, by_header): (Header, Verdict),
        (scanner, extensions): (&'f mut Scanner, &'f Extensions),
        firewall: Option<&Firewall>,
        judge: impl FnOnce(&Scan<'f>) -> Result<(), Reason<'f>>,
    ) -> Self {
        let found = match plain {
            Ok(pickle) => Self::of(scanner.scan(pickle, extensions), firewall, judge),
            Err(error) => Self::unreadable((error.verdict(), error.name()), &error, firewall),
        };
        if found.scan.is_none() && firewall.is_none() && by_header == Verdict::Unloadable {
            return Self {
                protocol: header.protocol,
                writer: Writer::of_protocol(header.protocol),
                verdict: by_header,
                reason: Some(PROTOCOL),
                ..found
            };
        }
        found
    }

    /// By the scan; what is no pickle passes no firewall.
    fn of(
        scanned: Result<Scan<'f>, Broken>,
        firewall: Option<&Firewall>,
        judge: impl FnOnce(&Scan<'f>) -> Result<(), Reason<'f>>,
    ) -> Self {
        let scan = match scanned {
            Ok(scan) => scan,
            Err(broken) => {
                return Self::unreadable((Verdict::Unknown, BROKEN), &broken, firewall);
            }
        };
        let refused = firewall.and_then(|firewall| firewall.check(&scan).err());
        let (verdict, reason, global) = match refused {
            Some(_) => (Verdict::Unloadable, Some(FIREWALL), None),
            None => judge(&scan).map_or_else(
                |reason| (reason.verdict(), Some(reason.name()), reason.global()),
                |()| (Verdict::Loadable, None, None),
            ),
        };
        Self {
            protocol: Some(scan.declared_protocol().max(scan.effective_protocol())),
            writer: scan.writer().into(),
            verdict,
            reason,
            global,
            scan: Some(scan),
            note: refused.map(|refused| refused.to_string()),
        }
    }

    fn unreadable(
        (verdict, reason): (Verdict, &'static str),
        why: &dyn std::fmt::Display,
        firewall: Option<&Firewall>,
    ) -> Self {
        let (verdict, reason) = match firewall {
            Some(_) => (Verdict::Unloadable, FIREWALL),
            None => (verdict, reason),
        };
        Self {
            protocol: None,
            writer: Writer::Unknown,
            verdict,
            reason: Some(reason),
            global: None,
            scan: None,
            note: firewall.map(|_| format!("firewall: {why}")),
        }
    }
}

/// What the last look at a value found.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// The place of its protocol among all, if it was a pickle.
    pub(super) protocol: Option<usize>,
    /// Why it was not loadable, or not looked at.
    pub(super) reason: Option<&'static str>,
    /// It was a pickle, and not all of it was looked at.
    pub(super) not_looked_at: bool,
    /// What it names that is to blame, or nothing.
    pub(super) global: String,
}

impl Seen {
    /// What is no pickle, or was not looked at.
    #[inline]
    fn nothing(&mut self) {
        self.protocol = None;
        self.reason = None;
        self.not_looked_at = false;
    }

    fn pickle(&mut self, protocol: Option<u8>, verdict: Verdict, reason: Option<&'static str>) {
        self.protocol = Some(place_of(protocol));
        self.reason = reason;
        self.not_looked_at = verdict == Verdict::NotLookedAt;
        self.global.clear();
    }

    fn blame(&mut self, global: Option<(&str, &str)>) {
        if let Some((module, name)) = global {
            self.global.push_str(module);
            self.global.push('.');
            self.global.push_str(name);
        }
    }
}

/// Looks at the values of a worker; keeps the memory for it.
#[derive(Debug)]
pub struct Looker {
    snapshot: Arc<Snapshot>,
    /// How clients mark pickles.
    encoding: Encoding,
    sniffer: Sniffer,
    inflater: Inflater,
    scanner: Scanner,
    transcoder: Transcoder,
    /// What came of inflating the value that is looked at, if it was compressed.
    inflated: Result<(), InflateError>,
    inline: Inline,
    /// Bytes that may still be looked at before the clock is.
    left: usize,
    /// What the last look found.
    pub(super) seen: Seen,
    /// A transcoded value.
    pub(super) rewritten: Vec<u8>,
    /// What the firewall refused so far.
    refused: u64,
    /// The refusals that are worth a line in the log: the first, the second, the
    /// fourth, ... of this worker.
    notes: Vec<String>,
}

impl Looker {
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
            seen: Seen::default(),
            rewritten: Vec::new(),
            refused: 0,
            notes: Vec::new(),
        }
    }

    /// How many namespaces there are.
    pub fn namespaces(&self) -> usize {
        self.snapshot.namespaces.len()
    }

    /// The clock was looked at.
    #[inline]
    pub(super) fn begin_turn(&mut self) {
        self.left = self.inline.turn_bytes;
    }

    /// How many of the bytes after a value's line a look at it needs: its first
    /// ones, or all and its line end.
    pub fn bytes_needed(&self, look: Look, flags: u32, len: usize) -> usize {
        match look {
            Look::Away => 0,
            // Most values are told by their flags alone.
            _ if !self.encoding.may_be_pickle(flags) => 0,
            Look::Whole(_) if len <= self.snapshot.max_value_bytes => len + 2,
            _ => self.encoding.bytes_needed(flags, len),
        }
    }

    /// Whether a value is held until it is whole.
    fn is_held(&self, flags: u32, len: usize) -> bool {
        len <= self.snapshot.max_value_bytes && self.encoding.may_be_pickle(flags)
    }

    /// The value that takes the place of one that was [`Shown::Rewritten`].
    pub fn rewritten(&self) -> &[u8] {
        &self.rewritten
    }

    /// Takes the lines for the log.
    pub fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    #[cold]
    pub(super) fn note(&mut self, note: String) {
        self.refused += 1;
        if self.refused.is_power_of_two() && self.notes.len() < MAX_NOTES {
            self.notes.push(note);
        }
    }

    /// Looks at a value on its way to a client, and counts it. `start` holds the
    /// [`Looker::bytes_needed`] of a value of `len` bytes.
    // Once for each value: a call would take as many instructions as the look.
    #[allow(clippy::inline_always)]
    #[inline(always)]
    pub fn read(
        &mut self,
        tally: &mut Tally,
        identity: Identity,
        look: Look,
        (flags, start, len): (u32, &[u8], usize),
    ) -> Shown {
        self.seen.nothing();
        if !self.encoding.may_be_pickle(flags) {
            return Shown::AsIs;
        }
        let hides = match look {
            Look::Away => return Shown::AsIs,
            Look::Count => false,
            Look::Hide => true,
            Look::Whole(whole) => {
                return self.read_with(tally, identity, whole, (flags, start, len));
            }
        };
        let start = &start[..start.len().min(len)];
        let Some(header) = self.sniffer.sniff(&self.encoding, flags, start) else {
            return Shown::AsIs;
        };
        let verdict = identity.reader.verdict(header);
        if let Some(reason) = header_reason(verdict) {
            self.seen.pickle(header.protocol, verdict, Some(reason));
            return not_loadable(tally, identity, header, verdict, hides, reason);
        }
        self.seen.pickle(header.protocol, verdict, None);
        let writer = Writer::of_protocol(header.protocol);
        tally.read(
            identity.space,
            header.protocol,
            writer,
            verdict,
            Action::Served,
        );
        Shown::AsIs
    }

    /// Looks at a value whole, or at its first bytes if it is not held.
    fn read_with(
        &mut self,
        tally: &mut Tally,
        identity: Identity,
        whole: Whole,
        (flags, start, len): (u32, &[u8], usize),
    ) -> Shown {
        if self.is_held(flags, len) {
            let value = &start[..len];
            if self.is_long(flags, value) {
                return Shown::Later;
            }
            let (shown, found) = self.read_whole(identity, whole, flags, value);
            if let Some(found) = found {
                found.count(tally, identity.space);
            }
            return shown;
        }
        if whole.contains(Whole::THROUGH) && self.encoding.may_be_pickle(flags) {
            return Shown::Hidden;
        }
        if !whole.intersects(Whole::FIREWALL) {
            let look = if whole.contains(Whole::HIDE) {
                Look::Hide
            } else {
                Look::Count
            };
            return self.read(tally, identity, look, (flags, start, len));
        }
        // What is too large to be looked at whole passes no firewall.
        let start = &start[..start.len().min(len)];
        match self.sniffer.sniff(&self.encoding, flags, start) {
            None => Shown::AsIs,
            Some(header) => {
                let (verdict, hides) = (Verdict::Unloadable, whole.contains(Whole::ENFORCE));
                not_loadable(tally, identity, header, verdict, hides, FIREWALL)
            }
        }
    }

    /// Counts what a look of its own that was had apart came to, as if the value had
    /// just been looked at.
    #[cold]
    pub(super) fn count(&mut self, tally: &mut Tally, reader: SpaceId, judged: &mut Judged) {
        std::mem::swap(&mut self.seen, &mut judged.seen);
        std::mem::swap(&mut self.rewritten, &mut judged.rewritten);
        for note in std::mem::take(&mut judged.notes) {
            self.note(note);
        }
        if let Some(found) = judged.found {
            found.count(tally, reader);
        }
    }

    /// What a value that nobody asked for is to a reader: as [`Looker::read`], but
    /// counts nothing.
    pub fn probe(
        &mut self,
        identity: Identity,
        look: Look,
        (flags, start, len): (u32, &[u8], usize),
    ) -> Shown {
        let hidden = match look {
            Look::Whole(whole) if self.is_held(flags, len) => {
                let value = &start[..len];
                if self.is_long(flags, value) {
                    return Shown::Later;
                }
                return self.read_whole(identity, whole, flags, value).0;
            }
            _ => {
                let start = &start[..start.len().min(len)];
                let header = self.sniffer.sniff(&self.encoding, flags, start);
                header.is_some_and(|header| match look {
                    Look::Whole(whole) if whole.intersects(Whole::FIREWALL) => {
                        whole.contains(Whole::ENFORCE)
                    }
                    _ => look.hides() && identity.reader.verdict(header) == Verdict::Unloadable,
                })
            }
        };
        if hidden { Shown::Hidden } else { Shown::AsIs }
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

    /// Looks at all of a value, inflated for that: what the reader gets, and what
    /// that counts for if it is a pickle.
    fn read_whole(
        &mut self,
        identity: Identity,
        whole: Whole,
        flags: u32,
        value: &[u8],
    ) -> (Shown, Option<Found>) {
        let snapshot = &self.snapshot;
        let (space, reader) = (identity.space, identity.reader);
        let pickles = &snapshot.pickles;
        let plain = plain(
            &self.inflater,
            self.inflated,
            &self.encoding,
            (flags, value),
        );
        let (encoding, sniffer) = (&self.encoding, &mut self.sniffer);
        let header = match plain {
            // What was inflated needs no second look through zlib.
            Ok(pickle) => sniffer.sniff(encoding, flags & !encoding.compressed_flag, pickle),
            Err(_) => sniffer.sniff(encoding, flags, value),
        };
        let Some(header) = header else {
            return (Shown::AsIs, None);
        };
        let inventory = snapshot.inventory(space);
        let Scanned {
            protocol,
            writer,
            verdict,
            reason,
            global,
            scan,
            note,
        } = Scanned::within(
            plain,
            (header, reader.verdict(header)),
            (&mut self.scanner, &pickles.extensions),
            whole.firewall(pickles),
            |scan| scan.judge(reader, inventory),
        );
        self.seen.pickle(protocol, verdict, reason);
        self.seen.blame(global);
        let through = whole.contains(Whole::THROUGH);
        let refused = reason == Some(FIREWALL);
        let py2_str = if whole.contains(Whole::STR_AS_BYTES) {
            Py2Str::Bytes
        } else {
            Py2Str::Text
        };
        let wants = |scan: &Scan<'_>| {
            let as_bytes = py2_str == Py2Str::Bytes && scan.writer() == pickle::Writer::Python2;
            whole.contains(Whole::TRANSCODE)
                && !refused
                && (verdict == Verdict::Unloadable || as_bytes && reader.is_python3())
        };
        let form = scan
            .filter(wants)
            .map(|scan| Form::of(reader, &scan, py2_str));
        let mut no_form = None;
        let transcoded = match (form, plain) {
            (Some(form), Ok(pickle)) => {
                let pool = Pool { reader, inventory };
                let rewritten = &mut self.rewritten;
                let done = form.ok_or("writer").and_then(|form| {
                    let done = self.transcoder.transcode(pickle, form, &pool, rewritten);
                    done.map_err(Refusal::name)?;
                    // Whatever it is now, it must be a pickle, and none that the
                    // reader surely cannot load.
                    let again = self.scanner.scan(rewritten, &pickles.extensions);
                    let found = Scanned::of(again, None, |scan| scan.judge(reader, inventory));
                    let refused = found.verdict == Verdict::Unloadable || found.scan.is_none();
                    found.reason.filter(|_| refused).map_or(Ok(()), Err)
                });
                no_form = done.err();
                done.is_ok()
            }
            _ => false,
        };
        if let Some(note) = note {
            self.note(note);
        }
        let hiding = if refused { Whole::ENFORCE } else { Whole::HIDE };
        let (action, shown) = match verdict {
            _ if transcoded => {
                // Every client can read what is not compressed.
                let flags = flags & !self.encoding.compressed_flag;
                (Some(Action::Transcoded), Shown::Rewritten(flags))
            }
            Verdict::Loadable if through => (Some(Action::ReadThrough), Shown::AsIs),
            // Nobody asked for this copy.
            _ if through => (None, Shown::Hidden),
            Verdict::Unloadable if whole.contains(hiding) => (Some(Action::Hidden), Shown::Hidden),
            _ => (Some(Action::Served), Shown::AsIs),
        };
        let found = Found {
            protocol,
            writer,
            verdict,
            reason: reason.filter(|_| !through),
            no_form,
            action,
        };
        (shown, Some(found))
    }

    /// Looks at a value on its way in, and counts it.
    pub fn write(
        &mut self,
        tally: &mut Tally,
        writer: Identity,
        decision: Decision<'_>,
        (flags, value): (u32, &[u8]),
    ) -> Admitted {
        self.seen.nothing();
        let look = Look::of(decision);
        if look == Look::Away {
            return Admitted::Accepted;
        }
        let Some(header) = self.sniffer.sniff(&self.encoding, flags, value) else {
            return Admitted::Accepted;
        };
        if matches!(look, Look::Whole(_)) && self.is_long(flags, value) {
            return Admitted::Later;
        }
        let written = self.write_pickle(decision, header, (flags, value));
        written.count(tally, writer.space)
    }

    /// Looks at a pickle on its way in, inflated for that if all of it is looked at.
    fn write_pickle(
        &mut self,
        decision: Decision<'_>,
        header: Header,
        (flags, value): (u32, &[u8]),
    ) -> Written {
        let Decision { rule, mode, space } = decision;
        let look = Look::of(decision);
        let snapshot = &self.snapshot;
        let verdicts = snapshot.readers(space).map(|n| n.reader.verdict(header));
        let by_header = verdicts
            .max_by_key(|verdict| *verdict == Verdict::Unloadable)
            .unwrap_or(Verdict::NotLookedAt);
        let (protocol, verdict, reason) = if let Look::Whole(whole) = look {
            let pickles = &snapshot.pickles;
            let Scanned {
                protocol,
                verdict,
                reason,
                note,
                ..
            } = Scanned::within(
                plain(
                    &self.inflater,
                    self.inflated,
                    &self.encoding,
                    (flags, value),
                ),
                (header, by_header),
                (&mut self.scanner, &pickles.extensions),
                whole.firewall(pickles),
                |scan| {
                    let mut unsure = Ok(());
                    for n in snapshot.readers(space) {
                        match scan.judge(n.reader, n.inventory.as_deref()) {
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
            (protocol, verdict, reason)
        } else {
            (header.protocol, by_header, header_reason(by_header))
        };
        self.seen.pickle(protocol, verdict, reason);
        Written {
            protocol,
            reason,
            rejects: is_guarded(mode)
                && rule.on_unloadable_write == OnUnloadableWrite::Reject
                && verdict == Verdict::Unloadable,
        }
    }
}

/// What a look that was had apart came to.
#[derive(Debug)]
pub(super) struct Judged {
    pub(super) shown: Shown,
    found: Option<Found>,
    /// Of a value on its way in.
    pub(super) written: Option<Written>,
    pub(super) seen: Seen,
    rewritten: Vec<u8>,
    pub(super) notes: Vec<String>,
}

impl Looker {
    /// Looks at all of a value on its way to a reader, and counts nothing.
    pub(super) fn judge_read(
        &mut self,
        identity: Identity,
        look: Look,
        (flags, value): (u32, &[u8]),
    ) -> Judged {
        self.seen.nothing();
        let (shown, found) = match look {
            Look::Whole(whole) => {
                // Whatever comes of it is told by the look.
                let _ = self.inflate(flags, value, self.snapshot.pickles.inflate);
                self.read_whole(identity, whole, flags, value)
            }
            Look::Away | Look::Count | Look::Hide => (Shown::AsIs, None),
        };
        let mut judged = self.judged(shown, None);
        judged.found = found;
        judged
    }

    /// Looks at all of a value on its way in, and counts nothing.
    pub(super) fn judge_write(
        &mut self,
        decision: Decision<'_>,
        (flags, value): (u32, &[u8]),
    ) -> Judged {
        self.seen.nothing();
        // Whatever comes of it is told by the look.
        let _ = self.inflate(flags, value, self.snapshot.pickles.inflate);
        let header = self.sniffer.sniff(&self.encoding, flags, value);
        let written = header.map(|header| self.write_pickle(decision, header, (flags, value)));
        self.judged(Shown::AsIs, written)
    }

    fn judged(&mut self, shown: Shown, written: Option<Written>) -> Judged {
        let rewritten = match shown {
            Shown::Rewritten(_) => std::mem::take(&mut self.rewritten),
            Shown::AsIs | Shown::Hidden | Shown::Later => Vec::new(),
        };
        Judged {
            shown,
            found: None,
            written,
            seen: std::mem::take(&mut self.seen),
            rewritten,
            notes: std::mem::take(&mut self.notes),
        }
    }

    /// Whether it looks as this snapshot says.
    pub(super) fn is_of(&self, snapshot: &Arc<Snapshot>) -> bool {
        Arc::ptr_eq(&self.snapshot, snapshot)
    }
}

/// A value as it was before its client compressed it, if it did.
fn plain<'v>(
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

/// Counts a value that its first bytes speak against.
#[cold]
fn not_loadable(
    tally: &mut Tally,
    identity: Identity,
    header: Header,
    verdict: Verdict,
    hides: bool,
    reason: &'static str,
) -> Shown {
    tally.not_loadable(identity.space, Direction::Read, reason);
    let (action, shown) = if hides && verdict == Verdict::Unloadable {
        (Action::Hidden, Shown::Hidden)
    } else {
        (Action::Served, Shown::AsIs)
    };
    let writer = Writer::of_protocol(header.protocol);
    tally.read(identity.space, header.protocol, writer, verdict, action);
    shown
}

/// As metrics name the reason that a header gives, if it gives one.
fn header_reason(verdict: Verdict) -> Option<&'static str> {
    match verdict {
        Verdict::Unloadable => Some(PROTOCOL),
        Verdict::Unknown => Some(BROKEN),
        Verdict::Loadable | Verdict::NotLookedAt => None,
    }
}
