//! The embedded search store on Tantivy: alert text, committed together with the position that covers it.

mod dialect;
mod sink;

pub use sink::{SearchStore, read_positions};
