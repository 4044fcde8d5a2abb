//! Whose a snapshot is.
//!
//! What must stay true: of two owners of a partition the later one is greater, also where the baselines store that counts them was lost
//! between the two.

use wh_eventlog::{Bytes, Reader, Stored};
use wh_schemas::Reaction;
use wh_schemas::topics::SCORER_STATE;

use super::{PARTITION_KEY, READ_BYTES};

/// Header of each record of a snapshot: whose it is.
pub(super) const HEADER: &str = "wh-owner";
/// Records at the end of the topic among which the last partition record is looked for first.
const LAST_RECORDS: u64 = 2_000;

/// Who wrote a snapshot; a later owner is greater.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Owner {
    /// Raised where the baselines store was lost or restored from a backup, so that it counts owners from lower on again.
    pub generation: u64,
    /// The owner's epoch, by the baselines store.
    pub epoch: u64,
}

impl Owner {
    pub(super) fn written(self) -> Bytes {
        Bytes::from(format!("{}/{}", self.generation, self.epoch))
    }

    /// Whose a record is; `None` where an earlier version wrote it.
    pub(super) fn of(record: &Stored) -> Option<Owner> {
        let (generation, epoch) = record.header(HEADER)?.split_once('/')?;
        Some(Owner { generation: generation.parse().ok()?, epoch: epoch.parse().ok()? })
    }

    /// What an owner of this epoch calls itself behind the one whose snapshot is the last.
    fn behind(last: Option<Owner>, epoch: u64) -> Owner {
        match last {
            Some(Owner { generation, epoch: before }) if epoch <= before => Owner { generation: generation + 1, epoch },
            Some(Owner { generation, .. }) => Owner { generation, epoch },
            None => Owner { generation: 0, epoch },
        }
    }
}

/// What an owner of this epoch calls itself in its snapshots.
///
/// # Errors
/// Fatal where the log cannot be read.
pub async fn owner(log: &dyn Reader, partition: u32, epoch: u64) -> Result<Owner, Reaction> {
    let bounds = log.bounds(SCORER_STATE, partition).await?;
    let (mut reach, mut last) = (LAST_RECORDS, None);
    while last.is_none() {
        let from = bounds.end.saturating_sub(reach).max(bounds.start);
        let mut next = from;
        while next < bounds.end {
            let batch = log.read(SCORER_STATE, partition, next, READ_BYTES).await?;
            let Some(end) = batch.last() else { break };
            next = end.offset + 1;
            let markers = batch.iter().filter(|record| record.key.as_deref() == Some(PARTITION_KEY));
            last = last.max(markers.filter_map(Owner::of).max());
        }
        if from == bounds.start {
            break;
        }
        reach = reach.saturating_mul(8);
    }
    Ok(Owner::behind(last, epoch))
}
