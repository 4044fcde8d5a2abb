//! `system.reconciliation`: what `wardhouse reconcile` found, range by range, out of the ledger's audit log.
//!
//! What must stay true: it is the audit log's own rows, read as it is read; an event that is none of ours, or of a later version, is passed over.

use std::sync::Arc;

use arrow::array::{Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use serde::Deserialize;
use wh_schemas::arrow::instant;

use crate::batch::{BatchBuilder, Cell};
use crate::errors::QueryError;
use crate::exec::Sink;
use crate::predicate::{Op, Predicate, Value};
use crate::table::{Order, Prepared, Request, Scan, Support, Survey};

/// The events that are read.
const EVENT_TYPE: &str = "reconciled";
/// Columns of the audit log that are read, in this order.
const READ: [&str; 3] = ["event_type", "data", "timestamp"];

/// The table's columns.
pub(crate) fn schema() -> SchemaRef {
    let required = |name: &str, data_type: DataType| Field::new(name, data_type, false);
    let counts = ["rows_expected", "rows_stored"].map(|name| required(name, DataType::Int64));
    let sums = ["checksum_expected", "checksum_stored"].map(|name| required(name, DataType::Utf8));
    let found = ["missing", "different", "extra", "repaired"].map(|name| required(name, DataType::Int64));
    let mut fields = vec![
        required("checked_at", instant()),
        required("run", DataType::Utf8),
        required("store", DataType::Utf8),
        required("stream", DataType::Utf8),
        Field::new("partition", DataType::Int32, true),
        required("from_seq", DataType::Int64),
        required("to_seq", DataType::Int64),
    ];
    fields.extend(counts.into_iter().chain(sums).chain(found));
    fields.push(required("state", DataType::Utf8));
    Arc::new(Schema::new(fields))
}

/// What an event says.
#[derive(Deserialize)]
struct Said {
    #[serde(default)]
    run: String,
    #[serde(default)]
    ranges: Vec<Range>,
}

/// One range of it.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Range {
    store: String,
    stream: String,
    partition: Option<i64>,
    from_seq: i64,
    to_seq: i64,
    rows_expected: i64,
    rows_stored: i64,
    checksum_expected: String,
    checksum_stored: String,
    missing: i64,
    different: i64,
    extra: i64,
    repaired: i64,
}

impl Range {
    /// In a word.
    fn state(&self) -> &'static str {
        let found = self.missing + self.different + self.extra;
        match found {
            0 => "equal",
            found if self.repaired >= found => "repaired",
            _ => "different",
        }
    }

    /// The cells of a row, in the order of the columns.
    fn cells<'c>(&'c self, run: &'c str, checked_at: i64) -> [Cell<'c>; 16] {
        let text = |text: &'c str| Cell::Text(text.as_bytes());
        [
            Cell::Int(checked_at),
            text(run),
            text(&self.store),
            text(&self.stream),
            self.partition.map_or(Cell::Null, Cell::Int),
            Cell::Int(self.from_seq),
            Cell::Int(self.to_seq),
            Cell::Int(self.rows_expected),
            Cell::Int(self.rows_stored),
            text(&self.checksum_expected),
            text(&self.checksum_stored),
            Cell::Int(self.missing),
            Cell::Int(self.different),
            Cell::Int(self.extra),
            Cell::Int(self.repaired),
            text(self.state()),
        ]
    }
}

/// The audit log, read as ranges.
#[derive(Clone, Debug)]
pub(crate) struct ReconciliationScan {
    audit_log: Arc<dyn Scan>,
    schema: SchemaRef,
}

impl ReconciliationScan {
    /// Over the ledger's audit log.
    pub(crate) fn new(audit_log: Arc<dyn Scan>) -> ReconciliationScan {
        ReconciliationScan { audit_log, schema: schema() }
    }

    /// What is asked of the audit log.
    fn request(&self) -> Result<Request, QueryError> {
        let all = self.audit_log.schema();
        let place = |name: &str| all.index_of(name).map_err(QueryError::internal);
        let projection = READ.into_iter().map(place).collect::<Result<Vec<_>, _>>()?;
        let ours = Predicate::Compare { column: place("event_type")?, op: Op::Eq, value: Value::Text(EVENT_TYPE.to_owned()) };
        // Whatever else it lets through is passed over here.
        let predicates = if self.audit_log.support(&ours)? == Support::No { Vec::new() } else { vec![ours] };
        Ok(Request { projection, predicates, order: Vec::new(), limit: None, parts: 1 })
    }
}

