//! Owns sidecars that between them have everything wrong that an alert is about,
//! and the traffic that shows it.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use crate::support::toml::Toml;
use crate::support::{Memcached, Picklegate, ask, connect, free_addr};

/// A family of keys for each thing that a rule can do.
const RULES: &str = r#"
mode = "isolate"
read_through = true
[[rules]]
prefix = "watch:"
mode = "observe"
[[rules]]
prefix = "guard:"
mode = "guard"
[[rules]]
prefix = "header:"
mode = "guard"
sniff = "header"
[[rules]]
prefix = "reject:"
mode = "guard"
on_unloadable_write = "reject"
[[rules]]
prefix = "other:"
mode = "guard"
sniff = "full"
on_unloadable_read = "transcode"
"#;
const ISOLATE: &str = "mode = \"isolate\"\n";

/// `None`, as protocol 2 and as protocol 4.
const PICKLE_2: &[u8] = b"\x80\x02N.";
const PICKLE_4: &[u8] = b"\x80\x04N.";
/// A pickle that names its object by an id, which only its application can resolve.
const PERSISTENT: &[u8] = b"\x80\x04\x8c\x02idQ.";

/// One sidecar and its clients.
struct Sidecar {
    _gate: Picklegate,
    py2: String,
    py3: String,
    untagged: String,
    admin: String,
    file: PathBuf,
}

impl Sidecar {
    /// `rule` is for all keys; it may go on with further tables.
    fn start(dir: &TempDir, name: &str, server: &str, rule: &str) -> Self {
        let [py2, py3, untagged, admin] = std::array::from_fn(|_| free_addr());
        let toml = Toml::new(&[server])
            .admin(&admin)
            .listener(&py2, "py2.7")
            .listener(&py3, "py3.11")
            .listener_with(&untagged, "identify = [\"hello\"]\nuntagged = \"refuse\"")
            .rule(rule);
        let file = dir.path().join(name);
        fs::write(&file, toml.to_string()).expect("a writable temporary directory");
        let path = file.to_str().expect("a UTF-8 path");
        let gate = Picklegate::with_args(&["serve", "--config", path]);
        // The admin address is the last that accepts.
        let accepts = (0..500).any(|_| {
            thread::sleep(Duration::from_millis(20));
            TcpStream::connect(&admin).is_ok()
        });
        assert!(accepts, "picklegate does not start:\n{}", gate.stderr());
        Self {
            _gate: gate,
            py2,
            py3,
            untagged,
            admin,
            file,
        }
    }
}

/// Sidecars, their upstreams, and who asks them.
pub(crate) struct Fleet {
    /// With the rules above and a memcached that works.
    stages: Sidecar,
    /// With a server that is slow, fails to delete, and room for one client.
    slow: Sidecar,
    /// With a server that closes every other time.
    torn: Sidecar,
    /// With a server that died.
    dead: Option<Sidecar>,
    clients: Clients,
    rounds: usize,
    _memcached: Memcached,
    _dir: TempDir,
}

struct Clients {
    py2: TcpStream,
    py3: TcpStream,
    slow: TcpStream,
    torn: TcpStream,
    dead: TcpStream,
}

impl Fleet {
    pub(crate) fn start() -> Self {
        let dir = TempDir::new().expect("a writable temporary directory");
        let (memcached, dying) = (Memcached::start(), Memcached::start());
        let slow_server = false_server(|line| {
            thread::sleep(Duration::from_millis(60));
            Some(if line.starts_with("get") {
                b"END\r\n"
            } else {
                b"SERVER_ERROR out of memory\r\n"
            })
        });
        let asked = AtomicUsize::new(0);
        let torn_server = false_server(move |_| {
            let answers = asked.fetch_add(1, Ordering::Relaxed).is_multiple_of(2);
            answers.then_some(b"END\r\n".as_slice())
        });
        let stages = Sidecar::start(&dir, "stages", &memcached.addr(), RULES);
        let one = format!("{ISOLATE}[limits]\nmax_connections = 1\n");
        let slow = Sidecar::start(&dir, "slow", &slow_server, &one);
        let torn = Sidecar::start(&dir, "torn", &torn_server, ISOLATE);
        let dead = Sidecar::start(&dir, "dead", &dying.addr(), ISOLATE);
        drop(dying);
        let clients = Clients {
            py2: connect(&stages.py2),
            py3: connect(&stages.py3),
            slow: connect(&slow.py3),
            torn: connect(&torn.py3),
            dead: connect(&dead.py3),
        };
        Self {
            stages,
            slow,
            torn,
            dead: Some(dead),
            clients,
            rounds: 0,
            _memcached: memcached,
            _dir: dir,
        }
    }

    /// Admin addresses.
    pub(crate) fn admins(&self) -> Vec<String> {
        let all = [&self.stages, &self.slow, &self.torn];
        let all = all.into_iter().chain(&self.dead);
        all.map(|sidecar| sidecar.admin.clone()).collect()
    }

    /// One round of everything, about a fifth of a second.
    pub(crate) fn act(&mut self) {
        self.rounds += 1;
        let Clients {
            py2,
            py3,
            slow,
            torn,
            dead,
        } = &self.clients;
        // Hits, misses and deletes, a counter and a lock.
        ask(py3, b"set k 0 0 1\r\n1\r\nget k\r\nget none\r\n");
        ask(
            py2,
            b"set k 0 0 1\r\n1\r\nincr k 1\r\nget k\r\nget none\r\n",
        );
        ask(py2, b"add lock 0 0 1\r\n1\r\ndelete lock\r\n");
        ask(py3, b"delete k\r\n");
        // What crosses versions, once for each rule.
        let through = format!("through{}", self.rounds);
        for (key, value) in [
            ("watch:v", PICKLE_4),
            ("guard:v", PICKLE_4),
            ("header:v", PICKLE_2),
            ("reject:v", PICKLE_4),
            ("other:v", PICKLE_4),
            ("other:w", PERSISTENT),
            (&through, PICKLE_2),
        ] {
            let head = format!("set {key} 1 0 {}\r\n", value.len());
            ask(py3, &[head.as_bytes(), value, b"\r\n"].concat());
            ask(py2, format!("get {key}\r\n").as_bytes());
        }
        ask(&connect(&self.stages.untagged), b"get k\r\n");
        // What goes wrong behind picklegate, and before it.
        ask(slow, b"get k\r\ndelete k\r\n");
        let _ = TcpStream::connect(&self.slow.py3);
        ask(torn, b"get k\r\n");
        if self.dead.is_some() {
            ask(dead, b"get k\r\n");
        }
        thread::sleep(Duration::from_millis(50));
    }

    /// One sidecar is given a configuration that is none.
    pub(crate) fn spoil_configuration(&self) {
        fs::write(&self.torn.file, "[[rules]]\nmode = \"isolated\"\n").expect("it was written");
    }

    /// One sidecar is no more.
    pub(crate) fn stop_one(&mut self) {
        self.dead = None;
    }
}

/// A server that answers each line as told, and closes where told nothing.
fn false_server(answer: impl Fn(&str) -> Option<&'static [u8]> + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
    let addr = listener.local_addr().expect("it is bound").to_string();
    let answer = Arc::new(answer);
    // Ends with the test process.
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let answer = Arc::clone(&answer);
            thread::spawn(move || {
                let lines = BufReader::new(&stream).lines().map_while(Result::ok);
                for reply in lines.map_while(|line| answer(&line)) {
                    if (&stream).write_all(reply).is_err() {
                        break;
                    }
                }
                let _ = stream.shutdown(Shutdown::Both);
            });
        }
    });
    addr
}
