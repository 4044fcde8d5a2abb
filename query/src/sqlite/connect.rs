//! Connections that can only read.
//!
//! A new one has to read the file's layout and every page that it meets; one that was used before knows them.
//!
//! What must stay true: the file is opened read-only and kept so; outside of a scan a connection has no snapshot, so that none keeps the
//! write-ahead log from shrinking; one of a file that is there no more is not used again, nor one that may be interrupted.

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, InterruptHandle, OpenFlags, OptionalExtension};
use wh_schemas::layout::Layout;

use crate::errors::QueryError;

/// How long a reader waits for a lock.
const BUSY: Duration = Duration::from_secs(5);
/// How long a connection that nobody uses is kept, and how many of a file.
const IDLE: Duration = Duration::from_secs(60);
const MOST_IDLE: usize = 2;

/// A SQLite file of one role.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    /// What it holds.
    pub(crate) layout: Layout,
    /// Where it is.
    pub(crate) path: PathBuf,
    idle: Arc<Mutex<Vec<(Reader, Instant)>>>,
}

/// A connection for one scan, of a file that is known by its number.
#[derive(Debug)]
pub(crate) struct Reader {
    connection: Connection,
    file: Option<(u64, u64)>,
}

impl Deref for Reader {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

/// What ends a statement early, for as long as it may.
#[derive(Clone)]
pub(crate) struct Interrupt(Arc<Mutex<Option<InterruptHandle>>>);

impl Interrupt {
    pub(crate) fn of(connection: &Connection) -> Interrupt {
        Interrupt(Arc::new(Mutex::new(Some(connection.get_interrupt_handle()))))
    }

    /// Ends what the connection does.
    pub(crate) fn interrupt(&self) {
        if let Some(handle) = self.0.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            handle.interrupt();
        }
    }

    /// From here on, the connection is somebody else's.
    pub(crate) fn disarm(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// By what a file is known, whatever it is called; nothing where the system does not tell.
#[cfg(unix)]
fn file_of(path: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn file_of(_path: &Path) -> Option<(u64, u64)> {
    None
}

impl Store {
    /// No I/O.
    pub(crate) fn new(layout: Layout, path: PathBuf) -> Store {
        Store { layout, path, idle: Arc::default() }
    }

    /// The role's name in SQL.
    pub(crate) fn role(&self) -> &'static str {
        self.layout.role
    }

    /// The file, open for reading. Blocks.
    pub(crate) fn connect(&self) -> Result<Reader, QueryError> {
        if !self.path.exists() {
            return Err(QueryError::Store {
                role: self.role(),
                message: format!("there is no {} yet", self.path.display()),
                remedy: "start `wardhouse up` on this data folder, or name another by --data".to_owned(),
            });
        }
        let file = file_of(&self.path);
        while let Some((reader, since)) = self.kept() {
            if file.is_some()
                && reader.file == file
                && since.elapsed() < IDLE
                && let Ok(version) = version(&reader)
            {
                return self.checked(reader, version);
            }
        }
        let open = || -> rusqlite::Result<(Connection, Option<i64>)> {
            let connection = Connection::open_with_flags(&self.path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
            connection.busy_timeout(BUSY)?;
            // Pages that are mapped would count as this process's memory as often as there are connections.
            connection.execute_batch("PRAGMA query_only = 1; PRAGMA mmap_size = 0; PRAGMA cache_size = -8192;")?;
            let version = version(&connection)?;
            Ok((connection, version))
        };
        let (connection, version) = open().map_err(|error| self.failed(&error))?;
        // Where it was exchanged meanwhile, it is not known which it is.
        let file = file.filter(|file| file_of(&self.path).as_ref() == Some(file));
        self.checked(Reader { connection, file }, version)
    }

    fn checked(&self, reader: Reader, version: Option<i64>) -> Result<Reader, QueryError> {
        match version {
            Some(version) if version > self.layout.version => Err(QueryError::Store {
                role: self.role(),
                message: format!("{} was written by a newer Wardhouse (layout {version}, this one reads {})", self.path.display(), self.layout.version),
                remedy: "use that version".to_owned(),
            }),
            _ => Ok(reader),
        }
    }

    /// Keeps a connection whose statements have ended, and which nobody can interrupt any more.
    pub(crate) fn keep(&self, reader: Reader) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|(_, since)| since.elapsed() < IDLE);
        if reader.file.is_some() && idle.len() < MOST_IDLE {
            idle.push((reader, Instant::now()));
        }
    }

    fn kept(&self) -> Option<(Reader, Instant)> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    /// What a failure of SQLite says.
    pub(crate) fn failed(&self, error: &rusqlite::Error) -> QueryError {
        let remedy = match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => "it is busy: ask again",
            Some(ErrorCode::OperationInterrupted) => "the query was ended before it was done",
            Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied | ErrorCode::ReadOnly) => "check that this user may read the file and write in its folder",
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                "the file is damaged: stop `wardhouse up`, move it away and start again: the log fills it anew as far as it reaches back"
            }
            Some(ErrorCode::DiskFull | ErrorCode::SystemIoFailure) => "check the disk and its free space",
            _ => "`wardhouse status` says what to do",
        };
        QueryError::Store { role: self.role(), message: format!("{}: {error}", self.path.display()), remedy: remedy.to_owned() }
    }
}

