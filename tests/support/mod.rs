//! Owns the processes that tests talk to: real memcacheds and the picklegate
//! binary, each on its own loopback port and killed by its own process id.
//! Knows when a reply is complete only by a fence the caller names.

// Every test binary compiles its own copy and uses a part of it.
#![allow(dead_code)]

pub(crate) mod admin;
pub(crate) mod attacks;
pub(crate) mod load;
pub(crate) mod process;
pub(crate) mod pythons;
pub(crate) mod replay;
pub(crate) mod rig;
pub(crate) mod toml;

use std::collections::HashSet;
use std::fmt::Display;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{LazyLock, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Program that cargo built.
const PROGRAM: &str = env!("CARGO_BIN_EXE_picklegate");
/// Time that a process may take to accept, and a reply to arrive.
const PATIENCE: Duration = Duration::from_secs(10);

/// A barrier request, and its answer.
pub(crate) const FENCE: &[u8] = b"mn\r\n";
pub(crate) const FENCE_REPLY: &[u8] = b"MN\r\n";

/// A loopback port that nobody listens on, and that this process was not given before.
pub(crate) fn free_port() -> u16 {
    static GIVEN: LazyLock<Mutex<HashSet<u16>>> = LazyLock::new(Mutex::default);
    loop {
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .expect("loopback has free ports")
            .port();
        if GIVEN.lock().expect("no holder panics").insert(port) {
            return port;
        }
    }
}

/// Whether the `memcached` program can be run at all.
pub(crate) fn memcached_available() -> bool {
    Command::new("memcached")
        .arg("-V")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// A memcached with one worker thread and no UDP, alive until dropped.
pub(crate) struct Memcached {
    pub(crate) port: u16,
    child: Child,
}

impl Memcached {
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts with `extra` arguments after the usual ones.
    pub(crate) fn start_with(extra: &[&str]) -> Self {
        // Another process may take the port between its choice and its use.
        for _ in 0..5 {
            let port = free_port();
            let number = port.to_string();
            let mut args = vec!["-l", "127.0.0.1", "-p", &number];
            args.extend(extra);
            let mut child = spawn_memcached(&args);
            if wait_for(&mut child, |id| listens_on(id, port)) {
                return Self { port, child };
            }
        }
        panic!("memcached {extra:?} does not start");
    }

    /// Starts where another one was, or will be looked for.
    pub(crate) fn on(port: u16) -> Self {
        Self::on_host("127.0.0.1", port)
    }

    /// Starts a memcached on another of this machine's own addresses.
    pub(crate) fn on_host(host: &str, port: u16) -> Self {
        Self::on_host_with((host, port), &[])
    }

    /// Starts a memcached as [`Self::on`] does, with `extra` arguments after the usual
    /// ones.
    pub(crate) fn on_with(port: u16, extra: &[&str]) -> Self {
        Self::on_host_with(("127.0.0.1", port), extra)
    }

    fn on_host_with((host, port): (&str, u16), extra: &[&str]) -> Self {
        let number = port.to_string();
        let mut args = vec!["-l", host, "-p", &number];
        args.extend(extra);
        let mut child = spawn_memcached(&args);
        assert!(
            wait_for(&mut child, |id| listens_on(id, port)),
            "memcached does not start on {host}:{port}"
        );
        Self { port, child }
    }

    /// Listens on a unix socket only; `port` is 0.
    pub(crate) fn unix(path: impl AsRef<Path>) -> Self {
        let path = path.as_ref();
        let mut child = spawn_memcached(&["-s", path.to_str().expect("a UTF-8 path")]);
        assert!(
            wait_for(&mut child, |_| UnixStream::connect(path).is_ok()),
            "memcached does not start on {}",
            path.display()
        );
        Self { port: 0, child }
    }

    pub(crate) fn addr(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(crate) fn connect(&self) -> TcpStream {
        connect(&self.addr())
    }

    /// Stops it where it stands, as a machine does that swaps or is paused; returns once
    /// none of its threads runs any more.
    pub(crate) fn freeze(&self) {
        signal(self.child.id(), "-STOP");
        let tasks = format!("/proc/{}/task", self.child.id());
        let is_running = |task: std::io::Result<std::fs::DirEntry>| {
            let stat = task.and_then(|task| std::fs::read_to_string(task.path().join("stat")));
            // A thread that went in between does not run.
            stat.is_ok_and(|stat| !stat.contains(") T "))
        };
        let runs = || {
            std::fs::read_dir(&tasks)
                .expect("it is there")
                .any(is_running)
        };
        while runs() {
            thread::sleep(Duration::from_millis(1));
        }
    }

    pub(crate) fn thaw(&self) {
        signal(self.child.id(), "-CONT");
    }
}

impl Drop for Memcached {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

fn spawn_memcached(args: &[&str]) -> Child {
    assert!(
        memcached_available(),
        "memcached not found: run tests/setup"
    );
    let mut command = Command::new("memcached");
    command.args(["-U", "0", "-t", "1", "-m", "512"]);
    // Its background threads hold items now and then; an incr of a held item
    // replaces it, and what `me` or a shrinking number then shows is chance.
    command.args(["-o", "no_lru_maintainer,no_lru_crawler"]);
    if std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0) {
        // memcached refuses to be root unless told so.
        command.args(["-u", "root"]);
    }
    command
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("memcached -V ran")
}

/// A running `picklegate serve`, killed when dropped.
pub(crate) struct Picklegate {
    child: Child,
    /// Holds the configuration and what the child wrote to stderr.
    dir: TempDir,
}

impl Picklegate {
    /// Serves `toml`; returns once every `listen = "..."` in it accepts.
    pub(crate) fn with_config(toml: impl Display) -> Self {
        let toml = toml.to_string();
        let dir = TempDir::new().expect("a writable temporary directory");
        let file = dir.path().join("picklegate.toml");
        std::fs::write(&file, &toml).expect("a writable temporary directory");
        let file = file.to_str().expect("a UTF-8 path").to_owned();
        Self::spawn(dir, &["serve", "--config", &file], &listens_of(&toml))
    }

    /// Starts a picklegate by a program that does something first and then becomes it.
    pub(crate) fn under(wrapper: &[&str], toml: &str) -> Self {
        let dir = TempDir::new().expect("a writable temporary directory");
        let file = dir.path().join("picklegate.toml");
        std::fs::write(&file, toml).expect("a writable temporary directory");
        let file = file.to_str().expect("a UTF-8 path").to_owned();
        let mut command = Command::new(wrapper[0]);
        command.args(&wrapper[1..]).arg(PROGRAM);
        Self::run(
            command,
            dir,
            &["serve", "--config", &file],
            &listens_of(toml),
        )
    }

    /// Serves a file that the caller keeps; returns once every `listen = "..."` in
    /// it accepts.
    pub(crate) fn with_file(file: &Path) -> Self {
        let dir = TempDir::new().expect("a writable temporary directory");
        let toml = std::fs::read_to_string(file).expect("the caller wrote it");
        let file = file.to_str().expect("a UTF-8 path");
        Self::spawn(dir, &["serve", "--config", file], &listens_of(&toml))
    }

    /// Runs with exactly these arguments; returns once every `--listen` and
    /// `--admin` address among them accepts.
    pub(crate) fn with_args(args: &[&str]) -> Self {
        Self::with_args_in(args, &[])
    }

    /// Starts a picklegate with these variables in its environment.
    pub(crate) fn with_args_in(args: &[&str], variables: &[(&str, &str)]) -> Self {
        let dir = TempDir::new().expect("a writable temporary directory");
        let listens = args
            .windows(2)
            .filter(|pair| ["--listen", "--admin"].contains(&pair[0]))
            .map(|pair| pair[1].split('=').next().unwrap_or_default().to_owned())
            .collect::<Vec<_>>();
        let mut command = Command::new(PROGRAM);
        command.envs(variables.iter().copied());
        Self::run(command, dir, args, &listens)
    }

    fn spawn(dir: TempDir, args: &[&str], listens: &[String]) -> Self {
        Self::run(Command::new(PROGRAM), dir, args, listens)
    }

    fn run(mut command: Command, dir: TempDir, args: &[&str], listens: &[String]) -> Self {
        let stderr = File::create(dir.path().join("stderr")).expect("a writable directory");
        let child = command
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let mut gate = Self { child, dir };
        for listen in listens {
            let accepts = wait_for(&mut gate.child, |id| accepts(id, listen));
            assert!(
                accepts,
                "picklegate {args:?} does not listen on {listen} ({:?}); stderr:\n{}",
                gate.child.try_wait(),
                gate.stderr()
            );
        }
        gate
    }

    /// The file that [`Self::with_config`] serves by.
    pub(crate) fn config_file(&self) -> PathBuf {
        self.dir.path().join("picklegate.toml")
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Stops it where it stands, until it is told to go on.
    pub(crate) fn stop(&self) {
        signal(self.id(), "-STOP");
    }

    pub(crate) fn go_on(&self) {
        signal(self.id(), "-CONT");
    }

    /// Asks it to finish, as an init system does.
    pub(crate) fn terminate(&self) {
        signal(self.id(), "-TERM");
    }

    /// Asks it to read its configuration again.
    pub(crate) fn hang_up(&self) {
        signal(self.id(), "-HUP");
    }

    /// The exit code, once it ended by itself.
    pub(crate) fn exit_code(&mut self) -> Option<i32> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child of ours") {
                return status.code();
            }
            assert!(Instant::now() < deadline, "picklegate does not end");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Everything the child wrote to stderr so far.
    pub(crate) fn stderr(&self) -> String {
        let bytes = std::fs::read(self.dir.path().join("stderr")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for Picklegate {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// A free loopback address.
pub(crate) fn free_addr() -> String {
    format!("127.0.0.1:{}", free_port())
}

/// The values of all `listen = "..."` lines.
fn listens_of(toml: &str) -> Vec<String> {
    toml.lines()
        .filter_map(|line| {
            line.trim()
                .strip_prefix("listen")?
                .trim_start()
                .strip_prefix('=')
        })
        .filter_map(|value| value.split('"').nth(1).map(str::to_owned))
        .collect()
}

fn accepts(process: u32, listen: &str) -> bool {
    if let Some(path) = listen.strip_prefix("unix:") {
        return UnixStream::connect(path).is_ok();
    }
    let port = listen.rsplit(':').next().and_then(|port| port.parse().ok());
    listens_on(process, port.expect("an address ends with its port"))
}

/// Whether a process itself listens on a port of TCP. Whoever only connects may reach
/// another that took the same free port a moment before, is served by that one, and
/// cut off when its test ends.
pub(crate) fn listens_on(process: u32, port: u16) -> bool {
    let Ok(files) = std::fs::read_dir(format!("/proc/{process}/fd")) else {
        return false;
    };
    let sockets: HashSet<PathBuf> = files
        .filter_map(|file| std::fs::read_link(file.ok()?.path()).ok())
        .collect();
    let is_own = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [_, local, _, "0A", .., _] = words[..] else {
            return false;
        };
        let inode = words.get(9).map(|inode| format!("socket:[{inode}]"));
        local.ends_with(&format!(":{port:04X}"))
            && inode.is_some_and(|inode| sockets.contains(Path::new(&inode)))
    };
    ["tcp", "tcp6"].iter().any(|table| {
        let table = std::fs::read_to_string(format!("/proc/{process}/net/{table}"));
        table.is_ok_and(|table| table.lines().any(is_own))
    })
}

/// Polls until `ready`; false if the child exits or patience ends first.
fn wait_for(child: &mut Child, ready: impl Fn(u32) -> bool) -> bool {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline && matches!(child.try_wait(), Ok(None)) {
        if ready(child.id()) {
            return true;
        }
        thread::sleep(Duration::from_millis(5));
    }
    false
}

fn signal(process: u32, signal: &str) {
    let sent = Command::new("kill")
        .args([signal, &process.to_string()])
        .status();
    assert!(sent.is_ok_and(|status| status.success()), "kill failed");
}

fn end(child: &mut Child) {
    // Fails only if it ended already; either way it is reaped.
    let _ = child.kill();
    let _ = child.wait();
}

/// A connection without Nagle's delay that gives up on a silent peer.
pub(crate) fn connect(addr: &str) -> TcpStream {
    let stream = TcpStream::connect(addr).unwrap_or_else(|error| panic!("{addr}: {error}"));
    stream.set_nodelay(true).expect("a TCP socket");
    stream
        .set_read_timeout(Some(PATIENCE))
        .expect("a TCP socket");
    stream
}

/// Why an exchange ended before its fence, and what had arrived by then.
#[derive(Debug)]
pub(crate) struct Cut {
    pub(crate) error: Option<std::io::Error>,
    pub(crate) received: Vec<u8>,
}

impl Cut {
    /// The peer closed (rather than fell silent).
    pub(crate) fn is_close(&self) -> bool {
        self.error.as_ref().is_none_or(|error| {
            matches!(
                error.kind(),
                ErrorKind::ConnectionReset | ErrorKind::BrokenPipe
            )
        })
    }
}

/// Sends each chunk as a write of its own and reads until the replies end with
/// `until`. Writes beside reading, so that replies never block requests.
pub(crate) fn exchange<'a>(
    stream: &TcpStream,
    chunks: impl IntoIterator<Item = &'a [u8]> + Send,
    until: &[u8],
) -> Result<Vec<u8>, Cut> {
    let (mut reader, mut writer) = (stream, stream);
    thread::scope(|scope| {
        scope.spawn(move || {
            for chunk in chunks {
                // A peer that closed early shows on the reading side.
                if writer.write_all(chunk).is_err() {
                    break;
                }
            }
        });
        let mut received = Vec::new();
        let mut buffer = vec![0; 64 * 1024];
        while !received.ends_with(until) {
            let error = match reader.read(&mut buffer) {
                Ok(0) => None,
                Ok(n) => {
                    received.extend_from_slice(&buffer[..n]);
                    continue;
                }
                // A stopped and continued process sees this on timed reads.
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => Some(error),
            };
            // The writer may be stuck on a peer that stopped reading.
            let _ = stream.shutdown(Shutdown::Both);
            return Err(Cut { error, received });
        }
        Ok(received)
    })
}

/// Sends each chunk as a write of its own, and then no more; all that is answered until
/// the peer closes. An error if it falls silent instead.
pub(crate) fn converse(addr: &str, chunks: &[&[u8]]) -> Result<Vec<u8>, Cut> {
    let mut stream = connect(addr);
    for chunk in chunks {
        // It may have closed already.
        let _ = stream.write_all(chunk);
    }
    let _ = stream.shutdown(Shutdown::Write);
    let mut received = Vec::new();
    let error = stream.read_to_end(&mut received).err();
    let cut = Cut { error, received };
    if cut.is_close() {
        Ok(cut.received)
    } else {
        Err(cut)
    }
}

/// Sends `request` in one write; everything up to and including `until`.
pub(crate) fn roundtrip(stream: &TcpStream, request: &[u8], until: &[u8]) -> Vec<u8> {
    exchange(stream, [request], until).unwrap_or_else(|cut| {
        panic!(
            "no {:?} after {:?}: {:?}, received {:?}",
            until.escape_ascii().to_string(),
            request.escape_ascii().to_string(),
            cut.error,
            cut.received.escape_ascii().to_string()
        )
    })
}

/// Sends `request` and a fence; the replies before the fence's own.
pub(crate) fn ask(stream: &TcpStream, request: &[u8]) -> Vec<u8> {
    let mut reply = roundtrip(stream, &[request, FENCE].concat(), FENCE_REPLY);
    reply.truncate(reply.len() - FENCE_REPLY.len());
    reply
}

/// [`ask`] as text, for replies that are.
pub(crate) fn ask_text(stream: &TcpStream, request: &str) -> String {
    String::from_utf8_lossy(&ask(stream, request.as_bytes())).into_owned()
}

/// Reads `\r`, `\n`, `\t`, `\\` and `\xNN` as a byte each.
pub(crate) fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        let escaped = match byte {
            b'\\' => bytes.next().expect("an escape has a letter"),
            plain => {
                out.push(plain);
                continue;
            }
        };
        out.push(match escaped {
            b'r' => b'\r',
            b'n' => b'\n',
            b't' => b'\t',
            b'\\' => b'\\',
            b'x' => {
                let mut digit = || {
                    let digit = bytes.next().map(char::from).and_then(|c| c.to_digit(16));
                    digit.expect("\\x is followed by two hex digits") as u8
                };
                digit() << 4 | digit()
            }
            other => panic!("unknown escape \\{}", char::from(other)),
        });
    }
    out
}
