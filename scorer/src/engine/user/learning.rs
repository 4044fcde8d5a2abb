//! What a user's baseline takes of a row: windows and memories of every row whose time is plausible, the baseline of those that raise no alert.
//!
//! What must stay true: days are the hospital's; a row in quarantine teaches nothing until it is released; a time that turned out wrong is
//! taken back.

use wh_schemas::Micros;
use wh_schemas::time::{DAY, SECOND};

use super::waiting::Waiting;
use super::{Keyed, UserState, hours_of, price};
use crate::engine::Observation;
use crate::engine::amounts::{log_amount, stored};
use crate::engine::known::Known;
use crate::engine::recent::{Id, Mark, Row};
use crate::engine::ruleset::Ruleset;
use crate::engine::signals::Signals;
use crate::engine::stream_time::{CERTAIN, Timeliness};

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
/// Rows in quarantine that can still be released.
const QUARANTINED: usize = 64;
/// Bytes of the home department's name that are kept: a valid one has no more.
const DEPARTMENT_BYTES: usize = wh_schemas::validate::MAX_DEPARTMENT_BYTES;
/// Further than this a user's time was not led astray by one row: clocks were wrong, and gaps with them.
const ASTRAY: i64 = 36 * DAY;
/// What is left of the longest gap after each row: half of it is forgotten over some 2,800 rows.
const GAP_KEPT: f64 = 1.0 - 1.0 / 4_000.0;

/// Where the stream stands when a row comes.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine) struct Moment {
    /// How the row stands to the stream.
    pub(in crate::engine) timeliness: Timeliness,
    /// The stream's time, the row included.
    pub(in crate::engine) newest: Micros,
}

/// What came of a row.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine) struct Outcome {
    /// Its score.
    pub(in crate::engine) points: u8,
    /// Points of the dimensions' own rules.
    pub(in crate::engine) patternless: f64,
    /// Whether it raised an alert, and teaches nothing.
    pub(in crate::engine) quarantined: bool,
}

/// The beginning of a text, of at most so many bytes.
pub(super) fn beginning(text: &str, bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes)).unwrap_or(text)
}

impl UserState {
    /// Takes a scored row in. One far from the stream's time moves nothing; one further ahead than it can be sure of waits.
    pub(in crate::engine) fn take(&mut self, observation: &Observation<'_>, signals: &Signals, moment: Moment, outcome: Outcome, ruleset: &Ruleset) {
        self.events += 1;
        if moment.timeliness != Timeliness::Implausible {
            if self.is_ahead(observation.timestamp.0, moment.newest.0) {
                self.waiting = Some(Box::new(Waiting::of(observation, outcome, ruleset)));
            } else {
                self.observe(observation, signals, moment.newest, outcome, ruleset);
            }
            if outcome.quarantined {
                self.quarantine(observation.print());
            }
        }
        self.fit();
    }

    /// Whether a time is more than a day ahead both of the stream and of this user's own.
    fn is_ahead(&self, at: i64, newest: i64) -> bool {
        self.learnt + self.alerts > 0 && at > self.last.max(newest).saturating_add(CERTAIN)
    }

    fn quarantine(&mut self, print: u32) {
        self.alerts += 1;
        if self.quarantined.len() >= QUARANTINED {
            self.quarantined.remove(0);
        }
        self.quarantined.push(print.to_le_bytes());
    }

    /// Whether a row is in quarantine.
    #[must_use]
    pub(in crate::engine) fn is_quarantined(&self, print: u32) -> bool {
        self.quarantined.contains(&print.to_le_bytes())
    }

    /// Lets a row out of quarantine and learns from it as if it had been learnt when it came; windows and memories have it already. One that
    /// still waits is learnt once its time is certain.
    pub(in crate::engine) fn release(&mut self, observation: &Observation<'_>, signals: &Signals, patternless: f64, ruleset: &Ruleset) {
        let print = observation.print();
        self.quarantined.retain(|one| *one != print.to_le_bytes());
        self.alerts = self.alerts.saturating_sub(1);
        match self.waiting.as_mut() {
            Some(waiting) if waiting.print(ruleset) == print => waiting.release(),
            _ => self.learn(observation, signals, patternless, ruleset),
        }
        self.fit();
    }

    /// Takes in a row whose time counts. `newest` is the stream's time.
    pub(super) fn observe(&mut self, observation: &Observation<'_>, signals: &Signals, newest: Micros, outcome: Outcome, ruleset: &Ruleset) {
        let at = observation.timestamp.0;
        if self.learnt == 0 && self.alerts == 0 {
            // What came before was of another century.
            (self.first, self.last) = (at, at);
        } else if self.last > at.max(newest.0).saturating_add(CERTAIN) {
            self.take_back(observation.timestamp, ruleset);
        }
        // What the window forgets goes by the user's own time, as far as the stream confirms it.
        self.window.insert(observation.timestamp, Micros(self.last.max(at).min(newest.0)));
        let odd = self.odd(outcome);
        self.heat = stored((self.heat_at(at) + odd).min(200.0));
        self.remember(observation, signals, outcome, odd);
        let novel = signals.marks & (Mark::NewParty as u16 | Mark::Outside as u16) != 0;
        self.fresh = stored(0.9 * f64::from(self.fresh) + if novel { 0.1 } else { 0.0 });
        if self.learnt == 0 || signals.local / 24 > ruleset.local_hours(Micros(self.last)) / 24 {
            for (most, today) in self.bursts.iter_mut().zip(&mut self.bursts_today) {
                *most = (*most).max(std::mem::take(today));
            }
            self.active_days = self.active_days * 0.97 + 1.0;
            self.active_events *= 0.97;
        }
        if signals.idle_hours > 0.0 {
            let gap = stored(signals.idle_hours.min(1e6));
            if gap > self.longest_gap {
                if signals.dormant > 0.0 {
                    self.woke = at;
                }
                self.longest_gap = gap;
            } else {
                self.longest_gap = stored(f64::from(self.longest_gap) * GAP_KEPT);
            }
        }
        self.last = self.last.max(at);
        if !outcome.quarantined {
            self.learn(observation, signals, outcome.patternless, ruleset);
        }
    }

