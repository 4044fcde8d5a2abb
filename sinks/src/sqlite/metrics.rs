//! The embedded metrics store: aggregates of fixed blocks of seqs.
//!
//! A block's points are summed over the block's own rows, whatever batches they came in, so that a replay gives the same
//! points. The open block is written anew at each batch; the position stays at its first `seq` and what can be read is
//! published apart.

use std::collections::BTreeMap;
use std::path::Path;

use async_trait::async_trait;
use rusqlite::{Transaction, params};
use serde::Deserialize;
use wh_schemas::json::Text;
use wh_schemas::layout::{METRICS, METRICS_BLOCK};
use wh_schemas::position::{Seq, SeqPosition, WITNESS_STREAM};
use wh_schemas::scored::{ALERT_SCORE, RiskLevel};
use wh_schemas::time::SECOND;
use wh_schemas::topics::RISK_SCORES;
use wh_schemas::{Cents, Micros, Reaction, TransactionType};
use wh_stores::sqlite;

use super::file::{self, Failure, StoreFile};
use crate::delivery::walk::{self, DUPLICATE, Positioned, STORED, stream_of};
use crate::delivery::{Batch, Store, StorePosition, Written};

/// What the metrics need of a scored record.
#[derive(Deserialize)]
struct Row<'a> {
    partition: u32,
    seq: Seq,
    timestamp: Micros,
    #[serde(borrow)]
    department: Text<'a>,
    transaction_type: TransactionType,
    amount: Cents,
    #[serde(default)]
    risk_score: Option<u8>,
    #[serde(default)]
    risk_level: Option<RiskLevel>,
}

impl Positioned for Row<'_> {
    fn position(&self) -> SeqPosition {
        SeqPosition { partition: self.partition, seq: self.seq }
    }
}

/// What tells one point of a block from another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct PointKey {
    second: i64,
    department: String,
    transaction_type: TransactionType,
    risk_level: RiskLevel,
}

#[derive(Clone, Copy, Debug, Default)]
struct Point {
    transactions: i64,
    amount_sum: i64,
    score_sum: i64,
    score_max: i64,
    alerts: i64,
}

type Points = BTreeMap<PointKey, Point>;

/// The open block of one partition: its points, and how far reading has come.
#[derive(Clone, Debug, Default)]
struct Open {
    /// The number of the block; behind `reading` where a buried record was the first of the next one.
    block: u64,
    points: Points,
    reading: StorePosition,
}

/// The embedded metrics store.
pub struct MetricsStore {
    pub(super) file: StoreFile,
    open: BTreeMap<u32, Open>,
}

impl MetricsStore {
    /// Opens the store, made when it is not there.
    ///
    /// # Errors
    /// Fatal where it cannot be written, is damaged, or a newer version wrote it.
    pub fn open(path: &Path) -> Result<MetricsStore, Reaction> {
        let file = StoreFile::open(path, &METRICS, sqlite::Settings { cache_kib: 16 * 1024, ..sqlite::Settings::default() })?;
        Ok(MetricsStore { file, open: BTreeMap::new() })
    }
}

