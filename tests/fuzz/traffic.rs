//! The whole session: clients of several namespaces, what the servers say, lost
//! connections, reloads and time, interleaved as the input chooses. The body of a
//! fuzz target, which `tests/fuzz/main.rs` replays and tries with inputs of its own.

// The fuzzers use one of these each.
#![allow(dead_code)]

use std::collections::VecDeque;
use std::sync::OnceLock;

use memchr::memmem;
use picklegate::config::Config;
use picklegate::engine::MAX_IN_FLIGHT;
use picklegate::policy::{RuntimeTag, Source, Tag};

use crate::targets::codes;
use crate::targets::rig::{self, Rig, replies, settings, text};

/// Longer inputs find nothing new.
const MAX_INPUT: usize = 4096;
const SERVERS: usize = 2;
/// Steps of the clock, in microseconds.
const STEPS_US: [u64; 4] = [1, 1_000, 1_000_000, 60_000_000];

/// The first keeps the values of namespaces apart, and so do only those before
/// [`CROSSING`].
const RULES: [&str; 6] = [
    "mode = \"isolate\"",
    "mode = \"isolate\"\ncoherence = \"strict\"\non_unloadable_write = \"reject\"\n\
     [limits]\nmax_value_bytes = \"64B\"",
    "mode = \"isolate\"\nrollout = 50\nread_through = true\nsniff = \"full\"\n\
     on_unloadable_read = \"transcode\"",
    "mode = \"guard\"\non_unloadable_read = \"transcode\"\non_unloadable_write = \"reject\"\n\
     globals = \"deny\"\ncoherence = \"strict\"",
    "mode = \"isolate\"\nread_through = true\n[[rules]]\nprefix = \"@\"\nmode = \"shared\"\n\
     [admin_commands]\nflush_all = \"forward\"",
    "mode = \"observe\"\ncoherence = \"none\"\n[pickle]\ndetect = \"both\"",
];
const CROSSING: usize = 2;

fn config(rule: usize) -> &'static Config {
    static CONFIGS: [OnceLock<Config>; RULES.len()] = [const { OnceLock::new() }; RULES.len()];
    CONFIGS[rule].get_or_init(|| rig::config(SERVERS, RULES[rule]))
}

/// Clients that connect: a name, and its listener and tag, if any.
const CLIENTS: [(&str, u32, Option<&str>); 5] = [
    ("two", 0, Some("py2")),
    ("three", 0, Some("py3")),
    ("asked", 1, None),
    ("bare", 2, None),
    ("third", 0, Some("python/3.11 django/4.2")),
];

/// Requests: `K` is a key and `O` an opaque; `$`, `%`, `^` and `#` end with the length
/// of the value that follows, the second unheard, the third with a cas id; `?` is a
/// tag, `!` the flag with one.
const REQUESTS: [&str; 34] = [
    "get K\r\n",
    "get K K K\r\n",
    "gets K K\r\n",
    "gat 500 K K\r\n",
    "set K 1 0 $",
    "set K 0 500 $",
    "set K 9 0 $",
    "add K 1 0 $",
    "add K 0 0 $",
    "append K 0 0 $",
    "cas K 1 0 ^",
    "set K 1 0 %",
    "delete K\r\n",
    "delete K noreply\r\n",
    "incr K 1\r\n",
    "touch K 500\r\n",
    "mg K v f k O\r\n",
    "mg K v c s t O\r\n",
    "mg K N30 v k O\r\n",
    "mg K R500 v O\r\n",
    "ms K # F1 k O\r\n",
    "ms K # F0 c T500 O\r\n",
    "ms K # ME O\r\n",
    "ms K # MA I O\r\n",
    "md K k O\r\n",
    "md K I T60 O\r\n",
    "md K x O\r\n",
    "ma K N0 J7 v O\r\n",
    "me K\r\n",
    "mn\r\n",
    "version\r\n",
    "hello ?\r\n",
    "mg K v ! O\r\n",
    "stats\r\n",
];

