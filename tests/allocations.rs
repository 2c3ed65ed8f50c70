//! Holds the promise that a request in steady state allocates nothing, with a
//! counting allocator under the real engine, and under the whole server in
//! front of a real memcached. Where it is broken, says which lines did it.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use picklegate::config::Config;
use picklegate::server::{self, ServeError, Server};
use serde_json::Value;
use support::replay::Replay;
use support::rig::{self, Rig};
use support::toml::Toml;
use support::{Memcached, ask, connect, free_addr};
use tokio::sync::oneshot;

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

/// Counts of which one must be 0, or lines that allocate are searched for.
const LOOKS: usize = 4;
/// Sizes of the values on their way.
const VALUE_BYTES: [usize; 2] = [100, 4096];
/// Requests of one client on their way at a time.
const DEPTH: usize = 16;
/// Clients whose requests are on their way at a time.
const CLIENTS: usize = 8;
/// Bytes that a worker reads at once.
const READ_BYTES: usize = 64 << 10;
/// Rounds before the first count, and in each. Buffers settle at once in the engine; in the
/// server they depend on how reads and writes fall.
const ENGINE_ROUNDS: usize = 50;
const SERVER_ROUNDS: usize = 100;
/// Times that all rounds are run between two counts.
const SETTLING: usize = 10;
/// Pause that lets half a request arrive alone.
const PAUSE: Duration = Duration::from_micros(300);

// What is counted ------------------------------------------------------------

/// The count is the whole process's: one test at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    // What another test found says nothing about this one.
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Allocations, by the line that made them.
#[derive(Default)]
struct Findings(BTreeMap<String, Vec<String>>);

impl Findings {
    /// Runs `rounds` in which buffers find their size, then as many that must not allocate.
    /// If these do, counts again much later, a few times, and only then searches for the
    /// lines. Pooled buffers grow one by one, whenever it is their turn to hold the most,
    /// and that depends on scheduling; code that allocates for a request does so each time.
    fn check(&mut self, what: &str, rounds: usize, mut round: impl FnMut()) {
        let mut live = || (0..rounds).for_each(|_| round());
        live();
        let mut blocks = 0;
        for _ in 0..LOOKS {
            let counting = dhat::Profiler::builder().testing().build();
            live();
            blocks = dhat::HeapStats::get().total_blocks;
            drop(counting);
            if blocks == 0 {
                return;
            }
            (0..SETTLING).for_each(|_| live());
        }
        for place in places(live) {
            let found = format!("{what}: {blocks} allocations in {rounds} rounds");
            self.0.entry(place).or_default().push(found);
        }
    }

    fn report(self) {
        let places = self.0.iter().map(|(place, found)| {
            let examples = found[..found.len().min(4)].join("\n    ");
            format!("{place}, in {} cases:\n    {examples}", found.len())
        });
        let places = places.collect::<Vec<_>>().join("\n");
        assert!(places.is_empty(), "there are allocations\n{places}");
    }
}

/// The lines of picklegate that allocate in a run, themselves or in what they
/// call. Without one on the stack it was the test's own harness.
fn places(mut run: impl FnMut()) -> BTreeSet<String> {
    let file = concat!(env!("CARGO_TARGET_TMPDIR"), "/allocations.json");
    let profiler = dhat::Profiler::builder()
        .trim_backtraces(None)
        .file_name(file)
        .build();
    run();
    drop(profiler);
    let profile = fs::read_to_string(file).expect("the profile was written");
    let profile: Value = serde_json::from_str(&profile).expect("dhat writes JSON");
    let all = |of: &Value| of.as_array().cloned().unwrap_or_default();
    let frames = all(&profile["ftbl"]);
    let innermost = |way: Value| {
        let ours = all(&way["fs"]).into_iter().find_map(|frame| {
            let frame = frames[usize::try_from(frame.as_u64()?).ok()?].as_str()?;
            frame.contains("picklegate::").then_some(frame)
        })?;
        // What comes first is an address.
        Some(ours.split_once(": ")?.1.to_owned())
    };
    all(&profile["pps"])
        .into_iter()
        .filter_map(innermost)
        .collect()
}

