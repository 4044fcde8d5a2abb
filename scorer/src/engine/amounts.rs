//! What amounts are usual: location and scale of the logarithm, learnt robustly and shrunk towards a prior while there are few.
//!
//! Location and scale follow an exponentially weighted Huber M-estimate (P. J. Huber, "Robust Estimation of a Location
//! Parameter", 1964): a value moves them by at most a fixed multiple of the present scale, so that one row cannot drag them
//! far. An anchor, taken while the baseline is young, bounds how far many rows together can: slow drift walks a location no
//! further than a factor of four from it, and the anchor itself follows only over thousands of rows.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wh_schemas::Cents;

/// A value further out than this many scales pulls no harder than one that far.
const HUBER: f64 = 2.0;
/// The weight of the newest value never falls below this: older ones fade over about 400 rows.
const FLOOR: f64 = 1.0 / 400.0;
/// So many own values weigh as much as the prior's location.
const PRIOR_WEIGHT: f64 = 2.0;
/// So many own values weigh as much as the prior's scale.
const PRIOR_SCALE_WEIGHT: f64 = 4.0;
/// Smallest scale: amounts that never vary would make any change infinitely unusual.
const LEAST_SCALE: f64 = 0.18;
/// Rows after which the anchor is cast.
const ANCHOR_AT: u32 = 40;
/// How far a location may lie from its anchor, in log units: a factor of four.
const LEASH: f64 = 1.386_294_361_119_890_6;
/// How fast the anchor follows, a row.
const ANCHOR_RATE: f64 = 1.0 / 4_000.0;

/// No logarithm of an amount, and no deviation of one, is larger: that of the largest amount is 30.
const LARGEST_LOG: f32 = 700.0;
/// Mean absolute deviation of a normal distribution, in standard deviations.
const MAD_OF_NORMAL: f64 = 0.797_884_560_802_865_4;

/// Location and scale of log amounts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Prior {
    /// Mean of ln(amount in currency units).
    pub location: f64,
    /// Standard deviation of the same.
    pub scale: f64,
}

/// What one user's amounts of one type are like. 20 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Amounts {
    count: u32,
    location: f32,
    deviation: f32,
    anchor: f32,
    /// ln of the largest amount learnt, fading.
    largest: f32,
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
    /// Doublings above the largest amount learnt; 0 while there are fewer than ten.
    pub above_largest: f64,
}

/// ln of an amount in currency units.
#[must_use]
pub fn log_amount(amount: Cents) -> f64 {
    libm::log(amount.as_units().max(0.01))
}

/// The state holds 4-byte floats; what is computed from them is computed in 8.
#[expect(clippy::cast_possible_truncation, reason = "rounding to the stored precision is what this is for")]
pub(super) fn stored(value: f64) -> f32 {
    value as f32
}

impl Amounts {
    /// How many values were learnt.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Whether the engine can go on with what was decoded: logarithms of amounts, and numbers at all.
    pub(super) fn is_sound(&self) -> bool {
        [self.location, self.deviation, self.anchor, self.largest].iter().all(|value| value.is_finite() && value.abs() <= LARGEST_LOG)
    }

    /// Bytes when serialised.
    pub(super) fn bytes(&self) -> usize {
        super::encoded::varint(self.count.into()) + 16
    }

    /// The usual amount in currency units, without the prior.
    #[must_use]
    pub fn usual(&self) -> f64 {
        libm::exp(f64::from(self.location))
    }

    /// Location and scale of ln(amount), shrunk towards the prior.
    #[must_use]
    pub fn shrunk(&self, prior: Prior) -> Prior {
        let own = f64::from(self.count.min(400));
        let weight = own / (own + PRIOR_WEIGHT);
        let scale_weight = own / (own + PRIOR_SCALE_WEIGHT);
        let own_scale = f64::from(self.deviation) / MAD_OF_NORMAL;
        Prior {
            location: weight * f64::from(self.location) + (1.0 - weight) * prior.location,
            scale: libm::sqrt(scale_weight * own_scale * own_scale + (1.0 - scale_weight) * prior.scale * prior.scale).max(LEAST_SCALE),
        }
    }

    /// Compares an amount with what is usual.
    #[must_use]
    pub fn deviation(&self, amount: Cents, prior: Prior) -> Deviation {
        let Prior { location, scale } = self.shrunk(prior);
        let x = log_amount(amount);
        let above_largest = if self.count >= 10 { ((x - f64::from(self.largest)) / std::f64::consts::LN_2).max(0.0) } else { 0.0 };
        Deviation { z: (x - location) / scale, usual: libm::exp(location), count: self.count, above_largest }
    }

    /// Learns one amount.
    pub fn learn(&mut self, amount: Cents, prior: Prior) {
        let x = log_amount(amount);
        if self.count == 0 {
            *self = Amounts { count: 1, location: stored(x), deviation: stored(prior.scale * MAD_OF_NORMAL), anchor: stored(x), largest: stored(x) };
            return;
        }
        self.count = self.count.saturating_add(1);
        let (mut location, deviation) = (f64::from(self.location), f64::from(self.deviation));
        let rate = (1.0 / f64::from(self.count)).max(FLOOR);
        let reach = HUBER * deviation.max(LEAST_SCALE * MAD_OF_NORMAL);
        let step = (x - location).clamp(-reach, reach);
        location += rate * step;
        if self.count <= ANCHOR_AT {
            self.anchor = stored(location);
        } else {
            let anchor = f64::from(self.anchor);
            location = location.clamp(anchor - LEASH, anchor + LEASH);
            self.anchor = stored(anchor + ANCHOR_RATE * (location - anchor));
        }
        self.location = stored(location);
        self.deviation = stored(deviation + rate * (libm::fabs(step) - deviation));
        // An old peak fades by half in about 1,400 rows.
        self.largest = stored(x.max(f64::from(self.largest) - 0.000_5));
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

    #[test]
    fn slow_drift_does_not_walk_the_usual_without_limit() {
        let mut amounts = Amounts::default();
        let mut cents = 10_000.0;
        for _ in 0..100 {
            amounts.learn(Cents(10_000), PRIOR);
        }
        // Half a per cent more with each row, to 100 times the first.
        for _ in 0..900 {
            cents *= 1.005;
            #[expect(clippy::cast_possible_truncation, reason = "a test's amount")]
            amounts.learn(Cents(cents as i64), PRIOR);
        }
        assert!(amounts.usual() < 100.0 * 6.5, "{}", amounts.usual());
    }
}
