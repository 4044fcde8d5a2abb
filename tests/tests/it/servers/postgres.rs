//! The ledger on a PostgreSQL server: bad input told with what to do, several instances and breaks in between that lose and double
//! nothing, and SQL that answers as over the embedded store.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use chrono_tz::Tz;
use futures::StreamExt;
use serde_json::json;
use sqlx::{AssertSqlSafe, Postgres};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use wh_eventlog::{Record, Stored};
use wh_query::Engine;
use wh_schemas::Reaction;
use wh_schemas::scored::RiskLevel;
use wh_schemas::topics::{RISK_SCORES, SYSTEM_EVENTS};
use wh_scorer::dedup::DEFAULT_HORIZON;
use wh_sinks::delivery::{Batch, Store, StorePosition, Tally, Written};
use wh_sinks::postgres::{LedgerStore, read_positions};
use wh_sinks::sqlite;
use wh_stores::places::LedgerPlace;
use wh_stores::postgres::settings::Tls;
use wh_stores::postgres::{PostgresSettings, RawPostgres, connect, examine, layout};
use wh_stores::{Durability, Level, Secret, ServerUrl};

use crate::content::{Role, assert_same, expected, read_back};
use crate::contract::servers::postgres::{drop_database, make, run, server, settings};
use crate::contract::servers::{own_name, url};
use crate::records::{alerting, awkward, moved, score, scored, stored, stream};
use crate::sql::{engine, engine_with, rows};

/// A database of its own on the test server.
struct Bench {
    place: tempfile::TempDir,
    name: String,
    settings: PostgresSettings,
}

impl Bench {
    async fn new() -> Bench {
        Bench::with(&RawPostgres::default()).await
    }

    async fn with(raw: &RawPostgres) -> Bench {
        let place = tempfile::tempdir().unwrap();
        let name = own_name(place.path());
        make(&name).await;
        Bench { settings: settings(&name, raw), name, place }
    }

    async fn open(&self) -> LedgerStore {
        LedgerStore::open(&self.settings, Tz::UTC).await.unwrap()
    }

    fn engine(&self) -> Engine {
        engine_with(self.place.path(), |places| places.ledger = LedgerPlace::Postgres(self.settings.clone()))
    }

    /// What the ledger holds is what it must hold of these records.
    async fn holds(&self, records: &[Stored]) {
        let found = read_back(Role::Ledger, &self.engine()).await;
        assert_same(&found, &expected(Role::Ledger, records), "the ledger on PostgreSQL");
    }

    async fn number(&self, sql: &'static str) -> i64 {
        let mut connection = connect(&self.settings).await.unwrap();
        sqlx::query_scalar::<Postgres, i64>(sql).fetch_one(&mut connection).await.unwrap()
    }

    async fn done(self) {
        drop_database(&self.name).await;
    }
}

fn batch_of(partition: u32, records: &[Stored]) -> Batch {
    Batch { topic: RISK_SCORES.into(), partition, records: Arc::new(records.to_vec()), buried: BTreeSet::new() }
}

/// Writes a batch that must go through, however often the store has to be asked.
async fn settle(store: &mut LedgerStore, batch: &Batch) -> StorePosition {
    for _ in 0..200 {
        match store.write(batch.clone()).await {
            Ok(Written::Done { position, .. }) => return position,
            Ok(refused) => panic!("{refused:?}"),
            Err(Reaction::Transient { .. }) => tokio::time::sleep(Duration::from_millis(20)).await,
            Err(other) => panic!("{other}"),
        }
    }
    panic!("the store did not come back");
}

fn at(url: &str, raw: &RawPostgres) -> PostgresSettings {
    PostgresSettings::try_new(&ServerUrl::parse(url).unwrap(), raw, Durability::Warn).unwrap()
}

/// Why a store cannot be opened for good.
async fn fatal(settings: &PostgresSettings) -> String {
    match LedgerStore::open(settings, Tz::UTC).await {
        Err(Reaction::Fatal(message)) => message,
        Err(other) => panic!("expected a fatal reaction, found {other:?}"),
        Ok(_) => panic!("expected a fatal reaction, found an open store"),
    }
}

/// Why a store cannot be opened for now.
async fn transient(settings: &PostgresSettings) -> String {
    match LedgerStore::open(settings, Tz::UTC).await {
        Err(Reaction::Transient { message, .. }) => message,
        Err(other) => panic!("expected a transient reaction, found {other:?}"),
        Ok(_) => panic!("expected a transient reaction, found an open store"),
    }
}

