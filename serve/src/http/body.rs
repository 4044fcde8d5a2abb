//! The body of an answer: the engine's batches as bytes, as the client takes them.
//!
//! What must stay true: batches are encoded when the bytes of the last one are gone; dropping the body (the client went away) ends
//! the query; a failure is the last thing that JSON and NDJSON say, and cuts CSV and Arrow short, so that no client takes a part for
//! the whole.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use axum::BoxError;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use bytes::Bytes;
use datafusion::common::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;
use hyper::body::{Body, Frame};
use wh_query::{QueryError, Session};

use super::encode::Encoder;
use super::errors::Fault;
use super::{Shared, milliseconds};

/// Rows of the answer, in its trailers.
pub(super) const ROWS: HeaderName = HeaderName::from_static("x-wardhouse-rows");
/// SQLSTATE of how it ended, in its trailers; 00000 where nothing failed.
pub(super) const SQLSTATE: HeaderName = HeaderName::from_static("x-wardhouse-sqlstate");

/// What is left to be sent once the rows have ended.
enum Phase {
    /// There may be more rows.
    Rows,
    /// How it ended, in trailers where the client takes them.
    Trailers(&'static str),
    /// The body breaks off here.
    Broken(String),
    Done,
}

/// The body of an answer.
pub(super) struct Rows {
    stream: SendableRecordBatchStream,
    encoder: Encoder,
    ready: VecDeque<Bytes>,
    phase: Phase,
    trailers: bool,
    asked: Asked,
}

/// What was asked, and what there is to say of it.
pub(super) struct Asked {
    /// When it came.
    pub(super) started: Instant,
    /// The statement.
    pub(super) sql: String,
    /// Id of the query.
    pub(super) id: u64,
    /// What the analyst must be told besides the rows.
    pub(super) notices: Vec<String>,
    /// What becomes known of that only while the rows come.
    pub(super) late: Box<dyn Fn() -> Vec<String> + Send + Sync>,
    /// Ends the query when the body is dropped.
    pub(super) session: Session,
    pub(super) shared: Arc<Shared>,
}

impl Rows {
    /// A body over the rows of a query. `trailers`: whether the client takes them.
    pub(super) fn new(asked: Asked, stream: SendableRecordBatchStream, encoder: Encoder, trailers: bool) -> Result<Rows, ArrowError> {
        let mut rows = Rows { stream, encoder, ready: VecDeque::new(), phase: Phase::Rows, trailers, asked };
        rows.ready.extend(rows.encoder.begin()?);
        Ok(rows)
    }

    fn elapsed_ms(&self) -> f64 {
        milliseconds(self.asked.started.elapsed())
    }

    /// Takes the next batch, or the end.
    pub(super) fn take(&mut self, batch: Option<Result<RecordBatch, DataFusionError>>) {
        let encoded = match batch {
            Some(Ok(batch)) => self.encoder.batch(&batch),
            Some(Err(error)) => return self.fail(&Fault::of(&QueryError::from(error), &self.asked.sql)),
            None => {
                self.phase = Phase::Trailers("00000");
                self.listen();
                let elapsed = self.elapsed_ms();
                self.encoder.end(&self.asked.notices, elapsed)
            }
        };
        match encoded {
            Ok(pieces) => self.ready.extend(pieces),
            Err(error) => self.fail(&Fault::internal(error)),
        }
    }

    /// Hears what became known while the rows came.
    fn listen(&mut self) {
        let late = (self.asked.late)();
        if !late.is_empty() {
            self.asked.shared.keep_late(self.asked.id, &late);
            self.asked.notices.extend(late);
        }
    }

    fn fail(&mut self, fault: &Fault) {
        self.listen();
        let elapsed = self.elapsed_ms();
        tracing::debug!(session = self.asked.session.id(), sqlstate = fault.sqlstate(), "an answer over HTTP failed");
        self.phase = match self.encoder.fail(fault, &self.asked.notices, elapsed) {
            Some(last) => {
                self.ready.push_back(last);
                Phase::Trailers(fault.sqlstate())
            }
            None => Phase::Broken(fault.json().to_string()),
        };
    }

    fn trailers(&self, sqlstate: &'static str) -> HeaderMap {
        let mut trailers = HeaderMap::new();
        trailers.insert(ROWS, HeaderValue::from(self.encoder.rows()));
        trailers.insert(SQLSTATE, HeaderValue::from_static(sqlstate));
        trailers
    }
}

impl Body for Rows {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        loop {
            if let Some(bytes) = this.ready.pop_front() {
                if bytes.is_empty() {
                    continue;
                }
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            match std::mem::replace(&mut this.phase, Phase::Done) {
                Phase::Rows => {
                    this.phase = Phase::Rows;
                    let batch = ready!(this.stream.poll_next_unpin(context));
                    this.take(batch);
                }
                // Without the client's word for it, HTTP/1 would not end the body behind trailers.
                Phase::Trailers(sqlstate) if this.trailers => return Poll::Ready(Some(Ok(Frame::trailers(this.trailers(sqlstate))))),
                Phase::Broken(message) => return Poll::Ready(Some(Err(message.into()))),
                Phase::Trailers(_) | Phase::Done => return Poll::Ready(None),
            }
        }
    }
}
