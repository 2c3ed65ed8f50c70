//! A TOML document as tables of settings that know their line. Reports syntax
//! errors, wrong types, missing and unknown keys; knows no setting's meaning.

use std::collections::BTreeMap;

use toml::de::{DeTable, DeValue};

use super::report::{At, Place, Report};

/// Reads a document: `read` takes the settings that it knows out of the root
/// table. `None` if the text is no TOML, which is reported.
pub(super) fn read_document<T>(
    text: &str,
    report: &Report,
    read: impl FnOnce(Table<'_>) -> T,
) -> Option<T> {
    let starts = text.match_indices('\n').map(|(at, _)| at + 1);
    let source = Source {
        lines: std::iter::once(0).chain(starts).collect(),
        report,
    };
    let (root, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        let place = source.place(0, String::new());
        return Some(read(Table::new(place, root.get_ref(), &source)));
    }
    // The first one of each line: more are the parser's attempts to go on.
    let mut first = BTreeMap::new();
    for error in &errors {
        let span = error.span().unwrap_or_default();
        let key = match error.message() {
            "duplicate key" => text.get(span.clone()).unwrap_or_default(),
            _ => "",
        };
        let place = source.place(span.start, key.to_owned());
        first.entry(place.line).or_insert((place, error.message()));
    }
    for (place, message) in first.into_values() {
        report.error(&place, message);
    }
    None
}

/// The state that the tables of one document share.
#[derive(Debug)]
struct Source<'d> {
    /// The offset of each line's first byte.
    lines: Vec<usize>,
    report: &'d Report,
}

impl Source<'_> {
    fn place(&self, offset: usize, key: String) -> Place {
        let line = self.lines.partition_point(|&start| start <= offset);
        Place {
            line: Some(line),
            key,
        }
    }
}

/// A table, out of which settings are taken by name. `None` stands for a setting that
/// is absent, or wrong and reported. When the table is dropped, settings that nobody
/// took are reported as unknown.
#[derive(Debug)]
pub(super) struct Table<'d> {
    place: Place,
    /// The settings that were not taken yet.
    entries: BTreeMap<&'d str, At<&'d DeValue<'d>>>,
    /// The names that were asked for, and where those stand that were there.
    known: Vec<(&'static str, Option<Place>)>,
    source: &'d Source<'d>,
}

