//! `time_buckets(stride, from, to)`: the buckets of a time, so that those show too in which nothing happened.
//!
//! ```sql
//! SELECT b.bucket, coalesce(t.n, 0) AS n
//! FROM time_buckets(interval '1 hour', '2026-03-01', '2026-03-02') AS b
//! LEFT JOIN (SELECT date_trunc('hour', timestamp) AS hour, count(*) AS n FROM transactions GROUP BY 1) AS t ON t.hour = b.bucket
//! ORDER BY 1
//! ```
//!
//! The first begins at `from`, the last before `to`; each has its begin (`bucket`) and its end (`bucket_end`), which is where the next one
//! begins. Times without an offset are of the session's zone, and so is the calendar: a day is as long there as that day is, a month ends
//! with the month. In a zone other than UTC join days and what is longer by `timestamp >= bucket AND timestamp < bucket_end`.
//!
//! DataFusion's `generate_series` gives nanoseconds, which end in 1677 and 2262 and which no table has, and goes from month to month by
//! steps, so that behind February every month ends on the 28th.
//!
//! What must stay true: the k-th bucket begins k strides behind the first, by the calendar; a time that the zone leaves out, or has twice, is
//! its first instant; there are so many buckets and no more.

use std::str::FromStr;
use std::sync::Arc;

