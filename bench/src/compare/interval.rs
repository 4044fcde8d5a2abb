//! How sure a figure is: 95 % intervals of ratios of means and of quantiles.
//!
//! What must stay true: the same report gives the same interval (the seed is fixed); seconds that follow each other are not taken for
//! independent; where there is too little to say, nothing is said.
//!
//! Sources. Means: bootstrap percentile interval (Efron and Tibshirani, *An Introduction to the Bootstrap*, 1993, chapter 13) over
//! circular blocks of seconds (Politis and Romano, *A circular block-resampling procedure for stationary data*, 1992), their length the
//! cube root of the number of seconds (Hall, Horowitz and Jing, *Biometrika* 82, 1995). Quantiles: the interval between two order
//! statistics whose ranks come from the binomial distribution (David and Nagaraja, *Order Statistics*, 3rd edition 2003, section 7.1;
//! Le Boudec, *Performance Evaluation of Computer and Communication Systems*, 2010, theorem 2.1).

use hdrhistogram::Histogram;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// Seconds below which a series says nothing of how it varies.
pub const LEAST_SECONDS: usize = 10;
/// Resamples of a bootstrap; its tails of 2.5 % are read at the 50th from either end.
const RESAMPLES: usize = 2_000;
const TAIL_RESAMPLES: usize = RESAMPLES / 40;
/// Any would do; a fixed one, so that a comparison can be repeated.
const SEED: u64 = 0x5EED;
/// Binomial weights below this part of the largest change no digit that is read.
const NEGLIGIBLE: f64 = 1e-18;
/// Of each side of one quantile's interval. Two intervals of 97.5 % hold both with 95 % (Bonferroni), and then their ratio.
const TAIL: f64 = 0.0125;

/// From and to, both included.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Interval {
    /// Whether a value lies in it.
    #[must_use]
    pub fn holds(self, value: f64) -> bool {
        self.low <= value && value <= self.high
    }

    /// What this divided by `base` may be, if both lie where they say. `None` where `base` may be 0.
    #[must_use]
    pub fn over(self, base: Interval) -> Option<Interval> {
        (base.low > 0.0).then(|| Interval { low: self.low / base.high, high: self.high / base.low })
    }
}

/// A quantile, named as reports name it, in parts of ten thousand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quantile {
    /// `p99` and so on.
    pub name: &'static str,
    /// 9,900 for `p99`.
    pub per_ten_thousand: u32,
}

/// Those that are compared.
pub const QUANTILES: [Quantile; 4] = [
    Quantile { name: "p50", per_ten_thousand: 5_000 },
    Quantile { name: "p90", per_ten_thousand: 9_000 },
    Quantile { name: "p99", per_ten_thousand: 9_900 },
    Quantile { name: "p99.9", per_ten_thousand: 9_990 },
];

/// 95 % interval of the ratio of `b`'s mean to `a`'s. A second is what was counted in it and what that is divided by: 1 for a rate, the
/// transactions sent for a cost. `None` with too few seconds, or where a mean may be nothing by nothing.
#[must_use]
pub fn ratio_of_means(a: &[(f64, f64)], b: &[(f64, f64)]) -> Option<Interval> {
    let (a, b) = (Blocks::of(a)?, Blocks::of(b)?);
    let mut dice = ChaCha8Rng::seed_from_u64(SEED);
    let mut ratios = Vec::with_capacity(RESAMPLES);
    for _ in 0..RESAMPLES {
        let base = a.mean(&mut dice).filter(|mean| *mean > 0.0)?;
        ratios.push(b.mean(&mut dice)? / base);
    }
    ratios.sort_by(f64::total_cmp);
    Some(Interval { low: *ratios.get(TAIL_RESAMPLES)?, high: *ratios.get(RESAMPLES - 1 - TAIL_RESAMPLES)? })
}

/// A series as the sums of all its blocks, the last ones going on at its start.
struct Blocks {
    sums: Vec<(f64, f64)>,
    draws: usize,
}

impl Blocks {
    fn of(series: &[(f64, f64)]) -> Option<Blocks> {
        let seconds = series.len();
        if seconds < LEAST_SECONDS {
            return None;
        }
        let length = (1..=seconds).find(|l| l * l * l >= seconds).unwrap_or(1);
        let sum = |start: usize| series.iter().cycle().skip(start).take(length).fold((0.0, 0.0), |sum, second| (sum.0 + second.0, sum.1 + second.1));
        Some(Blocks { sums: (0..seconds).map(sum).collect(), draws: seconds.div_ceil(length) })
    }

    fn mean(&self, dice: &mut ChaCha8Rng) -> Option<f64> {
        let mut sum = (0.0, 0.0);
        for _ in 0..self.draws {
            let block = self.sums.get(dice.random_range(0..self.sums.len()))?;
            sum = (sum.0 + block.0, sum.1 + block.1);
        }
        (sum.1 > 0.0).then(|| sum.0 / sum.1)
    }
}

/// 97.5 % interval of a quantile of what a histogram's samples are of, its own width of a bucket included. `None` with too few samples.
#[must_use]
pub fn quantile(histogram: &Histogram<u64>, quantile: Quantile) -> Option<Interval> {
    let (lower, upper) = ranks(histogram.len(), quantile.per_ten_thousand, TAIL)?;
    let (low, high) = (at_rank(histogram, lower)?, at_rank(histogram, upper)?);
    Some(Interval { low: histogram.lowest_equivalent(low) as f64, high: histogram.highest_equivalent(high) as f64 })
}