/// Values: a pickle that all can load, ones that not all can, and others. `W` is
/// who wrote it.
const VALUES: [&[u8]; 9] = [
    b"\x80\x02U\x05<W>q\x00.",
    b"\x80\x04\x8c\x01a\x94.",
    b"\x80\x05\x96\x01\0\0\0\0\0\0\0a.",
    b"cos\nsystem\n(U\x01atR.",
    b"\x80\x02U\x02\xff\xfeq\x00.",
    b"<W>",
    b"7",
    b"END\r\nSTORED\r\nHD\r\nVALUE k 0 1",
    b"",
];

/// Bytes that a server may send for no reason.
const STRAYS: [&str; 20] = [
    "STORED\r\n",
    "END\r\n",
    "HD\r\n",
    "EN\r\n",
    "NOT_FOUND\r\n",
    "DELETED\r\n",
    "NF\r\n",
    "VALUE k 0 1\r\nx\r\n",
    "VALUE k 1 4 7\r\n",
    "VALUE @py2//k 0 1\r\nx\r\nEND\r\n",
    "VALUE @py3//k 0 1\r\nx\r\nEND\r\n",
    "VALUE @py3//two:k 0 1\r\nx\r\nEND\r\n",
    "VA 1 f0 k@py3//k\r\nx\r\n",
    "VA 4 f1",
    "HD k@py2//three:k\r\n",
    "8\r\n",
    "ERROR\r\n",
    "SERVER_ERROR busy\r\n",
    "MN\r\n",
    "\r\n",
];

struct Script<'d>(&'d [u8]);

impl Script<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (&byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(byte)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::from(self.byte().unwrap_or_default()) % end
    }

    fn choose<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    fn some(&mut self) -> Vec<u8> {
        let count = self.below(32).min(self.0.len());
        let (bytes, rest) = self.0.split_at(count);
        self.0 = rest;
        bytes.to_vec()
    }

    /// Number of bytes to move at once.
    fn piece(&mut self) -> usize {
        match self.below(8) {
            0 => 1,
            1 => 2 + self.below(30),
            2 => 2 + self.below(256),
            _ => usize::MAX,
        }
    }
}

/// A request that is to be answered once.
#[derive(Debug)]
struct Owed {
    verb: &'static str,
    opaque: Option<u32>,
}

struct Client {
    kind: usize,
    id: u32,
    /// Bytes that it did not send yet.
    outgoing: VecDeque<u8>,
    /// All that it said, sent or not.
    said: Vec<u8>,
    /// Replies owed, as long as the client sends nothing but requests; afterwards nobody
    /// here knows.
    owed: Option<Vec<Owed>>,
    is_gone: bool,
}

struct World<'d> {
    script: Script<'d>,
    rig: Rig,
    clients: Vec<Client>,
    opaques: u32,
    now_us: u64,
    /// A server said what is no reply.
    is_strayed: bool,
    /// Values may cross namespaces.
    is_crossing: bool,
}

/// Does what the bytes say.
pub(crate) fn interleaved(data: &[u8]) {
    let mut script = Script(&data[..data.len().min(MAX_INPUT)]);
    let Some(rule) = script.byte() else { return };
    let rule = usize::from(rule) % RULES.len();
    let mut world = World {
        script,
        rig: Rig::new(config(rule), 1),
        clients: Vec::new(),
        opaques: 0,
        now_us: 0,
        is_strayed: false,
        is_crossing: rule >= CROSSING,
    };
    for kind in 0..CLIENTS.len() {
        world.open(kind);
    }
    while let Some(action) = world.script.byte() {
        world.act(action);
        world.check_bounds();
    }
    world.finish();
}

