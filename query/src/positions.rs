//! How far each store says that it has come.
//!
//! What must stay true: a position is what the store itself published once its rows could be read there, never what a
//! writer has in mind.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::errors::QueryError;
use crate::sqlite::connect::Store;
use crate::tantivy::index::SearchIndex;

/// One row of a store's `positions`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Position {
    /// `scorer`, `patterns` or `system-events`.
    pub(crate) stream: String,
    pub(crate) partition: i64,
    /// Every seq below it can be read.
    pub(crate) next_seq: i64,
    /// Offset of the topic from which its sink reads on.
    pub(crate) next_offset: i64,
    pub(crate) stored: i64,
    pub(crate) duplicates: i64,
    pub(crate) dead_letters: i64,
    pub(crate) discarded: i64,
    /// Microseconds UTC.
    pub(crate) updated_at: i64,
}

/// The positions of a SQLite store. Blocks.
pub(crate) fn of_sqlite(store: &Store) -> Result<Vec<Position>, QueryError> {
    let connection = store.connect()?;
    let read = || -> rusqlite::Result<Vec<Position>> {
        let mut statement = connection.prepare(
            "SELECT stream, partition, max(next_seq, visible_seq), next_offset, stored, duplicates, dead_letters, discarded, updated_at FROM positions ORDER BY stream, partition",
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
            })
        })?;
        rows.collect()
    };
    read().map_err(|error| store.failed(&error))
}

/// The next seq of each partition in the scorer's checkpoint. Blocks.
pub(crate) fn of_checkpoint(baselines: &Store) -> Result<BTreeMap<i64, i64>, QueryError> {
    let connection = baselines.connect()?;
    let read = || -> rusqlite::Result<BTreeMap<i64, i64>> {
        let mut statement = connection.prepare("SELECT partition, next_seq FROM checkpoints")?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        rows.collect()
    };
    read().map_err(|error| baselines.failed(&error))
}

/// One entry of the payload of the index's last commit.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Committed {
    next_seq: i64,
    next_offset: i64,
    stored: i64,
    duplicates: i64,
    dead_letters: i64,
    discarded: i64,
    updated_at: i64,
}

/// The positions in the last commit of the search index. Blocks.
pub(crate) fn of_index(index: &SearchIndex) -> Result<Vec<Position>, QueryError> {
    match index.payload()? {
        None => Ok(Vec::new()),
        Some(payload) => in_payload(&payload).map_err(|error| index.failed(&format!("the positions in its last commit cannot be read: {error}"))),
    }
}

fn in_payload(payload: &str) -> Result<Vec<Position>, serde_json::Error> {
    let streams: BTreeMap<String, BTreeMap<i64, Committed>> = serde_json::from_str(payload)?;
    let mut positions = Vec::new();
    for (stream, partitions) in streams {
        for (partition, at) in partitions {
            positions.push(Position {
                stream: stream.clone(),
                partition,
                next_seq: at.next_seq,
                next_offset: at.next_offset,
                stored: at.stored,
                duplicates: at.duplicates,
                dead_letters: at.dead_letters,
                discarded: at.discarded,
                updated_at: at.updated_at,
            });
        }
    }
    Ok(positions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_payload_of_a_commit_is_read() {
        let positions = in_payload(r#"{"scorer":{"0":{"next_seq":7,"next_offset":9,"stored":2,"updated_at":5,"later":1},"1":{"next_seq":3}}}"#).unwrap();
        assert_eq!(positions.len(), 2);
        assert_eq!(positions[0], Position { stream: "scorer".into(), next_seq: 7, next_offset: 9, stored: 2, updated_at: 5, ..Position::default() });
        assert_eq!((positions[1].partition, positions[1].next_seq), (1, 3));
        assert!(in_payload("[]").is_err());
    }
}