fn contains(message: &str, part: &str) {
    assert!(message.contains(part), "{part:?} is not in: {message}");
}

#[tokio::test]
#[cfg_attr(not(has_postgres), ignore = "WARDHOUSE_TEST_POSTGRES names no server")]
async fn wrong_credentials_and_a_missing_database_are_told() {
    let mut stranger = server();
    stranger.server.password = Secret::Value("s3cret-of-mine".into());
    let message = fatal(&stranger).await;
    contains(&message, "postgres.password");
    assert!(!message.contains("s3cret-of-mine") && !format!("{stranger:?}").contains("s3cret-of-mine"), "{message}");
    contains(&fatal(&settings("whtest_no_such_database", &RawPostgres::default())).await, "or name another in stores.ledger");
}

#[tokio::test]
#[cfg_attr(not(has_postgres), ignore = "WARDHOUSE_TEST_POSTGRES is not set")]
async fn a_server_that_is_not_there_may_come() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    contains(&transient(&at(&format!("postgres://{nobody}/w"), &RawPostgres::default())).await, "cannot be reached");
}

/// Answers each thing said with the next of `words`, and the last one ever after; without words it hangs up.
async fn somebody(words: &'static [&'static [u8]]) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        let mut next = words.iter();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut said = [0; 4_096];
            while stream.read(&mut said).await.is_ok_and(|count| count > 0) {
                let Some(answer) = next.next().or(words.last()) else { break };
                if stream.write_all(answer).await.is_err() {
                    break;
                }
            }
        }
    });
    (address, task)
}

#[tokio::test]
#[cfg_attr(not(has_postgres), ignore = "WARDHOUSE_TEST_POSTGRES is not set")]
async fn a_server_of_another_kind_is_told() {
    let encrypted = RawPostgres { tls: true, ..RawPostgres::default() };
    for raw in [&RawPostgres::default(), &encrypted] {
        let (web, task) = somebody(&[b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"]).await;
        contains(&fatal(&at(&format!("postgres://{web}/w"), raw)).await, "does not speak PostgreSQL's protocol");
        task.abort();
    }
    let (plain, task) = somebody(&[b"N"]).await;
    contains(&fatal(&at(&format!("postgres://{plain}/w"), &encrypted)).await, "postgres.tls = false");
    task.abort();
    let (silent, task) = somebody(&[]).await;
    contains(&transient(&at(&format!("postgres://{silent}/w"), &RawPostgres::default())).await, "before it answered");
    task.abort();
}

#[tokio::test]
#[cfg_attr(not(has_postgres), ignore = "WARDHOUSE_TEST_POSTGRES is not set")]
async fn a_server_that_is_too_old_is_told() {
    // No encryption; then who is welcome, which version it is, and that it is ready.
    const WORDS: &[&[u8]] = &[b"N", b"R\0\0\0\x08\0\0\0\0S\0\0\0\x19server_version\x0012.22\0Z\0\0\0\x05I"];
    let (old, task) = somebody(WORDS).await;
    contains(&fatal(&at(&format!("postgres://{old}/w"), &RawPostgres::default())).await, "PostgreSQL 12.22 is too old: expected 13 or newer");
    task.abort();
}

#[tokio::test]
#[cfg_attr(not(has_postgres), ignore = "WARDHOUSE_TEST_POSTGRES names no server")]
async fn encryption_where_the_server_has_none_is_told() {
    let mut encrypted = server();
    encrypted.server.tls = Some(Tls::default());
    contains(&fatal(&encrypted).await, "postgres.tls = false");
    encrypted.server.tls = Some(Tls { ca_file: Some("no-such-file.pem".into()), identity: None });
    contains(&fatal(&encrypted).await, "postgres.ca_file = no-such-file.pem");
}

#[tokio::test]
#[cfg_attr(not(has_secure_postgres), ignore = "WARDHOUSE_TEST_SECURE_POSTGRES names no server")]
async fn an_encrypted_server_is_reached_as_its_settings_say_only() {
    let variable = |name: &str| std::env::var(format!("WARDHOUSE_TEST_SECURE_{name}")).unwrap();
    let raw = RawPostgres { user: Some(variable("USER")), password: Some(variable("PASSWORD").into()), ca_file: Some(variable("CA").into()), ..RawPostgres::default() };
    let good = at(&url("SECURE_POSTGRES").unwrap(), &raw);
    drop(connect(&good).await.unwrap());
    assert!(examine(&good).await.iter().any(|finding| finding.subject == "tls" && finding.found.starts_with("encrypted")));

    let mut plain = good.clone();
    plain.server.tls = None;
    contains(&fatal(&plain).await, "set postgres.tls = true");
    let mut untrusting = good.clone();
    untrusting.server.tls = Some(Tls::default());
    contains(&fatal(&untrusting).await, "postgres.ca_file");
    let mut stranger = good;
    stranger.server.password = Secret::Value("wrong".into());
    contains(&fatal(&stranger).await, "postgres.password");
}

#[tokio::test]
#[cfg_attr(not(has_postgres), ignore = "WARDHOUSE_TEST_POSTGRES names no server")]
async fn a_layout_of_somebody_else_or_of_a_newer_wardhouse_is_refused_and_left_as_it_is() {
    let bench = Bench::new().await;
    run(&bench.settings, "CREATE TABLE transactions (id int)").await;
    contains(&fatal(&bench.settings).await, "holds transactions that no Wardhouse made");
    run(&bench.settings, "DROP TABLE transactions").await;
    drop(bench.open().await);
    run(&bench.settings, "UPDATE wardhouse_layout SET version = 9").await;
    contains(&fatal(&bench.settings).await, "newer Wardhouse (layout 9, this one knows 1)");
    assert_eq!(bench.number("SELECT version FROM wardhouse_layout").await, 9);
    let error = match bench.engine().query("SELECT count(*) FROM transactions").await {
        Err(error) => error.to_string(),
        Ok(_) => panic!("a newer layout is not read"),
    };
    contains(&error, "newer Wardhouse (layout 9");
    bench.done().await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(has_postgres), ignore = "WARDHOUSE_TEST_POSTGRES names no server")]
async fn sql_over_a_database_without_a_ledger_says_so() {
    let bench = Bench::new().await;
    let error = match bench.engine().query("SELECT * FROM ledger.transactions").await {
        Err(error) => error.to_string(),
        Ok(_) => panic!("there is nothing to read"),
    };
    contains(&error, "there is no ledger in");
    assert!(read_positions(&bench.settings, "scorer").await.unwrap().is_empty());
    let places = rows(&bench.engine(), "SELECT kind, reachable, layout_version FROM system.stores WHERE role = 'ledger'").await;
    assert_eq!(places, [["postgres", "true", crate::sql::NULL]]);
    bench.done().await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(has_postgres), ignore = "WARDHOUSE_TEST_POSTGRES names no server")]
