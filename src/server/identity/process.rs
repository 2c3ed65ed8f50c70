//! Which process is at the other end of a connection, as the system knows it: the one
//! that has the other socket. Asks the peer nothing, opens no connection.
//!
//! Finds processes on this machine only, that are in view (in Kubernetes: a shared
//! process namespace) and whose `/proc` entries may be read (those of the same
//! user, or with `CAP_SYS_PTRACE`). Everything else has no tag.
//!
//! The kernel says which inode a socket has and whose it is, but not which process
//! has it open. Whoever had the last ones has it most likely, so these are asked
//! first, the descriptor that it was before all; only somebody new is searched for
//! among all processes, in [`Search`]es that let the others go on.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use procfs::process::{Process, Stat};
use procfs::{ProcError, ProcResult};
use rustix::time::{ClockId, clock_gettime};

use super::python::Programs;
use super::sockets::{Ends, Open, Sockets, ends};
use crate::policy::RuntimeTag;

/// Most processes remembered.
const MAX_KNOWN: usize = 4096;
/// Descriptors that are looked at before a search: a microsecond or two each.
const MAX_QUICK_LINKS: usize = 256;
/// Descriptors of a search that are looked at before others have their turn.
const LINKS_PER_STEP: usize = 256;
/// Sockets of a search that are asked about again in a step: who has closed one is
/// not found any more.
const ASKED_PER_STEP: usize = 16;
/// Processes that each have a socket from the one before.
const MAX_ANCESTORS: usize = 8;

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

/// Since the machine started.
pub(super) fn since_boot() -> Duration {
    let now = clock_gettime(ClockId::Boottime);
    Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec as u32)
}

/// What is known of a peer at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// All there is to know: `None` if it is no Python, is on another machine, has
    /// closed already or cannot be looked at.
    Tag(Option<RuntimeTag>),
    /// Whoever has this socket has to be searched for.
    Search(Open, Ends),
}

/// The processes seen so far and their Pythons.
#[derive(Debug, Default)]
pub(super) struct Processes {
    sockets: Sockets,
    programs: Programs,
    /// The last one first. `known.len() <= MAX_KNOWN`
    known: Vec<Known>,
    /// All that there were at the last search.
    before: HashSet<i32>,
}

#[derive(Debug)]
struct Known {
    pid: i32,
    program: Program,
    /// `None` if it is no Python.
    tag: Option<RuntimeTag>,
    /// Of the last TCP socket of its that was asked about.
    uid: Option<u32>,
    descriptor: u32,
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

/// A descriptor of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Held {
    pid: i32,
    descriptor: u32,
}

impl Processes {
    /// What is known of a peer that connected before `asked`, since the machine
    /// started. Takes less than a millisecond, but for a program that was never
    /// looked at.
    pub(super) fn ask(&mut self, peer: Peer, asked: Duration) -> Answer {
        let ends = match peer {
            Peer::Unix { pid } => return Answer::Tag(self.tag_of(pid, asked)),
            Peer::Tcp { client, server } => ends(client, server),
        };
        let Some(socket) = self.find(ends) else {
            return Answer::Tag(None);
        };
        if let Some(held) = self.holder(socket) {
            return Answer::Tag(self.tag_of_holder(held, socket, asked));
        }
        // Who closes at once was seen, but is found no more.
        match self.find(ends) {
            Some(socket) => Answer::Search(socket, ends),
            None => Answer::Tag(None),
        }
    }

    fn find(&mut self, ends: Ends) -> Option<Open> {
        let found = self.sockets.find(ends).unwrap_or_else(|error| {
            tracing::debug!(%error, "socket of a peer not looked up");
            None
        });
        if found.is_none() {
            tracing::debug!(?ends, "no socket of this machine, or closed");
        }
        found
    }

    /// The known process that has a socket open, if it is soon found. Those of the
    /// same user come first, and the descriptors where the last ones were.
    fn holder(&self, Open { inode, uid }: Open) -> Option<Held> {
        let own = self.known.iter().filter(|known| known.uid == Some(uid));
        let others = self.known.iter().filter(|known| known.uid != Some(uid));
        let order = own.chain(others);
        let mut guesses = order.clone().take(MAX_QUICK_LINKS).map(|known| Held {
            pid: known.pid,
            descriptor: known.descriptor,
        });
        if let Some(held) = guesses.find(|held| held.inode() == Some(inode)) {
            return Some(held);
        }
        let descriptors = order.flat_map(|known| descriptors(known.pid));
        descriptors
            .take(MAX_QUICK_LINKS)
            .find(|held| held.inode() == Some(inode))
    }

