//! Scanning a table of a SQLite file.
//!
//! What must stay true: one connection a part, taken and read on the blocking thread that runs it, interrupted when its rows
//! are no longer wanted; the rows of all parts together are the rows of one statement over all keys.

use std::any::Any;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use rusqlite::types::{Value as SqlValue, ValueRef};
use rusqlite::{Connection, Rows, params_from_iter};

use super::aggregates::{self, Form};
use super::connect::{Interrupt, Store};
use super::dialect::{self, Sql};
use super::survey;
use super::tables::Table;
use crate::aggregate::Aggregation;
use crate::batch::{BatchBuilder, Cell};
use crate::errors::QueryError;
use crate::exec::Sink;
use crate::parts::{self, Turn, Turns};
use crate::predicate::{Predicate, Value};
use crate::surveys::Surveys;
use crate::table::{Order, Prepared, Request, Scan, Support, Survey};

/// A table of a SQLite file, as something that can be scanned.
#[derive(Clone, Debug)]
pub(crate) struct SqliteScan {
    pub(crate) store: Arc<Store>,
    pub(crate) table: Arc<Table>,
    /// Where it is a join, the table that has about as many rows.
    like: Option<Arc<Table>>,
    surveys: Arc<Surveys>,
}

impl SqliteScan {
    pub(super) fn new(store: Arc<Store>, table: Table) -> SqliteScan {
        SqliteScan { store, table: Arc::new(table), like: None, surveys: Arc::default() }
    }

    fn look(&self) -> Result<Survey, QueryError> {
        let reader = self.store.connect()?;
        let surveyed = survey::look(&reader, self.like.as_ref().unwrap_or(&self.table)).map_err(|error| self.store.failed(&error))?;
        self.store.keep(reader);
        Ok(surveyed)
    }

    /// What is known of it by what is known of its table. The keys of one table are not those of a join.
    fn own(&self, survey: Survey) -> Survey {
        if self.like.is_some() { Survey { keys: Vec::new(), ..survey } } else { survey }
    }
}

impl Scan for SqliteScan {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.table.shape.schema)
    }

    fn support(&self, predicate: &Predicate) -> Result<Support, QueryError> {
        Ok(dialect::support(&self.table, predicate))
    }

    fn sorts(&self, order: &[Order]) -> bool {
        // An index gives the first column's order; what follows only breaks ties.
        let first = order.first().is_some_and(|by| self.table.shape.is_one_of(by.column, self.table.sorted));
        first && self.ranks(order)
    }

    fn ranks(&self, order: &[Order]) -> bool {
        order.iter().all(|by| dialect::sorts_alike(&self.table, by.column))
    }

    fn is_unique(&self, column: usize) -> bool {
        self.table.shape.is_unique(column)
    }

    fn survey(&self) -> Result<Survey, QueryError> {
        self.surveys.recent(|| self.look()).map(|survey| self.own(survey))
    }

    fn surveyed(&self) -> Option<Survey> {
        self.surveys.known().map(|survey| self.own(survey))
    }

    fn prepare(&self, request: &Request, survey: &Survey) -> Result<Arc<dyn Prepared>, QueryError> {
        let parts = survey::divided(&self.table, request, survey);
        let shown = self.statement(request, &[], parts.first().and_then(|ranges| ranges.first()).copied())?;
        Ok(Arc::new(SqliteQuery { scan: self.clone(), request: request.clone(), aggregation: None, parts, rows: survey.rows.unwrap_or(0), turns: Turns::default(), shown }))
    }

    fn aggregates(&self, _request: &Request, aggregation: &Aggregation) -> bool {
        aggregates::computes(&self.table, aggregation)
    }

    fn prepare_aggregate(&self, request: &Request, aggregation: &Aggregation, survey: &Survey) -> Result<Arc<dyn Prepared>, QueryError> {
        let shown = self.of_groups(request, aggregation, &[])?;
        let (aggregation, rows) = (Some(aggregation.clone()), survey.rows.unwrap_or(0));
        Ok(Arc::new(SqliteQuery { scan: self.clone(), request: request.clone(), aggregation, parts: Vec::new(), rows, turns: Turns::default(), shown }))
    }

    fn joined(&self, other: &Arc<dyn Scan>, on: &[(usize, usize)]) -> Option<Arc<dyn Scan>> {
        let other = (other.as_ref() as &dyn Any).downcast_ref::<SqliteScan>()?;
        if !Arc::ptr_eq(&self.store, &other.store) {
            return None;
        }
        let table = self.table.joined(&other.table, on)?;
        // A row of one finds at most one of the other where the other's column is unique.
        let like = if on.iter().any(|(_, right)| other.is_unique(*right)) { self } else { other };
        let (store, surveys) = (Arc::clone(&self.store), Arc::clone(&like.surveys));
        Some(Arc::new(SqliteScan { store, table: Arc::new(table), like: Some(Arc::clone(&like.table)), surveys }))
    }
}

