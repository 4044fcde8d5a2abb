//! Where each role's store is, with the validated settings of its client.

#![expect(clippy::large_enum_variant, reason = "there is one of each in a process")]

use std::path::PathBuf;

use crate::elasticsearch::ElasticsearchSettings;
use crate::influxdb::InfluxdbSettings;
use crate::kafka::KafkaSettings;
use crate::mongodb::MongodbSettings;
use crate::postgres::PostgresSettings;
use crate::redis::RedisSettings;

/// Where the log is.
#[derive(Clone, Debug)]
pub enum LogPlace {
    /// Folder of the embedded log.
    Sqlite(PathBuf),
    /// A Kafka cluster.
    Kafka(KafkaSettings),
}

/// Where the ledger is.
#[derive(Clone, Debug)]
pub enum LedgerPlace {
    /// A SQLite file.
    Sqlite(PathBuf),
    /// A PostgreSQL database.
    Postgres(PostgresSettings),
}

/// Where the documents are.
#[derive(Clone, Debug)]
pub enum DocumentsPlace {
    /// A SQLite file.
    Sqlite(PathBuf),
    /// A MongoDB database.
    Mongodb(MongodbSettings),
}

/// Where the metrics are.
#[derive(Clone, Debug)]
pub enum MetricsPlace {
    /// A SQLite file.
    Sqlite(PathBuf),
    /// An InfluxDB bucket.
    Influxdb(InfluxdbSettings),
}

/// Where the baselines are.
#[derive(Clone, Debug)]
pub enum BaselinesPlace {
    /// A SQLite file.
    Sqlite(PathBuf),
    /// A Redis server.
    Redis(RedisSettings),
}

/// Where the search index is.
#[derive(Clone, Debug)]
pub enum SearchPlace {
    /// Folder of a Tantivy index.
    Tantivy(PathBuf),
    /// An Elasticsearch cluster.
    Elasticsearch(ElasticsearchSettings),
}

/// Where each role's store is. One that is not there yet, or does not answer, is no error: its tables say so when they are read.
#[derive(Clone, Debug)]
pub struct Places {
    /// The log.
    pub log: LogPlace,
    /// The ledger.
    pub ledger: LedgerPlace,
    /// The documents.
    pub documents: DocumentsPlace,
    /// The metrics.
    pub metrics: MetricsPlace,
    /// The baselines.
    pub baselines: BaselinesPlace,
    /// The search store.
    pub search: SearchPlace,
}
