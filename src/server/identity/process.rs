//! Which Python is at the other end of a connection, as the system knows it: the
//! process that has the other socket, its program and what it has mapped. Asks the
//! peer nothing, opens no connection.
//!
//! Finds processes on this machine only, that are in view (in Kubernetes: a shared
//! process namespace) and whose `/proc` entries may be read (those of the same
//! user, or with `CAP_SYS_PTRACE`). Everything else has no tag.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ffi::OsStr;
use std::fs;
use std::io::{self, BufRead, BufReader};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use procfs::net::TcpNetEntry;
use procfs::process::{Process, Stat};
use procfs::{ProcError, ProcResult};

use crate::policy::RuntimeTag;

/// Most processes remembered.
const MAX_KNOWN: usize = 4096;
/// Most mappings of a process looked at: what Linux lets it have by default.
const MAX_MAPPINGS: usize = 65_530;
/// What Linux appends to the path of a file that is no longer there.
const DELETED: &str = " (deleted)";

/// The other end of a connection, as far as its socket tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::server) enum Peer {
    /// On a unix socket.
    Unix {
        /// The process that connected, by `SO_PEERCRED`; 0 if it is not in view.
        pid: i32,
    },
    /// On a TCP socket.
    Tcp {
        /// Its address.
        client: SocketAddr,
        /// Ours, that it connected to.
        server: SocketAddr,
    },
}

/// The processes seen so far and their Pythons.
///
/// Every lookup blocks, for milliseconds where there are many processes or
/// sockets: it belongs on a thread of its own or in `tokio::task::spawn_blocking`.
/// Peers that wait are best looked up together: that goes through the system's
/// tables once for all of them.
#[derive(Debug, Default)]
pub(in crate::server) struct Processes {
    /// By pid. `known.len() <= MAX_KNOWN`
    known: BTreeMap<i32, Known>,
}

#[derive(Debug)]
struct Known {
    program: Program,
    /// `None` if it is no Python.
    tag: Option<RuntimeTag>,
}

/// One program in one process: tells it from others that have had its pid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Program {
    /// Of the process, in ticks since boot.
    start_time: u64,
    /// Where its stack starts, at random: `execve` keeps the process but not this.
    stack_start: u64,
}

impl Program {
    fn of(stat: &Stat) -> Self {
        Self {
            start_time: stat.starttime,
            stack_start: stat.startstack,
        }
    }
}

/// Major and minor.
type Version = (u8, u8);

impl Processes {
    /// For each peer, in their order, the tag of the Python that it is, such as
    /// `python/3.11`; `None` if it is no Python, is on another machine or cannot be
    /// looked at.
    pub(in crate::server) fn tags_of(&mut self, peers: &[Peer]) -> Vec<Option<RuntimeTag>> {
        let holders = self.holders(peers).unwrap_or_else(|error| {
            tracing::debug!(%error, "sockets of peers not looked up");
            HashMap::new()
        });
        let tags = peers.iter().map(|peer| {
            let pid = match *peer {
                Peer::Unix { pid } => pid,
                Peer::Tcp { client, server } => *holders.get(&ends(client, server))?,
            };
            self.tag_of_pid(pid).unwrap_or_else(|error| {
                tracing::debug!(?peer, %error, "peer process not identified");
                None
            })
        });
        tags.collect()
    }

    /// The processes that have the sockets of TCP peers. Those known are asked first.
    fn holders(&mut self, peers: &[Peer]) -> ProcResult<HashMap<Ends, i32>> {
        let mut search = Search {
            sockets: client_sockets(peers)?,
            found: HashMap::new(),
        };
        // One whose descriptors cannot be read has ended, most likely.
        self.known
            .retain(|&pid, _| search.is_over() || search.visit(pid).is_ok());
        if search.is_over() {
            return Ok(search.found);
        }
        let ours = std::process::id().cast_signed();
        let others = pids()?.filter(|pid| *pid != ours && !self.known.contains_key(pid));
        for pid in others {
            // It may have ended, or be another user's.
            let _ = search.visit(pid);
            if search.is_over() {
                return Ok(search.found);
            }
        }
        for ends in search.sockets.values() {
            tracing::debug!(?ends, "no process in view has the peer's socket");
        }
        Ok(search.found)
    }