    fn tag_of_holder(&mut self, held: Held, socket: Open, asked: Duration) -> Option<RuntimeTag> {
        let Held { pid, descriptor } = eldest(held, socket.inode);
        let tag = self.tag_of(pid, asked);
        if let Some(known) = self.known.first_mut().filter(|known| known.pid == pid) {
            known.uid = Some(socket.uid);
            known.descriptor = descriptor;
        }
        tag
    }

    fn tag_of(&mut self, pid: i32, asked: Duration) -> Option<RuntimeTag> {
        self.look_up(pid, asked).unwrap_or_else(|error| {
            tracing::debug!(pid, %error, "peer process not identified");
            None
        })
    }

    fn look_up(&mut self, pid: i32, asked: Duration) -> ProcResult<Option<RuntimeTag>> {
        if pid <= 0 {
            return Ok(None);
        }
        let process = Process::new(pid)?;
        // Before its program is looked at: if that is replaced meanwhile, what is
        // remembered of it will not be found again.
        let program = Program::of(&process.stat()?);
        let latest = asked.as_secs_f64() * procfs::ticks_per_second() as f64 + 1.0;
        if program.start_time as f64 > latest {
            return Err(ProcError::Other("it has a pid that was another's".into()));
        }
        if let Some(at) = self.known.iter().position(|known| known.pid == pid) {
            if self.known[at].program == program {
                self.known[..=at].rotate_right(1);
                return Ok(self.known[0].tag.clone());
            }
            self.known.remove(at);
        }
        let tag = self.programs.look_at(&process)?;
        tracing::debug!(pid, tag = ?tag.as_ref().map(ToString::to_string), "process identified");
        self.remember(Known {
            pid,
            program,
            tag: tag.clone(),
            uid: None,
            descriptor: 0,
        });
        Ok(tag)
    }

    fn remember(&mut self, known: Known) {
        self.known.truncate(MAX_KNOWN - 1);
        self.known.insert(0, known);
    }

    /// Begins to search for who has these sockets.
    pub(super) fn search<T>(&mut self, wanted: Vec<Wanted<T>>) -> io::Result<Search<T>> {
        self.known.retain(|known| is_there(known.pid));
        let ours = std::process::id().cast_signed();
        let all: HashSet<i32> = pids()?.filter(|pid| *pid != ours).collect();
        let known: HashSet<i32> = self.known.iter().map(|known| known.pid).collect();
        let (mut new, mut old): (Vec<_>, Vec<_>) = all
            .difference(&known)
            .partition(|pid| !self.before.contains(pid));
        new.sort_unstable();
        old.sort_unstable();
        // From the last one on: who is new, above all.
        let mut pids = old;
        pids.extend(self.known.iter().rev().map(|known| known.pid));
        pids.extend(new);
        self.before = all;
        let wanted = wanted.into_iter().map(|one| (one.socket.inode, one));
        Ok(Search {
            wanted: wanted.collect(),
            pids,
        })
    }

    /// Goes on with a search; gives those found, and at its end the others, without a
    /// tag.
    pub(super) fn step<T>(&mut self, search: &mut Search<T>) -> Vec<(T, Option<RuntimeTag>)> {
        let mut found = Vec::new();
        let mut links = 0;
        while links < LINKS_PER_STEP
            && !search.is_over()
            && let Some(pid) = search.pids.pop()
        {
            links += 1;
            for held in descriptors(pid) {
                links += 1;
                let inode = held.inode();
                if let Some(one) = inode.and_then(|inode| search.wanted.remove(&inode)) {
                    let tag = self.tag_of_holder(held, one.socket, one.asked);
                    found.push((one.who, tag));
                    if search.is_over() {
                        break;
                    }
                }
            }
        }
        let asked = search.wanted.values().take(ASKED_PER_STEP);
        let asked: Vec<_> = asked.map(|one| (one.socket.inode, one.ends)).collect();
        let is_closed = |&(_, ends): &(u64, Ends)| self.find(ends).is_none();
        let closed: Vec<u64> = asked
            .into_iter()
            .filter(is_closed)
            .map(|(at, _)| at)
            .collect();
        let closed = closed
            .into_iter()
            .filter_map(|inode| search.wanted.remove(&inode));
        found.extend(closed.map(|one| (one.who, None)));
        if search.pids.is_empty() {
            for (_, one) in search.wanted.drain() {
                tracing::debug!(ends = ?one.ends, "no process in view has the peer's socket");
                found.push((one.who, None));
            }
        }
        found
    }
}

/// Somebody who is searched for.
#[derive(Debug)]
pub(super) struct Wanted<T> {
    pub(super) who: T,
    pub(super) socket: Open,
    pub(super) ends: Ends,
    /// When, since the machine started.
    pub(super) asked: Duration,
}

/// A search for who has some sockets open, among all processes.
#[derive(Debug)]
pub(super) struct Search<T> {
    /// By inode, those not found yet.
    wanted: HashMap<u64, Wanted<T>>,
    /// Where it was not looked yet, the next one last.
    pids: Vec<i32>,
}

