//! Holds what is shipped for Prometheus and Grafana to what picklegate exports:
//! the rules by `promtool`, their names and the table of metrics by the code, and
//! all of it by a real Prometheus that watches sidecars with everything wrong that
//! an alert is about.

mod files;
mod fleet;
mod server;

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::time::{Duration, Instant};

use picklegate::metrics::meaning;
use picklegate::pickle::Reason;

use crate::support;
use crate::support::toml::Toml;
use files::RULES;
use fleet::Fleet;
use server::{Prometheus, shortened};

/// Time that one step of a test may take.
const PATIENCE: Duration = Duration::from_secs(40);

fn is_skipped(program: &str) -> bool {
    let runs = Command::new(program).arg("--version").output();
    let skipped = !runs.is_ok_and(|output| output.status.success());
    if skipped {
        println!("skipped: {program} is not installed; tests/setup does that");
    }
    skipped
}

fn is_memcached_missing() -> bool {
    let missing = !support::memcached_available();
    if missing {
        println!("skipped: memcached is not installed; tests/setup does that");
    }
    missing
}

/// Lets the fleet do its mischief until `left` is empty.
fn await_none_left<T: std::fmt::Debug>(fleet: &mut Fleet, mut left: impl FnMut() -> Vec<T>) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        fleet.act();
        let missing = left();
        if missing.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "waited in vain for {missing:#?}");
    }
}

// The rules ----------------------------------------------------------------------

fn promtool(args: &[&str]) {
    if is_skipped("promtool") {
        return;
    }
    let output = Command::new("promtool")
        .args(args)
        .current_dir("deploy/prometheus")
        .output()
        .expect("it ran before");
    let told = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "promtool {args:?}:\n{told}");
}

#[test]
fn the_rules_are_valid() {
    promtool(&["check", "rules", "recording.yml", "alerts.yml"]);
}

#[test]
fn the_rules_do_what_they_are_for() {
    promtool(&["test", "rules", "tests.yml"]);
}

#[test]
fn every_alert_has_a_test_and_a_line_in_the_guide() {
    let alerts = files::alerts();
    assert!(!alerts.is_empty());
    let (tests, guide) = (files::read(files::TESTS), files::read(files::GUIDE));
    for alert in &alerts {
        let firing = format!("ALERTS{{alertname=\"{alert}\",alertstate=\"firing\"}}");
        assert!(tests.contains(&firing), "{alert} has no test");
        assert!(
            guide.contains(&format!("| `{alert}` |")),
            "{alert} is not in the guide"
        );
    }
    for record in files::records() {
        assert!(tests.contains(&record), "{record} has no test");
    }
}

#[test]
fn every_alert_says_what_it_means_and_what_to_do() {
    let text = files::read(files::ALERTS);
    for alert in text.split("- alert: ").skip(1) {
        let name = alert.lines().next().unwrap_or_default();
        for part in [
            "severity: ",
            "        annotations:",
            "summary: \"",
            "description: \"",
        ] {
            assert_eq!(alert.matches(part).count(), 1, "{name}: {part}");
        }
    }
}

// Names --------------------------------------------------------------------------

#[test]
fn rules_and_dashboard_name_what_there_is() {
    let families = files::table();
    let records = files::records();
    for path in RULES
        .into_iter()
        .chain([files::TESTS, files::DASHBOARD, files::GUIDE])
    {
        for name in files::metrics_named(&files::read(path)) {
            let is_known = records.contains(&name) || files::is_series_of(&families, &name);
            assert!(is_known, "{path}: there is no {name}");
        }
    }
}

#[test]
fn the_table_has_every_family_as_the_code_describes_it() {
    let table = files::table();
    assert!(!table.is_empty());
    for (name, family) in &table {
        assert_eq!(
            meaning(name),
            Some(family.meaning.as_str()),
            "{name} in the table"
        );
        let mut units = ["seconds", "bytes"].into_iter();
        let unit = units.find(|unit| name.ends_with(&format!("_{unit}")));
        assert_eq!(family.unit, unit.unwrap_or_default(), "{name}'s unit");
        assert_eq!(
            name.ends_with("_total"),
            family.kind == "counter",
            "{name} is named after another type"
        );
    }
}

#[test]
fn the_guide_says_why_values_are_not_loadable() {
    let guide = files::read(files::GUIDE);
    for reason in Reason::NAMES {
        assert!(guide.contains(&format!("`{reason}`")), "{reason}");
    }
}

#[test]
fn the_table_has_the_type_and_the_labels_of_each_family() {
    if is_memcached_missing() {
        return;
    }
    let table = files::table();
    let mut fleet = Fleet::start();
    let mut seen = BTreeMap::new();
    let admins = fleet.admins();
    await_none_left(&mut fleet, || {
        for admin in &admins {
            let (status, page) = server::http(admin, "/metrics");
            assert_eq!(status, 200);
            seen.extend(files::on_page(&page));
        }
        table
            .keys()
            .filter(|name| !seen.contains_key(*name))
            .collect()
    });
    let listed = table
        .into_iter()
        .map(|(name, family)| (name, (family.kind, family.labels)));
    assert_eq!(listed.collect::<BTreeMap<_, _>>(), seen);
}

