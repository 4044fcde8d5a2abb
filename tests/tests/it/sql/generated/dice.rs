//! Every random choice of the generated queries.
//!
//! What must stay true: a query's choices depend on the seed and its number alone, so that one can be asked again by itself.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha12Rng;

/// The choices of one query.
pub(super) struct Dice(ChaCha12Rng);

impl Dice {
    pub(super) fn new(seed: u64, number: u64) -> Dice {
        let mut stream = ChaCha12Rng::seed_from_u64(seed);
        stream.set_stream(number);
        Dice(stream)
    }

    /// Uniform in `0..count`.
    pub(super) fn below(&mut self, count: usize) -> usize {
        let scaled = (u128::from(self.0.next_u64()) * count as u128) >> 64;
        usize::try_from(scaled).unwrap()
    }

    /// Uniform in `low..=high`.
    pub(super) fn between(&mut self, low: usize, high: usize) -> usize {
        low + self.below(high - low + 1)
    }

    /// True so often of a hundred times.
    pub(super) fn percent(&mut self, share: usize) -> bool {
        self.below(100) < share
    }

    /// One of a list that is not empty.
    pub(super) fn pick<'l, T>(&mut self, list: &'l [T]) -> &'l T {
        &list[self.below(list.len())]
    }

    /// So many different places of a list, in any order; fewer where there are not so many.
    pub(super) fn places(&mut self, length: usize, count: usize) -> Vec<usize> {
        let mut left: Vec<usize> = (0..length).collect();
        (0..count.min(length)).map(|_| left.swap_remove(self.below(left.len()))).collect()
    }

    /// A place chosen by weights.
    pub(super) fn weighted(&mut self, weights: &[usize]) -> usize {
        let mut at = self.below(weights.iter().sum());
        for (place, weight) in weights.iter().enumerate() {
            if at < *weight {
                return place;
            }
            at -= weight;
        }
        0
    }
}
