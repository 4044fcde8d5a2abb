//! What the SQLite stores share: the file's one writer, its positions, and replays without a fence.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use wh_eventlog::{Stored, crash};
use wh_schemas::Reaction;
use wh_schemas::layout::Layout;
use wh_schemas::position::{LOG_STREAM, Seq, SeqPosition, WITNESS_STREAM};
use wh_stores::{clock, sqlite};

use crate::delivery::walk::Halt;
use crate::delivery::{Batch, StorePosition, Tally, Written};

/// A store's file, written by one task at a time.
#[derive(Clone)]
pub struct StoreFile {
    role: &'static str,
    path: Arc<PathBuf>,
    writer: Arc<Mutex<Writer>>,
}

/// The connection that writes. When it closes, everything is moved into the file itself, which can then be copied alone:
/// who still reads would otherwise keep the write-ahead log beside it.
struct Writer(Connection);

impl Drop for Writer {
    fn drop(&mut self) {
        let moved = self.0.busy_timeout(Duration::from_millis(500)).and_then(|()| self.0.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())));
        if let Err(error) = moved {
            tracing::debug!("rows are left in a write-ahead log, from which the next start reads them: {error}");
        }
    }
}

/// Why a write did not go through.
#[derive(Debug)]
pub enum Failure {
    /// The database says no.
    Sqlite(rusqlite::Error),
    /// A record can never be stored, or the stage must stop or wait.
    Halt(Halt),
}

impl From<Halt> for Failure {
    fn from(halt: Halt) -> Self {
        Failure::Halt(halt)
    }
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Failure::Sqlite(error)
    }
}

impl StoreFile {
    /// Opens a store, made when it is not there.
    ///
    /// # Errors
    /// Fatal where it cannot be written, is damaged, or a newer version wrote it.
    pub fn open(path: &Path, layout: &Layout, settings: sqlite::Settings) -> Result<StoreFile, Reaction> {
        let connection = sqlite::open_writer(path, layout, settings)?;
        Ok(StoreFile { role: layout.role, path: Arc::new(path.to_owned()), writer: Arc::new(Mutex::new(Writer(connection))) })
    }

    /// Runs `work` in one transaction on a thread that may block: all of it or nothing.
    ///
    /// # Errors
    /// What the failure asks for. A refused record is an answer, not an error.
    pub async fn transaction<T: Send + 'static>(&self, work: impl FnOnce(&Transaction<'_>) -> Result<T, Failure> + Send + 'static) -> Result<Result<T, Written>, Reaction> {
        let file = self.clone();
        let task = tokio::task::spawn_blocking(move || {
            let mut writer = file.writer.lock().unwrap_or_else(PoisonError::into_inner);
            let outcome = (|| {
                let transaction = writer.0.transaction_with_behavior(TransactionBehavior::Immediate)?;
                let value = work(&transaction)?;
                transaction.commit()?;
                Ok(value)
            })();
            match outcome {
                Ok(value) => Ok(Ok(value)),
                Err(Failure::Sqlite(error)) => Err(sqlite::reaction(file.role, &file.path, &error)),
                Err(Failure::Halt(halt)) => halt.outcome().map(Err),
            }
        });
        task.await.map_err(|e| Reaction::fatal(format!("the task of the {} store failed: {e}", self.role)))?
    }

    /// The mark of the log that the store is filled from, where it keeps one.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub async fn log(&self) -> Result<Option<u64>, Reaction> {
        Ok(self.positions(LOG_STREAM).await?.first().map(|kept| kept.next_offset))
    }

    /// Keeps the mark of a log where none is kept; gives the one that is.
    ///
    /// # Errors
    /// Where the store cannot be written.
    pub async fn bind(&self, log: u64) -> Result<u64, Reaction> {
        let kept = self.transaction(move |transaction| {
            transaction.execute(
                "INSERT INTO positions (stream, partition, next_seq, next_offset, updated_at) VALUES (?1, 0, 0, ?2, ?3) ON CONFLICT DO NOTHING",
                params![LOG_STREAM, log, clock::now().0],
            )?;
            Ok(position(transaction, LOG_STREAM, 0)?.next_offset)
        });
        kept.await?.map_err(|refused| Reaction::fatal(format!("the {} store does not keep which log it is filled from: {refused:?}", self.role)))
    }

    /// Keeps what the last records were that were taken.
    ///
    /// # Errors
    /// Where the store cannot be written.
    pub async fn remember(&self, taken: &[StorePosition]) -> Result<(), Reaction> {
        let taken = taken.to_vec();
        let kept = self.transaction(move |transaction| taken.iter().try_for_each(|place| put(transaction, WITNESS_STREAM, place)));
        kept.await?.map_err(|refused| Reaction::fatal(format!("the {} store does not keep what it has taken: {refused:?}", self.role)))
    }

    /// The store's positions in a stream.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub async fn positions(&self, stream: &str) -> Result<Vec<StorePosition>, Reaction> {
        let stream = stream.to_owned();
        let found = self.transaction(move |transaction| {
            let mut statement = transaction.prepare_cached("SELECT partition FROM positions WHERE stream = ?1 ORDER BY partition")?;
            let partitions: Vec<u32> = statement.query_map([&stream], |row| row.get(0))?.collect::<Result<_, _>>()?;
            partitions.into_iter().map(|partition| position(transaction, &stream, partition)).collect::<Result<Vec<_>, _>>()
        });
        found.await.map(|positions| positions.unwrap_or_default())
    }
}

