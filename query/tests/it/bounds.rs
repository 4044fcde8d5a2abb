//! What one statement may take: time, threads and memory.

use std::time::{Duration, Instant};

use wh_query::{Principal, QueryError, Way};

use crate::fixture::{Fixture, local, read};

/// A join that looks at some billions of pairs and gives none.
const FRUITLESS: &str = "SELECT count(*) FROM generate_series(1, 200000) a(x) CROSS JOIN generate_series(1, 200000) b(y) WHERE a.x + b.y < 0";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_join_that_gives_nothing_ends_in_time_and_others_go_on() {
    let fixture = Fixture::new();
    let session = local(&fixture.engine);
    session.set("statement_timeout", "1s").unwrap();
    let began = Instant::now();
    let held = tokio::spawn(async move {
        match session.query(FRUITLESS).await {
            Err(error) => error,
            Ok(result) => read(result).await.unwrap_err(),
        }
    });
    assert_eq!(fixture.column("SELECT count(*) FROM transactions").await, ["120"]);
    assert!(!held.is_finished(), "others are answered while it runs");
    assert_eq!(held.await.unwrap(), QueryError::Timeout);
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_join_that_gives_nothing_ends_when_it_is_cancelled() {
    let fixture = Fixture::new();
    let result = fixture.session.query(FRUITLESS).await.unwrap();
    let reading = tokio::spawn(read(result));
    assert_eq!(fixture.column("SELECT 1").await, ["1"]);
    let began = Instant::now();
    assert!(fixture.session.cancel());
    assert_eq!(reading.await.unwrap(), Err(QueryError::Cancelled));
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn functions_give_no_more_than_fits() {
    let fixture = Fixture::new();
    for sql in [
        "SELECT repeat('x', 2000000000)",
        "SELECT length(repeat(repeat('x', 10000), 10000))",
        "SELECT repeat(user_id, 100000000) FROM transactions",
        "SELECT lpad('x', 2147483647, 'y')",
        "SELECT rpad(user_id, 2147483647) FROM transactions",
        "SELECT array_repeat(1, 2000000000)",
        "SELECT array_resize(make_array(1), 2000000000, 0)",
        "SELECT range(1, 10000000000)",
        "SELECT generate_series(1, 10000000000)",
        "SELECT replace(repeat('a', 1000000), 'a', repeat('b', 1000000))",
        "SELECT regexp_replace(repeat('a', 1000000), 'a', repeat('b', 1000000), 'g')",
        "SELECT concat(repeat('a', 15000000), repeat('b', 15000000))",
        "SELECT repeat('a', 15000000) || repeat('b', 15000000)",
        "SELECT levenshtein(repeat('a', 100000), repeat('b', 100000))",
        "SELECT array_to_string(range(1, 1000000), repeat('x', 1000000))",
        "SELECT approx_percentile_cont(amount, 0.5, 1000000000) FROM transactions",
    ] {
        let error = fixture.try_rows(sql).await.unwrap_err();
        assert_eq!(error.sqlstate(), "54000", "{sql}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn functions_give_what_they_gave() {
    let fixture = Fixture::new();
    for (sql, wanted) in [
        ("SELECT repeat('ab', 3)", "ababab"),
        ("SELECT lpad('x', 3, 'ab')", "abx"),
        ("SELECT rpad('x', 3, 'ab')", "xab"),
        ("SELECT concat('a', NULL, 1)", "a1"),
        ("SELECT concat_ws('-', 'a', 'b')", "a-b"),
        ("SELECT 'a' || 1 || 'b'", "a1b"),
        ("SELECT 'a' || NULL", ""),
        ("SELECT array_to_string(range(1, 4), ',')", "1,2,3"),
        ("SELECT replace('banana', 'an', 'x')", "bxxa"),
        ("SELECT regexp_replace('banana', '(a)(n)', '\\2\\1', 'g')", "bnanaa"),
        ("SELECT levenshtein('kitten', 'sitting')", "3"),
        ("SELECT max(length(repeat('x', 1000000) || user_id)) FROM transactions", "1000007"),
    ] {
        assert_eq!(fixture.column(sql).await, [wanted], "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_asks_is_not_told() {
    let fixture = Fixture::new();
    let of = |name: &str, role: &str| fixture.engine.session(Principal { name: name.into(), proved: true, role: role.into(), ..Principal::local(Way::Postgres) });
    let (ada, ben, chief) = (of("ada", "analyst"), of("ben", "analyst"), of("chief", "admin"));
    read(ada.query("SELECT 'of ada'").await.unwrap()).await.unwrap();
    let asked = "SELECT principal, sql FROM system.queries WHERE principal = 'ada' ORDER BY id LIMIT 1";
    for (session, wanted) in [(&ada, "SELECT 'of ada'"), (&ben, ""), (&chief, "SELECT 'of ada'")] {
        assert_eq!(read(session.query(asked).await.unwrap()).await.unwrap(), [["ada", wanted]], "{}", session.principal().name);
    }
}
