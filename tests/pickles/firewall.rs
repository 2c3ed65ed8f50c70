//! The built-in deny list beside what was recorded: what pickling writes passes.

use std::collections::{BTreeMap, BTreeSet};

use picklegate::pickle::{Extensions, Firewall, Scanner};

use crate::matrix::{MATRIX, Matrix};

/// What the built-in list refuses of a record: how many pickles, by their cases and
/// the reason.
fn refused(matrix: &Matrix) -> BTreeMap<(String, String), usize> {
    let firewall = Firewall::built_in();
    let mut scanner = Scanner::default();
    let mut refused = BTreeMap::new();
    for row in &matrix.rows {
        let Ok(scan) = scanner.scan(&row.pickle, Extensions::NONE) else {
            continue;
        };
        if let Err(reason) = firewall.check(&scan) {
            for (case, _) in &row.productions {
                let key = (matrix.cases[*case].clone(), reason.to_string());
                *refused.entry(key).or_default() += 1;
            }
        }
    }
    refused
}

/// References to what is never even to be held, as values: they are meant to be
/// refused. The rest of these families passes.
const REFERENCES: [&str; 2] = ["bref/", "gref/"];
/// What only the application's own unpickler loads, or registers.
const OWN: [&str; 2] = ["pers/", "ext/"];

#[test]
fn what_pickling_writes_of_any_recorded_value_is_not_denied() {
    for name in ["matrix.jsonl.xz", "apart.jsonl.xz", "later.jsonl.xz"] {
        let refused = match name {
            "matrix.jsonl.xz" => refused(&MATRIX),
            _ => refused(&Matrix::read(name)),
        };
        let is_one_of = |case: &str, families: [&str; 2]| {
            families.iter().any(|family| case.starts_with(family))
        };
        let wrong: Vec<_> = refused
            .keys()
            .filter(|(case, reason)| {
                let meant = is_one_of(case, REFERENCES) && reason.ends_with(" is denied");
                !meant && !is_one_of(case, OWN)
            })
            .collect();
        assert!(wrong.is_empty(), "{name}: {wrong:?}");
        let references = refused
            .keys()
            .filter(|(case, _)| is_one_of(case, REFERENCES));
        let references: BTreeSet<_> = references.map(|(case, _)| case).collect();
        assert!(references.len() <= 60, "{name}: {references:?}");
    }
}
