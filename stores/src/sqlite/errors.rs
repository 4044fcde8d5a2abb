//! What SQLite's result codes ask for.

use std::path::Path;

use rusqlite::{Error, ErrorCode};
use wh_schemas::Reaction;

/// The reaction to a failure on the store `role` in the file `path`.
#[must_use]
pub fn reaction(role: &str, path: &Path, error: &Error) -> Reaction {
    let place = path.display();
    let Error::SqliteFailure(failure, message) = error else {
        return match error {
            Error::ToSqlConversionFailure(_) | Error::InvalidColumnType(..) | Error::FromSqlConversionFailure(..) | Error::IntegralValueOutOfRange(..) => {
                Reaction::Rejected(format!("{role} ({place}): {error}"))
            }
            _ => Reaction::fatal(format!("{role} ({place}): {error}")),
        };
    };
    let detail = message.clone().unwrap_or_else(|| failure.to_string());
    match failure.code {
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::OperationInterrupted => Reaction::transient(format!("{role} ({place}) is busy: {detail}")),
        ErrorCode::ConstraintViolation | ErrorCode::TooBig | ErrorCode::TypeMismatch => Reaction::Rejected(format!("{role} ({place}): {detail}")),
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase if role == "log" => Reaction::fatal(format!(
            "log: the file {place} is damaged or no Wardhouse log ({detail}): restore it from a backup. Without one, begin with an empty data folder (--data DIR): the stores number their rows by this log and cannot go on with another"
        )),
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => Reaction::fatal(format!(
            "{role}: the file {place} is damaged or no Wardhouse store ({detail}): move it away with its -wal and -shm, restore it from a backup or start again, and the log will fill it anew as far as it reaches back"
        )),
        ErrorCode::DiskFull => Reaction::fatal(format!("{role}: no space left for {place}: make room and start again, nothing acknowledged is lost")),
        ErrorCode::CannotOpen | ErrorCode::PermissionDenied | ErrorCode::ReadOnly => {
            Reaction::fatal(format!("{role}: {place} cannot be opened for writing ({detail}): choose a data folder that can be written (--data DIR)"))
        }
        ErrorCode::SystemIoFailure => Reaction::fatal(format!("{role}: reading or writing {place} failed ({detail}): check the disk and its free space, then start again")),
        _ => Reaction::fatal(format!("{role} ({place}): {detail}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::Connection;
    use std::time::Duration;

    fn open(path: &Path) -> Connection {
        let connection = Connection::open(path).unwrap();
        connection.busy_timeout(Duration::ZERO).unwrap();
        connection
    }

    /// Class and message of what SQLite itself says to a statement.
    fn told(connection: &Connection, statement: &str) -> (&'static str, String) {
        let reaction = reaction("ledger", Path::new("ledger.db"), &connection.execute_batch(statement).unwrap_err());
        (reaction.class(), reaction.to_string())
    }

    #[test]
    fn each_code_that_sqlite_can_be_brought_to_say_has_its_class() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.db");
        let connection = open(&path);
        connection.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (id INTEGER PRIMARY KEY, word TEXT NOT NULL UNIQUE) STRICT; INSERT INTO t VALUES (1, 'a');").unwrap();
        // A row that can never be stored: another one's key, nothing where there must be something, another type.
        for statement in ["INSERT INTO t VALUES (1, 'b')", "INSERT INTO t VALUES (2, 'a')", "INSERT INTO t VALUES (2, NULL)", "INSERT INTO t VALUES ('x', 'b')"] {
            assert_eq!(told(&connection, statement).0, "rejected", "{statement}");
        }
        // Somebody else writes.
        let other = open(&path);
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let busy = told(&connection, "INSERT INTO t VALUES (2, 'b')");
        assert!(busy.0 == "transient" && busy.1.contains("is busy"), "{busy:?}");
        other.execute_batch("ROLLBACK").unwrap();
        // A disk that is full, to SQLite: no page more.
        connection.execute_batch("PRAGMA max_page_count = 8").unwrap();
        let full = told(&connection, "INSERT INTO t SELECT 3, hex(zeroblob(1000000))");
        assert!(full.0 == "fatal" && full.1.contains("no space left"), "{full:?}");
        connection.execute_batch("PRAGMA max_page_count = 1000000; INSERT INTO t VALUES (3, 'after room was made')").unwrap();
        // No right to write, another layout.
        connection.execute_batch("PRAGMA query_only = 1").unwrap();
        let forbidden = told(&connection, "INSERT INTO t VALUES (4, 'd')");
        assert!(forbidden.0 == "fatal" && forbidden.1.contains("cannot be opened for writing"), "{forbidden:?}");
        assert_eq!(told(&connection, "SELECT * FROM none").0, "fatal");
        // Damage.
        let noise = folder.path().join("noise.db");
        std::fs::write(&noise, vec![7_u8; 10_000]).unwrap();
        let damaged = told(&open(&noise), "SELECT * FROM sqlite_schema");
        assert!(damaged.0 == "fatal" && damaged.1.contains("damaged"), "{damaged:?}");
    }
}
