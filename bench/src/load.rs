//! The load: transactions of a made-up hospital, sent at the times of a schedule whatever becomes of them.
//!
//! They enter where producers of that log do. A Kafka log: produced into `hospital-transactions`, by the partition of the user. An embedded
//! log: posted to the HTTP intake of the measured process. (Another process may write into an embedded log's file, but two writers of one
//! SQLite file wait for each other's transactions, and the reader learns of foreign appends by looking every 50 ms: that would measure the
//! file's lock. The cost of taking them over HTTP is the measured process's.)
//!
//! What must stay true: the next transaction's time does not wait for an answer to an earlier one; only when so much is unanswered that
//! more could not be kept does sending wait, which counts as the pipeline's time and not as the generator's; how late the generator itself
//! is, is told apart. See Tene, "How NOT to Measure Latency" (coordinated omission).

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use wh_eventlog::{Bytes, Log, Record};
use wh_ingest::generator::{GeneratorSettings, World, write_json};
use wh_schemas::topics::HOSPITAL_TRANSACTIONS;
use wh_schemas::{Reaction, ids};

use crate::readback::Shared;
use crate::readback::latencies::histogram;
use crate::schedule::Schedule;

/// The least between two hand-overs: what comes within it goes together, as a producer's linger has it.
const STEP: u64 = 5_000;
/// Most transactions of one hand-over.
const MOST: usize = 5_000;
/// Hand-overs that may be unanswered, by way of entrance.
const UNANSWERED: usize = 256;
const UNANSWERED_POSTS: usize = 16;
/// Transactions that are made ahead, in chunks.
const CHUNK: usize = 256;
const CHUNKS: usize = 128;
/// A wait for room that is shorter is none.
const BLOCKED: u64 = 1_000;
/// How late the generator may be with one transaction in a hundred before a round says nothing of the pipeline.
pub const LATE: u64 = 100_000;
/// How long after a refusal that may pass.
const AGAIN: Duration = Duration::from_millis(200);
/// How long the last answers may take once sending has ended.
const LAST_ANSWERS: Duration = Duration::from_secs(60);

/// A transaction ready to be sent.
#[derive(Debug)]
pub struct Prepared {
    record: Record,
    partition: u32,
}

/// Transactions made ahead on a thread of their own, so that making them costs no lateness while it keeps up.
pub struct Supply {
    chunks: mpsc::Receiver<Vec<Prepared>>,
    ready: VecDeque<Prepared>,
    bytes: u64,
    taken: u64,
}

impl Supply {
    /// Begins to make them.
    ///
    /// # Errors
    /// What is wrong with the settings.
    pub fn start(settings: GeneratorSettings, partitions: u32) -> Result<Supply, String> {
        let world = World::new(settings)?;
        let (sender, chunks) = mpsc::channel(CHUNKS);
        let made = move || {
            let mut chunk = Vec::with_capacity(CHUNK);
            for generated in world {
                let mut value = Vec::with_capacity(512);
                write_json(&generated.transaction, &mut value);
                let partition = ids::partition_of(generated.transaction.user_id.as_bytes(), partitions);
                chunk.push(Prepared { record: Record::new(generated.transaction.transaction_id.as_str().to_owned(), value), partition });
                if chunk.len() == CHUNK && sender.blocking_send(std::mem::replace(&mut chunk, Vec::with_capacity(CHUNK))).is_err() {
                    return;
                }
            }
        };
        std::thread::Builder::new().name("generator".to_owned()).spawn(made).map_err(|error| format!("cannot start the generator: {error}"))?;
        Ok(Supply { chunks, ready: VecDeque::new(), bytes: 0, taken: 0 })
    }

