//! What the section `[elasticsearch]` and the URL of `stores.search` ask for.
//!
//! What must stay true: reading them does no I/O; every fault is told at once; no secret shows in what is printed.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use url::Url;

use super::rollover::Rollover;
use crate::credentials;
use crate::faults::Faults;
use crate::finding::Durability;
use crate::secret::Secret;
use crate::section::Section;
use crate::server_url::{Host, ServerUrl};
use crate::tls::{self, Files, Tls};

/// Port of a URL that names none.
const DEFAULT_PORT: u16 = 9200;
/// What a URL may say behind its `?`.
const QUERY: [&str; 2] = ["namespace", "tls"];
/// What the names of all indexes begin with unless the URL says otherwise.
const DEFAULT_NAMESPACE: &str = "wardhouse";
/// Longest namespace.
const NAMESPACE_BYTES: usize = 60;

/// The section `[elasticsearch]` as it is written.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawElasticsearch {
    /// User, where the server asks for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Its password.
    #[serde(skip_serializing)]
    pub password: Option<SecretString>,
    /// A file whose first line is the password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// An API key as the server encodes it, in place of user and password.
    #[serde(skip_serializing)]
    pub api_key: Option<SecretString>,
    /// A file whose first line is the API key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key_file: Option<PathBuf>,
    /// Whether the connection is encrypted.
    pub tls: bool,
    /// Certificates (PEM) of who may vouch for the server, beside the well-known ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// Certificate (PEM) by which the server knows this client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert_file: Option<PathBuf>,
    /// Key (PEM) of that certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
    /// How long the first answer of a server may take.
    pub connect_timeout_ms: u64,
    /// How long any other answer may take.
    pub request_timeout_ms: u64,
    /// Whether bodies are compressed (gzip), in both directions: less to send, more to compute.
    pub compression: bool,
    /// How much one `_bulk` request holds at most.
    pub bulk_kib: u64,
    /// How many alerts one answer to SQL holds at most.
    pub page_rows: u64,
    /// Which alerts stand in one index: those of one day, week or month. Fixed once there are any.
    pub rollover: Rollover,
    /// Primary shards of each new index.
    pub shards: u64,
    /// Copies of each shard beside the primary, on other nodes.
    pub replicas: u64,
}

impl Default for RawElasticsearch {
    fn default() -> Self {
        RawElasticsearch {
            user: None,
            password: None,
            password_file: None,
            api_key: None,
            api_key_file: None,
            tls: false,
            ca_file: None,
            cert_file: None,
            key_file: None,
            connect_timeout_ms: 5_000,
            request_timeout_ms: 30_000,
            compression: false,
            bulk_kib: 5_120,
            page_rows: 2_000,
            rollover: Rollover::Month,
            shards: 1,
            replicas: 1,
        }
    }
}

/// Who connects.
#[derive(Clone, Debug, Default)]
pub enum Login {
    /// Nobody in particular.
    #[default]
    Nobody,
    /// A user with a password.
    User {
        /// Its name.
        name: String,
        /// Its password.
        password: Secret,
    },
    /// The holder of an API key.
    ApiKey(Secret),
}

/// An Elasticsearch cluster and how it is used.
#[derive(Clone, Debug)]
pub struct ElasticsearchSettings {
    /// Its nodes, each as a URL of HTTP without credentials; at least one.
    pub nodes: Vec<Url>,
    /// What the names of all indexes begin with.
    pub namespace: String,
    /// Who connects.
    pub login: Login,
    /// Encryption, if any.
    pub tls: Option<Tls>,
    /// How long the first answer may take.
    pub connect_timeout: Duration,
    /// How long any other answer may take.
    pub request_timeout: Duration,
    /// Whether bodies are compressed.
    pub compression: bool,
    /// How many bytes one `_bulk` request holds at most.
    pub bulk_bytes: usize,
    /// How many rows one page of a search holds at most.
    pub page_rows: usize,
    /// Which alerts stand in one index.
    pub rollover: Rollover,
    /// Primary shards of each new index.
    pub shards: u64,
    /// Copies of each shard.
    pub replicas: u64,
    /// What a start does about a server that may lose what it acknowledged.
    pub durability: Durability,
}

