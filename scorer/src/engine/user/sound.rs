//! Whether a state that could be decoded is one that the engine could have made.
//!
//! Bytes that were altered in a store may still decode: a count of nothing, an hour of a ninth day, a time beyond all years. The engine relies on
//! what it wrote; such a state would end its stage by a panic, or score by what nobody did. So it is refused where it is loaded, in words.
//!
//! What must stay true: every state that the engine makes is sound, after each row; what is sound brings no arithmetic out of its range. A state
//! may be sound and yet be another than was written: that is for `wardhouse reconcile` to find.

use std::ops::RangeInclusive;

use wh_schemas::time::SECOND;
use wh_schemas::{Cents, TransactionType};

use super::{Rate, UserState};

/// The years 1 to 9999, in microseconds: records of other times are refused before they are scored.
const YEARS: RangeInclusive<i64> = -62_135_596_800_000_000..=253_402_300_799_999_999;
/// Counts beyond could not be added to each other.
const MOST: u64 = i64::MAX.unsigned_abs();
/// Sums and shares that are kept as floats stay far below.
const LARGEST: f64 = 1e18;

/// Whether a time is one that a record may have.
pub(crate) fn is_time(micros: i64) -> bool {
    YEARS.contains(&micros)
}

/// The same of a time in seconds.
pub(in crate::engine) fn is_second(seconds: i64) -> bool {
    seconds.checked_mul(SECOND).is_some_and(is_time)
}

/// Whether an amount is one that a record may have.
pub(crate) fn is_amount(cents: i64) -> bool {
    cents.unsigned_abs() <= Cents::MAX.0.unsigned_abs()
}

/// Whether a type is one that there is.
pub(in crate::engine) fn is_kind(kind: u8) -> bool {
    usize::from(kind) < TransactionType::ALL.len()
}

/// Whether a number is one, and of a size that sums of such do not lose.
pub(in crate::engine) fn is_number(value: f64) -> bool {
    value.is_finite() && value.abs() <= LARGEST
}

impl Rate {
    fn is_sound(self) -> bool {
        // Of the last few hundred rows.
        (0.0..=1_000.0).contains(&self.trials) && (0.0..=1_000.0).contains(&self.hits)
    }
}

impl UserState {
    /// What of the state cannot be, if anything.
    pub(super) fn fault(&self) -> Option<&'static str> {
        let counts = [self.events, self.alerts, self.touched, self.learnt];
        let numbers = [self.log_amount_sum, self.active_days, self.active_events];
        let small = [self.longest_gap, self.points.0, self.points.1, self.heat, self.fresh];
        let known = [&self.kinds, &self.departments, &self.prices];
        let checks = [
            (counts.iter().all(|count| *count <= MOST), "counts of events"),
            (is_time(self.first) && is_time(self.last) && (self.woke == i64::MIN || is_time(self.woke)), "times of events"),
            (self.amounts.iter().all(|amounts| amounts.is_sound()), "usual amounts"),
            (self.hours.is_sound(), "hours of the week"),
            (self.window.is_sound(), "times of the last events"),
            (self.accounts.is_sound() && self.counterparties.is_sound(), "accounts and counterparties"),
            (known.iter().all(|known| known.is_sound()), "types, departments and prices"),
            (self.metadata.iter().all(|keyed| keyed.values.is_sound()), "values of metadata"),
            (numbers.iter().all(|number| is_number(*number)) && small.iter().all(|number| is_number(f64::from(*number))), "sums and shares"),
            (self.rates.iter().all(|rate| rate.is_sound()), "rates of marks"),
            (self.recent.is_sound(), "remembered rows"),
            (self.waiting.as_ref().is_none_or(|waiting| waiting.is_sound()), "the row that waits"),
        ];
        checks.iter().find(|(sound, _)| !sound).map(|(_, what)| *what)
    }
}
