//! SQLite: prepared inserts of what our sink wrote into the tables that hold it, in a file of the same layout, cache and fsync, one transaction
//! a batch; without positions and, of the ledger, without profiles.

use std::path::{Path, PathBuf};

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};
use tokio_util::sync::CancellationToken;
use wh_eventlog::embedded::{self, EmbeddedLog};
use wh_eventlog::{Log, Producer, Record, Stored};
use wh_schemas::layout::{BASELINES, DOCUMENTS, LEDGER, LOG, Layout, METRICS};
use wh_schemas::topics::{ALL, RISK_SCORES};
use wh_scorer::dedup::DEFAULT_HORIZON;
use wh_scorer::state::sqlite::SqliteCheckpoints;
use wh_scorer::state::{CheckpointStore, Committed, Delta};
use wh_sinks::sqlite::{DocumentsStore, LedgerStore, MetricsStore};
use wh_stores::sqlite::{Settings, open_reader, open_writer};

use super::meter::{Meter, Took, no_server};
use super::{Corpus, Run, Unmeasured, counted, fill, own_folder, remove_folder};
use crate::report::RawRate;

/// How it is called in reports.
pub const WAY: &str = "prepared inserts, a transaction a batch";

/// Which embedded store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The topics: a row is a batch of records, which is compressed already.
    Log,
    /// Transactions and alerts.
    Ledger,
    /// Metadata and explanations.
    Documents,
    /// Aggregates over time.
    Metrics,
    /// States of users.
    Baselines,
}

impl Kind {
    fn layout(self) -> &'static Layout {
        match self {
            Kind::Log => &LOG,
            Kind::Ledger => &LEDGER,
            Kind::Documents => &DOCUMENTS,
            Kind::Metrics => &METRICS,
            Kind::Baselines => &BASELINES,
        }
    }

    /// The tables whose rows count.
    fn tables(self) -> &'static [&'static str] {
        match self {
            Kind::Log => &["batches"],
            Kind::Ledger => &["transactions", "risk_alerts"],
            Kind::Documents => &["documents"],
            Kind::Metrics => &["throughput"],
            Kind::Baselines => &["users"],
        }
    }

    /// As the store's own connection has it.
    fn settings(self) -> Settings {
        let cache_kib = match self {
            Kind::Ledger => 64 * 1024,
            Kind::Log | Kind::Metrics => 16 * 1024,
            Kind::Baselines => 8 * 1024,
            Kind::Documents => return Settings::default(),
        };
        Settings { cache_kib, ..Settings::default() }
    }

    /// Lets our own sink write a corpus; gives the file.
    async fn fill(self, folder: &Path, run: &Run<'_>) -> Result<PathBuf, Unmeasured> {
        let file = folder.join("filled.db");
        let scored = &run.corpus.scored;
        match self {
            Kind::Log => return log(folder, run.corpus).await,
            Kind::Ledger => fill(&mut LedgerStore::open(&file, chrono_tz::Tz::UTC)?, scored, run.stop).await?,
            Kind::Documents => fill(&mut DocumentsStore::open(&file)?, scored, run.stop).await?,
            Kind::Metrics => fill(&mut MetricsStore::open(&file)?, scored, run.stop).await?,
            Kind::Baselines => checkpoints(&file, run.corpus).await?,
        }
        Ok(file)
    }
}

async fn log(folder: &Path, corpus: &Corpus) -> Result<PathBuf, Unmeasured> {
    let log = EmbeddedLog::open(folder, embedded::Settings::default())?;
    log.ensure_topics(&ALL, 1).await?;
    let record = |stored: &Stored| Record { key: stored.key.clone(), value: stored.value.clone(), headers: stored.headers.clone() };
    for batch in &corpus.scored {
        log.produce(RISK_SCORES, 0, batch.iter().map(record).collect()).await?;
    }
    Ok(embedded::file_of(folder))
}

async fn checkpoints(file: &Path, corpus: &Corpus) -> Result<(), Unmeasured> {
    let mut store = SqliteCheckpoints::open(file)?;
    let (owner_epoch, _) = store.take_over(0).await?;
    for at in &corpus.checkpoints {
        let delta = Delta {
            partition: 0,
            owner_epoch,
            position: at.position.clone(),
            record: at.record.clone(),
            users: at.users.clone(),
            forgotten: Vec::new(),
            ids: at.ids.clone(),
            horizon: DEFAULT_HORIZON,
        };
        if let Committed::Lost(why) = store.commit(delta).await? {
            return Err(Unmeasured::Failed(format!("the baselines lost a checkpoint: {why}")));
        }
    }
    Ok(())
}

/// A table's rows.
struct Table {
    /// The statement that inserts one.
    insert: String,
    name: &'static str,
    rows: Vec<Vec<Value>>,
}

