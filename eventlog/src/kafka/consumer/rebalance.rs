//! How partitions come and go, and where each is read on.
//!
//! What must stay true: the group is answered when the caller comes back, never before; what the caller sought is where reading begins; nothing of a
//! partition that was given up is given out any more.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::{Offset as Place, TopicPartitionList};
use tokio::time::Instant;
use wh_schemas::Reaction;
use wh_stores::clock;

use super::super::errors;
use super::super::events::{GroupEvents, Rebalance};
use super::super::held::{Key, Next};
use super::{Answer, KafkaConsumer, signed};
use crate::{Assignment, Event, Offset};

/// How often a seek is tried again where reading has not begun yet.
const SEEK_AGAIN: Duration = Duration::from_millis(20);

impl KafkaConsumer {
    /// Answers what the caller was told of last: it has come back.
    pub(super) fn answered(&mut self) -> Result<(), Reaction> {
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
    pub(super) async fn sought(&mut self) -> Result<(), Reaction> {
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
    pub(super) async fn rebalanced(&mut self) -> Result<Option<Event>, Reaction> {
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
