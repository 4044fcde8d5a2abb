//! A cell in the text format.

use bytes::{BufMut, BytesMut};

use super::column::{Column, Values};
use super::{numeric, time};
use crate::postgres::errors::{Failure, code};

/// Writes the value at `row`, which is not NULL.
pub(in crate::postgres) fn write(column: &Column, row: usize, out: &mut BytesMut) -> Result<(), Failure> {
    match &column.values {
        Values::Bool(values) => out.put_u8(if values.value(row) { b't' } else { b'f' }),
        Values::Int2(values) => integer(values.value(row), out),
        Values::Int4(values) => integer(values.value(row), out),
        Values::Int8(values) => integer(values.value(row), out),
        Values::Unsigned(values) => integer(bigint(values.value(row))?, out),
        Values::Float4(values) => numeric::float_text(&format!("{:e}", values.value(row)), 6, out),
        Values::Float8(values) => numeric::float_text(&format!("{:e}", values.value(row)), 15, out),
        Values::Numeric(values, scale) => {
            let value = values.value(row);
            numeric::decimal_text(value < 0, itoa::Buffer::new().format(value.unsigned_abs()).as_bytes(), *scale, out);
        }
        Values::WideNumeric(values, scale) => {
            let text = values.value(row).to_string();
            let digits = text.trim_start_matches('-');
            numeric::decimal_text(digits.len() < text.len(), digits.as_bytes(), *scale, out);
        }
        Values::Text(values) => out.put_slice(values.value(row).as_bytes()),
        Values::LargeText(values) => out.put_slice(values.value(row).as_bytes()),
        Values::TextView(values) => out.put_slice(values.value(row).as_bytes()),
        Values::Bytes(values) => hex(values.value(row), out),
        Values::Date(values) => time::date(values.value(row), out),
        Values::Time(values) => time::clock(values.value(row), out),
        Values::Timestamp(values) => time::timestamp(values.value(row), out),
        Values::Instant(values, zone) => time::instant(values.value(row), *zone, out),
        Values::Interval(values) => {
            let value = values.value(row);
            time::interval(value.months, value.days, value.nanoseconds.div_euclid(1_000), out);
        }
        Values::Duration(values) => time::interval(0, 0, values.value(row), out),
        Values::List(offsets, elements) => list(offsets, elements, row, out)?,
    }
    Ok(())
}

fn integer(value: impl itoa::Integer, out: &mut BytesMut) {
    out.put_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// PostgreSQL's bigint has no values above 2⁶³ − 1.
pub(super) fn bigint(value: u64) -> Result<i64, Failure> {
    i64::try_from(value).map_err(|_| Failure::new(code::OUT_OF_RANGE, format!("{value} is out of range for type bigint")))
}

fn hex(bytes: &[u8], out: &mut BytesMut) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.reserve(2 + 2 * bytes.len());
    out.put_slice(b"\\x");
    for byte in bytes {
        out.put_u8(DIGITS[usize::from(byte >> 4)]);
        out.put_u8(DIGITS[usize::from(byte & 15)]);
    }
}

fn list(offsets: &[i32], elements: &Column, row: usize, out: &mut BytesMut) -> Result<(), Failure> {
    let place = |index: usize| usize::try_from(offsets[index]).unwrap_or(0);
    let nested = matches!(elements.values, Values::List(..));
    let mut element = BytesMut::new();
    out.put_u8(b'{');
    for (count, index) in (place(row)..place(row + 1)).enumerate() {
        if count > 0 {
            out.put_u8(b',');
        }
        if elements.is_null(index) {
            out.put_slice(b"NULL");
        } else if nested {
            write(elements, index, out)?;
        } else {
            element.clear();
            write(elements, index, &mut element)?;
            quoted(&element, out);
        }
    }
    out.put_u8(b'}');
    Ok(())
}

/// An element of an array, in quotes where it would be read as something else (`array_out` in PostgreSQL's arrayfuncs.c).
fn quoted(element: &[u8], out: &mut BytesMut) {
    let special = |byte: &u8| matches!(byte, b'"' | b'\\' | b'{' | b'}' | b',') || byte.is_ascii_whitespace() || *byte == 0x0b;
    if !element.is_empty() && !element.eq_ignore_ascii_case(b"NULL") && !element.iter().any(special) {
        out.put_slice(element);
        return;
    }
    out.put_u8(b'"');
    for byte in element {
        if matches!(byte, b'"' | b'\\') {
            out.put_u8(b'\\');
        }
        out.put_u8(*byte);
    }
    out.put_u8(b'"');
}
