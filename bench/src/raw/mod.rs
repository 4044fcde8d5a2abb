//! What each store takes of the same rows by its own fastest documented way, at the same durability: what a sink's rate is compared with.
//!
//! One file a store: its own place (`whbench_…`) is made, filled by our own sink, read back, emptied, and filled again plainly, which alone is
//! measured. Units are transactions, so that a rate stands beside the pipeline's; of the search role they are alerts, one a transaction.
//!
//! What must stay true: what is written plainly is what the sink wrote, into tables and indexes of the same layout; preparing it is not
//! measured; only places of our own are written, and they are removed whatever happens, being told to stop included.

pub mod corpus;
pub mod elasticsearch;
pub mod influxdb;
pub mod kafka;
pub mod meter;
pub mod mongodb;
pub mod postgres;
pub mod redis;
pub mod sqlite;
pub mod tantivy;

use std::collections::BTreeSet;
use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use wh_eventlog::Stored;
use wh_schemas::Reaction;
use wh_schemas::topics::RISK_SCORES;
use wh_sinks::delivery::{Batch, Store, Written};
use wh_stores::clock;
use wh_stores::places::{BaselinesPlace, DocumentsPlace, LedgerPlace, LogPlace, MetricsPlace, SearchPlace};

use crate::report::RawRate;

pub use corpus::Corpus;
pub use meter::{Meter, ServerCpu, Took, no_server};

/// How long removing a place may take.
const REMOVAL: Duration = Duration::from_secs(60);

/// Why a store was not measured.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Unmeasured {
    /// It was told to stop.
    #[error("stopped before its end")]
    Stopped,
    /// What failed, on what.
    #[error("{0}")]
    Failed(String),
}

impl Unmeasured {
    pub(super) fn new(what: &str, error: impl Display) -> Unmeasured {
        Unmeasured::Failed(format!("{what}: {error}"))
    }
}

impl From<Reaction> for Unmeasured {
    fn from(reaction: Reaction) -> Unmeasured {
        Unmeasured::Failed(reaction.to_string())
    }
}

