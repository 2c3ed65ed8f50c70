//! Every Python with its listener, namespace and clients, and the processes that
//! they talk to. Which phase a side goes through is the tests' business.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{LazyLock, Mutex};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use crate::support::pythons::Python;
use crate::support::toml::Toml;
use crate::support::{self, Memcached, Picklegate};

/// Script that a side runs unless a test says otherwise.
const CHECK: &str = "check.py";
/// The application of every side.
const VALUES: &str = "values.py";
/// A phase of one side takes seconds, also beside others on a small machine.
const PHASE_LIMIT: Duration = Duration::from_secs(180);

/// One Python and the address of its own listener.
pub(crate) struct Side {
    pub(crate) python: Python,
    pub(crate) at: String,
    /// File that the namespace's inventory is read from.
    pub(crate) inventory: Option<PathBuf>,
}

/// Cache behind the clients.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Upstream {
    Memcached,
    Embedded,
}

/// Every side, and the processes they talk to.
pub(crate) struct Fleet {
    pub(crate) sides: Vec<Side>,
    /// Address at which keys can be seen as they are stored.
    pub(crate) direct: String,
    admin: String,
    _memcached: Option<Memcached>,
    picklegate: Picklegate,
}

impl Drop for Fleet {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("picklegate said:\n{}", self.picklegate.stderr());
        }
    }
}

impl Fleet {
    /// A fleet of every Python on loopback ports; `rule` is what the one rule
    /// says, `more` other tables of the configuration. `None` where the machine
    /// lacks what it takes.
    pub(crate) fn start(on: Upstream, rule: &str, more: &str) -> Option<Self> {
        let sides = pythons()?.into_iter().map(Side::on_loopback).collect();
        let memcached = (on == Upstream::Memcached).then(Memcached::start);
        let upstream = memcached
            .as_ref()
            .map_or("embedded:64MiB".to_owned(), Memcached::addr);
        let mut fleet = Self::on(sides, memcached, &[&upstream], rule, more);
        if on == Upstream::Embedded {
            // Nobody else gets at that cache; but the newest Python's listener
            // shows bare keys as they are, for nothing is hidden from it.
            fleet.direct = fleet.newest().at.clone();
        }
        Some(fleet)
    }

    /// A fleet before memcached, every namespace with the inventory of its environment.
    pub(crate) fn with_inventories(rule: &str, more: &str) -> Option<Self> {
        let sides = pythons()?.into_iter().map(|python| Side {
            inventory: Some(inventory(&python)),
            ..Side::on_loopback(python)
        });
        let memcached = Memcached::start();
        let upstream = memcached.addr();
        Some(Self::on(
            sides.collect(),
            Some(memcached),
            &[&upstream],
            rule,
            more,
        ))
    }

    pub(crate) fn on(
        sides: Vec<Side>,
        memcached: Option<Memcached>,
        upstreams: &[&str],
        rule: &str,
        more: &str,
    ) -> Self {
        let admin = support::free_addr();
        let more = format!("\n[admin]\nlisten = \"{admin}\"\n{more}");
        let picklegate = Picklegate::with_config(config(&sides, upstreams, rule, &more));
        Self::served_by(picklegate, sides, (memcached, upstreams[0]), &admin)
    }

    /// Sides that a picklegate serves already.
    pub(crate) fn served_by(
        picklegate: Picklegate,
        sides: Vec<Side>,
        (memcached, upstream): (Option<Memcached>, &str),
        admin: &str,
    ) -> Self {
        Self {
            sides,
            admin: admin.to_owned(),
            direct: upstream.to_owned(),
            _memcached: memcached,
            picklegate,
        }
    }

    pub(crate) fn oldest(&self) -> &Side {
        self.sides.first().expect("a fleet has a side")
    }

    pub(crate) fn newest(&self) -> &Side {
        self.sides.last().expect("a fleet has a side")
    }

    /// All versions, as one argument.
    pub(crate) fn versions(&self) -> String {
        self.families("")
    }

    /// Families of keys, each behind `prefix`.
    pub(crate) fn families(&self, prefix: &str) -> String {
        let versions: Vec<_> = self
            .sides
            .iter()
            .map(|side| format!("{prefix}{}", side.python.version()))
            .collect();
        versions.join(",")
    }

    /// The sum of a metric over all its lines with every one of these labels.
    pub(crate) fn metric(&self, name: &str, labels: &[&str]) -> u64 {
        let mut stream = support::connect(&self.admin);
        let request = "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).expect("it listens");
        let mut page = String::new();
        stream.read_to_string(&mut page).expect("metrics are text");
        let lines = page.lines().filter(|line| {
            line.split('{').next() == Some(name) && labels.iter().all(|label| line.contains(label))
        });
        lines
            .map(|line| {
                let value = line.rsplit(' ').next().expect("a line has a last word");
                value.parse::<u64>().expect("counts are whole")
            })
            .sum()
    }

    /// Output of `picklegate advise`.
    pub(crate) fn advice(&self) -> String {
        let output = Command::new(env!("CARGO_BIN_EXE_picklegate"))
            .args(["advise", "--admin", &self.admin])
            .output()
            .expect("it runs");
        String::from_utf8(output.stdout).expect("it is text")
    }

    /// Every side goes through a phase, all at the same time, on the same keys.
    pub(crate) fn all(&self, args: &[&str]) {
        self.all_in(CHECK, args);
    }

    /// Runs a phase of another script on all sides.
    pub(crate) fn all_in(&self, script: &str, args: &[&str]) {
        thread::scope(|scope| {
            for side in &self.sides {
                scope.spawn(|| side.check_in(script, args));
            }
        });
    }

