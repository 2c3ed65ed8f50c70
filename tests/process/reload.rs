//! Reloads that renumber, remove and bring back namespaces, listeners, servers and limits
//! while clients ask. Against real memcacheds.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use crate::support::admin;
use crate::support::toml::Toml;
use crate::support::{Memcached, Picklegate, ask_text, connect, free_addr};

/// Reloads in one test.
const RELOADS: usize = 20;
const GONE: &str = "SERVER_ERROR picklegate: this listener is gone\r\n";

/// A picklegate whose file is replaced.
struct Reloaded {
    gate: Picklegate,
    admin: String,
}

impl Reloaded {
    /// Serves `toml`, with an admin address.
    fn start(toml: &str) -> Self {
        let admin = free_addr();
        let gate = Picklegate::with_config(with_admin(toml, &admin));
        Self { gate, admin }
    }

    /// Returns once all workers serve `toml`.
    fn reload(&self, toml: &str) {
        let before = admin::generation(&admin::status(&self.admin));
        let file = self.gate.config_file();
        let new = file.with_extension("new");
        fs::write(&new, with_admin(toml, &self.admin)).expect("a writable directory");
        fs::rename(new, file).expect("a writable directory");
        self.gate.hang_up();
        admin::await_status(&self.admin, "a new configuration", |status| {
            admin::generation(status) > before
        });
    }

    /// All series whose labels name this.
    fn series_of(&self, name: &str) -> Vec<String> {
        let (code, text) = admin::page(&self.admin, "/metrics");
        assert_eq!(code, 200);
        let label = format!("=\"{name}\"");
        let named = text.lines().filter(|line| line.contains(&label));
        named.map(str::to_owned).collect()
    }
}

fn with_admin(toml: &str, admin: &str) -> String {
    format!("{toml}\n[admin]\nlisten = \"{admin}\"\n")
}

/// Namespaces in this order, listeners, servers, and one isolated family.
fn toml(namespaces: &[&str], listeners: &[(&str, &str)], servers: &[&str]) -> String {
    let mut toml = Toml::without_namespaces(servers).table("server", "workers = 2");
    for name in namespaces {
        let runtimes = match *name {
            "py2" => "python <3",
            "py3" => "python >=3, <3.11",
            _ => "python >=3.11",
        };
        toml = toml.namespace(name, runtimes);
    }
    for (listen, runtime) in listeners {
        toml = toml.listener(listen, runtime);
    }
    let rule = "mode = \"isolate\"\ncoherence = \"deletes\"";
    toml.rule(rule).to_string()
}

/// Asks for `k` on connections of its own until told to stop, several requests at a
/// time; whatever is answered that is neither its own value nor a refusal.
fn loop_client(listen: &str, own: &str, stop: &AtomicBool, served: &AtomicUsize) -> Vec<String> {
    let mut wrong = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let Ok(stream) = TcpStream::connect(listen) else {
            thread::yield_now();
            continue;
        };
        let mut lines = BufReader::new(stream.try_clone().expect("a descriptor")).lines();
        while (&stream).write_all(&b"get k\r\n".repeat(20)).is_ok() && !stop.load(Ordering::Relaxed)
        {
            let replies = lines.by_ref().map_while(Result::ok);
            let mut ends = 0;
            for line in replies {
                match &*line {
                    "END" => ends += 1,
                    "VALUE k 0 4" => {}
                    _ if line == own => {
                        served.fetch_add(1, Ordering::Relaxed);
                    }
                    _ if line.starts_with("SERVER_ERROR picklegate: ") => {}
                    _ => wrong.push(line),
                }
                if ends == 20 {
                    break;
                }
            }
            if ends < 20 {
                break;
            }
        }
    }
    wrong
}

