//! One SQL database over the five stores and the log.
//!
//! ```text
//! session (one connection: settings, prepared statements, limits)
//!   → statement (what is allowed) → fulltext (score()) → planning (DataFusion's planner, parameters, time zone)
//!   → aggregates, joins (what a store computes itself) → table (one TableProvider) → pushdown (Expr → Predicate, pure)
//!   → one folder a store: dialect (pure), scan (I/O) → exec (the scan in the plan, its batches' way from a blocking thread), top (ORDER BY
//!   with LIMIT as a scan of so many rows), parts and surveys (who reads what of a divided scan), settled (positions and rows at once)
//!   → compute (threads of their own), watch (joins that look at the time), bounded (functions that enlarge)
//!   → answer (what may end a query early) → whoever asked; queries (who asked what)
//! ```
//!
//! What must stay true: nothing is written, anywhere; no statement names a file of the host; what a store is asked means
//! what SQL means, or DataFusion computes it; stores are read on blocking threads only.
//!
//! ```no_run
//! # async fn example(places: wh_query::Places) -> Result<(), wh_query::QueryError> {
//! use futures::StreamExt;
//! let settings = wh_query::EngineSettings { zone: "Europe/Berlin".into(), memory_limit_bytes: 512 << 20, target_partitions: 2, statement_timeout: None };
//! let engine = wh_query::Engine::open(places, settings)?;
//! let session = engine.session(wh_query::Principal::local(wh_query::Way::Cli));
//! let mut result = session.query("SELECT user_id, amount FROM transactions WHERE risk_score >= 85 LIMIT 10").await?;
//! while let Some(batch) = result.stream.next().await {
//!     println!("{} rows", batch.map_err(wh_query::QueryError::from)?.num_rows());
//! }
//! # Ok(())
//! # }
//! ```

mod advice;
mod aggregate;
mod aggregates;
mod answer;
mod batch;
mod bounded;
mod buckets;
mod cache;
mod casts;
mod catalog;
mod comparisons;
mod compute;
mod conjunction;
mod cut;
mod elasticsearch;
mod engine;
mod errors;
mod excerpt;
mod exec;
mod floats;
mod fractions;
mod fulltext;
mod headings;
mod influxdb;
mod instants;
mod integers;
mod joins;
mod json;
mod kafka;
mod kept;
mod late;
mod lateral;
mod local;
mod log;
#[path = "reference/meanings.rs"]
mod meanings;
mod membership;
mod memory;
mod mongodb;
mod numbers;
mod oracle;
mod parameters;
mod partial;
mod parts;
mod pg_catalog;
mod places;
mod planning;
mod positions;
mod postgres;
mod predicate;
mod prepared;
mod principal;
mod pushdown;
mod quantified;
mod queries;
mod redis;
#[cfg(test)]
mod reference;
mod search;
mod sentences;
mod session;
mod settings;
mod settled;
mod shape;
mod snippet;
mod spelling;
mod sqlite;
mod sqlstate;
mod statement;
mod store;
mod surveys;
mod synonyms;
mod system;
mod table;
mod tantivy;
mod top;
mod unavailable;
mod unknown;
mod unpushed;
mod watch;
mod work;
mod yielding;
mod zone;

pub use answer::QueryResult;
pub use catalog::{ColumnInfo, TableInfo};
pub use engine::{Engine, EngineSettings};
pub use errors::QueryError;
pub use oracle::{MemoryTable, Oracle};
pub use places::Places;
pub use prepared::{Action, CopyFormat, CopyKind, Prepared};
pub use principal::{Limits, Principal, Way};
pub use queries::{Queries, QueryInfo, QueryState};
#[doc(hidden)]
pub use search::readings;
pub use session::Session;
pub use statement::split;
pub use unavailable::LateNotices;
pub use work::StoreWork;