fn at_rank(histogram: &Histogram<u64>, rank: u64) -> Option<u64> {
    let mut seen = 0_u64;
    histogram
        .iter_recorded()
        .find(|step| {
            seen += step.count_at_value();
            seen >= rank
        })
        .map(|step| step.value_iterated_to())
}

/// Ranks (from 1) of the samples between which a quantile of the whole lies: of `n` independent samples the number that lie below the
/// quantile is binomial, so too few of them do with the probability of its tail.
fn ranks(n: u64, per_ten_thousand: u32, tail: f64) -> Option<(u64, u64)> {
    let q = f64::from(per_ten_thousand) / 1e4;
    // Weights relative to that of the mode, outward from it: no factorial is needed, and their sum makes them probabilities.
    let mode = n.saturating_mul(u64::from(per_ten_thousand)) / 10_000;
    let mut weights = Vec::new();
    let (mut k, mut weight) = (mode, 1.0_f64);
    while k > 0 && weight > NEGLIGIBLE {
        weight *= k as f64 / (n - k + 1) as f64 * (1.0 - q) / q;
        k -= 1;
        weights.push((k, weight));
    }
    weights.reverse();
    weights.push((mode, 1.0));
    (k, weight) = (mode, 1.0);
    while k < n && weight > NEGLIGIBLE {
        weight *= (n - k) as f64 / (k + 1) as f64 * q / (1.0 - q);
        k += 1;
        weights.push((k, weight));
    }
    let whole: f64 = weights.iter().map(|(_, weight)| weight).sum();
    let (mut lower, mut upper) = (0, n + 1);
    let mut less = 0.0;
    for (k, weight) in &weights {
        if less / whole > tail {
            break;
        }
        lower = *k;
        less += weight;
    }
    let mut more = 0.0;
    for (k, weight) in weights.iter().rev() {
        more += weight;
        if more / whole > tail {
            break;
        }
        upper = *k;
    }
    (lower >= 1 && upper <= n).then_some((lower, upper))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_those_of_the_exact_binomial() {
        // Medians at 95 %, checked by summing binomial coefficients as whole numbers.
        assert_eq!(ranks(10, 5_000, 0.025), Some((2, 9)));
        assert_eq!(ranks(50, 5_000, 0.025), Some((18, 33)));
        assert_eq!(ranks(100, 5_000, 0.025), Some((40, 61)));
    }

    #[test]
    fn few_samples_say_nothing_of_the_tail() {
        assert_eq!(ranks(0, 5_000, 0.025), None);
        assert_eq!(ranks(300, 9_900, 0.025), None, "the highest of 300 lies below the quantile with 0.99^300 = 4.9 %");
        assert!(ranks(1_000, 9_900, 0.025).is_some());
        let (lower, upper) = ranks(10_000_000, 9_990, 0.025).unwrap();
        assert!(lower < 9_990_000 && upper > 9_990_000 && upper - lower < 500, "{lower} {upper}");
    }

    #[test]
    fn a_quantile_lies_in_its_interval() {
        let mut histogram = Histogram::<u64>::new(3).unwrap();
        for value in 1..=100_000_u64 {
            histogram.record(value).unwrap();
        }
        for q in QUANTILES {
            let interval = quantile(&histogram, q).unwrap();
            assert!(interval.holds(f64::from(q.per_ten_thousand) * 10.0), "{q:?} {interval:?}");
            assert!(interval.high / interval.low < 1.02, "{q:?} {interval:?}");
        }
    }

    fn wave(mean: f64, swing: f64, seconds: u32) -> Vec<(f64, f64)> {
        (0..seconds).map(|second| (mean + swing * (f64::from(second) * 0.7).sin(), 1.0)).collect()
    }

    #[test]
    fn equal_series_hold_one_and_others_do_not() {
        let (a, b) = (wave(10_000.0, 500.0, 60), wave(9_000.0, 500.0, 60));
        assert!(ratio_of_means(&a, &a).unwrap().holds(1.0));
        let interval = ratio_of_means(&a, &b).unwrap();
        assert!(interval.holds(0.9) && !interval.holds(1.0), "{interval:?}");
        assert_eq!(ratio_of_means(&a, &b), Some(interval), "twice the same");
    }

    #[test]
    fn seconds_that_go_together_make_the_interval_wider() {
        let spread = |series: &[(f64, f64)]| ratio_of_means(&[(1.0, 1.0); 100], series).map(|i| i.high - i.low).unwrap();
        let in_turns: Vec<(f64, f64)> = (0..100).map(|i| (if i % 2 == 0 { 90.0 } else { 110.0 }, 1.0)).collect();
        let in_runs: Vec<(f64, f64)> = (0..100).map(|i| (if i / 10 % 2 == 0 { 90.0 } else { 110.0 }, 1.0)).collect();
        assert!(spread(&in_runs) > 3.0 * spread(&in_turns));
    }

    #[test]
    fn a_short_or_empty_series_has_no_interval() {
        assert_eq!(ratio_of_means(&wave(1.0, 0.1, 9), &wave(1.0, 0.1, 60)), None);
        assert_eq!(ratio_of_means(&wave(0.0, 0.0, 60), &wave(1.0, 0.1, 60)), None);
        assert_eq!(Interval { low: 1.0, high: 2.0 }.over(Interval { low: 0.0, high: 1.0 }), None);
    }
}
