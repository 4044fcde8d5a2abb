//! Parameters that a client binds: one row of a record batch, as values of the types that the statement wants.
//!
//! What must stay true: a value that does not fit its type is an error, never another value; there is exactly one row.

use arrow::array::RecordBatch;
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use tonic::Status;

/// The values of the one row in `batches`.
pub(crate) fn values(batches: &[RecordBatch], wanted: &[DataType]) -> Result<Vec<ScalarValue>, Status> {
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    if rows != 1 {
        return Err(Status::invalid_argument(format!("{rows} rows of parameters were bound: bind one, and run the statement once for each further row (SQLSTATE 0A000)")));
    }
    let Some(batch) = batches.iter().find(|batch| batch.num_rows() == 1) else { return Err(Status::invalid_argument("no parameters were bound (SQLSTATE 07001)")) };
    if batch.num_columns() != wanted.len() {
        return Err(Status::invalid_argument(format!("the statement has {} parameters, and {} were bound (SQLSTATE 07001)", wanted.len(), batch.num_columns())));
    }
    let options = CastOptions { safe: false, ..CastOptions::default() };
    let mut values = Vec::with_capacity(wanted.len());
    for (place, (column, wanted)) in batch.columns().iter().zip(wanted).enumerate() {
        let told = |error: &dyn std::fmt::Display| Status::invalid_argument(format!("${}: {error} (SQLSTATE 22P02)", place + 1));
        let column = cast_with_options(column, wanted, &options).map_err(|error| told(&error))?;
        values.push(ScalarValue::try_from_array(&column, 0).map_err(|error| told(&error.strip_backtrace()))?);
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, StringArray};

    use super::*;

    fn batch(columns: Vec<ArrayRef>) -> RecordBatch {
        RecordBatch::try_from_iter(columns.into_iter().enumerate().map(|(place, column)| (place.to_string(), column))).unwrap()
    }

    #[test]
    fn a_row_becomes_values_of_the_wanted_types() {
        let columns: Vec<ArrayRef> = vec![Arc::new(Int64Array::from(vec![5])), Arc::new(StringArray::from(vec![None::<&str>])), Arc::new(StringArray::from(vec!["7"]))];
        let values = values(&[batch(columns)], &[DataType::Decimal128(15, 2), DataType::Utf8, DataType::Int32]).unwrap();
        assert_eq!(values, [ScalarValue::Decimal128(Some(500), 15, 2), ScalarValue::Utf8(None), ScalarValue::Int32(Some(7))]);
    }

    #[test]
    fn what_does_not_fit_is_refused_by_its_place() {
        let one = |text: &str| batch(vec![Arc::new(StringArray::from(vec![text])) as ArrayRef]);
        assert!(values(&[one("x")], &[DataType::Int64]).unwrap_err().message().starts_with("$1: "));
        assert!(values(&[one("300")], &[DataType::Int8]).is_err());
        assert!(values(&[one("1"), one("2")], &[DataType::Int64]).unwrap_err().message().contains("2 rows"));
        assert!(values(&[one("1")], &[]).unwrap_err().message().contains("0 parameters"));
        assert!(values(&[], &[DataType::Int64]).is_err());
    }
}
