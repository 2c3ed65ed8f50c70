//! Effects of a reload on listeners and on the connections to them.

use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use super::{configuration, connected, identifies, refusal, say};
use crate::support::admin;
use crate::support::{Memcached, Picklegate, connect, free_addr};

const PY2: &str = "runtime = \"python/2.7\"";
const PY3: &str = "runtime = \"python/3.11\"";
const FAILURES: &str = "picklegate_config_failures_total";

/// A picklegate with a file that is replaced.
struct Reloaded {
    admin: String,
    upstream: String,
    dir: TempDir,
    gate: Option<Picklegate>,
}

impl Reloaded {
    fn start(upstream: &str, listeners: &[(&str, &str)]) -> Self {
        let mut reloaded = Self {
            admin: free_addr(),
            upstream: upstream.to_owned(),
            dir: TempDir::new().expect("a writable temporary directory"),
            gate: None,
        };
        reloaded.write(&reloaded.configuration(listeners));
        reloaded.gate = Some(Picklegate::with_file(&reloaded.file()));
        reloaded
    }

    fn configuration(&self, listeners: &[(&str, &str)]) -> String {
        configuration(listeners, &self.upstream, &self.admin)
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("picklegate.toml")
    }

    fn write(&self, text: &str) {
        let new = self.dir.path().join("new");
        fs::write(&new, text).expect("a writable directory");
        fs::rename(new, self.file()).expect("a writable directory");
    }

    fn gate(&self) -> &Picklegate {
        self.gate.as_ref().expect("it was started")
    }

    /// Waits until it waits for the upstream.
    fn await_in_flight(&self) {
        admin::await_that("a request in flight", || {
            admin::metric(&self.admin, "picklegate_upstream_in_flight", &[]) > 0
        });
    }

    /// Replaces the file; returns once another configuration was taken over.
    fn reload(&self, listeners: &[(&str, &str)]) {
        let before = admin::generation(&admin::status(&self.admin));
        self.write(&self.configuration(listeners));
        admin::await_status(&self.admin, "a new configuration", |status| {
            admin::generation(status) > before
        });
    }

    /// Replaces the file by one that is refused; its errors.
    fn refuse(&self, text: &str) -> Vec<String> {
        let before = admin::generation(&admin::status(&self.admin));
        let failures = admin::metric(&self.admin, FAILURES, &[]);
        self.write(text);
        admin::await_that("a refused configuration", || {
            admin::metric(&self.admin, FAILURES, &[]) > failures
        });
        let status = admin::status(&self.admin);
        assert_eq!(admin::generation(&status), before, "{status:#}");
        let errors = status["config"]["failure"]["errors"].as_array();
        let errors = errors.expect("a list").iter();
        errors
            .map(|error| error.as_str().expect("a text").to_owned())
            .collect()
    }
}

/// Whether the peer closes, without a word.
fn is_closed(mut stream: &TcpStream) -> bool {
    stream.read(&mut [0; 64]).is_ok_and(|bytes| bytes == 0)
}

