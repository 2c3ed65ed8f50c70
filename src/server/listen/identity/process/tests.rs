//! Real Pythons of every version there is, and processes that only look like one.

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

/// Peer at the other end of the next connection.
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
    let last = i32::try_from(MAX_KNOWN).unwrap() + 2;
    let mut processes = Processes::default();
    for pid in 1..=last {
        processes.remember(known(pid));
    }
    let pids = processes.known.iter().map(|known| known.pid);
    let last: Vec<i32> = (3..=last).rev().collect();
    assert_eq!(pids.collect::<Vec<_>>(), last);
}