    /// The next transactions. Waits while they are made.
    async fn take(&mut self, count: usize) -> Vec<Prepared> {
        while self.ready.len() < count {
            let Some(chunk) = self.chunks.recv().await else { break };
            self.ready.extend(chunk);
        }
        let taken: Vec<Prepared> = self.ready.drain(..count.min(self.ready.len())).collect();
        self.taken += taken.len() as u64;
        self.bytes += taken.iter().map(|one| one.record.value.len() as u64).sum::<u64>();
        taken
    }

    /// Mean bytes of a transaction so far.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a mean")]
    pub fn mean_bytes(&self) -> f64 {
        if self.taken == 0 { 0.0 } else { self.bytes as f64 / self.taken as f64 }
    }
}

/// Where the load enters.
pub enum Entrance {
    /// The log, as a producer of it.
    Log(Arc<dyn Log>),
    /// The HTTP intake of the measured process.
    Http {
        /// Its client.
        client: reqwest::Client,
        /// Where to.
        url: String,
    },
}

impl Entrance {
    /// The name in a report.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Entrance::Log(_) => "kafka",
            Entrance::Http { .. } => "http",
        }
    }
}

/// What became of a round's load.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offered {
    /// Transactions that the schedule intended.
    pub offered: u64,
    /// Transactions that the log acknowledged.
    pub sent: u64,
    /// How late the generator itself was, at most.
    pub behind_us_max: u64,
    /// With one transaction in a hundred.
    pub behind_us_p99: u64,
}

impl Offered {
    /// Whether the round says something of the generator rather than of the pipeline.
    #[must_use]
    pub fn is_limited(&self) -> bool {
        self.behind_us_p99 > LATE
    }
}

/// Sends what the schedule intends from `begun` on, until its end or `end`. Returns when all is answered.
///
/// # Errors
/// A sentence, where the log takes nothing more.
pub async fn offer(supply: &mut Supply, entrance: &Arc<Entrance>, schedule: Schedule, begun: u64, shared: &Arc<Shared>, end: &CancellationToken) -> Result<Offered, String> {
    let room = Arc::new(Semaphore::new(if matches!(**entrance, Entrance::Log(_)) { UNANSWERED } else { UNANSWERED_POSTS }));
    let mut late = histogram();
    let mut calls: JoinSet<Result<u64, String>> = JoinSet::new();
    let mut schedule = schedule.peekable();
    let mut offered = Offered::default();
    let mut after = 0;
    while let Some(next) = schedule.peek().copied() {
        let waited = async {
            tokio::time::sleep_until(shared.clock.instant((begun + next).max(after))).await;
            let from = shared.clock.micros();
            let permit = room.clone().acquire_owned().await;
            let now = shared.clock.micros();
            (permit, if now - from > BLOCKED { now } else { 0 }, now)
        };
        let Some((permit, free_at, now)) = end.run_until_cancelled(waited).await else { break };
        let permit = Arc::new(permit.map_err(|_| "sending has ended".to_owned())?);
        after = now + STEP;
        let mut intended = Vec::new();
        while intended.len() < MOST
            && let Some(at) = schedule.next_if(|at| begun + at <= now)
        {
            intended.push(begun + at);
        }
        let transactions = supply.take(intended.len()).await;
        if transactions.is_empty() {
            continue;
        }
        let handed = shared.clock.micros();
        if let Some(late) = &mut late {
            for at in &intended {
                late.saturating_record(handed.saturating_sub((*at).max(free_at)).max(1));
            }
        }
        offered.offered += transactions.len() as u64;
        shared.intend(transactions.iter().zip(&intended).map(|(one, at)| (one.record.key.as_deref().unwrap_or_default(), *at)));
        hand_over(entrance, transactions, shared, &permit, &mut calls);
        while let Some(done) = calls.try_join_next() {
            offered.sent += answered(done)?;
        }
    }
    let last = async {
        while let Some(done) = calls.join_next().await {
            offered.sent += answered(done)?;
        }
        Ok::<(), String>(())
    };
    tokio::time::timeout(LAST_ANSWERS, last).await.map_err(|_| format!("the log has not answered for {} seconds", LAST_ANSWERS.as_secs()))??;
    offered.behind_us_max = late.as_ref().map_or(0, Histogram::max);
    offered.behind_us_p99 = late.as_ref().map_or(0, |late| late.value_at_quantile(0.99));
    Ok(offered)
}

