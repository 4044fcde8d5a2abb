//! From a scored transaction to the records that the scorer emits. Pure: the same inputs give the same bytes.

use wh_schemas::json::{RawObject, Text};
use wh_schemas::position::{SeqPosition, Source};
use wh_schemas::scored::{ALERT_SCORE, ANOMALY_SCORE, RiskLevel, ScoreRecord};
use wh_schemas::time::SECOND;
use wh_schemas::transaction::SCHEMA_VERSION;
use wh_schemas::{AcceptedTransaction, Alert, Micros, Pattern, Severity, TransactionType, ids};

use crate::engine::Score;

/// What stands around a score.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// Where the record goes.
    pub position: SeqPosition,
    /// The record of `hospital-transactions` behind it.
    pub source: Source,
    /// Content hash of the ruleset.
    pub ruleset: &'a str,
    /// Raised by each cold start.
    pub state_epoch: u32,
}

/// The record of a transaction that was not scored yet.
fn unscored<'a>(transaction: AcceptedTransaction<'a>, context: &Context<'a>) -> ScoreRecord<'a> {
    let AcceptedTransaction {
        transaction_id, timestamp, user_id, account_id, department, transaction_type, amount, description, counterparty_account, metadata, content_hash, ..
    } = transaction;
    ScoreRecord {
        schema_version: SCHEMA_VERSION,
        transaction_id,
        timestamp,
        user_id,
        account_id,
        department,
        transaction_type,
        amount,
        description,
        counterparty_account,
        metadata,
        content_hash,
        partition: context.position.partition,
        seq: context.position.seq,
        source: context.source,
        duplicate_of: None,
        risk_score: None,
        risk_level: None,
        is_anomaly: None,
        late: false,
        dimensions: None,
        alerts: Vec::new(),
        reasons: Vec::new(),
        patterns: Vec::new(),
        detection_rules: Vec::new(),
        ruleset: None,
        state_epoch: context.state_epoch,
    }
}

/// The record of a recognised duplicate.
#[must_use]
pub fn duplicate<'a>(transaction: AcceptedTransaction<'a>, first: SeqPosition, context: &Context<'a>) -> ScoreRecord<'a> {
    ScoreRecord { duplicate_of: Some(first), ..unscored(transaction, context) }
}

/// The record of a scored transaction, with its alert where it raises one.
#[must_use]
pub fn scored<'a>(transaction: AcceptedTransaction<'a>, score: Score, context: &Context<'a>) -> ScoreRecord<'a> {
    let risk_score = score.risk_score();
    let rules = score.rules();
    let alerts = if risk_score >= ALERT_SCORE { vec![alert(&transaction, &score, &rules)] } else { Vec::new() };
    let patterns = patterns(&transaction, &score, risk_score);
    ScoreRecord {
        risk_score: Some(risk_score),
        risk_level: Some(RiskLevel::of(risk_score)),
        is_anomaly: Some(risk_score >= ANOMALY_SCORE),
        late: score.late,
        dimensions: Some(score.dimensions),
        alerts,
        reasons: score.reasons,
        patterns,
        detection_rules: rules,
        ruleset: Some(Text::from(context.ruleset)),
        ..unscored(transaction, context)
    }
}

/// The pattern by user that a transaction confirms: the strongest, unless it was told before.
#[must_use]
pub fn patterns(transaction: &AcceptedTransaction<'_>, score: &Score, risk_score: u8) -> Vec<Pattern<'static>> {
    let Some(sight) = score.patterns.first().filter(|sight| sight.is_told()) else { return Vec::new() };
    let mut members = sight.members.clone();
    members.push((transaction.timestamp.0.div_euclid(SECOND), transaction.transaction_id.to_string()));
    members.sort_unstable();
    members.dedup();
    let names: Vec<&str> = members.iter().map(|(_, id)| id.as_str()).collect();
    let mut accounts: Vec<Text<'static>> =
        [Some(&transaction.account_id), transaction.counterparty_account.as_ref()].into_iter().flatten().map(|a| a.clone().into_owned()).collect();
    accounts.sort_unstable();
    accounts.dedup();
    let edge = |member: Option<&(i64, String)>| member.map_or(transaction.timestamp, |(at, _)| Micros(at * SECOND));
    vec![Pattern {
        pattern_id: Text::from(ids::pattern_id(sight.pattern, &names).to_string()),
        pattern_type: Text::from(sight.pattern),
        user_id: Some(transaction.user_id.clone().into_owned()),
        accounts,
        risk_score,
        description: Text::from(sight.evidence.clone()),
        first_event: edge(members.first()).min(transaction.timestamp),
        last_event: edge(members.last()).max(transaction.timestamp),
        members: members.into_iter().map(|(_, id)| Text::from(id)).collect(),
    }]
}

fn alert(transaction: &AcceptedTransaction<'_>, score: &Score, rules: &[Text<'static>]) -> Alert<'static> {
    let risk_score = score.risk_score();
    let alert_type = rules.first().cloned().unwrap_or_else(|| Text::from("score"));
    let name = alert_type.trim_start_matches("pattern_").replace('_', " ");
    let kind = match transaction.transaction_type {
        TransactionType::InsuranceClaim => "insurance claim",
        other => other.as_str(),
    };
    let article = if matches!(transaction.transaction_type, TransactionType::Adjustment | TransactionType::InsuranceClaim) { "an" } else { "a" };
    let towards = transaction.counterparty_account.as_ref().map(|c| format!(" to {c}")).unwrap_or_default();
    let mut said: Vec<&str> = Vec::new();
    for reason in &score.reasons {
        if !said.contains(&reason.evidence.as_str()) {
            said.push(reason.evidence.as_str());
        }
    }
    let why = said.into_iter().take(3).collect::<Vec<_>>().join("; ");
    Alert {
        alert_id: Text::from(ids::alert_id(&transaction.transaction_id, &alert_type).to_string()),
        transaction_id: transaction.transaction_id.clone().into_owned(),
        severity: Severity::of(risk_score),
        risk_score,
        title: Text::from(format!("{}: {article} {kind} of {} by {}", sentence_case(&name), transaction.amount.grouped(), transaction.user_id)),
        message: Text::from(format!(
            "{} made {article} {kind} of {} in {} on account {}{towards} at {}, risk {risk_score} of 100: {why}.",
            transaction.user_id,
            transaction.amount.grouped(),
            transaction.department,
            transaction.account_id,
            transaction.timestamp
        )),
        alert_type,
        detection_rules: rules.to_vec(),
        transaction: None,
        pattern: None,
        position: None,
        reasons: Vec::new(),
        members: Vec::new(),
    }
}

fn sentence_case(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map(|first| first.to_uppercase().chain(characters).collect()).unwrap_or_default()
}

/// The alert as `risk-alerts` holds it: with the transaction beside it.
///
/// # Errors
/// Where the transaction's text is no JSON, which an accepted one always is.
pub fn standalone_alert(alert: &Alert<'_>, transaction: &str) -> serde_json::Result<Vec<u8>> {
    let raw = serde_json::value::RawValue::from_string(transaction.to_owned())?;
    serde_json::to_vec(&Alert { transaction: Some(RawObject(std::borrow::Cow::Owned(raw))), ..alert.clone() })
}
