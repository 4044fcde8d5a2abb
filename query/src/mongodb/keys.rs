//! Conditions on `partition` and `seq` as ranges of the key that holds both, and what of the keys a reader may see.
//!
//! What must stay true: pure; ranges are half open, ascending and do not touch one another's keys; a condition that is covered means the
//! same as a set of ranges in each partition, since neither column is ever NULL.

use arrow::datatypes::Schema;
use wh_schemas::position::SEQ_BITS;

use crate::predicate::{Op, Predicate, Truth, Value};

/// From a key, or a seq, up to but without another.
pub(super) type Range = (i64, i64);

/// Behind the last seq that a key can hold.
const END: i64 = 1 << SEQ_BITS;
/// Partitions that a key can hold.
const PARTITIONS: i64 = 1 << (62 - SEQ_BITS);

/// What can be seen of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Visible {
    pub(super) partition: i64,
    /// Seqs below it may have been removed.
    pub(super) floor: i64,
    /// Seqs at and above it are on their way.
    pub(super) next: i64,
}

/// Partition and seq of a key.
pub(super) fn unpacked(key: i64) -> (i64, i64) {
    (key >> SEQ_BITS, key & (END - 1))
}

/// Places of the two columns that the key is made of.
#[derive(Clone, Copy, Debug)]
pub(super) struct KeyColumns {
    pub(super) partition: usize,
    pub(super) seq: usize,
}

impl KeyColumns {
    pub(super) fn of(schema: &Schema) -> Option<KeyColumns> {
        Some(KeyColumns { partition: schema.index_of("partition").ok()?, seq: schema.index_of("seq").ok()? })
    }

    fn has(self, column: usize) -> bool {
        column == self.partition || column == self.seq
    }

    /// Whether a condition is about the key and nothing else.
    pub(super) fn cover(self, predicate: &Predicate) -> bool {
        match predicate {
            Predicate::Compare { column, value, .. } => self.has(*column) && matches!(value, Value::Int(_)),
            Predicate::In { column, values } => self.has(*column) && values.iter().all(|value| matches!(value, Value::Int(_))),
            Predicate::Null { column } => self.has(*column),
            Predicate::And(members) | Predicate::Or(members) => members.iter().all(|member| self.cover(member)),
            Predicate::Not(inner) | Predicate::Is { inner, .. } => self.cover(inner),
            Predicate::Flag { .. } | Predicate::StartsWith { .. } | Predicate::Contains { .. } | Predicate::Match { .. } | Predicate::Member { .. } => false,
        }
    }

    /// The keys that can be seen, fulfil the conditions, all of which are covered, and lie within a range.
    pub(super) fn ranges(self, visible: &[Visible], conditions: &[&Predicate], within: Range) -> Vec<Range> {
        let mut found = Vec::new();
        for seen in visible.iter().filter(|seen| (0..PARTITIONS).contains(&seen.partition)) {
            let mut seqs = one(seen.floor.clamp(0, END), seen.next.clamp(0, END));
            for condition in conditions {
                seqs = both(&seqs, &self.seqs(condition, seen.partition));
            }
            let base = seen.partition << SEQ_BITS;
            found.extend(seqs.into_iter().map(|(from, to)| (base + from, base + to)));
        }
        found.sort_unstable();
        both(&found, &[within])
    }

