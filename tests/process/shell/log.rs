//! The log, when it is not read, and when what it tells was chosen by somebody else.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, PipeReader, PipeWriter, Read, Write};

use tempfile::TempDir;

use super::{Gate, PATIENCE, await_listener, certificate};
use crate::support::admin;
use crate::support::toml::Toml;
use crate::support::{
    FENCE, FENCE_REPLY, Memcached, Picklegate, ask, ask_text, connect, exchange, free_addr,
};

const SHARED: &str = "mode = \"shared\"\n";
const DROPPED: &str = "picklegate_log_lines_dropped_total";

/// A configuration with an admin address.
fn with_admin(listen: &str, admin: &str, memcached: &Memcached) -> String {
    Toml::new(&[memcached.addr()])
        .rule(SHARED)
        .listener(listen, "py3")
        .admin(admin)
        .to_string()
}

/// A pipe that takes no more, and nobody reads.
fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let filler = writer.try_clone().expect("a descriptor");
    rustix::io::ioctl_fionbio(&filler, true).expect("a pipe");
    while (&filler).write(&[b'.'; 4096]).is_ok() {}
    rustix::io::ioctl_fionbio(&filler, false).expect("a pipe");
    (reader, writer)
}

#[test]
fn a_log_that_nobody_reads_stops_nothing_and_tells_later_what_is_missing() {
    let memcached = Memcached::start();
    let (listen, admin) = (free_addr(), free_addr());
    let toml = with_admin(&listen, &admin, &memcached);
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let mut gate = Gate::serve(&toml, writer.into());
    await_listener(&admin);
    // Each is a line of the log: some hundred KiB, of which a pipe holds 64.
    let mut wrong = toml.clone();
    for number in 0..4000 {
        let _ = writeln!(wrong, "[rules_of_another_program_{number}]");
    }
    gate.configure(&wrong);
    gate.signal("-HUP");
    let dropped = || admin::metric(&admin, DROPPED, &[]);
    admin::await_that("lines that are dropped", || dropped() > 1000);
    // Workers, requests, the admin address: all go on.
    assert_eq!(ask_text(&connect(&listen), "get k\r\n"), "END\r\n");
    assert_eq!(admin::page(&admin, "/live").0, 200);
    assert!(!admin::status(&admin)["config"]["failure"].is_null());
    // The end, too.
    gate.signal("-TERM");
    let (code, took) = gate.ended();
    assert_eq!(code, Some(0));
    assert!(took < PATIENCE / 4, "{took:?}");
    drop(reader);

    // Once somebody reads, how many are missing.
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let gate = Gate::serve(&toml, writer.into());
    await_listener(&admin);
    gate.configure(&wrong);
    gate.signal("-HUP");
    admin::await_that("lines that are dropped", || dropped() > 1000);
    let told = BufReader::new(reader).lines().map_while(Result::ok);
    let mut told = told.filter_map(|line| {
        let lines = line.split("the log was not read in time").nth(1)?;
        let lines = lines.split("lines=").nth(1)?.trim();
        Some(lines.parse::<u64>().expect("a number"))
    });
    let mut sum = 0;
    // While a queue's length is written, all is told.
    while sum < dropped() {
        sum += told.next().expect("it is told");
    }
    assert!(sum > 1000, "{sum}");
}

#[test]
fn whoever_cannot_start_says_so_at_once_or_not_at_all() {
    let memcached = Memcached::start();
    let toml = with_admin(&memcached.addr(), &free_addr(), &memcached);
    let (reader, writer) = full_pipe();
    let (code, took) = Gate::serve(&toml, writer.into()).ended();
    assert!(code.is_some_and(|code| code != 0), "{code:?}");
    assert!(took < PATIENCE / 4, "{took:?}");
    drop(reader);
    let (mut reader, writer) = std::io::pipe().expect("a pipe");
    assert_eq!(Gate::serve(&toml, writer.into()).ended().0, code);
    let mut told = String::new();
    reader.read_to_string(&mut told).expect("text");
    assert!(told.contains(&memcached.addr()), "{told}");
}

