//! `system-events` into the ledger's `audit_log` and `system_metrics`. The topic has one partition; its offset is its `seq`.

use rusqlite::{Transaction, params};
use wh_schemas::event::SystemEvent;

use super::file::Failure;
use crate::delivery::walk::{DUPLICATE, Halt, Refused, STORED};
use crate::delivery::{Batch, StorePosition};

/// Writes events and returns the position behind them.
pub(super) fn write(transaction: &Transaction<'_>, batch: &Batch, start: &StorePosition) -> Result<StorePosition, Failure> {
    let mut position = *start;
    for record in batch.records.iter().filter(|r| r.offset >= start.next_offset) {
        position.next_offset = record.offset + 1;
        if batch.buried.contains(&record.offset) {
            position.tally.dead_letters += 1;
            continue;
        }
        let event: SystemEvent = serde_json::from_slice(&record.value).map_err(|error| {
            let message = format!("expected a system event: {error}");
            Failure::Halt(Halt::Refused(Refused { offset: record.offset, position: None, class: "record:unreadable", message }))
        })?;
        let inserted = match event {
            SystemEvent::Audit { event_id, event_type, source, principal, severity, data, timestamp } => transaction
                .prepare_cached(
                    "INSERT INTO audit_log (event_id, event_type, source, principal, severity, data, timestamp) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING",
                )?
                .execute(params![event_id, event_type, source, principal, severity, serde_json::Value::Object(data).to_string(), timestamp.0])?,
            SystemEvent::Metric { name, value, unit, labels, timestamp } => transaction
                .prepare_cached("INSERT INTO system_metrics (id, name, value, unit, labels, timestamp) VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING")?
                .execute(params![record.offset, name, value, unit, serde_json::Value::Object(labels).to_string(), timestamp.0])?,
        };
        position.tally.add(if inserted == 0 { DUPLICATE } else { STORED });
    }
    position.next_seq = position.next_offset;
    position.visible_seq = position.next_offset;
    position.visible_offset = position.next_offset;
    Ok(position)
}
