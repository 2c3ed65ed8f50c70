//! Runs the classes of `config/identity.md` under every Python that has their
//! library: with picklegate, after their connections were lost, and with a plain
//! memcached.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use tempfile::TempDir;

use super::{Gate, connected, is};
use crate::support::pythons::Python;
use crate::support::{self, admin};

const PAGE: &str = include_str!("../../../config/identity.md");
const KINDS: [&str; 5] = [
    "pymemcache",
    "python_memcached",
    "django_pymemcache",
    "django_memcached",
    "aiomcache",
];

/// Writes each block of the page that names a file as that file.
fn modules() -> TempDir {
    let dir = TempDir::new().expect("a writable temporary directory");
    let mut written = 0;
    for block in PAGE.split("\n```python ").skip(1) {
        let (name, rest) = block.split_once('\n').expect("a line with the name");
        let (code, _) = rest.split_once("\n```").expect("a block ends");
        fs::write(dir.path().join(name), format!("{code}\n")).expect("a writable directory");
        written += 1;
    }
    assert_eq!(written, KINDS.len());
    dir
}

/// A Python with one of the clients, killed when dropped.
struct User {
    name: String,
    kind: &'static str,
    version: String,
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl User {
    fn start(python: &Python, kind: &'static str, modules: &Path, address: &str) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/wire/identity/use.py");
        let mut child = python
            .command(Path::new(script))
            .args([modules.as_os_str(), kind.as_ref(), address.as_ref()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("the environment is whole");
        let version = python.version();
        Self {
            name: format!("{kind} on {version}"),
            kind,
            version,
            input: child.stdin.take().expect("piped"),
            output: BufReader::new(child.stdout.take().expect("piped")),
            child,
        }
    }

    /// The next line that it says. It ends by itself where it waits too long.
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("lines of text");
        line.trim_end().to_owned()
    }
}

impl Drop for User {
    fn drop(&mut self) {
        // Fails only if it ended already; either way it is reaped.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Every kind that each Python has, connected to nothing yet.
fn users(pythons: &[Python], modules: &Path, address: &str) -> Vec<User> {
    let started: Vec<User> = pythons
        .iter()
        .flat_map(|python| KINDS.map(|kind| User::start(python, kind, modules, address)))
        .collect();
    let ready = started.into_iter().filter_map(|mut user| {
        let line = user.line();
        let skipped = line.starts_with("skipped: ");
        assert!(skipped || line == "ready", "{}: {line:?}", user.name);
        (!skipped).then_some(user)
    });
    ready.collect()
}

/// All set and get once, at the same time.
fn round(users: &mut [User]) {
    for user in &mut *users {
        user.input.write_all(b"go\n").expect("it reads");
    }
    for user in users {
        assert_eq!(user.line(), "ok", "{}", user.name);
    }
}

/// Every user's connection bears its tag.
fn all_are_tagged(gate: &Gate, users: &[User]) {
    admin::await_status(&gate.admin, "a tag on every connection", |status| {
        users.iter().all(|user| {
            let runtime = format!("python/{}", user.version);
            let namespace = format!("py{}", &user.version[..1]);
            let tagged =
                connected(status).filter(|client| is(client, &runtime, "hello", &namespace));
            let same = users.iter().filter(|other| other.version == user.version);
            tagged.count() >= same.count()
        })
    });
}

#[test]
fn every_snippet_says_hello_on_each_connection_and_harms_no_memcached() {
    let pythons = Python::all();
    if pythons.is_empty() || !support::memcached_available() {
        eprintln!(
            "tests/wire/identity: skipped: no Python environments or memcached (run tests/setup)"
        );
        return;
    }
    let modules = modules();
    let mut gate = Gate::start("[\"hello\"]", "refuse");
    let mut connecting = users(&pythons, modules.path(), &gate.listen);
    for kind in KINDS {
        let ran = connecting.iter().any(|user| user.kind == kind);
        assert!(
            ran || pythons.len() < 5,
            "{kind} was skipped by every Python"
        );
    }
    round(&mut connecting);
    all_are_tagged(&gate, &connecting);
    gate.restart();
    round(&mut connecting);
    all_are_tagged(&gate, &connecting);
    let names: Vec<&str> = connecting.iter().map(|user| &*user.name).collect();
    println!("{} clients: {}", names.len(), names.join(", "));
    drop(connecting);
    let plain = gate.memcached.addr();
    round(&mut users(&pythons, modules.path(), &plain));
}
