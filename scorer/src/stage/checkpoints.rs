//! Checkpoints of partitions into the baselines store.
//!
//! What must stay true: a checkpoint covers only what is acknowledged; what changed is written by each until one is kept; a partition whose
//! checkpoint the store no longer takes is taken over anew, and nothing of it goes on from memory.

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use wh_eventlog::gauges::Gauges;
use wh_eventlog::retry::{Backoff, tolerated};
use wh_eventlog::{Commit, Consumer, crash};
use wh_schemas::Reaction;
use wh_schemas::topics::ACCEPTED_TRANSACTIONS;

use super::{GROUP, LOST_WAIT, Stage, snapshots};
use crate::partition::Changes;
use crate::state::{Committed, Delta};

impl Stage {
    /// Writes the state of a partition when it is time.
    pub(super) async fn checkpoint_if_due(&mut self, consumer: &mut dyn Consumer, partition: u32, stop: &CancellationToken) -> Result<(), Reaction> {
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
    pub(super) async fn checkpoint(&mut self, consumer: &mut dyn Consumer, partition: u32, stop: &CancellationToken) -> Result<(), Reaction> {
        if !self.acknowledged(partition).await? {
            self.partitions.remove(&partition);
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
                crash::point("scorer.checkpointed");
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
        if tolerated(committed, &self.gauges).await?.is_some() {
            crash::point("scorer.committed");
        }
        self.snapshot_if_due(partition, stop).await?;
        self.settle_control(consumer, partition, stop).await
    }
}
