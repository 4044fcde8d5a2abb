//! The statements, as text.

use super::*;
use crate::influxdb::statements::query;
use crate::shape;
use crate::table::Request;
use wh_stores::influxdb::points::SECONDS;

const NOON: i64 = 1_767_268_800;
const ALL: &str = "WHERE time >= -9223372036000000000 AND time < 9223372036000000000";

fn column(name: &str) -> usize {
    shape::metrics().index_of(name).unwrap()
}

fn compare(name: &str, op: Op, value: Value) -> Predicate {
    Predicate::Compare { column: column(name), op, value }
}

fn text(name: &str, op: Op, value: &str) -> Predicate {
    compare(name, op, Value::Text(value.to_owned()))
}

fn time(op: Op, micros: i64) -> Predicate {
    compare("time", op, Value::Int(micros))
}

fn asked(names: &[&str], predicates: Vec<Predicate>, limit: Option<usize>) -> String {
    let request = Request { projection: names.iter().map(|name| column(name)).collect(), predicates, order: Vec::new(), limit, parts: 1 };
    query(&shape::metrics(), &request, &[]).unwrap().shown()
}

fn told(predicate: &Predicate) -> Support {
    support(&shape::metrics(), predicate)
}

#[test]
fn without_a_bound_on_time_all_times_are_asked_for() {
    assert_eq!(
        asked(&["time", "department", "block"], Vec::new(), Some(7)),
        format!(
            "SELECT \"department\", \"transactions\" FROM \"throughput\" {ALL} LIMIT 7; \
             SELECT \"department\", \"transactions\", \"second\", \"block\" FROM \"throughput_out_of_range\" {ALL} LIMIT 7"
        )
    );
    assert_eq!(asked(&[], Vec::new(), Some(7)).matches("SELECT count(\"transactions\") FROM").count(), 2);
    assert_eq!(asked(&["alerts"], Vec::new(), None).matches("\"transactions\"").count(), 0);
}

#[test]
fn values_are_bound_and_texts_are_what_their_tags_are() {
    let predicates = vec![
        time(Op::GtEq, NOON * SECOND),
        time(Op::Lt, (NOON + 60) * SECOND),
        text("department", Op::Eq, "a\n' OR"),
        compare("partition", Op::NotEq, Value::Int(2)),
        compare("amount_sum", Op::Gt, Value::Int(-5)),
    ];
    assert_eq!(
        asked(&["score_max"], predicates, None),
        "SELECT \"score_max\" FROM \"throughput\" WHERE time >= 1767268800000000000 AND time < 1767268860000000000 \
         AND (\"department\" = $p0 AND \"partition\" != $p1 AND \"amount_sum\" > $p2) [$p0=\"a%0A' OR\", $p1=\"2\", $p2=-5]"
    );
}

#[test]
fn times_between_seconds_mean_what_sql_means() {
    let bounds = |op: Op, micros: i64| {
        let asked = question(&shape::metrics(), &[time(op, micros)]).unwrap();
        (asked.first, asked.last, asked.condition)
    };
    let (from, until) = (i64::MIN, i64::MAX);
    let half = SECOND / 2;
    for (op, micros, first, last) in [
        (Op::GtEq, 5 * SECOND, 5, until),
        (Op::GtEq, 5 * SECOND + half, 6, until),
        (Op::Gt, 5 * SECOND, 6, until),
        (Op::Gt, 5 * SECOND + half, 6, until),
        (Op::Lt, 5 * SECOND, from, 4),
        (Op::Lt, 5 * SECOND + half, from, 5),
        (Op::LtEq, 5 * SECOND, from, 5),
        (Op::LtEq, 5 * SECOND + half, from, 5),
        (Op::Eq, 5 * SECOND, 5, 5),
        (Op::GtEq, -half, 0, until),
        (Op::Lt, -half, from, -1),
    ] {
        assert_eq!(bounds(op, micros), (first, last, Condition::Always), "{op:?} {micros}");
    }
    assert_eq!(bounds(Op::Eq, half).2, Condition::Never);
}