fn is_refused(listen: &str) -> bool {
    TcpStream::connect(listen).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

#[test]
fn kept_listeners_keep_their_connections_and_removed_ones_close_theirs() {
    let memcached = Memcached::start();
    let [kept, removed, added] = [(); 3].map(|()| free_addr());
    let gate = Reloaded::start(&memcached.addr(), &[(&kept, PY2), (&removed, PY3)]);
    let (on_kept, on_removed) = (connect(&kept), connect(&removed));
    say(&on_kept, b"set k 0 0 1\r\n2\r\n", "STORED\r\n");
    say(&on_removed, b"set k 0 0 1\r\n3\r\n", "STORED\r\n");

    gate.reload(&[(&kept, PY2), (&added, PY3)]);
    assert!(is_closed(&on_removed));
    assert!(is_refused(&removed));
    say(&on_kept, b"get k\r\n", "VALUE k 0 1\r\n2\r\nEND\r\n");
    say(&connect(&kept), b"get k\r\n", "VALUE k 0 1\r\n2\r\nEND\r\n");
    say(
        &connect(&added),
        b"get k\r\n",
        "VALUE k 0 1\r\n3\r\nEND\r\n",
    );

    // It returns.
    gate.reload(&[(&kept, PY2), (&removed, PY3)]);
    say(&on_kept, b"get k\r\n", "VALUE k 0 1\r\n2\r\nEND\r\n");
    say(
        &connect(&removed),
        b"get k\r\n",
        "VALUE k 0 1\r\n3\r\nEND\r\n",
    );
    assert!(is_refused(&added));
}

#[test]
fn a_connection_counts_as_what_its_listener_says_now() {
    let memcached = Memcached::start();
    let listen = free_addr();
    let gate = Reloaded::start(&memcached.addr(), &[(&listen, PY2)]);
    let client = connect(&listen);
    say(&client, b"set k 0 0 1\r\n2\r\n", "STORED\r\n");
    gate.reload(&[(&listen, PY3)]);
    say(&client, b"get k\r\n", "END\r\n");
    gate.reload(&[(&listen, &identifies("[\"hello\"]", "refuse"))]);
    say(&client, b"get k\r\n", &refusal(&listen));
    say(&client, b"hello py2\r\n", "OK\r\n");
    say(&client, b"get k\r\n", "VALUE k 0 1\r\n2\r\nEND\r\n");
    gate.reload(&[(&listen, &identifies("[\"hello\"]", "pass"))]);
    let status = admin::status(&gate.admin);
    assert!(
        connected(&status).any(|c| c["told_by"] == "hello"),
        "{status:#}"
    );
    say(&client, b"get k\r\n", "VALUE k 0 1\r\n2\r\nEND\r\n");
}

/// An upstream that answers each line late.
fn slow_upstream() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
    let addr = listener.local_addr().expect("it is bound").to_string();
    // Ends with the test process.
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a client");
            thread::spawn(move || {
                let lines = BufReader::new(stream.try_clone().expect("a descriptor")).lines();
                for _ in lines.map_while(Result::ok) {
                    thread::sleep(Duration::from_millis(300));
                    if stream.write_all(b"END\r\n").is_err() {
                        break;
                    }
                }
            });
        }
    });
    addr
}

#[test]
fn what_a_removed_listener_owes_is_answered_before_it_closes() {
    let [kept, removed] = [(); 2].map(|()| free_addr());
    let gate = Reloaded::start(&slow_upstream(), &[(&kept, PY2), (&removed, PY3)]);
    let (on_kept, on_removed) = (connect(&kept), connect(&removed));
    (&on_removed).write_all(b"get k\r\n").expect("it reads");
    gate.await_in_flight();
    (&on_kept).write_all(b"get k\r\n").expect("it reads");
    gate.write(&gate.configuration(&[(&kept, PY2)]));
    gate.gate().hang_up();
    say(&on_removed, b"", "END\r\n");
    assert!(is_closed(&on_removed));
    say(&on_kept, b"", "END\r\n");
    say(&on_kept, b"get k\r\n", "END\r\n");
}

