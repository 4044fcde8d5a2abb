//! The columns of a statement, told before it runs and sent with its rows.
//!
//! Whether a column may be NULL is known better once a statement is optimized: what is computed of constants alone never is. Clients compare both schemas to the
//! last flag (ADBC's driver refuses rows that come with another one than was told).
//!
//! What must stay true: what is told and what is sent are one and the same schema; a value is never changed but in its type's width, and then to the one that was told.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::error::ArrowError;

/// The columns as they are told: each may be NULL.
pub(super) fn told(schema: &Schema) -> SchemaRef {
    Arc::new(Schema::new(schema.fields().iter().map(|field| Field::new(field.name(), field.data_type().clone(), true)).collect::<Vec<_>>()))
}

/// The rows in the columns that were told.
pub(super) fn as_told(batch: &RecordBatch, told: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let options = CastOptions { safe: false, ..CastOptions::default() };
    let column = |(column, field): (&ArrayRef, &Arc<Field>)| {
        if column.data_type() == field.data_type() { Ok(Arc::clone(column)) } else { cast_with_options(column, field.data_type(), &options) }
    };
    let columns = batch.columns().iter().zip(told.fields()).map(column).collect::<Result<Vec<_>, _>>()?;
    RecordBatch::try_new_with_options(Arc::clone(told), columns, &RecordBatchOptions::new().with_row_count(Some(batch.num_rows())))
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int32Array, Int64Array};
    use arrow::datatypes::DataType;

    use super::*;

    #[test]
    fn rows_come_in_the_columns_that_were_told() {
        let field = |name: &str, data_type: DataType| Field::new(name, data_type, false).with_metadata([("a".to_owned(), "b".to_owned())].into());
        let schema = told(&Schema::new(vec![field("n", DataType::Int64), field("m", DataType::Int64)]));
        assert!(schema.fields().iter().all(|field| field.is_nullable() && field.metadata().is_empty()));
        let columns: Vec<(&str, ArrayRef)> = vec![("n", Arc::new(Int64Array::from(vec![1]))), ("other", Arc::new(Int32Array::from(vec![2])))];
        let batch = as_told(&RecordBatch::try_from_iter(columns).unwrap(), &schema).unwrap();
        assert_eq!((batch.schema(), batch.num_rows()), (schema, 1));
        let empty = told(&Schema::empty());
        let options = RecordBatchOptions::new().with_row_count(Some(3));
        let rows = RecordBatch::try_new_with_options(Arc::clone(&empty), Vec::new(), &options).unwrap();
        assert_eq!(as_told(&rows, &empty).unwrap().num_rows(), 3);
    }
}
