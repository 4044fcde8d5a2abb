//! The searches, as JSON, and what is read of their answers.

use std::sync::Arc;

use wh_stores::elasticsearch::connect::decode;

use super::*;

const HOUR: Bin = Bin::Every { micros: 3_600_000_000, origin: 0 };

fn column(name: &str) -> usize {
    wh_schemas::arrow::alerts().index_of(name).unwrap()
}

fn by(name: &str) -> Group {
    Group::Column(column(name))
}

fn bins(name: &str, bin: Bin) -> Group {
    Group::Time { column: column(name), bin }
}

fn measure(function: Function, name: &str) -> Measure {
    Measure { function, column: (name != "*").then(|| column(name)) }
}

fn aggregation(groups: Vec<Group>, measures: Vec<Measure>) -> Aggregation {
    // What is written does not depend on the names and types of the answer.
    Aggregation { groups, measures, schema: Arc::new(Schema::empty()) }
}

fn asked(groups: Vec<Group>, measures: Vec<Measure>) -> String {
    let (schema, aggregation) = (wh_schemas::arrow::alerts(), aggregation(groups, measures));
    assert!(takes(&schema, &aggregation), "{aggregation:?}");
    body(&schema, &aggregation, &json!({ "match_all": {} }), 7).to_string()
}

