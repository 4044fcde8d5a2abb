//! Where an index that holds nothing yet begins.

use std::path::Path;

use tantivy::{Index, IndexWriter, TantivyDocument};
use wh_schemas::Reaction;
use wh_stores::clock;

use super::dialect::{Payload, Published};
use super::sink::{SearchStore, reaction};
use crate::delivery::StorePosition;
use crate::delivery::walk::stream_of;

/// What a writer that writes nothing may hold: the least that there is.
const WRITER_BYTES: usize = 15_000_000;

/// Lets an index begin at these positions, by topic. It is made where it is not there.
///
/// # Errors
/// Fatal where it has a position in any of them already, is written by another process, or cannot be written.
pub fn begin(folder: &Path, positions: &[(&str, Vec<StorePosition>)]) -> Result<(), Reaction> {
    drop(SearchStore::open(folder)?);
    let told = |error| reaction(folder, &error);
    let index = Index::open_in_dir(folder).map_err(told)?;
    let held = index.load_metas().map_err(told)?.payload.unwrap_or_else(|| "{}".to_owned());
    let mut payload: Payload = serde_json::from_str(&held).map_err(|error| Reaction::fatal(format!("search: the index's positions cannot be read: {error}")))?;
    let now = clock::now().0;
    for (topic, places) in positions {
        let stream = payload.entry(stream_of(topic).to_owned()).or_default();
        if !stream.is_empty() {
            return Err(Reaction::fatal(format!("search: {} has a position in {topic} already: a store begins once", folder.display())));
        }
        stream.extend(places.iter().map(|place| (place.partition, Published::of(place, now))));
    }
    let text = serde_json::to_string(&payload).map_err(|error| Reaction::fatal(format!("search: positions cannot be written: {error}")))?;
    let mut writer: IndexWriter<TantivyDocument> = index.writer_with_num_threads(1, WRITER_BYTES).map_err(told)?;
    let mut commit = writer.prepare_commit().map_err(told)?;
    commit.set_payload(&text);
    commit.commit().map(drop).map_err(told)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tantivy::read_positions;
    use wh_schemas::topics::{RISK_ALERTS, RISK_SCORES};

    #[test]
    fn an_index_begins_once() {
        let folder = tempfile::tempdir().unwrap();
        let place = StorePosition { partition: 1, next_seq: 7, next_offset: 9, visible_seq: 7, visible_offset: 9, ..StorePosition::default() };
        begin(folder.path(), &[(RISK_SCORES, vec![place]), (RISK_ALERTS, Vec::new())]).unwrap();
        assert_eq!(read_positions(folder.path(), "scorer").unwrap(), [place]);
        let again = begin(folder.path(), &[(RISK_SCORES, vec![place])]).unwrap_err();
        assert!(again.to_string().contains("begins once"), "{again}");
    }
}
