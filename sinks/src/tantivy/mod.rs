//! The embedded search store on Tantivy: alert text, committed together with the position that covers it.

mod begin;
mod dialect;
mod faults;
mod reconcile;
mod repair;
mod sink;

pub use begin::begin;
pub use reconcile::TantivyRows;
pub use sink::{SearchStore, read_positions};
