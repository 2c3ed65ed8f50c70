//! Facts about classes and functions of the standard library of each `CPython`: what
//! pickles ask of them, in the words that `inventory.py` explains.
//!
//! `generate.py` asks the interpreters and writes `facts.txt`; `trips.py` has them pickle
//! instances for each other and writes down in `trips.txt` who got what was meant.

mod words;

use std::ops::Range;
use std::sync::LazyLock;

use foldhash::fast::FixedState;

use super::names::Versions;

pub(super) use words::Words;

/// The keys come from the committed data alone, so no seed has to be secret.
type HashMap<K, V> = std::collections::HashMap<K, V, FixedState>;
type Global = (&'static [u8], &'static [u8]);

/// The facts of some versions, which are the same in all of them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Group {
    pub(super) versions: Versions,
    pub(super) facts: &'static str,
}

/// Versions whose pickles other versions get as they were meant.
#[derive(Debug, Clone, Copy)]
struct Trip {
    writers: Versions,
    readers: Versions,
}

#[derive(Debug, Default)]
struct Facts {
    groups: Vec<Group>,
    by_name: HashMap<Global, Range<u32>>,
}

static FACTS: LazyLock<Facts> = LazyLock::new(|| Facts::read(include_str!("facts.txt")));
static TRIPS: LazyLock<HashMap<Global, Vec<Trip>>> =
    LazyLock::new(|| trips(include_str!("trips.txt")));

/// The facts of a class or a function of the standard library, by the versions that they
/// hold for; none of others.
pub(super) fn lookup(module: &[u8], name: &[u8]) -> &'static [Group] {
    let facts = &*FACTS;
    let found = facts.by_name.get(&(module, name));
    found.map_or(&[], |groups| {
        &facts.groups[groups.start as usize..groups.end as usize]
    })
}

/// Whether instances of all kinds that were recorded came over from each of these writers
/// to each of these readers.
pub(super) fn came_over(module: &[u8], name: &[u8], writers: Versions, readers: Versions) -> bool {
    let Some(trips) = TRIPS.get(&(module, name)) else {
        return false;
    };
    writers.each().all(|writer| {
        let trips = trips.iter().filter(|trip| trip.writers.contains(writer));
        let reached = trips.fold(Versions::default(), |all, trip| all | trip.readers);
        reached & readers == readers
    })
}

impl Facts {
    /// Reads the form that the head of `facts.txt` describes.
    ///
    /// # Panics
    ///
    /// If it is not in that form; a test reads all there is.
    fn read(text: &'static str) -> Self {
        let mut all = Self::default();
        let mut facts = Vec::new();
        let mut module = "";
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            if let Some(words) = line.strip_prefix('=') {
                facts.push(words);
            } else if let Some(line) = line.strip_prefix(' ') {
                let mut words = line.split(' ');
                let groups = words.next().expect("groups").split(',').map(|group| {
                    let (versions, number) = group.split_once(':').expect("versions:number");
                    Group {
                        versions: versions_of(versions),
                        facts: facts[number.parse::<usize>().expect("a number")],
                    }
                });
                let from = all.groups.len() as u32;
                all.groups.extend(groups);
                let range = from..all.groups.len() as u32;
                for name in words {
                    let global = (module.as_bytes(), name.as_bytes());
                    all.by_name.insert(global, range.clone());
                }
            } else {
                module = line;
            }
        }
        all
    }
}

fn versions_of(mask: &str) -> Versions {
    Versions::of_bits(u16::from_str_radix(mask, 16).expect("a mask"))
}

/// Reads the form that the head of `trips.txt` describes.
///
/// # Panics
///
/// If it is not in that form; a test reads all there is.
fn trips(text: &'static str) -> HashMap<Global, Vec<Trip>> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let read = |line: &'static str| {
        let mut words = line.split(' ');
        let (module, name) = words.next()?.split_once(':')?;
        let trips = words.map(|trip| {
            let (writers, readers) = trip.split_once('>').expect("writers>readers");
            Trip {
                writers: versions_of(writers),
                readers: versions_of(readers),
            }
        });
        Some(((module.as_bytes(), name.as_bytes()), trips.collect()))
    };
    lines.map(|line| read(line).expect("module:name")).collect()
}

#[cfg(test)]
mod tests {
    use super::super::names::PythonVersion;
    use super::*;

    #[test]
    fn the_versions_are_those_of_the_names() {
        for text in [include_str!("facts.txt"), include_str!("trips.txt")] {
            let bits = text.lines().filter_map(|line| line.strip_prefix("#   "));
            let versions: Vec<_> = bits
                .map(|line| {
                    let (mask, version) = line.split_once("  ").expect("a mask and a version");
                    let mut parts = version
                        .split('.')
                        .map(|part| part.parse().expect("a number"));
                    let (major, minor) =
                        (parts.next().expect("major"), parts.next().expect("minor"));
                    (versions_of(mask), PythonVersion::of(major, minor))
                })
                .collect();
            let all = PythonVersion::ALL.map(|version| (Versions::only(version), version));
            assert_eq!(versions, all);
        }
    }

    #[test]
    fn facts_are_those_of_the_interpreters() {
        let of = |module: &str, name: &str, version| {
            let groups = lookup(module.as_bytes(), name.as_bytes());
            let mut groups = groups
                .iter()
                .filter(|group| group.versions.contains(version));
            groups.next().map(|group| group.facts)
        };
        let cookie = of("http.cookies", "Morsel", PythonVersion::Py313).expect("facts");
        assert!(cookie.starts_with("class base=dict"), "{cookie}");
        assert_eq!(of("http.cookies", "Morsel", PythonVersion::Py27), None);
        assert_eq!(of("http", "HTTPMethod", PythonVersion::Py310), None);
        let method = of("http", "HTTPMethod", PythonVersion::Py311).expect("facts");
        assert!(method.contains("enum=CONNECT:sCONNECT,"), "{method}");
    }

    #[test]
    fn all_that_came_over_is_there() {
        for (module, name) in TRIPS.keys() {
            let listed =
                !lookup(module, name).is_empty() || crate::pickle::names::is_standard(module, name);
            let [module, name] = [module, name].map(|part| String::from_utf8_lossy(part));
            assert!(listed, "{module}.{name}");
        }
    }
}
