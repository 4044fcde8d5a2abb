//! A SQLite file as the store of a role.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use wh_schemas::layout::{BASELINES, DOCUMENTS, LEDGER, METRICS};

use super::connect::{Store, version};
use super::scan::SqliteScan;
use super::tables;
use crate::errors::QueryError;
use crate::positions::Position;
use crate::store::{BaselinesStore, RoleStore, SinkStore};
use crate::table::Relation;

impl RoleStore for Store {
    fn kind(&self) -> &'static str {
        "sqlite"
    }

    fn place(&self) -> String {
        self.path.display().to_string()
    }

    fn layout(&self) -> Result<Option<i64>, QueryError> {
        let connection = self.connect()?;
        version(&connection).map_err(|error| self.failed(&error))
    }

    fn bytes(&self) -> Option<u64> {
        size_of(&self.path)
    }

    fn relations(self: Arc<Self>) -> Vec<Relation> {
        let role = self.role();
        let tables = match role {
            _ if role == LEDGER.role => tables::ledger(),
            _ if role == DOCUMENTS.role => tables::documents(),
            _ if role == METRICS.role => tables::metrics(),
            _ if role == BASELINES.role => tables::baselines(),
            _ => Vec::new(),
        };
        let scan = |table: tables::Table| {
            let shape = table.shape.clone();
            Relation::new(role, &shape, Arc::new(SqliteScan::new(Arc::clone(&self), table)))
        };
        tables.into_iter().map(scan).collect()
    }
}

/// Bytes of a SQLite file with its write-ahead log.
pub(crate) fn size_of(path: &Path) -> Option<u64> {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    let file = std::fs::metadata(path).ok()?.len();
    Some(file + std::fs::metadata(log).map_or(0, |metadata| metadata.len()))
}

impl SinkStore for Store {
    fn positions(&self) -> Result<Vec<Position>, QueryError> {
        let connection = self.connect()?;
        let read = || -> rusqlite::Result<Vec<Position>> {
            let mut statement = connection.prepare(
                "SELECT stream, partition, max(next_seq, visible_seq), next_offset, stored, duplicates, dead_letters, discarded, updated_at, floor_seq FROM positions ORDER BY stream, partition",
            )?;
            let rows = statement.query_map([], |row| {
                Ok(Position {
                    stream: row.get(0)?,
                    partition: row.get(1)?,
                    next_seq: row.get(2)?,
                    next_offset: row.get(3)?,
                    stored: row.get(4)?,
                    duplicates: row.get(5)?,
                    dead_letters: row.get(6)?,
                    discarded: row.get(7)?,
                    updated_at: row.get(8)?,
                    floor_seq: row.get(9)?,
                })
            })?;
            rows.collect()
        };
        read().map_err(|error| self.failed(&error))
    }
}

impl BaselinesStore for Store {
    fn reached(&self) -> Result<BTreeMap<i64, i64>, QueryError> {
        let connection = self.connect()?;
        let read = || -> rusqlite::Result<BTreeMap<i64, i64>> {
            let mut statement = connection.prepare("SELECT partition, next_seq FROM checkpoints")?;
            let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect()
        };
        read().map_err(|error| self.failed(&error))
    }

    fn patterns(&self) -> Result<Option<i64>, QueryError> {
        let connection = self.connect()?;
        let read = || -> rusqlite::Result<Option<i64>> {
            // A file of an earlier version has no such table before a stage opens it.
            let made: bool = connection.query_row("SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'pattern_checkpoint')", [], |row| row.get(0))?;
            if !made {
                return Ok(None);
            }
            connection.query_row("SELECT max(next_seq) FROM pattern_checkpoint WHERE record <> ''", [], |row| row.get(0))
        };
        read().map_err(|error| self.failed(&error))
    }
}
