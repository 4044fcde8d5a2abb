//! The shell around a store: reads its topics, retries, buries what can never be stored, commits what is visible.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use wh_eventlog::dead_letters::{self, DeadLetter};
use wh_eventlog::gauges::Gauges;
use wh_eventlog::retry::{Backoff, tolerated, until_settled};
use wh_eventlog::{Commit, Consumer, Event, Log, Stored};
use wh_schemas::position::{ORIGIN_TIME_HEADER, Origin};
use wh_schemas::topics::{DEAD_LETTERS, RISK_SCORES};
use wh_schemas::{Reaction, ids};
use wh_stores::clock;

use super::{Batch, Store, StorePosition, Written};

/// How a sink runs.
#[derive(Clone, Debug)]
pub struct RunnerSettings {
    /// Written rows become visible at the latest after this long.
    pub publish_every: Duration,
    /// Positions are committed to the log at most so often: they only tell where to look again, the store has its own.
    pub commit_every: Duration,
    /// How long rows are kept after their records were appended; `None` for ever.
    pub retention: Option<Duration>,
    /// Version and commit, for dead letters.
    pub build: String,
}

/// After so many tries of one batch the store is asked where it stands.
const ASK_AGAIN: u32 = 6;

/// How often rows beyond retention are removed.
const RETAIN_EVERY: Duration = Duration::from_secs(600);

impl RunnerSettings {
    /// The defaults, for a build.
    #[must_use]
    pub fn new(build: &str) -> RunnerSettings {
        RunnerSettings { publish_every: Duration::from_millis(200), commit_every: Duration::from_millis(500), retention: None, build: build.to_owned() }
    }
}

/// What is written but not visible yet.
#[derive(Default)]
struct Unpublished {
    positions: BTreeMap<Place, StorePosition>,
    appended: Vec<i64>,
    records: u64,
    since: Option<Instant>,
}

/// Topic and partition.
type Place = (Arc<str>, u32);

/// A batch that the store has not taken yet, and when it is tried again.
struct Waiting {
    batch: Batch,
    attempts: u32,
    backoff: Backoff,
    again_at: Instant,
}

struct Runner {
    log: Arc<dyn Log>,
    store: Box<dyn Store>,
    settings: RunnerSettings,
    gauges: Arc<Gauges>,
    stop: CancellationToken,
    dead_letter_partitions: u32,
    /// Partitions that are this member's.
    assigned: BTreeSet<Place>,
    /// Those of which the log has a word of this group. It is given one before the first row is written: a store that has come
    /// further without one was filled from another log.
    known: BTreeSet<Place>,
    /// Those of which the store has not said yet where to go on: nothing is read of them.
    unplaced: BTreeSet<Place>,
    place_at: Instant,
    place_backoff: Backoff,
    /// What was read and not written; while the store is away nothing more is read.
    waiting: VecDeque<Waiting>,
    /// Whether the partitions are paused for it.
    held: bool,
    unpublished: Unpublished,
    settled: BTreeMap<Place, u64>,
    committed_at: Instant,
    retained_at: Option<Instant>,
    seen: BTreeMap<Place, u64>,
}

/// Runs a sink until it is stopped; what was written is visible and committed when it returns.
///
/// A store that is away holds up its own partitions alone: they are paused, and the group's member goes on polling, so that
/// it stays a member and hands over what is asked of it.
///
/// # Errors
/// What ends a stage: a gap, a store that cannot be written, a dead letter that cannot be written.
pub async fn run(log: Arc<dyn Log>, store: Box<dyn Store>, settings: RunnerSettings, gauges: Arc<Gauges>, stop: CancellationToken) -> Result<(), Reaction> {
    let topics = store.topics();
    let role = store.role();
    let Some(mut consumer) = until_settled(&stop, &gauges, || log.subscribe(role, &topics)).await? else { return Ok(()) };
    let Some(dead_letter_partitions) = until_settled(&stop, &gauges, || log.partitions(DEAD_LETTERS)).await? else { return Ok(()) };
    let mut runner = Runner {
        log,
        store,
        settings,
        gauges,
        stop,
        dead_letter_partitions,
        assigned: BTreeSet::new(),
        known: BTreeSet::new(),
        unplaced: BTreeSet::new(),
        place_at: Instant::now(),
        place_backoff: Backoff::default(),
        waiting: VecDeque::new(),
        held: false,
        unpublished: Unpublished::default(),
        settled: BTreeMap::new(),
        committed_at: Instant::now(),
        retained_at: None,
        seen: BTreeMap::new(),
    };
    while !runner.stop.is_cancelled() {
        let wait = runner.wait();
        if !runner.is_writing() {
            let event = tokio::select! {
                () = runner.stop.cancelled() => break,
                event = consumer.poll(wait) => tolerated(event, &runner.gauges).await?.unwrap_or(Event::Idle),
            };
            runner.take(&mut *consumer, event).await?;
        }
        runner.place(&mut *consumer).await?;
        runner.deliver(&mut *consumer).await?;
        runner.retain().await?;
        let due = runner.unpublished.since.is_some_and(|since| since.elapsed() >= runner.settings.publish_every);
        runner.publish(&mut *consumer, due).await?;
    }
    // What was written is made visible also on the way out; a store that is away keeps its last position.
    match runner.publish(&mut *consumer, true).await {
        Err(Reaction::Transient { message, .. }) => {
            tracing::warn!(stage = runner.gauges.stage, "stopped with rows that are not visible yet; they will be written again: {message}");
            Ok(())
        }
        other => other,
    }
}

