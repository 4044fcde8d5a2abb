//! Checkpoints that take their time or are refused, beside a stage that goes on.

use std::path::Path;

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot};
use wh_eventlog::embedded::{EmbeddedLog, Settings};
use wh_eventlog::{Producer, Reader, Record};
use wh_schemas::AcceptedTransaction;
use wh_schemas::position::ORIGIN_HEADER;
use wh_schemas::topics::{self, RISK_SCORES, SCORER_STATE};
use wh_schemas::validate::{Reading, decode_transaction};

use super::*;
use crate::engine::Ruleset;
use crate::state::sqlite::SqliteCheckpoints;
use crate::state::{Checkpoint, Committed, Delta};

const PATIENCE: Duration = Duration::from_secs(30);
const USERS: u64 = 40;

/// What is done with a checkpoint that has come: it is passed on, or refused.
type Verdict = oneshot::Sender<bool>;

/// A good store that keeps a checkpoint when it is told to.
struct Asking {
    inner: SqliteCheckpoints,
    asks: mpsc::Sender<(Delta, Verdict)>,
}

impl Asking {
    fn open(path: &Path, asks: mpsc::Sender<(Delta, Verdict)>) -> Box<Asking> {
        Box::new(Asking { inner: SqliteCheckpoints::open(path).unwrap(), asks })
    }
}

fn copy(delta: &Delta) -> Delta {
    let Delta { partition, owner_epoch, position, record, users, forgotten, ids, horizon } = delta;
    Delta {
        partition: *partition,
        owner_epoch: *owner_epoch,
        position: position.clone(),
        record: record.clone(),
        users: users.clone(),
        forgotten: forgotten.clone(),
        ids: ids.clone(),
        horizon: *horizon,
    }
}

#[async_trait]
impl CheckpointStore for Asking {
    async fn take_over(&mut self, partition: u32) -> Result<(u64, Option<Checkpoint>), Reaction> {
        self.inner.take_over(partition).await
    }

    async fn commit(&mut self, delta: Delta) -> Result<Committed, Reaction> {
        let (verdict, told) = oneshot::channel();
        // Whoever asks no more lets everything pass.
        let passes = if self.asks.send((copy(&delta), verdict)).await.is_ok() { told.await.unwrap_or(true) } else { true };
        if passes { self.inner.commit(delta).await } else { Err(Reaction::transient("refused on purpose")) }
    }

    async fn forget(&mut self, partition: u32, owner_epoch: u64) -> Result<(), Reaction> {
        self.inner.forget(partition, owner_epoch).await
    }
}

fn transactions(from: u64, count: u64) -> Vec<Record> {
    let record = |number: u64| {
        let line = format!(
            r#"{{"transaction_id":"T-{number}","timestamp":"2026-01-05T08:{:02}:{:02}Z","user_id":"U-{}","account_id":"A","department":"IT","transaction_type":"billing","amount":"{}.00"}}"#,
            number / 60 % 60,
            number % 60,
            number % USERS,
            10 + number % 7,
        );
        let transaction = AcceptedTransaction::new(decode_transaction(line.as_bytes(), &Reading::default()).unwrap());
        Record::new(format!("T-{number}"), serde_json::to_vec(&transaction).unwrap()).with_header(ORIGIN_HEADER, format!("hospital-transactions/0/{number}"))
    };
    (from..from + count).map(record).collect()
}

