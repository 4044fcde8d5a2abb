//! One column of a batch, made ready to be written row by row.
//!
//! What must stay true: what is decided once a batch is not decided once a cell; units and widths are brought to PostgreSQL's without a value
//! changing, or the query fails.

use std::sync::Arc;

use arrow::array::timezone::Tz;
use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Decimal256Array, Float32Array, Float64Array, Int16Array, Int32Array, Int64Array,
    IntervalMonthDayNanoArray, LargeStringArray, ListArray, PrimitiveArray, StringArray, StringViewArray, UInt64Array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, DurationMicrosecondType, DurationMillisecondType, DurationNanosecondType, DurationSecondType, Int64Type, IntervalUnit, Time64MicrosecondType,
    TimeUnit, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};

use crate::postgres::errors::{Failure, code};

/// One column of a batch.
pub(in crate::postgres) struct Column {
    pub(super) nulls: Option<NullBuffer>,
    pub(super) values: Values,
}

/// Its values, in the types that are written.
pub(super) enum Values {
    Bool(BooleanArray),
    Int2(Int16Array),
    Int4(Int32Array),
    Int8(Int64Array),
    /// Written as bigint, as far as it reaches.
    Unsigned(UInt64Array),
    Float4(Float32Array),
    Float8(Float64Array),
    Numeric(Decimal128Array, i8),
    WideNumeric(Decimal256Array, i8),
    Text(StringArray),
    LargeText(LargeStringArray),
    TextView(StringViewArray),
    Bytes(BinaryArray),
    Date(Date32Array),
    /// Microseconds since midnight.
    Time(Int64Array),
    /// Microseconds since 1970 of the clock on a wall.
    Timestamp(Int64Array),
    /// The same of an instant, and the zone in which it is shown; `None` is UTC.
    Instant(Int64Array, Option<Tz>),
    Interval(IntervalMonthDayNanoArray),
    /// Microseconds.
    Duration(Int64Array),
    List(OffsetBuffer<i32>, Box<Column>),
}

impl Column {
    pub(in crate::postgres) fn new(array: &ArrayRef) -> Result<Column, Failure> {
        let nulls = array.logical_nulls();
        let cast = |to: DataType| cast(array, &to);
        let values = match array.data_type() {
            DataType::Boolean => Values::Bool(array.as_boolean().clone()),
            DataType::Int16 => Values::Int2(array.as_primitive().clone()),
            DataType::Int32 => Values::Int4(array.as_primitive().clone()),
            DataType::Int64 => Values::Int8(array.as_primitive().clone()),
            DataType::UInt64 => Values::Unsigned(array.as_primitive().clone()),
            DataType::Float32 => Values::Float4(array.as_primitive().clone()),
            DataType::Float64 => Values::Float8(array.as_primitive().clone()),
            DataType::Decimal128(_, scale) => Values::Numeric(array.as_primitive().clone(), *scale),
            DataType::Decimal256(_, scale) => Values::WideNumeric(array.as_primitive().clone(), *scale),
            DataType::Utf8 => Values::Text(array.as_string::<i32>().clone()),
            DataType::LargeUtf8 => Values::LargeText(array.as_string::<i64>().clone()),
            DataType::Utf8View => Values::TextView(array.as_string_view().clone()),
            DataType::Binary => Values::Bytes(array.as_binary::<i32>().clone()),
            DataType::Date32 => Values::Date(array.as_primitive().clone()),
            DataType::Time64(TimeUnit::Microsecond) => Values::Time(array.as_primitive::<Time64MicrosecondType>().reinterpret_cast()),
            DataType::Timestamp(unit, None) => Values::Timestamp(timestamps(array, *unit)?),
            DataType::Timestamp(unit, Some(zone)) => Values::Instant(timestamps(array, *unit)?, known(zone)),
            DataType::Duration(unit) => Values::Duration(durations(array, *unit)?),
            DataType::Interval(IntervalUnit::MonthDayNano) => Values::Interval(array.as_primitive().clone()),
            DataType::List(_) => list(array.as_list::<i32>())?,
            // What has a wider or plainer type of its own goes through that.
            DataType::Int8 | DataType::UInt8 => return Column::new(&cast(DataType::Int16)?),
            DataType::UInt16 => return Column::new(&cast(DataType::Int32)?),
            DataType::UInt32 => return Column::new(&cast(DataType::Int64)?),
            DataType::Float16 => return Column::new(&cast(DataType::Float32)?),
            DataType::Decimal32(precision, scale) | DataType::Decimal64(precision, scale) => return Column::new(&cast(DataType::Decimal128(*precision, *scale))?),
            DataType::Date64 => return Column::new(&cast(DataType::Date32)?),
            DataType::Time32(_) | DataType::Time64(_) => return Column::new(&cast(DataType::Time64(TimeUnit::Microsecond))?),
            DataType::Interval(_) => return Column::new(&cast(DataType::Interval(IntervalUnit::MonthDayNano))?),
            DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => return Column::new(&cast(DataType::Binary)?),
            DataType::LargeList(field) | DataType::FixedSizeList(field, _) | DataType::ListView(field) | DataType::LargeListView(field) => {
                return Column::new(&cast(DataType::List(Arc::clone(field)))?);
            }
            DataType::Dictionary(_, values) => return Column::new(&cast(values.as_ref().clone())?),
            DataType::RunEndEncoded(_, values) => return Column::new(&cast(values.data_type().clone())?),
            _ => Values::Text(shown(array)?),
        };
        Ok(Column { nulls, values })
    }

