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
use super::dialect::{self, Sql};
use super::sessions::Lease;
use super::store::{PostgresLedger, integer};
use super::tables::{Size, Table};
use crate::aggregate::Aggregation;
use crate::batch::BatchBuilder;
use crate::errors::QueryError;
use crate::exec::Sink;
use crate::predicate::Predicate;
use crate::store::wait;
use crate::table::{Order, Prepared, Request, Scan, Support, Survey};

/// Rows below which a scan is not divided.
const DIVIDED_FROM: usize = 200_000;
/// Rows up to which a relation without statistics is counted.
const COUNTED_TO: usize = 20_000;
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
}

impl PostgresScan {
    pub(super) fn new(store: Arc<PostgresLedger>, table: Table) -> PostgresScan {
        PostgresScan { store, table: Arc::new(table), like: None }
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

    fn is_unique(&self, column: usize) -> bool {
        self.table.shape.is_unique(column)
    }

    fn survey(&self) -> Result<Survey, QueryError> {
        let told = |error: sqlx::Error| self.store.sessions.failed(&error);
        let mut survey = Survey::default();
        let table = self.like.as_ref().unwrap_or(&self.table);
        if table.keyed {
            let ends = |row: &PgRow| -> Result<(i64, i64), sqlx::Error> { Ok((integer(row, 0)?, integer(row, 1)?)) };
            let rows = self.store.look(keys_of(table.under))?;
            survey.keys = rows.iter().map(ends).collect::<Result<Vec<_>, _>>().map_err(told)?;
        }
        let keys: i64 = survey.keys.iter().map(|(first, last)| last - first + 1).sum();
        let keys = usize::try_from(keys).unwrap_or(usize::MAX);
        survey.rows = match table.size {
            Size::Dense => Some(keys),
            Size::OneIn(many) => Some(keys.div_ceil(many)),
            Size::Unknown => None,
            Size::Estimated => {
                let rows = self.store.look(rows_of(table.under))?;
                let estimated = rows.first().map_or(Ok(0), |row| integer(row, 0)).map_err(told)?;
                let estimated = usize::try_from(estimated).unwrap_or(0);
                // At the bound it is anybody's guess; a large table is the better one to probe than to build.
                Some(if estimated == COUNTED_TO { COUNTED_TO * 10 } else { estimated })
            }
        };
        // The keys of one table are not those of a join.
        Ok(if self.like.is_some() { Survey { keys: Vec::new(), ..survey } } else { survey })
    }

    fn prepare(&self, request: &Request, survey: &Survey) -> Result<Arc<dyn Prepared>, QueryError> {
        let parts = divided(&self.table, request, survey);
        let shown = self.statement(request, &[], parts.first().copied())?;
        Ok(Arc::new(PostgresQuery { scan: self.clone(), request: request.clone(), aggregation: None, parts, shown }))
    }

    fn aggregates(&self, _request: &Request, aggregation: &Aggregation) -> bool {
        aggregates::forms(&self.table, aggregation).is_some()
    }

    fn prepare_aggregate(&self, request: &Request, aggregation: &Aggregation, _survey: &Survey) -> Result<Arc<dyn Prepared>, QueryError> {
        let shown = self.of_groups(request, aggregation, &[])?;
        Ok(Arc::new(PostgresQuery { scan: self.clone(), request: request.clone(), aggregation: Some(aggregation.clone()), parts: Vec::new(), shown }))
    }

    fn joined(&self, other: &Arc<dyn Scan>, on: &[(usize, usize)]) -> Option<Arc<dyn Scan>> {
        let other = (other.as_ref() as &dyn Any).downcast_ref::<PostgresScan>()?;
        if !Arc::ptr_eq(&self.store, &other.store) {
            return None;
        }
        let table = self.table.joined(&other.table, on)?;
        // A row of one finds at most one of the other where the other's column is unique.
        let like = if on.iter().any(|(_, right)| other.is_unique(*right)) { &self.table } else { &other.table };
        Some(Arc::new(PostgresScan { like: Some(Arc::clone(like)), ..PostgresScan::new(Arc::clone(&self.store), table) }))
    }
}

impl PostgresScan {
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

/// The first and the last key of each partition, by a few steps down the index.
fn keys_of(table: &str) -> String {
    format!(
        "WITH RECURSIVE begun AS (SELECT min(pos) AS first FROM {table} UNION ALL SELECT (SELECT min(pos) FROM {table} WHERE pos >= ((begun.first >> 40) + 1) << 40) \
         FROM begun WHERE begun.first IS NOT NULL) SELECT first, (SELECT max(pos) FROM {table} WHERE pos < ((begun.first >> 40) + 1) << 40) FROM begun \
         WHERE first IS NOT NULL ORDER BY 1"
    )
}

/// About how many rows there are, by the server's statistics; counted up to a bound where it has none.
fn rows_of(table: &str) -> String {
    format!(
        "SELECT CASE WHEN reltuples > 0 THEN reltuples::int8 ELSE (SELECT count(*) FROM (SELECT 1 FROM {table} LIMIT {COUNTED_TO}) AS counted) END \
         FROM pg_class WHERE oid = 'public.{table}'::regclass"
    )
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
    shown: Sql,
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
        let text = self.shown.shown();
        if self.parts.is_empty() { text } else { format!("{text} (in {} parts by pos)", self.parts.len()) }
    }

    fn parts(&self) -> usize {
        self.parts.len().max(1)
    }

