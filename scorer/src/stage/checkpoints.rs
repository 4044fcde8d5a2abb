//! Checkpoints of partitions into the baselines store, beside the scoring: one at a time is on its way.
//!
//! What must stay true: a checkpoint covers only what is acknowledged; what changed is written by each until one is kept; a partition whose
//! checkpoint the store no longer takes is taken over anew, and nothing of it goes on from memory; a position is committed to the log only
//! where a checkpoint is kept; who waits for a checkpoint (`checkpoint`) finds it kept, or refused, and a snapshot that was due written.

use hashbrown::HashSet;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use wh_eventlog::gauges::Gauges;
use wh_eventlog::retry::{Backoff, tolerated};
use wh_eventlog::{Commit, Consumer, crash};
use wh_schemas::Reaction;
use wh_schemas::topics::ACCEPTED_TRANSACTIONS;

use super::snapshots::{self, Snapshot};
use super::{GROUP, LOST_WAIT, Running, Stage};
use crate::dedup::Seen;
use crate::partition::Changes;
use crate::state::{CheckpointStore, Committed, Delta};

/// A checkpoint on its way into the store, which comes back with the answer.
pub(super) struct UnderWay {
    partition: u32,
    owner_epoch: u64,
    begun: Instant,
    next_offset: u64,
    unsaved: Unsaved,
    /// Whether it holds decisions that none before it held.
    decides: bool,
    /// What is to be produced once it is kept.
    snapshot: Option<Snapshot>,
    answer: JoinHandle<(Box<dyn CheckpointStore>, Result<Committed, Reaction>)>,
}

/// What a checkpoint holds, to be held by the next where it is not kept.
struct Unsaved {
    users: HashSet<String>,
    forgotten: HashSet<String>,
    ids: Vec<Seen>,
}

impl Unsaved {
    fn back_to(self, running: &mut Running) {
        running.unsaved_users.extend(self.users);
        running.unsaved_forgotten.extend(self.forgotten);
        running.unsaved_ids.splice(..0, self.ids);
    }
}

impl Stage {
    /// Whether the store did not take the last checkpoint of a partition, and is left alone for now.
    pub(super) fn is_away(&self, partition: u32) -> bool {
        self.partitions.get(&partition).is_some_and(|running| running.checkpoint_at > Instant::now())
    }

    /// Whose checkpoint is on its way.
    pub(super) fn under_way(&self) -> Option<u32> {
        self.under_way.as_ref().map(|it| it.partition)
    }

    /// Waits until all that a partition's batches gave is acknowledged; where that was broken off by a stop, nothing of it goes on: `false`.
    async fn ended(&mut self, partition: u32) -> Result<bool, Reaction> {
        let acknowledged = self.acknowledged(partition).await?;
        if !acknowledged {
            self.settle_snapshot(partition, true).await?;
            self.partitions.remove(&partition);
        }
        Ok(acknowledged)
    }

    /// The baselines store, which no checkpoint is on its way into.
    pub(super) async fn store(&mut self, consumer: &mut dyn Consumer) -> Result<&mut dyn CheckpointStore, Reaction> {
        self.settle_checkpoint(consumer, true).await?;
        match &mut self.store {
            Some(store) => Ok(&mut **store),
            None => Err(Reaction::fatal("the task of the baselines store failed")),
        }
    }

    /// Begins to write the state of a partition when it is time.
    pub(super) async fn checkpoint_if_due(&mut self, consumer: &mut dyn Consumer, partition: u32, stop: &CancellationToken) -> Result<(), Reaction> {
        let Some(running) = self.partitions.get(&partition) else { return Ok(()) };
        let Some(scorer) = &running.scorer else { return Ok(()) };
        if running.checkpoint_at > Instant::now() {
            return Ok(());
        }
        if running.unkept {
            // What was decided counts once it is kept: nothing goes on beside that.
            return self.checkpoint(consumer, partition, stop).await;
        }
        let behind = scorer.position().next_offset - running.checkpointed;
        let waited = running.checkpointed_at.elapsed();
        if self.under_way.is_none() && (behind >= self.settings.checkpoint_records || (behind > 0 && waited >= self.settings.checkpoint_every)) {
            self.begin_checkpoint(partition).await?;
        }
        Ok(())
    }

    /// Writes the state of a partition, and a snapshot where one is due. While the store is away, goes on without, up to the stated bound.
    pub(super) async fn checkpoint(&mut self, consumer: &mut dyn Consumer, partition: u32, stop: &CancellationToken) -> Result<(), Reaction> {
        self.settle_checkpoint(consumer, true).await?;
        self.settle_snapshot(partition, true).await?;
        if self.is_away(partition) {
            // It has just said so, and is not waited for once more.
            return self.ended(partition).await.map(drop);
        }
        self.begin_checkpoint(partition).await?;
        self.settle_checkpoint(consumer, true).await?;
        self.settle_snapshot(partition, true).await?;
        self.commit_positions(consumer).await?;
        self.settle_control(consumer, partition, stop).await
    }

