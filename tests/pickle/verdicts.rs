//! Verdicts against the record: how often they are wrong, by direction, and how much of
//! what loads is proved. Run with `--nocapture` to see each kind of error, and with
//! `PICKLEGATE_LOST=1` what loads and is not proved as well.

use std::collections::{BTreeMap, BTreeSet};

use picklegate::pickle::inventory::Inventory;
use picklegate::pickle::names;
use picklegate::pickle::{Extensions, Pool, Reader, Reason, Scan, Scanner, Verdict};

use crate::matrix::{MATRIX, Matrix, Row};

/// Kinds of values in the records that tell them by the beginning of their names.
const KINDS: [&str; 4] = ["standard", "library", "same", "changed"];

/// Counts of verdicts on pickles of one kind.
#[derive(Default)]
pub(crate) struct Count {
    pairs: u32,
    loads: u32,
    proved: u32,
    false_loadable: u32,
    false_unloadable: u32,
}

impl Count {
    fn add(&mut self, verdict: Verdict, loads: bool) {
        self.pairs += 1;
        self.loads += u32::from(loads);
        self.proved += u32::from(verdict == Verdict::Loadable && loads);
        self.false_loadable += u32::from(verdict == Verdict::Loadable && !loads);
        self.false_unloadable += u32::from(verdict == Verdict::Unloadable && loads);
    }

    /// In percent.
    fn share(&self, count: u32) -> f64 {
        100.0 * f64::from(count) / f64::from(self.pairs)
    }
}

/// The parts of a name in the record.
fn utf8(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).expect("names are UTF-8")
}

fn version(text: &str) -> (u16, u16) {
    let (major, minor) = text.split_once('.').expect("major.minor");
    (
        major.parse().expect("a number"),
        minor.parse().expect("a number"),
    )
}

pub(crate) fn reader(matrix: &Matrix, python: &str) -> Reader {
    let (major, minor) = version(python);
    let django = version(&matrix.django[python]);
    Reader::of_python(major.into(), Some(minor.into())).with_django(Some(django))
}

