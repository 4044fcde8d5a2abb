//! The reading half: topics, bounds, records, what groups have committed. No group is joined, no position kept.
//!
//! What must stay true: nothing here writes; a position that is not there is an error, never another position.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use rdkafka::consumer::Consumer as _;
use rdkafka::error::KafkaResult;
use rdkafka::{Offset as Place, TopicPartitionList};
use tokio::time::Instant;
use wh_schemas::Reaction;
use wh_stores::kafka::KafkaSettings;

use super::connect::{self, Client, Cluster};
use super::cursors::{Cursor, Wanted};
use super::errors;
use super::events::ClientEvents;
use crate::{Bounds, Offset, Reader, Stored};

/// How long a broker may wait before it answers a read that has reached the end.
const END_WAIT: &str = "20";
/// Records that a read may fetch ahead, in KiB.
const AHEAD_KIB: &str = "8192";

/// How long a partition may be without a leader before a caller is told.
const LED_WITHIN: Duration = Duration::from_secs(2);
const LED_LOOK: Duration = Duration::from_millis(50);

/// The reading half of a log on Kafka.
pub struct KafkaReader {
    pub(super) cluster: Arc<Cluster>,
}

impl KafkaReader {
    /// Connects, to read only.
    ///
    /// # Errors
    /// Transient while no broker can be reached, fatal where waiting would not help.
    pub async fn open(settings: &KafkaSettings) -> Result<KafkaReader, Reaction> {
        Ok(KafkaReader { cluster: connect::connect(settings).await? })
    }

    /// How many partitions a topic has; `None` where there is no such topic.
    ///
    /// # Errors
    /// Transient while no broker answers.
    pub async fn partitions_if_any(&self, topic: &str) -> Result<Option<u32>, Reaction> {
        self.cluster.count(topic).await
    }

    /// The first offset of a partition whose record has `time` (microseconds) or a later one; `None` where none has. Records before
    /// it are all earlier; behind it, there may be earlier ones where clocks went back.
    ///
    /// # Errors
    /// Transient while no broker answers, fatal where there is no such partition.
    pub async fn first_since(&self, topic: &str, partition: u32, time: i64) -> Result<Option<Offset>, Reaction> {
        let number = self.cluster.partition(topic, partition).await?;
        let (full, timeout) = (self.cluster.settings.named(topic), self.cluster.settings.request_timeout);
        // A record's time is in whole milliseconds: the first that is not before.
        let millis = time.div_euclid(1_000) + i64::from(time.rem_euclid(1_000) > 0);
        let what = format!("{topic} partition {partition}");
        self.cluster
            .ask(&what, move |client| {
                let mut list = TopicPartitionList::with_capacity(1);
                list.add_partition_offset(&full, number, Place::Offset(millis.max(0)))?;
                let found = client.offsets_for_times(list, timeout)?;
                let Some(place) = found.find_partition(&full, number) else { return Ok(None) };
                place.error()?;
                Ok(match place.offset() {
                    Place::Offset(offset) => u64::try_from(offset).ok(),
                    _ => None,
                })
            })
            .await
    }

    /// A client that asks for what a group has committed.
    fn group(&self, group: &str) -> Result<Arc<Client>, Reaction> {
        let mut groups = self.cluster.shared.groups.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = groups.get(group) {
            return Ok(Arc::clone(client));
        }
        let settings = &self.cluster.settings;
        let events = ClientEvents::new("group", Arc::clone(&self.cluster.trouble));
        let client: Client = connect::reading(settings, group)?.create_with_context(events).map_err(|error| connect::not_made(settings, &error))?;
        let client = Arc::new(client);
        groups.insert(group.to_owned(), Arc::clone(&client));
        Ok(client)
    }

    fn cursor(&self) -> Result<Cursor, Reaction> {
        let settings = &self.cluster.settings;
        let mut config = connect::reading(settings, "reader")?;
        config.set("enable.partition.eof", "true").set("fetch.wait.max.ms", END_WAIT).set("queued.max.messages.kbytes", AHEAD_KIB).set("fetch.max.bytes", "8388608");
        let events = ClientEvents::new("reader", Arc::clone(&self.cluster.trouble));
        config.create_with_context(events).map(Cursor::new).map_err(|error| connect::not_made(settings, &error))
    }
}

