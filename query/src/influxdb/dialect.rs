//! From predicates to InfluxQL.
//!
//! What must stay true: pure; values are bound, never written into the text. No column is ever missing in a point, so that conditions
//! have two truth values here and mean what SQL means. Tags are compared as a whole and fields as 64-bit integers, which was checked
//! against the server by random conditions; times are a range of seconds, and never stand under OR or NOT, which InfluxQL does not take.

use serde_json::{Map, Value as Json};
use wh_stores::influxdb::points::tag_of;

use crate::predicate::{Op, Predicate, Truth, Value};
use crate::shape::Shape;
use crate::table::Support;

/// Microseconds in a second.
const SECOND: i64 = 1_000_000;
/// Most comparisons of tags in one condition: each is looked up in the index.
const MAX_TAGS: usize = 500;
/// Most comparisons of fields: each is computed for every point.
const MAX_FIELDS: usize = 16;

/// What a column is in InfluxDB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The second of the time.
    Time,
    /// A tag that holds a text.
    Tag,
    /// A tag that holds a number.
    Number,
    /// The nanoseconds of the time.
    Block,
    /// An integer.
    Field,
}

/// What the column at `index` is.
pub(crate) fn kind(shape: &Shape, index: usize) -> Kind {
    match shape.schema.field(index).name().as_str() {
        "time" => Kind::Time,
        "department" | "transaction_type" | "risk_level" => Kind::Tag,
        "partition" => Kind::Number,
        "block" => Kind::Block,
        _ => Kind::Field,
    }
}

/// How well InfluxDB answers a predicate.
pub(crate) fn support(shape: &Shape, predicate: &Predicate) -> Support {
    let (tags, fields) = comparisons(shape, predicate);
    if tags <= MAX_TAGS && fields <= MAX_FIELDS && is_exact(shape, predicate, true) { Support::Exact } else { Support::No }
}

/// How many comparisons of tags and of fields it takes.
fn comparisons(shape: &Shape, predicate: &Predicate) -> (usize, usize) {
    let of = |column: usize, many: usize| if kind(shape, column) == Kind::Field { (0, many) } else { (many, 0) };
    match predicate {
        Predicate::Compare { column, .. } => of(*column, 1),
        Predicate::In { column, values } => of(*column, values.len()),
        Predicate::And(members) | Predicate::Or(members) => {
            members.iter().map(|member| comparisons(shape, member)).fold((0, 0), |(tags, fields), (more_tags, more_fields)| (tags + more_tags, fields + more_fields))
        }
        Predicate::Not(inner) | Predicate::Is { inner, .. } => comparisons(shape, inner),
        _ => (0, 0),
    }
}

/// `whole`: it is one of the conditions that must all hold.
fn is_exact(shape: &Shape, predicate: &Predicate, whole: bool) -> bool {
    match predicate {
        Predicate::Compare { column, op, value } => match (kind(shape, *column), value) {
            (Kind::Time, Value::Int(_)) => whole && *op != Op::NotEq,
            (Kind::Tag, Value::Text(_)) | (Kind::Number, Value::Int(_)) => matches!(op, Op::Eq | Op::NotEq),
            (Kind::Field, Value::Int(_)) => true,
            _ => false,
        },
        Predicate::In { column, values } => match kind(shape, *column) {
            Kind::Tag => values.iter().all(|value| matches!(value, Value::Text(_))),
            Kind::Number | Kind::Field => values.iter().all(|value| matches!(value, Value::Int(_))),
            Kind::Time | Kind::Block => false,
        },
        Predicate::And(members) => members.iter().all(|member| is_exact(shape, member, whole)),
        Predicate::Or(members) => members.iter().all(|member| is_exact(shape, member, false)),
        Predicate::Not(inner) | Predicate::Is { inner, .. } => is_exact(shape, inner, false),
        Predicate::Null { .. } => true,
        Predicate::Flag { .. } | Predicate::StartsWith { .. } | Predicate::Contains { .. } | Predicate::Match { .. } | Predicate::Member { .. } => false,
    }
}

/// A condition over tags and fields, without constants in it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Condition {
    Always,
    Never,
    Compare { name: String, sign: &'static str, value: Json },
    And(Vec<Condition>),
    Or(Vec<Condition>),
}

impl Condition {
    fn all(members: impl IntoIterator<Item = Condition>) -> Condition {
        let mut kept = Vec::new();
        for member in members {
            match member {
                Condition::Always => {}
                Condition::Never => return Condition::Never,
                other => kept.push(other),
            }
        }
        if kept.is_empty() { Condition::Always } else { Condition::And(kept) }
    }

    fn any(members: impl IntoIterator<Item = Condition>) -> Condition {
        let mut kept = Vec::new();
        for member in members {
            match member {
                Condition::Never => {}
                Condition::Always => return Condition::Always,
                other => kept.push(other),
            }
        }
        if kept.is_empty() { Condition::Never } else { Condition::Or(kept) }
    }

