//! Readers of values, as far as they are known.

use std::fmt;

use super::Verdict;
use super::inventory::Inventory;
use super::names::{PythonVersion, Versions};
use super::sniff::Header;

/// The newest version that the tables know.
const NEWEST: (u64, u64) = (3, 15);

/// Django's major and minor version.
pub(super) type Series = (u16, u16);

/// A Python runtime, as far as its tag tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reader {
    /// The highest pickle protocol that it loads.
    pub max_protocol: u8,
    /// The versions that it may be: several where the tag leaves the minor
    /// version open. A value is only unloadable if it is for all of them.
    versions: Versions,
    /// It is surely later than the newest version that the tables know.
    later: bool,
    /// Django's series, if its tag says it; in one byte each, for there is a
    /// reader in every session.
    django: Option<(u8, u8)>,
}

impl Reader {
    /// Some Python that loads every protocol there is.
    pub const NEWEST: Self = Self {
        max_protocol: 5,
        versions: Versions::ALL,
        later: false,
        django: None,
    };

    /// Python 2.3 and later load protocols up to 2; 3.0 to 3.3 up to 3; 3.4 to
    /// 3.7 up to 4; 3.8 and later up to 5 (PEP 307, PEP 3154, PEP 574). `None`:
    /// some minor version.
    pub fn of_python(major: u64, minor: Option<u64>) -> Self {
        let max_protocol = match (major, minor.unwrap_or(u64::MAX)) {
            (..=2, _) => 2,
            (3, ..=3) => 3,
            (3, ..=7) => 4,
            _ => 5,
        };
        let versions = match (major, minor) {
            (3, None) => Versions::PY3,
            (major, minor) => Versions::only(PythonVersion::of(major, minor.unwrap_or(0))),
        };
        let later = minor.is_some_and(|minor| (major, minor) > NEWEST);
        Self {
            max_protocol,
            versions,
            later,
            django: None,
        }
    }

    /// The runtime that an inventory was made by.
    pub fn of_inventory(inventory: &Inventory) -> Self {
        let (major, minor) = inventory.python();
        let series = |(major, minor): (u64, u64)| {
            Some((u16::try_from(major).ok()?, u16::try_from(minor).ok()?))
        };
        let django = inventory.framework("django").and_then(series);
        Self::of_python(major, Some(minor)).with_django(django)
    }

    /// Fills what its own tag leaves open with what is known of a runtime of the same
    /// pool.
    #[must_use]
    pub fn refined(self, known: Self) -> Self {
        let django = self.django.or(known.django);
        let open = self.versions.single().is_none();
        let reader = if open && self.may_be(known.versions) {
            known
        } else {
            self
        };
        Self { django, ..reader }
    }

    /// Sets Django's major and minor version.
    #[must_use]
    pub fn with_django(self, django: Option<Series>) -> Self {
        let byte = |part| u8::try_from(part).unwrap_or(u8::MAX);
        let django = django.map(|(major, minor)| (byte(major), byte(minor)));
        Self { django, ..self }
    }

    /// Some runtime that is one of either.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            max_protocol: self.max_protocol.max(other.max_protocol),
            versions: self.versions | other.versions,
            later: self.later && other.later,
            django: self.django.filter(|_| self.django == other.django),
        }
    }

    /// Django's major and minor version, if its tag or its Python says it: 1.11
    /// was the last for Python 2.
    pub(super) fn django(self) -> Option<Series> {
        let known = self
            .django
            .map(|(major, minor)| (major.into(), minor.into()));
        known.or_else(|| self.is_python2().then_some((1, 11)))
    }

    /// The header's verdict: certain when it says no, and never a yes.
    pub fn verdict(self, header: Header) -> Verdict {
        match header.protocol {
            Some(protocol) if protocol > self.max_protocol => Verdict::Unloadable,
            Some(_) => Verdict::NotLookedAt,
            None => Verdict::Unknown,
        }
    }

    /// The versions that it may be, or is taken for.
    pub(super) fn versions(self) -> Versions {
        self.versions
    }

    /// The same, if it is one of these.
    #[must_use]
    pub(super) fn only(self, versions: Versions) -> Self {
        Self { versions, ..self }
    }

    /// Whether it is surely later than the newest version that the tables know.
    pub(super) fn is_later(self) -> bool {
        self.later
    }

    /// Whether it is surely one of these.
    pub(super) fn is_all_of(self, versions: Versions) -> bool {
        self.versions & versions == self.versions
    }

    /// Whether it may be one of these.
    pub(super) fn may_be(self, versions: Versions) -> bool {
        self.versions & versions != Versions::default()
    }

    /// Whether it is surely some Python 2.
    pub fn is_python2(self) -> bool {
        self.is_all_of(Versions::PY2)
    }

    /// Whether it is surely some Python 3.
    pub fn is_python3(self) -> bool {
        self.is_all_of(Versions::PY3)
    }
}

/// `Python 2.7`, `Python 3`.
impl fmt::Display for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.versions.single() {
            Some(version) => write!(f, "Python {version}"),
            None if self.is_python3() => f.write_str("Python 3"),
            None => f.write_str("Python"),
        }
    }
}
