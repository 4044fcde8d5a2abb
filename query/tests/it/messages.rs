//! What a newcomer writes, and what is said: a sentence in SQL's words, its SQLSTATE, and what to write instead.

use crate::fixture::Fixture;

/// A statement, the SQLSTATE, the headline, and a word of the hint; an empty one where there is none to look for.
const TOLD: [(&str, &str, &str, &str); 45] = [
    ("SELECT user_id FROM transactions WHERE rank() OVER (ORDER BY amount) < 3", "42P20", "window functions are not allowed in WHERE", "subquery"),
    ("SELECT sum(department) FROM transactions", "42883", "function sum(text) does not exist", "::numeric"),
    ("SELECT avg(user_id) FROM transactions", "42883", "function avg(text) does not exist", ""),
    ("SELECT upper(amount) FROM transactions", "42883", "function upper(numeric) does not exist", "::text"),
    ("SELECT TOP 5 * FROM transactions", "0A000", "TOP is not supported", "LIMIT 5"),
    ("SELECT user_id FROM transactions WHERE user_id = 5", "42883", "operator does not exist: text = integer", "'5'"),
    ("SELECT user_id FROM transactions WHERE user_id IN (1, 2)", "42883", "operator does not exist: text = integer", "'1'"),
    ("SELECT user_id FROM transactions WHERE user_id BETWEEN 1 AND 2", "42883", "operator does not exist: text >= integer", ""),
    ("SELECT count(*) FROM transactions t JOIN transactions u ON t.user_id = u.amount", "42883", "operator does not exist: text = numeric", "cast"),
    ("SELECT user_id FROM transactions WHERE amount = 'abc'", "22P02", "invalid input syntax for type numeric: \"abc\"", ""),
    ("SELECT user_id FROM transactions WHERE risk_score = 'abc'", "22P02", "invalid input syntax for type integer: \"abc\"", ""),
    ("SELECT user_id FROM transactions WHERE is_anomaly = 1", "42883", "operator does not exist: boolean = integer", "= true"),
    ("SELECT user_id FROM transactions WHERE timestamp > 5", "42883", "operator does not exist: timestamp with time zone > integer", "2026-10-01"),
    ("SELECT user_id FROM transactions WHERE timestamp > '01.10.2026'", "22007", "invalid input syntax for type timestamp with time zone: \"01.10.2026\"", "2026-10-01"),
    ("SELECT user_id FROM transactions WHERE department = \"IT\"", "42703", "there is no column IT", "'IT'"),
    ("SELECT metadata->>terminal FROM transactions", "42703", "there is no column terminal", "'terminal'"),
    ("SELECT metadata['terminal'] FROM transactions", "42804", "cannot subscript type text", "->>"),
    ("SELECT metadata.terminal FROM transactions", "42804", "cannot subscript type text", "->>"),
    ("SELECT user_id, rank() FROM transactions", "42809", "rank is a window function: it needs OVER (…)", "OVER"),
    ("SELECT lag(amount) FROM transactions", "42809", "lag is a window function: it needs OVER (…)", "OVER"),
    ("SELECT pg_sleep(1)", "42883", "the function pg_sleep() is not available here", ""),
    ("SELECT width_bucket(1, 2, 3, 4)", "42883", "the function width_bucket() is not available here", ""),
    ("SELECT mode() WITHIN GROUP (ORDER BY amount) FROM transactions", "42883", "the function mode() is not available here", "group by"),
    ("SELECT justify_hours(interval '1 day')", "42883", "the function justify_hours() is not available here", ""),
    ("SELECT lenght('x')", "42883", "there is no function lenght(); did you mean length?", ""),
    ("SELECT foo('x')", "42883", "there is no function foo()", ""),
    ("SELECT user_id, count(*) FROM transactions", "42803", "column transactions.user_id must appear in the GROUP BY clause or be used in an aggregate function", "GROUP BY"),
    ("SELECT x.amount FROM transactions t", "42P01", "there is no table x here", "FROM has t"),
    ("SELECT 1/0", "22012", "division by zero", "nullif"),
    ("SELECT alert_id FROM search.alerts WHERE match(user_id, 'x')", "0A000", "match() looks in the columns title and message of search.alerts, and in no other", "match"),
    ("SELECT transaction_id FROM transactions WHERE match(description, 'x')", "0A000", "match() looks in the columns title and message of search.alerts, and in no other", ""),
    ("SELECT alert_id FROM search.alerts WHERE match(message, title)", "0A000", "the query of match() must be a text or a parameter, the same for all rows", ""),
    ("SELECT match(message, 'x') FROM search.alerts", "0A000", "match() must stand directly in WHERE, joined by AND with what is not of search.alerts", ""),
    ("SELECT alert_id FROM search.alerts WHERE match(message, '')", "42601", "in match(…, ''): it is empty", ""),
    (
        "SELECT alert_id FROM search.alerts WHERE match(message, '*')",
        "42601",
        "in match(…, '*'): there is no wildcard *: words are compared by their stem, so that refund finds refunds",
        "phrases",
    ),
    ("SELECT snippet(message, -5) FROM search.alerts WHERE match(message, 'night')", "42000", "snippet() shows at least one character, not -5", ""),
    ("SELECT user_id FROM transactions LIMIT 1 FOR UPDATE", "0A000", "FOR UPDATE is not supported: nothing is written here, so that nothing is locked", "leave"),
    ("EXPLAIN (ANALYZE, FASTER) SELECT 1", "0A000", "EXPLAIN has no option FASTER here", "ANALYZE"),
    ("SELECT user_id + 1 FROM transactions", "42883", "operator does not exist: text + integer", "cast"),
    ("SELECT timestamp + 1 FROM transactions", "42883", "operator does not exist: timestamp with time zone + integer", "interval"),
    ("SELECT user_id FROM transactions WHERE amount LIKE '1%'", "42883", "operator does not exist: numeric LIKE text", "::text"),
    ("SELECT * FROM transactions WHERE timestamp BETWEEN 1 AND 2", "42883", "operator does not exist: timestamp with time zone BETWEEN integer", "2026-10-01"),
    ("SELECT user_id FROM transactions WHERE amount", "42804", "the argument of WHERE must be of type boolean, not numeric", ""),
    ("SELECT 'abc'::int", "22P02", "invalid input syntax for type integer: \"abc\"", ""),
    ("SELECT '1'::foo", "42704", "type foo does not exist here", "numeric"),
];

