//! A log on Kafka as the store of its role.
//!
//! What must stay true: nothing connects before something is read; what cannot be reached now is tried again by the next query.

use std::fmt;
use std::sync::Arc;

use tokio::sync::OnceCell;
use wh_eventlog::Reader;
use wh_eventlog::kafka::KafkaReader;
use wh_schemas::{Reaction, arrow as tables, topics};
use wh_stores::kafka::KafkaSettings;

use super::scan::KafkaScan;
use crate::errors::QueryError;
use crate::log::relation;
use crate::store::{RoleStore, wait};
use crate::table::Relation;

/// The topics of a log on Kafka.
pub(crate) struct KafkaTopics {
    settings: KafkaSettings,
    reader: OnceCell<KafkaReader>,
}

impl KafkaTopics {
    /// No I/O.
    pub(crate) fn new(settings: KafkaSettings) -> KafkaTopics {
        KafkaTopics { settings, reader: OnceCell::new() }
    }

    /// The reading half of the log, connected by the first who asks.
    pub(crate) async fn reader(&self) -> Result<&KafkaReader, QueryError> {
        self.reader.get_or_try_init(|| KafkaReader::open(&self.settings)).await.map_err(|reaction| failed(&reaction))
    }
}

/// What a failure of the log says to an analyst.
pub(super) fn failed(reaction: &Reaction) -> QueryError {
    let remedy = match reaction {
        Reaction::Transient { .. } => "ask again once the brokers answer",
        Reaction::Rejected(_) | Reaction::Fatal(_) => "`wardhouse doctor` tells more",
    };
    QueryError::Store { role: "log", message: reaction.to_string(), remedy: remedy.to_owned() }
}

impl fmt::Debug for KafkaTopics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaTopics").field("place", &self.settings.place()).finish_non_exhaustive()
    }
}

impl RoleStore for KafkaTopics {
    fn kind(&self) -> &'static str {
        "kafka"
    }

    fn place(&self) -> String {
        self.settings.place()
    }

    /// Topics have no layout of ours; that they answer is what is asked for.
    fn layout(&self) -> Result<Option<i64>, QueryError> {
        wait(async {
            let reader = self.reader().await?;
            if reader.partitions_if_any(topics::SYSTEM_EVENTS).await.map_err(|reaction| failed(&reaction))?.is_some() {
                reader.bounds(topics::SYSTEM_EVENTS, 0).await.map_err(|reaction| failed(&reaction))?;
            }
            Ok(None)
        })
    }

    fn bytes(&self) -> Option<u64> {
        None
    }

    fn relations(self: Arc<Self>) -> Vec<Relation> {
        let scan = |topic: &topics::TopicSpec| {
            relation(topic.name, Arc::new(KafkaScan { store: Arc::clone(&self), topic: topic.name, schema: tables::topic_named(topic.name), surveys: Arc::default() }))
        };
        topics::ALL.iter().map(scan).collect()
    }
}
