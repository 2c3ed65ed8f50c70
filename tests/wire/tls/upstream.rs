//! TLS to memcached.

use std::io::Read;
use std::net::TcpListener;
use std::thread;

use super::authority::{Authority, Pair, text};
use super::{PY2, PY3, SET, Toml, memcached, memcached_with, noise, say, ssl};
use crate::support::admin;
use crate::support::{Memcached, Picklegate, ask, ask_text, connect, free_addr};

/// A picklegate before servers that speak TLS.
struct Gate {
    py2: String,
    py3: String,
    admin: String,
    process: Picklegate,
}

impl Gate {
    fn start(server: &str, roots: &Authority, more: &str) -> Self {
        let [py2, py3, admin] = [(); 3].map(|()| free_addr());
        let toml = Toml::new(server, &admin)
            .upstream_tls(roots, more)
            .listener(&py2, PY2)
            .listener(&py3, PY3);
        Self {
            process: Picklegate::with_config(&toml.text),
            py2,
            py3,
            admin,
        }
    }

    /// The error that each request is answered by while no connection stands.
    fn await_error(&self, part: &str) {
        let client = connect(&self.py3);
        let mut reply = String::new();
        admin::await_that(part, || {
            reply = ask_text(&client, SET);
            assert!(
                reply.starts_with("SERVER_ERROR picklegate: upstream tls://"),
                "{reply}"
            );
            reply.contains(part)
        });
        let (code, page) = admin::page(&self.admin, "/ready");
        assert!(code == 503 && page.contains(part), "{code} {page}");
    }
}

fn tls(memcached: &Memcached) -> String {
    format!("tls://{}", memcached.addr())
}

/// A memcached with a certificate, a picklegate that trusts its authority, and both of
/// these, whose files must stay. `None` where memcached has no TLS.
fn trusted() -> Option<(Memcached, Gate, (Authority, Pair))> {
    let authority = Authority::new();
    let pair = authority.issue("server", &["127.0.0.1"]);
    let memcached = memcached(&pair)?;
    let gate = Gate::start(&tls(&memcached), &authority, "");
    Some((memcached, gate, (authority, pair)))
}

#[test]
fn values_of_all_sizes_pass_and_versions_stay_apart() {
    let Some((_memcached, gate, _files)) = trusted() else {
        return;
    };
    let (py2, py3) = (connect(&gate.py2), connect(&gate.py3));
    say(&py2, b"set k 0 0 1\r\n2\r\n", "STORED\r\n");
    say(&py3, b"get k\r\n", "END\r\n");
    say(&py3, b"set k 0 0 1\r\n3\r\n", "STORED\r\n");
    say(&py2, b"get k\r\n", "VALUE k 0 1\r\n2\r\nEND\r\n");
    let keys: Vec<String> = (0..100).map(|i| format!("key:{i}")).collect();
    for key in &keys {
        let set = format!("set {key} 0 0 {}\r\n{key}\r\n", key.len());
        say(&py3, set.as_bytes(), "STORED\r\n");
    }
    let values = keys
        .iter()
        .map(|key| format!("VALUE {key} 0 {}\r\n{key}\r\n", key.len()))
        .collect::<Vec<_>>()
        .concat();
    let get = format!("get {}\r\n", keys.join(" "));
    say(&py3, get.as_bytes(), &(values + "END\r\n"));
    // Around the size of a record, and of what the session takes at once.
    for size in [
        1, 16_383, 16_384, 16_385, 65_535, 65_536, 65_537, 300_000, 1_000_000,
    ] {
        let value = noise(size);
        let set = [
            format!("set big 0 0 {size}\r\n").as_bytes(),
            &value,
            b"\r\n",
        ]
        .concat();
        assert_eq!(ask(&py3, &set), b"STORED\r\n", "{size}");
        let head = format!("VALUE big 0 {size}\r\n");
        let expected = [head.as_bytes(), &value, b"\r\nEND\r\n"].concat();
        assert!(ask(&py3, b"get big\r\n") == expected, "{size}");
    }
    let (code, page) = admin::page(&gate.admin, "/ready");
    assert_eq!(code, 200, "{page}");
    assert!(page.starts_with("tls://127.0.0.1:"), "{page}");
    gate.process.terminate();
}

/// Many large values under way at once, both ways: more than sockets and sessions hold.
#[test]
fn pipelined_large_values_come_whole_and_in_order() {
    const VALUES: usize = 24;
    let Some((_memcached, gate, _files)) = trusted() else {
        return;
    };
    let client = connect(&gate.py3);
    let value = |i: usize| noise(400_000 + 1_000 * i);
    let mut sets = Vec::new();
    let (mut gets, mut values) = (Vec::new(), Vec::new());
    for i in 0..VALUES {
        let value = value(i);
        let size = value.len();
        sets.extend(
            [
                format!("set k{i} 0 0 {size}\r\n").as_bytes(),
                &value,
                b"\r\n",
            ]
            .concat(),
        );
        gets.extend(format!("get k{i}\r\n").into_bytes());
        values.extend(
            [
                format!("VALUE k{i} 0 {size}\r\n").as_bytes(),
                &value,
                b"\r\nEND\r\n",
            ]
            .concat(),
        );
    }
    assert_eq!(ask(&client, &sets), b"STORED\r\n".repeat(VALUES));
    assert!(ask(&client, &gets) == values, "values differ");
}

