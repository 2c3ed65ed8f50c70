//! What one environment can load beyond its standard library: what
//! `inventory.py` listed there.
//!
//! As in [`super::names`], a denial is certain and everything else is not: the
//! answer is `None` wherever the listing may be incomplete.

use std::io::{self, Read};
use std::ops::BitOrAssign;

use flate2::read::GzDecoder;
use foldhash::{HashMap, HashSet};
use serde::Deserialize;

use super::facts::Words;
use super::names::{first_part, is_in};

/// The script that makes an inventory: run by Python 2.7, or 3.6 and later, it
/// prints one as JSON.
pub const SCRIPT: &str = include_str!("inventory.py");

/// The largest file that is taken for an inventory, in bytes, and the most that a
/// compressed one may hold.
pub const MAX_BYTES: u64 = 64 << 20;

/// The form of the listing that [`SCRIPT`] writes. The first form says less.
const FORMAT: u64 = 2;

/// What a file compressed by gzip begins with.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Why there is no inventory.
#[derive(Debug, thiserror::Error)]
pub enum InventoryError {
    /// The file could not be read.
    #[error("{name}: cannot read: {error}")]
    Unreadable {
        /// The file's name.
        name: String,
        /// What reading it ended with.
        error: io::Error,
    },
    /// The file is something else.
    #[error("{name}: not an inventory: {reason}")]
    NotAnInventory {
        /// The file's name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// What an environment can load, and how it would take it.
#[derive(Debug, PartialEq, Eq)]
pub struct Inventory {
    python: (u64, u64),
    frameworks: HashMap<Box<str>, (u64, u64)>,
    /// Which distribution a top-level module is of.
    owners: HashMap<Box<[u8]>, Box<str>>,
    modules: HashMap<Box<[u8]>, Module>,
    /// The facts of classes and functions, in the script's words.
    facts: Vec<Box<str>>,
    /// Which of the facts are those of a model of Django, by its label.
    models: HashMap<Box<[u8]>, u32>,
    /// The packages that were imported with all that is in them.
    walked: Vec<Box<[u8]>>,
    /// What may hold more in spite of that: it makes its contents up, or could not
    /// be imported, which the application may have ways to.
    doubtful: Vec<Box<[u8]>>,
    /// Every top-level module there is; `None` if there may be others.
    importable: Option<HashSet<Box<[u8]>>>,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Module {
    /// Whether it may have names that it does not show.
    open: bool,
    names: HashMap<Box<[u8]>, Entry>,
    /// What may be a module directly in it; `None` if there may be others.
    inside: Option<HashSet<Box<[u8]>>>,
}

/// What is known of a name.
#[derive(Debug, Default, PartialEq, Eq)]
struct Entry {
    kinds: Kinds,
    /// Which of the facts are its; files of the first form have none.
    facts: Option<u32>,
}

/// What a class is: a bit for each of the kinds below.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Kinds(u8);

impl Kinds {
    const CLASSIC: Self = Self(1);
    const BYTES_BASED: Self = Self(2);
    const TEXT_BASED: Self = Self(4);
    const NO_DICT: Self = Self(8);
}

impl BitOrAssign for Kinds {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

/// The file. Names in one module are separated by spaces.
#[derive(Deserialize)]
struct Listing {
    python: (u64, u64, u64),
    distributions: HashMap<String, String>,
    modules: HashMap<String, String>,
    open: Vec<String>,
    classic: HashMap<String, String>,
    bytes_based: HashMap<String, String>,
    text_based: HashMap<String, String>,
    no_dict: HashMap<String, String>,
    walked: Vec<String>,
    importable: Option<Vec<String>>,
    /// By package, what may be directly in it, or null. Older files have none.
    #[serde(default)]
    packages: Option<HashMap<String, Option<String>>>,
    errors: HashMap<String, String>,
    #[serde(default)]
    facts: Vec<Box<str>>,
    /// By module, the number of the facts of each of its names, in their order.
    #[serde(default)]
    facts_of: HashMap<String, String>,
    #[serde(default)]
    owners: HashMap<String, Box<str>>,
}

/// What an inventory says of a name in a module that it lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Listed<'i> {
    /// It is not there, or may be.
    No,
    /// It is there.
    Yes,
    /// It is there, and this is what pickles ask of it.
    Facts(&'i str),
}

/// Read first, so that another format is called that.
#[derive(Deserialize)]
struct Format {
    format: u64,
}

impl Inventory {
    /// Reads a file that [`SCRIPT`] wrote; `name` is what errors call it.
    ///
    /// # Errors
    ///
    /// If it cannot be read, is longer than [`MAX_BYTES`], or is not in the form
    /// that this version knows.
    pub fn read(name: &str, file: impl Read) -> Result<Self, InventoryError> {
        let unreadable = |error| InventoryError::Unreadable {
            name: name.to_owned(),
            error,
        };
        let mut bytes = at_most(file).map_err(unreadable)?;
        if bytes.starts_with(&GZIP) {
            bytes = at_most(GzDecoder::new(&bytes[..])).map_err(unreadable)?;
        }
        Self::parse(&bytes).map_err(|reason| InventoryError::NotAnInventory {
            name: name.to_owned(),
            reason,
        })
    }

    fn parse(bytes: &[u8]) -> Result<Self, String> {
        if bytes.len() as u64 > MAX_BYTES {
            return Err(format!("longer than {MAX_BYTES} bytes"));
        }
        let Format { format } = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
        if !(1..=FORMAT).contains(&format) {
            return Err(format!("format {format}, where {FORMAT} is known"));
        }
        let listing = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
        Self::index(listing)
    }

    fn index(listing: Listing) -> Result<Self, String> {
        let (major, minor, _) = listing.python;
        let mut modules: HashMap<Box<[u8]>, Module> = HashMap::default();
        for (kind, listed) in [
            (Kinds::default(), &listing.modules),
            (Kinds::CLASSIC, &listing.classic),
            (Kinds::BYTES_BASED, &listing.bytes_based),
            (Kinds::TEXT_BASED, &listing.text_based),
            (Kinds::NO_DICT, &listing.no_dict),
        ] {
            for (module, names) in listed {
                let module = modules.entry(key(module)).or_default();
                for name in names.split_ascii_whitespace() {
                    module.names.entry(key(name)).or_default().kinds |= kind;
                }
            }
        }
        for (module, numbers) in &listing.facts_of {
            let names = listing.modules.get(module).map_or("", String::as_str);
            let names = names.split_ascii_whitespace();
            if names.clone().count() != numbers.split_ascii_whitespace().count() {
                return Err(format!("{module} has not as many facts as names"));
            }
            let module = modules.entry(key(module)).or_default();
            for (name, number) in names.zip(numbers.split_ascii_whitespace()) {
                let number: u32 = number.parse().map_err(|_| format!("facts {number}"))?;
                if number as usize >= listing.facts.len() {
                    return Err(format!("facts {number} of {}", listing.facts.len()));
                }
                module.names.entry(key(name)).or_default().facts = Some(number);
            }
        }
        for module in &listing.open {
            modules.entry(key(module)).or_default().open = true;
        }
        if let Some(packages) = &listing.packages {
            for module in listing.modules.keys() {
                // The others are no packages.
                let names = packages.get(module).map_or(Some(""), Option::as_deref);
                let inside = names.map(|names| names.split_ascii_whitespace().map(key).collect());
                modules.entry(key(module)).or_default().inside = inside;
            }
        }
        let doubtful = listing.errors.keys().chain(&listing.open);
        let frameworks = listing.distributions.into_iter();
        let owners = listing.owners.into_iter();
        let labels = listing
            .facts
            .iter()
            .enumerate()
            .filter_map(|(number, facts)| Some((key(Words(facts).model_label()?), number as u32)));
        Ok(Self {
            python: (major, minor),
            models: labels.collect(),
            frameworks: frameworks
                .filter_map(|(name, version)| Some((name.into(), series(&version)?)))
                .collect(),
            modules,
            walked: listing.walked.iter().map(key).collect(),
            doubtful: doubtful.map(key).collect(),
            importable: listing.importable.map(|all| all.iter().map(key).collect()),
            owners: owners.map(|(top, owner)| (key(top), owner)).collect(),
            facts: listing.facts,
        })
    }

    /// The environment's Python: major and minor version.
    pub fn python(&self) -> (u64, u64) {
        self.python
    }

    /// Major and minor version of an installed distribution, by its normalized
    /// name, as in `django`; `None` if it is not there or its version is no
    /// numbers.
    pub fn framework(&self, name: &str) -> Option<(u64, u64)> {
        self.frameworks.get(name).copied()
    }

    /// The distribution that a module is of and, if its version is numbers, the
    /// major and minor version; `None` if none is known to bring it.
    pub fn distribution(&self, module: &[u8]) -> Option<(&str, Option<(u64, u64)>)> {
        let owner = self.owners.get(first_part(module))?;
        Some((owner, self.framework(owner)))
    }

    /// What pickles ask of a class or a function that is listed, in the words that
    /// [`SCRIPT`] explains; `None` if it is not listed, or by a file of the first form.
    pub fn facts(&self, module: &[u8], name: &[u8]) -> Option<&str> {
        let entry = self.modules.get(module)?.names.get(name)?;
        Some(&self.facts[entry.facts? as usize])
    }

    /// All that is listed: modules, and names in them.
    pub fn listed_names(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.modules
            .iter()
            .flat_map(|(module, listed)| listed.names.keys().map(|name| (&**module, &**name)))
    }

    /// What is listed of a name; `None` if its module is not.
    pub(super) fn listed(&self, module: &[u8], name: &[u8]) -> Option<Listed<'_>> {
        let entry = self.modules.get(module)?.names.get(name);
        Some(match entry.map(|entry| entry.facts) {
            None => Listed::No,
            Some(None) => Listed::Yes,
            Some(Some(facts)) => Listed::Facts(&self.facts[facts as usize]),
        })
    }

    /// The facts of a model of Django, by its application and its name.
    pub(super) fn model(&self, [app, name]: [&[u8]; 2]) -> Option<&str> {
        let label = [app, b".", name].concat();
        let facts = self.models.get(label.as_slice())?;
        Some(&self.facts[*facts as usize])
    }

    /// Whether `name` can be loaded from `module`. A dotted name is that of a
    /// nested class, for readers and protocols that take such. `None` where the
    /// inventory cannot say: of modules that were not imported for it, those of
    /// the standard library among them, of attributes of classes, and of
    /// `__main__`. A class or a module that the application makes only while it
    /// runs is taken for missing.
    pub fn knows(&self, module: &[u8], name: &[u8]) -> Option<bool> {
        if let Some(module) = self.modules.get(module) {
            let known = module.names.contains_key(name);
            // The first part decides, unless that is there and the rest may be.
            let may_be = module.open || module.names.contains_key(first_part(name));
            return (known || !may_be).then_some(known);
        }
        let top = first_part(module);
        let elsewhere = |all: &HashSet<Box<[u8]>>| !all.contains(top) && top != b"__main__";
        let within = |packages: &[Box<[u8]>]| packages.iter().any(|p| is_in(module, p));
        let denied = self.importable.as_ref().is_some_and(elsewhere)
            || self.lacks(module)
            || within(&self.walked) && !within(&self.doubtful);
        denied.then_some(false)
    }

    /// Whether what was imported above a module has no such thing in it.
    fn lacks(&self, module: &[u8]) -> bool {
        let mut steps = memchr::memchr_iter(b'.', module).map_while(|dot| {
            let above = self.modules.get(&module[..dot])?;
            Some((above.inside.as_ref(), first_part(&module[dot + 1..])))
        });
        steps.any(|(inside, next)| inside.is_some_and(|all| !all.contains(next)))
    }

    /// Whether it is a classic ("old-style") class there, on Python 2.
    pub fn is_classic(&self, module: &[u8], name: &[u8]) -> bool {
        self.is(Kinds::CLASSIC, module, name)
    }

    /// Whether it is a class derived from `str` on Python 2, `bytes` on Python 3.
    pub fn is_bytes_based(&self, module: &[u8], name: &[u8]) -> bool {
        self.is(Kinds::BYTES_BASED, module, name)
    }

    /// Whether it is a class derived from `unicode` on Python 2, `str` on
    /// Python 3.
    pub fn is_text_based(&self, module: &[u8], name: &[u8]) -> bool {
        self.is(Kinds::TEXT_BASED, module, name)
    }

    /// Whether it is a class whose instances take no state that is a dict: they
    /// have neither `__dict__` nor `__setstate__`.
    pub fn has_no_dict(&self, module: &[u8], name: &[u8]) -> bool {
        self.is(Kinds::NO_DICT, module, name)
    }

    fn is(&self, kind: Kinds, module: &[u8], name: &[u8]) -> bool {
        let module = self.modules.get(module);
        let entry = module.and_then(|module| module.names.get(name));
        entry.is_some_and(|entry| entry.kinds.0 & kind.0 != 0)
    }
}

/// Reads all of a file, or one byte more than is taken.
fn at_most(file: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn key(text: impl AsRef<str>) -> Box<[u8]> {
    text.as_ref().as_bytes().into()
}

/// The leading two numbers of a version: `(5, 2)` of `5.2rc1`.
fn series(version: &str) -> Option<(u64, u64)> {
    let number = |part: &str| {
        let digits = part.find(|c: char| !c.is_ascii_digit());
        part[..digits.unwrap_or(part.len())].parse().ok()
    };
    let (major, rest) = version.split_once('.').unwrap_or((version, "0"));
    Some((number(major)?, number(rest)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    // Written in tests/pickle/inventory, with Pythons that have nothing installed:
    // python -B -S - --import sampleapp.models --walk sampleapp < ../../src/pickle/inventory.py
    const PY2: &str = include_str!("../../tests/fixtures/inventory/py2.7.json");
    const PY3: &str = include_str!("../../tests/fixtures/inventory/py3.13.json");

    fn read(text: &str) -> Inventory {
        Inventory::read("app.json", text.as_bytes()).unwrap()
    }

    fn error(text: &str) -> String {
        let error = Inventory::read("app.json", text.as_bytes()).unwrap_err();
        error.to_string()
    }

    #[test]
    fn names_of_the_application_are_known() {
        for (inventory, python) in [(read(PY2), (2, 7)), (read(PY3), (3, 13))] {
            assert_eq!(inventory.python(), python);
            let knows =
                |module: &str, name: &str| inventory.knows(module.as_bytes(), name.as_bytes());
            assert_eq!(knows("sampleapp.models", "Outer"), Some(true));
            assert_eq!(knows("sampleapp.models", "Outer.Inner"), Some(true));
            assert_eq!(knows("sampleapp.models", "make"), Some(true));
            assert_eq!(knows("sampleapp.models", "Gone"), Some(false));
            assert_eq!(knows("sampleapp.models", "Gone.Inner"), Some(false));
            // All of the package was imported, so what is not there is nowhere.
            assert_eq!(knows("sampleapp.gone", "Outer"), Some(false));
            assert_eq!(knows("no_such_package.models", "Outer"), Some(false));
        }
    }

    #[test]
    fn what_the_listing_may_lack_is_not_denied() {
        let inventory = read(PY3);
        let knows = |module: &str, name: &str| inventory.knows(module.as_bytes(), name.as_bytes());
        // A method, which only its class knows.
        assert_eq!(knows("sampleapp.models", "Outer.method"), None);
        // One makes its names up, one could not be imported.
        assert_eq!(knows("sampleapp.lazy", "Anything"), None);
        assert_eq!(knows("sampleapp.broken", "Anything"), None);
        // There, but not imported.
        assert_eq!(knows("decimal", "Decimal"), None);
        assert_eq!(knows("__main__", "Outer"), None);
    }

    #[test]
    fn a_package_has_no_other_modules_than_it_lists() {
        let mut value: serde_json::Value = serde_json::from_str(PY3).unwrap();
        value["walked"] = serde_json::json!([]);
        value["importable"] = serde_json::json!(["json", "sampleapp", "shop", "six"]);
        value["modules"] = serde_json::json!({
            "sampleapp": "", "shop": "", "shop.models": "Order", "shop.ways": "Way", "six": "",
        });
        value["packages"] = serde_json::json!({
            "sampleapp": "", "shop": "__init__ models ways forms 0001_initial", "shop.ways": null, "six": null,
        });
        let inventory = read(&value.to_string());
        let knows = |module: &str| inventory.knows(module.as_bytes(), b"x");
        for lacking in [
            "sampleapp.models",
            "shop.text",
            "shop.text.models",
            "shop.model",
            "shop.",
            "shop..models",
            // No package at all.
            "shop.models.base",
        ] {
            assert_eq!(knows(lacking), Some(false), "{lacking}");
        }
        for other in [
            "shop.forms",
            "shop.forms.fields",
            "shop.0001_initial",
            "shop.ways.made",
            "six.moves.urllib.parse",
            "json.gone",
        ] {
            assert_eq!(knows(other), None, "{other}");
        }
        let dots = ".".repeat(1 << 20);
        assert_eq!(knows(&format!("shop.ways{dots}")), None);

        let fields = value.as_object_mut().unwrap();
        fields.remove("packages").unwrap();
        let older = read(&value.to_string());
        assert_eq!(older.knows(b"shop.text", b"x"), None);
        assert_eq!(older.knows(b"shop.models.base", b"x"), None);
    }

    #[test]
    fn without_all_top_level_modules_none_is_denied() {
        let mut value: serde_json::Value = serde_json::from_str(PY3).unwrap();
        value["importable"] = serde_json::Value::Null;
        value["packages"] = serde_json::Value::Null;
        value["walked"] = serde_json::json!([]);
        let inventory = read(&value.to_string());
        assert_eq!(inventory.knows(b"no_such_package", b"x"), None);
        assert_eq!(inventory.knows(b"sampleapp.gone", b"x"), None);
        assert_eq!(inventory.knows(b"sampleapp.models", b"Gone"), Some(false));
    }

    #[test]
    fn classes_are_of_the_kinds_that_their_python_makes_them() {
        let (py2, py3) = (read(PY2), read(PY3));
        let module = b"sampleapp.models";
        assert!(py2.is_classic(module, b"Classic") && !py3.is_classic(module, b"Classic"));
        assert!(!py2.is_classic(module, b"Outer") && !py2.is_classic(module, b"Gone"));
        assert!(py2.is_bytes_based(module, b"Name") && py3.is_text_based(module, b"Name"));
        assert!(!py2.is_text_based(module, b"Name") && !py3.is_bytes_based(module, b"Name"));
        for inventory in [py2, py3] {
            assert!(inventory.has_no_dict(module, b"Slotted"));
            assert!(!inventory.has_no_dict(module, b"Outer"));
            assert!(!inventory.has_no_dict(module, b"SlottedWithState"));
        }
    }

    #[test]
    fn versions_are_told_by_their_series() {
        let mut value: serde_json::Value = serde_json::from_str(PY3).unwrap();
        value["distributions"] = serde_json::json!({
            "django": "5.2rc1", "numpy": "1.16.6", "pytz": "2026", "odd": "unknown", "v": "1.x"
        });
        let inventory = read(&value.to_string());
        let versions =
            ["django", "numpy", "pytz", "odd", "v", "none"].map(|name| inventory.framework(name));
        let expected = [
            Some((5, 2)),
            Some((1, 16)),
            Some((2026, 0)),
            None,
            None,
            None,
        ];
        assert_eq!(versions, expected);
    }

    #[test]
    fn other_files_are_refused_with_the_reason() {
        assert_eq!(
            error("{\"format\": 3}"),
            "app.json: not an inventory: format 3, where 2 is known"
        );
        assert_eq!(
            error("{}"),
            "app.json: not an inventory: missing field `format` at line 1 column 2"
        );
        assert!(error("").starts_with("app.json: not an inventory: EOF"));
        assert!(error(&"[".repeat(1 << 20)).starts_with("app.json: not an inventory: "));
        assert!(error(&PY3[..PY3.len() / 2]).starts_with("app.json: not an inventory: EOF"));
        let endless = Inventory::read("app.json", io::repeat(b' ')).unwrap_err();
        assert_eq!(
            endless.to_string(),
            "app.json: not an inventory: longer than 67108864 bytes"
        );
    }
}
