//! Strangers' records taken as they are, members that come, go and get stuck, records that are too large or too many.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::admin::AdminOptions;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::{Offset, TopicPartitionList};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use wh_eventlog::dead_letters;
use wh_eventlog::gauges::Gauges;
use wh_eventlog::kafka::KafkaLog;
use wh_eventlog::{Bytes, Commit, Consumer, Event, Log, Producer, Reader, Record, Stored};
use wh_ingest::intake::{self, IntakeSettings};
use wh_schemas::topics::{ACCEPTED_TRANSACTIONS, DEAD_LETTERS, HOSPITAL_TRANSACTIONS, RISK_SCORES};
use wh_schemas::validate::Reading;
use wh_schemas::{Reaction, dead_letter as header};
use wh_stores::kafka::{KafkaSettings, RawKafka};

use super::{Bench, record, specs, variable};
use crate::contract::servers::kafka::{FETCH_BYTES, admin, at, make, raw, remove, stranger, with_namespace};
use crate::contract::servers::{own_name, url};

/// How long a condition may take to come true.
const LIMIT: Duration = Duration::from_secs(60);

/// Polls until `wanted` takes something from an event.
async fn until<T>(consumer: &mut dyn Consumer, what: &str, mut wanted: impl FnMut(Event) -> Option<T>) -> T {
    let deadline = Instant::now() + LIMIT;
    loop {
        assert!(Instant::now() < deadline, "not within {LIMIT:?}: {what}");
        if let Some(found) = wanted(consumer.poll(Duration::from_millis(50)).await.unwrap()) {
            return found;
        }
    }
}

async fn assigned(consumer: &mut dyn Consumer, count: usize) {
    let mut all = 0;
    until(consumer, "partitions are assigned", |event| {
        if let Event::Assigned { partitions, .. } = event {
            all += partitions.len();
        }
        (all >= count).then_some(())
    })
    .await;
}

async fn taken(consumer: &mut dyn Consumer, count: usize) -> Vec<Stored> {
    let mut all = Vec::new();
    until(consumer, "records come", |event| {
        if let Event::Records(fetched) = event {
            all.extend(fetched.records);
        }
        (all.len() >= count).then_some(())
    })
    .await;
    all
}

fn commit(partition: u32, next_offset: u64) -> Vec<Commit> {
    vec![Commit { topic: RISK_SCORES.into(), partition, next_offset, metadata: String::new() }]
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(has_secure_kafka), ignore = "WARDHOUSE_TEST_SECURE_KAFKA names no server")]
async fn records_go_through_an_encrypted_cluster() {
    let raw = RawKafka { user: Some(variable("USER")), password: Some(variable("PASSWORD").into()), ca_file: Some(variable("CA").into()), ..raw() };
    let place = tempfile::tempdir().unwrap();
    let settings = at(&with_namespace(&url("SECURE_KAFKA").unwrap(), &own_name(place.path())), &raw);
    let log = KafkaLog::open(&settings, FETCH_BYTES).await.unwrap();
    log.ensure_topics(&specs(&[RISK_SCORES]), 3).await.unwrap();
    log.produce(RISK_SCORES, 1, vec![record("k", "v")]).await.unwrap();
    let mut consumer = log.subscribe("ledger", &[RISK_SCORES]).await.unwrap();
    assert_eq!(taken(&mut *consumer, 1).await[0].value, "v");
    consumer.commit(commit(1, 1)).await.unwrap();
    drop(consumer);
    remove(&settings).await;
}

