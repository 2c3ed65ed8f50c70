//! Sources of tags: the system, a header of a proxy, or the client.

use std::io::Write;
use std::net::TcpStream;
use std::path::Path;
use std::process::Stdio;

use tempfile::TempDir;

use super::{Gate, configuration, connected, identifies, is, say};
use crate::support::admin;
use crate::support::pythons::Python;
use crate::support::{Memcached, Picklegate, ask_text, connect, free_addr, memcached_available};

fn store(stream: &TcpStream, value: &str) {
    let request = format!("set k 0 0 {}\r\n{value}\r\n", value.len());
    say(stream, request.as_bytes(), "STORED\r\n");
}

/// Value that memcached itself has under a physical key.
fn stored(gate: &Gate, key: &str) -> String {
    ask_text(&gate.memcached.connect(), &format!("get {key}\r\n"))
}

// Process ----------------------------------------------------------------------

#[test]
fn the_system_tells_which_python_connects() {
    let pythons = Python::all();
    if pythons.is_empty() || !memcached_available() {
        eprintln!(
            "tests/wire/identity: skipped: no Python environments or memcached (run tests/setup)"
        );
        return;
    }
    let dir = TempDir::new().expect("a writable temporary directory");
    let socket = format!("unix:{}", dir.path().join("any.sock").display());
    let (tcp, admin) = (free_addr(), free_addr());
    let memcached = Memcached::start();
    let how = identifies("[\"process\"]", "refuse");
    let toml = configuration(&[(&tcp, &how), (&socket, &how)], &memcached.addr(), &admin);
    let _gate = Picklegate::with_config(&toml);
    let script = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/wire/identity/connect.py"
    );
    for python in &pythons {
        let mut child = python
            .command(Path::new(script))
            .args([&tcp, &socket])
            .stdin(Stdio::piped())
            .spawn()
            .expect("the environment is whole");
        let runtime = format!("python/{}", python.version());
        let namespace = format!("py{}", python.major);
        let status = admin::await_status(&admin, &runtime, |status| {
            let its = connected(status).filter(|c| is(c, &runtime, "process", &namespace));
            its.count() == 2
        });
        let on_unix = connected(&status).filter(|c| c["listener"] == *socket);
        assert!(on_unix.count() >= 1, "{status:#}");
        // It ends with its input.
        drop(child.stdin.take());
        assert!(child.wait().expect("a child of ours").success());
    }
}

// PROXY protocol ---------------------------------------------------------------

/// A header of version 2 for TCP over IPv4, with these TLVs.
pub(crate) fn header(tlvs: &[(u8, &[u8])]) -> Vec<u8> {
    let mut rest = vec![127, 0, 0, 1, 127, 0, 0, 1, 0x1f, 0x90, 0x2b, 0xcb];
    for (kind, value) in tlvs {
        rest.push(*kind);
        rest.extend((value.len() as u16).to_be_bytes());
        rest.extend_from_slice(value);
    }
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11".to_vec();
    header.extend((rest.len() as u16).to_be_bytes());
    header.extend(rest);
    header
}

