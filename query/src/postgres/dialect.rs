//! From predicates to PostgreSQL's SQL.
//!
//! What must stay true: pure; values are bound, never written into the text; text is compared by its bytes, in the form in which
//! it is stored; the condition means what the predicate means, with three truth values.

use sqlx::Arguments;
use sqlx::error::BoxDynError;
use sqlx::postgres::PgArguments;
use wh_stores::postgres::text;
use wh_stores::postgres::values::{Instant, Money};

use super::members;
use super::tables::{Kind, Table};
use crate::conjunction::{self, Part};
use crate::predicate::{Predicate, Truth, Value, after_all_that_begin_with};
use crate::table::{Order, Request, Support};

/// Most members of one condition.
const MAX_MEMBERS: usize = 500;
/// Most values bound in one condition: PostgreSQL takes 65,535 in a statement, a list being one.
const MAX_VALUES: usize = 10_000;

/// A statement and the values that it is run with.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Sql {
    pub(super) text: String,
    values: Vec<Bound>,
}

/// Values of one place, in the type of the column that they are compared with. More than one: a list.
#[derive(Clone, Debug, PartialEq)]
struct Bound {
    kind: Kind,
    values: Vec<Value>,
    is_list: bool,
}

impl Sql {
    /// The text with its values behind it, for EXPLAIN.
    pub(super) fn shown(&self) -> String {
        if self.values.is_empty() {
            return self.text.clone();
        }
        let shown = |bound: &Bound| {
            let values: Vec<String> = bound.values.iter().map(ToString::to_string).collect();
            if bound.is_list { format!("{{{}}}", values.join(", ")) } else { values.join(", ") }
        };
        let values: Vec<String> = self.values.iter().enumerate().map(|(i, bound)| format!("${}={}", i + 1, shown(bound))).collect();
        format!("{} [{}]", self.text, values.join(", "))
    }

    /// The values as the protocol has them.
    pub(super) fn arguments(&self) -> Result<PgArguments, BoxDynError> {
        let mut arguments = PgArguments::default();
        for bound in &self.values {
            bound.add(&mut arguments)?;
        }
        Ok(arguments)
    }

    pub(super) fn push(&mut self, text: &str) {
        self.text.push_str(text);
    }

    fn bind(&mut self, kind: Kind, value: Value) {
        let place = self.place(kind, value);
        self.text.push_str(&place);
    }

    pub(super) fn bind_list(&mut self, kind: Kind, values: Vec<Value>) {
        let place = self.place_list(kind, values);
        self.text.push_str(&place);
    }

    /// Binds a list, and gives the name by which the text may have it more than once.
    pub(super) fn place_list(&mut self, kind: Kind, values: Vec<Value>) -> String {
        self.placed(Bound { kind, values, is_list: true })
    }

    /// Binds a value, and gives the name by which the text may have it more than once.
    pub(super) fn place(&mut self, kind: Kind, value: Value) -> String {
        self.placed(Bound { kind, values: vec![value], is_list: false })
    }

    fn placed(&mut self, bound: Bound) -> String {
        self.values.push(bound);
        format!("${}", self.values.len())
    }
}

impl Bound {
    fn add(&self, arguments: &mut PgArguments) -> Result<(), BoxDynError> {
        match self.kind {
            Kind::Int | Kind::Flag => self.add_as(arguments, int),
            Kind::Instant => self.add_as(arguments, |value| int(value).map(Instant)),
            Kind::Money => self.add_as(arguments, |value| int(value).map(Money)),
            Kind::Float => self.add_as(arguments, |value| if let Value::Float(value) = value { Some(*value) } else { None }),
            Kind::Text | Kind::Json | Kind::Metadata => self.add_as(arguments, |value| if let Value::Text(text) = value { Some(text::stored(text)) } else { None }),
        }
    }

