//! Aggregates and joins give the same rows whether a store computes them or DataFusion does.

use rusqlite::{Connection, params};

use crate::fixture::Fixture;

/// Statements of which a store computes at least one aggregate.
const ASKED: [&str; 37] = [
    "SELECT count(*), count(description), count(counterparty_account), count(1) FROM transactions",
    "SELECT department, transaction_type, count(*), sum(amount), max(risk_score) FROM transactions GROUP BY department, transaction_type",
    "SELECT user_id, count(*) AS n FROM transactions GROUP BY user_id HAVING count(*) > 14",
    "SELECT user_id, sum(amount) FROM transactions GROUP BY user_id HAVING user_id > 'a' AND avg(risk_score) > 40",
    "SELECT description, counterparty_account, min(user_id), max(user_id) FROM transactions GROUP BY description, counterparty_account",
    "SELECT risk_level, avg(amount), avg(risk_score), sum(risk_score), count(risk_score) FROM transactions WHERE risk_score > 10 GROUP BY 1",
    "SELECT avg(amount), sum(amount), min(amount), max(amount), avg(risk_score), count(*) FROM transactions WHERE risk_score > 1000",
    "SELECT user_id, avg(amount) FROM transactions WHERE risk_score > 1000 GROUP BY user_id",
    "SELECT count(DISTINCT user_id) FROM transactions",
    "SELECT is_anomaly, count(DISTINCT user_id), count(DISTINCT description), count(*), min(timestamp), max(timestamp) FROM transactions GROUP BY is_anomaly",
    "SELECT DISTINCT user_id, is_anomaly FROM transactions",
    "SELECT DISTINCT description FROM transactions WHERE description IS NULL OR description LIKE '50%'",
    "SELECT date_trunc('second', timestamp), count(*) FROM transactions GROUP BY 1",
    "SELECT date_trunc('minute', timestamp) AS m, count(*) FROM transactions GROUP BY m",
    "SELECT date_trunc('hour', timestamp), department, sum(amount) FROM transactions GROUP BY 1, 2",
    "SELECT date_trunc('day', timestamp), count(*) FROM transactions GROUP BY 1",
    "SELECT date_trunc('week', timestamp), count(*) FROM transactions GROUP BY 1",
    "SELECT date_trunc('month', timestamp), count(*) FROM transactions GROUP BY 1",
    "SELECT date_trunc('quarter', timestamp), count(*) FROM transactions GROUP BY 1",
    "SELECT date_trunc('year', timestamp), count(*) FROM transactions GROUP BY 1",
    "SELECT date_bin(interval '15 minutes', timestamp), sum(amount) FROM transactions GROUP BY 1",
    "SELECT date_bin(interval '7 hours', timestamp, '2001-01-01T00:00:30Z'::timestamptz) AS b, count(*) FROM transactions GROUP BY b",
    "SELECT date_bin(interval '1 month', timestamp), date_trunc('year', timestamp), count(*) FROM transactions GROUP BY 1, 2",
    "SELECT date_trunc('day', acknowledged_at), count(*) FROM risk_alerts GROUP BY 1",
    "SELECT h, n FROM (SELECT date_trunc('day', timestamp) AS h, count(*) AS n FROM transactions WHERE partition = 0 GROUP BY 1) AS t WHERE n > 1",
    "SELECT t.u, sum(t.a) FROM (SELECT user_id AS u, amount AS a FROM transactions WHERE risk_score >= 50) AS t GROUP BY t.u",
    "SELECT count(*) FROM (SELECT DISTINCT user_id FROM transactions) AS t",
    "SELECT (SELECT count(*) FROM transactions WHERE risk_score > 50) AS a, (SELECT count(*) FROM transactions WHERE risk_score > 90) AS b",
    "SELECT count(*) FROM transactions WHERE risk_score > 50 UNION SELECT count(*) FROM transactions WHERE risk_score > 90",
    "SELECT max(seq), min(seq), sum(seq) FROM transactions WHERE partition = 1",
    "SELECT risk_level, count(*), max(risk_score), sum(state_epoch) FROM documents.explanations GROUP BY risk_level",
    "SELECT department, sum(amount_sum), sum(transactions), min(time) FROM metrics.throughput GROUP BY department",
    "SELECT department, sum(amount_sum), max(score_max), sum(transactions) FROM transaction_summary GROUP BY department",
    "SELECT sum(total_transactions), min(user_id), max(first_seen) FROM user_profiles WHERE total_transactions < 1000000",
    "SELECT u.user_id, t.n FROM user_profiles u JOIN (SELECT user_id, count(*) AS n FROM transactions GROUP BY user_id) AS t ON t.user_id = u.user_id",
    "SELECT a.severity, count(*), sum(t.amount) FROM transactions t JOIN risk_alerts a ON a.transaction_id = t.transaction_id WHERE t.risk_score > 75 GROUP BY a.severity",
    "SELECT t.user_id, a.n FROM transactions t JOIN (SELECT transaction_id, count(*) AS n FROM risk_alerts GROUP BY 1) AS a USING (transaction_id) WHERE t.partition = 0",
];

