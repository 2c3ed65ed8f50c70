//! Feeds sample requests whole, byte by byte and cut at every point, and expects
//! the same reply every time: that of a plain memcached.

use crate::support::toml::Toml;
use crate::support::{self, Memcached, Picklegate, ask, exchange, free_addr, unescape};

const REQUESTS: &str = include_str!("../fixtures/wire/requests.txt");
const FENCE: &[u8] = b"mg fence Oend\r\n";
const FENCE_REPLY: &[u8] = b"EN Oend\r\n";
/// Requests after which picklegate closes, to be sure that no value runs as commands. Its
/// first line is that of memcached.
const CLOSED: [&str; 7] = [
    "set_too_long_body",
    "set_too_short_body",
    "set_bare_newline_body",
    "set_too_few_words",
    "set_too_many_words",
    "ms_bad_chunk",
    "ms_without_length",
];
/// The state each sample starts from.
const RESET: &[u8] = b"delete k\r\ndelete n\r\nset c 2 0 2\r\n41\r\n";

fn samples() -> impl Iterator<Item = (&'static str, Vec<u8>)> {
    REQUESTS
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| {
            let (name, request) = line.split_once(' ').expect("a name, a space and the bytes");
            (name, unescape(request))
        })
}

/// Compares every cut of every sample on `addr` with `direct`'s reply to the whole, or
/// with what is said before the end.
fn check(direct: &Memcached, addr: &str, closed: &[&str]) {
    let (direct, mut stream) = (direct.connect(), support::connect(addr));
    for (name, request) in samples() {
        let request = [&request, FENCE].concat();
        ask(&direct, RESET);
        let whole = support::roundtrip(&direct, &request, FENCE_REPLY);
        let is_last = closed.contains(&name);
        let lines = if is_last { 1 } else { usize::MAX };
        let expected = whole.split_inclusive(|&b| b == b'\n').take(lines);
        let expected = expected.collect::<Vec<_>>().concat();
        let crumbs = request.chunks(1).collect();
        let halves = (0..request.len()).map(|at| vec![&request[..at], &request[at..]]);
        for chunks in halves.chain([crumbs]) {
            ask(&stream, RESET);
            let first = chunks[0].len();
            let reply = exchange(&stream, chunks, FENCE_REPLY).unwrap_or_else(|cut| {
                assert_eq!(cut.is_close(), is_last, "{name}");
                stream = support::connect(addr);
                cut.received
            });
            assert_eq!(
                reply.escape_ascii().to_string(),
                expected.escape_ascii().to_string(),
                "{name}, first write {first} bytes"
            );
        }
    }
}

#[test]
fn cuts_do_not_change_what_memcached_answers() {
    let memcached = Memcached::start();
    check(&memcached, &memcached.addr(), &[]);
}

#[test]
fn cuts_do_not_change_what_picklegate_answers() {
    for rule in [
        "mode = \"shared\"",
        "mode = \"guard\"\nsniff = \"header\"",
        "mode = \"isolate\"\nrollout = 100\ncoherence = \"strict\"",
    ] {
        let (direct, upstream) = (Memcached::start(), Memcached::start());
        let listen = free_addr();
        let config = Toml::new(&[upstream.addr()])
            .rule(rule)
            .listener(&listen, "python/3.11");
        let _gate = Picklegate::with_config(config);
        check(&direct, &listen, &CLOSED);
    }
}
