//! The tables of a ledger on PostgreSQL.

mod aggregates;
mod cells;
mod copied;
mod dialect;
mod members;
mod scan;
mod sessions;
mod store;
mod survey;
mod tables;

pub(crate) use store::PostgresLedger;
