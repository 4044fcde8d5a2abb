//! The pipelines, as documents, and what is read of their answers.

use std::sync::Arc;

use ::mongodb::bson::RawDocumentBuf;
use arrow::datatypes::Schema;

use super::*;
use crate::aggregate::{Bin, CalendarUnit, Measure};
use crate::shape;

const HOUR: i64 = 3_600_000_000;

fn explanations() -> Table {
    let [_, explanations] = shape::documents();
    Table::of(explanations).unwrap()
}

fn column(name: &str) -> usize {
    explanations().shape.index_of(name).unwrap()
}

fn by(name: &str) -> Group {
    Group::Column(column(name))
}

fn bins(bin: Bin) -> Group {
    Group::Time { column: column("timestamp"), bin }
}

fn measure(function: Function, name: &str) -> Measure {
    Measure { function, column: (name != "*").then(|| column(name)) }
}

fn aggregation(groups: Vec<Group>, measures: Vec<Measure>) -> Aggregation {
    // What is written does not depend on the names and types of the answer.
    Aggregation { groups, measures, schema: Arc::new(Schema::empty()) }
}

fn asked(groups: Vec<Group>, measures: Vec<Measure>) -> Vec<Document> {
    let (table, aggregation) = (explanations(), aggregation(groups, measures));
    assert!(takes(&table, &aggregation), "{aggregation:?}");
    stages(&table, &aggregation, None).unwrap()
}

#[test]
fn what_is_missing_is_null_and_no_value() {
    let present = |path: &str| doc! { "$sum": { "$cond": [{ "$eq": [{ "$ifNull": [path, null] }, null] }, 0, 1] } };
    let measures = vec![measure(Function::Count, "*"), measure(Function::Count, "ruleset"), measure(Function::Sum, "risk_score"), measure(Function::Min, "user_id")];
    let wanted = doc! { "$group": {
        "_id": { "g0": { "$ifNull": ["$explanation.risk_level", null] } },
        "m0": { "$sum": 1 },
        "m1": present("$explanation.ruleset"),
        "n2": present("$explanation.risk_score"),
        "m2": { "$sum": "$explanation.risk_score" },
        "m3": { "$min": "$user_id" },
    } };
    assert_eq!(asked(vec![by("risk_level")], measures), [wanted]);
    assert_eq!(asked(Vec::new(), vec![measure(Function::Max, "timestamp")]), [doc! { "$group": { "_id": null, "m0": { "$max": "$timestamp" } } }]);
}

#[test]
fn documents_with_a_text_are_counted_where_they_are_to_be_judged() {
    let counted = aggregation(Vec::new(), vec![measure(Function::Count, "*")]);
    let by_level = aggregation(vec![by("risk_level")], vec![measure(Function::Count, "*")]);
    let distinct = aggregation(Vec::new(), vec![measure(Function::CountDistinct, "user_id")]);
    assert!(is_one_group(&counted) && !is_one_group(&by_level) && !is_one_group(&distinct));
    let with_text = doc! { "$sum": { "$cond": [{ "$eq": [{ "$ifNull": ["$explanation_text", null] }, null] }, 0, 1] } };
    assert_eq!(stages(&explanations(), &counted, Some("explanation_text")).unwrap(), [doc! { "$group": { "_id": null, "m0": { "$sum": 1 }, "x": with_text } }]);
    let found = |group: Document| texts(&RawDocumentBuf::try_from(&group).unwrap());
    assert_eq!((found(doc! { "x": 3 }), found(doc! { "m0": 3 })), (Ok(3), Ok(0)));
}

#[test]
fn numbers_of_64_bits_are_added_up_in_halves() {
    let seq = doc! { "$mod": ["$_id", 1_i64 << 40] };
    let low = doc! { "$mod": [seq.clone(), 1_i64 << 32] };
    let [stage] = asked(vec![by("partition")], vec![measure(Function::Sum, "seq")]).try_into().unwrap();
    let group = stage.get_document("$group").unwrap();
    assert_eq!(group.get_document("m0").unwrap(), &doc! { "$sum": low.clone() });
    assert_eq!(group.get_document("h0").unwrap(), &doc! { "$sum": { "$toLong": { "$divide": [{ "$subtract": [seq.clone(), low] }, 1_i64 << 32] } } });
    let partition = doc! { "$toInt": { "$divide": [{ "$subtract": ["$_id", seq] }, 1_i64 << 40] } };
    assert_eq!(group.get_document("_id").unwrap(), &doc! { "g0": { "$ifNull": [partition, null] } });
}

