//! The patterns' engine with its place in input and output: from records of `account-activity` to records of `risk-alerts`. No I/O.
//!
//! What must stay true: what is emitted, and under which `seq`, is a function of the checkpoint that this was begun from, of the decisions
//! in it, and of the records since; what stands in the output is not emitted again; a `seq` is given once.

use std::collections::BTreeMap;

use hashbrown::HashSet;
use wh_eventlog::lineage::Witness;
use wh_eventlog::{Bytes, Record, Stored};
use wh_schemas::Activity;
use wh_schemas::position::Seq;

use super::standing::Standing;
use crate::pattern_alert;
use crate::patterns::{AccountEngine, AccountRules, Found, StateError};
use crate::state::patterns::{Decision, PatternCheckpoint, PatternCounts, PatternPosition, PatternRecord, Unsaved};

/// What some records, or a decision, came to.
#[derive(Debug, Default)]
pub(super) struct Output {
    /// For `risk-alerts`, with dense seqs.
    pub(super) records: Vec<Record>,
    /// What could not be read, and why.
    pub(super) unreadable: Vec<(Stored, String)>,
    /// Alerts found, standing or not.
    pub(super) alerts: u64,
}

/// The engine where it stands.
#[derive(Debug)]
pub(super) struct Running {
    engine: AccountEngine,
    pub(super) position: PatternPosition,
    pub(super) record: PatternRecord,
    /// Partitions of the scorer.
    partitions: u32,
    /// Ids of what stands in the output from the next `seq` on.
    standing: BTreeMap<Seq, Bytes>,
    /// End of the output when it was read.
    standing_end: u64,
    /// Ids of what stands before the next `seq` and may be found again, since the state was begun anew behind it.
    known: HashSet<Bytes>,
}

impl Running {
    /// Goes on from a checkpoint.
    ///
    /// # Errors
    /// Where the state is damaged or of another version.
    pub(super) fn restored(rules: AccountRules, checkpoint: PatternCheckpoint, mut standing: Standing, partitions: u32) -> Result<Running, StateError> {
        let PatternCheckpoint { position, record, header, accounts } = checkpoint;
        let engine = AccountEngine::restored(rules, &header, accounts)?;
        let ahead = standing.ids.split_off(&position.next_seq);
        let known = if record.rebuilding { standing.ids.into_values().collect() } else { HashSet::new() };
        let mut running = Running { engine, position, record, partitions, standing: ahead, standing_end: standing.end, known };
        running.settle_output();
        Ok(running)
    }

    /// Begins with nothing, behind what stands in the output. `next_seq` is at least what the stage once said that it had come to, `start`
    /// the first offset of `account-activity` that is still there.
    pub(super) fn begun(rules: AccountRules, log: String, standing: Standing, next_seq: Seq, start: u64, partitions: u32) -> Running {
        let behind = standing.ids.last_key_value().map_or(0, |(last, _)| last + 1);
        let position = PatternPosition { next_seq: behind.max(next_seq), next_offset: start };
        let record = PatternRecord { log, counts: PatternCounts { missing: start, ..PatternCounts::default() }, rebuilding: true, ..PatternRecord::default() };
        let mut engine = AccountEngine::new(rules);
        // Each may still bring the first event: none has been seen, so nothing can be found yet.
        for partition in 0..partitions {
            engine.expect(partition, true, &mut Vec::new());
        }
        let known = standing.ids.into_values().collect();
        let mut running = Running { engine, position, record, partitions, standing: BTreeMap::new(), standing_end: standing.end, known };
        running.settle_output();
        running
    }

    /// Partitions of the scorer that may hold the watermark back.
    pub(super) fn awaited(&self) -> u64 {
        (0..self.partitions).filter(|partition| !self.record.unawaited.contains(partition)).count() as u64
    }

    /// Whether decisions wait to be taken: no record is taken in before.
    pub(super) fn is_undecided(&self) -> bool {
        !self.record.pending.is_empty()
    }

