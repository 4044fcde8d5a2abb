//! What Wardhouse asks of InfluxDB over HTTP.
//!
//! Health, organisations, making buckets, and tasks go through the crate `influxdb2`. Writes, queries, deletes and looking up a bucket
//! do not: its writes lose `Retry-After` and cannot send a body that is compressed already, its queries hold the whole answer in memory
//! and panic where it breaks off, its deletes cut times to seconds, and it cannot read a retention beyond 68 years. They use the same
//! `reqwest` that it brings.
//!
//! What must stay true: nothing waits without bound; the token is in the header alone, marked as secret.

use std::fmt;
use std::io::Write;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use influxdb2::api::organization::ListOrganizationRequest;
use influxdb2::models::{PostBucketRequest, RetentionRule, retention_rule};
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, DATE, RETRY_AFTER};
use reqwest::{RequestBuilder, Response};
use serde::Deserialize;
use serde_json::json;
use tokio::time::timeout;
use wh_schemas::{Micros, Reaction};

use super::answer::{self, Fields, Reader};
use super::errors::{self, Refusal, Wrote};
use super::settings::InfluxdbSettings;

/// Seconds of a day.
const DAY: u64 = 86_400;
/// Bytes below which compressing is not worth it.
const SMALL: usize = 1_000;

/// A bucket, as the server describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// How long it keeps points; `None` for ever.
    pub retention: Option<Duration>,
}

/// A connected client.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    admin: influxdb2::Client,
    settings: InfluxdbSettings,
    place: String,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("place", &self.place).finish_non_exhaustive()
    }
}

impl Client {
    pub(super) fn new(http: reqwest::Client, admin: influxdb2::Client, settings: InfluxdbSettings) -> Client {
        let place = settings.place();
        Client { http, admin, settings, place }
    }

    /// What it was connected by.
    #[must_use]
    pub fn settings(&self) -> &InfluxdbSettings {
        &self.settings
    }

