//! The contract of a log, check by check.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tempfile::TempDir;
use tokio::time::Instant;
use wh_eventlog::embedded::{EmbeddedLog, Settings};
use wh_eventlog::{Assignment, Bounds, Bytes, Commit, Consumer, Event, Log, Record, Stored};
use wh_schemas::Reaction;
use wh_schemas::topics::{self, ACCOUNT_ACTIVITY, DEAD_LETTERS, RISK_SCORES, SYSTEM_EVENTS, TopicSpec};

use super::{Check, LIMIT};
use crate::records::topic;

/// A way to keep topics.
#[async_trait]
pub(super) trait LogAdapter: Send + Sync {
    fn name(&self) -> &'static str;
    /// Opens the log of a place, made when it is not there.
    async fn open(&self, place: &Path) -> Arc<dyn Log>;
    /// Removes what every place of this process left behind.
    async fn sweep(&self);
}

/// The adapter of the embedded default.
pub(super) fn embedded() -> Arc<dyn LogAdapter> {
    Arc::new(Embedded)
}

/// The embedded default.
pub(super) struct Embedded;

#[async_trait]
impl LogAdapter for Embedded {
    fn name(&self) -> &'static str {
        "the log on SQLite"
    }

    async fn open(&self, place: &Path) -> Arc<dyn Log> {
        EmbeddedLog::open(place, Settings::default()).unwrap()
    }

    async fn sweep(&self) {}
}

type Adapter = Arc<dyn LogAdapter>;

/// The suite.
pub(super) const CHECKS: &[Check<Adapter>] = checks![
    what_was_produced_is_there_after_reopening,
    offsets_are_dense_and_records_in_the_order_of_their_batches,
    keys_headers_and_bytes_are_kept,
    topics_and_partitions_are_apart,
    a_group_goes_on_from_what_it_committed,
    a_partition_has_one_holder_in_its_group,
    a_member_reads_from_where_it_seeks,
    a_paused_partition_is_silent_until_it_is_resumed,
    a_member_with_a_pace_lets_records_gather,
    a_position_that_is_not_there_is_an_error_and_no_reset,
    records_of_250_kilobytes_are_kept,
    ten_thousand_small_records_are_read_in_order,
    batches_of_concurrent_producers_stay_whole,
    another_number_of_partitions_is_refused,
    what_does_not_exist_is_told,
    a_log_is_known_from_every_other,
];

/// A log in a place of its own.
struct Bench {
    adapter: Adapter,
    place: TempDir,
}

impl Bench {
    fn new(adapter: Adapter) -> Bench {
        Bench { adapter, place: tempfile::tempdir().unwrap() }
    }

    async fn open(&self) -> Arc<dyn Log> {
        let log = self.adapter.open(self.place.path()).await;
        log.ensure_topics(&specs(), 3).await.unwrap();
        log
    }
}

/// The topics that the checks use.
fn specs() -> Vec<TopicSpec> {
    topics::ALL.into_iter().filter(|spec| [RISK_SCORES, DEAD_LETTERS, SYSTEM_EVENTS].contains(&spec.name)).collect()
}

/// Records whose keys are `k` and a number.
fn numbered(from: u64, count: u64) -> Vec<Record> {
    (from..from + count).map(|number| Record::new(format!("k{number}"), format!("value {number}"))).collect()
}

fn keys(records: &[Stored]) -> Vec<String> {
    records.iter().map(|record| String::from_utf8(record.key.clone().unwrap().to_vec()).unwrap()).collect()
}

fn wanted(numbers: impl IntoIterator<Item = u64>) -> Vec<String> {
    numbers.into_iter().map(|number| format!("k{number}")).collect()
}

/// Bytes that do not compress, the same for the same seed.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let byte = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    (0..length).map(byte).collect()
}

/// Polls until a member that is alone has been assigned `count` partitions; gives the last epoch, and what it was told of each.
async fn assigned(consumer: &mut dyn Consumer, count: usize) -> (u64, Vec<Assignment>) {
    let deadline = Instant::now() + LIMIT / 2;
    let (mut last, mut all) = (0, Vec::new());
    while all.len() < count {
        assert!(Instant::now() < deadline, "{} of {count} partitions were assigned", all.len());
        match consumer.poll(Duration::from_millis(100)).await.unwrap() {
            Event::Assigned { epoch, partitions } => {
                assert!(epoch > last, "each assignment has a higher epoch");
                last = epoch;
                all.extend(partitions);
            }
            Event::Idle => {}
            Event::Revoked { partitions } => panic!("nobody else wants {partitions:?}"),
            Event::Records(fetched) => panic!("records of partition {} came before all partitions were assigned", fetched.partition),
        }
    }
    all.sort_by_key(|assignment| assignment.partition);
    (last, all)
}

