//! One member of a group.
//!
//! What must stay true: partitions come and go as values, each answered to the group only when the caller comes back for the next
//! event, so that it has settled and committed before a partition is another's, and has sought before one is read; no record of a
//! partition is given before its `Assigned` or after its `Revoked`; a position that is not there is fatal, never reset; a commit of
//! a partition that is not ours never reaches the group, which would take it.

use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use async_trait::async_trait;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode as Code};
use rdkafka::message::BorrowedMessage;
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::{ClientConfig, Message, Offset as Place, TopicPartitionList};
use tokio::sync::Notify;
use tokio::time::Instant;
use wh_schemas::Reaction;
use wh_stores::clock;
use wh_stores::kafka::KafkaSettings;

use super::connect::{self, Cluster};
use super::events::{GroupEvents, Rebalance};
use super::held::{Held, Key, Next};
use super::reader::KafkaReader;
use super::{errors, records};
use crate::{Assignment, Commit, Consumer, Event, Fetched, Offset, Reader};

/// How long a queue that fell silent is believed to be empty. What comes wakes at once; this is for what is missed.
const SILENCE: Duration = Duration::from_millis(500);
/// The longest wait; more would be beyond what a clock can tell.
const LONGEST: Duration = Duration::from_secs(3_600);
/// How often a seek is tried again where reading has not begun yet.
const SEEK_AGAIN: Duration = Duration::from_millis(20);
/// How long leaving the group may hold up whoever ends. It goes on by itself behind that.
const LEAVE: Duration = Duration::from_secs(3);

