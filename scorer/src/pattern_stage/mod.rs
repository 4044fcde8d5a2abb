//! The stage of patterns by account: read → find → produce → all acknowledged → checkpoint.
//!
//! A chain over several accounts needs them in one place, so `account-activity` has one partition and this stage one instance at work;
//! others stand by. One core bounds it: what to do beyond that is in docs/adr/0021.
//!
//! What must stay true: a checkpoint is written only after the log holds every record that it covers; after a crash the same inputs give the
//! same bytes under the same `seq`, and what stands in the output is not written again. Whether a partition of the scorer is waited for is
//! decided by the clock, so such a decision is kept in a checkpoint before it takes effect: whoever goes on from there takes it at the
//! same record.

mod idle;
mod running;
mod standing;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use wh_eventlog::dead_letters::{self, DeadLetter};
use wh_eventlog::gauges::Gauges;
use wh_eventlog::retry::{Backoff, tolerated, until_settled};
use wh_eventlog::{Assignment, Commit, Consumer, Event, Fetched, Log, Record, Stored};
use wh_schemas::position::{Origin, Seq};
use wh_schemas::topics::{ACCEPTED_TRANSACTIONS, ACCOUNT_ACTIVITY, DEAD_LETTERS, HOSPITAL_TRANSACTIONS, RISK_ALERTS};
use wh_schemas::{Reaction, ids};

use self::idle::{Idle, Look};
use self::running::{Output, Running};
use crate::account_activity::PARTITION as INPUT;
use crate::pattern_alert::PARTITION as OUTPUT;
use crate::patterns::AccountRules;
use crate::stage;
use crate::state::Committed;
use crate::state::patterns::{Decision, PatternCheckpoint, PatternCheckpoints, Unsaved};

/// Name of the stage, of its consumer group, its role and its stream.
pub const GROUP: &str = "patterns";

/// How long a state that was lost is left alone before it is taken over anew.
const LOST_WAIT: Duration = Duration::from_secs(2);
/// A checkpoint that took its time is followed by so many times as long without one: events that are held back for the watermark are in each.
const REST: u32 = 9;

/// How the stage runs.
#[derive(Clone, Debug)]
pub struct PatternSettings {
    /// The rules to judge by.
    pub rules: AccountRules,
    /// A checkpoint is written at the latest after this long …
    pub checkpoint_every: Duration,
    /// … or after so many records, but for the rest that a large one is followed by.
    pub checkpoint_records: u64,
    /// How long the stage goes on when the baselines store is away.
    pub without_checkpoint: Duration,
    /// How long a partition of the scorer must have had nothing before it until it is no longer waited for.
    pub idle_after: Duration,
    /// The consumer group of intake.
    pub intake: &'static str,
    /// Version and commit, for dead letters.
    pub build: String,
}

impl PatternSettings {
    /// The defaults, for rules, the group of intake and a build.
    #[must_use]
    pub fn new(rules: AccountRules, intake: &'static str, build: &str) -> PatternSettings {
        PatternSettings {
            rules,
            checkpoint_every: Duration::from_millis(500),
            checkpoint_records: 20_000,
            without_checkpoint: Duration::from_secs(600),
            idle_after: Duration::from_secs(5),
            intake,
            build: build.to_owned(),
        }
    }

    /// How often the log is asked whether anything is before a partition.
    fn look_every(&self) -> Duration {
        (self.idle_after / 5).clamp(Duration::from_millis(20), Duration::from_secs(1))
    }
}

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
    dead_letter_partitions: u32,
}

/// Runs the stage until it is stopped, then checkpoints and returns.
///
/// # Errors
/// What ends a stage: a fatal reaction of the log or the baselines store.
pub async fn run(log: Arc<dyn Log>, store: Box<dyn PatternCheckpoints>, settings: PatternSettings, gauges: Arc<Gauges>, stop: CancellationToken) -> Result<(), Reaction> {
    let Some(mut consumer) = until_settled(&stop, &gauges, || log.subscribe(GROUP, &[ACCOUNT_ACTIVITY])).await? else { return Ok(()) };
    let Some(partitions) = until_settled(&stop, &gauges, || log.partitions(ACCEPTED_TRANSACTIONS)).await? else { return Ok(()) };
    let Some(dead_letter_partitions) = until_settled(&stop, &gauges, || log.partitions(DEAD_LETTERS)).await? else { return Ok(()) };
    let now = Instant::now();
    let mut stage = Stage {
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
        dead_letter_partitions,
    };
    while !stop.is_cancelled() {
        let wait = stage.wait();
        let event = tokio::select! {
            () = stop.cancelled() => break,
            event = consumer.poll(wait) => tolerated(event, &stage.gauges).await?.unwrap_or(Event::Idle),
        };
        match event {
            Event::Assigned { partitions, .. } => stage.assigned(&mut *consumer, partitions),
            Event::Revoked { partitions } if partitions.iter().any(|(_, partition)| *partition == INPUT) => stage.revoked(&mut *consumer).await,
            Event::Records(fetched) if fetched.partition == INPUT => stage.advance(fetched, &stop).await?,
            Event::Records(_) | Event::Revoked { .. } | Event::Idle => {}
        }
        stage.checkpoint_if_due(&mut *consumer).await?;
        stage.own(&mut *consumer, &stop).await?;
        stage.look_if_due(&mut *consumer, &stop).await?;
    }
    stage.checkpoint(&mut *consumer).await.map(drop)
}

