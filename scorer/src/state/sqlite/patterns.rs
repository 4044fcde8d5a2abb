//! Checkpoints of patterns by account in the embedded baselines store: `schemas/sqlite/patterns.sql`.

use std::path::Path;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use wh_schemas::Reaction;
use wh_schemas::layout::BASELINES;
use wh_stores::{clock, sqlite};

use super::SqliteCheckpoints;
use crate::patterns::{AccountEngine, AccountRules};
use crate::state::Committed;
use crate::state::patterns::{PatternCheckpoint, PatternCheckpoints, PatternDelta, PatternPosition, PatternRecord};

/// Makes the tables where they are not there yet.
pub(super) fn ensure(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(include_str!("../../../../schemas/sqlite/patterns.sql"))
}

fn taken(found: u64, ours: u64) -> Reaction {
    Reaction::fatal(format!("patterns were taken over by another instance (epoch {found}, ours is {ours})"))
}

fn damaged(path: &Path, what: &dyn std::fmt::Display) -> Reaction {
    Reaction::fatal(format!("baselines ({}): the checkpoint of patterns: {what}: move the file away and start again, and it is rebuilt from the log", path.display()))
}

fn epoch(transaction: &Transaction<'_>) -> rusqlite::Result<Option<u64>> {
    transaction.prepare_cached("SELECT owner_epoch FROM pattern_checkpoint")?.query_row([], |row| row.get(0)).optional()
}

#[async_trait]
impl PatternCheckpoints for SqliteCheckpoints {
    async fn take_over_patterns(&mut self) -> Result<(u64, Option<PatternCheckpoint>), Reaction> {
        self.run(|connection, path| {
            let told = |e: rusqlite::Error| sqlite::reaction("baselines", path, &e);
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(told)?;
            let claim = "INSERT INTO pattern_checkpoint (id, owner_epoch, next_seq, next_offset, record, header, updated_at) VALUES (0, 1, 0, 0, '', x'', ?1) \
                         ON CONFLICT (id) DO UPDATE SET owner_epoch = owner_epoch + 1";
            transaction.execute(claim, params![clock::now().0]).map_err(told)?;
            let (epoch, next_seq, next_offset, record, header): (u64, u64, u64, String, Vec<u8>) = transaction
                .query_row("SELECT owner_epoch, next_seq, next_offset, record, header FROM pattern_checkpoint", [], |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
                })
                .map_err(told)?;
            if record.is_empty() {
                transaction.commit().map_err(told)?;
                return Ok((epoch, None));
            }
            let record: PatternRecord = serde_json::from_str(&record).map_err(|e| damaged(path, &e))?;
            let accounts: Vec<(String, Vec<u8>)> = {
                let mut statement = transaction.prepare("SELECT account, state FROM pattern_accounts ORDER BY account").map_err(told)?;
                let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).map_err(told)?;
                rows.collect::<rusqlite::Result<_>>().map_err(told)?
            };
            transaction.commit().map_err(told)?;
            Ok((epoch, Some(PatternCheckpoint { position: PatternPosition { next_seq, next_offset }, record, header, accounts })))
        })
        .await
    }

    async fn commit_patterns(&mut self, delta: PatternDelta) -> Result<Committed, Reaction> {
        self.run(move |connection, path| {
            let told = |e: rusqlite::Error| sqlite::reaction("baselines", path, &e);
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(told)?;
            let stored: Option<(u64, u64, u64)> = transaction
                .prepare_cached("SELECT owner_epoch, next_seq, next_offset FROM pattern_checkpoint")
                .and_then(|mut s| s.query_row([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).optional())
                .map_err(told)?;
            let position = delta.position;
            if let Some((epoch, next_seq, next_offset)) = stored {
                if epoch > delta.owner_epoch {
                    return Err(taken(epoch, delta.owner_epoch));
                }
                if next_seq > position.next_seq || next_offset > position.next_offset {
                    return Err(Reaction::fatal(format!(
                        "patterns: the checkpoint stands at seq {next_seq}, offset {next_offset}, beyond ours ({}, {}): another instance wrote it",
                        position.next_seq, position.next_offset
                    )));
                }
            }
            let record = serde_json::to_string(&delta.record).map_err(|e| Reaction::fatal(format!("the checkpoint's record cannot be written: {e}")))?;
            transaction
                .prepare_cached(
                    "INSERT INTO pattern_checkpoint (id, owner_epoch, next_seq, next_offset, record, header, updated_at) VALUES (0, ?1, ?2, ?3, ?4, ?5, ?6) \
                     ON CONFLICT (id) DO UPDATE SET owner_epoch = excluded.owner_epoch, next_seq = excluded.next_seq, next_offset = excluded.next_offset, \
                     record = excluded.record, header = excluded.header, updated_at = excluded.updated_at",
                )
                .and_then(|mut s| s.execute(params![delta.owner_epoch, position.next_seq, position.next_offset, record, delta.header, clock::now().0]))
                .map_err(told)?;
            {
                let mut remove = transaction.prepare_cached("DELETE FROM pattern_accounts WHERE account = ?1").map_err(told)?;
                for account in &delta.removed {
                    remove.execute([account]).map_err(told)?;
                }
                let mut upsert = transaction
                    .prepare_cached("INSERT INTO pattern_accounts (account, state) VALUES (?1, ?2) ON CONFLICT (account) DO UPDATE SET state = excluded.state")
                    .map_err(told)?;
                for (account, state) in &delta.accounts {
                    upsert.execute(params![account, state]).map_err(told)?;
                }
            }
            transaction.commit().map_err(told)?;
            Ok(Committed::Kept)
        })
        .await
    }

    async fn forget_patterns(&mut self, owner_epoch: u64) -> Result<(), Reaction> {
        self.run(move |connection, path| {
            let told = |e: rusqlite::Error| sqlite::reaction("baselines", path, &e);
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(told)?;
            if let Some(found) = epoch(&transaction).map_err(told)?.filter(|found| *found > owner_epoch) {
                return Err(taken(found, owner_epoch));
            }
            transaction.execute("DELETE FROM pattern_accounts", []).map_err(told)?;
            transaction.execute("UPDATE pattern_checkpoint SET next_seq = 0, next_offset = 0, record = '', header = x''", []).map_err(told)?;
            transaction.commit().map_err(told)
        })
        .await
    }
}

