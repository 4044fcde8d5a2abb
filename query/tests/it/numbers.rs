//! Integers at the ends of their types.

use crate::fixture::Fixture;

#[tokio::test(flavor = "multi_thread")]
async fn what_no_integer_holds_is_an_error() {
    let fixture = Fixture::new();
    for (sql, what) in [
        ("SELECT 9223372036854775807 * 2", "bigint"),
        ("SELECT 9223372036854775807 + 1", "bigint"),
        ("SELECT -9223372036854775807 - 2", "bigint"),
        ("SELECT max(seq) + 9223372036854775807 FROM transactions", "bigint"),
        ("SELECT seq * 9223372036854775807 FROM transactions", "bigint"),
        ("SELECT count(*) FROM transactions WHERE seq + 9223372036854775807 > 0", "bigint"),
        ("SELECT sum(seq + 9223372036854775807) OVER () FROM transactions", "bigint"),
        ("SELECT sum(seq * 0 + 9223372036854775807) FROM transactions", "bigint"),
        ("SELECT user_id, sum(seq * 0 + 9223372036854775807) FROM transactions GROUP BY user_id", "bigint"),
        ("SELECT sum(seq * 0 + 9223372036854775807) OVER (ORDER BY seq) FROM transactions", "bigint"),
        ("SELECT sum(column1) FROM (VALUES (9223372036854775807), (1)) AS t", "bigint"),
        ("SELECT sum(-column1) FROM (VALUES (9223372036854775807), (2)) AS t", "bigint"),
        ("SELECT sum(column1::numeric(38, 0) * 6000000000000000000) FROM (VALUES (9223372036854775807), (9223372036854775806)) AS t", "numeric"),
        ("SELECT abs(-9223372036854775807 - column1) FROM (VALUES (1)) AS t", "bigint"),
        ("SELECT 2147483647::int * 2::int", "integer"),
        ("SELECT 32767::smallint + 1::smallint", "smallint"),
    ] {
        let error = fixture.try_rows(sql).await.unwrap_err();
        assert_eq!((error.sqlstate(), error.to_string().ends_with(&format!("{what} out of range"))), ("22003", true), "{sql}: {error}");
    }
    let negated = fixture.try_rows("SELECT -(-9223372036854775807 - seq) FROM transactions WHERE seq = 1").await.unwrap_err();
    assert!(negated.sqlstate() == "22003" && !negated.to_string().contains("922"), "{negated}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_integer_holds_is_what_it_was() {
    let fixture = Fixture::new();
    for (sql, wanted) in [
        ("SELECT 9223372036854775806 + 1", "9223372036854775807"),
        ("SELECT -9223372036854775807 - 1", "-9223372036854775808"),
        ("SELECT 2147483647::int * 2", "4294967294"),
        ("SELECT 2 + 3 * 4 - 5", "9"),
        ("SELECT NULL + 1", ""),
        ("SELECT sum(column1) FROM (VALUES (9223372036854775807), (1), (-1)) AS t", "9223372036854775807"),
        ("SELECT avg(column1) FROM (VALUES (9223372036854775807), (9223372036854775807)) AS t", "9.223372036854776e18"),
        ("SELECT sum(column1::numeric(38, 0)) FROM (VALUES (9223372036854775807), (9223372036854775807)) AS t", "18446744073709551614"),
        ("SELECT max(seq * 2 + 1) - 1 FROM transactions WHERE partition = 0", "118"),
        ("SELECT CASE WHEN max(seq) > 1000 THEN max(seq) * 9223372036854775807 ELSE -1 END FROM transactions", "-1"),
        ("SELECT min(n - 2) FROM (SELECT row_number() OVER (ORDER BY seq) AS n FROM transactions) AS t", "-1"),
        (
            "SELECT min(a - b) FROM (SELECT row_number() OVER (ORDER BY seq, transaction_id) AS a, row_number() OVER (ORDER BY seq DESC, transaction_id DESC) AS b FROM transactions) AS t",
            "-119",
        ),
        ("WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 5) SELECT max(n) FROM t", "5"),
        ("SELECT count(*) FROM (SELECT seq FROM transactions ORDER BY seq LIMIT 2 + 1) AS t", "3"),
    ] {
        assert_eq!(fixture.column(sql).await, [wanted], "{sql}");
    }
    assert_eq!(fixture.column("SELECT seq + 1 AS next FROM transactions GROUP BY seq + 1 ORDER BY seq + 1 LIMIT 2").await, ["1", "2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_out_is_not_divided_by() {
    let fixture = Fixture::new();
    for data_type in ["integer", "bigint", "numeric(10, 2)", "double precision"] {
        let from = format!("FROM (SELECT column1::{data_type} AS x, column2::{data_type} AS y FROM (VALUES (1, 0), (8, 2), (3, NULL), (1, 4)) AS v) AS t");
        for condition in [
            "y <> 0 AND x / y > 2",
            "x / y > 2 AND y > 0",
            "x > 1 AND y IS DISTINCT FROM 0 AND x / y > 2",
            "CASE WHEN y <> 0 THEN x / y > 2 ELSE false END",
            "y <> 0 AND (y = 0 OR x / y > 2)",
        ] {
            assert_eq!(fixture.column(&format!("SELECT x::integer {from} WHERE {condition}")).await, ["8"], "{data_type}: {condition}");
        }
        let error = fixture.try_rows(&format!("SELECT x {from} WHERE x / y > 2")).await.unwrap_err();
        assert_eq!(error.sqlstate(), "22012", "{data_type}");
    }
}
