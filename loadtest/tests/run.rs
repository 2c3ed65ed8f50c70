//! The generator itself: it counts what it did, and notices a server that
//! answers wrongly.

#![allow(clippy::unwrap_used)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

/// A memcached of this test alone.
struct Memcached {
    child: Child,
    port: u16,
}

impl Memcached {
    /// `None`, said aloud, where memcached is not installed.
    fn start() -> Option<Self> {
        let probe = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = probe.local_addr().unwrap().port();
        drop(probe);
        let child = Command::new("memcached")
            .args(["-l", "127.0.0.1", "-u", "root", "-t", "1", "-p"])
            .arg(port.to_string())
            .stderr(Stdio::null())
            .spawn();
        let Ok(child) = child else {
            eprintln!("skipped: memcached is not installed");
            return None;
        };
        let memcached = Self { child, port };
        let end = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < end, "memcached does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
        Some(memcached)
    }

    fn target(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

impl Drop for Memcached {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn loadtest(targets: &[String], arguments: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_picklegate-loadtest"));
    command.args(["run", "--json", "-"]);
    for target in targets {
        command.args(["--target", target]);
    }
    command
        .args(arguments.split_whitespace())
        .output()
        .expect("the binary was built for this test")
}

fn report(output: &Output) -> Value {
    let said = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"))
}

#[test]
fn every_kind_of_load_finds_what_it_wrote() {
    let Some(memcached) = Memcached::start() else {
        return;
    };
    for arguments in [
        "--connections 5 --requests 2000",
        "--connections 3 --depth 7 --requests 2000 --dist zipf:0.99",
        "--meta --depth 4 --multiget 20 --multiget-keys 10 --requests 2000",
        "--get 40 --set 20 --multiget 40 --multiget-keys 10 --requests 1000",
        "--raw --value-bytes 1 --requests 1000",
        "--value-bytes 100000 --requests 200 --connections 4",
        "--plain --requests 1000 --multiget 10 --connections 4",
        "--rate 2000 --seconds 0.4 --warmup 0 --connections 4",
        "--rate 2000 --poisson --seconds 0.4 --warmup 0.1 --connections 4",
    ] {
        let output = loadtest(&[memcached.target()], &format!("--keys 300 {arguments}"));
        let report = report(&output);
        assert!(output.status.success(), "{arguments}: {report}");
        assert_eq!(report["wrong"], 0, "{arguments}");
        assert_eq!(report["missing_keys"], 0, "{arguments}");
        let requests = report["requests"].as_u64().unwrap();
        match arguments.split_once("--requests ") {
            Some((_, number)) => {
                let number = number.split(' ').next().unwrap();
                assert_eq!(requests.to_string(), number, "{arguments}");
            }
            None => assert!(requests > 0, "{arguments}"),
        }
    }
}

#[test]
fn runtimes_that_are_not_kept_apart_are_noticed() {
    let Some(memcached) = Memcached::start() else {
        return;
    };
    let targets = ["py2.7", "py3.11"].map(|tag| format!("{}={tag}", memcached.target()));
    let apart = loadtest(&targets, "--requests 1000 --keys 100");
    assert!(apart.status.success(), "{}", report(&apart));
    let shared = loadtest(&targets, "--requests 1000 --keys 100 --shared-keys");
    assert_eq!(shared.status.code(), Some(1));
    assert!(report(&shared)["wrong"].as_u64().unwrap() > 0);
}

/// Keys and values with their line ends.
type Memory = Arc<Mutex<Vec<(String, Vec<u8>)>>>;

/// Answers one client, with the value of another key to every tenth read.
fn swap_values(client: TcpStream, memory: &Memory) -> std::io::Result<()> {
    let mut reads = 0;
    client.set_nodelay(true)?;
    let mut input = BufReader::new(client.try_clone()?);
    let mut output = client;
    let mut line = String::new();
    while input.read_line(&mut line)? > 0 {
        let mut stored = memory.lock().unwrap();
        match line.split_whitespace().collect::<Vec<_>>()[..] {
            ["set", key, _, _, length] => {
                let mut value = vec![0; length.parse::<usize>().unwrap() + 2];
                input.read_exact(&mut value)?;
                stored.push((key.to_owned(), value));
                output.write_all(b"STORED\r\n")?;
            }
            ["get", key] => {
                reads += 1;
                let at = stored.iter().position(|(other, _)| other == key).unwrap();
                let at = (at + usize::from(reads % 10 == 0)) % stored.len();
                let value = &stored[at].1;
                write!(output, "VALUE {key} 1 {}\r\n", value.len() - 2)?;
                output.write_all(value)?;
                output.write_all(b"END\r\n")?;
            }
            _ => output.write_all(b"ERROR\r\n")?,
        }
        line.clear();
    }
    Ok(())
}

#[test]
fn swapped_values_are_noticed() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        let memory = Memory::default();
        for client in listener.incoming().flatten() {
            let memory = Arc::clone(&memory);
            // A client that goes away ends only itself.
            std::thread::spawn(move || swap_values(client, &memory).ok());
        }
    });
    let mix = "--keys 20 --connections 1 --depth 3 --get 100 --set 0 --requests 400";
    let output = loadtest(&[target], mix);
    let report = report(&output);
    assert_eq!(output.status.code(), Some(1), "{report}");
    assert_eq!(report["wrong"], 40, "{report}");
    assert_eq!(
        report["requests"], 400,
        "the load goes on after a wrong reply"
    );
}

#[test]
fn what_is_no_reply_is_wrong_too() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let mut client = client;
            let _ = client.read(&mut [0; 100]);
            let _ = client.write_all(b"220 mail.example ESMTP\r\n");
            // Held open: only what came can have ended the load.
            std::mem::forget(client);
        }
    });
    let output = loadtest(&[target], "--no-preload --connections 1 --requests 10");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(report(&output)["wrong"], 1);
}

#[test]
fn usage_errors_are_64() {
    for arguments in [
        "--depth 0",
        "--value-bytes 10",
        "--get 0 --set 0",
        "--dist normal",
    ] {
        let output = loadtest(&["127.0.0.1:1".to_owned()], arguments);
        assert_eq!(output.status.code(), Some(64), "{arguments}");
    }
}

#[test]
fn the_script_is_a_program() {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("compare");
    let checked = Command::new("bash").arg("-n").arg(script).status().unwrap();
    assert!(checked.success());
}
