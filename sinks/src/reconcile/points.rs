//! The points that records become in a metrics store, whichever keeps it. Pure.
//!
//! What must stay true: a point is a sum over the rows of its own block; a record that the dead letters hold is in none.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use wh_eventlog::Stored;
use wh_schemas::json::Text;
use wh_schemas::layout::METRICS_BLOCK;
use wh_schemas::position::{Seq, SeqPosition};
use wh_schemas::scored::{ALERT_SCORE, RiskLevel};
use wh_schemas::time::SECOND;
use wh_schemas::{Cents, Micros, TransactionType};

use super::Expected;
use super::row::{Field, Row};

/// The table of points.
const THROUGHPUT: &str = "throughput";

/// What the metrics need of a scored record.
#[derive(Deserialize)]
struct Scored<'a> {
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

/// What tells one point from another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PointKey {
    pub(crate) partition: u32,
    pub(crate) block: u64,
    pub(crate) second: i64,
    pub(crate) transaction_type: String,
    pub(crate) risk_level: String,
    pub(crate) department: String,
}

/// What is summed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sums {
    transactions: i64,
    amount_sum: i64,
    score_sum: i64,
    score_max: i64,
    alerts: i64,
}

impl PointKey {
    /// The row of a point whose sums may be missing, as in one that another program wrote.
    pub(crate) fn row(&self, [transactions, amount_sum, score_sum, score_max, alerts]: [Option<i64>; 5]) -> Row {
        let field = |name: &'static str, value: Option<String>| -> Field { (Cow::Borrowed(name), value) };
        let number = |value: Option<i64>| value.map(|value| value.to_string());
        let fields = vec![
            field("transactions", number(transactions)),
            field("amount_sum", amount_sum.map(|cents| Cents(cents).to_string())),
            field("score_sum", number(score_sum)),
            field("score_max", number(score_max)),
            field("alerts", number(alerts)),
        ];
        let at = SeqPosition { partition: self.partition, seq: self.block.saturating_mul(METRICS_BLOCK) };
        let key = format!("second {} {} {} {:?}", self.second, self.transaction_type, self.risk_level, self.department);
        Row { key, time: self.second.saturating_mul(SECOND), ..Row::new(THROUGHPUT, at, fields) }
    }
}

impl Sums {
    fn values(self) -> [Option<i64>; 5] {
        [self.transactions, self.amount_sum, self.score_sum, self.score_max, self.alerts].map(Some)
    }
}

/// Points of records that are taken one after another.
#[derive(Debug, Default)]
pub(crate) struct Points(BTreeMap<PointKey, Sums>);

impl Expected for Points {
    fn take(&mut self, record: &Stored, buried: bool) {
        if buried {
            return;
        }
        let Ok(row) = serde_json::from_slice::<Scored<'_>>(&record.value) else { return };
        let (Some(score), Some(level)) = (row.risk_score, row.risk_level) else { return };
        let key = PointKey {
            partition: row.partition,
            block: row.seq / METRICS_BLOCK,
            second: row.timestamp.0.div_euclid(SECOND),
            transaction_type: row.transaction_type.as_str().to_owned(),
            risk_level: level.as_str().to_owned(),
            department: row.department.as_str().to_owned(),
        };
        let sums = self.0.entry(key).or_default();
        sums.transactions += 1;
        sums.amount_sum += row.amount.0;
        sums.score_sum += i64::from(score);
        sums.score_max = sums.score_max.max(i64::from(score));
        sums.alerts += i64::from(score >= ALERT_SCORE);
    }

    fn bytes(&self) -> usize {
        self.0.len() * 400
    }

    fn rows(&mut self) -> Vec<Row> {
        std::mem::take(&mut self.0).into_iter().map(|(key, sums)| key.row(sums.values())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(seq: u64, second: i64, amount: &str, score: u8) -> Stored {
        let level = RiskLevel::of(score).as_str();
        let value = format!(
            r#"{{"partition":0,"seq":{seq},"timestamp":"{}","department":"IT","transaction_type":"billing","amount":{amount},"risk_score":{score},"risk_level":"{level}"}}"#,
            Micros(second * SECOND + 7)
        );
        Stored { offset: seq, append_time: 0, key: None, value: value.into_bytes().into(), headers: Vec::new() }
    }

    #[test]
    fn a_point_is_the_sum_of_its_second_in_its_block() {
        let mut points = Points::default();
        for (seq, second, buried) in [(998, 5, false), (999, 5, false), (1_000, 5, false), (997, 5, true), (1_001, 6, false)] {
            points.take(&record(seq, second, "1.25", 10), buried);
        }
        let rows = points.rows();
        let told: Vec<(u64, Option<&str>, Option<&str>, i64)> = rows.iter().map(|row| (row.at.seq, row.field("transactions"), row.field("amount_sum"), row.time)).collect();
        assert_eq!(told, [(0, Some("2"), Some("2.50"), 5_000_000), (1_000, Some("1"), Some("1.25"), 5_000_000), (1_000, Some("1"), Some("1.25"), 6_000_000)]);
        assert!(points.rows().is_empty());
    }
}
