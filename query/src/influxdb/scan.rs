//! Scanning `metrics.throughput` in a bucket.
//!
//! InfluxQL gives whole points, 3 s for a million; Flux keeps each field apart and takes ten for putting them together again.
//!
//! What must stay true: no more than a line of the answer is held; an answer that breaks off is an error, never a short result.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use wh_stores::influxdb::answer::{Datum, Reader, Series};
use wh_stores::influxdb::errors::of_answer;

use super::aggregate_scan::ThroughputAggregate;
use super::aggregates;
use super::dialect;
use super::place::{Place, place_of};
use super::statements::{self, Query};
use super::store::InfluxdbMetrics;
use crate::aggregate::Aggregation;
use crate::batch::BatchBuilder;
use crate::errors::QueryError;
use crate::exec::Sink;
use crate::predicate::Predicate;
use crate::shape::Shape;
use crate::store::SinkStore;
use crate::surveys::Surveys;
use crate::table::{Order, Prepared, Request, Scan, Support, Survey};

/// The points, as something that can be scanned.
#[derive(Clone, Debug)]
pub(crate) struct ThroughputScan {
    pub(crate) store: Arc<InfluxdbMetrics>,
    pub(crate) shape: Arc<Shape>,
    pub(super) surveys: Arc<Surveys>,
}

impl Scan for ThroughputScan {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.shape.schema)
    }

    fn support(&self, predicate: &Predicate) -> Result<Support, QueryError> {
        Ok(dialect::support(&self.shape, predicate))
    }

    fn sorts(&self, _order: &[Order]) -> bool {
        // Points of years that InfluxDB does not know come in another order than their own.
        false
    }

    fn is_unique(&self, column: usize) -> bool {
        self.shape.is_unique(column)
    }

    fn survey(&self) -> Result<Survey, QueryError> {
        // There are at most as many points as transactions: most are alone in their second.
        self.surveys.recent(|| {
            let stored: i64 = self.store.positions()?.iter().map(|position| position.stored).sum();
            Ok(Survey { rows: usize::try_from(stored).ok(), keys: Vec::new() })
        })
    }

    fn surveyed(&self) -> Option<Survey> {
        self.surveys.known()
    }

    fn prepare(&self, request: &Request, _survey: &Survey) -> Result<Arc<dyn Prepared>, QueryError> {
        let shown = self.query(request, &[])?;
        Ok(Arc::new(ThroughputQuery { scan: self.clone(), request: request.clone(), shown }))
    }

    fn aggregates(&self, _request: &Request, aggregation: &Aggregation) -> bool {
        aggregates::takes(&self.shape, aggregation)
    }

    fn prepare_aggregate(&self, request: &Request, aggregation: &Aggregation, _survey: &Survey) -> Result<Arc<dyn Prepared>, QueryError> {
        Ok(Arc::new(ThroughputAggregate::new(self.clone(), request.clone(), aggregation.clone())?))
    }
}

impl ThroughputScan {
    fn query(&self, request: &Request, late: &[Predicate]) -> Result<Query, QueryError> {
        statements::query(&self.shape, request, late).ok_or_else(|| QueryError::internal("metrics.throughput was asked what InfluxDB cannot answer"))
    }

    /// What is wrong with a point.
    pub(super) fn damaged(&self, what: &dyn std::fmt::Display) -> QueryError {
        QueryError::Store {
            role: "metrics",
            message: format!("a point is not as Wardhouse writes it: {what}"),
            remedy: "another program may have written to the bucket: `wardhouse doctor` looks at it".to_owned(),
        }
    }
}

/// A query, ready to run.
#[derive(Debug)]
struct ThroughputQuery {
    scan: ThroughputScan,
    request: Request,
    shown: Query,
}

impl Prepared for ThroughputQuery {
    fn text(&self) -> String {
        self.shown.shown()
    }

    fn parts(&self) -> usize {
        1
    }

    fn run(&self, _part: usize, late: &[Predicate], sink: &mut Sink) -> Result<(), QueryError> {
        let (scan, store) = (&self.scan, &self.scan.store);
        let query = scan.query(&self.request, late)?;
        if query.statements == 0 {
            return Ok(());
        }
        let Some(client) = sink.wait(store.client()) else { return Ok(()) };
        let client = client?;
        let Some(answer) = sink.wait(client.ask(&query.text, &query.parameters, sink.batch_rows())) else { return Ok(()) };
        let mut answer = answer.map_err(|reaction| store.failed(&reaction))?;
        let mut reader = Reader::new(query.statements);
        let mut batch = BatchBuilder::new(sink.schema(), sink.batch_rows()).ok_or_else(|| QueryError::internal("a column has a type that no store gives"))?;
        loop {
            let Some(line) = sink.wait(answer.line()) else { return Ok(()) };
            let Some(line) = line.map_err(|reaction| store.failed(&reaction))? else { break };
            let parts = reader.read(&line).map_err(|fault| store.failed(&of_answer(client.place(), &fault)))?;
            for series in parts.iter().flat_map(|part| &part.series) {
                if !self.hand_over(series, &mut batch, sink)? {
                    return Ok(());
                }
            }
        }
        reader.end().map_err(|fault| store.failed(&of_answer(client.place(), &fault)))?;
        if !batch.is_empty() {
            sink.send(batch.finish().map_err(|error| scan.damaged(&error))?);
        }
        Ok(())
    }
}

impl ThroughputQuery {
    /// Returns `false` when no more rows are wanted.
    fn hand_over(&self, series: &Series<'_>, batch: &mut BatchBuilder, sink: &mut Sink) -> Result<bool, QueryError> {
        let scan = &self.scan;
        if self.request.projection.is_empty() {
            let counted = series.values.first().and_then(|row| row.get(1)).and_then(Datum::int).unwrap_or(0);
            return count(scan, usize::try_from(counted).unwrap_or(0), batch, sink);
        }
        let places: Vec<Place> = self.request.projection.iter().map(|column| place_of(&scan.shape, *column, series)).collect();
        for row in &series.values {
            for (index, place) in places.iter().enumerate() {
                let pushed = place.cell(row, |cell| batch.push(index, cell)).ok_or_else(|| scan.damaged(&"it lacks a value"))?;
                pushed.map_err(|misfit| scan.damaged(&misfit))?;
            }
            batch.end_row();
            if batch.is_full() && !sink.send(batch.finish().map_err(|error| scan.damaged(&error))?) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Hands over rows without columns.
fn count(scan: &ThroughputScan, mut left: usize, batch: &mut BatchBuilder, sink: &mut Sink) -> Result<bool, QueryError> {
    while left > 0 {
        let rows = left.min(sink.batch_rows());
        left -= rows;
        batch.end_rows(rows);
        if !sink.send(batch.finish().map_err(|error| scan.damaged(&error))?) {
            return Ok(false);
        }
    }
    Ok(true)
}
