//! What InfluxDB's answers ask for.
//!
//! | answer | asks for |
//! |---|---|
//! | no connection, no answer in time, one that breaks off | transient |
//! | a certificate that is expired, of another name or of nobody known; TLS on one side only; what is no HTTP | fatal: settings |
//! | 3xx | fatal: the URL is another |
//! | 400 on a write | the points are halved until the bad one stands alone |
//! | 400 else | fatal |
//! | 401 | fatal: the token is unknown, or may not do this |
//! | 403 | fatal: the token may not do this |
//! | 404 | fatal: no such organisation or bucket |
//! | 408 | transient |
//! | 413 | the points are halved |
//! | 422 `outside retention policy` on a write | done: the others are stored, and those were beyond retention |
//! | 422 `field type conflict`, or another partial write | fatal: another program writes these measurements, or the server drops what it should not |
//! | 422 `conflict` on making something | it is there already |
//! | 429, 503 | transient, after what `Retry-After` says |
//! | 500 `failed to create task: unauthorized` | fatal: the token may not make tasks |
//! | other 4xx | fatal |
//! | other 5xx | transient |
//! | InfluxQL `database not found`, `retention policy not found` | fatal: no such bucket, or the token may not read it |
//! | InfluxQL, another error | transient |
//!
//! What must stay true: a message that the server made of a write is never repeated, since it holds tags of the points.

use std::error::Error;
use std::time::Duration;

use influxdb2::RequestError;
use serde::Deserialize;
use wh_schemas::Reaction;

use super::answer::Fault;

/// Longest part of a server's own words that is repeated.
const SAID: usize = 200;

/// An answer that grants nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusal {
    /// Of HTTP.
    pub status: u16,
    /// What the server says, in one line.
    pub said: String,
    /// How long it wants to be left alone.
    pub retry_after: Option<Duration>,
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    message: std::borrow::Cow<'a, str>,
}

impl Refusal {
    /// Of an answer's status, `Retry-After` and body.
    #[must_use]
    pub fn new(status: u16, retry_after: Option<&str>, body: &str) -> Refusal {
        let message = serde_json::from_str::<Body<'_>>(body).map_or_else(|_| body.to_owned(), |body| body.message.into_owned());
        let said = message.lines().next().unwrap_or_default().trim().to_owned();
        let retry_after = retry_after.and_then(|seconds| seconds.trim().parse::<u64>().ok()).map(Duration::from_secs);
        Refusal { status, said, retry_after }
    }

    /// Whether what was to be made is there already.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        self.status == 422 && self.said.contains("already exists")
    }

    /// Whether the token lacks a right.
    #[must_use]
    pub fn is_unauthorized(&self) -> bool {
        matches!(self.status, 401 | 403) || self.status == 500 && self.said.contains("unauthorized")
    }

    fn short(&self) -> String {
        self.said.chars().take(SAID).collect()
    }

    fn transient(&self, message: String) -> Reaction {
        Reaction::Transient { message, retry_after: self.retry_after }
    }
}

/// What a refusal asks for; `doing` is what was tried, e.g. `looking up the bucket`.
#[must_use]
pub fn reaction(place: &str, doing: &str, refusal: &Refusal) -> Reaction {
    let (status, said) = (refusal.status, refusal.short());
    if status == 400 && said.contains("HTTP request to an HTTPS server") {
        return Reaction::fatal(format!("{place} speaks TLS: set influxdb.tls = true, and influxdb.ca_file where no well-known authority made its certificate"));
    }
    match status {
        300..=399 => {
            Reaction::fatal(format!("{place} sends its clients elsewhere ({status}): write the address of the server itself in stores.metrics, with ?tls=true where it is https"))
        }
        401 if said.starts_with("write:") || said.starts_with("read:") => {
            Reaction::fatal(format!("{place}: {doing}: the token may not ({said}): give influxdb.token that right, or run `wardhouse migrate` with one that has it"))
        }
        401 => Reaction::fatal(format!("{place}: {doing}: the server does not know the token: set influxdb.token or influxdb.token_file to one of this organisation")),
        403 => Reaction::fatal(format!("{place}: {doing}: the token may not: it must be allowed to read and write the bucket ({said})")),
        404 => {
            Reaction::fatal(format!("{place}: {doing}: {said}: name an organisation and a bucket that are there, or run `wardhouse migrate` with a token that may make the bucket"))
        }
        429 | 503 => refusal.transient(format!("{place} is busy ({status})")),
        500 if said.contains("unauthorized") => Reaction::fatal(format!("{place}: {doing}: the token may not ({said}): run `wardhouse migrate` with one that may")),
        408 | 500..=599 => refusal.transient(format!("{place}: {doing}: it failed on the server ({status}): see its log")),
        _ => Reaction::fatal(format!("{place}: {doing}: refused ({status}: {said})")),
    }
}

