//! The ways into SQL: PostgreSQL's wire protocol, Arrow Flight SQL and HTTP, over one engine.
//!
//! Connections are served on the threads of whoever starts the servers; the engine plans and computes on others, so that whatever a query does, connections are
//! taken and requests to cancel are heard.
//!
//! What must stay true: every connection has a principal; an address that is not loopback is served with TLS and credentials or
//! not at all; what a protocol cannot say is an error of that protocol, never a panic.

mod access;
mod authorization;
mod connections;
mod errors;
mod flight;
mod handle;
mod http;
mod postgres;
mod settings;
mod tls;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use wh_query::Engine;

pub use access::Access;
pub use errors::ServeError;
pub use handle::instance;
pub use settings::{LOCAL_ROLE, ServeSettings, TlsFiles, UserSettings};

/// The servers that run.
#[derive(Debug)]
pub struct Running {
    /// Where PostgreSQL's protocol is spoken.
    pub postgres: Option<SocketAddr>,
    /// Where Flight SQL is spoken.
    pub flight: Option<SocketAddr>,
    /// Where HTTP is spoken.
    pub http: Option<SocketAddr>,
    servers: JoinSet<Result<(), ServeError>>,
    stop: CancellationToken,
}

impl Running {
    /// Waits until every server has ended: when they were asked to stop, or when one of them failed, which stops the others.
    ///
    /// # Errors
    /// The first failure of a server.
    pub async fn join(mut self) -> Result<(), ServeError> {
        let mut first = Ok(());
        while let Some(ended) = self.servers.join_next().await {
            let ended = ended.unwrap_or_else(|error| Err(ServeError::Lost(error.to_string())));
            self.stop.cancel();
            first = first.and(ended);
        }
        first
    }
}

/// Binds the addresses and begins to serve. All are bound, or none is served. Cancelling `stop` ends the servers.
///
/// # Errors
/// See [`ServeError`]: settings that do not belong together, files that cannot be read, addresses that are taken.
pub async fn start(engine: Engine, settings: ServeSettings, stop: CancellationToken) -> Result<Running, ServeError> {
    let access = Arc::new(Access::new(&settings)?);
    let postgres = bound("sql.postgres", settings.postgres).await?;
    let flight = bound("sql.flight", settings.flight).await?;
    let http = bound("sql.http", settings.http).await?;
    let address = |listener: &Option<TcpListener>| listener.as_ref().and_then(|listener| listener.local_addr().ok());
    let mut running = Running { postgres: address(&postgres), flight: address(&flight), http: address(&http), servers: JoinSet::new(), stop: stop.clone() };
    let only_encrypted = running.postgres.is_some_and(|address| settings.only_encrypted(address));
    spawn(&mut running.servers, postgres.map(|listener| postgres::serve(listener, engine.clone(), Arc::clone(&access), only_encrypted, stop.clone())));
    spawn(&mut running.servers, flight.map(|listener| flight::serve(listener, engine.clone(), Arc::clone(&access), stop.clone())));
    spawn(&mut running.servers, http.map(|listener| http::serve(listener, engine.clone(), Arc::clone(&access), stop.clone())));
    Ok(running)
}

async fn bound(setting: &'static str, address: Option<SocketAddr>) -> Result<Option<TcpListener>, ServeError> {
    match address {
        None => Ok(None),
        Some(address) => TcpListener::bind(address).await.map(Some).map_err(|source| ServeError::Bind { setting, address, source }),
    }
}

fn spawn(servers: &mut JoinSet<Result<(), ServeError>>, server: Option<impl Future<Output = Result<(), ServeError>> + Send + 'static>) {
    if let Some(server) = server {
        servers.spawn(server);
    }
}
