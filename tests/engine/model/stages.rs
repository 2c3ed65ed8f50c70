//! The stages of a migration, compiled by the real configuration and asked of the
//! real engine: where a key lives for whom, what is shown of it, and which
//! operations its changes are.

use picklegate::config::Config;
use picklegate::pickle::{Encoding, Sniffer, Verdict};
use picklegate::policy::{Decision, Mode, bucket};

use super::record::{self, Asked, Recorded, record, record_fill};

/// The versions of Python that clients run.
pub(crate) const RUNTIMES: [&str; 2] = ["python/2.7", "python/3.11"];
/// Values that the versions store: a text, by the newest protocol of each. A shorter one
/// would make an `add` a lock.
pub(crate) const PICKLES: [&[u8]; 2] = [
    b"\x80\x02X\x3c\0\0\0xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx.",
    b"\x80\x04X\x3c\0\0\0xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx.",
];

/// A pickle that no Python can load.
const NOBODYS: &[u8] = b"\x80\x7fN.";

pub(crate) const PY2: usize = 0;
pub(crate) const PY3: usize = 1;

/// Whether the engine has fill-aware coherence; until then the model plays it,
/// on top of an engine that is strict.
const ENGINE_KNOWS_FILLS: bool = true;

/// Changes that reach the siblings, alike in all stages of a walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coherence {
    Deletes,
    FillAware,
    Strict,
}

impl Coherence {
    /// Word for it in a configuration.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Deletes => "deletes",
            Self::FillAware if ENGINE_KNOWS_FILLS => "fill-aware",
            Self::Strict | Self::FillAware => "strict",
        }
    }
}

/// A stage: the mode of the family, and namespaces of its own if they change.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stage {
    pub(crate) name: &'static str,
    pub(crate) rule: &'static str,
    namespaces: &'static str,
}

impl Stage {
    const fn new(name: &'static str, rule: &'static str) -> Self {
        let namespaces = "[namespaces.py2]\nruntimes = \"python <3\"\n[namespaces.py3]\nruntimes = \"python >=3\"";
        Self {
            name,
            rule,
            namespaces,
        }
    }

    /// Isolated keys, with namespaces of its own.
    const fn isolated(name: &'static str, namespaces: &'static str) -> Self {
        Self {
            name,
            rule: "mode = \"isolate\"",
            namespaces,
        }
    }
}

/// No proxy at all is the same as this.
pub(crate) const SHARED: Stage = Stage::new("shared", "mode = \"shared\"");
pub(crate) const OBSERVE: Stage = Stage::new("observe", "mode = \"observe\"");
pub(crate) const GUARD: Stage = Stage::new("guard", "mode = \"guard\"");
pub(crate) const HALF: Stage = Stage::new("isolate 50 %", "mode = \"isolate\"\nrollout = 50");
pub(crate) const ISOLATE: Stage = Stage::new("isolate", "mode = \"isolate\"");
/// One runtime is left, and steps back are still safe: no sidecar is `shared`.
pub(crate) const RETIRE: Stage = Stage::new("retire", "mode = \"guard\"");
/// `py3` starts empty.
pub(crate) const NEW_EPOCH: Stage = Stage::isolated(
    "isolate, epoch 1",
    "[namespaces.py2]\nruntimes = \"python <3\"\n[namespaces.py3]\nruntimes = \"python >=3\"\nepoch = 1",
);
/// The epoch to come is known and not used yet.
pub(crate) const KNOWN_EPOCH: Stage = Stage::isolated(
    "isolate, epoch 1 known",
    "[namespaces.py2]\nruntimes = \"python <3\"\n[namespaces.py3]\nruntimes = \"python >=3\"\nalso_invalidate = [1]",
);
/// The epoch that was is still known.
pub(crate) const RAISED_EPOCH: Stage = Stage::isolated(
    "isolate, epoch 1 raised",
    "[namespaces.py2]\nruntimes = \"python <3\"\n[namespaces.py3]\nruntimes = \"python >=3\"\nepoch = 1\nalso_invalidate = [0]",
);
/// Python 3.11 gets a namespace of its own.
pub(crate) const NEW_NAMESPACE: Stage = Stage::isolated(
    "isolate, py311",
    "[namespaces.py2]\nruntimes = \"python <3\"\n[namespaces.py311]\nruntimes = \"python ==3.11\"\n[namespaces.py3]\nruntimes = \"python >=3\"",
);
/// The new namespace is known and not used yet, since the first that fits wins.
pub(crate) const KNOWN_NAMESPACE: Stage = Stage::isolated(
    "isolate, py311 known",
    "[namespaces.py2]\nruntimes = \"python <3\"\n[namespaces.py3]\nruntimes = \"python >=3\"\n[namespaces.py311]\nruntimes = \"python ==3.11\"",
);

