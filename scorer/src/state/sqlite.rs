//! Checkpoints in the embedded baselines store.

mod patterns;
mod users;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use wh_schemas::Reaction;
use wh_schemas::layout::BASELINES;
use wh_stores::{clock, sqlite};

use super::{Checkpoint, CheckpointStore, Committed, Delta};
use crate::dedup;
use crate::engine::UserState;
use crate::partition::{PartitionRecord, Position};
pub use patterns::{examine_patterns, read_patterns};

/// The embedded baselines store.
pub struct SqliteCheckpoints {
    path: Arc<PathBuf>,
    connection: Arc<Mutex<Connection>>,
}

impl SqliteCheckpoints {
    /// Opens the store, made when it is not there.
    ///
    /// # Errors
    /// Fatal where it cannot be written, is damaged, or a newer version wrote it.
    pub fn open(path: &Path) -> Result<SqliteCheckpoints, Reaction> {
        let connection = sqlite::open_writer(path, &BASELINES, sqlite::Settings { cache_kib: 8 * 1024, ..sqlite::Settings::default() })?;
        patterns::ensure(&connection).map_err(|e| sqlite::reaction("baselines", path, &e))?;
        Ok(SqliteCheckpoints { path: Arc::new(path.to_owned()), connection: Arc::new(Mutex::new(connection)) })
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce(&mut Connection, &Path) -> Result<T, Reaction> + Send + 'static) -> Result<T, Reaction> {
        let (path, connection) = (self.path.clone(), self.connection.clone());
        let task = tokio::task::spawn_blocking(move || work(&mut connection.lock().unwrap_or_else(PoisonError::into_inner), &path));
        task.await.map_err(|e| Reaction::fatal(format!("the baselines store's task failed: {e}")))?
    }
}

