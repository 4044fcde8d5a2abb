//! What the section `[influxdb]` and the URL of `stores.metrics` ask for.
//!
//! What must stay true: reading them does no I/O; every fault is told at once; no secret shows in what is printed.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::faults::Faults;
use crate::finding::Durability;
use crate::place::Role;
use crate::secret::Secret;
use crate::section::Section;
use crate::server_url::ServerUrl;
use crate::{credentials, tls};

/// Port of a URL that names none.
const DEFAULT_PORT: u16 = 8086;
/// What a URL may say behind its `?`.
const QUERY: [&str; 1] = ["tls"];
/// Longest retention: the client counts its seconds in 32 bits.
const LONGEST_RETENTION_DAYS: u64 = 24_000;
/// What the name of the bucket of hourly aggregates ends in.
const HOURLY: &str = "_1h";

/// The section `[influxdb]` as it is written.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawInfluxdb {
    /// Token of the API: it may read and write the bucket; to make the bucket and the task it must be allowed that too.
    #[serde(skip_serializing)]
    pub token: Option<SecretString>,
    /// A file whose first line is the token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
    /// Whether the connection is encrypted.
    pub tls: bool,
    /// Certificates (PEM) of who may vouch for the server, beside the well-known ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// How long a connection may take to be made.
    pub connect_timeout_ms: u64,
    /// How long one write or look-up may take.
    pub request_timeout_ms: u64,
    /// How long a query may be silent between two pieces of its answer.
    pub query_timeout_ms: u64,
    /// How many connections are kept while nothing is asked.
    pub idle_connections: u64,
    /// Whether points travel compressed.
    pub gzip: bool,
    /// How many points one request writes at most.
    pub batch_points: u64,
    /// How many such requests may be under way at once.
    pub parallel_writes: u64,
    /// How many days a bucket keeps points that Wardhouse makes; 0 for ever. A bucket that is there keeps what it has.
    pub retention_days: u64,
    /// Whether a task of the server sums the points by hour into a second bucket.
    pub downsample: bool,
    /// How many days that bucket keeps them; 0 for ever.
    pub downsample_retention_days: u64,
}

impl Default for RawInfluxdb {
    fn default() -> Self {
        RawInfluxdb {
            token: None,
            token_file: None,
            tls: false,
            ca_file: None,
            connect_timeout_ms: 5_000,
            request_timeout_ms: 30_000,
            query_timeout_ms: 60_000,
            idle_connections: 4,
            gzip: true,
            batch_points: 5_000,
            parallel_writes: 2,
            retention_days: 400,
            downsample: true,
            downsample_retention_days: 0,
        }
    }
}

/// How a connection is encrypted. InfluxDB 2 knows a client by a token and by no certificate: there is no identity here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// Certificates of who may vouch for the server, beside the well-known ones.
    pub ca_file: Option<PathBuf>,
}

/// An InfluxDB server and how it is used.
#[derive(Clone, Debug)]
pub struct InfluxdbSettings {
    /// `host:port`
    pub authority: String,
    /// Whether the server is this very machine.
    pub is_local: bool,
    /// The organisation's name.
    pub org: String,
    /// The bucket's name.
    pub bucket: String,
    /// The API's token.
    pub token: Secret,
    /// Encryption, if any.
    pub tls: Option<Tls>,
    /// How long a connection may take to be made.
    pub connect_timeout: Duration,
    /// How long one write or look-up may take.
    pub request_timeout: Duration,
    /// How long a query may be silent.
    pub query_timeout: Duration,
    /// How many connections are kept while nothing is asked.
    pub idle_connections: usize,
    /// Whether points travel compressed.
    pub gzip: bool,
    /// How many points one request writes at most.
    pub batch_points: usize,
    /// How many such requests may be under way at once.
    pub parallel_writes: usize,
    /// How many days a bucket that Wardhouse makes keeps its points; 0 for ever.
    pub retention_days: u64,
    /// Whether a task sums by hour.
    pub downsample: bool,
    /// How many days the sums are kept; 0 for ever.
    pub downsample_retention_days: u64,
    /// What a start does about a server that may lose what it acknowledged, or a bucket without retention.
    pub durability: Durability,
}

