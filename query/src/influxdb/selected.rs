//! What of a group is computed in a statement, and whether a sum of it is whole.
//!
//! InfluxDB reads a field once for each function of it, which is most of what a statement takes: none is asked for that is not needed.
//! Whether 64 bits hold a sum of money is told by how many transactions are in it, since none has more than so much; that number is often asked
//! for beside it. Only of a group that has more is the sum asked for in double precision, too.
//!
//! What must stay true: pure; a statement selects something by which there is a row for each group that has a point, under the time where the
//! group begins; a sum that is believed is the one that more than 64 bits would hold.

use arrow::datatypes::DataType;
use wh_schemas::Cents;
use wh_stores::influxdb::answer::Datum;

use super::statements::SOME_FIELD;
use crate::aggregate::{Aggregation, Function, Measure};
use crate::shape::Shape;

/// What a statement computes of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Selected {
    /// The number of points.
    Points,
    Least(usize),
    Greatest(usize),
    /// The sum of a column, of which 64 bits are left.
    Sum(usize),
}

impl Selected {
    fn text(self, shape: &Shape) -> String {
        let field = |column: usize| shape.schema.field(column).name();
        match self {
            Selected::Points => format!("count(\"{SOME_FIELD}\")"),
            Selected::Least(column) => format!("min(\"{}\")", field(column)),
            Selected::Greatest(column) => format!("max(\"{}\")", field(column)),
            Selected::Sum(column) => format!("sum(\"{}\")", field(column)),
        }
    }
}

/// What the statement of the groups selects, behind the time.
pub(super) fn selected(shape: &Shape, aggregation: &Aggregation) -> Vec<Selected> {
    let mut selected = Vec::new();
    let mut add = |one: Selected| {
        if !selected.contains(&one) {
            selected.push(one);
        }
    };
    for Measure { function, column } in &aggregation.measures {
        match (function, *column) {
            (Function::Count, _) => add(Selected::Points),
            (Function::Min, Some(column)) => add(Selected::Least(column)),
            (Function::Max, Some(column)) => add(Selected::Greatest(column)),
            (Function::Sum, Some(column)) => {
                add(Selected::Sum(column));
                if is_money(shape, column)
                    && let Some(transactions) = transactions(shape)
                {
                    add(Selected::Sum(transactions));
                }
            }
            (Function::CountDistinct, _) | (_, None) => {}
        }
    }
    // A least or greatest value alone would come with its own time.
    if !selected.iter().any(|one| matches!(one, Selected::Points | Selected::Sum(_))) {
        selected.push(Selected::Points);
    }
    selected
}

/// The functions as the statement has them.
pub(super) fn computed(shape: &Shape, selected: &[Selected]) -> String {
    let computed: Vec<String> = selected.iter().enumerate().map(|(place, one)| format!("{} AS \"m{place}\"", one.text(shape))).collect();
    computed.join(", ")
}

/// Whether sums of the column have more than 64 bits in SQL.
pub(super) fn is_money(shape: &Shape, column: usize) -> bool {
    matches!(shape.schema.field(column).data_type(), DataType::Decimal128(_, _))
}

/// The column that says how many transactions a point is made of.
pub(super) fn transactions(shape: &Shape) -> Option<usize> {
    shape.index_of(SOME_FIELD)
}

/// Whether 64 bits hold the sum of so many amounts, whatever they are.
pub(super) fn are_held(transactions: i64) -> bool {
    (0..=i64::MAX / Cents::MAX.0).contains(&transactions)
}

/// The sum of a column in double precision, divided by 2^32: so that it is written as a number that 64 bits hold.
pub(super) fn rough(shape: &Shape, column: usize) -> String {
    format!("sum(\"{}\"::float) / 4294967296", shape.schema.field(column).name())
}

/// Whether 64 bits hold a sum that is about so many times 2^32. The error of the double does not reach the rest: of fewer than 2^26 values of
/// 64 bits it is below 2^62, as they are added up one after another.
pub(super) fn is_held(rough: &Datum<'_>) -> Option<bool> {
    match rough {
        Datum::Int(rough) => Some(rough.unsigned_abs() < 1 << 30),
        Datum::Float(rough) => Some(rough.abs() < f64::from(1 << 30)),
        Datum::Null | Datum::Text(_) => None,
    }
}
