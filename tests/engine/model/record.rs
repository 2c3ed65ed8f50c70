//! Recording of the real engine's work upstream for one request: the operations, their
//! order, and the moment of the answer. Knows the wire, not the model.

use std::sync::Arc;

use picklegate::config::Config;
use picklegate::engine::{Apart, Engine, ListenerIds, Settings};
use picklegate::policy::{Admission, Identify, Identity, RuntimeTag};

/// Flags of a pickle, as Python clients set them.
const PICKLE: u32 = 1;

/// An operation on memcached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) verb: String,
    /// The physical key.
    pub(crate) key: Vec<u8>,
}

/// One request's way through the engine.
#[derive(Debug)]
pub(crate) struct Recorded {
    pub(crate) asked: Vec<Asked>,
    /// The operations that were answered when the client was.
    pub(crate) acked_after: usize,
    /// Reply to the client.
    pub(crate) reply: Vec<u8>,
}

/// Identity of a runtime in a configuration.
pub(crate) fn identity(config: &Config, runtime: &str) -> Identity {
    let tag = RuntimeTag::parse(runtime).expect("a runtime tag");
    let identity = config.snapshot.identify(&tag);
    identity.expect("a namespace for every Python")
}

/// Lets an engine carry out one request of a fresh client; `answer` is memcached.
pub(crate) fn record(
    config: &Config,
    runtime: &str,
    request: &[u8],
    answer: impl FnMut(&Asked) -> Vec<u8>,
) -> Recorded {
    Recorder::new(config, runtime).record(request, answer)
}

/// Records a store by which a client fills what it has just missed.
pub(crate) fn record_fill(config: &Config, runtime: &str, key: &str, store: &[u8]) -> Recorded {
    let mut recorder = Recorder::new(config, runtime);
    let get = format!("get {key}\r\n");
    recorder.record(get.as_bytes(), success);
    recorder.record(store, success)
}

/// An engine and its only client.
struct Recorder {
    engine: Engine,
    client: u32,
}

impl Recorder {
    fn new(config: &Config, runtime: &str) -> Self {
        let runtime = RuntimeTag::parse(runtime).expect("a runtime tag");
        let admission = Admission {
            name: "model".into(),
            identify: Identify::Static(runtime),
        };
        let listener = ListenerIds::default().mint();
        let settings = Settings {
            snapshot: Arc::clone(&config.snapshot),
            listeners: vec![(listener, Arc::new(admission))],
            servers: vec!["memcached".to_owned()],
            connections: 1,
            apart: Apart::default(),
        };
        let mut engine = Engine::new(settings, Arc::default());
        let client = engine.open(listener, None);
        Self { engine, client }
    }

    fn record(&mut self, request: &[u8], mut answer: impl FnMut(&Asked) -> Vec<u8>) -> Recorded {
        self.engine.client_input(self.client, request);
        let (mut asked, mut acked_after) = (Vec::new(), None);
        loop {
            let bytes = self.written();
            if bytes.is_empty() {
                break;
            }
            for operation in operations(&bytes) {
                let read = self.engine.lane_input(0, &answer(&operation));
                read.expect("memcached answers what it is asked");
                asked.push(operation);
                let is_answered = !self.engine.session(self.client).unsent().is_empty();
                acked_after = acked_after.or(is_answered.then_some(asked.len()));
            }
        }
        let reply = self.engine.session(self.client).unsent().to_vec();
        self.engine.client_sent(self.client, reply.len());
        Recorded {
            asked,
            acked_after: acked_after.expect("every request is answered"),
            reply,
        }
    }

    /// Bytes for memcached.
    fn written(&mut self) -> Vec<u8> {
        let lane = &mut self.engine.lane(0).lane;
        let bytes = lane.unwritten().to_vec();
        lane.wrote(bytes.len());
        bytes
    }
}

/// Cuts what was written to memcached into operations on one key each.
fn operations(mut bytes: &[u8]) -> Vec<Asked> {
    let mut all = Vec::new();
    while let Some(end) = bytes.windows(2).position(|two| two == b"\r\n") {
        let words: Vec<&[u8]> = bytes[..end].split(|&b| b == b' ').collect();
        let verb = String::from_utf8_lossy(words[0]).into_owned();
        let body = match &*verb {
            "set" | "add" | "cas" => 2 + length(words[4]),
            "get" | "gets" | "delete" | "incr" => 0,
            other => panic!("an operation that the model does not know: {other}"),
        };
        let key = words[1].to_vec();
        all.push(Asked { verb, key });
        bytes = &bytes[end + 2 + body..];
    }
    assert_eq!(bytes, b"", "requests are written whole");
    all
}

fn length(word: &[u8]) -> usize {
    let text = std::str::from_utf8(word).expect("a length is ASCII");
    text.parse().expect("a length is a number")
}

/// Reply of memcached to a get of a key that holds this pickle.
pub(crate) fn hit(asked: &Asked, pickle: &[u8]) -> Vec<u8> {
    let key = String::from_utf8_lossy(&asked.key);
    let cas = if asked.verb == "gets" { " 7" } else { "" };
    let len = pickle.len();
    let head = format!("VALUE {key} {PICKLE} {len}{cas}\r\n");
    [head.as_bytes(), pickle, b"\r\nEND\r\n"].concat()
}

/// Reply of memcached to a request that takes effect.
pub(crate) fn success(asked: &Asked) -> Vec<u8> {
    let reply: &[u8] = match &*asked.verb {
        "delete" => b"DELETED\r\n",
        "incr" => b"1\r\n",
        "get" | "gets" => b"END\r\n",
        _ => b"STORED\r\n",
    };
    reply.to_vec()
}

/// A request that stores a pickle.
pub(crate) fn store(verb: &str, key: &str, pickle: &[u8]) -> Vec<u8> {
    let head = format!("{verb} {key} {PICKLE} 0 {}\r\n", pickle.len());
    [head.as_bytes(), pickle, b"\r\n"].concat()
}
