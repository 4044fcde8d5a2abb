//! Sessions: one for each bearer token, else one for each connection; and what a client has open in one.
//!
//! What must stay true: a handle names its session and is random beyond that; it is good for its principal alone, on whichever
//! connection; nothing here grows without a limit, and a client that opens too much loses its own oldest tickets, never another's;
//! a session ends when its token has been silent for [`IDLE`], when its connection closes, or when the client closes it.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use datafusion::common::ScalarValue;
use tonic::Status;
use wh_query::{Engine, Prepared, Principal, Session};

use crate::handle;

use super::status::internal;

/// How long a token may be silent before its session is closed.
const IDLE: Duration = Duration::from_secs(3_600);
/// Sessions of tokens that one principal may have; a further one closes the one that was silent longest.
const MOST_SESSIONS: usize = 256;
/// Prepared statements of one session.
const MOST_STATEMENTS: usize = 1_000;
/// Tickets of one session that are kept.
const MOST_TICKETS: usize = 256;
/// Bytes of SQL that the statements, and as many that the tickets, of one session may hold.
const MOST_SQL_BYTES: usize = 16 << 20;

/// What is remembered of a connection.
#[derive(Clone)]
pub(crate) struct Peer {
    /// Where it comes from.
    pub(crate) address: SocketAddr,
    /// Its session, where requests on it bring no token.
    own: Arc<Mutex<Option<Arc<FlightSession>>>>,
}

impl Peer {
    pub(crate) fn new(address: SocketAddr) -> Peer {
        Peer { address, own: Arc::new(Mutex::new(None)) }
    }
}

/// A statement that a client has prepared.
#[derive(Clone)]
pub(crate) struct Statement {
    /// The statement.
    pub(crate) prepared: Prepared,
    /// What was bound last.
    pub(crate) parameters: Option<Vec<ScalarValue>>,
}

/// A statement that is to be run when its ticket is brought.
struct Ticket {
    prepared: Prepared,
    parameters: Vec<ScalarValue>,
    /// Queries that ran for it, by their ids in the registry.
    queries: Vec<u64>,
    cancelled: bool,
}

#[derive(Default)]
struct Open {
    statements: HashMap<Bytes, Statement>,
    statement_bytes: usize,
    tickets: HashMap<Bytes, Ticket>,
    /// Handles of the tickets, the oldest first.
    order: VecDeque<Bytes>,
    ticket_bytes: usize,
}

/// A session and what its client has open.
pub(crate) struct FlightSession {
    /// The engine's.
    pub(crate) session: Session,
    open: Mutex<Open>,
}

/// What became of a wish to cancel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cancelled {
    /// It will not run, or runs no more.
    Yes,
    /// It had ended.
    TooLate,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is behind these locks is whole between any two statements.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl FlightSession {
    fn handle(&self) -> Result<Bytes, Status> {
        let mut name = self.session.id().to_be_bytes().to_vec();
        name.extend_from_slice(&handle::random().map_err(internal)?);
        Ok(name.into())
    }

    /// Keeps a prepared statement.
    pub(crate) fn keep(&self, prepared: Prepared) -> Result<Bytes, Status> {
        let handle = self.handle()?;
        let mut open = locked(&self.open);
        let bytes = prepared.sql().len();
        if open.statements.len() >= MOST_STATEMENTS || open.statement_bytes + bytes > MOST_SQL_BYTES {
            return Err(Status::resource_exhausted(format!("this session has {} prepared statements: close some first (SQLSTATE 53400)", open.statements.len())));
        }
        open.statement_bytes += bytes;
        open.statements.insert(handle.clone(), Statement { prepared, parameters: None });
        Ok(handle)
    }

    /// A prepared statement.
    pub(crate) fn statement(&self, handle: &[u8]) -> Result<Statement, Status> {
        locked(&self.open).statements.get(handle).cloned().ok_or_else(|| Status::not_found("there is no such prepared statement in this session (SQLSTATE 26000)"))
    }

    /// Binds parameters to a prepared statement.
    pub(crate) fn bind(&self, handle: &[u8], parameters: Vec<ScalarValue>) {
        if let Some(statement) = locked(&self.open).statements.get_mut(handle) {
            statement.parameters = Some(parameters);
        }
    }

    /// Forgets a prepared statement; nothing where there is none.
    pub(crate) fn close(&self, handle: &[u8]) {
        let mut open = locked(&self.open);
        if let Some(statement) = open.statements.remove(handle) {
            open.statement_bytes -= statement.prepared.sql().len();
        }
    }

    /// A ticket for a statement.
    pub(crate) fn issue(&self, prepared: Prepared, parameters: Vec<ScalarValue>) -> Result<Bytes, Status> {
        let handle = self.handle()?;
        let mut open = locked(&self.open);
        open.ticket_bytes += prepared.sql().len();
        open.tickets.insert(handle.clone(), Ticket { prepared, parameters, queries: Vec::new(), cancelled: false });
        open.order.push_back(handle.clone());
        while open.order.len() > 1 && (open.order.len() > MOST_TICKETS || open.ticket_bytes > MOST_SQL_BYTES) {
            let oldest = open.order.pop_front();
            if let Some(ticket) = oldest.and_then(|oldest| open.tickets.remove(&oldest)) {
                open.ticket_bytes -= ticket.prepared.sql().len();
            }
        }
        Ok(handle)
    }

    /// What a ticket is for.
    pub(crate) fn redeem(&self, handle: &[u8]) -> Result<(Prepared, Vec<ScalarValue>), Status> {
        match locked(&self.open).tickets.get(handle) {
            Some(ticket) if ticket.cancelled => Err(Status::cancelled("canceled on user request (SQLSTATE 57014)")),
            Some(ticket) => Ok((ticket.prepared.clone(), ticket.parameters.clone())),
            None => Err(unknown_ticket()),
        }
    }

    /// Notes that `query` runs for a ticket; false where the ticket was cancelled meanwhile.
    pub(crate) fn runs(&self, handle: &[u8], query: u64) -> bool {
        locked(&self.open).tickets.get_mut(handle).is_none_or(|ticket| {
            ticket.queries.push(query);
            !ticket.cancelled
        })
    }

    /// Cancels what a ticket is for, whether it runs or not.
    pub(crate) fn cancel(&self, engine: &Engine, handle: &[u8]) -> Result<Cancelled, Status> {
        let queries = {
            let mut open = locked(&self.open);
            let ticket = open.tickets.get_mut(handle).ok_or_else(unknown_ticket)?;
            ticket.cancelled = true;
            ticket.queries.clone()
        };
        // All are tried: a ticket may have been brought twice.
        let stopped = queries.iter().filter(|query| engine.queries().cancel(**query)).count();
        Ok(if queries.is_empty() || stopped > 0 { Cancelled::Yes } else { Cancelled::TooLate })
    }
}