#[test]
fn what_should_never_happen_counts_from_zero() {
    let (listen, admin) = (support::free_addr(), support::free_addr());
    let toml = Toml::new(&["embedded:8MiB"])
        .rule("mode = \"isolate\"")
        .listener(&listen, "py3")
        .admin(&admin);
    let _gate = support::Picklegate::with_config(toml);
    let (_, page) = server::http(&admin, "/metrics");
    let listener = format!("{{listener=\"{listen}\"}}");
    let pair = r#"{origin="py3",target="py2",result="error"}"#;
    for series in [
        &format!("refused_connections_total{listener}"),
        &format!("untagged_connections_total{{listener=\"{listen}\",reason=\"no_namespace\"}}"),
        &format!("untagged_writes_refused_total{listener}"),
        &format!("closed_connections_total{{listener=\"{listen}\",reason=\"send_timeout\"}}"),
        r#"upstream_failures_total{server="embedded:8MiB",reason="request_timeout"}"#,
        r#"upstream_errors_total{server="embedded:8MiB"}"#,
        r#"upstream_reconnects_total{server="embedded:8MiB"}"#,
        r#"suspected_split_total{namespace="py2",kind="counter"}"#,
        r#"suspected_split_total{namespace="py2",kind="lock"}"#,
        &format!("invalidations_total{pair}"),
        "config_failures_total",
    ] {
        let line = format!("\npicklegate_{series} 0\n");
        assert!(page.contains(&line), "no {series} in\n{page}");
    }
}

// The dashboard --------------------------------------------------------------------

#[test]
fn the_dashboard_can_be_imported() {
    let dashboard = files::dashboard();
    assert!(dashboard["id"].is_null(), "Grafana gives the number");
    assert_eq!(dashboard["uid"], "picklegate");
    let variables = dashboard["templating"]["list"].as_array().expect("a list");
    let names: Vec<_> = variables.iter().map(|variable| &variable["name"]).collect();
    assert_eq!(names, ["DS_PROMETHEUS", "job", "instance", "namespace"]);
    assert_eq!(variables[0]["type"], "datasource");

    let mut ids = BTreeSet::new();
    let mut taken = BTreeSet::new();
    for panel in dashboard["panels"].as_array().expect("a list") {
        let title = panel["title"].as_str().expect("a title");
        assert!(ids.insert(panel["id"].as_u64()), "{title}: its id is taken");
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64());
        let (x, y) = (x.expect("a place"), y.expect("a place"));
        let (w, h) = (w.expect("a size"), h.expect("a size"));
        assert!(x + w <= 24, "{title} is not on the grid");
        for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            assert!(taken.insert(cell), "{title} covers another panel");
        }
        if panel["type"] == "row" {
            continue;
        }
        assert_eq!(panel["datasource"]["uid"], "${DS_PROMETHEUS}", "{title}");
        let targets = panel["targets"].as_array().expect("a list");
        assert!(!targets.is_empty(), "{title} asks nothing");
        for target in targets {
            let asked = target["expr"].as_str().expect("a query");
            assert!(asked.contains("job=\"$job\""), "{title}: {asked}");
        }
    }
}

// All of it ------------------------------------------------------------------------

#[test]
fn every_query_has_data_and_every_alert_fires() {
    if is_memcached_missing() || is_skipped("prometheus") {
        return;
    }
    let mut fleet = Fleet::start();
    let prometheus = Prometheus::start(&fleet.admins());
    let queries = files::queries().into_iter().map(|query| {
        let query = query
            .replace("$job", "picklegate")
            .replace("$instance", ".*")
            .replace("$namespace", ".*");
        shortened(&query)
    });
    let queries: BTreeSet<String> = queries.chain(files::records()).collect();
    let alerts = files::alerts();
    let count = (queries.len(), alerts.len());

    // Those of sidecars that are gone come last.
    let last = ["PicklegateDown", "PicklegateAbsent"];
    let mut silent = alerts;
    silent.retain(|alert| !last.contains(&alert.as_str()));
    let mut empty: Vec<String> = queries.into_iter().collect();
    fleet.spoil_configuration();
    await_none_left(&mut fleet, || {
        empty.retain(|query| !prometheus.has_data(query));
        let firing = prometheus.firing();
        silent.retain(|alert| !firing.contains(alert));
        empty.iter().chain(&silent).cloned().collect()
    });

    fleet.stop_one();
    await_none_left(&mut fleet, || {
        let firing = prometheus.firing();
        last[..1]
            .iter()
            .filter(|alert| !firing.contains(**alert))
            .collect()
    });
    prometheus.forget_targets();
    await_none_left(&mut fleet, || {
        let firing = prometheus.firing();
        last[1..]
            .iter()
            .filter(|alert| !firing.contains(**alert))
            .collect()
    });
    println!("{} queries, {} alerts", count.0, count.1);
}
