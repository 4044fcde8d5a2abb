//! The documents in MongoDB.

use std::collections::HashSet;

use ::mongodb::bson::{Bson, Document, doc};
use async_trait::async_trait;
use wh_schemas::Reaction;
use wh_stores::mongodb::layout::{BY_TRANSACTION, DOCUMENTS, POSITIONS};
use wh_stores::mongodb::{Connected, MongodbSettings};

use super::super::{Look, Sample};

/// A client that looks at the documents.
pub(super) struct Documents(Connected);

impl Documents {
    pub(super) async fn open(settings: &MongodbSettings) -> Result<Documents, Reaction> {
        wh_stores::mongodb::connect(settings).await.map(Documents)
    }
}

/// A number of whatever kind.
fn number(found: &Document, name: &str) -> u64 {
    match found.get(name) {
        Some(Bson::Int32(value)) => u64::try_from(*value).unwrap_or(0),
        Some(Bson::Int64(value)) => u64::try_from(*value).unwrap_or(0),
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of bytes that the server wrote as a real one")]
        Some(Bson::Double(value)) if *value > 0.0 => *value as u64,
        _ => 0,
    }
}

#[async_trait]
impl Look for Documents {
    async fn find(&mut self, samples: &[Sample]) -> Result<Vec<bool>, Reaction> {
        let ids: Vec<&str> = samples.iter().map(|sample| sample.transaction_id.as_str()).collect();
        let count = i64::try_from(ids.len()).unwrap_or(i64::MAX);
        let asked = doc! { "find": DOCUMENTS, "filter": { BY_TRANSACTION: { "$in": ids } }, "projection": { "_id": 0, BY_TRANSACTION: 1 }, "batchSize": count };
        let found = self.0.list(asked, None).await?;
        let found: HashSet<&str> = found.iter().filter_map(|document| document.get_str(BY_TRANSACTION).ok()).collect();
        Ok(samples.iter().map(|sample| found.contains(sample.transaction_id.as_str())).collect())
    }

    async fn reached(&mut self) -> Result<u64, Reaction> {
        let found = self.0.list(doc! { "find": POSITIONS, "filter": { "stream": "scorer" } }, None).await?;
        Ok(found.iter().map(|position| number(position, "next_seq")).sum())
    }

    async fn rows(&mut self) -> Result<u64, Reaction> {
        let documents = self.0.collection::<Document>(DOCUMENTS);
        self.0.ask(documents.count_documents(doc! {})).await
    }

    async fn bytes(&mut self) -> Result<Option<u64>, Reaction> {
        let found = self.0.ask(self.0.database().run_command(doc! { "dbStats": 1 })).await?;
        Ok(Some(number(&found, "totalSize")))
    }
}