#[async_trait]
impl Store for MetricsStore {
    fn role(&self) -> &'static str {
        "metrics"
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
        // Whoever asks goes on from the open block's first seq: nothing of it is remembered from before.
        self.open.clear();
        self.file.positions(stream_of(topic)).await
    }

    async fn write(&mut self, batch: Batch) -> Result<Written, Reaction> {
        let partition = batch.partition;
        let open = self.open.get(&partition).cloned();
        let written = self.file.transaction(move |transaction| {
            let stream = stream_of(&batch.topic);
            let stored = file::position(transaction, stream, partition)?;
            let mut open = open.unwrap_or(Open { block: stored.next_seq / METRICS_BLOCK, points: Points::new(), reading: stored });
            let mut settled = stored;
            let mut reading = open.reading;
            let mut blocks: Vec<(u64, Points)> = Vec::new();
            let mut block = open.block;
            let mut points = std::mem::take(&mut open.points);
            reading = walk::walk(
                &batch,
                &reading,
                |record| serde_json::from_slice::<Row<'_>>(&record.value),
                |_, row, before| {
                    if row.seq / METRICS_BLOCK != block {
                        blocks.push((block, std::mem::take(&mut points)));
                        block = row.seq / METRICS_BLOCK;
                        // Where the new block begins, the position may stand.
                        settled = *before;
                    }
                    Ok::<_, Failure>(if add(&mut points, row) { STORED } else { DUPLICATE })
                },
            )?;
            for (block, points) in &blocks {
                write_block(transaction, partition, *block, points)?;
            }
            if reading.next_seq.is_multiple_of(METRICS_BLOCK) && reading.next_seq > settled.next_seq {
                write_block(transaction, partition, block, &points)?;
                points.clear();
                settled = reading;
            } else {
                write_block(transaction, partition, block, &points)?;
            }
            let position = StorePosition { visible_seq: reading.next_seq, visible_offset: reading.next_offset, ..settled };
            file::publish(transaction, stream, &position)?;
            Ok((position, Open { block, points, reading }))
        });
        match written.await? {
            Ok((position, open)) => {
                self.open.insert(partition, open);
                Ok(Written::Done { position, alerts: 0 })
            }
            Err(refused) => Ok(refused),
        }
    }

    async fn replay(&mut self, batch: Batch) -> Result<u64, Reaction> {
        let written = self.file.transaction(move |transaction| again(transaction, &batch));
        file::counted(written.await?)
    }

    async fn publish(&mut self) -> Result<bool, Reaction> {
        Ok(false)
    }

    async fn retain(&mut self, before: i64) -> Result<u64, Reaction> {
        let removed = self.file.transaction(move |transaction| Ok(transaction.execute("DELETE FROM throughput WHERE time < ?1", [before])? as u64));
        removed.await.map(|removed| removed.unwrap_or(0))
    }
}

/// Sums whole blocks again: whoever replays begins and ends a batch at their bounds, or the end of the stream. Returns how many rows are in them.
pub(super) fn again(transaction: &Transaction<'_>, batch: &Batch) -> Result<u64, Failure> {
    let partition = batch.partition;
    let mut blocks: BTreeMap<u64, Points> = BTreeMap::new();
    let mut next = 0;
    let rows = file::walk_again(batch, |record| {
        let row: Row<'_> = serde_json::from_slice(&record.value)?;
        // A stranger's, or a copy that a late scorer wrote again.
        if row.partition != partition || row.seq < next {
            return Ok(0);
        }
        next = row.seq + 1;
        Ok(u64::from(add(blocks.entry(row.seq / METRICS_BLOCK).or_default(), row)))
    })?;
    for (block, points) in &blocks {
        transaction.execute("DELETE FROM throughput WHERE partition = ?1 AND block = ?2", params![partition, block])?;
        write_block(transaction, partition, *block, points)?;
    }
    Ok(rows)
}

/// Adds a row to its point; `false` for a duplicate, which has no score.
fn add(points: &mut Points, row: Row<'_>) -> bool {
    let (Some(score), Some(risk_level)) = (row.risk_score, row.risk_level) else { return false };
    let key = PointKey { second: row.timestamp.0.div_euclid(SECOND) * SECOND, department: row.department.0.into_owned(), transaction_type: row.transaction_type, risk_level };
    let point = points.entry(key).or_default();
    point.transactions += 1;
    point.amount_sum += row.amount.0;
    point.score_sum += i64::from(score);
    point.score_max = point.score_max.max(i64::from(score));
    point.alerts += i64::from(score >= ALERT_SCORE);
    true
}

/// Replaces a block by these points.
fn write_block(transaction: &Transaction<'_>, partition: u32, block: u64, points: &Points) -> Result<(), Failure> {
    let mut insert = transaction.prepare_cached(
        "INSERT INTO throughput (partition, block, time, department, transaction_type, risk_level, transactions, amount_sum, score_sum, score_max, alerts) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) ON CONFLICT DO UPDATE SET transactions = excluded.transactions, amount_sum = excluded.amount_sum, \
         score_sum = excluded.score_sum, score_max = excluded.score_max, alerts = excluded.alerts",
    )?;
    for (key, point) in points {
        insert.execute(params![
            partition,
            block,
            key.second,
            key.department,
            key.transaction_type.as_str(),
            key.risk_level.as_str(),
            point.transactions,
            point.amount_sum,
            point.score_sum,
            point.score_max,
            point.alerts
        ])?;
    }
    Ok(())
}
