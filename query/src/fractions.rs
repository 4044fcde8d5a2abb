//! Seconds with their fractions: `extract(second …)`, `extract(milliseconds …)` and `extract(epoch …)`, as exact as PostgreSQL's.
//!
//! DataFusion's own are whole seconds, whole milliseconds, and a double.
//!
//! What must stay true: every other field, and what is extracted of a text, is left to DataFusion's `date_part`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Decimal128Array, Int64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Int64Type, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit, TimeUnit};
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, ScalarValue, internal_err};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{ColumnarValue, Expr, ExprSchemable, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

/// Microseconds of a second, a minute and a day.
const SECOND: i128 = 1_000_000;
const MINUTE: i128 = 60 * SECOND;
const DAY: i128 = 86_400 * SECOND;

/// A call of `date_part` as one that keeps fractions, where it asks for a field that has some.
pub(crate) fn kept(mut function: ScalarFunction, schema: &DFSchema) -> Transformed<Expr> {
    let part = match function.args.as_slice() {
        [Expr::Literal(ScalarValue::Utf8(Some(field)) | ScalarValue::Utf8View(Some(field)), _), of] if function.func.name() == "date_part" => {
            Part::of(field).filter(|_| of.get_type(schema).is_ok_and(|data_type| is_known(&data_type)))
        }
        _ => None,
    };
    match part {
        Some(part) => {
            let signature = Signature::any(1, Volatility::Immutable);
            Transformed::yes(ScalarUDF::new_from_impl(Fraction { part, signature }).call(function.args.split_off(1)))
        }
        None => Transformed::no(Expr::ScalarFunction(function)),
    }
}

/// A field with fractions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Part {
    Second,
    Millisecond,
    Epoch,
}

impl Part {
    fn of(field: &str) -> Option<Part> {
        match field.trim_matches(['\'', '"']).to_ascii_lowercase().as_str() {
            "second" | "seconds" | "sec" | "secs" | "s" => Some(Part::Second),
            "millisecond" | "milliseconds" | "msec" | "msecs" | "ms" => Some(Part::Millisecond),
            "epoch" => Some(Part::Epoch),
            _ => None,
        }
    }

    /// Precision and scale; the number of microseconds is the decimal's digits in each.
    const fn digits(self) -> (u8, i8) {
        match self {
            Part::Second => (8, 6),
            Part::Millisecond => (8, 3),
            Part::Epoch => (22, 6),
        }
    }
}

const fn is_known(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Timestamp(_, _) | DataType::Date32 | DataType::Time32(_) | DataType::Time64(_) | DataType::Duration(_) | DataType::Interval(IntervalUnit::MonthDayNano)
    )
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Fraction {
    part: Part,
    signature: Signature,
}

impl ScalarUDFImpl for Fraction {
    fn name(&self) -> &str {
        match self.part {
            Part::Second => "exact_second",
            Part::Millisecond => "exact_milliseconds",
            Part::Epoch => "exact_epoch",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        let (precision, scale) = self.part.digits();
        Ok(DataType::Decimal128(precision, scale))
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let nullable = args.arg_fields.iter().any(|field| field.is_nullable());
        Ok(Arc::new(Field::new(self.name(), self.return_type(&[])?, nullable)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match args.args.as_slice() {
            [ColumnarValue::Array(times)] => Ok(ColumnarValue::Array(extracted(self.part, times)?)),
            [ColumnarValue::Scalar(time)] => Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&extracted(self.part, &time.to_array()?)?, 0)?)),
            other => internal_err!("{} of {} values", self.name(), other.len()),
        }
    }
}

fn extracted(part: Part, times: &ArrayRef) -> Result<ArrayRef> {
    let (precision, scale) = part.digits();
    let is_of_a_day = matches!(times.data_type(), DataType::Timestamp(_, _) | DataType::Date32);
    let one = |micros: i128| match part {
        Part::Epoch => micros,
        // Before 1970 too, a time of day has a positive second; an interval has the sign that it has.
        Part::Second | Part::Millisecond if is_of_a_day => micros.rem_euclid(MINUTE),
        Part::Second | Part::Millisecond => micros % MINUTE,
    };
    let values: Decimal128Array = match times.data_type() {
        DataType::Interval(IntervalUnit::MonthDayNano) => {
            let interval = |interval: IntervalMonthDayNano| {
                let time = i128::from(interval.nanoseconds) / 1_000;
                match part {
                    // As PostgreSQL: a year has 365.25 days, and a month 30.
                    Part::Epoch => {
                        let (years, months) = (i128::from(interval.months / 12), i128::from(interval.months % 12));
                        years * (DAY / 4 * 1_461) + (months * 30 + i128::from(interval.days)) * DAY + time
                    }
                    Part::Second | Part::Millisecond => one(time),
                }
            };
            times.as_primitive::<IntervalMonthDayNanoType>().iter().map(|value| value.map(interval)).collect()
        }
        _ => micros(times)?.iter().map(|value| value.map(|micros| one(i128::from(micros)))).collect(),
    };
    Ok(Arc::new(values.with_precision_and_scale(precision, scale)?))
}

/// Times as microseconds.
fn micros(times: &ArrayRef) -> Result<Int64Array> {
    let fine = match times.data_type() {
        DataType::Timestamp(_, zone) => DataType::Timestamp(TimeUnit::Microsecond, zone.clone()),
        DataType::Date32 => DataType::Timestamp(TimeUnit::Microsecond, None),
        DataType::Time32(_) | DataType::Time64(_) => DataType::Time64(TimeUnit::Microsecond),
        DataType::Duration(_) => DataType::Duration(TimeUnit::Microsecond),
        other => return internal_err!("{other} has no seconds"),
    };
    let numbers = cast(&cast(times, &fine)?, &DataType::Int64)?;
    match numbers.as_primitive_opt::<Int64Type>() {
        Some(numbers) => Ok(numbers.clone()),
        None => internal_err!("{fine} is no number of microseconds"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{DurationMicrosecondArray, IntervalMonthDayNanoArray, TimestampMicrosecondArray};
    use arrow::datatypes::Decimal128Type;

    fn of(part: Part, times: ArrayRef) -> Vec<Option<i128>> {
        extracted(part, &times).unwrap().as_primitive::<Decimal128Type>().iter().collect()
    }

    #[test]
    fn seconds_have_fractions() {
        let times = || -> ArrayRef { Arc::new(TimestampMicrosecondArray::from(vec![Some(1_772_323_237_814_403), None, Some(-1)]).with_timezone("UTC")) };
        assert_eq!(of(Part::Second, times()), [Some(37_814_403), None, Some(59_999_999)]);
        assert_eq!(of(Part::Epoch, times()), [Some(1_772_323_237_814_403), None, Some(-1)]);
        assert_eq!(extracted(Part::Millisecond, &times()).unwrap().data_type(), &DataType::Decimal128(8, 3));
    }

    #[test]
    fn an_interval_has_the_seconds_of_all_its_parts() {
        let apart: ArrayRef = Arc::new(DurationMicrosecondArray::from(vec![-90_500_000]));
        assert_eq!((of(Part::Second, Arc::clone(&apart)), of(Part::Epoch, apart)), (vec![Some(-30_500_000)], vec![Some(-90_500_000)]));
        let written: ArrayRef = Arc::new(IntervalMonthDayNanoArray::from(vec![IntervalMonthDayNano::new(13, 1, 1_500_000_000)]));
        assert_eq!(of(Part::Epoch, written), [Some((31_557_600 + 31 * 86_400) * 1_000_000 + 1_500_000)]);
    }
}
