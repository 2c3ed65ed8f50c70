//! A worker without its clients and lanes: one clock, counts, buffers and judge for all
//! of them. Knows neither who is connected nor what is asked of a server.

use std::sync::Arc;

use super::counts::Counts;
use super::counts::families::Families;
use super::counts::fills::FillMemory;
use super::notes::{Kind, Notes};
use super::pool::Pool;
use super::settings::Settings;
use super::value::apart::Jobs;
use super::value::judge::Judge;
use crate::pickle::Pause;

/// The most that one turn adds to the steady clock: a process that was stopped did not
/// listen meanwhile.
const MAX_STEP_US: u64 = 250_000;

/// A worker's time, in microseconds, as the shell told it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Clock {
    /// Since any fixed point.
    pub now_us: u64,
    /// Without the time in which the process did not run: how long somebody has waited
    /// is measured by it.
    pub steady_us: u64,
}

impl Clock {
    /// Sets both.
    pub(super) fn set(&mut self, us: u64) {
        self.steady_us += us.saturating_sub(self.now_us).min(MAX_STEP_US);
        self.now_us = us;
    }
}

/// A worker without its clients and lanes.
#[derive(Debug)]
pub struct Context {
    /// Set once a turn.
    pub clock: Clock,
    /// Numbers for the metrics.
    pub counts: Counts,
    /// Reads and writes by what keys start with.
    pub(super) families: Families,
    /// Recent misses, by which a write is known to fill one.
    pub(super) fills: FillMemory,
    /// Lines for the log.
    pub(super) notes: Notes,
    /// Looks that are had at once.
    pub judge: Judge,
    /// Looks that are had apart.
    pub(super) jobs: Jobs,
    /// Buffers and keys to be used again.
    pub(super) pool: Pool,
    /// Scratch space for reply lines that are rewritten.
    pub line_buffer: Vec<u8>,
    /// Scratch space for the servers of one retrieval's keys.
    pub owners: Vec<usize>,
}

impl Context {
    /// Nothing counted yet.
    pub(super) fn new(settings: &Settings, fills: FillMemory) -> Self {
        let Settings {
            snapshot, apart, ..
        } = settings;
        let spaces = snapshot.codec.spaces().len();
        Self {
            clock: Clock::default(),
            counts: Counts::new(spaces),
            families: Families::under(snapshot),
            fills,
            notes: Notes::default(),
            judge: Judge::new(Arc::clone(snapshot), apart.inline, Pause::NONE),
            jobs: Jobs::new(Arc::clone(snapshot), apart.max_bytes),
            pool: Pool::default(),
            line_buffer: Vec::new(),
            owners: Vec::new(),
        }
    }

    /// Replaces what is numbered by the settings of before, while nothing is under way.
    pub(super) fn adopt(&mut self, settings: &Settings) {
        let Settings {
            snapshot, apart, ..
        } = settings;
        let spaces = snapshot.codec.spaces().len();
        self.fills.renumber(&snapshot.namespaces);
        self.counts = Counts::new(spaces);
        self.families = Families::under(snapshot);
        // Stores that their clients still go on with were judged by the old settings.
        self.jobs.adopt(Arc::clone(snapshot), apart.max_bytes);
        self.judge = Judge::new(Arc::clone(snapshot), apart.inline, Pause::NONE);
    }

    /// Whether there are further copies than the own one and these.
    pub(super) fn has_others(&self, asked: u8) -> bool {
        usize::from(asked) < self.judge.namespaces()
    }

    /// Notes a line for the log, unless its kind was told of a moment ago.
    pub(super) fn note(&mut self, kind: Kind, line: impl FnOnce() -> String) {
        self.notes.note(kind, self.clock.now_us, line);
    }

    /// Takes the lines for the log.
    pub(super) fn take_notes(&mut self) -> Vec<String> {
        let mut notes = self.judge.take_notes();
        notes.append(&mut self.notes.take());
        notes
    }
}
