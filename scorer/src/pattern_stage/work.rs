//! Work on the state, and what comes of it into the log: records taken in, decisions taken.
//!
//! What must stay true: what was learnt of records counts only once all that they give is acknowledged; while decisions wait for a checkpoint
//! that holds them, no record is taken in.

use std::sync::atomic::Ordering;

use tokio_util::sync::CancellationToken;
use wh_eventlog::dead_letters::{self, DeadLetter};
use wh_eventlog::gauges::Gauges;
use wh_eventlog::retry::until_settled;
use wh_eventlog::{Consumer, Fetched, Record, Stored, crash};
use wh_schemas::position::Origin;
use wh_schemas::topics::{ACCOUNT_ACTIVITY, RISK_ALERTS};
use wh_schemas::{Reaction, ids};

use super::running::{Output, Running};
use super::{GROUP, INPUT, Stage};
use crate::pattern_alert::PARTITION as OUTPUT;

impl Stage {
    /// Takes records in and produces what they give.
    pub(super) async fn advance(&mut self, consumer: &mut dyn Consumer, fetched: Fetched, stop: &CancellationToken) -> Result<(), Reaction> {
        if let Some(running) = self.undecided() {
            // They come again behind the decisions: the input is paused, and these were on their way.
            consumer.seek(ACCOUNT_ACTIVITY, INPUT, running.position.next_offset);
            return Ok(());
        }
        let records = fetched.records.len() as u64;
        self.letters.rows(records);
        self.work(stop, move |running| running.take(&fetched.records)).await?;
        Gauges::add(&self.gauges.records, records);
        Ok(())
    }

    /// Takes the pending decisions, which the store is known to hold, and produces what they give.
    pub(super) async fn decide(&mut self, stop: &CancellationToken) -> Result<(), Reaction> {
        if self.undecided().is_some() { self.work(stop, Running::decide).await } else { Ok(()) }
    }

    /// Works on the state off the runtime's threads, then produces what came of it.
    async fn work(&mut self, stop: &CancellationToken, work: impl FnOnce(&mut Running) -> Output + Send + 'static) -> Result<(), Reaction> {
        let Some(owned) = &mut self.owned else { return Ok(()) };
        let Some(mut running) = owned.running.take() else { return Err(Reaction::fatal("the patterns' stage lost its state".to_owned())) };
        let working = tokio::task::spawn_blocking(move || {
            let out = work(&mut running);
            (running, out)
        });
        let (mut running, out) = working.await.map_err(|e| Reaction::fatal(format!("finding patterns failed: {e}")))?;
        if !self.produce(&mut running, out, stop).await? {
            // Stopped before it was acknowledged: what has been learnt since must not be checkpointed.
            self.owned = None;
            return Ok(());
        }
        self.gauges.waiting.store(running.awaited(), Ordering::Relaxed);
        self.gauges.reached(ACCOUNT_ACTIVITY, INPUT, running.position.next_offset);
        if let Some(owned) = &mut self.owned {
            owned.running = Some(running);
            owned.dirty = true;
        }
        Ok(())
    }

    /// Produces; `false` when stopped before all was acknowledged.
    async fn produce(&mut self, running: &mut Running, out: Output, stop: &CancellationToken) -> Result<bool, Reaction> {
        let letters: Vec<Record> = out.unreadable.iter().map(|(stored, reason)| self.letter(stored, reason)).collect();
        if !self.letters.bury(letters, stop).await? {
            return Ok(false);
        }
        let (log, gauges) = (&self.log, &*self.gauges);
        if !out.records.is_empty() {
            let Some(first) = until_settled(stop, gauges, || log.produce(RISK_ALERTS, OUTPUT, out.records.clone())).await? else { return Ok(false) };
            crash::point("patterns.produced");
            running.produced(first, out.records.len() as u64);
        }
        Gauges::add(&gauges.alerts, out.alerts);
        Ok(true)
    }

    fn letter(&self, stored: &Stored, reason: &str) -> Record {
        const CLASS: &str = "record:not_activity";
        let letter = DeadLetter {
            origin: Origin { topic: ACCOUNT_ACTIVITY.to_owned(), partition: INPUT, offset: stored.offset },
            stage: GROUP.to_owned(),
            store: None,
            error_class: CLASS.to_owned(),
            error_message: reason.to_owned(),
            fingerprint: format!("{:016x}", ids::fingerprint(format!("{GROUP}\0{CLASS}").as_bytes())),
            position: None,
            attempts: 1,
        };
        dead_letters::record(stored, &letter, &self.settings.build)
    }
}