    fn tag_of_pid(&mut self, pid: i32) -> ProcResult<Option<RuntimeTag>> {
        if pid <= 0 {
            return Ok(None);
        }
        let process = Process::new(pid)?;
        // Before its program is looked at: if that is replaced meanwhile, what is
        // remembered of it will not be found again.
        let program = Program::of(&process.stat()?);
        if let Some(known) = self.known.get(&pid)
            && known.program == program
        {
            return Ok(known.tag.clone());
        }
        let tag = look_at(&process)?;
        tracing::debug!(pid, tag = ?tag.as_ref().map(ToString::to_string), "process identified");
        let known = Known {
            program,
            tag: tag.clone(),
        };
        self.remember(pid, known);
        Ok(tag)
    }

    fn remember(&mut self, pid: i32, known: Known) {
        if self.known.len() >= MAX_KNOWN {
            self.known.retain(|&pid, _| Process::new(pid).is_ok());
        }
        if self.known.len() >= MAX_KNOWN {
            self.known.clear();
        }
        self.known.insert(pid, known);
    }
}

/// Address and port of the client and of ours, the same whichever family of socket
/// shows them.
type Ends = [(IpAddr, u16); 2];

fn ends(client: SocketAddr, server: SocketAddr) -> Ends {
    [client, server].map(|addr| (addr.ip().to_canonical(), addr.port()))
}

/// Looks for the processes that have some sockets open.
#[derive(Debug)]
struct Search {
    /// By inode, those not found yet.
    sockets: HashMap<u64, Ends>,
    found: HashMap<Ends, i32>,
}

impl Search {
    fn is_over(&self) -> bool {
        self.sockets.is_empty()
    }

    /// Looks among the descriptors of one process. The first that has a socket is
    /// its holder: a child that has inherited it has a higher pid.
    // Not procfs's iterator, which takes four system calls for a descriptor.
    fn visit(&mut self, pid: i32) -> io::Result<()> {
        for descriptor in fs::read_dir(format!("/proc/{pid}/fd"))? {
            if self.is_over() {
                break;
            }
            let inode = fs::read_link(descriptor?.path())
                .ok()
                .and_then(socket_inode);
            if let Some(ends) = inode.and_then(|inode| self.sockets.remove(&inode)) {
                self.found.insert(ends, pid);
            }
        }
        Ok(())
    }
}

/// "socket:[<inode>]"
fn socket_inode(link: PathBuf) -> Option<u64> {
    let link = link.into_os_string().into_string().ok()?;
    let inode = link.strip_prefix("socket:[")?.strip_suffix(']')?;
    inode.parse().ok()
}

/// The sockets of TCP peers on this machine, by inode.
fn client_sockets(peers: &[Peer]) -> ProcResult<HashMap<u64, Ends>> {
    let mut wanted: HashSet<Ends> = peers.iter().filter_map(local_ends).collect();
    let mut sockets = HashMap::new();
    if wanted.iter().any(|[(client, _), _]| client.is_ipv4()) {
        take_sockets(procfs::net::tcp()?, &mut wanted, &mut sockets);
    }
    // Those left may be connected to an IPv4 address with an IPv6 socket.
    if !wanted.is_empty() {
        match procfs::net::tcp6() {
            Ok(table) => take_sockets(table, &mut wanted, &mut sockets),
            Err(ProcError::NotFound(_)) => {} // A system without IPv6.
            Err(error) => return Err(error),
        }
    }
    for ends in wanted {
        tracing::debug!(?ends, "socket of the peer not found");
    }
    Ok(sockets)
}

fn local_ends(peer: &Peer) -> Option<Ends> {
    match *peer {
        Peer::Tcp { client, server } if client.ip().to_canonical().is_loopback() => {
            Some(ends(client, server))
        }
        Peer::Tcp { .. } | Peer::Unix { .. } => None,
    }
}