#[async_trait]
impl CheckpointStore for SqliteCheckpoints {
    async fn take_over(&mut self, partition: u32) -> Result<(u64, Option<Checkpoint>), Reaction> {
        self.run(move |connection, path| {
            let told = |e: rusqlite::Error| sqlite::reaction("baselines", path, &e);
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(told)?;
            let found: Option<(u64, u64, u64, u32, String)> = transaction
                .query_row("SELECT owner_epoch, next_seq, next_offset, state_epoch, record FROM checkpoints WHERE partition = ?1", [partition], |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
                })
                .optional()
                .map_err(told)?;
            let Some((epoch, next_seq, next_offset, state_epoch, record)) = found else {
                // The takeover itself is kept, so that another owner gets another epoch; there is no checkpoint yet.
                let claim = "INSERT INTO checkpoints (partition, owner_epoch, state_epoch, next_seq, next_offset, record, updated_at) VALUES (?1, 1, 0, 0, 0, '', ?2)";
                transaction.execute(claim, params![partition, clock::now().0]).map_err(told)?;
                transaction.commit().map_err(told)?;
                return Ok((1, None));
            };
            transaction.execute("UPDATE checkpoints SET owner_epoch = owner_epoch + 1 WHERE partition = ?1", [partition]).map_err(told)?;
            if record.is_empty() {
                transaction.commit().map_err(told)?;
                return Ok((epoch + 1, None));
            }
            let damaged = |e: &dyn std::fmt::Display| {
                Reaction::fatal(format!("baselines ({}): partition {partition}: {e}: move the file away and start again, and it is rebuilt from the log", path.display()))
            };
            let record: PartitionRecord = serde_json::from_str(&record).map_err(|e| damaged(&e))?;
            let mut users = Vec::new();
            let mut ids = Vec::new();
            {
                let mut statement = transaction.prepare("SELECT user_id, state FROM users WHERE partition = ?1").map_err(told)?;
                let mut rows = statement.query([partition]).map_err(told)?;
                while let Some(row) = rows.next().map_err(told)? {
                    let user: String = row.get(0).map_err(told)?;
                    let bytes: Vec<u8> = row.get(1).map_err(told)?;
                    users.push((user, UserState::from_bytes(&bytes).map_err(|e| damaged(&e))?));
                }
                let mut statement = transaction.prepare("SELECT data FROM fingerprints WHERE partition = ?1 ORDER BY first_seq").map_err(told)?;
                let mut rows = statement.query([partition]).map_err(told)?;
                while let Some(row) = rows.next().map_err(told)? {
                    let bytes: Vec<u8> = row.get(0).map_err(told)?;
                    ids.extend(dedup::from_bytes(&bytes));
                }
            }
            transaction.commit().map_err(told)?;
            Ok((epoch + 1, Some(Checkpoint { position: Position { next_seq, next_offset, state_epoch }, record, users, ids })))
        })
        .await
    }

    async fn forget(&mut self, partition: u32, owner_epoch: u64) -> Result<(), Reaction> {
        self.run(move |connection, path| {
            let told = |e: rusqlite::Error| sqlite::reaction("baselines", path, &e);
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(told)?;
            let epoch: Option<u64> = transaction.query_row("SELECT owner_epoch FROM checkpoints WHERE partition = ?1", [partition], |row| row.get(0)).optional().map_err(told)?;
            if epoch.is_some_and(|epoch| epoch > owner_epoch) {
                return Err(Reaction::fatal(format!("partition {partition} of the scorer was taken over (its epoch is not {owner_epoch})")));
            }
            for table in ["users", "fingerprints"] {
                transaction.execute(&format!("DELETE FROM {table} WHERE partition = ?1"), [partition]).map_err(told)?;
            }
            transaction.execute("UPDATE checkpoints SET record = '', next_seq = 0, next_offset = 0, state_epoch = 0 WHERE partition = ?1", [partition]).map_err(told)?;
            transaction.commit().map_err(told)
        })
        .await
    }

    async fn commit(&mut self, delta: Delta) -> Result<Committed, Reaction> {
        self.run(move |connection, path| {
            let told = |e: rusqlite::Error| sqlite::reaction("baselines", path, &e);
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(told)?;
            let partition = delta.partition;
            let stored: Option<(u64, u64, u64)> = transaction
                .prepare_cached("SELECT owner_epoch, next_seq, next_offset FROM checkpoints WHERE partition = ?1")
                .and_then(|mut s| s.query_row([partition], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).optional())
                .map_err(told)?;
            if let Some((epoch, next_seq, next_offset)) = stored {
                if epoch > delta.owner_epoch {
                    return Err(Reaction::fatal(format!("partition {partition} of the scorer was taken over (epoch {epoch}, ours is {})", delta.owner_epoch)));
                }
                if next_seq > delta.position.next_seq || next_offset > delta.position.next_offset {
                    return Err(Reaction::fatal(format!(
                        "partition {partition}: the checkpoint stands at seq {next_seq}, offset {next_offset}, beyond ours ({}, {}): another scorer wrote it",
                        delta.position.next_seq, delta.position.next_offset
                    )));
                }
            }
            let now = clock::now().0;
            let record = serde_json::to_string(&delta.record).map_err(|e| Reaction::fatal(format!("the checkpoint's record cannot be written: {e}")))?;
            transaction
                .prepare_cached(
                    "INSERT INTO checkpoints (partition, owner_epoch, state_epoch, next_seq, next_offset, record, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) \
                     ON CONFLICT (partition) DO UPDATE SET owner_epoch = excluded.owner_epoch, state_epoch = excluded.state_epoch, next_seq = excluded.next_seq, \
                     next_offset = excluded.next_offset, record = excluded.record, updated_at = excluded.updated_at",
                )
                .and_then(|mut s| s.execute(params![partition, delta.owner_epoch, delta.position.state_epoch, delta.position.next_seq, delta.position.next_offset, record, now]))
                .map_err(told)?;
            {
                let mut upsert = transaction
                    .prepare_cached(
                        "INSERT INTO users (partition, user_id, seq, transactions, amount_mean, home_department, last_event, alerts, state) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) \
                         ON CONFLICT (partition, user_id) DO UPDATE SET seq = excluded.seq, transactions = excluded.transactions, amount_mean = excluded.amount_mean, \
                         home_department = excluded.home_department, last_event = excluded.last_event, alerts = excluded.alerts, state = excluded.state",
                    )
                    .map_err(told)?;
                for (user, state) in &delta.users {
                    let bytes = state.to_bytes().map_err(|e| Reaction::fatal(format!("a user's state cannot be written: {e}")))?;
                    upsert
                        .execute(params![partition, user, delta.position.next_seq, state.events, state.mean_amount(), state.home_department, state.last, state.alerts, bytes])
                        .map_err(told)?;
                }
            }
            {
                let mut remove = transaction.prepare_cached("DELETE FROM users WHERE partition = ?1 AND user_id = ?2").map_err(told)?;
                for user in &delta.forgotten {
                    remove.execute(params![partition, user]).map_err(told)?;
                }
            }
            if let Some(first) = delta.ids.first() {
                transaction
                    .prepare_cached("INSERT INTO fingerprints (partition, first_seq, ids, data) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING")
                    .and_then(|mut s| s.execute(params![partition, first.seq, delta.ids.len(), dedup::to_bytes(&delta.ids)]))
                    .map_err(told)?;
                // Each seq is an id or a duplicate, so that at least as many ids stand behind this: a blob wholly below it holds only ids beyond the horizon.
                let floor = delta.position.next_seq.saturating_sub(delta.horizon as u64 + delta.record.counts.duplicates);
                transaction
                    .prepare_cached("DELETE FROM fingerprints WHERE partition = ?1 AND first_seq < (SELECT max(first_seq) FROM fingerprints WHERE partition = ?1 AND first_seq <= ?2)")
                    .and_then(|mut s| s.execute(params![partition, floor]))
                    .map_err(told)?;
            }
            transaction.commit().map_err(told)?;
            Ok(Committed::Kept)
        })
        .await
    }
}

