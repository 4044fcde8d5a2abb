//! A row that is more than a day ahead of the stream and of its user's own time, until it is known whether its time was right.
//!
//! The user's next row says so. Where the stream, or the user, has come within a day of it, it is taken in before that row is scored, as if it
//! had been taken in when it came: after a quiet weekend nothing is lost, and every score is the one that it would have been. Where an ordinary
//! row follows instead, it was post-dated: memories take it in at that row's time, windows and the baseline do not.
//!
//! What must stay true: it stands in the state, so that whoever goes on from a checkpoint decides the same.

use serde::{Deserialize, Serialize};
use wh_schemas::{Cents, Micros, TransactionType};

use super::UserState;
use super::learning::{Moment, Outcome, beginning};
use super::sound::{is_amount, is_kind, is_number, is_time};
use crate::engine::Observation;
use crate::engine::encoded::{length, signed};
use crate::engine::recent::Id;
use crate::engine::ruleset::Ruleset;
use crate::engine::signals::Signals;
use crate::engine::stream_time::{CERTAIN, Timeliness};

/// The row, as far as it is learnt from. At most 0.6 KB when serialised.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Waiting {
    at: i64,
    id: Id,
    #[serde(with = "postcard::fixint::le")]
    account: u32,
    /// 0 for none.
    #[serde(with = "postcard::fixint::le")]
    counterparty: u32,
    kind: u8,
    cents: i64,
    department: String,
    #[serde(with = "postcard::fixint::le")]
    department_print: u32,
    /// Values by what their keys are known by.
    metadata: Vec<Place>,
    points: u8,
    patternless: f64,
    quarantined: bool,
}

/// A value under a metadata key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    #[serde(with = "postcard::fixint::le")]
    key: u32,
    #[serde(with = "postcard::fixint::le")]
    value: u32,
}

impl Waiting {
    pub(super) fn of(observation: &Observation<'_>, outcome: Outcome, ruleset: &Ruleset) -> Waiting {
        let values = ruleset.metadata_keys.iter().zip(&observation.metadata);
        Waiting {
            at: observation.timestamp.0,
            id: Id::new(observation.transaction_id),
            account: observation.account_short(),
            counterparty: observation.counterparty_short(),
            kind: u8::try_from(observation.transaction_type.index()).unwrap_or(0),
            cents: observation.amount.0,
            department: beginning(observation.department, wh_schemas::validate::MAX_DEPARTMENT_BYTES).to_owned(),
            department_print: observation.department_print,
            metadata: values.filter_map(|(key, value)| value.map(|value| Place { key: Ruleset::key_print(key), value })).collect(),
            points: outcome.points,
            patternless: outcome.patternless,
            quarantined: outcome.quarantined,
        }
    }

    fn outcome(&self) -> Outcome {
        Outcome { points: self.points, patternless: self.patternless, quarantined: self.quarantined }
    }

    /// What it was observed as: all that is learnt from, under the names of `id`.
    fn observation<'a>(&'a self, id: &'a str, ruleset: &Ruleset) -> Observation<'a> {
        let value_of = |key: &String| {
            let key = Ruleset::key_print(key);
            self.metadata.iter().find(|place| place.key == key).map(|place| place.value)
        };
        Observation {
            transaction_id: id,
            timestamp: Micros(self.at),
            user_id: "",
            account: u64::from(self.account),
            counterparty: (self.counterparty != 0).then_some(u64::from(self.counterparty)),
            department: &self.department,
            department_print: self.department_print,
            transaction_type: TransactionType::ALL.get(usize::from(self.kind)).copied().unwrap_or(TransactionType::Billing),
            amount: Cents(self.cents),
            account_id: "",
            counterparty_account: None,
            metadata_text: "{}",
            metadata: ruleset.metadata_keys.iter().map(value_of).collect(),
        }
    }

    /// What it is known by in quarantine.
    pub(super) fn print(&self, ruleset: &Ruleset) -> u32 {
        let id = self.id.text().unwrap_or_default();
        self.observation(&id, ruleset).print()
    }

    /// It is in quarantine no more.
    pub(super) fn release(&mut self) {
        self.quarantined = false;
    }

    /// Whether the engine can go on with what was decoded.
    pub(super) fn is_sound(&self) -> bool {
        is_time(self.at) && is_amount(self.cents) && is_kind(self.kind) && is_number(self.patternless)
    }

    /// Bytes when serialised.
    pub(super) fn bytes(&self) -> usize {
        let text = length(self.department.len()) + self.department.len();
        let metadata = length(self.metadata.len()) + 8 * self.metadata.len();
        // Three fingerprints, the type, the points, the rules' points and whether it is in quarantine.
        signed(self.at) + self.id.bytes() + 12 + 1 + signed(self.cents) + text + metadata + 1 + 8 + 1
    }
}

impl UserState {
    /// Whether the row that waits is the one that is known by this.
    pub(in crate::engine) fn waits_for(&self, print: u32, ruleset: &Ruleset) -> bool {
        self.waiting.as_ref().is_some_and(|waiting| waiting.print(ruleset) == print)
    }

    /// Decides on the row that waits, before one that comes at `at` is scored.
    pub(in crate::engine) fn settle(&mut self, at: Micros, moment: Moment, ruleset: &Ruleset) {
        if moment.timeliness == Timeliness::Implausible {
            return;
        }
        let Some(waiting) = self.waiting.take() else { return };
        let certain = waiting.at <= at.0.max(moment.newest.0).saturating_add(CERTAIN);
        if !certain && moment.timeliness == Timeliness::Late {
            // What comes late says nothing of what is ahead.
            self.waiting = Some(waiting);
            return;
        }
        let id = waiting.id.text().unwrap_or_default();
        let observation = waiting.observation(&id, ruleset);
        let signals = Signals::of(&observation, self, ruleset);
        if certain {
            self.observe(&observation, &signals, moment.newest, waiting.outcome(), ruleset);
        } else {
            self.remember_misdated(&Observation { timestamp: at, ..observation }, &signals, waiting.outcome());
        }
    }
}
