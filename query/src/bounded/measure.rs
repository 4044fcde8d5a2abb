//! How much a call gives, told from its arguments.
//!
//! What must stay true: pure; never less than what comes out, but for the width of a character.

use arrow::array::{Array, ArrayRef, AsArray, Int64Array};
use arrow::datatypes::{DataType, Int64Type, TimeUnit};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::ColumnarValue;

/// What a result's size depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Measure {
    /// A text, so many times.
    Repeat,
    /// A text of so many characters.
    Pad,
    /// An element, so many times.
    ArrayRepeat,
    /// A list of so many elements.
    ArrayResize,
    /// Numbers or times from one to another.
    Series,
    /// All of the texts.
    Concat,
    /// All of the texts, the first between each two.
    ConcatWith,
    /// The elements of a list with a text between them.
    Join,
    /// A text in which a text is put in the place of each other one.
    Replace,
    /// The same with a pattern.
    Pattern,
    /// A text that a format makes.
    Format,
    /// Not what comes out, but the steps: the product of two lengths.
    Product,
}

impl Measure {
    /// What the function of this name depends on, if it enlarges.
    pub(super) fn of(name: &str) -> Option<Measure> {
        Some(match name {
            "repeat" => Measure::Repeat,
            "lpad" | "rpad" => Measure::Pad,
            "array_repeat" => Measure::ArrayRepeat,
            "array_resize" => Measure::ArrayResize,
            "range" | "generate_series" => Measure::Series,
            "concat" => Measure::Concat,
            "concat_ws" => Measure::ConcatWith,
            "array_to_string" => Measure::Join,
            "replace" => Measure::Replace,
            "regexp_replace" => Measure::Pattern,
            "to_char" => Measure::Format,
            "levenshtein" => Measure::Product,
            _ => return None,
        })
    }

    /// Whether the estimate can be far above what comes out.
    pub(super) fn is_rough(self) -> bool {
        matches!(self, Measure::Replace | Measure::Pattern)
    }

    /// The estimate for each of `rows` rows.
    pub(super) fn rows(self, arguments: &[ColumnarValue], rows: usize) -> Vec<u64> {
        let number = |place: usize| arguments.get(place).map_or(Numbers::None, Numbers::of);
        let length = |place: usize| arguments.get(place).map_or(Lengths::One(0), Lengths::of);
        let each = |one: &dyn Fn(usize) -> u64| -> Vec<u64> { (0..rows).map(one).collect() };
        match self {
            Measure::Repeat => {
                let (text, times) = (length(0), number(1));
                each(&|row| text.at(row).saturating_mul(times.at(row)))
            }
            Measure::Pad => {
                let wanted = number(1);
                each(&|row| wanted.at(row))
            }
            Measure::ArrayRepeat => {
                let (element, times) = (length(0), number(1));
                each(&|row| element.at(row).max(8).saturating_mul(times.at(row)))
            }
            Measure::ArrayResize => {
                let (list, wanted, element) = (length(0), number(1), length(2));
                each(&|row| element.at(row).max(8).saturating_mul(wanted.at(row)).saturating_add(list.at(row)))
            }
            Measure::Series => {
                let steps = Steps::of(arguments);
                each(&|row| steps.at(row).saturating_mul(8))
            }
            Measure::Concat => {
                let texts: Vec<Lengths> = arguments.iter().map(Lengths::of).collect();
                each(&|row| texts.iter().fold(0, |sum, text| sum.saturating_add(text.at(row))))
            }
            Measure::ConcatWith => {
                let texts: Vec<Lengths> = arguments.iter().map(Lengths::of).collect();
                let between = texts.len().saturating_sub(1) as u64;
                each(&|row| {
                    let separators = texts.first().map_or(0, |separator| separator.at(row)).saturating_mul(between);
                    texts.iter().skip(1).fold(separators, |sum, text| sum.saturating_add(text.at(row)))
                })
            }
            Measure::Join => {
                let (list, between, null) = (length(0), length(1), length(2));
                // An element takes four bytes at least, and is written in thrice as many at most, unless it is NULL.
                each(&|row| (list.at(row) / 4 + 1).saturating_mul(between.at(row).saturating_add(null.at(row)).saturating_add(12)))
            }
            Measure::Replace => {
                let (text, found, instead) = (length(0), length(1), length(2));
                each(&|row| text.at(row).saturating_add((text.at(row) / found.at(row).max(1)).saturating_mul(instead.at(row))))
            }
            Measure::Pattern => {
                let (text, instead) = (length(0), length(2));
                // What stands between matches can be found as often as there are characters, and each group again gives all that it matched.
                each(&|row| (text.at(row) + 1).saturating_mul(instead.at(row).saturating_add(1)))
            }
            Measure::Format => {
                let format = length(1);
                // The longest word for a letter is the name of a month with its weekday.
                each(&|row| format.at(row).saturating_mul(16))
            }
            Measure::Product => {
                let (one, other) = (length(0), length(1));
                each(&|row| one.at(row).saturating_mul(other.at(row)))
            }
        }
    }
}

