//! Bins over all years, and what becomes of an aggregation.

use super::*;
use arrow::datatypes::Field;

/// 0001-01-01T00:00:00Z, a Monday.
const FIRST: i64 = -62_135_596_800_000_000;
/// 9999-12-31T23:59:59.999999Z
const LAST: i64 = 253_402_300_799_999_999;

fn start(unit: CalendarUnit, day: i64) -> i64 {
    Bin::Calendar(unit).start(day * DAY + 1).unwrap() / DAY
}

#[test]
fn a_calendars_bins_begin_where_they_should() {
    // 2024-02-29, a Thursday.
    let leap = 19_782;
    assert_eq!(start(CalendarUnit::Week, leap), leap - 3);
    assert_eq!(start(CalendarUnit::Month, leap), leap - 28);
    assert_eq!(start(CalendarUnit::Quarter, leap), leap - 59);
    assert_eq!(start(CalendarUnit::Year, leap), leap - 59);
    // 1969-12-31, a Wednesday.
    assert_eq!(start(CalendarUnit::Week, -1), -3);
    assert_eq!(start(CalendarUnit::Month, -1), -31);
    assert_eq!(start(CalendarUnit::Quarter, -1), -92);
    assert_eq!(start(CalendarUnit::Year, -1), -365);
}

#[test]
fn every_bin_holds_what_it_is_the_bin_of_in_all_years() {
    let bins = [
        Bin::Every { micros: 1, origin: 0 },
        Bin::Every { micros: 900 * SECOND, origin: 0 },
        Bin::Every { micros: 7 * DAY, origin: 12_345 },
        Bin::Every { micros: 3_600 * SECOND, origin: LAST },
        Bin::Calendar(CalendarUnit::Week),
        Bin::Calendar(CalendarUnit::Month),
        Bin::Calendar(CalendarUnit::Quarter),
        Bin::Calendar(CalendarUnit::Year),
    ];
    for bin in bins {
        for at in [FIRST, FIRST + 1, -1, 0, 1, 1_772_323_200_000_001, LAST] {
            let start = bin.start(at).unwrap();
            assert!(start <= at, "{bin:?} {at}");
            assert_eq!(bin.start(start), Some(start), "{bin:?} {at}");
            assert_eq!(bin.start(at - (at - start) / 2), Some(start), "{bin:?} {at}");
            if let Bin::Every { micros, origin } = bin {
                assert!(at - start < micros && (start - origin) % micros == 0, "{bin:?} {at}");
            }
        }
    }
    assert_eq!(Bin::Calendar(CalendarUnit::Week).start(FIRST), Some(FIRST));
    assert_eq!(Bin::Calendar(CalendarUnit::Year).start(LAST).map(|start| LAST - start), Some(365 * DAY - 1));
    assert_eq!(Bin::Every { micros: 10, origin: 5 }.start(i64::MIN), None);
    assert_eq!(Bin::Every { micros: 0, origin: 5 }.start(7), None);
}

#[test]
fn months_are_those_of_the_calendar_day_by_day() {
    let lengths = |year: i64| {
        let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
        [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
    };
    let mut day = FIRST / DAY;
    for year in 1..=9999 {
        for (month, length) in lengths(year).into_iter().enumerate() {
            let month = i64::try_from(month).unwrap() + 1;
            assert_eq!(civil(day), (year, month, 1));
            assert_eq!(civil(day + length - 1), (year, month, length));
            assert_eq!(days_to(year, month), day);
            day += length;
        }
    }
}

fn aggregation(groups: Vec<Group>, measures: Vec<Measure>) -> Aggregation {
    let schema = wh_schemas::arrow::transactions();
    let mut fields: Vec<Field> = groups.iter().map(|group| Field::new(group.display(&schema), DataType::Utf8, true)).collect();
    fields.extend(measures.iter().map(|measure| Field::new(measure.display(&schema), measure.data_type(&schema).unwrap(), measure.is_nullable())));
    Aggregation { groups, measures, schema: Arc::new(Schema::new(fields)) }
}

#[test]
fn what_is_asked_is_said() {
    let schema = wh_schemas::arrow::transactions();
    let [department, timestamp, amount] = ["department", "timestamp", "amount"].map(|name| schema.index_of(name).unwrap());
    let asked = aggregation(
        vec![Group::Column(department), Group::Time { column: timestamp, bin: Bin::Every { micros: 900 * SECOND, origin: 0 } }],
        vec![Measure { function: Function::Count, column: None }, Measure { function: Function::Sum, column: Some(amount) }],
    );
    assert_eq!(asked.display(&schema), "count(*), sum(amount) by department, date_bin(15 minute, timestamp)");
    assert_eq!(asked.measures[1].data_type(&schema), Some(DataType::Decimal128(25, 2)));
    assert_eq!((asked.plain_column(0), asked.plain_column(1), asked.plain_column(2)), (Some(department), None, None));
    let distinct = aggregation(vec![Group::Time { column: timestamp, bin: Bin::Calendar(CalendarUnit::Month) }], Vec::new());
    assert_eq!(distinct.display(&schema), "by date_trunc(month, timestamp)");
    assert_eq!(aggregation(Vec::new(), vec![Measure { function: Function::CountDistinct, column: Some(department) }]).display(&schema), "count(distinct department)");
}

#[test]
fn measures_that_nobody_wants_are_left_out_and_groups_are_not() {
    let measures = vec![Measure { function: Function::Count, column: None }, Measure { function: Function::Max, column: Some(0) }];
    let grouped = aggregation(vec![Group::Column(0)], measures.clone());
    let (pruned, kept) = grouped.pruned(&[2]);
    assert_eq!((pruned.measures.as_slice(), kept.as_slice()), (&measures[1..], [0, 2].as_slice()));
    assert_eq!(pruned.schema.fields().len(), 2);
    let (pruned, kept) = aggregation(Vec::new(), measures.clone()).pruned(&[]);
    assert_eq!((pruned.measures.as_slice(), kept.as_slice()), (&measures[..1], [0].as_slice()));
}
