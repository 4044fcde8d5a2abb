//! From accepted records to scores, alerts, account activity and dead letters in the log.
//!
//! A batch is scored while the one before it is on its way into the log: waiting for its disk, or for Kafka's answer, costs no processor.
//!
//! What must stay true: what stands in the output is not written again; a score is the last of its record's output, so that where it stands the
//! rest does; a batch's output is sent when that of the batch before it is acknowledged; nothing from a barrier on is scored.

use std::sync::Arc;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use wh_eventlog::gauges::Gauges;
use wh_eventlog::retry::until_settled;
use wh_eventlog::{Consumer, Fetched, Log, Record, crash};
use wh_schemas::Reaction;
use wh_schemas::position::Seq;
use wh_schemas::topics::{ACCEPTED_TRANSACTIONS, ACCOUNT_ACTIVITY, RISK_ALERTS, RISK_SCORES};

use super::Stage;
use crate::account_activity;
use crate::partition::Emitted;

/// A batch's output on its way: `false` where it was stopped before all of it was acknowledged.
pub(super) type Producing = JoinHandle<Result<bool, Reaction>>;

impl Stage {
    /// Scores records and begins to produce what they give; returns `false` when stopped before all of the batch before was acknowledged.
    pub(super) async fn advance(&mut self, consumer: &mut dyn Consumer, fetched: Fetched, stop: &CancellationToken) -> Result<bool, Reaction> {
        let partition = fetched.partition;
        let Some(running) = self.partitions.get_mut(&partition) else { return Ok(true) };
        let Some(mut scorer) = running.scorer.take() else { return Err(Reaction::fatal(format!("partition {partition} of the scorer lost its state"))) };
        let (alerts_before, barrier) = (scorer.counts().alerts, running.barrier.unwrap_or(Seq::MAX));
        let end = fetched.records.last().map_or(0, |last| last.offset + 1);
        let scoring = tokio::task::spawn_blocking(move || {
            let mut emitted = Emitted { scores: Vec::with_capacity(fetched.records.len()), ..Emitted::default() };
            let mut records = 0_u64;
            for record in &fetched.records {
                if scorer.position().next_seq >= barrier {
                    break;
                }
                scorer.process(record, &mut emitted);
                records += 1;
            }
            let taken = usize::try_from(records).unwrap_or(usize::MAX);
            if let Some(last) = fetched.records.iter().take(taken).next_back() {
                scorer.witness(last);
            }
            (scorer, emitted, records)
        });
        let (scorer, mut emitted, records) = scoring.await.map_err(|e| Reaction::fatal(format!("scoring partition {partition} failed: {e}")))?;
        if let Some(last) = running.emitted {
            let standing = usize::try_from((last + 1).saturating_sub(emitted.first_seq)).unwrap_or(usize::MAX).min(emitted.scores.len());
            emitted.scores.drain(..standing);
            // As alerts below. Of the batch behind, a copy may be written: whoever reads them drops it by its `seq`.
            emitted.activities.retain(|(seq, _)| *seq > last);
            // Alerts are produced before their scores: those of scores that stand, stand too; of the batch behind, some may.
            emitted.alerts.retain(|(seq, _)| *seq > last);
        }
        emitted.alerts.retain(|(_, alert)| alert.key.as_ref().is_none_or(|id| !running.standing_alerts.contains(id)));
        let output = Output {
            partition,
            activities: emitted.activities.into_iter().map(|(_, activity)| activity).collect(),
            alerts: emitted.alerts.into_iter().map(|(_, alert)| alert).collect(),
            scores: emitted.scores,
            records,
            next_offset: scorer.position().next_offset,
        };
        Gauges::add(&self.gauges.alerts, scorer.counts().alerts - alerts_before);
        running.scorer = Some(scorer);
        if output.next_offset < end {
            // The rest comes again once what it is scored under is kept.
            running.held = true;
            consumer.set_paused(ACCEPTED_TRANSACTIONS, partition, true);
            consumer.seek(ACCEPTED_TRANSACTIONS, partition, output.next_offset);
        }
        if !self.acknowledged(partition).await? {
            return Ok(false);
        }
        self.letters.rows(records);
        let buries = !emitted.dead_letters.is_empty();
        if !self.letters.bury(emitted.dead_letters, stop).await? {
            return Ok(false);
        }
        if buries {
            crash::point("scorer.buried");
        }
        let producing = tokio::spawn(output.produce(self.log.clone(), self.gauges.clone(), stop.clone()));
        if let Some(running) = self.partitions.get_mut(&partition) {
            running.producing = Some(producing);
        }
        Ok(true)
    }

    /// Waits until the log holds all that a partition's batches gave; `false` when stopped before: what it has learnt since must not be checkpointed.
    pub(super) async fn acknowledged(&mut self, partition: u32) -> Result<bool, Reaction> {
        let Some(producing) = self.partitions.get_mut(&partition).and_then(|running| running.producing.take()) else { return Ok(true) };
        producing.await.map_err(|e| Reaction::fatal(format!("producing the output of partition {partition} failed: {e}")))?
    }
}

/// What one batch gave.
struct Output {
    partition: u32,
    activities: Vec<Record>,
    alerts: Vec<Record>,
    scores: Vec<Record>,
    /// How many records were read for it, and where it ends.
    records: u64,
    next_offset: u64,
}

impl Output {
    async fn produce(self, log: Arc<dyn Log>, gauges: Arc<Gauges>, stop: CancellationToken) -> Result<bool, Reaction> {
        let (log, gauges, stop) = (&log, &*gauges, &stop);
        // The scores last: what stands there, stands in the others.
        let activities = produce(log, ACCOUNT_ACTIVITY, account_activity::PARTITION, self.activities, gauges, stop);
        let alerts = produce(log, RISK_ALERTS, self.partition, self.alerts, gauges, stop);
        let (activities, alerts) = tokio::join!(activities, alerts);
        if !activities? || !alerts? {
            return Ok(false);
        }
        crash::point("scorer.producing");
        if !produce(log, RISK_SCORES, self.partition, self.scores, gauges, stop).await? {
            return Ok(false);
        }
        crash::point("scorer.produced");
        Gauges::add(&gauges.records, self.records);
        gauges.reached(ACCEPTED_TRANSACTIONS, self.partition, self.next_offset);
        Ok(true)
    }
}

/// Produces records, trying again while the log asks for patience; `false` when stopped before.
async fn produce(log: &Arc<dyn Log>, topic: &str, partition: u32, records: Vec<Record>, gauges: &Gauges, stop: &CancellationToken) -> Result<bool, Reaction> {
    if records.is_empty() {
        return Ok(true);
    }
    Ok(until_settled(stop, gauges, || log.produce(topic, partition, records.clone())).await?.is_some())
}
