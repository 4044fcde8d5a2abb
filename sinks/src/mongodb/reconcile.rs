//! Documents on MongoDB read back by their position, each field as the BSON that it is.
//!
//! What must stay true: nothing is written; two fields are equal exactly when their bytes are; what is expected is the very document that the sink inserts.

use std::borrow::Cow;

use ::mongodb::Collection;
use ::mongodb::bson::{Bson, Document, RawBsonRef, RawDocument, RawDocumentBuf, doc};
use async_trait::async_trait;
use wh_eventlog::Stored;
use wh_schemas::position::SeqPosition;
use wh_schemas::topics::RISK_SCORES;
use wh_schemas::{Reaction, ScoreRecord, ids};
use wh_stores::mongodb::json::value_text;
use wh_stores::mongodb::layout::DOCUMENTS;
use wh_stores::mongodb::{Connected, MongodbSettings, connect};

use super::dialect;
use super::positions::{self, short};
use crate::delivery::walk::stream_of;
use crate::reconcile::{Expected, Field, Known, NOWHERE, Plain, Reached, Row, Span, StoredRows, position_of};

/// The collection, as rows name it.
const DOCUMENT: &str = "documents";
/// Keys in one question.
const CHUNK: usize = 1_000;

/// The documents of a store on MongoDB.
pub struct MongodbRows {
    connected: Connected,
    documents: Collection<RawDocumentBuf>,
}

impl MongodbRows {
    /// Connects.
    ///
    /// # Errors
    /// As [`connect()`].
    pub async fn open(settings: &MongodbSettings) -> Result<MongodbRows, Reaction> {
        let connected = connect(settings).await?;
        Ok(MongodbRows { documents: connected.collection(DOCUMENTS), connected })
    }

    async fn rows(&self, filter: Document, limit: Option<i64>) -> Result<Vec<Row>, Reaction> {
        let mut find = self.documents.find(filter).sort(doc! { "_id": 1 });
        if let Some(limit) = limit {
            find = find.limit(limit);
        }
        let mut cursor = self.connected.ask(find).await?;
        let mut rows = Vec::new();
        while self.connected.ask(cursor.advance()).await? {
            rows.push(row(cursor.current()));
        }
        Ok(rows)
    }
}

/// A value as it is compared: its type, its text where it has one, and its bytes in short where it has parts.
fn value(value: RawBsonRef<'_>) -> String {
    let mut text = String::new();
    let parts = match value {
        RawBsonRef::Document(document) => Some(document.as_bytes()),
        RawBsonRef::Array(array) => Some(array.as_bytes()),
        _ => None,
    };
    match (value_text(value, &mut text), parts) {
        (Ok(()), None) => format!("{:?} {text}", value.element_type()),
        (Ok(()), Some(bytes)) => format!("{text} (BSON {:016x})", ids::fingerprint(bytes)),
        (Err(_), Some(bytes)) => format!("{:?} (BSON {:016x})", value.element_type(), ids::fingerprint(bytes)),
        (Err(_), None) => format!("{value:?}"),
    }
}

/// The fields of a document; those of the two documents in it one by one.
fn fields(document: &RawDocument) -> Vec<Field> {
    let mut fields: Vec<Field> = Vec::new();
    for member in document {
        let Ok((name, held)) = member else {
            fields.push((Cow::Borrowed("(damaged)"), Some(format!("BSON {:016x}", ids::fingerprint(document.as_bytes())))));
            return fields;
        };
        match held {
            RawBsonRef::Document(inner) if matches!(name.as_str(), "metadata" | "explanation") => {
                for part in inner {
                    match part {
                        Ok((key, part)) => fields.push((Cow::Owned(format!("{name}.{key}", name = name.as_str(), key = key.as_str())), Some(value(part)))),
                        Err(_) => fields.push((Cow::Owned(format!("{} (damaged)", name.as_str())), Some(format!("BSON {:016x}", ids::fingerprint(inner.as_bytes()))))),
                    }
                }
                // An empty document is not the same as none.
                fields.push((Cow::Owned(name.as_str().to_owned()), Some("document".to_owned())));
            }
            other => fields.push((Cow::Owned(name.as_str().to_owned()), Some(value(other)))),
        }
    }
    fields
}

