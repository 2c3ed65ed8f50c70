//! Makes up command streams from a seed: every verb, flag, spacing and mistake
//! whose answer is memcached's own and the same each time. Knows no sockets; cas
//! ids are placeholders, since each server counts its own.
//!
//! Left out, because memcached itself does not answer twice alike:
//! - short relative exptimes, and recache times near an exptime (seconds pass);
//! - arithmetic on a key read earlier in the same batch: a reply not yet sent
//!   holds the item, and then a shrinking number is replaced instead of padded;
//! - numbers from 2^63 up, and `-` in any key or value: memcached looks for a
//!   minus sign past the number's end, into whatever the chunk held before;
//! - an over-long key in a `get` behind other replies, which it then drops, or
//!   behind keys that exist, which it then has touched.

use std::collections::{HashMap, HashSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use fastrand::Rng;

/// The runtime of the listener under test; a `P` flag may name it.
pub(crate) const RUNTIME: &str = "python/3.11";

/// One request, body included, whose cas id each side fills in for itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Command {
    bytes: Vec<u8>,
    cas: Option<Cas>,
}

/// Stands for the `id`-th cas id a side has shown, `plus` something.
#[derive(Clone, Copy, Debug)]
struct Cas {
    /// Place of the digits in the command's bytes.
    at: usize,
    id: usize,
    plus: u64,
}

impl Command {
    /// The bytes for a side that has shown these cas ids, in this order.
    pub(crate) fn render(&self, ids: &[u64]) -> Vec<u8> {
        let Some(Cas { at, id, plus }) = self.cas else {
            return self.bytes.clone();
        };
        let digits = ids[id].saturating_add(plus).to_string();
        [&self.bytes[..at], digits.as_bytes(), &self.bytes[at..]].concat()
    }
}

/// A word of a request line.
enum Token {
    Text(Vec<u8>),
    /// `prefix` and a cas id.
    Cas {
        prefix: &'static str,
        id: usize,
        plus: u64,
    },
}

impl<T: Into<Vec<u8>>> From<T> for Token {
    fn from(text: T) -> Self {
        Self::Text(text.into())
    }
}

struct Key {
    bytes: Vec<u8>,
    /// Whether a line can carry it as it is.
    text: bool,
    /// Whether it stays one line when shown raw. N, arithmetic and appending lose
    /// the mark that a key is base64, so they keep off the keys that do not.
    one_line: bool,
}

/// A key in a request: the token, and whether it is base64.
struct Spelling {
    key: usize,
    token: Vec<u8>,
    base64: bool,
}

pub(crate) struct Generator {
    rng: Rng,
    keys: Vec<Key>,
    /// The last cas id shown for a key, by the key's spelling in that reply.
    last_cas: HashMap<Vec<u8>, usize>,
    /// Cas ids shown so far; a placeholder's `id` is below it.
    shown: usize,
    /// Keys read since the last fence.
    read: HashSet<usize>,
}

/// Chooses where requests are cut into writes.
pub(crate) struct Cutter(Rng);

impl Cutter {
    /// Cuts `bytes` into the writes that deliver it: whole, in two, or in crumbs.
    pub(crate) fn cut<'a>(&mut self, mut bytes: &'a [u8]) -> Vec<&'a [u8]> {
        let piece = match self.0.u8(..8) {
            0..4 => return vec![bytes],
            4 => {
                let (head, tail) = bytes.split_at(self.0.usize(..=bytes.len()));
                return vec![head, tail];
            }
            5 => 16,
            _ => 400,
        };
        let mut chunks = Vec::new();
        // A body of hundreds of KiB is not worth thousands of writes.
        while !bytes.is_empty() && chunks.len() < 200 {
            let (chunk, rest) = bytes.split_at(self.0.usize(1..=piece).min(bytes.len()));
            chunks.push(chunk);
            bytes = rest;
        }
        chunks.push(bytes);
        chunks
    }
}

/// Longest key that memcached takes, encoded or not.
const KEY_MAX: usize = 250;
/// Longest opaque that memcached takes.
const OPAQUE_MAX: usize = 31;

/// Puts a letter into a value of nothing but white space: `incr` of such a value goes on
/// into what memcached had in that memory before, which may be a number or not.
fn countable(mut value: Vec<u8>) -> Vec<u8> {
    if value.iter().all(|b| b.is_ascii_whitespace() || *b == 0x0b)
        && let Some(last) = value.last_mut()
    {
        *last = b'x';
    }
    value
}

