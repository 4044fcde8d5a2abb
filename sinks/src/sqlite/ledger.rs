//! The embedded ledger: transactions, alerts, patterns, profiles, audit events and system metrics, each batch in one transaction with its position.

use std::collections::BTreeSet;
use std::path::Path;

use async_trait::async_trait;
use chrono_tz::Tz;
use rusqlite::{OptionalExtension, Transaction, params};
use wh_eventlog::Stored;
use wh_schemas::layout::LEDGER;
use wh_schemas::position::{SeqPosition, WITNESS_STREAM};
use wh_schemas::topics::{RISK_ALERTS, RISK_SCORES, SYSTEM_EVENTS};
use wh_schemas::{Alert, Reaction, ScoreRecord};
use wh_stores::sqlite;

use super::file::{self, Failure, StoreFile};
use super::profiles::Profiles;
use super::{events, file::key, patterns};
use crate::alert;
use crate::delivery::walk::{self, DUPLICATE, Halt, Refused, STORED, stream_of};
use crate::delivery::{Batch, Store, StorePosition, Tally, Written};
use crate::pattern::PatternRow;

/// The embedded ledger.
pub struct LedgerStore {
    pub(super) file: StoreFile,
    pub(super) zone: Tz,
}

impl LedgerStore {
    /// Opens the ledger, made when it is not there. `zone` is the hospital's, for the hours of profiles.
    ///
    /// # Errors
    /// Fatal where it cannot be written, is damaged, or a newer version wrote it.
    pub fn open(path: &Path, zone: Tz) -> Result<LedgerStore, Reaction> {
        let file = StoreFile::open(path, &LEDGER, sqlite::Settings { cache_kib: 64 * 1024, ..sqlite::Settings::default() })?;
        Ok(LedgerStore { file, zone })
    }
}

#[async_trait]
impl Store for LedgerStore {
    fn role(&self) -> &'static str {
        "ledger"
    }

    fn topics(&self) -> Vec<&'static str> {
        vec![RISK_SCORES, RISK_ALERTS, SYSTEM_EVENTS]
    }

    async fn log(&mut self) -> Result<Option<u64>, Reaction> {
        self.file.log().await
    }

    async fn bind(&mut self, log: u64) -> Result<u64, Reaction> {
        self.file.bind(log).await
    }

    async fn witnesses(&mut self) -> Result<Vec<StorePosition>, Reaction> {
        self.file.positions(WITNESS_STREAM).await
    }

    async fn remember(&mut self, taken: &[StorePosition]) -> Result<(), Reaction> {
        self.file.remember(taken).await
    }

    async fn positions(&mut self, topic: &str) -> Result<Vec<StorePosition>, Reaction> {
        self.file.positions(stream_of(topic)).await
    }

    async fn write(&mut self, batch: Batch) -> Result<Written, Reaction> {
        let zone = self.zone;
        let written = self.file.transaction(move |transaction| {
            let stream = stream_of(&batch.topic);
            let start = file::position(transaction, stream, batch.partition)?;
            if &*batch.topic == SYSTEM_EVENTS {
                let position = events::write(transaction, &batch, &start)?;
                file::publish(transaction, stream, &position)?;
                return Ok(Written::Done { position, alerts: 0 });
            }
            let mut alerts = 0;
            if &*batch.topic == RISK_ALERTS {
                let position = walk::walk_some(&batch, &start, PatternRow::read, |record, row, _| patterns::write(transaction, record, &row, &mut alerts))?;
                file::publish(transaction, stream, &position)?;
                return Ok(Written::Done { position, alerts });
            }
            let mut profiles = Profiles::new(zone);
            let position = walk::walk(
                &batch,
                &start,
                |record| serde_json::from_slice::<ScoreRecord<'_>>(&record.value),
                |record, row, _| write_row(transaction, record, &row, &mut profiles, &mut alerts),
            )?;
            profiles.write(transaction)?;
            file::publish(transaction, stream, &position)?;
            Ok(Written::Done { position, alerts })
        });
        written.await.map(|done| done.unwrap_or_else(|refused| refused))
    }

    async fn replay(&mut self, batch: Batch) -> Result<u64, Reaction> {
        let zone = self.zone;
        let written = self.file.transaction(move |transaction| again(transaction, &batch, &batch.buried, zone));
        file::counted(written.await?)
    }

    async fn publish(&mut self) -> Result<bool, Reaction> {
        Ok(false)
    }

    async fn retain(&mut self, before: i64) -> Result<u64, Reaction> {
        let removed = self.file.transaction(move |transaction| {
            let mut removed = 0;
            for (table, column) in [("transactions", "processed_at"), ("risk_alerts", "created_at")] {
                removed += delete_before(transaction, table, column, before)?;
            }
            removed += patterns::delete_before(transaction, before)?;
            transaction.execute("DELETE FROM system_metrics WHERE timestamp < ?1", [before])?;
            Ok(removed)
        });
        removed.await.map(|removed| removed.unwrap_or(0))
    }
}

