//! The statements, as text.

use super::*;
use crate::postgres::tables::ledger;
use crate::predicate::Op;

fn relation(name: &str) -> Table {
    ledger().into_iter().find(|table| table.shape.name == name).unwrap()
}

fn transactions() -> Table {
    relation("transactions")
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
    let sql = select(table, &request(table, &["seq"], vec![predicate]), &[], None).unwrap();
    sql.arguments().unwrap();
    sql.shown().split_once(" WHERE ").unwrap().1.to_owned()
}

#[test]
fn columns_conditions_order_and_limit_are_said_in_one_statement() {
    let table = transactions();
    let conditions = vec![compare(&table, "risk_score", Op::GtEq, Value::Int(70)), compare(&table, "user_id", Op::Eq, Value::Text("o'x".into()))];
    let order = vec![
        Order { column: column(&table, "timestamp"), descending: true, nulls_first: true },
        Order { column: column(&table, "description"), descending: false, nulls_first: false },
    ];
    let asked = Request { order, limit: Some(10), ..request(&table, &["transaction_id", "metadata", "amount"], conditions) };
    assert_eq!(
        select(&table, &asked, &[], None).unwrap().shown(),
        "SELECT \"transaction_id\", \"metadata_text\", \"metadata\", \"amount\" FROM transactions WHERE \"risk_score\" >= $1 AND \"user_id\" = $2 ORDER BY \"timestamp\" DESC, \
         \"description\" NULLS LAST LIMIT $3 [$1=70, $2='o''x', $3=10]"
    );
}

#[test]
fn the_first_rows_of_a_join_are_said_in_one_statement() {
    let (alerts, transactions) = (relation("risk_alerts"), transactions());
    let both = alerts.joined(&transactions, &[(column(&alerts, "transaction_id"), column(&transactions, "transaction_id"))]).unwrap();
    let by = |name: &str, descending: bool| Order { column: column(&both, name), descending, nulls_first: descending };
    let order = vec![by("l.created_at", true), by("r.counterparty_account", false)];
    assert!(order.iter().all(|by| sorts_alike(&both, by.column)));
    assert!(["l.metadata", "r.metadata", "r.detection_rules"].iter().all(|name| !sorts_alike(&both, column(&both, name))));
    let asked = Request { order, limit: Some(50), ..request(&both, &["l.alert_id", "r.amount"], vec![compare(&both, "l.severity", Op::Eq, Value::Text("high".into()))]) };
    assert_eq!(
        select(&both, &asked, &[], None).unwrap().shown(),
        "SELECT l.\"alert_id\", r.\"amount\" FROM risk_alerts AS l JOIN transactions AS r ON l.\"transaction_id\" = r.\"transaction_id\" WHERE l.\"severity\" = $1 \
         ORDER BY l.\"created_at\" DESC, r.\"counterparty_account\" NULLS LAST LIMIT $2 [$1='high', $2=50]"
    );
}

#[test]
fn rows_are_counted_where_no_column_is_wanted() {
    let table = transactions();
    assert_eq!(select(&table, &request(&table, &[], Vec::new()), &[], None).unwrap().shown(), "SELECT count(*) FROM transactions");
    let asked = Request { limit: Some(5), ..request(&table, &[], vec![compare(&table, "risk_score", Op::Gt, Value::Int(1))]) };
    let counted = select(&table, &asked, &[], Some((0, 9))).unwrap().shown();
    assert_eq!(counted, "SELECT count(*) FROM (SELECT 1 FROM transactions WHERE \"risk_score\" > $1 AND pos >= $2 AND pos < $3 LIMIT $4) AS counted [$1=1, $2=0, $3=9, $4=5]");
}

