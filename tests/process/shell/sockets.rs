//! The files of unix sockets, by real processes.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::Gate;
use crate::support::Memcached;
use crate::support::admin;
use crate::support::toml::Toml;

const SHARED: &str = "mode = \"shared\"\n";

fn await_socket(path: &Path) {
    admin::await_that("a socket", || UnixStream::connect(path).is_ok());
}

fn picklegate(args: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_picklegate"));
    let output = command.args(args).output().expect("cargo built the binary");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), told)
}

#[test]
fn a_file_where_a_socket_should_be_is_an_error_and_stays() {
    let dir = TempDir::new().unwrap();
    let notes = dir.path().join("notes.txt");
    fs::write(&notes, "kept").unwrap();
    let listen = format!("unix:{}", notes.display());
    let toml = Toml::new(&["127.0.0.1:11211".to_owned()])
        .rule(SHARED)
        .listener(&listen, "py3")
        .to_string();
    let file = dir.path().join("picklegate.toml");
    fs::write(&file, toml).unwrap();
    let file = file.to_str().unwrap();
    let flag = format!("{listen}=py3");
    let admin = ["--listen", "127.0.0.1:0=py3", "--admin", &listen];
    for (args, code) in [
        (&["check", "--config", file][..], 1),
        (&["serve", "--config", file], 64),
        (
            &["serve", "--upstream", "127.0.0.1:11211", "--listen", &flag],
            64,
        ),
        (
            &[&["serve", "--upstream", "127.0.0.1:11211"], &admin[..]].concat(),
            64,
        ),
    ] {
        let (ended, told) = picklegate(args);
        assert_eq!(ended, Some(code), "{args:?}: {told}");
        let error = format!(
            "{} is a file, not a socket: it is not replaced",
            notes.display()
        );
        assert!(told.contains(&error), "{args:?}: {told}");
        assert_eq!(fs::read_to_string(&notes).unwrap(), "kept");
    }
}

#[test]
fn a_restart_replaces_what_was_left_and_an_end_leaves_the_next_ones_socket() {
    let memcached = Memcached::start();
    let dir = TempDir::new().unwrap();
    let [path, admin] = ["gate.sock", "admin.sock"].map(|name| dir.path().join(name));
    let listen = format!("unix:{}", path.display());
    let rule = format!("{SHARED}[admin]\nlisten = \"unix:{}\"\n", admin.display());
    let toml = Toml::new(&[memcached.addr()])
        .rule(&rule)
        .listener(&listen, "py3")
        .to_string();
    let mut killed = Gate::serve(&toml, Stdio::null());
    await_socket(&admin);
    killed.signal("-KILL");
    killed.ended();
    assert!(path.exists() && admin.exists());
    let mut old = Gate::serve(&toml, Stdio::null());
    await_socket(&admin);
    // A second one finds it taken.
    let (mut told, stderr) = std::io::pipe().unwrap();
    let (code, _) = Gate::serve(&toml, stderr.into()).ended();
    assert!(code.is_some_and(|code| code != 0), "{code:?}");
    let mut log = String::new();
    told.read_to_string(&mut log).unwrap();
    assert!(log.contains("in use"), "{log}");
    await_socket(&path);
    // Somebody puts the next one in its place, by hand.
    for socket in [&path, &admin] {
        fs::remove_file(socket).unwrap();
    }
    let mut next = Gate::serve(&toml, Stdio::null());
    await_socket(&admin);
    old.signal("-TERM");
    assert_eq!(old.ended().0, Some(0));
    await_socket(&path);
    await_socket(&admin);
    next.signal("-TERM");
    assert_eq!(next.ended().0, Some(0));
    assert!(!path.exists() && !admin.exists());
}

#[test]
fn a_socket_has_the_mode_and_group_that_are_said_and_a_reload_changes_them() {
    let memcached = Memcached::start();
    let dir = TempDir::new().unwrap();
    let [path, admin] = ["gate.sock", "admin.sock"].map(|name| dir.path().join(name));
    let listen = format!("unix:{}", path.display());
    let group = fs::metadata(dir.path()).unwrap().gid();
    let toml = |mode: &str| {
        let at = format!(
            "listen = \"unix:{}\"\nsocket_mode = \"0600\"",
            admin.display()
        );
        let how =
            format!("runtime = \"py3\"\nsocket_mode = \"{mode}\"\nsocket_group = \"{group}\"");
        Toml::new(&[memcached.addr()])
            .rule(SHARED)
            .table("admin", &at)
            .listener_with(&listen, &how)
            .to_string()
    };
    let mode = |path: &Path| fs::metadata(path).map_or(0, |found| found.mode() & 0o777);
    let gate = Gate::serve(toml("0660"), Stdio::null());
    await_socket(&admin);
    assert_eq!((mode(&path), mode(&admin)), (0o660, 0o600));
    assert_eq!(fs::metadata(&path).unwrap().gid(), group);
    std::thread::sleep(std::time::Duration::from_millis(300));
    gate.configure(&toml("0666"));
    gate.signal("-HUP");
    admin::await_that("the other mode", || mode(&path) == 0o666);
    await_socket(&path);
}
