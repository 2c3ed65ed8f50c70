//! A worker that ends, or does not come back, and whatever panics: the process says so
//! by ending, or by being unhealthy. The faults are real to it: they come from a library between it
//! and the system (`faults.c`).

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::support::admin;
use crate::support::toml::Toml;
use crate::support::{Memcached, Picklegate, ask_text, connect, free_addr};

/// Bound on the end, on a machine that is busy.
const AT_ONCE: Duration = Duration::from_secs(5);

/// All that ask the workers.
const PAGES: [&str; 6] = [
    "/live",
    "/ready",
    "/metrics",
    "/status",
    "/families",
    "/advise",
];

/// A picklegate of two workers, of which one can be failed.
struct Failing {
    gate: Picklegate,
    dir: TempDir,
    listen: String,
    admin: String,
    /// Notifications to the service manager.
    notices: mpsc::Receiver<String>,
    /// By TLS.
    secured: String,
    memcached: Option<Memcached>,
}

impl Failing {
    /// `None` where there is no C compiler.
    fn start() -> Option<Self> {
        let dir = TempDir::new().expect("a writable temporary directory");
        let library = dir.path().join("faults.so");
        let source =
            PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/process/supervision/faults.c");
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .args([&library, &source])
            .args(["-ldl", "-lpthread"])
            .status();
        let Ok(compiled) = compiled else {
            eprintln!("tests/process/supervision: skipped: no cc");
            return None;
        };
        assert!(compiled.success());
        let memcached = Memcached::start();
        // A name, which has to be looked up.
        let upstream = format!("localhost:{}", memcached.port);
        let (listen, secured, admin) = (free_addr(), free_addr(), free_addr());
        let toml = Toml::new(&[upstream])
            .rule("mode = \"shared\"")
            .table("server", "workers = 2")
            .admin(&admin)
            .listener(&listen, "py3")
            .listener(&secured, "py3")
            .table("listeners.tls", &certificate(dir.path()));
        let file = dir.path().join("picklegate.toml");
        fs::write(&file, toml.to_string()).expect("a writable directory");
        let socket = dir.path().join("notify");
        let notices = listen_at(&socket);
        let gate = Picklegate::with_args_in(
            &["serve", "--config", file.to_str().expect("a UTF-8 path")],
            &[
                ("LD_PRELOAD", library.to_str().expect("a UTF-8 path")),
                ("FAULTS", dir.path().to_str().expect("a UTF-8 path")),
                ("NOTIFY_SOCKET", socket.to_str().expect("a UTF-8 path")),
                ("WATCHDOG_USEC", "200000"),
            ],
        );
        let failing = Self {
            gate,
            dir,
            listen,
            admin,
            notices,
            secured,
            memcached: Some(memcached),
        };
        assert!(failing.is_told("READY=1"), "{}", failing.gate.stderr());
        Some(failing)
    }

    fn fail(&self, fault: &str) {
        fs::write(self.dir.path().join(fault), "").expect("a writable directory");
    }

    fn heal(&self, fault: &str) {
        fs::remove_file(self.dir.path().join(fault)).expect("a writable directory");
    }

    /// Whether the service manager is told this, soon.
    fn is_told(&self, what: &str) -> bool {
        let deadline = Instant::now() + AT_ONCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.notices.recv_timeout(left) {
                Ok(notice) if notice.lines().any(|line| line == what) => return true,
                Ok(_) => {}
                Err(_) => return false,
            }
        }
    }

    /// One client of each worker.
    fn clients(&self) -> [TcpStream; 2] {
        let clients = [connect(&self.listen), connect(&self.listen)];
        for client in &clients {
            assert_eq!(ask_text(client, "get k\r\n"), "END\r\n");
        }
        clients
    }
}

/// Exit code of `picklegate health`.
fn health(admin: &str, args: &[&str]) -> Option<i32> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_picklegate"));
    command.args(["health", "--admin", admin]).args(args);
    command
        .output()
        .expect("cargo built the binary")
        .status
        .code()
}

/// A certificate for nobody, as settings of TLS.
fn certificate(dir: &Path) -> String {
    let signed = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]);
    let signed = signed.expect("a name");
    let [certificate, key] = ["server.pem", "server.key"].map(|name| dir.join(name));
    fs::write(&certificate, signed.cert.pem()).expect("a writable directory");
    fs::write(&key, signed.signing_key.serialize_pem()).expect("a writable directory");
    let [certificate, key] = [certificate.display(), key.display()];
    format!("certificate = \"{certificate}\"\nkey = \"{key}\"\n")
}

