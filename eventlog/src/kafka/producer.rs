//! The writing half: one idempotent producer a process.
//!
//! What must stay true: a produce returns only after every record of it is acknowledged by all in-sync copies; records of one call
//! are handed over without another call's between them, in order; what fails for good is fatal, since a gap may be behind it.
//!
//! A record waits for the brokers without end (`message.timeout.ms` is 0): one that were given up could still be written by a
//! request on its way, and the caller, who tries transient failures again, would write it twice. Whoever waits is told every ten
//! seconds why; a caller that wants to stop drops the call, and what was handed over by then may or may not come to stand in the
//! log, as after a kill.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};
use rdkafka::{ClientConfig, ClientContext, Message, Statistics};
use tokio::sync::Notify;
use wh_schemas::Reaction;
use wh_schemas::topics::HOSPITAL_TRANSACTIONS;
use wh_stores::kafka::KafkaSettings;

use super::connect::{self, Cluster};
use super::events::ClientEvents;
use super::{errors, records};
use crate::{Offset, Record};

/// How often whoever waits is told why.
const TELL: Duration = Duration::from_secs(10);
/// How long a call waits for room in the producer's queue before it looks again.
const ROOM: Duration = Duration::from_millis(2);
/// Records that are handed over before other tasks get their turn.
const TURN: usize = 256;
/// How many times as large as a source's record what becomes of it may be: its scored form holds it, its alerts hold it again.
pub(super) const GROWTH: u64 = 4;
/// Framing of a batch that holds nothing but the largest record.
const FRAME_BYTES: u64 = 64 * 1_024;

/// Largest record that the client sends, whatever topics admit.
pub(super) fn largest(settings: &KafkaSettings) -> u64 {
    settings.record_max_bytes.saturating_mul(GROWTH)
}

/// What the producer is told.
pub(super) fn config(settings: &KafkaSettings) -> Result<ClientConfig, Reaction> {
    let mut config = connect::base(settings)?;
    config
        .set("enable.idempotence", "true")
        .set("enable.gapless.guarantee", "true")
        .set("acks", "all")
        .set("message.timeout.ms", "0")
        .set("compression.type", settings.compression.as_str())
        .set("linger.ms", settings.linger.as_millis().to_string())
        .set("batch.size", settings.batch_bytes.to_string())
        // The client allocates up to this for a batch, so it is no larger than it must be.
        .set("message.max.bytes", (largest(settings) + FRAME_BYTES).to_string())
        .set("queue.buffering.max.messages", "0")
        .set("queue.buffering.max.kbytes", settings.queue_kib.to_string());
    Ok(config)
}

/// One call on its way.
#[derive(Debug)]
struct Call {
    /// Lowest offset that was acknowledged.
    first: AtomicI64,
    /// Records that are not acknowledged yet.
    left: AtomicUsize,
    failed: Mutex<Option<Code>>,
    done: Notify,
}

impl Call {
    fn new(records: usize) -> Call {
        Call { first: AtomicI64::new(i64::MAX), left: AtomicUsize::new(records), failed: Mutex::new(None), done: Notify::new() }
    }

    /// What became of one record: its offset, negative where the broker did not say, or why it was not written.
    fn settle(&self, outcome: Result<i64, Code>) {
        match outcome {
            Ok(offset) if offset >= 0 => {
                self.first.fetch_min(offset, Ordering::Relaxed);
            }
            Ok(_) => {}
            Err(code) => {
                self.failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(code);
            }
        }
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.done.notify_one();
        }
    }

    /// The first offset once all are settled; `None` where no broker said one.
    fn outcome(&self) -> Result<Option<i64>, Code> {
        let failed = *self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        let first = self.first.load(Ordering::Acquire);
        failed.map_or(Ok((first != i64::MAX).then_some(first)), Err)
    }
}

/// Gives each acknowledgement to the call that waits for it.
struct Acknowledgements {
    events: ClientEvents,
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
    type DeliveryOpaque = Arc<Call>;

    fn delivery(&self, result: &DeliveryResult<'_>, call: Arc<Call>) {
        match result {
            Ok(message) => call.settle(Ok(message.offset())),
            Err((error, _)) => call.settle(Err(errors::code_of(error).unwrap_or(Code::Fail))),
        }
    }
}

/// Calls to one partition, one after the other while they hand over.
type Lane = Arc<tokio::sync::Mutex<()>>;

/// The producer of a process.
pub(super) struct LogProducer {
    cluster: Arc<Cluster>,
    producer: ThreadedProducer<Acknowledgements>,
    lanes: Mutex<HashMap<(String, u32), Lane>>,
    /// Largest record that topics admit, where it is known.
    limits: Mutex<HashMap<String, u64>>,
}

impl LogProducer {
    /// Makes the producer. It connects when it first writes.
    pub(super) fn new(cluster: Arc<Cluster>) -> Result<LogProducer, Reaction> {
        let settings = &cluster.settings;
        let context = Acknowledgements { events: ClientEvents::new("producer", Arc::clone(&cluster.trouble)) };
        let producer = config(settings)?.create_with_context(context).map_err(|error| connect::not_made(settings, &error))?;
        Ok(LogProducer { producer, lanes: Mutex::default(), limits: Mutex::default(), cluster })
    }

    /// Notes the largest record that topics admit.
    pub(super) fn limit(&self, limits: HashMap<String, u64>) {
        self.limits.lock().unwrap_or_else(PoisonError::into_inner).extend(limits);
    }

