//! Writing the index. Rows and positions become visible in one commit, whose payload holds the positions.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use tantivy::collector::Count;
use tantivy::directory::MmapDirectory;
use tantivy::query::TermQuery;
use tantivy::schema::IndexRecordOption;
use tantivy::{Index, IndexReader, IndexWriter, ReloadPolicy, TantivyDocument, TantivyError, Term};
use wh_eventlog::crash;
use wh_schemas::Reaction;
use wh_schemas::position::{LOG_STREAM, WITNESS_STREAM};
use wh_schemas::topics::{RISK_ALERTS, RISK_SCORES};
use wh_stores::clock;
use wh_stores::tantivy::layout;

use super::dialect::{Fields, Payload, Published, Row};
use super::faults::{self, Fault};
use crate::delivery::walk::{self, DISCARDED, DUPLICATE, Halt, STORED, stream_of};
use crate::delivery::{Batch, Store, StorePosition, Written};
use crate::pattern::{PatternRow, Told};

/// Bytes of documents that the writer holds before it makes a segment of them.
const WRITER_BYTES: usize = 20_000_000;

/// The embedded search store.
pub struct SearchStore {
    folder: Arc<PathBuf>,
    index: Index,
    pub(super) fields: Fields,
    writer: Arc<Mutex<IndexWriter<TantivyDocument>>>,
    written: BTreeMap<(String, u32), StorePosition>,
    pending: bool,
}

pub(super) fn reaction(folder: &Path, error: &TantivyError) -> Reaction {
    let place = folder.display();
    let told = faults::told(error);
    match faults::fault(error) {
        Fault::Held => Reaction::fatal(format!("search: another process writes the index {place}: stop it first")),
        Fault::Damaged => Reaction::fatal(format!(
            "search: the index {place} is damaged or of another version ({told}): move the folder away and start again, and the log will fill it anew as far as it reaches back"
        )),
        Fault::Full => Reaction::fatal(format!("search: no space left for {place}: make room and start again, nothing acknowledged is lost")),
        Fault::Disk => Reaction::fatal(format!("search ({place}): {told}: check the disk and its free space, then start again")),
    }
}

impl SearchStore {
    /// Opens the index, made when it is not there.
    ///
    /// # Errors
    /// Fatal where it cannot be written, is damaged, of other fields, or written by another process.
    pub fn open(folder: &Path) -> Result<SearchStore, Reaction> {
        std::fs::create_dir_all(folder)
            .map_err(|e| Reaction::fatal(format!("search: cannot create {}: {e}; choose a data folder that can be written (--data DIR)", folder.display())))?;
        let told = |e: TantivyError| reaction(folder, &e);
        let directory = MmapDirectory::open(folder).map_err(|e| told(e.into()))?;
        let schema = layout::alert_schema();
        let index = if Index::exists(&directory).map_err(|e| told(e.into()))? {
            Index::open(directory).map_err(told)?
        } else {
            Index::create(directory, schema.clone(), tantivy::IndexSettings::default()).map_err(told)?
        };
        if index.schema() != schema {
            return Err(Reaction::fatal(format!(
                "search: the index {} has other fields than this Wardhouse writes: it is of another version; move the folder away and the log will fill it anew",
                folder.display()
            )));
        }
        layout::register_analyzer(&index);
        let fields = Fields::of(&schema)?;
        let writer = index.writer_with_num_threads(1, WRITER_BYTES).map_err(told)?;
        let mut store = SearchStore { folder: Arc::new(folder.to_owned()), index, fields, writer: Arc::new(Mutex::new(writer)), written: BTreeMap::new(), pending: false };
        store.go_back_to_published()?;
        Ok(store)
    }

    fn published(&self) -> Result<Payload, Reaction> {
        let metas = self.index.load_metas().map_err(|e| reaction(&self.folder, &e))?;
        match metas.payload {
            None => Ok(Payload::new()),
            Some(text) => serde_json::from_str(&text)
                .map_err(|e| Reaction::fatal(format!("search: the index's positions cannot be read ({e}): move {} away and the log will fill it anew", self.folder.display()))),
        }
    }

