//! Scanning a relation of the ledger.
//!
//! What must stay true: rows stream as the server sends them, which waits while nobody takes them; a statement whose rows nobody
//! wants any more is cancelled; the rows of all parts together are the rows of one statement over all keys.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::SchemaRef;
use futures::TryStreamExt;
use futures::stream::BoxStream;
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Postgres};

use super::aggregates;
use super::cells::{Reader, Unexpected};
use super::copied::{self, Copied};
use super::dialect::{self, Sql};
use super::sessions::Lease;
use super::store::{PostgresLedger, integer};
use super::survey;
use super::tables::Table;
use crate::aggregate::Aggregation;
use crate::batch::BatchBuilder;
use crate::errors::QueryError;
use crate::exec::Sink;
use crate::parts::{self, Turn, Turns};
use crate::predicate::Predicate;
use crate::store::wait;
use crate::surveys::Surveys;
use crate::table::{Order, Prepared, Request, Scan, Support, Survey};

/// How much longer than the server itself a reader waits for it.
const GRACE: Duration = Duration::from_secs(5);
/// How long the end of a statement that has given its last row may take.
const END: Duration = Duration::from_secs(1);

/// A relation of the ledger, as something that can be scanned.
#[derive(Clone, Debug)]
pub(super) struct PostgresScan {
    pub(super) store: Arc<PostgresLedger>,
    pub(super) table: Arc<Table>,
    /// Where it is a join, the table that has about as many rows.
    like: Option<Arc<Table>>,
    surveys: Arc<Surveys>,
}

impl PostgresScan {
    pub(super) fn new(store: Arc<PostgresLedger>, table: Table) -> PostgresScan {
        PostgresScan { store, table: Arc::new(table), like: None, surveys: Arc::default() }
    }
}

impl Scan for PostgresScan {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.table.shape.schema)
    }

    fn support(&self, predicate: &Predicate) -> Result<Support, QueryError> {
        Ok(dialect::support(&self.table, predicate))
    }

    fn sorts(&self, order: &[Order]) -> bool {
        // An index gives the first column's order; what follows only breaks ties.
        let first = order.first().is_some_and(|by| self.table.shape.is_one_of(by.column, self.table.sorted));
        first && order.iter().all(|by| dialect::sorts_alike(&self.table, by.column))
    }

    fn ranks(&self, order: &[Order]) -> bool {
        order.iter().all(|by| dialect::sorts_alike(&self.table, by.column))
    }

    fn is_unique(&self, column: usize) -> bool {
        self.table.shape.is_unique(column)
    }

    fn survey(&self) -> Result<Survey, QueryError> {
        self.surveys.recent(|| survey::look(&self.store, self.like.as_ref().unwrap_or(&self.table))).map(|survey| self.own(survey))
    }

    fn surveyed(&self) -> Option<Survey> {
        self.surveys.known().map(|survey| self.own(survey))
    }

    fn prepare(&self, request: &Request, survey: &Survey) -> Result<Arc<dyn Prepared>, QueryError> {
        let parts = survey::divided(&self.table, request, survey);
        let keys = parts.first().copied();
        let shown = match copied::statement(&self.table, request, keys) {
            Some(copy) => copy,
            None => self.statement(request, &[], keys)?.shown(),
        };
        let rows = survey.rows.unwrap_or(0);
        Ok(Arc::new(PostgresQuery { scan: self.clone(), request: request.clone(), aggregation: None, parts, rows, turns: Turns::default(), shown }))
    }

    fn aggregates(&self, _request: &Request, aggregation: &Aggregation) -> bool {
        aggregates::forms(&self.table, aggregation).is_some()
    }

    fn prepare_aggregate(&self, request: &Request, aggregation: &Aggregation, survey: &Survey) -> Result<Arc<dyn Prepared>, QueryError> {
        let shown = self.of_groups(request, aggregation, &[])?.shown();
        let (aggregation, rows) = (Some(aggregation.clone()), survey.rows.unwrap_or(0));
        Ok(Arc::new(PostgresQuery { scan: self.clone(), request: request.clone(), aggregation, parts: Vec::new(), rows, turns: Turns::default(), shown }))
    }

    fn joined(&self, other: &Arc<dyn Scan>, on: &[(usize, usize)]) -> Option<Arc<dyn Scan>> {
        let other = (other.as_ref() as &dyn Any).downcast_ref::<PostgresScan>()?;
        if !Arc::ptr_eq(&self.store, &other.store) {
            return None;
        }
        let table = self.table.joined(&other.table, on)?;
        // A row of one finds at most one of the other where the other's column is unique.
        let like = if on.iter().any(|(_, right)| other.is_unique(*right)) { self } else { other };
        let (store, like, surveys) = (Arc::clone(&self.store), Some(Arc::clone(&like.table)), Arc::clone(&like.surveys));
        Some(Arc::new(PostgresScan { store, table: Arc::new(table), like, surveys }))
    }
}

