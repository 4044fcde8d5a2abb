//! Snapshots of a partition's state into `scorer-state`, so that the baselines store may be lost.
//!
//! What must stay true: a snapshot holds only what a checkpoint covers; where a control record was decided, one is written before it counts.

use hashbrown::HashSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use wh_eventlog::retry::until_settled;
use wh_schemas::Reaction;
use wh_schemas::topics::SCORER_STATE;

use super::Stage;
use crate::engine::UserState;
use crate::partition::PartitionScorer;
use crate::state::rebuild;

/// Users' states that one record batch of a snapshot holds: some 4 MiB.
const SNAPSHOT_PIECE: usize = 1_000;

impl Stage {
    /// Writes what changed since the last snapshot into the log, now and then and at a stop, so that the baselines store may be lost.
    pub(super) async fn snapshot_if_due(&mut self, partition: u32, stop: &CancellationToken) -> Result<(), Reaction> {
        let Some(running) = self.partitions.get_mut(&partition) else { return Ok(()) };
        let Some(scorer) = &running.scorer else { return Ok(()) };
        let position = scorer.position().clone();
        let due = running.snapshot_due
            || position.next_offset - running.snapshot_offset >= self.settings.snapshot_records
            || (running.snapshot_at.elapsed() >= self.settings.snapshot_every && position.next_offset > running.snapshot_offset)
            || (stop.is_cancelled() && position.next_offset > running.snapshot_offset);
        // Only what a checkpoint covers: a snapshot must not be ahead of what is durable elsewhere.
        if due && position.next_offset == running.checkpointed && !running.unkept {
            let mut names: Vec<&String> = running.snapshot_users.iter().collect();
            names.sort_unstable();
            let users = rebuild::Users { states: states(scorer, names), forgotten: gone(scorer, &running.snapshot_forgotten), whole: running.snapshot_whole };
            let records = rebuild::records(running.snapshot_owner, &position, &scorer.record(), &users)?;
            // In pieces that one record batch holds, the partition's own record last: it makes the snapshot count.
            for piece in records.chunks(SNAPSHOT_PIECE) {
                let (log, gauges) = (&self.log, &*self.gauges);
                if until_settled(stop, gauges, || log.produce(SCORER_STATE, partition, piece.to_vec())).await?.is_none() {
                    return Ok(());
                }
            }
            running.snapshot_users.clear();
            running.snapshot_forgotten.clear();
            running.snapshot_whole = false;
            running.snapshot_due = false;
            running.snapshot_at = Instant::now();
            running.snapshot_offset = position.next_offset;
        }
        Ok(())
    }
}

/// States of those of the users that the engine knows.
pub(super) fn states(scorer: &PartitionScorer, names: Vec<&String>) -> Vec<(String, UserState)> {
    names.into_iter().filter_map(|name| scorer.engine().user(name).map(|state| (name.clone(), state.clone()))).collect()
}

/// Those of the users that were forgotten and have not come back, in order.
pub(super) fn gone(scorer: &PartitionScorer, forgotten: &HashSet<String>) -> Vec<String> {
    let mut names: Vec<String> = forgotten.iter().filter(|name| scorer.engine().user(name).is_none()).cloned().collect();
    names.sort_unstable();
    names
}
