//! The stage of patterns by account: read → find → produce → all acknowledged → checkpoint.
//!
//! A chain over several accounts needs them in one place, so `account-activity` has one partition and this stage one instance at work;
//! others stand by. One core bounds it: what to do beyond that is in docs/adr/0021.
//!
//! What must stay true: a checkpoint is written only after the log holds every record that it covers; after a crash the same inputs give the
//! same bytes under the same `seq`, and what stands in the output is not written again. Whether a partition of the scorer is waited for is
//! decided by the clock, so such a decision is kept in a checkpoint before it takes effect: whoever goes on from there takes it at the
//! same record.

mod checkpoints;
mod idle;
mod looks;
#[cfg(test)]
mod lost_answers_tests;
mod running;
mod settings;
mod standing;
mod takeover;
mod work;

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use wh_eventlog::dead_letters::DeadLetterWriter;
use wh_eventlog::gauges::Gauges;
use wh_eventlog::retry::{Backoff, tolerated, until_settled};
use wh_eventlog::{Assignment, Consumer, Event, Log};
use wh_schemas::Reaction;
use wh_schemas::position::Seq;
use wh_schemas::topics::{ACCEPTED_TRANSACTIONS, ACCOUNT_ACTIVITY, DEAD_LETTERS};

use self::idle::Idle;
use self::running::Running;
pub use self::settings::PatternSettings;
use crate::account_activity::PARTITION as INPUT;
use crate::state::patterns::{PatternCheckpoints, Unsaved};

/// Name of the stage, of its consumer group, its role and its stream.
pub const GROUP: &str = "patterns";

/// How long a state that was lost is left alone before it is taken over anew.
const LOST_WAIT: Duration = Duration::from_secs(2);
/// How often at most records are taken that come little by little.
const PACE: Duration = Duration::from_millis(50);
/// A checkpoint that took its time is followed by so many times as long without one: events that are held back for the watermark are in each.
const REST: u32 = 9;

/// What stands beside the offset that the group commits: where the baselines store is lost, and retention has taken the output, it alone
/// says which `seq` comes next.
#[derive(Serialize, Deserialize)]
struct Note {
    next_seq: Seq,
}

/// The state that this instance owns.
struct Owned {
    /// `None` while it is at work on another thread.
    running: Option<Running>,
    owner_epoch: u64,
    unsaved: Unsaved,
    /// Whether anything is to be written.
    dirty: bool,
    /// Next offset of the last checkpoint.
    checkpointed: u64,
    checkpointed_at: Instant,
    /// No checkpoint is tried before: the store was away, or the last one was large.
    checkpoint_at: Instant,
    backoff: Backoff,
    /// Whether nothing more is read until a checkpoint is written.
    held: bool,
}

struct Stage {
    log: Arc<dyn Log>,
    store: Box<dyn PatternCheckpoints>,
    settings: PatternSettings,
    gauges: Arc<Gauges>,
    owned: Option<Owned>,
    /// Assigned and not taken over yet; with the `seq` that the group noted last.
    unowned: Option<Seq>,
    own_at: Instant,
    own_backoff: Backoff,
    idle: Idle,
    look_at: Instant,
    begun: Instant,
    /// Partitions of the scorer.
    partitions: u32,
    letters: DeadLetterWriter,
}

/// Runs the stage until it is stopped, then checkpoints and returns.
///
/// # Errors
/// What ends a stage: a fatal reaction of the log or the baselines store.
pub async fn run(log: Arc<dyn Log>, store: Box<dyn PatternCheckpoints>, settings: PatternSettings, gauges: Arc<Gauges>, stop: CancellationToken) -> Result<(), Reaction> {
    let Some(mut consumer) = until_settled(&stop, &gauges, || log.subscribe(GROUP, &[ACCOUNT_ACTIVITY])).await? else { return Ok(()) };
    let Some(mut stage) = Stage::begin(log, store, settings, gauges, &stop).await? else { return Ok(()) };
    consumer.set_pace(PACE);
    while !stop.is_cancelled() {
        let wait = stage.wait();
        let event = tokio::select! {
            () = stop.cancelled() => break,
            event = consumer.poll(wait) => tolerated(event, &stage.gauges).await?.unwrap_or(Event::Idle),
        };
        stage.turn(&mut *consumer, event, &stop).await?;
    }
    // Decisions in it are taken by whoever goes on from there.
    stage.checkpoint(&mut *consumer).await.map(drop)
}

