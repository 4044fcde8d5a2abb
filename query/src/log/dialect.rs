//! What the log's file is asked for a topic's records.
//!
//! What must stay true: pure; conditions on `partition`, `offset` and `append_time` are answered exactly, row by row; what
//! is asked of the file only leaves out batches in which no row can hold them.

use arrow::datatypes::Schema;

use crate::predicate::{Op, Predicate, Truth, Value};
use crate::table::Support;

/// Columns of a topic, in the order of its schema.
pub(crate) const PARTITION: usize = 0;
pub(crate) const OFFSET: usize = 1;
pub(crate) const APPEND_TIME: usize = 2;
pub(crate) const KEY: usize = 3;
pub(crate) const VALUE: usize = 4;
pub(crate) const HEADERS: usize = 5;
/// The first of the columns that `log.dead_letters` has beside these, each a header.
pub(crate) const LETTER: usize = 6;

/// Where a record stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) partition: i64,
    pub(crate) offset: i64,
    pub(crate) append_time: i64,
}

impl Place {
    fn column(self, column: usize) -> Option<i64> {
        match column {
            PARTITION => Some(self.partition),
            OFFSET => Some(self.offset),
            APPEND_TIME => Some(self.append_time),
            _ => None,
        }
    }
}

/// How well the log answers a predicate.
pub(crate) fn support(predicate: &Predicate) -> Support {
    if evaluated(predicate, Place { partition: 0, offset: 0, append_time: 0 }).is_some() { Support::Exact } else { Support::No }
}

/// Whether a record at `place` holds the predicate. `None` where more than its place must be known.
pub(crate) fn evaluated(predicate: &Predicate, place: Place) -> Option<bool> {
    match predicate {
        Predicate::Compare { column, op, value: Value::Int(value) } => Some(op.holds(place.column(*column)?, *value)),
        Predicate::In { column, values } => {
            let own = place.column(*column)?;
            let mut found = false;
            for value in values {
                let Value::Int(value) = value else { return None };
                found |= own == *value;
            }
            Some(found)
        }
        Predicate::And(members) => every(members, place).map(|all| all.into_iter().all(|holds| holds)),
        Predicate::Or(members) => every(members, place).map(|all| all.into_iter().any(|holds| holds)),
        Predicate::Not(inner) | Predicate::Is { inner, truth: Truth::False } => evaluated(inner, place).map(|holds| !holds),
        Predicate::Is { inner, truth: Truth::True } => evaluated(inner, place),
        Predicate::Is { inner, truth: Truth::Unknown } => evaluated(inner, place).map(|_| false),
        Predicate::Null { column } => place.column(*column).map(|_| false),
        _ => None,
    }
}

fn every(members: &[Predicate], place: Place) -> Option<Vec<bool>> {
    members.iter().map(|member| evaluated(member, place)).collect()
}

/// The values that a column can have where all of some predicates hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    /// The least.
    pub(crate) first: i64,
    /// The greatest.
    pub(crate) last: i64,
}

impl Range {
    const ALL: Range = Range { first: i64::MIN, last: i64::MAX };

    fn narrowed(self, op: Op, value: i64) -> Range {
        let Range { first, last } = self;
        match op {
            Op::Eq => Range { first: first.max(value), last: last.min(value) },
            Op::Lt => Range { first, last: last.min(value.saturating_sub(1)) },
            Op::LtEq => Range { first, last: last.min(value) },
            Op::Gt => Range { first: first.max(value.saturating_add(1)), last },
            Op::GtEq => Range { first: first.max(value), last },
            Op::NotEq => self,
        }
    }

    /// Whether `value` is in it.
    pub(crate) fn holds(self, value: i64) -> bool {
        self.first <= value && value <= self.last
    }
}

/// The range of a column that the members of a conjunction leave.
pub(crate) fn range(predicates: &[Predicate], column: usize) -> Range {
    let mut range = Range::ALL;
    narrow(predicates, column, &mut range);
    range
}

fn narrow(predicates: &[Predicate], wanted: usize, range: &mut Range) {
    for predicate in predicates {
        match predicate {
            Predicate::Compare { column, op, value: Value::Int(value) } if *column == wanted => *range = range.narrowed(*op, *value),
            Predicate::And(members) => narrow(members, wanted, range),
            _ => {}
        }
    }
}

/// The statement that finds the batches of one partition: ?1 topic, ?2 partition, ?3 and ?4 first and last offset, ?5 and ?6 first
/// and last time. A batch's records are dense from its base.
pub(crate) const BATCHES: &str = "SELECT base_offset, records, append_time, data FROM batches WHERE topic_id = ?1 AND partition = ?2 \
     AND base_offset >= coalesce((SELECT max(base_offset) FROM batches WHERE topic_id = ?1 AND partition = ?2 AND base_offset <= ?3), 0) \
     AND base_offset <= ?4 AND append_time BETWEEN ?5 AND ?6 ORDER BY base_offset";

/// What is asked, for EXPLAIN.
pub(crate) fn text(topic: &str, schema: &Schema, predicates: &[Predicate]) -> String {
    let shown: Vec<String> = predicates.iter().map(|predicate| predicate.display(schema).to_string()).collect();
    let all = if shown.is_empty() { String::new() } else { format!(" where {}", shown.join(" and ")) };
    format!("batches of {topic}{all}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compare(column: usize, op: Op, value: i64) -> Predicate {
        Predicate::Compare { column, op, value: Value::Int(value) }
    }

    #[test]
    fn conditions_on_the_place_are_exact_and_others_are_not_taken() {
        let place = Place { partition: 1, offset: 7, append_time: 100 };
        let holds = |predicate: Predicate| evaluated(&predicate, place);
        assert_eq!(holds(compare(PARTITION, Op::Eq, 1)), Some(true));
        assert_eq!(holds(compare(OFFSET, Op::Lt, 7)), Some(false));
        assert_eq!(holds(compare(OFFSET, Op::Lt, 7).negated()), Some(true));
        assert_eq!(holds(Predicate::Or(vec![compare(OFFSET, Op::Gt, 9), compare(APPEND_TIME, Op::GtEq, 100)])), Some(true));
        assert_eq!(holds(Predicate::Or(Vec::new())), Some(false));
        assert_eq!(support(&Predicate::Compare { column: KEY, op: Op::Eq, value: Value::Text("k".into()) }), Support::No);
        assert_eq!(support(&Predicate::Or(vec![compare(OFFSET, Op::Gt, 9), Predicate::Null { column: KEY }])), Support::No);
    }

    #[test]
    fn ranges_are_what_all_conditions_leave() {
        let predicates = [compare(OFFSET, Op::GtEq, 5), Predicate::And(vec![compare(OFFSET, Op::Lt, 9), compare(PARTITION, Op::Eq, 2)])];
        assert_eq!(range(&predicates, OFFSET), Range { first: 5, last: 8 });
        assert_eq!(range(&predicates, PARTITION), Range { first: 2, last: 2 });
        assert_eq!(range(&predicates, APPEND_TIME), Range::ALL);
        assert_eq!(range(&[Predicate::Or(predicates.to_vec())], OFFSET), Range::ALL);
    }
}
