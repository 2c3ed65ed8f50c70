//! The results as pictures.

use std::path::{Path, PathBuf};

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::CompareError;
use super::contender::Kind;
use super::results::{Figure, Results, WorkResult};
use super::work::EQUAL_LOAD;

/// The contenders that are drawn, and how.
const SERIES: [(Kind, RGBColor); 7] = [
    (Kind::Direct, RGBColor(120, 120, 120)),
    (Kind::Picklegate, RGBColor(31, 119, 180)),
    (Kind::PicklegateShared, RGBColor(130, 180, 220)),
    (Kind::PicklegateUnix, RGBColor(23, 60, 120)),
    (Kind::Twemproxy, RGBColor(214, 110, 20)),
    (Kind::Haproxy, RGBColor(60, 150, 70)),
    (Kind::MemcachedProxy, RGBColor(150, 80, 160)),
];

const SIZE: (u32, u32) = (1200, 560);
const FONT: &str = "sans-serif";

/// Draws what was measured into a directory, and says which files it made.
pub(super) fn plot(results: &Results, directory: &Path) -> Result<Vec<PathBuf>, CompareError> {
    std::fs::create_dir_all(directory)?;
    let closed: Vec<&WorkResult> = results
        .works
        .iter()
        .filter(|work| {
            super::work::CLOSED
                .iter()
                .any(|closed| closed.name == work.name)
        })
        .collect();
    let mut files = Vec::new();
    if !closed.is_empty() {
        let file = directory.join("throughput.svg");
        throughput(&closed, &file).map_err(failed)?;
        files.push(file);
        let file = directory.join("cpu.svg");
        cpu(&closed, &file).map_err(failed)?;
        files.push(file);
    }
    if let Some(work) = results.work(EQUAL_LOAD) {
        let file = directory.join("latency.svg");
        latency(work, &file).map_err(failed)?;
        files.push(file);
    }
    Ok(files)
}

type Drawn = Result<(), Box<dyn std::error::Error>>;

fn failed(error: impl std::fmt::Display) -> CompareError {
    CompareError::Plot(error.to_string())
}

/// A bar: whose it is, and its parts from the bottom up.
struct Bar {
    color: RGBColor,
    parts: Vec<f64>,
}

fn throughput(works: &[&WorkResult], file: &Path) -> Drawn {
    let bars = |work: &WorkResult, kind| {
        let spread = work.spread(kind, Figure::Throughput)?;
        Some(vec![spread.median / 1e3])
    };
    let title = "Throughput, all on one CPU (thousand requests per second; higher is better)";
    panels(works, file, title, "", bars)
}

fn cpu(works: &[&WorkResult], file: &Path) -> Drawn {
    let bars = |work: &WorkResult, kind| {
        let median = |figure| work.spread(kind, figure).map(|spread| spread.median);
        Some(vec![
            median(Figure::MemcachedCpu)?,
            median(Figure::ProxyCpu)?,
        ])
    };
    let title = "CPU per request, all on one CPU (microseconds; lower is better)";
    panels(works, file, title, "pale: memcached, full: proxy", bars)
}

