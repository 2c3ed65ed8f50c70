//! The firewall: which pickles nobody is to be handed, by what they name and do.
//!
//! A list of what is forbidden always leaves something out, as every public
//! scanner's history shows; a list of what is allowed, each name with its role,
//! does not. Loading a name imports its module, and code runs: so one that is named
//! needs its permission whatever becomes of it. Both lists also refuse the structures
//! that no pickler writes: a second PROTO, bytes after STOP, calls of what a call
//! gave, a state for a global, any change of an object that has its state (a method
//! in the state would be what changes it), items of what is no class, arguments that
//! are no tuple, constructors that allocate as much as a bare integer says, persistent
//! ids. (Lengths beyond the end and memo indices beyond what came
//! before are broken for every scan.)

use std::fmt;

use super::denied::{self, Manners};
use super::paths::{Followed, Paths};
use super::scan::{GlobalRef, Scan};

/// A list by which pickles are refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Firewall {
    /// Refuses what it lists.
    Deny(Denied),
    /// Refuses what it does not list.
    Allow(Allowed),
}

/// A deny list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    /// The patterns of the configuration.
    patterns: Paths,
    /// Besides, what [`denied`] knows.
    built_in: bool,
    /// Entries that pass all the same.
    except: Allowed,
}

/// Exact names, each with its roles.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allowed {
    /// The flags are those of [`Role::flag`].
    entries: Paths,
}

/// The entry of a deny list that stands for the built-in one.
const BUILT_IN: &str = "built-in";

/// The flag of a path in a deny list.
const DENIED: u16 = 1;

/// Why the firewall refuses a pickle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // The variants' texts are their documentation.
pub enum Refused<'s> {
    Denied {
        module: &'s str,
        name: &'s str,
        attribute: Option<&'s str>,
    },
    NotAllowed {
        role: Role,
        module: &'s str,
        name: &'s str,
        attribute: Option<&'s str>,
    },
    Structure(&'static str),
}

/// A use that a pickle makes of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Calls or instantiates it.
    Call,
    /// Holds it, or gives it to a call.
    Data,
    /// Takes an attribute of it, or names something nested in it.
    Getattr,
    /// Does nothing with it: loading the pickle imports it all the same.
    Named,
}

impl Role {
    /// The word for it in lists.
    pub fn name(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Data => "data",
            Self::Getattr => "getattr",
            Self::Named => "named",
        }
    }

    fn of(name: &str) -> Option<Self> {
        let roles = [Self::Call, Self::Data, Self::Getattr, Self::Named];
        roles.into_iter().find(|role| role.name() == name)
    }

    /// The flag of a path that is listed in this role.
    fn flag(self) -> u16 {
        1 << self as u16
    }

    /// The flags of entries that permit it: whoever may do anything with a name may name
    /// it.
    fn permitted_by(self) -> u16 {
        match self {
            Self::Named => u16::MAX,
            _ => self.flag(),
        }
    }
}

/// A list's entry that is not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ListError {
    /// An entry of a deny list.
    #[error("\"{0}\" is no pattern: write module.name, module.* or built-in")]
    Pattern(String),
    /// An entry of an allow list.
    #[error(
        "\"{0}\" is no entry: write \"call module.name\", \"data module.name\", \"named module.name\" or \"getattr module.Class.attribute\""
    )]
    Entry(String),
}

impl Firewall {
    /// Refuses what is known to lead to code, files, processes or the network.
    pub fn built_in() -> Self {
        denied::prepare();
        Self::Deny(Denied {
            patterns: Paths::default(),
            built_in: true,
            except: Allowed::default(),
        })
    }