    /// Each side goes through it on keys of its own, named by its version.
    pub(crate) fn all_apart(&self, args: &[&str]) {
        self.all_apart_in(CHECK, "", args);
    }

    /// Runs a phase of another script on all sides, on keys that start with `prefix`.
    pub(crate) fn all_apart_in(&self, script: &str, prefix: &str, args: &[&str]) {
        thread::scope(|scope| {
            for side in &self.sides {
                scope.spawn(|| {
                    let family = format!("{prefix}{}", side.python.version());
                    side.check_in(script, &[args, &["--family", &family]].concat());
                });
            }
        });
    }
}

impl Side {
    pub(crate) fn on_loopback(python: Python) -> Self {
        Self {
            python,
            at: support::free_addr(),
            inventory: None,
        }
    }

    /// The name of its namespace.
    pub(crate) fn namespace(&self) -> String {
        format!("py{}{}", self.python.major, self.python.minor)
    }

    /// Runtime as a label of metrics.
    pub(crate) fn label(&self) -> String {
        format!("namespace=\"{}\"", self.namespace())
    }

    /// Goes through one phase of `check.py`, where every check must hold.
    pub(crate) fn check(&self, args: &[&str]) {
        self.check_in(CHECK, args);
    }

    /// Runs a phase of another script.
    pub(crate) fn check_in(&self, script: &str, args: &[&str]) {
        let failures = self.failures_in(script, args);
        assert!(
            failures.is_empty(),
            "Python {} {args:?}: {} failed:\n{}",
            self.python.version(),
            failures.len(),
            failures[..failures.len().min(20)]
                .join("\n")
                .replace("\\n", "\n")
        );
    }

    /// The lines of one phase's checks that do not hold.
    pub(crate) fn failures(&self, args: &[&str]) -> Vec<String> {
        self.failures_in(CHECK, args)
    }

    fn failures_in(&self, script: &str, args: &[&str]) -> Vec<String> {
        let version = self.python.version();
        let script = clients().join(script);
        let args = [args, &["--at", &self.at]].concat();
        let finished = self
            .python
            .run(&script, &args, PHASE_LIMIT)
            .unwrap_or_else(|| panic!("Python {version} {args:?} takes over {PHASE_LIMIT:?}"));
        assert!(
            finished.success && finished.stdout.contains(r#""finished "#),
            "Python {version} {args:?} ends early:\n{}",
            finished.stderr
        );
        for line in finished.stdout.lines() {
            if line.contains(r#""skipped: "#) {
                say(&format!("Python {version}: {line}"));
            }
        }
        finished
            .stdout
            .lines()
            // A quote inside a detail has a backslash before it.
            .filter(|line| !line.contains(r#""ok": true"#))
            .map(str::to_owned)
            .collect()
    }
}

/// One listener and one namespace a side, one rule for all keys.
fn config(sides: &[Side], upstreams: &[&str], rule: &str, more: &str) -> String {
    let mut toml = Toml::without_namespaces(upstreams).rule(&format!("{rule}\n{more}"));
    for side in sides {
        let version = side.python.version();
        let mut settings = format!("runtimes = \"python ~{version}\"");
        if let Some(file) = &side.inventory {
            let _ = write!(settings, "\ninventory = '{}'", file.display());
        }
        toml = toml
            .listener(&side.at, &format!("python/{version}"))
            .table(&format!("namespaces.{}", side.namespace()), &settings);
    }
    toml.to_string()
}

/// The Pythons to test with; `None`, said aloud, where something is missing.
pub(crate) fn pythons() -> Option<Vec<Python>> {
    let pythons = Python::all();
    if pythons.is_empty() {
        say("skipped: no Python environments (run tests/setup)");
        return None;
    }
    if !support::memcached_available() {
        say("skipped: no memcached (run tests/setup)");
        return None;
    }
    Some(pythons)
}

/// Prints past cargo's capture, and once: what is skipped is never silent.
pub(crate) fn say(text: &str) {
    static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    if SAID
        .lock()
        .expect("nobody panics here")
        .insert(text.to_owned())
    {
        // A closed stderr is no reason to fail.
        let _ = writeln!(std::io::stderr(), "tests/process/clients: {text}");
    }
}

fn clients() -> &'static Path {
    Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/process/clients"
    ))
}

/// The inventory of a Python's environment, made as users make it; once.
fn inventory(python: &Python) -> PathBuf {
    static MADE: LazyLock<TempDir> = LazyLock::new(|| {
        let directory = tempfile::tempdir().expect("a writable temporary directory");
        let script = Command::new(env!("CARGO_BIN_EXE_picklegate"))
            .arg("inventory")
            .output()
            .expect("cargo built the binary");
        fs::write(directory.path().join("inventory.py"), script.stdout)
            .and_then(|()| fs::copy(clients().join(VALUES), directory.path().join(VALUES)))
            .expect("a writable temporary directory");
        for python in Python::all() {
            let imports = ["--import", "values", "--import"];
            let django = [&imports[..], &["django.utils.safestring"]].concat();
            let script = directory.path().join("inventory.py");
            let run = |args: &[&str]| {
                let finished = python.run(&script, args, PHASE_LIMIT);
                finished.expect("it ends in time")
            };
            let mut made = run(&django);
            if !made.success {
                // An environment without Django.
                made = run(&imports[..2]);
            }
            assert!(made.success, "{}", made.stderr);
            let file = directory.path().join(python.version() + ".json");
            fs::write(file, made.stdout).expect("a writable temporary directory");
        }
        directory
    });
    MADE.path().join(python.version() + ".json")
}
