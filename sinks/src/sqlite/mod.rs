//! The embedded stores on SQLite: ledger, documents and metrics, each one file with one writing connection.

pub mod documents;
pub mod events;
pub mod file;
pub mod ledger;
pub mod metrics;
mod patterns;
pub mod profiles;

pub use documents::DocumentsStore;
pub use ledger::LedgerStore;
pub use metrics::MetricsStore;
