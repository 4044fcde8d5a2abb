//! The calls of Flight, each for a principal and its session.
//!
//! What must stay true: no call but the handshake is answered before its caller is known; a call that this server does not offer
//! says so.

use std::sync::Arc;

use arrow_flight::error::FlightError;
use arrow_flight::flight_service_server::FlightService;
use arrow_flight::sql::{Any, Command, DoPutPreparedStatementResult, DoPutUpdateResult};
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest, HandshakeResponse, PollInfo, PutResult, Result as ActionResult, SchemaResult,
    Ticket,
};
use bytes::Bytes;
use futures::future;
use futures::stream::{self, BoxStream, Peekable};
use futures::{StreamExt, TryStreamExt};
use prost::Message;
use tonic::metadata::MetadataValue;
use tonic::{Request, Response, Status, Streaming};
use wh_query::{Engine, Way};

use crate::access::Access;
use crate::authorization::{self, Claim};

use super::sessions::{FlightSession, Peer, Sessions};
use super::status::{internal, unreadable};
use super::{actions, statements};

/// Header that a client proves itself by, and is given its token in.
const AUTHORIZATION: &str = "authorization";

/// Flight SQL over the engine.
pub(crate) struct Service {
    pub(super) engine: Engine,
    pub(super) sessions: Sessions,
    access: Arc<Access>,
}

/// Who calls.
pub(super) struct Caller {
    pub(super) session: Arc<FlightSession>,
    pub(super) peer: Peer,
}

type Answer<T> = Result<Response<BoxStream<'static, Result<T, Status>>>, Status>;

fn claimed<T>(request: &Request<T>) -> Result<(Claim, Peer), Status> {
    let claim = authorization::claim(request.metadata().get(AUTHORIZATION).map(|value| value.as_bytes()));
    let peer = request.extensions().get::<Peer>().cloned().ok_or_else(|| internal("a request came on no connection"))?;
    Ok((claim, peer))
}

fn unauthenticated() -> Status {
    Status::unauthenticated("a user and a password are needed: handshake with Basic authentication, then send the bearer token (SQLSTATE 28000)")
}

/// The command in a descriptor or a ticket.
pub(super) fn command(bytes: &[u8]) -> Result<Command, Status> {
    let any = Any::decode(bytes).map_err(|error| unreadable("the command", error))?;
    Command::try_from(any).map_err(|error| unreadable("the command", error))
}

fn one<T: Send + 'static>(message: T) -> Answer<T> {
    many(vec![Ok(message)])
}

fn many<T: Send + 'static>(messages: Vec<Result<T, Status>>) -> Answer<T> {
    Ok(Response::new(stream::iter(messages).boxed()))
}

impl Service {
    pub(super) fn new(engine: Engine, access: Arc<Access>) -> Service {
        Service { sessions: Sessions::new(engine.clone()), engine, access }
    }

    async fn caller(&self, (claim, peer): (Claim, Peer)) -> Result<Caller, Status> {
        // A token that is not valid opens no session of its own, even where anyone may ask.
        let token = match &claim {
            Claim::Bearer(token) if self.access.bearer(token).is_some() => Some(token.clone()),
            _ => None,
        };
        let principal = authorization::principal(&self.access, claim, Way::Flight, peer.address).await.ok_or_else(unauthenticated)?;
        let session = match token {
            Some(token) => self.sessions.of_token(&token, principal),
            None => self.sessions.of_peer(&peer, principal),
        };
        Ok(Caller { session, peer })
    }

    async fn put(&self, caller: &Caller, command: Command, data: Peekable<Streaming<FlightData>>) -> Result<Bytes, Status> {
        let update = |record_count| Bytes::from(DoPutUpdateResult { record_count }.encode_to_vec());
        match command {
            Command::CommandPreparedStatementQuery(query) => {
                let handle = query.prepared_statement_handle;
                // A driver may send the descriptor before the schema, in a message of its own.
                let data = data.map_err(FlightError::from).try_filter(|message| future::ready(!message.data_header.is_empty()));
                self.bind(caller, &handle, data.boxed()).await?;
                Ok(DoPutPreparedStatementResult { prepared_statement_handle: Some(handle) }.encode_to_vec().into())
            }
            Command::CommandStatementUpdate(statement) => {
                statements::no_transaction(statement.transaction_id.as_deref())?;
                self.obey(caller, &statement.query).await.map(update)
            }
            Command::CommandPreparedStatementUpdate(statement) => {
                let sql = caller.session.statement(&statement.prepared_statement_handle)?.prepared.sql().to_owned();
                self.obey(caller, &sql).await.map(update)
            }
            Command::CommandStatementIngest(_) => Err(statements::read_only("rows cannot be ingested")),
            other => Err(Status::unimplemented(format!("{} is not put here (SQLSTATE 0A000)", other.type_url()))),
        }
    }
}

