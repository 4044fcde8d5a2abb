//! Where each role is kept and whether it answers.

use std::path::Path;

use super::Own;
use crate::errors::QueryError;
use crate::places::Stores;
use crate::sqlite::connect::{Store, version};

/// The rows of `system.stores`, in the order of the design.
pub(super) fn rows(stores: &Stores) -> Vec<Vec<Own>> {
    let sqlite = [&stores.log, &stores.ledger, &stores.documents, &stores.metrics, &stores.baselines];
    let mut rows: Vec<Vec<Own>> = sqlite.into_iter().map(|store| row(store.role(), "sqlite", &store.path, layout(store), size_of_file(&store.path))).collect();
    let index = stores.search.payload().map(|_| Some(wh_schemas::layout::SEARCH_VERSION));
    rows.push(row("search", "tantivy", &stores.search.path, index, size_of_folder(&stores.search.path)));
    rows
}

fn layout(store: &Store) -> Result<Option<i64>, QueryError> {
    let connection = store.connect()?;
    version(&connection).map_err(|error| store.failed(&error))
}

fn row(role: &str, kind: &str, place: &Path, layout: Result<Option<i64>, QueryError>, bytes: Option<u64>) -> Vec<Own> {
    let reachable = i64::from(layout.is_ok());
    let version = layout.ok().flatten().map_or(Own::Null, Own::Int);
    let bytes = bytes.and_then(|bytes| i64::try_from(bytes).ok()).map_or(Own::Null, Own::Int);
    vec![Own::Text(role.to_owned()), Own::Text(kind.to_owned()), Own::Text(place.display().to_string()), Own::Int(reachable), version, bytes]
}

/// A SQLite file with its write-ahead log.
fn size_of_file(path: &Path) -> Option<u64> {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    let file = std::fs::metadata(path).ok()?.len();
    Some(file + std::fs::metadata(log).map_or(0, |metadata| metadata.len()))
}

/// The files of an index; it has no folders in it.
fn size_of_folder(path: &Path) -> Option<u64> {
    let entries = std::fs::read_dir(path).ok()?;
    Some(entries.flatten().filter_map(|entry| entry.metadata().ok()).filter(std::fs::Metadata::is_file).map(|metadata| metadata.len()).sum())
}
