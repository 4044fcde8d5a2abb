//! What the conditions of a query leave of one partition. Pure.
//!
//! What must stay true: what is left out holds no row that meets them all; what is left in is judged row by row by
//! [`crate::log::dialect`].

use arrow::datatypes::Schema;

use crate::log::dialect::{self, APPEND_TIME, OFFSET, PARTITION, Place, Range};
use crate::predicate::{Predicate, Truth};

/// What is to be read of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slice {
    /// Offsets.
    pub(super) offsets: Range,
    /// Append times.
    pub(super) times: Range,
}

/// What conditions leave of a partition; `None` where no row of it can meet them.
pub(super) fn slice(predicates: &[Predicate], partition: i64) -> Option<Slice> {
    let folded: Vec<Predicate> = predicates.iter().map(|predicate| within(predicate, partition)).collect();
    if folded.iter().any(never) {
        return None;
    }
    let slice = Slice { offsets: dialect::range(&folded, OFFSET), times: dialect::range(&folded, APPEND_TIME) };
    (slice.offsets.first <= slice.offsets.last && slice.times.first <= slice.times.last).then_some(slice)
}

fn always(predicate: &Predicate) -> bool {
    matches!(predicate, Predicate::And(members) if members.is_empty())
}

fn never(predicate: &Predicate) -> bool {
    matches!(predicate, Predicate::Or(members) if members.is_empty())
}

fn truth(holds: bool) -> Predicate {
    if holds { Predicate::And(Vec::new()) } else { Predicate::Or(Vec::new()) }
}

/// The same condition where the partition is known. A place is never null, so there are two truth values.
fn within(predicate: &Predicate, partition: i64) -> Predicate {
    match predicate {
        Predicate::Compare { column: PARTITION, .. } | Predicate::In { column: PARTITION, .. } | Predicate::Null { column: PARTITION } => {
            dialect::evaluated(predicate, Place { partition, offset: 0, append_time: 0 }).map_or_else(|| predicate.clone(), truth)
        }
        Predicate::And(members) => {
            let members: Vec<Predicate> = members.iter().map(|member| within(member, partition)).filter(|member| !always(member)).collect();
            if members.iter().any(never) { truth(false) } else { Predicate::And(members) }
        }
        Predicate::Or(members) => {
            let mut members: Vec<Predicate> = members.iter().map(|member| within(member, partition)).filter(|member| !never(member)).collect();
            if members.iter().any(always) {
                return truth(true);
            }
            if members.len() > 1 { Predicate::Or(members) } else { members.pop().unwrap_or_else(|| truth(false)) }
        }
        Predicate::Not(inner) | Predicate::Is { inner, truth: Truth::False } => match within(inner, partition) {
            inner if always(&inner) => truth(false),
            inner if never(&inner) => truth(true),
            inner => inner.negated(),
        },
        Predicate::Is { inner, truth: Truth::True } => within(inner, partition),
        other => other.clone(),
    }
}

/// What is asked, for EXPLAIN.
pub(super) fn text(topic: &str, schema: &Schema, predicates: &[Predicate]) -> String {
    let shown: Vec<String> = predicates.iter().map(|predicate| predicate.display(schema).to_string()).collect();
    let all = if shown.is_empty() { String::new() } else { format!(" where {}", shown.join(" and ")) };
    format!("fetch {topic}{all}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::predicate::{Op, Value};

    fn compare(column: usize, op: Op, value: i64) -> Predicate {
        Predicate::Compare { column, op, value: Value::Int(value) }
    }

    fn offsets(predicates: &[Predicate], partition: i64) -> Option<(i64, i64)> {
        slice(predicates, partition).map(|slice| (slice.offsets.first, slice.offsets.last))
    }

    #[test]
    fn a_partition_that_is_not_asked_for_is_not_read() {
        assert!(slice(&[compare(PARTITION, Op::Eq, 1)], 0).is_none());
        assert!(slice(&[compare(PARTITION, Op::Eq, 1)], 1).is_some());
        let listed = Predicate::In { column: PARTITION, values: vec![Value::Int(0), Value::Int(2)] };
        assert!(slice(std::slice::from_ref(&listed), 1).is_none() && slice(std::slice::from_ref(&listed), 2).is_some());
        assert!(slice(&[listed.negated()], 2).is_none());
        assert!(slice(&[Predicate::Null { column: PARTITION }], 0).is_none());
        assert!(slice(&[compare(OFFSET, Op::Gt, 9), compare(OFFSET, Op::Lt, 3)], 0).is_none());
        assert!(slice(&[Predicate::Or(Vec::new())], 0).is_none());
    }

    #[test]
    fn a_cut_gives_each_partition_its_own_end() {
        let cut = Predicate::Or((0..3).map(|partition| Predicate::And(vec![compare(PARTITION, Op::Eq, partition), compare(OFFSET, Op::Lt, 10 * (partition + 1))])).collect());
        for partition in 0..3 {
            assert_eq!(offsets(std::slice::from_ref(&cut), partition), Some((i64::MIN, 10 * (partition + 1) - 1)));
        }
        assert_eq!(offsets(&[cut], 7), None, "a partition that the cut does not know is not seen");
    }

    #[test]
    fn what_is_not_understood_leaves_all_in() {
        let either = Predicate::Or(vec![compare(OFFSET, Op::Lt, 3), compare(OFFSET, Op::Gt, 9)]);
        assert_eq!(offsets(&[either], 0), Some((i64::MIN, i64::MAX)));
        let odd = Predicate::Or(vec![compare(PARTITION, Op::Eq, 1), compare(OFFSET, Op::Lt, 3)]);
        assert_eq!((offsets(std::slice::from_ref(&odd), 1), offsets(&[odd], 0)), (Some((i64::MIN, i64::MAX)), Some((i64::MIN, 2))));
        let times = slice(&[compare(APPEND_TIME, Op::GtEq, 5)], 0).unwrap().times;
        assert_eq!((times.first, times.last), (5, i64::MAX));
    }

    #[test]
    fn what_is_left_out_meets_the_conditions_nowhere() {
        let shapes = |partition: i64, offset: i64| {
            let (a, b) = (compare(PARTITION, Op::LtEq, partition), compare(OFFSET, Op::GtEq, offset));
            vec![
                Predicate::And(vec![a.clone(), b.clone()]),
                Predicate::Or(vec![a.clone(), b.clone()]),
                Predicate::And(vec![a.clone(), b.clone()]).negated(),
                Predicate::Or(vec![a.clone(), b.clone()]).negated(),
                Predicate::And(vec![a.clone().negated(), b.clone().is(Truth::True)]),
                Predicate::Or(vec![a.is(Truth::False), Predicate::And(vec![b, compare(OFFSET, Op::NotEq, 4)])]),
            ]
        };
        for (asked, limit) in [(0, 0), (1, 2), (1, 5), (2, 9)] {
            for predicate in shapes(asked, limit) {
                for (partition, offset) in (0..3).flat_map(|partition| (0..8).map(move |offset| (partition, offset))) {
                    let left = offsets(std::slice::from_ref(&predicate), partition).is_some_and(|(first, last)| first <= offset && offset <= last);
                    let meets = dialect::evaluated(&predicate, Place { partition, offset, append_time: 0 }) == Some(true);
                    assert!(left || !meets, "{predicate:?} at {partition}/{offset}");
                }
            }
        }
    }
}