/// What became of points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrote {
    /// All are stored.
    All,
    /// All but these many, which were beyond the bucket's retention.
    Outdated(u64),
    /// None: one of them cannot be read.
    Unreadable,
    /// None: they are too many at once.
    TooLarge,
}

/// What a write's refusal asks for.
///
/// # Errors
/// The reaction, where it is not about the points alone.
pub fn wrote(place: &str, refusal: &Refusal) -> Result<Wrote, Reaction> {
    let said = &refusal.said;
    match refusal.status {
        400 if said.contains("HTTPS") => Err(reaction(place, "writing", refusal)),
        400 => Ok(Wrote::Unreadable),
        413 => Ok(Wrote::TooLarge),
        422 if said.contains("field type conflict") => Err(Reaction::fatal(format!(
            "{place}: a field of the measurements has another type there: another program writes them; give Wardhouse a bucket of its own in stores.metrics"
        ))),
        422 if said.contains("outside retention policy") => Ok(Wrote::Outdated(dropped(said))),
        422 => Err(Reaction::fatal(format!("{place}: the server dropped {} points: its log says why (one cause is storage-validate-keys = true: set it to false)", dropped(said)))),
        // Whatever else it says may hold a point's tags.
        status => {
            let said = if matches!(status, 401 | 403 | 404) { said.clone() } else { String::new() };
            Err(reaction(place, "writing", &Refusal { status, said, retry_after: refusal.retry_after }))
        }
    }
}

/// The number behind `dropped=`.
fn dropped(said: &str) -> u64 {
    let digits = said.rsplit_once("dropped=").map_or("", |(_, rest)| rest);
    digits.split(|c: char| !c.is_ascii_digit()).next().and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

/// What a failure to send or to receive asks for.
#[must_use]
pub fn of_transport(place: &str, error: &reqwest::Error) -> Reaction {
    let mut chain = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        chain.push(cause.to_string());
        next = cause.source();
    }
    let builder = error.is_builder().then(|| error.to_string());
    if let Some(fault) = builder {
        return Reaction::fatal(format!("{place}: the client cannot be set up ({fault}): check influxdb.token and influxdb.ca_file"));
    }
    if error.is_timeout() {
        return Reaction::transient(format!("{place} does not answer in time"));
    }
    if error.is_decode() {
        return Reaction::fatal(format!("{place}: the answer is not one of InfluxDB 2: check the address in stores.metrics"));
    }
    said_by_transport(place, &chain)
}

/// The reaction to a chain of causes, the innermost last.
fn said_by_transport(place: &str, chain: &[String]) -> Reaction {
    let all = chain.join(": ");
    let root = chain.last().map_or("the connection failed", String::as_str);
    let has = |part: &str| all.contains(part);
    if has("invalid peer certificate") {
        let remedy = if has("Expired") {
            "it has expired: renew it on the server"
        } else if has("NotValidYet") {
            "it is not valid yet: check the clocks"
        } else if has("NotValidForName") {
            "it is another host's: write the name that stands in it in stores.metrics"
        } else {
            "nobody known vouches for it: set influxdb.ca_file to the certificate of who does"
        };
        return Reaction::fatal(format!("{place}: the server's certificate is refused: {remedy}"));
    }
    if has("received corrupt message") {
        return Reaction::fatal(format!("{place} does not speak TLS: remove tls from stores.metrics and [influxdb]"));
    }
    if has("received fatal alert") || has("peer is incompatible") {
        return Reaction::fatal(format!("{place} refuses this encryption ({root}): check what its certificate and its TLS settings ask for"));
    }
    if has("invalid HTTP") || has("invalid Header") {
        return Reaction::fatal(format!("{place} does not speak HTTP: check the address in stores.metrics"));
    }
    Reaction::transient(format!("{place} cannot be reached: {root}"))
}

/// What a failure of the crate's own requests asks for; refusals are told apart by [`refusal_of`].
#[must_use]
pub fn of_request(place: &str, doing: &str, error: &RequestError) -> Reaction {
    match error {
        RequestError::ReqwestProcessing { source } => of_transport(place, source),
        RequestError::Http { status, text } => reaction(place, doing, &Refusal::new(status.as_u16(), None, text)),
        RequestError::Serializing { .. } | RequestError::Deserializing { .. } => Reaction::fatal(format!("{place}: {doing}: the answer cannot be read")),
    }
}

/// The refusal that it is, if it is one.
#[must_use]
pub fn refusal_of(error: &RequestError) -> Option<Refusal> {
    match error {
        RequestError::Http { status, text } => Some(Refusal::new(status.as_u16(), None, text)),
        _ => None,
    }
}