    /// The seqs of a partition that fulfil a condition.
    fn seqs(self, predicate: &Predicate, partition: i64) -> Vec<Range> {
        let whole = |holds: bool| if holds { one(0, END) } else { Vec::new() };
        match predicate {
            Predicate::Compare { column, op, value: Value::Int(value) } if *column == self.partition => whole(op.holds(partition, *value)),
            Predicate::Compare { op, value: Value::Int(value), .. } => {
                let (at, behind) = (value.clamp(&0, &END), value.saturating_add(1).clamp(0, END));
                match op {
                    Op::Eq => one(*at, behind),
                    Op::NotEq => without(&one(*at, behind)),
                    Op::Lt => one(0, *at),
                    Op::LtEq => one(0, behind),
                    Op::Gt => one(behind, END),
                    Op::GtEq => one(*at, END),
                }
            }
            Predicate::In { column, values } if *column == self.partition => whole(values.contains(&Value::Int(partition))),
            Predicate::In { values, .. } => {
                let seqs = values.iter().filter_map(|value| if let Value::Int(value) = value { Some(*value) } else { None });
                joined(seqs.filter(|seq| (0..END).contains(seq)).map(|seq| (seq, seq + 1)).collect())
            }
            Predicate::And(members) => members.iter().fold(whole(true), |seqs, member| both(&seqs, &self.seqs(member, partition))),
            Predicate::Or(members) => joined(members.iter().flat_map(|member| self.seqs(member, partition)).collect()),
            Predicate::Not(inner) | Predicate::Is { inner, truth: Truth::False } => without(&self.seqs(inner, partition)),
            Predicate::Is { inner, truth: Truth::True } => self.seqs(inner, partition),
            // Nothing here is ever unknown, and nothing else is covered.
            _ => Vec::new(),
        }
    }
}

fn one(from: i64, to: i64) -> Vec<Range> {
    if from < to { vec![(from, to)] } else { Vec::new() }
}

/// The ranges in order, overlapping and adjacent ones joined.
fn joined(mut ranges: Vec<Range>) -> Vec<Range> {
    ranges.sort_unstable();
    let mut out: Vec<Range> = Vec::with_capacity(ranges.len());
    for (from, to) in ranges {
        match out.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(to),
            _ => out.push((from, to)),
        }
    }
    out
}

/// What is in both.
fn both(left: &[Range], right: &[Range]) -> Vec<Range> {
    let (mut out, mut at, mut by) = (Vec::new(), 0, 0);
    while let (Some(a), Some(b)) = (left.get(at), right.get(by)) {
        out.extend(one(a.0.max(b.0), a.1.min(b.1)));
        if a.1 < b.1 { at += 1 } else { by += 1 }
    }
    out
}

/// Every seq that is in none of them.
fn without(ranges: &[Range]) -> Vec<Range> {
    let (mut out, mut at) = (Vec::new(), 0);
    for (from, to) in ranges {
        out.extend(one(at, *from));
        at = *to;
    }
    out.extend(one(at, END));
    out
}

/// Whether a key lies in one of the ranges.
pub(super) fn contain(ranges: &[Range], key: i64) -> bool {
    let behind = ranges.partition_point(|(from, _)| *from <= key);
    behind.checked_sub(1).and_then(|at| ranges.get(at)).is_some_and(|(_, to)| key < *to)
}