/// Messages that arrive at a socket, taken at once, since their sender would wait.
fn listen_at(socket: &Path) -> mpsc::Receiver<String> {
    let (sender, notices) = mpsc::channel();
    let socket = UnixDatagram::bind(socket).expect("a writable directory");
    // Ends with the test process.
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        loop {
            let notice = match socket.recv(&mut buffer) {
                Ok(bytes) => String::from_utf8_lossy(&buffer[..bytes]).into_owned(),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => return,
            };
            if sender.send(notice).is_err() {
                return;
            }
        }
    });
    notices
}

#[test]
fn a_worker_that_ends_ends_the_process_at_once_with_70_and_says_why() {
    for (fault, why) in [
        ("poller", "worker-0 ended: Bad file descriptor"),
        ("clock", "worker-0 ended: it panicked at "),
    ] {
        let Some(mut failing) = Failing::start() else {
            return;
        };
        let clients = failing.clients();
        assert_eq!(health(&failing.admin, &["--live"]), Some(0));
        failing.fail(fault);
        let failed = Instant::now();
        for mut client in &clients {
            // The end may come first.
            let _ = client.write_all(b"get k\r\n");
        }
        assert_eq!(failing.gate.exit_code(), Some(70));
        assert!(failed.elapsed() < AT_ONCE);
        let stderr = failing.gate.stderr();
        let last = stderr.lines().last().unwrap_or_default();
        assert!(last.starts_with(why), "{fault}: {stderr}");
        let is_panic = last.contains(": called `Result::unwrap()`");
        assert_eq!(is_panic, fault == "clock", "{stderr}");
        // In the log as well.
        let logged = stderr.lines().filter(|line| line.contains(" ERROR "));
        assert!(logged.clone().any(|line| line.contains(why)), "{stderr}");
        for mut client in &clients {
            let mut rest = Vec::new();
            let _ = client.read_to_end(&mut rest);
            assert!(b"END\r\n".starts_with(&rest));
        }
    }
}

/// None of these is waited for by anybody who would tell: a lane would be connecting, a
/// client shaking hands, a name looked up for ever.
#[test]
fn a_panic_in_any_task_ends_the_process_with_70_and_says_where() {
    for (fault, thread) in [
        ("connecting", "main"),
        ("shaking", "handshakes"),
        ("resolving", "tokio-rt-worker"),
    ] {
        let Some(mut failing) = Failing::start() else {
            return;
        };
        let _clients = failing.clients();
        failing.fail(fault);
        let mut hello = None;
        if fault == "shaking" {
            let mut client = connect(&failing.secured);
            client.write_all(b"\x16\x03\x01").expect("it is read");
            hello = Some(client);
        } else {
            let port = failing.memcached.take().expect("it was started").port;
            failing.memcached = Some(Memcached::on(port));
        }
        let ended = failing.gate.exit_code();
        let stderr = failing.gate.stderr();
        assert_eq!(ended, Some(70), "{fault}: {stderr}");
        let last = stderr.lines().last().unwrap_or_default();
        let why = format!("{thread} ended: it panicked at ");
        assert!(last.starts_with(&why), "{fault}: {stderr}");
        drop(hello);
    }
}

#[test]
fn a_worker_that_is_stuck_is_not_healthy_and_no_watchdog_is_told_that_it_is() {
    let Some(mut failing) = Failing::start() else {
        return;
    };
    let _clients = failing.clients();
    assert!(failing.is_told("WATCHDOG=1"));
    failing.fail("stuck");
    let told = "worker 0 has not answered for 3000 ms\n";
    let stuck = &failing.admin;
    thread::scope(|scope| {
        for path in PAGES {
            scope.spawn(move || assert_eq!(admin::page(stuck, path), (503, told.to_owned())));
        }
        for args in [&["--live"][..], &[]] {
            scope.spawn(move || assert_eq!(health(stuck, args), Some(1)));
        }
    });
    while failing.notices.try_recv().is_ok() {}
    let told = failing.notices.recv_timeout(Duration::from_secs(1));
    assert!(told.is_err(), "{told:?}");
    // It was only slow.
    failing.heal("stuck");
    let live = || admin::page(&failing.admin, "/live");
    admin::await_that("it to live", || live() == (200, "live\n".to_owned()));
    assert!(failing.is_told("WATCHDOG=1"));
    failing.gate.terminate();
    assert_eq!(
        failing.gate.exit_code(),
        Some(0),
        "{}",
        failing.gate.stderr()
    );
}