fn take_sockets(
    table: Vec<TcpNetEntry>,
    wanted: &mut HashSet<Ends>,
    sockets: &mut HashMap<u64, Ends>,
) {
    for socket in table {
        let ends = ends(socket.local_address, socket.remote_address);
        // One that its process has closed has no inode.
        if socket.inode != 0 && wanted.remove(&ends) {
            sockets.insert(socket.inode, ends);
        }
    }
}

/// All processes in view, the lowest pid first.
fn pids() -> io::Result<impl Iterator<Item = i32>> {
    let entries = fs::read_dir("/proc")?;
    Ok(entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()))
}

fn look_at(process: &Process) -> ProcResult<Option<RuntimeTag>> {
    let path = process.exe()?;
    let program = path.file_name().map(OsStr::to_string_lossy);
    // Not procfs's parser, which some paths that a process can map make fail or
    // panic.
    let maps = BufReader::new(process.open_relative("maps")?);
    Ok(runtime_of(&program.unwrap_or_default(), mapped_files(maps)))
}

/// "<addresses> <permissions> <offset> <device> <inode> <path>\n"; only files have a
/// path with a slash.
fn mapped_files(maps: impl BufRead) -> impl Iterator<Item = String> {
    maps.split(b'\n')
        .take(MAX_MAPPINGS)
        .map_while(Result::ok)
        .filter_map(|line| {
            let path = memchr::memchr(b'/', &line)?;
            Some(String::from_utf8_lossy(&line[path..]).into_owned())
        })
}

/// What a process runs, by the name of its program and the paths of the files that
/// it has mapped, which are only looked at if the name does not tell.
///
/// A program that is no Python is one if it has mapped a libpython or, linked with
/// that statically, an extension module of the standard library. What shows several
/// versions has no tag, and neither has what shows a major version only.
fn runtime_of(program: &str, mapped: impl IntoIterator<Item = String>) -> Option<RuntimeTag> {
    let program = program.strip_suffix(DELETED).unwrap_or(program);
    let (major, minor) =
        python_in_name(program).or_else(|| python_in_files(is_python(program), mapped))?;
    RuntimeTag::parse(&format!("python/{major}.{minor}")).ok()
}

/// `python2.7`, `python3.13t`, `pypy3.10`.
fn python_in_name(name: &str) -> Option<Version> {
    leading_version(after_any(name, &["python", "pypy"])?)
}

/// `python`, `python3`, `pypy3`.
fn is_python(name: &str) -> bool {
    after_any(name, &["python", "pypy"])
        .is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()))
}

fn python_in_files(is_python: bool, mapped: impl IntoIterator<Item = String>) -> Option<Version> {
    let mut libraries = BTreeSet::new();
    let mut modules = BTreeSet::new();
    for path in mapped {
        let name = path.rsplit('/').next().unwrap_or_default();
        let library = after_any(name, &["libpython", "libpypy"]).and_then(leading_version);
        libraries.extend(library);
        modules.extend(python_of_module(is_python, &path));
    }
    let shown = if libraries.is_empty() {
        modules
    } else {
        libraries
    };
    let one = shown.len() == 1;
    shown.into_iter().next().filter(|_| one)
}

/// The version in `/usr/lib/python3.11/lib-dynload/_json.so`. Below another directory
/// of `python3.11` there are also libraries and programs that have nothing to do with
/// Python but came in its packages, so there it must be a Python that maps them.
fn python_of_module(is_python: bool, path: &str) -> Option<Version> {
    let parts: Vec<&str> = path.split('/').collect();
    parts.windows(3).find_map(|window| match *window {
        [lib, python, below] if lib.starts_with("lib") && (is_python || below == "lib-dynload") => {
            python_in_name(python)
        }
        _ => None,
    })
}

fn after_any<'t>(text: &'t str, prefixes: &[&str]) -> Option<&'t str> {
    prefixes.iter().find_map(|prefix| text.strip_prefix(prefix))
}

/// Of `3.11`, `3.6m.so.1.0`, `3.10-c.so`.
fn leading_version(text: &str) -> Option<Version> {
    let (major, rest) = text.split_once('.')?;
    let digits = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    Some((major.parse().ok()?, rest[..digits].parse().ok()?))
}

