//! Rewrites a pickle, opcode by opcode, into a form that another Python loads with
//! the same meaning. Executes nothing and approximates nothing: what has no
//! faithful form is refused, with a reason.
//!
//! Two passes. The first walks the abstract machine and notes, by offset, where
//! more is to be done than an opcode by itself tells: strings that are only
//! names, sets that reach themselves, memo entries that nobody reads. The second
//! copies the pickle opcode by opcode, and replaces what has to be replaced.
//! Both are linear but for sorting the notes.

mod form;
mod names;
mod ops;
mod output;
mod protocol;
mod python2;
mod python3;

use super::flaw::Broken;
use super::machine::Machine;
use super::pause::Pause;

/// Capacity (in elements) that each buffer keeps between pickles.
const KEPT_CAPACITY: usize = 16 * 1024;

/// Longest result for a pickle of `len` bytes. Real pickles grow to less than
/// three times their size; beyond this, only those that name one long name
/// again and again, and the like.
const fn bound(len: usize) -> usize {
    len.saturating_mul(8).saturating_add(4096)
}

/// The readers that a pickle is rewritten for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Python 2.7, from any pickle of Python 3: protocol 2 with Python 2's names.
    /// What Python 2 cannot say is left as Python 3 itself leaves it at protocol 2.
    Python2,
    /// Python 3.4 to 3.7, from any pickle of Python 3: protocol 4 at most.
    Protocol4,
    /// Python 3.8 and later, from any pickle of Python 3: only the names that the
    /// reader's environment lacks are replaced.
    Protocol5,
    /// Any Python 3, from a pickle of Python 2: protocol 3, in which text and bytes
    /// are told apart.
    Python3 {
        /// The type that a `str` becomes.
        py2_str: Py2Str,
    },
}

/// The type that a Python 2 `str` becomes, where its use does not tell: the bytes that
/// `datetime` and `NumPy` keep in one always stay bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Py2Str {
    /// Text if it is UTF-8, else bytes. Python 3 does so with ASCII and refuses
    /// the rest.
    #[default]
    Text,
    /// Bytes, but for the names of attributes and the arguments of calls, which
    /// are text if they are UTF-8.
    Bytes,
}

/// The reader's environment, as far as it is known. An answer that is not known is the
/// default one, and changes nothing.
pub trait Environment {
    /// Whether this is, by its Python 2 name, an old-style class on Python 2.7.
    fn is_classic(&self, _module: &[u8], _name: &[u8]) -> bool {
        false
    }

    /// Whether this can be imported there; `None` if that is not known.
    fn has(&self, _module: &[u8], _name: &[u8]) -> Option<bool> {
        None
    }

    /// Django's major and minor version there.
    fn django(&self) -> Option<(u16, u16)> {
        None
    }
}

/// An environment of which nothing is known.
#[derive(Debug, Clone, Copy, Default)]
pub struct UnknownEnvironment;

impl Environment for UnknownEnvironment {}

/// Why a pickle is not rewritten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The bytes are no pickle.
    #[error("no pickle: {0}")]
    Broken(#[from] Broken),
    /// The pickle has no form with the same meaning.
    #[error("{obstacle} (at offset {at})")]
    NoForm {
        /// The first obstacle.
        obstacle: Obstacle,
        /// Offset of the opcode, in bytes from the start of the pickle.
        at: u32,
    },
}

/// An obstacle to rewriting a pickle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // The messages say it.
pub enum Obstacle {
    #[error("a persistent id, which only the application's own unpickler resolves")]
    PersistentId,
    #[error("an extension code, which may stand for something else where it is read")]
    ExtensionCode,
    #[error("a buffer kept out of the pickle")]
    OutOfBandBuffer,
    #[error("the protocol changes midway")]
    SecondProtocol,
    #[error("a name with characters that Python 2 has none for")]
    NonAsciiName,
    #[error("a name with a line break, which only protocol 4 can write")]
    LineBreakInName,
    #[error("a string of 2 GiB or more")]
    Length,
    #[error("an array of type {0:?}, which Python 2 has not, or has with another meaning")]
    ArrayType(char),
    #[error("an array in a form that no Python writes")]
    ArrayShape,
    #[error("an opcode in a place where no Python writes it")]
    Shape,
    #[error("something that has to change its form is also used elsewhere")]
    Shared,
    #[error("arguments for an old-style class, which are not kept apart from its state")]
    ClassicArguments,
    #[error("a safe string with attributes, for which Django 4.0 and later have no room")]
    SafeStringState,
    #[error("an integer of more than {} digits", python3::MAX_DIGITS)]
    Digits,
    #[error("a call with more arguments than are looked at")]
    ManyArguments,
    #[error("Python 3 wrote it: it has no str of Python 2")]
    FromPython3,
    #[error("it would grow beyond any that Python writes")]
    Growth,
}

