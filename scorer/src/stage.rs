//! The scorer's cycle: read → score → produce → all acknowledged → checkpoint; the next batch is scored while the last one is produced, and
//! while a checkpoint is on its way.
//!
//! What must stay true: a checkpoint is written only after the log holds every record that it covers; after a crash the
//! same inputs give the same bytes under the same `seq`, and what already stands in the output is not written again; nothing is scored
//! under a control record that a checkpoint and a snapshot do not hold.

mod checkpoints;
mod control_records;
mod scoring;
mod settings;
mod snapshots;
mod takeover;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use wh_eventlog::dead_letters::DeadLetterWriter;
use wh_eventlog::gauges::Gauges;
use wh_eventlog::retry::{Backoff, tolerated, until_settled};
use wh_eventlog::{Bytes, Consumer, Event, Log};
use wh_schemas::topics::{ACCEPTED_TRANSACTIONS, DEAD_LETTERS};
use wh_schemas::{Reaction, position::Seq};

use self::checkpoints::UnderWay;
use self::scoring::Producing;
pub use self::settings::StageSettings;
use self::snapshots::Snapshotting;
use crate::dedup::Seen;
use crate::partition::PartitionScorer;
use crate::state::{CheckpointStore, rebuild};

/// Name of the scorer's consumer group, role and stage.
pub const GROUP: &str = "scorer";

/// How often at most records are taken that come little by little.
const PACE: Duration = Duration::from_millis(25);
/// How long a partition whose checkpoint was lost is left alone before it is taken over anew.
const LOST_WAIT: Duration = Duration::from_secs(2);

/// One partition as the stage runs it.
struct Running {
    scorer: Option<PartitionScorer>,
    owner_epoch: u64,
    /// The output of the last batch, on its way into the log.
    producing: Option<Producing>,
    /// Highest `seq` that stands in the output: produced again after a crash, it would be doubled.
    emitted: Option<Seq>,
    /// The last alerts that stand in the output: a batch's alerts may be there where its scores are not.
    standing_alerts: HashSet<Bytes>,
    checkpointed: u64,
    checkpointed_at: Instant,
    unsaved_users: HashSet<String>,
    unsaved_forgotten: HashSet<String>,
    unsaved_ids: Vec<Seen>,
    /// Whose its snapshots are.
    snapshot_owner: rebuild::Owner,
    snapshot_users: HashSet<String>,
    snapshot_forgotten: HashSet<String>,
    /// Whether the next snapshot is of all users: the first of this owner.
    snapshot_whole: bool,
    snapshot_at: Instant,
    snapshot_offset: u64,
    snapshotting: Option<Snapshotting>,
    /// No checkpoint is tried before: the store was away.
    checkpoint_at: Instant,
    checkpoint_backoff: Backoff,
    /// Whether nothing more is read until a checkpoint is written.
    held: bool,
    /// Whether something was decided that no checkpoint holds.
    unkept: bool,
    /// … or no snapshot.
    snapshot_due: bool,
    /// Nothing from this `seq` on is scored until both hold it.
    barrier: Option<Seq>,
}

/// The stage.
pub struct Stage {
    log: Arc<dyn Log>,
    /// Not here while a checkpoint is on its way.
    store: Option<Box<dyn CheckpointStore>>,
    under_way: Option<UnderWay>,
    settings: StageSettings,
    gauges: Arc<Gauges>,
    partitions: BTreeMap<u32, Running>,
    /// Partitions that are assigned, and whose state is still to be read.
    unowned: BTreeSet<u32>,
    own_at: Instant,
    own_backoff: Backoff,
    /// No look for control records before.
    control_at: Instant,
    /// Partitions of the input, hence of the scorer.
    input_partitions: u32,
    letters: DeadLetterWriter,
    /// Positions that checkpoints hold, and the log is still to be told.
    commits: BTreeMap<u32, u64>,
    committed_at: Instant,
    stop: CancellationToken,
}

/// Runs the stage until it is stopped, then checkpoints and returns.
///
/// # Errors
/// What ends a stage: a fatal reaction of the log or the baselines store.
pub async fn run(log: Arc<dyn Log>, store: Box<dyn CheckpointStore>, settings: StageSettings, gauges: Arc<Gauges>, stop: CancellationToken) -> Result<(), Reaction> {
    let Some(mut consumer) = until_settled(&stop, &gauges, || log.subscribe(GROUP, &[ACCEPTED_TRANSACTIONS])).await? else { return Ok(()) };
    let Some(input_partitions) = until_settled(&stop, &gauges, || log.partitions(ACCEPTED_TRANSACTIONS)).await? else { return Ok(()) };
    let Some(dead_letter_partitions) = until_settled(&stop, &gauges, || log.partitions(DEAD_LETTERS)).await? else { return Ok(()) };
    let letters = DeadLetterWriter::new(log.clone(), dead_letter_partitions, settings.dead_letters, gauges.clone());
    // Whatever ends the stage, no output of it is on its way any more when it has ended: who takes over looks for the last that stands.
    let ending = stop.child_token();
    let mut stage = Stage {
        log,
        store: Some(store),
        under_way: None,
        settings,
        gauges,
        partitions: BTreeMap::new(),
        unowned: BTreeSet::new(),
        own_at: Instant::now(),
        own_backoff: Backoff::default(),
        control_at: Instant::now(),
        input_partitions,
        letters,
        commits: BTreeMap::new(),
        committed_at: Instant::now(),
        stop: ending.clone(),
    };
    let outcome = stage.cycle(&mut *consumer, &ending).await;
    ending.cancel();
    if let Err(reaction) = stage.settle_checkpoint(&mut *consumer, true).await {
        tracing::warn!(stage = GROUP, "ended with a checkpoint on its way: {reaction}");
    }
    for partition in stage.partitions.keys().copied().collect::<Vec<_>>() {
        // What is not acknowledged by now is scored again by whoever comes next.
        if let Err(reaction) = stage.acknowledged(partition).await {
            tracing::warn!(stage = GROUP, partition, "ended with output on its way: {reaction}");
        }
        if let Err(reaction) = stage.settle_snapshot(partition, true).await {
            tracing::warn!(stage = GROUP, partition, "ended with a snapshot on its way: {reaction}");
        }
    }
    outcome
}

