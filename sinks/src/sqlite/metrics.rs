//! The embedded metrics store: aggregates of fixed blocks of seqs.
//!
//! A block's points are summed over the block's own rows, whatever batches they came in, so that a replay gives the same
//! points. Each batch writes those points of the open block anew that it changes; the position stays at the block's first `seq` and what can be
//! read is published apart.
//!
//! What must stay true: what is held of an open block stands in the file before more of it does; after a failure, or for a new owner, the block
//! is read again from its first `seq`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

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

/// The open block of one partition: its points as the file has them, and how far reading has come.
#[derive(Clone, Debug, Default)]
struct Open {
    /// The number of the block; behind `reading` where a buried record was the first of the next one.
    block: u64,
    points: Points,
    reading: StorePosition,
    /// SQLite's `data_version` when they were written: it is another one where somebody else has written into the file since, as a repair does.
    version: Option<i64>,
}

/// What a batch changes.
struct Changed {
    /// Where reading, and the block that is open, have come to.
    block: u64,
    reading: StorePosition,
    /// Points of the block that is open then, as they are now.
    points: Points,
    /// Whether that is another block than before.
    is_next: bool,
    version: i64,
}

impl Open {
    /// Takes up what the file has now.
    fn apply(&mut self, changed: Changed) {
        if changed.is_next {
            self.points.clear();
        }
        self.points.extend(changed.points);
        self.block = changed.block;
        self.reading = changed.reading;
        self.version = Some(changed.version);
    }
}

/// The embedded metrics store.
pub struct MetricsStore {
    pub(super) file: StoreFile,
    open: BTreeMap<u32, Arc<Open>>,
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
        let held = self.open.get(&partition).cloned();
        let written = self.file.transaction(move |transaction| {
            let stream = stream_of(&batch.topic);
            let stored = file::position(transaction, stream, partition)?;
            let open = held.unwrap_or_else(|| Arc::new(Open { block: stored.next_seq / METRICS_BLOCK, reading: stored, ..Open::default() }));
            let version = transaction.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))?;
            if open.version != Some(version) {
                write_points(transaction, partition, open.block, &open.points)?;
            }
            let mut settled = stored;
            let mut blocks: Vec<(u64, Points)> = Vec::new();
            let mut changed = Changed { block: open.block, reading: open.reading, points: Points::new(), is_next: false, version };
            changed.reading = walk::walk(
                &batch,
                &open.reading,
                |record| serde_json::from_slice::<Row<'_>>(&record.value),
                |_, row, before| {
                    if row.seq / METRICS_BLOCK != changed.block {
                        blocks.push((changed.block, std::mem::take(&mut changed.points)));
                        changed.block = row.seq / METRICS_BLOCK;
                        changed.is_next = true;
                        // Where the new block begins, the position may stand.
                        settled = *before;
                    }
                    let standing = (!changed.is_next).then_some(&open.points);
                    Ok::<_, Failure>(if add(&mut changed.points, standing, row) { STORED } else { DUPLICATE })
                },
            )?;
            for (block, points) in blocks.iter().map(|(block, points)| (*block, points)).chain([(changed.block, &changed.points)]) {
                write_points(transaction, partition, block, points)?;
            }
            if changed.reading.next_seq.is_multiple_of(METRICS_BLOCK) && changed.reading.next_seq > settled.next_seq {
                changed.points.clear();
                changed.is_next = true;
                settled = changed.reading;
            }
            let position = StorePosition { visible_seq: changed.reading.next_seq, visible_offset: changed.reading.next_offset, ..settled };
            file::publish(transaction, stream, &position)?;
            Ok((position, open, changed))
        });
        match written.await? {
            Ok((position, mut open, changed)) => {
                // What is held is the only one, and taken up in place.
                self.open.remove(&partition);
                Arc::make_mut(&mut open).apply(changed);
                self.open.insert(partition, open);
                Ok(Written::Done { position, alerts: 0 })
            }
            Err(refused) => Ok(refused),
        }
    }

    async fn replay(&mut self, batch: Batch) -> Result<u64, Reaction> {
        // It may be of what is open.
        self.open.values_mut().for_each(|open| Arc::make_mut(open).version = None);
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
        Ok(u64::from(add(blocks.entry(row.seq / METRICS_BLOCK).or_default(), None, row)))
    })?;
    for (block, points) in &blocks {
        transaction.execute("DELETE FROM throughput WHERE partition = ?1 AND block = ?2", params![partition, block])?;
        write_points(transaction, partition, *block, points)?;
    }
    Ok(rows)
}

