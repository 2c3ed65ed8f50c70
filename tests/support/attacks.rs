//! Requests of a client that wants to read or change others' values: words, and whole
//! requests about keys that look like another's. Also the values of the others, and the
//! way to see whether they are still there.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use picklegate::policy::{KeyCodec, SpaceId};
use proptest::prelude::*;

/// Start of every stored value, which no attack contains.
pub(crate) const SECRET: &str = "secret-of-";

/// Client keys; those with bytes that only base64 can spell come last.
pub(crate) fn keys() -> Vec<Vec<u8>> {
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
        // No flag is called so.
        "user",
        "@py3//user",
        "@//user",
    ]
    .map(|key| key.as_bytes().to_vec())
    .to_vec();
    keys.push(vec![b'k'; 250]);
    keys.push([b"@py3//", &[b'k'; 244][..]].concat());
    keys.extend([&b"a b"[..], b"\0", b" ", b"\xff\xfe", b"@py3// k"].map(<[u8]>::to_vec));
    keys
}

/// The key as a meta command spells it: its token, and the flag that says how.
pub(crate) fn meta_key(key: &[u8], base64: bool) -> (Vec<u8>, &'static str) {
    let is_text = key.iter().all(|&b| b > b' ');
    if key.len() <= 187 && (base64 || !is_text) {
        (STANDARD.encode(key).into_bytes(), " b")
    } else {
        (key.to_vec(), "")
    }
}

/// One request: a template whose `K` is a key and `B` its `b`.
pub(crate) const REQUESTS: &[&str] = &[
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
pub(crate) const DELETES: &[&str] = &["delete K", "md K kB", "md K I T30B", "md K xB", "md K C1B"];

/// A template as the bytes of a request.
pub(crate) fn spell(template: &str, key: &[u8], base64: bool) -> Vec<u8> {
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
pub(crate) fn raid() -> impl Strategy<Value = Vec<u8>> {
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

// What others have stored -----------------------------------------------------

/// Attacker: a namespace, or an unknown client, whose keys are bare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attacker {
    Two,
    Untagged,
}

impl Attacker {
    pub(crate) const ALL: [Self; 2] = [Self::Two, Self::Untagged];

    /// Whether a space is its own.
    fn has(self, codec: &KeyCodec, space: SpaceId) -> bool {
        match self {
            Self::Two => codec.name(space) == "py2",
            Self::Untagged => space == SpaceId::BARE,
        }
    }
}

/// An item of another space.
#[derive(Debug)]
pub(crate) struct Secret {
    /// The name of its space; empty for the bare one.
    pub(crate) space: String,
    /// Key as its clients say it.
    pub(crate) key: Vec<u8>,
    pub(crate) value: String,
    /// Key as memcached is asked for it, with a flag if it is in base64.
    token: String,
}

impl Secret {
    /// One under every key in every space but the attacker's.
    pub(crate) fn all(codec: &KeyCodec, attacker: Attacker) -> Vec<Self> {
        let mut secrets = Vec::new();
        for space in codec.spaces().filter(|space| !attacker.has(codec, *space)) {
            for key in keys() {
                let mut physical = Vec::new();
                codec.encode(space, &key, &mut physical);
                let (token, flag) = meta_key(&physical, true);
                let token = String::from_utf8(token).expect("such keys are in base64");
                secrets.push(Self {
                    space: codec.name(space).to_owned(),
                    key,
                    value: format!("{SECRET}{}", secrets.len()),
                    token: token + flag,
                });
            }
        }
        secrets
    }

    /// Request by which memcached stores the secret.
    pub(crate) fn plant(&self) -> String {
        let Self { token, value, .. } = self;
        let (token, flag) = token.split_once(' ').unwrap_or((token, ""));
        format!("ms {token} {} F7 T5000 {flag}\r\n{value}\r\n", value.len())
    }

    /// Request for everything that memcached knows of the secret.
    pub(crate) fn look(&self) -> String {
        format!("mg {} v f t c s h k\r\n", self.token)
    }
}

/// Fate of a secret, by the replies to [`Secret::look`] before and after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Kept,
    /// The item, or its value, is gone, or it is stale: deletes do that.
    Deleted,
    Changed,
}

impl Fate {
    pub(crate) fn of(before: &[u8], after: &[u8]) -> Self {
        let after = timeless(after);
        let has = |flag: &str| after.contains(flag);
        if after == timeless(before) {
            Self::Kept
        } else if after.starts_with("EN") || after.starts_with("VA 0 ") || has(" W") || has(" Z") {
            Self::Deleted
        } else {
            Self::Changed
        }
    }
}

/// An item as it was before anybody looked at it, which leaves a mark, at any time of
/// the next quarter of an hour.
fn timeless(item: &[u8]) -> String {
    let item = item.escape_ascii().to_string();
    let words = item.split(' ').map(|word| match word.strip_prefix('t') {
        Some(left) if left.parse().is_ok_and(|left| (4000..=5000).contains(&left)) => "t5000",
        _ if word == "h0" => "h1",
        _ => word,
    });
    words.collect::<Vec<_>>().join(" ")
}
