//! Putting embedded stores right, in one transaction.
//!
//! What must stay true: rows that are removed and records that are written again become visible together; an alert that is written again has
//! the status that it had.

use std::collections::BTreeSet;

use async_trait::async_trait;
use rusqlite::types::Value;
use rusqlite::{OptionalExtension, Transaction, params};
use wh_schemas::Reaction;

use super::documents::DocumentsStore;
use super::file::{Failure, counted};
use super::ledger::LedgerStore;
use super::metrics::MetricsStore;
use super::reconcile_metrics;
use super::{documents, ledger, metrics};
use crate::delivery::Batch;
use crate::reconcile::{ALERTS, Repair, Row, TRANSACTIONS};

/// What people have made of an alert.
struct Status {
    pos: i64,
    status: String,
    by: Value,
    at: Value,
}

fn pos_of(row: &Row) -> Option<i64> {
    row.place.parse().ok()
}

fn remove(transaction: &Transaction<'_>, table: &str, rows: &[Row]) -> rusqlite::Result<()> {
    let mut delete = transaction.prepare_cached(&format!("DELETE FROM {table} WHERE pos = ?1"))?;
    for pos in rows.iter().filter(|row| row.table == table).filter_map(pos_of) {
        delete.execute([pos])?;
    }
    Ok(())
}

fn statuses(transaction: &Transaction<'_>, rows: &[Row]) -> rusqlite::Result<Vec<Status>> {
    let mut read = transaction.prepare_cached("SELECT status, acknowledged_by, acknowledged_at FROM risk_alerts WHERE pos = ?1")?;
    let mut found = Vec::new();
    for pos in rows.iter().filter(|row| row.table == ALERTS).filter_map(pos_of) {
        found.extend(read.query_row([pos], |row| Ok(Status { pos, status: row.get(0)?, by: row.get(1)?, at: row.get(2)? })).optional()?);
    }
    Ok(found)
}

fn restore(transaction: &Transaction<'_>, statuses: &[Status]) -> rusqlite::Result<()> {
    let mut write = transaction.prepare_cached("UPDATE risk_alerts SET status = ?2, acknowledged_by = ?3, acknowledged_at = ?4 WHERE pos = ?1")?;
    for Status { pos, status, by, at } in statuses {
        write.execute(params![pos, status, by, at])?;
    }
    Ok(())
}

#[async_trait]
impl Repair for LedgerStore {
    async fn repair(&mut self, rows: &[Row], batch: Batch) -> Result<(), Reaction> {
        let (zone, rows) = (self.zone, rows.to_vec());
        let repaired = self.file.transaction(move |transaction| {
            let statuses = statuses(transaction, &rows)?;
            remove(transaction, ALERTS, &rows)?;
            remove(transaction, TRANSACTIONS, &rows)?;
            let written = ledger::again(transaction, &batch, &BTreeSet::new(), zone)?;
            restore(transaction, &statuses)?;
            Ok::<_, Failure>(written)
        });
        counted(repaired.await?).map(drop)
    }
}

#[async_trait]
impl Repair for DocumentsStore {
    async fn repair(&mut self, rows: &[Row], batch: Batch) -> Result<(), Reaction> {
        let rows = rows.to_vec();
        let repaired = self.file.transaction(move |transaction| {
            remove(transaction, "documents", &rows)?;
            documents::again(transaction, &batch)
        });
        counted(repaired.await?).map(drop)
    }
}

#[async_trait]
impl Repair for MetricsStore {
    async fn repair(&mut self, rows: &[Row], batch: Batch) -> Result<(), Reaction> {
        let rows = rows.to_vec();
        let repaired = self.file.transaction(move |transaction| {
            for row in &rows {
                reconcile_metrics::remove(transaction, row)?;
            }
            metrics::again(transaction, &batch)
        });
        counted(repaired.await?).map(drop)
    }
}
