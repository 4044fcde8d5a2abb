//! Removing alerts whose records were appended too long ago: whole indexes where their period is over, the rest row by row.
//!
//! What must stay true: no alert is removed whose record was appended at or after the given instant; doing it twice, or by two instances
//! at once, removes nothing more.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::time::Instant;
use wh_stores::elasticsearch::{Client, ElasticsearchSettings, Failure, Method};

/// Rows that one request removes, so that it ends in time.
const ROWS: u64 = 10_000;
/// How long rows are removed at once: nothing is written meanwhile. Whoever asks again goes on with it.
const STEP: Duration = Duration::from_millis(500);
/// More partitions than a stream has.
const PARTITIONS: u64 = 10_000;

/// What was removed.
#[derive(Debug, Default)]
pub(super) struct Removed {
    /// Alerts.
    pub(super) rows: u64,
    /// Indexes that are gone.
    pub(super) indexes: Vec<String>,
    /// By partition, the `seq` of the first alert that is left, where one is.
    pub(super) left: BTreeMap<u32, u64>,
}

#[derive(Deserialize)]
struct Counted {
    count: u64,
}

#[derive(Deserialize)]
struct Deleted {
    deleted: u64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Left {
    aggregations: Partitions,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Partitions {
    partitions: Buckets,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Buckets {
    buckets: Vec<Bucket>,
}

#[derive(Deserialize)]
struct Bucket {
    key: u32,
    first: First,
}

#[derive(Deserialize)]
struct First {
    hits: FirstHits,
}

#[derive(Deserialize)]
struct FirstHits {
    hits: Vec<Hit>,
}

#[derive(Deserialize)]
struct Hit {
    sort: (u64,),
}

/// Removes alerts whose records were appended before an instant (microseconds UTC): whole indexes, and of the rest as many as a step allows.
pub(super) async fn remove(client: &Client, settings: &ElasticsearchSettings, before: i64) -> Result<Removed, Failure> {
    let mut removed = Removed::default();
    let alias = settings.alerts();
    let found: Result<Map<String, Value>, Failure> = client.ask(Method::Get, &format!("{alias}/_alias"), &[], None).await;
    let found = match found {
        Err(failure) if failure.status == Some(404) => return Ok(removed),
        found => found?,
    };
    for index in found.keys().filter(|index| settings.end_of(index).is_some_and(|end| end <= before)) {
        let Counted { count } = match client.ask(Method::Post, &format!("{index}/_count"), &[], None).await {
            Err(failure) if failure.is(404, "index_not_found_exception") => continue,
            counted => counted?,
        };
        let _: Value = client.ask(Method::Delete, index, &[("ignore_unavailable", "true")], None).await?;
        removed.rows += count;
        removed.indexes.push(index.clone());
    }
    removed.rows += row_by_row(client, &alias, before).await?;
    if removed.rows > 0 {
        removed.left = first_left(client, &alias).await?;
    }
    Ok(removed)
}

async fn row_by_row(client: &Client, alias: &str, before: i64) -> Result<u64, Failure> {
    let until = Instant::now() + STEP;
    let body = json!({ "query": { "range": { "created_at": { "lt": before } } } });
    let rows = ROWS.to_string();
    // An alert that another instance removes at the same time is a conflict, and gone.
    let query = [("conflicts", "proceed"), ("refresh", "true"), ("max_docs", rows.as_str()), ("filter_path", "deleted")];
    let mut removed = 0;
    loop {
        let Deleted { deleted } = match client.ask(Method::Post, &format!("{alias}/_delete_by_query"), &query, Some(&body)).await {
            Err(failure) if failure.is(404, "index_not_found_exception") => return Ok(removed),
            deleted => deleted?,
        };
        removed += deleted;
        if deleted < ROWS || Instant::now() >= until {
            return Ok(removed);
        }
    }
}

async fn first_left(client: &Client, alias: &str) -> Result<BTreeMap<u32, u64>, Failure> {
    // A `min` would be a real number, which holds 53 bits.
    let first = json!({ "top_hits": { "size": 1, "_source": false, "sort": [{ "seq": "asc" }] } });
    let body = json!({ "size": 0, "aggs": { "partitions": { "terms": { "field": "partition", "size": PARTITIONS }, "aggs": { "first": first } } } });
    let query = [("filter_path", "aggregations.partitions.buckets.key,aggregations.partitions.buckets.first.hits.hits.sort")];
    let left = match client.ask(Method::Post, &format!("{alias}/_search"), &query, Some(&body)).await {
        Err(failure) if failure.is(404, "index_not_found_exception") => Left::default(),
        left => left?,
    };
    let bucket = |Bucket { key, first }: Bucket| first.hits.hits.first().map(|hit| (key, hit.sort.0));
    Ok(left.aggregations.partitions.buckets.into_iter().filter_map(bucket).collect())
}