/// Writes records again past the fence: the ledger's keys alone decide. Profiles counted these rows when they were first written, but for
/// those of the offsets `uncounted`. Returns how many transactions were not there.
pub(super) fn again(transaction: &Transaction<'_>, batch: &Batch, uncounted: &BTreeSet<u64>, zone: Tz) -> Result<u64, Failure> {
    // What is counted already is counted into profiles that are dropped.
    let (mut counted, mut missed, mut alerts) = (Profiles::new(zone), Profiles::new(zone), 0);
    let written = file::walk_again(batch, |record| {
        if &*batch.topic == RISK_ALERTS {
            let Some(row) = PatternRow::read(record)? else { return Ok(0) };
            return patterns::write(transaction, record, &row, &mut alerts).map(|tally| tally.stored);
        }
        let row: ScoreRecord<'_> = serde_json::from_slice(&record.value)?;
        let there: bool =
            transaction.prepare_cached("SELECT EXISTS (SELECT 1 FROM transactions WHERE pos = ?1)")?.query_row([ScoreRecord::position(&row).packed()], |found| found.get(0))?;
        if there {
            // The row is there; its alert and patterns may not be.
            for alert in &row.alerts {
                write_alert(transaction, record, &row, alert)?;
            }
            for pattern in &row.patterns {
                patterns::insert(transaction, pattern)?;
            }
            return Ok(0);
        }
        let profiles = if uncounted.contains(&record.offset) { &mut missed } else { &mut counted };
        write_row(transaction, record, &row, profiles, &mut alerts).map(|tally| tally.stored)
    })?;
    missed.write(transaction)?;
    Ok(written)
}

/// Rows of each partition that are removed at once: nothing is written meanwhile. Whoever asks again goes on with it.
const RETENTION_STEP: i64 = 20_000;

/// Removes of the head of each partition what was written before `before`, as far as a step goes, and publishes the floor.
pub(super) fn delete_before(transaction: &Transaction<'_>, table: &str, column: &str, before: i64) -> Result<u64, Failure> {
    let partitions: Vec<(u32, u64)> =
        transaction.prepare("SELECT partition, next_seq FROM positions WHERE stream = 'scorer'")?.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
    let mut removed = 0;
    for (partition, next_seq) in partitions {
        let kept: Option<i64> = transaction
            .query_row(
                &format!("SELECT pos FROM {table} WHERE pos >= ?1 AND pos < ?2 AND {column} >= ?3 ORDER BY pos LIMIT 1"),
                params![key(partition, 0), key(partition + 1, 0), before],
                |row| row.get(0),
            )
            .optional()?;
        let floor = kept.unwrap_or_else(|| key(partition, next_seq));
        let step: Option<i64> = transaction
            .query_row(&format!("SELECT pos FROM {table} WHERE pos >= ?1 AND pos < ?2 ORDER BY pos LIMIT 1 OFFSET ?3"), params![key(partition, 0), floor, RETENTION_STEP], |row| {
                row.get(0)
            })
            .optional()?;
        let floor = step.unwrap_or(floor);
        removed += transaction.execute(&format!("DELETE FROM {table} WHERE pos >= ?1 AND pos < ?2"), params![key(partition, 0), floor])? as u64;
        if table != "risk_alerts" {
            transaction
                .execute("UPDATE positions SET floor_seq = max(floor_seq, ?2) WHERE stream = 'scorer' AND partition = ?1", params![partition, SeqPosition::unpacked(floor).seq])?;
        }
    }
    Ok(removed)
}

