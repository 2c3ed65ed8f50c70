//! The results as a table for people.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::iter;

use strum::VariantArray as _;

use super::contender::Kind;
use super::ratio::{Bound, Spread};
use super::results::{Claim, Figure, Memory, Results, WorkResult};

/// All there is to read.
pub(super) fn text(results: &Results) -> String {
    let mut text = results.machine.join("\n") + "\n";
    text.extend(results.works.iter().map(work));
    let claims = &results.claims;
    let met = claims.iter().filter(|claim| claim.is_met).count();
    text.extend([
        section(
            "Memory (RSS) with idle connections that did one get each",
            results.memory.iter().map(memory),
        ),
        single(
            "System calls of the proxy per request, 64 connections",
            &results.system_calls,
        ),
        single("User instructions of picklegate", &results.instructions),
        section(
            &format!("Targets: {met} of {} met", claims.len()),
            claims.iter().map(claim),
        ),
        section("Not measured", &results.skipped),
        section("Doubtful", &results.doubts),
        section("Wrong replies and errors", &results.faults),
    ]);
    text
}

/// A title and the lines under it; nothing where there are none.
fn section(title: &str, lines: impl IntoIterator<Item = impl Display>) -> String {
    let lines = lines.into_iter().map(|line| format!("  {line}\n"));
    let lines: Vec<String> = lines.collect();
    if lines.is_empty() {
        return String::new();
    }
    format!("\n{title}\n{}", lines.concat())
}

fn work(work: &WorkResult) -> String {
    let head = format!(
        "{:<20} {:>10} {:>15} {:>9} {:>12} {:>8} {:>8} {:>8} {:>9}",
        "",
        "requests/s",
        "[least..most]",
        "proxy us",
        "memcached us",
        "load us",
        "p50 us",
        "p99 us",
        "p99.9 us"
    );
    let rows = Kind::VARIANTS.iter().filter_map(|&kind| row(work, kind));
    let title = format!("{}\n  run {}", work.name, work.load);
    section(&title, iter::once(head).chain(rows))
}

/// A contender's row; `None` if it did not take part.
fn row(work: &WorkResult, kind: Kind) -> Option<String> {
    let throughput = work.spread(kind, Figure::Throughput)?;
    let spread = |figure| work.spread(kind, figure);
    let median = |figure| spread(figure).map_or(0.0, |spread| spread.median);
    let proxy = match kind {
        Kind::Direct => "-".to_owned(),
        _ => format!("{:.2}", median(Figure::ProxyCpu)),
    };
    Some(format!(
        "{kind:<20} {:>10.0} {:>15} {proxy:>9} {:>12.2} {:>8.2} {:>8.1} {:>8.1} {:>9.1}",
        throughput.median,
        format!("[{:.0}..{:.0}]", throughput.min, throughput.max),
        median(Figure::MemcachedCpu),
        median(Figure::LoadCpu),
        median(Figure::P50),
        median(Figure::P99),
        median(Figure::P999),
    ))
}

fn memory((name, memory): (&&str, &Memory)) -> String {
    let mib = |kib: u64| kib as f64 / 1024.0;
    let held = memory.held.iter();
    let held = held.map(|(connections, kib)| format!(", with {connections}: {:.1} MiB", mib(*kib)));
    let held: Vec<String> = held.collect();
    format!(
        "{name:<20} {:>7.1} MiB{}, {:.2} KiB each",
        mib(memory.base_kib),
        held.concat(),
        memory.kib_each().unwrap_or_default()
    )
}

fn single(title: &str, figures: &BTreeMap<&'static str, f64>) -> String {
    let lines = figures.iter();
    section(
        title,
        lines.map(|(name, figure)| format!("{name:<26} {figure:>10.2}")),
    )
}

fn claim(claim: &Claim) -> String {
    let target = match claim.target {
        Bound::AtMost(most) => format!("<= {most}{}", claim.unit),
        Bound::AtLeast(least) => format!(">= {least}{}", claim.unit),
    };
    format!(
        "{:<34} {:<46} {:>24}  {target:<11} {}",
        claim.work,
        claim.what,
        spread(claim.measured, claim.unit),
        if claim.is_met { "ok" } else { "MISSED" }
    )
}

fn spread(spread: Spread, unit: &str) -> String {
    let digits = if spread.median >= 100.0 { 0 } else { 2 };
    let Spread { median, min, max } = spread;
    if max > min {
        format!("{median:.digits$}{unit} [{min:.digits$}..{max:.digits$}]")
    } else {
        format!("{median:.digits$}{unit}")
    }
}
