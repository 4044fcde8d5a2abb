//! The tables that SQLite files hold: ledger, documents, metrics, baselines.

pub(crate) mod connect;
pub(crate) mod dialect;
pub(crate) mod scan;
pub(crate) mod store;
pub(crate) mod tables;
