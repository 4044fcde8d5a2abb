//! Why a transaction has the score that it has: from what was stored, and computed again from the log with the baseline as it was.
//!
//! The log's accepted transactions of the record's partition are scored again from their beginning up to the record, all of them: what users of
//! one partition share is the stream's time and the bound on users. Then the record is varied, without learning, to find what would have changed
//! its level.
//!
//! What must stay true: nothing is written; a score that differs from the stored one is told with what is known of why.

mod find;
mod report;
mod turn;

use std::collections::BTreeMap;
use std::io;

use serde::Serialize;
use wh_schemas::scored::{Dimensions, Reason};
use wh_schemas::time::DAY;
use wh_schemas::{AcceptedTransaction, ScoreRecord, ids};

use super::source::Source;
use crate::dedup::{Ids, Seen, Verdict, fingerprints};
use crate::engine::signals::Signals;
use crate::engine::{Engine, Observation, Ruleset, Score, UserState};

pub use find::{alert_record, scored_record};
pub use report::{pattern_text, recomputed_text, record_text};
pub use turn::Turn;

/// The user's baseline before the record, as far as the score rests on it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Baseline {
    /// Events of the user before.
    pub events: u64,
    /// Of them learnt; the others were quarantined as alerts.
    pub learnt: u64,
    /// Days since the first.
    pub days_known: f64,
    /// Hours since the last.
    pub idle_hours: f64,
    /// How much weight the baseline has, 0 to 1.
    pub maturity: f64,
    /// The usual amount of this type, in currency units, shrunk towards the prior.
    pub usual_amount: f64,
    /// The factor by which two of three amounts lie around it at most.
    pub usual_factor: f64,
    /// Amounts of this type behind it.
    pub amounts_learnt: u32,
    /// How many scales this amount lies above it.
    pub amount_z: f64,
    /// Local hour of the week, 0 is Monday 00:00.
    pub hour_of_week: u8,
    /// Likelihood of that hour, in multiples of an even spread.
    pub hour_likelihood: f64,
    /// Events in ten minutes, an hour and a day, this one included.
    pub events_in_windows: [u32; 3],
    /// … and how many are usual.
    pub usual_in_windows: [f64; 3],
    /// Events a day, on days with events.
    pub events_a_day: f64,
    /// Rows with this account before.
    pub account_rows: u16,
    /// Accounts that the user is known to deal with.
    pub accounts: usize,
    /// Rows with this counterparty before; 0 where it is new, or where there is none.
    pub counterparty_rows: u16,
    /// Days since the first of them.
    pub counterparty_days: f64,
    /// Counterparties that the user is known to deal with.
    pub counterparties: usize,
    /// Share of the user's days on which they did this type.
    pub type_share: f64,
    /// … and on which they worked in this department.
    pub department_share: f64,
    /// The department of most days.
    pub home_department: String,
}

impl Baseline {
    fn of(observation: &Observation<'_>, signals: &Signals, user: &UserState, ruleset: &Ruleset) -> Baseline {
        let prior = ruleset.prior(observation.department, observation.transaction_type);
        let scale = user.amounts.get(observation.transaction_type.index()).map_or(prior.scale, |amounts| amounts.shrunk(prior).scale);
        #[expect(clippy::cast_precision_loss, reason = "microseconds between two events")]
        let days_known = observation.timestamp.0.saturating_sub(user.first).max(0) as f64 / DAY as f64;
        Baseline {
            events: user.events,
            learnt: user.learnt,
            days_known,
            idle_hours: signals.idle_hours,
            maturity: signals.maturity,
            usual_amount: signals.deviation.usual,
            usual_factor: libm::exp(scale),
            amounts_learnt: signals.deviation.count,
            amount_z: signals.deviation.z,
            hour_of_week: signals.hour,
            hour_likelihood: signals.likelihood,
            events_in_windows: [signals.ten_minutes.events, signals.one_hour.events, signals.one_day.events],
            usual_in_windows: signals.expected,
            events_a_day: user.events_per_active_day(),
            account_rows: signals.account_rows,
            accounts: user.accounts.distinct(),
            counterparty_rows: signals.counterparty_rows,
            counterparty_days: signals.counterparty_days,
            counterparties: user.counterparties.distinct(),
            type_share: signals.type_share,
            department_share: signals.department_share,
            home_department: user.home_department.clone(),
        }
    }
}

