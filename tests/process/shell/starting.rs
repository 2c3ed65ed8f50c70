//! Notifications before everything is there, and a service manager that does not listen.

use std::fs::File;
use std::io::Write;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};
use tempfile::TempDir;

use super::{Gate, PATIENCE, await_listener};
use crate::support::admin;
use crate::support::toml::Toml;
use crate::support::{Memcached, ask_text, connect, free_addr};

/// A picklegate that has begun to read its configuration, and what it reads: a pipe.
fn reading() -> (Gate, File) {
    let dir = TempDir::new().expect("a writable temporary directory");
    let pipe = dir.path().join("picklegate.toml");
    let made = Command::new("mkfifo").arg(&pipe).status();
    assert!(made.is_ok_and(|made| made.success()), "mkfifo failed");
    let mut command = Command::new(env!("CARGO_BIN_EXE_picklegate"));
    command.args(["serve", "--config"]).arg(&pipe);
    command.stderr(Stdio::null());
    let gate = Gate::spawn(command, dir);
    let mut writer = None;
    // Nobody can write before somebody reads.
    admin::await_that("it to read", || {
        let flags = OFlags::WRONLY | OFlags::NONBLOCK;
        writer = rustix::fs::open(&pipe, flags, Mode::empty()).ok();
        writer.is_some()
    });
    (gate, File::from(writer.expect("it is there")))
}

fn with_admin(memcached: &Memcached) -> (String, String, String) {
    let (listen, admin) = (free_addr(), free_addr());
    let toml = Toml::new(&[memcached.addr()])
        .rule("mode = \"shared\"")
        .listener(&listen, "py3")
        .admin(&admin)
        .to_string();
    (toml, listen, admin)
}

#[test]
fn a_hangup_that_comes_before_the_configuration_is_read_reloads_it_afterwards() {
    let memcached = Memcached::start();
    let (toml, listen, admin) = with_admin(&memcached);
    let (mut gate, mut writer) = reading();
    gate.signal("-HUP");
    // What it reads the next time is a file.
    gate.configure(&toml);
    writer.write_all(toml.as_bytes()).expect("it reads");
    drop(writer);
    await_listener(&admin);
    admin::await_status(&admin, "the reload", |status| {
        admin::generation(status) == 2
    });
    assert_eq!(ask_text(&connect(&listen), "get k\r\n"), "END\r\n");
    gate.signal("-TERM");
    assert_eq!(gate.ended().0, Some(0));
}

#[test]
fn whoever_is_told_to_end_before_it_serves_ends_at_once_and_well() {
    for signal in ["-TERM", "-INT"] {
        let (mut gate, _writer) = reading();
        gate.signal(signal);
        let (code, took) = gate.ended();
        assert_eq!(code, Some(0), "{signal}");
        assert!(took < PATIENCE / 4, "{took:?}");
    }
}

/// A socket that nobody reads yet.
fn deaf(at: &Path) -> UnixDatagram {
    let socket = UnixDatagram::bind(at).expect("a writable directory");
    socket.set_nonblocking(true).expect("a socket");
    socket
}

#[test]
fn a_service_manager_that_does_not_listen_stops_nothing_and_is_told_later() {
    let memcached = Memcached::start();
    let (toml, listen, admin) = with_admin(&memcached);
    let dir = TempDir::new().expect("a writable temporary directory");
    let notify = dir.path().join("notify");
    let socket = deaf(&notify);
    let file = dir.path().join("picklegate.toml");
    std::fs::write(&file, &toml).expect("a writable directory");
    let mut command = Command::new(env!("CARGO_BIN_EXE_picklegate"));
    command.args(["serve", "--config"]).arg(&file);
    command.stderr(Stdio::null());
    command.env("NOTIFY_SOCKET", &notify);
    // A message in each millisecond: more than the system holds, soon.
    command.env("WATCHDOG_USEC", "2000");
    let mut gate = Gate::spawn(command, dir);
    await_listener(&admin);
    let one_more = UnixDatagram::unbound().expect("a socket");
    one_more.set_nonblocking(true).expect("a socket");
    admin::await_that("the queue to be full", || {
        one_more.send_to(b"X_FULL=1\n", &notify).is_err()
    });
    // Workers, the admin address, a reload: all go on.
    assert_eq!(ask_text(&connect(&listen), "get k\r\n"), "END\r\n");
    gate.signal("-HUP");
    admin::await_status(&admin, "the reload", |status| {
        admin::generation(status) == 2
    });
    assert_eq!(admin::page(&admin, "/live").0, 200);
    // Once it listens, it is told.
    let mut told = Vec::new();
    let deadline = Instant::now() + PATIENCE;
    while !(told.contains(&"RELOADING=1".to_owned())
        && told.last().is_some_and(|last| last == "READY=1"))
    {
        assert!(Instant::now() < deadline, "{told:?}");
        let mut message = [0; 4096];
        match socket.recv(&mut message) {
            Ok(length) => {
                let text = String::from_utf8_lossy(&message[..length]);
                told.push(text.lines().next().unwrap_or_default().to_owned());
            }
            Err(_) => std::thread::sleep(Duration::from_millis(1)),
        }
    }
    assert_eq!(told.iter().filter(|line| *line == "READY=1").count(), 2);
    // And the end.
    admin::await_that("the queue to be full again", || {
        one_more.send_to(b"X_FULL=1\n", &notify).is_err()
    });
    gate.signal("-TERM");
    let (code, took) = gate.ended();
    assert_eq!(code, Some(0));
    assert!(took < PATIENCE / 4, "{took:?}");
}
