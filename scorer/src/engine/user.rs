//! One user's baseline: bounded, versioned, compact.
//!
//! What must stay true: at most [`MOST_BYTES`] when serialised, after every row; what is written and read back is the same state, to the bit, so
//! that whoever goes on from a checkpoint goes on as if nothing had happened.

mod fitting;
mod learning;
pub(super) mod sound;
mod waiting;

use serde::{Deserialize, Serialize};
use wh_schemas::time::{DAY, HOUR};
use wh_schemas::{Micros, TransactionType};

use super::amounts::Amounts;
use super::hours::Hours;
use super::known::Known;
use super::parties::Parties;
use super::recent::Recent;
use super::repeats::Repeats;
use super::window::Window;

pub use fitting::MOST_BYTES;
pub(super) use learning::{Moment, Outcome};
use waiting::Waiting;

/// Version of the serialised form, its first byte.
pub const STATE_VERSION: u8 = 3;
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

/// What is known of the values under one metadata key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Keyed {
    /// What the key is known by: its place in the ruleset says nothing.
    #[serde(with = "postcard::fixint::le")]
    key: u32,
    values: Known,
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
    /// Values of the allow-listed metadata keys that the user's rows had.
    metadata: Vec<Keyed>,
    /// Sum of ln(amount), for the mean that people are shown.
    pub log_amount_sum: f64,
    /// Events learnt.
    pub learnt: u64,
    /// Days with events, faded: 1 for the present day and 0.97 of what was before.
    pub active_days: f64,
    /// Events of those days, faded alike.
    pub active_events: f64,
    /// Longest time without an event, in hours, fading.
    pub longest_gap: f32,
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
    /// What the last rows in quarantine are known by, oldest first.
    quarantined: Vec<[u8; 4]>,
    /// A row whose time is not certain yet.
    waiting: Option<Box<Waiting>>,
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
    /// Cut short or altered: it cannot be decoded, or is none that the engine makes.
    #[error("damaged state: {0}")]
    Damaged(String),
}

/// A state that was decoded, if the engine can go on with it.
fn checked(state: UserState) -> Result<UserState, StateError> {
    match state.fault() {
        None => Ok(state),
        Some(what) => Err(StateError::Damaged(format!("{what} that cannot be"))),
    }
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
            longest_gap: 0.0,
            woke: i64::MIN,
            rates: [Rate::default(); MARKS],
            points: (0.0, 0.0),
            heat: 0.0,
            prices: Known::default(),
            fresh: 0.0,
            repeats: Repeats::default(),
            recent: Recent::default(),
            quarantined: Vec::new(),
            waiting: None,
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
    /// Another version, or damage: also what can be decoded and is no state that the engine makes.
    pub fn from_bytes(bytes: &[u8]) -> Result<UserState, StateError> {
        match bytes.split_first() {
            Some((&STATE_VERSION, rest)) => match postcard::take_from_bytes(rest).map_err(|e| StateError::Damaged(e.to_string()))? {
                (state, []) => checked(state),
                (_, behind) => Err(StateError::Damaged(format!("{} bytes too many", behind.len()))),
            },
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

    /// What is known of the values under a metadata key.
    #[must_use]
    pub(super) fn values_of(&self, key: u32) -> Option<&Known> {
        self.metadata.iter().find(|keyed| keyed.key == key).map(|keyed| &keyed.values)
    }

    /// Whether a row waits to be taken in.
    #[must_use]
    pub(super) fn is_waiting(&self) -> bool {
        self.waiting.is_some()
    }
}
