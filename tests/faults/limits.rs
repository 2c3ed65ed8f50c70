//! Limits. At each, the client gets an error, a metric counts it, and everybody else goes
//! on.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketType, bind, listen, socket};

use crate::proxy::{Fault, FaultProxy};
use crate::scene::Scene;
use crate::support::admin::await_that;
use crate::support::process::{descriptors, may_open};
use crate::support::toml::Toml;
use crate::support::{
    FENCE, FENCE_REPLY, Memcached, Picklegate, ask_text, connect, free_addr, roundtrip,
};

const TOO_MANY: &str = "ERROR Too many open connections\r\n";

/// Everything until the peer closes.
fn rest(mut stream: &TcpStream) -> String {
    let mut received = Vec::new();
    // Whoever said something that was not read is reset after the last line.
    let _ = stream.read_to_end(&mut received);
    String::from_utf8_lossy(&received).into_owned()
}

/// Clients that come one after another and talk at once: those that are served, and
/// how many are refused.
fn come(listen: &str, count: usize) -> (Vec<TcpStream>, usize) {
    let (mut served, mut refused) = (Vec::new(), 0);
    for _ in 0..count {
        let mut client = connect(listen);
        let asked = Instant::now();
        // Whoever is refused may be closed already.
        let _ = client.write_all(FENCE);
        let mut reply = [0; FENCE_REPLY.len()];
        client.read_exact(&mut reply).expect("an answer, whichever");
        assert!(asked.elapsed() < Duration::from_secs(4), "stalled");
        if reply == FENCE_REPLY {
            served.push(client);
        } else {
            let line = String::from_utf8_lossy(&reply).into_owned() + &rest(&client);
            assert_eq!(line, TOO_MANY);
            refused += 1;
        }
    }
    (served, refused)
}

// Connections ------------------------------------------------------------------------

#[test]
fn connections_too_many_are_refused_at_once() {
    let memcached = Memcached::start();
    let scene = Scene::with(&memcached.addr(), "[limits]\nmax_connections = 20");
    let (served, refused) = come(&scene.listens[0], 20);
    assert_eq!((served.len(), refused), (20, 0));
    let asked = Instant::now();
    let (more, refused) = come(&scene.listens[1], 200);
    assert_eq!((more.len(), refused), (0, 200));
    println!("200 refused in {:?}", asked.elapsed());
    assert_eq!(scene.count("refused_connections_total", &[]), 200);
    for client in &served {
        assert_eq!(ask_text(client, "get k\r\n"), "END\r\n");
    }
    drop(served);
    scene.await_count("connections", &[], 0);
    assert_eq!(come(&scene.listens[1], 20).0.len(), 20);
}

#[test]
fn fewer_open_files_than_connections_refuse_as_well() {
    let memcached = Memcached::start();
    let files = &["prlimit", "--nofile=300:300"];
    let scene = Scene::under(files, &memcached.addr(), "[limits]\nmax_connections = 1000");
    let told = scene.gate.stderr();
    let warning = "limits.max_connections is 1000, but 300 open files are allowed: room for ";
    let (_, room) = told.split_once(warning).expect("it says so");
    let room = room.split(' ').next().and_then(|n| n.parse().ok());
    let room: usize = room.expect("a number");
    assert!((100..300).contains(&room), "{told}");
    let (served, refused) = come(&scene.listens[0], 350);
    assert_eq!((served.len(), refused), (room, 350 - room));
    assert!(descriptors(scene.gate.id()) < 300);
    assert_eq!(
        scene.count("refused_connections_total", &[]),
        refused as u64
    );
    for client in &served {
        assert_eq!(ask_text(client, "get k\r\n"), "END\r\n");
    }
    assert!(!scene.gate.stderr().contains("client not accepted"));
}

#[test]
fn a_low_limit_of_open_files_is_raised() {
    if !may_open(2_000) {
        eprintln!("tests/faults: skipped: 600 connections (too few open files allowed)");
        return;
    }
    let memcached = Memcached::start();
    let files = &["prlimit", "--nofile=200:2000"];
    let scene = Scene::under(files, &memcached.addr(), "[limits]\nmax_connections = 600");
    let (served, refused) = come(&scene.listens[0], 601);
    assert_eq!((served.len(), refused), (600, 1));
}

// Values and lines ---------------------------------------------------------------------

