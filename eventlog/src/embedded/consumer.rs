//! One member of a group on the embedded log: owns every partition of its topics while it holds the group's lock.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use wh_schemas::Reaction;
use wh_stores::holder::Holder;

use super::reads::{self, Reads};
use super::writer::Command;
use crate::pace::Pace;
use crate::{Assignment, Commit, Consumer, Event, Fetched, Offset};

/// How long to wait for another process's appends, which nothing announces.
const FOREIGN_APPENDS: Duration = Duration::from_millis(50);

struct Owned {
    topic: Arc<str>,
    partition: u32,
    position: Offset,
    paused: bool,
}

pub(super) struct EmbeddedConsumer {
    _holder: Holder,
    group: String,
    epoch: u64,
    announced: Option<Vec<Assignment>>,
    owned: Vec<Owned>,
    next: usize,
    reads: Reads,
    commands: mpsc::Sender<Command>,
    appended: watch::Receiver<u64>,
    fetch_bytes: usize,
    pace: Pace,
}

impl EmbeddedConsumer {
    #[expect(clippy::too_many_arguments, reason = "called once, by the log that has them all")]
    pub(super) fn new(
        holder: Holder,
        group: &str,
        epoch: u64,
        partitions: Vec<(Assignment, Offset)>,
        reads: Reads,
        commands: mpsc::Sender<Command>,
        appended: watch::Receiver<u64>,
        fetch_bytes: usize,
    ) -> EmbeddedConsumer {
        let owned = partitions.iter().map(|(a, position)| Owned { topic: a.topic.clone(), partition: a.partition, position: *position, paused: false }).collect();
        let partitions = partitions.into_iter().map(|(assignment, _)| assignment).collect();
        EmbeddedConsumer {
            _holder: holder,
            group: group.to_owned(),
            epoch,
            announced: Some(partitions),
            owned,
            next: 0,
            reads,
            commands,
            appended,
            fetch_bytes,
            pace: Pace::default(),
        }
    }

    /// Records of the first partition of the round that has some, beginning behind the one that was served last.
    async fn fetch(&mut self) -> Result<Option<Fetched>, Reaction> {
        let count = self.owned.len();
        self.pace.begin(count, Instant::now());
        let order: Vec<(usize, Arc<str>, u32, Offset)> = (0..self.pace.left().min(count))
            .map(|i| (self.next + i) % count)
            .filter(|i| !self.owned[*i].paused)
            .map(|i| (i, self.owned[i].topic.clone(), self.owned[i].partition, self.owned[i].position))
            .collect();
        let max_bytes = self.fetch_bytes;
        let found = self
            .reads
            .run(move |connection| {
                for (i, topic, partition, position) in order {
                    let records = reads::fetch(connection, &topic, partition, position, max_bytes)?;
                    if !records.is_empty() {
                        return Ok(Some((i, Fetched { topic, partition, records })));
                    }
                }
                Ok(None)
            })
            .await?;
        let Some((i, fetched)) = found else {
            self.pace.end(Instant::now());
            return Ok(None);
        };
        self.pace.gave((i + count - self.next) % count + 1);
        if fetched.records.iter().map(reads::weight).sum::<usize>() >= max_bytes {
            self.pace.hurry();
        }
        self.next = (i + 1) % count;
        if let Some(last) = fetched.records.last() {
            self.owned[i].position = last.offset + 1;
        }
        Ok(Some(fetched))
    }
}

#[async_trait]
impl Consumer for EmbeddedConsumer {
    async fn poll(&mut self, wait: Duration) -> Result<Event, Reaction> {
        if let Some(partitions) = self.announced.take() {
            return Ok(Event::Assigned { epoch: self.epoch, partitions });
        }
        let until = Instant::now() + wait;
        loop {
            if let Some(due) = self.pace.holds_until(Instant::now()) {
                tokio::time::sleep_until(due.min(until)).await;
                if due > until {
                    return Ok(Event::Idle);
                }
                continue;
            }
            self.appended.mark_unchanged();
            let half_given = self.pace.is_half_given();
            if let Some(fetched) = self.fetch().await? {
                return Ok(Event::Records(fetched));
            }
            if half_given {
                // Only partitions that had no turn in it were looked at.
                continue;
            }
            let now = Instant::now();
            if now >= until {
                return Ok(Event::Idle);
            }
            let pause = FOREIGN_APPENDS.min(until - now);
            // An append here, time for another process's, or the writer's end, which the next produce or commit tells.
            if let Ok(Err(_)) = tokio::time::timeout(pause, self.appended.changed()).await {
                tokio::time::sleep(pause).await;
            }
        }
    }

    fn seek(&mut self, topic: &str, partition: u32, offset: Offset) {
        for owned in self.owned.iter_mut().filter(|o| &*o.topic == topic && o.partition == partition) {
            owned.position = offset;
        }
    }

    fn set_pace(&mut self, every: Duration) {
        self.pace.set(every);
    }

    fn set_paused(&mut self, topic: &str, partition: u32, paused: bool) {
        for owned in self.owned.iter_mut().filter(|o| &*o.topic == topic && o.partition == partition) {
            owned.paused = paused;
        }
    }

    async fn commit(&mut self, commits: Vec<Commit>) -> Result<(), Reaction> {
        if commits.is_empty() {
            return Ok(());
        }
        let (reply, answer) = oneshot::channel();
        let gone = || Reaction::fatal("the log's writer has stopped: see the message before this one");
        let command = Command::Commit { group: self.group.clone(), epoch: self.epoch, commits, reply };
        self.commands.send(command).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}