/// Where the store stands in one partition; at 0 where nothing was written yet.
///
/// # Errors
/// Where the store cannot be read.
pub fn position(transaction: &Transaction<'_>, stream: &str, partition: u32) -> Result<StorePosition, Failure> {
    let found = transaction
        .prepare_cached("SELECT next_seq, next_offset, visible_seq, stored, duplicates, dead_letters, discarded, unreadable FROM positions WHERE stream = ?1 AND partition = ?2")?
        .query_row(params![stream, partition], |row| {
            Ok(StorePosition {
                partition,
                next_seq: row.get(0)?,
                next_offset: row.get(1)?,
                visible_seq: row.get(2)?,
                visible_offset: row.get(1)?,
                unreadable: row.get(7)?,
                tally: Tally { stored: row.get(3)?, duplicates: row.get(4)?, dead_letters: row.get(5)?, discarded: row.get(6)? },
            })
        })
        .optional()?;
    Ok(found.unwrap_or(StorePosition { partition, ..StorePosition::default() }))
}

/// Publishes a position, in the transaction of the rows that it covers.
///
/// # Errors
/// Where the store cannot be written.
pub fn publish(transaction: &Transaction<'_>, stream: &str, position: &StorePosition) -> Result<(), Failure> {
    crash::point("sink.rows");
    put(transaction, stream, position)
}

fn put(transaction: &Transaction<'_>, stream: &str, position: &StorePosition) -> Result<(), Failure> {
    transaction
        .prepare_cached(
            "INSERT INTO positions (stream, partition, next_seq, next_offset, visible_seq, stored, duplicates, dead_letters, discarded, updated_at, unreadable) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) ON CONFLICT (stream, partition) DO UPDATE SET next_seq = excluded.next_seq, \
             next_offset = excluded.next_offset, visible_seq = excluded.visible_seq, stored = excluded.stored, duplicates = excluded.duplicates, \
             dead_letters = excluded.dead_letters, discarded = excluded.discarded, unreadable = excluded.unreadable, updated_at = excluded.updated_at",
        )?
        .execute(params![
            stream,
            position.partition,
            position.next_seq,
            position.next_offset,
            position.visible_seq,
            position.tally.stored,
            position.tally.duplicates,
            position.tally.dead_letters,
            position.tally.discarded,
            clock::now().0,
            position.unreadable
        ])?;
    Ok(())
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        Failure::Halt(Halt::Reaction(Reaction::Rejected(format!("expected a record of the scorer: {error}"))))
    }
}

/// Walks over a batch without a fence: the store's keys alone decide. A record that the store refuses is passed over, since the
/// dead letters hold it. Returns the sum of what `row` says.
///
/// # Errors
/// Where the store cannot be written.
pub fn walk_again<'r>(batch: &'r Batch, mut row: impl FnMut(&'r Stored) -> Result<u64, Failure>) -> Result<u64, Failure> {
    let mut written = 0;
    for record in batch.records.iter() {
        match row(record) {
            Ok(count) => written += count,
            Err(Failure::Halt(Halt::Refused(_) | Halt::Reaction(Reaction::Rejected(_)))) => {}
            Err(other) => return Err(other),
        }
    }
    Ok(written)
}

/// The count of a walk that cannot be refused.
///
/// # Errors
/// Rejected where it was refused all the same.
pub fn counted(written: Result<u64, Written>) -> Result<u64, Reaction> {
    written.map_err(|refused| Reaction::Rejected(format!("a record was refused: {refused:?}")))
}

/// The first row key of a `seq` in a partition.
#[must_use]
pub fn key(partition: u32, seq: Seq) -> i64 {
    SeqPosition { partition, seq }.packed()
}

/// What a store says of itself, read without writing anything; nothing where the store is not there yet.
///
/// # Errors
/// Where it cannot be read.
pub fn read_positions(path: &Path, layout: &Layout, stream: &str) -> Result<Vec<StorePosition>, Reaction> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    let mut connection = sqlite::open_reader(path, layout)?;
    let told = |e: &rusqlite::Error| sqlite::reaction(layout.role, path, e);
    let transaction = connection.transaction().map_err(|e| told(&e))?;
    let mut statement = transaction.prepare("SELECT partition FROM positions WHERE stream = ?1 ORDER BY partition").map_err(|e| told(&e))?;
    let partitions: Vec<u32> = statement.query_map([stream], |row| row.get(0)).and_then(Iterator::collect).map_err(|e| told(&e))?;
    let found = partitions.into_iter().map(|partition| position(&transaction, stream, partition)).collect::<Result<Vec<_>, _>>();
    found.map_err(|failure| match failure {
        Failure::Sqlite(error) => told(&error),
        other => Reaction::fatal(format!("{other:?}")),
    })
}
