//! Patterns into the embedded ledger: those by user with their scored record, those by account from `risk-alerts`, with their alert.
//!
//! What must stay true: a pattern is written once by its id; its alert stands under a partition of its own, where no scored record's stands.

use rusqlite::{Transaction, params};
use wh_eventlog::Stored;
use wh_schemas::alert::PATTERN_ROWS;
use wh_schemas::pattern::Pattern;

use super::file::{Failure, key};
use crate::delivery::Tally;
use crate::delivery::walk::{DUPLICATE, STORED};
use crate::pattern::{PatternRow, texts};

/// Writes a pattern that is not there yet; returns the rows written.
pub(super) fn insert(transaction: &Transaction<'_>, pattern: &Pattern<'_>) -> Result<usize, Failure> {
    let inserted = transaction
        .prepare_cached(
            "INSERT INTO transaction_patterns (pattern_id, pattern_type, user_id, accounts, members, risk_score, description, first_event, last_event) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            pattern.pattern_id.as_str(),
            pattern.pattern_type.as_str(),
            pattern.user_id.as_deref(),
            texts(&pattern.accounts),
            texts(&pattern.members),
            pattern.risk_score,
            pattern.description.as_str(),
            pattern.first_event.0,
            pattern.last_event.0,
        ])?;
    Ok(inserted)
}

/// Writes a record of the stage `patterns`: its pattern, and its alert where it is one.
pub(super) fn write(transaction: &Transaction<'_>, record: &Stored, row: &PatternRow<'_>, alerts: &mut u64) -> Result<Tally, Failure> {
    let mut written = match row.pattern() {
        Some(pattern) => insert(transaction, pattern)?,
        None => 0,
    };
    if row.is_raised() {
        *alerts += 1;
        written += insert_alert(transaction, record, row)?;
    }
    Ok(if written == 0 { DUPLICATE } else { STORED })
}

fn insert_alert(transaction: &Transaction<'_>, record: &Stored, row: &PatternRow<'_>) -> Result<usize, Failure> {
    let alert = &row.alert;
    let inserted = transaction
        .prepare_cached(
            "INSERT INTO risk_alerts (pos, alert_id, transaction_id, user_id, alert_type, severity, risk_score, title, message, detection_rules, created_at, metadata) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            row.row.packed(),
            alert.alert_id.as_str(),
            alert.transaction_id.as_str(),
            row.completing.user_id.as_str(),
            alert.alert_type.as_str(),
            alert.severity.as_str(),
            alert.risk_score,
            alert.title.as_str(),
            alert.message.as_str(),
            texts(&alert.detection_rules),
            record.append_time,
            row.metadata(),
        ])?;
    Ok(inserted)
}

/// Removes pattern alerts that were written before `before`. Their rows of `transaction_patterns` are few, and stay.
pub(super) fn delete_before(transaction: &Transaction<'_>, before: i64) -> Result<u64, Failure> {
    let removed = transaction.execute("DELETE FROM risk_alerts WHERE pos >= ?1 AND created_at < ?2", params![key(PATTERN_ROWS, 0), before])?;
    Ok(removed as u64)
}
