//! Control records on their way into a partition: read, decided, kept, told.
//!
//! Decided only while everything that stands in the output is scored here, so that "beyond everything emitted" is the next `seq`. What was
//! decided is in a checkpoint and in a snapshot before anything from its `seq` on is scored: the first for whoever goes on from there, the
//! second for whoever has lost the first.
//!
//! What must stay true: between deciding and keeping nothing at or beyond the barrier is scored, whatever fails; a decision is told at
//! least once, under one id.

use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use wh_eventlog::retry::until_settled;
use wh_eventlog::{Bounds, Consumer, Record};
use wh_schemas::event::SystemEvent;
use wh_schemas::topics::{ACCEPTED_TRANSACTIONS, SCORER_CONTROL, SYSTEM_EVENTS};
use wh_schemas::{Reaction, ids};
use wh_stores::clock;

use super::{GROUP, Stage};
use crate::control::Decided;
use crate::state::rebuild;

/// How often the topic is looked at.
pub(super) const EVERY: Duration = Duration::from_millis(250);
/// Bytes of records that one look reads.
const READ_BYTES: usize = 1 << 20;

/// Event type of an accepted record.
const ACCEPTED: &str = "control_accepted";
/// Event type of a refused one.
const REFUSED: &str = "control_refused";

impl Stage {
    /// Looks now and then whether there are control records, and decides on them.
    pub(super) async fn look_for_control(&mut self, consumer: &mut dyn Consumer, stop: &CancellationToken) -> Result<(), Reaction> {
        if self.control_at > Instant::now() || self.partitions.is_empty() {
            return Ok(());
        }
        self.control_at = Instant::now() + EVERY;
        match self.decide_all(consumer, stop).await {
            Err(Reaction::Transient { message, .. }) => {
                tracing::debug!(stage = GROUP, "{SCORER_CONTROL} was not read: {message}");
                Ok(())
            }
            other => other,
        }
    }

    async fn decide_all(&mut self, consumer: &mut dyn Consumer, stop: &CancellationToken) -> Result<(), Reaction> {
        let bounds = self.log.bounds(SCORER_CONTROL, 0).await?;
        for partition in self.partitions.keys().copied().collect::<Vec<_>>() {
            if self.decide(partition, bounds).await? {
                self.checkpoint(consumer, partition, stop).await?;
            }
        }
        Ok(())
    }

    /// Decides on the records that a partition has not seen: whether there was one for it.
    async fn decide(&mut self, partition: u32, bounds: Bounds) -> Result<bool, Reaction> {
        let Some(running) = self.partitions.get_mut(&partition) else { return Ok(false) };
        let Some(scorer) = &mut running.scorer else { return Ok(false) };
        // While the store is away: what is decided and cannot be kept would hold the partition up.
        let away = running.held || running.unkept || running.barrier.is_some() || running.checkpoint_at > Instant::now();
        if away || running.emitted.is_some_and(|last| scorer.position().next_seq <= last) {
            return Ok(false);
        }
        let next = scorer.control().next_offset.max(bounds.start);
        if next >= bounds.end {
            return Ok(false);
        }
        let records = self.log.read(SCORER_CONTROL, 0, next, READ_BYTES).await?;
        let fresh = scorer.position().next_seq;
        // An owner before this one may have emitted more since: what stands is scored here first.
        if rebuild::last_emitted(&*self.log, partition).await?.is_some_and(|standing| standing.seq >= fresh) {
            return Ok(false);
        }
        let mut any = false;
        for record in &records {
            any |= scorer.decide(record, self.input_partitions);
        }
        if any {
            running.unkept = true;
            running.snapshot_due = true;
            // Nothing before the first that waits is touched by any of it.
            running.barrier = scorer.control().first_pending().map(|first| first.max(fresh));
        }
        Ok(any)
    }

    /// Once checkpoint and snapshot hold what was decided: lets it count, and tells it.
    pub(super) async fn settle_control(&mut self, consumer: &mut dyn Consumer, partition: u32, stop: &CancellationToken) -> Result<(), Reaction> {
        let Some(running) = self.partitions.get_mut(&partition) else { return Ok(()) };
        if running.unkept || running.snapshot_due {
            return Ok(());
        }
        if running.barrier.take().is_some() && std::mem::take(&mut running.held) {
            consumer.set_paused(ACCEPTED_TRANSACTIONS, partition, false);
        }
        let Some(scorer) = &mut running.scorer else { return Ok(()) };
        if scorer.control().decided.iter().all(|decided| decided.told) {
            return Ok(());
        }
        let identity = scorer.record().log;
        let events: Vec<Record> = scorer.control().decided.iter().filter(|decided| !decided.told).map(|decided| record(&identity, partition, decided)).collect();
        let (log, gauges) = (&self.log, &*self.gauges);
        if until_settled(stop, gauges, || log.produce(SYSTEM_EVENTS, 0, events.clone())).await?.is_some() {
            scorer.told();
        }
        Ok(())
    }
}

/// The audit event of a decision. The same decision has the same id whoever tells it.
fn record(identity: &str, partition: u32, decided: &Decided) -> Record {
    let place = match decided.offset {
        Some(offset) => offset.to_string(),
        None => format!("settings {} {}", decided.from_seq, decided.subject),
    };
    let event_type = if decided.refused.is_empty() { ACCEPTED } else { REFUSED };
    let mut data = Map::new();
    for (name, value) in [
        ("control_id", json!(decided.control_id)),
        ("kind", json!(decided.kind)),
        ("subject", json!(decided.subject)),
        ("partition", json!(partition)),
        ("from_seq", json!(decided.from_seq)),
        ("next_seq", json!(decided.next_seq)),
        ("offset", json!(decided.offset)),
        ("reason", json!(decided.reason)),
        ("refused", json!(decided.refused)),
    ] {
        let said = match &value {
            Value::Null => false,
            Value::String(text) => !text.is_empty(),
            Value::Array(items) => !items.is_empty(),
            _ => true,
        };
        if said {
            data.insert(name.to_owned(), value);
        }
    }
    let event = SystemEvent::Audit {
        event_id: ids::event_id(&[event_type, identity, &partition.to_string(), &place]).to_string(),
        event_type: event_type.to_owned(),
        source: GROUP.to_owned(),
        principal: if decided.principal.is_empty() { "unknown".to_owned() } else { decided.principal.clone() },
        severity: if decided.refused.is_empty() { "info" } else { "warning" }.to_owned(),
        data,
        timestamp: clock::now(),
    };
    Record { key: None, value: serde_json::to_vec(&event).unwrap_or_default().into(), headers: Vec::new() }
}
