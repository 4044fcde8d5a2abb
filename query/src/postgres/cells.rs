//! From PostgreSQL's binary values to cells. Pure.
//!
//! What must stay true: a value is read exactly or is told as what does not belong there; a transaction's metadata is the text
//! that was written.

use sqlx::postgres::{PgRow, PgValueRef};
use sqlx::{Row, ValueRef};
use wh_stores::postgres::values::{Instant, Money};
use wh_stores::postgres::{metadata, text};

use super::aggregates;
use super::tables::{Kind, Table};
use crate::aggregate::Aggregation;
use crate::batch::{BatchBuilder, Cell};

/// What a row holds that it should not. It names no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Unexpected(pub(super) String);

/// How a column of a statement's answer comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// As a column of the layout.
    Of(Kind),
    /// As a `numeric`: a sum, of cents where it has two places.
    Sum { places: u32 },
}

/// How the columns of a statement's answer make those of a batch.
#[derive(Debug)]
pub(super) struct Reader {
    forms: Vec<Form>,
    /// What metadata is put together in.
    form: String,
}

impl Reader {
    /// For a projection of a table; `None` where a column's type is none of the layout's.
    pub(super) fn new(table: &Table, projection: &[usize]) -> Option<Reader> {
        Some(Reader { forms: projection.iter().map(|column| table.kind(*column).map(Form::Of)).collect::<Option<_>>()?, form: String::new() })
    }

    /// For the groups of an aggregation; `None` where it is none that PostgreSQL computes.
    pub(super) fn of_groups(table: &Table, aggregation: &Aggregation) -> Option<Reader> {
        Some(Reader { forms: aggregates::forms(table, aggregation)?, form: String::new() })
    }

    /// How many values of a row it takes.
    pub(super) fn fields(&self) -> usize {
        self.forms.len() + self.forms.iter().filter(|form| **form == Form::Of(Kind::Metadata)).count()
    }

    /// Adds a row of a query to a batch.
    pub(super) fn push_row(&mut self, row: &PgRow, batch: &mut BatchBuilder) -> Result<(), Unexpected> {
        let mut values = (0..row.len()).map(|index| row.try_get_raw(index).map(|value| bytes(&value)).map_err(|error| Unexpected(error.to_string())));
        self.push(|| values.next().unwrap_or_else(|| Err(Unexpected("a row that breaks off".to_owned()))), batch)
    }

    /// Adds a row to a batch; `next` gives one value after another, none for NULL.
    pub(super) fn push<'r>(&mut self, mut next: impl FnMut() -> Result<Option<&'r [u8]>, Unexpected>, batch: &mut BatchBuilder) -> Result<(), Unexpected> {
        for (index, form) in self.forms.iter().enumerate() {
            let value = next()?;
            let pushed = match (value, *form) {
                (whole, Form::Of(Kind::Metadata)) => {
                    let json = next()?;
                    batch.push(index, Cell::Text(metadata_of(whole, json, &mut self.form)?))
                }
                (None, _) => batch.push(index, Cell::Null),
                (Some(bytes), Form::Of(Kind::Text)) => batch.push(index, Cell::Text(&text::read(bytes))),
                (Some(bytes), Form::Of(kind)) => batch.push(index, cell(kind, bytes)?),
                (Some(bytes), Form::Sum { places }) => batch.push(index, Cell::Wide(sum(bytes, places)?)),
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

/// Sign of a `numeric`: negative, or none.
const NEGATIVE: u16 = 0x4000;

/// A `numeric` without more than `places` behind its point, as so many of its last place. It is told in groups of four digits, each of which
/// is worth 10,000 times the next; those of weight 0 are whole.
fn sum(bytes: &[u8], places: u32) -> Result<i128, Unexpected> {
    let read = || -> Option<i128> {
        let mut words = bytes.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
        let (count, weight, sign, _scale) = (words.next()?, words.next()?.cast_signed(), words.next()?, words.next()?);
        if bytes.len() != 8 + 2 * usize::from(count) || (sign != 0 && sign != NEGATIVE) {
            return None;
        }
        let unit = 10_i128.checked_pow(places)?;
        let mut total = 0_i128;
        for (place, group) in words.enumerate() {
            let exponent = i32::from(weight) - i32::try_from(place).ok()?;
            let group = i128::from(group).checked_mul(unit)?;
            let worth = match u32::try_from(exponent) {
                Ok(exponent) => group.checked_mul(10_000_i128.checked_pow(exponent)?)?,
                Err(_) => {
                    let finer = 10_000_i128.checked_pow(exponent.unsigned_abs());
                    match finer {
                        Some(finer) if group % finer == 0 => group / finer,
                        _ if group == 0 => 0,
                        _ => return None,
                    }
                }
            };
            total = total.checked_add(worth)?;
        }
        Some(if sign == NEGATIVE { -total } else { total })
    };
    read().ok_or_else(|| Unexpected(format!("a value of {} bytes that is no sum", bytes.len())))
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
fn metadata_of<'f>(whole: Option<&'f [u8]>, json: Option<&[u8]>, form: &'f mut String) -> Result<&'f [u8], Unexpected> {
    if let Some(text) = whole {
        return Ok(text);
    }
    let Some([1, json @ ..]) = json else { return Err(Unexpected("metadata in neither of its columns".to_owned())) };
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
    fn sums_are_read_however_wide_they_are() {
        let numeric = |words: &[u16]| words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<u8>>();
        // 12345.60, −0.05, 10000 (without its zeros), 0, half a cent, and 92,233,720,368,547,758,080 as a whole number.
        assert_eq!(sum(&numeric(&[3, 1, 0, 2, 1, 2345, 6000]), 2), Ok(1_234_560));
        assert_eq!(sum(&numeric(&[1, 0xffff, NEGATIVE, 2, 500]), 2), Ok(-5));
        assert_eq!(sum(&numeric(&[1, 1, 0, 2, 1]), 2), Ok(1_000_000));
        assert_eq!(sum(&numeric(&[0, 0, 0, 0]), 0), Ok(0));
        assert!(sum(&numeric(&[1, 0xffff, 0, 3, 50]), 2).is_err());
        assert_eq!(sum(&numeric(&[5, 4, 0, 0, 9223, 3720, 3685, 4775, 8080]), 0), Ok(92_233_720_368_547_758_080));
        assert!(sum(&numeric(&[0, 0, 0xc000, 0]), 0).is_err(), "not a number");
    }

    #[test]
    fn a_value_of_another_type_is_told_without_it() {
        assert_eq!(cell(Kind::Flag, &[1]), Ok(Cell::Int(1)));
        assert_eq!(cell(Kind::Float, &0.5_f64.to_be_bytes()), Ok(Cell::Float(0.5)));
        assert_eq!(cell(Kind::Instant, &i64::MAX.to_be_bytes()), Err(Unexpected("a value of 8 bytes that is no Instant".to_owned())));
    }
}