/// A pattern by user as it was seen at the record, confirmed or half.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SeenPattern {
    /// Its name.
    pub pattern: String,
    /// From 1 on it is confirmed.
    pub strength: f64,
    /// The arithmetic.
    pub evidence: String,
    /// Ids of the rows before that belong to it.
    pub members: Vec<String>,
}

/// A score that was computed again.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Recomputed {
    /// Content hash of the ruleset that it was computed under.
    pub ruleset: String,
    /// The score.
    pub risk_score: u8,
    /// Its parts.
    pub dimensions: Dimensions,
    /// Why each point was given.
    pub reasons: Vec<Reason<'static>>,
    /// Whether score, dimensions and reasons are those that were stored.
    pub equal: bool,
    /// Where they are not: what is known of why.
    pub why_not: Vec<String>,
    /// The baseline before the record.
    pub baseline: Baseline,
    /// Patterns by user, confirmed and half.
    pub patterns: Vec<SeenPattern>,
    /// The nearest things that would have changed the level.
    pub turns: Vec<Turn>,
    /// Records of its partition before it, duplicates included.
    pub records_before: u64,
}

/// What a user usually does, by how often: for variations of a record.
#[derive(Debug, Default)]
struct Habits {
    accounts: BTreeMap<String, u32>,
    counterparties: BTreeMap<String, u32>,
    departments: BTreeMap<String, u32>,
    places: BTreeMap<Vec<Option<u32>>, u32>,
}

/// The most frequent, the first of equals.
fn most<K: Ord>(counts: &BTreeMap<K, u32>) -> Option<&K> {
    counts.iter().max_by(|a, b| a.1.cmp(b.1).then_with(|| b.0.cmp(a.0))).map(|(key, _)| key)
}

fn count<K: Ord + ?Sized + ToOwned>(counts: &mut BTreeMap<K::Owned, u32>, key: &K)
where
    K::Owned: Ord + std::borrow::Borrow<K>,
{
    match counts.get_mut(key) {
        Some(count) => *count += 1,
        None => {
            counts.insert(key.to_owned(), 1);
        }
    }
}

impl Habits {
    fn learn(&mut self, transaction: &AcceptedTransaction<'_>, observation: &Observation<'_>) {
        count(&mut self.accounts, transaction.account_id.as_str());
        if let Some(counterparty) = &transaction.counterparty_account {
            count(&mut self.counterparties, counterparty.as_str());
        }
        count(&mut self.departments, transaction.department.as_str());
        count(&mut self.places, observation.metadata.as_slice());
    }
}

/// The state just before a record.
struct Before<'a> {
    observation: Observation<'a>,
    user: Option<UserState>,
    engine: &'a Engine,
    habits: &'a Habits,
}

impl Before<'_> {
    /// What a variation of the record would have scored, learning nothing.
    fn score(&self, observation: &Observation<'_>, ruleset: &Ruleset) -> Score {
        let user = self.user.iter().map(|state| (self.observation.user_id.to_owned(), state.clone()));
        Engine::restored(ruleset.clone(), user, self.engine.stream_time().clone()).score(observation)
    }
}

