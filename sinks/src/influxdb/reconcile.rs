//! Points on InfluxDB read back by their block.
//!
//! A point's time is its second, and the block only in its nanoseconds: a span is asked for by the seconds that its records say, which in a stream are few
//! and near each other. What stands elsewhere is found by one pass over all points, which `strays` makes.
//!
//! What must stay true: nothing is written; no more than a line of an answer is held beside the rows; an answer that breaks off is an error.

use std::collections::BTreeSet;

use async_trait::async_trait;
use serde_json::json;
use wh_schemas::Reaction;
use wh_schemas::layout::METRICS_BLOCK;
use wh_schemas::position::{Seq, SeqPosition};
use wh_schemas::time::SECOND;
use wh_schemas::topics::RISK_SCORES;
use wh_stores::influxdb::answer::{Datum, Reader, Series};
use wh_stores::influxdb::errors::of_answer;
use wh_stores::influxdb::points::{OUT_OF_RANGE, SECONDS, THROUGHPUT, TIMES, second_and_block, text_of, time_of};
use wh_stores::influxdb::{Client, InfluxdbSettings, connect};

use super::positions;
use crate::delivery::walk::stream_of;
use crate::reconcile::{Expected, Known, NOWHERE, PointKey, Points, Reached, Row, Span, StoredRows};

/// Fields and tags of a point.
const COLUMNS: &str = "\"alerts\", \"amount_sum\", \"score_max\", \"score_sum\", \"transactions\", \"department\", \"partition\", \"risk_level\", \"transaction_type\"";
/// Seconds between two points of a span behind which they are asked for apart.
const APART: i64 = 86_400;
/// Rows of one line of an answer.
const LINE: usize = 5_000;
/// Points older than the bucket keeps, and so much younger ones, are passed over: they may go at any moment, or were never taken.
const MARGIN: i64 = 3_600 * SECOND;

/// Blocks that were looked at, and the seconds that were asked for.
#[derive(Clone, Debug)]
struct Looked {
    partition: u32,
    blocks: (u64, u64),
    seconds: Vec<(i64, i64)>,
}

/// The points of a store on InfluxDB.
pub struct InfluxdbRows {
    client: Client,
    looked: Vec<Looked>,
}

impl InfluxdbRows {
    /// Connects.
    ///
    /// # Errors
    /// As [`connect()`].
    pub async fn open(settings: &InfluxdbSettings) -> Result<InfluxdbRows, Reaction> {
        Ok(InfluxdbRows { client: connect(settings).await?, looked: Vec::new() })
    }

    /// Gives the points that a statement finds to `take`, until it wants no more.
    async fn points(&self, statement: &str, take: &mut (dyn FnMut(Row) -> bool + Send)) -> Result<(), Reaction> {
        let mut answer = self.client.ask(statement, &serde_json::Map::new(), LINE).await?;
        let mut reader = Reader::new(1);
        while let Some(line) = answer.line().await? {
            let parts = reader.read(&line).map_err(|fault| of_answer(self.client.place(), &fault))?;
            for series in parts.iter().flat_map(|part| &part.series) {
                for row in &series.values {
                    if !take(point(series, row)) {
                        return Ok(());
                    }
                }
            }
        }
        reader.end().map_err(|fault| of_answer(self.client.place(), &fault))
    }

    /// Whether a point stands where a span has looked.
    fn was_looked_at(&self, row: &Row, second: i64) -> bool {
        let block = row.at.seq / METRICS_BLOCK;
        let span = self.looked.iter().find(|looked| looked.partition == row.at.partition && (looked.blocks.0..looked.blocks.1).contains(&block));
        // Of years without a time of their own every point of a block is asked for.
        span.is_none_or(|span| !(SECONDS.0..=SECONDS.1).contains(&second) || span.seconds.iter().any(|(first, last)| (*first..=*last).contains(&second)))
    }
}

