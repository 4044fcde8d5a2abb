//! A log for tests that refuses what it is told to refuse, in front of a real one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use wh_eventlog::embedded::EmbeddedLog;
use wh_eventlog::{Bounds, Consumer, Log, Offset, Producer, Reader, Record, Stored};
use wh_schemas::Reaction;
use wh_schemas::topics::TopicSpec;

/// What is answered to the attempt (from 0) to produce to a partition; `None`: the real log's answer.
type Refusal = Box<dyn Fn(u64, u32) -> Option<Reaction> + Send + Sync>;

pub(crate) struct RefusingLog {
    inner: Arc<EmbeddedLog>,
    refusal: Refusal,
    pub(crate) attempts: AtomicU64,
}

impl RefusingLog {
    pub(crate) fn new(inner: &Arc<EmbeddedLog>, refusal: impl Fn(u64, u32) -> Option<Reaction> + Send + Sync + 'static) -> RefusingLog {
        RefusingLog { inner: Arc::clone(inner), refusal: Box::new(refusal), attempts: AtomicU64::new(0) }
    }
}

#[async_trait]
impl Producer for RefusingLog {
    async fn produce(&self, topic: &str, partition: u32, records: Vec<Record>) -> Result<Offset, Reaction> {
        match (self.refusal)(self.attempts.fetch_add(1, Ordering::SeqCst), partition) {
            Some(reaction) => Err(reaction),
            None => self.inner.produce(topic, partition, records).await,
        }
    }
}

#[async_trait]
impl Reader for RefusingLog {
    async fn identity(&self) -> Result<String, Reaction> {
        self.inner.identity().await
    }
    async fn partitions(&self, topic: &str) -> Result<u32, Reaction> {
        self.inner.partitions(topic).await
    }
    async fn bounds(&self, topic: &str, partition: u32) -> Result<Bounds, Reaction> {
        self.inner.bounds(topic, partition).await
    }
    async fn read(&self, topic: &str, partition: u32, from: Offset, max_bytes: usize) -> Result<Vec<Stored>, Reaction> {
        self.inner.read(topic, partition, from, max_bytes).await
    }
    async fn committed(&self, group: &str, topic: &str) -> Result<Vec<(u32, Offset, String)>, Reaction> {
        self.inner.committed(group, topic).await
    }
}

#[async_trait]
impl Log for RefusingLog {
    async fn ensure_topics(&self, topics: &[TopicSpec], partitions: u32) -> Result<(), Reaction> {
        self.inner.ensure_topics(topics, partitions).await
    }
    async fn subscribe(&self, group: &str, topics: &[&str]) -> Result<Box<dyn Consumer>, Reaction> {
        self.inner.subscribe(group, topics).await
    }
    async fn keeps(&self, topic: &str) -> Result<Option<std::time::Duration>, Reaction> {
        self.inner.keeps(topic).await
    }
    async fn retain(&self) -> Result<u64, Reaction> {
        self.inner.retain().await
    }
}
