//! The results as a table for people.

use std::fmt::Write as _;

use strum::VariantArray as _;

use super::contender::Kind;
use super::ratio::{Bound, Spread};
use super::results::{Claim, Figure, Results, WorkResult};

/// All there is to read.
pub(super) fn text(results: &Results) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write(&mut text, results);
    text
}

fn write(text: &mut String, results: &Results) -> std::fmt::Result {
    for line in &results.machine {
        writeln!(text, "{line}")?;
    }
    for work in &results.works {
        write_work(text, work)?;
    }
    write_memory(text, results)?;
    write_single(
        text,
        "System calls of the proxy per request, 64 connections",
        &results.system_calls,
    )?;
    write_single(
        text,
        "User instructions of picklegate",
        &results.instructions,
    )?;
    write_claims(text, &results.claims)?;
    write_list(text, "Not measured", &results.skipped)?;
    write_list(text, "Doubtful", &results.doubts)?;
    write_list(text, "Wrong replies and errors", &results.faults)
}

fn write_work(text: &mut String, work: &WorkResult) -> std::fmt::Result {
    writeln!(text, "\n{}\n  run {}", work.name, work.load)?;
    writeln!(
        text,
        "  {:<20} {:>10} {:>15} {:>9} {:>12} {:>8} {:>8} {:>8} {:>9}",
        "",
        "requests/s",
        "[least..most]",
        "proxy us",
        "memcached us",
        "load us",
        "p50 us",
        "p99 us",
        "p99.9 us"
    )?;
    for &kind in Kind::VARIANTS {
        let Some(throughput) = work.spread(kind, Figure::Throughput) else {
            continue;
        };
        let median = |figure| {
            work.spread(kind, figure)
                .map_or(0.0, |spread| spread.median)
        };
        let proxy = match kind {
            Kind::Direct => "-".to_owned(),
            _ => format!("{:.2}", median(Figure::ProxyCpu)),
        };
        writeln!(
            text,
            "  {kind:<20} {:>10.0} {:>15} {proxy:>9} {:>12.2} {:>8.2} {:>8.1} {:>8.1} {:>9.1}",
            throughput.median,
            format!("[{:.0}..{:.0}]", throughput.min, throughput.max),
            median(Figure::MemcachedCpu),
            median(Figure::LoadCpu),
            median(Figure::P50),
            median(Figure::P99),
            median(Figure::P999),
        )?;
    }
    Ok(())
}

fn write_memory(text: &mut String, results: &Results) -> std::fmt::Result {
    if results.memory.is_empty() {
        return Ok(());
    }
    writeln!(
        text,
        "\nMemory (RSS) with idle connections that did one get each"
    )?;
    for (name, memory) in &results.memory {
        write!(
            text,
            "  {name:<20} {:>7.1} MiB",
            memory.base_kib as f64 / 1024.0
        )?;
        for (connections, kib) in &memory.held {
            write!(
                text,
                ", with {connections}: {:.1} MiB",
                *kib as f64 / 1024.0
            )?;
        }
        writeln!(
            text,
            ", {:.2} KiB each",
            memory.kib_each().unwrap_or_default()
        )?;
    }
    Ok(())
}

fn write_single(
    text: &mut String,
    title: &str,
    figures: &std::collections::BTreeMap<&'static str, f64>,
) -> std::fmt::Result {
    if figures.is_empty() {
        return Ok(());
    }
    writeln!(text, "\n{title}")?;
    figures
        .iter()
        .try_for_each(|(name, figure)| writeln!(text, "  {name:<26} {figure:>10.2}"))
}

fn write_claims(text: &mut String, claims: &[Claim]) -> std::fmt::Result {
    if claims.is_empty() {
        return Ok(());
    }
    let met = claims.iter().filter(|claim| claim.is_met).count();
    writeln!(text, "\nTargets: {met} of {} met", claims.len())?;
    for claim in claims {
        let measured = spread(claim.measured, claim.unit);
        let target = match claim.target {
            Bound::AtMost(most) => format!("<= {most}{}", claim.unit),
            Bound::AtLeast(least) => format!(">= {least}{}", claim.unit),
        };
        writeln!(
            text,
            "  {:<34} {:<46} {measured:>24}  {target:<11} {}",
            claim.work,
            claim.what,
            if claim.is_met { "ok" } else { "MISSED" }
        )?;
    }
    Ok(())
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

fn write_list(text: &mut String, title: &str, lines: &[String]) -> std::fmt::Result {
    if lines.is_empty() {
        return Ok(());
    }
    writeln!(text, "\n{title}")?;
    lines.iter().try_for_each(|line| writeln!(text, "  {line}"))
}
