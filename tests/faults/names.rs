//! Names whose addresses change. They are looked up by the system, in a file that
//! is private to the picklegate under test.

use std::fs;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::scene::{Scene, failed_for};
use crate::support::{Memcached, ask_text, connect};

/// Runs something with a file of its own in the place of `/etc/hosts`.
const WITH_HOSTS: &str = "mount --make-rprivate / && mount --bind \"$0\" /etc/hosts && exec \"$@\"";

/// Command prefix to run as root, or as root of a new namespace; `None` where neither is
/// allowed.
fn may_mount(hosts: &str) -> Option<Vec<&str>> {
    let ways = [&["unshare", "-m"][..], &["unshare", "-r", "-m"]];
    ways.into_iter()
        .map(|way| [way, &["sh", "-c", WITH_HOSTS, hosts]].concat())
        .find(|way| {
            let tried = Command::new(way[0]).args(&way[1..]).arg("true").output();
            tried.is_ok_and(|tried| tried.status.success())
        })
}

#[test]
fn a_name_that_moves_to_another_server() {
    let dir = TempDir::new().unwrap();
    let hosts = dir.path().join("hosts");
    let point = |address: &str| {
        // In place: it is this file that was mounted.
        fs::write(
            &hosts,
            format!("127.0.0.1 localhost\n{address} cache.test\n"),
        )
        .unwrap();
    };
    point("127.0.0.1");
    let path = hosts.to_str().unwrap();
    let Some(wrapper) = may_mount(path) else {
        eprintln!("tests/faults: skipped: names that change (no mount namespaces here)");
        return;
    };
    let old = Memcached::start();
    let new = Memcached::on_host("127.0.0.2", old.port);
    let server = format!("cache.test:{}", old.port);
    let scene = Scene::under(&wrapper, &server, "[limits]\nrequest_timeout_ms = 400");
    let load = scene.load();
    load.forgive_misses();
    thread::sleep(Duration::from_millis(300));
    // While its server answers, a connection stays.
    point("127.0.0.2");
    thread::sleep(Duration::from_millis(300));
    assert_eq!(load.report().failures(), 0);
    drop(old);
    let report = scene.recovers(load, Instant::now());
    failed_for(
        &report,
        &["closed the connection", "is lost: ", "is down: "],
    );
    let stats = ask_text(&connect(&format!("127.0.0.2:{}", new.port)), "stats\r\n");
    assert!(!stats.contains("STAT cmd_set 0\r\n"), "{stats}");

    // A name that is no more is an error that says so, until it is there again.
    point("127.0.0.3");
    fs::write(&hosts, "127.0.0.1 localhost\n").unwrap();
    let port = new.port;
    let load = scene.load();
    load.forgive_misses();
    thread::sleep(Duration::from_millis(200));
    drop(new);
    thread::sleep(Duration::from_millis(800));
    point("127.0.0.1");
    let _new = Memcached::on(port);
    let report = scene.recovers(load, Instant::now());
    failed_for(
        &report,
        &["closed the connection", "is lost: ", "is down: "],
    );
}
