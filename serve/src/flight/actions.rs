//! Actions: prepared statements, cancelling, and the options of a session.
//!
//! What must stay true: only what is listed is done; a cancelled query has been told to stop when the answer is sent; an option
//! that cannot be set is answered by its name, and the others are set all the same.

use std::collections::{BTreeMap, HashMap};

use arrow::array::Array;
use arrow::datatypes::{Field, Schema};
use arrow::ipc::writer::IpcWriteOptions;
use arrow::util::display::array_value_to_string;
use arrow_flight::sql::{
    ActionCancelQueryRequest, ActionCancelQueryResult, ActionClosePreparedStatementRequest, ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult, Any,
    Command, ProstMessageExt,
};
use arrow_flight::{Action, ActionType, CancelFlightInfoRequest, CancelFlightInfoResult, CancelStatus, FlightInfo, IpcMessage, RenewFlightEndpointRequest, SchemaAsIpc};
use bytes::Bytes;
use futures::StreamExt;
use prost::Message;
use tonic::Status;
use wh_query::{Prepared, QueryError, Session};

use super::catalog::CATALOG;
use super::schemas;
use super::service::{Caller, Service, command};
use super::sessions::Cancelled;
use super::statements::{no_transaction, prepare, transactions};
use super::status::{internal, status, unreadable};
use super::wire::{
    CLOSED, CloseSessionResult, GetSessionOptionsResult, INVALID_NAME, INVALID_VALUE, SessionOptionError, SessionOptionValue, SetSessionOptionsRequest, SetSessionOptionsResult,
};

const CREATE_PREPARED_STATEMENT: &str = "CreatePreparedStatement";
const CLOSE_PREPARED_STATEMENT: &str = "ClosePreparedStatement";
const CANCEL_FLIGHT_INFO: &str = "CancelFlightInfo";
const CANCEL_QUERY: &str = "CancelQuery";
const RENEW_FLIGHT_ENDPOINT: &str = "RenewFlightEndpoint";
const SET_SESSION_OPTIONS: &str = "SetSessionOptions";
const GET_SESSION_OPTIONS: &str = "GetSessionOptions";
const CLOSE_SESSION: &str = "CloseSession";

