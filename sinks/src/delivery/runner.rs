//! The shell around a store: does what the delivery machine decides. Polls the log, calls the store, commits.
//!
//! What must stay true: whatever the store is at, the log is polled on, so that this member stays one, unless partitions are being handed
//! over; a poll is broken off only to stop; one call at a time has the store.

mod hands;
mod measures;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use wh_eventlog::dead_letters::{DeadLetterWriter, LimitSettings};
use wh_eventlog::gauges::Gauges;
use wh_eventlog::retry::{tolerated, until_settled};
use wh_eventlog::{Consumer, Event, Log, crash};
use wh_schemas::topics::DEAD_LETTERS;
use wh_schemas::{Reaction, ids};

use self::hands::{Hands, UnderWay};
use self::measures::Measures;
use super::Store;
use super::identity::Binding;
use super::machine::{Action, Answer, Limits, Machine, Moment, Order, Task, Ticket, Trust};

/// How a sink runs.
#[derive(Clone, Debug)]
pub struct RunnerSettings {
    /// Written rows become visible at the latest after this long.
    pub publish_every: Duration,
    /// Positions are committed to the log at most so often: they only tell where to look again, the store has its own.
    pub commit_every: Duration,
    /// Records of one write at most.
    pub batch_rows: usize,
    /// Bytes of one write at most.
    pub batch_bytes: usize,
    /// How long a record may wait for others that are written with it.
    pub batch_age: Duration,
    /// Bytes of records that are read and not written: beyond it the partitions are paused.
    pub memory_bytes: usize,
    /// How long rows are kept after their records were appended; `None` for ever.
    pub retention: Option<Duration>,
    /// How many dead letters are too many.
    pub dead_letters: LimitSettings,
    /// Version and commit, for dead letters.
    pub build: String,
}

/// How long a call is waited for before the log is looked at beside it.
const PATIENCE: Duration = Duration::from_millis(100);
/// How often rows beyond retention are removed.
const RETAIN_EVERY: Duration = Duration::from_secs(600);

impl RunnerSettings {
    /// The defaults, for a build.
    #[must_use]
    pub fn new(build: &str) -> RunnerSettings {
        let Limits { batch_rows, batch_bytes, batch_age, memory_bytes, publish_every, commit_every, .. } = Limits::default();
        RunnerSettings {
            publish_every,
            commit_every,
            batch_rows,
            batch_bytes,
            batch_age,
            memory_bytes,
            retention: None,
            dead_letters: LimitSettings::default(),
            build: build.to_owned(),
        }
    }

    fn limits(&self) -> Limits {
        Limits {
            batch_rows: self.batch_rows,
            batch_bytes: self.batch_bytes,
            batch_age: self.batch_age,
            memory_bytes: self.memory_bytes,
            publish_every: self.publish_every,
            commit_every: self.commit_every,
            retain_every: self.retention.map(|_| RETAIN_EVERY),
            ..Limits::default()
        }
    }
}

struct Runner {
    machine: Machine,
    begun: Instant,
    gauges: Arc<Gauges>,
    stop: CancellationToken,
    measures: Measures,
    /// Not here while a call is under way.
    hands: Option<Hands>,
    under_way: Option<(Ticket, UnderWay)>,
    /// Records read since the last call, for the share of dead letters.
    read: u64,
    /// Failures since rows became visible last.
    troubles: u32,
}

/// Runs a sink until it is stopped; what was written is visible and committed when it returns.
///
/// A store that is away holds up its own partitions alone: they are paused, and the group's member goes on polling, so that
/// it stays a member and hands over what is asked of it.
///
/// # Errors
/// What ends a stage: a gap, a store that cannot be written or was filled from another log, too many dead letters.
pub async fn run(log: Arc<dyn Log>, store: Box<dyn Store>, settings: RunnerSettings, gauges: Arc<Gauges>, stop: CancellationToken) -> Result<(), Reaction> {
    let topics = store.topics();
    let role = store.role();
    let Some(mut consumer) = until_settled(&stop, &gauges, || log.subscribe(role, &topics)).await? else { return Ok(()) };
    let Some(dead_letter_partitions) = until_settled(&stop, &gauges, || log.partitions(DEAD_LETTERS)).await? else { return Ok(()) };
    // Readers see rows when they are published: what comes before that is written together.
    consumer.set_pace(settings.publish_every / 2);
    // Other instances that lose the same store at the same moment do not come back to it at the same moment.
    let seed = u64::from(std::process::id()) ^ ids::fingerprint(role.as_bytes());
    let letters = DeadLetterWriter::new(log.clone(), dead_letter_partitions, settings.dead_letters, gauges.clone());
    let mut runner = Runner {
        machine: Machine::new(gauges.stage, settings.limits(), seed),
        begun: Instant::now(),
        gauges: gauges.clone(),
        stop,
        measures: Measures::default(),
        hands: Some(Hands {
            log,
            store,
            binding: Binding::default(),
            letters,
            stage: gauges.stage,
            retention: settings.retention,
            removing: None,
            build: settings.build,
            taken: BTreeMap::new(),
        }),
        under_way: None,
        read: 0,
        troubles: 0,
    };
    runner.run(&mut *consumer).await?;
    if runner.under_way.is_some() {
        tracing::warn!(stage = gauges.stage, "stopped while the store was still at work; what it had not settled is read again at the next start");
    }
    Ok(())
}

