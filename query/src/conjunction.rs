//! Conditions that must all hold, as the stores are asked them that speak SQL: nested ones unfolded, and the range of keys that they leave.
//!
//! What must stay true: pure; no row outside of the range meets the conditions.

use wh_schemas::position::SEQ_BITS;

use crate::predicate::{Op, Predicate, Value};
use crate::shape::Shape;

/// One member of a conjunction.
pub(crate) enum Part<'a> {
    /// A condition.
    Predicate(&'a Predicate),
    /// Keys from the first up to, but without, the last.
    Keys(i64, i64),
}

/// The members of a conjunction, nested ones unfolded; where rows are `keyed` and the members fix a partition, also the range of keys that
/// this means: partition and seq are computed from the key, which alone has an index.
pub(crate) fn parts<'a>(shape: &Shape, keyed: bool, members: &[&'a Predicate]) -> Vec<Part<'a>> {
    let mut flat = Vec::new();
    for member in members {
        unfold(member, &mut flat);
    }
    let mut parts: Vec<Part<'a>> = flat.iter().copied().map(Part::Predicate).collect();
    if keyed && let Some((first, last)) = key_range(shape, &flat) {
        parts.push(Part::Keys(first, last));
    }
    parts
}

fn unfold<'a>(predicate: &'a Predicate, out: &mut Vec<&'a Predicate>) {
    match predicate {
        Predicate::And(members) if !members.is_empty() => members.iter().for_each(|member| unfold(member, out)),
        other => out.push(other),
    }
}

fn key_range(shape: &Shape, members: &[&Predicate]) -> Option<(i64, i64)> {
    let (partition, seq) = (shape.index_of("partition")?, shape.index_of("seq")?);
    let fixed = members.iter().find_map(|member| match member {
        Predicate::Compare { column, op: Op::Eq, value: Value::Int(value) } if *column == partition => Some(*value),
        _ => None,
    })?;
    if !(0..1 << (62 - SEQ_BITS)).contains(&fixed) {
        return None;
    }
    let (mut first, mut last) = (0_i64, 1_i64 << SEQ_BITS);
    for member in members {
        let Predicate::Compare { column, op, value: Value::Int(value) } = member else { continue };
        if *column != seq {
            continue;
        }
        let next = value.saturating_add(1);
        match op {
            Op::Eq => (first, last) = (first.max(*value), last.min(next)),
            Op::GtEq => first = first.max(*value),
            Op::Gt => first = first.max(next),
            Op::LtEq => last = last.min(next),
            Op::Lt => last = last.min(*value),
            Op::NotEq => {}
        }
    }
    let base = fixed << SEQ_BITS;
    Some((base + first.clamp(0, 1 << SEQ_BITS), base + last.clamp(0, 1 << SEQ_BITS)))
}