    /// Takes in a row whose time turned out not to be its own, at the time at which that turned out: memories know of it, for what it is part
    /// of; windows and the baseline do not.
    pub(super) fn remember_misdated(&mut self, observation: &Observation<'_>, signals: &Signals, outcome: Outcome) {
        let outcome = Outcome { quarantined: true, ..outcome };
        self.remember(observation, signals, outcome, self.odd(outcome));
    }

    /// Points by which a row is odd for this user.
    fn odd(&self, outcome: Outcome) -> f64 {
        (outcome.patternless - f64::from(self.points.0) - 4.0).clamp(0.0, 40.0) / 2.0
    }

    /// What the memories take of a row: the last rows, its parties, where amounts went.
    fn remember(&mut self, observation: &Observation<'_>, signals: &Signals, outcome: Outcome, odd: f64) {
        let hour = hours_of(observation.timestamp.0);
        let kind = u8::try_from(observation.transaction_type.index()).unwrap_or(0);
        let (account, counterparty) = (observation.account_short(), observation.counterparty_short());
        let (x, z) = (log_amount(observation.amount), signals.deviation.z);
        #[expect(clippy::cast_possible_truncation, reason = "clamped to the range of i8")]
        let tenths = (z * 10.0).clamp(-100.0, 100.0) as i8;
        self.recent.remember(Row {
            tenths,
            at: observation.timestamp.0.div_euclid(SECOND),
            cents: observation.amount.0,
            account,
            counterparty,
            kind,
            marks: signals.marks,
            score: outcome.points,
            id: Id::new(observation.transaction_id),
        });
        self.accounts.learn(account, hour, x, z, odd, outcome.quarantined, ACCOUNTS);
        if counterparty != 0 {
            self.counterparties.learn(counterparty, hour, x, z, odd, outcome.quarantined, COUNTERPARTIES);
        }
        self.repeats.learn(account, counterparty, kind, observation.amount.0, hour);
    }

    /// What a row teaches that is not in quarantine, or is released from it.
    fn learn(&mut self, observation: &Observation<'_>, signals: &Signals, points: f64, ruleset: &Ruleset) {
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
        self.prices.learn_daily(price(kind, observation.amount.0), signals.local, PRICES);
        for (bit, rate) in self.rates.iter_mut().enumerate() {
            rate.learn(signals.marks & (1 << bit) != 0);
        }
        let (mean, deviation) = (f64::from(self.points.0), f64::from(self.points.1));
        let rate = (1.0 / f64::from(u32::try_from(self.learnt.min(200)).unwrap_or(200))).max(0.01);
        self.points = (stored(mean + rate * (points - mean)), stored(deviation + rate * (libm::fabs(points - mean) - deviation)));
        self.hours.learn(signals.hour, signals.local);
        let department = observation.department_print;
        self.departments.learn_daily(department, signals.local, DEPARTMENTS);
        self.kinds.learn_daily(u32::try_from(index).unwrap_or(0), signals.local, 8);
        if self.departments.most_frequent() == Some(department) {
            let name = beginning(observation.department, DEPARTMENT_BYTES);
            if self.home_department != name {
                self.home_department = name.to_owned();
            }
        }
        self.learn_metadata(observation, ruleset);
    }

    /// Each key's values are its own, wherever it stands in the ruleset; of a key that the ruleset no longer names nothing is kept.
    fn learn_metadata(&mut self, observation: &Observation<'_>, ruleset: &Ruleset) {
        if !self.metadata.is_empty() {
            let keys: Vec<u32> = ruleset.metadata_keys.iter().map(|key| Ruleset::key_print(key)).collect();
            self.metadata.retain(|keyed| keys.contains(&keyed.key));
        }
        let hour = hours_of(observation.timestamp.0);
        for (key, value) in ruleset.metadata_keys.iter().zip(&observation.metadata) {
            let Some(value) = value else { continue };
            let key = Ruleset::key_print(key);
            match self.metadata.iter_mut().find(|keyed| keyed.key == key) {
                Some(keyed) => keyed.values.learn(*value, hour, METADATA_VALUES),
                None => {
                    let mut values = Known::default();
                    values.learn(*value, hour, METADATA_VALUES);
                    self.metadata.push(Keyed { key, values });
                }
            }
        }
    }

    /// The clocks that led this user's time ahead were wrong: what was seen after a row was seen by then.
    fn take_back(&mut self, at: Micros, ruleset: &Ruleset) {
        if self.last > at.0.saturating_add(ASTRAY) {
            self.longest_gap = 0.0;
        }
        (self.first, self.last) = (self.first.min(at.0), at.0);
        self.window.take_back(at.0);
        let hour = hours_of(at.0);
        self.accounts.take_back(hour);
        self.counterparties.take_back(hour);
        for keyed in &mut self.metadata {
            keyed.values.take_back(hour);
        }
        let local = ruleset.local_hours(at);
        for known in [&mut self.kinds, &mut self.departments, &mut self.prices] {
            // Before today: what was learnt of today is not known any more.
            known.take_back(local.saturating_sub(24));
        }
    }
}
