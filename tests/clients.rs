//! Puts real Python fleets side by side behind picklegate: every Python that
//! `tests/setup` found, each with its own listener, namespace and memcache
//! clients, all on the same client keys. What a client must see is written in
//! `tests/clients/check.py`; here stands which side does what, and when.

#![allow(missing_docs)]

#[path = "support/pythons.rs"]
mod pythons;
mod support;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use pythons::Python;
use support::{Memcached, Picklegate};

/// A phase of one side takes seconds, also beside others on a small machine.
const PHASE_LIMIT: Duration = Duration::from_secs(180);

const ISOLATE: &str = r#"mode = "isolate"
rollout = 100
coherence = "deletes"
"#;
const GUARD: &str = r#"mode = "guard"
sniff = "header"
on_unloadable_read = "miss"
"#;

/// One Python and the address of its own listener.
struct Side {
    python: Python,
    at: String,
}

/// What the clients' cache is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Upstream {
    Memcached,
    Embedded,
}

/// Every side, and the processes they talk to.
struct Fleet {
    sides: Vec<Side>,
    /// Where its keys can be seen as they are stored.
    direct: String,
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
    fn start(on: Upstream, rule: &str, more: &str) -> Option<Self> {
        let sides: Vec<Side> = pythons()?
            .into_iter()
            .map(|python| Side {
                python,
                at: format!("127.0.0.1:{}", support::free_port()),
            })
            .collect();
        let memcached = (on == Upstream::Memcached).then(Memcached::start);
        let upstream = memcached
            .as_ref()
            .map_or("embedded:64MiB".to_owned(), Memcached::addr);
        let mut fleet = Self::on(sides, memcached, &upstream, rule, more);
        if on == Upstream::Embedded {
            // Nobody else gets at that cache; but the newest Python's listener
            // shows bare keys as they are, for nothing is hidden from it.
            fleet.direct = fleet.newest().at.clone();
        }
        Some(fleet)
    }

    fn on(
        sides: Vec<Side>,
        memcached: Option<Memcached>,
        upstream: &str,
        rule: &str,
        more: &str,
    ) -> Self {
        let picklegate = Picklegate::with_config(&config(&sides, upstream, rule, more));
        Self {
            sides,
            direct: upstream.to_owned(),
            _memcached: memcached,
            picklegate,
        }
    }

    fn oldest(&self) -> &Side {
        self.sides.first().expect("a fleet has a side")
    }

    fn newest(&self) -> &Side {
        self.sides.last().expect("a fleet has a side")
    }

    /// All versions, as one argument.
    fn versions(&self) -> String {
        let versions: Vec<_> = self
            .sides
            .iter()
            .map(|side| side.python.version())
            .collect();
        versions.join(",")
    }

    /// Every side goes through a phase, all at the same time, on the same keys.
    fn all(&self, args: &[&str]) {
        thread::scope(|scope| {
            for side in &self.sides {
                scope.spawn(|| side.check(args));
            }
        });
    }

    /// The same, each side on keys of its own, named by its version.
    fn all_apart(&self, args: &[&str]) {
        thread::scope(|scope| {
            for side in &self.sides {
                scope.spawn(|| {
                    let version = side.python.version();
                    side.check(&[args, &["--family", &version]].concat());
                });
            }
        });
    }
}

