//! Where the stores are.

use std::path::PathBuf;
use std::sync::Arc;

use wh_schemas::layout::{BASELINES, DOCUMENTS, LEDGER, LOG, METRICS};

use crate::sqlite::connect::Store;
use crate::tantivy::index::SearchIndex;

/// Where each role's embedded store is. A file that is not there yet is no error: its tables say so when they are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    /// SQLite file of the ledger.
    pub ledger: PathBuf,
    /// SQLite file of the documents.
    pub documents: PathBuf,
    /// SQLite file of the metrics.
    pub metrics: PathBuf,
    /// SQLite file of the baselines.
    pub baselines: PathBuf,
    /// Folder of the search index.
    pub search: PathBuf,
    /// SQLite file of the log (see `wh_eventlog::embedded::file_of`).
    pub log: PathBuf,
}

/// The stores of one engine.
#[derive(Debug)]
pub(crate) struct Stores {
    pub(crate) log: Arc<Store>,
    pub(crate) ledger: Arc<Store>,
    pub(crate) documents: Arc<Store>,
    pub(crate) metrics: Arc<Store>,
    pub(crate) baselines: Arc<Store>,
    pub(crate) search: Arc<SearchIndex>,
}

impl Stores {
    /// No I/O: a store is opened when it is read.
    pub(crate) fn new(places: Places) -> Stores {
        Stores {
            log: Arc::new(Store { layout: LOG, path: places.log }),
            ledger: Arc::new(Store { layout: LEDGER, path: places.ledger }),
            documents: Arc::new(Store { layout: DOCUMENTS, path: places.documents }),
            metrics: Arc::new(Store { layout: METRICS, path: places.metrics }),
            baselines: Arc::new(Store { layout: BASELINES, path: places.baselines }),
            search: Arc::new(SearchIndex::new(places.search)),
        }
    }
}
