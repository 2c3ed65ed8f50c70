//! Request smuggling: streams of broken requests, each to memcached itself and,
//! through picklegate, to a second one. Both must agree on where every request
//! ends: they answer the same, and afterwards the same is stored.
//!
//! What picklegate refuses on purpose (see [`known`](super::known)) is found by
//! [`plan`], which knows nothing of picklegate's parser: it reads a stream as
//! memcached 1.6.40 would, up to a store whose length is not certain, where
//! picklegate must close. There memcached is sent a fence instead, and picklegate
//! must answer an error, or nothing if no reply is wanted; where it must close, the
//! stream of memcached ends. So nothing that was refused may have been carried out,
//! no part of it may have run as a command, and what follows must be understood
//! alike.
//!
//! `PICKLEGATE_DIFFERENTIAL_STREAMS` sets how many streams are tried, and
//! `PICKLEGATE_SEED` replays a failure, which prints the smallest stream that it
//! could find.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Write as _;
use std::net::TcpStream;
use std::ops::Range;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, STANDARD as BASE64};
use base64::engine::{DecodePaddingMode, GeneralPurposeConfig};
use fastrand::Rng;

use super::replies::{CasIds, Reply, parse};
use super::{config, shorten, show};
use crate::support::{self, FENCE, FENCE_REPLY, Memcached, Picklegate, free_addr, roundtrip};

/// Streams that each rule is tried with.
const STREAMS: usize = 2_000;
/// Longest key that memcached takes.
const MAX_KEY: usize = 250;
/// Longest argument that picklegate passes on.
const MAX_ARGUMENT: usize = 64;
/// Longest body that a 32-bit length can tell.
const MAX_BODY: i64 = i32::MAX as i64 - 2;
/// Flags and key of a meta command that has too many.
const MAX_META_TOKENS: usize = 19;
/// Bytes that complete a body, at most.
const MAX_PADDING: usize = 4 << 20;
/// Prefix of keys where they are isolated.
const PREFIX: &[u8] = b"@py3//";

/// Base64 as memcached decodes keys.
const LENIENT_BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Commands that clients of a proxy may not use.
const REFUSED: [&[u8]; 12] = [
    b"cache_memlimit",
    b"debugtime",
    b"extstore",
    b"flush_all",
    b"lru",
    b"lru_crawler",
    b"misbehave",
    b"refresh_certs",
    b"shutdown",
    b"slabs",
    b"verbosity",
    b"watch",
];

// Where requests end ----------------------------------------------------------

/// Fate of a part of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    /// Both take it alike.
    Same(Range<usize>),
    /// Picklegate refuses it as a whole; said unless `silent`.
    Refused { silent: bool },
    /// Answered by an error, and the connection is closed.
    Closes { silent: bool },
}

/// Cuts a stream where memcached 1.6.40 ends requests, up to a store whose length
/// is not certain; what follows a close is left out.
fn plan(stream: &[u8]) -> Vec<Piece> {
    read(stream).0
}

/// Number of bytes that the last body lacks.
fn missing(stream: &[u8]) -> usize {
    read(stream).1
}

