//! How a member joins its group, and how it leaves.
//!
//! What must stay true: the group is left also where it waits to be answered; whoever ends is not held up for long.

use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use tokio::sync::Notify;
use wh_schemas::Reaction;
use wh_stores::kafka::KafkaSettings;

use super::super::connect::{self, Cluster};
use super::super::events::{GroupEvents, Rebalance};
use super::super::held::Key;
use super::{Answer, KafkaConsumer, Topic};

/// How long leaving the group may hold up whoever ends. It goes on by itself behind that.
const LEAVE: Duration = Duration::from_secs(3);

/// What a member is told beside what every reader is.
pub(in crate::kafka) fn member(settings: &KafkaSettings, group: &str) -> Result<ClientConfig, Reaction> {
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

/// A new member of a group, which reads these topics.
pub(super) fn joined(cluster: &Cluster, group: &str, topics: &[Topic], woken: &Arc<Notify>) -> Result<Arc<BaseConsumer<GroupEvents>>, Reaction> {
    let settings = &cluster.settings;
    let events = GroupEvents::new(Arc::clone(&cluster.trouble));
    let mut client: BaseConsumer<GroupEvents> = member(settings, group)?.create_with_context(events).map_err(|error| connect::not_made(settings, &error))?;
    let wake = Arc::clone(woken);
    client.set_nonempty_callback(move || wake.notify_one());
    let names: Vec<&str> = topics.iter().map(|topic| topic.full.as_str()).collect();
    client.subscribe(&names).map_err(|error| cluster.reaction(&format!("joining the group {group}"), &error))?;
    Ok(Arc::new(client))
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
