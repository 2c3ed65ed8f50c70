//! Asks every Python that `tests/setup` found whether the tables of
//! `pickle::names` agree with it.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use picklegate::pickle::names::{self, PythonVersion};

use crate::support::pythons::Python;

const LIMIT: Duration = Duration::from_secs(120);
/// So many entries of the table are picked at random.
const PICKED: usize = 600;
/// All entries of these are asked for, and none may differ.
const EXACT: [&str; 7] = [
    "__builtin__",
    "builtins",
    "collections",
    "collections.abc",
    "copy_reg",
    "datetime",
    "decimal",
];
const NAMES: &str = include_str!("../../src/pickle/names/names.txt");

/// The Pythons whose version spoke for itself when the table was made.
fn pythons() -> Vec<Python> {
    let asked = |python: &Python| {
        let line = NAMES.lines().find(|line| {
            let mut words = line.split_whitespace();
            words.next() == Some("#") && words.nth(1) == Some(&python.version())
        });
        let asked = line.is_some_and(|line| !line.contains("not asked"));
        if !asked {
            println!("skipped: Python {}: not in the table", python.version());
        }
        asked
    };
    let all: Vec<Python> = Python::all().into_iter().filter(asked).collect();
    if all.is_empty() {
        println!("skipped: no Python; tests/setup looks for them");
    }
    all
}

fn ask(python: &Python, args: &[&str]) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pickle/names/ask.py");
    let finished = python.run(&script, args, LIMIT).expect("it ends in time");
    assert!(finished.success, "{}", finished.stderr);
    finished.stdout
}

fn entries() -> Vec<(&'static str, &'static str)> {
    let mut entries = Vec::new();
    let mut module = "";
    for line in NAMES.lines().filter(|line| !line.starts_with('#')) {
        let mut words = line.split_whitespace();
        if line.starts_with(' ') {
            entries.extend(
                words
                    .skip(1)
                    .map(|name| (module, name.trim_end_matches('*'))),
            );
        } else {
            module = words.next().expect("a module");
        }
    }
    entries
}

#[test]
fn the_interpreters_have_the_names_of_the_table() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut rng = fastrand::Rng::with_seed(seed);
    let all = entries();
    let exact = all.iter().filter(|(module, _)| EXACT.contains(module));
    let picked = (0..PICKED).filter_map(|_| rng.choice(&all));
    let chosen: Vec<_> = picked.chain(exact).copied().collect();
    let mut lines = String::new();
    for (module, name) in &chosen {
        writeln!(lines, "{module} {name}").expect("a string takes everything");
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), lines).unwrap();

    for python in pythons() {
        let version = PythonVersion::of(python.major.into(), python.minor.into());
        let told = ask(&python, &["names", file.path().to_str().unwrap()]);
        let answers: Vec<&str> = told.lines().collect();
        assert_eq!(answers.len(), chosen.len());
        let mut differing = HashSet::new();
        for (&(module, name), answer) in chosen.iter().zip(answers) {
            let presence = names::lookup(module.as_bytes(), name.as_bytes());
            let versions = presence.expect("it is in the table").versions();
            let table = versions.contains(version);
            // The table takes for possible what it could not import either.
            let agrees = table == (answer == "yes") || (table && answer == "unimportable");
            let place = format!("{}: {module}.{name}: {answer}", python.version());
            assert!(agrees || !EXACT.contains(&module), "{place}");
            if !agrees {
                differing.insert(place);
            }
        }
        println!(
            "{} of {} differ: {differing:?}",
            differing.len(),
            chosen.len()
        );
        // Other micro versions and builds differ in a few names.
        assert!(differing.len() * 200 <= chosen.len(), "{differing:#?}");
    }
}

#[test]
fn the_interpreters_rename_as_the_tables_do() {
    for python in pythons().iter().filter(|python| python.major == 3) {
        for line in ask(python, &["compat"]).lines() {
            let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
            let [direction, module, name, to, new] = words[..] else {
                panic!("{line}");
            };
            let rename = if direction == b"to_py3" {
                names::to_py3
            } else {
                names::to_py2
            };
            let place = format!("{}: {line}", python.version());
            assert_eq!(rename(module, name), (to, new), "{place}");
        }
    }
}
