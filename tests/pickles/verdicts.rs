//! Verdicts against the record: how often they are wrong, by direction. Run with
//! `--nocapture` to see each kind of error.

use std::collections::BTreeMap;

use picklegate::pickle::{Extensions, Reader, Reason, Scanner, Verdict};

use crate::matrix::{MATRIX, Row};

/// How the verdicts on pickles of one kind went.
#[derive(Default)]
struct Count {
    pairs: u32,
    false_loadable: u32,
    false_unloadable: u32,
}

impl Count {
    fn add(&mut self, verdict: Verdict, loads: bool) {
        self.pairs += 1;
        self.false_loadable += u32::from(verdict == Verdict::Loadable && !loads);
        self.false_unloadable += u32::from(verdict == Verdict::Unloadable && loads);
    }

    /// In percent.
    fn share(&self, count: u32) -> f64 {
        100.0 * f64::from(count) / f64::from(self.pairs)
    }
}

fn version(text: &str) -> (u16, u16) {
    let (major, minor) = text.split_once('.').expect("major.minor");
    (
        major.parse().expect("a number"),
        minor.parse().expect("a number"),
    )
}

fn reader(python: &str) -> Reader {
    let (major, minor) = version(python);
    let django = version(&MATRIX.django[python]);
    Reader::of_python(major.into(), Some(minor.into())).with_django(Some(django))
}

/// The cases that Python's own picklers write just so, with the writer.
fn productions(row: &Row) -> impl Iterator<Item = (&'static str, &'static str)> {
    row.productions.iter().filter_map(|&(case, writer)| {
        let mut writer = MATRIX.writers[writer].split('/');
        let (python, pickler) = (writer.next()?, writer.next()?);
        matches!(pickler, "C" | "cPickle").then(|| (MATRIX.cases[case].as_str(), python))
    })
}

fn direction(from: &str, to: &str) -> &'static str {
    match (from, to) {
        ("2.7", "2.7") => "2.7 to 2.7",
        ("2.7", _) => "2.7 to 3.x",
        (_, "2.7") => "3.x to 2.7",
        _ => "3.x to 3.x",
    }
}

/// What applications cache most: containers, texts, numbers, dates, decimals, and
/// classes that every reader has.
fn is_plain(case: &str) -> bool {
    let family = case.split('/').next();
    family.is_some_and(|family| {
        [
            "app", "dict", "list", "tuple", "text", "scalar", "int", "float", "jfuzz",
        ]
        .contains(&family)
    })
}

#[test]
fn verdicts_are_as_right_as_was_measured() {
    let readers: Vec<_> = MATRIX.readers.iter().map(|python| reader(python)).collect();
    let mut scanner = Scanner::default();
    let mut counts: BTreeMap<&str, Count> = BTreeMap::new();
    let mut kinds: BTreeMap<String, u32> = BTreeMap::new();
    for row in MATRIX.rows.iter().filter(|row| !row.unloadable_by_writer) {
        let scan = scanner
            .scan(&row.pickle, Extensions::NONE)
            .expect("a whole pickle");
        for (r, python) in MATRIX.readers.iter().enumerate() {
            let judged = scan.judge(readers[r]);
            let verdict = judged.map_or_else(Reason::verdict, |()| Verdict::Loadable);
            let outcome = MATRIX.outcome(row, r);
            let loads = MATRIX.loads(row, r);
            for (case, from) in productions(row) {
                let direction = direction(from, python);
                counts.entry(direction).or_default().add(verdict, loads);
                let part = if is_plain(case) {
                    "plain"
                } else if judged.is_err_and(|reason| reason.to_string().contains("QuerySet")) {
                    "QuerySet rule"
                } else if outcome.contains("X is not a type object")
                    || outcome.contains("NEWOBJ class argument")
                {
                    "classic class of the application"
                } else {
                    "other"
                };
                counts.entry(part).or_default().add(verdict, loads);
                let what = match (verdict, loads) {
                    (Verdict::Loadable, false) => outcome.to_owned(),
                    (Verdict::Unloadable, true) => judged.unwrap_err().to_string(),
                    _ => continue,
                };
                let what = format!("{verdict:?} {direction} {case}: {what}");
                *kinds.entry(what).or_default() += 1;
            }
        }
    }

    let mut kinds: Vec<_> = kinds.into_iter().collect();
    kinds.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
    for (what, count) in kinds {
        println!("{count:6} {what}");
    }
    for (part, count) in &counts {
        println!(
            "{part}: {} pairs, false loadable {:.2} %, false unloadable {:.2} %",
            count.pairs,
            count.share(count.false_loadable),
            count.share(count.false_unloadable)
        );
    }
    // Of 3.x to 2.7, classes of the application that are classic there are most:
    // only an inventory tells of them.
    for (part, loadable, unloadable) in [
        ("2.7 to 2.7", 0.0, 0.1),
        ("2.7 to 3.x", 0.6, 0.0),
        ("3.x to 2.7", 3.1, 0.05),
        ("3.x to 3.x", 0.25, 0.65),
        ("plain", 0.0, 0.0),
        ("other", 0.35, 0.01),
    ] {
        let count = &counts[part];
        assert!(count.share(count.false_loadable) <= loadable, "{part}");
        assert!(count.share(count.false_unloadable) <= unloadable, "{part}");
    }
}