    pub(super) fn write(&self, text: &mut String, parameters: &mut Map<String, Json>) {
        match self {
            // Neither stands within another, and neither alone is asked.
            Condition::Always | Condition::Never => {}
            Condition::And(members) => write_joined(members, " AND ", text, parameters),
            Condition::Or(members) => write_joined(members, " OR ", text, parameters),
            Condition::Compare { name, sign, value } => {
                let parameter = format!("p{}", parameters.len());
                text.push_str(&format!("\"{name}\" {sign} ${parameter}"));
                parameters.insert(parameter, value.clone());
            }
        }
    }
}

fn write_joined(members: &[Condition], word: &str, text: &mut String, parameters: &mut Map<String, Json>) {
    text.push('(');
    for (at, member) in members.iter().enumerate() {
        text.push_str(if at > 0 { word } else { "" });
        member.write(text, parameters);
    }
    text.push(')');
}

/// What is asked of the points.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Question {
    /// First and last second.
    pub(super) first: i64,
    pub(super) last: i64,
    pub(super) condition: Condition,
}

/// `None` where InfluxDB cannot be asked, which `support` has said before.
pub(super) fn question<'p>(shape: &Shape, predicates: impl IntoIterator<Item = &'p Predicate>) -> Option<Question> {
    let mut asked = Question { first: i64::MIN, last: i64::MAX, condition: Condition::Always };
    let mut members = Vec::new();
    for predicate in predicates {
        members.push(narrow(shape, predicate, &mut asked)?);
    }
    asked.condition = Condition::all(members);
    Some(asked)
}

/// Takes the times out of a conjunction; what is left of it.
fn narrow(shape: &Shape, predicate: &Predicate, asked: &mut Question) -> Option<Condition> {
    match predicate {
        Predicate::Compare { column, op, value: Value::Int(value) } if kind(shape, *column) == Kind::Time => {
            let (whole, is_whole) = (value.div_euclid(SECOND), value.rem_euclid(SECOND) == 0);
            let up = if is_whole { whole } else { whole + 1 };
            match op {
                Op::Eq if !is_whole => return Some(Condition::Never),
                Op::Eq => (asked.first, asked.last) = (asked.first.max(whole), asked.last.min(whole)),
                Op::Lt => asked.last = asked.last.min(up - 1),
                Op::LtEq => asked.last = asked.last.min(whole),
                Op::Gt => asked.first = asked.first.max(whole + 1),
                Op::GtEq => asked.first = asked.first.max(up),
                Op::NotEq => return None,
            }
            Some(Condition::Always)
        }
        Predicate::And(members) => {
            let left = members.iter().map(|member| narrow(shape, member, asked)).collect::<Option<Vec<_>>>()?;
            Some(Condition::all(left))
        }
        other => condition(shape, other, false),
    }
}

/// The condition, or its negation.
fn condition(shape: &Shape, predicate: &Predicate, negated: bool) -> Option<Condition> {
    let constant = |holds: bool| Some(if holds == negated { Condition::Never } else { Condition::Always });
    match predicate {
        Predicate::Compare { column, op, value } => compare(shape, *column, if negated { op.negated() } else { *op }, value),
        Predicate::In { column, values } => {
            let op = if negated { Op::NotEq } else { Op::Eq };
            let members = values.iter().map(|value| compare(shape, *column, op, value)).collect::<Option<Vec<_>>>()?;
            Some(if negated { Condition::all(members) } else { Condition::any(members) })
        }
        Predicate::Null { .. } => constant(false),
        Predicate::And(members) | Predicate::Or(members) => {
            let is_and = matches!(predicate, Predicate::And(_));
            let members = members.iter().map(|member| condition(shape, member, negated)).collect::<Option<Vec<_>>>()?;
            Some(if is_and == negated { Condition::any(members) } else { Condition::all(members) })
        }
        Predicate::Not(inner) | Predicate::Is { inner, truth: Truth::False } => condition(shape, inner, !negated),
        Predicate::Is { inner, truth: Truth::True } => condition(shape, inner, negated),
        Predicate::Is { truth: Truth::Unknown, .. } => constant(false),
        Predicate::Flag { .. } | Predicate::StartsWith { .. } | Predicate::Contains { .. } | Predicate::Match { .. } | Predicate::Member { .. } => None,
    }
}

fn compare(shape: &Shape, column: usize, op: Op, value: &Value) -> Option<Condition> {
    let value = match (kind(shape, column), value) {
        (Kind::Tag, Value::Text(text)) => Json::from(tag_of(text)),
        (Kind::Number, Value::Int(value)) => Json::from(value.to_string()),
        (Kind::Field, Value::Int(value)) => Json::from(*value),
        _ => return None,
    };
    let sign = if op == Op::NotEq { "!=" } else { op.sign() };
    Some(Condition::Compare { name: shape.schema.field(column).name().clone(), sign, value })
}

#[cfg(test)]
#[path = "dialect_tests.rs"]
mod tests;
