//! Literals of SQL: values that stand in a column, their neighbours, and the same in other types and scales.

use wh_schemas::{Cents, Micros};

use super::catalog::{Column, Type, Value};
use super::dice::Dice;

/// 0001-01-01T00:00:00Z and 9999-12-31T23:59:59.999999Z.
const ALL_TIMES: (i64, i64) = (-62_135_596_800_000_000, 253_402_300_799_999_999);
/// 1678 and 2262: what nanoseconds can tell.
const NANOSECONDS: (i64, i64) = (-9_214_560_000_000_000, 9_214_646_400_000_000);
const HOUR: i64 = 3_600_000_000;
/// Times of interest where a column has none to offer.
const TIMES: [i64; 6] = [0, -1, 1_772_323_200_000_000, 1_772_323_300_000_000, 1_900_000_000_000_000, ALL_TIMES.1];
const TEXTS: [&str; 14] = ["", " ", "a", "A", "u", "U", "t-0", "é", "e\u{301}", "zz", "\u{10ffff}", "%", "_", "x\ny"];

/// A text as SQL writes it.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A value that stands in the column, or could.
pub(super) fn value(dice: &mut Dice, column: &Column) -> Value {
    if !column.values.is_empty() && dice.percent(85) {
        return dice.pick(&column.values).clone();
    }
    match column.kind {
        Type::Text => Value::Text((*dice.pick(&TEXTS)).to_owned()),
        Type::Time => Value::Number(*dice.pick(&TIMES)),
        Type::Float => Value::Float(*dice.pick(&[0.0, -0.0, 0.5, 1e300, -1.0, f64::NAN, f64::INFINITY])),
        _ => Value::Number(*dice.pick(&[0, 1, -1, 5, 70, 100, 1_000_000])),
    }
}

/// A literal of the column's own type, or of one that is read as it.
pub(super) fn plain(dice: &mut Dice, column: &Column) -> String {
    let value = value(dice, column);
    exact(column.kind, &value)
}

fn exact(kind: Type, value: &Value) -> String {
    match (kind, value) {
        (_, Value::Text(text)) => quoted(text),
        (_, Value::Float(value)) => float(*value),
        (Type::Money, Value::Number(cents)) => Cents(*cents).to_string(),
        (Type::Time, Value::Number(micros)) => quoted(&Micros(*micros).to_string()),
        // The least integer is no number with a sign.
        (_, Value::Number(value)) => (*value).max(-i64::MAX).to_string(),
    }
}

fn float(value: f64) -> String {
    let is_short = value.is_finite() && (value == 0.0 || (1e-6..1e9).contains(&value.abs())) && value.to_string().len() < 12;
    if is_short && !(value == 0.0 && value.is_sign_negative()) { format!("{value:?}") } else { format!("CAST('{value:?}' AS DOUBLE PRECISION)") }
}

/// A literal to compare the column with: often a neighbour of what stands there, or of another type.
pub(super) fn literal(dice: &mut Dice, column: &Column) -> String {
    match value(dice, column) {
        Value::Text(text) => near_text(dice, &text),
        Value::Float(value) => near_float(dice, value),
        Value::Number(value) => match column.kind {
            Type::Money => near_money(dice, value),
            Type::Time => near_time(dice, value),
            _ => near_integer(dice, value),
        },
    }
}

fn near_text(dice: &mut Dice, text: &str) -> String {
    let cut = |count: usize| text.chars().take(count).collect::<String>();
    let length = text.chars().count();
    quoted(&match dice.below(12) {
        0 => format!("{text} "),
        1 => format!("{text}\u{0}"),
        2 => cut(length.saturating_sub(1)),
        3 => text.to_uppercase(),
        4 => text.to_lowercase(),
        5 => cut(dice.below(length + 1)),
        _ => text.to_owned(),
    })
}

fn near_float(dice: &mut Dice, value: f64) -> String {
    match dice.below(8) {
        0 => float(value.next_up()),
        1 => float(value.next_down()),
        2 => float(-value),
        3 => "0.5".to_owned(),
        4 => "12".to_owned(),
        _ => float(value),
    }
}

fn near_integer(dice: &mut Dice, value: i64) -> String {
    let near = value.saturating_add(*dice.pick(&[-1, 0, 0, 0, 1])).max(-i64::MAX);
    match dice.below(20) {
        0 => format!("{near}.5"),
        1 => format!("{near}.000"),
        2 => format!("CAST({near} AS BIGINT)"),
        3 => format!("CAST({near} AS DECIMAL(30,3))"),
        4 => format!("CAST({near} AS DOUBLE PRECISION)"),
        5 => "3000000000".to_owned(),
        6 => i64::MAX.to_string(),
        7 => "9223372036854775808".to_owned(),
        _ => near.to_string(),
    }
}

fn near_money(dice: &mut Dice, cents: i64) -> String {
    let near = Cents(cents + *dice.pick(&[-1, 0, 0, 0, 1]));
    match dice.below(16) {
        0 => format!("{near}5"),
        1 => format!("{near}000"),
        2 => (near.0 / 100).to_string(),
        3 => format!("{}.{}", near.0 / 100, near.0.rem_euclid(10)),
        4 => format!("CAST({near} AS DECIMAL(30,10))"),
        5 => format!("CAST('{near}' AS DOUBLE PRECISION)"),
        6 => "99999999999999999999.99".to_owned(),
        7 => format!("-{}", Cents(near.0.abs())),
        _ => near.to_string(),
    }
}

fn near_time(dice: &mut Dice, micros: i64) -> String {
    let near = Micros((micros + *dice.pick(&[-1_000_000, -1, 0, 0, 0, 0, 1, 1_000_000])).clamp(ALL_TIMES.0, ALL_TIMES.1));
    let text = near.to_string();
    let bare = text.trim_end_matches('Z');
    let in_nanoseconds = (NANOSECONDS.0..NANOSECONDS.1).contains(&near.0);
    let day = &text[..10];
    match dice.below(20) {
        0 if in_nanoseconds => format!("TIMESTAMP '{}'", bare.replace('T', " ")),
        1 if in_nanoseconds => format!("TIMESTAMPTZ '{text}'"),
        2 if in_nanoseconds => format!("DATE '{day}'"),
        3 if in_nanoseconds => format!("CAST('{text}' AS TIMESTAMP)"),
        4 => format!("'{day}'"),
        5 if bare.contains('.') => format!("'{bare}5Z'"),
        6 if near.0 + 6 * HOUR < ALL_TIMES.1 => {
            let there = Micros(near.0 + 5 * HOUR + HOUR / 2).to_string();
            format!("'{}+05:30'", there.trim_end_matches('Z'))
        }
        _ => quoted(&text),
    }
}
