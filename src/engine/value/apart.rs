//! Looks that are had apart: a value whose look would keep others waiting is a job,
//! which the shell has judged wherever it likes, in any order. Knows who waits for
//! what of it, and bounds the bytes of all jobs; looks at nothing itself.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;

use slab::Slab;

use crate::engine::meta::MetaReply;
use crate::engine::ticket::Ticket;
use crate::engine::value::judge::{Findings, Inline, Judge};
use crate::engine::value::judged::ValueStart;
use crate::pickle::Pause;
use crate::policy::{Identity, Look, OnMiss, Snapshot};
use crate::protocol::key::KeyBuf;

/// The part of the bytes of all jobs that large values may take: the others are on
/// lanes that most clients share.
const LARGE_SHARE: usize = 4;

/// Bounds of the looks that are had at once, and of those apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Apart {
    /// Values that are looked at among other work.
    pub inline: Inline,
    /// Bytes of all jobs under way. At the bound nothing more is taken from where the
    /// next value comes from.
    pub max_bytes: usize,
}

impl Default for Apart {
    /// 32 MiB.
    fn default() -> Self {
        Self {
            inline: Inline::default(),
            max_bytes: 32 << 20,
        }
    }
}

/// A value that has to be looked at.
#[derive(Debug)]
pub struct Job {
    id: u32,
    client: u32,
    snapshot: Arc<Snapshot>,
    identity: Identity,
    asks: Asks,
    flags: u32,
    bytes: Vec<u8>,
    /// Place of the value in the bytes.
    value: Range<usize>,
}

/// Questions about a value.
#[derive(Debug)]
pub(in crate::engine) enum Asks {
    /// Shows a reader what it gets.
    Read(Look),
    /// Whether a writer may store it under this client key.
    Write(Box<KeyBuf>),
}

/// Result of a job.
#[derive(Debug)]
pub struct JobDone {
    pub(in crate::engine) id: u32,
    pub(in crate::engine) findings: Findings,
    /// The job's.
    pub(in crate::engine) bytes: Vec<u8>,
    pub(in crate::engine) value: Range<usize>,
    pub(in crate::engine) key: Option<Box<KeyBuf>>,
}

/// Does jobs, one after another; keeps the memory for it.
#[derive(Debug)]
pub struct JobRunner {
    judge: Option<Judge>,
    pause: Pause,
}

impl JobRunner {
    /// One that pauses now and then.
    pub fn new(pause: Pause) -> Self {
        Self { judge: None, pause }
    }

    /// Looks at a job's value, however long that takes.
    pub fn judge(&mut self, job: Job) -> JobDone {
        let Job {
            id,
            snapshot,
            identity,
            asks,
            flags,
            bytes,
            value,
            ..
        } = job;
        let known = self.judge.take();
        let known = known.filter(|judge| judge.is_of(&snapshot));
        let judge =
            known.unwrap_or_else(|| Judge::new(Arc::clone(&snapshot), Inline::ALL, self.pause));
        let judge = self.judge.insert(judge);
        let whole = &bytes[value.clone()];
        let (judged, key) = match asks {
            Asks::Read(look) => {
                let seen = ValueStart {
                    flags,
                    bytes: whole,
                    len: whole.len(),
                };
                (judge.judge_read(identity, look, seen), None)
            }
            Asks::Write(key) => {
                let decision = snapshot.decide(identity, &key);
                (
                    judge.judge_write(identity.space, decision, (flags, whole)),
                    Some(key),
                )
            }
        };
        JobDone {
            id,
            findings: judge.give(judged),
            bytes,
            value,
            key,
        }
    }
}

impl Job {
    /// Who waits for it: jobs of one client are best done in turns with those of
    /// others.
    pub fn client(&self) -> u32 {
        self.client
    }
}

/// Whoever waits for what becomes of a value.
#[derive(Debug)]
pub(in crate::engine) enum Awaits {
    /// The slot of a request.
    Slot(Ticket, Wants),
    /// The cache: a client that goes on with this store once it is judged.
    Store(u32),
}

/// The use of a value that a slot waits for.
#[derive(Debug)]
pub(in crate::engine) enum Wants {
    /// A retrieval, where its line and itself go.
    Value {
        client_key: Box<KeyBuf>,
        on_miss: OnMiss,
    },
    /// A retrieval as well, for a copy of another: the next that may be asked for.
    Through {
        client_key: Box<KeyBuf>,
        on_miss: OnMiss,
        next: usize,
    },
    /// An `mg`.
    Meta {
        client_key: Box<KeyBuf>,
        meta: MetaReply,
        /// The flags with which copies of others are asked for, where they are.
        flags: Option<Vec<u8>>,
    },
    /// A change that it is in the way of: its CAS id.
    Probe { cas: u64 },
}

