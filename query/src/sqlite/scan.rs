//! Scanning a table of a SQLite file.
//!
//! What must stay true: one connection a part, opened and read on the blocking thread that runs it, interrupted when its rows
//! are no longer wanted; the rows of all parts together are the rows of one statement over all keys.

use std::any::Any;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use rusqlite::types::{Value as SqlValue, ValueRef};
use rusqlite::{Connection, Rows, params_from_iter};
use wh_schemas::position::SEQ_BITS;

use super::aggregates::{self, Form};
use super::connect::Store;
use super::dialect::{self, Sql};
use super::tables::{Size, Table};
use crate::aggregate::Aggregation;
use crate::batch::{BatchBuilder, Cell};
use crate::errors::QueryError;
use crate::exec::Sink;
use crate::predicate::{Predicate, Value};
use crate::table::{Order, Prepared, Request, Scan, Support, Survey};

/// Rows below which a scan is not divided.
const DIVIDED_FROM: usize = 200_000;
/// Rows up to which a table is counted.
const COUNTED_TO: i64 = 20_000;

/// A table of a SQLite file, as something that can be scanned.
#[derive(Clone, Debug)]
pub(crate) struct SqliteScan {
    pub(crate) store: Arc<Store>,
    pub(crate) table: Arc<Table>,
    /// Where it is a join, the table that has about as many rows.
    like: Option<Arc<Table>>,
}

impl SqliteScan {
    pub(super) fn new(store: Arc<Store>, table: Table) -> SqliteScan {
        SqliteScan { store, table: Arc::new(table), like: None }
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
        first && order.iter().all(|by| !self.table.shape.is_one_of(by.column, self.table.opaque))
    }

    fn is_unique(&self, column: usize) -> bool {
        self.table.shape.is_unique(column)
    }

    fn survey(&self) -> Result<Survey, QueryError> {
        let connection = self.store.connect()?;
        let surveyed = survey(&connection, self.like.as_ref().unwrap_or(&self.table)).map_err(|error| self.store.failed(&error))?;
        // The keys of one table are not those of a join.
        Ok(if self.like.is_some() { Survey { keys: Vec::new(), ..surveyed } } else { surveyed })
    }

    fn prepare(&self, request: &Request, survey: &Survey) -> Result<Arc<dyn Prepared>, QueryError> {
        let parts = divided(&self.table, request, survey);
        let shown = self.statement(request, &[], parts.first().and_then(|ranges| ranges.first()).copied())?;
        Ok(Arc::new(SqliteQuery { scan: self.clone(), request: request.clone(), aggregation: None, parts, shown }))
    }

    fn aggregates(&self, _request: &Request, aggregation: &Aggregation) -> bool {
        aggregates::computes(&self.table, aggregation)
    }

    fn prepare_aggregate(&self, request: &Request, aggregation: &Aggregation, _survey: &Survey) -> Result<Arc<dyn Prepared>, QueryError> {
        let shown = self.of_groups(request, aggregation, &[])?;
        Ok(Arc::new(SqliteQuery { scan: self.clone(), request: request.clone(), aggregation: Some(aggregation.clone()), parts: Vec::new(), shown }))
    }

    fn joined(&self, other: &Arc<dyn Scan>, on: &[(usize, usize)]) -> Option<Arc<dyn Scan>> {
        let other = (other.as_ref() as &dyn Any).downcast_ref::<SqliteScan>()?;
        if !Arc::ptr_eq(&self.store, &other.store) {
            return None;
        }
        let table = self.table.joined(&other.table, on)?;
        // A row of one finds at most one of the other where the other's column is unique.
        let like = if on.iter().any(|(_, right)| other.is_unique(*right)) { &self.table } else { &other.table };
        Some(Arc::new(SqliteScan { like: Some(Arc::clone(like)), ..SqliteScan::new(Arc::clone(&self.store), table) }))
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
        let connection = self.scan.store.connect()?;
        let interrupt = connection.get_interrupt_handle();
        if !sink.on_stop(move || interrupt.interrupt()) {
            return Ok(());
        }
        match self.parts.get(part) {
            None => self.run_one(&connection, late, None, sink).map(|_| ()),
            Some(ranges) => {
                for keys in ranges {
                    if !self.run_one(&connection, late, Some(*keys), sink)? {
                        break;
                    }
                }
                Ok(())
            }
        }
    }
}

