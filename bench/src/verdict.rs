//! What a round says of its rate. Pure.
//!
//! What must stay true: a round whose generator was late, or that failed, says nothing of the rate; a lag counts as growing only where a
//! line through its last half minute rises by more than its own noise and by more than a hundredth of the rate; a round that is shorter
//! than that half minute may show that a rate is not carried, and never that it is.

use std::time::Duration;

use crate::report::{Latency, Second, Verdict};

/// p99 from which on a rate counts as not carried.
pub const SLOW_US: u64 = 1_000_000;
/// How much of a round's end tells whether the lag grows.
pub const TOLD_BY: Duration = Duration::from_secs(30);
/// By how much a round may be shorter: the first and the last look are not at its very ends.
const LOOKS_S: f64 = 1.5;
/// Part of the rate by which a lag may grow: it is within what the sampling of the lag itself adds.
const GROWTH: f64 = 0.01;
/// Seconds of the rate that a lag may come to before it can count as growing.
const SETTLED_S: f64 = 0.5;
/// How many standard errors a slope must be above 0: about one in a thousand is by chance.
const SURE: f64 = 3.0;

/// A line through points, by least squares.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Slope {
    /// By how much it rises in a second.
    pub per_s: f64,
    /// The standard error of that.
    pub error: f64,
}

/// The line through points of seconds and values; flat where there are fewer than three.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "a number of seconds")]
pub fn slope(points: &[(f64, f64)]) -> Slope {
    let count = points.len() as f64;
    if points.len() < 3 {
        return Slope::default();
    }
    let (x, y) = (points.iter().map(|point| point.0).sum::<f64>() / count, points.iter().map(|point| point.1).sum::<f64>() / count);
    let spread: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    if spread <= 0.0 {
        return Slope::default();
    }
    let per_s = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum::<f64>() / spread;
    let residual: f64 = points.iter().map(|point| (point.1 - y - per_s * (point.0 - x)).powi(2)).sum();
    Slope { per_s, error: (residual / (count - 2.0) / spread).sqrt() }
}

/// The slope of the lag over the end of the measured time.
#[must_use]
pub fn lag_slope(series: &[Second]) -> Slope {
    let until = series.last().map_or(0.0, |second| second.t_s);
    let from = (until - TOLD_BY.as_secs_f64()).max(0.0);
    let points: Vec<(f64, f64)> = series.iter().filter(|second| second.t_s > from).map(|second| (second.t_s, second.lag)).collect();
    slope(&points)
}

/// Whether a lag that rises so and has come to `lag` grows.
#[must_use]
pub fn grows(slope: Slope, lag: f64, rate: f64) -> bool {
    slope.per_s > rate * GROWTH && slope.per_s > SURE * slope.error && lag > rate * SETTLED_S
}

/// Below so many samples a p99 is but the longest of them: the median tells then.
const FEW: u64 = 100;

/// By what a store counts as slow.
fn slowness(latency: &Latency) -> u64 {
    if latency.count < FEW { latency.p50_us } else { latency.p99_us }
}