/// Results of [`plan`] and [`missing`].
fn read(stream: &[u8]) -> (Vec<Piece>, usize) {
    let mut pieces = Vec::new();
    let mut at = 0;
    while let Some(end) = stream
        .get(at..)
        .unwrap_or_default()
        .iter()
        .position(|&b| b == b'\n')
    {
        let line = &stream[at..at + end];
        let line = match line.strip_suffix(b"\r") {
            Some(text) if line.len() > 2 => text,
            _ => line,
        };
        let stores = is_like_store(line);
        let has_nul = line.contains(&0);
        // To memcached a NUL ends the line's text.
        let line = line.split(|&b| b == 0).next().unwrap_or_default();
        let words: Vec<&[u8]> = line
            .split(|&b| b == b' ')
            .filter(|w| !w.is_empty())
            .collect();
        let after = at + end + 1;
        let next = |body: i64| after + usize::try_from(body).expect("no less");
        let (verb, arguments) = words
            .split_first()
            .map_or((&b""[..], &[][..]), |(v, a)| (*v, a));
        let reads = matches!(verb, b"get" | b"gets" | b"gat" | b"gats" | b"bget");
        let hushes = !reads && !matches!(verb, [b'm', _]);
        let silent = hushes && words.len() > 1 && words.last() == Some(&&b"noreply"[..]);
        let is_store = matches!(
            verb,
            b"set" | b"add" | b"replace" | b"append" | b"prepend" | b"cas" | b"ms"
        );
        let numbers = if verb == b"cas" { 5 } else { 4 };
        let piece = match (verb, arguments.len()) {
            _ if stores && (has_nul || !is_store) => None,
            (b"quit", _) => {
                pieces.push(Piece::Same(at..after));
                return (pieces, 0);
            }
            (b"ms", 2..)
                if arguments[2..]
                    .iter()
                    .any(|flag| b"0123456789+-".contains(&flag[0])) =>
            {
                None
            }
            (b"cas", 5) if silent => None,
            _ if is_store
                && verb != b"ms"
                && arguments.len() != numbers
                && !(arguments.len() == numbers + 1 && silent) =>
            {
                None
            }
            (b"ms", 0 | 1) => None,
            _ if is_store && verb != b"ms" => {
                let fits = arguments[0].len() <= MAX_KEY
                    && unsigned(arguments[1]).is_some_and(|flags| u32::try_from(flags).is_ok())
                    && signed(arguments[2]).is_some()
                    && (verb != b"cas" || unsigned(arguments[4]).is_some());
                body(arguments[3]).map(|len| (next(len + 2), fits))
            }
            (b"ms", 2..) => {
                let fits = arguments[0].len() <= MAX_KEY
                    && arguments.len() < MAX_META_TOKENS
                    && arguments[1..].iter().all(is_passed_on);
                body(arguments[1]).map(|len| (next(len + 2), fits))
            }
            (b"get" | b"gets" | b"gat" | b"gats", _) => {
                Some((after, arguments.iter().all(|key| key.len() <= MAX_KEY)))
            }
            (b"incr" | b"decr" | b"touch", 2 | 3) => {
                let number = arguments[1].len() <= MAX_ARGUMENT;
                Some((after, number))
            }
            (b"mg" | b"md" | b"ma", 2..) => Some((after, arguments[1..].iter().all(is_passed_on))),
            // A key that would break the reply.
            (b"me", 2..) if arguments[1] == b"b" => {
                let key = LENIENT_BASE64.decode(arguments[0]).unwrap_or_default();
                Some((after, !key.contains(&b'\n')))
            }
            // Misused, it means nothing to anybody.
            (b"flush_all", 3..) => Some((after, true)),
            // A name for get that nobody has used for ten years.
            (b"bget", 1..) => Some((after, false)),
            _ => Some((after, !REFUSED.contains(&verb))),
        };
        let Some((next, fits)) = piece else {
            // Where the words are too few or too many, nobody looks at the last.
            let silent = silent
                && !has_nul
                && is_store
                && arguments.len() >= 4
                && (numbers..=numbers + 1).contains(&arguments.len());
            pieces.push(Piece::Closes { silent });
            return (pieces, 0);
        };
        // A body that does not end where it was said to end.
        let ends = is_store.then(|| stream.get(next - 2..next)).flatten();
        if ends.is_some_and(|end| end != b"\r\n") {
            // memcached 1.6.40 says so of a body, and nothing of one that it drops.
            if !fits {
                pieces.push(Piece::Refused { silent });
            }
            pieces.push(Piece::Closes {
                silent: !fits || silent,
            });
            return (pieces, 0);
        }
        pieces.push(if fits {
            Piece::Same(at..next.min(stream.len()))
        } else {
            Piece::Refused { silent }
        });
        at = next;
    }
    if at < stream.len() {
        pieces.push(Piece::Same(at..stream.len()));
    }
    (pieces, at.saturating_sub(stream.len()))
}

/// Whether a flag of a meta command is as long as one that means anything.
fn is_passed_on(flag: &&[u8]) -> bool {
    flag.len() <= MAX_ARGUMENT || matches!(flag[0], b'P' | b'L')
}

/// Whether the first word of a line names a command that stores, whatever stands
/// around it.
fn is_like_store(line: &[u8]) -> bool {
    let letters = |b: &u8| b.is_ascii_alphabetic();
    let word = line.split(|b| !letters(b)).find(|word| !word.is_empty());
    let word = word.unwrap_or_default().to_ascii_lowercase();
    [
        &b"set"[..],
        b"add",
        b"replace",
        b"append",
        b"prepend",
        b"cas",
        b"ms",
    ]
    .contains(&&word[..])
}

