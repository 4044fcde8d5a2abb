//! What queries give.

use crate::fixture::{Fixture, USERS, local, settings};
use wh_query::Engine;
use wh_stores::places::{DocumentsPlace, SearchPlace};

#[tokio::test(flavor = "multi_thread")]
async fn values_come_out_as_sql_knows_them() {
    let fixture = Fixture::new();
    let row = fixture
        .rows("SELECT transaction_id, timestamp, counterparty_account, amount, description, is_anomaly, partition, seq FROM transactions WHERE partition = 1 AND seq = 4")
        .await;
    assert_eq!(row, [["t-1-004", "2026-03-01T04:00:00.000004Z", "", "9999999999999.99", "", "false", "1", "4"]]);
    assert_eq!(fixture.column("SELECT DISTINCT user_id FROM transactions ORDER BY user_id").await.len(), USERS.len());
    assert_eq!(fixture.rows("SELECT hour, transactions, amount_sum FROM transaction_summary ORDER BY hour LIMIT 1").await[0][0], "2026-03-01T00:00:00Z");
    assert_eq!(fixture.rows("SELECT score_mean, total_transactions FROM user_risk_summary WHERE user_id = 'u1'").await, [["30.0", "4"]]);
    assert_eq!(fixture.column("SELECT count(*) FROM recent_alerts").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_query_reads_five_roles_and_the_log() {
    let fixture = Fixture::new();
    let rows = fixture
        .rows(
            "SELECT t.transaction_id, d.metadata->>'ip' AS ip, e.reasons->0->>'rule' AS rule, b.home_department, m.transactions, a.title, l.value->>'n' AS n \
             FROM transactions t \
             JOIN documents.transaction_metadata d ON d.transaction_id = t.transaction_id \
             JOIN documents.explanations e ON e.transaction_id = t.transaction_id \
             JOIN search.alerts a ON a.transaction_id = t.transaction_id \
             JOIN baselines.users b ON b.user_id = t.user_id \
             JOIN metrics.throughput m ON m.department = t.department \
             JOIN log.risk_scores l ON l.partition = t.partition AND l.\"offset\" = 5 \
             WHERE match(a.title, 'refunds AND night')",
        )
        .await;
    assert_eq!(rows, [["t-0-000", "10.0.0.0", "night", "Pharmacy", "10", "Refunds at night", "5"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn json_is_reached_into() {
    let fixture = Fixture::new();
    let rows = fixture
        .rows("SELECT metadata->>'ip', metadata->'tags', metadata->'tags'->>1, metadata->>'nothing', metadata->>'missing' FROM transactions WHERE seq = 7 AND partition = 0")
        .await;
    assert_eq!(rows, [["10.0.0.7", "[\"a\",7]", "7", "", ""]]);
    assert_eq!(fixture.column("SELECT count(*) FROM transactions WHERE metadata->>'ip' = '10.0.0.7'").await, ["2"]);
    assert_eq!(fixture.column("SELECT headers->>'wh-origin' FROM log.risk_scores WHERE \"offset\" = 2").await, ["x/0/1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn full_text_finds_words_by_their_stems_and_ranks_them() {
    let fixture = Fixture::new();
    assert_eq!(fixture.column("SELECT alert_id FROM search.alerts WHERE match(message, 'REFUND AND night') ORDER BY 1").await, ["s-0"]);
    assert_eq!(fixture.column("SELECT alert_id FROM search.alerts WHERE match(message, 'refunding') ORDER BY 1").await, ["s-0", "s-1", "s-3"]);
    assert_eq!(fixture.column("SELECT alert_id FROM search.alerts WHERE match(message, 'resume') ORDER BY 1").await, ["s-2"]);
    assert_eq!(fixture.column("SELECT alert_id FROM search.alerts WHERE match(message, '\"at night\"') ORDER BY 1").await, ["s-0"]);
    assert_eq!(fixture.column("SELECT alert_id FROM search.alerts WHERE match(message, 'NOT refund') ORDER BY 1").await, ["s-2"]);
    assert_eq!(fixture.column("SELECT alert_id FROM search.alerts WHERE NOT match(message, 'refund') ORDER BY 1").await, ["s-2"]);
    assert_eq!(fixture.column("SELECT alert_id FROM search.alerts WHERE match(title, 'pharmacy') OR match(message, 'transfer') ORDER BY 1").await, ["s-1", "s-2"]);
    assert_eq!(fixture.column("SELECT alert_id FROM search.alerts WHERE match(message, 'refund') ORDER BY score() DESC LIMIT 1").await, ["s-3"]);
    let scores = fixture.rows("SELECT alert_id, score() FROM search.alerts WHERE match(message, 'refund') AND risk_score > 80 ORDER BY score() DESC").await;
    assert_eq!(scores.len(), 2);
    assert!(scores.iter().all(|row| row[1].parse::<f64>().unwrap() > 0.0), "{scores:?}");
    assert_eq!(fixture.column("SELECT score() FROM search.alerts").await, ["", "", "", ""]);
    assert_eq!(fixture.column("SELECT detection_rules->>1 FROM search.alerts LIMIT 1").await, ["amo\"unt"]);
    let all = fixture.session.query("SELECT * FROM search.alerts").await.unwrap();
    assert!(all.schema.field_with_name("_score").is_err());
    assert!(all.schema.field_with_name("message").is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_shows_what_all_three_stores_hold() {
    let fixture = Fixture::new();
    let connection = local(&fixture.engine);
    connection.query("SET wardhouse.read = 'cut'").await.unwrap();
    assert_eq!(connection.show("wardhouse.read").unwrap(), "cut");
    assert_eq!(fixture.session.show("wardhouse.read").unwrap(), "latest", "another session is another");
    let fixture = fixture.over(connection);
    // Ledger 60 and 60, documents 40 and 60, search 50 and 30.
    for (table, rows) in [("transactions", "70"), ("documents.explanations", "70"), ("documents.transaction_metadata", "70"), ("search.alerts", "4")] {
        assert_eq!(fixture.column(&format!("SELECT count(*) FROM {table}")).await, [rows], "{table}");
    }
    assert_eq!(fixture.column("SELECT max(seq) FROM transactions WHERE partition = 0").await, ["39"]);
    assert_eq!(fixture.rows("SHOW wardhouse.read").await, [["cut"]]);
    let told = fixture.session.query("SELECT count(*) FROM user_profiles, risk_alerts").await.unwrap().notices;
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(fixture.session.query("SELECT count(*) FROM transactions").await.unwrap().notices.is_empty());
    fixture.rows("SET wardhouse.read = latest").await;
    assert_eq!(fixture.column("SELECT count(*) FROM transactions").await, ["120"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_system_tells_of_itself() {
    let fixture = Fixture::new();
    let rows = fixture.rows("SELECT store, partition, next_seq, lag_rows FROM system.freshness WHERE stream = 'scorer' ORDER BY store, partition").await;
    assert_eq!(
        rows,
        [
            ["documents", "0", "40", "60"],
            ["documents", "1", "60", "0"],
            ["ledger", "0", "60", "40"],
            ["ledger", "1", "60", "0"],
            ["metrics", "0", "60", "40"],
            ["search", "0", "50", "50"],
            ["search", "1", "30", "30"],
        ]
    );
    let rows = fixture.rows("SELECT role, kind, reachable, layout_version FROM system.stores ORDER BY role").await;
    assert_eq!(rows.len(), 6);
    assert!(rows.iter().all(|row| row[2] == "true" && row[3] == (if row[0] == "search" { "2" } else { "1" })), "{rows:?}");
    let listed = fixture.column("SELECT table_name FROM information_schema.tables WHERE table_schema = 'ledger' ORDER BY 1").await;
    assert_eq!(listed.len(), 10);
    assert!(!fixture.rows("SHOW TABLES").await.is_empty());
    assert!(!fixture.rows("SHOW COLUMNS FROM transactions").await.is_empty());
    assert!(!fixture.rows("DESCRIBE search.alerts").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_not_there_yet_says_so_when_it_is_read() {
    let fixture = Fixture::new();
    let mut places = fixture.places.clone();
    places.documents = DocumentsPlace::Sqlite(fixture.path("none.db"));
    places.search = SearchPlace::Tantivy(fixture.path("none"));
    let fixture = fixture.through(Engine::open(places, settings()).unwrap());
    assert_eq!(fixture.column("SELECT count(*) FROM transactions").await, ["120"]);
    assert!(fixture.fault("SELECT * FROM documents.explanations").await.starts_with("documents: there is no "));
    assert!(fixture.fault("SELECT * FROM search.alerts").await.contains("start `wardhouse up`"));
    let away = fixture.column("SELECT role FROM system.stores WHERE NOT reachable ORDER BY 1").await;
    assert_eq!(away, ["documents", "search"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_dropped_ends_its_query() {
    let fixture = Fixture::new();
    for _ in 0..50 {
        let result = fixture.session.query("SELECT a.transaction_id FROM transactions a, transactions b, transactions c").await.unwrap();
        drop(result);
    }
    assert_eq!(fixture.column("SELECT count(*) FROM transactions").await, ["120"]);
}