/// What a round of `rate` says. `behind_us` is how late the generator was with one transaction in a hundred, where that was too late.
#[must_use]
pub fn verdict(rate: f64, series: &[Second], latencies: &[Latency], behind_us: Option<u64>, failed: Option<&str>) -> Verdict {
    if let Some(why) = failed {
        return Verdict::Failed { why: why.to_owned() };
    }
    if let Some(behind_us) = behind_us {
        return Verdict::GeneratorLimited { behind_us };
    }
    let slope = lag_slope(series);
    if grows(slope, series.last().map_or(0.0, |second| second.lag), rate) {
        return Verdict::LagGrew { by_per_s: slope.per_s };
    }
    match latencies.iter().max_by_key(|latency| slowness(latency)) {
        Some(slowest) if slowness(slowest) >= SLOW_US => Verdict::Slow { stage: slowest.name.clone(), p99_us: slowest.p99_us },
        _ => {
            let (seconds, needed) = (series.last().map_or(0.0, |second| second.t_s), TOLD_BY.as_secs_f64());
            if seconds + LOOKS_S < needed { Verdict::TooShort { seconds, needed } } else { Verdict::Sustained }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(lag: impl Fn(f64) -> f64) -> Vec<Second> {
        (-5..60).map(|second| Second { t_s: f64::from(second), lag: lag(f64::from(second)), ..Second::default() }).collect()
    }

    fn latency(p99_us: u64) -> Vec<Latency> {
        let of = |name: &str, p99_us| Latency { name: name.to_owned(), count: 1_000, p50_us: p99_us / 2, p99_us, ..Latency::default() };
        vec![of("published→scored", 5_000), of("published→ledger", p99_us)]
    }

    #[test]
    fn a_line_is_found_with_its_error() {
        let line: Vec<(f64, f64)> = (0..10).map(|x| (f64::from(x), 3.0 * f64::from(x) + 1.0)).collect();
        let found = slope(&line);
        assert!((found.per_s - 3.0).abs() < 1e-9 && found.error < 1e-6);
        assert_eq!(slope(&line[..2]), Slope::default());
    }

    #[test]
    fn a_lag_that_rises_to_the_end_grows_and_one_that_settles_does_not() {
        let growing = verdict(1_000.0, &seconds(|t| 100.0 + 50.0 * t.max(0.0)), &latency(200_000), None, None);
        assert!(matches!(growing, Verdict::LagGrew { by_per_s } if (by_per_s - 50.0).abs() < 1.0), "{growing:?}");
        // It rose once, before the last half minute.
        assert_eq!(verdict(1_000.0, &seconds(|t| if t > 20.0 { 2_000.0 } else { 100.0 }), &latency(200_000), None, None), Verdict::Sustained);
        // It swings.
        assert_eq!(verdict(1_000.0, &seconds(|t| 600.0 + 300.0 * (t * 1.3).sin()), &latency(200_000), None, None), Verdict::Sustained);
    }

    #[test]
    fn a_round_that_is_too_short_shows_no_rate_to_be_carried() {
        let short = |lag: fn(f64) -> f64| seconds(lag).into_iter().filter(|second| second.t_s <= 10.0).collect::<Vec<_>>();
        let told = verdict(1_000.0, &short(|_| 100.0), &latency(200_000), None, None);
        assert_eq!(told, Verdict::TooShort { seconds: 10.0, needed: 30.0 });
        assert!(told.is_too_short() && told.to_string().contains("10 s, too short"), "{told}");
        assert!(matches!(verdict(1_000.0, &short(|t| 200.0 * t.max(0.0)), &latency(200_000), None, None), Verdict::LagGrew { .. }));
        assert!(matches!(verdict(1_000.0, &short(|_| 100.0), &latency(1_200_000), None, None), Verdict::Slow { .. }));
        assert!(verdict(1_000.0, &[], &[], None, None).is_too_short());
    }

    #[test]
    fn slow_is_told_with_what_was_slowest() {
        let told = verdict(1_000.0, &seconds(|_| 100.0), &latency(1_200_000), None, None);
        assert_eq!(told, Verdict::Slow { stage: "published→ledger".to_owned(), p99_us: 1_200_000 });
        let few: Vec<Latency> = latency(1_200_000).into_iter().map(|latency| Latency { count: 9, ..latency }).collect();
        assert_eq!(verdict(1_000.0, &seconds(|_| 100.0), &few, None, None), Verdict::Sustained);
    }

    #[test]
    fn a_late_generator_and_a_failure_come_first() {
        let growing = seconds(|t| 100.0 * t.max(0.0));
        assert_eq!(verdict(1_000.0, &growing, &latency(9_000_000), Some(400_000), None), Verdict::GeneratorLimited { behind_us: 400_000 });
        assert_eq!(verdict(1_000.0, &growing, &latency(1), Some(400_000), Some("it ended")), Verdict::Failed { why: "it ended".to_owned() });
    }
}