/// The stages of a migration, walked up and down.
pub(crate) const MIGRATION: [Stage; 5] = [OBSERVE, GUARD, HALF, ISOLATE, RETIRE];

/// An operation on memcached, on one of its keys (by number).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op {
    Store(u8),
    Delete(u8),
    /// Stores where nothing is.
    Add(u8),
    /// Looks at what is in the way of an `add`.
    Probe(u8),
    /// Replaces exactly that.
    Swap(u8),
    /// Stores where something is.
    Replace(u8),
}

impl Op {
    /// The number of its key.
    pub(crate) fn key(self) -> usize {
        let (Self::Store(key)
        | Self::Delete(key)
        | Self::Add(key)
        | Self::Probe(key)
        | Self::Swap(key)
        | Self::Replace(key)) = self;
        key.into()
    }
}

/// Operations upstream of one change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Script {
    pub(crate) ops: Vec<Op>,
    /// The operations that are carried out when the client is answered.
    pub(crate) acked_after: usize,
    /// Whether the pickles of each runtime are left where they are by a swap.
    pub(crate) spared: [bool; 2],
}

/// Consequences of a stage for the client key of a runtime.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) mode: Mode,
    /// Whether the pickles of each runtime are shown to it.
    pub(crate) shown: [bool; 2],
    pub(crate) delete: Script,
    pub(crate) set: Script,
    /// A set that follows a miss.
    pub(crate) fill: Script,
    pub(crate) add: Script,
    /// A `cas`, and one that follows a miss.
    pub(crate) cas: Script,
    pub(crate) missed_cas: Script,
}

/// All that the model needs of the real code.
#[derive(Debug, Clone)]
pub(crate) struct Stages {
    pub(crate) names: Vec<&'static str>,
    /// By stage and runtime.
    pub(crate) plans: Vec<[Plan; 2]>,
    /// By reader and writer.
    pub(crate) loadable: [[bool; 2]; 2],
    /// The physical keys of the client key in all of the stages.
    pub(crate) keys: Vec<Vec<u8>>,
}

impl Stages {
    /// Compiles stages and asks the engine what they mean for a client key.
    pub(crate) fn new(stages: &[Stage], coherence: Coherence, client_key: &str) -> Self {
        let mut keys = Vec::new();
        let compile = |stage| config(stage, coherence, SHARED.rule);
        let configs: Vec<Config> = stages.iter().map(compile).collect();
        let plans = configs.iter().map(|config| {
            [PY2, PY3].map(|runtime| plan(config, coherence, runtime, client_key, &mut keys))
        });
        Self {
            names: stages.iter().map(|stage| stage.name).collect(),
            plans: plans.collect(),
            loadable: loadable(&configs[0]),
            keys,
        }
    }
}

/// The configuration of a stage, with a family of locks under a rule of its own.
pub(crate) fn config(stage: &Stage, coherence: Coherence, locks: &str) -> Config {
    let Stage {
        name,
        rule,
        namespaces,
    } = stage;
    let coherence = coherence.word();
    let toml = format!(
        "[upstream]\nservers = [\"127.0.0.1:11211\"]\n\
         [[listeners]]\nlisten = \"127.0.0.1:1\"\nruntime = \"python/3.11\"\n\
         {namespaces}\n\
         [[rules]]\nprefix = \"lock:\"\n{locks}\n\
         [[rules]]\nprefix = \"\"\n{rule}\ncoherence = \"{coherence}\"\n"
    );
    Config::parse(name, &toml).unwrap_or_else(|errors| panic!("{errors}"))
}

/// A client key that a rollout of 50 % takes in, or one that it does not.
pub(crate) fn client_key(inside: bool) -> &'static str {
    let mut keys = ["user:1", "user:2", "user:3", "user:4", "user:5", "user:6"].into_iter();
    let key = keys.find(|key| (bucket(key.as_bytes()) < 5000) == inside);
    key.expect("one of six is on either side")
}

/// Pickles that each version can load, judged by the header.
fn loadable(config: &Config) -> [[bool; 2]; 2] {
    let mut sniffer = Sniffer::default();
    RUNTIMES.map(|reader| {
        let reader = record::identity(config, reader).reader;
        PICKLES.map(|pickle| {
            let header = sniffer.sniff(&Encoding::default(), 1, pickle);
            reader.verdict(header.expect("a pickle")) != Verdict::Unloadable
        })
    })
}

