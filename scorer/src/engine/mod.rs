//! `(state, record, ruleset) → (score, state')`, by event time alone.
//!
//! A score is the sum of five capped dimensions, each the sum of its reasons' points after the cap. Baselines are kept
//! per user; what scores as an alert is not learnt, and a record far from the stream's time moves nothing.

pub mod amounts;
pub mod hours;
pub mod known;
pub mod patterns;
mod rules;
pub mod ruleset;
pub mod stream_time;
pub mod user;
pub mod window;

use hashbrown::HashMap;
use wh_schemas::json::Text;
use wh_schemas::scored::{ALERT_SCORE, Dimension, Dimensions, Reason};
use wh_schemas::{AcceptedTransaction, Cents, Micros, TransactionType, ids};

pub use ruleset::Ruleset;
use stream_time::{StreamTime, Timeliness};
pub use user::UserState;

/// What the engine reads of a transaction: no label, no free text, no metadata beyond the allow-listed keys.
#[derive(Clone, Debug)]
pub struct Observation<'a> {
    /// When it happened.
    pub timestamp: Micros,
    /// Who did it.
    pub user_id: &'a str,
    /// On which account, as a fingerprint.
    pub account: u64,
    /// The other side's account, as a fingerprint.
    pub counterparty: Option<u64>,
    /// In which department.
    pub department: &'a str,
    /// What it does.
    pub transaction_type: TransactionType,
    /// How much.
    pub amount: Cents,
    /// Fingerprints of the values under the ruleset's metadata keys, in the ruleset's order; `None` where a key is absent.
    pub metadata: Vec<Option<u64>>,
}

impl<'a> Observation<'a> {
    /// What the engine may see of an accepted transaction under a ruleset.
    #[must_use]
    pub fn of(transaction: &'a AcceptedTransaction<'_>, ruleset: &Ruleset) -> Observation<'a> {
        Observation {
            timestamp: transaction.timestamp,
            user_id: &transaction.user_id,
            account: ids::fingerprint(transaction.account_id.as_bytes()),
            counterparty: transaction.counterparty_account.as_ref().map(|c| ids::fingerprint(c.as_bytes())),
            department: &transaction.department,
            transaction_type: transaction.transaction_type,
            amount: transaction.amount,
            metadata: ruleset.metadata_values(transaction.metadata.get()),
        }
    }
}

/// A score with the arithmetic behind it.
#[derive(Clone, Debug, PartialEq)]
pub struct Score {
    /// The five parts.
    pub dimensions: Dimensions,
    /// Why each point was given; points of one dimension add up to it.
    pub reasons: Vec<Reason<'static>>,
    /// Arrived far behind the newest event.
    pub late: bool,
}

impl Score {
    /// 0 to 100.
    #[must_use]
    pub fn risk_score(&self) -> u8 {
        self.dimensions.sum()
    }

    /// Names of the rules that gave points, most points first, ties by name.
    #[must_use]
    pub fn rules(&self) -> Vec<Text<'static>> {
        let mut totals: Vec<(&Text<'static>, u16)> = Vec::new();
        for reason in &self.reasons {
            match totals.iter_mut().find(|(rule, _)| **rule == reason.rule) {
                Some((_, points)) => *points += u16::from(reason.points),
                None => totals.push((&reason.rule, u16::from(reason.points))),
            }
        }
        totals.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
        totals.into_iter().map(|(rule, _)| rule.clone()).collect()
    }
}

/// Points as the rules propose them, before the caps.
#[derive(Debug, Default)]
struct Proposed(Vec<Proposal>);

#[derive(Debug)]
struct Proposal {
    rule: &'static str,
    dimension: Dimension,
    points: f64,
    evidence: String,
}

impl Proposed {
    /// Proposes points where they round to at least one; the evidence is made only then.
    fn add(&mut self, rule: &'static str, dimension: Dimension, points: f64, evidence: impl FnOnce() -> String) {
        if points >= 0.5 {
            self.0.push(Proposal { rule, dimension, points, evidence: evidence() });
        }
    }

