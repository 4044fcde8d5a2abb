//! Chance. One seeded source; the same seed gives the same draws on every machine, hence `libm`.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A seeded source of chance with the distributions that this crate needs.
#[derive(Clone, Debug)]
pub struct Dice(ChaCha8Rng);

/// The whole part of a number that is known to be small enough.
#[expect(clippy::cast_possible_truncation, reason = "saturates; amounts and seconds stay far below 2^53")]
#[must_use]
pub fn whole(value: f64) -> i64 {
    value as i64
}

/// A count or index from a signed number, 0 for a negative one.
#[must_use]
pub fn index(value: i64) -> usize {
    usize::try_from(value).unwrap_or(0)
}

impl Dice {
    /// Dice of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Dice(ChaCha8Rng::seed_from_u64(seed))
    }

    /// Dice of their own: what they are used for later does not shift these.
    #[must_use]
    pub fn fork(&mut self) -> Dice {
        Dice::new(self.bits())
    }

    /// 64 even bits.
    pub fn bits(&mut self) -> u64 {
        self.0.random::<u64>()
    }

    /// Evenly in [0, 1).
    pub fn unit(&mut self) -> f64 {
        self.0.random::<f64>()
    }

    /// True with that probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// Evenly in 0..n; 0 for n = 0.
    pub fn below(&mut self, n: usize) -> usize {
        if n == 0 { 0 } else { self.0.random_range(0..n) }
    }

    /// Evenly from `low` to `high`, both included.
    pub fn from_to(&mut self, low: i64, high: i64) -> i64 {
        if high <= low { low } else { self.0.random_range(low..=high) }
    }

    /// A count from `low` to `high`, both included.
    pub fn count(&mut self, low: usize, high: usize) -> usize {
        if high <= low { low } else { self.0.random_range(low..=high) }
    }

    /// Evenly in [low, high).
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// Standard normal.
    pub fn normal(&mut self) -> f64 {
        let radius = libm::sqrt(-2.0 * libm::log(1.0 - self.unit()));
        radius * libm::cos(std::f64::consts::TAU * self.unit())
    }

    /// Exponential with that mean.
    pub fn waiting(&mut self, mean: f64) -> f64 {
        -mean * libm::log(1.0 - self.unit())
    }

    /// Poisson with that mean (up to some hundreds).
    pub fn poisson(&mut self, mean: f64) -> usize {
        let (mut sum, mut n) = (0.0, 0);
        loop {
            sum += self.waiting(1.0);
            if sum > mean {
                return n;
            }
            n += 1;
        }
    }

    /// A rank in 0..n, about inversely proportional to rank.
    pub fn zipf(&mut self, n: usize) -> usize {
        let top = libm::log(n as f64 + 1.0);
        index(whole(libm::exp(self.unit() * top)) - 1).min(n.saturating_sub(1))
    }

    /// One of the items, `None` of none.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        items.get(self.below(items.len()))
    }

    /// An index with probability in proportion to its weight.
    pub fn weighted(&mut self, weights: impl Iterator<Item = f64> + Clone) -> usize {
        let mut left = self.unit() * weights.clone().sum::<f64>();
        let mut last = 0;
        for (i, weight) in weights.enumerate() {
            if left < weight {
                return i;
            }
            left -= weight;
            last = i;
        }
        last
    }

    /// Puts items into an even random order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }

    /// A log-normal amount in cents, at least 1.00 and at most 20 million.
    pub fn price(&mut self, log_units: f64, sigma: f64) -> i64 {
        let units = libm::exp(log_units + sigma * self.normal());
        whole(units * 100.0).clamp(100, 2_000_000_000)
    }
}