/// Statements whose aggregates stay with DataFusion.
const COMPUTED: [&str; 11] = [
    "SELECT sum(value), max(value) FROM system_metrics",
    "SELECT min(amount_mean) FROM baselines.users",
    "SELECT lower(user_id), count(*) FROM transactions GROUP BY 1",
    "SELECT count(*) FILTER (WHERE risk_score > 50) FROM transactions",
    "SELECT sum(DISTINCT risk_score) FROM transactions",
    "SELECT avg(total_transactions) FROM user_profiles",
    "SELECT count(*) FROM transactions WHERE lower(user_id) = 'u1'",
    "SELECT metadata, count(*) FROM documents.transaction_metadata GROUP BY 1",
    "SELECT count(*) FROM (SELECT * FROM transactions LIMIT 7) AS t",
    "SELECT max(is_anomaly) FROM transactions",
    "SELECT user_id, department, count(*) FROM transactions GROUP BY ROLLUP (user_id, department)",
];

/// Joins that the ledger computes.
const JOINED: [&str; 5] = [
    "SELECT t.transaction_id, t.amount, a.alert_id, a.severity FROM transactions t JOIN risk_alerts a ON a.transaction_id = t.transaction_id",
    "SELECT * FROM transactions JOIN risk_alerts USING (transaction_id) WHERE transactions.risk_score > 80 AND status = 'open'",
    "SELECT t.transaction_id FROM high_risk_transactions t, risk_alerts a WHERE a.transaction_id = t.transaction_id AND t.partition = 1",
    "SELECT t.transaction_id, u.alert_count FROM transactions t JOIN user_profiles u ON u.user_id = t.user_id WHERE u.alert_count >= 0",
    "SELECT t.transaction_id FROM transactions t JOIN risk_alerts a ON a.transaction_id = t.transaction_id AND a.created_at > t.timestamp",
];

/// Joins that it does not: a row of each side may find many of the other, the sides are of two stores, or one is only looked for.
const APART: [&str; 4] = [
    "SELECT count(*) FROM transactions t JOIN risk_alerts a ON a.user_id = t.user_id",
    "SELECT t.transaction_id FROM transactions t JOIN documents.explanations e ON e.transaction_id = t.transaction_id",
    "SELECT t.transaction_id, a.alert_id FROM transactions t LEFT JOIN risk_alerts a ON a.transaction_id = t.transaction_id",
    "SELECT t.transaction_id FROM transactions t JOIN (SELECT * FROM risk_alerts LIMIT 1000) AS a ON a.transaction_id = t.transaction_id",
];

/// The first and the last instant of the years that there are, and others about which arithmetic goes wrong.
const INSTANTS: [i64; 7] = [-62_135_596_800_000_000, 253_402_300_799_999_999, -1, 0, 1_709_251_199_999_999, -9_223_372_036_854_776, 9_223_372_036_854_776];

/// The fixture with rows about which stores and DataFusion might think otherwise.
fn awkward() -> Fixture {
    let fixture = Fixture::new();
    let ledger = Connection::open(fixture.path("ledger.db")).unwrap();
    for (seq, at) in (0_i64..).zip(INSTANTS) {
        let text = ["", "A", "a", "ä", "\u{10ffff}", "a\0b", " a"][usize::try_from(seq).unwrap() % 7];
        ledger
            .execute(
                "INSERT INTO transactions (pos, transaction_id, timestamp, user_id, account_id, counterparty_account, department, transaction_type, amount, description, \
                 risk_score, risk_level, is_anomaly, amount_score, time_score, frequency_score, behavior_score, metadata_score, detection_rules, ruleset, metadata, content_hash, processed_at) \
                 VALUES (?1, ?2, ?3, ?4, 'acc', ?4, ?4, 'refund', ?5, ?4, 0, 'low', 0, 0, 0, 0, 0, 0, '[]', 'r1', '{}', 'h', ?3)",
                params![(5_i64 << 40) | seq, format!("t-5-{seq}"), at, text, if seq % 2 == 0 { 999_999_999_999_999_i64 } else { -999_999_999_999_999 }],
            )
            .unwrap();
    }
    ledger
        .execute_batch(&format!(
            "INSERT INTO user_profiles VALUES ('U1', {max}, 0, 0, '{{}}', '[]', 0, 0, 0, 0, 1, 2), ('Ü', {max}, 0, 0, '{{}}', '[]', 0, 0, 0, 0, 1, 2);",
            max = i64::MAX
        ))
        .unwrap();
    fixture
}

/// The rows with stores asked for all that they compute, and for rows only.
async fn both_ways(fixture: &Fixture, sql: &str) -> [Vec<Vec<String>>; 2] {
    fixture.rows("SET wardhouse.pushdown = 'on'").await;
    let mut asked = fixture.rows(sql).await;
    fixture.rows("SET wardhouse.pushdown = 'off'").await;
    let mut computed = fixture.rows(sql).await;
    let plan = fixture.plan(sql).await;
    assert!(!plan.contains("aggregate=[") && !plan.contains("pushed=[") && !plan.contains(" JOIN "), "{sql}\n{plan}");
    fixture.rows("SET wardhouse.pushdown = 'on'").await;
    asked.sort();
    computed.sort();
    [asked, computed]
}

