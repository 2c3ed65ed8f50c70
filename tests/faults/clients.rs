//! Slow and hostile clients: each costs itself its connection at worst, and nobody
//! else anything but time on the CPU. What that is, `measure` says.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use picklegate::engine::MAX_IN_FLIGHT;

use crate::scene::Scene;
use crate::support::admin::await_that;
use crate::support::load::Load;
use crate::support::process::may_open;
use crate::support::{Memcached, ask, connect, roundtrip};

/// Clients that are many.
const MANY: usize = 10_000;
/// Memory that an idle client may take.
const IDLE_BYTES: u64 = 4 << 10;

fn set(key: &str, bytes: usize) -> Vec<u8> {
    let value = vec![b'v'; bytes];
    [
        format!("set {key} 0 0 {bytes}\r\n").as_bytes(),
        &value,
        b"\r\n",
    ]
    .concat()
}

fn hit(key: &str, bytes: usize) -> Vec<u8> {
    let value = vec![b'v'; bytes];
    [
        format!("VALUE {key} 0 {bytes}\r\n").as_bytes(),
        &value,
        b"\r\nEND\r\n",
    ]
    .concat()
}

/// Reads until the other end closes; whether that was a reset, as it is for whom
/// something was on its way.
fn drain(mut stream: &TcpStream) -> bool {
    let mut buffer = vec![0; 64 << 10];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return false,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return true,
            Err(error) => panic!("not closed: {error}"),
        }
    }
}

/// Does something beside a load, which notices nothing of it.
fn beside_a_load<T>(scene: &Scene, act: impl FnOnce() -> T) -> T {
    beside(scene, scene.load(), act)
}

fn beside<T>(scene: &Scene, load: Load, act: impl FnOnce() -> T) -> T {
    let done = act();
    // Load before and after what may be short.
    thread::sleep(Duration::from_millis(300));
    let report = load.stop();
    assert!(report.answered > 100, "{report:#?}");
    assert_eq!(report.failures(), 0, "{report:#?}");
    assert_eq!(
        report.wrong,
        Vec::<String>::new(),
        "{}",
        scene.gate.stderr()
    );
    done
}

// Who does not read --------------------------------------------------------------

#[test]
fn who_never_reads_is_bounded_and_in_the_end_closed() {
    let memcached = Memcached::start();
    let scene = Scene::with(
        &memcached.addr(),
        "[limits]\nsend_timeout_ms = 1000\nrequest_timeout_ms = 8000",
    );
    let (deaf, slow) = (connect(&scene.listens[0]), connect(&scene.listens[1]));
    for (client, key) in [(&deaf, "deaf"), (&slow, "slow")] {
        assert_eq!(ask(client, &set(key, 50_000)), b"STORED\r\n");
    }
    let base = scene.resident();
    beside_a_load(&scene, || {
        (&deaf).write_all(&b"get deaf\r\n".repeat(1_000)).unwrap();
        (&slow).write_all(&b"get slow\r\n".repeat(1_000)).unwrap();
        // Who takes some of it now and then is only slow.
        let reads = thread::spawn(move || {
            let mut left = 1_000 * hit("slow", 50_000).len();
            let mut buffer = vec![0; 1 << 20];
            let mut most = 20;
            while left > 0 {
                let bytes = (&slow).read(&mut buffer).expect("it is not closed");
                assert!(bytes > 0, "closed with {left} bytes owed");
                left -= bytes;
                if most > 0 {
                    most -= 1;
                    thread::sleep(Duration::from_millis(200));
                }
            }
        });
        let mut peak = 0;
        let asked = Instant::now();
        let closed = "closed_connections_total";
        await_that("the deaf one to be closed", || {
            peak = peak.max(scene.resident());
            scene.count(closed, &["reason=\"send_timeout\""]) == 1
        });
        assert!(asked.elapsed() >= Duration::from_secs(1));
        let grown = peak.saturating_sub(base) >> 10;
        println!("at most {grown} KiB for two that do not read");
        // What each has under way, and a load.
        let most = 2 * MAX_IN_FLIGHT * 50 + (16 << 10);
        assert!(grown < most as u64, "{grown} KiB");
        drain(&deaf);
        reads.join().expect("it gets everything");
        assert_eq!(scene.count(closed, &[]), 1);
    });
    let told = scene.gate.stderr();
    let line = "client closed for its send_timeout";
    assert_eq!(told.matches(line).count(), 1, "{told}");
}

#[test]
fn who_asks_for_more_than_it_takes_is_asked_for_little_of_it() {
    let memcached = Memcached::start();
    let scene = Scene::patient(&memcached.addr());
    let client = connect(&scene.listens[0]);
    assert_eq!(ask(&client, &set("k", 1_000_000)), b"STORED\r\n");
    let base = scene.resident();
    // Large values wait for each other.
    let small = Load::start(&scene.listens, &scene.server, 3, 0);
    beside(&scene, small, || {
        let request = format!("get{}\r\n", " k".repeat(300));
        (&client).write_all(request.as_bytes()).unwrap();
        let mut peak = 0;
        for _ in 0..50 {
            peak = peak.max(scene.resident());
            thread::sleep(Duration::from_millis(10));
        }
        // 32 values at first, and a copy while that buffer grows.
        let grown = peak.saturating_sub(base) >> 20;
        println!("at most {grown} MiB for what may wait");
        assert!(grown < 72, "{grown} MiB");
        // It gets all of it all the same.
        let reply = roundtrip(&client, b"", b"END\r\n");
        assert_eq!(reply.len(), 300 * (hit("k", 1_000_000).len() - 5) + 5);
    });
    await_that("what it took to be free", || {
        scene.resident() < base + (24 << 20)
    });
}

