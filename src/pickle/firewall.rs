//! The firewall: which pickles nobody is to be handed, by what they name and do.
//!
//! A list of what is forbidden always leaves something out, as every public
//! scanner's history shows; a list of what is allowed, each name with its role,
//! does not. Both also refuse the structures that no pickler writes: a second
//! PROTO, bytes after STOP, calls of what a call gave, a state for a global,
//! constructors that allocate as much as a bare integer says, persistent ids.
//! (Lengths beyond the end and memo indices beyond what came before are broken
//! for every scan.)

use std::fmt;

use super::scan::{GlobalRef, Scan};

/// What is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Firewall {
    /// What matches a pattern.
    Deny(Vec<Pattern>),
    /// What is not listed.
    Allow(Allowed),
}

/// `module.name`, or `module.*` for all that is in a module or below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    path: Box<str>,
    below: bool,
}

/// Exact names, each with its role.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allowed {
    /// Sorted.
    entries: Vec<Box<str>>,
}

/// What the built-in deny list holds: ways from a pickle to code, files and
/// processes.
pub const DENIED: &[&str] = &[
    "__builtin__.__import__",
    "__builtin__.apply",
    "__builtin__.compile",
    "__builtin__.delattr",
    "__builtin__.eval",
    "__builtin__.execfile",
    "__builtin__.file",
    "__builtin__.open",
    "__builtin__.setattr",
    "_io.FileIO",
    "_io.open",
    "_pickle.*",
    "_posixsubprocess.*",
    "asyncio.*",
    "bdb.*",
    "builtins.__import__",
    "builtins.compile",
    "builtins.delattr",
    "builtins.eval",
    "builtins.exec",
    "builtins.open",
    "builtins.setattr",
    "cPickle.*",
    "cProfile.*",
    "code.*",
    "codeop.*",
    "commands.*",
    "ctypes.*",
    "dill.*",
    "distutils.*",
    "django.conf.*",
    "django.core.management.*",
    "django.core.serializers.*",
    "django.template.Template",
    "django.utils.module_loading.*",
    "doctest.*",
    "ensurepip.*",
    "functools.partial",
    "functools.reduce",
    "imp.*",
    "importlib.*",
    "io.FileIO",
    "io.open",
    "joblib.*",
    "logging.config.*",
    "marshal.*",
    "multiprocessing.*",
    "nt.*",
    "numpy.f2py.*",
    "numpy.testing.*",
    "operator.attrgetter",
    "operator.methodcaller",
    "os.*",
    "pdb.*",
    "pickle.*",
    "pip.*",
    "pkgutil.*",
    "platform.*",
    "popen2.*",
    "posix.*",
    "profile.*",
    "pty.*",
    "pydoc.*",
    "runpy.*",
    "setuptools.*",
    "shelve.*",
    "shutil.*",
    "site.*",
    "socket.*",
    "subprocess.*",
    "sys.*",
    "tempfile.*",
    "timeit.*",
    "trace.*",
    "types.CodeType",
    "types.FunctionType",
    "unittest.*",
    "urllib.*",
    "urllib2.*",
    "webbrowser.*",
    "yaml.*",
];

/// Why the firewall refuses a pickle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // The variants' texts are their documentation.
pub enum Refused<'s> {
    Denied {
        module: &'s str,
        name: &'s str,
    },
    NotAllowed {
        role: Role,
        module: &'s str,
        name: &'s str,
        attribute: Option<&'s str>,
    },
    Structure(&'static str),
}

/// What a pickle does with a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Calls or instantiates it.
    Call,
    /// Holds it, or gives it to a call.
    Data,
    /// Takes an attribute of it, or names something nested in it.
    Getattr,
}

impl Role {
    /// As lists have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Data => "data",
            Self::Getattr => "getattr",
        }
    }
}

/// A list's entry that is not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ListError {
    /// Of a deny list.
    #[error("\"{0}\" is no pattern: write module.name or module.*")]
    Pattern(String),
    /// Of an allow list.
    #[error(
        "\"{0}\" is no entry: write \"call module.name\", \"data module.name\" or \"getattr module.Class.attribute\""
    )]
    Entry(String),
}

