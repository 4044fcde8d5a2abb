//! One user's baseline: bounded, versioned, compact. At most 4 KiB when serialised.

use serde::{Deserialize, Serialize};
use wh_schemas::time::{DAY, HOUR, SECOND};
use wh_schemas::{Micros, TransactionType};

use super::Observation;
use super::amounts::{Amounts, log_amount, stored};
use super::hours::Hours;
use super::known::Known;
use super::parties::Parties;
use super::recent::{Id, Mark, Recent, Row};
use super::repeats::Repeats;
use super::ruleset::Ruleset;
use super::signals::Signals;
use super::stream_time::Timeliness;
use super::window::Window;

/// Version of the serialised form, its first byte.
pub const STATE_VERSION: u8 = 2;
/// Counterparties that are remembered.
const COUNTERPARTIES: usize = 32;
/// Accounts that are remembered.
const ACCOUNTS: usize = 12;
/// Departments that are remembered.
const DEPARTMENTS: usize = 8;
/// Values that are remembered of each metadata key.
const METADATA_VALUES: usize = 4;
/// Prices that are remembered.
const PRICES: usize = 24;
/// Further than this a user's time is not ahead of a plausible row: 35 days, as the stream's.
const AHEAD_OF_STREAM: i64 = 36 * DAY;
/// How many kinds of marks have a rate of their own.
pub const MARKS: usize = 11;

/// How often something happens to a user's rows: a share that forgets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Rate {
    hits: f32,
    trials: f32,
}

impl Rate {
    /// The share, with a prior that weighs as much as `weight` rows.
    #[must_use]
    pub fn share(&self, prior: f64, weight: f64) -> f64 {
        (f64::from(self.hits) + prior * weight) / (f64::from(self.trials) + weight)
    }

    fn learn(&mut self, hit: bool) {
        // The last few hundred rows count.
        const KEPT: f32 = 0.997;
        self.hits = self.hits * KEPT + if hit { 1.0 } else { 0.0 };
        self.trials = self.trials * KEPT + 1.0;
    }
}

/// What is usual for a user.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UserState {
    /// Events scored.
    pub events: u64,
    /// Events that scored as an alert, and were not learnt.
    pub alerts: u64,
    /// First event.
    pub first: i64,
    /// Newest event that was plausible.
    pub last: i64,
    /// How many events the partition had scored when this user's last one came: who was not seen for longest goes first.
    pub touched: u64,
    /// Amounts by type.
    pub amounts: [Amounts; 8],
    /// Hours of the week.
    pub hours: Hours,
    /// Times of the last events.
    pub window: Window,
    /// Own accounts.
    pub accounts: Parties,
    /// The other sides.
    pub counterparties: Parties,
    /// Types, by their index.
    pub types: [u32; 8],
    /// Most events of a type within ten minutes, before today.
    pub bursts: [u8; 8],
    /// … and today: what a run does it does not excuse.
    pub bursts_today: [u8; 8],
    /// Types, by the days on which they were done.
    pub kinds: Known,
    /// Departments, by fingerprint and by day.
    pub departments: Known,
    /// The department seen most often.
    pub home_department: String,
    /// Values of the allow-listed metadata keys.
    pub metadata: Vec<Known>,
    /// Sum of ln(amount), for the mean that people are shown.
    pub log_amount_sum: f64,
    /// Events learnt.
    pub learnt: u64,
    /// Days with events, faded: 1 for the present day and 0.97 of what was before.
    pub active_days: f64,
    /// Events of those days, faded alike.
    pub active_events: f64,
    /// Longest time without an event, in hours, fading.
    pub longest_gap: u32,
    /// When the last gap of dormancy ended.
    pub woke: i64,
    /// How often each mark is on a row.
    pub rates: [Rate; MARKS],
    /// What a row's points are like: mean and mean absolute deviation.
    pub points: (f32, f32),
    /// Points of the last day above what is usual, halved every twelve hours.
    pub heat: f32,
    /// Amounts, with their type, that come back on other days: list prices and standing sums.
    pub prices: Known,
    /// Share of the last ten rows or so whose party, type or department was new.
    pub fresh: f32,
    /// Where amounts went lately.
    pub repeats: Repeats,
    /// The last notable rows.
    pub recent: Recent,
}

/// Why a serialised state cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// Written by another version.
    #[error("state of version {found}, this build reads version {STATE_VERSION}")]
    Version {
        /// The version found.
        found: u8,
    },
    /// Cut short or altered.
    #[error("damaged state: {0}")]
    Damaged(String),
}

/// What a price is remembered by.
#[must_use]
pub fn price(kind: u8, cents: i64) -> u32 {
    let (_, amount) = super::repeats::fingerprints(0, 0, kind, cents);
    u32::from(amount) | u32::from(kind) << 16
}

