//! Claims on any bytes: the bodies of the fuzz targets, which `tests/fuzz/main.rs`
//! replays and tries with inputs of its own.

// The fuzzers use one of these each.
#![allow(dead_code)]

#[path = "../support/rig.rs"]
pub(crate) mod rig;

use std::ops::Range;
use std::sync::OnceLock;

use picklegate::config::Config;
use picklegate::protocol::key::KeyBuf;
use picklegate::protocol::request::{
    Head, Line, MAX_LINE_BYTES, Meta, Store, Verb, find_line, parse_head,
};

use rig::{Cut, Rig, replies, text};

/// Longer inputs find nothing new.
const MAX_INPUT: usize = 4096;

// Requests --------------------------------------------------------------------

/// Reads a stream of requests, bodies left out.
pub(crate) fn request(data: &[u8]) {
    let mut rest = data;
    loop {
        match find_line(rest, 0) {
            Line::Partial => {
                assert!(!rest.contains(&b'\n'));
                return;
            }
            Line::TooLong => {
                assert!(rest.len() > MAX_LINE_BYTES);
                return;
            }
            Line::Whole { text, total } => {
                check_line(rest, text, total);
                check_head(&rest[..text]);
                rest = &rest[total..];
            }
        }
    }
}

fn check_line(input: &[u8], text: usize, total: usize) {
    assert!(total <= input.len());
    assert!(matches!(&input[text..total], b"\n" | b"\r\n"));
    assert!(!input[..text].contains(&b'\n'));
    let line = Line::Whole { text, total };
    assert_eq!(find_line(&input[..total], 0), line);
    assert_eq!(
        find_line(&[&input[..total], b"get a\r\n"].concat(), 0),
        line
    );
    assert_eq!(find_line(input, total / 2), line);
    assert_eq!(find_line(&input[..total - 1], 0), Line::Partial);
}

fn check_head(line: &[u8]) {
    let within = |part: &[u8]| {
        let Range { start, end } = line.as_ptr_range();
        let part = part.as_ptr_range();
        assert!(start <= part.start && part.end <= end, "a span is outside");
    };
    let check_key = |key: &[u8]| {
        assert!((1..=250).contains(&key.len()));
        assert!(!key.iter().any(|b| b" \n\0".contains(b)));
        within(key);
    };
    match parse_head(line, &mut KeyBuf::new()) {
        Head::Retrieve(retrieve) => {
            retrieve.exptime.inspect(|exptime| within(exptime));
            retrieve.keys.for_each(check_key);
        }
        Head::Store(store) => {
            check_key(store.key);
            check_store(&store);
        }
        Head::Change(change) => {
            check_key(change.key);
            change.argument.inspect(|argument| within(argument));
            let argued = change.argument.is_some();
            assert_eq!(argued, change.verb != Verb::Delete);
        }
        Head::Meta(meta) => {
            check_meta(&meta);
            meta.flags.for_each(within);
        }
        Head::Stats(section) => assert!(
            section.is_empty() || line.ends_with(section) || {
                within(section);
                true
            }
        ),
        Head::Bad(bad) => {
            assert!(bad.reply.is_empty() || bad.reply.contains("ERROR"));
            assert!(i32::try_from(bad.swallow).is_ok());
            assert!(!bad.close || bad.swallow == 0);
        }
        Head::Hello(tag) => assert!(tag.is_empty() || line.ends_with(tag)),
        Head::MetaNoop
        | Head::Version
        | Head::FlushAll { .. }
        | Head::Quit
        | Head::Refused { .. } => {}
    }
}

/// Spells a parsed store again, and checks that it parses alike.
fn check_store(store: &Store<'_>) {
    let Store {
        verb,
        key,
        flags,
        exptime,
        len,
        cas,
        noreply,
    } = *store;
    assert!(i32::try_from(len).is_ok());
    assert_eq!(cas.is_some(), verb == Verb::Cas);
    let mut spelled = format!("{} ", verb.name()).into_bytes();
    spelled.extend_from_slice(key);
    spelled.extend(format!(" {flags} {exptime} {len}").bytes());
    spelled.extend(cas.map(|id| format!(" {id}")).unwrap_or_default().bytes());
    spelled.extend_from_slice(if noreply { b" noreply" } else { b"" });
    let mut decoded = KeyBuf::new();
    let Head::Store(again) = parse_head(&spelled, &mut decoded) else {
        panic!("{} is no store", text(&spelled));
    };
    assert_eq!(format!("{again:?}"), format!("{store:?}"));
}