#[test]
fn a_bad_file_changes_nothing_and_says_why() {
    let memcached = Memcached::start();
    let [listen, other] = [(); 2].map(|()| free_addr());
    let gate = Reloaded::start(&memcached.addr(), &[(&listen, PY2)]);
    let client = connect(&listen);
    say(&client, b"set k 0 0 1\r\n2\r\n", "STORED\r\n");
    let holder = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
    let taken = holder.local_addr().expect("it is bound").to_string();
    let good = gate.configuration(&[(&listen, PY3)]);
    for (bad, why) in [
        (good.replace("[[rules]]", "[[rules]"), "picklegate.toml:"),
        (good.replace("isolate", "isolated"), "rules"),
        (
            good.replace("[admin]", "[admin]\nlisten_on = 1"),
            "admin.listen_on",
        ),
        (
            good.replace(&gate.admin, &other),
            "admin.listen cannot change while serving",
        ),
        (
            gate.configuration(&[(&other, PY3), (&taken, PY3)]),
            &*format!("cannot listen on {taken}"),
        ),
    ] {
        let errors = gate.refuse(&bad);
        assert!(
            errors.iter().any(|error| error.contains(why)),
            "{why}: {errors:?}"
        );
        say(&client, b"get k\r\n", "VALUE k 0 1\r\n2\r\nEND\r\n");
        say(
            &connect(&listen),
            b"get k\r\n",
            "VALUE k 0 1\r\n2\r\nEND\r\n",
        );
        assert!(is_refused(&other));
    }
    gate.reload(&[(&listen, PY3)]);
    assert!(admin::status(&gate.admin)["config"]["failure"].is_null());
    say(&client, b"get k\r\n", "END\r\n");
}

/// A file written during a reload is read as well.
#[test]
fn the_last_of_two_quick_changes_holds() {
    let listen = free_addr();
    let gate = Reloaded::start(&slow_upstream(), &[(&listen, PY2)]);
    for (first, last, namespace) in [(PY2, PY3, "py3"), (PY3, PY2, "py2")] {
        let client = connect(&listen);
        (&client).write_all(b"get k\r\n").expect("it reads");
        gate.await_in_flight();
        gate.write(&gate.configuration(&[(&listen, first)]));
        gate.gate().hang_up();
        // The first has been read, and waits for the upstream's answer.
        thread::sleep(Duration::from_millis(100));
        gate.write(&gate.configuration(&[(&listen, last)]));
        admin::await_status(&gate.admin, "the last configuration", |status| {
            connected(status).any(|c| c["namespace"] == namespace)
        });
    }
}

#[test]
fn servers_come_and_go_and_connections_stay() {
    let (first, second) = (Memcached::start(), Memcached::start());
    let at = free_addr();
    let listeners = [(&*at, PY3)];
    let mut gate = Reloaded::start(&first.addr(), &listeners);
    let client = connect(&at);
    say(&client, b"set k 0 0 1\r\n1\r\n", "STORED\r\n");
    gate.upstream = second.addr();
    gate.reload(&listeners);
    say(&client, b"get k\r\n", "END\r\n");
    say(&client, b"set k 0 0 1\r\n2\r\n", "STORED\r\n");
    say(
        &second.connect(),
        b"get @py3//k\r\n",
        "VALUE @py3//k 0 1\r\n2\r\nEND\r\n",
    );
    // The first one's lanes are closed, and opened again when it is back.
    let label = format!("server=\"{}\"", first.addr());
    admin::await_that("no connection to the first", || {
        admin::metric(&gate.admin, "picklegate_upstream_connections", &[&label]) == 0
    });
    gate.upstream = first.addr();
    gate.reload(&listeners);
    say(&client, b"get k\r\n", "VALUE k 0 1\r\n1\r\nEND\r\n");
}

#[test]
fn what_needs_a_restart_says_so() {
    let memcached = Memcached::start();
    let at = free_addr();
    let listeners = [(&*at, PY3)];
    let gate = Reloaded::start(&memcached.addr(), &listeners);
    for (more, key) in [
        ("[server]\nworkers = 2\n", "server.workers"),
        ("[admin]\nlisten = \"127.0.0.1:1\"\n", "admin.listen"),
    ] {
        let mut text = gate.configuration(&listeners);
        if let Some(at) = text.find("[admin]").filter(|_| more.starts_with("[admin]")) {
            let end = text[at + 1..]
                .find("\n[")
                .map_or(text.len(), |end| at + end + 2);
            text.replace_range(at..end, more);
        } else {
            text.push_str(more);
        }
        let told = gate.refuse(&text);
        let expected = format!("{key} cannot change while serving: restart picklegate for that");
        assert_eq!(told, [expected]);
    }
}
