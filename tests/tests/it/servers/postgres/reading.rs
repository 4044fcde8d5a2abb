//! SQL over the ledger: it answers as over the embedded store, in parts too, and asks no longer than somebody wants to know.

use std::time::Duration;

use chrono_tz::Tz;
use futures::StreamExt;
use sqlx::{AssertSqlSafe, Postgres};
use wh_eventlog::Stored;
use wh_schemas::scored::RiskLevel;
use wh_scorer::dedup::DEFAULT_HORIZON;
use wh_sinks::delivery::Store;
use wh_sinks::sqlite;
use wh_stores::postgres::{RawPostgres, connect};

use super::{Bench, batch_of, contains, settle};
use crate::contract::servers::postgres::settings;
use crate::records::{alerting, awkward, score, scored, stream};
use crate::sql::{engine, rows, session};

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(has_postgres), ignore = "WARDHOUSE_TEST_POSTGRES names no server")]
async fn text_that_postgresql_cannot_hold_reads_back_and_is_found() {
    let bench = Bench::new().await;
    let folder = bench.place.path();
    let metadata = [r#"{"n":"\u0000"}"#, r#"{ "b":1,"a" : 2 }"#, r#"{"a":1,"a":2}"#, r#"{"x":1e400000}"#, r#"{"x":[-0,1E2,1.50]}"#, r#"{"\u0001":"\b\f\u007f"}"#];
    let users = ["nul\0", "nul", "nul\u{1}", "nul\u{2}", "\0", "nul\0\0x"];
    let strange = |(record, (user, metadata)): (&Stored, (&str, &str))| {
        let mut row = score(record);
        row.user_id = user.into();
        row.description = Some(format!("says {user}").into());
        row.metadata = wh_schemas::json::RawObject(std::borrow::Cow::Owned(serde_json::value::RawValue::from_string(metadata.to_owned()).unwrap()));
        Stored { value: serde_json::to_vec(&row).unwrap().into(), ..record.clone() }
    };
    let awkward: Vec<Stored> = scored(0, &awkward(), DEFAULT_HORIZON).iter().map(alerting).collect();
    let mut records: Vec<Stored> = awkward.iter().zip(users.into_iter().zip(metadata)).map(strange).collect();
    records.extend_from_slice(&awkward[users.len()..]);
    settle(&mut bench.open().await, &batch_of(0, &records)).await;
    bench.holds(&records).await;
    let mut embedded = sqlite::LedgerStore::open(&folder.join("ledger.db"), Tz::UTC).unwrap();
    embedded.write(batch_of(0, &records)).await.unwrap();
    let (embedded, server) = (engine(folder), bench.engine());
    for sql in [
        "SELECT user_id, description, metadata FROM transactions ORDER BY user_id, seq",
        "SELECT seq FROM transactions WHERE user_id = 'nul' || chr(1) ORDER BY seq",
        "SELECT seq FROM transactions WHERE user_id > 'nul' ORDER BY seq",
        "SELECT seq FROM transactions WHERE user_id LIKE 'nul%' ORDER BY seq",
        "SELECT seq FROM transactions WHERE description LIKE '%says nul%' ORDER BY seq",
        "SELECT user_id FROM user_profiles ORDER BY user_id",
    ] {
        assert_eq!(rows(&server, sql).await, rows(&embedded, sql).await, "{sql}");
    }
    bench.done().await;
}

/// Conditions on transactions that mean something there.
const CONDITIONS: [&str; 42] = [
    "risk_score >= 70",
    "70 <= risk_score",
    "risk_score <> 35",
    "risk_score = 3000000000",
    "NOT (risk_score > 20 AND risk_score < 80)",
    "risk_score NOT BETWEEN 10 AND 90",
    "risk_score IN (7, 14, 21, 22, 28, 100)",
    "risk_score NOT IN (7, 14, 21, 22, 28, 100)",
    "risk_score > 69.5",
    "amount > 500",
    "amount < 1000.505",
    "amount = 9999999999999.99",
    "amount IN (0.01, 1.00, 5)",
    "amount NOT IN (0.01, 1.00, 5)",
    "timestamp >= '2026-01-02T05:00:00Z'",
    "timestamp < '1700-01-02T00:00:00Z'",
    "timestamp > '2262-01-01T00:00:00Z'",
    "timestamp = '2026-01-02T03:04:05.000001Z'",
    "is_anomaly",
    "NOT is_anomaly",
    "is_anomaly IS NOT TRUE",
    "counterparty_account IS NULL",
    "counterparty_account <> ''",
    "NOT (counterparty_account = '')",
    "(counterparty_account = '') IS NOT TRUE",
    "(counterparty_account = '') IS UNKNOWN",
    "counterparty_account IS DISTINCT FROM ''",
    "counterparty_account NOT IN ('', 'Ελλάδα')",
    "counterparty_account = '' OR description IS NULL",
    "description LIKE '''%'",
    "description LIKE '%TABLE%'",
    "description NOT LIKE '%TABLE%'",
    "description = ''",
    "user_id LIKE 'u%'",
    "user_id LIKE ' Ü%'",
    "user_id > 'Z' AND user_id <= 'user-03'",
    "transaction_id = '日本-𝄞-é'",
    "detection_rules LIKE '%größer%'",
    "detection_rules = '[]'",
    "partition = 0 AND seq >= 10 AND seq < 20",
    "(partition = 0 AND seq < 5) OR (partition = 1 AND seq > 1050)",
    "partition = -1",
];

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(has_postgres), ignore = "WARDHOUSE_TEST_POSTGRES names no server")]
async fn sql_answers_as_over_the_embedded_store() {
    let bench = Bench::new().await;
    let folder = bench.place.path();
    let awkward: Vec<Stored> = scored(0, &awkward(), DEFAULT_HORIZON).iter().map(alerting).collect();
    let mut server = bench.open().await;
    let mut embedded = sqlite::LedgerStore::open(&folder.join("ledger.db"), Tz::UTC).unwrap();
    for batch in [batch_of(0, &awkward), batch_of(1, &stream(1))] {
        settle(&mut server, &batch).await;
        embedded.write(batch).await.unwrap();
    }
    let (embedded, server) = (engine(folder), bench.engine());
    let mut queries: Vec<String> = [
        "SELECT count(*) FROM transactions",
        "SELECT count(*) FROM (SELECT 1 FROM transactions LIMIT 7) AS t",
        "SELECT transaction_id, amount FROM transactions ORDER BY timestamp DESC, transaction_id LIMIT 20",
        "SELECT transaction_id FROM transactions ORDER BY timestamp, amount DESC, transaction_id LIMIT 20",
        "SELECT * FROM high_risk_transactions ORDER BY transaction_id",
        "SELECT * FROM transaction_summary ORDER BY hour, department, transaction_type",
        "SELECT * FROM user_profiles ORDER BY user_id",
        "SELECT user_id FROM user_profiles ORDER BY user_id DESC LIMIT 3",
        "SELECT * FROM user_risk_summary ORDER BY user_id",
        "SELECT user_id FROM user_risk_summary WHERE score_mean > 30.5 ORDER BY user_id",
        "SELECT user_id FROM user_profiles WHERE amount_sum > 10000.505 AND amount_max <> 5 ORDER BY user_id",
        "SELECT user_id FROM user_profiles WHERE departments LIKE '%Kardiologie Ω%' ORDER BY user_id",
        "SELECT alert_id, metadata FROM risk_alerts WHERE acknowledged_at IS NULL AND status = 'open' ORDER BY alert_id",
        "SELECT alert_id FROM risk_alerts WHERE metadata LIKE '%IT%' AND severity = 'critical' ORDER BY created_at DESC, alert_id LIMIT 9",
        "SELECT count(*) FROM recent_alerts",
        "SELECT a.alert_id, t.amount FROM risk_alerts a JOIN transactions t ON t.transaction_id = a.transaction_id ORDER BY a.alert_id",
        "SELECT transaction_id FROM transactions WHERE user_id IN (SELECT user_id FROM user_profiles WHERE alert_count > 3) ORDER BY transaction_id",
        "SELECT risk_level, count(*), sum(amount) FROM transactions GROUP BY risk_level ORDER BY risk_level",
        "SELECT transaction_id FROM transactions WHERE metadata->>'a.b' = '1'",
    ]
    .map(str::to_owned)
    .to_vec();
    queries.extend(CONDITIONS.map(|condition| format!("SELECT * FROM transactions WHERE {condition} ORDER BY transaction_id")));
    for sql in queries {
        assert_eq!(rows(&server, &sql).await, rows(&embedded, &sql).await, "{sql}");
    }
    for condition in CONDITIONS {
        let plan = rows(&server, &format!("EXPLAIN SELECT transaction_id FROM transactions WHERE {condition}")).await.concat().concat();
        assert!(!plan.contains("FilterExec") || plan.contains("EmptyExec"), "{condition}\n{plan}");
    }
    bench.done().await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(has_postgres), ignore = "WARDHOUSE_TEST_POSTGRES names no server")]