/// Where each partition's scorer stood at its last checkpoint: next offset and the partition's record. Read without writing.
///
/// # Errors
/// Where the store cannot be read.
pub fn read_partitions(path: &Path) -> Result<Vec<(u64, PartitionRecord)>, Reaction> {
    Ok(read_checkpoints(path)?.into_iter().map(|(_, position, record)| (position.next_offset, record)).collect())
}

/// Each partition's last checkpoint but for users and ids: number, position and record. Read without writing.
///
/// # Errors
/// Where the store cannot be read.
pub fn read_checkpoints(path: &Path) -> Result<Vec<(u32, Position, PartitionRecord)>, Reaction> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    let connection = sqlite::open_reader(path, &BASELINES)?;
    let told = |e: rusqlite::Error| sqlite::reaction("baselines", path, &e);
    let mut statement = connection.prepare("SELECT partition, next_seq, next_offset, state_epoch, record FROM checkpoints WHERE record <> '' ORDER BY partition").map_err(told)?;
    let row = |row: &rusqlite::Row<'_>| -> rusqlite::Result<(u32, Position, String)> {
        Ok((row.get(0)?, Position { next_seq: row.get(1)?, next_offset: row.get(2)?, state_epoch: row.get(3)? }, row.get(4)?))
    };
    let rows: Vec<(u32, Position, String)> = statement.query_map([], row).and_then(Iterator::collect).map_err(told)?;
    rows.into_iter()
        .map(|(partition, position, record)| {
            let record = serde_json::from_str(&record).map_err(|e| Reaction::fatal(format!("baselines ({}): {e}", path.display())))?;
            Ok((partition, position, record))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dedup::Seen;

    fn delta(epoch: u64, next_seq: u64) -> Delta {
        let mut state = UserState::new(wh_schemas::Micros(0));
        state.events = next_seq;
        Delta {
            partition: 1,
            owner_epoch: epoch,
            position: Position { next_seq, next_offset: next_seq, state_epoch: 0 },
            record: PartitionRecord::default(),
            users: vec![("U1".to_owned(), state)],
            forgotten: Vec::new(),
            ids: vec![Seen { id: next_seq, content: 2, seq: next_seq - 1 }],
            horizon: 100,
        }
    }

    #[tokio::test]
    async fn a_checkpoint_is_one_compare_and_set_that_refuses_an_older_owner_or_position() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = SqliteCheckpoints::open(&folder.path().join("b.db")).unwrap();
        let (epoch, nothing) = store.take_over(1).await.unwrap();
        assert!(epoch == 1 && nothing.is_none());
        store.commit(delta(1, 10)).await.unwrap();
        store.commit(delta(1, 20)).await.unwrap();
        assert!(store.commit(delta(1, 15)).await.unwrap_err().to_string().contains("beyond ours"));
        let (epoch, checkpoint) = store.take_over(1).await.unwrap();
        let checkpoint = checkpoint.unwrap();
        assert_eq!((epoch, checkpoint.position.next_seq, checkpoint.users[0].1.events, checkpoint.ids.len()), (2, 20, 20, 2));
        assert!(store.commit(delta(1, 30)).await.unwrap_err().to_string().contains("taken over"));
        store.commit(delta(2, 30)).await.unwrap();
        assert!(store.take_over(2).await.unwrap().1.is_none());
    }
}
