//! Starting: flags alone, faulty configurations, and addresses that are taken.

use std::net::TcpListener;

use super::{say, serve};
use crate::support::admin;
use crate::support::{Memcached, Picklegate, connect, free_addr};

#[test]
fn flags_alone_are_enough() {
    let memcached = Memcached::start();
    let (a, b, admin) = (free_addr(), free_addr(), free_addr());
    let (py2, py3) = (format!("{a}=py2"), format!("{b}=py3"));
    let upstream = memcached.addr();
    let _gate = Picklegate::with_args(&[
        "serve",
        "--listen",
        &py2,
        "--listen",
        &py3,
        "--upstream",
        &upstream,
        "--admin",
        &admin,
    ]);
    let (old, new, raw) = (connect(&a), connect(&b), memcached.connect());
    say(&old, b"set k 0 0 3\r\nold\r\n", "STORED\r\n");
    say(&new, b"get k\r\n", "END\r\n");
    say(&new, b"set k 0 0 3\r\nnew\r\n", "STORED\r\n");
    say(&old, b"get k\r\n", "VALUE k 0 3\r\nold\r\nEND\r\n");
    say(&new, b"get k\r\n", "VALUE k 0 3\r\nnew\r\nEND\r\n");
    say(
        &raw,
        b"get k @py2//k @py3//k\r\n",
        "VALUE @py2//k 0 3\r\nold\r\nVALUE @py3//k 0 3\r\nnew\r\nEND\r\n",
    );
    assert_eq!(admin::page(&admin, "/live").0, 200);
}

#[test]
fn a_bad_configuration_exits_64_with_all_errors() {
    let dir = tempfile::TempDir::new().unwrap();
    let file = dir.path().join("bad.toml");
    let bad = "[upstream]\nservers = [\"nowhere\"]\n[[listeners]]\nlisten = \"127.0.0.1:1\"\n\
               runtime = \"ruby\"\n[limits]\nmax_conections = 5\n";
    std::fs::write(&file, bad).unwrap();
    let output = serve(&["--config", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(64));
    let told = String::from_utf8(output.stderr).unwrap();
    for place in [
        "bad.toml:2: upstream.servers",
        "bad.toml:5: listeners",
        "bad.toml:7: limits.max_conections",
    ] {
        assert!(told.contains(place), "{place} is not in {told}");
    }
}

#[test]
fn a_port_in_use_exits_71_with_a_clear_line() {
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let (taken, free) = (holder.local_addr().unwrap().to_string(), free_addr());
    for (listen, admin) in [(&taken, &free), (&free, &taken)] {
        let listen = format!("{listen}=py3");
        let output = serve(&[
            "--listen",
            &listen,
            "--upstream",
            "127.0.0.1:1",
            "--admin",
            admin,
        ]);
        assert_eq!(output.status.code(), Some(71));
        let told = String::from_utf8(output.stderr).unwrap();
        let last = told.lines().last().unwrap_or_default();
        let clear = format!("cannot listen on {taken}: Address already in use");
        assert!(last.starts_with(&clear), "{told}");
    }
}