impl InfluxdbSettings {
    /// What the URL and the section ask for. No I/O.
    ///
    /// # Errors
    /// A sentence for each fault, beginning with the setting's name.
    pub fn try_new(url: &ServerUrl, raw: &RawInfluxdb, durability: Durability) -> Result<InfluxdbSettings, Vec<String>> {
        let mut faults = Faults::new();
        let example = Role::Metrics.example();
        let [host, ..] = url.hosts() else { return Err(vec![format!("stores.metrics = {url}: no host")]) };
        if url.hosts().len() > 1 {
            faults.add(format!("stores.metrics = {url}: expected one host, found {}", url.hosts().len()));
        }
        let unknown = url.unknown_query(&QUERY);
        if !unknown.is_empty() {
            faults.add(format!("stores.metrics = {url}: unknown {}: known are {}", unknown.join(", "), QUERY.join(", ")));
        }
        // A bucket's name may have a slash in it, written as %2F.
        let (org, bucket) = match url.path() {
            [org, bucket] => (org.clone(), bucket.clone()),
            _ => {
                faults.add(format!("stores.metrics = {url}: expected an organisation and a bucket behind the host, as in {example}"));
                (String::new(), String::new())
            }
        };
        if bucket.starts_with('_') || bucket.contains('"') {
            faults.add(format!("stores.metrics = {url}: a bucket's name has no \" in it and does not begin with _"));
        }
        let authority = host.with_port(DEFAULT_PORT);
        // What is no host of a URL would end the client's own parser.
        if url::Url::parse(&format!("http://{authority}/")).is_err() {
            faults.add(format!("stores.metrics = {url}: {:?} is no name or address of a host", host.name));
        }
        let is_local = host.name == "localhost" || host.name.starts_with("127.") || host.name.trim_start_matches('[').trim_end_matches(']') == "::1";
        let section = Section { name: "influxdb", setting: "stores.metrics", url };
        let tls = tls(&section, raw, &mut faults);
        let token = token(&section, raw, &mut faults);
        let mut wait = |name: &str, value: u64, from: u64| Duration::from_millis(faults.within(name, value, from, 3_600_000));
        let connect_timeout = wait("influxdb.connect_timeout_ms", raw.connect_timeout_ms, 10);
        let request_timeout = wait("influxdb.request_timeout_ms", raw.request_timeout_ms, 100);
        let query_timeout = wait("influxdb.query_timeout_ms", raw.query_timeout_ms, 100);
        let mut count = |name: &str, value: u64, from: u64, to: u64| usize::try_from(faults.within(name, value, from, to)).unwrap_or(1);
        let idle_connections = count("influxdb.idle_connections", raw.idle_connections, 0, 64);
        let batch_points = count("influxdb.batch_points", raw.batch_points, 100, 100_000);
        let parallel_writes = count("influxdb.parallel_writes", raw.parallel_writes, 1, 16);
        let retention_days = faults.within("influxdb.retention_days", raw.retention_days, 0, LONGEST_RETENTION_DAYS);
        let downsample_retention_days = faults.within("influxdb.downsample_retention_days", raw.downsample_retention_days, 0, LONGEST_RETENTION_DAYS);
        faults.unless_any(InfluxdbSettings {
            authority,
            is_local,
            org,
            bucket,
            token,
            tls,
            connect_timeout,
            request_timeout,
            query_timeout,
            idle_connections,
            gzip: raw.gzip,
            batch_points,
            parallel_writes,
            retention_days,
            downsample: raw.downsample,
            downsample_retention_days,
            durability,
        })
    }

    /// Where the server is, for a message.
    #[must_use]
    pub fn place(&self) -> String {
        self.to_string()
    }

    /// What its addresses begin with.
    #[must_use]
    pub fn base(&self) -> String {
        format!("{}://{}", if self.tls.is_some() { "https" } else { "http" }, self.authority)
    }

    /// Name of the bucket of hourly aggregates.
    #[must_use]
    pub fn hourly_bucket(&self) -> String {
        format!("{}{HOURLY}", self.bucket)
    }

    /// The names under which InfluxQL knows the bucket: database and retention policy, which the server derives from its name.
    #[must_use]
    pub fn database(&self) -> (&str, &str) {
        self.bucket.split_once('/').unwrap_or((&self.bucket, "autogen"))
    }
}

impl fmt::Display for InfluxdbSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "influxdb://{}/{}/{}", self.authority, self.org, self.bucket)
    }
}

