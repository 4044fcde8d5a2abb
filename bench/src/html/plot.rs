//! Plots as inline SVG.
//!
//! What must stay true: colours come from the page's own variables, so that a plot is read in light, in dark and on paper; every text is
//! escaped; a value that is not finite is left out, and a plot of nothing is none.

use std::fmt::Write as _;

use super::escape;
use crate::text::number::{count, latency};

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 250.0;
const LEFT: f64 = 84.0;
const TOP: f64 = 14.0;
const ACROSS: f64 = 480.0;
const UP: f64 = 186.0;
/// More points than this are more than a screen shows.
const MOST_POINTS: usize = 400;
/// Colours of the page: see the style.
const COLOURS: usize = 8;

/// One line of a plot.
pub(super) struct Line {
    pub(super) name: String,
    pub(super) points: Vec<(f64, f64)>,
    /// Drawn in dashes and without a colour: what was asked for.
    pub(super) dashed: bool,
}

/// How an axis runs and what stands at it.
#[derive(Clone, Copy)]
pub(super) enum Scale {
    /// From 0; numbers.
    Linear,
    /// By powers of ten; latencies in microseconds.
    Latency,
    /// By powers of ten; the part of the samples that is slower, as the quantile that it leaves below.
    Quantile,
}

/// An axis: its scale, title and ends, in the scale's own unit (a logarithm for all but the first).
struct Axis {
    scale: Scale,
    low: f64,
    high: f64,
}

impl Axis {
    fn of(scale: Scale, values: impl Iterator<Item = f64>) -> Option<Axis> {
        let (low, high) = values.filter_map(|value| scale.place(value)).fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), at| (low.min(at), high.max(at)));
        if low > high {
            return None;
        }
        let (low, high) = match scale {
            Scale::Linear => (low.min(0.0), if high > 0.0 { high * 1.05 } else { 1.0 }),
            Scale::Latency | Scale::Quantile => (low.floor(), high.ceil()),
        };
        Some(Axis { scale, low, high: if high > low { high } else { low + 1.0 } })
    }

    /// Where a value lies, from 0 to 1.
    fn share(&self, value: f64) -> Option<f64> {
        Some(((self.scale.place(value)? - self.low) / (self.high - self.low)).clamp(0.0, 1.0))
    }

    fn ticks(&self) -> Vec<(f64, String)> {
        let step = match self.scale {
            Scale::Linear => round_step((self.high - self.low) / 5.0),
            Scale::Latency | Scale::Quantile => 1.0,
        };
        let first = (self.low / step).ceil();
        (0..=20_u32)
            .map(|i| (first + f64::from(i)) * step)
            .take_while(|at| *at <= self.high + step * 1e-6)
            .map(|at| ((at - self.low) / (self.high - self.low), self.scale.tick(at)))
            .collect()
    }
}

/// The next of 1, 2, 5, 10 … that is not below a step.
fn round_step(step: f64) -> f64 {
    let ten = 10_f64.powf(step.log10().floor());
    let of_ten = [1.0, 2.0, 5.0].into_iter().find(|of_ten| step <= of_ten * ten * (1.0 + 1e-9)).unwrap_or(10.0);
    of_ten * ten
}

impl Scale {
    fn place(self, value: f64) -> Option<f64> {
        let at = match self {
            Scale::Linear => value,
            Scale::Latency => value.log10(),
            Scale::Quantile => -value.log10(),
        };
        at.is_finite().then_some(at)
    }

    fn tick(self, at: f64) -> String {
        match self {
            Scale::Linear => count(at),
            Scale::Latency => latency(10_f64.powf(at)),
            Scale::Quantile if at <= 0.0 => "0 %".to_owned(),
            Scale::Quantile if at <= 2.0 => format!("{:.0} %", (1.0 - 10_f64.powf(-at)) * 100.0),
            Scale::Quantile => {
                let part = format!("{:.12}", (1.0 - 10_f64.powf(-at)) * 100.0);
                format!("{} %", part.trim_end_matches('0').trim_end_matches('.'))
            }
        }
    }
}

/// Lines over two axes, with a legend at the right; `None` where there is nothing to draw.
pub(super) fn lines(title: &str, (across, x): (&str, Scale), (up, y): (&str, Scale), lines: &[Line]) -> Option<String> {
    let points = || lines.iter().flat_map(|line| line.points.iter());
    let (x, y) = (Axis::of(x, points().map(|point| point.0))?, Axis::of(y, points().map(|point| point.1))?);
    let mut out = open(title, HEIGHT);
    for (share, text) in x.ticks() {
        let at = LEFT + share * ACROSS;
        writeln!(out, "<path class=\"grid\" d=\"M{at:.1} {TOP}V{:.1}\"/><text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{text}</text>", TOP + UP, TOP + UP + 16.0).ok();
    }
    for (share, text) in y.ticks() {
        let at = TOP + (1.0 - share) * UP;
        writeln!(out, "<path class=\"grid\" d=\"M{LEFT} {at:.1}H{:.1}\"/><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{text}</text>", LEFT + ACROSS, LEFT - 6.0, at + 4.0)
            .ok();
    }
    writeln!(out, "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>", LEFT + ACROSS / 2.0, TOP + UP + 36.0, escape(across)).ok();
    let middle = TOP + UP / 2.0;
    writeln!(out, "<text x=\"14\" y=\"{middle:.1}\" text-anchor=\"middle\" transform=\"rotate(-90 14 {middle:.1})\">{}</text>", escape(up)).ok();
    for (i, line) in lines.iter().enumerate() {
        let class = if line.dashed { "line asked".to_owned() } else { format!("line s{}", i % COLOURS) };
        writeln!(out, "<path class=\"{class}\" d=\"{}\"/>", path(&line.points, &x, &y)).ok();
        let (at, from) = (TOP + 8.0 + 20.0 * i as f64, LEFT + ACROSS + 12.0);
        writeln!(out, "<path class=\"{class}\" d=\"M{from:.1} {at:.1}h18\"/><text x=\"{:.1}\" y=\"{:.1}\">{}</text>", from + 24.0, at + 4.0, escape(&line.name)).ok();
    }
    out.push_str("</svg>\n");
    Some(out)
}

