//! The scorer's cycle: read → score → produce → all acknowledged → checkpoint.
//!
//! What must stay true: a checkpoint is written only after the log holds every record that it covers; after a crash the
//! same inputs give the same bytes under the same `seq`, and what already stands in the output is not written again; nothing is scored
//! under a control record that a checkpoint and a snapshot do not hold.

mod control_records;
mod snapshots;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use wh_eventlog::gauges::Gauges;
use wh_eventlog::retry::{Backoff, tolerated, until_settled};
use wh_eventlog::{Bytes, Commit, Consumer, Event, Fetched, Log, Record, dead_letters};
use wh_schemas::topics::{ACCEPTED_TRANSACTIONS, ACCOUNT_ACTIVITY, DEAD_LETTERS, RISK_ALERTS, RISK_SCORES, SCORER_CONTROL};
use wh_schemas::{Reaction, position::Seq};

use crate::account_activity;
use crate::control::{self, ControlState};
use crate::dedup::{self, Ids, Seen};
use crate::engine::Ruleset;
use crate::partition::{Changes, Emitted, PartitionRecord, PartitionScorer, Position};
use crate::state::{Checkpoint, CheckpointStore, Committed, Delta, rebuild};

/// Name of the scorer's consumer group, role and stage.
pub const GROUP: &str = "scorer";

/// How long a partition whose checkpoint was lost is left alone before it is taken over anew.
const LOST_WAIT: Duration = Duration::from_secs(2);

/// How the stage runs.
#[derive(Clone, Debug)]
pub struct StageSettings {
    /// The rules to score by, until a control record says otherwise.
    pub ruleset: Ruleset,
    /// How many transaction ids each partition remembers.
    pub dedup_horizon: usize,
    /// A checkpoint is written at the latest after this long.
    pub checkpoint_every: Duration,
    /// … or after so many records.
    pub checkpoint_records: u64,
    /// A snapshot goes to `scorer-state` after so many records …
    pub snapshot_records: u64,
    /// … or after this long, if anything changed.
    pub snapshot_every: Duration,
    /// How long the scorer goes on when the baselines store is away: all can be reproduced from the log.
    pub without_checkpoint: Duration,
    /// Where neither the baselines store nor the log reaches back far enough, begins with an empty state and a new `state_epoch`.
    pub cold_start: bool,
    /// Version and commit, for dead letters.
    pub build: String,
}

impl StageSettings {
    /// The defaults, for a ruleset and a build.
    #[must_use]
    pub fn new(ruleset: Ruleset, build: &str) -> StageSettings {
        StageSettings {
            ruleset,
            dedup_horizon: dedup::DEFAULT_HORIZON,
            checkpoint_every: Duration::from_millis(500),
            checkpoint_records: 20_000,
            snapshot_records: 200_000,
            snapshot_every: Duration::from_secs(60),
            without_checkpoint: Duration::from_secs(600),
            cold_start: false,
            build: build.to_owned(),
        }
    }
}

/// One partition as the stage runs it.
struct Running {
    scorer: Option<PartitionScorer>,
    owner_epoch: u64,
    /// Highest `seq` that stands in the output: produced again after a crash, it would be doubled.
    emitted: Option<Seq>,
    /// The last alerts that stand in the output: a batch's alerts may be there where its scores are not.
    standing_alerts: HashSet<Bytes>,
    checkpointed: u64,
    checkpointed_at: Instant,
    unsaved_users: HashSet<String>,
    unsaved_forgotten: HashSet<String>,
    unsaved_ids: Vec<Seen>,
    snapshot_users: HashSet<String>,
    snapshot_forgotten: HashSet<String>,
    /// Whether the next snapshot is of all users: the first of this owner.
    snapshot_whole: bool,
    snapshot_at: Instant,
    snapshot_offset: u64,
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
    store: Box<dyn CheckpointStore>,
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
    dead_letter_partitions: u32,
}