#[cfg(test)]
mod tests {
    use std::env;
    use std::io::Write as _;
    use std::net::{TcpListener, TcpStream};
    use std::path::Path;
    use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

    use super::*;

    fn runtime(program: &str, mapped: &[&str]) -> Option<String> {
        let mapped = mapped.iter().map(|path| (*path).to_owned());
        runtime_of(program, mapped).map(|tag| tag.to_string())
    }

    #[test]
    fn program_name_tells_first() {
        let other = ["/usr/lib/libpython3.8.so.1.0"];
        for (program, expected) in [
            ("python2.7", "python/2.7"),
            ("python3.11", "python/3.11"),
            ("python3.13t", "python/3.13"),
            ("python3.9-dbg", "python/3.9"),
            ("python3.11.4", "python/3.11"),
            ("python3.6m", "python/3.6"),
            ("pypy3.10", "python/3.10"),
            ("pypy2.7", "python/2.7"),
            ("python3.11 (deleted)", "python/3.11"),
        ] {
            assert_eq!(runtime(program, &other).as_deref(), Some(expected));
        }
    }

    #[test]
    fn mapped_files_tell_the_rest() {
        let table: [(&str, &[&str], Option<&str>); 21] = [
            (
                "uwsgi",
                &["/usr/bin/uwsgi", "/usr/lib/libpython3.11.so.1.0"],
                Some("python/3.11"),
            ),
            (
                "apache2",
                &["/usr/lib/x86_64-linux-gnu/libpython2.7.so.1.0"],
                Some("python/2.7"),
            ),
            (
                "uwsgi (deleted)",
                &["/lib/libpython3.6m.so.1.0 (deleted)"],
                Some("python/3.6"),
            ),
            (
                "platform-python3.6",
                &["/lib64/libpython3.6m.so.1.0"],
                Some("python/3.6"),
            ),
            (
                "app",
                &["/tmp/_MEIx/libpython3.13t.so.1.0"],
                Some("python/3.13"),
            ),
            (
                "app",
                &["/opt/pypy/bin/libpypy3.10-c.so"],
                Some("python/3.10"),
            ),
            (
                "app",
                &["/usr/lib/libpython3.so", "/usr/lib/libpython3.9.so"],
                Some("python/3.9"),
            ),
            ("app", &["/usr/lib/libpython3.so"], None),
            (
                "vim",
                &["/lib/libpython2.7.so.1.0", "/lib/libpython3.11.so.1.0"],
                None,
            ),
            (
                "uwsgi",
                &["/opt/lib/python3.8/lib-dynload/_json.so"],
                Some("python/3.8"),
            ),
            (
                "uwsgi",
                &[
                    "/lib/libpython3.9.so",
                    "/lib/python3.8/lib-dynload/_json.so",
                ],
                Some("python/3.9"),
            ),
            (
                "node",
                &["/venv/lib/python3.8/site-packages/nodejs/bin/node"],
                None,
            ),
            (
                "python3",
                &["/venv/lib/python3.8/site-packages/a.so"],
                Some("python/3.8"),
            ),
            (
                "python3",
                &["/usr/lib64/python3.8/lib-dynload/_json.so"],
                Some("python/3.8"),
            ),
            (
                "python (deleted)",
                &["/usr/lib/libpython3.12.so.1.0"],
                Some("python/3.12"),
            ),
            (
                "pypy3",
                &["/opt/lib/pypy3.10/_cffi.so"],
                Some("python/3.10"),
            ),
            (
                "python3",
                &["/lib/python3.8/a.so", "/lib/python3.9/b.so"],
                None,
            ),
            (
                "python3",
                &["/opt/python3.8/a.so", "/lib/python3/dist-packages/b.so"],
                None,
            ),
            ("python3", &["/lib/python3.8"], None),
            ("python3", &[], None),
            ("memcached", &["/usr/lib/libc.so.6", ""], None),
        ];
        for (program, mapped, expected) in table {
            assert_eq!(
                runtime(program, mapped).as_deref(),
                expected,
                "{program} {mapped:?}"
            );
        }
    }

