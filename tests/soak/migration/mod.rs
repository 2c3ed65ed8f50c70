//! Two sidecars before one memcached, their configurations walked up and down the
//! stages of a migration, while many processes of Python 2 and Python 3 cache a
//! database through them. Nobody may read what an acknowledged change removed, nor
//! be handed what it cannot load; locks, counters and swaps stay exact.

mod database;
mod sidecar;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::support::pythons::Python;
use crate::support::{self, Memcached, ask_text};
use database::{Counts, Database};
use sidecar::{STAGES, Sidecar};

/// Threads of each Python before each sidecar.
const THREADS: usize = 4;
/// Times up and down the stages.
const LAPS: usize = 4;
/// Time between two steps.
const STAY: Duration = Duration::from_millis(450);
/// Time that clients may take to end, also beside others on a small machine.
const PATIENCE: Duration = Duration::from_secs(30);
/// Keys of each kind in the shared family.
const SHARED_KEYS: usize = 3;

#[test]
fn nobody_reads_what_a_change_removed_while_stages_change() {
    let _alone = crate::alone();
    let Some([py2, py3]) = pythons() else { return };
    let memcached = Memcached::start();
    seed(&memcached);
    let database = Database::serve();
    let mut sidecars = [("a", false), ("b", true)]
        .map(|(name, is_mounted)| Sidecar::start(name, &memcached.addr(), is_mounted));
    let began = Instant::now();
    let mut clients = Clients::new();
    for sidecar in &sidecars {
        for (python, at) in [&py2, &py3].into_iter().zip(&sidecar.listens) {
            clients.start(python, sidecar.name, at, &database);
        }
    }
    let steps = walk(&mut sidecars, &database);
    database.stop();
    let said = clients.end();
    let took = began.elapsed();
    let counts = database.counts();
    println!("{}", report(&counts, &sidecars, steps, took));
    let told = sidecars.each_ref().map(Sidecar::stderr).join("\n");
    assert!(
        counts.violations.is_empty(),
        "{:#?}\n{told}",
        counts.violations
    );
    assert!(
        counts.failures.is_empty(),
        "{:?}\n{said}\n{told}",
        counts.failures
    );
    shared_values_are_exact(&memcached, &counts);
    enough_happened(&counts, &sidecars, steps);
}

/// Python 2.7 and the newest one; `None`, said aloud, where something is missing.
fn pythons() -> Option<[Python; 2]> {
    let all = Python::all();
    let old = all.iter().find(|python| python.major == 2);
    let new = all.iter().rfind(|python| python.major == 3);
    let missing = match (old, new) {
        _ if !support::memcached_available() => "memcached",
        (Some(old), Some(new)) => return Some([old.clone(), new.clone()]),
        (None, _) => "Python 2.7",
        (_, None) => "Python 3",
    };
    eprintln!("tests/soak/migration: skipped: no {missing} (run tests/setup)");
    None
}

/// Counters, and numbers as clients store them.
fn seed(memcached: &Memcached) {
    for key in 0..SHARED_KEYS {
        for (name, flags) in [("counter", 0), ("swapped", 2)] {
            let request = format!("set lock:{name}:{key} {flags} 0 1\r\n0\r\n");
            assert_eq!(ask_text(&memcached.connect(), &request), "STORED\r\n");
        }
    }
}

/// Goes up and down the stages, one sidecar after the other; the number of steps.
fn walk(sidecars: &mut [Sidecar; 2], database: &Database) -> usize {
    let up = 1..STAGES.len();
    let down = (0..STAGES.len() - 1).rev();
    let lap = up.chain(down);
    let mut steps = 0;
    for (at, stage) in (0..LAPS).flat_map(|_| lap.clone()).enumerate() {
        for sidecar in &mut *sidecars {
            let how = sidecar.ways()[at % 2];
            thread::sleep(STAY);
            if steps % 5 == 2 {
                sidecar.disturb(how);
            }
            if stage == 0 {
                database.hides(sidecar.name, false);
            }
            sidecar.go_to(STAGES[stage], how);
            if stage > 0 {
                database.hides(sidecar.name, true);
            }
            steps += 1;
        }
    }
    thread::sleep(STAY);
    steps
}

// Clients --------------------------------------------------------------------

/// Processes of clients, killed when dropped.
struct Clients {
    children: Vec<Child>,
    /// Holds what they wrote to stderr.
    dir: TempDir,
}

impl Clients {
    fn new() -> Self {
        Self {
            children: Vec::new(),
            dir: TempDir::new().expect("a writable temporary directory"),
        }
    }

