//! Who can load a pickle: what a scan found, held against what a reader is.
//!
//! The rules come in the order in which they are certain: the protocol, byte
//! strings that Python 3 cannot decode, names that the reader lacks, then shapes
//! that its classes refuse. Each was measured against real interpreters (see
//! `tests/pickles/verdicts.rs`, which also says how often they are wrong).

use std::fmt;

use super::Verdict;
use super::django;
use super::inventory::Inventory;
use super::names::{self, Presence, PythonVersion, Versions};
use super::reader::Reader;
use super::refusals;
use super::scan::{Global, GlobalRef, Scan};

/// Python refuses decimal integers with more digits (since 3.7.14, 3.8.14,
/// 3.9.14 and 3.10.7).
const MAX_DIGITS: u32 = 4300;

/// Why a reader cannot load a value. Displays as one line for people; [`Reason::name`]
/// is the short form for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
#[allow(missing_docs)] // The variants' texts are their documentation.
pub enum Reason<'s> {
    Protocol {
        needs: u8,
    },
    PersistentId {
        at: u32,
    },
    Buffer {
        at: u32,
    },
    Extension {
        code: u32,
    },
    Script {
        name: &'s str,
    },
    ByteString {
        byte: u8,
        at: u32,
    },
    Digits {
        count: u32,
    },
    Missing {
        module: &'s str,
        name: &'s str,
        reader: Reader,
    },
    Classic {
        module: &'s str,
        name: &'s str,
    },
    Bytes {
        module: &'s str,
        name: &'s str,
    },
    State {
        module: &'s str,
        name: &'s str,
    },
    Type {
        what: &'static str,
    },
    Framework {
        what: &'static str,
    },
}

impl<'s> Reason<'s> {
    /// The module and the name of what is to blame, where it is a class or another
    /// global.
    pub fn global(&self) -> Option<(&'s str, &'s str)> {
        match *self {
            Self::Missing { module, name, .. }
            | Self::Classic { module, name }
            | Self::Bytes { module, name }
            | Self::State { module, name } => Some((module, name)),
            _ => None,
        }
    }

    /// All names, in the order of [`Reason::index`].
    pub const NAMES: [&'static str; 10] = [
        "protocol",
        "persistent_id",
        "buffer",
        "extension",
        "byte_string",
        "digits",
        "missing_global",
        "type",
        "framework",
        "script_global",
    ];

    /// As metrics number it.
    pub fn index(self) -> usize {
        match self {
            Self::Protocol { .. } => 0,
            Self::PersistentId { .. } => 1,
            Self::Buffer { .. } => 2,
            Self::Extension { .. } => 3,
            Self::ByteString { .. } => 4,
            Self::Digits { .. } => 5,
            Self::Missing { .. } => 6,
            Self::Classic { .. } | Self::Bytes { .. } | Self::State { .. } | Self::Type { .. } => 7,
            Self::Framework { .. } => 8,
            Self::Script { .. } => 9,
        }
    }

    /// Unloadable for certain, or only not known to be loadable.
    pub fn verdict(self) -> Verdict {
        match self {
            Self::Extension { .. } | Self::Script { .. } => Verdict::Unknown,
            _ => Verdict::Unloadable,
        }
    }

    /// As metrics and JSON name it.
    pub fn name(self) -> &'static str {
        Self::NAMES[self.index()]
    }
}

impl fmt::Display for Reason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Protocol { needs } => {
                let python = match needs {
                    ..=2 => "2.3",
                    3 => "3.0",
                    4 => "3.4",
                    5 => "3.8",
                    _ => return write!(f, "protocol {needs} is later than any known Python's"),
                };
                write!(f, "protocol {needs} needs Python {python} or later")
            }
            Self::PersistentId { at } => {
                write!(
                    f,
                    "persistent id at offset {at}: only the unpickler it was made for loads it"
                )
            }
            Self::Buffer { at } => {
                write!(
                    f,
                    "out-of-band buffer at offset {at}: its bytes are not in the pickle"
                )
            }
            Self::Extension { code } => {
                write!(f, "extension code {code} is not in the configured registry")
            }
            Self::Script { name } => {
                write!(f, "__main__.{name} belongs to the script that pickled it")
            }
            Self::ByteString { byte, at } => write!(
                f,
                "byte string with byte {byte:#04x} at offset {at}: Python 3 raises UnicodeDecodeError"
            ),
            Self::Digits { count } => {
                write!(
                    f,
                    "integer of {count} decimal digits: Python 3.7 and later refuse over {MAX_DIGITS}"
                )
            }
            Self::Missing {
                module,
                name,
                reader,
            } => write!(f, "{module}.{name} does not exist in {reader}"),
            Self::Classic { module, name } => write!(
                f,
                "{module}.{name} is a classic class in Python 2.7, which NEWOBJ cannot make"
            ),
            Self::Bytes { module, name } => write!(
                f,
                "{module}.{name} is made of bytes in this reader, the pickle gives it a str"
            ),
            Self::State { module, name } => {
                write!(
                    f,
                    "{module}.{name} has no __dict__ in this reader to take a state"
                )
            }
            Self::Type { what } | Self::Framework { what } => f.write_str(what),
        }
    }
}

