//! The log on a Kafka cluster: bad input told with what to do, strangers' records taken as they are, members that come, go and get
//! stuck, and SQL that answers as over the embedded log.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::admin::AdminOptions;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::{Offset, TopicPartitionList};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use wh_eventlog::embedded::{EmbeddedLog, Settings};
use wh_eventlog::kafka::{KafkaLog, checks};
use wh_eventlog::{Bytes, Commit, Consumer, Event, Log, Producer, Reader, Record, Stored};
use wh_schemas::Reaction;
use wh_schemas::topics::{self, ACCEPTED_TRANSACTIONS, DEAD_LETTERS, HOSPITAL_TRANSACTIONS, RISK_SCORES, TopicSpec};
use wh_stores::kafka::{KafkaSettings, RawKafka};
use wh_stores::places::LogPlace;
use wh_stores::{Durability, Finding, Level, ServerUrl};

use crate::contract::servers::kafka::{FETCH_BYTES, admin, at, make, raw, remove, settings, stranger, with_namespace};
use crate::contract::servers::{own_name, url};
use crate::sql::{engine, engine_with, rows};

/// How long a condition may take to come true.
const LIMIT: Duration = Duration::from_secs(60);

/// A namespace of its own on the test server.
struct Bench {
    place: tempfile::TempDir,
    settings: KafkaSettings,
}

impl Bench {
    fn new() -> Bench {
        Bench::with(&raw())
    }

    fn with(raw: &RawKafka) -> Bench {
        let place = tempfile::tempdir().unwrap();
        let settings = settings(&own_name(place.path()), raw);
        Bench { place, settings }
    }

    /// Opens the log with the topics that are named.
    async fn open(&self, names: &[&str]) -> Arc<KafkaLog> {
        let log = KafkaLog::open(&self.settings, FETCH_BYTES).await.unwrap();
        log.ensure_topics(&specs(names), 3).await.unwrap();
        log
    }

    async fn done(self) {
        remove(&self.settings).await;
    }
}

fn specs(names: &[&str]) -> Vec<TopicSpec> {
    topics::ALL.into_iter().filter(|spec| names.contains(&spec.name)).collect()
}

fn record(key: &str, value: &str) -> Record {
    Record::new(key.to_owned(), value.to_owned())
}

fn hasty() -> RawKafka {
    RawKafka { connect_timeout_ms: 2_500, ..raw() }
}

async fn refused(settings: &KafkaSettings) -> (&'static str, String) {
    let Err(reaction) = KafkaLog::open(settings, FETCH_BYTES).await else { panic!("{settings} was opened") };
    (reaction.class(), reaction.to_string())
}

async fn is_fatal(settings: &KafkaSettings, part: &str) {
    let (class, message) = refused(settings).await;
    assert!(class == "fatal" && message.contains(part), "{part:?} is not in the {class} message: {message}");
}

fn variable(name: &str) -> String {
    std::env::var(format!("WARDHOUSE_TEST_SECURE_{name}")).unwrap()
}

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

#[tokio::test]
#[cfg_attr(not(has_kafka), ignore = "WARDHOUSE_TEST_KAFKA names no server")]
async fn brokers_that_are_not_there_may_come() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let settings = at(&format!("kafka://u:s3cret@{nobody}"), &hasty());
    let (class, message) = refused(&settings).await;
    assert!(class == "transient" && message.contains("cannot be reached") && message.contains("Connection refused") && !message.contains("s3cret"), "{class}: {message}");
    let findings = checks::examine(&settings).await;
    assert_eq!(findings.iter().map(|finding| (finding.subject, finding.level)).collect::<Vec<_>>(), [("server", Level::Fault)]);
}

/// Gives the same answer to everything that is said, or ends the connection where there is none.
async fn somebody(answer: &'static [u8]) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut said = [0; 4_096];
            if stream.read(&mut said).await.is_ok_and(|count| count > 0) && !answer.is_empty() {
                drop(stream.write_all(answer).await);
            }
        }
    });
    (address, task)
}

