//! The log on Kafka. Raw: Kafka's own performance tools with the same acknowledgements, idempotence, compression and sizes, as processes
//! of their own (`tests/stack` keeps them beside the broker), with payloads of the same bytes.
//!
//! The tools' rates are what they tell: their start is left out, their warming up is not, so they produce at least 300,000 records.

use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use wh_bench::raw::corpus::FETCH_BYTES;
use wh_bench::raw::{Corpus, own_name};
use wh_eventlog::kafka::KafkaLog;
use wh_eventlog::{Event, Log, Producer, Record};
use wh_schemas::topics::{self, ACCEPTED_TRANSACTIONS, HOSPITAL_TRANSACTIONS, RISK_SCORES};
use wh_stores::kafka::{KafkaSettings, RawKafka};
use wh_stores::{Durability, ServerUrl};

use crate::{Contest, Measured, Meter, folder};

const SERVER: &str = "kafka";
/// Records of one call.
const CALL: usize = 500;
const PARTITIONS: u32 = 3;
/// Records that the producing tool sends at least, to be warm most of the time.
const WARM: usize = 300_000;
/// Lines of the file that the producing tool picks its payloads from.
const PAYLOADS: usize = 20_000;

/// Kafka's own tools.
struct Tools {
    java: String,
    libs: String,
    brokers: String,
}

impl Tools {
    /// Where `tests/stack` has them.
    fn find(brokers: &str) -> Option<Tools> {
        let script = r#"variant=plain; . stack.d/lib.sh; . stack.d/kafka.sh; find_java 17; echo "$kafka_home/libs""#;
        let told = Command::new("bash").args(["-c", script]).current_dir(folder()).output().ok()?;
        let told = String::from_utf8(told.stdout).ok()?;
        let mut lines = told.lines();
        let (java, libs) = (lines.next()?.to_owned(), lines.next()?.to_owned());
        Path::new(&libs).is_dir().then(|| Tools { java, libs, brokers: brokers.to_owned() })
    }

    /// What a tool prints.
    fn run(&self, class: &str, arguments: &[&str]) -> String {
        let class_path = format!("{}/*", self.libs);
        let output = Command::new(&self.java).args(["-Xmx512m", "-cp", class_path.as_str(), class]).args(arguments).output().unwrap();
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            eprintln!("kafka: {class}: {told}{}", String::from_utf8_lossy(&output.stderr));
        }
        told
    }

    /// Records a second.
    fn produce(&self, topic: &str, records: usize, payloads: &str, settings: &KafkaSettings) -> f64 {
        let properties = [
            format!("bootstrap.servers={}", self.brokers),
            "acks=all".to_owned(),
            "enable.idempotence=true".to_owned(),
            format!("compression.type={}", settings.compression.as_str()),
            format!("linger.ms={}", settings.linger.as_millis()),
            format!("batch.size={}", settings.batch_bytes),
        ];
        let records = records.to_string();
        let mut arguments = vec!["--topic", topic, "--num-records", records.as_str(), "--throughput", "-1", "--payload-file", payloads, "--producer-props"];
        arguments.extend(properties.iter().map(String::as_str));
        let told = self.run("org.apache.kafka.tools.ProducerPerformance", &arguments);
        // 100000 records sent, 89123.4 records/sec (40.31 MB/sec), …: the last such line is of all of them.
        let line = told.lines().rfind(|line| line.contains("records/sec")).unwrap_or_else(|| panic!("the producing tool says no rate: {told}"));
        line.split(',').nth(1).and_then(|rate| rate.split_whitespace().next()?.parse().ok()).unwrap_or_else(|| panic!("no rate: {line}"))
    }

    /// Records a second, without the time that joining the group took.
    fn consume(&self, topic: &str, records: usize, group: &str) -> f64 {
        let records = records.to_string();
        let brokers = self.brokers.as_str();
        let arguments = ["--bootstrap-server", brokers, "--topic", topic, "--messages", records.as_str(), "--group", group, "--timeout", "60000", "--hide-header"];
        let told = self.run("org.apache.kafka.tools.ConsumerPerformance", &arguments);
        // start, end, MB, MB/s, records, records/s, ms of rebalance, ms of fetching, MB/s of fetching, records/s of fetching
        let line = told.lines().rfind(|line| line.split(',').count() == 10).unwrap_or_else(|| panic!("the consuming tool says no rate: {told}"));
        line.rsplit(',').next().and_then(|rate| rate.trim().parse().ok()).unwrap_or_else(|| panic!("no rate: {line}"))
    }

    /// Removes groups, and topics whose names begin so.
    fn remove(&self, groups: &[String], prefix: &str) {
        let (brokers, topics) = (self.brokers.as_str(), format!("{prefix}-.*"));
        let mut arguments = vec!["--bootstrap-server", brokers, "--delete"];
        for group in groups {
            arguments.extend(["--group", group.as_str()]);
        }
        self.run("org.apache.kafka.tools.consumer.group.ConsumerGroupCommand", &arguments);
        self.run("org.apache.kafka.tools.TopicCommand", &["--bootstrap-server", brokers, "--delete", "--topic", topics.as_str()]);
    }
}

