//! What a client still sends when its request has been answered: it is read and thrown away.
//!
//! A connection that is closed while bytes wait to be read on it is reset, and the reset can reach a client before the answer does (RFC 9112, section
//! 9.6): whoever sent 11 MiB would be told of a broken connection, not of the 10 MiB that a request may have.
//!
//! What must stay true: whoever sends is answered; what is thrown away is bounded in bytes and time, and who sends nothing more waits for
//! [`QUIET`] at most.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{Version, header};
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};

/// Bytes that are thrown away; a request of more is cut off.
const MOST_BYTES: u64 = 64 << 20;
/// How long that may take …
const MOST_TIME: Duration = Duration::from_secs(30);
/// … and how long the next bytes are waited for.
const QUIET: Duration = Duration::from_secs(1);

/// Answers a request; what of its body was not wanted is thrown away before the answer is sent.
pub(super) async fn thrown_away(request: Request, next: Next) -> Response {
    let (head, body) = request.into_parts();
    // HTTP/2 ends a request without its connection.
    if head.version == Version::HTTP_2 || body.is_end_stream() {
        return next.run(Request::from_parts(head, body)).await;
    }
    // Who wants to be told to go on has sent nothing before it was.
    let waits = head.headers.contains_key(header::EXPECT);
    let held = Held(Arc::new(Mutex::new(State { body, begun: false })));
    let response = next.run(Request::from_parts(head, Body::new(held.clone()))).await;
    let begun = held.state().begun;
    if begun || !waits {
        held.throw_away().await;
    }
    response
}

/// A body of which somebody else reads what its reader leaves.
#[derive(Clone)]
struct Held(Arc<Mutex<State>>);

struct State {
    body: Body,
    /// Whether anything of it was asked for.
    begun: bool,
}

impl Held {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn poll(&self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let mut state = self.state();
        state.begun = true;
        Pin::new(&mut state.body).poll_frame(context)
    }

    async fn throw_away(&self) {
        if HttpBody::size_hint(self).lower() > MOST_BYTES {
            return;
        }
        let all = async {
            let mut bytes = 0;
            while bytes <= MOST_BYTES
                && let Ok(Some(Ok(frame))) = tokio::time::timeout(QUIET, poll_fn(|context| self.poll(context))).await
            {
                bytes += frame.data_ref().map_or(0, Bytes::len) as u64;
            }
        };
        if tokio::time::timeout(MOST_TIME, all).await.is_err() {
            tracing::debug!("a client was still sending when its request had been answered");
        }
    }
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.poll(context)
    }

    fn is_end_stream(&self) -> bool {
        self.state().body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.state().body.size_hint()
    }
}
