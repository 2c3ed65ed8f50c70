//! Lives through requests of each kind in a function of its own, so that
//! callgrind tells what they cost: `loadtest/instructions` runs it. Prints the
//! functions, each with how many requests it lived through.
#![forbid(unsafe_code)]

mod setup;

use std::hint::black_box;
use std::io::Write as _;

use flate2::Compression;
use flate2::write::ZlibEncoder;

use picklegate::pickle::transcode::{Form, Transcoder, UnknownEnvironment};
use picklegate::pickle::{Extensions, Firewall, Scanner};

use setup::{KEY, multi_get, pickle, recorded, set, sets, store, turn, turn_under};

/// Requests that each function lives through.
const REQUESTS: usize = 6400;
/// Turns in which every buffer finds its size.
const WARM_UP_TURNS: usize = 20;

/// A function for each scenario, which is a turn and how many requests, keys,
/// or whatever else is counted, are in it.
macro_rules! scenarios {
    ($($name:ident: $per_turn:literal in $turn:expr;)*) => {
        fn main() {
            $({
                #[inline(never)]
                fn $name(turn: &mut dyn FnMut()) {
                    for _ in 0..REQUESTS / $per_turn {
                        turn();
                        // Functions that are alike become one.
                        black_box(stringify!($name));
                    }
                }
                let mut turn = $turn;
                (0..WARM_UP_TURNS).for_each(|_| turn());
                $name(&mut turn);
                println!("{} {REQUESTS}", stringify!($name));
            })*
        }
    };
}

/// A line about the key.
fn line(verb: &str, rest: &str) -> Vec<u8> {
    format!("{verb} {KEY}{rest}\r\n").into_bytes()
}

/// Of this many clients; see [`turn`].
fn ask(clients: u32, given: &[u8], requests: &[u8]) -> impl FnMut() + use<> {
    let mut replay = turn(clients, given, requests);
    move || replay.turn()
}

/// Under a rule that looks at headers only.
fn ask_by_header(given: &[u8], requests: &[u8]) -> impl FnMut() + use<> {
    let rule = "mode = \"isolate\"\nsniff = \"header\"";
    let mut replay = turn_under(rule, 1, given, requests);
    move || replay.turn()
}

/// `set` of a value that no flag marks.
fn set_raw(bytes: usize) -> Vec<u8> {
    store(&format!("set {KEY} 0 0 {bytes}"), &pickle(bytes))
}

/// `set` of a pickle that its client compressed.
fn set_compressed(bytes: usize) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder
        .write_all(&pickle(bytes))
        .expect("a vector takes all");
    let value = encoder.finish().expect("a vector takes all");
    store(&format!("set {KEY} 9 0 {}", value.len()), &value)
}

fn scan(pickle: Vec<u8>) -> impl FnMut() {
    let mut scanner = Scanner::default();
    move || {
        let scan = scanner.scan(black_box(&pickle), Extensions::NONE);
        black_box(scan.expect("a pickle"));
    }
}

/// A scan, and the built-in deny list after it.
fn deny(pickle: Vec<u8>) -> impl FnMut() {
    let (mut scanner, firewall) = (Scanner::default(), Firewall::built_in());
    move || {
        let scan = scanner.scan(black_box(&pickle), Extensions::NONE);
        let checked = firewall.check(&scan.expect("a pickle"));
        checked.expect("nothing that is denied");
    }
}

/// A list of this many classes of an application, each another.
fn names(count: usize) -> Vec<u8> {
    let names = (0..count).flat_map(|n| format!("cshop.models\nCart{n}\n").into_bytes());
    let pickle = b"\x80\x02](".iter().copied();
    pickle.chain(names).chain(*b"e.").collect()
}

/// A list of this many small integers.
fn ints(count: usize) -> Vec<u8> {
    let ints = (0..count).flat_map(|n| [b'K', n as u8]);
    let pickle = b"\x80\x04](".iter().copied();
    pickle.chain(ints).chain(*b"e.").collect()
}

fn transcode(pickle: Vec<u8>, form: Form) -> impl FnMut() {
    let (mut transcoder, mut out) = (Transcoder::default(), Vec::new());
    move || {
        let done = transcoder.transcode(black_box(&pickle), form, &UnknownEnvironment, &mut out);
        done.expect("there is such a form");
    }
}

scenarios! {
    get_hit: 1 in ask(1, &set(KEY, 100), &line("get", ""));
    get_hit_by_header: 1 in ask_by_header(&set(KEY, 100), &line("get", ""));
    get_hit_raw: 1 in ask(1, &set_raw(100), &line("get", ""));
    get_hit_raw_by_header: 1 in ask_by_header(&set_raw(100), &line("get", ""));
    get_hit_compressed: 1 in ask(1, &set_compressed(400), &line("get", ""));
    get_hit_compressed_by_header: 1 in ask_by_header(&set_compressed(400), &line("get", ""));
    get_hit_of_64_clients: 64 in ask(64, &set(KEY, 100), &line("get", ""));
    get_hit_16_kib: 1 in ask(1, &set(KEY, 16 << 10), &line("get", ""));
    get_miss: 1 in ask(1, b"", &line("get", ""));
    multi_get_hit_per_key: 32 in ask(1, &sets(32), multi_get(32).as_bytes());
    multi_get_miss_per_key: 32 in ask(1, b"", multi_get(32).as_bytes());
    set_100_b: 1 in ask(1, b"", &set(KEY, 100));
    set_100_b_by_header: 1 in ask_by_header(b"", &set(KEY, 100));
    set_4_kib: 1 in ask(1, b"", &set(KEY, 4 << 10));
    delete_with_sibling: 1 in ask(1, &set(KEY, 100), &line("delete", ""));
    mg_hit: 1 in ask(1, &set(KEY, 100), &line("mg", " v"));
    ms_100_b: 1 in ask(1, b"", &store(&format!("ms {KEY} 100 F1"), &pickle(100)));
    md_with_sibling: 1 in ask(1, &set(KEY, 100), &line("md", ""));
    scan_1_kib: 1 in scan(recorded("users-py3"));
    scan_per_int: 640 in scan(ints(640));
    scan_per_name: 640 in scan(names(640));
    deny_1_kib: 1 in deny(recorded("users-py3"));
    deny_per_name: 640 in deny(names(640));
    transcode_1_kib: 1 in transcode(recorded("users-py3"), Form::Python2);
}
