//! In isolate mode nothing that one runtime asks for reads or changes what
//! another one stored, except deletes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
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
