//! Opens what is compared, and what is put right.

use wh_schemas::Reaction;
use wh_scorer::state::sqlite::SqliteCheckpoints;
use wh_scorer::state::users::StoredUsers;
use wh_sinks::reconcile::{Repair, StoredRows};
use wh_sinks::{elasticsearch, influxdb, mongodb, postgres, sqlite, tantivy};
use wh_stores::places::{BaselinesPlace, DocumentsPlace, LedgerPlace, MetricsPlace, SearchPlace};

use crate::args::StoreName;
use crate::commands::counted;
use crate::settings::Settings;

/// The rows of a store, for reading.
pub(crate) async fn rows(settings: &Settings, store: StoreName) -> Result<Box<dyn StoredRows>, Reaction> {
    let places = &settings.places;
    Ok(match store {
        StoreName::Ledger => match &places.ledger {
            LedgerPlace::Sqlite(path) => Box::new(sqlite::SqliteRows::ledger(path)),
            LedgerPlace::Postgres(settings) => Box::new(postgres::PostgresRows::new(settings)),
        },
        StoreName::Documents => match &places.documents {
            DocumentsPlace::Sqlite(path) => Box::new(sqlite::SqliteRows::documents(path)),
            DocumentsPlace::Mongodb(settings) => Box::new(mongodb::MongodbRows::open(settings).await?),
        },
        StoreName::Metrics => match &places.metrics {
            MetricsPlace::Sqlite(path) => Box::new(sqlite::MetricsRows::new(path)),
            MetricsPlace::Influxdb(settings) => Box::new(influxdb::InfluxdbRows::open(settings).await?),
        },
        StoreName::Search => match &places.search {
            SearchPlace::Tantivy(folder) => Box::new(tantivy::TantivyRows::new(folder)),
            SearchPlace::Elasticsearch(settings) => Box::new(elasticsearch::ElasticsearchRows::open(settings).await?),
        },
    })
}

/// A store, for writing past the fence.
pub(super) async fn repair(settings: &Settings, store: StoreName) -> Result<Box<dyn Repair>, Reaction> {
    let places = &settings.places;
    Ok(match store {
        StoreName::Ledger => match &places.ledger {
            LedgerPlace::Sqlite(path) => Box::new(sqlite::LedgerStore::open(path, settings.zone)?),
            LedgerPlace::Postgres(postgres) => Box::new(postgres::LedgerStore::open(postgres, settings.zone).await?),
        },
        StoreName::Documents => match &places.documents {
            DocumentsPlace::Sqlite(path) => Box::new(sqlite::DocumentsStore::open(path)?),
            DocumentsPlace::Mongodb(mongodb) => Box::new(mongodb::DocumentsStore::open(&mongodb.clone().with_retention(settings.retention)).await?),
        },
        StoreName::Metrics => match &places.metrics {
            MetricsPlace::Sqlite(path) => Box::new(sqlite::MetricsStore::open(path)?),
            MetricsPlace::Influxdb(influxdb) => Box::new(influxdb::MetricsStore::open(influxdb).await?),
        },
        StoreName::Search => match &places.search {
            SearchPlace::Tantivy(folder) => Box::new(tantivy::SearchStore::open(folder)?),
            SearchPlace::Elasticsearch(settings) => Box::new(elasticsearch::SearchStore::open(settings.clone()).await?),
        },
    })
}

/// What of the baselines is read and not compared with the log: the checkpoint of patterns by account, in a sentence.
///
/// # Errors
/// Where it cannot be read, or is damaged.
pub(super) async fn patterns(settings: &Settings) -> Result<String, Reaction> {
    let (stands, extent) = match &settings.places.baselines {
        BaselinesPlace::Sqlite(path) => {
            let path = path.clone();
            let task = tokio::task::spawn_blocking(move || wh_scorer::state::sqlite::examine_patterns(&path));
            let found = task.await.map_err(|error| Reaction::fatal(format!("the task that reads the baselines failed: {error}")))??;
            let extent = found.map_or(String::new(), |(_, accounts)| format!(" with {}", counted(accounts, "account", "accounts")));
            (found.map(|(position, _)| position.next_offset), extent)
        }
        // The states are read by the stage alone there.
        BaselinesPlace::Redis(redis) => (wh_scorer::state::redis::read_patterns(redis).await?.map(|(position, _)| position.next_offset), String::new()),
    };
    Ok(match stands {
        Some(offset) => format!("the checkpoint of patterns by account{extent}, up to offset {offset}, was read and not compared"),
        None => "there is no checkpoint of patterns by account".to_owned(),
    })
}

/// The users of the baselines.
pub(super) async fn users(settings: &Settings) -> Result<Box<dyn StoredUsers>, Reaction> {
    Ok(match &settings.places.baselines {
        BaselinesPlace::Sqlite(path) => {
            if !path.exists() {
                return Err(Reaction::fatal(format!("baselines: there is no {}: start `wardhouse up` on this data folder first", path.display())));
            }
            Box::new(SqliteCheckpoints::open(path)?)
        }
        BaselinesPlace::Redis(redis) => Box::new(wh_scorer::state::redis::RedisCheckpoints::open(redis).await?),
    })
}
