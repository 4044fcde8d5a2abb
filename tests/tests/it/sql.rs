//! SQL over the stores of a folder, its answers as text that tells NULL from the empty string and money from a float.

mod generated;

use std::path::Path;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Decimal128Type, TimeUnit, TimestampMicrosecondType};
use arrow::util::display::array_value_to_string;
use futures::TryStreamExt;
use wh_query::{Engine, EngineSettings, Places, Principal, Session, Way};
use wh_stores::places::{BaselinesPlace, DocumentsPlace, LedgerPlace, LogPlace, MetricsPlace, SearchPlace};

/// How NULL shows.
pub(crate) const NULL: &str = "∅";

/// An engine over the stores of `folder`, which lie as `wardhouse up` lays them out.
pub(crate) fn engine(folder: &Path) -> Engine {
    engine_with(folder, |_| {})
}

/// The same, with some of the stores elsewhere.
pub(crate) fn engine_with(folder: &Path, change: impl FnOnce(&mut Places)) -> Engine {
    let mut places = Places {
        log: LogPlace::Sqlite(folder.join("log")),
        ledger: LedgerPlace::Sqlite(folder.join("ledger.db")),
        documents: DocumentsPlace::Sqlite(folder.join("documents.db")),
        metrics: MetricsPlace::Sqlite(folder.join("metrics.db")),
        baselines: BaselinesPlace::Sqlite(folder.join("baselines.db")),
        search: SearchPlace::Tantivy(folder.join("search")),
    };
    change(&mut places);
    Engine::open(places, settings()).unwrap()
}

/// How these tests' engines compute.
pub(crate) fn settings() -> EngineSettings {
    EngineSettings { zone: "UTC".to_owned(), memory_limit_bytes: 256 << 20, target_partitions: 2, statement_timeout: None }
}

/// A connection to it. What runs on it ends with it.
pub(crate) fn session(engine: &Engine) -> Session {
    engine.session(Principal::local(Way::Cli))
}

/// The rows of a query: times in microseconds, decimals in units of their last place (cents).
pub(crate) async fn rows(engine: &Engine, sql: &str) -> Vec<Vec<String>> {
    rows_of(&session(engine), sql).await
}

/// The same over a connection with settings of its own.
pub(crate) async fn rows_of(session: &Session, sql: &str) -> Vec<Vec<String>> {
    let result = session.query(sql).await.unwrap_or_else(|error| panic!("{sql}\n{error}"));
    let batches: Vec<RecordBatch> = result.stream.try_collect().await.unwrap_or_else(|error| panic!("{sql}\n{error}"));
    let mut rows = Vec::new();
    for batch in &batches {
        for row in 0..batch.num_rows() {
            rows.push(batch.columns().iter().map(|column| cell(column, row)).collect());
        }
    }
    rows
}

fn cell(column: &ArrayRef, row: usize) -> String {
    if column.is_null(row) {
        return NULL.to_owned();
    }
    match column.data_type() {
        DataType::Timestamp(TimeUnit::Microsecond, _) => column.as_primitive::<TimestampMicrosecondType>().value(row).to_string(),
        DataType::Decimal128(_, _) => column.as_primitive::<Decimal128Type>().value(row).to_string(),
        _ => array_value_to_string(column, row).unwrap(),
    }
}