#[test]
fn bins_begin_where_sql_says_and_months_are_put_together_of_days() {
    let start = |micros: i64, first: i64| {
        let remainder = doc! { "$mod": [{ "$subtract": ["$timestamp", first] }, micros] };
        let start = doc! { "$subtract": ["$timestamp", { "$mod": [{ "$add": [remainder, micros] }, micros] }] };
        doc! { "$ifNull": [start, null] }
    };
    let key = |stage: &Document| stage.get_document("$group").unwrap().get_document("_id").unwrap().clone();
    let hours = asked(vec![bins(Bin::Every { micros: HOUR, origin: -1 })], vec![measure(Function::Count, "*")]);
    assert_eq!(hours.iter().map(key).collect::<Vec<_>>(), [doc! { "g0": start(HOUR, HOUR - 1) }]);
    let months = asked(vec![bins(Bin::Calendar(CalendarUnit::Month)), by("risk_level")], vec![measure(Function::Count, "*")]);
    assert_eq!(key(&months[0]).get_document("g0").unwrap(), &start(24 * HOUR, 0));
    // Those of one level and one month follow one another.
    assert_eq!(months[1..], [doc! { "$sort": { "_id.g1": 1, "_id.g0": 1 } }]);
}

#[test]
fn different_values_are_grouped_before_they_are_counted() {
    let measures = vec![measure(Function::CountDistinct, "user_id"), measure(Function::Count, "*"), measure(Function::Max, "risk_score"), measure(Function::Sum, "state_epoch")];
    let [first, second] = asked(vec![by("risk_level")], measures).try_into().unwrap();
    let first = first.get_document("$group").unwrap();
    assert_eq!(first.get_document("_id").unwrap(), &doc! { "g0": { "$ifNull": ["$explanation.risk_level", null] }, "d": { "$ifNull": ["$user_id", null] } });
    assert_eq!(first.keys().collect::<Vec<_>>(), ["_id", "m1", "m2", "n3", "h3", "m3"]);
    let wanted = doc! { "$group": {
        "_id": { "g0": "$_id.g0" },
        "m0": { "$sum": { "$cond": [{ "$eq": [{ "$ifNull": ["$_id.d", null] }, null] }, 0, 1] } },
        "m1": { "$sum": "$m1" },
        "m2": { "$max": "$m2" },
        "n3": { "$sum": "$n3" },
        "h3": { "$sum": "$h3" },
        "m3": { "$sum": "$m3" },
    } };
    assert_eq!(second, wanted);
}

#[test]
fn what_is_not_exact_is_not_taken() {
    let table = explanations();
    for (groups, measures) in [
        (vec![by("reasons")], Vec::new()),
        (vec![bins(Bin::Calendar(CalendarUnit::Month)), bins(Bin::Calendar(CalendarUnit::Year))], Vec::new()),
        (vec![bins(Bin::Calendar(CalendarUnit::Month))], vec![measure(Function::CountDistinct, "user_id")]),
        (vec![bins(Bin::Every { micros: i64::MAX, origin: 0 })], Vec::new()),
        (Vec::new(), vec![measure(Function::Count, "dimensions")]),
        (Vec::new(), vec![measure(Function::Sum, "timestamp")]),
        (Vec::new(), vec![measure(Function::CountDistinct, "user_id"), measure(Function::CountDistinct, "ruleset")]),
    ] {
        let aggregation = aggregation(groups, measures);
        assert!(!takes(&table, &aggregation), "{aggregation:?}");
    }
}

fn read(aggregation: &Aggregation, document: &Document) -> Result<Part, String> {
    group(aggregation, &RawDocumentBuf::try_from(document).unwrap())
}

#[test]
fn a_document_becomes_a_group() {
    let measures = vec![measure(Function::Sum, "state_epoch"), measure(Function::Sum, "risk_score"), measure(Function::Min, "user_id"), measure(Function::Count, "*")];
    let aggregation = aggregation(vec![by("risk_level"), bins(Bin::Calendar(CalendarUnit::Year))], measures);
    let key = doc! { "g0": null, "g1": 1_795_370_400_000_000_i64 };
    let part = read(&aggregation, &doc! { "_id": key.clone(), "n0": 2, "m0": -5, "h0": 1_i64 << 33, "n1": 0, "m1": 0, "m2": "é", "m3": 7_i64 }).unwrap();
    // 2026-01-01
    assert_eq!(part.group, [Held::Null, Held::Int(1_767_225_600_000_000)]);
    let sum = (1_i128 << 65) - 5;
    assert_eq!(part.measures, [Partial::Sum(Some(sum)), Partial::Sum(None), Partial::Min(Some(Held::Text("é".to_owned()))), Partial::Count(7)]);
    let odd = read(&aggregation, &doc! { "_id": key, "n0": 1, "m0": 0.5, "m3": 1 }).unwrap_err();
    assert_eq!(odd, "m0 is of the type Double");
    assert_eq!(read(&aggregation, &doc! { "_id": 5 }).unwrap_err(), "a group without a key");
}