impl Stage {
    async fn cycle(&mut self, consumer: &mut dyn Consumer, stop: &CancellationToken) -> Result<(), Reaction> {
        consumer.set_pace(PACE);
        while !stop.is_cancelled() {
            let wait = self.wait();
            let event = tokio::select! {
                () = stop.cancelled() => break,
                event = consumer.poll(wait) => tolerated(event, &self.gauges).await?.unwrap_or(Event::Idle),
            };
            match event {
                Event::Assigned { partitions, .. } => {
                    for assignment in partitions {
                        // Nothing is read before the checkpoint says where to go on.
                        consumer.set_paused(ACCEPTED_TRANSACTIONS, assignment.partition, true);
                        self.unowned.insert(assignment.partition);
                    }
                    self.own_at = Instant::now();
                }
                Event::Revoked { partitions } => {
                    for (_, partition) in partitions {
                        self.give_up(consumer, partition, stop).await?;
                    }
                }
                Event::Records(fetched) => {
                    let partition = fetched.partition;
                    if !self.advance(consumer, fetched, stop).await? {
                        // Its output was not acknowledged: what it has learnt since must not be checkpointed.
                        self.settle_snapshot(partition, true).await?;
                        self.partitions.remove(&partition);
                        break;
                    }
                }
                Event::Idle => {}
            }
            self.settle_checkpoint(consumer, false).await?;
            // Of all partitions: one that is quiet, or held, must not wait until the others are. Whose checkpoint is oldest comes first, since one is
            // on its way at a time.
            let mut partitions: Vec<(Instant, u32)> = self.partitions.iter().map(|(partition, running)| (running.checkpointed_at, *partition)).collect();
            partitions.sort_unstable();
            for (_, partition) in partitions {
                self.settle_snapshot(partition, false).await?;
                self.checkpoint_if_due(consumer, partition, stop).await?;
            }
            self.commit_positions_if_due(consumer).await?;
            self.look_for_control(consumer, stop).await?;
            self.own(consumer, stop).await?;
        }
        // One partition that cannot be checkpointed keeps no other from it.
        let mut outcome = self.settle_checkpoint(consumer, true).await;
        for partition in self.partitions.keys().copied().collect::<Vec<_>>() {
            outcome = outcome.and(self.checkpoint(consumer, partition, stop).await);
        }
        outcome
    }

    /// Gives up a partition that is another's in any case: whoever took it over without waiting refuses this checkpoint, and begins from an earlier
    /// one. A store that is away is not waited for. What another partition's checkpoint comes to meanwhile may end the stage.
    async fn give_up(&mut self, consumer: &mut dyn Consumer, partition: u32, stop: &CancellationToken) -> Result<(), Reaction> {
        // Nothing of it is on its way any more when the group is answered.
        let acknowledged = self.acknowledged(partition).await;
        let is_anothers = self.under_way().is_some_and(|other| other != partition);
        let mut given_up = self.settle_checkpoint(consumer, true).await;
        if is_anothers {
            std::mem::replace(&mut given_up, Ok(()))?;
        }
        let complete = matches!(acknowledged, Ok(true)) && given_up.is_ok() && !self.is_away(partition);
        given_up = if complete { self.checkpoint(consumer, partition, stop).await } else { acknowledged.map(drop).and(given_up) };
        if let Err(reaction) = given_up.and(self.settle_snapshot(partition, true).await) {
            tracing::warn!(stage = GROUP, partition, "given up without a last checkpoint: {reaction}");
        }
        self.forget(partition);
        self.unowned.remove(&partition);
        self.gauges.left(ACCEPTED_TRANSACTIONS, partition);
        Ok(())
    }

    /// How long nothing needs to be done but what the log brings.
    fn wait(&self) -> Duration {
        let own = if self.unowned.is_empty() { Duration::MAX } else { self.own_at.saturating_duration_since(Instant::now()) };
        own.min(self.settings.checkpoint_every).min(control_records::EVERY)
    }
}
