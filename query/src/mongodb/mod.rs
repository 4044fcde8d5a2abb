//! The two tables over the documents of a MongoDB database.

mod aggregate_scan;
mod aggregates;
mod columns;
mod dialect;
mod keys;
mod members;
mod questions;
mod scan;
mod store;

pub(crate) use store::MongodbDocuments;
