//! Reading as of one cut: the lowest position that ledger, documents and search have all reached.
//!
//! What must stay true: a record at or above the cut is seen in none of the tables that obey it, one below it in all of them
//! that hold it; a partition of which one of the three stores knows nothing is not seen at all.

use std::collections::BTreeMap;

use arrow::datatypes::Schema;
use wh_schemas::alert::PATTERN_ROWS;

use crate::positions::Position;
use crate::predicate::{Op, Predicate, Value};

/// Whether a relation obeys a cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CutRule {
    /// By its columns `partition` and `seq`.
    BySeq,
    /// By `partition` and `seq`; pattern alerts, which are of another stream, show their latest.
    BySeqButPatterns,
    /// As [`CutRule::BySeqButPatterns`]; what changed later (a status) shows as it is now.
    BySeqButStatus,
    /// By its columns `partition` and `offset`, which number the topic `risk-scores`.
    ByOffset,
    /// It shows its latest.
    Latest,
    /// It is about the stores themselves.
    Outside,
}

/// Where one partition is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CutPoint {
    /// The first seq that is not seen.
    pub(crate) next_seq: i64,
    /// The first offset of `risk-scores` that is not seen.
    pub(crate) next_offset: i64,
}

/// The cut of every partition that is seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cut {
    partitions: BTreeMap<i64, CutPoint>,
}

impl Cut {
    /// The cut of stores that have come this far.
    pub(crate) fn of(stores: &[Vec<Position>]) -> Cut {
        let mut reached: BTreeMap<i64, Vec<CutPoint>> = BTreeMap::new();
        for position in stores.iter().flatten().filter(|p| p.stream == "scorer") {
            reached.entry(position.partition).or_default().push(CutPoint { next_seq: position.next_seq, next_offset: position.next_offset });
        }
        let lowest = |points: Vec<CutPoint>| (points.len() == stores.len()).then(|| points.into_iter().min_by_key(|p| p.next_seq)).flatten();
        Cut { partitions: reached.into_iter().filter_map(|(partition, points)| Some((partition, lowest(points)?))).collect() }
    }

    /// What the cut asks of a relation.
    pub(crate) fn predicate(&self, rule: CutRule, schema: &Schema) -> Option<Predicate> {
        let by = match rule {
            CutRule::BySeq | CutRule::BySeqButPatterns | CutRule::BySeqButStatus => "seq",
            CutRule::ByOffset => "offset",
            CutRule::Latest | CutRule::Outside => return None,
        };
        let (partition, by) = (schema.index_of("partition").ok()?, schema.index_of(by).ok()?);
        let seen = self.partitions.iter().map(|(number, point)| {
            let next = if rule == CutRule::ByOffset { point.next_offset } else { point.next_seq };
            Predicate::And(vec![
                Predicate::Compare { column: partition, op: Op::Eq, value: Value::Int(*number) },
                Predicate::Compare { column: by, op: Op::Lt, value: Value::Int(next) },
            ])
        });
        let patterns = matches!(rule, CutRule::BySeqButPatterns | CutRule::BySeqButStatus);
        let latest = patterns.then(|| Predicate::Compare { column: partition, op: Op::GtEq, value: Value::Int(i64::from(PATTERN_ROWS)) });
        Some(Predicate::Or(seen.chain(latest).collect()))
    }
}

/// What a query must be told that reads `relation` as of a cut.
pub(crate) fn notice(relation: &str, rule: CutRule) -> Option<String> {
    match rule {
        CutRule::Latest => Some(format!("{relation} has no position of its own: it shows its latest, not the cut")),
        CutRule::BySeqButPatterns => Some(format!("{relation} shows its rows as of the cut, and pattern alerts as they are now")),
        CutRule::BySeqButStatus => Some(format!("{relation} shows its rows as of the cut, and status, acknowledged_by, acknowledged_at and pattern alerts as they are now")),
        CutRule::BySeq | CutRule::ByOffset | CutRule::Outside => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(partition: i64, next_seq: i64) -> Position {
        Position { stream: "scorer".into(), partition, next_seq, next_offset: next_seq + 100, ..Position::default() }
    }

    #[test]
    fn the_cut_is_the_lowest_that_all_have_reached() {
        let cut = Cut::of(&[vec![at(0, 10), at(1, 5)], vec![at(0, 7), at(1, 9)], vec![at(0, 12)]]);
        let schema = wh_schemas::arrow::transactions();
        let predicate = cut.predicate(CutRule::BySeq, &schema).unwrap();
        assert_eq!(predicate.display(&schema).to_string(), "((partition = 0 AND seq < 7))");
        let topic = wh_schemas::arrow::topic();
        assert_eq!(cut.predicate(CutRule::ByOffset, &topic).unwrap().display(&topic).to_string(), "((partition = 0 AND offset < 107))");
        let alerts = cut.predicate(CutRule::BySeqButPatterns, &wh_schemas::arrow::alerts()).unwrap();
        assert_eq!(alerts.display(&wh_schemas::arrow::alerts()).to_string(), "((partition = 0 AND seq < 7) OR partition >= 1000000)");
        assert_eq!(cut.predicate(CutRule::Latest, &schema), None);
    }

    #[test]
    fn where_nothing_is_known_nothing_is_seen() {
        let cut = Cut::of(&[vec![], vec![at(0, 1)], vec![at(0, 1)]]);
        assert_eq!(cut.predicate(CutRule::BySeq, &wh_schemas::arrow::transactions()), Some(Predicate::Or(Vec::new())));
    }
}
