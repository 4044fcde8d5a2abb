//! Arrow Flight SQL: `service` (the calls) → `statements` (what runs), `catalog` and `info` (what there is), `actions` (sessions, cancel)
//! over `sessions`; `wire`, `status` and `parameters` translate.
//!
//! What must stay true: batches go from the engine's stream to the wire as they are, only cut where they are larger than a message
//! may be; every call but the handshake has a principal and a session; whatever would write is refused in words.

mod actions;
mod catalog;
mod info;
mod parameters;
mod schemas;
mod service;
mod sessions;
mod statements;
mod status;
mod wire;

use std::sync::Arc;

use arrow_flight::flight_service_server::FlightServiceServer;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use wh_query::Engine;

use crate::ServeError;
use crate::access::Access;
use crate::connections::{self, Protocol};

use service::Service;
use sessions::Peer;

/// Serves Flight SQL until `stop`.
pub(crate) async fn serve(listener: TcpListener, engine: Engine, access: Arc<Access>, stop: CancellationToken) -> Result<(), ServeError> {
    let tls = access.tls();
    let router = Routes::new(FlightServiceServer::new(Service::new(engine, access))).into_axum_router();
    connections::serve(listener, Protocol::Grpc, tls, router, stop, Peer::new).await;
    Ok(())
}
