//! The five dimensions, each from one event against its user's baseline. A young baseline speaks softly:
//! points are scaled by how mature it is.

use wh_schemas::ids;
use wh_schemas::scored::Dimension;
use wh_schemas::time::{DAY, HOUR, SECOND};

use super::ruleset::Ruleset;
use super::user::UserState;
use super::window::Count;
use super::{Observation, Proposed};

/// 0 for a user never seen, towards 1 as events are learnt.
#[expect(clippy::cast_precision_loss, reason = "a count of events")]
fn maturity(user: &UserState, ruleset: &Ruleset) -> f64 {
    let learnt = user.learnt as f64;
    learnt / (learnt + f64::from(ruleset.mature_after))
}

fn events(count: Count) -> String {
    if count.exact { count.events.to_string() } else { format!("at least {}", count.events) }
}

/// How far the amount lies from what this user's amounts of this type are like.
pub(super) fn amount(observation: &Observation<'_>, user: &UserState, ruleset: &Ruleset, proposed: &mut Proposed) {
    let prior = ruleset.prior(observation.transaction_type);
    let deviation = user.amounts[observation.transaction_type.index()].deviation(observation.amount, prior);
    let excess = deviation.z - ruleset.amount_from;
    if excess > 0.0 {
        let trust = 0.4 + 0.6 * maturity(user, ruleset);
        proposed.add("amount_outlier", Dimension::Amount, (3.0 + 5.0 * excess) * trust, || {
            format!(
                "{} is {:.1} scales above this user's usual {:.2} for {} ({} learnt)",
                observation.amount.grouped(),
                deviation.z,
                deviation.usual,
                observation.transaction_type,
                deviation.count
            )
        });
    }
    let units = observation.amount.as_units();
    if let Some(limit) = ruleset.limits.iter().find(|limit| units < **limit && units >= **limit * (1.0 - ruleset.below_limit))
        && deviation.z > 1.0
    {
        proposed.add("below_limit", Dimension::Amount, 4.0, || {
            format!("{} is just below the limit of {limit:.2} and above this user's usual {:.2}", observation.amount.grouped(), deviation.usual)
        });
    }
}

/// How unlikely this hour of the week is for this user.
pub(super) fn time(user: &UserState, hour: u8, ruleset: &Ruleset, proposed: &mut Proposed) {
    let likelihood = user.hours.likelihood(hour);
    if likelihood < 0.25 {
        let points = 5.0 * libm::log2(0.25 / likelihood.max(0.01)) * maturity(user, ruleset);
        proposed.add("unusual_hour", Dimension::Time, points, || {
            const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
            let day = DAYS.get(usize::from(hour) / 24).copied().unwrap_or_default();
            format!("{day} {:02}:00 has {:.0} % of an average hour's events for this user ({} learnt)", hour % 24, likelihood * 100.0, user.hours.sum())
        });
    }
}

/// How many events lie in the last ten minutes, hour and day, against what this user does at such an hour.
pub(super) fn frequency(observation: &Observation<'_>, user: &UserState, hour: u8, ruleset: &Ruleset, proposed: &mut Proposed) {
    let per_day = user.events_per_active_day();
    let hourly = user.hours.expected_in_hour(hour, per_day * 6.0);
    let trust = maturity(user, ruleset);
    let windows = [
        ("rate_10_minutes", 600 * SECOND, (hourly / 6.0).max(0.35), "10 minutes"),
        ("rate_1_hour", HOUR, hourly.max(0.8), "1 hour"),
        ("rate_24_hours", DAY, (per_day * 1.1).max(4.0), "24 hours"),
    ];
    for (rule, length, expected, name) in windows {
        let before = user.window.count(observation.timestamp, length);
        let count = Count { events: before.events + 1, ..before };
        // Variance-stabilised Poisson excess (F. J. Anscombe, "The transformation of Poisson, binomial and negative-binomial data",
        // 1948), with clustering allowed for: people work in batches.
        let excess = 2.0 * (libm::sqrt(f64::from(count.events) + 0.375) - libm::sqrt(expected + 0.375)) / 1.8;
        if excess > 3.0 {
            proposed
                .add(rule, Dimension::Frequency, 4.0 * (excess - 3.0) * trust, || format!("{} events within {name}, where {expected:.1} are usual for this user", events(count)));
        }
    }
}

/// Whether type, department and accounts are those that this user deals with.
pub(super) fn behavior(observation: &Observation<'_>, user: &UserState, ruleset: &Ruleset, proposed: &mut Proposed) {
    let trust = maturity(user, ruleset);
    let seen = user.type_count(observation.transaction_type);
    #[expect(clippy::cast_precision_loss, reason = "a count of events")]
    let share = (f64::from(seen) + 0.5) / (user.learnt as f64 + 4.0);
    if share < 0.02 {
        proposed.add("unusual_type", Dimension::Behavior, 3.0 * libm::log2(0.04 / share) * trust, || {
            format!("{seen} of {} learnt events of this user are of type {}", user.learnt, observation.transaction_type)
        });
    }
    let department = ids::fingerprint(observation.department.as_bytes());
    let there = user.departments.count(department);
    let share = (f64::from(there) + 0.5) / (f64::from(user.departments.seen()) + 4.0);
    if share < 0.02 {
        proposed.add("unusual_department", Dimension::Behavior, 2.5 * libm::log2(0.04 / share) * trust, || {
            format!("{there} of {} learnt events of this user are of {}; most are of {}", user.departments.seen(), observation.department, user.home_department)
        });
    }
    if user.accounts.count(observation.account) == 0 {
        let rarity = -libm::log2(user.accounts.novelty_rate());
        proposed.add("new_account", Dimension::Behavior, 1.5 * (rarity - 1.0) * trust, || {
            format!("first event of this user on this account; {:.1} % of theirs are on a new one", user.accounts.novelty_rate() * 100.0)
        });
    }
    if let Some(counterparty) = observation.counterparty
        && user.counterparties.count(counterparty) == 0
    {
        let rarity = -libm::log2(user.counterparties.novelty_rate());
        proposed.add("new_counterparty", Dimension::Behavior, 1.5 * (rarity - 1.0) * trust, || {
            format!("first event of this user with this counterparty; {:.1} % of theirs are with a new one", user.counterparties.novelty_rate() * 100.0)
        });
    }
    let idle = observation.timestamp.0.saturating_sub(user.last) / DAY;
    if user.learnt >= 20 && idle >= 30 {
        #[expect(clippy::cast_precision_loss, reason = "days")]
        let points = 6.0 + 2.0 * libm::log2(idle as f64 / 30.0);
        proposed.add("dormant_user", Dimension::Behavior, points, || format!("first event of this user after {idle} days"));
    }
}

/// Whether the allow-listed metadata values are those that this user's events carry.
pub(super) fn metadata(observation: &Observation<'_>, user: &UserState, ruleset: &Ruleset, proposed: &mut Proposed) {
    let trust = maturity(user, ruleset);
    for ((known, value), key) in user.metadata.iter().zip(&observation.metadata).zip(&ruleset.metadata_keys) {
        // An absent key says nothing: producers differ in what they fill.
        let Some(value) = value else { continue };
        if known.seen() >= 20 && known.count(*value) == 0 {
            let rarity = -libm::log2(known.novelty_rate());
            proposed.add("new_metadata_value", Dimension::Metadata, 1.2 * (rarity - 1.0) * trust, || {
                format!("first event of this user with this {key}; {:.1} % of theirs have a new one", known.novelty_rate() * 100.0)
            });
        }
    }
}
