//! From scored records to the rows of the ledger's tables, as arrays of columns. Pure.
//!
//! What must stay true: a row says what the embedded ledger's says; a text that PostgreSQL's indexes cannot hold is refused by
//! its record, never by its batch; no value is written into the text of a statement.

use std::borrow::Cow;

use sqlx::Arguments;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArguments, PgBindIterExt};
use wh_eventlog::Stored;
use wh_schemas::json::Text;
use wh_schemas::scored::{Dimensions, RiskLevel};
use wh_schemas::{Alert, ScoreRecord, SeqPosition};
use wh_stores::postgres::values::{Instant, Money};
use wh_stores::postgres::{metadata, text};

use super::patterns;
use crate::alert;
use crate::delivery::walk::{Halt, Refused};

/// Longest text, in bytes, that stands in an index. A page holds 2,704 at most, the other columns of the index included.
const LONGEST_KEY: usize = 2_000;

/// Inserts rows and gives the positions of those that were not there: one row with an array, or with NULL for none.
/// `unnest` gives rows in the order of the arrays, so of two with one id the first one stays.
pub(super) const INSERT_TRANSACTIONS: &str = "WITH written AS (INSERT INTO transactions (pos, timestamp, processed_at, risk_score, amount_score, time_score, frequency_score, \
     behavior_score, metadata_score, is_anomaly, transaction_id, user_id, account_id, counterparty_account, department, transaction_type, amount, description, risk_level, \
     detection_rules, ruleset, content_hash, metadata, metadata_text) SELECT r.pos, r.timestamp, r.processed_at, r.risk_score, r.amount_score, r.time_score, r.frequency_score, \
     r.behavior_score, r.metadata_score, r.is_anomaly, r.transaction_id, r.user_id, r.account_id, r.counterparty_account, r.department, r.transaction_type, r.amount, r.description, \
     r.risk_level, r.detection_rules::json, r.ruleset, r.content_hash, r.metadata::jsonb, r.metadata_text FROM unnest($1::int8[], $2::timestamptz[], $3::timestamptz[], $4::int2[], \
     $5::int2[], $6::int2[], $7::int2[], $8::int2[], $9::int2[], $10::bool[], $11::text[], $12::text[], $13::text[], $14::text[], $15::text[], $16::text[], $17::numeric[], \
     $18::text[], $19::text[], $20::text[], $21::text[], $22::text[], $23::text[], $24::text[]) AS r (pos, timestamp, processed_at, risk_score, amount_score, time_score, \
     frequency_score, behavior_score, metadata_score, is_anomaly, transaction_id, user_id, account_id, counterparty_account, department, transaction_type, amount, description, \
     risk_level, detection_rules, ruleset, content_hash, metadata, metadata_text) ON CONFLICT DO NOTHING RETURNING pos) SELECT array_agg(pos) FROM written";

/// Inserts alerts that are not there yet.
pub(super) const INSERT_ALERTS: &str = "INSERT INTO risk_alerts (pos, created_at, risk_score, alert_id, transaction_id, user_id, alert_type, severity, title, message, \
     detection_rules, metadata) SELECT r.pos, r.created_at, r.risk_score, r.alert_id, r.transaction_id, r.user_id, r.alert_type, r.severity, r.title, r.message, \
     r.detection_rules::json, r.metadata::json FROM unnest($1::int8[], $2::timestamptz[], $3::int2[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], \
     $10::text[], $11::text[], $12::text[]) AS r (pos, created_at, risk_score, alert_id, transaction_id, user_id, alert_type, severity, title, message, detection_rules, metadata) \
     ON CONFLICT DO NOTHING";

/// What the ledger holds under these ids.
pub(super) const HASHES: &str = "SELECT transaction_id, content_hash FROM transactions WHERE transaction_id = ANY($1)";
/// Which of these positions are taken.
pub(super) const TAKEN: &str = "SELECT pos FROM transactions WHERE pos = ANY($1)";

/// A scored record on its way into the ledger.
pub(super) struct Row<'r> {
    pub(super) offset: u64,
    pub(super) score: ScoreRecord<'r>,
    pub(super) points: u8,
    appended: i64,
    level: RiskLevel,
    parts: Dimensions,
}