impl ElasticsearchSettings {
    /// What the URL and the section ask for. No I/O.
    ///
    /// # Errors
    /// A sentence for each fault, beginning with the setting's name.
    pub fn try_new(url: &ServerUrl, raw: &RawElasticsearch, durability: Durability) -> Result<ElasticsearchSettings, Vec<String>> {
        let mut faults = Faults::new();
        let unknown = url.unknown_query(&QUERY);
        if !unknown.is_empty() {
            faults.add(format!("stores.search = {url}: unknown {}: known are {}", unknown.join(", "), QUERY.join(", ")));
        }
        let namespace = faults.take(namespace(url));
        let section = Section { name: "elasticsearch", setting: "stores.search", url };
        let files = Files { ca: raw.ca_file.as_deref(), certificate: raw.cert_file.as_deref(), key: raw.key_file.as_deref() };
        let wanted = tls::wanted(&section, raw.tls, &mut faults).unwrap_or_default();
        let tls = tls::with_files(&section, wanted, files, &mut faults);
        let login = login(&section, raw, &mut faults);
        if raw.user.is_none() && url.user().is_none() && (raw.password.is_some() || raw.password_file.is_some()) {
            faults.add("elasticsearch.password: there is a password and no user: set elasticsearch.user");
        }
        let nodes = faults.take(nodes(url, tls.is_some()));
        let connect_timeout = Duration::from_millis(faults.within("elasticsearch.connect_timeout_ms", raw.connect_timeout_ms, 10, 600_000));
        let request_timeout = Duration::from_millis(faults.within("elasticsearch.request_timeout_ms", raw.request_timeout_ms, 100, 600_000));
        let mut count = |name: &str, value: u64, from: u64, to: u64| usize::try_from(faults.within(name, value, from, to)).unwrap_or(1);
        let bulk_bytes = count("elasticsearch.bulk_kib", raw.bulk_kib, 64, 98_304) * 1_024;
        let page_rows = count("elasticsearch.page_rows", raw.page_rows, 1, 10_000);
        let shards = faults.within("elasticsearch.shards", raw.shards, 1, 1_024);
        let replicas = faults.within("elasticsearch.replicas", raw.replicas, 0, 64);
        faults.unless_any(ElasticsearchSettings {
            nodes,
            namespace,
            login,
            tls,
            connect_timeout,
            request_timeout,
            compression: raw.compression,
            bulk_bytes,
            page_rows,
            rollover: raw.rollover,
            shards,
            replicas,
            durability,
        })
    }

    /// Where the cluster is, for a message.
    #[must_use]
    pub fn place(&self) -> String {
        self.to_string()
    }

    /// Name by which all indexes of alerts are read.
    #[must_use]
    pub fn alerts(&self) -> String {
        format!("{}-alerts", self.namespace)
    }

    /// Name of the index that holds how far the streams are visible.
    #[must_use]
    pub fn positions(&self) -> String {
        format!("{}-positions", self.namespace)
    }

    /// Name of the index of an alert whose scored record was appended then (microseconds UTC). A property of the record alone, so
    /// that an alert that is written again meets its own id.
    #[must_use]
    pub fn index_of(&self, append_time: i64) -> String {
        format!("{}-{}", self.alerts(), self.rollover.period_of(append_time))
    }

    /// The first instant behind the period of an index of alerts; `None` where it is no such index.
    #[must_use]
    pub fn end_of(&self, index: &str) -> Option<i64> {
        let period = index.strip_prefix(&self.alerts())?.strip_prefix('-')?;
        self.rollover.end_of(period)
    }
}

