//! TLS with clients.

use std::io::{ErrorKind, Read, Write};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::authority::{Authority, Pair, text};
use super::client::{Who, say};
use super::{PY2, PY3, Toml, noise};
use crate::support::admin;
use crate::support::pythons::Python;
use crate::support::{Memcached, Picklegate, connect, free_addr};

const FAILURES: &str = "picklegate_tls_handshake_failures_total";
const BY_CERTIFICATE: &str = "identify = [\"certificate\"]\nuntagged = \"refuse\"";

/// A picklegate with one listener by TLS.
struct Gate {
    authority: Authority,
    listen: String,
    admin: String,
    process: Picklegate,
    _memcached: Memcached,
}

impl Gate {
    /// With clients told apart in this way, and further settings of TLS.
    fn start(how: &str, tls: impl Fn(&Authority) -> String) -> Self {
        Self::start_with(how, tls, "")
    }

    fn start_with(how: &str, tls: impl Fn(&Authority) -> String, limits: &str) -> Self {
        let authority = Authority::new();
        let server = authority.issue("server", &["127.0.0.1", "localhost"]);
        let memcached = Memcached::start();
        let (listen, admin) = (free_addr(), free_addr());
        let mut toml = Toml::new(&memcached.addr(), &admin)
            .listener(&listen, how)
            .listener_tls(&(server.settings() + &tls(&authority)));
        toml.text = toml
            .text
            .replace("[limits]", &format!("[limits]\n{limits}"));
        Self {
            process: Picklegate::with_config(&toml.text),
            authority,
            listen,
            admin,
            _memcached: memcached,
        }
    }

    /// A client's certificate for this tag.
    fn tagged(&self, name: &str, tag: &str) -> Pair {
        let uri = format!("picklegate:{tag}");
        let spiffe = "spiffe://example/ns/web/sa/app";
        self.authority
            .issue(name, &["client.example", spiffe, &uri])
    }

    fn failures(&self) -> u64 {
        admin::metric(&self.admin, FAILURES, &[&self.listen])
    }

    fn who(&self) -> Who {
        Who::new(&self.authority, None)
    }
}

fn nothing(_: &Authority) -> String {
    String::new()
}

fn required(authority: &Authority) -> String {
    format!("client_roots = \"{}\"\n", text(&authority.roots()))
}

fn optional(authority: &Authority) -> String {
    required(authority) + "client_auth = \"optional\"\n"
}

#[test]
fn both_versions_of_tls_work() {
    let gate = Gate::start(PY3, nothing);
    for who in [gate.who(), Who::old(&gate.authority)] {
        let mut client = who.connect(&gate.listen);
        say(&mut client, b"set k 0 0 1\r\n3\r\n", "STORED\r\n");
        say(&mut client, b"get k\r\n", "VALUE k 0 1\r\n3\r\nEND\r\n");
        for size in [16_384, 65_536, 1_000_000] {
            let value = noise(size);
            let set = [
                format!("set big 0 0 {size}\r\n").as_bytes(),
                &value,
                b"\r\n",
            ]
            .concat();
            say(&mut client, &set, "STORED\r\n");
            client.write_all(b"get big\r\n").expect("it reads");
            let head = format!("VALUE big 0 {size}\r\n");
            let mut received = vec![0; head.len() + size + 7];
            client.read_exact(&mut received).expect("the value");
            let expected = [head.as_bytes(), &value, b"\r\nEND\r\n"].concat();
            assert!(received == expected, "{size}");
        }
    }
    assert_eq!(gate.failures(), 0);
    let status = admin::status(&gate.admin);
    assert_eq!(status["listeners"][0]["tls"], true, "{status:#}");
}

#[test]
fn whoever_speaks_binary_is_closed_at_once() {
    for how in [PY3, BY_CERTIFICATE] {
        let gate = Gate::start(how, if how == PY3 { nothing } else { required });
        let pair = gate.tagged("client", "python/2.7");
        let who = Who::new(&gate.authority, Some(&pair));
        let mut client = who.connect(&gate.listen);
        client.write_all(b"\x80\x0a\0\0").expect("it reads");
        let mut said = Vec::new();
        // A peer that closes need not say so by TLS.
        let _ = client.read_to_end(&mut said);
        assert_eq!(said, b"");
        let closed = "picklegate_closed_connections_total";
        let reason = ["reason=\"binary_protocol\""];
        assert_eq!(admin::metric(&gate.admin, closed, &reason), 1);
        let log = gate.process.stderr();
        assert!(log.contains("speaks the binary protocol"), "{log}");
    }
}

