//! The hazards of a step: what they are, why, and what to do instead. Compares nothing.

use std::fmt;

use crate::config::Word as _;
use crate::policy::{Coherence, Mode, Rule};

/// One of the two configurations that sidecars run during a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The one that is left.
    Old,
    /// The one that is taken.
    New,
}

/// A hazard that may leave somebody with a stale value, or surprise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hazard {
    /// A family isolates, and no delete reaches another copy.
    Uncovered {
        /// The family of keys.
        family: String,
    },
    /// Other copies are read than before, and the deletes of one side do not reach
    /// those of the other.
    Unreached {
        /// The family of keys.
        family: String,
        /// The side whose deletes do not.
        side: Side,
        /// The reason.
        why: String,
    },
    /// Other copies are read than before, and the writes of one side do not reach
    /// those of the other.
    Unwritten {
        /// The family of keys.
        family: String,
        /// The side whose writes do not.
        side: Side,
    },
    /// A namespace is to read copies that were left behind.
    Lowered {
        /// Name of the namespace.
        namespace: String,
        /// Epoch in the old configuration.
        from: u64,
        /// Epoch in the new configuration.
        to: u64,
    },
    /// The new side reads copies that the deletes of the old side do not reach.
    Unprepared {
        /// The namespace.
        namespace: String,
        /// The epoch that is read.
        epoch: u64,
        /// The epoch that the old side reads; `None` if the namespace is new.
        before: Option<u64>,
    },
    /// The old side reads copies that the deletes of the new side do not reach.
    Dropped {
        /// The namespace.
        namespace: String,
        /// The epoch that is read.
        epoch: u64,
        /// True if the new side has the namespace at another epoch.
        is_kept: bool,
    },
    /// A rule promises less.
    Weaker {
        /// The family of keys.
        family: String,
        /// The coherence that it promised.
        old: Coherence,
        /// The coherence that it promises.
        new: Coherence,
    },
    /// A rule promises more, and what was stored under the old promise stays.
    LeftBehind {
        /// The family of keys.
        family: String,
        /// The changes that did not reach the other copies.
        missed: &'static str,
    },
    /// A listener that stays is for others.
    Runtime {
        /// Name of the listener.
        listener: String,
        /// The clients that connected.
        old: String,
        /// The clients that connect.
        new: String,
    },
    /// A listener that stays speaks TLS, or does so no more.
    Transport {
        /// Name of the listener.
        listener: String,
        /// True if it does from now on.
        tls: bool,
    },
    /// A runtime loses its namespace.
    Homeless {
        /// Tag of the runtime.
        runtime: String,
    },
    /// Keys move to other servers.
    Servers {
        /// The share of the keys in percent, rounded down.
        percent: usize,
    },
    /// A reload refuses the whole file.
    Restart {
        /// The setting that only a restart takes over.
        setting: &'static str,
    },
}

impl Hazard {
    /// Says why deletes of a rule do not reach the other copies.
    pub(super) fn why_unreached(rule: &Rule) -> String {
        match rule.mode {
            Mode::Shared => "mode \"shared\"".to_owned(),
            _ => format!("coherence \"{}\"", rule.coherence.word()),
        }
    }

    /// Tells whether the step is not to be taken.
    pub fn is_refused(&self) -> bool {
        match self {
            Self::Uncovered { .. }
            | Self::Unreached { .. }
            | Self::Lowered { .. }
            | Self::Unprepared { .. }
            | Self::Dropped { .. } => true,
            Self::Unwritten { .. }
            | Self::Weaker { .. }
            | Self::LeftBehind { .. }
            | Self::Runtime { .. }
            | Self::Transport { .. }
            | Self::Homeless { .. }
            | Self::Servers { .. }
            | Self::Restart { .. } => false,
        }
    }

