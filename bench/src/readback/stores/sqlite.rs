//! The embedded stores in SQLite. A look takes a fraction of a millisecond; counting may take longer, and says so to the runtime.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use rusqlite::Connection;
use tokio::task::block_in_place;
use wh_schemas::Reaction;
use wh_schemas::layout::{self, Layout};
use wh_stores::sqlite;

use super::super::{Look, Sample};
use super::size_of;

/// A file that is read.
struct File {
    connection: Connection,
    path: PathBuf,
    role: &'static str,
}

impl File {
    fn open(path: &Path, layout: &Layout) -> Result<File, Reaction> {
        Ok(File { connection: sqlite::open_reader(path, layout)?, path: path.to_owned(), role: layout.role })
    }

    fn told(&self, error: &rusqlite::Error) -> Reaction {
        sqlite::reaction(self.role, &self.path, error)
    }

    /// The one number that a statement asks for.
    fn number(&self, statement: &str) -> Result<u64, Reaction> {
        block_in_place(|| {
            let found = self.connection.prepare_cached(statement).and_then(|mut asked| asked.query_row([], |row| row.get::<_, i64>(0)));
            found.map(|number| u64::try_from(number).unwrap_or(0)).map_err(|error| self.told(&error))
        })
    }

    /// A number by partition.
    fn by_partition(&self, statement: &str) -> Result<BTreeMap<u32, u64>, Reaction> {
        block_in_place(|| {
            let found = self.connection.prepare_cached(statement).and_then(|mut asked| {
                let rows = asked.query_map([], |row| Ok((row.get::<_, u32>(0)?, row.get::<_, u64>(1)?)))?;
                rows.collect::<Result<BTreeMap<_, _>, _>>()
            });
            found.map_err(|error| self.told(&error))
        })
    }

    fn bytes(&self) -> u64 {
        // The write-ahead log is on its way into the file.
        let beside = |suffix: &str| PathBuf::from(format!("{}{suffix}", self.path.display()));
        size_of(&self.path) + size_of(&beside("-wal"))
    }
}

/// Samples that lie below what their partition has reached.
fn below(reached: &BTreeMap<u32, u64>, samples: &[Sample]) -> Vec<bool> {
    samples.iter().map(|sample| reached.get(&sample.partition).is_some_and(|reached| *reached > sample.seq)).collect()
}

/// A table with a row a transaction: of the ledger, of the documents.
pub(super) struct Rows {
    file: File,
    table: &'static str,
}

impl Rows {
    pub(super) fn open(path: &Path, layout: &Layout, table: &'static str) -> Result<Rows, Reaction> {
        Ok(Rows { file: File::open(path, layout)?, table })
    }
}

#[async_trait]
impl Look for Rows {
    async fn find(&mut self, samples: &[Sample]) -> Result<Vec<bool>, Reaction> {
        let statement = format!("SELECT 1 FROM {} WHERE transaction_id = ?1", self.table);
        block_in_place(|| {
            let mut asked = self.file.connection.prepare_cached(&statement).map_err(|error| self.file.told(&error))?;
            samples.iter().map(|sample| asked.exists([&sample.transaction_id]).map_err(|error| self.file.told(&error))).collect()
        })
    }

    async fn reached(&mut self) -> Result<u64, Reaction> {
        self.file.number("SELECT coalesce(sum(visible_seq), 0) FROM positions WHERE stream = 'scorer'")
    }

    async fn rows(&mut self) -> Result<u64, Reaction> {
        self.file.number(&format!("SELECT count(*) FROM {}", self.table))
    }

    async fn bytes(&mut self) -> Result<Option<u64>, Reaction> {
        Ok(Some(self.file.bytes()))
    }
}

/// The metrics.
pub(super) struct Metrics(File);

impl Metrics {
    pub(super) fn open(path: &Path) -> Result<Metrics, Reaction> {
        File::open(path, &layout::METRICS).map(Metrics)
    }
}

#[async_trait]
impl Look for Metrics {
    async fn find(&mut self, samples: &[Sample]) -> Result<Vec<bool>, Reaction> {
        Ok(below(&self.0.by_partition("SELECT partition, visible_seq FROM positions WHERE stream = 'scorer'")?, samples))
    }

    async fn reached(&mut self) -> Result<u64, Reaction> {
        self.0.number("SELECT coalesce(sum(visible_seq), 0) FROM positions WHERE stream = 'scorer'")
    }

    async fn rows(&mut self) -> Result<u64, Reaction> {
        self.0.number("SELECT coalesce(sum(transactions), 0) FROM throughput")
    }

    async fn bytes(&mut self) -> Result<Option<u64>, Reaction> {
        Ok(Some(self.0.bytes()))
    }
}

/// The scorer's checkpoint.
pub(super) struct Baselines(File);

impl Baselines {
    pub(super) fn open(path: &Path) -> Result<Baselines, Reaction> {
        File::open(path, &layout::BASELINES).map(Baselines)
    }
}

#[async_trait]
impl Look for Baselines {
    async fn find(&mut self, samples: &[Sample]) -> Result<Vec<bool>, Reaction> {
        Ok(below(&self.0.by_partition("SELECT partition, next_seq FROM checkpoints")?, samples))
    }

    async fn reached(&mut self) -> Result<u64, Reaction> {
        self.0.number("SELECT coalesce(sum(next_seq), 0) FROM checkpoints")
    }

    async fn rows(&mut self) -> Result<u64, Reaction> {
        // A checkpoint holds users, not transactions: what counts is up to which one it goes.
        self.reached().await
    }

    async fn bytes(&mut self) -> Result<Option<u64>, Reaction> {
        Ok(Some(self.0.bytes()))
    }
}