async fn several_instances_make_the_layout_once() {
    let bench = Bench::new().await;
    let making = (0..5).map(|_| async {
        let mut connection = connect(&bench.settings).await.unwrap();
        layout::ensure(&mut connection, &bench.settings).await.unwrap().len()
    });
    let done = futures::future::join_all(making).await;
    assert_eq!(done.iter().sum::<usize>(), 1, "{done:?}");
    bench.done().await;
}

#[tokio::test]
#[cfg_attr(not(has_postgres), ignore = "WARDHOUSE_TEST_POSTGRES names no server")]
async fn a_look_at_the_server_finds_what_there_is() {
    let bench = Bench::new().await;
    let subjects = |findings: &[wh_stores::Finding]| findings.iter().map(|finding| (finding.subject, finding.level)).collect::<Vec<_>>();
    let before = examine(&bench.settings).await;
    assert!(before.iter().any(|finding| finding.subject == "layout" && finding.level == Level::Warning && finding.remedy.contains("wardhouse migrate")), "{before:?}");
    drop(bench.open().await);
    let findings = examine(&bench.settings).await;
    for subject in ["version", "tls", "clock", "durability", "layout", "rights"] {
        assert!(findings.iter().any(|finding| finding.subject == subject && finding.level < Level::Fault), "{subject}: {findings:?}");
    }
    let mut nowhere = bench.settings.clone();
    nowhere.server.database = "whtest_no_such_database".to_owned();
    assert_eq!(subjects(&examine(&nowhere).await), [("server", Level::Fault)]);
    bench.done().await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(has_postgres), ignore = "WARDHOUSE_TEST_POSTGRES names no server")]
