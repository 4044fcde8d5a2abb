//! Kafka, the server of the log role: its settings. Everything else of it is in `wh_eventlog::kafka`.

pub mod settings;

pub use settings::{Compression, KafkaSettings, Mechanism, RawKafka, Tls};