    #[test]
    fn unlikely_names_are_no_python() {
        for program in [
            "",
            " (deleted)",
            "python",
            "python.3",
            "python3.",
            "python999.1",
            "pythonic3.1",
        ] {
            assert_eq!(runtime(program, &[]), None, "{program}");
        }
    }

    #[test]
    fn paths_are_read_out_of_maps() {
        let maps = b"\
            00400000-00452000 r-xp 00000000 08:02 173521     /usr/bin/a b\n\
            00e03000-00e24000 rw-p 00000000 00:00 0           [heap]\n\
            35b1800000-35b1820000 r-xp 00000000 08:02 135522  /lib/\xff (deleted)\n\
            f2c6ff8c000-7f2c7078c000 rw-p 00000000 00:00 0\n\
            7fffb2d48000-7fffb2d49000 r-xp 00000000 00:00 0   /SYSV\n";
        let paths: Vec<String> = mapped_files(&maps[..]).collect();
        assert_eq!(paths, ["/usr/bin/a b", "/lib/\u{fffd} (deleted)", "/SYSV"]);
    }

    /// A Python that connects to what it is told and stays until its input ends.
    struct Client {
        version: String,
        child: Child,
        input: Option<ChildStdin>,
        output: BufReader<ChildStdout>,
    }

    const SCRIPT: &str = "
import socket, sys
print('%d.%d' % sys.version_info[:2])
sys.stdout.flush()
connections = []
for line in iter(sys.stdin.readline, ''):
    family, address = line.split()
    connection = socket.socket(getattr(socket, family))
    if family != 'AF_UNIX':
        host, port = address.rsplit(':', 1)
        address = (host, int(port))
    connection.connect(address)
    connections.append(connection)
    print('connected')
    sys.stdout.flush()
";

    impl Client {
        /// `None` if it is no Python that runs.
        fn start(command: &mut Command) -> Option<Self> {
            let mut child = command
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .ok()?;
            let input = child.stdin.take();
            let output = BufReader::new(child.stdout.take().unwrap());
            let mut client = Self {
                version: String::new(),
                child,
                input,
                output,
            };
            client.version = client.line();
            (!client.version.is_empty()).then_some(client)
        }

        fn python(program: &Path) -> Option<Self> {
            Self::start(Command::new(program).args(["-c", SCRIPT]))
        }

        fn line(&mut self) -> String {
            let mut line = String::new();
            self.output.read_line(&mut line).unwrap();
            line.trim_end().to_owned()
        }

        fn connect(&mut self, family: &str, address: &str) {
            let input = self.input.as_mut().unwrap();
            writeln!(input, "{family} {address}").unwrap();
            assert_eq!(self.line(), "connected", "{family} {address}");
        }

        fn tag(&self) -> String {
            format!("python/{}", self.version)
        }
    }

