//! An engine whose lanes end in caches of this process: bytes move only when
//! told to, in pieces of any size. Opens no socket and reads no clock.

// Every test binary compiles its own copy and uses a part of it.
#![allow(dead_code)]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use picklegate::config::Config;
use picklegate::embedded::{Cache, Session as CacheSession};
use picklegate::engine::{
    Apart, Engine, Job, JobRunner, LaneId, ListenerId, ListenerIds, Settings,
};
use picklegate::pickle::Pause;
use picklegate::policy::{Admission, Identify, RuntimeTag, Source, Tag, Untagged};
use picklegate::protocol::reply::ReplyError;

/// The unix second at which everything happens.
pub(crate) const NOW: u64 = 1_700_000_000;

/// A configuration of one rule for all keys, which `rule` spells and may go on
/// from with further tables, and of this many servers.
pub(crate) fn config(servers: usize, rule: &str) -> Config {
    config_of(&(1..=servers).collect::<Vec<_>>(), rule)
}

/// A configuration with these servers.
pub(crate) fn config_of(servers: &[usize], rule: &str) -> Config {
    let servers: Vec<String> = servers
        .iter()
        .map(|n| format!("\"10.0.0.{n}:11211\""))
        .collect();
    let toml = format!(
        r#"
[upstream]
servers = [{}]

[[listeners]]
listen  = "127.0.0.1:1"
runtime = "py3"

[[rules]]
prefix = ""
{rule}
"#,
        servers.join(", ")
    );
    Config::parse("rig", &toml).unwrap_or_else(|errors| panic!("{errors}"))
}

/// The number that the nth listener of a process has.
pub(crate) fn listener_id(nth: u32) -> ListenerId {
    let mut ids = ListenerIds::default();
    let ids = std::iter::repeat_with(|| ids.mint());
    ids.take(nth as usize + 1).last().expect("one at least")
}

/// A listener that asks one source what connects.
pub(crate) fn listener(
    nth: u32,
    name: &str,
    source: Source,
    untagged: Untagged,
) -> (ListenerId, Arc<Admission>) {
    let admission = Admission {
        name: name.into(),
        identify: Identify::Each {
            sources: std::iter::once(source).collect(),
            untagged,
        },
    };
    (listener_id(nth), Arc::new(admission))
}

/// Settings of an engine. The first listener asks the system what connects; then come
/// those that ask the clients, and refuse or pass the others.
pub(crate) fn settings(config: &Config, connections: usize) -> Settings {
    let servers = config.upstream.servers.iter();
    Settings {
        snapshot: Arc::clone(&config.snapshot),
        listeners: vec![
            listener(0, "known", Source::Process, Untagged::Refuse),
            listener(1, "refusing", Source::Hello, Untagged::Refuse),
            listener(2, "passing", Source::Hello, Untagged::Pass),
        ],
        servers: servers.map(ToString::to_string).collect(),
        connections,
        apart: Apart::default(),
    }
}

/// Bytes of replies past which a cache waits for its reader.
const HIGH_WATER: usize = 256 << 10;

/// Ways of cutting a stream of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    Whole,
    Bytes,
    /// Once, after this many bytes.
    At(usize),
}

impl Cut {
    /// The size of the piece that comes after `done` bytes, at most `ready`.
    fn piece(self, done: usize, ready: usize) -> usize {
        match self {
            Self::Bytes => ready.min(1),
            Self::At(at) if done < at => ready.min(at - done),
            Self::At(_) | Self::Whole => ready,
        }
    }
}

/// The other end of a lane.
#[derive(Debug, Default)]
pub(crate) struct Peer {
    session: CacheSession,
    /// Requests that the cache did not take yet.
    input: Vec<u8>,
    /// Replies that the engine did not get yet.
    output: Vec<u8>,
    /// Bytes of replies that it got.
    delivered: usize,
}

/// An engine, the caches behind it, and what its clients received.
#[derive(Debug)]
pub(crate) struct Rig {
    pub(crate) engine: Engine,
    pub(crate) config: Config,
    /// To each server, without the lane for large values.
    connections: usize,
    /// By server, whatever its place in the settings is.
    caches: Rc<RefCell<BTreeMap<String, Cache>>>,
    /// By lane.
    peers: Vec<Peer>,
    /// Lane that each of them belongs to.
    lane_ids: Vec<LaneId>,
    /// By client.
    received: Vec<Vec<u8>>,
    judge: JobRunner,
    /// Jobs to be done apart.
    jobs: Vec<Job>,
}

impl Rig {
    pub(crate) fn new(config: &Config, connections: usize) -> Self {
        let caches = BTreeMap::new();
        Self::before(Rc::new(RefCell::new(caches)), config, connections)
    }

