//! The consequences of a rule, by who asks, whether the key is isolated, and the verb:
//! where it lives, what is looked at, what a miss and a failure lead to, and which
//! changes delete other copies. Compiled once per rule; whoever acts by a rule or tells
//! of one reads them here. Knows no key.

use super::rollout::{BUCKETS, Rollout};
use super::rule::{
    Coherence, Globals, Mode, OnStore, OnUnknownRead, OnUnloadableRead, OnUpstreamFailure, Rule,
    Sniff,
};
use crate::pickle::transcode::Py2Str;
use crate::protocol::request::Verb;

/// Consequences of one rule for a key of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// The mode that applies: guard for keys outside the rollout, observe for clients
    /// without a tag, and shared for all if the family is.
    pub mode: Mode,
    /// Inspection of values on their way to the reader that owns the copy.
    pub look: Look,
    /// Inspection of other namespaces' copies, offered to a reader that has none. Always
    /// of whole values, even if the rule inspects only the start of its own.
    pub through: Look,
    /// True if a store that some reader of its key cannot load is rejected.
    pub rejects: bool,
    /// True if a store is rejected unless all readers of its key are proved able to load it.
    pub rejects_unknown: bool,
    /// True if a delete also deletes the copies of other namespaces.
    pub deletes_reach: bool,
    /// Reach of other writes.
    stores_reach: Reach,
    /// Reach of writes that store only where nothing is, such as `add`.
    adds_reach: Reach,
    /// Handling of misses for a plain read; other verbs take part of it.
    on_miss: OnMiss,
}

/// Whether a write that took effect deletes the copies of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// Other copies stay.
    Never,
    /// Other copies go, unless the write fills a miss of the same client.
    UnlessFill,
    /// Other copies go.
    Always,
}

/// Kinds of writes: a change, or one that may turn out to be none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteKind {
    /// A `set`: it takes effect whatever is there, and may fill what was missed.
    Plain,
    /// An `add`: it may fill what was missed.
    Add,
    /// A write that needs a value to be there: it fills nothing.
    Conditional,
    /// A change by part of a value, which is no value by itself: an `append` or
    /// `prepend`.
    Part,
}

/// Depth to which a value is inspected on its way to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// No look.
    Away,
    /// Counted and served.
    Count,
    /// Counted, and a miss if the client cannot load it.
    Hide,
    /// Held whole and looked at from end to end.
    Whole(Whole),
}

bitflags::bitflags! {
    /// Consequences of inspecting a value whole.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Whole: u16 {
        /// Answer a miss if the client cannot load the value.
        const HIDE = 1;
        /// Transcode the value for the client before hiding it.
        const TRANSCODE = 1 << 1;
        /// A transcoded `str` becomes bytes.
        const STR_AS_BYTES = 1 << 2;
        /// The firewall's deny list counts.
        const DENY = 1 << 3;
        /// The firewall's allow list counts.
        const ALLOW = 1 << 4;
        /// Answer a miss for pickles that the firewall refuses; without this, only count
        /// them.
        const ENFORCE = 1 << 5;
        /// Hand out a copy of another namespace only if the client can load it.
        const THROUGH = 1 << 6;
        /// Answer a miss unless the client is proved able to load the value.
        const HIDE_UNKNOWN = 1 << 7;
        /// Other namespaces may have written the value, so that whether the client gets what
        /// they meant needs a proof.
        const OTHERS = 1 << 8;
        /// Flags of the firewall: a list applies.
        const FIREWALL = Self::DENY.bits() | Self::ALLOW.bits();
    }
}

bitflags::bitflags! {
    /// Handling of misses: what a retrieval does after one, and which answers become one.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct OnMiss: u8 {
        /// Remember the miss, so that a write that follows counts as its fill.
        const NOTE = 1;
        /// Ask for the copies of other namespaces.
        const THROUGH = 1 << 1;
        /// Answer a failure of the server as a miss, to this client only.
        const SOFT = 1 << 2;
    }
}