impl Runner {
    /// Whether the next batch is to be written before anything more is read.
    fn is_writing(&self) -> bool {
        self.waiting.front().is_some_and(|waiting| waiting.again_at <= Instant::now())
    }

    /// How long nothing needs to be done but what the log brings.
    fn wait(&self) -> Duration {
        let now = Instant::now();
        let publish = self.unpublished.since.map(|since| self.settings.publish_every.saturating_sub(since.elapsed()));
        let write = self.waiting.front().map(|waiting| waiting.again_at.saturating_duration_since(now));
        let place = (!self.unplaced.is_empty()).then(|| self.place_at.saturating_duration_since(now));
        [publish, write, place].into_iter().flatten().min().unwrap_or(self.settings.commit_every)
    }

    async fn take(&mut self, consumer: &mut dyn Consumer, event: Event) -> Result<(), Reaction> {
        match event {
            Event::Assigned { partitions, .. } => {
                for assignment in partitions {
                    let place = (assignment.topic, assignment.partition);
                    if assignment.committed.is_some() {
                        self.known.insert(place.clone());
                    }
                    self.assigned.insert(place);
                }
                // Asking where to go on may make a store forget what it has open in any partition: all are placed anew.
                self.displace(consumer, Instant::now());
            }
            Event::Revoked { partitions } => {
                self.publish(consumer, true).await?;
                for place in partitions {
                    self.waiting.retain(|waiting| (waiting.batch.topic.clone(), waiting.batch.partition) != place);
                    self.unpublished.positions.remove(&place);
                    self.assigned.remove(&place);
                    self.known.remove(&place);
                    self.unplaced.remove(&place);
                    self.settled.remove(&place);
                    self.seen.remove(&place);
                    self.gauges.left(&place.0, place.1);
                }
            }
            Event::Records(fetched) => {
                let place = (fetched.topic.clone(), fetched.partition);
                // Fetched before the partition was put aside: it is read again from where the store says.
                if self.assigned.contains(&place) && !self.unplaced.contains(&place) {
                    let batch = Batch { topic: fetched.topic, partition: fetched.partition, records: Arc::new(fetched.records), buried: BTreeSet::new() };
                    self.waiting.push_back(Waiting { batch, attempts: 1, backoff: Backoff::default(), again_at: Instant::now() });
                }
            }
            Event::Idle => {}
        }
        Ok(())
    }

    /// Puts every partition aside until the store has said where to go on.
    fn displace(&mut self, consumer: &mut dyn Consumer, again_at: Instant) {
        self.waiting.clear();
        self.unplaced = self.assigned.clone();
        self.place_at = again_at;
        for (topic, partition) in &self.unplaced {
            consumer.set_paused(topic, *partition, true);
        }
    }