fn check_meta(meta: &Meta<'_>) {
    assert!((1..=250).contains(&meta.key.len()));
    assert!(!meta.base64 || meta.key.len() <= 187);
    assert!(meta.base64 || !meta.key.contains(&b' '));
    assert!(i32::try_from(meta.len).is_ok());
    assert!(meta.verb == Verb::Ms || meta.len == 0);
    assert!(meta.flags.clone().count() < 20);
    for token in meta.flags.clone() {
        assert!(meta.has(token[0]));
    }
}

// Replies ---------------------------------------------------------------------

/// Runtimes and requests of the clients, in the order in which they asked before the
/// upstream begins to speak.
const OWED: &[(&str, &[&str])] = &[
    ("py2", &["get a b a\r\n", "gets a\r\n"]),
    ("py3", &["get a c\r\n", "mg a v f k\r\n"]),
    ("py2", &["mg a v\r\n", "mg YSBi b k O1\r\n", "me a\r\n"]),
    (
        "py3",
        &[
            "set a 0 0 1\r\nx\r\n",
            "cas a 0 0 1 1\r\nx\r\n",
            "incr a 1\r\n",
        ],
    ),
    (
        "py2",
        &[
            "ms a 1 k\r\nx\r\n",
            "md a\r\n",
            "ma a v\r\n",
            "delete a\r\n",
        ],
    ),
    (
        "py3",
        &["touch a 1\r\n", "gat 1 a b\r\n", "version\r\n", "stats\r\n"],
    ),
];

fn config(cell: &'static OnceLock<Config>, rule: &str) -> &'static Config {
    cell.get_or_init(|| rig::config(1, rule))
}

/// Lets the upstream of [`OWED`] say anything: the first byte says how its
/// stream is cut.
pub(crate) fn reply(data: &[u8]) {
    static CONFIG: OnceLock<Config> = OnceLock::new();
    let Some((&cut, stream)) = data.split_first() else {
        return;
    };
    let mut rig = Rig::new(config(&CONFIG, "mode = \"isolate\""), 1);
    let clients: Vec<u32> = OWED
        .iter()
        .map(|(runtime, requests)| {
            let client = rig.open(runtime);
            rig.send(client, requests.concat().as_bytes());
            client
        })
        .collect();
    let lane = &mut rig.engine.lane(0).lane;
    let written = lane.unwritten().len();
    lane.wrote(written);
    let size = match cut {
        0 => stream.len().max(1),
        cut => usize::from(cut),
    };
    for piece in stream.chunks(size) {
        if rig.engine.lane_input(0, piece).is_err() {
            break;
        }
        rig.flush_clients();
    }
    rig.lose_lane(0, "is lost", false);
    rig.flush_clients();
    for (client, (runtime, requests)) in clients.into_iter().zip(OWED) {
        let session = rig.engine.session(client);
        assert!(session.is_idle(), "something is still owed");
        let is_dead = session.is_dead();
        let (all, rest) = replies(rig.received(client));
        assert!(all.len() <= requests.len(), "a request is answered twice");
        if !is_dead {
            assert_eq!(text(rest), "", "half a reply");
            assert_eq!(all.len(), requests.len(), "a request is not answered");
        }
        for (request, reply) in requests.iter().zip(all) {
            check_reply(runtime, request, reply);
        }
    }
}

/// Codes that begin a single reply to a verb, errors aside.
pub(crate) fn codes(verb: &str) -> Option<&'static [&'static str]> {
    Some(match verb {
        "set" | "add" | "cas" | "append" => {
            &["STORED\r", "NOT_STORED\r", "EXISTS\r", "NOT_FOUND\r"]
        }
        "delete" => &["DELETED\r", "NOT_FOUND\r"],
        "touch" => &["TOUCHED\r", "NOT_FOUND\r"],
        "incr" => &[
            "NOT_FOUND\r",
            "0",
            "1",
            "2",
            "3",
            "4",
            "5",
            "6",
            "7",
            "8",
            "9",
        ],
        "mn" => &["MN\r"],
        "hello" => &["OK\r"],
        "version" => &["VERSION "],
        "stats" => &["STAT ", "END\r"],
        "mg" => &["VA ", "HD", "EN"],
        "ms" => &["HD", "NS", "EX", "NF"],
        "md" => &["HD", "EX", "NF"],
        "ma" => &["VA ", "HD", "NS", "EX", "NF"],
        "me" => &["ME a ", "EN"],
        _ => return None,
    })
}

