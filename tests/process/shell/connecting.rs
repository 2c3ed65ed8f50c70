//! Handshakes of many at once.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use tempfile::TempDir;

use super::{Gate, await_listener, certificate};
use crate::support::admin;
use crate::support::toml::Toml;
use crate::support::{FENCE, FENCE_REPLY, Memcached, connect, free_addr, roundtrip};

/// Enough for more than a second of signing.
const BURST: usize = 300;

/// The first bytes of a client that speaks TLS.
fn client_hello() -> Vec<u8> {
    let provider = Arc::new(ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has both")
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let name = ServerName::try_from("127.0.0.1").expect("an address");
    let mut session = ClientConnection::new(Arc::new(config), name).expect("a session");
    let mut hello = Vec::new();
    session.write_tls(&mut hello).expect("a buffer");
    hello
}

/// Processor time of a thread, in ticks, and its name.
fn ticks(thread: &Path) -> Option<(String, u64)> {
    let stat = fs::read_to_string(thread.join("stat")).ok()?;
    let (name, rest) = stat.split_once('(')?.1.split_once(')')?;
    let used = rest.split_whitespace().skip(11).take(2);
    let used = used.filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    Some((name.to_owned(), used))
}

#[test]
fn a_burst_of_handshakes_holds_up_nobody_else() {
    let memcached = Memcached::start();
    let (plain, secured, admin) = (free_addr(), free_addr(), free_addr());
    let dir = TempDir::new().unwrap();
    let toml = Toml::new(&[memcached.addr()])
        .rule("mode = \"shared\"")
        .listener(&plain, "py3")
        .admin(&admin)
        .listener(&secured, "py3")
        .table("listeners.tls", &certificate(dir.path()));
    let mut gate = Gate::serve(toml, Stdio::null());
    await_listener(&admin);
    let threads = format!("/proc/{}/task", gate.child.id());
    let used = |name: &str| -> u64 {
        let threads = fs::read_dir(&threads).expect("it runs");
        let threads = threads.filter_map(|thread| ticks(&thread.ok()?.path()));
        let named = threads.filter(|(of, _)| of == name);
        named.map(|(_, ticks)| ticks).sum()
    };
    let hello = client_hello();
    let clients: Vec<_> = (0..BURST).map(|_| connect(&secured)).collect();
    let before = used("picklegate");
    for mut client in &clients {
        client.write_all(&hello).unwrap();
    }
    // While they are shaken, all else goes on.
    for _ in 0..5 {
        assert_eq!(admin::page(&admin, "/live").0, 200);
        roundtrip(&connect(&plain), FENCE, FENCE_REPLY);
    }
    let early = used("handshakes");
    admin::await_that("the work to be done", || {
        let now = used("handshakes");
        thread::sleep(Duration::from_millis(300));
        now > 10 && used("handshakes") == now
    });
    let (late, main) = (used("handshakes"), used("picklegate") - before);
    assert!(early < late, "all others waited for {late} ticks");
    assert!(
        main < late / 2,
        "{main} ticks of the main thread, {late} of the other"
    );
    // Another burst is not waited for by the end.
    let clients: Vec<_> = (0..BURST).map(|_| connect(&secured)).collect();
    for mut client in &clients {
        client.write_all(&hello).unwrap();
    }
    gate.signal("-TERM");
    let (code, took) = gate.ended();
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_millis(2500), "{took:?}");
}
