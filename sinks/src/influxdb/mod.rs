//! The metrics sink on InfluxDB: `dialect.rs` (records to points), `partition.rs` (what one partition has open), `sink.rs` and `request.rs`
//! (the I/O), `positions.rs` (how far it has come), `pipeline.rs` (lag and latencies of the stages).

mod begin;
pub mod dialect;
mod partition;
pub mod pipeline;
pub mod positions;
mod reconcile;
mod repair;
pub mod request;
pub mod sink;

pub use begin::begin;
pub use pipeline::Reporter;
pub use positions::read_positions;
pub use reconcile::InfluxdbRows;
pub use sink::MetricsStore;
