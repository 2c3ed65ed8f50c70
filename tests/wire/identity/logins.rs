//! Servers that want a login, which picklegate cannot give: `memcached -Y FILE` takes
//! the first `set` of any key on a connection for one.

use std::path::PathBuf;

use tempfile::TempDir;

use super::{configuration, say};
use crate::support::admin;
use crate::support::{Memcached, Picklegate, ask_text, connect, free_addr};

const RUNTIME: &str = "runtime = \"python/3.11\"";
/// A login to some servers, and a value to all others.
const LOGIN: &str = "set auth 0 0 12\r\nalice secret\r\n";

/// A file of passwords, as `-Y` takes it.
struct Passwords {
    file: PathBuf,
    _dir: TempDir,
}

impl Passwords {
    fn new() -> Self {
        let dir = TempDir::new().expect("a writable temporary directory");
        let file = dir.path().join("passwords");
        std::fs::write(&file, "alice:secret\n").expect("a writable temporary directory");
        Self { file, _dir: dir }
    }

    /// A memcached on a port that asks for them.
    fn asked_for_on(&self, port: u16) -> Memcached {
        let file = self.file.to_str().expect("a UTF-8 path");
        Memcached::on_with(port, &["-Y", file])
    }
}

fn refusal(server: &str) -> String {
    format!(
        "SERVER_ERROR picklegate: upstream {server} wants a login, as memcached -Y does, \
         and picklegate has none to give\r\n"
    )
}

#[test]
fn no_client_logs_in_for_all_on_a_server_that_wants_a_login() {
    let passwords = Passwords::new();
    let asking = passwords.asked_for_on(crate::support::free_port());
    let (listen, admin) = (free_addr(), free_addr());
    let toml = configuration(&[(&listen, RUNTIME)], &asking.addr(), &admin);
    let gate = Picklegate::with_config(&toml);
    // It does take this for a login.
    let direct = asking.connect();
    say(&direct, LOGIN.as_bytes(), "STORED\r\n");
    say(&direct, b"get auth\r\n", "END\r\n");
    let refusal = refusal(&asking.addr());
    let client = connect(&listen);
    for request in [
        LOGIN,
        "get a\r\n",
        "mg a v\r\n",
        "set a 0 0 1\r\n1\r\n",
        "delete a\r\n",
        "incr a 1\r\n",
    ] {
        assert_eq!(ask_text(&client, request), refusal, "{request}");
        assert_eq!(ask_text(&connect(&listen), request), refusal, "{request}");
    }
    say(&direct, b"get a @py3//a @py3//auth\r\n", "END\r\n");
    let (status, told) = admin::page(&admin, "/ready");
    assert_eq!(status, 503);
    assert!(told.contains("wants a login"), "{told}");
    let failures = "picklegate_upstream_failures_total";
    assert!(admin::metric(&admin, failures, &["reason=\"login\""]) > 0);
    admin::await_that("a line about the login", || {
        gate.stderr().contains("wants a login")
    });
}

#[test]
fn a_server_that_asks_for_no_login_takes_auth_for_a_key() {
    let memcached = Memcached::start();
    let (listen, admin) = (free_addr(), free_addr());
    let toml = configuration(&[(&listen, RUNTIME)], &memcached.addr(), &admin);
    let _gate = Picklegate::with_config(&toml);
    let client = connect(&listen);
    say(&client, LOGIN.as_bytes(), "STORED\r\n");
    let value = "0 12\r\nalice secret\r\nEND\r\n";
    say(&client, b"get auth\r\n", &format!("VALUE auth {value}"));
    let stored = format!("VALUE @py3//auth {value}");
    say(&memcached.connect(), b"get @py3//auth\r\n", &stored);
    assert_eq!(admin::page(&admin, "/ready").0, 200);
}

#[test]
fn a_server_is_asked_again_whenever_it_is_connected_to() {
    let passwords = Passwords::new();
    let memcached = Memcached::start();
    let (port, server) = (memcached.port, memcached.addr());
    let (listen, admin) = (free_addr(), free_addr());
    let toml = configuration(&[(&listen, RUNTIME)], &server, &admin);
    let _gate = Picklegate::with_config(&toml);
    let client = connect(&listen);
    say(&client, LOGIN.as_bytes(), "STORED\r\n");
    drop(memcached);
    let asking = passwords.asked_for_on(port);
    let refusal = refusal(&server);
    admin::await_that("the login is missed", || {
        ask_text(&client, LOGIN) == refusal
    });
    assert_eq!(ask_text(&client, "set a 0 0 1\r\n1\r\n"), refusal);
    assert_eq!(admin::page(&admin, "/ready").0, 503);
    drop(asking);
    let _memcached = Memcached::on(port);
    admin::await_that("the server is back", || {
        ask_text(&client, LOGIN) == "STORED\r\n"
    });
    assert_eq!(admin::page(&admin, "/ready").0, 200);
}
