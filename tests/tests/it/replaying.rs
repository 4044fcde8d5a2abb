//! What was recorded, written again: by time, beside sinks that run, and into a store that was added later.

use std::path::Path;

use rusqlite::Connection;
use wh_eventlog::{Reader, Stored};
use wh_ops::replay::{Begin, Pace, Range, Replayed, Stream, beginning, register, replay};
use wh_schemas::Reaction;
use wh_schemas::layout::{DOCUMENTS, METRICS_BLOCK};
use wh_schemas::topics::{RISK_ALERTS, RISK_SCORES, SYSTEM_EVENTS};
use wh_sinks::sqlite;
use wh_stores::clock;

use crate::content::{self, Role, assert_same, expected, expected_patterns, published, read_back};
use crate::pipeline::{PARTITIONS, Pipeline, STAGES};
use crate::records::{hospital, score, topic};
use crate::sql;

async fn again(log: &dyn Reader, role: Role, data: &Path, range: Range, pace: Pace) -> Result<Replayed, Reaction> {
    let mut store = content::open(role, data).unwrap();
    let (mut last, mut whole) = (0, 0);
    let done = replay(log, &mut *store, Stream::Scorer, range, pace, &mut |done, of| (last, whole) = (done, of)).await?;
    assert!(last == done.records && last <= whole, "progress ends with what was done: {last} of {whole}, {done:?}");
    Ok(done)
}

fn lose(data: &Path, file: &str, statement: &str) {
    let connection = Connection::open(data.join(file)).unwrap();
    connection.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
    assert!(connection.execute(statement, []).unwrap() > 0, "something was there to lose");
}