use arrow::array::timezone::Tz;
use arrow::array::{ArrayRef, RecordBatch, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, IntervalMonthDayNano, IntervalUnit, Schema, TimeUnit, TimestampMicrosecondType};
use datafusion::catalog::{TableFunction, TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::datasource::MemTable;
use datafusion::logical_expr::Expr;
use wh_schemas::arrow::instant;

use crate::zone;

/// Most buckets.
const MOST: usize = 1_000_000;
/// Microseconds of an hour, and nanoseconds of a microsecond.
const HOUR: i64 = 3_600_000_000;
const NANOS: i64 = 1_000;

/// The table function.
pub(crate) fn function() -> Arc<TableFunction> {
    Arc::new(TableFunction::new("time_buckets".to_owned(), Arc::new(TimeBuckets)))
}

#[derive(Debug)]
struct TimeBuckets;

impl TableFunctionImpl for TimeBuckets {
    fn call_with_args(&self, args: TableFunctionArgs<'_, '_>) -> Result<Arc<dyn TableProvider>> {
        let [Expr::Literal(stride, _), Expr::Literal(from, _), Expr::Literal(to, _)] = args.exprs() else {
            return plan_err!("time_buckets() takes three constants: how long a bucket is, the timestamp at which the first one begins, and that at which they end");
        };
        let zone = args.session().config().options().execution.time_zone.clone().unwrap_or_else(|| "UTC".to_owned());
        let buckets = buckets(strided(stride)?, at(from, &zone)?, at(to, &zone)?, Tz::from_str(&zone)?)?;
        Ok(Arc::new(MemTable::try_new(buckets.schema(), vec![vec![buckets]])?))
    }
}

/// How long a bucket is.
fn strided(value: &ScalarValue) -> Result<IntervalMonthDayNano> {
    let ScalarValue::IntervalMonthDayNano(Some(stride)) = value.cast_to(&DataType::Interval(IntervalUnit::MonthDayNano))? else {
        return plan_err!("a bucket is as long as an interval, like interval '1 hour', and not {value}");
    };
    let parts = [i64::from(stride.months), i64::from(stride.days), stride.nanoseconds];
    if parts.iter().any(|part| *part < 0) || parts.iter().all(|part| *part == 0) || stride.nanoseconds % NANOS != 0 {
        return plan_err!("a bucket is longer than nothing, and as long as whole microseconds");
    }
    Ok(stride)
}

/// An instant that the statement writes.
fn at(value: &ScalarValue, zone: &str) -> Result<i64> {
    // A date is its midnight.
    let value = if let ScalarValue::Date32(_) = value { value.cast_to(&DataType::Timestamp(TimeUnit::Microsecond, None))? } else { value.clone() };
    match zone::instant(&value, &instant(), zone)? {
        ScalarValue::TimestampMicrosecond(Some(at), _) => Ok(at),
        _ => plan_err!("buckets begin and end at an instant, not at {value}"),
    }
}

/// The rows of the table.
fn buckets(stride: IntervalMonthDayNano, from: i64, to: i64, zone: Tz) -> Result<RecordBatch> {
    let mut starts = Vec::new();
    let mut start = from;
    while start < to {
        if starts.len() == MOST {
            return plan_err!("time_buckets() gives at most {MOST} buckets: make them longer");
        }
        starts.push(start);
        let Some(next) = nth(stride, starts.len(), from, zone) else { return plan_err!("time_buckets() reaches beyond the years that there are") };
        start = next;
    }
    let ends: Vec<i64> = starts.iter().copied().skip(1).chain((!starts.is_empty()).then_some(start)).collect();
    let column = |times: Vec<i64>| -> ArrayRef { Arc::new(TimestampMicrosecondArray::from(times).with_data_type(instant())) };
    let schema = Schema::new(vec![Field::new("bucket", instant(), false), Field::new("bucket_end", instant(), false)]);
    Ok(RecordBatch::try_new(Arc::new(schema), vec![column(starts), column(ends)])?)
}

/// Where the bucket with a number begins.
fn nth(stride: IntervalMonthDayNano, number: usize, from: i64, zone: Tz) -> Option<i64> {
    let (few, many) = (i32::try_from(number).ok()?, i64::try_from(number).ok()?);
    let span = IntervalMonthDayNano::new(stride.months.checked_mul(few)?, stride.days.checked_mul(few)?, 0);
    let micros = (stride.nanoseconds / NANOS).checked_mul(many)?;
    let days = |from: i64| TimestampMicrosecondType::add_month_day_nano(from, span, zone);
    // Not there, or there twice: what is an hour before is there once.
    let day = days(from).or_else(|| days(from.checked_sub(HOUR)?)?.checked_add(HOUR))?;
    day.checked_add(micros)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::util::display::array_value_to_string;

    const DAY: i64 = 24 * HOUR;
    const UTC: &str = "UTC";

    fn span(months: i32, days: i32, hours: i64) -> IntervalMonthDayNano {
        IntervalMonthDayNano::new(months, days, hours * HOUR * NANOS)
    }

    fn text(text: &str, zone: &str) -> i64 {
        at(&ScalarValue::from(text), zone).unwrap()
    }

    /// The begins, and the last end, in a zone.
    fn made(stride: IntervalMonthDayNano, from: &str, to: &str, zone: &str) -> Vec<String> {
        let batch = buckets(stride, text(from, zone), text(to, zone), zone.parse().unwrap()).unwrap();
        let shown = |column: &ArrayRef, row: usize| {
            let local = arrow::compute::cast(column, &DataType::Timestamp(TimeUnit::Microsecond, Some(zone.into()))).unwrap();
            array_value_to_string(&local, row).unwrap()
        };
        let rows = batch.num_rows();
        for row in 1..rows {
            assert_eq!(shown(batch.column(0), row), shown(batch.column(1), row - 1));
        }
        (0..rows).map(|row| shown(batch.column(0), row)).chain((rows > 0).then(|| shown(batch.column(1), rows - 1))).collect()
    }

    #[test]
    fn buckets_go_from_the_first_instant_to_before_the_last() {
        assert_eq!(made(span(0, 0, 1), "2026-03-01T22:30:00Z", "2026-03-02T00:00:00Z", UTC), ["2026-03-01T22:30:00Z", "2026-03-01T23:30:00Z", "2026-03-02T00:30:00Z"]);
        assert_eq!(made(span(0, 1, 0), "2026-03-01", "2026-03-02", UTC), ["2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z"]);
        assert_eq!(made(span(0, 1, 0), "2026-03-02", "2026-03-02", UTC), [""; 0]);
        assert_eq!(made(span(1, 0, 0), "2025-12-31", "2026-04-01", UTC).len(), 5);
        assert_eq!(made(span(1, 0, 0), "2025-12-31", "2026-04-01", UTC)[1..4], ["2026-01-31T00:00:00Z", "2026-02-28T00:00:00Z", "2026-03-31T00:00:00Z"]);
        assert_eq!(made(span(12, 0, 0), "0001-01-01", "0002-06-01", UTC).len(), 3);
    }

    #[test]
    fn days_are_those_of_the_zone() {
        assert_eq!(
            made(span(0, 1, 0), "2026-03-28", "2026-03-31", "Europe/Berlin"),
            ["2026-03-28T00:00:00+01:00", "2026-03-29T00:00:00+01:00", "2026-03-30T00:00:00+02:00", "2026-03-31T00:00:00+02:00"]
        );
        // Hours are hours: one of the day is missing there.
        assert_eq!(made(span(0, 0, 1), "2026-03-29", "2026-03-30", "Europe/Berlin").len(), 24);
        assert_eq!(made(span(0, 0, 1), "2026-10-25", "2026-10-26", "Europe/Berlin").len(), 26);
        // 02:30 is not there on one day, and twice on another.
        assert_eq!(made(span(0, 1, 0), "2026-03-28T02:30:00", "2026-03-30", "Europe/Berlin")[1], "2026-03-29T03:30:00+02:00");
        assert_eq!(made(span(0, 1, 0), "2026-10-24T02:30:00", "2026-10-26", "Europe/Berlin")[1], "2026-10-25T02:30:00+02:00");
        // Neither is midnight where summer begins with the day.
        assert_eq!(made(span(0, 1, 0), "2024-04-25", "2024-04-27", "Africa/Cairo")[1], "2024-04-26T01:00:00+03:00");
    }

    #[test]
    fn what_makes_no_buckets_is_told() {
        let said = |value: ScalarValue| strided(&value).unwrap_err().to_string();
        for nothing in [span(0, 0, 0), span(0, -1, 0), span(1, -1, 0), IntervalMonthDayNano::new(0, 0, 1)] {
            assert!(said(ScalarValue::IntervalMonthDayNano(Some(nothing))).contains("longer than nothing"));
        }
        assert!(said(ScalarValue::IntervalMonthDayNano(None)).contains("as long as an interval"));
        assert_eq!(strided(&ScalarValue::from("1 hour 30 minutes")).unwrap(), IntervalMonthDayNano::new(0, 0, 90 * 60 * 1_000_000_000));
        assert!(at(&ScalarValue::Utf8(None), UTC).is_err());
        assert_eq!(at(&ScalarValue::Date32(Some(1)), UTC).unwrap(), DAY);
        let second = IntervalMonthDayNano::new(0, 0, 1_000_000_000);
        assert!(buckets(second, 0, 100 * DAY, UTC.parse().unwrap()).unwrap_err().to_string().contains("at most 1000000 buckets"));
        assert!(nth(span(i32::MAX, 0, 0), 2, 0, UTC.parse().unwrap()).is_none());
    }
}