    /// Refuses what matches one of these patterns, of which `built-in` stands for
    /// [`Firewall::built_in`].
    ///
    /// # Errors
    /// Names the pattern that is none.
    pub fn deny<'t>(patterns: impl IntoIterator<Item = &'t str>) -> Result<Self, ListError> {
        let mut denied = Denied {
            patterns: Paths::default(),
            built_in: false,
            except: Allowed::default(),
        };
        for pattern in patterns {
            if pattern == BUILT_IN {
                denied::prepare();
                denied.built_in = true;
            } else {
                denied.patterns.insert(parse_pattern(pattern)?, DENIED);
            }
        }
        Ok(Self::Deny(denied))
    }

    /// Refuses all but these entries, in the form that `picklegate inspect
    /// --globals` prints.
    ///
    /// # Errors
    /// Names the entry that is none.
    pub fn allow<'t>(entries: impl IntoIterator<Item = &'t str>) -> Result<Self, ListError> {
        let mut allowed = Allowed::default();
        for entry in entries {
            let (role, path) = parse_entry(entry)?;
            allowed.entries.insert(path, role.flag());
        }
        Ok(Self::Allow(allowed))
    }

    /// An allow list of nothing.
    pub fn nothing() -> Self {
        Self::Allow(Allowed::default())
    }

    /// Lets what an allow list has pass this deny list.
    #[must_use]
    pub fn except(mut self, allow: &Self) -> Self {
        if let (Self::Deny(denied), Self::Allow(allowed)) = (&mut self, allow) {
            denied.except = allowed.clone();
        }
        self
    }

    /// The entries that an allow list needs for a pickle, as roles and dotted names: more
    /// than one where the pickle names a thing in several ways. Extension codes that are
    /// not registered name nothing.
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
        let strictly = matches!(self, Self::Allow(_))
            || matches!(self, Self::Deny(denied) if !denied.built_in);
        scan.structure(strictly).map_err(Refused::Structure)?;
        // Python looks up nothing by bytes that are no text, as far as is known.
        if scan
            .globals()
            .any(|global| global.module.is_empty() || global.name.is_empty())
        {
            return Err(Refused::Structure("a name that is no text"));
        }
        match self {
            Self::Deny(denied) => denied.check(scan),
            Self::Allow(allowed) => allowed.check(scan),
        }
    }
}

impl Denied {
    fn check<'s>(&self, scan: &Scan<'s>) -> Result<(), Refused<'s>> {
        let manners = self.built_in.then(|| Manners::of(scan));
        if manners.is_some_and(|manners| manners.calls_methods(scan)) {
            return Err(Refused::Structure("a call of a method of an instance"));
        }
        if manners.is_some_and(Manners::calls_results) {
            return Err(Refused::Structure("a call of what a call gave"));
        }
        for (global, raw) in scan.globals().zip(scan.raw_globals()) {
            let GlobalRef { module, name, .. } = global;
            let is_denied = self.lists(module, name, None)
                || manners.is_some_and(|manners| manners.deny(scan, raw));
            if is_denied && self.except.lacks(&global).is_some() {
                let attribute = None;
                return Err(Refused::Denied {
                    module,
                    name,
                    attribute,
                });
            }
        }
        for (GlobalRef { module, name, .. }, attribute) in scan.attributes() {
            let is_denied = self.lists(module, name, Some(attribute))
                || manners.is_some_and(|manners| manners.deny_attribute(module, name, attribute));
            if is_denied
                && !self
                    .except
                    .has(Role::Getattr, module, name, Some(attribute))
            {
                let attribute = Some(attribute);
                return Err(Refused::Denied {
                    module,
                    name,
                    attribute,
                });
            }
        }
        Ok(())
    }

    /// Whether a pattern matches the name, something that it is in, or what a module
    /// re-exports by it: `os` in `shutil`, and `os.system` in there.
    fn lists(&self, module: &str, name: &str, attribute: Option<&str>) -> bool {
        let mut parts = name.split('.').chain(attribute);
        let whole = module.split('.').chain(parts.clone());
        let is_listed = |path: Followed| path.any & DENIED != 0;
        if is_listed(self.patterns.follow(whole)) {
            return true;
        }
        loop {
            if is_listed(self.patterns.follow(parts.clone())) {
                return true;
            }
            if parts.next().is_none() {
                return false;
            }
        }
    }
}

fn parse_pattern(text: &str) -> Result<&str, ListError> {
    let (path, below) = match text.strip_suffix(".*") {
        Some(path) => (path, true),
        None => (text, false),
    };
    let is_path = !path.is_empty() && path.split('.').all(is_identifier);
    if !is_path || (!below && !path.contains('.')) {
        return Err(ListError::Pattern(text.to_owned()));
    }
    Ok(path)
}

fn is_identifier(part: &str) -> bool {
    part.starts_with(|c: char| c == '_' || c.is_alphabetic())
        && part.chars().all(|c| c == '_' || c.is_alphanumeric())
}

fn parse_entry(text: &str) -> Result<(Role, &str), ListError> {
    let (role, path) = text.split_once(' ').unwrap_or_default();
    match Role::of(role) {
        Some(role) if path.contains('.') && path.split('.').all(is_identifier) => Ok((role, path)),
        _ => Err(ListError::Entry(text.to_owned())),
    }
}

impl Allowed {
    fn has(&self, role: Role, module: &str, name: &str, attribute: Option<&str>) -> bool {
        let parts = module.split('.').chain(name.split('.')).chain(attribute);
        self.entries.follow(parts).own & role.permitted_by() != 0
    }

    /// The role of a global that is not allowed.
    fn lacks(&self, global: &GlobalRef<'_>) -> Option<Role> {
        let mut roles = global.roles_to_allow();
        roles.find(|&role| !self.has(role, global.module, global.name, None))
    }