// What is asked --------------------------------------------------------------

/// `[date(2024, 5, 6), {"a": (1,)}]` of Python 3, protocol 2.
const DATES: &[u8] =
    b"\x80\x02]q\x00(cdatetime\ndate\nq\x01c_codecs\nencode\nq\x02X\x05\x00\x00\x00\
    \x07\xc3\xa8\x05\x06q\x03X\x06\x00\x00\x00latin1q\x04\x86q\x05Rq\x06\x85q\x07Rq\x08}q\x09\
    X\x01\x00\x00\x00aq\nK\x01\x85q\x0bse.";

/// Requests that are promised not to allocate.
struct Kind {
    name: &'static str,
    /// Requests that make the answers the same every time.
    given: Vec<u8>,
    requests: Vec<u8>,
}

/// A line, and its value.
fn store(line: &str, value: &[u8]) -> Vec<u8> {
    [line.as_bytes(), b"\r\n", value, b"\r\n"].concat()
}

/// All kinds for a client that loads protocol 2 at most, of pickles of this
/// size under keys that start with `prefix`.
fn kinds(prefix: &str, bytes: usize) -> Vec<Kind> {
    // A text, which is soon scanned.
    let text = "t".repeat(bytes - 8);
    let len = u32::try_from(text.len()).expect("it is short");
    let pickle = |protocol: u8| {
        let head = [0x80, protocol, b'X'];
        [&head[..], &len.to_le_bytes(), text.as_bytes(), b"."].concat()
    };
    let key = format!("{prefix}user:1");
    let base64 = "dXNlcjox";
    let long = format!("{prefix}{}", "k".repeat(186 - prefix.len()));
    let many = (0..10).fold("get".to_owned(), |line, n| {
        format!("{line} {prefix}user:{n}")
    });
    let set = |key: &str| store(&format!("set {key} 1 0 {bytes}"), &pickle(2));
    let ms = |key: &str, flags: &str| store(&format!("ms {key} {bytes} F1{flags}"), &pickle(2));
    // Of Python 3, protocol 2: what a look finds there, and holds against the reader.
    let date = store(&format!("set {key} 1 0 {}", DATES.len()), DATES);
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&pickle(2)).expect("a vector takes all");
    let stream = encoder.finish().expect("a vector takes all");
    let deflated = store(&format!("set {key} 9 0 {}", stream.len()), &stream);
    let raw = store(&format!("set {key} 0 0 {bytes}"), &pickle(2));
    let newer = store(&format!("set {key} 1 0 {bytes}"), &pickle(4));
    let kind = |name, given: &[&[u8]], requests: &[&[u8]]| Kind {
        name,
        given: given.concat(),
        requests: requests.concat(),
    };
    let line = |text: String| text.into_bytes();
    let get = line(format!("get {key}\r\n"));
    let mg = line(format!("mg {key} v\r\n"));
    let md = line(format!("md {key}\r\n"));
    let delete = line(format!("delete {key}\r\n"));
    let quiet = line(format!("mg {key} v k q\r\nmg {prefix}none v q\r\nmn\r\n"));
    vec![
        kind("get", &[&set(&key)], &[&get]),
        kind("get of a date in a list", &[&date], &[&get]),
        kind("get of what is compressed", &[&deflated], &[&get]),
        kind("get of what no flag marks", &[&raw], &[&get]),
        kind("get of nothing", &[&delete], &[&get]),
        kind("get of what is hidden", &[&newer], &[&get]),
        kind(
            "get of many",
            &[&set(&key), &set(&format!("{prefix}user:7"))],
            &[&line(many + "\r\n")],
        ),
        kind(
            "get of many that are not there",
            &[],
            &[&line(format!(
                "get {prefix}x1 {prefix}x2 {prefix}x3 {prefix}x4 {prefix}x5 {prefix}x6\r\n"
            ))],
        ),
        kind(
            "get of a long key",
            &[&set(&long)],
            &[&line(format!("get {long}\r\n"))],
        ),
        kind("set", &[], &[&set(&key)]),
        kind(
            "set noreply",
            &[],
            &[
                &store(&format!("set {key} 1 0 {bytes} noreply"), &pickle(2)),
                b"mn\r\n",
            ],
        ),
        kind("set of a long key", &[], &[&set(&long)]),
        kind("set and delete", &[], &[&set(&key), &delete]),
        kind("delete of nothing", &[&delete], &[&delete]),
        kind("mg", &[&set(&key)], &[&mg]),
        kind(
            "mg of all flags",
            &[&set(&key)],
            &[&line(format!("mg {key} v f k s t O1\r\n"))],
        ),
        kind(
            "mg in base64",
            &[&ms(base64, " b")],
            &[&line(format!("mg {base64} b v k\r\n"))],
        ),
        kind(
            "mg with a tag",
            &[&set(&key)],
            &[&line(format!("mg {key} v Ppy3\r\nmg {key} v Ppy2\r\n"))],
        ),
        kind("mg of nothing", &[&delete], &[&mg]),
        kind("mg of what is hidden", &[&newer], &[&mg]),
        kind(
            "mg of a long key",
            &[&set(&long)],
            &[&line(format!("mg {long} v\r\n"))],
        ),
        kind("quiet mg", &[&set(&key)], &[&quiet]),
        kind("ms", &[], &[&ms(&key, "")]),
        kind("ms in base64", &[], &[&ms(base64, " b k O1")]),
        kind("quiet ms", &[], &[&ms(&key, " q"), b"mn\r\n"]),
        kind("ms and md", &[], &[&ms(&key, ""), &md]),
        kind("md of nothing", &[&delete], &[&md]),
    ]
}