impl fmt::Display for ElasticsearchSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = |node: &Url| format!("{}:{}", node.host_str().unwrap_or_default(), node.port_or_known_default().unwrap_or(DEFAULT_PORT));
        let hosts: Vec<String> = self.nodes.iter().map(host).collect();
        let path = self.nodes.first().map_or("", Url::path).trim_end_matches('/');
        write!(f, "elasticsearch://{}{path}", hosts.join(","))?;
        if self.namespace == DEFAULT_NAMESPACE { Ok(()) } else { write!(f, "?namespace={}", self.namespace) }
    }
}

fn nodes(url: &ServerUrl, encrypted: bool) -> Result<Vec<Url>, String> {
    let scheme = if encrypted { "https" } else { "http" };
    let node = |host: &Host| {
        let text = format!("{scheme}://{}/", host.with_port(DEFAULT_PORT));
        let mut node = Url::parse(&text).map_err(|error| format!("stores.search = {url}: {} is no host: {error}", host.name))?;
        // What stands before the API where a proxy is between.
        if let Ok(mut segments) = node.path_segments_mut() {
            segments.pop_if_empty().extend(url.path()).push("");
        }
        Ok(node)
    };
    url.hosts().iter().map(node).collect()
}

fn namespace(url: &ServerUrl) -> Result<String, String> {
    let namespace = url.query("namespace").unwrap_or(DEFAULT_NAMESPACE);
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
    if namespace.len() > NAMESPACE_BYTES || !namespace.chars().all(plain) || namespace.starts_with(['-', '_']) || namespace.is_empty() {
        return Err(format!("stores.search = {url}: namespace: expected 1 to {NAMESPACE_BYTES} of a-z, 0-9, _ and -, beginning with a letter or digit"));
    }
    // The indexes of `a-alerts` would be among those of `a`.
    if format!("{namespace}-").contains("-alerts-") || format!("{namespace}-").contains("-positions-") {
        return Err(format!("stores.search = {url}: namespace: -alerts and -positions are what Wardhouse puts behind it: choose another"));
    }
    Ok(namespace.to_owned())
}