impl Awaits {
    /// The client it is for.
    fn client(&self) -> u32 {
        match self {
            Self::Slot(ticket, _) => ticket.client,
            Self::Store(client) => *client,
        }
    }
}

/// All jobs of a worker.
#[derive(Debug)]
pub(in crate::engine) struct Jobs {
    snapshot: Arc<Snapshot>,
    limit: usize,
    /// By number.
    under_way: Slab<(Awaits, usize)>,
    /// The bytes of those.
    bytes: usize,
    /// Jobs since the start.
    all: u64,
    /// Jobs that nobody has taken yet.
    new: Vec<Job>,
    /// Findings about the stores that their clients go on with.
    stores: HashMap<u32, Findings>,
    /// Clients with a store that waits for room, and how much.
    waiting: VecDeque<(u32, usize)>,
}

impl Jobs {
    pub(in crate::engine) fn new(snapshot: Arc<Snapshot>, limit: usize) -> Self {
        Self {
            snapshot,
            limit,
            under_way: Slab::new(),
            bytes: 0,
            all: 0,
            new: Vec::new(),
            stores: HashMap::new(),
            waiting: VecDeque::new(),
        }
    }

    /// Whether nothing is under way.
    pub(in crate::engine) fn is_idle(&self) -> bool {
        self.under_way.is_empty()
    }

    /// Bytes of all that is under way.
    pub(in crate::engine) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Number of jobs since the start.
    pub(in crate::engine) fn count(&self) -> u64 {
        self.all
    }

    /// Works by other settings, while nothing is under way.
    pub(in crate::engine) fn adopt(&mut self, snapshot: Arc<Snapshot>, limit: usize) {
        let all = self.all;
        *self = Self::new(snapshot, limit);
        self.all = all;
    }

    /// Whether a value of this size fits. One alone always does, so that nothing
    /// waits for nothing.
    pub(in crate::engine) fn has_room(&self, bytes: usize, is_large: bool) -> bool {
        let kept = if is_large {
            self.limit / LARGE_SHARE
        } else {
            0
        };
        self.is_idle() || self.bytes + bytes <= self.limit - kept
    }

    /// Adds a look at a value for a reader or a writer; its number.
    pub(in crate::engine) fn add(
        &mut self,
        awaits: Awaits,
        identity: Identity,
        asks: Asks,
        flags: u32,
        (bytes, value): (Vec<u8>, Range<usize>),
    ) -> u32 {
        self.bytes += bytes.len();
        self.all += 1;
        let client = awaits.client();
        // Each has a byte at least, and those are bounded far below 2^32.
        let id = self.under_way.insert((awaits, bytes.len())) as u32;
        self.new.push(Job {
            id,
            client,
            snapshot: Arc::clone(&self.snapshot),
            identity,
            asks,
            flags,
            bytes,
            value,
        });
        id
    }

    /// Takes those that nobody has taken yet.
    pub(in crate::engine) fn take_new(&mut self) -> Vec<Job> {
        std::mem::take(&mut self.new)
    }

    /// A job is done: what its value was on its way to, and how many bytes it had.
    pub(in crate::engine) fn done(&mut self, id: u32) -> (Awaits, usize) {
        let (awaits, bytes) = self.under_way.remove(id as usize);
        self.bytes -= bytes;
        (awaits, bytes)
    }

    // Stores ---------------------------------------------------------------

    /// Takes the findings about the store that a client goes on with.
    pub(in crate::engine) fn take_store(&mut self, client: u32) -> Option<Findings> {
        self.stores.remove(&client)
    }

    /// Keeps that until the client goes on.
    pub(in crate::engine) fn keep_store(&mut self, client: u32, findings: Findings) {
        self.stores.insert(client, findings);
    }

    /// A client goes on with its store once there is room for it.
    pub(in crate::engine) fn wait(&mut self, client: u32, bytes: usize) {
        if !self.waiting.iter().any(|(known, _)| *known == client) {
            self.waiting.push_back((client, bytes));
        }
    }

    /// The clients that there is room for now, first come, first served.
    pub(in crate::engine) fn take_waiting(&mut self) -> Vec<u32> {
        let mut free = self.limit.saturating_sub(self.bytes);
        let mut taken = Vec::new();
        while let Some(&(client, bytes)) = self.waiting.front() {
            if bytes > free && !(self.is_idle() && taken.is_empty()) {
                break;
            }
            free = free.saturating_sub(bytes);
            taken.push(client);
            self.waiting.pop_front();
        }
        taken
    }

    /// A client is gone.
    pub(in crate::engine) fn forget(&mut self, client: u32) {
        self.stores.remove(&client);
        self.waiting.retain(|(waits, _)| *waits != client);
    }
}