#[test]
fn new_keys_may_come_at_any_time() {
    let gate = Gate::start(PY3, nothing);
    let mut client = gate.who().connect(&gate.listen);
    for _ in 0..5 {
        say(&mut client, b"get k\r\n", "END\r\n");
        client.conn.refresh_traffic_keys().expect("it is TLS 1.3");
    }
    say(&mut client, b"get k\r\n", "END\r\n");
}

// Who connects -------------------------------------------------------------------

/// Each Python that there is, with its own certificate, on one listener.
#[test]
fn pythons_with_certificates_stay_apart() {
    let pythons = Python::all();
    if pythons.is_empty() {
        eprintln!("tests/wire/tls: skipped: no Python environments (run tests/setup)");
        return;
    }
    let gate = Gate::start(BY_CERTIFICATE, required);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/wire/tls/talk.py");
    let port = gate.listen.rsplit(':').next().expect("a port");
    let roots = gate.authority.roots();
    // The oldest and the newest: those between share a namespace with one of them.
    let both = [&pythons[0], &pythons[pythons.len() - 1]];
    let run = |python: &Python, step: &str| {
        let name = python.version();
        let pair = gate.tagged(&name, &format!("python/{name}"));
        let (certificate, key) = (text(&pair.certificate), text(&pair.key));
        let args = ["localhost", port, text(&roots), certificate, key, step];
        let ran = python.run(Path::new(script), &args, Duration::from_secs(60));
        let ran = ran.expect("it ends");
        assert!(ran.success, "Python {name}: {}", ran.stderr);
    };
    for python in both {
        run(python, "write");
    }
    if both[0].major != both[1].major {
        for python in both {
            run(python, "read");
        }
    }
    for python in &pythons {
        run(python, "write");
    }
    assert_eq!(gate.failures(), 0);
}

#[test]
fn a_certificate_tells_the_tag() {
    let gate = Gate::start(BY_CERTIFICATE, required);
    let connect = |name: &str, tag: &str| {
        let pair = gate.tagged(name, tag);
        Who::new(&gate.authority, Some(&pair)).connect(&gate.listen)
    };
    let mut py2 = connect("old", "python/2.7,django/1.11");
    let mut py3 = connect("new", "python/3.11");
    say(&mut py2, b"set k 0 0 1\r\n2\r\n", "STORED\r\n");
    say(&mut py3, b"get k\r\n", "END\r\n");
    say(&mut py3, b"set k 0 0 1\r\n3\r\n", "STORED\r\n");
    say(&mut py2, b"get k\r\n", "VALUE k 0 1\r\n2\r\nEND\r\n");
    let status = admin::status(&gate.admin);
    let connected = status["connected"].as_array().expect("a list");
    for (runtime, namespace) in [("python/2.7 django/1.11", "py2"), ("python/3.11", "py3")] {
        let is = |c: &serde_json::Value| {
            c["runtime"] == runtime && c["told_by"] == "certificate" && c["namespace"] == namespace
        };
        assert!(connected.iter().any(is), "{status:#}");
    }
}

#[test]
fn who_has_no_certificate_is_refused_or_untagged() {
    let gate = Gate::start(BY_CERTIFICATE, required);
    let strangers = Authority::new();
    let stranger = strangers.issue("client", &["picklegate:python/3.11"]);
    for who in [gate.who(), Who::new(&gate.authority, Some(&stranger))] {
        let before = gate.failures();
        let error = who.refused(&gate.listen).to_string();
        assert!(error.contains("fatal alert"), "{error}");
        admin::await_that("a failure", || gate.failures() == before + 1);
    }
    let gate = Gate::start(BY_CERTIFICATE, optional);
    let refusal = format!(
        "SERVER_ERROR picklegate: no runtime tag on this connection (listener {})\r\n",
        gate.listen
    );
    let mut without = gate.who().connect(&gate.listen);
    say(&mut without, b"get k\r\n", &refusal);
    // One that names none, one that names nonsense, and one that no namespace is for.
    let plain = gate.authority.issue("plain", &["client.example"]);
    let bad = gate.tagged("bad", "what?");
    let foreign = gate.tagged("foreign", "ruby/3.3");
    let unknown = refusal.replace(
        "no runtime tag on this connection",
        "no namespace for ruby/3.3",
    );
    for (pair, refusal) in [(plain, &refusal), (bad, &refusal), (foreign, &unknown)] {
        let mut client = Who::new(&gate.authority, Some(&pair)).connect(&gate.listen);
        say(&mut client, b"get k\r\n", refusal);
    }
    let told = gate.process.stderr();
    assert!(
        told.contains("its certificate names \"picklegate:what?\""),
        "{told}"
    );
    let pair = gate.tagged("new", "python/3.11");
    let mut client = Who::new(&gate.authority, Some(&pair)).connect(&gate.listen);
    say(&mut client, b"get k\r\n", "END\r\n");
}