/// Polls until `count` records have come.
async fn take(consumer: &mut dyn Consumer, count: usize) -> Vec<(u32, Stored)> {
    let deadline = Instant::now() + LIMIT / 2;
    let mut taken = Vec::new();
    while taken.len() < count {
        assert!(Instant::now() < deadline, "{} of {count} records came", taken.len());
        if let Event::Records(fetched) = consumer.poll(Duration::from_millis(100)).await.unwrap() {
            let partition = fetched.partition;
            taken.extend(fetched.records.into_iter().map(|record| (partition, record)));
        }
    }
    taken
}

async fn what_was_produced_is_there_after_reopening(adapter: Adapter) {
    let bench = Bench::new(adapter);
    for round in 0..3 {
        let log = bench.open().await;
        assert_eq!(log.produce(RISK_SCORES, 1, numbered(round * 10, 10)).await.unwrap(), round * 10);
    }
    let log = bench.open().await;
    assert_eq!(log.bounds(RISK_SCORES, 1).await.unwrap(), Bounds { start: 0, end: 30 });
    assert_eq!(keys(&log.read(RISK_SCORES, 1, 0, usize::MAX).await.unwrap()), wanted(0..30));
}

async fn offsets_are_dense_and_records_in_the_order_of_their_batches(adapter: Adapter) {
    let bench = Bench::new(adapter);
    let log = bench.open().await;
    let mut next = 0;
    for size in [1, 3, 50, 2, 200] {
        assert_eq!(log.produce(RISK_SCORES, 0, numbered(next, size)).await.unwrap(), next, "the offset of a batch's first record");
        next += size;
    }
    let records = topic(&*log, RISK_SCORES).await.swap_remove(0);
    assert_eq!(keys(&records), wanted(0..next));
    assert!(records.iter().map(|record| record.offset).eq(0..next), "offsets are dense");
    assert!(records.is_sorted_by_key(|record| record.append_time) && records[0].append_time > 0, "append times do not go back");
    // A read from the middle of a batch begins there.
    let some = log.read(RISK_SCORES, 0, 30, 1).await.unwrap();
    assert_eq!(some.first().map(|record| record.offset), Some(30));
}

async fn keys_headers_and_bytes_are_kept(adapter: Adapter) {
    let bench = Bench::new(adapter);
    let log = bench.open().await;
    let bare = Record { key: None, value: Bytes::new(), headers: Vec::new() };
    let records = vec![
        bare.clone(),
        Record { key: Some(Bytes::new()), ..bare },
        Record::new("schlüssel", noise(1, 300)).with_header("wh-origin", "a/0/1").with_header("wh-origin", "twice").with_header("", Bytes::new()),
        Record::new(vec![0_u8, 255, 10], "{\"a\":\n1}").with_header("binary", vec![0_u8, 159, 146, 150]),
    ];
    log.produce(DEAD_LETTERS, 2, records.clone()).await.unwrap();
    drop(log);
    let stored = bench.open().await.read(DEAD_LETTERS, 2, 0, usize::MAX).await.unwrap();
    let found: Vec<Record> = stored.iter().map(|s| Record { key: s.key.clone(), value: s.value.clone(), headers: s.headers.clone() }).collect();
    assert_eq!(found, records);
    assert_eq!(stored[2].header("wh-origin"), Some("a/0/1"));
}

