//! Two answers to one query.
//!
//! What must stay true: rows are compared as SQL gives them, as a multiset, and in order as far as the query says one; a float is compared to
//! its last bit unless it is a sum of floats.

use std::collections::BTreeMap;
use std::mem::discriminant;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Decimal128Type, Float64Type, SchemaRef, TimeUnit, TimestampMicrosecondType};
use arrow::util::display::array_value_to_string;
use wh_query::QueryError;

use super::queries::Query;

/// How far sums of floats may be apart.
const CLOSE: f64 = 1e-9;
/// Rows that are shown of a difference.
const SHOWN: usize = 3;

type Row = Vec<Option<String>>;

/// What a query gave.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) names: Vec<String>,
    types: Vec<DataType>,
    rows: Vec<Row>,
}

impl Answer {
    pub(super) fn of(schema: &SchemaRef, batches: &[RecordBatch]) -> Answer {
        let rows: Vec<Row> = batches.iter().flat_map(|batch| (0..batch.num_rows()).map(move |row| batch.columns().iter().map(|column| cell(column, row)).collect())).collect();
        Answer { names: schema.fields().iter().map(|field| field.name().clone()).collect(), types: schema.fields().iter().map(|field| field.data_type().clone()).collect(), rows }
    }

    /// Every cell of what EXPLAIN gives but the logical plan.
    pub(super) fn text(&self) -> String {
        let shown = self.rows.iter().filter(|row| row.first() != Some(&Some("logical_plan".to_owned())));
        shown.flatten().flatten().fold(String::new(), |text, cell| text + cell + "\n")
    }
}

fn cell(column: &ArrayRef, row: usize) -> Option<String> {
    if column.is_null(row) {
        return None;
    }
    Some(match column.data_type() {
        // As numbers: not every instant can be written.
        DataType::Timestamp(TimeUnit::Microsecond, _) => column.as_primitive::<TimestampMicrosecondType>().value(row).to_string(),
        DataType::Decimal128(_, _) => column.as_primitive::<Decimal128Type>().value(row).to_string(),
        DataType::Float64 => format!("{:?}", column.as_primitive::<Float64Type>().value(row)),
        _ => array_value_to_string(column, row).unwrap_or_else(|error| error.to_string()),
    })
}

/// An answer, or why there is none.
pub(super) type Outcome = Result<Answer, QueryError>;

/// What is different in two answers to a query; `every` is the answer to the query without its limit, where it has one.
pub(super) fn difference(query: &Query, wanted: &Outcome, found: &Outcome, every: Option<&Answer>) -> Option<String> {
    let (wanted, found) = match (wanted, found) {
        (Ok(wanted), Ok(found)) => (wanted, found),
        (Err(wanted), Err(found)) if discriminant(wanted) == discriminant(found) => return None,
        (wanted, found) => return Some(format!("wanted {}\nfound {}", told(wanted), told(found))),
    };
    if wanted.types.len() != found.types.len() || !wanted.types.iter().zip(&found.types).all(|(wanted, found)| is_same_type(wanted, found)) {
        return Some(format!("types {:?} instead of {:?}", found.types, wanted.types));
    }
    if wanted.rows.len() != found.rows.len() {
        return Some(format!("{} rows instead of {}\n{}", found.rows.len(), wanted.rows.len(), apart(&wanted.rows, &found.rows)));
    }
    for (place, (one, other)) in wanted.rows.iter().zip(&found.rows).enumerate() {
        if let Some(key) = query.order.iter().find(|key| one.get(key.column) != other.get(key.column)) {
            return Some(format!("row {place} sorts by {:?} in column {}, wanted {:?}", other.get(key.column), key.column, one.get(key.column)));
        }
    }
    match every {
        // Which rows of those that sort alike are among the first is left open; that they are rows of the answer is not.
        Some(every) => (!is_within(query, &found.rows, &every.rows)).then(|| format!("rows that are not in the answer\n{}", apart(&every.rows, &found.rows))),
        None => (!is_same(query, &wanted.rows, &found.rows)).then(|| apart(&wanted.rows, &found.rows)),
    }
}

