//! How a member comes to own a partition: from its checkpoint, else from the last snapshot, else from the log.
//!
//! What must stay true: nothing is read before it is known where to go on; what stands in the output is scored again under what the
//! checkpoint says; what is begun anew is not mixed with what was there.

use hashbrown::HashSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use wh_eventlog::gauges::Gauges;
use wh_eventlog::retry::Backoff;
use wh_eventlog::{Consumer, Log, lineage};
use wh_schemas::Reaction;
use wh_schemas::topics::{ACCEPTED_TRANSACTIONS, RISK_SCORES, SCORER_CONTROL};

use super::{GROUP, Running, Stage};
use crate::control::{self, ControlState};
use crate::dedup::Ids;
use crate::partition::{PartitionRecord, PartitionScorer, Position};
use crate::state::{Checkpoint, rebuild};

/// Which store keeps the checkpoints.
const BASELINES: &str = "baselines";

impl Stage {
    /// Takes over the partitions that are assigned and not owned yet, as soon as the baselines store and the log allow.
    pub(super) async fn own(&mut self, consumer: &mut dyn Consumer, stop: &CancellationToken) -> Result<(), Reaction> {
        if self.unowned.is_empty() || self.own_at > Instant::now() {
            return Ok(());
        }
        // One at a time: between two the log is polled, so that this member is not taken for dead.
        if let Some(partition) = self.unowned.first().copied() {
            match self.take_over(consumer, partition).await {
                Ok(()) => {
                    self.unowned.remove(&partition);
                    self.own_backoff = Backoff::default();
                    consumer.set_paused(ACCEPTED_TRANSACTIONS, partition, false);
                    // What it begins under is kept before anything new is scored.
                    if self.partitions.get(&partition).is_some_and(|running| running.unkept) {
                        self.checkpoint(consumer, partition, stop).await?;
                    }
                }
                Err(Reaction::Transient { message, retry_after }) => {
                    Gauges::add(&self.gauges.retries, 1);
                    tracing::warn!(stage = GROUP, partition, "not taken over yet: {message}");
                    self.own_at = Instant::now() + self.own_backoff.wait(retry_after);
                    return Ok(());
                }
                Err(other) => return Err(other),
            }
        }
        Ok(())
    }

    /// Takes a partition over: from its checkpoint, else from the last snapshot, else by reading the log from its start.
    async fn take_over(&mut self, consumer: &mut dyn Consumer, partition: u32) -> Result<(), Reaction> {
        let (owner_epoch, found) = self.store(consumer).await?.take_over(partition).await?;
        let identity = self.log.identity().await?;
        if let Some(checkpoint) = &found {
            fits(&*self.log, partition, &identity, checkpoint.position.next_offset, &checkpoint.record).await?;
        }
        let input = self.log.bounds(ACCEPTED_TRANSACTIONS, partition).await?;
        // A store that was restored from an old backup may be behind what the log still has.
        let found = found.filter(|checkpoint| checkpoint.position.next_offset >= input.start);
        let lost = found.is_none();
        let checkpoint = match found {
            Some(checkpoint) => Some(checkpoint),
            None => rebuild::last_snapshot(&*self.log, partition, self.settings.dedup_horizon).await?.filter(|checkpoint| checkpoint.position.next_offset >= input.start),
        };
        let standing = rebuild::last_emitted(&*self.log, partition).await?;
        let emitted = standing.map(|standing| standing.seq);
        if lost {
            // What is begun anew must not be mixed with what an unreadable past left behind.
            self.store(consumer).await?.forget(partition, owner_epoch).await?;
        }
        let Checkpoint { position, record, users, ids } = match checkpoint {
            Some(checkpoint) => checkpoint,
            None if input.start == 0 => Checkpoint { position: Position::default(), record: PartitionRecord::default(), users: Vec::new(), ids: Vec::new() },
            None if self.settings.cold_start => cold(&*self.log, partition, standing, input.start, self.settings.dedup_horizon).await?,
            None => {
                return Err(Reaction::fatal(format!(
                    "partition {partition}: there is neither a checkpoint nor a snapshot from which {ACCEPTED_TRANSACTIONS} can be read on, since it reaches back to offset {} only: \
                     restore the baselines store from a backup, or begin with empty baselines (`wardhouse run scorer --cold-start`): scores then begin to learn anew",
                    input.start
                )));
            }
        };
        of_this_log(partition, &identity, &record)?;
        let mut record = PartitionRecord { log: identity, ..record };
        // What stands in the output is scored again under what the checkpoint says, whatever the settings say.
        let fresh = emitted.map_or(position.next_seq, |last| position.next_seq.max(last + 1));
        let begun =
            control::begin(&mut record.control, &self.settings.ruleset, position.next_seq, fresh).map_err(|why| Reaction::fatal(format!("partition {partition}: {why}")))?;
        if let Some(warning) = &begun.warning {
            tracing::warn!(stage = GROUP, partition, "{warning}");
        }
        // Decisions that were not told yet may be in no snapshot either.
        let unkept = begun.changed || record.control.decided.iter().any(|decided| !decided.told);
        tracing::info!(stage = GROUP, partition, next_seq = position.next_seq, users = users.len(), ids = ids.len(), owner_epoch, "partition taken over");
        let mut seen = Ids::new(self.settings.dedup_horizon);
        ids.iter().for_each(|s| seen.remember(*s));
        consumer.seek(ACCEPTED_TRANSACTIONS, partition, position.next_offset);
        self.gauges.reached(ACCEPTED_TRANSACTIONS, partition, position.next_offset);
        // Until the first snapshot of this owner every user counts as changed: an unfinished one may stand in the topic.
        let snapshot_users: HashSet<String> = users.iter().map(|(user, _)| user.clone()).collect();
        // A store that was lost knows none of them.
        let unsaved_users = if lost { snapshot_users.clone() } else { HashSet::new() };
        let unsaved_ids = if lost { ids.clone() } else { Vec::new() };
        // A store that was lost is written at the first occasion, even where no record comes.
        let checkpointed = if lost { 0 } else { position.next_offset };
        // Where the last snapshot stood is not known: one is due at the first occasion, if the partition has seen anything.
        let snapshotted = 0;
        let scorer = PartitionScorer::new(partition, begun.ruleset, position, record, users, seen, &self.settings.build);
        let now = Instant::now();
        self.partitions.insert(
            partition,
            Running {
                scorer: Some(scorer),
                owner_epoch,
                producing: None,
                emitted,
                standing_alerts: rebuild::last_alerts(&*self.log, partition).await?,
                checkpointed,
                checkpointed_at: now,
                unsaved_users,
                unsaved_forgotten: HashSet::new(),
                unsaved_ids,
                snapshot_owner: rebuild::owner(&*self.log, partition, owner_epoch).await?,
                snapshot_users,
                snapshot_forgotten: HashSet::new(),
                snapshot_whole: true,
                snapshot_at: now,
                snapshot_offset: snapshotted,
                snapshotting: None,
                checkpoint_at: now,
                checkpoint_backoff: Backoff::default(),
                held: false,
                unkept,
                snapshot_due: unkept,
                barrier: unkept.then_some(fresh),
            },
        );
        Ok(())
    }
}

