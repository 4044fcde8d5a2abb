//! The statements, as text, and what SQLite makes of them.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema};
use rusqlite::{Connection, params_from_iter};

use super::*;
use crate::predicate::Op;
use crate::sqlite::tables::{baselines, documents, ledger};

fn transactions() -> Table {
    ledger().swap_remove(0)
}

fn column(table: &Table, name: &str) -> usize {
    table.shape.index_of(name).unwrap()
}

fn measure(table: &Table, function: Function, name: &str) -> Measure {
    Measure { function, column: Some(column(table, name)) }
}

const ROWS: Measure = Measure { function: Function::Count, column: None };

fn asked_of(groups: Vec<Group>, measures: Vec<Measure>) -> Aggregation {
    let fields: Vec<Field> = (0..groups.len() + measures.len()).map(|i| Field::new(i.to_string(), DataType::Utf8, true)).collect();
    Aggregation { groups, measures, schema: Arc::new(Schema::new(fields)) }
}

fn text(table: &Table, predicates: Vec<Predicate>, aggregation: &Aggregation) -> String {
    assert!(computes(table, aggregation));
    let request = Request { projection: Vec::new(), predicates, order: Vec::new(), limit: None, parts: 1 };
    select(table, &request, aggregation, &[]).unwrap().shown()
}

#[test]
fn groups_measures_and_conditions_are_said_in_one_statement() {
    let table = transactions();
    let risky = Predicate::Compare { column: column(&table, "risk_score"), op: Op::GtEq, value: Value::Int(70) };
    let totals = asked_of(
        vec![Group::Column(column(&table, "department")), Group::Column(column(&table, "is_anomaly"))],
        vec![
            ROWS,
            measure(&table, Function::Sum, "amount"),
            measure(&table, Function::Sum, "risk_score"),
            measure(&table, Function::CountDistinct, "user_id"),
            measure(&table, Function::Max, "timestamp"),
            measure(&table, Function::Count, "description"),
        ],
    );
    assert_eq!(
        text(&table, vec![risky], &totals),
        "SELECT department, is_anomaly <> 0, count(*), sum(amount >> 32), sum(amount & 4294967295), sum(risk_score), count(DISTINCT user_id), max(timestamp), \
         count(description) FROM transactions WHERE risk_score >= ?1 GROUP BY 1, 2 [?1=70]"
    );
    assert_eq!(forms(&table, &totals).iter().map(|form| form.columns()).sum::<usize>(), 9);
    assert_eq!(text(&table, Vec::new(), &asked_of(Vec::new(), vec![ROWS])), "SELECT count(*) FROM transactions");
    assert_eq!(text(&table, Vec::new(), &asked_of(vec![Group::Column(column(&table, "user_id"))], Vec::new())), "SELECT user_id FROM transactions GROUP BY 1");
}

#[test]
fn what_sqlite_sees_otherwise_is_not_asked() {
    let [metadata, explanations]: [Table; 2] = documents().try_into().unwrap();
    let users = baselines().swap_remove(0);
    let no = |table: &Table, group: Option<&str>, measures: Vec<Measure>| {
        let groups = group.iter().map(|name| Group::Column(column(table, name))).collect();
        assert!(!computes(table, &asked_of(groups, measures)));
    };
    no(&metadata, Some("metadata"), Vec::new());
    no(&explanations, None, vec![measure(&explanations, Function::Min, "reasons")]);
    no(&users, Some("amount_mean"), Vec::new());
    no(&users, None, vec![measure(&users, Function::Sum, "amount_mean")]);
    no(&users, None, vec![measure(&users, Function::Max, "amount_mean")]);
    no(&transactions(), None, vec![measure(&transactions(), Function::Max, "is_anomaly")]);
    assert!(computes(&users, &asked_of(vec![Group::Column(column(&users, "home_department"))], vec![measure(&users, Function::Count, "amount_mean")])));
    let explained = asked_of(vec![Group::Column(column(&explanations, "risk_level"))], vec![measure(&explanations, Function::Sum, "state_epoch")]);
    assert_eq!(
        text(&explanations, Vec::new(), &explained),
        "SELECT CAST(json_extract(explanation, '$.risk_level') AS TEXT), sum(CAST(json_extract(explanation, '$.state_epoch') AS INTEGER) >> 32), \
         sum(CAST(json_extract(explanation, '$.state_epoch') AS INTEGER) & 4294967295) FROM documents GROUP BY 1"
    );
}