#[test]
fn a_proxy_tells_the_tag_in_its_header() {
    let gate = Gate::start("[\"proxy-protocol\"]", "refuse");
    let tagged = header(&[(0x05, b"unique"), (0xe0, b"python/2.7 django/1.11")]);
    let whole = connect(&gate.listen);
    (&whole)
        .write_all(&[&tagged[..], b"set k 0 0 1\r\n2\r\n"].concat())
        .expect("it reads");
    say(&whole, b"", "STORED\r\n");
    assert_eq!(
        stored(&gate, "@py2//k"),
        "VALUE @py2//k 0 1\r\n2\r\nEND\r\n"
    );
    gate.await_connected("the tag of the header", |connection| {
        is(
            connection,
            "python/2.7 django/1.11",
            "proxy-protocol",
            "py2",
        )
    });

    // In pieces, with what follows the header in the last one.
    let pieces = connect(&gate.listen);
    let tagged = header(&[(0xe0, b"python/3.11")]);
    for piece in [&tagged[..], b"get k\r\n"].concat().chunks(7) {
        (&pieces).write_all(piece).expect("it reads");
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    say(&pieces, b"", "END\r\n");

    // One without a tag, and none at all.
    for start in [header(&[]), Vec::new()] {
        let untagged = connect(&gate.listen);
        let request = [&start[..], b"get k\r\n"].concat();
        (&untagged).write_all(&request).expect("it reads");
        say(&untagged, b"", &gate.refusal());
    }
}

// Hello --------------------------------------------------------------------------

#[test]
fn hello_is_a_line_a_read_or_a_meta_read() {
    let gate = Gate::start("[\"hello\"]", "refuse");
    for (request, reply) in [
        ("hello python/3.11\r\n", "OK\r\n"),
        ("hello python/3.11 django/4.2\r\n", "OK\r\n"),
        (
            "get @hello/python/3.11\r\n",
            "VALUE @hello/python/3.11 0 3\r\npy3\r\nEND\r\n",
        ),
        (
            "gets @hello/python/3.11,django/4.2\r\n",
            "VALUE @hello/python/3.11,django/4.2 0 3 0\r\npy3\r\nEND\r\n",
        ),
        ("mg @hello/python/3.11 v\r\n", "VA 3\r\npy3\r\n"),
        (
            "mg @hello/py3 v k q Ox\r\n",
            "VA 3 k@hello/py3 Ox\r\npy3\r\n",
        ),
        ("mg @hello/py3\r\n", "HD\r\n"),
    ] {
        let client = connect(&gate.listen);
        say(&client, b"get k\r\n", &gate.refusal());
        assert_eq!(ask_text(&client, request), reply, "{request}");
        store(&client, request.trim_end());
        let stored = stored(&gate, "@py3//k");
        assert!(stored.contains(request), "{request}: {stored}");
        gate.await_connected(request, |c| {
            c["told_by"] == "hello" && c["namespace"] == "py3"
        });
    }
    let memcached = gate.memcached.connect();
    let alone = [
        ("hello python/3.11\r\n", "ERROR\r\n"),
        ("get @hello/python/3.11\r\n", "END\r\n"),
        ("mg @hello/python/3.11 v\r\n", "EN\r\n"),
        ("mg k v Ppython/3.11\r\n", "EN\r\n"),
    ];
    for (request, reply) in alone {
        assert_eq!(ask_text(&memcached, request), reply, "{request}");
    }
}

#[test]
fn a_bad_tag_is_an_error_and_changes_nothing() {
    let gate = Gate::start("[\"hello\"]", "refuse");
    let client = connect(&gate.listen);
    say(&client, b"hello py2.7\r\n", "OK\r\n");
    store(&client, "2");
    let too_long = format!("python/3.11,{}", "x".repeat(128));
    for tag in ["what?", "python", "python/x", "/3", &too_long] {
        for request in [
            format!("hello {tag}\r\n"),
            format!("get @hello/{tag}\r\n"),
            format!("mg @hello/{tag} v\r\n"),
            format!("mg k v P{tag}\r\n"),
        ] {
            let reply = ask_text(&client, &request);
            let is_error = reply.starts_with("CLIENT_ERROR ") && reply.lines().count() == 1;
            assert!(is_error, "{request}: {reply}");
        }
    }
    say(&client, b"get k\r\n", "VALUE k 0 1\r\n2\r\nEND\r\n");
}

#[test]
fn a_tag_without_a_namespace_is_none_and_is_told() {
    let gate = Gate::start("[\"hello\"]", "refuse");
    let client = connect(&gate.listen);
    let refused = gate.unmatched("ruby/3.3");
    say(&client, b"hello ruby/3.3\r\n", &refused);
    say(&client, b"get @hello/ruby/3.3\r\n", &refused);
    say(&client, b"get k\r\n", &refused);
    say(
        &client,
        b"mg k v Pperl/5.36\r\n",
        &gate.unmatched("ruby/3.3 perl/5.36"),
    );
    say(&client, b"hello py3\r\n", "OK\r\n");
    say(&client, b"get k\r\n", "END\r\n");
    say(&client, b"hello ruby/3.3\r\n", &refused);
    say(&client, b"get k\r\n", &refused);
    // One that bears none is another thing.
    say(&connect(&gate.listen), b"get k\r\n", &gate.refusal());
    let counted = |reason: &str| {
        let name = "picklegate_untagged_connections_total";
        admin::metric(&gate.admin, name, &[&format!("reason=\"{reason}\"")])
    };
    assert_eq!((counted("no_namespace"), counted("no_tag")), (1, 1));
    let told = format!("none is for ruby/3.3 (listener {})", gate.listen);
    let log = gate.process.stderr();
    assert_eq!(log.matches(&told).count(), 1, "{log}");
    gate.await_connected("the tag of whom is refused", |c| {
        c["runtime"] == "ruby/3.3" && c["refused"] == true && c["namespace"].is_null()
    });
}

/// A tag without a namespace is told whatever its source.
#[test]
fn a_tag_of_a_proxy_without_a_namespace_is_told() {
    let gate = Gate::start("[\"proxy-protocol\"]", "refuse");
    let client = connect(&gate.listen);
    (&client)
        .write_all(&header(&[(0xe0, b"perl/5.36 django/4.2")]))
        .expect("it reads");
    say(
        &client,
        b"get k\r\n",
        &gate.unmatched("perl/5.36 django/4.2"),
    );
}

#[test]
fn a_flag_tags_one_request() {
    let gate = Gate::start("[\"hello\"]", "refuse");
    let client = connect(&gate.listen);
    say(&client, b"ms k 1 Ppython/2.7\r\n2\r\n", "HD\r\n");
    say(
        &client,
        b"ms k 1 Ppython/3.11,django/4.2\r\n3\r\n",
        "HD\r\n",
    );
    say(&client, b"mg k v Ppy2\r\n", "VA 1\r\n2\r\n");
    say(&client, b"mg k v Ppy3\r\n", "VA 1\r\n3\r\n");
    say(&client, b"mg k v\r\n", &gate.refusal());
    say(&client, b"md k Ppy3\r\n", "HD\r\n");
    say(&client, b"mg k v Ppy3\r\n", "EN\r\n");
}

#[test]
fn a_flag_never_contradicts_a_hello() {
    let gate = Gate::start("[\"hello\"]", "refuse");
    let client = connect(&gate.listen);
    say(&client, b"ms k 1 Ppython/3.11\r\n3\r\n", "HD\r\n");
    say(&client, b"hello py2\r\n", "OK\r\n");
    say(&client, b"ms k 1\r\n2\r\n", "HD\r\n");
    for request in ["mg k v\r\n", "mg k v Ppy3\r\n", "mg k v Ppy2\r\n"] {
        say(&client, request.as_bytes(), "VA 1\r\n2\r\n");
    }
}

// Several ------------------------------------------------------------------------

#[test]
fn a_higher_source_outdoes_a_lower_one_in_whatever_order_they_are_listed() {
    let from_proxy = header(&[(0xe0, b"python/2.7")]);
    for identify in [
        "[\"hello\", \"proxy-protocol\"]",
        "[\"proxy-protocol\", \"hello\"]",
    ] {
        let gate = Gate::start(identify, "refuse");
        let client = connect(&gate.listen);
        (&client).write_all(&from_proxy).expect("it reads");
        let hello = "VALUE @hello/py3 0 3\r\npy2\r\nEND\r\n";
        say(&client, b"get @hello/py3\r\n", hello);
        store(&client, "2");
        say(&client, b"mg k v Ppython/3.11\r\n", "VA 1\r\n2\r\n");
        say(&client, b"ms k 1 Ppython/3.11\r\n3\r\n", "HD\r\n");
        let copies = stored(&gate, "@py2//k @py3//k");
        assert_eq!(copies, "VALUE @py2//k 0 1\r\n3\r\nEND\r\n");
        say(&client, b"hello django/1.11\r\n", "OK\r\n");
        gate.await_connected("what hello adds", |c| {
            is(c, "python/2.7 django/1.11", "proxy-protocol", "py2")
        });
    }
}

#[test]
fn a_listener_of_one_runtime_hears_no_hello() {
    let (listen, admin) = (free_addr(), free_addr());
    let memcached = Memcached::start();
    let listeners = [(&*listen, "runtime = \"python/2.7\"")];
    let toml = configuration(&listeners, &memcached.addr(), &admin);
    let _gate = Picklegate::with_config(&toml);
    let client = connect(&listen);
    say(&client, b"hello python/3.11\r\n", "ERROR\r\n");
    say(&client, b"get @hello/python/3.11\r\n", "END\r\n");
    say(&client, b"ms k 1 Ppy3\r\n2\r\n", "HD\r\n");
    let direct = memcached.connect();
    say(
        &direct,
        b"get @py2//k\r\n",
        "VALUE @py2//k 0 1\r\n2\r\nEND\r\n",
    );
}
