//! Reloads that give other numbers to whatever has one, with requests waiting:
//! namespaces, listeners and servers come, go, return and change places. Knows what
//! each request that reaches a cache has to be by names alone: whose it is under the
//! settings of that moment, in whose namespace, on which server.

use std::fmt::Write as _;

use fastrand::Rng;
use picklegate::config::Config;
use picklegate::engine::Settings;
use picklegate::policy::{RuntimeTag, Source, Tag, Untagged};

use super::reference::Counts;
use crate::support::rig::{Rig, config_of, listener, settings, text};

const CONNECTIONS: usize = 2;
const CLIENTS: usize = 10;
/// Configurations of a life, which follow each other by chance.
const CONFIGS: usize = 10;
const RUNTIMES: [&str; 3] = ["python/2.7", "python/3.6", "python/3.11"];
/// Ranges overlap: which namespace a runtime has is told by their order, too.
const NAMESPACES: [(&str, &str); 5] = [
    ("two", "python <3"),
    ("three", "python >=3"),
    ("new", "python >=3.10"),
    ("any", "python >=2"),
    ("pypy", "pypy >=7"),
];
const SERVERS: usize = 3;
/// A listener of each runtime, and one whose clients say it with each request.
const LISTENERS: usize = RUNTIMES.len() + 1;
const GONE: &[u8] = b"SERVER_ERROR picklegate: this listener is gone\r\n";

#[derive(Debug)]
struct Client {
    id: u32,
    listener: usize,
    /// Number among all listeners that there were.
    nth: u32,
    /// Replies owed at the reload that took the listener away, as far as known.
    owed: Option<Vec<u8>>,
}

struct World {
    rng: Rng,
    title: String,
    rig: Rig,
    configs: Vec<Config>,
    /// By listener: which of all that there were it is, if it is there.
    present: [Option<u32>; LISTENERS],
    made: u32,
    clients: Vec<Client>,
    requests: u32,
    is_held: bool,
    counts: Counts,
}

/// Some of so many, in any order; one at least.
fn some(rng: &mut Rng, of: usize) -> Vec<usize> {
    let mut all: Vec<usize> = (0..of).collect();
    rng.shuffle(&mut all);
    all.truncate(rng.usize(1..=of));
    all
}

