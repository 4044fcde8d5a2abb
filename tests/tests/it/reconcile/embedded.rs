//! The embedded stores, changed behind their backs.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use chrono_tz::Tz;
use rusqlite::{Connection, params};
use tantivy::schema::{OwnedValue, Value as _};
use tantivy::{Index, IndexWriter, TantivyDocument, Term};
use wh_ops::reconcile::{Options, What};
use wh_schemas::layout::METRICS_BLOCK;
use wh_schemas::position::SeqPosition;
use wh_sinks::reconcile::Repair;
use wh_sinks::sqlite::{DocumentsStore, LedgerStore, MetricsRows, MetricsStore, SqliteRows};
use wh_sinks::tantivy::{SearchStore, TantivyRows};
use wh_stores::tantivy::layout;

use super::{Bench, Place};

/// What each third of the rows of a table is changed by: an edit of one column after another, a deletion, a copy elsewhere.
fn meddle(connection: &Connection, table: &'static str, columns: &[&str], id: &str, most: usize, wanted: &mut BTreeSet<Place>) {
    let mut statement = connection.prepare(&format!("SELECT pos FROM {table} WHERE pos < 1000000 << 40 ORDER BY pos")).unwrap();
    let all: Vec<i64> = statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    for (at, pos) in all.iter().take(most).enumerate() {
        let place = SeqPosition::unpacked(*pos);
        match at % 3 {
            0 => {
                let column = columns[at / 3 % columns.len()];
                let changed = match column {
                    "timestamp" | "amount" | "risk_score" | "is_anomaly" | "amount_score" | "time_score" | "frequency_score" | "behavior_score" | "metadata_score"
                    | "processed_at" | "created_at" => format!("{column} + 1"),
                    "explanation" => "jsonb_set(explanation, '$.state_epoch', 99)".to_owned(),
                    "metadata" if table == "documents" => "jsonb_set(metadata, '$.meddled', 1)".to_owned(),
                    _ => format!("coalesce({column}, '') || '!'"),
                };
                assert_eq!(connection.execute(&format!("UPDATE {table} SET {column} = {changed} WHERE pos = ?1"), [pos]).unwrap(), 1);
                wanted.insert((What::Different, table, place));
            }
            1 => {
                connection.execute(&format!("DELETE FROM {table} WHERE pos = ?1"), [pos]).unwrap();
                wanted.insert((What::Missing, table, place));
            }
            _ => {
                // Half of the copies in a partition that there is, half in one that there is not.
                let elsewhere = if at % 2 == 0 { *pos + 50_000_000 } else { *pos + (40 << 40) };
                let kept: Vec<String> = columns.iter().map(|column| if *column == id { format!("{column} || ' copy'") } else { (*column).to_owned() }).collect();
                let statement = format!("INSERT INTO {table} (pos, {}) SELECT ?2, {} FROM {table} WHERE pos = ?1", columns.join(", "), kept.join(", "));
                assert_eq!(connection.execute(&statement, params![pos, elsewhere]).unwrap(), 1);
                wanted.insert((What::Extra, table, SeqPosition::unpacked(elsewhere)));
            }
        }
    }
}

const TRANSACTIONS: [&str; 22] = [
    "transaction_id",
    "timestamp",
    "user_id",
    "account_id",
    "counterparty_account",
    "department",
    "transaction_type",
    "amount",
    "description",
    "risk_score",
    "risk_level",
    "is_anomaly",
    "amount_score",
    "time_score",
    "frequency_score",
    "behavior_score",
    "metadata_score",
    "detection_rules",
    "ruleset",
    "metadata",
    "content_hash",
    "processed_at",
];
const ALERTS: [&str; 11] = ["alert_id", "transaction_id", "user_id", "alert_type", "severity", "risk_score", "title", "message", "detection_rules", "created_at", "metadata"];
const DOCUMENTS: [&str; 6] = ["transaction_id", "user_id", "timestamp", "processed_at", "metadata", "explanation"];

