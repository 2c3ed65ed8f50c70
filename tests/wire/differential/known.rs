//! Everything in which picklegate answers otherwise than memcached 1.6.18, and
//! why: the one list of intended differences, each shown on both.
//!
//! In a transcript `<N>` stands for N times `K`, `<N text>` for N times `text`;
//! `|` ends a write that must be read before the next is sent; and `(closed)`
//! ends a reply after which the connection is closed. Elsewhere it stays open.

use std::thread;
use std::time::Duration;

use crate::support::{Memcached, Picklegate, ask, connect, exchange, free_addr};

/// One intended difference.
pub(crate) struct Difference {
    pub(crate) name: &'static str,
    /// Why picklegate does not do as 1.6.18 does.
    pub(crate) why: &'static str,
    send: &'static str,
    memcached: &'static str,
    picklegate: &'static str,
}

macro_rules! differences {
    ($($name:ident {
        why: $why:expr,
        send: $send:expr,
        memcached: $memcached:expr,
        picklegate: $picklegate:expr,
    })*) => {
        /// The intended differences, in the order in which a reader meets them.
        pub(crate) const DIFFERENCES: &[Difference] = &[$(Difference {
            name: stringify!($name),
            why: $why,
            send: $send,
            memcached: $memcached,
            picklegate: $picklegate,
        }),*];

        mod memcached {
            $(#[test] fn $name() { super::check_memcached(stringify!($name)); })*
        }
        mod picklegate {
            $(#[test] fn $name() { super::check_picklegate(stringify!($name)); })*
        }
    };
}

const SWALLOWS: &str = "the body of a refused store would run as commands; \
    swallowed, as memcached 1.6.40 and later do";
const CLOSES: &str = "without a length nothing tells the body from the next command";
const SPACED: &str = "a key with a space, or none, moves every number behind it, so the length is \
    not certain, and the body would run as commands";
const MISTAKEN: &str = "a body that does not end where it was said to end has another length; the \
    rest of it would run as commands";
const REFUSED: &str = "acts on the whole server, which other clients and namespaces share";
const SHOWS: &str = "shows or disturbs what other namespaces store";
const BOUNDED: &str = "a line is held until it is whole, so its length has a bound: \
    16 KiB, and 1 MiB for get, gets, gat and gats";

const ERROR_RAN: &str = "ERROR\r\nMN\r\n";
const ERROR_CLOSED: &str = "ERROR\r\n(closed)";
const FORMAT: &str = "CLIENT_ERROR bad command line format\r\n";
const FORMAT_RAN: &str = "CLIENT_ERROR bad command line format\r\nMN\r\n";
const FORMAT_CLOSED: &str = "CLIENT_ERROR bad command line format\r\n(closed)";
const TOO_LONG_CLOSED: &str = "CLIENT_ERROR line too long\r\n(closed)";

differences! {
    store_with_over_long_key {
        why: SWALLOWS,
        send: "set <251> 0 0 2\r\nmn\r\n",
        memcached: FORMAT_RAN,
        picklegate: FORMAT,
    }
    store_with_bad_flags {
        why: SWALLOWS,
        send: "set k x 0 2\r\nmn\r\n",
        memcached: FORMAT_RAN,
        picklegate: FORMAT,
    }
    store_with_bad_exptime {
        why: SWALLOWS,
        send: "add k 0 x 2\r\nmn\r\n",
        memcached: FORMAT_RAN,
        picklegate: FORMAT,
    }
    store_with_bad_cas {
        why: SWALLOWS,
        send: "cas k 0 0 2 x\r\nmn\r\n",
        memcached: FORMAT_RAN,
        picklegate: FORMAT,
    }
    meta_set_with_over_long_key {
        why: SWALLOWS,
        send: "ms <251> 2\r\nmn\r\n",
        memcached: FORMAT_RAN,
        picklegate: FORMAT,
    }
    meta_set_with_too_many_flags {
        why: SWALLOWS,
        send: "ms k 2 k q t v c s h f l u P L T0 N0 R0 F0 I O1\r\nmn\r\n",
        memcached: "CLIENT_ERROR options flags too long\r\nMN\r\n",
        picklegate: "CLIENT_ERROR options flags too long\r\n",
    }
    key_with_a_space {
        why: SPACED,
        send: "set my key 7 0 0 2\r\nmn\r\n",
        memcached: ERROR_RAN,
        picklegate: ERROR_CLOSED,
    }
    key_with_a_number_behind_a_space {
        why: SPACED,
        send: "set k 0 0 0 4\r\n\r\nmn\r\n",
        memcached: "STORED\r\nMN\r\n",
        picklegate: ERROR_CLOSED,
    }
    store_with_a_word_too_many {
        why: SPACED,
        send: "append k 0 0 2 loud\r\nab\r\n",
        memcached: "NOT_STORED\r\n",
        picklegate: ERROR_CLOSED,
    }
    store_without_a_key {
        why: SPACED,
        send: "add  0 0 2\r\nmn\r\n",
        memcached: ERROR_RAN,
        picklegate: ERROR_CLOSED,
    }
    cas_without_its_id {
        why: SPACED,
        send: "cas k 0 0 2\r\nmn\r\n",
        memcached: ERROR_RAN,
        picklegate: ERROR_CLOSED,
    }
    key_with_a_nul {
        why: "to 1.6.18 the line ends there, to 1.6.45 it is a part of the key",
        send: "set k<1 \0>x 0 0 2\r\nmn\r\n",
        memcached: ERROR_RAN,
        picklegate: FORMAT_CLOSED,
    }
    storing_command_in_capitals {
        why: "no command to memcached, but its client sends a body behind it",
        send: "SET k 0 0 2\r\nmn\r\n",
        memcached: ERROR_RAN,
        picklegate: ERROR_CLOSED,
    }
    meta_set_without_a_length {
        why: CLOSES,
        send: "ms k\r\nmn\r\n",
        memcached: FORMAT_RAN,
        picklegate: FORMAT_CLOSED,
    }
    meta_set_of_a_key_with_a_number {
        why: SPACED,
        send: "ms k 2 6\r\nab\r\nmn\r\n",
        memcached: "CLIENT_ERROR invalid flag\r\nMN\r\n",
        picklegate: "CLIENT_ERROR invalid flag\r\n(closed)",
    }
    body_longer_than_said {
        why: MISTAKEN,
        send: "set k 0 0 2\r\nabcdmn\r\n",
        memcached: "CLIENT_ERROR bad data chunk\r\nMN\r\n",
        picklegate: "CLIENT_ERROR bad data chunk\r\n(closed)",
    }
    refused_body_longer_than_said {
        why: MISTAKEN,
        send: "set k x 0 2\r\nabcd\r\nmn\r\n",
        memcached: "CLIENT_ERROR bad command line format\r\nERROR\r\nMN\r\n",
        picklegate: FORMAT_CLOSED,
    }
    signed_length {
        why: "who reads digits alone finds no length in it",
        send: "set k 0 0 +2\r\nab\r\n",
        memcached: "STORED\r\n",
        picklegate: FORMAT_CLOSED,
    }
    negative_length {
        why: CLOSES,
        send: "set k 0 0 -1\r\n",
        memcached: FORMAT,
        picklegate: FORMAT_CLOSED,
    }
    overflowing_length {
        why: CLOSES,
        send: "set k 0 0 99999999999999999999\r\n",
        memcached: FORMAT,
        picklegate: FORMAT_CLOSED,
    }
    worded_length {
        why: CLOSES,
        send: "set k 0 0 two\r\n",
        memcached: FORMAT,
        picklegate: FORMAT_CLOSED,
    }
    truncated_length {
        why: "1.6.18 cuts a length to 32 bits and stores 2 bytes here; \
            a proxy that reads it otherwise loses its place",
        send: "set k 0 0 4294967298\r\nab\r\n",
        memcached: "STORED\r\n",
        picklegate: FORMAT_CLOSED,
    }
    negative_meta_length {
        why: CLOSES,
        send: "ms k -1\r\n",
        memcached: FORMAT,
        picklegate: FORMAT_CLOSED,
    }
    worded_meta_length {
        why: CLOSES,
        send: "ms k S2\r\n",
        memcached: FORMAT,
        picklegate: FORMAT_CLOSED,
    }
    truncated_meta_length {
        why: "as for set",
        send: "ms k 4294967298\r\nab\r\n",
        memcached: "HD\r\n",
        picklegate: FORMAT_CLOSED,
    }
    value_over_the_limit {
        why: "picklegate has a limit of its own (1 KiB in this test), \
            and deletes the old value as memcached does at its limit",
        send: "set k 0 0 1\r\na\r\nset k 0 0 2048\r\n<2048>\r\nget k\r\n",
        memcached: "STORED\r\nSTORED\r\nVALUE k 0 2048\r\n<2048>\r\nEND\r\n",
        picklegate: "STORED\r\nSERVER_ERROR object too large for cache\r\nEND\r\n",
    }
    flush_all {
        why: "empties what other clients and namespaces share; forwarded only if configured",
        send: "set k 0 0 1\r\na\r\nflush_all\r\nget k\r\n",
        memcached: "STORED\r\nOK\r\nEND\r\n",
        picklegate: "STORED\r\nCLIENT_ERROR flush_all not allowed\r\nVALUE k 0 1\r\na\r\nEND\r\n",
    }
    flush_all_unheard {
        why: "the same, and a refusal is as silent as the consent would be",
        send: "set k 0 0 1\r\na\r\nflush_all noreply\r\nget k\r\n",
        memcached: "STORED\r\nEND\r\n",
        picklegate: "STORED\r\nVALUE k 0 1\r\na\r\nEND\r\n",
    }
    verbosity {
        why: REFUSED,
        send: "verbosity 1\r\n",
        memcached: "OK\r\n",
        picklegate: "CLIENT_ERROR verbosity not allowed\r\n",
    }
    cache_memlimit {
        why: REFUSED,
        send: "cache_memlimit 64\r\n",
        memcached: "OK\r\n",
        picklegate: "CLIENT_ERROR cache_memlimit not allowed\r\n",
    }
    slabs {
        why: REFUSED,
        send: "slabs automove 0\r\n",
        memcached: "OK\r\n",
        picklegate: "CLIENT_ERROR slabs not allowed\r\n",
    }
    lru {
        why: REFUSED,
        send: "lru tune 10 25 0.1 2.0\r\n",
        memcached: "OK\r\n",
        picklegate: "CLIENT_ERROR lru not allowed\r\n",
    }
    lru_crawler {
        why: SHOWS,
        send: "lru_crawler tocrawl 5\r\n",
        memcached: "OK\r\n",
        picklegate: "CLIENT_ERROR lru_crawler not allowed\r\n",
    }
    watch {
        why: SHOWS,
        send: "watch nothing\r\n",
        memcached: "ERROR\r\n",
        picklegate: "CLIENT_ERROR watch not allowed\r\n",
    }
    shutdown {
        why: REFUSED,
        send: "shutdown\r\n",
        memcached: "ERROR: shutdown not enabled\r\n",
        picklegate: "CLIENT_ERROR shutdown not allowed\r\n",
    }
    debugtime {
        why: REFUSED,
        send: "debugtime p\r\n",
        memcached: "ERROR\r\n",
        picklegate: "CLIENT_ERROR debugtime not allowed\r\n",
    }
    extstore {
        why: REFUSED,
        send: "extstore item_age 5\r\n",
        memcached: "OK\r\n",
        picklegate: "CLIENT_ERROR extstore not allowed\r\n",
    }
    misbehave {
        why: REFUSED,
        send: "misbehave\r\n",
        memcached: "ERROR\r\n",
        picklegate: "CLIENT_ERROR misbehave not allowed\r\n",
    }
    refresh_certs {
        why: REFUSED,
        send: "refresh_certs\r\n",
        memcached: "Error TLS not enabled\r\n",
        picklegate: "CLIENT_ERROR refresh_certs not allowed\r\n",
    }
    stats_cachedump {
        why: SHOWS,
        send: "stats cachedump 1 1\r\n",
        memcached: "END\r\n",
        picklegate: "CLIENT_ERROR stats cachedump not allowed\r\n",
    }
    stats_detail {
        why: SHOWS,
        send: "stats detail on\r\n",
        memcached: "OK\r\n",
        picklegate: "CLIENT_ERROR stats detail not allowed\r\n",
    }
    stats_reset {
        why: REFUSED,
        send: "stats reset\r\n",
        memcached: "RESET\r\n",
        picklegate: "CLIENT_ERROR stats reset not allowed\r\n",
    }
    slow_line_of_3_kib {
        why: "memcached's own bound, 2,048 bytes without a line end, turns on how a line is cut \
            into packets; picklegate's does not",
        send: "xx <3000>|\r\n",
        memcached: "(closed)",
        picklegate: "ERROR\r\n",
    }
    slow_gat_of_3_kib {
        why: "the same: picklegate lets gat and gats be as long as get and gets",
        send: "gat 0<1500  k>|\r\n",
        memcached: "(closed)",
        picklegate: "END\r\n",
    }
    line_over_16_kib {
        why: BOUNDED,
        send: "xx <16382>",
        memcached: "(closed)",
        picklegate: TOO_LONG_CLOSED,
    }
    get_over_1_mib {
        why: BOUNDED,
        send: "get<524287  k>|\r\n",
        memcached: "END\r\n",
        picklegate: TOO_LONG_CLOSED,
    }
    bget {
        why: "an undocumented name for get, gone for ten years; unknown commands are not forwarded",
        send: "bget k\r\n",
        memcached: "END\r\n",
        picklegate: "ERROR\r\n",
    }
    debug_of_a_key_with_a_line_end {
        why: "memcached may name such a key as it is, which breaks its reply line",
        send: "me Cg== b\r\n",
        memcached: "EN\r\n",
        picklegate: FORMAT,
    }
    argument_over_64_bytes {
        why: "no number is that long, and an upstream closes connections over long lines",
        send: "set n 0 0 1\r\n5\r\nincr n <64 0>1\r\n",
        memcached: "STORED\r\n6\r\n",
        picklegate: "STORED\r\nCLIENT_ERROR invalid numeric delta argument\r\n",
    }
    quiet_creation_by_ma {
        why: "q hides HD; 1.6.18 forgets to when ma creates the item",
        send: "ma n N0 q\r\nma n N0 q\r\n",
        memcached: "HD\r\n",
        picklegate: "",
    }
    two_mistakes_at_once {
        why: "flags that picklegate does not know are the upstream's to judge, once the body is whole",
        send: "ms k 2 Z\r\nmn-\n",
        memcached: "CLIENT_ERROR invalid flag\r\n",
        picklegate: "CLIENT_ERROR bad data chunk\r\n(closed)",
    }
    over_long_opaque_beside_an_effect {
        why: "a refused command does nothing; 1.6.18 notices the opaque after N, T or ma has acted",
        send: "mg k N30 O<32>\r\nmg k\r\n",
        memcached: "CLIENT_ERROR opaque token too long\r\nHD\r\n",
        picklegate: "CLIENT_ERROR opaque token too long\r\nEN\r\n",
    }
    over_long_key_behind_others {
        why: "a refused command does nothing; 1.6.18 has read or touched the keys before it",
        send: "set k 0 0 1\r\na\r\n|get k <251>\r\nmg k h\r\n",
        memcached: "STORED\r\nCLIENT_ERROR bad command line format\r\nHD h1\r\n",
        picklegate: "STORED\r\nCLIENT_ERROR bad command line format\r\nHD h0\r\n",
    }
    over_long_get_behind_a_reply {
        why: "1.6.18 drops the replies it still owes when a get has an over-long key",
        send: "set k 0 0 1\r\na\r\nget <251>\r\n",
        memcached: FORMAT,
        picklegate: "STORED\r\nCLIENT_ERROR bad command line format\r\n",
    }
}

#[test]
fn every_difference_has_its_reason_and_is_one() {
    for row in DIFFERENCES {
        assert!(
            !row.why.is_empty() && row.memcached != row.picklegate,
            "{}",
            row.name
        );
    }
}

/// A row of its own, since no text begins so: to memcached a first byte of 0x80 is the
/// binary protocol. picklegate speaks none, and closes: the client would wait.
#[test]
fn the_binary_protocol_is_not_spoken() {
    let upstream = Memcached::start();
    let listen = free_addr();
    let rule = "mode = \"shared\"";
    let _gate = Picklegate::with_config(super::config(&listen, &upstream.addr(), rule));
    // "set k" with 8 bytes of extras and the value "bad\r\n".
    let mut set = b"\x80\x01\0\x01\x08\0\0\0\0\0\0\x0e".to_vec();
    set.extend([0; 20]);
    set.extend(b"kbad\r\n");
    let fenced = [&set[..], b"get k\r\n"].concat();
    let ended = exchange(&upstream.connect(), [&fenced[..]], b"END\r\n");
    let taken = ended.expect_err("it reads on as binary").received;
    assert!(taken.starts_with(&[0x81, 1, 0, 0]), "{taken:?}");
    ask(&upstream.connect(), b"delete k\r\n");
    let ended = exchange(&connect(&listen), [&fenced[..]], b"END\r\n");
    let cut = ended.expect_err("it closes");
    assert!(cut.is_close() && cut.received.is_empty(), "{cut:?}");
    assert_eq!(ask(&upstream.connect(), b"get k\r\n"), b"END\r\n");
}

/// A close that memcached does not do was one of these: the server that a test reached
/// was another's, whose test ended.
#[test]
fn no_test_takes_the_server_of_another_for_its_own() {
    let anothers = Memcached::start();
    let port = anothers.port;
    let taken = std::panic::catch_unwind(|| Memcached::on(port));
    assert!(taken.is_err(), "its own cannot listen there");
    assert_eq!(ask(&anothers.connect(), b"get k\r\n"), b"END\r\n");
}

fn row(name: &str) -> &'static Difference {
    DIFFERENCES
        .iter()
        .find(|row| row.name == name)
        .expect("the macro writes both")
}

fn check_memcached(name: &str) {
    let server = Memcached::start();
    let row = row(name);
    assert_eq!(
        transcript(&server.addr(), row.send, row.memcached),
        fill(row.memcached)
    );
}

fn check_picklegate(name: &str) {
    let upstream = Memcached::start();
    let listen = free_addr();
    let limits = "[limits]\nmax_value_bytes = \"1KiB\"\n";
    let rule = format!("mode = \"shared\"\n{limits}");
    let _gate = Picklegate::with_config(super::config(&listen, &upstream.addr(), &rule));
    let row = row(name);
    assert_eq!(
        transcript(&listen, row.send, row.picklegate),
        fill(row.picklegate)
    );
}

/// Reply of the server at `addr` to `send`. Behind it goes a fence, unless the row
/// expects a close: a server that closes on unread bytes resets the connection, and its
/// last words may be lost.
fn transcript(addr: &str, send: &str, expected: &str) -> String {
    const FENCE: &str = "mg fence Oend\r\n";
    const FENCE_REPLY: &str = "EN Oend\r\n";
    let stream = connect(addr);
    let mut writes: Vec<String> = send.split('|').map(fill).collect();
    if !expected.ends_with("(closed)") {
        writes.push(FENCE.to_owned());
    }
    let chunks: Vec<&[u8]> = writes.iter().map(String::as_bytes).collect();
    let paced = chunks.into_iter().enumerate().map(|(i, chunk)| {
        if i > 0 && send.contains('|') {
            // Long enough for the server to have read what came before.
            thread::sleep(Duration::from_millis(100));
        }
        chunk
    });
    let (received, closed) = match exchange(&stream, paced, FENCE_REPLY.as_bytes()) {
        Ok(received) => (received, ""),
        Err(cut) if cut.is_close() => (cut.received, "(closed)"),
        Err(cut) => (cut.received, "(silent)"),
    };
    let received = String::from_utf8_lossy(&received).into_owned();
    received
        .strip_suffix(FENCE_REPLY)
        .unwrap_or(&received)
        .to_owned()
        + closed
}

/// Writes out `<N>` and `<N text>`.
fn fill(template: &str) -> String {
    let mut pieces = template.split('<');
    let mut text = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (repeat, rest) = piece.split_once('>').expect("< has its >");
        let (count, what) = repeat.split_once(' ').unwrap_or((repeat, "K"));
        text += &what.repeat(count.parse().expect("a count"));
        text += rest;
    }
    text
}
