//! What a store can be asked, in values: a small tree of conditions over the columns of one relation.
//!
//! What must stay true: a predicate means exactly what SQL means by it, with three truth values; columns are named by their
//! place in the relation's full schema; numbers are in the unit in which stores keep them (cents, microseconds, 0 and 1). Of a member of a
//! JSON value alone a store's answer may be wider than that, which is no harm but under NOT and IS.

use std::fmt;

use arrow::datatypes::Schema;

use crate::json::{self, MemberTest, Step};

/// A value as stores keep it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// An integer, cents, or microseconds UTC.
    Int(i64),
    /// A finite number that is not −0.
    Float(f64),
    /// Text, compared by its bytes.
    Text(String),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Int(value) => write!(f, "{value}"),
            Value::Float(value) => write!(f, "{value}"),
            Value::Text(text) => write!(f, "'{}'", text.replace('\'', "''")),
        }
    }
}

/// How a column is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Eq,
    NotEq,
    Lt,
    LtEq,
    Gt,
    GtEq,
}

impl Op {
    /// The sign in SQL.
    pub(crate) fn sign(self) -> &'static str {
        match self {
            Op::Eq => "=",
            Op::NotEq => "<>",
            Op::Lt => "<",
            Op::LtEq => "<=",
            Op::Gt => ">",
            Op::GtEq => ">=",
        }
    }

    /// The operator that says the same with its sides exchanged.
    pub(crate) fn swapped(self) -> Op {
        match self {
            Op::Eq => Op::Eq,
            Op::NotEq => Op::NotEq,
            Op::Lt => Op::Gt,
            Op::LtEq => Op::GtEq,
            Op::Gt => Op::Lt,
            Op::GtEq => Op::LtEq,
        }
    }

    /// The operator that holds where this one does not, and nowhere else; of NULL neither does.
    pub(crate) fn negated(self) -> Op {
        match self {
            Op::Eq => Op::NotEq,
            Op::NotEq => Op::Eq,
            Op::Lt => Op::GtEq,
            Op::LtEq => Op::Gt,
            Op::Gt => Op::LtEq,
            Op::GtEq => Op::Lt,
        }
    }

    /// Whether `left op right` holds.
    pub(crate) fn holds(self, left: i64, right: i64) -> bool {
        match self {
            Op::Eq => left == right,
            Op::NotEq => left != right,
            Op::Lt => left < right,
            Op::LtEq => left <= right,
            Op::Gt => left > right,
            Op::GtEq => left >= right,
        }
    }
}

/// A truth value that `IS` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Truth {
    True,
    False,
    Unknown,
}

/// A condition over the columns of one relation.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Predicate {
    /// `column op value`
    Compare { column: usize, op: Op, value: Value },
    /// `column IN (values)`; never empty.
    In { column: usize, values: Vec<Value> },
    /// `column IS NULL`
    Null { column: usize },
    /// The boolean column itself.
    Flag { column: usize },
    /// The text begins with these bytes; not empty.
    StartsWith { column: usize, text: String },
    /// The text contains these bytes; not empty.
    Contains { column: usize, text: String },
    /// `match(column, query)`
    Match { column: usize, query: String },
    /// `column->'a'->>'b' = 'text'`, `IN`, or `IS NOT NULL`; the path is not empty. Most stores answer it inexactly.
    Member { column: usize, path: Vec<Step>, test: MemberTest },
    /// All of them; `TRUE` when there are none.
    And(Vec<Predicate>),
    /// At least one of them; `FALSE` when there are none.
    Or(Vec<Predicate>),
    /// `NOT`
    Not(Box<Predicate>),
    /// `IS TRUE`, `IS FALSE`, `IS UNKNOWN`
    Is { inner: Box<Predicate>, truth: Truth },
}

impl Predicate {
    /// `NOT self`
    pub(crate) fn negated(self) -> Predicate {
        Predicate::Not(Box::new(self))
    }

    /// `self IS truth`
    pub(crate) fn is(self, truth: Truth) -> Predicate {
        Predicate::Is { inner: Box::new(self), truth }
    }

    /// Whether a full-text condition is in it.
    pub(crate) fn has_match(&self) -> bool {
        self.has(|part| matches!(part, Predicate::Match { .. }))
    }

    /// Whether a member of a JSON value is asked about in it, which not every store answers exactly.
    pub(crate) fn has_member(&self) -> bool {
        self.has(|part| matches!(part, Predicate::Member { .. }))
    }

    fn has(&self, wanted: fn(&Predicate) -> bool) -> bool {
        match self {
            Predicate::And(inner) | Predicate::Or(inner) => inner.iter().any(|part| part.has(wanted)),
            Predicate::Not(inner) | Predicate::Is { inner, .. } => inner.has(wanted),
            part => wanted(part),
        }
    }

    /// Whether no row is lost where a store answers all of it exactly but members, of which it lets through too many.
    pub(crate) fn may_be_wide(&self) -> bool {
        match self {
            Predicate::And(inner) | Predicate::Or(inner) => inner.iter().all(Predicate::may_be_wide),
            Predicate::Not(inner) | Predicate::Is { inner, .. } => !inner.has_member(),
            _ => true,
        }
    }

