//! `PREPARE`, `EXECUTE`, `DEALLOCATE` in SQL.

use wh_query::{Action, Principal, QueryError, Way};

use crate::fixture::{Fixture, read};

async fn failed(fixture: &Fixture, sql: &str) -> QueryError {
    match fixture.session.query(sql).await {
        Err(error) => error,
        Ok(result) => read(result).await.unwrap_err(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_prepared_is_executed_with_values() {
    let fixture = Fixture::new();
    assert!(fixture.rows("PREPARE of_user (text, int) AS SELECT count(*) FROM transactions WHERE user_id = $1 AND risk_score >= $2").await.is_empty());
    let all = fixture.rows("SELECT count(*) FROM transactions WHERE user_id = 'u1' AND risk_score >= 14").await;
    assert_ne!(all, [["0"]]);
    for values in ["'u1', 14", "'u' || '1', 7 * 2", "lower('U1')::text, '14'"] {
        assert_eq!(fixture.rows(&format!("EXECUTE of_user ({values})")).await, all, "{values}");
    }
    assert_eq!(fixture.rows("EXECUTE of_user ('O''Brien''; DROP TABLE transactions; --', NULL)").await, [["0"]]);
    // The same before it runs, as a protocol asks for it.
    let prepared = fixture.session.prepare("EXECUTE of_user ('u1', 14)", &[]).await.unwrap();
    assert_eq!((prepared.action(), prepared.schema().fields().len(), prepared.parameters().len()), (&Action::Query, 1, 0));
    assert_eq!(read(fixture.session.execute(&prepared, Vec::new()).await.unwrap()).await.unwrap(), all);

    assert!(fixture.rows("PREPARE \"Without\" AS SELECT 1 AS one UNION ALL SELECT 2 ORDER BY one").await.is_empty());
    assert_eq!(fixture.rows("EXECUTE \"Without\"").await, [["1"], ["2"]]);
    // What was set since it was prepared holds.
    fixture.rows("PREPARE shown (text) AS SELECT timestamp FROM transactions WHERE transaction_id = $1").await;
    assert_eq!(fixture.rows("EXECUTE shown ('t-0-000')").await, [["2026-03-01T00:00:00Z"]]);
    fixture.session.query("SET TIME ZONE 'Europe/Berlin'").await.unwrap();
    assert_eq!(fixture.rows("EXECUTE shown ('t-0-000')").await, [["2026-03-01T01:00:00+01:00"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_prepared_once_and_let_go_of() {
    let fixture = Fixture::new();
    fixture.rows("PREPARE p AS SELECT 1").await;
    assert_eq!(failed(&fixture, "PREPARE p AS SELECT 2").await.sqlstate(), "42P05");
    let other = fixture.engine.session(Principal::local(Way::Cli));
    assert_eq!(other.query("EXECUTE p").await.unwrap_err().sqlstate(), "26000", "it is the session's own");
    fixture.rows("DEALLOCATE p").await;
    assert_eq!(failed(&fixture, "EXECUTE p").await.sqlstate(), "26000");
    for all in ["DEALLOCATE ALL", "DISCARD ALL"] {
        fixture.rows("PREPARE p AS SELECT 1").await;
        fixture.rows(all).await;
        assert_eq!(failed(&fixture, "EXECUTE p").await.sqlstate(), "26000", "{all}");
    }
    fixture.rows("PREPARE p AS SELECT 1").await;
    fixture.rows("RESET ALL").await;
    assert_eq!(fixture.rows("EXECUTE p").await, [["1"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_queries_are_prepared_and_only_values_given() {
    let fixture = Fixture::new();
    fixture.rows("PREPARE p (int) AS SELECT count(*) FROM transactions WHERE risk_score = $1").await;
    for (sql, code) in [
        ("PREPARE q AS DELETE FROM transactions", "25006"),
        ("PREPARE q AS SELECT nothing FROM transactions", "42703"),
        ("EXECUTE p ((SELECT max(risk_score) FROM transactions))", "0A000"),
        ("EXECUTE p (risk_score FROM transactions)", "0A000"),
        ("EXECUTE p (1 UNION SELECT 2)", "0A000"),
        ("EXECUTE p ($1)", "0A000"),
        ("EXECUTE p ('seven')", "22P02"),
        ("EXECUTE p (1 / 0)", "22012"),
        ("EXPLAIN EXECUTE p (1)", "0A000"),
    ] {
        assert_eq!(failed(&fixture, sql).await.sqlstate(), code, "{sql}");
    }
    assert!(fixture.session.query("EXECUTE p").await.is_err() && fixture.session.query("EXECUTE p (1, 2)").await.is_err());
}
