//! Tables that are made once from rows of names and values.
//!
//! What must stay true: a column that a row does not name is NULL where it may be, else empty, zero or false.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::{MemTable, TableProvider};
use datafusion::common::{Result, ScalarValue};

/// What is said of one thing.
pub(super) type Row = Vec<(&'static str, ScalarValue)>;

/// A table of `schema` with these rows. What a row says of columns that there are not is left out.
pub(super) fn table(schema: SchemaRef, rows: &[Row]) -> Result<Arc<dyn TableProvider>> {
    let batch = if rows.is_empty() {
        RecordBatch::new_empty(Arc::clone(&schema))
    } else {
        let columns = schema.fields().iter().map(|field| column(field, rows)).collect::<Result<Vec<_>>>()?;
        RecordBatch::try_new(Arc::clone(&schema), columns)?
    };
    Ok(Arc::new(MemTable::try_new(schema, vec![vec![batch]])?))
}

fn column(field: &Field, rows: &[Row]) -> Result<ArrayRef> {
    let value = |row: &Row| match row.iter().find(|(name, _)| *name == field.name().as_str()) {
        Some((_, value)) => value.cast_to(field.data_type()),
        None if field.is_nullable() => ScalarValue::try_new_null(field.data_type()),
        None => ScalarValue::new_default(field.data_type()),
    };
    ScalarValue::iter_to_array(rows.iter().map(value).collect::<Result<Vec<_>>>()?)
}

/// A table of texts in which there is nothing.
pub(super) fn nothing(columns: &[&str]) -> Result<Arc<dyn TableProvider>> {
    let fields: Vec<Field> = columns.iter().map(|name| Field::new(*name, DataType::Utf8, true)).collect();
    table(Arc::new(Schema::new(fields)), &[])
}

pub(super) fn text(value: impl Into<String>) -> ScalarValue {
    ScalarValue::Utf8(Some(value.into()))
}

pub(super) fn number(value: impl Into<i64>) -> ScalarValue {
    ScalarValue::Int64(Some(value.into()))
}

pub(super) fn flag(value: bool) -> ScalarValue {
    ScalarValue::Boolean(Some(value))
}
