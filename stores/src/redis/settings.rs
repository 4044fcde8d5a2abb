//! What the section `[redis]` and the URL of `stores.baselines` ask for.
//!
//! What must stay true: reading them does no I/O; every fault is told at once; no secret shows in what is printed.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::credentials;
use crate::faults::Faults;
use crate::finding::Durability;
use crate::secret::Secret;
use crate::section::Section;
use crate::server_url::ServerUrl;
use crate::tls::{self, Files, Tls};

/// Port of a URL that names none.
const DEFAULT_PORT: u16 = 6379;
/// What a URL may say behind its `?`.
const QUERY: [&str; 2] = ["namespace", "tls"];
/// First part of every key unless the URL says otherwise.
const DEFAULT_NAMESPACE: &str = "wardhouse";
/// Longest namespace.
const NAMESPACE_BYTES: usize = 60;

/// The section `[redis]` as it is written.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawRedis {
    /// User of Redis' access control list; `default` where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Its password.
    #[serde(skip_serializing)]
    pub password: Option<SecretString>,
    /// A file whose first line is the password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// Whether the connection is encrypted.
    pub tls: bool,
    /// Certificates (PEM) of who may vouch for the server, in place of the well-known ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// Certificate (PEM) by which the server knows this client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert_file: Option<PathBuf>,
    /// Key (PEM) of that certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
    /// How long a connection may take to be made.
    pub connect_timeout_ms: u64,
    /// How long an answer may take.
    pub response_timeout_ms: u64,
    /// How many connections SQL shares. The scorer has one of its own.
    pub connections: u64,
    /// How many users one round trip reads.
    pub page_users: u64,
    /// How many users one script writes; a larger checkpoint comes in several parts. Redis does nothing else meanwhile: about 16 µs a user.
    pub part_users: u64,
}

impl Default for RawRedis {
    fn default() -> Self {
        RawRedis {
            user: None,
            password: None,
            password_file: None,
            tls: false,
            ca_file: None,
            cert_file: None,
            key_file: None,
            connect_timeout_ms: 2_000,
            response_timeout_ms: 10_000,
            connections: 2,
            page_users: 500,
            part_users: 5_000,
        }
    }
}

/// A Redis server and how it is used.
#[derive(Clone, Debug)]
pub struct RedisSettings {
    /// Its name or address, without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Number of the database in it.
    pub database: u16,
    /// First part of every key.
    pub namespace: String,
    /// Who connects.
    pub user: Option<String>,
    /// The password.
    pub password: Secret,
    /// Encryption, if any.
    pub tls: Option<Tls>,
    /// How long a connection may take to be made.
    pub connect_timeout: Duration,
    /// How long an answer may take.
    pub response_timeout: Duration,
    /// How many connections SQL shares.
    pub connections: usize,
    /// How many users one round trip reads.
    pub page_users: usize,
    /// How many users one script writes.
    pub part_users: usize,
    /// What a start does about a server that may lose what it acknowledged.
    pub durability: Durability,
}

impl RedisSettings {
    /// What the URL and the section ask for. No I/O.
    ///
    /// # Errors
    /// A sentence for each fault, beginning with the setting's name.
    pub fn try_new(url: &ServerUrl, raw: &RawRedis, durability: Durability) -> Result<RedisSettings, Vec<String>> {
        let mut faults = Faults::new();
        let [host, ..] = url.hosts() else { return Err(vec![format!("stores.baselines = {url}: no host")]) };
        if url.hosts().len() > 1 {
            faults.add(format!("stores.baselines = {url}: expected one host, found {}: name the server that holds the data", url.hosts().len()));
        }
        let unknown = url.unknown_query(&QUERY);
        if !unknown.is_empty() {
            faults.add(format!("stores.baselines = {url}: unknown {}: known are {}", unknown.join(", "), QUERY.join(", ")));
        }
        let database = faults.take(match url.path() {
            [] => Ok(0),
            [number] => number.parse::<u16>().map_err(|_| format!("stores.baselines = {url}: {number:?} is no number of a database; expected one such as redis://host:6379/0")),
            _ => Err(format!("stores.baselines = {url}: expected nothing behind the number of the database")),
        });
        let namespace = url.query("namespace").unwrap_or(DEFAULT_NAMESPACE).to_owned();
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
        if namespace.is_empty() || namespace.len() > NAMESPACE_BYTES || !namespace.chars().all(plain) {
            faults.add(format!("stores.baselines = {url}: namespace: expected 1 to {NAMESPACE_BYTES} of a-z, 0-9, _ and -"));
        }
        let section = Section { name: "redis", setting: "stores.baselines", url };
        let files = Files { ca: raw.ca_file.as_deref(), certificate: raw.cert_file.as_deref(), key: raw.key_file.as_deref() };
        let wanted = tls::wanted(&section, raw.tls, &mut faults).unwrap_or_default();
        let tls = tls::with_files(&section, wanted, files, &mut faults);
        let (user, password) = credentials::user_and_password(&section, raw.user.as_deref(), raw.password.as_ref(), raw.password_file.as_deref(), &mut faults);
        if user.is_some() && !password.is_some() {
            faults.add("redis.user: there is a user and no password: set redis.password or redis.password_file");
        }
        let connect_timeout = Duration::from_millis(faults.within("redis.connect_timeout_ms", raw.connect_timeout_ms, 10, 600_000));
        let response_timeout = Duration::from_millis(faults.within("redis.response_timeout_ms", raw.response_timeout_ms, 100, 600_000));
        let mut count = |name: &str, value: u64, from: u64, to: u64| usize::try_from(faults.within(name, value, from, to)).unwrap_or(1);
        let connections = count("redis.connections", raw.connections, 1, 64);
        let page_users = count("redis.page_users", raw.page_users, 1, 10_000);
        let part_users = count("redis.part_users", raw.part_users, 1, 50_000);
        let name = host.name.trim_start_matches('[').trim_end_matches(']').to_owned();
        faults.unless_any(RedisSettings {
            host: name,
            port: host.port.unwrap_or(DEFAULT_PORT),
            database,
            namespace,
            user,
            password,
            tls,
            connect_timeout,
            response_timeout,
            connections,
            page_users,
            part_users,
            durability,
        })
    }