    fn run(&self, part: usize, late: &[Predicate], sink: &mut Sink) -> Result<(), QueryError> {
        let sessions = &self.scan.store.sessions;
        let sql = match &self.aggregation {
            None => self.scan.statement(&self.request, late, self.parts.get(part).copied())?,
            Some(aggregation) => self.scan.of_groups(&self.request, aggregation, late)?,
        };
        let Some(lease) = sink.wait(sessions.lease()) else { return Ok(()) };
        let mut lease = lease?;
        match self.read(&mut lease, sql, sink)? {
            Ended::ByItself => sessions.give_back(lease),
            Ended::Early => wait(sessions.cancel(lease)),
        }
        Ok(())
    }
}

impl PostgresQuery {
    fn read(&self, lease: &mut Lease, sql: Sql, sink: &mut Sink) -> Result<Ended, QueryError> {
        let store = &self.scan.store;
        let arguments = sql.arguments().map_err(QueryError::internal)?;
        // Planned with its values, which an index may depend on; kept by nobody, for few are alike.
        let statement = sqlx::query_with::<Postgres, _>(AssertSqlSafe(sql.text), arguments).persistent(false);
        let mut rows = statement.fetch(lease.connection());
        let mut batch = BatchBuilder::new(sink.schema(), sink.batch_rows()).ok_or_else(|| QueryError::internal("a column has a type that no store gives"))?;
        if self.aggregation.is_none() && self.request.projection.is_empty() {
            let Some(counted) = sink.wait(self.in_time(rows.try_next())) else { return Ok(Ended::Early) };
            let counted = match counted? {
                Some(row) => integer(&row, 0).map_err(|error| store.sessions.failed(&error))?,
                None => 0,
            };
            hand_over_counted(usize::try_from(counted).unwrap_or(0), &mut batch, sink)?;
            return Ok(self.end(&mut rows));
        }
        let reader = match &self.aggregation {
            None => Reader::new(&self.scan.table, &self.request.projection),
            Some(aggregation) => Reader::of_groups(&self.scan.table, aggregation),
        };
        let mut reader = reader.ok_or_else(|| QueryError::internal("a column has a type that no layout gives"))?;
        loop {
            let Some(filled) = sink.wait(self.in_time(fill(&mut rows, &mut reader, &mut batch))) else { return Ok(Ended::Early) };
            let more = filled?.map_err(|unexpected| store.sessions.damaged(&unexpected))?;
            let wanted = batch.is_empty() || sink.send(batch.finish().map_err(|error| store.sessions.damaged(&error))?);
            match (more, wanted) {
                (true, true) => {}
                (false, _) => return Ok(Ended::ByItself),
                // A statement with a limit has given all when nobody wants more.
                (true, false) if self.request.limit.is_some() => return Ok(self.end(&mut rows)),
                (true, false) => return Ok(Ended::Early),
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

/// Fills a batch. `false` when there are no more rows.
async fn fill(rows: &mut BoxStream<'_, Result<PgRow, sqlx::Error>>, reader: &mut Reader, batch: &mut BatchBuilder) -> Result<Result<bool, Unexpected>, sqlx::Error> {
    while let Some(row) = rows.try_next().await? {
        if let Err(unexpected) = reader.push(&row, batch) {
            return Ok(Err(unexpected));
        }
        if batch.is_full() {
            return Ok(Ok(true));
        }
    }
    Ok(Ok(false))
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

/// A range of keys for each part: even shares of all keys, where the scan reads most of a large table in any order. The first and
/// the last range reach as far as keys go: rows may have come since the survey.
fn divided(table: &Table, request: &Request, survey: &Survey) -> Vec<(i64, i64)> {
    let rows = survey.rows.unwrap_or(0);
    let all = rows as f64;
    let unique = |column: usize| table.shape.is_unique(column);
    let share: f64 = request.predicates.iter().map(|p| p.selectivity(all, &unique)).product();
    if request.parts < 2 || rows < DIVIDED_FROM || share < 0.25 || !request.order.is_empty() || survey.keys.is_empty() {
        return Vec::new();
    }
    let keys: i64 = survey.keys.iter().map(|(first, last)| last - first + 1).sum();
    let each = keys / i64::try_from(request.parts).unwrap_or(1) + 1;
    let (mut cuts, mut room) = (vec![i64::MIN], each);
    for (first, last) in &survey.keys {
        let mut begin = *first;
        while last - begin + 1 > room {
            begin += room;
            cuts.push(begin);
            room = each;
        }
        room -= last - begin + 1;
    }
    cuts.push(i64::MAX);
    cuts.windows(2).map(|pair| (pair[0], pair[1])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::tables::ledger;
    use wh_schemas::position::SEQ_BITS;

    #[test]
    fn the_parts_of_a_scan_hold_every_key_once() {
        let table = ledger().swap_remove(0);
        let request = Request { projection: vec![0], predicates: Vec::new(), order: Vec::new(), limit: None, parts: 3 };
        let base = 1_i64 << SEQ_BITS;
        let keys = vec![(5, 100_004), (base, base + 299_999), (2 * base + 7, 2 * base + 10)];
        let parts = divided(&table, &request, &Survey { rows: Some(400_004), keys: keys.clone() });
        assert_eq!(parts.len(), 3);
        assert_eq!((parts[0].0, parts[2].1), (i64::MIN, i64::MAX));
        assert!(parts.windows(2).all(|pair| pair[0].1 == pair[1].0));
        let held = |(from, until): (i64, i64)| keys.iter().map(|(first, last)| (until.min(last + 1) - from.max(*first)).max(0)).sum::<i64>();
        assert!(parts.iter().all(|part| held(*part).abs_diff(133_334) < 10), "{parts:?}");
        let small = Survey { rows: Some(10), keys };
        assert!(divided(&table, &request, &small).is_empty());
    }
}
