//! The versions that the table tells apart, and sets of them.

use std::fmt;
use std::ops::{BitAnd, BitOr};

/// A minor version of Python that the tables know, in the order of release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)] // The names say it.
pub enum PythonVersion {
    Py27,
    Py36,
    Py37,
    Py38,
    Py39,
    Py310,
    Py311,
    Py312,
    Py313,
    Py314,
    Py315,
}

impl PythonVersion {
    /// Every version, the oldest first.
    pub const ALL: [Self; 11] = [
        Self::Py27,
        Self::Py36,
        Self::Py37,
        Self::Py38,
        Self::Py39,
        Self::Py310,
        Self::Py311,
        Self::Py312,
        Self::Py313,
        Self::Py314,
        Self::Py315,
    ];

    /// The version that stands for Python `major.minor`: itself, or the nearest
    /// of the same major version. So 2.6 is taken for 2.7, 3.0 to 3.5 for 3.6,
    /// and whatever comes after the newest for the newest.
    pub const fn of(major: u64, minor: u64) -> Self {
        match (major, minor) {
            (..=2, _) => Self::Py27,
            (3, ..=6) => Self::Py36,
            (3, 7) => Self::Py37,
            (3, 8) => Self::Py38,
            (3, 9) => Self::Py39,
            (3, 10) => Self::Py310,
            (3, 11) => Self::Py311,
            (3, 12) => Self::Py312,
            (3, 13) => Self::Py313,
            (3, 14) => Self::Py314,
            _ => Self::Py315,
        }
    }
}

/// A set of versions: bit `k` stands for `PythonVersion::ALL[k]`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Versions(pub(super) u16);

impl fmt::Display for PythonVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self as u8 {
            0 => f.write_str("2.7"),
            since => write!(f, "3.{}", since + 5),
        }
    }
}

impl Versions {
    /// Every version.
    pub const ALL: Self = Self((1 << PythonVersion::ALL.len()) - 1);
    /// Every Python 2.
    pub const PY2: Self = Self::only(PythonVersion::Py27);
    /// Every Python 3.
    pub const PY3: Self = Self(Self::ALL.0 & !Self::PY2.0);

    /// This version only.
    pub const fn only(version: PythonVersion) -> Self {
        Self(1 << version as u16)
    }

    /// This version and all later.
    pub const fn since(first: PythonVersion) -> Self {
        Self(Self::ALL.0 & !((1 << first as u16) - 1))
    }

    /// All before this one.
    pub const fn before(end: PythonVersion) -> Self {
        Self((1 << end as u16) - 1)
    }

    /// The only one in it, if there is just one.
    pub fn single(self) -> Option<PythonVersion> {
        let at = self.0.trailing_zeros() as usize;
        PythonVersion::ALL
            .get(at)
            .copied()
            .filter(|_| self.0.is_power_of_two())
    }

    /// The versions of these bits, as the tables write them.
    pub(in crate::pickle) const fn of_bits(bits: u16) -> Self {
        Self(bits)
    }

    /// Those of it that are not in the other.
    pub(in crate::pickle) const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Each version in it.
    pub(in crate::pickle) fn each(self) -> impl Iterator<Item = PythonVersion> + Clone {
        let is_in = move |version: &PythonVersion| self.contains(*version);
        PythonVersion::ALL.into_iter().filter(is_in)
    }

    /// Whether the version is in the set.
    pub const fn contains(self, version: PythonVersion) -> bool {
        self.0 >> version as u16 & 1 == 1
    }
}

impl BitAnd for Versions {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl BitOr for Versions {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_versions_are_taken_for_the_nearest() {
        use PythonVersion::{Py27, Py36, Py310, Py314, Py315};
        let cases = [
            ((2, 6), Py27),
            ((2, 7), Py27),
            ((3, 0), Py36),
            ((3, 5), Py36),
            ((3, 6), Py36),
            ((3, 10), Py310),
            ((3, 14), Py314),
            ((3, 15), Py315),
            ((3, 16), Py315),
            ((4, 0), Py315),
        ];
        for ((major, minor), nearest) in cases {
            assert_eq!(PythonVersion::of(major, minor), nearest, "{major}.{minor}");
        }
    }

    #[test]
    fn a_set_has_the_versions_of_its_bits() {
        let set = Versions(0b10) | Versions(1 << 9);
        let contained = PythonVersion::ALL.map(|version| set.contains(version));
        assert_eq!(contained.iter().filter(|c| **c).count(), 2);
        assert!(set.contains(PythonVersion::Py36) && set.contains(PythonVersion::Py314));
    }
}