/// The length of a body, if it certainly tells one.
fn body(word: &[u8]) -> Option<i64> {
    let word = std::str::from_utf8(word).ok()?;
    let is_plain = word.bytes().all(|b| b.is_ascii_digit());
    let len = word.parse().ok().filter(|_| is_plain)?;
    (0..=MAX_BODY).contains(&len).then_some(len)
}

/// A number as `strtoll` reads it, where memcached believes it.
fn signed(word: &[u8]) -> Option<i64> {
    number(word)?.parse().ok()
}

/// A number as `strtoull` reads it, where memcached believes it. Digits behind a minus
/// sign are taken from 2^64, but must not look negative then.
fn unsigned(word: &[u8]) -> Option<u64> {
    let text = number(word)?;
    match text.strip_prefix('-') {
        Some(digits) => {
            let number = digits.parse::<u64>().ok()?.wrapping_neg();
            (number >> 63 == 0).then_some(number)
        }
        None => text.trim_start_matches('+').parse().ok(),
    }
}

/// White space, a sign, digits, and then nothing or white space.
fn number(word: &[u8]) -> Option<&str> {
    let is_space = |b: &u8| b.is_ascii_whitespace() || *b == 0x0b;
    let start = word.iter().position(|b| !is_space(b))?;
    let word = &word[start..];
    let end = word.iter().position(is_space).unwrap_or(word.len());
    std::str::from_utf8(&word[..end]).ok()
}

// Broken requests -------------------------------------------------------------

const KEYS: [&str; 11] = [
    "k", "k", "n", "a", "canary", "canary", "~k", "@py3//k", "k\tx", "<250>", "<251>",
];
const SPELLED: [&str; 5] = ["aw==", "Y2FuYXJ5", "YSBi", "Zg", "!!!!"];
const LENGTHS: [&str; 27] = [
    "0",
    "1",
    "2",
    "3",
    "5",
    "7",
    "20",
    "+3",
    "003",
    "3\t",
    "\t3",
    "-0",
    "-1",
    "-3",
    "3x",
    "0x3",
    "3.0",
    "x",
    "2000000",
    "2147483645",
    "2147483646",
    "2147483647",
    "2147483648",
    "4294967296",
    "4294967299",
    "18446744073709551619",
    "99999999999999999999",
];
const FLAGS: [&str; 8] = ["0", "0", "0", "1", "4294967295", "4294967296", "-1", "x"];
const TIMES: [&str; 6] = ["0", "0", "0", "5000", "4294967296", "x"];
const TAILS: [&str; 7] = [
    "",
    "",
    "",
    " noreply",
    " noreply ",
    " noreply x",
    " Noreply",
];
const ENDS: [&str; 9] = [
    "\r\n", "\r\n", "\r\n", "\r\n", "\n", " \r\n", "\r\r\n", "\0\r\n", "\0x\n",
];
const BODY_ENDS: [&str; 6] = ["\r\n", "\r\n", "\r\n", "\n", "", "x\r\n"];
/// Values, most of which would do harm as commands.
const BODIES: [&str; 16] = [
    "bad",
    "",
    "x",
    "\r\n",
    "a\r\nb",
    "END",
    "STORED\r\nVALUE canary 0 3",
    "mn",
    "get canary",
    "delete canary",
    "set canary 0 0 3\r\nbad",
    "set canary 0 0 3 noreply\r\nbad\r\nmn",
    "ms canary 3 q\r\nbad",
    "md canary q",
    "append canary 0 0 3\r\nbad",
    "xx\r\nset canary 0 0 3\r\nbad",
];
const META_FLAGS: [&str; 16] = [
    "v", "k", "q", "f", "t", "c", "s", "b", "Ox1", "I", "T5000", "F1", "ME", "MA", "S3", "Z",
];
/// Client keys that make a line of more or fewer words.
const SPACED: [&str; 12] = [
    "",
    "k k",
    "my canary",
    "k 0",
    "0 0 0",
    "k 2 3",
    "k 0 0 3 ",
    "k\0",
    "k\0 x",
    "noreply",
    "k noreply",
    "k 5 T1",
];
const LINES: [&str; 30] = [
    "",
    "x",
    "\r",
    " ",
    "mn",
    "mn x",
    "version",
    "set",
    "set k",
    "set k 0 0",
    "set k 0 0 3 4 5 6",
    "ms",
    "ms k",
    "add",
    "cas k 0 0 3",
    "cas k 0 0 3 noreply",
    "prepend k 0 0 3 3",
    "SET k 0 0 3",
    "set\tk 0 0 3",
    "\0set k 0 0 3",
    "> append k 0 0 3",
    "get",
    "gat 0",
    "delete",
    "flush_all",
    "flush_all noreply",
    "verbosity 1",
    "GET k",
    "\u{80}",
    "delete k 0",
];
/// Bytes that are put in place of others.
const BYTES: &[u8] = b" \r\n\0\t0139-+kbqvmgs\x80\xff";