#[tokio::test(flavor = "multi_thread")]
async fn what_a_newcomer_writes_is_answered_in_sentences() {
    let fixture = Fixture::new();
    let mut wrong = Vec::new();
    for (sql, code, headline, hint) in TOLD {
        match fixture.try_rows(sql).await {
            Err(error) if error.sqlstate() == code && error.headline() == headline && (hint.is_empty() || error.hint().is_some_and(|told| told.contains(hint))) => {}
            Err(error) => wrong.push(format!("{sql}\n  {}: {error}", error.sqlstate())),
            Ok(rows) => wrong.push(format!("{sql}\n  gave {} rows", rows.len())),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_row_is_named_and_no_structure_shown() {
    let fixture = Fixture::new();
    for (sql, _, _, _) in TOLD {
        let told = fixture.fault(sql).await;
        for word in ["Internal error", "Int64", "Utf8", "Decimal128", " { ", "DataFusion", "O'Brien"] {
            assert!(!told.contains(word), "{sql}: {told}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_meant_well_is_taken() {
    let fixture = Fixture::new();
    for sql in ["EXPLAIN (ANALYZE, BUFFERS) SELECT 1", "EXPLAIN (COSTS OFF, FORMAT TEXT) SELECT 1", "SELECT user_id FROM transactions WHERE risk_score = '7' AND user_id <> '5'"] {
        assert!(fixture.try_rows(sql).await.is_ok(), "{sql}");
    }
    let names = |sql: &'static str| {
        let session = &fixture.session;
        async move { session.query(sql).await.unwrap().schema.fields().iter().map(|field| field.name().clone()).collect::<Vec<_>>() }
    };
    assert_eq!(names("SELECT 1, 'a', count(*), upper('x'), 1 + 1").await, ["?column?", "?column?", "count(*)", "upper('x')", "1 + 1"]);
    let types: Vec<String> = fixture.rows("DESCRIBE transactions").await.into_iter().map(|mut row| row.swap_remove(1)).collect();
    assert!(types.contains(&"decimal(15,2)".to_owned()) && types.contains(&"timestamp with time zone".to_owned()), "{types:?}");
}
