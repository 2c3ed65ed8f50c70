//! The end after SIGTERM.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use super::{Proxy, SHARED, false_upstream, rest, silent_upstream, value};
use crate::support::toml::Toml;
use crate::support::{Memcached, Picklegate, connect, free_addr};

#[test]
fn sigterm_finishes_what_is_owed() {
    let server = false_upstream(|line| {
        if line == "version" {
            return Some(b"VERSION 1.6.18\r\n".to_vec());
        }
        thread::sleep(Duration::from_millis(800));
        Some(value("k", b"late"))
    });
    let dir = tempfile::TempDir::new().unwrap();
    let socket = dir.path().join("gate.sock");
    let (listen, unix) = (free_addr(), format!("unix:{}", socket.display()));
    let toml = Toml::new(&[server])
        .rule(SHARED)
        .listener(&listen, "py3")
        .listener(&unix, "py3");
    let mut gate = Picklegate::with_config(toml);
    let (owed, idle) = (connect(&listen), connect(&listen));
    let unix_idle = UnixStream::connect(&socket).unwrap();
    (&owed).write_all(b"get k\r\n").unwrap();
    thread::sleep(Duration::from_millis(100));
    let asked = Instant::now();
    gate.terminate();
    assert_eq!(rest(&idle), "");
    assert_eq!((&unix_idle).read_to_end(&mut Vec::new()).unwrap(), 0);
    let refused = TcpStream::connect(&listen).map_err(|error| error.kind());
    assert_eq!(refused.unwrap_err(), ErrorKind::ConnectionRefused);
    assert!(asked.elapsed() < Duration::from_millis(650));
    assert_eq!(rest(&owed).as_bytes(), value("k", b"late"));
    assert_eq!(gate.exit_code(), Some(0));
    assert!(asked.elapsed() < Duration::from_secs(5));
    assert!(!socket.exists());
}

#[test]
fn sigterm_without_clients_ends_at_once() {
    let memcached = Memcached::start();
    let mut proxy = Proxy::of(&memcached, "mode = \"shared\"\n[server]\nworkers = 2\n");
    let asked = Instant::now();
    proxy.gate.terminate();
    assert_eq!(proxy.gate.exit_code(), Some(0));
    assert!(asked.elapsed() < Duration::from_secs(1));
}

#[test]
fn sigterm_gives_up_after_the_drain_timeout() {
    let limits = "mode = \"shared\"\n[limits]\ndrain_timeout_ms = 300\nrequest_timeout_ms = 9000\n";
    let mut proxy = Proxy::start(&[silent_upstream()], limits);
    let client = proxy.connect();
    (&client).write_all(b"get k\r\n").unwrap();
    thread::sleep(Duration::from_millis(100));
    let asked = Instant::now();
    proxy.gate.terminate();
    assert_eq!(proxy.gate.exit_code(), Some(0));
    let took = asked.elapsed();
    assert!(took >= Duration::from_millis(300) && took < Duration::from_secs(2));
}