    /// Where the server is, for a message.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.place
    }

    pub(super) fn admin(&self) -> &influxdb2::Client {
        &self.admin
    }

    fn post(&self, path: &str) -> RequestBuilder {
        self.http.post(format!("{}{path}", self.settings.base()))
    }

    fn get(&self, path: &str) -> RequestBuilder {
        self.http.get(format!("{}{path}", self.settings.base())).timeout(self.settings.request_timeout)
    }

    /// Sends a request of the API that names organisation and bucket.
    async fn send_of_bucket(&self, request: RequestBuilder) -> Result<Response, Reaction> {
        let names = [("org", self.settings.org.as_str()), ("bucket", self.settings.bucket.as_str())];
        let request = request.query(&names).timeout(self.settings.request_timeout);
        request.send().await.map_err(|error| errors::of_transport(&self.place, &error))
    }

    /// What a refused request was told.
    async fn refusal(response: Response) -> Refusal {
        let status = response.status().as_u16();
        let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let body = response.text().await.unwrap_or_default();
        Refusal::new(status, retry_after.as_deref(), &body)
    }

    /// Writes points in line protocol, their times in nanoseconds. No points at all ask whether the token may write.
    ///
    /// # Errors
    /// What the failure asks for, where it is not about the points.
    pub async fn write(&self, lines: &[u8]) -> Result<Wrote, Reaction> {
        let request = self.post("/api/v2/write").query(&[("precision", "ns")]).header(CONTENT_TYPE, "text/plain; charset=utf-8");
        let request = if self.settings.gzip && lines.len() >= SMALL {
            let failed = |error: std::io::Error| Reaction::fatal(format!("{}: points cannot be compressed: {error}", self.place));
            let mut encoder = GzEncoder::new(Vec::with_capacity(lines.len() / 4), Compression::fast());
            encoder.write_all(lines).map_err(failed)?;
            request.header(CONTENT_ENCODING, "gzip").body(encoder.finish().map_err(failed)?)
        } else {
            request.body(lines.to_vec())
        };
        let response = self.send_of_bucket(request).await?;
        if response.status().is_success() {
            return Ok(Wrote::All);
        }
        errors::wrote(&self.place, &Client::refusal(response).await)
    }

    /// Deletes the points of which `predicate` holds, from the first time to the last, both in nanoseconds and included.
    ///
    /// # Errors
    /// What the failure asks for.
    pub async fn delete(&self, predicate: &str, first: i64, last: i64) -> Result<(), Reaction> {
        let body = json!({ "start": instant(first), "stop": instant(last), "predicate": predicate });
        let request = self.post("/api/v2/delete").header(CONTENT_TYPE, "application/json").body(body.to_string());
        let response = self.send_of_bucket(request).await?;
        if response.status().is_success() {
            return Ok(());
        }
        Err(errors::reaction(&self.place, "deleting points", &Client::refusal(response).await))
    }

    /// Asks statements in InfluxQL, separated by `;`, with the values of their `$parameters`. The answer comes in lines of at most
    /// `rows` rows, times in nanoseconds.
    ///
    /// # Errors
    /// What the failure asks for.
    pub async fn ask(&self, statements: &str, parameters: &serde_json::Map<String, serde_json::Value>, rows: usize) -> Result<Answer, Reaction> {
        let (database, policy) = self.settings.database();
        let parameters = serde_json::to_string(parameters).unwrap_or_default();
        let rows = rows.to_string();
        let form = [("db", database), ("rp", policy), ("epoch", "ns"), ("chunked", "true"), ("chunk_size", rows.as_str()), ("q", statements), ("params", parameters.as_str())];
        let silence = self.settings.query_timeout;
        let sent = timeout(silence, self.post("/query").form(&form).send()).await;
        let response = sent.map_err(|_| self.silent())?.map_err(|error| errors::of_transport(&self.place, &error))?;
        if !response.status().is_success() {
            return Err(errors::reaction(&self.place, "reading", &Client::refusal(response).await));
        }
        Ok(Answer { client: self.clone(), response, buffer: Vec::new(), searched: 0, is_over: false })
    }

    fn silent(&self) -> Reaction {
        Reaction::transient(format!("{}: the query got no answer within {} ms (influxdb.query_timeout_ms)", self.place, self.settings.query_timeout.as_millis()))
    }

    /// Asks one statement whose answer is small.
    ///
    /// # Errors
    /// What the failure asks for.
    pub async fn fields(&self, statement: &str) -> Result<Vec<Fields>, Reaction> {
        let mut answer = self.ask(statement, &serde_json::Map::new(), 1_000).await?;
        let mut reader = Reader::new(1);
        let mut found = Vec::new();
        while let Some(line) = answer.line().await? {
            let parts = reader.read(&line).map_err(|fault| errors::of_answer(&self.place, &fault))?;
            found.extend(answer::fields(parts));
        }
        reader.end().map_err(|fault| errors::of_answer(&self.place, &fault))?;
        Ok(found)
    }

    /// The bucket of the settings, if it is there and the token may see it.
    ///
    /// # Errors
    /// What the failure asks for; fatal where there is no such organisation.
    pub async fn bucket(&self) -> Result<Option<Bucket>, Reaction> {
        self.bucket_named(&self.settings.bucket).await
    }

    pub(super) async fn bucket_named(&self, name: &str) -> Result<Option<Bucket>, Reaction> {
        #[derive(Deserialize)]
        struct Answer {
            buckets: Vec<Found>,
        }
        #[derive(Deserialize)]
        struct Found {
            name: String,
            #[serde(rename = "retentionRules", default)]
            rules: Vec<Rule>,
        }
        #[derive(Deserialize)]
        struct Rule {
            #[serde(rename = "everySeconds")]
            seconds: u64,
        }
        let request = self.get("/api/v2/buckets").query(&[("org", self.settings.org.as_str()), ("name", name)]);
        let response = request.send().await.map_err(|error| errors::of_transport(&self.place, &error))?;
        if !response.status().is_success() {
            let refusal = Client::refusal(response).await;
            let is_missing = refusal.status == 404 && refusal.said.starts_with("bucket");
            return if is_missing { Ok(None) } else { Err(errors::reaction(&self.place, "looking up the bucket", &refusal)) };
        }
        let body = response.text().await.map_err(|error| errors::of_transport(&self.place, &error))?;
        let answer: Answer = serde_json::from_str(&body).map_err(|error| Reaction::fatal(format!("{}: what the server says of the bucket cannot be read: {error}", self.place)))?;
        let found = answer.buckets.into_iter().find(|bucket| bucket.name == name);
        let retention = |rules: Vec<Rule>| rules.iter().map(|rule| rule.seconds).find(|seconds| *seconds > 0).map(Duration::from_secs);
        Ok(found.map(|bucket| Bucket { retention: retention(bucket.rules) }))
    }

    /// Makes a bucket; one that is there already is as good.
    ///
    /// # Errors
    /// What the failure asks for; fatal where the token may not.
    pub(super) async fn make_bucket(&self, name: &str, retention_days: u64) -> Result<(), Reaction> {
        let doing = format!("making the bucket {name:?}");
        let request = ListOrganizationRequest { org: Some(self.settings.org.clone()), ..Default::default() };
        let found = self.admin.list_organizations(request).await.map_err(|error| errors::of_request(&self.place, &doing, &error))?;
        let Some(org_id) = found.orgs.into_iter().find(|org| org.name == self.settings.org).and_then(|org| org.id) else {
            return Err(Reaction::fatal(format!(
                "{}: there is no bucket {name:?}, or the token may not see it, and it may not make one: run `wardhouse migrate` with a token that may make buckets in {:?}, then let this one read and write it",
                self.place, self.settings.org
            )));
        };
        let seconds = i32::try_from(retention_days * DAY).unwrap_or(0);
        let rule = RetentionRule::new(retention_rule::Type::Expire, seconds);
        let description = Some("made by Wardhouse".to_owned());
        let request = PostBucketRequest { description, retention_rules: if seconds > 0 { vec![rule] } else { Vec::new() }, ..PostBucketRequest::new(org_id, name.to_owned()) };
        match self.admin.create_bucket(Some(request)).await {
            Ok(()) => Ok(()),
            Err(error) if errors::refusal_of(&error).is_some_and(|refusal| refusal.is_conflict()) => Ok(()),
            Err(error) => Err(errors::of_request(&self.place, &doing, &error)),
        }
    }

    /// What the server's clock shows, to the second.
    ///
    /// # Errors
    /// What the failure asks for.
    pub async fn clock(&self) -> Result<Option<Micros>, Reaction> {
        let response = self.get("/ping").send().await.map_err(|error| errors::of_transport(&self.place, &error))?;
        Ok(response.headers().get(DATE).and_then(|date| date.to_str().ok()).and_then(instant_of_date))
    }

    /// How long the server waits before it makes a write durable, where the token may know: the setting `storage-wal-fsync-delay`.
    ///
    /// # Errors
    /// What the failure asks for.
    pub async fn fsync_delay(&self) -> Result<Option<String>, Reaction> {
        #[derive(Deserialize)]
        struct Answer {
            config: Config,
        }
        #[derive(Deserialize)]
        struct Config {
            #[serde(rename = "storage-wal-fsync-delay")]
            delay: Option<String>,
        }
        let response = self.get("/api/v2/config").send().await.map_err(|error| errors::of_transport(&self.place, &error))?;
        if !response.status().is_success() {
            return Ok(None);
        }
        let body = response.text().await.map_err(|error| errors::of_transport(&self.place, &error))?;
        Ok(serde_json::from_str::<Answer>(&body).ok().and_then(|answer| answer.config.delay))
    }
}

