//! The documents store on MongoDB: one document a transaction, its metadata and the full explanation of its score.

mod begin;
mod dialect;
pub mod encode;
mod positions;
mod reconcile;
mod repair;
mod sink;

pub use begin::begin;
pub use positions::read_positions;
pub use reconcile::MongodbRows;
pub use sink::DocumentsStore;