/// The row of a document.
fn row(document: &RawDocument) -> Row {
    let key = document.get("_id").ok().flatten();
    let at = match key {
        Some(RawBsonRef::Int64(packed)) => position_of(packed),
        // No sink gives such a key.
        _ => NOWHERE,
    };
    let id = document.get_str("transaction_id").unwrap_or_default().to_owned();
    let time = document.get_i64("processed_at").unwrap_or(0);
    let place = key.and_then(|key| Bson::try_from(key).ok()).and_then(|key| serde_json::to_string(&key).ok()).unwrap_or_default();
    Row { id, time, place, ..Row::new(DOCUMENT, at, fields(document)) }
}

/// The row that a record becomes; none for a duplicate, or one that no document can hold.
fn expected(record: &Stored) -> Option<Row> {
    let score: ScoreRecord<'_> = serde_json::from_slice(&record.value).ok()?;
    let made = dialect::row(record, score).ok()??;
    Some(row(made.document()))
}

#[async_trait]
impl StoredRows for MongodbRows {
    fn role(&self) -> &'static str {
        "documents"
    }

    fn topics(&self) -> &'static [&'static str] {
        &[RISK_SCORES]
    }

    fn grain(&self) -> u64 {
        1
    }

    async fn refresh(&mut self) -> Result<(), Reaction> {
        Ok(())
    }

    async fn reached(&mut self, topic: &str) -> Result<Vec<Reached>, Reaction> {
        let found = positions::read(&self.connected, stream_of(topic)).await?;
        Ok(found.iter().map(|held| Reached { partition: u32::try_from(held.partition).unwrap_or(u32::MAX), visible: short(held.next_seq), floor: short(held.floor_seq) }).collect())
    }

    async fn kept_since(&mut self, _now: i64) -> Result<Option<i64>, Reaction> {
        // What the server removes by itself lies a week below what the sink removes.
        Ok(None)
    }

    fn expected(&self, topic: &'static str) -> Box<dyn Expected> {
        Box::new(Plain::new(topic, |_, record, out| out.extend(expected(record))))
    }

    async fn stored(&mut self, _topic: &'static str, span: &Span, _expected: &[Row]) -> Result<Vec<Row>, Reaction> {
        let key = |seq| SeqPosition { partition: span.rows, seq }.packed();
        self.rows(doc! { "_id": { "$gte": key(span.from), "$lt": key(span.to) } }, None).await
    }

    async fn elsewhere(&mut self, ids: &[&str]) -> Result<Vec<(String, SeqPosition)>, Reaction> {
        let mut found = Vec::new();
        for chunk in ids.chunks(CHUNK) {
            let rows = self.rows(doc! { "transaction_id": { "$in": chunk } }, None).await?;
            found.extend(rows.into_iter().map(|row| (row.id, row.at)));
        }
        Ok(found)
    }

    async fn strays(&mut self, known: &[Known], limit: usize) -> Result<Vec<Row>, Reaction> {
        let key = |partition, seq| SeqPosition { partition, seq }.packed();
        let places: Vec<Document> = known.iter().map(|known| doc! { "_id": { "$gte": key(known.rows, 0), "$lt": key(known.rows, known.below) } }).collect();
        // Keys of another kind lie in no range of numbers.
        let filter = if places.is_empty() {
            doc! {}
        } else {
            doc! { "$nor": places }
        };
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.rows(filter, Some(limit)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_of_another_type_is_another_value() {
        let of = |document: Document| fields(&RawDocumentBuf::try_from(&document).unwrap());
        let one = of(doc! { "_id": 1_i64, "metadata": { "a": 1_i32, "b": [1_i32] } });
        let told: Vec<(&str, &str)> = one.iter().map(|(name, value)| (&**name, value.as_deref().unwrap())).collect();
        assert_eq!((told[0], told[1], told[3]), (("_id", "Int64 1"), ("metadata.a", "Int32 1"), ("metadata", "document")));
        for other in
            [doc! { "_id": 1_i64, "metadata": { "a": 1_i64, "b": [1_i32] } }, doc! { "_id": 1_i64, "metadata": { "a": 1_i32, "b": [1.0] } }, doc! { "_id": 1_i64, "metadata": {} }]
        {
            assert_ne!(of(other.clone()), one, "{other}");
        }
    }

    #[test]
    fn a_key_of_any_kind_can_be_named_again() {
        for key in [Bson::Int64(1 << 40), Bson::String("x".to_owned()), Bson::ObjectId(::mongodb::bson::oid::ObjectId::new())] {
            let place = row(&RawDocumentBuf::try_from(&doc! { "_id": key.clone() }).unwrap()).place;
            let back: Bson = serde_json::from_str(&place).unwrap();
            assert_eq!(back, key, "{place}");
        }
    }
}