/// One panel for each work, each with a scale of its own.
fn panels(
    works: &[&WorkResult],
    file: &Path,
    title: &str,
    note: &str,
    parts: impl Fn(&WorkResult, Kind) -> Option<Vec<f64>>,
) -> Drawn {
    let (body, legend) = frame(file, title)?;
    let kinds: Vec<_> = SERIES
        .into_iter()
        .filter(|(kind, _)| works.iter().any(|work| parts(work, *kind).is_some()))
        .collect();
    draw_legend(&legend, &kinds, note)?;
    let columns = works.len().min(4);
    let rows = works.len().div_ceil(columns);
    for (work, area) in works.iter().zip(body.split_evenly((rows, columns))) {
        let bars: Vec<Bar> = SERIES
            .into_iter()
            .filter_map(|(kind, color)| {
                let parts = parts(work, kind)?;
                Some(Bar { color, parts })
            })
            .collect();
        draw_bars(&area, work.name, &bars)?;
    }
    body.present()?;
    Ok(())
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

/// A white sheet with a title: the part to draw on, and that for the legend.
fn frame<'a>(
    file: &'a Path,
    title: &str,
) -> Result<(Area<'a>, Area<'a>), Box<dyn std::error::Error>> {
    let root = SVGBackend::new(file, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let root = root.titled(title, (FONT, 22))?;
    let (_, height) = root.dim_in_pixel();
    Ok(root.split_vertically(height - 40))
}

fn draw_legend(area: &Area<'_>, kinds: &[(Kind, RGBColor)], note: &str) -> Drawn {
    let mut x = 30;
    for (kind, color) in kinds {
        area.draw(&Rectangle::new([(x, 7), (x + 16, 23)], color.filled()))?;
        area.draw(&Text::new(kind.name(), (x + 22, 10), (FONT, 16)))?;
        x += 60 + 9 * i32::try_from(kind.name().len())?;
    }
    area.draw(&Text::new(note, (x, 10), (FONT, 16)))?;
    Ok(())
}

fn draw_bars(area: &Area<'_>, name: &str, bars: &[Bar]) -> Drawn {
    let height = |bar: &Bar| bar.parts.iter().sum::<f64>();
    let highest = bars.iter().map(height).fold(0.0, f64::max);
    let mut chart = ChartBuilder::on(area)
        .caption(name, (FONT, 15))
        .margin(8)
        .y_label_area_size(44)
        .build_cartesian_2d(0.0..bars.len() as f64, 0.0..highest * 1.1)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .disable_x_axis()
        .y_labels(6)
        .y_label_formatter(&|figure| figure.to_string())
        .label_style((FONT, 13))
        .light_line_style(TRANSPARENT)
        .draw()?;
    for (number, bar) in bars.iter().enumerate() {
        let (left, right) = (number as f64 + 0.12, number as f64 + 0.88);
        let mut bottom = 0.0;
        for (part, size) in bar.parts.iter().enumerate() {
            let is_top = part + 1 == bar.parts.len();
            let color = bar.color.mix(if is_top { 1.0 } else { 0.4 });
            let corners = [(left, bottom), (right, bottom + size)];
            chart.draw_series([Rectangle::new(corners, color.filled())])?;
            bottom += size;
        }
        let label = if bottom < 10.0 {
            format!("{bottom:.1}")
        } else {
            format!("{bottom:.0}")
        };
        let style = (FONT, 12).into_font().into_text_style(area);
        let style = style.pos(Pos::new(HPos::Center, VPos::Bottom));
        chart.draw_series([Text::new(label, (number as f64 + 0.5, bottom), style)])?;
    }
    Ok(())
}

/// The quantiles that are drawn.
const QUANTILES: [&str; 4] = ["p50", "p90", "p99", "p99.9"];

fn quantile_name(number: i32) -> String {
    let name = usize::try_from(number)
        .ok()
        .and_then(|number| QUANTILES.get(number));
    name.copied().unwrap_or_default().to_owned()
}

fn latency(work: &WorkResult, file: &Path) -> Drawn {
    let curves: Vec<(Kind, RGBColor, [f64; 4])> = SERIES
        .into_iter()
        .filter_map(|(kind, color)| {
            let median = |figure| work.spread(kind, figure).map(|spread| spread.median);
            let figures = [Figure::P50, Figure::P90, Figure::P99, Figure::P999].map(median);
            let [Some(a), Some(b), Some(c), Some(d)] = figures else {
                return None;
            };
            Some((kind, color, [a, b, c, d]))
        })
        .collect();
    let all = || curves.iter().flat_map(|curve| curve.2);
    let (least, most) = (all().fold(f64::MAX, f64::min), all().fold(1.0, f64::max));
    let title = "Latency at equal offered load, half of what twemproxy bears (lower is better)";
    let (body, legend) = frame(file, title)?;
    let kinds: Vec<_> = curves
        .iter()
        .map(|(kind, color, _)| (*kind, *color))
        .collect();
    draw_legend(&legend, &kinds, "")?;
    let mut chart = ChartBuilder::on(&body)
        .margin(20)
        .margin_right(50)
        .x_label_area_size(36)
        .y_label_area_size(70)
        .build_cartesian_2d(0..3, (least * 0.8..most * 1.2).log_scale())?;
    chart
        .configure_mesh()
        .x_labels(4)
        .x_label_formatter(&|quantile| quantile_name(*quantile))
        .y_label_formatter(&|figure| figure.to_string())
        .y_desc("microseconds since due (logarithmic)")
        .light_line_style(TRANSPARENT)
        .label_style((FONT, 15))
        .draw()?;
    for (_, color, figures) in &curves {
        let points = || (0..).zip(figures.iter().copied());
        chart.draw_series(LineSeries::new(points(), color.stroke_width(2)))?;
        chart.draw_series(points().map(|point| Circle::new(point, 4, color.filled())))?;
    }
    body.present()?;
    Ok(())
}
