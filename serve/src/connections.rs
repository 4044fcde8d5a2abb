//! Takes connections and serves HTTP on them, for Flight SQL and for plain HTTP alike.
//!
//! What must stay true: a connection that says nothing, or never ends its handshake, is closed; there is a most of connections,
//! beyond which new ones wait; a fault of one connection is told in the log and ends no other; when asked to stop, requests under
//! way get [`GRACE`] to end, and no task is left behind.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinError, JoinSet};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// Connections at a time; more wait in the listener's queue.
const MOST_CONNECTIONS: usize = 512;
/// How long a connection may be silent before its first byte, and how long its handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(30);
/// How long requests under way may take when the server stops.
const GRACE: Duration = Duration::from_secs(2);
/// After how long without a sign the other side of an HTTP/2 connection is asked for one, and how long it has for it.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// Requests at a time on one HTTP/2 connection.
const MOST_STREAMS: u32 = 128;
/// Before listening goes on where the process has no file handles left.
const BREATHER: Duration = Duration::from_millis(100);

/// What is spoken on a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// gRPC: HTTP/2 alone.
    Grpc,
    /// HTTP/1.1 or HTTP/2.
    Http,
}

impl Protocol {
    fn application_protocols(self) -> Vec<Vec<u8>> {
        match self {
            Protocol::Grpc => vec![b"h2".to_vec()],
            Protocol::Http => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        }
    }
}

/// Serves `router` on every connection until `stop`. `arrive` makes what each request of a connection carries as an extension.
pub(crate) async fn serve<P, F>(listener: TcpListener, protocol: Protocol, tls: Option<Arc<ServerConfig>>, router: Router, stop: CancellationToken, arrive: F)
where
    P: Clone + Send + Sync + 'static,
    F: Fn(SocketAddr) -> P + Send,
{
    let tls = tls.map(|config| {
        let mut config = ServerConfig::clone(&config);
        config.alpn_protocols = protocol.application_protocols();
        TlsAcceptor::from(Arc::new(config))
    });
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(ended) = connections.join_next() => tell(ended),
            accepted = listener.accept(), if connections.len() < MOST_CONNECTIONS => match accepted {
                Ok((stream, address)) => {
                    connections.spawn(attend(stream, protocol, tls.clone(), router.clone(), arrive(address), stop.clone()));
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
}

fn tell(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!("a connection ended in a fault of the server: {error}");
    }
}

async fn attend<P>(stream: TcpStream, protocol: Protocol, tls: Option<TlsAcceptor>, router: Router, peer: P, stop: CancellationToken)
where
    P: Clone + Send + Sync + 'static,
{
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!("a connection cannot send small packets at once: {error}");
    }
    let mut first = [0];
    let spoke = tokio::select! {
        () = stop.cancelled() => return,
        spoke = tokio::time::timeout(HANDSHAKE, stream.peek(&mut first)) => spoke,
    };
    if !matches!(spoke, Ok(Ok(1))) {
        return;
    }
    match tls {
        None => converse(TokioIo::new(stream), protocol, router, peer, stop).await,
        Some(acceptor) => match tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => converse(TokioIo::new(stream), protocol, router, peer, stop).await,
            Ok(Err(error)) => tracing::debug!("a TLS handshake failed: {error}"),
            Err(_) => tracing::debug!("a TLS handshake took too long"),
        },
    }
}

async fn converse<I, P>(io: I, protocol: Protocol, router: Router, peer: P, stop: CancellationToken)
where
    I: hyper::rt::Read + hyper::rt::Write + Send + Unpin + 'static,
    P: Clone + Send + Sync + 'static,
{
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer.clone());
        router.clone().oneshot(request)
    });
    let mut builder = Builder::new(TokioExecutor::new());
    // With a timer, HTTP/1's own limit of 30 s for the headers of a request is kept.
    builder.http1().timer(TokioTimer::new());
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(KEEP_ALIVE).keep_alive_timeout(KEEP_ALIVE).max_concurrent_streams(MOST_STREAMS);
    let builder = match protocol {
        Protocol::Grpc => builder.http2_only(),
        Protocol::Http => builder,
    };
    let connection = builder.serve_connection(io, service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!("a connection ended early: {error}");
    }
}