fn path(points: &[(f64, f64)], x: &Axis, y: &Axis) -> String {
    let mut out = String::new();
    let every = points.len().div_ceil(MOST_POINTS).max(1);
    for chunk in points.chunks(every) {
        // The mean of the points that fall together: a single peak is in the percentiles, this shows the course.
        let n = chunk.len() as f64;
        let mean = chunk.iter().fold((0.0, 0.0), |sum, point| (sum.0 + point.0 / n, sum.1 + point.1 / n));
        let (Some(px), Some(py)) = (x.share(mean.0), y.share(mean.1)) else { continue };
        write!(out, "{}{:.1} {:.1}", if out.is_empty() { "M" } else { "L" }, LEFT + px * ACROSS, TOP + (1.0 - py) * UP).ok();
    }
    out
}

/// A bar a row, with its value behind it; `None` where there is nothing to draw.
pub(super) fn bars(title: &str, rows: &[(String, f64, String)]) -> Option<String> {
    let most = rows.iter().map(|row| row.1).filter(|value| value.is_finite()).fold(0.0, f64::max);
    if most <= 0.0 {
        return None;
    }
    let mut out = open(title, 26.0 * rows.len() as f64 + 8.0);
    for (i, (name, value, told)) in rows.iter().enumerate() {
        let at = 6.0 + 26.0 * i as f64;
        let width = if value.is_finite() { (value / most).clamp(0.0, 1.0) * 380.0 } else { 0.0 };
        writeln!(out, "<text x=\"190\" y=\"{:.1}\" text-anchor=\"end\">{}</text>", at + 14.0, escape(name)).ok();
        writeln!(out, "<rect class=\"s{}\" x=\"198\" y=\"{at:.1}\" width=\"{width:.1}\" height=\"18\"/>", i % COLOURS).ok();
        writeln!(out, "<text x=\"{:.1}\" y=\"{:.1}\">{}</text>", 204.0 + width, at + 14.0, escape(told)).ok();
    }
    out.push_str("</svg>\n");
    Some(out)
}

fn open(title: &str, height: f64) -> String {
    format!("<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{0}\"><title>{0}</title>\n", escape(title))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(points: &[(f64, f64)]) -> Line {
        Line { name: "a < b".into(), points: points.to_vec(), dashed: false }
    }

    #[test]
    fn a_line_goes_through_its_points_and_names_are_escaped() {
        let svg = lines("t & t", ("s", Scale::Linear), ("/s", Scale::Linear), &[line(&[(0.0, 0.0), (10.0, 100.0)])]).unwrap();
        // Axes end 5 % above the highest: 480 / 1.05 = 457.1 and 186 / 1.05 = 177.1.
        assert!(svg.contains("d=\"M84.0 200.0L541.1 22.9\""), "{svg}");
        assert!(svg.contains("a &lt; b") && svg.contains("t &amp; t") && svg.ends_with("</svg>\n"));
    }

    #[test]
    fn ticks_stand_at_round_numbers() {
        let axis = Axis::of(Scale::Linear, [-5.0, 11_400.0].into_iter()).unwrap();
        assert_eq!(axis.ticks().into_iter().map(|tick| tick.1).collect::<Vec<_>>(), ["0", "5,000", "10,000"]);
        for (step, wanted) in [(1.0, 1.0), (1.1, 2.0), (2_400.0, 5_000.0), (0.6, 1.0)] {
            assert!((round_step(step) / wanted - 1.0).abs() < 1e-9, "{step}");
        }
    }

    #[test]
    fn quantiles_and_latencies_are_by_powers_of_ten() {
        let svg = lines("q", ("quantile", Scale::Quantile), ("latency", Scale::Latency), &[line(&[(1.0, 1e3), (0.1, 1e4), (0.0001, 1e6)])]).unwrap();
        for tick in [">0 %<", ">90 %<", ">99 %<", ">99.9 %<", ">99.99 %<", ">1.00 ms<", ">1.00 s<"] {
            assert!(svg.contains(tick), "{tick} in {svg}");
        }
    }

    #[test]
    fn what_is_not_finite_is_left_out_and_nothing_is_no_plot() {
        assert!(lines("n", ("", Scale::Linear), ("", Scale::Linear), &[line(&[(f64::NAN, 1.0)])]).is_none());
        let svg = lines("n", ("", Scale::Latency), ("", Scale::Latency), &[line(&[(0.0, 1.0), (10.0, 10.0)])]).unwrap();
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        assert!(bars("b", &[]).is_none() && bars("b", &[("a".into(), 0.0, "0".into())]).is_none());
    }

    #[test]
    fn a_long_series_is_thinned() {
        let points: Vec<(f64, f64)> = (0..36_000_u32).map(|i| (f64::from(i), 5.0)).collect();
        let svg = lines("l", ("", Scale::Linear), ("", Scale::Linear), &[line(&points)]).unwrap();
        assert!(svg.len() < 12_000, "{}", svg.len());
    }

    #[test]
    fn the_longest_bar_fills_its_room() {
        let svg = bars("b", &[("pipeline".into(), 50.0, "50 µs".into()), ("<x>".into(), 25.0, "25 µs".into())]).unwrap();
        assert!(svg.contains("width=\"380.0\"") && svg.contains("width=\"190.0\"") && svg.contains("&lt;x&gt;"), "{svg}");
    }
}
