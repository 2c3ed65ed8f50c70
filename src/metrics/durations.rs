//! The durations of requests, as a histogram for Prometheus. The library's own takes
//! every single duration and holds it until somebody looks: after an hour without a
//! scrape, that is gigabytes in one go. Here a scrape costs the same whatever came.

use std::fmt;

use super::families::{DURATION, meaning};
use crate::engine::{LATENCY_BOUNDS_US, Latencies};
use crate::protocol::request::Verb;

/// Counts and sums by verb and bucket.
#[derive(Debug, Clone, Default)]
pub struct Durations(Box<Latencies>);

impl Durations {
    /// Adds what came between two states of the same counts.
    pub(super) fn add(&mut self, before: &Latencies, now: &Latencies) {
        let buckets = self.0.iter_mut().flatten();
        let came = before.iter().flatten().zip(now.iter().flatten());
        for (bucket, (before, now)) in buckets.zip(came) {
            bucket.count += now.count - before.count;
            bucket.sum_us += now.sum_us - before.sum_us;
        }
    }

    /// Adds what somebody else has.
    #[must_use]
    pub fn merge(mut self, other: &Self) -> Self {
        self.add(&Latencies::default(), &other.0);
        self
    }
}

/// Writes the text in Prometheus' format; verbs that nobody used are left out.
impl fmt::Display for Durations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let used = |verb: &&Verb| self.0[verb.index()].iter().any(|bucket| bucket.count > 0);
        let mut used = Verb::ALL.iter().filter(used).peekable();
        if used.peek().is_none() {
            return Ok(());
        }
        let meaning = meaning(DURATION).unwrap_or_default();
        writeln!(f, "# HELP {DURATION} {meaning}")?;
        writeln!(f, "# TYPE {DURATION} histogram")?;
        let bounds = LATENCY_BOUNDS_US.map(|us| (us as f64 / 1e6).to_string());
        for verb in used {
            let command = verb.name();
            let bounds = bounds.iter().map(String::as_str).chain(["+Inf"]);
            let (mut count, mut sum_us) = (0, 0);
            for (bound, bucket) in bounds.zip(&self.0[verb.index()]) {
                count += bucket.count;
                sum_us += bucket.sum_us;
                let labels = format_args!("command=\"{command}\",le=\"{bound}\"");
                writeln!(f, "{DURATION}_bucket{{{labels}}} {count}")?;
            }
            let sum = sum_us as f64 / 1e6;
            writeln!(f, "{DURATION}_sum{{command=\"{command}\"}} {sum}")?;
            writeln!(f, "{DURATION}_count{{command=\"{command}\"}} {count}")?;
        }
        writeln!(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Counts;

    #[test]
    fn buckets_add_up_and_a_verb_that_nobody_used_is_left_out() {
        let mut counts = Counts::new(1);
        let (mut first, mut second) = (Durations::default(), Durations::default());
        assert_eq!(first.to_string(), "");
        counts.latency(Verb::Get, 50);
        counts.latency(Verb::Get, 51);
        first.add(&Latencies::default(), &counts.latency);
        let before = counts.latency;
        counts.latency(Verb::Get, 3_000_000);
        second.add(&before, &counts.latency);
        let text = first.merge(&second).to_string();
        let lines: Vec<&str> = text.lines().collect();
        for (series, value) in [
            ("bucket{command=\"get\",le=\"0.00005\"}", "1"),
            ("bucket{command=\"get\",le=\"0.0001\"}", "2"),
            ("bucket{command=\"get\",le=\"1\"}", "2"),
            ("bucket{command=\"get\",le=\"+Inf\"}", "3"),
            ("sum{command=\"get\"}", "3.000101"),
            ("count{command=\"get\"}", "3"),
        ] {
            let line = format!("{DURATION}_{series} {value}");
            assert!(lines.contains(&line.as_str()), "{line} in {text}");
        }
        assert_eq!(lines.len(), 2 + LATENCY_BOUNDS_US.len() + 1 + 2 + 1);
    }
}
