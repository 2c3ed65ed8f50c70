//! Names in the standard library of each `CPython`: which classes and functions a pickle
//! can name there, and how names cross 2 and 3.
//!
//! The facts are in `names.txt` and `compat.txt`, which `generate.py` writes by
//! asking the interpreters, and in `produces.txt`, which `produces.py` writes.
//!
//! Everything here errs on one side: what the table says a version lacks, it
//! lacks; what it does not say so of may still be lacking.

mod compat;
mod version;

use std::sync::LazyLock;

use foldhash::fast::FixedState;

pub use compat::{to_py2, to_py3};
pub use version::{PythonVersion, Versions};

/// The keys come from the committed data alone, so no seed has to be secret.
type HashMap<K, V> = std::collections::HashMap<K, V, FixedState>;
type HashSet<K> = std::collections::HashSet<K, FixedState>;

/// One module of the standard library.
#[derive(Debug, Default)]
struct Module {
    /// The versions that have it.
    has: Versions,
    /// The versions that may have it: on other platforms, or as a package from `PyPI`.
    may_have: Versions,
    names: HashMap<&'static [u8], Name>,
}

#[derive(Debug, Clone, Copy)]
struct Name {
    versions: Versions,
    /// Whether 2.7 has it as a classic class.
    classic: bool,
}

static MODULES: LazyLock<HashMap<&[u8], Module>> =
    LazyLock::new(|| parse(include_str!("names.txt")));

/// The packages of Python 3's standard library.
static PACKAGES: LazyLock<HashSet<&[u8]>> = LazyLock::new(|| {
    let modules = MODULES
        .iter()
        .filter(|(_, found)| found.has & Versions::PY3 != Versions::default());
    let inner = modules.filter(|(module, _)| module.contains(&b'.'));
    inner.map(|(module, _)| first_part(module)).collect()
});

/// The table's answer about an attribute of a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Presence {
    /// The versions that were seen to have it; `None` if none was: other micro
    /// versions and other platforms have more, and of the names of plain numbers,
    /// strings and modules, which no pickle holds, the table has none.
    pub listed: Option<Versions>,
    /// The versions that have its module.
    pub module: Versions,
    /// The versions whose module may be another than the one that was seen: on other
    /// platforms, or as a package from `PyPI`.
    pub foreign: Versions,
}

impl Presence {
    /// The versions that have it, or may.
    pub fn versions(self) -> Versions {
        self.listed.unwrap_or(self.module) | self.foreign
    }
}

/// Looks up the attribute `name` of `module`. `None` if its top-level module is in no
/// version's standard library: the table cannot say; `__main__` is not in it.
///
/// The name is one attribute: of a dotted name, look up what
/// [`first_part`] gives.
pub fn lookup(module: &[u8], name: &[u8]) -> Option<Presence> {
    let mut path = module;
    loop {
        if let Some(found) = MODULES.get(path) {
            let own = path.len() == module.len();
            let listed = found.names.get(name).filter(|_| own);
            return Some(Presence {
                listed: listed.map(|name| name.versions),
                module: found.has,
                foreign: found.may_have,
            });
        }
        // A module that no version was seen to have may be wherever its package is.
        path = &path[..memchr::memrchr(b'.', path)?];
    }
}

/// Whether `name` in `module` is a classic ("old-style") class on 2.7: one that
/// `NEWOBJ` and `copy_reg._reconstructor` refuse there.
pub fn is_classic_27(module: &[u8], name: &[u8]) -> bool {
    let name = MODULES
        .get(module)
        .and_then(|module| module.names.get(name));
    name.is_some_and(|name| name.classic)
}

/// The versions that have a module from `PyPI` only, if they have it: it is of the
/// standard library of others.
pub fn backported(module: &[u8]) -> Versions {
    let top = first_part(module);
    // The table lists what these hold for 2.7.
    if matches!(top, b"enum" | b"pathlib") {
        return Versions::PY2;
    }
    MODULES
        .get(top)
        .map_or(Versions::default(), |found| found.may_have)
}

