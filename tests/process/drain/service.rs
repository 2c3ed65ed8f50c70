//! A picklegate as a service manager runs it: told of what it does by its own words,
//! with sockets passed to it.

use std::fs::File;
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Bound on any step, also beside others on a small machine.
const PATIENCE: Duration = Duration::from_secs(30);
/// Has the descriptors 0 and 1 passed as a service manager passes sockets.
const PASS: &str = "exec 3<&0 4<&1 0</dev/null 1>/dev/null
LISTEN_FDS=2 LISTEN_PID=$$ exec \"$@\"";

pub(crate) struct Service {
    child: Child,
    notices: UnixDatagram,
    /// Holds the configuration and what the child wrote to stderr.
    dir: TempDir,
}

impl Service {
    /// Serves `toml`; returns once it says that it is ready.
    pub(crate) fn start(toml: &str) -> Self {
        Self::spawn(Command::new(env!("CARGO_BIN_EXE_picklegate")), toml)
    }

    /// Starts a service that keeps telling that it is alive, which must be heard.
    pub(crate) fn start_watched(toml: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_picklegate"));
        command.env("WATCHDOG_USEC", "200000");
        Self::spawn(command, toml)
    }

    /// Starts a service with two sockets.
    pub(crate) fn start_with(toml: &str, sockets: [OwnedFd; 2]) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", PASS, "sh", env!("CARGO_BIN_EXE_picklegate")]);
        let [first, second] = sockets;
        command.stdin(first).stdout(second);
        Self::spawn(command, toml)
    }

    fn spawn(mut command: Command, toml: &str) -> Self {
        let dir = TempDir::new().expect("a writable temporary directory");
        let file = dir.path().join("picklegate.toml");
        std::fs::write(&file, toml).expect("a writable temporary directory");
        let socket = dir.path().join("notify");
        let notices = UnixDatagram::bind(&socket).expect("a writable temporary directory");
        notices.set_read_timeout(Some(PATIENCE)).expect("a socket");
        let stderr = File::create(dir.path().join("stderr")).expect("a writable directory");
        command
            .args(["serve", "--config"])
            .arg(&file)
            .env("NOTIFY_SOCKET", &socket)
            .stderr(stderr);
        let child = command.spawn().expect("cargo built the binary");
        let service = Self {
            child,
            notices,
            dir,
        };
        service.told("READY=1");
        service
    }

    /// Waits until it says so; all that it says with that. Signs of life are
    /// passed over, unless they are what is waited for.
    pub(crate) fn told(&self, what: &str) -> String {
        let mut buffer = [0; 4096];
        loop {
            let bytes = match self.notices.recv(&mut buffer) {
                Ok(bytes) => bytes,
                // A signal, as children of other tests end.
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => {
                    let stderr = self.stderr();
                    panic!("picklegate does not say {what}: {error}; stderr:\n{stderr}")
                }
            };
            let notice = String::from_utf8_lossy(&buffer[..bytes]).into_owned();
            if notice.lines().any(|line| line == what) {
                return notice;
            }
            assert_eq!(notice.trim(), "WATCHDOG=1", "instead of {what}");
        }
    }

    /// Everything the child wrote to stderr so far.
    pub(crate) fn stderr(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("stderr")).unwrap_or_default()
    }

    /// Sends signals, in their order.
    pub(crate) fn signal(&self, signals: &[&str]) {
        for signal in signals {
            let sent = Command::new("kill")
                .args([signal, &*self.child.id().to_string()])
                .status();
            assert!(sent.is_ok_and(|status| status.success()), "kill failed");
        }
    }

    /// Waits until it has ended by itself, which must be in peace.
    pub(crate) fn ended(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a child of ours") {
                break status;
            }
            assert!(Instant::now() < deadline, "picklegate does not end");
            thread::sleep(Duration::from_millis(2));
        };
        assert_eq!(status.code(), Some(0), "{}", self.stderr());
    }

    /// Ends it as a service manager does.
    pub(crate) fn stop(&mut self) {
        self.signal(&["-TERM"]);
        self.ended();
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Fails only if it ended already; either way it is reaped.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