impl<T> Search<T> {
    pub(super) fn is_over(&self) -> bool {
        self.wanted.is_empty()
    }
}

impl Held {
    /// The inode of the socket that it is, if it is one.
    fn inode(self) -> Option<u64> {
        let Self { pid, descriptor } = self;
        let link = fs::read_link(format!("/proc/{pid}/fd/{descriptor}")).ok()?;
        let link = link.into_os_string().into_string().ok()?;
        // "socket:[<inode>]"
        let inode = link.strip_prefix("socket:[")?.strip_suffix(']')?;
        inode.parse().ok()
    }
}

/// All of a process; none if it has ended, or is another user's.
fn descriptors(pid: i32) -> impl Iterator<Item = Held> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd"));
    // Not procfs's iterator, which takes four system calls for a descriptor.
    let names = entries.into_iter().flatten().map_while(Result::ok);
    names.filter_map(move |entry| {
        let descriptor = entry.file_name().to_str()?.parse().ok()?;
        Some(Held { pid, descriptor })
    })
}

/// Who had a socket first. A child inherits descriptors by their numbers, and may be
/// another Python.
fn eldest(mut held: Held, inode: u64) -> Held {
    for _ in 0..MAX_ANCESTORS {
        let parent = Process::new(held.pid).and_then(|process| process.stat());
        let Ok(Stat { ppid: pid, .. }) = parent else {
            break;
        };
        let elder = Held { pid, ..held };
        if elder.inode() != Some(inode) {
            break;
        }
        held = elder;
    }
    held
}

fn is_there(pid: i32) -> bool {
    fs::metadata(format!("/proc/{pid}")).is_ok()
}

