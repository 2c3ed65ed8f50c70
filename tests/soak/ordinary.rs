//! A sidecar in ordinary use for a while: real clients of several Pythons, and raw
//! sockets that pipeline, check every value that they get. Nothing fails, and the
//! process needs at the end what it needed at the start.
//!
//! `PICKLEGATE_SOAK_SECONDS=600 cargo test --test soak ordinary -- --nocapture` runs longer.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::admin;
use crate::support::load::Load;
use crate::support::process;
use crate::support::pythons::{Finished, Python};
use crate::support::toml::Toml;
use crate::support::{self, Memcached, Picklegate, free_addr};

/// Duration, unless the environment says otherwise.
const SECONDS: u64 = 60;
/// Growth of resident memory that is allowed.
const GROWTH: u64 = 3 << 20;
/// Time that clients may take to start and to end, beside others on a small machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Needs of the process at one moment.
#[derive(Debug, Clone, Copy)]
struct Sample {
    resident: u64,
    descriptors: usize,
}

#[test]
fn ordinary_use_needs_no_more_after_a_while() {
    let _alone = crate::alone();
    if !support::memcached_available() {
        eprintln!("tests/soak: skipped: no memcached (run tests/setup)");
        return;
    }
    let lasts = Duration::from_secs(
        std::env::var("PICKLEGATE_SOAK_SECONDS").map_or(SECONDS, |seconds| {
            seconds.parse().expect("a number of seconds")
        }),
    );
    let memcached = Memcached::start();
    let pythons = some_pythons();
    let tags = pythons
        .iter()
        .map(|python| format!("python/{}", python.version()));
    let listeners: Vec<(String, String)> = tags
        .chain(["python/2.7".to_owned(), "python/3.11".to_owned()])
        .map(|tag| (free_addr(), tag))
        .collect();
    let listens: Vec<String> = listeners.iter().map(|(listen, _)| listen.clone()).collect();
    let (own, raw) = listens.split_at(pythons.len());
    let admin = free_addr();
    let gate = Picklegate::with_config(configuration(&listeners, &memcached.addr(), &admin));
    let count = |name: &str, labels: &[&str]| admin::metric(&admin, name, labels);

    let clients = thread::spawn({
        let own = own.to_vec();
        move || run_clients(&pythons, &own, lasts)
    });
    let load = Load::start(raw, &memcached.addr(), 2, 1);
    let samples = watch(gate.id(), lasts);
    let report = load.stop();
    let said = clients.join().expect("it does not panic");

    println!(
        "raw sockets: {} requests, {} hits",
        report.answered, report.hits
    );
    for (python, finished) in &said {
        println!("Python {python}: {}", finished.stdout.trim());
    }
    println!("{}", told(&samples));
    for (python, finished) in &said {
        assert!(finished.success, "Python {python}:\n{}", finished.stderr);
    }
    assert_eq!(report.wrong, Vec::<String>::new());
    assert_eq!(report.failures(), 0, "{report:#?}\n{}", gate.stderr());
    for (name, labels) in [
        ("picklegate_requests_total", &["result=\"error\""][..]),
        ("picklegate_requests_total", &["result=\"upstream_miss\""]),
        ("picklegate_upstream_errors_total", &[]),
        ("picklegate_upstream_reconnects_total", &[]),
        ("picklegate_closed_connections_total", &[]),
        ("picklegate_refused_connections_total", &[]),
        ("picklegate_invalidations_total", &["result=\"error\""]),
    ] {
        assert_eq!(count(name, labels), 0, "{name}");
    }
    assert!(!gate.stderr().contains("WARN"), "{}", gate.stderr());
    is_flat(&samples);
}

fn configuration(listeners: &[(String, String)], server: &str, admin: &str) -> Toml {
    let toml = Toml::new(&[server])
        .admin(admin)
        .table("server", "workers = 2")
        .table("limits", "request_timeout_ms = 8000")
        .family("lock:", "mode = \"shared\"")
        .family(
            "cross:",
            "mode = \"guard\"\non_unloadable_read = \"transcode\"",
        )
        .rule("mode = \"isolate\"");
    listeners.iter().fold(toml, |toml, (listen, runtime)| {
        toml.listener(listen, runtime)
    })
}

/// Python 2.7, the oldest Python 3 and the newest, as far as they are there.
fn some_pythons() -> Vec<Python> {
    let all = Python::all();
    let old = all.iter().find(|python| python.major == 2);
    let threes = || all.iter().filter(|python| python.major == 3);
    let mut some: Vec<Python> = old.into_iter().chain(threes().next()).cloned().collect();
    some.extend(threes().skip(1).last().cloned());
    if old.is_none() || some.len() < 3 {
        eprintln!("tests/soak: skipped: some Pythons (run tests/setup)");
    }
    some
}

fn run_clients(pythons: &[Python], listens: &[String], lasts: Duration) -> Vec<(String, Finished)> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/soak/ordinary.py");
    let seconds = &lasts.as_secs().to_string();
    thread::scope(|scope| {
        let running: Vec<_> = pythons
            .iter()
            .zip(listens)
            .map(|(python, at)| {
                scope.spawn(move || {
                    let name = format!("soak{}", python.version());
                    let args = ["--at", at, "--name", &name, "--seconds", seconds];
                    let finished = python.run(Path::new(script), &args, lasts + PATIENCE);
                    (python.version(), finished.expect("it ends in time"))
                })
            })
            .collect();
        let ended = running.into_iter().map(thread::ScopedJoinHandle::join);
        ended
            .map(|client| client.expect("it does not panic"))
            .collect()
    })
}

/// Looks at the process ten times a second at most, for as long as it lasts.
fn watch(process: u32, lasts: Duration) -> Vec<Sample> {
    let ends = Instant::now() + lasts;
    let pause = Duration::from_millis(100).max(lasts / 2_000);
    let mut samples = Vec::new();
    while Instant::now() < ends {
        thread::sleep(pause);
        samples.push(Sample {
            resident: process::resident(process),
            descriptors: process::descriptors(process),
        });
    }
    samples
}

/// The most of the samples of a part of the time, in percent of it.
fn most(samples: &[Sample], from: usize, to: usize) -> Sample {
    let at = |percent: usize| samples.len() * percent / 100;
    let part = &samples[at(from)..at(to)];
    Sample {
        resident: part
            .iter()
            .map(|sample| sample.resident)
            .max()
            .expect("some"),
        descriptors: part
            .iter()
            .map(|sample| sample.descriptors)
            .max()
            .expect("some"),
    }
}

fn told(samples: &[Sample]) -> String {
    let tenths = (0..10).map(|tenth| {
        let Sample {
            resident,
            descriptors,
        } = most(samples, 10 * tenth, 10 * tenth + 10);
        format!("{} KiB, {descriptors} files", resident >> 10)
    });
    let tenths: Vec<String> = tenths.collect();
    format!("at most, in each tenth of the time: {}", tenths.join("; "))
}

/// Checks that the last quarter needed what the second did.
fn is_flat(samples: &[Sample]) {
    let (before, after) = (most(samples, 25, 50), most(samples, 75, 100));
    assert!(
        after.resident <= before.resident + GROWTH,
        "{}",
        told(samples)
    );
    assert!(after.descriptors <= before.descriptors, "{}", told(samples));
}