fn plan(
    config: &Config,
    coherence: Coherence,
    runtime: usize,
    client_key: &str,
    keys: &mut Vec<Vec<u8>>,
) -> Plan {
    let tag = RUNTIMES[runtime];
    let decision = config
        .snapshot
        .decide(record::identity(config, tag), client_key.as_bytes());
    let shown = PICKLES.map(|pickle| is_shown(config, tag, client_key, pickle));
    let mut script = |recorded: Recorded| {
        let ops: Vec<Op> = recorded.asked.iter().map(|asked| op(asked, keys)).collect();
        let swaps = ops.iter().any(|op| matches!(op, Op::Swap(_)));
        Script {
            ops,
            acked_after: recorded.acked_after,
            spared: if swaps { shown } else { [true; 2] },
        }
    };
    let pickle = PICKLES[runtime];
    let delete = format!("delete {client_key}\r\n");
    let delete = script(record(config, tag, delete.as_bytes(), record::success));
    let store = record::store("set", client_key, pickle);
    let set = script(record(config, tag, &store, record::success));
    let fill = script(record_fill(config, tag, client_key, &store));
    let add = script(add(config, tag, client_key, pickle));
    let fill = match coherence {
        Coherence::FillAware if !ENGINE_KNOWS_FILLS => without_siblings(&fill),
        _ => fill,
    };
    let by_id = [
        &store[..store.len() - pickle.len() - 4],
        b" 7\r\n",
        pickle,
        b"\r\n",
    ]
    .concat();
    let by_id = [&b"cas"[..], &by_id[3..]].concat();
    let mut replaces = |recorded| {
        let mut script = script(recorded);
        let Op::Swap(key) = script.ops[0] else {
            panic!("a cas is one from the start");
        };
        script.ops[0] = Op::Replace(key);
        script.spared = [true; 2];
        script
    };
    let cas = replaces(record(config, tag, &by_id, record::success));
    let missed_cas = replaces(record_fill(config, tag, client_key, &by_id));
    let reaches = fill.ops.len() > 1;
    let strict = coherence == Coherence::Strict && decision.plan.has_others();
    assert_eq!(reaches, strict, "only under strict a fill deletes siblings");
    check_against(config, decision, (&delete, &set), client_key, keys);
    Plan {
        mode: decision.plan.mode,
        shown,
        delete,
        set,
        fill,
        add,
        cas,
        missed_cas,
    }
}

/// Holds what the engine did against what was decided: a get and a store go to
/// the own copy, a delete goes there first and then to every sibling.
fn check_against(
    config: &Config,
    decision: Decision<'_>,
    (delete, set): (&Script, &Script),
    client_key: &str,
    keys: &[Vec<u8>],
) {
    let codec = &config.snapshot.codec;
    let spaces = std::iter::once(decision.space).chain(decision.siblings(codec));
    let physical = spaces.map(|space| {
        let mut key = Vec::new();
        codec.encode(space, client_key.as_bytes(), &mut key);
        key
    });
    let deleted = delete.ops.iter().map(|op| keys[op.key()].clone());
    assert_eq!(deleted.collect::<Vec<_>>(), physical.collect::<Vec<_>>());
    assert_eq!(set.ops[0].key(), delete.ops[0].key());
}

/// An `add` that takes effect at once or, if the engine looks at what is in its
/// way, by replacing that.
fn add(config: &Config, tag: &str, client_key: &str, pickle: &[u8]) -> Recorded {
    let request = record::store("add", client_key, pickle);
    let at_once = record(config, tag, &request, record::success);
    let replacing = record(config, tag, &request, |asked| match &*asked.verb {
        "add" => b"NOT_STORED\r\n".to_vec(),
        "gets" => record::hit(asked, NOBODYS),
        _ => record::success(asked),
    });
    if replacing.asked.len() == 1 {
        return at_once;
    }
    // Where the `add` itself took effect, it goes on behind the swap.
    assert_eq!(at_once.asked[1..], replacing.asked[3..]);
    replacing
}

/// A change of the own copy alone.
pub(crate) fn without_siblings(script: &Script) -> Script {
    Script {
        ops: script.ops[..1].to_vec(),
        acked_after: 1,
        ..*script
    }
}

fn is_shown(config: &Config, tag: &str, client_key: &str, pickle: &[u8]) -> bool {
    let get = format!("get {client_key}\r\n");
    let recorded = record(config, tag, get.as_bytes(), |asked| {
        record::hit(asked, pickle)
    });
    recorded.reply.starts_with(b"VALUE ")
}

fn op(asked: &Asked, keys: &mut Vec<Vec<u8>>) -> Op {
    let key = number(&asked.key, keys);
    match &*asked.verb {
        "set" => Op::Store(key),
        "delete" => Op::Delete(key),
        "add" => Op::Add(key),
        "gets" => Op::Probe(key),
        "cas" => Op::Swap(key),
        other => panic!("a change that the model does not know: {other}"),
    }
}

/// The number of a physical key, the next one if it is new.
fn number(key: &[u8], keys: &mut Vec<Vec<u8>>) -> u8 {
    let known = keys.iter().position(|known| known == key);
    let at = known.unwrap_or_else(|| {
        keys.push(key.to_vec());
        keys.len() - 1
    });
    u8::try_from(at).expect("a handful of namespaces")
}
