//! Opens what the settings name: the log, a sink's store, the scorer's checkpoints; and asks each how far it has come.

use std::sync::Arc;

use wh_eventlog::embedded::EmbeddedLog;
use wh_eventlog::kafka::{KafkaLog, KafkaReader};
use wh_eventlog::{Log, Reader};
use wh_ops::status::ScorerPartition;
use wh_schemas::{Reaction, layout, topics};
use wh_scorer::state::CheckpointStore;
use wh_scorer::state::sqlite::SqliteCheckpoints;
use wh_sinks::delivery::{Store, StorePosition};
use wh_sinks::{sqlite, tantivy};
use wh_stores::Role;
use wh_stores::places::{BaselinesPlace, DocumentsPlace, LedgerPlace, LogPlace, MetricsPlace, SearchPlace};

use crate::args::StoreName;
use crate::settings::Settings;

/// Opens the log and makes its topics.
///
/// # Errors
/// What the log says.
pub(crate) async fn open_log(settings: &Settings) -> Result<Arc<dyn Log>, Reaction> {
    let log: Arc<dyn Log> = match &settings.places.log {
        LogPlace::Sqlite(folder) => EmbeddedLog::open(folder, settings.log_sizes)?,
        LogPlace::Kafka(kafka) => KafkaLog::open(kafka, settings.log_sizes.fetch_bytes).await?,
    };
    log.ensure_topics(&topics::ALL, settings.partitions).await?;
    Ok(log)
}

/// Opens the log for reading; it must be there.
///
/// # Errors
/// What the log says.
pub(crate) async fn open_reader(settings: &Settings) -> Result<Arc<dyn Reader>, Reaction> {
    match &settings.places.log {
        LogPlace::Sqlite(folder) => wh_eventlog::embedded::open_reader(folder),
        LogPlace::Kafka(kafka) => Ok(Arc::new(KafkaReader::open(kafka).await?)),
    }
}

/// Opens the store of a sink.
///
/// # Errors
/// What the store says.
pub(crate) async fn open_store(settings: &Settings, store: StoreName) -> Result<Box<dyn Store>, Reaction> {
    let places = &settings.places;
    Ok(match store {
        StoreName::Ledger => match &places.ledger {
            LedgerPlace::Sqlite(path) => Box::new(sqlite::LedgerStore::open(path, settings.zone)?),
            LedgerPlace::Postgres(postgres) => Box::new(wh_sinks::postgres::LedgerStore::open(postgres, settings.zone).await?),
        },
        StoreName::Documents => match &places.documents {
            DocumentsPlace::Sqlite(path) => Box::new(sqlite::DocumentsStore::open(path)?),
            DocumentsPlace::Mongodb(mongodb) => Box::new(wh_sinks::mongodb::DocumentsStore::open(&mongodb.clone().with_retention(settings.retention)).await?),
        },
        StoreName::Metrics => match &places.metrics {
            MetricsPlace::Sqlite(path) => Box::new(sqlite::MetricsStore::open(path)?),
            MetricsPlace::Influxdb(influxdb) => Box::new(wh_sinks::influxdb::MetricsStore::open(influxdb).await?),
        },
        StoreName::Search => match &places.search {
            SearchPlace::Tantivy(folder) => Box::new(tantivy::SearchStore::open(folder)?),
            SearchPlace::Elasticsearch(elasticsearch) => Box::new(wh_sinks::elasticsearch::SearchStore::open(elasticsearch.clone()).await?),
        },
    })
}

/// Opens the scorer's checkpoints.
///
/// # Errors
/// What the store says.
pub(crate) async fn open_checkpoints(settings: &Settings) -> Result<Box<dyn CheckpointStore>, Reaction> {
    Ok(match &settings.places.baselines {
        BaselinesPlace::Sqlite(path) => Box::new(SqliteCheckpoints::open(path)?),
        BaselinesPlace::Redis(redis) => Box::new(wh_scorer::state::redis::RedisCheckpoints::open(redis).await?),
    })
}