struct Generator(Rng);

impl Generator {
    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.0.usize(..from.len())]
    }

    /// Requests, each for itself.
    fn stream(&mut self) -> Vec<Vec<u8>> {
        (0..self.0.usize(1..8)).map(|_| self.request()).collect()
    }

    fn key(&mut self) -> String {
        if self.0.u8(..24) == 0 {
            return self.pick(&SPACED).to_owned();
        }
        match self.pick(&KEYS) {
            "<250>" => "K".repeat(MAX_KEY),
            "<251>" => "K".repeat(MAX_KEY + 1),
            key => key.to_owned(),
        }
    }

    /// Mostly what a value takes.
    fn length(&mut self, value: &str) -> String {
        match self.0.u8(..8) {
            0..5 => value.len().to_string(),
            5 => (value.len() + self.0.usize(..4))
                .saturating_sub(2)
                .to_string(),
            _ => self.pick(&LENGTHS).to_owned(),
        }
    }

    fn request(&mut self) -> Vec<u8> {
        let key = self.key();
        let value = self.pick(&BODIES);
        let length = self.length(value);
        let body = format!("{value}{}", self.pick(&BODY_ENDS));
        let (mut line, body) = match self.0.u8(..16) {
            0..5 => {
                let verb = self.pick(&["set", "set", "add", "replace", "append", "prepend", "cas"]);
                let (flags, time) = (self.pick(&FLAGS), self.pick(&TIMES));
                let id = if verb == "cas" {
                    self.pick(&[" 1", " 1", " x", ""])
                } else {
                    ""
                };
                let tail = self.pick(&TAILS);
                (
                    format!("{verb} {key} {flags} {time} {length}{id}{tail}"),
                    body,
                )
            }
            5..8 => (
                format!("ms {} {length}{}", self.meta_key(&key), self.meta_flags(4)),
                body,
            ),
            8 | 9 => {
                let verb = self.pick(&["mg", "md", "ma", "me"]);
                // What q hides of a creation differs: see `known`.
                let most = if verb == "me" { 0 } else { 4 };
                (
                    format!("{verb} {}{}", self.meta_key(&key), self.meta_flags(most)),
                    String::new(),
                )
            }
            10 | 11 => {
                let verb = self.pick(&["get", "gets", "gat 0", "gats 5000", "gat x"]);
                let second = self.key();
                (format!("{verb} {key} {second}"), String::new())
            }
            12 | 13 => {
                let verb = self.pick(&[
                    "delete k",
                    "delete canary",
                    "incr n 1",
                    "touch k 0",
                    "touch k x",
                    "incr n x",
                ]);
                (format!("{verb}{}", self.pick(&TAILS)), String::new())
            }
            14 => (
                format!(
                    "incr n {}{}",
                    "0".repeat(self.0.usize(60..70)),
                    self.pick(&["1", "1 noreply"])
                ),
                String::new(),
            ),
            _ => (self.pick(&LINES).to_owned(), String::new()),
        };
        if self.0.u8(..12) == 0 {
            line = line.replacen(' ', self.pick(&["  ", "\t", "", " \0", "\n", "\r\n"]), 1);
        }
        let mut request = format!("{line}{}{body}", self.pick(&ENDS)).into_bytes();
        if self.0.u8(..4) == 0 {
            (0..self.0.usize(1..4)).for_each(|_| self.mutate(&mut request));
        }
        request
    }

    fn meta_key(&mut self, key: &str) -> String {
        if self.0.u8(..4) == 0 {
            self.pick(&SPELLED).to_owned() + " b"
        } else {
            key.to_owned()
        }
    }

    fn meta_flags(&mut self, most: usize) -> String {
        let count = if most > 0 && self.0.u8(..24) == 0 {
            20
        } else {
            self.0.usize(..=most)
        };
        let flags = (0..count).flat_map(|_| [" ", self.pick(&META_FLAGS)]);
        flags.collect()
    }

    fn mutate(&mut self, bytes: &mut Vec<u8>) {
        let at = self.0.usize(..=bytes.len());
        let byte = self.pick(BYTES);
        match (bytes.get_mut(at), self.0.u8(..4)) {
            (Some(there), 0 | 1) => *there = byte,
            (Some(_), 2) => drop(bytes.remove(at)),
            _ => bytes.insert(at, byte),
        }
    }
}