impl Side {
    /// Goes through one phase of `check.py`, where every check must hold.
    fn check(&self, args: &[&str]) {
        let failures = self.failures(args);
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
    fn failures(&self, args: &[&str]) -> Vec<String> {
        let version = self.python.version();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/check.py");
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
fn config(sides: &[Side], upstream: &str, rule: &str, more: &str) -> String {
    let mut toml = format!("[upstream]\nservers = [\"{upstream}\"]\n{more}");
    for Side { python, at } in sides {
        let (version, name) = (
            python.version(),
            format!("py{}{}", python.major, python.minor),
        );
        write!(
            toml,
            "\n[[listeners]]\nlisten = \"{at}\"\nruntime = \"python/{version}\"\n\
             \n[namespaces.{name}]\nruntimes = \"python ~{version}\"\n"
        )
        .expect("a String takes everything");
    }
    toml + "\n[[rules]]\nprefix = \"\"\n" + rule
}

/// The Pythons to test with; `None`, said aloud, where something is missing.
fn pythons() -> Option<Vec<Python>> {
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
fn say(text: &str) {
    static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    if SAID
        .lock()
        .expect("nobody panics here")
        .insert(text.to_owned())
    {
        // A closed stderr is no reason to fail.
        let _ = writeln!(std::io::stderr(), "tests/clients: {text}");
    }
}

macro_rules! on_each_upstream {
    ($($name:ident)*) => {
        mod memcached {
            $(#[test] fn $name() { super::$name(super::Upstream::Memcached); })*
        }
        mod embedded {
            $(#[test] fn $name() { super::$name(super::Upstream::Embedded); })*
        }
    };
}

on_each_upstream! {
    isolated_sides_read_back_exactly_what_they_wrote
    a_delete_by_one_side_is_a_miss_for_every_side
    a_guarded_reader_misses_only_protocols_it_does_not_know
    pickles_without_flags_are_guarded_when_bytes_are_detected
    a_rejected_write_is_a_plain_failure_and_the_old_value_is_gone
    observed_values_pass_byte_for_byte
    every_client_method_works_as_on_memcached_when_shared
    every_client_method_works_as_on_memcached_when_isolated
    a_denied_flush_all_fails_at_once_and_nothing_is_lost
}

#[test]
fn without_picklegate_the_sides_meet() {
    let Some(pythons) = pythons() else { return };
    let memcached = Memcached::start();
    let direct = |python: &Python| Side {
        python: python.clone(),
        at: memcached.addr(),
    };
    let args = ["fill", "--portable"];
    direct(&pythons[pythons.len() - 1]).check(&args);
    assert!(
        !direct(&pythons[0]).failures(&args).is_empty(),
        "the checks cannot tell a fleet that shares its keys"
    );
}

fn isolated_sides_read_back_exactly_what_they_wrote(on: Upstream) {
    let Some(fleet) = Fleet::start(on, ISOLATE, "") else {
        return;
    };
    fleet.all(&["fill"]);
    fleet.all(&["verify"]);
}

fn a_delete_by_one_side_is_a_miss_for_every_side(on: Upstream) {
    let Some(fleet) = Fleet::start(on, ISOLATE, "") else {
        return;
    };
    for deleter in [fleet.oldest(), fleet.newest()] {
        fleet.all(&["fill", "--portable"]);
        deleter.check(&["delete", "--portable"]);
        fleet.all(&["gone", "--portable"]);
    }
}

fn a_guarded_reader_misses_only_protocols_it_does_not_know(on: Upstream) {
    let Some(fleet) = Fleet::start(on, GUARD, "") else {
        return;
    };
    guarded(&fleet, "flags");
}

fn pickles_without_flags_are_guarded_when_bytes_are_detected(on: Upstream) {
    let Some(mut fleet) = Fleet::start(on, GUARD, "\n[pickle]\ndetect = \"both\"\n") else {
        return;
    };
    // The one such client is for Python 3.
    fleet.sides.retain(|side| side.python.major > 2);
    if !fleet.sides.is_empty() {
        guarded(&fleet, "raw");
    }
}

/// Everybody writes, everybody reads everybody's; then the oldest side adds
/// where it saw nothing of the newest's.
fn guarded(fleet: &Fleet, trait_: &str) {
    let common = ["--direct", &fleet.direct, "--traits", trait_];
    fleet.all_apart(&[&["fill", "--portable"][..], &common].concat());
    fleet.all(&[&["guarded", "--families", &fleet.versions()][..], &common].concat());
    let newest = fleet.newest().python.version();
    let refill = [&["refill", "--family", &newest][..], &common].concat();
    fleet.oldest().check(&refill);
}

fn a_rejected_write_is_a_plain_failure_and_the_old_value_is_gone(on: Upstream) {
    let rule = format!("{GUARD}on_unloadable_write = \"reject\"\n");
    let Some(fleet) = Fleet::start(on, &rule, "") else {
        return;
    };
    let limit = fleet.oldest().python.highest_protocol().to_string();
    fleet.all_apart(&["rejected", "--limit", &limit, "--traits", "flags"]);
}

fn observed_values_pass_byte_for_byte(on: Upstream) {
    let Some(fleet) = Fleet::start(on, "mode = \"observe\"\nsniff = \"header\"\n", "") else {
        return;
    };
    let direct = ["--direct", &fleet.direct];
    fleet.all_apart(&[&["untouched"][..], &direct].concat());
    fleet.all(&[&["served", "--families", &fleet.versions()][..], &direct].concat());
}

fn every_client_method_works_as_on_memcached_when_shared(on: Upstream) {
    conform(on, "mode = \"shared\"\n");
}

fn every_client_method_works_as_on_memcached_when_isolated(on: Upstream) {
    conform(on, ISOLATE);
}

/// Compares with a second memcached, one side after the other: the steps end
/// with a flush.
fn conform(on: Upstream, rule: &str) {
    let Some(fleet) = Fleet::start(on, rule, "\n[admin_commands]\nflush_all = \"forward\"\n")
    else {
        return;
    };
    let alone = Memcached::start();
    for side in &fleet.sides {
        side.check(&["conform", "--direct", &alone.addr()]);
    }
}

fn a_denied_flush_all_fails_at_once_and_nothing_is_lost(on: Upstream) {
    let Some(fleet) = Fleet::start(on, ISOLATE, "\n[admin_commands]\nflush_all = \"deny\"\n")
    else {
        return;
    };
    fleet.all(&["denied"]);
}

#[test]
fn unix_sockets_serve_on_both_ends() {
    let Some(pythons) = pythons() else { return };
    let directory = tempfile::tempdir().expect("a writable temporary directory");
    let socket = |name: &str| directory.path().join(name).display().to_string();
    let sides = pythons
        .into_iter()
        .map(|python| Side {
            at: format!("unix:{}", socket(&python.version())),
            python,
        })
        .collect();
    let upstream = socket("memcached");
    let memcached = Memcached::unix(&upstream);
    let fleet = Fleet::on(
        sides,
        Some(memcached),
        &format!("unix:{upstream}"),
        ISOLATE,
        "",
    );
    fleet.all(&["fill", "--portable"]);
    fleet.all(&["verify", "--portable"]);
}
