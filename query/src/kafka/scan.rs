//! Scanning a topic of a log on Kafka.
//!
//! What must stay true: rows are those that the embedded log would give; a partition is read from the first offset that can meet the
//! conditions to the last, in pieces; a topic that is not there yet is empty, not an error; records that retention removes meanwhile are not seen.

use std::fmt::Display;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use wh_eventlog::{Reader, Stored};
use wh_schemas::Reaction;

use super::ranges;
use super::store::{KafkaTopics, failed};
use crate::errors::QueryError;
use crate::exec::Sink;
use crate::log::dialect::{self, Place};
use crate::log::rows::Rows;
use crate::predicate::Predicate;
use crate::store::wait;
use crate::surveys::Surveys;
use crate::table::{Order, Prepared, Request, Scan, Support, Survey};

/// Bytes that one piece aims at …
const PIECE_BYTES: usize = 4 * 1024 * 1024;
/// … and where only some rows are wanted.
const FIRST_PIECE_BYTES: usize = 256 * 1024;
/// How many rows are some.
const SOME_ROWS: usize = 1_000;

/// A topic, as something that can be scanned.
#[derive(Clone, Debug)]
pub(super) struct KafkaScan {
    pub(super) store: Arc<KafkaTopics>,
    pub(super) topic: &'static str,
    pub(super) schema: SchemaRef,
    pub(super) surveys: Arc<Surveys>,
}

impl Scan for KafkaScan {
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
        self.surveys.recent(|| {
            let records = wait(async {
                let reader = self.store.reader().await?;
                let mut records = 0_u64;
                for partition in 0..reader.partitions_if_any(self.topic).await.map_err(|reaction| failed(&reaction))?.unwrap_or(0) {
                    let bounds = reader.bounds(self.topic, partition).await.map_err(|reaction| failed(&reaction))?;
                    records += bounds.end.saturating_sub(bounds.start);
                }
                Ok::<u64, QueryError>(records)
            })?;
            Ok(Survey { rows: usize::try_from(records).ok(), keys: Vec::new() })
        })
    }

    fn surveyed(&self) -> Option<Survey> {
        self.surveys.known()
    }

    fn prepare(&self, request: &Request, _survey: &Survey) -> Result<Arc<dyn Prepared>, QueryError> {
        Ok(Arc::new(KafkaQuery { scan: self.clone(), request: request.clone() }))
    }
}

impl KafkaScan {
    fn misfit(&self, what: &dyn Display) -> QueryError {
        QueryError::Store { role: "log", message: format!("{}: {what}", self.topic), remedy: "`wardhouse doctor` tells more".to_owned() }
    }
}

/// A query of a topic, ready to run.
#[derive(Debug)]
struct KafkaQuery {
    scan: KafkaScan,
    request: Request,
}

impl Prepared for KafkaQuery {
    fn text(&self) -> String {
        ranges::text(self.scan.topic, &self.scan.schema, &self.request.predicates)
    }

    fn parts(&self) -> usize {
        self.request.parts.max(1)
    }

    /// Each part reads every so many-th partition.
    fn run(&self, part: usize, late: &[Predicate], sink: &mut Sink) -> Result<(), QueryError> {
        let mut predicates = self.request.predicates.clone();
        predicates.extend(late.iter().filter(|predicate| dialect::support(predicate) == Support::Exact).cloned());
        let misfit = |what: &dyn Display| self.scan.misfit(what);
        let rows = Rows::new(&self.request.projection, sink, &misfit)?;
        let Some(count) = rows.sink().wait(async {
            let reader = self.scan.store.reader().await?;
            reader.partitions_if_any(self.scan.topic).await.map_err(|reaction| failed(&reaction))
        }) else {
            return Ok(());
        };
        let count = count?.unwrap_or(0);
        let mut out = Out { query: self, predicates, rows };
        for partition in (0..count).filter(|partition| *partition as usize % self.parts() == part) {
            if !out.partition(partition)? {
                return Ok(());
            }
        }
        out.rows.flush().map(|_| ())
    }
}