/// Types, but for the digits of a decimal: DataFusion makes a sum beside a distinct count a sum of sums, and gives it ten more.
fn is_same_type(wanted: &DataType, found: &DataType) -> bool {
    match (wanted, found) {
        (DataType::Decimal128(_, wanted), DataType::Decimal128(_, found)) => wanted == found,
        (wanted, found) => wanted == found,
    }
}

fn told(outcome: &Outcome) -> String {
    match outcome {
        Ok(answer) => format!("{} rows", answer.rows.len()),
        Err(error) => format!("{error:?}"),
    }
}

/// A row without what is compared approximately, and that apart.
fn split<'r>(query: &Query, row: &'r Row) -> (Vec<Option<&'r str>>, Vec<f64>) {
    let exact = row.iter().enumerate().filter(|(place, _)| !query.approximate.contains(place)).map(|(_, cell)| cell.as_deref()).collect();
    // NULL is no number: it is like none but itself.
    let rest = query.approximate.iter().map(|place| row[*place].as_deref().map_or(f64::NEG_INFINITY, |cell| cell.parse().unwrap())).collect();
    (exact, rest)
}

fn sorted<'r>(query: &Query, rows: &'r [Row]) -> Vec<(Vec<Option<&'r str>>, Vec<f64>)> {
    let mut rows: Vec<_> = rows.iter().map(|row| split(query, row)).collect();
    rows.sort_by(|left, right| {
        left.0.cmp(&right.0).then_with(|| left.1.iter().zip(&right.1).map(|(left, right)| left.total_cmp(right)).find(|order| order.is_ne()).unwrap_or(std::cmp::Ordering::Equal))
    });
    rows
}

fn is_close(left: f64, right: f64) -> bool {
    left.to_bits() == right.to_bits() || left == right || (left.is_nan() && right.is_nan()) || (left - right).abs() <= CLOSE * left.abs().max(right.abs())
}

fn is_same(query: &Query, wanted: &[Row], found: &[Row]) -> bool {
    let (wanted, found) = (sorted(query, wanted), sorted(query, found));
    wanted.iter().zip(&found).all(|(wanted, found)| wanted.0 == found.0 && wanted.1.iter().zip(&found.1).all(|(left, right)| is_close(*left, *right)))
}

/// Whether each row is one of all rows, as often as it is there.
fn is_within(query: &Query, rows: &[Row], all: &[Row]) -> bool {
    let mut left: BTreeMap<Vec<Option<&str>>, usize> = BTreeMap::new();
    for row in all {
        *left.entry(split(query, row).0).or_default() += 1;
    }
    rows.iter().all(|row| {
        let there = left.get_mut(&split(query, row).0).filter(|count| **count > 0);
        there.map(|count| *count -= 1).is_some()
    })
}

/// The first rows that are in one of both only.
fn apart(wanted: &[Row], found: &[Row]) -> String {
    let mut counts: BTreeMap<&Row, i64> = BTreeMap::new();
    for row in wanted {
        *counts.entry(row).or_default() += 1;
    }
    for row in found {
        *counts.entry(row).or_default() -= 1;
    }
    let shown = |is_shown: fn(i64) -> bool| -> Vec<String> {
        let rows = counts.iter().filter(|(_, count)| is_shown(**count)).take(SHOWN);
        rows.map(|(row, count)| format!("{} × {:?}", count.abs(), row.iter().map(|cell| cell.as_deref().map(short)).collect::<Vec<_>>())).collect()
    };
    format!("missing: {:#?}\nnot wanted: {:#?}", shown(|count| count > 0), shown(|count| count < 0))
}

fn short(cell: &str) -> String {
    if cell.len() > 200 { format!("{}… ({} bytes)", cell.chars().take(60).collect::<String>(), cell.len()) } else { cell.to_owned() }
}
