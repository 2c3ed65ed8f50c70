//! The value of one setting, or of one list: within its bounds, or reported. Knows
//! no setting by name.

use std::collections::HashMap;
use std::fmt::Display;
use std::hash::Hash;
use std::ops::RangeInclusive;

use bytesize::ByteSize;

use super::document::Table;
use super::report::{At, Place, Report};

/// memcached's own `-I` ends there.
const MAX_VALUE_BYTES: u64 = 1 << 30;

impl Table<'_> {
    /// A number within its range; the default where it is absent.
    pub(super) fn number(
        &mut self,
        name: &'static str,
        default: u32,
        range: RangeInclusive<u32>,
    ) -> Option<u32> {
        match self.integer(name) {
            Some(at) => within(&at, range, self.report()),
            None => Some(default),
        }
    }

    /// A text, parsed; `None` where it is absent, or reported.
    pub(super) fn parsed<T, E: Display>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<At<T>> {
        parsed(self.string(name).as_ref(), parse, self.report())
    }
}

/// A number within a range, or reported.
pub(super) fn within(
    At { place, value }: &At<i64>,
    range: RangeInclusive<u32>,
    report: &Report,
) -> Option<u32> {
    let number = u32::try_from(*value).ok().filter(|n| range.contains(n));
    if number.is_none() {
        let (low, high) = range.into_inner();
        let message = format!("{value} is out of range, expected {low} to {high}");
        report.error(place, message);
    }
    number
}

/// A size of 1 byte to 1 GiB; the default where it is absent.
pub(super) fn size(raw: Option<&At<String>>, default: usize, report: &Report) -> Option<usize> {
    let Some(At { place, value }) = raw else {
        return Some(default);
    };
    let message = match value.parse::<ByteSize>() {
        Ok(ByteSize(bytes @ 1..=MAX_VALUE_BYTES)) => return Some(bytes as usize),
        Ok(_) => format!("{value} is out of range, expected 1 to 1GiB"),
        Err(_) => format!("{value:?} is no size: write for example \"1MiB\""),
    };
    report.error(place, message);
    None
}

/// A text, parsed; `None` where it is absent, or reported.
pub(super) fn parsed<T, E: Display>(
    raw: Option<&At<String>>,
    parse: impl FnOnce(&str) -> Result<T, E>,
    report: &Report,
) -> Option<At<T>> {
    let At { place, value } = raw?;
    let value = report.ok(place, parse(value))?;
    let place = place.clone();
    Some(At { place, value })
}

/// A list that must not be empty; what is absent was reported.
pub(super) fn some_of<T>(raw: Option<At<Vec<T>>>, report: &Report) -> Vec<T> {
    let Some(At { place, value }) = raw else {
        return Vec::new();
    };
    if value.is_empty() {
        report.error(&place, "none given: at least one is needed");
    }
    value
}

/// Reports what is there a second time.
pub(super) fn refuse_duplicates<'p, K: Eq + Hash + Display>(
    items: impl Iterator<Item = (&'p Place, K)>,
    report: &Report,
) {
    let mut seen: HashMap<K, &Place> = HashMap::new();
    for (place, item) in items {
        if let Some(first) = seen.get(&item) {
            let message = match first.line {
                Some(line) => format!("{item} is already in {} (line {line})", first.key),
                None => format!("{item} is given twice"),
            };
            report.error(place, message);
        } else {
            seen.insert(item, place);
        }
    }
}
