//! SQL over HTTP: `request` (what is asked) → `answer` (what runs) → `body` over `encode` (what is sent); `queries` (the register:
//! progress, cancel), `home` (what there is); `guard`, `leftover` and `errors` stand before and behind all of them.
//!
//! What must stay true: nothing but `/` and the status is answered to someone who is not known; nothing at all to a page of
//! elsewhere; an answer is sent as the client takes it, and a client that goes away ends its query.

mod answer;
mod body;
mod encode;
mod errors;
mod guard;
mod home;
mod leftover;
mod queries;
mod request;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use wh_query::{Engine, Way};

use crate::ServeError;
use crate::access::Access;
use crate::authorization;
use crate::connections::{self, Protocol};

use errors::Fault;
use guard::Reach;

/// Where a request comes from.
#[derive(Clone, Copy, Debug)]
struct Peer(SocketAddr);

/// What every request needs.
struct Shared {
    engine: Engine,
    access: Arc<Access>,
    reach: Reach,
    /// What became known of queries only while their rows were sent, the oldest first.
    late: Mutex<VecDeque<(u64, Vec<String>)>>,
}

/// A duration in milliseconds, to a microsecond: in thousandths the quotient is the number that is printed, without the noise of a product.
fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

/// Queries of which late notices are kept.
const MOST_LATE: usize = 256;

impl Shared {
    /// Keeps the late notices of a query.
    fn keep_late(&self, id: u64, notices: &[String]) {
        let mut late = self.late.lock().unwrap_or_else(PoisonError::into_inner);
        late.push_back((id, notices.to_vec()));
        if late.len() > MOST_LATE {
            late.pop_front();
        }
    }

    /// The late notices of a query.
    fn late_of(&self, id: u64) -> Vec<String> {
        let late = self.late.lock().unwrap_or_else(PoisonError::into_inner);
        late.iter().rev().find(|(known, _)| *known == id).map(|(_, notices)| notices.clone()).unwrap_or_default()
    }
}

/// Serves SQL over HTTP until `stop`.
pub(crate) async fn serve(listener: TcpListener, engine: Engine, access: Arc<Access>, stop: CancellationToken) -> Result<(), ServeError> {
    let address = listener.local_addr().map_err(|source| ServeError::Io { what: "the address of HTTP", source })?;
    let tls = access.tls();
    let reach = Reach { loopback: address.ip().is_loopback(), encrypted: tls.is_some() };
    let shared = Arc::new(Shared { engine, access, reach, late: Mutex::new(VecDeque::new()) });
    connections::serve(listener, Protocol::Http, tls, router(shared), stop, Peer).await;
    Ok(())
}

fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/v1/sql", post(answer::ask))
        .route("/v1/sql/tables", get(home::tables))
        .route("/v1/sql/token", post(home::token))
        .route("/v1/sql/queries", get(queries::list))
        .route("/v1/sql/queries/{id}", get(queries::one).delete(queries::cancel))
        // For those that are known; what follows is for everyone.
        .route_layer(middleware::from_fn_with_state(Arc::clone(&shared), known))
        .route("/", get(home::home))
        .route("/v1/sql/status", get(home::status))
        .fallback(|| async { Fault::new(StatusCode::NOT_FOUND, "08P01", "there is nothing here: GET / tells what there is") })
        .method_not_allowed_fallback(|| async { Fault::new(StatusCode::METHOD_NOT_ALLOWED, "08P01", "not by this method: GET / tells which") })
        .layer(middleware::from_fn_with_state(Arc::clone(&shared), guarded))
        .layer(middleware::from_fn(leftover::thrown_away))
        .with_state(shared)
}

/// Lets through what no foreign page sent.
async fn guarded(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    match guard::check(shared.reach, request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(fault) => fault.into_response(),
    }
}

/// Lets through who is known, and says who that is.
async fn known(State(shared): State<Arc<Shared>>, mut request: Request, next: Next) -> Response {
    let Some(Peer(address)) = request.extensions().get::<Peer>().copied() else { return Fault::internal("a request came on no connection").into_response() };
    let claim = authorization::claim(request.headers().get(header::AUTHORIZATION).map(|value| value.as_bytes()));
    match authorization::principal(&shared.access, claim, Way::Http, address).await {
        Some(principal) => {
            request.extensions_mut().insert(principal);
            next.run(request).await
        }
        None => Fault::new(StatusCode::UNAUTHORIZED, "28000", "a user and a password are needed, or a token of POST /v1/sql/token").into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_to_a_microsecond() {
        for (nanos, told) in [(1_500_000_000, "1500.0"), (12_345_678, "12.346"), (70_100_000, "70.1"), (499, "0.0")] {
            assert_eq!(serde_json::json!(milliseconds(Duration::from_nanos(nanos))).to_string(), told);
        }
    }
}
