//! Servers that are dead, silent, slow or impatient, and readiness meanwhile.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::{
    HASTY, Proxy, SHARED, await_that, false_upstream, metrics, say, set, silent_upstream, total,
    value,
};
use crate::support::admin;
use crate::support::{Memcached, ask_text, free_port};

#[test]
fn ready_once_memcached_is_live_always() {
    let port = free_port();
    let server = format!("127.0.0.1:{port}");
    let proxy = Proxy::start(std::slice::from_ref(&server), SHARED);
    let (status, why) = admin::page(&proxy.admin, "/ready");
    assert_eq!(status, 503);
    assert!(
        why.starts_with(&format!("{server}: Connection refused")),
        "{why}"
    );
    assert_eq!(
        admin::page(&proxy.admin, "/live"),
        (200, "live\n".to_owned())
    );
    let _memcached = Memcached::on(port);
    let (status, what) = admin::page(&proxy.admin, "/ready");
    assert_eq!(status, 200, "{what}");
    assert!(what.starts_with(&format!("{server}: 1.")), "{what}");
}

// Upstreams that fail ----------------------------------------------------------

const ONE_EACH: [&str; 7] = [
    "get k\r\n",
    "set k 0 0 1\r\n1\r\n",
    "mg k v\r\n",
    "ms k 1\r\n1\r\n",
    "delete k\r\n",
    "version\r\n",
    "get a b c\r\n",
];

#[test]
fn a_dead_upstream_is_told_at_once_and_back_within_two_seconds() {
    let port = free_port();
    let server = format!("127.0.0.1:{port}");
    let rule = "mode = \"shared\"\non_upstream_failure = \"error\"";
    let proxy = Proxy::start(std::slice::from_ref(&server), rule);
    let client = proxy.connect();
    for request in ONE_EACH {
        let asked = Instant::now();
        let reply = ask_text(&client, request);
        let expected = format!("SERVER_ERROR picklegate: upstream {server} is down: ");
        assert!(
            reply.starts_with(&expected) && reply.lines().count() == 1,
            "{request}: {reply}"
        );
        assert!(asked.elapsed() < Duration::from_secs(1), "{request}");
    }
    assert_eq!(ask_text(&client, "set k 0 0 1 noreply\r\n1\r\n"), "");
    let _memcached = Memcached::on(port);
    await_that("the upstream to be back", || {
        ask_text(&client, "set k 0 0 1\r\n1\r\n") == "STORED\r\n"
    });
    for request in ONE_EACH {
        let reply = ask_text(&client, request);
        assert!(!reply.contains("ERROR"), "{request}: {reply}");
    }
}

#[test]
fn an_upstream_killed_while_idle_is_found_again_without_traffic() {
    let memcached = Memcached::start();
    let port = memcached.port;
    let proxy = Proxy::of(&memcached, SHARED);
    let client = proxy.connect();
    say(&client, b"get k\r\n", "END\r\n");
    drop(memcached);
    proxy.await_metric("picklegate_upstream_connections", 0);
    let _memcached = Memcached::on(port);
    proxy.await_metric("picklegate_upstream_connections", 2);
    say(&client, b"get k\r\n", "END\r\n");
    assert_eq!(
        total(&metrics(&proxy.admin), "picklegate_upstream_errors_total"),
        0
    );
}

/// An upstream that closes what is idle, as load balancers do.
fn impatient_upstream(patience: Duration) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
    let addr = listener.local_addr().expect("it is bound").to_string();
    // Ends with the test process.
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a client");
            stream
                .set_read_timeout(Some(patience))
                .expect("a TCP socket");
            thread::spawn(move || {
                while stream.read(&mut [0; 64]).is_ok_and(|bytes| bytes > 0) {
                    stream.write_all(b"END\r\n").expect("the proxy reads");
                }
            });
        }
    });
    addr
}

#[test]
fn connections_closed_for_idling_again_and_again_are_replaced_at_once() {
    let server = impatient_upstream(Duration::from_millis(1200));
    let proxy = Proxy::start(&[server], SHARED);
    let client = proxy.connect();
    let lost = || {
        total(
            &metrics(&proxy.admin),
            "picklegate_upstream_reconnects_total",
        )
    };
    let deadline = Instant::now() + Duration::from_secs(5);
    // Each of two lanes, twice.
    while lost() < 4 && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(2));
    }
    say(&client, b"get k\r\n", "END\r\n");
}

