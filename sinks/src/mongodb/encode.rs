//! The documents of records without a server: for whoever measures what making them costs.

use wh_eventlog::Stored;
use wh_schemas::ScoreRecord;

use super::dialect;

/// Makes the documents of scored records. Returns their bytes in all; records that cannot be read are left out.
#[must_use]
pub fn documents(records: &[Stored]) -> usize {
    let mut bytes = 0;
    for record in records {
        let Ok(score) = serde_json::from_slice::<ScoreRecord<'_>>(&record.value) else { continue };
        if let Ok(Some(row)) = dialect::row(record, score) {
            bytes += row.document().as_bytes().len();
        }
    }
    bytes
}
