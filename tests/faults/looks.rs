//! Cost of one client's long looks to the others: nobody waits for the look at another's
//! value, whatever it is and whichever way it goes.
//!
//! The table compares what others wait beside a client whose values are looked at
//! whole with what they wait beside the same client whose values are not.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::measure::{alone, median, small_reads};
use crate::support::admin;
use crate::support::process::ms;
use crate::support::toml::Toml;
use crate::support::{Memcached, Picklegate, ask, connect, free_addr};

const LARGE: usize = (1 << 20) - 200;
/// Times that each is measured, and for how long.
const ROUNDS: usize = 5;
const LASTS: Duration = Duration::from_millis(700);
/// By how much others may wait longer.
const MOST: f64 = 3.0;

/// `] ( ... e .`: a list of what is repeated.
fn list(protocol: u8, item: impl Fn(u32) -> Vec<u8>) -> Vec<u8> {
    let mut pickle = vec![0x80, protocol, b']', b'('];
    for number in 0.. {
        let item = item(number);
        if pickle.len() + item.len() > LARGE {
            break;
        }
        pickle.extend(item);
    }
    pickle.extend_from_slice(b"e.");
    pickle
}

fn small_ints(protocol: u8) -> Vec<u8> {
    list(protocol, |number| vec![b'K', number as u8])
}

fn memoized() -> Vec<u8> {
    list(4, |_| vec![b'N', 0x94])
}

fn nested() -> Vec<u8> {
    [&b"\x80\x02N"[..], &vec![0x85; LARGE], b"."].concat()
}

fn names() -> Vec<u8> {
    list(2, |number| format!("cm{number}\nC\n").into_bytes())
}

/// Eight times as large inside, or nearly.
fn compressed(parts: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(1);
    let mut pickle = b"\x80\x02](".to_vec();
    for _ in 0..parts * LARGE / 2 {
        pickle.extend_from_slice(&[b'K', random.u8(..2)]);
    }
    pickle.extend_from_slice(b"e.");
    let (fast, sink) = (flate2::Compression::fast(), Vec::new());
    let mut encoder = flate2::write::ZlibEncoder::new(sink, fast);
    encoder.write_all(&pickle).expect("a vector takes all");
    encoder.finish().expect("a vector takes all")
}

/// One worker before a memcached, and rules by how they look.
struct Scene {
    _memcached: Memcached,
    _gate: Picklegate,
    py2: String,
    py3: String,
    admin: String,
}

impl Scene {
    fn start() -> Self {
        let memcached = Memcached::start_with(&["-I", "2m"]);
        let (py2, py3, admin) = (free_addr(), free_addr(), free_addr());
        let full = "mode = \"guard\"\nsniff = \"full\"";
        let toml = Toml::new(&[memcached.addr()])
            .rule("mode = \"guard\"\nsniff = \"header\"")
            .family("full:", full)
            .family(
                "transcode:",
                &format!("{full}\non_unloadable_read = \"transcode\""),
            )
            .family("firewall:", &format!("{full}\nglobals = \"deny\""))
            .table(
                "limits",
                "request_timeout_ms = 20000\nmax_value_bytes = \"2MiB\"",
            )
            .table("server", "workers = 1")
            .admin(&admin)
            .listener(&py2, "python/2.7")
            .listener(&py3, "python/3.11");
        let gate = Picklegate::with_config(toml);
        let client = connect(&py3);
        assert_eq!(ask(&client, b"set small 0 0 5\r\nhello\r\n"), b"STORED\r\n");
        Self {
            _memcached: memcached,
            _gate: gate,
            py2,
            py3,
            admin,
        }
    }
}

fn set(key: &str, flags: u32, value: &[u8]) -> Vec<u8> {
    let head = format!("set {key} {flags} 0 {}\r\n", value.len());
    [head.as_bytes(), value, b"\r\n"].concat()
}

#[test]
fn small_reads_are_answered_while_a_long_look_is_under_way() {
    let scene = Scene::start();
    let value = compressed(4);
    let [reader, other] = [connect(&scene.py3), connect(&scene.py3)];
    assert_eq!(ask(&other, &set("full:long", 9, &value)), b"STORED\r\n");
    let is_answered = |client: &TcpStream| {
        client.set_nonblocking(true).expect("a socket");
        let answered = client.peek(&mut [0]).is_ok();
        client.set_nonblocking(false).expect("a socket");
        answered
    };
    for request in [
        b"get full:long full:long\r\n".to_vec(),
        set("full:new", 9, &value),
    ] {
        (&reader).write_all(&request).expect("it is read");
        let mut answers = 0;
        while !is_answered(&reader) {
            assert!(ask(&other, b"get small\r\n").ends_with(b"hello\r\nEND\r\n"));
            answers += 1;
        }
        // The look takes as long as hundreds of these, but the value has to come first.
        assert!(answers >= 20, "only {answers} before {}", request.len());
        let fence = ask(&reader, b"mn\r\n");
        assert!(fence.ends_with(b"MN\r\n"), "{}", fence.len());
    }
}

#[test]
fn metrics_tell_of_looks_that_are_under_way_and_of_those_that_were() {
    let scene = Scene::start();
    let client = connect(&scene.py3);
    let value = compressed(4);
    assert_eq!(ask(&client, &set("full:long", 9, &value)), b"STORED\r\n");
    let bytes = || admin::metric(&scene.admin, "picklegate_looks_apart_bytes", &[]);
    let mut looks = 1;
    admin::await_that("a look under way", || {
        looks += 1;
        (&client)
            .write_all(b"get full:long\r\n")
            .expect("it is read");
        let under_way = bytes();
        assert!(ask(&client, b"").len() > value.len());
        under_way > value.len() as u64
    });
    assert_eq!(bytes(), 0);
    let all = admin::metric(&scene.admin, "picklegate_looks_apart_total", &[]);
    assert_eq!(all, looks);
}

