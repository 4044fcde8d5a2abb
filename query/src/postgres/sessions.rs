//! The sessions in which SQL reads: as many as the settings allow, kept while they are whole.
//!
//! A pool of the client's own would hide why no connection can be made, and knows no way to cancel a statement; what is needed
//! beside those two is little.
//!
//! What must stay true: a session in which a statement may still be running is never used again; none can write; a layout that is
//! not this binary's is not read.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::Connection;
use sqlx::postgres::PgConnection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wh_schemas::Reaction;
use wh_stores::postgres::connect::{self, ReadSession};
use wh_stores::postgres::{PostgresSettings, in_words, layout, reaction};

use crate::errors::QueryError;

/// The role's name in SQL.
pub(super) const ROLE: &str = "ledger";
/// How long a session that nobody uses is kept …
const IDLE: Duration = Duration::from_secs(300);
/// … and for how long it is taken for whole without being asked: asking takes as long as a short query.
const WHOLE: Duration = Duration::from_secs(1);

/// Where sessions come from.
#[derive(Debug)]
pub(super) struct Sessions {
    pub(super) settings: PostgresSettings,
    idle: Mutex<Vec<(ReadSession, Instant)>>,
    free: Arc<Semaphore>,
}

/// A session for one statement. Dropped instead of given back, it is closed.
#[derive(Debug)]
pub(super) struct Lease {
    session: ReadSession,
    /// Whether it was not asked if it is whole.
    believed: bool,
    _permit: OwnedSemaphorePermit,
}

impl Lease {
    /// Its connection.
    pub(super) fn connection(&mut self) -> &mut PgConnection {
        &mut self.session.connection
    }

    /// Whether it was taken for whole without being asked.
    pub(super) fn was_believed(&self) -> bool {
        self.believed
    }
}

impl Sessions {
    /// No I/O.
    pub(super) fn new(settings: PostgresSettings) -> Sessions {
        let free = Arc::new(Semaphore::new(settings.read_connections));
        Sessions { settings, idle: Mutex::new(Vec::new()), free }
    }

    /// Where SQL reads, without secrets.
    pub(super) fn place(&self) -> String {
        self.settings.reader().to_string()
    }

    /// A session on a ledger of this layout.
    pub(super) async fn lease(&self) -> Result<Lease, QueryError> {
        let permit = self.permit().await?;
        while let Some((mut session, since)) = self.kept() {
            let idle = since.elapsed();
            // The server may have been restarted meanwhile.
            let believed = idle < WHOLE;
            if believed || (idle < IDLE && self.answers(&mut session.connection).await) {
                return Ok(Lease { session, believed, _permit: permit });
            }
        }
        let mut lease = self.connect(permit).await?;
        self.check(lease.connection()).await?;
        Ok(lease)
    }

    async fn answers(&self, connection: &mut PgConnection) -> bool {
        matches!(tokio::time::timeout(self.settings.connect_timeout, connection.ping()).await, Ok(Ok(())))
    }

    /// Whether a session in which a statement failed is of no more use.
    pub(super) async fn is_broken(&self, lease: &mut Lease) -> bool {
        !self.answers(lease.connection()).await
    }

    /// Closes what nobody uses: whatever ended one session may have ended them all.
    pub(super) fn forget(&self) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// A session on whatever is there.
    pub(super) async fn unchecked(&self) -> Result<Lease, QueryError> {
        let permit = self.permit().await?;
        self.connect(permit).await
    }