#[tokio::test]
#[cfg_attr(not(has_kafka), ignore = "WARDHOUSE_TEST_KAFKA names no server")]
async fn a_server_of_another_kind_is_told() {
    let (web, task) = somebody(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n").await;
    is_fatal(&at(&format!("kafka://{web}"), &hasty()), "this is no Kafka broker: check host and port in stores.log").await;
    task.abort();
    let (silent, task) = somebody(b"").await;
    is_fatal(&at(&format!("kafka://{silent}"), &hasty()), "does not answer as Kafka does").await;
    task.abort();
}

#[tokio::test]
#[cfg_attr(not(has_kafka), ignore = "WARDHOUSE_TEST_KAFKA names no server")]
async fn encryption_where_the_brokers_have_none_is_told() {
    let server = url("KAFKA").unwrap();
    if server.contains("tls=true") {
        return;
    }
    let raw = RawKafka { tls: true, ..hasty() };
    is_fatal(&at(&with_namespace(&server, "whtest-none"), &raw), "do not speak TLS there: remove tls").await;
    is_fatal(&at(&server, &RawKafka { ca_file: Some("no-such-file.pem".into()), ..raw }), "kafka.ca_file").await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(has_secure_kafka), ignore = "WARDHOUSE_TEST_SECURE_KAFKA names no server")]
async fn an_encrypted_cluster_is_reached_as_its_settings_say_only() {
    let server = url("SECURE_KAFKA").unwrap();
    let raw = || RawKafka { user: Some(variable("USER")), password: Some(variable("PASSWORD").into()), ca_file: Some(variable("CA").into()), ..hasty() };
    let findings = checks::examine(&at(&server, &raw())).await;
    assert!(findings.iter().any(|finding| finding.subject == "tls" && finding.level == Level::Fine && finding.found.contains("scram-sha-512")), "{findings:?}");
    for mechanism in ["scram-sha-256", "plain"] {
        drop(KafkaLog::open(&at(&server, &RawKafka { mechanism: mechanism.to_owned(), ..raw() }), FETCH_BYTES).await.unwrap());
    }
    is_fatal(&at(&server, &RawKafka { password: Some("s3cret-of-mine".to_owned().into()), ..raw() }), "check kafka.user, kafka.password").await;
    is_fatal(&at(&server, &RawKafka { user: None, password: None, ..raw() }), "set kafka.user and kafka.password if they ask for them").await;
    is_fatal(&at(&server, &RawKafka { ca_file: None, ..raw() }), "kafka.ca_file").await;
    let plain = server.replace("tls=true", "tls=false");
    is_fatal(&at(&plain, &RawKafka { ca_file: None, ..raw() }), "add ?tls=true to stores.log").await;
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

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(has_kafka), ignore = "WARDHOUSE_TEST_KAFKA names no server")]
async fn a_topic_of_ours_has_the_partitions_that_were_asked_for_and_a_hospital_s_own_may_have_any() {
    let bench = Bench::new();
    make(&bench.settings, HOSPITAL_TRANSACTIONS, 5, &[]).await;
    let log = bench.open(&[HOSPITAL_TRANSACTIONS]).await;
    assert_eq!(log.partitions(HOSPITAL_TRANSACTIONS).await.unwrap(), 5);
    make(&bench.settings, RISK_SCORES, 5, &[]).await;
    let outcome = log.ensure_topics(&specs(&[HOSPITAL_TRANSACTIONS, ACCEPTED_TRANSACTIONS, RISK_SCORES]), 3).await;
    let told = "has 5 partitions, the settings ask for 3: users would move to other partitions and their baselines with them; set log.partitions = 5, or use another namespace";
    assert!(matches!(&outcome, Err(Reaction::Fatal(said)) if said.contains(told)), "{outcome:?}");
    let outcome = log.partitions(ACCEPTED_TRANSACTIONS).await;
    assert!(matches!(outcome, Err(Reaction::Fatal(_))), "nothing was made beside it: {outcome:?}");
    bench.done().await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(has_kafka), ignore = "WARDHOUSE_TEST_KAFKA names no server")]