    /// Caps each dimension, the strongest reasons first, so that what stays adds up to the dimension's points.
    fn settle(mut self) -> (Dimensions, Vec<Reason<'static>>) {
        self.0.sort_by(|a, b| b.points.total_cmp(&a.points).then_with(|| a.rule.cmp(b.rule)));
        let mut dimensions = Dimensions::default();
        let mut reasons = Vec::with_capacity(self.0.len());
        for proposal in self.0 {
            let cap = proposal.dimension.cap();
            let given = dimensions.get_mut(proposal.dimension);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=25 before")]
            let points = (libm::round(proposal.points.clamp(0.0, f64::from(cap))) as u8).min(cap - *given);
            if points > 0 {
                *given += points;
                reasons.push(Reason { rule: Text::from(proposal.rule), dimension: proposal.dimension, points, evidence: Text::from(proposal.evidence) });
            }
        }
        (dimensions, reasons)
    }
}

/// The state of one partition: its users and its stream's time.
#[derive(Debug)]
pub struct Engine {
    ruleset: Ruleset,
    users: HashMap<String, UserState>,
    stream_time: StreamTime,
}

impl Engine {
    /// An engine that has seen nothing.
    #[must_use]
    pub fn new(ruleset: Ruleset) -> Engine {
        Engine { ruleset, users: HashMap::new(), stream_time: StreamTime::default() }
    }

    /// An engine from a checkpoint.
    #[must_use]
    pub fn restored(ruleset: Ruleset, users: impl IntoIterator<Item = (String, UserState)>, stream_time: StreamTime) -> Engine {
        Engine { ruleset, users: users.into_iter().collect(), stream_time }
    }

    /// The rules that it scores by.
    #[must_use]
    pub fn ruleset(&self) -> &Ruleset {
        &self.ruleset
    }

    /// The newest plausible event time.
    #[must_use]
    pub fn stream_time(&self) -> &StreamTime {
        &self.stream_time
    }

    /// A user's state.
    #[must_use]
    pub fn user(&self, user_id: &str) -> Option<&UserState> {
        self.users.get(user_id)
    }

    /// Users with their states, in no order that anything may depend on.
    pub fn users(&self) -> impl Iterator<Item = (&str, &UserState)> {
        self.users.iter().map(|(id, state)| (id.as_str(), state))
    }

    /// Scores one observation and learns from it.
    pub fn score(&mut self, observation: &Observation<'_>) -> Score {
        let timeliness = self.stream_time.observe(observation.timestamp);
        if !self.users.contains_key(observation.user_id) {
            self.users.insert(observation.user_id.to_owned(), UserState::new(observation.timestamp));
        }
        let Some(user) = self.users.get_mut(observation.user_id) else {
            return Score { dimensions: Dimensions::default(), reasons: Vec::new(), late: false };
        };
        let mut proposed = Proposed::default();
        let hour = self.ruleset.hour_of_week(observation.timestamp);
        rules::amount(observation, user, &self.ruleset, &mut proposed);
        rules::time(user, hour, &self.ruleset, &mut proposed);
        rules::frequency(observation, user, hour, &self.ruleset, &mut proposed);
        rules::behavior(observation, user, &self.ruleset, &mut proposed);
        rules::metadata(observation, user, &self.ruleset, &mut proposed);
        patterns::by_user(observation, user, hour, &self.ruleset, &mut proposed);
        let (dimensions, reasons) = proposed.settle();
        let score = Score { dimensions, reasons, late: timeliness == Timeliness::Late };
        let quarantined = score.risk_score() >= ALERT_SCORE;
        user.observe(observation, hour, timeliness, quarantined, &self.ruleset);
        score
    }
}

#[cfg(test)]
mod tests;