impl SqliteQuery {
    /// Returns `false` when no more rows are wanted.
    fn run_one(&self, connection: &Connection, late: &[Predicate], keys: Option<(i64, i64)>, sink: &mut Sink) -> Result<bool, QueryError> {
        let store = &self.scan.store;
        let sql = match &self.aggregation {
            None => self.scan.statement(&self.request, late, keys)?,
            Some(aggregation) => self.scan.of_groups(&self.request, aggregation, late)?,
        };
        let mut statement = connection.prepare(&sql.text).map_err(|error| store.failed(&error))?;
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

/// The keys' ranges by stream partition, and about how many rows there are, by a few steps down the table's tree.
fn survey(connection: &Connection, table: &Table) -> rusqlite::Result<Survey> {
    let mut survey = Survey::default();
    // A view is surveyed by the table under it.
    let from = match table.shape.name {
        "high_risk_transactions" => "transactions",
        "recent_alerts" => "risk_alerts",
        _ => table.from.as_ref(),
    };
    if table.keyed {
        let mut first = connection.prepare(&format!("SELECT min(pos) FROM {from} WHERE pos >= ?1"))?;
        let mut last = connection.prepare(&format!("SELECT max(pos) FROM {from} WHERE pos < ?1"))?;
        let mut at = 0_i64;
        while let Some(begin) = first.query_row([at], |row| row.get::<_, Option<i64>>(0))? {
            at = ((begin >> SEQ_BITS) + 1) << SEQ_BITS;
            let end = last.query_row([at], |row| row.get::<_, Option<i64>>(0))?.unwrap_or(begin);
            survey.keys.push((begin, end));
        }
    }
    let keys: i64 = survey.keys.iter().map(|(first, last)| last - first + 1).sum();
    let keys = usize::try_from(keys).unwrap_or(usize::MAX);
    survey.rows = match table.size {
        Size::Dense => Some(keys),
        Size::OneIn(many) => Some(keys.div_ceil(many)),
        Size::Unknown => None,
        Size::Counted => {
            let counted: i64 = connection.query_row(&format!("SELECT count(*) FROM (SELECT 1 FROM {from} LIMIT {COUNTED_TO})"), [], |row| row.get(0))?;
            let counted = usize::try_from(counted).unwrap_or(0);
            // At the bound it is anybody's guess; a large table is the better one to probe than to build.
            Some(if counted < usize::try_from(COUNTED_TO).unwrap_or(0) { counted } else { counted * 10 })
        }
    };
    Ok(survey)
}

/// Ranges of keys for each part: even shares of all keys, where the scan reads most of a large table in any order.
fn divided(table: &Table, request: &Request, survey: &Survey) -> Vec<Vec<(i64, i64)>> {
    let rows = survey.rows.unwrap_or(0);
    let all = rows as f64;
    let unique = |column: usize| table.shape.is_unique(column);
    let share: f64 = request.predicates.iter().map(|p| p.selectivity(all, &unique)).product();
    if request.parts < 2 || rows < DIVIDED_FROM || share < 0.25 || !request.order.is_empty() || survey.keys.is_empty() {
        return Vec::new();
    }
    let keys: i64 = survey.keys.iter().map(|(first, last)| last - first + 1).sum();
    let parts = i64::try_from(request.parts).unwrap_or(1);
    let each = keys / parts + 1;
    let mut divided = vec![Vec::new()];
    let mut room = each;
    for (index, (first, last)) in survey.keys.iter().enumerate() {
        let mut begin = *first;
        // The first and the last range reach as far as keys go: rows may have come since the survey.
        let begin_of_all = if index == 0 { 0 } else { begin };
        let end_of_all = if index + 1 == survey.keys.len() { i64::MAX } else { survey.keys.get(index + 1).map_or(i64::MAX, |(next, _)| *next) };
        let mut from = begin_of_all;
        while last - begin + 1 > room {
            let until = begin + room;
            if let Some(part) = divided.last_mut() {
                part.push((from, until));
            }
            divided.push(Vec::new());
            (begin, from, room) = (until, until, each);
        }
        room -= last - begin + 1;
        if let Some(part) = divided.last_mut() {
            part.push((from, end_of_all));
        }
    }
    divided
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::tables::ledger;

    #[test]
    fn the_parts_of_a_scan_hold_every_key_once() {
        let table = ledger().swap_remove(0);
        let request = Request { projection: vec![0], predicates: Vec::new(), order: Vec::new(), limit: None, parts: 3 };
        let base = 1_i64 << SEQ_BITS;
        let keys = vec![(5, 100_004), (base, base + 299_999), (2 * base + 7, 2 * base + 10)];
        let parts = divided(&table, &request, &Survey { rows: Some(400_004), keys: keys.clone() });
        assert_eq!(parts.len(), 3);
        let mut ranges: Vec<(i64, i64)> = parts.concat();
        ranges.sort_unstable();
        assert_eq!(ranges.first().unwrap().0, 0);
        assert_eq!(ranges.last().unwrap().1, i64::MAX);
        for pair in ranges.windows(2) {
            assert_eq!(pair[0].1, pair[1].0);
        }
        let small = Survey { rows: Some(10), keys };
        assert!(divided(&table, &request, &small).is_empty());
    }
}