impl Firewall {
    /// Refuses what matches one of these patterns; [`DENIED`] is a start.
    ///
    /// # Errors
    /// Names the pattern that is none.
    pub fn deny<'t>(patterns: impl IntoIterator<Item = &'t str>) -> Result<Self, ListError> {
        let patterns = patterns.into_iter().map(Pattern::parse);
        patterns.collect::<Result<_, _>>().map(Self::Deny)
    }

    /// Refuses all but these entries, in the form that `picklegate inspect
    /// --globals` prints.
    ///
    /// # Errors
    /// Names the entry that is none.
    pub fn allow<'t>(entries: impl IntoIterator<Item = &'t str>) -> Result<Self, ListError> {
        let entries = entries.into_iter().map(parse_entry);
        let mut entries: Vec<_> = entries.collect::<Result<_, _>>()?;
        entries.sort_unstable();
        Ok(Self::Allow(Allowed { entries }))
    }

    /// What an allow list must have for a pickle, as roles and dotted names: more
    /// than once where the pickle names a thing in several ways. Extension codes that
    /// are not registered name nothing.
    pub fn uses(scan: &Scan<'_>) -> impl Iterator<Item = (Role, String)> {
        let named = scan.globals().filter(|global| !global.module.is_empty());
        let globals = named.flat_map(|global| {
            let path = format!("{}.{}", global.module, global.name);
            global
                .roles_to_allow()
                .map(move |role| (role, path.clone()))
        });
        let attributes = scan.attributes().map(|(global, attribute)| {
            let GlobalRef { module, name, .. } = global;
            (Role::Getattr, format!("{module}.{name}.{attribute}"))
        });
        globals.chain(attributes)
    }

    /// Whether a pickle may be handed out.
    ///
    /// # Errors
    /// The first reason why not.
    pub fn check<'s>(&self, scan: &Scan<'s>) -> Result<(), Refused<'s>> {
        scan.structure().map_err(Refused::Structure)?;
        for global in scan.globals() {
            let GlobalRef { module, name, .. } = global;
            match self {
                Self::Deny(patterns) => {
                    if patterns.iter().any(|pattern| pattern.matches(module, name)) {
                        return Err(Refused::Denied { module, name });
                    }
                }
                Self::Allow(allowed) => allowed.check(&global)?,
            }
        }
        if let Self::Allow(allowed) = self {
            for (GlobalRef { module, name, .. }, attribute) in scan.attributes() {
                if !allowed.has(Role::Getattr, &[module, name, attribute]) {
                    return Err(Refused::NotAllowed {
                        role: Role::Getattr,
                        module,
                        name,
                        attribute: Some(attribute),
                    });
                }
            }
        }
        Ok(())
    }
}

impl Pattern {
    fn parse(text: &str) -> Result<Self, ListError> {
        let (path, below) = match text.strip_suffix(".*") {
            Some(path) => (path, true),
            None => (text, false),
        };
        let is_path = !path.is_empty() && path.split('.').all(is_identifier);
        if !is_path || (!below && !path.contains('.')) {
            return Err(ListError::Pattern(text.to_owned()));
        }
        Ok(Self {
            path: path.into(),
            below,
        })
    }

    /// Whether it matches the name, or what a module re-exports by it: `os` in
    /// `shutil`, and `os.system` in there.
    fn matches(&self, module: &str, name: &str) -> bool {
        if !self.below {
            return strip_path(&self.path, module) == Some(name);
        }
        let below = |path| strip_path(path, &self.path).is_some();
        below(module) || strip_path(&self.path, module) == Some(name) || parts_of(name).any(below)
    }
}

/// A dotted path, and what is left of it part by part.
fn parts_of(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(path), |path| Some(path.split_once('.')?.1))
}

/// What of a dotted path comes after another: empty if they are equal.
fn strip_path<'p>(path: &'p str, start: &str) -> Option<&'p str> {
    match path.strip_prefix(start)? {
        "" => Some(""),
        rest => rest.strip_prefix('.'),
    }
}

fn is_identifier(part: &str) -> bool {
    part.starts_with(|c: char| c == '_' || c.is_alphabetic())
        && part.chars().all(|c| c == '_' || c.is_alphanumeric())
}

fn parse_entry(text: &str) -> Result<Box<str>, ListError> {
    let role_and_path = text.split_once(' ');
    match role_and_path {
        Some(("call" | "data" | "getattr", path))
            if path.contains('.') && path.split('.').all(is_identifier) =>
        {
            Ok(text.into())
        }
        _ => Err(ListError::Entry(text.to_owned())),
    }
}

impl Allowed {
    fn has(&self, role: Role, path: &[&str]) -> bool {
        let asked = || {
            let parts = path.iter().enumerate();
            let parts = parts.flat_map(|(i, part)| [if i == 0 { " " } else { "." }, part]);
            std::iter::once(role.name())
                .chain(parts)
                .flat_map(str::bytes)
        };
        let found = self
            .entries
            .binary_search_by(|entry| entry.bytes().cmp(asked()));
        found.is_ok()
    }

    fn check<'s>(&self, global: &GlobalRef<'s>) -> Result<(), Refused<'s>> {
        let &GlobalRef { module, name, .. } = global;
        let path = [module, name];
        match global.roles_to_allow().find(|&role| !self.has(role, &path)) {
            Some(role) => Err(Refused::NotAllowed {
                role,
                module,
                name,
                attribute: None,
            }),
            None => Ok(()),
        }
    }
}

impl GlobalRef<'_> {
    /// The roles in which it must be allowed.
    fn roles_to_allow(&self) -> impl Iterator<Item = Role> + use<> {
        let roles = self.roles;
        [
            // A nested name is an attribute of its class, whatever becomes of it.
            (self.name.contains('.'), Role::Getattr),
            (roles.called || roles.instantiated, Role::Call),
            (roles.data || roles.reconstructed, Role::Data),
        ]
        .into_iter()
        .filter_map(|(has, role)| has.then_some(role))
    }
}

