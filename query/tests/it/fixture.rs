//! Small stores of every role with awkward values, in a folder of their own.

use std::path::Path;

use arrow::util::display::array_value_to_string;
use futures::TryStreamExt;
use rusqlite::{Connection, params};
use tantivy::{Index, TantivyDocument};
use wh_eventlog::Record;
use wh_eventlog::embedded::block;
use wh_query::{Engine, EngineSettings, Places, Principal, QueryError, QueryResult, Session, Way};
use wh_schemas::layout::{BASELINES, DOCUMENTS, LEDGER, LOG, Layout, METRICS, POSITIONS_DDL};
use wh_stores::places::{BaselinesPlace, DocumentsPlace, LedgerPlace, LogPlace, MetricsPlace, SearchPlace};
use wh_stores::tantivy::layout as index_layout;

/// 2026-03-01T00:00:00Z
pub(crate) const BEGIN: i64 = 1_772_323_200_000_000;
/// Transactions of each of the two partitions.
pub(crate) const ROWS: i64 = 60;

pub(crate) const USERS: [&str; 8] = ["u1", "U1", "O'Brien", "Ünal", "a%b", "a_b", "", "zz\u{10ffff}"];
const DESCRIPTIONS: [Option<&str>; 5] = [None, Some(""), Some("50% off_now"), Some("refund \"late\"\nsecond line"), Some("Größe")];
const AMOUNTS: [i64; 6] = [1, 100, 99_999, 100_050, 50_000, 999_999_999_999_999];

pub(crate) struct Fixture {
    pub(crate) engine: Engine,
    pub(crate) session: Session,
    pub(crate) places: Places,
    folder: tempfile::TempDir,
}

pub(crate) fn id(partition: i64, seq: i64) -> String {
    format!("t-{partition}-{seq:03}")
}

fn open(path: &Path, layout: &Layout) -> Connection {
    let connection = Connection::open(path).unwrap();
    connection.execute_batch("PRAGMA journal_mode = WAL;").unwrap();
    connection.execute_batch(POSITIONS_DDL).unwrap();
    connection.execute_batch(layout.ddl).unwrap();
    connection.execute("INSERT INTO wardhouse_layout (store, version) VALUES (?1, ?2)", params![layout.role, layout.version]).unwrap();
    connection
}

fn position(connection: &Connection, partition: i64, next_seq: i64) {
    connection
        .execute("INSERT INTO positions (stream, partition, next_seq, next_offset, stored, updated_at) VALUES ('scorer', ?1, ?2, ?2, ?2, ?3)", params![partition, next_seq, BEGIN])
        .unwrap();
}

pub(crate) fn score(seq: i64) -> i64 {
    (seq * 7) % 101
}

fn ledger(path: &Path) {
    let mut connection = open(path, &LEDGER);
    let transaction = connection.transaction().unwrap();
    for partition in 0..2_i64 {
        for seq in 0..ROWS {
            let at = usize::try_from(seq + partition).unwrap();
            let level = match score(seq) {
                0..=30 => "low",
                31..=70 => "medium",
                _ => "high",
            };
            let time = BEGIN + (seq % 13) * 3_600_000_000 + seq;
            transaction
                .execute(
                    "INSERT INTO transactions (pos, transaction_id, timestamp, user_id, account_id, counterparty_account, department, transaction_type, amount, description, \
                     risk_score, risk_level, is_anomaly, amount_score, time_score, frequency_score, behavior_score, metadata_score, detection_rules, ruleset, metadata, content_hash, processed_at) \
                     VALUES (?1, ?2, ?3, ?4, 'acc', ?5, 'Pharmacy', 'refund', ?6, ?7, ?8, ?9, ?10, 0, 0, 0, 0, 0, '[\"night\"]', 'r1', ?11, 'h', ?12)",
                    params![
                        (partition << 40) | seq,
                        id(partition, seq),
                        time,
                        USERS[at % USERS.len()],
                        (seq % 3 == 0).then(|| format!("c{seq}")),
                        AMOUNTS[at % AMOUNTS.len()],
                        DESCRIPTIONS[at % DESCRIPTIONS.len()],
                        score(seq),
                        level,
                        i64::from(score(seq) >= 50),
                        format!("{{\"ip\":\"10.0.0.{seq}\",\"tags\":[\"a\",{seq}],\"nothing\":null}}"),
                        time,
                    ],
                )
                .unwrap();
            if score(seq) >= 70 {
                transaction
                    .execute(
                        "INSERT INTO risk_alerts (pos, alert_id, transaction_id, user_id, alert_type, severity, risk_score, title, message, detection_rules, created_at, metadata) \
                         VALUES (?1, ?2, ?3, ?4, 'night', 'high', ?5, 'title', 'message', '[]', ?6, '{}')",
                        params![(partition << 40) | seq, format!("a-{partition}-{seq}"), id(partition, seq), USERS[at % USERS.len()], score(seq), time],
                    )
                    .unwrap();
            }
        }
        position(&transaction, partition, ROWS);
    }
    transaction
        .execute_batch(
            "INSERT INTO user_profiles VALUES ('u1', 4, 1005, 500, '{}', '[]', 1, 120, 80, 0, 1, 2), ('empty', 0, 0, 0, '{}', '[]', 0, 0, 0, 0, 1, 2); \
             INSERT INTO system_metrics VALUES (1, 'rate', 0.5, 's', '{}', 5), (2, 'rate', -1.25, 's', '{}', 6);",
        )
        .unwrap();
    transaction.commit().unwrap();
}

