//! The queries that run, and those that ran: who asked what, and what became of it.
//!
//! What must stay true: a query is in one of the two lists from its planning on; whoever ends it, its stream is let go of at once,
//! whether somebody reads it or not; the lists are bounded, and so is what each entry holds.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use datafusion::execution::SendableRecordBatchStream;
use tokio_util::sync::CancellationToken;
use wh_stores::clock;

use crate::errors::QueryError;
use crate::principal::{Principal, Way};
use crate::work::{StoreWork, Work};

/// How many ended queries are remembered.
const REMEMBERED: usize = 1_000;
/// How many characters of a statement, and of an error, are remembered.
const CHARACTERS: usize = 4_000;

/// What became of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueryState {
    /// It runs.
    Running,
    /// All its rows were read.
    Done,
    /// It failed.
    Failed,
    /// Somebody ended it, or stopped reading.
    Cancelled,
}

impl fmt::Display for QueryState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            QueryState::Running => "running",
            QueryState::Done => "done",
            QueryState::Failed => "failed",
            QueryState::Cancelled => "cancelled",
        })
    }
}

/// A query.
#[derive(Clone, Debug)]
pub struct QueryInfo {
    /// Its number in this process.
    pub id: u64,
    /// Its session.
    pub session: i32,
    /// Who asked.
    pub principal: String,
    /// Whether that name was proven.
    pub proved: bool,
    /// Under which role.
    pub role: String,
    /// How.
    pub way: Way,
    /// From where.
    pub peer: Option<SocketAddr>,
    /// What; long statements are cut off.
    pub sql: String,
    /// What became of it.
    pub state: QueryState,
    /// Microseconds UTC.
    pub started_at: i64,
    /// How long it took, or has taken so far.
    pub elapsed: Duration,
    /// Rows that were handed over.
    pub rows_out: u64,
    /// What the stores did.
    pub stores: Vec<StoreWork>,
    /// Why it failed.
    pub error: Option<String>,
}