/// Whole numbers, one a row or one for all.
enum Numbers {
    None,
    One(i64),
    Many(Int64Array),
}

impl Numbers {
    fn of(value: &ColumnarValue) -> Numbers {
        match value {
            ColumnarValue::Scalar(value) => match value.cast_to(&DataType::Int64) {
                Ok(ScalarValue::Int64(Some(number))) => Numbers::One(number),
                _ => Numbers::None,
            },
            ColumnarValue::Array(array) => match arrow::compute::cast(array, &DataType::Int64) {
                Ok(array) => Numbers::Many(array.as_primitive::<Int64Type>().clone()),
                Err(_) => Numbers::None,
            },
        }
    }

    fn signed(&self, row: usize) -> Option<i64> {
        match self {
            Numbers::None => None,
            Numbers::One(number) => Some(*number),
            Numbers::Many(array) => (row < array.len() && array.is_valid(row)).then(|| array.value(row)),
        }
    }

    /// None and less than none are none.
    fn at(&self, row: usize) -> u64 {
        self.signed(row).and_then(|number| u64::try_from(number).ok()).unwrap_or_default()
    }
}

/// Bytes of texts, one a row or one for all; of other values what they take.
enum Lengths {
    One(u64),
    Many(Vec<u64>),
}

impl Lengths {
    fn of(value: &ColumnarValue) -> Lengths {
        match value {
            ColumnarValue::Scalar(value) => Lengths::One(match value {
                ScalarValue::Utf8(text) | ScalarValue::LargeUtf8(text) | ScalarValue::Utf8View(text) => text.as_ref().map_or(0, |text| text.len() as u64),
                value if value.is_null() => 0,
                value => value.to_array().map_or(0, |array| share(&array)),
            }),
            ColumnarValue::Array(array) => Lengths::Many(match array.data_type() {
                DataType::Utf8 => array.as_string::<i32>().iter().map(bytes).collect(),
                DataType::LargeUtf8 => array.as_string::<i64>().iter().map(bytes).collect(),
                DataType::Utf8View => array.as_string_view().iter().map(bytes).collect(),
                _ => vec![share(array); array.len()],
            }),
        }
    }

    fn at(&self, row: usize) -> u64 {
        match self {
            Lengths::One(length) => *length,
            Lengths::Many(lengths) => lengths.get(row).copied().unwrap_or_default(),
        }
    }
}

fn bytes(text: Option<&str>) -> u64 {
    text.map_or(0, |text| text.len() as u64)
}

/// What a value of an array takes, on average.
pub(super) fn share(array: &ArrayRef) -> u64 {
    let all = array.to_data().get_slice_memory_size().unwrap_or_default() as u64;
    all.div_ceil(array.len().max(1) as u64)
}

/// How many steps a series takes.
struct Steps {
    from: Numbers,
    to: Numbers,
    step: Numbers,
}