fn unknown_ticket() -> Status {
    Status::not_found("this ticket is not known: its session has ended, or has issued many since (SQLSTATE 26000)")
}

struct Held {
    session: Arc<FlightSession>,
    used: Instant,
}

#[derive(Default)]
struct Register {
    tokens: HashMap<String, Held>,
    /// Every session by its number, as long as it lives.
    all: HashMap<i32, Weak<FlightSession>>,
}

/// Every session of this way in.
pub(crate) struct Sessions {
    engine: Engine,
    register: Mutex<Register>,
}

impl Sessions {
    pub(crate) fn new(engine: Engine) -> Sessions {
        Sessions { engine, register: Mutex::new(Register::default()) }
    }

    fn begin(&self, register: &mut Register, principal: Principal) -> Arc<FlightSession> {
        let session = Arc::new(FlightSession { session: self.engine.session(principal), open: Mutex::new(Open::default()) });
        register.all.retain(|_, known| known.strong_count() > 0);
        register.all.insert(session.session.id(), Arc::downgrade(&session));
        session
    }

    /// The session of a token that is valid.
    pub(crate) fn of_token(&self, token: &str, principal: Principal) -> Arc<FlightSession> {
        let mut register = locked(&self.register);
        let now = Instant::now();
        if let Some(held) = register.tokens.get_mut(token) {
            held.used = now;
            return Arc::clone(&held.session);
        }
        register.tokens.retain(|_, held| now.duration_since(held.used) < IDLE);
        let its = |held: &Held| held.session.session.principal().is_same(&principal);
        if register.tokens.values().filter(|held| its(held)).count() >= MOST_SESSIONS {
            let silent = register.tokens.iter().filter(|(_, held)| its(held)).min_by_key(|(_, held)| held.used).map(|(token, _)| token.clone());
            if let Some(token) = silent {
                register.tokens.remove(&token);
            }
        }
        let session = self.begin(&mut register, principal);
        register.tokens.insert(token.to_owned(), Held { session: Arc::clone(&session), used: now });
        session
    }

    /// The session of a connection.
    pub(crate) fn of_peer(&self, peer: &Peer, principal: Principal) -> Arc<FlightSession> {
        let mut own = locked(&peer.own);
        match own.as_ref() {
            Some(session) if session.session.principal().name == principal.name => Arc::clone(session),
            _ => {
                let session = self.begin(&mut locked(&self.register), principal);
                *own = Some(Arc::clone(&session));
                session
            }
        }
    }

    /// The session that issued a handle, as far as `caller` may know of it.
    pub(crate) fn of_handle(&self, handle: &[u8], caller: &Arc<FlightSession>) -> Arc<FlightSession> {
        let number = handle.first_chunk::<4>().map(|number| i32::from_be_bytes(*number));
        let found = number.and_then(|number| locked(&self.register).all.get(&number).and_then(Weak::upgrade));
        // Another's is as good as none: the caller's own session will not know the handle.
        found.filter(|found| found.session.principal().is_same(caller.session.principal())).unwrap_or_else(|| Arc::clone(caller))
    }

    /// Ends a session: what runs in it is cancelled, what it has open is forgotten.
    pub(crate) fn end(&self, session: &Arc<FlightSession>, peer: &Peer) {
        session.session.cancel();
        *locked(&session.open) = Open::default();
        session.session.discard();
        locked(&self.register).tokens.retain(|_, held| !Arc::ptr_eq(&held.session, session));
        let mut own = locked(&peer.own);
        if own.as_ref().is_some_and(|own| Arc::ptr_eq(own, session)) {
            *own = None;
        }
    }
}
