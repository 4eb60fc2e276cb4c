//! One panel of the picture: the curves of one run, their names, and the bound.
//!
//! Belongs here: what a panel says and how it looks. Not here: which panels there are (`curves`).

use super::curves::Fault;
use super::outcome::{Outcome, Row};
use super::{Order, Task};
use p2pdi::rate::Rate;
use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// A part of the sheet.
pub(in crate::cli) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Text.
pub(in crate::cli) const INK: RGBColor = RGBColor(34, 34, 34);
/// Lesser text.
pub(in crate::cli) const GREY: RGBColor = RGBColor(95, 95, 95);
/// The bound.
pub(in crate::cli) const BOUND: RGBColor = RGBColor(60, 60, 60);
const GRID: RGBColor = RGBColor(228, 228, 228);

/// Okabe and Ito's colours, told apart by colour-blind eyes too; their yellow is too pale for a line.
pub(in crate::cli) const PALETTE: [RGBColor; 6] = [
    RGBColor(0, 0, 0),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(0, 158, 115),
    RGBColor(213, 94, 0),
    RGBColor(204, 121, 167),
];

const TITLE_HEIGHT: u32 = 92;
const LEFT: i32 = 24;
const LABEL_STEP: i32 = 15;

/// About how many times the time axis shows.
const TIME_MARKS: usize = 8;

/// Every how manieth point of a curve has a mark; twice the number of peers, so that no two marks meet.
const MARK_STEP: usize = 12;

/// The colour of a peer, the same in every panel.
pub(super) fn color_of(peer: &str) -> RGBColor {
    PALETTE[number_of(peer) % PALETTE.len()]
}

/// 0 for `P1`.
fn number_of(peer: &str) -> usize {
    peer.trim_start_matches('P')
        .parse::<usize>()
        .unwrap_or(1)
        .saturating_sub(1)
}

/// Text of so many pixels. The library writes sizes divided by 1.24 into an SVG.
pub(in crate::cli) fn text_style(px: f64, color: &RGBColor, bold: bool) -> TextStyle<'static> {
    let style = if bold { FontStyle::Bold } else { FontStyle::Normal };
    ("sans-serif", px * 1.24, style).into_font().color(color)
}

/// One axis of a chart.
pub(in crate::cli) struct Axis<'a> {
    /// What is marked.
    pub(in crate::cli) name: &'a str,
    /// About how many marks.
    pub(in crate::cli) marks: usize,
    /// The words at a mark.
    pub(in crate::cli) label: &'a dyn Fn(&f64) -> String,
}

/// A plane with two axes of numbers.
type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// The grid and the words of both axes, as every chart has them.
///
/// # Errors
/// The plotting library gave up.
pub(in crate::cli) fn mesh(chart: &mut Chart<'_, '_>, x: &Axis<'_>, y: &Axis<'_>) -> Result<(), Fault> {
    chart
        .configure_mesh()
        .disable_x_mesh()
        .bold_line_style(GRID)
        .light_line_style(TRANSPARENT)
        .axis_style(GREY)
        .label_style(text_style(12.0, &GREY, false))
        .axis_desc_style(text_style(13.0, &INK, false))
        .x_labels(x.marks)
        .y_labels(y.marks)
        .x_label_formatter(x.label)
        .y_label_formatter(y.label)
        .x_desc(x.name)
        .y_desc(y.name)
        .draw()
}

/// What both axes reach to, the same for all panels.
#[derive(Debug)]
pub(super) struct Scale {
    documents: f64,
    secs: f64,
}

impl Scale {
    /// The scale that shows all of these runs.
    pub(super) fn of(runs: &[Outcome]) -> Self {
        let rows = || runs.iter().flat_map(|run| &run.rows);
        let slowest = rows().map(|row| row.cumulative_secs).fold(0.0, f64::max);
        let bound = runs.iter().map(|run| run.summary.bound_secs).fold(0.0, f64::max);
        let documents = rows().map(|row| row.n).max().unwrap_or(1).max(1);
        Self {
            documents: documents as f64,
            secs: (slowest.max(bound) * 1.08).max(0.001),
        }
    }

    /// How many decimals tell two neighbouring marks of the time axis apart.
    fn decimals(&self) -> usize {
        let step = self.secs / TIME_MARKS as f64;
        (0..6)
            .find(|&n| step * 10_f64.powi(n) >= 1.0)
            .map_or(6, |n| n.unsigned_abs() as usize)
    }
}

/// What a stranger reads above the curves.
fn titles(task: Task) -> (&'static str, &'static str) {
    match task {
        Task::Centralized => (
            "Centralized: one peer serves all",
            "P2–P6 each take 50 documents from P1",
        ),
        Task::Distributed(Order::Best) => (
            "Distributed, best order: take turns",
            "10 documents each; each starts at its next neighbour",
        ),
        Task::Distributed(Order::WorstOrder) => (
            "Distributed, worst order: all queue",
            "10 documents each; all take them in the order 1 to 60",
        ),
        Task::Distributed(Order::WorstRelay) => (
            "Distributed, worst relay: via one peer",
            "P1 fetches all first, then serves P2–P6 alone",
        ),
    }
}

