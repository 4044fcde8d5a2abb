//! What statements are sent over: the stores themselves, or a server that runs.
//!
//! What must stay true: both answer alike (columns, rows as a stream, notices, errors as sentences), and both keep the settings that
//! were set; dropping an answer's stream ends its query.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use wh_query::{Engine, Principal, QueryError, Session, TableInfo, Way};

use super::SqlError;
use super::remote::Remote;

/// What statements are sent over.
pub(crate) enum Connection {
    /// The stores, opened by this process.
    Own(Box<(Engine, Session)>),
    /// A server.
    Remote(Remote),
}

/// What a statement gives.
pub(super) struct Answer {
    /// Names and types of the columns; none where the statement has no rows.
    pub(super) schema: SchemaRef,
    /// The rows; an error is a sentence.
    pub(super) stream: BoxStream<'static, Result<RecordBatch, String>>,
    /// What the analyst must be told besides the rows.
    pub(super) notices: Vec<String>,
    /// What became known only while the rows came: for when they have ended.
    pub(super) late: BoxFuture<'static, Vec<String>>,
}

impl Connection {
    /// A session over stores that this process opens.
    pub(crate) fn own(engine: &Engine) -> Connection {
        Connection::Own(Box::new((engine.clone(), engine.session(Principal::local(Way::Cli)))))
    }

    /// Every table and view.
    pub(super) fn tables(&self) -> Vec<TableInfo> {
        match self {
            Connection::Own(own) => own.0.tables(),
            Connection::Remote(remote) => remote.tables(),
        }
    }

    /// Begins to answer one statement.
    ///
    /// # Errors
    /// [`SqlError::Query`] with the engine's words.
    pub(super) async fn query(&self, sql: &str) -> Result<Answer, SqlError> {
        match self {
            Connection::Own(own) => {
                let result = own.1.query(sql).await.map_err(|error| SqlError::Query(error.to_string()))?;
                let late = result.late_notices();
                let late = async move { late.take() }.boxed();
                let stream = result.stream.map(|batch| batch.map_err(|error| QueryError::from(error).to_string())).boxed();
                Ok(Answer { schema: result.schema, stream, notices: result.notices, late })
            }
            Connection::Remote(remote) => remote.query(sql).await,
        }
    }

    /// Ends the query that runs, if one does.
    pub(super) async fn cancel(&self) {
        match self {
            // Its stream is gone by now; what runs besides is told.
            Connection::Own(own) => {
                let stopped = own.1.cancel();
                tracing::debug!(stopped, "asked to end what runs");
            }
            Connection::Remote(remote) => remote.cancel().await,
        }
    }
}
