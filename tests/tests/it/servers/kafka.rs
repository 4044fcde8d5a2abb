//! The log on a Kafka cluster: bad input told with what to do, the topics, and in `delivery` and `reading` what is written and read.

mod delivery;
mod reading;

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use wh_eventlog::kafka::{KafkaLog, checks};
use wh_eventlog::{Log, Reader, Record};
use wh_schemas::Reaction;
use wh_schemas::topics::{self, ACCEPTED_TRANSACTIONS, DEAD_LETTERS, HOSPITAL_TRANSACTIONS, RISK_SCORES, TopicSpec};
use wh_stores::kafka::{KafkaSettings, RawKafka};
use wh_stores::{Durability, Finding, Level, ServerUrl};

use crate::contract::servers::kafka::{FETCH_BYTES, at, make, raw, remove, settings, with_namespace};
use crate::contract::servers::{own_name, url};

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