#[test]
fn no_client_gets_anothers_values_while_namespaces_change_places_and_listeners_go() {
    let memcached = Memcached::start();
    let raw = memcached.connect();
    for name in ["py2", "py3", "py311"] {
        let stored = ask_text(
            &raw,
            &format!("set @{name}{}k 0 0 4\r\n{name:_<4.4}\r\n", padding(name)),
        );
        assert_eq!(stored, "STORED\r\n");
    }
    let [py2, py37, py311] = [free_addr(), free_addr(), free_addr()];
    let all = [(&*py2, "py2"), (&*py37, "py3.7"), (&*py311, "py3.11")];
    let upstream = memcached.addr();
    let first = toml(&["py2", "py3", "py311"], &all, &[&upstream]);
    let next = toml(&["py311", "py2", "py3"], &[all[0], all[2]], &[&upstream]);
    let reloaded = Reloaded::start(&first);
    let stop = AtomicBool::new(false);
    let served: [AtomicUsize; 3] = Default::default();
    let own = ["py2_", "py3_", "py31"];
    thread::scope(|scope| {
        let clients: Vec<_> = (0..6)
            .map(|n| {
                let (listen, own, served) = (all[n % 3].0, own[n % 3], &served[n % 3]);
                let stop = &stop;
                scope.spawn(move || loop_client(listen, own, stop, served))
            })
            .collect();
        for n in 0..RELOADS {
            let before = served
                .each_ref()
                .map(|served| served.load(Ordering::Relaxed));
            reloaded.reload(if n % 2 == 0 { &next } else { &first });
            let awaited: &[usize] = if n % 2 == 0 { &[0, 2] } else { &[0, 1, 2] };
            admin::await_that("clients to be served", || {
                let is_served = |&n: &usize| served[n].load(Ordering::Relaxed) > before[n];
                awaited.iter().all(is_served)
            });
        }
        stop.store(true, Ordering::Relaxed);
        for client in clients {
            assert_eq!(client.join().unwrap(), Vec::<String>::new());
        }
    });
    let stderr = reloaded.gate.stderr();
    assert!(!stderr.contains("panicked"), "{stderr}");
}

/// Characters between the name of a namespace and the client key.
fn padding(name: &str) -> &'static str {
    match name.len() % 3 {
        0 => "//",
        1 => "/",
        _ => "///",
    }
}

#[test]
fn the_first_namespace_and_a_listener_go_and_nothing_ends() {
    let memcached = Memcached::start();
    let [py2, py37, py311] = [free_addr(), free_addr(), free_addr()];
    let all = [(&*py2, "py2"), (&*py37, "py3.7"), (&*py311, "py3.11")];
    let server = memcached.addr();
    let patient = "[limits]\nrequest_timeout_ms = 60000\n";
    let first = toml(&["py2", "py3", "py311"], &all, &[&server]) + patient;
    let next = toml(&["py3"], &all[1..2], &[&server]) + patient;
    let mut reloaded = Reloaded::start(&first);
    let clients = all.map(|(listen, _)| connect(listen));
    for client in &clients {
        assert_eq!(ask_text(client, "set k 0 0 1\r\n1\r\n"), "STORED\r\n");
    }
    // Held up: what is behind it waits for the reload.
    memcached.freeze();
    let waiting = b"get k\r\nset late 0 0 1\r\n1\r\n";
    for client in &clients {
        (&*client).write_all(b"get k\r\n").unwrap();
    }
    admin::await_that("requests in flight", || {
        admin::metric(&reloaded.admin, "picklegate_upstream_in_flight", &[]) >= 1
    });
    let generation = admin::generation(&admin::status(&reloaded.admin));
    let file = reloaded.gate.config_file();
    fs::write(&file, with_admin(&next, &reloaded.admin)).unwrap();
    reloaded.gate.hang_up();
    let waits = admin::await_status(&reloaded.admin, "both workers to wait", |status| {
        status["reloading"] == 2
    });
    assert_eq!(admin::generation(&waits), generation);
    let waiting_workers = || admin::metric(&reloaded.admin, "picklegate_worker_reloading", &[]);
    assert_eq!(waiting_workers(), 2);
    assert!(TcpStream::connect(&py2).is_err());
    for client in &clients {
        (&*client).write_all(waiting).unwrap();
    }
    // They are read while the workers wait.
    admin::page(&reloaded.admin, "/metrics");
    memcached.thaw();
    // The workers are asked first: what they say may be of a moment before.
    admin::await_status(
        &reloaded.admin,
        "a new configuration everywhere",
        |status| admin::generation(status) > generation && status["reloading"] == 0,
    );
    assert_eq!(waiting_workers(), 0);
    let hit = "VALUE k 0 1\r\n1\r\nEND\r\n";
    let ends = [0, 2].map(|n| {
        let mut text = String::new();
        (&clients[n]).read_to_string(&mut text).unwrap();
        text
    });
    for end in ends {
        assert_eq!(end, format!("{hit}{GONE}"));
    }
    let late = "VALUE late 0 1\r\n1\r\nEND\r\n";
    let stays = ask_text(&clients[1], "get late\r\n");
    assert_eq!(stays, format!("{hit}{hit}STORED\r\n{late}"));
    let raw = memcached.connect();
    let late = ask_text(&raw, "get late @py2//late @py311///late\r\n");
    assert_eq!(late, "END\r\n");
    reloaded.gate.terminate();
    assert_eq!(
        reloaded.gate.exit_code(),
        Some(0),
        "{}",
        reloaded.gate.stderr()
    );
}