impl SqliteScan {
    fn statement(&self, request: &Request, late: &[Predicate], keys: Option<(i64, i64)>) -> Result<Sql, QueryError> {
        dialect::select(&self.table, request, late, keys).ok_or_else(|| self.unanswered())
    }

    fn of_groups(&self, request: &Request, aggregation: &Aggregation, late: &[Predicate]) -> Result<Sql, QueryError> {
        aggregates::select(&self.table, request, aggregation, late).ok_or_else(|| self.unanswered())
    }

    fn unanswered(&self) -> QueryError {
        QueryError::internal(format!("{} was asked what SQLite cannot answer", self.table.shape.name))
    }
}

/// A statement, ready to run.
#[derive(Debug)]
struct SqliteQuery {
    scan: SqliteScan,
    request: Request,
    /// What is computed of the rows instead of giving them.
    aggregation: Option<Aggregation>,
    /// Ranges of keys by part; none when the scan is not divided.
    parts: Vec<Vec<(i64, i64)>>,
    /// About how many rows there are in all.
    rows: usize,
    turns: Turns,
    shown: Sql,
}

impl Prepared for SqliteQuery {
    fn text(&self) -> String {
        let text = self.shown.shown();
        if self.parts.is_empty() { text } else { format!("{text} (in {} parts by pos)", self.parts.len()) }
    }

    fn parts(&self) -> usize {
        self.parts.len().max(1)
    }

    fn run(&self, part: usize, late: &[Predicate], sink: &mut Sink) -> Result<(), QueryError> {
        let ranges = match self.turn(part, late) {
            Turn::Share => self.parts.get(part),
            Turn::All => None,
            Turn::Nothing => return Ok(()),
        };
        let store = &self.scan.store;
        let reader = store.connect()?;
        let interrupt = Interrupt::of(&reader);
        let stopping = interrupt.clone();
        if !sink.on_stop(move || stopping.interrupt()) {
            return Ok(());
        }
        match ranges {
            None => {
                self.run_one(&reader, late, None, sink)?;
            }
            Some(ranges) => {
                for keys in ranges {
                    if !self.run_one(&reader, late, Some(*keys), sink)? {
                        break;
                    }
                }
            }
        }
        interrupt.disarm();
        store.keep(reader);
        Ok(())
    }
}

impl SqliteQuery {
    fn turn(&self, part: usize, late: &[Predicate]) -> Turn {
        let unique = |column: usize| self.scan.table.shape.is_unique(column);
        if self.parts.is_empty() { Turn::All } else { self.turns.of(part, || parts::leave_few(self.rows, late, &unique)) }
    }