#[test]
fn a_client_with_many_long_values_delays_another_with_one_by_few() {
    let scene = Scene::start();
    let [reader, other] = [connect(&scene.py3), connect(&scene.py3)];
    let value = compressed(2);
    assert_eq!(ask(&other, &set("full:long", 9, &value)), b"STORED\r\n");
    let request = format!("get{}\r\n", " full:long".repeat(24));
    (&reader).write_all(request.as_bytes()).expect("it is read");
    let reading = thread::spawn(move || {
        let mut end = Vec::new();
        let mut buffer = vec![0; 64 << 10];
        while !end.ends_with(b"END\r\n") {
            let bytes = (&reader).read(&mut buffer).expect("an answer");
            end.extend_from_slice(&buffer[..bytes]);
            end.drain(..end.len().saturating_sub(5));
        }
        Instant::now()
    });
    assert!(ask(&other, b"get full:long\r\n").len() > value.len());
    let answered = Instant::now();
    let all = reading.join().expect("it does not panic");
    assert!(answered < all, "it waited for all of the other's");
}

/// Milliseconds at p50 and at p99.
type Waits = [f64; 2];

fn waits(at: &str, by: &str, request: &[u8]) -> Waits {
    let over = AtomicBool::new(false);
    let took = thread::scope(|scope| {
        scope.spawn(|| {
            let client = connect(by);
            while !over.load(Ordering::Relaxed) {
                assert!(!ask(&client, request).is_empty());
            }
        });
        thread::sleep(Duration::from_millis(100));
        let took = small_reads(at, LASTS);
        over.store(true, Ordering::Relaxed);
        took
    });
    [50, 99].map(|part| ms(took[took.len() * part / 100]))
}

#[test]
#[ignore = "takes three minutes of a quiet machine: run it with --release and --nocapture"]
fn what_long_looks_cost_the_others() {
    let _alone = alone();
    let scene = Scene::start();
    let loads: [(&str, &str, u32, Vec<u8>, bool); 8] = [
        ("a list of small integers", "full", 1, small_ints(2), false),
        ("memoized Nones", "full", 1, memoized(), false),
        ("nested tuples", "full", 1, nested(), false),
        ("distinct names, firewall", "firewall", 1, names(), false),
        (
            "a list of small integers, for Python 2",
            "transcode",
            1,
            small_ints(4),
            true,
        ),
        (
            "eight times as large inside",
            "full",
            9,
            compressed(8),
            false,
        ),
        (
            "memoized Nones, for Python 2",
            "transcode",
            1,
            memoized(),
            true,
        ),
        ("distinct names", "full", 1, names(), false),
    ];
    println!("small reads beside one 1 MiB value in a loop, in ms: p50, p99");
    println!("| a loop of | header | full | ratio |\n|---|---|---|---|");
    let mut worst = Vec::new();
    for (name, rule, flags, value, is_py2) in loads {
        let by = if is_py2 { &scene.py2 } else { &scene.py3 };
        for stores in [false, true] {
            if stores && rule != "full" {
                continue;
            }
            let request = |rule: &str| {
                let store = set(&format!("{rule}:k"), flags, &value);
                if stores {
                    return store;
                }
                assert_eq!(ask(&connect(&scene.py3), &store), b"STORED\r\n");
                format!("get {rule}:k\r\n").into_bytes()
            };
            let [header, full] = ["header", rule].map(request);
            let rounds: Vec<[Waits; 2]> = (0..ROUNDS)
                .map(|_| [&header, &full].map(|request| waits(&scene.py3, by, request)))
                .collect();
            let of = |look: usize, part: usize| {
                median(rounds.iter().map(|round| round[look][part]).collect())
            };
            let ratio = |part: usize| of(1, part) / of(0, part);
            println!(
                "| {}: {name} | {:.2}, {:.2} | {:.2}, {:.2} | {:.2}x, {:.2}x |",
                if stores { "stores" } else { "reads" },
                of(0, 0),
                of(0, 1),
                of(1, 0),
                of(1, 1),
                ratio(0),
                ratio(1)
            );
            worst.push((name, stores, ratio(0).max(ratio(1))));
        }
    }
    for (name, stores, ratio) in worst {
        assert!(ratio <= MOST, "{name}, stores: {stores}: {ratio}");
    }
}

/// For whoever looks for what to make cheaper.
#[test]
#[ignore = "prints how long each look takes: run it with --release and --nocapture"]
fn how_long_the_worst_looks_take() {
    let _alone = alone();
    let scene = Scene::start();
    let client = connect(&scene.py3);
    for (name, rule, flags, value, by) in [
        ("small ints", "full", 1, small_ints(2), &scene.py3),
        ("memoized", "full", 1, memoized(), &scene.py3),
        ("nested", "full", 1, nested(), &scene.py3),
        ("names", "full", 1, names(), &scene.py3),
        ("names, firewall", "firewall", 1, names(), &scene.py3),
        ("transcoded", "transcode", 1, small_ints(4), &scene.py2),
        ("compressed", "full", 9, compressed(8), &scene.py3),
    ] {
        let reader = connect(by);
        let took = ["header", rule].map(|rule| {
            let key = format!("{rule}:k");
            assert_eq!(ask(&client, &set(&key, flags, &value)), b"STORED\r\n");
            let request = format!("get {key}\r\n").into_bytes();
            let times = (0..15).map(|_| {
                let asked = Instant::now();
                ask(&reader, &request);
                ms(asked.elapsed())
            });
            median(times.collect())
        });
        println!("{name}: header {:.2} ms, whole {:.2} ms", took[0], took[1]);
        thread::sleep(Duration::from_millis(10));
    }
}
