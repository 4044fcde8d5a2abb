//! The writing half: one idempotent producer a process.
//!
//! What must stay true: a produce returns only after every record of it is acknowledged by all in-sync copies; records of one call
//! are handed over without another call's between them, in order; what fails for good is fatal, since a gap may be behind it.
//!
//! A record waits for the brokers without end (`message.timeout.ms` is 0): one that were given up could still be written by a
//! request on its way, and the caller, who tries transient failures again, would write it twice. Whoever waits is told every ten
//! seconds why; a caller that wants to stop drops the call, and what was handed over by then may or may not come to stand in the
//! log, as after a kill.
//!
//! A client that has ended (`writer`) fails the calls that wait for it for good: who goes by what stands in the log begins afresh, which reads it.
//! Who may write twice, as intake, tries again (`incidents::may_come_twice`) and finds another client.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::producer::BaseRecord;
use wh_schemas::Reaction;
use wh_schemas::topics::HOSPITAL_TRANSACTIONS;

use super::connect::Cluster;
use super::writer::{self, Call, End, Writer, Writers, largest};
use super::{errors, records};
use crate::incidents::PRODUCER_ENDED;
use crate::{Offset, Record};

/// How often whoever waits is told why.
const TELL: Duration = Duration::from_secs(10);
/// How often it is looked whether the client still takes anything.
const LOOK: Duration = Duration::from_secs(1);
/// How long a call waits for room in the producer's queue before it looks again.
const ROOM: Duration = Duration::from_millis(2);
/// Records that are handed over before other tasks get their turn.
const TURN: usize = 256;

/// Calls to one partition, one after the other while they hand over.
type Lane = Arc<tokio::sync::Mutex<()>>;

/// The producer of a process.
pub(super) struct LogProducer {
    cluster: Arc<Cluster>,
    writers: Writers,
    lanes: Mutex<HashMap<(String, u32), Lane>>,
    /// Largest record that topics admit, where it is known.
    limits: Mutex<HashMap<String, u64>>,
}

impl LogProducer {
    /// Makes the producer. It connects when it first writes.
    pub(super) fn new(cluster: Arc<Cluster>) -> Result<LogProducer, Reaction> {
        let writers = Writers::new(&cluster.settings, &cluster.trouble)?;
        Ok(LogProducer { writers, lanes: Mutex::default(), limits: Mutex::default(), cluster })
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
        let writer = self.writers.current()?;
        self.hand_over(&writer, topic, partition, number, records, &call).await?;
        let mut told = begun;
        loop {
            tokio::select! {
                () = call.done.notified() => break,
                () = tokio::time::sleep(LOOK) => {
                    if let Some(end) = writer::end(&writer) {
                        return Err(self.ended(topic, partition, &end));
                    }
                    if told.elapsed() >= TELL {
                        told = Instant::now();
                        let seconds = begun.elapsed().as_secs();
                        tracing::warn!(topic, partition, records = count, seconds, "{}", self.cluster.trouble.with("waiting for the brokers to take records"));
                    }
                }
            }
        }
        match call.outcome() {
            Ok(first) => Ok(first.and_then(|offset| u64::try_from(offset).ok())),
            Err(code) => Err(self.failed(&writer, topic, partition, code)),
        }
    }

    /// Gives all records of a call to the producer, none of another call to this partition between them.
    async fn hand_over(&self, writer: &Writer, topic: &str, partition: u32, number: i32, records: Vec<Record>, call: &Arc<Call>) -> Result<(), Reaction> {
        let full = self.cluster.settings.named(topic);
        let lane = self.lane(topic, partition);
        let _held = lane.lock().await;
        for (at, record) in records.iter().enumerate() {
            if at % TURN == TURN - 1 {
                tokio::task::yield_now().await;
            }
            while let Err(error) = send(writer, &full, number, record, call) {
                match errors::code_of(&error) {
                    Some(Code::QueueFull) => match writer::end(writer) {
                        // It would stay full.
                        Some(end) => return Err(self.ended(topic, partition, &end)),
                        None => tokio::time::sleep(ROOM).await,
                    },
                    Some(code) => return Err(self.failed(writer, topic, partition, code)),
                    None => return Err(self.cluster.reaction(&format!("producing into {topic} partition {partition}"), &error)),
                }
            }
        }
        Ok(())
    }

    /// What a record that was not written asks for.
    fn failed(&self, writer: &Writer, topic: &str, partition: u32, code: Code) -> Reaction {
        let place = &self.cluster;
        let end = writer::end(writer);
        match &end {
            Some(end @ (End::Lost | End::Replaced)) => return self.ended(topic, partition, end),
            None if matches!(code, Code::PurgeQueue | Code::PurgeInflight) => {
                return Reaction::transient(format!("{place}: {topic} partition {partition}: the log was closed before the brokers had taken the records"));
            }
            Some(End::Failed(_)) | None => {}
        }
        let last = match end {
            Some(End::Failed(said)) => said,
            _ => place.trouble.last().unwrap_or_default(),
        };
        match errors::of_code(&format!("{place}: producing into {topic} partition {partition}"), code) {
            Reaction::Fatal(message) => Reaction::fatal(format!("{message} (the client last said: {last})")),
            // It waited as long as there was hope: what stands in the log now is for a fresh start to see.
            other => Reaction::fatal(format!("{other}: {PRODUCER_ENDED} (the client last said: {last}): start the stage again, which reads from the log what stands in it")),
        }
    }

    /// What is said of a client that takes nothing any more.
    fn ended(&self, topic: &str, partition: u32, end: &End) -> Reaction {
        let why = match end {
            End::Failed(said) => said.as_str(),
            End::Lost => "the client knows no broker any more, and would ask none again",
            End::Replaced => "the client had ended, and another took its place",
        };
        Reaction::fatal(format!(
            "{}: producing into {topic} partition {partition}: {why}: {PRODUCER_ENDED}: start the stage again, which reads from the log what stands in it",
            self.cluster
        ))
    }
}

fn send(writer: &Writer, full: &str, number: i32, record: &Record, call: &Arc<Call>) -> Result<(), KafkaError> {
    let mut message: BaseRecord<'_, [u8], [u8], Arc<Call>> = BaseRecord::with_opaque_to(full, Arc::clone(call)).partition(number).payload(&record.value[..]);
    if let Some(key) = &record.key {
        message = message.key(&key[..]);
    }
    if let Some(headers) = records::written(&record.headers) {
        message = message.headers(headers);
    }
    writer.send(message).map_err(|(error, _)| error)
}
