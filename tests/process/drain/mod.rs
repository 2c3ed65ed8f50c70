//! The end of a picklegate, and the start of the next: what was asked is answered,
//! whoever waits to be accepted is not forgotten, a service manager is told. See
//! deploy/README.md for what clients can count on.

mod load;
mod service;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::support::admin;
use crate::support::pythons::Python;
use crate::support::toml::Toml;
use crate::support::{Memcached, ask_text, connect, free_addr, roundtrip};
use load::Seen;
use service::Service;

const SHARED: &str = "mode = \"shared\"\n";
/// Restarts of one of two instances.
const RESTARTS: usize = 100;
/// Restarts of the only instance, whose sockets stay.
const PASSED_RESTARTS: usize = 30;
/// Time for which all serve between two restarts.
const STAY: Duration = Duration::from_millis(40);

fn config(listeners: &[&str], memcached: &Memcached, rule: &str) -> String {
    let toml = Toml::new(&[memcached.addr()]).rule(rule);
    let all = listeners.iter();
    all.fold(toml, |toml, listen| toml.listener(listen, "py3"))
        .to_string()
}

/// Everything until the peer closes.
fn rest(mut stream: &TcpStream) -> String {
    let mut received = Vec::new();
    stream.read_to_end(&mut received).expect("a clean close");
    String::from_utf8_lossy(&received).into_owned()
}

// What clients see ---------------------------------------------------------------

#[test]
fn what_came_before_the_end_is_answered() {
    let memcached = Memcached::start();
    let listen = free_addr();
    let mut service = Service::start(&config(&[&listen], &memcached, SHARED));
    let client = connect(&listen);
    roundtrip(&client, b"get k\r\n", b"END\r\n");
    // What the system has taken meanwhile, picklegate sees together with the signal.
    service.signal(&["-STOP"]);
    (&client).write_all(&b"get k\r\n".repeat(50)).unwrap();
    let waiting = connect(&listen);
    (&waiting).write_all(b"get k\r\nge").unwrap();
    service.signal(&["-TERM", "-CONT"]);
    assert_eq!(rest(&client), "END\r\n".repeat(50));
    let mut reply = [0; 5];
    (&waiting).read_exact(&mut reply).unwrap();
    (&waiting).write_all(b"t k\r\n").unwrap();
    assert_eq!(rest(&waiting), "END\r\n");
    // What is said by who has not seen the end is not carried out, and resets nothing.
    (&client).write_all(b"set k 0 0 1\r\n1\r\n").unwrap();
    assert_eq!(rest(&client), "");
    drop((client, waiting));
    service.ended();
    assert_eq!(ask_text(&memcached.connect(), "get k\r\n"), "END\r\n");
}

#[test]
fn a_request_that_is_half_there_is_waited_for() {
    let memcached = Memcached::start();
    let (listen, admin) = (free_addr(), free_addr());
    let toml = config(&[&listen], &memcached, SHARED) + &format!("[admin]\nlisten = {admin:?}\n");
    let mut service = Service::start(&toml);
    let client = connect(&listen);
    roundtrip(&client, b"get k\r\n", b"END\r\n");
    assert_eq!(admin::page(&admin, "/ready").0, 200);
    (&client).write_all(b"set k 0 0 10\r\nhalf").unwrap();
    service.signal(&["-TERM"]);
    service.told("STOPPING=1");
    let draining = (503, "draining\n".to_owned());
    assert_eq!(admin::page(&admin, "/ready"), draining);
    (&client).write_all(b" a val\r\n").unwrap();
    assert_eq!(rest(&client), "STORED\r\n");
    drop(client);
    service.ended();
}

#[test]
fn who_never_stops_is_cut_between_two_replies() {
    let memcached = Memcached::start();
    let listen = free_addr();
    let rule = format!("{SHARED}[limits]\ndrain_timeout_ms = 2000\n");
    let mut service = Service::start(&config(&[&listen], &memcached, &rule));
    let client = connect(&listen);
    let mut writing = client.try_clone().unwrap();
    let writer =
        thread::spawn(move || while writing.write_all(&b"get k\r\n".repeat(999)).is_ok() {});
    (&client).read_exact(&mut [0; 50]).unwrap();
    service.signal(&["-TERM"]);
    assert_eq!(rest(&client).replace("END\r\n", ""), "");
    client.shutdown(Shutdown::Both).unwrap();
    writer.join().unwrap();
    service.ended();
}

