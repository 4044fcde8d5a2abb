//! From scored records to points in line protocol. Pure.
//!
//! What must stay true: a block's points are sums over the block's own rows, whatever batches they came in; a closed block gives the
//! same lines wherever it is summed; no record can make a line that the server cannot read (names, times and tags: `wh_stores::influxdb::points`).

use std::collections::BTreeMap;
use std::io::Write;
use std::ops::Range;

use serde::Deserialize;
use wh_schemas::json::Text;
use wh_schemas::layout::METRICS_BLOCK;
use wh_schemas::position::{Seq, SeqPosition};
use wh_schemas::scored::{ALERT_SCORE, RiskLevel};
use wh_schemas::time::SECOND;
use wh_schemas::{Cents, Micros, Reaction, TransactionType};
use wh_stores::influxdb::points::{BLOCKS, OUT_OF_RANGE, SECONDS, THROUGHPUT, push_tag, tag_of, time_of, time_out_of_range};

use crate::delivery::walk::{self, DISCARDED, DUPLICATE, Halt, Positioned, Refused, STORED};
use crate::delivery::{Batch, StorePosition, Tally};

/// Longest department that fits a series' key, which holds 64 KB at most, whatever has to be escaped in it.
const MAX_DEPARTMENT: usize = 16 * 1024;

/// What the metrics need of a scored record.
#[derive(Deserialize)]
pub struct Row<'a> {
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

impl Row<'_> {
    fn second(&self) -> i64 {
        self.timestamp.0.div_euclid(SECOND)
    }

    fn block(&self) -> u64 {
        self.seq / METRICS_BLOCK
    }

    /// What becomes of it in a bucket that keeps nothing before the second `floor`.
    fn outcome(&self, floor: i64) -> Tally {
        match (self.risk_score, self.risk_level) {
            (Some(_), Some(_)) if self.second() >= floor => STORED,
            (Some(_), Some(_)) => DISCARDED,
            // A duplicate has no score.
            _ => DUPLICATE,
        }
    }
}

/// What tells one point of a block from another; of one series by their seconds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct PointKey {
    department: String,
    transaction_type: TransactionType,
    risk_level: RiskLevel,
    second: i64,
}

impl PointKey {
    fn is_in_range(&self) -> bool {
        (SECONDS.0..=SECONDS.1).contains(&self.second)
    }

