//! When a user works: counts by hour of the week, smoothed over neighbours and shrunk towards a prior of office hours.

use serde::{Deserialize, Serialize};

/// Hours of a week.
pub const HOURS: usize = 168;
/// All counts are halved when the sum reaches this, so that old habits fade: about three months of a busy clerk.
const HALVE_AT: u32 = 20_000;
/// So many own events weigh as much as the prior.
const PRIOR_WEIGHT: f64 = 60.0;

/// Events by hour of the week, Monday 00:00 first. 336 bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hours {
    counts: Vec<u16>,
    sum: u32,
}

impl Default for Hours {
    fn default() -> Self {
        Hours { counts: vec![0; HOURS], sum: 0 }
    }
}

impl Hours {
    /// Takes an event in.
    pub fn learn(&mut self, hour: u8) {
        if let Some(count) = self.counts.get_mut(usize::from(hour)) {
            *count = count.saturating_add(1);
            self.sum += 1;
        }
        if self.sum >= HALVE_AT {
            self.sum = 0;
            for count in &mut self.counts {
                *count /= 2;
                self.sum += u32::from(*count);
            }
        }
    }

    /// Events learnt, faded ones less.
    #[must_use]
    pub fn sum(&self) -> u32 {
        self.sum
    }

    /// How likely an event falls into this hour, in multiples of an even spread over the week.
    /// Half the weight lies on the hour itself and its neighbours on the same day, half on the same hour of other days.
    #[must_use]
    pub fn likelihood(&self, hour: u8) -> f64 {
        let at = usize::from(hour);
        let count = |i: usize| f64::from(self.counts.get(i % HOURS).copied().unwrap_or(0));
        let near = (count(at + HOURS - 1) + 2.0 * count(at) + count(at + 1)) / 4.0;
        let days: f64 = (0..7).map(|day| count(at % 24 + 24 * day)).sum::<f64>() / 7.0;
        let weekend = at >= 120;
        // Other days say little of a weekend, and the other way round.
        let own = if weekend { near } else { 0.5 * near + 0.5 * days * 1.4 };
        let share = |hour: usize| {
            if hour >= 120 {
                0.45
            } else if (8..18).contains(&(hour % 24)) {
                2.2
            } else if (6..22).contains(&(hour % 24)) {
                0.8
            } else {
                0.35
            }
        };
        let total = f64::from(self.sum);
        let even = total / 168.0;
        let weight = total / (total + PRIOR_WEIGHT);
        let observed = if even > 0.0 { (own + 0.05 * even) / even } else { 1.0 };
        weight * observed + (1.0 - weight) * share(at)
    }

    /// Events to be expected in this hour, given how many there are a week.
    #[must_use]
    pub fn expected_in_hour(&self, hour: u8, per_week: f64) -> f64 {
        per_week / 168.0 * self.likelihood(hour).min(8.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_night_is_unlikely_for_a_clerk_of_the_day_and_usual_for_one_of_the_night() {
        let (mut day, mut night) = (Hours::default(), Hours::default());
        for week in 0..8 {
            for weekday in 0..5_u8 {
                for i in 0..10_u8 {
                    day.learn(weekday * 24 + 8 + i % 9);
                    night.learn(weekday * 24 + (22 + i % 8) % 24);
                }
            }
            let _ = week;
        }
        let three = 2 * 24 + 3;
        assert!(day.likelihood(three) < 0.2, "{}", day.likelihood(three));
        assert!(night.likelihood(three) > 1.0, "{}", night.likelihood(three));
        assert!(Hours::default().likelihood(three) > 0.2);
    }
}
