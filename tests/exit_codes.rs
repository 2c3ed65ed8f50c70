//! What the command answers, and with which exit code.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

fn picklegate(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_picklegate"))
        .args(args)
        .output()
        .expect("cargo has built the command")
}

fn code(args: &[&str]) -> Option<i32> {
    picklegate(args).status.code()
}

fn example(name: &str) -> String {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("config");
    folder.join(name).display().to_string()
}

#[test]
fn usage_errors_are_64_and_help_is_0() {
    assert_eq!(code(&["--help"]), Some(0));
    assert_eq!(code(&["--version"]), Some(0));
    assert_eq!(code(&[]), Some(64));
    assert_eq!(code(&["serve"]), Some(64));
    assert_eq!(code(&["check", "--confg", "x"]), Some(64));
}

#[test]
fn check_accepts_or_says_why_not() {
    let good = picklegate(&["check", "--config", &example("4-isolate.toml")]);
    assert_eq!(good.status.code(), Some(0));
    assert!(good.stdout.starts_with(b"listeners\n") && good.stderr.is_empty());

    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    let bad = picklegate(&["check", "--config", path]);
    assert_eq!(bad.status.code(), Some(1));
    let told = String::from_utf8(bad.stderr).unwrap();
    assert!(told.starts_with(&format!("{path}:1: listeners: missing: ")));
    assert!(bad.stdout.is_empty());
}

#[test]
fn check_accepts_a_step_or_says_why_not() {
    let against = |new: &str, old: &str| picklegate(&["check", "--config", new, "--against", old]);
    let (guard, isolate) = (example("2-guard.toml"), example("3-isolate-10.toml"));
    let safe = against(&isolate, &guard);
    assert_eq!(safe.status.code(), Some(0));
    assert!(safe.stdout.ends_with(b"\nthis step is safe\n") && safe.stderr.is_empty());

    let shared = tempfile::NamedTempFile::new().unwrap();
    let text = fs::read_to_string(&isolate).unwrap();
    fs::write(shared.path(), text.replace("\"isolate\"", "\"shared\"")).unwrap();
    let unsafe_step = against(&isolate, shared.path().to_str().unwrap());
    assert_eq!(unsafe_step.status.code(), Some(1));
    assert!(unsafe_step.stdout.starts_with(b"changes\n"));
    assert_eq!(unsafe_step.stderr, b"1 reason against this step\n");
    assert_eq!(against(&isolate, "/no/such.toml").status.code(), Some(1));
}

#[test]
fn check_accepts_what_the_readme_shows() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let readme = fs::read_to_string(root.join("README.md")).unwrap();
    let examples = readme.split("```toml\n").skip(1);
    let examples: Vec<_> = examples
        .filter_map(|rest| rest.split("```").next())
        .collect();
    assert!(!examples.is_empty());
    let directory = tempfile::tempdir().unwrap();
    let inventory = root.join("tests/fixtures/inventory/py2.7.json");
    fs::copy(inventory, directory.path().join("py2.inventory.json")).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let names = vec!["cache.example.com".to_owned()];
    let params = rcgen::CertificateParams::new(names).unwrap();
    let certificate = params.self_signed(&key).unwrap().pem();
    for name in ["ca.pem", "client.pem", "server.pem", "clients.pem"] {
        fs::write(directory.path().join(name), &certificate).unwrap();
    }
    for name in ["client.key", "server.key"] {
        fs::write(directory.path().join(name), key.serialize_pem()).unwrap();
    }
    let file = directory.path().join("picklegate.toml");
    for example in examples {
        fs::write(&file, example).unwrap();
        let checked = picklegate(&["check", "--config", file.to_str().unwrap()]);
        assert_eq!(String::from_utf8(checked.stderr).unwrap(), "", "{example}");
        assert_eq!(checked.status.code(), Some(0));
    }
}

#[test]
fn serve_refuses_a_bad_configuration_as_usage() {
    assert_eq!(code(&["serve", "--config", "/no/such.toml"]), Some(64));
    assert_eq!(
        code(&["serve", "--listen", "a", "--upstream", "b"]),
        Some(64)
    );
    assert_eq!(code(&["demo", "--admin", "nowhere"]), Some(64));
}

#[test]
fn explain_tells_bad_questions_from_negative_answers() {
    let file = example("4-isolate.toml");
    let explain = |tag, key| code(&["explain", "--config", &file, "--runtime", tag, key]);
    assert_eq!(explain("py311", "user:1"), Some(0));
    assert_eq!(explain("pypy/7", "user:1"), Some(1));
    assert_eq!(explain("ruby", "user:1"), Some(64));
    assert_eq!(explain("py311", "two words"), Some(64));
    let with_value = |value| {
        let question = ["--config", &file, "--runtime", "py3", "--value", value, "k"];
        code(&[&["explain"][..], &question].concat())
    };
    assert_eq!(with_value(&file), Some(0));
    assert_eq!(with_value("/no/such.pickle"), Some(64));
}
