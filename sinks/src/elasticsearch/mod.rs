//! The search store on Elasticsearch: alert text, found below the position that covers it.

mod begin;
mod dialect;
pub mod encode;
mod positions;
mod reconcile;
mod repair;
mod retention;
mod sink;

pub use begin::begin;
pub use positions::read_positions;
pub use reconcile::ElasticsearchRows;
pub use sink::SearchStore;
