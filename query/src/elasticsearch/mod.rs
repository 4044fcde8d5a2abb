//! The table that Elasticsearch holds: `search.alerts`.

mod aggregate_scan;
mod aggregates;
mod dialect;
mod matching;
mod page;
mod scan;
mod store;

pub(crate) use matching::matching;
pub(crate) use store::ElasticsearchAlerts;
