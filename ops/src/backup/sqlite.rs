//! A SQLite store as it stood at one moment, by SQLite's online backup.
//!
//! What must stay true: the copy is of the transaction that was open when the snapshot was taken, however long it takes and whatever is
//! written meanwhile; it is one file that needs no other beside it, and SQLite found it sound. While a snapshot is held, the store's
//! write-ahead log grows by what is written.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};
use wh_schemas::Reaction;
use wh_schemas::layout::Layout;
use wh_stores::sqlite::{open_reader, reaction};

use super::files;

/// Pages of one step: 4 MiB of the usual size.
const PAGES: i32 = 1_024;
/// How often a step that meets a lock is tried again, and how long after.
const TRIES: u32 = 200;
const AGAIN: Duration = Duration::from_millis(50);

/// A store's file, held as it is until it is copied.
pub(super) struct Snapshot {
    role: &'static str,
    path: PathBuf,
    connection: Connection,
}

impl Snapshot {
    /// Takes it. Nobody who writes waits for that.
    pub(super) fn take(path: &Path, layout: &Layout) -> Result<Snapshot, Reaction> {
        let connection = open_reader(path, layout)?;
        let told = |error: rusqlite::Error| reaction(layout.role, path, &error);
        connection.execute_batch("BEGIN").map_err(told)?;
        // A transaction sees the file as of its first read. A backup that finds one open goes by it and never begins anew.
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0)).map_err(told)?;
        Ok(Snapshot { role: layout.role, path: path.to_owned(), connection })
    }

    /// Copies it into a new file, and lets it go. `progress` is told bytes done and the whole.
    pub(super) fn copy(self, to: &Path, progress: &mut dyn FnMut(u64, u64)) -> Result<(), Reaction> {
        let here = |error: rusqlite::Error| reaction(self.role, &self.path, &error);
        let there = |error: rusqlite::Error| reaction(self.role, to, &error);
        let page: u64 = self.connection.query_row("PRAGMA page_size", [], |row| row.get(0)).map_err(here)?;
        let mut copy = Connection::open(to).map_err(there)?;
        // Once at the end is enough: a copy that is broken off is none.
        copy.execute_batch("PRAGMA synchronous = OFF").map_err(there)?;
        {
            let backup = Backup::new(&self.connection, &mut copy).map_err(there)?;
            let mut tries = 0;
            loop {
                let step = backup.step(PAGES).map_err(there)?;
                let at = backup.progress();
                let pages = |count: i32| u64::try_from(count).unwrap_or(0) * page;
                progress(pages(at.pagecount - at.remaining), pages(at.pagecount));
                match step {
                    StepResult::Done => break,
                    StepResult::More => tries = 0,
                    _ if tries < TRIES => {
                        tries += 1;
                        std::thread::sleep(AGAIN);
                    }
                    _ => return Err(Reaction::transient(format!("{} ({}) is locked: run the backup again", self.role, self.path.display()))),
                }
            }
        }
        // The copy is one of a file with a write-ahead log beside it: from now on it is a file by itself.
        copy.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0)).map_err(there)?;
        copy.query_row("PRAGMA journal_mode = DELETE", [], |row| row.get::<_, String>(0)).map_err(there)?;
        let found: String = copy.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(there)?;
        if found != "ok" {
            return Err(Reaction::fatal(format!(
                "{}: {} is damaged ({found}), and so is what was copied of it: restore it from an earlier backup",
                self.role,
                self.path.display()
            )));
        }
        copy.close().map_err(|(_, error)| there(error))?;
        File::open(to).and_then(|file| file.sync_all()).map_err(|error| files::failed("cannot write", to, &error))
    }
}

/// Rows of each table of a store's file.
pub(super) fn rows(path: &Path, layout: &Layout) -> Result<BTreeMap<String, u64>, Reaction> {
    let connection = open_reader(path, layout)?;
    let told = |error: rusqlite::Error| reaction(layout.role, path, &error);
    let mut statement = connection.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY name").map_err(told)?;
    let tables: Vec<String> = statement.query_map([], |row| row.get(0)).and_then(Iterator::collect).map_err(told)?;
    let mut rows = BTreeMap::new();
    for table in tables {
        let count: u64 = connection.query_row(&format!("SELECT count(*) FROM \"{table}\""), [], |row| row.get(0)).map_err(told)?;
        rows.insert(table, count);
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use wh_schemas::layout::DOCUMENTS;
    use wh_stores::sqlite::{Settings, open_writer};

    const INSERT: &str = "WITH RECURSIVE n (i) AS (SELECT ?1 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?2) \
         INSERT INTO documents (pos, transaction_id, user_id, timestamp, processed_at, metadata, explanation) SELECT i, i, 'u', 0, 0, randomblob(2000), x'' FROM n";

    #[test]
    fn a_copy_is_of_the_moment_when_the_snapshot_was_taken() {
        let folder = tempfile::tempdir().unwrap();
        let (path, to) = (folder.path().join("documents.db"), folder.path().join("copy.db"));
        let writer = open_writer(&path, &DOCUMENTS, Settings::default()).unwrap();
        writer.execute(INSERT, [0, 5_000]).unwrap();
        let held = Snapshot::take(&path, &DOCUMENTS).unwrap();
        let mut written = 5_000;
        let mut last = (0, 0);
        held.copy(&to, &mut |done, whole| {
            // Somebody writes between any two steps.
            writer.execute(INSERT, [written, written + 100]).unwrap();
            written += 100;
            last = (done, whole);
        })
        .unwrap();
        assert!(last.0 == last.1 && last.1 > 8_000_000 && written > 5_200, "{last:?}, {written}");
        assert_eq!(rows(&to, &DOCUMENTS).unwrap()["documents"], 5_000);
        assert_eq!(rows(&path, &DOCUMENTS).unwrap()["documents"], u64::try_from(written).unwrap());
        let mut beside: Vec<String> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
        beside.retain(|name| name.starts_with("copy"));
        assert_eq!(beside, ["copy.db"], "a file by itself");
    }
}