/// What a stranger may write: no key, no value, bytes of any kind, gzip, times of its own.
fn write_as_a_stranger(settings: &KafkaSettings, topic: &str) {
    let mut config = stranger(settings);
    config.set("compression.type", "gzip").set("linger.ms", "50");
    let producer: BaseProducer = config.create().unwrap();
    let full = settings.named(topic);
    let to = || BaseRecord::<[u8], [u8]>::to(&full).partition(1);
    producer.send(to().key(b"tombstone")).map_err(|(error, _)| error).unwrap();
    producer.send(to().payload(b"{\"not\": json")).map_err(|(error, _)| error).unwrap();
    producer.send(to().key(&[0, 159, 146]).payload(&[255, 0, 10]).timestamp(1_000)).map_err(|(error, _)| error).unwrap();
    producer.send(to().key(b"late").payload(b"x").timestamp(900)).map_err(|(error, _)| error).unwrap();
    producer.flush(LIMIT).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(has_kafka), ignore = "WARDHOUSE_TEST_KAFKA names no server")]
async fn a_stranger_s_records_are_taken_as_they_are() {
    let bench = Bench::new();
    make(&bench.settings, HOSPITAL_TRANSACTIONS, 2, &[("message.timestamp.type", "CreateTime")]).await;
    let log = bench.open(&[HOSPITAL_TRANSACTIONS]).await;
    let settings = bench.settings.clone();
    tokio::task::spawn_blocking(move || write_as_a_stranger(&settings, HOSPITAL_TRANSACTIONS)).await.unwrap();
    let read = log.read(HOSPITAL_TRANSACTIONS, 1, 0, usize::MAX).await.unwrap();
    let found: Vec<(Option<&[u8]>, &[u8])> = read.iter().map(|record| (record.key.as_deref(), &record.value[..])).collect();
    let wanted: [(Option<&[u8]>, &[u8]); 4] = [(Some(b"tombstone"), b""), (None, b"{\"not\": json"), (Some(&[0, 159, 146]), &[255, 0, 10]), (Some(b"late"), b"x")];
    assert_eq!(found, wanted);
    assert!(read.iter().all(|record| record.headers.is_empty()));
    assert_eq!((read[2].append_time, read[3].append_time), (1_000_000, 900_000), "microseconds");
    let mut consumer = log.subscribe("intake", &[HOSPITAL_TRANSACTIONS]).await.unwrap();
    assert_eq!(taken(&mut *consumer, 4).await, read);
    drop(consumer);
    bench.done().await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(has_kafka), ignore = "WARDHOUSE_TEST_KAFKA names no server")]
async fn a_position_that_retention_has_passed_is_told() {
    let bench = Bench::new();
    let log = bench.open(&[RISK_SCORES]).await;
    log.produce(RISK_SCORES, 0, (0..10).map(|number| record(&format!("k{number}"), "v")).collect()).await.unwrap();
    let mut consumer = log.subscribe("ledger", &[RISK_SCORES]).await.unwrap();
    taken(&mut *consumer, 10).await;
    consumer.commit(commit(0, 2)).await.unwrap();
    drop(consumer);
    let mut before = TopicPartitionList::new();
    before.add_partition_offset(&bench.settings.named(RISK_SCORES), 0, Offset::Offset(5)).unwrap();
    admin(&bench.settings).delete_records(&before, &AdminOptions::new()).await.unwrap();
    let told = "risk-scores partition 0: the position 2 is not there (the log holds 5 to 10)";
    let outcome = log.read(RISK_SCORES, 0, 2, 100).await;
    assert!(matches!(&outcome, Err(Reaction::Fatal(said)) if said.contains(told)), "{outcome:?}");
    let mut consumer = log.subscribe("ledger", &[RISK_SCORES]).await.unwrap();
    let deadline = Instant::now() + LIMIT;
    let outcome = loop {
        match consumer.poll(Duration::from_millis(50)).await {
            Ok(Event::Records(fetched)) => panic!("it was reset to {}", fetched.records[0].offset),
            Ok(_) => assert!(Instant::now() < deadline, "nothing was told"),
            Err(reaction) => break reaction,
        }
    };
    assert!(matches!(&outcome, Reaction::Fatal(said) if said.contains(told)), "{outcome:?}");
    drop(consumer);
    bench.done().await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(has_kafka), ignore = "WARDHOUSE_TEST_KAFKA names no server")]