/// All processes in view.
fn pids() -> io::Result<impl Iterator<Item = i32>> {
    let entries = fs::read_dir("/proc")?;
    Ok(entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::env;
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::net::{TcpListener, TcpStream};
    use std::path::{Path, PathBuf};
    use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

    use super::super::python::{after_any, leading_version};
    use super::*;

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

    /// The tags of some peers, searched for together.
    fn tags_of(processes: &mut Processes, peers: &[Peer]) -> Vec<Option<String>> {
        let mut tags: Vec<Option<RuntimeTag>> = vec![None; peers.len()];
        let mut wanted = Vec::new();
        let asked = since_boot();
        for (who, peer) in peers.iter().enumerate() {
            match processes.ask(*peer, asked) {
                Answer::Tag(tag) => tags[who] = tag,
                Answer::Search(socket, ends) => wanted.push(Wanted {
                    who,
                    socket,
                    ends,
                    asked,
                }),
            }
        }
        let mut search = processes.search(wanted).unwrap();
        while !search.is_over() {
            for (who, tag) in processes.step(&mut search) {
                tags[who] = tag;
            }
        }
        let texts = tags.iter().map(|tag| tag.as_ref().map(ToString::to_string));
        texts.collect()
    }

    fn tag_of(processes: &mut Processes, peer: Peer) -> Option<String> {
        tags_of(processes, &[peer]).remove(0)
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
        assert_eq!(tags_of(&mut Processes::default(), &peers), expected);
    }

    #[test]
    fn program_without_python_has_no_tag() {
        let mut processes = Processes::default();
        let pid = std::process::id().cast_signed();
        assert_eq!(tag_of(&mut processes, Peer::Unix { pid }), None);
        assert_eq!(processes.known[0].pid, pid);
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

    fn known(pid: i32) -> Known {
        let program = Program {
            start_time: 1,
            stack_start: 0,
        };
        Known {
            pid,
            program,
            tag: RuntimeTag::parse("py2").ok(),
            uid: None,
            descriptor: 0,
        }
    }

    #[test]
    fn earlier_process_of_a_pid_is_forgotten() {
        let pid = std::process::id().cast_signed();
        let mut processes = Processes::default();
        processes.remember(known(pid));
        assert_eq!(tag_of(&mut processes, Peer::Unix { pid }), None);
        assert_eq!(processes.known.len(), 1);
        assert_eq!(processes.known[0].tag, None);
    }

    #[test]
    fn later_process_of_a_pid_is_not_the_peer() {
        let Some(python) = clients().next() else {
            return;
        };
        let pid = python.child.id().cast_signed();
        let mut processes = Processes::default();
        let before = since_boot().checked_sub(Duration::from_secs(3600));
        let before = before.unwrap_or_default();
        let peer = Peer::Unix { pid };
        assert_eq!(processes.ask(peer, before), Answer::Tag(None));
        assert_eq!(tag_of(&mut processes, peer), Some(python.tag()));
    }

    #[test]
    fn whoever_was_found_once_is_never_searched_for_again() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let mut processes = Processes::default();
        let mut clients: Vec<Client> = clients().take(4).collect();
        for client in &mut clients {
            client.connect("AF_INET", &address);
            assert_eq!(
                tag_of(&mut processes, accept(&listener)),
                Some(client.tag())
            );
        }
        for _ in 0..10 {
            for client in &mut clients {
                client.connect("AF_INET", &address);
                let answer = processes.ask(accept(&listener), since_boot());
                let tag = RuntimeTag::parse(&client.tag()).ok();
                assert_eq!(answer, Answer::Tag(tag));
            }
        }
    }

    #[test]
    fn whoever_closed_is_not_searched_for() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (_accepted, client) = listener.accept().unwrap();
        let server = listener.local_addr().unwrap();
        let peer = Peer::Tcp { client, server };
        let mut processes = Processes::default();
        let Answer::Search(socket, ends) = processes.ask(peer, since_boot()) else {
            panic!("nobody is known yet");
        };
        let wanted = Wanted {
            who: (),
            socket,
            ends,
            asked: since_boot(),
        };
        let mut search = processes.search(vec![wanted]).unwrap();
        drop(stream);
        assert_eq!(processes.step(&mut search), [((), None)]);
        assert!(search.is_over());
        assert_eq!(processes.ask(peer, since_boot()), Answer::Tag(None));
    }

    #[test]
    fn the_parent_that_a_socket_is_inherited_from_is_the_peer() {
        let mut pythons = clients();
        let (Some(mut parent), Some(child)) = (pythons.next(), pythons.next()) else {
            println!("skipped: needs two Pythons");
            return;
        };
        drop(pythons);
        let child = fs::read_link(format!("/proc/{}/exe", child.child.id())).unwrap();
        let program = fs::read_link(format!("/proc/{}/exe", parent.child.id())).unwrap();
        // The child has the socket as well, and is the one that is known.
        let script = "
import os, subprocess, socket, sys
connection = socket.create_connection(('127.0.0.1', int(sys.argv[2])))
if hasattr(connection, 'set_inheritable'): connection.set_inheritable(True)
again = 'import socket, sys; c = socket.create_connection((\"127.0.0.1\", %s)); sys.stdin.read()'
child = subprocess.Popen([sys.argv[1], '-c', again % sys.argv[2]], close_fds=False)
child.wait()
";
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port().to_string();
        let mut command = Command::new(&program);
        command.args(["-c", script]).arg(&child).arg(&port);
        let input = command.stdin(Stdio::piped()).spawn().unwrap();
        let peers = [accept(&listener), accept(&listener)];
        parent.child.kill().unwrap();
        parent.child.wait().unwrap();
        parent.child = input;
        let mut processes = Processes::default();
        let theirs = tag_of(&mut processes, peers[1]).unwrap();
        assert_ne!(theirs, parent.tag());
        assert_eq!(tag_of(&mut processes, peers[0]), Some(parent.tag()));
    }

    #[test]
    fn a_program_that_only_calls_itself_python_is_none() {
        let directory = tempfile::tempdir().unwrap();
        let Some(python) = clients().next() else {
            return;
        };
        let other = fs::read_link(format!("/proc/{}/exe", python.child.id())).unwrap();
        let home = Command::new(&other)
            .args(["-c", "import sys; sys.stdout.write(sys.prefix)"])
            .output()
            .unwrap();
        let home = String::from_utf8(home.stdout).unwrap();
        let mut processes = Processes::default();
        // One that is another Python, and one that is none.
        let copy = directory.path().join("python2.6");
        fs::copy(&other, &copy).unwrap();
        let mut command = Command::new(&copy);
        command.args(["-c", SCRIPT]).env("PYTHONHOME", home);
        let client = Client::start(&mut command).unwrap();
        let pid = client.child.id().cast_signed();
        assert_eq!(tag_of(&mut processes, Peer::Unix { pid }), None);
        let copy = directory.path().join("python3.11");
        fs::copy("/bin/sleep", &copy).unwrap();
        let mut sleep = Command::new(&copy).arg("60").spawn().unwrap();
        let pid = sleep.id().cast_signed();
        let tag = tag_of(&mut processes, Peer::Unix { pid });
        sleep.kill().unwrap();
        sleep.wait().unwrap();
        assert_eq!(tag, None);
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
    fn full_memory_keeps_the_last_ones() {
        let mut processes = Processes::default();
        for pid in 1..=MAX_KNOWN as i32 + 2 {
            processes.remember(known(pid));
        }
        let pids = processes.known.iter().map(|known| known.pid);
        let last: Vec<i32> = (3..=MAX_KNOWN as i32 + 2).rev().collect();
        assert_eq!(pids.collect::<Vec<_>>(), last);
    }
}