async fn a_late_writer_moves_no_position_back_and_doubles_nothing() {
    let bench = Bench::new().await;
    let (mut one, mut other, records) = (bench.open().await, bench.open().await, stream(0));
    settle(&mut one, &batch_of(0, &records[..300])).await;
    settle(&mut other, &batch_of(0, &records[200..700])).await;
    // What it had read before the partition went to the other one.
    let late = settle(&mut one, &batch_of(0, &records[300..500])).await;
    assert_eq!((late.next_seq, late.tally.sum()), (700, 700));
    settle(&mut one, &batch_of(0, &records[500..800])).await;
    bench.holds(&records[..800]).await;
    bench.done().await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(has_postgres), ignore = "WARDHOUSE_TEST_POSTGRES names no server")]
async fn instances_that_write_at_once_lose_no_count() {
    // The same users in both partitions, and each partition written by two instances that race.
    let bench = Bench::new().await;
    let zero = stream(0);
    let one: Vec<Stored> = zero.iter().map(of_partition_one).collect();
    let racing = [(0, &zero), (1, &one), (0, &zero), (1, &one)].map(|(partition, records)| {
        let settings = bench.settings.clone();
        async move {
            let mut store = LedgerStore::open(&settings, Tz::UTC).await.unwrap();
            for end in (40..=1_000).step_by(40) {
                settle(&mut store, &batch_of(partition, &records[end - 40..end])).await;
            }
        }
    });
    futures::future::join_all(racing).await;
    bench.holds(&[&zero[..1_000], &one[..1_000]].concat()).await;
    bench.done().await;
}

/// The same scored record, of another transaction in partition 1.
fn of_partition_one(record: &Stored) -> Stored {
    let mut row = score(record);
    row.partition = 1;
    row.transaction_id = format!("{}-1", row.transaction_id.as_str()).into();
    for alert in &mut row.alerts {
        alert.transaction_id = row.transaction_id.clone();
        alert.alert_id = format!("{}-1", alert.alert_id.as_str()).into();
    }
    Stored { value: serde_json::to_vec(&row).unwrap().into(), ..record.clone() }
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(has_postgres), ignore = "WARDHOUSE_TEST_POSTGRES names no server")]
async fn a_session_that_was_ended_is_replaced_and_nothing_is_lost() {
    let bench = Bench::new().await;
    let (mut store, records, server) = (bench.open().await, stream(0), bench.engine());
    settle(&mut store, &batch_of(0, &records[..100])).await;
    assert_eq!(rows(&server, "SELECT count(*) FROM transactions").await, rows(&bench.engine(), "SELECT count(*) FROM transactions").await);
    run(&bench.settings, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()").await;
    let outcome = store.write(batch_of(0, &records[100..200])).await;
    assert!(matches!(outcome, Err(Reaction::Transient { .. })), "{outcome:?}");
    settle(&mut store, &batch_of(0, &records[100..200])).await;
    bench.holds(&records[..200]).await;
    let stored = rows(&server, "SELECT count(*) FROM transactions").await;
    assert_eq!(stored, rows(&bench.engine(), "SELECT count(*) FROM transactions").await, "the same engine reads on");
    bench.done().await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(has_postgres), ignore = "WARDHOUSE_TEST_POSTGRES names no server")]
async fn a_row_that_the_server_refuses_is_told_by_its_record() {
    let bench = Bench::with(&RawPostgres { batch_rows: 16, ..RawPostgres::default() }).await;
    let (mut store, records) = (bench.open().await, stream(0)[..100].to_vec());
    let poison = records.iter().position(|record| score(record).risk_score.is_some() && score(record).seq == 61).unwrap();
    let hash = score(&records[poison]).content_hash.to_string();
    run(&bench.settings, format!("ALTER TABLE transactions ADD CONSTRAINT no_poison CHECK (content_hash <> '{hash}')")).await;
    let mut batch = batch_of(0, &records);
    match store.write(batch.clone()).await.unwrap() {
        Written::Refused { offset, class, message, .. } => {
            assert_eq!((offset, class.as_str()), (records[poison].offset, "row:rejected"));
            contains(&message, "no_poison");
            assert!(!message.contains(&hash), "{message}");
        }
        done @ Written::Done { .. } => panic!("{done:?}"),
    }
    assert!(read_positions(&bench.settings, "scorer").await.unwrap().is_empty(), "nothing was written");
    batch.buried.insert(records[poison].offset);
    let position = settle(&mut store, &batch).await;
    assert_eq!((position.next_seq, position.tally.dead_letters), (100, 1));
    bench.holds(&[&records[..poison], &records[poison + 1..]].concat()).await;
    bench.done().await;
}

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

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(has_postgres), ignore = "WARDHOUSE_TEST_POSTGRES names no server")]
async fn an_id_that_no_index_holds_is_refused_by_its_record() {
    let bench = Bench::new().await;
    let mut records = stream(0)[..20].to_vec();
    let mut row = score(&records[7]);
    row.user_id = "x".repeat(3_000).into();
    let value = serde_json::to_vec(&row).unwrap();
    records[7].value = value.into();
    match bench.open().await.write(batch_of(0, &records)).await.unwrap() {
        Written::Refused { offset, class, .. } => assert_eq!((offset, class.as_str()), (7, "record:too-long")),
        done @ Written::Done { .. } => panic!("{done:?}"),
    }
    bench.done().await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(has_postgres), ignore = "WARDHOUSE_TEST_POSTGRES names no server")]