impl PostgresScan {
    /// What is known of it by what is known of its table. The keys of one table are not those of a join.
    fn own(&self, survey: Survey) -> Survey {
        if self.like.is_some() { Survey { keys: Vec::new(), ..survey } } else { survey }
    }

    fn statement(&self, request: &Request, late: &[Predicate], keys: Option<(i64, i64)>) -> Result<Sql, QueryError> {
        dialect::select(&self.table, request, late, keys).ok_or_else(|| self.unanswered())
    }

    fn of_groups(&self, request: &Request, aggregation: &Aggregation, late: &[Predicate]) -> Result<Sql, QueryError> {
        aggregates::select(&self.table, request, aggregation, late).ok_or_else(|| self.unanswered())
    }

    fn unanswered(&self) -> QueryError {
        QueryError::internal(format!("{} was asked what PostgreSQL cannot answer", self.table.shape.name))
    }
}

/// A statement, ready to run.
#[derive(Debug)]
struct PostgresQuery {
    scan: PostgresScan,
    request: Request,
    /// What is computed of the rows instead of giving them.
    aggregation: Option<Aggregation>,
    /// A range of keys a part; none when the scan is not divided.
    parts: Vec<(i64, i64)>,
    /// About how many rows there are in all.
    rows: usize,
    turns: Turns,
    shown: String,
}

/// What is sent to the server.
enum Sent {
    /// A query with its values.
    Query(Sql),
    /// The text of a copy.
    Copy(String),
}

/// Rows on their way.
pub(super) trait Rows {
    /// Fills a batch. `false` when there are no more rows.
    async fn fill(&mut self, reader: &mut Reader, batch: &mut BatchBuilder) -> Result<Result<bool, Unexpected>, sqlx::Error>;
}

/// Those of a query.
struct Queried<'c>(BoxStream<'c, Result<PgRow, sqlx::Error>>);

impl Rows for Queried<'_> {
    async fn fill(&mut self, reader: &mut Reader, batch: &mut BatchBuilder) -> Result<Result<bool, Unexpected>, sqlx::Error> {
        while let Some(row) = self.0.try_next().await? {
            if let Err(unexpected) = reader.push_row(&row, batch) {
                return Ok(Err(unexpected));
            }
            if batch.is_full() {
                return Ok(Ok(true));
            }
        }
        Ok(Ok(false))
    }
}

/// How far rows were handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Given {
    All,
    /// No more are wanted.
    Enough,
    /// Nobody wants any.
    Stopped,
}

/// How a statement came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// It gave all its rows.
    ByItself,
    /// It may still be running, and nobody wants its rows.
    Early,
}

impl Prepared for PostgresQuery {
    fn text(&self) -> String {
        if self.parts.is_empty() { self.shown.clone() } else { format!("{} (in {} parts by pos)", self.shown, self.parts.len()) }
    }

    fn parts(&self) -> usize {
        self.parts.len().max(1)
    }

    fn run(&self, part: usize, late: &[Predicate], sink: &mut Sink) -> Result<(), QueryError> {
        let sessions = &self.scan.store.sessions;
        let keys = match self.turn(part, late) {
            Turn::Share => self.parts.get(part).copied(),
            Turn::All => None,
            Turn::Nothing => return Ok(()),
        };
        let Some(lease) = sink.wait(sessions.lease()) else { return Ok(()) };
        let mut lease = lease?;
        let left = sink.left();
        let mut ended = self.ask(&mut lease, self.sent(keys, late)?, sink);
        // One that was taken for whole without being asked may have been ended by the server meanwhile. Nobody has seen a row yet.
        if ended.is_err() && lease.was_believed() && sink.left() == left && wait(sessions.is_broken(&mut lease)) {
            drop(lease);
            sessions.forget();
            let Some(fresh) = sink.wait(sessions.lease()) else { return Ok(()) };
            lease = fresh?;
            ended = self.ask(&mut lease, self.sent(keys, late)?, sink);
        }
        match ended? {
            Ended::ByItself => sessions.give_back(lease),
            Ended::Early => wait(sessions.cancel(lease)),
        }
        Ok(())
    }
}

impl PostgresQuery {
    fn turn(&self, part: usize, late: &[Predicate]) -> Turn {
        let unique = |column: usize| self.scan.table.shape.is_unique(column);
        if self.parts.is_empty() { Turn::All } else { self.turns.of(part, || parts::leave_few(self.rows, late, &unique)) }
    }

    fn sent(&self, keys: Option<(i64, i64)>, late: &[Predicate]) -> Result<Sent, QueryError> {
        let scan = &self.scan;
        if let Some(aggregation) = &self.aggregation {
            return scan.of_groups(&self.request, aggregation, late).map(Sent::Query);
        }
        match copied::statement(&scan.table, &self.request, keys) {
            Some(copy) if late.is_empty() => Ok(Sent::Copy(copy)),
            _ => scan.statement(&self.request, late, keys).map(Sent::Query),
        }
    }