impl Scan for ReconciliationScan {
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
        self.audit_log.survey()
    }

    fn prepare(&self, request: &Request, survey: &Survey) -> Result<Arc<dyn Prepared>, QueryError> {
        let events = self.audit_log.prepare(&self.request()?, survey)?;
        Ok(Arc::new(ReconciliationQuery { events, audit_log: self.audit_log.schema(), projection: request.projection.clone() }))
    }
}

#[derive(Debug)]
struct ReconciliationQuery {
    events: Arc<dyn Prepared>,
    audit_log: SchemaRef,
    projection: Vec<usize>,
}

impl Prepared for ReconciliationQuery {
    fn text(&self) -> String {
        format!("ranges in: {}", self.events.text())
    }

    fn parts(&self) -> usize {
        self.events.parts()
    }

    fn run(&self, part: usize, _late: &[Predicate], sink: &mut Sink) -> Result<(), QueryError> {
        let wanted = READ.into_iter().map(|name| self.audit_log.index_of(name)).collect::<Result<Vec<_>, _>>().map_err(QueryError::internal)?;
        let read = Arc::new(self.audit_log.project(&wanted).map_err(QueryError::internal)?);
        let (shown, projection) = (sink.schema(), self.projection.clone());
        let rows = move |events: &RecordBatch| rows(events, &shown, &projection);
        sink.mapped(read, Box::new(rows), |sink| self.events.run(part, &[], sink))
    }
}

/// The ranges of events.
fn rows(events: &RecordBatch, shown: &SchemaRef, projection: &[usize]) -> Result<RecordBatch, QueryError> {
    let misread = || QueryError::internal("the audit log has other columns than it says");
    let column = |at: usize| events.columns().get(at).ok_or_else(misread);
    let types = column(0)?.as_any().downcast_ref::<StringArray>().ok_or_else(misread)?;
    let data = column(1)?.as_any().downcast_ref::<StringArray>().ok_or_else(misread)?;
    let times = column(2)?.as_any().downcast_ref::<TimestampMicrosecondArray>().ok_or_else(misread)?;
    let mut batch = BatchBuilder::new(Arc::clone(shown), usize::MAX).ok_or_else(|| QueryError::internal("a column has a type that no store gives"))?;
    for row in 0..events.num_rows() {
        if types.value(row) != EVENT_TYPE {
            continue;
        }
        let Ok(said) = serde_json::from_str::<Said>(data.value(row)) else { continue };
        for range in &said.ranges {
            let cells = range.cells(&said.run, times.value(row));
            for (place, column) in projection.iter().enumerate() {
                batch.push(place, cells.get(*column).copied().unwrap_or(Cell::Null)).map_err(QueryError::internal)?;
            }
            batch.end_row();
        }
    }
    batch.finish().map_err(QueryError::internal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::AsArray;

    #[test]
    fn an_event_becomes_a_row_a_range_and_a_foreign_one_none() {
        let schema = Arc::new(wh_schemas::arrow::audit_log().project(&[1, 5, 6]).unwrap());
        let said = r#"{"run":"r","ranges":[{"store":"ledger","stream":"scorer","partition":0,"from_seq":0,"to_seq":10,"rows_expected":9,"rows_stored":9,"checksum_expected":"0a","checksum_stored":"0a"},
            {"store":"ledger","stream":"","partition":null,"extra":2,"repaired":2},{"store":"ledger","stream":"scorer","partition":1,"missing":1}]}"#;
        let types = StringArray::from(vec![EVENT_TYPE, "stage_started", EVENT_TYPE]);
        let data = StringArray::from(vec![said, "{}", "no JSON"]);
        let times = TimestampMicrosecondArray::from(vec![7, 8, 9]).with_data_type(instant());
        let events = RecordBatch::try_new(schema, vec![Arc::new(types), Arc::new(data), Arc::new(times)]).unwrap();
        let all = super::schema();
        let whole: Vec<usize> = (0..all.fields().len()).collect();
        let batch = rows(&events, &all, &whole).unwrap();
        assert_eq!((batch.num_rows(), batch.num_columns()), (3, 16));
        let states = batch.column(15).as_string::<i32>();
        assert_eq!([states.value(0), states.value(1), states.value(2)], ["equal", "repaired", "different"]);
        assert!(batch.column(4).is_null(1));
        let none = rows(&events, &Arc::new(Schema::empty()), &[]).unwrap();
        assert_eq!(none.num_rows(), 3);
    }
}
