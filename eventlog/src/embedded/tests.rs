//! What the embedded log promises, on real files.

use std::time::Duration;

use super::*;
use crate::{Commit, Event};
use wh_schemas::topics;

fn records(from: u64, count: u64) -> Vec<Record> {
    (from..from + count).map(|i| Record::new(format!("k{i}"), format!("value {i} {}", "x".repeat(100)))).collect()
}

async fn log(folder: &Path, settings: Settings) -> Arc<EmbeddedLog> {
    let log = EmbeddedLog::open(folder, settings).unwrap();
    log.ensure_topics(&topics::ALL, 3).await.unwrap();
    log
}

async fn drain(consumer: &mut Box<dyn Consumer>) -> Vec<(u32, u64, String)> {
    let mut seen = Vec::new();
    loop {
        match consumer.poll(Duration::from_millis(20)).await.unwrap() {
            Event::Records(f) => seen.extend(f.records.iter().map(|r| (f.partition, r.offset, String::from_utf8(r.key.clone().unwrap().to_vec()).unwrap()))),
            Event::Idle => return seen,
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn offsets_are_dense_and_survive_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let l = log(folder.path(), Settings::default()).await;
    assert_eq!(l.produce(topics::RISK_SCORES, 1, records(0, 10)).await.unwrap(), 0);
    assert_eq!(l.produce(topics::RISK_SCORES, 1, records(10, 5)).await.unwrap(), 10);
    drop(l);
    let l = log(folder.path(), Settings::default()).await;
    assert_eq!(l.produce(topics::RISK_SCORES, 1, records(15, 1)).await.unwrap(), 15);
    let read = l.read(topics::RISK_SCORES, 1, 7, usize::MAX).await.unwrap();
    assert_eq!(read.iter().map(|r| r.offset).collect::<Vec<_>>(), (7..16).collect::<Vec<_>>());
    assert_eq!(l.bounds(topics::RISK_SCORES, 1).await.unwrap(), Bounds { start: 0, end: 16 });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_goes_on_where_it_committed_and_has_one_holder() {
    let folder = tempfile::tempdir().unwrap();
    let l = log(folder.path(), Settings::default()).await;
    for partition in 0..3 {
        l.produce(topics::RISK_SCORES, partition, records(0, 20)).await.unwrap();
    }
    let mut consumer = l.subscribe("ledger", &[topics::RISK_SCORES]).await.unwrap();
    assert!(l.subscribe("ledger", &[topics::RISK_SCORES]).await.err().unwrap().to_string().contains("already runs"));
    assert_eq!(drain(&mut consumer).await.len(), 60);
    consumer.commit(vec![Commit { topic: topics::RISK_SCORES.into(), partition: 2, next_offset: 13, metadata: "note".into() }]).await.unwrap();
    drop(consumer);
    let mut consumer = l.subscribe("ledger", &[topics::RISK_SCORES]).await.unwrap();
    let Event::Assigned { epoch, partitions } = consumer.poll(Duration::ZERO).await.unwrap() else { panic!("no assignment") };
    assert_eq!((epoch, &partitions[2].committed), (2, &Some((13, "note".to_owned()))));
    assert_eq!(drain(&mut consumer).await.iter().filter(|r| r.0 == 2).count(), 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_consumer_sees_an_append_at_once_and_a_paused_partition_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let l = log(folder.path(), Settings::default()).await;
    let mut consumer = l.subscribe("search", &[topics::RISK_SCORES]).await.unwrap();
    consumer.poll(Duration::ZERO).await.unwrap();
    consumer.set_paused(topics::RISK_SCORES, 0, true);
    l.produce(topics::RISK_SCORES, 0, records(0, 1)).await.unwrap();
    assert_eq!(consumer.poll(Duration::from_millis(80)).await.unwrap(), Event::Idle);
    let producer = l.clone();
    let produced = tokio::spawn(async move { producer.produce(topics::RISK_SCORES, 1, records(0, 1)).await });
    assert!(matches!(consumer.poll(Duration::from_secs(20)).await.unwrap(), Event::Records(f) if f.partition == 1));
    produced.await.unwrap().unwrap();
    consumer.set_paused(topics::RISK_SCORES, 0, false);
    assert!(matches!(consumer.poll(Duration::from_secs(20)).await.unwrap(), Event::Records(f) if f.partition == 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_unsettled_is_removed_and_a_full_log_pushes_sources_back() {
    let folder = tempfile::tempdir().unwrap();
    let l = log(folder.path(), Settings { max_bytes: 40_000, ..Settings::default() }).await;
    let mut consumer = l.subscribe("intake", &[topics::HOSPITAL_TRANSACTIONS]).await.unwrap();
    consumer.poll(Duration::ZERO).await.unwrap();
    let noise = |i: u64| {
        let mut x = i.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let value: Vec<u8> = (0..8_000)
            .map(|_| {
                x ^= x << 13;
                x ^= x >> 7;
                x ^= x << 17;
                x.to_le_bytes()[0]
            })
            .collect();
        vec![Record::new("k", value)]
    };
    let mut written = 0;
    let refused = loop {
        match l.produce(topics::HOSPITAL_TRANSACTIONS, 0, noise(written)).await {
            Ok(_) => written += 1,
            Err(reaction) => break reaction,
        }
        assert!(written < 10);
    };
    assert!(matches!(refused, Reaction::Transient { retry_after: Some(_), .. }), "{refused:?}");
    assert_eq!(l.bounds(topics::HOSPITAL_TRANSACTIONS, 0).await.unwrap().start, 0);
    consumer.commit(vec![Commit { topic: topics::HOSPITAL_TRANSACTIONS.into(), partition: 0, next_offset: written, metadata: String::new() }]).await.unwrap();
    l.produce(topics::HOSPITAL_TRANSACTIONS, 0, noise(100)).await.unwrap();
    assert!(l.bounds(topics::HOSPITAL_TRANSACTIONS, 0).await.unwrap().start > 0);
    while l.produce(topics::HOSPITAL_TRANSACTIONS, 0, noise(7)).await.is_ok() {}
    // Stages still may write: what is in flight must come to its end.
    l.produce(topics::RISK_SCORES, 0, noise(99)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_position_that_is_gone_is_an_error_not_a_reset() {
    let folder = tempfile::tempdir().unwrap();
    let l = log(folder.path(), Settings::default()).await;
    l.produce(topics::RISK_SCORES, 0, records(0, 3)).await.unwrap();
    let error = l.read(topics::RISK_SCORES, 0, 17, 100).await.unwrap_err().to_string();
    assert!(error.contains("position 17 is not there"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compacted_topic_keeps_the_latest_of_each_key() {
    let folder = tempfile::tempdir().unwrap();
    let l = log(folder.path(), Settings::default()).await;
    for round in 0..3 {
        let state = (0..5).map(|i| Record::new(format!("user{i}"), format!("round {round}"))).collect();
        l.produce(topics::SCORER_STATE, 0, state).await.unwrap();
    }
    assert_eq!(l.retain().await.unwrap(), 10);
    let kept = l.read(topics::SCORER_STATE, 0, 0, usize::MAX).await.unwrap();
    assert!(kept.len() == 5 && kept.iter().all(|r| r.value == "round 2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_number_of_partitions_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let l = log(folder.path(), Settings::default()).await;
    let error = l.ensure_topics(&topics::ALL, 5).await.unwrap_err().to_string();
    assert!(error.contains("log.partitions = 3"), "{error}");
}