    /// Sends the state of a partition on its way, and with it a snapshot where one is due; that alone where a checkpoint holds all of it.
    async fn begin_checkpoint(&mut self, partition: u32) -> Result<(), Reaction> {
        if !self.ended(partition).await? {
            return Ok(());
        }
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
        let snapshot = snapshots::taken(running, &self.settings, self.stop.is_cancelled())?;
        if position.next_offset == running.checkpointed && !running.unkept {
            if let Some(snapshot) = snapshot {
                self.begin_snapshot(partition, snapshot);
            }
            return Ok(());
        }
        let Some(running) = self.partitions.get_mut(&partition) else { return Ok(()) };
        let Some(scorer) = &running.scorer else { return Ok(()) };
        let unsaved =
            Unsaved { users: std::mem::take(&mut running.unsaved_users), forgotten: std::mem::take(&mut running.unsaved_forgotten), ids: std::mem::take(&mut running.unsaved_ids) };
        let mut names: Vec<&String> = unsaved.users.iter().collect();
        names.sort_unstable();
        let delta = Delta {
            partition,
            owner_epoch: running.owner_epoch,
            position: position.clone(),
            record: scorer.record(),
            users: snapshots::states(scorer, names),
            forgotten: snapshots::gone(scorer, &unsaved.forgotten),
            ids: unsaved.ids.clone(),
            horizon: self.settings.dedup_horizon,
        };
        let Some(mut store) = self.store.take() else { return Err(Reaction::fatal("the baselines store is not here: its task failed, or has not ended")) };
        let answer = tokio::spawn(async move {
            let outcome = store.commit(delta).await;
            (store, outcome)
        });
        let (owner_epoch, decides) = (running.owner_epoch, running.unkept);
        self.under_way = Some(UnderWay { partition, owner_epoch, begun: Instant::now(), next_offset: position.next_offset, unsaved, decides, snapshot, answer });
        Ok(())
    }

    /// Does what the answer of the checkpoint on its way asks for, if it is there or waited for.
    pub(super) async fn settle_checkpoint(&mut self, consumer: &mut dyn Consumer, wait: bool) -> Result<(), Reaction> {
        let Some(UnderWay { partition, owner_epoch, begun, next_offset, unsaved, decides, snapshot, answer }) = self.under_way.take_if(|it| wait || it.answer.is_finished()) else {
            return Ok(());
        };
        let (store, outcome) = answer.await.map_err(|error| Reaction::fatal(format!("the task of the baselines store failed: {error}")))?;
        self.store = Some(store);
        // It was given up meanwhile: whoever has it now begins from what the store kept.
        let Some(running) = self.partitions.get_mut(&partition).filter(|running| running.owner_epoch == owner_epoch) else { return Ok(()) };
        match outcome {
            Ok(Committed::Lost(message)) => {
                tracing::warn!(stage = GROUP, partition, "{message}");
                self.acknowledged(partition).await?;
                self.settle_snapshot(partition, true).await?;
                self.forget(partition);
                consumer.set_paused(ACCEPTED_TRANSACTIONS, partition, true);
                self.unowned.insert(partition);
                // Not at once: a member that lost its partitions without knowing it yet is told so by its next poll.
                self.own_at = Instant::now() + LOST_WAIT;
            }
            Ok(Committed::Kept) => {
                crash::point("scorer.checkpointed");
                running.unkept &= !decides;
                running.checkpointed = next_offset;
                running.checkpointed_at = begun;
                running.checkpoint_backoff = Backoff::default();
                if running.barrier.is_none() && std::mem::take(&mut running.held) {
                    consumer.set_paused(ACCEPTED_TRANSACTIONS, partition, false);
                }
                self.commits.insert(partition, next_offset);
                if let Some(snapshot) = snapshot {
                    self.begin_snapshot(partition, snapshot);
                }
            }
            Err(Reaction::Transient { message, retry_after }) => {
                unsaved.back_to(running);
                if let Some(snapshot) = snapshot {
                    snapshot.back_to(running);
                }
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
            }
            Err(other) => {
                unsaved.back_to(running);
                if let Some(snapshot) = snapshot {
                    snapshot.back_to(running);
                }
                return Err(other);
            }
        }
        Ok(())
    }

    /// Nothing of a partition goes on from memory.
    pub(super) fn forget(&mut self, partition: u32) {
        self.partitions.remove(&partition);
        self.commits.remove(&partition);
    }

    /// Tells the log how far checkpoints are kept, now and then.
    pub(super) async fn commit_positions_if_due(&mut self, consumer: &mut dyn Consumer) -> Result<(), Reaction> {
        if self.commits.is_empty() || self.committed_at.elapsed() < self.settings.checkpoint_every {
            return Ok(());
        }
        self.commit_positions(consumer).await
    }

    /// Tells the log how far checkpoints are kept. The checkpoint is what counts; the log's note may be late.
    pub(super) async fn commit_positions(&mut self, consumer: &mut dyn Consumer) -> Result<(), Reaction> {
        if self.commits.is_empty() {
            return Ok(());
        }
        self.committed_at = Instant::now();
        let commit =
            |(partition, next_offset): (&u32, &u64)| Commit { topic: ACCEPTED_TRANSACTIONS.into(), partition: *partition, next_offset: *next_offset, metadata: String::new() };
        let committed = consumer.commit(self.commits.iter().map(commit).collect()).await;
        if tolerated(committed, &self.gauges).await?.is_some() {
            self.commits.clear();
            crash::point("scorer.committed");
        }
        Ok(())
    }
}
