//! The embedded stores on SQLite: ledger, documents and metrics, each one file with one writing connection.

mod begin;
pub mod documents;
pub mod events;
pub mod file;
pub mod ledger;
pub mod metrics;
mod patterns;
pub mod profiles;
mod reconcile;
mod reconcile_metrics;
mod repair;

pub use begin::begin;
pub use documents::DocumentsStore;
pub use ledger::LedgerStore;
pub use metrics::MetricsStore;
pub use reconcile::SqliteRows;
pub use reconcile_metrics::MetricsRows;
