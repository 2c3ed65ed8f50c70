//! Names in the reader's environment for the things that a pickle names.

use super::Environment;
use crate::pickle::names::{to_py2, to_py3};

/// A module and what is in it. The module's name is in two pieces, the first of
/// which may be empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Name<'n> {
    pub(super) package: &'n [u8],
    pub(super) module: &'n [u8],
    pub(super) attribute: &'n [u8],
}

impl<'n> Name<'n> {
    pub(super) fn new(module: &'n [u8], name: &'n [u8]) -> Self {
        Self {
            package: b"",
            module,
            attribute: name,
        }
    }

    /// Fits Python 2, whose identifiers are ASCII.
    pub(super) fn is_ascii(self) -> bool {
        self.module.is_ascii() && self.attribute.is_ascii()
    }

    /// Fits into lines.
    pub(super) fn is_one_line(self) -> bool {
        !self.module.contains(&b'\n') && !self.attribute.contains(&b'\n')
    }
}

/// Python 2's name for what a pickle of this protocol names, but for attributes of
/// it (dots). Below 3 it has been named so already.
pub(super) fn for_python2<'n>(module: &'n [u8], name: &'n [u8], protocol: u8) -> Name<'n> {
    let name = match (module, name) {
        // Since Django 2.0 the safe text has the name that was the safe bytes'
        // on Python 2, which has Django 1.11 at most.
        (b"django.utils.safestring", b"SafeString") => b"SafeText",
        _ => name,
    };
    if let Some(renamed) = numpy_without_underscore(module, name) {
        return renamed;
    }
    if protocol < 3 {
        return Name::new(module, name);
    }
    let (module, name) = to_py2(module, name);
    Name::new(module, name)
}

/// Python 3's name for what Python 2 has named.
pub(super) fn for_python3<'n>(
    module: &'n [u8],
    name: &'n [u8],
    environment: &dyn Environment,
) -> Name<'n> {
    let (module, name) = to_py3(module, name);
    of_numpy(module, name, environment).unwrap_or_else(|| Name::new(module, name))
}

/// `NumPy` 2 renamed `numpy.core` to `numpy._core`: the name under which the reader
/// has it, if it is known to have it only there.
pub(super) fn of_numpy<'n>(
    module: &'n [u8],
    name: &'n [u8],
    environment: &dyn Environment,
) -> Option<Name<'n>> {
    if !module.starts_with(b"numpy.") || environment.has(module, name) != Some(false) {
        return None;
    }
    numpy_without_underscore(module, name).or_else(|| {
        let rest = rest_of(module, b"numpy.core")?;
        Some(Name {
            package: b"numpy._core",
            module: rest,
            attribute: name,
        })
    })
}

fn numpy_without_underscore<'n>(module: &'n [u8], name: &'n [u8]) -> Option<Name<'n>> {
    let rest = rest_of(module, b"numpy._core")?;
    Some(Name {
        package: b"numpy.core",
        module: rest,
        attribute: name,
    })
}

/// The rest of a module's name after its package's.
fn rest_of<'n>(module: &'n [u8], package: &[u8]) -> Option<&'n [u8]> {
    let rest = module.strip_prefix(package)?;
    (rest.is_empty() || rest[0] == b'.').then_some(rest)
}