    /// Says what to do instead, or beside it.
    pub fn remedy(&self) -> String {
        match self {
            Self::Uncovered { .. } => "coherence = \"fill-aware\"".to_owned(),
            Self::Unreached {
                side: Side::Old, ..
            } => "first let deletes reach every copy while the keys stay where they are \
                 (mode = \"guard\" if it is shared, coherence = \"fill-aware\"), on every \
                 sidecar; then move them"
                .to_owned(),
            Self::Unreached {
                side: Side::New, ..
            } => "first move the keys while deletes reach every copy (mode = \"guard\", \
                 coherence as it is), on every sidecar; then change that"
                .to_owned(),
            Self::Unwritten { .. } => {
                "first coherence = \"fill-aware\" on every sidecar; move the keys once what \
                 was stored before has expired"
                    .to_owned()
            }
            Self::Lowered { from, .. } => {
                format!("go on to an epoch that was never used: {}", from + 1)
            }
            Self::Unprepared {
                epoch,
                before: Some(before),
                ..
            } => format!(
                "first add {epoch} to also_invalidate, on every sidecar; then epoch = {epoch} \
                 and {before} in also_invalidate"
            ),
            Self::Unprepared { before: None, .. } => {
                "first add it where nobody reads it, on every sidecar: without listeners for \
                 its runtimes, or behind the namespace that has them so far"
                    .to_owned()
            }
            Self::Dropped {
                epoch,
                is_kept: true,
                ..
            } => {
                format!("keep {epoch} in also_invalidate until every sidecar has reloaded")
            }
            Self::Dropped { is_kept: false, .. } => {
                "first let nobody read it, on every sidecar: without listeners for its runtimes \
                 and without read_through, or behind a namespace that takes them in; then \
                 remove it"
                    .to_owned()
            }
            Self::Weaker { old, .. } => format!("coherence = \"{}\", as it was", old.word()),
            Self::LeftBehind { .. } => {
                "before keys of it move: wait until what was stored has expired; for moves into \
                 namespaces, raising every epoch does as well"
                    .to_owned()
            }
            Self::Runtime { .. } | Self::Transport { .. } => {
                "add another listener, and have the clients move to it".to_owned()
            }
            Self::Homeless { .. } => "keep a namespace for it as long as it connects".to_owned(),
            Self::Servers { .. } => {
                "reload all sidecars at once; do not go back before what was stored has expired"
                    .to_owned()
            }
            Self::Restart { .. } => "restart the sidecars, one after another".to_owned(),
        }
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

/// Says what is wrong, for people.
impl fmt::Display for Hazard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uncovered { family } => write!(
                f,
                "{family}: isolates with coherence \"none\": a delete leaves the copies of the \
                 other namespaces"
            ),
            Self::Unreached { family, side, why } => {
                let other = side.other();
                write!(
                    f,
                    "{family}: other copies are read than before, and deletes through sidecars \
                     on the {side} configuration ({why}) do not reach those of the {other} one"
                )
            }
            Self::Unwritten { family, side } => {
                let other = side.other();
                write!(
                    f,
                    "{family}: other copies are read than before, and writes through sidecars on \
                     the {side} configuration (coherence \"deletes\") do not reach those of the \
                     {other} one: they may be older"
                )
            }
            Self::Lowered {
                namespace,
                from,
                to,
            } => write!(
                f,
                "namespace {namespace}: epoch {from} -> {to}: the copies that it was raised to \
                 leave behind are read again"
            ),
            Self::Unprepared {
                namespace,
                epoch,
                before: Some(_),
            } => write!(
                f,
                "namespace {namespace}: reads copies of epoch {epoch}, which deletes through \
                 sidecars on the old configuration do not reach"
            ),
            Self::Unprepared {
                namespace,
                before: None,
                ..
            } => write!(
                f,
                "namespace {namespace}: is new and read at once, and deletes through sidecars \
                 on the old configuration do not reach its copies"
            ),
            Self::Dropped {
                namespace,
                epoch,
                is_kept: true,
            } => write!(
                f,
                "namespace {namespace}: sidecars on the old configuration read copies of epoch \
                 {epoch}, which deletes on the new one do not reach"
            ),
            Self::Dropped {
                namespace,
                is_kept: false,
                ..
            } => write!(
                f,
                "namespace {namespace}: is removed, and sidecars on the old configuration read \
                 its copies, which deletes on the new one do not reach"
            ),
            Self::Weaker { family, old, new } => {
                let (old, less) = (old.word(), lost(*new));
                write!(
                    f,
                    "{family}: coherence \"{old}\" -> \"{}\": {less}",
                    new.word()
                )
            }
            Self::LeftBehind { family, missed } => write!(
                f,
                "{family}: copies that {missed} did not reach so far may be there, older than \
                 the last change"
            ),
            Self::Runtime { listener, old, new } => write!(
                f,
                "listener {listener}: {old} -> {new}: clients that stay on it may get other \
                 copies, and be taken for other readers, than before"
            ),
            Self::Transport { listener, tls } => {
                let (now, clients) = if *tls {
                    ("speaks TLS", "clients that do not")
                } else {
                    ("speaks TLS no more", "clients that do")
                };
                write!(
                    f,
                    "listener {listener}: {now}: {clients} cannot connect again"
                )
            }
            Self::Homeless { runtime } => {
                write!(
                    f,
                    "{runtime} no longer has a namespace: it counts as untagged"
                )
            }
            Self::Servers { percent } => write!(
                f,
                "servers: {} of the keys are on another one: between sidecars on either \
                 configuration neither deletes nor writes are seen",
                share(*percent)
            ),
            Self::Restart { setting } => write!(
                f,
                "{setting}: cannot change while serving: a reload refuses the whole file"
            ),
        }
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

/// Says what a weaker coherence leaves out.
fn lost(coherence: Coherence) -> &'static str {
    match coherence {
        Coherence::None => "deletes leave the other copies",
        Coherence::Deletes => "writes leave the other copies, which are then older",
        _ => "writes that follow a miss leave the other copies",
    }
}

/// `12 %`.
pub(super) fn share(percent: usize) -> String {
    match percent {
        0 => "less than 1 %".to_owned(),
        percent => format!("{percent} %"),
    }
}