impl<'s> Scan<'s> {
    /// Whether a reader can load it. Without an inventory of its environment, what
    /// lies outside the standard library is taken to be there.
    ///
    /// # Errors
    /// The first reason why it cannot; else, why that is not known.
    pub fn judge(&self, reader: Reader, inventory: Option<&Inventory>) -> Result<(), Reason<'s>> {
        let facts = self.facts();
        let needs = facts.declared.max(self.effective_protocol());
        if needs > reader.max_protocol {
            return Err(Reason::Protocol { needs });
        }
        if let Some(at) = facts.persistent_id {
            return Err(Reason::PersistentId { at });
        }
        if let Some(at) = facts.buffer {
            return Err(Reason::Buffer { at });
        }
        if let Some((at, byte)) = facts.undecodable
            && reader.is_python3()
        {
            return Err(Reason::ByteString { byte, at });
        }
        if facts.digits > MAX_DIGITS && reader.is_all_of(Versions::since(PythonVersion::Py37)) {
            let count = facts.digits;
            return Err(Reason::Digits { count });
        }
        let named = self.raw_globals().iter();
        for global in named.filter(|global| self.is_named(&global.named)) {
            self.judge_global(global, reader, inventory)?;
        }
        refusals::judge(facts, reader)?;
        if let Some(code) = facts.unknown_extension {
            return Err(Reason::Extension { code });
        }
        match self.globals().find(|global| global.module == "__main__") {
            Some(GlobalRef { name, .. }) => Err(Reason::Script { name }),
            None => Ok(()),
        }
    }

    fn judge_global(
        &self,
        global: &Global,
        reader: Reader,
        inventory: Option<&Inventory>,
    ) -> Result<(), Reason<'s>> {
        let (module, name) = self.names(&global.named);
        let text = || {
            (
                str::from_utf8(module).unwrap_or_default(),
                str::from_utf8(name).unwrap_or_default(),
            )
        };
        let missing = || {
            let (module, name) = text();
            Err(Reason::Missing {
                module,
                name,
                reader,
            })
        };
        let protocol = global.named.protocol;
        let (module3, name3) = if protocol < 3 {
            names::to_py3(module, name)
        } else {
            (module, name)
        };
        let (module_there, name_there) = if reader.is_python2() {
            (module, name)
        } else {
            (module3, name3)
        };
        let known_there = inventory.and_then(|all| all.knows(module_there, name_there));
        if known_there == Some(false) {
            return missing();
        }
        let dotted = memchr::memchr(b'.', name).is_some();
        // Nested names are looked up part by part from protocol 4 on only.
        let plain_only = protocol < 4 && dotted;
        let is_lacking = || !reader.may_be(versions_with((module, name), (module3, name3)));
        if plain_only || (known_there.is_none() && is_lacking()) {
            return missing();
        }
        if reader
            .django()
            .is_some_and(|series| django::lacks(series, module, name))
        {
            return missing();
        }
        let is = |kind: fn(&Inventory, &[u8], &[u8]) -> bool| {
            inventory.is_some_and(|all| kind(all, module_there, name_there))
        };
        let (module, name) = text();
        let new_style_only = global.roles.instantiated || global.roles.reconstructed;
        if reader.is_python2()
            && new_style_only
            && (names::is_classic_27(module.as_bytes(), name.as_bytes())
                || is(Inventory::is_classic))
        {
            return Err(Reason::Classic { module, name });
        }
        let refused =
            reader.is_python3() && global.from_str || reader.is_python2() && global.from_text;
        if refused && is(Inventory::is_bytes_based) {
            return Err(Reason::Bytes { module, name });
        }
        if global.dict_state && is(Inventory::has_no_dict) {
            return Err(Reason::State { module, name });
        }
        Ok(())
    }
}

/// The versions that may have a global: as Python 2 looks it up, and as Python 3.
fn versions_with(in2: (&[u8], &[u8]), in3: (&[u8], &[u8])) -> Versions {
    let [has2, has3] =
        [in2, in3].map(|(module, name)| names::lookup(module, names::first_part(name)));
    let listed = |has: Option<Presence>| has.is_some_and(|has| has.listed.is_some());
    // Where one side of a renaming is known, the other side's lack of it is, too.
    let known = listed(has2) || listed(has3);
    let versions = |has: Option<Presence>| {
        has.map_or(third_party(in2.0), |has| match has.listed {
            None if known => has.foreign,
            _ => has.versions(),
        })
    };
    versions(has2) & Versions::PY2 | versions(has3) & Versions::PY3
}

/// The versions that can have a module outside the standard library.
fn third_party(module: &[u8]) -> Versions {
    let below = |package: &[u8]| {
        module
            .strip_prefix(package)
            .is_some_and(|rest| matches!(rest, [] | [b'.', ..]))
    };
    // numpy 1.26 was the first with numpy._core, and needs Python 3.9; numpy.rec
    // came with 2.0, which needs no less.
    if below(b"numpy._core") || below(b"numpy.rec") {
        Versions::since(PythonVersion::Py39)
    } else if below(b"backports.zoneinfo") {
        Versions::PY3
    } else {
        Versions::ALL
    }
}