    /// Takes a session back whose statement has ended.
    pub(super) fn give_back(&self, lease: Lease) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|(_, since)| since.elapsed() < IDLE);
        idle.push((lease.session, Instant::now()));
    }

    /// Ends the statement that runs in a session, and the session.
    pub(super) async fn cancel(&self, lease: Lease) {
        connect::cancel(&self.settings, &lease.session).await;
    }

    fn kept(&self) -> Option<(ReadSession, Instant)> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    async fn permit(&self) -> Result<OwnedSemaphorePermit, QueryError> {
        match tokio::time::timeout(self.settings.connect_timeout, Arc::clone(&self.free).acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(QueryError::Store {
                role: ROLE,
                message: format!("{}: all {} connections are in use", self.place(), self.settings.read_connections),
                remedy: "ask again, or raise postgres.read_connections".to_owned(),
            }),
        }
    }

    async fn connect(&self, permit: OwnedSemaphorePermit) -> Result<Lease, QueryError> {
        let session = connect::connect_reader(&self.settings).await.map_err(|reaction| told(&reaction))?;
        Ok(Lease { session, believed: false, _permit: permit })
    }

    async fn check(&self, connection: &mut PgConnection) -> Result<(), QueryError> {
        match layout::version(connection).await.map_err(|error| self.failed(&error))? {
            Some(layout::VERSION) => Ok(()),
            Some(newer) if newer > layout::VERSION => Err(QueryError::Store {
                role: ROLE,
                message: format!("{} was written by a newer Wardhouse (layout {newer}, this one reads {})", self.place(), layout::VERSION),
                remedy: "use that version".to_owned(),
            }),
            Some(older) => Err(QueryError::Store {
                role: ROLE,
                message: format!("{} has layout {older}, this Wardhouse reads {}", self.place(), layout::VERSION),
                remedy: "run `wardhouse migrate`".to_owned(),
            }),
            None => Err(QueryError::Store {
                role: ROLE,
                message: format!("there is no ledger in {} yet", self.place()),
                remedy: "start `wardhouse up` or `wardhouse run sink ledger` with these settings, or run `wardhouse migrate`".to_owned(),
            }),
        }
    }

    /// What a failure of a statement says.
    pub(super) fn failed(&self, error: &sqlx::Error) -> QueryError {
        let code = error.as_database_error().and_then(|error| error.code().map(|code| code.into_owned()));
        let remedy = match (code.as_deref(), reaction("", error)) {
            (Some("57014"), _) => "it took longer than postgres.query_timeout_ms allows: ask for less, or raise it",
            // A standby that must go on replaying ends what still reads what it is about to remove.
            (Some("40001" | "40P01"), _) => "the replica needed what the query was reading: ask again",
            (Some("42501"), _) => "grant this user SELECT on the tables of the ledger",
            (_, Reaction::Transient { .. }) => "it is away or busy: ask again",
            _ => "`wardhouse doctor` says what to do",
        };
        QueryError::Store { role: ROLE, message: format!("{}: {}", self.place(), in_words(error)), remedy: remedy.to_owned() }
    }

    /// What is told of a value that does not belong where it is.
    pub(super) fn damaged(&self, what: &dyn std::fmt::Display) -> QueryError {
        QueryError::Store {
            role: ROLE,
            message: format!("{}: {what}", self.place()),
            remedy: "somebody else has written there: `wardhouse reconcile` finds what differs".to_owned(),
        }
    }

    /// What is told when no answer comes.
    pub(super) fn silent(&self) -> QueryError {
        QueryError::Store { role: ROLE, message: format!("{}: no answer", self.place()), remedy: "look at the server and the way to it, and ask again".to_owned() }
    }
}

/// What a failure to connect says: the sentence is that of the sink's, told to another person.
fn told(reaction: &Reaction) -> QueryError {
    let text = reaction.to_string();
    let message = text.strip_prefix("ledger (").map_or_else(|| text.clone(), |rest| rest.replacen("): ", ": ", 1));
    let remedy = if matches!(reaction, Reaction::Transient { .. }) { "ask again when it is back" } else { "`wardhouse doctor` looks closer" };
    QueryError::Store { role: ROLE, message, remedy: remedy.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_connection_says_is_told_once_with_its_role() {
        let error = told(&Reaction::transient("ledger (postgres://h:1/w): cannot be reached: refused"));
        assert_eq!(error.to_string(), "ledger: postgres://h:1/w: cannot be reached: refused: ask again when it is back");
    }
}
