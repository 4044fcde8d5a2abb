//! Opens what the settings name: the log, a sink's store, the scorer's checkpoints; and asks each how far it has come.

use std::sync::Arc;

use wh_eventlog::embedded::EmbeddedLog;
use wh_eventlog::kafka::{KafkaLog, KafkaReader};
use wh_eventlog::{Log, Reader};
use wh_ops::status::{Patterns, ScorerPartition, Sink};
use wh_schemas::{Reaction, layout, topics};
use wh_scorer::partition::{PartitionRecord, Position};
use wh_scorer::state::CheckpointStore;
use wh_scorer::state::patterns::PatternCheckpoints;
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

/// Opens the checkpoints of patterns by account: the same store by a connection of its own.
///
/// # Errors
/// What the store says.
pub(crate) async fn open_pattern_checkpoints(settings: &Settings) -> Result<Box<dyn PatternCheckpoints>, Reaction> {
    Ok(match &settings.places.baselines {
        BaselinesPlace::Sqlite(path) => Box::new(SqliteCheckpoints::open(path)?),
        BaselinesPlace::Redis(redis) => Box::new(wh_scorer::state::redis::RedisCheckpoints::open(redis).await?),
    })
}

/// What each sink's store says of itself.
///
/// # Errors
/// What the store says.
pub(crate) async fn sinks(settings: &Settings) -> Result<Vec<Sink<'static>>, Reaction> {
    let mut sinks = Vec::new();
    for (name, store) in [("ledger", StoreName::Ledger), ("documents", StoreName::Documents), ("metrics", StoreName::Metrics), ("search", StoreName::Search)] {
        let scorer = positions(settings, store, "scorer").await?;
        let patterns = if matches!(store, StoreName::Ledger | StoreName::Search) { Some(positions(settings, store, "patterns").await?) } else { None };
        sinks.push(Sink { name, scorer, patterns });
    }
    Ok(sinks)
}

/// How far a sink's store says that it has come with a stream.
async fn positions(settings: &Settings, store: StoreName, stream: &str) -> Result<Vec<StorePosition>, Reaction> {
    let places = &settings.places;
    match store {
        StoreName::Ledger => match &places.ledger {
            LedgerPlace::Sqlite(path) => sqlite::file::read_positions(path, &layout::LEDGER, stream),
            LedgerPlace::Postgres(postgres) => wh_sinks::postgres::read_positions(postgres, stream).await,
        },
        StoreName::Documents => match &places.documents {
            DocumentsPlace::Sqlite(path) => sqlite::file::read_positions(path, &layout::DOCUMENTS, stream),
            DocumentsPlace::Mongodb(mongodb) => wh_sinks::mongodb::read_positions(mongodb, stream).await,
        },
        StoreName::Metrics => match &places.metrics {
            MetricsPlace::Sqlite(path) => sqlite::file::read_positions(path, &layout::METRICS, stream),
            MetricsPlace::Influxdb(influxdb) => wh_sinks::influxdb::read_positions(influxdb, stream).await,
        },
        StoreName::Search => match &places.search {
            SearchPlace::Tantivy(folder) => tantivy::read_positions(folder, stream),
            SearchPlace::Elasticsearch(elasticsearch) => wh_sinks::elasticsearch::read_positions(elasticsearch, stream).await,
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

/// Each partition's last checkpoint but for users and ids.
///
/// # Errors
/// What the store says.
pub(crate) async fn checkpoints(settings: &Settings) -> Result<Vec<(u32, Position, PartitionRecord)>, Reaction> {
    match &settings.places.baselines {
        BaselinesPlace::Sqlite(path) => wh_scorer::state::sqlite::read_checkpoints(path),
        BaselinesPlace::Redis(redis) => wh_scorer::state::redis::read_checkpoints(redis).await,
    }
}

/// What the checkpoint of patterns by account says.
///
/// # Errors
/// What the store says.
pub(crate) async fn patterns(settings: &Settings) -> Result<Patterns, Reaction> {
    let found = match &settings.places.baselines {
        BaselinesPlace::Sqlite(path) => wh_scorer::state::sqlite::read_patterns(path)?,
        BaselinesPlace::Redis(redis) => wh_scorer::state::redis::read_patterns(redis).await?,
    };
    Ok(found.map(|(position, record)| Patterns { next_offset: position.next_offset, counts: record.counts }).unwrap_or_default())
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
