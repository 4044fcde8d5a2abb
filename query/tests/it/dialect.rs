//! PostgreSQL's forms, as its clients write them.

use datafusion::common::ScalarValue;

use crate::fixture::{Fixture, read};

#[tokio::test(flavor = "multi_thread")]
async fn an_array_is_compared_as_postgresql_does() {
    let fixture = Fixture::new();
    let count = |condition: &str| format!("SELECT count(*) FROM transactions WHERE {condition}");
    for (condition, same) in [
        ("user_id = ANY('{u1,\"O''Brien\"}')", "user_id IN ('u1', 'O''Brien')"),
        ("user_id <> ALL('{u1,U1}')", "user_id NOT IN ('u1', 'U1')"),
        ("risk_score = ANY('{7,14}')", "risk_score IN (7, 14)"),
        ("risk_score = ANY('{7,14}'::int[])", "risk_score IN (7, 14)"),
        ("risk_score > ALL('{7,14}')", "risk_score > 14"),
        ("user_id = ANY('{}')", "false"),
        ("user_id = ANY(ARRAY['u1', NULL])", "user_id = 'u1'"),
        ("(user_id = ANY(ARRAY['nobody', NULL])) IS NULL", "true"),
        ("(risk_score > ANY(ARRAY[1000, NULL])) IS NULL", "true"),
        ("risk_score < ANY(ARRAY[7, 14])", "risk_score < 14"),
        ("risk_score <> ALL(ARRAY[7, 14])", "risk_score NOT IN (7, 14)"),
    ] {
        assert_eq!(fixture.column(&count(condition)).await, fixture.column(&count(same)).await, "{condition}");
    }
    for (condition, value, same) in [
        ("user_id = ANY($1)", "{u1,U1}", "user_id IN ('u1', 'U1')"),
        ("user_id <> ALL($1)", "{u1,U1}", "user_id NOT IN ('u1', 'U1')"),
        ("risk_score = ANY($1)", "{7,14}", "risk_score IN (7, 14)"),
    ] {
        let prepared = fixture.session.prepare(&count(condition), &[]).await.unwrap();
        let result = fixture.session.execute(&prepared, vec![ScalarValue::from(value)]).await.unwrap();
        let given: Vec<String> = read(result).await.unwrap().into_iter().flatten().collect();
        assert_eq!(given, fixture.column(&count(same)).await, "{condition}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_may_have_one_name() {
    let fixture = Fixture::new();
    for (sql, names, row) in [
        ("SELECT 1, 1", vec!["?column?", "?column?"], vec!["1", "1"]),
        ("SELECT CAST(NULL AS int), CAST(NULL AS int), 'a' AS b", vec!["int", "int", "b"], vec!["", "", "a"]),
        ("SELECT user_id, user_id FROM transactions WHERE partition = 0 AND seq = 0", vec!["user_id", "user_id"], vec!["u1", "u1"]),
        ("SELECT b FROM (SELECT 1, 1, 2 AS b) AS t", vec!["b"], vec!["2"]),
    ] {
        let prepared = fixture.session.prepare(sql, &[]).await.unwrap_or_else(|error| panic!("{sql}\n{error}"));
        assert_eq!(prepared.schema().fields().iter().map(|field| field.name().as_str()).collect::<Vec<_>>(), names, "{sql}");
        let result = fixture.session.query(sql).await.unwrap();
        assert_eq!(result.schema.fields().iter().map(|field| field.name().as_str()).collect::<Vec<_>>(), names, "{sql}");
        assert_eq!(read(result).await.unwrap(), [row], "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn times_reach_from_the_first_year_to_the_last() {
    let fixture = Fixture::new();
    for condition in [
        "timestamp <= '9999-12-31T23:59:59.999999Z' AND metadata @> '{}'",
        "timestamp IN ('9999-12-31', '0001-01-01') OR metadata->>'ip' IS NOT NULL",
        "timestamp BETWEEN '0001-01-01' AND '9999-12-31' OR metadata->>'ip' = 'x'",
        "timestamp < '9999-12-31 23:59'::timestamptz",
        "timestamp < TIMESTAMP '9999-12-31 23:59:59' AND timestamp > '2026-02-20 03:00'",
        "timestamp < ('9999-12-31'::timestamp AT TIME ZONE 'UTC')",
    ] {
        assert_eq!(fixture.column(&format!("SELECT count(*) FROM transactions WHERE {condition}")).await, ["120"], "{condition}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_bind_as_in_postgresql() {
    let fixture = Fixture::new();
    let count = |condition: &str| format!("SELECT count(*) FROM transactions WHERE {condition}");
    for (condition, same) in [
        ("counterparty_account IS NOT DISTINCT FROM NULL AND seq < 10 OR seq = 50", "(counterparty_account IS NULL AND seq < 10) OR seq = 50"),
        ("seq < 10 AND description IS DISTINCT FROM '' OR seq = 50", "(seq < 10 AND (description IS DISTINCT FROM '')) OR seq = 50"),
        ("metadata->'tags'->>-1 = '7'", "seq = 7"),
        ("risk_score>-1 AND seq<+5", "seq < 5"),
        ("user_id LIKE 'a/_b' ESCAPE '/'", "user_id = 'a_b'"),
        ("user_id LIKE 'a!%b' ESCAPE '!'", "user_id = 'a%b'"),
        ("risk_score < 1e300", "true"),
    ] {
        assert_eq!(fixture.column(&count(condition)).await, fixture.column(&count(same)).await, "{condition}");
    }
    assert_eq!(fixture.try_rows("SELECT CAST(99999999999 AS int)").await.unwrap_err().sqlstate(), "22003");
    assert_eq!(fixture.try_rows(&format!("SELECT {}1{}", "(".repeat(90), ")".repeat(90))).await.unwrap_err().sqlstate(), "54001");
}
