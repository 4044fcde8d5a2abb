//! The log: one trait shaped by what Kafka really gives, and its adapters.
//!
//! What must stay true: a produce returns only after the log holds the records durably; a consumer never jumps over
//! records silently; what a late owner of a group commits under an older epoch changes nothing.

pub mod crash;
pub mod dead_letters;
pub mod embedded;
pub mod gauges;
pub mod incidents;
pub mod kafka;
pub mod lineage;
mod pace;
pub mod reach;
pub mod retry;
pub mod settle;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
pub use bytes::Bytes;
use wh_schemas::Reaction;
use wh_schemas::topics::TopicSpec;

/// Offset of a record in its partition.
pub type Offset = u64;

/// Name and value of each header, in order.
pub type Headers = Vec<(String, Bytes)>;

/// A record to be written.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Record {
    /// What Kafka compacts by.
    pub key: Option<Bytes>,
    /// The payload.
    pub value: Bytes,
    /// Names and values.
    pub headers: Headers,
}

impl Record {
    /// A record without headers.
    pub fn new(key: impl Into<Bytes>, value: impl Into<Bytes>) -> Record {
        Record { key: Some(key.into()), value: value.into(), headers: Vec::new() }
    }

    /// The same record with one more header.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: impl Into<Bytes>) -> Record {
        self.headers.push((name.to_owned(), value.into()));
        self
    }
}

/// A record as the log holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its place in the partition.
    pub offset: Offset,
    /// When the log took it: microseconds since 1970 UTC.
    pub append_time: i64,
    /// Its key.
    pub key: Option<Bytes>,
    /// Its payload.
    pub value: Bytes,
    /// Names and values.
    pub headers: Headers,
}

impl Stored {
    /// Value of the first header of that name, where it is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).and_then(|(_, v)| std::str::from_utf8(v).ok())
    }
}

/// Records of one partition in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: u32,
    /// In order of their offsets.
    pub records: Vec<Stored>,
}

/// A partition that a consumer now owns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: u32,
    /// What its group committed last: the offset to go on from, and the note beside it.
    pub committed: Option<(Offset, String)>,
}

/// What happens to a consumer. Rebalances are values, not callbacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Partitions are ours from now on, under this epoch.
    Assigned {
        /// Raised by each assignment of the group.
        epoch: u64,
        /// The partitions.
        partitions: Vec<Assignment>,
    },
    /// Partitions are no longer ours: settle what can be settled and forget the rest.
    Revoked {
        /// Topic and partition.
        partitions: Vec<(Arc<str>, u32)>,
    },
    /// Records of one partition.
    Records(Fetched),
    /// Nothing came within the time that was asked for.
    Idle,
}

/// A position to be committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: u32,
    /// The next offset to be read.
    pub next_offset: Offset,
    /// A note kept beside it, e.g. the group's counts up to there.
    pub metadata: String,
}

/// First offset that is still there, and the one that the next record gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// First offset that is still there.
    pub start: Offset,
    /// Offset of the next record.
    pub end: Offset,
}

/// Writing half of the log.
#[async_trait]
pub trait Producer: Send + Sync {
    /// Appends records to one partition, in order, and returns the offset of the first once all are durable.
    ///
    /// # Errors
    /// Transient while the log is full or busy, fatal where it cannot be written at all.
    async fn produce(&self, topic: &str, partition: u32, records: Vec<Record>) -> Result<Offset, Reaction>;
}

/// Reading half of the log: no group, no position kept.
#[async_trait]
pub trait Reader: Send + Sync {
    /// What tells this log from every other: positions of one mean nothing in another.
    ///
    /// # Errors
    /// Fatal where the log cannot be read.
    async fn identity(&self) -> Result<String, Reaction>;

    /// How many partitions a topic has.
    ///
    /// # Errors
    /// Fatal where there is no such topic.
    async fn partitions(&self, topic: &str) -> Result<u32, Reaction>;

    /// First and next offset of a partition.
    ///
    /// # Errors
    /// Fatal where there is no such partition.
    async fn bounds(&self, topic: &str, partition: u32) -> Result<Bounds, Reaction>;

    /// Records from `from` on: at least one where there is one, at most about `max_bytes`.
    ///
    /// # Errors
    /// Fatal where `from` is no longer there.
    async fn read(&self, topic: &str, partition: u32, from: Offset, max_bytes: usize) -> Result<Vec<Stored>, Reaction>;

    /// What a group has committed of a topic, by partition.
    ///
    /// # Errors
    /// Fatal where the log cannot be read.
    async fn committed(&self, group: &str, topic: &str) -> Result<Vec<(u32, Offset, String)>, Reaction>;
}

/// One member of a consumer group.
#[async_trait]
pub trait Consumer: Send {
    /// The next thing that happens, waiting at most `wait`. Polled also while partitions are paused.
    ///
    /// # Errors
    /// Fatal where a position is no longer there: there is no silent reset.
    async fn poll(&mut self, wait: Duration) -> Result<Event, Reaction>;

    /// Goes on from `offset` in a partition that is assigned.
    fn seek(&mut self, topic: &str, partition: u32, offset: Offset);

    /// Gives out records in rounds over the partitions, of which at most one begins in this time: what comes little by little is handed over
    /// together. What comes behind a silence, or fills a fetch, is given at once, or within some milliseconds. Without a pace, which is the default, everything is.
    fn set_pace(&mut self, every: Duration);

    /// Stops (or resumes) fetching from a partition.
    fn set_paused(&mut self, topic: &str, partition: u32, paused: bool);

    /// Keeps positions for the group's next member; refused under an older epoch.
    ///
    /// # Errors
    /// Fatal where another member has taken over.
    async fn commit(&mut self, commits: Vec<Commit>) -> Result<(), Reaction>;
}

/// A log as a whole.
#[async_trait]
pub trait Log: Producer + Reader {
    /// Makes topics that are not there yet.
    ///
    /// # Errors
    /// Fatal where one is there with another number of partitions.
    async fn ensure_topics(&self, topics: &[TopicSpec], partitions: u32) -> Result<(), Reaction>;

    /// Joins a group that reads topics.
    ///
    /// # Errors
    /// Fatal where the group is held by another process and cannot be shared.
    async fn subscribe(&self, group: &str, topics: &[&str]) -> Result<Box<dyn Consumer>, Reaction>;

    /// How long a topic keeps records after their append, by the log's own word; `None` where it keeps them for ever, or only the last of each key.
    ///
    /// # Errors
    /// Where the log cannot be asked.
    async fn keeps(&self, topic: &str) -> Result<Option<Duration>, Reaction>;

    /// Removes what retention no longer keeps, as far as every registered group has settled it. Returns the records removed.
    ///
    /// # Errors
    /// Fatal where the log cannot be written.
    async fn retain(&self) -> Result<u64, Reaction>;
}