/// Runs the stage until it is stopped, then checkpoints and returns.
///
/// # Errors
/// What ends a stage: a fatal reaction of the log or the baselines store.
pub async fn run(log: Arc<dyn Log>, store: Box<dyn CheckpointStore>, settings: StageSettings, gauges: Arc<Gauges>, stop: CancellationToken) -> Result<(), Reaction> {
    let Some(mut consumer) = until_settled(&stop, &gauges, || log.subscribe(GROUP, &[ACCEPTED_TRANSACTIONS])).await? else { return Ok(()) };
    let Some(input_partitions) = until_settled(&stop, &gauges, || log.partitions(ACCEPTED_TRANSACTIONS)).await? else { return Ok(()) };
    let Some(dead_letter_partitions) = until_settled(&stop, &gauges, || log.partitions(DEAD_LETTERS)).await? else { return Ok(()) };
    let mut stage = Stage {
        log,
        store,
        settings,
        gauges,
        partitions: BTreeMap::new(),
        unowned: BTreeSet::new(),
        own_at: Instant::now(),
        own_backoff: Backoff::default(),
        control_at: Instant::now(),
        input_partitions,
        dead_letter_partitions,
    };
    while !stop.is_cancelled() {
        let wait = stage.wait();
        let event = tokio::select! {
            () = stop.cancelled() => break,
            event = consumer.poll(wait) => tolerated(event, &stage.gauges).await?.unwrap_or(Event::Idle),
        };
        match event {
            Event::Assigned { partitions, .. } => {
                for assignment in partitions {
                    // Nothing is read before the checkpoint says where to go on.
                    consumer.set_paused(ACCEPTED_TRANSACTIONS, assignment.partition, true);
                    stage.unowned.insert(assignment.partition);
                }
                stage.own_at = Instant::now();
            }
            Event::Revoked { partitions } => {
                for (_, partition) in partitions {
                    // It is another's in any case; whoever took it over without waiting refuses this checkpoint, and begins from an earlier one.
                    // A store that is away is not waited for.
                    let away = stage.partitions.get(&partition).is_some_and(|running| running.checkpoint_at > Instant::now());
                    if !away && let Err(reaction) = stage.checkpoint(&mut *consumer, partition, &stop).await {
                        tracing::warn!(stage = GROUP, partition, "given up without a last checkpoint: {reaction}");
                    }
                    stage.partitions.remove(&partition);
                    stage.unowned.remove(&partition);
                    stage.gauges.left(ACCEPTED_TRANSACTIONS, partition);
                }
            }
            Event::Records(fetched) => {
                let partition = fetched.partition;
                if !stage.advance(&mut *consumer, fetched, &stop).await? {
                    // Its output was not acknowledged: what it has learnt since must not be checkpointed.
                    stage.partitions.remove(&partition);
                    break;
                }
            }
            Event::Idle => {}
        }
        // Of all partitions: one that is quiet, or held, must not wait until the others are.
        for partition in stage.partitions.keys().copied().collect::<Vec<_>>() {
            stage.checkpoint_if_due(&mut *consumer, partition, &stop).await?;
        }
        stage.look_for_control(&mut *consumer, &stop).await?;
        stage.own(&mut *consumer, &stop).await?;
    }
    // One partition that cannot be checkpointed keeps no other from it.
    let mut outcome = Ok(());
    for partition in stage.partitions.keys().copied().collect::<Vec<_>>() {
        outcome = outcome.and(stage.checkpoint(&mut *consumer, partition, &stop).await);
    }
    outcome
}

impl Stage {
    /// How long nothing needs to be done but what the log brings.
    fn wait(&self) -> Duration {
        let own = if self.unowned.is_empty() { Duration::MAX } else { self.own_at.saturating_duration_since(Instant::now()) };
        own.min(self.settings.checkpoint_every).min(control_records::EVERY)
    }

