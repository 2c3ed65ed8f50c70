//! The series that there are. A series exists only while what its labels name does:
//! the exporter's own recorder keeps what is gone until it idles, by the clock, which
//! may be what counts nothing at the moment as well.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::{fmt, iter};

use metrics::{
    Counter, Gauge, Histogram, Key, KeyName, Label, Metadata, Recorder, SetRecorderError,
    SharedString, Unit,
};
use metrics_exporter_prometheus::LabelSet;
use metrics_exporter_prometheus::formatting::{
    write_help_line, write_metric_line, write_type_line,
};
use metrics_util::registry::{self, AtomicStorage};

use super::families::meaning;

/// The values that some labels may have; the values of other labels are free.
#[derive(Debug, Clone, Default)]
pub struct Names(BTreeMap<&'static str, BTreeSet<String>>);

impl Names {
    /// A label may name these as well.
    pub fn add(&mut self, label: &'static str, names: impl IntoIterator<Item = String>) {
        self.0.entry(label).or_default().extend(names);
    }

    /// Adds the names of another set.
    #[must_use]
    pub fn or(mut self, other: &Self) -> Self {
        for (label, names) in &other.0 {
            self.add(label, names.iter().cloned());
        }
        self
    }

    /// Tells whether all that a series names is there.
    fn admit(&self, key: &Key) -> bool {
        key.labels().all(|label: &Label| {
            let known = self.0.get(label.key());
            known.is_none_or(|names| names.contains(label.value()))
        })
    }
}

/// Series of the process.
#[derive(Clone)]
pub struct Registry(Arc<Inner>);

struct Inner {
    series: registry::Registry<Key, AtomicStorage>,
    /// Held while a series is taken up or dropped.
    names: Mutex<Names>,
}

impl Default for Registry {
    fn default() -> Self {
        Self(Arc::new(Inner {
            series: registry::Registry::atomic(),
            names: Mutex::default(),
        }))
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").finish_non_exhaustive()
    }
}

impl Registry {
    /// Makes it the process's own.
    ///
    /// # Errors
    /// If there is one.
    pub fn install(self) -> Result<Self, SetRecorderError<Self>> {
        metrics::set_global_recorder(self.clone())?;
        Ok(self)
    }

    /// Drops the series that name anything else, and takes none up that do.
    pub fn limit_to(&self, names: Names) {
        let mut current = lock(&self.0.names);
        *current = names;
        self.retain(|key| current.admit(key));
    }

    /// Drops all series of a family.
    pub fn clear(&self, family: &str) {
        self.retain(|key| key.name() != family);
    }

    fn retain(&self, stays: impl Fn(&Key) -> bool) {
        self.0.series.retain_counters(|key, _| stays(key));
        self.0.series.retain_gauges(|key, _| stays(key));
    }

    /// A series, by `take`, or `nothing` if it names what is not there.
    fn series<T>(&self, key: &Key, take: impl FnOnce() -> T, nothing: impl FnOnce() -> T) -> T {
        let names = lock(&self.0.names);
        if names.admit(key) { take() } else { nothing() }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whoever panicked left whole names and series.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Recorder for Registry {
    // Families are described where they are named.
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let counter = |value: &Arc<AtomicU64>| Counter::from_arc(Arc::clone(value));
        let take = || self.0.series.get_or_create_counter(key, counter);
        self.series(key, take, Counter::noop)
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        let gauge = |value: &Arc<AtomicU64>| Gauge::from_arc(Arc::clone(value));
        let take = || self.0.series.get_or_create_gauge(key, gauge);
        self.series(key, take, Gauge::noop)
    }

    // Durations are kept elsewhere.
    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

/// Prometheus' text format; families without a series are left out.
impl fmt::Display for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut families: BTreeMap<_, (_, BTreeMap<_, _>)> = BTreeMap::new();
        let mut add = |kind, key: &Key, value: String| {
            let family = families.entry(key.name().to_owned());
            let (_, series) = family.or_insert((kind, BTreeMap::new()));
            let labels = LabelSet::from_key_and_global(key, &iter::empty().collect());
            let text: Vec<_> = labels.to_strings().collect();
            series.insert(text, (labels, value));
        };
        self.0.series.visit_counters(|key, value| {
            add("counter", key, value.load(Ordering::Relaxed).to_string());
        });
        self.0.series.visit_gauges(|key, value| {
            let value = f64::from_bits(value.load(Ordering::Relaxed));
            add("gauge", key, value.to_string());
        });
        let mut text = String::new();
        for (name, (kind, series)) in families {
            if let Some(meaning) = meaning(&name) {
                write_help_line(&mut text, &name, None, None, meaning);
            }
            write_type_line(&mut text, &name, None, None, kind);
            for (labels, value) in series.values() {
                let more: Option<(_, &str)> = None;
                write_metric_line(&mut text, &name, None, labels, more, value, None);
            }
            text.push('\n');
        }
        f.write_str(&text)
    }
}

#[cfg(test)]
mod tests {
    use metrics::{counter, gauge, with_local_recorder};

    use super::*;

    fn names(servers: &[&str]) -> Names {
        let mut names = Names::default();
        names.add("server", servers.iter().map(ToString::to_string));
        names
    }

    #[test]
    fn a_series_is_there_while_what_it_names_is() {
        let registry = Registry::default();
        with_local_recorder(&registry, || {
            counter!("c", "server" => "a").increment(2);
            counter!("c", "server" => "b", "reason" => "x").increment(1);
            gauge!("g").set(0.5);
            registry.limit_to(names(&["a"]).or(&names(&["c"])));
            // Somebody had not heard of it.
            counter!("c", "server" => "b", "reason" => "x").increment(1);
            counter!("c", "server" => "c").increment(3);
            let series = "c{server=\"a\"} 2\nc{server=\"c\"} 3\n";
            let text = format!("# TYPE c counter\n{series}\n# TYPE g gauge\ng 0.5\n\n");
            assert_eq!(registry.to_string(), text);
            registry.limit_to(names(&["b"]));
            counter!("c", "server" => "b", "reason" => "x").increment(1);
            let text =
                "# TYPE c counter\nc{server=\"b\",reason=\"x\"} 1\n\n# TYPE g gauge\ng 0.5\n\n";
            assert_eq!(registry.to_string(), text);
        });
    }

    #[test]
    fn no_value_of_a_label_ends_it() {
        let registry = Registry::default();
        with_local_recorder(&registry, || {
            counter!("c", "rule" => "a\"b\\c\nd").increment(1);
        });
        let text = "# TYPE c counter\nc{rule=\"a\\\"b\\\\c\\nd\"} 1\n\n";
        assert_eq!(registry.to_string(), text);
    }
}