#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_is_proven_equal_and_put_right() {
    let bench = Bench::new().await;
    let path = bench.folder.path().join("ledger.db");
    let mut store = LedgerStore::open(&path, Tz::UTC).unwrap();
    bench.fill(&mut store, 100).await;
    let mut rows = SqliteRows::ledger(&path);
    let before = bench.compare(&mut rows, None).await;
    Bench::is_healthy("the ledger", &before);
    let mut wanted = BTreeSet::new();
    let connection = Connection::open(&path).unwrap();
    // What people do to an alert is no difference, and stays.
    connection.execute("UPDATE risk_alerts SET status = 'closed', acknowledged_by = 'somebody', acknowledged_at = 7", []).unwrap();
    Bench::is_healthy("alerts that were closed", &bench.compare(&mut rows, None).await);
    meddle(&connection, "transactions", &TRANSACTIONS, "transaction_id", 1_000, &mut wanted);
    meddle(&connection, "risk_alerts", &ALERTS, "alert_id", 60, &mut wanted);
    // An alert of a pattern.
    let first: i64 = connection.query_row("SELECT min(pos) FROM risk_alerts WHERE pos >= 1000000 << 40 AND pos < 1000001 << 40", [], |row| row.get(0)).unwrap();
    connection.execute("DELETE FROM risk_alerts WHERE pos = ?1", [first]).unwrap();
    wanted.insert((What::Missing, "risk_alerts", SeqPosition::unpacked(first)));
    assert!(wanted.len() > 1_000);
    let edited = wanted.iter().find(|(what, table, _)| *what == What::Different && *table == "risk_alerts").unwrap().2;
    bench.drill(&mut rows, &mut store, &wanted, before.0.rows).await;
    let status: String = connection.query_row("SELECT status FROM risk_alerts WHERE pos = ?1", [edited.packed()], |row| row.get(0)).unwrap();
    assert_eq!(status, "closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documents_are_proven_equal_and_put_right() {
    let bench = Bench::new().await;
    let path = bench.folder.path().join("documents.db");
    let mut store = DocumentsStore::open(&path).unwrap();
    bench.fill(&mut store, 100).await;
    let mut rows = SqliteRows::documents(&path);
    let before = bench.compare(&mut rows, None).await;
    Bench::is_healthy("the documents", &before);
    let mut wanted = BTreeSet::new();
    let connection = Connection::open(&path).unwrap();
    meddle(&connection, "documents", &DOCUMENTS, "transaction_id", 1_000, &mut wanted);
    // A blob that is no JSON any more.
    let last: i64 = connection.query_row("SELECT max(pos) FROM documents WHERE pos < 2 << 40", [], |row| row.get(0)).unwrap();
    connection.execute("UPDATE documents SET explanation = x'ff00ff' WHERE pos = ?1", [last]).unwrap();
    wanted.insert((What::Different, "documents", SeqPosition::unpacked(last)));
    bench.drill(&mut rows, &mut store, &wanted, before.0.rows).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metrics_are_proven_equal_and_put_right() {
    let bench = Bench::new().await;
    let path = bench.folder.path().join("metrics.db");
    let mut store = MetricsStore::open(&path).unwrap();
    bench.fill(&mut store, 100).await;
    let mut rows = MetricsRows::new(&path);
    let before = bench.compare(&mut rows, None).await;
    Bench::is_healthy("the metrics", &before);
    let connection = Connection::open(&path).unwrap();
    let mut statement = connection.prepare("SELECT partition, block, time, department, transaction_type, risk_level FROM throughput").unwrap();
    type Point = (u32, u64, i64, String, String, String);
    let points: Vec<Point> =
        statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?))).unwrap().map(Result::unwrap).collect();
    let mut found = [0_usize; 3];
    for (at, (partition, block, time, department, kind, level)) in points.iter().take(1_000).enumerate() {
        let same = "partition = ?1 AND block = ?2 AND time = ?3 AND department = ?4 AND transaction_type = ?5 AND risk_level = ?6";
        let sums = ["transactions", "amount_sum", "score_sum", "score_max", "alerts"];
        let statement = match at % 3 {
            0 => format!("UPDATE throughput SET {0} = {0} + 1 WHERE {same}", sums[at / 3 % sums.len()]),
            1 => format!("DELETE FROM throughput WHERE {same}"),
            _ => format!(
                "INSERT INTO throughput SELECT partition, block + {}, time + 3000000, department || ' made up', transaction_type, risk_level, transactions, amount_sum, score_sum, score_max, alerts FROM throughput WHERE {same}",
                if at % 2 == 0 { 0 } else { 700 }
            ),
        };
        assert_eq!(connection.execute(&statement, params![partition, block, time, department, kind, level]).unwrap(), 1, "{statement}");
        found[at % 3] += 1;
    }
    let (summary, findings) = bench.compare(&mut rows, None).await;
    assert_eq!((summary.different, summary.missing, summary.extra), (found[0] as u64, found[1] as u64, found[2] as u64));
    assert!(findings.iter().all(|finding| finding.at.seq % METRICS_BLOCK == 0));
    let (repaired, _) = bench.compare(&mut rows, Some(&mut store)).await;
    assert_eq!(repaired.left, 0);
    assert_eq!(bench.compare(&mut rows, None).await.0, before.0);
}