impl<'r> Row<'r> {
    /// The row of a record; `None` for a duplicate, which has no score.
    ///
    /// # Errors
    /// Refused where a text is too long for an index.
    pub(super) fn of(record: &Stored, score: ScoreRecord<'r>) -> Result<Option<Row<'r>>, Halt> {
        let (Some(points), Some(level), Some(parts)) = (score.risk_score, score.risk_level, score.dimensions) else {
            return Ok(None);
        };
        let keys =
            [&score.transaction_id, &score.user_id].into_iter().chain(score.alerts.iter().flat_map(|alert| [&alert.alert_id, &alert.transaction_id])).map(|key| key.as_str());
        let keys = keys.chain(score.patterns.iter().flat_map(patterns::keys_of));
        if let Some(longest) = keys.map(|key| text::stored(key).len()).max().filter(|longest| *longest > LONGEST_KEY) {
            return Err(too_long(record.offset, Some(ScoreRecord::position(&score)), longest));
        }
        Ok(Some(Row { offset: record.offset, appended: record.append_time, points, level, parts, score }))
    }

    /// Its key.
    pub(super) fn pos(&self) -> i64 {
        ScoreRecord::position(&self.score).packed()
    }

    /// Its id as it is stored.
    pub(super) fn id(&self) -> Cow<'_, str> {
        text::stored(&self.score.transaction_id)
    }

    /// Its content's hash as it is stored.
    pub(super) fn hash(&self) -> Cow<'_, str> {
        text::stored(&self.score.content_hash)
    }

    /// The ledger holds something else in its place.
    pub(super) fn conflict(&self) -> Refused {
        Refused {
            offset: self.offset,
            position: Some(ScoreRecord::position(&self.score)),
            class: "transaction_id:conflict",
            message: "the ledger holds another transaction with this transaction_id or position".to_owned(),
        }
    }
}

/// The refusal of a record with a text that no index can hold.
pub(super) fn too_long(offset: u64, position: Option<SeqPosition>, bytes: usize) -> Halt {
    let message = format!("expected ids of at most {LONGEST_KEY} bytes, found one of {bytes}");
    Halt::Refused(Refused { offset, position, class: "record:too-long", message })
}

/// Whether a text can stand in an index.
pub(super) fn is_key(key: &str) -> bool {
    text::stored(key).len() <= LONGEST_KEY
}

/// The arguments of a statement, one array a column.
#[derive(Default)]
pub(super) struct Columns(PgArguments);

impl Columns {
    pub(super) fn ints(&mut self, values: impl Iterator<Item = i64>) -> Result<(), BoxDynError> {
        Arguments::add(&mut self.0, values.bind_iter())
    }

    pub(super) fn smalls(&mut self, values: impl Iterator<Item = u8>) -> Result<(), BoxDynError> {
        Arguments::add(&mut self.0, values.map(i16::from).bind_iter())
    }

    pub(super) fn floats(&mut self, values: impl Iterator<Item = f64>) -> Result<(), BoxDynError> {
        Arguments::add(&mut self.0, values.bind_iter())
    }

    pub(super) fn flags(&mut self, values: impl Iterator<Item = bool>) -> Result<(), BoxDynError> {
        Arguments::add(&mut self.0, values.bind_iter())
    }

    pub(super) fn instants(&mut self, values: impl Iterator<Item = i64>) -> Result<(), BoxDynError> {
        Arguments::add(&mut self.0, values.map(Instant).bind_iter())
    }

    pub(super) fn money(&mut self, cents: impl Iterator<Item = i64>) -> Result<(), BoxDynError> {
        Arguments::add(&mut self.0, cents.map(Money).bind_iter())
    }

    /// Texts of any characters.
    pub(super) fn texts<'t>(&mut self, values: impl Iterator<Item = &'t str>) -> Result<(), BoxDynError> {
        Arguments::add(&mut self.0, values.map(text::stored).bind_iter())
    }

    /// Texts of any characters, or none.
    pub(super) fn optional<'t>(&mut self, values: impl Iterator<Item = Option<&'t str>>) -> Result<(), BoxDynError> {
        Arguments::add(&mut self.0, values.map(|value| value.map(text::stored)).bind_iter())
    }

    /// JSON, in which no character stands that needs writing otherwise.
    pub(super) fn json(&mut self, values: impl Iterator<Item = String>) -> Result<(), BoxDynError> {
        Arguments::add(&mut self.0, values.bind_iter())
    }

    /// JSON, or none.
    pub(super) fn optional_json<'t>(&mut self, values: impl Iterator<Item = Option<&'t str>>) -> Result<(), BoxDynError> {
        Arguments::add(&mut self.0, values.bind_iter())
    }

    pub(super) fn into_arguments(self) -> PgArguments {
        self.0
    }
}