#[test]
fn what_is_named_by_a_pickle_forges_no_line() {
    let memcached = Memcached::start();
    let listen = free_addr();
    let rule = "mode = \"guard\"\nsniff = \"full\"\nglobals = \"deny\"\n";
    let toml = Toml::new(&[memcached.addr()])
        .rule(rule)
        .listener(&listen, "py3")
        .table("pickle", "deny_globals = [\"evil.*\"]");
    let gate = Picklegate::with_config(toml);
    let name = b"x\n2026-01-01T00:00:00Z ERROR picklegate: all is lost\x1b[2J";
    let mut pickle = b"\x80\x04\x8c\x04evil\x8c".to_vec();
    pickle.push(u8::try_from(name.len()).expect("it is short"));
    pickle.extend_from_slice(name);
    pickle.extend_from_slice(b"\x93.");
    let head = format!("set k 1 0 {}\r\n", pickle.len());
    let set = [head.as_bytes(), &pickle, b"\r\n"].concat();
    ask(&connect(&listen), &[&set[..], b"get k\r\n", FENCE].concat());
    admin::await_that("the firewall's line", || gate.stderr().contains("evil"));
    let told = gate.stderr();
    assert!(
        !told.lines().any(|line| line.starts_with("2026-01-01")),
        "{told}"
    );
    assert!(told.contains(r"x\n2026-01-01T00:00:00Z ERROR"), "{told}");
    assert!(!told.contains('\x1b'), "{told}");
}

#[test]
fn an_upstream_that_is_back_and_clients_turned_away_are_told_not_too_often() {
    let memcached = Memcached::start();
    let port = memcached.port;
    let listen = free_addr();
    let toml = Toml::new(&[memcached.addr()])
        .rule(SHARED)
        .table("limits", "max_connections = 1")
        .listener(&listen, "py3");
    let gate = Picklegate::with_config(toml);
    let count = |what: &str| {
        let told = gate.stderr();
        told.lines().filter(|line| line.contains(what)).count()
    };
    // Whoever looked whether it listens has to be gone.
    let mut one = connect(&listen);
    while exchange(&one, [FENCE], FENCE_REPLY).is_err() {
        one = connect(&listen);
    }
    let refused =
        " WARN picklegate::server::listen::complaints: connections refused: max_connections";
    let before = count(refused);
    let mut turned_away = 0;
    while turned_away < 50 || count(refused) == before {
        let mut told = String::new();
        connect(&listen)
            .read_to_string(&mut told)
            .expect("a clean close");
        assert_eq!(told, "ERROR Too many open connections\r\n");
        turned_away += 1;
        assert!(turned_away < 100_000, "{}", gate.stderr());
    }
    assert!(count(refused) < turned_away / 2, "{}", gate.stderr());
    // All are told of, though no other comes.
    admin::await_that("a line about the last of them", || {
        told(&gate, refused) >= turned_away as u64
    });

    drop(memcached);
    admin::await_that("a line about the loss", || {
        count(" WARN picklegate::server::worker::lane") > 0
    });
    let _memcached = Memcached::on(port);
    let back = " INFO picklegate::server::worker::lane: upstream is connected again";
    admin::await_that("a line about the recovery", || count(back) > 0);
    admin::await_that("an answer", || ask_text(&one, "get k\r\n") == "END\r\n");
}

/// Number of events that the lines of a kind tell of.
fn told(gate: &Picklegate, what: &str) -> u64 {
    let log = gate.stderr();
    let lines = log.lines().filter(|line| line.contains(what));
    let before = lines.map(|line| {
        let before = line.split("before=").nth(1).expect("how many before it");
        before.split(' ').next().expect("a word").parse::<u64>()
    });
    before.map(|before| 1 + before.expect("a number")).sum()
}

#[test]
fn clients_that_are_not_accepted_are_told_of_not_too_often_and_all() {
    let memcached = Memcached::start();
    let dir = TempDir::new().unwrap();
    let (headers, secured) = (free_addr(), free_addr());
    let by_header = "identify = [\"proxy-protocol\"]\nuntagged = \"pass\"";
    let toml = Toml::new(&[memcached.addr()])
        .rule(SHARED)
        .listener_with(&headers, by_header)
        .listener(&secured, "py3")
        .table("listeners.tls", &certificate(dir.path()));
    let gate = Picklegate::with_config(toml);
    // Version 15 of the header, and no TLS.
    let header = b"\r\n\r\n\0\r\nQUIT\n\xff\x11\0\0";
    let said = [&header[..], b"get k\r\n"];
    for (listen, said) in [&headers, &secured].into_iter().zip(said) {
        let what = format!("client not accepted listener={listen}");
        for _ in 0..100 {
            let mut client = connect(listen);
            client.write_all(said).unwrap();
            // It closes, or resets, as something is unread.
            let _ = client.read_to_end(&mut Vec::new());
        }
        admin::await_that("lines about all of them", || told(&gate, &what) >= 100);
        assert_eq!(told(&gate, &what), 100);
        let lines = gate.stderr().matches(&what).count();
        assert!(lines < 50, "{}", gate.stderr());
    }
}
