//! Statements and what PostgreSQL answers: numbers, casts, parts of times, days of a zone.

use crate::fixture::Fixture;

#[tokio::test(flavor = "multi_thread")]
async fn numbers_are_those_of_postgresql() {
    let fixture = Fixture::new();
    for (sql, wanted) in [
        ("SELECT 1/30000.0", "0.00003333333333333333"),
        ("SELECT 7/120000.0", "0.00005833333333333333"),
        ("SELECT round(5/9.0, 4)", "0.5556"),
        ("SELECT round(-2.0/3, 6)", "-0.666667"),
        ("SELECT round((1/3.0) * (1/3.0), 6)", "0.111111"),
        ("SELECT round(avg(x), 6) FROM (VALUES (1.0), (0.0), (0.0)) AS t(x)", "0.333333"),
        ("SELECT round(avg(DISTINCT x), 6) FROM (VALUES (1.0), (0.0), (0.0), (1.0), (1.0)) AS t(x)", "0.500000"),
        ("SELECT max(round(m, 6)) FROM (SELECT avg(x) OVER () AS m FROM (VALUES (2.0), (0.0), (0.0)) AS t(x)) AS w", "0.666667"),
        ("SELECT round(avg(CASE WHEN seq < 1 THEN 1.0 ELSE 0 END), 8) FROM transactions", "0.01666667"),
        ("SELECT 732.60::int", "733"),
        ("SELECT -2.6::int", "-3"),
        ("SELECT 2.5::int", "3"),
        ("SELECT 2.5::float8::int", "2"),
        ("SELECT 3.5::float8::bigint", "4"),
        ("SELECT round(2.5::float8)", "2.0"),
        ("SELECT round(2.5)", "3"),
        ("SELECT log(1000.0)", "3.0"),
        ("SELECT log(10, 1000)", "3.0"),
        ("SELECT extract(second FROM TIMESTAMP '2026-01-20 03:00:37.814403')", "37.814403"),
        ("SELECT extract(milliseconds FROM TIMESTAMP '2026-01-20 03:00:37.814403')", "37814.403"),
        ("SELECT extract(minute FROM TIMESTAMP '2026-01-20 03:07:37.814403')", "7"),
        ("SELECT extract(epoch FROM INTERVAL '1 day 1.5 seconds')", "86401.500000"),
        ("SELECT extract(epoch FROM TIMESTAMP '1970-01-02 00:00:00.25')", "86400.250000"),
        ("SELECT extract(epoch FROM max(timestamp) - min(timestamp)) > 43200 FROM transactions", "true"),
    ] {
        assert_eq!(fixture.column(sql).await, [wanted], "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cast_that_is_compared_is_rounded_first() {
    let fixture = Fixture::new();
    let count = |condition: &str| format!("SELECT count(*) FROM transactions WHERE {condition}");
    for (condition, same) in [
        ("amount::bigint = 1000", "amount >= 999.5 AND amount < 1000.5"),
        ("amount::bigint = 1001", "amount = 1000.50"),
        ("amount::bigint = 0", "amount = 0.01"),
        ("amount::numeric(15, 1) = 1000.0", "amount = 999.99"),
    ] {
        let rounded = fixture.column(&count(condition)).await;
        assert_eq!(rounded, fixture.column(&count(same)).await, "{condition}");
        assert_ne!(rounded, ["0"], "{condition}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_no_value_is_an_error() {
    let fixture = Fixture::new();
    for (sql, state) in [
        ("SELECT amount::float8 / 0 FROM transactions", "22012"),
        ("SELECT amount / 0 FROM transactions", "22012"),
        ("SELECT 1 / 0.0", "22012"),
        ("SELECT 3000000000.7::int", "22003"),
    ] {
        assert_eq!(fixture.try_rows(sql).await.unwrap_err().sqlstate(), state, "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_is_the_sessions() {
    let fixture = Fixture::new();
    fixture.session.set("TimeZone", "America/New_York").unwrap();
    // From 00:00 to 12:00 UTC: the first five hours are of the day before.
    for (condition, wanted) in [
        ("timestamp::date = '2026-02-28'", "50"),
        ("timestamp >= DATE '2026-02-28' AND timestamp < DATE '2026-02-28' + 1", "50"),
        ("timestamp::timestamp < '2026-03-01'", "50"),
        ("left(timestamp::text, 10) = '2026-02-28'", "50"),
        ("to_char(timestamp, 'YYYY-MM-DD') = '2026-02-28'", "50"),
        ("extract(hour FROM timestamp) = 19", "10"),
        ("extract(hour FROM timestamp AT TIME ZONE 'UTC') = 0", "10"),
    ] {
        assert_eq!(fixture.column(&format!("SELECT count(*) FROM transactions WHERE {condition}")).await, [wanted], "{condition}");
    }
    assert_eq!(fixture.rows("SELECT timestamp::date AS day, count(*) FROM transactions GROUP BY 1 ORDER BY 1").await, [["2026-02-28", "50"], ["2026-03-01", "70"]]);
}
