//! A condition gives the same rows whether a store answers it or DataFusion does.

use crate::fixture::{Fixture, USERS};

/// Below a limit no condition is pushed: DataFusion evaluates it itself.
async fn both_ways(fixture: &Fixture, table: &str, key: &str, condition: &str) -> (Vec<String>, Vec<String>) {
    let pushed = fixture.column(&format!("SELECT {key} FROM {table} WHERE {condition} ORDER BY {key}")).await;
    let computed = fixture.column(&format!("SELECT {key} FROM (SELECT * FROM {table} LIMIT 100000) AS t WHERE {condition} ORDER BY {key}")).await;
    (pushed, computed)
}

/// Conditions that SQLite answers itself, all of them.
fn answered() -> Vec<String> {
    let mut conditions: Vec<String> = [
        "risk_score >= 70",
        "70 <= risk_score",
        "risk_score <> 35",
        "risk_score = 3000000000",
        "NOT (risk_score > 20 AND risk_score < 80)",
        "risk_score BETWEEN 10 AND 20",
        "risk_score NOT BETWEEN 10 AND 90",
        "risk_score IN (7, 14, 21, 22, 28)",
        "risk_score NOT IN (7, 14, 21, 22, 28)",
        "risk_score > 69.5",
        "amount > 500",
        "amount >= 1000.50",
        "amount < 1000.505",
        "amount > 1000.495",
        "amount = 999.99",
        "amount <= 9999999999999.99",
        "amount IN (0.01, 1.00, 5)",
        "timestamp >= '2026-03-01T05:00:00Z'",
        "timestamp < TIMESTAMP '2026-03-01 05:00:00'",
        "timestamp >= DATE '2026-03-01'",
        "timestamp BETWEEN '2026-03-01T02:00:00Z' AND '2026-03-01T03:00:00Z'",
        "is_anomaly",
        "NOT is_anomaly",
        "is_anomaly = false",
        "is_anomaly IS NOT TRUE",
        "counterparty_account IS NULL",
        "counterparty_account IS NOT NULL",
        "counterparty_account <> 'c3'",
        "NOT (counterparty_account = 'c3')",
        "(counterparty_account = 'c3') IS NOT TRUE",
        "(counterparty_account = 'c3') IS UNKNOWN",
        "counterparty_account IS DISTINCT FROM 'c3'",
        "counterparty_account IS NOT DISTINCT FROM 'c3'",
        "counterparty_account = 'c3' OR description IS NULL",
        "counterparty_account IN ('c3', 'c6', 'x', 'y') OR description = ''",
        "counterparty_account NOT IN ('c3', 'c6', 'x', 'y')",
        "description LIKE '50%'",
        "description LIKE '%off%'",
        "description NOT LIKE '%off%'",
        "description LIKE ''",
        "description = 'Größe'",
        "user_id LIKE 'a%'",
        "user_id LIKE 'Ü%'",
        "user_id LIKE 'zz%'",
        "user_id > 'a'",
        "user_id < 'u1'",
        "partition = 1 AND seq >= 10 AND seq < 20",
        "partition = 1 AND seq > 57",
        "partition = 7",
        "partition IN (0, 1, 2, 3) AND seq = 5",
        "seq < 3 OR (partition = 0 AND seq = 59)",
        "partition = -1",
    ]
    .iter()
    .map(|condition| (*condition).to_owned())
    .collect();
    conditions.extend(USERS.iter().map(|user| format!("user_id = '{}'", user.replace('\'', "''"))));
    conditions
}

/// Conditions that stay with DataFusion.
const COMPUTED: [&str; 8] = [
    "user_id ILIKE 'u1'",
    "user_id LIKE '_1'",
    "user_id LIKE '%1'",
    "description LIKE '%\\%%'",
    "amount > risk_score",
    "lower(user_id) = 'u1'",
    "metadata->>'ip' = '10.0.0.7'",
    "extract(hour FROM timestamp) = 3",
];