async fn a_member_that_is_stuck_loses_its_partitions_and_cannot_commit() {
    let bench = Bench::with(&RawKafka { max_poll_interval_ms: 6_000, ..raw() });
    let log = bench.open(&[RISK_SCORES]).await;
    for partition in 0..3 {
        log.produce(RISK_SCORES, partition, vec![record("k", "v")]).await.unwrap();
    }
    let mut stuck = log.subscribe("ledger", &[RISK_SCORES]).await.unwrap();
    taken(&mut *stuck, 3).await;
    // It does not come back until the others hold everything.
    let mut other = log.subscribe("ledger", &[RISK_SCORES]).await.unwrap();
    assigned(&mut *other, 3).await;
    other.commit(commit(0, 1)).await.unwrap();
    let late = stuck.commit(commit(0, 0)).await;
    assert!(matches!(late, Err(Reaction::Transient { .. })), "the stage goes on, without what is another's: {late:?}");
    assert!(log.committed("ledger", RISK_SCORES).await.unwrap().contains(&(0, 1, String::new())));
    // It is told, and joins anew. The other one must answer meanwhile, as a living stage does.
    let (mut gone, mut back) = (0, 0);
    let deadline = Instant::now() + LIMIT;
    while gone < 3 || back == 0 {
        assert!(Instant::now() < deadline, "{gone} partitions were told to be gone, {back} came back");
        match stuck.poll(Duration::from_millis(50)).await.unwrap() {
            Event::Revoked { partitions } if gone < 3 => gone += partitions.len(),
            Event::Assigned { partitions, .. } => back += partitions.len(),
            _ => {}
        }
        other.poll(Duration::from_millis(50)).await.unwrap();
    }
    drop((stuck, other));
    bench.done().await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(has_kafka), ignore = "WARDHOUSE_TEST_KAFKA names no server")]
async fn a_named_member_keeps_its_partitions_through_a_restart_and_there_is_one_of_it() {
    let bench = Bench::with(&RawKafka { group_instance_id: "node-1".to_owned(), ..raw() });
    let log = bench.open(&[RISK_SCORES]).await;
    let mut first = log.subscribe("ledger", &[RISK_SCORES]).await.unwrap();
    assigned(&mut *first, 3).await;
    let mut same = log.subscribe("ledger", &[RISK_SCORES]).await.unwrap();
    assigned(&mut *same, 3).await;
    let deadline = Instant::now() + LIMIT;
    let outcome = loop {
        match first.poll(Duration::from_millis(50)).await {
            Ok(_) => assert!(Instant::now() < deadline, "two members have one name"),
            Err(reaction) => break reaction,
        }
    };
    assert!(matches!(&outcome, Reaction::Fatal(said) if said.contains("kafka.group_instance_id")), "{outcome:?}");
    drop(first);
    drop(same);
    let mut again = log.subscribe("ledger", &[RISK_SCORES]).await.unwrap();
    assigned(&mut *again, 3).await;
    drop(again);
    bench.done().await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(has_kafka), ignore = "WARDHOUSE_TEST_KAFKA names no server")]
async fn a_record_that_is_too_large_is_refused_and_harms_no_other() {
    let bench = Bench::with(&RawKafka { record_max_kib: 1_024, ..raw() });
    let log = bench.open(&[HOSPITAL_TRANSACTIONS, DEAD_LETTERS]).await;
    let large = || vec![record("small", "v"), Record::new("large", Bytes::from(vec![7_u8; 1_200 * 1_024]))];
    let outcome = log.produce(HOSPITAL_TRANSACTIONS, 0, large()).await;
    assert!(matches!(&outcome, Err(Reaction::Rejected(said)) if said.contains("max.message.bytes")), "{outcome:?}");
    assert_eq!(log.bounds(HOSPITAL_TRANSACTIONS, 0).await.unwrap().end, 0, "nothing of its call was written");
    assert_eq!(log.produce(HOSPITAL_TRANSACTIONS, 0, vec![record("small", "v")]).await.unwrap(), 0);
    assert_eq!(log.produce(DEAD_LETTERS, 0, large()).await.unwrap(), 0, "what becomes of a record may be larger");
    bench.done().await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(has_kafka), ignore = "WARDHOUSE_TEST_KAFKA names no server")]