/// An answer to InfluxQL on its way.
#[derive(Debug)]
pub struct Answer {
    client: Client,
    response: Response,
    buffer: Vec<u8>,
    searched: usize,
    is_over: bool,
}

impl Answer {
    /// Its next line, without its end; `None` behind the last.
    ///
    /// # Errors
    /// Transient where the answer breaks off or nothing comes for too long.
    pub async fn line(&mut self) -> Result<Option<Vec<u8>>, Reaction> {
        loop {
            let end = self.buffer.get(self.searched..).and_then(|rest| rest.iter().position(|byte| *byte == b'\n'));
            if let Some(end) = end.map(|end| self.searched + end) {
                let rest = self.buffer.split_off(end + 1);
                let mut line = std::mem::replace(&mut self.buffer, rest);
                line.pop();
                self.searched = 0;
                return Ok(Some(line));
            }
            self.searched = self.buffer.len();
            if self.is_over {
                let line = std::mem::take(&mut self.buffer);
                self.searched = 0;
                return Ok((!line.is_empty()).then_some(line));
            }
            let client = &self.client;
            let chunk = timeout(client.settings.query_timeout, self.response.chunk()).await.map_err(|_| client.silent())?;
            match chunk.map_err(|error| errors::of_transport(&client.place, &error))? {
                Some(chunk) => self.buffer.extend_from_slice(&chunk),
                None => self.is_over = true,
            }
        }
    }
}

/// Nanoseconds since 1970 as RFC 3339.
fn instant(nanos: i64) -> String {
    let micros = Micros(nanos.div_euclid(1_000_000_000) * 1_000_000);
    let second = micros.to_string();
    format!("{}.{:09}Z", second.trim_end_matches('Z'), nanos.rem_euclid(1_000_000_000))
}

/// What HTTP calls a date: `Sun, 22 Nov 2026 17:04:33 GMT`.
fn instant_of_date(date: &str) -> Option<Micros> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut words = date.split_whitespace().skip(1);
    let (day, month, year, time) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    serde_json::from_str(&format!("\"{year}-{month:02}-{day:0>2}T{time}Z\"")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::influxdb::points::TIMES;

    #[test]
    fn times_are_said_to_the_nanosecond() {
        assert_eq!(instant(7_258_118_400_000_000_007), "2200-01-01T00:00:00.000000007Z");
        assert_eq!(instant(-1), "1969-12-31T23:59:59.999999999Z");
        assert_eq!((instant(TIMES.0).as_str(), instant(TIMES.1 - 1).as_str()), ("1677-09-21T00:12:44.000000000Z", "2262-04-11T23:47:15.999999999Z"));
    }

    #[test]
    fn a_date_of_http_is_read() {
        assert_eq!(instant_of_date("Sun, 22 Nov 2026 17:04:33 GMT").map(|at| at.to_string()).as_deref(), Some("2026-11-22T17:04:33Z"));
        assert_eq!(instant_of_date("Sun, 1 Nov 2026 07:04:33 GMT").map(|at| at.to_string()).as_deref(), Some("2026-11-01T07:04:33Z"));
        assert_eq!(instant_of_date("yesterday"), None);
    }
}