    /// Where the server is, for a message.
    #[must_use]
    pub fn place(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for RedisSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        write!(f, "redis://{host}:{}/{}", self.port, self.database)?;
        if self.namespace == DEFAULT_NAMESPACE { Ok(()) } else { write!(f, "?namespace={}", self.namespace) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(url: &str, raw: &RawRedis) -> Result<RedisSettings, Vec<String>> {
        RedisSettings::try_new(&ServerUrl::parse(url).unwrap(), raw, Durability::Warn)
    }

    #[test]
    fn a_url_alone_is_enough() {
        let plain = settings("redis://cache", &RawRedis::default()).unwrap();
        assert_eq!((plain.host.as_str(), plain.port, plain.database, plain.namespace.as_str(), plain.tls), ("cache", 6379, 0, "wardhouse", None));
        let full = settings("redis://us%40er:p%2Fw@[::1]:7000/3?namespace=t-1&tls=true", &RawRedis::default()).unwrap();
        assert_eq!((full.host.as_str(), full.port, full.database, full.namespace.as_str(), full.user.as_deref()), ("::1", 7000, 3, "t-1", Some("us@er")));
        assert_eq!(full.tls, Some(Tls::default()));
        assert_eq!(full.place(), "redis://[::1]:7000/3?namespace=t-1");
        assert!(!format!("{full:?}").contains("p/w"));
    }

    #[test]
    fn the_section_says_the_rest() {
        let raw = RawRedis { user: Some("wardhouse".into()), password: Some("s3cret".into()), tls: true, ca_file: Some("ca.pem".into()), ..RawRedis::default() };
        let found = settings("redis://cache", &raw).unwrap();
        assert_eq!(found.user.as_deref(), Some("wardhouse"));
        assert!(found.password.is_some() && found.tls.is_some_and(|tls| tls.ca_file.is_some()));
        assert!(settings("redis://wardhouse:s3cret@cache", &raw).is_ok());
    }

    #[test]
    fn every_fault_is_told() {
        let raw = RawRedis {
            user: Some("one".into()),
            password: Some("a".into()),
            password_file: Some("b".into()),
            cert_file: Some("c".into()),
            connections: 0,
            response_timeout_ms: 1,
            ..RawRedis::default()
        };
        let faults = settings("redis://other@a,b/x/y?tls=maybe&namespace=Up&db=1", &raw).unwrap_err();
        for part in [
            "expected one host, found 2",
            "unknown db: known are namespace, tls",
            "expected nothing behind the number",
            "namespace: expected 1 to 60",
            "tls: expected true or false",
            "redis.key_file",
            "redis.tls = false",
            "redis.user: stores.baselines names another user",
            "redis.password and redis.password_file are both set",
            "redis.connections = 0",
            "redis.response_timeout_ms = 1",
        ] {
            assert!(faults.iter().any(|fault| fault.contains(part)), "{part}: {faults:?}");
        }
        let faults = settings("redis://one@a/db", &RawRedis::default()).unwrap_err();
        assert!(faults.len() == 2 && faults[0].contains("is no number of a database") && faults[1].contains("no password"), "{faults:?}");
        assert!(settings("redis://:other@a", &RawRedis { password: Some("a".into()), ..RawRedis::default() }).is_err());
    }
}
