//! Errors as gRPC knows them.
//!
//! What must stay true: the message carries the SQLSTATE, so that a client which shows only messages shows it too, and the
//! same stands in the metadata, with the position; a message fits the headers that clients accept.

use arrow_flight::error::FlightError;
use tonic::metadata::MetadataValue;
use tonic::{Code, Status};
use wh_query::QueryError;

/// SQLSTATE of the error, in the metadata of a status.
pub(crate) const SQLSTATE: &str = "x-wardhouse-sqlstate";
/// Where in the statement the fault is, in characters from 1.
pub(crate) const POSITION: &str = "x-wardhouse-position";
/// Characters of a message: clients take 8 KiB of headers, in which a character may need nine bytes.
const MOST_CHARACTERS: usize = 700;

/// The code of an error by its SQLSTATE (PostgreSQL, appendix A).
fn code(error: &QueryError) -> Code {
    let sqlstate = error.sqlstate();
    match (error, sqlstate) {
        (QueryError::Timeout, _) => Code::DeadlineExceeded,
        (_, "57014") => Code::Cancelled,
        (_, "42501") => Code::PermissionDenied,
        (_, "42P01" | "42703" | "42883" | "3F000" | "34000" | "26000") => Code::NotFound,
        _ => match sqlstate.get(..2).unwrap_or_default() {
            "0A" => Code::Unimplemented,
            "25" => Code::FailedPrecondition,
            "28" => Code::Unauthenticated,
            "53" | "54" => Code::ResourceExhausted,
            "08" | "57" | "58" => Code::Unavailable,
            "XX" => Code::Internal,
            // 22 a value, 42 the statement, and their kind.
            _ => Code::InvalidArgument,
        },
    }
}

/// The status for an error of the statement `sql`.
pub(crate) fn status(error: &QueryError, sql: &str) -> Status {
    let code = code(error);
    if code == Code::Internal {
        tracing::error!("a query over Flight SQL met a fault of the server: {error}");
    }
    let mut status = Status::new(code, short(&format!("{error} (SQLSTATE {})", error.sqlstate())));
    let metadata = status.metadata_mut();
    metadata.insert(SQLSTATE, MetadataValue::from_static(error.sqlstate()));
    if let Some(position) = error.position(sql) {
        metadata.insert(POSITION, MetadataValue::from(position));
    }
    status
}

/// The text, cut where it is longer than a header may be; the SQLSTATE at its end stays.
fn short(text: &str) -> String {
    let length = text.chars().count();
    if length <= MOST_CHARACTERS {
        return text.to_owned();
    }
    let half = MOST_CHARACTERS / 2;
    let begin: String = text.chars().take(half).collect();
    let end: String = text.chars().skip(length - half).collect();
    format!("{begin} … {end}")
}

/// A message that cannot be read.
pub(crate) fn unreadable(what: &str, error: impl std::fmt::Display) -> Status {
    Status::invalid_argument(short(&format!("{what} cannot be read: {error}")))
}

/// A mistake of Wardhouse's own.
pub(crate) fn internal(error: impl std::fmt::Display) -> Status {
    tracing::error!("Flight SQL met a fault of the server: {error}");
    Status::internal(short(&format!("internal error: {error} (SQLSTATE XX000)")))
}

/// What goes wrong while batches are written or read.
pub(crate) fn of_flight(error: FlightError) -> Status {
    match error {
        FlightError::Tonic(status) => *status,
        FlightError::DecodeError(_) | FlightError::ProtocolError(_) => unreadable("the stream", error),
        other => internal(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_carries_its_sqlstate_however_long_it_is() {
        let error = QueryError::Syntax { message: "ü".repeat(5_000), line: Some(1), column: Some(1), hint: None };
        let status = status(&error, "SELEC");
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(status.message().chars().count() < 710 && status.message().ends_with(&format!("(SQLSTATE {})", error.sqlstate())), "{}", status.message());
        assert_eq!(status.metadata().get(SQLSTATE).unwrap().to_str().unwrap(), error.sqlstate());
    }

    #[test]
    fn a_store_that_is_down_is_unavailable() {
        let error = QueryError::Store { role: "ledger", message: "no".into(), remedy: "wait".into() };
        assert_eq!(code(&error), Code::Unavailable, "{}", error.sqlstate());
    }
}
