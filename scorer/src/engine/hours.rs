//! When a user works: counts by hour of the week, smoothed over neighbours and shrunk towards a prior of office hours.

use serde::{Deserialize, Serialize};

use super::encoded::{length, varint};

/// Hours of a week.
pub const HOURS: usize = 168;
/// So many own hours weigh as much as the prior.
const PRIOR_WEIGHT: f64 = 25.0;

/// Days with an event, by hour of the week, Monday 00:00 first: what many rows of one night say, they say once. All are halved
/// when one would pass 60, so that old habits fade. At most 175 bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hours {
    counts: Vec<u8>,
    sum: u32,
    /// Hours since 1970 of the last one learnt.
    last: u32,
}

/// A count at which all are halved: more than a year of one hour of the week.
const HALVE_AT: u8 = 60;

impl Hours {
    /// Takes an event in: its hour of the week, and its hour since 1970, both by the hospital's clocks.
    pub fn learn(&mut self, hour: u8, since: u32) {
        if since == self.last {
            return;
        }
        self.last = since;
        if self.counts.is_empty() {
            self.counts = vec![0; HOURS];
        }
        let at = usize::from(hour) % HOURS;
        if self.counts[at] >= HALVE_AT {
            self.sum = 0;
            for count in &mut self.counts {
                *count /= 2;
                self.sum += u32::from(*count);
            }
        }
        self.counts[at] += 1;
        self.sum += 1;
    }

    /// Whether the engine can go on with what was decoded: an hour for each count, and their sum.
    pub(super) fn is_sound(&self) -> bool {
        let sum: u32 = self.counts.iter().map(|count| u32::from(*count)).sum();
        let whole = self.counts.is_empty() || (self.counts.len() == HOURS && sum > 0);
        whole && sum == self.sum && self.counts.iter().all(|count| *count <= HALVE_AT)
    }

    /// Bytes when serialised.
    pub(super) fn bytes(&self) -> usize {
        length(self.counts.len()) + self.counts.len() + varint(self.sum.into()) + varint(self.last.into())
    }

    /// Days and hours learnt, faded ones less.
    #[must_use]
    pub fn sum(&self) -> u32 {
        self.sum
    }

    /// How likely an event falls into this hour, in multiples of an even spread over the week.
    /// Half the weight lies on the hour itself and its neighbours on the same day, half on the same hours of other days.
    #[must_use]
    pub fn likelihood(&self, hour: u8) -> f64 {
        let at = usize::from(hour);
        let weekend = at >= 120;
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
        if self.counts.is_empty() {
            return share(at);
        }
        let count = |i: usize| f64::from(self.counts[i % HOURS]);
        let near = (count(at + HOURS - 1) + 2.0 * count(at) + count(at + 1)) / 4.0;
        let over_days = |hour: usize| (0..7).map(|day| count(hour % 24 + 24 * day)).sum::<f64>() / 7.0;
        let days = (over_days(at + 23) + 2.0 * over_days(at) + over_days(at + 1)) / 4.0;
        // Other days say less of a weekend.
        let own = if weekend { 0.7 * near + 0.3 * days } else { 0.4 * near + 0.6 * days };
        let total = f64::from(self.sum);
        let even = total / 168.0;
        let weight = total / (total + PRIOR_WEIGHT);
        let observed = (own + 0.02 * even) / even;
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
        for week in 0..8_u32 {
            for weekday in 0..5_u8 {
                for i in 0..10_u8 {
                    for (hours, hour) in [(&mut day, weekday * 24 + 8 + i % 9), (&mut night, weekday * 24 + (22 + i % 8) % 24)] {
                        hours.learn(hour, week * 168 + u32::from(hour) + 1);
                    }
                }
            }
        }
        let three = 2 * 24 + 3;
        assert!(day.likelihood(three) < 0.2, "{}", day.likelihood(three));
        assert!(night.likelihood(three) > 1.0, "{}", night.likelihood(three));
        assert!(Hours::default().likelihood(three) > 0.2);
    }
}
