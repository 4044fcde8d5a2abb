//! The embedded documents store: one document a transaction, its metadata and the full explanation of its score, as JSONB.

use std::path::Path;

use async_trait::async_trait;
use rusqlite::{OptionalExtension, Transaction, params};
use serde::Serialize;
use wh_eventlog::Stored;
use wh_schemas::json::Text;
use wh_schemas::layout::DOCUMENTS;
use wh_schemas::scored::{Dimensions, Reason, RiskLevel};
use wh_schemas::topics::RISK_SCORES;
use wh_schemas::{Alert, Reaction, ScoreRecord};
use wh_stores::sqlite;

use super::file::{self, DUPLICATE, Failure, STORED, StoreFile, stream_of};
use crate::delivery::{Batch, Store, StorePosition, Tally, Written};

/// The embedded documents store.
pub struct DocumentsStore {
    file: StoreFile,
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

/// The full explanation of a score, as it is stored.
#[derive(Serialize)]
struct Explanation<'a> {
    risk_score: u8,
    risk_level: RiskLevel,
    late: bool,
    dimensions: Dimensions,
    reasons: &'a [Reason<'a>],
    alerts: &'a [Alert<'a>],
    detection_rules: &'a [Text<'a>],
    ruleset: Option<&'a str>,
    state_epoch: u32,
    content_hash: &'a str,
}

#[async_trait]
impl Store for DocumentsStore {
    fn role(&self) -> &'static str {
        "documents"
    }

    fn topics(&self) -> Vec<&'static str> {
        vec![RISK_SCORES]
    }

    async fn positions(&mut self, topic: &str) -> Result<Vec<StorePosition>, Reaction> {
        self.file.positions(stream_of(topic)).await
    }

    async fn write(&mut self, batch: Batch) -> Result<Written, Reaction> {
        let written = self.file.transaction(move |transaction| {
            let stream = stream_of(&batch.topic);
            let start = file::position(transaction, stream, batch.partition)?;
            let position = file::walk(&batch, &start, |record| serde_json::from_slice::<ScoreRecord<'_>>(&record.value), |record, row, _| write_row(transaction, record, &row))?;
            file::publish(transaction, stream, &position)?;
            Ok(Written::Done { position, alerts: 0 })
        });
        written.await.map(|done| done.unwrap_or_else(|refused| refused))
    }

    async fn replay(&mut self, batch: Batch) -> Result<u64, Reaction> {
        let written = self.file.transaction(move |transaction| {
            file::walk_again(&batch, |record| {
                let row: ScoreRecord<'_> = serde_json::from_slice(&record.value)?;
                let there: bool = transaction
                    .prepare_cached("SELECT EXISTS (SELECT 1 FROM documents WHERE pos = ?1)")?
                    .query_row([ScoreRecord::position(&row).packed()], |found| found.get(0))?;
                if there { Ok(0) } else { write_row(transaction, record, &row).map(|tally| tally.stored) }
            })
        });
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

fn write_row(transaction: &Transaction<'_>, record: &Stored, row: &ScoreRecord<'_>) -> Result<Tally, Failure> {
    let (Some(risk_score), Some(risk_level), Some(dimensions)) = (row.risk_score, row.risk_level, row.dimensions) else {
        return Ok(DUPLICATE);
    };
    let explanation = Explanation {
        risk_score,
        risk_level,
        late: row.late,
        dimensions,
        reasons: &row.reasons,
        alerts: &row.alerts,
        detection_rules: &row.detection_rules,
        ruleset: row.ruleset.as_deref(),
        state_epoch: row.state_epoch,
        content_hash: &row.content_hash,
    };
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
        _ => Err(Failure::Refused {
            offset: record.offset,
            position: Some(ScoreRecord::position(row)),
            class: "transaction_id:conflict",
            message: "the documents store holds another transaction with this transaction_id or position".to_owned(),
        }),
    }
}
