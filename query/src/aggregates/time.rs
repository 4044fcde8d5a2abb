//! `date_trunc` and `date_bin` in all years.
//!
//! DataFusion's own compute in nanoseconds, which end in 1677 and 2262: beyond, `date_trunc` is an error and `date_bin` NULL. Here they are
//! computed in microseconds where that is the column's unit, as stores do.
//!
//! What must stay true: where DataFusion's own give an answer, it is this one; what is not computed here is left to them.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, PrimitiveArray};
use arrow::datatypes::{DataType, FieldRef, IntervalUnit, TimeUnit, TimestampMicrosecondType};
use datafusion::common::{DataFusionError, Result, ScalarValue, plan_err};
use datafusion::functions::datetime;
use datafusion::logical_expr::sort_properties::{ExprProperties, SortProperties};
use datafusion::logical_expr::{ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use crate::aggregate::{Bin, CalendarUnit, DAY};

/// Names of the two functions.
pub(super) const TRUNCATE: &str = "date_trunc";
pub(super) const BIN: &str = "date_bin";

/// Nanoseconds of a microsecond.
const NANOS: i128 = 1_000;

/// The two functions, in the place of DataFusion's own.
pub(crate) fn functions() -> [Arc<ScalarUDF>; 2] {
    let mended = |own: Arc<ScalarUDF>, kind| {
        // DataFusion's own signature takes the first unit that fits, nanoseconds, which is too narrow for the years here.
        let signature = if kind == Kind::Bin { Signature::user_defined(Volatility::Immutable) } else { own.signature().clone() };
        Arc::new(ScalarUDF::new_from_impl(InAllYears { own, kind, signature }))
    };
    [mended(datetime::date_trunc(), Kind::Truncate), mended(datetime::date_bin(), Kind::Bin)]
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Truncate,
    Bin,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct InAllYears {
    own: Arc<ScalarUDF>,
    kind: Kind,
    signature: Signature,
}

impl ScalarUDFImpl for InAllYears {
    fn name(&self) -> &str {
        self.own.name()
    }

    fn aliases(&self) -> &[String] {
        self.own.aliases()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    // Only for `date_bin`: a time keeps its unit.
    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let ([stride, time] | [stride, time, _]) = types else {
            return plan_err!("{} takes an interval, a time, and where bins begin if not in 1970", self.name());
        };
        let stride = match stride {
            DataType::Interval(IntervalUnit::DayTime) => stride.clone(),
            _ => DataType::Interval(IntervalUnit::MonthDayNano),
        };
        let (time, origin) = match time {
            DataType::Timestamp(_, zone) => (time.clone(), DataType::Timestamp(TimeUnit::Nanosecond, zone.clone())),
            DataType::Time32(_) | DataType::Time64(_) => (time.clone(), time.clone()),
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Date32 | DataType::Date64 | DataType::Null => {
                let time = DataType::Timestamp(TimeUnit::Nanosecond, None);
                (time.clone(), time)
            }
            other => return plan_err!("{} takes a time, not {other}", self.name()),
        };
        Ok([stride, time, origin].into_iter().take(types.len()).collect())
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.own.return_type(types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        self.own.return_field_from_args(args)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match self.bin(&args.args) {
            Some((bin, zone)) => self.binned(bin, zone, &args.args),
            None => self.own.invoke_with_args(args),
        }
    }

    fn output_ordering(&self, input: &[ExprProperties]) -> Result<SortProperties> {
        self.own.output_ordering(input)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.own.documentation()
    }
}

impl InAllYears {
    /// The bins that the arguments ask for, and the zone of the times, where they are microseconds.
    fn bin(&self, args: &[ColumnarValue]) -> Option<(Bin, Option<Arc<str>>)> {
        let (ColumnarValue::Scalar(first), DataType::Timestamp(TimeUnit::Microsecond, zone)) = (args.first()?, args.get(1)?.data_type()) else { return None };
        let bin = match (self.kind, args.get(2)) {
            (Kind::Truncate, _) => truncating(first, zone.as_deref())?,
            (Kind::Bin, None) => binning(first, None)?,
            (Kind::Bin, Some(ColumnarValue::Scalar(origin))) => binning(first, Some(origin))?,
            (Kind::Bin, Some(ColumnarValue::Array(_))) => return None,
        };
        Some((bin, zone))
    }

    fn binned(&self, bin: Bin, zone: Option<Arc<str>>, args: &[ColumnarValue]) -> Result<ColumnarValue> {
        match args.get(1) {
            Some(ColumnarValue::Scalar(ScalarValue::TimestampMicrosecond(at, _))) => {
                let start = match at {
                    Some(at) => self.start(bin, *at)?,
                    None => None,
                };
                Ok(ColumnarValue::Scalar(ScalarValue::TimestampMicrosecond(start, zone)))
            }
            Some(ColumnarValue::Array(times)) => Ok(ColumnarValue::Array(self.starts(bin, zone, times)?)),
            _ => Err(DataFusionError::Internal(format!("{} without times", self.name()))),
        }
    }

    fn starts(&self, bin: Bin, zone: Option<Arc<str>>, times: &ArrayRef) -> Result<ArrayRef> {
        let times = times.as_primitive::<TimestampMicrosecondType>();
        let starts: PrimitiveArray<TimestampMicrosecondType> = match self.kind {
            Kind::Truncate => times.try_unary(|at| bin.start(at).ok_or_else(|| out_of_range(at)))?,
            Kind::Bin => times.unary_opt(|at| bin.start(at)),
        };
        Ok(Arc::new(starts.with_timezone_opt(zone)))
    }

    fn start(&self, bin: Bin, at: i64) -> Result<Option<i64>> {
        match (self.kind, bin.start(at)) {
            (Kind::Truncate, None) => Err(out_of_range(at)),
            (_, start) => Ok(start),
        }
    }
}

fn out_of_range(at: i64) -> DataFusionError {
    DataFusionError::Execution(format!("Timestamp {at} out of range"))
}

/// The bins of `date_trunc(unit, time)`; `None` for those of the calendar of another zone than UTC.
pub(super) fn truncating(unit: &ScalarValue, zone: Option<&str>) -> Option<Bin> {
    let (ScalarValue::Utf8(Some(unit)) | ScalarValue::Utf8View(Some(unit)) | ScalarValue::LargeUtf8(Some(unit))) = unit else { return None };
    let every = |micros| Some(Bin::Every { micros, origin: 0 });
    let is_utc = matches!(zone, None | Some("UTC" | "+00:00"));
    match unit.to_lowercase().as_str() {
        "microsecond" => every(1),
        "millisecond" => every(1_000),
        "second" => every(1_000_000),
        "minute" => every(60_000_000),
        _ if !is_utc => None,
        "hour" => every(3_600_000_000),
        "day" => every(DAY),
        "week" => Some(Bin::Calendar(CalendarUnit::Week)),
        "month" => Some(Bin::Calendar(CalendarUnit::Month)),
        "quarter" => Some(Bin::Calendar(CalendarUnit::Quarter)),
        "year" => Some(Bin::Calendar(CalendarUnit::Year)),
        _ => None,
    }
}

/// The bins of `date_bin(stride, time, origin)`; `None` where they are no whole microseconds, or months that are no unit of the calendar.
pub(super) fn binning(stride: &ScalarValue, origin: Option<&ScalarValue>) -> Option<Bin> {
    let nanos_of_days = |days: i32| i128::from(days) * i128::from(DAY) * NANOS;
    let (months, nanos) = match stride {
        ScalarValue::IntervalMonthDayNano(Some(stride)) => (stride.months, nanos_of_days(stride.days) + i128::from(stride.nanoseconds)),
        ScalarValue::IntervalDayTime(Some(stride)) => (0, nanos_of_days(stride.days) + i128::from(stride.milliseconds) * 1_000 * NANOS),
        _ => return None,
    };
    let origin = match origin {
        None => 0,
        Some(ScalarValue::TimestampNanosecond(Some(origin), _)) => i128::from(*origin),
        Some(_) => return None,
    };
    let micros = |nanos: i128| if nanos % NANOS == 0 { i64::try_from(nanos / NANOS).ok() } else { None };
    match (months, nanos, origin) {
        (0, 1.., _) => Some(Bin::Every { micros: micros(nanos)?, origin: micros(origin)? }),
        (1, 0, 0) => Some(Bin::Calendar(CalendarUnit::Month)),
        (3, 0, 0) => Some(Bin::Calendar(CalendarUnit::Quarter)),
        (12, 0, 0) => Some(Bin::Calendar(CalendarUnit::Year)),
        _ => None,
    }
}

#[cfg(test)]
#[path = "time_tests.rs"]
mod tests;