fn documents(path: &Path) {
    let connection = open(path, &DOCUMENTS);
    for partition in 0..2_i64 {
        for seq in 0..ROWS {
            let explanation = format!(
                "{{\"risk_score\":{},\"risk_level\":\"low\",\"dimensions\":{{\"amount\":3}},\"reasons\":[{{\"rule\":\"night\",\"points\":5}}],\"alerts\":[],\"ruleset\":\"r1\",\"state_epoch\":0}}",
                score(seq)
            );
            connection
                .execute(
                    "INSERT INTO documents (pos, transaction_id, user_id, timestamp, metadata, explanation, processed_at) VALUES (?1, ?2, 'u', ?3, jsonb(?4), jsonb(?5), ?3)",
                    params![(partition << 40) | seq, id(partition, seq), BEGIN, format!("{{\"ip\":\"10.0.0.{seq}\"}}"), explanation],
                )
                .unwrap();
        }
    }
    position(&connection, 0, 40);
    position(&connection, 1, ROWS);
}

fn metrics(path: &Path) {
    let connection = open(path, &METRICS);
    connection.execute("INSERT INTO throughput VALUES (0, 0, ?1, 'Pharmacy', 'refund', 'low', 10, 12345, 70, 9, 1)", params![BEGIN]).unwrap();
    position(&connection, 0, ROWS);
}

fn baselines(path: &Path) {
    let connection = open(path, &BASELINES);
    connection.execute("INSERT INTO users VALUES (0, 'u1', 60, 30, 12.5, 'Pharmacy', ?1, 2, x'00')", params![BEGIN]).unwrap();
    connection.execute("INSERT INTO checkpoints VALUES (0, 1, 0, 100, 60, '{}', ?1), (1, 1, 0, 60, 60, '{}', ?1)", params![BEGIN]).unwrap();
}

fn log(path: &Path) {
    let connection = open(path, &LOG);
    connection.execute_batch("INSERT INTO topics VALUES (1, 'risk-scores', 2, -1, 0); INSERT INTO partitions VALUES (1, 0, 2, 8, 0), (1, 1, 0, 0, 0);").unwrap();
    for (base, time) in [(0_i64, BEGIN), (4, BEGIN + 10)] {
        let records: Vec<Record> = (0..4).map(|i| Record::new(format!("k{}", base + i), format!("{{\"n\":{}}}", base + i)).with_header("wh-origin", "x/0/1")).collect();
        connection.execute("INSERT INTO batches VALUES (1, 0, ?1, 4, ?2, ?3)", params![base, time, block::encode(&records).unwrap()]).unwrap();
    }
}

/// Title, message and score of each alert in the index.
pub(crate) const ALERTS: [(&str, &str, i64); 4] = [
    ("Refunds at night", "User Ünal was refunded 999.99 at night, twice", 90),
    ("Night transfer", "A transfer at 03:00, no refund", 75),
    ("Pharmacy billing", "Résumé of billing in the pharmacy by day", 71),
    ("Refund", "refund refund refund", 99),
];

