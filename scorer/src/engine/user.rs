//! One user's baseline: bounded, versioned, compact. At most 4 KiB when serialised.

use serde::{Deserialize, Serialize};
use wh_schemas::time::{DAY, HOUR};
use wh_schemas::{Micros, TransactionType, ids};

use super::Observation;
use super::amounts::{Amounts, log_amount};
use super::hours::Hours;
use super::known::Known;
use super::patterns::Recent;
use super::ruleset::Ruleset;
use super::stream_time::Timeliness;
use super::window::Window;

/// Version of the serialised form, its first byte.
pub const STATE_VERSION: u8 = 1;
/// Counterparties that are remembered: about 18 bytes each when serialised.
const COUNTERPARTIES: usize = 48;
/// Accounts that are remembered.
const ACCOUNTS: usize = 12;
/// Departments that are remembered.
const DEPARTMENTS: usize = 8;
/// Values that are remembered of each metadata key.
const METADATA_VALUES: usize = 6;

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
    /// Amounts by type.
    pub amounts: [Amounts; 8],
    /// Hours of the week.
    pub hours: Hours,
    /// Times of the last events.
    pub window: Window,
    /// Own accounts.
    pub accounts: Known,
    /// The other sides.
    pub counterparties: Known,
    /// Types, by their index.
    pub types: [u32; 8],
    /// Departments, by fingerprint.
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
    /// What patterns over several rows need.
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

impl UserState {
    /// A user who was first seen at `first`.
    #[must_use]
    pub fn new(first: Micros) -> UserState {
        UserState {
            events: 0,
            alerts: 0,
            first: first.0,
            last: first.0,
            amounts: [Amounts::default(); 8],
            hours: Hours::default(),
            window: Window::default(),
            accounts: Known::default(),
            counterparties: Known::default(),
            types: [0; 8],
            departments: Known::default(),
            home_department: String::new(),
            metadata: Vec::new(),
            log_amount_sum: 0.0,
            learnt: 0,
            active_days: 0.0,
            active_events: 0.0,
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

    /// Takes a scored event in. One far from the stream's time moves nothing; one in quarantine moves windows only.
    pub(super) fn observe(&mut self, observation: &Observation<'_>, hour: u8, timeliness: Timeliness, quarantined: bool, ruleset: &Ruleset) {
        self.events += 1;
        if timeliness == Timeliness::Implausible {
            return;
        }
        let at = observation.timestamp.0;
        if timeliness == Timeliness::Current || at + 24 * HOUR > self.last {
            self.window.insert(observation.timestamp);
        }
        self.recent.observe(observation, ruleset);
        if self.learnt == 0 || at.div_euclid(DAY) > self.last.div_euclid(DAY) {
            self.active_days = self.active_days * 0.97 + 1.0;
            self.active_events *= 0.97;
        }
        self.last = self.last.max(at);
        if quarantined {
            self.alerts += 1;
            return;
        }
        self.learnt += 1;
        self.active_events += 1.0;
        self.log_amount_sum += log_amount(observation.amount);
        let index = observation.transaction_type.index();
        if let (Some(amounts), Some(count)) = (self.amounts.get_mut(index), self.types.get_mut(index)) {
            amounts.learn(observation.amount, ruleset.prior(observation.transaction_type));
            *count = count.saturating_add(1);
        }
        self.hours.learn(hour);
        self.accounts.learn(observation.account, at, ACCOUNTS);
        if let Some(counterparty) = observation.counterparty {
            self.counterparties.learn(counterparty, at, COUNTERPARTIES);
        }
        let department = ids::fingerprint(observation.department.as_bytes());
        self.departments.learn(department, at, DEPARTMENTS);
        if self.departments.most_frequent() == Some(department) && self.home_department != observation.department {
            self.home_department = observation.department.to_owned();
        }
        self.metadata.resize_with(observation.metadata.len(), Known::default);
        for (known, value) in self.metadata.iter_mut().zip(&observation.metadata) {
            if let Some(value) = value {
                known.learn(*value, at, METADATA_VALUES);
            }
        }
    }
}