async fn scored(log: &EmbeddedLog, wanted: u64) {
    let reached = async {
        while log.bounds(RISK_SCORES, 0).await.unwrap().end < wanted {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, reached).await.unwrap_or_else(|_| panic!("{wanted} scores are not there"));
}

async fn asked(asks: &mut mpsc::Receiver<(Delta, Verdict)>) -> (Delta, Verdict) {
    tokio::time::timeout(PATIENCE, asks.recv()).await.expect("a checkpoint comes").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn scoring_goes_on_beside_a_checkpoint_and_what_is_refused_is_in_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let baselines = folder.path().join("baselines.db");
    let log = EmbeddedLog::open(folder.path(), Settings::default()).unwrap();
    log.ensure_topics(&topics::ALL, 1).await.unwrap();
    let (asks, mut asking) = mpsc::channel(16);
    let settings = StageSettings { snapshot_records: 250, checkpoint_every: Duration::from_millis(20), ..StageSettings::new(Ruleset::default(), "test") };
    let (gauges, stop) = (Gauges::new(GROUP), CancellationToken::new());
    let stage = tokio::spawn(run(log.clone(), Asking::open(&baselines, asks), settings, Arc::new(gauges), stop.clone()));
    log.produce(ACCEPTED_TRANSACTIONS, 0, transactions(0, 100)).await.unwrap();
    let (begun, verdict) = asked(&mut asking).await;
    assert_eq!((begun.position.next_seq, log.bounds(RISK_SCORES, 0).await.unwrap().end), (0, 0), "what it begins under is kept before anything is scored");
    verdict.send(true).unwrap();
    let (first, verdict) = asked(&mut asking).await;
    log.produce(ACCEPTED_TRANSACTIONS, 0, transactions(100, 100)).await.unwrap();
    scored(&log, 200).await;
    assert!(asking.try_recv().is_err(), "one at a time");
    verdict.send(false).unwrap();
    let (second, verdict) = asked(&mut asking).await;
    assert!(second.position.next_seq > first.position.next_seq, "{:?} behind {:?}", second.position, first.position);
    assert!(second.ids.starts_with(&first.ids) && second.ids.len() as u64 == second.position.next_seq, "what was refused is in the next one");
    assert_eq!(second.users.len() as u64, USERS.min(second.position.next_seq));
    verdict.send(true).unwrap();
    log.produce(ACCEPTED_TRANSACTIONS, 0, transactions(200, 100)).await.unwrap();
    let mut kept = second.position.next_seq;
    let third = loop {
        let (delta, verdict) = asked(&mut asking).await;
        assert_eq!(delta.ids.first().map(|seen| seen.seq), Some(kept), "what was kept is not written again");
        kept = delta.position.next_seq;
        verdict.send(true).unwrap();
        if delta.position.next_seq == 300 {
            break delta;
        }
    };
    assert_eq!(third.owner_epoch, second.owner_epoch);
    // By now a snapshot is due; with a stop another one is written.
    drop(asking);
    stop.cancel();
    tokio::time::timeout(PATIENCE, stage).await.unwrap().unwrap().unwrap();
    let kept = SqliteCheckpoints::open(&baselines).unwrap().take_over(0).await.unwrap().1.unwrap();
    assert_eq!((kept.position.next_seq, kept.position.next_offset, kept.ids.len()), (300, 300, 300));
    assert_eq!(kept.users.iter().map(|(_, state)| state.events).sum::<u64>(), 300);
    assert_eq!(log.committed(GROUP, ACCEPTED_TRANSACTIONS).await.unwrap()[0].1, 300, "the log knows how far checkpoints are kept");
    assert!(log.bounds(SCORER_STATE, 0).await.unwrap().end > USERS);
    let snapshot = rebuild::last_snapshot(&*log, 0, 1_000).await.unwrap().unwrap();
    assert_eq!(snapshot.position.next_seq, 300);
    let mut users = (snapshot.users, kept.users);
    users.0.sort_by(|one, other| one.0.cmp(&other.0));
    users.1.sort_by(|one, other| one.0.cmp(&other.0));
    assert_eq!(users.0, users.1, "a snapshot and a checkpoint of one place are of the same users");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_slower_than_checkpoints_are_due_takes_those_of_every_partition() {
    const PARTITIONS: u32 = 3;
    let folder = tempfile::tempdir().unwrap();
    let log = EmbeddedLog::open(folder.path(), Settings::default()).unwrap();
    log.ensure_topics(&topics::ALL, PARTITIONS).await.unwrap();
    let (asks, mut asking) = mpsc::channel(16);
    let settings = StageSettings { checkpoint_every: Duration::from_millis(10), ..StageSettings::new(Ruleset::default(), "test") };
    let stop = CancellationToken::new();
    let store = Asking::open(&folder.path().join("baselines.db"), asks);
    let stage = tokio::spawn(run(log.clone(), store, settings, Arc::new(Gauges::new(GROUP)), stop.clone()));
    let mut taken = BTreeMap::new();
    for number in 0..24 {
        for partition in 0..PARTITIONS {
            log.produce(ACCEPTED_TRANSACTIONS, partition, transactions(u64::from(partition) * 1_000 + number, 1)).await.unwrap();
        }
        let (delta, verdict) = asked(&mut asking).await;
        tokio::time::sleep(Duration::from_millis(30)).await;
        verdict.send(true).unwrap();
        *taken.entry(delta.partition).or_insert(0) += 1;
    }
    drop(asking);
    stop.cancel();
    tokio::time::timeout(PATIENCE, stage).await.unwrap().unwrap().unwrap();
    assert!(taken.len() == 3 && taken.values().all(|count| *count >= 5), "{taken:?}");
}
