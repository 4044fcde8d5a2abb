//! `POST /v1/sql`: one statement, one answer.
//!
//! What must stay true: the session lives as long as its answer; the id of the query is in the headers, before any row, so that it
//! can be cancelled; what fails at once is told by the status, what fails later by the body.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Extension;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version, header};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use serde::Deserialize;
use serde_json::{Value, json};
use wh_query::{Action, Principal, QueryError, QueryResult};

use super::Shared;
use super::body::{Asked, ROWS, Rows, SQLSTATE};
use super::encode::Encoder;
use super::errors::Fault;
use super::request::{self, Format};

/// Id of the query in the register of queries.
pub(super) const QUERY_ID: HeaderName = HeaderName::from_static("x-wardhouse-query-id");
/// What the analyst must be told besides the rows: a JSON array of texts, in ASCII.
pub(super) const NOTICES: HeaderName = HeaderName::from_static("x-wardhouse-notices");
/// Settings that the statement changed, as a JSON object, null for all back to their defaults: a client that wants them kept sends
/// them with its next request, since each has a session of its own.
pub(super) const SETTINGS: HeaderName = HeaderName::from_static("x-wardhouse-settings");
/// Bytes of a header.
const MOST_HEADER_BYTES: usize = 4_096;
/// How long the first rows are waited for, so that what fails at once is told by the status. Longer, and a query could not be
/// cancelled meanwhile: its id is in the headers.
const FIRST_ROWS: Duration = Duration::from_millis(100);
/// The same where the form has no room for a failure: what fails later breaks the answer off, and leaves why to be asked for.
const FIRST_ROWS_OF_ALL: Duration = Duration::from_secs(10);

/// What the address may say.
#[derive(Debug, Deserialize)]
pub(super) struct Asking {
    format: Option<Format>,
}

pub(super) async fn ask(
    State(shared): State<Arc<Shared>>,
    Extension(principal): Extension<Principal>,
    Query(asking): Query<Asking>,
    version: Version,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Fault> {
    let started = Instant::now();
    let asked = request::read(&headers, body).await?;
    let format = match asked.format.or(asking.format) {
        Some(format) => format,
        None => Format::accepted(headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()))?,
    };
    let told = |error: &QueryError| Fault::of(error, &asked.sql);
    let session = shared.engine.session(principal);
    for (name, value) in asked.settings()? {
        session.set(name, &value).map_err(|error| told(&error))?;
    }
    let prepared = session.prepare(&asked.sql, &[]).await.map_err(|error| told(&error))?;
    if *prepared.action() == Action::Empty && asked.sql.trim().is_empty() {
        return Err(Fault::new(StatusCode::BAD_REQUEST, "42601", "there is no statement to run"));
    }
    if matches!(prepared.action(), Action::Declare { .. } | Action::Fetch { .. } | Action::Close { .. }) {
        let message = "a cursor lives in a session, and each request has its own: run the query itself, its rows come as they are taken";
        return Err(Fault::new(StatusCode::BAD_REQUEST, "0A000", message));
    }
    if matches!(prepared.action(), Action::Prepare { .. }) {
        let message = "what PREPARE prepares lives in a session, and each request has its own: send the query itself, with its parameters";
        return Err(Fault::new(StatusCode::BAD_REQUEST, "0A000", message));
    }
    let parameters = asked.values(prepared.parameters())?;
    let result = session.execute(&prepared, parameters).await.map_err(|error| told(&error))?;
    let late = result.late_notices();
    let QueryResult { schema, mut stream, mut notices, id, .. } = result;
    let patience = if format.tells_failures() { FIRST_ROWS } else { FIRST_ROWS_OF_ALL };
    // Cancel-safe: a batch that comes later is still in the stream.
    let first = tokio::time::timeout(patience, stream.next()).await.ok();
    let first = match first {
        Some(Some(Err(error))) => return Err(told(&QueryError::from(error))),
        first => first,
    };
    // What is missing is known by the first rows, as a rule.
    notices.extend(late.take());
    let told_headers = told_in_headers(id, &notices, prepared.action());
    let encoder = Encoder::new(format, schema, id).map_err(Fault::internal)?;
    let trailers = takes_trailers(version, &headers);
    let about = Asked { started, sql: asked.sql, id, notices, late: Box::new(move || late.take()), session, shared };
    let mut rows = Rows::new(about, stream, encoder, trailers).map_err(Fault::internal)?;
    if let Some(first) = first {
        rows.take(first);
    }
    let mut response = Body::new(rows).into_response();
    let headers = response.headers_mut();
    headers.extend(told_headers);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(format.media_type()));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if trailers {
        headers.append(header::TRAILER, HeaderValue::from(ROWS));
        headers.append(header::TRAILER, HeaderValue::from(SQLSTATE));
    }
    Ok(response)
}

fn takes_trailers(version: Version, headers: &HeaderMap) -> bool {
    let said = headers.get_all(header::TE).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    version == Version::HTTP_2 || said.map(str::trim).any(|said| said.eq_ignore_ascii_case("trailers"))
}

fn told_in_headers(id: u64, notices: &[String], action: &Action) -> HeaderMap {
    let mut headers = HeaderMap::new();
    // 0 where nothing had to run.
    if id > 0 {
        headers.insert(QUERY_ID, HeaderValue::from(id));
    }
    if let Some(value) = ascii(&json!(notices)).filter(|_| !notices.is_empty()) {
        headers.insert(NOTICES, value);
    }
    let settings = match action {
        // RESET ALL.
        Action::Set { name, .. } if name == "all" => ascii(&Value::Null),
        Action::Set { name, value } => ascii(&json!({ name.as_str(): value })),
        Action::Discard => ascii(&Value::Null),
        _ => None,
    };
    if let Some(value) = settings {
        headers.insert(SETTINGS, value);
    }
    headers
}

/// JSON as a header: beyond ASCII it is escaped. `None` where it is too long.
fn ascii(value: &Value) -> Option<HeaderValue> {
    let mut text = String::new();
    for character in value.to_string().chars() {
        if character.is_ascii() {
            text.push(character);
        } else {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                text.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    if text.len() > MOST_HEADER_BYTES { None } else { HeaderValue::from_str(&text).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_ascii_and_read_back() {
        let headers = told_in_headers(7, &["größer 🙂\nline".to_owned()], &Action::Set { name: "a.b".into(), value: "cut".into() });
        let read = |name| serde_json::from_str::<Value>(headers.get(name).unwrap().to_str().unwrap()).unwrap();
        assert_eq!(read(NOTICES), json!(["größer 🙂\nline"]));
        assert_eq!(read(SETTINGS), json!({ "a.b": "cut" }));
        assert_eq!(headers.get(QUERY_ID).unwrap(), "7");
        assert!(told_in_headers(7, &[], &Action::Query).get(NOTICES).is_none());
        assert!(told_in_headers(7, &["x".repeat(5_000)], &Action::Query).get(NOTICES).is_none());
    }

    #[test]
    fn trailers_go_to_whoever_takes_them() {
        let mut headers = HeaderMap::new();
        assert!(!takes_trailers(Version::HTTP_11, &headers) && takes_trailers(Version::HTTP_2, &headers));
        headers.insert(header::TE, HeaderValue::from_static("gzip, Trailers"));
        assert!(takes_trailers(Version::HTTP_11, &headers));
    }
}