    fn add_as<'v, T>(&'v self, arguments: &mut PgArguments, of: impl Fn(&'v Value) -> Option<T>) -> Result<(), BoxDynError>
    where
        T: for<'q> sqlx::Encode<'q, sqlx::Postgres> + sqlx::Type<sqlx::Postgres> + sqlx::postgres::PgHasArrayType,
    {
        let values: Option<Vec<T>> = self.values.iter().map(of).collect();
        let mut values = values.ok_or("a value of another type than its column's")?;
        if self.is_list {
            return Arguments::add(arguments, values);
        }
        let value = values.pop().ok_or("a place without a value")?;
        Arguments::add(arguments, value)
    }
}

fn int(value: &Value) -> Option<i64> {
    if let Value::Int(value) = value { Some(*value) } else { None }
}

/// How well PostgreSQL answers a predicate on `table`.
pub(super) fn support(table: &Table, predicate: &Predicate) -> Support {
    if values(predicate) > MAX_VALUES || !predicate.may_be_wide() || !can_be_asked(table, predicate) {
        return Support::No;
    }
    if predicate.has_member() { Support::Inexact } else { Support::Exact }
}

fn values(predicate: &Predicate) -> usize {
    match predicate {
        Predicate::Compare { .. } | Predicate::Contains { .. } | Predicate::In { .. } => 1,
        Predicate::StartsWith { .. } | Predicate::Member { .. } => 2,
        Predicate::Null { .. } | Predicate::Flag { .. } | Predicate::Match { .. } => 0,
        // Two for a range of keys.
        Predicate::And(members) | Predicate::Or(members) => members.iter().map(values).sum::<usize>() + 2,
        Predicate::Not(inner) | Predicate::Is { inner, .. } => values(inner),
    }
}

fn can_be_asked(table: &Table, predicate: &Predicate) -> bool {
    match predicate {
        Predicate::Compare { column, value, .. } => fits(table, *column, value),
        Predicate::In { column, values } => values.iter().all(|value| fits(table, *column, value)),
        Predicate::Flag { column } => table.kind(*column) == Some(Kind::Flag),
        // What is kept in two columns is never NULL, and is not asked about.
        Predicate::Null { column } => !matches!(table.kind(*column), None | Some(Kind::Metadata)),
        Predicate::StartsWith { column, .. } => is_text(table, *column),
        Predicate::Contains { column, text } => is_text(table, *column) && text::is_found_as_part(text),
        Predicate::Match { .. } => false,
        Predicate::And(members) | Predicate::Or(members) => members.len() <= MAX_MEMBERS && members.iter().all(|member| can_be_asked(table, member)),
        Predicate::Not(inner) | Predicate::Is { inner, .. } => can_be_asked(table, inner),
        Predicate::Member { column, path, test } => members::can_be_asked(table, *column, path, test),
    }
}

fn is_text(table: &Table, column: usize) -> bool {
    matches!(table.kind(column), Some(Kind::Text | Kind::Json))
}

/// Whether PostgreSQL compares the column with this value as SQL does. To it 0 and −0 are one, to SQL they are two.
fn fits(table: &Table, column: usize, value: &Value) -> bool {
    match (table.kind(column), value) {
        (Some(Kind::Text | Kind::Json), Value::Text(_)) | (Some(Kind::Int | Kind::Instant | Kind::Money), Value::Int(_)) => true,
        (Some(Kind::Float), Value::Float(value)) => *value != 0.0,
        _ => false,
    }
}

/// Whether the column sorts there as it does here.
pub(super) fn sorts_alike(table: &Table, column: usize) -> bool {
    !matches!(table.kind(column), None | Some(Kind::Metadata | Kind::Json | Kind::Float))
}

/// The statement that answers `request`, `late` conditions and a range of keys included. The order of `request.projection` is
/// that of the result; without projected columns the result is one row with the number of rows.
pub(super) fn select(table: &Table, request: &Request, late: &[Predicate], keys: Option<(i64, i64)>) -> Option<Sql> {
    let counted = request.projection.is_empty();
    let mut sql = Sql::default();
    match (counted, request.limit) {
        (true, None) => sql.push("SELECT count(*)"),
        (true, Some(_)) => sql.push("SELECT count(*) FROM (SELECT 1"),
        (false, _) => {
            sql.push("SELECT ");
            for (i, column) in request.projection.iter().enumerate() {
                sql.push(if i > 0 { ", " } else { "" });
                sql.push(&table.selected(*column));
            }
        }
    }
    from_where(table, request, late, keys, &mut sql)?;
    if !counted {
        order_by(table, &request.order, &mut sql);
    }
    if let Some(limit) = request.limit {
        sql.push(" LIMIT ");
        sql.bind(Kind::Int, Value::Int(i64::try_from(limit).unwrap_or(i64::MAX)));
    }
    if counted && request.limit.is_some() {
        sql.push(") AS counted");
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
            sql.bind(Kind::Int, Value::Int(*first));
            sql.push(" AND pos < ");
            sql.bind(Kind::Int, Value::Int(*last));
            Some(())
        }
    }
}

/// Appends the condition. `None` where PostgreSQL cannot be asked, which `support` has said before.
fn write(table: &Table, predicate: &Predicate, sql: &mut Sql) -> Option<()> {
    match predicate {
        Predicate::Compare { column, op, value } => {
            sql.push(&table.expression(*column));
            sql.push(&format!(" {} ", op.sign()));
            sql.bind(table.kind(*column)?, value.clone());
        }
        Predicate::In { column, values } => {
            sql.push(&table.expression(*column));
            sql.push(" = ANY(");
            sql.bind_list(table.kind(*column)?, values.clone());
            sql.push(")");
        }
        Predicate::Null { column } => {
            sql.push(&table.expression(*column));
            sql.push(" IS NULL");
        }
        Predicate::Flag { column } => sql.push(&table.expression(*column)),
        Predicate::StartsWith { column, text } => starts_with(&table.expression(*column), text, sql),
        Predicate::Contains { column, text } => {
            sql.push(&format!("strpos({}, ", table.expression(*column)));
            sql.bind(Kind::Text, Value::Text(text.clone()));
            sql.push(") > 0");
        }
        Predicate::Match { .. } => return None,
        Predicate::Member { column, path, test } => members::write(table, *column, path, test, sql)?,
        Predicate::And(members) if members.is_empty() => sql.push("TRUE"),
        Predicate::Or(members) if members.is_empty() => sql.push("FALSE"),
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
            sql.push("((");
            write(table, inner, sql)?;
            sql.push(match truth {
                Truth::True => ") IS TRUE)",
                Truth::False => ") IS FALSE)",
                Truth::Unknown => ") IS UNKNOWN)",
            });
        }
    }
    Some(())
}

/// A beginning is a range of texts, which an index finds; where no text is greater than all that begin so, it is asked for as such.
fn starts_with(expression: &str, text: &str, sql: &mut Sql) {
    match after_all_that_begin_with(text) {
        Some(next) => {
            sql.push(&format!("({expression} >= "));
            sql.bind(Kind::Text, Value::Text(text.to_owned()));
            sql.push(&format!(" AND {expression} < "));
            sql.bind(Kind::Text, Value::Text(next));
            sql.push(")");
        }
        None => {
            sql.push(&format!("starts_with({expression}, "));
            sql.bind(Kind::Text, Value::Text(text.to_owned()));
            sql.push(")");
        }
    }
}

#[cfg(test)]
#[path = "dialect_tests.rs"]
mod tests;