// Both servers ----------------------------------------------------------------

/// Two memcacheds, one of them behind picklegate.
struct Arena {
    direct: Memcached,
    _upstream: Memcached,
    listen: String,
    _gate: Picklegate,
    /// Whether keys are isolated.
    isolates: bool,
    /// To each memcached itself.
    controls: [TcpStream; 2],
}

/// Items before each stream, by client key.
const STORED: [(&str, &str); 3] = [("canary", "alive"), ("k", "1"), ("n", "55")];

impl Arena {
    fn new(isolates: bool) -> Self {
        let (direct, upstream) = (Memcached::start(), Memcached::start());
        let listen = free_addr();
        let rule = if isolates {
            "mode = \"isolate\"\ncoherence = \"deletes\""
        } else {
            "mode = \"shared\""
        };
        // A busy machine is no difference.
        let rule = format!("{rule}\n[limits]\nrequest_timeout_ms = 9000\n");
        let gate = Picklegate::with_config(config(&listen, &upstream.addr(), &rule));
        let controls = [direct.connect(), upstream.connect()];
        Self {
            direct,
            _upstream: upstream,
            listen,
            _gate: gate,
            isolates,
            controls,
        }
    }

    /// Says what is wrong, if anything is.
    fn try_stream(&self, stream: &[u8], cut: usize) -> Result<(), String> {
        self.prepare();
        let pieces = plan(stream);
        let direct = converse(&self.direct.addr(), &[&for_memcached(stream, &pieces)]);
        let (head, tail) = stream.split_at(cut.min(stream.len()));
        let proxied = converse(&self.listen, &[head, tail]);
        let mut found = compare(&pieces, missing(stream) > 0, &direct, &proxied);
        let [expected, kept] = [0, 1].map(|server| self.stored(server));
        if expected != kept {
            let show = |stored: &BTreeSet<Vec<u8>>| {
                let keys: Vec<_> = stored
                    .iter()
                    .map(|item| item.escape_ascii().to_string())
                    .collect();
                keys.join("\n    ")
            };
            write!(
                found,
                "afterwards memcached has\n    {}\n  and the one behind picklegate\n    {}\n",
                show(&expected),
                show(&kept)
            )
            .expect("memory takes all");
        }
        if found.is_empty() { Ok(()) } else { Err(found) }
    }

    /// Empties both and stores what is there at first.
    fn prepare(&self) {
        for (server, control) in self.controls.iter().enumerate() {
            let mut requests = Vec::new();
            for (key, _) in items(control) {
                requests.extend([&b"md "[..], &spell(&key), b" q\r\n"].concat());
            }
            let behind = server == 1 && self.isolates;
            for (key, value) in STORED {
                let mut store = |prefix: &[u8], value: &str| {
                    requests.extend([&b"set "[..], prefix, key.as_bytes()].concat());
                    requests.extend(format!(" 0 0 {} noreply\r\n{value}\r\n", value.len()).bytes());
                };
                store(if behind { PREFIX } else { b"" }, value);
                if behind {
                    store(b"@py2//", "of py2");
                    store(b"", "of nobody");
                }
            }
            roundtrip(control, &[&requests, FENCE].concat(), FENCE_REPLY);
        }
    }

