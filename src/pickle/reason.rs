//! The reasons why a reader cannot load a value: for people, and by name for metrics.
//! Finds none: verdicts do.

use std::fmt;

use super::Verdict;
use super::reader::Reader;

/// Python refuses decimal integers with more digits (since 3.7.14, 3.8.14,
/// 3.9.14 and 3.10.7).
pub(super) const MAX_DIGITS: u32 = 4300;

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
    Refused {
        module: &'s str,
        name: &'s str,
        refusal: Refusal,
    },
    Type {
        what: &'static str,
    },
    Framework {
        what: &'static str,
    },
    Doubtful {
        module: &'s str,
        name: &'s str,
        doubt: Doubt,
    },
    Ambiguous {
        what: &'static str,
    },
    Unproved {
        module: &'s str,
        name: &'s str,
        lack: Lack,
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
            | Self::State { module, name }
            | Self::Refused { module, name, .. }
            | Self::Unproved { module, name, .. }
            | Self::Doubtful { module, name, .. } => Some((module, name)),
            _ => None,
        }
    }

    /// All names, in the order of [`Reason::index`].
    pub const NAMES: [&'static str; 13] = [
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
        "doubtful_global",
        "ambiguous_type",
        "unproved_global",
    ];

    /// The index of its name.
    pub fn index(self) -> usize {
        match self {
            Self::Protocol { .. } => 0,
            Self::PersistentId { .. } => 1,
            Self::Buffer { .. } => 2,
            Self::Extension { .. } => 3,
            Self::ByteString { .. } => 4,
            Self::Digits { .. } => 5,
            Self::Missing { .. } => 6,
            Self::Classic { .. }
            | Self::Bytes { .. }
            | Self::State { .. }
            | Self::Refused { .. }
            | Self::Type { .. } => 7,
            Self::Framework { .. } => 8,
            Self::Script { .. } => 9,
            Self::Doubtful { .. } => 10,
            Self::Ambiguous { .. } => 11,
            Self::Unproved { .. } => 12,
        }
    }

    /// Unloadable for certain, or only not known to be loadable.
    pub fn verdict(self) -> Verdict {
        match self {
            Self::Extension { .. }
            | Self::Script { .. }
            | Self::Doubtful { .. }
            | Self::Ambiguous { .. }
            | Self::Unproved { .. } => Verdict::Unknown,
            _ => Verdict::Unloadable,
        }
    }

    /// The name in metrics and JSON.
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
            Self::Refused {
                module,
                name,
                refusal,
            } => write!(f, "{module}.{name} {refusal}"),
            Self::Unproved { module, name, lack } => write!(f, "{}", lack.of(module, name)),
            Self::Doubtful { module, doubt, .. } => {
                let top = module.split('.').next().unwrap_or(module);
                match doubt {
                    Doubt::Backport(reader) => write!(
                        f,
                        "{top} is not part of {reader} (a backport may be installed: an inventory tells)"
                    ),
                    Doubt::Rule(why) => f.write_str(why),
                }
            }
            Self::Type { what } | Self::Framework { what } | Self::Ambiguous { what } => {
                f.write_str(what)
            }
        }
    }
}

/// Why a global may be lacking, or may be there all the same: without an inventory
/// of the reader's environment, nothing tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Doubt {
    /// The module is of the standard library of later Pythons only, and `PyPI` has it for
    /// this one.
    Backport(Reader),
    /// A rule about it says why.
    Rule(&'static str),
}

/// What a reader's class or function refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // The texts are their documentation.
pub enum Refusal {
    #[error("takes other arguments in this reader than the pickle gives")]
    Arguments,
    #[error("is no class in this reader, which the pickle makes an instance of")]
    NoClass,
    #[error("is an abstract class in this reader")]
    Abstract,
    #[error("has another built-in base in this reader")]
    Base,
    #[error("has no member of this value in this reader")]
    NoMember,
    #[error("takes no such state in this reader")]
    State,
    #[error("has no such slot in this reader")]
    Slot,
}

/// What is not known of a class or a function, so that nothing proves what becomes of a
/// value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Lack {
    /// Nothing is known of it in the reader's environment.
    Reader,
    /// Nothing is known of it in an environment that may have written it.
    Writer,
    /// It is written in C, and nobody has seen its instances come over.
    Unrecorded,
    /// An inventory lists it, but not what pickles ask of it.
    Listed,
    /// This of it is not the same for writer and reader.
    Differs(&'static str),
    /// Its instances hold Python 2's `str`, which may be meant as text or as bytes.
    Text,
    /// It makes code, which is for one minor version.
    Code,
    /// The pickle uses it in ways that are not followed.
    Uses,
}

impl Lack {
    /// One line for people about the class or function that it is of.
    fn of(self, module: &str, name: &str) -> String {
        let name = format!("{module}.{name}");
        match self {
            Self::Reader => {
                format!("nothing is known of {name} in the reader: give its namespace an inventory")
            }
            Self::Writer => {
                format!("nothing is known of {name} in the writer: give its namespace an inventory")
            }
            Self::Unrecorded => {
                format!("{name} is written in C, and its instances were not seen to come over")
            }
            Self::Listed => format!(
                "nothing is known of {name} but that it is there: take the inventories again"
            ),
            Self::Differs(what) => format!("{name} differs between writer and reader: {what}"),
            Self::Text => {
                format!("{name} holds a str of Python 2, which may be meant as text or as bytes")
            }
            Self::Code => {
                format!("{name} makes code, which only the minor version that wrote it runs")
            }
            Self::Uses => format!("{name} is used in ways that are not followed"),
        }
    }
}
