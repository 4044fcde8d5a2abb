//! What a pattern's detector looks at: the row, its signals, its user, and the sums that all detectors make of them.

use wh_schemas::time::SECOND;

use super::Aspects;
use crate::engine::Observation;
use crate::engine::recent::{Mark, Row};
use crate::engine::signals::{Signals, YOUNG};
use crate::engine::user::UserState;

/// What a detector looks at.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) observation: &'a Observation<'a>,
    pub(super) signals: &'a Signals,
    pub(super) user: &'a UserState,
    /// Event time in seconds.
    pub(super) at: i64,
    pub(super) account: u32,
    pub(super) counterparty: u32,
    /// Points that the dimensions propose without patterns.
    pub(super) points: f64,
}

impl<'a> View<'a> {
    pub(super) fn new(observation: &'a Observation<'a>, signals: &'a Signals, user: &'a UserState, points: f64) -> View<'a> {
        let (account, counterparty) = (observation.account_short(), observation.counterparty_short());
        View { observation, signals, user, at: observation.timestamp.0.div_euclid(SECOND), account, counterparty, points }
    }

    /// Rows of the last `days` with a mark.
    pub(super) fn marked(&self, mark: Mark, days: f64) -> Vec<&'a Row> {
        #[expect(clippy::cast_possible_truncation, reason = "days of a window")]
        let length = (days * 86_400.0) as i64;
        self.user.recent.within(self.at, length).filter(|row| row.is(mark)).collect()
    }

    /// Share of the user's rows that have a mark.
    pub(super) fn share(&self, mark: Mark, prior: f64) -> f64 {
        self.user.rates[(mark as u16).trailing_zeros() as usize].share(prior, 30.0)
    }

    /// Bits of surprise at `count` rows with a mark within so many days, given how often this user's rows have it.
    pub(super) fn bits(&self, mark: Mark, count: usize, days: f64, prior: f64) -> f64 {
        tail_bits(count, self.share(mark, prior) * self.user.expected_events(days).max(1.0))
    }

    /// Whether a row went to the same party: the counterparty, or the account where there is none.
    pub(super) fn same_party(&self, row: &Row) -> bool {
        if self.counterparty == 0 { row.counterparty == 0 && row.account == self.account } else { row.counterparty == self.counterparty }
    }

    /// Share of rows, this one included, to the same party.
    pub(super) fn party_share(&self, rows: &[&Row]) -> f64 {
        let same = rows.iter().filter(|row| self.same_party(row)).count() + 1;
        float(same) / float(rows.len() + 1)
    }

    /// How little the party is known: 1 for one never seen or seen these days only, towards 0 for an old acquaintance.
    fn newness(&self) -> f64 {
        match self.signals.party {
            None => 1.0,
            Some((age, _)) if age <= YOUNG / 2 => 1.0,
            Some((age, rows)) => {
                let days = f64::from(age) / 24.0;
                (1.0 / (1.0 + f64::from(rows) / 8.0)).max(libm::exp2(-days / 20.0) * 0.8) * if days > 60.0 { 0.5 } else { 1.0 }
            }
        }
    }

    /// What every pattern looks at.
    pub(super) fn aspects(&self) -> Aspects {
        let signals = self.signals;
        let rows = f64::from(signals.party.map_or(0, |(_, rows)| rows)) + 1.0;
        Aspects {
            amount: signals.deviation.z.clamp(-1.0, 5.0),
            // Parties differ in what they cost: half a variance is the party's own.
            amounts: (signals.party_above * libm::sqrt(rows) / libm::sqrt(1.0 + 0.5 * rows)).clamp(-1.0, 4.0),
            largest: signals.deviation.above_largest.min(4.0),
            newness: self.newness(),
            hour: (-libm::log2(signals.likelihood.max(0.005) / 0.3)).clamp(0.0, 5.0) * signals.maturity,
            outside: if signals.is(Mark::Outside) { signals.maturity } else { 0.0 } + if signals.type_share < 0.03 && signals.department_share < 0.03 { 0.5 } else { 0.0 },
            place: signals.metadata_bits.iter().copied().fold(0.0, f64::max).min(10.0) / 5.0,
            limit: if signals.below_limit.is_some() && signals.likeness.elsewhere == 0 && signals.price_days == 0 { 1.0 } else { 0.0 },
            repeat: libm::log2(1.0 + f64::from(signals.likeness.same.min(7))),
            rate: (Signals::excess(signals.one_hour, signals.expected[1]) / 3.0).clamp(-0.5, 4.0),
            price: libm::log2(1.0 + f64::from(signals.likeness.elsewhere.min(15)) + f64::from(signals.price_days.min(15))),
            moved: 2.0 * signals.fresh,
            batch: libm::log2(1.0 + f64::from(signals.batch)),
            ..Aspects::default()
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of rows")]
pub(super) fn float(count: usize) -> f64 {
    count as f64
}

/// −log2 of the chance of `count` or more where `expected` are expected, bounded from above.
///
/// H. Chernoff, "A measure of asymptotic efficiency for tests of a hypothesis based on the sum of observations", 1952,
/// for the Poisson distribution.
pub(super) fn tail_bits(count: usize, expected: f64) -> f64 {
    let (k, expected) = (float(count), expected.max(1e-6));
    if k <= expected { 0.0 } else { (k * libm::log(k / expected) - k + expected) / std::f64::consts::LN_2 }
}