/// What a member is told beside what every reader is.
pub(super) fn member(settings: &KafkaSettings, group: &str) -> Result<ClientConfig, Reaction> {
    let mut config = connect::reading(settings, group)?;
    config
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("session.timeout.ms", settings.session_timeout.as_millis().to_string())
        .set("heartbeat.interval.ms", settings.heartbeat.as_millis().to_string())
        .set("max.poll.interval.ms", settings.max_poll_interval.as_millis().to_string())
        .set("fetch.min.bytes", settings.fetch_min_bytes.to_string())
        .set("fetch.wait.max.ms", settings.fetch_wait.as_millis().to_string())
        .set("queued.max.messages.kbytes", settings.queued_kib.to_string());
    if let Some(name) = &settings.group_instance_id {
        config.set("group.instance.id", name);
    }
    Ok(config)
}

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

    /// Answers what the caller was told of last: it has come back.
    fn answered(&mut self) -> Result<(), Reaction> {
        let Some(answer) = self.answer.take() else { return Ok(()) };
        let client = self.client()?;
        let (keys, outcome) = match answer {
            Answer::Assign(keys) => {
                let outcome = self.list(&keys).and_then(|list| client.incremental_assign(&list));
                (keys, outcome)
            }
            Answer::Unassign(keys) => {
                let outcome = self.list(&keys).and_then(|list| client.incremental_unassign(&list));
                (keys, outcome)
            }
        };
        // The group would wait for ever.
        outcome.map_err(|error| {
            Reaction::fatal(format!("{}: the group {}: partitions were not taken over or given up: {error}: start the stage again", self.cluster(), self.group))
        })?;
        for key in keys {
            if self.held.begin(key) {
                self.pause(key, true);
            }
        }
        Ok(())
    }

    /// Moves the client to where the caller has sought in partitions that it reads already.
    async fn sought(&mut self) -> Result<(), Reaction> {
        let timeout = self.cluster().settings.request_timeout;
        let (deadline, what) = (Instant::now() + timeout, format!("{}: the group {}: seeking", self.cluster(), self.group));
        loop {
            let keys = self.held.seeks();
            if keys.is_empty() {
                return Ok(());
            }
            let client = self.client()?;
            let list = self.list(&keys).map_err(|error| errors::reaction(&what, &error))?;
            let seeking = tokio::task::spawn_blocking(move || {
                let list = client.seek_partitions(list, timeout)?;
                let moved = |place: &TopicPartitionListElem<'_>| place.error().is_ok().then(|| (place.topic().to_owned(), place.partition()));
                Ok::<Vec<(String, i32)>, KafkaError>(list.elements().iter().filter_map(moved).collect())
            });
            let moved = seeking.await.map_err(|error| Reaction::fatal(format!("{what}: {error}")))?;
            for (full, partition) in moved.map_err(|error| Reaction::transient(format!("{what}: {error}")))? {
                if let Some(key) = self.key_of(&full, partition) {
                    self.held.sought(key);
                }
            }
            if !self.held.seeks().is_empty() {
                // A partition that was just taken over is not read yet.
                if Instant::now() >= deadline {
                    return Err(Reaction::transient(format!("{what}: reading has not begun")));
                }
                tokio::time::sleep(SEEK_AGAIN).await;
            }
        }
    }

    /// What the group wants, as an event; it is answered when the caller comes back.
    async fn rebalanced(&mut self) -> Result<Option<Event>, Reaction> {
        let client = self.client()?;
        let Some(wanted) = client.context().wanted() else { return Ok(None) };
        match wanted {
            Rebalance::Revoke(places) => {
                let lost = client.assignment_lost();
                drop(client.context().told());
                let keys: Vec<Key> = places.iter().filter_map(|(full, partition)| self.key_of(full, *partition)).collect();
                for key in &keys {
                    if self.held.is_paused(*key) {
                        // The client would remember it when the partition is ours again.
                        self.pause(*key, false);
                    }
                    self.held.forget(*key);
                }
                tracing::info!(group = %self.group, partitions = ?keys, lost, "partitions given up");
                let partitions = keys.iter().map(|key| self.place(*key)).collect();
                self.answer = Some(Answer::Unassign(keys));
                Ok(Some(Event::Revoked { partitions }))
            }
            Rebalance::Assign(places) => {
                let committed = self.committed(&client, &places).await?;
                drop(client.context().told());
                let mut keys = Vec::with_capacity(places.len());
                let mut partitions = Vec::with_capacity(places.len());
                for ((full, partition), committed) in places.iter().zip(committed) {
                    let Some(key) = self.key_of(full, *partition) else { continue };
                    let next = committed.as_ref().map_or(Next::Start, |(offset, _)| Next::At(signed(*offset)));
                    self.held.hold(key, next);
                    let (topic, partition) = self.place(key);
                    partitions.push(Assignment { topic, partition, committed });
                    keys.push(key);
                }
                // The group's own generation, by which it refuses late commits, is not told by the client. Time goes on over restarts too.
                self.epoch = u64::try_from(clock::now().0).unwrap_or(0).max(self.epoch + 1);
                tracing::info!(group = %self.group, partitions = ?keys, epoch = self.epoch, "partitions taken over");
                self.answer = Some(Answer::Assign(keys));
                Ok(Some(Event::Assigned { epoch: self.epoch, partitions }))
            }
        }
    }

    /// What the group has committed of partitions, in their order.
    async fn committed(&self, client: &Arc<BaseConsumer<GroupEvents>>, places: &[(String, i32)]) -> Result<Vec<Option<(Offset, String)>>, Reaction> {
        let (client, places, timeout) = (Arc::clone(client), places.to_vec(), self.cluster().settings.request_timeout);
        let asking = tokio::task::spawn_blocking(move || committed(&client, &places, timeout));
        let what = format!("what the group {} has committed", self.group);
        let found = asking.await.map_err(|error| Reaction::fatal(format!("{}: {what}: {error}", self.cluster())))?;
        found.map_err(|error| self.cluster().reaction(&what, &error))
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

    /// What an error of the client asks for; `Ok` where it goes on by itself.
    async fn failed(&mut self, error: KafkaError) -> Result<(), Reaction> {
        let what = format!("the group {}", self.group);
        let ended = matches!(error, KafkaError::MessageConsumptionFatal(_));
        match errors::code_of(&error) {
            Some(Code::AutoOffsetReset | Code::OffsetOutOfRange | Code::LogTruncation) => Err(self.position_gone(&error).await),
            Some(Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition | Code::UnknownTopicId) => {
                for topic in &self.topics {
                    if let Ok(None) = self.cluster().described(&topic.name).await {
                        return Err(Reaction::fatal(format!(
                            "the log has no topic {} any more ({}): restore it, and the stores that read it, from a backup",
                            topic.name,
                            self.cluster()
                        )));
                    }
                }
                Ok(())
            }
            Some(Code::PollExceeded) => {
                tracing::warn!(group = %self.group, "a batch took longer than kafka.max_poll_interval_ms: partitions went to other members and are taken over anew");
                Ok(())
            }
            _ => match self.cluster().reaction(&what, &error) {
                Reaction::Fatal(said) => Err(Reaction::Fatal(said)),
                other if ended => Err(Reaction::fatal(other.to_string())),
                // Told by the client's own lines. It tries again.
                _ => Ok(()),
            },
        }
    }

    /// Which position is not there. The client says only that one is not.
    async fn position_gone(&self, error: &KafkaError) -> Reaction {
        for (key, next) in self.held.positions() {
            let (topic, partition) = self.place(key);
            if let Next::At(next) = next
                && let Ok(bounds) = self.reader.bounds(&topic, partition).await
            {
                let next = u64::try_from(next).unwrap_or(0);
                if next < bounds.start || next > bounds.end {
                    return errors::position_gone(&topic, partition, next, bounds);
                }
            }
        }
        self.cluster().reaction(&format!("the group {}", self.group), error)
    }

    fn pause(&self, key: Key, paused: bool) {
        let Some(client) = &self.client else { return };
        let outcome = self.list(&[key]).and_then(|list| if paused { client.pause(&list) } else { client.resume(&list) });
        if let Err(error) = outcome {
            tracing::warn!(group = %self.group, partition = key.1, paused, "a partition was not paused or resumed: {error}");
        }
    }
}

