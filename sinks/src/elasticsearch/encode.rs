//! The lines of `_bulk` without a server: for whoever measures what making them costs.

use std::collections::BTreeSet;

use wh_eventlog::Stored;
use wh_stores::elasticsearch::ElasticsearchSettings;

use super::dialect::{Bulk, Row};
use crate::delivery::walk::Positioned;

/// Makes the body that writes the alerts of scored records. Returns its bytes; records that cannot be read are left out.
#[must_use]
pub fn alerts(settings: &ElasticsearchSettings, records: &[Stored]) -> usize {
    let (mut bulk, none) = (Bulk::default(), BTreeSet::new());
    for record in records {
        let Ok(row) = serde_json::from_slice::<Row<'_>>(&record.value) else { continue };
        if bulk.add(settings, record, row.position(), row.told(), &none).is_err() {
            return 0;
        }
    }
    bulk.body(bulk.lines()).len()
}
