//! Users of the embedded baselines store one by one.
//!
//! What must stay true: a correction is one transaction, which compares the checkpoint's position before it writes anything.

use async_trait::async_trait;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior, params};
use wh_schemas::Reaction;
use wh_stores::sqlite;

use super::SqliteCheckpoints;
use crate::engine::UserState;
use crate::partition::{PartitionRecord, Position};
use crate::state::users::{Corrections, StoredUser, StoredUsers};

/// Users of one page.
const PAGE: usize = 1_000;
const COLUMNS: &str = "partition, user_id, seq, transactions, amount_mean, home_department, last_event, alerts, state";

fn user(row: &Row<'_>) -> rusqlite::Result<StoredUser> {
    let shown = |index: usize| -> rusqlite::Result<Option<String>> {
        Ok(match row.get_ref(index)? {
            ValueRef::Null => None,
            ValueRef::Integer(value) => Some(value.to_string()),
            ValueRef::Real(value) => Some(value.to_string()),
            ValueRef::Text(text) => Some(String::from_utf8_lossy(text).into_owned()),
            ValueRef::Blob(bytes) => Some(format!("{} bytes", bytes.len())),
        })
    };
    let seq: i64 = row.get(2)?;
    let partition: i64 = row.get(0)?;
    Ok(StoredUser {
        partition: u32::try_from(partition).unwrap_or(u32::MAX),
        user: row.get(1)?,
        seq: u64::try_from(seq).ok(),
        shown: [shown(3)?, shown(4)?, shown(5)?, shown(6)?, shown(7)?],
        state: Some(row.get(8)?),
    })
}

fn users(connection: &Connection, condition: &str, values: impl rusqlite::Params) -> rusqlite::Result<Vec<StoredUser>> {
    let mut statement = connection.prepare(&format!("SELECT {COLUMNS} FROM users WHERE {condition}"))?;
    let found = statement.query_map(values, user)?;
    found.collect()
}

fn write(connection: &Connection, partition: u32, at: &Position, user: &str, state: &UserState) -> Result<(), Reaction> {
    let bytes = state.to_bytes().map_err(|error| Reaction::fatal(format!("a user's state cannot be written: {error}")))?;
    let upsert = "INSERT INTO users (partition, user_id, seq, transactions, amount_mean, home_department, last_event, alerts, state) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) \
         ON CONFLICT (partition, user_id) DO UPDATE SET seq = excluded.seq, transactions = excluded.transactions, amount_mean = excluded.amount_mean, \
         home_department = excluded.home_department, last_event = excluded.last_event, alerts = excluded.alerts, state = excluded.state";
    let done = connection.prepare_cached(upsert).and_then(|mut statement| {
        statement.execute(params![partition, user, at.next_seq, state.events, state.mean_amount(), state.home_department, state.last, state.alerts, bytes])
    });
    done.map(drop).map_err(|error| Reaction::fatal(format!("baselines: a user cannot be written: {error}")))
}

#[async_trait]
impl StoredUsers for SqliteCheckpoints {
    async fn checkpoints(&mut self) -> Result<Vec<(u32, Position, PartitionRecord)>, Reaction> {
        self.run(|_, path| super::read_checkpoints(path)).await
    }

    async fn page(&mut self, partition: u32, after: Option<&str>) -> Result<Vec<StoredUser>, Reaction> {
        let after = after.map(str::to_owned);
        self.run(move |connection, path| {
            // Text is compared by its bytes, and no id is less than the empty one.
            let found = match &after {
                Some(after) => users(connection, "partition = ?1 AND user_id > ?2 ORDER BY user_id LIMIT ?3", params![partition, after, PAGE]),
                None => users(connection, "partition = ?1 ORDER BY user_id LIMIT ?2", params![partition, PAGE]),
            };
            found.map_err(|error| sqlite::reaction("baselines", path, &error))
        })
        .await
    }

    async fn strays(&mut self, partitions: &[u32], limit: usize) -> Result<Vec<StoredUser>, Reaction> {
        let known: Vec<String> = partitions.iter().map(u32::to_string).collect();
        let condition = format!("partition NOT IN ({}) LIMIT {limit}", known.join(", "));
        self.run(move |connection, path| users(connection, &condition, []).map_err(|error| sqlite::reaction("baselines", path, &error))).await
    }

    async fn correct(&mut self, partition: u32, at: &Position, corrections: &Corrections) -> Result<bool, Reaction> {
        let (at, corrections) = (at.clone(), corrections.clone());
        self.run(move |connection, path| {
            let told = |error: rusqlite::Error| sqlite::reaction("baselines", path, &error);
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(told)?;
            let stands: Option<(u64, u64)> = transaction
                .query_row("SELECT next_seq, next_offset FROM checkpoints WHERE partition = ?1", [partition], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()
                .map_err(told)?;
            if stands != Some((at.next_seq, at.next_offset)) {
                return Ok(false);
            }
            for (user, state) in &corrections.write {
                write(&transaction, partition, &at, user, state)?;
            }
            for user in &corrections.remove {
                transaction.execute("DELETE FROM users WHERE partition = ?1 AND user_id = ?2", params![partition, user]).map_err(told)?;
            }
            if let Some(record) = &corrections.record {
                let record = serde_json::to_string(record).map_err(|error| Reaction::fatal(format!("the checkpoint's record cannot be written: {error}")))?;
                transaction.execute("UPDATE checkpoints SET record = ?2 WHERE partition = ?1", params![partition, record]).map_err(told)?;
            }
            transaction.commit().map_err(told)?;
            Ok(true)
        })
        .await
    }

    async fn remove_strays(&mut self, strays: &[StoredUser]) -> Result<(), Reaction> {
        let strays: Vec<String> = strays.iter().map(|stray| stray.user.clone()).collect();
        self.run(move |connection, path| {
            let told = |error: rusqlite::Error| sqlite::reaction("baselines", path, &error);
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(told)?;
            for user in &strays {
                // Only in partitions without a checkpoint.
                transaction.execute("DELETE FROM users WHERE user_id = ?1 AND partition NOT IN (SELECT partition FROM checkpoints WHERE record <> '')", [user]).map_err(told)?;
            }
            transaction.commit().map_err(told)
        })
        .await
    }
}