async fn holds(role: Role, log: &dyn Reader, data: &Path, wanted: impl Fn(&Stored) -> bool) {
    let records: Vec<Stored> = topic(log, RISK_SCORES).await.concat().into_iter().filter(|record| wanted(record)).collect();
    let alerts: Vec<Stored> = topic(log, RISK_ALERTS).await.concat();
    let mut content = [expected(role, &records), expected_patterns(role, &alerts)].concat();
    content.sort_unstable();
    assert_same(&read_back(role, &sql::engine(data)).await, &content, role.name());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_of_time_or_of_seqs_is_written_again_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let mut pipeline = Pipeline::open(data).await;
    pipeline.start_all(&STAGES);
    let lines = hospital(5, 1_200);
    pipeline.feed(&lines[..700]).await;
    pipeline.settle().await;
    let between = clock::now().0;
    pipeline.feed(&lines[700..]).await;
    pipeline.settle().await;
    pipeline.stop().await;
    let log = &*pipeline.log;
    let forget = || lose(data, "documents.db", "DELETE FROM documents");

    // Alerts are searched as written again only where they were not there.
    let there = again(log, Role::Search, data, Range::default(), Pace::Full).await.unwrap();
    assert_eq!((there.records, there.written), (1_200, 0));
    forget();
    let late = again(log, Role::Documents, data, Range { since: Some(between), ..Range::default() }, Pace::Full).await.unwrap();
    assert_eq!((late.records, late.written), (500, 500));
    holds(Role::Documents, log, data, |record| record.append_time >= between).await;
    forget();
    let early = again(log, Role::Documents, data, Range { until: Some(between), ..Range::default() }, Pace::Full).await.unwrap();
    assert_eq!(early.records, 700);
    holds(Role::Documents, log, data, |record| record.append_time < between).await;
    // The rest, and once more.
    for written in [500, 0] {
        let rest = again(log, Role::Documents, data, Range { since: Some(0), until: Some(i64::MAX), ..Range::default() }, Pace::Full).await.unwrap();
        assert_eq!((rest.records, rest.written), (1_200, written));
    }
    holds(Role::Documents, log, data, |_| true).await;

    forget();
    let range = Range { partition: Some(1), from: Some(10), to: Some(60), ..Range::default() };
    assert_eq!(again(log, Role::Documents, data, range, Pace::Full).await.unwrap().records, 50);
    holds(Role::Documents, log, data, |record| score(record).partition == 1 && (10..60).contains(&score(record).seq)).await;
    let nothing = Range { since: Some(i64::MAX), ..Range::default() };
    assert_eq!(again(log, Role::Documents, data, nothing, Pace::Full).await.unwrap(), Replayed::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_lost_is_written_again_beside_the_sinks_that_run() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let mut pipeline = Pipeline::open(data).await;
    pipeline.start_all(&STAGES);
    let lines = hospital(9, 6_000);
    pipeline.feed(&lines[..5_000]).await;
    pipeline.settle().await;
    let full = published(Role::Metrics, data).unwrap();
    let closed = full.iter().find(|position| position.visible_seq >= METRICS_BLOCK).unwrap().partition;
    lose(data, "ledger.db", "DELETE FROM transactions WHERE seq BETWEEN 100 AND 400");
    lose(data, "ledger.db", "DELETE FROM risk_alerts WHERE seq BETWEEN 0 AND 900 AND partition < 3");
    lose(data, "documents.db", "DELETE FROM documents WHERE seq % 3 = 0");
    // A wrong sum, too, and a point that nobody wrote.
    let wrong = format!("UPDATE throughput SET transactions = transactions + 1, department = department || '!' WHERE block = 0 AND partition = {closed}");
    lose(data, "metrics.db", &wrong);

    let mending = async {
        for role in [Role::Ledger, Role::Documents, Role::Metrics] {
            let done = again(&*pipeline.log, role, data, Range::default(), Pace::Gentle).await.unwrap();
            assert!(done.records >= METRICS_BLOCK, "{}: {done:?}", role.name());
        }
    };
    tokio::join!(mending, pipeline.feed(&lines[5_000..]));
    let status = pipeline.settle().await;
    assert!(status.settled(), "{status:#?}");
    pipeline.stop().await;
    for role in Role::ALL {
        holds(role, &*pipeline.log, data, |_| true).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_added_later_begins_at_the_end_and_is_filled_beside_its_sink() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let mut pipeline = Pipeline::open(data).await;
    pipeline.start_all(&["intake", "scorer", "patterns", "ledger"]);
    let lines = hospital(11, 1_500);
    pipeline.feed(&lines[..900]).await;
    pipeline.settle().await;

    let path = data.join("documents.db");
    let begins = beginning(&*pipeline.log, "documents", &[RISK_SCORES], Begin::Newest).await.unwrap();
    assert_eq!(begins[0].1.iter().map(|at| at.next_seq).sum::<u64>(), 900);
    register(&*pipeline.log, "documents", &begins).await.unwrap();
    sqlite::begin(&path, &DOCUMENTS, &begins).unwrap();
    let taken = sqlite::begin(&path, &DOCUMENTS, &begins).unwrap_err().to_string();
    assert!(taken.contains("begins once"), "{taken}");

    // What is new is there, and the line of the store adds up: what lies before was left out on purpose.
    pipeline.start("documents");
    pipeline.feed(&lines[900..1_200]).await;
    pipeline.settle().await;
    let begin = |record: &Stored| begins[0].1.iter().find(|at| at.partition == score(record).partition).unwrap().next_seq;
    holds(Role::Documents, &*pipeline.log, data, |record| score(record).seq >= begin(record)).await;
    let stored: u64 = published(Role::Documents, data).unwrap().iter().map(|at| at.tally.stored).sum();
    assert_eq!(stored, 300);

    // What lies before comes beside it.
    let filling = async { again(&*pipeline.log, Role::Documents, data, Range::default(), Pace::Gentle).await.unwrap() };
    let (filled, ()) = tokio::join!(filling, pipeline.feed(&lines[1_200..]));
    assert!(filled.written >= 900, "{filled:?}");
    pipeline.settle().await;
    pipeline.stop().await;
    holds(Role::Documents, &*pipeline.log, data, |_| true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_may_begin_anywhere_and_its_sink_finds_no_gap() {
    let folder = tempfile::tempdir().unwrap();
    let mut pipeline = Pipeline::open(folder.path()).await;
    pipeline.start_all(&STAGES[..3]);
    pipeline.feed(&hospital(13, 4_000)).await;
    pipeline.settle().await;
    pipeline.stop().await;
    let log = &*pipeline.log;
    for begin in [Begin::Oldest, Begin::Newest] {
        let of_blocks = beginning(log, "metrics", &[RISK_SCORES], begin).await.unwrap();
        assert_eq!(of_blocks[0].1.len(), PARTITIONS as usize);
        for at in &of_blocks[0].1 {
            assert!(at.next_seq.is_multiple_of(METRICS_BLOCK) && at.next_offset <= at.next_seq.max(1), "{at:?}");
            let end = log.bounds(RISK_SCORES, at.partition).await.unwrap().end;
            let last = if begin == Begin::Newest { end / METRICS_BLOCK * METRICS_BLOCK } else { 0 };
            assert_eq!((at.next_seq, at.tally.sum()), (last, last));
        }
    }
    let of_ledger = beginning(log, "ledger", &[RISK_SCORES, RISK_ALERTS, SYSTEM_EVENTS], Begin::Newest).await.unwrap();
    let topics: Vec<(&str, usize)> = of_ledger.iter().map(|(topic, places)| (*topic, places.len())).collect();
    assert_eq!(topics, [(RISK_SCORES, PARTITIONS as usize), (RISK_ALERTS, 1), (SYSTEM_EVENTS, 1)]);
}
