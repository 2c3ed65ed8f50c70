//! Counts and latencies of one load, and when they count: a warm-up, then the
//! measured window, then what is still owed. Reads the clock of nobody: times
//! are passed in.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use procfs::ProcResult;

use crate::watch::{self, Watched};
use crate::workload::Op;

/// Longest latency that is told from longer ones.
const MAX_LATENCY_NS: u64 = 60_000_000_000;
/// Wrong replies and errors that are kept to be shown.
const SAMPLES: usize = 5;

/// The outcome of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Every key asked for came with its own value.
    Hit,
    /// So many keys were not there; the others were right.
    Miss(u32),
    Stored,
    /// The server said that it could not.
    Error(String),
    /// Not the reply that was owed.
    Wrong(String),
}

/// The latencies of the requests of one kind.
#[derive(Debug, Clone)]
pub(crate) struct Latencies(pub(crate) Histogram<u64>);

impl Default for Latencies {
    fn default() -> Self {
        let histogram = Histogram::new_with_bounds(1, MAX_LATENCY_NS, 3);
        Self(histogram.expect("the bounds are constants and valid"))
    }
}

impl Latencies {
    fn record(&mut self, latency: Duration) {
        self.0.saturating_record(latency.as_nanos() as u64);
    }
}

/// The counts of the window, and of errors and wrong replies at any time.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally {
    pub(crate) get: Latencies,
    pub(crate) set: Latencies,
    pub(crate) multiget: Latencies,
    pub(crate) missing_keys: u64,
    pub(crate) errors: u64,
    pub(crate) wrong: u64,
    pub(crate) samples: Vec<String>,
    /// The time that the window was open.
    pub(crate) elapsed: Duration,
    /// CPU that the watched processes had in it.
    pub(crate) cpu_ns: BTreeMap<String, u64>,
    /// Requests that were due in it and not answered when it closed.
    pub(crate) behind: u64,
}

impl Tally {
    /// Requests answered in the window.
    pub(crate) fn requests(&self) -> u64 {
        self.get.0.len() + self.set.0.len() + self.multiget.0.len()
    }

    fn latencies(&mut self, op: Op) -> &mut Latencies {
        match op {
            Op::Get(_) => &mut self.get,
            Op::Set(_) => &mut self.set,
            Op::MultiGet(_) => &mut self.multiget,
        }
    }

    fn keep(&mut self, sample: String) {
        if self.samples.len() < SAMPLES {
            self.samples.push(sample);
        }
    }
}

/// The extent of a measurement.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Extent {
    Time { warmup: Duration, window: Duration },
    Requests(u64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Warmup,
    Window,
    Over,
}

/// Opens and closes the window, and counts what comes in between.
#[derive(Debug)]
pub(crate) struct Meter {
    pub(crate) tally: Tally,
    phase: Phase,
    opens: Instant,
    closes: Option<Instant>,
    /// Requests that may still be sent.
    left: u64,
    watched: Vec<Watched>,
    cpu_before: BTreeMap<String, u64>,
    progress: Option<Progress>,
}

impl Meter {
    pub(crate) fn new(extent: Extent, watched: &[Watched], progress: bool, now: Instant) -> Self {
        let (opens, closes, left) = match extent {
            Extent::Time { warmup, window } => {
                (now + warmup, Some(now + warmup + window), u64::MAX)
            }
            Extent::Requests(requests) => (now, None, requests),
        };
        Self {
            tally: Tally::default(),
            phase: Phase::Warmup,
            opens,
            closes,
            left,
            watched: watched.to_vec(),
            cpu_before: BTreeMap::new(),
            progress: progress.then(|| Progress::new(now)),
        }
    }

    /// Opens or closes the window if it is time; true once it is closed.
    pub(crate) fn tick(&mut self, now: Instant) -> ProcResult<bool> {
        if self.phase == Phase::Warmup && now >= self.opens {
            self.phase = Phase::Window;
            self.cpu_before = watch::cpu_ns(&self.watched)?;
            self.opens = now;
        }
        if self.phase == Phase::Window && self.closes.is_some_and(|closes| now >= closes) {
            self.close(now)?;
        }
        if let Some(progress) = &mut self.progress
            && self.phase != Phase::Over
        {
            progress.tick(now);
        }
        Ok(self.phase == Phase::Over)
    }

    /// Ends the window.
    pub(crate) fn close(&mut self, now: Instant) -> ProcResult<()> {
        if self.phase == Phase::Over {
            return Ok(());
        }
        self.phase = Phase::Over;
        self.tally.elapsed = now.saturating_duration_since(self.opens);
        for (name, after) in watch::cpu_ns(&self.watched)? {
            let before = self.cpu_before.get(&name).copied().unwrap_or(after);
            self.tally.cpu_ns.insert(name, after - before);
        }
        Ok(())
    }

    /// Tells whether another request may be sent, and then counts it as sent.
    pub(crate) fn admit(&mut self) -> bool {
        let admitted = self.left > 0 && self.phase != Phase::Over;
        self.left -= u64::from(admitted);
        admitted
    }

    /// Tells whether all requests that there are to be have been sent.
    pub(crate) fn is_spent(&self) -> bool {
        self.left == 0 || self.phase == Phase::Over
    }

    /// Counts a reply.
    pub(crate) fn record(&mut self, op: Op, latency: Duration, outcome: Outcome) {
        let counts = self.phase == Phase::Window;
        if counts {
            self.tally.latencies(op).record(latency);
        }
        match outcome {
            Outcome::Hit | Outcome::Stored => {}
            Outcome::Miss(keys) => self.tally.missing_keys += u64::from(counts) * u64::from(keys),
            Outcome::Error(what) => {
                self.tally.errors += 1;
                self.tally
                    .keep(format!("error: {op:?} was answered {what:?}"));
            }
            Outcome::Wrong(what) => {
                self.tally.wrong += 1;
                self.tally.keep(format!("wrong: {what}"));
            }
        }
        if let Some(progress) = &mut self.progress {
            progress.record(latency);
        }
    }
}

/// A line each second on standard error.
#[derive(Debug)]
struct Progress {
    started: Instant,
    last: Instant,
    latencies: Latencies,
}

impl Progress {
    fn new(now: Instant) -> Self {
        Self {
            started: now,
            last: now,
            latencies: Latencies::default(),
        }
    }

    fn record(&mut self, latency: Duration) {
        self.latencies.record(latency);
    }

    fn tick(&mut self, now: Instant) {
        let since = now - self.last;
        if since < Duration::from_secs(1) {
            return;
        }
        let histogram = &mut self.latencies.0;
        eprintln!(
            "{:>4.0} s {:>9.0} requests/s   p50 {:>8.1} us   p99 {:>8.1} us",
            (now - self.started).as_secs_f64(),
            histogram.len() as f64 / since.as_secs_f64(),
            histogram.value_at_quantile(0.5) as f64 / 1e3,
            histogram.value_at_quantile(0.99) as f64 / 1e3,
        );
        histogram.reset();
        self.last = now;
    }
}
