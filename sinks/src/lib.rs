//! One consumer group a store: from scored records, and patterns by account, to rows, settled by row.
//!
//! `delivery` reads the log, fences by `seq` and decides what to do about failures; a store folder turns records into
//! rows. What must stay true: rows and the position that covers them become visible together or not at all, and no
//! analyst's query is answered here.

mod alert;
pub mod delivery;
pub mod elasticsearch;
mod explanation;
pub mod influxdb;
pub mod mongodb;
mod pattern;
pub mod postgres;
pub mod reconcile;
pub mod sqlite;
pub mod tantivy;