/// The actions that there are.
pub(super) fn types() -> Vec<ActionType> {
    [
        (CREATE_PREPARED_STATEMENT, "ActionCreatePreparedStatementRequest → ActionCreatePreparedStatementResult: plans a statement, with parameters $1, $2 …"),
        (CLOSE_PREPARED_STATEMENT, "ActionClosePreparedStatementRequest → nothing: forgets a prepared statement"),
        (CANCEL_FLIGHT_INFO, "CancelFlightInfoRequest → CancelFlightInfoResult: ends what a FlightInfo is for, or keeps it from running"),
        (CANCEL_QUERY, "ActionCancelQueryRequest → ActionCancelQueryResult: the older form of CancelFlightInfo"),
        (RENEW_FLIGHT_ENDPOINT, "RenewFlightEndpointRequest → FlightEndpoint: the same, since endpoints do not expire while their session lives"),
        (SET_SESSION_OPTIONS, "SetSessionOptionsRequest → SetSessionOptionsResult: sets what SET sets, and catalog and schema"),
        (GET_SESSION_OPTIONS, "GetSessionOptionsRequest → GetSessionOptionsResult: all that SHOW ALL shows"),
        (CLOSE_SESSION, "CloseSessionRequest → CloseSessionResult: ends what runs in the session and forgets what is open in it"),
    ]
    .into_iter()
    .map(|(name, description)| ActionType { r#type: name.to_owned(), description: description.to_owned() })
    .collect()
}

fn packed<M: ProstMessageExt>(body: &[u8]) -> Result<M, Status> {
    let any = Any::decode(body).map_err(|error| unreadable("the action", error))?;
    any.unpack::<M>().map_err(|error| unreadable("the action", error))?.ok_or_else(|| Status::invalid_argument(format!("this action needs a {}", M::type_url())))
}

fn plain<M: Message + Default>(body: &[u8]) -> Result<M, Status> {
    M::decode(body).map_err(|error| unreadable("the action", error))
}

/// An Arrow schema as clients expect it in a prepared statement.
fn ipc(schema: &Schema) -> Result<Bytes, Status> {
    let IpcMessage(bytes) = IpcMessage::try_from(SchemaAsIpc::new(schema, &IpcWriteOptions::default())).map_err(internal)?;
    Ok(bytes)
}

/// The parameters of a statement as columns named $1, $2 …, of the types of what they are compared with: some drivers send nothing else.
fn parameter_schema(prepared: &Prepared) -> Schema {
    let field = |(place, data_type): (usize, &arrow::datatypes::DataType)| Field::new(format!("${}", place + 1), data_type.clone(), true);
    Schema::new(prepared.parameter_columns().iter().enumerate().map(field).collect::<Vec<_>>())
}

impl Service {
    /// Does what is asked; the body of the answer, where there is one.
    pub(super) async fn act(&self, caller: &Caller, action: Action) -> Result<Option<Bytes>, Status> {
        let body = &action.body;
        let answer = match action.r#type.as_str() {
            CREATE_PREPARED_STATEMENT => {
                let request: ActionCreatePreparedStatementRequest = packed(body)?;
                no_transaction(request.transaction_id.as_deref())?;
                let prepared = prepare(&caller.session, &request.query).await?;
                let (dataset_schema, parameter_schema) = (ipc(&schemas::told(&prepared.schema()))?, ipc(&parameter_schema(&prepared))?);
                let prepared_statement_handle = caller.session.keep(prepared)?;
                ActionCreatePreparedStatementResult { prepared_statement_handle, dataset_schema, parameter_schema }.as_any().encode_to_vec()
            }
            CLOSE_PREPARED_STATEMENT => {
                let request: ActionClosePreparedStatementRequest = packed(body)?;
                caller.session.close(&request.prepared_statement_handle);
                return Ok(None);
            }
            CANCEL_FLIGHT_INFO => {
                let request: CancelFlightInfoRequest = plain(body)?;
                let info = request.info.ok_or_else(|| Status::invalid_argument("a CancelFlightInfoRequest needs the FlightInfo"))?;
                CancelFlightInfoResult { status: self.cancel(caller, &info)? }.encode_to_vec()
            }
            CANCEL_QUERY => {
                let request: ActionCancelQueryRequest = packed(body)?;
                let info: FlightInfo = plain(&request.info)?;
                // The two enumerations have the same numbers.
                ActionCancelQueryResult { result: self.cancel(caller, &info)? }.as_any().encode_to_vec()
            }
            RENEW_FLIGHT_ENDPOINT => {
                let request: RenewFlightEndpointRequest = plain(body)?;
                request.endpoint.ok_or_else(|| Status::invalid_argument("a RenewFlightEndpointRequest needs the endpoint"))?.encode_to_vec()
            }
            SET_SESSION_OPTIONS => {
                let request: SetSessionOptionsRequest = plain(body)?;
                SetSessionOptionsResult { errors: set(&caller.session.session, request.session_options).await }.encode_to_vec()
            }
            GET_SESSION_OPTIONS => GetSessionOptionsResult { session_options: options(&caller.session.session).await? }.encode_to_vec(),
            CLOSE_SESSION => {
                self.sessions.end(&caller.session, &caller.peer);
                CloseSessionResult { status: CLOSED }.encode_to_vec()
            }
            "BeginTransaction" | "EndTransaction" | "BeginSavepoint" | "EndSavepoint" => return Err(transactions()),
            other => return Err(Status::unimplemented(format!("there is no action {other}: ListActions tells which there are (SQLSTATE 0A000)"))),
        };
        Ok(Some(answer.into()))
    }

    /// Cancels what the tickets of `info` are for; the number of a [`CancelStatus`].
    fn cancel(&self, caller: &Caller, info: &FlightInfo) -> Result<i32, Status> {
        let mut outcome = CancelStatus::NotCancellable;
        for ticket in info.endpoint.iter().filter_map(|endpoint| endpoint.ticket.as_ref()) {
            // Pieces of the catalog are answered at once.
            let Command::TicketStatementQuery(query) = command(&ticket.ticket)? else { continue };
            let session = self.sessions.of_handle(&query.statement_handle, &caller.session);
            if session.cancel(&self.engine, &query.statement_handle)? == Cancelled::Yes {
                outcome = CancelStatus::Cancelled;
            }
        }
        Ok(outcome.into())
    }
}

/// Sets options, in the order of their names; gives what could not be set.
async fn set(session: &Session, options: HashMap<String, SessionOptionValue>) -> HashMap<String, SessionOptionError> {
    let options: BTreeMap<String, SessionOptionValue> = options.into_iter().collect();
    let mut errors = HashMap::new();
    for (name, value) in options {
        // Drivers name these two by words of their own.
        let setting = if matches!(name.as_str(), "schema" | "db_schema") { "search_path" } else { name.as_str() };
        let outcome = match value.as_setting() {
            Some(value) if name == "catalog" => {
                if value == CATALOG {
                    Ok(())
                } else {
                    Err(INVALID_VALUE)
                }
            }
            None if name == "catalog" => Ok(()),
            Some(value) => session.set(setting, &value).map_err(|error| fault(&error)),
            None => reset(session, setting).await.map_err(|error| fault(&error)),
        };
        if let Err(value) = outcome {
            errors.insert(name, SessionOptionError { value });
        }
    }
    errors
}

/// Sets an option back to what it was at first.
async fn reset(session: &Session, setting: &str) -> Result<(), QueryError> {
    // A name that there is has nothing in it that SQL could take for more.
    session.show(setting)?;
    session.query(&format!("RESET {setting}")).await.map(|_| ())
}

/// Whether the name or the value was at fault.
fn fault(error: &QueryError) -> i32 {
    match error {
        QueryError::Setting { known: false, .. } => INVALID_NAME,
        _ => INVALID_VALUE,
    }
}

/// All options with their values.
async fn options(session: &Session) -> Result<HashMap<String, SessionOptionValue>, Status> {
    const ALL: &str = "SHOW ALL";
    let told = |error: &QueryError| status(error, ALL);
    let mut result = session.query(ALL).await.map_err(|error| told(&error))?;
    let mut options = HashMap::from([("catalog".to_owned(), SessionOptionValue::text(CATALOG.to_owned()))]);
    while let Some(batch) = result.stream.next().await {
        let batch = batch.map_err(|error| told(&QueryError::from(error)))?;
        // Name, value, description.
        let [names, values, ..] = batch.columns() else { return Err(internal("SHOW ALL has fewer than two columns")) };
        for row in 0..batch.num_rows() {
            if values.is_null(row) {
                continue;
            }
            let name = array_value_to_string(names, row).map_err(internal)?;
            let value = array_value_to_string(values, row).map_err(internal)?;
            options.insert(name, SessionOptionValue::text(value));
        }
    }
    Ok(options)
}