impl Generator {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            rng: Rng::with_seed(seed),
            keys: keys(),
            last_cas: HashMap::new(),
            shown: 0,
            read: HashSet::new(),
        }
    }

    /// Notes that `id`, the newest or an older one, was shown for `key`.
    pub(crate) fn learn(&mut self, key: Option<&[u8]>, id: usize) {
        self.shown = self.shown.max(id + 1);
        if let Some(key) = key {
            self.last_cas.insert(key.to_vec(), id);
        }
    }

    /// The commands between two fences.
    pub(crate) fn batch(&mut self) -> Vec<Command> {
        self.read.clear();
        let mut batch = Vec::new();
        if self.one_in(8) {
            batch.push(self.over_long_read());
        }
        let size = match self.rng.u8(..10) {
            0 => 1,
            1..4 => self.rng.usize(2..12),
            _ => self.rng.usize(30..150),
        };
        batch.extend((0..size).map(|_| self.command()));
        batch
    }

    /// An independent source of cuts: how bytes are cut must not change what is asked.
    pub(crate) fn cutter(&mut self) -> Cutter {
        Cutter(self.rng.fork())
    }

    fn command(&mut self) -> Command {
        match self.rng.u16(..1000) {
            0..130 => self.retrieval(),
            130..290 => self.store(),
            290..340 => self.cas(),
            340..390 => self.delete(),
            390..450 => self.arithmetic(),
            450..480 => self.touch(),
            480..630 => self.meta_get(),
            630..760 => self.meta_set(),
            760..820 => self.meta_delete(),
            820..880 => self.meta_arithmetic(),
            880..905 => self.meta_debug(),
            905..920 => self.line([Token::from("mn")]),
            920..999 => self.mistake(),
            _ => self.large_value(),
        }
    }

    // ---- classic commands ----

    fn retrieval(&mut self) -> Command {
        let verb = self.pick(&["get", "get", "gets", "gets", "gat", "gats"]);
        let touches = verb.starts_with("gat");
        let count = match self.rng.u16(..200) {
            0 => self.rng.usize(100..=200),
            1..20 => self.rng.usize(10..40),
            20..70 => self.rng.usize(2..8),
            _ => 1,
        };
        let mut tokens = vec![Token::from(verb)];
        if touches {
            tokens.push(self.exptime().into());
        }
        let mut length = 0;
        for _ in 0..count {
            let spelling = self.text_key();
            length += spelling.token.len() + 3;
            // Only get and gets may be longer than 2,048 bytes.
            if touches && length > 1900 {
                break;
            }
            self.read.insert(spelling.key);
            tokens.push(spelling.token.into());
        }
        self.line(tokens)
    }

    /// One key of too many bytes fails the whole command. Only safe behind a fence,
    /// and only beside keys that the part done before can have no effect on.
    fn over_long_read(&mut self) -> Command {
        let verb = self.pick(&["get", "gets", "gat", "gats"]);
        let mut tokens = vec![Token::from(verb)];
        if verb.starts_with("gat") {
            tokens.push("0".into());
        }
        let place = self.rng.usize(..3);
        for i in 0..3 {
            tokens.push(if i == place {
                self.over_long_key().into()
            } else {
                self.pick(&["absent:1", "absent:2"]).into()
            });
        }
        self.line(tokens)
    }

    fn store(&mut self) -> Command {
        let verb = self.pick(&["set", "set", "set", "add", "replace", "append", "prepend"]);
        let grows = verb.ends_with("pend");
        let key = self.text_key().token;
        let (flags, value) = if grows {
            ("0".to_owned(), self.extension())
        } else {
            self.value()
        };
        let exptime = self.exptime();
        let length = value.len().to_string();
        let mut tokens = vec![
            verb.into(),
            key.into(),
            flags.into(),
            exptime.into(),
            length.into(),
        ];
        self.maybe_noreply(&mut tokens);
        self.line(tokens).with_body(&value)
    }

    fn cas(&mut self) -> Command {
        let key = self.text_key().token;
        let (flags, value) = self.value();
        let cas = self.cas_token("", &key);
        let exptime = self.exptime();
        let length = value.len().to_string();
        let mut tokens = vec![
            "cas".into(),
            key.into(),
            flags.into(),
            exptime.into(),
            length.into(),
            cas,
        ];
        self.maybe_noreply(&mut tokens);
        self.line(tokens).with_body(&value)
    }

    fn delete(&mut self) -> Command {
        let mut tokens = vec![Token::from("delete"), self.text_key_or_over_long().into()];
        let rest = match self.rng.u8(..12) {
            0 => "0",
            1 => "0 noreply",
            2 | 3 => "noreply",
            4 => "1",
            5 => "noreply 0",
            // Badly used and silent: memcached sees the noreply first.
            6 => "x noreply",
            7 => "0 0 0",
            _ => "",
        };
        tokens.extend(rest.split_whitespace().map(Token::from));
        self.line(tokens)
    }

    fn arithmetic(&mut self) -> Command {
        let verb = self.pick(&["incr", "incr", "decr", "decr", "decr"]);
        let Some(spelling) = self.unread_key(true) else {
            return self.delete();
        };
        let key = if self.one_in(30) {
            self.over_long_key().into()
        } else {
            spelling.token
        };
        let mut tokens = vec![verb.into(), key.into(), self.delta().into()];
        if self.one_in(20) {
            tokens.push("extra".into());
        } else {
            self.maybe_noreply(&mut tokens);
        }
        self.line(tokens)
    }

    fn touch(&mut self) -> Command {
        let exptime = if self.one_in(8) {
            self.pick(&["soon", "1.5", "99999999999999999999"])
                .to_owned()
        } else {
            self.exptime()
        };
        let mut tokens = vec![
            "touch".into(),
            self.text_key_or_over_long().into(),
            exptime.into(),
        ];
        self.maybe_noreply(&mut tokens);
        self.line(tokens)
    }

    // ---- meta commands ----

    fn meta_get(&mut self) -> Command {
        let Some(spelling) = self.meta_key() else {
            return self.meta_refused("mg");
        };
        self.read.insert(spelling.key);
        let mut flags = self.some(&["v", "v", "v", "f", "c", "t", "s", "h", "l", "u", "q"]);
        for (flag, odds) in [("N", 6), ("T", 10)] {
            if self.one_in(odds) && (flag != "N" || self.keys[spelling.key].one_line) {
                flags.push(format!("{flag}{}", self.exptime()).into());
            }
        }
        if self.one_in(8) {
            // Well apart from every exptime, so that no second between decides.
            let recache = self.pick(&["R0", "R30", "R700", "R50000", "R1000000", "R-1"]);
            flags.push(recache.into());
        }
        if self.one_in(20) {
            // Known to the parser, without meaning here.
            let idle = self.pick(&["I", "F5", "D3", "J4", "MS", "C17"]);
            flags.push(idle.into());
        }
        self.meta("mg", spelling, Vec::new(), flags)
    }

    fn meta_set(&mut self) -> Command {
        let Some(spelling) = self.meta_key() else {
            return self.meta_refused("mg");
        };
        let (client_flags, value) = self.value();
        let mut flags = self.some(&["c", "q", "I"]);
        flags.push(format!("F{client_flags}").into());
        let mut value = value;
        if self.one_in(3) {
            let appends = self.keys[spelling.key].one_line;
            let modes = ["E", "R", "S", "A", "P"];
            let mode = self.pick(&modes[..if appends { 5 } else { 3 }]);
            if "AP".contains(mode) {
                value = self.extension();
            }
            flags.push(format!("M{mode}").into());
        }
        if self.one_in(3) {
            flags.push(format!("T{}", self.exptime()).into());
        }
        if self.one_in(4) {
            flags.push(self.cas_token("C", &spelling.token));
        }
        if self.one_in(20) {
            // Refused, and the body swallowed.
            let bad = self.pick(&[
                "Fx",
                "Tx",
                "Mx",
                "Mab",
                "S5",
                "O0123456789abcdef0123456789abcdef",
            ]);
            flags.push(bad.into());
        }
        let length = value.len().to_string();
        self.meta("ms", spelling, vec![length.into()], flags)
            .with_body(&value)
    }

    fn meta_delete(&mut self) -> Command {
        let Some(spelling) = self.meta_key() else {
            return self.meta_refused("md");
        };
        let mut flags = self.some(&["q", "I", "I"]);
        if self.one_in(4) {
            flags.push(format!("T{}", self.exptime()).into());
        }
        if self.one_in(4) {
            flags.push(self.cas_token("C", &spelling.token));
        }
        if self.one_in(15) {
            let odd = self.pick(&["x", "v", "t", "O0123456789abcdef0123456789abcdef"]);
            flags.push(odd.into());
        }
        self.meta("md", spelling, Vec::new(), flags)
    }

    fn meta_arithmetic(&mut self) -> Command {
        let Some(spelling) = self.unread_key(false) else {
            return self.meta_delete();
        };
        let mut flags = self.some(&["v", "v", "c", "t"]);
        if self.one_in(3) {
            // With N there is no q: 1.6.18 then answers a creation aloud.
            flags.push(format!("N{}", self.exptime()).into());
            if self.one_in(2) {
                flags.push(format!("J{}", self.rng.u32(..)).into());
            }
        } else if self.one_in(4) {
            flags.push("q".into());
        }
        if self.one_in(2) {
            let mode = self.pick(&["MI", "MD", "M+", "MD", "M", "Mx"]);
            flags.push(mode.into());
        }
        if self.one_in(2) {
            flags.push(format!("D{}", self.delta()).into());
        }
        if self.one_in(5) {
            flags.push(format!("T{}", self.exptime()).into());
        }
        if self.one_in(4) {
            flags.push(self.cas_token("C", &spelling.token));
        }
        self.meta("ma", spelling, Vec::new(), flags)
    }

    fn meta_debug(&mut self) -> Command {
        let key = self.any_key(|key| key.one_line);
        let spelling = self.spell(key);
        let mut tokens = vec!["me".into(), spelling.token.into()];
        if spelling.base64 {
            tokens.push("b".into());
        } else if self.one_in(10) {
            tokens.push("Oignored".into());
        }
        self.line(tokens)
    }

    /// A request about a key that memcached cannot take, or none at all.
    fn meta_refused(&mut self, verb: &str) -> Command {
        let rest = match self.rng.u8(..5) {
            0 => String::new(),
            1 => format!("{} b", "Zm9v".repeat(63)),
            2 => self.over_long_key() + " v",
            // The opaque comes last, and without effects beside it.
            3 => format!("absent:opaque k O{}", "x".repeat(OPAQUE_MAX + 1)),
            _ => self
                .pick(&["Zg b", "!!!! b", "A=== b", "Zm9v= b k v", "abcde v b"])
                .to_owned(),
        };
        let words = [verb].into_iter().chain(rest.split_whitespace());
        self.line(words.map(Token::from).collect::<Vec<_>>())
    }

    /// The line of a meta command: `fixed` behind the key, then `flags` and some
    /// common ones in any order, now and then with a mistake among them.
    fn meta(
        &mut self,
        verb: &str,
        spelling: Spelling,
        fixed: Vec<Token>,
        mut flags: Vec<Token>,
    ) -> Command {
        if self.one_in(3) {
            flags.push("k".into());
        }
        if self.one_in(3) {
            let opaque = self.opaque();
            flags.push(opaque.into());
        }
        if self.one_in(25) {
            flags.push(format!("P{RUNTIME}").into());
        }
        if self.one_in(25) {
            flags.push("Lanything".into());
        }
        match self.rng.u16(..100) {
            0 => flags.extend(["k".into(), "k".into()]),
            1 => {
                let unknown =
                    self.pick(&["E5", "S5", "W", "X", "Z", "x", "z", "!", "\u{e9}", "\x7f"]);
                flags.push(unknown.into());
            }
            2 => {
                let bad = self.pick(&["Tsoon", "N", "R1x", "C", "Cx", "Dx", "Jx", "M"]);
                flags.push(bad.into());
            }
            // A flag is its first letter, whatever follows.
            3 => flags.push("salt".into()),
            4 if verb != "ms" => {
                flags.extend("kvtsfhlcuqPLOIFDJ".chars().map(|c| c.to_string().into()));
            }
            _ => {}
        }
        if spelling.base64 {
            flags.push("b".into());
        }
        self.rng.shuffle(&mut flags);
        let mut tokens = vec![verb.into(), spelling.token.into()];
        tokens.extend(fixed);
        tokens.extend(flags);
        self.line(tokens)
    }

    // ---- wrong on purpose ----

    fn mistake(&mut self) -> Command {
        const LINES: &[&str] = &[
            "",
            " ",
            "x",
            "xx",
            "m",
            "mm",
            "mx k",
            "g",
            "getx k",
            "get",
            "gets",
            "gat",
            "gat 0",
            "gat soon k",
            "gats",
            "GET k:0",
            "MG k:0 v",
            "MN",
            "delete",
            "delete k:0 0 0 0 0",
            "incr",
            "incr n:0",
            "incr n:0 1 noreply more",
            "decr n:0",
            "touch",
            "touch k:0",
            "touch k:0 0 noreply more",
            "mg",
            "md",
            "ma",
            "me",
            "mn and more",
            "version",
            "version please",
            "config get cluster",
            "get\tk:0",
            "\0",
            "mn\0 whatever",
            "get absent\0 k:1",
            "ms Zg 2 b\r\nab",
            "ms k:0 2 S2\r\nab",
            "a b c d e f g h i j k l m n o p q r s t u v w x y z",
        ];
        let line = self.pick(LINES);
        // A body's end is never bare.
        let end = if !line.contains('\n') && self.one_in(4) {
            "\n"
        } else {
            "\r\n"
        };
        Command {
            bytes: [line, end].concat().into(),
            cas: None,
        }
    }

    /// A value near what a server takes at most, then read or replaced.
    fn large_value(&mut self) -> Command {
        if self.rng.bool() {
            return self.line(["get".into(), "large".into()]);
        }
        let value = vec![b'v'; 900 * 1024 + self.rng.usize(..1024)];
        let length = value.len().to_string();
        let tokens: Vec<Token> = if self.rng.bool() {
            vec![
                "set".into(),
                "large".into(),
                "0".into(),
                "0".into(),
                length.into(),
            ]
        } else {
            vec!["ms".into(), "large".into(), length.into(), "c".into()]
        };
        self.line(tokens).with_body(&value)
    }

    // ---- words ----

    fn exptime(&mut self) -> String {
        let times = [
            "0",
            "0",
            "0",
            "0",
            "1000",
            "100000",
            "2592000",
            "2592001",
            "2000000000",
            "-1",
            "+500",
        ];
        self.pick(&times).to_owned()
    }

    fn delta(&mut self) -> String {
        match self.rng.u8(..12) {
            0 => self
                .pick(&[
                    "x",
                    "-1",
                    "1.5",
                    "0x10",
                    "18446744073709551616",
                    "+7",
                    "007",
                ])
                .to_owned(),
            1 => "0".to_owned(),
            2 => self.rng.u64(..1_000_000_000_000).to_string(),
            _ => self.rng.u32(..200).to_string(),
        }
    }

    fn opaque(&mut self) -> Vec<u8> {
        let longest = self.pick(&[0, 1, 8, 8, 8, OPAQUE_MAX]);
        let mut opaque = vec![b'O'];
        for _ in 0..longest {
            opaque.push(self.pick(b"0123456789abc~@/=+OkcqMN\t\x01\xc3"));
        }
        opaque
    }

    /// A cas id: mostly the key's own, else another's, an impossible one or zero.
    fn cas_token(&mut self, prefix: &'static str, key: &[u8]) -> Token {
        let known = self.last_cas.get(key).copied();
        match self.rng.u8(..10) {
            0 => format!("{prefix}0").into(),
            1 => format!("{prefix}18446744073709551615").into(),
            2 if self.shown > 0 => Token::Cas {
                prefix,
                id: self.rng.usize(..self.shown),
                plus: 1_000_000_000,
            },
            3 if self.shown > 0 => Token::Cas {
                prefix,
                id: self.rng.usize(..self.shown),
                plus: 0,
            },
            _ => match known {
                Some(id) => Token::Cas {
                    prefix,
                    id,
                    plus: 0,
                },
                None => format!("{prefix}0").into(),
            },
        }
    }

    fn maybe_noreply(&mut self, tokens: &mut Vec<Token>) {
        if self.one_in(5) {
            tokens.push("noreply".into());
        }
    }

    /// Client flags, and a value that every reader of its family can load.
    fn value(&mut self) -> (String, Vec<u8>) {
        let (flags, value): (&str, Vec<u8>) = match self.rng.u8(..20) {
            0 => ("0", Vec::new()),
            1..6 => ("2", self.rng.u32(..100_000).to_string().into()),
            6 => (
                "0",
                self.pick(&[
                    "0",
                    "10",
                    "100",
                    "007",
                    " 7",
                    "5 ",
                    "12abc",
                    "1e3",
                    "99999999999999999999",
                ])
                .into(),
            ),
            7 => ("16", b"a\r\nb\r\n\r\n".to_vec()),
            8 => ("0", b"END\r\n".to_vec()),
            9 => ("0", b"x\r\nVALUE k:0 0 1\r\nMN\r\nHD\r\nSTORED".to_vec()),
            10 => ("1", b"\x80\x02}q\x00(U\x01aK\x01u.".to_vec()),
            11 => (
                "1",
                b"\x80\x04\x95\x06\x00\x00\x00\x00\x00\x00\x00\x8c\x02hi\x94.".to_vec(),
            ),
            12 => ("1", b"(dp0\nVa\np1\nI1\ns.".to_vec()),
            13 => ("1", [&b"\x80\x05\x96"[..], &[b'p'; 3000], b"."].concat()),
            14 => ("9", deflated_pickle()),
            15 => (
                self.pick(&["4", "64", "4294967295", "007", "+3"]),
                self.noise(40),
            ),
            16 => ("0", self.noise(20 * 1024)),
            17 => ("0", self.noise(2000)),
            _ => ("0", self.noise(60)),
        };
        (flags.to_owned(), value)
    }

    /// A few letters to append or prepend: never digits, so that numbers end.
    fn extension(&mut self) -> Vec<u8> {
        let length = self.rng.usize(..12);
        let letters = (0..length).map(|_| self.pick(b"abcxyz\r\n\x00\xff"));
        countable(letters.collect())
    }

    fn noise(&mut self, longest: usize) -> Vec<u8> {
        let length = self.rng.usize(1..=longest);
        let byte = |rng: &mut Rng| match rng.u8(..) {
            b'-' | 0x80 => b'_',
            byte => byte,
        };
        countable((0..length).map(|_| byte(&mut self.rng)).collect())
    }

    // ---- keys ----

    fn any_key(&mut self, fits: impl Fn(&Key) -> bool) -> usize {
        loop {
            // The first dozen keys meet each other often enough to matter.
            let among = if self.rng.bool() { 12 } else { self.keys.len() };
            let key = self.rng.usize(..among);
            if fits(&self.keys[key]) {
                return key;
            }
        }
    }

    fn text_key(&mut self) -> Spelling {
        let key = self.any_key(|key| key.text);
        Spelling {
            key,
            token: self.keys[key].bytes.clone(),
            base64: false,
        }
    }

    fn text_key_or_over_long(&mut self) -> Vec<u8> {
        if self.one_in(30) {
            self.over_long_key().into()
        } else {
            self.text_key().token
        }
    }

    fn over_long_key(&mut self) -> String {
        "K".repeat(self.pick(&[KEY_MAX + 1, KEY_MAX + 2, 300, 1000]))
    }

    /// A key for a meta command; now and then none, for a refusal.
    fn meta_key(&mut self) -> Option<Spelling> {
        if self.one_in(30) {
            return None;
        }
        let key = self.any_key(|_| true);
        Some(self.spell(key))
    }

    fn spell(&mut self, key: usize) -> Spelling {
        let Key { bytes, text, .. } = &self.keys[key];
        let encoded = BASE64.encode(bytes);
        let base64 = !text || (encoded.len() <= KEY_MAX && self.rng.u8(..3) == 0);
        let token = if base64 {
            encoded.into()
        } else {
            bytes.clone()
        };
        Spelling { key, token, base64 }
    }

    /// A key that arithmetic may touch, preferably a number.
    fn unread_key(&mut self, text: bool) -> Option<Spelling> {
        let key = self.any_key(|key| key.text || (!text && key.one_line));
        let counters: Vec<_> = (0..self.keys.len())
            .filter(|&key| self.keys[key].bytes.starts_with(b"n:"))
            .collect();
        let key = if self.one_in(3) {
            key
        } else {
            self.pick(&counters)
        };
        if self.read.contains(&key) {
            return None;
        }
        Some(if text {
            Spelling {
                key,
                token: self.keys[key].bytes.clone(),
                base64: false,
            }
        } else {
            self.spell(key)
        })
    }

    // ---- lines ----

    /// Joins words as clients do, sometimes as sloppy ones do.
    fn line(&mut self, tokens: impl IntoIterator<Item = Token>) -> Command {
        let sloppy = self.one_in(12);
        let mut command = Command::default();
        if sloppy {
            command.bytes.resize(self.rng.usize(..3), b' ');
        }
        for (i, token) in tokens.into_iter().enumerate() {
            if i > 0 {
                let spaces = if sloppy { self.rng.usize(1..4) } else { 1 };
                command.bytes.resize(command.bytes.len() + spaces, b' ');
            }
            match token {
                Token::Text(text) => command.bytes.extend(text),
                Token::Cas { prefix, id, plus } => {
                    command.bytes.extend(prefix.as_bytes());
                    command.cas = Some(Cas {
                        at: command.bytes.len(),
                        id,
                        plus,
                    });
                }
            }
        }
        if sloppy {
            command
                .bytes
                .resize(command.bytes.len() + self.rng.usize(..3), b' ');
        }
        command
            .bytes
            .extend(if self.one_in(20) { &b"\n"[..] } else { b"\r\n" });
        command
    }

    // ---- dice ----

    fn one_in(&mut self, sides: u32) -> bool {
        self.rng.u32(..sides) == 0
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.rng.usize(..from.len())]
    }

    /// Up to four of `flags`, each letter once.
    fn some(&mut self, flags: &[&'static str]) -> Vec<Token> {
        let mut chosen = HashSet::new();
        let count = self.rng.usize(..5);
        (0..count)
            .map(|_| self.pick(flags))
            .filter(|flag| chosen.insert(*flag))
            .map(Token::from)
            .collect()
    }
}

