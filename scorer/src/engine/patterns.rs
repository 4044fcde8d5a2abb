//! Patterns by user: what several rows together confirm. A confirmed pattern may saturate the dimensions that it
//! speaks to, and says so in its reason.
//!
//! They rest on a short memory of the user's last events, 24 of them, one entry each.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use wh_schemas::TransactionType;
use wh_schemas::scored::Dimension;
use wh_schemas::time::{DAY, HOUR, SECOND};

use super::ruleset::Ruleset;
use super::user::UserState;
use super::{Observation, Proposed};

/// Events that are remembered.
const MEMORY: usize = 24;

/// One remembered event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Event {
    at: i64,
    cents: i64,
    #[serde(with = "postcard::fixint::le")]
    counterparty: u64,
    transaction_type: TransactionType,
    /// Scales above the usual, in tenths, at its time.
    tenths: i16,
    /// Just below one of the limits.
    below_limit: bool,
}

/// The last events of a user, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recent {
    events: VecDeque<Event>,
    /// Deviation of the event now being scored, handed from scoring to learning.
    pending_tenths: i16,
}

fn is_below_limit(observation: &Observation<'_>, ruleset: &Ruleset) -> bool {
    let units = observation.amount.as_units();
    ruleset.limits.iter().any(|limit| units < *limit && units >= *limit * (1.0 - ruleset.below_limit))
}

impl Recent {
    /// Takes a scored event in.
    pub(super) fn observe(&mut self, observation: &Observation<'_>, ruleset: &Ruleset) {
        if self.events.len() == MEMORY {
            self.events.pop_front();
        }
        self.events.push_back(Event {
            at: observation.timestamp.0,
            cents: observation.amount.0,
            counterparty: observation.counterparty.unwrap_or(0),
            transaction_type: observation.transaction_type,
            tenths: self.pending_tenths,
            below_limit: is_below_limit(observation, ruleset),
        });
    }

    fn within<'a>(&'a self, observation: &Observation<'_>, length: i64) -> impl Iterator<Item = &'a Event> + use<'a> {
        let (until, from) = (observation.timestamp.0, observation.timestamp.0 - length);
        self.events.iter().filter(move |e| e.at > from && e.at <= until)
    }
}

/// Proposes the points of every pattern that this event completes.
pub(super) fn by_user(observation: &Observation<'_>, user: &mut UserState, hour: u8, ruleset: &Ruleset, proposed: &mut Proposed) {
    let prior = ruleset.prior(observation.transaction_type);
    let amounts = user.amounts[observation.transaction_type.index()];
    let deviation = amounts.deviation(observation.amount, prior);
    #[expect(clippy::cast_possible_truncation, reason = "clamped to the range of i16")]
    let tenths = (deviation.z * 10.0).clamp(-1000.0, 1000.0) as i16;
    user.recent.pending_tenths = tenths;
    if user.learnt < u64::from(ruleset.mature_after) {
        return;
    }
    let saturate = |proposed: &mut Proposed, rule, dimensions: &[Dimension], evidence: &dyn Fn() -> String| {
        for dimension in dimensions {
            // Above any single hint, so that the caps leave the pattern's own reason standing.
            proposed.add(rule, *dimension, f64::from(dimension.cap()), evidence);
        }
    };

    // Several amounts far above the usual within a day.
    let spikes = user.recent.within(observation, DAY).filter(|e| e.tenths >= 35).count();
    if deviation.z >= 3.5 && spikes >= 1 && amounts.count() >= 10 {
        let strong = deviation.z >= 5.0 || spikes >= 2;
        let dimensions: &[Dimension] = if strong { &[Dimension::Amount, Dimension::Frequency, Dimension::Behavior] } else { &[Dimension::Amount, Dimension::Behavior] };
        saturate(proposed, "pattern_amount_spikes", dimensions, &|| {
            format!("confirmed pattern: {} amounts within a day lie 3.5 scales or more above this user's usual, this one {:.1}", spikes + 1, deviation.z)
        });
    }

    // Many events in minutes, far beyond what this user does in the busiest hour.
    let burst = user.window.count(observation.timestamp, 600 * SECOND).events + 1;
    let busiest = user.hours.expected_in_hour(hour, user.events_per_active_day() * 6.0).max(user.events_per_active_day() / 6.0);
    if burst >= 10 && f64::from(burst) > 1.5 * busiest + 6.0 {
        saturate(proposed, "pattern_burst", &[Dimension::Frequency, Dimension::Behavior, Dimension::Amount], &|| {
            format!("confirmed pattern: {burst} events within 10 minutes, where this user has {busiest:.1} in a busy hour")
        });
    }

    // Several amounts just below a limit to one counterparty within three days.
    if is_below_limit(observation, ruleset)
        && let Some(counterparty) = observation.counterparty
    {
        let below = user.recent.within(observation, 3 * DAY).filter(|e| e.below_limit && e.counterparty == counterparty).count();
        let habitual = user.counterparties.count(counterparty) > 12;
        if below >= 2 && !habitual && deviation.z > 0.7 {
            saturate(proposed, "pattern_structuring", &[Dimension::Amount, Dimension::Frequency, Dimension::Behavior], &|| {
                format!("confirmed pattern: {} amounts within 3 days to one counterparty lie just below a limit, this one {}", below + 1, observation.amount.grouped())
            });
        }
    }

    // Refunds or adjustments to one counterparty, one after another, that this user does not usually make.
    if matches!(observation.transaction_type, TransactionType::Refund | TransactionType::Adjustment)
        && let Some(counterparty) = observation.counterparty
    {
        let same = user.recent.within(observation, 3 * DAY).filter(|e| e.transaction_type == observation.transaction_type && e.counterparty == counterparty).count();
        if same >= 3 && user.counterparties.count(counterparty) <= 12 {
            saturate(proposed, "pattern_refund_cycle", &[Dimension::Amount, Dimension::Frequency, Dimension::Behavior], &|| {
                format!("confirmed pattern: {} {}s within 3 days to one counterparty that this user hardly knows", same + 1, observation.transaction_type)
            });
        }
    }

    // A run of events in hours in which this user is never seen.
    if user.hours.likelihood(hour) < 0.06 && user.learnt >= 100 {
        let run = user.recent.within(observation, 2 * HOUR).count() + 1;
        if run >= 4 {
            saturate(proposed, "pattern_off_hours", &[Dimension::Time, Dimension::Frequency, Dimension::Behavior], &|| {
                format!("confirmed pattern: {run} events within 2 hours at a time of the week at which this user is hardly ever seen")
            });
            proposed.add("pattern_off_hours", Dimension::Amount, 2.0 * (deviation.z + 1.0), || {
                format!("the amounts of the run: this one lies {:.1} scales from the usual", deviation.z)
            });
        }
    }

    // The same amount to the same counterparty again within a day, to the cent, where this user does not repeat amounts.
    if let Some(counterparty) = observation.counterparty {
        let again = user
            .recent
            .within(observation, DAY)
            .filter(|e| e.cents == observation.amount.0 && e.counterparty == counterparty && e.transaction_type == observation.transaction_type)
            .count();
        if again >= 1 {
            proposed.add("repeated_payment", Dimension::Behavior, 4.0 + 4.0 * f64::from(u32::try_from(again).unwrap_or(4).min(4)), || {
                format!("the same amount, {}, went to the same counterparty {again} times within a day before", observation.amount.grouped())
            });
        }
    }
}