    /// Items of a server, by client key. Of keys that are not the client's own, only
    /// values that it cannot have come by rightly.
    fn stored(&self, server: usize) -> BTreeSet<Vec<u8>> {
        let control = &self.controls[server];
        let mut stored = BTreeSet::new();
        for (key, len) in items(control) {
            let own = match key.strip_prefix(PREFIX) {
                Some(own) if server == 1 && self.isolates => own,
                // What reads as a namespace's is escaped.
                None if server == 1 && !self.isolates => key.strip_prefix(b"@//").unwrap_or(&key),
                _ if server == 1 && self.isolates => {
                    // Deletes reach it; nothing else does.
                    let untouched = [&key[..], b" = ", b"of "].concat();
                    let value = value_of(control, &key);
                    if !value.starts_with(&untouched) {
                        stored.insert(value);
                    }
                    continue;
                }
                _ => &key,
            };
            // Replaced by a digest where keys are isolated.
            if self.isolates && (own.starts_with(b"~") || own.len() > 180) {
                continue;
            }
            let mut item = own.to_vec();
            if STORED.iter().any(|(name, _)| name.as_bytes() == own) {
                item = value_of(control, &key);
                if own.len() < key.len() {
                    item.drain(..PREFIX.len());
                }
            } else {
                write!(item, " of {len}").expect("memory takes all");
            }
            stored.insert(item);
        }
        stored
    }
}

/// All keys that a memcached has, and the lengths of their values.
fn items(control: &TcpStream) -> Vec<(Vec<u8>, usize)> {
    let mut requests: Vec<u8> = (1..=20)
        .flat_map(|class| format!("stats cachedump {class} 0\r\n").into_bytes())
        .collect();
    requests.extend(FENCE);
    let reply = roundtrip(control, &requests, FENCE_REPLY);
    let mut items: Vec<(Vec<u8>, usize)> = Vec::new();
    // "ITEM <key> [<length> b; <time> s]"
    for item in reply
        .split(|&b| b == b'\n')
        .filter_map(|line| line.strip_prefix(b"ITEM "))
    {
        let Some(end) = item.windows(2).rposition(|two| two == b" [") else {
            continue;
        };
        let digits = item[end + 2..]
            .iter()
            .take_while(|b| b.is_ascii_digit())
            .count();
        let len = std::str::from_utf8(&item[end + 2..end + 2 + digits]).ok();
        items.push((
            item[..end].to_vec(),
            len.and_then(|len| len.parse().ok()).unwrap_or_default(),
        ));
    }
    items
}

/// A key in a meta command: base64 cannot spell the longest.
fn spell(key: &[u8]) -> Vec<u8> {
    if key.iter().any(|b| b" \n\0".contains(b)) {
        (BASE64.encode(key) + " b").into()
    } else {
        key.to_vec()
    }
}

/// "<key> = <value>"
fn value_of(control: &TcpStream, key: &[u8]) -> Vec<u8> {
    let request = [&b"mg "[..], &spell(key), b" v\r\n", FENCE].concat();
    let reply = roundtrip(control, &request, FENCE_REPLY);
    let value = reply.splitn(2, |&b| b == b'\n').nth(1).unwrap_or_default();
    [
        key,
        b" = ",
        value.strip_suffix(b"\r\nMN\r\n").unwrap_or_default(),
    ]
    .concat()
}

/// The stream without what picklegate refuses, with a fence in place of each.
fn for_memcached(stream: &[u8], pieces: &[Piece]) -> Vec<u8> {
    let mut sent = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Same(range) => sent.extend(&stream[range.clone()]),
            Piece::Refused { .. } => sent.extend(b"mg fence Orefused\r\n"),
            Piece::Closes { .. } => sent.extend(b"mg fence Ocloses\r\n"),
        }
    }
    sent
}

/// All that a server answers until it closes.
fn converse(addr: &str, writes: &[&[u8]]) -> Vec<Reply> {
    let received = support::converse(addr, writes).unwrap_or_else(|cut| {
        let silence = format!("SILENT {:?}\r\n", cut.error);
        [cut.received, silence.into_bytes()].concat()
    });
    let mut ids = CasIds::default();
    ids.looks = true;
    parse(&received, &mut ids)
}