    /// Asks the store where to go on in partitions that are new, or whose writes were given up.
    async fn place(&mut self, consumer: &mut dyn Consumer) -> Result<(), Reaction> {
        if self.unplaced.is_empty() || self.place_at > Instant::now() {
            return Ok(());
        }
        // Asking may give up what was written and is not visible yet.
        if self.unpublished.since.is_some() {
            self.publish(consumer, true).await?;
            if self.unplaced.is_empty() || self.unpublished.since.is_some() {
                return Ok(());
            }
        }
        let topics: BTreeSet<Arc<str>> = self.unplaced.iter().map(|(topic, _)| topic.clone()).collect();
        for topic in topics {
            let positions = match self.store.positions(&topic).await {
                Ok(positions) => positions,
                Err(Reaction::Transient { message, retry_after }) => {
                    Gauges::add(&self.gauges.retries, 1);
                    tracing::warn!(stage = self.gauges.stage, "{message}");
                    self.place_at = Instant::now() + self.place_backoff.wait(retry_after);
                    return Ok(());
                }
                Err(other) => return Err(other),
            };
            let places: Vec<Place> = self.unplaced.iter().filter(|(of, _)| *of == topic).cloned().collect();
            for place in places {
                // The store's own word counts: the log's note may be ahead of a store that was restored from a backup.
                let position = positions.iter().find(|p| p.partition == place.1);
                let next = position.map_or(0, |p| p.next_offset);
                let role = self.gauges.stage;
                let Some(bounds) = tolerated(self.log.bounds(&topic, place.1).await, &self.gauges).await? else {
                    self.place_at = Instant::now() + self.place_backoff.wait(None);
                    return Ok(());
                };
                let end = bounds.end;
                if next > end {
                    return Err(Reaction::fatal(format!(
                        "{role}: the store has come to offset {next} of {topic} partition {}, and this log ends at {end}: the store was filled from another log, or the log was emptied; \
                         name the log that belongs to it in stores.log, or another place for the {role} store",
                        place.1
                    )));
                }
                if !self.known.contains(&place) {
                    // A store whose first block is still open goes on from 0, and holds rows all the same.
                    if position.is_some_and(|p| p.next_offset > 0 || p.visible_seq > 0) {
                        return Err(Reaction::fatal(format!(
                            "{role}: the store has come to offset {next} of {topic} partition {}, and this log knows nothing of the group {role}: the store was filled from another log, or was \
                             stopped for longer than the log keeps positions; name the log that belongs to it in stores.log, or, where it is this one, set the group's offset to {next} by hand",
                            place.1
                        )));
                    }
                    let first = Commit { topic: topic.clone(), partition: place.1, next_offset: bounds.start, metadata: String::new() };
                    if tolerated(consumer.commit(vec![first]).await, &self.gauges).await?.is_none() {
                        self.place_at = Instant::now() + self.place_backoff.wait(None);
                        return Ok(());
                    }
                    self.known.insert(place.clone());
                }
                self.gauges.reached(&topic, place.1, next);
                // Rows of an open block are read again; they were visible before.
                let seen = if *topic == *RISK_SCORES { position.map_or(0, |p| p.visible_seq) } else { next };
                self.seen.insert(place.clone(), seen);
                consumer.seek(&topic, place.1, next);
                consumer.set_paused(&topic, place.1, self.held);
                self.unplaced.remove(&place);
            }
        }
        self.place_backoff = Backoff::default();
        Ok(())
    }

    /// Removes what is beyond retention, now and then.
    async fn retain(&mut self) -> Result<(), Reaction> {
        let Some(retention) = self.settings.retention else { return Ok(()) };
        if self.retained_at.is_some_and(|at| at.elapsed() < RETAIN_EVERY) {
            return Ok(());
        }
        self.retained_at = Some(Instant::now());
        let before = clock::now().0 - i64::try_from(retention.as_micros()).unwrap_or(i64::MAX);
        match self.store.retain(before).await {
            Ok(removed) if removed > 0 => tracing::info!(stage = self.gauges.stage, removed, "rows beyond retention removed"),
            Ok(_) => {}
            Err(Reaction::Transient { message, .. }) => tracing::warn!(stage = self.gauges.stage, "retention waits: {message}"),
            Err(other) => return Err(other),
        }
        Ok(())
    }

    /// Writes what waits, as far as the store takes it.
    async fn deliver(&mut self, consumer: &mut dyn Consumer) -> Result<(), Reaction> {
        while self.is_writing() && !self.stop.is_cancelled() {
            let Some(mut waiting) = self.waiting.pop_front() else { return Ok(()) };
            match self.write(&mut waiting).await {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(Reaction::Transient { message, retry_after }) => {
                    waiting.attempts += 1;
                    Gauges::add(&self.gauges.retries, 1);
                    if waiting.attempts.is_power_of_two() {
                        tracing::warn!(stage = self.gauges.stage, partition = waiting.batch.partition, attempts = waiting.attempts, "{message}");
                    }
                    let again_at = Instant::now() + waiting.backoff.wait(retry_after);
                    if waiting.attempts.is_multiple_of(ASK_AGAIN) {
                        // A store that has gone back, or was gone on with by another, takes no batch from here: it is asked where it stands.
                        self.displace(consumer, again_at);
                        return Ok(());
                    }
                    waiting.again_at = again_at;
                    self.waiting.push_front(waiting);
                    self.held = true;
                    self.pause(consumer, true);
                }
                Err(other) => return Err(other),
            }
        }
        if self.held && self.waiting.is_empty() {
            self.held = false;
            self.pause(consumer, false);
        }
        Ok(())
    }

