//! Connections that nothing tells about: refused, passed or taken for something.

use std::io::Read as _;

use super::{Gate, connected, is, say};
use crate::support::admin;
use crate::support::{ask_text, connect, roundtrip};

/// A copy for Python 2 and one for Python 3.
fn two_copies(gate: &Gate) {
    for (hello, value) in [("hello py2\r\n", "2"), ("hello py3\r\n", "3")] {
        let client = connect(&gate.listen);
        say(&client, hello.as_bytes(), "OK\r\n");
        let request = format!("ms k 1\r\n{value}\r\n");
        say(&client, request.as_bytes(), "HD\r\n");
    }
}

#[test]
fn a_refused_request_is_one_line_and_its_body_is_swallowed() {
    let gate = Gate::start("[\"hello\"]", "refuse");
    let client = connect(&gate.listen);
    let refused = gate.refusal();
    for request in [
        "get k\r\n",
        "get a b c\r\n",
        "gets k\r\n",
        "gat 10 k\r\n",
        "set k 0 0 9\r\nget k\r\n12\r\n",
        "add k 0 0 5\r\nquit!\r\n",
        "cas k 0 0 5 7\r\nquit!\r\n",
        "ms k 5\r\nquit!\r\n",
        "incr k 1\r\n",
        "touch k 1\r\n",
        "mg k v\r\n",
        "ma k\r\n",
        "stats\r\n",
        "flush_all\r\n",
    ] {
        assert_eq!(ask_text(&client, request), refused, "{request}");
    }
    assert_eq!(ask_text(&client, "set k 0 0 1 noreply\r\n1\r\n"), "");
    assert!(ask_text(&client, "version\r\n").starts_with("VERSION "));
    assert_eq!(ask_text(&client, "bogus\r\n"), "ERROR\r\n");
    // A large one, more than fits one read, and requests behind it.
    let large = format!("set k 0 0 300000\r\n{}\r\nget k\r\n", "v".repeat(300_000));
    assert_eq!(ask_text(&client, &large), refused.repeat(2));
    let status = admin::status(&gate.admin);
    let listed = connected(&status).any(|c| c["refused"] == true && c["runtime"].is_null());
    assert!(listed, "{status:#}");
    let untagged = "picklegate_untagged_connections_total";
    let listener = format!("listener=\"{}\"", gate.listen);
    assert_eq!(admin::metric(&gate.admin, untagged, &[&listener]), 1);
    let refused = "picklegate_untagged_writes_refused_total";
    assert_eq!(admin::metric(&gate.admin, refused, &[&listener]), 10);
    let told = "write refused: no runtime tag on this connection";
    admin::await_that(told, || gate.process.stderr().contains(told));
    say(&client, b"quit\r\n", "");
    let mut rest = String::new();
    (&client).read_to_string(&mut rest).expect("a clean close");
    assert_eq!(rest, "");
    // Nothing of all that arrived.
    say(
        &gate.memcached.connect(),
        b"get k @py2//k @py3//k\r\n",
        "END\r\n",
    );
}

#[test]
fn whoever_is_refused_still_deletes_every_copy() {
    let gate = Gate::start("[\"hello\"]", "refuse");
    let direct = gate.memcached.connect();
    for (delete, reply) in [
        ("delete k\r\n", "DELETED\r\n"),
        ("md k\r\n", "HD\r\n"),
        ("delete k noreply\r\nmn\r\n", "MN\r\n"),
        ("md k q\r\nmn\r\n", "MN\r\n"),
    ] {
        two_copies(&gate);
        say(&connect(&gate.listen), delete.as_bytes(), reply);
        say(&direct, b"get k @py2//k @py3//k\r\n", "END\r\n");
    }
}

#[test]
fn whoever_is_passed_works_on_bare_keys_and_deletes_every_copy() {
    let gate = Gate::start("[\"hello\"]", "pass");
    two_copies(&gate);
    let client = connect(&gate.listen);
    let direct = gate.memcached.connect();
    say(&client, b"get k\r\n", "END\r\n");
    // Protocol 5 is hidden from nobody here.
    say(&client, b"set p 1 0 4\r\n\x80\x05N.\r\n", "STORED\r\n");
    let head = "VALUE p 1 4\r\n";
    let hit = roundtrip(&client, b"get p\r\n", b"END\r\n");
    assert_eq!(hit, [head.as_bytes(), b"\x80\x05N.\r\nEND\r\n"].concat());
    // A hello that no namespace is for is a miss, one that is malformed an error.
    say(&client, b"get @hello/ruby/3.3\r\n", "END\r\n");
    let both = "VALUE @py2//k 0 1\r\n2\r\nVALUE @py3//k 0 1\r\n3\r\nEND\r\n";
    say(&direct, b"get k @py2//k @py3//k\r\n", both);
    say(&client, b"delete k\r\n", "DELETED\r\n");
    say(&direct, b"get k @py2//k @py3//k\r\n", "END\r\n");
    let untagged = "picklegate_untagged_connections_total";
    assert_eq!(admin::metric(&gate.admin, untagged, &[]), 1);
}

#[test]
fn whoever_is_taken_for_a_runtime_has_its_keys_until_it_says_otherwise() {
    let gate = Gate::start("[\"hello\"]", "python/2.7");
    two_copies(&gate);
    let client = connect(&gate.listen);
    say(&client, b"get k\r\n", "VALUE k 0 1\r\n2\r\nEND\r\n");
    gate.await_connected("a connection taken for Python 2", |c| {
        c["told_by"].is_null() && c["namespace"] == "py2"
    });
    say(&client, b"hello py3\r\n", "OK\r\n");
    say(&client, b"get k\r\n", "VALUE k 0 1\r\n3\r\nEND\r\n");
    gate.await_connected("its own word", |c| is(c, "python/3", "hello", "py3"));
}
