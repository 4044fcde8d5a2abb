//! The tables that SQLite files hold: ledger, documents, metrics, baselines.

mod aggregates;
pub(crate) mod connect;
pub(crate) mod dialect;
mod members;
pub(crate) mod scan;
pub(crate) mod store;
mod survey;
pub(crate) mod tables;
