//! One member of a group: `membership` joins and leaves, `rebalance` takes partitions over and gives them up, `faults` says what an error asks for.
//!
//! What must stay true: partitions come and go as values, each answered to the group only when the caller comes back for the next
//! event, so that it has settled and committed before a partition is another's, and has sought before one is read; no record of a
//! partition is given before its `Assigned` or after its `Revoked`; a position that is not there is fatal, never reset; a commit of
//! a partition that is not ours never reaches the group, which would take it.

mod faults;
pub(super) mod membership;
mod rebalance;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::BorrowedMessage;
use rdkafka::{Message, Offset as Place, TopicPartitionList};
use tokio::sync::Notify;
use tokio::time::Instant;
use wh_schemas::Reaction;

use self::membership::joined;
use super::connect::{self, Cluster};
use super::events::GroupEvents;
use super::held::{Held, Key, Next};
use super::reader::KafkaReader;
use super::records;
use crate::pace::Pace;
use crate::{Commit, Consumer, Event, Fetched, Offset};

/// How long a queue that fell silent is believed to be empty. What comes wakes at once; this is for what is missed.
const SILENCE: Duration = Duration::from_millis(500);
/// The longest wait; more would be beyond what a clock can tell.
const LONGEST: Duration = Duration::from_secs(3_600);

/// A topic and how the cluster calls it.
struct Topic {
    name: Arc<str>,
    full: String,
}

/// What the group waits to be answered.
#[derive(Debug)]
enum Answer {
    Assign(Vec<Key>),
    Unassign(Vec<Key>),
}

/// A member of a group.
pub(super) struct KafkaConsumer {
    /// `None` once it leaves.
    client: Option<Arc<BaseConsumer<GroupEvents>>>,
    reader: KafkaReader,
    group: String,
    topics: Vec<Topic>,
    woken: Arc<Notify>,
    held: Held,
    answer: Option<Answer>,
    epoch: u64,
    fetch_bytes: usize,
    pace: Pace,
}

impl KafkaConsumer {
    /// Joins a group.
    pub(super) async fn join(cluster: &Arc<Cluster>, group: &str, topics: &[&str], fetch_bytes: usize) -> Result<KafkaConsumer, Reaction> {
        let settings = &cluster.settings;
        for topic in topics {
            cluster.partitions(topic).await?;
        }
        let topics: Vec<Topic> = topics.iter().map(|topic| Topic { name: Arc::from(*topic), full: settings.named(topic) }).collect();
        let woken = Arc::new(Notify::new());
        Ok(KafkaConsumer {
            client: Some(joined(cluster, group, &topics, &woken)?),
            reader: KafkaReader { cluster: Arc::clone(cluster) },
            group: group.to_owned(),
            topics,
            woken,
            held: Held::default(),
            answer: None,
            epoch: 0,
            fetch_bytes,
            pace: Pace::default(),
        })
    }

    /// Joins as a new member in the stead of one whose client knows no broker any more. What it read is given up: the group may have given it
    /// to others meanwhile.
    fn rejoin(&mut self) -> Result<Option<Event>, Reaction> {
        tracing::warn!(group = %self.group, "the member's client knew no broker any more: it joins anew");
        let fresh = joined(&self.reader.cluster, &self.group, &self.topics, &self.woken)?;
        if let Some(lost) = self.client.replace(fresh) {
            lost.context().leave();
            connect::close_behind(lost);
        }
        // What the group was to be answered, it asks the new member.
        self.answer = None;
        let keys: Vec<Key> = std::mem::take(&mut self.held).positions().into_iter().map(|(key, _)| key).collect();
        Ok((!keys.is_empty()).then(|| Event::Revoked { partitions: keys.iter().map(|key| self.place(*key)).collect() }))
    }

    fn cluster(&self) -> &Cluster {
        &self.reader.cluster
    }

    fn client(&self) -> Result<Arc<BaseConsumer<GroupEvents>>, Reaction> {
        self.client.clone().ok_or_else(|| Reaction::fatal(format!("the group {} was left", self.group)))
    }

    fn key(&self, topic: &str, partition: u32) -> Option<Key> {
        let number = self.topics.iter().position(|known| *known.name == *topic)?;
        Some((number, i32::try_from(partition).ok()?))
    }

    fn key_of(&self, full: &str, partition: i32) -> Option<Key> {
        self.topics.iter().position(|known| known.full == full).map(|number| (number, partition))
    }

    /// How callers call it.
    fn place(&self, (number, partition): Key) -> (Arc<str>, u32) {
        (self.topics.get(number).map_or_else(|| Arc::from(""), |topic| Arc::clone(&topic.name)), u32::try_from(partition).unwrap_or(0))
    }

    fn list(&self, keys: &[Key]) -> KafkaResult<TopicPartitionList> {
        let mut list = TopicPartitionList::with_capacity(keys.len());
        for (number, partition) in keys {
            let Some(topic) = self.topics.get(*number) else { continue };
            let offset = match self.held.next((*number, *partition)) {
                Some(Next::At(offset)) => Place::Offset(offset),
                Some(Next::Start) => Place::Beginning,
                None => Place::Invalid,
            };
            list.add_partition_offset(&topic.full, *partition, offset)?;
        }
        Ok(list)
    }