/// Scores the accepted transactions of the record's partition, which `source` gives from their beginning on, up to the record. `None` where the
/// record is not among them.
///
/// # Errors
/// Where the source cannot be read.
pub fn recompute(source: &mut dyn Source, record: &ScoreRecord<'_>, ruleset: &Ruleset, dedup_horizon: usize) -> io::Result<Option<Recomputed>> {
    let mut engine = Engine::new(ruleset.clone());
    let mut known = Ids::new(dedup_horizon);
    let mut origins: BTreeMap<u32, u64> = BTreeMap::new();
    let mut habits = Habits::default();
    let mut before = 0_u64;
    loop {
        let inputs = source.read(1_024)?;
        if inputs.is_empty() {
            return Ok(None);
        }
        for input in inputs {
            if let Some((partition, offset)) = input.logged.and_then(|logged| logged.origin) {
                // A copy that intake made.
                if origins.get(&partition).is_some_and(|highest| offset <= *highest) {
                    continue;
                }
                origins.insert(partition, offset);
            }
            let Ok(transaction) = serde_json::from_slice::<AcceptedTransaction<'_>>(&input.text) else { continue };
            let (id, content) = fingerprints(&transaction.transaction_id, &transaction.content_hash);
            match known.verdict(id, content) {
                Verdict::New => known.remember(Seen { id, content, seq: before }),
                Verdict::Duplicate(_) => {
                    // It has a number in the output too.
                    before += 1;
                    continue;
                }
                Verdict::Conflict(_) => continue,
            }
            let observation = Observation::of(&transaction, engine.ruleset());
            if transaction.transaction_id == record.transaction_id && transaction.content_hash == record.content_hash {
                return Ok(Some(explained(&engine, observation, &habits, record, before)));
            }
            if transaction.user_id == record.user_id {
                habits.learn(&transaction, &observation);
            }
            engine.score(&observation);
            before += 1;
        }
    }
}

fn explained(engine: &Engine, observation: Observation<'_>, habits: &Habits, record: &ScoreRecord<'_>, records_before: u64) -> Recomputed {
    let ruleset = engine.ruleset();
    let before = Before { user: engine.user(observation.user_id).cloned(), observation, engine, habits };
    let (signals, sights) = engine.look(&before.observation);
    let fresh = UserState::new(before.observation.timestamp);
    let baseline = Baseline::of(&before.observation, &signals, before.user.as_ref().unwrap_or(&fresh), ruleset);
    let patterns = sights
        .into_iter()
        .map(|sight| SeenPattern {
            pattern: sight.pattern.to_owned(),
            strength: sight.strength,
            evidence: sight.evidence.clone(),
            members: sight.members.iter().map(|(_, id)| id.clone()).collect(),
        })
        .collect::<Vec<_>>();
    let score = before.score(&before.observation, ruleset);
    let equal = record.risk_score == Some(score.risk_score()) && record.dimensions == Some(score.dimensions) && same_reasons(&record.reasons, &score.reasons);
    let hash = ruleset.content_hash();
    let mut why_not = Vec::new();
    if !equal {
        if let Some(then) = record.ruleset.as_ref().filter(|then| then.as_str() != hash) {
            why_not.push(format!("it was scored under the ruleset {then}, computed again under {hash}: name that ruleset's file with --rules"));
        }
        if record.state_epoch > 0 {
            why_not.push(format!("the scorer was started cold {} times before it, so that its baselines began later than the log", record.state_epoch));
        }
        if record.seq > records_before {
            why_not.push(format!("the log holds {records_before} records of its partition before it where there were {}: what came earlier was removed by retention", record.seq));
        }
    }
    let turns = turn::turns(&before, ruleset, &score, &patterns);
    Recomputed { ruleset: hash, risk_score: score.risk_score(), dimensions: score.dimensions, reasons: score.reasons, equal, why_not, baseline, patterns, turns, records_before }
}

fn same_reasons(stored: &[Reason<'_>], computed: &[Reason<'_>]) -> bool {
    stored.len() == computed.len()
        && stored
            .iter()
            .zip(computed)
            .all(|(a, b)| a.rule.as_str() == b.rule.as_str() && a.dimension == b.dimension && a.points == b.points && a.evidence.as_str() == b.evidence.as_str())
}

/// An account's fingerprint as observations carry it.
fn fingerprint(account: &str) -> u64 {
    ids::fingerprint(account.as_bytes())
}

#[cfg(test)]
mod tests;