#[test]
fn who_cannot_be_believed_is_down_and_says_why() {
    let authority = Authority::new();
    let stranger = Authority::new();
    for (pair, why) in [
        (stranger.issue("server", &["127.0.0.1"]), "UnknownIssuer"),
        (
            authority.issue("other", &["127.0.0.2"]),
            "not valid for name",
        ),
        (authority.expired(), "expired"),
    ] {
        let Some(memcached) = memcached(&pair) else {
            return;
        };
        let gate = Gate::start(&tls(&memcached), &authority, "");
        gate.await_error(why);
    }
}

/// Without roots of its own it believes those of the system, wherever that has them.
#[test]
fn the_system_has_roots() {
    let authority = Authority::new();
    let pair = authority.issue("server", &["127.0.0.1"]);
    let Some(memcached) = memcached(&pair) else {
        return;
    };
    let others = Authority::new();
    for (roots, reply) in [
        (authority.roots(), "STORED"),
        (others.roots(), "UnknownIssuer"),
    ] {
        let listen = free_addr();
        let flag = format!("{listen}=py3");
        let args = ["serve", "--listen", &flag, "--upstream", &tls(&memcached)];
        let _gate = Picklegate::with_args_in(&args, &[("SSL_CERT_FILE", text(&roots))]);
        let client = connect(&listen);
        admin::await_that(reply, || ask_text(&client, SET).contains(reply));
    }
}

#[test]
fn a_name_of_the_certificate_may_be_given() {
    let authority = Authority::new();
    let pair = authority.issue("server", &["cache.example"]);
    let Some(memcached) = memcached(&pair) else {
        return;
    };
    let name = "server_name = \"cache.example\"\n";
    let gate = Gate::start(&tls(&memcached), &authority, name);
    let client = connect(&gate.py3);
    say(&client, b"set k 0 0 1\r\n3\r\n", "STORED\r\n");
}

#[test]
fn a_server_without_tls_is_down() {
    let authority = Authority::new();
    let memcached = Memcached::start();
    let gate = Gate::start(&tls(&memcached), &authority, "");
    gate.await_error("TLS handshake failed");
}

/// One that takes the connection and says nothing is given up in time.
#[test]
fn a_server_that_is_silent_is_down() {
    let authority = Authority::new();
    let silent = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
    let addr = silent.local_addr().expect("it is bound");
    // Ends with the test process.
    thread::spawn(move || {
        for stream in silent.incoming() {
            let mut stream = stream.expect("a client");
            thread::spawn(move || while stream.read(&mut [0; 1024]).is_ok_and(|n| n > 0) {});
        }
    });
    let [listen, admin] = [(); 2].map(|()| free_addr());
    let mut toml = Toml::new(&format!("tls://{addr}"), &admin)
        .upstream_tls(&authority, "")
        .listener(&listen, PY3);
    toml.text = toml
        .text
        .replace("connect_timeout_ms = 5000", "connect_timeout_ms = 100");
    let _gate = Picklegate::with_config(&toml.text);
    let client = connect(&listen);
    admin::await_that("a timeout", || {
        ask_text(&client, SET).contains("no connection after 100 ms")
    });
}

#[test]
fn a_server_that_comes_back_is_found_again() {
    let Some((memcached, gate, (_authority, pair))) = trusted() else {
        return;
    };
    let client = connect(&gate.py3);
    say(&client, b"set k 0 0 1\r\n3\r\n", "STORED\r\n");
    let port = memcached.port;
    drop(memcached);
    gate.await_error("Connection refused");
    let _memcached = Memcached::on_with(port, &["-Z", "-o", &ssl(&pair, "")]);
    admin::await_that("the server", || ask_text(&client, SET) == "STORED\r\n");
    say(&client, b"set k 0 0 1\r\n3\r\n", "STORED\r\n");
}

#[test]
fn a_server_may_ask_for_a_certificate() {
    let authority = Authority::new();
    let server = authority.issue("server", &["127.0.0.1"]);
    let own = authority.issue("client", &["client.example"]);
    let roots = authority.roots();
    let demand = format!(",ssl_verify_mode=2,ssl_ca_cert={}", text(&roots));
    let Some(memcached) = memcached_with(&server, &demand) else {
        return;
    };
    let gate = Gate::start(&tls(&memcached), &authority, &own.settings());
    let client = connect(&gate.py3);
    say(&client, b"set k 0 0 1\r\n3\r\n", "STORED\r\n");
    let without = Gate::start(&tls(&memcached), &authority, "");
    let client = connect(&without.py3);
    let reply = ask_text(&client, "set k 0 0 1\r\n4\r\n");
    assert!(
        reply.starts_with("SERVER_ERROR picklegate: upstream"),
        "{reply}"
    );
}
