//! The database that the clients cache, and the judge of what they read: one
//! lock orders everything that clients do and report, so that each claim is
//! about what was over before something else began.
//!
//! A client talks in lines; `->` marks those that are answered:
//!
//! | line | meaning |
//! |---|---|
//! | `start KEY` `-> go \| stop` | a read of the cache begins |
//! | `got VERSION ID`, `missed`, `unreadable SIDE` | how it ended |
//! | `read KEY` `-> VERSION ID` | reads the row, to fill the cache with it |
//! | `bump KEY` `-> VERSION ID` | changes the row, to tell the cache then |
//! | `done ID` | the cache has acknowledged that |
//! | `hold NAME`, `release NAME` `-> ok` | a lock is held, is about to be released |
//! | `count NAME`, `unsure NAME` | an increment was acknowledged, or may have happened |
//! | `failed WHAT` | the cache answered by an error |

use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

/// Keys of this family are read after no older store than the last one.
pub(crate) const STRICT: &str = "strict:";
/// Violations that are kept; one is enough to fail.
const MAX_VIOLATIONS: usize = 20;

/// A moment: the number of things that clients had said before it.
type Moment = u64;

/// Actions of the clients, counted.
#[derive(Debug, Default, Clone)]
pub(crate) struct Counts {
    pub(crate) reads: u64,
    pub(crate) hits: u64,
    pub(crate) misses: u64,
    /// Acknowledged stores of what was missed.
    pub(crate) fills: u64,
    /// Acknowledged deletes, and stores of what was changed, by family.
    pub(crate) changes: BTreeMap<String, u64>,
    /// Old versions that were read where a plain memcached has that race, too.
    pub(crate) races: u64,
    /// Values that a client could not load while nothing was to be hidden from it.
    pub(crate) unreadable: u64,
    pub(crate) locks: u64,
    /// Acknowledged increments and swaps, by key.
    pub(crate) counted: BTreeMap<String, u64>,
    pub(crate) unsure: BTreeMap<String, u64>,
    /// Errors that clients met.
    pub(crate) failures: Vec<String>,
    /// Of whatever must not be.
    pub(crate) violations: Vec<String>,
}

/// The database, served on a loopback port until the process ends.
#[derive(Clone)]
pub(crate) struct Database {
    pub(crate) addr: String,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    now: Moment,
    rows: HashMap<String, Row>,
    operations: Vec<Operation>,
    /// Holders of locks.
    holders: HashMap<String, u64>,
    /// Since when each sidecar hides what its reader cannot load.
    hides: HashMap<String, Moment>,
    counts: Counts,
    stopped: bool,
}

#[derive(Debug, Default)]
struct Row {
    version: u64,
    /// Changes that the cache must not be behind, in the order of acknowledgement.
    barriers: Vec<Barrier>,
    /// The newest version among those.
    floor: u64,
}

/// An acknowledged change: no copy that was stored before it began is left.
#[derive(Debug, Clone, Copy)]
struct Barrier {
    version: u64,
    began: Moment,
    acknowledged: Moment,
}

/// A fill or a change on its way to the cache.
#[derive(Debug)]
struct Operation {
    key: String,
    version: u64,
    is_fill: bool,
    began: Moment,
    acknowledged: Option<Moment>,
}

/// A read of the cache that is under way.
#[derive(Debug)]
struct Reading {
    key: String,
    began: Moment,
    /// Version that had been acknowledged by then.
    floor: u64,
}

impl Database {
    pub(crate) fn serve() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
        let database = Self {
            addr: listener.local_addr().expect("it is bound").to_string(),
            state: Arc::default(),
        };
        let served = database.clone();
        // Ends with the test process.
        thread::spawn(move || {
            for (client, stream) in (0..).zip(listener.incoming()) {
                let served = served.clone();
                let stream = stream.expect("a client");
                thread::spawn(move || served.talk(client, &stream));
            }
        });
        database
    }

    /// From now on a sidecar hides what its reader cannot load, or may not.
    pub(crate) fn hides(&self, side: &str, hides: bool) {
        let mut state = self.state();
        state.now += 1;
        let now = state.now;
        if hides {
            state.hides.entry(side.to_owned()).or_insert(now);
        } else {
            state.hides.remove(side);
        }
    }

    /// Asks the clients to end.
    pub(crate) fn stop(&self) {
        self.state().stopped = true;
    }

    pub(crate) fn counts(&self) -> Counts {
        self.state().counts.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics while they hold it")
    }

    fn talk(&self, client: u64, stream: &TcpStream) {
        stream.set_nodelay(true).expect("a TCP socket");
        let mut reading = None;
        let lines = BufReader::new(stream).lines();
        for line in lines.map_while(Result::ok) {
            let reply = self.state().take(client, &line, &mut reading);
            if let Some(reply) = reply
                && (&mut &*stream).write_all(reply.as_bytes()).is_err()
            {
                break;
            }
        }
    }
}

