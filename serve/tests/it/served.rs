//! A small ledger in a folder of its own, served by all three ways on ports of their own.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use rusqlite::{Connection, params};
use tokio_util::sync::CancellationToken;
use wh_query::{Engine, EngineSettings, Limits, Places};
use wh_schemas::layout::{LEDGER, POSITIONS_DDL};
use wh_serve::{Running, ServeSettings, UserSettings};
use wh_stores::places::{BaselinesPlace, DocumentsPlace, LedgerPlace, LogPlace, MetricsPlace, SearchPlace};

/// 2026-03-01T00:00:00Z
pub(crate) const BEGIN: i64 = 1_772_323_200_000_000;
/// Transactions of the ledger.
pub(crate) const ROWS: i64 = 200;
/// A query whose rows nobody waits for.
pub(crate) const ENDLESS: &str = "SELECT value FROM generate_series(1, 4000000000)";

/// What a test asks.
pub(crate) struct Served {
    pub(crate) engine: Engine,
    running: Running,
    stop: CancellationToken,
    _folder: tempfile::TempDir,
}

fn ledger(path: &Path) {
    let mut connection = Connection::open(path).unwrap();
    connection.execute_batch("PRAGMA journal_mode = WAL;").unwrap();
    connection.execute_batch(POSITIONS_DDL).unwrap();
    connection.execute_batch(LEDGER.ddl).unwrap();
    connection.execute("INSERT INTO wardhouse_layout (store, version) VALUES (?1, ?2)", params![LEDGER.role, LEDGER.version]).unwrap();
    let transaction = connection.transaction().unwrap();
    for seq in 0..ROWS {
        transaction
            .execute(
                "INSERT INTO transactions (pos, transaction_id, timestamp, user_id, account_id, counterparty_account, department, transaction_type, amount, description, \
                 risk_score, risk_level, is_anomaly, amount_score, time_score, frequency_score, behavior_score, metadata_score, detection_rules, ruleset, metadata, content_hash, processed_at) \
                 VALUES (?1, ?2, ?3, ?4, 'acc', NULL, 'Pharmacy', 'refund', ?5, ?6, ?7, 'low', 0, 0, 0, 0, 0, 0, '[]', 'r1', '{}', 'h', ?3)",
                params![seq, format!("t-{seq:03}"), BEGIN + seq, format!("u{}", seq % 4), 1_000 + seq, (seq % 2 == 0).then_some("Größe"), seq % 101],
            )
            .unwrap();
    }
    transaction.execute("INSERT INTO positions (stream, partition, next_seq, next_offset, stored, updated_at) VALUES ('scorer', 0, ?1, ?1, ?1, ?2)", params![ROWS, BEGIN]).unwrap();
    transaction.commit().unwrap();
}

fn user(name: &str, role: &str) -> UserSettings {
    UserSettings { name: name.to_owned(), role: role.to_owned(), password: format!("{name}'s password").into() }
}

impl Served {
    /// Without users: everyone is trusted.
    pub(crate) async fn open() -> Served {
        Served::new(ServeSettings::default()).await
    }

    /// With `ann` and `ben`, who are analysts (at most 50 rows), and `eve`, who is an admin.
    pub(crate) async fn with_users() -> Served {
        let roles = BTreeMap::from([("analyst".to_owned(), Limits { rows: Some(50), ..Limits::default() }), ("admin".to_owned(), Limits::default())]);
        Served::new(ServeSettings { users: vec![user("ann", "analyst"), user("ben", "analyst"), user("eve", "admin")], roles, ..ServeSettings::default() }).await
    }

    /// With these settings, on ports of their own.
    pub(crate) async fn new(settings: ServeSettings) -> Served {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        ledger(&at("ledger.db"));
        let places = Places {
            log: LogPlace::Sqlite(at("log")),
            ledger: LedgerPlace::Sqlite(at("ledger.db")),
            documents: DocumentsPlace::Sqlite(at("documents.db")),
            metrics: MetricsPlace::Sqlite(at("metrics.db")),
            baselines: BaselinesPlace::Sqlite(at("baselines.db")),
            search: SearchPlace::Tantivy(at("search")),
        };
        let engine = Engine::open(places, EngineSettings { zone: "UTC".into(), memory_limit_bytes: 64 << 20, target_partitions: 2, statement_timeout: None }).unwrap();
        let any: Option<SocketAddr> = Some("127.0.0.1:0".parse().unwrap());
        let stop = CancellationToken::new();
        let running = wh_serve::start(engine.clone(), ServeSettings { postgres: any, flight: any, http: any, ..settings }, stop.clone()).await.unwrap();
        Served { engine, running, stop, _folder: folder }
    }

    /// Where PostgreSQL's protocol is spoken.
    pub(crate) fn postgres(&self) -> SocketAddr {
        self.running.postgres.unwrap()
    }

    /// Where Flight SQL is spoken.
    pub(crate) fn flight(&self) -> SocketAddr {
        self.running.flight.unwrap()
    }

    /// Where HTTP is spoken.
    pub(crate) fn http(&self) -> SocketAddr {
        self.running.http.unwrap()
    }

    /// Waits until no query runs.
    pub(crate) async fn until_idle(&self) {
        let idle = async {
            while !self.engine.queries().running().is_empty() {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(5), idle).await.expect("a query runs on");
    }

    /// Asks the servers to stop, and waits until they have.
    pub(crate) async fn end(self) {
        self.stop.cancel();
        self.running.join().await.unwrap();
    }
}
