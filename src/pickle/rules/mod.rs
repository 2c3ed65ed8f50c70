//! Knowledge about classes and functions, as data: `rules.txt` says which uses of which
//! globals are nothing to which readers, and why. A scan collects the rules that a pickle
//! meets; a verdict holds them against the reader.
//!
//! A rule about another class is another line, with a predicate in `when.rs` at most.

mod judge;
mod known;
mod row;
#[cfg(test)]
mod tests;
mod when;

pub(super) use judge::{against, doubt, judge};
pub(super) use known::{HOOK_LENGTHS, Knowledge, Known};
pub(super) use row::{Kind, Manner, Rows};
pub(super) use when::{Event, What};
