//! Cost of asking the system: how much longer a new connection's first reply takes where
//! its process is looked up, at a thousand connections a second, beside many sockets and
//! processes that have nothing to do with it.

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;

use super::{configuration, identifies};
use crate::support::pythons::Python;
use crate::support::{Memcached, Picklegate, free_addr};

/// Connections of each process, and how many it makes a second.
const CONNECTIONS: usize = 1_500;
const RATE: usize = 250;
/// Processes that connect.
const CLIENTS: usize = 4;
/// Bystanders: pairs of sockets, and processes.
const SOCKETS: usize = 900;
const BYSTANDERS: usize = 300;

struct Bystander(Child);

impl Drop for Bystander {
    fn drop(&mut self) {
        // It sleeps for longer than this takes.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
#[ignore = "a measurement: run it with --release and --nocapture"]
fn what_looking_a_process_up_costs_at_a_thousand_connections_a_second() {
    let Some(python) = Python::all().into_iter().next_back() else {
        println!("skipped: no Python environments (run tests/setup)");
        return;
    };
    let idle = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
    let addr = idle.local_addr().expect("it is bound");
    let pairs = (0..SOCKETS).map(|_| {
        let near = TcpStream::connect(addr).expect("it listens");
        (near, idle.accept().expect("one that connected"))
    });
    let _pairs: Vec<_> = pairs.collect();
    let sleep = || Command::new("sleep").arg("600").spawn();
    let bystanders = (0..BYSTANDERS).map(|_| Bystander(sleep().expect("a sleep")));
    let _bystanders: Vec<Bystander> = bystanders.collect();

    let (plain, asking, admin) = (free_addr(), free_addr(), free_addr());
    let how = identifies("[\"process\"]", "refuse");
    let listeners = [(&*plain, "runtime = \"python/3.11\""), (&*asking, &*how)];
    let memcached = Memcached::start();
    let toml = configuration(&listeners, &memcached.addr(), &admin);
    let _gate = Picklegate::with_config(&toml);
    let pause_us = (1_000_000 / RATE).to_string();
    let client = || {
        python
            .command(Path::new(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/tests/wire/identity/paced.py"
            )))
            .args([&*CONNECTIONS.to_string(), &pause_us, &plain, &asking])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the environment is whole")
    };
    let clients: Vec<Child> = (0..CLIENTS).map(|_| client()).collect();
    let waits = clients
        .into_iter()
        .map(|client| thread::spawn(|| client.wait_with_output().expect("a child of ours")));
    let mut took = [Vec::new(), Vec::new()];
    for wait in waits.collect::<Vec<_>>() {
        let output = wait.join().expect("it does not panic");
        assert!(output.status.success());
        let text = String::from_utf8(output.stdout).expect("numbers");
        for (all, line) in took.iter_mut().zip(text.lines()) {
            let times = line.split(' ').map(str::parse::<u64>);
            all.extend(times.map(|us| us.expect("a number")));
        }
    }
    let mut medians = [0; 2];
    for ((what, all), median) in ["told by the listener", "told by the process"]
        .iter()
        .zip(&mut took)
        .zip(&mut medians)
    {
        all.sort_unstable();
        let at = |percent: usize| all[(all.len() - 1) * percent / 100];
        *median = at(50);
        println!(
            "{what}: {} connections, first reply after {} us (p50), {} us (p90), {} us (p99)",
            all.len(),
            at(50),
            at(90),
            at(99)
        );
    }
    let costs = medians[1].saturating_sub(medians[0]);
    println!("a look-up: {costs} us (p50)");
    assert!(costs < 1_000, "{costs} us");
}
