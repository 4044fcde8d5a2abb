//! The user's baseline as it stood before a record.
//!
//! What must stay true: it is what the score rested on, the record itself not yet learnt.

use serde::Serialize;
use wh_schemas::time::DAY;

use crate::engine::signals::Signals;
use crate::engine::{Observation, Ruleset, UserState};

/// The user's baseline before the record, as far as the score rests on it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Baseline {
    /// Events of the user before.
    pub events: u64,
    /// Of them learnt; the others were quarantined as alerts.
    pub learnt: u64,
    /// Days since the first.
    pub days_known: f64,
    /// Hours since the last.
    pub idle_hours: f64,
    /// How much weight the baseline has, 0 to 1.
    pub maturity: f64,
    /// The usual amount of this type, in currency units, shrunk towards the prior.
    pub usual_amount: f64,
    /// The factor by which two of three amounts lie around it at most.
    pub usual_factor: f64,
    /// Amounts of this type behind it.
    pub amounts_learnt: u32,
    /// How many scales this amount lies above it.
    pub amount_z: f64,
    /// Local hour of the week, 0 is Monday 00:00.
    pub hour_of_week: u8,
    /// Likelihood of that hour, in multiples of an even spread.
    pub hour_likelihood: f64,
    /// Events in ten minutes, an hour and a day, this one included.
    pub events_in_windows: [u32; 3],
    /// … and how many are usual.
    pub usual_in_windows: [f64; 3],
    /// Events a day, on days with events.
    pub events_a_day: f64,
    /// Rows with this account before.
    pub account_rows: u16,
    /// Accounts that the user is known to deal with.
    pub accounts: usize,
    /// Rows with this counterparty before; 0 where it is new, or where there is none.
    pub counterparty_rows: u16,
    /// Days since the first of them.
    pub counterparty_days: f64,
    /// Counterparties that the user is known to deal with.
    pub counterparties: usize,
    /// Share of the user's days on which they did this type.
    pub type_share: f64,
    /// … and on which they worked in this department.
    pub department_share: f64,
    /// The department of most days.
    pub home_department: String,
}

impl Baseline {
    pub(super) fn of(observation: &Observation<'_>, signals: &Signals, user: &UserState, ruleset: &Ruleset) -> Baseline {
        let prior = ruleset.prior(observation.department, observation.transaction_type);
        let scale = user.amounts.get(observation.transaction_type.index()).map_or(prior.scale, |amounts| amounts.shrunk(prior).scale);
        #[expect(clippy::cast_precision_loss, reason = "microseconds between two events")]
        let days_known = observation.timestamp.0.saturating_sub(user.first).max(0) as f64 / DAY as f64;
        Baseline {
            events: user.events,
            learnt: user.learnt,
            days_known,
            idle_hours: signals.idle_hours,
            maturity: signals.maturity,
            usual_amount: signals.deviation.usual,
            usual_factor: libm::exp(scale),
            amounts_learnt: signals.deviation.count,
            amount_z: signals.deviation.z,
            hour_of_week: signals.hour,
            hour_likelihood: signals.likelihood,
            events_in_windows: [signals.ten_minutes.events, signals.one_hour.events, signals.one_day.events],
            usual_in_windows: signals.expected,
            events_a_day: user.events_per_active_day(),
            account_rows: signals.account_rows,
            accounts: user.accounts.distinct(),
            counterparty_rows: signals.counterparty_rows,
            counterparty_days: signals.counterparty_days,
            counterparties: user.counterparties.distinct(),
            type_share: signals.type_share,
            department_share: signals.department_share,
            home_department: user.home_department.clone(),
        }
    }
}
