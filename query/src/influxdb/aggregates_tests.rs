//! The statements, as text, and what is read of their answers.

use std::sync::Arc;

use arrow::datatypes::Schema;
use wh_stores::influxdb::answer::Reader;

use super::super::selected::{is_held, rough};
use super::*;
use crate::aggregate::{Bin, CalendarUnit};
use crate::predicate::{Op, Value};
use crate::shape;

const NOON: i64 = 1_767_268_800;
const HOUR: Bin = Bin::Every { micros: 3_600_000_000, origin: 0 };

fn column(name: &str) -> usize {
    shape::metrics().index_of(name).unwrap()
}

fn by(name: &str) -> Group {
    Group::Column(column(name))
}

fn bins(bin: Bin) -> Group {
    Group::Time { column: column("time"), bin }
}

fn measure(function: Function, name: &str) -> Measure {
    Measure { function, column: (name != "*").then(|| column(name)) }
}

fn aggregation(groups: Vec<Group>, measures: Vec<Measure>) -> Aggregation {
    // What is written does not depend on the names and types of the answer.
    Aggregation { groups, measures, schema: Arc::new(Schema::empty()) }
}

fn asked_for(aggregation: &Aggregation, predicates: &[Predicate]) -> Aggregated {
    let shape = shape::metrics();
    assert!(takes(&shape, aggregation), "{aggregation:?}");
    aggregated(&shape, aggregation, predicates).unwrap()
}

fn time(op: Op, second: i64) -> Predicate {
    Predicate::Compare { column: column("time"), op, value: Value::Int(second * SECOND) }
}

/// An hour, so that nothing beyond what InfluxDB knows is asked for.
fn an_hour() -> [Predicate; 2] {
    [time(Op::GtEq, NOON), time(Op::Lt, NOON + 3_600)]
}

const WITHIN: &str = "WHERE time >= 1767268800000000000 AND time < 1767272400000000000";

#[test]
fn groups_are_tags_and_bins_of_whole_seconds() {
    let text = |groups: Vec<Group>, measures: Vec<Measure>| asked_for(&aggregation(groups, measures), &an_hour()).query.shown();
    let all = || vec![measure(Function::Count, "*"), measure(Function::Sum, "score_sum"), measure(Function::Max, "score_max"), measure(Function::Count, "block")];
    assert_eq!(text(Vec::new(), vec![measure(Function::Count, "*")]), format!("SELECT count(\"transactions\") AS \"m0\" FROM \"throughput\" {WITHIN}"));
    assert_eq!(
        text(vec![by("department"), by("partition")], all()),
        format!(
            "SELECT count(\"transactions\") AS \"m0\", sum(\"score_sum\") AS \"m1\", max(\"score_max\") AS \"m2\" FROM \"throughput\" {WITHIN} GROUP BY \"department\", \"partition\""
        )
    );
    assert_eq!(
        text(vec![bins(HOUR), by("risk_level")], vec![measure(Function::Min, "alerts")]),
        format!("SELECT min(\"alerts\") AS \"m0\", count(\"transactions\") AS \"m1\" FROM \"throughput\" {WITHIN} GROUP BY \"risk_level\", time(3600s, 0s) fill(none)")
    );
    assert!(text(vec![by("time")], Vec::new()).ends_with("GROUP BY time(1s, 0s) fill(none)"));
    assert!(text(vec![bins(Bin::Calendar(CalendarUnit::Week))], Vec::new()).ends_with("GROUP BY time(604800s, 345600s) fill(none)"));
    assert!(text(vec![bins(Bin::Calendar(CalendarUnit::Quarter))], Vec::new()).ends_with("GROUP BY time(86400s, 0s) fill(none)"));
    assert!(text(Vec::new(), vec![measure(Function::CountDistinct, "department"), measure(Function::CountDistinct, "department")]).ends_with("GROUP BY \"department\""));
    let money = text(Vec::new(), vec![measure(Function::Sum, "amount_sum")]);
    assert!(money.starts_with("SELECT sum(\"amount_sum\") AS \"m0\", sum(\"transactions\") AS \"m1\" FROM"), "{money}");
    // Points are counted only where nothing else tells that there are some, and nothing is computed twice.
    let some = text(vec![by("department")], vec![measure(Function::Sum, "alerts"), measure(Function::Max, "alerts"), measure(Function::Sum, "alerts")]);
    assert!(some.starts_with("SELECT sum(\"alerts\") AS \"m0\", max(\"alerts\") AS \"m1\" FROM"), "{some}");
}

