//! The two tables over the documents of a MongoDB database.

mod columns;
mod dialect;
mod keys;
mod questions;
mod scan;
mod store;

pub(crate) use store::MongodbDocuments;
