//! Verdicts against the record: how often they are wrong, by direction.

use std::collections::BTreeMap;

use picklegate::pickle::{Extensions, Reader, Reason, Scanner, Verdict};

use crate::matrix::MATRIX;

#[derive(Default, Debug)]
struct Count {
    pairs: u64,
    false_loadable: u64,
    false_unloadable: u64,
}

fn version(text: &str) -> (u64, u64) {
    let (major, minor) = text.split_once('.').unwrap();
    (major.parse().unwrap(), minor.parse().unwrap())
}

fn reader(python: &str) -> Reader {
    let (major, minor) = version(python);
    let (dj, minor_dj) = version(&MATRIX.django[python]);
    Reader::of_python(major, Some(minor)).with_django(Some((dj as u16, minor_dj as u16)))
}

#[test]
fn verdicts_are_as_right_as_they_were_measured() {
    let mut scanner = Scanner::default();
    let mut counts: BTreeMap<&str, Count> = BTreeMap::new();
    let mut wrong: BTreeMap<String, u64> = BTreeMap::new();
    for row in MATRIX.rows.iter().filter(|row| !row.unloadable_by_writer) {
        let scan = scanner.scan(&row.pickle, Extensions::NONE).unwrap();
        for (r, python) in MATRIX.readers.iter().enumerate() {
            let loads = MATRIX.loads(row, r);
            let judged = scan.judge(reader(python));
            let verdict = judged.map_or_else(Reason::verdict, |()| Verdict::Loadable);
            for &(case, writer) in &row.productions {
                let mut writer = MATRIX.writers[writer].split('/');
                let (from, pickler) = (writer.next().unwrap(), writer.next().unwrap());
                if !matches!(pickler, "C" | "cPickle") {
                    continue;
                }
                let direction = match (from, python.as_str()) {
                    ("2.7", "2.7") => "2.7 to 2.7",
                    ("2.7", _) => "2.7 to 3.x",
                    (_, "2.7") => "3.x to 2.7",
                    _ => "3.x to 3.x",
                };
                let count = counts.entry(direction).or_default();
                count.pairs += 1;
                let kind = match (verdict, loads) {
                    (Verdict::Loadable, false) => {
                        count.false_loadable += 1;
                        format!(
                            "LOADABLE {direction} {} | {}",
                            MATRIX.cases[case],
                            MATRIX.outcome(row, r)
                        )
                    }
                    (Verdict::Unloadable, true) => {
                        count.false_unloadable += 1;
                        format!(
                            "UNLOADABLE {direction} {} | {}",
                            MATRIX.cases[case],
                            judged.unwrap_err()
                        )
                    }
                    _ => continue,
                };
                *wrong.entry(kind).or_default() += 1;
            }
        }
    }
    let mut worst: Vec<_> = wrong.into_iter().collect();
    worst.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    for (what, n) in worst {
        println!("{n:6} {what}");
    }
    for (direction, count) in &counts {
        let share = |n: u64| 100.0 * n as f64 / count.pairs as f64;
        println!(
            "{direction}: {} pairs, false loadable {} ({:.2} %), false unloadable {} ({:.2} %)",
            count.pairs,
            count.false_loadable,
            share(count.false_loadable),
            count.false_unloadable,
            share(count.false_unloadable)
        );
    }
}
