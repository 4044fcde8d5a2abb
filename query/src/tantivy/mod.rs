//! The table that a Tantivy index holds: `search.alerts`.

mod count;
mod dialect;
pub(crate) mod index;
pub(crate) mod scan;
mod store;
mod top;

pub(crate) use dialect::query;
