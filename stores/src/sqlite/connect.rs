//! How an embedded SQLite store is reached: created when new, refused when a newer Wardhouse wrote it.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, OptionalExtension};
use wh_schemas::Reaction;
use wh_schemas::layout::{Layout, POSITIONS_DDL};

use super::errors::reaction;
use super::settings::Settings;

/// Opens the store for its one writer; makes file and tables when they are not there.
///
/// # Errors
/// Fatal where the folder cannot be written, the file is damaged, or a newer version wrote it.
pub fn open_writer(path: &Path, layout: &Layout, settings: Settings) -> Result<Connection, Reaction> {
    let role = layout.role;
    if let Some(folder) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder)
            .map_err(|e| Reaction::fatal(format!("{role}: cannot create the folder {}: {e}; choose a data folder that can be written (--data DIR)", folder.display())))?;
    }
    let told = |e: &rusqlite::Error| reaction(role, path, e);
    let mut connection = Connection::open(path).map_err(|e| told(&e))?;
    connection.busy_timeout(std::time::Duration::from_secs(10)).map_err(|e| told(&e))?;
    let synchronous = if settings.sync_each_commit { "FULL" } else { "NORMAL" };
    connection
        .execute_batch(&format!(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = {synchronous}; PRAGMA cache_size = -{}; PRAGMA wal_autocheckpoint = {}; \
             PRAGMA temp_store = MEMORY; PRAGMA journal_size_limit = 67108864;",
            settings.cache_kib, settings.checkpoint_pages
        ))
        .map_err(|e| told(&e))?;
    connection.set_prepared_statement_cache_capacity(64);
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).map_err(|e| told(&e))?;
    let tables: i64 = transaction.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(|e| told(&e))?;
    if tables == 0 {
        transaction.execute_batch(POSITIONS_DDL).map_err(|e| told(&e))?;
        transaction.execute_batch(layout.ddl).map_err(|e| told(&e))?;
        transaction.execute("INSERT INTO wardhouse_layout (store, version) VALUES (?1, ?2)", (role, layout.version)).map_err(|e| told(&e))?;
    } else {
        check_layout(&transaction, path, layout)?;
    }
    transaction.commit().map_err(|e| told(&e))?;
    Ok(connection)
}

/// Opens the store for reading; it must be there.
///
/// # Errors
/// Fatal where it is not there, is damaged, or a newer version wrote it.
pub fn open_reader(path: &Path, layout: &Layout) -> Result<Connection, Reaction> {
    let role = layout.role;
    if !path.exists() {
        return Err(Reaction::fatal(format!("{role}: there is no {}: start `wardhouse up` on this data folder first", path.display())));
    }
    let told = |e: &rusqlite::Error| reaction(role, path, e);
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX).map_err(|e| told(&e))?;
    connection.busy_timeout(std::time::Duration::from_secs(10)).map_err(|e| told(&e))?;
    connection.execute_batch("PRAGMA query_only = 1; PRAGMA cache_size = -4096;").map_err(|e| told(&e))?;
    connection.set_prepared_statement_cache_capacity(32);
    check_layout(&connection, path, layout)?;
    Ok(connection)
}

fn check_layout(connection: &Connection, path: &Path, layout: &Layout) -> Result<(), Reaction> {
    let role = layout.role;
    let found: Option<(String, i64)> =
        connection.query_row("SELECT store, version FROM wardhouse_layout", [], |row| Ok((row.get(0)?, row.get(1)?))).optional().map_err(|e| match e {
            rusqlite::Error::SqliteFailure(f, _) if f.code == rusqlite::ErrorCode::Unknown => {
                Reaction::fatal(format!("{role}: {} is a SQLite file but no Wardhouse store: name another file in stores.{role}", path.display()))
            }
            other => reaction(role, path, &other),
        })?;
    match found {
        Some((store, version)) if store == role && version == layout.version => Ok(()),
        Some((store, _)) if store != role => Err(Reaction::fatal(format!("{role}: {} holds the store {store:?}: two roles must not share one file", path.display()))),
        Some((_, version)) if version > layout.version => Err(Reaction::fatal(format!(
            "{role}: {} was written by a newer Wardhouse (layout {version}, this one knows {}): use that version, nothing was changed",
            path.display(),
            layout.version
        ))),
        _ => Err(Reaction::fatal(format!("{role}: {} has no layout version that this Wardhouse knows: it may be damaged; restore it from a backup", path.display()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wh_schemas::layout::{DOCUMENTS, LEDGER};

    #[test]
    fn a_file_of_a_newer_version_is_refused_and_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.db");
        let connection = open_writer(&path, &LEDGER, Settings::default()).unwrap();
        connection.execute("UPDATE wardhouse_layout SET version = 99", []).unwrap();
        drop(connection);
        let error = open_writer(&path, &LEDGER, Settings::default()).unwrap_err().to_string();
        assert!(error.contains("newer Wardhouse (layout 99"), "{error}");
        assert!(open_reader(&path, &LEDGER).unwrap_err().to_string().contains("newer"));
    }

    #[test]
    fn a_file_of_another_role_or_no_database_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        drop(open_writer(&path, &LEDGER, Settings::default()).unwrap());
        assert!(open_writer(&path, &DOCUMENTS, Settings::default()).unwrap_err().to_string().contains("two roles"));
        let noise = folder.path().join("noise.db");
        std::fs::write(&noise, vec![7_u8; 10_000]).unwrap();
        assert!(open_writer(&noise, &LEDGER, Settings::default()).unwrap_err().to_string().contains("damaged"));
        let foreign = folder.path().join("foreign.db");
        Connection::open(&foreign).unwrap().execute_batch("CREATE TABLE t (a)").unwrap();
        assert!(open_writer(&foreign, &LEDGER, Settings::default()).unwrap_err().to_string().contains("no Wardhouse store"));
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let error = open_writer(&file.join("ledger.db"), &LEDGER, Settings::default()).unwrap_err().to_string();
        assert!(error.contains("cannot create the folder"), "{error}");
    }
}