fn write_row(transaction: &Transaction<'_>, record: &Stored, row: &ScoreRecord<'_>, profiles: &mut Profiles, alerts: &mut u64) -> Result<Tally, Failure> {
    let (Some(score), Some(level), Some(dimensions)) = (row.risk_score, row.risk_level, row.dimensions) else {
        return Ok(DUPLICATE);
    };
    let position = ScoreRecord::position(row);
    let rules = serde_json::to_string(&row.detection_rules).unwrap_or_else(|_| "[]".to_owned());
    let inserted = transaction
        .prepare_cached(
            "INSERT INTO transactions (pos, transaction_id, timestamp, user_id, account_id, counterparty_account, department, transaction_type, amount, description, \
             risk_score, risk_level, is_anomaly, amount_score, time_score, frequency_score, behavior_score, metadata_score, detection_rules, ruleset, metadata, content_hash, processed_at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23) ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            position.packed(),
            row.transaction_id.as_str(),
            row.timestamp.0,
            row.user_id.as_str(),
            row.account_id.as_str(),
            row.counterparty_account.as_deref(),
            row.department.as_str(),
            row.transaction_type.as_str(),
            row.amount.0,
            row.description.as_deref(),
            score,
            level.as_str(),
            row.is_anomaly.unwrap_or(false),
            dimensions.amount,
            dimensions.time,
            dimensions.frequency,
            dimensions.behavior,
            dimensions.metadata,
            rules,
            row.ruleset.as_deref().unwrap_or_default(),
            row.metadata.get(),
            row.content_hash.as_str(),
            record.append_time,
        ])?;
    if inserted == 0 {
        return already_there(transaction, record, row, position);
    }
    for alert in &row.alerts {
        *alerts += 1;
        write_alert(transaction, record, row, alert)?;
    }
    for pattern in &row.patterns {
        patterns::insert(transaction, pattern)?;
    }
    profiles.add(row, score);
    Ok(STORED)
}

/// An id or a position that the ledger holds already: beyond the scorer's horizon the store's key decides, the same way.
fn already_there(transaction: &Transaction<'_>, record: &Stored, row: &ScoreRecord<'_>, position: SeqPosition) -> Result<Tally, Failure> {
    let same: Option<bool> = transaction
        .prepare_cached("SELECT content_hash = ?2 FROM transactions WHERE transaction_id = ?1")?
        .query_row(params![row.transaction_id.as_str(), row.content_hash.as_str()], |found| found.get(0))
        .optional()?;
    match same {
        Some(true) => Ok(DUPLICATE),
        _ => Err(Failure::Halt(Halt::Refused(Refused {
            offset: record.offset,
            position: Some(position),
            class: "transaction_id:conflict",
            message: "the ledger holds another transaction with this transaction_id or position".to_owned(),
        }))),
    }
}

fn write_alert(transaction: &Transaction<'_>, record: &Stored, row: &ScoreRecord<'_>, alert: &Alert<'_>) -> Result<(), Failure> {
    let rules = serde_json::to_string(&alert.detection_rules).unwrap_or_else(|_| "[]".to_owned());
    let metadata = alert::metadata(row);
    transaction
        .prepare_cached(
            "INSERT INTO risk_alerts (pos, alert_id, transaction_id, user_id, alert_type, severity, risk_score, title, message, detection_rules, created_at, metadata) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            ScoreRecord::position(row).packed(),
            alert.alert_id.as_str(),
            alert.transaction_id.as_str(),
            row.user_id.as_str(),
            alert.alert_type.as_str(),
            alert.severity.as_str(),
            alert.risk_score,
            alert.title.as_str(),
            alert.message.as_str(),
            rules,
            record.append_time,
            metadata,
        ])?;
    Ok(())
}