async fn topics_and_partitions_are_apart(adapter: Adapter) {
    let bench = Bench::new(adapter);
    let log = bench.open().await;
    for (topic, partition) in [(RISK_SCORES, 0), (RISK_SCORES, 2), (DEAD_LETTERS, 2)] {
        log.produce(topic, partition, vec![Record::new(format!("k{partition}"), topic)]).await.unwrap();
    }
    let records = topic(&*log, RISK_SCORES).await;
    assert_eq!(records.iter().map(Vec::len).collect::<Vec<_>>(), [1, 0, 1]);
    assert_eq!((keys(&records[0]), keys(&records[2])), (wanted([0]), wanted([2])));
    assert_eq!(topic(&*log, DEAD_LETTERS).await[2][0].value, DEAD_LETTERS);
    assert_eq!((log.partitions(RISK_SCORES).await.unwrap(), log.partitions(SYSTEM_EVENTS).await.unwrap()), (3, 1));
}

async fn a_group_goes_on_from_what_it_committed(adapter: Adapter) {
    let bench = Bench::new(adapter);
    let log = bench.open().await;
    for partition in 0..3 {
        log.produce(RISK_SCORES, partition, numbered(0, 20)).await.unwrap();
    }
    let mut consumer = log.subscribe("ledger", &[RISK_SCORES]).await.unwrap();
    let (first, partitions) = assigned(&mut *consumer, 3).await;
    assert_eq!(partitions.iter().map(|assignment| (&*assignment.topic, assignment.partition)).collect::<Vec<_>>(), [(RISK_SCORES, 0), (RISK_SCORES, 1), (RISK_SCORES, 2)]);
    let taken = take(&mut *consumer, 60).await;
    for partition in 0..3 {
        let of_one = taken.iter().filter(|(found, _)| *found == partition).map(|(_, record)| record.offset);
        assert!(of_one.eq(0..20_u64), "each record of a partition once, in order");
    }
    let commit = |partition, next_offset| Commit { topic: RISK_SCORES.into(), partition, next_offset, metadata: format!("note {partition}") };
    consumer.commit(vec![commit(0, 20), commit(2, 13)]).await.unwrap();
    drop(consumer);
    drop(log);
    let log = bench.open().await;
    let told = log.committed("ledger", RISK_SCORES).await.unwrap();
    assert!(told.contains(&(2, 13, "note 2".to_owned())) && told.contains(&(0, 20, "note 0".to_owned())), "{told:?}");
    let mut consumer = log.subscribe("ledger", &[RISK_SCORES]).await.unwrap();
    let (epoch, partitions) = assigned(&mut *consumer, 3).await;
    assert!(epoch > first, "each assignment has a higher epoch, after reopening too");
    let of_two = partitions.iter().find(|assignment| assignment.partition == 2).unwrap();
    assert_eq!(of_two.committed, Some((13, "note 2".to_owned())));
    let mut places: Vec<(u32, u64)> = take(&mut *consumer, 27).await.into_iter().map(|(partition, record)| (partition, record.offset)).collect();
    places.sort_unstable();
    assert_eq!(places, (0..20).map(|offset| (1, offset)).chain((13..20).map(|offset| (2, offset))).collect::<Vec<_>>());
}

async fn a_partition_has_one_holder_in_its_group(adapter: Adapter) {
    let bench = Bench::new(adapter);
    let (one, other) = (bench.open().await, bench.open().await);
    for partition in 0..3 {
        one.produce(RISK_SCORES, partition, numbered(0, 5)).await.unwrap();
    }
    let mut held = one.subscribe("ledger", &[RISK_SCORES]).await.unwrap();
    assigned(&mut *held, 3).await;
    // A log refuses a second member, or lets them share: each partition is one member's then.
    for log in [&one, &other] {
        match log.subscribe("ledger", &[RISK_SCORES]).await {
            Err(refused) => assert!(matches!(&refused, Reaction::Fatal(word) if word.contains("ledger")), "{refused:?}"),
            Ok(second) => members_share(&**log, &mut *held, second).await,
        }
    }
    assert!(other.subscribe("documents", &[RISK_SCORES]).await.is_ok(), "another group is another matter");
    assert!(other.bounds(RISK_SCORES, 0).await.is_ok(), "readers always may");
    drop(held);
    let mut next = other.subscribe("ledger", &[RISK_SCORES]).await.unwrap();
    assert_eq!(assigned(&mut *next, 3).await.1.len(), 3, "what was let go can be taken");
}

