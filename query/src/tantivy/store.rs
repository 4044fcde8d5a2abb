//! The search index as the store of its role.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;
use wh_schemas::layout::SEARCH_VERSION;

use super::index::SearchIndex;
use super::scan::SearchScan;
use crate::errors::QueryError;
use crate::positions::Position;
use crate::shape;
use crate::store::{RoleStore, SinkStore};
use crate::table::Relation;

impl RoleStore for SearchIndex {
    fn kind(&self) -> &'static str {
        "tantivy"
    }

    fn place(&self) -> String {
        self.path.display().to_string()
    }

    fn layout(&self) -> Result<Option<i64>, QueryError> {
        self.payload().map(|_| Some(SEARCH_VERSION))
    }

    fn bytes(&self) -> Option<u64> {
        size_of(&self.path)
    }

    fn relations(self: Arc<Self>) -> Vec<Relation> {
        let shape = shape::search();
        let scan = SearchScan { index: self, schema: Arc::clone(&shape.schema) };
        vec![Relation::new("search", &shape, Arc::new(scan))]
    }
}

/// Bytes of the files of an index; it has no folders in it.
fn size_of(path: &Path) -> Option<u64> {
    let entries = std::fs::read_dir(path).ok()?;
    Some(entries.flatten().filter_map(|entry| entry.metadata().ok()).filter(std::fs::Metadata::is_file).map(|metadata| metadata.len()).sum())
}

impl SinkStore for SearchIndex {
    fn positions(&self) -> Result<Vec<Position>, QueryError> {
        match self.payload()? {
            None => Ok(Vec::new()),
            Some(payload) => in_payload(&payload).map_err(|error| self.failed(&format!("the positions in its last commit cannot be read: {error}"))),
        }
    }
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
                floor_seq: 0,
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