impl<'d> Table<'d> {
    fn new(place: Place, table: &'d DeTable<'d>, source: &'d Source<'d>) -> Self {
        let mut this = Self::empty(place, source);
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            let place = source.place(key.span().start, this.path(name));
            let value = value.get_ref();
            this.entries.insert(name, At { place, value });
        }
        this
    }

    fn empty(place: Place, source: &'d Source<'d>) -> Self {
        Self {
            place,
            entries: BTreeMap::new(),
            known: Vec::new(),
            source,
        }
    }

    /// Returns its place.
    pub(super) fn place(&self) -> Place {
        self.place.clone()
    }

    /// The report that its mistakes go to.
    pub(super) fn report(&self) -> &'d Report {
        self.source.report
    }

    /// The place of a setting that was taken; `None` where it was absent.
    pub(super) fn given(&self, name: &str) -> Option<&Place> {
        let known = self.known.iter().find(|(known, _)| *known == name);
        known?.1.as_ref()
    }

    /// Tells whether a setting is there, and was not taken yet.
    pub(super) fn has(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    /// Reports a setting that is absent, and says what to write.
    pub(super) fn require(&self, name: &str, hint: &str) {
        if !self.has(name) && self.given(name).is_none() {
            let place = self.absent(name);
            self.source.report.error(&place, format!("missing: {hint}"));
        }
    }

    pub(super) fn string(&mut self, name: &'static str) -> Option<At<String>> {
        self.take(name, "a string", string)
    }

    /// A string with a default: `None` only where it is wrong and reported.
    pub(super) fn string_or(&mut self, name: &'static str, default: &str) -> Option<At<String>> {
        if self.entries.contains_key(name) {
            return self.string(name);
        }
        self.known.push((name, None));
        Some(At {
            place: self.absent(name),
            value: default.to_owned(),
        })
    }

    pub(super) fn integer(&mut self, name: &'static str) -> Option<At<i64>> {
        self.take(name, "an integer of 64 bits", integer)
    }

    pub(super) fn integers(&mut self, name: &'static str) -> Option<At<Vec<At<i64>>>> {
        self.elements(name, "an integer of 64 bits", integer)
    }

    pub(super) fn boolean(&mut self, name: &'static str) -> Option<At<bool>> {
        self.take(name, "true or false", DeValue::as_bool)
    }

    /// The text of a size: `64KiB`, or a plain number.
    pub(super) fn size(&mut self, name: &'static str) -> Option<At<String>> {
        self.take(name, "a size such as \"64KiB\"", |value| match value {
            DeValue::String(text) => Some(text.to_string()),
            DeValue::Integer(bytes) => Some(bytes.to_string()),
            _ => None,
        })
    }

    pub(super) fn strings(&mut self, name: &'static str) -> Option<At<Vec<At<String>>>> {
        self.elements(name, "a string", string)
    }

    /// An inner table; an absent one is empty.
    pub(super) fn table(&mut self, name: &'static str) -> Self {
        self.optional_table(name)
            .unwrap_or_else(|| self.without(name))
    }

    /// An inner table of this name in which nothing stands.
    pub(super) fn without(&self, name: &str) -> Self {
        Self::empty(self.absent(name), self.source)
    }

    /// An inner table, if it is there.
    pub(super) fn optional_table(&mut self, name: &'static str) -> Option<Self> {
        let At { place, value } = self.take(name, "a table", DeValue::as_table)?;
        Some(Self::new(place, value, self.source))
    }

    /// An array of tables, `[[name]]`.
    pub(super) fn tables(&mut self, name: &'static str) -> Option<At<Vec<Self>>> {
        let tables = self.elements(name, "a table", DeValue::as_table)?;
        let table = |At { place, value }| Self::new(place, value, self.source);
        Some(tables.map(|tables| tables.into_iter().map(table).collect()))
    }

    /// Inner tables whose names are the user's, `[name.anything]`, in the order
    /// of the file; `None` only where one is wrong and reported.
    pub(super) fn named_tables(&mut self, name: &'static str) -> Option<Vec<(At<String>, Self)>> {
        let tables = self.named(name, "a table", DeValue::as_table)?.into_iter();
        let tables = tables.map(|(name, table)| {
            let table = Self::new(name.place.clone(), table, self.source);
            (name, table)
        });
        let mut tables: Vec<_> = tables.collect();
        // Tables on one line are inline and follow the order of their names.
        tables.sort_by_key(|(name, _)| name.place.line);
        Some(tables)
    }

    /// An inner table of strings whose names are the user's.
    pub(super) fn named_strings(
        &mut self,
        name: &'static str,
    ) -> Option<Vec<(At<String>, String)>> {
        self.named(name, "a string", string)
    }

    /// The settings of an inner table, whose names are the user's.
    fn named<T>(
        &mut self,
        name: &'static str,
        expected: &str,
        read: impl Fn(&'d DeValue<'d>) -> Option<T>,
    ) -> Option<Vec<(At<String>, T)>> {
        if !self.has(name) {
            self.known.push((name, None));
            return Some(Vec::new());
        }
        let entries = std::mem::take(&mut self.optional_table(name)?.entries);
        all(entries.into_iter().map(|(name, entry)| {
            let At { place, value } = self.typed(entry, expected, &read)?;
            let name = name.to_owned();
            Some((At { place, value: name }, value))
        }))
    }

    fn take<T>(
        &mut self,
        name: &'static str,
        expected: &str,
        read: impl FnOnce(&'d DeValue<'d>) -> Option<T>,
    ) -> Option<At<T>> {
        let entry = self.entries.remove(name);
        self.known
            .push((name, entry.as_ref().map(|at| at.place.clone())));
        self.typed(entry?, expected, read)
    }

    /// An array whose elements all read well.
    fn elements<T>(
        &mut self,
        name: &'static str,
        expected: &str,
        read: impl Fn(&'d DeValue<'d>) -> Option<T>,
    ) -> Option<At<Vec<At<T>>>> {
        let At { place, value } = self.take(name, "an array", DeValue::as_array)?;
        let value = all(value.iter().enumerate().map(|(nth, element)| {
            let key = format!("{}[{nth}]", place.key);
            let place = self.source.place(element.span().start, key);
            let value = element.get_ref();
            self.typed(At { place, value }, expected, &read)
        }))?;
        Some(At { place, value })
    }

    /// Reads a value, or reports what was expected in its place.
    fn typed<T>(
        &self,
        At { place, value }: At<&'d DeValue<'d>>,
        expected: &str,
        read: impl FnOnce(&'d DeValue<'d>) -> Option<T>,
    ) -> Option<At<T>> {
        let read = read(value);
        if read.is_none() {
            let found = match value {
                DeValue::Integer(number) => number.to_string(),
                DeValue::Boolean(truth) => truth.to_string(),
                DeValue::Array(_) => "an array".to_owned(),
                other => format!("a {}", other.type_str()),
            };
            let message = format!("expected {expected}, found {found}");
            self.source.report.error(&place, message);
        }
        read.map(|value| At { place, value })
    }

    /// Returns the place where an absent setting would stand.
    fn absent(&self, name: &str) -> Place {
        Place {
            line: self.place.line,
            key: self.path(name),
        }
    }

    fn path(&self, name: &str) -> String {
        match self.place.key.as_str() {
            "" => name.to_owned(),
            outer => format!("{outer}.{name}"),
        }
    }
}

impl Drop for Table<'_> {
    fn drop(&mut self) {
        for At { place, .. } in self.entries.values() {
            let known: Vec<&str> = self.known.iter().map(|&(name, _)| name).collect();
            let message = format!("unknown key, expected {}", one_of(&known));
            self.source.report.error(place, message);
        }
    }
}

fn integer(value: &DeValue<'_>) -> Option<i64> {
    let integer = value.as_integer()?;
    i64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

fn string(value: &DeValue<'_>) -> Option<String> {
    value.as_str().map(str::to_owned)
}

/// Collects all values, or none. Drives the iterator to its end either way, so that each
/// item reports its own problems.
pub(super) fn all<T>(items: impl Iterator<Item = Option<T>>) -> Option<Vec<T>> {
    let items: Vec<Option<T>> = items.collect();
    items.into_iter().collect()
}

/// `a`, `a or b`, `a, b or c`.
pub(super) fn one_of(words: &[&str]) -> String {
    match words {
        [] => "nothing".to_owned(),
        [word] => (*word).to_owned(),
        [words @ .., last] => format!("{} or {last}", words.join(", ")),
    }
}