impl Steps {
    fn of(arguments: &[ColumnarValue]) -> Steps {
        let whole = |place: usize| arguments.get(place).map_or(Numbers::None, instant);
        match arguments.len() {
            0 | 1 => Steps { from: Numbers::One(0), to: whole(0), step: Numbers::One(1) },
            2 => Steps { from: whole(0), to: whole(1), step: Numbers::One(1) },
            _ => Steps { from: whole(0), to: whole(1), step: arguments.get(2).map_or(Numbers::None, interval) },
        }
    }

    fn at(&self, row: usize) -> u64 {
        let (Some(from), Some(to), Some(step)) = (self.from.signed(row), self.to.signed(row), self.step.signed(row)) else { return 0 };
        if (step > 0 && to < from) || (step < 0 && to > from) {
            return 0;
        }
        (to.abs_diff(from) / step.unsigned_abs().max(1)).saturating_add(1)
    }
}

/// A number as it is; a time in microseconds.
fn instant(value: &ColumnarValue) -> Numbers {
    let is_time = matches!(value.data_type(), DataType::Date32 | DataType::Date64 | DataType::Timestamp(_, _));
    if !is_time {
        return Numbers::of(value);
    }
    let micros = match value.cast_to(&DataType::Timestamp(TimeUnit::Microsecond, None), None) {
        Ok(micros) => micros,
        Err(_) => return Numbers::None,
    };
    Numbers::of(&micros)
}

/// A number as it is; an interval in microseconds, of which each is at least one.
fn interval(value: &ColumnarValue) -> Numbers {
    const DAY: i64 = 86_400_000_000;
    match value {
        ColumnarValue::Scalar(ScalarValue::IntervalMonthDayNano(Some(span))) => {
            let days = i64::from(span.months).saturating_mul(30).saturating_add(i64::from(span.days));
            let micros = days.saturating_mul(DAY).saturating_add(span.nanoseconds / 1_000);
            Numbers::One(if micros == 0 { 1 } else { micros })
        }
        ColumnarValue::Array(array) if matches!(array.data_type(), DataType::Interval(_)) => Numbers::One(1),
        value => Numbers::of(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn one(value: impl Into<ScalarValue>) -> ColumnarValue {
        ColumnarValue::Scalar(value.into())
    }

    #[test]
    fn a_result_is_measured_before_it_is_made() {
        assert_eq!(Measure::Repeat.rows(&[one("ab"), one(2_000_000_000_i64)], 1), [4_000_000_000]);
        assert_eq!(Measure::Repeat.rows(&[one("ab"), one(-1_i64)], 1), [0]);
        assert_eq!(Measure::Pad.rows(&[one("a"), one(2_147_483_647_i64), one("y")], 1), [2_147_483_647]);
        assert_eq!(Measure::ArrayRepeat.rows(&[one(1_i64), one(1_000_000_000_i64)], 1), [8_000_000_000]);
        assert_eq!(Measure::Series.rows(&[one(1_i64), one(10_000_000_000_i64)], 1), [80_000_000_000]);
        assert_eq!(Measure::Series.rows(&[one(10_i64), one(1_i64), one(1_i64)], 1), [0]);
        assert_eq!(Measure::Series.rows(&[one(i64::MIN), one(i64::MAX), one(1_i64)], 1), [u64::MAX]);
        assert_eq!(Measure::Product.rows(&[one("abc"), one("de")], 1), [6]);
        assert_eq!(Measure::ConcatWith.rows(&[one(","), one("a"), one("bc")], 1), [5]);
        assert_eq!(Measure::Replace.rows(&[one("aaaa"), one("a"), one("xyz")], 1), [16]);
        let texts: ArrayRef = Arc::new(arrow::array::StringArray::from(vec![Some("a"), None, Some("größe")]));
        assert_eq!(Measure::Concat.rows(&[ColumnarValue::Array(texts), one("!")], 3), [2, 1, 8]);
        assert_eq!(Measure::of("upper"), None);
    }
}