/// What an answer to InfluxQL asks for that is none.
#[must_use]
pub fn of_answer(place: &str, fault: &Fault) -> Reaction {
    match fault {
        Fault::Said(said) if said.contains("database not found") || said.contains("retention policy not found") => {
            Reaction::fatal(format!("{place}: there is no such bucket, or the token may not read it: run `wardhouse migrate`, or give influxdb.token that right"))
        }
        Fault::Said(said) => Reaction::transient(format!("{place}: {}", said.lines().next().unwrap_or_default().chars().take(SAID).collect::<String>())),
        Fault::CutOff => Reaction::transient(format!("{place}: the answer was cut off")),
        Fault::Unreadable(why) => Reaction::fatal(format!("{place}: the answer is not one of InfluxDB 2 ({why}): check the address in stores.metrics")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: &str = "influxdb://h:8086/o/b";

    fn to(status: u16, body: &str) -> Reaction {
        reaction(PLACE, "looking", &Refusal::new(status, None, body))
    }

    fn writing(status: u16, message: &str) -> Result<Wrote, Reaction> {
        wrote(PLACE, &Refusal::new(status, None, &format!("{{\"code\":\"x\",\"message\":{message:?}}}")))
    }

    #[test]
    fn every_status_has_its_class() {
        for status in [408, 429, 500, 502, 503, 504] {
            assert_eq!(to(status, "").class(), "transient", "{status}");
        }
        for status in [301, 400, 401, 403, 404, 405, 418] {
            assert_eq!(to(status, "").class(), "fatal", "{status}");
        }
        let busy = reaction(PLACE, "writing", &Refusal::new(503, Some("7"), ""));
        assert!(matches!(busy, Reaction::Transient { retry_after: Some(wait), .. } if wait == Duration::from_secs(7)));
        assert!(to(400, "Client sent an HTTP request to an HTTPS server.\n").to_string().contains("influxdb.tls = true"));
        assert!(to(401, r#"{"code":"unauthorized","message":"write:orgs/a/buckets is unauthorized"}"#).to_string().contains("wardhouse migrate"));
        assert_eq!(to(500, r#"{"code":"internal error","message":"failed to create task: unauthorized"}"#).class(), "fatal");
        assert!(Refusal::new(422, None, r#"{"code":"conflict","message":"bucket with name b already exists"}"#).is_conflict());
    }

    #[test]
    fn points_beyond_retention_are_done_and_a_bad_one_is_looked_for() {
        let outdated = "failure writing points to database: partial write: dropped 2 points outside retention policy of duration 720h0m0s - oldest point m,d=SECRET at … dropped=2 for database: x";
        assert_eq!(writing(422, outdated).unwrap(), Wrote::Outdated(2));
        assert_eq!(writing(400, "unable to parse 'm,d=SECRET': missing fields").unwrap(), Wrote::Unreadable);
        assert_eq!(writing(413, "").unwrap(), Wrote::TooLarge);
        let conflict = writing(422, "failure writing points to database: partial write: field type conflict: input field \"f\" on measurement \"m\" … dropped=1").unwrap_err();
        assert!(conflict.class() == "fatal" && conflict.to_string().contains("another program"), "{conflict}");
        assert_eq!(writing(422, "partial write: key contains invalid unicode: \"SECRET\" dropped=3").unwrap_err().class(), "fatal");
        assert_eq!(writing(500, "engine: cache-max-memory-size exceeded").unwrap_err().class(), "transient");
    }

    #[test]
    fn no_point_of_a_write_is_repeated() {
        for status in [402, 409, 422, 500, 503] {
            let told = writing(status, "partial write: d=SECRET dropped=1").unwrap_err().to_string();
            assert!(!told.contains("SECRET"), "{told}");
        }
    }

    #[test]
    fn what_the_connection_says_is_told_with_a_remedy() {
        let told = |chain: &[&str]| said_by_transport(PLACE, &chain.iter().map(|cause| (*cause).to_owned()).collect::<Vec<_>>());
        let certificate = |why: &str| told(&["error trying to connect", &format!("invalid peer certificate: {why}")]).to_string();
        assert!(certificate("Expired").contains("renew"));
        assert!(certificate("UnknownIssuer").contains("influxdb.ca_file"));
        assert!(certificate("NotValidForName").contains("another host's"));
        assert!(told(&["x", "received corrupt message of type InvalidContentType"]).to_string().contains("does not speak TLS"));
        assert_eq!(told(&["x", "invalid HTTP version parsed"]).class(), "fatal");
        let refused = told(&["error trying to connect: tcp connect error", "Connection refused (os error 111)"]);
        assert_eq!((refused.class(), refused.to_string().as_str()), ("transient", "influxdb://h:8086/o/b cannot be reached: Connection refused (os error 111)"));
    }

    #[test]
    fn a_bucket_that_is_not_there_is_told() {
        assert_eq!(of_answer(PLACE, &Fault::Said("database not found: b".into())).class(), "fatal");
        assert_eq!(of_answer(PLACE, &Fault::Said("query aborted".into())).class(), "transient");
        assert_eq!(of_answer(PLACE, &Fault::CutOff).class(), "transient");
    }
}
