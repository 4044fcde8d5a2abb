//! One client: its messages in turn, and what each statement does to the connection.
//!
//! What must stay true: a failure is told once and changes nothing but the state of the transaction; in a transaction that failed only its end
//! is taken. Dropping the connection ends what runs on it.

use std::sync::Arc;

use bytes::BytesMut;
use datafusion::common::ScalarValue;
use pgwire::messages::PgWireBackendMessage;
use pgwire::messages::copy::CopyDone;
use pgwire::messages::response::{CommandComplete, EmptyQueryResponse, ReadyForQuery, TransactionStatus};
use wh_query::{Action, QueryResult, Session};

use super::copy::Copier;
use super::encode::{self, Column};
use super::errors::{Failure, Fault, code, notice};
use super::frames::Frontend;
use super::rows::{Rows, Write};
use super::statements::{Cursor, Held, Statement};
use super::tags::{self, Said};
use super::types::Layout;
use super::wire::{Gone, Wire};

/// One client.
pub(super) struct Connection {
    pub(super) wire: Wire,
    pub(super) session: Arc<Session>,
    pub(super) held: Held,
    pub(super) status: TransactionStatus,
    /// Whether messages are thrown away until the next Sync.
    skipping: bool,
}

/// What has become of a statement.
pub(super) enum Ran {
    /// It is done; the tag says what.
    Done(String),
    /// There was none.
    Empty,
    /// There may be more rows.
    Suspended(Rows),
}

/// What a statement is run with.
pub(super) struct Run<'a> {
    pub(super) statement: &'a Statement,
    pub(super) values: Vec<ScalarValue>,
    pub(super) formats: &'a [i16],
    /// Rows that are wanted; `None` is all.
    pub(super) limit: Option<u64>,
    /// Whether the columns are described before the rows, as in the simple protocol.
    pub(super) describe: bool,
}

/// Rows as DataRow messages.
pub(super) struct DataRows;

impl Write for DataRows {
    fn row(&mut self, columns: &[Column], layout: &Layout, row: usize, out: &mut BytesMut) -> Result<(), Failure> {
        encode::data_row(columns, layout, row, out)
    }
}

/// Rows that are passed over.
struct NoRows;

impl Write for NoRows {
    fn row(&mut self, _columns: &[Column], _layout: &Layout, _row: usize, _out: &mut BytesMut) -> Result<(), Failure> {
        Ok(())
    }
}

impl Connection {
    pub(super) fn new(wire: Wire, session: Arc<Session>) -> Connection {
        Connection { wire, session, held: Held::default(), status: TransactionStatus::Idle, skipping: false }
    }

    /// Answers the client until one of both ends it.
    pub(super) async fn serve(&mut self) -> Gone {
        loop {
            let served = match self.wire.next().await {
                Ok(message) => self.answer(message).await,
                Err(gone) => Err(gone),
            };
            if let Err(gone) = served {
                return gone;
            }
        }
    }

    async fn answer(&mut self, message: Frontend) -> Result<(), Gone> {
        let extended = match message {
            Frontend::Terminate => return Err(Gone::Client),
            Frontend::Query(sql) => {
                self.skipping = false;
                return self.simple(&sql).await;
            }
            Frontend::Sync => {
                self.skipping = false;
                if self.status == TransactionStatus::Idle {
                    // An implicit transaction ends here.
                    self.held.portals.clear();
                }
                return self.ready().await;
            }
            Frontend::Flush => return self.wire.flush().await,
            // What a client sends of a COPY FROM that was refused.
            Frontend::Copy => return Ok(()),
            Frontend::Malformed { extended, failure } => {
                if failure.fatal {
                    self.wire.send(failure.message()).await?;
                    self.wire.flush().await?;
                    return Err(Gone::Client);
                }
                if self.skipping {
                    return Ok(());
                }
                self.fail(&failure).await?;
                return if extended {
                    self.skipping = true;
                    Ok(())
                } else {
                    self.ready().await
                };
            }
            _ if self.skipping => return Ok(()),
            message => self.extended(message).await,
        };
        match extended {
            Ok(()) => Ok(()),
            Err(Fault::Gone(gone)) => Err(gone),
            Err(Fault::Failed(failure)) => {
                self.fail(&failure).await?;
                self.skipping = true;
                Ok(())
            }
        }
    }

    /// Tells of a failure, by which a transaction has failed.
    pub(super) async fn fail(&mut self, failure: &Failure) -> Result<(), Gone> {
        self.status = self.status.to_error_state();
        self.wire.send(failure.message()).await
    }

    /// Says that the next statement may come, and writes what is to be written.
    pub(super) async fn ready(&mut self) -> Result<(), Gone> {
        self.wire.send(PgWireBackendMessage::ReadyForQuery(ReadyForQuery::new(self.status))).await?;
        self.wire.flush().await
    }

    pub(super) async fn complete(&mut self, ran: Ran) -> Result<(), Gone> {
        match ran {
            Ran::Done(tag) => self.wire.send(PgWireBackendMessage::CommandComplete(CommandComplete::new(tag))).await,
            Ran::Empty => self.wire.send(PgWireBackendMessage::EmptyQueryResponse(EmptyQueryResponse::new())).await,
            Ran::Suspended(_) => Ok(()),
        }
    }

