//! What is unusual about one event, measured against its user's baseline before it: numbers, no points yet.

use wh_schemas::TransactionType;
use wh_schemas::time::{DAY, HOUR, SECOND};

use super::Observation;
use super::amounts::{Deviation, log_amount};
use super::recent::Mark;
use super::repeats::Likeness;
use super::ruleset::Ruleset;
use super::user::{UserState, hours_of};
use super::window::Count;

/// Hours within which the same amount to the same parties counts as repeated.
pub const REPEAT_HORIZON: u32 = 24 * 12;

/// A party first seen within so many hours is young: what its rows of these days say, they say for each other.
pub const YOUNG: u32 = 24 * 7;

/// The measurements of one event.
#[derive(Clone, Debug, PartialEq)]
pub struct Signals {
    /// Local hour of the week.
    pub hour: u8,
    /// Local hours since 1970.
    pub local: u32,
    /// 0 for a user never seen, towards 1 as events are learnt.
    pub maturity: f64,
    /// ln(amount).
    pub log_amount: f64,
    /// Amount against the user's amounts of this type.
    pub deviation: Deviation,
    /// Amount against those with this counterparty, in scales.
    pub price_z: Option<f64>,
    /// The limit that it lies just below.
    pub below_limit: Option<f64>,
    /// Likelihood of the hour, in multiples of an even spread.
    pub likelihood: f64,
    /// Events in the last ten minutes, hour and day, this one included.
    pub ten_minutes: Count,
    /// In the last hour.
    pub one_hour: Count,
    /// In the last 24 hours.
    pub one_day: Count,
    /// Expected in ten minutes, an hour and a day.
    pub expected: [f64; 3],
    /// Share of the user's days, before today, on which they did this type.
    pub type_share: f64,
    /// … and on which they worked in this department.
    pub department_share: f64,
    /// Rows with this account before.
    pub account_rows: u16,
    /// Bits of surprise at the account, 0 for a known one.
    pub account_bits: f64,
    /// Rows with this counterparty before.
    pub counterparty_rows: u16,
    /// Days since the first of them.
    pub counterparty_days: f64,
    /// Bits of surprise at the counterparty, 0 for a known or an absent one.
    pub counterparty_bits: f64,
    /// Bits of surprise at each metadata value.
    pub metadata_bits: Vec<f64>,
    /// Hours since the user's last event.
    pub idle_hours: f64,
    /// Doublings of the idle time beyond what counts as dormant; 0 for a user who is awake.
    pub dormant: f64,
    /// What is like this row among the last ones.
    pub likeness: Likeness,
    /// Other days on which this amount was booked, as far as remembered.
    pub price_days: u16,
    /// Share of the last ten rows or so whose party, type or department was new.
    pub fresh: f64,
    /// Rows of this type within the last hour that went to other parties.
    pub batch: u32,
    /// Points above the usual that the user's rows of the last day had.
    pub heat: f64,
    /// Hours since the first row with the party (the counterparty, or the account where there is none), and rows with it.
    pub party: Option<(u32, u16)>,
    /// Mean deviation of the party's amounts, this one included, in scales.
    pub party_above: f64,
    /// Points of odd rows that the counterparty has (the account, where there is none), and how many gave them.
    pub party_heat: (f64, u8),
    /// What is notable about it, as bits of [`Mark`].
    pub marks: u16,
}

