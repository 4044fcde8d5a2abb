//! Patterns that stand in the output already.
//!
//! What must stay true: of several records with one `seq` the first counts, as it does for whoever reads them.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;
use wh_eventlog::{Bytes, Reader};
use wh_schemas::Reaction;
use wh_schemas::position::{Seq, SeqPosition};
use wh_schemas::topics::RISK_ALERTS;

use crate::pattern_alert::PARTITION;

const READ_BYTES: usize = 4 * 1024 * 1024;

/// What is read of a record to know whether it is a pattern's, and which.
#[derive(Deserialize)]
struct Numbered {
    #[serde(default)]
    pattern: Option<IgnoredAny>,
    #[serde(default)]
    position: Option<SeqPosition>,
}

/// What stands in the output.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    /// Ids of the patterns, by `seq`.
    pub(super) ids: BTreeMap<Seq, Bytes>,
    /// Offset behind the last record.
    pub(super) end: u64,
}

/// Reads the output from an offset on, or from where it still is.
///
/// # Errors
/// Where the log cannot be read.
pub(super) async fn read(log: &dyn Reader, from: u64) -> Result<Standing, Reaction> {
    let bounds = log.bounds(RISK_ALERTS, PARTITION).await?;
    let mut standing = Standing { ids: BTreeMap::new(), end: bounds.end };
    let mut next = from.max(bounds.start);
    while next < bounds.end {
        let batch = log.read(RISK_ALERTS, PARTITION, next, READ_BYTES).await?;
        let Some(last) = batch.last() else { break };
        next = last.offset + 1;
        for record in &batch {
            let Ok(Numbered { pattern: Some(_), position: Some(position) }) = serde_json::from_slice::<Numbered>(&record.value) else { continue };
            // A copy: a slice would keep the whole batch in memory.
            let id = record.key.as_deref().map(Bytes::copy_from_slice).unwrap_or_default();
            standing.ids.entry(position.seq).or_insert(id);
        }
    }
    Ok(standing)
}
