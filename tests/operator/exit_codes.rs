//! Answers of the command, with their exit codes.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::thread;

fn picklegate(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_picklegate"))
        .args(args)
        .output()
        .expect("cargo has built the command")
}

fn code(args: &[&str]) -> Option<i32> {
    picklegate(args).status.code()
}

/// An address that nobody listens on.
fn nowhere() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
    listener.local_addr().expect("it is bound").to_string()
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

#[test]
fn an_address_in_use_is_the_systems_refusal() {
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = holder.local_addr().unwrap().to_string();
    let listen = format!("{taken}=py3");
    let serves = picklegate(&["serve", "--listen", &listen, "--upstream", "127.0.0.1:1"]);
    assert_eq!(serves.status.code(), Some(71));
    let told = String::from_utf8(serves.stderr).unwrap();
    let clear = format!("cannot listen on {taken}: Address already in use");
    assert!(told.lines().last().unwrap().starts_with(&clear), "{told}");
    let free = [nowhere(), nowhere()];
    let args = ["--py2", &free[0], "--py3", &free[1], "--admin", &taken];
    assert_eq!(code(&[&["demo", "--once"][..], &args].concat()), Some(71));
    // No address of this machine, and no place for a socket.
    for addr in ["192.0.2.1:11311", "unix:/no/such/directory/socket"] {
        let listen = format!("{addr}=py3");
        let serves = code(&["serve", "--listen", &listen, "--upstream", "127.0.0.1:1"]);
        assert_eq!(serves, Some(71), "{addr}");
    }
}

/// Answers one question like this, as somebody else's server.
fn stranger(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
    let addr = listener.local_addr().expect("it is bound").to_string();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("somebody asks");
        let _ = stream.read(&mut [0; 1024]);
        let written = stream.write_all(answer.as_bytes());
        written.expect("whoever asks reads");
    });
    addr
}

#[test]
fn whoever_is_asked_and_does_not_answer_is_unavailable() {
    let asks = |command: &str, admin: &str| code(&[command, "--admin", admin]);
    for admin in [nowhere(), "unix:/no/such/socket".to_owned()] {
        assert_eq!(asks("advise", &admin), Some(69), "{admin}");
        assert_eq!(asks("health", &admin), Some(69), "{admin}");
    }
    assert_eq!(asks("advise", "nowhere"), Some(64));
    assert_eq!(asks("health", "nowhere"), Some(64));
    let page = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npage";
    assert_eq!(asks("advise", &stranger(page)), Some(69));
    assert_eq!(asks("advise", &stranger("ERROR\r\n")), Some(69));
    assert_eq!(asks("health", &stranger("ERROR\r\n")), Some(69));
    let not_ready = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 9\r\n\r\ndraining\n";
    let health = picklegate(&["health", "--admin", &stranger(not_ready)]);
    assert_eq!(health.status.code(), Some(1));
    let told = String::from_utf8(health.stderr).unwrap();
    assert!(
        told.ends_with("answers 503 Service Unavailable to /ready: draining\n"),
        "{told}"
    );
}

#[test]
fn what_is_not_known_of_a_pickle_is_2_and_what_is_certain_to_fail_1() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = directory.path().join(name);
        fs::write(&path, bytes).unwrap();
        path.display().to_string()
    };
    let whole = file("whole", b"\x80\x02N.");
    let cut = file("cut", b"\x80\x02]q");
    let new = file("new", b"\x80\x04N.");
    let inspect = |files: &[&String]| {
        let files = files.iter().map(|file| file.as_str());
        let args = ["inspect", "--reader", "py2.7"];
        code(&args.into_iter().chain(files).collect::<Vec<_>>())
    };
    assert_eq!(inspect(&[&whole]), Some(0));
    assert_eq!(inspect(&[&whole, &cut]), Some(2));
    assert_eq!(inspect(&[&whole, &cut, &new]), Some(1));
    // Nobody was named: nobody's verdict is asked for.
    assert_eq!(code(&["inspect", &cut, &new]), Some(0));
}

#[test]
fn the_table_of_exit_codes_is_in_the_help_and_the_manual() {
    let help = String::from_utf8(picklegate(&["--help"]).stdout).unwrap();
    let table = help.split("Exit codes:\n").nth(1).unwrap();
    let codes = table
        .lines()
        .filter_map(|line| line.split_whitespace().next());
    let codes: Vec<_> = codes.collect();
    assert_eq!(codes, ["0", "1", "2", "64", "69", "70", "71"]);
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(code(&["man", directory.path().to_str().unwrap()]), Some(0));
    let manual = fs::read_to_string(directory.path().join("picklegate.1")).unwrap();
    for line in table.trim_end().lines() {
        let line = line.trim().replace('-', "\\-");
        assert!(manual.contains(&line), "{line} in {manual}");
    }
}