    impl Drop for Client {
        fn drop(&mut self) {
            self.input = None;
            // It ends by itself, unless it is none of ours.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }

    /// Every Python named in `PICKLEGATE_PYTHONS`, under pyenv and on PATH that may
    /// be one, each file once.
    fn candidates() -> Vec<PathBuf> {
        let named = env::var("PICKLEGATE_PYTHONS").unwrap_or_default();
        let named = named.split([' ', ':']).filter(|path| !path.is_empty());
        let mut all: Vec<PathBuf> = named.map(PathBuf::from).collect();
        let mut directories = Vec::new();
        if let Ok(root) = Command::new("pyenv").arg("root").output() {
            let root = String::from_utf8_lossy(&root.stdout).trim().to_owned();
            let versions = fs::read_dir(Path::new(&root).join("versions"));
            let versions = versions.into_iter().flatten().flatten();
            directories.extend(versions.map(|version| version.path().join("bin")));
        }
        let path = env::var_os("PATH").unwrap_or_default();
        // What pyenv's shims lead to is found above.
        directories.extend(env::split_paths(&path).filter(|path| !path.ends_with("shims")));
        for directory in directories {
            let entries = fs::read_dir(directory).into_iter().flatten().flatten();
            let pythons = entries.filter(|entry| {
                let name = entry.file_name().to_string_lossy().into_owned();
                let version = after_any(&name, &["python", "pypy"]).and_then(leading_version);
                version.is_some_and(|(major, minor)| name.ends_with(&format!("{major}.{minor}")))
            });
            all.extend(pythons.map(|entry| entry.path()));
        }
        let mut seen = BTreeSet::new();
        all.retain(|path| seen.insert(path.canonicalize().unwrap_or_else(|_| path.clone())));
        all
    }

    /// A client for each Python that runs, started as it is asked for.
    fn clients() -> impl Iterator<Item = Client> {
        let candidates = candidates();
        if candidates.is_empty() {
            println!("skipped: no Python under pyenv, on PATH or in PICKLEGATE_PYTHONS");
        }
        candidates.into_iter().filter_map(|path| {
            let client = Client::python(&path);
            if client.is_none() {
                println!("skipped: {}: does not run", path.display());
            }
            client
        })
    }

    /// What is at the other end of the next connection.
    fn accept(listener: &TcpListener) -> Peer {
        let (stream, client) = listener.accept().unwrap();
        let server = stream.local_addr().unwrap();
        // The client still has its end if ours is closed.
        Peer::Tcp { client, server }
    }

    fn tag_of(processes: &mut Processes, peer: Peer) -> Option<String> {
        let tags = processes.tags_of(&[peer]);
        assert_eq!(tags.len(), 1);
        tags[0].as_ref().map(ToString::to_string)
    }

    #[test]
    fn python_behind_a_tcp_connection_is_found() {
        let mut clients: Vec<Client> = clients().collect();
        let mut processes = Processes::default();
        for bound in ["127.0.0.1:0", "[::1]:0", "[::]:0"] {
            let Ok(listener) = TcpListener::bind(bound) else {
                println!("skipped: cannot listen on {bound}");
                continue;
            };
            let port = listener.local_addr().unwrap().port();
            for client in &mut clients {
                let ways: &[(&str, &str)] = match bound {
                    "127.0.0.1:0" => &[("AF_INET", "127.0.0.1"), ("AF_INET6", "::ffff:127.0.0.1")],
                    "[::1]:0" => &[("AF_INET6", "::1")],
                    _ => &[("AF_INET", "127.0.0.2"), ("AF_INET6", "::ffff:127.0.0.1")],
                };
                for (family, host) in ways {
                    client.connect(family, &format!("{host}:{port}"));
                    let peer = accept(&listener);
                    let found = tag_of(&mut processes, peer);
                    assert_eq!(found, Some(client.tag()), "{bound} {peer:?}");
                }
            }
        }
        assert_eq!(processes.known.len(), clients.len());
    }

    #[test]
    fn python_behind_a_unix_socket_is_found() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("any.sock");
        let guard = runtime.enter();
        let listener = tokio::net::UnixListener::bind(&path).unwrap();
        drop(guard);
        let mut processes = Processes::default();
        for mut client in clients() {
            client.connect("AF_UNIX", path.to_str().unwrap());
            let (stream, _) = runtime.block_on(listener.accept()).unwrap();
            let pid = stream.peer_cred().unwrap().pid().unwrap();
            let found = tag_of(&mut processes, Peer::Unix { pid });
            assert_eq!(found, Some(client.tag()));
        }
    }

    #[test]
    fn peers_are_looked_up_together() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mut peers = Vec::new();
        let mut expected = Vec::new();
        let mut clients: Vec<Client> = clients().collect();
        for client in &mut clients {
            for _ in 0..2 {
                client.connect("AF_INET", &address.to_string());
                peers.push(accept(&listener));
                expected.push(Some(client.tag()));
            }
            peers.push(Peer::Unix { pid: 0 });
            expected.push(None);
        }
        let _stream = TcpStream::connect(address).unwrap();
        peers.push(accept(&listener));
        expected.push(None);
        let tags = Processes::default().tags_of(&peers).into_iter();
        let tags: Vec<_> = tags.map(|tag| tag.map(|tag| tag.to_string())).collect();
        assert_eq!(tags, expected);
    }