#[test]
fn a_lower_limit_of_connections_counts_those_that_are_there() {
    let memcached = Memcached::start();
    let listen = free_addr();
    let server = memcached.addr();
    let plain =
        toml(&["py3"], &[(&listen, "py3.7")], &[&server]).replace("workers = 2", "workers = 1");
    let reloaded = Reloaded::start(&plain);
    let mut clients: Vec<_> = (0..200).map(|_| connect(&listen)).collect();
    for client in &clients {
        assert_eq!(ask_text(client, "get k\r\n"), "END\r\n");
    }
    reloaded.reload(&format!("{plain}[limits]\nmax_connections = 3\n"));
    let connections = || admin::metric(&reloaded.admin, "picklegate_connections", &[]);
    // Whoever comes gets the place of who left last: one of the highest.
    clients.drain(1..150);
    admin::await_that("some to be gone", || connections() == 51);
    clients.truncate(1);
    admin::await_that("the others to be gone", || connections() == 1);
    let more: Vec<_> = (0..2).map(|_| connect(&listen)).collect();
    for client in clients.iter().chain(&more) {
        assert_eq!(ask_text(client, "get k\r\n"), "END\r\n");
    }
    let mut refused = String::new();
    connect(&listen).read_to_string(&mut refused).unwrap();
    assert_eq!(refused, "ERROR Too many open connections\r\n");
}

#[test]
fn what_is_gone_leaves_the_metrics_and_starts_again_when_it_returns() {
    let memcacheds = [Memcached::start(), Memcached::start()];
    let servers = memcacheds.each_ref().map(Memcached::addr);
    let [py2, py37] = [free_addr(), free_addr()];
    let all = [(&*py2, "py2"), (&*py37, "py3.7")];
    let both = [&*servers[0], &*servers[1]];
    let rule = "[[rules]]\nprefix = \"gone:\"\nmode = \"guard\"\n";
    let first = toml(&["py2", "py3"], &all, &both) + rule;
    let next =
        toml(&["py3"], &all[1..], &both[1..]) + "[[rules]]\nprefix = \"new:\"\nmode = \"shared\"\n";
    let reloaded = Reloaded::start(&first);
    let gone = [&*servers[0], &*py2, "py2", "gone:"];
    let talk = || -> Vec<TcpStream> {
        let clients: Vec<_> = all.iter().map(|(listen, _)| connect(listen)).collect();
        for client in &clients {
            for n in 0..20 {
                let stored = ask_text(client, &format!("set k{n} 0 0 1\r\n1\r\n"));
                assert_eq!(stored, "STORED\r\n");
            }
        }
        clients
    };
    for _ in 0..2 {
        let clients = talk();
        for name in gone {
            assert!(!reloaded.series_of(name).is_empty(), "{name}");
        }
        let count = |name: &str, label: &str| admin::metric(&reloaded.admin, name, &[label]);
        assert_eq!(count("picklegate_upstream_connections", &servers[0]), 4);
        admin::await_that("only them", || count("picklegate_connections", "") == 2);
        let stored = format!("listener=\"{py2}\",namespace=\"py2\",command=\"set\"");
        let stored = count("picklegate_requests_total", &stored);
        assert_eq!(stored, 20);
        reloaded.reload(&next);
        for name in gone {
            assert_eq!(reloaded.series_of(name), Vec::<String>::new(), "{name}");
        }
        assert!(!reloaded.series_of("new:").is_empty());
        assert_eq!(
            ask_text(&clients[1], "get k1\r\n").lines().last(),
            Some("END")
        );
        drop(clients);
        reloaded.reload(&first);
        assert!(reloaded.series_of("new:").is_empty());
        admin::await_that("connections to the server that returned", || {
            count("picklegate_upstream_connections", &servers[0]) == 4
        });
    }
}