fn login(section: &Section<'_>, raw: &RawElasticsearch, faults: &mut Faults) -> Login {
    let (user, password) = credentials::user_and_password(section, raw.user.as_deref(), raw.password.as_ref(), raw.password_file.as_deref(), faults);
    let key = faults.take(Secret::try_new("elasticsearch.api_key", raw.api_key.as_ref(), raw.api_key_file.as_deref()));
    match (user, key.is_some()) {
        (Some(_), true) => {
            faults.add("elasticsearch.api_key: there is a user too: keep one");
            Login::Nobody
        }
        (Some(name), false) => {
            if !password.is_some() {
                faults.add("elasticsearch.user: there is a user and no password: set elasticsearch.password or elasticsearch.password_file");
            }
            Login::User { name, password }
        }
        (None, true) => Login::ApiKey(key),
        (None, false) => Login::Nobody,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(url: &str, raw: &RawElasticsearch) -> Result<ElasticsearchSettings, Vec<String>> {
        ElasticsearchSettings::try_new(&ServerUrl::parse(url).unwrap(), raw, Durability::Warn)
    }

    #[test]
    fn a_url_alone_is_enough() {
        let plain = settings("elasticsearch://search", &RawElasticsearch::default()).unwrap();
        assert_eq!((plain.nodes[0].as_str(), plain.namespace.as_str(), &plain.tls), ("http://search:9200/", "wardhouse", &None));
        assert_eq!((plain.alerts(), plain.positions(), plain.place()), ("wardhouse-alerts".into(), "wardhouse-positions".into(), "elasticsearch://search:9200".into()));
        let full = settings("elasticsearch://us%40er:p%2Fw@a:7000,[::1]/es/x?namespace=t-1&tls=true", &RawElasticsearch::default()).unwrap();
        let nodes: Vec<&str> = full.nodes.iter().map(Url::as_str).collect();
        assert_eq!(nodes, ["https://a:7000/es/x/", "https://[::1]:9200/es/x/"]);
        assert!(matches!(&full.login, Login::User { name, .. } if name == "us@er"));
        assert_eq!((full.tls.clone(), full.place().as_str()), (Some(Tls::default()), "elasticsearch://a:7000,[::1]:9200/es/x?namespace=t-1"));
        assert!(!format!("{full:?} {full}").contains("p/w"));
    }

    #[test]
    fn an_index_holds_one_period() {
        let settings = settings("elasticsearch://search?namespace=x", &RawElasticsearch::default()).unwrap();
        assert_eq!(settings.index_of(1_769_904_000_000_000), "x-alerts-2026.02");
        assert_eq!(settings.end_of("x-alerts-2026.02"), Some(1_772_323_200_000_000));
        for other in ["x-alerts", "x-alerts-backup", "x-positions", "y-alerts-2026.02", "x-alerts-2026.02.01"] {
            assert_eq!(settings.end_of(other), None, "{other}");
        }
    }

    #[test]
    fn the_section_says_the_rest() {
        let raw = RawElasticsearch { api_key: Some("a2V5".into()), tls: true, ca_file: Some("ca.pem".into()), bulk_kib: 64, ..RawElasticsearch::default() };
        let found = settings("elasticsearch://search", &raw).unwrap();
        assert!(matches!(found.login, Login::ApiKey(_)) && found.tls.is_some_and(|tls| tls.ca_file.is_some()));
        assert_eq!(found.bulk_bytes, 65_536);
        let raw = RawElasticsearch { user: Some("wardhouse".into()), password: Some("s3cret".into()), ..RawElasticsearch::default() };
        assert!(settings("elasticsearch://wardhouse:s3cret@search", &raw).is_ok());
    }

    #[test]
    fn every_fault_is_told() {
        let raw = RawElasticsearch {
            user: Some("one".into()),
            password: Some("a".into()),
            password_file: Some("b".into()),
            api_key: Some("c".into()),
            api_key_file: Some("d".into()),
            cert_file: Some("e".into()),
            bulk_kib: 1,
            page_rows: 0,
            request_timeout_ms: 1,
            shards: 0,
            ..RawElasticsearch::default()
        };
        let faults = settings("elasticsearch://other@a?tls=maybe&namespace=Up&index=1", &raw).unwrap_err();
        for part in [
            "unknown index: known are namespace, tls",
            "namespace: expected 1 to 60",
            "tls: expected true or false",
            "elasticsearch.key_file",
            "elasticsearch.tls = false",
            "elasticsearch.user: stores.search names another user",
            "elasticsearch.password and elasticsearch.password_file are both set",
            "elasticsearch.api_key and elasticsearch.api_key_file are both set",
            "elasticsearch.bulk_kib = 1",
            "elasticsearch.page_rows = 0",
            "elasticsearch.request_timeout_ms = 1",
            "elasticsearch.shards = 0",
        ] {
            assert!(faults.iter().any(|fault| fault.contains(part)), "{part}: {faults:?}");
        }
        let told = |url: &str, raw: &RawElasticsearch| settings(url, raw).unwrap_err().join("\n");
        assert!(told("elasticsearch://one@a", &RawElasticsearch::default()).contains("no password"));
        assert!(told("elasticsearch://a?namespace=x-alerts", &RawElasticsearch::default()).contains("choose another"));
        assert!(told("elasticsearch://a", &RawElasticsearch { password: Some("a".into()), ..RawElasticsearch::default() }).contains("no user"));
        let both = RawElasticsearch { user: Some("u".into()), password: Some("a".into()), api_key: Some("k".into()), ..RawElasticsearch::default() };
        assert!(told("elasticsearch://a", &both).contains("there is a user too"));
    }
}
