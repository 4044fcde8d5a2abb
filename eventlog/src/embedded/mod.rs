//! The log on embedded files: record batches in SQLite, one row a batch, fsync'd before a produce returns.
//!
//! Several processes may share the files. One member a group at a time: a second one is an error with a clear word.
//! What must stay true: offsets of a partition are dense, and nothing is deleted that a registered group has not settled.

pub mod block;
mod consumer;
mod reads;
mod retention;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot, watch};
use wh_schemas::Reaction;
use wh_schemas::topics::TopicSpec;
use wh_stores::holder::Holder;

use crate::{Bounds, Consumer, Log, Offset, Producer, Reader, Record, Stored, reach};
use consumer::EmbeddedConsumer;
use reads::Reads;
use writer::{Command, Joined, Writer};

/// Sizes of an embedded log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Compressed bytes from which the oldest settled batches go, and beyond which sources are pushed back.
    pub max_bytes: u64,
    /// Uncompressed bytes that one fetch aims at.
    pub fetch_bytes: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { max_bytes: 20 * 1024 * 1024 * 1024, fetch_bytes: 1024 * 1024 }
    }
}

/// The file of a log folder.
#[must_use]
pub fn file_of(folder: &Path) -> PathBuf {
    folder.join("log.db")
}

/// An open embedded log.
pub struct EmbeddedLog {
    folder: PathBuf,
    settings: Settings,
    commands: mpsc::Sender<Command>,
    appended: watch::Receiver<u64>,
    reads: Reads,
}

impl EmbeddedLog {
    /// Opens the log under `folder`, made when it is not there.
    ///
    /// # Errors
    /// Fatal where the folder cannot be written, the file is damaged, or a newer version wrote it.
    pub fn open(folder: &Path, settings: Settings) -> Result<Arc<EmbeddedLog>, Reaction> {
        let path = file_of(folder);
        let (announce, appended) = watch::channel(0);
        let commands = Writer::start(&path, settings, announce)?;
        let reads = Reads::open(&path)?;
        Ok(Arc::new(EmbeddedLog { folder: folder.to_owned(), settings, commands, appended, reads }))
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<Result<T, Reaction>>) -> Command) -> Result<T, Reaction> {
        let (reply, answer) = oneshot::channel();
        let gone = || Reaction::fatal("the log's writer has stopped: see the message before this one");
        self.commands.send(command(reply)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

/// The reading half alone, for a process that must not write.
///
/// # Errors
/// Fatal where there is no log, or it cannot be read.
pub fn open_reader(folder: &Path) -> Result<Arc<dyn Reader>, Reaction> {
    Ok(Arc::new(Reads::open(&file_of(folder))?))
}

#[async_trait]
impl Producer for EmbeddedLog {
    async fn produce(&self, topic: &str, partition: u32, records: Vec<Record>) -> Result<Offset, Reaction> {
        if records.is_empty() {
            return self.bounds(topic, partition).await.map(|b| b.end);
        }
        let count = records.len() as u64;
        let encode = move || block::encode(&records).map_err(|e| Reaction::Rejected(e.to_string()));
        // Compressing a large batch takes milliseconds: not on a thread that others wait for.
        let data = tokio::task::spawn_blocking(encode).await.map_err(|e| Reaction::fatal(format!("encoding a batch failed: {e}")))??;
        let topic = topic.to_owned();
        self.ask(|reply| Command::Produce { topic, partition, records: count, data, reply }).await
    }
}

#[async_trait]
impl Reader for EmbeddedLog {
    async fn identity(&self) -> Result<String, Reaction> {
        self.reads.identity().await
    }
    async fn partitions(&self, topic: &str) -> Result<u32, Reaction> {
        self.reads.partitions(topic).await
    }
    async fn bounds(&self, topic: &str, partition: u32) -> Result<Bounds, Reaction> {
        self.reads.bounds(topic, partition).await
    }
    async fn read(&self, topic: &str, partition: u32, from: Offset, max_bytes: usize) -> Result<Vec<Stored>, Reaction> {
        self.reads.read(topic, partition, from, max_bytes).await
    }
    async fn committed(&self, group: &str, topic: &str) -> Result<Vec<(u32, Offset, String)>, Reaction> {
        self.reads.committed(group, topic).await
    }
}

#[async_trait]
impl Log for EmbeddedLog {
    async fn ensure_topics(&self, topics: &[TopicSpec], partitions: u32) -> Result<(), Reaction> {
        let topics = topics.to_vec();
        self.ask(|reply| Command::Ensure { topics, partitions, reply }).await
    }

    async fn subscribe(&self, group: &str, topics: &[&str]) -> Result<Box<dyn Consumer>, Reaction> {
        let holder = Holder::take(&self.folder, group)?;
        let names: Vec<String> = topics.iter().map(|t| (*t).to_owned()).collect();
        let name = group.to_owned();
        let Joined { epoch, partitions } = self.ask(|reply| Command::Join { group: name, topics: names, reply }).await?;
        Ok(Box::new(EmbeddedConsumer::new(holder, group, epoch, partitions, self.reads.another()?, self.commands.clone(), self.appended.clone(), self.settings.fetch_bytes)))
    }

    /// As it was made: nobody changes it.
    async fn keeps(&self, topic: &str) -> Result<Option<Duration>, Reaction> {
        Ok(reach::by_layout(topic))
    }

    async fn retain(&self) -> Result<u64, Reaction> {
        self.ask(|reply| Command::Retain { reply }).await
    }
}

#[cfg(test)]
mod tests;
