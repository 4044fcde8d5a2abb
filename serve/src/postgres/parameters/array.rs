//! Arrays as parameters, for `= ANY($1)`: of one dimension.

use std::sync::Arc;

use arrow::array::{ListArray, new_empty_array};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field};
use bytes::{Buf, Bytes};
use datafusion::common::ScalarValue;
use pgwire::api::Type;

use super::{binary, fitted, natural_type, text, unreadable};
use crate::postgres::errors::{Failure, code};
use crate::postgres::types::element_of;

/// Elements that one parameter may have.
const MOST_ELEMENTS: usize = 1_000_000;

/// What `array_send` in PostgreSQL's src/backend/utils/adt/arrayfuncs.c writes.
pub(super) fn of_binary(bytes: &Bytes, pg_type: &Type) -> Result<ScalarValue, Failure> {
    let short = || Failure::new(code::BAD_BINARY, "insufficient data left in message");
    let mut bytes = bytes.clone();
    let dimensions = bytes.try_get_i32().map_err(|_| short())?;
    let _nulls = bytes.try_get_i32().map_err(|_| short())?;
    let element = Type::from_oid(bytes.try_get_u32().map_err(|_| short())?).unwrap_or_else(|| element_of(pg_type));
    if element_of(&element) != element {
        return Err(several_dimensions());
    }
    let length = match dimensions {
        0 => 0,
        1 => {
            let length = bytes.try_get_i32().map_err(|_| short())?;
            let _first = bytes.try_get_i32().map_err(|_| short())?;
            usize::try_from(length).map_err(|_| short())?
        }
        _ => return Err(several_dimensions()),
    };
    // Each element has a length of four bytes at least.
    if length > bytes.remaining() / 4 {
        return Err(short());
    }
    let mut values = Vec::with_capacity(length);
    for _ in 0..length {
        let size = bytes.try_get_i32().map_err(|_| short())?;
        values.push(match usize::try_from(size) {
            Ok(size) if size <= bytes.remaining() => Some(binary::value(&bytes.split_to(size), &element)?),
            Ok(_) => return Err(short()),
            Err(_) => None,
        });
    }
    list(values, &element)
}

/// `{a,"b c",NULL}`
pub(super) fn of_text(text: &str, pg_type: &Type, expected: &DataType, zone: &str) -> Result<ScalarValue, Failure> {
    let element = element_of(pg_type);
    let expected = match expected {
        DataType::List(field) | DataType::LargeList(field) | DataType::FixedSizeList(field, _) => field.data_type().clone(),
        _ => DataType::Null,
    };
    let values = elements(text).ok_or_else(|| unreadable(text.as_bytes(), pg_type))??;
    if values.len() > MOST_ELEMENTS {
        return Err(Failure::new(code::LIMIT, format!("an array has more than {MOST_ELEMENTS} elements")));
    }
    let one = |value: Option<String>| value.map(|value| text::value(value.as_bytes(), &element, &expected, zone)).transpose();
    list(values.into_iter().map(one).collect::<Result<_, _>>()?, &element)
}

/// The elements of an array in text; `None` where it is none.
fn elements(text: &str) -> Option<Result<Vec<Option<String>>, Failure>> {
    let inner = text.trim_ascii().strip_prefix('{')?.strip_suffix('}')?;
    let mut values = Vec::new();
    if inner.trim_ascii().is_empty() {
        return Some(Ok(values));
    }
    let mut rest = inner.chars().peekable();
    loop {
        while rest.next_if(char::is_ascii_whitespace).is_some() {}
        if rest.peek() == Some(&'{') {
            return Some(Err(several_dimensions()));
        }
        let mut value = String::new();
        let quoted = rest.next_if_eq(&'"').is_some();
        let mut escaped = false;
        loop {
            match rest.peek().copied() {
                Some(',') | None if !quoted => break,
                None => return None,
                Some('"') if quoted => {
                    rest.next();
                    break;
                }
                Some('"' | '{' | '}') if !quoted => return None,
                Some('\\') => {
                    rest.next();
                    value.push(rest.next()?);
                    escaped = true;
                }
                Some(other) => {
                    rest.next();
                    value.push(other);
                }
            }
        }
        if quoted {
            while rest.next_if(char::is_ascii_whitespace).is_some() {}
            values.push(Some(value));
        } else {
            let value = value.trim_ascii_end();
            if value.is_empty() {
                return None;
            }
            let null = !escaped && value.eq_ignore_ascii_case("NULL");
            values.push((!null).then(|| value.to_owned()));
        }
        match rest.next() {
            Some(',') => {}
            None => return Some(Ok(values)),
            Some(_) => return None,
        }
    }
}

/// A list of one type: that of the elements, or the widest numeric among them.
fn list(values: Vec<Option<ScalarValue>>, element: &Type) -> Result<ScalarValue, Failure> {
    let data_type = if *element == Type::NUMERIC { widest(&values) } else { natural_type(element) };
    let mut scalars = Vec::with_capacity(values.len());
    for value in values {
        let scalar = match value {
            Some(value) => fitted(value, &data_type),
            None => ScalarValue::try_from(&data_type).map_err(|error| Failure::new(code::UNSUPPORTED, error.to_string()))?,
        };
        if scalar.data_type() != data_type {
            return Err(Failure::new(code::OUT_OF_RANGE, format!("the elements of an array have no common type: {} is no {data_type}", scalar.data_type())));
        }
        scalars.push(scalar);
    }
    if scalars.is_empty() {
        let values = new_empty_array(&data_type);
        let field = Arc::new(Field::new_list_field(data_type, true));
        return Ok(ScalarValue::List(Arc::new(ListArray::new(field, OffsetBuffer::from_lengths([0]), values, None))));
    }
    Ok(ScalarValue::List(ScalarValue::new_list_nullable(&scalars, &data_type)))
}

/// The decimal that holds all of them.
fn widest(values: &[Option<ScalarValue>]) -> DataType {
    let (mut whole, mut scale) = (1, 0);
    for value in values.iter().flatten() {
        if let ScalarValue::Decimal128(_, precision, of) = value {
            scale = scale.max(*of);
            whole = whole.max(precision.saturating_sub(of.unsigned_abs()));
        }
    }
    DataType::Decimal128((whole + scale.unsigned_abs()).min(38), scale)
}

fn several_dimensions() -> Failure {
    Failure::new(code::UNSUPPORTED, "an array as a parameter has one dimension")
}
