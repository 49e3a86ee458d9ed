//! How each kind of content becomes lines, bars and fields on a page.

use super::{
    Axis, Chart, Content, Interval, Scale, Series,
    colour::{INK, UNKNOWN, cividis, series as colour_of},
    page::{Drawn, Frame, HEIGHT, Hold, Page, WIDTH, line_height, ticks_width, widest, wrapped},
    scale::{Fit, Span},
};
use crate::{LabError, report::table::figure};

/// More points than this are drawn as a line only.
const DOTTED: usize = 16;

pub(super) fn svg(chart: &Chart) -> Result<String, LabError> {
    let empty = || LabError::new(format!("the chart \"{}\" has no values to draw", chart.title));
    let mut svg = String::new();
    let drawn = match &chart.content {
        Content::Lines(lines) => {
            let spans = line_spans(chart, lines).ok_or_else(empty)?;
            draw_lines(&mut svg, chart, lines, spans)
        }
        Content::Bars(bars) => {
            let scale = chart.y.scale;
            let ends = bars.iter().map(|(_, value)| *value);
            let span = with_base(scale, ends, 0.0).ok_or_else(empty)?;
            draw_bars(&mut svg, chart, bars, &span)
        }
        Content::Tornado { base, bars } => {
            let ends = bars.iter().flat_map(|bar| [bar.low, bar.high]).chain([*base]);
            let span = Span::over(chart.x.scale, Fit::Tight, ends).ok_or_else(empty)?;
            draw_tornado(&mut svg, chart, *base, bars, &span)
        }
        Content::Map { x, y, values, label } => {
            let cells = values.iter().flatten().copied();
            let span = Span::over(Scale::Linear, Fit::Tight, cells).ok_or_else(empty)?;
            let columns = edges(&chart.x, x).ok_or_else(empty)?;
            let rows = edges(&chart.y, y).ok_or_else(empty)?;
            draw_map(&mut svg, chart, (&columns, &rows), values, (&span, label))
        }
    };
    drawn.map_err(|e| {
        LabError::new(format!("the chart \"{}\" cannot be drawn: {e}", chart.title))
    })?;
    Ok(svg)
}

fn line_spans(chart: &Chart, lines: &[Series]) -> Option<(Span, Span)> {
    let points = || lines.iter().flat_map(|line| line.points.iter().copied());
    let bands = || lines.iter().flat_map(|line| line.band.iter().copied());
    let x = Span::over(
        chart.x.scale,
        Fit::Tight,
        points().map(|(x, _)| x).chain(bands().map(|(x, ..)| x)),
    )?;
    let y = Span::over(
        chart.y.scale,
        Fit::Roomy,
        points().map(|(_, y)| y).chain(bands().flat_map(|(_, low, high)| [low, high])),
    )?;
    Some((x, y))
}

fn draw_lines(
    svg: &mut String,
    chart: &Chart,
    lines: &[Series],
    (x_span, y_span): (Span, Span),
) -> Drawn {
    let mut page = Page::new(svg, &chart.title)?;
    let entries: Vec<_> =
        lines.iter().enumerate().map(|(i, l)| (colour_of(i), l.name.as_str())).collect();
    if !entries.iter().all(|(_, name)| name.is_empty()) {
        page.legend(&entries)?;
    }
    let frame = page.frame(ticks_width(&y_span), 18);
    page.y_axis(frame, &y_span, &chart.y.label)?;
    page.x_axis(frame, &x_span, &chart.x.label)?;
    for (i, line) in lines.iter().enumerate() {
        // What a logarithmic axis cannot show of a band's low edge lies on the axis.
        let floor = |v: f64| if v > 0.0 || y_span.part(v).is_some() { v } else { y_span.low() };
        let upper =
            line.band.iter().filter_map(|&(x, _, high)| at(frame, &x_span, &y_span, x, high));
        let lower = line
            .band
            .iter()
            .rev()
            .filter_map(|&(x, low, _)| at(frame, &x_span, &y_span, x, floor(low)));
        let outline: Vec<_> = upper.chain(lower).collect();
        if outline.len() > 2 {
            page.area(outline, colour_of(i), 0.22)?;
        }
    }
    for (i, line) in lines.iter().enumerate() {
        for run in runs(line, frame, &x_span, &y_span) {
            if run.len() > 1 {
                page.line(&run, colour_of(i), 3)?;
            }
            if line.points.len() <= DOTTED || run.len() == 1 {
                for point in run {
                    page.dot(point, colour_of(i))?;
                }
            }
        }
    }
    page.border(frame)?;
    page.end()
}

