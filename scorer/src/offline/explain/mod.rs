//! Why a transaction has the score that it has: from what was stored, and computed again from the log, or from a file, with the baseline as it was.
//!
//! The log's accepted transactions of the record's partition are scored again from their beginning up to the record, all of them: what users of
//! one partition share is the stream's time and the bound on users. Then the record is varied, without learning, to find what would have changed
//! its level.
//!
//! What must stay true: nothing is written; a score that differs from the stored one is told with what is known of why.

mod baseline;
mod file;
mod find;
mod report;
mod turn;
mod walk;

use std::collections::BTreeMap;
use std::io;

use serde::Serialize;
use wh_schemas::scored::{Dimensions, Reason};
use wh_schemas::{AcceptedTransaction, ScoreRecord, ids};

use super::source::Source;
use crate::engine::{Engine, Observation, Ruleset, Score, UserState};
use walk::{Habits, Walk};

pub use baseline::Baseline;
pub use file::{FromFile, Sought, of_file};
pub use find::{alert_record, pattern_alerts_with, scored_record};
pub use report::{Provenance, pattern_text, recomputed_text, record_text};
pub use turn::Turn;

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

/// A team's rule that had no answer for the record, and so gave it no points.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NoAnswer {
    /// The rule's name.
    pub rule: String,
    /// Why it had none.
    pub why: &'static str,
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
    /// The team's rules that had no answer for the record.
    pub unanswered: Vec<NoAnswer>,
    /// The nearest things that would have changed the level.
    pub turns: Vec<Turn>,
    /// Records of its partition before it, duplicates included.
    pub records_before: u64,
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
        self.engine_under(ruleset).score(observation)
    }

    /// An engine in that state, with the record's user alone.
    fn engine_under(&self, ruleset: &Ruleset) -> Engine {
        let user = self.user.iter().map(|state| (self.observation.user_id.to_owned(), state.clone()));
        Engine::restored(ruleset.clone(), user, self.engine.stream_time().clone())
    }
}

/// Scores the accepted transactions of the record's partition, which `source` gives from their beginning on, up to the record. `None` where the
/// record is not among them.
///
/// # Errors
/// Where the source cannot be read.
pub fn recompute(source: &mut dyn Source, record: &ScoreRecord<'_>, ruleset: &Ruleset, dedup_horizon: usize) -> io::Result<Option<Recomputed>> {
    let mut walk = Walk::new(ruleset, dedup_horizon);
    let mut origins: BTreeMap<u32, u64> = BTreeMap::new();
    let mut habits = Habits::default();
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
            if !walk.is_new(&transaction) {
                continue;
            }
            let observation = Observation::of(&transaction, walk.engine.ruleset());
            if transaction.transaction_id == record.transaction_id && transaction.content_hash == record.content_hash {
                return Ok(Some(explained(&walk, observation, &habits, record)));
            }
            if transaction.user_id == record.user_id {
                habits.learn(&transaction, &observation);
            }
            walk.pass(&observation);
        }
    }
}

/// What `walk` has come to before the record, laid open.
fn explained(walk: &Walk, observation: Observation<'_>, habits: &Habits, record: &ScoreRecord<'_>) -> Recomputed {
    let (engine, records_before) = (&walk.engine, walk.before);
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
    let mut again = before.engine_under(ruleset);
    let score = again.score(&before.observation);
    let unanswered = again.unanswered().map(|(rule, why, _)| NoAnswer { rule: rule.to_owned(), why }).collect();
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
    Recomputed {
        ruleset: hash,
        risk_score: score.risk_score(),
        dimensions: score.dimensions,
        reasons: score.reasons,
        equal,
        why_not,
        baseline,
        patterns,
        unanswered,
        turns,
        records_before,
    }
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
