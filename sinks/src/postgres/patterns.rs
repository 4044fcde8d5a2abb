//! Patterns into the ledger: those by user with their scored record, those by account from `risk-alerts`, with their alert.
//!
//! What must stay true: a row says what the embedded ledger's says; a pattern is written once by its id; no value is written into the text of a
//! statement.

use std::collections::HashSet;

use sqlx::Postgres;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArguments, PgConnection};
use wh_eventlog::Stored;
use wh_schemas::pattern::Pattern;
use wh_stores::postgres::text;

use super::dialect::{self, Columns};
use crate::delivery::walk::{self, Halt, Positioned, STORED};
use crate::delivery::{Batch, StorePosition};
use crate::pattern::{PatternRow, texts};

/// Inserts patterns that are not there yet; gives their ids: one row with an array, or with NULL for none.
const INSERT_PATTERNS: &str = "WITH written AS (INSERT INTO transaction_patterns (risk_score, first_event, last_event, pattern_id, pattern_type, user_id, accounts, members, \
     description) SELECT r.risk_score, r.first_event, r.last_event, r.pattern_id, r.pattern_type, r.user_id, r.accounts::json, r.members::json, r.description \
     FROM unnest($1::int2[], $2::timestamptz[], $3::timestamptz[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[]) \
     AS r (risk_score, first_event, last_event, pattern_id, pattern_type, user_id, accounts, members, description) ON CONFLICT DO NOTHING RETURNING pattern_id) \
     SELECT array_agg(pattern_id) FROM written";
/// Inserts pattern alerts that are not there yet; gives their ids as above.
const INSERT_ALERTS: &str = "WITH written AS (INSERT INTO risk_alerts (pos, created_at, risk_score, alert_id, transaction_id, user_id, alert_type, severity, title, message, \
     detection_rules, metadata) SELECT r.pos, r.created_at, r.risk_score, r.alert_id, r.transaction_id, r.user_id, r.alert_type, r.severity, r.title, r.message, \
     r.detection_rules::json, r.metadata::json FROM unnest($1::int8[], $2::timestamptz[], $3::int2[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], \
     $10::text[], $11::text[], $12::text[]) AS r (pos, created_at, risk_score, alert_id, transaction_id, user_id, alert_type, severity, title, message, detection_rules, metadata) \
     ON CONFLICT DO NOTHING RETURNING alert_id) SELECT array_agg(alert_id) FROM written";

/// A record of the stage `patterns` on its way into the ledger.
pub(super) struct Recorded<'r> {
    pub(super) offset: u64,
    appended: i64,
    pub(super) row: PatternRow<'r>,
}

impl<'r> Recorded<'r> {
    /// The row of a record.
    ///
    /// # Errors
    /// Refused where a text is too long for an index.
    fn of(record: &Stored, row: PatternRow<'r>) -> Result<Recorded<'r>, Halt> {
        let alert = &row.alert;
        let keys = [&alert.alert_id, &alert.transaction_id, &row.completing.user_id].into_iter().map(|key| key.as_str());
        let keys = keys.chain(row.pattern().into_iter().flat_map(keys_of));
        if let Some(longest) = keys.filter(|key| !dialect::is_key(key)).map(str::len).max() {
            return Err(dialect::too_long(record.offset, Some(row.position()), longest));
        }
        Ok(Recorded { offset: record.offset, appended: record.append_time, row })
    }
}

/// Texts of a pattern that stand in an index.
pub(super) fn keys_of<'p>(pattern: &'p Pattern<'_>) -> impl Iterator<Item = &'p str> {
    [Some(pattern.pattern_id.as_str()), pattern.user_id.as_deref()].into_iter().flatten()
}

/// The rows of a batch behind a position, and the position behind them, were all of them stored. Pure.
pub(super) fn rows<'r>(batch: &'r Batch, start: &StorePosition) -> Result<(Vec<Recorded<'r>>, StorePosition), Halt> {
    let mut rows = Vec::new();
    let position = walk::walk_some(batch, start, PatternRow::read, |record, row, _| {
        rows.push(Recorded::of(record, row)?);
        Ok::<_, Halt>(STORED)
    })?;
    Ok((rows, position))
}

/// The rows of a batch that is written again, without a fence. What cannot be read or stored is passed over: the dead letters hold it.
pub(super) fn again(batch: &Batch) -> Vec<Recorded<'_>> {
    batch.records.iter().filter_map(|record| Recorded::of(record, PatternRow::read(record).ok()??).ok()).collect()
}

