//! How PostgreSQL is reached: a connection of the right kind, version and encoding, whose session is set as it is needed.
//!
//! What must stay true: no wait without an end; nothing that can be read is promised by a server that may forget it, unless
//! the settings say so; a session that reads cannot write.

use std::fs::File;
use std::path::Path;

use secrecy::ExposeSecret;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgRow, PgSslMode};
use sqlx::{ConnectOptions, Connection, Postgres, Row};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use wh_schemas::Reaction;

use super::errors;
use super::settings::{PostgresSettings, Server};
use crate::finding::{DURABILITY, Durability};

/// The oldest version that is supported, as the server numbers it: 13.0.
pub const OLDEST: u32 = 130_000;

/// Sets a session up and tells what must be known of its server. Whoever waits in a transaction for ten seconds is gone:
/// behind a link that is half open it would hold its partition's position.
const WRITING: &str = "SELECT current_setting('server_encoding'), current_setting('fsync'), current_setting('full_page_writes'), pg_is_in_recovery(), pg_backend_pid(), \
     set_config('search_path', 'public', false), set_config('statement_timeout', $1, false), set_config('idle_in_transaction_session_timeout', '10000', false), \
     set_config('default_transaction_isolation', 'read committed', false), set_config('default_transaction_read_only', 'off', false), set_config('synchronous_commit', \
     CASE WHEN current_setting('synchronous_commit') IN ('off', 'local') THEN 'on' ELSE current_setting('synchronous_commit') END, false)";
const READING: &str = "SELECT current_setting('server_encoding'), current_setting('fsync'), current_setting('full_page_writes'), pg_is_in_recovery(), pg_backend_pid(), \
     set_config('search_path', 'public', false), set_config('statement_timeout', $1, false), set_config('default_transaction_read_only', 'on', false), \
     set_config('plan_cache_mode', 'force_custom_plan', false)";

/// Eight bytes, and the number by which a client asks for encryption.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// What a session is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Writing,
    Reading,
}

/// A session that reads.
#[derive(Debug)]
pub struct ReadSession {
    /// Its connection.
    pub connection: PgConnection,
    /// Number of its process on the server, by which its statement can be cancelled.
    pub process: i32,
    /// The host that it is connected to, and its port.
    pub host: (String, u16),
}

/// Connects for writing: the first host that can be reached and is no standby.
///
/// # Errors
/// Transient while none can be reached, fatal where the server is of another kind, too old, or does not let this client in.
pub async fn connect(settings: &PostgresSettings) -> Result<PgConnection, Reaction> {
    first(settings, &settings.server, Way::Writing).await.map(|session| session.connection)
}

/// Connects for reading, to the replica where there is one.
///
/// # Errors
/// As [`connect`].
pub async fn connect_reader(settings: &PostgresSettings) -> Result<ReadSession, Reaction> {
    first(settings, settings.reader(), Way::Reading).await
}

/// Ends what the session is doing on the server. What fails is told and left: the server ends it when it finds nobody there.
pub async fn cancel(settings: &PostgresSettings, session: &ReadSession) {
    let server = Server { hosts: vec![session.host.clone()], ..settings.reader().clone() };
    let ended = async {
        let mut other = first(settings, &server, Way::Reading).await?.connection;
        let asked = sqlx::query::<Postgres>("SELECT pg_cancel_backend($1)").bind(session.process).execute(&mut other).await;
        asked.map_err(|error| errors::reaction(&server.to_string(), &error))
    };
    match tokio::time::timeout(settings.connect_timeout, ended).await {
        Ok(Ok(_)) => {}
        Ok(Err(reaction)) => tracing::debug!("a statement that nobody waits for could not be cancelled: {reaction}"),
        Err(_) => tracing::debug!("a statement that nobody waits for could not be cancelled in time"),
    }
}

async fn first(settings: &PostgresSettings, server: &Server, way: Way) -> Result<ReadSession, Reaction> {
    let mut failed: Option<Reaction> = None;
    for host in &server.hosts {
        let place = Server { hosts: vec![host.clone()], ..server.clone() }.to_string();
        let opened = tokio::time::timeout(settings.connect_timeout, open(settings, server, host, &place, way)).await;
        let reaction = match opened {
            Ok(Ok(session)) => return Ok(session),
            Ok(Err(reaction)) => reaction,
            Err(_) => Reaction::transient(format!("ledger ({place}): no answer within {} ms", settings.connect_timeout.as_millis())),
        };
        // While one of several may come back, there is something to wait for.
        failed = match failed {
            Some(waiting @ Reaction::Transient { .. }) => Some(waiting),
            _ => Some(reaction),
        };
    }
    Err(failed.unwrap_or_else(|| Reaction::fatal("stores.ledger names no host")))
}