/// The row of a point.
fn point(series: &Series<'_>, values: &[Datum<'_>]) -> Row {
    let value = |name: &str| series.columns.iter().position(|column| column == name).and_then(|at| values.get(at));
    let int = |name: &str| value(name).and_then(Datum::int);
    let tag = |name: &str| value(name).and_then(Datum::text).unwrap_or_default();
    let time = int("time").unwrap_or(0);
    let (second, block) = match (int("second"), int("block")) {
        (Some(second), Some(block)) => (second, block),
        _ => second_and_block(time),
    };
    let partition = tag("partition").parse::<u32>().ok();
    let key = PointKey {
        partition: partition.unwrap_or(NOWHERE.partition),
        block: u64::try_from(block).unwrap_or(0),
        second,
        transaction_type: text_of(tag("transaction_type")).into_owned(),
        risk_level: text_of(tag("risk_level")).into_owned(),
        department: text_of(tag("department")).into_owned(),
    };
    let row = key.row(["transactions", "amount_sum", "score_sum", "score_max", "alerts"].map(int));
    let place = json!({
        "measurement": if int("second").is_some() { OUT_OF_RANGE } else { THROUGHPUT }, "time": time, "partition": tag("partition"), "department": tag("department"),
        "risk_level": tag("risk_level"), "transaction_type": tag("transaction_type"),
    });
    let row = Row { place: place.to_string(), ..row };
    if partition.is_none() || block < 0 { Row { at: NOWHERE, ..row } } else { row }
}

/// The second of a point's row.
fn second_of(row: &Row) -> i64 {
    row.key.split(' ').nth(1).and_then(|second| second.parse().ok()).unwrap_or(i64::MIN)
}

/// Seconds as few ranges, both ends included.
fn ranges(seconds: &BTreeSet<i64>) -> Vec<(i64, i64)> {
    let mut ranges: Vec<(i64, i64)> = Vec::new();
    for second in seconds {
        match ranges.last_mut() {
            Some((_, last)) if second - *last <= APART => *last = *second,
            _ => ranges.push((*second, *second)),
        }
    }
    ranges
}

/// The statement for points of some seconds, all of which InfluxDB knows.
fn statement(partition: u32, (first, last): (i64, i64)) -> Option<String> {
    let behind = if last >= SECONDS.1 { TIMES.1 } else { time_of(last + 1, 0)? };
    Some(format!("SELECT {COLUMNS} FROM \"{THROUGHPUT}\" WHERE time >= {} AND time < {behind} AND \"partition\" = '{partition}'", time_of(first, 0)?))
}

fn blocks(from: Seq, to: Seq) -> (u64, u64) {
    (from / METRICS_BLOCK, to.div_ceil(METRICS_BLOCK))
}