/// A role's store, as the settings of the pipeline name it. Nothing in it is touched but places of our own.
#[derive(Clone, Copy, Debug)]
pub enum Target<'p> {
    /// The topics.
    Log(&'p LogPlace),
    /// Transactions and alerts.
    Ledger(&'p LedgerPlace),
    /// Metadata and explanations.
    Documents(&'p DocumentsPlace),
    /// Aggregates over time.
    Metrics(&'p MetricsPlace),
    /// The scorer's checkpoints.
    Baselines(&'p BaselinesPlace),
    /// Alert text.
    Search(&'p SearchPlace),
}

/// What a measurement is given.
pub struct Run<'r> {
    /// What is written.
    pub corpus: &'r Corpus,
    /// A folder on the disk of the embedded stores, in which theirs are made.
    pub folder: &'r Path,
    /// CPU seconds that the store's own processes have used so far; `None` where they are not known.
    pub cpu: ServerCpu,
    /// Ends it early.
    pub stop: &'r CancellationToken,
}

/// Measures one store. What the pipeline brought it to is left empty.
///
/// # Errors
/// Where the store fails, or our own place could not be removed, with its name; [`Unmeasured::Stopped`] where it was told to stop.
pub async fn measure(target: Target<'_>, run: &Run<'_>) -> Result<RawRate, Unmeasured> {
    match target {
        Target::Log(LogPlace::Kafka(settings)) => kafka::measure(settings, run).await,
        Target::Log(LogPlace::Sqlite(_)) => sqlite::measure(sqlite::Kind::Log, run).await,
        Target::Ledger(LedgerPlace::Postgres(settings)) => postgres::measure(settings, run).await,
        Target::Ledger(LedgerPlace::Sqlite(_)) => sqlite::measure(sqlite::Kind::Ledger, run).await,
        Target::Documents(DocumentsPlace::Mongodb(settings)) => mongodb::measure(settings, run).await,
        Target::Documents(DocumentsPlace::Sqlite(_)) => sqlite::measure(sqlite::Kind::Documents, run).await,
        Target::Metrics(MetricsPlace::Influxdb(settings)) => influxdb::measure(settings, run).await,
        Target::Metrics(MetricsPlace::Sqlite(_)) => sqlite::measure(sqlite::Kind::Metrics, run).await,
        Target::Baselines(BaselinesPlace::Redis(settings)) => redis::measure(settings, run).await,
        Target::Baselines(BaselinesPlace::Sqlite(_)) => sqlite::measure(sqlite::Kind::Baselines, run).await,
        Target::Search(SearchPlace::Elasticsearch(settings)) => elasticsearch::measure(settings, run).await,
        Target::Search(SearchPlace::Tantivy(_)) => tantivy::measure(run).await,
    }
}

/// A name for a database, bucket or namespace that nobody else has.
#[must_use]
pub fn own_name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{}_{}", crate::places::own_name(clock::now().0, std::process::id()), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Does some work, until it is told to stop, and removes its place then in any case.
async fn and_remove<T>(stop: &CancellationToken, work: impl Future<Output = Result<T, Unmeasured>>, remove: impl Future<Output = Result<(), Unmeasured>>) -> Result<T, Unmeasured> {
    let outcome = tokio::select! {
        outcome = work => outcome,
        () = stop.cancelled() => Err(Unmeasured::Stopped),
    };
    let late = |_| Err(Unmeasured::Failed(format!("no answer within {} s", REMOVAL.as_secs())));
    match (outcome, tokio::time::timeout(REMOVAL, remove).await.unwrap_or_else(late)) {
        (outcome, Ok(())) => outcome,
        (Ok(_), Err(left)) => Err(Unmeasured::Failed(format!("what was written is left behind, remove it by hand: {left}"))),
        (Err(failed), Err(left)) => Err(Unmeasured::Failed(format!("{failed}; what was written is left behind, remove it by hand: {left}"))),
    }
}

/// A folder of our own among the embedded stores.
fn own_folder(run: &Run<'_>) -> Result<TempDir, Unmeasured> {
    let told = |error: std::io::Error| Unmeasured::new(&format!("a folder in {}", run.folder.display()), error);
    std::fs::create_dir_all(run.folder).map_err(told)?;
    // By a name like any other, so that it is found where this process is killed.
    tempfile::Builder::new().prefix(&own_name()).rand_bytes(0).tempdir_in(run.folder).map_err(told)
}

/// Removes such a folder, and says where it could not.
fn remove_folder(folder: TempDir) -> Result<(), Unmeasured> {
    let place = folder.path().display().to_string();
    folder.close().map_err(|error| Unmeasured::new(&place, error))
}

/// Lets a sink write batches.
async fn fill(store: &mut dyn Store, batches: &[Arc<Vec<Stored>>], stop: &CancellationToken) -> Result<(), Unmeasured> {
    let topic: Arc<str> = Arc::from(RISK_SCORES);
    for records in batches {
        if stop.is_cancelled() {
            return Err(Unmeasured::Stopped);
        }
        let batch = Batch { topic: Arc::clone(&topic), partition: 0, records: Arc::clone(records), buried: BTreeSet::new() };
        match store.write(batch).await? {
            Written::Done { .. } => {}
            Written::Refused { class, message, .. } => return Err(Unmeasured::Failed(format!("the {} sink refused a row ({class}): {message}", store.role()))),
        }
    }
    store.publish().await?;
    Ok(())
}

/// Refuses a measurement of which not all stands in the store.
fn counted(found: usize, wanted: usize) -> Result<(), Unmeasured> {
    if found == wanted { Ok(()) } else { Err(Unmeasured::Failed(format!("the store holds {found} rows of {wanted} that it took"))) }
}
