//! How an instance comes to own the state: from the checkpoint, else from the log.
//!
//! What must stay true: nothing is read before it is known where to go on; decisions that a checkpoint holds are taken before the next
//! record; what is begun anew is not mixed with what was there.

use std::sync::atomic::Ordering;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use wh_eventlog::gauges::Gauges;
use wh_eventlog::retry::Backoff;
use wh_eventlog::{Consumer, Log, lineage};
use wh_schemas::Reaction;
use wh_schemas::position::Seq;
use wh_schemas::topics::ACCOUNT_ACTIVITY;

use super::running::Running;
use super::{GROUP, INPUT, Owned, Stage, standing};
use crate::patterns::AccountRules;
use crate::state::patterns::{PatternCheckpoint, Unsaved};

impl Stage {
    /// Takes the state over, as soon as the baselines store and the log allow.
    pub(super) async fn own(&mut self, consumer: &mut dyn Consumer, stop: &CancellationToken) -> Result<(), Reaction> {
        let Some(noted) = self.unowned.filter(|_| self.own_at <= Instant::now()) else { return Ok(()) };
        match self.take_over(noted).await {
            Ok(owned) => {
                let next_offset = owned.running.as_ref().map_or(0, |running| running.position.next_offset);
                self.unowned = None;
                self.own_backoff = Backoff::default();
                self.idle.interrupt();
                self.owned = Some(owned);
                consumer.seek(ACCOUNT_ACTIVITY, INPUT, next_offset);
                consumer.set_paused(ACCOUNT_ACTIVITY, INPUT, false);
                self.gauges.reached(ACCOUNT_ACTIVITY, INPUT, next_offset);
                // Decisions that the checkpoint holds come before the next record.
                self.decide(stop).await
            }
            Err(Reaction::Transient { message, retry_after }) => {
                Gauges::add(&self.gauges.retries, 1);
                tracing::warn!(stage = GROUP, "not taken over yet: {message}");
                self.own_at = Instant::now() + self.own_backoff.wait(retry_after);
                Ok(())
            }
            Err(other) => Err(other),
        }
    }

    /// From the checkpoint, else by reading `account-activity` from its beginning, else, where that is gone, from what is left of it.
    async fn take_over(&mut self, noted: Seq) -> Result<Owned, Reaction> {
        let (owner_epoch, found) = self.store.take_over_patterns().await?;
        let input = self.log.bounds(ACCOUNT_ACTIVITY, INPUT).await?;
        let identity = self.log.identity().await?;
        if found.as_ref().is_some_and(|found| found.record.log != identity) {
            return Err(Reaction::fatal(
                "patterns: the baselines store was made from another log: restore the log that belongs to it, or begin with an empty data folder (--data DIR)".to_owned(),
            ));
        }
        if let Some(PatternCheckpoint { position, record, .. }) = &found {
            if position.next_offset > input.end {
                let why = format!("the checkpoint of patterns goes on from offset {} of {ACCOUNT_ACTIVITY}, and this log ends at {}", position.next_offset, input.end);
                return Err(lineage::set_back("baselines", &why));
            }
            if let Some(last) = &record.last {
                last.check(&*self.log, "baselines", ACCOUNT_ACTIVITY, INPUT).await?;
            }
        }
        let usable = found.filter(|found| found.position.next_offset >= input.start);
        let restored = match usable {
            Some(checkpoint) => restored(&*self.log, &self.settings.rules, checkpoint, self.partitions).await?,
            None => None,
        };
        let now = Instant::now();
        let dirty = restored.is_none();
        let running = match restored {
            Some(running) => running,
            None => {
                // What is begun anew must not be mixed with what an unreadable past left behind.
                self.store.forget_patterns(owner_epoch).await?;
                let standing = standing::read(&*self.log, 0).await?;
                if input.start > 0 {
                    tracing::warn!(
                        stage = GROUP,
                        from = input.start,
                        "there is no checkpoint, and {ACCOUNT_ACTIVITY} does not reach back to its beginning: every account is new, and patterns that began earlier are not found"
                    );
                }
                Running::begun(self.settings.rules.clone(), identity, standing, noted, input.start, self.partitions)
            }
        };
        let position = running.position;
        tracing::info!(stage = GROUP, next_seq = position.next_seq, next_offset = position.next_offset, owner_epoch, "taken over");
        self.gauges.waiting.store(running.awaited(), Ordering::Relaxed);
        Ok(Owned {
            running: Some(running),
            owner_epoch,
            unsaved: Unsaved::default(),
            dirty,
            checkpointed: position.next_offset,
            checkpointed_at: now,
            checkpoint_at: now,
            backoff: Backoff::default(),
            held: false,
        })
    }
}

/// The state of a checkpoint; `None` where this version cannot read it.
async fn restored(log: &dyn Log, rules: &AccountRules, checkpoint: PatternCheckpoint, partitions: u32) -> Result<Option<Running>, Reaction> {
    let standing = standing::read(log, checkpoint.record.output_offset).await?;
    let rules = rules.clone();
    let restoring = tokio::task::spawn_blocking(move || Running::restored(rules, checkpoint, standing, partitions));
    match restoring.await.map_err(|e| Reaction::fatal(format!("reading the patterns' state failed: {e}")))? {
        Ok(running) => Ok(Some(running)),
        Err(error) => {
            tracing::warn!(stage = GROUP, "the checkpoint is not gone on from: {error}");
            Ok(None)
        }
    }
}
