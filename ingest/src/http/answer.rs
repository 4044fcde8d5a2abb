//! What goes back to the client: the rows' results, or why there are none.
//!
//! What must stay true: an answer names no file, host or other secret of the machine; that stands in our own log.

use std::time::Duration;

use axum::Json;
use axum::http::StatusCode;
use axum::http::header::{HeaderValue, RETRY_AFTER};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use wh_eventlog::{Offset, incidents};
use wh_schemas::Reaction;

use super::rows::Verdict;

/// After how long to ask again, where the log has no wish of its own.
const PAUSE: Duration = Duration::from_secs(1);
/// After how long to ask again when intake is behind: it has a backlog to read.
const BEHIND_PAUSE: Duration = Duration::from_secs(5);

#[derive(Serialize)]
struct Answer {
    accepted: usize,
    rejected: usize,
    results: Vec<RowResult>,
}

#[derive(Serialize)]
#[serde(tag = "status", rename_all = "snake_case")]
enum RowResult {
    Accepted { index: usize, transaction_id: String, partition: u32, offset: Offset },
    Rejected { index: usize, faults: Vec<ToldFault> },
}

#[derive(Serialize)]
struct ToldFault {
    field: String,
    code: &'static str,
    message: String,
}

/// The results of rows that are in the log, `first` being the offset of each partition's first.
pub(super) fn of_rows(verdicts: Vec<Verdict>, first: &[Offset]) -> Response {
    let mut accepted = 0;
    let result = |(index, verdict): (usize, Verdict)| match verdict {
        Verdict::Good { transaction_id, partition, place } => {
            accepted += 1;
            let offset = first.get(partition as usize).map_or(place, |first| first + place);
            RowResult::Accepted { index, transaction_id, partition, offset }
        }
        Verdict::Bad(faults) => {
            let told = faults.into_iter().map(|fault| ToldFault { field: fault.field, code: fault.code.as_str(), message: fault.message });
            RowResult::Rejected { index, faults: told.collect() }
        }
    };
    let results: Vec<RowResult> = verdicts.into_iter().enumerate().map(result).collect();
    let rejected = results.len() - accepted;
    let status = match (accepted, rejected) {
        (_, 0) => StatusCode::OK,
        (0, _) => StatusCode::UNPROCESSABLE_ENTITY,
        _ => StatusCode::MULTI_STATUS,
    };
    (status, Json(Answer { accepted, rejected, results })).into_response()
}

/// Why a request has no results.
#[derive(Debug)]
pub(super) struct Failure {
    status: StatusCode,
    message: String,
    retry_after: Option<Duration>,
}

impl Failure {
    fn new(status: StatusCode, message: impl Into<String>) -> Failure {
        Failure { status, message: message.into(), retry_after: None }
    }

    pub(super) fn unreadable(message: &str) -> Failure {
        Failure::new(StatusCode::BAD_REQUEST, message)
    }

    pub(super) fn too_large(message: impl Into<String>) -> Failure {
        Failure::new(StatusCode::PAYLOAD_TOO_LARGE, message)
    }

    pub(super) fn media_type(message: &str) -> Failure {
        Failure::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message)
    }

    /// A body that could not be received, with the status that says why.
    pub(super) fn of_body(status: StatusCode, limit: usize) -> Failure {
        match status {
            StatusCode::PAYLOAD_TOO_LARGE => Failure::too_large(format!("expected at most {limit} bytes")),
            _ => Failure::unreadable("the body broke off"),
        }
    }

    pub(super) fn behind(unread: u64) -> Failure {
        let message = format!("{unread} transactions wait to be read: send again later");
        Failure { retry_after: Some(BEHIND_PAUSE), ..Failure::new(StatusCode::TOO_MANY_REQUESTS, message) }
    }

    pub(super) fn internal() -> Failure {
        Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "the request could not be worked on: see the server's log")
    }

    /// What the log's refusal means for a client.
    pub(super) fn of_log(reaction: &Reaction) -> Failure {
        const AGAIN: &str = "send all again later, rows that were taken are recognised by their transaction_id";
        match reaction {
            // A log that says for how long is full; one that does not is away.
            Reaction::Transient { message, retry_after: Some(retry_after) } => {
                tracing::debug!("HTTP intake was pushed back: {message}");
                Failure { retry_after: Some(*retry_after), ..Failure::new(StatusCode::TOO_MANY_REQUESTS, format!("the log is full: {AGAIN}")) }
            }
            Reaction::Transient { message, retry_after: None } => {
                tracing::warn!("HTTP intake waits for the log: {message}");
                Failure { retry_after: Some(PAUSE), ..Failure::new(StatusCode::SERVICE_UNAVAILABLE, format!("the log is busy: {AGAIN}")) }
            }
            // The next request finds another producer; rows of this one may stand in the log.
            Reaction::Fatal(message) if incidents::ended_with_its_producer(reaction) => {
                tracing::error!("HTTP intake goes on with another producer: {message}");
                Failure { retry_after: Some(PAUSE), ..Failure::new(StatusCode::SERVICE_UNAVAILABLE, format!("the log is away: {AGAIN}")) }
            }
            Reaction::Rejected(message) | Reaction::Fatal(message) => {
                tracing::error!("HTTP intake cannot write to the log: {message}");
                Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "the log cannot be written: see the server's log")
            }
        }
    }

    #[cfg(test)]
    pub(super) fn status(&self) -> StatusCode {
        self.status
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        #[derive(Serialize)]
        struct Told {
            error: String,
        }
        let mut response = (self.status, Json(Told { error: self.message })).into_response();
        if let Some(retry_after) = self.retry_after {
            // Whole seconds, upwards: earlier would be too early.
            let seconds = retry_after.as_millis().div_ceil(1_000).clamp(1, 3_600);
            let seconds = HeaderValue::from(u64::try_from(seconds).unwrap_or(3_600));
            response.headers_mut().insert(RETRY_AFTER, seconds);
        }
        response
    }
}