/// A scan under way.
struct Out<'a> {
    query: &'a KafkaQuery,
    predicates: Vec<Predicate>,
    rows: Rows<'a>,
}

/// The next records of a partition.
enum Piece {
    /// They begin at or behind the offset that was asked for.
    Records(Vec<Stored>),
    /// Those that were asked for are gone meanwhile; this is the first that is there.
    Gone(u64),
}

impl Out<'_> {
    /// Offsets of a partition that can meet the conditions, the last included. `Some(None)`: none. `None`: nobody wants rows any more.
    fn span(&self, partition: u32) -> Result<Option<Option<(u64, u64)>>, QueryError> {
        let Some(slice) = ranges::slice(&self.predicates, i64::from(partition)) else { return Ok(Some(None)) };
        let scan = &self.query.scan;
        let span = self.rows.sink().wait(async {
            let reader = scan.store.reader().await?;
            let bounds = reader.bounds(scan.topic, partition).await.map_err(|reaction| failed(&reaction))?;
            let Some(newest) = bounds.end.checked_sub(1) else { return Ok(None) };
            let mut first = bounds.start.max(u64::try_from(slice.offsets.first).unwrap_or(0));
            let Ok(wanted) = u64::try_from(slice.offsets.last) else { return Ok(None) };
            if slice.times.first > i64::MIN {
                // Records before this offset are all earlier. Behind the last time there may be an earlier one again, where clocks went back.
                match reader.first_since(scan.topic, partition, slice.times.first).await.map_err(|reaction| failed(&reaction))? {
                    Some(since) => first = first.max(since),
                    None => return Ok(None),
                }
            }
            let last = newest.min(wanted);
            Ok::<Option<(u64, u64)>, QueryError>((first <= last).then_some((first, last)))
        });
        span.transpose()
    }

    /// The records from `next` on. `None` when nobody wants rows any more.
    fn piece(&self, partition: u32, next: u64) -> Result<Option<Piece>, QueryError> {
        let scan = &self.query.scan;
        let bytes = if self.query.request.limit.is_some_and(|limit| limit <= SOME_ROWS) { FIRST_PIECE_BYTES } else { PIECE_BYTES };
        let piece = self.rows.sink().wait(async {
            let reader = scan.store.reader().await?;
            match reader.read(scan.topic, partition, next, bytes).await {
                Ok(records) => Ok(Piece::Records(records)),
                Err(Reaction::Fatal(said)) => {
                    let start = reader.bounds(scan.topic, partition).await.map_err(|reaction| failed(&reaction))?.start;
                    if start > next { Ok(Piece::Gone(start)) } else { Err(failed(&Reaction::Fatal(said))) }
                }
                Err(reaction) => Err(failed(&reaction)),
            }
        });
        piece.transpose()
    }

    /// Returns `false` when no more rows are wanted.
    fn partition(&mut self, partition: u32) -> Result<bool, QueryError> {
        let Some(span) = self.span(partition)? else { return Ok(false) };
        let Some((mut next, last)) = span else { return Ok(true) };
        while next <= last {
            let records = match self.piece(partition, next)? {
                None => return Ok(false),
                Some(Piece::Gone(start)) => {
                    next = start;
                    continue;
                }
                Some(Piece::Records(records)) => records,
            };
            // Offsets may hold nothing at the end: what was compacted away, or a transaction's end.
            let Some(read) = records.last().map(|record| record.offset) else { return Ok(true) };
            for record in records.iter().filter(|record| record.offset <= last) {
                let place = Place { partition: i64::from(partition), offset: i64::try_from(record.offset).unwrap_or(i64::MAX), append_time: record.append_time };
                let seen = self.predicates.iter().all(|predicate| dialect::evaluated(predicate, place) == Some(true));
                if seen && !self.rows.push(place, Some(record))? {
                    return Ok(false);
                }
            }
            next = read + 1;
        }
        Ok(true)
    }
}