    /// Another engine before the same caches.
    pub(crate) fn beside(&self, config: &Config) -> Self {
        Self::before(Rc::clone(&self.caches), config, self.connections)
    }

    fn before(
        caches: Rc<RefCell<BTreeMap<String, Cache>>>,
        config: &Config,
        connections: usize,
    ) -> Self {
        Self::working_by(caches, config, settings(config, connections))
    }

    /// A rig whose values are looked at apart as told.
    pub(crate) fn apart(config: &Config, connections: usize, apart: Apart) -> Self {
        let settings = Settings {
            apart,
            ..settings(config, connections)
        };
        Self::working_by(Rc::default(), config, settings)
    }

    fn working_by(
        caches: Rc<RefCell<BTreeMap<String, Cache>>>,
        config: &Config,
        settings: Settings,
    ) -> Self {
        let connections = settings.connections;
        let mut rig = Self {
            engine: Engine::new(settings, Arc::default()),
            config: config.clone(),
            connections,
            caches,
            peers: Vec::new(),
            lane_ids: Vec::new(),
            received: Vec::new(),
            judge: JobRunner::new(Pause::NONE),
            jobs: Vec::new(),
        };
        rig.find_peers();
        rig
    }

    /// Works by other settings from now on.
    pub(crate) fn adopt(&mut self, config: &Config, settings: Settings) {
        self.config = config.clone();
        self.engine.adopt(settings);
        self.find_peers();
    }

    /// Gives each lane its other end; those of lanes that are gone are dropped.
    fn find_peers(&mut self) {
        let ids = std::mem::take(&mut self.lane_ids);
        let mut before: BTreeMap<_, _> = ids.into_iter().zip(self.peers.drain(..)).collect();
        for upstream in self.engine.lanes() {
            let mut caches = self.caches.borrow_mut();
            let cache = caches.entry(upstream.server.clone());
            cache.or_insert_with(|| Cache::new(0));
            self.peers
                .push(before.remove(&upstream.id).unwrap_or_default());
            self.lane_ids.push(upstream.id);
        }
    }

    /// The first lane to a server.
    pub(crate) fn lane_to(&self, server: usize) -> usize {
        server * (self.connections + 1)
    }

    pub(crate) fn lanes(&self) -> usize {
        self.peers.len()
    }

    // Caches ---------------------------------------------------------------

    /// Answer of a server to requests that do not pass the engine.
    pub(crate) fn ask_cache(&mut self, server: usize, requests: &[u8]) -> Vec<u8> {
        let server = self.config.upstream.servers[server].to_string();
        self.ask_server(&server, requests)
    }

    /// Answer of a server, named, to requests that do not pass the engine.
    pub(crate) fn ask_server(&mut self, server: &str, requests: &[u8]) -> Vec<u8> {
        let mut caches = self.caches.borrow_mut();
        let cache = caches.entry(server.to_owned());
        ask(cache.or_insert_with(|| Cache::new(0)), requests)
    }

    // Clients --------------------------------------------------------------

    /// A client of the first listener, which asks for a tag and gets this one.
    pub(crate) fn open(&mut self, runtime: &str) -> u32 {
        let runtime = RuntimeTag::parse(runtime).expect("a runtime tag");
        let source = Source::Process;
        self.open_as(0, Some(Tag { runtime, source }))
    }

    /// A client of a listener that asks its clients, which has said this.
    pub(crate) fn open_asked(&mut self, runtime: &str) -> u32 {
        let client = self.open_as(1, None);
        self.ask(client, format!("hello {runtime}\r\n").as_bytes());
        client
    }

    /// A client of the nth listener that there was.
    pub(crate) fn open_as(&mut self, listener: u32, tag: Option<Tag>) -> u32 {
        let client = self.engine.open(listener_id(listener), tag);
        // It may have the number of one that is gone.
        let clients = self.received.len().max(client as usize + 1);
        self.received.resize(clients, Vec::new());
        client
    }

    pub(crate) fn send(&mut self, client: u32, bytes: &[u8]) {
        self.engine.client_input(client, bytes);
    }

    /// Lets every client take what there is for it, and go on.
    pub(crate) fn flush_clients(&mut self) {
        while let Some(client) = self.engine.pop_dirty() {
            self.flush_client(client);
        }
    }

    pub(crate) fn flush_client(&mut self, client: u32) {
        loop {
            let unsent = self.engine.session(client).unsent();
            let bytes = unsent.len();
            self.received[client as usize].extend_from_slice(unsent);
            self.engine.client_sent(client, bytes);
            if !self.engine.resume(client) {
                return;
            }
        }
    }

