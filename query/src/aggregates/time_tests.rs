//! The mended functions beside DataFusion's own.

use super::*;
use arrow::array::{Array, TimestampMicrosecondArray};
use arrow::datatypes::{Field, IntervalMonthDayNano};
use datafusion::config::ConfigOptions;

/// 0001-01-01T00:00:00Z and 9999-12-31T23:59:59.999999Z
const ENDS: [i64; 2] = [-62_135_596_800_000_000, 253_402_300_799_999_999];

fn called(function: &ScalarUDF, first: ScalarValue, times: ArrayRef) -> Result<ArrayRef> {
    let fields: Vec<FieldRef> = vec![Arc::new(Field::new("a", first.data_type(), false)), Arc::new(Field::new("b", times.data_type().clone(), true))];
    let (rows, return_field) = (times.len(), Arc::new(Field::new("c", times.data_type().clone(), true)));
    let args = ScalarFunctionArgs {
        args: vec![ColumnarValue::Scalar(first), ColumnarValue::Array(times)],
        arg_fields: fields,
        number_rows: rows,
        return_field,
        config_options: Arc::new(ConfigOptions::default()),
    };
    function.invoke_with_args(args)?.into_array(rows)
}

fn times(at: Vec<Option<i64>>, zone: &str) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from(at).with_timezone(zone))
}

fn span(months: i32, days: i32, nanoseconds: i64) -> ScalarValue {
    ScalarValue::IntervalMonthDayNano(Some(IntervalMonthDayNano { months, days, nanoseconds }))
}

#[test]
fn within_the_years_of_nanoseconds_both_give_the_same() {
    let [truncate, bin] = functions();
    // Some instants between 1700 and 2200, a prime number of microseconds apart.
    let at = (0..2_000_i64).map(|i| Some(-8_520_336_000_000_000 + i * 7_883_999_999_989)).chain([None, Some(-1), Some(0), Some(1)]).collect::<Vec<_>>();
    for zone in ["UTC", "+00:00", "Europe/Berlin"] {
        for unit in ["microsecond", "millisecond", "SECOND", "minute", "hour", "Day", "week", "month", "quarter", "year"] {
            let unit = ScalarValue::from(unit);
            let own = called(&datetime::date_trunc(), unit.clone(), times(at.clone(), zone)).unwrap();
            assert_eq!(&called(&truncate, unit.clone(), times(at.clone(), zone)).unwrap(), &own, "{unit} in {zone}");
        }
        for stride in [span(0, 0, 900_000_000_000), span(0, 1, 0), span(0, 7, 3_600_000_000_000), span(0, 0, 1_500), span(1, 0, 0), span(3, 0, 0), span(12, 0, 0), span(5, 0, 0)] {
            let own = called(&datetime::date_bin(), stride.clone(), times(at.clone(), zone)).unwrap();
            assert_eq!(&called(&bin, stride.clone(), times(at.clone(), zone)).unwrap(), &own, "{stride} in {zone}");
        }
    }
}

#[test]
fn beyond_them_there_is_an_answer_too() {
    let [truncate, bin] = functions();
    let at = times(ENDS.iter().copied().map(Some).collect(), "UTC");
    assert!(called(&datetime::date_trunc(), ScalarValue::from("year"), Arc::clone(&at)).is_err());
    for function in [called(&truncate, ScalarValue::from("year"), Arc::clone(&at)), called(&bin, span(12, 0, 0), Arc::clone(&at))] {
        let found = function.unwrap();
        let found = found.as_primitive::<TimestampMicrosecondType>();
        assert_eq!((found.null_count(), found.value(0)), (0, ENDS[0]));
        assert_eq!(ENDS[1] - found.value(1), 365 * DAY - 1);
    }
}

#[test]
fn what_has_no_bins_in_microseconds_is_left_alone() {
    assert_eq!(binning(&span(0, 0, 1_500), None), None);
    assert_eq!(binning(&span(0, 0, 0), None), None);
    assert_eq!(binning(&span(0, -1, 0), None), None);
    assert_eq!(binning(&span(2, 0, 0), None), None);
    assert_eq!(binning(&span(1, 1, 0), None), None);
    let origin = |nanos| ScalarValue::TimestampNanosecond(Some(nanos), None);
    assert_eq!(binning(&span(1, 0, 0), Some(&origin(1_000))), None);
    assert_eq!(binning(&span(0, 1, 0), Some(&origin(1))), None);
    assert_eq!(binning(&span(0, 1, 0), Some(&origin(-5_000))), Some(Bin::Every { micros: DAY, origin: -5 }));
    assert_eq!(truncating(&ScalarValue::from("hour"), Some("Europe/Berlin")), None);
    assert_eq!(truncating(&ScalarValue::from("minute"), Some("Europe/Berlin")), Some(Bin::Every { micros: 60_000_000, origin: 0 }));
    assert_eq!(truncating(&ScalarValue::from("decade"), Some("UTC")), None);
}