impl Plan {
    /// Compiles a rule for the keys that `mode` applies to.
    fn new(rule: &Rule, mode: Mode) -> Self {
        let isolates = mode == Mode::Isolate;
        let guards = mode >= Mode::Guard;
        let whole = whole(rule, mode);
        let hides = whole.contains(Whole::HIDE);
        let (deletes_reach, stores_reach) = match rule.coherence {
            // There is one copy for all.
            _ if mode == Mode::Shared => (false, Reach::Never),
            Coherence::None => (false, Reach::Never),
            Coherence::Deletes => (true, Reach::Never),
            Coherence::FillAware => (true, Reach::UnlessFill),
            Coherence::Strict => (true, Reach::Always),
        };
        let mut on_miss = OnMiss::empty();
        on_miss.set(OnMiss::NOTE, stores_reach == Reach::UnlessFill);
        on_miss.set(OnMiss::THROUGH, isolates && rule.read_through);
        let is_soft = rule.on_upstream_failure == OnUpstreamFailure::Miss;
        on_miss.set(OnMiss::SOFT, is_soft);
        Self {
            mode,
            look: match rule.sniff {
                _ if mode == Mode::Shared => Look::Away,
                Sniff::Off => Look::Away,
                Sniff::Header if hides => Look::Hide,
                Sniff::Header => Look::Count,
                Sniff::Full => Look::Whole(whole),
            },
            through: Look::Whole(whole | Whole::HIDE | Whole::THROUGH | Whole::OTHERS),
            rejects: guards && rule.on_unloadable_write == OnStore::Reject,
            rejects_unknown: guards && rule.on_unknown_write == OnStore::Reject,
            deletes_reach,
            stores_reach,
            // An `add` where nothing was changes no value. Deleting the others' copies would
            // also free the locks that other namespaces took by `add`.
            adds_reach: if isolates { Reach::Never } else { stores_reach },
            on_miss,
        }
    }

    /// Whether each namespace has a copy of its own.
    #[inline]
    pub fn isolates(&self) -> bool {
        self.mode == Mode::Isolate
    }

    /// Whether values are kept from whom they are not for.
    pub fn guards(&self) -> bool {
        self.mode >= Mode::Guard
    }

    /// Whether there may be other copies than the one that is read, by this rule or the
    /// one before it.
    #[inline]
    pub fn has_others(&self) -> bool {
        self.mode != Mode::Shared
    }

    /// Whether a write of this kind that took effect deletes the copies of others.
    #[inline]
    pub fn reach(&self, kind: WriteKind) -> Reach {
        match kind {
            WriteKind::Add => self.adds_reach,
            WriteKind::Plain | WriteKind::Conditional | WriteKind::Part => self.stores_reach,
        }
    }

    /// Whether a write of this kind fills what was missed a moment ago, which is then
    /// used up, also where it is refused.
    #[inline]
    pub fn fills(&self, kind: WriteKind) -> bool {
        self.on_miss.contains(OnMiss::NOTE) && matches!(kind, WriteKind::Plain | WriteKind::Add)
    }

    /// Handling of misses for a retrieval by `verb`.
    #[inline]
    pub fn on_miss(&self, verb: Verb) -> OnMiss {
        self.on_miss.intersection(match verb {
            Verb::Get | Verb::Mg => OnMiss::all(),
            // A CAS id is of the own copy only.
            Verb::Gets => OnMiss::NOTE.union(OnMiss::SOFT),
            // The verb may change the value. A failure then leaves it unknown, which is no
            // miss, and other copies must not be touched.
            _ => OnMiss::NOTE,
        })
    }

    /// Whether values pass without anybody knowing who can load them, since they are
    /// inspected in part or not at all.
    pub fn is_blind(&self) -> bool {
        self.has_others() && !matches!(self.look, Look::Whole(_))
    }
}

/// Consequences of inspecting a value whole under this rule.
fn whole(rule: &Rule, mode: Mode) -> Whole {
    let mut whole = Whole::empty();
    if mode == Mode::Shared {
        return whole;
    }
    let guards = mode >= Mode::Guard;
    let hides = rule.on_unloadable_read != OnUnloadableRead::Pass;
    let transcodes = guards && rule.on_unloadable_read == OnUnloadableRead::Transcode;
    let as_bytes = rule.py2_str == Py2Str::Bytes;
    whole.set(Whole::OTHERS, mode != Mode::Isolate);
    whole.set(Whole::HIDE, guards && hides);
    let hides_unknown = rule.on_unknown_read == OnUnknownRead::Miss;
    whole.set(Whole::HIDE_UNKNOWN, guards && hides_unknown);
    whole.set(Whole::TRANSCODE, transcodes);
    whole.set(Whole::STR_AS_BYTES, transcodes && as_bytes);
    whole.set(Whole::ENFORCE, guards && rule.globals != Globals::Any);
    whole.set(Whole::DENY, rule.globals == Globals::Deny);
    whole.set(Whole::ALLOW, rule.globals == Globals::Allow);
    whole
}

impl Look {
    /// Whether some values are hidden.
    #[inline]
    pub fn hides(self) -> bool {
        match self {
            Self::Away | Self::Count => false,
            Self::Hide => true,
            Self::Whole(whole) => {
                whole.intersects(Whole::HIDE | Whole::HIDE_UNKNOWN | Whole::ENFORCE)
            }
        }
    }