/// Takes the alerts of an index, changes every third, removes every third, and adds a copy elsewhere of the others.
fn meddle_with_index(folder: &Path, wanted: &mut BTreeSet<Place>) {
    let index = Index::open_in_dir(folder).unwrap();
    layout::register_analyzer(&index);
    let schema = index.schema();
    let field = |name: &str| schema.get_field(name).unwrap();
    let payload = index.load_metas().unwrap().payload.unwrap();
    let searcher = index.reader().unwrap().searcher();
    let all = searcher.search(&tantivy::query::AllQuery, &tantivy::collector::DocSetCollector).unwrap();
    let mut writer: IndexWriter<TantivyDocument> = index.writer_with_num_threads(1, 20_000_000).unwrap();
    for (at, place) in all.into_iter().enumerate() {
        let document: TantivyDocument = searcher.doc(place).unwrap();
        let number = |name: &str| document.get_first(field(name)).and_then(|value| value.as_i64()).unwrap();
        let position = SeqPosition { partition: u32::try_from(number(layout::PARTITION)).unwrap(), seq: u64::try_from(number(layout::SEQ)).unwrap() };
        let id = document.get_first(field(layout::ALERT_ID)).and_then(|value| value.as_str()).unwrap().to_owned();
        let copy = |name: &str, to: OwnedValue| {
            let mut copy = TantivyDocument::default();
            for (field, value) in document.field_values() {
                let value = if schema.get_field_name(field) == name { to.clone() } else { OwnedValue::from(value) };
                copy.add_field_value(field, &value);
            }
            copy
        };
        match at % 3 {
            0 => {
                writer.delete_term(Term::from_field_text(field(layout::ALERT_ID), &id));
                let changed = [layout::MESSAGE, layout::SEVERITY, layout::USER_ID, layout::DEPARTMENT, layout::TITLE][at / 3 % 5];
                writer.add_document(copy(changed, OwnedValue::Str("meddled".to_owned()))).unwrap();
                wanted.insert((What::Different, "alerts", position));
            }
            1 => {
                writer.delete_term(Term::from_field_text(field(layout::ALERT_ID), &id));
                wanted.insert((What::Missing, "alerts", position));
            }
            _ => {
                let seq = position.seq + 50_000;
                writer.add_document(copy(layout::SEQ, OwnedValue::I64(i64::try_from(seq).unwrap()))).unwrap();
                wanted.insert((What::Extra, "alerts", SeqPosition { seq, ..position }));
            }
        }
    }
    let mut commit = writer.prepare_commit().unwrap();
    commit.set_payload(&payload);
    commit.commit().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_search_is_proven_equal_and_put_right() {
    let bench = Bench::new().await;
    let folder: PathBuf = bench.folder.path().join("search");
    let mut store = SearchStore::open(&folder).unwrap();
    bench.fill(&mut store, 100).await;
    let mut rows = TantivyRows::new(&folder);
    let before = bench.compare(&mut rows, None).await;
    Bench::is_healthy("the search", &before);
    // The index has one writer.
    drop(store);
    let mut wanted = BTreeSet::new();
    meddle_with_index(&folder, &mut wanted);
    assert!(wanted.len() > 50, "{}", wanted.len());
    let mut store = SearchStore::open(&folder).unwrap();
    bench.drill(&mut rows, &mut store, &wanted, before.0.rows).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_alone_is_compared_and_put_right() {
    let bench = Bench::new().await;
    let path = bench.folder.path().join("ledger.db");
    let mut store = LedgerStore::open(&path, Tz::UTC).unwrap();
    bench.fill(&mut store, 100).await;
    let connection = Connection::open(&path).unwrap();
    let first_from = |seq: u64| -> SeqPosition {
        let from = SeqPosition { partition: 1, seq }.packed();
        SeqPosition::unpacked(connection.query_row("SELECT min(pos) FROM transactions WHERE pos >= ?1", [from], |row| row.get(0)).unwrap())
    };
    let changed = [5, 50, 500].map(first_from);
    assert!(changed[0].seq < 10 && changed[1].seq < 100, "{changed:?}");
    for at in changed {
        assert_eq!(connection.execute("UPDATE transactions SET amount = amount + 1 WHERE pos = ?1", [at.packed()]).unwrap(), 1);
    }
    let mut rows = SqliteRows::ledger(&path);
    let options = Options { partition: Some(1), from: Some(10), to: Some(100), ..Options::default() };
    let writing: &mut (dyn Repair + 'static) = &mut store;
    let (summary, found) = bench.compare_by(&mut rows, Some(writing), options).await;
    assert_eq!((summary.different, summary.left, found.len()), (1, 0, 1));
    assert_eq!((found[0].at, found[0].differences[0].field.as_str()), (changed[1], "amount"));
    assert_eq!(bench.compare(&mut rows, None).await.0.different, 2);
}
