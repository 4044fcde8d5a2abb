//! Every random choice of the generator.
//!
//! What must stay true: the same seed gives the same choices on every machine and with every later version of our
//! dependencies. So the samplers are spelled out here over the raw words of one ChaCha12 stream (`rand` and `rand_distr`
//! may change theirs between releases), and transcendental functions come from `libm`, never from the platform.

use std::f64::consts::TAU;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha12Rng;

/// One stream of choices.
pub(super) struct Dice {
    stream: ChaCha12Rng,
    /// Box and Muller's method makes normal deviates in pairs; the second waits here.
    spare: Option<f64>,
}

impl Dice {
    pub(super) fn new(seed: u64) -> Dice {
        Dice { stream: ChaCha12Rng::seed_from_u64(seed), spare: None }
    }

    /// Uniform in the open interval (0, 1): never 0, so that its logarithm is finite.
    pub(super) fn unit(&mut self) -> f64 {
        (f64::from(self.stream.next_u32()) + 0.5) / 4_294_967_296.0
    }

    /// Uniform in `0..count`, 0 for an empty range. The bias is below `count` / 2^32.
    pub(super) fn below(&mut self, count: u32) -> u32 {
        let scaled = (u64::from(self.stream.next_u32()) * u64::from(count)) >> 32;
        u32::try_from(scaled).unwrap_or(0)
    }

    /// Uniform in `low..=high`.
    pub(super) fn between(&mut self, low: u32, high: u32) -> u32 {
        low + self.below(high - low + 1)
    }

    /// A place in a list of that length.
    pub(super) fn index(&mut self, length: usize) -> usize {
        let count = u32::try_from(length).unwrap_or(u32::MAX);
        usize::try_from(self.below(count)).unwrap_or(0)
    }

    /// True with the given probability.
    pub(super) fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// A place chosen by weights that add up to 1.
    pub(super) fn weighted(&mut self, weights: &[f64]) -> usize {
        slot(weights, self.unit())
    }

    /// A rank in `0..count` whose popularity falls like a power of it: about half of the choices fall on the first
    /// eighth. Cheaper than Zipf's law and as skewed where it matters.
    pub(super) fn popular(&mut self, count: u32) -> u32 {
        let unit = self.unit();
        let rank = whole(unit * unit * unit * f64::from(count));
        u32::try_from(rank).unwrap_or(0).min(count.saturating_sub(1))
    }

    /// A department's place in `wh_schemas::transaction::DEPARTMENTS`.
    pub(super) fn department(&mut self) -> u8 {
        u8::try_from(self.below(12)).unwrap_or(0)
    }

    /// An exponentially distributed waiting time, in the unit of `mean`, at least 1.
    pub(super) fn gap(&mut self, mean: f64) -> i64 {
        whole(-libm::log(self.unit()) * mean).max(1)
    }

    /// A standard normal deviate (Box and Muller 1958).
    pub(super) fn normal(&mut self) -> f64 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        let radius = libm::sqrt(-2.0 * libm::log(self.unit()));
        let (sine, cosine) = libm::sincos(TAU * self.unit());
        self.spare = Some(radius * sine);
        radius * cosine
    }
}

/// The place whose share of the unit interval holds `spot`, the weights lying there one after the other. Where rounding
/// leaves `spot` beyond the last one, the last place with a weight, so that an impossible choice is never made.
pub(super) fn slot(weights: &[f64], spot: f64) -> usize {
    let mut left = spot;
    for (place, weight) in weights.iter().enumerate() {
        left -= weight;
        if left < 0.0 {
            return place;
        }
    }
    weights.iter().rposition(|weight| *weight > 0.0).unwrap_or(0)
}

/// The whole part of a number.
#[expect(clippy::cast_possible_truncation, reason = "the fraction is meant to go; values stay below 2^53, and the cast saturates beyond i64")]
pub(super) fn whole(value: f64) -> i64 {
    value as i64
}

/// Spreads the bits of `value` over all 64 (the finaliser of SplitMix64, a bijection).
pub(super) fn mixed(value: u64) -> u64 {
    let mut bits = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_stay_in_their_ranges() {
        let mut dice = Dice::new(1);
        for _ in 0..10_000 {
            assert!(dice.below(7) < 7);
            assert!((3..=5).contains(&dice.between(3, 5)));
            assert!(dice.popular(9) < 9);
            assert!(dice.department() < 12);
            assert!(dice.gap(0.001) >= 1);
            let unit = dice.unit();
            assert!(unit > 0.0 && unit < 1.0);
        }
        assert_eq!(dice.below(0), 0);
        assert_eq!(dice.popular(0), 0);
    }

    #[test]
    fn normal_deviates_have_mean_zero_and_variance_one() {
        let mut dice = Dice::new(2);
        let draws: Vec<f64> = (0..100_000).map(|_| dice.normal()).collect();
        let mean = draws.iter().sum::<f64>() / 100_000.0;
        let variance = draws.iter().map(|x| x * x).sum::<f64>() / 100_000.0;
        assert!(mean.abs() < 0.02, "{mean}");
        assert!((variance - 1.0).abs() < 0.03, "{variance}");
    }

    #[test]
    fn a_place_without_weight_is_never_chosen() {
        assert_eq!(slot(&[0.5, 0.499, 0.0], 0.9999), 1);
        assert_eq!(slot(&[0.0, 1.0], 0.000_000_1), 1);
    }
}