#[tokio::test(flavor = "multi_thread")]
async fn conditions_mean_the_same_in_the_store_and_in_datafusion() {
    let fixture = Fixture::new();
    for condition in answered().iter().map(String::as_str).chain(COMPUTED) {
        let (pushed, computed) = both_ways(&fixture, "transactions", "transaction_id", condition).await;
        assert_eq!(pushed, computed, "{condition}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_store_answers_is_not_asked_twice() {
    let fixture = Fixture::new();
    for condition in answered() {
        let plan = fixture.plan(&format!("SELECT transaction_id FROM transactions WHERE {condition}")).await;
        // What can never hold needs no store.
        assert!(!plan.contains("FilterExec") || plan.contains("EmptyExec"), "{condition}\n{plan}");
    }
    for condition in COMPUTED {
        let plan = fixture.plan(&format!("SELECT transaction_id FROM transactions WHERE {condition}")).await;
        assert!(plan.contains("FilterExec"), "{condition}\n{plan}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_store_answers_as_sql_would() {
    let fixture = Fixture::new();
    for (table, key, conditions) in [
        ("risk_alerts", "alert_id", vec!["risk_score > 80", "acknowledged_at IS NULL", "status = 'open' AND partition = 1", "created_at > '2026-03-01T03:00:00Z'"]),
        ("high_risk_transactions", "transaction_id", vec!["partition = 0 AND seq < 30", "amount < 10"]),
        ("documents.explanations", "transaction_id", vec!["risk_score >= 70", "risk_level = 'low' AND seq = 7", "state_epoch IS NULL", "reasons LIKE '%night%'"]),
        ("documents.transaction_metadata", "transaction_id", vec!["partition = 0 AND seq > 55", "metadata->>'ip' = '10.0.0.9'"]),
        ("metrics.throughput", "block", vec!["amount_sum = 123.45", "amount_sum > 200", "time = '2026-03-01T00:00:00Z'"]),
        ("baselines.users", "user_id", vec!["amount_mean > 12", "amount_mean < 12.5", "transactions = 30"]),
        ("system_metrics", "timestamp", vec!["value < 0", "value >= 0.5", "name = 'rate' AND value <> 0.5"]),
        ("user_risk_summary", "user_id", vec!["score_mean IS NULL", "score_mean > 10", "alert_count = 1"]),
        ("transaction_summary", "hour", vec!["hour >= '2026-03-01T11:00:00Z'", "transactions > 8", "alerts > 0 AND department = 'Pharmacy'"]),
        (
            "search.alerts",
            "alert_id",
            vec![
                "risk_score >= 75",
                "risk_score <> 99",
                "severity = 'critical'",
                "severity <> 'critical'",
                "user_id IN ('u1', 'O''Brien', 'x', 'y')",
                "created_at > '2026-03-01T00:00:00.000001Z'",
                "NOT (seq < 2 OR risk_score = 99)",
                "title = 'Refund'",
                "user_id > 'a'",
            ],
        ),
        (
            "log.risk_scores",
            "\"offset\"",
            vec!["partition = 0", "partition = 1", "\"offset\" >= 4 AND \"offset\" < 6", "append_time > '2026-03-01T00:00:00Z'", "key = 'k5'", "NOT (\"offset\" = 3)"],
        ),
    ] {
        for condition in conditions {
            let (pushed, computed) = both_ways(&fixture, table, key, condition).await;
            assert_eq!(pushed, computed, "{table}: {condition}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_shows_what_each_store_is_asked() {
    let fixture = Fixture::new();
    let plan = fixture.plan("SELECT user_id FROM transactions WHERE risk_score >= 70 AND lower(user_id) = 'u1'").await;
    assert!(plan.contains("native=SELECT user_id FROM transactions WHERE risk_score >= ?1 [?1=70]"), "{plan}");
    assert!(plan.contains("pushed=[risk_score >= 70]"), "{plan}");
    assert!(plan.contains("FilterExec: lower(user_id"), "{plan}");
    let plan = fixture.plan("SELECT alert_id FROM search.alerts WHERE match(message, 'refund AND night') AND risk_score > 80").await;
    assert!(plan.contains("+message:(refund AND night)") && plan.contains("+risk_score:{80 TO *}"), "{plan}");
    let plan = fixture.plan("SELECT alert_id FROM search.alerts WHERE title = 'Refund' LIMIT 1").await;
    assert!(plan.contains("+title:\"Refund\"") && plan.contains("rechecked=[") && plan.contains("FilterExec") && !plan.contains("limit="), "{plan}");
    assert_eq!(fixture.column("SELECT alert_id FROM search.alerts WHERE title = 'Refund' LIMIT 1").await, ["s-3"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_and_orders_go_down_only_where_nothing_is_lost() {
    let fixture = Fixture::new();
    let plan = fixture.plan("SELECT transaction_id FROM transactions WHERE risk_score > 50 LIMIT 3").await;
    assert!(plan.contains("LIMIT ?2"), "{plan}");
    assert_eq!(fixture.rows("SELECT transaction_id FROM transactions WHERE risk_score > 50 LIMIT 3").await.len(), 3);
    let plan = fixture.plan("SELECT transaction_id FROM transactions WHERE lower(user_id) = 'u1' LIMIT 3").await;
    assert!(!plan.contains("LIMIT ?"), "{plan}");
    assert_eq!(fixture.rows("SELECT transaction_id FROM transactions WHERE lower(user_id) = 'u1' LIMIT 3").await.len(), 3);
    assert_eq!(fixture.rows("SELECT transaction_id FROM transactions LIMIT 7 OFFSET 117").await.len(), 3);
    let latest = "SELECT transaction_id FROM transactions ORDER BY timestamp DESC, transaction_id LIMIT 4";
    let plan = fixture.plan(latest).await;
    assert!(plan.contains("ORDER BY timestamp DESC, transaction_id LIMIT ?1"), "{plan}");
    assert!(!plan.contains("SortExec"), "{plan}");
    let computed = fixture.column("SELECT transaction_id FROM (SELECT * FROM transactions LIMIT 1000) AS t ORDER BY timestamp DESC, transaction_id LIMIT 4").await;
    assert_eq!(fixture.column(latest).await, computed);
    assert_eq!(fixture.rows("SELECT * FROM log.risk_scores LIMIT 2").await.len(), 2);
    assert_eq!(fixture.rows("SELECT * FROM search.alerts LIMIT 2").await.len(), 2);
    assert_eq!(fixture.rows("SELECT * FROM system.stores LIMIT 2").await.len(), 2);
    assert_eq!(fixture.rows("SELECT * FROM transactions LIMIT 0").await.len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_rows_in_an_order_come_from_the_store() {
    let fixture = Fixture::new();
    for (sql, native) in [
        (
            "SELECT transaction_id, amount FROM transactions WHERE timestamp < '2026-03-01T09:00:00Z' ORDER BY amount DESC, transaction_id LIMIT 5",
            "ORDER BY amount DESC, transaction_id LIMIT ?2",
        ),
        (
            "SELECT transaction_id FROM transactions ORDER BY description DESC, counterparty_account NULLS FIRST, transaction_id LIMIT 9 OFFSET 2",
            "ORDER BY description DESC NULLS FIRST, counterparty_account NULLS FIRST, transaction_id LIMIT ?1 [?1=11]",
        ),
        (
            "SELECT a.alert_id, a.title, t.amount FROM risk_alerts a JOIN transactions t ON t.transaction_id = a.transaction_id WHERE a.severity = 'high' \
             ORDER BY a.created_at DESC, a.alert_id LIMIT 7",
            "ORDER BY l.created_at DESC, l.alert_id LIMIT ?2",
        ),
        (
            "SELECT t.user_id, a.alert_id FROM transactions t JOIN risk_alerts a ON a.transaction_id = t.transaction_id ORDER BY t.counterparty_account DESC, a.alert_id LIMIT 8",
            "ORDER BY l.counterparty_account DESC NULLS FIRST, r.alert_id LIMIT ?1",
        ),
        (
            "SELECT transaction_id, risk_score FROM documents.explanations ORDER BY risk_score DESC, transaction_id LIMIT 6",
            "ORDER BY CAST(json_extract(explanation, '$.risk_score') AS INTEGER) DESC NULLS FIRST, transaction_id LIMIT ?1",
        ),
        (
            "SELECT alert_id, title, score() FROM search.alerts WHERE match(message, 'refund') ORDER BY score() DESC, alert_id LIMIT 2",
            "+message:(refund) (the first 2 by _score DESC, alert_id)",
        ),
        ("SELECT alert_id FROM search.alerts ORDER BY severity, risk_score DESC LIMIT 3", "(the first 3 by severity, risk_score DESC)"),
        ("SELECT title, alert_id FROM search.alerts WHERE risk_score > 71 ORDER BY user_id DESC LIMIT 9", "(the first 9 by user_id DESC)"),
    ] {
        let plan = fixture.plan(sql).await;
        assert!(plan.contains(native) && !plan.contains("SortExec"), "{sql}\n{plan}");
        let found = fixture.rows(sql).await;
        fixture.rows("SET wardhouse.pushdown = 'off'").await;
        assert_eq!(found, fixture.rows(sql).await, "{sql}");
        fixture.rows("SET wardhouse.pushdown = 'on'").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_a_store_does_not_have_stays_with_datafusion() {
    let fixture = Fixture::new();
    for sql in [
        // −0, texts that are made on the way out, texts that are analysed.
        "SELECT name FROM system_metrics ORDER BY value LIMIT 1",
        "SELECT transaction_id FROM documents.transaction_metadata ORDER BY metadata LIMIT 3",
        "SELECT alert_id FROM search.alerts ORDER BY title LIMIT 2",
        "SELECT transaction_id FROM transactions ORDER BY lower(user_id), transaction_id LIMIT 3",
        // Rows that are not yet those of the answer.
        "SELECT transaction_id FROM transactions WHERE lower(user_id) = 'u1' ORDER BY amount LIMIT 2",
        "SELECT transaction_id FROM transactions WHERE metadata->>'ip' = '10.0.0.7' ORDER BY amount LIMIT 2",
        "SELECT transaction_id FROM (SELECT * FROM transactions LIMIT 50) AS t ORDER BY amount LIMIT 2",
        "SELECT user_id, count(*) FROM transactions GROUP BY user_id ORDER BY 2 DESC LIMIT 3",
        // More than a store is asked to sort.
        "SELECT transaction_id FROM transactions ORDER BY amount LIMIT 20000",
    ] {
        let plan = fixture.plan(sql).await;
        assert!(plan.contains("SortExec"), "{sql}\n{plan}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_counted_without_a_column() {
    let fixture = Fixture::new();
    for (sql, count) in [
        ("SELECT count(*) FROM transactions", "120"),
        ("SELECT count(*) FROM transactions WHERE partition = 0", "60"),
        ("SELECT count(*) FROM (SELECT * FROM transactions LIMIT 50) AS t", "50"),
        ("SELECT count(*) FROM documents.explanations", "120"),
        ("SELECT count(*) FROM search.alerts", "4"),
        ("SELECT count(*) FROM search.alerts WHERE match(message, 'refund')", "3"),
        ("SELECT count(*) FROM log.risk_scores", "6"),
        ("SELECT count(*) FROM log.dead_letters", "0"),
        ("SELECT count(*) FROM system.stores", "6"),
    ] {
        assert_eq!(fixture.column(sql).await, [count], "{sql}");
    }
    let plan = fixture.plan("SELECT count(*) FROM transactions WHERE partition = 0").await;
    assert!(plan.contains("native=SELECT count(*) FROM transactions WHERE partition = ?1"), "{plan}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_join_learns_reaches_the_other_store() {
    let fixture = Fixture::new();
    let sql = "SELECT t.transaction_id FROM search.alerts a JOIN transactions t ON t.transaction_id = a.transaction_id WHERE match(a.message, 'refund')";
    let plan = fixture.plan(sql).await;
    assert!(plan.contains("late=["), "{plan}");
    let mut found = fixture.column(sql).await;
    found.sort();
    assert_eq!(found, ["t-0-000", "t-0-001", "t-0-003"]);
}