async fn topics_are_made_once_by_whoever_comes() {
    let bench = Bench::new();
    let names = [RISK_SCORES, DEAD_LETTERS, ACCEPTED_TRANSACTIONS];
    futures::future::join_all((0..4).map(|_| bench.open(&names))).await;
    let log = bench.open(&names).await;
    assert!(log.migrate(&specs(&names), 3).await.unwrap().is_empty());
    assert_eq!(log.migrate(&specs(&[topics::SCORER_STATE]), 3).await.unwrap().len(), 1, "what is made is said");
    bench.done().await;
}

async fn finding(settings: &KafkaSettings, part: &str) -> Finding {
    let findings = checks::examine(settings).await;
    let found = findings.iter().find(|finding| finding.found.contains(part)).cloned();
    found.unwrap_or_else(|| panic!("{part:?} is in none of {findings:?}"))
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(has_kafka), ignore = "WARDHOUSE_TEST_KAFKA names no server")]
async fn topics_that_lose_records_are_refused_and_others_told() {
    let bench = Bench::new();
    assert!(finding(&bench.settings, "not there yet").await.remedy.contains("wardhouse migrate"));
    make(&bench.settings, RISK_SCORES, 3, &[("cleanup.policy", "compact")]).await;
    let log = KafkaLog::open(&bench.settings, FETCH_BYTES).await.unwrap();
    let outcome = log.ensure_topics(&specs(&[RISK_SCORES]), 3).await;
    assert!(matches!(&outcome, Err(Reaction::Fatal(said)) if said.contains("risk-scores: only the last record of each key is kept")), "{outcome:?}");
    assert_eq!(finding(&bench.settings, "only the last record of each key").await.level, Level::Fault);
    make(&bench.settings, HOSPITAL_TRANSACTIONS, 2, &[("message.timestamp.type", "CreateTime"), ("retention.ms", "3600000"), ("max.message.bytes", "9000000")]).await;
    log.ensure_topics(&specs(&[HOSPITAL_TRANSACTIONS, DEAD_LETTERS]), 3).await.unwrap();
    for part in ["producers' time", "kept 1 h, expected 168 h", "less than hospital-transactions takes"] {
        assert_eq!(finding(&bench.settings, part).await.level, Level::Warning, "{part}");
    }
    bench.done().await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(has_kafka), ignore = "WARDHOUSE_TEST_KAFKA names no server")]