impl Refusal {
    /// The name in metrics.
    pub fn name(self) -> &'static str {
        let obstacle = match self {
            Self::Broken(_) => return "broken",
            Self::NoForm { obstacle, .. } => obstacle,
        };
        match obstacle {
            Obstacle::PersistentId => "persistent_id",
            Obstacle::ExtensionCode => "extension",
            Obstacle::OutOfBandBuffer => "buffer",
            Obstacle::SecondProtocol => "second_protocol",
            Obstacle::NonAsciiName | Obstacle::LineBreakInName => "name",
            Obstacle::Length | Obstacle::Growth => "length",
            Obstacle::ArrayType(_) | Obstacle::ArrayShape => "array",
            Obstacle::Shape | Obstacle::Shared | Obstacle::ManyArguments => "shape",
            Obstacle::ClassicArguments => "classic_class",
            Obstacle::SafeStringState => "safe_string",
            Obstacle::Digits => "digits",
            Obstacle::FromPython3 => "writer",
        }
    }
}

/// Rewrites pickles; keeps its memory from one to the next.
#[derive(Debug, Default)]
pub struct Transcoder {
    machine: Machine,
    python2: python2::Buffers,
    python3: python3::Buffers,
}

impl Transcoder {
    /// A transcoder that pauses.
    pub fn pausing(pause: Pause) -> Self {
        Self {
            machine: Machine::pausing(pause),
            ..Self::default()
        }
    }

    /// Rewrites the pickle at the start of `pickle` (what follows its STOP is left
    /// out, as unpicklers ignore it) for readers of `form` whose environment is
    /// `environment`. The result replaces what is in `out`; it has at most eight
    /// times the length, and 4 KiB. On refusal `out` is empty.
    ///
    /// # Errors
    ///
    /// Says why there is no form that means the same.
    pub fn transcode(
        &mut self,
        pickle: &[u8],
        form: Form,
        environment: &dyn Environment,
        out: &mut Vec<u8>,
    ) -> Result<(), Refusal> {
        out.clear();
        let machine = &mut self.machine;
        let done = match form {
            Form::Python2 => self.python2.transcode(machine, pickle, environment, out),
            Form::Protocol4 => protocol::transcode(machine, pickle, 4, environment, out),
            Form::Protocol5 => protocol::transcode(machine, pickle, 5, environment, out),
            Form::Python3 { py2_str } => {
                self.python3
                    .transcode(machine, pickle, py2_str, environment, out)
            }
        };
        if done.is_err() {
            out.clear();
        }
        done
    }
}

/// The first obstacle of a walk.
#[derive(Debug, Default)]
struct Obstacles {
    first: Option<Refusal>,
}

impl Obstacles {
    #[cold]
    fn add(&mut self, obstacle: Obstacle, at: u32) {
        self.first.get_or_insert(Refusal::NoForm { obstacle, at });
    }

    fn none(&self) -> Result<(), Refusal> {
        self.first.map_or(Ok(()), Err)
    }
}

/// A refusal of the second pass.
#[cold]
fn refuse(obstacle: Obstacle, at: usize) -> Refusal {
    let at = at as u32;
    Refusal::NoForm { obstacle, at }
}

/// An opcode for which the second pass does something of its own.
#[derive(Debug, Clone, Copy)]
struct Edit<W> {
    at: u32,
    what: W,
}

/// Reads the edits beside the opcodes.
struct Edits<'e, W> {
    rest: &'e [Edit<W>],
    /// Offset of the next opcode.
    next: usize,
}

impl<'e, W: Copy> Edits<'e, W> {
    /// Puts them into the order of the opcodes.
    fn new(edits: &'e mut [Edit<W>]) -> Self {
        if !edits.is_sorted_by_key(|edit| edit.at) {
            edits.sort_unstable_by_key(|edit| edit.at);
        }
        let mut edits = Self {
            rest: edits,
            next: 0,
        };
        edits.skip_to(edits.rest);
        edits
    }

    fn skip_to(&mut self, rest: &'e [Edit<W>]) {
        self.next = rest.first().map_or(usize::MAX, |edit| edit.at as usize);
        self.rest = rest;
    }

    /// Gives the edit of the opcode at this offset.
    ///
    /// # Errors
    ///
    /// If there is more than one thing to do with it, or one with what is no
    /// opcode: nothing is made for that.
    #[inline]
    fn at(&mut self, at: usize) -> Result<Option<W>, Refusal> {
        // Most opcodes have none.
        if at < self.next {
            return Ok(None);
        }
        let Some((edit, rest)) = self.rest.split_first() else {
            return Ok(None);
        };
        let again = rest.first().is_some_and(|next| next.at == edit.at);
        if again || (edit.at as usize) < at {
            return Err(refuse(Obstacle::Shape, at));
        }
        self.skip_to(rest);
        Ok(Some(edit.what))
    }
}

fn empty<T>(list: &mut Vec<T>) {
    list.clear();
    list.shrink_to(KEPT_CAPACITY);
}

#[cfg(test)]
mod tests;