impl World<'_> {
    fn open(&mut self, kind: usize) {
        let (_, listener, runtime) = CLIENTS[kind];
        let tag = runtime.map(|runtime| Tag {
            runtime: RuntimeTag::parse(runtime).expect("a tag"),
            source: Source::Process,
        });
        let id = self.rig.open_as(listener, tag);
        self.rig.take_received(id);
        self.clients.push(Client {
            kind,
            id,
            outgoing: VecDeque::new(),
            said: Vec::new(),
            owed: Some(Vec::new()),
            is_gone: false,
        });
    }

    fn act(&mut self, action: u8) {
        // The newest of each kind come last.
        let client = self.clients.len() - 1 - self.script.below(CLIENTS.len());
        let lane = self.script.below(self.rig.lanes());
        match action % 32 {
            0..=9 => self.say(client),
            10 => {
                let bytes = self.script.some();
                self.clients[client].owed = None;
                self.queue(client, &bytes);
            }
            11..=15 => {
                let most = self.script.piece();
                self.send(client, most);
            }
            16..=18 => {
                let most = self.script.piece();
                self.rig.send_lane(lane, most);
                self.rig.serve_some(lane, usize::MAX);
            }
            19..=21 => {
                let most = self.script.piece();
                if self.rig.read_some(lane, most).is_err() {
                    assert!(self.is_strayed, "a right reply is refused");
                    self.rig.lose_lane(lane, "says what is no reply", false);
                }
            }
            22 | 23 => {
                let most = self.script.piece();
                self.rig.flush_some(self.clients[client].id, most);
            }
            24 | 25 => self.settle(),
            26 => self.stray(lane),
            27 => {
                let retry = self.script.below(2) == 0;
                self.rig.lose_lane(lane, "is lost", retry);
            }
            28 => {
                let down = &mut self.rig.engine.lane(lane).down;
                *down = match down {
                    Some(_) => None,
                    None => Some("is down".to_owned()),
                };
            }
            29 => self.leave(client),
            30 => self.adopt(),
            _ => {
                self.now_us += self.script.choose(&STEPS_US);
                self.rig.engine.set_now(self.now_us);
            }
        }
    }

    fn queue(&mut self, client: usize, bytes: &[u8]) {
        let client = &mut self.clients[client];
        if !client.is_gone {
            client.outgoing.extend(bytes);
            client.said.extend_from_slice(bytes);
        }
    }

    /// A client has something to ask for; rarely not quite as it is spelled.
    fn say(&mut self, client: usize) {
        let template = self.script.choose(&REQUESTS);
        let verb = template.split([' ', '\r']).next().unwrap_or_default();
        let who = CLIENTS[self.clients[client].kind].0;
        let value = self.script.choose(&VALUES).to_vec();
        let value = match memmem::find(&value, b"W>") {
            // As long as its length says.
            Some(at) => [&value[..at], &who.as_bytes()[..3], &value[at + 1..]].concat(),
            None => value,
        };
        let mut request = Vec::new();
        let mut opaque = None;
        let mut has_body = false;
        let mut silent = template.contains("noreply");
        for byte in template.bytes() {
            match byte {
                b'K' => request.extend(self.key(who)),
                b'$' | b'%' | b'^' | b'#' => {
                    request.extend(value.len().to_string().bytes());
                    request.extend(match byte {
                        b'%' => &b" noreply\r\n"[..],
                        b'^' => b" 3\r\n",
                        b'$' => b"\r\n",
                        _ => b"",
                    });
                    silent |= byte == b'%';
                    has_body = true;
                }
                b'O' => {
                    self.opaques += 1;
                    opaque = Some(self.opaques);
                    request.extend(format!("O{}", self.opaques).bytes());
                }
                b'?' => request.extend(self.script.choose(&["py2", "py3", "?"]).bytes()),
                b'!' => request.extend(self.script.choose(&["Ppy2", "Ppy3"]).bytes()),
                byte => request.push(byte),
            }
        }
        if has_body {
            request.extend(value);
            request.extend(b"\r\n");
        }
        let mutation = self.script.below(16);
        if mutation < 3 {
            let at = self.script.below(request.len());
            let byte = self.script.byte().unwrap_or_default();
            match mutation {
                0 => request[at] = byte,
                1 => request.insert(at, byte),
                _ => drop(request.remove(at)),
            }
            self.clients[client].owed = None;
        } else if let Some(owed) = self.clients[client].owed.as_mut().filter(|_| !silent) {
            let known = REQUESTS.iter().find(|request| request.starts_with(verb));
            let verb = &known.expect("one of them")[..verb.len()];
            owed.push(Owed { verb, opaque });
        }
        self.queue(client, &request);
    }

    /// One that all ask for, or one of its own.
    fn key(&mut self, who: &str) -> Vec<u8> {
        let own = format!("{who}:k");
        let key = self
            .script
            .choose(&["k", "j", "@py2//k", "@py3//k", "~k", &own, &own]);
        key.as_bytes().to_vec()
    }

    fn send(&mut self, client: usize, most: usize) {
        let client = &mut self.clients[client];
        let count = client.outgoing.len().min(most);
        let bytes: Vec<u8> = client.outgoing.drain(..count).collect();
        if count > 0 && !client.is_gone {
            self.rig.send(client.id, &bytes);
        }
    }

    /// A server says something out of turn.
    fn stray(&mut self, lane: usize) {
        let bytes = match self.script.below(3) {
            0 => self.script.some(),
            _ => self.script.choose(&STRAYS).as_bytes().to_vec(),
        };
        self.is_strayed = true;
        if self.rig.engine.lane_input(lane, &bytes).is_err() {
            self.rig.lose_lane(lane, "says what is no reply", false);
        }
    }

    /// A client goes, with or without its last requests; another comes.
    fn leave(&mut self, at: usize) {
        let kind = self.clients[at].kind;
        if self.clients[at].is_gone {
            return;
        }
        self.rig.flush_client(self.clients[at].id);
        self.check(at);
        let client = &mut self.clients[at];
        client.is_gone = true;
        if self.script.below(2) == 0 {
            self.rig.engine.client_eof(client.id);
        } else {
            self.rig.engine.client_gone(client.id);
        }
        self.open(kind);
    }

    fn adopt(&mut self) {
        self.rig.engine.hold();
        let rule = self.script.below(RULES.len());
        self.settle();
        if !self.rig.engine.is_at_rest() {
            // A lane waits for the rest of what is no reply.
            self.lose_lanes();
        }
        assert!(self.rig.engine.is_at_rest());
        let config = config(rule);
        self.rig.adopt(config, settings(config, 1));
        self.is_crossing = true;
    }

    fn lose_lanes(&mut self) {
        for lane in 0..self.rig.lanes() {
            self.rig.lose_lane(lane, "is lost", false);
        }
        self.rig.flush_clients();
    }

    /// Moves everything until nothing moves.
    fn settle(&mut self) {
        loop {
            self.rig.flush_clients();
            let mut moved = 0;
            for lane in 0..self.rig.lanes() {
                moved += self.rig.write_lane(lane, usize::MAX);
                match self.rig.read_lane(lane, usize::MAX) {
                    Ok(read) => moved += read,
                    Err(error) => {
                        assert!(self.is_strayed, "a right reply is refused: {error}");
                        self.rig.lose_lane(lane, "says what is no reply", false);
                        moved += 1;
                    }
                }
            }
            if moved == 0 {
                return;
            }
        }
    }

    fn check_bounds(&self) {
        for client in self.clients.iter().filter(|client| !client.is_gone) {
            let session = self.rig.engine.session(client.id);
            assert!(session.inbox.len() <= client.said.len());
        }
        for upstream in self.rig.engine.lanes() {
            // A request is one for each copy of its key, at most.
            assert!(upstream.lane.in_flight() <= 8 * MAX_IN_FLIGHT * self.clients.len());
        }
    }

    /// Everything arrives; what is owed by then is that of half a request.
    fn finish(&mut self) {
        for lane in 0..self.rig.lanes() {
            self.rig.engine.lane(lane).down = None;
        }
        for client in 0..self.clients.len() {
            self.send(client, usize::MAX);
        }
        self.settle();
        if self.is_strayed {
            self.lose_lanes();
            self.settle();
        }
        assert!(self.rig.engine.is_at_rest(), "something is owed for ever");
        for client in 0..self.clients.len() {
            if !self.clients[client].is_gone {
                self.check(client);
                self.check_all_is_answered(client);
            }
        }
    }

    /// Checks that a client received whole replies, none of them to another's request.
    fn check(&self, client: usize) {
        let client = &self.clients[client];
        let who = CLIENTS[client.kind].0;
        let received = self.rig.received(client.id);
        let (all, _) = replies(received);
        let said = |word: &[u8]| memmem::find(&client.said, word).is_some();
        let mut last = 0;
        for reply in &all {
            for token in heads(reply) {
                let shown = || format!("{who} is told {}", text(reply));
                // In base64 it may say anything.
                let may = |word: &[u8]| said(word) || client.owed.is_none();
                for word in [
                    "two:", "three:", "asked:", "bare:", "third:", "@py2", "@py3",
                ] {
                    let leaked = memmem::find(token, word.as_bytes()).is_some();
                    assert!(!leaked || may(word.as_bytes()), "{}", shown());
                }
                if token.starts_with(b"O") && !self.is_strayed && client.owed.is_some() {
                    let opaque = text(&token[1..]).parse().expect("a number");
                    assert!(opaque > last, "{} after {last}", shown());
                    last = opaque;
                }
            }
        }
        if !self.is_crossing
            && !self.is_strayed
            && client.owed.is_some()
            && !said(b"P")
            && !said(b"hello")
        {
            for (name, ..) in CLIENTS {
                let marker = [b"<", &name.as_bytes()[..3]].concat();
                // "thr" and "thi" share a namespace.
                let is_own = who[..2] == name[..2] || !matches!(name, "two" | "three" | "third");
                let leaked = memmem::find(received, &marker).is_some();
                assert!(is_own || !leaked, "{who} reads {}", text(received));
            }
        }
    }

    fn check_all_is_answered(&self, client: usize) {
        let client = &self.clients[client];
        let session = self.rig.engine.session(client.id);
        assert!(session.is_idle());
        if session.is_dead() || client.owed.is_none() {
            return;
        }
        let (all, rest) = replies(self.rig.received(client.id));
        assert_eq!(text(rest), "", "half a reply");
        let owed = client.owed.as_deref().unwrap_or_default();
        let shown = || {
            format!(
                "{} got {}",
                text(&client.said),
                text(self.rig.received(client.id))
            )
        };
        assert_eq!(all.len(), owed.len(), "{}", shown());
        for (Owed { verb, opaque }, reply) in owed.iter().zip(all) {
            let error = [&b"SERVER_ERROR"[..], b"CLIENT_ERROR", b"ERROR"];
            if error.iter().any(|error| reply.starts_with(error)) {
                continue;
            }
            let fits = match codes(verb) {
                Some(_) if *verb == "me" => reply.starts_with(b"ME ") || reply.starts_with(b"EN"),
                Some(codes) => codes.iter().any(|code| reply.starts_with(code.as_bytes())),
                None => reply.starts_with(b"VALUE ") || reply.starts_with(b"END\r"),
            };
            assert!(fits, "{verb} is answered {}: {}", text(reply), shown());
            let opaque = opaque.filter(|_| !self.is_strayed);
            if let Some(opaque) = opaque {
                let own = format!("O{opaque}");
                let has_own = heads(reply).any(|token| token == own.as_bytes());
                assert!(has_own, "{own} is answered {}", text(reply));
            }
        }
    }
}

/// The words of a reply that are neither a value nor somebody's prose.
fn heads(reply: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = reply;
    let mut lines = Vec::new();
    while !rest.is_empty() {
        let end = rest
            .iter()
            .position(|&b| b == b'\n')
            .map_or(rest.len(), |at| at + 1);
        let (line, after) = rest.split_at(end);
        rest = after;
        let words: Vec<&[u8]> = line.trim_ascii_end().split(|&b| b == b' ').collect();
        let number = |word: &[u8]| text(word).parse::<usize>().unwrap_or_default();
        match words[..] {
            [b"VALUE", _, _, len, ..] | [b"VA", len, ..] => {
                rest = rest.get(number(len) + 2..).unwrap_or_default();
                lines.extend(words);
            }
            [b"ME", key, ..] => lines.push(key),
            [b"HD" | b"EN" | b"NF" | b"NS" | b"EX", ..] => lines.extend(words),
            _ => {}
        }
    }
    lines.into_iter()
}
