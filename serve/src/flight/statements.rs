//! Statements: their schemas, their tickets, their rows.
//!
//! What must stay true: the engine's batches are encoded as they come, few before the client takes them; a stream keeps its session
//! alive, and dropping it ends the query; what a client cannot be told beside the rows stands in the headers.

use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::Schema;
use arrow::ipc::writer::IpcWriteOptions;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::error::FlightError;
use arrow_flight::sql::{Command, ProstMessageExt, TicketStatementQuery};
use arrow_flight::{FlightData, FlightDescriptor, FlightEndpoint, FlightInfo, SchemaAsIpc, SchemaResult, Ticket};
use bytes::Bytes;
use datafusion::common::ScalarValue;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use prost::Message;
use tonic::metadata::{BinaryMetadataValue, MetadataValue};
use tonic::{Response, Status};
use wh_query::{Action, Prepared, QueryError, QueryResult};

use super::parameters;
use super::schemas;
use super::service::{Caller, Service, command};
use super::sessions::{FlightSession, Statement};
use super::status::{internal, of_flight, status};

/// Id of the query in the register of queries, in the headers of its rows.
const QUERY_ID: &str = "x-wardhouse-query-id";
/// What the analyst must be told besides the rows, one header each, in UTF-8.
const NOTICE: &str = "x-wardhouse-notice-bin";
/// Notices that are sent.
const MOST_NOTICES: usize = 16;
/// Batches that bind parameters may come in; one of them has the row.
const MOST_BATCHES: usize = 16;

/// How long the first rows are waited for, before the headers are sent.
const FIRST_ROWS: Duration = Duration::from_millis(100);

type Rows = Result<Response<BoxStream<'static, Result<FlightData, Status>>>, Status>;

/// Refuses what writes.
pub(super) fn read_only(what: &str) -> Status {
    Status::failed_precondition(format!("Wardhouse's SQL only reads: {what} (SQLSTATE 25006)"))
}

/// Refuses a statement of a transaction.
pub(super) fn no_transaction(id: Option<&[u8]>) -> Result<(), Status> {
    if id.is_some_and(|id| !id.is_empty()) { Err(transactions()) } else { Ok(()) }
}

/// Refuses transactions.
pub(super) fn transactions() -> Status {
    Status::unimplemented("there are no transactions: each statement reads for itself; SET wardhouse.read = 'cut' makes all tables answer as of one position (SQLSTATE 0A000)")
}

/// Plans a statement.
pub(super) async fn prepare(session: &FlightSession, sql: &str) -> Result<Prepared, Status> {
    session.session.prepare(sql, &[]).await.map_err(|error| status(&error, sql))
}

/// The parameters that a statement will run with.
fn bound(statement: Statement) -> Result<(Prepared, Vec<ScalarValue>), Status> {
    let Statement { prepared, parameters } = statement;
    let wanted = prepared.parameters().len();
    match parameters {
        Some(parameters) if parameters.len() == wanted => Ok((prepared, parameters)),
        None if wanted == 0 => Ok((prepared, Vec::new())),
        _ => Err(Status::invalid_argument(format!("the statement has {wanted} parameters: bind them first (SQLSTATE 07001)"))),
    }
}

fn without_parameters(prepared: Prepared) -> Result<(Prepared, Vec<ScalarValue>), Status> {
    if prepared.parameters().is_empty() {
        return Ok((prepared, Vec::new()));
    }
    Err(Status::invalid_argument("a statement with parameters is prepared first, and bound (SQLSTATE 07001)"))
}

impl Service {
    /// Where and how a statement or a piece of the catalog is read.
    pub(super) async fn info(&self, caller: &Caller, descriptor: FlightDescriptor) -> Result<FlightInfo, Status> {
        let (prepared, parameters) = match command(&descriptor.cmd)? {
            Command::CommandStatementQuery(query) => {
                no_transaction(query.transaction_id.as_deref())?;
                without_parameters(prepare(&caller.session, &query.query).await?)?
            }
            Command::CommandPreparedStatementQuery(query) => bound(caller.session.statement(&query.prepared_statement_handle)?)?,
            other => {
                let batch = self.catalog(&caller.session, other).await?;
                return described(&batch.schema(), descriptor.cmd.clone(), descriptor);
            }
        };
        let schema = schemas::told(&prepared.schema());
        let statement_handle = caller.session.issue(prepared, parameters)?;
        let ticket = TicketStatementQuery { statement_handle }.as_any().encode_to_vec();
        described(&schema, ticket.into(), descriptor)
    }

    /// The columns that a statement or a piece of the catalog has.
    pub(super) async fn schema(&self, caller: &Caller, descriptor: &FlightDescriptor) -> Result<SchemaResult, Status> {
        let schema = match command(&descriptor.cmd)? {
            Command::CommandStatementQuery(query) => schemas::told(&prepare(&caller.session, &query.query).await?.schema()),
            Command::CommandPreparedStatementQuery(query) => schemas::told(&caller.session.statement(&query.prepared_statement_handle)?.prepared.schema()),
            other => self.catalog(&caller.session, other).await?.schema(),
        };
        SchemaResult::try_from(SchemaAsIpc::new(&schema, &IpcWriteOptions::default())).map_err(internal)
    }

