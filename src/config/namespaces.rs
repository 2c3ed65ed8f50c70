//! The namespaces: who is in each, its inventory, and the spaces that it has keys
//! in, one for each epoch.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use super::document::{Table, all};
use super::pickles::inventory;
use super::report::{At, Place, Report};
use super::shadow;
use super::values::within;
use crate::policy::{KeyCodec, Namespace, Requirement};

/// Namespaces of a file without `[namespaces]`: one for each side of the step that most
/// fleets take.
const DEFAULT_NAMESPACES: [(&str, &str); 2] = [("py2", "python <3"), ("py3", "python >=3")];
/// A space's number is one byte, and 0 is the bare space.
const MAX_NAMESPACES: usize = 255;
/// The codec counts on it for the length of its prefixes.
const MAX_NAME_BYTES: usize = 32;
const EPOCHS: RangeInclusive<u32> = 0..=u32::MAX;

/// The namespaces in their order, the codec of their keys, and the files of inventories.
pub(super) struct Namespaces {
    pub(super) codec: KeyCodec,
    pub(super) all: Vec<Namespace>,
    pub(super) inventories: Vec<PathBuf>,
}

/// A namespace, and what only the whole configuration has to know of it.
struct Draft {
    namespace: Namespace,
    /// Epochs, the one that is read and written first.
    epochs: Vec<u64>,
    /// The place where it says who is in it.
    place: Place,
    inventory: Option<PathBuf>,
}

/// Reads all of them.
pub(super) fn namespaces(
    tables: Vec<(At<String>, Table<'_>)>,
    base: &Path,
    report: &Report,
) -> Option<Namespaces> {
    let first = tables.first().map(|(name, _)| name.place.clone());
    if let Some((extra, _)) = tables.get(MAX_NAMESPACES) {
        let message = format!("{} namespaces, limit {MAX_NAMESPACES}", tables.len());
        report.error(&extra.place, message);
    }
    let drafts = tables.into_iter();
    let mut drafts = all(drafts.map(|(name, table)| draft(&name, table, base, report)))?;
    if drafts.is_empty() {
        drafts.extend(DEFAULT_NAMESPACES.map(default_draft));
    }
    if drafts.len() > MAX_NAMESPACES {
        return None;
    }
    warn_of_shadows(&drafts, report);
    let own = drafts
        .iter()
        .map(|draft| (&*draft.namespace.name, draft.epochs[0]));
    let others = drafts.iter().flat_map(
        |Draft {
             namespace, epochs, ..
         }| { epochs[1..].iter().map(|&epoch| (&*namespace.name, epoch)) },
    );
    let codec = KeyCodec::new(own.chain(others));
    if codec.spaces().len() > MAX_NAMESPACES + 1 {
        let message = format!("more than {MAX_NAMESPACES} namespaces with their other epochs");
        report.error(&first.unwrap_or_default(), message);
        return None;
    }
    let drafts = drafts.into_iter();
    let (all, files): (_, Vec<_>) = drafts
        .map(|draft| (draft.namespace, draft.inventory))
        .unzip();
    Some(Namespaces {
        codec,
        all,
        inventories: files.into_iter().flatten().collect(),
    })
}

fn default_draft((name, runtimes): (&str, &str)) -> Draft {
    let requirement = Requirement::parse(runtimes).expect("the defaults are well-formed");
    Draft {
        namespace: Namespace::new(name, requirement, None),
        epochs: vec![0],
        place: Place::default(),
        inventory: None,
    }
}

fn draft(
    At { place, value: name }: &At<String>,
    mut table: Table<'_>,
    base: &Path,
    report: &Report,
) -> Option<Draft> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-';
    let well_named = (1..=MAX_NAME_BYTES).contains(&name.len()) && name.bytes().all(plain);
    if !well_named {
        let message = format!("a name is 1 to {MAX_NAME_BYTES} of a-z, 0-9, _ and -");
        report.error(place, message);
    }
    let requirement = table.parsed("runtimes", Requirement::parse);
    table.require("runtimes", "write for example \"python >=3\"");
    let epoch = table.number("epoch", 0, EPOCHS);
    let file = table.string("inventory");
    let others = table.integers("also_invalidate");
    let others = others.map(|at| at.value).unwrap_or_default();
    let epochs = epochs(epoch, &others, report);
    let inventory = match &file {
        None => None,
        Some(at) => Some(inventory(at, base, report)?),
    };
    let requirement = requirement?.value;
    if let Some((At { place, value }, inventory)) = file.as_ref().zip(inventory.as_ref()) {
        let (major, minor) = inventory.python();
        if !requirement.allows_python(major, minor) {
            let message = format!("{value} is of Python {major}.{minor}, not {requirement}");
            report.error(place, message);
        }
    }
    let epochs = epochs?;
    well_named.then(|| Draft {
        namespace: Namespace::new(name, requirement, inventory),
        epochs,
        place: table.given("runtimes").unwrap_or(place).clone(),
        inventory: file.map(|at| base.join(at.value)),
    })
}

/// The epoch that is read and written, then those that are only invalidated.
fn epochs(own: Option<u32>, others: &[At<i64>], report: &Report) -> Option<Vec<u64>> {
    let read = others.iter().map(|other| within(other, EPOCHS, report));
    let epochs = all(std::iter::once(own).chain(read))?;
    for (nth, At { place, value }) in others.iter().enumerate() {
        if epochs[..=nth].contains(&epochs[nth + 1]) {
            report.error(place, format!("epoch {value} is given twice"));
        }
    }
    Some(epochs.into_iter().map(u64::from).collect())
}

/// Warns of namespaces that nobody is in. That may be meant: one is prepared behind
/// another, or retired.
fn warn_of_shadows(drafts: &[Draft], report: &Report) {
    let namespaces = drafts.iter().map(|draft| &draft.namespace);
    let requirements: Vec<&Requirement> = namespaces.map(|n| &n.requirement).collect();
    for (nth, (draft, requirement)) in drafts.iter().zip(&requirements).enumerate() {
        let message = if shadow::is_impossible(requirement) {
            "no runtime can be in it: its ranges exclude each other".to_owned()
        } else if let Some(takers) = shadow::shadowed(&requirements[..nth], requirement) {
            let names: Vec<&str> = takers
                .iter()
                .map(|&at| &*drafts[at].namespace.name)
                .collect();
            let verb = if takers.len() == 1 { "takes" } else { "take" };
            let names = names.join(" and ");
            format!("no runtime is left for it: {names} before it {verb} them all")
        } else {
            continue;
        };
        report.warn(&draft.place, message);
    }
}
