//! Two sidecars before the same caches, their clients, and all that may happen:
//! one move at a time, each chosen by the seed.

use fastrand::Rng;
use picklegate::engine::{Action, Apart, Inline, Invalidation, Kinds as _, Settings, Writer};
use picklegate::pickle::Verdict;
use picklegate::policy::{RuntimeTag, Source, Tag, bucket};
use picklegate::protocol::request::Verb;

use super::client::{Client, Common, Introduction, counters};
use super::reference::{Asker, Begun, Coherence, Counts, Reference};
use super::stages::{Plan, Stage, Walk};
use super::value::{PICKLED, Python, pickle, stamp_of};
use crate::support::rig::{Peer, Rig, settings, text};

const CONNECTIONS: usize = 2;
const SIDECARS: usize = 2;
/// Keys whose buckets are spread evenly.
const SPREAD_KEYS: usize = 7;
/// Moves before the first reload.
const OBSERVED_MOVES: u64 = 1_000;
/// More than a miss is remembered.
const CLOCK_STEP_US: u64 = 7_000_000;
const INTRODUCTIONS: [Introduction; 6] = [
    Introduction::Known(Python::Two),
    Introduction::Known(Python::Three),
    Introduction::Hello(Python::Two),
    Introduction::Hello(Python::Three),
    Introduction::Flag,
    Introduction::Nobody,
];

/// A connection that a lane lost, and what was on its way to the cache.
#[derive(Debug)]
struct Leftover {
    sidecar: usize,
    lane: usize,
    peer: Peer,
}

#[derive(Debug)]
pub(crate) struct World {
    rng: Rng,
    apart: Apart,
    stages: Vec<Stage>,
    walk: Walk,
    sidecars: Vec<Rig>,
    /// By sidecar: the last step in which it may have kept nothing from anybody.
    unguarded: [u64; SIDECARS],
    /// By sidecar: clients with something under way, while it is held.
    busy: [usize; SIDECARS],
    clients: Vec<Client>,
    common: Common,
    reference: Reference,
    leftovers: Vec<Leftover>,
    /// No lane is ever lost or down: whatever was begun is finished.
    is_calm: bool,
    /// By key: the store that was planted, and where.
    planted: Vec<(usize, Vec<Vec<u8>>)>,
}

/// Moves after which a calm world comes to rest, to be looked at.
const CALM_MOVES: u64 = 80;

/// Client keys: of all parts of a rollout, and those that the codec treats in a way
/// of their own. None begins with the prefix of `py2`: without that namespace it
/// would be the bare key of what is left of it.
fn names() -> Vec<String> {
    let width = 10_000 / SPREAD_KEYS;
    let spread = (0..SPREAD_KEYS).map(|part| {
        let mut names = (0..).map(|n| format!("u:{n}"));
        let fits = |name: &String| bucket(name.as_bytes()) as usize / width == part;
        names.find(fits).expect("every bucket has keys")
    });
    let odd = ["@py3//u:0", "~u"].map(str::to_owned);
    spread
        .chain(odd)
        .chain([format!("u:{:x<240}", "")])
        .collect()
}

/// Seeds that follow each other have different plans.
fn plan(seed: u64, coherence: Coherence) -> Plan {
    let one_in = |parts: u64, one: &'static str, other| {
        if seed.is_multiple_of(parts) {
            one
        } else {
            other
        }
    };
    Plan {
        coherence: match coherence {
            Coherence::Deletes => "deletes",
            Coherence::FillAware => "fill-aware",
            Coherence::Strict => "strict",
        },
        servers: if seed & 1 == 0 { 1 } else { 2 },
        read_through: seed & 2 == 0,
        on_unloadable_read: one_in(3, "transcode", "miss"),
        on_unloadable_write: one_in(4, "reject", "accept"),
    }
}

/// Half of all lives have every value looked at apart, with little room for that.
fn apart(seed: u64) -> Apart {
    if seed & 4 == 0 {
        return Apart::default();
    }
    Apart {
        inline: Inline {
            value_bytes: 0,
            turn_bytes: 0,
        },
        max_bytes: 1_000,
    }
}

