//! What an analyst is told.

use crate::fixture::Fixture;

#[tokio::test(flavor = "multi_thread")]
async fn names_that_nothing_has_bring_their_neighbours() {
    let fixture = Fixture::new();
    let told = fixture.fault("SELECT * FROM ledger.transaction").await;
    assert!(told.starts_with("line 1, column 15: there is no table ledger.transaction; did you mean ledger.transactions"), "{told}");
    let told = fixture.fault("SELECT * FROM alert").await;
    assert!(told.contains("there is no table ledger.alert; did you mean search.alerts"), "{told}");
    let told = fixture.fault("SELECT user_idd FROM transactions").await;
    assert!(told.contains("there is no column user_idd; did you mean user_id"), "{told}");
    let told = fixture.fault("SELECT no_such_function(1)").await;
    assert!(told.contains("there is no function no_such_function()"), "{told}");
    let told = fixture.fault("SELECT partition FROM transactions JOIN risk_alerts USING (transaction_id)").await;
    assert!(told.contains("more than one of the tables"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_cannot_be_read_is_told_where() {
    let fixture = Fixture::new();
    let told = fixture.fault("SELECT user_id\nFROM transactions WHERE").await;
    assert!(told.contains("Expected: an expression, found: EOF"), "{told}");
    let told = fixture.fault("SELECT user_id,\nFRM transactions t t").await;
    assert!(told.starts_with("line 2, column "), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_but_reading_is_done() {
    let fixture = Fixture::new();
    for sql in [
        "INSERT INTO transactions SELECT * FROM transactions",
        "DROP TABLE transactions",
        "COPY transactions TO '/tmp/x.csv'",
        "CREATE EXTERNAL TABLE x STORED AS CSV LOCATION '/etc/passwd'",
    ] {
        assert!(fixture.fault(sql).await.starts_with("Wardhouse's SQL only reads: "), "{sql}");
    }
    fixture.fault("SELECT * FROM '/etc/passwd'").await;
    let told = fixture.fault("SELECT * FROM read_csv('/etc/passwd')").await;
    assert!(told.contains("read_csv"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn match_and_score_say_where_they_work() {
    let fixture = Fixture::new();
    for sql in [
        "SELECT match(message, 'a') FROM search.alerts",
        "SELECT * FROM risk_alerts WHERE match(message, 'a')",
        "SELECT * FROM search.alerts WHERE match(user_id, 'a')",
        "SELECT * FROM search.alerts WHERE match(title, user_id)",
        "SELECT * FROM (SELECT * FROM search.alerts LIMIT 3) AS t WHERE match(message, 'a')",
        "SELECT * FROM search.alerts a JOIN transactions t USING (transaction_id) WHERE match(a.message, 'x') OR t.amount > 5",
    ] {
        let told = fixture.fault(sql).await;
        assert!(told.contains("match()"), "{sql}: {told}");
    }
    let told = fixture.fault("SELECT * FROM search.alerts WHERE match(message, 'refund AND (night')").await;
    assert!(told.starts_with("in match(…, 'refund AND (night')"), "{told}");
    let told = fixture.fault("SELECT * FROM search.alerts WHERE match(message, 'user_id:u1')").await;
    assert!(told.contains("its own column only"), "{told}");
    let told = fixture.fault("SELECT score() FROM transactions").await;
    assert!(told.contains("score() works where search.alerts is in FROM"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_another_shape_is_told_and_not_guessed_at() {
    let fixture = Fixture::new();
    std::fs::write(fixture.path("metrics.db"), vec![7_u8; 8_192]).unwrap();
    let told = fixture.fault("SELECT * FROM metrics.throughput").await;
    assert!(told.starts_with("metrics: ") && told.contains("damaged"), "{told}");
    let ledger = rusqlite::Connection::open(fixture.path("ledger.db")).unwrap();
    ledger.execute("UPDATE wardhouse_layout SET version = 99", []).unwrap();
    let told = fixture.fault("SELECT * FROM transactions").await;
    assert!(told.contains("newer Wardhouse (layout 99"), "{told}");
}