/// Header that a proxy sends first.
fn proxy_header(tag: &str) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x20\x00".to_vec();
    header.extend((tag.len() as u16 + 3).to_be_bytes());
    header.push(0xe0);
    header.extend((tag.len() as u16).to_be_bytes());
    header.extend(tag.as_bytes());
    header
}

/// The header of a proxy is in front of TLS, and a certificate outdoes it in whatever
/// order they are listed.
#[test]
fn a_proxy_may_tell_the_tag_before_tls_begins() {
    for (identify, pair, namespace) in [
        ("[\"proxy-protocol\", \"certificate\"]", true, "py3"),
        ("[\"certificate\", \"proxy-protocol\"]", true, "py3"),
        ("[\"certificate\", \"proxy-protocol\"]", false, "py2"),
    ] {
        let gate = Gate::start(&format!("identify = {identify}"), required);
        let name = if pair {
            "picklegate:python/3.11"
        } else {
            "client.example"
        };
        let pair = gate.authority.issue("client", &[name]);
        let mut client = Who::new(&gate.authority, Some(&pair)).connect(&gate.listen);
        // In one piece with the first of the handshake.
        let mut header = proxy_header("python/2.7");
        client.conn.write_tls(&mut header).expect("memory");
        client.sock.write_all(&header).expect("it reads");
        say(&mut client, b"set k 0 0 1\r\n1\r\n", "STORED\r\n");
        let status = admin::status(&gate.admin);
        assert_eq!(status["connected"][0]["namespace"], namespace, "{status:#}");
    }
}

// Those that do not speak it ------------------------------------------------------

#[test]
fn a_client_without_tls_is_turned_away_at_once() {
    let gate = Gate::start(PY3, nothing);
    let mut plain = connect(&gate.listen);
    plain.write_all(b"get k\r\n").expect("it reads");
    let mut received = Vec::new();
    // It may also be reset, since it was not read to its end.
    let _ = plain.read_to_end(&mut received);
    // An alert, which says why to those who know of TLS.
    assert!(received.len() < 16, "{}", received.escape_ascii());
    admin::await_that("a failure", || gate.failures() == 1);
    let mut client = gate.who().connect(&gate.listen);
    say(&mut client, b"get k\r\n", "END\r\n");
}

/// A seat that is asked for, and no handshake: given up, so that others get it.
#[test]
fn a_handshake_that_does_not_go_on_ends() {
    let gate = Gate::start_with(PY3, nothing, "max_connections = 3");
    admin::await_status(&gate.admin, "all seats", |status| {
        status["connections"] == 0
    });
    // Nothing, the beginning of a record, and a record that is never whole.
    let starts = [&b""[..], b"\x16\x03", b"\x16\x03\x01\x02\x00\x01\x00"];
    let mut half = starts.map(|start| {
        let mut stream = connect(&gate.listen);
        stream.write_all(start).expect("it reads");
        stream
    });
    admin::await_that("no seat is left", || {
        let mut client = gate.who().connect(&gate.listen);
        let asked = client.write_all(b"version\r\n");
        asked.and_then(|()| client.read(&mut [0; 64])).is_err()
    });
    for stream in &mut half {
        match stream.read(&mut [0; 64]) {
            Ok(0) => {}
            // What it sent was not read.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            other => panic!("{other:?}"),
        }
    }
    admin::await_that("three failures", || gate.failures() == 3);
    let mut client = gate.who().connect(&gate.listen);
    say(&mut client, b"get k\r\n", "END\r\n");
}

