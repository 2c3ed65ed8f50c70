//! Upstreams that answer several requests at once, or one in several parts: what
//! memcached does without room for replies, and its proxy with a node that is down.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::scene::Scene;
use crate::support::admin;
use crate::support::{Memcached, ask, ask_text, connect, free_port};

// No room for replies ------------------------------------------------------------------

#[test]
fn who_asks_for_more_than_memcached_has_room_for_keeps_nobody_waiting() {
    let memcached = Memcached::start_with(&["-o", "read_buf_mem_limit=1", "-t", "32"]);
    let rule = "[[rules]]\nprefix = \"soft:\"\nmode = \"shared\"\n";
    let scene = Scene::with(&memcached.addr(), rule);
    let greedy: Vec<TcpStream> = (0..4).map(|_| connect(&scene.listens[0])).collect();
    let other = connect(&scene.listens[1]);
    for key in 0..200 {
        assert_eq!(
            ask_text(&greedy[0], &format!("set soft:{key} 0 0 1\r\nx\r\n")),
            "STORED\r\n"
        );
    }
    assert_eq!(
        ask_text(&other, "set soft:own 0 0 1\r\nx\r\n"),
        "STORED\r\n"
    );
    // They have shown that what they ask for is small.
    for client in &greedy {
        ask(client, &b"mn\r\n".repeat(200));
    }
    let keys: Vec<String> = (0..200).map(|key| format!(" soft:{key}")).collect();
    let keys = keys.concat();
    let start = Instant::now();
    let (mut slowest, mut hits, mut asked) = (Duration::ZERO, 0, 0);
    while start.elapsed() < Duration::from_secs(2) {
        for mut client in &greedy {
            let request = format!("get{keys}\r\n").repeat(8);
            client.write_all(request.as_bytes()).expect("it is read");
        }
        for request in ["get soft:own\r\n", "set soft:w 0 0 1\r\nx\r\n"] {
            let sent = Instant::now();
            let reply = ask_text(&other, request);
            slowest = slowest.max(sent.elapsed());
            asked += 1;
            hits +=
                usize::from(reply == "VALUE soft:own 0 1\r\nx\r\nEND\r\n" || reply == "STORED\r\n");
            let is_right = match request {
                "get soft:own\r\n" => {
                    reply == "VALUE soft:own 0 1\r\nx\r\nEND\r\n" || reply == "END\r\n"
                }
                _ => reply == "STORED\r\n" || reply.starts_with("SERVER_ERROR "),
            };
            assert!(is_right, "{reply}");
        }
        for client in &greedy {
            ask(client, b"");
        }
    }
    let failures = scene.count("upstream_failures_total", &[]);
    // Whoever was under way at the first time may have been told so.
    assert!(hits * 10 >= asked * 9, "{hits} of {asked}");
    println!("{hits} of {asked} answered, slowest {slowest:?}, {failures} connections dropped");
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
    let told = scene.gate.stderr();
    assert!(
        !told.contains("malformed") && !told.contains("timed out"),
        "{told}"
    );
}

// A proxy in between -------------------------------------------------------------------

const DOWN: &str = "SERVER_ERROR backend failure\r\n";

/// Answers as memcached 1.6.45 does as a proxy (routelib) for three nodes of which the
/// second is down: recorded from it.
struct Stand {
    addr: String,
}

type Items = Arc<Mutex<HashMap<String, String>>>;

fn node_of(key: &str) -> usize {
    key.bytes().map(usize::from).sum::<usize>() % 3
}

impl Stand {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
        let addr = listener.local_addr().expect("it is bound").to_string();
        let items = Items::default();
        // Ends with the test process.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let items = Arc::clone(&items);
                thread::spawn(move || {
                    let _ = serve(&stream, &items);
                });
            }
        });
        Self { addr }
    }
}

fn value_of(key: &str, value: &str, cas: &str) -> String {
    format!("VALUE {key} 0 {}{cas}\r\n{value}\r\n", value.len())
}

fn serve(mut stream: &TcpStream, items: &Items) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        let mut items = items.lock().expect("no holder panics");
        let is_down = |key: &str| node_of(key) == 1;
        let reply = match &words[..] {
            ["version"] => "VERSION 1.6.45\r\n".to_owned(),
            ["get" | "gets", keys @ ..] => {
                let cas = if words[0] == "gets" { " 7" } else { "" };
                let mut all = String::new();
                for key in keys {
                    match items.get(*key) {
                        _ if is_down(key) => all += DOWN,
                        Some(value) => {
                            all += &value_of(key, value, cas);
                        }
                        None => {}
                    }
                }
                if !(keys.len() == 1 && is_down(keys[0])) {
                    all += "END\r\n";
                }
                all
            }
            ["mg", key, ..] => match items.get(*key) {
                _ if is_down(key) => DOWN.to_owned(),
                Some(value) => format!("VA {} k{key} f0\r\n{value}\r\n", value.len()),
                None => format!("EN k{key}\r\n"),
            },
            ["set", key, _, _, len] => {
                let mut value = vec![0; len.parse::<usize>().unwrap_or_default() + 2];
                reader.read_exact(&mut value)?;
                value.truncate(value.len() - 2);
                if is_down(key) {
                    DOWN.to_owned()
                } else {
                    items.insert(
                        (*key).to_owned(),
                        String::from_utf8_lossy(&value).into_owned(),
                    );
                    "STORED\r\n".to_owned()
                }
            }
            ["delete", key] => match items.remove(*key) {
                _ if is_down(key) => DOWN.to_owned(),
                Some(_) => "DELETED\r\n".to_owned(),
                None => "NOT_FOUND\r\n".to_owned(),
            },
            _ => "ERROR\r\n".to_owned(),
        };
        stream.write_all(reply.as_bytes())?;
    }
}

