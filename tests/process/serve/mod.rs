//! The life of a running proxy, against real memcacheds and false ones.

mod clients;
mod counting;
mod ending;
mod fleets;
mod outages;
mod starting;
mod wrong_replies;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Command, Output};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::admin;
use crate::support::toml::Toml;
use crate::support::{Memcached, Picklegate, connect, free_addr, roundtrip};

const SHARED: &str = "mode = \"shared\"";
/// A server that is silent is given up soon, and its failure shown.
const HASTY: &str =
    "mode = \"shared\"\non_upstream_failure = \"error\"\n[limits]\nrequest_timeout_ms = 300\n";
/// Pickle of `None` by Python 3 with protocol 4.
const PICKLE_4: &[u8] = b"\x80\x04N.";

/// A proxy with one listener for Python 3, and its admin address.
struct Proxy {
    gate: Picklegate,
    listen: String,
    admin: String,
}

impl Proxy {
    /// One rule for all keys; `rule` may go on with further tables.
    fn start(servers: &[String], rule: &str) -> Self {
        let (listen, admin) = (free_addr(), free_addr());
        let toml = Toml::new(servers)
            .rule(rule)
            .listener(&listen, "py3")
            .admin(&admin);
        let gate = Picklegate::with_config(toml);
        let proxy = Self {
            gate,
            listen,
            admin,
        };
        // Whoever looked whether it listens is gone.
        proxy.await_metric("picklegate_connections", 0);
        proxy
    }

    /// In front of one memcached.
    fn of(memcached: &Memcached, rule: &str) -> Self {
        Self::start(&[memcached.addr()], rule)
    }

    fn connect(&self) -> TcpStream {
        connect(&self.listen)
    }

    /// Waits until a metric, added up over its labels, has this value.
    fn await_metric(&self, name: &str, value: u64) {
        await_that(&format!("{name} to be {value}"), || {
            total(&metrics(&self.admin), name) == value
        });
    }
}

/// Polls, for as long as a recovery may take.
fn await_that(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(2);
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Values by series, as printed.
type Metrics = BTreeMap<String, String>;

fn metrics(admin: &str) -> Metrics {
    let (status, text) = admin::page(admin, "/metrics");
    assert_eq!(status, 200);
    let series = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    series
        .map(|line| line.rsplit_once(' ').expect("a name and a value"))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// The sum of all series of one name.
fn total(metrics: &Metrics, name: &str) -> u64 {
    let named = metrics
        .iter()
        .filter(|(series, _)| series.split('{').next() == Some(name));
    named
        .map(|(_, value)| value.parse::<u64>().expect("a count"))
        .sum()
}

/// Sends a request whose whole reply is known, and so needs no fence.
fn say(stream: &TcpStream, request: &[u8], reply: &str) {
    let received = roundtrip(stream, request, reply.as_bytes());
    assert_eq!(String::from_utf8_lossy(&received), reply);
}

/// Everything until the peer closes.
fn rest(mut stream: &TcpStream) -> String {
    let mut received = Vec::new();
    stream.read_to_end(&mut received).expect("a clean close");
    String::from_utf8_lossy(&received).into_owned()
}

fn set(key: &str, value: &[u8]) -> Vec<u8> {
    let head = format!("set {key} 0 0 {}\r\n", value.len());
    [head.as_bytes(), value, b"\r\n"].concat()
}

fn value(key: &str, value: &[u8]) -> Vec<u8> {
    let head = format!("VALUE {key} 0 {}\r\n", value.len());
    [head.as_bytes(), value, b"\r\nEND\r\n"].concat()
}

/// An upstream that answers each line as told, and closes where told nothing.
fn false_upstream(answer: impl Fn(&str) -> Option<Vec<u8>> + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
    let addr = listener.local_addr().expect("it is bound").to_string();
    let answer = Arc::new(answer);
    // Ends with the test process.
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, answer) = (stream.expect("a client"), Arc::clone(&answer));
            thread::spawn(move || {
                let lines = BufReader::new(stream.try_clone().expect("a descriptor")).lines();
                for line in lines.map_while(Result::ok) {
                    match answer(&line) {
                        Some(reply) => (&stream).write_all(&reply).expect("the proxy reads"),
                        None => break,
                    }
                }
                // The reader holds a copy of the socket.
                let _ = stream.shutdown(Shutdown::Both);
            });
        }
    });
    addr
}

fn silent_upstream() -> String {
    false_upstream(|_| Some(Vec::new()))
}

fn serve(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_picklegate"))
        .arg("serve")
        .args(args)
        .output()
        .expect("cargo built the binary")
}