    /// Takes records in, in order of their offsets; those that were taken before are passed over.
    pub(super) fn take(&mut self, records: &[Stored]) -> Output {
        let (mut out, mut found) = (Output::default(), Vec::new());
        for stored in records {
            if stored.offset < self.position.next_offset {
                continue;
            }
            self.record.counts.missing += stored.offset - self.position.next_offset;
            self.position.next_offset = stored.offset + 1;
            let activity = match serde_json::from_slice::<Activity<'_>>(&stored.value) {
                // One of a partition that there is not would be waited for, for ever.
                Ok(activity) if activity.partition >= self.partitions => Err(format!("expected a partition below {}, found {}", self.partitions, activity.partition)),
                Ok(activity) => Ok(activity),
                Err(error) => Err(format!("expected a record of the scorer: {error}")),
            };
            match activity {
                Ok(activity) if self.engine.taken(activity.partition).is_some_and(|taken| activity.seq <= taken) => self.record.counts.copies += 1,
                Ok(activity) => {
                    self.record.counts.taken += 1;
                    // The engine waits for it again by itself.
                    self.record.unawaited.remove(&activity.partition);
                    self.engine.take(&activity, &mut found);
                }
                Err(reason) => {
                    self.record.counts.dead_letters += 1;
                    out.unreadable.push((stored.clone(), reason));
                }
            }
        }
        if let Some(last) = records.last().filter(|last| last.offset + 1 == self.position.next_offset) {
            self.record.last = Some(Witness::of(last));
        }
        self.emit(found, &mut out);
        out
    }

    /// Takes the decisions that are pending, and no checkpoint but one behind them holds them from here on.
    pub(super) fn decide(&mut self) -> Output {
        let (mut out, mut found) = (Output::default(), Vec::new());
        for Decision { partition, awaited } in std::mem::take(&mut self.record.pending) {
            if awaited {
                self.record.unawaited.remove(&partition);
            } else {
                self.record.unawaited.insert(partition);
            }
            self.engine.expect(partition, awaited, &mut found);
        }
        self.emit(found, &mut out);
        out
    }

    /// Adds what has changed in the engine to what no checkpoint holds.
    pub(super) fn changed(&mut self, unsaved: &mut Unsaved) {
        unsaved.add(self.engine.take_changes());
    }

    /// Says that so many records stand in the output from an offset on.
    pub(super) fn produced(&mut self, first: u64, records: u64) {
        if !self.record.rebuilding {
            self.record.output_offset = self.record.output_offset.max(first + records);
        }
    }

    fn emit(&mut self, found: Vec<Found>, out: &mut Output) {
        for found in found {
            let id = found.pattern.pattern_id.as_bytes();
            if self.known.remove(id) {
                continue;
            }
            match self.standing.remove(&self.position.next_seq) {
                Some(stands) if stands == id => {
                    self.count(&found, out);
                    self.position.next_seq += 1;
                    continue;
                }
                Some(stands) => {
                    self.go_behind(stands);
                    if self.known.remove(id) {
                        continue;
                    }
                }
                None => {}
            }
            out.records.push(pattern_alert::record(&found, self.position.next_seq));
            self.count(&found, out);
            self.position.next_seq += 1;
        }
        self.settle_output();
    }

    fn count(&mut self, found: &Found, out: &mut Output) {
        let alert = u64::from(found.pattern.risk_score >= wh_schemas::scored::ALERT_SCORE);
        self.record.counts.patterns += 1;
        self.record.counts.alerts += alert;
        out.alerts += alert;
    }

    /// Something else stands in the output than is found now, as after a store that was restored from a backup, or under other rules: what
    /// stands there stays, and what is found and does not stand there comes behind it.
    fn go_behind(&mut self, stands: Bytes) {
        let last = self.standing.last_key_value().map_or(self.position.next_seq, |(last, _)| *last);
        tracing::warn!(stage = super::GROUP, seq = self.position.next_seq, last, "other patterns stand in the output than are found now: going on behind them");
        self.known.insert(stands);
        self.known.extend(std::mem::take(&mut self.standing).into_values());
        self.position.next_seq = last + 1;
        self.record.rebuilding = true;
    }

    /// Where everything that stands in the output is behind, it need not be read again.
    fn settle_output(&mut self) {
        self.record.rebuilding &= !self.known.is_empty();
        if self.standing.is_empty() && !self.record.rebuilding {
            self.record.output_offset = self.record.output_offset.max(self.standing_end);
        }
    }
}

#[cfg(test)]
#[path = "running_tests.rs"]
mod tests;
