//! One rule about classes or functions, and how `rules.txt` writes it.

use crate::pickle::names::{PythonVersion, Versions};
use crate::pickle::reader::Series;

use super::when::{When, range};

/// A set of rules, by their places in the table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::pickle) struct Rows(u128);

impl Rows {
    /// Most rules that there may be.
    pub(super) const MOST: usize = u128::BITS as usize;

    pub(super) const fn only(row: usize) -> Self {
        Self(1 << row)
    }

    #[inline]
    pub(in crate::pickle) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(in crate::pickle) const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(in crate::pickle) fn add(&mut self, other: Self) {
        self.0 |= other.0;
    }

    pub(super) fn iter(self) -> impl Iterator<Item = usize> {
        let rest = |left: &u128| Some(left & left.wrapping_sub(1)).filter(|rest| *rest != 0);
        let first = Some(self.0).filter(|rows| *rows != 0);
        std::iter::successors(first, rest).map(|rows| rows.trailing_zeros() as usize)
    }
}

/// A rule, apart from the globals that it is about.
#[derive(Debug)]
pub(super) struct Row {
    /// A use of any of these.
    pub(super) when: Vec<When>,
    /// All of these hold.
    pub(super) besides: Vec<Besides>,
    pub(super) kind: Kind,
    pub(super) why: &'static str,
}

/// The consequence of a rule that holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::pickle) enum Kind {
    /// The class refuses it, or takes it for something else.
    Type,
    /// A framework's class refuses it, or takes it for something else.
    Framework,
    /// The class may take it for something else.
    Ambiguous,
    /// The reader does not have the global.
    Missing,
    /// The reader may not have the global.
    Doubtful,
    /// Its instances load in every release of a distribution that was recorded, whatever
    /// facts say: the reason is the distribution.
    Carried,
    /// Nothing by itself: other rules ask for it.
    Mark(&'static str),
}

/// A condition on the pickle as a whole, or on its reader.
#[derive(Debug)]
pub(super) enum Besides {
    /// Has this string, by the bits of [`super::Knowledge::said`].
    Says(u32),
    /// Has none of these.
    Lacks(u32),
    /// Declares this protocol or a later one.
    Protocol(u8),
    /// Has a Python 2 `str`.
    Str,
    With(&'static str),
    Without(&'static str),
    /// A model or a `QuerySet` says that this series of Django wrote it.
    Writer(Series, Series),
    /// Nothing says which series wrote it.
    WriterUnknown,
    /// The series that wrote it is not the reader's.
    WriterOther,
    /// The reader is surely one of these.
    Python(Versions),
    /// The reader is known to have a series of these.
    Django(Series, Series),
    /// The reader is not known to have a series of these.
    NotDjango(Series, Series),
}

/// The use that a call makes of its arguments, which the scan and the firewall follow.
/// Code knows the manners, the table who has them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::pickle) enum Manner {
    /// Nothing is known of it.
    #[default]
    Ordinary,
    /// Takes an attribute by its name.
    Getattr,
    /// Makes an instance of a class, for pickles below protocol 2.
    Reconstructor,
    /// Makes bytes, for pickles below protocol 3.
    Encode,
    /// With one argument, says what that is.
    Type,
    /// Takes an item.
    Item,
    /// Makes a type with arguments.
    Alias,
    Partial,
    Reduce,
    /// Makes an iterator, which may call this argument.
    Iterator(u8),
    /// Finds a function of numpy by its name.
    Ufunc,
    /// Makes an instance of a model of Django, by the model's label.
    Model,
    /// Allocates in Python 2 as much as an integer says.
    Range,
    /// Allocates as much as an integer says; else, only holds what it is given.
    Sized,
    /// Python 2's `str`, Python 3's text.
    Str,
    /// Python 2's text.
    Unicode,
    /// Only holds what it is given.
    Holder,
}

impl Manner {
    fn read(word: &str) -> Option<Self> {
        Some(match word {
            "getattr" => Self::Getattr,
            "reconstructor" => Self::Reconstructor,
            "encode" => Self::Encode,
            "type" => Self::Type,
            "item" => Self::Item,
            "alias" => Self::Alias,
            "partial" => Self::Partial,
            "reduce" => Self::Reduce,
            "iterator" => Self::Iterator(0),
            "iterator of 2" => Self::Iterator(1),
            "ufunc" => Self::Ufunc,
            "model" => Self::Model,
            "range" => Self::Range,
            "sized" => Self::Sized,
            "str" => Self::Str,
            "unicode" => Self::Unicode,
            "holder" => Self::Holder,
            _ => return None,
        })
    }

