//! The generator's world on its way into the log: where it is, so that a second start goes on; truth goes into a side file.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use wh_eventlog::{Log, Record};
use wh_ingest::generator::{Generated, GeneratorSettings, World, write_json};
use wh_schemas::time::DAY;
use wh_schemas::topics::HOSPITAL_TRANSACTIONS;
use wh_schemas::{Micros, Reaction, ids};
use wh_stores::clock;
use wh_stores::holder::Holder;

use crate::failure::Failure;
use crate::settings::Settings;

/// What makes a world the same again, and how much of it the log holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Progress {
    seed: u64,
    users: u32,
    start: i64,
    transactions_per_user_day: f64,
    anomaly_rate: f64,
    zone: String,
    history: u64,
    emitted: u64,
}

/// A world that writes into the log.
pub(crate) struct LoggedWorld {
    world: World,
    next: Option<Generated>,
    progress: Progress,
    state: PathBuf,
    truth: BufWriter<File>,
    /// One process makes this folder's world.
    _holder: Holder,
    log: Arc<dyn Log>,
    partitions: u32,
}

impl LoggedWorld {
    /// The world of this data folder: the one that is there, or a new one whose history ends `history_days` before now.
    pub(crate) async fn open(settings: &Settings, log: Arc<dyn Log>, history: u64) -> Result<LoggedWorld, Failure> {
        let folder = settings.data.join("generator");
        std::fs::create_dir_all(&folder).map_err(|e| format!("cannot create {}: {e}", folder.display()))?;
        let holder = Holder::take(&folder, "up")?;
        let state = folder.join("progress.json");
        let progress = match std::fs::read_to_string(&state) {
            Ok(text) => serde_json::from_str(&text).map_err(|e| format!("{} cannot be read ({e}): restore it, or use another data folder (--data DIR)", state.display()))?,
            Err(_) => {
                let g = settings.generator;
                let days = f64::from(g.history_days);
                #[expect(clippy::cast_precision_loss, reason = "a number of transactions")]
                let count = if history > 0 { history as f64 } else { 200_000.0 };
                // Another world in a log that holds one already must not use its ids again.
                let mut held = 0;
                for partition in 0..log.partitions(HOSPITAL_TRANSACTIONS).await? {
                    held += log.bounds(HOSPITAL_TRANSACTIONS, partition).await?.end;
                }
                Progress {
                    seed: g.seed.wrapping_add(held.wrapping_mul(0x9e37_79b9)),
                    users: g.users,
                    // History, then as long again before the live stream catches up with now.
                    start: clock::now().0 - 2 * i64::from(g.history_days) * DAY,
                    transactions_per_user_day: count / days / f64::from(g.users),
                    anomaly_rate: g.anomaly_rate,
                    zone: settings.zone.name().to_owned(),
                    history,
                    emitted: 0,
                }
            }
        };
        let Progress { seed, users, start, transactions_per_user_day, anomaly_rate, .. } = progress;
        let zone = progress.zone.parse().unwrap_or(settings.zone);
        let mut world = World::new(GeneratorSettings { seed, users, start: Micros(start), transactions_per_user_day, anomaly_rate, zone })?;
        if let Some(before) = progress.emitted.checked_sub(1) {
            let skip = usize::try_from(before).unwrap_or(usize::MAX);
            world = tokio::task::spawn_blocking(move || {
                world.nth(skip);
                world
            })
            .await
            .map_err(|e| e.to_string())?;
        }
        let path = folder.join("truth.ndjson");
        let truth = OpenOptions::new().create(true).append(true).open(&path).map_err(|e| wh_stores::disk::cannot_write(&path, &e))?;
        let partitions = log.partitions(HOSPITAL_TRANSACTIONS).await?;
        let next = world.next();
        let mut logged = LoggedWorld { world, next, progress, state, truth: BufWriter::new(truth), _holder: holder, log, partitions };
        // Before the first append: whoever starts after a kill goes on with this world.
        logged.save().map_err(|e| format!("the generator's progress cannot be written to {}: {e}", logged.state.display()))?;
        Ok(logged)
    }

    /// Transactions of the history that the log does not hold yet.
    pub(crate) fn history_left(&self) -> u64 {
        self.progress.history.saturating_sub(self.progress.emitted)
    }

    /// Transactions of the history in all.
    pub(crate) fn history(&self) -> u64 {
        self.progress.history
    }

    /// Appends up to `count` transactions that are not later than now; returns how many once the log holds them.
    pub(crate) async fn emit(&mut self, count: u64) -> Result<u64, Reaction> {
        let now = clock::now();
        let mut batches: Vec<Vec<Record>> = vec![Vec::new(); self.partitions as usize];
        let mut taken = 0;
        while taken < count && self.next.as_ref().is_some_and(|g| g.transaction.timestamp <= now) {
            let Some(generated) = std::mem::replace(&mut self.next, self.world.next()) else { break };
            let partition = ids::partition_of(generated.transaction.user_id.as_bytes(), self.partitions);
            batches[partition as usize].push(record(&generated));
            if let Some(truth) = &generated.truth {
                let line = serde_json::json!({ "transaction_id": generated.transaction.transaction_id, "incident": truth.incident, "scenario": truth.scenario });
                writeln!(self.truth, "{line}").map_err(|e| Reaction::fatal(format!("the generator's truth cannot be written: {e}")))?;
            }
            taken += 1;
        }
        if taken == 0 {
            return Ok(0);
        }
        let mut appends = tokio::task::JoinSet::new();
        for (partition, records) in batches.into_iter().enumerate().filter(|(_, r)| !r.is_empty()) {
            let log = self.log.clone();
            let partition = u32::try_from(partition).unwrap_or(0);
            appends.spawn(async move { append(&*log, partition, records).await });
        }
        while let Some(done) = appends.join_next().await {
            done.map_err(|e| Reaction::fatal(e.to_string()))??;
        }
        self.progress.emitted += taken;
        self.save().map_err(|e| Reaction::fatal(format!("the generator's progress cannot be written to {}: {e}", self.state.display())))?;
        Ok(taken)
    }

    fn save(&mut self) -> std::io::Result<()> {
        self.truth.flush()?;
        replace(&self.state, &serde_json::to_vec(&self.progress)?)
    }
}

/// Writes a file whole or not at all.
fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let beside = path.with_extension("tmp");
    std::fs::write(&beside, bytes)?;
    std::fs::rename(&beside, path)
}

/// The record of a generated transaction.
pub(crate) fn record(generated: &Generated) -> Record {
    let mut value = Vec::with_capacity(512);
    write_json(&generated.transaction, &mut value);
    Record::new(generated.transaction.transaction_id.as_str().to_owned(), value)
}

/// Appends records, waiting while the log is full.
pub(crate) async fn append(log: &dyn Log, partition: u32, records: Vec<Record>) -> Result<(), Reaction> {
    let mut backoff = wh_eventlog::retry::Backoff::default();
    loop {
        match log.produce(HOSPITAL_TRANSACTIONS, partition, records.clone()).await {
            Ok(_) => return Ok(()),
            Err(Reaction::Transient { message, retry_after }) => {
                tracing::warn!("{message}");
                tokio::time::sleep(backoff.wait(retry_after)).await;
            }
            Err(other) => return Err(other),
        }
    }
}