#[test]
fn what_is_not_exact_is_not_taken() {
    let shape = shape::metrics();
    let every = |micros: i64, origin: i64| bins(Bin::Every { micros, origin });
    for (groups, measures) in [
        (vec![by("block")], Vec::new()),
        (vec![by("alerts")], Vec::new()),
        (vec![every(500_000, 0)], Vec::new()),
        (vec![every(SECOND, 1)], Vec::new()),
        (vec![every(400 * DAY, 0)], Vec::new()),
        (vec![bins(HOUR), by("time")], Vec::new()),
        (Vec::new(), vec![measure(Function::Max, "time")]),
        (Vec::new(), vec![measure(Function::Min, "department")]),
        (Vec::new(), vec![measure(Function::Sum, "partition")]),
        (Vec::new(), vec![measure(Function::CountDistinct, "alerts")]),
        (vec![bins(HOUR)], vec![measure(Function::CountDistinct, "department")]),
    ] {
        let aggregation = aggregation(groups, measures);
        assert!(!takes(&shape, &aggregation), "{aggregation:?}");
    }
}

#[test]
fn a_point_is_in_one_statement() {
    let sum = || vec![measure(Function::Sum, "alerts")];
    let all = asked_for(&aggregation(vec![by("department")], sum()), &[]);
    assert_eq!((all.query.statements, all.single), (2, 1));
    assert!(all.query.text.starts_with("SELECT \"department\", \"alerts\", \"second\" FROM \"throughput_out_of_range\" WHERE time >= "), "{}", all.query.text);
    let counted = asked_for(&aggregation(Vec::new(), vec![measure(Function::Count, "*")]), &[]);
    assert!(counted.query.text.starts_with("SELECT \"transactions\" FROM \"throughput_out_of_range\""), "{}", counted.query.text);
    // The first bins that are wholly inside of InfluxDB's time, and the last.
    let hours = asked_for(&aggregation(vec![bins(HOUR)], sum()), &[]);
    assert_eq!((hours.query.statements, hours.single), (4, 3));
    let (first, last) = (hours.seconds.0, hours.seconds.1 + 1);
    assert_eq!((first.rem_euclid(3_600), last.rem_euclid(3_600)), (0, 0));
    assert!(first - SECONDS.0 > 2 * 3_600 && SECONDS.1 - last > 2 * 3_600);
    let nanos = 1_000_000_000;
    for part in [
        format!("time < {};", first * nanos),
        format!("time >= {} AND time < {};", last * nanos, 9_223_372_036_000_000_000_i64),
        format!("time >= {} AND time < {}", first * nanos, last * nanos),
    ] {
        assert!(hours.query.text.contains(&part), "{part} is not in {}", hours.query.text);
    }
    let old = asked_for(&aggregation(vec![bins(HOUR)], sum()), &[time(Op::Lt, SECONDS.0)]);
    assert_eq!((old.query.statements, old.single), (1, 1));
    assert_eq!(asked_for(&aggregation(Vec::new(), sum()), &[time(Op::Lt, 0), time(Op::Gt, 0)]).query.statements, 0);
}

fn read(aggregation: &Aggregation, line: &str) -> Option<Found> {
    let parts = Reader::new(1).read(line.as_bytes()).unwrap();
    let series = &parts[0].series[0];
    let shape = shape::metrics();
    group(&shape, aggregation, &selected(&shape, aggregation), series, &series.values[0])
}