    /// May call what it is given: of the others, it is known what they do with it.
    pub(in crate::pickle) fn may_call(self) -> bool {
        !matches!(
            self,
            Self::Getattr
                | Self::Reconstructor
                | Self::Item
                | Self::Alias
                | Self::Type
                | Self::Encode
        )
    }

    /// A built-in type of which instances only hold what they are made from.
    pub(in crate::pickle) fn is_holder(self) -> bool {
        matches!(self, Self::Sized | Self::Str | Self::Unicode | Self::Holder)
    }
}

/// The content of a line, beside its globals.
#[derive(Debug)]
pub(super) enum Line {
    Rule(Row),
    Manner(Manner),
}

/// Reads the form that the head of `rules.txt` describes.
#[derive(Debug, Default)]
pub(super) struct Reading {
    /// The last rule, of which others repeat fields.
    last: [&'static str; 6],
    /// The strings that rules look for, in the order of their bits.
    pub(super) words: Vec<&'static [u8]>,
}

impl Reading {
    /// The globals of a line, and what it says of them.
    pub(super) fn line(&mut self, line: &'static str) -> Option<(&'static str, Line)> {
        let fields: Vec<_> = line.split('|').map(str::trim).collect();
        if let [globals, manner] = fields[..] {
            return Some((globals, Line::Manner(Manner::read(manner)?)));
        }
        let mut fields: [&str; 6] = fields.try_into().ok()?;
        for (field, last) in fields.iter_mut().zip(self.last) {
            if *field == "\"" {
                *field = last;
            }
        }
        self.last = fields;
        let [globals, when, besides, readers, kind, why] = fields;
        let besides = besides.split(", ").chain(readers.split(", "));
        let besides = besides.filter(|item| !item.is_empty());
        let row = Row {
            when: when.split(" or ").map(When::read).collect::<Option<_>>()?,
            besides: besides
                .map(|item| self.besides(item))
                .collect::<Option<_>>()?,
            kind: Kind::read(kind)?,
            why,
        };
        Some((globals, Line::Rule(row)))
    }

    fn besides(&mut self, item: &'static str) -> Option<Besides> {
        let (what, rest) = item.rsplit_once(' ').unwrap_or((item, ""));
        let of_series = |condition: fn(Series, Series) -> Besides| {
            let (from, to) = series(rest)?;
            Some(condition(from, to))
        };
        Some(match (what, rest) {
            ("says", _) => Besides::Says(self.bits(rest)?),
            ("lacks", _) => Besides::Lacks(self.bits(rest)?),
            ("protocol", _) => Besides::Protocol(rest.parse().ok()?),
            ("str", "") => Besides::Str,
            ("with", _) => Besides::With(rest),
            ("without", _) => Besides::Without(rest),
            ("writer", "unknown") => Besides::WriterUnknown,
            ("writer", "other") => Besides::WriterOther,
            ("writer", _) => of_series(Besides::Writer)?,
            ("python", _) => Besides::Python(versions(rest)?),
            ("django", _) => of_series(Besides::Django)?,
            ("not django", _) => of_series(Besides::NotDjango)?,
            _ => return None,
        })
    }

    fn bits(&mut self, words: &'static str) -> Option<u32> {
        words
            .split(',')
            .map(str::as_bytes)
            .try_fold(0, |bits, word| {
                let known = self.words.iter().position(|known| *known == word);
                let at = known.unwrap_or_else(|| {
                    self.words.push(word);
                    self.words.len() - 1
                });
                Some(bits | 1u32.checked_shl(u32::try_from(at).ok()?)?)
            })
    }
}

impl Kind {
    fn read(word: &'static str) -> Option<Self> {
        Some(match word {
            "type" => Self::Type,
            "framework" => Self::Framework,
            "ambiguous" => Self::Ambiguous,
            "missing" => Self::Missing,
            "doubtful" => Self::Doubtful,
            "carried" => Self::Carried,
            _ => Self::Mark(word.strip_prefix("mark ")?),
        })
    }
}

fn pair(text: &str) -> Option<Series> {
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

fn series(text: &str) -> Option<(Series, Series)> {
    range(text, ((0, 0), (u16::MAX, u16::MAX)), pair)
}

fn versions(text: &str) -> Option<Versions> {
    let [first, .., last] = PythonVersion::ALL;
    let version = |text: &str| {
        let (major, minor) = pair(text)?;
        let version = PythonVersion::of(major.into(), minor.into());
        // Versions that the tables do not know are taken for others.
        (version.to_string() == text).then_some(version)
    };
    let (from, to) = range(text, (first, last), version)?;
    Some(Versions::since(from) & (Versions::before(to) | Versions::only(to)))
}
