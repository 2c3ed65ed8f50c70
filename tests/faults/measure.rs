//! Cost of hostile clients to the others: the latency of paced small reads, alone and
//! beside each of them, in turns, through picklegate and on the same memcached without
//! it. Prints a table; fails only at differences that noise does not explain.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, Scope};
use std::time::{Duration, Instant};

use crate::scene::Scene;
use crate::support::process::{may_open, ms};
use crate::support::{Memcached, ask, connect};

/// Times that each is measured.
const ROUNDS: usize = 5;
const LASTS: Duration = Duration::from_millis(1_500);
/// Number of measured clients, and their pause between two reads.
const OTHERS: usize = 4;
const PACE: Duration = Duration::from_millis(1);
const LARGE: usize = 1 << 20;

/// Action of an attacker on a server, until told to stop.
type Act = for<'s> fn(&'s Scope<'s, '_>, &'s str, &'s AtomicBool);

const ACTS: [(&str, Act); 7] = [
    ("one that never reads", |scope, at, over| {
        deaf(scope, at, over, 1);
    }),
    ("twenty that never read, once stuck", |scope, at, over| {
        deaf(scope, at, over, 20);
        // Each has 13 MB under way at first, which others wait for.
        thread::sleep(Duration::from_secs(2));
    }),
    ("a thousand that send a byte a second", drip),
    ("ten thousand idle", idle),
    ("one that pipelines without end", pipeline),
    ("one that sends 1 MiB values", store_large),
    ("one that reads 1 MiB values", read_large),
];

/// Lock held by a measurement, since one that runs beside another measures the other.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static MEASURES: Mutex<()> = Mutex::new(());
    // One that failed is over as well.
    MEASURES.lock().unwrap_or_else(PoisonError::into_inner)
}

fn until(over: &AtomicBool, mut act: impl FnMut()) {
    while !over.load(Ordering::Relaxed) {
        act();
    }
}

fn deaf<'s>(scope: &'s Scope<'s, '_>, at: &'s str, over: &'s AtomicBool, count: usize) {
    let clients: Vec<TcpStream> = (0..count).map(|_| connect(at)).collect();
    for mut client in &clients {
        client
            .write_all(&b"get middling\r\n".repeat(500))
            .expect("it is read");
    }
    scope.spawn(move || {
        until(over, || thread::sleep(PACE));
        drop(clients);
    });
}

fn drip<'s>(scope: &'s Scope<'s, '_>, at: &'s str, over: &'s AtomicBool) {
    let clients: Vec<TcpStream> = (0..1_000).map(|_| connect(at)).collect();
    scope.spawn(move || {
        let mut turn = clients.iter().cycle();
        until(over, || {
            let next = turn.next().expect("a cycle");
            (&*next).write_all(b"g").expect("it is read");
            thread::sleep(PACE);
        });
    });
}

fn idle<'s>(scope: &'s Scope<'s, '_>, at: &'s str, over: &'s AtomicBool) {
    let clients: Vec<TcpStream> = (0..10_000).map(|_| connect(at)).collect();
    assert_eq!(ask(&clients[9_999], b"mn\r\n"), b"MN\r\n");
    scope.spawn(move || {
        until(over, || thread::sleep(PACE));
        drop(clients);
    });
}

fn pipeline<'s>(scope: &'s Scope<'s, '_>, at: &'s str, over: &'s AtomicBool) {
    let client = connect(at);
    let requests = b"get small\r\n".repeat(500);
    let reader = client.try_clone().expect("a descriptor");
    scope.spawn(move || {
        until(over, || {
            (&client).write_all(&requests).expect("it is read");
        });
        client.shutdown(std::net::Shutdown::Both).expect("a socket");
    });
    scope.spawn(move || {
        let mut buffer = vec![0; 256 << 10];
        while (&reader).read(&mut buffer).is_ok_and(|bytes| bytes > 0) {}
    });
}

fn large() -> Vec<u8> {
    let head = format!("set large 0 0 {LARGE}\r\n");
    [head.as_bytes(), &vec![b'v'; LARGE], b"\r\n"].concat()
}

fn store_large<'s>(scope: &'s Scope<'s, '_>, at: &'s str, over: &'s AtomicBool) {
    let client = connect(at);
    scope.spawn(move || {
        let set = large();
        until(over, || assert_eq!(ask(&client, &set), b"STORED\r\n"));
    });
}

