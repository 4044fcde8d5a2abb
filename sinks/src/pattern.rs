//! Records of `risk-alerts` as stores read them: pattern alerts, and patterns that are none. Pure.
//!
//! What must stay true: an alert of a scored transaction, which stands in its scored record too, is passed over here; a pattern's row stands
//! under a partition of its own, so that it meets no scored record's.

use serde::Deserialize;
use serde::de::{Error, IgnoredAny};
use wh_eventlog::Stored;
use wh_schemas::json::Text;
use wh_schemas::pattern::Pattern;
use wh_schemas::{Alert, Micros, SeqPosition};

use crate::delivery::walk::Positioned;

/// What is told of the transaction that completes a pattern.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Completing<'a> {
    /// Its user.
    #[serde(borrow)]
    pub(crate) user_id: Text<'a>,
    /// When it happened.
    pub(crate) timestamp: Micros,
    /// In which department, where that is told.
    #[serde(borrow, default)]
    pub(crate) department: Text<'a>,
}

/// A record of the stage `patterns`.
#[derive(Clone, Debug)]
pub(crate) struct PatternRow<'a> {
    /// The record.
    pub(crate) alert: Alert<'a>,
    /// The transaction that completes the pattern.
    pub(crate) completing: Completing<'a>,
    position: SeqPosition,
    /// Where its row stands in a store.
    pub(crate) row: SeqPosition,
}

impl Positioned for PatternRow<'_> {
    fn position(&self) -> SeqPosition {
        self.position
    }
}

/// An alert with what stands around it, whichever stage raised it: what the search store keeps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told<'a> {
    pub(crate) alert: &'a Alert<'a>,
    pub(crate) user_id: &'a str,
    pub(crate) department: &'a str,
    pub(crate) timestamp: Micros,
    /// Where its row stands.
    pub(crate) row: SeqPosition,
}

/// Whether a record is a pattern's.
#[derive(Deserialize)]
struct Kind {
    #[serde(default)]
    pattern: Option<IgnoredAny>,
}

impl<'a> PatternRow<'a> {
    /// Reads a record; `None` for an alert of a scored transaction.
    ///
    /// # Errors
    /// Where it is neither.
    pub(crate) fn read(record: &'a Stored) -> Result<Option<PatternRow<'a>>, serde_json::Error> {
        if serde_json::from_slice::<Kind>(&record.value)?.pattern.is_none() {
            return Ok(None);
        }
        let alert: Alert<'a> = serde_json::from_slice(&record.value)?;
        let (Some(position), Some(row)) = (alert.position, alert.row_position()) else { return Err(serde_json::Error::missing_field("position")) };
        let completing = match &alert.transaction {
            Some(transaction) => completing(transaction.get())?,
            None => return Err(serde_json::Error::missing_field("transaction")),
        };
        Ok(Some(PatternRow { alert, completing, position, row }))
    }

    /// The pattern itself.
    pub(crate) fn pattern(&self) -> Option<&Pattern<'a>> {
        self.alert.pattern.as_ref()
    }

    /// What the ledger keeps beside the alert: the accounts, the transactions and the reasons.
    pub(crate) fn metadata(&self) -> String {
        let accounts = self.pattern().map(|pattern| &pattern.accounts);
        serde_json::json!({ "pattern_id": self.pattern().map(|pattern| &pattern.pattern_id), "accounts": accounts, "members": self.alert.members, "reasons": self.alert.reasons })
            .to_string()
    }

    /// Whether somebody is asked to look at it.
    pub(crate) fn is_raised(&self) -> bool {
        self.alert.is_raised()
    }

    /// The alert, where it is one.
    pub(crate) fn told(&self) -> Option<Told<'_>> {
        let Completing { user_id, timestamp, department } = &self.completing;
        self.is_raised().then(|| Told { alert: &self.alert, user_id, department, timestamp: *timestamp, row: self.row })
    }
}

fn completing(text: &str) -> Result<Completing<'static>, serde_json::Error> {
    let Completing { user_id, timestamp, department } = serde_json::from_str(text)?;
    Ok(Completing { user_id: user_id.into_owned(), timestamp, department: department.into_owned() })
}

/// A list of texts as JSON.
pub(crate) fn texts(texts: &[Text<'_>]) -> String {
    serde_json::to_string(texts).unwrap_or_else(|_| "[]".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(value: &str) -> Stored {
        Stored { offset: 0, append_time: 0, key: None, value: value.as_bytes().to_vec().into(), headers: Vec::new() }
    }

    #[test]
    fn a_pattern_is_told_from_an_alert_of_a_transaction() {
        let alert = r#""alert_id":"a","transaction_id":"t","alert_type":"round_trip","severity":"info","risk_score":60,"title":"x","message":"y","detection_rules":[]"#;
        assert!(PatternRow::read(&stored(&format!("{{{alert}}}"))).unwrap().is_none());
        let pattern = r#""pattern":{"pattern_id":"a","pattern_type":"round_trip","accounts":["A"],"members":["t"],"risk_score":60,"description":"d","first_event":"2026-01-01T00:00:00Z","last_event":"2026-01-01T00:00:01Z"}"#;
        let completing = r#""transaction":{"transaction_id":"t","timestamp":"2026-01-01T00:00:01Z","user_id":"U","amount":1}"#;
        let record = stored(&format!(r#"{{{alert},{completing},{pattern},"position":{{"partition":0,"seq":7}}}}"#));
        let row = PatternRow::read(&record).unwrap().unwrap();
        assert_eq!((row.position(), row.row), (SeqPosition { partition: 0, seq: 7 }, SeqPosition { partition: 1_000_000, seq: 7 }));
        assert_eq!((row.completing.user_id.as_str(), row.completing.department.as_str(), row.is_raised()), ("U", "", false));
        for broken in [format!("{{{alert},{completing},{pattern}}}"), format!(r#"{{{alert},{pattern},"position":{{"partition":0,"seq":7}}}}"#), "{".to_owned()] {
            assert!(PatternRow::read(&stored(&broken)).is_err(), "{broken}");
        }
    }
}