fn of_this_log(partition: u32, identity: &str, record: &PartitionRecord) -> Result<(), Reaction> {
    if record.log.is_empty() || record.log == identity {
        return Ok(());
    }
    Err(Reaction::fatal(format!(
        "partition {partition}: the baselines store was made from another log: restore the log that belongs to it, or begin with an empty data folder (--data DIR)"
    )))
}

/// Whether a checkpoint is of this log, and the log was not set back since: before anything of it is forgotten or written.
async fn fits(log: &dyn Log, partition: u32, identity: &str, next_offset: u64, record: &PartitionRecord) -> Result<(), Reaction> {
    of_this_log(partition, identity, record)?;
    let end = log.bounds(ACCEPTED_TRANSACTIONS, partition).await?.end;
    if next_offset > end {
        let why = format!("its checkpoint goes on from offset {next_offset} of {ACCEPTED_TRANSACTIONS} partition {partition}, and this log ends at {end}");
        return Err(lineage::set_back(BASELINES, &why));
    }
    match &record.last {
        Some(last) => last.check(log, BASELINES, ACCEPTED_TRANSACTIONS, partition).await,
        None => Ok(()),
    }
}

/// A beginning with nothing learnt, behind what stands in the output; the ids that stand there are remembered.
async fn cold(log: &dyn Log, partition: u32, standing: Option<rebuild::Standing>, start: u64, horizon: usize) -> Result<Checkpoint, Reaction> {
    // Where retention has taken all of the output, offsets tell: each record that stood there had one, and a seq not above it.
    let behind = log.bounds(RISK_SCORES, partition).await?.end;
    let next_seq = standing.map_or(behind, |standing| standing.seq + 1);
    let state_epoch = standing.map_or(0, |standing| standing.state_epoch) + 1;
    tracing::warn!(stage = GROUP, partition, next_seq, state_epoch, "cold start: nothing is known of any user");
    let ids = rebuild::ids_before(log, partition, next_seq, 0, horizon).await?;
    let position = Position { next_seq, next_offset: start, state_epoch };
    // What the control records so far have done is forgotten with the rest: the settings' ruleset counts until the next one.
    let control = ControlState { next_offset: log.bounds(SCORER_CONTROL, 0).await?.end, ..ControlState::default() };
    Ok(Checkpoint { position, record: PartitionRecord { control, ..PartitionRecord::default() }, users: Vec::new(), ids })
}
