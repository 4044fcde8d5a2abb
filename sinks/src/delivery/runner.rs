//! The shell around a store: reads its topics, retries, buries what can never be stored, commits what is visible.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use wh_eventlog::dead_letters::{self, DeadLetter};
use wh_eventlog::gauges::Gauges;
use wh_eventlog::retry::{tolerated, until_settled};
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
    positions: BTreeMap<(Arc<str>, u32), StorePosition>,
    appended: Vec<i64>,
    records: u64,
    since: Option<Instant>,
}

struct Runner {
    log: Arc<dyn Log>,
    store: Box<dyn Store>,
    settings: RunnerSettings,
    gauges: Arc<Gauges>,
    stop: CancellationToken,
    dead_letter_partitions: u32,
    unpublished: Unpublished,
    settled: BTreeMap<(Arc<str>, u32), u64>,
    committed_at: Instant,
    retained_at: Option<Instant>,
    seen: BTreeMap<(Arc<str>, u32), u64>,
}

/// Runs a sink until it is stopped; what was written is visible and committed when it returns.
///
/// # Errors
/// What ends a stage: a gap, a store that cannot be written, a dead letter that cannot be written.
pub async fn run(log: Arc<dyn Log>, store: Box<dyn Store>, settings: RunnerSettings, gauges: Arc<Gauges>, stop: CancellationToken) -> Result<(), Reaction> {
    let topics = store.topics();
    let mut consumer = log.subscribe(store.role(), &topics).await?;
    let dead_letter_partitions = log.partitions(DEAD_LETTERS).await?;
    let mut runner = Runner {
        log,
        store,
        settings,
        gauges,
        stop,
        dead_letter_partitions,
        unpublished: Unpublished::default(),
        settled: BTreeMap::new(),
        committed_at: Instant::now(),
        retained_at: None,
        seen: BTreeMap::new(),
    };
    while !runner.stop.is_cancelled() {
        let wait = match runner.unpublished.since {
            Some(since) => runner.settings.publish_every.saturating_sub(since.elapsed()),
            None => runner.settings.commit_every,
        };
        let event = tokio::select! {
            () = runner.stop.cancelled() => break,
            event = consumer.poll(wait) => tolerated(event, &runner.gauges).await?.unwrap_or(Event::Idle),
        };
        match event {
            Event::Assigned { .. } => {
                for topic in &topics {
                    let Some(positions) = runner.positions(topic).await? else { break };
                    for partition in 0..runner.log.partitions(topic).await? {
                        // The store's own word counts: the log's note may be ahead of a store that was restored from a backup.
                        let next = positions.iter().find(|p| p.partition == partition).map_or(0, |p| p.next_offset);
                        runner.gauges.reached(topic, partition, next);
                        // Rows of an open block are read again; they were visible before.
                        let seen = positions.iter().find(|p| p.partition == partition).map_or(0, |p| p.visible_seq);
                        runner.seen.insert(((*topic).into(), partition), if *topic == RISK_SCORES { seen } else { next });
                        consumer.seek(topic, partition, next);
                    }
                }
            }
            Event::Revoked { .. } => runner.publish(&mut *consumer, true).await?,
            Event::Records(fetched) => {
                let batch = Batch { topic: fetched.topic, partition: fetched.partition, records: Arc::new(fetched.records), buried: BTreeSet::new() };
                if !runner.deliver(batch).await? {
                    break;
                }
            }
            Event::Idle => {}
        }
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

    async fn positions(&mut self, topic: &str) -> Result<Option<Vec<StorePosition>>, Reaction> {
        let (stop, gauges) = (self.stop.clone(), self.gauges.clone());
        let mut backoff = wh_eventlog::retry::Backoff::default();
        loop {
            match self.store.positions(topic).await {
                Ok(positions) => return Ok(Some(positions)),
                Err(Reaction::Transient { message, retry_after }) => {
                    Gauges::add(&gauges.retries, 1);
                    tracing::warn!(stage = gauges.stage, "{message}");
                    tokio::select! {
                        () = stop.cancelled() => return Ok(None),
                        () = tokio::time::sleep(backoff.wait(retry_after)) => {}
                    }
                }
                Err(other) => return Err(other),
            }
        }
    }

    /// Writes a batch, burying what can never be stored. `false` when stopped before it was settled.
    async fn deliver(&mut self, mut batch: Batch) -> Result<bool, Reaction> {
        let mut backoff = wh_eventlog::retry::Backoff::default();
        let mut attempts = 1;
        loop {
            let begun = Instant::now();
            match self.store.write(batch.clone()).await {
                Ok(Written::Done { position, alerts }) => {
                    self.gauges.wrote_in(begun.elapsed());
                    Gauges::add(&self.gauges.alerts, alerts);
                    Gauges::add(&self.gauges.dead_letters, batch.buried.len() as u64);
                    let unpublished = &mut self.unpublished;
                    unpublished.since.get_or_insert(begun);
                    unpublished.records += batch.records.len() as u64;
                    let seen = self.seen.get(&(batch.topic.clone(), batch.partition)).copied().unwrap_or(0);
                    unpublished.appended.extend(batch.records.iter().filter(|r| r.offset >= seen).filter_map(|r| r.header(ORIGIN_TIME_HEADER)?.parse::<i64>().ok()));
                    unpublished.positions.insert((batch.topic, batch.partition), position);
                    return Ok(true);
                }
                Ok(Written::Refused { offset, position, class, message }) => {
                    let Some(record) = batch.records.iter().find(|r| r.offset == offset) else {
                        return Err(Reaction::fatal(format!("{} refused a record (offset {offset}) that was not in its batch", self.gauges.stage)));
                    };
                    let letter = self.letter(&batch, record, position, class, message, attempts);
                    let (log, partitions) = (&self.log, self.dead_letter_partitions);
                    let build = &self.settings.build;
                    let record = dead_letters::record(record, &letter, build);
                    if until_settled(&self.stop, &self.gauges, || dead_letters::write(&**log, partitions, vec![record.clone()])).await?.is_none() {
                        return Ok(false);
                    }
                    batch.buried.insert(offset);
                }
                Err(Reaction::Transient { message, retry_after }) => {
                    attempts += 1;
                    Gauges::add(&self.gauges.retries, 1);
                    if attempts.is_power_of_two() {
                        tracing::warn!(stage = self.gauges.stage, partition = batch.partition, attempts, "{message}");
                    }
                    tokio::select! {
                        () = self.stop.cancelled() => return Ok(false),
                        () = tokio::time::sleep(backoff.wait(retry_after)) => {}
                    }
                }
                Err(other) => return Err(other),
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
            let commits = settled.into_iter().map(|((topic, partition), next_offset)| Commit { topic, partition, next_offset, metadata: String::new() }).collect();
            // The store's own position is what counts; the log's note may be late.
            tolerated(consumer.commit(commits).await, &self.gauges).await?;
        }
        Ok(())
    }
}
