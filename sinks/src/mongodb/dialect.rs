//! From scored records to documents, and from what an insert answered to what became of each record.
//!
//! What must stay true: pure; a document holds what the embedded store's row holds, as BSON where BSON can give it back byte by byte and
//! as text beside it where not; records are judged in their order, each against what was there before it, as the embedded store does one
//! after another. A document that stands at its own position already is the trace of a write that was broken off before its position was
//! published: it counts as stored.

use std::collections::{BTreeMap, HashMap};

use ::mongodb::bson::RawDocumentBuf;
use serde::Deserialize;
use wh_eventlog::Stored;
use wh_schemas::json::Text;
use wh_schemas::position::SeqPosition;
use wh_schemas::{Reaction, ScoreRecord};
use wh_stores::mongodb::rows::{MAX_DOCUMENT_BYTES, RowWriter};

use crate::delivery::Tally;
use crate::delivery::walk::{DUPLICATE, Halt, Refused, STORED};
use crate::explanation::Explanation;

/// A record on its way into the store.
pub(super) struct Row<'r> {
    offset: u64,
    at: SeqPosition,
    id: Text<'r>,
    hash: Text<'r>,
    document: RawDocumentBuf,
}

impl Row<'_> {
    /// What is inserted.
    pub(super) fn document(&self) -> &RawDocumentBuf {
        &self.document
    }

    /// The key.
    pub(super) fn key(&self) -> i64 {
        self.at.packed()
    }

    /// The transaction.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    fn refused(&self, class: &'static str, message: String) -> Halt {
        refused(self.offset, self.at, class, message)
    }
}

fn refused(offset: u64, at: SeqPosition, class: &'static str, message: String) -> Halt {
    Halt::Refused(Refused { offset, position: Some(at), class, message })
}

/// The row of a record; none for a recognised duplicate, which has no score.
///
/// # Errors
/// A record that is larger than any document may be.
pub(super) fn row<'r>(record: &Stored, score: ScoreRecord<'r>) -> Result<Option<Row<'r>>, Halt> {
    let at = score.position();
    let Some(explanation) = Explanation::of(&score) else { return Ok(None) };
    let explanation = serde_json::to_string(&explanation).unwrap_or_else(|_| "{}".to_owned());
    // BSON of many small values is larger than their text.
    let Some(document) = document(record, &score, &explanation, true).or_else(|| document(record, &score, &explanation, false)) else {
        return Err(refused(record.offset, at, "document:too_large", format!("a document may have {MAX_DOCUMENT_BYTES} bytes, this one would have more")));
    };
    Ok(Some(Row { offset: record.offset, at, id: score.transaction_id, hash: score.content_hash, document }))
}

/// Nothing where it would be too large.
fn document(record: &Stored, score: &ScoreRecord<'_>, explanation: &str, native: bool) -> Option<RawDocumentBuf> {
    let mut row = RowWriter::new();
    row.long("_id", score.position().packed());
    row.string("transaction_id", &score.transaction_id);
    row.string("user_id", &score.user_id);
    row.long("timestamp", score.timestamp.0);
    row.long("processed_at", record.append_time);
    row.date("appended_at", record.append_time.div_euclid(1_000));
    let metadata = score.metadata.get();
    if !row.json("metadata", if native { metadata } else { "{}" }) || !native {
        row.string("metadata_text", metadata);
    }
    if !row.json("explanation", explanation) {
        row.string("explanation_text", explanation);
    }
    row.finish().filter(|document| document.as_bytes().len() <= MAX_DOCUMENT_BYTES)
}

/// For each row the place of the first row with its transaction: that one is inserted, the others are judged by it.
pub(super) fn firsts(rows: &[Row<'_>]) -> Vec<usize> {
    let mut seen: HashMap<&str, usize> = HashMap::with_capacity(rows.len());
    rows.iter().enumerate().map(|(place, row)| *seen.entry(row.id()).or_insert(place)).collect()
}

/// Why a document was not inserted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failed {
    /// Its key or its transaction is there already.
    AlreadyThere,
    /// The store refuses it; why, in a word.
    Bad(String),
}

/// What the store holds of a document that was there already.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Held {
    #[serde(rename = "_id")]
    pub(super) key: i64,
    pub(super) transaction_id: String,
    #[serde(default)]
    explanation: HeldExplanation,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct HeldExplanation {
    #[serde(default)]
    content_hash: String,
}

impl Held {
    /// Fields of a document that make it.
    pub(super) const FIELDS: [&'static str; 2] = ["transaction_id", "explanation.content_hash"];

    /// Whether it is what this row would write, at its own place.
    pub(super) fn is(&self, row: &Row<'_>) -> bool {
        self.key == row.key() && self.is_transaction_of(row)
    }

    fn is_transaction_of(&self, row: &Row<'_>) -> bool {
        self.transaction_id == *row.id && self.explanation.content_hash == *row.hash
    }
}

/// What became of the rows, in their order. `failed` says which of the inserted ones were not, `held` what the store has in their stead.
///
/// # Errors
/// The first row that can never be stored; a document that was there and is no more, so that all must be asked again.
pub(super) fn settled(place: &str, rows: &[Row<'_>], firsts: &[usize], failed: &BTreeMap<usize, Failed>, held: &[Held]) -> Result<Tally, Halt> {
    let by_key: HashMap<i64, &Held> = held.iter().map(|held| (held.key, held)).collect();
    let by_id: HashMap<&str, &Held> = held.iter().map(|held| (held.transaction_id.as_str(), held)).collect();
    let conflict = |row: &Row<'_>| row.refused("transaction_id:conflict", "the documents store holds another transaction with this transaction_id or position".to_owned());
    let mut tally = Tally::default();
    for (index, (row, first)) in rows.iter().zip(firsts).enumerate() {
        tally.add(if *first != index {
            if rows.get(*first).is_some_and(|earlier| *earlier.hash == *row.hash) { DUPLICATE } else { return Err(conflict(row)) }
        } else {
            match failed.get(&index) {
                None => STORED,
                Some(Failed::Bad(why)) => return Err(row.refused("document:refused", format!("MongoDB refuses the document: {why}"))),
                Some(Failed::AlreadyThere) => match (by_key.get(&row.key()), by_id.get(row.id())) {
                    (Some(held), _) if held.is(row) => STORED,
                    (None, Some(held)) if held.is_transaction_of(row) => DUPLICATE,
                    (None, None) => return Err(Halt::Reaction(Reaction::transient(format!("{place}: a document that was there has gone meanwhile: asking again")))),
                    _ => return Err(conflict(row)),
                },
            }
        });
    }
    Ok(tally)
}

#[cfg(test)]
#[path = "dialect_tests.rs"]
mod tests;
