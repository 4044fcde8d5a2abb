//! Tables that are made once from rows of names and values.
//!
//! What must stay true: a column that a row does not name is NULL where it may be, else empty, zero or false.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, new_null_array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::{MemTable, TableProvider};
use datafusion::common::{Result, ScalarValue};
use datafusion_pg_catalog::pg_catalog::ArrowTable;

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
    let fields: Vec<Field> = columns.iter().map(|name| plain(name)).collect();
    table(Arc::new(Schema::new(fields)), &[])
}

/// A column of texts, or of lists of them.
pub(super) fn plain(name: &str) -> Field {
    let list = || DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true)));
    Field::new(name, if is_list(name) { list() } else { DataType::Utf8 }, true)
}

/// Whether a column of this name is a list of rights or options. There are none of either, so that it is NULL in every row.
pub(super) fn is_list(name: &str) -> bool {
    name.ends_with("acl") || name.ends_with("options") || ["setconfig", "proconfig", "rolconfig", "useconfig"].contains(&name)
}

/// What was shipped, with its lists as such: there they are texts, which functions of lists do not take.
pub(super) fn with_lists(shipped: &ArrowTable) -> Result<Arc<dyn TableProvider>> {
    let schema = listed(&shipped.schema());
    let column =
        |(field, column): (&Arc<Field>, &ArrayRef)| if field.data_type() == column.data_type() { Arc::clone(column) } else { new_null_array(field.data_type(), column.len()) };
    let batch = |batch: &RecordBatch| RecordBatch::try_new(Arc::clone(&schema), schema.fields().iter().zip(batch.columns()).map(column).collect());
    let batches = shipped.data().iter().map(batch).collect::<Result<Vec<_>, _>>()?;
    Ok(Arc::new(MemTable::try_new(Arc::clone(&schema), vec![batches])?))
}

/// A schema with its lists as such.
pub(super) fn listed(schema: &SchemaRef) -> SchemaRef {
    let field = |field: &Arc<Field>| if is_list(field.name()) { Arc::new(plain(field.name())) } else { Arc::clone(field) };
    Arc::new(Schema::new_with_metadata(schema.fields().iter().map(field).collect::<Vec<_>>(), schema.metadata().clone()))
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
