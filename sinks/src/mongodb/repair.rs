//! Putting the documents on MongoDB right.
//!
//! What must stay true: what is removed is gone before the records are written again, since their keys would refuse them; whatever is broken off in between is
//! found missing by the next comparison. No position moves.

use ::mongodb::bson::{Bson, doc};
use async_trait::async_trait;
use wh_schemas::Reaction;

use super::sink::DocumentsStore;
use crate::delivery::{Batch, Store};
use crate::reconcile::{Repair, Row};

/// Keys in one removal.
const CHUNK: usize = 1_000;

#[async_trait]
impl Repair for DocumentsStore {
    async fn repair(&mut self, rows: &[Row], batch: Batch) -> Result<(), Reaction> {
        let keys: Vec<Bson> = rows.iter().filter_map(|row| serde_json::from_str(&row.place).ok()).collect();
        for chunk in keys.chunks(CHUNK) {
            self.connected.ask(self.documents.delete_many(doc! { "_id": { "$in": chunk.to_vec() } })).await?;
        }
        if !batch.records.is_empty() {
            self.replay(batch).await?;
        }
        Ok(())
    }
}
