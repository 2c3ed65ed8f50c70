//! The commands `inspect` and `transcode`, with files, standard input and what
//! real interpreters write.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use picklegate::pickle::names::PythonVersion;
use picklegate::pickle::{Extensions, Firewall, Pool, Reason, Refused, Scanner};
use picklegate::policy::RuntimeTag;
use serde_json::Value;
use tempfile::TempDir;

use crate::matrix::{MATRIX, Row};
use crate::support::pythons::Python;

const LIMIT: Duration = Duration::from_secs(60);

/// `{'a': 1}` by Python 3, protocol 4.
const PLAIN: &[u8] = b"\x80\x04\x95\x0a\0\0\0\0\0\0\0}\x94\x8c\x01a\x94K\x01s.";
/// `datetime.date(2024, 1, 2)` by Python 3, protocol 4.
const DATE: &[u8] = b"\x80\x04\x95\x20\0\0\0\0\0\0\0\x8c\x08datetime\x94\x8c\x04date\x94\x93\x94\
    C\x04\x07\xe8\x01\x02\x94\x85\x94R\x94.";

fn picklegate(args: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_picklegate"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("cargo has built the command");
    // Who asks for nothing reads nothing.
    let _ = child.stdin.take().expect("piped").write_all(input);
    child.wait_with_output().expect("our own child")
}

fn code(args: &[&str], input: &[u8]) -> Option<i32> {
    picklegate(args, input).status.code()
}

fn text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).expect("text")
}

fn objects(output: &Output) -> Vec<Value> {
    let lines = text(&output.stdout).lines();
    lines
        .map(|line| serde_json::from_str(line).expect("an object"))
        .collect()
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("memory takes everything");
    encoder.finish().expect("memory takes everything")
}

/// A directory with these files.
fn files<'f>(files: impl IntoIterator<Item = (&'f str, &'f [u8])>) -> (TempDir, Vec<String>) {
    let directory = tempfile::tempdir().expect("a directory");
    let write = |(name, bytes): (&str, &[u8])| {
        let path = directory.path().join(name);
        fs::write(&path, bytes).expect("it is ours");
        path.display().to_string()
    };
    let paths = files.into_iter().map(write).collect();
    (directory, paths)
}

/// A directory with these rows of the record.
fn recorded(rows: &[&Row]) -> (TempDir, Vec<String>) {
    let numbers: Vec<String> = (0..rows.len()).map(|at| at.to_string()).collect();
    let numbered = numbers.iter().map(String::as_str);
    files(numbered.zip(rows.iter().map(|row| row.pickle.as_slice())))
}

fn with<'a>(args: &[&'a str], paths: &'a [String]) -> Vec<&'a str> {
    args.iter()
        .copied()
        .chain(paths.iter().map(String::as_str))
        .collect()
}