    fn check<'s>(&self, scan: &Scan<'s>) -> Result<(), Refused<'s>> {
        let refused = |role, module, name, attribute| Refused::NotAllowed {
            role,
            module,
            name,
            attribute,
        };
        for global in scan.globals() {
            if let Some(role) = self.lacks(&global) {
                return Err(refused(role, global.module, global.name, None));
            }
        }
        for (GlobalRef { module, name, .. }, attribute) in scan.attributes() {
            if !self.has(Role::Getattr, module, name, Some(attribute)) {
                return Err(refused(Role::Getattr, module, name, Some(attribute)));
            }
        }
        Ok(())
    }
}

impl GlobalRef<'_> {
    /// The roles in which it must be allowed.
    fn roles_to_allow(&self) -> impl Iterator<Item = Role> + use<> {
        let roles = self.roles;
        let called = roles.called || roles.instantiated;
        let held = roles.data || roles.reconstructed;
        // A nested name is an attribute of its class, whatever becomes of it.
        let nested = self.name.contains('.');
        [
            (nested, Role::Getattr),
            (called, Role::Call),
            (held, Role::Data),
            // Its attribute is an entry of its own.
            (!(nested || called || held || roles.attribute), Role::Named),
        ]
        .into_iter()
        .filter_map(|(has, role)| has.then_some(role))
    }
}