#[test]
fn who_takes_nothing_is_cut_off_and_counted() {
    let memcached = Memcached::start();
    let listen = free_addr();
    let rule = format!("{SHARED}[limits]\ndrain_timeout_ms = 600\n");
    let mut service = Service::start(&config(&[&listen], &memcached, &rule));
    let value = "x".repeat(500_000);
    let stored = format!("set k 0 0 {}\r\n{value}\r\n", value.len());
    assert_eq!(ask_text(&memcached.connect(), &stored), "STORED\r\n");
    let [idle, deaf, deafer] = [(); 3].map(|()| connect(&listen));
    // More than the system keeps for who does not read.
    for mut client in [&deaf, &deafer] {
        client.write_all(&b"get k\r\n".repeat(100)).unwrap();
    }
    roundtrip(&idle, b"get n\r\n", b"END\r\n");
    service.stop();
    assert_eq!(rest(&idle), "");
    let told = service.stderr();
    let line = "2 connections were cut off after 600 ms, still owed something";
    assert_eq!(told.matches("cut off").count(), 1, "{told}");
    assert!(told.contains(line), "{told}");
}

// Restarts -----------------------------------------------------------------------

/// Clients of both kinds, and what they come to.
struct Load {
    stop: Arc<AtomicBool>,
    threads: Vec<thread::JoinHandle<Seen>>,
    pythons: Vec<(String, Child)>,
}

impl Load {
    fn start(addresses: &[&str], memcached: &Memcached) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut threads = Vec::new();
        // One that hardly rests, and one that is mostly idle.
        for (at, rest) in [1, 1, 70].into_iter().enumerate() {
            for address in addresses {
                let name = format!("{address}-{at}");
                let seeded = format!("set {name}:n 0 0 1\r\n0\r\n");
                assert_eq!(ask_text(&memcached.connect(), &seeded), "STORED\r\n");
                let (address, stop) = ((*address).to_owned(), Arc::clone(&stop));
                let rest = Duration::from_millis(rest);
                threads.push(thread::spawn(move || {
                    load::run(&address, &name, rest, &stop)
                }));
            }
        }
        let pythons = Python::all();
        if pythons.is_empty() {
            eprintln!("tests/process/drain: skipped: pymemcache (run tests/setup)");
        }
        let (host, port) = addresses[0].split_once(':').expect("host:port");
        let ends = [
            pythons.first(),
            pythons.last().filter(|_| pythons.len() > 1),
        ];
        let start = |python: &Python| {
            let version = python.version();
            let script =
                Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/process/drain/client.py");
            let child = python
                .command(&script)
                .args([host, port, &version])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn();
            (version, child.expect("the environment has a Python"))
        };
        let pythons = ends.into_iter().flatten().map(start).collect();
        Self {
            stop,
            threads,
            pythons,
        }
    }

    fn stop(self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        let mut seen = Seen::default();
        for thread in self.threads {
            seen.add(thread.join().expect("it panics at nothing"));
        }
        for (version, child) in self.pythons {
            // Ends its standard input.
            let output = child.wait_with_output().expect("a child of ours");
            let told: serde_json::Value = serde_json::from_slice(&output.stdout)
                .unwrap_or_else(|error| panic!("Python {version}: {error}: {output:?}"));
            println!("Python {version}: {told}");
            seen.replies += told["count"].as_u64().expect("a number") as usize;
            let errors = told["errors"].as_array().expect("a list");
            seen.wrong
                .extend(errors.iter().map(|e| format!("Python {version}: {e}")));
        }
        seen
    }
}

