//! The statements, as text.

use super::*;
use crate::predicate::Op;
use crate::sqlite::tables::{documents, ledger};

fn transactions() -> Table {
    ledger().swap_remove(0)
}

fn column(table: &Table, name: &str) -> usize {
    table.shape.index_of(name).unwrap()
}

fn compare(table: &Table, name: &str, op: Op, value: Value) -> Predicate {
    Predicate::Compare { column: column(table, name), op, value }
}

fn request(table: &Table, columns: &[&str], predicates: Vec<Predicate>) -> Request {
    Request { projection: columns.iter().map(|name| column(table, name)).collect(), predicates, order: Vec::new(), limit: None, parts: 1 }
}

fn text(table: &Table, predicate: Predicate) -> String {
    let sql = select(table, &request(table, &["seq"], vec![predicate]), &[], None).unwrap().shown();
    sql.strip_prefix("SELECT seq FROM transactions WHERE ").unwrap_or(&sql).to_owned()
}

#[test]
fn columns_conditions_order_and_limit_are_said_in_one_statement() {
    let table = transactions();
    let conditions = vec![compare(&table, "risk_score", Op::GtEq, Value::Int(70)), compare(&table, "user_id", Op::Eq, Value::Text("o'x".into()))];
    let order = vec![
        Order { column: column(&table, "timestamp"), descending: true, nulls_first: true },
        Order { column: column(&table, "description"), descending: false, nulls_first: false },
    ];
    let asked = Request { order, limit: Some(10), ..request(&table, &["transaction_id", "amount"], conditions) };
    assert_eq!(
        select(&table, &asked, &[], None).unwrap().shown(),
        "SELECT transaction_id, amount FROM transactions WHERE risk_score >= ?1 AND user_id = ?2 ORDER BY timestamp DESC, description NULLS LAST LIMIT ?3 [?1=70, ?2='o''x', ?3=10]"
    );
}

#[test]
fn rows_are_counted_where_no_column_is_wanted() {
    let table = transactions();
    assert_eq!(select(&table, &request(&table, &[], Vec::new()), &[], None).unwrap().shown(), "SELECT count(*) FROM transactions");
    let asked = Request { limit: Some(5), ..request(&table, &[], vec![compare(&table, "risk_score", Op::Gt, Value::Int(1))]) };
    assert_eq!(select(&table, &asked, &[], None).unwrap().shown(), "SELECT count(*) FROM (SELECT 1 FROM transactions WHERE risk_score > ?1 LIMIT ?2) [?1=1, ?2=5]");
}

#[test]
fn every_condition_has_its_words() {
    let table = transactions();
    let user = column(&table, "user_id");
    let flag = Predicate::Flag { column: column(&table, "is_anomaly") };
    let null = Predicate::Null { column: column(&table, "description") };
    assert_eq!(text(&table, Predicate::In { column: user, values: vec![Value::Text("a".into()), Value::Text("b".into())] }), "user_id IN (?1, ?2) [?1='a', ?2='b']");
    assert_eq!(text(&table, null.clone().negated()), "NOT (description IS NULL)");
    assert_eq!(text(&table, Predicate::Or(vec![flag.clone(), null])), "(is_anomaly <> 0 OR description IS NULL)");
    assert_eq!(text(&table, flag.clone().is(Truth::True)), "(is_anomaly <> 0) IS TRUE");
    assert_eq!(text(&table, flag.is(Truth::Unknown).negated()), "NOT ((is_anomaly <> 0) IS NULL)");
    assert_eq!(text(&table, Predicate::Contains { column: user, text: "%x".into() }), "instr(user_id, ?1) > 0 [?1='%x']");
    assert_eq!(text(&table, Predicate::StartsWith { column: user, text: "az".into() }), "(user_id >= ?1 AND user_id < ?2) [?1='az', ?2='a{']");
    assert_eq!(text(&table, Predicate::StartsWith { column: user, text: "\u{10ffff}".into() }), "instr(user_id, ?1) = 1 [?1='\u{10ffff}']");
    assert_eq!(text(&table, Predicate::Or(Vec::new())), "0");
    assert_eq!(text(&table, Predicate::And(Vec::new())), "1");
}

#[test]
fn a_fixed_partition_becomes_a_range_of_keys() {
    let table = transactions();
    let partition = || compare(&table, "partition", Op::Eq, Value::Int(1));
    let base = 1_i64 << 40;
    assert_eq!(text(&table, partition()), format!("partition = ?1 AND pos >= ?2 AND pos < ?3 [?1=1, ?2={base}, ?3={}]", 2 * base));
    let range = Predicate::And(vec![partition(), compare(&table, "seq", Op::Gt, Value::Int(9)), compare(&table, "seq", Op::LtEq, Value::Int(20))]);
    assert_eq!(
        text(&table, range.clone()),
        format!("partition = ?1 AND seq > ?2 AND seq <= ?3 AND pos >= ?4 AND pos < ?5 [?1=1, ?2=9, ?3=20, ?4={}, ?5={}]", base + 10, base + 21)
    );
    assert_eq!(
        text(&table, Predicate::Or(vec![range, compare(&table, "partition", Op::Eq, Value::Int(-3))])),
        format!("((partition = ?1 AND seq > ?2 AND seq <= ?3 AND pos >= ?4 AND pos < ?5) OR partition = ?6) [?1=1, ?2=9, ?3=20, ?4={}, ?5={}, ?6=-3]", base + 10, base + 21)
    );
}

#[test]
fn documents_are_read_through_their_expressions() {
    let [metadata, explanations]: [Table; 2] = documents().try_into().unwrap();
    assert_eq!(select(&metadata, &request(&metadata, &["metadata"], Vec::new()), &[], None).unwrap().shown(), "SELECT json(metadata) FROM documents");
    let scored = compare(&explanations, "risk_score", Op::GtEq, Value::Int(70));
    assert_eq!(
        select(&explanations, &request(&explanations, &["transaction_id"], vec![scored]), &[], Some((0, 5))).unwrap().shown(),
        "SELECT transaction_id FROM documents WHERE CAST(json_extract(explanation, '$.risk_score') AS INTEGER) >= ?1 AND pos >= ?2 AND pos < ?3 [?1=70, ?2=0, ?3=5]"
    );
    let opaque = Predicate::Null { column: column(&explanations, "reasons") };
    assert_eq!(support(&explanations, &opaque), Support::No);
    assert_eq!(support(&explanations, &Predicate::Match { column: 0, query: "x".into() }.negated()), Support::No);
}
