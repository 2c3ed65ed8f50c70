//! Clients that close, or end, right behind a write that wants no reply, before the
//! system can tell who they are.

use std::path::Path;
use std::process::{Child, Stdio};

use tempfile::TempDir;

use super::{configuration, identifies};
use crate::support::admin;
use crate::support::pythons::Python;
use crate::support::{Memcached, Picklegate, ask_text, free_addr, memcached_available};

const SCRIPT: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/wire/identity/closing.py"
);
/// Writes of each client.
const WRITES: usize = 30;
/// Processes that each end behind one write.
const ENDS: usize = 10;

/// A picklegate that asks the system only, on TCP and on a unix socket.
struct Asking {
    gate: Picklegate,
    memcached: Memcached,
    tcp: String,
    unix: String,
    admin: String,
    _dir: TempDir,
}

impl Asking {
    fn start() -> Self {
        let dir = TempDir::new().expect("a writable temporary directory");
        let unix = format!("unix:{}", dir.path().join("any.sock").display());
        let (tcp, admin, memcached) = (free_addr(), free_addr(), Memcached::start());
        let how = identifies("[\"process\"]", "refuse");
        let toml = configuration(&[(&tcp, &how), (&unix, &how)], &memcached.addr(), &admin);
        Self {
            gate: Picklegate::with_config(&toml),
            memcached,
            tcp,
            unix,
            admin,
            _dir: dir,
        }
    }

    /// Number of copies in memcached of keys of the scripts.
    fn copies(&self, prefixes: &[&str]) -> usize {
        let keys =
            (0..WRITES).flat_map(|n| prefixes.iter().map(move |prefix| format!("{prefix}k{n}")));
        let request = format!("get {}\r\n", keys.collect::<Vec<_>>().join(" "));
        let received = ask_text(&self.memcached.connect(), &request);
        received.matches("VALUE ").count()
    }

    fn plant(&self) {
        let direct = self.memcached.connect();
        for n in 0..WRITES {
            for prefix in ["", "@py2//", "@py3//"] {
                ask_text(&direct, &format!("set {prefix}k{n} 0 0 1\r\n1\r\n"));
            }
        }
        assert_eq!(self.copies(&["", "@py2//", "@py3//"]), 3 * WRITES);
    }

    fn refused(&self) -> usize {
        let name = "picklegate_untagged_writes_refused_total";
        admin::metric(&self.admin, name, &[]) as usize
    }
}

/// A process that ends with its input, at the latest.
struct Writer(Child);

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let ended = self.0.wait();
        if !std::thread::panicking() {
            assert!(ended.expect("a child of ours").success());
        }
    }
}

/// Has a Python write; gives how often, and what stays.
fn run(python: &Python, client: &str, address: &str, verb: &str) -> (usize, Vec<Writer>) {
    let run = |count: usize| {
        let mut command = python.command(Path::new(SCRIPT));
        let child = command
            .args([client, address, verb, &count.to_string()])
            .stdin(Stdio::piped())
            .spawn();
        Writer(child.expect("the environment is whole"))
    };
    if client == "pymemcache" {
        return (WRITES, vec![run(WRITES)]);
    }
    (ENDS, (0..ENDS).map(run).collect())
}

/// The oldest and the newest: they are what differs.
fn pythons() -> Vec<Python> {
    let mut pythons = Python::all();
    if pythons.is_empty() || !memcached_available() {
        eprintln!(
            "tests/wire/identity: skipped: no Python environments or memcached (run tests/setup)"
        );
        return Vec::new();
    }
    pythons.drain(1..pythons.len().max(2) - 1);
    pythons
}

#[test]
fn a_delete_of_whoever_closes_at_once_arrives() {
    for python in pythons() {
        let asking = Asking::start();
        for (client, address) in [
            ("pymemcache", &asking.tcp),
            ("pymemcache", &asking.unix),
            ("raw", &asking.tcp),
            ("raw", &asking.unix),
        ] {
            asking.plant();
            let (writes, _writers) = run(&python, client, address, "delete");
            let left = 3 * (WRITES - writes);
            admin::await_that(
                &format!("{writes} deletes of {client} on {address}"),
                || asking.copies(&["", "@py2//", "@py3//"]) == left,
            );
        }
        assert_eq!(asking.refused(), 0);
    }
}

#[test]
fn another_write_of_whoever_closes_at_once_is_carried_out_or_told() {
    for python in pythons() {
        let asking = Asking::start();
        let own = format!("@py{}//", python.major);
        let others = ["", "@py2//", "@py3//"]
            .into_iter()
            .filter(|prefix| *prefix != own);
        let others: Vec<&str> = others.collect();
        let mut refused = 0;
        for (client, address) in [
            ("pymemcache", &asking.tcp),
            ("pymemcache", &asking.unix),
            ("raw", &asking.tcp),
            ("raw", &asking.unix),
        ] {
            ask_text(&asking.memcached.connect(), "flush_all\r\n");
            let (writes, _writers) = run(&python, client, address, "set");
            admin::await_that(&format!("{writes} sets of {client} on {address}"), || {
                asking.copies(&[&own]) + asking.refused() - refused == writes
            });
            let told = asking.refused() - refused;
            println!(
                "{} {client} on {address}: {} stored, {told} refused",
                python.version(),
                writes - told
            );
            refused += told;
            // Never for somebody else.
            assert_eq!(asking.copies(&others), 0);
            if client == "pymemcache" && *address == asking.unix {
                // The system knows who connected, as long as that lives.
                assert_eq!(told, 0, "{}", asking.gate.stderr());
            }
        }
        admin::await_that("a line about a write refused", || {
            refused == 0 || asking.gate.stderr().contains("write refused: ")
        });
    }
}