/// Cuts all keys into ranges that hold about as many keys of `ranges` each; together they hold every key once.
pub(super) fn divided(ranges: &[Range], parts: usize) -> Vec<Range> {
    let keys: i64 = ranges.iter().map(|(from, to)| to - from).sum();
    let each = keys / i64::try_from(parts.max(1)).unwrap_or(1) + 1;
    let (mut out, mut begin, mut room) = (Vec::new(), i64::MIN, each);
    for (from, to) in ranges {
        let mut at = *from;
        while to - at > room {
            at += room;
            out.push((begin, at));
            (begin, room) = (at, each);
        }
        room -= to - at;
    }
    out.push((begin, i64::MAX));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: KeyColumns = KeyColumns { partition: 0, seq: 1 };
    const ALL: Range = (i64::MIN, i64::MAX);

    fn seq(op: Op, value: i64) -> Predicate {
        Predicate::Compare { column: 1, op, value: Value::Int(value) }
    }

    fn partition(op: Op, value: i64) -> Predicate {
        Predicate::Compare { column: 0, op, value: Value::Int(value) }
    }

    /// The keys of partitions 0 (seqs 2 to 9) and 3 (0 to 9) that fulfil a condition.
    fn found(condition: &Predicate) -> Vec<(i64, i64)> {
        assert!(COLUMNS.cover(condition));
        let visible = [Visible { partition: 0, floor: 2, next: 10 }, Visible { partition: 3, floor: 0, next: 10 }];
        let ranges = COLUMNS.ranges(&visible, &[condition], ALL);
        ranges.into_iter().flat_map(|(from, to)| from..to).map(unpacked).collect()
    }

    #[test]
    fn every_condition_on_the_key_finds_the_keys_that_fulfil_it() {
        let members = vec![
            seq(Op::Lt, 4),
            seq(Op::GtEq, 8),
            seq(Op::Eq, 5),
            seq(Op::NotEq, 5),
            seq(Op::LtEq, i64::MAX),
            seq(Op::Gt, -7),
            seq(Op::GtEq, i64::MIN),
            partition(Op::Eq, 3),
            partition(Op::Lt, 1),
            partition(Op::NotEq, -1),
            Predicate::In { column: 1, values: vec![Value::Int(9), Value::Int(3), Value::Int(3), Value::Int(-4), Value::Int(i64::MAX)] },
            Predicate::In { column: 0, values: vec![Value::Int(3), Value::Int(7)] },
            Predicate::Null { column: 1 },
            Predicate::And(Vec::new()),
            Predicate::Or(Vec::new()),
        ];
        let mut conditions = members.clone();
        for left in &members {
            for right in &members {
                conditions.push(Predicate::And(vec![left.clone(), right.clone().negated()]));
                conditions.push(Predicate::Or(vec![left.clone(), right.clone().is(Truth::False)]).is(Truth::True));
            }
        }
        conditions.push(seq(Op::Eq, 5).is(Truth::Unknown));
        let all: Vec<(i64, i64)> = (2..10).map(|seq| (0, seq)).chain((0..10).map(|seq| (3, seq))).collect();
        for condition in conditions {
            let wanted: Vec<(i64, i64)> = all.iter().copied().filter(|at| means(&condition, *at)).collect();
            assert_eq!(found(&condition), wanted, "{condition:?}");
        }
    }

    /// What a condition means, worked out row by row.
    fn means(condition: &Predicate, at: (i64, i64)) -> bool {
        let of = |column: usize| if column == 0 { at.0 } else { at.1 };
        match condition {
            Predicate::Compare { column, op, value: Value::Int(value) } => op.holds(of(*column), *value),
            Predicate::In { column, values } => values.contains(&Value::Int(of(*column))),
            Predicate::And(members) => members.iter().all(|member| means(member, at)),
            Predicate::Or(members) => members.iter().any(|member| means(member, at)),
            Predicate::Not(inner) | Predicate::Is { inner, truth: Truth::False } => !means(inner, at),
            Predicate::Is { inner, truth: Truth::True } => means(inner, at),
            _ => false,
        }
    }

    #[test]
    fn conditions_on_anything_else_are_not_covered() {
        assert!(!COLUMNS.cover(&Predicate::Compare { column: 2, op: Op::Eq, value: Value::Int(1) }));
        assert!(!COLUMNS.cover(&Predicate::Or(vec![seq(Op::Eq, 1), Predicate::Null { column: 2 }])));
        assert!(!COLUMNS.cover(&Predicate::Compare { column: 0, op: Op::Eq, value: Value::Float(0.5) }));
    }

    #[test]
    fn parts_hold_every_key_once_and_about_as_many_of_those_that_are_there() {
        let ranges = [(5, 100_005), (1 << 40, (1 << 40) + 300_000)];
        let parts = divided(&ranges, 3);
        assert_eq!((parts.len(), parts[0].0, parts[2].1), (3, i64::MIN, i64::MAX));
        for pair in parts.windows(2) {
            assert_eq!(pair[0].1, pair[1].0);
        }
        let keys = |part: &Range| -> i64 { both(&ranges, &[*part]).iter().map(|(from, to)| to - from).sum() };
        assert!(parts.iter().all(|part| (130_000..140_000).contains(&keys(part))), "{parts:?}");
        assert_eq!(divided(&[], 2), [ALL]);
    }

    #[test]
    fn a_key_is_found_in_its_range() {
        let ranges = [(2, 4), (7, 8)];
        let inside: Vec<i64> = (0..10).filter(|key| contain(&ranges, *key)).collect();
        assert_eq!(inside, [2, 3, 7]);
        assert!(!contain(&[], 0));
    }
}
