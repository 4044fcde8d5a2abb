//! A cell in the binary format.

use bytes::{BufMut, BytesMut};
use pgwire::api::Type;

use super::column::{Column, Values};
use super::text::bigint;
use super::{numeric, sized};
use crate::postgres::errors::{Failure, code};
use crate::postgres::types::element_of;

/// Days from 1970-01-01 to 2000-01-01, from which PostgreSQL counts.
const EPOCH_DAYS: i32 = 10_957;
/// The same in microseconds.
const EPOCH_MICROS: i64 = 946_684_800_000_000;
/// Dimensions that an array may have, as in PostgreSQL.
const MOST_DIMENSIONS: usize = 6;

/// Writes the value at `row`, which is not NULL.
pub(in crate::postgres) fn write(column: &Column, row: usize, pg_type: &Type, out: &mut BytesMut) -> Result<(), Failure> {
    match &column.values {
        Values::Bool(values) => out.put_u8(u8::from(values.value(row))),
        Values::Int2(values) => out.put_i16(values.value(row)),
        Values::Int4(values) => out.put_i32(values.value(row)),
        Values::Int8(values) => out.put_i64(values.value(row)),
        Values::Unsigned(values) => out.put_i64(bigint(values.value(row))?),
        Values::Float4(values) => out.put_f32(values.value(row)),
        Values::Float8(values) => out.put_f64(values.value(row)),
        Values::Numeric(values, scale) => {
            let value = values.value(row);
            numeric::decimal_binary(value < 0, itoa::Buffer::new().format(value.unsigned_abs()).as_bytes(), *scale, out);
        }
        Values::WideNumeric(values, scale) => {
            let text = values.value(row).to_string();
            let digits = text.trim_start_matches('-');
            numeric::decimal_binary(digits.len() < text.len(), digits.as_bytes(), *scale, out);
        }
        Values::Text(values) => out.put_slice(values.value(row).as_bytes()),
        Values::LargeText(values) => out.put_slice(values.value(row).as_bytes()),
        Values::TextView(values) => out.put_slice(values.value(row).as_bytes()),
        Values::Bytes(values) => out.put_slice(values.value(row)),
        Values::Date(values) => out.put_i32(values.value(row).checked_sub(EPOCH_DAYS).ok_or_else(|| out_of_range("date"))?),
        Values::Time(values) => out.put_i64(values.value(row)),
        Values::Timestamp(values) | Values::Instant(values, _) => out.put_i64(values.value(row).checked_sub(EPOCH_MICROS).ok_or_else(|| out_of_range("timestamp"))?),
        Values::Interval(values) => {
            let value = values.value(row);
            interval(value.nanoseconds.div_euclid(1_000), value.days, value.months, out);
        }
        Values::Duration(values) => interval(values.value(row), 0, 0, out),
        Values::List(..) => array(column, row, pg_type, out)?,
    }
    Ok(())
}

fn out_of_range(what: &str) -> Failure {
    Failure::new(code::DATETIME, format!("{what} out of range"))
}

fn interval(micros: i64, days: i32, months: i32, out: &mut BytesMut) {
    out.put_i64(micros);
    out.put_i32(days);
    out.put_i32(months);
}

/// `array_send` in PostgreSQL's src/backend/utils/adt/arrayfuncs.c: dimensions, whether there are NULLs, element type, then the elements.
fn array(column: &Column, row: usize, pg_type: &Type, out: &mut BytesMut) -> Result<(), Failure> {
    let element = element_of(pg_type);
    let mut shape = Vec::new();
    let mut flat = Vec::new();
    let leaf = flatten(column, row, 0, &mut shape, &mut flat)?;
    if flat.is_empty() {
        shape.clear();
    }
    let count = |length: usize| i32::try_from(length).map_err(|_| Failure::new(code::LIMIT, "an array is too long"));
    out.put_i32(count(shape.len())?);
    out.put_i32(i32::from(flat.iter().any(|index| leaf.is_null(*index))));
    out.put_u32(element.oid());
    for length in shape {
        out.put_i32(count(length)?);
        // The first element's index.
        out.put_i32(1);
    }
    for index in flat {
        if leaf.is_null(index) {
            out.put_i32(-1);
        } else {
            sized(out, |out| write(leaf, index, &element, out))?;
        }
    }
    Ok(())
}

/// The elements of the innermost lists, one after the other, and the length of each dimension.
fn flatten<'a>(column: &'a Column, row: usize, depth: usize, shape: &mut Vec<usize>, flat: &mut Vec<usize>) -> Result<&'a Column, Failure> {
    let Values::List(offsets, elements) = &column.values else { return Ok(column) };
    let place = |index: usize| usize::try_from(offsets[index]).unwrap_or(0);
    let (from, to) = (place(row), place(row + 1));
    match shape.get(depth) {
        None if depth >= MOST_DIMENSIONS => return Err(Failure::new(code::LIMIT, format!("an array can have at most {MOST_DIMENSIONS} dimensions"))),
        None => shape.push(to - from),
        Some(length) if *length == to - from => {}
        Some(_) => return Err(uneven()),
    }
    if !matches!(elements.values, Values::List(..)) {
        flat.extend(from..to);
        return Ok(elements.as_ref());
    }
    let mut leaf = innermost(elements);
    for index in from..to {
        if elements.is_null(index) {
            return Err(uneven());
        }
        leaf = flatten(elements, index, depth + 1, shape, flat)?;
    }
    Ok(leaf)
}

fn innermost(column: &Column) -> &Column {
    match &column.values {
        Values::List(_, elements) => innermost(elements),
        _ => column,
    }
}

fn uneven() -> Failure {
    Failure::new(code::ARRAY, "multidimensional arrays must have sub-arrays with matching dimensions").hint("ask for the text format, or CAST the column to text")
}
