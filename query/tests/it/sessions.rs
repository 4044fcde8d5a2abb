//! What a session may, and what ends its queries.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use futures::{StreamExt, TryStreamExt};
use wh_query::{Action, Engine, Limits, Principal, QueryError, QueryState, Session, Way, split};
use wh_stores::places::{DocumentsPlace, SearchPlace};

use crate::fixture::{Fixture, local, read, settings};

/// More rows than anybody waits for.
const ENDLESS: &str = "SELECT value FROM generate_series(1, 1000000000000) WHERE value % 7 = 8";

fn analyst(fixture: &Fixture, limits: Limits) -> Session {
    fixture.engine.session(Principal { name: "ada".into(), role: "analyst".into(), limits, ..Principal::local(Way::Http) })
}

async fn ended(session: &Session, sql: &str) -> QueryError {
    match session.query(sql).await {
        Err(error) => error,
        Ok(result) => read(result).await.unwrap_err(),
    }
}

async fn answered(session: &Session, sql: &str, values: Vec<ScalarValue>) -> Vec<Vec<String>> {
    let prepared = session.prepare(sql, &[]).await.unwrap_or_else(|error| panic!("{sql}\n{error}"));
    read(session.execute(&prepared, values).await.unwrap_or_else(|error| panic!("{sql}\n{error}"))).await.unwrap()
}

