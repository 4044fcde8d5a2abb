//! The tables of a ledger on PostgreSQL.

mod cells;
mod dialect;
mod scan;
mod sessions;
mod store;
mod tables;

pub(crate) use store::PostgresLedger;
