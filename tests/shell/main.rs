//! What is around the data path, by the real process where something outside of it
//! fails: nobody reads the log, a burst shakes hands, a resolver is silent, a file is
//! where a socket should be.

#![allow(missing_docs)]

#[path = "../support/admin.rs"]
mod admin;
mod log;
#[path = "../support/mod.rs"]
mod support;

use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long anything may take that takes no time, also beside others on a small
/// machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// A picklegate, killed when dropped.
struct Gate {
    child: Child,
    /// Holds the configuration.
    dir: TempDir,
}

impl Gate {
    /// Serves `toml`, with this standard error.
    fn serve(toml: &str, stderr: Stdio) -> Self {
        let dir = TempDir::new().expect("a writable temporary directory");
        let file = dir.path().join("picklegate.toml");
        std::fs::write(&file, toml).expect("a writable temporary directory");
        let child = Command::new(env!("CARGO_BIN_EXE_picklegate"))
            .args(["serve", "--config"])
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn()
            .expect("cargo built the binary");
        Self { child, dir }
    }

    /// Puts another configuration in the place of its own.
    fn configure(&self, toml: &str) {
        let new = self.dir.path().join("new");
        std::fs::write(&new, toml).expect("a writable temporary directory");
        std::fs::rename(new, self.dir.path().join("picklegate.toml")).expect("the same directory");
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill")
            .args([signal, &self.child.id().to_string()])
            .status();
        assert!(sent.is_ok_and(|status| status.success()), "kill failed");
    }

    /// Waits until it has ended by itself; with which code, and how long that took.
    fn ended(&mut self) -> (Option<i32>, Duration) {
        let asked = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child of ours") {
                return (status.code(), asked.elapsed());
            }
            assert!(asked.elapsed() < PATIENCE, "picklegate does not end");
            thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        // Fails only if it ended already; either way it is reaped.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until somebody listens there.
fn await_listener(addr: &str) {
    admin::await_that(addr, || std::net::TcpStream::connect(addr).is_ok());
}