#[test]
fn no_reply_is_lost_while_two_instances_are_restarted_by_turns() {
    let memcached = Memcached::start();
    let listen = free_addr();
    let toml = config(&[&listen], &memcached, SHARED) + "[server]\nreuse_port = true\n";
    let mut services = [Service::start(&toml), Service::start(&toml)];
    let load = Load::start(&[&listen], &memcached);
    for at in 0..RESTARTS {
        thread::sleep(STAY);
        let service = &mut services[at % 2];
        service.stop();
        *service = Service::start(&toml);
    }
    let seen = load.stop();
    println!("{RESTARTS} restarts of two by turns: {seen:?}");
    assert!(seen.wrong.is_empty(), "{:#?}", seen.wrong);
    assert!(seen.ends >= RESTARTS / 2 && seen.replies > 10 * RESTARTS);
}

#[test]
fn no_connection_is_lost_while_sockets_stay() {
    let memcached = Memcached::start();
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let dir = tempfile::TempDir::new().unwrap();
    let path = dir.path().join("gate.sock");
    let unix = UnixListener::bind(&path).unwrap();
    let (listen, path) = (
        tcp.local_addr().unwrap().to_string(),
        path.display().to_string(),
    );
    let toml = config(&[&listen, &format!("unix:{path}")], &memcached, SHARED);
    let start = || {
        let sockets = [
            tcp.try_clone().unwrap().into(),
            unix.try_clone().unwrap().into(),
        ];
        Service::start_with(&toml, sockets)
    };
    let mut service = start();
    let load = Load::start(&[&listen, &path], &memcached);
    for _ in 0..PASSED_RESTARTS {
        thread::sleep(STAY);
        service.stop();
        service = start();
    }
    let seen = load.stop();
    println!("{PASSED_RESTARTS} restarts of one with passed sockets: {seen:?}");
    assert!(seen.wrong.is_empty(), "{:#?}", seen.wrong);
    assert_eq!(seen.turned_away, 0);
    assert!(seen.ends >= PASSED_RESTARTS && seen.replies > 10 * PASSED_RESTARTS);
    assert!(Path::new(&path).exists());
    assert!(!service.stderr().contains("WARN"), "{}", service.stderr());
}

// Service managers ---------------------------------------------------------------

#[test]
fn a_service_manager_is_told_what_happens() {
    let memcached = Memcached::start();
    let toml = config(&[&free_addr()], &memcached, SHARED);
    let mut service = Service::start_watched(&toml);
    service.told("WATCHDOG=1");
    service.signal(&["-HUP"]);
    let reloading = service.told("RELOADING=1");
    assert!(reloading.contains("\nMONOTONIC_USEC="), "{reloading}");
    let ready = service.told("READY=1");
    assert_eq!(ready.trim(), "READY=1\nSTATUS=1 listeners, configuration 2");
    service.signal(&["-TERM"]);
    service.told("STOPPING=1");
    service.ended();
}

#[test]
fn a_socket_that_nobody_listens_on_is_told_of() {
    let memcached = Memcached::start();
    let used = TcpListener::bind("127.0.0.1:0").unwrap();
    let unused = TcpListener::bind("127.0.0.1:0").unwrap();
    let (at, stranger) = (used.local_addr().unwrap(), unused.local_addr().unwrap());
    let toml = config(&[&at.to_string()], &memcached, SHARED);
    let service = Service::start_with(&toml, [used.into(), unused.into()]);
    let told = format!("a socket was passed for {stranger}, which no listener has");
    admin::await_that(&told, || service.stderr().contains(&told));
}

#[test]
fn systemd_starts_it_with_the_first_client() {
    let program = "systemd-socket-activate";
    if Command::new(program).arg("--version").output().is_err() {
        return eprintln!("tests/process/drain: skipped: no {program}");
    }
    let memcached = Memcached::start();
    let listen = free_addr();
    let dir = tempfile::TempDir::new().unwrap();
    let file = dir.path().join("picklegate.toml");
    std::fs::write(&file, config(&[&listen], &memcached, SHARED)).unwrap();
    // It becomes what it starts.
    let mut child = Command::new(program)
        .args([
            "-l",
            &listen,
            env!("CARGO_BIN_EXE_picklegate"),
            "serve",
            "--config",
        ])
        .arg(&file)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    admin::await_that("a socket", || TcpStream::connect(&listen).is_ok());
    assert_eq!(ask_text(&connect(&listen), "get k\r\n"), "END\r\n");
    child.kill().unwrap();
    child.wait().unwrap();
}