/// Physical key at which a Python finds a key through a sidecar, if the sidecar knows the
/// Python.
fn place(rig: &Rig, python: Python, name: &str) -> Option<Vec<u8>> {
    let snapshot = &rig.config.snapshot;
    let tag = RuntimeTag::parse(python.tag()).expect("a tag");
    let identity = snapshot.identify(&tag)?;
    let space = snapshot.decide(identity, name.as_bytes()).space;
    let mut place = Vec::new();
    snapshot.codec.encode(space, name.as_bytes(), &mut place);
    Some(place)
}

fn working_by(stage: &Stage, apart: Apart) -> Settings {
    Settings {
        apart,
        ..settings(&stage.config, CONNECTIONS)
    }
}

impl World {
    pub(crate) fn new(seed: u64, coherence: Coherence) -> Self {
        let rng = Rng::with_seed(seed);
        let plan = plan(seed, coherence);
        let title = format!("PICKLEGATE_SEED={seed}, {plan:?}");
        println!("{title}");
        let stages = plan.stages();
        let apart = apart(seed);
        let mut first = Rig::new(&stages[0].config, CONNECTIONS);
        let mut second = first.beside(&stages[0].config);
        for rig in [&mut first, &mut second] {
            rig.engine.adopt(working_by(&stages[0], apart));
        }
        let names = names();
        let mut world = Self {
            rng,
            apart,
            stages,
            walk: Walk::default(),
            sidecars: vec![first, second],
            unguarded: [u64::MAX; SIDECARS],
            busy: [0; SIDECARS],
            clients: Vec::new(),
            reference: Reference::new(title, coherence, &names),
            common: Common::new(names, plan.on_unloadable_write == "reject"),
            leftovers: Vec::new(),
            is_calm: false,
            planted: Vec::new(),
        };
        world.fill_counters();
        for sidecar in 0..SIDECARS {
            for introduction in INTRODUCTIONS {
                let id = world.connect(sidecar, introduction);
                let client = Client::new(world.clients.len(), sidecar, introduction, id);
                world.clients.push(client);
            }
        }
        world
    }

    fn fill_counters(&mut self) {
        for name in counters() {
            let server = self.server_of(&name);
            let reply =
                self.sidecars[0].ask_cache(server, format!("set {name} 0 0 1\r\n0\r\n").as_bytes());
            assert_eq!(text(&reply), "STORED\\r\\n");
        }
    }

    fn server_of(&self, name: &str) -> usize {
        let snapshot = &self.stages[0].config.snapshot;
        snapshot.ring.server(name.as_bytes())
    }

    fn connect(&mut self, sidecar: usize, introduction: Introduction) -> u32 {
        let rig = &mut self.sidecars[sidecar];
        let tag = |python: Python| Tag {
            runtime: RuntimeTag::parse(python.tag()).expect("a tag"),
            source: Source::Process,
        };
        match introduction {
            Introduction::Known(python) => rig.open_as(0, Some(tag(python))),
            Introduction::Hello(_) | Introduction::Nobody => rig.open_as(1, None),
            Introduction::Flag => rig.open_as(2, None),
        }
    }

    /// One in which clients leave in the middle of everything, and nothing else goes
    /// wrong.
    pub(crate) fn calm(seed: u64) -> Self {
        let mut world = Self::new(seed, Coherence::Strict);
        world.is_calm = true;
        world.common.without_adds = true;
        world
    }

    /// Makes this many moves of a calm world, and lets it come to rest often. All places
    /// have a copy before; of what was changed then there is one left, whoever was
    /// still there to hear of the change.
    pub(crate) fn run_calm(mut self, steps: u64) -> Counts {
        while self.reference.step < steps {
            self.plant();
            let until = self.reference.step + CALM_MOVES;
            while self.reference.step < until {
                self.pass_time();
                let moved = self.step();
                self.reference.step += u64::from(moved);
            }
            self.settle();
            self.check_copies();
        }
        self.reference.counts
    }

    /// The places of a key that somebody reads.
    fn places(&self, name: &str) -> Vec<Vec<u8>> {
        let mut places = Vec::new();
        for rig in &self.sidecars {
            for python in [Python::Two, Python::Three] {
                let place = place(rig, python, name);
                places.extend(place.filter(|place| !places.contains(place)));
            }
        }
        places
    }

