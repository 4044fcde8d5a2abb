//! Putting the ledger on PostgreSQL right, in one transaction.
//!
//! What must stay true: rows that are removed and records that are written again become visible together; an alert that is written again has
//! the status that it had.

use std::collections::BTreeSet;

use async_trait::async_trait;
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Postgres};
use wh_schemas::Reaction;

use super::sink::{LedgerStore, Writing, within};
use crate::delivery::Batch;
use crate::reconcile::{ALERTS, Repair, Row, TRANSACTIONS};

const REMOVE_TRANSACTIONS: &str = "DELETE FROM transactions WHERE pos = ANY($1)";
const REMOVE_ALERTS: &str = "DELETE FROM risk_alerts WHERE pos = ANY($1)";
/// What people have made of alerts.
const STATUSES: &str = "SELECT pos, status, acknowledged_by, acknowledged_at::text FROM risk_alerts WHERE pos = ANY($1)";
const GIVE_BACK: &str = "UPDATE risk_alerts SET status = kept.status, acknowledged_by = kept.acknowledged_by, acknowledged_at = kept.acknowledged_at::timestamptz \
     FROM unnest($1::int8[], $2::text[], $3::text[], $4::text[]) AS kept (pos, status, acknowledged_by, acknowledged_at) WHERE risk_alerts.pos = kept.pos";

/// Position, status, by whom and when.
type Status = (i64, String, Option<String>, Option<String>);

fn positions(rows: &[Row], table: &str) -> Vec<i64> {
    rows.iter().filter(|row| row.table == table).filter_map(|row| row.place.parse().ok()).collect()
}

async fn put_right(writing: Writing<'_>, connection: &mut PgConnection, rows: &[Row], batch: &Batch) -> Result<(), Reaction> {
    let told = |error: sqlx::Error| writing.told(&error);
    let (alerts, transactions) = (positions(rows, ALERTS), positions(rows, TRANSACTIONS));
    let mut transaction = connection.begin().await.map_err(told)?;
    let mut statuses: Vec<Status> = Vec::new();
    if !alerts.is_empty() {
        statuses = sqlx::query_as::<Postgres, Status>(STATUSES).bind(&alerts).fetch_all(&mut *transaction).await.map_err(told)?;
        sqlx::query::<Postgres>(REMOVE_ALERTS).bind(&alerts).execute(&mut *transaction).await.map_err(told)?;
    }
    if !transactions.is_empty() {
        sqlx::query::<Postgres>(REMOVE_TRANSACTIONS).bind(&transactions).execute(&mut *transaction).await.map_err(told)?;
    }
    if !batch.records.is_empty() {
        writing.again(&mut transaction, batch, &BTreeSet::new()).await?;
    }
    if !statuses.is_empty() {
        let places: Vec<i64> = statuses.iter().map(|(pos, ..)| *pos).collect();
        let said: Vec<&str> = statuses.iter().map(|(_, status, ..)| status.as_str()).collect();
        let by: Vec<Option<&str>> = statuses.iter().map(|(_, _, by, _)| by.as_deref()).collect();
        let at: Vec<Option<&str>> = statuses.iter().map(|(.., at)| at.as_deref()).collect();
        sqlx::query::<Postgres>(GIVE_BACK).bind(places).bind(said).bind(by).bind(at).execute(&mut *transaction).await.map_err(told)?;
    }
    transaction.commit().await.map_err(told)
}

#[async_trait]
impl Repair for LedgerStore {
    async fn repair(&mut self, rows: &[Row], batch: Batch) -> Result<(), Reaction> {
        let mut connection = self.connection().await?;
        let writing = self.writing();
        within(writing.place, writing.limit, put_right(writing, &mut connection, rows, &batch)).await?;
        self.connection = Some(connection);
        Ok(())
    }
}
