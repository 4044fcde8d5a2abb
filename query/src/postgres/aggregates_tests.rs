//! The statements, as text.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};

use super::*;
use crate::aggregate::CalendarUnit;
use crate::postgres::tables::ledger;
use crate::predicate::Op;

fn relation(name: &str) -> Table {
    ledger().into_iter().find(|table| table.shape.name == name).unwrap()
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
    assert!(forms(table, aggregation).is_some());
    let request = Request { projection: Vec::new(), predicates, order: Vec::new(), limit: None, parts: 1 };
    let sql = select(table, &request, aggregation, &[]).unwrap();
    sql.arguments().unwrap();
    sql.shown()
}

#[test]
fn groups_measures_and_conditions_are_said_in_one_statement() {
    let table = relation("transactions");
    let risky = Predicate::Compare { column: column(&table, "risk_score"), op: Op::GtEq, value: Value::Int(70) };
    let totals = asked_of(
        vec![Group::Column(column(&table, "department")), Group::Column(column(&table, "detection_rules"))],
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
        "SELECT \"department\", (\"detection_rules\"::text COLLATE \"C\"), count(*), sum(\"amount\")::numeric, sum(\"risk_score\")::numeric, count(DISTINCT \"user_id\"), \
         max(\"timestamp\"), count(\"description\") FROM transactions WHERE \"risk_score\" >= $1 GROUP BY 1, 2 [$1=70]"
    );
    let of = [Form::Of(Kind::Text), Form::Of(Kind::Json), Form::Of(Kind::Int), Form::Sum { places: 2 }, Form::Sum { places: 0 }];
    assert_eq!(forms(&table, &totals).unwrap()[..5], of);
    assert_eq!(text(&table, Vec::new(), &asked_of(Vec::new(), vec![ROWS])), "SELECT count(*) FROM transactions");
    assert_eq!(text(&table, Vec::new(), &asked_of(vec![Group::Column(column(&table, "user_id"))], Vec::new())), "SELECT \"user_id\" FROM transactions GROUP BY 1");
}

#[test]
fn bins_are_those_of_the_calendar_or_integers() {
    let table = relation("transactions");
    let bin = |bin: Bin| {
        let asked = asked_of(vec![Group::Time { column: column(&table, "timestamp"), bin }], Vec::new());
        let text = text(&table, Vec::new(), &asked);
        (text.strip_prefix("SELECT ").unwrap().replace(" FROM transactions GROUP BY 1", ""), forms(&table, &asked).unwrap()[0])
    };
    let (hour, form) = bin(Bin::Every { micros: 3_600_000_000, origin: 7_200_000_000 });
    assert_eq!((hour.as_str(), form), ("date_trunc('hour', \"timestamp\", 'UTC')", Form::Of(Kind::Instant)));
    assert_eq!(bin(Bin::Calendar(CalendarUnit::Week)).0, "date_trunc('week', \"timestamp\", 'UTC')");
    let (quarter, form) = bin(Bin::Every { micros: 900_000_000, origin: -60_000_000 });
    let seconds = "extract(epoch FROM date_trunc('second', \"timestamp\" AT TIME ZONE 'UTC'))::bigint";
    assert_eq!((quarter, form), (format!("({seconds} - (({seconds} - $2) % $1 + $1) % $1) * 1000000 [$1=900, $2=840]"), Form::Of(Kind::Int)));
    let whole =
        "(extract(epoch FROM date_trunc('minute', \"timestamp\" AT TIME ZONE 'UTC'))::bigint * 1000000 + extract(microseconds FROM \"timestamp\" AT TIME ZONE 'UTC')::bigint)";
    assert_eq!(bin(Bin::Every { micros: 1_500, origin: 0 }).0, format!("{whole} - (({whole} - $2) % $1 + $1) % $1 [$1=1500, $2=0]"));
}

#[test]
fn what_postgresql_sees_otherwise_is_not_asked() {
    let (transactions, metrics) = (relation("transactions"), relation("system_metrics"));
    let no = |table: &Table, group: Option<&str>, measures: Vec<Measure>| {
        let groups = group.iter().map(|name| Group::Column(column(table, name))).collect();
        assert!(forms(table, &asked_of(groups, measures)).is_none());
    };
    no(&transactions, Some("metadata"), Vec::new());
    no(&transactions, None, vec![measure(&transactions, Function::CountDistinct, "metadata")]);
    no(&transactions, None, vec![measure(&transactions, Function::Max, "is_anomaly")]);
    no(&metrics, Some("value"), Vec::new());
    no(&metrics, None, vec![measure(&metrics, Function::Sum, "value")]);
    no(&metrics, None, vec![measure(&metrics, Function::Min, "value")]);
    assert!(forms(&metrics, &asked_of(Vec::new(), vec![measure(&metrics, Function::Count, "value")])).is_some());
}

#[test]
fn two_tables_are_one_statement() {
    let [transactions, alerts] = ["transactions", "risk_alerts"].map(relation);
    let joined = transactions.joined(&alerts, &[(column(&transactions, "transaction_id"), column(&alerts, "transaction_id"))]).unwrap();
    let behind = transactions.shape.schema.fields().len();
    let open = Predicate::Compare { column: behind + column(&alerts, "status"), op: Op::Eq, value: Value::Text("open".into()) };
    let request =
        Request { projection: vec![column(&transactions, "metadata"), behind + column(&alerts, "metadata")], predicates: vec![open], order: Vec::new(), limit: Some(3), parts: 1 };
    let from = "FROM transactions AS l JOIN risk_alerts AS r ON l.\"transaction_id\" = r.\"transaction_id\" WHERE r.\"status\" = $1";
    assert_eq!(
        super::super::dialect::select(&joined, &request, &[], None).unwrap().shown(),
        format!("SELECT l.\"metadata_text\", l.\"metadata\", r.\"metadata\" {from} LIMIT $2 [$1='open', $2=3]")
    );
    let totals = asked_of(vec![Group::Column(behind + column(&alerts, "severity"))], vec![measure(&transactions, Function::Sum, "amount")]);
    assert_eq!(text(&joined, request.predicates, &totals), format!("SELECT r.\"severity\", sum(l.\"amount\")::numeric {from} GROUP BY 1 [$1='open']"));
    assert!(transactions.joined(&alerts, &[(column(&transactions, "detection_rules"), column(&alerts, "detection_rules"))]).is_none());
}
