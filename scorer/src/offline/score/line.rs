//! A line of output in parts: its beginning, its own alert, its end; alerts of patterns by account come between when they are known.
//!
//! What must stay true: fields have the names that they have in `risk-scores`, and the same values.

use serde::Serialize;
use wh_schemas::Alert;
use wh_schemas::json::Text;
use wh_schemas::position::Source as Origin;
use wh_schemas::scored::{ALERT_SCORE, Dimensions, Reason, RiskLevel};
use wh_schemas::time::SECOND;

use crate::engine::Score;
use crate::offline::pass::Seen;
use crate::output::{self, Context};

/// The first part of a line; the alerts follow.
#[derive(Serialize)]
struct Head<'a> {
    transaction_id: &'a str,
    risk_score: u8,
    risk_level: RiskLevel,
}

/// The last part of a line.
#[derive(Serialize)]
struct Tail<'a> {
    dimensions: Dimensions,
    reasons: &'a [Reason<'static>],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    patterns: Vec<ShownPattern<'a>>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    late: bool,
    /// Its content hash.
    ruleset: &'a str,
}

/// A pattern by user that the transaction completes.
#[derive(Serialize)]
struct ShownPattern<'a> {
    pattern_type: &'a str,
    members: Vec<&'a str>,
}

/// An alert on a line.
#[derive(Serialize)]
struct ShownAlert<'a> {
    alert_type: &'a str,
    alert_id: &'a str,
    risk_score: u8,
    members: &'a [Text<'a>],
    message: &'a str,
}

/// An alert as it stands on a line. Serialising these types cannot fail: no map, no float, a writer that grows; below too.
pub(super) fn shown(alert: &Alert<'_>, members: &[Text<'_>]) -> Vec<u8> {
    let shown = ShownAlert { alert_type: &alert.alert_type, alert_id: &alert.alert_id, risk_score: alert.risk_score, members, message: &alert.message };
    serde_json::to_vec(&shown).unwrap_or_default()
}

/// Ids of the transactions that patterns consist of, the completing one included: by event time, then by id, each once.
pub(in crate::offline) fn members<'a>(score: &'a Score, completing: (i64, &'a str), only: Option<&str>) -> Vec<&'a str> {
    let sights = score.patterns.iter().filter(|sight| only.is_none_or(|pattern| sight.pattern == pattern));
    let mut members: Vec<(i64, &str)> = sights.flat_map(|sight| sight.members.iter().map(|(at, id)| (*at, id.as_str()))).collect();
    members.push(completing);
    members.sort_unstable();
    members.dedup();
    members.into_iter().map(|(_, id)| id).collect()
}

/// A line in parts: its beginning, its own alert, its end.
pub(super) struct Part {
    pub(super) bytes: Vec<u8>,
    pub(super) split: usize,
    pub(super) alert: Option<Vec<u8>>,
}

/// The line of a scored transaction, under the ruleset of this hash.
pub(super) fn part(seen: &Seen<'_>, ruleset: &str) -> Part {
    let (score, transaction) = (seen.score(0), seen.transaction);
    let risk_score = score.risk_score();
    let completing = (transaction.timestamp.0.div_euclid(SECOND), transaction.transaction_id.as_str());
    let mut bytes = Vec::with_capacity(512);
    let head = Head { transaction_id: &transaction.transaction_id, risk_score, risk_level: RiskLevel::of(risk_score) };
    serde_json::to_writer(&mut bytes, &head).unwrap_or_default();
    bytes.pop();
    let split = bytes.len();
    let patterns = score.patterns.iter().map(|sight| ShownPattern { pattern_type: sight.pattern, members: members(score, completing, Some(sight.pattern)) }).collect();
    let tail = Tail { dimensions: score.dimensions, reasons: &score.reasons, patterns, late: score.late, ruleset };
    serde_json::to_writer(&mut bytes, &tail).unwrap_or_default();
    if let Some(opening) = bytes.get_mut(split) {
        *opening = b',';
    }
    bytes.push(b'\n');
    let alert = (risk_score >= ALERT_SCORE).then(|| {
        let context = Context { position: seen.position, source: Origin { partition: seen.position.partition, offset: seen.number }, ruleset, state_epoch: 0 };
        let record = output::scored(transaction.clone(), score.clone(), &context);
        let members: Vec<Text<'_>> = members(score, completing, None).into_iter().map(Text::from).collect();
        record.alerts.first().map(|alert| shown(alert, &members)).unwrap_or_default()
    });
    Part { bytes, split, alert }
}
