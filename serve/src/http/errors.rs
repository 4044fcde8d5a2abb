//! Errors as HTTP knows them: a status by the class of the SQLSTATE, and JSON that says what, where, and what to try.
//!
//! What must stay true: every error that leaves this server over HTTP has this form; what may be tried again says when.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use wh_query::QueryError;

/// Seconds after which something that was too much may be tried again.
const RETRY_AFTER: &str = "1";

/// What a client is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    status: StatusCode,
    message: String,
    sqlstate: &'static str,
    /// Where in the statement: character, and line and column, from 1.
    place: Option<(usize, usize, usize)>,
    hint: Option<String>,
}

impl Fault {
    /// A fault of the request.
    pub(super) fn new(status: StatusCode, sqlstate: &'static str, message: impl Into<String>) -> Fault {
        Fault { status, message: message.into(), sqlstate, place: None, hint: None }
    }

    /// A fault of the statement `sql`, or of answering it.
    pub(super) fn of(error: &QueryError, sql: &str) -> Fault {
        let status = status(error);
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!("a query over HTTP met a fault of the server: {error}");
        }
        let place = error.position(sql).map(|position| {
            let (line, column) = line_and_column(sql, position);
            (position, line, column)
        });
        Fault { status, message: error.headline(), sqlstate: error.sqlstate(), place, hint: error.hint().map(str::to_owned) }
    }

    /// A mistake of Wardhouse's own.
    pub(super) fn internal(error: impl std::fmt::Display) -> Fault {
        tracing::error!("HTTP met a fault of the server: {error}");
        Fault::new(StatusCode::INTERNAL_SERVER_ERROR, "XX000", format!("internal error: {error}"))
    }

    /// The SQLSTATE.
    pub(super) fn sqlstate(&self) -> &'static str {
        self.sqlstate
    }

    /// The member `error` of an answer.
    pub(super) fn json(&self) -> Value {
        let (position, line, column) = self.place.map_or((None, None, None), |(position, line, column)| (Some(position), Some(line), Some(column)));
        json!({ "message": self.message, "sqlstate": self.sqlstate, "position": position, "line": line, "column": column, "hint": self.hint })
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let mut response = (self.status, axum::Json(json!({ "error": self.json() }))).into_response();
        let headers = response.headers_mut();
        match self.status {
            StatusCode::UNAUTHORIZED => {
                headers.append(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"wardhouse\", charset=\"UTF-8\""));
                headers.append(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"wardhouse\""));
            }
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER));
            }
            _ => {}
        }
        response
    }
}

/// The status of an error by its SQLSTATE (PostgreSQL, appendix A).
fn status(error: &QueryError) -> StatusCode {
    let sqlstate = error.sqlstate();
    match (error, sqlstate) {
        (QueryError::Timeout, _) => StatusCode::GATEWAY_TIMEOUT,
        // Cancelled by someone: neither the client's mistake nor to be tried again by itself.
        (_, "57014") => StatusCode::CONFLICT,
        (_, "42501" | "25006") => StatusCode::FORBIDDEN,
        (_, "53300") => StatusCode::TOO_MANY_REQUESTS,
        _ => match sqlstate.get(..2).unwrap_or_default() {
            "28" => StatusCode::UNAUTHORIZED,
            "54" => StatusCode::PAYLOAD_TOO_LARGE,
            "08" | "53" | "57" | "58" => StatusCode::SERVICE_UNAVAILABLE,
            "XX" => StatusCode::INTERNAL_SERVER_ERROR,
            // 22 a value, 42 the statement, and their kind.
            _ => StatusCode::BAD_REQUEST,
        },
    }
}

/// Line and column of a character, all from 1.
fn line_and_column(sql: &str, position: usize) -> (usize, usize) {
    let before = sql.chars().take(position.saturating_sub(1));
    before.fold((1, 1), |(line, column), character| if character == '\n' { (line + 1, 1) } else { (line, column + 1) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_class_has_its_status() {
        for (error, expected) in [
            (QueryError::Syntax { message: "m".into(), line: None, column: None, hint: None }, 400),
            (QueryError::ReadOnly { what: "INSERT".into() }, 403),
            (QueryError::Cancelled, 409),
            (QueryError::Limit { role: "analyst".into(), rows: 5 }, 413),
            (QueryError::TooMany { role: "analyst".into(), queries: 1 }, 429),
            (QueryError::Store { role: "ledger", message: "m".into(), remedy: "r".into() }, 503),
            (QueryError::Memory { message: "m".into() }, 503),
            (QueryError::Timeout, 504),
            (QueryError::Internal { message: "m".into() }, 500),
        ] {
            assert_eq!(status(&error).as_u16(), expected, "{error}");
        }
    }

    #[test]
    fn a_place_is_told_three_times() {
        let error = QueryError::Invalid { message: "m".into(), line: Some(2), column: Some(3), hint: Some("try".into()) };
        let told = Fault::of(&error, "SELÈCT\n abc").json();
        assert_eq!((told["position"].as_u64(), told["line"].as_u64(), told["column"].as_u64()), (Some(10), Some(2), Some(3)));
        assert_eq!((told["message"].as_str(), told["hint"].as_str()), (Some("m"), Some("try")));
    }
}