/// Hours since 1970, as the state keeps them.
#[must_use]
pub fn hours_of(at: i64) -> u32 {
    u32::try_from(at.div_euclid(HOUR).max(0)).unwrap_or(u32::MAX)
}

impl UserState {
    /// A user who was first seen at `first`.
    #[must_use]
    pub fn new(first: Micros) -> UserState {
        UserState {
            events: 0,
            alerts: 0,
            first: first.0,
            last: first.0,
            touched: 0,
            amounts: [Amounts::default(); 8],
            hours: Hours::default(),
            window: Window::default(),
            accounts: Parties::default(),
            counterparties: Parties::default(),
            types: [0; 8],
            bursts: [0; 8],
            bursts_today: [0; 8],
            kinds: Known::default(),
            departments: Known::default(),
            home_department: String::new(),
            metadata: Vec::new(),
            log_amount_sum: 0.0,
            learnt: 0,
            active_days: 0.0,
            active_events: 0.0,
            longest_gap: 0,
            woke: i64::MIN,
            rates: [Rate::default(); MARKS],
            points: (0.0, 0.0),
            heat: 0.0,
            prices: Known::default(),
            fresh: 0.0,
            repeats: Repeats::default(),
            recent: Recent::default(),
        }
    }

    /// The versioned bytes of the checkpoint.
    ///
    /// # Errors
    /// Never for a state that the engine made.
    pub fn to_bytes(&self) -> Result<Vec<u8>, StateError> {
        let bytes = vec![STATE_VERSION];
        postcard::to_extend(self, bytes).map_err(|e| StateError::Damaged(e.to_string()))
    }

    /// Reads what [`UserState::to_bytes`] wrote.
    ///
    /// # Errors
    /// Another version, or damage.
    pub fn from_bytes(bytes: &[u8]) -> Result<UserState, StateError> {
        match bytes.split_first() {
            Some((&STATE_VERSION, rest)) => postcard::from_bytes(rest).map_err(|e| StateError::Damaged(e.to_string())),
            Some((found, _)) => Err(StateError::Version { found: *found }),
            None => Err(StateError::Damaged("empty".to_owned())),
        }
    }

    /// Events a day on days with events.
    #[must_use]
    pub fn events_per_active_day(&self) -> f64 {
        if self.active_days > 0.0 { self.active_events / self.active_days } else { 0.0 }
    }

