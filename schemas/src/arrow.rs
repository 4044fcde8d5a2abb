//! What each table looks like in Arrow: names, types and nullability of its columns, in the order of `SELECT *`.
//!
//! What must stay true: a column is nullable exactly where the layouts under `sqlite/` allow NULL (a value taken out of a
//! JSON document may always be absent); times are UTC microseconds, money is a decimal with two places, JSON is its text.
//! Readers of every store, embedded or server, give these schemas, so that one query runs on both.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};

use crate::{dead_letter, topics};

/// An instant: microseconds since 1970-01-01 UTC.
#[must_use]
pub fn instant() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// One amount of money: DECIMAL(15,2).
#[must_use]
pub fn money() -> DataType {
    DataType::Decimal128(15, 2)
}

/// A sum of amounts: DECIMAL(20,2), which holds any sum of cents that a 64-bit integer does.
#[must_use]
pub fn money_sum() -> DataType {
    DataType::Decimal128(20, 2)
}

fn required(name: &str, data_type: DataType) -> Field {
    Field::new(name, data_type, false)
}

fn optional(name: &str, data_type: DataType) -> Field {
    Field::new(name, data_type, true)
}

fn text(name: &str) -> Field {
    required(name, DataType::Utf8)
}

fn int32(name: &str) -> Field {
    required(name, DataType::Int32)
}

fn int64(name: &str) -> Field {
    required(name, DataType::Int64)
}

fn schema(fields: Vec<Field>) -> SchemaRef {
    Arc::new(Schema::new(fields))
}

/// `ledger.transactions`: one row a scored transaction.
#[must_use]
pub fn transactions() -> SchemaRef {
    schema(vec![
        text("transaction_id"),
        required("timestamp", instant()),
        text("user_id"),
        text("account_id"),
        optional("counterparty_account", DataType::Utf8),
        text("department"),
        text("transaction_type"),
        required("amount", money()),
        optional("description", DataType::Utf8),
        int32("risk_score"),
        text("risk_level"),
        required("is_anomaly", DataType::Boolean),
        int32("amount_score"),
        int32("time_score"),
        int32("frequency_score"),
        int32("behavior_score"),
        int32("metadata_score"),
        text("detection_rules"),
        text("ruleset"),
        text("metadata"),
        text("content_hash"),
        required("processed_at", instant()),
        int32("partition"),
        int64("seq"),
    ])
}

/// `ledger.high_risk_transactions`: the transactions that scored 70 or more.
#[must_use]
pub fn high_risk_transactions() -> SchemaRef {
    transactions()
}

/// `ledger.risk_alerts`: one row an alert, with its present status.
#[must_use]
pub fn risk_alerts() -> SchemaRef {
    schema(vec![
        text("alert_id"),
        text("transaction_id"),
        text("user_id"),
        text("alert_type"),
        text("severity"),
        int32("risk_score"),
        text("title"),
        text("message"),
        text("detection_rules"),
        text("status"),
        optional("acknowledged_by", DataType::Utf8),
        optional("acknowledged_at", instant()),
        required("created_at", instant()),
        text("metadata"),
        int32("partition"),
        int64("seq"),
    ])
}

/// `ledger.recent_alerts`: the alerts of the last 24 hours.
#[must_use]
pub fn recent_alerts() -> SchemaRef {
    risk_alerts()
}

/// `ledger.user_profiles`: one row a user.
#[must_use]
pub fn user_profiles() -> SchemaRef {
    schema(vec![
        text("user_id"),
        int64("total_transactions"),
        required("amount_sum", money_sum()),
        required("amount_max", money()),
        text("departments"),
        text("hours"),
        int64("alert_count"),
        int64("score_sum"),
        int32("score_max"),
        required("first_seen", instant()),
        required("last_seen", instant()),
        required("last_updated", instant()),
    ])
}

/// `ledger.audit_log`: what stages and operators did.
#[must_use]
pub fn audit_log() -> SchemaRef {
    schema(vec![text("event_id"), text("event_type"), text("source"), text("principal"), text("severity"), text("data"), required("timestamp", instant())])
}

/// `ledger.transaction_patterns`: patterns over several transactions.
#[must_use]
pub fn transaction_patterns() -> SchemaRef {
    schema(vec![
        text("pattern_id"),
        text("pattern_type"),
        optional("user_id", DataType::Utf8),
        text("accounts"),
        text("members"),
        int32("risk_score"),
        text("description"),
        required("first_event", instant()),
        required("last_event", instant()),
    ])
}

/// `ledger.system_metrics`: what stages measured of themselves.
#[must_use]
pub fn system_metrics() -> SchemaRef {
    schema(vec![text("name"), required("value", DataType::Float64), text("unit"), text("labels"), required("timestamp", instant())])
}

/// `ledger.transaction_summary`: transactions by hour, department and type.
#[must_use]
pub fn transaction_summary() -> SchemaRef {
    schema(vec![
        required("hour", instant()),
        text("department"),
        text("transaction_type"),
        int64("transactions"),
        required("amount_sum", money_sum()),
        required("amount_max", money()),
        int64("score_sum"),
        int32("score_max"),
        int64("alerts"),
    ])
}

/// `ledger.user_risk_summary`: a user's alerts and scores. `score_mean` is NULL for a profile without transactions.
#[must_use]
pub fn user_risk_summary() -> SchemaRef {
    schema(vec![
        text("user_id"),
        int64("total_transactions"),
        int64("alert_count"),
        int32("score_max"),
        optional("score_mean", DataType::Float64),
        required("last_seen", instant()),
    ])
}