/// Bytes behind a goodbye are nobody's, in whichever loop they are met.
#[test]
fn bytes_after_a_goodbye_stall_nobody() {
    let how = "identify = [\"proxy-protocol\"]\nuntagged = \"pass\"";
    let gate = Gate::start(how, nothing);
    let mut client = gate.who().connect(&gate.listen);
    say(&mut client, b"get k\r\n", "END\r\n");
    client.conn.send_close_notify();
    let mut goodbye = Vec::new();
    client.conn.write_tls(&mut goodbye).expect("memory");
    goodbye.extend([0x17; 4096]);
    client.sock.write_all(&goodbye).expect("it reads");
    // Before the handshake it is not encrypted.
    let mut early = connect(&gate.listen);
    let mut header = proxy_header("python/3.11");
    header.extend(b"\x15\x03\x03\x00\x02\x01\x00");
    header.extend([0x17; 64]);
    early.write_all(&header).expect("it reads");
    for mut stream in [client.sock, early] {
        // It may also be reset, since it was not read to its end.
        let _ = stream.read_to_end(&mut Vec::new());
    }
    let mut other = gate.who().connect(&gate.listen);
    say(&mut other, b"get k\r\n", "END\r\n");
    admin::await_status(&gate.admin, "one connection", |status| {
        status["connections"] == 1
    });
}

// The end, and before it -----------------------------------------------------------

/// A client that does not read is held back: its requests are not even read, and none is
/// lost.
#[test]
fn a_slow_reader_is_held_back() {
    const SIZE: usize = 1_000_000;
    let gate = Gate::start(PY3, nothing);
    let mut client = gate.who().connect(&gate.listen);
    let value = noise(SIZE);
    let set = [format!("set k 0 0 {SIZE}\r\n").as_bytes(), &value, b"\r\n"].concat();
    say(&mut client, &set, "STORED\r\n");
    let before = resident_kib(gate.process.id());
    let hits = || {
        admin::metric(
            &gate.admin,
            "picklegate_requests_total",
            &["result=\"hit\""],
        )
    };
    let mut gets = 0;
    let mut is_served = true;
    while is_served {
        client.write_all(b"get k\r\n").expect("it reads");
        gets += 1;
        assert!(gets < 100, "never held back");
        let patience = Instant::now() + Duration::from_secs(1);
        is_served = loop {
            let is_counted = hits() == gets;
            if is_counted || Instant::now() > patience {
                break is_counted;
            }
            thread::sleep(Duration::from_millis(5));
        };
    }
    let grown = resident_kib(gate.process.id()).saturating_sub(before);
    assert!(
        grown < 24 << 10,
        "{grown} KiB for a client that does not read"
    );
    client.write_all(b"get k\r\nquit\r\n").expect("it reads");
    // Others are served meanwhile.
    let mut other = gate.who().connect(&gate.listen);
    say(&mut other, b"get absent\r\n", "END\r\n");
    let reply = [
        format!("VALUE k 0 {SIZE}\r\n").as_bytes(),
        &value,
        b"\r\nEND\r\n",
    ]
    .concat();
    let mut received = vec![0; reply.len()];
    for nth in 0..=gets {
        client.read_exact(&mut received).expect("the value");
        assert!(received == reply, "reply {nth}");
    }
    // It says goodbye: an end without is an error of this client.
    assert_eq!(client.read(&mut received).expect("a goodbye"), 0);
}

fn resident_kib(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next());
    kib.expect("a size").parse().expect("a number")
}

#[test]
fn what_is_owed_is_answered_before_the_end() {
    let gate = Gate::start(PY2, nothing);
    let mut client = gate.who().connect(&gate.listen);
    say(&mut client, b"set k 0 0 1\r\n2\r\n", "STORED\r\n");
    client.write_all(b"get k\r\n").expect("it reads");
    client.conn.send_close_notify();
    client.flush().expect("it reads");
    let mut received = Vec::new();
    client.read_to_end(&mut received).expect("a goodbye");
    assert_eq!(
        String::from_utf8_lossy(&received),
        "VALUE k 0 1\r\n2\r\nEND\r\n"
    );

    // One that just goes is noticed as well.
    let gone = gate.who().connect(&gate.listen);
    let mut idle = gate.who().connect(&gate.listen);
    say(&mut idle, b"get k\r\n", "VALUE k 0 1\r\n2\r\nEND\r\n");
    drop(gone);
    admin::await_status(&gate.admin, "one connection", |status| {
        status["connections"] == 1
    });

    gate.process.terminate();
    assert_eq!(idle.read(&mut [0; 64]).expect("a goodbye"), 0);
}
