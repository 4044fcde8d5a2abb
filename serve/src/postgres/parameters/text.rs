//! Parameters in the text format.

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::ScalarValue;
use pgwire::api::Type;

use super::{array, natural_type, numeric, unreadable};
use crate::postgres::errors::{Failure, code};
use crate::postgres::types::element_of;

/// The value in these bytes.
pub(super) fn value(bytes: &[u8], pg_type: &Type, expected: &DataType, zone: &str) -> Result<ScalarValue, Failure> {
    let text = std::str::from_utf8(bytes).map_err(|_| Failure::new(code::NOT_UTF8, "a parameter is not UTF-8"))?;
    if element_of(pg_type) != *pg_type {
        return array::of_text(text, pg_type, expected, zone);
    }
    let trimmed = text.trim_ascii();
    let parsed = match *pg_type {
        Type::BOOL => boolean(trimmed).map(|value| ScalarValue::Boolean(Some(value))),
        Type::INT2 => trimmed.parse().ok().map(|value| ScalarValue::Int16(Some(value))),
        Type::INT4 => trimmed.parse().ok().map(|value| ScalarValue::Int32(Some(value))),
        Type::INT8 | Type::OID => trimmed.parse().ok().map(|value| ScalarValue::Int64(Some(value))),
        Type::FLOAT4 => trimmed.parse().ok().map(|value| ScalarValue::Float32(Some(value))),
        Type::FLOAT8 => trimmed.parse().ok().map(|value| ScalarValue::Float64(Some(value))),
        Type::NUMERIC => numeric::of_text(trimmed).transpose()?,
        Type::BYTEA => bytea(trimmed).map(|value| ScalarValue::Binary(Some(value))),
        Type::DATE | Type::TIME | Type::TIMESTAMP | Type::TIMESTAMPTZ | Type::INTERVAL => time(trimmed, pg_type, zone),
        _ => Some(ScalarValue::Utf8(Some(text.to_owned()))),
    };
    parsed.ok_or_else(|| unreadable(bytes, pg_type))
}

/// PostgreSQL's words for true and false, and what begins them.
fn boolean(text: &str) -> Option<bool> {
    let text = text.to_ascii_lowercase();
    let begins = |word: &str| !text.is_empty() && word.starts_with(&text);
    if begins("true") || begins("yes") || text == "on" || text == "1" {
        Some(true)
    } else if begins("false") || begins("no") || text == "of" || text == "off" || text == "0" {
        Some(false)
    } else {
        None
    }
}

/// `\x` and pairs of digits.
fn bytea(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("\\x")?.as_bytes();
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    digits.chunks_exact(2).map(|pair| Some((digit(pair[0])? << 4) | digit(pair[1])?)).collect()
}

/// Dates and times as Arrow reads them; one without an offset is in the session's zone.
fn time(text: &str, pg_type: &Type, zone: &str) -> Option<ScalarValue> {
    let text = ScalarValue::Utf8(Some(text.to_owned()));
    if *pg_type != Type::TIMESTAMPTZ {
        return text.cast_to(&natural_type(pg_type)).ok();
    }
    match text.cast_to(&DataType::Timestamp(TimeUnit::Microsecond, Some(zone.into()))).ok()? {
        ScalarValue::TimestampMicrosecond(Some(micros), _) => Some(super::timestamp(micros, pg_type)),
        _ => None,
    }
}