/// The arguments of [`INSERT_TRANSACTIONS`].
pub(super) fn transactions(rows: &[Row<'_>]) -> Result<PgArguments, BoxDynError> {
    let mut columns = Columns::default();
    let stored: Vec<metadata::Columns<'_>> = rows.iter().map(|row| metadata::columns(row.score.metadata.get())).collect();
    columns.ints(rows.iter().map(Row::pos))?;
    columns.instants(rows.iter().map(|row| row.score.timestamp.0))?;
    columns.instants(rows.iter().map(|row| row.appended))?;
    columns.smalls(rows.iter().map(|row| row.points))?;
    columns.smalls(rows.iter().map(|row| row.parts.amount))?;
    columns.smalls(rows.iter().map(|row| row.parts.time))?;
    columns.smalls(rows.iter().map(|row| row.parts.frequency))?;
    columns.smalls(rows.iter().map(|row| row.parts.behavior))?;
    columns.smalls(rows.iter().map(|row| row.parts.metadata))?;
    columns.flags(rows.iter().map(|row| row.score.is_anomaly.unwrap_or(false)))?;
    columns.texts(rows.iter().map(|row| row.score.transaction_id.as_str()))?;
    columns.texts(rows.iter().map(|row| row.score.user_id.as_str()))?;
    columns.texts(rows.iter().map(|row| row.score.account_id.as_str()))?;
    columns.optional(rows.iter().map(|row| row.score.counterparty_account.as_deref()))?;
    columns.texts(rows.iter().map(|row| row.score.department.as_str()))?;
    columns.texts(rows.iter().map(|row| row.score.transaction_type.as_str()))?;
    columns.money(rows.iter().map(|row| row.score.amount.0))?;
    columns.optional(rows.iter().map(|row| row.score.description.as_deref()))?;
    columns.texts(rows.iter().map(|row| row.level.as_str()))?;
    columns.json(rows.iter().map(|row| names(&row.score.detection_rules)))?;
    columns.texts(rows.iter().map(|row| row.score.ruleset.as_deref().unwrap_or_default()))?;
    columns.texts(rows.iter().map(|row| row.score.content_hash.as_str()))?;
    columns.optional_json(stored.iter().map(|stored| stored.json))?;
    columns.optional_json(stored.iter().map(|stored| stored.text))?;
    Ok(columns.into_arguments())
}

/// The arguments of [`INSERT_ALERTS`].
pub(super) fn alerts(alerts: &[(&Row<'_>, &Alert<'_>)]) -> Result<PgArguments, BoxDynError> {
    let mut columns = Columns::default();
    columns.ints(alerts.iter().map(|(row, _)| row.pos()))?;
    columns.instants(alerts.iter().map(|(row, _)| row.appended))?;
    columns.smalls(alerts.iter().map(|(_, alert)| alert.risk_score))?;
    columns.texts(alerts.iter().map(|(_, alert)| alert.alert_id.as_str()))?;
    columns.texts(alerts.iter().map(|(_, alert)| alert.transaction_id.as_str()))?;
    columns.texts(alerts.iter().map(|(row, _)| row.score.user_id.as_str()))?;
    columns.texts(alerts.iter().map(|(_, alert)| alert.alert_type.as_str()))?;
    columns.texts(alerts.iter().map(|(_, alert)| alert.severity.as_str()))?;
    columns.texts(alerts.iter().map(|(_, alert)| alert.title.as_str()))?;
    columns.texts(alerts.iter().map(|(_, alert)| alert.message.as_str()))?;
    columns.json(alerts.iter().map(|(_, alert)| names(&alert.detection_rules)))?;
    columns.json(alerts.iter().map(|(row, _)| alert::metadata(&row.score)))?;
    Ok(columns.into_arguments())
}

fn names(names: &[Text<'_>]) -> String {
    serde_json::to_string(names).unwrap_or_else(|_| "[]".to_owned())
}
