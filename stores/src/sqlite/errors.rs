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