/// Reads the whole checkpoint of patterns by account, without writing, as the stage would take it over: where it stands, and how many accounts it
/// has; `None` where there is none.
///
/// # Errors
/// Where the store cannot be read; fatal where the checkpoint is damaged.
pub fn examine_patterns(path: &Path) -> Result<Option<(PatternPosition, u64)>, Reaction> {
    let Some((position, record)) = read_patterns(path)? else { return Ok(None) };
    let told = |e: rusqlite::Error| sqlite::reaction("baselines", path, &e);
    let counts = record.counts;
    let settled = counts.taken.saturating_add(counts.copies).saturating_add(counts.dead_letters).saturating_add(counts.missing);
    if settled != position.next_offset {
        return Err(damaged(path, &format!("its counts add up to {settled} records where it has read {}", position.next_offset)));
    }
    let connection = sqlite::open_reader(path, &BASELINES)?;
    // Header and accounts of one moment.
    let transaction = connection.unchecked_transaction().map_err(told)?;
    let header: Vec<u8> = transaction.query_row("SELECT header FROM pattern_checkpoint", [], |row| row.get(0)).map_err(told)?;
    let accounts: Vec<(String, Vec<u8>)> = {
        let mut statement = transaction.prepare("SELECT account, state FROM pattern_accounts").map_err(told)?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).map_err(told)?;
        rows.collect::<rusqlite::Result<_>>().map_err(|e| damaged(path, &e))?
    };
    let count = accounts.len() as u64;
    AccountEngine::restored(AccountRules::default(), &header, accounts).map_err(|e| damaged(path, &e))?;
    Ok(Some((position, count)))
}

/// Where patterns by account stood at their last checkpoint, read without writing; `None` where there is none.
///
/// # Errors
/// Where the store cannot be read.
pub fn read_patterns(path: &Path) -> Result<Option<(PatternPosition, PatternRecord)>, Reaction> {
    if !path.exists() {
        return Ok(None);
    }
    let connection = sqlite::open_reader(path, &BASELINES)?;
    let told = |e: rusqlite::Error| sqlite::reaction("baselines", path, &e);
    let made: bool =
        connection.query_row("SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'pattern_checkpoint')", [], |row| row.get(0)).map_err(told)?;
    if !made {
        return Ok(None);
    }
    let found: Option<(u64, u64, String)> = connection
        .query_row("SELECT next_seq, next_offset, record FROM pattern_checkpoint WHERE record <> ''", [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()
        .map_err(told)?;
    let Some((next_seq, next_offset, record)) = found else { return Ok(None) };
    let record = serde_json::from_str(&record).map_err(|e| damaged(path, &e))?;
    Ok(Some((PatternPosition { next_seq, next_offset }, record)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::patterns::PatternCounts;

    #[tokio::test]
    async fn a_damaged_checkpoint_of_patterns_is_told_to_whoever_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("baselines.db");
        assert_eq!(examine_patterns(&path).unwrap(), None);
        let mut store = SqliteCheckpoints::open(&path).unwrap();
        let (owner_epoch, _) = store.take_over_patterns().await.unwrap();
        assert_eq!(examine_patterns(&path).unwrap(), None, "it was taken over and holds nothing yet");
        let position = PatternPosition { next_seq: 2, next_offset: 7 };
        let header = AccountEngine::new(AccountRules::default()).take_changes().header;
        let record = PatternRecord { counts: PatternCounts { taken: 7, ..PatternCounts::default() }, ..PatternRecord::default() };
        store.commit_patterns(PatternDelta { owner_epoch, position, record, header, ..PatternDelta::default() }).await.unwrap();
        assert_eq!(examine_patterns(&path).unwrap(), Some((position, 0)));
        let meddle = |sql: &str| Connection::open(&path).unwrap().execute(sql, []).unwrap();
        meddle("INSERT INTO pattern_accounts (account, state) VALUES ('A', x'ff00')");
        let told = examine_patterns(&path).unwrap_err().to_string();
        assert!(told.contains("the checkpoint of patterns") && told.contains("move the file away"), "{told}");
        meddle("DELETE FROM pattern_accounts");
        meddle("UPDATE pattern_checkpoint SET next_offset = 9");
        let told = examine_patterns(&path).unwrap_err().to_string();
        assert!(told.contains("add up to 7 records where it has read 9"), "{told}");
    }
}
