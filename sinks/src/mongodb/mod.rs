//! The documents store on MongoDB: one document a transaction, its metadata and the full explanation of its score.

mod dialect;
mod positions;
mod sink;

pub use positions::read_positions;
pub use sink::DocumentsStore;
