//! Opens what the settings name: the log, a sink's store, the scorer's checkpoints; and asks each how far it has come.

use std::sync::Arc;

use wh_eventlog::embedded::EmbeddedLog;
use wh_eventlog::{Log, Reader};
use wh_ops::status::ScorerPartition;
use wh_schemas::{Reaction, layout, topics};
use wh_scorer::state::CheckpointStore;
use wh_scorer::state::sqlite::SqliteCheckpoints;
use wh_sinks::delivery::{Store, StorePosition};
use wh_sinks::{sqlite, tantivy};
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
        },
        StoreName::Documents => match &places.documents {
            DocumentsPlace::Sqlite(path) => Box::new(sqlite::DocumentsStore::open(path)?),
        },
        StoreName::Metrics => match &places.metrics {
            MetricsPlace::Sqlite(path) => Box::new(sqlite::MetricsStore::open(path)?),
        },
        StoreName::Search => match &places.search {
            SearchPlace::Tantivy(folder) => Box::new(tantivy::SearchStore::open(folder)?),
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
        },
        StoreName::Documents => match &places.documents {
            DocumentsPlace::Sqlite(path) => sqlite::file::read_positions(path, &layout::DOCUMENTS, STREAM),
        },
        StoreName::Metrics => match &places.metrics {
            MetricsPlace::Sqlite(path) => sqlite::file::read_positions(path, &layout::METRICS, STREAM),
        },
        StoreName::Search => match &places.search {
            SearchPlace::Tantivy(folder) => tantivy::read_positions(folder, STREAM),
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
    };
    Ok(partitions.into_iter().map(|(next_offset, record)| ScorerPartition { next_offset, counts: record.counts }).collect())
}
