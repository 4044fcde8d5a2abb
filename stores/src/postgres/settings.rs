//! What the section `[postgres]` and the URL of `stores.ledger` ask for.
//!
//! What must stay true: reading them does no I/O; every fault is told at once; no secret shows in what is printed.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::credentials;
use crate::faults::Faults;
use crate::finding::Durability;
use crate::place::Role;
use crate::secret::Secret;
use crate::section::Section;
use crate::server_url::ServerUrl;
use crate::tls::{self, Files, Tls};

/// Port of a URL that names none.
const DEFAULT_PORT: u16 = 5432;
/// What a URL may say behind its `?`.
const QUERY: [&str; 1] = ["tls"];
/// Longest name that PostgreSQL keeps of an application.
const NAME_BYTES: usize = 63;

/// The section `[postgres]` as it is written.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawPostgres {
    /// Who connects; the operating system's user where nobody is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The password.
    #[serde(skip_serializing)]
    pub password: Option<SecretString>,
    /// A file whose first line is the password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// Whether the connection is encrypted, and the server's certificate and name checked.
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
    /// URL of a read replica for SQL; user, password and TLS are those of `stores.ledger` unless it names its own.
    #[serde(skip_serializing)]
    pub read_url: Option<SecretString>,
    /// Name under which the server lists these connections.
    pub application_name: String,
    /// How long a connection may take to be made.
    pub connect_timeout_ms: u64,
    /// How long the sink lets one statement take before it begins anew.
    pub statement_timeout_ms: u64,
    /// How long an analyst's query may take on the server, its rows' way included; 0 for ever.
    pub query_timeout_ms: u64,
    /// How many connections SQL has at most. The sink has one of its own.
    pub read_connections: u64,
    /// How many rows one statement of the sink writes; a batch of more takes several, in one transaction.
    pub batch_rows: u64,
}

impl Default for RawPostgres {
    fn default() -> Self {
        RawPostgres {
            user: None,
            password: None,
            password_file: None,
            tls: false,
            ca_file: None,
            cert_file: None,
            key_file: None,
            read_url: None,
            application_name: "wardhouse".to_owned(),
            connect_timeout_ms: 5_000,
            statement_timeout_ms: 30_000,
            query_timeout_ms: 600_000,
            read_connections: 16,
            batch_rows: 2_000,
        }
    }
}

/// A database and how it is reached.
#[derive(Clone, Debug)]
pub struct Server {
    /// Names or addresses without brackets, and ports: tried in this order.
    pub hosts: Vec<(String, u16)>,
    /// Name of the database.
    pub database: String,
    /// Who connects.
    pub user: Option<String>,
    /// The password.
    pub password: Secret,
    /// Encryption, if any.
    pub tls: Option<Tls>,
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("postgres://")?;
        for (i, (host, port)) in self.hosts.iter().enumerate() {
            let comma = if i > 0 { "," } else { "" };
            if host.contains(':') { write!(f, "{comma}[{host}]:{port}")? } else { write!(f, "{comma}{host}:{port}")? }
        }
        write!(f, "/{}", self.database)
    }
}

/// A PostgreSQL server and how it is used.
#[derive(Clone, Debug)]
pub struct PostgresSettings {
    /// Where rows are written.
    pub server: Server,
    /// Where SQL reads, if that is another server.
    pub replica: Option<Server>,
    /// Name under which the server lists these connections.
    pub application_name: String,
    /// How long a connection may take to be made.
    pub connect_timeout: Duration,
    /// How long the sink lets one statement take.
    pub statement_timeout: Duration,
    /// How long an analyst's query may take; `None` for ever.
    pub query_timeout: Option<Duration>,
    /// How many connections SQL has at most.
    pub read_connections: usize,
    /// How many rows one statement of the sink writes.
    pub batch_rows: usize,
    /// What a start does about a server that may lose what it acknowledged.
    pub durability: Durability,
}

