//! In isolate mode nothing that one runtime asks for reads or changes what
//! another one stored, except deletes: neither requests of every kind about keys
//! that look like another's, nor any other bytes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use picklegate::policy::SpaceId;
use picklegate::protocol::key::KeyBuf;
use picklegate::protocol::request::{Head, Line, Verb, find_line, parse_head};
use proptest::prelude::*;

use crate::rig::{Rig, config, text};

const ISOLATE: &str = "mode = \"isolate\"\ncoherence = \"deletes\"";
/// What Python 3 stores, and Python 2 must never see.
const SECRET: &str = "secret-of-3";

/// Client keys; those with bytes that only base64 can spell come last.
fn keys() -> Vec<Vec<u8>> {
    let mut keys: Vec<Vec<u8>> = [
        "k",
        "@py3//k",
        "@py2//k",
        "@py3.1//k",
        "@py3/k",
        "@//k",
        "@//@py3//k",
        "@//~k",
        "~k",
        "~",
        "@",
        "@py3",
        "@py3//",
        // printf '~k' | openssl dgst -sha256 -binary | basenc --base64url
        "@py3//~o7T7c9BBetwR1HpgkVjxeHGFuL4YREwg712u6_J9_I0",
        "QHB5My8vaw==",
    ]
    .map(|key| key.as_bytes().to_vec())
    .to_vec();
    keys.push(vec![b'k'; 250]);
    keys.push([b"@py3//", &[b'k'; 244][..]].concat());
    keys.extend([&b"a b"[..], b"\0", b" ", b"\xff\xfe", b"@py3// k"].map(<[u8]>::to_vec));
    keys
}

/// The key as a meta command spells it: its token, and the flag that says how.
fn meta_key(key: &[u8], base64: bool) -> (Vec<u8>, &'static str) {
    let is_text = key.iter().all(|&b| b > b' ');
    if key.len() <= 187 && (base64 || !is_text) {
        (STANDARD.encode(key).into_bytes(), " b")
    } else {
        (key.to_vec(), "")
    }
}

/// One request of Python 2: a template whose `K` is a key and `B` its `b`.
const REQUESTS: &[&str] = &[
    "get K",
    "gets K k K",
    "gat 1000 K",
    "gats 0 K",
    "set K 0 0 3\r\ntwo",
    "set K 0 1000 3\r\ntwo",
    "add K 0 0 3\r\ntwo",
    "replace K 0 0 3\r\ntwo",
    "append K 0 0 3\r\ntwo",
    "prepend K 0 0 3\r\ntwo",
    "cas K 0 0 3 1\r\ntwo",
    "cas K 0 0 3 2\r\ntwo",
    "incr K 1",
    "decr K 1",
    "touch K 1000",
    "mg K v t f c k s h lB",
    "mg K T1000 vB",
    "mg K N1000 v kB",
    "mg K R1000B",
    "ms K 3B\r\ntwo",
    "ms K 3 I C9999 k cB\r\ntwo",
    "ms K 3 MA T1000B\r\ntwo",
    "ms K 3 ME qB\r\ntwo",
    "ma K N0 J7 v tB",
    "ma K D5 T1000B",
    "me KB",
];

/// The deletes among them reach every copy, by design.
const DELETES: &[&str] = &["delete K", "md K kB", "md K I T30B", "md K xB", "md K C1B"];

fn spell(template: &str, key: &[u8], base64: bool) -> Vec<u8> {
    let is_meta = template.starts_with('m');
    let (token, flag) = if is_meta {
        meta_key(key, base64)
    } else {
        (key.to_vec(), "")
    };
    let mut request = Vec::new();
    for byte in template.replacen('B', flag, 1).bytes() {
        match byte {
            b'K' => request.extend_from_slice(&token),
            byte => request.push(byte),
        }
    }
    request.extend_from_slice(b"\r\n");
    request
}

/// Everything that memcached tells about a key but how often it was read.
fn view(rig: &mut Rig, client: u32, key: &[u8]) -> String {
    let request = spell("mg K v t f c kB", key, true);
    text(&rig.ask(client, &request))
}

