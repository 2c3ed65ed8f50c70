//! Everything that a comparison measured, in the order it was measured.

use std::collections::BTreeMap;

use serde::Serialize;

use super::contender::Kind;
use super::ratio::{Bound, Spread};
use crate::report::Report;
use crate::watch::LOAD;

/// The results to print, to plot and to keep.
#[derive(Debug, Default, Serialize)]
pub(super) struct Results {
    pub(super) machine: Vec<String>,
    pub(super) works: Vec<WorkResult>,
    /// By contender.
    pub(super) memory: BTreeMap<&'static str, Memory>,
    /// Of the proxy, for each request of 64 connections, by contender.
    pub(super) system_calls: BTreeMap<&'static str, f64>,
    /// In user space, of picklegate: what for, and how many.
    pub(super) instructions: BTreeMap<&'static str, f64>,
    pub(super) claims: Vec<Claim>,
    /// The measurements that could not be made, and why.
    pub(super) skipped: Vec<String>,
    /// The reasons to doubt figures.
    pub(super) doubts: Vec<String>,
    /// Wrong replies and errors.
    pub(super) faults: Vec<String>,
}

/// The rounds of one work.
#[derive(Debug, Serialize)]
pub(super) struct WorkResult {
    pub(super) name: &'static str,
    pub(super) load: String,
    /// By contender, one report for each round.
    pub(super) rounds: Vec<(&'static str, Vec<Report>)>,
}

/// Memory of a proxy (of memcached itself where there is none).
#[derive(Debug, Clone, Serialize)]
pub(super) struct Memory {
    pub(super) base_kib: u64,
    /// Idle connections, and what it then held.
    pub(super) held: Vec<(usize, u64)>,
}

impl Memory {
    /// KiB for each of the most connections that were held.
    pub(super) fn kib_each(&self) -> Option<f64> {
        let (connections, kib) = self.held.last()?;
        Some((*kib as f64 - self.base_kib as f64) / *connections as f64)
    }
}

/// A figure of one round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Figure {
    Throughput,
    ProxyCpu,
    MemcachedCpu,
    LoadCpu,
    P50,
    P90,
    P99,
    P999,
}

impl Figure {
    fn of(self, report: &Report) -> f64 {
        let cpu = |name| report.cpu_us_per_request.get(name).copied();
        match self {
            Self::Throughput => report.requests_per_second,
            Self::ProxyCpu => cpu(PROXY).unwrap_or_default(),
            Self::MemcachedCpu => cpu(MEMCACHED).unwrap_or_default(),
            Self::LoadCpu => cpu(LOAD).unwrap_or_default(),
            Self::P50 => report.latency.p50_us,
            Self::P90 => report.latency.p90_us,
            Self::P99 => report.latency.p99_us,
            Self::P999 => report.latency.p999_us,
        }
    }
}

/// The least share of a CPU that a closed loop needs for throughput to mean anything,
/// and the least share of an open loop that must be answered for latency to.
const LEAST_SHARE: f64 = 0.9;

/// Names under which CPU is accounted.
pub(super) const PROXY: &str = "proxy";
pub(super) const MEMCACHED: &str = "memcached";

impl WorkResult {
    /// A contender's figures, round by round; none if it did not take part.
    pub(super) fn figures(&self, kind: Kind, figure: Figure) -> Vec<f64> {
        let rounds = self.rounds.iter().find(|(name, _)| *name == kind.name());
        rounds.map_or_else(Vec::new, |(_, rounds)| {
            rounds.iter().map(|report| figure.of(report)).collect()
        })
    }

    pub(super) fn spread(&self, kind: Kind, figure: Figure) -> Option<Spread> {
        Spread::of(self.figures(kind, figure))
    }
}

impl Results {
    pub(super) fn work(&self, name: &str) -> Option<&WorkResult> {
        self.works.iter().find(|work| work.name == name)
    }

    /// Says so where others used the CPU that a closed loop was to fill.
    pub(super) fn note_neighbours(&mut self, work: &WorkResult) {
        let reports = work.rounds.iter().flat_map(|(_, reports)| reports);
        let shares = reports.map(|report| {
            let used: f64 = report.cpu_us_per_request.values().sum();
            used * report.requests_per_second / 1e6
        });
        let Some(share) = Spread::of(shares) else {
            return;
        };
        if share.median < LEAST_SHARE {
            self.doubts.push(format!(
                "{}: only {:.0} % of the CPU was ours, as little as {:.0} % at times: \
                 compare CPU, not throughput",
                work.name,
                share.median * 100.0,
                share.min * 100.0
            ));
        }
    }

    /// Keeps what was wrong with a load, and what makes it doubtful.
    pub(super) fn note(&mut self, work: &str, kind: Kind, report: &Report) {
        if !report.is_right() {
            self.faults.push(format!(
                "{work}: {kind} gave {} wrong replies and {} errors: {}",
                report.wrong,
                report.errors,
                report.samples.join("; ")
            ));
        }
        if let Some(offered) = report.offered_per_second
            && report.requests_per_second < LEAST_SHARE * offered
        {
            self.doubts.push(format!(
                "{work}: {kind} answered {:.0} a second of {offered:.0} in one round",
                report.requests_per_second
            ));
        }
        if report.missing_keys > 0 {
            let missing = report.missing_keys;
            self.doubts.push(format!(
                "{work}: {kind} missed {missing} keys that were written"
            ));
        }
    }
}

/// A target and how it was met.
#[derive(Debug, Serialize)]
pub(super) struct Claim {
    pub(super) work: &'static str,
    pub(super) what: String,
    pub(super) unit: &'static str,
    pub(super) target: Bound,
    pub(super) measured: Spread,
    pub(super) is_met: bool,
}

impl Claim {
    pub(super) fn new(
        work: &'static str,
        what: String,
        unit: &'static str,
        target: Bound,
        measured: Spread,
    ) -> Self {
        Self {
            work,
            what,
            unit,
            target,
            measured,
            is_met: target.is_met_by(measured.median),
        }
    }
}
