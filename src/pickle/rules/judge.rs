//! The rules that a pickle met, held against a reader.

use crate::pickle::reader::{Reader, Series};
use crate::pickle::reason::Reason;
use crate::pickle::scan::Facts;

use super::known::Knowledge;
use super::row::{Besides, Kind, Row, Rows};

/// Looks for a rule that says why a reader cannot load the pickle.
///
/// # Errors
/// Says what the reader's classes refuse, or take for something else.
pub(in crate::pickle) fn judge(facts: &Facts, reader: Reader) -> Result<(), Reason<'static>> {
    let kinds = |kind| matches!(kind, Kind::Type | Kind::Framework);
    let Some((kind, what)) = against(facts.met, kinds, facts, reader) else {
        return Ok(());
    };
    Err(match kind {
        Kind::Framework => Reason::Framework { what },
        _ => Reason::Type { what },
    })
}

/// Looks for a rule that doubts what a value means to a reader: nothing in the pickle
/// tells.
pub(in crate::pickle) fn doubt(facts: &Facts, reader: Reader) -> Option<Reason<'static>> {
    let found = against(facts.met, |kind| kind == Kind::Ambiguous, facts, reader);
    found.map(|(_, what)| Reason::Ambiguous { what })
}

/// The first rule of these, and of some kinds, that holds: its kind and its reason.
#[inline]
pub(in crate::pickle) fn against(
    rows: Rows,
    kinds: impl Fn(Kind) -> bool,
    facts: &Facts,
    reader: Reader,
) -> Option<(Kind, &'static str)> {
    // Most pickles meet no rule, most globals have none.
    if rows.is_empty() {
        return None;
    }
    let all = &Knowledge::get().rows;
    let mut rows = rows.iter().map(|row| &all[row]);
    let holds = |row: &&Row| row.besides.iter().all(|item| item.holds(facts, reader));
    let found = rows.find(|row| kinds(row.kind) && holds(row));
    found.map(|row| (row.kind, row.why))
}

impl Besides {
    fn holds(&self, facts: &Facts, reader: Reader) -> bool {
        let among = |series: Option<Series>, from, to| {
            series.is_some_and(|series| (from..=to).contains(&series))
        };
        let marked = |mark| {
            let all = &Knowledge::get().rows;
            let mut kinds = facts.met.iter().map(|row| all[row].kind);
            kinds.any(|kind| kind == Kind::Mark(mark))
        };
        match *self {
            Self::Says(bits) => facts.said & bits != 0,
            Self::Lacks(bits) => facts.said & bits == 0,
            Self::Protocol(least) => facts.declared >= least,
            Self::Str => facts.py2_str,
            Self::With(mark) => marked(mark),
            Self::Without(mark) => !marked(mark),
            Self::Writer(from, to) => among(facts.django, from, to),
            Self::WriterUnknown => facts.django.is_none(),
            Self::WriterOther => facts.django.is_some() && facts.django != reader.django(),
            Self::Python(versions) => reader.is_all_of(versions),
            Self::Django(from, to) => among(reader.django(), from, to),
            Self::NotDjango(from, to) => !among(reader.django(), from, to),
        }
    }
}
