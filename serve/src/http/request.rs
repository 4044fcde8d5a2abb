//! What is asked: the statement, its parameters, the settings it runs under, and the form of the answer.
//!
//! What must stay true: pure, but for the reading of the body, which is bounded in size and time; a value keeps the digits that it
//! was sent with; an unknown member is a fault, since it may have been meant to bound something.

use std::collections::BTreeMap;
use std::time::Duration;

use arrow::datatypes::DataType;
use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use datafusion::common::ScalarValue;
use futures::StreamExt;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::errors::Fault;

/// Bytes of a body.
const MOST_BYTES: usize = 10 << 20;
/// How long a body may take to arrive.
const ARRIVAL: Duration = Duration::from_secs(30);

/// The form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Format {
    /// One object: columns, rows as arrays.
    Json,
    /// One object a row and line.
    Ndjson,
    /// RFC 4180 with a header.
    Csv,
    /// Arrow's IPC stream.
    Arrow,
}

impl Format {
    /// Its media type.
    pub(super) fn media_type(self) -> &'static str {
        match self {
            Format::Json => "application/json",
            Format::Ndjson => "application/x-ndjson",
            Format::Csv => "text/csv; charset=utf-8; header=present",
            Format::Arrow => "application/vnd.apache.arrow.stream",
        }
    }

    /// Whether it has room for a failure behind the rows.
    pub(super) fn tells_failures(self) -> bool {
        matches!(self, Format::Json | Format::Ndjson)
    }

    /// The first that an Accept header names; an error where it names only others.
    pub(super) fn accepted(accept: Option<&str>) -> Result<Format, Fault> {
        let Some(accept) = accept else { return Ok(Format::Json) };
        let known = accept.split(',').find_map(|range| {
            Some(match range.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
                "application/json" | "application/*" | "*/*" | "" => Format::Json,
                "application/x-ndjson" | "application/ndjson" | "application/jsonl" => Format::Ndjson,
                "text/csv" | "text/*" => Format::Csv,
                "application/vnd.apache.arrow.stream" => Format::Arrow,
                _ => return None,
            })
        });
        known.ok_or_else(|| {
            let known = [Format::Json, Format::Ndjson, Format::Csv, Format::Arrow].map(Format::media_type).join(", ");
            Fault::new(StatusCode::NOT_ACCEPTABLE, "0A000", format!("none of the forms in Accept is known: there are {known}"))
        })
    }
}

/// What is asked.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    /// The statement.
    pub(super) sql: String,
    /// The values of $1, $2 …, as JSON.
    #[serde(default)]
    pub(super) parameters: Vec<Box<RawValue>>,
    /// Settings as SET takes them.
    #[serde(default)]
    settings: BTreeMap<String, Value>,
    /// The form of the answer; else that of Accept.
    #[serde(default)]
    pub(super) format: Option<Format>,
}

fn bad(message: impl Into<String>) -> Fault {
    Fault::new(StatusCode::BAD_REQUEST, "08P01", message)
}

fn too_large() -> Fault {
    Fault::new(StatusCode::PAYLOAD_TOO_LARGE, "54000", format!("a request may have {} MiB", MOST_BYTES >> 20))
}

async fn bytes(headers: &HeaderMap, body: Body) -> Result<Vec<u8>, Fault> {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if length.is_some_and(|length| length > MOST_BYTES) {
        return Err(too_large());
    }
    let mut bytes = Vec::with_capacity(length.unwrap_or_default().min(1 << 16));
    let mut pieces = body.into_data_stream();
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|error| bad(format!("the request ended early: {error}")))?;
        if bytes.len() + piece.len() > MOST_BYTES {
            return Err(too_large());
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

/// Reads a request.
pub(super) async fn read(headers: &HeaderMap, body: Body) -> Result<Asked, Fault> {
    let late = |_| Fault::new(StatusCode::REQUEST_TIMEOUT, "08P01", format!("the request did not arrive within {} s", ARRIVAL.as_secs()));
    let bytes = tokio::time::timeout(ARRIVAL, bytes(headers, body)).await.map_err(late)??;
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("text/plain");
    understood(media_type, bytes)
}

fn understood(media_type: &str, bytes: Vec<u8>) -> Result<Asked, Fault> {
    match media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
        "application/json" => {
            serde_json::from_slice(&bytes).map_err(|error| bad(format!("the body is not what is expected here, {{\"sql\": \"SELECT …\", \"parameters\": […]}}: {error}")))
        }
        "text/plain" | "application/sql" => {
            let sql = String::from_utf8(bytes).map_err(|_| Fault::new(StatusCode::BAD_REQUEST, "22021", "the statement is not UTF-8"))?;
            Ok(Asked { sql, parameters: Vec::new(), settings: BTreeMap::new(), format: None })
        }
        other => Err(Fault::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "08P01", format!("a body is application/json or text/plain, not {other}"))),
    }
}

