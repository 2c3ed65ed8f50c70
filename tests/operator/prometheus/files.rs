//! Reads what is shipped, beside what the code says of its metrics. Knows of YAML only
//! what the files here need.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

pub(crate) const ALERTS: &str = "deploy/prometheus/alerts.yml";
pub(crate) const RECORDING: &str = "deploy/prometheus/recording.yml";
pub(crate) const RULES: [&str; 2] = [RECORDING, ALERTS];
pub(crate) const TESTS: &str = "deploy/prometheus/tests.yml";
pub(crate) const GUIDE: &str = "deploy/prometheus/README.md";
pub(crate) const DASHBOARD: &str = "deploy/grafana/picklegate.json";

/// One family of metrics.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Family {
    /// `counter`, `gauge` or `histogram`.
    pub(crate) kind: String,
    /// Empty, where it counts something.
    pub(crate) unit: String,
    pub(crate) labels: BTreeSet<String>,
    pub(crate) meaning: String,
}

pub(crate) fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Values behind `key: ` in a file of rules.
fn values_of(path: &str, key: &str) -> BTreeSet<String> {
    let text = read(path);
    let values = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix(key));
    values.map(|value| value.trim().to_owned()).collect()
}

/// The names of all alerts.
pub(crate) fn alerts() -> BTreeSet<String> {
    values_of(ALERTS, "- alert: ")
}

/// The names of all recorded series.
pub(crate) fn records() -> BTreeSet<String> {
    values_of(RECORDING, "- record: ")
}

/// All words of a text that are named like a metric of picklegate.
pub(crate) fn metrics_named(text: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    text.split(|c| !is_part(c))
        .filter(|word| word.contains("picklegate_"))
        .map(str::to_owned)
        .collect()
}

/// Whether a family has series of this name.
pub(crate) fn is_series_of(families: &BTreeMap<String, Family>, name: &str) -> bool {
    let part = ["_bucket", "_sum", "_count"]
        .iter()
        .find_map(|suffix| families.get(name.strip_suffix(suffix)?));
    families.contains_key(name) || part.is_some_and(|family| family.kind == "histogram")
}

// The page -------------------------------------------------------------------------

/// The type of each family on a page of metrics, and the labels of its series.
pub(crate) fn on_page(page: &str) -> BTreeMap<String, (String, BTreeSet<String>)> {
    let mut families: BTreeMap<String, (String, BTreeSet<String>)> = BTreeMap::new();
    let mut family = "";
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let kind;
            (family, kind) = rest.split_once(' ').expect("a name and a type");
            families.insert(family.to_owned(), (kind.to_owned(), BTreeSet::new()));
        } else if let Some((_, labels)) = line.split_once('{').filter(|_| !line.starts_with('#')) {
            // No value here has such a sign.
            let names = labels.split('"').step_by(2);
            let names = names.filter_map(|name| name.trim_start_matches(',').strip_suffix('='));
            let (_, of) = families.get_mut(family).expect("its type was told");
            of.extend(names.filter(|name| *name != "le").map(str::to_owned));
        }
    }
    families
}

// The guide ------------------------------------------------------------------------

/// The families that the guide's table lists.
pub(crate) fn table() -> BTreeMap<String, Family> {
    let guide = read(GUIDE);
    let rows = guide
        .lines()
        .filter(|line| line.starts_with("| `picklegate_"));
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [name, kind, unit, labels, meaning] = cells[..] else {
            panic!("not five cells: {row}");
        };
        let labels = labels.split(", ").filter(|label| !label.is_empty());
        let family = Family {
            kind: kind.to_owned(),
            unit: unit.to_owned(),
            labels: labels.map(str::to_owned).collect(),
            meaning: meaning.to_owned(),
        };
        (name.trim_matches('`').to_owned(), family)
    })
    .collect()
}

// The dashboard --------------------------------------------------------------------

pub(crate) fn dashboard() -> Value {
    serde_json::from_str(&read(DASHBOARD)).expect("the dashboard is JSON")
}

/// The queries of all panels.
pub(crate) fn queries() -> Vec<String> {
    let dashboard = dashboard();
    let panels = dashboard["panels"].as_array().expect("a list");
    let targets = panels
        .iter()
        .filter_map(|panel| panel["targets"].as_array())
        .flatten();
    targets
        .map(|target| target["expr"].as_str().expect("a query").to_owned())
        .collect()
}
