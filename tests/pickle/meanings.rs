//! Meaning of rewritten pickles to interpreters: the same as that of pickles by their own
//! kind. Skipped for interpreters that are not there.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use picklegate::pickle::transcode::{Environment, Form, Py2Str, Refusal, Transcoder};

use crate::support::pythons::Python;

/// Every run makes the same values; another number makes others.
const SEED: &str = "20261124";
const VALUES: &str = "120";
const LIMIT: Duration = Duration::from_secs(300);

/// One pickle, with what Python itself writes of the value.
struct Pickle {
    case: String,
    protocol: u8,
    bytes: Vec<u8>,
    /// At protocols 2 and 4.
    plain: [Option<Vec<u8>>; 2],
}

fn script() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pickle/values.py")
}

fn python(version: &str) -> Option<Python> {
    let found = Python::all()
        .into_iter()
        .find(|python| python.version() == version);
    if found.is_none() {
        println!("skipped: no Python {version} (tests/setup makes it)");
    }
    found
}

fn written_by(python: &Python) -> Vec<Pickle> {
    let run = python.run(&script(), &["write", SEED, VALUES], LIMIT);
    let run = run.expect("it ends in time");
    assert!(run.success, "{}", run.stderr);
    let lines = run.stdout.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let words: Vec<&str> = line.split(' ').collect();
            let bytes = |i: usize| BASE64_STANDARD.decode(words[i]).ok();
            Pickle {
                case: words[..3].join("/"),
                protocol: words[1].parse().expect("a protocol"),
                bytes: bytes(3).expect("base64"),
                plain: [bytes(4), bytes(5)],
            }
        })
        .collect()
}

/// Meanings of pickles to this Python.
fn meanings(python: &Python, pickles: &[&[u8]], flags: &[&str]) -> Vec<String> {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let lines: Vec<String> = pickles.iter().map(|p| BASE64_STANDARD.encode(p)).collect();
    std::fs::write(file.path(), lines.join("\n")).expect("written");
    let path = file.path().to_str().expect("a path");
    let mut args = vec!["read", path];
    args.extend(flags);
    let run = python
        .run(&script(), &args, LIMIT)
        .expect("it ends in time");
    assert!(run.success, "{}", run.stderr);
    let meanings: Vec<String> = run.stdout.lines().map(str::to_owned).collect();
    assert_eq!(meanings.len(), pickles.len());
    meanings
}

/// Place where two meanings part.
fn difference(got: &str, expected: &str) -> String {
    let same = got.bytes().zip(expected.bytes());
    let from = same.take_while(|(a, b)| a == b).count().saturating_sub(80);
    // JSON is ASCII as Python writes it.
    let cut = |text: &str| text.chars().skip(from).take(160).collect::<String>();
    format!("{} / {}", cut(got), cut(expected))
}

/// Python 2.7 with these classes.
struct Legacy;

impl Environment for Legacy {
    fn is_classic(&self, module: &[u8], name: &[u8]) -> bool {
        (module, name) == (b"__main__", b"Classic")
    }
}

/// Python 3 with Django 4.0 or later, or none.
struct Current;

impl Environment for Current {
    fn django(&self) -> Option<(u16, u16)> {
        Some((4, 0))
    }
}

#[derive(Debug, Default)]
struct Tally {
    same: usize,
    /// Means what it does to its writer, where what that writes does not load.
    gained: usize,
    /// Neither loads.
    neither: usize,
    refused: BTreeMap<String, usize>,
    /// The first is of a pickle that Python itself writes loadably.
    differ: Vec<String>,
}

/// The results for those that are rewritten, and why others are not.
fn rewrite<'p>(
    pickles: &'p [Pickle],
    form: Form,
    environment: &dyn Environment,
    tally: &mut Tally,
) -> Vec<(&'p Pickle, Vec<u8>)> {
    let mut transcoder = Transcoder::default();
    let mut done = Vec::new();
    for pickle in pickles {
        let mut out = Vec::new();
        match transcoder.transcode(&pickle.bytes, form, environment, &mut out) {
            Ok(()) => done.push((pickle, out)),
            Err(Refusal::NoForm { obstacle, .. }) => {
                *tally.refused.entry(obstacle.to_string()).or_default() += 1;
            }
            Err(broken) => panic!("{}: {broken}", pickle.case),
        }
    }
    done
}