/// Whether the standard library has, or may have, such a name in such a module: of
/// what only Python 2.7 has, no other than it was seen to have, for applications have
/// modules of these names.
pub fn is_standard(module: &[u8], name: &[u8]) -> bool {
    let since_3 =
        |found: &Module| (found.has | found.may_have) & Versions::PY3 != Versions::default();
    match MODULES.get(module) {
        Some(found) => found.names.contains_key(first_part(name)) || since_3(found),
        // A later version may have more modules in its packages.
        None => PACKAGES.contains(first_part(module)),
    }
}

/// Whether a module of the standard library was seen to have it: a class, a function
/// or another object, but no module.
pub fn is_listed(module: &str, name: &str) -> bool {
    let found = MODULES.get(module.as_bytes());
    found.is_some_and(|found| found.names.contains_key(first_part(name.as_bytes())))
}

/// Names that pickles call because pickling itself writes such calls: the kind of the
/// call, as the head of `produces.txt` describes it, and the name.
pub fn produced() -> impl Iterator<Item = (&'static str, &'static str)> {
    let lines = include_str!("produces.txt").lines();
    lines
        .filter_map(|line| line.split_once(' '))
        .filter(|(kind, _)| *kind != "#")
}

/// Whether a module is the package or anywhere in it.
pub fn is_in(module: &[u8], package: &[u8]) -> bool {
    let rest = module.strip_prefix(package);
    rest.is_some_and(|rest| matches!(rest, [] | [b'.', ..]))
}

/// The first part of a dotted name, which is the attribute of the module.
pub fn first_part(name: &[u8]) -> &[u8] {
    memchr::memchr(b'.', name).map_or(name, |at| &name[..at])
}

/// Reads the form that the head of `names.txt` describes.
///
/// # Panics
///
/// If it is not in that form; a test reads all there is.
fn parse(text: &'static str) -> HashMap<&'static [u8], Module> {
    let mut modules: HashMap<&[u8], Module> = HashMap::default();
    let mut current = "";
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let mut words = line.split_ascii_whitespace();
        let mut word = || words.next();
        let versions = |word: &str| Versions(u16::from_str_radix(word, 16).expect("a mask"));
        if line.starts_with(' ') {
            let versions = versions(word().expect("a mask"));
            let module = modules.entry(current.as_bytes()).or_default();
            module.names.extend(words.map(|word| {
                let name = word.strip_suffix('*');
                let classic = name.is_some();
                let name = name.unwrap_or(word).as_bytes();
                (name, Name { versions, classic })
            }));
        } else {
            current = word().expect("a module");
            let module = modules.entry(current.as_bytes()).or_default();
            module.has = versions(word().expect("a mask"));
            module.may_have = word().map(versions).unwrap_or_default();
        }
    }
    modules
}

#[cfg(test)]
mod tests {
    use super::PythonVersion::{
        Py27, Py36, Py37, Py38, Py39, Py310, Py311, Py312, Py313, Py314, Py315,
    };
    use super::*;

    fn list(versions: Option<Versions>) -> Option<Vec<PythonVersion>> {
        let contained = |set: Versions| move |version: &PythonVersion| set.contains(*version);
        versions.map(|set| {
            PythonVersion::ALL
                .into_iter()
                .filter(contained(set))
                .collect()
        })
    }

    fn versions_of(module: &str, name: &str) -> Option<Vec<PythonVersion>> {
        list(lookup(module.as_bytes(), name.as_bytes()).map(Presence::versions))
    }

    // As the table answers.
    #[allow(clippy::unnecessary_wraps)]
    fn since(first: PythonVersion) -> Option<Vec<PythonVersion>> {
        Some(
            PythonVersion::ALL
                .into_iter()
                .filter(|version| *version >= first)
                .collect(),
        )
    }

