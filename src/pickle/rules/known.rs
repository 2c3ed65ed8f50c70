//! Lookup of globals by name, and of the strings that rules ask for.

use std::collections::HashMap;
use std::sync::LazyLock;

use foldhash::fast::FixedState;

use crate::pickle::names::first_part;

use super::row::{Line, Manner, Reading, Row, Rows};
use super::when::{Event, What};

static KNOWLEDGE: LazyLock<Knowledge> =
    LazyLock::new(|| Knowledge::read(include_str!("rules.txt")));

/// All rules, to be looked up.
#[derive(Debug, Default)]
pub(in crate::pickle) struct Knowledge {
    pub(super) rows: Vec<Row>,
    /// The keys come from the committed data alone, so no seed has to be secret.
    modules: HashMap<&'static [u8], Vec<Entry>, FixedState>,
    /// The first parts of those modules, and of those that speak for modules below.
    tops: Filter,
    packages: Filter,
    words: Vec<&'static [u8]>,
    /// The words, and what else the scan looks for.
    strings: Filter,
    /// The rules about each kind of use.
    about: [Rows; What::COUNT],
}

/// The rules and the manner of a global.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::pickle) struct Known {
    pub(in crate::pickle) rows: Rows,
    pub(in crate::pickle) manner: Manner,
}

/// Names of a module, and what the table says of them.
#[derive(Debug)]
struct Entry {
    name: &'static [u8],
    /// The name begins so.
    prefix: bool,
    /// Modules below have it as well.
    below: bool,
    known: Known,
}

impl Knowledge {
    pub(in crate::pickle) fn get() -> &'static Self {
        &KNOWLEDGE
    }

    /// Reads the form that the head of `rules.txt` describes.
    ///
    /// # Panics
    ///
    /// If it is not in that form; a test reads all there is.
    fn read(text: &'static str) -> Self {
        let mut all = Self::default();
        let mut reading = Reading::default();
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        for line in lines.filter(|line| !line.is_empty()) {
            let (globals, says) = reading.line(line).expect("a rule or a manner");
            let known = match says {
                Line::Manner(manner) => Known {
                    manner,
                    ..Known::default()
                },
                Line::Rule(row) => {
                    assert!(all.rows.len() < Rows::MOST, "one bit a rule");
                    let rows = Rows::only(all.rows.len());
                    for when in &row.when {
                        all.about[when.what as usize].add(rows);
                    }
                    all.rows.push(row);
                    Known {
                        rows,
                        manner: Manner::Ordinary,
                    }
                }
            };
            for group in globals.split(' ') {
                let (modules, names) = group.split_once(':').expect("modules and names");
                for module in modules.split(',') {
                    names
                        .split(',')
                        .for_each(|name| all.add(module, name, known));
                }
            }
        }
        for word in &reading.words {
            all.strings.add(word);
        }
        all.strings.add(b"_django_version");
        // Names that Python itself looks for in objects.
        HOOK_LENGTHS.for_each(|len| all.strings.add(&b"_".repeat(len)));
        all.words = reading.words;
        all
    }

    fn add(&mut self, module: &'static str, name: &'static str, known: Known) {
        let (module, below) = match module.strip_suffix(".*") {
            Some(module) => (module.as_bytes(), true),
            None => (module.as_bytes(), false),
        };
        let (name, prefix) = match name.strip_suffix('*') {
            Some(name) => (name.as_bytes(), true),
            None => (name.as_bytes(), false),
        };
        self.tops.add(first_part(module));
        if below {
            self.packages.add(first_part(module));
        }
        let entry = Entry {
            name,
            prefix,
            below,
            known,
        };
        self.modules.entry(module).or_default().push(entry);
    }

    /// What is known of a global.
    pub(in crate::pickle) fn of(&self, module: &[u8], name: &[u8]) -> Known {
        let mut known = Known::default();
        let top = first_part(module);
        if !self.tops.may_have(top) {
            return known;
        }
        let in_package = self.packages.may_have(top);
        let mut path = module;
        loop {
            let own = path.len() == module.len();
            let entries = self.modules.get(path).map_or(&[][..], Vec::as_slice);
            for entry in entries.iter().filter(|entry| own || entry.below) {
                if name == entry.name || entry.prefix && name.starts_with(entry.name) {
                    known.rows.add(entry.known.rows);
                    if entry.known.manner != Manner::Ordinary {
                        known.manner = entry.known.manner;
                    }
                }
            }
            match memchr::memrchr(b'.', path) {
                Some(dot) if in_package => path = &path[..dot],
                _ => return known,
            }
        }
    }

    /// Which of these rules a use of a global meets.
    #[inline]
    pub(in crate::pickle) fn met(&self, rows: Rows, event: &Event<'_>) -> Rows {
        let rows = self.about(event.what, rows);
        if rows.is_empty() {
            return rows;
        }
        self.met_of(rows, event)
    }

    #[inline(never)]
    fn met_of(&self, rows: Rows, event: &Event<'_>) -> Rows {
        let mut met = Rows::default();
        for row in rows.iter() {
            if self.rows[row].when.iter().any(|when| when.is(event)) {
                met.add(Rows::only(row));
            }
        }
        met
    }

    /// Of these rules, those about a kind of use.
    #[inline]
    pub(in crate::pickle) fn about(&self, what: What, rows: Rows) -> Rows {
        rows.and(self.about[what as usize])
    }

    /// Whether the scan may look for a string. Every string of a pickle comes here.
    #[inline]
    pub(in crate::pickle) fn looks_for(&self, text: &[u8]) -> bool {
        self.strings.may_have(text)
    }

    /// The bit of a string that rules look for.
    pub(in crate::pickle) fn said(&self, text: &[u8]) -> u32 {
        let at = self.words.iter().position(|word| *word == text);
        at.map_or(0, |at| 1 << at)
    }
}

/// Lengths of the names that Python itself looks for in objects.
pub(in crate::pickle) const HOOK_LENGTHS: std::ops::RangeInclusive<usize> = 6..=19;

/// Strings by their length and their ends: says no of most others, without comparing.
#[derive(Debug, Default)]
struct Filter([u64; 32]);

impl Filter {
    fn add(&mut self, text: &[u8]) {
        self.0[text.len()] |= 1 << Self::ends(text);
    }

    #[inline]
    fn may_have(&self, text: &[u8]) -> bool {
        let ends = self.0.get(text.len());
        ends.is_some_and(|ends| ends >> Self::ends(text) & 1 == 1)
    }

    #[inline]
    fn ends(text: &[u8]) -> u8 {
        match text {
            [first, .., last] => (first ^ last.rotate_left(3)) & 63,
            _ => 0,
        }
    }
}