    /// Lets a client take up to `most` of what there is for it, and go on;
    /// whether anything moved.
    pub(crate) fn flush_some(&mut self, client: u32, most: usize) -> bool {
        let unsent = self.engine.session(client).unsent();
        let bytes = &unsent[..unsent.len().min(most)];
        let count = bytes.len();
        self.received[client as usize].extend_from_slice(bytes);
        self.engine.client_sent(client, count);
        self.engine.resume(client) || count > 0
    }

    /// Everything that a client received so far.
    pub(crate) fn received(&self, client: u32) -> &[u8] {
        &self.received[client as usize]
    }

    /// Takes what a client received so far.
    pub(crate) fn take_received(&mut self, client: u32) -> Vec<u8> {
        std::mem::take(&mut self.received[client as usize])
    }

    /// Sends requests and gives what they are answered.
    pub(crate) fn ask(&mut self, client: u32, requests: &[u8]) -> Vec<u8> {
        self.send(client, requests);
        self.settle();
        self.take_received(client)
    }

    // Looks apart ----------------------------------------------------------

    /// Number of values that are to be looked at apart.
    pub(crate) fn jobs(&mut self) -> usize {
        self.jobs.extend(self.engine.take_jobs());
        self.jobs.len()
    }

    /// Has one of them looked at.
    pub(crate) fn judge(&mut self, nth: usize) {
        let job = self.jobs.remove(nth);
        let judged = self.judge.judge(job);
        self.engine.judged(judged);
    }

    /// Has all of them looked at, in their order; how many there were.
    pub(crate) fn judge_all(&mut self) -> usize {
        let count = self.jobs();
        for _ in 0..count {
            self.judge(0);
        }
        count
    }

    // Lanes ----------------------------------------------------------------

    /// Writes up to `most` bytes of a lane's requests; how many there were.
    pub(crate) fn write_lane(&mut self, lane: usize, most: usize) -> usize {
        let count = self.send_lane(lane, most);
        self.serve(lane);
        count
    }

    /// [`Rig::write_lane`], of what the cache does not look at yet.
    pub(crate) fn send_lane(&mut self, lane: usize, most: usize) -> usize {
        let bytes = self.engine.lane(lane).lane.unwritten();
        let count = bytes.len().min(most);
        self.peers[lane].input.extend_from_slice(&bytes[..count]);
        self.engine.lane(lane).lane.wrote(count);
        count
    }

    /// Has a cache look at up to `most` bytes of what it was sent on a lane;
    /// whether it took any.
    pub(crate) fn serve_some(&mut self, lane: usize, most: usize) -> bool {
        let mut peer = std::mem::take(&mut self.peers[lane]);
        let took = self.serve_peer(lane, &mut peer, most);
        self.peers[lane] = peer;
        took
    }

    /// [`Rig::serve_some`], on a connection that a lane had.
    pub(crate) fn serve_peer(&mut self, lane: usize, peer: &mut Peer, most: usize) -> bool {
        let mut caches = self.caches.borrow_mut();
        let server = &self.engine.lanes()[lane].server;
        let cache = caches.get_mut(server).expect("each server has one");
        let input = &peer.input[..peer.input.len().min(most)];
        let taken = cache.serve(&mut peer.session, NOW, input, &mut peer.output);
        peer.input.drain(..taken);
        taken > 0
    }

    /// Whether nothing is on its way on a lane's connection, either way.
    pub(crate) fn is_silent(&self, lane: usize) -> bool {
        let Peer { input, output, .. } = &self.peers[lane];
        input.is_empty() && output.is_empty()
    }

    fn serve(&mut self, lane: usize) {
        let mut caches = self.caches.borrow_mut();
        let server = &self.engine.lanes()[lane].server;
        let cache = caches.get_mut(server).expect("each server has one");
        let peer = &mut self.peers[lane];
        while peer.output.len() < HIGH_WATER {
            let before = peer.output.len();
            let mut out = Vec::new();
            let used = cache.serve(&mut peer.session, NOW, &peer.input, &mut out);
            peer.input.drain(..used);
            peer.output.extend_from_slice(&out);
            if peer.output.len() == before {
                return;
            }
        }
    }

    /// Replies of a lane's cache that the engine did not get yet.
    pub(crate) fn unread(&self, lane: usize) -> &[u8] {
        &self.peers[lane].output
    }

    /// Delivers up to `most` bytes of a lane's replies; how many there were.
    ///
    /// # Errors
    /// The engine's.
    pub(crate) fn read_lane(&mut self, lane: usize, most: usize) -> Result<usize, ReplyError> {
        if self.is_parked(lane)? {
            return Ok(0);
        }
        let peer = &mut self.peers[lane];
        let count = peer.output.len().min(most);
        let bytes: Vec<u8> = peer.output.drain(..count).collect();
        peer.delivered += count;
        self.serve(lane);
        if count > 0 {
            self.engine.lane_input(lane, &bytes)?;
        }
        Ok(count)
    }