    /// Takes over the partitions that are assigned and not owned yet, as soon as the baselines store and the log allow.
    async fn own(&mut self, consumer: &mut dyn Consumer, stop: &CancellationToken) -> Result<(), Reaction> {
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
        let (owner_epoch, found) = self.store.take_over(partition).await?;
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
            self.store.forget(partition, owner_epoch).await?;
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
        let identity = self.log.identity().await?;
        if !record.log.is_empty() && record.log != identity {
            return Err(Reaction::fatal(format!(
                "partition {partition}: the baselines store was made from another log: restore the log that belongs to it, or begin with an empty data folder (--data DIR)"
            )));
        }
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
                emitted,
                standing_alerts: rebuild::last_alerts(&*self.log, partition).await?,
                checkpointed,
                checkpointed_at: now,
                unsaved_users,
                unsaved_forgotten: HashSet::new(),
                unsaved_ids,
                snapshot_users,
                snapshot_forgotten: HashSet::new(),
                snapshot_whole: true,
                snapshot_at: now,
                snapshot_offset: snapshotted,
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

    /// Scores records and produces what they give; returns `false` when stopped before all was acknowledged.
    async fn advance(&mut self, consumer: &mut dyn Consumer, fetched: Fetched, stop: &CancellationToken) -> Result<bool, Reaction> {
        let partition = fetched.partition;
        let Some(running) = self.partitions.get_mut(&partition) else { return Ok(true) };
        let Some(mut scorer) = running.scorer.take() else { return Err(Reaction::fatal(format!("partition {partition} of the scorer lost its state"))) };
        let (alerts_before, barrier) = (scorer.counts().alerts, running.barrier.unwrap_or(Seq::MAX));
        let end = fetched.records.last().map_or(0, |last| last.offset + 1);
        let scoring = tokio::task::spawn_blocking(move || {
            let mut emitted = Emitted { scores: Vec::with_capacity(fetched.records.len()), ..Emitted::default() };
            let mut records = 0_u64;
            for record in &fetched.records {
                if scorer.position().next_seq >= barrier {
                    break;
                }
                scorer.process(record, &mut emitted);
                records += 1;
            }
            (scorer, emitted, records)
        });
        let (scorer, mut emitted, records) = scoring.await.map_err(|e| Reaction::fatal(format!("scoring partition {partition} failed: {e}")))?;
        if let Some(last) = running.emitted {
            let standing = usize::try_from((last + 1).saturating_sub(emitted.first_seq)).unwrap_or(usize::MAX).min(emitted.scores.len());
            emitted.scores.drain(..standing);
            // As alerts below. Of the batch behind, a copy may be written: whoever reads them drops it by its `seq`.
            emitted.activities.retain(|(seq, _)| *seq > last);
            // Alerts are produced before their scores: those of scores that stand, stand too; of the batch behind, some may.
            emitted.alerts.retain(|(seq, _)| *seq > last);
        }
        emitted.alerts.retain(|(_, alert)| alert.key.as_ref().is_none_or(|id| !running.standing_alerts.contains(id)));
        let alerts = emitted.alerts.into_iter().map(|(_, alert)| alert).collect();
        let activities = emitted.activities.into_iter().map(|(_, activity)| activity).collect();
        Gauges::add(&self.gauges.alerts, scorer.counts().alerts - alerts_before);
        Gauges::add(&self.gauges.dead_letters, emitted.dead_letters.len() as u64);
        running.scorer = Some(scorer);
        let (log, gauges) = (&self.log, &*self.gauges);
        if !emitted.dead_letters.is_empty() {
            let letters = emitted.dead_letters;
            let count = self.dead_letter_partitions;
            if until_settled(stop, gauges, || dead_letters::write(&**log, count, letters.clone())).await?.is_none() {
                return Ok(false);
            }
        }
        // The scores last: what stands there, stands in the others.
        let outputs = [(ACCOUNT_ACTIVITY, account_activity::PARTITION, activities), (RISK_ALERTS, partition, alerts), (RISK_SCORES, partition, emitted.scores)];
        for (topic, to, records) in outputs {
            if !produce(log, topic, to, records, gauges, stop).await? {
                return Ok(false);
            }
        }
        Gauges::add(&self.gauges.records, records);
        if let Some(scorer) = &running.scorer {
            let next_offset = scorer.position().next_offset;
            self.gauges.reached(ACCEPTED_TRANSACTIONS, partition, next_offset);
            if next_offset < end {
                // The rest comes again once what it is scored under is kept.
                running.held = true;
                consumer.set_paused(ACCEPTED_TRANSACTIONS, partition, true);
                consumer.seek(ACCEPTED_TRANSACTIONS, partition, next_offset);
            }
        }
        Ok(true)
    }

    async fn checkpoint_if_due(&mut self, consumer: &mut dyn Consumer, partition: u32, stop: &CancellationToken) -> Result<(), Reaction> {
        let Some(running) = self.partitions.get(&partition) else { return Ok(()) };
        let Some(scorer) = &running.scorer else { return Ok(()) };
        if running.checkpoint_at > Instant::now() {
            return Ok(());
        }
        let behind = scorer.position().next_offset - running.checkpointed;
        let waited = running.checkpointed_at.elapsed();
        if running.unkept || behind >= self.settings.checkpoint_records || (behind > 0 && waited >= self.settings.checkpoint_every) {
            self.checkpoint(consumer, partition, stop).await?;
        }
        Ok(())
    }

    /// Writes the state of a partition. While the store is away, goes on without, up to the stated bound.
    async fn checkpoint(&mut self, consumer: &mut dyn Consumer, partition: u32, stop: &CancellationToken) -> Result<(), Reaction> {
        let Some(running) = self.partitions.get_mut(&partition) else { return Ok(()) };
        let Some(scorer) = &mut running.scorer else { return Ok(()) };
        let position = scorer.position().clone();
        let Changes { users, forgotten, ids } = scorer.take_changes();
        running.snapshot_users.extend(users.iter().cloned());
        running.unsaved_users.extend(users);
        running.snapshot_forgotten.extend(forgotten.iter().cloned());
        running.unsaved_forgotten.extend(forgotten);
        running.unsaved_ids.extend(ids);
        // However long the store is away: what is beyond the horizon would not be kept.
        let beyond = running.unsaved_ids.len().saturating_sub(self.settings.dedup_horizon);
        running.unsaved_ids.drain(..beyond);
        if position.next_offset == running.checkpointed && !running.unkept {
            self.snapshot_if_due(partition, stop).await?;
            return self.settle_control(consumer, partition, stop).await;
        }
        let mut names: Vec<&String> = running.unsaved_users.iter().collect();
        names.sort_unstable();
        let delta = Delta {
            partition,
            owner_epoch: running.owner_epoch,
            position: position.clone(),
            record: scorer.record(),
            users: snapshots::states(scorer, names),
            forgotten: snapshots::gone(scorer, &running.unsaved_forgotten),
            ids: running.unsaved_ids.clone(),
            horizon: self.settings.dedup_horizon,
        };
        match self.store.commit(delta).await {
            Ok(Committed::Lost(message)) => {
                tracing::warn!(stage = GROUP, partition, "{message}");
                self.partitions.remove(&partition);
                consumer.set_paused(ACCEPTED_TRANSACTIONS, partition, true);
                self.unowned.insert(partition);
                // Not at once: a member that lost its partitions without knowing it yet is told so by its next poll.
                self.own_at = Instant::now() + LOST_WAIT;
                return Ok(());
            }
            Ok(Committed::Kept) => {
                running.unsaved_users.clear();
                running.unsaved_forgotten.clear();
                running.unsaved_ids.clear();
                running.unkept = false;
                running.checkpointed = position.next_offset;
                running.checkpointed_at = Instant::now();
                running.checkpoint_backoff = Backoff::default();
                if running.barrier.is_none() && std::mem::take(&mut running.held) {
                    consumer.set_paused(ACCEPTED_TRANSACTIONS, partition, false);
                }
            }
            Err(Reaction::Transient { message, retry_after }) => {
                Gauges::add(&self.gauges.retries, 1);
                running.checkpoint_at = Instant::now() + running.checkpoint_backoff.wait(retry_after);
                if running.checkpointed_at.elapsed() < self.settings.without_checkpoint {
                    tracing::warn!(stage = GROUP, partition, "going on without a checkpoint: {message}");
                } else if !running.held {
                    tracing::error!(
                        stage = GROUP,
                        partition,
                        "no checkpoint for {} s: nothing more is read until the baselines store answers: {message}",
                        running.checkpointed_at.elapsed().as_secs()
                    );
                    running.held = true;
                    consumer.set_paused(ACCEPTED_TRANSACTIONS, partition, true);
                }
                return Ok(());
            }
            Err(other) => return Err(other),
        }
        let committed = consumer.commit(vec![Commit { topic: ACCEPTED_TRANSACTIONS.into(), partition, next_offset: position.next_offset, metadata: String::new() }]).await;
        // The checkpoint is what counts; the log's note may be late.
        tolerated(committed, &self.gauges).await?;
        self.snapshot_if_due(partition, stop).await?;
        self.settle_control(consumer, partition, stop).await
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

/// Produces records, trying again while the log asks for patience; `false` when stopped before.
async fn produce(log: &Arc<dyn Log>, topic: &str, partition: u32, records: Vec<Record>, gauges: &Gauges, stop: &CancellationToken) -> Result<bool, Reaction> {
    if records.is_empty() {
        return Ok(true);
    }
    Ok(until_settled(stop, gauges, || log.produce(topic, partition, records.clone())).await?.is_some())
}