#[test]
fn two_tables_are_one_statement() {
    let [transactions, alerts] = [0, 1].map(|at| ledger().swap_remove(at));
    let on = [(column(&transactions, "transaction_id"), column(&alerts, "transaction_id"))];
    let joined = transactions.joined(&alerts, &on).unwrap();
    let severity = transactions.shape.schema.fields().len() + column(&alerts, "severity");
    let totals = asked_of(vec![Group::Column(severity)], vec![measure(&transactions, Function::Sum, "risk_score")]);
    let open = Predicate::Compare { column: transactions.shape.schema.fields().len() + column(&alerts, "status"), op: Op::Eq, value: Value::Text("open".into()) };
    assert_eq!(
        text(&joined, vec![open], &totals),
        "SELECT r.severity, sum(l.risk_score) FROM transactions AS l JOIN risk_alerts AS r ON l.transaction_id = r.transaction_id WHERE r.status = ?1 GROUP BY 1 [?1='open']"
    );
    assert!(transactions.joined(&alerts, &[(column(&transactions, "risk_score"), column(&alerts, "seq"))]).is_none());
    assert!(transactions.joined(&alerts, &[]).is_none());
    let [metadata, explanations]: [Table; 2] = documents().try_into().unwrap();
    assert!(metadata.joined(&explanations, &[(0, 0)]).is_none());
}

/// What SQLite gives for one value and one expression of it.
fn computed(expression: &Sql, value: Option<i64>) -> Option<i64> {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute("CREATE TABLE t (timestamp INTEGER) STRICT", []).unwrap();
    connection.execute("INSERT INTO t VALUES (?1)", [value]).unwrap();
    let values = expression.values.iter().map(|value| if let Value::Int(value) = value { *value } else { panic!("{value:?}") });
    connection.query_row(&format!("SELECT {} FROM t", expression.text), params_from_iter(values), |row| row.get(0)).unwrap()
}

#[test]
fn bins_begin_where_they_should_in_all_years() {
    let table = transactions();
    let timestamp = column(&table, "timestamp");
    let mut bins = vec![
        Bin::Every { micros: 1, origin: 0 },
        Bin::Every { micros: 3_600_000_000, origin: 0 },
        Bin::Every { micros: 900_000_000, origin: -7 },
        Bin::Every { micros: 5 * DAY, origin: 1_772_323_200_000_001 },
        Bin::Every { micros: LONGEST, origin: -LONGEST },
    ];
    bins.extend([CalendarUnit::Week, CalendarUnit::Month, CalendarUnit::Quarter, CalendarUnit::Year].map(Bin::Calendar));
    let mut instants = vec![-62_135_596_800_000_000, -62_135_596_799_999_999, 253_402_300_799_999_999, -1, 0, 1, 1_709_251_199_999_999, 1_709_251_200_000_000];
    // About one in each 25 years.
    instants.extend((0..400_i64).map(|i| -62_135_596_800_000_000 + i * 788_799_983_000_017));
    for bin in bins {
        let mut sql = Sql::default();
        write_group(&table, &Group::Time { column: timestamp, bin }, &mut sql);
        for at in &instants {
            assert_eq!(computed(&sql, Some(*at)), bin.start(*at), "{bin:?} {at} {}", sql.text);
        }
        assert_eq!(computed(&sql, None), None, "{bin:?}");
    }
}

#[test]
fn sums_that_64_bits_do_not_hold_are_exact() {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute("CREATE TABLE t (x INTEGER) STRICT", []).unwrap();
    let values = [i64::MAX, i64::MAX, i64::MIN, -1, 0, 1, -4_294_967_296, 4_294_967_295];
    for value in values {
        connection.execute("INSERT INTO t VALUES (?1)", [value]).unwrap();
    }
    let (high, low) = connection.query_row("SELECT sum(x >> 32), sum(x & 4294967295) FROM t", [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    assert_eq!(of_halves(high, low), values.iter().copied().map(i128::from).sum());
}