fn search(path: &Path) {
    std::fs::create_dir_all(path).unwrap();
    let schema = index_layout::alert_schema();
    let index = Index::create_in_dir(path, schema.clone()).unwrap();
    index_layout::register_analyzer(&index);
    let mut writer = index.writer_with_num_threads::<TantivyDocument>(1, 20_000_000).unwrap();
    let field = |name: &str| schema.get_field(name).unwrap();
    for (i, (title, message, score)) in ALERTS.iter().enumerate() {
        let seq = i64::try_from(i).unwrap();
        let mut document = TantivyDocument::new();
        document.add_text(field(index_layout::ALERT_ID), format!("s-{seq}"));
        document.add_text(field(index_layout::TRANSACTION_ID), id(0, seq));
        for (name, value) in [
            (index_layout::USER_ID, USERS[i]),
            (index_layout::ALERT_TYPE, "night"),
            (index_layout::SEVERITY, if *score >= 85 { "critical" } else { "high" }),
            (index_layout::DEPARTMENT, "Pharmacy"),
            (index_layout::TITLE, *title),
            (index_layout::MESSAGE, *message),
            (index_layout::DETECTION_RULES, "night"),
            (index_layout::DETECTION_RULES, "amo\"unt"),
        ] {
            document.add_text(field(name), value);
        }
        for (name, value) in
            [(index_layout::RISK_SCORE, *score), (index_layout::PARTITION, 0), (index_layout::SEQ, seq), (index_layout::CREATED_AT, BEGIN + seq), (index_layout::TIMESTAMP, BEGIN)]
        {
            document.add_i64(field(name), value);
        }
        writer.add_document(document).unwrap();
    }
    let mut commit = writer.prepare_commit().unwrap();
    commit.set_payload(&format!(
        "{{\"scorer\":{{\"0\":{{\"next_seq\":50,\"next_offset\":5,\"stored\":4,\"discarded\":46,\"updated_at\":{BEGIN}}},\"1\":{{\"next_seq\":30,\"next_offset\":30,\"updated_at\":{BEGIN}}}}}}}"
    ));
    commit.commit().unwrap();
}

impl Fixture {
    /// A file or folder of the stores.
    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn new() -> Fixture {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        ledger(&at("ledger.db"));
        documents(&at("documents.db"));
        metrics(&at("metrics.db"));
        baselines(&at("baselines.db"));
        search(&at("search"));
        log(&wh_eventlog::embedded::file_of(folder.path()));
        let places = Places {
            log: LogPlace::Sqlite(folder.path().to_owned()),
            ledger: LedgerPlace::Sqlite(at("ledger.db")),
            documents: DocumentsPlace::Sqlite(at("documents.db")),
            metrics: MetricsPlace::Sqlite(at("metrics.db")),
            baselines: BaselinesPlace::Sqlite(at("baselines.db")),
            search: SearchPlace::Tantivy(at("search")),
        };
        let engine = Engine::open(places.clone(), settings()).unwrap();
        let session = local(&engine);
        Fixture { engine, session, places, folder }
    }

    /// The same stores through another engine.
    pub(crate) fn through(self, engine: Engine) -> Fixture {
        Fixture { session: local(&engine), engine, ..self }
    }

    /// The same engine through another session.
    pub(crate) fn over(self, session: Session) -> Fixture {
        Fixture { session, ..self }
    }

    /// The rows of a query as text, each cell by itself.
    pub(crate) async fn rows(&self, sql: &str) -> Vec<Vec<String>> {
        self.try_rows(sql).await.unwrap_or_else(|error| panic!("{sql}\n{error}"))
    }

    pub(crate) async fn try_rows(&self, sql: &str) -> Result<Vec<Vec<String>>, QueryError> {
        read(self.session.query(sql).await?).await
    }

    /// The first column of a query.
    pub(crate) async fn column(&self, sql: &str) -> Vec<String> {
        self.rows(sql).await.into_iter().map(|mut row| row.swap_remove(0)).collect()
    }

    /// What EXPLAIN shows of the physical plan.
    pub(crate) async fn plan(&self, sql: &str) -> String {
        let rows = self.rows(&format!("EXPLAIN {sql}")).await;
        rows.into_iter().filter(|row| row[0] == "physical_plan").map(|mut row| row.swap_remove(1)).collect()
    }

    /// What a query that must fail says.
    pub(crate) async fn fault(&self, sql: &str) -> String {
        match self.try_rows(sql).await {
            Ok(rows) => panic!("{sql} gave {} rows", rows.len()),
            Err(error) => error.to_string(),
        }
    }
}

/// A session of whoever is at this machine.
pub(crate) fn local(engine: &Engine) -> Session {
    engine.session(Principal::local(Way::Cli))
}

/// The rows of an answer as text, each cell by itself.
pub(crate) async fn read(result: QueryResult) -> Result<Vec<Vec<String>>, QueryError> {
    let batches: Vec<_> = result.stream.try_collect().await.map_err(QueryError::from)?;
    let mut rows = Vec::new();
    for batch in &batches {
        for row in 0..batch.num_rows() {
            rows.push(batch.columns().iter().map(|column| array_value_to_string(column, row).unwrap()).collect());
        }
    }
    Ok(rows)
}

pub(crate) fn settings() -> EngineSettings {
    EngineSettings { zone: "UTC".into(), memory_limit_bytes: 256 << 20, target_partitions: 2, statement_timeout: None }
}