fn tls(section: &Section<'_>, raw: &RawInfluxdb, faults: &mut Faults) -> Option<Tls> {
    let wanted = tls::wanted(section, raw.tls, faults).unwrap_or_default();
    if raw.ca_file.is_some() && !wanted {
        faults.add("influxdb.ca_file: there are certificates, which only an encrypted connection uses: set influxdb.tls = true, or remove them");
    }
    wanted.then(|| Tls { ca_file: raw.ca_file.clone() })
}

/// The token: of the section, or where a URL has its password. InfluxDB 2 knows no user beside it.
fn token(section: &Section<'_>, raw: &RawInfluxdb, faults: &mut Faults) -> Secret {
    let own = faults.take(Secret::try_new("influxdb.token", raw.token.as_ref(), raw.token_file.as_deref()));
    if section.url.user().is_some() {
        faults.add("stores.metrics: InfluxDB 2 knows a client by a token alone: remove the user, and set influxdb.token or influxdb.token_file");
        return own;
    }
    credentials::one_secret(section, "token", own, faults)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(url: &str, raw: &RawInfluxdb) -> Result<InfluxdbSettings, Vec<String>> {
        InfluxdbSettings::try_new(&ServerUrl::parse(url).unwrap(), raw, Durability::Warn)
    }

    #[test]
    fn a_url_names_host_organisation_and_bucket() {
        let plain = settings("influxdb://metrics/hospital/wardhouse", &RawInfluxdb::default()).unwrap();
        assert_eq!((plain.base().as_str(), plain.org.as_str(), plain.bucket.as_str(), plain.is_local), ("http://metrics:8086", "hospital", "wardhouse", false));
        assert_eq!((plain.hourly_bucket().as_str(), plain.database()), ("wardhouse_1h", ("wardhouse", "autogen")));
        let full = settings("influxdb://:s3cret@[::1]:9000/St.%20Mary/a%2Fb?tls=true", &RawInfluxdb::default()).unwrap();
        assert_eq!((full.base().as_str(), full.org.as_str(), full.database(), full.is_local), ("https://[::1]:9000", "St. Mary", ("a", "b"), true));
        assert!(full.token.is_some() && full.tls == Some(Tls::default()));
        assert!(!format!("{full:?} {full}").contains("s3cret"));
    }

    #[test]
    fn the_section_says_the_rest() {
        let raw = RawInfluxdb { token: Some("s3cret".into()), tls: true, ca_file: Some("ca.pem".into()), retention_days: 0, ..RawInfluxdb::default() };
        let found = settings("influxdb://h/o/b", &raw).unwrap();
        assert!(found.token.is_some() && found.tls.is_some_and(|tls| tls.ca_file.is_some()) && found.retention_days == 0);
        assert!(settings("influxdb://:s3cret@h/o/b", &raw).is_ok());
    }

    #[test]
    fn every_fault_is_told() {
        let raw = RawInfluxdb {
            token: Some("a".into()),
            token_file: Some("b".into()),
            ca_file: Some("c".into()),
            batch_points: 1,
            retention_days: 99_999,
            connect_timeout_ms: 0,
            ..RawInfluxdb::default()
        };
        let faults = settings("influxdb://user@h,i/o?tls=maybe&namespace=x", &raw).unwrap_err();
        for part in [
            "expected one host, found 2",
            "unknown namespace: known are tls",
            "expected an organisation and a bucket",
            "tls: expected true or false",
            "influxdb.ca_file",
            "influxdb.token and influxdb.token_file are both set",
            "remove the user",
            "influxdb.batch_points = 1",
            "influxdb.retention_days = 99999",
            "influxdb.connect_timeout_ms = 0",
        ] {
            assert!(faults.iter().any(|fault| fault.contains(part)), "{part}: {faults:?}");
        }
        assert!(settings("influxdb://h/o/_b", &RawInfluxdb::default()).unwrap_err()[0].contains("begin with _"));
        assert!(settings("influxdb://a b/o/b", &RawInfluxdb::default()).unwrap_err()[0].contains("no name or address"));
        let another = RawInfluxdb { token: Some("a".into()), ..RawInfluxdb::default() };
        assert!(settings("influxdb://:b@h/o/b", &another).unwrap_err()[0].contains("keep one"));
    }
}