#[test]
fn standard_input_is_inspected_by_default() {
    let inspected = picklegate(&["inspect", "--reader", "py2.7", "--reader", "py36"], PLAIN);
    insta::assert_snapshot!(text(&inspected.stdout), @r"
    -
      size      21 bytes
      protocol  4
      writer    python >=3.4
      value     {'a': 1}
      python/2.7  unloadable  protocol 4 needs Python 3.4 or later
      python/3.6  loadable
    ");
    assert_eq!(text(&inspected.stderr), "python/2.7 cannot load 1 of 1\n");
    assert_eq!(inspected.status.code(), Some(1));
    let dash = picklegate(&["inspect", "--format", "json", "-"], &deflate(PLAIN));
    insta::assert_snapshot!(text(&dash.stdout), @r#"{"input":"-","size":25,"protocol":4,"effective_protocol":4,"complete":true,"compressed":true,"writer":"python >=3.4","globals":[],"readers":{"python/2.7":{"verdict":"unloadable","reason":"protocol 4 needs Python 3.4 or later"},"python/3.6":{"verdict":"loadable"},"python/3.7":{"verdict":"loadable"},"python/3.8":{"verdict":"loadable"},"python/3.9":{"verdict":"loadable"},"python/3.10":{"verdict":"loadable"},"python/3.11":{"verdict":"loadable"},"python/3.12":{"verdict":"loadable"},"python/3.13":{"verdict":"loadable"},"python/3.14":{"verdict":"loadable"},"python/3.15":{"verdict":"loadable"}},"value":"{'a': 1}"}"#);
    assert_eq!(dash.status.code(), Some(0));
}

#[test]
fn several_files_are_told_apart() {
    let zlib = deflate(DATE);
    let (_directory, paths) = files([
        ("plain", PLAIN),
        ("zlib", &zlib),
        ("cut", &PLAIN[..20]),
        ("tail", b"K\x01.tail"),
    ]);
    let inspected = picklegate(&with(&["inspect", "--format", "json"], &paths), b"");
    assert_eq!(inspected.status.code(), Some(0));
    let objects = objects(&inspected);
    let inputs: Vec<_> = objects
        .iter()
        .map(|object| object["input"].as_str())
        .collect();
    assert_eq!(
        inputs,
        paths
            .iter()
            .map(|path| Some(path.as_str()))
            .collect::<Vec<_>>()
    );
    assert_eq!(objects[0]["value"], "{'a': 1}");
    assert_eq!(objects[1]["compressed"], true);
    assert_eq!(objects[1]["size"], zlib.len());
    assert_eq!(objects[1]["globals"], serde_json::json!(["datetime.date"]));
    assert_eq!(objects[2]["complete"], false);
    assert_eq!(objects[2]["readers"]["python/3.6"]["verdict"], "unknown");
    assert_eq!(
        objects[2]["readers"]["python/3.6"]["reason"],
        objects[2]["error"]
    );
    assert_eq!(objects[3]["trailing"], 4);
    for object in objects {
        assert_eq!(
            object["readers"].as_object().unwrap().len(),
            PythonVersion::ALL.len()
        );
    }
    let inspected = picklegate(&with(&["inspect"], &paths), b"");
    let people = text(&inspected.stdout);
    assert_eq!(people.matches("\n\n").count(), 3);
    assert!(!people.contains('\x1b') && inspected.stderr.is_empty());
}

#[test]
fn exit_codes_are_those_of_the_readers_named() {
    let (_directory, paths) = files([("date", DATE), ("cut", &DATE[..9])]);
    let date = &paths[0];
    let inspect = |args: &[&str]| code(&[&["inspect"], args].concat(), b"");
    assert_eq!(inspect(&[date]), Some(0));
    assert_eq!(inspect(&["--reader", "py311", date]), Some(0));
    assert_eq!(
        inspect(&["--reader", "py311", "--reader", "py2", date]),
        Some(1)
    );
    // Who can load half a pickle is not known.
    assert_eq!(inspect(&["--reader", "py311", date, &paths[1]]), Some(2));
    assert_eq!(inspect(&["--reader", "py2", date, &paths[1]]), Some(1));
    assert_eq!(
        inspect(&["--reader", "python/3.11 django/4.2", date]),
        Some(0)
    );
    assert_eq!(inspect(&["--reader", "ruby", date]), Some(64));
    assert_eq!(inspect(&["--reader", "django/4.2", date]), Some(64));
    assert_eq!(inspect(&["--format", "yaml", date]), Some(64));
    assert_eq!(inspect(&["--globals", "--reader", "py2", date]), Some(64));
    assert_eq!(inspect(&["--inventory", "py2", date]), Some(64));
    assert_eq!(inspect(&["--inventory", "py2.7=/no/such", date]), Some(64));
}

#[test]
fn what_cannot_be_read_is_said_after_the_rest() {
    let (_directory, paths) = files([("date", DATE)]);
    let args = ["inspect", "--format", "json", "/no/such", &paths[0]];
    let inspected = picklegate(&args, b"");
    assert_eq!(inspected.status.code(), Some(64));
    assert_eq!(objects(&inspected).len(), 1);
    let told = text(&inspected.stderr);
    assert!(told.starts_with("/no/such: "), "{told}");
}

#[test]
fn a_directory_is_inspected_file_by_file_and_one_too_large_ends_nothing() {
    let (directory, _) = files([("b", DATE), ("c", PLAIN)]);
    let large = (64 << 20) + 1;
    let file = fs::File::create(directory.path().join("a")).expect("it is ours");
    file.set_len(large).expect("a sparse file");
    let below = directory.path().join("below");
    fs::create_dir(&below).expect("it is ours");
    fs::write(below.join("d"), PLAIN).expect("it is ours");
    // Two ways to the same file, and one without end.
    std::os::unix::fs::symlink(directory.path(), below.join("again")).expect("it is ours");
    let here = directory.path().to_str().expect("a plain name");
    let inspected = picklegate(
        &["inspect", "--format", "json", "--reader", "py3.11", here],
        b"",
    );
    assert_eq!(inspected.status.code(), Some(2));
    let reports = objects(&inspected);
    let told: Vec<_> = reports
        .iter()
        .map(|report| {
            let input = report["input"].as_str().expect("a name");
            let name = input.strip_prefix(here).expect("it is below");
            let verdict = &report["readers"]["python/3.11"]["verdict"];
            (
                name,
                verdict.as_str().expect("a word"),
                report["size"].as_u64(),
            )
        })
        .collect();
    let plain = Some(PLAIN.len() as u64);
    assert_eq!(
        told,
        [
            ("/a", "unknown", Some(large)),
            ("/b", "loadable", Some(DATE.len() as u64)),
            ("/below/d", "loadable", plain),
            ("/c", "loadable", plain),
        ]
    );
    assert_eq!(reports[0]["error"], "larger than 64 MiB: not looked at");
    assert_eq!(
        text(&inspected.stderr),
        "python/3.11: not known of 1 of 4\n"
    );
    let empty = tempfile::tempdir().expect("a directory");
    let empty = picklegate(&["inspect", empty.path().to_str().expect("plain")], b"");
    assert_eq!(empty.status.code(), Some(64));
    assert_eq!(text(&empty.stderr), "no files there\n");
}

#[test]
fn bombs_end_soon() {
    let bomb = deflate(&vec![b'N'; 64 << 20]);
    let inspected = picklegate(&["inspect", "--format", "json"], &bomb);
    let error = objects(&inspected)[0]["error"].to_string();
    assert!(
        error.starts_with("\"inflates beyond the limit of "),
        "{error}"
    );
}

#[test]
fn an_inventory_says_what_its_environment_lacks() {
    let pickle = b"\x80\x02cshop.models\nCart\n)R.";
    let inventory = br#"{"format": 1, "python": [3, 11, 7], "distributions": {}, "modules": {},
        "open": [], "classic": {}, "bytes_based": {}, "text_based": {}, "no_dict": {},
        "walked": ["shop"], "importable": null, "errors": {}}"#;
    let (_directory, paths) = files([("inventory", &inventory[..]), ("cart", pickle)]);
    let given = format!("py311={}", paths[0]);
    let inspected = picklegate(
        &[
            "inspect",
            "--reader",
            "py311",
            "--reader",
            "py310",
            "--inventory",
            &given,
            &paths[1],
        ],
        b"",
    );
    insta::assert_snapshot!(text(&inspected.stderr), @r"
    python/3.11 cannot load 1 of 1
    python/3.10: not known of 1 of 1
    ");
    for other in ["py312", "py3.12"] {
        let given = format!("{other}={}", paths[0]);
        assert_eq!(
            code(&["inspect", "--inventory", &given, &paths[1]], b""),
            Some(64)
        );
    }
}

#[test]
fn what_is_named_is_listed_once_and_the_firewall_takes_it() {
    let rows: Vec<_> = MATRIX.rows.iter().step_by(23).collect();
    let (_directory, paths) = recorded(&rows);
    let listed = picklegate(&with(&["inspect", "--globals"], &paths), b"");
    assert_eq!(listed.status.code(), Some(0));
    let list: Vec<&str> = text(&listed.stdout).lines().collect();
    assert!(list.is_sorted() && list.len() > 100, "{}", list.len());
    assert!(list.contains(&"call datetime.datetime"));
    let listed = picklegate(
        &with(&["inspect", "--globals", "--format", "json"], &paths),
        b"",
    );
    let counted: Vec<Value> = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(counted.len(), list.len());
    assert!(
        counted
            .iter()
            .any(|entry| entry["files"].as_u64() > Some(3))
    );

    let firewall = Firewall::allow(list.iter().copied()).unwrap();
    let mut scanner = Scanner::default();
    for row in rows {
        let scan = scanner.scan(&row.pickle, Extensions::NONE).unwrap();
        let checked = firewall.check(&scan);
        assert!(
            matches!(checked, Ok(()) | Err(Refused::Structure(_))),
            "{checked:?}"
        );
    }
}

#[test]
fn verdicts_on_the_record_are_those_of_the_scan() {
    let rows: Vec<_> = MATRIX.rows.iter().step_by(67).collect();
    let (_directory, paths) = recorded(&rows);
    let inspected = picklegate(&with(&["inspect", "--format", "json"], &paths), b"");
    let objects = objects(&inspected);
    assert_eq!(objects.len(), rows.len());
    let mut scanner = Scanner::default();
    let (mut pairs, mut wrong) = (0, 0);
    for (row, object) in rows.into_iter().zip(objects) {
        assert_eq!(object["complete"], true);
        let scan = scanner.scan(&row.pickle, Extensions::NONE).unwrap();
        assert_eq!(object["protocol"], scan.declared_protocol());
        for (at, python) in MATRIX.readers.iter().enumerate() {
            let tag = RuntimeTag::parse(&format!("python/{python}")).unwrap();
            let reader = Pool {
                reader: tag.reader(),
                inventory: None,
            };
            // Any of those that are asked for may have written it.
            let asked = object["readers"].as_object().unwrap();
            let writers = asked.keys().map(|tag| Pool {
                reader: RuntimeTag::parse(tag).unwrap().reader(),
                inventory: None,
            });
            let reason = scan
                .judge(reader.reader, None)
                .and_then(|()| scan.prove(reader, &scan.writer().among(writers)))
                .err()
                .as_ref()
                .map(Reason::to_string);
            let told = &object["readers"][tag.to_string()];
            assert_eq!(told["reason"].as_str(), reason.as_deref());
            pairs += 1;
            wrong += usize::from(told["verdict"] == "unloadable" && MATRIX.loads(row, at));
        }
    }
    println!("{wrong} of {pairs} are called unloadable and are not");
    assert!(wrong * 100 <= pairs);
}

#[test]
fn what_a_reader_can_load_is_copied() {
    let copied = picklegate(&["transcode", "--for", "py36"], PLAIN);
    assert_eq!(
        (copied.status.code(), copied.stdout.as_slice()),
        (Some(0), PLAIN)
    );
    assert_eq!(
        text(&copied.stderr),
        "-: nothing stands against python/3.6: copied as it is\n"
    );
}

#[test]
fn what_is_transcoded_replaces_a_file_whole() {
    let (directory, paths) = files([("in", PLAIN), ("out", b"old"), ("cut", &PLAIN[..9])]);
    let transcode = |input: &str, out: &Path| {
        let out = out.display().to_string();
        picklegate(&["transcode", "--for", "py2.7", "-o", &out, input], b"")
    };
    let out = directory.path().join("out");
    let refused = transcode(&paths[2], &out);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("no pickle"));
    assert_eq!(fs::read(&out).unwrap(), b"old");
    let done = transcode(&paths[0], &out);
    assert_eq!(done.status.code(), Some(0));
    assert!(done.stdout.is_empty() && done.stderr.is_empty());
    assert_eq!(fs::read(&out).unwrap()[..2], *b"\x80\x02");
    // Nothing is left beside it.
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 3);
    let nowhere = directory.path().join("no/such");
    assert_eq!(transcode(&paths[0], &nowhere).status.code(), Some(64));
    assert_eq!(transcode("/no/such", &out).status.code(), Some(64));
    assert_eq!(code(&["transcode", &paths[0]], b""), Some(64));
}