    pub(in crate::postgres) fn is_null(&self, row: usize) -> bool {
        self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row))
    }
}

/// A zone that is not UTC. The engine gives no other zones than it knows.
fn known(zone: &str) -> Option<Tz> {
    if matches!(zone, "UTC" | "Etc/UTC" | "+00:00") { None } else { zone.parse().ok() }
}

fn failed(error: &ArrowError) -> Failure {
    Failure::new(code::OUT_OF_RANGE, error.to_string())
}

fn cast(array: &ArrayRef, to: &DataType) -> Result<ArrayRef, Failure> {
    let options = CastOptions { safe: false, format_options: FormatOptions::default() };
    cast_with_options(array, to, &options).map_err(|error| failed(&error))
}

/// What PostgreSQL has no type for, as Arrow shows it.
fn shown(array: &ArrayRef) -> Result<StringArray, Failure> {
    let options = FormatOptions::default();
    let formatter = ArrayFormatter::try_new(array.as_ref(), &options).map_err(|error| failed(&error))?;
    let nulls = array.logical_nulls();
    (0..array.len())
        .map(|row| {
            let null = nulls.as_ref().is_some_and(|nulls| nulls.is_null(row));
            if null { Ok(None) } else { formatter.value(row).try_to_string().map(Some).map_err(|error| failed(&error)) }
        })
        .collect()
}

fn list(array: &ListArray) -> Result<Values, Failure> {
    Ok(Values::List(array.offsets().clone(), Box::new(Column::new(array.values())?)))
}

fn timestamps(array: &ArrayRef, unit: TimeUnit) -> Result<Int64Array, Failure> {
    match unit {
        TimeUnit::Second => times::<TimestampSecondType>(array, 1_000_000),
        TimeUnit::Millisecond => times::<TimestampMillisecondType>(array, 1_000),
        TimeUnit::Microsecond => Ok(array.as_primitive::<TimestampMicrosecondType>().reinterpret_cast()),
        TimeUnit::Nanosecond => Ok(array.as_primitive::<TimestampNanosecondType>().unary::<_, Int64Type>(|value| value.div_euclid(1_000))),
    }
}

fn durations(array: &ArrayRef, unit: TimeUnit) -> Result<Int64Array, Failure> {
    match unit {
        TimeUnit::Second => times::<DurationSecondType>(array, 1_000_000),
        TimeUnit::Millisecond => times::<DurationMillisecondType>(array, 1_000),
        TimeUnit::Microsecond => Ok(array.as_primitive::<DurationMicrosecondType>().reinterpret_cast()),
        TimeUnit::Nanosecond => Ok(array.as_primitive::<DurationNanosecondType>().unary::<_, Int64Type>(|value| value.div_euclid(1_000))),
    }
}

/// Coarser units in microseconds.
fn times<T: ArrowPrimitiveType<Native = i64>>(array: &ArrayRef, factor: i64) -> Result<PrimitiveArray<Int64Type>, Failure> {
    array.as_primitive::<T>().try_unary::<_, Int64Type, Failure>(|value| value.checked_mul(factor).ok_or_else(|| Failure::new(code::DATETIME, "a time is out of range")))
}
