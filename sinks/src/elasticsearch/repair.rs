//! Putting the alerts on Elasticsearch right.
//!
//! What must stay true: what is removed can no longer be found before the records are written again, since `create` would meet its id; whatever is broken off in
//! between is found missing by the next comparison. No position moves.

use async_trait::async_trait;
use serde_json::json;
use wh_schemas::Reaction;
use wh_stores::elasticsearch::{Failure, Method};

use super::reconcile::refresh;
use super::sink::SearchStore;
use crate::delivery::{Batch, Store};
use crate::reconcile::{Repair, Row};

/// Alerts in one request.
const CHUNK: usize = 1_000;

#[async_trait]
impl Repair for SearchStore {
    async fn repair(&mut self, rows: &[Row], batch: Batch) -> Result<(), Reaction> {
        for chunk in rows.chunks(CHUNK) {
            let removed = self.remove(chunk).await;
            removed.map_err(|failure| self.client.reaction(&failure))?;
        }
        if !batch.records.is_empty() {
            self.replay(batch).await?;
        }
        refresh(&self.client, &self.settings).await.map_err(|failure| self.client.reaction(&failure))
    }
}

impl SearchStore {
    async fn remove(&self, rows: &[Row]) -> Result<(), Failure> {
        let mut body = Vec::new();
        for row in rows {
            body.extend_from_slice(json!({ "delete": { "_index": row.place, "_id": row.key } }).to_string().as_bytes());
            body.push(b'\n');
        }
        // One that is gone already is a 404 of its own line; whatever stays is found again by the next comparison.
        self.client.send(Method::Post, "_bulk", &[("filter_path", "errors")], Some(&body)).await?;
        refresh(&self.client, &self.settings).await
    }
}