async fn a_full_queue_is_waited_for() {
    let bench = Bench::with(&RawKafka { queue_kib: 5_000, compression: "none".to_owned(), ..raw() });
    let log = bench.open(&[RISK_SCORES]).await;
    let value = "x".repeat(4_000);
    let records: Vec<Record> = (0..4_000).map(|number| record(&format!("k{number}"), &value)).collect();
    let calls = (0..3).map(|partition| log.produce(RISK_SCORES, partition, records.clone()));
    assert_eq!(futures::future::join_all(calls).await.into_iter().map(Result::unwrap).collect::<Vec<_>>(), [0, 0, 0]);
    assert_eq!(log.bounds(RISK_SCORES, 2).await.unwrap().end, 4_000);
    bench.done().await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(has_kafka), ignore = "WARDHOUSE_TEST_KAFKA names no server")]
async fn a_stranger_s_record_that_fits_only_compressed_is_a_dead_letter_without_its_value_and_intake_goes_on() {
    const LARGE: usize = 5_000_000;
    let bench = Bench::with(&RawKafka { record_max_kib: 1_024, ..raw() });
    let log = bench.open(&[HOSPITAL_TRANSACTIONS, ACCEPTED_TRANSACTIONS, DEAD_LETTERS]).await;
    let settings = bench.settings.clone();
    let write = move || {
        let mut config = stranger(&settings);
        config.set("compression.type", "gzip").set("message.max.bytes", "20000000");
        let producer: BaseProducer = config.create().unwrap();
        let (full, value) = (settings.named(HOSPITAL_TRANSACTIONS), vec![b'x'; LARGE]);
        producer.send(BaseRecord::<[u8], [u8]>::to(&full).partition(1).key(b"large").payload(&value[..])).map_err(|(error, _)| error).unwrap();
        producer.flush(LIMIT).unwrap();
    };
    tokio::task::spawn_blocking(write).await.unwrap();
    let good = r#"{"transaction_id":"T-1","timestamp":"2026-01-01T00:00:00Z","user_id":"u","account_id":"a","department":"IT","transaction_type":"billing","amount":"1.00"}"#;
    assert_eq!(log.produce(HOSPITAL_TRANSACTIONS, 1, vec![record("T-1", good)]).await.unwrap(), 1, "the stranger's stands before it");

    let intake = IntakeSettings { record_max_bytes: usize::try_from(bench.settings.record_max_bytes).unwrap(), ..IntakeSettings::new(Reading::default(), "test") };
    let stop = CancellationToken::new();
    let running = tokio::spawn(intake::run(log.clone(), intake, Arc::new(Gauges::new(intake::GROUP)), stop.clone()));
    let deadline = Instant::now() + LIMIT;
    loop {
        let mut accepted = 0;
        for partition in 0..3 {
            accepted += log.bounds(ACCEPTED_TRANSACTIONS, partition).await.unwrap().end;
        }
        if accepted == 1 {
            break;
        }
        assert!(!running.is_finished() && Instant::now() < deadline, "intake does not go on behind the large record");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    stop.cancel();
    running.await.unwrap().unwrap();
    let letters = dead_letters::read_all(&*log).await.unwrap();
    assert_eq!(letters.len(), 1);
    let (letter, stored) = (&letters[0].letter, &letters[0].record);
    assert_eq!((letter.error_class.as_str(), letter.origin.to_string().as_str()), ("record:record_too_large", "hospital-transactions/1/0"));
    assert_eq!((stored.value.len(), stored.key.as_deref()), (0, Some(b"large".as_slice())));
    assert_eq!(stored.header(header::VALUE_LEFT_OUT), Some(LARGE.to_string().as_str()));
    bench.done().await;
}