/// Notes what a member was told: no partition is given to one before the other has been told that it is gone.
fn told(holders: &mut BTreeMap<u32, &'static str>, member: &'static str, event: Event) {
    match event {
        Event::Assigned { partitions, .. } => {
            for partition in partitions.iter().map(|assignment| assignment.partition) {
                let before = holders.insert(partition, member);
                assert!(before.is_none(), "partition {partition} went to {member} and was still {before:?}'s");
            }
        }
        Event::Revoked { partitions } => {
            for (_, partition) in partitions {
                assert_eq!(holders.remove(&partition), Some(member), "only what is held can be revoked");
            }
        }
        Event::Records(fetched) => assert_eq!(holders.get(&fetched.partition), Some(&member), "records come to the holder"),
        Event::Idle => {}
    }
}

/// A second member joins one that holds every partition, takes some over, and goes again.
async fn members_share(log: &dyn Log, first: &mut dyn Consumer, mut second: Box<dyn Consumer>) {
    const LOOK: Duration = Duration::from_millis(40);
    let deadline = Instant::now() + LIMIT / 2;
    let mut holders: BTreeMap<u32, &'static str> = (0..3).map(|partition| (partition, "the first")).collect();
    let shared = |holders: &BTreeMap<u32, &'static str>| holders.len() == 3 && holders.values().any(|member| *member == "the second");
    while !shared(&holders) {
        assert!(Instant::now() < deadline, "the second member got nothing: {holders:?}");
        told(&mut holders, "the first", first.poll(LOOK).await.unwrap());
        told(&mut holders, "the second", second.poll(LOOK).await.unwrap());
    }
    let moved = *holders.iter().find(|(_, member)| **member == "the second").unwrap().0;
    let commit = |next_offset: u64| vec![Commit { topic: RISK_SCORES.into(), partition: moved, next_offset, metadata: format!("{next_offset}") }];
    second.commit(commit(3)).await.unwrap();
    let late = first.commit(commit(1)).await;
    assert!(late.is_err(), "what is another's cannot be committed");
    let committed = log.committed("ledger", RISK_SCORES).await.unwrap();
    assert!(committed.contains(&(moved, 3, "3".to_owned())), "a late commit changes nothing: {committed:?}");
    drop(second);
    for partition in holders.iter().filter(|(_, member)| **member == "the second").map(|(partition, _)| *partition).collect::<Vec<_>>() {
        holders.remove(&partition);
    }
    let mut back = Vec::new();
    while holders.len() < 3 {
        assert!(Instant::now() < deadline, "what the second member left was taken by nobody: {holders:?}");
        let event = first.poll(LOOK).await.unwrap();
        if let Event::Assigned { partitions, .. } = &event {
            back.extend(partitions.clone());
        }
        told(&mut holders, "the first", event);
    }
    let again = back.iter().rfind(|assignment| assignment.partition == moved).unwrap();
    assert_eq!(again.committed, Some((3, "3".to_owned())), "it goes on from what the other committed");
}

async fn a_member_reads_from_where_it_seeks(adapter: Adapter) {
    let bench = Bench::new(adapter);
    let log = bench.open().await;
    log.produce(RISK_SCORES, 0, numbered(0, 10)).await.unwrap();
    log.produce(RISK_SCORES, 1, numbered(0, 10)).await.unwrap();
    let mut consumer = log.subscribe("ledger", &[RISK_SCORES]).await.unwrap();
    assigned(&mut *consumer, 3).await;
    // As soon as they are told of, before anything is read.
    consumer.seek(RISK_SCORES, 0, 7);
    consumer.seek(RISK_SCORES, 1, 10);
    let offsets = |taken: Vec<(u32, Stored)>| taken.into_iter().map(|(partition, record)| (partition, record.offset)).collect::<Vec<_>>();
    assert_eq!(offsets(take(&mut *consumer, 3).await), [(0, 7), (0, 8), (0, 9)]);
    // Back, where reading has begun.
    consumer.seek(RISK_SCORES, 0, 2);
    assert_eq!(offsets(take(&mut *consumer, 8).await), (2..10).map(|offset| (0, offset)).collect::<Vec<_>>());
    log.produce(RISK_SCORES, 1, numbered(10, 1)).await.unwrap();
    assert_eq!(offsets(take(&mut *consumer, 1).await), [(1, 10)]);
}

