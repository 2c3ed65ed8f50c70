//! The namespaces: who is in each, its inventory, and the spaces that it has keys
//! in, one for each epoch.

use std::path::Path;

use super::pickles::inventory;
use super::raw::RawNamespace;
use super::report::{At, Report};
use super::shadow;
use super::values::{all, number, parsed};
use crate::policy::{KeyCodec, Namespace, Requirement};

/// Namespaces of a file without `[namespaces]`: one for each side of the step that most
/// fleets take.
const DEFAULT_NAMESPACES: [(&str, &str); 2] = [("py2", "python <3"), ("py3", "python >=3")];
/// A space's number is one byte, and 0 is the bare space.
const MAX_NAMESPACES: usize = 255;
/// The codec counts on it for the length of its prefixes.
const MAX_NAME_BYTES: usize = 32;

/// Namespaces in their order, and the codec of their keys.
pub(super) fn namespaces(
    raw: &[RawNamespace],
    base: &Path,
    report: &Report,
) -> Option<(KeyCodec, Vec<Namespace>)> {
    if raw.is_empty() {
        let namespace = |(name, runtimes)| {
            let requirement = Requirement::parse(runtimes).expect("the defaults are well-formed");
            Namespace::new(name, requirement, None)
        };
        let codec = KeyCodec::new(DEFAULT_NAMESPACES.map(|(name, _)| (name, 0)));
        return Some((codec, DEFAULT_NAMESPACES.map(namespace).into()));
    }
    if let Some(extra) = raw.get(MAX_NAMESPACES) {
        let message = format!("{} namespaces, limit {MAX_NAMESPACES}", raw.len());
        report.error(&extra.name.place, message);
        return None;
    }
    let spaces = all(raw.iter().map(|raw| namespace(raw, base, report)))?;
    warn_of_shadows(raw, &spaces, report);
    let own = spaces.iter().map(|(n, epochs)| (&*n.name, epochs[0]));
    let others = spaces
        .iter()
        .flat_map(|(n, epochs)| epochs[1..].iter().map(|&epoch| (&*n.name, epoch)));
    let codec = KeyCodec::new(own.chain(others));
    if codec.spaces().len() > MAX_NAMESPACES + 1 {
        let message = format!("more than {MAX_NAMESPACES} namespaces with their other epochs");
        report.error(&raw[0].name.place, message);
        return None;
    }
    Some((codec, spaces.into_iter().map(|(n, _)| n).collect()))
}

/// A namespace and its epochs, its own first.
fn namespace(raw: &RawNamespace, base: &Path, report: &Report) -> Option<(Namespace, Vec<u64>)> {
    let At { place, value: name } = &raw.name;
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-';
    let well_named = (1..=MAX_NAME_BYTES).contains(&name.len()) && name.bytes().all(plain);
    if !well_named {
        let message = format!("a name is 1 to {MAX_NAME_BYTES} of a-z, 0-9, _ and -");
        report.error(place, message);
    }
    let requirement = parsed(raw.runtimes.as_ref(), Requirement::parse, report);
    let epochs = epochs(raw, report);
    let inventory = match &raw.inventory {
        None => None,
        Some(at) => Some((at, inventory(at, base, report)?)),
    };
    let requirement = requirement?.value;
    if let Some((At { place, value }, inventory)) = &inventory {
        let (major, minor) = inventory.python();
        if !requirement.allows_python(major, minor) {
            let message = format!("{value} is of Python {major}.{minor}, not {requirement}");
            report.error(place, message);
        }
    }
    let epochs = epochs?;
    let namespace = Namespace::new(name, requirement, inventory.map(|(_, inventory)| inventory));
    well_named.then_some((namespace, epochs))
}

/// The epoch that is read and written, then those that are only invalidated.
fn epochs(raw: &RawNamespace, report: &Report) -> Option<Vec<u64>> {
    let epoch = |raw: Option<&At<i64>>| number(raw, 0, 0..=u32::MAX, report).map(u64::from);
    let others = raw.also_invalidate.iter().flat_map(|at| &at.value);
    let raws = std::iter::once(raw.epoch.as_ref()).chain(others.clone().map(Some));
    let epochs = all(raws.map(epoch))?;
    for (nth, At { place, value }) in others.enumerate() {
        if epochs[..=nth].contains(&epochs[nth + 1]) {
            report.error(place, format!("epoch {value} is given twice"));
        }
    }
    Some(epochs)
}

/// Warns of namespaces that nobody is in. That may be meant: one is prepared behind
/// another, or retired.
fn warn_of_shadows(raw: &[RawNamespace], spaces: &[(Namespace, Vec<u64>)], report: &Report) {
    let requirements: Vec<&Requirement> = spaces.iter().map(|(n, _)| &n.requirement).collect();
    for (nth, (raw, requirement)) in raw.iter().zip(&requirements).enumerate() {
        let place = raw
            .runtimes
            .as_ref()
            .map_or(&raw.name.place, |at| &at.place);
        if shadow::is_impossible(requirement) {
            report.warn(
                place,
                "no runtime can be in it: its ranges exclude each other",
            );
        } else if let Some(takers) = shadow::shadowed(&requirements[..nth], requirement) {
            let names: Vec<&str> = takers.iter().map(|&at| &*spaces[at].0.name).collect();
            let (names, verb) = (
                names.join(" and "),
                if takers.len() == 1 { "takes" } else { "take" },
            );
            report.warn(
                place,
                format!("no runtime is left for it: {names} before it {verb} them all"),
            );
        }
    }
}
