//! What a process costs: so much for being there, and so much for each transaction.
//!
//! What must stay true: a fit never falls with the rate and never starts below 0; two rates that are nearly one give no line.
//!
//! Sources: the utilisation law, U = X · S (Denning and Buzen, *The operational analysis of queueing network models*, ACM Computing Surveys
//! 10, 1978): cores kept busy are the rate times the CPU time of one transaction. With a fixed part it is a line, found by ordinary least
//! squares (Draper and Smith, *Applied Regression Analysis*, 3rd edition 1998, chapter 1), neither of its parts below 0 (for two
//! unknowns the active set of Lawson and Hanson, *Solving Least Squares Problems*, 1974, is one look at each). The interval of a fitted
//! value is Student's (Draper and Smith, section 1.4), and there is none where the points are no more than what is fitted: a line through
//! two points has no residual, whatever the noise of both.

use serde::{Deserialize, Serialize};

/// The highest rate must exceed the lowest by this factor for a line to be drawn through them; nearer ones say nothing of where it starts.
pub const LEAST_SPREAD: f64 = 1.25;

/// A rate (transactions a second) and what was used at it (CPU microseconds a second).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Transactions a second.
    pub rate: f64,
    /// CPU microseconds a second.
    pub used: f64,
}

/// How a fit was come by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// A line by least squares.
    FixedAndPerTransaction,
    /// Proportional to the rate, since no two rates are far enough apart: what is fixed counts as if it grew with the rate.
    OneRate,
    /// Proportional to the rate, since a line would start below 0 or fall.
    ThroughZero,
}

/// A cost by rate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fit {
    /// CPU microseconds a second at no load.
    pub fixed_us_per_s: f64,
    /// CPU microseconds a transaction.
    pub us_per_tx: f64,
    /// How it was come by.
    pub way: Way,
    /// How far the points lie from it; `None` where there are too few to tell.
    #[serde(default)]
    pub noise: Option<Noise>,
}

/// How far points lie from what was fitted to them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Noise {
    /// Standard deviation of the residuals, CPU microseconds a second.
    pub deviation: f64,
    /// Points beyond the unknowns: degrees of freedom.
    pub freedom: u32,
    /// Points.
    pub points: u32,
    /// The rate about which a line turns; 0 where it goes through zero.
    pub about: f64,
    /// Sum of the squared distances from it.
    pub spread: f64,
}

/// Student's factor for 95 %, two-sided; beyond the table by its expansion in 1 ÷ freedom.
fn student(freedom: u32) -> f64 {
    const TABLE: [f64; 10] = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228];
    let place = usize::try_from(freedom.saturating_sub(1)).unwrap_or(usize::MAX);
    TABLE.get(place).copied().unwrap_or_else(|| 1.96 + 2.65 / f64::from(freedom.max(1)))
}

impl Fit {
    /// The least-squares fit; `None` without a point of a rate above 0.
    #[must_use]
    pub fn of(points: &[Point]) -> Option<Fit> {
        let usable = || points.iter().filter(|point| point.rate > 0.0 && point.used >= 0.0 && point.rate.is_finite() && point.used.is_finite());
        let n = usable().count() as f64;
        if n < 1.0 {
            return None;
        }
        let (xy, xx) = usable().fold((0.0, 0.0), |(xy, xx), point| (xy + point.rate * point.used, xx + point.rate * point.rate));
        let residual = |fixed: f64, slope: f64| usable().map(|point| (point.used - fixed - slope * point.rate).powi(2)).sum::<f64>();
        let points = u32::try_from(usable().count()).unwrap_or(u32::MAX);
        let noise = |unknowns: u32, residual: f64, about: f64, spread: f64| {
            let freedom = points.saturating_sub(unknowns);
            (freedom > 0 && spread > 0.0).then(|| Noise { deviation: (residual / f64::from(freedom)).sqrt(), freedom, points, about, spread })
        };
        let proportional = |way| Fit { fixed_us_per_s: 0.0, us_per_tx: xy / xx, way, noise: noise(1, residual(0.0, xy / xx), 0.0, xx) };
        let (low, high) = usable().fold((f64::INFINITY, 0.0_f64), |(low, high), point| (low.min(point.rate), high.max(point.rate)));
        if high < low * LEAST_SPREAD {
            return Some(proportional(Way::OneRate));
        }
        let (x, y) = usable().fold((0.0, 0.0), |(x, y), point| (x + point.rate / n, y + point.used / n));
        let (covariance, variance) = usable().fold((0.0, 0.0), |(c, v), point| (c + (point.rate - x) * (point.used - y), v + (point.rate - x) * (point.rate - x)));
        let us_per_tx = covariance / variance;
        let fixed_us_per_s = y - us_per_tx * x;
        if us_per_tx < 0.0 || fixed_us_per_s < 0.0 {
            return Some(proportional(Way::ThroughZero));
        }
        let noise = noise(2, residual(fixed_us_per_s, us_per_tx), x, variance);
        Some(Fit { fixed_us_per_s, us_per_tx, way: Way::FixedAndPerTransaction, noise })
    }

