//! The hazards of a step: what they are, why, and what to do instead. Compares nothing.

use std::fmt;

use crate::config::Word as _;
use crate::policy::{Coherence, Mode, Rule};

/// One of the two configurations that sidecars run during a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// The one that is left.
    Old,
    /// The one that is taken.
    New,
}

/// A hazard that may leave somebody with a stale value, or surprise. Its display says
/// what is wrong, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hazard {
    what: String,
    remedy: String,
    is_refused: bool,
}

impl Hazard {
    /// Tells whether the step is not to be taken.
    pub fn is_refused(&self) -> bool {
        self.is_refused
    }

    /// Says what to do instead, or beside it.
    pub fn remedy(&self) -> &str {
        &self.remedy
    }

    fn refused(what: String, remedy: impl Into<String>) -> Self {
        Self {
            what,
            remedy: remedy.into(),
            is_refused: true,
        }
    }

    fn warning(what: String, remedy: impl Into<String>) -> Self {
        Self {
            is_refused: false,
            ..Self::refused(what, remedy)
        }
    }

    // Families of keys -----------------------------------------------------

    /// A family isolates, and no delete reaches another copy.
    pub(super) fn uncovered(family: &str) -> Self {
        Self::refused(
            format!(
                "{family}: isolates with coherence \"none\": a delete leaves the copies of the \
                 other namespaces"
            ),
            "coherence = \"fill-aware\"",
        )
    }

    /// Other copies are read than before, and the deletes of one side, which has this
    /// rule, do not reach those of the other.
    pub(super) fn unreached(family: &str, side: Side, rule: &Rule) -> Self {
        let other = side.other();
        let why = match rule.mode {
            Mode::Shared => "mode \"shared\"".to_owned(),
            _ => format!("coherence \"{}\"", rule.coherence.word()),
        };
        let remedy = match side {
            Side::Old => {
                "first let deletes reach every copy while the keys stay where they are \
                 (mode = \"guard\" if it is shared, coherence = \"fill-aware\"), on every \
                 sidecar; then move them"
            }
            Side::New => {
                "first move the keys while deletes reach every copy (mode = \"guard\", \
                 coherence as it is), on every sidecar; then change that"
            }
        };
        Self::refused(
            format!(
                "{family}: other copies are read than before, and deletes through sidecars \
                 on the {side} configuration ({why}) do not reach those of the {other} one"
            ),
            remedy,
        )
    }

    /// Other copies are read than before, and the writes of one side do not reach those
    /// of the other.
    pub(super) fn unwritten(family: &str, side: Side) -> Self {
        let other = side.other();
        Self::warning(
            format!(
                "{family}: other copies are read than before, and writes through sidecars on \
                 the {side} configuration (coherence \"deletes\") do not reach those of the \
                 {other} one: they may be older"
            ),
            "first coherence = \"fill-aware\" on every sidecar; move the keys once what \
             was stored before has expired",
        )
    }

    /// A rule promises less.
    pub(super) fn weaker(family: &str, old: Coherence, new: Coherence) -> Self {
        let less = match new {
            Coherence::None => "deletes leave the other copies",
            Coherence::Deletes => "writes leave the other copies, which are then older",
            _ => "writes that follow a miss leave the other copies",
        };
        let (old, new) = (old.word(), new.word());
        Self::warning(
            format!("{family}: coherence \"{old}\" -> \"{new}\": {less}"),
            format!("coherence = \"{old}\", as it was"),
        )
    }

    /// A rule promises more, and what was stored under the old promise stays: these
    /// changes did not reach it.
    pub(super) fn left_behind(family: &str, missed: &str) -> Self {
        Self::warning(
            format!(
                "{family}: copies that {missed} did not reach so far may be there, older than \
                 the last change"
            ),
            "before keys of it move: wait until what was stored has expired; for moves into \
             namespaces, raising every epoch does as well",
        )
    }

    // Namespaces -----------------------------------------------------------

    /// A namespace is to read copies that were left behind.
    pub(super) fn lowered(namespace: &str, from: u64, to: u64) -> Self {
        Self::refused(
            format!(
                "namespace {namespace}: epoch {from} -> {to}: the copies that it was raised to \
                 leave behind are read again"
            ),
            format!("go on to an epoch that was never used: {}", from + 1),
        )
    }