impl Runner {
    async fn run(&mut self, consumer: &mut dyn Consumer) -> Result<(), Reaction> {
        loop {
            if self.stop.is_cancelled() {
                self.machine.stop(self.now());
            }
            self.obey(consumer);
            match self.machine.next(self.now()) {
                Action::Do(ticket, task) => {
                    self.begin(ticket, task)?;
                    self.attend(PATIENCE).await?;
                }
                Action::Commit(ticket, commits) => {
                    let outcome = consumer.commit(commits).await;
                    if outcome.is_ok() {
                        crash::point("sink.committed");
                    }
                    self.take(ticket, Answer::Committed(outcome))?;
                }
                Action::Await(wait) => {
                    self.attend(wait).await?;
                }
                Action::Poll(wait) => {
                    if !self.attend(PATIENCE).await? {
                        self.poll(consumer, wait).await?;
                    }
                }
                Action::End => return Ok(()),
            }
        }
    }

    fn now(&self) -> Moment {
        self.begun.elapsed()
    }

    fn obey(&mut self, consumer: &mut dyn Consumer) {
        for order in self.machine.orders() {
            match order {
                Order::Placed(place, position) => self.measures.placed(place, &position, &self.gauges),
                Order::Visible(place, position) => self.measures.visible(&place, &position, &self.gauges),
                Order::Left(place) => self.measures.left(&place, &self.gauges),
                Order::Seek((topic, partition), offset) => consumer.seek(&topic, partition, offset),
                Order::Pause((topic, partition), paused) => consumer.set_paused(&topic, partition, paused),
            }
        }
    }

    fn begin(&mut self, ticket: Ticket, task: Task) -> Result<(), Reaction> {
        let Some(mut hands) = self.hands.take() else {
            return Err(Reaction::fatal(format!("{}: two calls at once; this is a fault of Wardhouse", self.gauges.stage)));
        };
        if self.read > 0 {
            hands.letters.rows(std::mem::take(&mut self.read));
        }
        self.measures.begun(&task);
        self.under_way = Some((ticket, hands.begin(task)));
        Ok(())
    }

    /// Looks after the call that is under way; whether it ended within `wait`.
    async fn attend(&mut self, wait: Duration) -> Result<bool, Reaction> {
        let Some((ticket, call)) = &mut self.under_way else { return Ok(false) };
        let ticket = *ticket;
        let Ok((hands, answer)) = tokio::time::timeout(wait, call).await else { return Ok(false) };
        self.under_way = None;
        self.hands = Some(hands);
        self.take(ticket, answer)?;
        Ok(true)
    }

    /// Polls the log; a call that is under way goes on beside it.
    async fn poll(&mut self, consumer: &mut dyn Consumer, wait: Duration) -> Result<(), Reaction> {
        let mut polling = consumer.poll(wait);
        let mut ended = None;
        // Broken off where the runner stops only: a member may have been told something that it has not passed on.
        let event = loop {
            if let Some((ticket, call)) = &mut self.under_way {
                let ticket = *ticket;
                tokio::select! {
                    event = &mut polling => break Some(event),
                    (hands, answer) = call => {
                        self.under_way = None;
                        self.hands = Some(hands);
                        ended = Some((ticket, answer));
                    }
                }
            } else {
                tokio::select! {
                    event = &mut polling => break Some(event),
                    () = self.stop.cancelled() => break None,
                }
            }
        };
        drop(polling);
        if let Some((ticket, answer)) = ended {
            self.take(ticket, answer)?;
        }
        let Some(event) = event else { return Ok(()) };
        match tolerated(event, &self.gauges).await?.unwrap_or(Event::Idle) {
            Event::Assigned { partitions, .. } => self.machine.assigned(partitions),
            Event::Revoked { partitions } => self.machine.revoked(&partitions, self.now()),
            Event::Records(fetched) => {
                self.read += fetched.records.len() as u64;
                self.machine.took(fetched, self.now());
            }
            Event::Idle => {}
        }
        Ok(())
    }

    /// Tells the machine what came of a task.
    fn take(&mut self, ticket: Ticket, answer: Answer) -> Result<(), Reaction> {
        let stage = self.gauges.stage;
        self.measures.ended(&answer, &self.gauges);
        if let Some(message) = answer.trouble() {
            Gauges::add(&self.gauges.retries, 1);
            self.troubles = self.troubles.saturating_add(1);
            if self.stop.is_cancelled() && matches!(answer, Answer::Published(_)) {
                tracing::warn!(stage, "stopped with rows that are not visible yet; they will be written again: {message}");
            } else if self.troubles.is_power_of_two() {
                tracing::warn!(stage, tries = self.troubles, "{message}");
            }
        } else if matches!(answer, Answer::Published(Ok(()))) {
            self.troubles = 0;
        }
        let before = self.machine.trust();
        let now = self.now();
        self.machine.answered(ticket, answer, now)?;
        match (before, self.machine.trust()) {
            (Trust::Closed, Trust::Open) => tracing::warn!(stage, "the store is away: its partitions are paused, and it is asked now and then"),
            (Trust::Open | Trust::HalfOpen, Trust::Closed) => tracing::info!(stage, "the store is back"),
            _ => {}
        }
        Ok(())
    }
}
