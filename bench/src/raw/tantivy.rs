//! Tantivy: the documents that our sink wrote, added to an index of the same fields and analyser by a writer of the same size, with a commit as
//! often as the pipeline publishes.

use std::path::Path;
use std::time::{Duration, Instant};

use tantivy::collector::DocSetCollector;
use tantivy::query::AllQuery;
use tantivy::{Index, IndexWriter, TantivyDocument};
use tokio_util::sync::CancellationToken;
use wh_sinks::tantivy::SearchStore;
use wh_stores::tantivy::layout;

use super::meter::{Meter, Took, no_server};
use super::{Run, Unmeasured, counted, fill, own_folder, remove_folder};
use crate::report::RawRate;

/// How it is called in reports.
pub const WAY: &str = "add and commit (alerts)";

/// Bytes of documents that the writer holds, as the sink's.
const WRITER_BYTES: usize = 20_000_000;
/// How often the pipeline publishes.
const PUBLISH_EVERY: Duration = Duration::from_millis(200);

fn failed(error: tantivy::TantivyError) -> Unmeasured {
    Unmeasured::new("Tantivy", error)
}

/// The documents of an index, in their order.
fn documents(index: &Index) -> Result<Vec<TantivyDocument>, tantivy::TantivyError> {
    let searcher = index.reader()?.searcher();
    let mut places: Vec<_> = searcher.search(&AllQuery, &DocSetCollector)?.into_iter().collect();
    places.sort_unstable();
    places.into_iter().map(|place| searcher.doc::<TantivyDocument>(place)).collect()
}

/// Adds them all; `false` where it was told to stop.
fn add(writer: &mut IndexWriter<TantivyDocument>, documents: Vec<TantivyDocument>, stop: &CancellationToken) -> Result<bool, tantivy::TantivyError> {
    let mut committed = Instant::now();
    for document in documents {
        writer.add_document(document)?;
        if committed.elapsed() >= PUBLISH_EVERY {
            writer.commit()?;
            committed = Instant::now();
            if stop.is_cancelled() {
                return Ok(false);
            }
        }
    }
    writer.commit()?;
    Ok(true)
}

/// Reads one index and writes another; on a thread that may block.
fn copy(from: &Path, to: &Path, bytes: usize, stop: &CancellationToken) -> Result<Took, Unmeasured> {
    let found = documents(&Index::open_in_dir(from).map_err(failed)?).map_err(failed)?;
    std::fs::create_dir_all(to).map_err(|error| Unmeasured::new(&to.display().to_string(), error))?;
    let index = Index::create_in_dir(to, layout::alert_schema()).map_err(failed)?;
    layout::register_analyzer(&index);
    let mut writer: IndexWriter<TantivyDocument> = index.writer_with_num_threads(1, WRITER_BYTES).map_err(failed)?;
    let rows = found.len();
    let meter = Meter::start(&no_server());
    if !add(&mut writer, found, stop).map_err(failed)? {
        return Err(Unmeasured::Stopped);
    }
    let took = meter.stop(rows, bytes);
    let held = index.reader().map_err(failed)?.searcher().num_docs();
    counted(usize::try_from(held).unwrap_or(usize::MAX), rows)?;
    writer.wait_merging_threads().map_err(failed)?;
    Ok(took)
}

/// Measures it. What it sent counts as the bytes of the records, of which an alert's text is the most.
pub(super) async fn measure(run: &Run<'_>) -> Result<RawRate, Unmeasured> {
    let folder = own_folder(run)?;
    let outcome = within(folder.path(), run).await;
    let removed = remove_folder(folder);
    let rate = outcome?;
    removed.map(|()| rate)
}

async fn within(folder: &Path, run: &Run<'_>) -> Result<RawRate, Unmeasured> {
    let (from, to, stop) = (folder.join("filled"), folder.join("plain"), run.stop.clone());
    let mut store = SearchStore::open(&from)?;
    fill(&mut store, &run.corpus.alerting, run.stop).await?;
    drop(store);
    let bytes = run.corpus.alerting.iter().flat_map(|batch| batch.iter()).map(|record| record.value.len()).sum();
    let task = tokio::task::spawn_blocking(move || copy(&from, &to, bytes, &stop));
    let took = task.await.map_err(|error| Unmeasured::new("Tantivy", error))??;
    Ok(took.raw_rate("search", WAY))
}

#[cfg(test)]
mod tests {
    use super::super::Corpus;
    use super::*;

    #[tokio::test]
    async fn the_index_is_measured_and_leaves_nothing() {
        let (folder, corpus, stop) = (tempfile::tempdir().unwrap(), Corpus::new(200).unwrap(), CancellationToken::new());
        let run = Run { corpus: &corpus, folder: folder.path(), cpu: no_server(), stop: &stop };
        let rate = measure(&run).await.unwrap();
        assert!(rate.rows_per_s > 0.0 && rate.server_cpu_us.is_none(), "{rate:?}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