async fn rows_beyond_retention_go_and_the_stream_goes_on() {
    let bench = Bench::new().await;
    let (mut store, records) = (bench.open().await, stream(0));
    settle(&mut store, &batch_of(0, &records[..900])).await;
    let before = records[600].append_time;
    let fresh: Vec<Stored> = records[600..900].to_vec();
    assert!(store.retain(before).await.unwrap() > 500);
    assert_eq!(store.retain(before).await.unwrap(), 0);
    let kept = i64::try_from(fresh.iter().filter(|record| score(record).risk_score.is_some()).count()).unwrap();
    assert_eq!(bench.number("SELECT count(*) FROM transactions").await, kept);
    assert_eq!(bench.number("SELECT count(*) FROM risk_alerts WHERE pos < 600").await, 0);
    let floor = bench.number("SELECT floor_seq FROM positions WHERE stream = 'scorer'").await;
    assert!((600..620).contains(&floor), "{floor}");
    assert_eq!(settle(&mut store, &batch_of(0, &records[900..1_000])).await.next_seq, 1_000);
    bench.done().await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(has_postgres), ignore = "WARDHOUSE_TEST_POSTGRES names no server")]
async fn events_are_kept_once() {
    let bench = Bench::new().await;
    let mut store = bench.open().await;
    let audit = json!({"kind": "audit", "event_id": "e1", "event_type": "stage_started", "source": "up", "principal": "local", "severity": "info",
        "data": {"z": 1, "a": {"text": "\u{0}", "big": 1e300}}, "timestamp": "2026-02-01T00:00:00Z"});
    let metric = json!({"kind": "metric", "name": "lag", "value": 0.1, "unit": "records", "labels": {"stage": "x"}, "timestamp": "2026-02-01T00:00:00.000001Z"});
    let lines = [audit.to_string(), metric.to_string(), audit.to_string(), metric.to_string()];
    let records = stored(lines.into_iter().map(|line| Record::new("e", line.into_bytes())).collect(), 0);
    let batch = Batch { topic: SYSTEM_EVENTS.into(), ..batch_of(0, &records) };
    let position = settle(&mut store, &batch).await;
    assert_eq!((position.next_seq, position.tally), (4, Tally { stored: 3, duplicates: 1, ..Tally::default() }));
    assert_eq!(settle(&mut store, &batch).await, position);
    let later = moved(&records, 4);
    let position = settle(&mut store, &Batch { topic: SYSTEM_EVENTS.into(), ..batch_of(0, &later) }).await;
    assert_eq!(position.tally, Tally { stored: 5, duplicates: 3, ..Tally::default() });
    let data = rows(&bench.engine(), "SELECT event_id, data, \"timestamp\" FROM audit_log").await;
    assert_eq!(data, [["e1".to_owned(), audit["data"].to_string(), "1769904000000000".to_owned()]]);
    assert_eq!(rows(&bench.engine(), "SELECT count(*), min(value), max(labels) FROM system_metrics WHERE value > 0.05").await, [["4", "0.1", "{\"stage\":\"x\"}"]]);
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
    let all = "SELECT count(DISTINCT transaction_id), sum(amount), count(*) FROM transactions WHERE description <> ''";
    let plan = rows(&server, &format!("EXPLAIN {all}")).await.concat().concat();
    contains(&plan, "(in 2 parts by pos)");
    let sum = ROWS * (ROWS - 1) / 2;
    assert_eq!(rows(&server, all).await, [[ROWS.to_string(), sum.to_string(), ROWS.to_string()]]);

    let mut result = server.query("SELECT * FROM transactions").await.unwrap();
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