/// Offsets and notes of the partitions that have some.
fn committed(client: &Client, full: &str, count: u32, timeout: Duration) -> KafkaResult<Vec<(u32, Offset, String)>> {
    let mut list = TopicPartitionList::new();
    for partition in 0..count {
        list.add_partition(full, i32::try_from(partition).unwrap_or(i32::MAX));
    }
    let list = client.committed_offsets(list, timeout)?;
    let mut found = Vec::new();
    for place in list.elements() {
        place.error()?;
        if let (Ok(partition), Place::Offset(offset)) = (u32::try_from(place.partition()), place.offset()) {
            found.push((partition, u64::try_from(offset).unwrap_or(0), place.metadata().to_owned()));
        }
    }
    found.sort_unstable_by_key(|(partition, ..)| *partition);
    Ok(found)
}

#[async_trait]
impl Reader for KafkaReader {
    /// The cluster and the namespace in it. Kafka does not tell a topic that was made again from the one before: a position beyond
    /// its end does.
    async fn identity(&self) -> Result<String, Reaction> {
        let namespace = self.cluster.settings.namespace.as_deref().unwrap_or_default();
        Ok(format!("kafka:{}/{namespace}", self.cluster.id))
    }

    async fn partitions(&self, topic: &str) -> Result<u32, Reaction> {
        self.cluster.partitions(topic).await
    }

    async fn bounds(&self, topic: &str, partition: u32) -> Result<Bounds, Reaction> {
        let number = self.cluster.partition(topic, partition).await?;
        let (full, timeout) = (self.cluster.settings.named(topic), self.cluster.settings.request_timeout);
        // A partition that is new or has just moved is led by nobody for a moment: not worth a word to the caller.
        let deadline = Instant::now() + LED_WITHIN;
        let (start, end) = loop {
            let full = full.clone();
            let asked = self.cluster.ask(&format!("the bounds of {topic} partition {partition}"), move |client| client.fetch_watermarks(&full, number, timeout)).await;
            match asked {
                Err(Reaction::Transient { .. }) if Instant::now() < deadline => tokio::time::sleep(LED_LOOK).await,
                outcome => break outcome?,
            }
        };
        Ok(Bounds { start: u64::try_from(start).unwrap_or(0), end: u64::try_from(end).unwrap_or(0) })
    }

    async fn read(&self, topic: &str, partition: u32, from: Offset, max_bytes: usize) -> Result<Vec<Stored>, Reaction> {
        let number = self.cluster.partition(topic, partition).await?;
        let bounds = self.bounds(topic, partition).await?;
        if from < bounds.start || from > bounds.end {
            return Err(errors::position_gone(topic, partition, from, bounds));
        }
        if from == bounds.end {
            return Ok(Vec::new());
        }
        let offset = |offset: Offset| i64::try_from(offset).unwrap_or(i64::MAX);
        let wanted = Wanted { topic: self.cluster.settings.named(topic), partition: number, from: offset(from), end: offset(bounds.end), max_bytes };
        let mut cursor = match self.cluster.shared.cursors.take(&wanted) {
            Some(cursor) => cursor,
            None => self.cursor()?,
        };
        let (shared, timeout) = (Arc::clone(&self.cluster.shared), self.cluster.settings.request_timeout);
        let reading = tokio::task::spawn_blocking(move || {
            let found = cursor.read(&wanted, timeout);
            if found.is_ok() {
                shared.cursors.keep(cursor);
            }
            found
        });
        let what = format!("reading {topic} partition {partition} at {from}");
        let found = reading.await.map_err(|error| Reaction::fatal(format!("{}: {what}: {error}", self.cluster)))?;
        found.map_err(|error| self.cluster.reaction(&what, &error))
    }

    async fn committed(&self, group: &str, topic: &str) -> Result<Vec<(u32, Offset, String)>, Reaction> {
        let count = self.cluster.partitions(topic).await?;
        let client = self.group(group)?;
        let (full, timeout) = (self.cluster.settings.named(topic), self.cluster.settings.request_timeout);
        let what = format!("what the group {group} has committed of {topic}");
        let asking = tokio::task::spawn_blocking(move || committed(&client, &full, count, timeout));
        let found = asking.await.map_err(|error| Reaction::fatal(format!("{}: {what}: {error}", self.cluster)))?;
        found.map_err(|error| self.cluster.reaction(&what, &error))
    }
}
