//! The picture of simulated swarms: which part of the peers has everything, against the time.
//!
//! Time is counted in bounds, so that swarms of all sizes share one scale: no curve can begin to rise before 1
//! where the source is the bound, and the steeper and nearer to 1 it rises, the better. Belongs here: how it
//! looks. Not here: the figures.

use super::{Outcome, rule};
use crate::cli::lab::panel::{Area, Axis, BOUND, GREY, INK, PALETTE, mesh, text_style};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

const WIDTH: u32 = 860;
const CHART_HEIGHT: u32 = 476;
/// The heading without the names of the curves.
const HEADER: i32 = 76;
const COLUMN: i32 = 400;
const MARGIN: i32 = 24;
const LABEL_STEP: i32 = 17;

type Fault = DrawingAreaErrorKind<std::io::Error>;

/// One swarm's curve.
#[derive(Debug)]
struct Curve {
    name: String,
    color: RGBColor,
    points: Vec<(f64, f64)>,
}

/// The picture as SVG.
///
/// # Errors
/// The plotting library gave up.
pub(super) fn draw(outcomes: &[Outcome]) -> Result<String, Fault> {
    let mut svg = String::new();
    {
        let curves: Vec<Curve> = outcomes
            .iter()
            .zip(PALETTE.iter().cycle())
            .map(|(outcome, color)| curve(outcome, *color))
            .collect();
        let rows = i32::try_from(curves.len().div_ceil(2)).unwrap_or(1);
        let header = (HEADER + rows * LABEL_STEP + 8).unsigned_abs();
        let sheet = SVGBackend::with_string(&mut svg, (WIDTH, header + CHART_HEIGHT)).into_drawing_area();
        sheet.fill(&WHITE)?;
        let (head, body) = sheet.split_vertically(header);
        heading(&head)?;
        legend(&head, &curves)?;
        chart(&sheet, &body, &curves)?;
        sheet.present()?;
    }
    Ok(svg)
}

/// A step up for every peer that is done.
#[expect(clippy::cast_precision_loss, reason = "numbers of peers are small")]
fn curve(outcome: &Outcome, color: RGBColor) -> Curve {
    let report = &outcome.report;
    let done = report.took_secs(|_| true);
    let all = outcome.nodes.max(1) as f64;
    let mut points = vec![(0.0, 0.0)];
    for (before, secs) in done.iter().enumerate() {
        let at = secs / report.bound_secs;
        points.push((at, before as f64 / all * 100.0));
        points.push((at, (before + 1) as f64 / all * 100.0));
    }
    let mut name = format!("{} peers: {:.2}", outcome.nodes, report.ratio());
    if outcome.freeloaders > 0 {
        name.push_str(&format!(
            " ({} freeloaders, {})",
            outcome.freeloaders,
            rule(outcome.turns)
        ));
    }
    Curve { name, color, points }
}

fn heading(head: &Area<'_>) -> Result<(), Fault> {
    let lines = [
        ("How soon a simulated swarm has everything", 16, 22.0, &INK, true),
        (
            "The earlier and the steeper the better. Behind each name: when its last peer is done.",
            48,
            14.0,
            &GREY,
            false,
        ),
    ];
    for (text, y, px, color, bold) in lines {
        head.draw(&Text::new(text, (MARGIN, y), text_style(px, color, bold)))?;
    }
    Ok(())
}

fn chart(sheet: &Area<'_>, body: &Area<'_>, curves: &[Curve]) -> Result<(), Fault> {
    let times = || curves.iter().flat_map(|curve| curve.points.iter().map(|at| at.0));
    let last = times().fold(1.0, f64::max);
    // The beginning, in which nobody is done yet, says nothing.
    let first = times().filter(|at| *at > 0.0).fold(1.0, f64::min);
    let margin = ((last - first) * 0.08).max(0.02);
    let (from, to) = (first - margin, last + margin);
    let mut chart = ChartBuilder::on(body)
        .margin_left(8)
        .margin_right(32)
        .margin_top(6)
        .margin_bottom(10)
        .x_label_area_size(46)
        .y_label_area_size(64)
        .build_cartesian_2d(from..to, 0.0..108.0)?;
    mesh(
        &mut chart,
        &Axis {
            name: "time, in multiples of the bound",
            marks: 10,
            label: &|bounds| format!("{bounds:.2}"),
        },
        &Axis {
            name: "peers that have everything",
            marks: 6,
            label: &|part| format!("{part:.0} %"),
        },
    )?;
    let bound = [(1.0, 0.0), (1.0, 108.0)];
    chart.draw_series(DashedLineSeries::new(bound, 6, 4, BOUND.stroke_width(2)))?;
    for curve in curves {
        let shown = curve.points.iter().copied().filter(|at| at.0 > 0.0);
        let points = core::iter::once((from, 0.0))
            .chain(curve.points.get(1).map(|at| (at.0, 0.0)))
            .chain(shown)
            .chain(core::iter::once((to, 100.0)));
        chart.draw_series(LineSeries::new(points, curve.color.stroke_width(2)))?;
    }
    let at_bound = chart.plotting_area().map_coordinate(&(1.0, 107.0));
    sheet.draw(&Text::new(
        "the bound: no last peer can be done sooner",
        (at_bound.0 + 6, at_bound.1),
        text_style(12.5, &INK, false),
    ))
}

/// The names of the curves with the ratio of the last peer, two in a row: in the chart they would hide a curve.
fn legend(head: &Area<'_>, curves: &[Curve]) -> Result<(), Fault> {
    let places = (0_i32..).flat_map(|row| [(0, row), (1, row)]);
    for (curve, (column, row)) in curves.iter().zip(places) {
        let (x, y) = (MARGIN + column * COLUMN, HEADER + 8 + row * LABEL_STEP);
        let line = vec![(x, y), (x + 26, y)];
        head.draw(&PathElement::new(line, curve.color.stroke_width(3)))?;
        let beside = Pos::new(HPos::Left, VPos::Center);
        head.draw(&Text::new(
            curve.name.clone(),
            (x + 34, y),
            text_style(12.5, &INK, false).pos(beside),
        ))?;
    }
    Ok(())
}