impl Table {
    fn read(connection: &Connection, name: &'static str) -> Result<Table, rusqlite::Error> {
        // Generated columns are none of these.
        let columns: Vec<String> = connection.prepare("SELECT name FROM pragma_table_info(?1)")?.query_map([name], |row| row.get(0))?.collect::<Result<_, _>>()?;
        let marks = vec!["?"; columns.len()].join(", ");
        let names = columns.join(", ");
        let mut statement = connection.prepare(&format!("SELECT {names} FROM {name}"))?;
        let rows = statement.query_map([], |row| (0..columns.len()).map(|column| row.get(column)).collect::<Result<Vec<Value>, _>>())?.collect::<Result<_, _>>()?;
        Ok(Table { insert: format!("INSERT INTO {name} ({names}) VALUES ({marks})"), name, rows })
    }

    fn bytes(&self) -> usize {
        let size = |value: &Value| match value {
            Value::Null => 0,
            Value::Integer(_) | Value::Real(_) => 8,
            Value::Text(text) => text.len(),
            Value::Blob(blob) => blob.len(),
        };
        self.rows.iter().flatten().map(size).sum()
    }

    /// The rows of one batch of so many.
    fn part(&self, batch: usize, batches: usize) -> &[Vec<Value>] {
        let at = |batch: usize| self.rows.len() * batch / batches.max(1);
        self.rows.get(at(batch)..at(batch + 1)).unwrap_or_default()
    }
}

/// Inserts it all in so many transactions.
fn insert(connection: &mut Connection, tables: &[Table], batches: usize, stop: &CancellationToken) -> Result<bool, rusqlite::Error> {
    for batch in 0..batches {
        if stop.is_cancelled() {
            return Ok(false);
        }
        let transaction = connection.transaction()?;
        for table in tables {
            let mut statement = transaction.prepare_cached(&table.insert)?;
            for row in table.part(batch, batches) {
                statement.execute(params_from_iter(row))?;
            }
        }
        transaction.commit()?;
    }
    Ok(true)
}

/// Reads one file and writes another; on a thread that may block.
fn copy(kind: Kind, from: &Path, to: &Path, rows: usize, batches: usize, stop: &CancellationToken) -> Result<Took, Unmeasured> {
    let layout = kind.layout();
    let failed = |error: rusqlite::Error| Unmeasured::new(layout.role, error);
    let reader = open_reader(from, layout)?;
    let tables = kind.tables().iter().copied().map(|name| Table::read(&reader, name)).collect::<Result<Vec<Table>, _>>().map_err(failed)?;
    drop(reader);
    let bytes = tables.iter().map(Table::bytes).sum();
    let mut connection = open_writer(to, layout, kind.settings())?;
    let meter = Meter::start(&no_server());
    if !insert(&mut connection, &tables, batches, stop).map_err(failed)? {
        return Err(Unmeasured::Stopped);
    }
    let took = meter.stop(rows, bytes);
    for table in &tables {
        let found: usize = connection.query_row(&format!("SELECT count(*) FROM {}", table.name), [], |row| row.get(0)).map_err(failed)?;
        counted(found, table.rows.len())?;
    }
    Ok(took)
}

/// Measures it.
pub(super) async fn measure(kind: Kind, run: &Run<'_>) -> Result<RawRate, Unmeasured> {
    let folder = own_folder(run)?;
    let outcome = within(kind, folder.path(), run).await;
    let removed = remove_folder(folder);
    let rate = outcome?;
    removed.map(|()| rate)
}

/// It ends by itself where it is told to stop: what blocks cannot be left alone.
async fn within(kind: Kind, folder: &Path, run: &Run<'_>) -> Result<RawRate, Unmeasured> {
    let from = kind.fill(folder, run).await?;
    let (to, rows, stop) = (folder.join("plain.db"), run.corpus.rows, run.stop.clone());
    // The baselines are written by checkpoints, all else by what one fetch brings.
    let batches = if kind == Kind::Baselines { run.corpus.checkpoints.len() } else { run.corpus.scored.len() };
    let task = tokio::task::spawn_blocking(move || copy(kind, &from, &to, rows, batches, &stop));
    let took = task.await.map_err(|error| Unmeasured::new(kind.layout().role, error))??;
    Ok(took.raw_rate(kind.layout().role, WAY))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_hold_every_row_once_and_in_order() {
        let rows: Vec<Vec<Value>> = (0..10).map(|number| vec![Value::Integer(number)]).collect();
        let table = Table { insert: String::new(), name: "t", rows: rows.clone() };
        for batches in [1, 3, 10, 25] {
            let parts: Vec<Vec<Value>> = (0..batches).flat_map(|batch| table.part(batch, batches).to_vec()).collect();
            assert_eq!(parts, rows, "{batches}");
        }
    }

    #[tokio::test]
    async fn each_embedded_store_is_measured_and_leaves_nothing() {
        let (folder, corpus, stop) = (tempfile::tempdir().unwrap(), Corpus::new(300).unwrap(), CancellationToken::new());
        let run = Run { corpus: &corpus, folder: folder.path(), cpu: no_server(), stop: &stop };
        for kind in [Kind::Log, Kind::Ledger, Kind::Documents, Kind::Metrics, Kind::Baselines] {
            let rate = measure(kind, &run).await.unwrap();
            assert!(rate.rows_per_s > 0.0 && rate.bytes_per_row > 0.0, "{rate:?}");
        }
        stop.cancel();
        assert!(matches!(measure(Kind::Ledger, &run).await, Err(Unmeasured::Stopped)));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
