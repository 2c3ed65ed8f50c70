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

/// What a closed loop is to come to: CPU of the proxy at most and throughput at least as a
/// part of twemproxy's, throughput at least and CPU of memcached at most as a part of those
/// without a proxy.
struct Closed(&'static str, [f64; 4]);

const CLOSED: [Closed; 6] = [
    Closed(work::C64, [0.5, 1.75, 1.1, 0.35]),
    Closed(work::C256, [0.45, 1.8, 1.1, 0.35]),
    Closed(work::C1024, [0.4, 2.0, 1.05, 0.35]),
    Closed(work::PIPELINED, [0.16, 4.0, 3.3, 0.3]),
    Closed(work::MULTIGET, [0.5, 1.2, 0.7, 1.25]),
    Closed(work::LARGE, [0.5, 1.6, 0.8, 0.6]),
];

/// A figure of one contender over that of another.
struct Ratio(&'static str, Kind, Figure, Kind, Bound);

const RATIOS: [Ratio; 8] = [
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
    let closed = CLOSED.iter().flat_map(Closed::ratios);
    let ratios = closed
        .chain(RATIOS)
        .filter_map(|ratio| ratio.claim(results));
    ratios.chain(figures(results)).collect()
}

impl Closed {
    fn ratios(&self) -> [Ratio; 4] {
        let Self(work, [proxy_cpu, throughput, to_direct, memcached_cpu]) = *self;
        [
            Ratio(work, Picklegate, ProxyCpu, Twemproxy, AtMost(proxy_cpu)),
            Ratio(work, Picklegate, Throughput, Twemproxy, AtLeast(throughput)),
            Ratio(work, Picklegate, Throughput, Direct, AtLeast(to_direct)),
            Ratio(
                work,
                Picklegate,
                MemcachedCpu,
                Direct,
                AtMost(memcached_cpu),
            ),
        ]
    }
}

impl Ratio {
    fn claim(self, results: &Results) -> Option<Claim> {
        let Self(work, ours, figure, theirs, target) = self;
        let rounds = results.work(work)?;
        let (ours_each, theirs_each) =
            (rounds.figures(ours, figure), rounds.figures(theirs, figure));
        let measured = Spread::of_ratios(&ours_each, &theirs_each)?;
        let what = format!("{}, {ours} to {theirs}", figure.name());
        Some(Claim::new(work, what, "x", target, measured))
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
    let single = |work, what: String, unit, most, figure| {
        let measured = Spread::of([figure])?;
        Some(Claim::new(work, what, unit, AtMost(most), measured))
    };
    let calls = results.system_calls.get(us).and_then(|calls| {
        let what = "per request, 64 connections".to_owned();
        single(work::SYSTEM_CALLS, what, "", MOST_SYSTEM_CALLS, *calls)
    });
    let instructions = MOST_INSTRUCTIONS.iter().filter_map(|(what, most)| {
        let measured = results.instructions.get(what)?;
        let what = (*what).to_owned();
        single(work::INSTRUCTIONS, what, "", *most, *measured)
    });
    let memory = results.memory.get(us).and_then(|memory| {
        let (connections, _) = memory.held.last()?;
        let (what, kib) = (format!("each of {connections}"), memory.kib_each()?);
        single(work::MEMORY, what, " KiB", MOST_IDLE_KIB, kib)
    });
    calls
        .into_iter()
        .chain(instructions)
        .chain(memory)
        .collect()
}