    fn start(&mut self, python: &Python, side: &str, at: &str, database: &Database) {
        let script = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/soak/migration/client.py"
        );
        let file = self.dir.path().join(self.children.len().to_string());
        let child = python
            .command(Path::new(script))
            .args(["--database", &database.addr, "--at", at, "--side", side])
            .args(["--threads", &THREADS.to_string()])
            .args(["--seed", &format!("{} {side}", python.version())])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(file).expect("a writable directory"))
            .spawn();
        self.children.push(child.expect("the environment is whole"));
    }

    /// Waits until all have ended; what they complained of.
    fn end(mut self) -> String {
        let deadline = Instant::now() + PATIENCE;
        let mut said = String::new();
        for (at, child) in self.children.iter_mut().enumerate() {
            let status = loop {
                match child.try_wait().expect("a child of ours") {
                    Some(status) => break Some(status),
                    None if Instant::now() > deadline => break None,
                    None => thread::sleep(Duration::from_millis(10)),
                }
            };
            let file = self.dir.path().join(at.to_string());
            let stderr = fs::read_to_string(file).unwrap_or_default();
            let ended = status.is_some_and(|status| status.success());
            assert!(ended, "client {at}: {status:?}\n{stderr}");
            said.push_str(&stderr);
        }
        said
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        for child in &mut self.children {
            // Fails only if it ended already; either way it is reaped.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

// What came of it ------------------------------------------------------------

fn report(counts: &Counts, sidecars: &[Sidecar; 2], steps: usize, took: Duration) -> String {
    let Counts {
        reads,
        hits,
        misses,
        fills,
        changes,
        races,
        unreadable,
        locks,
        counted,
        ..
    } = counts;
    let (reloads, refusals) = totals(sidecars);
    let mut text = format!("{steps} steps of stages in {:.1} s: ", took.as_secs_f64());
    // A String takes everything.
    let _ = writeln!(
        text,
        "{reloads} configurations taken over, {refusals} refused"
    );
    let _ = writeln!(
        text,
        "{reads} reads: {hits} hits, {misses} misses, {unreadable} not loadable where nothing is \
         hidden; {fills} fills; acknowledged changes: {changes:?}"
    );
    let _ = writeln!(
        text,
        "{races} old versions read by races of plain memcached"
    );
    let _ = write!(text, "{locks} locks held; counted: {counted:?}");
    text
}

fn totals(sidecars: &[Sidecar; 2]) -> (usize, usize) {
    let reloads = sidecars.iter().map(|sidecar| sidecar.reloads).sum();
    (
        reloads,
        sidecars.iter().map(|sidecar| sidecar.refusals).sum(),
    )
}

fn shared_values_are_exact(memcached: &Memcached, counts: &Counts) {
    for kind in ["counter", "swapped"] {
        for number in 0..SHARED_KEYS {
            let key = format!("lock:{kind}:{number}");
            let found = ask_text(&memcached.connect(), &format!("get {key}\r\n"));
            let value = found
                .lines()
                .nth(1)
                .map(|value| value.trim().parse::<u64>());
            let of = |counts: &BTreeMap<String, u64>| counts.get(&key).copied().unwrap_or_default();
            let least = of(&counts.counted);
            let most = least + of(&counts.unsure);
            let is_exact = matches!(value, Some(Ok(value)) if (least..=most).contains(&value));
            assert!(is_exact, "{key} is {found:?}, {least} to {most} expected");
        }
    }
}

fn enough_happened(counts: &Counts, sidecars: &[Sidecar; 2], steps: usize) {
    let (reloads, refusals) = totals(sidecars);
    let hidden = sidecars.iter().map(|sidecar| {
        let hidden = ["reader=\"py2\"", "action=\"hidden\""];
        sidecar.metric("picklegate_cross_version_reads_total", &hidden)
    });
    let refused = sidecars
        .iter()
        .map(|sidecar| sidecar.metric("picklegate_config_failures_total", &[]));
    assert_eq!(refused.sum::<u64>(), refusals as u64);
    let mut least = vec![
        ("reads", counts.reads, 5_000),
        ("hits", counts.hits, 2_000),
        ("misses", counts.misses, 1_000),
        ("fills", counts.fills, 1_000),
        ("races", counts.races, 10),
        ("not loadable", counts.unreadable, 20),
        ("hidden", hidden.sum(), 20),
        ("locks", counts.locks, 100),
        ("steps", steps as u64, 48),
        ("reloads", reloads as u64, 48),
        ("refusals", refusals as u64, 9),
    ];
    for family in ["item", "through", "strict", "via-a", "via-b"] {
        let changes = counts.changes.get(family).copied().unwrap_or_default();
        least.push((family, changes, 200));
    }
    for (what, count, least) in least {
        assert!(count >= least, "{what}: {count}, at least {least} expected");
    }
}
