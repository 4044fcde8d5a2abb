//! What a MongoDB server takes: the URL with the options that every MongoDB client knows, and the section `[mongodb]`.
//!
//! What must stay true: no I/O, and no secret in `Debug` or in a fault; what is written reaches a majority and their journals before it
//! counts, unless somebody asked for less; rows and positions are read from the primary, so that a position never runs ahead of its rows.
//! Where the URL and the section say different things of users, TLS and durability, that is a fault; of sizes and times, the URL wins.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use ::mongodb::options::{Compressor, ConnectionString, Tls, TlsOptions};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::agreement::{self, agree};
use crate::{Durability, Faults, Secret, ServerUrl};

/// Databases that belong to MongoDB itself.
const RESERVED: [&str; 3] = ["admin", "local", "config"];

/// The section `[mongodb]` as it stands in the settings.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawMongodb {
    /// The user, where the URL has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Its password.
    #[serde(skip_serializing)]
    pub password: Option<SecretString>,
    /// The file whose first line is its password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// The database that knows the user, `authSource` in the URL. Without it, the URL's own database.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_source: Option<String>,
    /// Name of the replica set, `replicaSet` in the URL. Without it, whatever the hosts are part of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replica_set: Option<String>,
    /// Whether the connection is encrypted.
    pub tls: bool,
    /// Certificates (PEM) that are trusted instead of the well-known ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// Our own certificate with its key (PEM), for a server that asks for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert_key_file: Option<PathBuf>,
    /// `none` or `zstd`.
    pub compression: String,
    /// How many members must have a write: `majority`, a number, or the name of a rule of the replica set.
    pub write_concern: String,
    /// Whether they must have it in their journals.
    pub journal: bool,
    /// Most connections to one server.
    pub pool_size: u64,
    /// Connections that are unused for so long are closed.
    pub idle_timeout_ms: u64,
    /// How long making one connection may take.
    pub connect_timeout_ms: u64,
    /// How long to wait for a server that can be written.
    pub server_selection_timeout_ms: u64,
    /// How long one write, or one look-up, may take.
    pub operation_timeout_ms: u64,
    /// How long one page of a query's rows may take.
    pub query_timeout_ms: u64,
    /// Most documents of one insert.
    pub batch_documents: u64,
    /// Inserts of one batch that are on their way at a time.
    pub parallel_inserts: u64,
}

impl Default for RawMongodb {
    fn default() -> Self {
        RawMongodb {
            user: None,
            password: None,
            password_file: None,
            auth_source: None,
            replica_set: None,
            tls: false,
            ca_file: None,
            cert_key_file: None,
            compression: "none".to_owned(),
            write_concern: "majority".to_owned(),
            journal: true,
            pool_size: 10,
            idle_timeout_ms: 600_000,
            connect_timeout_ms: 5_000,
            server_selection_timeout_ms: 5_000,
            operation_timeout_ms: 30_000,
            query_timeout_ms: 300_000,
            batch_documents: 1_000,
            parallel_inserts: 2,
        }
    }
}

/// Settings that were validated.
#[derive(Clone)]
pub struct MongodbSettings {
    url: ServerUrl,
    connection: ConnectionString,
    database: String,
    password: Secret,
    operation_timeout: Duration,
    query_timeout: Duration,
    batch_documents: usize,
    parallel_inserts: usize,
    retention: Option<Duration>,
    durability: Durability,
}

