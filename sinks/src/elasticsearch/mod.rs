//! The search store on Elasticsearch: alert text, found below the position that covers it.

mod dialect;
mod positions;
mod retention;
mod sink;

pub use positions::read_positions;
pub use sink::SearchStore;