    #[test]
    fn names_are_where_the_interpreters_have_them() {
        for (module, name) in [
            ("collections", "OrderedDict"),
            ("datetime", "datetime"),
            ("decimal", "Decimal"),
            ("uuid", "UUID"),
        ] {
            assert_eq!(versions_of(module, name), since(Py27), "{module}.{name}");
        }
        assert_eq!(versions_of("__builtin__", "object"), Some(vec![Py27]));
        assert_eq!(versions_of("builtins", "__import__"), since(Py36));
        assert_eq!(versions_of("datetime", "timezone"), since(Py36));
        assert_eq!(
            versions_of("asyncio.exceptions", "CancelledError"),
            since(Py38)
        );
        assert_eq!(versions_of("zoneinfo", "ZoneInfo"), since(Py39));
        assert_eq!(
            versions_of("typing", "ParamSpec").map(|v| v[1..].to_vec()),
            since(Py310)
        );
        assert_eq!(versions_of("types", "UnionType"), since(Py310));
        // Deprecated names that dir() does not show.
        assert_eq!(
            versions_of("collections", "Mapping"),
            Some(vec![Py27, Py36, Py37, Py38, Py39])
        );
        assert_eq!(
            versions_of("imp", "load_module").map(|v| v.contains(&Py312)),
            Some(false)
        );
    }

    #[test]
    fn what_is_not_sure_is_not_denied() {
        // enum34 is on PyPI for 2.7.
        assert_eq!(versions_of("enum", "Enum"), since(Py27));
        assert_eq!(
            versions_of("pathlib._local", "PosixPath"),
            Some(vec![Py313, Py314, Py315])
        );
        // Windows has it, and this table was not made there.
        assert_eq!(
            versions_of("asyncio.windows_events", "IocpProactor"),
            since(Py36)
        );
        // Nobody has it, as far as was seen.
        assert_eq!(versions_of("os", "startfile"), since(Py27));
        assert_eq!(versions_of("asyncio.nothing", "Nothing"), since(Py36));
        assert_eq!(versions_of("UserDict", "Nothing"), Some(vec![Py27]));
        assert_eq!(versions_of("tomllib", "Nothing"), since(Py311));
    }

    #[test]
    fn outside_the_standard_library_the_table_cannot_say() {
        for module in [
            "django.http",
            "__main__",
            "",
            ".",
            "os\0",
            "msvcrt",
            "test.support",
        ] {
            assert_eq!(versions_of(module, "object"), None, "{module}");
        }
    }

    #[test]
    fn classic_classes_are_those_of_2_7() {
        for (module, name) in [
            ("UserDict", "UserDict"),
            ("cookielib", "Cookie"),
            ("xmlrpclib", "DateTime"),
            ("Queue", "Queue"),
        ] {
            assert!(
                is_classic_27(module.as_bytes(), name.as_bytes()),
                "{module}.{name}"
            );
        }
        for (module, name) in [
            ("UserDict", "Nothing"),
            ("collections", "OrderedDict"),
            ("Queue", "Empty"),
            ("nowhere", "Cookie"),
        ] {
            assert!(
                !is_classic_27(module.as_bytes(), name.as_bytes()),
                "{module}.{name}"
            );
        }
    }

    #[test]
    fn a_dotted_name_starts_with_an_attribute() {
        assert_eq!(first_part(b"Outer.Inner.method"), b"Outer");
        assert_eq!(first_part(b"Outer"), b"Outer");
        assert_eq!(first_part(b".x"), b"");
    }

    /// As `parse` does not notice: names twice, masks outside the module's.
    #[test]
    fn the_data_is_consistent() {
        for (name, module) in MODULES.iter() {
            let name = String::from_utf8_lossy(name);
            assert_eq!(module.has.0 & module.may_have.0, 0, "{name}");
            assert_eq!(
                (module.has | module.may_have).0 >> PythonVersion::ALL.len(),
                0,
                "{name}"
            );
            for has in module.names.values() {
                assert_eq!(has.versions.0 & !module.has.0, 0, "{name}");
                assert_ne!(has.versions.0, 0, "{name}");
            }
        }
    }
}