async fn strict_durability_wants_a_second_copy_or_a_flush() {
    for (flush_messages, starts) in [(0, false), (1, true)] {
        let place = tempfile::tempdir().unwrap();
        let single = RawKafka { replication: 1, min_insync_replicas: 1, flush_messages, ..raw() };
        let server = with_namespace(&url("KAFKA").unwrap(), &own_name(place.path()));
        let settings = KafkaSettings::try_new(&ServerUrl::parse(&server).unwrap(), &single, Durability::Strict).unwrap();
        let log = KafkaLog::open(&settings, FETCH_BYTES).await.unwrap();
        let outcome = log.ensure_topics(&specs(&[RISK_SCORES]), 3).await;
        match outcome {
            Ok(()) => assert!(starts),
            Err(reaction) => assert!(!starts && reaction.class() == "fatal" && reaction.to_string().contains("one copy of each record"), "{reaction}"),
        }
        remove(&settings).await;
    }
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

/// The same records in both logs; what SQL shows of them but their append times.
async fn fill(log: &dyn Log) {
    for partition in 0..3_u32 {
        for batch in 0..4 {
            let number = |at: u32| partition * 1_000 + batch * 25 + at;
            let one = |at: u32| {
                record(&format!("k{}", number(at)), &format!("{{\"n\":{}}}", number(at))).with_header("wh-origin", format!("a/{at}")).with_header("odd", vec![255_u8, 34])
            };
            log.produce(DEAD_LETTERS, partition, (0..25).map(one).collect()).await.unwrap();
        }
    }
    log.produce(DEAD_LETTERS, 1, vec![Record { key: None, value: Bytes::from_static(&[0, 159, 146]), headers: Vec::new() }]).await.unwrap();
}

async fn embedded(place: &Path) -> Arc<EmbeddedLog> {
    let log = EmbeddedLog::open(&place.join("log"), Settings::default()).unwrap();
    log.ensure_topics(&topics::ALL, 3).await.unwrap();
    log
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(has_kafka), ignore = "WARDHOUSE_TEST_KAFKA names no server")]
async fn sql_answers_as_over_the_embedded_log() {
    let bench = Bench::new();
    let log = bench.open(&[DEAD_LETTERS]).await;
    fill(&*log).await;
    fill(&*embedded(bench.place.path()).await).await;
    let here = engine(bench.place.path());
    let there = engine_with(bench.place.path(), |places| places.log = LogPlace::Kafka(bench.settings.clone()));
    let columns = "partition, \"offset\", key, value, headers";
    for condition in [
        "true",
        "partition = 1",
        "partition IN (0, 2) AND \"offset\" BETWEEN 10 AND 80",
        "\"offset\" >= 95",
        "NOT (partition = 1) AND \"offset\" <> 3",
        "partition = 7",
        "\"offset\" > 10 AND \"offset\" < 5",
        "key IS NULL",
        "key = 'k1007'",
        "append_time > '2020-01-01' AND partition = 2",
        "append_time > '2200-01-01'",
    ] {
        let sql = format!("SELECT {columns} FROM log.dead_letters WHERE {condition} ORDER BY partition, \"offset\"");
        let (wanted, found) = (rows(&here, &sql).await, rows(&there, &sql).await);
        assert_eq!(found, wanted, "{condition}");
    }
    assert_eq!(rows(&there, "SELECT count(*) FROM log.dead_letters").await, [["301"]]);
    assert_eq!(rows(&there, "SELECT count(*) FROM (SELECT * FROM log.dead_letters LIMIT 7) AS some").await, [["7"]]);
    assert_eq!(rows(&there, "SELECT count(*) FROM log.risk_scores").await, [["0"]], "a topic that is not there yet is empty");
    let store = rows(&there, "SELECT kind, reachable FROM system.stores WHERE role = 'log'").await;
    assert_eq!(store, [["kafka", "true"]]);
    bench.done().await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(has_kafka), ignore = "WARDHOUSE_TEST_KAFKA names no server")]
async fn sql_over_brokers_that_are_away_says_so() {
    let place = tempfile::tempdir().unwrap();
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let away = at(&format!("kafka://{nobody}"), &RawKafka { connect_timeout_ms: 1_000, ..raw() });
    let engine = engine_with(place.path(), |places| places.log = LogPlace::Kafka(away));
    let Err(error) = engine.query("SELECT * FROM log.risk_scores").await else { panic!("nobody answers") };
    assert!(error.to_string().contains("cannot be reached") && error.to_string().contains("once the brokers answer"), "{error}");
    assert_eq!(rows(&engine, "SELECT reachable FROM system.stores WHERE role = 'log'").await, [["false"]]);
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(has_kafka), ignore = "WARDHOUSE_TEST_KAFKA names no server")]
async fn a_look_at_the_cluster_finds_what_there_is() {
    let bench = Bench::new();
    drop(bench.open(&[RISK_SCORES, topics::SYSTEM_EVENTS]).await);
    let findings = checks::examine(&bench.settings).await;
    for subject in ["server", "tls", "version", "groups", "topics", "clock", "durability"] {
        assert!(findings.iter().any(|finding| finding.subject == subject && finding.level < Level::Fault), "{subject}: {findings:?}");
    }
    bench.done().await;
}
