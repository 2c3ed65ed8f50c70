//! Owns the virtual environments that `tests/setup` makes: which Pythons are
//! there, what they are to picklegate, and how one of them runs a script.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// One Python with memcache clients.
#[derive(Debug, Clone)]
pub(crate) struct Python {
    pub(crate) major: u32,
    pub(crate) minor: u32,
    program: PathBuf,
}

/// Output of a script that ended by itself.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) success: bool,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Python {
    /// Every environment there is, the oldest Python first.
    pub(crate) fn all() -> Vec<Self> {
        // Of the workspace: its members share this file.
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
        let mut all: Vec<Self> = root
            .take(2)
            .find_map(|root| fs::read_dir(root.join("target/pythons")).ok())
            .into_iter()
            .flatten()
            .filter_map(|entry| Self::in_environment(&entry.ok()?.path()))
            .collect();
        all.sort_by_key(|python| (python.major, python.minor));
        all
    }

    /// The stamp is the last thing that `tests/setup` writes.
    fn in_environment(directory: &Path) -> Option<Self> {
        let (major, minor) = directory.file_name()?.to_str()?.split_once('.')?;
        directory.join("stamp").exists().then_some(Self {
            major: major.parse().ok()?,
            minor: minor.parse().ok()?,
            program: directory.join("bin/python"),
        })
    }

    /// Version such as `3.11`.
    pub(crate) fn version(&self) -> String {
        format!("{}.{}", self.major, self.minor)
    }

    /// The highest pickle protocol that it reads and writes.
    pub(crate) fn highest_protocol(&self) -> u8 {
        match (self.major, self.minor) {
            (2, _) => 2,
            (3, ..=3) => 3,
            (3, ..=7) => 4,
            _ => 5,
        }
    }

    /// Command that runs a script. Several Pythons share the scripts, and none may leave
    /// files there.
    pub(crate) fn command(&self, script: &Path) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("-B").arg(script);
        command
    }

    /// Runs a script to its end; `None` if that takes longer than `limit`.
    pub(crate) fn run(&self, script: &Path, args: &[&str], limit: Duration) -> Option<Finished> {
        let mut child = self
            .command(script)
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", self.program.display()));
        let stdout = read_all(child.stdout.take().expect("piped"));
        let stderr = read_all(child.stderr.take().expect("piped"));
        let deadline = Instant::now() + limit;
        let status = loop {
            match child.try_wait().expect("our own child") {
                Some(status) => break status,
                None if Instant::now() < deadline => thread::sleep(Duration::from_millis(10)),
                None => {
                    // Fails only if it ended meanwhile; either way it is reaped.
                    let _ = child.kill();
                    let _ = child.wait();
                    return None;
                }
            }
        };
        Some(Finished {
            success: status.success(),
            stdout: stdout.join().expect("the reader does not panic"),
            stderr: stderr.join().expect("the reader does not panic"),
        })
    }
}

/// Reads beside the child, which would stop at a full pipe.
fn read_all(mut pipe: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // What arrived before an error is still worth showing.
        let _ = pipe.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}