    /// Refuses whatever does not end a transaction that failed.
    pub(super) fn may(&self, statement: &Statement) -> Result<(), Failure> {
        let ends = matches!(tags::said(&statement.prepared), Said::Commit | Said::Rollback | Said::RollbackTo) || tags::is_empty(&statement.prepared);
        if self.status == TransactionStatus::Error && !ends {
            return Err(Failure::new(code::FAILED_TRANSACTION, "current transaction is aborted, commands ignored until end of transaction block").hint("ROLLBACK ends it"));
        }
        Ok(())
    }

    /// Runs a statement, and sends its rows.
    pub(super) async fn run(&mut self, run: Run<'_>) -> Result<Ran, Fault> {
        self.may(run.statement)?;
        if tags::is_empty(&run.statement.prepared) {
            return Ok(Ran::Empty);
        }
        match run.statement.prepared.action() {
            Action::Query | Action::Explain | Action::Show => {
                let result = self.execute(run.statement, run.values).await?;
                let layout = Layout::new(&result.schema, run.formats)?;
                if run.describe {
                    self.wire.send(layout.description()).await?;
                }
                let rows = Rows::new(result, run.statement.about.clone());
                self.portion(run.statement, rows, &layout, run.limit).await
            }
            Action::Copy { format } => {
                let result = self.execute(run.statement, run.values).await?;
                let mut copier = Copier::new(format.clone());
                let layout = copier.layout(&Layout::new(&result.schema, &[])?);
                let rows = Rows::new(result, run.statement.about.clone());
                let sent = self.copy(rows, &mut copier, &layout).await?;
                Ok(Ran::Done(tags::tag(&run.statement.prepared, sent)))
            }
            Action::Fetch { cursor, rows } => {
                self.begin_portal(cursor).await?;
                let moves = tags::moves(&run.statement.prepared);
                let open = self.held.rows_mut(cursor)?;
                let layout = Layout::new(&open.schema, run.formats)?;
                let sent = if moves {
                    open.send(&mut self.wire, &layout, *rows, &mut NoRows).await?.rows
                } else {
                    if run.describe {
                        self.wire.send(layout.description()).await?;
                    }
                    open.send(&mut self.wire, &layout, *rows, &mut DataRows).await?.rows
                };
                Ok(Ran::Done(tags::tag(&run.statement.prepared, sent)))
            }
            Action::Declare { cursor, sql } => {
                self.held.may_open(cursor)?;
                let hold = holds(run.statement.prepared.sql(), sql);
                let Some(inner) = &run.statement.inner else { return Err(Failure::new(code::INTERNAL, "a cursor has no query").into()) };
                let begun = self.wire.watch(self.session.execute(inner, run.values)).await?;
                let mut result = begun.map_err(|error| run.statement.about.failure(&error))?;
                self.tell(std::mem::take(&mut result.notices)).await?;
                let rows = Rows::new(result, run.statement.about.clone());
                self.held.open(cursor.clone(), Cursor { rows, hold });
                Ok(Ran::Done(tags::tag(&run.statement.prepared, 0)))
            }
            _ => self.say(run.statement).await,
        }
    }

    /// Sends rows of an open result until there are no more, or as many as are wanted.
    pub(super) async fn portion(&mut self, statement: &Statement, mut rows: Rows, layout: &Layout, limit: Option<u64>) -> Result<Ran, Fault> {
        let portion = rows.send(&mut self.wire, layout, limit, &mut DataRows).await?;
        if portion.more { Ok(Ran::Suspended(rows)) } else { Ok(Ran::Done(tags::tag(&statement.prepared, portion.rows))) }
    }

    async fn copy(&mut self, mut rows: Rows, copier: &mut Copier, layout: &Layout) -> Result<u64, Fault> {
        let mut around = BytesMut::new();
        let response = copier.begin(layout, &mut around)?;
        self.wire.send(response).await?;
        if !around.is_empty() {
            self.wire.send_encoded(around.split()).await?;
        }
        let sent = rows.send(&mut self.wire, layout, None, copier).await?.rows;
        copier.end(&mut around)?;
        if !around.is_empty() {
            self.wire.send_encoded(around).await?;
        }
        self.wire.send(PgWireBackendMessage::CopyDone(CopyDone::new())).await?;
        Ok(sent)
    }

    pub(super) async fn execute(&mut self, statement: &Statement, values: Vec<ScalarValue>) -> Result<QueryResult, Fault> {
        let begun = self.wire.watch(self.session.execute(&statement.prepared, values)).await?;
        let mut result = begun.map_err(|error| statement.about.failure(&error))?;
        self.tell(std::mem::take(&mut result.notices)).await?;
        Ok(result)
    }

    async fn tell(&mut self, notices: Vec<String>) -> Result<(), Gone> {
        for text in notices {
            self.wire.send(notice(&text)).await?;
        }
        Ok(())
    }
}

/// Whether `DECLARE … WITH HOLD FOR query` is what opens a cursor.
fn holds(sql: &str, query: &str) -> bool {
    let before = sql.find(query).and_then(|at| sql.get(..at)).unwrap_or(sql).to_ascii_uppercase();
    let words: Vec<&str> = before.split_ascii_whitespace().collect();
    words.windows(2).any(|pair| pair == ["WITH", "HOLD"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_holds_where_it_says_so_before_its_query() {
        assert!(holds("DECLARE c CURSOR with\n hold FOR SELECT 1", "SELECT 1"));
        assert!(!holds("DECLARE c CURSOR FOR SELECT 'WITH HOLD'", "SELECT 'WITH HOLD'"));
        assert!(!holds("DECLARE c CURSOR WITHOUT HOLD FOR SELECT 1", "SELECT 1"));
    }
}