struct Meeting {
    rig: Rig,
    two: u32,
    three: u32,
    keys: Vec<Vec<u8>>,
}

impl Meeting {
    /// Python 3 has stored a secret under every key.
    fn new(rule: &str) -> Self {
        let mut rig = Rig::new(&config(1, rule), 2);
        let (two, three) = (rig.open("py2"), rig.open("py3"));
        let keys = keys();
        for (n, key) in keys.iter().enumerate() {
            let value = format!("{SECRET}-{n}");
            let template = format!("ms K {} F7 T5000B\r\n{value}", value.len());
            let reply = rig.ask(three, &spell(&template, key, n % 2 == 0));
            assert_eq!(text(&reply), "HD\\r\\n", "{}", text(key));
        }
        Self {
            rig,
            two,
            three,
            keys,
        }
    }

    fn views(&mut self) -> Vec<String> {
        let keys = self.keys.clone();
        keys.iter()
            .map(|key| view(&mut self.rig, self.three, key))
            .collect()
    }
}

/// Requests of Python 2, each of which is a template, a key and a spelling.
fn requests(templates: usize) -> impl Strategy<Value = Vec<(usize, usize, bool)>> {
    let keys = keys().len();
    proptest::collection::vec((0..templates, 0..keys, any::<bool>()), 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn nothing_reads_or_changes_what_another_runtime_stored(
        requests in requests(REQUESTS.len()),
        strays in any::<bool>(),
    ) {
        let shared = "mode = \"isolate\"\ncoherence = \"deletes\"\n[[rules]]\nprefix = \"@\"\nmode = \"shared\"";
        let mut meeting = Meeting::new(if strays { shared } else { ISOLATE });
        if strays {
            // What a rule shares is not isolated.
            meeting.keys.retain(|key| !key.starts_with(b"@"));
        }
        let before = meeting.views();
        for (template, key, base64) in requests {
            let key = &meeting.keys[key % meeting.keys.len()];
            let request = spell(REQUESTS[template], key, base64);
            // A key that only base64 can spell makes some requests others.
            let reply = text(&meeting.rig.ask(meeting.two, &request));
            prop_assert!(!reply.contains(SECRET), "{}: {reply}", text(&request));
            prop_assert!(!reply.contains("SERVER_ERROR"), "{}: {reply}", text(&request));
        }
        prop_assert_eq!(meeting.views(), before);
    }

    #[test]
    fn deletes_leave_another_runtime_its_own_value_or_none(
        requests in requests(REQUESTS.len() + DELETES.len()),
    ) {
        let mut meeting = Meeting::new(ISOLATE);
        let before = meeting.views();
        let templates = [REQUESTS, DELETES].concat();
        for (template, key, base64) in requests {
            let request = spell(templates[template], &meeting.keys[key], base64);
            let reply = text(&meeting.rig.ask(meeting.two, &request));
            prop_assert!(!reply.contains(SECRET), "{}: {reply}", text(&request));
        }
        for ((key, before), after) in meeting.keys.clone().iter().zip(before).zip(meeting.views()) {
            // Invalidated with `I`: still its own, but stale and under a new id.
            let stale = after.contains(" W X") || after.contains(" X W") || after.contains(" X Z") || after.contains(" Z X");
            let emptied = after.starts_with("VA 0 ");
            prop_assert!(
                after == before || after.starts_with("EN") || stale || emptied,
                "{}: {before} became {after}", text(key)
            );
        }
    }
}

// Any bytes -------------------------------------------------------------------

/// Who attacks: a namespace, or nobody known, whose keys are bare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Attacker {
    Two,
    Untagged,
}

/// What other spaces hold, by physical key, and all that the attacker sent upstream.
struct Raid {
    rig: Rig,
    attacker: Attacker,
    client: u32,
    /// Physical keys of the other spaces.
    others: Vec<Vec<u8>>,
    upstream: Vec<u8>,
}

