//! One connection that can only read.
//!
//! What must stay true: the file is opened read-only and kept so; a connection lives as long as its scan, so that none keeps
//! the write-ahead log from shrinking.

use std::path::PathBuf;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension};
use wh_schemas::layout::Layout;

use crate::errors::QueryError;

/// How long a reader waits for a lock.
const BUSY: Duration = Duration::from_secs(5);

/// A SQLite file of one role.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    /// What it holds.
    pub(crate) layout: Layout,
    /// Where it is.
    pub(crate) path: PathBuf,
}

impl Store {
    /// The role's name in SQL.
    pub(crate) fn role(&self) -> &'static str {
        self.layout.role
    }

    /// Opens the file for reading. Blocks.
    pub(crate) fn connect(&self) -> Result<Connection, QueryError> {
        if !self.path.exists() {
            return Err(QueryError::Store {
                role: self.role(),
                message: format!("there is no {} yet", self.path.display()),
                remedy: "start `wardhouse up` on this data folder, or name another by --data".to_owned(),
            });
        }
        let open = || -> rusqlite::Result<(Connection, Option<i64>)> {
            let connection = Connection::open_with_flags(&self.path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
            connection.busy_timeout(BUSY)?;
            connection.execute_batch("PRAGMA query_only = 1; PRAGMA mmap_size = 268435456;")?;
            let version = version(&connection)?;
            Ok((connection, version))
        };
        let (connection, version) = open().map_err(|error| self.failed(&error))?;
        match version {
            Some(version) if version > self.layout.version => Err(QueryError::Store {
                role: self.role(),
                message: format!("{} was written by a newer Wardhouse (layout {version}, this one reads {})", self.path.display(), self.layout.version),
                remedy: "use that version".to_owned(),
            }),
            _ => Ok(connection),
        }
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
    connection.query_row("SELECT version FROM wardhouse_layout", [], |row| row.get(0)).optional()
}
