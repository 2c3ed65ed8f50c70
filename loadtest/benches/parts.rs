//! Times the parts that a request passes: parser, key codec, decision, look at
//! a value, and the way of a reply. What a whole request costs is counted in
//! `instructions.rs`; what a client sees of it, by the load test.
#![forbid(unsafe_code)]
// The macro's functions have no documentation.
#![allow(missing_docs)]

mod setup;

use std::hint::black_box;
use std::io::Write as _;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use flate2::Compression;
use flate2::write::ZlibEncoder;
use picklegate::engine::Fills;
use picklegate::pickle::{Encoding, Sniffer};
use picklegate::policy::family::Namer;
use picklegate::policy::{Distribution, Ring, RuntimeTag, Separators, SpaceId, bucket};
use picklegate::protocol::key::{KeyBuf, decode_base64_key, encode_base64_key};
use picklegate::protocol::request::parse_head;

use setup::{KEY, Replay, config, multi_get, pickle, set, turn};

const ISOLATE: &str = "mode = \"isolate\"";

fn parser(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("parse_head");
    for (name, line) in [
        ("get", format!("get {KEY}")),
        ("get of 100 keys", multi_get(100).trim_end().to_owned()),
        ("set", format!("set {KEY} 1 0 100")),
        ("mg", format!("mg {KEY} v f k t O1")),
        ("ms", format!("ms {KEY} 100 F1 T60")),
        ("md", format!("md {KEY} q O1")),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                // What it borrows from does not leave.
                black_box(parse_head(black_box(line.as_bytes()), &mut KeyBuf::new()));
            });
        });
    }
}

fn key_codec(criterion: &mut Criterion) {
    let codec = &config(1, ISOLATE).snapshot.codec;
    let mut group = criterion.benchmark_group("key");
    for (name, space, key) in [
        ("plain", SpaceId(1), KEY.to_owned()),
        ("reserved", SpaceId::BARE, format!("@py2//{KEY}")),
        ("hashed", SpaceId(1), "k".repeat(250)),
    ] {
        let mut out = Vec::with_capacity(250);
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                out.clear();
                codec.encode(space, black_box(key.as_bytes()), &mut out)
            });
        });
    }
    let key = "k".repeat(60);
    let token = encode_base64_key(key.as_bytes()).expect("60 bytes fit");
    group.bench_function("to base64", |bencher| {
        bencher.iter(|| encode_base64_key(black_box(key.as_bytes())));
    });
    group.bench_function("from base64", |bencher| {
        bencher.iter(|| decode_base64_key(black_box(&token)));
    });
}

/// Times what isolation adds to a request (whose it is, which rule applies, whether the
/// key is inside the rollout, and its physical key) beside the bare key of one rule
/// that shares all.
fn decision(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decide");
    for (name, prefixes, rule) in [
        ("shared", 0, "mode = \"shared\""),
        ("isolate", 0, ISOLATE),
        ("isolate 50 %", 0, "mode = \"isolate\"\nrollout = 50"),
        ("1 prefix", 1, ISOLATE),
        ("100 prefixes", 100, ISOLATE),
        (
            "100 prefixes, 50 %",
            100,
            "mode = \"isolate\"\nrollout = 50",
        ),
    ] {
        let numbers = (0..prefixes).map(|n| (n + 42) % 100);
        let more = numbers.map(|n| format!("\n[[rules]]\nprefix = \"{n:02}:\"\n{rule}\n"));
        let config = config(1, &(rule.to_owned() + &more.collect::<String>()));
        let snapshot = &config.snapshot;
        let tag = RuntimeTag::parse("py3").expect("a runtime tag");
        let identity = snapshot.identify(&tag).expect("a namespace for it");
        let mut keys = (0..).map(|n| format!("42:user:{n:04}"));
        let key = keys.find(|key| bucket(key.as_bytes()) < 5000);
        let key = key.expect("half of all keys are inside");
        let mut out = Vec::with_capacity(250);
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                out.clear();
                let key = black_box(key.as_bytes());
                let decision = snapshot.decide(black_box(identity), key);
                snapshot.codec.encode(decision.space, key, &mut out)
            });
        });
    }
    let fills = Fills::default();
    group.bench_function("miss remembered, and filled", |bencher| {
        bencher.iter(|| {
            let key = black_box(KEY.as_bytes());
            fills.note(1, key, 1_000_000);
            fills.take(1, key, 1_000_000)
        });
    });
    for servers in [1, 8] {
        let names = (1..=servers).map(|n| format!("10.0.0.{n}"));
        let names = names.collect::<Vec<_>>();
        let names = names.iter().map(|name| (name.as_str(), 11211));
        let ring = Ring::new(Distribution::Ketama, &names.collect::<Vec<_>>());
        group.bench_function(format!("ring of {servers}"), |bencher| {
            bencher.iter(|| ring.server(black_box(KEY.as_bytes())));
        });
    }
}

/// Times the name of a family, for keys as applications make them: one key an iteration.
fn family(criterion: &mut Criterion) {
    let table = include_str!("../../tests/fixtures/families/keys.tsv");
    let keys = table
        .lines()
        .skip(1)
        .filter_map(|row| row.split('\t').nth(1));
    let keys: Vec<_> = keys.collect();
    let namer = Namer::new(&Separators::default());
    let mut next = keys.iter().cycle();
    criterion.bench_function("name of a family", |bencher| {
        bencher.iter(|| {
            let key = next.next().expect("the table has rows");
            namer.name(black_box(key.as_bytes()))
        });
    });
}

fn sniff(criterion: &mut Criterion) {
    let encoding = Encoding::default();
    let value = pickle(4096);
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&value).expect("a vector takes all");
    let compressed = encoder.finish().expect("a vector takes all");
    let mut group = criterion.benchmark_group("sniff");
    for (name, flags, value) in [("pickle", 1, &value), ("compressed pickle", 9, &compressed)] {
        let mut sniffer = Sniffer::default();
        group.bench_function(name, |bencher| {
            bencher.iter(|| sniffer.sniff(&encoding, flags, black_box(value)));
        });
    }
}

/// Times the half of a turn from the lanes' replies to the clients' bytes.
fn time_answers(turn: &mut Replay, times: u64) -> Duration {
    let mut total = Duration::ZERO;
    for _ in 0..times {
        turn.ask();
        let start = Instant::now();
        turn.answer();
        total += start.elapsed();
    }
    total
}

fn replies(criterion: &mut Criterion) {
    let get = format!("get {KEY}\r\n");
    let mg = format!("mg {KEY} v\r\n");
    let small = set(KEY, 100);
    let large = set(KEY, 16 << 10);
    let mut group = criterion.benchmark_group("reply");
    for (name, clients, given, requests) in [
        ("value of 100 B", 1, &small, &get),
        ("value of 16 KiB", 1, &large, &get),
        ("values for 64 clients", 64, &small, &get),
        ("mg", 1, &small, &mg),
        ("mg for 64 clients", 64, &small, &mg),
    ] {
        let mut turn = turn(clients, given, requests.as_bytes());
        group.throughput(Throughput::Elements(clients.into()));
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|times| time_answers(&mut turn, times));
        });
    }
}

criterion_group! {
    name = parts;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(800));
    targets = parser, key_codec, decision, family, sniff, replies
}
criterion_main!(parts);