impl Raid {
    /// Every space holds a secret under every key.
    fn new(rule: &str, attacker: Attacker) -> Self {
        let mut rig = Rig::new(&config(1, rule), 2);
        let client = match attacker {
            Attacker::Two => rig.open("py2"),
            Attacker::Untagged => rig.open_as(2, None),
        };
        let codec = rig.config.snapshot.codec.clone();
        let own = codec.spaces().find(|space| match attacker {
            Attacker::Two => codec.name(*space) == "py2",
            Attacker::Untagged => *space == SpaceId::BARE,
        });
        let mut others = Vec::new();
        for space in codec.spaces().filter(|space| Some(*space) != own) {
            for key in keys() {
                let mut physical = Vec::new();
                codec.encode(space, &key, &mut physical);
                let (token, flag) = meta_key(&physical, true);
                let token = String::from_utf8(token).expect("such keys are in base64");
                let len = SECRET.len();
                let request = format!("ms {token} {len} F7 T5000{flag}\r\n{SECRET}\r\n");
                assert_eq!(text(&rig.ask_cache(0, request.as_bytes())), "HD\\r\\n");
                others.push(physical);
            }
        }
        Self {
            rig,
            attacker,
            client,
            others,
            upstream: Vec::new(),
        }
    }

    /// Everything that memcached tells about the keys of others.
    fn shadow(&mut self) -> Vec<String> {
        let ask = |key: &Vec<u8>| {
            let (token, flag) = meta_key(key, true);
            let token = String::from_utf8(token).expect("such keys are in base64");
            let request = format!("mg {token} v f t c s h k{flag}\r\n");
            text(&self.rig.ask_cache(0, request.as_bytes()))
        };
        // Looking at an item leaves a mark on it.
        self.others
            .iter()
            .map(ask)
            .map(|item| item.replace(" h0", " h1"))
            .collect()
    }

    /// Sends anything, and keeps what the lanes are sent for it.
    fn send(&mut self, bytes: &[u8]) {
        self.rig.send(self.client, bytes);
        loop {
            self.rig.flush_clients();
            let mut moved = 0;
            for lane in 0..self.rig.lanes() {
                let requests = self.rig.engine.lane(lane).lane.unwritten();
                self.upstream.extend_from_slice(requests);
                moved += self.rig.write_lane(lane, usize::MAX);
                moved += self.rig.read_on(lane, usize::MAX);
            }
            if moved == 0 {
                return;
            }
        }
    }

    fn is_own(&self, key: &[u8]) -> bool {
        match self.attacker {
            Attacker::Two => key.starts_with(b"@py2//"),
            Attacker::Untagged => {
                let reserved = [&b"@py2/"[..], b"@py2.", b"@py3/", b"@py3."];
                !reserved.iter().any(|prefix| key.starts_with(prefix))
            }
        }
    }

    /// What was sent upstream names no key of another space, but to delete it.
    fn check_upstream(&self) {
        let mut rest = &self.upstream[..];
        while let Line::Whole { text: len, total } = find_line(rest, 0) {
            let line = &rest[..len];
            let own = |key: &[u8]| assert!(self.is_own(key), "{}", text(line));
            let mut decoded = KeyBuf::new();
            let head = parse_head(but_ours(line), &mut decoded);
            match &head {
                Head::Retrieve(retrieve) => retrieve.keys.clone().for_each(own),
                Head::Store(store) => own(store.key),
                Head::Change(change) if change.verb != Verb::Delete => own(change.key),
                Head::Meta(meta) if meta.verb != Verb::Md => own(meta.key),
                Head::Change(_)
                | Head::Meta(_)
                | Head::MetaNoop
                | Head::Version
                | Head::Stats(_) => {}
                // Flags that memcached knows not hid from us what is wrong with others.
                Head::Bad(_) if line.starts_with(b"md ") => {}
                _ => panic!("{} goes upstream", text(line)),
            }
            let body = match head.body_len() {
                0 if !matches!(head, Head::Store(_)) && !line.starts_with(b"ms ") => 0,
                len => len + 2,
            };
            rest = &rest[total + body..];
        }
        assert_eq!(text(rest), "", "half a request goes upstream");
    }
}

