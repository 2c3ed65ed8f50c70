//! Owns the life of a running proxy, against real memcacheds and false ones:
//! start, metrics, health, lost and lying upstreams, limits, and the end.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::admin;
use crate::support::toml::Toml;
use crate::support::{
    FENCE, FENCE_REPLY, Memcached, Picklegate, ask_text, connect, free_addr, free_port, roundtrip,
};

const SHARED: &str = "mode = \"shared\"";
/// What a Python 3 dumps for `None` with protocol 4.
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

// Start ----------------------------------------------------------------------

#[test]
fn flags_alone_are_enough() {
    let memcached = Memcached::start();
    let (a, b, admin) = (free_addr(), free_addr(), free_addr());
    let (py2, py3) = (format!("{a}=py2"), format!("{b}=py3"));
    let upstream = memcached.addr();
    let _gate = Picklegate::with_args(&[
        "serve",
        "--listen",
        &py2,
        "--listen",
        &py3,
        "--upstream",
        &upstream,
        "--admin",
        &admin,
    ]);
    let (old, new, raw) = (connect(&a), connect(&b), memcached.connect());
    say(&old, b"set k 0 0 3\r\nold\r\n", "STORED\r\n");
    say(&new, b"get k\r\n", "END\r\n");
    say(&new, b"set k 0 0 3\r\nnew\r\n", "STORED\r\n");
    say(&old, b"get k\r\n", "VALUE k 0 3\r\nold\r\nEND\r\n");
    say(&new, b"get k\r\n", "VALUE k 0 3\r\nnew\r\nEND\r\n");
    say(
        &raw,
        b"get k @py2//k @py3//k\r\n",
        "VALUE @py2//k 0 3\r\nold\r\nVALUE @py3//k 0 3\r\nnew\r\nEND\r\n",
    );
    assert_eq!(admin::page(&admin, "/live").0, 200);
}

