//! The picture of path lengths: steps of a lookup against the number of nodes, with fingers and without.
//!
//! Both axes double with every mark, so that the naive ring's straight line and Chord's flat curve fit into one. Belongs
//! here: how it looks. Not here: the figures.

use super::ring::Point;
use crate::cli::lab::panel::{Area, Axis, BOUND, GREY, INK, PALETTE, mesh, text_style};
use plotters::prelude::*;

const SIZE: (u32, u32) = (860, 560);
const HEADER: u32 = 78;
const MARGIN: i32 = 24;

type Fault = DrawingAreaErrorKind<std::io::Error>;

/// Where so many steps are drawn: less than half a one is not told apart.
fn height(steps: f64) -> f64 {
    steps.max(0.5).log2()
}

/// The picture as SVG.
///
/// # Errors
/// The plotting library gave up.
pub(super) fn draw(points: &[Point]) -> Result<String, Fault> {
    let mut svg = String::new();
    {
        let sheet = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        sheet.fill(&WHITE)?;
        let (head, body) = sheet.split_vertically(HEADER);
        for (text, y, px, color, bold) in [
            ("How many nodes a lookup asks the way", 16, 22.0, &INK, true),
            (
                "Bars: from the 1st to the 99th percentile. The owner, which confirms, is not counted.",
                48,
                14.0,
                &GREY,
                false,
            ),
        ] {
            head.draw(&Text::new(text, (MARGIN, y), text_style(px, color, bold)))?;
        }
        chart(&sheet, &body, points)?;
        sheet.present()?;
    }
    Ok(svg)
}

fn chart(sheet: &Area<'_>, body: &Area<'_>, points: &[Point]) -> Result<(), Fault> {
    let first = points.first().map_or(0.0, |point| point.exponent) - 0.5;
    let last = points.last().map_or(1.0, |point| point.exponent) + 1.5;
    let top = points.iter().map(|point| height(point.naive)).fold(4.0, f64::max) + 1.0;
    let mut chart = ChartBuilder::on(body)
        .margin_left(8)
        .margin_right(32)
        .margin_top(6)
        .margin_bottom(10)
        .x_label_area_size(46)
        .y_label_area_size(64)
        .build_cartesian_2d(first..last, -1.0..top)?;
    mesh(
        &mut chart,
        &Axis {
            name: "nodes",
            marks: 12,
            label: &|exponent| format!("{:.0}", exponent.exp2()),
        },
        &Axis {
            name: "nodes asked the way",
            marks: 14,
            label: &|height| format!("{}", height.exp2()),
        },
    )?;
    let (chord, naive) = (PALETTE[0], PALETTE[1]);
    let law = points
        .iter()
        .map(|point| (point.exponent, height(point.exponent / 2.0)));
    chart.draw_series(DashedLineSeries::new(law, 6, 4, BOUND.stroke_width(2)))?;
    let walk = points.iter().map(|point| (point.exponent, height(point.naive)));
    chart.draw_series(LineSeries::new(walk, naive.stroke_width(3)))?;
    chart.draw_series(points.iter().map(|point| {
        let ends = vec![
            (point.exponent, height(point.low)),
            (point.exponent, height(point.high)),
        ];
        PathElement::new(ends, chord.stroke_width(2))
    }))?;
    chart.draw_series(
        points
            .iter()
            .map(|point| Circle::new((point.exponent, height(point.mean)), 4, chord.filled())),
    )?;
    let Some(end) = points.last() else {
        return Ok(());
    };
    for (text, steps, color) in [
        ("naive", end.naive, naive),
        ("Chord", end.mean * 1.35, chord),
        ("½ log2 N", end.exponent / 2.0 / 1.35, BOUND),
    ] {
        let at = chart
            .plotting_area()
            .map_coordinate(&(end.exponent + 0.25, height(steps)));
        sheet.draw(&Text::new(text, (at.0, at.1 - 7), text_style(13.0, &color, true)))?;
    }
    Ok(())
}
