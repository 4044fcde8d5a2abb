//! Scanning a topic in the log's file.
//!
//! What must stay true: records come by partition and offset; a batch is decompressed only when its records' keys, values or
//! headers are wanted; a topic that nobody has written yet is empty, not an error.

use std::fmt::Display;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use rusqlite::{Connection, OptionalExtension, params};
use wh_eventlog::embedded::block;

use super::dialect::{self, APPEND_TIME, KEY, OFFSET, PARTITION, Place};
use super::rows::Rows;
use crate::errors::QueryError;
use crate::exec::Sink;
use crate::predicate::Predicate;
use crate::sqlite::connect::Store;
use crate::table::{Order, Prepared, Request, Scan, Support, Survey};

/// A topic, as something that can be scanned.
#[derive(Clone, Debug)]
pub(crate) struct TopicScan {
    pub(crate) store: Arc<Store>,
    pub(crate) topic: &'static str,
    pub(crate) schema: SchemaRef,
}

impl Scan for TopicScan {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn support(&self, predicate: &Predicate) -> Result<Support, QueryError> {
        Ok(dialect::support(predicate))
    }

    fn sorts(&self, _order: &[Order]) -> bool {
        false
    }

    fn is_unique(&self, _column: usize) -> bool {
        false
    }

    fn survey(&self) -> Result<Survey, QueryError> {
        let connection = self.store.connect()?;
        let partitions = self.partitions(&connection).map_err(|error| self.store.failed(&error))?;
        let records: i64 = partitions.iter().map(|partition| partition.next_offset - partition.start_offset).sum();
        Ok(Survey { rows: usize::try_from(records).ok(), keys: Vec::new() })
    }

    fn prepare(&self, request: &Request, _survey: &Survey) -> Result<Arc<dyn Prepared>, QueryError> {
        Ok(Arc::new(TopicQuery { scan: self.clone(), request: request.clone() }))
    }
}

struct PartitionOfTopic {
    topic_id: i64,
    partition: i64,
    start_offset: i64,
    next_offset: i64,
}

impl TopicScan {
    fn partitions(&self, connection: &Connection) -> rusqlite::Result<Vec<PartitionOfTopic>> {
        let topic_id: Option<i64> = connection.query_row("SELECT topic_id FROM topics WHERE name = ?1", [self.topic], |row| row.get(0)).optional()?;
        let Some(topic_id) = topic_id else { return Ok(Vec::new()) };
        let mut statement = connection.prepare("SELECT partition, start_offset, next_offset FROM partitions WHERE topic_id = ?1 ORDER BY partition")?;
        let rows = statement.query_map([topic_id], |row| Ok(PartitionOfTopic { topic_id, partition: row.get(0)?, start_offset: row.get(1)?, next_offset: row.get(2)? }))?;
        rows.collect()
    }

    fn damaged(&self, what: &dyn Display) -> QueryError {
        QueryError::Store {
            role: "log",
            message: format!("{}: {}: {what}", self.store.path.display(), self.topic),
            remedy: "the log's file is damaged: restore it from a backup".to_owned(),
        }
    }
}

/// A query of a topic, ready to run.
#[derive(Debug)]
struct TopicQuery {
    scan: TopicScan,
    request: Request,
}

impl Prepared for TopicQuery {
    fn text(&self) -> String {
        dialect::text(self.scan.topic, &self.scan.schema, &self.request.predicates)
    }

    fn parts(&self) -> usize {
        1
    }

    fn run(&self, _part: usize, late: &[Predicate], sink: &mut Sink) -> Result<(), QueryError> {
        let store = &self.scan.store;
        let connection = store.connect()?;
        let interrupt = connection.get_interrupt_handle();
        if !sink.on_stop(move || interrupt.interrupt()) {
            return Ok(());
        }
        let predicates: Vec<Predicate> = self.request.predicates.iter().chain(late).cloned().collect();
        let partitions = self.scan.partitions(&connection).map_err(|error| store.failed(&error))?;
        let wanted = dialect::range(&predicates, PARTITION);
        let damaged = |what: &dyn Display| self.scan.damaged(what);
        let rows = Rows::new(&self.request.projection, sink, &damaged)?;
        let mut out = Out { query: self, predicates, rows };
        for partition in partitions.iter().filter(|partition| wanted.holds(partition.partition)) {
            if !out.partition(&connection, partition)? {
                return Ok(());
            }
        }
        out.rows.flush().map(|_| ())
    }
}

/// A scan under way.
struct Out<'a> {
    query: &'a TopicQuery,
    predicates: Vec<Predicate>,
    rows: Rows<'a>,
}

impl Out<'_> {
    /// Returns `false` when no more rows are wanted.
    fn partition(&mut self, connection: &Connection, of: &PartitionOfTopic) -> Result<bool, QueryError> {
        let query = self.query;
        let failed = |error: rusqlite::Error| query.scan.store.failed(&error);
        let (offsets, times) = (dialect::range(&self.predicates, OFFSET), dialect::range(&self.predicates, APPEND_TIME));
        let (first, last) = (offsets.first.max(of.start_offset), offsets.last.min(of.next_offset.saturating_sub(1)));
        let decoded = query.request.projection.iter().any(|column| *column >= KEY);
        let mut statement = connection.prepare(dialect::BATCHES).map_err(failed)?;
        let mut batches = statement.query(params![of.topic_id, of.partition, first, last, times.first, times.last]).map_err(failed)?;
        loop {
            let Some(batch) = batches.next().map_err(failed)? else { return Ok(true) };
            let (base, records, append_time): (i64, i64, i64) = (batch.get(0).map_err(failed)?, batch.get(1).map_err(failed)?, batch.get(2).map_err(failed)?);
            let stored = if decoded {
                let data = batch.get_ref(3).map_err(failed)?.as_blob().map_err(|error| query.scan.damaged(&error))?;
                let base = u64::try_from(base).map_err(|error| query.scan.damaged(&error))?;
                block::decode(data, base, append_time).map_err(|error| query.scan.damaged(&error))?
            } else {
                Vec::new()
            };
            for (place, offset) in (base..base.saturating_add(records)).enumerate() {
                let place_of = Place { partition: of.partition, offset, append_time };
                let seen = offset >= first && offset <= last && self.predicates.iter().all(|predicate| dialect::evaluated(predicate, place_of) == Some(true));
                if seen && !self.rows.push(place_of, stored.get(place))? {
                    return Ok(false);
                }
            }
        }
    }
}