    /// Whether a lane waits for room, and still does when asked to go on.
    fn is_parked(&mut self, lane: usize) -> Result<bool, ReplyError> {
        if self.engine.lane(lane).lane.is_parked() {
            self.engine.lane_input(lane, &[])?;
        }
        Ok(self.engine.lane(lane).lane.is_parked())
    }

    /// [`Rig::read_lane`], without having the cache look at what it was sent.
    ///
    /// # Errors
    /// The engine's.
    pub(crate) fn read_some(&mut self, lane: usize, most: usize) -> Result<usize, ReplyError> {
        if self.is_parked(lane)? {
            return Ok(0);
        }
        let peer = &mut self.peers[lane];
        let count = peer.output.len().min(most);
        let bytes: Vec<u8> = peer.output.drain(..count).collect();
        if count > 0 {
            self.engine.lane_input(lane, &bytes)?;
        }
        Ok(count)
    }

    /// [`Rig::read_lane`], of replies that are right.
    pub(crate) fn read_on(&mut self, lane: usize, most: usize) -> usize {
        let read = self.read_lane(lane, most);
        read.expect("the caches answer what they are asked")
    }

    /// Loses a lane's connection and opens a new one.
    pub(crate) fn lose_lane(&mut self, lane: usize, why: &str, retry: bool) -> Peer {
        let lost = std::mem::take(&mut self.peers[lane]);
        self.engine.lane_lost(lane, why, retry);
        lost
    }

    /// Moves everything, replies cut as told, until nothing moves any more.
    pub(crate) fn settle_cut(&mut self, upstream: Cut) -> Result<(), ReplyError> {
        loop {
            self.flush_clients();
            let mut moved = 0;
            for lane in 0..self.lanes() {
                moved += self.write_lane(lane, usize::MAX);
                let Peer {
                    delivered, output, ..
                } = &self.peers[lane];
                let most = upstream.piece(*delivered, output.len());
                moved += self.read_lane(lane, most)?;
            }
            moved += self.judge_all();
            if moved == 0 {
                self.flush_clients();
                return Ok(());
            }
        }
    }

    pub(crate) fn settle(&mut self) {
        self.settle_cut(Cut::Whole)
            .expect("the caches answer what they are asked");
    }

    /// Sends a client's requests, cut as told; nothing is owed afterwards.
    pub(crate) fn feed(
        &mut self,
        client: u32,
        requests: &[u8],
        downstream: Cut,
        upstream: Cut,
    ) -> Result<(), ReplyError> {
        let mut sent = 0;
        while sent < requests.len() {
            let count = downstream.piece(sent, requests.len() - sent);
            self.send(client, &requests[sent..sent + count]);
            self.settle_cut(upstream)?;
            sent += count;
        }
        Ok(())
    }
}

/// Answer of a cache on a connection of its own.
pub(crate) fn ask(cache: &mut Cache, requests: &[u8]) -> Vec<u8> {
    let mut session = CacheSession::default();
    let (mut at, mut all) = (0, Vec::new());
    loop {
        let before = all.len();
        let mut out = Vec::new();
        at += cache.serve(&mut session, NOW, &requests[at..], &mut out);
        all.extend_from_slice(&out);
        if all.len() == before {
            return all;
        }
    }
}

/// Answer of a fresh cache, without an engine in front.
pub(crate) fn ask_alone(requests: &[u8]) -> Vec<u8> {
    ask(&mut Cache::new(0), requests)
}

/// Cuts a client's stream into replies; what is left over if the last is not
/// whole.
pub(crate) fn replies(mut stream: &[u8]) -> (Vec<&[u8]>, &[u8]) {
    let mut all = Vec::new();
    while let Some(len) = reply_len(stream) {
        let (reply, rest) = stream.split_at(len);
        all.push(reply);
        stream = rest;
    }
    (all, stream)
}

/// Length of the first reply; `None` if it is not whole.
fn reply_len(stream: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let rest = &stream[at..];
        let line = rest.iter().position(|&b| b == b'\n')? + 1;
        let number = |nth: usize| -> Option<usize> {
            let text = std::str::from_utf8(rest[..line].split(|&b| b == b' ').nth(nth)?).ok()?;
            text.trim_end().parse().ok()
        };
        at += line;
        let number =
            |nth| number(nth).unwrap_or_else(|| panic!("no length in {}", text(&rest[..line])));
        if rest.starts_with(b"VALUE ") {
            at += number(3) + 2;
        } else if rest.starts_with(b"VA ") {
            at += number(1) + 2;
            return (at <= stream.len()).then_some(at);
        } else if !rest.starts_with(b"STAT ") {
            return Some(at);
        }
        if at > stream.len() {
            return None;
        }
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}
