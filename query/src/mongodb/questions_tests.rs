//! The questions, as documents.

use super::*;
use crate::mongodb::dialect::taken_apart;
use crate::mongodb::keys::Visible;
use crate::predicate::{Op, Predicate, Value};
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

#[test]
fn conditions_on_the_key_become_ranges_and_the_rest_a_filter() {
    let table = explanations();
    let both = Predicate::And(vec![compare("partition", Op::Eq, Value::Int(1)), compare("user_id", Op::Eq, Value::Text("u".into())), compare("seq", Op::Lt, Value::Int(20))]);
    let asked = taken_apart(&table, std::iter::once(&both)).unwrap();
    assert_eq!((asked.keyed.len(), &asked.filter, asked.by_transaction), (2, &doc! { "user_id": { "$eq": "u" } }, false));
    let visible = [Visible { partition: 0, floor: 0, next: 50 }, Visible { partition: 1, floor: 5, next: 50 }];
    let ranges = table.keys.ranges(&visible, &asked.keyed, (i64::MIN, i64::MAX));
    let base = 1_i64 << 40;
    assert_eq!(ranges, [(base + 5, base + 20)]);
    let found = finds(&asked, ranges.clone(), &Sorting::Key { descending: true });
    let wanted = doc! { "$and": [{ "_id": { "$gte": base + 5, "$lt": base + 20 } }, { "user_id": { "$eq": "u" } }] };
    assert_eq!(found, [Find { filter: wanted, sort: Some(doc! { "_id": -1 }), seen: None }]);
    assert_eq!(
        shown(&asked, &doc! { "_id": 1, "user_id": 1 }, &ranges, &Sorting::Key { descending: true }, Some(3), 1),
        "db.documents.find({ \"user_id\": { \"$eq\": \"u\" } }, { \"_id\": 1, \"user_id\": 1 }).sort({ \"_id\": -1 }).limit(3) with _id in [1:5..20]"
    );
    assert!(finds(&asked, Vec::new(), &Sorting::Any).is_empty());
}

#[test]
fn small_ranges_are_asked_together_and_large_ones_by_themselves() {
    let table = explanations();
    let asked = taken_apart(&table, std::iter::empty()).unwrap();
    let found = finds(&asked, vec![(0, 5_000), (6_000, 6_001), (7_000, 7_002), (8_000, 8_001), (9_000, 20_000)], &Sorting::Any);
    let filters: Vec<Document> = found.into_iter().map(|find| find.filter).collect();
    assert_eq!(
        filters,
        [
            doc! { "_id": { "$gte": 0_i64, "$lt": 5_000_i64 } },
            doc! { "$or": [{ "_id": { "$gte": 7_000_i64, "$lt": 7_002_i64 } }, { "_id": { "$in": [6_000_i64, 8_000_i64] } }] },
            doc! { "_id": { "$gte": 9_000_i64, "$lt": 20_000_i64 } },
        ]
    );
    let many: Vec<Range> = (0..500).map(|at| (at * 10, at * 10 + 1)).collect();
    assert_eq!(finds(&asked, many, &Sorting::Any).len(), 3);
}

#[test]
fn transactions_are_found_by_their_index_and_seen_by_their_keys() {
    let table = explanations();
    let ids = Predicate::In { column: column("transaction_id"), values: vec![Value::Text("a".into()), Value::Text("b".into())] };
    let asked = taken_apart(&table, std::iter::once(&ids)).unwrap();
    assert!(asked.by_transaction);
    let found = finds(&asked, vec![(0, 7)], &Sorting::Any);
    assert_eq!(found, [Find { filter: doc! { "transaction_id": { "$in": ["a", "b"] } }, sort: None, seen: Some(vec![(0, 7)]) }]);
}

#[test]
fn the_first_of_all_documents_are_found_by_one_question() {
    let table = explanations();
    let by = |name: &str, descending: bool, nulls_first: bool| Order { column: column(name), descending, nulls_first };
    let sorted = sorting(&table, &[by("timestamp", true, true), by("transaction_id", false, false), by("timestamp", false, false)]).unwrap();
    assert_eq!(sorted, Sorting::Fields(doc! { "timestamp": -1, "transaction_id": 1 }));
    let asked = taken_apart(&table, std::iter::empty()).unwrap();
    let ranges = vec![(0, 5_000), (6_000, 20_000)];
    let filter = doc! { "$or": [{ "_id": { "$gte": 0_i64, "$lt": 5_000_i64 } }, { "_id": { "$gte": 6_000_i64, "$lt": 20_000_i64 } }] };
    let sort = Some(doc! { "timestamp": -1, "transaction_id": 1 });
    assert_eq!(finds(&asked, ranges.clone(), &sorted), [Find { filter, sort, seen: None }]);
    let text = shown(&asked, &doc! { "_id": 1, "transaction_id": 1 }, &ranges, &sorted, Some(5), 1);
    assert!(text.contains(".sort({ \"timestamp\": -1, \"transaction_id\": 1 }).limit(5) with _id in ["), "{text}");
    // What is found by the index of transactions must be seen, too, before the first are taken.
    let one = compare("transaction_id", Op::Eq, Value::Text("a".into()));
    let asked = taken_apart(&table, std::iter::once(&one)).unwrap();
    let found = finds(&asked, vec![(0, 7)], &sorted);
    let wanted = doc! { "$and": [{ "$nor": [{ "_id": { "$lt": 0_i64 } }, { "_id": { "$gte": 7_i64 } }] }, { "transaction_id": { "$eq": "a" } }] };
    assert_eq!((&found[0].filter, &found[0].seen), (&wanted, &None));
}

#[test]
fn what_is_missing_comes_first_or_there_is_no_such_order() {
    let table = explanations();
    let by = |name: &str, descending: bool, nulls_first: bool| [Order { column: column(name), descending, nulls_first }];
    assert_eq!(sorting(&table, &[]), Some(Sorting::Any));
    assert_eq!(sorting(&table, &by("partition", true, true)), Some(Sorting::Key { descending: true }));
    assert_eq!(sorting(&table, &by("ruleset", false, true)), Some(Sorting::Fields(doc! { "explanation.ruleset": 1 })));
    assert_eq!(sorting(&table, &by("ruleset", true, false)), Some(Sorting::Fields(doc! { "explanation.ruleset": -1 })));
    assert_eq!(sorting(&table, &by("ruleset", false, false)), None);
    assert_eq!(sorting(&table, &by("ruleset", true, true)), None);
    for unknown in ["seq", "reasons", "dimensions"] {
        assert_eq!(sorting(&table, &by(unknown, false, true)), None, "{unknown}");
    }
}

#[test]
fn the_order_of_the_key_is_partition_then_seq() {
    let table = explanations();
    let by = |name: &str, descending| Order { column: column(name), descending, nulls_first: descending };
    assert_eq!(key_order(&table, &[by("partition", true), by("seq", true), by("user_id", false)]), Some(true));
    assert_eq!(key_order(&table, &[by("partition", false)]), Some(false));
    assert_eq!(key_order(&table, &[by("partition", true), by("seq", false)]), None);
    assert_eq!(key_order(&table, &[by("seq", true)]), None);
    assert_eq!(key_order(&table, &[]), None);
}