    /// Puts the same copy of each key into all of its places.
    fn plant(&mut self) {
        let by = Asker {
            client: 0,
            sidecar: 0,
            python: Python::Two,
        };
        for key in 0..self.common.names.len() {
            let name = self.common.names[key].clone();
            let row = self.reference.bump(key);
            let (stamp, begun) = self.reference.begin_store(key, row, by);
            let value = pickle(Python::Two, stamp, false);
            let server = self.server_of(&name);
            let places = self.places(&name);
            for place in &places {
                let head = format!(" {PICKLED} 0 {}\r\n", value.len());
                let request = [b"set ", &place[..], head.as_bytes(), &value, b"\r\n"].concat();
                self.sidecars[0].ask_cache(server, &request);
            }
            self.reference.stored(Verb::Add, by, stamp, begun);
            self.planted.push((stamp.store, places));
        }
    }

    /// Checks that at most one place holds a copy of a key, where it was stored since.
    fn check_copies(&mut self) {
        for (key, (planted, places)) in std::mem::take(&mut self.planted).into_iter().enumerate() {
            let name = self.common.names[key].clone();
            let server = self.server_of(&name);
            if self.places(&name) != places {
                // Others are read now, and were not planted.
                continue;
            }
            let stores: Vec<usize> = places
                .iter()
                .filter_map(|place| {
                    let request = [b"get ", &place[..], b"\r\n"].concat();
                    let found = self.sidecars[0].ask_cache(server, &request);
                    stamp_of(&found).map(|stamp| stamp.store)
                })
                .collect();
            let is_changed = stores.iter().any(|store| *store != planted);
            let counts = &mut self.reference.counts;
            let one_of_several = is_changed && places.len() > 1 && stores.len() == 1;
            counts.add("keys with one copy of several", u64::from(one_of_several));
            let message = format_args!("COPIES LEFT: stores {stores:?}, {planted} was there");
            self.reference
                .claim(&name, !is_changed || stores.len() == 1, message);
        }
    }

    /// Makes this many moves, then lets everything come to rest.
    pub(crate) fn run(mut self, steps: u64) -> Counts {
        while self.reference.step < steps {
            self.pass_time();
            let moved = self.step();
            self.reference.step += u64::from(moved);
        }
        self.settle();
        self.check_counters();
        for sidecar in 0..SIDECARS {
            self.harvest(sidecar);
        }
        self.reference.counts.add("moves", self.reference.step);
        self.reference.counts
    }

    fn pass_time(&mut self) {
        let us = if self.rng.u16(..4_000) == 0 {
            self.reference.counts.add("clock steps", 1);
            CLOCK_STEP_US
        } else {
            self.rng.u64(..1_000)
        };
        self.reference.now_us += us;
        for rig in &mut self.sidecars {
            rig.engine.set_now(self.reference.now_us);
        }
    }

    /// One move; whether anything moved.
    fn step(&mut self) -> bool {
        let sidecar = self.rng.usize(..SIDECARS);
        let client = self.rng.usize(..self.clients.len());
        let lane = self.rng.usize(..self.sidecars[sidecar].lanes());
        let most = self.piece();
        let rig = &mut self.sidecars[sidecar];
        match self.rng.u16(..1_000) {
            0..150 => {
                let Self {
                    rng,
                    common,
                    reference,
                    clients,
                    ..
                } = self;
                clients[client].ask(rng, common, reference)
            }
            150..300 => self.send(client, most),
            300..470 => rig.send_lane(lane, most) > 0,
            470..500 => self.judge(sidecar),
            500..680 => rig.serve_some(lane, most),
            680..860 => self.read(sidecar, lane, most),
            905..945 if self.is_calm => self.raid(client),
            945..992 if self.is_calm => self.leave(client),
            860..985 => self.deliver(client, most),
            985..988 => self.lose(sidecar, lane),
            988..990 => self.take_down(sidecar, lane),
            990..992 => self.serve_leftover(most),
            992..993 => self.leave(client),
            993..995 => self.be_late(sidecar, lane),
            _ => self.reload(sidecar),
        }
    }

    /// Number of bytes to move at once.
    fn piece(&mut self) -> usize {
        match self.rng.u8(..4) {
            0 => self.rng.usize(1..30),
            1 => self.rng.usize(1..200),
            2 => self.rng.usize(1..3_000),
            _ => usize::MAX,
        }
    }

