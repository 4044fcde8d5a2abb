//! From PostgreSQL's binary values to cells. Pure.
//!
//! What must stay true: a value is read exactly or is told as what does not belong there; a transaction's metadata is the text
//! that was written.

use sqlx::postgres::{PgRow, PgValueRef};
use sqlx::{Row, ValueRef};
use wh_stores::postgres::values::{Instant, Money};
use wh_stores::postgres::{metadata, text};

use super::tables::{Kind, Table};
use crate::batch::{BatchBuilder, Cell};

/// What a row holds that it should not. It names no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Unexpected(String);

/// How the columns of a statement's answer make those of a batch.
#[derive(Debug)]
pub(super) struct Reader {
    kinds: Vec<Kind>,
    /// What metadata is put together in.
    form: String,
}

impl Reader {
    /// For a projection of a table; `None` where a column's type is none of the layout's.
    pub(super) fn new(table: &Table, projection: &[usize]) -> Option<Reader> {
        Some(Reader { kinds: projection.iter().map(|column| table.kind(*column)).collect::<Option<_>>()?, form: String::new() })
    }

    /// Adds a row to a batch.
    pub(super) fn push(&mut self, row: &PgRow, batch: &mut BatchBuilder) -> Result<(), Unexpected> {
        let raw = |index: usize| row.try_get_raw(index).map_err(|error| Unexpected(error.to_string()));
        let mut from = 0;
        for (index, kind) in self.kinds.iter().enumerate() {
            let pushed = if *kind == Kind::Metadata {
                let (whole, json) = (raw(from)?, raw(from + 1)?);
                from += 2;
                batch.push(index, Cell::Text(metadata_of(&whole, &json, &mut self.form)?))
            } else {
                let value = raw(from)?;
                from += 1;
                match bytes(&value) {
                    None => batch.push(index, Cell::Null),
                    Some(bytes) if *kind == Kind::Text => batch.push(index, Cell::Text(&text::read(bytes))),
                    Some(bytes) => batch.push(index, cell(*kind, bytes)?),
                }
            };
            pushed.map_err(|misfit| Unexpected(misfit.to_string()))?;
        }
        batch.end_row();
        Ok(())
    }
}

/// The bytes of a value; `None` for NULL.
fn bytes<'v>(value: &PgValueRef<'v>) -> Option<&'v [u8]> {
    if value.is_null() { None } else { value.as_bytes().ok() }
}

fn cell(kind: Kind, bytes: &[u8]) -> Result<Cell<'_>, Unexpected> {
    let found = match kind {
        Kind::Text | Kind::Json | Kind::Metadata => Some(Cell::Text(bytes)),
        Kind::Int => int(bytes).map(Cell::Int),
        Kind::Float => fixed(bytes).map(|bytes| Cell::Float(f64::from_be_bytes(bytes))),
        Kind::Flag => {
            if let [flag] = bytes {
                Some(Cell::Int(i64::from(*flag)))
            } else {
                None
            }
        }
        Kind::Instant => Instant::decode(bytes).map(Cell::Int),
        Kind::Money => Money::decode(bytes).map(Cell::Int),
    };
    found.ok_or_else(|| Unexpected(format!("a value of {} bytes that is no {kind:?}", bytes.len())))
}

/// An integer of 2, 4 or 8 bytes.
pub(super) fn int(bytes: &[u8]) -> Option<i64> {
    match bytes.len() {
        2 => fixed(bytes).map(|bytes| i64::from(i16::from_be_bytes(bytes))),
        4 => fixed(bytes).map(|bytes| i64::from(i32::from_be_bytes(bytes))),
        8 => fixed(bytes).map(i64::from_be_bytes),
        _ => None,
    }
}

fn fixed<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    bytes.try_into().ok()
}

/// The text of a transaction's metadata: as it stands, or made again from what `jsonb` gives behind the number of its format.
fn metadata_of<'f>(whole: &PgValueRef<'f>, json: &PgValueRef<'_>, form: &'f mut String) -> Result<&'f [u8], Unexpected> {
    if let Some(text) = bytes(whole) {
        return Ok(text);
    }
    let Some([1, json @ ..]) = bytes(json) else { return Err(Unexpected("metadata in neither of its columns".to_owned())) };
    form.clear();
    let made = std::str::from_utf8(json).ok().and_then(|json| metadata::canonical(json, form).ok());
    match made {
        Some(()) => Ok(form.as_bytes()),
        None => Err(Unexpected("metadata that is no JSON".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_of_every_width_are_read() {
        assert_eq!([int(&[0xff, 0xfe]), int(&[0, 0, 0, 7]), int(&i64::MIN.to_be_bytes()), int(&[1])], [Some(-2), Some(7), Some(i64::MIN), None]);
    }

    #[test]
    fn a_value_of_another_type_is_told_without_it() {
        assert_eq!(cell(Kind::Flag, &[1]), Ok(Cell::Int(1)));
        assert_eq!(cell(Kind::Float, &0.5_f64.to_be_bytes()), Ok(Cell::Float(0.5)));
        assert_eq!(cell(Kind::Instant, &i64::MAX.to_be_bytes()), Err(Unexpected("a value of 8 bytes that is no Instant".to_owned())));
    }
}
