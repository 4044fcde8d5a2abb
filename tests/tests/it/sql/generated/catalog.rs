//! The tables as the generator knows them: their columns, and values that stand in them.
//!
//! What must stay true: all that is known of a table comes from its rows as they were read without push-down; the order of values is that of
//! the values, so that the same rows give the same queries.

use std::collections::BTreeSet;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Decimal128Type, Float64Type, Int32Type, Int64Type, SchemaRef, TimestampMicrosecondType};

/// Values of a column that literals are made of.
const KEPT: usize = 60;
/// Bytes of the longest text among them.
const LONGEST: usize = 120;
/// Columns whose text is JSON.
const JSON: [&str; 14] =
    ["metadata", "detection_rules", "accounts", "members", "departments", "hours", "data", "labels", "dimensions", "reasons", "alerts", "headers", "value", "explanation"];

/// What a column is to a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Text,
    Integer,
    Money,
    Time,
    Float,
    Flag,
}

impl Type {
    fn of(data_type: &DataType) -> Option<Type> {
        Some(match data_type {
            DataType::Utf8 => Type::Text,
            DataType::Int32 | DataType::Int64 => Type::Integer,
            DataType::Decimal128(_, _) => Type::Money,
            DataType::Timestamp(_, _) => Type::Time,
            DataType::Float64 => Type::Float,
            DataType::Boolean => Type::Flag,
            _ => return None,
        })
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Type::Text => "text",
            Type::Integer => "integer",
            Type::Money => "money",
            Type::Time => "time",
            Type::Float => "float",
            Type::Flag => "flag",
        }
    }
}

/// A value of a column.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Text(String),
    /// An integer, cents, or microseconds.
    Number(i64),
    Float(f64),
}

#[derive(Clone, Debug)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: Type,
    /// Whether it has 64 bits.
    pub(super) is_wide: bool,
    pub(super) is_nullable: bool,
    pub(super) is_json: bool,
    /// Whether it is left out where many rows are joined.
    pub(super) is_long: bool,
    /// Whether 0 and −0 stand in it: which of the two shows for both is left to chance.
    pub(super) has_zeros: bool,
    /// Whether each row has another value, and none has none.
    pub(super) is_unique: bool,
    pub(super) values: Vec<Value>,
}

impl Column {
    /// Whether rows can be told apart by it: neither too long nor with two zeros.
    pub(super) fn is_plain(&self) -> bool {
        !self.is_long && !self.has_zeros
    }
}

#[derive(Clone, Debug)]
pub(super) struct Table {
    pub(super) schema: String,
    pub(super) name: String,
    pub(super) rows: usize,
    pub(super) columns: Vec<Column>,
}

impl Table {
    /// The table with these rows.
    pub(super) fn of(schema: &str, name: &str, columns: &SchemaRef, batches: &[RecordBatch]) -> Table {
        let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
        let column = |index: usize| {
            let field = columns.field(index);
            let kind = Type::of(field.data_type())?;
            let arrays: Vec<&ArrayRef> = batches.iter().map(|batch| batch.column(index)).collect();
            let mut values: Vec<Value> = arrays.iter().flat_map(|array| (0..array.len()).filter_map(move |row| value(array, row))).collect();
            values.sort_by(order);
            let (all, has_zeros) = (values.len(), has_zeros(&values));
            values.dedup();
            let is_long = values.iter().any(|value| matches!(value, Value::Text(text) if text.len() > LONGEST));
            let is_unique = all == rows && values.len() == rows && rows > 0;
            // When a record was appended is no choice of ours on a server.
            if schema == "log" && kind == Type::Time {
                values.clear();
            }
            let is_json = kind == Type::Text && JSON.contains(&field.name().as_str());
            let is_wide = *field.data_type() == DataType::Int64;
            Some(Column { name: field.name().clone(), kind, is_wide, is_nullable: field.is_nullable(), is_json, is_long, has_zeros, is_unique, values: sample(&values) })
        };
        Table { schema: schema.to_owned(), name: name.to_owned(), rows, columns: (0..columns.fields().len()).filter_map(column).collect() }
    }

    /// `ledger.transactions`
    pub(super) fn qualified(&self) -> String {
        format!("{}.{}", self.schema, self.name)
    }

    /// Places of the columns of which something is so.
    pub(super) fn which(&self, is_so: impl Fn(&Column) -> bool) -> Vec<usize> {
        self.columns.iter().enumerate().filter(|(_, column)| is_so(column)).map(|(place, _)| place).collect()
    }

    pub(super) fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }
}

fn value(array: &ArrayRef, row: usize) -> Option<Value> {
    if array.is_null(row) {
        return None;
    }
    Some(match array.data_type() {
        DataType::Utf8 => Value::Text(array.as_string::<i32>().value(row).to_owned()),
        DataType::Int32 => Value::Number(i64::from(array.as_primitive::<Int32Type>().value(row))),
        DataType::Int64 => Value::Number(array.as_primitive::<Int64Type>().value(row)),
        DataType::Decimal128(_, _) => Value::Number(i64::try_from(array.as_primitive::<Decimal128Type>().value(row)).unwrap()),
        DataType::Timestamp(_, _) => Value::Number(array.as_primitive::<TimestampMicrosecondType>().value(row)),
        DataType::Float64 => Value::Float(array.as_primitive::<Float64Type>().value(row)),
        _ => return None,
    })
}

fn order(left: &Value, right: &Value) -> std::cmp::Ordering {
    match (left, right) {
        (Value::Text(left), Value::Text(right)) => left.cmp(right),
        (Value::Number(left), Value::Number(right)) => left.cmp(right),
        (Value::Float(left), Value::Float(right)) => left.total_cmp(right),
        _ => std::cmp::Ordering::Equal,
    }
}

fn has_zeros(values: &[Value]) -> bool {
    let signs: BTreeSet<bool> = values.iter().filter_map(|value| if let Value::Float(zero) = value { (*zero == 0.0).then_some(zero.is_sign_negative()) } else { None }).collect();
    signs.len() > 1
}

/// Some of the values, evenly; of long texts their beginnings.
fn sample(values: &[Value]) -> Vec<Value> {
    let step = values.len().div_ceil(KEPT).max(1);
    let short = |value: &Value| match value {
        Value::Text(text) if text.len() > LONGEST => Value::Text(text.chars().take(LONGEST / 4).collect()),
        other => other.clone(),
    };
    // The first and the last are the limits.
    values.iter().step_by(step).chain(values.last()).map(short).collect()
}
