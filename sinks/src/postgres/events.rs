//! `system-events` into the ledger's `audit_log` and `system_metrics`. The topic has one partition; its offset is its `seq`.

use sqlx::Postgres;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArguments, PgConnection};
use wh_schemas::Reaction;
use wh_schemas::event::SystemEvent;

use super::dialect::{self, Columns};
use super::positions::int;
use crate::delivery::walk::{Halt, Refused};
use crate::delivery::{Batch, StorePosition};

const INSERT_AUDITS: &str = "INSERT INTO audit_log (event_id, event_type, source, principal, severity, data, timestamp) SELECT r.event_id, r.event_type, r.source, r.principal, \
     r.severity, r.data::json, r.timestamp FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[]) \
     AS r (event_id, event_type, source, principal, severity, data, timestamp) ON CONFLICT DO NOTHING";
const INSERT_METRICS: &str = "INSERT INTO system_metrics (id, name, value, unit, labels, timestamp) SELECT r.id, r.name, r.value, r.unit, r.labels::json, r.timestamp \
     FROM unnest($1::int8[], $2::text[], $3::float8[], $4::text[], $5::text[], $6::timestamptz[]) AS r (id, name, value, unit, labels, timestamp) ON CONFLICT DO NOTHING";

/// One event that something or somebody caused.
struct Audit {
    event_id: String,
    event_type: String,
    source: String,
    principal: String,
    severity: String,
    data: String,
    timestamp: i64,
}

/// One measurement.
struct Metric {
    id: i64,
    name: String,
    value: f64,
    unit: String,
    labels: String,
    timestamp: i64,
}

/// What a batch holds behind a position.
pub(super) struct Events {
    audits: Vec<Audit>,
    metrics: Vec<Metric>,
    position: StorePosition,
}

impl Events {
    /// Reads a batch. Pure.
    ///
    /// # Errors
    /// Refused where a record is no event, or one that the table's index cannot hold.
    pub(super) fn read(batch: &Batch, start: &StorePosition) -> Result<Events, Halt> {
        // Behind a position that went back, as after a fail-over, these are not the next ones.
        if let Some(first) = batch.records.first()
            && start.next_offset > 0
            && first.offset > start.next_offset
        {
            return Err(Halt::Reaction(Reaction::transient(format!(
                "the ledger stands at offset {} of {}, behind what was read: it is read again",
                start.next_offset, batch.topic
            ))));
        }
        let mut events = Events { audits: Vec::new(), metrics: Vec::new(), position: *start };
        for record in batch.records.iter().filter(|record| record.offset >= start.next_offset) {
            events.position.next_offset = record.offset + 1;
            if batch.buried.contains(&record.offset) {
                events.position.tally.dead_letters += 1;
                continue;
            }
            let event: SystemEvent = serde_json::from_slice(&record.value).map_err(|error| {
                Halt::Refused(Refused { offset: record.offset, position: None, class: "record:unreadable", message: format!("expected a system event: {error}") })
            })?;
            match event {
                SystemEvent::Audit { event_id: key, .. } | SystemEvent::Metric { name: key, .. } if !dialect::is_key(&key) => {
                    return Err(dialect::too_long(record.offset, None, key.len()));
                }
                SystemEvent::Audit { event_id, event_type, source, principal, severity, data, timestamp } => {
                    let data = serde_json::Value::Object(data).to_string();
                    events.audits.push(Audit { event_id, event_type, source, principal, severity, data, timestamp: timestamp.0 });
                }
                SystemEvent::Metric { name, value, unit, labels, timestamp } => {
                    let labels = serde_json::Value::Object(labels).to_string();
                    events.metrics.push(Metric { id: int(record.offset), name, value, unit, labels, timestamp: timestamp.0 });
                }
            }
        }
        events.position.next_seq = events.position.next_offset;
        events.position.visible_seq = events.position.next_offset;
        events.position.visible_offset = events.position.next_offset;
        Ok(events)
    }

    /// Writes them; gives the position behind them.
    pub(super) async fn write(self, connection: &mut PgConnection) -> Result<StorePosition, sqlx::Error> {
        let all = self.audits.len() + self.metrics.len();
        let mut stored = 0;
        if !self.audits.is_empty() {
            let arguments = audits(&self.audits).map_err(sqlx::Error::Encode)?;
            stored += sqlx::query_with::<Postgres, _>(INSERT_AUDITS, arguments).execute(&mut *connection).await?.rows_affected();
        }
        if !self.metrics.is_empty() {
            let arguments = metrics(&self.metrics).map_err(sqlx::Error::Encode)?;
            stored += sqlx::query_with::<Postgres, _>(INSERT_METRICS, arguments).execute(connection).await?.rows_affected();
        }
        let mut position = self.position;
        position.tally.stored += stored;
        position.tally.duplicates += all as u64 - stored;
        Ok(position)
    }
}

fn audits(audits: &[Audit]) -> Result<PgArguments, BoxDynError> {
    let mut columns = Columns::default();
    columns.texts(audits.iter().map(|audit| audit.event_id.as_str()))?;
    columns.texts(audits.iter().map(|audit| audit.event_type.as_str()))?;
    columns.texts(audits.iter().map(|audit| audit.source.as_str()))?;
    columns.texts(audits.iter().map(|audit| audit.principal.as_str()))?;
    columns.texts(audits.iter().map(|audit| audit.severity.as_str()))?;
    columns.optional_json(audits.iter().map(|audit| Some(audit.data.as_str())))?;
    columns.instants(audits.iter().map(|audit| audit.timestamp))?;
    Ok(columns.into_arguments())
}

fn metrics(metrics: &[Metric]) -> Result<PgArguments, BoxDynError> {
    let mut columns = Columns::default();
    columns.ints(metrics.iter().map(|metric| metric.id))?;
    columns.texts(metrics.iter().map(|metric| metric.name.as_str()))?;
    columns.floats(metrics.iter().map(|metric| metric.value))?;
    columns.texts(metrics.iter().map(|metric| metric.unit.as_str()))?;
    columns.optional_json(metrics.iter().map(|metric| Some(metric.labels.as_str())))?;
    columns.instants(metrics.iter().map(|metric| metric.timestamp))?;
    Ok(columns.into_arguments())
}
