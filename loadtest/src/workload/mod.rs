//! The load: every key, value and request line, and the order of the requests, all made
//! before the clock starts. Opens no socket.

mod keyspace;
mod script;
mod value;

pub(crate) use keyspace::{Item, Keyspace};

use crate::cli::Mix;
use crate::target::Target;

/// A request. Numbers index the keys and the multi-gets of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op {
    Get(u32),
    Set(u32),
    MultiGet(u32),
}

/// A reason why a load cannot be made as it was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WorkloadError {
    #[error("give get, set or multi-get a weight above 0")]
    NoWeight,
    #[error("{0} keys in a multi-get, but only {1} keys")]
    FewKeys(usize, usize),
    #[error("a pickle with its key twice is {0} bytes or more: ask for that many, or for --raw")]
    SmallPickle(usize),
    #[error("key prefix must be 1 to 200 bytes without spaces or control characters")]
    Prefix,
    #[error("cannot pickle: {0}")]
    Pickle(#[from] serde_pickle::Error),
}

/// The whole load.
#[derive(Debug)]
pub(crate) struct Workload {
    /// The keys of each target.
    pub(crate) keyspaces: Vec<Keyspace>,
    /// The requests, over and over.
    pub(crate) script: Vec<Op>,
}

impl Workload {
    /// Makes the load that the command line asks for.
    ///
    /// # Errors
    /// Where the parts do not fit together.
    pub(crate) fn new(
        mix: &Mix,
        targets: &[Target],
        shared_keys: bool,
    ) -> Result<Self, WorkloadError> {
        check(mix)?;
        let batches = script::multigets(mix);
        let keyspaces = targets
            .iter()
            .enumerate()
            .map(|(number, target)| {
                let number = if shared_keys { 0 } else { number };
                Keyspace::new(mix, number, target.is_python2(), &batches)
            })
            .collect::<Result<_, _>>()?;
        let script = script::script(mix);
        Ok(Self { keyspaces, script })
    }
}

fn check(mix: &Mix) -> Result<(), WorkloadError> {
    if mix.get + mix.set + mix.multiget == 0 {
        return Err(WorkloadError::NoWeight);
    }
    if mix.multiget > 0 && mix.multiget_keys > mix.keys {
        return Err(WorkloadError::FewKeys(mix.multiget_keys, mix.keys));
    }
    let prefix = mix.prefix.as_bytes();
    if !(1..=200).contains(&prefix.len()) || prefix.iter().any(|b| *b <= b' ' || *b == 127) {
        return Err(WorkloadError::Prefix);
    }
    Ok(())
}