/// A new member of a group, which reads these topics.
fn joined(cluster: &Cluster, group: &str, topics: &[Topic], woken: &Arc<Notify>) -> Result<Arc<BaseConsumer<GroupEvents>>, Reaction> {
    let settings = &cluster.settings;
    let events = GroupEvents::new(Arc::clone(&cluster.trouble));
    let mut client: BaseConsumer<GroupEvents> = member(settings, group)?.create_with_context(events).map_err(|error| connect::not_made(settings, &error))?;
    let wake = Arc::clone(woken);
    client.set_nonempty_callback(move || wake.notify_one());
    let names: Vec<&str> = topics.iter().map(|topic| topic.full.as_str()).collect();
    client.subscribe(&names).map_err(|error| cluster.reaction(&format!("joining the group {group}"), &error))?;
    Ok(Arc::new(client))
}

fn signed(offset: Offset) -> i64 {
    i64::try_from(offset).unwrap_or(i64::MAX)
}

fn committed(client: &BaseConsumer<GroupEvents>, places: &[(String, i32)], timeout: Duration) -> KafkaResult<Vec<Option<(Offset, String)>>> {
    let mut list = TopicPartitionList::with_capacity(places.len());
    for (full, partition) in places {
        list.add_partition(full, *partition);
    }
    let list = client.committed_offsets(list, timeout)?;
    let mut found = Vec::with_capacity(places.len());
    for (full, partition) in places {
        let place = list.find_partition(full, *partition);
        found.push(match place {
            None => None,
            Some(place) => {
                place.error()?;
                match place.offset() {
                    Place::Offset(offset) => Some((u64::try_from(offset).unwrap_or(0), place.metadata().to_owned())),
                    _ => None,
                }
            }
        });
    }
    Ok(found)
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
            if let Some((key, records)) = self.held.give() {
                let (topic, partition) = self.place(key);
                return Ok(Event::Records(Fetched { topic, partition, records }));
            }
            let now = Instant::now();
            if now >= until {
                return Ok(Event::Idle);
            }
            // Woken, or it is time to look again: both go on alike.
            let _woken = tokio::time::timeout_at(until.min(now + SILENCE), self.woken.notified()).await;
        }
    }

    fn seek(&mut self, topic: &str, partition: u32, offset: Offset) {
        if let Some(key) = self.key(topic, partition) {
            self.held.seek(key, signed(offset));
        }
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

impl Drop for KafkaConsumer {
    /// Leaves the group, so that others take over at once. It waits for that, but not long: it may be a thread of the runtime's.
    fn drop(&mut self) {
        let Some(client) = self.client.take() else { return };
        client.context().leave();
        // What the group still waits for: told and not answered, or not even told.
        let mut lists = Vec::new();
        match self.answer.take() {
            Some(Answer::Assign(keys)) => lists.push((true, self.list(&keys))),
            Some(Answer::Unassign(keys)) => lists.push((false, self.list(&keys))),
            None => {}
        }
        while let Some(wanted) = client.context().told() {
            let (assign, places) = match wanted {
                Rebalance::Assign(places) => (true, places),
                Rebalance::Revoke(places) => (false, places),
            };
            let keys: Vec<Key> = places.iter().filter_map(|(full, partition)| self.key_of(full, *partition)).collect();
            lists.push((assign, self.list(&keys)));
        }
        let (left, leaving) = mpsc::sync_channel::<()>(1);
        let thread = thread::Builder::new().name("kafka-leave".to_owned()).spawn(move || {
            for (assign, list) in lists {
                let outcome = list.and_then(|list| if assign { client.incremental_assign(&list) } else { client.incremental_unassign(&list) });
                if let Err(error) = outcome {
                    tracing::debug!("leaving a group: {error}");
                }
            }
            drop(client);
            drop(left);
        });
        match thread {
            // It ends when the other side is dropped.
            Ok(_) if leaving.recv_timeout(LEAVE) == Err(mpsc::RecvTimeoutError::Timeout) => tracing::debug!(group = %self.group, "leaving the group goes on behind"),
            Ok(_) => {}
            Err(error) => tracing::debug!(group = %self.group, "the group was left in place: {error}"),
        }
    }
}