#[async_trait]
impl StoredRows for InfluxdbRows {
    fn role(&self) -> &'static str {
        "metrics"
    }

    fn topics(&self) -> &'static [&'static str] {
        &[RISK_SCORES]
    }

    fn grain(&self) -> u64 {
        METRICS_BLOCK
    }

    async fn refresh(&mut self) -> Result<(), Reaction> {
        self.looked.clear();
        Ok(())
    }

    async fn reached(&mut self, topic: &str) -> Result<Vec<Reached>, Reaction> {
        let found = positions::read(&self.client, stream_of(topic)).await?;
        Ok(found.into_iter().map(|position| Reached { partition: position.partition, visible: position.visible_seq, floor: 0 }).collect())
    }

    async fn kept_since(&mut self, now: i64) -> Result<Option<i64>, Reaction> {
        let retention = self.client.bucket().await?.and_then(|bucket| bucket.retention);
        Ok(retention.and_then(|kept| i64::try_from(kept.as_micros()).ok()).map(|kept| now.saturating_sub(kept).saturating_add(MARGIN)))
    }

    fn expected(&self, _topic: &'static str) -> Box<dyn Expected> {
        Box::new(Points::default())
    }

    async fn stored(&mut self, _topic: &'static str, span: &Span, expected: &[Row]) -> Result<Vec<Row>, Reaction> {
        let (first, behind) = blocks(span.from, span.to);
        let seconds: BTreeSet<i64> = expected.iter().map(second_of).filter(|second| (SECONDS.0..=SECONDS.1).contains(second)).collect();
        let seconds = ranges(&seconds);
        let mut rows = Vec::new();
        let mut take = |row: Row| {
            if (first..behind).contains(&(row.at.seq / METRICS_BLOCK)) && row.at != NOWHERE {
                rows.push(row);
            }
            true
        };
        for range in &seconds {
            if let Some(statement) = statement(span.rows, *range) {
                self.points(&statement, &mut take).await?;
            }
        }
        let beyond = format!(
            "SELECT {COLUMNS}, \"second\", \"block\" FROM \"{OUT_OF_RANGE}\" WHERE time >= {} AND time < {} AND \"partition\" = '{}' AND \"block\" >= {first} AND \"block\" < {behind}",
            TIMES.0, TIMES.1, span.rows
        );
        self.points(&beyond, &mut take).await?;
        // A span that is looked at again replaces what was known of it.
        self.looked.retain(|looked| looked.partition != span.rows || looked.blocks != (first, behind));
        self.looked.push(Looked { partition: span.rows, blocks: (first, behind), seconds });
        Ok(rows)
    }

    async fn elsewhere(&mut self, _ids: &[&str]) -> Result<Vec<(String, SeqPosition)>, Reaction> {
        // A sum stands in its block and nowhere else.
        Ok(Vec::new())
    }

    async fn strays(&mut self, known: &[Known], limit: usize) -> Result<Vec<Row>, Reaction> {
        let mut rows = Vec::new();
        let mut take = |row: Row| {
            let has_place = known.iter().any(|known| known.rows == row.at.partition && row.at.seq < known.below);
            let second = second_of(&row);
            if !has_place || !self.was_looked_at(&row, second) {
                rows.push(row);
            }
            rows.len() < limit
        };
        for (measurement, more) in [(THROUGHPUT, ""), (OUT_OF_RANGE, ", \"second\", \"block\"")] {
            let statement = format!("SELECT {COLUMNS}{more} FROM \"{measurement}\" WHERE time >= {} AND time < {}", TIMES.0, TIMES.1);
            self.points(&statement, &mut take).await?;
        }
        Ok(rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_near_each_other_are_asked_for_together() {
        let seconds: BTreeSet<i64> = [0, 5, 86_405, 500_000, -500_000].into();
        assert_eq!(ranges(&seconds), [(-500_000, -500_000), (0, 86_405), (500_000, 500_000)]);
        assert_eq!(statement(2, (5, 6)).unwrap(), format!("SELECT {COLUMNS} FROM \"throughput\" WHERE time >= 5000000000 AND time < 7000000000 AND \"partition\" = '2'"));
    }

    #[test]
    fn a_point_says_its_block_second_and_sums() {
        let line = r#"{"results":[{"statement_id":0,"series":[{"name":"throughput","columns":["time","alerts","amount_sum","score_max","score_sum","transactions","department","partition","risk_level","transaction_type"],"values":[[1767268800000000017,1,250,90,120,2,"%","3","high","billing"],[17,null,1,1,1,1,"IT","x","low","billing"]]}]}]}"#;
        let parts = Reader::new(1).read(line.as_bytes()).unwrap();
        let series = &parts[0].series[0];
        let row = point(series, &series.values[0]);
        assert_eq!((row.at, second_of(&row), row.field("amount_sum"), row.field("alerts")), (SeqPosition { partition: 3, seq: 17_000 }, 1_767_268_800, Some("2.50"), Some("1")));
        let odd = point(series, &series.values[1]);
        assert_eq!((odd.at, odd.field("alerts")), (NOWHERE, None));
    }
}
