//! The log on Kafka.
//!
//! `connect` reaches a cluster, `errors` sorts what it says, `topics` makes the layout, `checks` looks at it; `producer` (with `writer`), `reader`
//! (with `cursors`) and `consumer` (with `held`, its pure part) are the three halves of the log; `events` is what the client says
//! beside records, `records` how a message becomes a record. This folder alone names the client.
//!
//! What must stay true: what a produce returned is held by all in-sync copies; nothing is reset, made or removed silently; the
//! group's own fencing (member and generation) decides whose commit counts.

mod bulk;
pub mod checks;
mod connect;
mod consumer;
mod cursors;
mod errors;
mod events;
mod held;
mod producer;
mod reader;
mod records;
mod removal;
mod topics;
mod writer;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use wh_schemas::Reaction;
use wh_schemas::topics::TopicSpec;
use wh_stores::kafka::KafkaSettings;

use crate::{Bounds, Consumer, Log, Offset, Producer, Reader, Record, Stored};
pub use bulk::Bulk;
use consumer::KafkaConsumer;
use producer::LogProducer;
pub use reader::KafkaReader;
pub use removal::remove;

/// An open log on Kafka.
pub struct KafkaLog {
    reader: KafkaReader,
    producer: LogProducer,
    fetch_bytes: usize,
}

impl KafkaLog {
    /// Connects. `fetch_bytes` is what one fetch of a consumer aims at.
    ///
    /// # Errors
    /// Transient while no broker can be reached, fatal for wrong credentials, TLS that is expected on one side only, a certificate
    /// that is not trusted, or a server that is no Kafka.
    pub async fn open(settings: &KafkaSettings, fetch_bytes: usize) -> Result<Arc<KafkaLog>, Reaction> {
        let cluster = connect::connect(settings).await?;
        let producer = LogProducer::new(Arc::clone(&cluster))?;
        Ok(Arc::new(KafkaLog { reader: KafkaReader { cluster }, producer, fetch_bytes }))
    }

    /// Makes the topics that are missing, as [`Log::ensure_topics`] does, and says what was made, a sentence each.
    ///
    /// # Errors
    /// Fatal where one is there with another number of partitions, with settings that lose records, or may not be made.
    pub async fn migrate(&self, topics: &[TopicSpec], partitions: u32) -> Result<Vec<String>, Reaction> {
        let (done, limits) = topics::ensure(&self.reader.cluster, topics, partitions).await?;
        self.producer.limit(limits);
        Ok(done)
    }
}

#[async_trait]
impl Producer for KafkaLog {
    async fn produce(&self, topic: &str, partition: u32, records: Vec<Record>) -> Result<Offset, Reaction> {
        let count = records.len() as u64;
        if count > 0
            && let Some(first) = self.producer.produce(topic, partition, records).await?
        {
            return Ok(first);
        }
        // Nothing to write, or written without a word on where: these are the last records at the earliest.
        Ok(self.reader.bounds(topic, partition).await?.end.saturating_sub(count))
    }
}

#[async_trait]
impl Reader for KafkaLog {
    async fn identity(&self) -> Result<String, Reaction> {
        self.reader.identity().await
    }

    async fn partitions(&self, topic: &str) -> Result<u32, Reaction> {
        self.reader.partitions(topic).await
    }

    async fn bounds(&self, topic: &str, partition: u32) -> Result<Bounds, Reaction> {
        self.reader.bounds(topic, partition).await
    }

    async fn read(&self, topic: &str, partition: u32, from: Offset, max_bytes: usize) -> Result<Vec<Stored>, Reaction> {
        self.reader.read(topic, partition, from, max_bytes).await
    }

    async fn committed(&self, group: &str, topic: &str) -> Result<Vec<(u32, Offset, String)>, Reaction> {
        self.reader.committed(group, topic).await
    }
}

#[async_trait]
impl Log for KafkaLog {
    async fn ensure_topics(&self, topics: &[TopicSpec], partitions: u32) -> Result<(), Reaction> {
        for made in self.migrate(topics, partitions).await? {
            tracing::info!("{made}");
        }
        Ok(())
    }

    async fn subscribe(&self, group: &str, topics: &[&str]) -> Result<Box<dyn Consumer>, Reaction> {
        Ok(Box::new(KafkaConsumer::join(&self.reader.cluster, group, topics, self.fetch_bytes).await?))
    }

    async fn keeps(&self, topic: &str) -> Result<Option<Duration>, Reaction> {
        topics::keeps(&self.reader.cluster, topic).await
    }

    /// Kafka removes by itself what its topics no longer keep.
    async fn retain(&self) -> Result<u64, Reaction> {
        Ok(0)
    }
}