/// Whether two replies say the same. Where a request has two mistakes, either may be
/// told; and where keys are isolated a delete is told of any copy, of which some may
/// be there when the own one has expired.
fn agree(direct: &Reply, proxied: &Reply) -> bool {
    let both = |a: &[u8], b: &[u8]| direct.line.starts_with(a) && proxied.line.starts_with(b);
    let is_mistake = |reply: &Reply| {
        let mistakes = [&b"CLIENT_ERROR"[..], b"SERVER_ERROR object too large"];
        mistakes.iter().any(|text| reply.line.starts_with(text))
    };
    direct == proxied
        || (is_mistake(direct) && is_mistake(proxied))
        || both(b"NOT_FOUND", b"DELETED")
        || both(b"NF", b"HD")
}

/// Says where the replies differ, if they do.
fn compare(pieces: &[Piece], is_endless: bool, direct: &[Reply], proxied: &[Reply]) -> String {
    let mut silences = pieces.iter().filter_map(|piece| match piece {
        Piece::Same(_) => None,
        Piece::Refused { silent } | Piece::Closes { silent } => Some(*silent),
    });
    let mut found = proxied.iter();
    let mut text = String::new();
    for (number, expected) in direct.iter().enumerate() {
        let is_refused = [&b"EN Orefused"[..], b"EN Ocloses"].contains(&&expected.line[..]);
        if is_refused && silences.next() == Some(true) {
            continue;
        }
        let reply = found.next();
        let agrees = match reply {
            Some(reply) if is_refused => reply.line.windows(5).any(|word| word == b"ERROR"),
            Some(reply) => agree(expected, reply),
            None => false,
        };
        if !agrees {
            let said = reply.map_or("nothing".to_owned(), show);
            writeln!(
                text,
                "  reply {number}: memcached {}, picklegate {said}",
                show(expected)
            )
            .expect("memory takes all");
            return text;
        }
    }
    // Memcached drops what it still owes when the last body never ends.
    if is_endless {
        return text;
    }
    if let Some(reply) = found.next() {
        writeln!(text, "  picklegate answers once more: {}", show(reply))
            .expect("memory takes all");
    }
    text
}

/// Tries random streams; shows the smallest one that fails, if any.
fn check(isolates: bool) {
    let from_env = |name| {
        std::env::var(name)
            .ok()
            .map(|text| text.parse().expect("a number"))
    };
    let seed = from_env("PICKLEGATE_SEED").unwrap_or_else(|| fastrand::u64(..));
    let streams =
        from_env("PICKLEGATE_DIFFERENTIAL_STREAMS").map_or(STREAMS, |streams| streams as usize);
    let arena = Arena::new(isolates);
    let mut generator = Generator(Rng::with_seed(seed));
    let mut refused = 0;
    for number in 0..streams {
        let mut requests = generator.stream();
        let cut = generator.0.usize(..400);
        let Err(mut found) = arena.try_stream(&whole(&requests), cut) else {
            let pieces = plan(&whole(&requests));
            refused += pieces
                .iter()
                .filter(|piece| !matches!(piece, Piece::Same(_)))
                .count();
            continue;
        };
        let mut at = 0;
        while at < requests.len() {
            let mut fewer = requests.clone();
            fewer.remove(at);
            match arena.try_stream(&whole(&fewer), cut) {
                Err(again) => (requests, found) = (fewer, again),
                Ok(()) => at += 1,
            }
        }
        let stream = whole(&requests);
        panic!(
            "PICKLEGATE_SEED={seed}, stream {number}: {}\n{found}{:?}",
            shorten(&stream, 1500),
            plan(&stream)
        );
    }
    assert!(
        refused > streams / 10,
        "only {refused} requests of {streams} streams were refused"
    );
}

/// A stream begins and ends with a request that all understand, unless it ends in
/// a body that is too long to be sent.
fn whole(requests: &[Vec<u8>]) -> Vec<u8> {
    let mut stream = [b"mn\r\n", &requests.concat()[..], b"\r\n"].concat();
    let missing = missing(&stream);
    if missing <= MAX_PADDING {
        // Whatever it lacks, it ends as a body does.
        let end = &b"\r\n"[2 - missing.min(2)..];
        stream.resize(stream.len() + missing - end.len(), b'x');
        stream.extend(end);
    }
    stream.extend(b"\r\nmg fence Oend\r\n");
    stream
}

#[test]
fn requests_end_where_memcached_ends_them() {
    check(false);
}

#[test]
fn requests_of_an_isolated_runtime_end_where_memcached_ends_them() {
    check(true);
}

