//! From cells to record batches.
//!
//! What must stay true: a cell that does not fit its column's type is an error that names the column, never a guess; a batch
//! without columns still has its number of rows; a batch is handed over before its text outgrows Arrow's 32-bit offsets. The first batches
//! are small, so that whoever waits sees the first rows soon.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, Decimal128Builder, Float64Builder, Int32Builder, Int64Builder, RecordBatch, RecordBatchOptions, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DataType, SchemaRef, TimeUnit};

/// Bytes of text after which a batch is handed over, whatever its rows.
const FULL_BYTES: usize = 16 * 1024 * 1024;

/// Rows of the first batch …
const FIRST_ROWS: usize = 512;
/// … and how many times more each next one has, up to what is asked for.
const GROWTH: usize = 4;

/// One value on its way into a batch, as a store gives it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Cell<'a> {
    Null,
    /// An integer, cents, microseconds, or a truth value.
    Int(i64),
    Float(f64),
    /// A sum that 64 bits need not hold, in cents where it is one of money.
    Wide(i128),
    /// Text; what is not UTF-8 in it becomes U+FFFD.
    Text(&'a [u8]),
}

/// A cell that does not fit its column.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the column {column} holds {found} where {expected} was expected")]
pub(crate) struct Misfit {
    column: String,
    found: &'static str,
    expected: DataType,
}

enum Column {
    Text(StringBuilder),
    Int32(Int32Builder),
    Int64(Int64Builder),
    Float(Float64Builder),
    Flag(BooleanBuilder),
    Time(TimestampMicrosecondBuilder),
    Money(Decimal128Builder),
}

impl Column {
    fn new(data_type: &DataType, capacity: usize) -> Option<Column> {
        Some(match data_type {
            DataType::Utf8 => Column::Text(StringBuilder::with_capacity(capacity, capacity.saturating_mul(24))),
            DataType::Int32 => Column::Int32(Int32Builder::with_capacity(capacity)),
            DataType::Int64 => Column::Int64(Int64Builder::with_capacity(capacity)),
            DataType::Float64 => Column::Float(Float64Builder::with_capacity(capacity)),
            DataType::Boolean => Column::Flag(BooleanBuilder::with_capacity(capacity)),
            DataType::Timestamp(TimeUnit::Microsecond, _) => Column::Time(TimestampMicrosecondBuilder::with_capacity(capacity).with_data_type(data_type.clone())),
            DataType::Decimal128(_, _) => Column::Money(Decimal128Builder::with_capacity(capacity).with_data_type(data_type.clone())),
            _ => return None,
        })
    }

    /// `false` when the cell does not fit.
    fn push(&mut self, cell: Cell<'_>) -> bool {
        match (self, cell) {
            (Column::Text(column), Cell::Null) => column.append_null(),
            (Column::Text(column), Cell::Text(text)) => match std::str::from_utf8(text) {
                Ok(text) => column.append_value(text),
                Err(_) => column.append_value(String::from_utf8_lossy(text)),
            },
            (Column::Int32(column), Cell::Null) => column.append_null(),
            (Column::Int32(column), Cell::Int(value)) => match i32::try_from(value) {
                Ok(value) => column.append_value(value),
                Err(_) => return false,
            },
            (Column::Int64(column), Cell::Null) => column.append_null(),
            (Column::Int64(column), Cell::Int(value)) => column.append_value(value),
            (Column::Float(column), Cell::Null) => column.append_null(),
            (Column::Float(column), Cell::Float(value)) => column.append_value(value),
            (Column::Flag(column), Cell::Null) => column.append_null(),
            (Column::Flag(column), Cell::Int(value)) => column.append_value(value != 0),
            (Column::Time(column), Cell::Null) => column.append_null(),
            (Column::Time(column), Cell::Int(value)) => column.append_value(value),
            (Column::Money(column), Cell::Null) => column.append_null(),
            (Column::Money(column), Cell::Int(value)) => column.append_value(i128::from(value)),
            (Column::Money(column), Cell::Wide(sum)) => column.append_value(sum),
            _ => return false,
        }
        true
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Column::Text(column) => Arc::new(column.finish()),
            Column::Int32(column) => Arc::new(column.finish()),
            Column::Int64(column) => Arc::new(column.finish()),
            Column::Float(column) => Arc::new(column.finish()),
            Column::Flag(column) => Arc::new(column.finish()),
            Column::Time(column) => Arc::new(column.finish()),
            Column::Money(column) => Arc::new(column.finish()),
        }
    }
}

/// Collects rows into batches of one schema.
pub(crate) struct BatchBuilder {
    schema: SchemaRef,
    columns: Vec<Column>,
    rows: usize,
    bytes: usize,
    /// Rows of this batch, and of the largest.
    full_rows: usize,
    most_rows: usize,
}

impl BatchBuilder {
    /// A builder whose batches have at most `full_rows` rows. `None` when a column's type is none that stores give.
    pub(crate) fn new(schema: SchemaRef, full_rows: usize) -> Option<BatchBuilder> {
        let most_rows = full_rows.max(1);
        let full_rows = most_rows.min(FIRST_ROWS);
        // A look-up has one row.
        let capacity = full_rows.min(64);
        let columns = schema.fields().iter().map(|field| Column::new(field.data_type(), capacity)).collect::<Option<Vec<_>>>()?;
        Some(BatchBuilder { schema, columns, rows: 0, bytes: 0, full_rows, most_rows })
    }