/// Many clients read through a proxy that has lost a node: each gets the values of the
/// others, and nobody's connection is disturbed.
fn only_the_failed_nodes_keys_fail(server: &str, fails: impl Fn()) {
    let rule = "[[rules]]\nprefix = \"hard:\"\nmode = \"shared\"\non_upstream_failure = \"error\"\n\
                [[rules]]\nprefix = \"soft:\"\nmode = \"shared\"\n";
    let scene = Scene::with(server, rule);
    let writer = connect(&scene.listens[0]);
    let keys: Vec<String> = (0..30).map(|n| format!("soft:{n}")).collect();
    let mut stored = Vec::new();
    for key in &keys {
        let reply = ask_text(
            &writer,
            &format!("set {key} 0 0 {}\r\n{key}\r\n", key.len()),
        );
        if reply == "STORED\r\n" {
            stored.push(key.clone());
        }
    }
    fails();
    // Those that the failed node does not hold.
    let alone = |key: &String| ask_text(&writer, &format!("get {key}\r\n")).starts_with("VALUE");
    let live: Vec<&String> = stored.iter().filter(|key| alone(key)).collect();
    println!("{} of {} keys are live", live.len(), keys.len());
    assert!(live.len() > 5 && live.len() < keys.len() - 3, "{live:?}");
    let request = format!("get {} soft:missing soft:none\r\n", keys.join(" "));
    let check = |client: &TcpStream| {
        let found = ask_text(client, &request);
        for key in &keys {
            let value = format!("VALUE {key} 0 {}\r\n{key}\r\n", key.len());
            assert_eq!(
                found.contains(&value),
                live.contains(&key),
                "{key}: {found}"
            );
        }
        assert!(
            found.ends_with("END\r\n") && !found.contains("ERROR"),
            "{found}"
        );
    };
    check(&writer);
    let before = scene.count("upstream_failures_total", &[]);
    thread::scope(|scope| {
        for listen in scene.listens.iter().cycle().take(6) {
            let client = connect(listen);
            let check = &check;
            scope.spawn(move || {
                for _ in 0..40 {
                    check(&client);
                }
            });
        }
    });
    let after = scene.count("upstream_failures_total", &[]);
    println!("{before} connections dropped at first, {after} in the end");
    // One for each lane of a worker that is the first to see it.
    assert!(after <= 2 * crate::scene::LANES, "{after}");
    // A rule may want to be told of it.
    let hard = (0..30).map(|n| ask_text(&writer, &format!("get hard:{n}\r\n")));
    let told: Vec<String> = hard.filter(|reply| reply != "END\r\n").collect();
    assert!(
        !told.is_empty() && told.iter().all(|reply| reply == DOWN),
        "{told:?}"
    );
    assert!(scene.count("requests_total", &["result=\"upstream_miss\""]) > 0);
    assert!(scene.count("upstream_errors_total", &[]) > 0);
}

#[test]
fn only_the_keys_of_a_proxys_failed_node_fail() {
    let stand = Stand::start();
    only_the_failed_nodes_keys_fail(&stand.addr, || {});
}

/// A memcached, ended when dropped.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn program(path: &str, port: u16, more: &[&str]) -> Program {
    let port = port.to_string();
    let child = Command::new(path)
        .args([
            "-u",
            "root",
            "-U",
            "0",
            "-l",
            "127.0.0.1",
            "-t",
            "1",
            "-p",
            &port,
        ])
        .args(more)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let child = Program(child.expect("it can be run"));
    admin::await_that("a memcached to listen", || {
        TcpStream::connect(format!("127.0.0.1:{port}")).is_ok()
    });
    child
}

/// Uses memcached's own proxy, if `PICKLEGATE_MEMCACHED` names a memcached that can be
/// one.
#[test]
fn only_the_keys_of_memcacheds_own_proxys_failed_node_fail() {
    let path = std::env::var("PICKLEGATE_MEMCACHED").unwrap_or_else(|_| "memcached".to_owned());
    let help = Command::new(&path).arg("-h").output();
    let can = help.is_ok_and(|help| String::from_utf8_lossy(&help.stdout).contains("proxy_config"));
    if !can {
        eprintln!("tests/faults: skipped: memcached's own proxy (PICKLEGATE_MEMCACHED names none)");
        return;
    }
    let dir = tempfile::TempDir::new().expect("a writable temporary directory");
    let ports: Vec<u16> = (0..3).map(|_| free_port()).collect();
    let mut nodes: Vec<_> = ports
        .iter()
        .map(|port| Some(program(&path, *port, &[])))
        .collect();
    let backends: Vec<String> = ports
        .iter()
        .map(|port| format!("\"127.0.0.1:{port}\""))
        .collect();
    let backends = backends.join(", ");
    let routes = dir.path().join("routes.lua");
    let lua = format!(
        "pools{{ main = {{ backends = {{ {backends} }} }} }}\n\
         routes{{ default = route_direct{{ child = \"main\" }} }}\n"
    );
    std::fs::write(&routes, lua).expect("a writable temporary directory");
    let port = free_port();
    let how = format!("proxy_config=routelib,proxy_arg={}", routes.display());
    let _proxy = program(&path, port, &["-o", &how]);
    let second = Mutex::new(nodes[1].take());
    only_the_failed_nodes_keys_fail(&format!("127.0.0.1:{port}"), || {
        drop(second.lock().expect("no holder panics").take());
        thread::sleep(Duration::from_millis(200));
    });
}