#[tonic::async_trait]
impl FlightService for Service {
    type HandshakeStream = BoxStream<'static, Result<HandshakeResponse, Status>>;
    type ListFlightsStream = BoxStream<'static, Result<FlightInfo, Status>>;
    type DoGetStream = BoxStream<'static, Result<FlightData, Status>>;
    type DoPutStream = BoxStream<'static, Result<PutResult, Status>>;
    type DoExchangeStream = BoxStream<'static, Result<FlightData, Status>>;
    type DoActionStream = BoxStream<'static, Result<ActionResult, Status>>;
    type ListActionsStream = BoxStream<'static, Result<ActionType, Status>>;

    async fn handshake(&self, request: Request<Streaming<HandshakeRequest>>) -> Answer<HandshakeResponse> {
        let (claim, peer) = claimed(&request)?;
        let principal = authorization::principal(&self.access, claim, Way::Flight, peer.address).await.ok_or_else(unauthenticated)?;
        let token = self.access.issue(&principal).map_err(internal)?;
        let header = MetadataValue::try_from(format!("Bearer {token}")).map_err(internal)?;
        let mut answer = one(HandshakeResponse { protocol_version: 0, payload: token.into() })?;
        answer.metadata_mut().insert(AUTHORIZATION, header);
        Ok(answer)
    }

    async fn list_flights(&self, request: Request<Criteria>) -> Answer<FlightInfo> {
        self.caller(claimed(&request)?).await?;
        Err(Status::unimplemented("there is no list of flights: ask for the tables, or send a statement (SQLSTATE 0A000)"))
    }

    async fn get_flight_info(&self, request: Request<FlightDescriptor>) -> Result<Response<FlightInfo>, Status> {
        let caller = self.caller(claimed(&request)?).await?;
        Ok(Response::new(self.info(&caller, request.into_inner()).await?))
    }

    async fn poll_flight_info(&self, request: Request<FlightDescriptor>) -> Result<Response<PollInfo>, Status> {
        let caller = self.caller(claimed(&request)?).await?;
        // Nothing runs before its ticket is brought, so that the information is complete at once.
        let info = self.info(&caller, request.into_inner()).await?;
        Ok(Response::new(PollInfo { info: Some(info), flight_descriptor: None, progress: Some(1.0), expiration_time: None }))
    }

    async fn get_schema(&self, request: Request<FlightDescriptor>) -> Result<Response<SchemaResult>, Status> {
        let caller = self.caller(claimed(&request)?).await?;
        Ok(Response::new(self.schema(&caller, &request.into_inner()).await?))
    }

    async fn do_get(&self, request: Request<Ticket>) -> Answer<FlightData> {
        let caller = self.caller(claimed(&request)?).await?;
        self.rows(&caller, &request.into_inner().ticket).await
    }

    async fn do_put(&self, request: Request<Streaming<FlightData>>) -> Answer<PutResult> {
        let caller = self.caller(claimed(&request)?).await?;
        let mut data = request.into_inner().peekable();
        let descriptor = match std::pin::Pin::new(&mut data).peek().await {
            Some(Ok(first)) => first.flight_descriptor.clone(),
            Some(Err(status)) => return Err(status.clone()),
            None => None,
        };
        let descriptor = descriptor.ok_or_else(|| Status::invalid_argument("the first message of a DoPut needs a descriptor"))?;
        let app_metadata = self.put(&caller, command(&descriptor.cmd)?, data).await?;
        one(PutResult { app_metadata })
    }

    async fn do_exchange(&self, request: Request<Streaming<FlightData>>) -> Answer<FlightData> {
        self.caller(claimed(&request)?).await?;
        Err(Status::unimplemented("there is no DoExchange here (SQLSTATE 0A000)"))
    }

    async fn do_action(&self, request: Request<Action>) -> Answer<ActionResult> {
        let caller = self.caller(claimed(&request)?).await?;
        match self.act(&caller, request.into_inner()).await? {
            Some(body) => one(ActionResult { body }),
            None => many(Vec::new()),
        }
    }

    async fn list_actions(&self, request: Request<Empty>) -> Answer<ActionType> {
        self.caller(claimed(&request)?).await?;
        many(actions::types().into_iter().map(Ok).collect())
    }
}