    #[test]
    fn program_without_python_has_no_tag() {
        let mut processes = Processes::default();
        let pid = std::process::id().cast_signed();
        assert_eq!(tag_of(&mut processes, Peer::Unix { pid }), None);
        assert!(processes.known.contains_key(&pid));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let _stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert_eq!(tag_of(&mut processes, accept(&listener)), None);
    }

    #[test]
    fn peers_that_cannot_be_known_have_no_tag() {
        let mut processes = Processes::default();
        let server: SocketAddr = "127.0.0.1:11211".parse().unwrap();
        for client in ["192.0.2.1:5", "[2001:db8::1]:5", "127.0.0.1:0"] {
            let client = client.parse().unwrap();
            assert_eq!(tag_of(&mut processes, Peer::Tcp { client, server }), None);
        }
        for pid in [0, -1, i32::MAX] {
            assert_eq!(tag_of(&mut processes, Peer::Unix { pid }), None);
        }
        assert!(processes.known.is_empty());
    }

    fn known(start_time: u64) -> Known {
        let program = Program {
            start_time,
            stack_start: 0,
        };
        let tag = RuntimeTag::parse("py2").ok();
        Known { program, tag }
    }

    #[test]
    fn earlier_process_of_a_pid_is_forgotten() {
        let pid = std::process::id().cast_signed();
        let mut processes = Processes::default();
        processes.known.insert(pid, known(1));
        assert_eq!(tag_of(&mut processes, Peer::Unix { pid }), None);
        assert_eq!(processes.known[&pid].tag, None);
    }

    #[test]
    fn program_that_a_process_changes_to_is_seen() {
        let Some(python) = clients().next() else {
            return;
        };
        let program = fs::read_link(format!("/proc/{}/exe", python.child.id())).unwrap();
        let mut processes = Processes::default();
        let mut shell = Command::new("sh");
        shell.args(["-c", "echo ready; read go; exec \"$0\" -c \"$1\""]);
        let mut client = Client::start(shell.arg(program).arg(SCRIPT)).unwrap();
        let pid = client.child.id().cast_signed();
        assert_eq!(client.version, "ready");
        assert_eq!(tag_of(&mut processes, Peer::Unix { pid }), None);
        writeln!(client.input.as_mut().unwrap(), "go").unwrap();
        client.version = client.line();
        assert_eq!(client.version, python.version);
        assert_eq!(
            tag_of(&mut processes, Peer::Unix { pid }),
            Some(client.tag())
        );
    }

    #[test]
    fn python_whose_program_was_deleted_is_found() {
        let Some(python) = clients().next() else {
            return;
        };
        let program = fs::read_link(format!("/proc/{}/exe", python.child.id())).unwrap();
        let home = Command::new(&program)
            .args(["-c", "import sys; sys.stdout.write(sys.prefix)"])
            .output()
            .unwrap();
        let home = String::from_utf8(home.stdout).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let copy = directory.path().join(program.file_name().unwrap());
        fs::copy(&program, &copy).unwrap();
        let mut command = Command::new(&copy);
        command.args(["-c", SCRIPT]).env("PYTHONHOME", home);
        let client = Client::start(&mut command).unwrap();
        fs::remove_file(&copy).unwrap();
        let pid = client.child.id().cast_signed();
        let mut processes = Processes::default();
        assert_eq!(
            tag_of(&mut processes, Peer::Unix { pid }),
            Some(client.tag())
        );
    }

    #[test]
    fn full_memory_keeps_the_living_or_starts_again() {
        let pid = std::process::id().cast_signed();
        let mut processes = Processes::default();
        // Beyond any pid that Linux gives.
        let nobody = (0..).map(|n| i32::MAX - n);
        processes.known.insert(pid, known(1));
        processes
            .known
            .extend(nobody.take(MAX_KNOWN - 1).map(|pid| (pid, known(1))));
        processes.remember(1, known(1));
        assert_eq!(
            processes.known.keys().copied().collect::<Vec<_>>(),
            [1, pid]
        );
    }
}
