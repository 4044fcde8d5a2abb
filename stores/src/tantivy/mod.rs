//! Tantivy, the embedded store of the search role.

pub mod layout;
