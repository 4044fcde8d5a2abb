//! Where each role's store is, with the validated settings of its client.

use std::path::PathBuf;

/// Where the log is.
#[derive(Clone, Debug)]
pub enum LogPlace {
    /// Folder of the embedded log.
    Sqlite(PathBuf),
}

/// Where the ledger is.
#[derive(Clone, Debug)]
pub enum LedgerPlace {
    /// A SQLite file.
    Sqlite(PathBuf),
}

/// Where the documents are.
#[derive(Clone, Debug)]
pub enum DocumentsPlace {
    /// A SQLite file.
    Sqlite(PathBuf),
}

/// Where the metrics are.
#[derive(Clone, Debug)]
pub enum MetricsPlace {
    /// A SQLite file.
    Sqlite(PathBuf),
}

/// Where the baselines are.
#[derive(Clone, Debug)]
pub enum BaselinesPlace {
    /// A SQLite file.
    Sqlite(PathBuf),
}

/// Where the search index is.
#[derive(Clone, Debug)]
pub enum SearchPlace {
    /// Folder of a Tantivy index.
    Tantivy(PathBuf),
}
