//! What the errors of Elasticsearch and of its client ask for. Pure.
//!
//! | answer | reaction of a request | of a row of `_bulk` |
//! |---|---|---|
//! | 200, 201 | | held |
//! | 400 `document_parsing_exception`, `mapper_parsing_exception`, `illegal_argument_exception`, … | fatal | refused: a dead letter |
//! | 400 `action_request_validation_exception` | one of its rows is bad: it is halved until that stands alone | |
//! | 400 `strict_dynamic_mapping_exception`, `invalid_index_name_exception` | fatal: not our mapping | fatal |
//! | 400 `validation_exception`: the cluster takes no more shards | transient | sent again |
//! | 401; 403 `security_exception` | fatal: credentials, rights | fatal |
//! | 403, 429 `cluster_block_exception`: a write block, a full disk | transient: somebody lifts it | sent again |
//! | 404 `index_not_found_exception` | fatal, where nobody expected it | sent again, to an index that is made anew |
//! | 409 `version_conflict_engine_exception` | another writer was first | held: it is there already |
//! | 413 | too large: it is halved | refused where it stands alone |
//! | 429 `es_rejected_execution_exception`, `circuit_breaking_exception` | transient | sent again, it alone |
//! | 408, 500, 502, 503, 504 | transient | sent again |
//! | any other status, an answer that is none | fatal | fatal |
//! | refused, reset, closed, timed out, name not found | transient | |
//! | certificate not accepted, TLS refused by either side | fatal | |
//!
//! What must stay true: nothing of a document gets into a message; of the server's words only those before it quotes one.

use std::error::Error as _;
use std::time::Duration;

use serde::Deserialize;
use wh_schemas::Reaction;

/// Longest part of a server's own words in a message.
const SAID: usize = 200;
/// Behind these the server quotes what it was sent.
const QUOTES: [&str; 6] = [" in document with id", "Preview of", "The prefix of", ": id [", "Unrecognized token", "\n"];

/// What failed, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Status of the answer, where there was one.
    pub status: Option<u16>,
    /// The server's name for it, e.g. `index_not_found_exception`; empty where it gave none.
    pub kind: String,
    /// Whether trying again may help.
    pub transient: bool,
    /// How long the server asked to be left alone.
    pub retry_after: Option<Duration>,
    /// What failed.
    pub message: String,
    /// What to do.
    pub remedy: String,
}

impl Failure {
    /// A failure that may pass.
    pub fn transient(message: impl Into<String>, remedy: impl Into<String>) -> Failure {
        Failure { status: None, kind: String::new(), transient: true, retry_after: None, message: message.into(), remedy: remedy.into() }
    }

    /// A failure that somebody must mend.
    pub fn fatal(message: impl Into<String>, remedy: impl Into<String>) -> Failure {
        Failure { transient: false, ..Failure::transient(message, remedy) }
    }

    /// Whether the server gave this status and this name.
    #[must_use]
    pub fn is(&self, status: u16, kind: &str) -> bool {
        self.status == Some(status) && self.kind == kind
    }

    /// What a stage does about it; `place` is where the server is.
    #[must_use]
    pub fn reaction(&self, place: &str) -> Reaction {
        let remedy = if self.remedy.is_empty() { String::new() } else { format!(": {}", self.remedy) };
        let message = format!("search ({place}): {}{remedy}", self.message);
        if self.transient { Reaction::Transient { message, retry_after: self.retry_after } } else { Reaction::Fatal(message) }
    }
}