#[test]
fn a_bad_configuration_exits_64_with_all_errors() {
    let dir = tempfile::TempDir::new().unwrap();
    let file = dir.path().join("bad.toml");
    let bad = "[upstream]\nservers = [\"nowhere\"]\n[[listeners]]\nlisten = \"127.0.0.1:1\"\n\
               runtime = \"ruby\"\n[limits]\nmax_conections = 5\n";
    std::fs::write(&file, bad).unwrap();
    let output = serve(&["--config", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(64));
    let told = String::from_utf8(output.stderr).unwrap();
    for place in [
        "bad.toml:2: upstream.servers",
        "bad.toml:5: listeners",
        "bad.toml:7: limits.max_conections",
    ] {
        assert!(told.contains(place), "{place} is not in {told}");
    }
}

#[test]
fn a_port_in_use_exits_71_with_a_clear_line() {
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let (taken, free) = (holder.local_addr().unwrap().to_string(), free_addr());
    for (listen, admin) in [(&taken, &free), (&free, &taken)] {
        let listen = format!("{listen}=py3");
        let output = serve(&[
            "--listen",
            &listen,
            "--upstream",
            "127.0.0.1:1",
            "--admin",
            admin,
        ]);
        assert_eq!(output.status.code(), Some(71));
        let told = String::from_utf8(output.stderr).unwrap();
        let last = told.lines().last().unwrap_or_default();
        let clear = format!("cannot listen on {taken}: Address already in use");
        assert!(last.starts_with(&clear), "{told}");
    }
}

// Metrics and health -----------------------------------------------------------

/// Two listeners, isolated keys, guarded ones, and guarded ones that reject.
const RULES: &str = r#"
mode = "isolate"
rollout = 100
coherence = "deletes"
[[rules]]
prefix = "guard:"
mode = "guard"
[[rules]]
prefix = "reject:"
mode = "guard"
on_unloadable_write = "reject"
"#;

fn scripted_traffic(py2: &TcpStream, py3: &TcpStream) {
    let pickle = |key: &str| {
        let head = format!("set {key} 1 0 {}\r\n", PICKLE_4.len());
        [head.as_bytes(), PICKLE_4, b"\r\n"].concat()
    };
    say(py2, b"set k 0 0 1\r\n2\r\n", "STORED\r\n");
    say(py3, b"set k 0 0 1\r\n3\r\n", "STORED\r\n");
    say(py2, b"get k\r\n", "VALUE k 0 1\r\n2\r\nEND\r\n");
    say(py2, b"get none\r\n", "END\r\n");
    let twice = "VALUE k 0 1\r\n2\r\nVALUE k 0 1\r\n2\r\nEND\r\n";
    say(py2, b"get k none k\r\n", twice);
    say(py3, b"mg none v\r\n", "EN\r\n");
    say(py3, b"delete k\r\n", "DELETED\r\n");
    say(py3, b"delete k\r\n", "NOT_FOUND\r\n");
    say(py3, &pickle("guard:v"), "STORED\r\n");
    say(py2, b"get guard:v\r\n", "END\r\n");
    let head = "VALUE guard:v 1 4\r\n";
    let hit = roundtrip(py3, b"get guard:v\r\n", b"END\r\n");
    assert_eq!(hit, [head.as_bytes(), PICKLE_4, b"\r\nEND\r\n"].concat());
    say(py3, &pickle("reject:v"), "NOT_STORED\r\n");
    say(py2, b"bogus\r\n", "ERROR\r\n");
    say(
        py2,
        b"incr k x\r\n",
        "CLIENT_ERROR invalid numeric delta argument\r\n",
    );
    say(py2, b"add a 0 0 1\r\n1\r\n", "STORED\r\n");
    say(py2, b"add a 0 0 1\r\n1\r\n", "NOT_STORED\r\n");
}

/// All counters that are not 0 after [`scripted_traffic`]: `(series, count)`.
fn scripted_counts(a: &str, b: &str, server: &str) -> Metrics {
    let requests = [
        (a, "py2", "add", "not_stored", 1),
        (a, "py2", "add", "stored", 1),
        (a, "py2", "get", "hidden", 1),
        (a, "py2", "get", "hit", 3),
        (a, "py2", "get", "miss", 2),
        (a, "py2", "incr", "error", 1),
        (a, "py2", "other", "error", 1),
        (a, "py2", "set", "stored", 1),
        (b, "py3", "delete", "not_found", 1),
        (b, "py3", "delete", "ok", 1),
        (b, "py3", "get", "hit", 1),
        (b, "py3", "mg", "miss", 1),
        (b, "py3", "set", "rejected", 1),
        (b, "py3", "set", "stored", 2),
    ];
    let requests = requests.map(|(listener, namespace, command, result, count)| {
        let labels = format!(
            "listener=\"{listener}\",namespace=\"{namespace}\",command=\"{command}\",result=\"{result}\""
        );
        (format!("requests_total{{{labels}}}"), count)
    });
    let others = [
        // Two deletes of py3, its rejected store, and one that it stored.
        (
            r#"invalidations_total{origin="py3",target="bare",result="absent"}"#,
            3,
        ),
        (
            r#"invalidations_total{origin="py3",target="py2",result="absent"}"#,
            3,
        ),
        (
            r#"invalidations_total{origin="py3",target="py2",result="deleted"}"#,
            1,
        ),
        (
            r#"invalidations_total{origin="py3",target="py3",result="absent"}"#,
            2,
        ),
        (
            r#"suspected_split_total{namespace="py2",kind="counter"}"#,
            1,
        ),
        (r#"suspected_split_total{namespace="py2",kind="lock"}"#, 2),
        (
            r#"pickle_values_total{namespace="py2",direction="read",protocol="4"}"#,
            1,
        ),
        (
            r#"pickle_values_total{namespace="py3",direction="read",protocol="4"}"#,
            1,
        ),
        (
            r#"pickle_values_total{namespace="py3",direction="write",protocol="4"}"#,
            2,
        ),
        (
            r#"not_loadable_values_total{namespace="py2",direction="read",reason="protocol"}"#,
            1,
        ),
        (
            r#"not_loadable_values_total{namespace="py3",direction="write",reason="protocol"}"#,
            2,
        ),
        (
            r#"rejected_writes_total{namespace="py3",reason="protocol"}"#,
            1,
        ),
        (
            r#"cross_version_reads_total{writer="python/3",reader="py2",verdict="unloadable",action="hidden"}"#,
            1,
        ),
        (
            r#"cross_version_reads_total{writer="python/3",reader="py3",verdict="loadable",action="served"}"#,
            1,
        ),
    ];
    let others = others.map(|(series, count)| (series.to_owned(), count));
    // 3 stores, 2 copies that one of them deletes, 8 keys read, 3 copies for each delete and for the rejected
    // store, incr, and 2 adds: what is in the way of one that may be a lock is not looked at.
    let upstream = (
        format!("upstream_requests_total{{server=\"{server}\"}}"),
        25,
    );
    let all = requests.into_iter().chain(others).chain([upstream]);
    all.map(|(series, count)| (format!("picklegate_{series}"), count.to_string()))
        .collect()
}

#[test]
fn metrics_add_up() {
    let memcached = Memcached::start();
    let (a, b, admin) = (free_addr(), free_addr(), free_addr());
    let toml = Toml::new(&[memcached.addr()])
        .rule(RULES)
        .listener(&a, "py2")
        .listener(&b, "py3")
        .admin(&admin);
    let _gate = Picklegate::with_config(toml);
    let (py2, py3) = (connect(&a), connect(&b));
    scripted_traffic(&py2, &py3);
    await_that("only two connections", || {
        total(&metrics(&admin), "picklegate_connections") == 2
    });

    let seen = metrics(&admin);
    let named = |suffix: &str| -> Metrics {
        let is_named = |series: &str| {
            series
                .split('{')
                .next()
                .unwrap_or_default()
                .ends_with(suffix)
        };
        let chosen = seen.iter().filter(|(series, _)| is_named(series));
        chosen
            .map(|(series, count)| (series.clone(), count.clone()))
            .collect()
    };
    let mut counts = named("_total");
    counts.retain(|_, count| count != "0");
    assert_eq!(counts, scripted_counts(&a, &b, &memcached.addr()));
    let durations = [
        ("add", 2),
        ("delete", 2),
        ("get", 5),
        ("incr", 1),
        ("mg", 1),
        ("other", 1),
        ("set", 4),
    ];
    let durations = durations.map(|(command, count)| {
        let series = format!("picklegate_request_duration_seconds_count{{command=\"{command}\"}}");
        (series, count.to_string())
    });
    assert_eq!(named("_seconds_count"), Metrics::from(durations));
    let clients = [(&a, "py2"), (&b, "py3")].map(|(listener, namespace)| {
        let labels = format!("listener=\"{listener}\",namespace=\"{namespace}\"");
        (
            format!("picklegate_connections{{{labels}}}"),
            "1".to_owned(),
        )
    });
    assert_eq!(named("picklegate_connections"), Metrics::from(clients));
    assert_eq!(total(&seen, "picklegate_upstream_connections"), 2);
    assert_eq!(total(&seen, "picklegate_upstream_in_flight"), 0);
    assert_eq!(metrics(&admin), seen);
}

#[test]
fn a_refused_store_that_fails_counts_once() {
    let rule = "mode = \"guard\"\non_unloadable_write = \"reject\"";
    let proxy = Proxy::start(&[format!("127.0.0.1:{}", free_port())], rule);
    let client = proxy.connect();
    let request = [&b"set k 1 0 4\r\n"[..], PICKLE_4, b"\r\n"].concat();
    let reply = roundtrip(&client, &request, b"\r\n");
    assert!(reply.starts_with(b"SERVER_ERROR picklegate: upstream "));
    let metrics = metrics(&proxy.admin);
    assert_eq!(
        total(&metrics, "picklegate_requests_total"),
        1,
        "{metrics:?}"
    );
}

#[test]
fn a_request_over_two_servers_counts_once() {
    let memcacheds = [Memcached::start(), Memcached::start()];
    let servers = memcacheds.each_ref().map(Memcached::addr);
    let proxy = Proxy::start(&servers, SHARED);
    let keys = (0..32)
        .map(|key| format!(" k{key}"))
        .collect::<Vec<_>>()
        .concat();
    say(
        &proxy.connect(),
        format!("get{keys}\r\n").as_bytes(),
        "END\r\n",
    );
    let metrics = metrics(&proxy.admin);
    assert_eq!(total(&metrics, "picklegate_requests_total"), 32);
    assert_eq!(total(&metrics, "picklegate_upstream_requests_total"), 32);
    assert_eq!(
        total(&metrics, "picklegate_request_duration_seconds_count"),
        1
    );
}

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

/// It would take the value for commands. Before the first connection nobody knows what
/// the server is, and after a loss it may be another.
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

const HASTY: &str =
    "mode = \"shared\"\non_upstream_failure = \"error\"\n[limits]\nrequest_timeout_ms = 300\n";

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

#[test]
fn a_lying_upstream_never_gets_a_value_through() {
    for lie in [
        "VALUE other 0 1\r\nx\r\nEND\r\n",
        "VALUE k 0 x\r\nEND\r\n",
        "VALUE k\r\nx\r\nEND\r\n",
        "garbage\r\n",
        "HD\r\n",
        "STORED\r\n",
        "VA 1 kother\r\nx\r\n",
        "\r\n",
        "\0\0\0\0\r\n",
    ] {
        let server = false_upstream(move |_| Some(lie.as_bytes().to_vec()));
        let proxy = Proxy::start(std::slice::from_ref(&server), HASTY);
        let client = proxy.connect();
        for request in ["get k\r\n", "gets k\r\n", "mg k v k\r\n"] {
            let reply = ask_text(&client, request);
            let refused = format!("SERVER_ERROR picklegate: upstream {server} ");
            let honest = request.starts_with("mg") && lie.starts_with("HD");
            assert!(
                reply.starts_with(&refused) || honest,
                "{request:?} and {lie:?}: {reply:?}"
            );
        }
    }
}

#[test]
fn a_reply_too_many_reaches_nobody() {
    let server = false_upstream(|line| {
        let key = line.rsplit(' ').next().unwrap_or_default();
        let reply = value(key, key.as_bytes());
        Some([&reply[..], &reply].concat())
    });
    let proxy = Proxy::start(&[server], HASTY);
    let client = proxy.connect();
    for key in (0..50).map(|key| format!("k{key}")) {
        let reply = ask_text(&client, &format!("get {key}\r\n"));
        let own = String::from_utf8(value(&key, key.as_bytes())).unwrap();
        assert!(
            reply == own || reply.starts_with("SERVER_ERROR picklegate: "),
            "{reply}"
        );
    }
}

// The end ------------------------------------------------------------------------

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

// Clients ------------------------------------------------------------------------

#[test]
fn a_connection_too_many_is_told_and_closed() {
    let memcached = Memcached::start();
    let proxy = Proxy::of(
        &memcached,
        "mode = \"shared\"\n[limits]\nmax_connections = 2\n",
    );
    let (one, two) = (proxy.connect(), proxy.connect());
    say(&one, FENCE, "MN\r\n");
    say(&two, FENCE, "MN\r\n");
    assert_eq!(
        rest(&proxy.connect()),
        "ERROR Too many open connections\r\n"
    );
    say(&one, b"get k\r\n", "END\r\n");
    let refused = "picklegate_refused_connections_total";
    assert_eq!(total(&metrics(&proxy.admin), refused), 1);
    drop(two);
    proxy.await_metric("picklegate_connections", 1);
    say(&proxy.connect(), b"get k\r\n", "END\r\n");
    assert_eq!(total(&metrics(&proxy.admin), refused), 1);
}

#[test]
fn a_client_that_leaves_in_the_middle_does_no_harm() {
    let memcached = Memcached::start();
    let proxy = Proxy::of(&memcached, SHARED);
    let client = proxy.connect();
    say(&client, b"set k 0 0 1\r\n1\r\n", "STORED\r\n");
    for half in [
        "get",
        "set k 0 0 10\r\nhalf",
        "ms k 10\r\n",
        "get k\r\nget k",
    ] {
        proxy.connect().write_all(half.as_bytes()).unwrap();
    }
    proxy.await_metric("picklegate_connections", 1);
    say(&client, b"get k\r\n", "VALUE k 0 1\r\n1\r\nEND\r\n");
}

#[test]
fn a_half_closed_client_gets_all_its_replies() {
    let memcached = Memcached::start();
    let proxy = Proxy::of(&memcached, SHARED);
    for gets in [1, 5_000] {
        let client = proxy.connect();
        (&client).write_all(&b"get k\r\n".repeat(gets)).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(rest(&client), "END\r\n".repeat(gets));
    }
}

#[test]
fn quit_closes_after_the_replies_owed() {
    let memcached = Memcached::start();
    let proxy = Proxy::of(&memcached, SHARED);
    for gets in [0, 1, 1_000] {
        let client = proxy.connect();
        let request = [&b"get k\r\n".repeat(gets)[..], b"quit\r\nget k\r\n"].concat();
        (&client).write_all(&request).unwrap();
        assert_eq!(rest(&client), "END\r\n".repeat(gets));
    }
    proxy.await_metric("picklegate_connections", 0);
}

#[test]
fn ten_thousand_gets_in_one_write_come_back_in_order() {
    let memcached = Memcached::start();
    let proxy = Proxy::of(&memcached, SHARED);
    let client = proxy.connect();
    let keys: Vec<String> = (0..100).map(|key| format!("k{key}")).collect();
    for key in &keys {
        say(&client, &set(key, key.as_bytes()), "STORED\r\n");
    }
    let asked = keys.iter().cycle().take(10_000);
    let request = asked
        .clone()
        .map(|key| format!("get {key}\r\n"))
        .collect::<Vec<_>>()
        .concat();
    let reply: Vec<u8> = asked.flat_map(|key| value(key, key.as_bytes())).collect();
    let request = [request.as_bytes(), FENCE].concat();
    let received = roundtrip(&client, &request, FENCE_REPLY);
    assert!(received.strip_suffix(FENCE_REPLY) == Some(&reply[..]));
}

#[test]
fn a_slow_reader_gets_every_byte() {
    let memcached = Memcached::start();
    let proxy = Proxy::of(&memcached, SHARED);
    let client = proxy.connect();
    let values = [b'a', b'b', b'c'].map(|byte| vec![byte; 100 << 10]);
    for (at, bytes) in values.iter().enumerate() {
        say(&client, &set(&format!("k{at}"), bytes), "STORED\r\n");
    }
    let order = || (0..300).map(|at| at * 7 / 2 % 3);
    let request = order()
        .map(|at| format!("get k{at}\r\n"))
        .collect::<Vec<_>>()
        .concat();
    (&client).write_all(request.as_bytes()).unwrap();
    thread::sleep(Duration::from_millis(300));
    let mut buffer = vec![0; 100 << 10];
    for at in order() {
        let expected = value(&format!("k{at}"), &values[at]);
        buffer.resize(expected.len(), 0);
        (&client).read_exact(&mut buffer).unwrap();
        assert!(buffer == expected);
        thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn values_up_to_the_limit_round_trip_and_no_larger() {
    let memcached = Memcached::start_with(&["-I", "2m"]);
    let proxy = Proxy::of(&memcached, SHARED);
    let client = proxy.connect();
    for len in [0, 1, 65_535, 65_536, (1 << 20) - 1, 1 << 20] {
        let bytes = vec![b'v'; len];
        say(&client, &set("k", &bytes), "STORED\r\n");
        assert!(roundtrip(&client, b"get k\r\n", b"END\r\n") == value("k", &bytes));
    }
    let too_large = [&set("k", &vec![b'v'; (1 << 20) + 1])[..], b"get k\r\n"].concat();
    let refused = "SERVER_ERROR object too large for cache\r\nEND\r\n";
    say(&client, &too_large, refused);
}

// Whole fleets ---------------------------------------------------------------------

#[test]
fn flush_all_and_stats_reach_both_servers() {
    let memcacheds = [Memcached::start(), Memcached::start()];
    let servers = memcacheds.each_ref().map(Memcached::addr);
    let proxy = Proxy::start(
        &servers,
        "mode = \"shared\"\n[admin_commands]\nflush_all = \"forward\"\n",
    );
    let client = proxy.connect();
    for key in 0..32 {
        say(&client, &set(&format!("k{key}"), b"1"), "STORED\r\n");
    }
    for memcached in &memcacheds {
        let stats = ask_text(&memcached.connect(), "stats\r\n");
        assert!(!stats.contains("STAT curr_items 0\r\n"));
    }
    let keys = (0..32)
        .map(|key| format!(" k{key}"))
        .collect::<Vec<_>>()
        .concat();
    let all = format!("get{keys}\r\n");
    assert_eq!(ask_text(&client, &all).matches("VALUE").count(), 32);
    say(&client, b"flush_all\r\n", "OK\r\n");
    say(&client, all.as_bytes(), "END\r\n");
    let stats = ask_text(&client, "stats\r\n");
    assert!(stats.contains("STAT cmd_set 32\r\n"), "{stats}");
    assert!(
        stats.ends_with("STAT servers 2\r\nSTAT servers_down 0\r\nEND\r\n"),
        "{stats}"
    );
}

#[test]
fn stats_of_one_server_are_forwarded() {
    let memcached = Memcached::start();
    let proxy = Proxy::of(&memcached, SHARED);
    let client = proxy.connect();
    let stats = ask_text(&client, "stats\r\n");
    assert!(stats.starts_with("STAT pid ") && stats.ends_with("\r\nEND\r\n"));
    let settings = ask_text(&client, "stats settings\r\n");
    assert!(settings.contains("STAT maxbytes ") && settings.ends_with("\r\nEND\r\n"));
}

#[test]
fn stats_of_its_own_are_those_of_all_workers() {
    let memcacheds = [Memcached::start(), Memcached::start()];
    let (listen, asks) = (free_addr(), free_addr());
    let servers = memcacheds.each_ref().map(Memcached::addr);
    let toml = Toml::new(&servers)
        .rule("mode = \"isolate\"")
        .table("server", "workers = 3")
        .listener(&listen, "py3")
        .listener_with(&asks, "identify = [\"hello\"]");
    let _gate = Picklegate::with_config(toml);
    let clients: Vec<TcpStream> = (0..6).map(|_| connect(&listen)).collect();
    for (n, client) in clients.iter().enumerate() {
        say(client, &set(&format!("k{n}"), b"1"), "STORED\r\n");
        say(client, b"get none\r\n", "END\r\n");
        say(client, format!("incr k{n} 1\r\n").as_bytes(), "2\r\n");
    }
    // Whoever looked whether it listens goes within moments.
    await_that("only the clients", || {
        ask_text(&clients[1], "stats picklegate\r\n").contains("STAT curr_connections 6\r\n")
    });
    // In its turn. What comes behind it may be counted already.
    let stats = ask_text(
        &clients[0],
        "version\r\nstats picklegate\r\ntouch none 0\r\n",
    );
    assert!(stats.starts_with("VERSION ") && stats.ends_with("\r\nEND\r\nNOT_FOUND\r\n"));
    // For those whom nobody knows, too.
    let unknown = ask_text(&connect(&asks), "stats picklegate\r\n");
    for line in [
        "set_stored 6",
        "get_miss 6",
        "incr_ok 6",
        "suspected_counter 6",
        "copies_absent 24",
        "curr_connections 6",
    ] {
        let line = format!("\r\nSTAT {line}\r\n");
        assert!(stats.contains(&line), "{line:?} in {stats}");
    }
    assert!(
        unknown.starts_with("STAT version ") && unknown.contains("STAT get_miss 6\r\n"),
        "{unknown}"
    );
}

#[test]
fn an_embedded_upstream_serves_both_listeners() {
    let (a, b) = (free_addr(), free_addr());
    let rule = "mode = \"isolate\"\nrollout = 100\ncoherence = \"deletes\"";
    let servers = ["embedded:64MiB".to_owned()];
    let _gate = Picklegate::with_config(
        Toml::new(&servers)
            .rule(rule)
            .listener(&a, "py2")
            .listener(&b, "py3"),
    );
    let (py2, py3) = (connect(&a), connect(&b));
    say(&py2, b"set k 0 0 3\r\nold\r\n", "STORED\r\n");
    say(&py3, b"get k\r\n", "END\r\n");
    say(&py3, b"set k 0 0 3\r\nnew\r\n", "STORED\r\n");
    say(&py2, b"get k\r\n", "VALUE k 0 3\r\nold\r\nEND\r\n");
    say(&py3, b"delete k\r\n", "DELETED\r\n");
    say(&py2, b"get k\r\n", "END\r\n");
}

#[test]
fn workers_have_their_share_of_connections() {
    let memcached = Memcached::start();
    let proxy = Proxy::of(&memcached, "mode = \"shared\"\n[server]\nworkers = 4\n");
    let shares = || -> Vec<u64> {
        let seen = metrics(&proxy.admin);
        let workers =
            (0..4).map(|worker| format!("picklegate_worker_connections{{worker=\"{worker}\"}}"));
        workers
            .map(|series| seen.get(&series).map_or(0, |count| count.parse().unwrap()))
            .collect()
    };
    let mut clients: Vec<TcpStream> = (0..62).map(|_| proxy.connect()).collect();
    await_that("every worker has its share", || {
        shares().iter().sum::<u64>() == 62 && shares().iter().all(|&share| share.abs_diff(15) <= 1)
    });
    // Whoever leaves, those who come fill the gaps.
    clients.drain(..40);
    proxy.await_metric("picklegate_connections", 22);
    clients.extend((0..40).map(|_| proxy.connect()));
    await_that("every worker has its share again", || {
        shares().iter().sum::<u64>() == 62 && shares().iter().all(|&share| share.abs_diff(15) <= 1)
    });
}

#[test]
fn two_workers_share_many_connections() {
    let memcached = Memcached::start();
    let proxy = Proxy::of(&memcached, "mode = \"shared\"\n[server]\nworkers = 2\n");
    let clients: Vec<TcpStream> = (0..64).map(|_| proxy.connect()).collect();
    for (at, client) in clients.iter().enumerate() {
        let key = format!("k{at}");
        say(client, &set(&key, key.as_bytes()), "STORED\r\n");
    }
    for (at, client) in clients.iter().enumerate() {
        // What another connection stored.
        let key = format!("k{}", (at + 1) % clients.len());
        let hit = String::from_utf8(value(&key, key.as_bytes())).unwrap();
        say(client, format!("get {key}\r\n").as_bytes(), &hit);
    }
    let metrics = metrics(&proxy.admin);
    assert_eq!(total(&metrics, "picklegate_connections"), 64);
    assert_eq!(total(&metrics, "picklegate_upstream_connections"), 4);
    assert_eq!(total(&metrics, "picklegate_requests_total"), 128);
}
