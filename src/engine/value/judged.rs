//! Facts that a look at a value tells: what becomes of it, and what was found. Plain
//! facts, which the counts and whoever passes the value on read alike.

use strum::{IntoStaticStr, VariantArray};

use crate::pickle::{self, Header, Verdict};

/// Of the reasons that are no [`pickle::Reason`]: the one that a header gives, ...
pub(super) const PROTOCOL: &str = "protocol";
/// ... the one of what a list refuses, ...
pub(super) const FIREWALL: &str = "firewall";
/// ... and the one of what is no whole pickle.
pub(super) const BROKEN: &str = "broken";

/// A value as far as it is here.
#[derive(Debug, Clone, Copy)]
pub struct ValueStart<'v> {
    /// The client's flags.
    pub flags: u32,
    /// At least the bytes that a look needs, line end and all.
    pub bytes: &'v [u8],
    /// The value's length, in bytes.
    pub len: usize,
}

/// Treatment of a value that was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// Pass all of it to its reader; a store of it goes on.
    AsIs,
    /// Pass nothing to its reader; a store of it is rejected.
    Hidden,
    /// `Judge::rewritten` in its place, with these client flags.
    Rewritten(u32),
    /// Nothing yet: the look would keep others waiting, and has to be had apart.
    Later,
}

/// Result of a look at a value. Nothing of it is counted yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Judged {
    /// Treatment of the value.
    pub shown: Shown,
    /// The pickle, if it was looked at and is one.
    pub pickle: Option<Pickle>,
}

/// A pickle as its reader sees it; one on its way in, as all readers of its key do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pickle {
    /// The protocol that it declares or needs, if that is known.
    pub protocol: Option<u8>,
    /// The writer, as far as the bytes tell.
    pub writer: Writer,
    /// Whether it can be loaded.
    pub verdict: Verdict,
    /// Why it may not be loadable, as metrics name it.
    pub reason: Option<&'static str>,
    /// Why it has no other form, if one was wanted, as metrics name it.
    pub no_form: Option<&'static str>,
    /// Whether it is another namespace's copy, which nobody asked for unless it is shown.
    pub of_another: bool,
}

/// Writers of a value, where its bytes are certain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
#[allow(missing_docs)]
pub enum Writer {
    Unknown,
    /// Byte strings, or small numbers as longs: only Python 2 writes them.
    #[strum(serialize = "python/2")]
    Python2,
    /// Protocol 3 and later, and others' signs: only Python 3 writes them.
    #[strum(serialize = "python/3")]
    Python3,
}

/// Actions on a value that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
#[allow(missing_docs)]
pub enum Action {
    Served,
    Hidden,
    Transcoded,
    /// Served from another namespace's copy.
    ReadThrough,
}

impl Judged {
    /// A value that was not looked at, or is no pickle.
    pub(super) const PLAIN: Self = Self::unseen(Shown::AsIs);

    /// A value of which nothing is known.
    #[inline]
    pub(super) const fn unseen(shown: Shown) -> Self {
        Self {
            shown,
            pickle: None,
        }
    }

    /// A pickle.
    #[inline]
    pub(super) fn pickle(shown: Shown, pickle: Pickle) -> Self {
        Self {
            shown,
            pickle: Some(pickle),
        }
    }

    /// The action on a pickle that is read; `None` if nobody asked for it.
    #[inline]
    pub fn action(&self) -> Option<Action> {
        let pickle = self.pickle.as_ref()?;
        match self.shown {
            Shown::Rewritten(_) => Some(Action::Transcoded),
            Shown::AsIs if pickle.of_another => Some(Action::ReadThrough),
            Shown::AsIs => Some(Action::Served),
            Shown::Hidden if pickle.of_another => None,
            Shown::Hidden => Some(Action::Hidden),
            Shown::Later => None,
        }
    }
}

impl Pickle {
    /// A pickle of whose writer no more is known than its protocol tells.
    #[inline]
    pub(super) fn new(
        protocol: Option<u8>,
        verdict: Verdict,
        reason: Option<&'static str>,
    ) -> Self {
        Self {
            protocol,
            writer: Writer::of_protocol(protocol),
            verdict,
            reason,
            no_form: None,
            of_another: false,
        }
    }

    /// A pickle by its header alone.
    #[inline]
    pub(super) fn by_header(header: Header, verdict: Verdict) -> Self {
        let reason = match verdict {
            Verdict::Unloadable => Some(PROTOCOL),
            Verdict::Unknown => Some(BROKEN),
            Verdict::Loadable | Verdict::NotLookedAt => None,
        };
        Self::new(header.protocol, verdict, reason)
    }
}

impl Writer {
    /// The writer of a pickle of which only the header's protocol is known.
    #[inline]
    pub fn of_protocol(protocol: Option<u8>) -> Self {
        if protocol.is_some_and(|protocol| protocol >= 3) {
            Self::Python3
        } else {
            Self::Unknown
        }
    }
}

impl From<pickle::Writer> for Writer {
    fn from(writer: pickle::Writer) -> Self {
        match writer {
            pickle::Writer::Unknown => Self::Unknown,
            pickle::Writer::Python2 => Self::Python2,
            pickle::Writer::Python3 | pickle::Writer::Python34 | pickle::Writer::Python38 => {
                Self::Python3
            }
        }
    }
}