// The engine alone -----------------------------------------------------------

/// Pieces in which one client's requests come in.
fn pieces(requests: &[u8], client: u32, layout: &str) -> Vec<(u32, Vec<u8>)> {
    let pieces = match layout {
        "pipelined" => vec![requests.repeat(DEPTH)],
        "cut" => requests
            .chunks(requests.len().div_ceil(2))
            .map(<[u8]>::to_vec)
            .collect(),
        _ => vec![requests.to_vec()],
    };
    pieces.into_iter().map(|piece| (client, piece)).collect()
}

/// `open` adds a client of Python 2.
fn check_engine(
    findings: &mut Findings,
    (rule, servers): (&str, usize),
    bytes: usize,
    open: fn(&mut Rig, &str) -> u32,
) {
    let config = rig::config(servers, rule);
    let layouts = [
        ("alone", READ_BYTES),
        ("pipelined", READ_BYTES),
        ("cut", READ_BYTES),
        ("alone, its replies cut", 100),
        ("interleaved", READ_BYTES),
    ];
    for (layout, read_bytes) in layouts {
        let clients = if layout == "interleaved" { CLIENTS } else { 1 };
        for nth in 0..kinds("", bytes).len() {
            let mut rig = Rig::new(&config, 2);
            let mut inputs = Vec::new();
            let mut name = "";
            for client in 0..clients {
                let kind = kinds(&format!("{client}:"), bytes).swap_remove(nth);
                let number = open(&mut rig, "py2");
                rig.ask(number, &kind.given);
                inputs.extend(pieces(&kind.requests, number, layout));
                name = kind.name;
            }
            let mut replay = Replay::record(rig, inputs, read_bytes);
            let case = format!("{rule:?}, {servers} servers, {bytes} bytes, {layout}: {name}");
            findings.check(&case, ENGINE_ROUNDS, || replay.turn());
        }
    }
}

#[test]
fn no_request_allocates_in_the_engine() {
    let _alone = alone();
    let mut findings = Findings::default();
    for bytes in VALUE_BYTES {
        for config in [
            ("mode = \"isolate\"", 1),
            ("mode = \"isolate\"", 3),
            ("mode = \"isolate\"\ncoherence = \"deletes\"", 1),
            ("mode = \"isolate\"\ncoherence = \"strict\"", 1),
            ("mode = \"isolate\"\nread_through = true", 1),
            ("mode = \"guard\"", 1),
            ("mode = \"guard\"\nsniff = \"header\"", 1),
            ("mode = \"guard\"\non_unloadable_read = \"transcode\"", 1),
        ] {
            check_engine(&mut findings, config, bytes, Rig::open);
        }
        let isolate = ("mode = \"isolate\"", 1);
        check_engine(&mut findings, isolate, bytes, Rig::open_asked);
    }
    findings.report();
}

