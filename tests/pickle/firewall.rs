//! The built-in deny list beside what was recorded: what pickling writes passes, and
//! what is known to lead out does not.

use std::collections::{BTreeMap, BTreeSet};
use std::io::BufReader;
use std::path::Path;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use picklegate::pickle::{Extensions, Firewall, Scanner};
use serde::Deserialize;

use crate::matrix::{MATRIX, Matrix};

/// Pickles of a record that the built-in list refuses, counted by case and reason.
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
/// Cases that only the application's own unpickler loads, or registers.
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

fn fixture(name: &str) -> Vec<u8> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/pickles");
    std::fs::read(fixtures.join(name)).expect("a fixture")
}

/// Why the built-in list refuses a pickle; nothing broken passes a firewall either.
fn denied(pickle: &[u8]) -> Option<String> {
    let mut scanner = Scanner::default();
    match scanner.scan(pickle, Extensions::NONE) {
        Ok(scan) => Firewall::built_in()
            .check(&scan)
            .err()
            .map(|refused| refused.to_string()),
        Err(broken) => Some(broken.to_string()),
    }
}

/// A pickle that some program wrote: `unseen.py` of values, `tricks.py` to do harm.
#[derive(Deserialize)]
struct Recorded {
    #[serde(alias = "case")]
    name: String,
    b: String,
    /// The Pythons in which its code ran.
    #[serde(default)]
    runs: Vec<String>,
}

impl Recorded {
    fn all(text: &[u8]) -> Vec<Self> {
        let lines = text.split(|&b| b == b'\n').filter(|line| !line.is_empty());
        let row = |line| serde_json::from_slice(line).expect("a row");
        lines.map(row).collect()
    }

    fn pickle(&self) -> Vec<u8> {
        BASE64_STANDARD.decode(&self.b).expect("base64")
    }
}

/// Refused values among those that the list was not made with: code, connections and
/// objects that compute, rather than data.
const REFUSED: [&str; 30] = [
    "cmd:Cmd 228",
    "code ast",
    "codecs:lookup 223",
    "gettext:NullTranslations 221",
    "graphlib:TopologicalSorter 173",
    "itertools:starmap 126",
    "logger",
    "logging:Formatter 202",
    "method of an instance",
    "mimetypes:MimeTypes 220",
    "numpy:busdaycalendar 284",
    "numpy:finfo 282",
    "numpy:memmap 286",
    "numpy:nditer 288",
    "numpy:vectorize 285",
    "pandas group by",
    "pandas grouper",
    "pandas indexer",
    "pandas rolling",
    "partial of a method",
    "pprint:PrettyPrinter 169",
    "shlex:shlex 229",
    "sqlalchemy table",
    "sympy:Matrix 398",
    "sympy:Rational 397",
    "sympy:sympify 396",
    "threading:local 205",
    "type variable",
    "urllib.request:Request 224",
    "urllib2:Request 225",
];

#[test]
fn of_values_that_the_list_was_not_made_with_few_are_denied() {
    let mut text = Vec::new();
    let packed = fixture("unseen.jsonl.xz");
    lzma_rs::xz_decompress(&mut BufReader::new(&packed[..]), &mut text).expect("an xz file");
    let rows = Recorded::all(&text);
    let cases: BTreeSet<_> = rows.iter().map(|row| &row.name[..]).collect();
    let refused: BTreeSet<_> = rows
        .iter()
        .filter(|row| denied(&row.pickle()).is_some())
        .map(|row| &row.name[..])
        .collect();
    assert!(cases.len() > 400, "{}", cases.len());
    assert_eq!(refused, BTreeSet::from(REFUSED));
}

/// The ways in which a pickle calls a global.
fn calls(module: &str, name: &str) -> Vec<Vec<u8>> {
    let short = |text: &str| [&[0x8c, text.len() as u8], text.as_bytes()].concat();
    let global = format!("c{module}\n{name}\n");
    let stacked = [b"\x80\x04".to_vec(), short(module), short(name)].concat();
    let (class, method) = name.rsplit_once('.').unwrap_or((name, "__call__"));
    vec![
        format!("{global}(Vx\ntR.").into_bytes(),
        format!("(Vx\ni{module}\n{name}\n.").into_bytes(),
        format!("({global}Vx\no.").into_bytes(),
        format!("cbuiltins\nmap\n({global}(Vx\nltR.").into_bytes(),
        format!("c__builtin__\nreduce\n({global}(Vx\nVy\nltR.").into_bytes(),
        [&stacked[..], b"\x93\x8c\x01x\x85R."].concat(),
        [&stacked[..], b"\x93\x8c\x01x\x85}\x92."].concat(),
        format!("cbuiltins\ngetattr\n(c{module}\n{class}\nV{method}\ntR(Vx\ntR.").into_bytes(),
        // Given to a function of the application, in a list as well, or kept for later.
        format!("capp\napply\n({global}Vx\ntR.").into_bytes(),
        format!("capp\napply\n((l{global}aVx\ntR.").into_bytes(),
        format!("cfunctools\npartial\n({global}Vx\ntR.").into_bytes(),
        format!("ccollections\ndefaultdict\n({global}tR.").into_bytes(),
        // As the base class that makes an instance.
        format!("ccopy_reg\n_reconstructor\n(capp\nC\n{global}Vx\ntR.").into_bytes(),
        // As a method that loading calls.
        format!("(iapp\nC\n(dV__setstate__\n{global}sbVx\nb.").into_bytes(),
    ]
}

#[test]
fn what_is_known_to_lead_out_is_not_called_in_any_way() {
    let names = String::from_utf8(fixture("dangerous.txt")).expect("text");
    let names: Vec<_> = names
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect();
    assert!(names.len() > 300);
    let mut passed = Vec::new();
    for path in names {
        // A class in a module, with its method, or a module and a function.
        let parts: Vec<_> = path.split('.').collect();
        for split in 1..parts.len() {
            // No class is a package.
            if parts[..split]
                .iter()
                .any(|part| part.starts_with(char::is_uppercase))
            {
                break;
            }
            let (module, name) = (parts[..split].join("."), parts[split..].join("."));
            let pickles = calls(&module, &name).into_iter();
            let escaped = pickles.filter(|pickle| denied(pickle).is_none());
            passed.extend(escaped.map(|pickle| pickle.escape_ascii().to_string()));
        }
    }
    assert!(passed.is_empty(), "{} pass: {passed:#?}", passed.len());
}

#[test]
fn no_trick_gets_past_the_list() {
    let tricks = Recorded::all(&fixture("tricks.jsonl"));
    assert!(tricks.iter().filter(|trick| !trick.runs.is_empty()).count() > 20);
    let passed = tricks
        .iter()
        .filter(|trick| denied(&trick.pickle()).is_none());
    let passed: Vec<_> = passed.map(|trick| (&trick.name, &trick.runs)).collect();
    assert!(passed.is_empty(), "{passed:#?}");
}