    /// Whether another point out of range has the same tags and lies on the same side.
    fn is_beside(&self, other: &PointKey) -> bool {
        (self.second < 0) == (other.second < 0) && self.department == other.department && self.transaction_type == other.transaction_type && self.risk_level == other.risk_level
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Point {
    transactions: i64,
    amount_sum: i64,
    score_sum: i64,
    score_max: i64,
    alerts: i64,
    /// It changed since it was last known to be in the store.
    is_new: bool,
}

/// The points of one block of a partition.
#[derive(Clone, Debug)]
pub struct Block {
    partition: u32,
    number: u64,
    points: BTreeMap<PointKey, Point>,
}

impl Block {
    /// The block that holds a seq, without points.
    #[must_use]
    pub fn of(partition: u32, seq: Seq) -> Block {
        Block { partition, number: seq / METRICS_BLOCK, points: BTreeMap::new() }
    }

    /// Its number.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Adds a row to its point. No sum overflows: a thousand of the largest amounts stay below 2^63.
    pub fn add(&mut self, row: &Row<'_>) {
        let (Some(score), Some(risk_level)) = (row.risk_score, row.risk_level) else { return };
        let key = PointKey { department: row.department.as_str().to_owned(), transaction_type: row.transaction_type, risk_level, second: row.second() };
        let point = self.points.entry(key).or_default();
        point.transactions += 1;
        point.amount_sum += row.amount.0;
        point.score_sum += i64::from(score);
        point.score_max = point.score_max.max(i64::from(score));
        point.alerts += i64::from(score >= ALERT_SCORE);
        point.is_new = true;
    }

    /// Says of all its points whether the store has still to be told.
    pub fn mark(&mut self, is_new: bool) {
        self.points.values_mut().for_each(|point| point.is_new = is_new);
    }

    /// Appends its points, or those alone that are new.
    pub fn write(&self, all: bool, lines: &mut Lines) {
        // Out of range a point's time is its rank: a new one moves those behind it.
        let ranks_moved = self.points.iter().any(|(key, point)| point.is_new && !key.is_in_range());
        let (mut rank, mut before) = (0, None::<&PointKey>);
        for (key, point) in &self.points {
            let (measurement, time) = if key.is_in_range() {
                (THROUGHPUT, time_of(key.second, self.number))
            } else {
                rank = if before.is_some_and(|before| key.is_beside(before)) { rank + 1 } else { 0 };
                before = Some(key);
                (OUT_OF_RANGE, time_out_of_range(key.second, self.number, rank))
            };
            let wanted = all || if key.is_in_range() { point.is_new } else { ranks_moved };
            // There is always a time: `take` refuses numbers of blocks that have none.
            if let Some(time) = time.filter(|_| wanted) {
                lines.push(|line| self.write_point(measurement, key, point, time, line));
            }
        }
    }

    fn write_point(&self, measurement: &str, key: &PointKey, point: &Point, time: i64, line: &mut Vec<u8>) -> std::io::Result<()> {
        write!(line, "{measurement},department=")?;
        push_tag(&tag_of(&key.department), line);
        write!(line, ",partition={},risk_level={},transaction_type={} ", self.partition, key.risk_level.as_str(), key.transaction_type.as_str())?;
        if !key.is_in_range() {
            write!(line, "second={}i,block={}i,", key.second, self.number)?;
        }
        let Point { transactions, amount_sum, score_sum, score_max, alerts, .. } = point;
        writeln!(line, "alerts={alerts}i,amount_sum={amount_sum}i,score_max={score_max}i,score_sum={score_sum}i,transactions={transactions}i {time}")
    }
}

/// Lines of line protocol.
#[derive(Clone, Debug, Default)]
pub struct Lines {
    bytes: Vec<u8>,
    /// Where each ends.
    ends: Vec<usize>,
}

impl Lines {
    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Appends the line that `write` writes, its end included.
    pub fn push(&mut self, write: impl FnOnce(&mut Vec<u8>) -> std::io::Result<()>) {
        // Writing into memory does not fail.
        if write(&mut self.bytes).is_ok() {
            self.ends.push(self.bytes.len());
        }
    }

    /// Appends other lines.
    pub fn append(&mut self, other: &Lines) {
        let begin = self.bytes.len();
        self.bytes.extend_from_slice(&other.bytes);
        self.ends.extend(other.ends.iter().map(|end| begin + end));
    }

    /// Some of them, as a request's body.
    #[must_use]
    pub fn part(&self, of: &Range<usize>) -> &[u8] {
        let begin = of.start.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        let end = of.end.checked_sub(1).and_then(|last| self.ends.get(last)).copied().unwrap_or(begin);
        self.bytes.get(begin..end).unwrap_or_default()
    }

    /// Takes the first so many away.
    #[must_use]
    pub fn split_first(&mut self, many: usize) -> Lines {
        if many >= self.len() {
            return std::mem::take(self);
        }
        let rest_ends = self.ends.split_off(many);
        let at = self.ends.last().copied().unwrap_or(0);
        let rest = Lines { bytes: self.bytes.split_off(at), ends: rest_ends.into_iter().map(|end| end - at).collect() };
        std::mem::replace(self, rest)
    }
}

/// One thing to do with the open block.
pub enum Step<'r> {
    /// It is closed; the next one begins where this position stands.
    Close(StorePosition),
    /// A row belongs to it.
    Add(Row<'r>),
}

/// What a batch comes to.
pub struct Taken<'r> {
    /// What is to be done, in order.
    pub steps: Vec<Step<'r>>,
    /// How far reading has come.
    pub reading: StorePosition,
}

/// Reads a batch behind the fence, `open` being the number of the block that is open. Nothing is changed by it.
///
/// # Errors
/// A record that can never be stored, or a gap.
pub fn take<'r>(batch: &'r Batch, start: &StorePosition, open: u64, floor: i64) -> Result<Taken<'r>, Halt> {
    let mut steps = Vec::with_capacity(batch.records.len() + 1);
    let mut block = open;
    let reading = walk::walk(
        batch,
        start,
        |record| serde_json::from_slice::<Row<'_>>(&record.value),
        |record, row, before| {
            if row.block() >= BLOCKS {
                return Err(Halt::Reaction(Reaction::fatal(format!("partition {} has more records than the metrics on InfluxDB can number", batch.partition))));
            }
            if row.department.len() > MAX_DEPARTMENT {
                let message = format!("expected a department of at most {MAX_DEPARTMENT} bytes, found {}", row.department.len());
                return Err(Halt::Refused(Refused { offset: record.offset, position: Some(row.position()), class: "department:too_long", message }));
            }
            if row.block() != block {
                block = row.block();
                // Where the new block begins, the position may stand.
                steps.push(Step::Close(*before));
            }
            let outcome = row.outcome(floor);
            if outcome == STORED {
                steps.push(Step::Add(row));
            }
            Ok(outcome)
        },
    )?;
    Ok(Taken { steps, reading })
}

/// Sums whole blocks without a fence: what cannot be read, was buried, is a stranger's or comes twice is left out. Returns the
/// blocks and how many rows are in them.
#[must_use]
pub fn take_again(batch: &Batch, floor: i64) -> (Vec<Block>, u64) {
    let (mut blocks, mut rows, mut next) = (BTreeMap::new(), 0, 0);
    for record in batch.records.iter().filter(|record| !batch.buried.contains(&record.offset)) {
        let Ok(row) = serde_json::from_slice::<Row<'_>>(&record.value) else { continue };
        if row.partition != batch.partition || row.seq < next || row.block() >= BLOCKS {
            continue;
        }
        next = row.seq + 1;
        if row.outcome(floor) == STORED && row.department.len() <= MAX_DEPARTMENT {
            blocks.entry(row.block()).or_insert_with(|| Block::of(batch.partition, row.seq)).add(&row);
            rows += 1;
        }
    }
    (blocks.into_values().collect(), rows)
}

#[cfg(test)]
#[path = "dialect_tests.rs"]
mod tests;
