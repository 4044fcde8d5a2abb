//! The rows of records without a server: for whoever measures what making them costs.

use sqlx::Arguments;
use wh_eventlog::Stored;
use wh_schemas::ScoreRecord;

use super::dialect::{self, Row};

/// Makes the arguments of the statement that inserts the transactions of scored records. Returns how many arguments; none where one cannot be
/// made, and records that cannot be read are left out.
#[must_use]
pub fn transactions(records: &[Stored]) -> usize {
    let rows: Vec<Row<'_>> = records.iter().filter_map(|record| Row::of(record, serde_json::from_slice::<ScoreRecord<'_>>(&record.value).ok()?).ok().flatten()).collect();
    dialect::transactions(&rows).map_or(0, |arguments| Arguments::len(&arguments))
}
