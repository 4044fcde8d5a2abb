//! Points of the embedded metrics read back by their block.
//!
//! What must stay true: as of `reconcile.rs`; a span is whole blocks, or ends with the open one.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::{Row as SqliteRow, params};
use wh_schemas::Reaction;
use wh_schemas::layout::{METRICS, METRICS_BLOCK};
use wh_schemas::position::SeqPosition;
use wh_schemas::time::SECOND;
use wh_schemas::topics::RISK_SCORES;

use super::reconcile::{reached, reading};
use crate::delivery::walk::stream_of;
use crate::reconcile::{Expected, Known, PointKey, Points, Reached, Row, Span, StoredRows};

const SELECT: &str = "SELECT partition, block, time, transaction_type, risk_level, department, transactions, amount_sum, score_sum, score_max, alerts FROM throughput";

/// The points of the embedded metrics.
#[derive(Debug)]
pub struct MetricsRows {
    path: Arc<PathBuf>,
}

impl MetricsRows {
    /// Of the metrics in a file.
    #[must_use]
    pub fn new(path: &Path) -> MetricsRows {
        MetricsRows { path: Arc::new(path.to_owned()) }
    }

    async fn points(&self, condition: String, values: Vec<i64>) -> Result<Vec<Row>, Reaction> {
        reading(&METRICS, &self.path, move |connection| {
            let mut statement = connection.prepare(&format!("{SELECT} WHERE {condition}"))?;
            let found = statement.query_map(rusqlite::params_from_iter(values), point)?;
            found.collect()
        })
        .await
    }
}

fn point(held: &SqliteRow<'_>) -> rusqlite::Result<Row> {
    let (partition, block, time): (i64, i64, i64) = (held.get(0)?, held.get(1)?, held.get(2)?);
    let key = PointKey {
        // What is none of ours stands where no span looks.
        partition: u32::try_from(partition).unwrap_or(u32::MAX),
        block: u64::try_from(block).unwrap_or(u64::MAX / METRICS_BLOCK),
        second: time.div_euclid(SECOND),
        transaction_type: held.get(3)?,
        risk_level: held.get(4)?,
        department: held.get(5)?,
    };
    let row = key.row([held.get(6)?, held.get(7)?, held.get(8)?, held.get(9)?, held.get(10)?]);
    // A time within a second is no point of ours.
    let odd = time.rem_euclid(SECOND);
    let key = if odd == 0 { row.key.clone() } else { format!("{} +{odd} µs", row.key) };
    Ok(Row { key, place: format!("{partition} {block} {time}"), ..row })
}

#[async_trait]
impl StoredRows for MetricsRows {
    fn role(&self) -> &'static str {
        METRICS.role
    }

    fn topics(&self) -> &'static [&'static str] {
        &[RISK_SCORES]
    }

    fn grain(&self) -> u64 {
        METRICS_BLOCK
    }

    async fn refresh(&mut self) -> Result<(), Reaction> {
        Ok(())
    }

    async fn reached(&mut self, topic: &str) -> Result<Vec<Reached>, Reaction> {
        let stream = stream_of(topic).to_owned();
        reading(&METRICS, &self.path, move |connection| reached(connection, &stream)).await
    }

    async fn kept_since(&mut self, _now: i64) -> Result<Option<i64>, Reaction> {
        Ok(None)
    }

    fn expected(&self, _topic: &'static str) -> Box<dyn Expected> {
        Box::new(Points::default())
    }

    async fn stored(&mut self, _topic: &'static str, span: &Span, _expected: &[Row]) -> Result<Vec<Row>, Reaction> {
        let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        let blocks = (number(span.from / METRICS_BLOCK), number(span.to.div_ceil(METRICS_BLOCK)));
        self.points("partition = ?1 AND block >= ?2 AND block < ?3".to_owned(), vec![i64::from(span.rows), blocks.0, blocks.1]).await
    }

    async fn elsewhere(&mut self, _ids: &[&str]) -> Result<Vec<(String, SeqPosition)>, Reaction> {
        // A sum stands in its block and nowhere else.
        Ok(Vec::new())
    }

    async fn strays(&mut self, known: &[Known], limit: usize) -> Result<Vec<Row>, Reaction> {
        let outside: Vec<String> =
            known.iter().map(|known| format!("NOT (partition = {} AND block >= 0 AND block < {})", known.rows, known.below.div_ceil(METRICS_BLOCK))).collect();
        let outside = if outside.is_empty() { "TRUE".to_owned() } else { outside.join(" AND ") };
        self.points(format!("{outside} LIMIT {limit}"), Vec::new()).await
    }
}

/// Removes a point that was read.
pub(super) fn remove(transaction: &rusqlite::Transaction<'_>, row: &Row) -> rusqlite::Result<()> {
    let mut place = row.place.split(' ').map(|part| part.parse::<i64>().unwrap_or(i64::MIN));
    let (partition, block, time) = (place.next(), place.next(), place.next());
    // The whole second of the block goes: what of it should be there is written again with its block.
    transaction.execute("DELETE FROM throughput WHERE partition = ?1 AND block = ?2 AND time = ?3", params![partition, block, time])?;
    Ok(())
}
