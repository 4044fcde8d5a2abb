//! The five dimensions, each from one event's signals. A young baseline speaks softly: points are scaled by how mature it is.

use wh_schemas::scored::Dimension;

use super::recent::Mark;
use super::ruleset::Ruleset;
use super::signals::{Signals, YOUNG};
use super::user::UserState;
use super::window::Count;
use super::{Observation, Proposed};

/// How a count is told.
fn told(count: Count) -> String {
    if count.exact { count.events.to_string() } else { format!("{} (counted by the minute)", count.events) }
}

/// How far the amount lies from what this user's amounts are like, of this type and with this counterparty.
pub(super) fn amount(observation: &Observation<'_>, signals: &Signals, ruleset: &Ruleset, proposed: &mut Proposed) {
    let (deviation, rules) = (signals.deviation, &ruleset.amount);
    let trust = 0.3 + 0.7 * signals.maturity;
    let z = deviation.z.min(6.0);
    if z > rules.from {
        let points = rules.points_a_scale * (z - rules.from) + rules.points_beyond_three * (z - 3.0).max(0.0);
        proposed.add("amount_outlier", Dimension::Amount, points * trust, || {
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
    if deviation.above_largest > 0.0 {
        proposed.add("amount_above_largest", Dimension::Amount, (rules.points_above_largest * deviation.above_largest).min(12.0) * trust, || {
            format!("{} is {:.1} times the largest {} of this user before", observation.amount.grouped(), libm::exp2(deviation.above_largest), observation.transaction_type)
        });
    }
    if let Some(z) = signals.price_z
        && z > 2.0
    {
        proposed.add("other_price", Dimension::Amount, (rules.points_other_price * (z - 2.0)).min(10.0) * trust, || {
            format!("{} is {z:.1} scales above what this user has with this counterparty ({} rows)", observation.amount.grouped(), signals.counterparty_rows)
        });
    }
    if let Some(limit) = signals.below_limit
        && signals.likeness.elsewhere == 0
        && signals.price_days == 0
    {
        proposed.add("below_limit", Dimension::Amount, rules.points_below_limit * trust, || {
            format!("{} is just below the limit of {limit:.2}; this user's usual is {:.2}", observation.amount.grouped(), deviation.usual)
        });
    }
    if let Some((_, rows)) = signals.party
        && signals.party_above > 0.5
    {
        proposed.add("dear_party", Dimension::Amount, rules.points_dear_party * (signals.party_above - 0.5).min(3.0) * trust, || {
            format!("the amounts of {} rows with this party lie {:.1} scales above this user's usual on average", rows + 1, signals.party_above)
        });
    }
}

/// How unlikely this hour of the week is for this user.
pub(super) fn time(signals: &Signals, user: &UserState, ruleset: &Ruleset, proposed: &mut Proposed) {
    if signals.likelihood < ruleset.time.below {
        let points = ruleset.time.points_a_halving * libm::log2(ruleset.time.below / signals.likelihood.max(0.005)) * signals.maturity;
        proposed.add("unusual_hour", Dimension::Time, points, || {
            const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
            let day = DAYS.get(usize::from(signals.hour) / 24).copied().unwrap_or_default();
            format!("{day} {:02}:00 has {:.0} % of an average hour's events for this user ({} learnt)", signals.hour % 24, signals.likelihood * 100.0, user.hours.sum())
        });
    }
}

/// How many events lie in the last ten minutes, hour and day, against what this user does at such an hour.
pub(super) fn frequency(signals: &Signals, ruleset: &Ruleset, proposed: &mut Proposed) {
    let rules = &ruleset.frequency;
    let windows = [("rate_10_minutes", signals.ten_minutes, "10 minutes"), ("rate_1_hour", signals.one_hour, "1 hour"), ("rate_24_hours", signals.one_day, "24 hours")];
    for ((rule, count, name), expected) in windows.into_iter().zip(signals.expected) {
        let excess = Signals::excess(count, expected);
        if excess > rules.from {
            proposed.add(rule, Dimension::Frequency, (rules.points_a_deviation * (excess - rules.from)).min(12.0) * signals.maturity, || {
                format!("{} events within {name}, where {expected:.1} are usual for this user", told(count))
            });
        }
    }
    if let Some((age, rows)) = signals.party
        && age <= YOUNG
    {
        proposed.add("again_new_party", Dimension::Frequency, rules.points_again * libm::log2(1.0 + f64::from(rows)).min(4.0) * signals.maturity, || {
            format!("{rows} rows with this party before, the first {:.1} days ago", f64::from(age) / 24.0)
        });
    }
    if signals.heat >= 5.0 {
        proposed.add("unusual_day", Dimension::Frequency, (rules.points_of_heat * signals.heat / 10.0).min(10.0) * signals.maturity, || {
            format!("this user's rows of the last day have {:.0} points more than theirs usually have", signals.heat * 2.0)
        });
    }
}

/// Whether type, department and accounts are those that this user deals with.
pub(super) fn behavior(observation: &Observation<'_>, signals: &Signals, user: &UserState, ruleset: &Ruleset, proposed: &mut Proposed) {
    let (rules, trust) = (&ruleset.behavior, signals.maturity);
    let halvings = |share: f64, from: f64| (-libm::log2(share.max(0.004)) - from).clamp(0.0, 5.0);
    let rare = halvings(signals.type_share, 3.0);
    proposed.add("unusual_type", Dimension::Behavior, rules.points_unusual_type * rare * trust, || {
        format!("this user did type {} on {:.0} % of their days before today", observation.transaction_type, signals.type_share * 100.0)
    });
    let rare = halvings(signals.department_share, 3.0);
    proposed.add("unusual_department", Dimension::Behavior, rules.points_unusual_department * rare * trust, || {
        format!("this user worked in {} on {:.0} % of their days before today; mostly in {}", observation.department, signals.department_share * 100.0, user.home_department)
    });
    if signals.is(Mark::Reversal) {
        let rare = halvings(signals.type_share, 2.0);
        proposed.add("rare_reversal", Dimension::Behavior, rules.points_rare_reversal * rare * trust, || {
            format!("a reversal, of a type that this user did on {:.0} % of their days before today", signals.type_share * 100.0)
        });
    }
    if signals.party.is_some_and(|(age, _)| age <= YOUNG) {
        proposed.add("young_party", Dimension::Behavior, rules.points_young_party * trust, || "the party is known to this user for less than a week".to_owned());
    }
    if signals.account_bits > 1.0 {
        proposed.add("new_account", Dimension::Behavior, rules.points_new_account * (signals.account_bits - 1.0) * trust, || {
            format!("first event of this user on this account; {:.1} % of theirs are on a new one", user.accounts.novelty_rate() * 100.0)
        });
    }
    if signals.counterparty_bits > 1.0 {
        proposed.add("new_counterparty", Dimension::Behavior, rules.points_new_counterparty * (signals.counterparty_bits - 1.0) * trust, || {
            format!("first event of this user with this counterparty; {:.1} % of theirs are with a new one", user.counterparties.novelty_rate() * 100.0)
        });
    }
    if signals.dormant > 0.0 {
        proposed
            .add("dormant_user", Dimension::Behavior, rules.points_dormant * signals.dormant, || format!("first event of this user after {:.0} days", signals.idle_hours / 24.0));
    }
    if signals.likeness.same > 0 && signals.likeness.elsewhere == 0 {
        let points = rules.points_repeated * libm::log2(1.0 + f64::from(signals.likeness.same.min(7)));
        proposed.add("repeated_payment", Dimension::Behavior, points * trust, || {
            format!("the same amount, {}, to the same parties, {} hours before", observation.amount.grouped(), signals.likeness.hours_ago)
        });
    }
    let (heat, rows) = signals.party_heat;
    if signals.party.is_some_and(|(age, _)| age <= YOUNG) {
        proposed.add("odd_party", Dimension::Behavior, (rules.points_odd_party * heat / 10.0).min(10.0) * trust, || {
            format!("{rows} unusual rows of this user went to the same new party before")
        });
    }
}

/// Whether the allow-listed metadata values are those that this user's events carry.
pub(super) fn metadata(signals: &Signals, ruleset: &Ruleset, proposed: &mut Proposed) {
    for (bits, key) in signals.metadata_bits.iter().zip(&ruleset.metadata_keys) {
        if *bits > 1.0 {
            proposed.add("new_metadata_value", Dimension::Metadata, ruleset.metadata.points_new_value * (bits - 1.0) * signals.maturity, || {
                format!("first event of this user with this {key}; {:.1} % of theirs have a new one", 100.0 * libm::exp2(-bits))
            });
        }
    }
}
