//! The engine that the benchmarks share: it isolates two Pythons in front of one
//! server. With its turns, and the values in them.

// Every benchmark compiles its own copy and uses a part of it.
#![allow(dead_code)]

#[path = "../../../tests/support/replay.rs"]
mod replay;
#[path = "../../../tests/support/rig.rs"]
mod rig;

use std::path::{Path, PathBuf};

pub(crate) use replay::Replay;
pub(crate) use rig::config;

use picklegate::engine::MAX_IN_FLIGHT;
use rig::Rig;

/// The bytes that a worker reads at once.
const READ_BYTES: usize = 64 << 10;

/// The key that most turns are about.
pub(crate) const KEY: &str = "user:0042";

/// A pickle of protocol 4, of this many bytes: a record with a text that fills it.
pub(crate) fn pickle(bytes: usize) -> Vec<u8> {
    const START: &[u8] = b"}\x94(\x8c\x02id\x94M90\x8c\x04name\x94\x8c\x05Alice\x94\
        \x8c\x06active\x94\x88\x8c\x05roles\x94]\x94(\x8c\x05admin\x94\x8c\x04user\x94e\
        \x8c\x04text\x94X";
    const END: &[u8] = b"\x94u.";
    let framed = bytes - b"\x80\x04\x95".len() - 8;
    let text = framed - START.len() - 4 - END.len();
    let mut pickle = b"\x80\x04\x95".to_vec();
    pickle.extend((framed as u64).to_le_bytes());
    pickle.extend(START);
    pickle.extend((text as u32).to_le_bytes());
    pickle.resize(pickle.len() + text, b't');
    pickle.extend(END);
    pickle
}

/// A line, and its value.
pub(crate) fn store(line: &str, value: &[u8]) -> Vec<u8> {
    [line.as_bytes(), b"\r\n", value, b"\r\n"].concat()
}

/// `set` of a pickle.
pub(crate) fn set(key: &str, bytes: usize) -> Vec<u8> {
    store(&format!("set {key} 1 0 {bytes}"), &pickle(bytes))
}

/// A key of those that [`multi_get`] names.
fn nth(n: usize) -> String {
    format!("user:{n:04}")
}

/// A retrieval of this many keys.
pub(crate) fn multi_get(keys: usize) -> String {
    let keys = (0..keys).map(|n| format!(" {}", nth(n)));
    format!("get{}\r\n", keys.collect::<String>())
}

/// Stores the values that [`multi_get`] finds, 100 bytes each.
pub(crate) fn sets(keys: usize) -> Vec<u8> {
    (0..keys).flat_map(|n| set(&nth(n), 100)).collect()
}

/// A turn of this many clients that all ask the same, after what was `given`.
pub(crate) fn turn(clients: u32, given: &[u8], requests: &[u8]) -> Replay {
    turn_under("mode = \"isolate\"", clients, given, requests)
}

/// One turn of an engine under `rule` for all keys.
pub(crate) fn turn_under(rule: &str, clients: u32, given: &[u8], requests: &[u8]) -> Replay {
    let mut rig = Rig::new(&config(1, rule), 1);
    let clients = (0..clients).map(|_| rig.open("py3")).collect::<Vec<_>>();
    rig.ask(clients[0], given);
    // From then on a client has as much under way as it ever may.
    for _ in 0..MAX_IN_FLIGHT {
        for &client in &clients {
            rig.ask(client, requests);
        }
    }
    let inputs = clients
        .into_iter()
        .map(|client| (client, requests.to_vec()));
    Replay::record(rig, inputs.collect(), READ_BYTES)
}

/// A pickle that `pickles.py` has written.
pub(crate) fn recorded(name: &str) -> Vec<u8> {
    let path = recorded_path(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Path of that recording.
pub(crate) fn recorded_path(name: &str) -> PathBuf {
    let directory = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../tests/fixtures/pickles/bench"
    );
    Path::new(directory).join(name).with_extension("pickle")
}