fn answered(done: Result<Result<u64, String>, tokio::task::JoinError>) -> Result<u64, String> {
    done.map_err(|error| format!("sending failed: {error}"))?
}

/// Sends transactions on tasks of their own; the permit goes back when the last is answered.
fn hand_over(entrance: &Arc<Entrance>, transactions: Vec<Prepared>, shared: &Arc<Shared>, permit: &Arc<OwnedSemaphorePermit>, calls: &mut JoinSet<Result<u64, String>>) {
    match &**entrance {
        Entrance::Log(log) => {
            let mut batches: std::collections::BTreeMap<u32, Vec<Record>> = std::collections::BTreeMap::new();
            for Prepared { record, partition } in transactions {
                batches.entry(partition).or_default().push(record);
            }
            for (partition, records) in batches {
                let (log, shared, permit) = (log.clone(), shared.clone(), permit.clone());
                calls.spawn(async move {
                    let count = produce(&*log, partition, records).await?;
                    shared.sent.fetch_add(count, Ordering::Relaxed);
                    drop(permit);
                    Ok(count)
                });
            }
        }
        Entrance::Http { client, url } => {
            let mut body = Vec::with_capacity(transactions.iter().map(|one| one.record.value.len() + 1).sum());
            for one in &transactions {
                body.extend_from_slice(&one.record.value);
                body.push(b'\n');
            }
            let (client, url, shared, permit) = (client.clone(), url.clone(), shared.clone(), permit.clone());
            calls.spawn(async move {
                let count = post(&client, &url, body.into(), &shared).await?;
                shared.sent.fetch_add(count, Ordering::Relaxed);
                drop(permit);
                Ok(count)
            });
        }
    }
}

/// Appends to one partition, trying again what may pass.
async fn produce(log: &dyn Log, partition: u32, records: Vec<Record>) -> Result<u64, String> {
    let count = records.len() as u64;
    loop {
        match log.produce(HOSPITAL_TRANSACTIONS, partition, records.clone()).await {
            Ok(_) => return Ok(count),
            Err(Reaction::Transient { retry_after, .. }) => tokio::time::sleep(retry_after.unwrap_or(AGAIN)).await,
            Err(other) => return Err(format!("the log takes no transactions: {other}")),
        }
    }
}