impl PostgresSettings {
    /// What the URL and the section ask for. No I/O.
    ///
    /// # Errors
    /// A sentence for each fault, beginning with the setting's name.
    pub fn try_new(url: &ServerUrl, raw: &RawPostgres, durability: Durability) -> Result<PostgresSettings, Vec<String>> {
        let mut faults = Faults::new();
        let section = Section { name: "postgres", setting: "stores.ledger", url };
        let (user, password) = credentials::user_and_password(&section, raw.user.as_deref(), raw.password.as_ref(), raw.password_file.as_deref(), &mut faults);
        let files = Files { ca: raw.ca_file.as_deref(), certificate: raw.cert_file.as_deref(), key: raw.key_file.as_deref() };
        let wanted = tls::wanted(&section, raw.tls, &mut faults).unwrap_or(raw.tls);
        let tls = tls::with_files(&section, wanted, files, &mut faults);
        let server = Server { user, password, tls, ..address("stores.ledger", url, &mut faults) };
        let replica = raw.read_url.as_ref().and_then(|read_url| replica(read_url, raw, &server, &mut faults));
        let application_name = raw.application_name.clone();
        if application_name.is_empty() || application_name.len() > NAME_BYTES || application_name.contains('\0') {
            faults.add(format!("postgres.application_name: expected 1 to {NAME_BYTES} bytes"));
        }
        let mut millis = |name: &str, value: u64, from: u64| Duration::from_millis(faults.within(name, value, from, 86_400_000));
        let connect_timeout = millis("postgres.connect_timeout_ms", raw.connect_timeout_ms, 10);
        let statement_timeout = millis("postgres.statement_timeout_ms", raw.statement_timeout_ms, 100);
        let query_timeout = millis("postgres.query_timeout_ms", raw.query_timeout_ms, 0);
        let mut count = |name: &str, value: u64, from: u64, to: u64| usize::try_from(faults.within(name, value, from, to)).unwrap_or(1);
        let read_connections = count("postgres.read_connections", raw.read_connections, 1, 1_000);
        let batch_rows = count("postgres.batch_rows", raw.batch_rows, 1, 50_000);
        faults.unless_any(PostgresSettings {
            server,
            replica,
            application_name,
            connect_timeout,
            statement_timeout,
            query_timeout: (!query_timeout.is_zero()).then_some(query_timeout),
            read_connections,
            batch_rows,
            durability,
        })
    }

    /// Where rows are written, for a message.
    #[must_use]
    pub fn place(&self) -> String {
        self.server.to_string()
    }

    /// Where SQL reads.
    #[must_use]
    pub fn reader(&self) -> &Server {
        self.replica.as_ref().unwrap_or(&self.server)
    }
}

/// Hosts and database of a URL. Who connects, and how, is added by the caller.
fn address(name: &str, url: &ServerUrl, faults: &mut Faults) -> Server {
    for unknown in url.unknown_query(&QUERY) {
        let hint = if unknown == "sslmode" { "write tls=true in its place" } else { "known is tls" };
        faults.add(format!("{name} = {url}: unknown {unknown}: {hint}"));
    }
    let database = match url.path() {
        [database] => database.clone(),
        _ => {
            faults.add(format!("{name} = {url}: expected the name of a database and nothing behind it, as in {}", Role::Ledger.example()));
            String::new()
        }
    };
    let bare = |host: &str| host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let hosts = url.hosts().iter().map(|host| (bare(&host.name), host.port.unwrap_or(DEFAULT_PORT))).collect();
    Server { hosts, database, user: None, password: Secret::None, tls: None }
}

