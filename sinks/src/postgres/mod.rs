//! The ledger on PostgreSQL: each batch in one transaction with its position.

mod dialect;
mod events;
mod patterns;
mod positions;
mod profiles;
mod retention;
mod sink;

pub use positions::read_positions;
pub use sink::LedgerStore;