/// Draws a run into its part of the sheet; only the first panel names the scale all share.
///
/// # Errors
/// The plotting library gave up.
pub(super) fn draw(
    sheet: &Area<'_>,
    area: &Area<'_>,
    run: &Outcome,
    scale: &Scale,
    first: bool,
) -> Result<(), Fault> {
    let (head, plot) = area.split_vertically(TITLE_HEIGHT);
    head_lines(&head, run)?;
    let mut chart = ChartBuilder::on(&plot)
        .margin_left(4)
        .margin_right(44)
        .margin_top(6)
        .margin_bottom(8)
        .x_label_area_size(46)
        .y_label_area_size(54)
        .build_cartesian_2d(0.0..scale.documents, 0.0..scale.secs)?;
    let decimals = scale.decimals();
    mesh(
        &mut chart,
        &Axis {
            name: "documents downloaded",
            marks: 6,
            label: &|documents| format!("{documents:.0}"),
        },
        &Axis {
            name: if first { "seconds since the start" } else { "" },
            marks: TIME_MARKS,
            label: &|secs| format!("{secs:.decimals$}"),
        },
    )?;

    let bound = run.summary.bound_secs;
    let ends = [(0.0, bound), (scale.documents, bound)];
    chart.draw_series(DashedLineSeries::new(ends, 6, 4, BOUND.stroke_width(2)))?;
    let curves: Vec<(&str, Vec<(f64, f64)>)> = run
        .by_peer()
        .into_iter()
        .map(|(peer, rows)| (peer, curve(&rows)))
        .collect();
    for (peer, points) in &curves {
        chart.draw_series(LineSeries::new(
            points.iter().copied(),
            color_of(peer).stroke_width(2),
        ))?;
    }
    // After all lines: where curves lie on each other, their marks still tell who is there.
    for (peer, points) in &curves {
        let marks = points.iter().skip(first_mark(peer)).step_by(MARK_STEP);
        chart.draw_series(marks.map(|&at| Circle::new(at, 4, color_of(peer).filled())))?;
    }
    let pixel = |at: &(f64, f64)| chart.plotting_area().map_coordinate(at);
    let pixels: Vec<_> = curves
        .iter()
        .flat_map(|(_, points)| in_between(points))
        .map(|at| pixel(&at))
        .collect();
    bound_label(
        sheet,
        &format!("lower bound {bound:.2} s"),
        pixel(&ends[0]),
        pixel(&ends[1]),
        &pixels,
    )?;
    let names = curves
        .iter()
        .filter_map(|(peer, points)| Some((*peer, pixel(points.last()?))));
    let (_, rows) = chart.plotting_area().get_pixel_range();
    direct_labels(sheet, names.collect(), rows)
}

/// Writes the bound beside its line, where it is farthest from every curve.
fn bound_label(
    sheet: &Area<'_>,
    text: &str,
    left: (i32, i32),
    right: (i32, i32),
    curves: &[(i32, i32)],
) -> Result<(), Fault> {
    let width = i32::try_from(text.len()).unwrap_or(0) * 7;
    // How far the nearest point of a curve is from a label whose left upper corner is there.
    let clearance = |x: i32, y: i32| {
        let beside = |point: i32, from: i32, to: i32| (from - point).max(point - to).max(0);
        let gaps = curves
            .iter()
            .map(|at| beside(at.0, x, x + width).max(beside(at.1, y, y + LABEL_STEP)));
        gaps.min().unwrap_or(i32::MAX).min(2 * LABEL_STEP)
    };
    let middle = i32::midpoint(left.0, right.0) - width / 2;
    let columns = [left.0 + 8, middle, right.0 - 6 - width];
    let places = columns
        .into_iter()
        .flat_map(|x| [(x, left.1 - 3 - LABEL_STEP), (x, left.1 + 4)]);
    // The first of equals, so that panels look alike.
    let best = places.rev().max_by_key(|&(x, y)| clearance(x, y)).unwrap_or(left);
    sheet.draw(&Text::new(text.to_owned(), best, text_style(12.5, &INK, false)))
}

/// The points of a curve and some between them, so that no steep part is missed.
fn in_between(points: &[(f64, f64)]) -> impl Iterator<Item = (f64, f64)> {
    const PARTS: u32 = 8;
    points.windows(2).flat_map(|ends| {
        let (from, to) = (ends[0], ends[1]);
        (0..=PARTS).map(move |part| {
            let share = f64::from(part) / f64::from(PARTS);
            (from.0 + (to.0 - from.0) * share, from.1 + (to.1 - from.1) * share)
        })
    })
}