#[test]
fn values_too_large_are_refused_and_counted() {
    let memcached = Memcached::start();
    let scene = Scene::with(&memcached.addr(), "[limits]\nmax_value_bytes = \"10KiB\"");
    let client = connect(&scene.listens[0]);
    let too_large = "SERVER_ERROR object too large for cache\r\n";
    let value = "v".repeat(10 << 10);
    for (fits, over) in [
        (
            format!("set k 0 0 10240\r\n{value}\r\n"),
            format!("set k 0 0 10241\r\n{value}v\r\n"),
        ),
        (
            format!("ms k 10240\r\n{value}\r\n"),
            format!("ms k 10241\r\n{value}v\r\n"),
        ),
    ] {
        assert!(["STORED\r\n", "HD\r\n"].contains(&&*ask_text(&client, &fits)));
        assert_eq!(ask_text(&client, &over), too_large);
        // Nobody reads what it was to replace.
        assert_eq!(ask_text(&client, "get k\r\n"), "END\r\n");
    }
    assert_eq!(ask_text(&client, "mn\r\n"), "MN\r\n");
    let counted = |command: &str| {
        let command = format!("command=\"{command}\"");
        scene.count("requests_total", &[&command, "result=\"too_large\""])
    };
    assert_eq!((counted("set"), counted("ms")), (1, 1));
}

#[test]
fn lines_too_long_close_and_are_counted() {
    let memcached = Memcached::start();
    let scene = Scene::before(&memcached.addr());
    for (start, bytes) in [("set ", 17 << 10), ("get ", (1 << 20) + 1)] {
        let client = connect(&scene.listens[0]);
        let line = format!("{start}{}", "k".repeat(bytes));
        // It may be closed before all of it is sent.
        let _ = (&client).write_all(line.as_bytes());
        let told = rest(&client);
        assert!(
            told.is_empty() || told == "CLIENT_ERROR line too long\r\n",
            "{told}"
        );
    }
    let client = connect(&scene.listens[0]);
    assert_eq!(
        roundtrip(&client, b"set k 0 0 -1\r\n", b"\r\n"),
        b"CLIENT_ERROR bad command line format\r\n"
    );
    assert_eq!(rest(&client), "");
    assert_eq!(
        scene.count("closed_connections_total", &["reason=\"bad_request\""]),
        3
    );
}

// Time -----------------------------------------------------------------------------------

#[test]
fn requests_time_out() {
    let memcached = Memcached::start();
    let relay = FaultProxy::start(memcached.addr());
    let scene = Scene::with(&relay.addr, "[limits]\nrequest_timeout_ms = 250");
    let client = connect(&scene.listens[0]);
    relay.set(Fault::Silent);
    let asked = Instant::now();
    let told = ask_text(&client, "get k\r\n");
    let expected = format!(
        "SERVER_ERROR picklegate: upstream {} timed out after 250 ms\r\n",
        relay.addr
    );
    assert_eq!(told, expected);
    let took = asked.elapsed();
    assert!(
        took >= Duration::from_millis(250) && took < Duration::from_secs(2),
        "{took:?}"
    );
    assert_eq!(
        scene.count("upstream_failures_total", &["reason=\"request_timeout\""]),
        1
    );
    assert_eq!(scene.count("upstream_errors_total", &[]), 1);
}

/// A server whose queue of connections is full: more are neither taken nor refused.
fn deaf_server() -> (rustix::fd::OwnedFd, TcpStream, String) {
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
    let any = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    bind(&socket, &any).expect("loopback has free ports");
    listen(&socket, 0).expect("it is bound");
    let addr = rustix::net::getsockname(&socket).expect("it is bound");
    let addr = std::net::SocketAddr::try_from(addr)
        .expect("an IP address")
        .to_string();
    let first = TcpStream::connect(&addr).expect("there is room for one");
    (socket, first, addr)
}

#[test]
fn connecting_times_out() {
    let (_server, _first, addr) = deaf_server();
    let (listen, admin) = (free_addr(), free_addr());
    let toml = Toml::new(&[&addr])
        .rule("mode = \"shared\"")
        .listener(&listen, "py3")
        .admin(&admin)
        .table("limits", "connect_timeout_ms = 120");
    let _gate = Picklegate::with_config(toml);
    let client = connect(&listen);
    let expected =
        format!("SERVER_ERROR picklegate: upstream {addr} is down: no connection after 120 ms\r\n");
    await_that("it to be told", || {
        ask_text(&client, "set k 0 0 1\r\nx\r\n") == expected
    });
    let why = ["reason=\"connect_timeout\""];
    assert!(crate::support::admin::metric(&admin, "picklegate_upstream_failures_total", &why) > 0);
}

