//! The ledger on a PostgreSQL server: bad input told with what to do, the layout, and in `delivery` and `reading` what is written and read.

mod delivery;
mod errors;
mod reading;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use chrono_tz::Tz;
use sqlx::Postgres;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use wh_eventlog::Stored;
use wh_query::Engine;
use wh_schemas::Reaction;
use wh_schemas::topics::RISK_SCORES;
use wh_sinks::delivery::{Batch, Store, StorePosition, Written};
use wh_sinks::postgres::{LedgerStore, read_positions};
use wh_stores::places::LedgerPlace;
use wh_stores::postgres::{PostgresSettings, RawPostgres, connect, examine, layout};
use wh_stores::tls::Tls;
use wh_stores::{Durability, Level, Secret, ServerUrl};

use crate::content::{Role, assert_same, expected, read_back};
use crate::contract::servers::postgres::{drop_database, make, run, server, settings};
use crate::contract::servers::{own_name, url};
use crate::sql::{engine_with, rows, session};

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
    let error = match session(&bench.engine()).query("SELECT count(*) FROM transactions").await {
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
    let error = match session(&bench.engine()).query("SELECT * FROM ledger.transactions").await {
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
