//! A good log behind a face that breaks the contract in one way.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Mutex;
use wh_eventlog::{Bounds, Commit, Consumer, Event, Log, Offset, Producer, Reader, Record, Stored};
use wh_schemas::Reaction;
use wh_schemas::topics::TopicSpec;

use crate::contract::log::{Embedded, LogAdapter};

/// One way to break the contract of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Answers a produce and writes it with the next one.
    AnswersEarly,
    LosesARecord,
    Reorders,
    ForgetsHeaders,
    CutsLargeValues,
    /// Writes the records of a batch one by one.
    SplitsBatches,
    MixesPartitions,
    ForgetsCommits,
    SharesTheGroup,
    IgnoresSeeks,
    IgnoresPauses,
    IgnoresPaces,
    /// Begins anew where a position is not there.
    ResetsSilently,
    /// Says that it was done when it was not.
    SwallowsErrors,
    HasNoIdentity,
}

/// What each fault makes fail.
pub(super) const FAULTS: &[(&str, Fault)] = &[
    ("what_was_produced_is_there_after_reopening", Fault::AnswersEarly),
    ("offsets_are_dense_and_records_in_the_order_of_their_batches", Fault::LosesARecord),
    ("offsets_are_dense_and_records_in_the_order_of_their_batches", Fault::Reorders),
    ("keys_headers_and_bytes_are_kept", Fault::ForgetsHeaders),
    ("topics_and_partitions_are_apart", Fault::MixesPartitions),
    ("a_group_goes_on_from_what_it_committed", Fault::ForgetsCommits),
    ("a_partition_has_one_holder_in_its_group", Fault::SharesTheGroup),
    ("a_member_reads_from_where_it_seeks", Fault::IgnoresSeeks),
    ("a_paused_partition_is_silent_until_it_is_resumed", Fault::IgnoresPauses),
    ("a_member_with_a_pace_lets_records_gather", Fault::IgnoresPaces),
    ("a_position_that_is_not_there_is_an_error_and_no_reset", Fault::ResetsSilently),
    ("records_of_250_kilobytes_are_kept", Fault::CutsLargeValues),
    ("ten_thousand_small_records_are_read_in_order", Fault::Reorders),
    ("batches_of_concurrent_producers_stay_whole", Fault::SplitsBatches),
    ("another_number_of_partitions_is_refused", Fault::SwallowsErrors),
    ("what_does_not_exist_is_told", Fault::SwallowsErrors),
    ("a_log_is_known_from_every_other", Fault::HasNoIdentity),
];

/// The embedded log with a fault.
pub(super) struct BrokenLogs(pub(super) Fault);

#[async_trait]
impl LogAdapter for BrokenLogs {
    fn name(&self) -> &'static str {
        "a broken log"
    }

    async fn open(&self, place: &Path) -> Arc<dyn Log> {
        let inner = Embedded.open(place).await;
        Arc::new(BrokenLog { inner, fault: self.0, waiting: Mutex::new(Vec::new()), members: AtomicU64::new(0) })
    }

    async fn sweep(&self) {}
}

struct BrokenLog {
    inner: Arc<dyn Log>,
    fault: Fault,
    /// What was answered and not written.
    waiting: Mutex<Vec<(String, u32, Vec<Record>)>>,
    members: AtomicU64,
}