/// A file with what the records hold, one a line: value, key and headers.
fn payloads(records: &[Record]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let mut text = Vec::new();
    for record in records.iter().take(PAYLOADS) {
        text.extend_from_slice(&record.value);
        text.extend(record.key.iter().flatten());
        for (name, value) in &record.headers {
            text.extend_from_slice(name.as_bytes());
            text.extend_from_slice(value);
        }
        text.push(b'\n');
    }
    file.write_all(&text).unwrap();
    file
}

/// Calls for each partition, all partitions at a time as intake does. Gives what it took.
async fn produce(log: &KafkaLog, topic: &str, records: &[Record]) -> Measured {
    let mut lanes: Vec<Vec<Vec<Record>>> = vec![Vec::new(); PARTITIONS as usize];
    for (number, call) in records.chunks(CALL).enumerate() {
        lanes[number % PARTITIONS as usize].push(call.to_vec());
    }
    let meter = Meter::start(SERVER);
    join_all(lanes.into_iter().zip(0..).map(|(calls, partition)| async move {
        for call in calls {
            log.produce(topic, partition, call).await.unwrap();
        }
    }))
    .await;
    meter.stop(records.len())
}

/// Reads a topic whole as a new group.
async fn consume(log: &KafkaLog, topic: &str, records: usize, group: &str) -> Measured {
    let mut consumer = log.subscribe(group, &[topic]).await.unwrap();
    let (mut meter, mut read) = (None, 0);
    while read < records {
        match consumer.poll(Duration::from_secs(1)).await.unwrap() {
            // Reading begins when the next event is asked for.
            Event::Assigned { .. } => meter = Some(meter.unwrap_or_else(|| Meter::start(SERVER))),
            Event::Records(fetched) => read += fetched.records.len(),
            Event::Revoked { .. } | Event::Idle => {}
        }
    }
    meter.unwrap().stop(records)
}

pub(crate) async fn contests(url: &str, corpus: &Corpus, rounds: usize) -> Vec<Contest> {
    let sign = if url.contains('?') { '&' } else { '?' };
    let url = ServerUrl::parse(&format!("{url}{sign}namespace={}", own_name())).unwrap();
    let settings = KafkaSettings::try_new(&url, &RawKafka::default(), Durability::Warn).unwrap();
    let Some(tools) = Tools::find(&settings.brokers).filter(|_| settings.tls.is_none() && settings.user.is_none()) else {
        println!("kafka: left out, its own tools are not in the cache of tests/stack, or it wants a password");
        return Vec::new();
    };
    let log: Arc<KafkaLog> = KafkaLog::open(&settings, FETCH_BYTES).await.unwrap();
    log.ensure_topics(&topics::ALL, PARTITIONS).await.unwrap();
    let file = payloads(&corpus.accepted);
    let payloads = file.path().to_str().unwrap();
    let mut producing = Contest::new("kafka-produce", "records", &["log, calls of 500", "raw: kafka-producer-perf-test"], &[]);
    let mut consuming = Contest::new("kafka-consume", "records", &["log", "raw: kafka-consumer-perf-test"], &[]);
    // What is read: a topic of its own, written once.
    produce(&log, RISK_SCORES, &corpus.accepted).await;
    let (raw_records, mut groups) = (corpus.rows.max(WARM), Vec::new());
    for round in 0..rounds {
        for way in producing.order(round) {
            let measured = if way == 0 {
                produce(&log, ACCEPTED_TRANSACTIONS, &corpus.accepted).await
            } else {
                let meter = Meter::start(SERVER);
                let rate = tools.produce(&settings.named(HOSPITAL_TRANSACTIONS), raw_records, payloads, &settings);
                meter.told(raw_records, rate)
            };
            producing.add(way, measured);
        }
        for way in consuming.order(round) {
            let group = format!("bench-{round}-{way}");
            groups.push(settings.named(&group));
            let measured = if way == 0 {
                consume(&log, RISK_SCORES, corpus.rows, &group).await
            } else {
                let meter = Meter::start(SERVER);
                let rate = tools.consume(&settings.named(RISK_SCORES), corpus.rows, &settings.named(&group));
                meter.told(corpus.rows, rate)
            };
            consuming.add(way, measured);
        }
    }
    drop(log);
    tools.remove(&groups, settings.namespace.as_deref().unwrap());
    let (rows, compression) = (corpus.rows, settings.compression.as_str());
    producing.notes.push(format!("kafka: {rows} records ({raw_records} of the producing tool), {PARTITIONS} partitions, {compression}"));
    vec![producing, consuming]
}