    /// Forgets what was written and not committed.
    fn go_back_to_published(&mut self) -> Result<(), Reaction> {
        self.written = self
            .published()?
            .into_iter()
            .flat_map(|(stream, partitions)| partitions.into_iter().map(move |(partition, p)| ((stream.clone(), partition), p.position(partition))))
            .collect();
        self.pending = false;
        Ok(())
    }

    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut IndexWriter<TantivyDocument>, &Path) -> Result<T, Reaction> + Send + 'static,
    ) -> Result<T, Reaction> {
        let (writer, folder) = (self.writer.clone(), self.folder.clone());
        let task = tokio::task::spawn_blocking(move || work(&mut writer.lock().unwrap_or_else(PoisonError::into_inner), &folder));
        task.await.map_err(|e| Reaction::fatal(format!("the task of the search store failed: {e}")))?
    }
}

#[async_trait]
impl Store for SearchStore {
    fn role(&self) -> &'static str {
        "search"
    }

    fn topics(&self) -> Vec<&'static str> {
        vec![RISK_SCORES, RISK_ALERTS]
    }

    async fn log(&mut self) -> Result<Option<u64>, Reaction> {
        Ok(self.published()?.get(LOG_STREAM).and_then(|kept| kept.get(&0)).map(|kept| kept.position(0).next_offset))
    }

    async fn bind(&mut self, log: u64) -> Result<u64, Reaction> {
        if let Some(kept) = self.log().await? {
            return Ok(kept);
        }
        self.written.insert((LOG_STREAM.to_owned(), 0), StorePosition { next_offset: log, ..StorePosition::default() });
        self.pending = true;
        self.publish().await?;
        Ok(log)
    }

    async fn witnesses(&mut self) -> Result<Vec<StorePosition>, Reaction> {
        Ok(self.published()?.get(WITNESS_STREAM).into_iter().flatten().map(|(place, kept)| kept.position(*place)).collect())
    }

    /// It goes with the next commit.
    async fn remember(&mut self, taken: &[StorePosition]) -> Result<(), Reaction> {
        self.written.extend(taken.iter().map(|place| ((WITNESS_STREAM.to_owned(), place.partition), *place)));
        Ok(())
    }

    async fn positions(&mut self, topic: &str) -> Result<Vec<StorePosition>, Reaction> {
        // What was written and not committed is given up: it will be read again.
        self.blocking(|writer, folder| writer.rollback().map(drop).map_err(|e| reaction(folder, &e))).await?;
        self.go_back_to_published()?;
        let stream = stream_of(topic);
        Ok(self.written.iter().filter(|((s, _), _)| s == stream).map(|(_, position)| *position).collect())
    }

    async fn write(&mut self, batch: Batch) -> Result<Written, Reaction> {
        let key = (stream_of(&batch.topic).to_owned(), batch.partition);
        let start = self.written.get(&key).copied().unwrap_or(StorePosition { partition: batch.partition, ..StorePosition::default() });
        let fields = self.fields;
        let outcome = self
            .blocking(move |writer, folder| {
                // Documents are made first and added only when the whole batch is good: what was added cannot be taken back.
                let mut documents = Vec::new();
                let walked = if &*batch.topic == RISK_ALERTS {
                    walk::walk_some(&batch, &start, PatternRow::read, |record, row, _| {
                        let Some(told) = row.told() else { return Ok(DISCARDED) };
                        documents.push((told.alert.alert_id.to_string(), fields.document(&told, record.append_time)));
                        Ok(STORED)
                    })
                } else {
                    walk::walk(
                        &batch,
                        &start,
                        |record| serde_json::from_slice::<Row<'_>>(&record.value),
                        |record, row, _| {
                            if row.risk_score.is_none() {
                                return Ok(DUPLICATE);
                            }
                            if row.alerts.is_empty() {
                                return Ok(DISCARDED);
                            }
                            documents.extend(row.told().map(|told| (told.alert.alert_id.to_string(), fields.document(&told, record.append_time))));
                            Ok(STORED)
                        },
                    )
                };
                let position = match walked {
                    Ok(position) => position,
                    Err(halt) => return Halt::outcome(halt).map(Err),
                };
                let alerts = documents.len() as u64;
                for (id, document) in documents {
                    put(writer, fields, &id, document).map_err(|e| reaction(folder, &e))?;
                }
                Ok(Ok((position, alerts)))
            })
            .await?;
        match outcome {
            Ok((position, alerts)) => {
                self.written.insert(key, position);
                self.pending = true;
                Ok(Written::Done { position, alerts })
            }
            Err(refused) => Ok(refused),
        }
    }

    async fn replay(&mut self, batch: Batch) -> Result<u64, Reaction> {
        let fields = self.fields;
        self.pending = true;
        let reader: tantivy::Result<IndexReader> = self.index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into();
        let reader = reader.map_err(|e| reaction(&self.folder, &e))?;
        self.blocking(move |writer, folder| {
            // What is there is replaced by the same, and not counted.
            let (searcher, mut written, mut seen) = (reader.searcher(), 0, HashSet::new());
            for record in batch.records.iter() {
                let mut again = |told: Told<'_>| -> tantivy::Result<()> {
                    let id = &told.alert.alert_id;
                    let query = TermQuery::new(Term::from_field_text(fields.alert_id, id), IndexRecordOption::Basic);
                    let is_new = seen.insert(id.to_string()) && searcher.search(&query, &Count)? == 0;
                    written += u64::from(is_new);
                    put(writer, fields, id, fields.document(&told, record.append_time))
                };
                let done = if &*batch.topic == RISK_ALERTS {
                    let Ok(Some(row)) = PatternRow::read(record) else { continue };
                    row.told().into_iter().try_for_each(&mut again)
                } else {
                    let Ok(row) = serde_json::from_slice::<Row<'_>>(&record.value) else { continue };
                    row.told().try_for_each(&mut again)
                };
                done.map_err(|e| reaction(folder, &e))?;
            }
            Ok(written)
        })
        .await
    }

    async fn publish(&mut self) -> Result<bool, Reaction> {
        if !self.pending {
            return Ok(false);
        }
        let now = clock::now().0;
        let mut payload = Payload::new();
        for ((stream, partition), position) in &self.written {
            payload.entry(stream.clone()).or_default().insert(*partition, Published::of(position, now));
        }
        let text = serde_json::to_string(&payload).map_err(|e| Reaction::fatal(format!("search: positions cannot be written: {e}")))?;
        self.blocking(move |writer, folder| {
            let mut commit = writer.prepare_commit().map_err(|e| reaction(folder, &e))?;
            commit.set_payload(&text);
            crash::point("sink.rows");
            commit.commit().map(drop).map_err(|e| reaction(folder, &e))
        })
        .await?;
        self.pending = false;
        Ok(true)
    }

    async fn retain(&mut self, before: i64) -> Result<u64, Reaction> {
        let field = self.fields.created_at;
        self.pending = true;
        self.blocking(move |writer, folder| {
            let range = tantivy::query::RangeQuery::new(std::ops::Bound::Unbounded, std::ops::Bound::Excluded(Term::from_field_i64(field, before)));
            writer.delete_query(Box::new(range)).map(drop).map_err(|e| reaction(folder, &e))
        })
        .await?;
        self.publish().await?;
        Ok(0)
    }
}

/// Adds a document, replacing the one with its id, so that writing it twice changes nothing.
fn put(writer: &IndexWriter<TantivyDocument>, fields: Fields, id: &str, document: TantivyDocument) -> tantivy::Result<()> {
    writer.delete_term(Term::from_field_text(fields.alert_id, id));
    writer.add_document(document).map(drop)
}

/// What the index says of itself, read without writing anything; nothing where it is not there yet.
///
/// # Errors
/// Where it cannot be read.
pub fn read_positions(folder: &Path, stream: &str) -> Result<Vec<StorePosition>, Reaction> {
    if !folder.join("meta.json").exists() {
        return Ok(Vec::new());
    }
    let told = |e: TantivyError| reaction(folder, &e);
    let index = Index::open_in_dir(folder).map_err(told)?;
    let payload = index.load_metas().map_err(told)?.payload.unwrap_or_else(|| "{}".to_owned());
    let payload: Payload = serde_json::from_str(&payload).map_err(|e| Reaction::fatal(format!("search: the index's positions cannot be read: {e}")))?;
    Ok(payload.get(stream).into_iter().flatten().map(|(partition, p)| p.position(*partition)).collect())
}