#[test]
fn compressed_input_gives_compressed_output() {
    let zlib = deflate(PLAIN);
    let again = picklegate(&["transcode", "--for", "py2.7"], &zlib).stdout;
    assert_eq!(again[..2], *b"\x78\x9c");
    let raw = picklegate(&["transcode", "--for", "py2.7", "--raw"], &zlib).stdout;
    assert_eq!(raw[..2], *b"\x80\x02");
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pickle/inspect/values.py")
}

fn run(python: &Python, args: &[&str]) {
    let finished = python.run(&script(), args, LIMIT).expect("it ends in time");
    assert!(
        finished.success,
        "{}: {}",
        python.version(),
        finished.stderr
    );
}

/// Files that each Python wrote.
fn written() -> Vec<(Python, TempDir, Vec<String>)> {
    let all = Python::all();
    if all.is_empty() {
        println!("skipped: no Python; tests/setup looks for them");
    }
    let write = |python: Python| {
        let directory = tempfile::tempdir().expect("a directory");
        run(
            &python,
            &["write", directory.path().to_str().expect("a plain name")],
        );
        let entries = fs::read_dir(directory.path()).expect("it is ours");
        let paths = entries.map(|entry| {
            entry
                .expect("it can be listed")
                .path()
                .display()
                .to_string()
        });
        let mut paths: Vec<String> = paths.collect();
        paths.sort();
        (python, directory, paths)
    };
    all.into_iter().map(write).collect()
}