/// The line in pieces between points that cannot be shown, without two equal pixels in a row.
fn runs(line: &Series, frame: Frame, x_span: &Span, y_span: &Span) -> Vec<Vec<(i32, i32)>> {
    let mut runs = vec![Vec::new()];
    for &(x, y) in &line.points {
        match (at(frame, x_span, y_span, x, y), runs.last_mut()) {
            (Some(point), Some(run)) if run.last() != Some(&point) => run.push(point),
            (None, Some(run)) if !run.is_empty() => runs.push(Vec::new()),
            _ => {}
        }
    }
    runs
}

fn at(frame: Frame, x_span: &Span, y_span: &Span, x: f64, y: f64) -> Option<(i32, i32)> {
    frame.x(x_span, x).zip(frame.y(y_span, y))
}

/// A span that bars can start from: it holds `base`, or begins below the lowest value on a
/// logarithmic scale.
fn with_base(scale: Scale, ends: impl Iterator<Item = f64> + Clone, base: f64) -> Option<Span> {
    if scale == Scale::Log {
        let least = ends.clone().filter(|v| *v > 0.0).fold(f64::INFINITY, f64::min);
        return Span::over(scale, Fit::Roomy, ends.chain([least / 2.0]));
    }
    Span::over(scale, Fit::Tight, ends.clone())?;
    let high = ends.clone().fold(0.0, f64::max);
    let low = ends.clone().fold(0.0, f64::min);
    Span::over(
        scale,
        Fit::Tight,
        [low - 0.08 * (high - low) * f64::from(low < 0.0), base, high * 1.08],
    )
}

fn draw_bars(svg: &mut String, chart: &Chart, bars: &[(String, f64)], span: &Span) -> Drawn {
    let page = Page::new(svg, &chart.title)?;
    let mut frame = page.frame(ticks_width(span), 0);
    let slot = (frame.right - frame.left) / bars.len() as i32;
    let names: Vec<Vec<String>> = bars.iter().map(|(name, _)| wrapped(name, slot - 8)).collect();
    let lines = names.iter().map(Vec::len).max().unwrap_or(1) as i32;
    frame.bottom -= (lines - 1) * line_height();
    page.y_axis(frame, span, &chart.y.label)?;
    let ground = frame.y(span, 0.0).unwrap_or(frame.bottom);
    for (i, ((_, value), name)) in bars.iter().zip(names).enumerate() {
        let middle = frame.left + slot * i as i32 + slot / 2;
        if let Some(top) = frame.y(span, *value) {
            let half = (slot * 3 / 8).max(1);
            page.rectangle((middle - half, top), (middle + half, ground), colour_of(0), 1.0)?;
            let above = if *value < 0.0 { top + 12 } else { top - 12 };
            page.text(&figure(*value), (middle, above), Hold::Middle)?;
        }
        for (row, line) in name.iter().enumerate() {
            let y = frame.bottom + 16 + row as i32 * line_height();
            page.text(line, (middle, y), Hold::Middle)?;
        }
    }
    page.border(frame)?;
    page.line(&[(frame.left, ground), (frame.right, ground)], INK, 2)?;
    page.x_label(frame, &chart.x.label)?;
    page.end()
}

fn draw_tornado(
    svg: &mut String,
    chart: &Chart,
    base: f64,
    bars: &[Interval],
    span: &Span,
) -> Drawn {
    const NAMES: i32 = 300;
    let mut page = Page::new(svg, &chart.title)?;
    let (low, high) = (colour_of(0), colour_of(3));
    page.legend(&[(low, "with the input's first value"), (high, "with its second value")])?;
    let names: Vec<Vec<String>> = bars.iter().map(|bar| wrapped(&bar.name, NAMES)).collect();
    let frame = page.frame(widest(names.iter().flatten()), 18);
    page.x_axis(frame, span, &chart.x.label)?;
    page.y_label(frame, &chart.y.label)?;
    let mut order: Vec<usize> = (0..bars.len()).collect();
    let reach = |i: &usize| bars.get(*i).map_or(0.0, |bar| (bar.high - bar.low).abs());
    order.sort_by(|a, b| reach(b).total_cmp(&reach(a)));
    let slot = (frame.bottom - frame.top) / bars.len().max(1) as i32;
    let half = (slot * 3 / 8).clamp(1, 24);
    let from = frame.x(span, base);
    for (place, i) in order.into_iter().enumerate() {
        let (Some(bar), Some(name)) = (bars.get(i), names.get(i)) else { continue };
        let middle = frame.top + slot * place as i32 + slot / 2;
        let mut ends = [(bar.low, low), (bar.high, high)];
        // Of two on the same side the shorter is drawn over the longer.
        ends.sort_by(|a, b| (b.0 - base).abs().total_cmp(&(a.0 - base).abs()));
        for (end, colour) in ends {
            if let Some((from, to)) = from.zip(frame.x(span, end)) {
                page.rectangle((from, middle - half), (to, middle + half), colour, 1.0)?;
            }
        }
        let first = middle - (name.len() as i32 - 1) * line_height() / 2;
        for (row, line) in name.iter().enumerate() {
            let y = first + row as i32 * line_height();
            page.text(line, (frame.left - 9, y), Hold::Right)?;
        }
    }
    page.border(frame)?;
    if let Some(x) = from {
        page.line(&[(x, frame.top), (x, frame.bottom)], INK, 2)?;
    }
    page.end()
}