fn read_large<'s>(scope: &'s Scope<'s, '_>, at: &'s str, over: &'s AtomicBool) {
    let client = connect(at);
    assert_eq!(ask(&client, &large()), b"STORED\r\n");
    scope.spawn(move || {
        until(over, || {
            assert!(ask(&client, b"get large\r\n").len() > LARGE);
        });
    });
}

/// Durations of small reads, sorted.
pub(crate) fn small_reads(at: &str, lasts: Duration) -> Vec<Duration> {
    let ends = Instant::now() + lasts;
    let read = || {
        let mut client = connect(at);
        let mut took = Vec::new();
        let mut reply = [0; b"VALUE small 0 5\r\nhello\r\nEND\r\n".len()];
        while Instant::now() < ends {
            let asked = Instant::now();
            client.write_all(b"get small\r\n").expect("it is read");
            client.read_exact(&mut reply).expect("an answer");
            took.push(asked.elapsed());
            assert!(
                reply.ends_with(b"hello\r\nEND\r\n"),
                "{:?}",
                reply.escape_ascii().to_string()
            );
            thread::sleep(PACE);
        }
        took
    };
    let mut all: Vec<Duration> = thread::scope(|scope| {
        let readers: Vec<_> = (0..OTHERS).map(|_| scope.spawn(read)).collect();
        readers
            .into_iter()
            .flat_map(|reader| reader.join().expect("it does not panic"))
            .collect()
    });
    all.sort();
    all
}

fn beside(at: &str, act: Act) -> Vec<Duration> {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        act(scope, at, &over);
        // What is owed at first is on its way.
        thread::sleep(Duration::from_millis(300));
        let took = small_reads(at, LASTS);
        over.store(true, Ordering::Relaxed);
        took
    })
}

fn p99(sorted: &[Duration]) -> f64 {
    ms(sorted[sorted.len() * 99 / 100])
}

pub(crate) fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

/// The p99 of others alone and beside somebody, in milliseconds, and the median of
/// the rounds' ratios.
fn compare(at: &str, act: Act) -> (f64, f64, f64) {
    let rounds: Vec<(f64, f64)> = (0..ROUNDS)
        .map(|_| {
            let alone = p99(&small_reads(at, LASTS));
            let beside = p99(&beside(at, act));
            // Those who left are forgotten.
            thread::sleep(Duration::from_millis(300));
            (alone, beside)
        })
        .collect();
    (
        median(rounds.iter().map(|(alone, _)| *alone).collect()),
        median(rounds.iter().map(|(_, beside)| *beside).collect()),
        median(
            rounds
                .iter()
                .map(|(alone, beside)| beside / alone)
                .collect(),
        ),
    )
}

#[test]
#[ignore = "takes four minutes of a quiet machine: run it with --release and --nocapture"]
fn what_hostile_clients_cost_the_others() {
    let _alone = alone();
    assert!(may_open(10_500), "too few open files allowed");
    let memcached = Memcached::start_with(&["-I", "2m", "-c", "12000"]);
    let scene = Scene::with(
        &memcached.addr(),
        "[limits]\nmax_connections = 12000\nrequest_timeout_ms = 8000",
    );
    let places = [scene.listens[1].clone(), memcached.addr()];
    for at in &places {
        let client = connect(at);
        assert_eq!(ask(&client, b"set small 0 0 5\r\nhello\r\n"), b"STORED\r\n");
        let middling = format!("set middling 0 0 50000\r\n{}\r\n", "v".repeat(50_000));
        assert_eq!(ask(&client, middling.as_bytes()), b"STORED\r\n");
    }
    println!("p99 of small reads, in ms: alone, beside, ratio");
    println!("| beside | through picklegate | without it |\n|---|---|---|");
    let mut worst = Vec::new();
    for (name, act) in ACTS {
        let [with, without] = places.each_ref().map(|at| compare(at, act));
        let cell = |(alone, beside, ratio): (f64, f64, f64)| {
            format!("{alone:.2}, {beside:.2}, {ratio:.2}x")
        };
        println!("| {name} | {} | {} |", cell(with), cell(without));
        worst.push((name, with.1));
    }
    for (name, beside) in worst {
        assert!(beside < 50.0, "{name}: {beside} ms");
    }
}