/// A request that waited for its client to read times out no later than any other.
#[test]
fn what_goes_on_after_a_pause_times_out() {
    // More than all buffers on the way hold.
    const GETS: usize = 20_000;
    let memcached = Memcached::start();
    let scene = Scene::before(&memcached.addr());
    let client = connect(&scene.listens[0]);
    let value = "v".repeat(1_000);
    let stored = ask_text(&client, &format!("set k 0 0 1000\r\n{value}\r\n"));
    assert_eq!(stored, "STORED\r\n");
    (&client).write_all(&b"get k\r\n".repeat(GETS)).unwrap();
    // All that was asked of the upstream is answered, and nothing else happens.
    thread::sleep(Duration::from_millis(500));
    memcached.freeze();
    let received = roundtrip(&client, FENCE, FENCE_REPLY);
    memcached.thaw();
    let text = String::from_utf8_lossy(&received);
    let (hits, errors) = (
        text.matches("VALUE k ").count(),
        text.matches("SERVER_ERROR ").count(),
    );
    assert_eq!(hits + errors, GETS);
    assert!(hits > 0 && errors > 0, "{hits} hits, {errors} errors");
    let timed_out = text.matches("timed out after 400 ms\r\n").count();
    assert!(timed_out > 0, "{hits} hits, {errors} errors, none for time");
}

// What waits ---------------------------------------------------------------------------------

#[test]
fn what_waits_for_a_server_is_bounded() {
    let memcached = Memcached::start();
    let relay = FaultProxy::start(memcached.addr());
    let scene = Scene::with(&relay.addr, "[limits]\nrequest_timeout_ms = 20000");
    let value = "v".repeat(1 << 20);
    let set = format!("set k 0 0 {}\r\n{value}\r\n", value.len());
    let lost = format!("SERVER_ERROR picklegate: upstream {} ", scene.server);
    let full = format!("{lost}has too much waiting for it\r\n");
    let mut left = Vec::new();
    let base = scene.resident();
    for _ in 0..3 {
        // Both workers have a connection again.
        let clients = [(); 2].map(|()| connect(&scene.listens[0]));
        for client in &clients {
            // That it is too large is memcached's own answer.
            await_that("an answer", || !ask_text(client, &set).starts_with(&lost));
        }
        drop(clients);
        scene.await_count("connections", &[], 0);
        relay.set(Fault::Silent);
        let (count, why) = ("requests_total", ["command=\"set\"", "result=\"error\""]);
        let before = scene.count(count, &why);
        let clients: Vec<TcpStream> = (0..160).map(|_| connect(&scene.listens[0])).collect();
        for mut client in &clients {
            client.write_all(set.as_bytes()).expect("it is read");
        }
        await_that("some to be refused", || {
            scene.count(count, &why) >= before + 20
        });
        thread::sleep(Duration::from_millis(300));
        let held = (scene.resident() - base) >> 20;
        assert!(held < 320, "{held} MiB");
        // All others are told of it.
        relay.set(Fault::Garbage);
        relay.set(Fault::Pass);
        let told = clients
            .iter()
            .map(|client| String::from_utf8_lossy(&roundtrip(client, b"", b"\r\n")).into_owned());
        let (refusals, losses): (Vec<_>, Vec<_>) = told.partition(|told| *told == full);
        assert!(refusals.len() >= 20, "{}", refusals.len());
        // Which of garbage and the end is seen first is chance.
        let is_loss = |told: &String| told.starts_with(&lost);
        assert!(losses.iter().all(is_loss), "{losses:?}");
        drop(clients);
        scene.await_count("connections", &[], 0);
        left.push((scene.resident() - base) >> 20);
        println!("{} of 160 refused, {held} MiB held", refusals.len());
    }
    // What the allocator keeps, it uses again: three times as much would be a leak.
    println!("MiB left: {left:?}");
    assert!(left[2] < 160, "{left:?}");
}