impl Stage {
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

    /// The input is another instance's in any case; a store that is away is not waited for.
    async fn revoked(&mut self, consumer: &mut dyn Consumer) {
        let away = self.owned.as_ref().is_some_and(|owned| owned.checkpoint_at > Instant::now());
        if !away && let Err(reaction) = self.checkpoint(consumer).await {
            tracing::warn!(stage = GROUP, "given up without a last checkpoint: {reaction}");
        }
        self.owned = None;
        self.unowned = None;
        self.gauges.left(ACCOUNT_ACTIVITY, INPUT);
    }

    /// Takes the state over, as soon as the baselines store and the log allow.
    async fn own(&mut self, consumer: &mut dyn Consumer, stop: &CancellationToken) -> Result<(), Reaction> {
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

    /// Takes records in and produces what they give.
    async fn advance(&mut self, fetched: Fetched, stop: &CancellationToken) -> Result<(), Reaction> {
        let records = fetched.records.len() as u64;
        self.work(stop, move |running| running.take(&fetched.records)).await?;
        Gauges::add(&self.gauges.records, records);
        Ok(())
    }

    /// Takes the pending decisions and produces what they give.
    async fn decide(&mut self, stop: &CancellationToken) -> Result<(), Reaction> {
        let pending = self.owned.as_ref().and_then(|owned| owned.running.as_ref()).is_some_and(|running| !running.record.pending.is_empty());
        if pending { self.work(stop, Running::decide).await } else { Ok(()) }
    }

    /// Works on the state off the runtime's threads, then produces what came of it.
    async fn work(&mut self, stop: &CancellationToken, work: impl FnOnce(&mut Running) -> Output + Send + 'static) -> Result<(), Reaction> {
        let Some(owned) = &mut self.owned else { return Ok(()) };
        let Some(mut running) = owned.running.take() else { return Err(Reaction::fatal("the patterns' stage lost its state".to_owned())) };
        let working = tokio::task::spawn_blocking(move || {
            let out = work(&mut running);
            (running, out)
        });
        let (mut running, out) = working.await.map_err(|e| Reaction::fatal(format!("finding patterns failed: {e}")))?;
        if !self.produce(&mut running, out, stop).await? {
            // Stopped before it was acknowledged: what has been learnt since must not be checkpointed.
            self.owned = None;
            return Ok(());
        }
        self.gauges.waiting.store(running.awaited(), Ordering::Relaxed);
        self.gauges.reached(ACCOUNT_ACTIVITY, INPUT, running.position.next_offset);
        if let Some(owned) = &mut self.owned {
            owned.running = Some(running);
            owned.dirty = true;
        }
        Ok(())
    }

    /// Produces; `false` when stopped before all was acknowledged.
    async fn produce(&mut self, running: &mut Running, out: Output, stop: &CancellationToken) -> Result<bool, Reaction> {
        let (log, gauges) = (&self.log, &*self.gauges);
        if !out.unreadable.is_empty() {
            Gauges::add(&gauges.dead_letters, out.unreadable.len() as u64);
            let letters: Vec<Record> = out.unreadable.iter().map(|(stored, reason)| self.letter(stored, reason)).collect();
            let count = self.dead_letter_partitions;
            if until_settled(stop, gauges, || dead_letters::write(&**log, count, letters.clone())).await?.is_none() {
                return Ok(false);
            }
        }
        if !out.records.is_empty() {
            let Some(first) = until_settled(stop, gauges, || log.produce(RISK_ALERTS, OUTPUT, out.records.clone())).await? else { return Ok(false) };
            running.produced(first, out.records.len() as u64);
        }
        Gauges::add(&gauges.alerts, out.alerts);
        Ok(true)
    }

    fn letter(&self, stored: &Stored, reason: &str) -> Record {
        const CLASS: &str = "record:not_activity";
        let letter = DeadLetter {
            origin: Origin { topic: ACCOUNT_ACTIVITY.to_owned(), partition: INPUT, offset: stored.offset },
            stage: GROUP.to_owned(),
            store: None,
            error_class: CLASS.to_owned(),
            error_message: reason.to_owned(),
            fingerprint: format!("{:016x}", ids::fingerprint(format!("{GROUP}\0{CLASS}").as_bytes())),
            position: None,
            attempts: 1,
        };
        dead_letters::record(stored, &letter, &self.settings.build)
    }

    async fn checkpoint_if_due(&mut self, consumer: &mut dyn Consumer) -> Result<(), Reaction> {
        let Some(owned) = &self.owned else { return Ok(()) };
        let Some(running) = &owned.running else { return Ok(()) };
        let behind = running.position.next_offset - owned.checkpointed;
        let due = behind >= self.settings.checkpoint_records || (owned.dirty && owned.checkpointed_at.elapsed() >= self.settings.checkpoint_every);
        if due && owned.checkpoint_at <= Instant::now() {
            self.checkpoint(consumer).await?;
        }
        Ok(())
    }

    /// Writes the state; `false` where it is not kept. While the store is away, goes on without, up to the stated bound.
    async fn checkpoint(&mut self, consumer: &mut dyn Consumer) -> Result<bool, Reaction> {
        let Some(owned) = &mut self.owned else { return Ok(false) };
        let Some(running) = &mut owned.running else { return Ok(false) };
        if !owned.dirty {
            return Ok(true);
        }
        running.changed(&mut owned.unsaved);
        let position = running.position;
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
                if waited < self.settings.without_checkpoint {
                    tracing::warn!(stage = GROUP, "going on without a checkpoint: {message}");
                } else if !owned.held {
                    tracing::error!(stage = GROUP, "no checkpoint for {} s: nothing more is read until the baselines store answers: {message}", waited.as_secs());
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

    /// Now and then asks the log whether anything is before each partition of the scorer.
    async fn look_if_due(&mut self, consumer: &mut dyn Consumer, stop: &CancellationToken) -> Result<(), Reaction> {
        let Some(running) = self.owned.as_ref().and_then(|owned| owned.running.as_ref()) else { return Ok(()) };
        let now = Instant::now();
        if self.look_at > now {
            return Ok(());
        }
        self.look_at = now + self.settings.look_every();
        let (taken, unawaited) = (running.position.next_offset, running.record.unawaited.clone());
        let look = match look(&*self.log, self.settings.intake).await {
            Ok(look) => look,
            Err(Reaction::Transient { message, .. }) => {
                tracing::debug!(stage = GROUP, "the log was not asked who is idle: {message}");
                self.idle.interrupt();
                return Ok(());
            }
            Err(other) => return Err(other),
        };
        let decisions = self.idle.observe(self.begun.elapsed(), look, taken, &unawaited, self.settings.idle_after);
        if decisions.is_empty() { Ok(()) } else { self.accept(consumer, decisions, stop).await }
    }

    /// Keeps decisions in a checkpoint at this place, then takes them. Where it is not kept they are not taken: the next look decides anew.
    async fn accept(&mut self, consumer: &mut dyn Consumer, decisions: Vec<Decision>, stop: &CancellationToken) -> Result<(), Reaction> {
        if self.owned.as_ref().is_some_and(|owned| owned.checkpoint_at > Instant::now()) {
            return Ok(());
        }
        self.pending(decisions);
        if self.checkpoint(consumer).await? {
            return self.decide(stop).await;
        }
        self.pending(Vec::new());
        Ok(())
    }

    fn pending(&mut self, decisions: Vec<Decision>) {
        if let Some(owned) = &mut self.owned
            && let Some(running) = &mut owned.running
        {
            running.record.pending = decisions;
            owned.dirty = true;
        }
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

/// Asks the log who has come how far.
async fn look(log: &dyn Log, intake: &str) -> Result<Look, Reaction> {
    let intake = settled(log, intake, HOSPITAL_TRANSACTIONS).await?;
    let sources = ends(log, HOSPITAL_TRANSACTIONS).await?;
    let scorer = settled(log, stage::GROUP, ACCEPTED_TRANSACTIONS).await?;
    let accepted = ends(log, ACCEPTED_TRANSACTIONS).await?;
    let activity = log.bounds(ACCOUNT_ACTIVITY, INPUT).await?.end;
    Ok(Look { intake, sources, scorer, accepted, activity })
}

async fn ends(log: &dyn Log, topic: &str) -> Result<Vec<u64>, Reaction> {
    let mut ends = Vec::new();
    for partition in 0..log.partitions(topic).await? {
        ends.push(log.bounds(topic, partition).await?.end);
    }
    Ok(ends)
}

/// How far a group has come, by partition; 0 where it has said nothing yet.
async fn settled(log: &dyn Log, group: &str, topic: &str) -> Result<Vec<u64>, Reaction> {
    let committed = log.committed(group, topic).await?;
    let of = |partition: u32| committed.iter().find(|(of, _, _)| *of == partition).map_or(0, |(_, offset, _)| *offset);
    Ok((0..log.partitions(topic).await?).map(of).collect())
}
