//! Runtime tags (`python/3.11.4 django/4.2`) and the requirements that
//! namespaces put on them (`python >=3, django >=4`). Knows no connection.

use std::fmt;

use semver::{Version, VersionReq};

use crate::pickle::Reader;

/// Longest tag accepted, in bytes.
pub const MAX_TAG_BYTES: usize = 128;

/// The runtime at the other end of a connection: product tokens, the first of a name
/// wins.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RuntimeTag {
    products: Vec<Product>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Product {
    name: String,
    version: PartialVersion,
}

/// A version of which only the leading parts may be known: `3`, `3.11`, `3.11.4`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PartialVersion {
    /// First part.
    pub major: u64,
    /// Second part, where the tag says it.
    pub minor: Option<u64>,
    /// Third part, where the tag says it.
    pub patch: Option<u64>,
}

/// A reason why a tag or a requirement was not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuntimeError {
    /// Longer than [`MAX_TAG_BYTES`].
    #[error("runtime tag is {0} bytes, limit {MAX_TAG_BYTES}")]
    TooLong(usize),
    /// No product in it.
    #[error("runtime tag is empty")]
    Empty,
    /// A token that is no product.
    #[error("\"{0}\" is no runtime: write python/3.11 or a short form such as py3, py2.7, cp311")]
    BadProduct(String),
    /// A requirement without a product or with a malformed range.
    #[error("\"{0}\" is no version requirement: write for example \"python >=3.8, django >=4\"")]
    BadRequirement(String),
}

impl RuntimeTag {
    /// Parses product tokens separated by spaces or commas, or one of the short forms
    /// `py2`, `py2.7`, `py311`, `cp311`, `cpython-311`.
    ///
    /// # Errors
    /// Says which token is not understood.
    pub fn parse(text: &str) -> Result<Self, RuntimeError> {
        if text.len() > MAX_TAG_BYTES {
            return Err(RuntimeError::TooLong(text.len()));
        }
        let products: Vec<Product> = text
            .split([' ', ','])
            .filter(|token| !token.is_empty())
            .map(|token| {
                parse_product(token).ok_or_else(|| RuntimeError::BadProduct(token.to_owned()))
            })
            .collect::<Result<_, _>>()?;
        if products.is_empty() {
            return Err(RuntimeError::Empty);
        }
        Ok(Self { products })
    }

    /// The version of a product, if the tag names it.
    pub fn version(&self, product: &str) -> Option<PartialVersion> {
        self.products
            .iter()
            .find(|p| p.name == product)
            .map(|p| p.version)
    }

    /// Adds the products that only `other` names, unless they differ in one that both
    /// do.
    pub fn complete(&mut self, other: &Self) {
        let differs = |product: &Product| {
            self.version(&product.name)
                .is_some_and(|version| !version.agrees_with(product.version))
        };
        if other.products.iter().any(differs) {
            return;
        }
        for product in &other.products {
            if self.version(&product.name).is_none() {
                self.products.push(product.clone());
            }
        }
    }

    /// The reader behind the tag. Where it leaves the minor version open, the most
    /// capable runtime it may mean: a value is only ever withheld for certain.
    pub fn reader(&self) -> Reader {
        let django = self.version("django").and_then(|version| {
            let minor = u16::try_from(version.minor?).ok()?;
            Some((u16::try_from(version.major).ok()?, minor))
        });
        self.version("python")
            .map_or(Reader::NEWEST, |version| {
                Reader::of_python(version.major, version.minor)
            })
            .with_django(django)
    }
}

impl fmt::Display for RuntimeTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, product) in self.products.iter().enumerate() {
            let space = if i == 0 { "" } else { " " };
            write!(f, "{space}{}/{}", product.name, product.version)?;
        }
        Ok(())
    }
}

impl fmt::Display for PartialVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.major)?;
        if let Some(minor) = self.minor {
            write!(f, ".{minor}")?;
        }
        if let Some(patch) = self.patch {
            write!(f, ".{patch}")?;
        }
        Ok(())
    }
}

impl PartialVersion {
    /// Accepts `3`, `3.11`, `3.11.4`, `3.13.0rc1` and `2.7.18+`.
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '.');
        let major = parts.next()?.parse().ok()?;
        let minor = parts.next().map(str::parse).transpose().ok()?;
        let patch = match parts.next() {
            None => None,
            Some(rest) => {
                let digits =
                    rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
                let (number, suffix) = rest.split_at(digits);
                let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '+' | '-');
                if !suffix.chars().all(plain) {
                    return None;
                }
                Some(number.parse().ok()?)
            }
        };
        Some(Self {
            major,
            minor,
            patch,
        })
    }

    /// Tells whether both may be said of one version: as far as both go, they are the
    /// same.
    fn agrees_with(self, other: Self) -> bool {
        let same =
            |own: Option<u64>, its: Option<u64>| own.is_none() || its.is_none() || own == its;
        self.major == other.major
            && same(self.minor, other.minor)
            && (self.minor.is_none() || other.minor.is_none() || same(self.patch, other.patch))
    }

    fn lowest(self) -> Version {
        Version::new(self.major, self.minor.unwrap_or(0), self.patch.unwrap_or(0))
    }
}