/// Compares with what the writer itself writes, `plain`, as the reader has it.
fn against_plain(
    (writer, reader): (&Python, &Python),
    pickles: &[Pickle],
    (form, plain): (Form, usize),
    environment: &dyn Environment,
) -> Tally {
    let mut tally = Tally::default();
    let done = rewrite(pickles, form, environment, &mut tally);
    let rewritten: Vec<&[u8]> = done.iter().map(|(_, out)| &out[..]).collect();
    let plainly: Vec<&[u8]> = done
        .iter()
        .map(|(pickle, _)| pickle.plain[plain].as_deref().unwrap_or_default())
        .collect();
    let rewritten = meanings(reader, &rewritten, &[]);
    let plainly = meanings(reader, &plainly, &[]);
    let raw: Vec<&[u8]> = done.iter().map(|(p, _)| &p.bytes[..]).collect();
    let flags: &[&str] = if reader.major == 2 { &["as2"] } else { &[] };
    let meant = meanings(writer, &raw, flags);
    for (i, (pickle, _)) in done.iter().enumerate() {
        let (got, mut expected) = (&rewritten[i], &plainly[i]);
        let gained = expected.starts_with('!');
        if gained {
            expected = &meant[i];
        }
        match got.starts_with('!') {
            true if gained => tally.neither += 1,
            false if got == expected && gained => tally.gained += 1,
            false if got == expected => tally.same += 1,
            _ => tally
                .differ
                .push(format!("{}: {}", pickle.case, difference(got, expected))),
        }
    }
    tally
}

#[test]
fn python_2_gets_what_python_3_means() {
    let Some(reader) = python("2.7") else {
        return;
    };
    for writer in Python::all().iter().filter(|python| python.major == 3) {
        let pickles = written_by(writer);
        let tally = against_plain((writer, &reader), &pickles, (Form::Python2, 0), &Legacy);
        println!(
            "{} to 2.7: {} same, {} gained, {} neither, refused {:?}, differ {:#?}",
            writer.version(),
            tally.same,
            tally.gained,
            tally.neither,
            tally.refused,
            tally.differ
        );
        assert_eq!(tally.differ, [""; 0]);
        assert!(tally.same > 500);
    }
}

#[test]
fn protocol_4_means_what_protocol_5_does() {
    let (fives, readers): (Vec<_>, Vec<_>) = Python::all()
        .into_iter()
        .filter(|python| python.highest_protocol() >= 4)
        .partition(|python| python.highest_protocol() == 5);
    for writer in &fives {
        let mut pickles = written_by(writer);
        pickles.retain(|pickle| pickle.protocol == 5);
        for reader in &readers {
            let tally = against_plain((writer, reader), &pickles, (Form::Protocol4, 1), &Legacy);
            println!(
                "{} to {}: {} same, {} neither, refused {:?}, differ {:#?}",
                writer.version(),
                reader.version(),
                tally.same,
                tally.neither,
                tally.refused,
                tally.differ
            );
            assert_eq!(tally.differ, [""; 0]);
            assert_eq!(tally.refused.len() + tally.gained, 0);
            assert!(tally.same > 100);
        }
    }
}

#[test]
fn python_3_gets_what_python_2_means() {
    let Some(writer) = python("2.7") else {
        return;
    };
    let pickles = written_by(&writer);
    let mut tally = Tally::default();
    let form = Form::Python3 {
        py2_str: Py2Str::Text,
    };
    let done = rewrite(&pickles, form, &Current, &mut tally);
    let raw: Vec<&[u8]> = done.iter().map(|(pickle, _)| &pickle.bytes[..]).collect();
    let rewritten: Vec<&[u8]> = done.iter().map(|(_, out)| &out[..]).collect();
    let meant = meanings(&writer, &raw, &["as3"]);
    for reader in Python::all().iter().filter(|python| python.major == 3) {
        let raw = meanings(reader, &raw, &[]);
        let got = meanings(reader, &rewritten, &[]);
        let (mut same, mut gained, mut neither, mut differ) = (0, 0, 0, Vec::new());
        for (i, (pickle, _)) in done.iter().enumerate() {
            match (got[i].starts_with('!'), raw[i].starts_with('!')) {
                (true, true) => neither += 1,
                _ if meant[i].starts_with('!') => neither += 1,
                (false, was_broken) if got[i] == meant[i] => {
                    same += 1;
                    gained += usize::from(was_broken);
                }
                _ => differ.push(format!(
                    "{}: {}",
                    pickle.case,
                    difference(&got[i], &meant[i])
                )),
            }
        }
        println!(
            "2.7 to {}: {same} same ({gained} did not load), {neither} neither, refused {:?}, differ {differ:#?}",
            reader.version(),
            tally.refused
        );
        assert_eq!(differ, [""; 0]);
        assert!(same > 500);
    }
}
