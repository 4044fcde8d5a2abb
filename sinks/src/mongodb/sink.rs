//! Writing documents to MongoDB.
//!
//! What must stay true: documents are on the disks of a majority before the position that covers them is; a position moves only from where
//! this store last saw it, so that a late writer of another instance moves none back; readers take no document at or above its partition's
//! position, nor below its floor, so that a write that is broken off anywhere shows nothing and may be done again.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use ::mongodb::Collection;
use ::mongodb::bson::{Bson, Document, RawDocumentBuf, doc};
use ::mongodb::error::{Error, ErrorKind};
use async_trait::async_trait;
use futures::future::try_join_all;
use tokio::time::Instant;
use wh_eventlog::crash;
use wh_schemas::position::{LOG_STREAM, SeqPosition, WITNESS_STREAM};
use wh_schemas::topics::RISK_SCORES;
use wh_schemas::{Reaction, ScoreRecord};
use wh_stores::clock;
use wh_stores::mongodb::errors::{self, RowFailure};
use wh_stores::mongodb::layout::{self, DOCUMENTS, POSITIONS, PositionDocument};
use wh_stores::mongodb::{Connected, MongodbSettings, connect};

use super::dialect::{self, Failed, Held, Row};
use super::positions;
use crate::delivery::walk::{self, DUPLICATE, Halt, stream_of};
use crate::delivery::{Batch, Store, StorePosition, Tally, Written};

/// Keys in one question, and seqs of one removal.
const CHUNK: usize = 5_000;
/// How long rows beyond retention are removed at once: nothing is written meanwhile. Whoever asks again goes on with it.
const RETENTION_STEP: Duration = Duration::from_millis(500);

/// The documents store on MongoDB.
pub struct DocumentsStore {
    pub(super) connected: Connected,
    pub(super) documents: Collection<RawDocumentBuf>,
    positions: Collection<PositionDocument>,
    batch_documents: usize,
    parallel_inserts: usize,
    /// Where partitions stood when they were last read or moved, by stream; nothing for one that has no position yet.
    seen: HashMap<(String, u32), Option<StorePosition>>,
}

impl DocumentsStore {
    /// Connects, and makes of the layout what is missing.
    ///
    /// # Errors
    /// Transient while the server is away. Fatal where it cannot be used: see [`connect()`] and [`layout::ensure`].
    pub async fn open(settings: &MongodbSettings) -> Result<DocumentsStore, Reaction> {
        let connected = connect(settings).await?;
        wh_stores::mongodb::connect::be_durable(&connected, settings).await?;
        for done in layout::ensure(&connected, settings).await? {
            tracing::info!(store = "documents", "{done}");
        }
        Ok(DocumentsStore {
            documents: connected.collection(DOCUMENTS),
            positions: connected.collection(POSITIONS),
            batch_documents: settings.batch_documents(),
            parallel_inserts: settings.parallel_inserts(),
            seen: HashMap::new(),
            connected,
        })
    }

    /// Where a partition stands: as last seen, or as the store says.
    async fn position(&mut self, stream: &str, partition: u32) -> Result<Option<StorePosition>, Reaction> {
        let key = (stream.to_owned(), partition);
        if let Some(seen) = self.seen.get(&key) {
            return Ok(*seen);
        }
        let found = self.connected.ask(self.positions.find_one(doc! { "_id": positions::id(stream, partition) })).await?;
        let position = found.as_ref().map(positions::of);
        self.seen.insert(key, position);
        Ok(position)
    }

