//! Reading the log's file: short read transactions on a connection of one's own, off the async threads.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};
use wh_schemas::Reaction;
use wh_schemas::layout::LOG;
use wh_stores::sqlite;

use super::block;
use crate::{Bounds, Offset, Reader, Stored};

/// A connection that reads.
#[derive(Clone)]
pub(super) struct Reads {
    path: Arc<PathBuf>,
    connection: Arc<Mutex<Connection>>,
}

impl Reads {
    pub(super) fn open(path: &Path) -> Result<Reads, Reaction> {
        let connection = sqlite::open_reader(path, &LOG)?;
        Ok(Reads { path: Arc::new(path.to_owned()), connection: Arc::new(Mutex::new(connection)) })
    }

    /// A second connection to the same file.
    pub(super) fn another(&self) -> Result<Reads, Reaction> {
        Reads::open(&self.path)
    }

    /// Runs `work` on the connection, on a thread that may block.
    pub(super) async fn run<T: Send + 'static>(&self, work: impl FnOnce(&Connection) -> Result<T, ReadError> + Send + 'static) -> Result<T, Reaction> {
        let (path, connection) = (self.path.clone(), self.connection.clone());
        let task = tokio::task::spawn_blocking(move || {
            let connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
            work(&connection).map_err(|e| match e {
                ReadError::Sqlite(e) => sqlite::reaction("log", &path, &e),
                ReadError::Reaction(reaction) => reaction,
            })
        });
        task.await.map_err(|e| Reaction::fatal(format!("reading the log failed: {e}")))?
    }
}

pub(super) enum ReadError {
    Sqlite(rusqlite::Error),
    Reaction(Reaction),
}

impl From<rusqlite::Error> for ReadError {
    fn from(error: rusqlite::Error) -> Self {
        ReadError::Sqlite(error)
    }
}

fn find(connection: &Connection, topic: &str, partition: u32) -> Result<(i64, Bounds), ReadError> {
    connection
        .prepare_cached("SELECT p.topic_id, p.start_offset, p.next_offset FROM topics t JOIN partitions p USING (topic_id) WHERE t.name = ?1 AND p.partition = ?2")?
        .query_row(params![topic, partition], |row| Ok((row.get(0)?, Bounds { start: row.get(1)?, end: row.get(2)? })))
        .optional()?
        .ok_or_else(|| ReadError::Reaction(Reaction::fatal(format!("the log has no partition {partition} of a topic {topic}"))))
}

/// What a record counts against the bytes of a fetch.
pub(super) fn weight(record: &Stored) -> usize {
    record.value.len() + 64
}

/// Records from `from` on, none where there are none yet.
pub(super) fn fetch(connection: &Connection, topic: &str, partition: u32, from: Offset, max_bytes: usize) -> Result<Vec<Stored>, ReadError> {
    let (topic_id, bounds) = find(connection, topic, partition)?;
    if from < bounds.start || from > bounds.end {
        return Err(ReadError::Reaction(Reaction::fatal(format!(
            "{topic} partition {partition}: the position {from} is not there (the log holds {} to {}): records between are gone; raise log.max_mib, and restore the store that asked from a backup",
            bounds.start, bounds.end
        ))));
    }
    let mut records = Vec::new();
    if from == bounds.end {
        return Ok(records);
    }
    let mut statement = connection.prepare_cached(
        "SELECT base_offset, append_time, data FROM batches WHERE topic_id = ?1 AND partition = ?2 AND base_offset >= \
         (SELECT coalesce(max(base_offset), 0) FROM batches WHERE topic_id = ?1 AND partition = ?2 AND base_offset <= ?3) ORDER BY base_offset",
    )?;
    let mut rows = statement.query(params![topic_id, partition, from])?;
    let mut bytes = 0;
    while bytes < max_bytes
        && let Some(row) = rows.next()?
    {
        let (base, append_time): (u64, i64) = (row.get(0)?, row.get(1)?);
        let batch = block::decode(row.get_ref(2)?.as_blob().map_err(rusqlite::Error::from)?, base, append_time).map_err(|e| {
            ReadError::Reaction(Reaction::fatal(format!("{topic} partition {partition}, batch at {base}: {e}: the log's file is damaged; restore it from a backup")))
        })?;
        for record in batch {
            if record.offset >= from {
                bytes += weight(&record);
                records.push(record);
            }
        }
    }
    Ok(records)
}

#[async_trait]
impl Reader for Reads {
    async fn identity(&self) -> Result<String, Reaction> {
        self.run(|connection| Ok(connection.query_row("SELECT id FROM identity", [], |row| row.get(0))?)).await
    }

    async fn partitions(&self, topic: &str) -> Result<u32, Reaction> {
        let topic = topic.to_owned();
        self.run(move |connection| {
            let found = connection.prepare_cached("SELECT partitions FROM topics WHERE name = ?1")?.query_row([&topic], |row| row.get(0)).optional()?;
            found.ok_or_else(|| ReadError::Reaction(Reaction::fatal(format!("the log has no topic {topic}"))))
        })
        .await
    }

    async fn bounds(&self, topic: &str, partition: u32) -> Result<Bounds, Reaction> {
        let topic = topic.to_owned();
        self.run(move |connection| find(connection, &topic, partition).map(|(_, bounds)| bounds)).await
    }

    async fn read(&self, topic: &str, partition: u32, from: Offset, max_bytes: usize) -> Result<Vec<Stored>, Reaction> {
        let topic = topic.to_owned();
        self.run(move |connection| fetch(connection, &topic, partition, from, max_bytes)).await
    }

    async fn committed(&self, group: &str, topic: &str) -> Result<Vec<(u32, Offset, String)>, Reaction> {
        let (group, topic) = (group.to_owned(), topic.to_owned());
        self.run(move |connection| {
            let mut statement = connection
                .prepare_cached("SELECT partition, next_offset, metadata FROM group_offsets JOIN topics USING (topic_id) WHERE group_name = ?1 AND name = ?2 ORDER BY partition")?;
            let rows = statement.query_map([&group, &topic], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }
}
