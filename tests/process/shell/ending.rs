//! The end, where somebody or something says nothing.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketType, bind, getsockname, socket};
use tempfile::TempDir;

use super::{Gate, await_listener, certificate};
use crate::support::admin;
use crate::support::toml::Toml;
use crate::support::{FENCE, FENCE_REPLY, Memcached, connect, free_addr, roundtrip};

const SHARED: &str = "mode = \"shared\"\n";
const BY_HEADER: &str = "identify = [\"proxy-protocol\"]\nuntagged = \"pass\"";
/// The end is promised within 600 ms of the signal; what is more is for a machine that
/// does other things. Each of these took five seconds once.
const PROMISED: Duration = Duration::from_millis(2500);
/// A header that says nothing, and has no fields.
const HEADER: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";

fn ends_in_time(mut gate: Gate) {
    gate.signal("-TERM");
    let (code, took) = gate.ended();
    assert_eq!(code, Some(0));
    assert!(took < PROMISED, "{took:?}");
}

/// In front of a real memcached, with one listener.
fn gate(memcached: &Memcached, listen: &str, how: &str) -> Gate {
    let toml = Toml::new(&[memcached.addr()])
        .rule(SHARED)
        .listener_with(listen, how);
    let gate = Gate::serve(toml, Stdio::null());
    await_listener(listen);
    gate
}

#[test]
fn who_never_spoke_does_not_hold_up_the_end() {
    let memcached = Memcached::start();
    let dir = TempDir::new().unwrap();
    let tls = format!(
        "runtime = \"py3\"\n[listeners.tls]\n{}",
        certificate(dir.path())
    );
    thread::scope(|scope| {
        for (how, said) in [
            ("runtime = \"py3\"", &b""[..]),
            (BY_HEADER, b""),
            (BY_HEADER, &HEADER[..12]),
            (&tls, b""),
            // The beginning of a handshake.
            (&tls, b"\x16\x03\x01\x02"),
        ] {
            let memcached = &memcached;
            scope.spawn(move || {
                let listen = free_addr();
                let gate = gate(memcached, &listen, how);
                let client = connect(&listen);
                (&client).write_all(said).unwrap();
                thread::sleep(Duration::from_millis(100));
                ends_in_time(gate);
            });
        }
    });
}

#[test]
fn a_silent_resolver_does_not_hold_up_the_end() {
    // Who resolves names asks this, which never answers.
    let Ok(_silent) = UdpSocket::bind("127.53.53.53:53") else {
        eprintln!("tests/process/shell: skipped: a silent resolver (port 53 is not ours)");
        return;
    };
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("resolv.conf");
    let silent = "nameserver 127.53.53.53\noptions timeout:9 attempts:1\n";
    std::fs::write(&file, silent).unwrap();
    let mounted = "mount --make-rprivate / && mount --bind \"$0\" /etc/resolv.conf && exec \"$@\"";
    let wrap = |program: &str| {
        let mut command = Command::new("unshare");
        let path = file.to_str().unwrap();
        command.args(["-m", "sh", "-c", mounted, path, program]);
        command
    };
    let tried = wrap("true").output();
    if !tried.is_ok_and(|ran| ran.status.success()) {
        eprintln!("tests/process/shell: skipped: a silent resolver (no mount namespaces here)");
        return;
    }
    let listen = free_addr();
    let server = "cache.silent.test:11211".to_owned();
    let toml = Toml::new(&[server])
        .rule(SHARED)
        .listener(&listen, "py3")
        .to_string();
    let config = dir.path().join("picklegate.toml");
    std::fs::write(&config, &toml).unwrap();
    let mut command = wrap(env!("CARGO_BIN_EXE_picklegate"));
    command.args(["serve", "--config"]).arg(&config);
    command.stderr(Stdio::null());
    let gate = Gate::spawn(command, TempDir::new().unwrap());
    await_listener(&listen);
    thread::sleep(Duration::from_millis(500));
    // It is asked all the time, and for the address of a listener that is to be bound.
    let more = "[[listeners]]\nlisten = \"gate.silent.test:11212\"\nruntime = \"py3\"\n";
    std::fs::write(&config, toml + more).unwrap();
    gate.signal("-HUP");
    thread::sleep(Duration::from_millis(500));
    ends_in_time(gate);
}

