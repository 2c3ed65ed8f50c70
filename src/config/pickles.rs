//! The `[pickle]` table, and the inventories: how values are looked at.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use super::document::{Table, all};
use super::report::{At, Report};
use super::values::size;
use super::words::Detect;
use crate::pickle::inventory::Inventory;
use crate::pickle::{Encoding, Extensions, Firewall, InflateLimits, ListError};
use crate::policy::Pickles;

const DEFAULT_FLAG_BIT: u32 = 0;
const DEFAULT_COMPRESSED_BIT: u32 = 3;

pub(super) fn pickles(mut table: Table<'_>, report: &Report) -> Option<Pickles> {
    let encoding = encoding(&mut table, report);
    let defaults = InflateLimits::default();
    let max_bytes = table.size("max_inflated_bytes");
    let max_bytes = size(max_bytes.as_ref(), defaults.max_bytes, report);
    let max_ratio = table.number("max_inflate_ratio", defaults.max_ratio as u32, 1..=10_000);
    let extensions = extensions(&mut table, report);
    let deny = match table.strings("deny_globals") {
        Some(patterns) => list(&patterns.value, |pattern| Firewall::deny([pattern]), report)
            .and_then(|patterns| Firewall::deny(patterns).ok()),
        None => Some(Firewall::built_in()),
    };
    let entries = table.strings("allow_globals").map(|at| at.value);
    let entries = entries.unwrap_or_default();
    let allow = list(&entries, |entry| Firewall::allow([entry]), report)
        .and_then(|entries| Firewall::allow(entries).ok());
    Some(Pickles {
        encoding: encoding?,
        inflate: InflateLimits {
            max_bytes: max_bytes?,
            max_ratio: max_ratio? as usize,
        },
        extensions: extensions?,
        // What an operator allows by name goes past either list.
        deny: deny?.except(allow.as_ref()?),
        allow: allow?,
    })
}

/// Reports each entry that is none, with its place.
fn list<'r>(
    entries: &'r [At<String>],
    check: impl Fn(&str) -> Result<Firewall, ListError>,
    report: &Report,
) -> Option<Vec<&'r str>> {
    all(entries.iter().map(|At { place, value }| {
        let sound = report.ok(place, check(value)).is_some();
        sound.then_some(value.as_str())
    }))
}

fn extensions(table: &mut Table<'_>, report: &Report) -> Option<Extensions> {
    let extension = |(At { place, value: code }, global): (At<String>, String)| {
        let number = code
            .parse()
            .ok()
            .filter(|code| (1..=i32::MAX.cast_unsigned()).contains(code));
        let names = global
            .split_once(':')
            .filter(|(module, name)| !module.is_empty() && !name.is_empty());
        let message = match (number, names) {
            (Some(code), Some((module, name))) => {
                return Some((code, module.to_owned(), name.to_owned()));
            }
            (None, _) => "a code is a number from 1 to 2147483647".to_owned(),
            (_, None) => format!("{global:?} is no global: write \"module:name\""),
        };
        report.error(&place, message);
        None
    };
    let named = table.named_strings("extensions")?;
    all(named.into_iter().map(extension)).map(Extensions::new)
}

/// Reads a namespace's inventory.
pub(super) fn inventory(
    At { place, value }: &At<String>,
    base: &Path,
    report: &Report,
) -> Option<Arc<Inventory>> {
    let file =
        File::open(base.join(value)).map_err(|error| format!("{value} cannot be read: {error}"));
    let read =
        file.and_then(|file| Inventory::read(value, file).map_err(|error| error.to_string()));
    report.ok(place, read).map(Arc::new)
}

fn encoding(table: &mut Table<'_>, report: &Report) -> Option<Encoding> {
    let flag_bit = table.number("flag_bit", DEFAULT_FLAG_BIT, 0..=31);
    let compressed_bit = table.number("compressed_bit", DEFAULT_COMPRESSED_BIT, 0..=31);
    let detect = table.word("detect", Detect::Flags);
    let (flag_bit, compressed_bit, detect) = (flag_bit?, compressed_bit?, detect?);
    if flag_bit == compressed_bit {
        let place = table.given("compressed_bit").or(table.given("flag_bit"))?;
        let message = format!("flag_bit and compressed_bit are both {flag_bit}");
        report.error(place, message);
        return None;
    }
    Some(Encoding {
        pickle_flag: 1 << flag_bit,
        compressed_flag: 1 << compressed_bit,
        by_flags: detect != Detect::Bytes,
        by_bytes: detect != Detect::Flags,
    })
}