#[test]
fn renderings_are_literals_of_what_was_written() {
    let written = written();
    // The first that takes set() for a literal.
    let Some((newest, ..)) = written
        .iter()
        .rfind(|(python, ..)| python.version() != "3.8")
    else {
        return;
    };
    for (python, directory, paths) in &written {
        let inspected = picklegate(&with(&["inspect", "--format", "json"], paths), b"");
        let lines = directory.path().join("lines");
        fs::write(&lines, &inspected.stdout).unwrap();
        println!("{} pickles of Python {}", paths.len(), python.version());
        run(newest, &["literal", lines.to_str().unwrap()]);
    }
}

#[test]
fn every_reader_gets_what_was_written() {
    let written = written();
    for (writer, _, paths) in &written {
        for (reader, ..) in &written {
            let tag = format!("python/{}", reader.version());
            let directory = tempfile::tempdir().unwrap();
            let out = |path: &String| {
                let out = directory.path().join(Path::new(path).file_name().unwrap());
                let out = out.display().to_string();
                let args = ["transcode", "--for", &tag, "-o", &out, path];
                let done = picklegate(&args, b"");
                let told = text(&done.stderr);
                assert!(
                    done.status.success(),
                    "{} to {tag}: {told}",
                    writer.version()
                );
                out
            };
            // The highest protocol is the farthest from old readers.
            let highest = format!(".{}.pickle", writer.highest_protocol());
            let chosen = paths.iter().filter(|path| path.ends_with(&highest));
            let outs: Vec<String> = chosen.map(out).collect();
            run(reader, &with(&["load"], &outs));
        }
    }
}