    /// Whether what is flagged as a pickle and is none is hidden.
    #[inline]
    pub fn hides_what_is_none(self) -> bool {
        matches!(self, Self::Whole(whole) if whole.contains(Whole::ENFORCE))
    }
}

impl OnMiss {
    /// Whether anything follows from a miss.
    pub fn acts(self) -> bool {
        self.intersects(Self::NOTE.union(Self::THROUGH))
    }
}

impl WriteKind {
    /// Kind of a store. Each mode of `ms` has a verb.
    pub fn of(verb: Verb) -> Self {
        match verb {
            Verb::Set => Self::Plain,
            Verb::Add => Self::Add,
            Verb::Append | Verb::Prepend => Self::Part,
            _ => Self::Conditional,
        }
    }
}

/// The plans of one rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plans {
    /// Plan for clients without a tag: they get all values, and nothing is kept from
    /// them.
    pub untagged: Plan,
    /// Plan for keys outside the rollout.
    pub outside: Plan,
    /// Plan for keys inside the rollout; equal to the other where nothing is isolated.
    pub inside: Plan,
    /// The keys that are isolated.
    rollout: Rollout,
}

impl Plans {
    /// Compiles a rule.
    pub fn new(rule: &Rule) -> Self {
        let (untagged, outside) = match rule.mode {
            Mode::Shared => (Mode::Shared, Mode::Shared),
            Mode::Observe => (Mode::Observe, Mode::Observe),
            Mode::Guard | Mode::Isolate => (Mode::Observe, Mode::Guard),
        };
        let isolates = rule.mode == Mode::Isolate;
        Self {
            untagged: Plan::new(rule, untagged),
            outside: Plan::new(rule, outside),
            inside: Plan::new(rule, rule.mode),
            rollout: if isolates {
                rule.rollout
            } else {
                Rollout::NONE
            },
        }
    }

    /// The plan for a key of a client that bears a tag.
    #[inline]
    pub fn of(&self, key: &[u8]) -> &Plan {
        if self.rollout.includes(key) {
            &self.inside
        } else {
            &self.outside
        }
    }

    /// Buckets of [`BUCKETS`] whose keys are isolated: those below this one.
    pub fn isolated(&self) -> u64 {
        u64::from(self.rollout.percent()) * BUCKETS / 100
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plans(mode: Mode, coherence: Coherence) -> Plans {
        Plans::new(&Rule {
            prefix: Box::default(),
            mode,
            rollout: Rollout::ALL,
            sniff: Sniff::Full,
            on_unloadable_read: OnUnloadableRead::Miss,
            on_unknown_read: OnUnknownRead::Serve,
            on_unloadable_write: OnStore::Reject,
            on_unknown_write: OnStore::Accept,
            on_upstream_failure: OnUpstreamFailure::Miss,
            coherence,
            globals: Globals::Deny,
            py2_str: Py2Str::Text,
            read_through: true,
        })
    }

    #[test]
    fn an_add_of_an_isolated_key_leaves_the_copies_of_others() {
        for (coherence, stores) in [
            (Coherence::None, Reach::Never),
            (Coherence::Deletes, Reach::Never),
            (Coherence::FillAware, Reach::UnlessFill),
            (Coherence::Strict, Reach::Always),
        ] {
            let plans = plans(Mode::Isolate, coherence);
            assert_eq!(plans.inside.reach(WriteKind::Add), Reach::Never);
            assert_eq!(plans.outside.reach(WriteKind::Add), stores);
            assert_eq!(plans.inside.reach(WriteKind::Conditional), stores);
            // It is what was missed all the same.
            let fills = coherence == Coherence::FillAware;
            assert_eq!(plans.inside.fills(WriteKind::Add), fills);
            assert!(!plans.inside.fills(WriteKind::Part));
        }
    }

    #[test]
    fn only_reads_that_change_nothing_end_as_misses_of_a_failed_server() {
        let plan = plans(Mode::Isolate, Coherence::FillAware).inside;
        for &verb in Verb::ALL {
            let on_miss = plan.on_miss(verb);
            let is_read = matches!(verb, Verb::Get | Verb::Gets | Verb::Mg);
            assert_eq!(on_miss.contains(OnMiss::SOFT), is_read, "{verb:?}");
            let is_plain = matches!(verb, Verb::Get | Verb::Mg);
            assert_eq!(on_miss.contains(OnMiss::THROUGH), is_plain, "{verb:?}");
        }
    }

    #[test]
    fn nothing_is_kept_from_those_without_a_tag() {
        let plan = plans(Mode::Isolate, Coherence::Strict).untagged;
        assert!(!plan.isolates() && !plan.rejects && !plan.look.hides());
        // What they write reaches the copies of those with one.
        assert!(plan.deletes_reach);
        assert_eq!(plan.reach(WriteKind::Plain), Reach::Always);
    }
}
