//! The plain bulk write into a topic: what the brokers take from a producer that does nothing else, for whoever measures.
//!
//! What must stay true: acknowledgements, idempotence, compression and batches are those of the pipeline's own producer.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, PurgeConfig, ThreadedProducer};
use rdkafka::{ClientContext, Statistics};
use wh_schemas::Reaction;
use wh_schemas::topics::TopicSpec;
use wh_stores::kafka::KafkaSettings;

use super::connect::{self, Cluster};
use super::events::ClientEvents;
use super::{errors, records, topics, writer};
use crate::Record;

/// How long the brokers may take for what was handed over.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a full queue is left alone.
const ROOM: Duration = Duration::from_millis(1);

/// Keeps the first failure of a record.
struct Acknowledgements {
    events: ClientEvents,
    failed: Mutex<Option<Code>>,
}

impl ClientContext for Acknowledgements {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        self.events.log(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.events.error(error, reason);
    }

    fn stats(&self, statistics: Statistics) {
        self.events.stats(statistics);
    }
}

impl ProducerContext for Acknowledgements {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            let code = errors::code_of(error).unwrap_or(Code::Fail);
            self.failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(code);
        }
    }
}

/// A topic and the producer that writes nothing else.
pub struct Bulk {
    cluster: Arc<Cluster>,
    producer: ThreadedProducer<Acknowledgements>,
    spec: TopicSpec,
}

impl Bulk {
    /// Connects. Nothing is made by it.
    ///
    /// # Errors
    /// As [`super::KafkaLog::open`].
    pub async fn open(settings: &KafkaSettings, spec: TopicSpec) -> Result<Bulk, Reaction> {
        let cluster = connect::connect(settings).await?;
        let context = Acknowledgements { events: ClientEvents::new("bulk", Arc::clone(&cluster.trouble)), failed: Mutex::default() };
        let mut config = writer::config(settings)?;
        // A gap ends nothing here: the failure is told.
        config.set("enable.gapless.guarantee", "false");
        let producer = config.create_with_context(context).map_err(|error| connect::not_made(settings, &error))?;
        Ok(Bulk { cluster, producer, spec })
    }

    /// Makes the topic.
    ///
    /// # Errors
    /// As [`super::KafkaLog::migrate`].
    pub async fn make(&self, partitions: u32) -> Result<(), Reaction> {
        topics::ensure(&self.cluster, &[self.spec], partitions).await.map(drop)
    }

    /// Appends records, by turns to each partition, and returns when all are acknowledged. Dropped meanwhile, it goes on to its end.
    ///
    /// # Errors
    /// Where a record is not written within a minute, or never.
    pub async fn write(&self, records: Vec<Record>) -> Result<(), Reaction> {
        let (producer, topic) = (self.producer.clone(), self.cluster.settings.named(self.spec.name));
        let partitions = i32::try_from(self.cluster.partitions(self.spec.name).await?).unwrap_or(i32::MAX).max(1);
        let written = tokio::task::spawn_blocking(move || hand_over(&producer, &topic, partitions, &records)).await;
        let what = format!("writing into {}", self.spec.name);
        written.map_err(|error| Reaction::fatal(format!("{}: {what}: {error}", self.cluster)))?.map_err(|error| self.cluster.reaction(&what, &error))?;
        match *self.producer.context().failed.lock().unwrap_or_else(PoisonError::into_inner) {
            None => Ok(()),
            Some(code) => Err(errors::of_code(&format!("{}: {what}", self.cluster), code)),
        }
    }
}

/// Hands records over as fast as the queue takes them, and waits until none is under way.
fn hand_over(producer: &ThreadedProducer<Acknowledgements>, topic: &str, partitions: i32, records: &[Record]) -> Result<(), KafkaError> {
    let deadline = Instant::now() + PATIENCE;
    for (record, partition) in records.iter().zip((0..partitions).cycle()) {
        while let Err(error) = send(producer, topic, partition, record) {
            if errors::code_of(&error) != Some(Code::QueueFull) || Instant::now() > deadline {
                producer.purge(PurgeConfig::default().queue().inflight());
                return Err(error);
            }
            std::thread::sleep(ROOM);
        }
    }
    let flushed = producer.flush(PATIENCE);
    if flushed.is_err() {
        producer.purge(PurgeConfig::default().queue().inflight());
    }
    flushed
}

fn send(producer: &ThreadedProducer<Acknowledgements>, topic: &str, partition: i32, record: &Record) -> Result<(), KafkaError> {
    let mut message: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(topic).partition(partition).payload(&record.value[..]);
    if let Some(key) = &record.key {
        message = message.key(&key[..]);
    }
    if let Some(headers) = records::written(&record.headers) {
        message = message.headers(headers);
    }
    producer.send(message).map_err(|(error, _)| error)
}