    async fn write_behind_the_fence(&mut self, batch: &Batch) -> Result<Written, Reaction> {
        let stream = stream_of(&batch.topic);
        let known = self.position(stream, batch.partition).await?;
        let start = known.unwrap_or(StorePosition { partition: batch.partition, ..StorePosition::default() });
        let mut rows = Vec::new();
        let walked = walk::walk(
            batch,
            &start,
            |record| serde_json::from_slice::<ScoreRecord<'_>>(&record.value),
            |record, score, _| -> Result<Tally, Halt> {
                Ok(match dialect::row(record, score)? {
                    // Counted once it is known what became of it.
                    Some(row) => {
                        rows.push(row);
                        Tally::default()
                    }
                    None => DUPLICATE,
                })
            },
        );
        let mut position = match walked {
            Ok(position) => position,
            Err(halt) => return halt.outcome(),
        };
        if position == start {
            return Ok(Written::Done { position, alerts: 0 });
        }
        let (firsts, failed) = self.insert(&rows).await?;
        let held = self.held(&rows, &failed).await?;
        match dialect::settled(self.connected.place(), &rows, &firsts, &failed, &held) {
            Ok(tally) => position.tally.add(tally),
            Err(halt) => return halt.outcome(),
        }
        crash::point("sink.rows");
        self.publish_position(stream, known, &position).await?;
        self.seen.insert((stream.to_owned(), batch.partition), Some(position));
        Ok(Written::Done { position, alerts: 0 })
    }

