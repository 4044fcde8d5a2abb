//! Parts put together, and bins.

use chrono_tz::Tz;
use wh_schemas::Micros;

use super::*;

fn at(text: &str) -> i64 {
    Micros::parse(text, Tz::UTC).unwrap().0
}

fn text(text: &str) -> Held {
    Held::Text(text.to_owned())
}

#[test]
fn parts_of_a_group_that_follow_one_another_are_one() {
    let part = |group: &str, count: i64, least: Option<i64>| Part { group: vec![text(group)], measures: vec![Partial::Count(count), Partial::Min(least.map(Held::Int))] };
    let mut joined = Joined::default();
    assert_eq!(joined.take(part("a", 1, Some(7))), None);
    assert_eq!(joined.take(part("a", 2, None)), None);
    assert_eq!(joined.take(part("a", 4, Some(-3))), None);
    assert_eq!(joined.take(part("b", 1, None)), Some(part("a", 7, Some(-3))));
    assert_eq!(joined.0, Some(part("b", 1, None)));
}

#[test]
fn measures_of_no_value_are_null_and_counts_are_not() {
    for function in [Function::Count, Function::CountDistinct] {
        assert_eq!(Partial::of_nothing(function).cell(), Cell::Int(0));
    }
    for function in [Function::Sum, Function::Min, Function::Max] {
        assert_eq!(Partial::of_nothing(function).cell(), Cell::Null);
    }
    assert_eq!(Partial::Sum(None).and(Partial::Sum(Some(-5))), Partial::Sum(Some(-5)));
    assert_eq!(Partial::Max(Some(text("Z"))).and(Partial::Max(Some(text("é")))), Partial::Max(Some(text("é"))));
    let of = |values: &[&str]| Partial::Distinct(values.iter().map(|value| text(value)).collect());
    assert_eq!(of(&["a", "b"]).and(of(&["b", ""])).cell(), Cell::Int(3));
}

#[test]
fn sums_are_wider_than_what_they_are_sums_of() {
    let sum = Partial::Sum(Some(i128::from(i64::MAX))).and(Partial::Sum(Some(2)));
    assert_eq!(sum.cell(), Cell::Wide(i128::from(i64::MAX) + 2));
}

#[test]
fn what_is_no_key_of_a_group_is_not_held() {
    assert_eq!(Held::of(Cell::Text("é".as_bytes())), Some(text("é")));
    assert_eq!((Held::of(Cell::Null), Held::of(Cell::Int(-1))), (Some(Held::Null), Some(Held::Int(-1))));
    assert_eq!((Held::of(Cell::Float(0.5)), Held::of(Cell::Wide(1))), (None, None));
}

#[test]
fn a_bin_begins_where_sql_says() {
    let start = |bin: Bin, of: &str| Micros(Grid::of(bin).unwrap().start(at(of)).unwrap()).to_string();
    let hour = Bin::Every { micros: 3_600_000_000, origin: at("2026-01-01T00:30:00Z") };
    assert_eq!(start(hour, "1969-12-31T23:59:59.999999Z"), "1969-12-31T23:30:00Z");
    assert_eq!(start(hour, "2026-11-22T17:30:00Z"), "2026-11-22T17:30:00Z");
    assert_eq!(start(Bin::Calendar(CalendarUnit::Week), "2026-11-22T17:30:00Z"), "2026-11-16T00:00:00Z");
    assert_eq!(start(Bin::Calendar(CalendarUnit::Week), "1969-12-29T00:00:00Z"), "1969-12-29T00:00:00Z");
    assert_eq!(start(Bin::Calendar(CalendarUnit::Month), "0001-01-31T23:59:59Z"), "0001-01-01T00:00:00Z");
    assert_eq!(start(Bin::Calendar(CalendarUnit::Quarter), "9999-12-31T23:59:59Z"), "9999-10-01T00:00:00Z");
    assert_eq!(start(Bin::Calendar(CalendarUnit::Year), "2000-02-29T12:00:00Z"), "2000-01-01T00:00:00Z");
    assert_eq!(Grid::of(Bin::Every { micros: 0, origin: 5 }), None);
}

#[test]
fn the_next_bin_begins_where_this_one_ends() {
    for (unit, steps) in [(CalendarUnit::Week, 60), (CalendarUnit::Month, 60), (CalendarUnit::Quarter, 20), (CalendarUnit::Year, 9)] {
        let grid = Grid::of(Bin::Calendar(unit)).unwrap();
        let mut start = grid.start(at("1899-01-01T00:00:00Z")).unwrap();
        for _ in 0..steps {
            let next = grid.next(start).unwrap();
            assert_eq!((grid.start(next), grid.start(next - 1)), (Some(next), Some(start)), "{unit:?}");
            start = next;
        }
    }
}