async fn parts_of_a_large_scan_are_the_whole_and_one_that_is_dropped_is_cancelled() {
    const ROWS: i64 = 220_000;
    let name = "wardhouse-dropped";
    let bench = Bench::with(&RawPostgres { application_name: name.to_owned(), ..RawPostgres::default() }).await;
    drop(bench.open().await);
    let fill = format!(
        "INSERT INTO transactions (pos, timestamp, processed_at, risk_score, amount_score, time_score, frequency_score, behavior_score, metadata_score, is_anomaly, transaction_id, \
         user_id, account_id, department, transaction_type, amount, description, risk_level, detection_rules, ruleset, content_hash, metadata) \
         SELECT n, now(), now(), n % 101, 0, 0, 0, 0, 0, false, 't' || n, 'u' || n % 50, 'a', 'IT', 'billing', n * 0.01, repeat('x', 200), '{}', '[]', '', '', '{{}}' \
         FROM generate_series(0, {ROWS} - 1) AS n",
        RiskLevel::Low.as_str()
    );
    let mut connection = connect(&settings(&bench.name, &RawPostgres { statement_timeout_ms: 120_000, ..RawPostgres::default() })).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(fill)).execute(&mut connection).await.unwrap();
    let server = bench.engine();
    // Distinct texts of which the store knows nothing: every row has to come.
    let all = "SELECT count(DISTINCT concat(transaction_id, '.')), sum(amount), count(*) FROM transactions WHERE description <> ''";
    let plan = rows(&server, &format!("EXPLAIN {all}")).await.concat().concat();
    contains(&plan, "(in 2 parts by pos)");
    let sum = ROWS * (ROWS - 1) / 2;
    assert_eq!(rows(&server, all).await, [[ROWS.to_string(), sum.to_string(), ROWS.to_string()]]);

    let analyst = session(&server);
    let mut result = analyst.query("SELECT * FROM transactions").await.unwrap();
    assert!(result.stream.next().await.unwrap().unwrap().num_rows() > 0);
    drop(result);
    let running = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = $1 AND state = 'active' AND pid <> pg_backend_pid()";
    let ended = async {
        while sqlx::query_scalar::<Postgres, i64>(running).bind(name).fetch_one(&mut connection).await.unwrap() > 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), ended).await.unwrap();
    assert_eq!(rows(&server, "SELECT count(*) FROM transactions WHERE risk_score = 100").await.concat().concat(), (ROWS / 101).to_string());
    bench.done().await;
}