/// Adds a row to its point, which begins as it stands in `standing`, where it does; `false` for a duplicate, which has no score.
fn add(points: &mut Points, standing: Option<&Points>, row: Row<'_>) -> bool {
    let (Some(score), Some(risk_level)) = (row.risk_score, row.risk_level) else { return false };
    let key = PointKey { second: row.timestamp.0.div_euclid(SECOND) * SECOND, department: row.department.0.into_owned(), transaction_type: row.transaction_type, risk_level };
    let point = points.entry(key).or_insert_with_key(|key| standing.and_then(|points| points.get(key)).copied().unwrap_or_default());
    point.transactions += 1;
    point.amount_sum += row.amount.0;
    point.score_sum += i64::from(score);
    point.score_max = point.score_max.max(i64::from(score));
    point.alerts += i64::from(score >= ALERT_SCORE);
    true
}

/// Writes points of a block in place of those of the same keys.
fn write_points(transaction: &Transaction<'_>, partition: u32, block: u64, points: &Points) -> Result<(), Failure> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::Connection;
    use wh_eventlog::{Bytes, Stored};

    fn batch(seqs: std::ops::Range<u64>, second: u32) -> Batch {
        let record = |seq: u64| {
            let value = format!(
                r#"{{"partition":0,"seq":{seq},"timestamp":"2026-01-01T00:00:{second:02}Z","department":"IT","transaction_type":"billing","amount":"1.50","risk_score":70,"risk_level":"high"}}"#
            );
            Stored { offset: seq, append_time: 1, key: None, value: Bytes::from(value), headers: Vec::new() }
        };
        Batch { topic: RISK_SCORES.into(), partition: 0, records: Arc::new(seqs.map(record).collect()), buried: std::collections::BTreeSet::new() }
    }

    fn points(path: &Path) -> Vec<(i64, i64, i64)> {
        let connection = Connection::open(path).unwrap();
        let mut statement = connection.prepare("SELECT block, transactions, amount_sum FROM throughput ORDER BY block, time").unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    }

    #[tokio::test]
    async fn an_open_block_is_added_to_whatever_the_batches_and_whoever_wrote_between_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.db");
        let mut store = MetricsStore::open(&path).unwrap();
        store.positions(RISK_SCORES).await.unwrap();
        store.write(batch(0..3, 1)).await.unwrap();
        store.write(batch(3..5, 2)).await.unwrap();
        store.write(batch(5..6, 1)).await.unwrap();
        assert_eq!(points(&path), [(0, 4, 600), (0, 2, 300)]);
        // As a repair does, by what it had read when the block ended at 3.
        Connection::open(&path).unwrap().execute_batch("DELETE FROM throughput; INSERT INTO throughput SELECT 0, 0, 0, 'IT', 'billing', 'high', 9, 9, 9, 9, 9").unwrap();
        store.write(batch(6..7, 3)).await.unwrap();
        assert_eq!(points(&path)[1..], [(0, 4, 600), (0, 2, 300), (0, 1, 150)], "what was open stands again");
        store.replay(batch(0..2, 1)).await.unwrap();
        store.write(batch(7..8, 3)).await.unwrap();
        assert_eq!(points(&path), [(0, 4, 600), (0, 2, 300), (0, 2, 300)]);
        store.write(batch(8..1_001, 4)).await.unwrap();
        assert_eq!(points(&path), [(0, 4, 600), (0, 2, 300), (0, 2, 300), (0, 992, 148_800), (1, 1, 150)]);
        store.write(batch(1_001..1_002, 4)).await.unwrap();
        assert_eq!(points(&path)[4], (1, 2, 300));
    }

    #[tokio::test]
    async fn a_batch_that_is_refused_changes_nothing_of_what_is_held() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.db");
        let mut store = MetricsStore::open(&path).unwrap();
        store.positions(RISK_SCORES).await.unwrap();
        store.write(batch(0..2, 1)).await.unwrap();
        let mut bad = batch(2..4, 1);
        Arc::make_mut(&mut bad.records)[1].value = Bytes::from_static(b"{");
        assert!(matches!(store.write(bad).await, Ok(Written::Refused { offset: 3, .. })));
        assert!(store.write(batch(3..4, 1)).await.is_err(), "a gap");
        store.write(batch(2..4, 1)).await.unwrap();
        assert_eq!(points(&path), [(0, 4, 600)]);
    }
}