fn text(text: &str) -> ScalarValue {
    ScalarValue::from(text)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_ends_when_its_time_is_over() {
    let fixture = Fixture::new();
    let session = analyst(&fixture, Limits { statement_timeout: Some(Duration::from_millis(150)), ..Limits::default() });
    assert_eq!(ended(&session, ENDLESS).await, QueryError::Timeout);
    session.query("SET statement_timeout = '1h'").await.unwrap();
    assert_eq!(session.show("statement_timeout").unwrap(), "150ms", "never more than the role may");
    assert_eq!(ended(&session, ENDLESS).await.sqlstate(), "57014");
    let session = local(&fixture.engine);
    session.set("statement_timeout", "100ms").unwrap();
    assert_eq!(ended(&session, ENDLESS).await, QueryError::Timeout);
    let failed = fixture.engine.queries().recent().remove(0);
    assert_eq!((failed.state, failed.sql.as_str()), (QueryState::Failed, ENDLESS));
    assert!(failed.error.unwrap().contains("statement_timeout"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_ends_when_somebody_cancels_it() {
    let fixture = Fixture::new();
    let session = Arc::new(local(&fixture.engine));
    let result = session.query(ENDLESS).await.unwrap();
    let (id, reading) = (result.id, tokio::spawn(read(result)));
    assert_eq!(fixture.engine.queries().find(id).unwrap().state, QueryState::Running);
    assert!(session.cancel());
    assert_eq!(reading.await.unwrap(), Err(QueryError::Cancelled));
    assert!(!session.cancel(), "nothing runs any more");
    assert_eq!(fixture.engine.queries().find(id).unwrap().state, QueryState::Cancelled);

    let result = session.query(ENDLESS).await.unwrap();
    let (id, reading) = (result.id, tokio::spawn(read(result)));
    assert!(fixture.engine.queries().cancel(id));
    assert_eq!(reading.await.unwrap(), Err(QueryError::Cancelled));

    let mut held = session.query("SELECT transaction_id FROM transactions").await.unwrap();
    assert!(held.stream.next().await.unwrap().is_ok());
    let other = local(&fixture.engine);
    drop(session);
    assert_eq!(held.stream.next().await.map(|batch| batch.map_err(QueryError::from)), Some(Err(QueryError::Cancelled)), "a session takes its queries with it");
    assert!(held.stream.next().await.is_none());
    assert_eq!(answered(&other, "SELECT count(*) FROM transactions", Vec::new()).await, [["120"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_reads_as_many_rows_as_it_may() {
    let fixture = Fixture::new();
    let session = analyst(&fixture, Limits { rows: Some(50), ..Limits::default() });
    assert_eq!(answered(&session, "SELECT transaction_id FROM transactions LIMIT 50", Vec::new()).await.len(), 50);
    let result = session.query("SELECT transaction_id FROM transactions").await.unwrap();
    let batches: Vec<Result<RecordBatch, QueryError>> = result.stream.map_err(QueryError::from).collect().await;
    let rows: usize = batches.iter().flatten().map(RecordBatch::num_rows).sum();
    assert_eq!(rows, 50);
    assert_eq!(batches.last().unwrap().as_ref().unwrap_err(), &QueryError::Limit { role: "analyst".into(), rows: 50 });
    assert_eq!(answered(&session, "SELECT count(*) FROM transactions", Vec::new()).await, [["120"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_holds_as_much_memory_as_it_may() {
    let fixture = Fixture::new();
    let session = analyst(&fixture, Limits { memory_bytes: Some(10_000), ..Limits::default() });
    let grouped = "SELECT a.transaction_id, b.transaction_id, count(*) FROM transactions a, transactions b GROUP BY 1, 2";
    assert_eq!(ended(&session, grouped).await.sqlstate(), "53200");
    assert_eq!(read(fixture.session.query(grouped).await.unwrap()).await.unwrap().len(), 14_400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_runs_as_many_queries_as_it_may() {
    let fixture = Fixture::new();
    let limits = Limits { queries: Some(1), ..Limits::default() };
    let (one, other) = (analyst(&fixture, limits.clone()), analyst(&fixture, limits));
    let running = one.query(ENDLESS).await.unwrap();
    assert_eq!(ended(&other, "SELECT 1").await.sqlstate(), "53300");
    assert_eq!(other.show("application_name").unwrap(), "");
    drop(running);
    assert_eq!(answered(&other, "SELECT 1", Vec::new()).await, [["1"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_values_of_parameters_reach_the_stores_as_values() {
    let fixture = Fixture::new();
    let session = &fixture.session;
    for hostile in ["u1", "O'Brien", "' OR 1 = 1 --", "\"; DROP TABLE transactions; --", "a%b", ""] {
        let found = answered(session, "SELECT DISTINCT user_id FROM transactions WHERE user_id = $1", vec![text(hostile)]).await;
        assert!(found.iter().all(|row| row[0] == hostile), "{hostile}: {found:?}");
    }
    let explained =
        answered(session, "EXPLAIN SELECT transaction_id FROM transactions WHERE user_id = $1 AND risk_score >= $2 LIMIT $3", vec![text("O'Brien"), text("70"), text("5")]).await;
    let plan = explained.concat().concat();
    assert!(plan.contains("user_id = ?1 AND risk_score >= ?2 LIMIT ?3") && plan.contains("?2=70"), "{plan}");
    let money = "SELECT count(*) FROM transactions WHERE amount > $1 AND amount < $2 AND timestamp >= $3 AND is_anomaly = $4";
    let literal = "SELECT count(*) FROM transactions WHERE amount > 999.985 AND amount < 1000.505 AND timestamp >= '2026-03-01T02:00:00Z' AND is_anomaly = false";
    let values = vec![text("999.985"), text("1000.505"), text("2026-03-01T02:00:00Z"), text("f")];
    assert_eq!(answered(session, money, values).await, fixture.rows(literal).await);
    let joined = "SELECT metadata->>$1 FROM transactions WHERE transaction_id IN ($2, $3) ORDER BY transaction_id";
    assert_eq!(answered(session, joined, vec![text("ip"), text("t-0-007"), text("t-1-008")]).await, [["10.0.0.7"], ["10.0.0.8"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prepared_statement_tells_its_columns_and_parameters_before_it_runs() {
    let fixture = Fixture::new();
    let session = &fixture.session;
    let prepared = session.prepare("SELECT user_id, amount, risk_score + $2 AS more FROM transactions WHERE user_id = $1", &[None, Some(DataType::Int32)]).await.unwrap();
    assert_eq!(prepared.parameters(), [DataType::Utf8, DataType::Int32]);
    let columns: Vec<(String, DataType)> = prepared.schema().fields().iter().map(|field| (field.name().clone(), field.data_type().clone())).collect();
    assert_eq!(columns[1], ("amount".to_owned(), DataType::Decimal128(15, 2)));
    assert_eq!(columns[2], ("more".to_owned(), DataType::Int32));
    assert_eq!(prepared.action(), &Action::Query);
    for user in ["u1", "U1", "nobody"] {
        let result = session.execute(&prepared, vec![text(user), ScalarValue::Int32(Some(1))]).await.unwrap();
        assert_eq!(result.schema.fields().len(), 3);
        assert!(read(result).await.unwrap().iter().all(|row| row[0] == user));
    }
    let wrong = session.execute(&prepared, vec![text("u1"), text("one")]).await.unwrap_err();
    assert_eq!(wrong.sqlstate(), "22P02");
    assert!(session.execute(&prepared, vec![text("u1")]).await.is_err());
    assert_eq!(ended(session, "SELECT $1").await.sqlstate(), "42P02");
    let unknown = session.prepare("SELECT amout FROM transactions", &[]).await.unwrap_err();
    assert_eq!((unknown.sqlstate(), unknown.position("SELECT amout FROM transactions")), ("42703", Some(8)));
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_looked_for_along_the_path() {
    let fixture = Fixture::new();
    let session = &fixture.session;
    assert_eq!(ended(session, "SELECT count(*) FROM alerts").await.sqlstate(), "42P01");
    let prepared = session.prepare("SELECT count(*) FROM transactions", &[]).await.unwrap();
    session.query("SET search_path TO search, documents, ledger").await.unwrap();
    assert_eq!(fixture.rows("SELECT count(*) FROM alerts").await, [["4"]]);
    assert_eq!(fixture.rows("SELECT count(*) FROM explanations").await, [["120"]]);
    assert_eq!(read(session.execute(&prepared, Vec::new()).await.unwrap()).await.unwrap(), [["120"]], "what was prepared before is planned anew");
    let unknown = ended(session, "SELECT * FROM alert").await;
    assert!(unknown.to_string().contains("there is no table alert; did you mean search.alerts"), "{unknown}");
    session.query("SET search_path TO search").await.unwrap();
    assert_eq!(ended(session, "SELECT count(*) FROM transactions").await.sqlstate(), "42P01");
    session.query("RESET ALL").await.unwrap();
    assert_eq!(fixture.rows("SELECT count(*) FROM transactions").await, [["120"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn times_are_read_and_shown_in_the_sessions_zone() {
    let fixture = Fixture::new();
    let one = "SELECT timestamp FROM transactions WHERE partition = 0 AND seq = 0";
    assert_eq!(fixture.rows(one).await, [["2026-03-01T00:00:00Z"]]);
    let utc = fixture.rows("SELECT count(*) FROM transactions WHERE timestamp >= '2026-03-01T05:00:00Z'").await;
    fixture.session.query("SET TIME ZONE 'Europe/Berlin'").await.unwrap();
    assert_eq!(fixture.rows(one).await, [["2026-03-01T01:00:00+01:00"]]);
    for local in ["'2026-03-01T06:00:00'", "TIMESTAMP '2026-03-01 06:00:00'", "'2026-03-01T05:00:00Z'"] {
        assert_eq!(fixture.rows(&format!("SELECT count(*) FROM transactions WHERE timestamp >= {local}")).await, utc, "{local}");
    }
    let day = "SELECT count(*) FROM transactions WHERE timestamp BETWEEN $1 AND $2";
    let found = answered(&fixture.session, day, vec![text("2026-03-01T06:00:00"), text("2026-03-02T00:00:00")]).await;
    assert_eq!(found, utc);
    let plan = fixture.plan("SELECT transaction_id FROM transactions WHERE timestamp >= '2026-03-01T06:00:00'").await;
    assert!(plan.contains("pushed=[timestamp >= ") && !plan.contains("FilterExec"), "{plan}");
    assert_eq!(fixture.rows("SHOW TimeZone").await, [["Europe/Berlin"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_down_fails_the_query_or_is_missing_from_it() {
    let fixture = Fixture::new();
    let mut places = fixture.places.clone();
    places.documents = DocumentsPlace::Sqlite(fixture.path("none.db"));
    places.search = SearchPlace::Tantivy(fixture.path("none"));
    let fixture = fixture.through(Engine::open(places, settings()).unwrap());
    let joined = "SELECT count(t.transaction_id), count(e.transaction_id) FROM transactions t LEFT JOIN documents.explanations e ON e.transaction_id = t.transaction_id";
    let error = ended(&fixture.session, joined).await;
    assert!(error.sqlstate() == "58030" && error.to_string().starts_with("documents: "), "{error}");
    fixture.session.query("SET wardhouse.unavailable = 'partial'").await.unwrap();
    let result = fixture.session.query(joined).await.unwrap();
    let (mut told, late) = (result.notices.clone(), result.late_notices());
    assert_eq!(read(result).await.unwrap(), [["120", "0"]]);
    told.extend(late.take());
    assert!(told.len() == 1 && told[0].starts_with("documents.explanations is missing from this answer: documents: "), "{told:?}");
    for (sql, rows) in [("SELECT count(*), max(alert_id) FROM search.alerts", vec![vec!["0", ""]]), ("SELECT alert_id FROM search.alerts", vec![])] {
        assert_eq!(fixture.rows(sql).await, rows, "{sql}");
    }
    fixture.session.query("SET wardhouse.read = 'cut'").await.unwrap();
    assert_eq!(fixture.rows("SELECT count(*) FROM transactions").await, [["120"]], "the cut of the stores that answer");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_given_again_only_where_nothing_has_changed() {
    let fixture = Fixture::new();
    let again = async |sql: &str| {
        let result = fixture.session.query(sql).await.unwrap();
        let told = result.notices.iter().any(|notice| notice.contains("given before"));
        (read(result).await.unwrap(), told)
    };
    let sql = "SELECT user_id, count(*) FROM transactions GROUP BY user_id ORDER BY user_id";
    assert!(!again(sql).await.1 && !again(sql).await.1, "it is not on by itself");
    fixture.session.set("wardhouse.cache", "on").unwrap();
    let (rows, told) = again(sql).await;
    assert!(!told && !rows.is_empty());
    assert_eq!(again(sql).await, (rows.clone(), true));
    assert!(!again("SELECT user_id, sum(seq) FROM transactions GROUP BY user_id ORDER BY user_id").await.1);
    for volatile in [
        "SELECT count(*) FROM transactions WHERE timestamp < now()",
        "SELECT count(*) FROM user_profiles",
        "SELECT count(*) FROM log.risk_scores",
        "SELECT status FROM risk_alerts",
    ] {
        assert!(!again(volatile).await.1 && !again(volatile).await.1, "{volatile}");
    }
    let ledger = rusqlite::Connection::open(fixture.path("ledger.db")).unwrap();
    ledger.execute("UPDATE positions SET next_seq = next_seq + 1 WHERE partition = 0", []).unwrap();
    assert!(!again(sql).await.1, "the ledger has come further");
    assert!(again(sql).await.1);
    ledger.execute("UPDATE positions SET floor_seq = floor_seq + 1 WHERE partition = 0", []).unwrap();
    assert!(!again(sql).await.1, "something was removed");
    fixture.session.set("TimeZone", "Asia/Tokyo").unwrap();
    assert!(!again(sql).await.1, "in another zone");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_engine_tells_what_is_asked_of_it() {
    let fixture = Fixture::new();
    let session = analyst(&fixture, Limits::default());
    assert_eq!(answered(&session, "SELECT transaction_id FROM transactions WHERE risk_score > 90", Vec::new()).await.len(), 12);
    assert!(session.query("SELECT nothing FROM transactions").await.is_err());
    let chief = fixture.engine.session(Principal { name: "chief".into(), proved: true, role: "admin".into(), ..Principal::local(Way::Http) });
    let asked = "SELECT principal, role, way, state, rows_out, stores->0->>'relation', stores->0->>'rows', error FROM system.queries WHERE session > 1 ORDER BY id";
    let rows = answered(&chief, asked, Vec::new()).await;
    assert_eq!(rows[0], ["ada", "analyst", "http", "done", "12", "ledger.transactions", "12", ""]);
    assert!(rows[1][3] == "failed" && rows[1][7].contains("there is no column nothing"), "{rows:?}");
    let own = fixture.rows("SELECT state, sql FROM system.queries WHERE session = 1 AND state = 'running'").await;
    assert_eq!(own.len(), 1);
    let analyzed = fixture.rows("EXPLAIN ANALYZE SELECT transaction_id FROM transactions WHERE risk_score > 90").await.concat().concat();
    assert!(["time_in_store=", "time_waiting=", "bytes_from_store="].iter().all(|metric| analyzed.contains(metric)), "{analyzed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_session_says_besides_reading_is_done_or_refused() {
    let fixture = Fixture::new();
    for sql in ["BEGIN", "SELECT 1", "SAVEPOINT a", "ROLLBACK TO SAVEPOINT a", "COMMIT", "DISCARD ALL", "DEALLOCATE ALL", "CLOSE ALL", "", "SET extra_float_digits = 3"] {
        fixture.session.query(sql).await.unwrap_or_else(|error| panic!("{sql}\n{error}"));
    }
    let all = fixture.rows("SHOW ALL").await;
    assert!(all.iter().any(|row| row[0] == "extra_float_digits" && row[1] == "3") && all.iter().all(|row| row.len() == 3));
    for (sql, code) in [
        ("SET no_such_setting = 1", "42704"),
        ("SHOW no_such_setting", "42704"),
        ("SET client_encoding = 'LATIN1'", "22023"),
        ("INSERT INTO transactions SELECT * FROM transactions", "25006"),
        ("COPY transactions FROM '/etc/passwd'", "25006"),
        ("EXECUTE p", "26000"),
        ("DEALLOCATE p", "26000"),
        ("SELECT 1 / 0", "22012"),
        ("SELECT 'x'::int", "22P02"),
        ("SELECT no_such_function(1)", "42883"),
        ("SELECT (1", "42601"),
        ("FETCH 1 FROM c", "0A000"),
    ] {
        assert_eq!(ended(&fixture.session, sql).await.sqlstate(), code, "{sql}");
    }
    let copied = fixture.session.prepare("COPY (SELECT seq FROM transactions LIMIT 3) TO STDOUT CSV HEADER", &[]).await.unwrap();
    assert!(matches!(copied.action(), Action::Copy { .. }));
    assert_eq!(read(fixture.session.execute(&copied, Vec::new()).await.unwrap()).await.unwrap().len(), 3);
    assert_eq!(split("SELECT 1; SELECT ';'").unwrap(), ["SELECT 1", "SELECT ';'"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_statements_end_in_an_error_or_in_a_bounded_answer() {
    let fixture = Fixture::new();
    let session = analyst(&fixture, Limits { statement_timeout: Some(Duration::from_secs(2)), rows: Some(1_000), memory_bytes: Some(8 << 20), ..Limits::default() });
    let doubling: Vec<String> = (1..40).map(|i| format!("t{i} AS (SELECT * FROM t{0} UNION ALL SELECT * FROM t{0})", i - 1)).collect();
    for sql in [
        format!("SELECT 1{}", " + 1".repeat(100_000)),
        format!("SELECT {}1{}", "(".repeat(100_000), ")".repeat(100_000)),
        format!("SELECT {}1", "NOT ".repeat(100_000)),
        format!("SELECT * FROM {}transactions{}", "(".repeat(1_000), ")".repeat(1_000)),
        format!("SELECT 1{}", " UNION ALL SELECT 1".repeat(20_000)),
        format!("WITH t0 AS (SELECT * FROM transactions), {} SELECT * FROM t39", doubling.join(", ")),
        format!("SELECT * FROM transactions{}", ", transactions AS t".repeat(1_000)),
        format!("SELECT * FROM transactions a1{}", (2..20).map(|i| format!(", transactions a{i}")).collect::<String>()),
        "x".repeat(10 << 20),
        "SELECT '".to_owned(),
        "\u{0}".to_owned(),
        "EXPLAIN ".repeat(50_000),
        "DECLARE c CURSOR FOR ".repeat(20_000),
        "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r) SELECT * FROM r".to_owned(),
    ] {
        let told = ended(&session, &sql).await;
        assert!(!told.sqlstate().is_empty(), "{}", sql.chars().take(60).collect::<String>());
    }
    assert!(fixture.engine.queries().running().is_empty());
    assert_eq!(fixture.rows("SELECT count(*) FROM transactions").await, [["120"]], "no other session is disturbed");
}
