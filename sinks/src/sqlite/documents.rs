//! The embedded documents store: one document a transaction, its metadata and the full explanation of its score, as JSONB.

use std::path::Path;

use async_trait::async_trait;
use rusqlite::{OptionalExtension, Transaction, params};
use wh_eventlog::Stored;
use wh_schemas::layout::DOCUMENTS;
use wh_schemas::position::WITNESS_STREAM;
use wh_schemas::topics::RISK_SCORES;
use wh_schemas::{Reaction, ScoreRecord};
use wh_stores::sqlite;

use super::file::{self, Failure, StoreFile};
use crate::delivery::walk::{self, DUPLICATE, Halt, Refused, STORED, stream_of};
use crate::delivery::{Batch, Store, StorePosition, Tally, Written};
use crate::explanation::Explanation;

/// The embedded documents store.
pub struct DocumentsStore {
    pub(super) file: StoreFile,
}

impl DocumentsStore {
    /// Opens the store, made when it is not there.
    ///
    /// # Errors
    /// Fatal where it cannot be written, is damaged, or a newer version wrote it.
    pub fn open(path: &Path) -> Result<DocumentsStore, Reaction> {
        Ok(DocumentsStore { file: StoreFile::open(path, &DOCUMENTS, sqlite::Settings::default())? })
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
        self.file.log().await
    }

    async fn bind(&mut self, log: u64) -> Result<u64, Reaction> {
        self.file.bind(log).await
    }

    async fn witnesses(&mut self) -> Result<Vec<StorePosition>, Reaction> {
        self.file.positions(WITNESS_STREAM).await
    }

    async fn remember(&mut self, taken: &[StorePosition]) -> Result<(), Reaction> {
        self.file.remember(taken).await
    }

    async fn positions(&mut self, topic: &str) -> Result<Vec<StorePosition>, Reaction> {
        self.file.positions(stream_of(topic)).await
    }

    async fn write(&mut self, batch: Batch) -> Result<Written, Reaction> {
        let written = self.file.transaction(move |transaction| {
            let stream = stream_of(&batch.topic);
            let start = file::position(transaction, stream, batch.partition)?;
            let position = walk::walk(&batch, &start, |record| serde_json::from_slice::<ScoreRecord<'_>>(&record.value), |record, row, _| write_row(transaction, record, &row))?;
            file::publish(transaction, stream, &position)?;
            Ok(Written::Done { position, alerts: 0 })
        });
        written.await.map(|done| done.unwrap_or_else(|refused| refused))
    }

    async fn replay(&mut self, batch: Batch) -> Result<u64, Reaction> {
        let written = self.file.transaction(move |transaction| again(transaction, &batch));
        file::counted(written.await?)
    }

    async fn publish(&mut self) -> Result<bool, Reaction> {
        Ok(false)
    }

    async fn retain(&mut self, before: i64) -> Result<u64, Reaction> {
        let removed = self.file.transaction(move |transaction| super::ledger::delete_before(transaction, "documents", "processed_at", before));
        removed.await.map(|removed| removed.unwrap_or(0))
    }
}

/// Writes records again past the fence: the store's keys alone decide. Returns how many documents were not there.
pub(super) fn again(transaction: &Transaction<'_>, batch: &Batch) -> Result<u64, Failure> {
    file::walk_again(batch, |record| {
        let row: ScoreRecord<'_> = serde_json::from_slice(&record.value)?;
        let there: bool =
            transaction.prepare_cached("SELECT EXISTS (SELECT 1 FROM documents WHERE pos = ?1)")?.query_row([ScoreRecord::position(&row).packed()], |found| found.get(0))?;
        if there { Ok(0) } else { write_row(transaction, record, &row).map(|tally| tally.stored) }
    })
}

fn write_row(transaction: &Transaction<'_>, record: &Stored, row: &ScoreRecord<'_>) -> Result<Tally, Failure> {
    let Some(explanation) = Explanation::of(row) else { return Ok(DUPLICATE) };
    let explanation = serde_json::to_string(&explanation).unwrap_or_else(|_| "{}".to_owned());
    let inserted = transaction
        .prepare_cached(
            "INSERT INTO documents (pos, transaction_id, user_id, timestamp, metadata, explanation, processed_at) VALUES (?1, ?2, ?3, ?4, jsonb(?5), jsonb(?6), ?7) ON CONFLICT DO NOTHING",
        )?
        .execute(params![ScoreRecord::position(row).packed(), row.transaction_id.as_str(), row.user_id.as_str(), row.timestamp.0, row.metadata.get(), explanation, record.append_time])?;
    if inserted == 1 {
        return Ok(STORED);
    }
    let same: Option<bool> = transaction
        .prepare_cached("SELECT explanation ->> '$.content_hash' = ?2 FROM documents WHERE transaction_id = ?1")?
        .query_row(params![row.transaction_id.as_str(), row.content_hash.as_str()], |found| found.get(0))
        .optional()?;
    match same {
        Some(true) => Ok(DUPLICATE),
        _ => Err(Failure::Halt(Halt::Refused(Refused {
            offset: record.offset,
            position: Some(ScoreRecord::position(row)),
            class: "transaction_id:conflict",
            message: "the documents store holds another transaction with this transaction_id or position".to_owned(),
        }))),
    }
}
