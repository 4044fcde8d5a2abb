//! What MongoDB's codes, and the failures of its client, ask for.
//!
//! | code, label or failure | meaning | reaction |
//! |---|---|---|
//! | 11000, 11001, 12582 of one document | its key is there already | none: see [`row`] |
//! | 2, 9, 14, 15, 22, 52, 53, 54, 57, 121, 10334, 17280, 17419 of one document | it fails its validator, is too large, nested too deeply, … | rejected |
//! | 6, 7, 24, 43, 46, 50, 63, 64, 89, 91, 112, 117, 133, 134, 136, 150, 175, 189, 202, 216, 225, 234, 237, 251, 262, 290, 317, 391, 402, 462, 9001, 10058, 10107, 11600, 11601, 11602, 13388, 13435, 13436 | busy, shutting down, another primary, a limit of time, a cursor that is gone | transient |
//! | labels `RetryableWriteError`, `TransientTransactionError`, `RetryableError`, `SystemOverloadedError` | the server says so itself | transient |
//! | connection refused or cut, no reply in time, no primary, a name that does not resolve | the network, or a change of primary | transient |
//! | 11, 13, 18, 31, 8000, failed authentication | user, password, rights | fatal |
//! | 14031 | the server's disk is full | transient, looked at again after 10 s |
//! | 79, 100 | the write concern can never be met | fatal |
//! | a certificate that is not trusted or has expired, no TLS where it was asked for | encryption | fatal |
//! | anything else | layout or version | fatal |
//!
//! What must stay true: no message of the server is passed on where it may hold what was in a command or a document.

use std::time::Duration;

use ::mongodb::error::{Error, ErrorKind, WriteFailure};
use wh_schemas::Reaction;

const TRANSIENT: [i32; 39] = [
    6, 7, 24, 43, 46, 50, 63, 64, 89, 91, 112, 117, 133, 134, 136, 150, 175, 189, 202, 216, 225, 234, 237, 251, 262, 290, 317, 391, 402, 462, 9001, 10058, 10107, 11600, 11601,
    11602, 13388, 13435, 13436,
];
const TRANSIENT_LABELS: [&str; 4] = ["RetryableWriteError", "TransientTransactionError", "RetryableError", "SystemOverloadedError"];
const DUPLICATE_KEY: [i32; 3] = [11_000, 11_001, 12_582];
const BAD_ROW: [i32; 13] = [2, 9, 14, 15, 22, 52, 53, 54, 57, 121, 10_334, 17_280, 17_419];

/// How long a server without space is left alone.
const FULL: Duration = Duration::from_secs(10);

/// Not allowed to do that.
pub const UNAUTHORIZED: i32 = 13;
/// The collection is there already.
pub const NAMESPACE_EXISTS: i32 = 48;
/// There is no such collection.
pub const NAMESPACE_NOT_FOUND: i32 = 26;

/// What became of one document that was not written.
#[derive(Clone, Debug)]
pub enum RowFailure {
    /// Its key is there already.
    AlreadyThere,
    /// It can never be written; why, in a word.
    Bad(String),
    /// It is not the document's fault.
    Store(Reaction),
}

/// What the code of one document of an insert means.
#[must_use]
pub fn row(place: &str, code: i32, name: Option<&str>) -> RowFailure {
    if DUPLICATE_KEY.contains(&code) {
        RowFailure::AlreadyThere
    } else if BAD_ROW.contains(&code) {
        RowFailure::Bad(named(code, name.unwrap_or_default()))
    } else {
        RowFailure::Store(by_code(place, code, name.unwrap_or_default(), false))
    }
}

/// The reaction to a failure; `place` names role and server.
#[must_use]
pub fn reaction(place: &str, error: &Error) -> Reaction {
    let asked = TRANSIENT_LABELS.iter().any(|label| error.contains_label(label));
    match error.kind.as_ref() {
        ErrorKind::Command(failure) if failure.code == UNAUTHORIZED && failure.message.contains("requires authentication") => {
            Reaction::fatal(format!("{place} wants to know who asks: set mongodb.user and mongodb.password_file"))
        }
        ErrorKind::Command(failure) => match by_code(place, failure.code, &failure.code_name, asked) {
            Reaction::Transient { message, retry_after } => Reaction::Transient { message, retry_after: failure.base_backoff.or(retry_after) },
            other => other,
        },
        ErrorKind::Write(WriteFailure::WriteConcernError(failure)) => by_code(place, failure.code, &failure.code_name, asked),
        ErrorKind::Write(WriteFailure::WriteError(failure)) => by_code(place, failure.code, failure.code_name.as_deref().unwrap_or_default(), asked),
        ErrorKind::InsertMany(failures) => match (&failures.write_concern_error, failures.write_errors.iter().flatten().next()) {
            (Some(failure), _) => by_code(place, failure.code, &failure.code_name, asked),
            (None, Some(failure)) => by_code(place, failure.code, failure.code_name.as_deref().unwrap_or_default(), asked),
            (None, None) => Reaction::transient(format!("{place} did not say what became of an insert")),
        },
        ErrorKind::Authentication { .. } => credentials(place),
        ErrorKind::ServerSelection { message, .. } => unreachable_server(place, message),
        ErrorKind::Io(error) => network(place, &error.to_string()),
        ErrorKind::ConnectionPoolCleared { message, .. } => network(place, causes(message).first().unwrap_or(&"another connection failed")),
        ErrorKind::DnsResolve { .. } => Reaction::transient(format!("{place}: the server's name does not resolve; is it right in stores.documents?")),
        ErrorKind::InvalidTlsConfig { message, .. } => Reaction::fatal(format!("{place}: {}: check mongodb.ca_file and mongodb.cert_key_file", cut(message))),
        ErrorKind::InvalidArgument { message, .. } if !message.contains('@') => Reaction::fatal(format!("{place}: the client refuses: {}", cut(message))),
        ErrorKind::InvalidResponse { .. } => Reaction::transient(format!("{place} answered with something that is no answer: asking again")),
        ErrorKind::Shutdown => Reaction::transient(format!("{place}: the client is shutting down")),
        _ if asked => Reaction::transient(format!("{place} asks to try again")),
        _ => Reaction::fatal(format!("{place}: an answer of another shape than expected: is it a MongoDB server, and the layout Wardhouse's? `wardhouse doctor` says more")),
    }
}