#[test]
fn a_group_is_read_from_its_tags_and_its_time() {
    let line = |values: &str| {
        format!(
            r#"{{"results":[{{"statement_id":0,"series":[{{"name":"throughput","tags":{{"department":"a%0A","partition":"3"}},"columns":["time","m0","m1","m2","m3"],"values":[[{values}]]}}]}}]}}"#
        )
    };
    let groups = vec![by("partition"), bins(Bin::Calendar(CalendarUnit::Month)), by("department")];
    let measures = vec![measure(Function::Count, "*"), measure(Function::Sum, "amount_sum"), measure(Function::Max, "score_max")];
    let aggregation = aggregation(groups, measures);
    let found = read(&aggregation, &line("1769040000000000000,3,700,5,97")).unwrap();
    // 2026-01-22 is of January.
    assert_eq!(found.part.group, [Held::Int(3), Held::Int(1_767_225_600 * SECOND), Held::Text("a\n".to_owned())]);
    assert_eq!(found.part.measures, [Partial::Count(3), Partial::Sum(Some(700)), Partial::Max(Some(Held::Int(97)))]);
    assert_eq!(found.doubtful, [0; 0]);
    assert_eq!(read(&aggregation, &line("0,3,-2,9223,97")).unwrap().doubtful, [0; 0]);
    for doubtful in ["9224", "-1", "9223372036854775807"] {
        assert_eq!(read(&aggregation, &line(&format!("0,3,-2,{doubtful},97"))).unwrap().doubtful, [1], "{doubtful}");
    }
    assert_eq!(read(&aggregation, &line("0,3,null,1,2")), None);
    assert_eq!(read(&aggregation, &line("0,3,7,null,2")), None);
    assert_eq!(read(&aggregation, &line("0,3,7,1")), None);
}

#[test]
fn a_doubtful_sum_is_told_by_a_double_whether_it_is_held() {
    let sum = aggregation(vec![bins(HOUR), by("department")], vec![measure(Function::Sum, "amount_sum")]);
    let asked = asked_for(&sum, &[time(Op::GtEq, NOON + 60), time(Op::Lt, NOON + 90), Predicate::Compare { column: column("alerts"), op: Op::Gt, value: Value::Int(0) }]);
    let tags = BTreeMap::from([("department".to_owned(), "IT".to_owned())]);
    let selected = rough(&shape::metrics(), column("amount_sum"));
    let query = asked.again(&selected, &tags, &[Datum::Int(NOON * 1_000_000_000)]).unwrap();
    assert_eq!(
        query.shown(),
        "SELECT sum(\"amount_sum\"::float) / 4294967296 FROM \"throughput\" WHERE time >= 1767268860000000000 AND time < 1767268890000000000 AND (\"alerts\" > $p0) AND \"department\" = $p1 [$p0=0, $p1=\"IT\"]"
    );
    for held in [Datum::Float(1.629_814_505_577_087e-7), Datum::Float(1_073_741_823.5), Datum::Int(-1_073_741_823)] {
        assert_eq!(is_held(&held), Some(true), "{held:?}");
    }
    for doubtful in [Datum::Int(1_073_741_824), Datum::Float(-1_073_741_824.0), Datum::Int(4_294_967_296), Datum::Float(3.5e20)] {
        assert_eq!(is_held(&doubtful), Some(false), "{doubtful:?}");
    }
}

#[test]
fn a_point_is_a_group_of_its_own_until_it_meets_others() {
    let line = r#"{"results":[{"statement_id":0,"series":[{"name":"throughput_out_of_range","columns":["time","department","amount_sum","second"],"values":[[-9223372036000000000,"%",7,253402300799]]}]}]}"#;
    let parts = Reader::new(1).read(line.as_bytes()).unwrap();
    let series = &parts[0].series[0];
    let measures = vec![measure(Function::Sum, "amount_sum"), measure(Function::Count, "alerts"), measure(Function::CountDistinct, "department")];
    let of = |group: Group| point(&shape::metrics(), &aggregation(vec![group], measures.clone()), series, &series.values[0]);
    let part = of(by("department")).unwrap();
    assert_eq!(part.group, [Held::Text(String::new())]);
    assert_eq!(part.measures, [Partial::Sum(Some(7)), Partial::Count(1), Partial::Distinct(BTreeSet::from([Held::Text(String::new())]))]);
    // 9999-10-01
    assert_eq!(of(bins(Bin::Calendar(CalendarUnit::Quarter))).unwrap().group, [Held::Int(253_394_352_000 * SECOND)]);
    assert_eq!(of(by("partition")), None);
}