async fn open(settings: &PostgresSettings, server: &Server, host: &(String, u16), place: &str, way: Way) -> Result<ReadSession, Reaction> {
    let told = |error: sqlx::Error| errors::connecting(place, &error);
    let options = options(settings, server, host)?;
    if server.tls.is_none() {
        probe(host, place).await?;
    }
    let mut connection = PgConnection::connect_with(&options).await.map_err(told)?;
    let number = connection.server_version_num().unwrap_or(0);
    if number < OLDEST {
        let (major, minor) = (number / 10_000, number % 10_000);
        return Err(Reaction::fatal(format!("ledger ({place}): PostgreSQL {major}.{minor} is too old: expected {} or newer, upgrade the server", OLDEST / 10_000)));
    }
    let kind = sqlx::query_scalar::<Postgres, String>("SELECT version()").fetch_one(&mut connection).await.map_err(told)?;
    if !kind.starts_with("PostgreSQL") {
        let found = kind.split_whitespace().next().unwrap_or_default();
        return Err(Reaction::fatal(format!("ledger ({place}): expected PostgreSQL, found {found}: name a PostgreSQL server in stores.ledger")));
    }
    let (session, timeout) = match way {
        Way::Writing => (WRITING, Some(settings.statement_timeout)),
        Way::Reading => (READING, settings.query_timeout),
    };
    let timeout = timeout.map_or(0, |timeout| timeout.as_millis()).to_string();
    let row = sqlx::query::<Postgres>(session).bind(timeout).fetch_one(&mut connection).await.map_err(told)?;
    let process = examined(settings, &row, place, way).map_err(told)??;
    Ok(ReadSession { connection, process, host: host.clone() })
}

/// Asks whether encryption is spoken, and is content with either answer: no other kind of server gives one of them. An encrypted
/// connection begins so anyway.
async fn probe((host, port): &(String, u16), place: &str) -> Result<(), Reaction> {
    let asked = async {
        let mut stream = TcpStream::connect((host.as_str(), *port)).await?;
        stream.write_all(&SSL_REQUEST).await?;
        stream.read_u8().await
    };
    match asked.await.map_err(|error| errors::connecting(place, &sqlx::Error::Io(error)))? {
        b'S' | b'N' => Ok(()),
        other => Err(errors::connecting(place, &sqlx::Error::Protocol(format!("it answers {:?}", char::from(other))))),
    }
}

/// Number of the session's process, where its server is one to work with.
fn examined(settings: &PostgresSettings, row: &PgRow, place: &str, way: Way) -> Result<Result<i32, Reaction>, sqlx::Error> {
    let encoding: String = row.try_get(0)?;
    if encoding != "UTF8" {
        return Ok(Err(Reaction::fatal(format!("ledger ({place}): the database's encoding is {encoding}: make it with ENCODING 'UTF8', which holds any text"))));
    }
    if way == Way::Writing {
        if row.try_get(3)? {
            return Ok(Err(Reaction::transient(format!("ledger ({place}): is a standby, which cannot be written: waiting for the primary"))));
        }
        let off: Vec<&str> =
            [("fsync", row.try_get::<String, _>(1)?), ("full_page_writes", row.try_get(2)?)].into_iter().filter(|(_, value)| value != "on").map(|(name, _)| name).collect();
        if !off.is_empty() {
            let found = format!("ledger ({place}): {} off: rows that were acknowledged may be lost with the server's power; set it on in postgresql.conf", off.join(" and "));
            if settings.durability == Durability::Strict {
                return Ok(Err(Reaction::fatal(found)));
            }
            tracing::warn!(target: DURABILITY, "{found}");
        }
    }
    Ok(Ok(row.try_get(4)?))
}

fn options(settings: &PostgresSettings, server: &Server, (host, port): &(String, u16)) -> Result<PgConnectOptions, Reaction> {
    let mut options =
        PgConnectOptions::new_without_pgpass().host(host).port(*port).database(&server.database).application_name(&settings.application_name).disable_statement_logging();
    if let Some(user) = &server.user {
        options = options.username(user);
    }
    if let Some(password) = server.password.read()? {
        options = options.password(password.expose_secret());
    }
    let Some(tls) = &server.tls else { return Ok(options.ssl_mode(PgSslMode::Disable)) };
    options = options.ssl_mode(PgSslMode::VerifyFull);
    if let Some(path) = &tls.ca_file {
        readable("postgres.ca_file", path)?;
        options = options.ssl_root_cert(path);
    }
    if let Some((certificate, key)) = &tls.identity {
        readable("postgres.cert_file", certificate)?;
        readable("postgres.key_file", key)?;
        options = options.ssl_client_cert(certificate).ssl_client_key(key);
    }
    Ok(options)
}

fn readable(setting: &str, path: &Path) -> Result<(), Reaction> {
    File::open(path).map(drop).map_err(|error| Reaction::fatal(format!("{setting} = {}: {error}", path.display())))
}
