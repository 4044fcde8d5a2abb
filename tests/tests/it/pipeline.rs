//! Stages running in the test's own process over a data folder, so that they can be killed and started again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use wh_eventlog::dead_letters::LimitSettings;
use wh_eventlog::embedded::{EmbeddedLog, Settings};
use wh_eventlog::gauges::Gauges;
use wh_eventlog::{Log, Producer, Reader, Record};
use wh_ingest::intake::{self, IntakeSettings};
use wh_ops::status::{Patterns, ScorerPartition, Sink, Status, status};
use wh_schemas::topics::{self, HOSPITAL_TRANSACTIONS};
use wh_schemas::validate::Reading;
use wh_schemas::{Reaction, ids};
use wh_scorer::engine::Ruleset;
use wh_scorer::pattern_stage::{self, PatternSettings};
use wh_scorer::patterns::AccountRules;
use wh_scorer::stage::{self, StageSettings};
use wh_scorer::state::sqlite::{SqliteCheckpoints, read_partitions, read_patterns};
use wh_sinks::delivery::Store;
use wh_sinks::delivery::runner::{self, RunnerSettings};

use crate::content::{self, Role};

/// Partitions of each topic.
pub(crate) const PARTITIONS: u32 = 3;
/// Every stage, in the order of the data's way.
pub(crate) const STAGES: [&str; 7] = ["intake", "scorer", "patterns", "ledger", "documents", "metrics", "search"];
/// How long a condition may take to come true.
pub(crate) const LIMIT: Duration = Duration::from_secs(45);
/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// How often stages checkpoint, publish and commit here.
const OFTEN: Duration = Duration::from_millis(40);
/// Records that one append holds.
const APPEND: usize = 25;

/// Waits until `holds` gives a value.
///
/// # Panics
/// When it takes longer than [`LIMIT`].
pub(crate) async fn until<T>(what: &str, mut holds: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Some(value) = holds().await {
            return value;
        }
        assert!(Instant::now() < deadline, "not within {LIMIT:?}: {what}");
        tokio::time::sleep(LOOK).await;
    }
}

/// How intake runs here. Inputs hold as many bad records as a test wants: no stage stops for dead letters.
pub(crate) fn intake_settings() -> IntakeSettings {
    IntakeSettings { dead_letters: LimitSettings::none(), ..IntakeSettings::new(Reading::default(), "test") }
}

/// How a scorer runs here.
pub(crate) fn scorer_settings() -> StageSettings {
    let dead_letters = LimitSettings::none();
    StageSettings { checkpoint_every: OFTEN, checkpoint_records: 300, snapshot_records: 100, dead_letters, ..StageSettings::new(Ruleset::default(), "test") }
}

/// How patterns by account run here. A partition is let go by itself after `idle_after`.
pub(crate) fn pattern_settings(idle_after: Duration) -> PatternSettings {
    PatternSettings { checkpoint_every: OFTEN, checkpoint_records: 300, idle_after, ..PatternSettings::new(AccountRules::default(), intake::GROUP, "test") }
}

/// How a sink runs here.
pub(crate) fn runner_settings() -> RunnerSettings {
    RunnerSettings { publish_every: OFTEN, commit_every: OFTEN, dead_letters: LimitSettings::none(), ..RunnerSettings::new("test") }
}

struct Running {
    stop: CancellationToken,
    task: JoinHandle<Result<(), Reaction>>,
}

/// A log with the stages that run on it.
pub(crate) struct Pipeline {
    pub(crate) log: Arc<EmbeddedLog>,
    folder: PathBuf,
    /// How long patterns wait for a partition that brings nothing: by default longer than any test takes, so that what they find is the same
    /// however long it takes.
    pub(crate) idle_after: Duration,
    stages: BTreeMap<&'static str, Running>,
}

impl Pipeline {
    /// Opens the log of a data folder; nothing runs yet.
    pub(crate) async fn open(folder: &Path) -> Pipeline {
        // Small fetches, so that a kill finds every stage in the middle of something.
        let log = EmbeddedLog::open(&folder.join("log"), Settings { fetch_bytes: 16 * 1024, ..Settings::default() }).unwrap();
        log.ensure_topics(&topics::ALL, PARTITIONS).await.unwrap();
        Pipeline { log, folder: folder.to_owned(), idle_after: LIMIT * 10, stages: BTreeMap::new() }
    }

    /// Appends lines to `hospital-transactions` as a producer of ours does: by user, and those of nobody by their bytes.
    pub(crate) async fn feed(&self, lines: &[Vec<u8>]) {
        let mut partitions: Vec<Vec<Record>> = vec![Vec::new(); PARTITIONS as usize];
        for line in lines {
            let (partition, key) = addressed(line);
            partitions[partition as usize].push(Record::new(key, line.clone()));
        }
        for (partition, records) in (0..).zip(partitions) {
            for batch in records.chunks(APPEND) {
                self.log.produce(HOSPITAL_TRANSACTIONS, partition, batch.to_vec()).await.unwrap();
            }
        }
    }

