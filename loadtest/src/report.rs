//! The results of one load, as JSON and as text.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::tally::{Latencies, Tally};

/// Everything that was measured.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) seconds: f64,
    /// Answered in the window; a multi-get is one.
    pub(crate) requests: u64,
    pub(crate) requests_per_second: f64,
    /// Open loop: what was asked for.
    pub(crate) offered_per_second: Option<f64>,
    /// Open loop: due and not answered when the window closed.
    pub(crate) behind: u64,
    pub(crate) missing_keys: u64,
    pub(crate) errors: u64,
    pub(crate) wrong: u64,
    /// Some of the wrong replies and errors.
    pub(crate) samples: Vec<String>,
    /// CPU of each watched process.
    pub(crate) cpu_us_per_request: BTreeMap<String, f64>,
    /// Of all requests, in an open loop since each was due.
    pub(crate) latency: Latency,
    /// By kind of request, where there were any.
    pub(crate) latency_by_kind: BTreeMap<String, Latency>,
}

/// A distribution of latencies, in microseconds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Latency {
    pub(crate) count: u64,
    pub(crate) mean_us: f64,
    pub(crate) p50_us: f64,
    pub(crate) p90_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) p999_us: f64,
    pub(crate) max_us: f64,
    /// The HDR histogram: quantiles and their values.
    pub(crate) quantiles: Vec<(f64, f64)>,
}

impl Report {
    pub(crate) fn new(tally: &Tally, offered_per_second: Option<f64>) -> Self {
        let requests = tally.requests();
        let seconds = tally.elapsed.as_secs_f64();
        let per_request = |ns: u64| ns as f64 / 1e3 / requests.max(1) as f64;
        let cpu = tally.cpu_ns.iter();
        Self {
            seconds,
            requests,
            requests_per_second: requests as f64 / seconds.max(1e-9),
            offered_per_second,
            behind: tally.behind,
            missing_keys: tally.missing_keys,
            errors: tally.errors,
            wrong: tally.wrong,
            samples: tally.samples.clone(),
            cpu_us_per_request: cpu
                .map(|(name, ns)| (name.clone(), per_request(*ns)))
                .collect(),
            latency: Latency::new(&all(tally)),
            latency_by_kind: [
                ("get", &tally.get),
                ("set", &tally.set),
                ("multiget", &tally.multiget),
            ]
            .into_iter()
            .filter(|(_, latencies)| !latencies.0.is_empty())
            .map(|(kind, latencies)| (kind.to_owned(), Latency::new(latencies)))
            .collect(),
        }
    }

    /// Tells whether every reply was the one owed.
    pub(crate) fn is_right(&self) -> bool {
        self.wrong == 0 && self.errors == 0
    }
}

fn all(tally: &Tally) -> Latencies {
    let mut all = tally.get.clone();
    for latencies in [&tally.set, &tally.multiget] {
        all.0
            .add(&latencies.0)
            .expect("histograms of the same bounds add up");
    }
    all
}

impl Latency {
    fn new(latencies: &Latencies) -> Self {
        let histogram = &latencies.0;
        let us = |ns: u64| ns as f64 / 1e3;
        let at = |quantile| us(histogram.value_at_quantile(quantile));
        Self {
            count: histogram.len(),
            mean_us: histogram.mean() / 1e3,
            p50_us: at(0.5),
            p90_us: at(0.9),
            p99_us: at(0.99),
            p999_us: at(0.999),
            max_us: us(histogram.max()),
            quantiles: histogram
                .iter_quantiles(5)
                .map(|step| (step.quantile(), us(step.value_iterated_to())))
                .collect(),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} requests in {:.2} s: {:.0} a second",
            self.requests, self.seconds, self.requests_per_second
        )?;
        if let Some(offered) = self.offered_per_second {
            writeln!(
                f,
                "offered {offered:.0} a second; {} behind at the end",
                self.behind
            )?;
        }
        writeln!(
            f,
            "{:<10} {:>10} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}",
            "us", "count", "mean", "p50", "p90", "p99", "p99.9", "max"
        )?;
        row(f, "all", &self.latency)?;
        for (kind, latency) in &self.latency_by_kind {
            row(f, kind, latency)?;
        }
        for (name, us) in &self.cpu_us_per_request {
            writeln!(f, "{name}: {us:.2} us of CPU per request")?;
        }
        writeln!(
            f,
            "{} wrong, {} errors, {} keys missing",
            self.wrong, self.errors, self.missing_keys
        )?;
        self.samples
            .iter()
            .try_for_each(|sample| writeln!(f, "  {sample}"))
    }
}

fn row(f: &mut fmt::Formatter<'_>, name: &str, latency: &Latency) -> fmt::Result {
    writeln!(
        f,
        "{name:<10} {:>10} {:>9.1} {:>9.1} {:>9.1} {:>9.1} {:>9.1} {:>9.1}",
        latency.count,
        latency.mean_us,
        latency.p50_us,
        latency.p90_us,
        latency.p99_us,
        latency.p999_us,
        latency.max_us
    )
}
