//! One connection's messages, both ways.
//!
//! What must stay true: while a query runs, its client is listened to, so that one that goes away ends its query; what it sends
//! meanwhile waits in a bounded queue; rows are written only as fast as the client reads.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::pin;

use bytes::BytesMut;
use futures::{SinkExt, StreamExt};
use pgwire::messages::PgWireBackendMessage;
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tokio_util::codec::Framed;
use tokio_util::either::Either;
use tokio_util::sync::CancellationToken;

use super::frames::{Frames, Frontend};

/// Bytes gathered before they are written.
const WRITE_BYTES: usize = 64 << 10;
/// Bytes of a client's messages that wait while its query runs; beyond, they wait at the client.
const WAITING_BYTES: usize = 1 << 20;
/// As many messages.
const WAITING_MESSAGES: usize = 256;

/// Plain or encrypted.
pub(super) type Io = Either<TcpStream, Box<TlsStream<TcpStream>>>;

/// Why a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gone {
    /// The client said so, or nothing more can be read from or written to it.
    Client,
    /// This server stops.
    Stopping,
}

/// One connection's messages, both ways.
pub(super) struct Wire {
    framed: Framed<Io, Frames>,
    waiting: VecDeque<Frontend>,
    waiting_bytes: usize,
    stop: CancellationToken,
}

impl Wire {
    pub(super) fn new(io: Io, stop: CancellationToken) -> Wire {
        let mut framed = Framed::new(io, Frames::default());
        framed.set_backpressure_boundary(WRITE_BYTES);
        Wire { framed, waiting: VecDeque::new(), waiting_bytes: 0, stop }
    }

    /// The client's next message.
    pub(super) async fn next(&mut self) -> Result<Frontend, Gone> {
        if let Some(message) = self.waiting.pop_front() {
            self.waiting_bytes -= message.size();
            return Ok(message);
        }
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(Gone::Stopping),
            message = self.framed.next() => message.and_then(Result::ok).ok_or(Gone::Client),
        }
    }

    /// Waits for `work` while listening to the client.
    pub(super) async fn watch<F: Future>(&mut self, work: F) -> Result<F::Output, Gone> {
        let mut work = pin!(work);
        loop {
            let room = self.waiting_bytes < WAITING_BYTES && self.waiting.len() < WAITING_MESSAGES;
            tokio::select! {
                biased;
                done = work.as_mut() => return Ok(done),
                () = self.stop.cancelled() => return Err(Gone::Stopping),
                message = self.framed.next(), if room => match message {
                    None | Some(Err(_) | Ok(Frontend::Terminate)) => return Err(Gone::Client),
                    Some(Ok(message)) => {
                        self.waiting_bytes += message.size();
                        self.waiting.push_back(message);
                    }
                },
            }
        }
    }

    /// Puts a message behind those that are to be written.
    pub(super) async fn send(&mut self, message: PgWireBackendMessage) -> Result<(), Gone> {
        self.framed.feed(message).await.map_err(|_| Gone::Client)
    }

    /// Puts messages that are encoded already behind those that are to be written.
    pub(super) async fn send_encoded(&mut self, chunk: BytesMut) -> Result<(), Gone> {
        self.framed.feed(chunk).await.map_err(|_| Gone::Client)
    }

    /// Writes what was sent.
    pub(super) async fn flush(&mut self) -> Result<(), Gone> {
        SinkExt::<BytesMut>::flush(&mut self.framed).await.map_err(|_| Gone::Client)
    }
}
