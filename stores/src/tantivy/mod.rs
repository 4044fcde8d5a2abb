//! Tantivy, the embedded store of the search role.

pub mod layout;
pub mod porter2;
pub mod words;