#[test]
fn every_condition_has_its_words() {
    let table = transactions();
    let user = column(&table, "user_id");
    let flag = Predicate::Flag { column: column(&table, "is_anomaly") };
    let null = Predicate::Null { column: column(&table, "description") };
    let list = Predicate::In { column: user, values: vec![Value::Text("a".into()), Value::Text("b".into())] };
    assert_eq!(text(&table, list.clone()), "\"user_id\" = ANY($1) [$1={'a', 'b'}]");
    assert_eq!(text(&table, list.negated()), "NOT (\"user_id\" = ANY($1)) [$1={'a', 'b'}]");
    assert_eq!(text(&table, null.clone().negated()), "NOT (\"description\" IS NULL)");
    assert_eq!(text(&table, Predicate::Or(vec![flag.clone(), null])), "(\"is_anomaly\" OR \"description\" IS NULL)");
    assert_eq!(text(&table, flag.clone().is(Truth::True)), "((\"is_anomaly\") IS TRUE)");
    assert_eq!(text(&table, flag.is(Truth::Unknown).negated()), "NOT (((\"is_anomaly\") IS UNKNOWN))");
    assert_eq!(text(&table, Predicate::Contains { column: user, text: "%x".into() }), "strpos(\"user_id\", $1) > 0 [$1='%x']");
    assert_eq!(text(&table, Predicate::StartsWith { column: user, text: "az".into() }), "(\"user_id\" >= $1 AND \"user_id\" < $2) [$1='az', $2='a{']");
    assert_eq!(text(&table, Predicate::StartsWith { column: user, text: "\u{10ffff}".into() }), "starts_with(\"user_id\", $1) [$1='\u{10ffff}']");
    assert_eq!(text(&table, Predicate::Or(Vec::new())), "FALSE");
    assert_eq!(text(&table, Predicate::And(Vec::new())), "TRUE");
    let rules = column(&table, "detection_rules");
    assert_eq!(text(&table, Predicate::Contains { column: rules, text: "night".into() }), "strpos((\"detection_rules\"::text COLLATE \"C\"), $1) > 0 [$1='night']");
}

#[test]
fn what_postgresql_sees_otherwise_is_not_asked() {
    let (transactions, metrics) = (transactions(), relation("system_metrics"));
    let no = |table: &Table, predicate: Predicate| assert_eq!(support(table, &predicate), Support::No, "{predicate:?}");
    let value = |number: f64| compare(&metrics, "value", Op::Lt, Value::Float(number));
    no(&metrics, value(0.0));
    assert_eq!(support(&metrics, &value(0.5)), Support::Exact);
    no(&transactions, compare(&transactions, "metadata", Op::Eq, Value::Text("{}".into())));
    no(&transactions, Predicate::Null { column: column(&transactions, "metadata") });
    no(&transactions, Predicate::Match { column: 0, query: "x".into() }.negated());
    // Could be found in what U+0001 is written as.
    no(&transactions, Predicate::Contains { column: 0, text: "\u{2}x".into() });
    let by = |name: &str| sorts_alike(&transactions, column(&transactions, name));
    assert!(by("timestamp") && by("user_id") && by("amount") && !by("metadata") && !by("detection_rules"));
}

#[test]
fn a_fixed_partition_becomes_a_range_of_keys() {
    let table = transactions();
    let partition = || compare(&table, "partition", Op::Eq, Value::Int(1));
    let base = 1_i64 << 40;
    assert_eq!(text(&table, partition()), format!("\"partition\" = $1 AND pos >= $2 AND pos < $3 [$1=1, $2={base}, $3={}]", 2 * base));
    let range = Predicate::And(vec![partition(), compare(&table, "seq", Op::Gt, Value::Int(9)), compare(&table, "seq", Op::LtEq, Value::Int(20))]);
    let keys = format!("$4={}, $5={}", base + 10, base + 21);
    assert_eq!(text(&table, range.clone()), format!("\"partition\" = $1 AND \"seq\" > $2 AND \"seq\" <= $3 AND pos >= $4 AND pos < $5 [$1=1, $2=9, $3=20, {keys}]"));
    assert_eq!(
        text(&table, Predicate::Or(vec![range, compare(&table, "partition", Op::Eq, Value::Int(-3))])),
        format!("((\"partition\" = $1 AND \"seq\" > $2 AND \"seq\" <= $3 AND pos >= $4 AND pos < $5) OR \"partition\" = $6) [$1=1, $2=9, $3=20, {keys}, $6=-3]")
    );
}
