//! Parameters in the binary format.

use arrow::datatypes::IntervalMonthDayNanoType;
use bytes::{Buf, Bytes};
use datafusion::common::ScalarValue;
use pgwire::api::Type;

use super::{array, numeric, timestamp};
use crate::postgres::errors::{Failure, code};
use crate::postgres::types::element_of;

/// Days and microseconds from 1970-01-01 to 2000-01-01, from which PostgreSQL counts.
const EPOCH_DAYS: i32 = 10_957;
const EPOCH_MICROS: i64 = 946_684_800_000_000;

/// The value in these bytes.
pub(super) fn value(bytes: &Bytes, pg_type: &Type) -> Result<ScalarValue, Failure> {
    if element_of(pg_type) != *pg_type {
        return array::of_binary(bytes, pg_type);
    }
    Ok(match *pg_type {
        Type::BOOL => ScalarValue::Boolean(Some(exact::<1>(bytes)? != [0])),
        Type::INT2 => ScalarValue::Int16(Some(i16::from_be_bytes(exact(bytes)?))),
        Type::INT4 => ScalarValue::Int32(Some(i32::from_be_bytes(exact(bytes)?))),
        Type::INT8 => ScalarValue::Int64(Some(i64::from_be_bytes(exact(bytes)?))),
        Type::OID => ScalarValue::Int64(Some(i64::from(u32::from_be_bytes(exact(bytes)?)))),
        Type::FLOAT4 => ScalarValue::Float32(Some(f32::from_be_bytes(exact(bytes)?))),
        Type::FLOAT8 => ScalarValue::Float64(Some(f64::from_be_bytes(exact(bytes)?))),
        Type::NUMERIC => numeric::of_binary(bytes)?,
        Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::UNKNOWN | Type::JSON | Type::XML | Type::CHAR => text(bytes)?,
        // The first byte is the version of the format.
        Type::JSONB => match bytes.split_first() {
            Some((1, rest)) => text(rest)?,
            _ => return Err(Failure::new(code::BAD_BINARY, "unsupported jsonb version number")),
        },
        Type::UUID => ScalarValue::Utf8(Some(uuid(exact(bytes)?))),
        Type::BYTEA => ScalarValue::Binary(Some(bytes.to_vec())),
        Type::DATE => {
            let days = i32::from_be_bytes(exact(bytes)?);
            finite(days != i32::MIN && days != i32::MAX)?;
            ScalarValue::Date32(Some(days.checked_add(EPOCH_DAYS).ok_or_else(out_of_range)?))
        }
        Type::TIME => ScalarValue::Time64Microsecond(Some(i64::from_be_bytes(exact(bytes)?))),
        Type::TIMESTAMP | Type::TIMESTAMPTZ => {
            let micros = i64::from_be_bytes(exact(bytes)?);
            finite(micros != i64::MIN && micros != i64::MAX)?;
            timestamp(micros.checked_add(EPOCH_MICROS).ok_or_else(out_of_range)?, pg_type)
        }
        Type::INTERVAL => {
            let mut parts = Bytes::copy_from_slice(&exact::<16>(bytes)?);
            let (micros, days, months) = (parts.get_i64(), parts.get_i32(), parts.get_i32());
            let nanos = micros.checked_mul(1_000).ok_or_else(out_of_range)?;
            ScalarValue::IntervalMonthDayNano(Some(IntervalMonthDayNanoType::make_value(months, days, nanos)))
        }
        ref other => {
            return Err(Failure::new(code::UNSUPPORTED, format!("parameters of type {} are not taken in the binary format", other.name())).hint("send it as text"));
        }
    })
}

/// As many bytes as the type has.
fn exact<const N: usize>(bytes: &[u8]) -> Result<[u8; N], Failure> {
    bytes.try_into().map_err(|_| Failure::new(code::BAD_BINARY, format!("incorrect binary data format: {} bytes where {N} belong", bytes.len())))
}

fn text(bytes: &[u8]) -> Result<ScalarValue, Failure> {
    let text = std::str::from_utf8(bytes).map_err(|_| Failure::new(code::NOT_UTF8, "a parameter is not UTF-8"))?;
    Ok(ScalarValue::Utf8(Some(text.to_owned())))
}

fn uuid(bytes: [u8; 16]) -> String {
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

fn finite(is: bool) -> Result<(), Failure> {
    if is { Ok(()) } else { Err(Failure::new(code::DATETIME, "infinity is no time here")) }
}

fn out_of_range() -> Failure {
    Failure::new(code::DATETIME, "date or time out of range")
}