    /// The rows that a ticket is for.
    pub(super) async fn rows(&self, caller: &Caller, ticket: &[u8]) -> Rows {
        match command(ticket)? {
            Command::TicketStatementQuery(query) => {
                let handle = query.statement_handle;
                let session = self.sessions.of_handle(&handle, &caller.session);
                let (prepared, parameters) = session.redeem(&handle)?;
                let result = execute(&session, &prepared, parameters).await?;
                if !session.runs(&handle, result.id) {
                    self.engine.queries().cancel(result.id);
                }
                sent(result, session, &prepared).await
            }
            Command::CommandPreparedStatementQuery(query) => {
                let (prepared, parameters) = bound(caller.session.statement(&query.prepared_statement_handle)?)?;
                let result = execute(&caller.session, &prepared, parameters).await?;
                sent(result, Arc::clone(&caller.session), &prepared).await
            }
            other => {
                let batch = self.catalog(&caller.session, other).await?;
                let rows = FlightDataEncoderBuilder::new().with_schema(batch.schema()).build(stream::iter([Ok(batch)]));
                Ok(Response::new(rows.map_err(of_flight).boxed()))
            }
        }
    }

    /// Binds the row in `data` to a prepared statement.
    pub(super) async fn bind(&self, caller: &Caller, handle: &[u8], data: BoxStream<'static, Result<FlightData, FlightError>>) -> Result<(), Status> {
        let statement = caller.session.statement(handle)?;
        let batches: Vec<_> = FlightRecordBatchStream::new_from_flight_data(data).take(MOST_BATCHES).try_collect().await.map_err(of_flight)?;
        let wanted = statement.prepared.parameters();
        // Some drivers bind an empty row to a statement without parameters.
        let values = if wanted.is_empty() && batches.iter().all(|batch| batch.num_columns() == 0) { Vec::new() } else { parameters::values(&batches, wanted)? };
        caller.session.bind(handle, values);
        Ok(())
    }

    /// Runs a statement that came as an update: what concerns the session alone, and returns no rows.
    pub(super) async fn obey(&self, caller: &Caller, sql: &str) -> Result<i64, Status> {
        let prepared = prepare(&caller.session, sql).await?;
        match prepared.action() {
            Action::Set { .. }
            | Action::Begin
            | Action::Commit
            | Action::Rollback
            | Action::Discard
            | Action::Prepare { .. }
            | Action::Deallocate { .. }
            | Action::Declare { .. }
            | Action::Close { .. }
            | Action::Empty => {}
            Action::Query | Action::Explain | Action::Copy { .. } | Action::Show | Action::Fetch { .. } => {
                return Err(Status::invalid_argument("this statement returns rows: send it as a query, not as an update (SQLSTATE 42809)"));
            }
        }
        let mut result = execute(&caller.session, &prepared, Vec::new()).await?;
        while let Some(batch) = result.stream.next().await {
            batch.map_err(|error| status(&QueryError::from(error), sql))?;
        }
        Ok(0)
    }
}

async fn execute(session: &FlightSession, prepared: &Prepared, parameters: Vec<ScalarValue>) -> Result<QueryResult, Status> {
    session.session.execute(prepared, parameters).await.map_err(|error| status(&error, prepared.sql()))
}

fn described(schema: &Schema, ticket: Bytes, descriptor: FlightDescriptor) -> Result<FlightInfo, Status> {
    let endpoint = FlightEndpoint::new().with_ticket(Ticket::new(ticket));
    Ok(FlightInfo::new().try_with_schema(schema).map_err(internal)?.with_endpoint(endpoint).with_descriptor(descriptor).with_ordered(true))
}

/// The rows on their way to the client. The encoder cuts batches that are larger than a message may be, and sends dictionaries as what
/// they stand for.
async fn sent(result: QueryResult, session: Arc<FlightSession>, prepared: &Prepared) -> Rows {
    let late = result.late_notices();
    let QueryResult { schema, mut stream, mut notices, id, .. } = result;
    let planned = prepared.schema();
    // Where a setting has changed since it was planned, its columns may be others.
    let schema = schemas::told(if planned.fields().len() == schema.fields().len() { &planned } else { &schema });
    let (sql, told) = (prepared.sql().to_owned(), Arc::clone(&schema));
    // Cancel-safe: a batch that comes later is still in the stream. What a store that is away leaves out is known by the first rows, as a
    // rule, and can be told in the headers alone.
    let first = match tokio::time::timeout(FIRST_ROWS, stream.next()).await {
        Ok(Some(Err(error))) => return Err(status(&QueryError::from(error), &sql)),
        Ok(first) => first,
        Err(_) => None,
    };
    notices.extend(late.take());
    let batches = stream::iter(first).chain(stream).map(move |batch| {
        let _alive = &session;
        let batch = batch.map_err(|error| FlightError::from(status(&QueryError::from(error), &sql)))?;
        schemas::as_told(&batch, &told).map_err(FlightError::from)
    });
    let rows = FlightDataEncoderBuilder::new().with_schema(schema).build(batches);
    let mut answer = Response::new(rows.map_err(of_flight).boxed());
    let metadata = answer.metadata_mut();
    metadata.insert(QUERY_ID, MetadataValue::from(id));
    for notice in notices.iter().take(MOST_NOTICES) {
        metadata.append_bin(NOTICE, BinaryMetadataValue::from_bytes(notice.as_bytes()));
    }
    Ok(answer)
}