#[test]
fn inventories_are_compared() {
    let inventory = |names: &str, facts: &str| {
        let facts_of = names.split(' ').enumerate().map(|(at, _)| at.to_string());
        let facts_of = facts_of.collect::<Vec<_>>().join(" ");
        format!(
            r#"{{"format": 2, "python": [3, 11, 7], "distributions": {{}}, "modules": {{"shop": "{names}"}},
            "open": [], "classic": {{}}, "bytes_based": {{}}, "text_based": {{}}, "no_dict": {{}}, "walked": [],
            "importable": null, "errors": {{}}, "facts": [{facts}], "facts_of": {{"shop": "{facts_of}"}}}}"#
        )
    };
    let old = inventory("Cart Gone", r#""class sets=items", "class""#);
    let new = inventory("Cart", r#""class sets=items,owner""#);
    let (_directory, paths) = files([("old", old.as_bytes()), ("new", new.as_bytes())]);
    let diff = |writer: &str, reader: &str| picklegate(&["inventory", "diff", writer, reader], b"");
    let done = diff(&paths[0], &paths[1]);
    assert_eq!(done.status.code(), Some(1));
    let told = text(&done.stdout);
    assert!(told.contains("differs  shop.Cart  attributes"), "{told}");
    assert!(told.contains("missing  shop.Gone"), "{told}");
    assert!(
        told.ends_with("0 the same, 1 missing, 1 differ, 0 not known\n"),
        "{told}"
    );
    assert_eq!(diff(&paths[0], &paths[0]).status.code(), Some(0));
    let json = [
        "inventory",
        "diff",
        &paths[0],
        &paths[1],
        "--format",
        "json",
    ];
    let told: Value = serde_json::from_slice(&picklegate(&json, b"").stdout).unwrap();
    assert_eq!(told["others"][1]["is"], "missing");
    assert_eq!(
        code(&["inventory", "diff", &paths[0], "/nowhere"], b""),
        Some(64)
    );
}