impl Asked {
    /// The settings, in the order of their names.
    pub(super) fn settings(&self) -> Result<Vec<(&str, String)>, Fault> {
        let text = |(name, value): (&'_ String, &'_ Value)| match value {
            Value::String(text) => Ok(text.clone()),
            Value::Bool(truth) => Ok(if *truth { "on" } else { "off" }.to_owned()),
            Value::Number(number) => Ok(number.to_string()),
            _ => Err(bad(format!("settings.{name}: expected a text, a number, true or false"))),
        };
        self.settings.iter().map(|(name, value)| Ok((name.as_str(), text((name, value))?))).collect()
    }

    /// The parameters as values of the types that the statement wants.
    pub(super) fn values(&self, wanted: &[DataType]) -> Result<Vec<ScalarValue>, Fault> {
        if self.parameters.len() != wanted.len() {
            let message = format!("the statement has {} parameters, and {} were sent", wanted.len(), self.parameters.len());
            return Err(Fault::new(StatusCode::BAD_REQUEST, "07001", message));
        }
        let told = |place: usize, error: String| Fault::new(StatusCode::BAD_REQUEST, "22P02", format!("${}: {error}", place + 1));
        self.parameters.iter().zip(wanted).enumerate().map(|(place, (raw, wanted))| value(raw, wanted).map_err(|error| told(place, error))).collect()
    }
}

/// A JSON value as a value of a type: its text is read as SQL reads a text for that type. Arrays and objects are values of lists, and
/// else texts.
fn value(raw: &RawValue, wanted: &DataType) -> Result<ScalarValue, String> {
    let told = |error: datafusion::common::DataFusionError| error.strip_backtrace();
    let text = raw.get();
    if text == "null" {
        return ScalarValue::try_from(wanted).map_err(told);
    }
    if let DataType::List(field) = wanted
        && text.starts_with('[')
    {
        let items: Vec<Box<RawValue>> = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let items = items.iter().map(|item| value(item, field.data_type())).collect::<Result<Vec<_>, String>>()?;
        return Ok(ScalarValue::List(ScalarValue::new_list_nullable(&items, field.data_type())));
    }
    let text = if text.starts_with('"') { serde_json::from_str::<String>(text).map_err(|error| error.to_string())? } else { text.to_owned() };
    ScalarValue::try_from_string(text, wanted).map_err(told)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::Field;

    use super::*;

    fn asked(body: &str) -> Result<Asked, Fault> {
        understood("application/json; charset=utf-8", body.as_bytes().to_vec())
    }

    #[test]
    fn parameters_keep_their_digits_and_take_the_wanted_types() {
        let asked = asked(r#"{"sql": "S", "parameters": [12345678901234.05, "2026-01-01", null, true, {"a":  1}, ["x", null]]}"#).unwrap();
        let list = DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true)));
        let types = [DataType::Decimal128(16, 2), DataType::Date32, DataType::Int64, DataType::Boolean, DataType::Utf8, list];
        let values = asked.values(&types).unwrap();
        assert_eq!(values[0], ScalarValue::Decimal128(Some(1_234_567_890_123_405), 16, 2));
        assert_eq!(values[2], ScalarValue::Int64(None));
        assert_eq!(values[3], ScalarValue::Boolean(Some(true)));
        assert_eq!(values[4], ScalarValue::Utf8(Some("{\"a\":  1}".into())));
        assert_eq!(values[5].data_type(), types[5]);
        assert!(asked.values(&types[..2]).is_err());
    }

    #[test]
    fn a_value_that_does_not_fit_is_named_by_its_place() {
        let asked = asked(r#"{"sql": "S", "parameters": ["x"]}"#).unwrap();
        let told = asked.values(&[DataType::Int64]).unwrap_err().json();
        assert!(told["message"].as_str().unwrap().starts_with("$1: "), "{told}");
    }

    #[test]
    fn settings_are_texts_numbers_or_truths() {
        let asked = asked(r#"{"sql": "S", "settings": {"statement_timeout": 5000, "wardhouse.read": "cut", "a": true}, "format": "csv"}"#).unwrap();
        assert_eq!(asked.settings().unwrap(), [("a", "on".to_owned()), ("statement_timeout", "5000".to_owned()), ("wardhouse.read", "cut".to_owned())]);
        assert_eq!(asked.format, Some(Format::Csv));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        assert!(asked(r#"{"sql": "S", "statement_timeout": 5}"#).is_err());
        assert!(asked("{}").is_err());
        assert!(understood("application/xml", Vec::new()).is_err());
        assert!(understood("text/plain", vec![0xff]).is_err());
        assert_eq!(understood("text/plain", b"SELECT 1".to_vec()).unwrap().sql, "SELECT 1");
    }

    #[test]
    fn accept_decides_the_form() {
        assert_eq!(Format::accepted(None).unwrap(), Format::Json);
        assert_eq!(Format::accepted(Some("text/html, text/csv;q=0.9, */*;q=0.1")).unwrap(), Format::Csv);
        assert_eq!(Format::accepted(Some("application/vnd.apache.arrow.stream")).unwrap(), Format::Arrow);
        assert!(Format::accepted(Some("image/png")).is_err());
    }
}