#[test]
fn years_that_influxdb_does_not_know_are_asked_for_by_their_second() {
    let early = asked(&["alerts"], vec![time(Op::Lt, SECONDS.0 * SECOND)], None);
    assert_eq!(
        early,
        "SELECT \"alerts\", \"second\", \"block\" FROM \"throughput_out_of_range\" WHERE time >= -9223372036000000000 AND time < 9223372036000000000 AND \"second\" <= $p0 [$p0=-9223372037]"
    );
    let both = asked(&["alerts"], vec![time(Op::GtEq, NOON * SECOND)], None);
    assert!(both.contains("FROM \"throughput\" WHERE time >= 1767268800000000000 AND time < 9223372036000000000;") && both.contains("\"second\" >= $p0"), "{both}");
}

#[test]
fn negations_go_inside_and_constants_vanish() {
    let either = Predicate::Or(vec![text("department", Op::Eq, "IT"), compare("alerts", Op::Lt, Value::Int(1))]);
    assert!(asked(&["alerts"], vec![either.clone().negated()], None).contains("AND ((\"department\" != $p0 AND \"alerts\" >= $p1))"));
    let list = Predicate::In { column: column("risk_level"), values: vec![Value::Text("low".into()), Value::Text("high".into())] };
    assert!(asked(&["alerts"], vec![list.clone()], None).contains("((\"risk_level\" = $p0 OR \"risk_level\" = $p1))"));
    assert!(asked(&["alerts"], vec![list.negated()], None).contains("((\"risk_level\" != $p0 AND \"risk_level\" != $p1))"));
    let missing = Predicate::Null { column: column("department") };
    assert_eq!(asked(&["alerts"], vec![missing.clone()], None), "nothing: no point can hold these conditions");
    assert_eq!(asked(&["alerts"], vec![missing.negated()], None), asked(&["alerts"], Vec::new(), None));
    assert_eq!(asked(&["alerts"], vec![either.is(Truth::Unknown)], None), asked(&["alerts"], vec![Predicate::Or(Vec::new())], None));
    assert_eq!(asked(&["alerts"], vec![time(Op::Gt, 0), time(Op::Lt, 0)], None), "nothing: no point can hold these conditions");
}

#[test]
fn only_what_is_exact_is_taken() {
    for exact in [
        text("department", Op::NotEq, "IT"),
        time(Op::Lt, 5),
        compare("partition", Op::Eq, Value::Int(5)),
        compare("score_max", Op::LtEq, Value::Int(5)),
        Predicate::And(vec![time(Op::GtEq, 1), time(Op::LtEq, 5), text("risk_level", Op::Eq, "low")]),
        Predicate::Or(vec![compare("alerts", Op::Gt, Value::Int(0)), text("risk_level", Op::Eq, "low")]).is(Truth::True),
    ] {
        assert_eq!(told(&exact), Support::Exact, "{exact:?}");
        assert!(query(&shape::metrics(), &Request { projection: vec![0], predicates: vec![exact], order: Vec::new(), limit: None, parts: 1 }, &[]).is_some());
    }
    let many = |name: &str, count: i64| Predicate::In { column: column(name), values: (0..count).map(Value::Int).collect() };
    for not in [
        text("department", Op::Lt, "IT"),
        time(Op::NotEq, 5),
        time(Op::Lt, 5).negated(),
        Predicate::Or(vec![time(Op::Lt, 5), time(Op::Gt, 9)]),
        compare("block", Op::Eq, Value::Int(5)),
        compare("partition", Op::Lt, Value::Int(5)),
        Predicate::StartsWith { column: column("department"), text: "I".into() },
        many("time", 2),
        many("alerts", 17),
        many("partition", 501),
    ] {
        assert_eq!(told(&not), Support::No, "{not:?}");
    }
    assert_eq!((told(&many("alerts", 16)), told(&many("partition", 500))), (Support::Exact, Support::Exact));
}