    /// Adds the next row's value of the column at `index`.
    pub(crate) fn push(&mut self, index: usize, cell: Cell<'_>) -> Result<(), Misfit> {
        if let Cell::Text(text) = cell {
            self.bytes += text.len();
        }
        if self.columns.get_mut(index).is_some_and(|column| column.push(cell)) {
            return Ok(());
        }
        let found = match cell {
            Cell::Null => "NULL",
            Cell::Int(_) => "an integer out of range or in the place of another type",
            Cell::Float(_) => "a real number",
            Cell::Wide(_) => "a sum",
            Cell::Text(_) => "text or bytes",
        };
        let field = self.schema.fields().get(index);
        Err(Misfit { column: field.map(|f| f.name().clone()).unwrap_or_default(), found, expected: field.map_or(DataType::Null, |f| f.data_type().clone()) })
    }

    /// Ends a row whose every column was pushed.
    pub(crate) fn end_row(&mut self) {
        self.rows += 1;
    }

    /// Ends `rows` rows of a schema without columns.
    pub(crate) fn end_rows(&mut self, rows: usize) {
        self.rows += rows;
    }

    /// How many rows the batch has.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Whether the batch is to be handed over now.
    pub(crate) fn is_full(&self) -> bool {
        self.rows >= self.full_rows || self.bytes >= FULL_BYTES
    }

    /// Whether there is nothing to hand over.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The rows so far; the builder begins anew.
    pub(crate) fn finish(&mut self) -> Result<RecordBatch, arrow::error::ArrowError> {
        let columns = self.columns.iter_mut().map(Column::finish).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        self.rows = 0;
        self.bytes = 0;
        self.full_rows = self.full_rows.saturating_mul(GROWTH).min(self.most_rows);
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Array, AsArray};
    use arrow::datatypes::{Decimal128Type, Field, Schema};

    #[test]
    fn cells_become_columns_of_their_types() {
        let schema = wh_schemas::arrow::transactions();
        let schema = Arc::new(schema.project(&[0, 1, 4, 7, 11]).unwrap());
        let mut builder = BatchBuilder::new(schema, 10).unwrap();
        for (index, cell) in [Cell::Text(b"t1"), Cell::Int(5), Cell::Null, Cell::Int(12_345), Cell::Int(1)].into_iter().enumerate() {
            builder.push(index, cell).unwrap();
        }
        builder.end_row();
        let batch = builder.finish().unwrap();
        assert_eq!(batch.num_rows(), 1);
        assert_eq!(batch.column(0).as_string::<i32>().value(0), "t1");
        assert!(batch.column(2).is_null(0));
        assert_eq!(batch.column(3).as_primitive::<Decimal128Type>().value_as_string(0), "123.45");
        assert!(batch.column(4).as_boolean().value(0));
    }

    #[test]
    fn sums_are_wider_than_what_they_are_sums_of() {
        let schema = Arc::new(Schema::new(vec![Field::new("money", DataType::Decimal128(25, 2), true), Field::new("whole", DataType::Decimal128(38, 0), true)]));
        let mut builder = BatchBuilder::new(schema, 10).unwrap();
        builder.push(0, Cell::Wide(i128::from(i64::MAX) * 7)).unwrap();
        builder.push(1, Cell::Wide(i128::from(i64::MAX) + 1)).unwrap();
        builder.end_row();
        let batch = builder.finish().unwrap();
        assert_eq!(batch.column(0).as_primitive::<Decimal128Type>().value_as_string(0), "645636042579834306.49");
        assert_eq!(batch.column(1).as_primitive::<Decimal128Type>().value(0), 1 << 63);
    }

    #[test]
    fn the_first_batches_are_small() {
        let schema = Arc::new(Schema::new(vec![Field::new("whole", DataType::Int64, true)]));
        let mut builder = BatchBuilder::new(schema, 8_192).unwrap();
        let mut rows = Vec::new();
        for _ in 0..4 {
            while !builder.is_full() {
                builder.push(0, Cell::Int(7)).unwrap();
                builder.end_row();
            }
            rows.push(builder.finish().unwrap().num_rows());
        }
        assert_eq!(rows, [512, 2_048, 8_192, 8_192]);
    }

    #[test]
    fn a_misfit_names_its_column() {
        let schema = Arc::new(wh_schemas::arrow::transactions().project(&[9]).unwrap());
        let mut builder = BatchBuilder::new(schema, 10).unwrap();
        assert!(builder.push(0, Cell::Int(i64::MAX)).unwrap_err().to_string().contains("risk_score"));
        assert!(builder.push(0, Cell::Text(b"7")).is_err());
    }

    #[test]
    fn rows_without_columns_are_counted_and_nulls_where_none_may_be_are_found() {
        let mut builder = BatchBuilder::new(Arc::new(Schema::empty()), 10).unwrap();
        builder.end_rows(7);
        assert_eq!(builder.finish().unwrap().num_rows(), 7);
        let schema = Arc::new(wh_schemas::arrow::transactions().project(&[0]).unwrap());
        let mut builder = BatchBuilder::new(schema, 10).unwrap();
        builder.push(0, Cell::Null).unwrap();
        builder.end_row();
        assert!(builder.finish().is_err());
    }
}