#[async_trait]
impl Producer for BrokenLog {
    async fn produce(&self, topic: &str, partition: u32, mut records: Vec<Record>) -> Result<Offset, Reaction> {
        match self.fault {
            Fault::AnswersEarly => {
                let mut waiting = self.waiting.lock().await;
                for (topic, partition, records) in waiting.drain(..) {
                    self.inner.produce(&topic, partition, records).await?;
                }
                waiting.push((topic.to_owned(), partition, records));
                return self.inner.bounds(topic, partition).await.map(|bounds| bounds.end);
            }
            Fault::LosesARecord if records.len() > 1 => drop(records.pop()),
            Fault::Reorders if records.len() > 1 => records.swap(0, 1),
            Fault::ForgetsHeaders => records.iter_mut().for_each(|record| record.headers.clear()),
            Fault::CutsLargeValues => records.iter_mut().for_each(|record| record.value.truncate(100_000)),
            Fault::SplitsBatches => {
                let mut first = None;
                for record in records {
                    let offset = self.inner.produce(topic, partition, vec![record]).await?;
                    first.get_or_insert(offset);
                }
                return Ok(first.unwrap_or(0));
            }
            _ => {}
        }
        let partition = if self.fault == Fault::MixesPartitions { 0 } else { partition };
        match self.inner.produce(topic, partition, records).await {
            Err(_) if self.fault == Fault::SwallowsErrors => Ok(0),
            outcome => outcome,
        }
    }
}

#[async_trait]
impl Reader for BrokenLog {
    async fn identity(&self) -> Result<String, Reaction> {
        if self.fault == Fault::HasNoIdentity { Ok("the log".to_owned()) } else { self.inner.identity().await }
    }

    async fn partitions(&self, topic: &str) -> Result<u32, Reaction> {
        self.inner.partitions(topic).await
    }

    async fn bounds(&self, topic: &str, partition: u32) -> Result<Bounds, Reaction> {
        self.inner.bounds(topic, partition).await
    }

    async fn read(&self, topic: &str, partition: u32, from: Offset, max_bytes: usize) -> Result<Vec<Stored>, Reaction> {
        match self.inner.read(topic, partition, from, max_bytes).await {
            Err(_) if self.fault == Fault::ResetsSilently => self.inner.read(topic, partition, 0, max_bytes).await,
            outcome => outcome,
        }
    }

    async fn committed(&self, group: &str, topic: &str) -> Result<Vec<(u32, Offset, String)>, Reaction> {
        self.inner.committed(group, topic).await
    }
}

#[async_trait]
impl Log for BrokenLog {
    async fn ensure_topics(&self, topics: &[TopicSpec], partitions: u32) -> Result<(), Reaction> {
        match self.inner.ensure_topics(topics, partitions).await {
            Err(_) if self.fault == Fault::SwallowsErrors => Ok(()),
            outcome => outcome,
        }
    }

    async fn subscribe(&self, group: &str, topics: &[&str]) -> Result<Box<dyn Consumer>, Reaction> {
        let group = match self.fault {
            Fault::SharesTheGroup => format!("{group}-{}", self.members.fetch_add(1, Ordering::Relaxed)),
            _ => group.to_owned(),
        };
        let inner = self.inner.subscribe(&group, topics).await?;
        Ok(Box::new(BrokenConsumer { inner, fault: self.fault }))
    }

    async fn keeps(&self, topic: &str) -> Result<Option<Duration>, Reaction> {
        self.inner.keeps(topic).await
    }

    async fn retain(&self) -> Result<u64, Reaction> {
        self.inner.retain().await
    }
}

struct BrokenConsumer {
    inner: Box<dyn Consumer>,
    fault: Fault,
}

#[async_trait]
impl Consumer for BrokenConsumer {
    async fn poll(&mut self, wait: Duration) -> Result<Event, Reaction> {
        self.inner.poll(wait).await
    }

    fn seek(&mut self, topic: &str, partition: u32, offset: Offset) {
        if self.fault != Fault::IgnoresSeeks {
            self.inner.seek(topic, partition, offset);
        }
    }

    fn set_pace(&mut self, every: Duration) {
        if self.fault != Fault::IgnoresPaces {
            self.inner.set_pace(every);
        }
    }

    fn set_paused(&mut self, topic: &str, partition: u32, paused: bool) {
        if self.fault != Fault::IgnoresPauses {
            self.inner.set_paused(topic, partition, paused);
        }
    }

    async fn commit(&mut self, commits: Vec<Commit>) -> Result<(), Reaction> {
        if self.fault == Fault::ForgetsCommits { Ok(()) } else { self.inner.commit(commits).await }
    }
}
