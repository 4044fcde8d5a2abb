//! The rows that records become in a ledger, whichever keeps it. Pure.
//!
//! What must stay true: a row has every column that is written once; the status of an alert, which people change, is not among them. Where a ledger
//! keeps a column otherwise than as its text (PostgreSQL's metadata), `shaped` says how.

use std::borrow::Cow;

use wh_eventlog::Stored;
use wh_schemas::position::SeqPosition;
use wh_schemas::topics::RISK_ALERTS;
use wh_schemas::{Alert, ScoreRecord};

use super::row::{Field, Row};
use crate::alert;
use crate::pattern::{PatternRow, texts};

/// The table of transactions.
pub(crate) const TRANSACTIONS: &str = "transactions";
/// The table of alerts.
pub(crate) const ALERTS: &str = "risk_alerts";

/// Appends the rows of a record. `metadata` says what columns a transaction's metadata becomes.
pub(crate) fn rows(topic: &str, record: &Stored, metadata: fn(&str) -> Vec<Field>, out: &mut Vec<Row>) {
    if topic == RISK_ALERTS {
        if let Ok(Some(row)) = PatternRow::read(record)
            && row.is_raised()
        {
            let made = alert_row(&row.alert, row.row, &row.completing.user_id, row.metadata(), record.append_time);
            out.push(Row { id: row.alert.alert_id.to_string(), ..made });
        }
        return;
    }
    let Ok(row) = serde_json::from_slice::<ScoreRecord<'_>>(&record.value) else { return };
    out.extend(transaction(&row, record.append_time, metadata));
    // A duplicate has none; one position holds one alert.
    if row.risk_score.is_some()
        && let Some(raised) = row.alerts.first()
    {
        out.push(alert_row(raised, row.position(), &row.user_id, alert::metadata(&row), record.append_time));
    }
}

/// A transaction's metadata as one column of text.
pub(crate) fn as_text(metadata: &str) -> Vec<Field> {
    vec![(Cow::Borrowed("metadata"), Some(metadata.to_owned()))]
}

fn field(name: &'static str, value: impl ToString) -> Field {
    (Cow::Borrowed(name), Some(value.to_string()))
}

fn optional(name: &'static str, value: Option<&str>) -> Field {
    (Cow::Borrowed(name), value.map(str::to_owned))
}

/// The row of a scored record; `None` for a duplicate.
fn transaction(row: &ScoreRecord<'_>, appended: i64, metadata: fn(&str) -> Vec<Field>) -> Option<Row> {
    let (score, level, parts) = (row.risk_score?, row.risk_level?, row.dimensions?);
    let mut fields = vec![
        field("transaction_id", &row.transaction_id),
        field("timestamp", row.timestamp.0),
        field("user_id", &row.user_id),
        field("account_id", &row.account_id),
        optional("counterparty_account", row.counterparty_account.as_deref()),
        field("department", &row.department),
        field("transaction_type", row.transaction_type.as_str()),
        field("amount", row.amount),
        optional("description", row.description.as_deref()),
        field("risk_score", score),
        field("risk_level", level.as_str()),
        field("is_anomaly", u8::from(row.is_anomaly.unwrap_or(false))),
        field("amount_score", parts.amount),
        field("time_score", parts.time),
        field("frequency_score", parts.frequency),
        field("behavior_score", parts.behavior),
        field("metadata_score", parts.metadata),
        field("detection_rules", texts(&row.detection_rules)),
        field("ruleset", row.ruleset.as_deref().unwrap_or_default()),
        field("content_hash", &row.content_hash),
        field("processed_at", appended),
    ];
    fields.extend(metadata(row.metadata.get()));
    let made = Row::new(TRANSACTIONS, row.position(), fields);
    Some(Row { id: row.transaction_id.to_string(), time: appended, ..made })
}

fn alert_row(alert: &Alert<'_>, at: SeqPosition, user_id: &str, metadata: String, appended: i64) -> Row {
    let fields = vec![
        field("alert_id", &alert.alert_id),
        field("transaction_id", &alert.transaction_id),
        field("user_id", user_id),
        field("alert_type", &alert.alert_type),
        field("severity", alert.severity.as_str()),
        field("risk_score", alert.risk_score),
        field("title", &alert.title),
        field("message", &alert.message),
        field("detection_rules", texts(&alert.detection_rules)),
        field("created_at", appended),
        field("metadata", metadata),
    ];
    // A transaction's alert follows it, and is looked for elsewhere by its id.
    Row { id: alert.transaction_id.to_string(), time: appended, ..Row::new(ALERTS, at, fields) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_becomes_a_transaction_and_its_alert() {
        let value = r#"{"schema_version":1,"transaction_id":"t","timestamp":"1970-01-01T00:00:00.000005Z","user_id":"u","account_id":"a","department":"IT","transaction_type":"billing",
            "amount":12.5,"metadata":{"b":1},"content_hash":"h","partition":2,"seq":7,"source":{"partition":0,"offset":1},"risk_score":70,"risk_level":"medium","is_anomaly":true,
            "dimensions":{"amount":25,"time":20,"frequency":25,"behavior":0,"metadata":0},"detection_rules":["r"],
            "alerts":[{"alert_id":"x","transaction_id":"t","alert_type":"night","severity":"high","risk_score":70,"title":"T","message":"M","detection_rules":["r"]}]}"#;
        let record = Stored { offset: 9, append_time: 77, key: None, value: value.as_bytes().to_vec().into(), headers: Vec::new() };
        let mut made = Vec::new();
        rows(wh_schemas::topics::RISK_SCORES, &record, as_text, &mut made);
        let [transaction, alert] = &made[..] else { panic!("{made:?}") };
        assert_eq!((transaction.table, transaction.at, transaction.time), (TRANSACTIONS, SeqPosition { partition: 2, seq: 7 }, 77));
        for (name, value) in
            [("amount", Some("12.50")), ("timestamp", Some("5")), ("is_anomaly", Some("1")), ("metadata", Some("{\"b\":1}")), ("description", None), ("ruleset", Some(""))]
        {
            assert_eq!(transaction.field(name), value, "{name}");
        }
        assert_eq!((alert.table, alert.at, alert.field("detection_rules"), alert.field("status")), (ALERTS, transaction.at, Some("[\"r\"]"), None));
        let duplicate = Stored { value: br#"{"schema_version":1}"#.to_vec().into(), ..record };
        rows(wh_schemas::topics::RISK_SCORES, &duplicate, as_text, &mut made);
        assert_eq!(made.len(), 2);
    }
}