fn draw_map(
    svg: &mut String,
    chart: &Chart,
    (columns, rows): (&[f64], &[f64]),
    values: &[Vec<f64>],
    (span, label): (&Span, &str),
) -> Drawn {
    const BAR: i32 = 22;
    let page = Page::new(svg, &chart.title)?;
    let (Some(x_span), Some(y_span)) = (
        Span::over(chart.x.scale, Fit::Tight, columns.iter().copied()),
        Span::over(chart.y.scale, Fit::Tight, rows.iter().copied()),
    ) else {
        return page.end();
    };
    let scale_width = ticks_width(span);
    let frame = page.frame(ticks_width(&y_span), 34 + BAR + 14 + scale_width + line_height());
    page.y_axis(frame, &y_span, &chart.y.label)?;
    page.x_axis(frame, &x_span, &chart.x.label)?;
    for (row, edge) in values.iter().zip(rows.windows(2)) {
        let [low, high] = edge else { continue };
        let (Some(bottom), Some(top)) = (frame.y(&y_span, *low), frame.y(&y_span, *high)) else {
            continue;
        };
        for (from, to, colour) in same_colours(row, span) {
            let edge = |i: usize| columns.get(i).and_then(|x| frame.x(&x_span, *x));
            if let Some((left, right)) = edge(from).zip(edge(to)) {
                page.rectangle((left, top), (right, bottom), colour, 1.0)?;
            }
        }
    }
    page.border(frame)?;

    let bar = Frame { left: frame.right + 34, right: frame.right + 34 + BAR, ..frame };
    let height = f64::from(bar.bottom - bar.top);
    for y in bar.top..bar.bottom {
        let part = f64::from(bar.bottom - y) / height;
        page.rectangle((bar.left, y), (bar.right, y + 1), cividis(part), 1.0)?;
    }
    for (value, text) in span.ticks() {
        let Some(y) = bar.y(span, value) else { continue };
        page.line(&[(bar.right, y), (bar.right + 5, y)], INK, 1)?;
        page.text(&text, (bar.right + 9 + scale_width, y), Hold::Right)?;
    }
    page.text(label, (WIDTH - 14, (bar.top + bar.bottom).min(HEIGHT) / 2), Hold::Upright)?;
    page.end()
}

/// First column, column after the last, and colour of each run of cells that look the same.
fn same_colours(row: &[f64], span: &Span) -> Vec<(usize, usize, plotters::style::RGBColor)> {
    const SHADES: f64 = 128.0;
    let colour = |v: f64| match span.part(v).filter(|_| v.is_finite()) {
        Some(part) => cividis((part * SHADES).round() / SHADES),
        None => UNKNOWN,
    };
    let mut runs: Vec<(usize, usize, plotters::style::RGBColor)> = Vec::new();
    for (i, value) in row.iter().enumerate() {
        let this = colour(*value);
        match runs.last_mut() {
            Some((_, end, last)) if *last == this => *end = i + 1,
            _ => runs.push((i, i + 1, this)),
        }
    }
    runs
}

/// Borders between cells with these centres: half-way, and as far beyond the first and the last.
fn edges(axis: &Axis, centres: &[f64]) -> Option<Vec<f64>> {
    let log = axis.scale == Scale::Log;
    let to = |v: f64| if log { v.ln() } else { v };
    let from = |v: f64| if log { v.exp() } else { v };
    let places: Vec<f64> = centres.iter().map(|v| to(*v)).collect();
    let (&first, &last) = (places.first()?, places.last()?);
    if places.iter().any(|v| !v.is_finite()) {
        return None;
    }
    let half = |a: Option<&f64>, b: Option<&f64>| a.zip(b).map_or(0.5, |(a, b)| (b - a) / 2.0);
    let start = first - half(places.first(), places.get(1));
    let end = last + half(places.iter().rev().nth(1), places.last());
    let between = places.windows(2).filter_map(|pair| match pair {
        [a, b] => Some((a + b) / 2.0),
        _ => None,
    });
    Some([start].into_iter().chain(between).chain([end]).map(from).collect())
}