    /// Inserts the first row of each transaction. Gives [`dialect::firsts`], and which of the inserted are not there by it.
    async fn insert(&self, rows: &[Row<'_>]) -> Result<(Vec<usize>, BTreeMap<usize, Failed>), Reaction> {
        let firsts = dialect::firsts(rows);
        let inserted: Vec<(usize, &RawDocumentBuf)> =
            rows.iter().enumerate().filter(|(index, _)| firsts.get(*index) == Some(index)).map(|(index, row)| (index, row.document())).collect();
        let chunks: Vec<&[(usize, &RawDocumentBuf)]> = inserted.chunks(self.batch_documents).collect();
        let mut failed = BTreeMap::new();
        for together in chunks.chunks(self.parallel_inserts) {
            let inserts: Vec<_> = together.iter().map(|chunk| self.insert_chunk(chunk)).collect();
            let answers = try_join_all(inserts).await?;
            failed.extend(answers.into_iter().flatten());
        }
        Ok((firsts, failed))
    }

    async fn insert_chunk(&self, chunk: &[(usize, &RawDocumentBuf)]) -> Result<Vec<(usize, Failed)>, Reaction> {
        let insert = self.documents.insert_many(chunk.iter().map(|(_, document)| *document)).ordered(false);
        match self.connected.answer(insert).await? {
            Ok(_) => Ok(Vec::new()),
            Err(error) => {
                let failures = row_failures(&self.connected, &error)?;
                Ok(failures.into_iter().filter_map(|(at, failure)| chunk.get(at).map(|(index, _)| (*index, failure))).collect())
            }
        }
    }

    /// What the store holds in the stead of rows that were there already.
    async fn held(&self, rows: &[Row<'_>], failed: &BTreeMap<usize, Failed>) -> Result<Vec<Held>, Reaction> {
        let there: Vec<&Row<'_>> = failed.iter().filter(|(_, failed)| **failed == Failed::AlreadyThere).filter_map(|(index, _)| rows.get(*index)).collect();
        let mut held = Vec::new();
        for chunk in there.chunks(CHUNK) {
            let keys: Vec<i64> = chunk.iter().map(|row| row.key()).collect();
            held.extend(self.find_held(doc! { "_id": { "$in": keys } }).await?);
        }
        // Most often it is what this store wrote before it was interrupted. What is not, stands at another key.
        let elsewhere: Vec<&str> = {
            let at_home: HashMap<i64, &Held> = held.iter().map(|held| (held.key, held)).collect();
            there.iter().filter(|row| at_home.get(&row.key()).is_none_or(|held| !held.is(row))).map(|row| row.id()).collect()
        };
        let mut found = Vec::new();
        for chunk in elsewhere.chunks(CHUNK) {
            found.extend(self.find_held(doc! { "transaction_id": { "$in": chunk } }).await?);
        }
        held.extend(found);
        Ok(held)
    }

    async fn find_held(&self, filter: Document) -> Result<Vec<Held>, Reaction> {
        let documents: Collection<Held> = self.documents.clone_with_type();
        let fields: Document = Held::FIELDS.into_iter().map(|name| (name.to_owned(), Bson::Int32(1))).collect();
        let mut cursor = self.connected.ask(documents.find(filter).projection(fields)).await?;
        let mut held = Vec::new();
        while self.connected.ask(cursor.advance()).await? {
            held.push(cursor.deserialize_current().map_err(|error| self.connected.told(&error))?);
        }
        Ok(held)
    }

    /// Moves a position from where it was seen; nobody else may have moved it.
    async fn publish_position(&self, stream: &str, known: Option<StorePosition>, to: &StorePosition) -> Result<(), Reaction> {
        let (filter, update) = positions::advance(stream, known.as_ref(), to, clock::now().0);
        let moved = match self.connected.answer(self.positions.update_one(filter, update).upsert(known.is_none())).await? {
            Ok(result) => result.matched_count == 1 || result.upserted_id.is_some(),
            Err(error) if errors::is_duplicate_key(&error) => false,
            Err(error) => return Err(self.connected.told(&error)),
        };
        if moved {
            return Ok(());
        }
        Err(Reaction::transient(format!("{}: another instance went on with partition {} of {stream}: reading its position again", self.connected.place(), to.partition)))
    }

    /// Hides what lies below the first document that is kept, then removes of it what can be removed until an instant, and at least some.
    /// Returns how many documents were removed.
    async fn retain_partition(&self, at: &PositionDocument, before: i64, until: Instant) -> Result<u64, Reaction> {
        let partition = u32::try_from(at.partition).unwrap_or(u32::MAX);
        let key = |seq: i64| SeqPosition { partition, seq: positions::short(seq) }.packed();
        let documents = self.documents.clone_with_type::<Document>();
        let kept = doc! { "_id": { "$gte": key(at.floor_seq), "$lt": key(at.next_seq) }, "processed_at": { "$gte": before } };
        let kept = self.connected.ask(documents.find_one(kept).sort(doc! { "_id": 1 }).projection(doc! { "_id": 1 })).await?;
        let floor = kept.and_then(|document| document.get_i64("_id").ok()).unwrap_or_else(|| key(at.next_seq));
        let seq = positions::long(SeqPosition::unpacked(floor).seq);
        if seq > at.floor_seq {
            self.connected.ask(self.positions.update_one(doc! { "_id": &at.id }, doc! { "$max": { "floor_seq": seq } })).await?;
        }
        let mut removed = 0;
        loop {
            let first = doc! { "_id": { "$gte": key(0), "$lt": floor } };
            let Some(first) = self.connected.ask(documents.find_one(first).sort(doc! { "_id": 1 }).projection(doc! { "_id": 1 })).await? else { return Ok(removed) };
            let first = first.get_i64("_id").unwrap_or(floor);
            let behind = first.saturating_add(i64::try_from(CHUNK).unwrap_or(i64::MAX)).min(floor);
            removed += self.connected.ask(documents.delete_many(doc! { "_id": { "$gte": first, "$lt": behind } })).await?.deleted_count;
            if Instant::now() >= until {
                return Ok(removed);
            }
        }
    }
}

#[async_trait]
impl Store for DocumentsStore {
    fn role(&self) -> &'static str {
        "documents"
    }

    fn topics(&self) -> Vec<&'static str> {
        vec![RISK_SCORES]
    }

    async fn log(&mut self) -> Result<Option<u64>, Reaction> {
        Ok(positions::read(&self.connected, LOG_STREAM).await?.first().map(|kept| positions::of(kept).next_offset))
    }

