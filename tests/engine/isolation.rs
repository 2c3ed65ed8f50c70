//! In isolate mode nothing that one runtime asks for reads or changes what
//! another one stored, except deletes: neither requests of every kind about keys
//! that look like another's, nor any other bytes.

use std::sync::Arc;

use picklegate::policy::{Identify, Source};
use picklegate::protocol::key::KeyBuf;
use picklegate::protocol::request::{Head, Line, Verb, find_line, parse_head};
use proptest::prelude::*;

use crate::support::attacks::{
    Attacker, DELETES, Fate, REQUESTS, SECRET, Secret, keys, raid, spell,
};
use crate::support::rig::{Rig, config, text};

const ISOLATE: &str = "mode = \"isolate\"\ncoherence = \"deletes\"";

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
            let value = format!("{SECRET}{n}");
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

/// Secrets of other spaces, and all that the attacker sent upstream.
struct Raid {
    rig: Rig,
    attacker: Attacker,
    client: u32,
    secrets: Vec<Secret>,
    upstream: Vec<u8>,
}

impl Raid {
    /// Every space holds a secret under every key.
    fn new(rule: &str, attacker: Attacker) -> Self {
        Self::before(Rig::new(&config(1, rule), 2), attacker)
    }

    /// One whose listener hears what its clients say as well.
    fn hearing(rule: &str) -> Self {
        let mut rig = Rig::new(&config(1, rule), 2);
        let mut settings = rig.engine.settings().clone();
        let known = Arc::make_mut(&mut settings.listeners[0].1);
        if let Identify::Each { sources, .. } = &mut known.identify {
            sources.insert(0, Source::Hello);
        }
        rig.engine.hold();
        rig.engine.adopt(settings);
        Self::before(rig, Attacker::Two)
    }

    fn before(mut rig: Rig, attacker: Attacker) -> Self {
        let client = match attacker {
            Attacker::Two => rig.open("py2"),
            Attacker::Untagged => rig.open_as(2, None),
        };
        let secrets = Secret::all(&rig.config.snapshot.codec, attacker);
        for secret in &secrets {
            let reply = rig.ask_cache(0, secret.plant().as_bytes());
            assert_eq!(text(&reply), "HD\\r\\n");
        }
        Self {
            rig,
            attacker,
            client,
            secrets,
            upstream: Vec::new(),
        }
    }

    /// Everything that memcached tells about the secrets.
    fn shadow(&mut self) -> Vec<Vec<u8>> {
        let Self { rig, secrets, .. } = self;
        let looks = secrets.iter().map(Secret::look);
        looks
            .map(|look| rig.ask_cache(0, look.as_bytes()))
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

    /// Checks that requests upstream name keys of other spaces only to delete them.
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

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 1000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_bytes_read_or_change_what_other_spaces_hold(
        bytes in raid(),
        attacker in proptest::sample::select(&Attacker::ALL[..]),
        deletes in any::<bool>(),
    ) {
        let rule = if deletes { ISOLATE } else { "mode = \"isolate\"\ncoherence = \"none\"" };
        raid_in_vain(Raid::new(rule, attacker), &bytes, deletes)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_claim_of_a_known_client_reads_or_changes_what_others_hold(
        bytes in claims(),
        deletes in any::<bool>(),
    ) {
        let rule = if deletes { ISOLATE } else { "mode = \"isolate\"\ncoherence = \"none\"" };
        raid_in_vain(Raid::hearing(rule), &bytes, deletes)?;
    }
}

/// Sends a raid, which shows its client nothing and changes nothing of what other spaces
/// hold, but for deletes where these reach every copy.
fn raid_in_vain(mut raid: Raid, bytes: &[u8], deletes: bool) -> Result<(), TestCaseError> {
    let before = raid.shadow();
    raid.send(bytes);
    raid.check_upstream();
    let received = text(raid.rig.received(raid.client));
    prop_assert!(!received.contains(SECRET), "{received}");
    for (before, after) in before.iter().zip(raid.shadow()) {
        let fate = Fate::of(before, &after);
        prop_assert!(
            fate == Fate::Kept || deletes && fate == Fate::Deleted,
            "{} became {}",
            text(before),
            text(&after)
        );
    }
    Ok(())
}

/// Python 2 says that it is Python 3, on the connection and in requests, between
/// others of all kinds.
fn claims() -> impl Strategy<Value = Vec<u8>> {
    const HELLOS: &[&str] = &[
        "hello py3\r\n",
        "hello python/3.11 django/4.2\r\n",
        "hello django/4.2\r\n",
        "hello ruby/3\r\n",
        "get @hello/py3\r\n",
        "mg @hello/python/3.11,django/4.2 v\r\n",
    ];
    const FLAGS: &[&str] = &[
        " Ppy3",
        " Ppython/3.11,django/4.2",
        " Pruby/3",
        " Ppy2 Ppy3",
    ];
    let templates = REQUESTS.iter().chain(DELETES);
    let templates: Vec<&str> = templates.copied().filter(|t| t.starts_with('m')).collect();
    let flagged = (
        proptest::sample::select(templates),
        proptest::sample::select(FLAGS),
        proptest::sample::select(keys()),
        any::<bool>(),
    );
    let flagged = flagged.prop_map(|(template, flag, key, base64)| {
        let (head, body) = template.split_once("\r\n").unwrap_or((template, ""));
        let end = if body.is_empty() { "" } else { "\r\n" };
        spell(&format!("{head}{flag}{end}{body}"), &key, base64)
    });
    let hello = proptest::sample::select(HELLOS).prop_map(|hello| hello.as_bytes().to_vec());
    let piece = prop_oneof![3 => flagged, 1 => hello, 1 => raid()];
    proptest::collection::vec(piece, 1..12).prop_map(|pieces| pieces.concat())
}
