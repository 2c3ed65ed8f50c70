//! How a value is looked at on its way, as a rule says. The look itself, and what comes
//! of it, is in the files below.

pub(super) mod apart;
mod foresee;
pub(super) mod judge;
pub(super) mod judged;
mod scanned;
mod show;

pub use foresee::{Foreseen, foresee_read, foresee_write};
pub use judge::Inline;
pub use judged::{Action, Shown, Writer};

use crate::pickle::Firewall;
use crate::pickle::transcode::Py2Str;
use crate::policy::{Decision, Globals, Mode, OnUnloadableRead, Pickles, Rule, Sniff};

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
