//! One SQL database over the five stores and the log.
//!
//! ```text
//! statement (what is allowed) → fulltext (score()) → DataFusion's planner
//!   → table (one TableProvider) → pushdown (Expr → Predicate, pure) → one folder a store: dialect (pure), scan (I/O)
//!   → exec (the scan in the plan, its batches' way from a blocking thread)
//! ```
//!
//! What must stay true: nothing is written, anywhere; no statement names a file of the host; what a store is asked means
//! what SQL means, or DataFusion computes it; stores are read on blocking threads only.
//!
//! ```no_run
//! # async fn example(places: wh_query::Places) -> Result<(), wh_query::QueryError> {
//! use futures::StreamExt;
//! let settings = wh_query::EngineSettings { zone: "Europe/Berlin".into(), memory_limit_bytes: 512 << 20, target_partitions: 2 };
//! let engine = wh_query::Engine::open(places, settings)?;
//! let mut result = engine.query("SELECT user_id, amount FROM transactions WHERE risk_score >= 85 LIMIT 10").await?;
//! while let Some(batch) = result.stream.next().await {
//!     println!("{} rows", batch.map_err(wh_query::QueryError::from)?.num_rows());
//! }
//! # Ok(())
//! # }
//! ```

mod batch;
mod catalog;
mod conjunction;
mod cut;
mod elasticsearch;
mod engine;
mod errors;
mod exec;
mod fulltext;
mod influxdb;
mod json;
mod kafka;
mod late;
mod log;
mod mongodb;
mod places;
mod positions;
mod postgres;
mod predicate;
mod pushdown;
mod redis;
mod search;
mod shape;
mod sqlite;
mod statement;
mod store;
mod system;
mod table;
mod tantivy;

pub use catalog::{ColumnInfo, TableInfo};
pub use engine::{Engine, EngineSettings, QueryResult};
pub use errors::QueryError;
pub use places::Places;
pub use statement::Read;
