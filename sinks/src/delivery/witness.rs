//! What a store keeps of the last records that it has taken, to know a log that was set back: see [`wh_eventlog::lineage`].
//!
//! What must stay true: it is kept beside the positions, under a name of its own, so that no layout changes and an earlier version passes it
//! over; a store that keeps none, because an earlier version filled it, goes on as before.

use wh_eventlog::Reader;
use wh_eventlog::lineage::Witness;
use wh_schemas::Reaction;
use wh_schemas::position::{witness_place, witnessed};

use super::{Batch, Store, StorePosition};

/// What is to be kept of a batch that was taken; `None` of an empty one.
#[must_use]
pub fn of(topics: &[&str], batch: &Batch) -> Option<StorePosition> {
    let index = topics.iter().position(|topic| **topic == *batch.topic)?;
    let Witness { offset, print } = Witness::of(batch.records.last()?);
    Some(StorePosition {
        partition: witness_place(index, batch.partition),
        next_seq: print,
        next_offset: offset,
        visible_seq: offset,
        visible_offset: offset,
        ..StorePosition::default()
    })
}

/// Compares what a store keeps with the log: before anything is written.
///
/// # Errors
/// Fatal where the log was set back; transient while one of them does not answer.
pub async fn check(log: &dyn Reader, store: &mut dyn Store) -> Result<(), Reaction> {
    let topics = store.topics();
    for kept in store.witnesses().await? {
        let (index, partition) = witnessed(kept.partition);
        let Some(topic) = topics.get(index) else { continue };
        // A topic may have been made with fewer partitions: what its positions are of is judged by them.
        if partition < log.partitions(topic).await? {
            Witness { offset: kept.next_offset, print: kept.next_seq }.check(log, store.role(), topic, partition).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::identity::Binding;
    use crate::sqlite::documents::DocumentsStore;
    use std::sync::Arc;
    use wh_eventlog::embedded::{EmbeddedLog, Settings};
    use wh_eventlog::{Log, Producer, Record};
    use wh_schemas::topics::{self, RISK_SCORES};

    #[tokio::test(flavor = "multi_thread")]
    async fn a_store_that_has_taken_another_record_is_written_by_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let log = EmbeddedLog::open(&folder.path().join("log"), Settings::default()).unwrap();
        log.ensure_topics(&topics::ALL, 2).await.unwrap();
        log.produce(RISK_SCORES, 1, (0..9).map(|i| Record::new(format!("{i}"), format!("{i}"))).collect()).await.unwrap();
        let mut store = DocumentsStore::open(&folder.path().join("documents.db")).unwrap();
        let mut records = log.read(RISK_SCORES, 1, 0, 1 << 20).await.unwrap();
        let taken = |records: &[wh_eventlog::Stored]| {
            let batch = Batch { topic: Arc::from(RISK_SCORES), partition: 1, records: Arc::new(records.to_vec()), buried: std::collections::BTreeSet::new() };
            of(&[RISK_SCORES], &batch).unwrap()
        };
        store.remember(&[taken(&records)]).await.unwrap();
        Binding::default().keep(&*log, &mut store).await.unwrap();
        Binding::default().check(&*log, &mut store).await.unwrap();
        assert_eq!(store.witnesses().await.unwrap().len(), 1);
        // As where the log has grown past it again after it was set back: the same offset, another record.
        if let Some(last) = records.last_mut() {
            last.append_time += 1;
        }
        store.remember(&[taken(&records)]).await.unwrap();
        let told = Binding::default().check(&*log, &mut store).await.unwrap_err();
        assert_eq!(wh_eventlog::incidents::kind(&told), "log_set_back", "{told}");
        assert!(told.to_string().contains("documents: this log is not the one that the store was written from"), "{told}");
    }
}