impl Stage {
    /// A stage that owns nothing yet; `None` when stopped before the log said how it is divided.
    async fn begin(
        log: Arc<dyn Log>,
        store: Box<dyn PatternCheckpoints>,
        settings: PatternSettings,
        gauges: Arc<Gauges>,
        stop: &CancellationToken,
    ) -> Result<Option<Stage>, Reaction> {
        let Some(partitions) = until_settled(stop, &gauges, || log.partitions(ACCEPTED_TRANSACTIONS)).await? else { return Ok(None) };
        let Some(dead_letter_partitions) = until_settled(stop, &gauges, || log.partitions(DEAD_LETTERS)).await? else { return Ok(None) };
        let letters = DeadLetterWriter::new(log.clone(), dead_letter_partitions, settings.dead_letters, gauges.clone());
        let now = Instant::now();
        Ok(Some(Stage {
            log,
            store,
            settings,
            gauges,
            owned: None,
            unowned: None,
            own_at: now,
            own_backoff: Backoff::default(),
            idle: Idle::default(),
            look_at: now,
            begun: now,
            partitions,
            letters,
        }))
    }

    /// One turn of the cycle: what the log brought, then what is due.
    async fn turn(&mut self, consumer: &mut dyn Consumer, event: Event, stop: &CancellationToken) -> Result<(), Reaction> {
        match event {
            Event::Assigned { partitions, .. } => self.assigned(consumer, partitions),
            Event::Revoked { partitions } if partitions.iter().any(|(_, partition)| *partition == INPUT) => self.revoked(consumer).await,
            Event::Records(fetched) if fetched.partition == INPUT => self.advance(consumer, fetched, stop).await?,
            Event::Records(_) | Event::Revoked { .. } | Event::Idle => {}
        }
        self.checkpoint_if_due(consumer, stop).await?;
        self.own(consumer, stop).await?;
        self.look_if_due(consumer, stop).await
    }

    /// How long nothing needs to be done but what the log brings.
    fn wait(&self) -> Duration {
        let now = Instant::now();
        let own = self.unowned.map(|_| self.own_at.saturating_duration_since(now));
        let look = self.owned.is_some().then(|| self.look_at.saturating_duration_since(now));
        [own, look].into_iter().flatten().min().unwrap_or(self.settings.checkpoint_every).min(self.settings.checkpoint_every)
    }

    /// Nothing is read before the checkpoint says where to go on; of the partitions of an older log that are not used, nothing ever.
    fn assigned(&mut self, consumer: &mut dyn Consumer, partitions: Vec<Assignment>) {
        for Assignment { partition, committed, .. } in partitions {
            consumer.set_paused(ACCOUNT_ACTIVITY, partition, true);
            if partition == INPUT {
                let noted = committed.and_then(|(_, note)| serde_json::from_str::<Note>(&note).ok());
                self.unowned = Some(noted.map_or(0, |note| note.next_seq));
                self.own_at = Instant::now();
            }
        }
    }

    /// The input is another instance's in any case; a store that is away is not waited for. Decisions that no checkpoint is known to hold are
    /// not taken here: its next owner takes those that it finds.
    async fn revoked(&mut self, consumer: &mut dyn Consumer) {
        let away = self.owned.as_ref().is_some_and(|owned| owned.checkpoint_at > Instant::now());
        if !away && let Err(reaction) = self.checkpoint(consumer).await {
            tracing::warn!(stage = GROUP, "given up without a last checkpoint: {reaction}");
        }
        self.owned = None;
        self.unowned = None;
        self.gauges.left(ACCOUNT_ACTIVITY, INPUT);
    }
}
