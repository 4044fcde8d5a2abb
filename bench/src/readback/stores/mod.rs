//! One file a store: how it is asked for samples, for how far it is, and for what it holds.
//!
//! What must stay true: it is asked as readers ask it (what is on its way is not seen), by a connection of its own, and never written.

mod elasticsearch;
mod influxdb;
mod mongodb;
mod postgres;
mod redis;
mod sqlite;
mod tantivy;

use wh_schemas::Reaction;
use wh_schemas::layout;
use wh_stores::Role;
use wh_stores::places::{BaselinesPlace, DocumentsPlace, LedgerPlace, MetricsPlace, SearchPlace};

use super::Look;
use crate::places::Places;

/// Opens the store of a role for looking; the pipeline must have made it. Of the log there is none.
///
/// # Errors
/// What the store says.
pub async fn open(role: Role, places: &Places, partitions: u32) -> Result<Box<dyn Look>, Reaction> {
    Ok(match role {
        Role::Log => return Err(Reaction::fatal("the log is read by itself")),
        Role::Ledger => match &places.ledger {
            LedgerPlace::Sqlite(path) => Box::new(sqlite::Rows::open(path, &layout::LEDGER, "transactions")?),
            LedgerPlace::Postgres(settings) => Box::new(postgres::Ledger::open(settings).await?),
        },
        Role::Documents => match &places.documents {
            DocumentsPlace::Sqlite(path) => Box::new(sqlite::Rows::open(path, &layout::DOCUMENTS, "documents")?),
            DocumentsPlace::Mongodb(settings) => Box::new(mongodb::Documents::open(settings).await?),
        },
        Role::Metrics => match &places.metrics {
            MetricsPlace::Sqlite(path) => Box::new(sqlite::Metrics::open(path)?),
            MetricsPlace::Influxdb(settings) => Box::new(influxdb::Metrics::open(settings).await?),
        },
        Role::Baselines => match &places.baselines {
            BaselinesPlace::Sqlite(path) => Box::new(sqlite::Baselines::open(path)?),
            BaselinesPlace::Redis(settings) => Box::new(redis::Baselines::open(settings, partitions).await?),
        },
        Role::Search => match &places.search {
            SearchPlace::Tantivy(folder) => Box::new(tantivy::Search::open(folder)?),
            SearchPlace::Elasticsearch(settings) => Box::new(elasticsearch::Search::open(settings).await?),
        },
    })
}

/// Bytes of everything below a path.
pub(crate) fn size_of(path: &std::path::Path) -> u64 {
    let Ok(found) = std::fs::metadata(path) else { return 0 };
    if !found.is_dir() {
        return found.len();
    }
    std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| size_of(&entry.path())).sum()
}