#[test]
fn a_silent_client_of_a_tls_listener_is_held_five_seconds_in_all() {
    let memcached = Memcached::start();
    let listen = free_addr();
    let dir = TempDir::new().unwrap();
    let how = format!("{BY_HEADER}\n[listeners.tls]\n{}", certificate(dir.path()));
    let _gate = gate(&memcached, &listen, &how);
    let held = |mut stream: TcpStream, connected: Instant| {
        let patience = Duration::from_secs(20);
        stream.set_read_timeout(Some(patience)).unwrap();
        // Whether it is reset or ended.
        let _ = stream.read(&mut [0; 64]);
        let took = connected.elapsed();
        assert!(took > Duration::from_millis(4900), "{took:?}");
        assert!(took < Duration::from_secs(7), "{took:?}");
    };
    let connected = Instant::now();
    let (silent, late) = (connect(&listen), connect(&listen));
    thread::scope(|scope| {
        scope.spawn(|| held(silent, connected));
        scope.spawn(|| {
            // Its header took most of its time.
            thread::sleep(Duration::from_secs(3));
            (&late).write_all(HEADER).unwrap();
            held(late.try_clone().unwrap(), connected);
        });
    });
}

/// Has a picklegate run with two sockets passed to it.
fn with_sockets([first, second]: [OwnedFd; 2], toml: &str, stderr: Stdio) -> Gate {
    let pass = "exec 3<&0 4<&1 0</dev/null 1>/dev/null; LISTEN_FDS=2 LISTEN_PID=$$ exec \"$@\"";
    let dir = TempDir::new().expect("a place for its file");
    let file = dir.path().join("picklegate.toml");
    std::fs::write(&file, toml).expect("it can be written");
    let mut command = Command::new("sh");
    command.args(["-c", pass, "sh", env!("CARGO_BIN_EXE_picklegate")]);
    command.args(["serve", "--config"]).arg(file);
    command.stdin(first).stdout(second).stderr(stderr);
    Gate::spawn_with(command, dir)
}

#[test]
fn a_passed_socket_that_does_not_listen_is_an_error_and_the_admins_is_no_strangers() {
    let memcached = Memcached::start();
    let listener = || TcpListener::bind("127.0.0.1:0").unwrap();
    let (client, admin) = (listener(), listener());
    let at = client.local_addr().unwrap().to_string();
    let admin_at = admin.local_addr().unwrap().to_string();
    let rule = format!("{SHARED}[admin]\nlisten = \"{admin_at}\"\n");
    let toml = Toml::new(&[memcached.addr()])
        .rule(&rule)
        .listener(&at, "py3")
        .to_string();
    let (mut told, stderr) = std::io::pipe().unwrap();
    let gate = with_sockets([client.into(), admin.into()], &toml, stderr.into());
    roundtrip(&connect(&at), FENCE, FENCE_REPLY);
    assert_eq!(admin::page(&admin_at, "/live").0, 200);
    ends_in_time(gate);
    let mut log = String::new();
    told.read_to_string(&mut log).unwrap();
    assert!(!log.contains("a socket was passed for"), "{log}");

    let deaf = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
    let any_port = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0);
    bind(&deaf, &any_port).expect("loopback has free ports");
    let named = getsockname(&deaf).expect("it is bound");
    let named = SocketAddr::try_from(named).expect("an address");
    let toml = Toml::new(&[memcached.addr()])
        .rule(SHARED)
        .listener(&named.to_string(), "py3")
        .to_string();
    let (mut told, stderr) = std::io::pipe().unwrap();
    let (code, _) = with_sockets([deaf, listener().into()], &toml, stderr.into()).ended();
    assert!(code.is_some_and(|code| code != 0), "{code:?}");
    let mut log = String::new();
    told.read_to_string(&mut log).unwrap();
    let error = format!("the socket that was passed for {named} does not listen");
    assert!(log.contains(&error), "{log}");
}
