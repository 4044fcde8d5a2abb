//! The filters, as documents.

use super::*;
use crate::shape;

fn explanations() -> Table {
    let [_, explanations] = shape::documents();
    Table::of(explanations).unwrap()
}

fn column(name: &str) -> usize {
    explanations().shape.index_of(name).unwrap()
}

fn compare(name: &str, op: Op, value: Value) -> Predicate {
    Predicate::Compare { column: column(name), op, value }
}

fn text(name: &str, op: Op, value: &str) -> Predicate {
    compare(name, op, Value::Text(value.into()))
}

fn filter(predicate: &Predicate) -> Document {
    let table = explanations();
    assert_eq!(support(&table, predicate), Support::Exact, "{predicate:?}");
    taken_apart(&table, std::iter::once(predicate)).unwrap().filter
}

#[test]
fn every_condition_has_its_words() {
    let level = || text("risk_level", Op::Eq, "low");
    let score = || compare("risk_score", Op::GtEq, Value::Int(70));
    for (predicate, wanted) in [
        (level(), doc! { "explanation.risk_level": { "$eq": "low" } }),
        (level().negated(), doc! { "explanation.risk_level": { "$nin": ["low", null] } }),
        (score(), doc! { "explanation.risk_score": { "$gte": 70_i64 } }),
        (score().negated(), doc! { "explanation.risk_score": { "$lt": 70_i64 } }),
        (compare("timestamp", Op::NotEq, Value::Int(-1)), doc! { "timestamp": { "$nin": [-1_i64, null] } }),
        (Predicate::Null { column: column("ruleset") }, doc! { "explanation.ruleset": { "$eq": null } }),
        (Predicate::Null { column: column("ruleset") }.negated(), doc! { "explanation.ruleset": { "$ne": null } }),
        (Predicate::In { column: column("user_id"), values: vec![Value::Text("a".into())] }.negated(), doc! { "user_id": { "$nin": ["a", null] } }),
        (Predicate::StartsWith { column: column("user_id"), text: "az".into() }, doc! { "user_id": { "$gte": "az", "$lt": "a{" } }),
        (Predicate::StartsWith { column: column("user_id"), text: "az".into() }.negated(), doc! { "$or": [{ "user_id": { "$lt": "az" } }, { "user_id": { "$gte": "a{" } }] }),
        (Predicate::StartsWith { column: column("user_id"), text: "\u{10ffff}".into() }, doc! { "user_id": { "$gte": "\u{10ffff}" } }),
        (Predicate::Contains { column: column("user_id"), text: "a.é\n".into() }, doc! { "user_id": { "$regex": "a\\x{2E}é\\x{0A}" } }),
        (Predicate::Contains { column: column("user_id"), text: "%".into() }.negated(), doc! { "user_id": { "$not": { "$regex": "\\x{25}" }, "$ne": null } }),
        (level().is(Truth::True).negated(), doc! { "$nor": [{ "explanation.risk_level": { "$eq": "low" } }] }),
        (level().is(Truth::Unknown), doc! { "$nor": [{ "explanation.risk_level": { "$eq": "low" } }, { "explanation.risk_level": { "$nin": ["low", null] } }] }),
        (
            Predicate::Or(vec![level(), score()]).negated(),
            doc! { "$and": [{ "explanation.risk_level": { "$nin": ["low", null] } }, { "explanation.risk_score": { "$lt": 70_i64 } }] },
        ),
        (
            Predicate::And(vec![level(), score()]).negated(),
            doc! { "$or": [{ "explanation.risk_level": { "$nin": ["low", null] } }, { "explanation.risk_score": { "$lt": 70_i64 } }] },
        ),
        (Predicate::Or(vec![level(), Predicate::Or(Vec::new())]), doc! { "$or": [{ "explanation.risk_level": { "$eq": "low" } }, { "_id": { "$in": [] } }] }),
    ] {
        assert_eq!(filter(&predicate), wanted, "{predicate:?}");
    }
}

#[test]
fn what_the_server_does_not_have_is_not_asked() {
    let table = explanations();
    let score = || compare("risk_score", Op::Eq, Value::Int(1));
    let deep = (0..=MAX_DEPTH).fold(score(), |inner, _| inner.is(Truth::True));
    for predicate in [
        Predicate::Null { column: column("reasons") },
        text("dimensions", Op::Eq, "{}"),
        Predicate::Match { column: column("user_id"), query: "x".into() },
        compare("risk_score", Op::Lt, Value::Float(0.5)),
        Predicate::Contains { column: column("user_id"), text: "a\0".into() },
        // Half key, half document.
        Predicate::Or(vec![score(), compare("seq", Op::Eq, Value::Int(1))]),
        Predicate::In { column: column("user_id"), values: vec![Value::Text("x".into()); MAX_VALUES + 1] },
        deep,
    ] {
        assert_eq!(support(&table, &predicate), Support::No, "{predicate:?}");
    }
}
