//! Parameters of a statement: from the bytes of a client, text or binary, to values of the engine.
//!
//! What must stay true: a value reaches the engine as it was sent, or not at all: what the expected type would round or cut
//! goes on in its own type; no bytes make this panic.
//!
//! arrow-pg's decoder is not used: it rounds numerics to the expected scale and has neither text-format times nor arrays of them.

mod array;
mod binary;
mod numeric;
#[cfg(test)]
mod tests;
mod text;

use arrow::datatypes::DataType;
use bytes::Bytes;
use datafusion::common::ScalarValue;
use pgwire::api::Type;

use super::errors::{Failure, code};
use super::types::{self, Format};

/// What is known of one parameter.
#[derive(Clone, Debug)]
pub(super) struct Parameter {
    /// The type that the client writes it in.
    pub(super) pg_type: Type,
    /// The type that the statement expects.
    pub(super) expected: DataType,
}

impl Parameter {
    /// `named` is the type that the client gave when it sent the statement, if it gave one.
    pub(super) fn new(named: Option<&Type>, expected: &DataType) -> Parameter {
        let pg_type = match named {
            Some(named) if *named != Type::UNKNOWN => named.clone(),
            _ => types::of_data_type(expected),
        };
        Parameter { pg_type, expected: expected.clone() }
    }

    /// The value in these bytes; `None` is NULL. `zone` is that of the session, for times without one.
    pub(super) fn value(&self, bytes: Option<&Bytes>, format: Format, zone: &str) -> Result<ScalarValue, Failure> {
        let Some(bytes) = bytes else { return null(&self.expected) };
        let natural = match format {
            Format::Text => text::value(bytes, &self.pg_type, &self.expected, zone)?,
            Format::Binary => binary::value(bytes, &self.pg_type)?,
        };
        Ok(fitted(natural, &self.expected))
    }
}

fn null(expected: &DataType) -> Result<ScalarValue, Failure> {
    ScalarValue::try_from(expected).map_err(|error| Failure::new(code::UNSUPPORTED, format!("a parameter cannot be of the type {expected}: {error}")))
}

/// The value in the expected type where that holds it exactly, else as it is: the engine then compares the two types as SQL does.
fn fitted(natural: ScalarValue, expected: &DataType) -> ScalarValue {
    if natural.data_type() == *expected || *expected == DataType::Null {
        return natural;
    }
    let Ok(cast) = natural.cast_to(expected) else { return natural };
    match cast.cast_to(&natural.data_type()) {
        Ok(back) if back == natural => cast,
        _ => natural,
    }
}

/// What is decoded for a date and time: an instant, or the clock on some wall.
fn timestamp(micros: i64, pg_type: &Type) -> ScalarValue {
    let zone = (*pg_type == Type::TIMESTAMPTZ).then(|| "UTC".into());
    ScalarValue::TimestampMicrosecond(Some(micros), zone)
}

/// The engine's type of values written in `pg_type`, numerics excepted.
fn natural_type(pg_type: &Type) -> DataType {
    types::engine_type(pg_type).unwrap_or(DataType::Utf8)
}

fn unreadable(bytes: &[u8], pg_type: &Type) -> Failure {
    let shown: String = String::from_utf8_lossy(bytes).chars().take(60).collect();
    Failure::new(code::BAD_TEXT, format!("invalid input syntax for type {}: \"{shown}\"", pg_type.name()))
}