#[test]
fn a_read_on_a_dying_connection_is_tried_again_a_write_never() {
    for (request, reply) in [
        ("get k", "END\r\n"),
        ("gets k", "END\r\n"),
        ("mg k v", "EN\r\n"),
        ("touch k 0", ""),
        ("mg k N0", ""),
        ("gat 0 k", ""),
        ("delete k", ""),
    ] {
        let seen = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&seen);
        let server = false_upstream(move |line| {
            if line == "version" {
                return Some(b"VERSION 1.6.18\r\n".to_vec());
            }
            let first = counted.fetch_add(1, Ordering::SeqCst) == 0;
            (!first).then(|| reply.as_bytes().to_vec())
        });
        let proxy = Proxy::start(std::slice::from_ref(&server), SHARED);
        let received = ask_text(&proxy.connect(), &format!("{request}\r\n"));
        if reply.is_empty() {
            let error = format!("SERVER_ERROR picklegate: upstream {server} closed the connection");
            assert_eq!(received, format!("{error}\r\n"), "{request}");
            assert_eq!(seen.load(Ordering::SeqCst), 1, "{request}");
        } else {
            assert_eq!(received, reply, "{request}");
            assert_eq!(seen.load(Ordering::SeqCst), 2, "{request}");
        }
    }
}

/// An older server would take the value for commands. Before the first connection nobody
/// knows what the server is, and after a loss it may be another.
#[test]
fn an_older_server_is_sent_no_value_by_ms_whatever_was_there_before() {
    for first in ["1.5.22", "1.6.18"] {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&seen);
        let server = false_upstream(move |line| {
            let mut seen = told.lock().expect("nobody panics");
            let lost = seen.contains(&"touch lose 0".to_owned());
            if line == "version" {
                drop(seen);
                // What is asked meanwhile waits.
                thread::sleep(Duration::from_millis(300));
                let version = if lost { "1.5.22" } else { first };
                return Some(format!("VERSION {version}\r\n").into_bytes());
            }
            seen.push(line.to_owned());
            (line != "touch lose 0").then(|| b"NOT_FOUND\r\n".to_vec())
        });
        let proxy = Proxy::start(&[server], SHARED);
        let client = proxy.connect();
        if first != "1.5.22" {
            let lost = ask_text(&client, "touch lose 0\r\n");
            assert!(lost.ends_with(" closed the connection\r\n"), "{lost}");
        }
        let refused = ask_text(&client, "ms k 13\r\ndelete victim\r\n");
        assert!(
            refused == "ERROR\r\n" || refused.ends_with(" knows no meta commands\r\n"),
            "{first}: {refused}"
        );
        say(&client, b"touch k 0\r\n", "NOT_FOUND\r\n");
        let seen = seen.lock().expect("nobody panics");
        let wanted = if first == "1.5.22" { 1 } else { 2 };
        assert_eq!(seen.len(), wanted, "{first}: {seen:?}");
        assert!(
            seen.iter().all(|line| line.starts_with("touch ")),
            "{seen:?}"
        );
    }
}

#[test]
fn a_silent_upstream_times_out_and_the_other_server_is_unaffected() {
    let memcached = Memcached::start();
    let silent = silent_upstream();
    let proxy = Proxy::start(&[memcached.addr(), silent.clone()], HASTY);
    let client = proxy.connect();
    let timed_out =
        format!("SERVER_ERROR picklegate: upstream {silent} timed out after 300 ms\r\n");
    let is_served = |key: &str| match &*ask_text(&client, &format!("get {key}\r\n")) {
        "END\r\n" => true,
        reply => {
            assert_eq!(reply, timed_out);
            false
        }
    };
    let (mut good, mut bad) = (None, None);
    for key in (0..64).map(|key| format!("k{key}")) {
        let side = if is_served(&key) { &mut good } else { &mut bad };
        side.get_or_insert(key);
        if good.is_some() && bad.is_some() {
            break;
        }
    }
    let (good, bad) = (good.unwrap(), bad.unwrap());
    say(&client, &set(&good, b"1"), "STORED\r\n");
    let both = ask_text(&client, &format!("get {bad} {good}\r\n"));
    let served = format!("VALUE {good} 0 1\r\n1\r\n{timed_out}");
    assert_eq!(both, served);

    let (waiting, other) = (proxy.connect(), proxy.connect());
    proxy.await_metric("picklegate_upstream_connections", 2);
    (&waiting)
        .write_all(format!("get {bad}\r\n").as_bytes())
        .unwrap();
    let asked = Instant::now();
    let hit = String::from_utf8(value(&good, b"1")).unwrap();
    for _ in 0..10 {
        say(&other, format!("get {good}\r\n").as_bytes(), &hit);
    }
    assert!(asked.elapsed() < Duration::from_millis(250));
    say(&waiting, b"", &timed_out);
    assert!(asked.elapsed() < Duration::from_secs(2));
}