    /// The new side reads copies that the deletes of the old side, which reads the epoch
    /// before, do not reach.
    pub(super) fn unprepared(namespace: &str, epoch: u64, before: u64) -> Self {
        Self::refused(
            format!(
                "namespace {namespace}: reads copies of epoch {epoch}, which deletes through \
                 sidecars on the old configuration do not reach"
            ),
            format!(
                "first add {epoch} to also_invalidate, on every sidecar; then epoch = {epoch} \
                 and {before} in also_invalidate"
            ),
        )
    }

    /// The new side reads copies of a namespace that the old side does not know.
    pub(super) fn unannounced(namespace: &str) -> Self {
        Self::refused(
            format!(
                "namespace {namespace}: is new and read at once, and deletes through sidecars \
                 on the old configuration do not reach its copies"
            ),
            "first add it where nobody reads it, on every sidecar: without listeners for \
             its runtimes, or behind the namespace that has them so far",
        )
    }

    /// The old side reads copies that the deletes of the new side, which has the
    /// namespace at another epoch, do not reach.
    pub(super) fn dropped(namespace: &str, epoch: u64) -> Self {
        Self::refused(
            format!(
                "namespace {namespace}: sidecars on the old configuration read copies of epoch \
                 {epoch}, which deletes on the new one do not reach"
            ),
            format!("keep {epoch} in also_invalidate until every sidecar has reloaded"),
        )
    }

    /// The old side reads copies of a namespace that the new side does not know.
    pub(super) fn removed(namespace: &str) -> Self {
        Self::refused(
            format!(
                "namespace {namespace}: is removed, and sidecars on the old configuration read \
                 its copies, which deletes on the new one do not reach"
            ),
            "first let nobody read it, on every sidecar: without listeners for its runtimes \
             and without read_through, or behind a namespace that takes them in; then \
             remove it",
        )
    }

    /// A runtime loses its namespace.
    pub(super) fn homeless(runtime: &str) -> Self {
        Self::warning(
            format!("{runtime} no longer has a namespace: it counts as untagged"),
            "keep a namespace for it as long as it connects",
        )
    }

    // Listeners and servers ------------------------------------------------

    /// A listener that stays is for others.
    pub(super) fn runtime(listener: &str, old: &str, new: &str) -> Self {
        Self::warning(
            format!(
                "listener {listener}: {old} -> {new}: clients that stay on it may get other \
                 copies, and be taken for other readers, than before"
            ),
            OTHER_LISTENER,
        )
    }

    /// A listener that stays speaks TLS from now on, or does so no more.
    pub(super) fn transport(listener: &str, tls: bool) -> Self {
        let (now, clients) = if tls {
            ("speaks TLS", "clients that do not")
        } else {
            ("speaks TLS no more", "clients that do")
        };
        Self::warning(
            format!("listener {listener}: {now}: {clients} cannot connect again"),
            OTHER_LISTENER,
        )
    }

    /// Keys move to other servers: this share of them.
    pub(super) fn servers(percent: usize) -> Self {
        Self::warning(
            format!(
                "servers: {} of the keys are on another one: between sidecars on either \
                 configuration neither deletes nor writes are seen",
                share(percent)
            ),
            "reload all sidecars at once; do not go back before what was stored has expired",
        )
    }

    /// A reload refuses the whole file for a setting that only a restart takes over.
    pub(super) fn restart(setting: &str) -> Self {
        Self::warning(
            format!("{setting}: cannot change while serving: a reload refuses the whole file"),
            "restart the sidecars, one after another",
        )
    }
}

const OTHER_LISTENER: &str = "add another listener, and have the clients move to it";

impl fmt::Display for Hazard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Old => "old",
            Self::New => "new",
        })
    }
}

impl Side {
    fn other(self) -> Self {
        match self {
            Self::Old => Self::New,
            Self::New => Self::Old,
        }
    }
}

/// `12 %`.
pub(super) fn share(percent: usize) -> String {
    match percent {
        0 => "less than 1 %".to_owned(),
        percent => format!("{percent} %"),
    }
}
