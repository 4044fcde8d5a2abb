//! From aggregations to SQLite's SQL.
//!
//! What must stay true: pure; sums do not overflow on their way: they are those of the high and of the low 32 bits, put together in 128;
//! times are divided by integer arithmetic that rounds down, before 1970 too; of floats only the number is asked.

use arrow::datatypes::DataType;

use super::dialect::{Sql, from_where};
use super::tables::Table;
use crate::aggregate::{Aggregation, Bin, CalendarUnit, DAY, Function, Group, Measure};
use crate::predicate::{Predicate, Value};
use crate::table::Request;

/// 1970-01-05, the first Monday.
const MONDAY: i64 = 4 * DAY;
/// Microseconds up to which bins are long, or begin early or late: with an instant of the years 0001 to 9999 they make no integer that
/// 64 bits do not hold, where SQLite would go on in floats.
const LONGEST: i64 = 1_000_000_000_000_000_000;

/// How a column of the answer is put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// From one column, as it is.
    Plain,
    /// A sum, from the sum of the high and that of the low 32 bits.
    Halves,
}

impl Form {
    /// Columns of the statement that it takes.
    pub(super) fn columns(self) -> usize {
        match self {
            Form::Plain => 1,
            Form::Halves => 2,
        }
    }
}

/// The sum whose high and low bits were summed apart.
pub(super) fn of_halves(high: i64, low: i64) -> i128 {
    (i128::from(high) << 32) + i128::from(low)
}

/// Whether SQLite computes it exactly.
pub(super) fn computes(table: &Table, aggregation: &Aggregation) -> bool {
    aggregation.groups.iter().all(|group| groups_by(table, group)) && aggregation.measures.iter().all(|measure| measures(table, measure))
}

/// The type of a column that the file is asked about.
fn asked(table: &Table, column: usize) -> Option<&DataType> {
    if table.shape.is_one_of(column, table.opaque) { None } else { table.shape.schema.fields().get(column).map(|field| field.data_type()) }
}

/// Whether two values of the column are one to SQLite exactly where they are one to SQL.
fn tells_apart(table: &Table, column: usize) -> bool {
    asked(table, column).is_some_and(|data_type| *data_type == DataType::Boolean || sorts(data_type))
}

/// Whether its values are integers or texts, which both sort alike.
fn sorts(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::Int32 | DataType::Int64 | DataType::Timestamp(..) | DataType::Decimal128(..))
}

fn groups_by(table: &Table, group: &Group) -> bool {
    match group {
        Group::Column(column) => tells_apart(table, *column),
        Group::Time { column, bin } => {
            let is_short = match bin {
                Bin::Every { micros, origin } => (1..=LONGEST).contains(micros) && (-LONGEST..=LONGEST).contains(origin),
                Bin::Calendar(_) => true,
            };
            is_short && matches!(asked(table, *column), Some(DataType::Timestamp(..)))
        }
    }
}

fn measures(table: &Table, measure: &Measure) -> bool {
    let Some(column) = measure.column else { return measure.function == Function::Count };
    match measure.function {
        Function::Count => asked(table, column).is_some(),
        Function::CountDistinct => tells_apart(table, column),
        Function::Sum => matches!(asked(table, column), Some(DataType::Int32 | DataType::Int64 | DataType::Decimal128(..))),
        Function::Min | Function::Max => asked(table, column).is_some_and(sorts),
    }
}

/// How the columns of the answer are put together from those of [`select`].
pub(super) fn forms(table: &Table, aggregation: &Aggregation) -> Vec<Form> {
    let groups = aggregation.groups.iter().map(|_| Form::Plain);
    groups.chain(aggregation.measures.iter().map(|measure| form(table, measure))).collect()
}

fn form(table: &Table, measure: &Measure) -> Form {
    match (measure.function, measure.column.and_then(|column| asked(table, column))) {
        // More rows than there can be are needed for sums of 32 bits to outgrow 64.
        (Function::Sum, Some(DataType::Int64 | DataType::Decimal128(..))) => Form::Halves,
        _ => Form::Plain,
    }
}