/// What became of a row of `_bulk`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Row {
    /// It is in the index, by this request or an earlier one.
    Held,
    /// It can never be: the sentence says why.
    Refused(String),
    /// The index that it belongs to is gone.
    Homeless,
    /// It is to be sent again.
    Again(Failure),
    /// No row can be written.
    Stop(Failure),
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Answer {
    error: Option<Cause>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Cause {
    Text(String),
    Exception(Exception),
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Exception {
    #[serde(rename = "type")]
    kind: Option<String>,
    reason: Option<String>,
    root_cause: Vec<Root>,
    caused_by: Option<Root>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Root {
    #[serde(rename = "type")]
    kind: Option<String>,
    reason: Option<String>,
}

/// What an answer asks for whose status is not one of success.
#[must_use]
pub fn answered(status: u16, retry_after: Option<&str>, body: &[u8]) -> Failure {
    let (kind, reason) = match serde_json::from_slice::<Answer>(body).ok().and_then(|answer| answer.error) {
        Some(Cause::Text(text)) => (String::new(), text),
        Some(Cause::Exception(exception)) => named(exception),
        None => (String::new(), String::new()),
    };
    let failure = told(status, &kind, &reason);
    Failure { retry_after: retry_after.and_then(|seconds| seconds.trim().parse().ok()).map(Duration::from_secs), ..failure }
}

/// The cause's own name and words, where what stands around it says nothing.
fn named(exception: Exception) -> (String, String) {
    let (kind, reason) = (exception.kind.unwrap_or_default(), exception.reason.unwrap_or_default());
    let inner = exception.root_cause.into_iter().next().filter(|_| kind == "search_phase_execution_exception");
    let inner = inner.or(exception.caused_by.filter(|_| kind == "parsing_exception"));
    match inner {
        Some(Root { kind: Some(inner), reason: words }) => (inner, words.unwrap_or(reason)),
        _ => (kind, reason),
    }
}

/// What became of a row, by what `_bulk` says of it.
#[must_use]
pub fn row(status: u16, kind: &str, reason: &str) -> Row {
    match (status, kind) {
        (200..=299, _) | (409, "version_conflict_engine_exception") => Row::Held,
        (404, "index_not_found_exception") => Row::Homeless,
        (400, "strict_dynamic_mapping_exception" | "invalid_index_name_exception") => Row::Stop(Failure::fatal(
            format!("its index is not as Wardhouse makes it ({kind}: {})", said(reason)),
            "restore its mapping, or move the index away and replay the alerts by `wardhouse replay`",
        )),
        (400, kind) if kind != "validation_exception" => Row::Refused(format!("the index takes no such alert ({kind}: {})", said(reason))),
        _ => {
            let failure = told(status, kind, reason);
            if failure.transient { Row::Again(failure) } else { Row::Stop(failure) }
        }
    }
}

fn told(status: u16, kind: &str, reason: &str) -> Failure {
    let words = match (kind, said(reason).as_str()) {
        ("", "") => status.to_string(),
        ("", said) => format!("{status}: {said}"),
        (kind, said) => format!("{status} {kind}: {said}"),
    };
    let transient = |message: &str, remedy: &str| Failure::transient(format!("{message} ({words})"), remedy);
    let fatal = |message: &str, remedy: &str| Failure::fatal(format!("{message} ({words})"), remedy);
    let failure = match (status, kind) {
        (400, "validation_exception") => transient(
            "it makes no new index",
            "where it says that it has too many shards, raise cluster.max_shards_per_node, remove old indexes by sinks.retention_days, or choose a longer elasticsearch.rollover; it is tried again",
        ),
        (401, _) => fatal("it does not take these credentials", "check elasticsearch.user and elasticsearch.password, or elasticsearch.api_key"),
        (403 | 429, "cluster_block_exception") => transient(
            "an index takes no writes for now",
            "lift the block: make room where its disk is full, or set index.blocks.write to null; nothing is lost meanwhile, it is tried again",
        ),
        (403, _) => fatal(
            "this user may not do what is needed",
            "grant it `read`, `create_doc`, `index`, `delete`, `create_index`, `delete_index`, `maintenance` and `view_index_metadata` on the indexes NAMESPACE-*, and `monitor` and `manage_index_templates` on the cluster; or run `wardhouse migrate` as a user who has the latter",
        ),
        (404, "index_not_found_exception") => fatal("an index is not there", "run `wardhouse migrate`, or start the sink of search, which makes it"),
        (409, _) => transient("another writer was first", "it is tried again"),
        (413, _) => fatal("a request is too large for it", "lower elasticsearch.bulk_kib, or raise its http.max_content_length"),
        (429, "circuit_breaking_exception") => transient("its memory is full for now", "give it a larger heap where that lasts; it is tried again"),
        (429, _) => transient("it has too much to do", "it is tried again"),
        (408 | 500 | 502 | 503 | 504, _) => transient("it cannot answer for now", "see its log and the health of the cluster where that lasts; it is tried again"),
        _ => fatal("it refused a request", "see its log; its version may be another than Wardhouse knows"),
    };
    Failure { status: Some(status), kind: kind.to_owned(), ..failure }
}

/// The server's words before it quotes what it was sent.
fn said(reason: &str) -> String {
    let end = QUOTES.iter().filter_map(|quote| reason.find(quote)).min().unwrap_or(reason.len());
    reason[..end].trim_end_matches(['.', ' ', ';']).chars().take(SAID).collect()
}

/// Everything that a client's error says, from the outermost to the innermost.
fn chain(error: &elasticsearch::Error) -> Vec<String> {
    let mut words = vec![error.to_string()];
    let mut source = error.source();
    while let Some(inner) = source {
        words.push(inner.to_string());
        source = inner.source();
    }
    words
}

/// Whether no connection was made, so that another node can be asked.
#[must_use]
pub fn is_unsent(error: &elasticsearch::Error) -> bool {
    chain(error).iter().any(|words| words.contains("client error (Connect)"))
}

/// Whether the server closed the connection without an answer.
#[must_use]
pub fn is_closed(error: &elasticsearch::Error) -> bool {
    chain(error).iter().any(|words| words.contains("connection closed before message completed") || words.contains("Connection reset by peer"))
}

/// What a request asks for that was not answered.
#[must_use]
pub fn unanswered(error: &elasticsearch::Error) -> Failure {
    let chain = chain(error);
    if error.is_timeout() { late() } else { broken(&chain.join(" | "), chain.last().map_or("", String::as_str)) }
}

fn late() -> Failure {
    Failure::transient("it did not answer in time", "raise elasticsearch.request_timeout_ms where it needs longer; it is tried again")
}

fn broken(all: &str, last: &str) -> Failure {
    let detail: String = last.chars().take(SAID).collect();
    if all.contains("invalid peer certificate") {
        return Failure::fatal(
            format!("its certificate is not accepted ({detail})"),
            "renew it where it has expired, name who made it by elasticsearch.ca_file, and name the server as its certificate does",
        );
    }
    if all.contains("received fatal alert") {
        return Failure::fatal(
            format!("it refused the encrypted connection ({detail})"),
            "check its TLS settings; where it asks for a certificate of ours, set elasticsearch.cert_file and elasticsearch.key_file",
        );
    }
    if all.contains("InvalidContentType") {
        return Failure::fatal("it does not speak TLS on this port", "remove tls from stores.search and [elasticsearch], or name the port that does");
    }
    let what = if all.contains("Connection refused") {
        "it refuses the connection".to_owned()
    } else if all.contains("dns error") {
        format!("its name is not known ({detail})")
    } else if all.contains("connection closed") || all.contains("Connection reset") || all.contains("end of file") {
        let advice = "check that Elasticsearch runs and that nothing else listens at this address, such as another store; it is tried again";
        return Failure::transient("the connection broke".to_owned(), advice);
    } else {
        detail
    };
    Failure::transient(what, "check that Elasticsearch runs and can be reached from here; it is tried again")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(kind: &str, reason: &str) -> Vec<u8> {
        format!(r#"{{"error":{{"root_cause":[{{"type":"x","reason":"y"}}],"type":"{kind}","reason":"{reason}"}},"status":1}}"#).into_bytes()
    }

    #[test]
    fn what_passes_by_itself_is_transient() {
        for (status, kind) in [
            (403, "cluster_block_exception"),
            (429, "cluster_block_exception"),
            (429, "es_rejected_execution_exception"),
            (429, "circuit_breaking_exception"),
            (400, "validation_exception"),
            (500, "null_pointer_exception"),
            (503, "master_not_discovered_exception"),
            (504, ""),
        ] {
            assert!(answered(status, None, &body(kind, "why")).transient, "{status} {kind}");
            assert!(matches!(row(status, kind, "why"), Row::Again(_)), "{status} {kind}");
        }
        assert_eq!(answered(503, Some("7"), b"<html>").retry_after, Some(Duration::from_secs(7)));
        for words in ["tcp connect error | Connection refused (os error 111)", "dns error | failed to lookup address", "connection closed before message completed", "odd"] {
            assert!(broken(words, words).transient, "{words}");
        }
        assert!(late().transient);
    }

    #[test]
    fn what_somebody_must_mend_is_fatal_and_says_how() {
        for (status, kind, part) in [
            (401, "security_exception", "elasticsearch.api_key"),
            (403, "security_exception", "manage_index_templates"),
            (404, "index_not_found_exception", "wardhouse migrate"),
            (400, "parsing_exception", "see its log"),
            (413, "", "bulk_kib"),
            (418, "", "see its log"),
        ] {
            let Reaction::Fatal(message) = answered(status, None, &body(kind, "why")).reaction("elasticsearch://h:9200") else { panic!("{status}") };
            assert!(message.starts_with("search (elasticsearch://h:9200): ") && message.contains(part), "{message}");
        }
        for (words, part) in [
            ("invalid peer certificate: Expired", "ca_file"),
            ("received corrupt message of type InvalidContentType", "does not speak TLS"),
            ("received fatal alert: CertificateRequired", "cert_file"),
        ] {
            let failure = broken(words, words);
            assert!(!failure.transient && format!("{} {}", failure.message, failure.remedy).contains(part), "{failure:?}");
        }
    }

    #[test]
    fn each_row_has_its_own_outcome() {
        assert_eq!([row(201, "", ""), row(200, "", ""), row(409, "version_conflict_engine_exception", "x")], [Row::Held, Row::Held, Row::Held]);
        assert_eq!(row(404, "index_not_found_exception", "no such index [a]"), Row::Homeless);
        let said = "[1:27] failed to parse field [user_id] of type [keyword] in document with id '11'. Preview of field's value: 'secret'";
        let Row::Refused(message) = row(400, "document_parsing_exception", said) else { panic!("refused") };
        assert_eq!(message, "the index takes no such alert (document_parsing_exception: [1:27] failed to parse field [user_id] of type [keyword])");
        for (status, kind) in [(401, "security_exception"), (403, "security_exception"), (400, "strict_dynamic_mapping_exception"), (418, "")] {
            assert!(matches!(row(status, kind, "x"), Row::Stop(_)), "{status} {kind}");
        }
    }

    #[test]
    fn nothing_of_a_document_is_told() {
        for words in ["Validation Failed: 1: id [secret] is too long", "Unrecognized token 'secret'", "failed to parse field [x] in document with id 'secret'", "a\nsecret"] {
            let failure = answered(400, None, &serde_json::to_vec(&serde_json::json!({"error": {"type": "x", "reason": words}})).unwrap());
            assert!(!failure.message.contains("secret"), "{failure:?}");
        }
    }

    #[test]
    fn the_cause_stands_for_what_is_around_it() {
        let search = br#"{"error":{"root_cause":[{"type":"search_context_missing_exception","reason":"gone"}],"type":"search_phase_execution_exception","reason":"all shards failed"},"status":404}"#;
        assert!(answered(404, None, search).is(404, "search_context_missing_exception"));
        assert!(answered(400, None, br#"{"error":"no handler found","status":400}"#).message.contains("no handler found"));
    }
}
