//! Upstreams that are busy or pause, and clients that ask for far more than they take:
//! nobody else waits for it, and what is held is bounded.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::scene::Scene;
use crate::support::admin::await_that;
use crate::support::process;
use crate::support::toml::Toml;
use crate::support::{Memcached, Picklegate, ask, ask_text, connect, free_addr};

/// Resident memory that a process with one worker may have under the attacks here.
const MAX_RESIDENT: u64 = 120 << 20;
/// The longest line of a retrieval.
const LINE_BYTES: usize = 1 << 20;
/// Duration of each attack.
const LASTS: Duration = Duration::from_millis(1_500);
/// A client that hears nothing for so long gives up.
const PATIENCE: Duration = Duration::from_secs(3);

/// One worker, all settings at their defaults.
fn gate(servers: &[String]) -> (Picklegate, String, String) {
    let (listen, admin) = (free_addr(), free_addr());
    let toml = Toml::new(servers)
        .rule("mode = \"isolate\"")
        .listener(&listen, "python/3.11")
        .admin(&admin);
    let gate = Picklegate::with_config(toml);
    (gate, listen, admin)
}

fn set(key: &str, bytes: usize) -> String {
    format!("set {key} 0 0 {bytes}\r\n{}\r\n", "x".repeat(bytes))
}

/// Clients that ask for a key over and over, in lines as long as lines may be, and take
/// what comes, or nothing.
struct Attack {
    ends: Arc<AtomicBool>,
    threads: Vec<thread::JoinHandle<usize>>,
}

impl Attack {
    fn start(listen: &str, clients: usize, requests: usize, reads: bool) -> Self {
        let ends = Arc::new(AtomicBool::new(false));
        let request = format!("get{}\r\n", " k".repeat((LINE_BYTES - 16) / 2));
        let threads = (0..clients).map(|_| {
            let (stream, ends) = (connect(listen), Arc::clone(&ends));
            let all = request.repeat(requests);
            stream
                .set_read_timeout(Some(Duration::from_millis(50)))
                .expect("a TCP socket");
            stream
                .set_write_timeout(Some(Duration::from_millis(50)))
                .expect("a TCP socket");
            thread::spawn(move || attack(&stream, all.as_bytes(), reads, &ends))
        });
        Self {
            threads: threads.collect(),
            ends,
        }
    }

    /// Bytes that it was given.
    fn stop(self) -> usize {
        self.ends.store(true, Ordering::Relaxed);
        let taken = self.threads.into_iter().map(thread::JoinHandle::join);
        taken.map(|bytes| bytes.expect("it does not panic")).sum()
    }
}

fn attack(mut stream: &TcpStream, mut all: &[u8], reads: bool, ends: &AtomicBool) -> usize {
    let (mut taken, mut buffer) = (0, vec![0; 256 << 10]);
    stream.set_nonblocking(true).expect("a TCP socket");
    while !ends.load(Ordering::Relaxed) {
        let before = (all.len(), taken);
        // It may be closed for what it does.
        if let Ok(bytes) = stream.write(all) {
            all = &all[bytes..];
        }
        if reads && let Ok(bytes) = stream.read(&mut buffer) {
            taken += bytes;
        }
        if before == (all.len(), taken) {
            thread::sleep(Duration::from_millis(1));
        }
    }
    taken
}

#[test]
fn who_asks_for_far_too_much_keeps_nobody_waiting_and_has_little_held() {
    let memcached = Memcached::start();
    for bytes in [1, 1_000_000] {
        for (clients, requests) in [(1, 30), (8, 3)] {
            for reads in [true, false] {
                let (gate, listen, _) = gate(&[memcached.addr()]);
                let other = connect(&listen);
                other
                    .set_read_timeout(Some(PATIENCE))
                    .expect("a TCP socket");
                assert_eq!(ask(&other, set("k", bytes).as_bytes()), b"STORED\r\n");
                let attack = Attack::start(&listen, clients, requests, reads);
                let start = Instant::now();
                let (mut slowest, mut peak, mut stored) = (Duration::ZERO, 0, 0);
                while start.elapsed() < LASTS {
                    let asked = Instant::now();
                    let reply = ask_text(&other, &set(&format!("o{stored}"), 10));
                    slowest = slowest.max(asked.elapsed());
                    assert_eq!(reply, "STORED\r\n", "{}", gate.stderr());
                    stored += 1;
                    peak = peak.max(process::resident(gate.id()));
                }
                let taken = attack.stop();
                println!(
                    "{clients} clients, {requests} lines each, values of {bytes} bytes, read: {reads}: \
                     {} MiB resident, {taken} bytes taken, {stored} stores of another, slowest {:.0} ms",
                    peak >> 20,
                    process::ms(slowest)
                );
                assert!(peak < MAX_RESIDENT, "{} MiB", peak >> 20);
                assert!(!gate.stderr().contains("timed out"), "{}", gate.stderr());
                assert!(!reads || taken > 100_000, "{taken}");
            }
        }
    }
}

