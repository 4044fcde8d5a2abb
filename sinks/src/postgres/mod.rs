//! The ledger on PostgreSQL: each batch in one transaction with its position.

mod begin;
mod dialect;
pub mod encode;
mod events;
mod patterns;
mod positions;
mod profiles;
mod reconcile;
mod repair;
mod retention;
mod sink;

pub use begin::begin;
pub use positions::read_positions;
pub use reconcile::PostgresRows;
pub use sink::LedgerStore;
