//! What was measured so far: a histogram a stage and store, and a small one of the present second for the display.
//!
//! What must stay true: what counts is when a transaction was *intended*, not when it was confirmed: one of the measured time that takes
//! until long behind it counts, one of the warm-up never does.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use hdrhistogram::Histogram;

use crate::report::Latency;

/// Largest latency that is told apart: an hour.
const LARGEST_MICROS: u64 = 3_600_000_000;

/// What is measured by, from the time a transaction was intended: until it is scored, and until it can be read in each store.
pub const NAMES: [&str; 6] = ["published→scored", "published→ledger", "published→documents", "published→metrics", "published→baselines", "published→search"];

/// A histogram of microseconds, as reports hold them.
#[must_use]
pub fn histogram() -> Option<Histogram<u64>> {
    Histogram::new_with_bounds(1, LARGEST_MICROS, 3).ok()
}

#[derive(Default)]
struct Measured {
    whole: BTreeMap<&'static str, Histogram<u64>>,
    second: BTreeMap<&'static str, Histogram<u64>>,
    from: u64,
    until: u64,
}

/// All histograms of a round.
#[derive(Default)]
pub struct Latencies {
    measured: Mutex<Measured>,
}

impl Latencies {
    /// Begins anew: what is intended from `from` on and before `until` counts.
    pub fn begin(&self, from: u64, until: u64) {
        *self.measured.lock().unwrap_or_else(PoisonError::into_inner) = Measured { from, until, ..Measured::default() };
    }

    /// Ends the measured time early.
    pub fn end(&self, until: u64) {
        let mut measured = self.measured.lock().unwrap_or_else(PoisonError::into_inner);
        measured.until = measured.until.min(until);
    }

    /// Records transactions that were intended then and are confirmed at `now`.
    pub fn record(&self, name: &'static str, intended: impl Iterator<Item = u64>, now: u64) {
        let mut measured = self.measured.lock().unwrap_or_else(PoisonError::into_inner);
        let Measured { whole, second, from, until } = &mut *measured;
        for at in intended {
            let micros = now.saturating_sub(at).max(1);
            if (*from..*until).contains(&at)
                && let Some(histogram) = of(whole, name)
            {
                histogram.saturating_record(micros);
            }
            if let Some(histogram) = of(second, name) {
                histogram.saturating_record(micros);
            }
        }
    }

    /// p99 by name since this was asked last.
    pub fn second(&self) -> BTreeMap<&'static str, u64> {
        let mut measured = self.measured.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut measured.second).into_iter().map(|(name, histogram)| (name, histogram.value_at_quantile(0.99))).collect()
    }

    /// What a report says of them, in the order of [`NAMES`].
    #[must_use]
    pub fn told(&self) -> Vec<Latency> {
        let measured = self.measured.lock().unwrap_or_else(PoisonError::into_inner);
        NAMES.iter().filter_map(|name| measured.whole.get(name).map(|histogram| Latency::of(name, histogram))).collect()
    }
}

fn of<'a>(histograms: &'a mut BTreeMap<&'static str, Histogram<u64>>, name: &'static str) -> Option<&'a mut Histogram<u64>> {
    if !histograms.contains_key(name) {
        histograms.insert(name, histogram()?);
    }
    histograms.get_mut(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_counts_is_when_it_was_intended() {
        let latencies = Latencies::default();
        latencies.begin(1_000, 2_000);
        latencies.record(NAMES[0], [999, 1_000, 1_999, 2_000].into_iter(), 5_000_000);
        let told = latencies.told();
        assert_eq!((told.len(), told[0].count, told[0].name.as_str()), (1, 2, "published→scored"));
        assert!(told[0].max_us > 4_990_000);
        assert_eq!(latencies.second().len(), 1);
        assert!(latencies.second().is_empty());
    }
}