    // Bytes ----------------------------------------------------------------

    fn send(&mut self, client: usize, most: usize) -> bool {
        let client = &mut self.clients[client];
        let rig = &mut self.sidecars[client.sidecar];
        let count = client.outgoing.len().min(most);
        let bytes: Vec<u8> = client.outgoing.drain(..count).collect();
        if count > 0 {
            rig.send(client.id, &bytes);
        }
        count > 0
    }

    fn read(&mut self, sidecar: usize, lane: usize, most: usize) -> bool {
        let read = self.sidecars[sidecar].read_some(lane, most);
        let parked = self.sidecars[sidecar].engine.lane(lane).lane.is_parked();
        let counts = &mut self.reference.counts;
        counts.add("waits for room to look", u64::from(parked));
        if let Err(error) = &read {
            let message = format!("sidecar {sidecar}, lane {lane}: {error}");
            self.reference.claim("", false, message);
        }
        read.is_ok_and(|count| count > 0)
    }

    /// Has something looked at apart, whatever came first.
    fn judge(&mut self, sidecar: usize) -> bool {
        let rig = &mut self.sidecars[sidecar];
        let jobs = rig.jobs();
        if jobs > 0 {
            rig.judge(self.rng.usize(..jobs));
            self.reference.counts.add("values looked at apart", 1);
        }
        jobs > 0
    }

    fn deliver(&mut self, client: usize, most: usize) -> bool {
        let Self {
            clients,
            sidecars,
            common,
            reference,
            unguarded,
            ..
        } = self;
        let client = &mut clients[client];
        if client.is_gone {
            return false;
        }
        let rig = &mut sidecars[client.sidecar];
        let moved = rig.flush_some(client.id, most);
        let bytes = rig.take_received(client.id);
        let since = unguarded[client.sidecar];
        client.receive(&bytes, common, reference, |begun: Begun| {
            begun.is_after(since)
        });
        let session = rig.engine.session(client.id);
        if !session.is_finished() {
            return moved;
        }
        let (is_dead, number) = (session.is_dead(), client.number);
        if !is_dead {
            let answered = client.is_answered();
            reference.claim(
                "",
                answered,
                format_args!("client {number} is owed a reply"),
            );
        }
        rig.engine.close(client.id);
        client.lost(common, reference);
        reference.counts.add("connections closed", 1);
        if common.without_two && client.is_two() {
            client.is_gone = true;
            return true;
        }
        let (sidecar, introduction) = (client.sidecar, client.introduction);
        let id = self.connect(sidecar, introduction);
        self.clients[number].connected(id);
        true
    }

    /// A client leaves: at once, or when all that it asked for is answered.
    fn leave(&mut self, client: usize) -> bool {
        let client = &mut self.clients[client];
        if client.is_leaving || client.is_gone {
            return false;
        }
        let engine = &mut self.sidecars[client.sidecar].engine;
        if client.outgoing.is_empty() && self.rng.bool() {
            engine.client_eof(client.id);
        } else {
            engine.client_gone(client.id);
        }
        client.outgoing.clear();
        client.is_leaving = true;
        true
    }

    /// A client replaces the value that is there, and mostly goes before anything of
    /// that has moved.
    fn raid(&mut self, number: usize) -> bool {
        let Self {
            rng,
            common,
            reference,
            clients,
            sidecars,
            ..
        } = self;
        let client = &mut clients[number];
        let python = client.python(rng, common);
        if !client.may_raid() || common.without_two && python == Python::Two {
            return false;
        }
        let key = rng.usize(..common.names.len());
        let name = &common.names[key];
        let rig = &mut sidecars[client.sidecar];
        let Some(place) = place(rig, python, name) else {
            return false;
        };
        let server = rig.config.snapshot.ring.server(name.as_bytes());
        let found = rig.ask_cache(server, &[b"gets ", &place[..], b"\r\n"].concat());
        let line = found.split(|&b| b == b'\r').next().unwrap_or_default();
        let id = line.rsplit(|&b| b == b' ').next().unwrap_or_default();
        let Some(id) = std::str::from_utf8(id).ok().and_then(|id| id.parse().ok()) else {
            return false;
        };
        client.replace(rng, common, reference, (key, id, python));
        let goes = rng.u8(..4) > 0;
        self.send(number, usize::MAX);
        if goes {
            let client = &mut self.clients[number];
            self.sidecars[client.sidecar].engine.client_gone(client.id);
            client.is_leaving = true;
            let counts = &mut self.reference.counts;
            counts.add("conditional writes of clients that went at once", 1);
        }
        true
    }