// Who is slow, or says nothing -----------------------------------------------------

#[test]
fn a_byte_at_a_time_is_served() {
    let memcached = Memcached::start();
    let scene = Scene::patient(&memcached.addr());
    beside_a_load(&scene, || {
        let client = connect(&scene.listens[0]);
        for byte in b"set k 0 0 5\r\nhello\r\nget k\r\n" {
            (&client).write_all(&[*byte]).unwrap();
            thread::sleep(Duration::from_millis(50));
        }
        let replies = roundtrip(&client, b"", b"END\r\n");
        assert_eq!(replies, b"STORED\r\nVALUE k 0 5\r\nhello\r\nEND\r\n");
    });
}

#[test]
fn ten_thousand_that_say_nothing_take_little() {
    if !may_open(MANY as u64 + 500) {
        eprintln!("tests/faults: skipped: {MANY} connections (too few open files allowed)");
        return;
    }
    let memcached = Memcached::start();
    let scene = Scene::with(
        &memcached.addr(),
        "[limits]\nmax_connections = 11000\nrequest_timeout_ms = 8000",
    );
    let warm = connect(&scene.listens[0]);
    assert_eq!(ask(&warm, b"get k\r\n"), b"END\r\n");
    let base = scene.resident();
    let each = |what: &str| {
        let bytes = scene.resident().saturating_sub(base) / MANY as u64;
        println!("{bytes} bytes for each client that {what}");
        bytes
    };
    let clients: Vec<TcpStream> = (0..MANY)
        .map(|number| connect(&scene.listens[number % 2]))
        .collect();
    scene.await_count("connections", &[], MANY as u64 + 1);
    assert!(each("never said anything") <= IDLE_BYTES);
    for client in &clients {
        assert_eq!(roundtrip(client, b"get k\r\n", b"END\r\n"), b"END\r\n");
    }
    assert!(each("did one read") <= IDLE_BYTES);
    beside_a_load(&scene, || {});
    for mut client in &clients {
        client.write_all(b"get k").unwrap();
    }
    thread::sleep(Duration::from_millis(300));
    // A buffer, not for nothing.
    assert!(each("sent half a request") <= 2 * IDLE_BYTES);
    for client in &clients {
        assert_eq!(roundtrip(client, b"\r\n", b"END\r\n"), b"END\r\n");
    }
    drop(clients);
    scene.await_count("connections", &[], 1);
}

#[test]
fn thousands_come_and_go() {
    const AT_ONCE: usize = 2_000;
    if !may_open(AT_ONCE as u64 + 500) {
        eprintln!("tests/faults: skipped: {AT_ONCE} connections (too few open files allowed)");
        return;
    }
    let memcached = Memcached::start();
    let scene = Scene::patient(&memcached.addr());
    let round = |round: usize| {
        let clients: Vec<TcpStream> = (0..AT_ONCE)
            .map(|number| connect(&scene.listens[number % 2]))
            .collect();
        for (number, client) in clients.iter().enumerate() {
            let request =
                format!("set k:{round}:{number} 0 0 1\r\nx\r\nget k:{round}:{number}\r\n");
            let reply = format!("STORED\r\nVALUE k:{round}:{number} 0 1\r\nx\r\nEND\r\n");
            let received = roundtrip(client, request.as_bytes(), b"END\r\n");
            assert_eq!(received, reply.as_bytes());
            match number % 3 {
                // In the middle of something, which resets.
                0 => (&*client)
                    .write_all(b"get a b c\r\nset k 0 0 100\r\nx")
                    .unwrap(),
                1 => client.shutdown(Shutdown::Write).unwrap(),
                _ => {}
            }
        }
        drop(clients);
        scene.await_count("connections", &[], 0);
        scene.resident() >> 10
    };
    // As many descriptors as before, but for those of the page that tells.
    let before = scene.descriptors();
    let samples: Vec<u64> = (0..6).map(round).collect();
    println!("KiB after each {AT_ONCE}: {samples:?}");
    assert!(scene.descriptors() <= before + 2);
    let grown = samples[5].saturating_sub(samples[2]);
    assert!(grown <= 1 << 10, "{samples:?}");
}

// Who wants it all -------------------------------------------------------------------

#[test]
fn endless_pipelines_and_large_values_stop_nobody() {
    let memcached = Memcached::start_with(&["-I", "2m"]);
    let scene = Scene::patient(&memcached.addr());
    let ends = Instant::now() + Duration::from_secs(2);
    beside_a_load(&scene, || {
        thread::scope(|scope| {
            scope.spawn(|| {
                let client = connect(&scene.listens[0]);
                assert_eq!(ask(&client, &set("k", 10)), b"STORED\r\n");
                let (request, reply) = (b"get k\r\n".repeat(5_000), hit("k", 10).repeat(5_000));
                while Instant::now() < ends {
                    assert!(ask(&client, &request) == reply);
                }
            });
            scope.spawn(|| {
                let client = connect(&scene.listens[1]);
                while Instant::now() < ends {
                    assert_eq!(ask(&client, &set("large", 1 << 20)), b"STORED\r\n");
                    assert!(ask(&client, b"get large\r\n") == hit("large", 1 << 20));
                }
            });
        });
    });
}