impl fmt::Display for Refused<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied { module, name } => write!(f, "firewall: {module}.{name} is denied"),
            Self::NotAllowed {
                role,
                module,
                name,
                attribute,
            } => {
                write!(f, "firewall: \"{} {module}.{name}", role.name())?;
                if let Some(attribute) = attribute {
                    write!(f, ".{attribute}")?;
                }
                f.write_str("\" is not allowed")
            }
            Self::Structure(what) => write!(f, "firewall: {what}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pickle::{Extensions, Scanner};

    fn check(firewall: &Firewall, pickle: &[u8]) -> Result<(), String> {
        let mut scanner = Scanner::default();
        let scan = scanner.scan(pickle, Extensions::NONE).unwrap();
        firewall.check(&scan).map_err(|refused| refused.to_string())
    }

    fn denied(pickle: &[u8]) -> Result<(), String> {
        check(&Firewall::deny(DENIED.iter().copied()).unwrap(), pickle)
    }

    const ORDERED: &[u8] = b"\x80\x02ccollections\nOrderedDict\n)R.";
    const SYSTEM: &[u8] = b"\x80\x02cos\nsystem\nX\x02\x00\x00\x00id\x85R.";

    #[test]
    fn what_leads_out_of_a_pickle_is_denied() {
        assert_eq!(denied(ORDERED), Ok(()));
        assert_eq!(
            denied(SYSTEM),
            Err("firewall: os.system is denied".to_owned())
        );
        for pickle in [
            &b"\x80\x04\x8c\x06shutil\x8c\x09os.system\x93."[..],
            b"\x80\x04\x8c\x14django.utils.version\x8c\x0esubprocess.run\x93.",
            b"cshutil\nos\n.",
            b"cos.path\njoin\n.",
            b"cdistutils.spawn\nspawn\n.",
            b"(S'id'\nios\nsystem\n.",
        ] {
            assert!(denied(pickle).is_err(), "{}", pickle.escape_ascii());
        }
        for pickle in [&b"cmyapp.os\nThing\n."[..], b"cosmos\nsystem\n."] {
            assert_eq!(denied(pickle), Ok(()), "{}", pickle.escape_ascii());
        }
    }

    #[test]
    fn only_what_is_listed_is_allowed_and_only_in_its_role() {
        let firewall = |entries: &[&str]| Firewall::allow(entries.iter().copied()).unwrap();
        let called = firewall(&["call collections.OrderedDict"]);
        assert_eq!(check(&called, ORDERED), Ok(()));
        assert_eq!(
            check(&called, b"\x80\x02ccollections\nOrderedDict\n."),
            Err("firewall: \"data collections.OrderedDict\" is not allowed".to_owned())
        );
        assert!(check(&called, SYSTEM).is_err());
        let zone: &[u8] = b"\x80\x02c__builtin__\ngetattr\nczoneinfo\nZoneInfo\nX\x09\x00\x00\x00_unpickle\x86RK\x01\x85R.";
        let getattr = [
            "call __builtin__.getattr",
            "getattr zoneinfo.ZoneInfo._unpickle",
        ];
        assert_eq!(check(&firewall(&getattr), zone), Ok(()));
        assert_eq!(
            check(&firewall(&getattr[..1]), zone),
            Err("firewall: \"getattr zoneinfo.ZoneInfo._unpickle\" is not allowed".to_owned())
        );
        let nested: &[u8] = b"\x80\x04\x8c\x08zoneinfo\x8c\x12ZoneInfo._unpickle\x93K\x01\x85R.";
        let entries = [
            "getattr zoneinfo.ZoneInfo._unpickle",
            "call zoneinfo.ZoneInfo._unpickle",
        ];
        assert_eq!(check(&firewall(&entries), nested), Ok(()));
        assert!(check(&firewall(&entries[1..]), nested).is_err());
    }

    #[test]
    fn structures_that_no_pickler_writes_are_refused() {
        for (pickle, reason) in [
            (&b"\x80\x02\x80\x04K\x01."[..], "a second PROTO"),
            (b"\x80\x02K\x01.K\x02.", "bytes after STOP"),
            (b"\x80\x02cm\nf\n)R)R.", "a call of what a call gave"),
            (b"\x80\x02cm\nC\n}b.", "a state for a class or module"),
            (
                b"\x80\x02c__builtin__\nbytearray\nJ\x00\xca\x9a;\x85R.",
                "a size without content",
            ),
            (b"\x80\x02K\x01Q.", "a persistent id"),
            (
                b"\x80\x02c__builtin__\ngetattr\nK\x01X\x01\x00\x00\x00x\x86R.",
                "getattr of no class",
            ),
        ] {
            let refused = denied(pickle).unwrap_err();
            assert_eq!(refused, format!("firewall: {reason}"));
        }
    }

    #[test]
    fn entries_that_are_none_are_named() {
        for bad in ["os", "*", "os.*.x", "os..x", ""] {
            assert!(Firewall::deny([bad]).is_err(), "{bad}");
        }
        for bad in ["os.system", "run os.system", "call os", "call os.*"] {
            assert!(Firewall::allow([bad]).is_err(), "{bad}");
        }
    }
}
