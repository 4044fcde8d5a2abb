//! A result that is open: the rows of a query, handed over in portions.
//!
//! What must stay true: one batch is held at a time; a row that was sent is not sent again; after a failure there are no more rows;
//! dropping it ends the query.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use bytes::BytesMut;
use datafusion::execution::SendableRecordBatchStream;
use futures::{FutureExt, StreamExt};
use wh_query::{LateNotices, QueryError, QueryResult};

use super::encode::Column;
use super::errors::{Failure, Fault, notice};
use super::types::Layout;
use super::wire::Wire;

/// Bytes of rows that are handed to the connection at a time.
const CHUNK: usize = 64 << 10;

/// The statement that a failure is about, and how many characters came before it in what the client sent.
#[derive(Clone, Debug)]
pub(super) struct About {
    pub(super) sql: Arc<str>,
    pub(super) offset: usize,
}

impl About {
    pub(super) fn failure(&self, error: &QueryError) -> Failure {
        Failure::of(error, &self.sql, self.offset)
    }
}

/// A result that is open.
pub(super) struct Rows {
    pub(super) schema: SchemaRef,
    stream: Option<SendableRecordBatchStream>,
    late: LateNotices,
    batch: Option<Batch>,
    about: About,
}

struct Batch {
    columns: Vec<Column>,
    next: usize,
    rows: usize,
}

/// What was sent.
pub(super) struct Portion {
    pub(super) rows: u64,
    /// Whether there may be more.
    pub(super) more: bool,
}

/// How a row is written.
pub(super) trait Write {
    fn row(&mut self, columns: &[Column], layout: &Layout, row: usize, out: &mut BytesMut) -> Result<(), Failure>;
}

impl Rows {
    /// The rows of a result; its notices are the caller's to send.
    pub(super) fn new(result: QueryResult, about: About) -> Rows {
        let late = result.late_notices();
        Rows { schema: result.schema, stream: Some(result.stream), late, batch: None, about }
    }

    /// Sends the next `limit` rows, or all.
    pub(super) async fn send(&mut self, wire: &mut Wire, layout: &Layout, limit: Option<u64>, write: &mut impl Write) -> Result<Portion, Fault> {
        let mut chunk = BytesMut::new();
        let mut portion = Portion { rows: 0, more: true };
        let sent = self.fill(wire, layout, limit, write, &mut chunk, &mut portion).await;
        if sent.is_err() {
            (self.stream, self.batch) = (None, None);
        }
        // What comes before a failure is sent before it.
        if !chunk.is_empty() {
            wire.send_encoded(chunk).await?;
        }
        sent?;
        if !portion.more {
            for text in self.late.take() {
                wire.send(notice(&text)).await?;
            }
        }
        Ok(portion)
    }

    async fn fill(&mut self, wire: &mut Wire, layout: &Layout, limit: Option<u64>, write: &mut impl Write, chunk: &mut BytesMut, portion: &mut Portion) -> Result<(), Fault> {
        while limit.is_none_or(|limit| portion.rows < limit) {
            let Some(batch) = &mut self.batch else {
                match self.next(wire, chunk, portion.rows).await? {
                    Some(batch) => self.batch = Some(batch),
                    None => {
                        portion.more = false;
                        return Ok(());
                    }
                }
                continue;
            };
            if batch.next == batch.rows {
                self.batch = None;
                continue;
            }
            write.row(&batch.columns, layout, batch.next, chunk)?;
            batch.next += 1;
            portion.rows += 1;
            if chunk.len() >= CHUNK {
                wire.send_encoded(chunk.split()).await?;
            }
        }
        Ok(())
    }

    /// The next batch; `None` at the end.
    async fn next(&mut self, wire: &mut Wire, chunk: &mut BytesMut, sent: u64) -> Result<Option<Batch>, Fault> {
        let Some(stream) = &mut self.stream else { return Ok(None) };
        let next = match stream.next().now_or_never() {
            Some(next) => next,
            None => {
                // While the next rows are computed the client has those that are there.
                if sent > 0 {
                    if !chunk.is_empty() {
                        wire.send_encoded(chunk.split()).await?;
                    }
                    wire.flush().await?;
                }
                wire.watch(stream.next()).await?
            }
        };
        match next {
            None => {
                self.stream = None;
                Ok(None)
            }
            Some(Ok(batch)) => Ok(Some(Batch::new(&batch)?)),
            Some(Err(error)) => Err(self.about.failure(&QueryError::from(error)).into()),
        }
    }
}

impl Batch {
    fn new(batch: &RecordBatch) -> Result<Batch, Failure> {
        let columns = batch.columns().iter().map(Column::new).collect::<Result<_, _>>()?;
        Ok(Batch { columns, next: 0, rows: batch.num_rows() })
    }
}
