//! A request's body as rows, each as the bytes that were sent: pure.
//!
//! What must stay true: nothing is serialised anew, no body costs more memory than its own size allows for, and whatever
//! stands in a row is for validation to judge.

use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;
use wh_eventlog::Bytes;

use super::answer::Failure;

/// What a request says of its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Declared {
    /// One JSON object a line.
    Ndjson,
    /// An object, an array of them, or nothing is said: the first bytes tell.
    Json,
}

/// Reads the media type.
///
/// # Errors
/// 415 for another than JSON and NDJSON, and for a compressed body.
pub(super) fn declared(headers: &HeaderMap) -> Result<Declared, Failure> {
    if headers.get(CONTENT_ENCODING).is_some_and(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Err(Failure::media_type("expected a body without Content-Encoding"));
    }
    let Some(declared) = headers.get(CONTENT_TYPE) else { return Ok(Declared::Json) };
    let media_type = declared.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match media_type.as_str() {
        "application/json" | "text/json" => Ok(Declared::Json),
        "application/x-ndjson" | "application/ndjson" | "application/jsonl" | "application/x-jsonlines" => Ok(Declared::Ndjson),
        _ => Err(Failure::media_type("expected Content-Type application/json or application/x-ndjson (curl: -H 'Content-Type: application/x-ndjson' --data-binary @FILE)")),
    }
}

/// Splits a body into its rows.
///
/// # Errors
/// 400 where no rows can be found, 413 where there are more than `max_rows`.
pub(super) fn split(body: &Bytes, declared: Declared, max_rows: usize) -> Result<Vec<Bytes>, Failure> {
    let text = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii();
    let rows = match (declared, text.first()) {
        (_, None) => return Err(Failure::unreadable("expected at least one transaction, found an empty body")),
        (Declared::Ndjson, _) => lines(body, text, max_rows),
        (Declared::Json, Some(b'[')) => elements(body, text, max_rows)?,
        (Declared::Json, Some(b'{')) => match serde_json::from_slice::<&RawValue>(text) {
            Ok(_) => vec![body.slice_ref(text)],
            Err(_) if are_lines_of_objects(text) => lines(body, text, max_rows),
            Err(error) => return Err(Failure::unreadable(&format!("expected one JSON object, an array of them, or one a line: {error}"))),
        },
        (Declared::Json, Some(_)) => return Err(Failure::unreadable("expected one JSON object, an array of them, or one a line")),
    };
    match rows.len() {
        0 => Err(Failure::unreadable("expected at least one transaction, found none")),
        found if found > max_rows => Err(Failure::too_large(format!("expected at most {max_rows} transactions in one request"))),
        _ => Ok(rows),
    }
}

/// Rows of lines that are not blank; one more than `max_rows` at most.
fn lines(body: &Bytes, text: &[u8], max_rows: usize) -> Vec<Bytes> {
    let rows = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
    rows.take(max_rows.saturating_add(1)).map(|line| body.slice_ref(line)).collect()
}

fn are_lines_of_objects(text: &[u8]) -> bool {
    let mut lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
    lines.nth(1).is_some_and(|second| second.starts_with(b"{"))
}

/// Elements of an array; one more than `max_rows` at most.
fn elements(body: &Bytes, text: &[u8], max_rows: usize) -> Result<Vec<Bytes>, Failure> {
    let unreadable = |error: serde_json::Error| Failure::unreadable(&format!("expected a JSON array of transactions: {error}"));
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let rows = Elements { max_rows }.deserialize(&mut deserializer).map_err(unreadable)?;
    deserializer.end().map_err(unreadable)?;
    // The elements are borrowed from the body: each is a part of it.
    Ok(rows.into_iter().map(|row| body.slice_ref(row.get().as_bytes())).collect())
}

struct Elements {
    max_rows: usize,
}

impl<'de> DeserializeSeed<'de> for Elements {
    type Value = Vec<&'de RawValue>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Elements {
    type Value = Vec<&'de RawValue>;
    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an array")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut rows = Vec::new();
        while rows.len() <= self.max_rows {
            let Some(row) = seq.next_element::<&'de RawValue>()? else { return Ok(rows) };
            rows.push(row);
        }
        // Too many: the rest is read over, not held.
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(rows)
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderValue, StatusCode};

    use super::*;

    fn rows(body: &'static str, declared: Declared) -> Result<Vec<String>, StatusCode> {
        let rows = split(&Bytes::from_static(body.as_bytes()), declared, 3).map_err(|failure| failure.status())?;
        Ok(rows.iter().map(|row| String::from_utf8(row.to_vec()).unwrap()).collect())
    }

    #[test]
    fn objects_arrays_and_lines_are_split_into_the_bytes_that_were_sent() {
        let json = |body| rows(body, Declared::Json).unwrap();
        assert_eq!(json(" {\"a\" : 1.10}\n"), ["{\"a\" : 1.10}"]);
        assert_eq!(json("{\n\"a\":\n{}}"), ["{\n\"a\":\n{}}"]);
        assert_eq!(json("\u{feff}[ {\"a\": 1.10} ,2, \"]\"]"), ["{\"a\": 1.10}", "2", "\"]\""]);
        assert_eq!(json("{\"a\":1}\r\n\n  {\"b\":\n"), ["{\"a\":1}", "{\"b\":"]);
        assert_eq!(rows("x\n{}\n\n", Declared::Ndjson).unwrap(), ["x", "{}"]);
    }

    #[test]
    fn bodies_without_rows_and_with_too_many_are_refused() {
        for body in ["", " \n ", "[]", "[{}", "[{}] x", "{\"a\":", "7", "nonsense", "{\n\"a\"\n"] {
            assert_eq!(rows(body, Declared::Json), Err(StatusCode::BAD_REQUEST), "{body:?}");
        }
        assert_eq!(rows("[1,2,3,4,5]", Declared::Json), Err(StatusCode::PAYLOAD_TOO_LARGE));
        assert_eq!(rows("[1,2,3]", Declared::Json).unwrap().len(), 3);
        assert_eq!(rows("1\n2\n3\n4\n5", Declared::Ndjson), Err(StatusCode::PAYLOAD_TOO_LARGE));
    }

    #[test]
    fn a_body_nested_without_end_is_no_danger() {
        let bomb = Bytes::from(format!("[{}1{}]", "[".repeat(100_000), "]".repeat(100_000)));
        assert_eq!(split(&bomb, Declared::Json, 3).map_err(|failure| failure.status()).unwrap().len(), 1);
    }

    #[test]
    fn only_json_and_ndjson_are_taken() {
        let of = |media_type: &'static str| declared(&HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(media_type))])).map_err(|failure| failure.status());
        assert_eq!(declared(&HeaderMap::new()).map_err(|failure| failure.status()), Ok(Declared::Json));
        assert_eq!(of("Application/JSON; charset=utf-8"), Ok(Declared::Json));
        assert_eq!(of("application/x-ndjson"), Ok(Declared::Ndjson));
        assert_eq!(of("application/x-www-form-urlencoded"), Err(StatusCode::UNSUPPORTED_MEDIA_TYPE));
        let compressed = HeaderMap::from_iter([(CONTENT_ENCODING, HeaderValue::from_static("gzip"))]);
        assert!(declared(&compressed).is_err());
    }
}