    async fn bind(&mut self, log: u64) -> Result<u64, Reaction> {
        let mark = StorePosition { next_offset: log, ..StorePosition::default() };
        let (filter, update) = positions::advance(LOG_STREAM, None, &mark, clock::now().0);
        match self.connected.answer(self.positions.update_one(filter, update).upsert(true)).await? {
            Err(error) if !errors::is_duplicate_key(&error) => return Err(self.connected.told(&error)),
            // Or one is kept already.
            _ => {}
        }
        let kept = self.log().await?;
        kept.ok_or_else(|| Reaction::transient(format!("{}: which log it is filled from is not there yet", self.connected.place())))
    }

    async fn witnesses(&mut self) -> Result<Vec<StorePosition>, Reaction> {
        Ok(positions::read(&self.connected, WITNESS_STREAM).await?.iter().map(positions::of).collect())
    }

    async fn remember(&mut self, taken: &[StorePosition]) -> Result<(), Reaction> {
        for place in taken {
            let (filter, update) = positions::put(WITNESS_STREAM, place, clock::now().0);
            self.connected.ask(self.positions.update_one(filter, update).upsert(true)).await?;
        }
        Ok(())
    }

    async fn positions(&mut self, topic: &str) -> Result<Vec<StorePosition>, Reaction> {
        let stream = stream_of(topic);
        let found: Vec<StorePosition> = positions::read(&self.connected, stream).await?.iter().map(positions::of).collect();
        self.seen.retain(|(known, _), _| known != stream);
        self.seen.extend(found.iter().map(|position| ((stream.to_owned(), position.partition), Some(*position))));
        Ok(found)
    }

    async fn write(&mut self, batch: Batch) -> Result<Written, Reaction> {
        let written = self.write_behind_the_fence(&batch).await;
        if written.is_err() {
            // Whatever it was, the position may have moved: by this write, or by another instance.
            self.seen.remove(&(stream_of(&batch.topic).to_owned(), batch.partition));
        }
        written
    }

    async fn replay(&mut self, batch: Batch) -> Result<u64, Reaction> {
        let mut rows = Vec::new();
        for record in batch.records.iter() {
            // What cannot be read or stored is in the dead letters.
            if let Ok(score) = serde_json::from_slice::<ScoreRecord<'_>>(&record.value)
                && let Ok(Some(row)) = dialect::row(record, score)
            {
                rows.push(row);
            }
        }
        let (firsts, failed) = self.insert(&rows).await?;
        let inserted = firsts.iter().enumerate().filter(|(index, first)| index == *first && !failed.contains_key(index)).count();
        Ok(inserted as u64)
    }

    async fn publish(&mut self) -> Result<bool, Reaction> {
        Ok(false)
    }

    async fn retain(&mut self, before: i64) -> Result<u64, Reaction> {
        let (mut removed, until) = (0, Instant::now() + RETENTION_STEP);
        for at in positions::read(&self.connected, stream_of(RISK_SCORES)).await? {
            removed += self.retain_partition(&at, before, until).await?;
        }
        Ok(removed)
    }
}

/// What a failed insert says of its documents, by their places in it.
fn row_failures(connected: &Connected, error: &Error) -> Result<Vec<(usize, Failed)>, Reaction> {
    let ErrorKind::InsertMany(failures) = error.kind.as_ref() else { return Err(connected.told(error)) };
    if failures.write_concern_error.is_some() || failures.write_errors.is_none() {
        return Err(connected.told(error));
    }
    let judge = |failure: &::mongodb::error::IndexedWriteError| match errors::row(connected.place(), failure.code, failure.code_name.as_deref()) {
        RowFailure::AlreadyThere => Ok((failure.index, Failed::AlreadyThere)),
        RowFailure::Bad(why) => Ok((failure.index, Failed::Bad(why))),
        RowFailure::Store(reaction) => Err(reaction),
    };
    failures.write_errors.iter().flatten().map(judge).collect()
}
