//! Records that a store's sink could not store: the dead letters hold them, so that their rows may be missing.

use std::collections::{BTreeMap, BTreeSet};

use wh_eventlog::dead_letters::Letters;
use wh_eventlog::{Offset, Reader};
use wh_schemas::Reaction;

/// Offsets of buried records, by topic and partition: 8 bytes a dead letter and what the set adds.
#[derive(Debug, Default)]
pub(super) struct Buried(BTreeMap<(String, u32), BTreeSet<Offset>>);

impl Buried {
    /// Those of a store.
    pub(super) async fn read(log: &dyn Reader, store: &str) -> Result<Buried, Reaction> {
        let (mut letters, mut buried) = (Letters::new(log).await?, Buried::default());
        while let Some(found) = letters.next().await? {
            if found.letter.store.as_deref() == Some(store) {
                let origin = found.letter.origin;
                buried.0.entry((origin.topic, origin.partition)).or_default().insert(origin.offset);
            }
        }
        Ok(buried)
    }

    /// Those of a partition.
    pub(super) fn of(&self, topic: &str, partition: u32) -> BTreeSet<Offset> {
        self.0.get(&(topic.to_owned(), partition)).cloned().unwrap_or_default()
    }
}
