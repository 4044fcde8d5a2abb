//! Joins that a store computes: two tables of one store, joined on equal columns, become a scan of both in one statement.
//!
//! What must stay true: what each side lets through is what its own scan would; a join is pushed down only where a row of one side finds at
//! most one of the other, so that no more rows come out than went in.

mod rule;
mod table;

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use crate::cut::CutRule;
use crate::shape::Shape;

pub(crate) use rule::PushDownJoin;
pub(crate) use table::JoinedTable;

/// What the columns of the left and of the right table stand behind, in statements and in the names of the join's columns.
pub(crate) const LEFT: &str = "l";
pub(crate) const RIGHT: &str = "r";

/// What SQL sees of two tables as one.
pub(crate) fn shape(left: &Shape, right: &Shape) -> Shape {
    let names = |shape: &Shape| -> Vec<String> { shape.schema.fields().iter().map(|field| field.name().clone()).collect() };
    let all = named(LEFT, names(left)).chain(named(RIGHT, names(right))).collect();
    let schema = renamed(&left.schema, &right.schema, all);
    Shape { name: left.name, description: left.description, schema, unique: &[], cut: CutRule::Outside, is_view: true }
}

/// Whether stores take two values of this type for equal where SQL does. To floats 0 and −0 are one.
pub(crate) fn compares_alike(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::Int32 | DataType::Int64 | DataType::Timestamp(..) | DataType::Decimal128(..))
}

/// The join's columns, in which those of the left, or of the right table have their own names.
fn side(left: &SchemaRef, right: &SchemaRef, is_left: bool) -> SchemaRef {
    let names = |schema: &SchemaRef, alias: Option<&'static str>| -> Vec<String> {
        let own = schema.fields().iter().map(|field| field.name().clone()).collect();
        match alias {
            Some(alias) => named(alias, own).collect(),
            None => own,
        }
    };
    let mut all = names(left, (!is_left).then_some(LEFT));
    all.extend(names(right, is_left.then_some(RIGHT)));
    renamed(left, right, all)
}

fn named(alias: &'static str, names: Vec<String>) -> impl Iterator<Item = String> {
    names.into_iter().map(move |name| format!("{alias}.{name}"))
}

fn renamed(left: &Schema, right: &Schema, names: Vec<String>) -> SchemaRef {
    let fields = left.fields().iter().chain(right.fields()).zip(names).map(|(field, name)| Field::clone(field).with_name(name));
    Arc::new(Schema::new(fields.collect::<Vec<Field>>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_side_has_its_own_names_and_no_other() {
        let (left, right) = (wh_schemas::arrow::transactions(), wh_schemas::arrow::risk_alerts());
        let behind = left.fields().len();
        let (of_left, of_right) = (side(&left, &right, true), side(&left, &right, false));
        assert_eq!((of_left.index_of("seq").ok(), of_right.index_of("seq").ok()), (left.index_of("seq").ok(), right.index_of("seq").ok().map(|at| at + behind)));
        assert!(of_left.index_of("severity").is_err() && of_right.index_of("amount").is_err());
        let shapes = crate::shape::ledger();
        let both = shape(&shapes[0], &shapes[1]).schema;
        assert!(both.index_of("l.seq").is_ok() && both.index_of("r.seq").is_ok() && both.index_of("seq").is_err());
    }
}
