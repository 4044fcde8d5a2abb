//! PostgreSQL's wire protocol, version 3.0, over sessions of the engine.
//!
//! ```text
//! startup (encryption, who it is) → connection (messages in turn) → simple, extended → statements (what is held between messages)
//!   parameters (bytes → values) · rows (a result that is open) → encode (batches → bytes), copy · wire, frames (messages as bytes)
//! ```
//!
//! What must stay true: no bytes of a client, and no fault of one session, disturb another session; there is a most of connections, beyond
//! which a client is told so; a client that goes away ends its query; rows are
//! computed only a few batches ahead of their reader.

mod cancel;
mod connection;
mod copy;
mod declared;
mod encode;
mod errors;
mod extended;
mod frames;
#[cfg(test)]
mod frames_tests;
mod parameters;
mod rows;
mod says;
mod simple;
mod startup;
mod statements;
mod tags;
mod types;
mod wire;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use pgwire::messages::PgWireBackendMessage;
use pgwire::messages::startup::{BackendKeyData, SecretKey};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinSet};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use wh_query::{Engine, Session};

use crate::access::Access;
use crate::errors::ServeError;
use crate::handle;
use cancel::Cancels;
use connection::Connection;
use errors::{Failure, code};
use startup::{Arrival, Guest, Terms};
use wire::Gone;

/// Clients at a time.
const MOST_CLIENTS: usize = 200;
/// Connections at a time, with those that are not known yet and those that cancel.
const MOST_CONNECTIONS: usize = 2 * MOST_CLIENTS;
/// How long a client may take until it is known.
const STARTUP: Duration = Duration::from_secs(30);
/// How long clients have when the server stops.
const GRACE: Duration = Duration::from_secs(2);
/// Before listening goes on where the process has no file handles left.
const BREATHER: Duration = Duration::from_millis(100);

/// What all connections share.
struct Server {
    engine: Engine,
    terms: Terms,
    cancels: Arc<Cancels>,
    clients: Arc<Semaphore>,
    stop: CancellationToken,
}

/// Serves PostgreSQL's protocol until `stop`. `only_tls`: whether clients that do not encrypt are refused.
///
/// # Errors
/// None: a listener that fails is told in the log, and asked again.
pub(crate) async fn serve(listener: TcpListener, engine: Engine, access: Arc<Access>, only_tls: bool, stop: CancellationToken) -> Result<(), ServeError> {
    let terms = Terms { tls: access.tls().map(TlsAcceptor::from), only_tls, access };
    let server = Arc::new(Server { engine, terms, cancels: Arc::default(), clients: Arc::new(Semaphore::new(MOST_CLIENTS)), stop });
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = server.stop.cancelled() => break,
            Some(ended) = connections.join_next() => tell(ended),
            accepted = listener.accept(), if connections.len() < MOST_CONNECTIONS => match accepted {
                Ok((stream, peer)) => {
                    connections.spawn(attend(Arc::clone(&server), stream, peer));
                }
                Err(error) => {
                    tracing::warn!("a connection could not be taken: {error}");
                    tokio::time::sleep(BREATHER).await;
                }
            },
        }
    }
    drop(listener);
    let all_ended = async {
        while let Some(ended) = connections.join_next().await {
            tell(ended);
        }
    };
    if tokio::time::timeout(GRACE, all_ended).await.is_err() {
        connections.shutdown().await;
    }
    Ok(())
}

/// A fault of one connection is told, and ends no other.
fn tell(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!("a connection ended in a fault of the server: {error}");
    }
}

async fn attend(server: Arc<Server>, stream: TcpStream, peer: SocketAddr) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%peer, "a connection cannot send small packets at once: {error}");
    }
    let arrival = tokio::select! {
        () = server.stop.cancelled() => return,
        arrival = tokio::time::timeout(STARTUP, startup::receive(stream, peer, &server.terms, &server.stop)) => arrival,
    };
    match arrival {
        Ok(Some(Arrival::Cancel { id, key })) => server.cancels.cancel(id, key),
        Ok(Some(Arrival::Session(guest))) => converse(&server, *guest).await,
        Ok(None) => {}
        Err(_) => tracing::debug!(%peer, "a client took too long to say what it wants"),
    }
}

