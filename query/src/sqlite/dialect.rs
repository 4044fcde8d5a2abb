//! From predicates to SQLite's SQL.
//!
//! What must stay true: pure; values are bound, never written into the text; SQLite's truth values, byte-wise text and
//! 64-bit integers make the condition mean what the predicate means. Names are written as the layout writes them, without
//! quotes: in quotes SQLite would read a name that it does not know as a text.

use wh_schemas::position::SEQ_BITS;

use super::tables::Table;
use crate::predicate::{Op, Predicate, Truth, Value};
use crate::table::{Order, Request, Support};

/// Most members of one condition: SQLite nests at most 1,000 deep.
const MAX_MEMBERS: usize = 200;
/// Most values of one condition: SQLite takes at most 32,766 in a statement.
const MAX_VALUES: usize = 4_000;

/// A statement and the values that it is run with.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Sql {
    pub(crate) text: String,
    pub(crate) values: Vec<Value>,
}

impl Sql {
    /// The text with its values behind it, for EXPLAIN.
    pub(crate) fn shown(&self) -> String {
        if self.values.is_empty() {
            return self.text.clone();
        }
        let values: Vec<String> = self.values.iter().enumerate().map(|(i, value)| format!("?{}={value}", i + 1)).collect();
        format!("{} [{}]", self.text, values.join(", "))
    }

    fn push(&mut self, text: &str) {
        self.text.push_str(text);
    }

    fn bind(&mut self, value: Value) {
        self.values.push(value);
        let place = self.values.len();
        self.text.push_str(&format!("?{place}"));
    }
}

/// How well SQLite answers a predicate on `table`.
pub(crate) fn support(table: &Table, predicate: &Predicate) -> Support {
    if values(predicate) <= MAX_VALUES && is_exact(table, predicate) { Support::Exact } else { Support::No }
}

fn values(predicate: &Predicate) -> usize {
    match predicate {
        Predicate::Compare { .. } | Predicate::Contains { .. } => 1,
        Predicate::StartsWith { .. } => 2,
        Predicate::In { values, .. } => values.len(),
        Predicate::Null { .. } | Predicate::Flag { .. } | Predicate::Match { .. } => 0,
        // Two for a range of keys.
        Predicate::And(members) | Predicate::Or(members) => members.iter().map(values).sum::<usize>() + 2,
        Predicate::Not(inner) | Predicate::Is { inner, .. } => values(inner),
    }
}

fn is_exact(table: &Table, predicate: &Predicate) -> bool {
    let asked = |column: usize| !table.shape.is_one_of(column, table.opaque);
    match predicate {
        Predicate::Compare { column, .. } | Predicate::Flag { column } | Predicate::Null { column } => asked(*column),
        Predicate::StartsWith { column, .. } | Predicate::Contains { column, .. } => asked(*column),
        Predicate::In { column, .. } => asked(*column),
        Predicate::Match { .. } => false,
        Predicate::And(members) | Predicate::Or(members) => members.len() <= MAX_MEMBERS && members.iter().all(|member| is_exact(table, member)),
        Predicate::Not(inner) | Predicate::Is { inner, .. } => is_exact(table, inner),
    }
}

/// The statement that answers `request`, `late` conditions and a range of keys included. The order of `request.projection` is
/// that of the result; without projected columns the result is one row with the number of rows.
pub(crate) fn select(table: &Table, request: &Request, late: &[Predicate], keys: Option<(i64, i64)>) -> Option<Sql> {
    let counted = request.projection.is_empty();
    let mut sql = Sql::default();
    match (counted, request.limit) {
        (true, None) => sql.push("SELECT count(*)"),
        (true, Some(_)) => sql.push("SELECT count(*) FROM (SELECT 1"),
        (false, _) => {
            sql.push("SELECT ");
            for (i, column) in request.projection.iter().enumerate() {
                sql.push(if i > 0 { ", " } else { "" });
                sql.push(table.expression(*column));
            }
        }
    }
    sql.push(" FROM ");
    sql.push(table.from);
    let members: Vec<&Predicate> = request.predicates.iter().chain(late).collect();
    let mut conditions = conjunction(table, &members);
    if let Some((first, last)) = keys {
        conditions.push(Part::Keys(first, last));
    }
    for (i, part) in conditions.into_iter().enumerate() {
        sql.push(if i > 0 { " AND " } else { " WHERE " });
        part.write(table, &mut sql)?;
    }
    if !counted {
        order_by(table, &request.order, &mut sql);
    }
    if let Some(limit) = request.limit {
        sql.push(" LIMIT ");
        sql.bind(Value::Int(i64::try_from(limit).unwrap_or(i64::MAX)));
    }
    if counted && request.limit.is_some() {
        sql.push(")");
    }
    Some(sql)
}

