//! The topics as tables: `log.<topic>`.

pub(crate) mod dialect;
pub(crate) mod scan;