async fn a_member_with_a_pace_lets_records_gather(adapter: Adapter) {
    const PACE: Duration = Duration::from_millis(700);
    let bench = Bench::new(adapter);
    let log = bench.open().await;
    let mut consumer = log.subscribe("search", &[RISK_SCORES]).await.unwrap();
    assigned(&mut *consumer, 3).await;
    consumer.set_pace(PACE);
    log.produce(RISK_SCORES, 0, numbered(0, 1)).await.unwrap();
    let asked = loop {
        let asked = Instant::now();
        match consumer.poll(Duration::from_millis(200)).await.unwrap() {
            Event::Records(_) => break asked,
            Event::Idle => {}
            other => panic!("{other:?}"),
        }
    };
    for number in 1..6 {
        log.produce(RISK_SCORES, 0, numbered(number, 1)).await.unwrap();
    }
    assert_eq!(take(&mut *consumer, 5).await.into_iter().map(|(_, record)| record.offset).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    assert!(asked.elapsed() >= PACE, "given after {:?}", asked.elapsed());
}

async fn a_paused_partition_is_silent_until_it_is_resumed(adapter: Adapter) {
    let bench = Bench::new(adapter);
    let log = bench.open().await;
    let mut consumer = log.subscribe("search", &[RISK_SCORES]).await.unwrap();
    assigned(&mut *consumer, 3).await;
    consumer.set_paused(RISK_SCORES, 0, true);
    log.produce(RISK_SCORES, 0, numbered(0, 5)).await.unwrap();
    log.produce(RISK_SCORES, 1, numbered(0, 5)).await.unwrap();
    assert!(take(&mut *consumer, 5).await.iter().all(|(partition, _)| *partition == 1));
    assert_eq!(consumer.poll(Duration::from_millis(60)).await.unwrap(), Event::Idle);
    consumer.set_paused(RISK_SCORES, 0, false);
    assert!(take(&mut *consumer, 5).await.iter().all(|(partition, _)| *partition == 0));
    // Again, where reading has begun: nothing is lost or doubled by it.
    consumer.set_paused(RISK_SCORES, 0, true);
    log.produce(RISK_SCORES, 0, numbered(5, 5)).await.unwrap();
    log.produce(RISK_SCORES, 1, numbered(5, 5)).await.unwrap();
    assert!(take(&mut *consumer, 5).await.iter().all(|(partition, _)| *partition == 1));
    consumer.set_paused(RISK_SCORES, 0, false);
    assert!(take(&mut *consumer, 5).await.iter().map(|(partition, record)| (*partition, record.offset)).eq((5..10).map(|offset| (0, offset))));
}

async fn a_position_that_is_not_there_is_an_error_and_no_reset(adapter: Adapter) {
    let bench = Bench::new(adapter);
    let log = bench.open().await;
    log.produce(RISK_SCORES, 0, numbered(0, 3)).await.unwrap();
    assert!(log.read(RISK_SCORES, 0, 3, 100).await.unwrap().is_empty(), "the end is a position");
    let outcome = log.read(RISK_SCORES, 0, 17, 100).await;
    assert!(matches!(outcome, Err(Reaction::Fatal(_))), "{outcome:?}");
    let mut consumer = log.subscribe("ledger", &[RISK_SCORES]).await.unwrap();
    assigned(&mut *consumer, 3).await;
    consumer.seek(RISK_SCORES, 0, 17);
    let deadline = Instant::now() + LIMIT / 2;
    let outcome = loop {
        match consumer.poll(Duration::from_millis(20)).await {
            Ok(Event::Idle) => assert!(Instant::now() < deadline, "a position that is not there was not told"),
            outcome => break outcome,
        }
    };
    assert!(matches!(outcome, Err(Reaction::Fatal(_))), "{outcome:?}");
}

async fn records_of_250_kilobytes_are_kept(adapter: Adapter) {
    let bench = Bench::new(adapter);
    let log = bench.open().await;
    let large: Vec<Record> = (0..6).map(|seed| Record::new("large", noise(seed, 250 * 1024))).collect();
    log.produce(RISK_SCORES, 0, large[..4].to_vec()).await.unwrap();
    log.produce(RISK_SCORES, 0, large[4..].to_vec()).await.unwrap();
    let found = topic(&*log, RISK_SCORES).await.swap_remove(0);
    assert_eq!(found.len(), 6);
    assert!(found.iter().zip(&large).all(|(found, wanted)| found.value == wanted.value), "every byte");
}

async fn ten_thousand_small_records_are_read_in_order(adapter: Adapter) {
    let bench = Bench::new(adapter);
    let log = bench.open().await;
    for batch in 0..10 {
        log.produce(RISK_SCORES, 0, numbered(batch * 1_000, 1_000)).await.unwrap();
    }
    let (mut found, mut next) = (Vec::new(), 0);
    while next < 10_000 {
        let some = log.read(RISK_SCORES, 0, next, 50_000).await.unwrap();
        next = some.last().unwrap().offset + 1;
        found.extend(some);
    }
    assert_eq!(keys(&found), wanted(0..10_000));
    let mut consumer = log.subscribe("ledger", &[RISK_SCORES]).await.unwrap();
    assert!(take(&mut *consumer, 10_000).await.iter().map(|(_, record)| record.offset).eq(0..10_000_u64));
}

async fn batches_of_concurrent_producers_stay_whole(adapter: Adapter) {
    const PRODUCERS: u64 = 8;
    const BATCHES: u64 = 15;
    let bench = Bench::new(adapter);
    let log = bench.open().await;
    let produce = |producer: u64| {
        let log = Arc::clone(&log);
        async move {
            let mut places = Vec::new();
            for batch in 0..BATCHES {
                let first = (producer * BATCHES + batch) * 10;
                places.push((first, log.produce(RISK_SCORES, 0, numbered(first, 10)).await.unwrap()));
            }
            places
        }
    };
    let places: Vec<(u64, u64)> = futures::future::join_all((0..PRODUCERS).map(produce)).await.concat();
    let records = topic(&*log, RISK_SCORES).await.swap_remove(0);
    assert_eq!(records.len() as u64, PRODUCERS * BATCHES * 10);
    for (first, offset) in places {
        let at = usize::try_from(offset).unwrap();
        assert_eq!(keys(&records[at..at + 10]), wanted(first..first + 10), "a batch stands together where the producer was told");
    }
}

async fn another_number_of_partitions_is_refused(adapter: Adapter) {
    let bench = Bench::new(adapter);
    let log = bench.open().await;
    log.ensure_topics(&specs(), 3).await.unwrap();
    let outcome = log.ensure_topics(&specs(), 5).await;
    assert!(matches!(&outcome, Err(Reaction::Fatal(word)) if word.contains('3') && word.contains('5')), "{outcome:?}");
    assert_eq!(log.partitions(RISK_SCORES).await.unwrap(), 3);
    // A log of an earlier version, which had several partitions of a topic that has one: those that are not used stay.
    let present = *topics::ALL.iter().find(|spec| spec.name == ACCOUNT_ACTIVITY).unwrap();
    log.ensure_topics(&[TopicSpec { single_partition: false, ..present }], 3).await.unwrap();
    log.ensure_topics(&[present], 3).await.unwrap();
    assert_eq!(log.partitions(ACCOUNT_ACTIVITY).await.unwrap(), 3);
    log.produce(ACCOUNT_ACTIVITY, 0, numbered(0, 3)).await.unwrap();
    assert_eq!(log.bounds(ACCOUNT_ACTIVITY, 0).await.unwrap().end, 3);
}

async fn what_does_not_exist_is_told(adapter: Adapter) {
    let bench = Bench::new(adapter);
    let log = bench.open().await;
    let told = [
        log.produce("no-such-topic", 0, numbered(0, 1)).await.err(),
        log.produce(RISK_SCORES, 9, numbered(0, 1)).await.err(),
        log.bounds(RISK_SCORES, 9).await.err(),
        log.read("no-such-topic", 0, 0, 1).await.err(),
        log.partitions("no-such-topic").await.err(),
        log.subscribe("ledger", &["no-such-topic"]).await.err(),
    ];
    for outcome in told {
        assert!(matches!(outcome, Some(Reaction::Fatal(_))), "{outcome:?}");
    }
}

async fn a_log_is_known_from_every_other(adapter: Adapter) {
    let (one, other) = (Bench::new(Arc::clone(&adapter)), Bench::new(adapter));
    let identity = one.open().await.identity().await.unwrap();
    assert!(!identity.is_empty());
    assert_eq!(one.open().await.identity().await.unwrap(), identity, "it is the same after reopening");
    assert_ne!(other.open().await.identity().await.unwrap(), identity);
}