    /// Starts a stage.
    pub(crate) fn start(&mut self, stage: &'static str) {
        let log: Arc<dyn Log> = self.log.clone();
        let stop = CancellationToken::new();
        let task = tokio::spawn(run(stage, log, self.folder.clone(), self.idle_after, stop.clone()));
        self.stages.insert(stage, Running { stop, task });
    }

    /// Starts several.
    pub(crate) fn start_all(&mut self, stages: &[&'static str]) {
        for &stage in stages {
            self.start(stage);
        }
    }

    /// Ends a stage in the middle of whatever it does.
    pub(crate) async fn kill(&mut self, stage: &str) {
        let running = self.stages.remove(stage).unwrap();
        running.task.abort();
        match running.task.await {
            Err(error) if error.is_cancelled() => {}
            ended => panic!("{stage} had ended by itself: {ended:?}"),
        }
    }

    /// Stops every stage that runs, as Ctrl-C does.
    pub(crate) async fn stop(&mut self) {
        for running in self.stages.values() {
            running.stop.cancel();
        }
        for (stage, running) in std::mem::take(&mut self.stages) {
            running.task.await.unwrap().unwrap_or_else(|reaction| panic!("{stage}: {reaction}"));
        }
    }

    /// How the data folder stands, by each stage's own word.
    pub(crate) async fn status(&self) -> Result<Status, Reaction> {
        let partitions = read_partitions(&self.folder.join("baselines.db"))?;
        let scorer: Vec<ScorerPartition> = partitions.into_iter().map(|(next_offset, record)| ScorerPartition { next_offset, counts: record.counts }).collect();
        let patterns = read_patterns(&self.folder.join("baselines.db"))?;
        let patterns = patterns.map(|(position, record)| Patterns { next_offset: position.next_offset, counts: record.counts }).unwrap_or_default();
        let mut sinks = Vec::new();
        for role in Role::ALL {
            let of_patterns = if role.takes_patterns() { Some(content::published_of(role, &self.folder, "patterns")?) } else { None };
            sinks.push(Sink { name: role.name(), scorer: content::published(role, &self.folder)?, patterns: of_patterns });
        }
        status(&*self.log, &scorer, patterns, &sinks).await
    }

    /// Waits until every stage that runs has settled and published all that the log holds for it.
    pub(crate) async fn settle(&mut self) -> Status {
        let deadline = Instant::now() + LIMIT;
        loop {
            for (stage, running) in &mut self.stages {
                if running.task.is_finished() {
                    let ended = (&mut running.task).await;
                    panic!("{stage} ended: {ended:?}");
                }
            }
            // A store that is being made says that it is none yet.
            let status = self.status().await;
            let settled = |status: &Status| {
                status.stages.iter().filter(|line| self.stages.contains_key(line.stage.split('/').next().unwrap_or_default())).all(|line| line.lag() == 0 && line.adds_up())
            };
            match status {
                Ok(status) if settled(&status) => return status,
                other => assert!(Instant::now() < deadline, "not settled within {LIMIT:?}: {other:#?}"),
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Records that a topic holds or held.
    pub(crate) async fn count(&self, topic: &str) -> u64 {
        let mut count = 0;
        for partition in 0..PARTITIONS {
            count += self.log.bounds(topic, partition).await.unwrap().end;
        }
        count
    }
}

/// Partition and key of a line, whatever it is fed together with.
fn addressed(line: &[u8]) -> (u32, String) {
    #[derive(serde::Deserialize)]
    struct Address {
        transaction_id: String,
        user_id: String,
    }
    match serde_json::from_slice::<Address>(line) {
        Ok(address) => (ids::partition_of(address.user_id.as_bytes(), PARTITIONS), address.transaction_id),
        Err(_) => (ids::partition_of(line, PARTITIONS), format!("unreadable, {} bytes", line.len())),
    }
}

async fn run(stage: &'static str, log: Arc<dyn Log>, folder: PathBuf, idle_after: Duration, stop: CancellationToken) -> Result<(), Reaction> {
    let gauges = Arc::new(Gauges::new(stage));
    if stage == intake::GROUP {
        return intake::run(log, intake_settings(), gauges, stop).await;
    }
    if stage == stage::GROUP {
        let checkpoints = SqliteCheckpoints::open(&folder.join("baselines.db"))?;
        return stage::run(log, Box::new(checkpoints), scorer_settings(), gauges, stop).await;
    }
    if stage == pattern_stage::GROUP {
        let checkpoints = SqliteCheckpoints::open(&folder.join("baselines.db"))?;
        return pattern_stage::run(log, Box::new(checkpoints), pattern_settings(idle_after), gauges, stop).await;
    }
    let role = Role::ALL.into_iter().find(|role| role.name() == stage).unwrap();
    let store = once_free(role, &folder).await?;
    runner::run(log, store, runner_settings(), gauges, stop).await
}

/// Opens a store whose former writer was killed: a thread of it may still be finishing what it was at.
async fn once_free(role: Role, folder: &Path) -> Result<Box<dyn Store>, Reaction> {
    let deadline = Instant::now() + LIMIT;
    loop {
        match content::open(role, folder) {
            Err(Reaction::Fatal(message)) if message.contains("another process") && Instant::now() < deadline => {}
            opened => return opened,
        }
        tokio::time::sleep(LOOK).await;
    }
}
