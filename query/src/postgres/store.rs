//! A PostgreSQL database as the store of the ledger.

use std::sync::Arc;

use sqlx::postgres::{PgRow, PgValueRef};
use sqlx::{AssertSqlSafe, Postgres, Row};
use wh_stores::postgres::values::Instant;
use wh_stores::postgres::{PostgresSettings, layout};

use super::cells;
use super::scan::PostgresScan;
use super::sessions::{ROLE, Sessions};
use super::tables;
use crate::errors::QueryError;
use crate::positions::Position;
use crate::store::{RoleStore, SinkStore, wait};
use crate::table::Relation;

const POSITIONS: &str = "SELECT stream, partition, greatest(next_seq, visible_seq), next_offset, stored, duplicates, dead_letters, discarded, updated_at, floor_seq \
     FROM positions ORDER BY stream, partition";
const BYTES: &str = "SELECT pg_database_size(current_database())";

/// The ledger in a PostgreSQL database, or in its replica.
#[derive(Debug)]
pub(crate) struct PostgresLedger {
    pub(super) sessions: Sessions,
}

impl PostgresLedger {
    /// No I/O: it is reached when it is read.
    pub(crate) fn new(settings: PostgresSettings) -> PostgresLedger {
        PostgresLedger { sessions: Sessions::new(settings) }
    }

    /// All rows of a short statement, whose text holds no value. Blocks.
    pub(super) fn look(&self, sql: String) -> Result<Vec<PgRow>, QueryError> {
        let looked = async {
            let mut lease = self.sessions.lease().await?;
            let rows = sqlx::query::<Postgres>(AssertSqlSafe(sql)).fetch_all(lease.connection()).await.map_err(|error| self.sessions.failed(&error))?;
            self.sessions.give_back(lease);
            Ok(rows)
        };
        wait(self.in_time(looked))
    }

    /// A look must not wait for ever.
    async fn in_time<T>(&self, looked: impl Future<Output = Result<T, QueryError>>) -> Result<T, QueryError> {
        let limit = self.sessions.settings.statement_timeout;
        tokio::time::timeout(limit, looked).await.unwrap_or_else(|_| Err(self.sessions.silent()))
    }
}

impl RoleStore for PostgresLedger {
    fn kind(&self) -> &'static str {
        "postgres"
    }

    fn place(&self) -> String {
        self.sessions.place()
    }

    fn layout(&self) -> Result<Option<i64>, QueryError> {
        let looked = async {
            let mut lease = self.sessions.unchecked().await?;
            layout::version(lease.connection()).await.map_err(|error| self.sessions.failed(&error))
        };
        wait(self.in_time(looked))
    }

    fn bytes(&self) -> Option<u64> {
        let rows = self.look(BYTES.to_owned()).ok()?;
        u64::try_from(rows.first()?.try_get::<i64, _>(0).ok()?).ok()
    }

    fn relations(self: Arc<Self>) -> Vec<Relation> {
        let relation = |table: tables::Table| {
            let shape = table.shape.clone();
            Relation::new(ROLE, &shape, Arc::new(PostgresScan::new(Arc::clone(&self), table)))
        };
        tables::ledger().into_iter().map(relation).collect()
    }
}

impl SinkStore for PostgresLedger {
    fn positions(&self) -> Result<Vec<Position>, QueryError> {
        let rows = self.look(POSITIONS.to_owned())?;
        rows.iter().map(|row| position(row).map_err(|error| self.sessions.failed(&error))).collect()
    }
}

fn position(row: &PgRow) -> Result<Position, sqlx::Error> {
    Ok(Position {
        stream: row.try_get(0)?,
        partition: integer(row, 1)?,
        next_seq: integer(row, 2)?,
        next_offset: integer(row, 3)?,
        stored: integer(row, 4)?,
        duplicates: integer(row, 5)?,
        dead_letters: integer(row, 6)?,
        discarded: integer(row, 7)?,
        updated_at: of(&row.try_get_raw(8)?, Instant::decode)?,
        floor_seq: integer(row, 9)?,
    })
}

/// An integer of any width that is not NULL.
pub(super) fn integer(row: &PgRow, index: usize) -> Result<i64, sqlx::Error> {
    of(&row.try_get_raw(index)?, cells::int)
}

fn of(value: &PgValueRef<'_>, decode: impl Fn(&[u8]) -> Option<i64>) -> Result<i64, sqlx::Error> {
    let bytes = value.as_bytes().map_err(sqlx::Error::Decode)?;
    decode(bytes).ok_or_else(|| sqlx::Error::Decode(format!("{} bytes that are no number", bytes.len()).into()))
}