/// The queries of one engine.
#[derive(Debug, Default)]
pub struct Queries {
    last: AtomicU64,
    running: Mutex<BTreeMap<u64, Arc<Running>>>,
    recent: Mutex<VecDeque<QueryInfo>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Queries {
    /// Those that run, the oldest first.
    #[must_use]
    pub fn running(&self) -> Vec<QueryInfo> {
        let running: Vec<Arc<Running>> = locked(&self.running).values().cloned().collect();
        running.iter().map(|query| query.info(QueryState::Running, None)).collect()
    }

    /// Those that ended, the newest first; the newest 1,000.
    #[must_use]
    pub fn recent(&self) -> Vec<QueryInfo> {
        locked(&self.recent).iter().rev().cloned().collect()
    }

    /// A query that runs, or ended lately.
    #[must_use]
    pub fn find(&self, id: u64) -> Option<QueryInfo> {
        let running = locked(&self.running).get(&id).cloned();
        running.map(|query| query.info(QueryState::Running, None)).or_else(|| locked(&self.recent).iter().find(|info| info.id == id).cloned())
    }

    /// Ends a query. Returns whether it ran.
    pub fn cancel(&self, id: u64) -> bool {
        let running = locked(&self.running).get(&id).cloned();
        running.is_some_and(|query| {
            query.end(QueryError::Cancelled);
            true
        })
    }

    /// Ends all queries of a session. Returns whether one ran.
    pub fn cancel_session(&self, session: i32) -> bool {
        let running: Vec<Arc<Running>> = locked(&self.running).values().filter(|query| query.session == session).cloned().collect();
        for query in &running {
            query.end(QueryError::Cancelled);
        }
        !running.is_empty()
    }

    /// Begins a query, unless as many of its role run as may.
    pub(crate) fn begin(self: &Arc<Self>, session: i32, principal: &Principal, sql: &str, timeout: Option<Duration>) -> Result<Ticket, QueryError> {
        self.end_overdue();
        let began = Instant::now();
        let query = Arc::new(Running {
            id: self.last.fetch_add(1, Ordering::Relaxed) + 1,
            session,
            principal: principal.clone(),
            sql: cut_off(sql),
            started_at: clock::now().0,
            began,
            // A time so far away that it cannot be said is none.
            deadline: timeout.and_then(|timeout| began.checked_add(timeout)),
            stop: CancellationToken::new(),
            why: Mutex::default(),
            work: Arc::new(Work::default()),
            rows: AtomicU64::new(0),
            stream: Mutex::default(),
        });
        let mut running = locked(&self.running);
        if let Some(most) = principal.limits.queries
            && running.values().filter(|query| query.principal.role == principal.role).count() >= most
        {
            return Err(QueryError::TooMany { role: principal.role.clone(), queries: most });
        }
        running.insert(query.id, Arc::clone(&query));
        drop(running);
        Ok(Ticket { queries: Arc::clone(self), query, ended: false })
    }

    /// A stream that nobody reads does not see its own time run out.
    fn end_overdue(&self) {
        let now = Instant::now();
        let overdue: Vec<Arc<Running>> = locked(&self.running).values().filter(|query| query.deadline.is_some_and(|deadline| deadline < now)).cloned().collect();
        for query in overdue {
            query.end(QueryError::Timeout);
        }
    }

    fn ended(&self, query: &Running, state: QueryState, error: Option<&QueryError>) {
        // What still computes for it looks at this.
        query.stop.cancel();
        let stream = locked(&query.stream).take();
        locked(&self.running).remove(&query.id);
        let info = query.info(state, error.map(|error| cut_off(&error.to_string())));
        let mut recent = locked(&self.recent);
        if recent.len() == REMEMBERED {
            recent.pop_front();
        }
        recent.push_back(info);
        drop(recent);
        // Last, without a lock: letting go of it ends the scans.
        drop(stream);
    }
}

fn cut_off(text: &str) -> String {
    match text.char_indices().nth(CHARACTERS) {
        Some((end, _)) => format!("{} …", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// A query that runs.
pub(crate) struct Running {
    id: u64,
    session: i32,
    principal: Principal,
    sql: String,
    started_at: i64,
    began: Instant,
    /// When it must have ended.
    pub(crate) deadline: Option<Instant>,
    /// Told when it is to end.
    pub(crate) stop: CancellationToken,
    /// Why it was told so.
    why: Mutex<Option<QueryError>>,
    /// What the stores do for it.
    pub(crate) work: Arc<Work>,
    /// Rows that were handed over.
    pub(crate) rows: AtomicU64,
    /// Its rows, here so that whoever ends it can let go of them.
    pub(crate) stream: Mutex<Option<SendableRecordBatchStream>>,
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").field("id", &self.id).field("session", &self.session).finish_non_exhaustive()
    }
}

impl Running {
    /// Ends it, for the first reason that is given.
    pub(crate) fn end(&self, why: QueryError) {
        {
            let mut held = locked(&self.why);
            if held.is_none() {
                *held = Some(why);
            }
        }
        self.stop.cancel();
        // Whoever is reading it has just been woken, and lets go of it.
        let stream = self.stream.try_lock().ok().and_then(|mut stream| stream.take());
        drop(stream);
    }

    /// Why it was ended.
    pub(crate) fn why(&self) -> QueryError {
        locked(&self.why).clone().unwrap_or(QueryError::Cancelled)
    }

    fn info(&self, state: QueryState, error: Option<String>) -> QueryInfo {
        QueryInfo {
            id: self.id,
            session: self.session,
            principal: self.principal.name.clone(),
            proved: self.principal.proved,
            role: self.principal.role.clone(),
            way: self.principal.way,
            peer: self.principal.peer,
            sql: self.sql.clone(),
            state,
            started_at: self.started_at,
            elapsed: self.began.elapsed(),
            rows_out: self.rows.load(Ordering::Relaxed),
            stores: self.work.stores(),
            error,
        }
    }
}

/// The right to run a query: dropping it ends the query.
#[derive(Debug)]
pub(crate) struct Ticket {
    queries: Arc<Queries>,
    pub(crate) query: Arc<Running>,
    ended: bool,
}

impl Ticket {
    /// Number of the query.
    pub(crate) fn id(&self) -> u64 {
        self.query.id
    }

    /// All rows were read.
    pub(crate) fn done(&mut self) {
        self.ends(QueryState::Done, None);
    }

    /// It failed.
    pub(crate) fn failed(&mut self, error: &QueryError) {
        let state = if *error == QueryError::Cancelled { QueryState::Cancelled } else { QueryState::Failed };
        self.ends(state, Some(error));
    }

    fn ends(&mut self, state: QueryState, error: Option<&QueryError>) {
        if !self.ended {
            self.ended = true;
            self.queries.ended(&self.query, state, error);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.ends(QueryState::Cancelled, None);
    }
}

#[cfg(test)]
#[path = "queries_tests.rs"]
mod tests;
