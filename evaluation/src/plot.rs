//! Plots as self-contained SVG text. Colours are of middle lightness and the background is left open, so that they read on white
//! and on black.

use std::fmt::Write as _;

use crate::figures::{Band, Point};

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 70.0;
const TOP: f64 = 46.0;
const SIDE: f64 = 540.0;
const TALL: f64 = 300.0;
const COLOURS: [&str; 5] = ["#3b82c4", "#d9822b", "#3f9e5f", "#c2549d", "#8a7a3c"];
const INK: &str = "#808080";

fn x(share: f64) -> f64 {
    LEFT + share.clamp(0.0, 1.0) * SIDE
}

fn y(share: f64) -> f64 {
    TOP + (1.0 - share.clamp(0.0, 1.0)) * TALL
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

// Writing to a string cannot fail, so the results below are dropped with `ok`.

/// Title, axes, ticks and grid; both axes run from 0 to the given tops.
fn frame(title: &str, across: &str, up: &str, top: (f64, f64)) -> String {
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" role=\"img\" \
         font-family=\"system-ui, sans-serif\" font-size=\"12\" fill=\"{INK}\">\n<title>{0}</title>\n<text x=\"{LEFT}\" y=\"24\" font-size=\"15\">{0}</text>\n",
        escape(title)
    );
    for i in 0..=5 {
        let share = f64::from(i) / 5.0;
        let (px, py) = (x(share), y(share));
        writeln!(out, "<path d=\"M{px:.1} {TOP}V{:.1}M{LEFT} {py:.1}H{:.1}\" stroke=\"{INK}\" stroke-opacity=\".25\"/>", TOP + TALL, LEFT + SIDE).ok();
        writeln!(out, "<text x=\"{px:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>", TOP + TALL + 18.0, tick(share * top.0)).ok();
        writeln!(out, "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>", LEFT - 8.0, py + 4.0, tick(share * top.1)).ok();
    }
    writeln!(out, "<path d=\"M{LEFT} {TOP}V{:.1}H{:.1}\" fill=\"none\" stroke=\"{INK}\" stroke-width=\"1.5\"/>", TOP + TALL, LEFT + SIDE).ok();
    writeln!(out, "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>", LEFT + SIDE / 2.0, TOP + TALL + 40.0, escape(across)).ok();
    let middle = TOP + TALL / 2.0;
    writeln!(out, "<text x=\"18\" y=\"{middle:.1}\" text-anchor=\"middle\" transform=\"rotate(-90 18 {middle:.1})\">{}</text>", escape(up)).ok();
    out
}

fn tick(value: f64) -> String {
    if value >= 2.0 { format!("{value:.0}") } else { format!("{value:.1}") }
}

fn legend(out: &mut String, place: usize, name: &str, colour: &str) {
    let at = TOP + 16.0 + 20.0 * place as f64;
    let right = LEFT + SIDE;
    writeln!(out, "<path d=\"M{:.1} {at:.1}h24\" stroke=\"{colour}\" stroke-width=\"3\"/>", right - 34.0).ok();
    writeln!(out, "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>", right - 42.0, at + 4.0, escape(name)).ok();
}

/// Precision over recall, one curve a name, as steps: a recall is reached with the precision of the threshold that reaches it.
#[must_use]
pub fn precision_recall(curves: &[(&str, &[Point])]) -> String {
    let mut out = frame("Precision and recall", "recall (share of fraudulent transactions flagged)", "precision (share of flagged that are fraudulent)", (1.0, 1.0));
    for (i, (name, points)) in curves.iter().enumerate() {
        let colour = COLOURS[i % COLOURS.len()];
        let mut path = String::new();
        let mut drawn: Option<(f64, f64)> = None;
        for (k, point) in points.iter().enumerate() {
            let (px, py) = (x(point.recall), y(point.precision));
            // A hundred thousand thresholds need no hundred thousand steps.
            let far = drawn.is_none_or(|(dx, dy)| (px - dx).abs() > 0.7 || (py - dy).abs() > 0.7);
            if far || k + 1 == points.len() {
                write!(path, "{}{py:.1}H{px:.1}", if drawn.is_none() { format!("M{LEFT} ") } else { "V".to_owned() }).ok();
                drawn = Some((px, py));
            }
        }
        writeln!(out, "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>").ok();
        legend(&mut out, i, name, colour);
    }
    out.push_str("</svg>\n");
    out
}

/// Observed share of fraud by band of score: a bar a band with its rows above, and the line on which score and share agree.
#[must_use]
pub fn calibration(bands: &[Band]) -> String {
    let top = bands.last().map_or(1.0, |b| b.to).max(f64::MIN_POSITIVE);
    let mut out = frame("Calibration", "score", "observed share of fraud", (top, 1.0));
    for band in bands {
        let (from, to) = (x(band.from / top) + 3.0, x(band.to / top) - 3.0);
        let height = y(0.0) - y(band.share());
        writeln!(
            out,
            "<rect x=\"{from:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{height:.1}\" fill=\"{}\" fill-opacity=\".75\"><title>{} of {} rows</title></rect>",
            y(band.share()),
            to - from,
            COLOURS[0],
            band.fraud,
            band.rows
        )
        .ok();
        writeln!(out, "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\" font-size=\"10\">{}</text>", (from + to) / 2.0, y(band.share()) - 4.0, band.rows).ok();
    }
    writeln!(out, "<path d=\"M{:.1} {:.1}L{:.1} {:.1}\" stroke=\"{}\" stroke-width=\"1.5\" stroke-dasharray=\"5 4\"/>", x(0.0), y(0.0), x(1.0), y(1.0), COLOURS[1]).ok();
    let at = TOP + 4.0;
    writeln!(out, "<text x=\"{:.1}\" y=\"{:.1}\">bars: observed share, with the number of rows; dashed: score / {top:.0}</text>", LEFT + 10.0, at + 10.0).ok();
    out.push_str("</svg>\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_steps_from_the_left_edge_to_its_last_recall() {
        let points = [Point { threshold: 0.9, recall: 0.5, precision: 1.0 }, Point { threshold: 0.1, recall: 1.0, precision: 0.5 }];
        let svg = precision_recall(&[("a < b", &points)]);
        assert!(svg.contains("M70 46.0H340.0V196.0H610.0"), "{svg}");
        assert!(svg.contains("a &lt; b") && svg.starts_with("<svg") && svg.ends_with("</svg>\n"));
    }

    #[test]
    fn a_bar_is_as_high_as_the_share() {
        let svg = calibration(&[Band { from: 0.0, to: 50.0, mean: 10.0, rows: 4, fraud: 1 }, Band { from: 50.0, to: 100.0, mean: 80.0, rows: 0, fraud: 0 }]);
        assert!(svg.contains("height=\"75.0\"") && svg.contains("1 of 4 rows"), "{svg}");
        assert_eq!(svg.matches("<rect").count(), 2);
    }

    #[test]
    fn nothing_is_still_a_picture() {
        assert!(precision_recall(&[]).contains("</svg>") && calibration(&[]).contains("</svg>"));
    }
}
