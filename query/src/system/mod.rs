//! What Wardhouse knows of itself: `system.freshness`, `system.stores`, `system.queries` and `system.reconciliation`.
//!
//! What must stay true: a store that is not there or does not answer is a row that says so, or none, never an error; these
//! tables are small and are made anew by each scan.

mod freshness;
pub(crate) mod queries;
pub(crate) mod reconciliation;
mod stores;

use std::sync::Arc;

use arrow::datatypes::SchemaRef;

use crate::batch::{BatchBuilder, Cell};
use crate::errors::QueryError;
use crate::exec::Sink;
use crate::places::Stores;
use crate::predicate::Predicate;
use crate::queries::Queries;
use crate::table::{Order, Prepared, Request, Scan, Support, Survey};

/// Which of the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// How far each store has come.
    Freshness,
    /// Where each role is kept.
    Stores,
    /// What is asked, and was.
    Queries,
}

/// A value of a row.
#[derive(Clone, Debug, PartialEq)]
enum Own {
    Null,
    Int(i64),
    Text(String),
}

/// A table about the stores, as something that can be scanned.
#[derive(Clone, Debug)]
pub(crate) struct SystemScan {
    pub(crate) stores: Arc<Stores>,
    pub(crate) queries: Arc<Queries>,
    pub(crate) what: What,
    pub(crate) schema: SchemaRef,
}

impl Scan for SystemScan {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn support(&self, _predicate: &Predicate) -> Result<Support, QueryError> {
        Ok(Support::No)
    }

    fn sorts(&self, _order: &[Order]) -> bool {
        false
    }

    fn is_unique(&self, _column: usize) -> bool {
        false
    }

    fn survey(&self) -> Result<Survey, QueryError> {
        let rows = if self.what == What::Queries { 1_000 } else { 16 };
        Ok(Survey { rows: Some(rows), keys: Vec::new() })
    }

    fn prepare(&self, request: &Request, _survey: &Survey) -> Result<Arc<dyn Prepared>, QueryError> {
        Ok(Arc::new(SystemQuery { scan: self.clone(), projection: request.projection.clone() }))
    }
}

#[derive(Debug)]
struct SystemQuery {
    scan: SystemScan,
    projection: Vec<usize>,
}

impl Prepared for SystemQuery {
    fn text(&self) -> String {
        match self.scan.what {
            What::Freshness => "positions of ledger, documents, metrics and search against the checkpoints of the scorer and of patterns".to_owned(),
            What::Stores => "the places of the six roles".to_owned(),
            What::Queries => "the queries of this process".to_owned(),
        }
    }

    fn parts(&self) -> usize {
        1
    }

    fn run(&self, _part: usize, _late: &[Predicate], sink: &mut Sink) -> Result<(), QueryError> {
        let rows = match self.scan.what {
            What::Freshness => freshness::rows(&self.scan.stores),
            What::Stores => stores::rows(&self.scan.stores),
            What::Queries => queries::rows(&self.scan.queries, sink.asker()),
        };
        let mut batch = BatchBuilder::new(sink.schema(), rows.len()).ok_or_else(|| QueryError::internal("a column has a type that no store gives"))?;
        for row in &rows {
            for (place, column) in self.projection.iter().enumerate() {
                let cell = match row.get(*column) {
                    Some(Own::Int(value)) => Cell::Int(*value),
                    Some(Own::Text(text)) => Cell::Text(text.as_bytes()),
                    Some(Own::Null) | None => Cell::Null,
                };
                batch.push(place, cell).map_err(QueryError::internal)?;
            }
            batch.end_row();
        }
        if !batch.is_empty() {
            sink.send(batch.finish().map_err(QueryError::internal)?);
        }
        Ok(())
    }
}