    fn pause(&self, consumer: &mut dyn Consumer, paused: bool) {
        for (topic, partition) in self.assigned.difference(&self.unplaced) {
            consumer.set_paused(topic, *partition, paused);
        }
    }

    /// Writes a batch, burying what can never be stored. `false` when stopped before it was settled.
    async fn write(&mut self, waiting: &mut Waiting) -> Result<bool, Reaction> {
        loop {
            let batch = &mut waiting.batch;
            let begun = Instant::now();
            match self.store.write(batch.clone()).await? {
                Written::Done { position, alerts } => {
                    self.gauges.wrote_in(begun.elapsed());
                    Gauges::add(&self.gauges.alerts, alerts);
                    Gauges::add(&self.gauges.dead_letters, batch.buried.len() as u64);
                    let unpublished = &mut self.unpublished;
                    unpublished.since.get_or_insert(begun);
                    unpublished.records += batch.records.len() as u64;
                    let seen = self.seen.get(&(batch.topic.clone(), batch.partition)).copied().unwrap_or(0);
                    unpublished.appended.extend(batch.records.iter().filter(|r| r.offset >= seen).filter_map(|r| r.header(ORIGIN_TIME_HEADER)?.parse::<i64>().ok()));
                    unpublished.positions.insert((batch.topic.clone(), batch.partition), position);
                    return Ok(true);
                }
                Written::Refused { offset, position, class, message } => {
                    let Some(record) = batch.records.iter().find(|r| r.offset == offset) else {
                        return Err(Reaction::fatal(format!("{} refused a record (offset {offset}) that was not in its batch", self.gauges.stage)));
                    };
                    let letter = self.letter(batch, record, position, class, message, waiting.attempts);
                    let (log, partitions) = (&self.log, self.dead_letter_partitions);
                    let build = &self.settings.build;
                    let record = dead_letters::record(record, &letter, build);
                    if until_settled(&self.stop, &self.gauges, || dead_letters::write(&**log, partitions, vec![record.clone()])).await?.is_none() {
                        return Ok(false);
                    }
                    batch.buried.insert(offset);
                }
            }
        }
    }

    fn letter(&self, batch: &Batch, record: &Stored, position: Option<String>, class: String, message: String, attempts: u32) -> DeadLetter {
        let stage = self.gauges.stage;
        DeadLetter {
            origin: Origin { topic: batch.topic.to_string(), partition: batch.partition, offset: record.offset },
            stage: "sink".to_owned(),
            store: Some(stage.to_owned()),
            fingerprint: format!("{:016x}", ids::fingerprint(format!("{stage}\0{class}").as_bytes())),
            error_class: class,
            error_message: message,
            position,
            attempts,
        }
    }

    /// Makes rows visible when it is time, and tells the log how far this group is.
    async fn publish(&mut self, consumer: &mut dyn Consumer, due: bool) -> Result<(), Reaction> {
        if due && self.unpublished.since.is_some() {
            let published = self.store.publish().await;
            if tolerated(published, &self.gauges).await?.is_none() {
                // What was not made visible may be given up by the store: it is read again from where the store says.
                self.unpublished = Unpublished::default();
                let again_at = Instant::now() + self.place_backoff.wait(None);
                self.displace(consumer, again_at);
                return Ok(());
            }
            let now = clock::now().0;
            let published = std::mem::take(&mut self.unpublished);
            self.gauges.visible_after(published.appended.iter().map(|appended| now - appended));
            Gauges::add(&self.gauges.records, published.records);
            for (key, position) in published.positions {
                self.gauges.reached(&key.0, key.1, position.visible_offset);
                self.settled.insert(key, position.next_offset);
            }
        }
        if self.committed_at.elapsed() >= self.settings.commit_every || self.stop.is_cancelled() {
            self.committed_at = Instant::now();
            let settled = std::mem::take(&mut self.settled);
            let commits =
                settled.iter().map(|((topic, partition), next)| Commit { topic: topic.clone(), partition: *partition, next_offset: *next, metadata: String::new() }).collect();
            // The store's own position is what counts; the log's note may be late.
            if tolerated(consumer.commit(commits).await, &self.gauges).await?.is_none() {
                for (place, next_offset) in settled {
                    self.settled.entry(place).or_insert(next_offset);
                }
            }
        }
        Ok(())
    }
}