/// `documents.transaction_metadata`: the metadata as it came, one document a transaction.
#[must_use]
pub fn transaction_metadata() -> SchemaRef {
    schema(vec![text("transaction_id"), text("user_id"), required("timestamp", instant()), int32("partition"), int64("seq"), text("metadata")])
}

/// `documents.explanations`: the full explanation of each score.
#[must_use]
pub fn explanations() -> SchemaRef {
    schema(vec![
        text("transaction_id"),
        int32("partition"),
        int64("seq"),
        required("timestamp", instant()),
        text("user_id"),
        optional("risk_score", DataType::Int32),
        optional("risk_level", DataType::Utf8),
        optional("dimensions", DataType::Utf8),
        optional("reasons", DataType::Utf8),
        optional("alerts", DataType::Utf8),
        optional("ruleset", DataType::Utf8),
        optional("state_epoch", DataType::Int64),
    ])
}

/// `metrics.throughput`: aggregates of one block of seqs, by second of event time, department, type and level.
#[must_use]
pub fn throughput() -> SchemaRef {
    schema(vec![
        required("time", instant()),
        text("department"),
        text("transaction_type"),
        text("risk_level"),
        int32("partition"),
        int64("block"),
        int64("transactions"),
        required("amount_sum", money_sum()),
        int64("score_sum"),
        int32("score_max"),
        int64("alerts"),
    ])
}

/// `baselines.users`: what the scorer has learnt of each user, without its state's bytes.
#[must_use]
pub fn users() -> SchemaRef {
    schema(vec![
        text("user_id"),
        int32("partition"),
        int64("seq"),
        int64("transactions"),
        required("amount_mean", DataType::Float64),
        text("home_department"),
        required("last_event", instant()),
        int64("alerts"),
    ])
}

/// The column of [`alerts`] with a row's relevance to the `match()` of the query; NULL without one.
pub const SCORE_COLUMN: &str = "_score";

/// `search.alerts`: the alerts as raised, for full text.
#[must_use]
pub fn alerts() -> SchemaRef {
    schema(vec![
        text("alert_id"),
        text("transaction_id"),
        text("user_id"),
        text("alert_type"),
        text("severity"),
        text("department"),
        int32("risk_score"),
        text("title"),
        text("message"),
        text("detection_rules"),
        required("created_at", instant()),
        required("timestamp", instant()),
        int32("partition"),
        int64("seq"),
        optional(SCORE_COLUMN, DataType::Float64),
    ])
}

/// `log.<topic>`: the records of one topic. Bytes that are not UTF-8 show as U+FFFD.
#[must_use]
pub fn topic() -> SchemaRef {
    schema(vec![int32("partition"), int64("offset"), required("append_time", instant()), optional("key", DataType::Utf8), text("value"), text("headers")])
}

/// Columns that `log.dead_letters` has beside those of every topic, and the header that each shows.
pub const LETTER_COLUMNS: [(&str, &str); 10] = [
    ("stage", dead_letter::STAGE),
    ("store", dead_letter::STORE),
    ("origin", dead_letter::ORIGIN),
    ("position", dead_letter::POSITION),
    ("error_class", dead_letter::ERROR_CLASS),
    ("error_message", dead_letter::ERROR_MESSAGE),
    ("fingerprint", dead_letter::FINGERPRINT),
    ("attempts", dead_letter::ATTEMPTS),
    ("disposition", dead_letter::DISPOSITION),
    ("remark", dead_letter::REMARK),
];

/// `log.dead_letters`: a topic whose headers are columns too.
#[must_use]
pub fn dead_letters() -> SchemaRef {
    let own = LETTER_COLUMNS.iter().map(|(name, header)| optional(name, if *header == dead_letter::ATTEMPTS { DataType::Int64 } else { DataType::Utf8 }));
    schema(topic().fields().iter().map(|field| field.as_ref().clone()).chain(own).collect())
}

/// The columns of a topic, by its name.
#[must_use]
pub fn topic_named(name: &str) -> SchemaRef {
    if name == topics::DEAD_LETTERS { dead_letters() } else { topic() }
}

/// `system.freshness`: how far each store has come. `lag_rows` is NULL where no checkpoint says how far the scorer is.
#[must_use]
pub fn freshness() -> SchemaRef {
    schema(vec![
        text("store"),
        text("stream"),
        int32("partition"),
        int64("next_seq"),
        required("updated_at", instant()),
        int64("stored"),
        int64("duplicates"),
        int64("dead_letters"),
        int64("discarded"),
        optional("lag_rows", DataType::Int64),
    ])
}

/// `system.stores`: where each role is kept and whether it answers.
#[must_use]
pub fn stores() -> SchemaRef {
    schema(vec![
        text("role"),
        text("kind"),
        text("place"),
        required("reachable", DataType::Boolean),
        optional("layout_version", DataType::Int64),
        optional("bytes", DataType::Int64),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_table_has_a_column_twice() {
        let tables = [
            transactions(),
            risk_alerts(),
            user_profiles(),
            audit_log(),
            transaction_patterns(),
            system_metrics(),
            transaction_summary(),
            user_risk_summary(),
            transaction_metadata(),
            explanations(),
            throughput(),
            users(),
            alerts(),
            topic(),
            dead_letters(),
            freshness(),
            stores(),
        ];
        for table in tables {
            for (index, field) in table.fields().iter().enumerate() {
                assert_eq!(table.index_of(field.name()).unwrap(), index, "{}", field.name());
            }
        }
    }
}
