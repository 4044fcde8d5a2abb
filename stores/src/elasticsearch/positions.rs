//! How far the streams are visible, as the index of positions holds it: one document a stream. Pure.
//!
//! What must stay true: a document is changed by compare-and-set alone (`if_seq_no`, `if_primary_term`), and read by its id, which shows
//! what was written last without a refresh.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A document of the index of positions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Positions {
    /// Name of the stream, which is the document's id.
    pub stream: String,
    /// When it was written last: microseconds UTC.
    pub updated_at: i64,
    /// By partition.
    pub partitions: BTreeMap<u32, Published>,
}

/// How far one partition is visible.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Published {
    /// Every `seq` below it is settled, and its alert can be found.
    pub next_seq: u64,
    /// Offset of the topic from which reading goes on.
    pub next_offset: u64,
    /// Seqs whose alerts are in the store.
    pub stored: u64,
    /// Seqs of recognised duplicates.
    pub duplicates: u64,
    /// Seqs in the dead letters.
    pub dead_letters: u64,
    /// Seqs without an alert.
    pub discarded: u64,
    /// Buried records behind the last `seq` that could not be read.
    pub unreadable: u64,
    /// Alerts below it may have been removed by retention.
    pub floor_seq: u64,
    /// When it was published: microseconds UTC.
    pub updated_at: i64,
}

/// Which writing of a document it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Version {
    /// Number of the writing.
    #[serde(rename = "_seq_no")]
    pub number: i64,
    /// The primary's term.
    #[serde(rename = "_primary_term")]
    pub term: i64,
}

/// A document as it is read by its id.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Held {
    /// Number of the writing.
    #[serde(rename = "_seq_no")]
    pub number: i64,
    /// The primary's term.
    #[serde(rename = "_primary_term")]
    pub term: i64,
    /// The document.
    #[serde(rename = "_source")]
    pub positions: Positions,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_reads_back() {
        let published = Published { next_seq: 9, next_offset: 11, stored: 2, discarded: 7, floor_seq: 3, updated_at: 5, ..Published::default() };
        let positions = Positions { stream: "scorer".to_owned(), updated_at: 5, partitions: [(12, published)].into() };
        let text = serde_json::to_string(&positions).unwrap();
        assert!(text.starts_with(r#"{"stream":"scorer","updated_at":5,"partitions":{"12":{"next_seq":9,"#), "{text}");
        let answer = format!(r#"{{"_index":"x-positions","_id":"scorer","_version":4,"_seq_no":3,"_primary_term":1,"found":true,"_source":{text}}}"#);
        assert_eq!(serde_json::from_str::<Held>(&answer).unwrap(), Held { number: 3, term: 1, positions });
        assert!(serde_json::from_str::<Published>(r#"{"next_seq":1,"later":2}"#).is_ok());
    }
}