/// Replies that no client takes are bounded for all clients of a worker together.
#[test]
fn many_who_take_nothing_are_bounded_together() {
    const CLIENTS: usize = 24;
    let memcached = Memcached::start();
    let (gate, listen, admin) = gate(&[memcached.addr()]);
    let first = connect(&listen);
    assert_eq!(ask(&first, set("k", 1_000_000).as_bytes()), b"STORED\r\n");
    let ask_for = |clients: &[TcpStream]| {
        for mut client in clients {
            let request = format!("get{}\r\n", " k".repeat(100));
            client.write_all(request.as_bytes()).expect("it is read");
        }
    };
    let clients: Vec<TcpStream> = (0..CLIENTS).map(|_| connect(&listen)).collect();
    ask_for(&clients);
    let closed = || {
        let reason = ["reason=\"backlog\""];
        crate::support::admin::metric(&admin, "picklegate_closed_connections_total", &reason)
    };
    let mut peak = 0;
    await_that("those in everybody's way to be closed", || {
        peak = peak.max(process::resident(gate.id()));
        closed() >= 4
    });
    let start = Instant::now();
    while start.elapsed() < LASTS {
        assert_eq!(ask_text(&connect(&listen), &set("o", 10)), "STORED\r\n");
        peak = peak.max(process::resident(gate.id()));
    }
    println!(
        "{} MiB resident for {CLIENTS} that take nothing, {} closed",
        peak >> 20,
        closed()
    );
    assert!(peak < MAX_RESIDENT, "{} MiB", peak >> 20);
}

/// Bodies that never end are held no longer than there is room for them.
#[test]
fn half_requests_are_bounded_together() {
    const CLIENTS: usize = 100;
    let memcached = Memcached::start();
    let (gate, listen, _) = gate(&[memcached.addr()]);
    let half = &set("k", 1_000_000)[..900_000];
    let clients: Vec<TcpStream> = (0..CLIENTS).map(|_| connect(&listen)).collect();
    let mut peak = 0;
    for client in &clients {
        client.set_nonblocking(true).expect("a TCP socket");
        let mut left = half.as_bytes();
        let start = Instant::now();
        // It may be closed meanwhile.
        while !left.is_empty() && start.elapsed() < Duration::from_millis(500) {
            match (&*client).write(left) {
                Ok(bytes) => left = &left[bytes..],
                Err(_) => thread::sleep(Duration::from_micros(200)),
            }
        }
        peak = peak.max(process::resident(gate.id()));
    }
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(3) {
        peak = peak.max(process::resident(gate.id()));
        assert_eq!(ask_text(&connect(&listen), &set("o", 10)), "STORED\r\n");
    }
    let after = process::resident(gate.id());
    println!("{} MiB at most, {} MiB in the end", peak >> 20, after >> 20);
    assert!(after < MAX_RESIDENT, "{} MiB", after >> 20);
}

// Pauses -----------------------------------------------------------------------------

#[test]
fn a_pause_of_two_seconds_costs_two_seconds_and_a_longer_one_is_answered_within_three() {
    let memcached = Memcached::start();
    let (gate, listen, _) = gate(&[memcached.addr()]);
    let [reader, writer] = [(); 2].map(|()| connect(&listen));
    assert_eq!(ask_text(&writer, &set("k", 1)), "STORED\r\n");
    let value = "VALUE k 0 1\r\nx\r\nEND\r\n";
    let asked = |pause: Duration| {
        memcached.freeze();
        let start = Instant::now();
        for (mut client, request) in [(&reader, "get k\r\n"), (&writer, "set w 0 0 1\r\nx\r\n")] {
            client.write_all(request.as_bytes()).expect("it is read");
        }
        let mut replies = Vec::new();
        if !pause.is_zero() {
            thread::sleep(pause);
            memcached.thaw();
        }
        for client in [&reader, &writer] {
            replies.push(ask_text(client, ""));
            assert!(start.elapsed() < PATIENCE, "{replies:?}\n{}", gate.stderr());
        }
        replies
    };
    assert_eq!(asked(Duration::from_secs(2)), [value, "STORED\r\n"]);
    let replies = asked(Duration::ZERO);
    memcached.thaw();
    assert_eq!(replies[0], "END\r\n");
    assert!(
        replies[1].starts_with("SERVER_ERROR picklegate: upstream "),
        "{replies:?}"
    );
    await_that("it to be back", || ask_text(&reader, "get k\r\n") == value);
}

#[test]
fn a_process_that_was_stopped_fails_nothing_that_was_answered_meanwhile() {
    let memcached = Memcached::start();
    let scene = Scene::before(&memcached.addr());
    let clients = [(); 2].map(|()| connect(&scene.listens[1]));
    assert_eq!(ask_text(&clients[0], &set("k", 1)), "STORED\r\n");
    memcached.freeze();
    for (mut client, request) in clients.iter().zip(["get k\r\n", "set w 0 0 1\r\nx\r\n"]) {
        client.write_all(request.as_bytes()).expect("it is read");
    }
    // A store, and the deletes behind it.
    await_that("both to be under way", || {
        scene.count("upstream_in_flight", &[]) == 4
    });
    scene.gate.stop();
    memcached.thaw();
    thread::sleep(Duration::from_secs(1));
    scene.gate.go_on();
    assert_eq!(ask_text(&clients[0], ""), "VALUE k 0 1\r\nx\r\nEND\r\n");
    assert_eq!(ask_text(&clients[1], ""), "STORED\r\n");
    assert_eq!(scene.count("upstream_failures_total", &[]), 0);
}