#[test]
fn groups_are_a_composite_and_alerts_without_groups_are_none() {
    let count = || measure(Function::Count, "*");
    assert_eq!(asked(Vec::new(), vec![count(), measure(Function::Count, "title")]), r#"{"size":0,"track_total_hits":true,"query":{"match_all":{}},"aggs":{}}"#);
    assert_eq!(
        asked(Vec::new(), vec![count(), measure(Function::Max, "created_at"), measure(Function::Sum, "risk_score")]),
        r#"{"size":0,"track_total_hits":true,"query":{"match_all":{}},"aggs":{"m1":{"max":{"field":"created_at"}},"m2":{"sum":{"field":"risk_score"}}}}"#
    );
    assert_eq!(
        asked(vec![by("severity"), bins("created_at", HOUR)], vec![count(), measure(Function::Min, "seq")]),
        r#"{"size":0,"track_total_hits":false,"query":{"match_all":{}},"aggs":{"groups":{"composite":{"size":7,"sources":[{"g0":{"terms":{"field":"severity","missing_bucket":true}}},{"g1":{"date_histogram":{"field":"@timestamp","missing_bucket":true,"fixed_interval":"3600000ms","offset":"0ms"}}}]},"aggs":{"m1":{"min":{"field":"seq"}}}}}}"#
    );
    let distinct = asked(vec![by("department")], vec![measure(Function::CountDistinct, "user_id"), measure(Function::CountDistinct, "user_id")]);
    assert!(
        distinct.contains(r#""sources":[{"g0":{"terms":{"field":"department","missing_bucket":true}}},{"d":{"terms":{"field":"user_id","missing_bucket":true}}}]"#),
        "{distinct}"
    );
    let week = asked(vec![bins("created_at", Bin::Calendar(CalendarUnit::Week))], Vec::new());
    assert!(week.contains(r#""fixed_interval":"604800000ms","offset":"345600000ms""#), "{week}");
    let year = asked(vec![bins("created_at", Bin::Calendar(CalendarUnit::Year))], Vec::new());
    assert!(year.contains(r#""calendar_interval":"year""#) && !year.contains("offset"), "{year}");
}

#[test]
fn what_is_not_exact_is_not_taken() {
    let schema = wh_schemas::arrow::alerts();
    for (groups, measures) in [
        (vec![by("title")], Vec::new()),
        (vec![by("detection_rules")], Vec::new()),
        (vec![by("_score")], Vec::new()),
        // There is no date of it.
        (vec![bins("timestamp", HOUR)], Vec::new()),
        (vec![bins("created_at", Bin::Every { micros: 500, origin: 0 })], Vec::new()),
        (vec![bins("created_at", Bin::Every { micros: 1_000, origin: 1 })], Vec::new()),
        (Vec::new(), vec![measure(Function::Sum, "seq")]),
        (Vec::new(), vec![measure(Function::Min, "user_id")]),
        (Vec::new(), vec![measure(Function::Count, "_score")]),
        (Vec::new(), vec![measure(Function::CountDistinct, "message")]),
        (Vec::new(), vec![measure(Function::CountDistinct, "user_id"), measure(Function::CountDistinct, "severity")]),
    ] {
        let aggregation = aggregation(groups, measures);
        assert!(!takes(&schema, &aggregation), "{aggregation:?}");
    }
}

#[test]
fn a_page_becomes_groups() {
    let text = r#"{"pit_id":"p","aggregations":{"groups":{"after_key":{"g0":"IT","g1":1795370400000,"d":"u2"},"buckets":[
        {"key":{"g0":"IT","g1":1795370400000,"d":"u1"},"doc_count":3,"m0":{"value":251.0},"m1":{"value":1.795371864939E15}},
        {"key":{"g0":null,"g1":null,"d":null},"doc_count":1,"m0":{"value":70.0},"m1":{"value":9.007199254740992E15}}]}}}"#;
    let mut answer: Answer = decode(text.as_bytes()).unwrap();
    let measures = vec![measure(Function::Sum, "risk_score"), measure(Function::Max, "timestamp"), measure(Function::Count, "*"), measure(Function::CountDistinct, "user_id")];
    let aggregation = aggregation(vec![by("department"), bins("created_at", HOUR)], measures);
    let first = found(&aggregation, &answer.groups()[0]).unwrap();
    assert_eq!(first.part.group, [Held::Text("IT".to_owned()), Held::Int(1_795_370_400_000_000)]);
    assert_eq!(first.part.measures, [Partial::Sum(Some(251)), Partial::Max(Some(Held::Int(1_795_371_864_939_000))), Partial::Count(3), Partial::Count(1)]);
    assert_eq!(first.doubtful, [0; 0]);
    let second = found(&aggregation, &answer.groups()[1]).unwrap();
    assert_eq!((second.part.group, second.doubtful), (vec![Held::Null, Held::Null], vec![1]));
    assert_eq!(second.part.measures[3], Partial::Count(0));
    assert_eq!(answer.behind().unwrap().to_string(), r#"{"g0":"IT","g1":1795370400000,"d":"u2"}"#);
}

#[test]
fn alerts_without_groups_are_one_group_also_where_there_are_none() {
    let of = |text: &str| {
        let measures = vec![measure(Function::Count, "*"), measure(Function::Sum, "risk_score"), measure(Function::Min, "seq")];
        found(&aggregation(Vec::new(), measures), &decode::<Answer>(text.as_bytes()).unwrap().whole()).unwrap().part.measures
    };
    let none = of(r#"{"hits":{"total":{"value":0,"relation":"eq"}},"aggregations":{"m1":{"value":0.0},"m2":{"value":null}}}"#);
    assert_eq!(none, [Partial::Count(0), Partial::Sum(None), Partial::Min(None)]);
    let some = of(r#"{"hits":{"total":{"value":2,"relation":"eq"}},"aggregations":{"m1":{"value":150.0},"m2":{"value":-0.0}}}"#);
    assert_eq!(some, [Partial::Count(2), Partial::Sum(Some(150)), Partial::Min(Some(Held::Int(0)))]);
}

#[test]
fn what_double_precision_cannot_say_is_sorted_for() {
    let schema = wh_schemas::arrow::alerts();
    let text = r#"{"aggregations":{"groups":{"buckets":[{"key":{"g0":"IT","g1":1795370400000,"d":null},"doc_count":3,"m0":{"value":2.5E17}}]}}}"#;
    let answer: Answer = decode(text.as_bytes()).unwrap();
    let max = measure(Function::Max, "timestamp");
    let groups = vec![by("department"), bins("created_at", Bin::Calendar(CalendarUnit::Month))];
    let aggregation = aggregation(groups, vec![max, measure(Function::CountDistinct, "user_id")]);
    assert_eq!(found(&aggregation, &answer.groups()[0]).unwrap().doubtful, [0]);
    assert_eq!(
        edge(&schema, &aggregation, &json!({ "match_all": {} }), &answer.groups()[0], &max).unwrap().to_string(),
        r#"{"size":1,"track_total_hits":false,"_source":false,"query":{"bool":{"filter":[{"match_all":{}},{"term":{"department":{"value":"IT"}}},{"range":{"@timestamp":{"gte":1795370400000,"lt":1796083200000,"format":"epoch_millis"}}},{"bool":{"must_not":[{"exists":{"field":"user_id"}}]}}]}},"sort":[{"timestamp":{"order":"desc"}}]}"#
    );
}