/// How far a sink's store says that it has come with the scored stream.
///
/// # Errors
/// What the store says.
pub(crate) async fn positions(settings: &Settings, store: StoreName) -> Result<Vec<StorePosition>, Reaction> {
    const STREAM: &str = "scorer";
    let places = &settings.places;
    match store {
        StoreName::Ledger => match &places.ledger {
            LedgerPlace::Sqlite(path) => sqlite::file::read_positions(path, &layout::LEDGER, STREAM),
            LedgerPlace::Postgres(postgres) => wh_sinks::postgres::read_positions(postgres, STREAM).await,
        },
        StoreName::Documents => match &places.documents {
            DocumentsPlace::Sqlite(path) => sqlite::file::read_positions(path, &layout::DOCUMENTS, STREAM),
            DocumentsPlace::Mongodb(mongodb) => wh_sinks::mongodb::read_positions(mongodb, STREAM).await,
        },
        StoreName::Metrics => match &places.metrics {
            MetricsPlace::Sqlite(path) => sqlite::file::read_positions(path, &layout::METRICS, STREAM),
            MetricsPlace::Influxdb(influxdb) => wh_sinks::influxdb::read_positions(influxdb, STREAM).await,
        },
        StoreName::Search => match &places.search {
            SearchPlace::Tantivy(folder) => tantivy::read_positions(folder, STREAM),
            SearchPlace::Elasticsearch(elasticsearch) => wh_sinks::elasticsearch::read_positions(elasticsearch, STREAM).await,
        },
    }
}

/// What the scorer's checkpoints say of each partition.
///
/// # Errors
/// What the store says.
pub(crate) async fn scorer(settings: &Settings) -> Result<Vec<ScorerPartition>, Reaction> {
    let partitions = match &settings.places.baselines {
        BaselinesPlace::Sqlite(path) => wh_scorer::state::sqlite::read_partitions(path)?,
        BaselinesPlace::Redis(redis) => wh_scorer::state::redis::read_partitions(redis).await?,
    };
    Ok(partitions.into_iter().map(|(next_offset, record)| ScorerPartition { next_offset, counts: record.counts }).collect())
}

/// Makes what a role's server lacks; a sentence for each thing done. What is embedded is made by its first start.
///
/// # Errors
/// What the server says.
pub(crate) async fn migrate(settings: &Settings, role: Role) -> Result<Vec<String>, Reaction> {
    let places = &settings.places;
    match role {
        Role::Log => match &places.log {
            LogPlace::Sqlite(_) => Ok(Vec::new()),
            LogPlace::Kafka(kafka) => KafkaLog::open(kafka, settings.log_sizes.fetch_bytes).await?.migrate(&topics::ALL, settings.partitions).await,
        },
        Role::Ledger => match &places.ledger {
            LedgerPlace::Sqlite(_) => Ok(Vec::new()),
            LedgerPlace::Postgres(postgres) => wh_stores::postgres::layout::ensure(&mut wh_stores::postgres::connect(postgres).await?, postgres).await,
        },
        Role::Documents => match &places.documents {
            DocumentsPlace::Sqlite(_) => Ok(Vec::new()),
            DocumentsPlace::Mongodb(mongodb) => {
                let mongodb = mongodb.clone().with_retention(settings.retention);
                wh_stores::mongodb::layout::ensure(&wh_stores::mongodb::connect(&mongodb).await?, &mongodb).await
            }
        },
        Role::Metrics => match &places.metrics {
            MetricsPlace::Sqlite(_) => Ok(Vec::new()),
            MetricsPlace::Influxdb(influxdb) => wh_stores::influxdb::layout::ensure(&wh_stores::influxdb::connect(influxdb).await?).await,
        },
        Role::Baselines => match &places.baselines {
            BaselinesPlace::Sqlite(_) => Ok(Vec::new()),
            BaselinesPlace::Redis(redis) => wh_stores::redis::layout::ensure(&mut wh_stores::redis::connect(redis).await?, redis).await,
        },
        Role::Search => match &places.search {
            SearchPlace::Tantivy(_) => Ok(Vec::new()),
            SearchPlace::Elasticsearch(elasticsearch) => wh_stores::elasticsearch::layout::ensure(&wh_stores::elasticsearch::connect(elasticsearch).await?, elasticsearch).await,
        },
    }
}
