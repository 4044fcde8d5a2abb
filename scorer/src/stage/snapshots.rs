//! Snapshots of a partition's state into `scorer-state`, so that the baselines store may be lost. They are produced beside the scoring.
//!
//! What must stay true: a snapshot holds only what a checkpoint covers; where a control record was decided, one is written before it counts;
//! one at a time of a partition is on its way, and none when that is given up.

use hashbrown::HashSet;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use wh_eventlog::Record;
use wh_eventlog::retry::until_settled;
use wh_schemas::Reaction;
use wh_schemas::topics::SCORER_STATE;

use super::settings::StageSettings;
use super::{Running, Stage};
use crate::engine::UserState;
use crate::partition::PartitionScorer;
use crate::state::rebuild;

/// Users' states that one record batch of a snapshot holds: some 4 MiB.
const SNAPSHOT_PIECE: usize = 1_000;

/// A snapshot that is still to be written.
pub(super) struct Snapshot {
    records: Vec<Record>,
    next_offset: u64,
    /// What it is of, to be of the next where it is not written.
    users: HashSet<String>,
    forgotten: HashSet<String>,
    whole: bool,
    /// Whether something that was decided waits for it.
    due: bool,
}

impl Snapshot {
    /// The next one is of all this, too.
    pub(super) fn back_to(self, running: &mut Running) {
        running.snapshot_users.extend(self.users);
        running.snapshot_forgotten.extend(self.forgotten);
        running.snapshot_whole |= self.whole;
    }
}

/// A snapshot on its way into the log: `false` where it was stopped before all of it was there.
pub(super) struct Snapshotting {
    snapshot: Snapshot,
    written: JoinHandle<Result<bool, Reaction>>,
}

/// Takes a snapshot of a partition as it stands, where one is due: now and then, at a stop, and behind what was decided.
pub(super) fn taken(running: &mut Running, settings: &StageSettings, stops: bool) -> Result<Option<Snapshot>, Reaction> {
    let Some(scorer) = &running.scorer else { return Ok(None) };
    let position = scorer.position().clone();
    let since = position.next_offset.saturating_sub(running.snapshot_offset);
    let is_time = since >= settings.snapshot_records || (running.snapshot_at.elapsed() >= settings.snapshot_every && since > 0) || (stops && since > 0);
    if running.snapshotting.is_some() || !(running.snapshot_due || is_time) {
        return Ok(None);
    }
    let mut names: Vec<&String> = running.snapshot_users.iter().collect();
    names.sort_unstable();
    let users = rebuild::Users { states: states(scorer, names), forgotten: gone(scorer, &running.snapshot_forgotten), whole: running.snapshot_whole };
    Ok(Some(Snapshot {
        records: rebuild::records(running.snapshot_owner, &position, &scorer.record(), &users)?,
        next_offset: position.next_offset,
        users: std::mem::take(&mut running.snapshot_users),
        forgotten: std::mem::take(&mut running.snapshot_forgotten),
        whole: std::mem::take(&mut running.snapshot_whole),
        due: running.snapshot_due,
    }))
}

impl Stage {
    /// Sends a snapshot on its way, whose state a checkpoint covers.
    pub(super) fn begin_snapshot(&mut self, partition: u32, mut snapshot: Snapshot) {
        let Some(running) = self.partitions.get_mut(&partition) else { return };
        let records = std::mem::take(&mut snapshot.records);
        let (log, gauges, stop) = (self.log.clone(), self.gauges.clone(), self.stop.clone());
        let written = tokio::spawn(async move {
            // In pieces that one record batch holds, the partition's own record last: it makes the snapshot count.
            for piece in records.chunks(SNAPSHOT_PIECE) {
                if until_settled(&stop, &gauges, || log.produce(SCORER_STATE, partition, piece.to_vec())).await?.is_none() {
                    return Ok(false);
                }
            }
            Ok(true)
        });
        running.snapshotting = Some(Snapshotting { snapshot, written });
    }

    /// Takes note of the snapshot of a partition that was on its way, if all of it is there or it is waited for.
    pub(super) async fn settle_snapshot(&mut self, partition: u32, wait: bool) -> Result<(), Reaction> {
        let Some(running) = self.partitions.get_mut(&partition) else { return Ok(()) };
        let Some(Snapshotting { snapshot, written }) = running.snapshotting.take_if(|it| wait || it.written.is_finished()) else { return Ok(()) };
        if !written.await.map_err(|error| Reaction::fatal(format!("writing a snapshot of partition {partition} failed: {error}")))?? {
            snapshot.back_to(running);
            return Ok(());
        }
        running.snapshot_due &= !snapshot.due;
        running.snapshot_at = Instant::now();
        running.snapshot_offset = snapshot.next_offset;
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