/// A reply is one to its request, and of its own keys.
fn check_reply(runtime: &str, request: &str, reply: &[u8]) {
    let shown = || format!("{request:?} is answered {}", text(reply));
    let mut words = request.split_ascii_whitespace();
    let verb = words.next().unwrap_or_default();
    let lines = |line: &[u8]| reply.starts_with(line);
    if lines(b"SERVER_ERROR") || lines(b"CLIENT_ERROR") || lines(b"ERROR") {
        return;
    }
    if matches!(verb, "get" | "gets" | "gat") {
        return check_values(runtime, request, reply);
    }
    let codes = codes(verb).unwrap_or_else(|| panic!("{}", shown()));
    assert!(
        codes.iter().any(|code| lines(code.as_bytes())),
        "{}",
        shown()
    );
    if verb != "me" && verb.starts_with('m') {
        let line = reply.split(|&b| b == b'\n').next().unwrap_or_default();
        for token in line.split(|&b| b == b' ').skip(1) {
            let own = matches!(token.trim_ascii_end(), b"ka" | b"kYSBi" | b"k");
            assert!(token.first() != Some(&b'k') || own, "{}", shown());
        }
    }
}

/// The values of a retrieval are of keys that it asked for, and none that its
/// reader cannot load is shown.
fn check_values(runtime: &str, request: &str, mut reply: &[u8]) {
    while let Some(value) = reply.strip_prefix(b"VALUE ") {
        let end = value.iter().position(|&b| b == b'\n').expect("a line") + 1;
        let line = std::str::from_utf8(&value[..end]).expect("a line of ours");
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let mut asked = request.split_ascii_whitespace().skip(1);
        assert!(asked.any(|key| key == words[0]), "{request:?} got {line:?}");
        let flags: u64 = words[1].parse().expect("flags");
        let len: usize = words[2].parse().expect("a length");
        let body = &value[end..end + len];
        if runtime == "py2" && flags & 9 == 1 && u32::try_from(flags).is_ok() {
            let unloadable = matches!(body, [0x80, protocol, ..] if *protocol > 2);
            assert!(!unloadable, "{request:?} got {}", text(body));
        }
        reply = &value[end + len + 2..];
    }
    let ended = reply == b"END\r\n"
        || reply
            .windows(6)
            .any(|word| word == b"ERROR " || word == b"ERROR\r");
    assert!(ended, "{request:?} ends in {}", text(reply));
}

// Sessions --------------------------------------------------------------------

const RULES: [&str; 4] = [
    "mode = \"isolate\"",
    "mode = \"isolate\"\ncoherence = \"strict\"\n[limits]\nmax_value_bytes = \"64B\"",
    "mode = \"guard\"\non_unloadable_write = \"reject\"",
    "mode = \"isolate\"\n[[rules]]\nprefix = \"@\"\nmode = \"shared\"\n[admin_commands]\nflush_all = \"forward\"",
];

/// A client in front of an empty cache says anything: the first byte says
/// under which rule, and how its stream is cut.
pub(crate) fn session(data: &[u8]) {
    static CONFIGS: [OnceLock<Config>; RULES.len()] = [const { OnceLock::new() }; RULES.len()];
    let Some((&choice, stream)) = data.split_first() else {
        return;
    };
    let stream = &stream[..stream.len().min(MAX_INPUT)];
    let rule = usize::from(choice) % RULES.len();
    let config = config(&CONFIGS[rule], RULES[rule]);
    let cut = usize::from(choice) / RULES.len();
    let converse = |downstream: Cut, upstream: Cut| {
        let mut rig = Rig::new(config, 1);
        let client = rig.open("py2");
        rig.feed(client, stream, downstream, upstream)
            .expect("a cache answers what it is asked");
        let session = rig.engine.session(client);
        assert!(session.is_idle() && !session.is_dead());
        assert!(session.inbox.len() <= MAX_INPUT);
        rig.take_received(client)
    };
    let whole = converse(Cut::Whole, Cut::Whole);
    let cut = if cut == 0 { Cut::Bytes } else { Cut::At(cut) };
    for (downstream, upstream) in [(cut, Cut::Whole), (Cut::Whole, cut), (cut, Cut::Bytes)] {
        let found = converse(downstream, upstream);
        assert_eq!(text(&found), text(&whole), "{downstream:?}, {upstream:?}");
    }
    let (_, rest) = replies(&whole);
    assert_eq!(text(rest), "", "half a reply");
}
