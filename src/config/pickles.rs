//! The `[pickle]` table, and the inventories: how values are looked at.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use super::raw::RawPickle;
use super::report::{At, Report};
use super::values::{number, size};
use super::words::{Detect, meaning};
use crate::pickle::inventory::Inventory;
use crate::pickle::{Encoding, Extensions, Firewall, InflateLimits, ListError};
use crate::policy::Pickles;

const DEFAULT_FLAG_BIT: u32 = 0;
const DEFAULT_COMPRESSED_BIT: u32 = 3;

pub(super) fn pickles(raw: &RawPickle, report: &Report) -> Option<Pickles> {
    let encoding = encoding(raw, report);
    let defaults = InflateLimits::default();
    let max_bytes = size(raw.max_inflated_bytes.as_ref(), defaults.max_bytes, report);
    let max_ratio = number(
        raw.max_inflate_ratio.as_ref(),
        defaults.max_ratio as u32,
        1..=10_000,
        report,
    );
    let extensions = extensions(raw, report);
    let deny = match &raw.deny_globals {
        Some(patterns) => list(&patterns.value, |pattern| Firewall::deny([pattern]), report)
            .and_then(|patterns| Firewall::deny(patterns).ok()),
        None => Some(Firewall::built_in()),
    };
    let entries: &[At<String>] = raw.allow_globals.as_ref().map_or(&[], |at| &at.value);
    let allow = list(entries, |entry| Firewall::allow([entry]), report)
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
    let checked = entries.iter().map(|At { place, value }| {
        let sound = report.ok(place, check(value)).is_some();
        sound.then_some(value.as_str())
    });
    let checked: Vec<_> = checked.collect();
    checked.into_iter().collect()
}

fn extensions(raw: &RawPickle, report: &Report) -> Option<Extensions> {
    let codes = raw.extensions.as_ref()?.iter().map(|(code, global)| {
        let At { place, value: code } = code;
        let number = code
            .parse()
            .ok()
            .filter(|code| (1..=i32::MAX.cast_unsigned()).contains(code));
        let names = global
            .split_once(':')
            .filter(|(module, name)| !module.is_empty() && !name.is_empty());
        match (number, names) {
            (Some(code), Some((module, name))) => Some((code, module.to_owned(), name.to_owned())),
            (None, _) => {
                report.error(place, "a code is a number from 1 to 2147483647".to_owned());
                None
            }
            (_, None) => {
                report.error(
                    place,
                    format!("{global:?} is no global: write \"module:name\""),
                );
                None
            }
        }
    });
    let codes: Vec<_> = codes.collect();
    let codes: Option<Vec<_>> = codes.into_iter().collect();
    codes.map(Extensions::new)
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

fn encoding(raw: &RawPickle, report: &Report) -> Option<Encoding> {
    let flag_bit = number(raw.flag_bit.as_ref(), DEFAULT_FLAG_BIT, 0..=31, report);
    let compressed_bit = number(
        raw.compressed_bit.as_ref(),
        DEFAULT_COMPRESSED_BIT,
        0..=31,
        report,
    );
    let detect = meaning(raw.detect.as_ref(), Detect::Flags, report);
    let (flag_bit, compressed_bit, detect) = (flag_bit?, compressed_bit?, detect?);
    if flag_bit == compressed_bit {
        let place = [&raw.compressed_bit, &raw.flag_bit]
            .into_iter()
            .flatten()
            .next()
            .map(|at| &at.place)?;
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