    /// Events to be expected within so many days, by the rate since the first event.
    #[must_use]
    pub fn expected_events(&self, days: f64) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "days and counts")]
        let known = (self.last.saturating_sub(self.first)) as f64 / DAY as f64;
        #[expect(clippy::cast_precision_loss, reason = "a count of events")]
        let learnt = self.learnt as f64;
        let lifetime = if known >= 1.0 { learnt / known } else { learnt };
        days * lifetime.max(0.6 * self.events_per_active_day())
    }

    /// Geometric mean of the amounts learnt, in currency units.
    #[expect(clippy::cast_precision_loss, reason = "a count of events")]
    #[must_use]
    pub fn mean_amount(&self) -> f64 {
        if self.learnt == 0 { 0.0 } else { libm::exp(self.log_amount_sum / self.learnt as f64) }
    }

    /// How many events of a type were learnt.
    #[must_use]
    pub fn type_count(&self, transaction_type: TransactionType) -> u32 {
        self.types.get(transaction_type.index()).copied().unwrap_or(0)
    }

    /// Points above the usual that are left of the last day's at a time.
    #[must_use]
    pub fn heat_at(&self, at: i64) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "hours")]
        let hours = at.saturating_sub(self.last).max(0) as f64 / HOUR as f64;
        f64::from(self.heat) * libm::exp2(-hours / 12.0)
    }

    /// Takes a scored event in. One far from the stream's time moves nothing; one in quarantine moves windows and memories only.
    #[expect(clippy::too_many_arguments, reason = "called once, by the engine that has them all")]
    pub(super) fn observe(&mut self, observation: &Observation<'_>, signals: &Signals, timeliness: Timeliness, points: u8, patternless: f64, quarantined: bool, ruleset: &Ruleset) {
        self.events += 1;
        if timeliness == Timeliness::Implausible {
            return;
        }
        let at = observation.timestamp.0;
        let hour = hours_of(at);
        if self.learnt == 0 && self.alerts == 0 {
            // What came before was of another century.
            (self.first, self.last) = (at, at);
        } else if self.last > at.saturating_add(AHEAD_OF_STREAM) {
            // Clocks that were wrong together led this user's time astray, and the stream has come back from it.
            (self.last, self.window, self.longest_gap) = (at, Window::default(), 0);
        }
        if timeliness == Timeliness::Current || at + 24 * HOUR > self.last {
            self.window.insert(observation.timestamp);
        }
        let kind = u8::try_from(observation.transaction_type.index()).unwrap_or(0);
        let (account, counterparty) = (observation.account_short(), observation.counterparty_short());
        let x = log_amount(observation.amount);
        let odd = (patternless - f64::from(self.points.0) - 4.0).clamp(0.0, 40.0) / 2.0;
        self.heat = stored((self.heat_at(at) + odd).min(200.0));
        #[expect(clippy::cast_possible_truncation, reason = "clamped to the range of i8")]
        let tenths = (signals.deviation.z * 10.0).clamp(-100.0, 100.0) as i8;
        self.recent.remember(Row {
            tenths,
            at: at.div_euclid(SECOND),
            cents: observation.amount.0,
            account,
            counterparty,
            kind,
            marks: signals.marks,
            score: points,
            id: Id::new(observation.transaction_id),
        });
        self.accounts.learn(account, hour, x, signals.deviation.z, odd, quarantined, ACCOUNTS);
        if counterparty != 0 {
            self.counterparties.learn(counterparty, hour, x, signals.deviation.z, odd, quarantined, COUNTERPARTIES);
        }
        let novel = signals.marks & (Mark::NewParty as u16 | Mark::Outside as u16) != 0;
        self.fresh = stored(0.9 * f64::from(self.fresh) + if novel { 0.1 } else { 0.0 });
        self.repeats.learn(account, counterparty, kind, observation.amount.0, hour);
        if self.learnt == 0 || at.div_euclid(DAY) > self.last.div_euclid(DAY) {
            for (most, today) in self.bursts.iter_mut().zip(&mut self.bursts_today) {
                *most = (*most).max(std::mem::take(today));
            }
            self.active_days = self.active_days * 0.97 + 1.0;
            self.active_events *= 0.97;
        }
        if signals.idle_hours > 0.0 {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "hours between two plausible times")]
            let gap = signals.idle_hours.min(1e6) as u32;
            if gap > self.longest_gap {
                if signals.dormant > 0.0 {
                    self.woke = at;
                }
                self.longest_gap = gap;
            } else {
                self.longest_gap -= self.longest_gap / 4_000;
            }
        }
        self.last = self.last.max(at);
        if quarantined {
            self.alerts += 1;
            return;
        }
        self.learn(observation, signals, patternless, ruleset);
    }

    /// What a row teaches that is not in quarantine, or is released from it.
    pub(super) fn learn(&mut self, observation: &Observation<'_>, signals: &Signals, points: f64, ruleset: &Ruleset) {
        let hour = hours_of(observation.timestamp.0);
        self.learnt += 1;
        self.active_events += 1.0;
        self.log_amount_sum += log_amount(observation.amount);
        let index = observation.transaction_type.index();
        if let (Some(amounts), Some(count), Some(burst)) = (self.amounts.get_mut(index), self.types.get_mut(index), self.bursts_today.get_mut(index)) {
            amounts.learn(observation.amount, ruleset.prior(observation.department, observation.transaction_type));
            *count = count.saturating_add(1);
            *burst = (*burst).max(u8::try_from(signals.ten_minutes.events.min(255)).unwrap_or(u8::MAX));
        }
        let kind = u8::try_from(index).unwrap_or(0);
        self.prices.learn_daily(price(kind, observation.amount.0), hour, PRICES);
        for (bit, rate) in self.rates.iter_mut().enumerate() {
            rate.learn(signals.marks & (1 << bit) != 0);
        }
        let (mean, deviation) = (f64::from(self.points.0), f64::from(self.points.1));
        let rate = (1.0 / f64::from(u32::try_from(self.learnt.min(200)).unwrap_or(200))).max(0.01);
        self.points = (stored(mean + rate * (points - mean)), stored(deviation + rate * (libm::fabs(points - mean) - deviation)));
        self.hours.learn(signals.hour, hour);
        let department = observation.department_print;
        self.departments.learn_daily(department, hour, DEPARTMENTS);
        self.kinds.learn_daily(u32::try_from(index).unwrap_or(0), hour, 8);
        if self.departments.most_frequent() == Some(department) && self.home_department != observation.department {
            self.home_department = observation.department.to_owned();
        }
        self.metadata.resize_with(observation.metadata.len(), Known::default);
        for (known, value) in self.metadata.iter_mut().zip(&observation.metadata) {
            if let Some(value) = value {
                known.learn(*value, hour, METADATA_VALUES);
            }
        }
    }
}