/// The layout version that the file says of itself.
pub(crate) fn version(connection: &Connection) -> rusqlite::Result<Option<i64>> {
    connection.prepare_cached("SELECT version FROM wardhouse_layout")?.query_row([], |row| row.get(0)).optional()
}

#[cfg(test)]
mod tests {
    use wh_schemas::layout::LEDGER;

    use super::*;

    fn made(path: &Path, version: i64) {
        let connection = Connection::open(path).unwrap();
        connection.execute_batch(&format!("CREATE TABLE wardhouse_layout (version INTEGER); INSERT INTO wardhouse_layout VALUES ({version})")).unwrap();
    }

    /// Marks a connection, so that it is known again.
    fn mark(reader: &Reader) {
        reader.execute_batch("PRAGMA query_only = 0; CREATE TEMP TABLE marked (x); PRAGMA query_only = 1").unwrap();
    }

    fn is_marked(reader: &Reader) -> bool {
        reader.prepare("SELECT * FROM marked").is_ok()
    }

    #[test]
    fn a_connection_is_used_again_until_its_file_is_another() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.db");
        let store = Store::new(LEDGER, path.clone());
        assert!(store.connect().is_err());
        made(&path, LEDGER.version);
        let first = store.connect().unwrap();
        mark(&first);
        // Two at the same time are two.
        assert!(!is_marked(&store.connect().unwrap()));
        store.keep(first);
        let again = store.connect().unwrap();
        assert!(is_marked(&again));
        store.keep(again);
        std::fs::rename(&path, folder.path().join("old.db")).unwrap();
        made(&path, LEDGER.version);
        assert!(!is_marked(&store.connect().unwrap()));
    }

    #[test]
    fn a_newer_layout_is_refused_by_a_connection_that_is_used_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.db");
        made(&path, LEDGER.version);
        let store = Store::new(LEDGER, path.clone());
        store.keep(store.connect().unwrap());
        Connection::open(&path).unwrap().execute("UPDATE wardhouse_layout SET version = version + 1", []).unwrap();
        assert!(store.connect().unwrap_err().to_string().contains("newer"));
    }

    #[test]
    fn who_is_disarmed_interrupts_nobody() {
        let connection = Connection::open_in_memory().unwrap();
        let long = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200000) SELECT count(*) FROM n";
        let interrupt = Interrupt::of(&connection);
        interrupt.disarm();
        std::thread::scope(|scope| {
            scope.spawn(|| (0..1_000).for_each(|_| interrupt.interrupt()));
            assert_eq!(connection.query_row(long, [], |row| row.get::<_, i64>(0)).unwrap(), 200_000);
        });
    }
}