impl fmt::Display for Refused<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied {
                module,
                name,
                attribute,
            } => {
                write!(f, "firewall: {module}.{name}")?;
                if let Some(attribute) = attribute {
                    write!(f, ".{attribute}")?;
                }
                f.write_str(" is denied")
            }
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

    fn check_with(
        extensions: &Extensions,
        firewall: &Firewall,
        pickle: &[u8],
    ) -> Result<(), String> {
        let mut scanner = Scanner::default();
        let scan = scanner.scan(pickle, extensions).unwrap();
        firewall.check(&scan).map_err(|refused| refused.to_string())
    }

    fn check(firewall: &Firewall, pickle: &[u8]) -> Result<(), String> {
        check_with(Extensions::NONE, firewall, pickle)
    }

    fn allow(entries: &[&str]) -> Firewall {
        Firewall::allow(entries.iter().copied()).unwrap()
    }

    fn denied(pickle: &[u8]) -> Result<(), String> {
        check(&Firewall::built_in(), pickle)
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
        for pickle in [
            &b"cmyapp.os\nThing\n."[..],
            b"cosmos\nsystem\n.",
            b"cmyapp.views\nprofile\n.",
            b"cuser.models\nUser\n)\x81.",
        ] {
            assert_eq!(denied(pickle), Ok(()), "{}", pickle.escape_ascii());
        }
    }

    #[test]
    fn what_is_named_at_all_needs_its_permission() {
        let registered = [(7, "app.evil".to_owned(), "Thing".to_owned())];
        let registry = Extensions::new(registered);
        for pickle in [
            // Popped: by POP, POP_MARK, of a list and a tuple, after a memo.
            &b"\x80\x02capp.evil\nThing\n0N."[..],
            b"\x80\x02(capp.evil\nThing\n1N.",
            b"\x80\x02]capp.evil\nThing\na0N.",
            b"\x80\x02capp.evil\nThing\n\x850N.",
            b"\x80\x02capp.evil\nThing\nq\x000N.",
            b"\x80\x02capp.evil\nThing\n200N.",
            b"\x80\x04\x8c\x08app.evil\x8c\x05Thing\x930N.",
            // By strings from the memo, of Python 2, in another order.
            b"\x80\x04\x8c\x05Thing\x940\x8c\x08app.evilh\0\x930N.",
            b"\x80\x04U\x08app.evilU\x05Thing\x930N.",
            b"\x80\x02\x82\x070N.",
            b"(iapp.evil\nThing\n0N.",
            b"\x80\x02(capp.evil\nThing\no0N.",
        ] {
            let shown = pickle.escape_ascii();
            let refused = check_with(&registry, &allow(&[]), pickle);
            assert!(
                refused.is_err_and(|why| why.contains("app.evil.Thing\" is not allowed")),
                "{shown}"
            );
            let mut scanner = Scanner::default();
            let scan = scanner.scan(pickle, &registry).unwrap();
            let uses: Vec<_> = Firewall::uses(&scan).collect();
            assert_eq!(uses.len(), 1, "{shown}");
            let entry = format!("{} {}", uses[0].0.name(), uses[0].1);
            assert_eq!(allow(&[&entry]).check(&scan), Ok(()), "{shown}");
        }
        let popped = b"\x80\x02capp.evil\nThing\n0N.";
        let refused = Err("firewall: \"named app.evil.Thing\" is not allowed".to_owned());
        assert_eq!(check(&allow(&[]), popped), refused);
        // Who may call it may name it.
        assert_eq!(check(&allow(&["call app.evil.Thing"]), popped), Ok(()));
        // After STOP, nobody looks: such bytes are refused as they are.
        assert!(check(&allow(&[]), b"\x80\x02N.\x80\x02capp.evil\nThing\n.").is_err());
    }

    #[test]
    fn arguments_that_are_used_twice_hide_no_use() {
        // getattr is given the same tuple twice; then the class is in the data.
        let pickle = b"\x80\x02]cbuiltins\ngetattr\nq\x01capp\nC\nq\x02X\x01\0\0\0x\x86q\x03R\
            h\x01h\x03Rh\x02\x87a.";
        let entries = ["call builtins.getattr", "getattr app.C.x"];
        assert_eq!(
            check(&allow(&entries), pickle),
            Err("firewall: \"data app.C\" is not allowed".to_owned())
        );
    }

    #[test]
    fn a_base_class_that_makes_the_instance_is_called() {
        let pickle = b"\x80\x02ccopyreg\n_reconstructor\n(capp\nC\ncapp\nBase\nX\x01\0\0\0xtR.";
        let entries = ["call copyreg._reconstructor", "data app.C", "data app.Base"];
        let refused = "firewall: \"call app.Base\" is not allowed".to_owned();
        assert_eq!(check(&allow(&entries), pickle), Err(refused));
        // As long as it is none that only holds: picklers write object for all.
        let plain = b"\x80\x02ccopyreg\n_reconstructor\n(capp\nC\ncbuiltins\nobject\nNtR.";
        let entries = [entries[0], entries[1], "data builtins.object"];
        assert_eq!(check(&allow(&entries), plain), Ok(()));
    }

    #[test]
    fn a_deny_list_is_extended_and_has_exceptions() {
        let firewall = Firewall::deny(["built-in", "app.bad.*"]).unwrap();
        assert!(check(&firewall, SYSTEM).is_err());
        assert!(check(&firewall, b"capp.bad\nThing\n.").is_err());
        assert!(check(&firewall, b"capp.good\nbad\n.").is_ok());
        assert_eq!(check(&firewall, ORDERED), Ok(()));
        let own = Firewall::deny(["app.bad.*"]).unwrap();
        assert_eq!(check(&own, SYSTEM), Ok(()));
        let load = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n)R.";
        assert!(check(&firewall, load).is_err());
        let allowed = allow(&["call torch._utils._rebuild_tensor_v2"]);
        assert_eq!(check(&firewall.except(&allowed), load), Ok(()));
    }

    #[test]
    fn only_what_is_listed_is_allowed_and_only_in_its_role() {
        let called = allow(&["call collections.OrderedDict"]);
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
        assert_eq!(check(&allow(&getattr), zone), Ok(()));
        assert_eq!(
            check(&allow(&getattr[..1]), zone),
            Err("firewall: \"getattr zoneinfo.ZoneInfo._unpickle\" is not allowed".to_owned())
        );
        let nested: &[u8] = b"\x80\x04\x8c\x08zoneinfo\x8c\x12ZoneInfo._unpickle\x93K\x01\x85R.";
        let entries = [
            "getattr zoneinfo.ZoneInfo._unpickle",
            "call zoneinfo.ZoneInfo._unpickle",
        ];
        assert_eq!(check(&allow(&entries), nested), Ok(()));
        assert!(check(&allow(&entries[1..]), nested).is_err());
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
                b"\x80\x02cm\nC\n)\x81}b}b.",
                "a change of what has its state",
            ),
            (
                b"\x80\x02cm\nC\n)\x81}bK\x01a.",
                "a change of what has its state",
            ),
            (
                b"\x80\x02cm\nC\n)\x81}bK\x01K\x01s.",
                "a change of what has its state",
            ),
            (
                b"\x80\x04cm\nC\n)\x81}b(K\x01\x90.",
                "a change of what has its state",
            ),
            (
                b"\x80\x02cm\nC\n)\x81q\x000h\x00}b.",
                "a change of what has its state",
            ),
            (
                b"\x80\x02cm\nC\n)\x812}b0.",
                "a change of what has its state",
            ),
            (
                b"\x80\x02c__builtin__\ntype\ncm\nC\n)\x81\x85R}b.",
                "a state for a class or module",
            ),
            (
                b"\x80\x02coperator\ngetitem\n}K\x01\x86R.",
                "an item of no class",
            ),
            (
                b"\x80\x02c__builtin__\ngetattr\ncm\nf\n)RR.",
                "arguments that are no tuple",
            ),
            (
                b"\x80\x02c__builtin__\ngetattr\nK\x01X\x01\x00\x00\x00x\x86R.",
                "getattr of no class",
            ),
        ] {
            let refused = check(&allow(&[]), pickle).unwrap_err();
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
