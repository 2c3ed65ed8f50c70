//! What the standard library of each Python calls its things: which classes
//! and functions a pickle can name there, and how names cross 2 and 3.
//!
//! The facts are in `names.txt` and `compat.txt`, which `generate.py` writes by
//! asking the interpreters. Only Python 3.14 was not asked: it is taken for 3.13.
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

/// One module of the standard library.
#[derive(Debug, Default)]
struct Module {
    /// The versions that have it.
    has: Versions,
    /// Those that may: on other platforms, or as a package from `PyPI`.
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

/// Which versions have the module, or may have it. One that no version was seen
/// to have may be wherever its top-level package is. `None` if that is in no
/// version's standard library: the table cannot say.
pub fn module(module: &[u8]) -> Option<Versions> {
    let known = MODULES.get(module);
    let known = known.or_else(|| MODULES.get(first_part(module)))?;
    Some(known.has | known.may_have)
}

/// In which versions `name` is an attribute of `module`, or may be. A name that
/// no version was seen to have may be wherever the module is: other micro
/// versions and other platforms have more, and of the names of plain numbers,
/// strings and modules, which no pickle holds, the table has none. `None` as for
/// [`module`]; `__main__` is not in the table.
///
/// The name is one attribute: of a dotted name, look up its [`first_part`].
pub fn lookup(module: &[u8], name: &[u8]) -> Option<Versions> {
    if let Some((module, name)) = entry(module, name) {
        return Some(name.versions | module.may_have);
    }
    let Versions(has_module) = self::module(module)?;
    // What one side of a renamed module has gained or lost goes by the other's
    // name below protocol 3, and will not come to be there.
    let known = |(module, name)| entry(module, name).is_some();
    let py2 = 1 << PythonVersion::Py27 as u16;
    Some(Versions(if known(to_py3(module, name)) {
        has_module & !py2
    } else if known(to_py2(module, name)) {
        has_module & py2
    } else {
        has_module
    }))
}

/// Whether `name` in `module` is a classic ("old-style") class on 2.7: one that
/// `NEWOBJ` and `copy_reg._reconstructor` refuse there.
pub fn is_classic_27(module: &[u8], name: &[u8]) -> bool {
    entry(module, name).is_some_and(|(_, name)| name.classic)
}

fn entry(module: &[u8], name: &[u8]) -> Option<(&'static Module, Name)> {
    let module = MODULES.get(module)?;
    Some((module, *module.names.get(name)?))
}

/// The first part of a dotted name: the attribute of the module, or the top-level
/// package.
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
    use super::PythonVersion::{Py27, Py36, Py37, Py38, Py39, Py310, Py311, Py313, Py314};
    use super::*;

    /// What the table says; it must say something.
    fn versions_of(module: &str, name: &str) -> Vec<PythonVersion> {
        let versions = lookup(module.as_bytes(), name.as_bytes()).unwrap();
        let all = PythonVersion::ALL.into_iter();
        all.filter(|version| versions.contains(*version)).collect()
    }

    fn since(first: PythonVersion) -> Vec<PythonVersion> {
        let all = PythonVersion::ALL.into_iter();
        all.filter(|version| *version >= first).collect()
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
        assert_eq!(versions_of("__builtin__", "object"), [Py27]);
        assert_eq!(versions_of("builtins", "__import__"), since(Py36));
        assert_eq!(versions_of("datetime", "timezone"), since(Py36));
        assert_eq!(
            versions_of("asyncio.exceptions", "CancelledError"),
            since(Py38)
        );
        assert_eq!(versions_of("zoneinfo", "ZoneInfo"), since(Py39));
        assert_eq!(versions_of("typing", "ParamSpec")[1..], since(Py310));
        assert_eq!(versions_of("types", "UnionType"), since(Py310));
        // Deprecated names that dir() does not show.
        assert_eq!(
            versions_of("collections", "Mapping"),
            [Py27, Py36, Py37, Py38, Py39]
        );
        // As Python 3.10 writes it at protocol 2, and Python 3 reads what 2.7 wrote.
        assert_eq!(versions_of("__builtin__", "EncodingWarning"), []);
        assert_eq!(versions_of("builtins", "buffer"), []);
        assert_eq!(versions_of("imp", "load_module").last(), Some(&Py311));
    }

    #[test]
    fn what_is_not_sure_is_not_denied() {
        // enum34 and pathlib are on PyPI for 2.7.
        assert_eq!(versions_of("enum", "Enum"), since(Py27));
        assert_eq!(versions_of("pathlib._local", "PosixPath"), [Py313, Py314]);
        // Windows has it, and this table was not made there.
        assert_eq!(
            versions_of("asyncio.windows_events", "IocpProactor"),
            since(Py36)
        );
        // Nobody has it, as far as was seen.
        assert_eq!(versions_of("os", "startfile"), since(Py27));
        assert_eq!(versions_of("asyncio.nothing", "Nothing"), since(Py36));
        assert_eq!(versions_of("UserDict", "Nothing"), [Py27]);
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
            assert_eq!(lookup(module.as_bytes(), b"object"), None, "{module}");
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