/// The cases that Python's own picklers write just so, with the writer.
fn productions<'m>(matrix: &'m Matrix, row: &'m Row) -> impl Iterator<Item = (&'m str, &'m str)> {
    row.productions.iter().filter_map(|&(case, writer)| {
        let mut writer = matrix.writers[writer].split('/');
        let (python, pickler) = (writer.next()?, writer.next()?);
        matches!(pickler, "C" | "cPickle").then(|| (matrix.cases[case].as_str(), python))
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

/// Direction in the counts for classes of libraries alone. Verdicts on classes of the application may be
/// wrong: only an inventory tells which of them a reader has, and what they derive from
/// there.
fn of_libraries(direction: &str) -> &'static str {
    match direction {
        "2.7 to 2.7" => "2.7 to 2.7, of libraries",
        "2.7 to 3.x" => "2.7 to 3.x, of libraries",
        "3.x to 2.7" => "3.x to 2.7, of libraries",
        _ => "3.x to 3.x, of libraries",
    }
}

/// Whether a pickle names something of the applications that the records were
/// made with.
fn names_application(scan: &Scan<'_>) -> bool {
    scan.globals()
        .any(|global| global.module.starts_with("ptapp.") || global.module == "shop")
}

/// Group in which a pair is counted, beside its direction.
fn part(case: &str, reason: Option<Reason<'_>>, application: bool, outcome: &str) -> &'static str {
    let ends = |with: &[&str]| with.iter().any(|text| outcome.contains(text));
    if is_plain(case) {
        "plain"
    } else if reason.is_some_and(|reason| reason.to_string().contains("QuerySet")) {
        "QuerySet rule"
    } else if ends(&["X is not a type object", "NEWOBJ class argument"]) {
        "classic class of the application"
    } else if application && ends(&["is not a subtype of", "argument without an encoding"]) {
        "class of the application made of str"
    } else if application && ends(&["attribute '", "ImportError", "SyntaxError", "No module"]) {
        "lacking in the application there"
    } else {
        "other"
    }
}

/// Recorded as loaded without having been used: on Python 3 nothing of a mail that
/// Python 2 pickled can be read, for want of `policy`.
fn fails_in_use(case: &str, direction: &str) -> bool {
    case == "misc/email" && direction == "2.7 to 3.x"
}

/// Values that applications cache most: containers, texts, numbers, dates, decimals, and
/// classes that every reader has.
fn is_plain(case: &str) -> bool {
    let family = case.split('/').next();
    family.is_some_and(|family| {
        [
            "plain", "app", "dict", "list", "tuple", "text", "scalar", "int", "float", "jfuzz",
        ]
        .contains(&family)
    })
}

/// Inventories of the readers' environments, rebuilt from the recorded results of
/// imports, since `inventory.py` was not run in them.
fn inventories() -> Vec<Inventory> {
    let mut scanner = Scanner::default();
    let mut named: BTreeMap<&str, BTreeSet<(String, String)>> = BTreeMap::new();
    let mut lacking = vec![BTreeSet::new(); MATRIX.readers.len()];
    for row in &MATRIX.rows {
        let Ok(scan) = scanner.scan(&row.pickle, Extensions::NONE) else {
            continue;
        };
        let globals: Vec<_> = scan.globals().collect();
        for (r, python) in MATRIX.readers.iter().enumerate() {
            let outcome = MATRIX.outcome(row, r);
            for global in &globals {
                let (module, name) = (global.module, global.name);
                // As Python 3 looks them up, and as they stand.
                let (module, name) = if python != "2.7" && scan.declared_protocol() < 3 {
                    let (module, name) = names::to_py3(module.as_bytes(), name.as_bytes());
                    (utf8(module), utf8(name))
                } else {
                    (module, name)
                };
                let there = (module.to_owned(), name.to_owned());
                named.entry(python).or_default().insert(there.clone());
                let last = module.rsplit('.').next().unwrap_or(module);
                let path = |missing: &str| {
                    module == missing
                        || module.starts_with(&format!("{missing}."))
                        // 2.7 names what is missing by its last parts.
                        || python == "2.7" && (module.ends_with(missing) || last == missing)
                };
                let no_module = outcome
                    .split("No module named ")
                    .nth(1)
                    .is_some_and(|missing| {
                        path(
                            missing
                                .split(';')
                                .next()
                                .unwrap_or(missing)
                                .trim_matches('\''),
                        )
                    });
                let first = name.split('.').next().unwrap_or(name);
                let no_name = outcome.contains(&format!("attribute '{first}' on"))
                    || outcome.contains(&format!("no attribute '{first}'"));
                let not_importable = (outcome.contains(&format!("{module} needs Python"))
                    || outcome.contains(&format!("{last}.py")))
                    && module.starts_with("ptapp.");
                if no_module || no_name || not_importable {
                    lacking[r].insert(there.clone());
                }
            }
        }
    }
    (MATRIX.readers.iter().zip(&lacking))
        .map(|(python, lacking)| {
            let mut modules: BTreeMap<&str, String> = BTreeMap::new();
            for there in &named[python.as_str()] {
                let (module, name) = there;
                let list = modules.entry(module).or_default();
                if !lacking.contains(there) {
                    list.push(' ');
                    list.push_str(name);
                }
            }
            let classic = if python == "2.7" {
                "OldStyle OldInitArgs OldState"
            } else {
                ""
            };
            let bytes_based = if python == "2.7" {
                "BytesSub StrSub"
            } else {
                "BytesSub"
            };
            let (major, minor) = version(python);
            let listing = serde_json::json!({
                "format": 1,
                "python": [major, minor, 0],
                "distributions": {"django": MATRIX.django[python]},
                "modules": modules,
                "open": [],
                "classic": {"ptapp.classes": classic},
                "bytes_based": {"ptapp.classes": bytes_based}, "text_based": {},
                "no_dict": {}, "walked": [], "importable": null, "errors": {},
            });
            Inventory::read(python, listing.to_string().as_bytes()).expect("an inventory")
        })
        .collect()
}

/// Counts verdicts by direction and by kind, and prints what was wrong.
pub(crate) fn judge_all(
    matrix: &Matrix,
    inventories: Option<&[Inventory]>,
) -> BTreeMap<&'static str, Count> {
    let pythons = matrix.readers.iter();
    let readers: Vec<_> = pythons.map(|python| reader(matrix, python)).collect();
    let mut scanner = Scanner::default();
    let mut counts: BTreeMap<&'static str, Count> = BTreeMap::new();
    let mut kinds: BTreeMap<String, u32> = BTreeMap::new();
    for row in matrix.rows.iter().filter(|row| !row.unloadable_by_writer) {
        let scan = scanner
            .scan(&row.pickle, Extensions::NONE)
            .expect("a whole pickle");
        let application = names_application(&scan);
        for (r, python) in matrix.readers.iter().enumerate() {
            let pool = |at: usize| Pool {
                reader: readers[at],
                inventory: inventories.map(|all| &all[at]),
            };
            let against = scan.judge(readers[r], inventories.map(|all| &all[r]));
            let outcome = matrix.outcome(row, r);
            for (case, from) in productions(matrix, row) {
                let writer = matrix.readers.iter().position(|python| python == from);
                let writer = pool(writer.expect("a writer that reads"));
                let judged = against.and_then(|()| {
                    scan.prove(pool(r), &scan.writer().among(std::iter::once(writer)))
                });
                let verdict = judged.map_or_else(Reason::verdict, |()| Verdict::Loadable);
                let direction = direction(from, python);
                let loads = matrix.loads(row, r) && !fails_in_use(case, direction);
                for part in [direction, "all"] {
                    counts.entry(part).or_default().add(verdict, loads);
                }
                let known = verdict == Verdict::Loadable && application;
                let library = counts.entry(of_libraries(direction)).or_default();
                library.add(verdict, loads || known);
                let (kind, _) = case.split_once('/').expect("kind/case");
                if let Some(kind) = KINDS.iter().find(|of| **of == kind) {
                    counts.entry(kind).or_default().add(verdict, loads);
                }
                let part = part(case, judged.err(), application, outcome);
                counts.entry(part).or_default().add(verdict, loads);
                let what = match (verdict, loads) {
                    (Verdict::Loadable, false) => outcome.to_owned(),
                    (Verdict::Unloadable, true) => {
                        judged.map_or_else(|reason| reason.to_string(), |()| String::new())
                    }
                    (Verdict::Unknown, true) if std::env::var_os("PICKLEGATE_LOST").is_some() => {
                        judged.map_or_else(|reason| reason.to_string(), |()| String::new())
                    }
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
            "{part}: {} pairs, {} load, {:.1} % of them proved, false loadable {} ({:.3} %), \
             false unloadable {} ({:.3} %)",
            count.pairs,
            count.loads,
            100.0 * f64::from(count.proved) / f64::from(count.loads.max(1)),
            count.false_loadable,
            count.share(count.false_loadable),
            count.false_unloadable,
            count.share(count.false_unloadable)
        );
    }
    counts
}

/// Fails if fewer than these percents of what loads are proved.
pub(crate) fn assert_proved(counts: &BTreeMap<&str, Count>, least: &[(&str, f64)]) {
    for &(part, least) in least {
        let count = &counts[part];
        let proved = 100.0 * f64::from(count.proved) / f64::from(count.loads);
        assert!(proved >= least, "{part}: {proved}");
    }
}

/// Fails if more than these percents of a part's verdicts are falsely loadable,
/// falsely unloadable.
pub(crate) fn assert_at_most(counts: &BTreeMap<&str, Count>, most: &[(&str, f64, f64)]) {
    for &(part, loadable, unloadable) in most {
        let count = &counts[part];
        assert!(count.share(count.false_loadable) <= loadable, "{part}");
        assert!(count.share(count.false_unloadable) <= unloadable, "{part}");
    }
}

#[test]
fn verdicts_without_an_inventory_are_as_right_as_was_measured() {
    // What is falsely unloadable is of QuerySets.
    let most = [
        ("2.7 to 2.7", 0.0, 0.07),
        ("2.7 to 3.x", 0.0, 0.0),
        ("3.x to 2.7", 0.0, 0.03),
        ("3.x to 3.x", 0.0, 0.6),
        ("plain", 0.0, 0.0),
        ("other", 0.0, 0.01),
    ];
    assert_at_most(&judge_all(&MATRIX, None), &most);
}

#[test]
fn verdicts_with_an_inventory_are_as_right_as_was_measured() {
    let most = [
        ("2.7 to 2.7", 0.0, 0.07),
        ("2.7 to 3.x", 0.0, 0.0),
        ("3.x to 2.7", 0.0, 0.03),
        ("3.x to 3.x", 0.0, 0.6),
        ("plain", 0.0, 0.0),
        ("other", 0.0, 0.01),
    ];
    assert_at_most(&judge_all(&MATRIX, Some(&inventories())), &most);
}
