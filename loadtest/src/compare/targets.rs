//! The targets of picklegate, beside what was measured.

use super::contender::Kind::{
    self, Direct, Forwarder, Picklegate, PicklegateShared, PicklegateUncounted, PicklegateUnix,
    Twemproxy,
};
use super::ratio::Bound::{self, AtLeast, AtMost};
use super::ratio::Spread;
use super::results::Figure::{self, MemcachedCpu, P50, P99, ProxyCpu, Throughput};
use super::results::{Claim, Results};
use super::work;

/// A figure of one contender over that of another.
struct Ratio(&'static str, Kind, Figure, Kind, Bound);

/// Work by work, as the figures are looked for.
const RATIOS: [Ratio; 32] = [
    Ratio(work::C64, Picklegate, ProxyCpu, Twemproxy, AtMost(0.5)),
    Ratio(work::C64, Picklegate, Throughput, Twemproxy, AtLeast(1.75)),
    Ratio(work::C64, Picklegate, Throughput, Direct, AtLeast(1.1)),
    Ratio(work::C64, Picklegate, MemcachedCpu, Direct, AtMost(0.35)),
    Ratio(work::C256, Picklegate, ProxyCpu, Twemproxy, AtMost(0.45)),
    Ratio(work::C256, Picklegate, Throughput, Twemproxy, AtLeast(1.8)),
    Ratio(work::C256, Picklegate, Throughput, Direct, AtLeast(1.1)),
    Ratio(work::C256, Picklegate, MemcachedCpu, Direct, AtMost(0.35)),
    Ratio(work::C1024, Picklegate, ProxyCpu, Twemproxy, AtMost(0.4)),
    Ratio(work::C1024, Picklegate, Throughput, Twemproxy, AtLeast(2.0)),
    Ratio(work::C1024, Picklegate, Throughput, Direct, AtLeast(1.05)),
    Ratio(work::C1024, Picklegate, MemcachedCpu, Direct, AtMost(0.35)),
    Ratio(
        work::PIPELINED,
        Picklegate,
        ProxyCpu,
        Twemproxy,
        AtMost(0.16),
    ),
    Ratio(
        work::PIPELINED,
        Picklegate,
        Throughput,
        Twemproxy,
        AtLeast(4.0),
    ),
    Ratio(
        work::PIPELINED,
        Picklegate,
        Throughput,
        Direct,
        AtLeast(3.3),
    ),
    Ratio(
        work::PIPELINED,
        Picklegate,
        MemcachedCpu,
        Direct,
        AtMost(0.3),
    ),
    Ratio(work::MULTIGET, Picklegate, ProxyCpu, Twemproxy, AtMost(0.5)),
    Ratio(
        work::MULTIGET,
        Picklegate,
        Throughput,
        Twemproxy,
        AtLeast(1.2),
    ),
    Ratio(work::MULTIGET, Picklegate, Throughput, Direct, AtLeast(0.7)),
    Ratio(
        work::MULTIGET,
        Picklegate,
        MemcachedCpu,
        Direct,
        AtMost(1.25),
    ),
    Ratio(work::LARGE, Picklegate, ProxyCpu, Twemproxy, AtMost(0.5)),
    Ratio(work::LARGE, Picklegate, Throughput, Twemproxy, AtLeast(1.6)),
    Ratio(work::LARGE, Picklegate, Throughput, Direct, AtLeast(0.8)),
    Ratio(work::LARGE, Picklegate, MemcachedCpu, Direct, AtMost(0.6)),
    Ratio(work::C64, PicklegateUnix, ProxyCpu, Twemproxy, AtMost(0.3)),
    Ratio(work::C64, PicklegateUnix, Throughput, Direct, AtLeast(1.7)),
    Ratio(
        work::C64,
        Picklegate,
        ProxyCpu,
        PicklegateShared,
        AtMost(1.05),
    ),
    Ratio(
        work::C64,
        Picklegate,
        ProxyCpu,
        PicklegateUncounted,
        AtMost(1.02),
    ),
    Ratio(work::SINGLE, Picklegate, ProxyCpu, Twemproxy, AtMost(0.8)),
    Ratio(work::SINGLE, Picklegate, P50, Twemproxy, AtMost(0.9)),
    Ratio(work::EQUAL_LOAD, Picklegate, P50, Twemproxy, AtMost(1.0)),
    Ratio(work::BESIDE_LARGE, Picklegate, P99, Forwarder, AtMost(1.2)),
];

/// The most that single figures may be.
const MOST_SYSTEM_CALLS: f64 = 2.2;
const MOST_IDLE_KIB: f64 = 0.5;
pub(super) const PER_GET: &str = "per get, 64 connections";
pub(super) const PER_KEY: &str = "per key of a multi-get";
const MOST_INSTRUCTIONS: [(&str, f64); 2] = [(PER_GET, 1500.0), (PER_KEY, 350.0)];

/// All targets of which both sides were measured.
pub(super) fn claims(results: &Results) -> Vec<Claim> {
    let ratios = RATIOS.iter().filter_map(|ratio| ratio.claim(results));
    ratios.chain(figures(results)).collect()
}

impl Ratio {
    fn claim(&self, results: &Results) -> Option<Claim> {
        let Self(work, ours, figure, theirs, target) = self;
        let rounds = results.work(work)?;
        let measured = Spread::of_ratios(
            &rounds.figures(*ours, *figure),
            &rounds.figures(*theirs, *figure),
        )?;
        let what = format!("{}, {ours} to {theirs}", figure.name());
        Some(Claim::new(work, what, "x", *target, measured))
    }
}

impl Figure {
    /// The name that people use.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Throughput => "throughput",
            Self::ProxyCpu => "proxy CPU",
            Self::MemcachedCpu => "memcached CPU",
            Self::LoadCpu => "load CPU",
            Self::P50 => "p50",
            Self::P90 => "p90",
            Self::P99 => "p99",
            Self::P999 => "p99.9",
        }
    }
}

/// Targets that are no ratios, each measured once.
fn figures(results: &Results) -> Vec<Claim> {
    let us = Picklegate.name();
    let memory = results.memory.get(us).and_then(|memory| {
        let (connections, _) = memory.held.last()?;
        Some((format!("each of {connections}"), memory.kib_each()?))
    });
    let memory = memory.map(|(what, kib)| (work::MEMORY, what, " KiB", AtMost(MOST_IDLE_KIB), kib));
    let calls = results.system_calls.get(us).map(|calls| {
        let what = "per request, 64 connections".to_owned();
        (
            work::SYSTEM_CALLS,
            what,
            "",
            AtMost(MOST_SYSTEM_CALLS),
            *calls,
        )
    });
    let instructions = MOST_INSTRUCTIONS.iter().filter_map(|(what, most)| {
        let measured = results.instructions.get(what)?;
        Some((
            work::INSTRUCTIONS,
            (*what).to_owned(),
            "",
            AtMost(*most),
            *measured,
        ))
    });
    calls
        .into_iter()
        .chain(instructions)
        .chain(memory)
        .filter_map(|(work, what, unit, target, figure)| {
            Some(Claim::new(work, what, unit, target, Spread::of([figure])?))
        })
        .collect()
}