#[tokio::test(flavor = "multi_thread")]
async fn aggregates_are_the_same_in_the_store_and_in_datafusion() {
    let fixture = awkward();
    for sql in ASKED.iter().chain(&COMPUTED).chain(&JOINED).chain(&APART) {
        let [asked, computed] = both_ways(&fixture, sql).await;
        assert_eq!(asked, computed, "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_store_computes_is_not_computed_again() {
    let fixture = Fixture::new();
    for sql in ASKED {
        let plan = fixture.plan(sql).await;
        assert!(plan.contains("aggregate=["), "{sql}\n{plan}");
    }
    for sql in COMPUTED {
        let plan = fixture.plan(sql).await;
        assert!(!plan.contains("aggregate=["), "{sql}\n{plan}");
    }
    for sql in JOINED {
        let plan = fixture.plan(sql).await;
        assert!(plan.contains(" JOIN ") && !plan.contains("HashJoinExec"), "{sql}\n{plan}");
    }
    for sql in APART {
        let plan = fixture.plan(sql).await;
        assert!(!plan.contains(" JOIN "), "{sql}\n{plan}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_shows_the_native_query_of_an_aggregate() {
    let fixture = Fixture::new();
    let plan = fixture.plan("SELECT department, count(*) AS n, avg(amount) FROM transactions WHERE risk_score >= 70 GROUP BY department ORDER BY n DESC LIMIT 3").await;
    let native = "native=SELECT department, count(*), sum(amount >> 32), sum(amount & 4294967295) FROM transactions WHERE risk_score >= ?1 GROUP BY 1 [?1=70]";
    assert!(plan.contains(native), "{plan}");
    assert!(plan.contains("aggregate=[count(*), sum(amount) by department]") && plan.contains("pushed=[risk_score >= 70]"), "{plan}");
    assert!(!plan.contains("AggregateExec") && plan.contains("SortExec"), "{plan}");
    let plan = fixture.plan("SELECT count(DISTINCT user_id) FROM transactions").await;
    assert!(plan.contains("native=SELECT count(DISTINCT user_id) FROM transactions,"), "{plan}");
    // A condition on what is grouped by is one on rows; a measure that nobody wants is not computed.
    let plan = fixture.plan("SELECT n FROM (SELECT user_id, count(*) AS n, sum(amount) AS s FROM transactions GROUP BY user_id) AS t WHERE user_id = 'u1'").await;
    assert!(plan.contains("native=SELECT user_id, count(*) FROM transactions WHERE user_id = ?1 GROUP BY 1"), "{plan}");
    // What a join learns of a group's key reaches the rows.
    let joined = "SELECT u.user_id, t.n FROM user_profiles u JOIN (SELECT user_id, count(*) AS n FROM transactions GROUP BY user_id) AS t ON t.user_id = u.user_id";
    let plan = fixture.plan(joined).await;
    assert!(plan.contains("aggregate=[count(*) by user_id]"), "{plan}");
    let plan = fixture
        .plan("SELECT a.severity, sum(t.amount) FROM transactions t JOIN risk_alerts a ON a.transaction_id = t.transaction_id WHERE t.risk_score > 75 GROUP BY a.severity")
        .await;
    let native = "native=SELECT r.severity, sum(l.amount >> 32), sum(l.amount & 4294967295) FROM transactions AS l JOIN risk_alerts AS r ON l.transaction_id = r.transaction_id \
                  WHERE l.risk_score > ?1 GROUP BY 1 [?1=75]";
    assert!(plan.contains(native), "{plan}");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_types_and_order_are_those_of_the_statement() {
    let fixture = awkward();
    for sql in [
        "SELECT user_id, count(*) AS n FROM transactions GROUP BY user_id ORDER BY n DESC, user_id LIMIT 4",
        "SELECT date_trunc('year', timestamp) AS y, avg(amount) FROM transactions GROUP BY y ORDER BY y",
        "SELECT description, sum(amount) FROM transactions GROUP BY description ORDER BY description NULLS FIRST OFFSET 1",
    ] {
        fixture.rows("SET wardhouse.pushdown = 'off'").await;
        let computed = fixture.rows(sql).await;
        fixture.rows("SET wardhouse.pushdown = 'on'").await;
        assert_eq!(fixture.rows(sql).await, computed, "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_is_made_before_rows_are_grouped() {
    let fixture = Fixture::new();
    fixture.rows("SET wardhouse.read = 'cut'").await;
    // Ledger 60 and 60, documents 40 and 60, search 50 and 30.
    assert_eq!(fixture.rows("SELECT partition, count(*), max(seq) FROM transactions GROUP BY partition ORDER BY 1").await, [["0", "40", "39"], ["1", "30", "29"]]);
    let plan = fixture.plan("SELECT count(*) FROM transactions t JOIN risk_alerts a ON a.transaction_id = t.transaction_id").await;
    assert!(plan.contains("l.partition = ?1 AND l.seq < ?2") && plan.contains("r.partition = "), "{plan}");
}