/// The statement that gives the groups and their measures, in this order. `None` where SQLite cannot be asked, which `computes` has said.
pub(super) fn select(table: &Table, request: &Request, aggregation: &Aggregation, late: &[Predicate]) -> Option<Sql> {
    let mut sql = Sql::default();
    let mut word = "SELECT ";
    for group in &aggregation.groups {
        sql.push(word);
        write_group(table, group, &mut sql);
        word = ", ";
    }
    for measure in &aggregation.measures {
        sql.push(word);
        write_measure(table, measure, &mut sql);
        word = ", ";
    }
    from_where(table, request, late, None, &mut sql)?;
    for place in 1..=aggregation.groups.len() {
        sql.push(if place > 1 { ", " } else { " GROUP BY " });
        sql.push(&place.to_string());
    }
    Some(sql)
}

fn write_group(table: &Table, group: &Group, sql: &mut Sql) {
    match group {
        Group::Column(column) => sql.push(&value(table, *column)),
        Group::Time { column, bin } => {
            let time = table.expression(*column).into_owned();
            match bin {
                Bin::Every { micros, origin } => write_bins(&time, *micros, *origin, sql),
                Bin::Calendar(CalendarUnit::Week) => write_bins(&time, 7 * DAY, MONDAY, sql),
                Bin::Calendar(unit) => sql.push(&calendar(&time, *unit)),
            }
        }
    }
}

/// A column's value as it is told apart: a truth value is 0 or 1.
fn value(table: &Table, column: usize) -> String {
    let expression = table.expression(column);
    if asked(table, column) == Some(&DataType::Boolean) { format!("{expression} <> 0") } else { expression.into_owned() }
}

/// The remainder has the sign of what is divided: what is taken away is the remainder that is not negative.
fn write_bins(time: &str, micros: i64, origin: i64, sql: &mut Sql) {
    // Where bins begin is one of as many beginnings as they are long.
    let since = match origin.rem_euclid(micros) {
        0 => time.to_owned(),
        origin => format!("({time} - {})", sql.place(Value::Int(origin))),
    };
    let micros = sql.place(Value::Int(micros));
    sql.push(&format!("{time} - ({since} % {micros} + {micros}) % {micros}"));
}

/// SQLite's calendar is the Gregorian one in the years 0000 to 9999, in seconds, which are rounded down.
fn calendar(time: &str, unit: CalendarUnit) -> String {
    let seconds = format!("({time} - ({time} % 1000000 + 1000000) % 1000000) / 1000000");
    let modifiers = match unit {
        CalendarUnit::Year => "'start of year'".to_owned(),
        CalendarUnit::Quarter => format!("'start of month', '-' || ((strftime('%m', {seconds}, 'unixepoch') - 1) % 3) || ' months'"),
        CalendarUnit::Month | CalendarUnit::Week => "'start of month'".to_owned(),
    };
    format!("unixepoch({seconds}, 'unixepoch', {modifiers}) * 1000000")
}

fn write_measure(table: &Table, measure: &Measure, sql: &mut Sql) {
    let Some(column) = measure.column else { return sql.push("count(*)") };
    let of = table.expression(column);
    match (measure.function, form(table, measure)) {
        (Function::Count, _) => sql.push(&format!("count({of})")),
        (Function::CountDistinct, _) => sql.push(&format!("count(DISTINCT {})", value(table, column))),
        (Function::Sum, Form::Plain) => sql.push(&format!("sum({of})")),
        (Function::Sum, Form::Halves) => sql.push(&format!("sum({of} >> 32), sum({of} & 4294967295)")),
        (Function::Min, _) => sql.push(&format!("min({of})")),
        (Function::Max, _) => sql.push(&format!("max({of})")),
    }
}

#[cfg(test)]
#[path = "aggregates_tests.rs"]
mod tests;