fn order_by(table: &Table, order: &[Order], sql: &mut Sql) {
    for (i, by) in order.iter().enumerate() {
        sql.push(if i > 0 { ", " } else { " ORDER BY " });
        sql.push(table.expression(by.column));
        sql.push(if by.descending { " DESC" } else { "" });
        if table.shape.schema.field(by.column).is_nullable() {
            sql.push(if by.nulls_first { " NULLS FIRST" } else { " NULLS LAST" });
        }
    }
}

/// One member of a conjunction.
enum Part<'a> {
    Predicate(&'a Predicate),
    /// Keys from the first up to, but without, the last.
    Keys(i64, i64),
}

impl Part<'_> {
    fn write(&self, table: &Table, sql: &mut Sql) -> Option<()> {
        match self {
            Part::Predicate(predicate) => write(table, predicate, sql),
            Part::Keys(first, last) => {
                sql.push("pos >= ");
                sql.bind(Value::Int(*first));
                sql.push(" AND pos < ");
                sql.bind(Value::Int(*last));
                Some(())
            }
        }
    }
}

/// The members of a conjunction, nested ones unfolded; where they fix a partition, also the range of keys that this means:
/// partition and seq are computed from the key, which alone has an index.
fn conjunction<'a>(table: &Table, members: &[&'a Predicate]) -> Vec<Part<'a>> {
    let mut flat = Vec::new();
    for member in members {
        unfold(member, &mut flat);
    }
    let mut parts: Vec<Part<'a>> = flat.iter().copied().map(Part::Predicate).collect();
    if table.keyed
        && let Some((first, last)) = key_range(table, &flat)
    {
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

fn key_range(table: &Table, members: &[&Predicate]) -> Option<(i64, i64)> {
    let (partition, seq) = (table.shape.index_of("partition")?, table.shape.index_of("seq")?);
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

/// Appends the condition. `None` where SQLite cannot be asked, which `support` has said before.
fn write(table: &Table, predicate: &Predicate, sql: &mut Sql) -> Option<()> {
    match predicate {
        Predicate::Compare { column, op, value } => {
            sql.push(table.expression(*column));
            sql.push(&format!(" {} ", op.sign()));
            sql.bind(value.clone());
        }
        Predicate::In { column, values } => {
            sql.push(table.expression(*column));
            sql.push(" IN (");
            for (i, value) in values.iter().enumerate() {
                sql.push(if i > 0 { ", " } else { "" });
                sql.bind(value.clone());
            }
            sql.push(")");
        }
        Predicate::Null { column } => {
            sql.push(table.expression(*column));
            sql.push(" IS NULL");
        }
        Predicate::Flag { column } => {
            sql.push(table.expression(*column));
            sql.push(" <> 0");
        }
        Predicate::StartsWith { column, text } => {
            let expression = table.expression(*column);
            match after_all_that_begin_with(text) {
                Some(next) => {
                    sql.push(&format!("({expression} >= "));
                    sql.bind(Value::Text(text.clone()));
                    sql.push(&format!(" AND {expression} < "));
                    sql.bind(Value::Text(next));
                    sql.push(")");
                }
                None => {
                    sql.push(&format!("instr({expression}, "));
                    sql.bind(Value::Text(text.clone()));
                    sql.push(") = 1");
                }
            }
        }
        Predicate::Contains { column, text } => {
            sql.push(&format!("instr({}, ", table.expression(*column)));
            sql.bind(Value::Text(text.clone()));
            sql.push(") > 0");
        }
        Predicate::Match { .. } => return None,
        Predicate::And(members) if members.is_empty() => sql.push("1"),
        Predicate::Or(members) if members.is_empty() => sql.push("0"),
        Predicate::And(members) => {
            let members: Vec<&Predicate> = members.iter().collect();
            sql.push("(");
            for (i, part) in conjunction(table, &members).into_iter().enumerate() {
                sql.push(if i > 0 { " AND " } else { "" });
                part.write(table, sql)?;
            }
            sql.push(")");
        }
        Predicate::Or(members) => {
            sql.push("(");
            for (i, member) in members.iter().enumerate() {
                sql.push(if i > 0 { " OR " } else { "" });
                write(table, member, sql)?;
            }
            sql.push(")");
        }
        Predicate::Not(inner) => {
            sql.push("NOT (");
            write(table, inner, sql)?;
            sql.push(")");
        }
        Predicate::Is { inner, truth } => {
            sql.push("(");
            write(table, inner, sql)?;
            sql.push(match truth {
                Truth::True => ") IS TRUE",
                Truth::False => ") IS FALSE",
                Truth::Unknown => ") IS NULL",
            });
        }
    }
    Some(())
}

/// The least text that is greater than every text that begins with `text`, if there is one.
fn after_all_that_begin_with(text: &str) -> Option<String> {
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

#[cfg(test)]
#[path = "dialect_tests.rs"]
mod tests;
