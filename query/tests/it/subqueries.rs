//! What PostgreSQL's users write: comparisons with all values of a subquery, patterns of SQL, series, and other names of functions.

use crate::fixture::Fixture;

#[tokio::test(flavor = "multi_thread")]
async fn a_subquery_may_read_the_table_that_it_is_compared_in() {
    let fixture = Fixture::new();
    let count = |condition: &str| format!("SELECT count(*) FROM transactions WHERE {condition}");
    for (condition, same) in [
        ("risk_score > ALL (SELECT risk_score FROM transactions WHERE seq < 3)", "risk_score > (SELECT max(t.risk_score) FROM transactions t WHERE t.seq < 3)"),
        ("risk_score >= ALL (SELECT risk_score FROM transactions)", "risk_score = (SELECT max(t.risk_score) FROM transactions t)"),
        ("risk_score > ANY (SELECT risk_score FROM transactions)", "risk_score > (SELECT min(t.risk_score) FROM transactions t)"),
        ("risk_score < ANY (SELECT risk_score FROM transactions WHERE false)", "false"),
        ("risk_score < ALL (SELECT risk_score FROM transactions WHERE false)", "true"),
        ("seq = ANY (SELECT seq FROM transactions WHERE seq < 3)", "seq < 3"),
        ("seq <> ALL (SELECT seq FROM transactions WHERE seq < 3)", "seq >= 3"),
        ("(seq > ALL (SELECT column1 FROM (VALUES (1000), (NULL)) AS v)) IS NULL", "seq > 1000"),
    ] {
        assert_eq!(fixture.column(&count(condition)).await, fixture.column(&count(same)).await, "{condition}");
    }
    let listed = "SELECT count(*) FROM (SELECT risk_score >= ALL (SELECT risk_score FROM transactions) AS most, 3 > ANY (SELECT column1 FROM (VALUES (1), (2)) AS v) AS b, \
                  3 > ALL (SELECT column1 FROM (VALUES (1), (2)) AS w) AS c FROM transactions) AS t WHERE b AND c AND most IS NOT NULL";
    assert_eq!(fixture.column(listed).await, ["120"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_may_be_unknown() {
    let fixture = Fixture::new();
    let some = "(SELECT column1 FROM (VALUES (1), (2), (NULL)) AS v)";
    for (condition, same) in [
        (format!("(seq IN {some}) IS NULL"), "seq NOT IN (1, 2)"),
        (format!("(seq NOT IN {some}) IS NULL"), "seq NOT IN (1, 2)"),
        (format!("seq NOT IN {some} OR seq < 4"), "seq < 4"),
        (format!("NOT (seq IN {some} AND risk_score >= 0)"), "seq IN (1, 2) AND risk_score < 0"),
        (format!("CASE WHEN seq IN {some} THEN false ELSE true END"), "seq NOT IN (1, 2)"),
        ("(seq NOT IN (SELECT t.seq FROM transactions t WHERE t.seq < 3)) IS NOT TRUE".to_owned(), "seq < 3"),
        ("seq NOT IN (SELECT t.seq FROM transactions t WHERE t.seq < 3) OR seq = 1".to_owned(), "seq >= 3 OR seq = 1"),
        ("0 IN (SELECT count(*) FROM transactions t WHERE t.seq = transactions.seq AND t.seq < 3)".to_owned(), "seq >= 3"),
    ] {
        let count = |condition: &str| format!("SELECT count(*) FROM transactions WHERE {condition}");
        assert_eq!(fixture.column(&count(&condition)).await, fixture.column(&count(same)).await, "{condition}");
    }
    let listed = format!("SELECT DISTINCT seq IN {some} AS found FROM transactions ORDER BY found NULLS LAST");
    assert_eq!(fixture.column(&listed).await, ["true", ""]);
    let outer = "SELECT seq IN (SELECT t.seq FROM transactions t WHERE t.user_id = transactions.user_id) FROM transactions";
    assert_eq!(fixture.try_rows(outer).await.unwrap_err().sqlstate(), "0A000");
}

#[tokio::test(flavor = "multi_thread")]
async fn patterns_of_sql_are_for_the_whole_text() {
    let fixture = Fixture::new();
    for (condition, wanted) in [
        ("'abc' SIMILAR TO 'a%'", "true"),
        ("'abc' SIMILAR TO 'b'", "false"),
        ("'abc' NOT SIMILAR TO '%(b|d)%'", "false"),
        ("'a.c' SIMILAR TO 'a.c' AND 'abc' NOT SIMILAR TO 'a.c'", "true"),
        ("'50%' SIMILAR TO '[0-9]{2}!%' ESCAPE '!'", "true"),
    ] {
        assert_eq!(fixture.column(&format!("SELECT {condition}")).await, [wanted], "{condition}");
    }
    let same = fixture.column("SELECT count(*) FROM transactions WHERE user_id LIKE 'u%'").await;
    assert_eq!(fixture.column("SELECT count(*) FROM transactions WHERE user_id SIMILAR TO 'u%'").await, same);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_forms_of_postgresql_are_understood() {
    let fixture = Fixture::new();
    assert_eq!(fixture.column("SELECT seq FROM transactions WHERE partition = 0 ORDER BY seq OFFSET 1 ROWS FETCH FIRST 2 ROWS ONLY").await, ["1", "2"]);
    assert_eq!(fixture.column("SELECT count(*) FROM generate_series('2026-01-01'::timestamptz, '2026-01-02'::timestamptz, '6 hours') AS g").await, ["5"]);
    assert_eq!(fixture.column("SELECT generate_series(1, 3)").await, ["1", "2", "3"]);
    assert_eq!(fixture.column("SELECT every(seq >= 0) FROM transactions").await, ["true"]);
    assert_eq!(fixture.column("SELECT variance(seq) = var_samp(seq) AND sign(-2) = -1 AND ceiling(1.5) = 2 FROM transactions").await, ["true"]);
    assert_eq!(fixture.rows("SELECT sum(risk_score) = sum(risk_score::bigint), max(seq) AS a, max(seq::bigint) AS b FROM transactions").await.len(), 1);
    let lateral = "SELECT u.k, x.seq FROM (VALUES (1), (2)) AS u (k), LATERAL (SELECT t.seq FROM transactions t WHERE t.seq = u.k ORDER BY t.seq LIMIT 1) AS x";
    let error = fixture.try_rows(lateral).await.unwrap_err();
    assert!(error.sqlstate() == "0A000" && error.to_string().contains("row_number()"), "{error}");
}