impl MongodbSettings {
    /// Validates the URL of `stores.documents` and the section. No I/O.
    ///
    /// # Errors
    /// Every fault, a sentence each.
    pub fn try_new(url: &ServerUrl, raw: &RawMongodb, durability: Durability) -> Result<MongodbSettings, Vec<String>> {
        let mut faults = Faults::new();
        let parsed = ConnectionString::parse(url.expose()).map_err(|error| format!("stores.documents = {url:?}: {}", agreement::told(&error)));
        let understood = parsed.is_ok();
        let mut connection = faults.take(parsed);
        let database = connection.default_database.clone().unwrap_or_default();
        if understood && (database.is_empty() || database.len() > 63 || RESERVED.contains(&database.as_str())) {
            faults.add(format!("stores.documents = {url:?}: expected the name of a database behind the host, e.g. mongodb://host/wardhouse, found {database:?}"));
        }
        let password = agreement::credentials(&mut connection, url.query("authSource"), raw, &mut faults);
        agreement::encryption(&mut connection, raw, &mut faults);
        if let Some(name) = &raw.replica_set {
            agree("mongodb.replica_set", "replicaSet", name, &mut connection.replica_set, &mut faults);
        }
        if raw.compression == "zstd" {
            connection.compressors.get_or_insert_with(|| vec![Compressor::Zstd { level: None }]);
        } else if raw.compression != "none" {
            faults.add(format!("mongodb.compression = {:?}: expected none or zstd", raw.compression));
        }
        let mut millis = |name: &str, value: u64, from: u64, to: u64| Duration::from_millis(faults.within(&format!("mongodb.{name}"), value, from, to));
        let operation_timeout = millis("operation_timeout_ms", raw.operation_timeout_ms, 100, 600_000);
        let query_timeout = millis("query_timeout_ms", raw.query_timeout_ms, 1_000, 86_400_000);
        let connect_timeout = millis("connect_timeout_ms", raw.connect_timeout_ms, 100, 300_000);
        let selection_timeout = millis("server_selection_timeout_ms", raw.server_selection_timeout_ms, 100, 300_000);
        let idle_timeout = millis("idle_timeout_ms", raw.idle_timeout_ms, 1_000, 86_400_000);
        let mut count = |name: &str, value: u64, to: u64| faults.within(&format!("mongodb.{name}"), value, 1, to);
        let pool_size = count("pool_size", raw.pool_size, 1_000);
        let batch_documents = count("batch_documents", raw.batch_documents, 100_000);
        let parallel_inserts = count("parallel_inserts", raw.parallel_inserts, 16);
        // The client has no time limit for a reply of its own: what the URL says of it is our limit for an operation.
        #[expect(deprecated, reason = "the client deprecates the field because it does nothing with it")]
        let operation_timeout = connection.socket_timeout.take().unwrap_or(operation_timeout);
        connection.connect_timeout.get_or_insert(connect_timeout);
        connection.server_selection_timeout.get_or_insert(selection_timeout);
        connection.max_idle_time.get_or_insert(idle_timeout);
        connection.max_pool_size.get_or_insert(u32::try_from(pool_size).unwrap_or(u32::MAX));
        connection.app_name.get_or_insert_with(|| "wardhouse".to_owned());
        agreement::acknowledgement(&mut connection, raw, operation_timeout, durability, &mut faults);
        agreement::reading(&mut connection, &mut faults);
        faults.unless_any(MongodbSettings {
            url: url.clone(),
            connection,
            database,
            password,
            operation_timeout,
            query_timeout,
            batch_documents: usize::try_from(batch_documents).unwrap_or(usize::MAX),
            parallel_inserts: usize::try_from(parallel_inserts).unwrap_or(usize::MAX),
            retention: None,
            durability,
        })
    }

    /// The same, with rows that are kept for so long.
    #[must_use]
    pub fn with_retention(self, retention: Option<Duration>) -> MongodbSettings {
        MongodbSettings { retention, ..self }
    }

    /// The same, of another database. Who logs in is known to the one that the URL names all the same.
    #[must_use]
    pub fn with_database(self, database: String) -> MongodbSettings {
        MongodbSettings { database, ..self }
    }

    /// The URL.
    #[must_use]
    pub fn url(&self) -> &ServerUrl {
        &self.url
    }

    /// What a message names: the role, and the server without secrets.
    #[must_use]
    pub fn place(&self) -> String {
        format!("documents ({})", self.url)
    }

    /// The database.
    #[must_use]
    pub fn database(&self) -> &str {
        &self.database
    }

    /// What the client is made of, but for the password.
    #[must_use]
    pub fn connection(&self) -> &ConnectionString {
        &self.connection
    }

    /// Where the password is.
    #[must_use]
    pub fn password(&self) -> &Secret {
        &self.password
    }

    /// How long one write, or one look-up, may take.
    #[must_use]
    pub fn operation_timeout(&self) -> Duration {
        self.operation_timeout
    }

    /// How long one page of a query's rows may take.
    #[must_use]
    pub fn query_timeout(&self) -> Duration {
        self.query_timeout
    }

    /// Most documents of one insert.
    #[must_use]
    pub fn batch_documents(&self) -> usize {
        self.batch_documents
    }

    /// Inserts of one batch that are on their way at a time.
    #[must_use]
    pub fn parallel_inserts(&self) -> usize {
        self.parallel_inserts
    }

    /// How long rows are kept; `None` for ever.
    #[must_use]
    pub fn retention(&self) -> Option<Duration> {
        self.retention
    }

    /// What a start does about weaknesses.
    #[must_use]
    pub fn durability(&self) -> Durability {
        self.durability
    }

    /// The options of an encrypted connection.
    #[must_use]
    pub fn tls(&self) -> Option<&TlsOptions> {
        match &self.connection.tls {
            Some(Tls::Enabled(options)) => Some(options),
            _ => None,
        }
    }

    /// What makes a write count before it is safe; empty where nothing does.
    #[must_use]
    pub fn weaknesses(&self) -> Vec<&'static str> {
        agreement::weaknesses(self.connection.write_concern.as_ref())
    }
}

impl fmt::Debug for MongodbSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MongodbSettings").field("url", &self.url).field("database", &self.database).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
