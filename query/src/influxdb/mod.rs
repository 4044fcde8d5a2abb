//! The table that an InfluxDB bucket holds: `metrics.throughput`.

mod aggregate_scan;
mod aggregates;
pub(crate) mod dialect;
mod place;
pub(crate) mod scan;
mod selected;
mod statements;
pub(crate) mod store;

pub(crate) use store::InfluxdbMetrics;
