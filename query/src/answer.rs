//! The rows of a query on their way to whoever asked, and everything that may end them early.
//!
//! What must stay true: a cancelled query, one whose time is over, and one that gives more rows than its role may read end in an error at
//! the next row, and let go of their scans at once; a stream that ended gives nothing more.

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll};

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::DataFusionError;
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::{Stream, StreamExt};
use tokio::time::Sleep;
use tokio_util::sync::WaitForCancellationFutureOwned;

use crate::errors::QueryError;
use crate::queries::Ticket;
use crate::unavailable::LateNotices;
use crate::zone;

/// What a statement gives.
pub struct QueryResult {
    /// Names and types of the columns.
    pub schema: SchemaRef,
    /// The rows; an error in it is read by [`QueryError::from`].
    pub stream: SendableRecordBatchStream,
    /// What the analyst must be told besides the rows.
    pub notices: Vec<String>,
    /// Its number in [`crate::Queries`]; 0 where nothing had to run.
    pub id: u64,
    pub(crate) late: LateNotices,
}

impl fmt::Debug for QueryResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueryResult").field("id", &self.id).field("schema", &self.schema).field("notices", &self.notices).finish_non_exhaustive()
    }
}

impl QueryResult {
    /// What the analyst must be told that is known only once the stream has ended.
    #[must_use]
    pub fn late_notices(&self) -> LateNotices {
        self.late.clone()
    }

    /// No rows and no columns.
    pub(crate) fn empty() -> QueryResult {
        let schema: SchemaRef = Arc::new(Schema::empty());
        let stream = RecordBatchStreamAdapter::new(Arc::clone(&schema), futures::stream::empty::<Result<RecordBatch, DataFusionError>>());
        QueryResult { schema, stream: Box::pin(stream), notices: Vec::new(), id: 0, late: LateNotices::default() }
    }

    /// Rows of text.
    pub(crate) fn texts(schema: SchemaRef, columns: Vec<Vec<String>>) -> Result<QueryResult, QueryError> {
        let columns = columns.into_iter().map(|column| Arc::new(StringArray::from(column)) as ArrayRef).collect();
        let batch = RecordBatch::try_new(Arc::clone(&schema), columns).map_err(QueryError::internal)?;
        let stream = RecordBatchStreamAdapter::new(Arc::clone(&schema), futures::stream::iter([Ok::<_, DataFusionError>(batch)]));
        Ok(QueryResult { schema, stream: Box::pin(stream), ..QueryResult::empty() })
    }
}

/// A schema of texts that are never NULL.
pub(crate) fn text_schema(names: &[&str]) -> SchemaRef {
    Arc::new(Schema::new(names.iter().map(|name| Field::new(*name, DataType::Utf8, false)).collect::<Vec<_>>()))
}

/// A stream whose panics are errors: a fault in a plan ends its query, not the session around it.
pub(crate) fn caught(schema: SchemaRef, stream: SendableRecordBatchStream) -> SendableRecordBatchStream {
    let batches = StreamExt::catch_unwind(AssertUnwindSafe(stream)).map(|batch| batch.unwrap_or_else(|_| Err(DataFusionError::from(crashed()))));
    Box::pin(RecordBatchStreamAdapter::new(schema, batches))
}

/// What is said where a plan could not be made, or run, without a fault of Wardhouse's own.
pub(crate) fn crashed() -> QueryError {
    QueryError::internal("the plan of this query cannot be run: write it with a join condition, or with fewer tables")
}

/// Rows on their way.
pub(crate) struct Answer {
    schema: SchemaRef,
    ticket: Ticket,
    stopped: Pin<Box<WaitForCancellationFutureOwned>>,
    overdue: Option<Pin<Box<Sleep>>>,
    /// Rows that the role may still read.
    left: Option<u64>,
    limit: Option<QueryError>,
    /// What comes after the last batch.
    fault: Option<QueryError>,
    ended: bool,
}

impl Answer {
    /// Begins to hand over `stream`, its times shown in `zone`. `limit` is how many rows the role may read, and what is said of more.
    pub(crate) fn begin(ticket: Ticket, stream: SendableRecordBatchStream, zone: &str, limit: Option<(u64, QueryError)>) -> SendableRecordBatchStream {
        let schema = zone::shown(&stream.schema(), zone);
        let query = &ticket.query;
        let stopped = Box::pin(query.stop.clone().cancelled_owned());
        let overdue = query.deadline.map(|deadline| Box::pin(tokio::time::sleep_until(deadline.into())));
        *query.stream.lock().unwrap_or_else(PoisonError::into_inner) = Some(stream);
        let (left, limit) = limit.unzip();
        Box::pin(Answer { schema, ticket, stopped, overdue, left, limit, fault: None, ended: false })
    }

    fn fail(&mut self, error: QueryError) -> Poll<Option<Result<RecordBatch, DataFusionError>>> {
        self.ended = true;
        self.ticket.failed(&error);
        Poll::Ready(Some(Err(error.into())))
    }

    fn poll_stream(&self, context: &mut Context<'_>) -> Option<Poll<Option<Result<RecordBatch, DataFusionError>>>> {
        let mut slot = self.ticket.query.stream.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever ended the query has let go of the stream.
        slot.as_mut().map(|stream| stream.as_mut().poll_next(context))
    }

    /// What of a batch the role may read.
    fn allowed(&mut self, batch: RecordBatch) -> RecordBatch {
        let rows = batch.num_rows() as u64;
        let Some(left) = self.left else { return batch };
        self.left = Some(left.saturating_sub(rows));
        if rows <= left {
            return batch;
        }
        self.fault = self.limit.take();
        batch.slice(0, usize::try_from(left).unwrap_or(usize::MAX))
    }
}

impl Stream for Answer {
    type Item = Result<RecordBatch, DataFusionError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.ended {
            return Poll::Ready(None);
        }
        if let Some(fault) = this.fault.take() {
            return this.fail(fault);
        }
        if this.stopped.as_mut().poll(context).is_ready() {
            let why = this.ticket.query.why();
            return this.fail(why);
        }
        if this.overdue.as_mut().is_some_and(|overdue| overdue.as_mut().poll(context).is_ready()) {
            return this.fail(QueryError::Timeout);
        }
        match this.poll_stream(context) {
            Some(Poll::Pending) => Poll::Pending,
            None => {
                let why = this.ticket.query.why();
                this.fail(why)
            }
            Some(Poll::Ready(None)) => {
                this.ended = true;
                this.ticket.done();
                Poll::Ready(None)
            }
            Some(Poll::Ready(Some(Err(error)))) => this.fail(error.into()),
            Some(Poll::Ready(Some(Ok(batch)))) => {
                let batch = this.allowed(batch);
                if batch.num_rows() == 0
                    && let Some(fault) = this.fault.take()
                {
                    return this.fail(fault);
                }
                this.ticket.query.rows.fetch_add(batch.num_rows() as u64, Ordering::Relaxed);
                match zone::show(batch, &this.schema) {
                    Ok(batch) => Poll::Ready(Some(Ok(batch))),
                    Err(error) => this.fail(error.into()),
                }
            }
        }
    }
}

impl RecordBatchStream for Answer {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
}