impl State {
    /// Takes a line of a client; its reply, if it has one.
    fn take(&mut self, client: u64, line: &str, reading: &mut Option<Reading>) -> Option<String> {
        self.now += 1;
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "start" => {
                *reading = Some(self.start(rest));
                let go = if self.stopped { "stop\n" } else { "go\n" };
                return Some(go.to_owned());
            }
            "got" => {
                let (version, id) = rest.split_once(' ').expect("a version and a number");
                self.counts.hits += 1;
                self.judge(&reading.take().expect("it began"), number(version), id);
            }
            "missed" => {
                reading.take();
                self.counts.misses += 1;
            }
            "unreadable" => self.unreadable(&reading.take().expect("it began"), rest),
            "read" => return Some(self.begin(rest, true)),
            "bump" => return Some(self.begin(rest, false)),
            "done" => self.done(number(rest)),
            "hold" => self.hold(client, rest),
            "release" => {
                self.holders.remove(rest);
                return Some("ok\n".to_owned());
            }
            "count" => *self.counts.counted.entry(rest.to_owned()).or_default() += 1,
            "unsure" => *self.counts.unsure.entry(rest.to_owned()).or_default() += 1,
            "failed" => self.counts.failures.push(rest.to_owned()),
            _ => self.violated(format!("a client says {line:?}")),
        }
        None
    }

    fn start(&mut self, key: &str) -> Reading {
        self.counts.reads += 1;
        Reading {
            key: key.to_owned(),
            began: self.now,
            floor: self.rows.get(key).map_or(0, |row| row.floor),
        }
    }

    /// Begins what is to reach the cache: the version, and the number that its
    /// copy bears.
    fn begin(&mut self, key: &str, is_fill: bool) -> String {
        let row = self.rows.entry(key.to_owned()).or_default();
        if !is_fill {
            row.version += 1;
        }
        self.operations.push(Operation {
            key: key.to_owned(),
            version: row.version,
            is_fill,
            began: self.now,
            acknowledged: None,
        });
        format!("{} {}\n", row.version, self.operations.len() - 1)
    }

    fn done(&mut self, id: u64) {
        let operation = &mut self.operations[id as usize];
        operation.acknowledged = Some(self.now);
        if operation.is_fill {
            self.counts.fills += 1;
        } else {
            let family = operation.key.split(':').next().unwrap_or_default();
            *self.counts.changes.entry(family.to_owned()).or_default() += 1;
        }
        if operation.is_fill && !operation.key.starts_with(STRICT) {
            return;
        }
        let row = self.rows.entry(operation.key.clone()).or_default();
        row.floor = row.floor.max(operation.version);
        row.barriers.push(Barrier {
            version: operation.version,
            began: operation.began,
            acknowledged: self.now,
        });
    }

    /// Whether a copy may have been read: not if it was stored before a change to
    /// a newer version began, and that was acknowledged before the read began. All
    /// other old copies were stored beside or after that change, by whoever had
    /// read the row before it: plain memcached has that race.
    fn judge(&mut self, reading: &Reading, version: u64, id: &str) {
        let copy = &self.operations[number(id) as usize];
        if copy.key != reading.key || copy.version != version {
            let told = format!("a read of {} gets {copy:?}", reading.key);
            return self.violated(told);
        }
        if version >= reading.floor {
            return;
        }
        let row = &self.rows[&reading.key];
        let outlived = row.barriers.iter().rev().find(|barrier| {
            barrier.version > version
                && barrier.acknowledged < reading.began
                && copy
                    .acknowledged
                    .is_some_and(|stored| stored < barrier.began)
        });
        match outlived {
            None => self.counts.races += 1,
            Some(barrier) => {
                let told = format!("{reading:?} gets {copy:?} after {barrier:?}");
                self.violated(told);
            }
        }
    }

    fn unreadable(&mut self, reading: &Reading, side: &str) {
        let hidden = self.hides.get(side);
        if hidden.is_some_and(|since| *since < reading.began) {
            let told = format!("sidecar {side} hands out what its reader cannot load: {reading:?}");
            self.violated(told);
        } else {
            self.counts.unreadable += 1;
        }
    }

    fn hold(&mut self, client: u64, name: &str) {
        self.counts.locks += 1;
        if let Some(other) = self.holders.insert(name.to_owned(), client) {
            self.violated(format!("{client} and {other} hold {name}"));
        }
    }

    fn violated(&mut self, what: String) {
        if self.counts.violations.len() < MAX_VIOLATIONS {
            self.counts.violations.push(what);
        }
    }
}

fn number(text: &str) -> u64 {
    text.parse().expect("clients say numbers")
}
