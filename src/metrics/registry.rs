//! The series that there are, as text in Prometheus' format. A series exists only
//! while what its labels name does: the crates' own keep what is gone for ever.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use metrics::{
    Counter, Gauge, Histogram, Key, KeyName, Label, Metadata, Recorder, SetRecorderError,
    SharedString, Unit,
};

/// What the values of some labels have to be; those of others are free.
#[derive(Debug, Clone, Default)]
pub struct Names(BTreeMap<&'static str, BTreeSet<String>>);

impl Names {
    /// A label may name these as well.
    pub fn add(&mut self, label: &'static str, names: impl IntoIterator<Item = String>) {
        self.0.entry(label).or_default().extend(names);
    }

    /// What one or the other has.
    #[must_use]
    pub fn or(mut self, other: &Self) -> Self {
        for (label, names) in &other.0 {
            self.add(label, names.iter().cloned());
        }
        self
    }

    fn have(&self, label: &Label) -> bool {
        let known = self.0.get(label.key());
        known.is_none_or(|names| names.contains(label.value()))
    }
}

/// All series of the process.
#[derive(Debug, Clone, Default)]
pub struct Registry(Arc<Mutex<Families>>);

#[derive(Debug, Default)]
struct Families {
    by_name: BTreeMap<String, Family>,
    names: Names,
}

#[derive(Debug, Default)]
struct Family {
    help: Option<SharedString>,
    kind: Kind,
    /// By their labels as text.
    series: BTreeMap<String, Series>,
}

#[derive(Debug)]
struct Series {
    labels: Vec<Label>,
    /// A count, or the bits of a gauge.
    value: Arc<AtomicU64>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Kind {
    #[default]
    Counter,
    Gauge,
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
        let families = &mut *self.lock();
        families.names = names;
        for family in families.by_name.values_mut() {
            let names = &families.names;
            let is_named = |series: &Series| series.labels.iter().all(|label| names.have(label));
            family.series.retain(|_, series| is_named(series));
        }
    }

    /// Drops all series of a family.
    pub fn clear(&self, family: &str) {
        if let Some(family) = self.lock().by_name.get_mut(family) {
            family.series.clear();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Families> {
        // Whoever panicked left whole series.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn describe(&self, name: &KeyName, kind: Kind, help: SharedString) {
        let mut families = self.lock();
        let family = families.by_name.entry(name.as_str().to_owned());
        let family = family.or_default();
        family.kind = kind;
        family.help = Some(help);
    }

    /// The value of a series; `None` if it names what is not there.
    fn series(&self, key: &Key, kind: Kind) -> Option<Arc<AtomicU64>> {
        let families = &mut *self.lock();
        if !key.labels().all(|label| families.names.have(label)) {
            return None;
        }
        let known = families.by_name.contains_key(key.name());
        if !known {
            let family = Family {
                kind,
                ..Family::default()
            };
            families.by_name.insert(key.name().to_owned(), family);
        }
        let family = families.by_name.get_mut(key.name())?;
        let series = family.series.entry(text(key)).or_insert_with(|| Series {
            labels: key.labels().cloned().collect(),
            value: Arc::default(),
        });
        Some(Arc::clone(&series.value))
    }
}

impl Recorder for Registry {
    fn describe_counter(&self, name: KeyName, _: Option<Unit>, help: SharedString) {
        self.describe(&name, Kind::Counter, help);
    }

    fn describe_gauge(&self, name: KeyName, _: Option<Unit>, help: SharedString) {
        self.describe(&name, Kind::Gauge, help);
    }

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let series = self.series(key, Kind::Counter);
        series.map_or_else(Counter::noop, Counter::from_arc)
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        let series = self.series(key, Kind::Gauge);
        series.map_or_else(Gauge::noop, Gauge::from_arc)
    }

    // Durations are kept elsewhere.
    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

/// The labels of a series, as they are written.
fn text(key: &Key) -> String {
    let mut text = String::new();
    for label in key.labels() {
        let separator = if text.is_empty() { "" } else { "," };
        let value = label.value();
        let value = value.replace('\\', "\\\\").replace('"', "\\\"");
        let value = value.replace('\n', "\\n");
        // Writing to a String cannot fail.
        let _ = write!(text, "{separator}{}=\"{value}\"", label.key());
    }
    text
}

/// Families without a series are left out.
impl fmt::Display for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, family) in &self.lock().by_name {
            if family.series.is_empty() {
                continue;
            }
            if let Some(help) = &family.help {
                writeln!(f, "# HELP {name} {help}")?;
            }
            let kind = match family.kind {
                Kind::Counter => "counter",
                Kind::Gauge => "gauge",
            };
            writeln!(f, "# TYPE {name} {kind}")?;
            for (labels, series) in &family.series {
                f.write_str(name)?;
                if !labels.is_empty() {
                    write!(f, "{{{labels}}}")?;
                }
                let value = series.value.load(Ordering::Relaxed);
                match family.kind {
                    Kind::Counter => writeln!(f, " {value}")?,
                    Kind::Gauge => writeln!(f, " {}", f64::from_bits(value))?,
                }
            }
            writeln!(f)?;
        }
        Ok(())
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