impl Command {
    fn with_body(mut self, value: &[u8]) -> Self {
        self.bytes.extend(value);
        self.bytes.extend(b"\r\n");
        self
    }
}

/// A zlib stream of a protocol 2 pickle, as clients with compression store it.
fn deflated_pickle() -> Vec<u8> {
    use std::io::Write as _;
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    let pickle = [&b"\x80\x02U\xff"[..], &[b'z'; 255], b"q\x00."].concat();
    zlib.write_all(&pickle).expect("memory takes all");
    zlib.finish().expect("memory takes all")
}

/// Ordinary keys first, then every kind that a rewriting proxy may trip over.
fn keys() -> Vec<Key> {
    let mut keys: Vec<Vec<u8>> = Vec::new();
    keys.extend((0..8).map(|i| format!("k:{i}").into()));
    keys.extend((0..6).map(|i| format!("n:{i}").into()));
    keys.extend((0..20).map(|i| format!("user:{i}:profile").into()));
    keys.extend(
        [
            "@py2/x",
            "@py2//x",
            "@py3//x",
            "@py3/x",
            "@py3.1/x",
            "@py30/x",
            "@py3",
            "@py",
            "@//x",
            "@//@py3//x",
            "@/",
            "@",
            "~",
            "~x",
            "~~",
            "@hello",
            "noreply",
            "0",
            "/",
            "MN",
            "END",
            "=",
            "b",
        ]
        .map(Vec::from),
    );
    keys.extend(
        [
            &b"tab\there"[..],
            b"\x01\x02",
            b"del\x7f",
            b"\x80\xff\xfe",
            "schl\u{fc}ssel".as_bytes(),
            b"c\rr",
        ]
        .map(Vec::from),
    );
    for length in [
        64, 180, 186, 187, 188, 192, 242, 243, 244, 245, 246, 247, 248, 249, 250,
    ] {
        keys.push(long_key("long:", length));
    }
    for prefix in ["@py3/", "@//", "~"] {
        keys.push(long_key(prefix, 240));
        keys.push(long_key(prefix, 250));
    }
    // Only base64 can carry these.
    keys.extend(
        [
            &b"two words"[..],
            b"  ",
            b"nul\0nul",
            b"line\r\nline",
            b"\n",
            b"@py3/ x",
        ]
        .map(Vec::from),
    );
    keys.push(long_key("spaced out ", 186));
    keys.into_iter()
        .map(|bytes| Key {
            text: !bytes.iter().any(|byte| b" \n\0".contains(byte)),
            one_line: !bytes.contains(&b'\n'),
            bytes,
        })
        .collect()
}

fn long_key(prefix: &str, length: usize) -> Vec<u8> {
    let mut key = Vec::from(prefix);
    key.resize(length, b'l');
    key
}
