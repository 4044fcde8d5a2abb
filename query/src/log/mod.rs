//! The log: `log.<topic>`.

pub(crate) mod dialect;
pub(crate) mod rows;
mod scan;
mod store;

pub(crate) use store::{LogFile, relation};
