//! Everything that runs while it is measured: the pipeline in processes of its own, who sends, and who reads back.
//!
//! What must stay true: what a session counts is of its own places, so that all of it begins at nothing; it ends everything it began.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use wh_eventlog::kafka::KafkaLog;
use wh_eventlog::{Log, Reader, embedded};
use wh_ingest::generator::GeneratorSettings;
use wh_schemas::Reaction;
use wh_schemas::topics;
use wh_stores::Role;
use wh_stores::places::LogPlace;

use crate::child::{Pipeline, Program};
use crate::clock::Clock;
use crate::load::{Entrance, Supply};
use crate::places::Own;
use crate::processes::Watched;
use crate::readback::latencies::NAMES;
use crate::readback::{self, Alerts, Scored, Shared, Watcher, Watching, read_scored};

/// What one fetch of who reads back aims at.
const FETCH_BYTES: usize = 1_024 * 1_024;
/// Stores that are looked at, with the names of their latencies.
pub const STORES: [(Role, &str); 5] = [(Role::Ledger, NAMES[1]), (Role::Documents, NAMES[2]), (Role::Metrics, NAMES[3]), (Role::Baselines, NAMES[4]), (Role::Search, NAMES[5])];
/// How long an answer of the intake may take.
const POST: Duration = Duration::from_secs(60);
/// Name of this process in a report.
pub const GENERATOR: &str = "generator";

/// How a session is started.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How the pipeline is started.
    pub program: Program,
    /// Whether each stage is a process of its own.
    pub by_stage: bool,
    /// Partitions of the topics.
    pub partitions: u32,
    /// What the transactions are made from.
    pub generator: GeneratorSettings,
    /// How often a store is looked at.
    pub poll: Duration,
}

/// A session at work.
pub struct Session {
    /// The pipeline.
    pub pipeline: Pipeline,
    /// Where the load enters.
    pub entrance: Arc<Entrance>,
    /// What who sends and who reads back share.
    pub shared: Arc<Shared>,
    /// Who looks at the stores.
    pub watching: Vec<Watching>,
    /// The load to come; taken by who sends.
    pub supply: Option<Supply>,
    /// Processes that are watched: ours, this one, servers.
    pub watched: Vec<Watched>,
    alerts: Alerts,
    reading: JoinHandle<()>,
    stop: CancellationToken,
}

impl Session {
    /// Starts everything. `servers` are watched beside it.
    ///
    /// # Errors
    /// A sentence.
    pub async fn start(plan: &Plan, own: &Own, servers: &[Watched], stop: &CancellationToken) -> Result<Session, String> {
        let told = |reaction: Reaction| reaction.to_string();
        let stop = stop.child_token();
        let cluster = match &own.places.log {
            LogPlace::Kafka(settings) => {
                let log = KafkaLog::open(settings, FETCH_BYTES).await.map_err(told)?;
                log.ensure_topics(&topics::ALL, plan.partitions).await.map_err(told)?;
                Some(log)
            }
            LogPlace::Sqlite(_) => None,
        };
        let pipeline = Pipeline::start(&plan.program, plan.by_stage, cluster.is_none()).await?;
        let (entrance, log, scored): (Entrance, Arc<dyn Reader>, Scored) = match (&own.places.log, cluster) {
            (_, Some(cluster)) => (Entrance::Log(cluster.clone()), cluster.clone(), Scored::Group(cluster)),
            (LogPlace::Sqlite(folder), None) => {
                let client = reqwest::ClientBuilder::new().no_proxy().tcp_nodelay(true).timeout(POST).build().map_err(|error| error.to_string())?;
                let url = pipeline.http.clone().unwrap_or_default();
                let reader = embedded::open_reader(folder).map_err(told)?;
                (Entrance::Http { client, url }, reader.clone(), Scored::File(reader))
            }
            (LogPlace::Kafka(_), None) => return Err("the log was not opened".to_owned()),
        };
        let shared = Arc::new(Shared::new(Clock::start()));
        let mut watching = Vec::new();
        for (role, name) in STORES {
            let look = readback::open(role, &own.places, plan.partitions).await.map_err(|reaction| format!("stores.{role} cannot be read back: {reaction}"))?;
            watching.push(Watcher { role, name, look, every: plan.poll, shared: shared.clone() }.start(stop.clone()));
        }
        let (search, rows): (Vec<&Watching>, Vec<&Watching>) = watching.iter().partition(|watching| watching.role == Role::Search);
        let search = search.first().map(|watching| watching.samples()).ok_or("nobody looks at search")?;
        let rows = rows.into_iter().map(Watching::samples).collect();
        let reading = tokio::spawn(read_scored(scored, shared.clone(), rows, search, stop.clone()));
        let supply = Supply::start(plan.generator.clone(), plan.partitions)?;
        let me = Watched { name: GENERATOR.to_owned(), pid: std::process::id(), ours: true, with_descendants: false };
        let watched = pipeline.watched().into_iter().chain([me]).chain(servers.iter().cloned()).collect();
        Ok(Session { pipeline, entrance: Arc::new(entrance), shared, watching, supply: Some(supply), watched, alerts: Alerts::new(log), reading, stop })
    }

    /// Scored records that the store shows which shows fewest.
    #[must_use]
    pub fn reached(&self) -> u64 {
        self.watching.iter().map(Watching::reached).min().unwrap_or(0)
    }

    /// Alerts in the log so far, those of patterns by account included: what search must come to hold.
    ///
    /// # Errors
    /// What the log says.
    pub async fn alerts(&self) -> Result<u64, Reaction> {
        self.alerts.count().await
    }

    /// Ends everything in order.
    pub async fn end(self) {
        let Session { pipeline, watching, reading, stop, .. } = self;
        stop.cancel();
        // Cancelled is what it should be.
        drop(reading.await);
        for one in watching {
            one.end().await;
        }
        pipeline.stop().await;
    }
}