// The whole server -----------------------------------------------------------

/// A server in this process, in front of a memcached of its own.
struct Serving {
    addr: String,
    end: oneshot::Sender<()>,
    ended: JoinHandle<Result<(), ServeError>>,
    _memcached: Memcached,
}

impl Serving {
    /// Isolates all keys but those that start with `guard:`.
    fn start() -> Self {
        let memcached = Memcached::start();
        let addr = free_addr();
        let rules = "mode = \"isolate\"\n\n[[rules]]\nprefix = \"guard:\"\nmode = \"guard\"\n";
        let toml = Toml::new(&[memcached.addr()])
            .rule(rules)
            .listener(&addr, "py2")
            .to_string();
        let config = Config::parse("serving", &toml).unwrap_or_else(|errors| panic!("{errors}"));
        let (end, asked) = oneshot::channel();
        let ended = thread::spawn(move || {
            server::block_on(async {
                let server = Server::start(config).await?;
                // It is dropped where a check fails.
                let _ = asked.await;
                server.drain().await;
                Ok(())
            })
        });
        while TcpStream::connect(&addr).is_err() {
            assert!(!ended.is_finished(), "the server does not start");
            thread::sleep(PAUSE);
        }
        Self {
            addr,
            end,
            ended,
            _memcached: memcached,
        }
    }

    fn stop(self) {
        let _ = self.end.send(());
        let served = self.ended.join().expect("the server does not panic");
        served.expect("the server started");
    }
}

/// A client that sends the same requests over and over.
struct Client {
    stream: TcpStream,
    writes: Vec<Vec<u8>>,
    replies: Vec<u8>,
    buffer: Vec<u8>,
}

impl Client {
    fn new(addr: &str, kind: &Kind, layout: &str) -> Self {
        let stream = connect(addr);
        ask(&stream, &kind.given);
        let writes = pieces(&kind.requests, 0, layout);
        let writes = writes.into_iter().map(|(_, piece)| piece);
        let writes = writes.collect::<Vec<_>>();
        let replies = ask(&stream, &writes.concat());
        Self {
            stream,
            writes,
            buffer: vec![0; replies.len()],
            replies,
        }
    }

    fn send(&mut self) {
        for (nth, write) in self.writes.iter().enumerate() {
            if nth > 0 {
                thread::sleep(PAUSE);
            }
            self.stream.write_all(write).expect("the server reads");
        }
    }

    fn receive(&mut self) {
        let read = self.stream.read_exact(&mut self.buffer);
        read.expect("the server answers");
        assert!(self.buffer == self.replies, "other replies than before");
    }
}

#[test]
fn no_request_allocates_in_the_server() {
    let _alone = alone();
    let serving = Serving::start();
    let mut findings = Findings::default();
    for (layout, clients) in [
        ("alone", 1),
        ("pipelined", 1),
        ("cut", 1),
        ("interleaved", CLIENTS),
    ] {
        for (rule, bytes) in [("isolate", 100), ("guard", 4096)] {
            for nth in 0..kinds("", bytes).len() {
                let mut name = "";
                let mut clients = (0..clients)
                    .map(|client| {
                        let kind = kinds(&format!("{rule}:{client}:"), bytes).swap_remove(nth);
                        name = kind.name;
                        Client::new(&serving.addr, &kind, layout)
                    })
                    .collect::<Vec<_>>();
                let case = format!("{rule}, {bytes} bytes, {layout}: {name}");
                findings.check(&case, SERVER_ROUNDS, || {
                    clients.iter_mut().for_each(Client::send);
                    clients.iter_mut().for_each(Client::receive);
                });
            }
        }
    }
    serving.stop();
    findings.report();
}
