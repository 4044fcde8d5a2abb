//! From aggregations to PostgreSQL's SQL.
//!
//! What must stay true: pure; texts are grouped and compared by their bytes, in the form in which they are stored; sums are `numeric`, which
//! has no end; times are divided by the calendar of UTC or by integers, never by a double with a fraction in it.

use super::cells::Form;
use super::dialect::{Sql, from_where};
use super::tables::{Kind, Table};
use crate::aggregate::{Aggregation, Bin, DAY, Function, Group, Measure};
use crate::predicate::{Predicate, Value};
use crate::table::Request;

/// Microseconds of a second.
const SECOND: i64 = 1_000_000;
/// Microseconds up to which bins are long: with an instant they make no integer that 64 bits do not hold.
const LONGEST: i64 = 1_000_000_000_000_000_000;

/// How the columns of the answer come; `None` where PostgreSQL does not compute them exactly.
pub(super) fn forms(table: &Table, aggregation: &Aggregation) -> Option<Vec<Form>> {
    let groups = aggregation.groups.iter().map(|group| of_group(table, group));
    groups.chain(aggregation.measures.iter().map(|measure| of_measure(table, measure))).collect()
}

fn of_group(table: &Table, group: &Group) -> Option<Form> {
    match group {
        Group::Column(column) => told_apart(table, *column).map(Form::Of),
        Group::Time { column, bin } => match (table.kind(*column)?, bin) {
            (Kind::Instant, Bin::Every { micros, .. }) if !(1..=LONGEST).contains(micros) => None,
            (Kind::Instant, bin) => Some(Form::Of(if unit(*bin).is_some() { Kind::Instant } else { Kind::Int })),
            _ => None,
        },
    }
}

/// The kind of a column of which two values are one to PostgreSQL exactly where they are one to SQL: to it 0 and −0 are one.
fn told_apart(table: &Table, column: usize) -> Option<Kind> {
    table.kind(column).filter(|kind| !matches!(kind, Kind::Metadata | Kind::Float))
}

fn of_measure(table: &Table, measure: &Measure) -> Option<Form> {
    let Some(column) = measure.column else { return (measure.function == Function::Count).then_some(Form::Of(Kind::Int)) };
    let kind = table.kind(column)?;
    match (measure.function, kind) {
        // What is kept in two columns is never NULL, and is not asked about.
        (Function::Count, Kind::Metadata) => None,
        (Function::Count, _) => Some(Form::Of(Kind::Int)),
        (Function::CountDistinct, _) => told_apart(table, column).map(|_| Form::Of(Kind::Int)),
        (Function::Sum, Kind::Int) => Some(Form::Sum { places: 0 }),
        (Function::Sum, Kind::Money) => Some(Form::Sum { places: 2 }),
        (Function::Min | Function::Max, Kind::Text | Kind::Json | Kind::Int | Kind::Instant | Kind::Money) => Some(Form::Of(kind)),
        (Function::Sum | Function::Min | Function::Max, _) => None,
    }
}

/// The statement that gives the groups and their measures, in this order. `None` where PostgreSQL cannot be asked, which `forms` has said.
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
        Group::Column(column) => sql.push(&table.expression(*column)),
        Group::Time { column, bin } => {
            let time = table.expression(*column);
            match (unit(*bin), bin) {
                (Some(unit), _) => sql.push(&format!("date_trunc('{unit}', {time}, 'UTC')")),
                (None, Bin::Every { micros, origin }) => write_bins(&time, *micros, *origin, sql),
                (None, Bin::Calendar(_)) => {}
            }
        }
    }
}

/// The unit of `date_trunc` whose bins these are.
fn unit(bin: Bin) -> Option<&'static str> {
    match bin {
        Bin::Calendar(unit) => Some(unit.word()),
        Bin::Every { micros, origin } => {
            let units = [(SECOND, "second"), (60 * SECOND, "minute"), (3_600 * SECOND, "hour"), (DAY, "day")];
            units.iter().find(|(length, _)| *length == micros && origin.rem_euclid(*length) == 0).map(|(_, word)| *word)
        }
    }
}

/// Bins as microseconds since 1970, and so is what is divided: its whole minutes or seconds, which a double holds too that older servers
/// make of them, and what is left. The remainder has the sign of what is divided.
fn write_bins(time: &str, micros: i64, origin: i64, sql: &mut Sql) {
    let origin = origin.rem_euclid(micros);
    let utc = format!("{time} AT TIME ZONE 'UTC'");
    if micros % SECOND == 0 && origin % SECOND == 0 {
        let seconds = format!("extract(epoch FROM date_trunc('second', {utc}))::bigint");
        let (length, origin) = (sql.place(Kind::Int, Value::Int(micros / SECOND)), sql.place(Kind::Int, Value::Int(origin / SECOND)));
        sql.push(&format!("({seconds} - (({seconds} - {origin}) % {length} + {length}) % {length}) * 1000000"));
    } else {
        let whole = format!("(extract(epoch FROM date_trunc('minute', {utc}))::bigint * 1000000 + extract(microseconds FROM {utc})::bigint)");
        let (length, origin) = (sql.place(Kind::Int, Value::Int(micros)), sql.place(Kind::Int, Value::Int(origin)));
        sql.push(&format!("{whole} - (({whole} - {origin}) % {length} + {length}) % {length}"));
    }
}

fn write_measure(table: &Table, measure: &Measure, sql: &mut Sql) {
    let Some(column) = measure.column else { return sql.push("count(*)") };
    let of = table.expression(column);
    sql.push(&match measure.function {
        Function::Count => format!("count({of})"),
        Function::CountDistinct => format!("count(DISTINCT {of})"),
        Function::Sum => format!("sum({of})::numeric"),
        Function::Min => format!("min({of})"),
        Function::Max => format!("max({of})"),
    });
}

#[cfg(test)]
#[path = "aggregates_tests.rs"]
mod tests;
