//! Surroundings of the data path, with the real process, where something outside of it
//! fails: nobody reads the log or listens to a service, a burst shakes hands, a resolver
//! is silent, a signal comes early, a file is where a socket should be.

mod connecting;
mod ending;
mod log;
mod sockets;
mod starting;
mod statistics;

use std::fmt::Display;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rcgen::{CertificateParams, KeyPair};
use tempfile::TempDir;

use crate::support::admin;

/// Bound on steps that take no time, also beside others on a small machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// A picklegate, killed when dropped.
struct Gate {
    child: Child,
    /// Holds the configuration.
    dir: TempDir,
}

impl Gate {
    /// Serves `toml`, with this standard error.
    fn serve(toml: impl Display, stderr: Stdio) -> Self {
        let dir = TempDir::new().expect("a writable temporary directory");
        let file = dir.path().join("picklegate.toml");
        std::fs::write(&file, toml.to_string()).expect("a writable temporary directory");
        let mut command = Command::new(env!("CARGO_BIN_EXE_picklegate"));
        command
            .args(["serve", "--config"])
            .arg(&file)
            .stderr(stderr);
        Self::spawn(command, dir)
    }

    /// Spawns a picklegate by any command.
    fn spawn(mut command: Command, dir: TempDir) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::null());
        Self::spawn_with(command, dir)
    }

    /// Spawns with the command's own standard input and output.
    fn spawn_with(mut command: Command, dir: TempDir) -> Self {
        let child = command.spawn().expect("cargo built the binary");
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

/// A certificate whose key is large, which makes handshakes costly; as settings of TLS.
fn certificate(dir: &Path) -> String {
    let key = include_str!("rsa4096.key");
    let pair = KeyPair::from_pem(key).expect("an RSA key");
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("a name");
    let signed = params.self_signed(&pair).expect("a certificate");
    let [certificate, key_file] = ["server.pem", "server.key"].map(|name| dir.join(name));
    std::fs::write(&certificate, signed.pem()).expect("a writable directory");
    std::fs::write(&key_file, key).expect("a writable directory");
    let [certificate, key] = [certificate.display(), key_file.display()];
    format!("certificate = \"{certificate}\"\nkey = \"{key}\"\n")
}