    /// Returns `false` when no more rows are wanted.
    fn run_one(&self, connection: &Connection, late: &[Predicate], keys: Option<(i64, i64)>, sink: &mut Sink) -> Result<bool, QueryError> {
        let store = &self.scan.store;
        let sql = match &self.aggregation {
            None => self.scan.statement(&self.request, late, keys)?,
            Some(aggregation) => self.scan.of_groups(&self.request, aggregation, late)?,
        };
        let mut statement = connection.prepare_cached(&sql.text).map_err(|error| store.failed(&error))?;
        let mut rows = statement.query(params_from_iter(sql.values.iter().map(bound))).map_err(|error| store.failed(&error))?;
        match &self.aggregation {
            Some(aggregation) => hand_over(store, &mut rows, &aggregates::forms(&self.scan.table, aggregation), sink),
            None if self.request.projection.is_empty() => count(store, &mut rows, sink),
            None => hand_over(store, &mut rows, &vec![Form::Plain; self.request.projection.len()], sink),
        }
    }
}

fn bound(value: &Value) -> SqlValue {
    match value {
        Value::Int(value) => SqlValue::Integer(*value),
        Value::Float(value) => SqlValue::Real(*value),
        Value::Text(text) => SqlValue::Text(text.clone()),
    }
}

fn damaged(store: &Store, what: &dyn std::fmt::Display) -> QueryError {
    QueryError::Store {
        role: store.role(),
        message: format!("{}: {what}", store.path.display()),
        remedy: "the file is damaged or of another layout: `wardhouse status` says what to do".to_owned(),
    }
}

fn builder(sink: &Sink) -> Result<BatchBuilder, QueryError> {
    BatchBuilder::new(sink.schema(), sink.batch_rows()).ok_or_else(|| QueryError::internal("a column has a type that no store gives"))
}

fn hand_over(store: &Store, rows: &mut Rows<'_>, forms: &[Form], sink: &mut Sink) -> Result<bool, QueryError> {
    let mut batch = builder(sink)?;
    while let Some(row) = rows.next().map_err(|error| store.failed(&error))? {
        let mut from = 0;
        for (index, form) in forms.iter().enumerate() {
            let value = row.get_ref(from).map_err(|error| store.failed(&error))?;
            let cell = match (form, value) {
                (_, ValueRef::Null) => Cell::Null,
                (Form::Plain, ValueRef::Integer(value)) => Cell::Int(value),
                (Form::Plain, ValueRef::Real(value)) => Cell::Float(value),
                (Form::Plain, ValueRef::Text(text)) => Cell::Text(text),
                (Form::Halves, ValueRef::Integer(high)) => match row.get_ref(from + 1).map_err(|error| store.failed(&error))? {
                    ValueRef::Integer(low) => Cell::Wide(aggregates::of_halves(high, low)),
                    _ => return Err(damaged(store, &"half of a sum")),
                },
                (_, ValueRef::Blob(_)) => return Err(damaged(store, &"bytes where text was expected")),
                (Form::Halves, _) => return Err(damaged(store, &"a sum of something else than integers")),
            };
            from += form.columns();
            batch.push(index, cell).map_err(|misfit| damaged(store, &misfit))?;
        }
        batch.end_row();
        if batch.is_full() && !sink.send(batch.finish().map_err(|error| damaged(store, &error))?) {
            return Ok(false);
        }
    }
    Ok(batch.is_empty() || sink.send(batch.finish().map_err(|error| damaged(store, &error))?))
}

/// Hands over rows without columns, as many as the one row says.
fn count(store: &Store, rows: &mut Rows<'_>, sink: &mut Sink) -> Result<bool, QueryError> {
    let counted = match rows.next().map_err(|error| store.failed(&error))? {
        Some(row) => row.get::<_, i64>(0).map_err(|error| store.failed(&error))?,
        None => 0,
    };
    let mut left = usize::try_from(counted).unwrap_or(0);
    let mut batch = builder(sink)?;
    while left > 0 {
        let rows = left.min(sink.batch_rows());
        left -= rows;
        batch.end_rows(rows);
        if !sink.send(batch.finish().map_err(|error| damaged(store, &error))?) {
            return Ok(false);
        }
    }
    Ok(true)
}
