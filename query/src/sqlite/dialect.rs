//! From predicates to SQLite's SQL.
//!
//! What must stay true: pure; values are bound, never written into the text; SQLite's truth values, byte-wise text and
//! 64-bit integers make the condition mean what the predicate means. Names are written as the layout writes them, without
//! quotes: in quotes SQLite would read a name that it does not know as a text.

use arrow::datatypes::DataType;

use super::members;
use super::tables::Table;
use crate::conjunction::{self, Part};
use crate::predicate::{Predicate, Truth, Value, after_all_that_begin_with};
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

    pub(super) fn push(&mut self, text: &str) {
        self.text.push_str(text);
    }

    pub(super) fn bind(&mut self, value: Value) {
        let place = self.place(value);
        self.text.push_str(&place);
    }

    /// Binds a value, and gives the name by which the text may have it more than once.
    pub(super) fn place(&mut self, value: Value) -> String {
        self.values.push(value);
        format!("?{}", self.values.len())
    }
}

/// How well SQLite answers a predicate on `table`.
pub(crate) fn support(table: &Table, predicate: &Predicate) -> Support {
    if values(predicate) > MAX_VALUES || !predicate.may_be_wide() || !can_be_asked(table, predicate) {
        return Support::No;
    }
    if predicate.has_member() { Support::Inexact } else { Support::Exact }
}

fn values(predicate: &Predicate) -> usize {
    match predicate {
        Predicate::Compare { .. } | Predicate::Contains { .. } => 1,
        Predicate::StartsWith { .. } => 2,
        Predicate::In { values, .. } => values.len(),
        Predicate::Member { test, .. } => members::values(test),
        Predicate::Null { .. } | Predicate::Flag { .. } | Predicate::Match { .. } => 0,
        // Two for a range of keys.
        Predicate::And(members) | Predicate::Or(members) => members.iter().map(values).sum::<usize>() + 2,
        Predicate::Not(inner) | Predicate::Is { inner, .. } => values(inner),
    }
}

fn can_be_asked(table: &Table, predicate: &Predicate) -> bool {
    let asked = |column: usize| !table.shape.is_one_of(column, table.opaque);
    match predicate {
        Predicate::Compare { column, .. } | Predicate::Flag { column } | Predicate::Null { column } => asked(*column),
        Predicate::StartsWith { column, .. } | Predicate::Contains { column, .. } => asked(*column),
        Predicate::In { column, .. } => asked(*column),
        Predicate::Match { .. } => false,
        Predicate::And(members) | Predicate::Or(members) => members.len() <= MAX_MEMBERS && members.iter().all(|member| can_be_asked(table, member)),
        Predicate::Not(inner) | Predicate::Is { inner, .. } => can_be_asked(table, inner),
        Predicate::Member { column, path, test } => members::can_be_asked(table, *column, path, test),
    }
}

/// Whether the column sorts there as it does here. The file's floats know no −0.
pub(crate) fn sorts_alike(table: &Table, column: usize) -> bool {
    let is_float = table.shape.schema.fields().get(column).is_none_or(|field| *field.data_type() == DataType::Float64);
    !is_float && !table.shape.is_one_of(column, table.opaque)
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
                sql.push(&table.expression(*column));
            }
        }
    }
    from_where(table, request, late, keys, &mut sql)?;
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

/// Appends the table and the conditions on its rows.
pub(super) fn from_where(table: &Table, request: &Request, late: &[Predicate], keys: Option<(i64, i64)>, sql: &mut Sql) -> Option<()> {
    sql.push(" FROM ");
    sql.push(&table.from);
    let members: Vec<&Predicate> = request.predicates.iter().chain(late).collect();
    let mut conditions = conjunction::parts(&table.shape, table.keyed, &members);
    if let Some((first, last)) = keys {
        conditions.push(Part::Keys(first, last));
    }
    for (i, part) in conditions.into_iter().enumerate() {
        sql.push(if i > 0 { " AND " } else { " WHERE " });
        write_part(table, &part, sql)?;
    }
    Some(())
}

fn order_by(table: &Table, order: &[Order], sql: &mut Sql) {
    for (i, by) in order.iter().enumerate() {
        sql.push(if i > 0 { ", " } else { " ORDER BY " });
        sql.push(&table.expression(by.column));
        sql.push(if by.descending { " DESC" } else { "" });
        if table.shape.schema.field(by.column).is_nullable() {
            sql.push(if by.nulls_first { " NULLS FIRST" } else { " NULLS LAST" });
        }
    }
}

/// Appends one member of a conjunction.
fn write_part(table: &Table, part: &Part<'_>, sql: &mut Sql) -> Option<()> {
    match part {
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

/// Appends the condition. `None` where SQLite cannot be asked, which `support` has said before.
fn write(table: &Table, predicate: &Predicate, sql: &mut Sql) -> Option<()> {
    match predicate {
        Predicate::Compare { column, op, value } => {
            sql.push(&table.expression(*column));
            sql.push(&format!(" {} ", op.sign()));
            sql.bind(value.clone());
        }
        Predicate::In { column, values } => {
            sql.push(&table.expression(*column));
            sql.push(" IN (");
            for (i, value) in values.iter().enumerate() {
                sql.push(if i > 0 { ", " } else { "" });
                sql.bind(value.clone());
            }
            sql.push(")");
        }
        Predicate::Null { column } => {
            sql.push(&table.expression(*column));
            sql.push(" IS NULL");
        }
        Predicate::Flag { column } => {
            sql.push(&table.expression(*column));
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
        Predicate::Member { column, path, test } => members::write(table, *column, path, test, sql)?,
        Predicate::And(members) if members.is_empty() => sql.push("1"),
        Predicate::Or(members) if members.is_empty() => sql.push("0"),
        Predicate::And(members) => {
            let members: Vec<&Predicate> = members.iter().collect();
            sql.push("(");
            for (i, part) in conjunction::parts(&table.shape, table.keyed, &members).into_iter().enumerate() {
                sql.push(if i > 0 { " AND " } else { "" });
                write_part(table, &part, sql)?;
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

#[cfg(test)]
#[path = "dialect_tests.rs"]
mod tests;