/// The server's code of a failure.
#[must_use]
pub fn code(error: &Error) -> Option<i32> {
    match error.kind.as_ref() {
        ErrorKind::Command(failure) => Some(failure.code),
        ErrorKind::Write(WriteFailure::WriteConcernError(failure)) => Some(failure.code),
        ErrorKind::Write(WriteFailure::WriteError(failure)) => Some(failure.code),
        _ => None,
    }
}

/// Whether a failure says that the key is there already.
#[must_use]
pub fn is_duplicate_key(error: &Error) -> bool {
    code(error).is_some_and(|code| DUPLICATE_KEY.contains(&code))
}

/// What to do about a user that may not do what must be done.
#[must_use]
pub fn forbidden(place: &str, what: &str) -> Reaction {
    Reaction::fatal(format!("{place}: this user may not {what}: grant the role readWrite on the database, or run `wardhouse migrate` with a user that has readWrite and dbAdmin"))
}

fn by_code(place: &str, code: i32, name: &str, asked: bool) -> Reaction {
    match code {
        UNAUTHORIZED | 31 => forbidden(place, "do that"),
        11 | 18 | 8_000 => credentials(place),
        14_031 => {
            Reaction::Transient { message: format!("{place}: no space left on the server: make room, it goes on by itself; nothing acknowledged is lost"), retry_after: Some(FULL) }
        }
        79 | 100 => {
            Reaction::fatal(format!("{place}: the write concern can never be met ({}): check mongodb.write_concern against the members of the replica set", named(code, name)))
        }
        _ if asked || TRANSIENT.contains(&code) => Reaction::transient(format!("{place} is busy or changing over: {}", named(code, name))),
        // The lowest codes are those of a malformed command, too.
        _ if DUPLICATE_KEY.contains(&code) || (BAD_ROW.contains(&code) && code > 9) => Reaction::Rejected(format!("{place}: {}", named(code, name))),
        _ => Reaction::fatal(format!("{place}: {}: `wardhouse doctor` says more", named(code, name))),
    }
}

fn named(code: i32, name: &str) -> String {
    let known = match code {
        121 => "DocumentValidationFailure",
        10_334 => "BSONObjectTooLarge",
        15 => "Overflow",
        _ => "an error",
    };
    format!("{} (code {code})", if name.is_empty() { known } else { name })
}

fn credentials(place: &str) -> Reaction {
    Reaction::fatal(format!("{place}: user or password is wrong: check mongodb.user, the password, and mongodb.auth_source (the database that knows the user, often admin)"))
}

/// What the client found at each server, out of its report of the whole topology.
fn causes(report: &str) -> Vec<&str> {
    report.split("Kind: ").skip(1).map(|rest| rest.split(", labels:").next().unwrap_or(rest)).map(|cause| cause.strip_prefix("I/O error: ").unwrap_or(cause)).collect()
}

fn unreachable_server(place: &str, report: &str) -> Reaction {
    if report.contains("wire version") {
        return Reaction::fatal(format!("{place} is of a version that this client does not speak with: MongoDB 5.0 or newer is needed"));
    }
    let causes = causes(report);
    match causes.iter().find(|cause| encryption(cause).is_some() || cause.contains("invalid reply")).or(causes.first()) {
        Some(cause) if cause.contains("invalid reply") => {
            Reaction::fatal(format!("{place}: what answers there does not speak MongoDB's protocol: check host and port in stores.documents"))
        }
        Some(cause) => network(place, cause),
        None if report.contains("ReplicaSet") => Reaction::transient(format!("{place} has no primary now: waiting for one")),
        None => Reaction::transient(format!("{place} does not answer")),
    }
}

fn network(place: &str, cause: &str) -> Reaction {
    match encryption(cause) {
        Some(remedy) => Reaction::fatal(format!("{place}: no encrypted connection ({}): {remedy}", cut(cause))),
        None => Reaction::transient(format!("{place} cannot be reached: {}", cut(cause))),
    }
}

/// What to do where it is the encryption that failed.
fn encryption(cause: &str) -> Option<&'static str> {
    if cause.contains("invalid peer certificate") {
        Some(if cause.to_ascii_lowercase().contains("expired") {
            "the server's certificate has expired: renew it"
        } else {
            "the server's certificate is not trusted: name its CA in mongodb.ca_file, and the host as the certificate does"
        })
    } else if cause.contains("corrupt message") || cause.contains("InvalidContentType") {
        Some("the server does not speak TLS there: remove tls = true, or encrypt the server")
    } else if cause.contains("received fatal alert") {
        Some("the server refused it: does it want a certificate of ours (mongodb.cert_key_file)?")
    } else {
        None
    }
}

fn cut(text: &str) -> String {
    text.chars().take(200).collect()
}

#[cfg(test)]
#[path = "errors_tests.rs"]
mod tests;