impl Signals {
    /// Measures an event.
    #[must_use]
    pub fn of(observation: &Observation<'_>, user: &UserState, ruleset: &Ruleset) -> Signals {
        let at = observation.timestamp;
        let now = hours_of(at.0);
        let hour = ruleset.hour_of_week(at);
        let local = ruleset.local_hours(at);
        let index = observation.transaction_type.index();
        #[expect(clippy::cast_precision_loss, reason = "a count of events")]
        let learnt = user.learnt as f64;
        let maturity = learnt / (learnt + f64::from(ruleset.behavior.mature_after));
        let prior = ruleset.prior(observation.department, observation.transaction_type);
        let deviation = user.amounts[index].deviation(observation.amount, prior);
        let x = log_amount(observation.amount);
        let (account, counterparty) = (observation.account_short(), observation.counterparty_short());
        let own = user.accounts.get(account);
        let other = if counterparty == 0 { None } else { user.counterparties.get(counterparty) };
        let likelihood = user.hours.likelihood(hour);
        let count = |length| {
            let before = user.window.count(at, length);
            Count { events: before.events + 1, ..before }
        };
        let per_day = user.events_per_active_day();
        let hourly = user.hours.expected_in_hour(hour, per_day * 6.0).max(per_day / 12.0);
        let active = user.active_days.max(1.0);
        let type_share = (f64::from(user.kinds.count_before(u32::try_from(index).unwrap_or(0), local)) + 0.3) / (active + 3.0);
        let department = observation.department_print;
        let department_share = (f64::from(user.departments.count_before(department, local)) + 0.3) / (active + 3.0);
        #[expect(clippy::cast_precision_loss, reason = "microseconds between two events")]
        let idle_hours = if user.learnt == 0 { 0.0 } else { (at.0.saturating_sub(user.last)).max(0) as f64 / HOUR as f64 };
        let usual_gap = (f64::from(user.longest_gap) * 2.5).max(24.0 * f64::from(ruleset.behavior.dormant_days));
        let dormant = if user.learnt >= 10 && idle_hours > usual_gap { 1.0 + libm::log2(idle_hours / usual_gap) } else { 0.0 };
        // An absent key says nothing: producers differ in what they fill.
        let surprise = |key: &str, value: u32| {
            let known = user.values_of(Ruleset::key_print(key))?;
            (known.seen() >= 15 && known.count(value) == 0).then(|| known.novelty_bits())
        };
        let metadata_bits = ruleset.metadata_keys.iter().zip(&observation.metadata).map(|(key, value)| value.and_then(|value| surprise(key, value)).unwrap_or(0.0)).collect();
        let kind = u8::try_from(index).unwrap_or(0);
        let likeness = user.repeats.likeness(account, counterparty, kind, observation.amount.0, now, REPEAT_HORIZON);
        let party = other.or(if counterparty == 0 { own } else { None });
        let mut signals = Signals {
            hour,
            local,
            maturity,
            log_amount: x,
            deviation,
            price_z: other.and_then(|p| p.price_z(x)),
            below_limit: ruleset.limit_above(observation.amount.as_units()),
            likelihood,
            ten_minutes: count(600 * SECOND),
            one_hour: count(HOUR),
            one_day: count(DAY),
            expected: [(hourly / 6.0).max(0.3), hourly.max(0.8), (per_day * 1.1).max(3.0)],
            type_share,
            department_share,
            account_rows: own.map_or(0, |p| p.count),
            account_bits: if own.is_some() { 0.0 } else { user.accounts.novelty_bits() },
            counterparty_rows: other.map_or(0, |p| p.count),
            counterparty_days: other.map_or(0.0, |p| f64::from(now.saturating_sub(p.first)) / 24.0),
            counterparty_bits: if other.is_some() || counterparty == 0 { 0.0 } else { user.counterparties.novelty_bits() },
            metadata_bits,
            idle_hours,
            dormant,
            likeness,
            price_days: user.prices.count_before(super::user::price(kind, observation.amount.0), local),
            fresh: f64::from(user.fresh),
            batch: u32::try_from(
                user.recent.within(at.0.div_euclid(SECOND), 3_600).filter(|row| row.kind == kind && (row.counterparty != counterparty || row.account != account)).count(),
            )
            .unwrap_or(0),
            heat: user.heat_at(at.0),
            party: party.map(|p| (now.saturating_sub(p.first), p.count)),
            party_above: party.map_or(deviation.z, |p| p.mean_above(deviation.z)),
            party_heat: party.map_or((0.0, 0), |p| (p.heat_at(now), p.odd)),
            marks: 0,
        };
        signals.marks = signals.notable(observation, counterparty != 0);
        signals
    }

    fn notable(&self, observation: &Observation<'_>, counterparty: bool) -> u16 {
        let mut marks = 0;
        let mut set = |on: bool, mark: Mark| {
            if on {
                marks |= mark as u16;
            }
        };
        set(self.deviation.z >= 2.5 && self.deviation.count >= 5, Mark::Spike);
        set(self.likelihood < 0.15, Mark::OddHour);
        set(self.below_limit.is_some() && self.price_days == 0, Mark::BelowLimit);
        set(matches!(observation.transaction_type, TransactionType::Refund | TransactionType::Adjustment), Mark::Reversal);
        set(self.likeness.same > 0, Mark::Repeat);
        set(counterparty && (self.counterparty_rows == 0 || (self.counterparty_days < 30.0 && self.counterparty_rows < 12)), Mark::NewParty);
        set(self.type_share < 0.03 || self.department_share < 0.03, Mark::Outside);
        set(self.party.is_some_and(|(age, _)| age <= YOUNG), Mark::Again);
        set(self.metadata_bits.iter().any(|bits| *bits >= 4.0), Mark::NewMetadata);
        set(self.ten_minutes.events >= 5 && f64::from(self.ten_minutes.events) > 3.0 * self.expected[0] + 2.0, Mark::Burst);
        marks
    }

    /// Whether a mark is set.
    #[must_use]
    pub fn is(&self, mark: Mark) -> bool {
        self.marks & mark as u16 != 0
    }

    /// Standard deviations by which a count lies above what is expected.
    ///
    /// Variance-stabilised Poisson excess (F. J. Anscombe, "The transformation of Poisson, binomial and negative-binomial data",
    /// 1948), with clustering allowed for: people work in batches.
    #[must_use]
    pub fn excess(count: Count, expected: f64) -> f64 {
        2.0 * (libm::sqrt(f64::from(count.events) + 0.375) - libm::sqrt(expected + 0.375)) / 1.8
    }
}