fn any_config(rng: &mut Rng) -> Config {
    let coherence = ["deletes", "fill-aware", "strict"][rng.usize(..3)];
    let mode = [
        "isolate",
        "isolate",
        "isolate\"\nrollout = 50\n#\"",
        "guard",
    ][rng.usize(..4)];
    let mut rule = format!("mode = \"{mode}\"\ncoherence = \"{coherence}\"\n");
    for at in some(rng, NAMESPACES.len()) {
        let (name, runtimes) = NAMESPACES[at];
        // Writing to a String cannot fail.
        let _ = write!(rule, "[namespaces.{name}]\nruntimes = \"{runtimes}\"\n");
    }
    // The rig's own listener is of Python 3, and nobody is served without.
    rule += "[namespaces.rest]\nruntimes = \"python >=2\"\n";
    let servers: Vec<usize> = some(rng, SERVERS).iter().map(|server| server + 1).collect();
    config_of(&servers, &rule)
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let configs: Vec<_> = (0..CONFIGS).map(|_| any_config(&mut rng)).collect();
        let rig = Rig::new(&configs[0], CONNECTIONS);
        let mut world = Self {
            rng,
            title: format!("PICKLEGATE_SEED={seed}"),
            rig,
            configs,
            // One was there: some client can always come, in time or late.
            present: [Some(0), None, None, None],
            made: 1,
            clients: Vec::new(),
            requests: 0,
            is_held: false,
            counts: Counts::default(),
        };
        world.adopt();
        for _ in 0..CLIENTS {
            world.connect();
        }
        world
    }

    fn run(mut self, moves: u64) -> Counts {
        for _ in 0..moves {
            self.step();
        }
        self.counts
    }

    fn step(&mut self) {
        match self.rng.u16(..100) {
            0..40 => self.ask(),
            40..60 => self.send_lane(),
            60..75 => {
                let lane = self.rng.usize(..self.rig.lanes());
                self.rig.serve_some(lane, usize::MAX);
            }
            75..90 => {
                let lane = self.rng.usize(..self.rig.lanes());
                self.read(lane);
            }
            90..97 => self.flush(),
            97..98 => {
                let lane = self.rng.usize(..self.rig.lanes());
                let retry = self.rng.bool();
                self.rig.lose_lane(lane, "is lost", retry);
            }
            _ if !self.is_held => {
                self.rig.engine.hold();
                self.is_held = true;
            }
            _ => {
                self.come_to_rest();
                self.adopt();
            }
        }
    }

    // Clients --------------------------------------------------------------

    /// A client comes; perhaps one that was under way while its listener went.
    fn connect(&mut self) {
        let listener = self.rng.usize(..LISTENERS);
        let gone = (0..self.made).filter(|nth| !self.present.contains(&Some(*nth)));
        let gone: Vec<u32> = gone.collect();
        let nth = self.present[listener].or_else(|| self.rng.choice(gone));
        let Some(nth) = nth else {
            return self.connect();
        };
        let tag = RUNTIMES.get(listener).map(|runtime| Tag {
            runtime: RuntimeTag::parse(runtime).expect("a tag"),
            source: Source::Process,
        });
        let id = self.rig.open_as(nth, tag);
        let is_late = self.present[listener].is_none();
        self.counts
            .add("clients that come late", u64::from(is_late));
        self.clients.push(Client {
            id,
            listener,
            nth,
            owed: is_late.then(Vec::new),
        });
    }

    fn ask(&mut self) {
        let at = self.rng.usize(..self.clients.len());
        let Client { id, listener, .. } = self.clients[at];
        for _ in 0..self.rng.usize(1..4) {
            self.requests += 1;
            let flags = listener == RUNTIMES.len();
            let runtime = if flags {
                self.rng.usize(..RUNTIMES.len())
            } else {
                listener
            };
            let key = format!("{}.{at}.{runtime}:k", self.requests);
            let tag = RUNTIMES[runtime];
            let request = match self.rng.u8(..6) {
                0 if flags => format!("ms {key} 1 P{tag}\r\nv\r\n"),
                1 if flags => format!("md {key} P{tag}\r\n"),
                _ if flags => format!("mg {key} v P{tag}\r\n"),
                0 => format!("set {key} 0 0 1\r\nv\r\n"),
                1 => format!("delete {key}\r\n"),
                2 => format!("mg {key} v\r\n"),
                3 => format!("add {key} 0 0 1\r\nv\r\n"),
                _ => format!("get {key}\r\n"),
            };
            self.rig.send(id, request.as_bytes());
            let waits = !self.rig.engine.session(id).inbox.is_empty();
            self.counts.add("requests that wait", u64::from(waits));
        }
    }

    fn flush(&mut self) {
        self.rig.flush_clients();
        // Whoever comes late is gone at once, and is closed the next time.
        let mut at = 0;
        while at < self.clients.len() {
            let id = self.clients[at].id;
            let received = self.rig.take_received(id);
            if let Some(owed) = &mut self.clients[at].owed {
                // What was owed, then one error if something waited.
                let rest = received.strip_prefix(&owed[..]).unwrap_or(&received);
                let is_right = rest.is_empty() || rest == GONE;
                assert!(
                    is_right,
                    "{}: served after the end: {}",
                    self.title,
                    text(&received)
                );
                self.counts
                    .add("errors for what waited", u64::from(rest == GONE));
                owed.clear();
            }
            let session = self.rig.engine.session(id);
            if session.is_finished() {
                assert!(
                    self.clients[at].owed.is_some(),
                    "{}: closed unasked",
                    self.title
                );
                self.rig.engine.close(id);
                self.clients[at].id = u32::MAX;
                self.clients.swap_remove(at);
                self.connect();
                let last = self.clients.len() - 1;
                self.clients.swap(at, last);
            }
            at += 1;
        }
    }

    // Caches ---------------------------------------------------------------

    /// Sends what a lane has; each request is whose and where it has to be.
    fn send_lane(&mut self) {
        let lane = self.rng.usize(..self.rig.lanes());
        let bytes = self.rig.engine.lane(lane).lane.unwritten().to_vec();
        for line in text(&bytes).split("\\r\\n") {
            let mut words = line.split(' ');
            let verb = words.next().unwrap_or_default();
            for key in words.filter(|word| word.ends_with(":k")) {
                self.check(lane, verb, key);
            }
        }
        self.rig.send_lane(lane, usize::MAX);
    }

    fn read(&mut self, lane: usize) {
        let read = self.rig.read_some(lane, usize::MAX);
        read.expect("the caches answer what they are asked");
    }

    fn check(&mut self, lane: usize, verb: &str, physical: &str) {
        let (prefix, key) = match physical.rfind('/') {
            Some(at) => physical.split_at(at + 1),
            None => ("", physical),
        };
        let mut parts = key.trim_end_matches(":k").split('.').skip(1);
        let mut number = || -> Option<usize> { parts.next()?.parse().ok() };
        let (at, runtime) = number().zip(number()).expect("a key of this test");
        let title = format!("{}: {verb} {physical}", self.title);
        let snapshot = &self.rig.config.snapshot;
        let client = &self.clients[at];
        let is_present = self.present[client.listener] == Some(client.nth);
        assert!(is_present, "{title} of a listener that is gone");
        let server =
            self.rig.config.upstream.servers[snapshot.ring.server(key.as_bytes())].to_string();
        assert_eq!(self.rig.engine.lanes()[lane].server, server, "{title}");
        let tag = RuntimeTag::parse(RUNTIMES[runtime]).expect("a tag");
        let identity = snapshot
            .identify(&tag)
            .expect("all runtimes have a namespace");
        let own = snapshot.decide(identity, key.as_bytes()).space;
        let prefix_of = |space| text(snapshot.codec.prefix(space));
        if matches!(verb, "delete" | "md") {
            let mut known = snapshot.codec.spaces().map(prefix_of);
            assert!(known.any(|known| known == prefix), "{title}: no namespace");
        } else {
            assert_eq!(prefix, prefix_of(own), "{title}: another's namespace");
            self.counts.add("requests carried out", 1);
        }
    }

    // Reloads --------------------------------------------------------------

    fn come_to_rest(&mut self) {
        let mut rounds = 0;
        while !self.rig.engine.is_at_rest() {
            rounds += 1;
            if rounds > 1_000 {
                let busy: Vec<_> = self
                    .rig
                    .engine
                    .sessions()
                    .filter(|(_, s)| !s.is_idle())
                    .collect();
                panic!("{}: no rest: {busy:#?}", self.title);
            }
            self.send_lane();
            for lane in 0..self.rig.lanes() {
                self.rig.serve_some(lane, usize::MAX);
                self.read(lane);
            }
        }
    }

    /// Some listeners go, some return, or stay: the rest is by chance as well.
    fn adopt(&mut self) {
        for listener in &mut self.present {
            match (*listener, self.rng.u8(..3)) {
                (Some(_), 0) => *listener = None,
                (None, 0 | 1) => {
                    *listener = Some(self.made);
                    self.made += 1;
                }
                _ => {}
            }
        }
        let config = self.configs[self.rng.usize(..CONFIGS)].clone();
        let mut settings: Settings = settings(&config, CONNECTIONS);
        let mut places = some(&mut self.rng, LISTENERS);
        places.extend(
            (0..LISTENERS)
                .filter(|at| !places.contains(at))
                .collect::<Vec<_>>(),
        );
        settings.listeners.clear();
        for at in places {
            let Some(nth) = self.present[at] else {
                continue;
            };
            let (source, untagged) = match RUNTIMES.get(at) {
                Some(_) => (Source::Process, Untagged::Refuse),
                None => (Source::Hello, Untagged::Pass),
            };
            let name = format!("listener {at}");
            settings
                .listeners
                .push(listener(nth, &name, source, untagged));
        }
        for client in &mut self.clients {
            let is_gone = self.present[client.listener] != Some(client.nth);
            if is_gone && client.owed.is_none() {
                let unsent = self.rig.engine.session(client.id).unsent().to_vec();
                let received = self.rig.received(client.id);
                client.owed = Some([received, &unsent].concat());
                self.counts.add("clients whose listener goes", 1);
            }
        }
        self.is_held = false;
        self.rig.adopt(&config, settings);
        self.counts.add("reloads", 1);
        self.flush();
    }
}

/// Events that the test must contain, or it would show nothing.
const KINDS: [&str; 6] = [
    "clients that come late",
    "clients whose listener goes",
    "errors for what waited",
    "reloads",
    "requests carried out",
    "requests that wait",
];

#[test]
fn a_request_is_its_clients_in_its_namespace_on_its_server_whatever_the_numbers_are() {
    if let Ok(seed) = std::env::var("PICKLEGATE_SEED") {
        println!("{}", World::new(seed.parse().expect("a number")).run(3_000));
        return;
    }
    let mut counts = Counts::default();
    let first = fastrand::u64(..u64::MAX - 20);
    for seed in first..first + 20 {
        println!("PICKLEGATE_SEED={seed}");
        counts.merge(&World::new(seed).run(3_000));
    }
    println!("{counts}");
    for kind in KINDS {
        assert!(counts.of(kind) > 0, "no {kind}:\n{counts}");
    }
}