    // What goes wrong ------------------------------------------------------

    fn lose(&mut self, sidecar: usize, lane: usize) -> bool {
        let retry = self.rng.bool();
        let rig = &mut self.sidecars[sidecar];
        let was_busy = !rig.engine.lane(lane).lane.is_idle();
        // Nothing comes of the others.
        if !was_busy && self.rng.u8(..4) > 0 {
            return false;
        }
        let peer = rig.lose_lane(lane, "is lost", retry);
        let is_busy = !rig.engine.lane(lane).lane.is_idle();
        let counts = &mut self.reference.counts;
        counts.add("resets", 1);
        counts.add("resets of busy lanes", u64::from(was_busy));
        counts.add("resets with reads tried again", u64::from(is_busy));
        self.reference
            .note_all(format_args!("sidecar {sidecar} lost lane {lane}"));
        self.leftovers.push(Leftover {
            sidecar,
            lane,
            peer,
        });
        true
    }

    /// Everything that a lane was asked takes too long: it is answered, and what still
    /// comes of it is nobody's.
    fn be_late(&mut self, sidecar: usize, lane: usize) -> bool {
        let engine = &mut self.sidecars[sidecar].engine;
        let is_busy = !engine.lane(lane).lane.is_idle();
        engine.expire(lane, 0);
        let counts = &mut self.reference.counts;
        counts.add("lanes that were late", u64::from(is_busy));
        is_busy
    }

    /// Carries out some requests that a lost connection still held, as a server may, late.
    fn serve_leftover(&mut self, most: usize) -> bool {
        if self.leftovers.is_empty() {
            return false;
        }
        let at = self.rng.usize(..self.leftovers.len());
        let Leftover {
            sidecar,
            lane,
            mut peer,
        } = self.leftovers.swap_remove(at);
        let served = self.sidecars[sidecar].serve_peer(lane, &mut peer, most);
        let counts = &mut self.reference.counts;
        counts.add("requests of lost connections", u64::from(served));
        served
    }

    /// A lane refuses requests from now on, or no longer.
    fn take_down(&mut self, sidecar: usize, lane: usize) -> bool {
        let down = &mut self.sidecars[sidecar].engine.lane(lane).down;
        *down = match down {
            Some(_) => None,
            // It comes up sooner than it goes down.
            None if self.rng.u8(..10) == 0 => Some("is down".to_owned()),
            None => return false,
        };
        true
    }

    // Reloads --------------------------------------------------------------

    fn reload(&mut self, sidecar: usize) -> bool {
        if self.walk.next(sidecar).is_some() {
            self.check_hold(sidecar);
            return self.adopt(sidecar);
        }
        let is_early = self.reference.step < OBSERVED_MOVES;
        let up = self.rng.u8(..100) < 62;
        let to = self.walk.step(sidecar, up, &self.stages);
        let Some(to) = to.filter(|_| !is_early) else {
            return false;
        };
        if self.stages[to].without_two && !self.is_without_two() {
            self.say_goodbye();
            return true;
        }
        self.walk.begin(sidecar, to);
        self.sidecars[sidecar].engine.hold();
        self.busy[sidecar] = self.busy(sidecar);
        true
    }

    fn busy(&self, sidecar: usize) -> usize {
        let sessions = self.sidecars[sidecar].engine.sessions();
        sessions.filter(|(_, session)| !session.is_idle()).count()
    }

    /// A sidecar that is held takes no request.
    fn check_hold(&mut self, sidecar: usize) {
        let busy = self.busy(sidecar);
        let message = "a request was taken during a hold";
        self.reference
            .claim("", busy <= self.busy[sidecar], message);
        self.busy[sidecar] = busy;
    }

