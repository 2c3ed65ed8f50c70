//! Clients: limits, early leavers, slow readers, and large values.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::thread;
use std::time::Duration;

use super::{Proxy, SHARED, metrics, rest, say, set, total, value};
use crate::support::{FENCE, FENCE_REPLY, Memcached, roundtrip};

#[test]
fn a_connection_too_many_is_told_and_closed() {
    let memcached = Memcached::start();
    let proxy = Proxy::of(
        &memcached,
        "mode = \"shared\"\n[limits]\nmax_connections = 2\n",
    );
    let (one, two) = (proxy.connect(), proxy.connect());
    say(&one, FENCE, "MN\r\n");
    say(&two, FENCE, "MN\r\n");
    assert_eq!(
        rest(&proxy.connect()),
        "ERROR Too many open connections\r\n"
    );
    say(&one, b"get k\r\n", "END\r\n");
    let refused = "picklegate_refused_connections_total";
    assert_eq!(total(&metrics(&proxy.admin), refused), 1);
    drop(two);
    proxy.await_metric("picklegate_connections", 1);
    say(&proxy.connect(), b"get k\r\n", "END\r\n");
    assert_eq!(total(&metrics(&proxy.admin), refused), 1);
}

#[test]
fn a_client_that_leaves_in_the_middle_does_no_harm() {
    let memcached = Memcached::start();
    let proxy = Proxy::of(&memcached, SHARED);
    let client = proxy.connect();
    say(&client, b"set k 0 0 1\r\n1\r\n", "STORED\r\n");
    for half in [
        "get",
        "set k 0 0 10\r\nhalf",
        "ms k 10\r\n",
        "get k\r\nget k",
    ] {
        proxy.connect().write_all(half.as_bytes()).unwrap();
    }
    proxy.await_metric("picklegate_connections", 1);
    say(&client, b"get k\r\n", "VALUE k 0 1\r\n1\r\nEND\r\n");
}

#[test]
fn a_half_closed_client_gets_all_its_replies() {
    let memcached = Memcached::start();
    let proxy = Proxy::of(&memcached, SHARED);
    for gets in [1, 5_000] {
        let client = proxy.connect();
        (&client).write_all(&b"get k\r\n".repeat(gets)).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(rest(&client), "END\r\n".repeat(gets));
    }
}

#[test]
fn quit_closes_after_the_replies_owed() {
    let memcached = Memcached::start();
    let proxy = Proxy::of(&memcached, SHARED);
    for gets in [0, 1, 1_000] {
        let client = proxy.connect();
        let request = [&b"get k\r\n".repeat(gets)[..], b"quit\r\nget k\r\n"].concat();
        (&client).write_all(&request).unwrap();
        assert_eq!(rest(&client), "END\r\n".repeat(gets));
    }
    proxy.await_metric("picklegate_connections", 0);
}

#[test]
fn ten_thousand_gets_in_one_write_come_back_in_order() {
    let memcached = Memcached::start();
    let proxy = Proxy::of(&memcached, SHARED);
    let client = proxy.connect();
    let keys: Vec<String> = (0..100).map(|key| format!("k{key}")).collect();
    for key in &keys {
        say(&client, &set(key, key.as_bytes()), "STORED\r\n");
    }
    let asked = keys.iter().cycle().take(10_000);
    let request = asked
        .clone()
        .map(|key| format!("get {key}\r\n"))
        .collect::<Vec<_>>()
        .concat();
    let reply: Vec<u8> = asked.flat_map(|key| value(key, key.as_bytes())).collect();
    let request = [request.as_bytes(), FENCE].concat();
    let received = roundtrip(&client, &request, FENCE_REPLY);
    assert!(received.strip_suffix(FENCE_REPLY) == Some(&reply[..]));
}

#[test]
fn a_slow_reader_gets_every_byte() {
    let memcached = Memcached::start();
    let proxy = Proxy::of(&memcached, SHARED);
    let client = proxy.connect();
    let values = [b'a', b'b', b'c'].map(|byte| vec![byte; 100 << 10]);
    for (at, bytes) in values.iter().enumerate() {
        say(&client, &set(&format!("k{at}"), bytes), "STORED\r\n");
    }
    let order = || (0..300).map(|at| at * 7 / 2 % 3);
    let request = order()
        .map(|at| format!("get k{at}\r\n"))
        .collect::<Vec<_>>()
        .concat();
    (&client).write_all(request.as_bytes()).unwrap();
    thread::sleep(Duration::from_millis(300));
    let mut buffer = vec![0; 100 << 10];
    for at in order() {
        let expected = value(&format!("k{at}"), &values[at]);
        buffer.resize(expected.len(), 0);
        (&client).read_exact(&mut buffer).unwrap();
        assert!(buffer == expected);
        thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn values_up_to_the_limit_round_trip_and_no_larger() {
    let memcached = Memcached::start_with(&["-I", "2m"]);
    let proxy = Proxy::of(&memcached, SHARED);
    let client = proxy.connect();
    for len in [0, 1, 65_535, 65_536, (1 << 20) - 1, 1 << 20] {
        let bytes = vec![b'v'; len];
        say(&client, &set("k", &bytes), "STORED\r\n");
        assert!(roundtrip(&client, b"get k\r\n", b"END\r\n") == value("k", &bytes));
    }
    let too_large = [&set("k", &vec![b'v'; (1 << 20) + 1])[..], b"get k\r\n"].concat();
    let refused = "SERVER_ERROR object too large for cache\r\nEND\r\n";
    say(&client, &too_large, refused);
}
