//! Where the stores are.

use std::sync::Arc;

use wh_schemas::layout::{BASELINES, DOCUMENTS, LEDGER, LOG, METRICS};
use wh_stores::places::{BaselinesPlace, DocumentsPlace, LedgerPlace, LogPlace, MetricsPlace, SearchPlace};

use crate::elasticsearch::ElasticsearchAlerts;
use crate::influxdb::InfluxdbMetrics;
use crate::kafka::KafkaTopics;
use crate::log::LogFile;
use crate::mongodb::MongodbDocuments;
use crate::postgres::PostgresLedger;
use crate::redis::RedisBaselines;
use crate::sqlite::connect::Store;
use crate::store::{BaselinesStore, RoleStore, SinkStore};
use crate::tantivy::index::SearchIndex;

pub use wh_stores::places::Places;

/// The stores of one engine.
#[derive(Debug)]
pub(crate) struct Stores {
    pub(crate) log: Arc<dyn RoleStore>,
    pub(crate) ledger: Arc<dyn SinkStore>,
    pub(crate) documents: Arc<dyn SinkStore>,
    pub(crate) metrics: Arc<dyn SinkStore>,
    pub(crate) baselines: Arc<dyn BaselinesStore>,
    pub(crate) search: Arc<dyn SinkStore>,
}

impl Stores {
    /// No I/O: a store is opened when it is read.
    pub(crate) fn new(places: Places) -> Stores {
        Stores {
            log: match places.log {
                LogPlace::Sqlite(folder) => Arc::new(LogFile(Arc::new(Store::new(LOG, wh_eventlog::embedded::file_of(&folder))))),
                LogPlace::Kafka(settings) => Arc::new(KafkaTopics::new(settings)),
            },
            ledger: match places.ledger {
                LedgerPlace::Sqlite(path) => Arc::new(Store::new(LEDGER, path)),
                LedgerPlace::Postgres(settings) => Arc::new(PostgresLedger::new(settings)),
            },
            documents: match places.documents {
                DocumentsPlace::Sqlite(path) => Arc::new(Store::new(DOCUMENTS, path)),
                DocumentsPlace::Mongodb(settings) => Arc::new(MongodbDocuments::new(settings)),
            },
            metrics: match places.metrics {
                MetricsPlace::Sqlite(path) => Arc::new(Store::new(METRICS, path)),
                MetricsPlace::Influxdb(settings) => Arc::new(InfluxdbMetrics::new(settings)),
            },
            baselines: match places.baselines {
                BaselinesPlace::Sqlite(path) => Arc::new(Store::new(BASELINES, path)),
                BaselinesPlace::Redis(settings) => Arc::new(RedisBaselines::new(settings)),
            },
            search: match places.search {
                SearchPlace::Tantivy(path) => Arc::new(SearchIndex::new(path)),
                SearchPlace::Elasticsearch(settings) => Arc::new(ElasticsearchAlerts::new(settings)),
            },
        }
    }

    /// Every store with its role, in the order of the design.
    pub(crate) fn all(&self) -> [(&'static str, Arc<dyn RoleStore>); 6] {
        [
            ("log", Arc::clone(&self.log)),
            ("ledger", Arc::clone(&self.ledger) as Arc<dyn RoleStore>),
            ("documents", Arc::clone(&self.documents) as Arc<dyn RoleStore>),
            ("metrics", Arc::clone(&self.metrics) as Arc<dyn RoleStore>),
            ("baselines", Arc::clone(&self.baselines) as Arc<dyn RoleStore>),
            ("search", Arc::clone(&self.search) as Arc<dyn RoleStore>),
        ]
    }
}