    fn ask(&self, lease: &mut Lease, sent: Sent, sink: &mut Sink) -> Result<Ended, QueryError> {
        match sent {
            Sent::Query(sql) => self.read(lease, sql, sink),
            Sent::Copy(text) => self.copy(lease, &text, sink),
        }
    }

    fn batch(sink: &Sink) -> Result<BatchBuilder, QueryError> {
        BatchBuilder::new(sink.schema(), sink.batch_rows()).ok_or_else(|| QueryError::internal("a column has a type that no store gives"))
    }

    fn read(&self, lease: &mut Lease, sql: Sql, sink: &mut Sink) -> Result<Ended, QueryError> {
        let store = &self.scan.store;
        let arguments = sql.arguments().map_err(QueryError::internal)?;
        // Read once by the server, and planned with its values each time (see `wh_stores::postgres::connect`): an index may depend on them.
        let statement = sqlx::query_with::<Postgres, _>(AssertSqlSafe(sql.text), arguments);
        let mut rows = statement.fetch(lease.connection());
        if self.aggregation.is_none() && self.request.projection.is_empty() {
            let Some(counted) = sink.wait(self.in_time(rows.try_next())) else { return Ok(Ended::Early) };
            let counted = match counted? {
                Some(row) => integer(&row, 0).map_err(|error| store.sessions.failed(&error))?,
                None => 0,
            };
            hand_over_counted(usize::try_from(counted).unwrap_or(0), &mut Self::batch(sink)?, sink)?;
            return Ok(self.end(&mut rows));
        }
        let mut queried = Queried(rows);
        match self.hand_over(&mut queried, sink)? {
            Given::All => Ok(Ended::ByItself),
            // A statement with a limit has given all when nobody wants more.
            Given::Enough if self.request.limit.is_some() => Ok(self.end(&mut queried.0)),
            Given::Enough | Given::Stopped => Ok(Ended::Early),
        }
    }

    fn copy(&self, lease: &mut Lease, text: &str, sink: &mut Sink) -> Result<Ended, QueryError> {
        let Some(begun) = sink.wait(self.in_time(lease.connection().copy_out_raw(text))) else { return Ok(Ended::Early) };
        match self.hand_over(&mut Copied::new(begun?), sink)? {
            Given::All => Ok(Ended::ByItself),
            Given::Enough | Given::Stopped => Ok(Ended::Early),
        }
    }

    fn hand_over(&self, rows: &mut impl Rows, sink: &mut Sink) -> Result<Given, QueryError> {
        let store = &self.scan.store;
        let reader = match &self.aggregation {
            None => Reader::new(&self.scan.table, &self.request.projection),
            Some(aggregation) => Reader::of_groups(&self.scan.table, aggregation),
        };
        let mut reader = reader.ok_or_else(|| QueryError::internal("a column has a type that no layout gives"))?;
        let mut batch = Self::batch(sink)?;
        loop {
            let Some(filled) = sink.wait(self.in_time(rows.fill(&mut reader, &mut batch))) else { return Ok(Given::Stopped) };
            let more = filled?.map_err(|unexpected| store.sessions.damaged(&unexpected))?;
            let wanted = batch.is_empty() || sink.send(batch.finish().map_err(|error| store.sessions.damaged(&error))?);
            match (more, wanted) {
                (true, true) => {}
                (false, _) => return Ok(Given::All),
                (true, false) => return Ok(Given::Enough),
            }
        }
    }

    /// Waits for the end of a statement that has given its last row.
    fn end(&self, rows: &mut BoxStream<'_, Result<PgRow, sqlx::Error>>) -> Ended {
        match wait(async { tokio::time::timeout(END, rows.try_next()).await }) {
            Ok(Ok(None)) => Ended::ByItself,
            _ => Ended::Early,
        }
    }

    /// The server ends a statement that takes too long; a server that is gone without a word does not.
    async fn in_time<T>(&self, answer: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, QueryError> {
        let sessions = &self.scan.store.sessions;
        let answered = match sessions.settings.query_timeout {
            Some(limit) => tokio::time::timeout(limit + GRACE, answer).await.map_err(|_| sessions.silent())?,
            None => answer.await,
        };
        answered.map_err(|error| sessions.failed(&error))
    }
}

/// Hands over rows without columns.
fn hand_over_counted(mut left: usize, batch: &mut BatchBuilder, sink: &mut Sink) -> Result<(), QueryError> {
    while left > 0 {
        let rows = left.min(sink.batch_rows());
        left -= rows;
        batch.end_rows(rows);
        if !sink.send(batch.finish().map_err(QueryError::internal)?) {
            return Ok(());
        }
    }
    Ok(())
}
