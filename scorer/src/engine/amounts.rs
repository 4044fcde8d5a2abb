//! What amounts are usual: location and scale of the logarithm, learnt robustly and shrunk towards a prior while there are few.
//!
//! Location and scale follow an exponentially weighted Huber M-estimate (P. J. Huber, "Robust Estimation of a Location
//! Parameter", 1964): a value moves them by at most a fixed multiple of the present scale, so that one row cannot drag them
//! far and slow drift moves them by a bounded step a row.

use serde::{Deserialize, Serialize};
use wh_schemas::Cents;

/// A value further out than this many scales pulls no harder than one that far.
const HUBER: f64 = 2.0;
/// The weight of the newest value never falls below this: older ones fade over about 400 rows.
const FLOOR: f64 = 1.0 / 400.0;
/// So many own values weigh as much as the prior.
const PRIOR_WEIGHT: f64 = 12.0;
/// Smallest scale: amounts that never vary would make any change infinitely unusual.
const LEAST_SCALE: f64 = 0.18;

/// Mean absolute deviation of a normal distribution, in standard deviations.
const MAD_OF_NORMAL: f64 = 0.797_884_560_802_865_4;

/// Location and scale of log amounts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prior {
    /// Mean of ln(amount in currency units).
    pub location: f64,
    /// Standard deviation of the same.
    pub scale: f64,
}

/// What one user's amounts of one type are like. 24 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Amounts {
    count: u32,
    location: f64,
    deviation: f64,
}

/// How unusual an amount is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Deviation {
    /// Scales above (or below) the usual.
    pub z: f64,
    /// The usual amount, in currency units.
    pub usual: f64,
    /// Own values behind it.
    pub count: u32,
}

/// ln of an amount in currency units.
#[must_use]
pub fn log_amount(amount: Cents) -> f64 {
    libm::log(amount.as_units().max(0.01))
}

impl Amounts {
    /// How many values were learnt.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The usual amount in currency units, without the prior.
    #[must_use]
    pub fn usual(&self) -> f64 {
        libm::exp(self.location)
    }

    /// Compares an amount with what is usual.
    #[must_use]
    pub fn deviation(&self, amount: Cents, prior: Prior) -> Deviation {
        let own = f64::from(self.count.min(400));
        let weight = own / (own + PRIOR_WEIGHT);
        let location = weight * self.location + (1.0 - weight) * prior.location;
        let scale = (weight * (self.deviation / MAD_OF_NORMAL) + (1.0 - weight) * prior.scale).max(LEAST_SCALE);
        Deviation { z: (log_amount(amount) - location) / scale, usual: libm::exp(location), count: self.count }
    }

    /// Learns one amount.
    pub fn learn(&mut self, amount: Cents, prior: Prior) {
        let x = log_amount(amount);
        if self.count == 0 {
            *self = Amounts { count: 1, location: x, deviation: prior.scale * MAD_OF_NORMAL };
            return;
        }
        self.count = self.count.saturating_add(1);
        let rate = (1.0 / f64::from(self.count)).max(FLOOR);
        let reach = HUBER * self.deviation.max(LEAST_SCALE * MAD_OF_NORMAL);
        let step = (x - self.location).clamp(-reach, reach);
        self.location += rate * step;
        self.deviation += rate * (libm::fabs(step) - self.deviation);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRIOR: Prior = Prior { location: 5.0, scale: 1.0 };

    #[test]
    fn a_few_outliers_do_not_move_what_is_usual() {
        let mut clean = Amounts::default();
        let mut dirty = Amounts::default();
        for i in 0..300_i64 {
            let amount = Cents(10_000 + (i * 7919) % 4_000);
            clean.learn(amount, PRIOR);
            dirty.learn(amount, PRIOR);
            if i % 50 == 49 {
                dirty.learn(Cents(900_000_000), PRIOR);
            }
        }
        let (a, b) = (clean.deviation(Cents(50_000), PRIOR), dirty.deviation(Cents(50_000), PRIOR));
        assert!(a.z > 5.0 && b.z > 0.6 * a.z, "{a:?} {b:?}");
    }

    #[test]
    fn a_newcomer_is_measured_by_the_prior() {
        let fresh = Amounts::default().deviation(Cents(14_841), PRIOR);
        assert!(fresh.z.abs() < 0.01 && fresh.count == 0, "{fresh:?}");
    }
}