    /// Takes in what the client has, up to a fetch, without waiting. An error ends it.
    fn drain(&mut self) -> Result<Option<KafkaError>, Reaction> {
        let client = self.client()?;
        while !self.held.is_full(self.fetch_bytes) && !client.context().wants() {
            let served = client.context().served();
            match client.poll(Duration::ZERO) {
                Some(Ok(message)) => self.take(&message),
                Some(Err(error)) => return Ok(Some(error)),
                // A callback was served in the place of a record: there may be more behind it.
                None if client.context().served() != served => {}
                None => break,
            }
        }
        Ok(None)
    }

    fn take(&mut self, message: &BorrowedMessage<'_>) {
        let Some(key) = self.key_of(message.topic(), message.partition()) else { return };
        if self.held.wants(key, message.offset()) {
            self.held.take(key, message.offset(), records::stored(message));
        }
    }

    fn pause(&self, key: Key, paused: bool) {
        let Some(client) = &self.client else { return };
        let outcome = self.list(&[key]).and_then(|list| if paused { client.pause(&list) } else { client.resume(&list) });
        if let Err(error) = outcome {
            tracing::warn!(group = %self.group, partition = key.1, paused, "a partition was not paused or resumed: {error}");
        }
    }
}

fn signed(offset: Offset) -> i64 {
    i64::try_from(offset).unwrap_or(i64::MAX)
}

#[async_trait]
impl Consumer for KafkaConsumer {
    async fn poll(&mut self, wait: Duration) -> Result<Event, Reaction> {
        let until = Instant::now() + wait.min(LONGEST);
        if self.client()?.context().is_lost()
            && let Some(event) = self.rejoin()?
        {
            return Ok(event);
        }
        self.answered()?;
        self.sought().await?;
        loop {
            if let Some(event) = self.rebalanced().await? {
                return Ok(event);
            }
            let failed = self.drain()?;
            if let Some(error) = failed {
                self.failed(error).await?;
                continue;
            }
            if self.client()?.context().wants() {
                continue;
            }
            let now = Instant::now();
            let holds = self.pace.holds_until(now).filter(|_| !self.held.is_full(self.fetch_bytes));
            if holds.is_none() {
                self.pace.begin(self.held.waiting(), now);
                if let Some((key, records)) = self.held.give() {
                    self.pace.gave(1);
                    let (topic, partition) = self.place(key);
                    return Ok(Event::Records(Fetched { topic, partition, records }));
                }
                self.pace.end(now);
            }
            if now >= until {
                return Ok(Event::Idle);
            }
            let due = holds.filter(|_| self.held.waiting() > 0).unwrap_or(now + SILENCE);
            // Woken, or it is time to look again: both go on alike.
            let _woken = tokio::time::timeout_at(until.min(due), self.woken.notified()).await;
        }
    }

    fn seek(&mut self, topic: &str, partition: u32, offset: Offset) {
        if let Some(key) = self.key(topic, partition) {
            self.held.seek(key, signed(offset));
        }
    }

    fn set_pace(&mut self, every: Duration) {
        self.pace.set(every);
    }

    fn set_paused(&mut self, topic: &str, partition: u32, paused: bool) {
        if let Some(key) = self.key(topic, partition)
            && self.held.set_paused(key, paused)
        {
            self.pause(key, paused);
        }
    }

    /// A partition that is not ours is left out, and told as transient: its next owner's word counts.
    async fn commit(&mut self, commits: Vec<Commit>) -> Result<(), Reaction> {
        let leaving: &[Key] = if let Some(Answer::Unassign(keys)) = &self.answer { keys } else { &[] };
        let ours = |commit: &Commit| self.key(&commit.topic, commit.partition).filter(|key| self.held.contains(*key) || leaving.contains(key));
        let (mut wanted, mut others) = (Vec::new(), Vec::new());
        for commit in commits {
            match ours(&commit).and_then(|(number, partition)| Some((self.topics.get(number)?.full.clone(), partition))) {
                Some((full, partition)) => wanted.push((full, partition, signed(commit.next_offset), commit.metadata)),
                None => others.push(format!("{} partition {}", commit.topic, commit.partition)),
            }
        }
        if !wanted.is_empty() {
            let client = self.client()?;
            let committing = tokio::task::spawn_blocking(move || {
                let mut list = TopicPartitionList::with_capacity(wanted.len());
                for (full, partition, offset, note) in &wanted {
                    let mut place = list.add_partition(full, *partition);
                    place.set_offset(Place::Offset(*offset))?;
                    if !note.is_empty() {
                        place.set_metadata(note);
                    }
                }
                client.commit(&list, CommitMode::Sync)
            });
            let what = format!("committing for the group {}", self.group);
            let done = committing.await.map_err(|error| Reaction::fatal(format!("{}: {what}: {error}", self.cluster())))?;
            done.map_err(|error| self.cluster().reaction(&what, &error))?;
        }
        if others.is_empty() {
            return Ok(());
        }
        Err(Reaction::transient(format!("the group {}: not committed, since another member reads it now: {}", self.group, others.join(", "))))
    }
}