/// A line without the flags that were added to as many as memcached takes: it refuses
/// more, and does nothing.
fn but_ours(line: &[u8]) -> &[u8] {
    let spaces = line.iter().zip(&line[1..]).enumerate();
    let ends = spaces.filter(|(_, (this, next))| **this == b' ' && **next != b' ');
    let end = ends.map(|(at, _)| at).nth(17).unwrap_or(line.len());
    if line.starts_with(b"m") {
        &line[..end]
    } else {
        line
    }
}

/// Words of requests and keys of others, some bytes among them.
fn attack() -> impl Strategy<Value = Vec<u8>> {
    const WORDS: &[&str] = &[
        "get ",
        "gets ",
        "gat 0 ",
        "set ",
        "add ",
        "append ",
        "cas ",
        "delete ",
        "incr ",
        "touch ",
        "mg ",
        "ms ",
        "md ",
        "ma ",
        "me ",
        "mn\r\n",
        "flush_all\r\n",
        "stats cachedump 1 9\r\n",
        "lru_crawler metadump all\r\n",
        "watch mutations\r\n",
        "stats\r\n",
        "quit\r\n",
        "0 ",
        "0 0 2",
        "0 0 2\r\nxx\r\n",
        "2 ",
        "-1 ",
        "4294967298 ",
        "v ",
        "k ",
        "b ",
        "q ",
        "I ",
        "x ",
        "N30 ",
        "T30 ",
        "MA ",
        "C1 ",
        "noreply",
        "\r\n",
        "\r\n",
        "\r\n",
        "\n",
        "\0",
        "\t",
    ];
    let key = proptest::sample::select(keys());
    let word = prop_oneof![
        8 => proptest::sample::select(WORDS).prop_map(|word| word.as_bytes().to_vec()),
        4 => key.clone().prop_map(|key| [&key[..], b" "].concat()),
        2 => key.prop_map(|key| STANDARD.encode(key).into_bytes()),
        1 => proptest::collection::vec(any::<u8>(), 0..6),
    ];
    proptest::collection::vec(word, 0..60).prop_map(|words| words.concat())
}

/// Whole requests about keys of others, and what came of them when they were cut,
/// joined and meddled with.
fn raid() -> impl Strategy<Value = Vec<u8>> {
    let templates: Vec<&str> = REQUESTS.iter().chain(DELETES).copied().collect();
    let request = (
        proptest::sample::select(templates),
        proptest::sample::select(keys()),
        any::<bool>(),
    );
    let request = request.prop_map(|(template, key, base64)| spell(template, &key, base64));
    let meddled = (
        request.clone(),
        any::<proptest::sample::Index>(),
        any::<u8>(),
    );
    let meddled = meddled.prop_map(|(mut request, at, byte)| {
        let at = at.index(request.len());
        request[at] = byte;
        request
    });
    let piece = prop_oneof![3 => request, 3 => meddled, 2 => attack()];
    proptest::collection::vec(piece, 1..20).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 1000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_bytes_read_or_change_what_other_spaces_hold(
        bytes in raid(),
        attacker in proptest::sample::select(vec![Attacker::Two, Attacker::Untagged]),
        deletes in any::<bool>(),
    ) {
        let rule = if deletes { ISOLATE } else { "mode = \"isolate\"\ncoherence = \"none\"" };
        let mut raid = Raid::new(rule, attacker);
        let before = raid.shadow();
        raid.send(&bytes);
        raid.check_upstream();
        let received = text(raid.rig.received(raid.client));
        prop_assert!(!received.contains(SECRET), "{received}");
        for (before, after) in before.iter().zip(raid.shadow()) {
            let stale = after.contains(" W") || after.contains(" Z");
            let emptied = after.starts_with("VA 0 ");
            let deleted = deletes && (after.starts_with("EN") || stale || emptied);
            prop_assert!(after == *before || deleted, "{before} became {after}");
        }
    }
}
