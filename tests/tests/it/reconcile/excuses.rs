//! What is rightly not there raises no alarm, and hides nothing else.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono_tz::Tz;
use rusqlite::Connection;
use wh_eventlog::dead_letters::{self, DeadLetter};
use wh_ops::reconcile::Options;
use wh_schemas::position::Origin;
use wh_schemas::topics::{DEAD_LETTERS, RISK_SCORES};
use wh_sinks::delivery::Store;
use wh_sinks::sqlite::{DocumentsStore, LedgerStore, SqliteRows};
use wh_sinks::tantivy::{SearchStore, TantivyRows};

use super::Bench;
use crate::records::{scored, small_hospital};

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_has_not_come_so_far_raises_no_alarm() {
    let bench = Bench::new().await;
    let path = bench.folder.path().join("ledger.db");
    let mut store = LedgerStore::open(&path, Tz::UTC).unwrap();
    let mut rows = SqliteRows::ledger(&path);
    for percent in [0, 40, 90, 100] {
        bench.fill(&mut store, percent).await;
        Bench::is_healthy("a part of the stream", &bench.compare(&mut rows, None).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_lives_raises_no_alarm() {
    let bench = Bench::new().await;
    let path = bench.folder.path().join("documents.db");
    let mut store = DocumentsStore::open(&path).unwrap();
    bench.fill(&mut store, 10).await;
    let filling = async {
        let records = bench.records(RISK_SCORES, 0).await;
        for end in (0..records.len()).step_by(20) {
            store.write(bench.batch(RISK_SCORES, 0, records[..end].to_vec())).await.unwrap();
        }
    };
    let comparing = async {
        let mut rows = SqliteRows::documents(&path);
        for _ in 0..15 {
            Bench::is_healthy("while it is filled", &bench.compare(&mut rows, None).await);
        }
    };
    tokio::join!(filling, comparing);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_was_sent_again_beyond_the_horizon_is_there_once() {
    let bench = Bench::empty().await;
    let fresh = small_hospital(7, 60);
    let mut lines = fresh.clone();
    lines.extend(fresh[..20].iter().cloned());
    // A scorer that remembers ten ids does not know the twenty again: the stores' keys do.
    bench.append(RISK_SCORES, 0, &scored(0, &lines, 10)).await;
    let (ledger, documents) = (bench.folder.path().join("ledger.db"), bench.folder.path().join("documents.db"));
    bench.fill(&mut LedgerStore::open(&ledger, Tz::UTC).unwrap(), 100).await;
    bench.fill(&mut DocumentsStore::open(&documents).unwrap(), 100).await;
    for mut rows in [SqliteRows::ledger(&ledger), SqliteRows::documents(&documents)] {
        Bench::is_healthy("sent again", &bench.compare(&mut rows, None).await);
    }
    // Moved behind the store's back, the first one is no excuse for itself.
    Connection::open(&ledger).unwrap().execute("UPDATE transactions SET pos = pos + 1000000 WHERE pos = 5", []).unwrap();
    let (summary, _) = bench.compare(&mut SqliteRows::ledger(&ledger), None).await;
    assert!(summary.missing >= 1 && summary.extra == 1, "{summary:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_whose_record_is_in_the_dead_letters_may_be_missing_but_not_wrong() {
    let bench = Bench::new().await;
    let path = bench.folder.path().join("ledger.db");
    bench.fill(&mut LedgerStore::open(&path, Tz::UTC).unwrap(), 100).await;
    let connection = Connection::open(&path).unwrap();
    let record = bench.records(RISK_SCORES, 0).await.into_iter().find(|record| record.offset == 30).unwrap();
    connection.execute("DELETE FROM transactions WHERE pos = 30", []).unwrap();
    connection.execute("DELETE FROM risk_alerts WHERE pos = 30", []).unwrap();
    let mut rows = SqliteRows::ledger(&path);
    assert!(bench.compare(&mut rows, None).await.0.missing >= 1);
    let letter = DeadLetter {
        origin: Origin { topic: RISK_SCORES.to_owned(), partition: 0, offset: 30 },
        stage: "sink".to_owned(),
        store: Some("ledger".to_owned()),
        error_class: "row:rejected".to_owned(),
        error_message: "it is made up".to_owned(),
        fingerprint: "0".repeat(16),
        position: Some("0:30".to_owned()),
        attempts: 1,
    };
    let partitions = wh_eventlog::Reader::partitions(&*bench.log, DEAD_LETTERS).await.unwrap();
    dead_letters::write(&*bench.log, partitions, vec![dead_letters::record(&record, &letter, "test")]).await.unwrap();
    Bench::is_healthy("a row that was buried", &bench.compare(&mut rows, None).await);
    // Retried, and then changed.
    let mut store = LedgerStore::open(&path, Tz::UTC).unwrap();
    store.replay(bench.batch(RISK_SCORES, 0, vec![record])).await.unwrap();
    Bench::is_healthy("a row that was retried", &bench.compare(&mut rows, None).await);
    connection.execute("UPDATE transactions SET amount = amount + 1 WHERE pos = 30", []).unwrap();
    assert_eq!(bench.compare(&mut rows, None).await.0.different, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_retention_has_removed_is_not_missed() {
    let bench = Bench::new().await;
    let (ledger, search) = (bench.folder.path().join("ledger.db"), bench.folder.path().join("search"));
    let (mut store, mut index) = (LedgerStore::open(&ledger, Tz::UTC).unwrap(), SearchStore::open(&search).unwrap());
    bench.fill(&mut store, 100).await;
    bench.fill(&mut index, 100).await;
    let records = bench.records(RISK_SCORES, 0).await;
    let before = records[600].append_time;
    store.retain(before).await.unwrap();
    index.retain(before).await.unwrap();
    let now = wh_stores::clock::now().0;
    // What is older than this, a sink may have removed; what is younger is there.
    let retention = Some(Duration::from_micros(u64::try_from(now - before).unwrap()));
    let options = Options { retention, ..Options::default() };
    Bench::is_healthy("the ledger", &bench.compare_by(&mut SqliteRows::ledger(&ledger), None, options).await);
    Bench::is_healthy("the search", &bench.compare_by(&mut TantivyRows::new(&search), None, options).await);
    let connection = Connection::open(&ledger).unwrap();
    let floor: i64 = connection.query_row("SELECT floor_seq FROM positions WHERE stream = 'scorer' AND partition = 0", [], |row| row.get(0)).unwrap();
    connection.execute("DELETE FROM transactions WHERE pos = ?1", [floor + 5]).unwrap();
    let lost: BTreeSet<u64> =
        bench.compare(&mut SqliteRows::ledger(&ledger), None).await.1.iter().filter(|finding| finding.table == "transactions").map(|finding| finding.at.seq).collect();
    assert_eq!(lost, BTreeSet::from([u64::try_from(floor).unwrap() + 5]), "a row above the floor is missed");
}
