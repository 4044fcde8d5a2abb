//! Checkpoints, and the decisions that must be in one before they take effect.
//!
//! A checkpoint whose answer was lost may be kept or not. Of an ordinary one that does not matter: it holds a state that memory went through,
//! and the same comes of it again. One with decisions in it holds a turn that memory has not taken yet: were it left at that, and something
//! else done, a later owner would take the turn and find other patterns than stand in the output.
//!
//! What must stay true: from the first try to keep decisions until the store is known to hold them nothing else is done with the state: no
//! record is taken in, no other decision, and each checkpoint is the same one; then they are taken, at once.

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use wh_eventlog::gauges::Gauges;
use wh_eventlog::retry::{Backoff, tolerated};
use wh_eventlog::{Commit, Consumer, crash};
use wh_schemas::Reaction;
use wh_schemas::topics::ACCOUNT_ACTIVITY;

use super::running::Running;
use super::{GROUP, INPUT, LOST_WAIT, Note, REST, Stage};
use crate::state::Committed;
use crate::state::patterns::Decision;

impl Stage {
    /// The state, where decisions wait for a checkpoint that is known to hold them.
    pub(super) fn undecided(&self) -> Option<&Running> {
        self.owned.as_ref()?.running.as_ref().filter(|running| running.is_undecided())
    }

    /// Writes a checkpoint when it is time; where decisions wait for one, as soon as the store may be asked again.
    pub(super) async fn checkpoint_if_due(&mut self, consumer: &mut dyn Consumer, stop: &CancellationToken) -> Result<(), Reaction> {
        let Some(owned) = &self.owned else { return Ok(()) };
        let Some(running) = &owned.running else { return Ok(()) };
        let behind = running.position.next_offset - owned.checkpointed;
        let due = running.is_undecided() || behind >= self.settings.checkpoint_records || (owned.dirty && owned.checkpointed_at.elapsed() >= self.settings.checkpoint_every);
        if due && owned.checkpoint_at <= Instant::now() {
            self.keep(consumer, stop).await?;
        }
        Ok(())
    }

    /// Keeps decisions in a checkpoint at this place, then takes them. While the store is away, or others wait, they are not tried: the next
    /// look decides anew.
    pub(super) async fn accept(&mut self, consumer: &mut dyn Consumer, decisions: Vec<Decision>, stop: &CancellationToken) -> Result<(), Reaction> {
        let Some(owned) = &mut self.owned else { return Ok(()) };
        let Some(running) = &mut owned.running else { return Ok(()) };
        if running.is_undecided() || owned.checkpoint_at > Instant::now() {
            return Ok(());
        }
        running.record.pending = decisions;
        owned.dirty = true;
        self.keep(consumer, stop).await
    }

    /// Writes a checkpoint; where it is kept, takes the decisions in it.
    async fn keep(&mut self, consumer: &mut dyn Consumer, stop: &CancellationToken) -> Result<(), Reaction> {
        if self.checkpoint(consumer).await? { self.decide(stop).await } else { Ok(()) }
    }

    /// Writes the state; `false` where it is not known to be kept. While the store is away, goes on without, up to the stated bound; where
    /// decisions are in it, stands still.
    pub(super) async fn checkpoint(&mut self, consumer: &mut dyn Consumer) -> Result<bool, Reaction> {
        let Some(owned) = &mut self.owned else { return Ok(false) };
        let Some(running) = &mut owned.running else { return Ok(false) };
        if !owned.dirty {
            return Ok(true);
        }
        running.changed(&mut owned.unsaved);
        let (position, undecided) = (running.position, running.is_undecided());
        let begun = Instant::now();
        let delta = owned.unsaved.delta(owned.owner_epoch, position, running.record.clone());
        match self.store.commit_patterns(delta).await {
            Ok(Committed::Lost(message)) => {
                tracing::warn!(stage = GROUP, "{message}");
                self.owned = None;
                consumer.set_paused(ACCOUNT_ACTIVITY, INPUT, true);
                self.unowned = Some(position.next_seq);
                // Not at once: a member that lost its input without knowing it yet is told so by its next poll.
                self.own_at = Instant::now() + LOST_WAIT;
                return Ok(false);
            }
            Ok(Committed::Kept) => {
                crash::point("patterns.checkpointed");
                owned.unsaved.clear();
                owned.dirty = false;
                owned.checkpointed = position.next_offset;
                owned.checkpointed_at = Instant::now();
                owned.checkpoint_at = owned.checkpointed_at + begun.elapsed() * REST;
                owned.backoff = Backoff::default();
                if std::mem::take(&mut owned.held) {
                    consumer.set_paused(ACCOUNT_ACTIVITY, INPUT, false);
                }
            }
            Err(Reaction::Transient { message, retry_after }) => {
                Gauges::add(&self.gauges.retries, 1);
                owned.checkpoint_at = Instant::now() + owned.backoff.wait(retry_after);
                let waited = owned.checkpointed_at.elapsed();
                let hold = undecided || waited >= self.settings.without_checkpoint;
                if undecided {
                    tracing::warn!(stage = GROUP, "nothing more is read until the baselines store is known to hold which partitions are waited for: {message}");
                } else if !hold {
                    tracing::warn!(stage = GROUP, "going on without a checkpoint: {message}");
                } else if !owned.held {
                    tracing::error!(stage = GROUP, "no checkpoint for {} s: nothing more is read until the baselines store answers: {message}", waited.as_secs());
                }
                if hold {
                    owned.held = true;
                    consumer.set_paused(ACCOUNT_ACTIVITY, INPUT, true);
                }
                return Ok(false);
            }
            Err(other) => return Err(other),
        }
        let metadata = serde_json::to_string(&Note { next_seq: position.next_seq }).unwrap_or_default();
        let committed = consumer.commit(vec![Commit { topic: ACCOUNT_ACTIVITY.into(), partition: INPUT, next_offset: position.next_offset, metadata }]).await;
        // The checkpoint is what counts; the log's note may be late.
        tolerated(committed, &self.gauges).await?;
        Ok(true)
    }
}