/// Posts to the intake, trying again where it is behind; how many it took.
async fn post(client: &reqwest::Client, url: &str, body: Bytes, shared: &Shared) -> Result<u64, String> {
    #[derive(Deserialize)]
    struct Answer {
        accepted: u64,
        rejected: u64,
    }
    loop {
        let asked = client.post(url).header("Content-Type", "application/x-ndjson").body(body.clone()).send().await;
        let answer = asked.map_err(|error| format!("the intake does not answer: {error}"))?;
        match answer.status().as_u16() {
            200 | 207 | 422 => {
                let answer = answer.text().await.map_err(|error| format!("the intake's answer broke off: {error}"))?;
                let Answer { accepted, rejected } = serde_json::from_str(&answer).map_err(|error| format!("the intake's answer cannot be read: {error}"))?;
                if rejected > 0 {
                    shared.fault("the intake rejected transactions of the load: they are not among those sent".to_owned());
                }
                return Ok(accepted);
            }
            429 | 503 => tokio::time::sleep(AGAIN).await,
            status => return Err(format!("the intake answers {status}: {}", answer.text().await.unwrap_or_default().chars().take(200).collect::<String>())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use async_trait::async_trait;
    use wh_eventlog::Reader as _;
    use wh_eventlog::embedded::{EmbeddedLog, Settings};
    use wh_schemas::topics;
    use wh_schemas::{Micros, time::DAY};

    use super::*;
    use crate::clock::Clock;
    use crate::schedule::Arrivals;

    /// A log that answers after a while.
    struct Slow(Arc<EmbeddedLog>, Mutex<Vec<usize>>);

    #[async_trait]
    impl wh_eventlog::Producer for Slow {
        async fn produce(&self, topic: &str, partition: u32, records: Vec<Record>) -> Result<u64, Reaction> {
            tokio::time::sleep(Duration::from_millis(300)).await;
            self.1.lock().unwrap().push(records.len());
            self.0.produce(topic, partition, records).await
        }
    }

    #[async_trait]
    impl wh_eventlog::Reader for Slow {
        async fn identity(&self) -> Result<String, Reaction> {
            self.0.identity().await
        }
        async fn partitions(&self, topic: &str) -> Result<u32, Reaction> {
            self.0.partitions(topic).await
        }
        async fn bounds(&self, topic: &str, partition: u32) -> Result<wh_eventlog::Bounds, Reaction> {
            self.0.bounds(topic, partition).await
        }
        async fn read(&self, topic: &str, partition: u32, from: u64, max_bytes: usize) -> Result<Vec<wh_eventlog::Stored>, Reaction> {
            self.0.read(topic, partition, from, max_bytes).await
        }
        async fn committed(&self, group: &str, topic: &str) -> Result<Vec<(u32, u64, String)>, Reaction> {
            self.0.committed(group, topic).await
        }
    }

    #[async_trait]
    impl Log for Slow {
        async fn ensure_topics(&self, topics: &[topics::TopicSpec], partitions: u32) -> Result<(), Reaction> {
            self.0.ensure_topics(topics, partitions).await
        }
        async fn subscribe(&self, group: &str, topics: &[&str]) -> Result<Box<dyn wh_eventlog::Consumer>, Reaction> {
            self.0.subscribe(group, topics).await
        }
        async fn keeps(&self, topic: &str) -> Result<Option<Duration>, Reaction> {
            self.0.keeps(topic).await
        }
        async fn retain(&self) -> Result<u64, Reaction> {
            self.0.retain().await
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn sending_does_not_wait_for_answers_and_all_is_intended_before_it_is_sent() {
        let folder = tempfile::tempdir().unwrap();
        let log = EmbeddedLog::open(folder.path(), Settings::default()).unwrap();
        log.ensure_topics(&topics::ALL, 3).await.unwrap();
        let slow = Arc::new(Slow(log.clone(), Mutex::default()));
        let settings = GeneratorSettings {
            seed: 3,
            users: 20,
            start: Micros(1_700_000_000_000_000 / DAY * DAY),
            transactions_per_user_day: 100.0,
            anomaly_rate: 0.1,
            zone: chrono_tz::Tz::UTC,
        };
        let mut supply = Supply::start(settings, 3).unwrap();
        let shared = Arc::new(Shared::new(Clock::start()));
        let schedule = Schedule::new(&Arrivals::Constant, 500.0, Duration::ZERO, Duration::from_secs(1), 1);
        let entrance = Arc::new(Entrance::Log(slow.clone()));
        let begun = shared.clock.micros();
        let offered = offer(&mut supply, &entrance, schedule, begun, &shared, &CancellationToken::new()).await.unwrap();
        let took = shared.clock.micros() - begun;
        assert_eq!((offered.offered, offered.sent, shared.sent_so_far(), shared.unscored().len()), (500, 500, 500, 500));
        // One after the other, so many answers would take a minute.
        assert!(took < 5_000_000 && slow.1.lock().unwrap().len() > 100, "{took}");
        let mut held = 0;
        for partition in 0..3 {
            held += log.bounds(HOSPITAL_TRANSACTIONS, partition).await.unwrap().end;
        }
        assert_eq!(held, 500);
        assert!(supply.mean_bytes() > 100.0);
    }
}