/// The first marked point of a peer's curve: a different one for each.
fn first_mark(peer: &str) -> usize {
    2 + 2 * (number_of(peer) % PALETTE.len())
}

fn head_lines(head: &Area<'_>, run: &Outcome) -> Result<(), Fault> {
    let summary = &run.summary;
    let (title, how) = titles(summary.task);
    let rate =
        Rate::from_bytes_per_sec(summary.up_limit_bytes_per_sec).map_or("none".to_owned(), |r| r.to_string());
    let facts = format!(
        "uplinks {rate} · {} documents, {:.1} MB",
        summary.documents,
        summary.bytes as f64 / 1e6
    );
    let times = |ratio| format!(", {ratio:.2} × the lower bound");
    let slowest = format!(
        "slowest peer {:.2} s{}",
        summary.slowest_secs,
        summary.ratio().map(times).unwrap_or_default()
    );
    let lines = [
        (title.to_owned(), 4, 17.0, INK, true),
        (how.to_owned(), 28, 13.0, GREY, false),
        (facts, 46, 13.0, GREY, false),
        (slowest, 66, 14.0, INK, true),
    ];
    for (text, y, px, color, bold) in lines {
        head.draw(&Text::new(text, (LEFT, y), text_style(px, &color, bold)))?;
    }
    Ok(())
}

/// The points of a peer's curve, beginning where its first download began.
fn curve(rows: &[&Row]) -> Vec<(f64, f64)> {
    let begin = rows
        .first()
        .map_or(0.0, |row| (row.cumulative_secs - row.secs).max(0.0));
    let done = rows.iter().map(|row| (row.n as f64, row.cumulative_secs));
    core::iter::once((0.0, begin)).chain(done).collect()
}

/// Writes each peer's name beside the end of its curve, moved apart where ends are close.
fn direct_labels(
    sheet: &Area<'_>,
    mut names: Vec<(&str, (i32, i32))>,
    rows: core::ops::Range<i32>,
) -> Result<(), Fault> {
    // By name where the ends all but meet.
    names.sort_by_key(|(peer, (_, y))| (y / 4, *peer));
    let wanted: Vec<i32> = names.iter().map(|(_, (_, y))| *y).collect();
    for ((peer, end), y) in names.iter().zip(spread(&wanted, rows)) {
        let leader = vec![(end.0 + 1, end.1), (end.0 + 14, y)];
        sheet.draw(&PathElement::new(leader, color_of(peer).stroke_width(1)))?;
        let beside = Pos::new(HPos::Left, VPos::Center);
        sheet.draw(&Text::new(
            (*peer).to_owned(),
            (end.0 + 17, y),
            text_style(12.5, &INK, false).pos(beside),
        ))?;
    }
    Ok(())
}

/// Heights at least a label apart, near the wanted ones (which rise), and within `rows` if there is room.
fn spread(wanted: &[i32], rows: core::ops::Range<i32>) -> Vec<i32> {
    let mut placed: Vec<i32> = Vec::new();
    for &y in wanted {
        placed.push(placed.last().map_or(y, |last| y.max(last + LABEL_STEP)));
    }
    let count = i32::try_from(wanted.len()).unwrap_or(1).max(1);
    // Pushing downwards alone would hang all labels below their curves.
    let lift = placed.iter().zip(wanted).map(|(to, from)| to - from).sum::<i32>() / count;
    let lowest = rows.end.max(rows.start + LABEL_STEP * (count - 1));
    let overflow = placed.last().map_or(0, |last| (last - lift - lowest).max(0));
    let shift = lift + overflow;
    let mut floor = rows.start;
    for y in &mut placed {
        *y = (*y - shift).max(floor);
        floor = *y + LABEL_STEP;
    }
    placed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_axis_shows_as_many_decimals_as_it_needs() {
        for (secs, decimals) in [
            (30.0, 0),
            (8.0, 0),
            (7.9, 1),
            (2.0, 1),
            (0.4, 2),
            (0.001, 4),
            (0.0, 6),
        ] {
            assert_eq!(
                Scale {
                    documents: 50.0,
                    secs
                }
                .decimals(),
                decimals,
                "{secs}"
            );
        }
    }

    #[test]
    fn labels_never_overlap_and_stay_inside() {
        for wanted in [
            vec![100, 100, 101, 103, 103, 104],
            vec![0, 0, 0],
            vec![299, 299, 300],
            vec![5],
            vec![],
            vec![0, 150, 300],
        ] {
            let placed = spread(&wanted, 0..300);
            assert!(
                placed.windows(2).all(|pair| pair[1] - pair[0] >= LABEL_STEP),
                "{wanted:?} {placed:?}"
            );
            assert!(
                placed.iter().all(|y| (0..=300).contains(y)),
                "{wanted:?} {placed:?}"
            );
        }
        assert_eq!(spread(&[0, 150, 300], 0..300), [0, 150, 300]);
    }
}