    fn largest(&self, topic: &str) -> u64 {
        let known = self.limits.lock().unwrap_or_else(PoisonError::into_inner).get(topic).copied();
        let (source, ours) = (self.cluster.settings.record_max_bytes, largest(&self.cluster.settings));
        known.unwrap_or(if topic == HOSPITAL_TRANSACTIONS { source } else { ours }).min(ours)
    }

    fn lane(&self, topic: &str, partition: u32) -> Lane {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(lanes.entry((topic.to_owned(), partition)).or_default())
    }

    /// Appends records and waits until all are acknowledged; `None` where no broker said at which offset.
    pub(super) async fn produce(&self, topic: &str, partition: u32, records: Vec<Record>) -> Result<Option<Offset>, Reaction> {
        let number = self.cluster.partition(topic, partition).await?;
        let largest = self.largest(topic);
        // Refused by a broker it would end the producer, which must leave no gap.
        if let Some(record) = records.iter().find(|record| records::size(record) as u64 > largest) {
            return Err(Reaction::Rejected(format!(
                "{topic} partition {partition}: a record of {} bytes is larger than the topic takes ({largest}): raise the topic's max.message.bytes, or kafka.record_max_kib where it is ours",
                records::size(record)
            )));
        }
        let (call, count, begun) = (Arc::new(Call::new(records.len())), records.len(), Instant::now());
        self.hand_over(topic, partition, number, records, &call).await?;
        loop {
            tokio::select! {
                () = call.done.notified() => break,
                () = tokio::time::sleep(TELL) => {
                    if self.producer.context().events.is_lost() {
                        return Err(Reaction::fatal(format!(
                            "{}: producing into {topic} partition {partition}: the client knows no broker any more, and would ask none again: start again, which reads from the log what stands in it",
                            self.cluster
                        )));
                    }
                    let seconds = begun.elapsed().as_secs();
                    tracing::warn!(topic, partition, records = count, seconds, "{}", self.cluster.trouble.with("waiting for the brokers to take records"));
                }
            }
        }
        match call.outcome() {
            Ok(first) => Ok(first.and_then(|offset| u64::try_from(offset).ok())),
            Err(code) => Err(self.failed(topic, partition, code)),
        }
    }

    /// Gives all records of a call to the producer, none of another call to this partition between them.
    async fn hand_over(&self, topic: &str, partition: u32, number: i32, records: Vec<Record>, call: &Arc<Call>) -> Result<(), Reaction> {
        let full = self.cluster.settings.named(topic);
        let lane = self.lane(topic, partition);
        let _held = lane.lock().await;
        for (at, record) in records.iter().enumerate() {
            if at % TURN == TURN - 1 {
                tokio::task::yield_now().await;
            }
            while let Err(error) = self.send(&full, number, record, call) {
                match errors::code_of(&error) {
                    Some(Code::QueueFull) => tokio::time::sleep(ROOM).await,
                    Some(code) => return Err(self.failed(topic, partition, code)),
                    None => return Err(self.cluster.reaction(&format!("producing into {topic} partition {partition}"), &error)),
                }
            }
        }
        Ok(())
    }

    fn send(&self, full: &str, number: i32, record: &Record, call: &Arc<Call>) -> Result<(), KafkaError> {
        let mut message: BaseRecord<'_, [u8], [u8], Arc<Call>> = BaseRecord::with_opaque_to(full, Arc::clone(call)).partition(number).payload(&record.value[..]);
        if let Some(key) = &record.key {
            message = message.key(&key[..]);
        }
        if let Some(headers) = records::written(&record.headers) {
            message = message.headers(headers);
        }
        self.producer.send(message).map_err(|(error, _)| error)
    }

    /// What a record that was not written asks for.
    fn failed(&self, topic: &str, partition: u32, code: Code) -> Reaction {
        let place = &self.cluster;
        if matches!(code, Code::PurgeQueue | Code::PurgeInflight) {
            return Reaction::transient(format!("{place}: {topic} partition {partition}: the log was closed before the brokers had taken the records"));
        }
        let last = self.producer.client().fatal_error().map(|(_, said)| said).or_else(|| self.cluster.trouble.last()).unwrap_or_default();
        match errors::of_code(&format!("{place}: producing into {topic} partition {partition}"), code) {
            Reaction::Fatal(message) => Reaction::fatal(format!("{message} (the client last said: {last})")),
            // It waited as long as there was hope: what stands in the log now is for a fresh start to see.
            other => Reaction::fatal(format!("{other}: given up for good (the client last said: {last}): start the stage again, which reads from the log what stands in it")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_done_when_its_last_record_is_and_tells_its_first_offset() {
        let call = Call::new(3);
        for (offset, left) in [(12, 2), (10, 1), (11, 0)] {
            call.settle(Ok(offset));
            assert_eq!(call.left.load(Ordering::Relaxed), left);
        }
        assert_eq!(call.outcome(), Ok(Some(10)));
    }

    #[test]
    fn an_offset_that_no_broker_said_is_none_and_one_failure_fails_the_call() {
        let call = Call::new(2);
        call.settle(Ok(-1001));
        call.settle(Ok(-1001));
        assert_eq!(call.outcome(), Ok(None));
        let call = Call::new(2);
        call.settle(Ok(5));
        call.settle(Err(Code::GaplessGuarantee));
        assert_eq!(call.outcome(), Err(Code::GaplessGuarantee));
    }
}