    /// Python 2 leaves for good.
    fn say_goodbye(&mut self) {
        self.common.without_two = true;
        for client in 0..self.clients.len() {
            if self.clients[client].is_two() {
                self.leave(client);
            }
        }
    }

    fn is_without_two(&self) -> bool {
        let mut clients = self.clients.iter();
        clients.all(|client| (client.is_gone || !client.is_two()) && client.is_without_two())
    }

    fn adopt(&mut self, sidecar: usize) -> bool {
        let rig = &mut self.sidecars[sidecar];
        if !rig.engine.is_at_rest() {
            return false;
        }
        let silent = (0..rig.lanes()).all(|lane| rig.is_silent(lane));
        let idle = rig.engine.sessions().all(|(_, session)| session.is_idle());
        self.reference
            .claim("", silent && idle, "at rest with something under way");
        self.harvest(sidecar);
        let Some(to) = self.walk.arrive(sidecar, &self.stages) else {
            return false;
        };
        let stage = &self.stages[to];
        self.unguarded[sidecar] = match (stage.guards, self.unguarded[sidecar]) {
            (false, _) => u64::MAX,
            (true, u64::MAX) => self.reference.step,
            (true, since) => since,
        };
        let rig = &mut self.sidecars[sidecar];
        rig.adopt(&stage.config, working_by(stage, self.apart));
        self.reference.counts.add("reloads", 1);
        self.reference
            .note_all(format_args!("sidecar {sidecar}: {}", stage.name));
        true
    }

    /// Adds what a sidecar counted to what happened.
    fn harvest(&mut self, sidecar: usize) {
        let counts = self.sidecars[sidecar].engine.counts();
        let happened = &mut self.reference.counts;
        let spaces = counts.suspected.len();
        for space in 0..spaces {
            for &writer in Writer::ALL {
                for verdict in Verdict::ALL {
                    let reads = |action| counts.reads(space, writer, verdict, action);
                    happened.add("values hidden", reads(Action::Hidden));
                    happened.add("values transcoded", reads(Action::Transcoded));
                    happened.add("copies of others served", reads(Action::ReadThrough));
                }
            }
        }
        let deleted = counts.invalidations.iter();
        let deleted = deleted.map(|results| results[Invalidation::Deleted as usize]);
        happened.add("siblings deleted", deleted.sum());
    }

    // The end --------------------------------------------------------------

    /// Moves everything until nothing moves: then nothing is owed, and every
    /// reload that was begun is done.
    fn settle(&mut self) {
        for rig in &mut self.sidecars {
            for lane in 0..rig.lanes() {
                rig.engine.lane(lane).down = None;
            }
        }
        loop {
            self.reference.step += 1;
            let mut moved = false;
            for client in 0..self.clients.len() {
                moved |= self.send(client, usize::MAX) | self.deliver(client, usize::MAX);
            }
            for sidecar in 0..SIDECARS {
                for lane in 0..self.sidecars[sidecar].lanes() {
                    let rig = &mut self.sidecars[sidecar];
                    moved |= rig.send_lane(lane, usize::MAX) > 0;
                    moved |= rig.serve_some(lane, usize::MAX);
                    moved |= self.read(sidecar, lane, usize::MAX);
                }
                moved |= self.judge(sidecar);
                let is_held = self.walk.next(sidecar).is_some();
                moved |= is_held && self.adopt(sidecar);
            }
            if !moved {
                break;
            }
        }
        for client in &self.clients {
            let message = format!("{client:?} is owed a reply");
            self.reference.claim("", client.is_answered(), message);
        }
        for (sidecar, rig) in self.sidecars.iter().enumerate() {
            let rests = rig.engine.is_at_rest() && self.walk.next(sidecar).is_none();
            let message = format!("sidecar {sidecar} does not come to rest");
            self.reference.claim("", rests, message);
        }
    }

    fn check_counters(&mut self) {
        for name in counters() {
            let server = self.server_of(&name);
            let reply = self.sidecars[0].ask_cache(server, format!("get {name}\r\n").as_bytes());
            let value = text(&reply);
            let number = value.split("\\r\\n").nth(1).and_then(|n| n.parse().ok());
            self.reference
                .claim(&name, number.is_some(), "LOST COUNT: it is gone");
            self.reference.end_count(&name, number.unwrap_or_default());
        }
    }
}
