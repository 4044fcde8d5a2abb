//! The topics of a log on Kafka as tables: `log.<topic>`.

mod ranges;
mod scan;
mod store;

pub(crate) use store::KafkaTopics;
