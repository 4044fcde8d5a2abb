//! The table that an InfluxDB bucket holds: `metrics.throughput`.

pub(crate) mod dialect;
pub(crate) mod scan;
pub(crate) mod store;

pub(crate) use store::InfluxdbMetrics;