fn parse_product(token: &str) -> Option<Product> {
    let (name, version) = match token.split_once('/') {
        Some((name, version)) => (name, PartialVersion::parse(version)?),
        None => ("python", parse_short(token)?),
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (!name.is_empty() && name.chars().all(plain)).then(|| Product {
        name: name.to_ascii_lowercase(),
        version,
    })
}

/// `py2`, `py2.7`, `py311`, `cp311`, `cpython-311`: the first digit is the major.
fn parse_short(token: &str) -> Option<PartialVersion> {
    let digits = ["cpython-", "cpython", "python", "cp", "py"]
        .iter()
        .find_map(|prefix| token.strip_prefix(prefix))?;
    if digits.contains('.') {
        return PartialVersion::parse(digits);
    }
    if digits.is_empty() || digits.len() > 3 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let (major, minor) = digits.split_at(1);
    Some(PartialVersion {
        major: major.parse().ok()?,
        // Empty or digits.
        minor: minor.parse().ok(),
        patch: None,
    })
}

/// The runtimes that belong to a namespace: every listed product must match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    text: String,
    products: Vec<(String, VersionReq)>,
}

impl Requirement {
    /// Parses `python <3` or `python >=3, <3.8, django >=4`; a range without a
    /// product belongs to the product before it.
    ///
    /// # Errors
    /// Says what is not understood.
    pub fn parse(text: &str) -> Result<Self, RuntimeError> {
        let bad = || RuntimeError::BadRequirement(text.to_owned());
        let mut ranges: Vec<(String, String)> = Vec::new();
        for part in text.split(',').map(str::trim) {
            let split = part.find(['<', '>', '=', '^', '~']).ok_or_else(bad)?;
            let (name, range) = part.split_at(split);
            match (name.trim(), ranges.last_mut()) {
                ("", None) => return Err(bad()),
                ("", Some((_, ranges))) => {
                    ranges.push(',');
                    ranges.push_str(range);
                }
                (name, _) => ranges.push((name.to_ascii_lowercase(), range.to_owned())),
            }
        }
        let products = ranges
            .into_iter()
            .map(|(name, range)| {
                let range = range.replace("==", "=");
                VersionReq::parse(&range)
                    .map(|range| (name, range))
                    .map_err(|_| bad())
            })
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            text: text.to_owned(),
            products,
        })
    }

    /// Tells whether a runtime satisfies every product; parts of a version that its tag
    /// leaves out count as zero.
    pub fn matches(&self, tag: &RuntimeTag) -> bool {
        self.products.iter().all(|(name, range)| {
            tag.version(name)
                .is_some_and(|version| range.matches(&version.lowest()))
        })
    }

    /// The products that it is about.
    pub fn products(&self) -> impl Iterator<Item = &str> {
        self.products.iter().map(|(name, _)| &**name)
    }

    /// The versions of a product at which its ranges begin or end; parts that are
    /// left out count as zero.
    pub fn bounds<'r>(&'r self, product: &'r str) -> impl Iterator<Item = (u64, u64, u64)> + 'r {
        let ranges = self
            .products
            .iter()
            .filter(move |(name, _)| name == product);
        ranges
            .flat_map(|(_, range)| &range.comparators)
            .map(|bound| {
                let (minor, patch) = (bound.minor.unwrap_or(0), bound.patch.unwrap_or(0));
                (bound.major, minor, patch)
            })
    }

    /// Tells whether some runtime of this Python version could satisfy it.
    pub fn allows_python(&self, major: u64, minor: u64) -> bool {
        self.products
            .iter()
            .filter(|(name, _)| name == "python")
            .all(|(_, range)| {
                range.matches(&Version::new(major, minor, 0))
                    || range.matches(&Version::new(major, minor, 99))
            })
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_forms_name_a_python() {
        for (short, long) in [
            ("py2", "python/2"),
            ("py3", "python/3"),
            ("py2.7", "python/2.7"),
            ("py27", "python/2.7"),
            ("py311", "python/3.11"),
            ("cp311", "python/3.11"),
            ("cpython-311", "python/3.11"),
            ("python3.13", "python/3.13"),
            ("python/3.13.0rc1", "python/3.13.0"),
            ("Python/3.11.4 Django/4.2", "python/3.11.4 django/4.2"),
        ] {
            assert_eq!(
                RuntimeTag::parse(short).unwrap().to_string(),
                long,
                "{short}"
            );
        }
    }

    #[test]
    fn malformed_tags_are_refused() {
        for bad in [
            "",
            "py",
            "pyx",
            "python/",
            "python/x",
            "python/3.x",
            "py3111",
            "/3",
            "py\u{e9}/3",
        ] {
            assert!(RuntimeTag::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(
            RuntimeTag::parse(&"x".repeat(129)),
            Err(RuntimeError::TooLong(129))
        );
    }

    #[test]
    fn requirements_select_by_every_product() {
        let matches = |requirement: &str, tag: &str| {
            Requirement::parse(requirement)
                .unwrap()
                .matches(&RuntimeTag::parse(tag).unwrap())
        };
        assert!(matches("python <3", "py2"));
        assert!(matches("python <3", "python/2.7.18"));
        assert!(!matches("python <3", "py3"));
        assert!(matches("python >=3", "py311"));
        assert!(matches("python >=3.4, <3.8", "py37"));
        assert!(!matches("python >=3.4, <3.8", "py38"));
        assert!(matches("python >=3, django >=4", "python/3.11 django/4.2"));
        assert!(!matches("python >=3, django >=4", "python/3.11 django/3.2"));
        assert!(!matches("python >=3, django >=4", "python/3.11"));
        for bad in ["", "python", "<3", "python <x", "python >=3,"] {
            assert!(Requirement::parse(bad).is_err(), "{bad}");
        }
    }
}