/// Every storing command in every shape that is not its own: what a client makes of
/// a key that it does not look at, or of a number that is none.
fn malformed(verb: &str, body: &str) -> Vec<String> {
    let len = body.len();
    let right = len.to_string();
    let is_meta = verb == "ms";
    let line = |key: &str, flags: &str, time: &str, len: &str, id: &str, tail: &str| {
        let numbers = match verb {
            "ms" => len.to_owned(),
            "cas" => format!("{flags} {time} {len} {id}"),
            _ => format!("{flags} {time} {len}"),
        };
        format!("{verb} {key} {numbers}{tail}\r\n{body}\r\n")
    };
    let mut all = Vec::new();
    let tails: &[&str] = if is_meta {
        &[
            "", " q", " T0 F1", " MA", " I C1", " b", " T0 T0", " 7", " M", " Z",
        ]
    } else {
        &["", " noreply", " noreply x", " 0", " Noreply", " x noreply"]
    };
    for tail in tails {
        let base = |key: &str| line(key, "0", "0", &right, "1", tail);
        all.extend(
            [
                "", "k", "my key", "my key 7", "k 0", "0 0 0", "k 2 3 4", "k\0", "k\0x", "k\tx",
                "noreply",
            ]
            .map(base),
        );
        all.push(base(&"K".repeat(MAX_KEY + 1)));
        for flags in ["x", "-1", "4294967296", ""] {
            all.push(line("k", flags, "0", &right, "1", tail));
        }
        for time in ["x", "1x", "99999999999999999999", ""] {
            all.push(line("k", "0", time, &right, "1", tail));
        }
        let signed = [
            format!("+{len}"),
            format!("-{len}"),
            format!("{len}\t"),
            format!("\t{len}"),
        ];
        let others = [
            format!("{len}x"),
            format!("{len}\r"),
            format!("{len}\0"),
            format!("0x{len}"),
        ];
        let wrong = [0, 1, len - 1, len + 1].map(|len| len.to_string());
        let wrapped = (u64::from(u32::MAX) + 1 + len as u64).to_string();
        let none = ["", "x", "99999999999999999999"].map(str::to_owned);
        for len in signed
            .iter()
            .chain(&others)
            .chain(&wrong)
            .chain(&none)
            .chain([&wrapped])
        {
            all.push(line("k", "0", "0", len, "1", tail));
        }
        for id in ["", "x", "-1", "99999999999999999999"] {
            all.push(line("k", "0", "0", &right, id, tail));
        }
    }
    for cut in ["", " k", " k 0", " k 0 0"] {
        all.push(format!("{verb}{cut}\r\n{body}\r\n"));
    }
    let whole = line("k", "0", "0", &right, "1", "");
    for word in [
        verb.to_uppercase(),
        format!("\0{verb}"),
        format!("> {verb}"),
        format!("\r{verb}"),
    ] {
        all.push(whole.replacen(verb, &word, 1));
    }
    all.push(whole.replacen(' ', "\t", 1));
    all
}

/// Not even what is behind a close.
#[test]
fn no_malformed_store_of_any_command_runs_its_value() {
    let arena = Arena::new(false);
    let bodies = [
        "delete canary",
        "xx\r\nmd canary q",
        "set canary 0 0 3\r\nbad",
    ];
    let mut refused = 0;
    for verb in ["set", "add", "replace", "append", "prepend", "cas", "ms"] {
        let shapes = bodies.map(|body| malformed(verb, body));
        for nth in 0..shapes[0].len() {
            let request = shapes[nth % bodies.len()][nth].clone().into_bytes();
            let stream = whole(&[request.clone(), b"delete canary\r\n".to_vec()]);
            let pieces = plan(&stream);
            let found = arena.try_stream(&stream, nth % 40);
            assert_eq!(found, Ok(()), "{}\n{pieces:?}", request.escape_ascii());
            let closes = pieces
                .iter()
                .any(|piece| matches!(piece, Piece::Closes { .. }));
            refused += u32::from(closes);
            let canary = value_of(&arena.controls[1], b"canary");
            // What is behind a request that is none is carried out unless it closes.
            let alive = canary == b"canary = alive";
            assert_eq!(alive, closes, "{}\n{pieces:?}", request.escape_ascii());
        }
    }
    println!("{refused} shapes close the connection");
    assert!(refused > 300, "{refused}");
}