fn replica(read_url: &SecretString, raw: &RawPostgres, server: &Server, faults: &mut Faults) -> Option<Server> {
    let url = match ServerUrl::parse(read_url.expose_secret()) {
        Ok(url) if Role::Ledger.server_schemes().contains(&url.scheme()) => url,
        Ok(_) => {
            faults.add(format!("postgres.read_url: expected a URL such as {}", Role::Ledger.example()));
            return None;
        }
        Err(reason) => {
            faults.add(format!("postgres.read_url: not a URL ({reason}); expected one such as {}", Role::Ledger.example()));
            return None;
        }
    };
    let found = address("postgres.read_url", &url, faults);
    let encrypted = faults.take(tls::said("postgres.read_url", &url)).unwrap_or(server.tls.is_some());
    let tls = encrypted.then(|| Tls { ca_file: raw.ca_file.clone(), identity: raw.cert_file.clone().zip(raw.key_file.clone()) });
    let user = url.user().map(str::to_owned).or_else(|| server.user.clone());
    let password = url.password().map_or_else(|| server.password.clone(), Secret::Value);
    Some(Server { user, password, tls, ..found })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(url: &str, raw: &RawPostgres) -> Result<PostgresSettings, Vec<String>> {
        PostgresSettings::try_new(&ServerUrl::parse(url).unwrap(), raw, Durability::Warn)
    }

    #[test]
    fn a_url_alone_is_enough() {
        let plain = settings("postgres://db/wardhouse", &RawPostgres::default()).unwrap();
        assert_eq!((plain.place().as_str(), plain.server.user.as_deref(), plain.server.tls.as_ref()), ("postgres://db:5432/wardhouse", None, None));
        let full = settings("postgresql://us%40er:p%2Fw@a:7000,[::1]/x?tls=true", &RawPostgres::default()).unwrap();
        assert_eq!(full.place(), "postgres://a:7000,[::1]:5432/x");
        assert_eq!((full.server.user.as_deref(), full.server.tls.as_ref()), (Some("us@er"), Some(&Tls::default())));
        assert!(!format!("{full:?}").contains("p/w"));
    }

    #[test]
    fn a_replica_takes_what_it_does_not_say_itself_from_the_server() {
        let raw = RawPostgres { read_url: Some("postgres://other/wardhouse".into()), tls: true, query_timeout_ms: 0, ..RawPostgres::default() };
        let found = settings("postgres://wardhouse:s3cret@db/wardhouse", &raw).unwrap();
        let replica = found.replica.as_ref().unwrap();
        assert_eq!((found.reader().to_string().as_str(), replica.user.as_deref()), ("postgres://other:5432/wardhouse", Some("wardhouse")));
        assert!(replica.password.is_some() && replica.tls.is_some() && found.query_timeout.is_none());
        let raw = RawPostgres { read_url: Some("postgres://reader:word@other/w?tls=false".into()), ..raw };
        let found = settings("postgres://wardhouse:s3cret@db/wardhouse", &raw).unwrap();
        assert_eq!((found.reader().user.as_deref(), found.reader().tls.as_ref()), (Some("reader"), None));
        assert!(!format!("{found:?} {raw:?}").contains("word@"));
    }

    #[test]
    fn every_fault_is_told() {
        let raw = RawPostgres {
            user: Some("one".into()),
            password: Some("a".into()),
            password_file: Some("b".into()),
            cert_file: Some("c".into()),
            read_url: Some("redis://h/1".into()),
            application_name: String::new(),
            read_connections: 0,
            connect_timeout_ms: 1,
            ..RawPostgres::default()
        };
        let faults = settings("postgres://other@a/x/y?tls=maybe&sslmode=require&schema=s", &raw).unwrap_err();
        for part in [
            "expected the name of a database and nothing behind it",
            "unknown schema: known is tls",
            "unknown sslmode: write tls=true",
            "tls: expected true or false",
            "postgres.key_file",
            "postgres.tls = false",
            "postgres.user: stores.ledger names another user",
            "postgres.password and postgres.password_file are both set",
            "postgres.read_url: expected a URL such as postgres://",
            "postgres.application_name",
            "postgres.read_connections = 0",
            "postgres.connect_timeout_ms = 1",
        ] {
            assert!(faults.iter().any(|fault| fault.contains(part)), "{part}: {faults:?}");
        }
        assert!(settings("postgres://a", &RawPostgres::default()).is_err());
        assert!(settings("postgres://:other@a/b", &RawPostgres { password: Some("a".into()), ..RawPostgres::default() }).is_err());
    }
}
