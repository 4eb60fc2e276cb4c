//! The picture of all runs: panels side by side on one scale, so that the eye compares.
//!
//! Belongs here: the sheet with its heading and legend, and the scale. Not here: one panel (`panel`).

use super::outcome::Outcome;
use super::panel::{self, BOUND, GREY, INK, Scale, color_of, text_style};
use super::run::peer_name;
use crate::cli::failure::{Exit, Failure};
use plotters::element::DashedPathElement;
use plotters::prelude::*;

const PANEL_WIDTH: u32 = 420;
const PANEL_HEIGHT: u32 = 540;
const HEADER_HEIGHT: u32 = 104;
const MARGIN: i32 = 24;

/// What drawing into a text can fail with.
pub(super) type Fault = DrawingAreaErrorKind<std::io::Error>;

/// The picture of these runs as SVG; an empty sheet for none.
///
/// # Errors
/// The plotting library gave up.
pub(super) fn draw(runs: &[Outcome]) -> Result<String, Failure> {
    let mut svg = String::new();
    draw_into(&mut svg, runs)
        .map_err(|error| Failure::new(Exit::Failed, format!("the picture cannot be drawn: {error}")))?;
    Ok(svg)
}

fn draw_into(svg: &mut String, runs: &[Outcome]) -> Result<(), Fault> {
    let panels = u32::try_from(runs.len()).unwrap_or(1).max(1);
    // One panel alone still needs room for the heading.
    let panel_width = if panels == 1 { PANEL_WIDTH * 2 } else { PANEL_WIDTH };
    let size = (panels * panel_width, HEADER_HEIGHT + PANEL_HEIGHT);
    let sheet = SVGBackend::with_string(svg, size).into_drawing_area();
    sheet.fill(&WHITE)?;
    let (head, body) = sheet.split_vertically(HEADER_HEIGHT);
    heading(&head)?;
    let scale = Scale::of(runs);
    for (n, (run, area)) in runs
        .iter()
        .zip(body.split_evenly((1, panels as usize)))
        .enumerate()
    {
        panel::draw(&sheet, &area, run, &scale, n == 0)?;
    }
    sheet.present()
}

fn heading(head: &panel::Area<'_>) -> Result<(), Fault> {
    let say = |text: &str, at, px, color: &RGBColor, bold| {
        head.draw(&Text::new(text.to_owned(), at, text_style(px, color, bold)))
    };
    say(
        "Time until each of six peers has its documents",
        (MARGIN, 18),
        22.0,
        &INK,
        true,
    )?;
    say(
        "Lower is faster. Every peer is a process of its own, with a limited uplink.",
        (MARGIN, 48),
        14.0,
        &GREY,
        false,
    )?;
    let mut x = MARGIN;
    for peer in 0..super::plan::PEERS {
        let name = peer_name(peer);
        let line = vec![(x, 84), (x + 26, 84)];
        head.draw(&PathElement::new(line, color_of(&name).stroke_width(3)))?;
        head.draw(&Circle::new((x + 13, 84), 4, color_of(&name).filled()))?;
        say(&name, (x + 32, 77), 14.0, &INK, false)?;
        x += 70;
    }
    head.draw(&DashedPathElement::new(
        [(x, 84), (x + 34, 84)],
        6,
        4,
        BOUND.stroke_width(2),
    ))?;
    say("lower bound", (x + 40, 77), 14.0, &INK, false)
}

#[cfg(test)]
mod tests {
    use super::super::outcome::tests::made_up;
    use super::super::{Order, Task};
    use super::*;

    fn all() -> Vec<Outcome> {
        vec![
            made_up(Task::Centralized, 2, 0.0, 8.4, 8.2),
            made_up(Task::Distributed(Order::Best), 1, 0.0, 2.1, 1.85),
            made_up(Task::Distributed(Order::WorstOrder), 1, 0.0, 4.3, 1.85),
            made_up(Task::Distributed(Order::WorstRelay), 2, 1.9, 11.4, 9.3),
        ]
    }

    #[test]
    fn every_run_has_its_panel_curves_and_bound() {
        let svg = draw(&all()).unwrap();
        for title in [
            "Centralized: one peer serves all",
            "best order",
            "worst order",
            "worst relay",
        ] {
            assert!(svg.contains(title), "{title}");
        }
        for facts in [
            "8.40 s",
            "11.40 s",
            "lower bound 1.85 s",
            "20.0 Mbit/s",
            "60 documents",
        ] {
            assert!(svg.contains(facts), "{facts}");
        }
        assert!(svg.matches("<polyline").count() >= 4 * 5);
        assert!(svg.trim_end().ends_with("</svg>"));
        if let Ok(path) = std::env::var("P2PDI_KEEP_CURVES") {
            std::fs::write(path, &svg).unwrap();
        }
    }

    #[test]
    fn no_run_and_a_run_of_no_time_draw_too() {
        assert!(draw(&[]).unwrap().contains("<svg"));
        let mut run = made_up(Task::Centralized, 6, 0.0, 1.0, 0.0);
        run.rows.truncate(1);
        run.rows[0].cumulative_secs = 0.0;
        run.summary.slowest_secs = 0.0;
        assert!(draw(&[run]).unwrap().contains("<svg"));
    }
}
