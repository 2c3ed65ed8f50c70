//! The names that changed between Python 2 and 3, in both directions. What
//! Python 3 does with them, it does below protocol 3 only, and unless the
//! application said `fix_imports=False`; Python 2 never does.

use std::sync::LazyLock;

use super::HashMap;

/// A module, and an attribute of it.
type Global<'a> = (&'a [u8], &'a [u8]);

/// One direction.
#[derive(Debug, Default)]
struct Renames {
    names: HashMap<Global<'static>, Global<'static>>,
    modules: HashMap<&'static [u8], &'static [u8]>,
}

#[derive(Debug, Default)]
struct Compat {
    to_py3: Renames,
    to_py2: Renames,
}

static COMPAT: LazyLock<Compat> = LazyLock::new(|| parse(include_str!("compat.txt")));

/// The name that Python 3's unpickler looks up for one in a pickle below protocol 3.
pub fn to_py3<'a>(module: &'a [u8], name: &'a [u8]) -> (&'a [u8], &'a [u8]) {
    COMPAT.to_py3.of(module, name)
}

/// The name that Python 3's pickler writes below protocol 3 for one of its own.
pub fn to_py2<'a>(module: &'a [u8], name: &'a [u8]) -> (&'a [u8], &'a [u8]) {
    COMPAT.to_py2.of(module, name)
}

impl Renames {
    /// The name as a whole has precedence; the module is renamed only where
    /// nothing is known of the name.
    fn of<'a>(&'static self, module: &'a [u8], name: &'a [u8]) -> Global<'a> {
        if let Some(global) = self.names.get(&(module, name)) {
            return *global;
        }
        let renamed = self.modules.get(module);
        (renamed.copied().unwrap_or(module), name)
    }
}

/// Reads tables under their headings: pairs of names, or of modules.
///
/// # Panics
///
/// If it is not in that form; a test reads all there is.
fn parse(text: &'static str) -> Compat {
    let mut compat = Compat::default();
    let mut heading = "";
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if !line.starts_with(' ') {
            heading = line;
            continue;
        }
        let renames = if heading.starts_with("REVERSE_") {
            &mut compat.to_py2
        } else {
            &mut compat.to_py3
        };
        let words: Vec<&[u8]> = line.split_ascii_whitespace().map(str::as_bytes).collect();
        match words[..] {
            [from, to] => drop(renames.modules.insert(from, to)),
            [module, name, to, new] => drop(renames.names.insert((module, name), (to, new))),
            _ => panic!("compat.txt: {line}"),
        }
    }
    compat
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_goes_before_its_module() {
        for ((module, name), expected) in [
            (("__builtin__", "unicode"), ("builtins", "str")),
            (("__builtin__", "set"), ("builtins", "set")),
            (
                ("copy_reg", "_reconstructor"),
                ("copyreg", "_reconstructor"),
            ),
            (("itertools", "izip"), ("builtins", "zip")),
            (("itertools", "chain"), ("itertools", "chain")),
            (("urllib2", "URLError"), ("urllib.error", "URLError")),
            (("myapp", "unicode"), ("myapp", "unicode")),
        ] {
            let (to, new) = expected;
            assert_eq!(
                to_py3(module.as_bytes(), name.as_bytes()),
                (to.as_bytes(), new.as_bytes())
            );
        }
    }

    #[test]
    fn python_3_writes_the_names_of_python_2() {
        for ((module, name), expected) in [
            (("builtins", "str"), ("__builtin__", "unicode")),
            (("builtins", "set"), ("__builtin__", "set")),
            (("builtins", "ValueError"), ("exceptions", "ValueError")),
            (
                ("collections", "UserDict"),
                ("UserDict", "IterableUserDict"),
            ),
            (
                ("collections", "OrderedDict"),
                ("collections", "OrderedDict"),
            ),
            (("http.cookies", "Morsel"), ("Cookie", "Morsel")),
        ] {
            let (to, new) = expected;
            assert_eq!(
                to_py2(module.as_bytes(), name.as_bytes()),
                (to.as_bytes(), new.as_bytes())
            );
        }
    }
}
