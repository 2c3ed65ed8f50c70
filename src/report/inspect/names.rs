//! Collects what many pickles name, and how, in the form of the firewall's allow list.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

use super::{Report, printable};
use crate::pickle::Roles;

/// The roles of one global, for people.
pub(super) fn words(roles: Roles) -> String {
    let words: Vec<_> = [
        (roles.called, "called"),
        (roles.instantiated, "instantiated"),
        (roles.reconstructed, "reconstructed"),
        (roles.attribute, "getattr"),
        (roles.data, "data"),
        (roles.built, "given a state"),
    ]
    .into_iter()
    .filter_map(|(has, word)| has.then_some(word))
    .collect();
    if words.is_empty() {
        return "named".to_owned();
    }
    words.join(", ")
}

/// Roles that are in either.
pub(super) fn either(a: Roles, b: Roles) -> Roles {
    Roles {
        called: a.called | b.called,
        instantiated: a.instantiated | b.instantiated,
        reconstructed: a.reconstructed | b.reconstructed,
        attribute: a.attribute | b.attribute,
        data: a.data | b.data,
        built: a.built | b.built,
    }
}

/// The names in pickles, sorted and each once, with the number of pickles that have it.
/// Displays a line each, as `call datetime.datetime`.
#[derive(Debug, Clone, Default)]
pub struct NameList {
    pickles: BTreeMap<(&'static str, String), usize>,
}

/// An element of the list as a program reads it.
#[derive(Serialize)]
struct Entry<'l> {
    role: &'l str,
    name: &'l str,
    files: usize,
}

impl NameList {
    /// Takes in what one pickle names.
    pub fn add(&mut self, report: &Report) {
        // Each once: a pickle may name a thing in several ways.
        let uses = report.uses.iter().map(|(role, name)| (role.name(), name));
        for (role, name) in uses.collect::<BTreeSet<_>>() {
            *self.pickles.entry((role, name.clone())).or_default() += 1;
        }
    }
}

impl Serialize for NameList {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let entries = self.pickles.iter().map(|((role, name), files)| Entry {
            role,
            name,
            files: *files,
        });
        serializer.collect_seq(entries)
    }
}

impl fmt::Display for NameList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (role, name) in self.pickles.keys() {
            writeln!(f, "{role} {}", printable(name))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::inspect::Inspector;

    #[test]
    fn names_are_sorted_and_counted() {
        let mut list = NameList::default();
        let mut inspector = Inspector::default();
        for pickle in [
            &b"](capp\nB\n)\x81capp\nA\n)Rcapp\nA\ne."[..],
            b"capp\nA\n)R.",
            b"cbuiltins\ngetattr\n(capp\nC\nX\x01\0\0\0xtR.",
            b"capp\nD\n0N.",
            b"no pickle",
        ] {
            list.add(&inspector.inspect("test", pickle));
        }
        insta::assert_snapshot!(list, @r"
        call app.A
        call app.B
        call builtins.getattr
        data app.A
        getattr app.C.x
        named app.D
        ");
        insta::assert_snapshot!(serde_json::to_string(&list).unwrap(), @r#"[{"role":"call","name":"app.A","files":2},{"role":"call","name":"app.B","files":1},{"role":"call","name":"builtins.getattr","files":1},{"role":"data","name":"app.A","files":1},{"role":"getattr","name":"app.C.x","files":1},{"role":"named","name":"app.D","files":1}]"#);
    }
}
