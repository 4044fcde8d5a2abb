//! From a pattern by account to its record of `risk-alerts`. Pure: the same pattern under the same `seq` gives the same bytes.
//!
//! What must stay true: the id of a pattern alert is the pattern's; the points of its reasons add up to its score.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;
use wh_eventlog::{Bytes, Record};
use wh_schemas::json::{RawObject, Text};
use wh_schemas::position::{Seq, SeqPosition};
use wh_schemas::{Alert, Cents, Micros, Severity};

use crate::patterns::Found;

/// Partition of `risk-alerts` that patterns stand in: the stage has one instance, and one `seq`.
pub const PARTITION: u32 = 0;

/// What is known of the transaction that completes a pattern.
#[derive(Serialize)]
struct Completing<'a> {
    transaction_id: &'a str,
    timestamp: Micros,
    user_id: &'a str,
    amount: Cents,
}

/// The record's content. With no `seq` as `wardhouse score` shows it.
#[must_use]
pub fn alert(found: &Found, seq: Option<Seq>) -> Alert<'static> {
    let Found { pattern, reasons, transaction_id, user_id, amount } = found;
    let completing = Completing { transaction_id, timestamp: pattern.last_event, user_id, amount: *amount };
    let completing = serde_json::value::to_raw_value(&completing).ok();
    Alert {
        alert_id: pattern.pattern_id.clone(),
        transaction_id: Text::from(transaction_id.clone()),
        alert_type: pattern.pattern_type.clone(),
        severity: Severity::of(pattern.risk_score),
        risk_score: pattern.risk_score,
        title: Text::from(title(found)),
        message: Text::from(message(found)),
        detection_rules: rules(found),
        transaction: completing.map(|raw: Box<RawValue>| RawObject(Cow::Owned(raw))),
        pattern: Some(pattern.clone()),
        position: seq.map(|seq| SeqPosition { partition: PARTITION, seq }),
        reasons: reasons.clone(),
        members: pattern.members.clone(),
    }
}

/// The record that is written.
#[must_use]
pub fn record(found: &Found, seq: Seq) -> Record {
    let alert = alert(found, Some(seq));
    // Serialising it cannot fail: no map has keys that are not text, no float stands in it.
    Record::new(Bytes::copy_from_slice(alert.alert_id.as_bytes()), serde_json::to_vec(&alert).unwrap_or_default())
}

/// Names of the rules that gave points, most points first, ties by name.
fn rules(found: &Found) -> Vec<Text<'static>> {
    let mut totals: Vec<(&Text<'static>, u16)> = Vec::new();
    for reason in &found.reasons {
        match totals.iter_mut().find(|(rule, _)| **rule == reason.rule) {
            Some((_, points)) => *points += u16::from(reason.points),
            None => totals.push((&reason.rule, u16::from(reason.points))),
        }
    }
    totals.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
    totals.into_iter().map(|(rule, _)| rule.clone()).collect()
}

fn title(found: &Found) -> String {
    let pattern = &found.pattern;
    let transactions = match pattern.members.len() {
        1 => "1 transaction".to_owned(),
        count => format!("{count} transactions"),
    };
    let accounts = match pattern.accounts.as_slice() {
        [] => String::new(),
        [one] => format!(" on account {one}"),
        several => format!(" over {} accounts", several.len()),
    };
    format!("{}: {transactions}{accounts}, the last of {} by {}", sentence_case(&pattern.pattern_type.replace('_', " ")), found.amount.grouped(), found.user_id)
}

fn message(found: &Found) -> String {
    let pattern = &found.pattern;
    let story = pattern.description.trim_end_matches('.');
    let mut said: Vec<&str> = Vec::new();
    for reason in &found.reasons {
        if !said.contains(&reason.evidence.as_str()) {
            said.push(reason.evidence.as_str());
        }
    }
    let why = said.into_iter().take(3).collect::<Vec<_>>().join("; ");
    let why = if why.is_empty() { String::new() } else { format!(": {why}") };
    format!("{} ({} to {}), risk {} of 100{why}.", sentence_case(story), pattern.first_event, pattern.last_event, pattern.risk_score)
}

fn sentence_case(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map(|first| first.to_uppercase().chain(characters).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use wh_schemas::pattern::Pattern;
    use wh_schemas::scored::{Dimension, Reason};

    fn found(risk_score: u8) -> Found {
        let reason = |rule: &'static str, points, evidence: &'static str| Reason { rule: Text::from(rule), dimension: Dimension::Behavior, points, evidence: Text::from(evidence) };
        Found {
            pattern: Pattern {
                pattern_id: Text::from("id"),
                pattern_type: Text::from("round_trip"),
                user_id: None,
                accounts: vec![Text::from("A"), Text::from("B"), Text::from("C")],
                members: vec![Text::from("t-1"), Text::from("t-2"), Text::from("t-3")],
                risk_score,
                description: Text::from("9,000.00 went from A to B to C and came back."),
                first_event: Micros(0),
                last_event: Micros(1_000_000),
            },
            reasons: vec![reason("b", 10, "x"), reason("a", 10, "y"), reason("a", 15, "x")],
            transaction_id: "t-3".to_owned(),
            user_id: "U1".to_owned(),
            amount: Cents(900_000),
        }
    }

    #[test]
    fn a_pattern_alert_says_what_it_is_of() {
        let alert = alert(&found(85), Some(7));
        assert_eq!((alert.alert_id.as_str(), alert.severity.as_str(), alert.row_position()), ("id", "critical", Some(SeqPosition { partition: 1_000_000, seq: 7 })));
        assert_eq!(alert.detection_rules, [Text::from("a"), Text::from("b")]);
        assert_eq!(alert.title.as_str(), "Round trip: 3 transactions over 3 accounts, the last of 9,000.00 by U1");
        assert!(
            alert.message.starts_with("9,000.00 went from A to B to C and came back (1970-01-01T00:00:00") && alert.message.ends_with("risk 85 of 100: x; y."),
            "{}",
            alert.message
        );
        let completing: serde_json::Value = serde_json::from_str(alert.transaction.as_ref().unwrap().get()).unwrap();
        assert_eq!((&completing["user_id"], &completing["transaction_id"]), (&"U1".into(), &"t-3".into()));
    }

    #[test]
    fn the_record_reads_back_and_is_the_same_each_time() {
        let record = record(&found(60), 3);
        assert_eq!(record, super::record(&found(60), 3));
        let back: Alert<'_> = serde_json::from_slice(&record.value).unwrap();
        assert!(!back.is_raised() && back.severity == Severity::Info);
        assert_eq!(back.pattern.unwrap(), found(60).pattern);
        assert_eq!(record.key.as_deref(), Some(b"id".as_slice()));
    }
}
