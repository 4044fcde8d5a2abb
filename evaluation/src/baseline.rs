//! A plain detector, as a typical public system has it: how far the amount is from the user's usual one, how rare the hour is for
//! the user, how fast the user is just now. It measures how hard a stream is, and is what a better one is compared with.

use std::collections::{HashMap, VecDeque};

use crate::transaction::Transaction;

const HOUR: i64 = 3_600_000_000;
/// Amounts that are kept for a user and type.
const KEPT: usize = 256;

#[derive(Default)]
struct Amounts {
    order: VecDeque<f64>,
    sorted: Vec<f64>,
}

impl Amounts {
    /// Distance from the median in robust standard deviations; 0 while there are fewer than five.
    fn distance(&self, value: f64) -> f64 {
        let n = self.sorted.len();
        if n < 5 {
            return 0.0;
        }
        let median = self.sorted[n / 2];
        let mut deviations: Vec<f64> = self.sorted.iter().map(|x| (x - median).abs()).collect();
        let (_, middle, _) = deviations.select_nth_unstable_by(n / 2, f64::total_cmp);
        (value - median).abs() / (1.4826 * *middle).max(0.1)
    }

    fn learn(&mut self, value: f64) {
        if self.order.len() == KEPT
            && let Some(old) = self.order.pop_front()
        {
            let at = self.sorted.partition_point(|x| *x < old);
            self.sorted.remove(at);
        }
        let at = self.sorted.partition_point(|x| *x < value);
        self.sorted.insert(at, value);
        self.order.push_back(value);
    }
}

struct User {
    hours: [u32; 168],
    seen: u32,
    recent: VecDeque<i64>,
    usual: f64,
}

/// A score in 0 to 1 for each transaction from what came before it in the order of arrival.
#[must_use]
pub fn scores(transactions: &[Transaction]) -> Vec<f64> {
    let mut amounts: HashMap<(&str, &str), Amounts> = HashMap::new();
    let mut users: HashMap<&str, User> = HashMap::new();
    transactions
        .iter()
        .map(|t| {
            let value = libm::log(t.cents as f64 / 100.0);
            let history = amounts.entry((&t.user_id, t.transaction_type)).or_default();
            let distance = (history.distance(value) / 6.0).min(1.0);
            history.learn(value);

            let user = users.entry(&t.user_id).or_insert_with(|| User { hours: [0; 168], seen: 0, recent: VecDeque::new(), usual: 1.0 });
            // Day 0 of 1970 was a Thursday.
            let hour = usize::try_from((t.micros.div_euclid(HOUR) + 72).rem_euclid(168)).unwrap_or(0);
            // Neighbouring hours count as well: few weeks fill 168 of them thinly.
            let near = f64::from(user.hours[hour]) + 0.5 * f64::from(user.hours[(hour + 1) % 168] + user.hours[(hour + 167) % 168]);
            let expected = (f64::from(user.seen) * 2.0 + 20.0) / 168.0;
            let rarity = if user.seen < 20 { 0.0 } else { (libm::log(expected / (near + 0.25)) / 4.0).clamp(0.0, 1.0) };
            user.hours[hour] += 1;
            user.seen += 1;

            while user.recent.front().is_some_and(|at| *at + HOUR < t.micros) {
                user.recent.pop_front();
            }
            user.recent.push_back(t.micros);
            let now = user.recent.len() as f64;
            let velocity = (libm::log(now / user.usual) / 3.0).clamp(0.0, 1.0);
            user.usual += (now - user.usual) * 0.01;
            1.0 - (1.0 - distance) * (1.0 - rarity) * (1.0 - velocity)
        })
        .collect()
}