    /// By how much the CPU time of one transaction may be off either way, with 95 %; `None` where the points are too few to tell.
    #[must_use]
    pub fn us_per_tx_error(&self) -> Option<f64> {
        self.noise.map(|noise| student(noise.freedom) * noise.deviation / noise.spread.sqrt())
    }

    /// By how many cores [`Fit::cores_at`] may be off either way, with 95 %; `None` where the points are too few to tell.
    #[must_use]
    pub fn cores_error_at(&self, rate: f64) -> Option<f64> {
        let noise = self.noise?;
        let of_mean = if self.way == Way::FixedAndPerTransaction { 1.0 / f64::from(noise.points.max(1)) } else { 0.0 };
        Some(student(noise.freedom) * noise.deviation * (of_mean + (rate - noise.about).powi(2) / noise.spread).sqrt() / 1e6)
    }

    /// Cores kept busy at a rate.
    #[must_use]
    pub fn cores_at(&self, rate: f64) -> f64 {
        (self.fixed_us_per_s + self.us_per_tx * rate) / 1e6
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn points(of: &[(f64, f64)]) -> Vec<Point> {
        of.iter().map(|&(rate, used)| Point { rate, used }).collect()
    }

    #[test]
    fn a_line_is_found() {
        let fit = Fit::of(&points(&[(1_000.0, 150_000.0), (2_000.0, 200_000.0), (4_000.0, 300_000.0)])).unwrap();
        assert_eq!(fit.way, Way::FixedAndPerTransaction);
        assert!((fit.fixed_us_per_s - 100_000.0).abs() < 1e-6 && (fit.us_per_tx - 50.0).abs() < 1e-9, "{fit:?}");
        assert!((fit.cores_at(10_000.0) - 0.6).abs() < 1e-9);
    }

    #[test]
    fn one_rate_is_proportional() {
        let fit = Fit::of(&points(&[(1_000.0, 150_000.0), (1_100.0, 165_000.0)])).unwrap();
        assert_eq!((fit.way, fit.fixed_us_per_s), (Way::OneRate, 0.0));
        assert!((fit.us_per_tx - 150.0).abs() < 1e-9, "{fit:?}");
    }

    #[test]
    fn a_line_that_starts_below_zero_or_falls_is_not_drawn() {
        assert_eq!(Fit::of(&points(&[(1_000.0, 10_000.0), (2_000.0, 200_000.0)])).unwrap().way, Way::ThroughZero);
        assert_eq!(Fit::of(&points(&[(1_000.0, 200_000.0), (2_000.0, 100_000.0)])).unwrap().way, Way::ThroughZero);
        assert_eq!(Fit::of(&points(&[(0.0, 1.0), (f64::NAN, 1.0)])), None);
        assert_eq!(Fit::of(&[]), None);
    }

    #[test]
    fn noise_widens_the_interval_and_two_points_have_none() {
        let two = Fit::of(&points(&[(300.0, 30_000.0), (800.0, 60_000.0)])).unwrap();
        assert_eq!((two.cores_error_at(10_000.0), two.us_per_tx_error()), (None, None));
        // Draper and Smith's formulas by hand: slope 1, intercept 4/3, residuals 1/6, -1/3, 1/6; s² = 1/6; t = 12.706.
        let three = Fit::of(&points(&[(1.0, 2.5), (2.0, 3.0), (3.0, 4.5)])).unwrap();
        let s = (1.0_f64 / 6.0).sqrt();
        assert!((three.us_per_tx_error().unwrap() - 12.706 * s / 2.0_f64.sqrt()).abs() < 1e-9, "{three:?}");
        let far = 12.706 * s * (1.0_f64 / 3.0 + 64.0 / 2.0).sqrt() / 1e6;
        assert!((three.cores_error_at(10.0).unwrap() - far).abs() < 1e-12, "{three:?}");
        assert!((student(11) - 2.201).abs() < 0.01 && (student(30) - 2.042).abs() < 0.01);
    }

    #[test]
    fn a_fit_never_falls_and_never_starts_below_zero() {
        let mut dice = ChaCha8Rng::seed_from_u64(1);
        for _ in 0..1_000 {
            let count = dice.random_range(1..12);
            let of: Vec<(f64, f64)> = (0..count).map(|_| (dice.random_range(1.0..1e5), dice.random_range(0.0..1e7))).collect();
            let fit = Fit::of(&points(&of)).unwrap();
            assert!(fit.fixed_us_per_s >= 0.0 && fit.us_per_tx >= 0.0, "{fit:?} of {of:?}");
        }
    }
}
