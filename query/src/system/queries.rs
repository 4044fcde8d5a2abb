//! What is asked of this engine, and was: the rows of `system.queries`.
//!
//! What must stay true: everyone sees that a query runs, and only whose it is (or the role `admin`) what it asks.

use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use wh_schemas::arrow::instant;

use super::Own;
use crate::principal::Principal;
use crate::queries::{Queries, QueryInfo};
use crate::work::StoreWork;

/// `system.queries`: those that run first, then those that ended, the newest first.
pub(crate) fn schema() -> SchemaRef {
    let required = |name: &str, data_type: DataType| Field::new(name, data_type, false);
    Arc::new(Schema::new(vec![
        required("id", DataType::Int64),
        required("session", DataType::Int32),
        required("principal", DataType::Utf8),
        required("role", DataType::Utf8),
        required("way", DataType::Utf8),
        Field::new("peer", DataType::Utf8, true),
        Field::new("sql", DataType::Utf8, true),
        required("state", DataType::Utf8),
        required("started_at", instant()),
        required("elapsed_ms", DataType::Int64),
        required("rows_out", DataType::Int64),
        required("stores", DataType::Utf8),
        Field::new("error", DataType::Utf8, true),
    ]))
}

/// The rows of `system.queries`.
pub(super) fn rows(queries: &Queries, asker: Option<&Principal>) -> Vec<Vec<Own>> {
    let may_read = |info: &QueryInfo| asker.is_some_and(|asker| asker.may_read(info));
    queries.running().into_iter().chain(queries.recent()).map(|info| (may_read(&info), info)).map(|(may_read, info)| row(info, may_read)).collect()
}

fn row(info: QueryInfo, may_read: bool) -> Vec<Own> {
    let private = |text: String| if may_read { Own::Text(text) } else { Own::Null };
    let number = |value: u64| Own::Int(i64::try_from(value).unwrap_or(i64::MAX));
    let stores: Vec<serde_json::Value> = info.stores.iter().map(store).collect();
    vec![
        number(info.id),
        Own::Int(i64::from(info.session)),
        Own::Text(info.principal),
        Own::Text(info.role),
        Own::Text(info.way.to_string()),
        info.peer.map_or(Own::Null, |peer| private(peer.to_string())),
        private(info.sql),
        Own::Text(info.state.to_string()),
        Own::Int(info.started_at),
        Own::Int(millis(info.elapsed)),
        number(info.rows_out),
        Own::Text(serde_json::Value::Array(stores).to_string()),
        info.error.map_or(Own::Null, private),
    ]
}

fn store(work: &StoreWork) -> serde_json::Value {
    serde_json::json!({
        "store": work.store,
        "relation": work.relation,
        "rows": work.rows,
        "bytes": work.bytes,
        "in_store_ms": millis(work.in_store),
        "waiting_ms": millis(work.waiting),
    })
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