    /// The share of rows that it probably lets through, for the order of joins. `unique` tells the columns whose values are all different.
    pub(crate) fn selectivity(&self, rows: f64, unique: &dyn Fn(usize) -> bool) -> f64 {
        let one = |column: usize| if unique(column) { 1.0 / rows.max(1.0) } else { 0.05 };
        let share = match self {
            Predicate::Compare { column, op: Op::Eq, .. } => one(*column),
            Predicate::Compare { op: Op::NotEq, .. } => 0.95,
            Predicate::Compare { .. } => 0.3,
            Predicate::In { column, values } => one(*column) * values.len() as f64,
            Predicate::Null { .. } | Predicate::StartsWith { .. } | Predicate::Contains { .. } => 0.1,
            Predicate::Match { .. } => 0.01,
            Predicate::Member { test, .. } if test.texts().is_empty() => 0.5,
            Predicate::Member { test, .. } => 0.05 * test.texts().len() as f64,
            Predicate::Flag { .. } => 0.2,
            Predicate::And(inner) => inner.iter().map(|p| p.selectivity(rows, unique)).product(),
            Predicate::Or(inner) => inner.iter().map(|p| p.selectivity(rows, unique)).sum(),
            Predicate::Not(inner) => 1.0 - inner.selectivity(rows, unique),
            Predicate::Is { inner, truth: Truth::True } => inner.selectivity(rows, unique),
            Predicate::Is { truth: Truth::False, .. } => 0.5,
            Predicate::Is { truth: Truth::Unknown, .. } => 0.1,
        };
        share.clamp(0.0, 1.0)
    }

    /// Its text for a reader of EXPLAIN.
    pub(crate) fn display<'a>(&'a self, schema: &'a Schema) -> impl fmt::Display + 'a {
        Shown { predicate: self, schema }
    }
}

/// The least text that is greater than every text that begins with `text`, if there is one.
pub(crate) fn after_all_that_begin_with(text: &str) -> Option<String> {
    let mut next = text.to_owned();
    while let Some(last) = next.pop() {
        // The next character in the order of UTF-8, which is that of the code points; surrogates are none.
        if let Some(following) = (u32::from(last) + 1..=u32::from(char::MAX)).find_map(char::from_u32) {
            next.push(following);
            return Some(next);
        }
    }
    None
}

struct Shown<'a> {
    predicate: &'a Predicate,
    schema: &'a Schema,
}

impl Shown<'_> {
    fn of<'a>(&'a self, predicate: &'a Predicate) -> Shown<'a> {
        Shown { predicate, schema: self.schema }
    }

    fn name(&self, column: usize) -> &str {
        self.schema.fields().get(column).map_or("?", |field| field.name().as_str())
    }

    fn list(&self, f: &mut fmt::Formatter<'_>, inner: &[Predicate], word: &str, none: &str) -> fmt::Result {
        if inner.is_empty() {
            return f.write_str(none);
        }
        f.write_str("(")?;
        for (i, predicate) in inner.iter().enumerate() {
            if i > 0 {
                write!(f, " {word} ")?;
            }
            write!(f, "{}", self.of(predicate))?;
        }
        f.write_str(")")
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.predicate {
            Predicate::Compare { column, op, value } => write!(f, "{} {} {value}", self.name(*column), op.sign()),
            Predicate::In { column, values } => {
                write!(f, "{} IN (", self.name(*column))?;
                for (i, value) in values.iter().enumerate() {
                    write!(f, "{}{value}", if i > 0 { ", " } else { "" })?;
                }
                f.write_str(")")
            }
            Predicate::Null { column } => write!(f, "{} IS NULL", self.name(*column)),
            Predicate::Flag { column } => f.write_str(self.name(*column)),
            Predicate::StartsWith { column, text } => write!(f, "starts_with({}, {})", self.name(*column), Value::Text(text.clone())),
            Predicate::Contains { column, text } => write!(f, "contains({}, {})", self.name(*column), Value::Text(text.clone())),
            Predicate::Match { column, query } => write!(f, "match({}, {})", self.name(*column), Value::Text(query.clone())),
            Predicate::Member { column, path, test } => write!(f, "{}", json::Shown { name: self.name(*column), path, test }),
            Predicate::And(inner) => self.list(f, inner, "AND", "TRUE"),
            Predicate::Or(inner) => self.list(f, inner, "OR", "FALSE"),
            Predicate::Not(inner) => write!(f, "NOT {}", self.of(inner)),
            Predicate::Is { inner, truth } => {
                let truth = match truth {
                    Truth::True => "TRUE",
                    Truth::False => "FALSE",
                    Truth::Unknown => "UNKNOWN",
                };
                write!(f, "{} IS {truth}", self.of(inner))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beginning_ends_before_the_next_character() {
        assert_eq!(after_all_that_begin_with("ab").as_deref(), Some("ac"));
        assert_eq!(after_all_that_begin_with("a\u{d7ff}").as_deref(), Some("a\u{e000}"));
        assert_eq!(after_all_that_begin_with("a\u{10ffff}").as_deref(), Some("b"));
        assert_eq!(after_all_that_begin_with("\u{10ffff}"), None);
    }

    #[test]
    fn too_many_rows_are_no_harm_but_under_not_and_is() {
        let member = || Predicate::Member { column: 0, path: vec![Step::Key("a".into())], test: MemberTest::Present };
        let null = || Predicate::Null { column: 1 };
        assert!(member().may_be_wide() && null().negated().may_be_wide() && !null().negated().has_member());
        let either = Predicate::Or(vec![null(), Predicate::And(vec![member(), null().negated()])]);
        assert!(either.may_be_wide() && either.has_member());
        assert!(!either.clone().negated().may_be_wide() && !either.clone().is(Truth::True).may_be_wide());
        assert!(!Predicate::And(vec![null(), either.is(Truth::Unknown)]).may_be_wide());
    }

    #[test]
    fn an_operator_or_its_negation_holds() {
        for op in [Op::Eq, Op::NotEq, Op::Lt, Op::LtEq, Op::Gt, Op::GtEq] {
            for (left, right) in [(1, 2), (2, 2), (3, 2)] {
                assert_ne!(op.holds(left, right), op.negated().holds(left, right), "{left} {} {right}", op.sign());
            }
        }
    }
}