async fn converse(server: &Server, guest: Guest) {
    let Guest { mut wire, principal, parameters } = guest;
    let Ok(_permit) = server.clients.try_acquire() else {
        return startup::refuse(&mut wire, &Failure::fatal(code::TOO_MANY_CONNECTIONS, format!("sorry, too many clients already: {MOST_CLIENTS} are connected"))).await;
    };
    let session = Arc::new(server.engine.session(principal));
    if let Err(failure) = configure(&session, &parameters) {
        return startup::refuse(&mut wire, &failure).await;
    }
    let Ok([a, b, c, d, ..]) = handle::random() else {
        return startup::refuse(&mut wire, &Failure::fatal(code::INTERNAL, "the operating system gives no randomness")).await;
    };
    let key = i32::from_be_bytes([a, b, c, d]);
    let _known = server.cancels.know(&session, key);
    let id = session.id();
    tracing::debug!(session = id, principal = %session.principal().name, "a client is connected");
    let mut connection = Connection::new(wire, session);
    let gone = match greet(&mut connection, id, key).await {
        Ok(()) => connection.serve().await,
        Err(gone) => gone,
    };
    if gone == Gone::Stopping {
        startup::refuse(&mut connection.wire, &Failure::fatal(code::SHUTDOWN, "terminating connection due to administrator command")).await;
    }
    tracing::debug!(session = id, "a client is gone");
}

/// What a client is told before its first statement.
async fn greet(connection: &mut Connection, id: i32, key: i32) -> Result<(), Gone> {
    connection.report(None).await?;
    connection.wire.send(PgWireBackendMessage::BackendKeyData(BackendKeyData::new(id, SecretKey::I32(key)))).await?;
    connection.ready().await
}

/// Sets what a client asks for when it connects.
fn configure(session: &Session, parameters: &BTreeMap<String, String>) -> Result<(), Failure> {
    let refused = |error: wh_query::QueryError| Failure { fatal: true, ..Failure::of(&error, "", 0) };
    let set = |name: &str, value: &str| session.set(name, of_startup(name, value)).map_err(refused);
    for (name, value) in parameters {
        match name.as_str() {
            "user" | "database" | "replication" => {}
            "options" => {
                for (name, value) in options(value) {
                    set(&name, &value)?;
                }
            }
            name if name.starts_with("_pq_.") => {}
            // Clients set by themselves what other servers know.
            name if session.show(name).is_err() => tracing::debug!(name, "a client sets what is not known here"),
            name => set(name, value)?,
        }
    }
    Ok(())
}

/// The value of a setting that a client sends when it connects. asyncpg sends `'utf-8'` with its quotes, and PostgreSQL compares encodings by their letters and
/// digits alone (`clean_encoding_name` in src/common/encnames.c).
fn of_startup<'a>(name: &str, value: &'a str) -> &'a str {
    if name.eq_ignore_ascii_case("client_encoding") { value.trim_matches(|c: char| !c.is_ascii_alphanumeric()) } else { value }
}

/// The settings in `-c name=value --name=value`, spaces being written with a backslash before them.
fn options(text: &str) -> Vec<(String, String)> {
    let mut words: Vec<String> = Vec::new();
    let mut word = String::new();
    let mut rest = text.chars();
    while let Some(next) = rest.next() {
        match next {
            '\\' => word.extend(rest.next()),
            space if space.is_ascii_whitespace() => words.push(std::mem::take(&mut word)),
            other => word.push(other),
        }
    }
    words.push(word);
    let mut settings = Vec::new();
    let mut words = words.into_iter().filter(|word| !word.is_empty());
    while let Some(word) = words.next() {
        let setting = if word == "-c" { words.next() } else { word.strip_prefix("--").or_else(|| word.strip_prefix("-c")).map(str::to_owned) };
        if let Some((name, value)) = setting.as_deref().and_then(|setting| setting.split_once('=')) {
            settings.push((name.replace('-', "_"), value.to_owned()));
        }
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_settings() {
        let of = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(options("-c statement_timeout=5s -cDateStyle=ISO --search-path=a,\\ b"), [of("statement_timeout", "5s"), of("DateStyle", "ISO"), of("search_path", "a, b")]);
        assert_eq!(options("-c"), []);
        assert_eq!((of_startup("client_encoding", "'utf-8'"), of_startup("application_name", "'a'")), ("utf-8", "'a'"));
        assert_eq!(options(""), []);
    }
}