/// Inserts patterns; gives the ids of those that were not there, as they are stored.
pub(super) async fn insert(connection: &mut PgConnection, patterns: &[&Pattern<'_>], chunk: usize) -> Result<HashSet<String>, sqlx::Error> {
    let mut inserted = HashSet::new();
    for chunk in patterns.chunks(chunk) {
        inserted.extend(ids(connection, INSERT_PATTERNS, columns(chunk)).await?);
    }
    Ok(inserted)
}

/// What writing records came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wrote {
    /// Records of which the pattern or its alert was not there.
    pub(super) rows: u64,
    /// Alerts among the records.
    pub(super) alerts: u64,
}

/// Writes records: their patterns, and the alerts of those that are one.
pub(super) async fn write(connection: &mut PgConnection, rows: &[Recorded<'_>], chunk: usize) -> Result<Wrote, sqlx::Error> {
    let patterns: Vec<&Pattern<'_>> = rows.iter().filter_map(|recorded| recorded.row.pattern()).collect();
    let mut inserted = insert(connection, &patterns, chunk).await?;
    let raised: Vec<&Recorded<'_>> = rows.iter().filter(|recorded| recorded.row.is_raised()).collect();
    for chunk in raised.chunks(chunk) {
        inserted.extend(ids(connection, INSERT_ALERTS, alerts(chunk)).await?);
    }
    // Of two with one id the first one is written.
    let written = rows.iter().filter(|recorded| inserted.remove(&*text::stored(&recorded.row.alert.alert_id))).count();
    Ok(Wrote { rows: written as u64, alerts: raised.len() as u64 })
}

async fn ids(connection: &mut PgConnection, statement: &'static str, arguments: Result<PgArguments, BoxDynError>) -> Result<Vec<String>, sqlx::Error> {
    let arguments = arguments.map_err(sqlx::Error::Encode)?;
    let found = sqlx::query_scalar_with::<Postgres, Option<Vec<String>>, PgArguments>(statement, arguments).fetch_one(connection).await?;
    Ok(found.unwrap_or_default())
}

/// The arguments of [`INSERT_PATTERNS`].
fn columns(patterns: &[&Pattern<'_>]) -> Result<PgArguments, BoxDynError> {
    let mut columns = Columns::default();
    columns.smalls(patterns.iter().map(|pattern| pattern.risk_score))?;
    columns.instants(patterns.iter().map(|pattern| pattern.first_event.0))?;
    columns.instants(patterns.iter().map(|pattern| pattern.last_event.0))?;
    columns.texts(patterns.iter().map(|pattern| pattern.pattern_id.as_str()))?;
    columns.texts(patterns.iter().map(|pattern| pattern.pattern_type.as_str()))?;
    columns.optional(patterns.iter().map(|pattern| pattern.user_id.as_deref()))?;
    columns.json(patterns.iter().map(|pattern| texts(&pattern.accounts)))?;
    columns.json(patterns.iter().map(|pattern| texts(&pattern.members)))?;
    columns.texts(patterns.iter().map(|pattern| pattern.description.as_str()))?;
    Ok(columns.into_arguments())
}

/// The arguments of [`INSERT_ALERTS`].
fn alerts(rows: &[&Recorded<'_>]) -> Result<PgArguments, BoxDynError> {
    let mut columns = Columns::default();
    columns.ints(rows.iter().map(|recorded| recorded.row.row.packed()))?;
    columns.instants(rows.iter().map(|recorded| recorded.appended))?;
    columns.smalls(rows.iter().map(|recorded| recorded.row.alert.risk_score))?;
    columns.texts(rows.iter().map(|recorded| recorded.row.alert.alert_id.as_str()))?;
    columns.texts(rows.iter().map(|recorded| recorded.row.alert.transaction_id.as_str()))?;
    columns.texts(rows.iter().map(|recorded| recorded.row.completing.user_id.as_str()))?;
    columns.texts(rows.iter().map(|recorded| recorded.row.alert.alert_type.as_str()))?;
    columns.texts(rows.iter().map(|recorded| recorded.row.alert.severity.as_str()))?;
    columns.texts(rows.iter().map(|recorded| recorded.row.alert.title.as_str()))?;
    columns.texts(rows.iter().map(|recorded| recorded.row.alert.message.as_str()))?;
    columns.json(rows.iter().map(|recorded| texts(&recorded.row.alert.detection_rules)))?;
    columns.json(rows.iter().map(|recorded| recorded.row.metadata()))?;
    Ok(columns.into_arguments())
}
